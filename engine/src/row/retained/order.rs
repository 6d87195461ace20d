//! The order of changes: which records are newer than which, and how many are newer than a position.

use super::record::{Order, Record};
use super::slab::{NONE, Slab};
use std::collections::VecDeque;

/// Records from the oldest to the newest, linked through themselves.
pub(super) struct List {
    pub(super) oldest: u32,
    pub(super) newest: u32,
    len: usize,
}

impl List {
    pub(super) fn new() -> List {
        List { oldest: NONE, newest: NONE, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The record must be newer than all in the list.
    pub(super) fn append(&mut self, records: &mut Slab<Record>, record: u32) {
        let older = std::mem::replace(&mut self.newest, record);
        let this = &mut records[record];
        (this.newer, this.older) = (NONE, older);
        match older {
            NONE => self.oldest = record,
            older => records[older].newer = record,
        }
        self.len += 1;
    }

    pub(super) fn unlink(&mut self, records: &mut Slab<Record>, record: u32) {
        let Record { newer, older, .. } = records[record];
        match newer {
            NONE => self.newest = older,
            newer => records[newer].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => records[older].newer = newer,
        }
        self.len -= 1;
    }
}

/// Marks kept: with the least stride they span the last changes, twice as many as there are records.
const MARKS_MAX: usize = 512;
/// Changes between two marks, at least.
const STRIDE_MIN: u64 = 64;

/// How many changes there were, at some positions of the past.
pub(super) struct Tally {
    changes: u64,
    marks: VecDeque<Mark>,
}

#[derive(Clone, Copy)]
struct Mark {
    position: u64,
    /// Changes up to and including one of this position.
    changes: u64,
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally { changes: 0, marks: VecDeque::new() }
    }

    /// One more change, while there are so many records.
    pub(super) fn count(&mut self, order: Order, records: usize) {
        self.changes += 1;
        let stride = STRIDE_MIN.max(records as u64 * 2 / MARKS_MAX as u64);
        if self.marks.back().is_none_or(|mark| self.changes - mark.changes >= stride) {
            if self.marks.len() == MARKS_MAX {
                self.marks.pop_front();
            }
            self.marks.push_back(Mark { position: order.position(), changes: self.changes });
        }
    }

    /// No fewer than the changes after `since`; `None` where that is too long ago to know.
    pub(super) fn newer_than(&self, since: u64) -> Option<u64> {
        let after = self.marks.partition_point(|mark| mark.position <= since);
        let mark = self.marks.get(after.checked_sub(1)?)?;
        Some(self.changes - mark.changes)
    }
}
