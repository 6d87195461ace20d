//! What waits for one commit: whole [`Changes`] of all shards, and of each topic, and all else, the newest change in
//! them.
//!
//! Lives on the writer's thread. The text of topics and payloads stays in the arenas it came in; an entry is a place.

use crate::record::GroupState;
use engine::key::{GroupId, Span};
use engine::limits::GROUPS;
use engine::row::change::{Change, Changes};
use engine::row::lasting::RecordKey;
use foldhash::HashMap;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Which change of which [`Changes`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub held: u32,
    pub change: u32,
}

/// A change of a row or floor, and what it is sorted by, as far as that is short.
#[derive(Clone, Copy, Debug)]
struct ByTopic {
    head: Head,
    place: Place,
}

/// In the order of the keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Head {
    is_floor: bool,
    group: GroupId,
    /// The topic's first bytes, as numbers of the same order.
    first: [u64; 2],
    /// Bytes of the topic, or one more than are in `first`.
    len: u8,
}

/// A power of two. So few in tests that topics meet there.
const LATEST: usize = if cfg!(test) { 4 } else { 4_096 };
const HEAD_TOPIC_BYTES: usize = size_of::<[u64; 2]>();
const _: () = assert!(size_of::<ByTopic>() == 32);

impl Head {
    fn new(is_floor: bool, group: GroupId, topic: &[u8]) -> Head {
        let mut first = [0; HEAD_TOPIC_BYTES];
        let count = topic.len().min(HEAD_TOPIC_BYTES);
        first[..count].copy_from_slice(&topic[..count]);
        let first = u128::from_be_bytes(first);
        let len = topic.len().min(HEAD_TOPIC_BYTES + 1) as u8;
        Head { is_floor, group, first: [(first >> 64) as u64, first as u64], len }
    }

    /// Its place in `Coalesced::latest`. Who chooses topics that meet there has each change of them kept until the commit,
    /// no more.
    fn latest(&self, topic: &[u8]) -> usize {
        let tail = topic.last_chunk().map_or(0, |tail| u64::from_le_bytes(*tail));
        let sum = self.first[0] ^ self.first[1].rotate_left(29) ^ tail.rotate_left(47) ^ u64::from(self.group.0);
        (sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - LATEST.ilog2())) as usize
    }

    /// There is no more of its topic.
    fn is_whole(&self) -> bool {
        usize::from(self.len) <= HEAD_TOPIC_BYTES
    }
}

/// Memory for so many entries stays from one commit to the next; what a burst needed beyond that is given back.
pub const ENTRIES_KEPT: usize = 4_096;

#[derive(Default)]
pub struct Coalesced {
    /// With the shard that each came from, in the order taken.
    pub held: Vec<(usize, Changes)>,
    /// Changes of rows and floors in the order taken; up to `sorted` of each the newest, in the order of the keys. What is
    /// written in that order, as most who write much do, is found sorted.
    by_topic: Vec<ByTopic>,
    sorted: usize,
    /// Where in `by_topic` some of the latest stand, by a hash: what changes all the time takes one place, or few.
    latest: Vec<u32>,
    /// What they count against `store.pending_bytes`.
    bytes: usize,
    /// Of each record that is known by another name the newest change.
    named: HashMap<Name, Place>,
    /// Sessions that have ended.
    pub ended: BTreeSet<u64>,
    /// Groups whose numbers changed, and those numbers.
    numbers: Vec<Option<Numbers>>,
}

/// What is not known by its topic. Sorted as the keys are, near enough.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Name {
    Past(GroupId, u64, u32),
    Of(RecordKey),
    Outcome(GroupId, u128),
}

#[derive(Clone, Copy, Default)]
struct Numbers {
    last: u64,
    bound: u64,
    forgotten: u64,
}

