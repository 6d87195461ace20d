//! What is to be done: who publishes what, who hears it, and when.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use crate::packets::Version;
use crate::result;
use crate::stamp::{PUBLISHERS_MAX, STAMP_BYTES, STAMP_MARK, STAMP_TEXT_BYTES};

/// Stands in a layout for the number of the publisher.
const NUMBER: &str = "{i}";
const SHARE_NAME: &str = "bench";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scenario {
    /// Each publisher to its own subscriber.
    Pairs,
    /// All publishers to every subscriber of a filter that ends in `#`.
    FanIn,
    /// One publisher to all subscribers.
    FanOut,
    /// All publishers to every subscriber of a filter with a `+`.
    Wildcard,
    /// All publishers to share groups; each group gets each message once.
    Shared,
    /// Publishers of JSON trees of many rows to subscribers that take frames.
    Tree,
    /// Plain publishers to subscribers that take frames.
    Merge,
}

impl Scenario {
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Pairs => "pairs",
            Scenario::FanIn => "fan-in",
            Scenario::FanOut => "fan-out",
            Scenario::Wildcard => "wildcard",
            Scenario::Shared => "shared",
            Scenario::Tree => "tree",
            Scenario::Merge => "merge",
        }
    }

    /// Topics unless the user says others.
    fn layout(self) -> &'static str {
        match self {
            Scenario::Pairs => "b{i}/data",
            Scenario::FanIn => "bench/p{i}",
            Scenario::FanOut => "bench/data",
            Scenario::Wildcard | Scenario::Shared | Scenario::Merge => "bench/p{i}/data",
            Scenario::Tree => "bench/p{i}",
        }
    }

    /// Subscribers get frames: JSON objects of rows.
    pub fn is_merged(self) -> bool {
        matches!(self, Scenario::Tree | Scenario::Merge)
    }
}

/// When a publisher sends its next message.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pace {
    /// As long as fewer than so many of its messages are under way.
    Closed { in_flight: u64 },
    /// When it is due: so many in a second, of all publishers together.
    Open { rate: f64 },
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub scenario: Scenario,
    /// How the result is called, if not as its scenario.
    pub name: Option<&'static str>,
    pub broker: SocketAddr,
    pub version: Version,
    pub publishers: usize,
    pub subscribers: usize,
    /// Share groups that the subscribers are dealt to.
    pub groups: usize,
    /// With `{i}` for the number of a publisher; `None` for that of the scenario.
    pub topics: Option<String>,
    pub qos: u8,
    /// Bytes of a payload; of a row in a tree.
    pub size: usize,
    /// Rows of a tree, or rows that are there; 1 elsewhere.
    pub rows: usize,
    pub retain: bool,
    pub pace: Pace,
    pub threads: usize,
    pub warmup: Duration,
    pub duration: Duration,
}

impl Plan {
    /// # Errors
    /// A sentence about what does not go together.
    pub fn check(&self) -> Result<(), String> {
        let has_number = self.layout().contains(NUMBER);
        if self.size < self.size_min() {
            return Err(format!("a payload has room for a stamp: {} bytes or more", self.size_min()));
        }
        if self.publishers > PUBLISHERS_MAX {
            return Err(format!("at most {PUBLISHERS_MAX} publishers"));
        }
        if self.scenario == Scenario::Pairs && (self.publishers != self.subscribers || !has_number) {
            return Err(format!(
                "pairs are as many publishers as subscribers, each with a topic of its own ({NUMBER})"
            ));
        }
        if self.scenario == Scenario::Shared && self.groups > self.subscribers {
            return Err("each share group has a member".into());
        }
        Ok(())
    }

    pub fn layout(&self) -> &str {
        self.topics.as_deref().unwrap_or(self.scenario.layout())
    }

    /// What a publisher publishes to.
    pub fn topic(&self, publisher: usize) -> String {
        let topic = self.layout().replace(NUMBER, &publisher.to_string());
        if self.scenario == Scenario::Tree { format!("$tree/{topic}/*") } else { topic }
    }

    pub fn filter(&self, subscriber: usize) -> String {
        match self.scenario {
            Scenario::Pairs => self.topic(subscriber),
            Scenario::FanIn => subtree(self.layout()),
            Scenario::FanOut | Scenario::Wildcard => wildcard(self.layout()),
            Scenario::Shared if self.groups > 1 => {
                format!("$share/{SHARE_NAME}{}/{}", self.audience(subscriber), wildcard(self.layout()))
            }
            Scenario::Shared => format!("$share/{SHARE_NAME}/{}", wildcard(self.layout())),
            Scenario::Tree => format!("$tree/{}/+", wildcard(self.layout())),
            Scenario::Merge => format!("$tree/{}", wildcard(self.layout())),
        }
    }

    /// Audiences are what should get each message once: subscribers, or share groups.
    pub fn audiences(&self) -> usize {
        if self.scenario == Scenario::Shared { self.groups } else { self.subscribers }
    }

    pub fn audience(&self, subscriber: usize) -> usize {
        if self.scenario == Scenario::Shared { subscriber % self.groups } else { subscriber }
    }

    /// Publishers that an audience hears.
    pub fn hears(&self, audience: usize) -> Range<usize> {
        match self.scenario {
            Scenario::Pairs => audience..audience + 1,
            _ => 0..self.publishers,
        }
    }

    /// The thread of an audience. Both ends of a pair are on one thread, as nothing need pass between others then.
    pub fn thread_of_audience(&self, audience: usize) -> usize {
        audience % self.threads
    }

