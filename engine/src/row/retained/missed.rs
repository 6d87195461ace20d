//! What changed after versions of the groups: for a reader that says where it stood, perhaps long ago and before the
//! last start, by the numbers of a cursor.
//!
//! ```text
//! lists   the newest changes of each group, until one that the reader has: where these are few
//! tree    what is below the filter, without the objects that have not changed: where the filter is narrow
//! ```
//!
//! Both show each topic once, as it is now, and leave out what changes after the start: that is for
//! [`Retained::newer`], from [`Missed::reached`] on.

use super::Retained;
use super::newer::{Catchup, Newer, Scope, groups_of, present};
use super::record::Record;
use super::slab::NONE;
use super::walk::Walk;
use crate::key::GroupId;
use crate::topic::Interner;
use std::ops::ControlFlow;

/// Where such a reading stands. May be dropped at any time.
pub struct Missed {
    listed_max: usize,
    way: Option<Way>,
    /// The position at the start.
    reached: u64,
}

enum Way {
    Lists(Box<Catchup>),
    Tree(Box<Walk>),
}

impl Missed {
    /// Goes along the lists where so many records are newer at most.
    pub fn new(listed_max: usize) -> Missed {
        Missed { listed_max, way: None, reached: 0 }
    }

    /// The position that the reader stands at when it has been shown everything. 0 before the start.
    pub fn reached(&self) -> u64 {
        self.reached
    }
}

impl Retained {
    /// Visits the rows and tombstones in `scope` whose versions are above what `since` says of their groups, from where
    /// `missed` stands and with looks at `nodes_max` nodes or so. Returns whether it is complete. `each` may stop the
    /// slice after its topic. Of a group whose tombstones above `since` are forgotten, deletions are missing: see
    /// `row::numbers`.
    pub fn missed(
        &self,
        interner: &Interner,
        scope: Scope<'_>,
        since: &dyn Fn(GroupId) -> u64,
        missed: &mut Missed,
        nodes_max: usize,
        mut each: impl FnMut(Newer<'_>) -> ControlFlow<()>,
    ) -> bool {
        let is_newer = |record: &Record| record.version > since(record.group());
        let way = missed.way.get_or_insert_with(|| {
            missed.reached = self.position();
            let are_few = self.is_listed(scope, missed.listed_max, is_newer);
            if are_few { Way::Lists(Box::default()) } else { Way::Tree(Box::new(Walk::until(missed.reached))) }
        });
        match way {
            Way::Lists(catchup) => self.along_lists(interner, scope, is_newer, catchup, nodes_max, each),
            Way::Tree(walk) => {
                // An object above which nothing is newer has nothing newer in it, whatever its group.
                let groups = groups_of(scope.group).map(|group| GroupId(group as u16));
                let least = groups.map(since).min().unwrap_or(0);
                let is_open = |object_version| object_version > least;
                self.walk_records(interner, scope.filter, walk, nodes_max, is_open, |record, topic| {
                    if is_newer(record) { each(present(record, topic)) } else { ControlFlow::Continue(()) }
                })
            }
        }
    }

    /// Whether no more records than that are newer.
    fn is_listed(&self, scope: Scope<'_>, listed_max: usize, is_newer: impl Fn(&Record) -> bool) -> bool {
        let mut count = 0;
        for mut at in groups_of(scope.group).flat_map(|group| self.lists.group(group).newest()) {
            while at != NONE && count <= listed_max && is_newer(&self.records[at]) {
                count += 1;
                at = self.records[at].older;
            }
        }
        count <= listed_max
    }
}
