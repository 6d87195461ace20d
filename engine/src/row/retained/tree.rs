//! The nodes: one per topic that has a row, a tombstone, or such below it.
//!
//! ```text
//! places  [256 hash tables of node numbers and hashes, found by parent and text]
//! nodes   parent ^   first_child v   < newer_sibling  older_sibling >   row ->   object_version  live
//! ```
//!
//! The object at a topic is that topic and everything below it. Its version is the highest that anything in it ever
//! had: it only rises, and so it stays when what had it is forgotten, for as long as the node is there.
//!
//! Siblings are linked from the youngest to the oldest. A new node goes to the front, so a walk that stands at a
//! node has everything older than it still ahead, whatever comes and goes; and if that node itself goes, its stamp
//! tells where it stood.

use super::slab::{NONE, Slab};
use crate::topic::{Interner, Level};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};

/// The node above all first levels.
pub(super) const ROOT: u32 = 0;

/// Tables that the places are dealt into: each grows by itself, so that no rehash is of all.
const TABLES: usize = 256;

#[derive(Clone, Copy)]
#[repr(Rust, packed(2))]
pub(super) struct Node {
    pub(super) stamp: Stamp,
    /// Highest version of what is or was here and below, deletions included; never above the parent's.
    pub(super) object_version: u64,
    pub(super) level: Level,
    pub(super) parent: u32,
    pub(super) first_child: u32,
    newer_sibling: u32,
    pub(super) older_sibling: u32,
    /// Of its row or tombstone.
    pub(super) row: u32,
    /// Its children at or below which there is a row, and one more if it is a row itself; and [`HAS_FLOOR`].
    live: u32,
}

/// The store was told of a floor: the object's version is not only that of what is still here and below.
const HAS_FLOOR: u32 = 1 << 31;

const _: () = assert!(size_of::<Node>() == 42);

/// Unique among all nodes that ever were, and upward: a younger node has the greater. 48 bits: a million new nodes a
/// second would take nine years to use them up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(Rust, packed(2))]
pub(super) struct Stamp {
    high: u32,
    low: u16,
}

impl Stamp {
    /// No node.
    const NONE: Stamp = Stamp { high: 0, low: 0 };
    const ROOT: Stamp = Stamp { high: 0, low: 1 };

    fn next(self) -> Stamp {
        let (low, carry) = self.low.overflowing_add(1);
        Stamp { high: self.high.checked_add(u32::from(carry)).expect("stamps that never end"), low }
    }
}

impl Default for Node {
    fn default() -> Node {
        Node {
            stamp: Stamp::NONE,
            object_version: 0,
            level: Level(NONE),
            parent: NONE,
            first_child: NONE,
            newer_sibling: NONE,
            older_sibling: NONE,
            row: NONE,
            live: 0,
        }
    }
}

impl Node {
    /// Whether there is a row at the node or below it.
    pub(super) fn is_live(&self) -> bool {
        self.live & !HAS_FLOOR > 0
    }

    pub(super) fn has_floor(&self) -> bool {
        self.live & HAS_FLOOR != 0
    }
}

fn only_root() -> Slab<Node> {
    let mut nodes = Slab::new();
    let root = nodes.insert(Node { stamp: Stamp::ROOT, ..Node::default() });
    debug_assert_eq!(root, ROOT);
    nodes
}

pub(super) struct Tree {
    nodes: Slab<Node>,
    places: Vec<HashTable<Place>>,
    hash: FixedState,
    latest: Latest,
    /// Stamp of the youngest node.
    stamp: Stamp,
}

/// A node in a table, beside a part of its hash: a table that grows looks at no node, and a search at hardly any other
/// than the one that it finds.
#[derive(Clone, Copy)]
#[repr(Rust, packed(2))]
struct Place {
    node: u32,
    hash: PlaceHash,
}

const _: () = assert!(size_of::<Place>() == 6);

/// Enough for 65 536 buckets in each table, which is 14 million nodes; beyond that buckets are shared.
#[derive(Clone, Copy, PartialEq, Eq)]
struct PlaceHash(u16);

