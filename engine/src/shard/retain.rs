//! How much an owner retains, judged for the whole of a packet before any of it is applied (PROTOCOL: all or nothing).

use super::outbox::Outbox;
use super::subtree::Subtree;
use crate::config::{Config, Limits, part};
use crate::key::GroupId;
use crate::row::batch::{Row, View};
use crate::row::change::Past;
use crate::row::history::{History, Which};
use smallvec::SmallVec;

/// What one shard may retain: its part of what the process may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetainBounds {
    pub rows: usize,
    /// Topics, payloads and properties.
    pub bytes: usize,
}

impl RetainBounds {
    pub fn of_shard(limits: &Limits, shards: u16) -> RetainBounds {
        RetainBounds { rows: part(limits.retained_rows, shards), bytes: part(limits.retained_bytes, shards) }
    }
}

/// The histories of one shard, which takes its part of their bytes too.
pub fn history_of_shard(config: &Config, shards: u16) -> History {
    History::new(&config.history, part(config.limits.history_bytes, shards))
}

impl Subtree {
    /// Whether these rows may be retained. What makes the whole no larger always may: deletions, smaller payloads.
    pub(super) fn takes(&self, view: &View<'_>) -> bool {
        // What the broker says about itself is not of those who publish.
        let (rows, bytes) = (self.retained.len() - self.unwritten, self.retained.cost_bytes() - self.unwritten_bytes);
        let room_rows = self.retain_bounds.rows.saturating_sub(rows);
        let room_bytes = self.retain_bounds.bytes.saturating_sub(bytes);
        let (rows_under_way, bytes_under_way) = self.under_way();
        let rows = view.rows.len() + rows_under_way;
        let bytes = view.rows.iter().map(|row| cost_bytes(view, row)).sum::<usize>() + bytes_under_way;
        // As if all of them were new; what is replaced is looked up only where this is too much.
        if rows <= room_rows && bytes <= room_bytes {
            return true;
        }
        if rows_under_way > 0 {
            return false; // the caller has it applied first
        }
        let (added_rows, removed_rows, added_bytes, removed_bytes) = self.difference(view);
        let fits = |added: usize, removed: usize, room: usize| added <= removed || added - removed <= room;
        fits(added_rows, removed_rows, room_rows) && fits(added_bytes, removed_bytes, room_bytes)
    }

    /// The row that `out` was told of last has changed: so its history has, if it is kept.
    pub(super) fn keep_past(&mut self, group: GroupId, past: &Past<'_>, out: &mut Outbox) {
        let mut cut: SmallVec<[Which; 4]> = SmallVec::new();
        if self.history.add(group, past, |which| cut.push(which)) {
            out.changes.remember(past.index);
        }
        cut_all(cut, out);
    }

    /// What the store kept of histories that are kept no longer goes.
    pub(super) fn cut_unwanted(&mut self, out: &mut Outbox) {
        let unwanted = self.history.take_unwanted();
        if !unwanted.is_empty() {
            cut_all(unwanted, out);
            out.changes.advance();
        }
    }

    /// Rows and bytes that the rows add, and those that go for them.
    fn difference(&self, view: &View<'_>) -> (usize, usize, usize, usize) {
        // Of a topic that comes twice the last row wins, so no other may count.
        let mut rows: Vec<&Row> = view.rows.iter().collect();
        rows.sort_by_key(|row| view.topic(row));
        let (mut added_rows, mut removed_rows, mut added_bytes, mut removed_bytes) = (0, 0, 0, 0);
        for of_topic in rows.chunk_by(|a, b| view.topic(a) == view.topic(b)) {
            let Some(row) = of_topic.last() else { continue };
            if let Some(before) = self.retained.get(&self.interner, view.topic(row)) {
                removed_rows += 1;
                removed_bytes += before.cost_bytes();
            }
            if !row.payload.is_empty() {
                added_rows += 1;
                added_bytes += cost_bytes(view, row);
            }
        }
        (added_rows, removed_rows, added_bytes, removed_bytes)
    }
}

fn cut_all(cut: impl IntoIterator<Item = Which>, out: &mut Outbox) {
    for (group, version, index) in cut {
        out.changes.cut(group, version, index);
    }
}

fn cost_bytes(view: &View<'_>, row: &Row) -> usize {
    (row.topic.len + row.payload.len + view.packet.properties.len) as usize
}
