//! What a broker should have done, said as naively as possible: who must get a message, who may, and what is retained.

use super::person::Person;
use engine::wire::QoS;
use std::collections::BTreeMap;

/// What something may be: not there, or there with one of the QoS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Set(u8);

impl Set {
    pub const NONE: Set = Set(1 << 3);
    const EMPTY: Set = Set(0);

    pub fn of(qos: QoS) -> Set {
        Set(1 << qos as u8)
    }

    pub fn or(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }

    /// It may be missing.
    pub fn may_be_none(self) -> bool {
        self.0 & Set::NONE.0 != 0
    }

    pub fn may_be_some(self) -> bool {
        self.0 & !Set::NONE.0 != 0
    }

    pub fn has(self, qos: QoS) -> bool {
        self.0 & Set::of(qos).0 != 0
    }

    fn ranks(self) -> impl Iterator<Item = u8> {
        // 0: none, then the QoS.
        [3, 0, 1, 2]
            .into_iter()
            .enumerate()
            .filter(move |(_, bit)| self.0 & (1 << bit) != 0)
            .map(|(rank, _)| rank as u8)
    }

    fn of_rank(rank: u8) -> Set {
        if rank == 0 { Set::NONE } else { Set(1 << (rank - 1)) }
    }

    /// The highest of two.
    pub fn highest(self, other: Set) -> Set {
        if self == Set::NONE {
            return other;
        }
        let mut all = Set::EMPTY;
        for one in self.ranks() {
            for two in other.ranks() {
                all = all.or(Set::of_rank(one.max(two)));
            }
        }
        all
    }

    /// What it is at most.
    pub fn at_most(self, qos: QoS) -> Set {
        let mut all = Set(self.0 & Set::NONE.0);
        for of in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            if self.has(of) {
                all = all.or(Set::of(of.min(qos)));
            }
        }
        all
    }
}

/// One message as it was published.
#[derive(Clone, Debug)]
pub struct Published {
    pub publisher: usize,
    pub topic: &'static str,
    pub qos: QoS,
    pub retain: bool,
    pub is_will: bool,
    /// Which sending of it was accepted, as far as its publisher has seen; 0: none.
    pub accepted: u32,
    /// It may not have reached the broker.
    pub is_doubtful: bool,
    /// Times that it was sent.
    pub sends: u32,
    /// A broker that forgot that it had it took it again.
    pub is_forgotten: bool,
    /// The broker ended before its publisher knew that it was accepted.
    pub is_cut: bool,
}

impl Published {
    /// Its publisher has seen that it was accepted, the last time that it was sent.
    pub fn is_accepted(&self) -> bool {
        self.accepted >= self.sends
    }
}

/// What somebody is to get of one message.
#[derive(Clone, Debug)]
pub struct Owed {
    pub must: bool,
    /// With which QoS.
    pub with: Set,
    pub got: u32,
    /// Copies that came again, with DUP.
    pub dups: u64,
    /// Connections that had broken when it was published.
    pub deaths: u64,
    /// A broker that forgot that it had sent it may send it again.
    pub again: bool,
    /// What `flights` was when it was last on its way.
    pub at: u64,
}

impl Owed {
    fn new(must: bool, with: Set, deaths: u64) -> Owed {
        Owed { must, with, got: 0, dups: 0, deaths, again: false, at: 0 }
    }
}

/// The same of a share group.
#[derive(Clone, Debug)]
pub struct Shared {
    pub must: bool,
    pub got: u32,
    /// Connections of members that had broken when it was published.
    pub deaths: u64,
}

/// A write to a topic's retained message.
#[derive(Clone, Debug)]
pub struct Write {
    pub by: crate::world::ClientId,
    /// None: it deletes.
    pub value: Option<u32>,
    pub message: u32,
    /// Which time it was sent.
    pub sending: u32,
}

/// A topic's retained message.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    pub value: Option<u32>,
    /// Since which round.
    pub since: u64,
    /// Values before, and up to which round.
    pub past: Vec<(u32, u64)>,
    /// What was written since the last rest.
    pub written: Vec<Write>,
}

/// See the module.
#[derive(Default)]
pub struct Oracle {
    pub messages: Vec<Published>,
    pub kept: BTreeMap<&'static str, Kept>,
    /// Messages since the last rest.
    pub flying: Vec<u32>,
    /// How many there ever were, each time counted.
    pub flights: u64,
}

/// Payloads are numbers that no two messages share.
const FIRST: u32 = 1_000_000;

