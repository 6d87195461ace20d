//! What waits for one commit: whole [`Changes`] of all shards, and of each topic, and all else, the newest change in
//! them.
//!
//! Lives on the writer's thread. The text of topics and payloads stays in the arenas it came in; an entry is a place.

use crate::record::GroupState;
use engine::key::GroupId;
use engine::limits::GROUPS;
use engine::row::change::{Change, Changes, Outcome};
use engine::row::lasting::RecordKey;
use foldhash::HashMap;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;

/// Which change of which [`Changes`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub held: u32,
    pub change: u32,
}

/// What a row or floor is sorted by, as far as it is short.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Head {
    is_floor: bool,
    group: Option<GroupId>,
    /// The topic's first bytes, as a number of the same order.
    first: u128,
}

const HEAD_TOPIC_BYTES: usize = size_of::<u128>();
/// Memory for so many entries stays from one commit to the next; what a burst needed beyond that is given back.
pub const ENTRIES_KEPT: usize = 4_096;

#[derive(Default)]
pub struct Coalesced {
    /// With the shard that each came from, in the order taken.
    pub held: Vec<(usize, Changes)>,
    /// Of each topic the newest change of its row, and of its floor.
    newest: HashTable<Place>,
    hashes: RandomState,
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

    /// Takes whole changes. Later ones of a topic replace earlier ones; the owner of a topic is one shard, and its
    /// changes are taken in order.
    pub fn take(&mut self, shard: usize, changes: Changes) {
        self.numbers.resize(GROUPS, None);
        let held = self.held.len() as u32;
        self.hold(shard, changes);
        for index in 0..self.held[held as usize].1.list.len() {
            let place = Place { held, change: index as u32 };
            match self.change(place) {
                Change::Put { group, version, .. } | Change::Delete { group, version, .. } => {
                    self.number(group).raise(Numbers { last: version, ..Numbers::default() });
                    self.replace(place);
                }
                Change::Lapse { group, version, .. } => {
                    self.number(group).raise(Numbers { forgotten: version, ..Numbers::default() });
                    self.replace(place);
                }
                Change::Floor { .. } => self.replace(place),
                Change::Reserve { group, bound } => self.number(group).raise(Numbers { bound, ..Numbers::default() }),
                Change::Used { group, last } => self.number(group).raise(Numbers { last, ..Numbers::default() }),
                Change::Outcome { group, outcome: Outcome { key, .. }, .. } | Change::Forgotten { group, key } => {
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

    fn replace(&mut self, place: Place) {
        let Coalesced { held, newest, hashes, .. } = self;
        let topic = topic_at(held, place);
        let entry = newest.entry(
            hashes.hash_one(topic),
            |&other| topic_at(held, other) == topic,
            |&other| hashes.hash_one(topic_at(held, other)),
        );
        entry.insert(place);
    }

    pub fn change(&self, place: Place) -> Change {
        self.held[place.held as usize].1.list[place.change as usize]
    }

    /// The arena that the spans of a place's change point into.
    pub fn bytes(&self, place: Place) -> &[u8] {
        &self.held[place.held as usize].1.bytes
    }

    fn topic(&self, place: Place) -> (bool, &[u8]) {
        topic_at(&self.held, place)
    }

    /// The newest change of every row and floor, in the order of groups and topics: neighbours share pages.
    pub fn sorted(&self, into: &mut Vec<(Head, Place)>) {
        into.clear();
        into.extend(self.newest.iter().map(|&place| (self.head(place), place)));
        // Most are told apart by their heads, which lie here; the topics lie all over the memory.
        into.sort_unstable_by(|(head, place), (other_head, other)| {
            head.cmp(other_head).then_with(|| self.topic(*place).cmp(&self.topic(*other)))
        });
    }

    fn head(&self, place: Place) -> Head {
        let (is_floor, topic) = self.topic(place);
        let mut first = [0; HEAD_TOPIC_BYTES];
        let count = topic.len().min(HEAD_TOPIC_BYTES);
        first[..count].copy_from_slice(&topic[..count]);
        Head { is_floor, group: group_of(self.change(place)), first: u128::from_be_bytes(first) }
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
        self.newest.clear();
        self.newest.shrink_to(ENTRIES_KEPT, |_| 0);
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

fn group_of(change: Change) -> Option<GroupId> {
    match change {
        Change::Put { group, .. }
        | Change::Delete { group, .. }
        | Change::Lapse { group, .. }
        | Change::Floor { group, .. }
        | Change::Past { group, .. }
        | Change::Cut { group, .. }
        | Change::Outcome { group, .. }
        | Change::Forgotten { group, .. }
        | Change::Reserve { group, .. }
        | Change::Used { group, .. } => Some(group),
        Change::Keep { .. } | Change::Forget { .. } | Change::End { .. } => None,
    }
}

/// The topic of a change of a row or of a floor, and whether it is a floor's.
fn topic_at(held: &[(usize, Changes)], place: Place) -> (bool, &[u8]) {
    let changes = &held[place.held as usize].1;
    match changes.list[place.change as usize] {
        Change::Put { topic, .. } | Change::Delete { topic, .. } | Change::Lapse { topic, .. } => {
            (false, topic.of(&changes.bytes))
        }
        Change::Floor { topic, .. } => (true, topic.of(&changes.bytes)),
        _ => (false, &[]),
    }
}
