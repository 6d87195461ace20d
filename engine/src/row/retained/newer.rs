//! What changed after a position, along the lists of changes, in slices between which more may change.
//!
//! Group by group, in each from the newest change to the oldest: so a start costs nothing, and a record that changes
//! meanwhile is ahead of the start and belongs to the next catch-up, from [`Catchup::reached`] on. Rows and tombstones
//! are two lists; the newer of the two next is taken. A place that has moved since the last slice is found again from
//! the newest end, which is far only from records that long did not change.

use super::order::{GroupLists, List};
use super::pattern::Pattern;
use super::record::{Order, Record};
use super::slab::{NONE, Slab};
use super::{Retained, tree};
use crate::key::GroupId;
use crate::limits::GROUPS;
use crate::row::change::Kept;
use crate::topic::{Interner, Level};
use std::ops::{ControlFlow, Range};

/// The present of a topic that changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Newer<'a> {
    Row(Kept<'a>),
    Deleted { topic: &'a str, version: u64 },
}

/// What is read: the rows that match a filter.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    pub filter: &'a str,
    /// Where the filter lies, if in one group.
    pub group: Option<GroupId>,
}

/// Where a catch-up stands. May be dropped at any time.
pub struct Catchup {
    /// The latest change at the start.
    reached: Option<Order>,
    /// The group at hand.
    group: usize,
    /// All of that group that is not older has been passed.
    passed: Order,
    rows: Place,
    tombstones: Place,
    levels: Vec<Level>,
    topic: String,
}

/// The next record of a list.
#[derive(Clone, Copy)]
enum Place {
    Newest,
    At { record: u32, order: Order },
    End,
}

impl Default for Catchup {
    fn default() -> Catchup {
        Catchup {
            reached: None,
            group: 0,
            passed: Order::FIRST,
            rows: Place::Newest,
            tombstones: Place::Newest,
            levels: Vec::new(),
            topic: String::new(),
        }
    }
}

impl Catchup {
    pub fn new() -> Catchup {
        Catchup::default()
    }

    /// The position that the reader stands at when the catch-up is complete: what changes after its start is newer.
    /// 0 before the start.
    pub fn reached(&self) -> u64 {
        self.reached.map_or(0, Order::position)
    }

    /// Goes on with the newest of a group that is not newer than the start.
    fn begin_group(&mut self, group: usize) {
        let reached = self.reached.unwrap_or(Order::FIRST);
        (self.group, self.passed) = (group, reached.next(reached.position()));
        (self.rows, self.tombstones) = (Place::Newest, Place::Newest);
    }
}

impl Retained {
    /// Visits the rows and tombstones in `scope` that changed after `since`, of each group the newest first, each topic
    /// once, from where `catchup` stands and with looks at `nodes_max` nodes or so. Returns whether the catch-up is
    /// complete. `each` may stop the slice after its topic. Who stands before [`Retained::forgotten`] misses deletions.
    pub fn newer(
        &self,
        interner: &Interner,
        scope: Scope<'_>,
        since: u64,
        catchup: &mut Catchup,
        nodes_max: usize,
        each: impl FnMut(Newer<'_>) -> ControlFlow<()>,
    ) -> bool {
        let is_newer = |record: &Record| record.order.position() > since;
        self.along_lists(interner, scope, is_newer, catchup, nodes_max, each)
    }

    /// As [`Retained::newer`], of each group the newest changes for which `is_newer` holds.
    pub(super) fn along_lists(
        &self,
        interner: &Interner,
        scope: Scope<'_>,
        is_newer: impl Fn(&Record) -> bool,
        catchup: &mut Catchup,
        nodes_max: usize,
        mut each: impl FnMut(Newer<'_>) -> ControlFlow<()>,
    ) -> bool {
        let pattern = Pattern::new(interner, scope.filter);
        let groups = groups_of(scope.group);
        if catchup.reached.is_none() {
            catchup.reached = Some(self.order);
            catchup.begin_group(groups.start);
        }
        let mut budget = nodes_max.max(1);
        while budget > 0 {
            if catchup.group >= groups.end {
                return true;
            }
            let GroupLists { rows, tombstones } = self.lists.group(catchup.group);
            let passed = catchup.passed;
            let row = self.settle(rows, &mut catchup.rows, passed, &mut budget);
            let tombstone = self.settle(tombstones, &mut catchup.tombstones, passed, &mut budget);
            let (ControlFlow::Break(row), ControlFlow::Break(tombstone)) = (row, tombstone) else { continue };
            let newest = row.max(tombstone).filter(|(_, record)| is_newer(&self.records[*record]));
            let Some((order, record)) = newest else {
                catchup.begin_group(catchup.group + 1);
                continue;
            };
            catchup.passed = order;
            let record = &self.records[record];
            self.tree.levels_upward(record.node, &mut catchup.levels);
            budget = budget.saturating_sub(catchup.levels.len());
            if pattern.matches_upward(interner, &catchup.levels) {
                tree::spell(interner, &catchup.levels, &mut catchup.topic);
                if each(present(record, &catchup.topic)).is_break() {
                    break;
                }
            }
        }
        catchup.group >= groups.end
    }

    /// Moves `place` to the newest record of its list that is older than `passed`: found (`Break`), or on the way.
    fn settle(
        &self,
        list: &List,
        place: &mut Place,
        passed: Order,
        budget: &mut usize,
    ) -> ControlFlow<Option<(Order, u32)>> {
        loop {
            let record = match *place {
                Place::At { record, order } if is_still(&self.records, record, order) => record,
                Place::At { .. } | Place::Newest => list.newest,
                Place::End => NONE,
            };
            if record == NONE {
                *place = Place::End;
                return ControlFlow::Break(None);
            }
            let Record { order, older, .. } = self.records[record];
            *place = Place::At { record, order };
            if order < passed {
                return ControlFlow::Break(Some((order, record)));
            }
            if *budget == 0 {
                return ControlFlow::Continue(());
            }
            *budget -= 1;
            *place = match older {
                NONE => Place::End,
                record => Place::At { record, order: self.records[record].order },
            };
        }
    }
}

/// An order is given once, so who has it has not changed.
fn is_still(records: &Slab<Record>, record: u32, order: Order) -> bool {
    records.get(record).is_some_and(|record| record.order == order)
}

pub(super) fn groups_of(group: Option<GroupId>) -> Range<usize> {
    group.map_or(0..GROUPS, |group| group.index()..group.index() + 1)
}

pub(super) fn present<'a>(record: &'a Record, topic: &'a str) -> Newer<'a> {
    match record.kept(topic) {
        Some(row) => Newer::Row(row),
        None => Newer::Deleted { topic, version: record.version },
    }
}
