//! The order of changes: of each group which records are newer than which, and how many are newer than a position.

use super::record::{Held, Order, Record};
use super::slab::{NONE, Slab};
use crate::key::GroupId;
use crate::limits::GROUPS;
use std::collections::{BTreeSet, VecDeque};

/// Records from the oldest to the newest, linked through themselves.
pub(super) struct List {
    pub(super) oldest: u32,
    pub(super) newest: u32,
}

impl List {
    pub(super) fn new() -> List {
        List { oldest: NONE, newest: NONE }
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
    }
}

/// The lists of all groups.
pub(super) struct Lists {
    groups: Vec<GroupLists>,
    /// Groups that have tombstones, by the wall clock time of their oldest.
    oldest: BTreeSet<(u64, GroupId)>,
    rows: usize,
    tombstones: usize,
}

/// Of one group, in the order of their versions.
pub(super) struct GroupLists {
    pub(super) rows: List,
    pub(super) tombstones: List,
}

impl GroupLists {
    /// The newest row and the newest tombstone; `NONE` where there is none.
    pub(super) fn newest(&self) -> [u32; 2] {
        [self.rows.newest, self.tombstones.newest]
    }
}

impl Lists {
    pub(super) fn new() -> Lists {
        let of_group = |_| GroupLists { rows: List::new(), tombstones: List::new() };
        Lists { groups: (0..GROUPS).map(of_group).collect(), oldest: BTreeSet::new(), rows: 0, tombstones: 0 }
    }

    pub(super) fn group(&self, group: usize) -> &GroupLists {
        &self.groups[group]
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn tombstones(&self) -> usize {
        self.tombstones
    }

    /// The record must be newer than all of its group.
    pub(super) fn append(&mut self, records: &mut Slab<Record>, record: u32) {
        let group = records[record].group();
        if records[record].is_row() {
            self.rows += 1;
            self.groups[group.index()].rows.append(records, record);
            return;
        }
        self.tombstones += 1;
        let list = &mut self.groups[group.index()].tombstones;
        list.append(records, record);
        if list.oldest == record {
            self.oldest.insert((buried_at_ms(records, record), group));
        }
    }

    pub(super) fn unlink(&mut self, records: &mut Slab<Record>, record: u32) {
        let group = records[record].group();
        if records[record].is_row() {
            self.rows -= 1;
            self.groups[group.index()].rows.unlink(records, record);
            return;
        }
        self.tombstones -= 1;
        let list = &mut self.groups[group.index()].tombstones;
        let was_oldest = list.oldest == record;
        list.unlink(records, record);
        if was_oldest {
            self.oldest.remove(&(buried_at_ms(records, record), group));
            if list.oldest != NONE {
                self.oldest.insert((buried_at_ms(records, list.oldest), group));
            }
        }
    }

    /// Of the oldest tombstones of all groups the one that was left first.
    pub(super) fn oldest_tombstone(&self) -> Option<(u64, u32)> {
        let (wall_ms, group) = *self.oldest.first()?;
        Some((wall_ms, self.groups[group.index()].tombstones.oldest))
    }

    /// Brings the records of each group into the order of their versions; `next` gives each its new place.
    pub(super) fn sort(&mut self, records: &mut Slab<Record>, mut next: impl FnMut() -> Order) {
        let mut all: Vec<(u64, u32)> = Vec::new();
        for group in 0..GROUPS {
            all.clear();
            for mut at in self.groups[group].newest() {
                while at != NONE {
                    all.push((records[at].version, at));
                    at = records[at].older;
                }
            }
            all.sort_unstable();
            for (_, record) in &all {
                self.unlink(records, *record);
            }
            for (_, record) in &all {
                records[*record].order = next();
                self.append(records, *record);
            }
        }
    }
}

fn buried_at_ms(records: &Slab<Record>, record: u32) -> u64 {
    match records[record].held {
        Held::Tombstone(wall_ms) => wall_ms,
        Held::Row(_) => 0,
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
