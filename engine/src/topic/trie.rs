//! The filters of an owner as a tree of levels, in an arena.
//!
//! ```text
//! filters a/b, a/+/c, a/#        root ── a ─┬─ b   here: a/b
//!                                           ├─ +   plus: ── c   here: a/+/c
//!                                           └ below: a/#
//! ```
//!
//! `+` is a child of its own; `#` is no node but the `below` of the level above it, which it matches too. Literal
//! children of all nodes are found in one hash table. A node that leads to no filter is taken out.

use super::hash::PairHash;
use super::level::{Interner, Level};
use hashbrown::HashTable;

/// A filter, as one owner numbers it. Reused after its removal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FilterId(pub u32);

impl FilterId {
    /// No filter.
    pub(super) const NONE: FilterId = FilterId(u32::MAX);

    pub fn index(self) -> usize {
        self.0 as usize
    }
}

pub(super) const ROOT: u32 = 0;
pub(super) const NONE: u32 = u32::MAX;
/// What a `+` node has in place of a level. No interner gives this number.
const PLUS: Level = Level(u32::MAX);

pub(super) struct Node {
    /// Of an unused node: the next unused one.
    parent: u32,
    level: Level,
    /// The `+` child, or `NONE`.
    pub(super) plus: u32,
    /// How many literal children the table holds.
    pub(super) literals: u32,
    /// The filter that ends here, or `FilterId::NONE`.
    pub(super) here: FilterId,
    /// The filter that ends with a `#` below here, or `FilterId::NONE`.
    pub(super) below: FilterId,
}

impl Node {
    fn new(parent: u32, level: Level) -> Node {
        Node { parent, level, plus: NONE, literals: 0, here: FilterId::NONE, below: FilterId::NONE }
    }

    fn is_empty(&self) -> bool {
        self.plus == NONE && self.literals == 0 && self.here == FilterId::NONE && self.below == FilterId::NONE
    }
}

/// Where a filter stands: at a node, or in its `#`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    node: u32,
    below: bool,
}

/// See the module.
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// Head of the list of unused nodes, or `NONE`.
    free: u32,
    unused: usize,
    children: HashTable<u32>,
    hash: PairHash,
}

impl Trie {
    pub(super) fn new(seed: u64) -> Trie {
        Trie {
            nodes: vec![Node::new(NONE, PLUS)],
            free: NONE,
            unused: 0,
            children: HashTable::new(),
            hash: PairHash::new(seed),
        }
    }

    #[inline]
    pub(super) fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    /// The literal child of `parent` with this level.
    #[inline]
    pub(super) fn child(&self, parent: u32, level: Level) -> Option<u32> {
        let is_child = |&child: &u32| {
            let child = self.node(child);
            child.parent == parent && child.level == level
        };
        self.children.find(self.hash.of(parent, level.0), is_child).copied()
    }

    /// Where `filter` stands, if every level of it has a node.
    pub(super) fn find(&self, filter: &str, interner: &Interner) -> Option<Place> {
        let mut node = ROOT;
        for text in filter.split('/') {
            node = match text {
                "#" => return Some(Place { node, below: true }),
                "+" => Some(self.node(node).plus).filter(|plus| *plus != NONE)?,
                _ => self.child(node, interner.get(text)?)?,
            };
        }
        Some(Place { node, below: false })
    }

    /// The same, with the nodes that were missing. The caller puts a filter there.
    pub(super) fn plant(&mut self, filter: &str, interner: &mut Interner) -> Place {
        let mut node = ROOT;
        for text in filter.split('/') {
            node = match text {
                "#" => return Place { node, below: true },
                "+" => self.plus_or_new(node),
                _ => self.child_or_new(node, text, interner),
            };
        }
        Place { node, below: false }
    }

    pub(super) fn get(&self, place: Place) -> Option<FilterId> {
        let node = self.node(place.node);
        Some(if place.below { node.below } else { node.here }).filter(|id| *id != FilterId::NONE)
    }

    pub(super) fn put(&mut self, place: Place, id: FilterId) {
        let node = &mut self.nodes[place.node as usize];
        *if place.below { &mut node.below } else { &mut node.here } = id;
    }

    /// Takes the filter out, and the nodes that led to nothing else.
    pub(super) fn clear(&mut self, place: Place, interner: &mut Interner) {
        self.put(place, FilterId::NONE);
        let mut node = place.node;
        while node != ROOT && self.node(node).is_empty() {
            node = self.unlink(node, interner);
        }
    }

    /// Nodes in use, the root included.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.unused
    }

    fn plus_or_new(&mut self, parent: u32) -> u32 {
        if self.node(parent).plus == NONE {
            let plus = self.add(Node::new(parent, PLUS));
            self.nodes[parent as usize].plus = plus;
        }
        self.node(parent).plus
    }

    fn child_or_new(&mut self, parent: u32, text: &str, interner: &mut Interner) -> u32 {
        let known = interner.get(text);
        if let Some(child) = known.and_then(|level| self.child(parent, level)) {
            return child;
        }
        let level = interner.acquire(text);
        let child = self.add(Node::new(parent, level));
        self.nodes[parent as usize].literals += 1;
        let Trie { nodes, children, hash, .. } = self;
        children.insert_unique(hash.of(parent, level.0), child, |other| {
            let other = &nodes[*other as usize];
            hash.of(other.parent, other.level.0)
        });
        child
    }

    fn add(&mut self, node: Node) -> u32 {
        if self.free == NONE {
            assert!(self.nodes.len() < NONE as usize, "more nodes than numbers");
            self.nodes.push(node);
            return self.nodes.len() as u32 - 1;
        }
        let index = self.free;
        self.free = self.node(index).parent;
        self.unused -= 1;
        self.nodes[index as usize] = node;
        index
    }

    /// Takes an empty node out and returns its parent.
    fn unlink(&mut self, index: u32, interner: &mut Interner) -> u32 {
        let Node { parent, level, .. } = *self.node(index);
        if level == PLUS {
            self.nodes[parent as usize].plus = NONE;
        } else {
            let found = self.children.find_entry(self.hash.of(parent, level.0), |other| *other == index);
            found.expect("a literal node stands in the table").remove();
            self.nodes[parent as usize].literals -= 1;
            interner.release(level);
        }
        self.nodes[index as usize] = Node::new(self.free, PLUS);
        self.free = index;
        self.unused += 1;
        parent
    }
}
