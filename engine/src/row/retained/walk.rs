//! The rows that match a filter, along the tree, in slices between which the tree may change.
//!
//! A walk keeps the way from the root to where it stands, each node with its stamp. Nodes are visited before what is
//! below them, siblings from the youngest to the oldest, and new ones come before all others: so what a walk has
//! ahead is everything after its stand in that order, whatever changed meanwhile. If the node that it stands at is
//! gone, so is all below it, and the walk goes on with the first sibling that is older.

use super::pattern::{Pattern, Step};
use super::record::Record;
use super::slab::NONE;
use super::tree::{Node, ROOT, Stamp};
use super::{Retained, Tree};
use crate::row::change::Kept;
use crate::topic::Interner;
use std::ops::ControlFlow;

/// Where a walk stands: 16 bytes a level, and the text of the topic there. May be dropped at any time.
#[derive(Default)]
pub struct Walk {
    /// From below the root downward.
    way: Vec<Stand>,
    topic: String,
    next: Next,
    /// Rows changed after this position are left out.
    until: Option<u64>,
}

/// A node of the way.
struct Stand {
    stamp: Stamp,
    node: u32,
    /// Of the walk's topic above this level.
    above_bytes: u32,
}

#[derive(Clone, Copy, Default)]
enum Next {
    /// What is below the stand.
    #[default]
    Below,
    /// What comes after the stand and all below it.
    After,
    /// The children of the stand that are older than `stamp`, which are found from the youngest on.
    OlderThan {
        stamp: Stamp,
        sought: Option<Sought>,
    },
    Nothing,
}

/// How far the search for an older sibling has come.
#[derive(Clone, Copy)]
struct Sought {
    node: u32,
    stamp: Stamp,
}

impl Walk {
    pub fn new() -> Walk {
        Walk::default()
    }

    /// A walk that leaves out what changed after `position`, for a reader who then asks [`Retained::newer`] for that:
    /// so each row comes once.
    pub fn until(position: u64) -> Walk {
        Walk { until: Some(position), ..Walk::default() }
    }

    pub fn is_complete(&self) -> bool {
        matches!(self.next, Next::Nothing)
    }

    fn push(&mut self, interner: &Interner, index: u32, node: &Node) {
        let above_bytes = self.topic.len() as u32;
        if !self.way.is_empty() {
            self.topic.push('/');
        }
        self.topic.push_str(interner.text(node.level));
        self.way.push(Stand { stamp: node.stamp, node: index, above_bytes });
        self.next = Next::Below;
    }

    fn pop(&mut self) -> Option<Stand> {
        let stand = self.way.pop()?;
        self.topic.truncate(stand.above_bytes as usize);
        Some(stand)
    }

    /// Leaves what is gone.
    fn leave_the_dead(&mut self, tree: &Tree) {
        while let Some(stand) = self.way.last().filter(|stand| !tree.is_alive(stand.node, stand.stamp)) {
            self.next = Next::OlderThan { stamp: stand.stamp, sought: None };
            self.pop();
        }
    }

    fn stand(&self) -> u32 {
        self.way.last().map_or(ROOT, |stand| stand.node)
    }
}

