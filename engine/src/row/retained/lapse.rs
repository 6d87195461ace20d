//! Tombstones that are forgotten, and what they leave.
//!
//! The version of an object never falls while something is left of it. In memory that needs nothing, but a store that
//! gives back rows and tombstones gives only the versions of these; so it is told of each object whose version would
//! not be theirs: its floor.
//!
//! ```text
//! o 9 ─┬─ a 9 ─── x 9 †          x is forgotten, a is pruned: the floor of o is 9
//!      └─ b 3 ─── y 3            if z of version 12 were below o, no floor were needed
//! ```

use super::slab::NONE;
use super::tree::{self, ROOT};
use super::{Record, Retained};
use crate::key::GroupId;
use crate::topic::Interner;

/// What is forgotten, for the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lapse<'a> {
    Tombstone {
        group: GroupId,
        topic: &'a str,
        version: u64,
    },
    /// From here on the floor of the object at `topic` is `version`; 0: it has none, nothing is left of the object.
    /// `below`: the tombstone that was forgotten, of the same group.
    Floor {
        group: GroupId,
        topic: &'a str,
        version: u64,
        below: &'a str,
    },
}

impl Retained {
    /// Forgets the oldest tombstones beyond `count_max`, and those left before `older_than_wall_ms`, but not more than
    /// `trimmed_max` in this call. Returns how many.
    pub fn trim_tombstones(
        &mut self,
        interner: &mut Interner,
        count_max: usize,
        older_than_wall_ms: u64,
        trimmed_max: usize,
        mut each: impl FnMut(Lapse<'_>),
    ) -> usize {
        let mut trimmed = 0;
        let (mut levels, mut topic) = (Vec::new(), String::new());
        while trimmed < trimmed_max
            && let Some((wall_ms, oldest)) = self.lists.oldest_tombstone()
            && (wall_ms < older_than_wall_ms || self.lists.tombstones() > count_max)
        {
            self.tree.levels_upward(self.records[oldest].node, &mut levels);
            tree::spell(interner, &levels, &mut topic);
            self.forget(interner, oldest, &topic, &mut each);
            trimmed += 1;
        }
        trimmed
    }

    fn forget(&mut self, interner: &mut Interner, tombstone: u32, below: &str, each: &mut impl FnMut(Lapse<'_>)) {
        self.lists.unlink(&mut self.records, tombstone);
        let record = self.records.remove(tombstone);
        let (group, Record { node, order, mut version, .. }) = (record.group(), record);
        // planted: nobody is told that deletions are forgotten
        if cfg!(not(mutant = "tombstone")) {
            self.forgotten = self.forgotten.max(order.position());
        }
        self.tree.node_mut(node).row = NONE;
        each(Lapse::Tombstone { group, topic: below, version });
        let mut topic = below;
        let left = self.tree.prune(interner, node, |gone| {
            if gone.has_floor() {
                each(Lapse::Floor { group, topic, version: 0, below });
            }
            version = version.max(gone.object_version);
            topic = topic.rsplit_once('/').map_or("", |(above, _)| above);
        });
        // Where what is left has a greater number, that number is not gone with this one.
        if left != ROOT && self.tree.node(left).object_version == version {
            self.tree.set_floor(left);
            each(Lapse::Floor { group, topic, version, below });
        }
    }

    /// The floor of an object that something is left of, from the store.
    pub fn restore_floor(&mut self, interner: &Interner, topic: &str, version: u64) {
        if let Some(node) = self.tree.find(interner, topic) {
            self.tree.raise(node, version);
            self.tree.set_floor(node);
        }
    }
}
