//! What waits for one commit: whole [`Changes`] of all shards, and of each topic the newest change in them.
//!
//! Lives on the writer's thread. The text of topics and payloads stays in the arenas it came in; an entry is a place.

use crate::record::GroupState;
use engine::key::GroupId;
use engine::limits::GROUPS;
use engine::row::change::{Change, Changes};
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

#[derive(Default)]
pub struct Coalesced {
    /// With the shard that each came from, in the order taken.
    pub held: Vec<(usize, Changes)>,
    newest: HashTable<Place>,
    hashes: RandomState,
    /// Of each record of a session the newest change.
    records: HashMap<RecordKey, Place>,
    /// Sessions that have ended.
    pub ended: BTreeSet<u64>,
    /// Groups whose numbers changed, and those numbers.
    numbers: Vec<Option<Numbers>>,
}

#[derive(Clone, Copy, Default)]
struct Numbers {
    last: u64,
    bound: u64,
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
                    self.number(group, version, 0);
                    self.replace(place);
                }
                Change::Reserve { group, bound } => self.number(group, 0, bound),
                Change::Used { group, last } => self.number(group, last, 0),
                Change::Outcome { .. } | Change::Forgotten { .. } => {}
                Change::Keep { key, .. } | Change::Forget { key } => {
                    self.records.insert(key, place);
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

    fn number(&mut self, group: GroupId, last: u64, bound: u64) {
        let numbers = self.numbers[group.index()].get_or_insert_default();
        numbers.last = numbers.last.max(last);
        numbers.bound = numbers.bound.max(bound);
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

    pub fn topic(&self, place: Place) -> &[u8] {
        topic_at(&self.held, place)
    }

    /// The newest change of every topic, in the order of groups and topics: neighbours share pages.
    pub fn sorted(&self, into: &mut Vec<Place>) {
        into.clear();
        into.extend(self.newest.iter().copied());
        into.sort_unstable_by_key(|&place| (group_of(self.change(place)), self.topic(place)));
    }

    /// The newest change of every record of a session that has not ended, in the order of their keys.
    pub fn sorted_records(&self, into: &mut Vec<Place>) {
        let has_ended = |key: &RecordKey| key.session().is_some_and(|session| self.ended.contains(&session));
        let mut records: Vec<_> = self.records.iter().filter(|(key, _)| !has_ended(key)).collect();
        records.sort_unstable_by_key(|(key, _)| **key);
        into.clear();
        into.extend(records.iter().map(|(_, place)| **place));
    }

    /// The groups whose numbers changed, with what their records say then.
    pub fn groups(&self, now: &[GroupState], changed: &mut BTreeMap<GroupId, GroupState>) {
        changed.clear();
        for (state, numbers) in now.iter().zip(&self.numbers) {
            if let Some(numbers) = numbers {
                let last_version = state.last_version.max(numbers.last);
                let bound = state.bound.max(numbers.bound);
                changed.insert(state.group, GroupState { last_version, bound, ..state.clone() });
            }
        }
    }

    /// Forgets everything and gives back what was held.
    pub fn clear(&mut self, mut give_back: impl FnMut(usize, Changes)) {
        self.newest.clear();
        self.records.clear();
        self.ended.clear();
        self.numbers.fill(None);
        for (shard, changes) in self.held.drain(..) {
            give_back(shard, changes);
        }
    }
}

fn group_of(change: Change) -> Option<GroupId> {
    match change {
        Change::Put { group, .. }
        | Change::Delete { group, .. }
        | Change::Reserve { group, .. }
        | Change::Used { group, .. } => Some(group),
        Change::Outcome { .. }
        | Change::Forgotten { .. }
        | Change::Keep { .. }
        | Change::Forget { .. }
        | Change::End { .. } => None,
    }
}

fn topic_at(held: &[(usize, Changes)], place: Place) -> &[u8] {
    let changes = &held[place.held as usize].1;
    match changes.list[place.change as usize] {
        Change::Put { topic, .. } | Change::Delete { topic, .. } => topic.of(&changes.bytes),
        _ => &[],
    }
}
