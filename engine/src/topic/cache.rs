//! What was found for topics seen before.
//!
//! Two-way set associative: a topic has one set, found by its hash, and stands in either slot of it. A topic is let
//! in when it is seen a second time, so that a flood of topics that never come again writes two bytes each and
//! displaces nothing. No allocation but the doubling of the whole, up to a bound.
//!
//! ```text
//! set   slot 0 [epoch tag len count door | up to 14 filters | topic, 120 bytes]   slot 1 [..]
//! ```

use super::hash::TextHash;
use super::trie::FilterId;
use crate::limits::{TOPIC_CACHE_BYTES_MAX, TOPIC_CACHE_FILTERS_MAX, TOPIC_CACHE_SETS_MAX};

/// Sets that the cache begins with when it is first used.
const SETS_MIN: usize = 64;
const _: () = assert!(SETS_MIN.is_power_of_two() && TOPIC_CACHE_SETS_MAX.is_power_of_two());
const _: () = assert!(SETS_MIN <= TOPIC_CACHE_SETS_MAX && TOPIC_CACHE_SETS_MAX <= 1 << 16);
const _: () = assert!(TOPIC_CACHE_BYTES_MAX <= u8::MAX as usize);
const _: () = assert!(TOPIC_CACHE_FILTERS_MAX <= u8::MAX as usize);
const _: () = assert!(size_of::<Slot>() == 192);

/// See the module.
pub(super) struct Cache {
    hash: TextHash,
    sets: Vec<Set>,
    /// Slots filled before it are empty. 0 is never the present epoch.
    epoch: u64,
    /// Topics that found their set full since the cache last grew.
    crowded: usize,
    /// State of a small generator.
    tosses: u64,
}

/// Three cache lines; a topic of at most 56 bytes is found in two.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Slot {
    epoch: u64,
    tag: u32,
    len: u8,
    count: u8,
    /// Part of the hash of a topic that was seen once, not in here yet.
    door: u16,
    filters: [FilterId; TOPIC_CACHE_FILTERS_MAX],
    topic: [u8; TOPIC_CACHE_BYTES_MAX],
}

type Set = [Slot; 2];

impl Slot {
    const EMPTY: Slot = Slot {
        epoch: 0,
        tag: 0,
        len: 0,
        count: 0,
        door: 0,
        topic: [0; TOPIC_CACHE_BYTES_MAX],
        filters: [FilterId::NONE; TOPIC_CACHE_FILTERS_MAX],
    };

    #[inline]
    fn is_of(&self, key: Key, topic: &[u8]) -> bool {
        self.tag == key.tag() && self.topic.get(..usize::from(self.len)) == Some(topic)
    }

    fn fill(&mut self, epoch: u64, key: Key, topic: &[u8], filters: &[FilterId]) {
        self.epoch = epoch;
        self.tag = key.tag();
        self.len = topic.len() as u8;
        self.count = filters.len() as u8;
        self.topic[..topic.len()].copy_from_slice(topic);
        self.filters[..filters.len()].copy_from_slice(filters);
    }
}

/// The hash of a topic short enough to be in the cache. Tag, door and set come from different bits of it.
#[derive(Clone, Copy)]
pub(super) struct Key(u64);

impl Key {
    fn tag(self) -> u32 {
        self.0 as u32
    }

    fn door(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// Its set among `sets`, a power of two.
    fn set(self, sets: usize) -> usize {
        (self.0 >> 48) as usize & (sets - 1)
    }
}

/// A slot, between `find` and the next change.
#[derive(Clone, Copy)]
pub(super) struct At {
    set: usize,
    side: usize,
}

impl Cache {
    pub(super) fn new(seed: u64) -> Cache {
        Cache { hash: TextHash::new(seed), sets: Vec::new(), epoch: 1, crowded: 0, tosses: seed }
    }

    /// `None` for a topic too long to be kept.
    #[inline]
    pub(super) fn key(&self, topic: &[u8]) -> Option<Key> {
        (topic.len() <= TOPIC_CACHE_BYTES_MAX).then(|| Key(self.hash.of(topic)))
    }

    /// Where it stands what was found for `topic`, if that is known and still holds.
    #[inline]
    pub(super) fn find(&self, key: Key, topic: &[u8]) -> Option<At> {
        if self.sets.is_empty() {
            return None;
        }
        let set = key.set(self.sets.len());
        let is_hit = |slot: &Slot| slot.epoch == self.epoch && slot.is_of(key, topic);
        self.sets[set].iter().position(is_hit).map(|side| At { set, side })
    }

    /// What was found for the topic at `at`.
    #[inline]
    pub(super) fn filters(&self, at: At) -> &[FilterId] {
        let slot = &self.sets[at.set][at.side];
        &slot.filters[..usize::from(slot.count)]
    }

    /// `topic` was not in here; these were found for it. Kept if it came before.
    pub(super) fn offer(&mut self, key: Key, topic: &[u8], filters: &[FilterId]) {
        if filters.len() > TOPIC_CACHE_FILTERS_MAX {
            return;
        }
        if self.sets.is_empty() {
            self.sets = vec![[Slot::EMPTY; 2]; SETS_MIN];
        }
        let (sets, epoch, side) = (self.sets.len(), self.epoch, self.toss());
        let set = &mut self.sets[key.set(sets)];
        if let Some(stale) = set.iter_mut().find(|slot| slot.is_of(key, topic)) {
            return stale.fill(epoch, key, topic, filters);
        }
        let unused = set.iter().position(|slot| slot.epoch != epoch);
        match set.iter().position(|slot| slot.door == key.door()) {
            Some(door) => {
                set[door].door = 0;
                set[unused.unwrap_or(side)].fill(epoch, key, topic, filters);
            }
            None => set[side].door = key.door(),
        }
        self.crowded += usize::from(unused.is_none());
        if self.crowded > sets && sets < TOPIC_CACHE_SETS_MAX {
            self.grow();
        }
    }

    /// What was found for `topic` no longer holds; everything else does.
    pub(super) fn forget(&mut self, topic: &[u8]) {
        if let Some(key) = self.key(topic).filter(|_| !self.sets.is_empty()) {
            let sets = self.sets.len();
            let slots = &mut self.sets[key.set(sets)];
            slots.iter_mut().filter(|slot| slot.is_of(key, topic)).for_each(|slot| slot.epoch = 0);
        }
    }

    /// Nothing that was found holds any longer.
    pub(super) fn forget_all(&mut self) {
        self.epoch += 1;
    }

    /// A side at random. By any fixed rule, topics of one set that come in turns could keep each other out forever.
    fn toss(&mut self) -> usize {
        self.tosses = self.tosses.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (self.tosses >> 63) as usize
    }

    /// Twice the sets. Every slot keeps its side: the two sets that come from one never hold more than it did.
    fn grow(&mut self) {
        let sets = self.sets.len() * 2;
        let mut grown = vec![[Slot::EMPTY; 2]; sets];
        let slots = self.sets.iter().flat_map(|set| set.iter().enumerate());
        for (side, slot) in slots.filter(|(_, slot)| slot.epoch == self.epoch) {
            let topic = &slot.topic[..usize::from(slot.len)];
            grown[Key(self.hash.of(topic)).set(sets)][side] = *slot;
        }
        self.sets = grown;
        self.crowded = 0;
    }
}
