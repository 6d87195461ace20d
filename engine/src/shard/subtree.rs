//! The owner's side of a shard: what needs ownership. Versions, the retained tree, matching and merging for the
//! groups that this shard owns. Knows homes and their filter handles, never a session.

use super::catchup::Walks;
use super::once::Outcomes;
use super::outbox::Outbox;
use super::parcel::{Down, DownItem, Offer, Refusal, Source, Verdict};
use super::retain::RetainBounds;
use super::samples::Samples;
use super::sliced::Sliced;
use crate::clock::Now;
use crate::config::{Limits, Tombstones};
use crate::key::{Client, FilterHandle, GroupId, SessionKey, ShardId, Span};
use crate::limits::{GROUPS, MATCHED_ROWS_MAX, TOMBSTONES_TRIMMED_PER_CHANGE, VERSION_RESERVE, VERSION_RESERVE_LOW};
use crate::row::batch::{Batch, Packet, Revision, Row, View};
use crate::row::change::{Join, Kept, Past, Restored};
use crate::row::history::History;
use crate::row::merge::Merge;
use crate::row::numbers::Numbers;
use crate::row::retained::{Lapse, Retained};
use crate::session::cursor::Versions;
use crate::topic::{FilterId, Interner, Kind, Roots, Subscriptions};
use crate::wire::{QoS, Run};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// See the module.
pub struct Subtree {
    pub me: ShardId,
    pub interner: Interner,
    pub subscriptions: Subscriptions,
    pub retained: Retained,
    pub groups: Vec<Numbers>,
    pub walks: Walks,
    /// Number of this shard's last batch that changed retained rows.
    pub position: u64,
    /// Publishers that are to be told when what they changed here, up to a position of the shard's changes, is durable.
    waiting: VecDeque<(u64, Client, u32)>,
    pub(super) reached: Reached,
    /// Everything up to this position is durable.
    durable: u64,
    pub waits_for_disk: bool,
    pub frame_bytes_max: usize,
    /// Rows of one group that one publish may write or delete without naming them: `limits.set_rows`.
    pub(super) set_rows_max: usize,
    pub(super) rows_per_turn: usize,
    /// What is applied in slices: the first is under way, the others wait.
    pub(super) sliced: VecDeque<Sliced>,
    /// For their frames.
    pub(super) spare_merge: Merge,
    pub(super) outcomes: Outcomes,
    tombstones: Tombstones,
    /// Retained rows that are never written: those of `$SYS`.
    pub unwritten: usize,
    pub(super) unwritten_bytes: usize,
    /// Packets that no filter matched.
    pub unmatched: u64,
    /// Rows applied since the start.
    pub rows_applied: u64,
    pub(super) samples: Samples,
    pub(super) retain_bounds: RetainBounds,
    /// The last changes of rows of which they are kept.
    pub history: History,
    pub(super) merge: Merge,
    /// Filters of the rows at hand, one row after the other, and where those of each end.
    matched: Vec<FilterId>,
    matched_ends: Vec<usize>,
    /// Merged filters of the batch at hand, with the rows that they match.
    pub(super) touched: Vec<(FilterId, u32)>,
    handles: Vec<FilterHandle>,
    /// Of the retained batch at hand: the version of each row before it; `NO_EFFECT`: it deleted what did not exist.
    pub(super) befores: Vec<u64>,
}

/// In place of a version: the row changed nothing.
const NO_EFFECT: u64 = u64::MAX;

/// Where a batch lies that is being applied.
pub enum Origin<'a> {
    /// In this shard's own memory: rows that go to other homes are copied once.
    Local,
    /// In a parcel: rows go on by reference.
    Parcel(&'a Arc<Batch>, u32),
}