impl PlaceHash {
    /// For hashbrown, which takes the bucket from the low bits and a mark from the top seven.
    fn spread(self) -> u64 {
        u64::from(self.0) << 48 | u64::from(self.0)
    }
}

/// The node above the topic that was looked for last: what is written together often lies together.
struct Latest {
    /// Its topic, with the slash that follows.
    above: String,
    node: u32,
    /// Of the node, see [`Tree::is_alive`].
    stamp: Stamp,
}

/// A longer one is not remembered.
const LATEST_BYTES_MAX: usize = 256;

impl Tree {
    pub(super) fn new(seed: u64) -> Tree {
        let places = (0..TABLES).map(|_| HashTable::new()).collect();
        let latest = Latest { above: String::new(), node: ROOT, stamp: Stamp::ROOT };
        Tree { nodes: only_root(), places, hash: FixedState::with_seed(seed), latest, stamp: Stamp::ROOT }
    }

    #[inline]
    pub(super) fn node(&self, node: u32) -> &Node {
        &self.nodes[node]
    }

    pub(super) fn node_mut(&mut self, node: u32) -> &mut Node {
        &mut self.nodes[node]
    }

    /// Whether `node` is still the one that had this stamp.
    pub(super) fn is_alive(&self, node: u32, stamp: Stamp) -> bool {
        self.nodes.get(node).is_some_and(|node| node.stamp == stamp)
    }

    /// Nodes, the root not counted.
    pub(super) fn len(&self) -> usize {
        self.nodes.live() - 1
    }

    pub(super) fn bytes(&self) -> usize {
        let places: usize = self.places.iter().map(HashTable::allocation_size).sum();
        self.nodes.bytes() + places
    }

    #[inline]
    pub(super) fn child(&self, interner: &Interner, parent: u32, text: &str) -> Option<u32> {
        let (table, hash) = self.place(parent, text);
        self.child_at(interner, table, hash, parent, text)
    }

    #[inline]
    fn child_at(&self, interner: &Interner, table: usize, hash: PlaceHash, parent: u32, text: &str) -> Option<u32> {
        let is_it = |place: &Place| {
            let Place { node, hash: other } = *place;
            other == hash && {
                let node = &self.nodes[node];
                node.parent == parent && interner.text(node.level) == text
            }
        };
        self.places[table].find(hash.spread(), is_it).map(|place| place.node)
    }

    /// The table of a place, and its hash in there. By text, not by level: one table to look into, not two.
    #[inline]
    fn place(&self, parent: u32, text: &str) -> (usize, PlaceHash) {
        let mut hasher = self.hash.build_hasher();
        hasher.write_u32(parent);
        hasher.write(text.as_bytes());
        let hash = hasher.finish();
        ((hash >> 32) as usize % TABLES, PlaceHash(hash as u16))
    }

    pub(super) fn find(&self, interner: &Interner, topic: &str) -> Option<u32> {
        let (node, below) = self.start(topic);
        below.split('/').try_fold(node, |node, text| self.child(interner, node, text))
    }