impl Coalesced {
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// No less than what the newest changes of rows and floors count against `store.pending_bytes`.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes whole changes. Later ones of a topic replace earlier ones; the owner of a topic is one shard, and its
    /// changes are taken in order.
    pub fn take(&mut self, shard: usize, changes: Changes) {
        self.numbers.resize(GROUPS, None);
        self.latest.resize(LATEST, u32::MAX);
        let held = self.held.len() as u32;
        self.hold(shard, changes);
        for index in 0..self.held[held as usize].1.list.len() {
            if cfg!(mutant = "store") && index == 1 {
                continue; // planted: the second of some changes is not written
            }
            let place = Place { held, change: index as u32 };
            match self.change(place) {
                Change::Put { group, topic, version, .. } | Change::Delete { group, topic, version, .. } => {
                    self.number(group).raise(Numbers { last: version, ..Numbers::default() });
                    self.add(false, group, topic, place);
                }
                Change::Lapse { group, topic, version } => {
                    self.number(group).raise(Numbers { forgotten: version, ..Numbers::default() });
                    self.add(false, group, topic, place);
                }
                Change::Floor { group, topic, .. } => self.add(true, group, topic, place),
                Change::Reserve { group, bound } => self.number(group).raise(Numbers { bound, ..Numbers::default() }),
                Change::Used { group, last } => self.number(group).raise(Numbers { last, ..Numbers::default() }),
                Change::Outcome { group, index, .. } => {
                    let key = self.changes(place).outcomes[index as usize].key;
                    self.named.insert(Name::Outcome(group, key), place);
                }
                Change::Forgotten { group, key } => {
                    self.named.insert(Name::Outcome(group, key), place);
                }
                Change::Past { group, version, index, .. } | Change::Cut { group, version, index } => {
                    self.named.insert(Name::Past(group, version, index), place);
                }
                Change::Keep { key, .. } | Change::Forget { key } => {
                    self.named.insert(Name::Of(key), place);
                }
                Change::End { session } => {
                    self.ended.insert(session);
                }
            }
        }
    }

    /// Takes whole changes that nobody will write.
    pub fn hold(&mut self, shard: usize, changes: Changes) {
        self.held.push((shard, changes));
    }

    fn number(&mut self, group: GroupId) -> &mut Numbers {
        self.numbers[group.index()].get_or_insert_default()
    }

    fn add(&mut self, is_floor: bool, group: GroupId, topic: Span, place: Place) {
        let Coalesced { held, by_topic, latest, bytes, .. } = self;
        let topic = topic.of(&held[place.held as usize].1.bytes);
        let head = Head::new(is_floor, group, topic);
        let latest = &mut latest[head.latest(topic)];
        match by_topic.get_mut(*latest as usize) {
            Some(same) if same.head == head && (head.is_whole() || topic_at(held, same.place) == topic) => {
                same.place = place;
            }
            _ => {
                *bytes += held[place.held as usize].1.list[place.change as usize].cost_bytes();
                *latest = by_topic.len() as u32;
                by_topic.push(ByTopic { head, place });
            }
        }
    }

    pub fn change(&self, place: Place) -> Change {
        self.changes(place).list[place.change as usize]
    }

    /// What a place's change points into.
    pub fn changes(&self, place: Place) -> &Changes {
        &self.held[place.held as usize].1
    }

    /// The newest change of every row and floor, in the order of groups and topics: neighbours share pages.
    pub fn sort(&mut self) {
        let Coalesced { held, by_topic, sorted, latest, .. } = self;
        if by_topic.len() == *sorted {
            return;
        }
        // Heads tell most topics apart, and lie here; the topics lie all over the memory.
        let rest = |a: &ByTopic, b: &ByTopic| match a.head.is_whole() {
            true => Ordering::Equal,
            false => topic_at(held, a.place).cmp(topic_at(held, b.place)),
        };
        // Stable: of each topic the changes stay in the order in which they came, and the last one is kept.
        by_topic.sort_by(|a, b| a.head.cmp(&b.head).then_with(|| rest(a, b)));
        by_topic.dedup_by(|later, earlier| {
            let is_same = later.head == earlier.head && rest(later, earlier).is_eq();
            if is_same {
                *earlier = *later;
            }
            is_same
        });
        *sorted = by_topic.len();
        latest.fill(u32::MAX);
    }

    /// Of each topic the newest change, since the last [`Coalesced::sort`].
    pub fn sorted(&self) -> impl Iterator<Item = Place> {
        debug_assert_eq!(self.sorted, self.by_topic.len(), "sorted before");
        self.by_topic.iter().map(|by_topic| by_topic.place)
    }

    /// The newest change of every other record, without those of sessions that have ended, in the order of their keys.
    pub fn sorted_named(&self, into: &mut Vec<Place>) {
        let has_ended = |name: &Name| match name {
            Name::Of(key) => key.session().is_some_and(|session| self.ended.contains(&session)),
            _ => false,
        };
        let mut named: Vec<_> = self.named.iter().filter(|(name, _)| !has_ended(name)).collect();
        named.sort_unstable_by_key(|(name, _)| **name);
        into.clear();
        into.extend(named.iter().map(|(_, place)| **place));
    }