impl Retained {
    /// Visits the rows that match `filter` from where `walk` stands, looking at `nodes_max` nodes at most. Returns
    /// whether the walk is complete. `each` may stop the slice after its row. A row that exists all the time is
    /// visited once, with its value at that time.
    pub fn walk(
        &self,
        interner: &Interner,
        filter: &str,
        walk: &mut Walk,
        nodes_max: usize,
        mut each: impl FnMut(Kept<'_>) -> ControlFlow<()>,
    ) -> bool {
        self.walk_records(
            interner,
            filter,
            walk,
            nodes_max,
            |_| true,
            |record, topic| match record.kept(topic) {
                Some(row) => each(row),
                None => ControlFlow::Continue(()),
            },
        )
    }

    /// As [`Retained::walk`], of tombstones too, and without the objects whose version `is_open` does not hold for.
    pub(super) fn walk_records(
        &self,
        interner: &Interner,
        filter: &str,
        walk: &mut Walk,
        nodes_max: usize,
        is_open: impl Fn(u64) -> bool,
        mut each: impl FnMut(&Record, &str) -> ControlFlow<()>,
    ) -> bool {
        let pattern = Pattern::new(interner, filter);
        walk.leave_the_dead(&self.tree);
        let mut budget = nodes_max.max(1);
        while budget > 0 && !walk.is_complete() {
            let Some(node) = self.advance(interner, &pattern, walk, &mut budget) else { continue };
            budget -= 1;
            walk.push(interner, node, self.tree.node(node));
            let is_closed = !is_open(self.tree.node(node).object_version);
            if is_closed || pattern.spares(walk.way.len() - 1, &walk.topic) {
                walk.next = Next::After;
            } else if pattern.matches_at(walk.way.len()) && self.show(node, walk, &mut each).is_break() {
                break;
            }
        }
        walk.is_complete()
    }

    fn show(&self, node: u32, walk: &Walk, each: &mut impl FnMut(&Record, &str) -> ControlFlow<()>) -> ControlFlow<()> {
        let row = self.tree.node(node).row;
        if row == NONE {
            return ControlFlow::Continue(());
        }
        let record = &self.records[row];
        match walk.until {
            Some(until) if record.order.position() > until => ControlFlow::Continue(()),
            _ => each(record, &walk.topic),
        }
    }

    /// The node to visit next; or `None`, and the walk is a step further. What could go on for long is paid for.
    fn advance(&self, interner: &Interner, pattern: &Pattern<'_>, walk: &mut Walk, budget: &mut usize) -> Option<u32> {
        match walk.next {
            Next::Below => {
                let child = self.first_below(interner, pattern, walk);
                if child.is_none() {
                    walk.next = Next::After;
                }
                child
            }
            Next::After => {
                let sibling = self.leave(pattern, walk);
                if sibling.is_none() {
                    *budget -= 1;
                }
                sibling
            }
            Next::OlderThan { stamp, sought } => {
                let child = self.seek(pattern, walk, stamp, sought);
                if child.is_none() {
                    *budget -= 1;
                }
                child
            }
            Next::Nothing => None,
        }
    }

    fn first_below(&self, interner: &Interner, pattern: &Pattern<'_>, walk: &Walk) -> Option<u32> {
        match pattern.below(walk.way.len()) {
            Step::Any => linked(self.tree.node(walk.stand()).first_child),
            Step::One(_, text) => self.tree.child(interner, walk.stand(), text),
            Step::Nothing => None,
        }
    }

    /// Leaves the stand, for a sibling if the filter has a wildcard there.
    fn leave(&self, pattern: &Pattern<'_>, walk: &mut Walk) -> Option<u32> {
        let Some(left) = walk.pop() else {
            walk.next = Next::Nothing;
            return None;
        };
        match pattern.below(walk.way.len()) {
            Step::Any => linked(self.tree.node(left.node).older_sibling),
            _ => None,
        }
    }

    /// The youngest child of the stand that is older than `stamp`; or `None`, one step nearer to it.
    fn seek(&self, pattern: &Pattern<'_>, walk: &mut Walk, stamp: Stamp, sought: Option<Sought>) -> Option<u32> {
        let from = sought.filter(|sought| self.tree.is_alive(sought.node, sought.stamp)).map(|sought| sought.node);
        let here = from.or_else(|| linked(self.tree.node(walk.stand()).first_child));
        let Some(here) = here.filter(|_| pattern.below(walk.way.len()) == Step::Any) else {
            walk.next = Next::After;
            return None;
        };
        let node = self.tree.node(here);
        if node.stamp < stamp {
            return Some(here);
        }
        walk.next = match linked(node.older_sibling) {
            Some(older) => {
                let sought = Some(Sought { node: older, stamp: self.tree.node(older).stamp });
                Next::OlderThan { stamp, sought }
            }
            None => Next::After,
        };
        None
    }
}

fn linked(node: u32) -> Option<u32> {
    (node != NONE).then_some(node)
}