/// How the owner reaches homes, its own included.
pub trait Homes {
    /// A row goes to the plain subscribers of these handles at the owner's own home.
    fn deliver_here(&mut self, view: &View<'_>, row: &Row, revision: Revision, handles: &[FilterHandle]);
    /// A row for one member of a share group at the owner's own home. False: there is none for it.
    fn offer_here(&mut self, view: &View<'_>, row: &Row, offer: Offer) -> bool;
    /// As `DownItem::Open`, for the home of this shard: before anything else is written in this step.
    fn open_here(&mut self, publish: u64);
    /// The open parcel to a home.
    fn down_to(&mut self, home: ShardId) -> &mut Down;
    fn outbox(&mut self) -> &mut Outbox;
}

/// Where something of the publish at hand went.
#[derive(Clone, Copy, Default)]
pub(super) struct Reached {
    /// Homes, a bit each.
    pub homes: u64,
    /// How often one of them was told that something comes.
    pub opens: u32,
}

impl Subtree {
    pub fn new(
        me: ShardId,
        seed: u64,
        waits_for_disk: bool,
        limits: &Limits,
        tombstones: Tombstones,
        retain_bounds: RetainBounds,
        history: History,
    ) -> Subtree {
        Subtree {
            me,
            interner: Interner::new(seed),
            subscriptions: Subscriptions::new(seed),
            retained: Retained::new(seed),
            groups: vec![Numbers::default(); GROUPS],
            walks: Walks::new(limits.rows_per_turn),
            position: 0,
            waiting: VecDeque::new(),
            reached: Reached::default(),
            durable: 0,
            waits_for_disk,
            frame_bytes_max: limits.frame_bytes,
            set_rows_max: limits.set_rows,
            rows_per_turn: limits.rows_per_turn,
            sliced: VecDeque::new(),
            spare_merge: Merge::new(),
            outcomes: Outcomes::new(limits),
            tombstones,
            unwritten: 0,
            unwritten_bytes: 0,
            unmatched: 0,
            rows_applied: 0,
            samples: Samples::new(seed.rotate_left(16)),
            retain_bounds,
            history,
            merge: Merge::new(),
            matched: Vec::new(),
            matched_ends: Vec::new(),
            touched: Vec::new(),
            handles: Vec::new(),
            befores: Vec::new(),
        }
    }

    /// Applies one packet: rows of one group, or what a verb asks for. `None`: it is too large for one turn, and answered
    /// when it is applied.
    pub fn apply(
        &mut self,
        now: Now,
        view: View<'_>,
        origin: Origin<'_>,
        roots: &Roots,
        homes: &mut impl Homes,
    ) -> Option<Verdict> {
        if self.is_slicing() {
            let whole = view.ask.filter(|ask| ask.is_whole());
            let about = whole.map_or_else(|| view.topic(&view.rows[0]), |ask| ask.filter.text_of(view.bytes));
            self.make_way(now, about, roots, homes);
        }
        match view.ask {
            None => Some(self.apply_rows(now, view, origin, roots, homes)),
            Some(ask) => self.apply_asked(now, (view, ask), origin, roots, homes),
        }
    }

    /// Applies rows, all of one group, and passes them on.
    pub(super) fn apply_rows(
        &mut self,
        now: Now,
        view: View<'_>,
        origin: Origin<'_>,
        roots: &Roots,
        homes: &mut impl Homes,
    ) -> Verdict {
        self.befores.clear();
        self.reached = Reached::default();
        if view.packet.retain && !self.takes(&view) {
            // What is under way may add less than it seemed.
            self.finish_sliced(now, roots, homes);
            self.befores.clear();
            self.reached = Reached::default();
            if !self.takes(&view) {
                return Verdict::refused(Refusal::Quota);
            }
        }
        let changed = if view.packet.retain { self.keep(now, &view, roots, homes.outbox()) } else { None };
        let matched = self.pass_on(&view, &origin, changed, roots, homes);
        self.verdict_of(&view, matched, changed, roots, homes)
    }

    /// Rows are applied: they are counted, and who publishes is told by everyone who keeps them.
    #[inline]
    pub(super) fn verdict_of(
        &mut self,
        view: &View<'_>,
        matched: bool,
        changed: Option<(GroupId, u64)>,
        roots: &Roots,
        homes: &mut impl Homes,
    ) -> Verdict {
        self.unmatched += u64::from(!matched);
        self.sample(view, roots);
        let version = changed.map(|(_, version)| version);
        let mut verdict = Verdict { matched, applied: 1, version, ..Verdict::default() };
        if self.waits_for_disk && view.packet.wants_verdict {
            // What changed nothing, since its rows were deleted before, is as durable as that deletion is.
            if changed.is_none() && view.packet.retain && view.packet.publish != 0 {
                homes.outbox().changes.advance(); // carries the join
            }
            self.ask_to_keep(view.packet, view.packet.retain, &mut verdict, homes);
        }
        verdict
    }

    /// Counts the rows of a packet, and takes samples of their topics when it is time.
    #[inline]
    fn sample(&mut self, view: &View<'_>, roots: &Roots) {
        self.rows_applied += view.rows.len() as u64;
        self.samples.count(view.rows.len());
        if self.samples.is_due() && !view.rows.is_empty() {
            let topic = |index: usize| view.topic(&view.rows[index]);
            self.samples.take(roots.group(topic(0)), view.rows.len(), topic);
        }
    }

    /// The same for a run, which was passed to so many handles.
    #[inline]
    pub(super) fn sample_run(&mut self, run: &Run<'_>, handles: usize, roots: &Roots) {
        let rows = run.count as usize;
        self.rows_applied += rows as u64;
        self.samples.count(rows * (1 + handles));
        if self.samples.is_due()
            && let Ok(topic) = std::str::from_utf8(run.topic)
        {
            self.samples.take(roots.group(topic), 1, |_| topic);
        }
    }

    /// The publisher is to be told by everyone who keeps something of it, when that is durable.
    pub(super) fn ask_to_keep(
        &mut self,
        packet: &Packet,
        is_kept_here: bool,
        verdict: &mut Verdict,
        to: &mut impl Homes,
    ) {
        let Packet { publisher, ticket, publish, .. } = *packet;
        let Reached { homes, opens } = self.reached;
        (verdict.keepers, verdict.opens) = (homes.count_ones() + u32::from(is_kept_here), opens);
        for home in each_of(homes) {
            to.down_to(home).items.push(DownItem::Confirm { publisher, ticket, publish });
        }
        if is_kept_here {
            let changes = &mut to.outbox().changes;
            changes.is_awaited = true;
            if publish != 0 {
                changes.joins.push(Join { publish, parts: 0 }); // of the change that wrote the rows
            }
            self.waiting.push_back((changes.last, publisher, ticket));
        }
    }

    /// Applies rows of the broker itself, all of one group: shown and retained as any others, never written, gone with
    /// the process. Their number is one of the group's; `unwritten_numbers` says so.
    pub fn apply_unwritten(&mut self, view: View<'_>, roots: &Roots, homes: &mut impl Homes) {
        self.befores.clear();
        let group = roots.group(view.topic(&view.rows[0]));
        let version = self.next_version(group, homes.outbox());
        self.position += 1;
        let written_bytes = self.retained.cost_bytes() - self.unwritten_bytes;
        for row in view.rows {
            let kept = kept_row(&view, (view.topic(row), row), version);
            let written = self.retained.put(&mut self.interner, group, kept, self.position);
            self.unwritten += usize::from(written.previous_version.is_none());
            self.befores.push(written.previous_version.unwrap_or(0));
        }
        self.unwritten_bytes = self.retained.cost_bytes() - written_bytes;
        self.pass_on(&view, &Origin::Local, Some((group, version)), roots, homes);
    }

    /// Lets the writer know which numbers of a group were given to rows that it does not have: a group whose last end
    /// was clean goes on after the last number that the store knows of.
    pub fn unwritten_numbers(&self, group: GroupId, out: &mut Outbox) {
        if self.unwritten > 0 {
            out.changes.used(group, self.groups[group.index()].last);
        }
    }

    /// Where this owner's groups stand in which a filter lies: `Versions`, in the arena of a parcel.
    pub(super) fn keep_stands(&self, group: Option<GroupId>, roots: &Roots, batch: &mut Batch) -> Span {
        let mut bytes = Vec::new();
        self.stands_of(group, roots).write(&mut bytes);
        batch.keep(&bytes)
    }

    /// Where the groups of this owner stand in which a filter lies.
    pub(super) fn stands_of(&self, group: Option<GroupId>, roots: &Roots) -> Versions {
        let mut versions = Versions::default();
        for group in self.own_groups(group, roots) {
            versions.raise(group, self.groups[group.index()].stand());
        }
        versions
    }

    /// The groups of this owner in which a filter lies that lies in one group, or in any.
    pub(super) fn own_groups(&self, group: Option<GroupId>, roots: &Roots) -> impl Iterator<Item = GroupId> {
        let groups = group.map_or(0..GROUPS, |group| group.index()..group.index() + 1).map(|at| GroupId(at as u16));
        groups.filter(|group| roots.shard_of_group(*group) == self.me)
    }

    /// Writes retained rows: one change of one group, all its rows with one version. `None`: nothing changed.
    /// Not called without RETAIN [MQTT-3.3.1-8] [3.1.1: MQTT-3.3.1-12].
    fn keep(&mut self, now: Now, view: &View<'_>, roots: &Roots, out: &mut Outbox) -> Option<(GroupId, u64)> {
        if !self.changes_any(view) {
            return None;
        }
        let group = roots.group(view.topic(&view.rows[0]));
        let version = self.next_version(group, out);
        self.position += 1;
        let at = (group, version, self.position);
        for index in 0..view.rows.len() {
            debug_assert_eq!(roots.group(view.topic(&view.rows[index])), group, "one packet here, one group");
            self.keep_indexed(now, view, index, at, out);
        }
        out.changes.advance();
        self.trim_after(now, view.rows.len(), roots, out);
        Some((group, version))
    }

    /// Whether rows change what is retained. Deleting what does not exist is no change: no number, no tombstone.
    pub(super) fn changes_any(&self, view: &View<'_>) -> bool {
        let does_change =
            |row: &Row| !row.payload.is_empty() || self.retained.contains(&self.interner, view.topic(row));
        view.rows.iter().any(does_change)
    }

    /// Writes one of the rows of a change, with its history.
    #[inline]
    pub(super) fn keep_indexed(
        &mut self,
        now: Now,
        view: &View<'_>,
        index: usize,
        at: (GroupId, u64, u64),
        out: &mut Outbox,
    ) {
        let row = &view.rows[index];
        let topic = view.topic(row);
        let before = self.keep_row(now, view, (topic, row), at, out);
        if before != NO_EFFECT {
            let (payload, qos) = (view.payload(row), view.packet.qos);
            let (group, version, _) = at;
            let (index, deleted) = (index as u32, payload.is_empty());
            self.keep_past(group, &Past { version, index, topic, payload, qos, text: row.text, deleted }, out);
        }
        self.befores.push(before);
    }

    /// As many tombstones are forgotten as a change of so many rows may have made, and some more.
    pub(super) fn trim_after(&mut self, now: Now, rows: usize, roots: &Roots, out: &mut Outbox) {
        self.trim(now, 2 * rows + TOMBSTONES_TRIMMED_PER_CHANGE, roots, out);
    }

    /// Forgets tombstones that are too old or too many, some at a time, and has the store forget them. Not while some
    /// that are not shown yet may be among them.
    pub fn trim(&mut self, now: Now, trimmed_max: usize, roots: &Roots, out: &mut Outbox) {
        if self.is_slicing() {
            return;
        }
        self.cut_unwanted(out);
        let Tombstones { keep_s, max } = self.tombstones;
        let before_ms = now.wall_ms.saturating_sub(keep_s.saturating_mul(1_000));
        let count_max = usize::try_from(max).unwrap_or(usize::MAX);
        let Subtree { retained, interner, groups, .. } = self;
        let trimmed = retained.trim_tombstones(interner, count_max, before_ms, trimmed_max, |lapse| match lapse {
            Lapse::Tombstone { group, topic, version } => {
                let forgotten = &mut groups[group.index()].forgotten;
                *forgotten = version.max(*forgotten);
                out.changes.lapse(group, topic, version);
            }
            // Above its root an object lies in several groups: it has no version that anybody may ask for.
            Lapse::Floor { group, topic, version, below } => {
                if topic.len() >= roots.root_of(below).len() {
                    out.changes.floor(group, topic, version);
                }
            }
        });
        if trimmed > 0 {
            out.changes.advance();
        }
    }

    /// What is empty clears [MQTT-3.3.1-6] [3.1.1: MQTT-3.3.1-10]. Keeps what is not empty [MQTT-3.3.1-5]
    /// [3.1.1: MQTT-3.3.1-5] [3.1.1: MQTT-3.3.1-7], which belongs to no session [3.1.1: MQTT-3.1.2-7]. Returns the
    /// version of the row before, or `NO_EFFECT`.
    fn keep_row(
        &mut self,
        now: Now,
        view: &View<'_>,
        (topic, row): (&str, &Row),
        (group, version, position): (GroupId, u64, u64),
        out: &mut Outbox,
    ) -> u64 {
        if row.payload.is_empty() {
            // Empty: cleared and not kept [MQTT-3.3.1-7] [3.1.1: MQTT-3.3.1-11].
            let removed = self.retained.remove(&self.interner, topic, version, position, now.wall_ms);
            if removed.is_some() {
                out.changes.delete(group, topic, version, now.wall_ms);
            }
            return removed.unwrap_or(NO_EFFECT);
        }
        let kept = kept_row(view, (topic, row), version);
        let written = self.retained.put(&mut self.interner, group, kept, position);
        out.changes.put(group, kept);
        written.previous_version.unwrap_or(0)
    }

    /// The next number of a group; reserves further ones ahead of their use.
    fn next_version(&mut self, group: GroupId, out: &mut Outbox) -> u64 {
        let version = self.reserve_version(group, out);
        self.take_version(group, version);
        version
    }

    /// The number that the next change of a group will have.
    pub(super) fn reserve_version(&mut self, group: GroupId, out: &mut Outbox) -> u64 {
        let numbers = &mut self.groups[group.index()];
        let version = numbers.last + 1;
        if numbers.bound < version + VERSION_RESERVE_LOW {
            numbers.bound = version + VERSION_RESERVE;
            out.changes.reserve(group, numbers.bound);
        }
        version
    }

    pub(super) fn take_version(&mut self, group: GroupId, version: u64) {
        // planted: some numbers are given twice
        if !(cfg!(mutant = "version") && version.is_multiple_of(8)) {
            self.groups[group.index()].last = version;
        }
    }

    /// Finds who wants the rows: plain ones leave row by row, merged ones as one frame per filter.
    fn pass_on(
        &mut self,
        view: &View<'_>,
        origin: &Origin<'_>,
        changed: Option<(GroupId, u64)>,
        roots: &Roots,
        homes: &mut impl Homes,
    ) -> bool {
        let mut any = false;
        self.touched.clear();
        // Row by row and packet by packet as they came [MQTT-4.6.0-5] [MQTT-4.6.0-6] [3.1.1: MQTT-4.6.0-5..6].
        for first in (0..view.rows.len()).step_by(MATCHED_ROWS_MAX) {
            let rows = first..view.rows.len().min(first + MATCHED_ROWS_MAX);
            any |= self.pass_chunk(view, origin, changed, rows, homes) > 0;
        }
        // Retained rows that all deleted what did not exist make no frame.
        if !self.touched.is_empty() && (changed.is_some() || !view.packet.retain) {
            let at = changed.unwrap_or_else(|| {
                let group = roots.group(view.topic(&view.rows[0]));
                (group, self.groups[group.index()].stand())
            });
            self.merge_frames(view, at, roots, homes);
        }
        any
    }

    /// Passes on some rows, at most `MATCHED_ROWS_MAX`. Returns how many filters matched them, each for each row.
    pub(super) fn pass_chunk(
        &mut self,
        view: &View<'_>,
        origin: &Origin<'_>,
        changed: Option<(GroupId, u64)>,
        rows: Range<usize>,
        homes: &mut impl Homes,
    ) -> usize {
        let (mut matched, mut ends) = (std::mem::take(&mut self.matched), std::mem::take(&mut self.matched_ends));
        matched.clear();
        ends.clear();
        let topics = view.rows[rows.clone()].iter().map(|row| view.topic(row));
        // Who gets a row is who has a filter that matches [MQTT-3.3.2-3] [3.1.1: MQTT-3.3.2-3].
        self.subscriptions.matching_batch(topics, &self.interner, |_, filters| {
            matched.extend_from_slice(filters);
            ends.push(matched.len());
        });
        let mut start = 0;
        for (index, end) in rows.zip(&ends) {
            if *end > start {
                let revision = self.revision_of(index as u32, changed);
                let row = (&view.rows[index], index as u32, revision);
                self.pass_row(view, origin, row, &matched[start..*end], homes);
            }
            start = *end;
        }
        let count = matched.len();
        (self.matched, self.matched_ends) = (matched, ends);
        count
    }

    /// What the change did to a row of the batch at hand.
    fn revision_of(&self, index: u32, changed: Option<(GroupId, u64)>) -> Revision {
        let Some((_, version)) = changed else { return Revision::NONE };
        match self.befores[index as usize] {
            NO_EFFECT => Revision::NONE,
            before => Revision { version, before, expired: false },
        }
    }

    fn pass_row(
        &mut self,
        view: &View<'_>,
        origin: &Origin<'_>,
        (row, index, revision): (&Row, u32, Revision),
        matched: &[FilterId],
        homes: &mut impl Homes,
    ) {
        let mut here = std::mem::take(&mut self.handles);
        here.clear();
        let (mut others, mut shared) = (0u64, false); // a bit per home
        for id in matched {
            let entry = self.subscriptions.entry(*id);
            self.samples.count(entry.plain.len());
            for (home, handle) in &entry.plain {
                if *home == self.me {
                    here.push(*handle);
                } else {
                    others |= 1 << home.index();
                }
            }
            shared |= entry.shares.is_some();
            if !entry.merged.is_empty() && self.befores.get(index as usize) != Some(&NO_EFFECT) {
                self.touched.push((*id, index));
            }
        }
        if !here.is_empty() {
            self.reach(1 << self.me.index(), view.packet, homes);
            homes.deliver_here(view, row, revision, &here);
        }
        self.handles = here;
        if others != 0 {
            self.reach(others, view.packet, homes);
            self.pass_to_other_homes(view, origin, (row, index, revision), matched, homes);
        }
        if shared && !revision.expired {
            self.pass_to_shares(view, origin, row, index, matched, homes);
        }
    }

    /// One `Deliver` per home that wants the row, with all its handles.
    fn pass_to_other_homes(
        &self,
        view: &View<'_>,
        origin: &Origin<'_>,
        (row, index, revision): (&Row, u32, Revision),
        matched: &[FilterId],
        homes: &mut impl Homes,
    ) {
        let mut done = 0u64; // a bit per home
        let entries = || matched.iter().flat_map(|id| self.subscriptions.entry(*id).plain.iter());
        for (home, _) in entries() {
            let bit = 1u64 << home.index();
            if *home == self.me || done & bit != 0 {
                continue;
            }
            done |= bit;
            let down = homes.down_to(*home);
            let first = down.handles.len() as u32;
            down.handles.extend(entries().filter(|(other, _)| other == home).map(|(_, handle)| *handle));
            let count = down.handles.len() as u32 - first;
            let (source, packet, row) = match origin {
                Origin::Parcel(batch, packet) => (down.share(batch), *packet, index),
                Origin::Local => (Source::Own, down.batch.copy_rows(*view, std::iter::once(*row)), 0),
            };
            down.items.push(DownItem::Deliver { source, packet, row, first, count, revision });
        }
    }

    /// Homes, a bit each, are about to get something of a publish, perhaps for the first time.
    #[inline]
    pub(super) fn reach(&mut self, some: u64, packet: &Packet, homes: &mut impl Homes) {
        if packet.is_opened() {
            for home in each_of(some & !self.reached.homes) {
                if home == self.me {
                    homes.open_here(packet.publish);
                } else {
                    homes.down_to(home).items.push(DownItem::Open { publish: packet.publish });
                }
                self.reached.opens += 1;
            }
        }
        self.reached.homes |= some;
    }

    /// Everything up to `position` is durable.
    pub fn committed(&mut self, position: u64) {
        self.durable = position;
    }

    /// Whether publishers wait for what is now durable.
    pub fn has_kept(&self) -> bool {
        self.waiting.front().is_some_and(|(at, ..)| *at <= self.durable)
    }

    /// Tells them, as far as the lanes have room.
    pub fn send_kept(&mut self, homes: &mut impl Homes) {
        while self.has_kept() && homes.outbox().has_down_room() {
            let Some((_, client, ticket)) = self.waiting.pop_front() else { return };
            homes.down_to(client.home).items.push(DownItem::Kept { to: client.session, ticket });
        }
    }

    pub fn want(
        &mut self,
        home: ShardId,
        filter: &str,
        kind: Kind,
        handle: FilterHandle,
        roots: &Roots,
        homes: &mut impl Homes,
    ) {
        self.subscriptions.add(filter, kind, home, handle, &mut self.interner);
        if kind.is_merged() {
            let down = homes.down_to(home);
            let versions = self.keep_stands(roots.group_of_filter(filter), roots, &mut down.batch);
            down.items.push(DownItem::Stands { handle, versions });
        }
    }

    pub fn unwant(&mut self, home: ShardId, filter: &str, kind: Kind) {
        if kind == Kind::Shared {
            return self.leave(home, filter);
        }
        self.subscriptions.remove(filter, kind, home, &mut self.interner);
    }

    /// What the store kept, before the first step.
    pub fn restore(&mut self, restored: Restored<'_>) {
        self.position = self.position.max(1);
        let Subtree { retained, interner, position, .. } = self;
        match restored {
            Restored::Row(group, row) => {
                retained.put(interner, group, row, *position);
            }
            Restored::Tombstone { group, topic, version, wall_ms } => {
                retained.bury(interner, group, topic, version, *position, wall_ms);
            }
            Restored::Floor { topic, version, .. } => retained.restore_floor(interner, topic, version),
            Restored::Outcome(group, outcome) => self.restore_outcome(group, outcome),
            Restored::Past(group, past) => self.history.restore(group, &past),
        }
    }

    /// Deletes rows whose Message Expiry Interval has passed: a change like any other, [MQTT-3.3.2-5].
    pub fn expire(&mut self, now: Now, rows_max: usize, roots: &Roots, homes: &mut impl Homes) {
        let mut expired: Vec<(String, GroupId)> = Vec::new();
        self.retained.expire(&self.interner, now.wall_ms, rows_max, |topic, group| {
            expired.push((topic.to_owned(), group));
        });
        for (topic, group) in expired {
            let version = self.next_version(group, homes.outbox());
            self.position += 1;
            let removed = self.retained.remove(&self.interner, &topic, version, self.position, now.wall_ms);
            let out = homes.outbox();
            out.changes.delete(group, &topic, version, now.wall_ms);
            let past = Past {
                version,
                index: 0,
                topic: &topic,
                payload: &[],
                qos: QoS::AtMostOnce,
                text: false,
                deleted: true,
            };
            self.keep_past(group, &past, out);
            out.changes.advance();
            let revision = Revision { version, before: removed.unwrap_or(0), expired: true };
            self.tell_of_expiry(&topic, group, revision, roots, homes);
        }
    }

    /// Merged subscribers see `null`, those who asked for row versions an empty payload, other plain ones nothing.
    fn tell_of_expiry(
        &mut self,
        topic: &str,
        group: GroupId,
        revision: Revision,
        roots: &Roots,
        homes: &mut impl Homes,
    ) {
        let publisher = Client { home: self.me, session: SessionKey::NONE };
        // The row is gone and its QoS with it: what the reader was granted decides.
        let packet = Packet::new(publisher, QoS::ExactlyOnce, true);
        let rows = [Row { topic: Span::new(0, topic.len()), payload: Span::EMPTY, text: false }];
        let view = View { bytes: topic.as_bytes(), packet: &packet, rows: &rows, ask: None };
        let mut matched = Vec::new();
        self.subscriptions.matching(topic, &self.interner, &mut matched);
        self.touched.clear();
        self.befores.clear();
        self.pass_row(&view, &Origin::Local, (&rows[0], 0, revision), &matched, homes);
        self.merge_frames(&view, (group, revision.version), roots, homes);
    }
}

/// Shards of which each has a bit.
fn each_of(mut bits: u64) -> impl Iterator<Item = ShardId> {
    std::iter::from_fn(move || {
        let lowest = (bits != 0).then(|| ShardId(bits.trailing_zeros() as u16));
        bits &= bits.wrapping_sub(1);
        lowest
    })
}

fn kept_row<'a>(view: &View<'a>, (topic, row): (&'a str, &Row), version: u64) -> Kept<'a> {
    Kept {
        topic,
        payload: view.payload(row),
        properties: view.properties(),
        qos: view.packet.qos,
        text: row.text,
        expires_at_ms: view.packet.expires_at_ms,
        version,
    }
}