    /// The groups whose numbers changed, with what their records say then.
    pub fn groups(&self, now: &[GroupState], changed: &mut BTreeMap<GroupId, GroupState>) {
        changed.clear();
        for (state, numbers) in now.iter().zip(&self.numbers) {
            if let Some(numbers) = numbers {
                let last_version = state.last_version.max(numbers.last);
                let bound = state.bound.max(numbers.bound);
                let forgotten = state.forgotten.max(numbers.forgotten);
                changed.insert(state.group, GroupState { last_version, bound, forgotten, ..state.clone() });
            }
        }
    }

    /// Forgets everything and gives back what was held.
    pub fn clear(&mut self, mut give_back: impl FnMut(usize, Changes)) {
        self.by_topic.clear();
        self.by_topic.shrink_to(ENTRIES_KEPT);
        self.sorted = 0;
        self.latest.fill(u32::MAX);
        self.bytes = 0;
        self.named.clear();
        self.named.shrink_to(ENTRIES_KEPT);
        self.ended.clear();
        self.numbers.fill(None);
        for (shard, changes) in self.held.drain(..) {
            give_back(shard, changes);
        }
    }
}

impl Numbers {
    fn raise(&mut self, by: Numbers) {
        self.last = self.last.max(by.last);
        self.bound = self.bound.max(by.bound);
        self.forgotten = self.forgotten.max(by.forgotten);
    }
}

/// The topic of a change of a row or of a floor.
fn topic_at(held: &[(usize, Changes)], place: Place) -> &[u8] {
    let changes = &held[place.held as usize].1;
    match changes.list[place.change as usize] {
        Change::Put { topic, .. }
        | Change::Delete { topic, .. }
        | Change::Lapse { topic, .. }
        | Change::Floor { topic, .. } => topic.of(&changes.bytes),
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::row::change::Kept;
    use engine::wire::QoS;
    use std::collections::BTreeMap;

    /// Topics of which many share their first bytes, some are the beginning of others, and some end with a NUL, as only a
    /// damaged store has them.
    fn topic(state: &mut u64) -> String {
        const PARTS: [&str; 5] = ["a", "ret/", "0123456789abcdef", "0123456789abcde", "\0"];
        let mut topic = String::from("t");
        for _ in 0..next(state) % 4 {
            topic.push_str(PARTS[next(state) as usize % PARTS.len()]);
        }
        topic
    }

    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        *state >> 33
    }

    #[test]
    fn of_each_topic_the_newest_change_stays_and_they_are_in_the_order_of_their_keys() {
        let mut state = 7;
        for _ in 0..300 {
            let mut coalesced = Coalesced::default();
            let mut newest: BTreeMap<(bool, u16, String), u64> = BTreeMap::new();
            let mut version = 0;
            for shard in 0..1 + next(&mut state) as usize % 5 {
                let mut changes = Changes::default();
                for _ in 0..next(&mut state) % 40 {
                    version += 1;
                    let (is_floor, group, topic) =
                        (next(&mut state).is_multiple_of(5), next(&mut state) % 3, topic(&mut state));
                    let group = GroupId(group as u16);
                    match next(&mut state) % 3 {
                        _ if is_floor => changes.floor(group, &topic, version),
                        0 => changes.delete(group, &topic, version, 1),
                        1 => changes.lapse(group, &topic, version),
                        _ => changes.put(group, kept(&topic, version)),
                    }
                    newest.insert((is_floor, group.0, topic), version);
                }
                coalesced.take(shard, changes);
                if next(&mut state).is_multiple_of(2) {
                    coalesced.sort(); // a commit that failed: more comes before the next
                }
            }
            coalesced.sort();
            let versions = coalesced.sorted().map(|place| match coalesced.change(place) {
                Change::Put { version, .. }
                | Change::Delete { version, .. }
                | Change::Lapse { version, .. }
                | Change::Floor { version, .. } => version,
                other => panic!("{other:?} has no topic"),
            });
            assert_eq!(versions.collect::<Vec<_>>(), newest.into_values().collect::<Vec<_>>());
        }
    }

    fn kept(topic: &str, version: u64) -> Kept<'_> {
        let (payload, properties, qos) = (&b"x"[..], &b""[..], QoS::AtMostOnce);
        Kept { topic, payload, properties, qos, text: false, expires_at_ms: 0, version }
    }
}