    pub fn thread_of_publisher(&self, publisher: usize) -> usize {
        match self.scenario {
            Scenario::Pairs => publisher % self.threads,
            // the other way round, so that few publishers are not where few audiences are
            _ => self.threads - 1 - publisher % self.threads,
        }
    }

    /// What is published, with room for a stamp.
    pub fn payload(&self) -> Vec<u8> {
        let stamp = format!("{}{}", char::from(STAMP_MARK), "0".repeat(STAMP_TEXT_BYTES));
        let value = |start: &str| format!("{start:x<width$}", width = self.size);
        match self.scenario {
            Scenario::Merge => value(&stamp).into_bytes(),
            Scenario::Tree => {
                let row = |row| format!("\"r{row}\":\"{}\"", value(if row == 0 { &stamp } else { "" }));
                format!("{{{}}}", (0..self.rows).map(row).collect::<Vec<_>>().join(",")).into_bytes()
            }
            _ => vec![b'x'; self.size],
        }
    }

    /// The least payload that has room for a stamp.
    pub fn size_min(&self) -> usize {
        if self.scenario.is_merged() { 1 + STAMP_TEXT_BYTES } else { STAMP_BYTES }
    }

    pub fn window(&self) -> u64 {
        match self.pace {
            Pace::Closed { in_flight } => in_flight,
            Pace::Open { .. } => u64::MAX,
        }
    }

    pub fn name(&self) -> &'static str {
        self.name.unwrap_or(self.scenario.name())
    }

    pub fn result(&self) -> result::Plan {
        let (pace, in_flight, rate) = match self.pace {
            Pace::Closed { in_flight } => (result::Loop::Closed, Some(in_flight), None),
            Pace::Open { rate } => (result::Loop::Open, None, Some(rate)),
        };
        result::Plan {
            scenario: self.name().into(),
            protocol: self.version.name().into(),
            publishers: self.publishers as u64,
            subscribers: self.subscribers as u64,
            topics: self.layout().into(),
            qos: self.qos,
            size: self.size as u64,
            retain: self.retain,
            pace,
            in_flight,
            rate,
            rows: self.rows as u64,
            threads: self.threads as u64,
            warmup_s: self.warmup.as_secs_f64(),
            seconds: self.duration.as_secs_f64(),
        }
    }
}

/// A filter for all topics of a layout, with a `+` for each level that differs.
fn wildcard(layout: &str) -> String {
    let levels = layout.split('/').map(|level| if level.contains(NUMBER) { "+" } else { level });
    levels.collect::<Vec<_>>().join("/")
}

/// A filter for everything below the levels that all topics of a layout share.
fn subtree(layout: &str) -> String {
    let shared = layout.split('/').take_while(|level| !level.contains(NUMBER));
    shared.chain(["#"]).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn plan(scenario: Scenario) -> Plan {
        Plan {
            scenario,
            name: None,
            broker: SocketAddr::from(([127, 0, 0, 1], 1)),
            version: Version::V4,
            publishers: 3,
            subscribers: 3,
            groups: 1,
            topics: None,
            qos: 0,
            size: 40,
            rows: 4,
            retain: false,
            pace: Pace::Closed { in_flight: 10 },
            threads: 2,
            warmup: Duration::ZERO,
            duration: Duration::from_secs(1),
        }
    }

    #[test]
    fn filters_follow_the_layout() {
        let filter =
            |scenario, topics: Option<&str>| Plan { topics: topics.map(str::to_owned), ..plan(scenario) }.filter(2);
        assert_eq!(filter(Scenario::Pairs, None), "b2/data");
        assert_eq!(filter(Scenario::Pairs, Some("bench/b{i}/data")), "bench/b2/data");
        assert_eq!(filter(Scenario::FanIn, None), "bench/#");
        assert_eq!(filter(Scenario::FanIn, Some("b{i}/data")), "#");
        assert_eq!(filter(Scenario::FanOut, None), "bench/data");
        assert_eq!(filter(Scenario::Wildcard, None), "bench/+/data");
        assert_eq!(filter(Scenario::Wildcard, Some("b{i}/data")), "+/data");
        assert_eq!(filter(Scenario::Shared, None), "$share/bench/bench/+/data");
        assert_eq!(filter(Scenario::Tree, None), "$tree/bench/+/+");
        assert_eq!(filter(Scenario::Merge, None), "$tree/bench/+/data");
        assert_eq!(plan(Scenario::Tree).topic(1), "$tree/bench/p1/*");
    }

    #[test]
    fn members_of_a_group_are_one_audience() {
        let plan = Plan { subscribers: 6, groups: 2, ..plan(Scenario::Shared) };
        assert_eq!((plan.audiences(), plan.audience(5), plan.hears(1)), (2, 1, 0..3));
        assert_eq!(plan.filter(5), "$share/bench1/bench/+/data");
    }

    #[test]
    fn a_tree_has_as_many_rows_as_it_should_and_one_stamp() {
        let plan = plan(Scenario::Tree);
        let tree: serde_json::Value = serde_json::from_slice(&plan.payload()).unwrap();
        let rows = tree.as_object().unwrap();
        assert_eq!(rows.len(), 4);
        assert!(rows.values().all(|value| value.as_str().unwrap().len() == plan.size));
        assert_eq!(plan.payload().iter().filter(|byte| **byte == STAMP_MARK).count(), 1);
        assert_eq!(self::plan(Scenario::Merge).payload().len(), 40);
    }
}
