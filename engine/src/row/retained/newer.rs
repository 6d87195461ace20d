//! What changed after a position, along the lists of changes, in slices between which more may change.
//!
//! From the newest change to the oldest: so a start costs nothing, and a record that changes meanwhile is ahead of
//! the start and belongs to the next catch-up, from [`Catchup::reached`] on. Rows and tombstones are two lists; the
//! newer of the two next is taken. A place that has moved since the last slice is found again from the newest end,
//! which is far only from records that long did not change.

use super::order::List;
use super::pattern::Pattern;
use super::record::{Order, Record};
use super::slab::{NONE, Slab};
use super::{Retained, tree};
use crate::row::change::Kept;
use crate::topic::{Interner, Level};
use std::ops::ControlFlow;

/// The present of a topic that changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Newer<'a> {
    Row(Kept<'a>),
    Deleted { topic: &'a str, version: u64 },
}

/// Where a catch-up stands. May be dropped at any time.
pub struct Catchup {
    /// The position at the start.
    reached: Option<u64>,
    /// All that is not older has been passed.
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
            passed: Order::LAST,
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
        self.reached.unwrap_or(0)
    }
}

impl Retained {
    /// Visits the rows and tombstones that match `filter` and changed after `since`, the newest first, each topic
    /// once, from where `catchup` stands and with looks at `nodes_max` nodes or so. Returns whether it is complete.
    /// `each` may stop the slice after its topic. Who stands before [`Retained::forgotten`] misses deletions.
    pub fn newer(
        &self,
        interner: &Interner,
        filter: &str,
        since: u64,
        catchup: &mut Catchup,
        nodes_max: usize,
        mut each: impl FnMut(Newer<'_>) -> ControlFlow<()>,
    ) -> bool {
        let pattern = Pattern::new(interner, filter);
        catchup.reached.get_or_insert(self.position());
        let mut budget = nodes_max.max(1);
        while budget > 0 {
            let passed = catchup.passed;
            let row = self.settle(&self.rows, &mut catchup.rows, passed, &mut budget);
            let tombstone = self.settle(&self.tombstones, &mut catchup.tombstones, passed, &mut budget);
            let (ControlFlow::Break(row), ControlFlow::Break(tombstone)) = (row, tombstone) else { continue };
            let newest = row.max(tombstone).filter(|(order, _)| order.position() > since);
            let Some((order, record)) = newest else { return true };
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
        false
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

fn present<'a>(record: &'a Record, topic: &'a str) -> Newer<'a> {
    match record.kept(topic) {
        Some(row) => Newer::Row(row),
        None => Newer::Deleted { topic, version: record.version },
    }
}
