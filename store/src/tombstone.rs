//! The queue of tombstones, oldest first, by which the store forgets them: by age and by number.
//!
//! Lives on the writer's thread, inside its commits. Time is what the changes say; without deletions nothing is
//! forgotten and nothing is written.

use crate::key;
use crate::record::{RowRecord, Scribe, read_tombstone};
use crate::restore::read_kept;
use crate::table::{Edit, Table, TableError};
use engine::key::GroupId;

/// How long and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub age_ms: u64,
    pub max: u64,
}

/// Tombstones that one commit forgets beyond twice those that it adds.
const FORGET_PER_COMMIT: u64 = 64;

/// Places from `first` up to `next`; some may have been overtaken by a new row, they are let go when their turn comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Queue {
    first: u64,
    next: u64,
    /// Of the commit in progress.
    added: u64,
    newest_ms: u64,
}

/// One that is due, copied: a walk must not see its own edits.
struct Due {
    place: u64,
    row_key: Vec<u8>,
    version: u64,
}

impl Queue {
    pub fn read(table: &dyn Table) -> Result<Queue, TableError> {
        let mut queue: Option<Queue> = None;
        table.walk(&[key::TOMBSTONE], &mut |key, _| {
            let Some(place) = key::tombstone_place(key) else { return false };
            let first = queue.map_or(place, |queue| queue.first);
            queue = Some(Queue { first, next: place + 1, ..Queue::default() });
            true
        })?;
        Ok(queue.unwrap_or_default())
    }

    pub fn add(
        &mut self,
        edit: &mut dyn Edit,
        scribe: &mut Scribe,
        row_key: &[u8],
        version: u64,
        wall_ms: u64,
    ) -> Result<(), TableError> {
        edit.put(&key::tombstone(self.next), scribe.tombstone(row_key, version, wall_ms))?;
        self.next += 1;
        self.added += 1;
        self.newest_ms = self.newest_ms.max(wall_ms);
        Ok(())
    }

    /// Forgets what is too old or too much, a bounded number at a time, and tells of which group and number.
    pub fn forget(
        &mut self,
        edit: &mut dyn Edit,
        terms: Terms,
        forgotten: &mut dyn FnMut(GroupId, u64),
    ) -> Result<(), TableError> {
        if self.added == 0 {
            return Ok(());
        }
        for due in self.due(edit, terms)? {
            edit.delete(&key::tombstone(due.place))?;
            self.first = due.place + 1;
            let mut of_group = None;
            edit.get(&due.row_key, &mut |value| match read_kept(&due.row_key, value) {
                Ok((group, RowRecord::Tombstone { version, .. })) if version == due.version => of_group = Some(group),
                _ => {}
            })?;
            if let Some(group) = of_group {
                edit.delete(&due.row_key)?;
                forgotten(group, due.version);
            }
        }
        self.added = 0;
        Ok(())
    }

    fn due(&self, edit: &dyn Edit, terms: Terms) -> Result<Vec<Due>, TableError> {
        let most = (2 * self.added + FORGET_PER_COMMIT) as usize;
        let oldest_kept_ms = self.newest_ms.saturating_sub(terms.age_ms);
        let first_kept = self.next.saturating_sub(terms.max);
        let mut due = Vec::new();
        edit.walk(&key::tombstone(self.first), &mut |key, value| {
            let Some(place) = key::tombstone_place(key) else { return false };
            // A place that cannot be read is let go.
            let record = read_tombstone(value).ok();
            let old = record.as_ref().is_none_or(|record| record.wall_ms < oldest_kept_ms);
            let goes = due.len() < most && (old || place < first_kept);
            if goes {
                let row_key = record.as_ref().map(|record| record.row_key.to_vec()).unwrap_or_default();
                let version = record.map_or(0, |record| record.version);
                due.push(Due { place, row_key, version });
            }
            goes
        })?;
        Ok(due)
    }
}
