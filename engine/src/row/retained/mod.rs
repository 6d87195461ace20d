//! The retained tree of one shard: every retained row of the groups that it owns.
//!
//! Rows are found by topic, walked by filter in slices, and listed in the order of their changes; deleted rows leave
//! tombstones for those who catch up. Called by the owner's side of the shard, on its core. Never decides what is
//! written or deleted, knows no subscriber, and never works longer in one call than its budget says.
//!
//! ```text
//! tree     nodes by topic      42 bytes a node, 7 to 16 for its place in the tables
//! record   what they hold      48 bytes a row or tombstone, and one allocation for a row's bytes
//! order    the order of changes, for each group a list of rows and one of tombstones
//! walk     rows of a filter, along the tree
//! lapse    tombstones that are forgotten, and the floors that they leave
//! newer    what changed after a position, along the lists
//! missed   what changed after versions of the groups, along the lists or the tree
//! ```

mod lapse;
mod missed;
mod newer;
mod order;
mod pattern;
mod record;
mod slab;
mod tree;
mod walk;

pub use lapse::Lapse;
pub use missed::Missed;
pub use newer::{Catchup, Newer, Scope};
pub use record::UNDER_WAY;
pub use walk::Walk;

use crate::key::GroupId;
use crate::row::change::Kept;
use crate::topic::Interner;
use order::{Lists, Tally};
use record::{Held, Order, Record};
use slab::{NONE, Slab};
use std::collections::BTreeSet;
use tree::Tree;

/// See the module. Every call must be given the interner that the rows were put with.
pub struct Retained {
    tree: Tree,
    records: Slab<Record>,
    lists: Lists,
    /// Rows that expire: wall clock in milliseconds, record.
    expiries: BTreeSet<(u64, u32)>,
    /// Of the latest change.
    order: Order,
    /// Of the latest change that is under way.
    under_way: Order,
    tally: Tally,
    body_bytes: usize,
    /// Of the rows, see `Kept::cost_bytes`.
    cost_bytes: usize,
    forgotten: u64,
}

/// What a put found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// Version of the row before; `None`: it did not exist.
    pub previous_version: Option<u64>,
}

impl Retained {
    pub fn new(seed: u64) -> Retained {
        Retained {
            tree: Tree::new(seed),
            records: Slab::new(),
            lists: Lists::new(),
            expiries: BTreeSet::new(),
            order: Order::FIRST,
            under_way: Order::FIRST,
            tally: Tally::new(),
            body_bytes: 0,
            cost_bytes: 0,
            forgotten: 0,
        }
    }

    /// Writes a row, new or in place of the one with its topic. `position` numbers the batches of this shard, from 1
    /// and never downward; the rows of a batch share one, or have [`UNDER_WAY`] until [`Retained::complete`].
    pub fn put(&mut self, interner: &mut Interner, group: GroupId, row: Kept<'_>, position: u64) -> Written {
        let node = self.tree.find_or_make(interner, row.topic);
        let record = self.record_of(node, group);
        let previous_version = self.take_from_lists(record);
        let this = &mut self.records[record];
        self.cost_bytes -= this.kept(row.topic).map_or(0, |before| before.cost_bytes());
        self.cost_bytes += row.cost_bytes();
        self.body_bytes -= this.body_bytes();
        this.write(row);
        self.body_bytes += this.body_bytes();
        if row.expires_at_ms > 0 {
            self.expiries.insert((row.expires_at_ms, record));
        }
        self.append(record, position);
        self.tree.raise(node, row.version);
        if previous_version.is_none() {
            self.tree.enliven(node);
        }
        Written { previous_version }
    }

    /// Deletes a row and leaves a tombstone with `version`. Returns the version of the row; where there was none,
    /// nothing changes.
    pub fn remove(
        &mut self,
        interner: &Interner,
        topic: &str,
        version: u64,
        position: u64,
        wall_ms: u64,
    ) -> Option<u64> {
        let record = self.find_row(interner, topic)?;
        self.cost_bytes -= self.records[record].kept(topic).map_or(0, |before| before.cost_bytes());
        let previous_version = self.take_from_lists(record);
        self.become_tombstone(record, previous_version, version, position, wall_ms);
        previous_version
    }

    /// Puts a tombstone where there is no row: one that the store remembers.
    pub fn bury(
        &mut self,
        interner: &mut Interner,
        group: GroupId,
        topic: &str,
        version: u64,
        position: u64,
        wall_ms: u64,
    ) {
        let node = self.tree.find_or_make(interner, topic);
        let record = self.record_of(node, group);
        self.cost_bytes -= self.records[record].kept(topic).map_or(0, |before| before.cost_bytes());
        let previous_version = self.take_from_lists(record);
        self.become_tombstone(record, previous_version, version, position, wall_ms);
    }

    /// The row of a topic. One that has expired is there until its owner removes it.
    pub fn get<'s>(&'s self, interner: &Interner, topic: &'s str) -> Option<Kept<'s>> {
        self.records[self.find_row(interner, topic)?].kept(topic)
    }

    pub fn contains(&self, interner: &Interner, topic: &str) -> bool {
        self.find_row(interner, topic).is_some()
    }

    /// Version of the object at a topic: the highest that the topic and all below it have or had, deletions included,
    /// those too that are forgotten, as long as something is left of the object. 0: nothing is known of it. It means
    /// something where the object lies in one group.
    pub fn object_version(&self, interner: &Interner, topic: &str) -> u64 {
        self.tree.find(interner, topic).map_or(0, |node| self.tree.node(node).object_version)
    }

