//! Catch-up at the owner: retained messages of plain subscribers, snapshots and slow readers of merged ones. One
//! mechanism: a walk of what the filter matches, then what changed since the walk began, in slices that the reader
//! asks for one at a time.
//!
//! ```text
//! since > 0     newer(since) ─▶ newer(reached) ─▶ … until one pass begins and ends in the same turn: that is E
//! since = 0     walk(until E0) ─▶ newer(E0) ─▶ …
//! ```

use super::parcel::{DownItem, Frame, Part, WalkStart};
use super::subtree::{Homes, Subtree};
use crate::key::{Client, FilterHandle, GroupId, SessionKey, ShardId, Span};
use crate::limits::{WALK_BYTES_PER_TURN_MAX, WALK_ROWS_PER_TURN_MAX};
use crate::row::batch::{Batch, Packet, Row};
use crate::row::change::Kept;
use crate::row::merge::Merge;
use crate::row::retained::{Catchup, Newer, Retained, Walk};
use crate::topic::{Interner, Kind, Roots};
use crate::wire::QoS;
use foldhash::HashMap;
use std::ops::ControlFlow;

/// Walks under way, by the home that asked and its name for them.
#[derive(Default)]
pub struct Walks {
    open: HashMap<(ShardId, u32), Open>,
}

struct Open {
    filter: Box<str>,
    kind: Kind,
    body_bytes_max: usize,
    reset: bool,
    /// Where the filter lies, if in one group.
    group: Option<GroupId>,
    phase: Phase,
}

enum Phase {
    Walking { walk: Box<Walk>, began: u64 },
    Newer { since: u64, catchup: Box<Catchup> },
}

/// Rows of one slice.
#[derive(Clone, Copy)]
struct Slice {
    rows: usize,
    bytes: usize,
    qos: QoS,
}