    /// Where a search for `topic` may begin, and what is to be found below.
    #[inline]
    fn start<'t>(&self, topic: &'t str) -> (u32, &'t str) {
        match topic.strip_prefix(self.latest.above.as_str()) {
            Some(below) if self.is_alive(self.latest.node, self.latest.stamp) => (self.latest.node, below),
            _ => (ROOT, topic),
        }
    }

    /// The node of `topic`, made with what is missing above it. Each new node counts one use of its level.
    pub(super) fn find_or_make(&mut self, interner: &mut Interner, topic: &str) -> u32 {
        let (mut node, below) = self.start(topic);
        for text in below.split('/') {
            let (table, hash) = self.place(node, text);
            let child = self.child_at(interner, table, hash, node, text);
            node = child.unwrap_or_else(|| self.make(interner, (table, hash), node, text));
        }
        if below.contains('/') {
            self.remember(topic, node);
        }
        node
    }

    /// The next search may begin above `node`, which is that of `topic`.
    fn remember(&mut self, topic: &str, node: u32) {
        let node = self.nodes[node].parent;
        let above = topic.rfind('/').map_or("", |slash| &topic[..=slash]);
        if above.len() <= LATEST_BYTES_MAX {
            self.latest.above.clear();
            self.latest.above.push_str(above);
            (self.latest.node, self.latest.stamp) = (node, self.nodes[node].stamp);
        }
    }

    fn make(&mut self, interner: &mut Interner, (table, hash): (usize, PlaceHash), parent: u32, text: &str) -> u32 {
        self.stamp = self.stamp.next();
        let level = interner.acquire(text);
        let older_sibling = self.nodes[parent].first_child;
        let node = self.nodes.insert(Node { stamp: self.stamp, level, parent, older_sibling, ..Node::default() });
        self.nodes[parent].first_child = node;
        if older_sibling != NONE {
            self.nodes[older_sibling].newer_sibling = node;
        }
        self.places[table].insert_unique(hash.spread(), Place { hash, node }, |place| { place.hash }.spread());
        node
    }

    /// Something at `node` has this version now.
    pub(super) fn raise(&mut self, mut node: u32, version: u64) {
        while node != ROOT && self.nodes[node].object_version < version {
            self.nodes[node].object_version = version;
            node = self.nodes[node].parent;
        }
    }

    /// `node` has become a row.
    pub(super) fn enliven(&mut self, mut node: u32) {
        while node != NONE {
            let was_live = self.nodes[node].is_live();
            self.nodes[node].live += 1;
            if was_live {
                break;
            }
            node = self.nodes[node].parent;
        }
    }

    /// `node` is no row any more.
    pub(super) fn deaden(&mut self, mut node: u32) {
        while node != NONE {
            self.nodes[node].live -= 1;
            if self.nodes[node].is_live() {
                break;
            }
            node = self.nodes[node].parent;
        }
    }

    pub(super) fn set_floor(&mut self, node: u32) {
        self.nodes[node].live |= HAS_FLOOR;
    }

    /// Takes `node` out if nothing hangs on it, and then those above it of which the same became true; tells each.
    /// Returns the first that stays.
    pub(super) fn prune(&mut self, interner: &mut Interner, mut node: u32, mut gone: impl FnMut(Node)) -> u32 {
        while node != ROOT && self.nodes[node].row == NONE && self.nodes[node].first_child == NONE {
            self.unlink(interner, node);
            let this = self.nodes.remove(node);
            interner.release(this.level);
            gone(this);
            node = this.parent;
        }
        if self.len() == 0 {
            self.nodes = only_root(); // gives the memory back
        }
        node
    }

    fn unlink(&mut self, interner: &Interner, node: u32) {
        let Node { parent, level, newer_sibling, older_sibling, .. } = self.nodes[node];
        match newer_sibling {
            NONE => self.nodes[parent].first_child = older_sibling,
            newer => self.nodes[newer].older_sibling = older_sibling,
        }
        if older_sibling != NONE {
            self.nodes[older_sibling].newer_sibling = newer_sibling;
        }
        let (table, hash) = self.place(parent, interner.text(level));
        let table = &mut self.places[table];
        if let Ok(place) = table.find_entry(hash.spread(), |place| { place.node } == node) {
            place.remove();
        }
        if table.is_empty() {
            *table = HashTable::new();
        }
    }

    /// The levels from `node` up to the first, in that order.
    pub(super) fn levels_upward(&self, mut node: u32, into: &mut Vec<Level>) {
        into.clear();
        while node != ROOT {
            into.push(self.nodes[node].level);
            node = self.nodes[node].parent;
        }
    }
}

/// The topic of levels that go upward.
pub(super) fn spell(interner: &Interner, levels_upward: &[Level], into: &mut String) {
    into.clear();
    for (index, level) in levels_upward.iter().rev().enumerate() {
        if index > 0 {
            into.push('/');
        }
        into.push_str(interner.text(*level));
    }
}