    /// Whether there is a row at the topic or below it.
    pub fn object_exists(&self, interner: &Interner, topic: &str) -> bool {
        self.tree.find(interner, topic).is_some_and(|node| self.tree.node(node).is_live())
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.lists.rows()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Deleted rows that are remembered.
    pub fn tombstones(&self) -> usize {
        self.lists.tombstones()
    }

    /// Topics that are rows, tombstones, or above such.
    pub fn nodes(&self) -> usize {
        self.tree.len()
    }

    /// Memory of all this, without the interner's and the allocator's own.
    pub fn bytes(&self) -> usize {
        self.tree.bytes() + self.records.bytes() + self.body_bytes + self.expiries.len() * size_of::<(u64, u32)>()
    }

    /// What the rows hold beside their topics: payloads, properties and expiries.
    pub fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// What the rows count against `limits.retained_bytes`.
    pub fn cost_bytes(&self) -> usize {
        self.cost_bytes
    }

    /// Position of the latest change; 0: none yet.
    pub fn position(&self) -> u64 {
        self.order.position()
    }

    /// No fewer than the rows and tombstones that [`Retained::newer`] has to look at for `since`, at little cost:
    /// for the choice between it and a walk.
    pub fn newer_than(&self, since: u64) -> usize {
        if since >= self.position() {
            return 0;
        }
        let all = self.lists.rows() + self.lists.tombstones();
        let changes = self.tally.newer_than(since).unwrap_or(u64::MAX);
        all.min(usize::try_from(changes).unwrap_or(usize::MAX))
    }

    /// Some tombstone of this position is gone: who stands before it cannot catch up and needs everything anew.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// When the next row expires, wall clock in milliseconds.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Names up to `max` rows that have expired, the longest expired first. The owner deletes them, by a change.
    pub fn expire(&self, interner: &Interner, wall_ms: u64, max: usize, mut each: impl FnMut(&str, GroupId)) {
        let (mut levels, mut topic) = (Vec::new(), String::new());
        for (_, record) in self.expiries.iter().take_while(|(at, _)| *at <= wall_ms).take(max) {
            let record = &self.records[*record];
            self.tree.levels_upward(record.node, &mut levels);
            tree::spell(interner, &levels, &mut topic);
            each(&topic, record.group());
        }
    }

    fn find_row(&self, interner: &Interner, topic: &str) -> Option<u32> {
        let record = self.tree.node(self.tree.find(interner, topic)?).row;
        (record != NONE && self.records[record].is_row()).then_some(record)
    }

    /// The record of a node; a new one, in no list yet, where it has none.
    fn record_of(&mut self, node: u32, group: GroupId) -> u32 {
        let record = self.tree.node(node).row;
        if record != NONE {
            return record;
        }
        let record = self.records.insert(Record::of(node, group));
        self.tree.node_mut(node).row = record;
        record
    }

    /// Takes a record out of the list that it is in, if any. Returns its version if it is a row.
    fn take_from_lists(&mut self, record: u32) -> Option<u64> {
        let Record { version, order, .. } = self.records[record];
        if order == Order::FIRST {
            return None; // just made
        }
        self.lists.unlink(&mut self.records, record);
        if !self.records[record].is_row() {
            return None;
        }
        let expires_at_ms = self.records[record].expires_at_ms();
        if expires_at_ms > 0 {
            self.expiries.remove(&(expires_at_ms, record));
        }
        Some(version)
    }

    /// `row_version`: of the row that it was, if it was one.
    fn become_tombstone(&mut self, record: u32, row_version: Option<u64>, version: u64, position: u64, wall_ms: u64) {
        let node = self.records[record].node;
        self.tree.raise(node, version);
        if row_version.is_some() {
            self.tree.deaden(node);
        }
        let this = &mut self.records[record];
        self.body_bytes -= this.body_bytes();
        this.held = Held::Tombstone(wall_ms);
        this.version = version;
        self.append(record, position);
    }

    /// The record is the latest change.
    fn append(&mut self, record: u32, position: u64) {
        assert!(position > 0, "positions count from 1");
        if position == UNDER_WAY {
            self.under_way = self.under_way.next(position);
            self.records[record].order = self.under_way;
            return self.lists.append(&mut self.records, record);
        }
        self.order = self.order.next(position);
        self.records[record].order = self.order;
        self.lists.append(&mut self.records, record);
        self.tally.count(self.order, self.lists.rows() + self.lists.tombstones());
    }

    /// A batch of a group whose rows had the position [`UNDER_WAY`] is complete: all of them are the latest change,
    /// which has this position. Until then nobody may read the group by position, and nothing of it be forgotten.
    pub fn complete(&mut self, group: GroupId, position: u64) {
        self.under_way = Order::FIRST;
        for mut record in self.lists.group(group.index()).newest() {
            let mut oldest = NONE;
            while record != NONE && self.records[record].order.position() == UNDER_WAY {
                (oldest, record) = (record, self.records[record].older);
            }
            record = oldest;
            while record != NONE {
                self.order = self.order.next(position);
                self.records[record].order = self.order;
                self.tally.count(self.order, self.lists.rows() + self.lists.tombstones());
                record = self.records[record].newer;
            }
        }
    }

    /// What was put and buried until now came in any order, from the store: from here on each group's changes are listed
    /// in the order of their versions, which is what [`Missed`] goes by.
    pub fn sort_restored(&mut self) {
        let Retained { lists, records, order, .. } = self;
        lists.sort(records, || {
            *order = order.next(order.position());
            *order
        });
    }
}
