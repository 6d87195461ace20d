//! The command line of a run, and the plan that it means.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::packets::Version;
use crate::plan::{Pace, Plan, Scenario};

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScenarioName {
    /// Each publisher to its own subscriber (-n of both).
    Pairs,
    /// -n publishers to one subscriber of `bench/#`.
    FanIn,
    /// One publisher to -n subscribers.
    FanOut,
    /// 10 publishers to -n subscribers of `bench/+/data`.
    Wildcard,
    /// 10 publishers to one share group of -n members, or to --groups.
    Shared,
    /// One publisher of trees of --rows rows to -n subscribers that take frames (mote).
    Tree,
    /// 10 plain publishers to -n subscribers that take frames (mote).
    Merge,
    /// Pairs at a constant rate; without --rate at 10, 50 and 80 % of what a closed loop reaches.
    Latency,
    /// --count retained rows: written by one client, read by one of `ret/#`, bytes of memory for each.
    Retained,
    /// --count retained rows, and how long a snapshot of them takes (mote).
    Sync,
    /// Rounds of --count clients that connect, -w at a time: connects per second, CPU of each.
    Connect,
    /// --count clients that do nothing, without and with one subscription: bytes of memory for each.
    Idle,
    /// What trees cost beside plain messages, and what large ones cost others (mote). Wants --broker-pid.
    Trees,
}

/// Load for any MQTT broker over plain TCP. Results are shown again by `mote-bench page`, `table` and `baseline` (each
/// has a --help of its own).
#[derive(Parser, Debug)]
#[command(name = "mote-bench", version, disable_help_flag = true, disable_version_flag = true)]
pub struct Args {
    pub scenario: ScenarioName,
    #[arg(short = 'h', long, default_value = "127.0.0.1")]
    pub host: String,
    #[arg(short = 'p', long, default_value_t = 1883)]
    pub port: u16,
    /// MQTT 3.1.1 or 5.
    #[arg(short = 'V', long = "protocol", default_value = "4", value_parser = ["4", "5", "311", "mqttv311", "mqttv5"])]
    pub protocol: String,
    /// Clients on the side that has many: see each scenario.
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub clients: u32,
    /// Publishers, else as the scenario says.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub publishers: Option<u32>,
    /// Subscribers, else as the scenario says.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub subscribers: Option<u32>,
    /// Share groups that the members are dealt to.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub groups: u32,
    /// Topics, with {i} for the number of the publisher: `b{i}/data`, `bench/b{i}/data`.
    #[arg(long, value_name = "LAYOUT")]
    pub topics: Option<String>,
    /// 0, else 1 where the scenario needs acknowledgements.
    #[arg(short = 'q', long, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: Option<u8>,
    /// Bytes of a payload, or of a row.
    #[arg(short = 's', long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(16..=100_000_000))]
    pub size: u32,
    /// Publishes with RETAIN 1.
    #[arg(long)]
    pub retain: bool,
    /// Closed loop: messages of one publisher that may be under way. 200 unless it is an open loop; 2 of trees.
    /// Of connect: clients that wait for an answer, 50.
    #[arg(short = 'w', long, conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub in_flight: Option<u32>,
    /// Open loop: messages per second of all publishers. Latency counts from when each was due.
    #[arg(long, value_name = "PER_SECOND", value_parser = above_zero)]
    pub rate: Option<f64>,
    /// Open loops, one after the other, at parts of what a closed loop reached just before: `10,50,80`.
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', conflicts_with = "rate", value_parser = above_zero)]
    pub rate_percent: Vec<f64>,
    /// Rows of retained and sync (100 000 if it is not said), clients of connect and idle (10 000).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    pub count: Option<u32>,
    /// Rows of a tree.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub rows: u32,
    /// Rows of the snapshot that live messages flow beside; trees only.
    #[arg(long, default_value_t = 1_000_000)]
    pub snapshot_rows: u64,
    /// Subscriptions of other clients, to other topics, that the broker holds meanwhile; every second has a `+`.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub unrelated: u32,
    /// Retained rows at other topics that it holds meanwhile. They are deleted at the end.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000_000))]
    pub unrelated_rows: u32,
    /// Threads of the generator; clients are dealt to them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// Seconds that are measured.
    #[arg(short = 'd', long, default_value_t = 10.0, value_parser = above_zero)]
    pub seconds: f64,
    /// Seconds before that.
    #[arg(long, default_value_t = 1.0)]
    pub warmup: f64,
    /// The broker's process, on this machine: its CPU time, memory and context switches are reported.
    #[arg(long, value_name = "PID")]
    pub broker_pid: Option<u32>,
    /// Which broker and build this is, for who reads the result; else its address.
    #[arg(long)]
    pub label: Option<String>,
    /// Writes the result to this file, as one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Writes a line for each second to this file.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Writes a page with plots to this file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Compares with an earlier --out; exits 1 if something is worse beyond noise.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// JSON instead of a table.
    #[arg(long)]
    pub json: bool,
    /// No lines of progress.
    #[arg(long)]
    pub quiet: bool,
    #[arg(long, action = clap::ArgAction::Help, help = "Print help")]
    help: Option<bool>,
    #[arg(long, action = clap::ArgAction::Version, help = "Print version")]
    version: Option<bool>,
}

fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if f64::is_finite(value) && value > 0.0 => Ok(value),
        _ => Err("a number above 0 is wanted".into()),
    }
}

