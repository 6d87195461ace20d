//! The nodes: one per topic that has a row, a tombstone, or such below it.
//!
//! ```text
//! places  [256 hash tables of node numbers, found by parent and text]
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
#[repr(Rust, packed(4))]
pub(super) struct Node {
    /// Unique among all nodes that ever were, and upward: a younger node has the greater. 0: no node.
    pub(super) stamp: u64,
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

const _: () = assert!(size_of::<Node>() == 44);

impl Default for Node {
    fn default() -> Node {
        Node {
            stamp: 0,
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

const ROOT_STAMP: u64 = 1;

fn only_root() -> Slab<Node> {
    let mut nodes = Slab::new();
    let root = nodes.insert(Node { stamp: ROOT_STAMP, ..Node::default() });
    debug_assert_eq!(root, ROOT);
    nodes
}

pub(super) struct Tree {
    nodes: Slab<Node>,
    places: Vec<HashTable<u32>>,
    hash: FixedState,
    /// Stamp of the youngest node.
    stamp: u64,
}

impl Tree {
    pub(super) fn new(seed: u64) -> Tree {
        let places = (0..TABLES).map(|_| HashTable::new()).collect();
        Tree { nodes: only_root(), places, hash: FixedState::with_seed(seed), stamp: ROOT_STAMP }
    }

    #[inline]
    pub(super) fn node(&self, node: u32) -> &Node {
        &self.nodes[node]
    }

    pub(super) fn node_mut(&mut self, node: u32) -> &mut Node {
        &mut self.nodes[node]
    }

    /// Whether `node` is still the one that had this stamp.
    pub(super) fn is_alive(&self, node: u32, stamp: u64) -> bool {
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
        self.child_at(interner, place_hash(&self.hash, parent, text), parent, text)
    }

    #[inline]
    fn child_at(&self, interner: &Interner, hash: u64, parent: u32, text: &str) -> Option<u32> {
        let is_it = |node: &u32| {
            let node = &self.nodes[*node];
            node.parent == parent && interner.text(node.level) == text
        };
        self.places[table_of(hash)].find(hash, is_it).copied()
    }

    pub(super) fn find(&self, interner: &Interner, topic: &str) -> Option<u32> {
        topic.split('/').try_fold(ROOT, |node, text| self.child(interner, node, text))
    }

    /// The node of `topic`, made with what is missing above it. Each new node counts one use of its level.
    pub(super) fn find_or_make(&mut self, interner: &mut Interner, topic: &str) -> u32 {
        let mut node = ROOT;
        for text in topic.split('/') {
            let hash = place_hash(&self.hash, node, text);
            let child = self.child_at(interner, hash, node, text);
            node = child.unwrap_or_else(|| self.make(interner, hash, node, text));
        }
        node
    }

    /// `hash`: of its place.
    fn make(&mut self, interner: &mut Interner, hash: u64, parent: u32, text: &str) -> u32 {
        self.stamp += 1;
        let level = interner.acquire(text);
        let older_sibling = self.nodes[parent].first_child;
        let node = self.nodes.insert(Node { stamp: self.stamp, level, parent, older_sibling, ..Node::default() });
        self.nodes[parent].first_child = node;
        if older_sibling != NONE {
            self.nodes[older_sibling].newer_sibling = node;
        }
        let Tree { nodes, places, hash: state, .. } = self;
        places[table_of(hash)].insert_unique(hash, node, |other| {
            let other = &nodes[*other];
            place_hash(state, other.parent, interner.text(other.level))
        });
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
        let hash = place_hash(&self.hash, parent, interner.text(level));
        let table = &mut self.places[table_of(hash)];
        if let Ok(place) = table.find_entry(hash, |other| *other == node) {
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

/// By text, not by level: one table to look into, not two.
#[inline]
fn place_hash(state: &FixedState, parent: u32, text: &str) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write_u32(parent);
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// The low bits choose the bucket and the top seven mark it; the table is chosen by others.
fn table_of(hash: u64) -> usize {
    (hash >> 48) as usize % TABLES
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
