//! Catch-up at the owner: retained messages of plain subscribers, snapshots and slow readers of merged ones. One
//! mechanism: a walk of what the filter matches, then what changed since the walk began, in slices that the reader
//! asks for one at a time.
//!
//! ```text
//! after     newer(since) ─▶ newer(reached) ─▶ … until one pass begins and ends in the same turn: that is E
//! nothing   walk(until E0) ─▶ newer(E0) ─▶ …
//! cursor    [histories(versions) ─▶] missed(versions) ─▶ newer(reached) ─▶ …
//! ```

use super::merging::objects_of;
use super::parcel::{DownItem, Frame, Part, Stand, WalkStart};
use super::subtree::{Homes, Subtree};
use super::telling::Telling;
use crate::key::{Client, FilterHandle, GroupId, SessionKey, ShardId, Span};
use crate::limits::{FRAME_NODES_PER_TURN_MAX, FRAME_ROWS_PER_TURN_MAX};
use crate::limits::{WALK_BYTES_PER_TURN_MAX, WALK_ROWS_PER_TURN_MAX, WALK_SLICE_ROWS};
use crate::row::batch::{Batch, Packet, Row};
use crate::row::change::Kept;
use crate::row::history::History;
use crate::row::merge::{Merge, Objects};
use crate::row::retained::{Catchup, Missed, Newer, Retained, Scope, Walk};
use crate::session::cursor::Versions;
use crate::topic::{Interner, Kind, Roots, is_wildcard, stem};
use crate::wire::QoS;
use foldhash::HashMap;
use std::collections::VecDeque;
use std::ops::ControlFlow;

/// Walks under way, by the home that asked and its name for them.
pub struct Walks {
    open: HashMap<(ShardId, u32), Open>,
    /// They were asked for, and wait for the next turn, or until a batch of theirs is applied.
    pub(super) parked: VecDeque<(ShardId, u32)>,
    /// Rows that all walks together may still send in this turn. Each slice is bounded; two hundred in one turn are not.
    pub(super) rows_left: usize,
}

impl Walks {
    pub fn new(rows_left: usize) -> Walks {
        Walks { open: HashMap::default(), parked: VecDeque::new(), rows_left }
    }

    pub fn spend(&mut self, rows: usize) {
        self.rows_left = self.rows_left.saturating_sub(rows);
    }
}

/// Along the lists of changes rather than through the tree, where no more records are newer.
const LISTED_MAX: usize = 4 * WALK_ROWS_PER_TURN_MAX;

pub(super) struct Open {
    pub filter: Box<str>,
    kind: Kind,
    body_bytes_max: usize,
    pub reset: bool,
    /// Where the filter lies, if in one group.
    pub group: Option<GroupId>,
    /// With option `events`: it goes before the phase.
    telling: Option<Box<Telling>>,
    phase: Phase,
    /// Frames that are made and wait to be asked for.
    pub bodies: VecDeque<Body>,
    /// With these frames the reader has everything up to this position.
    complete_at: Option<u64>,
}

/// A frame without rows is not sent, unless it is the last.
#[derive(Default)]
pub(super) struct Body {
    /// A tree, and behind it that of its versions.
    bytes: Vec<u8>,
    versions_len: u32,
    rows: u32,
    skipped: u32,
    qos: QoS,
    /// Version of the object at the stem.
    object: u64,
}

enum Phase {
    Walking { walk: Box<Walk>, began: u64 },
    Newer { since: u64, catchup: Box<Catchup> },
    Missed { since: Versions, missed: Box<Missed> },
}

/// Rows of one slice.
#[derive(Clone, Copy)]
struct Slice {
    rows: usize,
    rows_max: usize,
    bytes: usize,
    bytes_max: usize,
    qos: QoS,
}

impl Slice {
    fn new(rows_max: usize, bytes_max: usize) -> Slice {
        Slice { rows: 0, rows_max, bytes: 0, bytes_max, qos: QoS::AtMostOnce }
    }

