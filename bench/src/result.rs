//! What one run measured, as it is written to a file: schema "mote-bench/1".
//!
//! A file holds one JSON object, or several one after the other. Whoever reads one finds every number with its unit in
//! its name: `_s` seconds, `_us` microseconds, `_bytes` bytes. A field that a later version adds has a default, so that
//! older files stay readable.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub const SCHEMA: &str = "mote-bench/1";

/// One run of one scenario against one broker.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Run {
    pub schema: String,
    /// Which broker and build it was; the user's word, else its address.
    pub label: String,
    /// Unix time at the start of what is measured.
    pub time: u64,
    pub machine: Machine,
    pub plan: Plan,
    /// How long was measured.
    pub seconds: f64,
    /// Messages that publishers sent.
    pub published: u64,
    /// Messages that were handed to subscribers; of a merged subscriber its frames.
    pub delivered: u64,
    /// Rows in what was delivered; the same as `delivered` where a message is one row.
    #[serde(default)]
    pub rows_delivered: u64,
    /// Of `delivered`.
    pub per_second: f64,
    pub published_per_second: f64,
    pub lost: u64,
    pub duplicates: u64,
    pub reordered: u64,
    /// Times that nothing came for a second although messages were under way.
    pub stalls: u64,
    pub latency_us: Option<Latency>,
    /// `None` if the broker's process was not named.
    pub broker: Option<Broker>,
    pub generator: Generator,
    pub series: Series,
    /// What only this scenario has.
    pub figures: Vec<Figure>,
    /// Why this result may not be what it seems, in sentences.
    #[serde(default)]
    pub warnings: Vec<String>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Machine {
    pub cpu: String,
    pub cores: u32,
    pub kernel: String,
    /// Of the clock of its first core; `None` where the kernel does not tell.
    pub governor: Option<String>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Plan {
    pub scenario: String,
    /// "3.1.1" or "5".
    pub protocol: String,
    pub publishers: u64,
    pub subscribers: u64,
    /// What the topics look like, `b{i}/data`.
    pub topics: String,
    pub qos: u8,
    /// Bytes of a payload; of a row in a tree.
    pub size: u64,
    pub retain: bool,
    #[serde(rename = "loop")]
    pub pace: Loop,
    /// Messages of one publisher that may be under way; of a closed loop.
    pub in_flight: Option<u64>,
    /// Messages per second of all publishers together; of an open loop.
    pub rate: Option<f64>,
    /// Rows in a message.
    pub rows: u64,
    /// Threads of the generator.
    pub threads: u64,
    pub warmup_s: f64,
    pub seconds: f64,
}

/// When a publisher sends its next message.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Loop {
    /// When an earlier one has arrived: a slow broker slows the publishers, and latency is what the window makes it.
    Closed,
    /// When its time has come, whatever became of those before. Latency counts from that time.
    Open,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Latency {
    pub count: u64,
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub p9999: f64,
    pub max: f64,
    /// Percentile (0 to 100) and latency, in rising order.
    pub curve: Vec<[f64; 2]>,
    /// The histogram itself, of nanoseconds: HDR V2, deflated, base64.
    pub hdr: String,
}

/// What the broker's process spent while it was measured.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Broker {
    pub pid: u32,
    pub cpu_s: f64,
    pub us_per_delivery: f64,
    pub threads: Vec<Thread>,
    /// `RssAnon` before any client came.
    pub anon_bytes_before: u64,
    /// `RssAnon` at the end of what is measured.
    pub anon_bytes: u64,
    pub switches_voluntary: u64,
    pub switches_involuntary: u64,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Thread {
    pub name: String,
    pub cpu_s: f64,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Generator {
    pub cpu_s: f64,
    /// 0 to 1, of its busiest thread.
    pub busy: f64,
    pub us_per_delivery: f64,
    /// The generator was as fast as it can be, and the broker was not.
    pub is_limit: bool,
}

/// What happened in each step of what is measured; the lists are equally long. Those of the broker are empty if its
/// process was not named, those of latency if none is measured.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Series {
    pub step_s: f64,
    pub published: Vec<u64>,
    pub delivered: Vec<u64>,
    /// `None` in a step without a delivery.
    pub p50_us: Vec<Option<f64>>,
    pub p99_us: Vec<Option<f64>>,
    /// Cores in use.
    pub broker_cpu: Vec<f64>,
    pub broker_anon_bytes: Vec<u64>,
    /// 0 to 1, of the generator's busiest thread.
    pub generator_busy: Vec<f64>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: String,
}

impl Run {
    /// One line.
    pub fn json(&self) -> io::Result<String> {
        serde_json::to_string(self).map_err(io::Error::other)
    }
}

/// All runs of a text.
pub fn parse(text: &str) -> io::Result<Vec<Run>> {
    let runs: Vec<Run> =
        serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().map_err(io::Error::other)?;
    match runs.iter().find(|run| run.schema != SCHEMA) {
        Some(other) => Err(io::Error::other(format!("schema {:?}, this reads {SCHEMA:?}", other.schema))),
        None => Ok(runs),
    }
}

/// All runs of a file. Errors name it.
pub fn read(path: &Path) -> io::Result<Vec<Run>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    parse(&std::fs::read_to_string(path).map_err(named)?).map_err(named)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn latency() -> Latency {
        Latency {
            count: 2000,
            min: 10.0,
            mean: 50.0,
            p50: 45.0,
            p90: 80.0,
            p99: 100.0,
            p999: 200.0,
            p9999: 300.0,
            max: 400.0,
            curve: vec![[0.0, 10.0], [50.0, 45.0], [99.0, 100.0], [100.0, 400.0]],
            hdr: String::new(),
        }
    }

    /// A run in which everything is there.
    pub(crate) fn example() -> Run {
        Run {
            schema: SCHEMA.into(),
            label: "mote 0.1".into(),
            time: 1_800_000_000,
            machine: Machine { cpu: "a cpu".into(), cores: 2, kernel: "6.18".into(), governor: None },
            plan: Plan {
                scenario: "pairs".into(),
                protocol: "3.1.1".into(),
                publishers: 50,
                subscribers: 50,
                topics: "b{i}/data".into(),
                qos: 0,
                size: 64,
                retain: false,
                pace: Loop::Closed,
                in_flight: Some(200),
                rate: None,
                rows: 1,
                threads: 1,
                warmup_s: 1.0,
                seconds: 2.0,
            },
            seconds: 2.0,
            published: 2000,
            delivered: 2000,
            rows_delivered: 2000,
            per_second: 1000.0,
            published_per_second: 1000.0,
            lost: 0,
            duplicates: 0,
            reordered: 0,
            stalls: 0,
            latency_us: Some(latency()),
            broker: Some(Broker {
                pid: 7,
                cpu_s: 0.5,
                us_per_delivery: 250.0,
                threads: vec![Thread { name: "shard-0".into(), cpu_s: 0.5 }],
                anon_bytes_before: 1 << 20,
                anon_bytes: 2 << 20,
                switches_voluntary: 10,
                switches_involuntary: 1,
            }),
            generator: Generator { cpu_s: 0.3, busy: 0.15, us_per_delivery: 150.0, is_limit: false },
            series: Series {
                step_s: 1.0,
                published: vec![1000, 1000],
                delivered: vec![1000, 1000],
                p50_us: vec![Some(45.0), None],
                p99_us: vec![Some(100.0), None],
                broker_cpu: vec![0.25, 0.25],
                broker_anon_bytes: vec![2 << 20, 2 << 20],
                generator_busy: vec![0.15, 0.15],
            },
            figures: vec![Figure { name: "bytes_per_row".into(), value: 120.5, unit: "B".into() }],
            warnings: Vec::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let line = example().json().unwrap();
        assert!(!line.contains('\n') && line.contains("\"loop\":\"closed\""));
        assert_eq!(parse(&format!("{line}\n{line}\n")).unwrap(), [example(), example()]);
    }

    #[test]
    fn another_schema_is_refused() {
        let line = example().json().unwrap().replace(SCHEMA, "mote-bench/9");
        assert!(parse(&line).unwrap_err().to_string().contains("mote-bench/9"));
    }
}
