//! Text of a level <-> a small number.
//!
//! Only filters and retained rows put levels in, counted; the last use takes a level out again. A published level
//! that is not here can match nothing but a wildcard.
//!
//! ```text
//! ids    [hash table of slot numbers and hashes, found by text]
//! slots  [start, len, uses]   -> texts  "lightbedroomis_on…"
//! ```

use super::hash::TextHash;
use crate::limits::STRING_BYTES_MAX;
use hashbrown::HashTable;
use std::ops::{Index, IndexMut};

/// A level, as one shard numbers it. Never leaves its shard; reused after its last release.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Level(pub u32);

impl Level {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// See the module. One per shard, shared by its filters and its retained tree.
pub struct Interner {
    hash: TextHash,
    ids: HashTable<Id>,
    slots: Slots,
    /// Head of the list of unused slots, or `NONE`.
    free: u32,
    /// Texts of all levels, in the order in which they came; between them what the dead left.
    texts: String,
    dead_bytes: usize,
}

/// A level in the table, beside a part of its hash: when the table grows no text is read.
#[derive(Clone, Copy)]
struct Id {
    hash: u32,
    level: Level,
}

/// For hashbrown, which takes the bucket from the low bits and a mark from the top seven.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

const NONE: u32 = u32::MAX;
/// Below this many dead bytes the texts are left as they are.
const DEAD_BYTES_MIN: usize = 4 * 1024;

/// 12 bytes: there are as many of these as levels. The start has 48 bits, the length the 16 of an MQTT string.
#[derive(Clone, Copy)]
struct Slot {
    /// Of an unused slot: the next unused one.
    start_low: u32,
    start_high: u16,
    len: u16,
    /// 0: unused.
    uses: u32,
}

const _: () = assert!(size_of::<Slot>() == 12);
const _: () = assert!(STRING_BYTES_MAX <= u16::MAX as usize);

impl Slot {
    fn unused(next: u32) -> Slot {
        Slot { start_low: next, start_high: 0, len: 0, uses: 0 }
    }

    fn used(start: usize, len: usize, uses: u32) -> Slot {
        assert!(len <= STRING_BYTES_MAX, "a level longer than a topic may be");
        Slot { start_low: start as u32, start_high: (start >> 32) as u16, len: len as u16, uses }
    }

    #[inline]
    fn text(self, texts: &str) -> &str {
        let start = usize::from(self.start_high) << 32 | self.start_low as usize;
        &texts[start..start + usize::from(self.len)]
    }
}

/// In chunks: growing moves nothing, and leaves nothing behind to be used again or not.
#[derive(Default)]
struct Slots {
    chunks: Vec<Vec<Slot>>,
}

const CHUNK_BITS: u32 = 10;
/// Slots in a chunk.
const CHUNK: usize = 1 << CHUNK_BITS;

impl Slots {
    fn push(&mut self, slot: Slot) -> Level {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            // Most shards of most brokers know few levels: the first chunk grows.
            self.chunks.push(if self.chunks.is_empty() { Vec::new() } else { Vec::with_capacity(CHUNK) });
        }
        let chunk = self.chunks.len() - 1;
        let at = self.chunks[chunk].len();
        assert!(chunk << CHUNK_BITS | at < NONE as usize, "more levels than numbers");
        self.chunks[chunk].push(slot);
        Level((chunk << CHUNK_BITS | at) as u32)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.chunks.iter_mut().flatten()
    }
}

impl Index<Level> for Slots {
    type Output = Slot;

    #[inline]
    fn index(&self, Level(slot): Level) -> &Slot {
        &self.chunks[(slot >> CHUNK_BITS) as usize][slot as usize & (CHUNK - 1)]
    }
}

impl IndexMut<Level> for Slots {
    #[inline]
    fn index_mut(&mut self, Level(slot): Level) -> &mut Slot {
        &mut self.chunks[(slot >> CHUNK_BITS) as usize][slot as usize & (CHUNK - 1)]
    }
}

impl Interner {
    pub fn new(seed: u64) -> Interner {
        Interner {
            hash: TextHash::new(seed),
            ids: HashTable::new(),
            slots: Slots::default(),
            free: NONE,
            texts: String::new(),
            dead_bytes: 0,
        }
    }

    /// The number of a level that is in use. Levels are the same where their bytes are [MQTT-4.7.3-4]
    /// [3.1.1: MQTT-4.7.3-4].
    #[inline]
    pub fn get(&self, text: &str) -> Option<Level> {
        self.find(self.hash_of(text), text)
    }

    #[inline]
    fn hash_of(&self, text: &str) -> u32 {
        self.hash.of(text.as_bytes()) as u32
    }

    #[inline]
    fn find(&self, hash: u32, text: &str) -> Option<Level> {
        let is_it = |id: &Id| id.hash == hash && self.text(id.level) == text;
        self.ids.find(spread(hash), is_it).map(|id| id.level)
    }

    /// Counts one more use of the level `text`, which is put in if it is new.
    pub fn acquire(&mut self, text: &str) -> Level {
        let hash = self.hash_of(text);
        if let Some(level) = self.find(hash, text) {
            self.hold(level);
            return level;
        }
        let slot = Slot::used(self.texts.len(), text.len(), 1);
        self.texts.push_str(text);
        let level = self.place(slot);
        self.ids.insert_unique(spread(hash), Id { hash, level }, |other| spread(other.hash));
        level
    }

    /// Counts one more use of a level in use.
    pub fn hold(&mut self, level: Level) {
        let slot = &mut self.slots[level];
        debug_assert!(slot.uses > 0, "hold of a level that is not in use");
        slot.uses += 1;
    }

    /// Counts one use less; the last one takes the level out.
    pub fn release(&mut self, level: Level) {
        let slot = &mut self.slots[level];
        assert!(slot.uses > 0, "release of a level that is not in use");
        slot.uses -= 1;
        if slot.uses == 0 {
            self.forget(level);
        }
    }

    /// The text of a level in use.
    #[inline]
    pub fn text(&self, level: Level) -> &str {
        self.slots[level].text(&self.texts)
    }

    /// Levels in use.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    fn place(&mut self, slot: Slot) -> Level {
        if self.free == NONE {
            return self.slots.push(slot);
        }
        let level = Level(self.free);
        self.free = self.slots[level].start_low;
        self.slots[level] = slot;
        level
    }

    fn forget(&mut self, level: Level) {
        let hash = self.hash_of(self.text(level));
        if let Ok(entry) = self.ids.find_entry(spread(hash), |other| other.level == level) {
            entry.remove();
        }
        self.dead_bytes += usize::from(self.slots[level].len);
        self.slots[level] = Slot::unused(self.free);
        self.free = level.0;
        if self.dead_bytes > DEAD_BYTES_MIN && self.dead_bytes > self.texts.len() / 2 {
            self.compact();
        }
    }

    /// Moves the living texts together. Done when the dead outnumber them, so each byte pays for its own move.
    fn compact(&mut self) {
        let mut texts = String::with_capacity((self.texts.len() - self.dead_bytes) * 5 / 4);
        for slot in self.slots.iter_mut().filter(|slot| slot.uses > 0) {
            let text = slot.text(&self.texts);
            *slot = Slot::used(texts.len(), text.len(), slot.uses);
            texts.push_str(text);
        }
        self.texts = texts;
        self.dead_bytes = 0;
    }
}