    fn is_full(&self) -> bool {
        self.rows >= self.rows_max || self.bytes >= self.bytes_max
    }

    fn add(&mut self, bytes: usize, qos: QoS) -> ControlFlow<()> {
        self.rows += 1;
        self.bytes += bytes;
        self.qos = self.qos.max(qos);
        if self.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Subtree {
    /// Begins a walk and sends its first slice.
    pub fn walk(
        &mut self,
        home: ShardId,
        start: WalkStart,
        (filter, versions): (&str, &Versions),
        roots: &Roots,
        homes: &mut impl Homes,
    ) {
        let group = roots.group_of_filter(filter);
        let Stand { since, whole, events } = start.stand;
        let is_cursor = start.stand.is_cursor();
        // A reader that stands before tombstones that are gone would miss deletions: it starts anew.
        let is_lost = match is_cursor {
            true => self.own_groups(group, roots).any(|group| !self.can_resume(group, versions.get(group))),
            false => since > 0 && since < self.retained.forgotten(),
        };
        let phase = if whole || is_lost {
            let began = if since == 0 || is_lost || is_cursor { self.position } else { since };
            Phase::Walking { walk: Box::new(Walk::until(self.position)), began }
        } else if is_cursor {
            Phase::Missed { since: versions.clone(), missed: Box::new(Missed::new(LISTED_MAX)) }
        } else {
            Phase::Newer { since, catchup: Box::default() }
        };
        let telling = (events && is_cursor && !is_lost).then(|| {
            let until = self.stands_of(group, roots);
            Box::new(Telling::new(versions.clone(), until))
        });
        let tree_bytes_max = start.kind.form().tree_bytes_max(self.frame_bytes_max, group.is_some());
        let body_bytes_max = (start.body_bytes_max as usize).min(tree_bytes_max);
        let open = Open {
            filter: filter.into(),
            kind: start.kind,
            body_bytes_max,
            reset: is_lost,
            group,
            telling,
            phase,
            bodies: VecDeque::new(),
            complete_at: None,
        };
        self.walks.open.insert((home, start.walk), open);
        if !start.waits {
            self.continue_walk(home, start.walk, roots, homes);
        }
    }

    /// Whether a reader can be told what it missed of a group.
    pub(super) fn can_resume(&self, group: GroupId, version: u64) -> bool {
        version == 0 || self.groups[group.index()].can_resume(version) // who has nothing misses no deletion
    }

    pub fn cancel_walk(&mut self, home: ShardId, walk: u32) {
        self.walks.open.remove(&(home, walk));
    }

    /// Sends the next slice.
    pub fn continue_walk(&mut self, home: ShardId, walk: u32, roots: &Roots, homes: &mut impl Homes) {
        let Some(mut open) = self.walks.open.remove(&(home, walk)) else { return };
        if self.walks.rows_left == 0 || self.is_busy_in(open.group) {
            self.walks.open.insert((home, walk), open);
            return self.walks.parked.push_back((home, walk));
        }
        self.walks.spend(WALK_SLICE_ROWS);
        let done = match open.kind {
            Kind::Plain => self.plain_slice(home, walk, &mut open, homes),
            Kind::Merged(_) => self.merged_slice(home, walk, &mut open, roots, homes),
            Kind::Shared => true, // a share group reads no retained messages, MQTT 5 section 4.8.2
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
        let (first, first_version) = (down.batch.packets.len() as u32, down.versions.len() as u32);
        let mut slice = Slice::new(WALK_ROWS_PER_TURN_MAX, WALK_BYTES_PER_TURN_MAX);
        let done = self.retained.walk(&self.interner, &open.filter, stand, WALK_ROWS_PER_TURN_MAX, |kept| {
            copy_kept(&mut down.batch, kept);
            down.versions.push(kept.version);
            slice.add(kept.payload.len() + kept.topic.len(), kept.qos)
        });
        self.walks.spend(slice.rows);
        let count = slice.rows as u32;
        down.items.push(DownItem::Rows { walk, first, count, first_version, done });
        done
    }

    /// One frame. It completes the walk if nothing changed since the last frames were made.
    fn merged_slice(
        &mut self,
        home: ShardId,
        walk: u32,
        open: &mut Open,
        roots: &Roots,
        homes: &mut impl Homes,
    ) -> bool {
        if open.bodies.is_empty() {
            open.reset |= self.is_overtaken(open, roots);
            self.make_bodies(open, roots);
        }
        let Some(Body { bytes, versions_len, rows, skipped, qos, object }) = open.bodies.pop_front() else {
            return true;
        };
        let done = open.bodies.is_empty() && open.complete_at == Some(self.position);
        let down = homes.down_to(home);
        let frame = Frame {
            handle: FilterHandle(0),
            body: down.batch.keep(&bytes),
            versions_len,
            event: false,
            qos,
            publisher: Client { home: self.me, session: SessionKey::NONE },
            rows,
            skipped,
            more: !done,
            position: self.position,
            group: open.group.unwrap_or_default(),
            version: open.group.map_or(0, |group| self.groups[group.index()].stand()),
            object,
        };
        let reset = std::mem::take(&mut open.reset);
        let stands = if done { self.keep_stands(open.group, roots, &mut down.batch) } else { Span::EMPTY };
        down.items.push(DownItem::Part(Part { walk, frame, reset, done, stands }));
        done
    }

    /// Whether deletions that the reader is still to be told were forgotten since the walk began: it starts anew.
    fn is_overtaken(&self, open: &Open, roots: &Roots) -> bool {
        match &open.phase {
            Phase::Walking { began, .. } => *began < self.retained.forgotten(),
            Phase::Newer { since, .. } => *since > 0 && *since < self.retained.forgotten(),
            Phase::Missed { since, .. } => {
                self.own_groups(open.group, roots).any(|group| !self.can_resume(group, since.get(group)))
            }
        }
    }

    /// Makes frames of the next changes, or of the next rows, at least one.
    fn make_bodies(&mut self, open: &mut Open, roots: &Roots) {
        open.complete_at = None;
        if let Some(mut telling) = open.telling.take() {
            self.tell(open, &mut telling, roots);
            let is_over = telling.is_over();
            open.telling = Some(telling);
            if !is_over {
                if open.bodies.is_empty() {
                    open.bodies.push_back(Body::default());
                }
                return;
            }
        }
        let is_wild = is_wildcard(&open.filter);
        let bytes_max = if is_wild { open.slice_bytes_max() } else { usize::MAX };
        let mut slice = Slice::new(FRAME_ROWS_PER_TURN_MAX, bytes_max);
        self.merge.begin(&open.filter, open.kind.form());
        let (retained, interner, history) = (&self.retained, &self.interner, &self.history);
        let mut gather = || gather(retained, interner, history, open, self.position, &mut self.merge, &mut slice);
        let mut complete = gather();
        // The one row of a filter without wildcard is one frame: a second, empty one would say that it is gone.
        while !complete && !is_wild {
            complete = gather();
        }
        // The last change that was told may be the end. Without wildcard the row comes all the same, as it is.
        let is_newest = |telling: &Telling| telling.has_newest(history, &open.filter);
        let adds_nothing = self.merge.is_empty() || !is_wild && open.telling.as_deref().is_some_and(is_newest);
        self.walks.spend(slice.rows);
        let object = self.retained.object_version(&self.interner, stem(&open.filter));
        match open.bodies.back_mut() {
            Some(last) if complete && adds_nothing => last.object = object,
            _ => {
                let objects = objects_of(&self.retained, &self.interner, roots);
                open.add_bodies(&mut self.merge, &objects, slice.qos, object);
            }
        }
        open.complete_at = complete.then_some(self.position);
    }
}

impl Open {
    pub fn begin(&self, merge: &mut Merge) {
        merge.begin(&self.filter, self.kind.form());
    }

    /// About so many bytes of rows make the frames of a turn.
    pub fn slice_bytes_max(&self) -> usize {
        /// So many small frames are made at once.
        const SLICE_BYTES_MIN: usize = 4 * 1024;
        self.body_bytes_max.clamp(SLICE_BYTES_MIN, WALK_BYTES_PER_TURN_MAX)
    }

    /// Makes frames of the rows that the merge has.
    pub fn add_bodies(&mut self, merge: &mut Merge, objects: Objects<'_>, qos: QoS, object: u64) {
        let bodies = &mut self.bodies;
        let skipped = merge.finish_parts(self.body_bytes_max, objects, |made| {
            let bytes = [made.tree, made.versions].concat();
            let (versions_len, rows) = (made.versions.len() as u32, made.rows as u32);
            bodies.push_back(Body { bytes, versions_len, rows, skipped: 0, qos, object });
        });
        if let Some(last) = bodies.back_mut() {
            last.skipped = skipped;
        }
    }
}

/// Adds rows to the merge until the slice is full. Returns whether the reader now has everything up to `position`.
fn gather(
    retained: &Retained,
    interner: &Interner,
    history: &History,
    open: &mut Open,
    position: u64,
    merge: &mut Merge,
    slice: &mut Slice,
) -> bool {
    if let Phase::Walking { walk, began } = &mut open.phase {
        let complete = retained.walk(interner, &open.filter, walk, FRAME_NODES_PER_TURN_MAX, |kept| {
            merge.row_at(kept.topic, kept.payload, kept.text, false, kept.version);
            slice.add(kept.payload.len() + kept.topic.len(), kept.qos)
        });
        if !complete {
            return false;
        }
        // planted: what changed during the walk is missed
        let since = if cfg!(mutant = "snapshot") { position } else { *began };
        open.phase = Phase::Newer { since, catchup: Box::default() };
    }
    let nodes = FRAME_NODES_PER_TURN_MAX;
    let scope = Scope { filter: &open.filter, group: open.group };
    if let Phase::Missed { since, missed } = &mut open.phase {
        let since = |group| since.get(group);
        let telling = open.telling.as_deref();
        let complete = retained.missed(interner, scope, &since, missed, nodes, |newer| {
            let is_told = telling.is_some_and(|telling| telling.has_told(history, &newer));
            if is_told { ControlFlow::Continue(()) } else { add(newer, merge, slice) }
        });
        if !complete {
            return false;
        }
        open.phase = Phase::Newer { since: missed.reached(), catchup: Box::default() };
    }
    let Phase::Newer { since, catchup } = &mut open.phase else { return true };
    while !slice.is_full() {
        let complete = retained.newer(interner, scope, *since, catchup, nodes, |newer| add(newer, merge, slice));
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

fn add(newer: Newer<'_>, merge: &mut Merge, slice: &mut Slice) -> ControlFlow<()> {
    match newer {
        Newer::Row(kept) => {
            merge.row_at(kept.topic, kept.payload, kept.text, false, kept.version);
            slice.add(kept.payload.len() + kept.topic.len(), kept.qos)
        }
        Newer::Deleted { topic, version } => {
            merge.row_at(topic, &[], false, true, version);
            // A tombstone has no QoS of its own: what the reader was granted decides.
            slice.add(topic.len(), QoS::ExactlyOnce)
        }
    }
}

/// One packet of one row in the arena of a parcel.
fn copy_kept(batch: &mut Batch, kept: Kept<'_>) {
    let (topic, payload) = (batch.keep(kept.topic.as_bytes()), batch.keep(kept.payload));
    let properties = batch.keep(kept.properties);
    let first_row = batch.rows.len() as u32;
    batch.rows.push(Row { topic, payload, text: kept.text });
    batch.packets.push(Packet {
        properties,
        expires_at_ms: kept.expires_at_ms,
        first_row,
        ..Packet::new(Client { home: ShardId(0), session: SessionKey::NONE }, kept.qos, true)
    });
}