impl Args {
    pub fn broker(&self) -> io::Result<SocketAddr> {
        let broker = (self.host.as_str(), self.port).to_socket_addrs()?.next();
        broker.ok_or_else(|| io::Error::other(format!("{}: no address", self.host)))
    }

    pub fn label(&self, broker: SocketAddr) -> String {
        self.label.clone().unwrap_or_else(|| broker.to_string())
    }

    pub fn version(&self) -> Version {
        if matches!(self.protocol.as_str(), "5" | "mqttv5") { Version::V5 } else { Version::V4 }
    }

    pub fn duration(&self) -> io::Result<Duration> {
        duration(self.seconds)
    }

    /// Percentages of the capacity, where that is how the run goes.
    pub fn percentages(&self) -> &[f64] {
        match (self.scenario, self.rate_percent.as_slice()) {
            (ScenarioName::Latency, []) if self.rate.is_none() => &[10.0, 50.0, 80.0],
            (_, percentages) => percentages,
        }
    }

    /// Of a scenario of publishers and subscribers.
    pub fn plan(&self, scenario: Scenario) -> io::Result<Plan> {
        let clients = self.clients as usize;
        let (publishers, subscribers) = match scenario {
            Scenario::Pairs => (clients, clients),
            Scenario::FanIn => (clients, 1),
            Scenario::FanOut | Scenario::Tree => (1, clients),
            Scenario::Wildcard | Scenario::Shared | Scenario::Merge => (10, clients),
        };
        let in_flight = self.in_flight.unwrap_or(if scenario == Scenario::Tree { 2 } else { 200 });
        let plan = Plan {
            scenario,
            name: (self.scenario == ScenarioName::Latency).then_some("latency"),
            broker: self.broker()?,
            version: self.version(),
            publishers: self.publishers.map_or(publishers, |it| it as usize),
            subscribers: self.subscribers.map_or(subscribers, |it| it as usize),
            groups: self.groups as usize,
            topics: self.topics.clone(),
            qos: self.qos.unwrap_or(u8::from(scenario == Scenario::Tree)),
            size: self.size as usize,
            rows: if scenario == Scenario::Tree { self.rows as usize } else { 1 },
            retain: self.retain,
            pace: self.rate.map_or(Pace::Closed { in_flight: in_flight.into() }, |rate| Pace::Open { rate }),
            threads: self.threads as usize,
            warmup: duration(self.warmup)?,
            duration: self.duration()?,
        };
        plan.check().map_err(io::Error::other)?;
        Ok(plan)
    }
}

impl Args {
    /// Of a scenario that is about a number of rows.
    pub fn plan_of_rows(&self, name: &'static str, topics: &str) -> io::Result<Plan> {
        let plan = self.plan(Scenario::FanIn)?;
        let rows = self.count.unwrap_or(100_000) as usize;
        let qos = self.qos.unwrap_or(1);
        let (publishers, subscribers, topics) = (1, 1, Some(topics.to_owned()));
        Ok(Plan { name: Some(name), rows, qos, retain: true, publishers, subscribers, topics, threads: 1, ..plan })
    }

    /// Of a scenario that is about a number of clients.
    pub fn plan_of_clients(&self, name: &'static str, topics: &str) -> io::Result<Plan> {
        let plan = self.plan(Scenario::FanIn)?;
        let subscribers = self.count.unwrap_or(10_000) as usize;
        // fewer than the listen backlog that brokers ask for: what overflows it waits a second for its next try
        let pace = Pace::Closed { in_flight: self.in_flight.unwrap_or(50).into() };
        let (publishers, topics) = (0, Some(topics.to_owned()));
        Ok(Plan { name: Some(name), publishers, subscribers, topics, pace, threads: 1, ..plan })
    }
}

fn duration(seconds: f64) -> io::Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::try_parse_from(["mote-bench"].into_iter().chain(line.split(' '))).unwrap()
    }

    #[test]
    fn a_line_means_a_plan() {
        let plan = args("wildcard -V 5 -q 2 --rate 1000 --threads 2").plan(Scenario::Wildcard).unwrap();
        assert_eq!((plan.publishers, plan.subscribers, plan.qos, plan.version), (10, 50, 2, Version::V5));
        assert_eq!(plan.pace, Pace::Open { rate: 1000.0 });
        let plan = args("tree --publishers 3 -n 7").plan(Scenario::Tree).unwrap();
        assert_eq!((plan.publishers, plan.subscribers, plan.qos), (3, 7, 1));
        assert_eq!(plan.pace, Pace::Closed { in_flight: 2 });
        assert_eq!(args("latency").percentages(), [10.0, 50.0, 80.0]);
        assert!(args("latency --rate 5").percentages().is_empty());
        let plan = args("connect --count 30").plan_of_clients("connect", "").unwrap();
        assert_eq!((plan.subscribers, plan.window(), plan.name()), (30, 50, "connect"));
        let plan = args("retained --count 30 -q 2").plan_of_rows("retained", "ret/{row}").unwrap();
        assert_eq!((plan.rows, plan.qos, plan.layout()), (30, 2, "ret/{row}"));
        assert_eq!(args("fan-in --rate-percent 20").percentages(), [20.0]);
    }

    #[test]
    fn plans_that_cannot_be_are_refused() {
        assert!(args("pairs --publishers 3").plan(Scenario::Pairs).is_err());
        assert!(args("pairs --topics same").plan(Scenario::Pairs).is_err());
        assert!(args("merge -s 20").plan(Scenario::Merge).is_err());
        assert!(args("shared -n 2 --groups 3").plan(Scenario::Shared).is_err());
    }
}