pub fn payload_of(message: u32) -> String {
    (FIRST + message).to_string()
}

pub fn message_of(payload: &[u8]) -> Option<u32> {
    std::str::from_utf8(payload).ok()?.parse::<u32>().ok()?.checked_sub(FIRST)
}

/// Whether a topic matches a filter, MQTT section 4.7. It is asked for each message, person and filter: byte by byte.
pub fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.as_bytes(), topic.as_bytes());
    loop {
        match (filter, topic) {
            ([b'#'], _) | ([], []) | ([b'/', b'#'], []) => return true,
            ([b'+', wanted @ ..], level) => {
                let end = level.iter().position(|byte| *byte == b'/').unwrap_or(level.len());
                (filter, topic) = (wanted, &level[end..]);
            }
            ([wanted, more @ ..], [byte, rest @ ..]) if wanted == byte => (filter, topic) = (more, rest),
            _ => return false,
        }
    }
}

#[test]
fn a_filter_matches_as_it_does_level_by_level() {
    let by_level = |filter: &str, topic: &str| {
        let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
        loop {
            match (filter.next(), topic.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(_)) => {}
                (Some(wanted), Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
    };
    let filters = ["#", "+", "+/+", "+/0", "a/#", "a", "a/0", "a/+/#", "+/+/x", "ab/#", "a/+", "+/#", "/+", "a//b"];
    let topics = ["a", "a/0", "a/1/x", "ab", "ab/0", "f", "a/", "/a", "a//b", "b/1/y", "a/1", "0"];
    for (filter, topic) in filters.iter().flat_map(|filter| topics.map(|topic| (*filter, topic))) {
        assert_eq!(matches(filter, topic), by_level(filter, topic), "{filter} and {topic}");
    }
}

impl Oracle {
    pub fn publish(&mut self, published: Published) -> u32 {
        self.messages.push(published);
        self.messages.len() as u32 - 1
    }

    /// Says what a person is to get of a message that is on its way from now on.
    pub fn oblige(&mut self, message: u32, person: &mut Person) {
        let published = &self.messages[message as usize];
        let set = person.granted(published.topic).at_most(published.qos);
        let has_place =
            person.conn.is_some() || person.is_lasting() && (set.has(QoS::AtLeastOnce) || set.has(QoS::ExactlyOnce));
        if !set.may_be_some() || !has_place {
            // The broker may have lost the sending that was for this person, and this one is not.
            if let Some(owed) = person.owed.get_mut(&message) {
                owed.must = false;
            }
            return;
        }
        // QoS 0 is for who is there.
        let is_kept = person.is_present() || person.is_lasting() && !set.has(QoS::AtMostOnce);
        // Who is not accepted yet has the session of before all the same.
        let is_told = person.conn.as_ref().is_none_or(|conn| conn.is_accepted || !set.has(QoS::AtMostOnce));
        let is_sure = person.session == super::person::Known::Yes && is_told;
        let must = !set.may_be_none() && is_kept && is_sure;
        // Sent again it may be the same again: then who it is for was decided before.
        let is_same = published.qos == QoS::ExactlyOnce && published.sends > 1;
        let deaths = person.deaths;
        let owed = person.owed.entry(message).or_insert(Owed::new(must && !is_same, set, deaths));
        owed.at = self.flights;
        owed.must = if is_same { owed.must && must } else { must };
        owed.with = owed.with.or(set);
    }

    /// A person's subscription changes while messages are on their way.
    pub fn unsettle(&self, filter: &str, person: &mut Person) {
        for message in &self.flying {
            let published = &self.messages[*message as usize];
            if !matches(filter, published.topic) {
                continue;
            }
            let set = person.granted(published.topic).at_most(published.qos);
            if !set.may_be_some() && !person.owed.contains_key(message) {
                continue;
            }
            let deaths = person.deaths;
            let owed = person.owed.entry(*message).or_insert(Owed::new(false, set, deaths));
            owed.at = self.flights;
            owed.with = owed.with.or(set);
            owed.must &= !set.may_be_none();
        }
    }

    /// Copies of a message that one reader may get, but for those that come again with DUP.
    /// `is_kept`: it goes to a lasting session with QoS 2, which has it if and only if the broker knows that it came.
    pub fn copies(&self, message: u32, is_kept: bool) -> u32 {
        let published = &self.messages[message as usize];
        let is_once = !published.is_forgotten && (is_kept || !published.is_cut);
        if published.qos == QoS::ExactlyOnce && is_once { 1 } else { published.sends }
    }
}