impl Slice {
    fn add(&mut self, bytes: usize, qos: QoS) -> ControlFlow<()> {
        self.rows += 1;
        self.bytes += bytes;
        self.qos = self.qos.max(qos);
        let is_full = self.rows >= WALK_ROWS_PER_TURN_MAX || self.bytes >= WALK_BYTES_PER_TURN_MAX;
        if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Subtree {
    /// Begins a walk and sends its first slice.
    pub fn walk(&mut self, home: ShardId, start: WalkStart, filter: &str, roots: &Roots, homes: &mut impl Homes) {
        // A reader that stands before tombstones that are gone would miss deletions: it starts anew.
        let is_lost = start.since > 0 && start.since < self.retained.forgotten();
        let phase = if start.since == 0 || is_lost {
            let began = self.position;
            Phase::Walking { walk: Box::new(Walk::until(began)), began }
        } else {
            Phase::Newer { since: start.since, catchup: Box::default() }
        };
        let body_bytes_max = (start.body_bytes_max as usize).min(self.frame_bytes_max);
        let group = roots.group_of_filter(filter);
        let open = Open { filter: filter.into(), kind: start.kind, body_bytes_max, reset: is_lost, group, phase };
        self.walks.open.insert((home, start.walk), open);
        self.continue_walk(home, start.walk, homes);
    }

    pub fn cancel_walk(&mut self, home: ShardId, walk: u32) {
        self.walks.open.remove(&(home, walk));
    }

    /// Sends the next slice.
    pub fn continue_walk(&mut self, home: ShardId, walk: u32, homes: &mut impl Homes) {
        let Some(mut open) = self.walks.open.remove(&(home, walk)) else { return };
        let done = match open.kind {
            Kind::Plain => self.plain_slice(home, walk, &mut open, homes),
            Kind::Merged => self.merged_slice(home, walk, &mut open, homes),
        };
        if !done {
            self.walks.open.insert((home, walk), open);
        }
    }

    /// Rows as they are kept. What changes while a plain walk goes on reaches its reader live.
    fn plain_slice(&mut self, home: ShardId, walk: u32, open: &mut Open, homes: &mut impl Homes) -> bool {
        let Phase::Walking { walk: stand, .. } = &mut open.phase else { return true };
        // One parcel for rows and item: asked for again it may be another, when these rows have filled this one.
        let down = homes.down_to(home);
        let first = down.batch.packets.len() as u32;
        let mut slice = Slice { rows: 0, bytes: 0, qos: QoS::AtMostOnce };
        let done = self.retained.walk(&self.interner, &open.filter, stand, WALK_ROWS_PER_TURN_MAX, |kept| {
            copy_kept(&mut down.batch, kept);
            slice.add(kept.payload.len() + kept.topic.len(), kept.qos)
        });
        let count = slice.rows as u32;
        down.items.push(DownItem::Rows { walk, first, count, done });
        done
    }

    fn merged_slice(&mut self, home: ShardId, walk: u32, open: &mut Open, homes: &mut impl Homes) -> bool {
        let mut slice = Slice { rows: 0, bytes: 0, qos: QoS::AtMostOnce };
        self.merge.begin(&open.filter);
        let done = gather(&self.retained, &self.interner, open, self.position, &mut self.merge, &mut slice);
        let about = Frame {
            handle: FilterHandle(0),
            body: Span::EMPTY,
            event: false,
            qos: slice.qos,
            publisher: Client { home: self.me, session: SessionKey::NONE },
            rows: 0,
            skipped: 0,
            more: false,
            position: self.position,
            group: open.group.unwrap_or_default(),
            version: open.group.map_or(0, |group| self.groups[group.index()].last),
        };
        let mut bodies: Vec<(Vec<u8>, u32, bool)> = Vec::new();
        let skipped = self.merge.finish_split(open.body_bytes_max, |body, rows, last| {
            bodies.push((body.to_vec(), rows as u32, last));
        });
        let down = homes.down_to(home);
        for (body, rows, last) in bodies {
            let (skipped, more) = if last { (skipped, !done) } else { (0, true) };
            let frame = Frame { body: down.batch.keep(&body), rows, skipped, more, ..about };
            let reset = std::mem::take(&mut open.reset);
            down.items.push(DownItem::Part(Part { walk, frame, reset, slice_end: last, done: done && last }));
        }
        done
    }
}

/// Adds rows to the merge until the slice is full. Returns whether the reader now has everything up to `position`.
fn gather(
    retained: &Retained,
    interner: &Interner,
    open: &mut Open,
    position: u64,
    merge: &mut Merge,
    slice: &mut Slice,
) -> bool {
    if let Phase::Walking { walk, began } = &mut open.phase {
        let complete = retained.walk(interner, &open.filter, walk, WALK_ROWS_PER_TURN_MAX, |kept| {
            merge.row(kept.topic, kept.payload, kept.text, false);
            slice.add(kept.payload.len() + kept.topic.len(), kept.qos)
        });
        if !complete {
            return false;
        }
        open.phase = Phase::Newer { since: *began, catchup: Box::default() };
    }
    let Phase::Newer { since, catchup } = &mut open.phase else { return true };
    while slice.rows < WALK_ROWS_PER_TURN_MAX && slice.bytes < WALK_BYTES_PER_TURN_MAX {
        let nodes = WALK_ROWS_PER_TURN_MAX;
        let complete = retained.newer(interner, &open.filter, *since, catchup, nodes, |newer| match newer {
            Newer::Row(kept) => {
                merge.row(kept.topic, kept.payload, kept.text, false);
                slice.add(kept.payload.len() + kept.topic.len(), kept.qos)
            }
            Newer::Deleted { topic, .. } => {
                merge.row(topic, &[], false, true);
                // A tombstone has no QoS of its own: what the reader was granted decides.
                slice.add(topic.len(), QoS::ExactlyOnce)
            }
        });
        if !complete {
            return false;
        }
        (*since, **catchup) = (catchup.reached(), Catchup::new());
        if *since >= position {
            return true;
        }
    }
    false
}

/// One packet of one row in the arena of a parcel.
fn copy_kept(batch: &mut Batch, kept: Kept<'_>) {
    let (topic, payload) = (batch.keep(kept.topic.as_bytes()), batch.keep(kept.payload));
    let properties = batch.keep(kept.properties);
    let first_row = batch.rows.len() as u32;
    batch.rows.push(Row { topic, payload, text: kept.text });
    batch.packets.push(Packet {
        publisher: Client { home: ShardId(0), session: SessionKey::NONE },
        ticket: 0,
        qos: kept.qos,
        retain: true,
        wants_verdict: false,
        properties,
        expires_at_ms: kept.expires_at_ms,
        first_row,
        row_count: 1,
    });
}
