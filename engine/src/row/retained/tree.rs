//! The nodes: one per topic that has a row, a tombstone, or such below it.
//!
//! ```text
//! places  [64 hash tables of node numbers, found by (parent, level)]
//! nodes   parent ^   first_child v   < newer_sibling  older_sibling >   row ->
//! ```
//!
//! Siblings are linked from the youngest to the oldest. A new node goes to the front, so a walk that stands at a
//! node has everything older than it still ahead, whatever comes and goes; and if that node itself goes, its stamp
//! tells where it stood.

use super::slab::{NONE, Slab};
use crate::topic::{Interner, Level};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// The node above all first levels.
pub(super) const ROOT: u32 = 0;

/// Tables that the places are dealt into: each grows by itself, so the stall of one rehash is a 64th.
const TABLES: usize = 64;

pub(super) struct Node {
    /// Unique among all nodes that ever were, and upward: a younger node has the greater. 0: no node.
    pub(super) stamp: u64,
    pub(super) level: Level,
    pub(super) parent: u32,
    pub(super) first_child: u32,
    newer_sibling: u32,
    pub(super) older_sibling: u32,
    /// Of its row or tombstone.
    pub(super) row: u32,
}

const _: () = assert!(size_of::<Node>() == 32);

impl Default for Node {
    fn default() -> Node {
        Node {
            stamp: 0,
            level: Level(NONE),
            parent: NONE,
            first_child: NONE,
            newer_sibling: NONE,
            older_sibling: NONE,
            row: NONE,
        }
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

    fn hash(&self, parent: u32, level: Level) -> (usize, u64) {
        let hash = self.hash.hash_one(u64::from(parent) << 32 | u64::from(level.0));
        // The low bits choose the bucket and the top seven mark it; the table is chosen by others.
        ((hash >> 48) as usize % TABLES, hash)
    }

    #[inline]
    pub(super) fn child(&self, parent: u32, level: Level) -> Option<u32> {
        let (table, hash) = self.hash(parent, level);
        let is_it = |node: &u32| {
            let node = &self.nodes[*node];
            node.parent == parent && node.level == level
        };
        self.places[table].find(hash, is_it).copied()
    }

    pub(super) fn find(&self, interner: &Interner, topic: &str) -> Option<u32> {
        let mut node = ROOT;
        for level in topic.split('/') {
            node = self.child(node, interner.get(level)?)?;
        }
        Some(node)
    }

    /// The node of `topic`, made with what is missing above it. Each new node counts one use of its level.
    pub(super) fn find_or_make(&mut self, interner: &mut Interner, topic: &str) -> u32 {
        let mut node = ROOT;
        for text in topic.split('/') {
            let found = interner.get(text).and_then(|level| self.child(node, level));
            node = found.unwrap_or_else(|| self.make(node, interner.acquire(text)));
        }
        node
    }

    fn make(&mut self, parent: u32, level: Level) -> u32 {
        self.stamp += 1;
        let older_sibling = self.nodes[parent].first_child;
        let node = self.nodes.insert(Node { stamp: self.stamp, level, parent, older_sibling, ..Node::default() });
        self.nodes[parent].first_child = node;
        if older_sibling != NONE {
            self.nodes[older_sibling].newer_sibling = node;
        }
        let (table, hash) = self.hash(parent, level);
        let Tree { nodes, places, hash: state, .. } = self;
        places[table].insert_unique(hash, node, |other| {
            let other = &nodes[*other];
            state.hash_one(u64::from(other.parent) << 32 | u64::from(other.level.0))
        });
        node
    }

    /// Takes `node` out if nothing hangs on it, and then those above it of which the same became true.
    pub(super) fn prune(&mut self, interner: &mut Interner, mut node: u32) {
        while node != ROOT && self.nodes[node].row == NONE && self.nodes[node].first_child == NONE {
            let parent = self.nodes[node].parent;
            self.unlink(node);
            interner.release(self.nodes.remove(node).level);
            node = parent;
        }
        if self.len() == 0 {
            self.nodes = only_root(); // gives the memory back
        }
    }

    fn unlink(&mut self, node: u32) {
        let Node { parent, level, newer_sibling, older_sibling, .. } = self.nodes[node];
        match newer_sibling {
            NONE => self.nodes[parent].first_child = older_sibling,
            newer => self.nodes[newer].older_sibling = older_sibling,
        }
        if older_sibling != NONE {
            self.nodes[older_sibling].newer_sibling = newer_sibling;
        }
        let (table, hash) = self.hash(parent, level);
        if let Ok(place) = self.places[table].find_entry(hash, |other| *other == node) {
            place.remove();
        }
        if self.places[table].is_empty() {
            self.places[table] = HashTable::new();
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
