//! Batches too large for one turn, applied in slices. Between two slices others have their turn.
//!
//! ```text
//! apply ─▶ rows are kept and passed on, some in each turn ─▶ frames are made, some rows in each turn ─▶ complete
//! ```
//! Until it is complete the batch has no number and no position, its changes are gathered apart from the writer's, and
//! its group takes no other rows and shows none: what would touch the group waits, where it can, or has the rest done at
//! once. So nobody sees half of it, and a reader that falls behind meanwhile misses nothing.

use super::links::answer;
use super::merging::{Made, add_rows};
use super::outbox::Outbox;
use super::parcel::{Refusal, Verdict};
use super::subtree::{Homes, Origin, Reached, Subtree};
use crate::clock::Now;
use crate::key::GroupId;
use crate::limits::{MATCHED_ROWS_MAX, SLICED_BYTES_MAX};
use crate::row::batch::{Batch, Once};
use crate::row::change::Changes;
use crate::row::merge::Merge;
use crate::row::retained::UNDER_WAY;
use crate::topic::{FilterId, Roots};
use std::collections::VecDeque;
use std::sync::Arc;

/// One publish that is applied in slices.
pub(super) struct Sliced {
    /// When it began.
    now: Now,
    /// What is left of it, one part for each group; the first is under way.
    parts: VecDeque<Part>,
    /// What became of the parts before.
    said: Verdict,
    /// The first of its batches, which says who is answered.
    first: Arc<Batch>,
    /// Its publisher is told the version of this object where nothing changed.
    pub object: Option<Box<str>>,
    /// It is remembered under its key, with the filter of its rows.
    pub once: Option<(Once, Box<str>)>,
}

/// The rows of one group, the first packet of a batch.
struct Part {
    batch: Arc<Batch>,
    group: GroupId,
    is_begun: bool,
    /// The number that its change will have; `None`: it keeps nothing.
    version: Option<u64>,
    matched: bool,
    reached: Reached,
    /// Rows done.
    rows: usize,
    /// As `Subtree::befores` and `Subtree::touched`, of the rows done.
    befores: Vec<u64>,
    touched: Vec<(FilterId, u32)>,
    /// For the writer.
    changes: Changes,
    merging: Merging,
}

/// How far the frames of a part are made.
#[derive(Default)]
struct Merging {
    merge: Merge,
    is_sorted: bool,
    is_warm: bool,
    /// Where the rows of the filter at hand begin in `touched`, and which of those who want it is at hand.
    from: usize,
    form_at: usize,
    /// Rows of it that the merge has.
    rows: usize,
    /// The frames at hand, once the merge has all of them.
    making: Option<Made>,
    made: Vec<Made>,
}

impl Part {
    fn new(batch: Batch, roots: &Roots) -> Part {
        let view = batch.view(0);
        Part {
            group: roots.group(view.topic(&view.rows[0])),
            batch: Arc::new(batch),
            is_begun: false,
            version: None,
            matched: false,
            reached: Reached::default(),
            rows: 0,
            befores: Vec::new(),
            touched: Vec::new(),
            changes: Changes::default(),
            merging: Merging::default(),
        }
    }
}

impl Subtree {
    /// Whether rows are many enough to be applied in slices.
    pub(super) fn is_large(&self, rows: usize) -> bool {
        rows > self.rows_per_turn
    }

    /// Begins to apply batches of one packet each, of one publish: one batch for each group. Behind what is under way,
    /// unless too much would wait.
    pub(super) fn begin_sliced(
        &mut self,
        now: Now,
        batches: impl IntoIterator<Item = Batch>,
        said: Verdict,
        roots: &Roots,
        homes: &mut impl Homes,
    ) {
        let parts: VecDeque<Part> = batches.into_iter().map(|batch| Part::new(batch, roots)).collect();
        let waiting = self.sliced.iter().flat_map(|sliced| &sliced.parts);
        if waiting.chain(&parts).map(|part| part.batch.bytes.len()).sum::<usize>() > SLICED_BYTES_MAX {
            self.finish_sliced(now, roots, homes);
        }
        let Some(part) = parts.front() else { return };
        let first = Arc::clone(&part.batch);
        self.sliced.push_back(Sliced { now, parts, said, first, object: None, once: None });
    }

    pub(super) fn is_slicing(&self) -> bool {
        !self.sliced.is_empty()
    }

    /// Whether rows of the group are under way.
    pub(super) fn is_busy(&self, group: GroupId) -> bool {
        self.sliced.iter().flat_map(|sliced| &sliced.parts).any(|part| part.group == group)
    }

    /// Whether rows are under way that may lie in which a filter lies: in one group, or in any.
    pub(super) fn is_busy_in(&self, group: Option<GroupId>) -> bool {
        self.is_slicing() && group.is_none_or(|group| self.is_busy(group))
    }

    /// Applies the rest of what is under way at once, if it is in the way of what lies in a filter.
    pub(super) fn make_way(&mut self, now: Now, filter: &str, roots: &Roots, homes: &mut impl Homes) {
        if self.is_slicing() && self.is_busy_in(roots.group_of_filter(filter)) {
            self.finish_sliced(now, roots, homes);
        }
    }

    /// Applies the rest of what is under way at once.
    pub(super) fn finish_sliced(&mut self, now: Now, roots: &Roots, homes: &mut impl Homes) {
        while self.is_slicing() {
            self.apply_slice(now, roots, homes);
        }
    }

    /// What is under way may add so many rows and bytes to what is retained.
    pub(super) fn under_way(&self) -> (usize, usize) {
        let part = self.sliced.front().and_then(|sliced| sliced.parts.front());
        let part = part.filter(|part| part.version.is_some());
        part.map_or((0, 0), |part| (part.batch.rows.len(), part.batch.cost_bytes()))
    }

    /// Applies the next slice of what is under way.
    pub(super) fn apply_slice(&mut self, now: Now, roots: &Roots, homes: &mut impl Homes) {
        let Some(mut sliced) = self.sliced.pop_front() else { return };
        if let Some(part) = sliced.parts.front_mut() {
            let refused = if part.is_begun { None } else { self.begin_part(part, homes.outbox()) };
            let is_over =
                refused.is_some() || !self.slice_of_rows(sliced.now, part, homes) && !self.slice_of_frames(part, roots);
            if is_over && let Some(part) = sliced.parts.pop_front() {
                let verdict = refused.unwrap_or_else(|| self.complete(now, part, roots, homes));
                sliced.said = std::mem::take(&mut sliced.said).and(verdict);
            }
        }
        if sliced.parts.is_empty() {
            self.answer_sliced(sliced, roots, homes);
        } else {
            self.sliced.push_front(sliced);
        }
    }

    /// Judges a part as a whole, and names its change.
    fn begin_part(&mut self, part: &mut Part, out: &mut Outbox) -> Option<Verdict> {
        part.is_begun = true;
        let view = part.batch.view(0);
        if view.packet.retain && !self.takes(&view) {
            return Some(Verdict::refused(Refusal::Quota));
        }
        if view.packet.retain && self.changes_any(&view) {
            part.version = Some(self.reserve_version(part.group, out));
        }
        None
    }

    /// Keeps and passes on rows, until the turn is used up. Returns whether there were any left.
    fn slice_of_rows(&mut self, now: Now, part: &mut Part, homes: &mut impl Homes) -> bool {
        let batch = Arc::clone(&part.batch);
        let view = batch.view(0);
        if part.rows == view.rows.len() {
            return false;
        }
        self.exchange(part);
        let mut cost = 0;
        while cost < self.rows_per_turn && part.rows < view.rows.len() {
            let end = view.rows.len().min(part.rows + MATCHED_ROWS_MAX.min(self.rows_per_turn));
            let rows = part.rows..end;
            if let Some(version) = part.version {
                let changes = &mut homes.outbox().changes;
                std::mem::swap(changes, &mut part.changes);
                let at = (part.group, version, UNDER_WAY);
                rows.clone().for_each(|index| self.keep_indexed(now, &view, index, at, homes.outbox()));
                std::mem::swap(&mut homes.outbox().changes, &mut part.changes);
            }
            let changed = part.version.map(|version| (part.group, version));
            let matched = self.pass_chunk(&view, &Origin::Parcel(&batch, 0), changed, rows.clone(), homes);
            part.matched |= matched > 0;
            cost += rows.len() + matched;
            part.rows = end;
        }
        self.exchange(part);
        true
    }

    /// What is gathered of the batch at hand is that of the part, or no longer.
    fn exchange(&mut self, part: &mut Part) {
        std::mem::swap(&mut self.befores, &mut part.befores);
        std::mem::swap(&mut self.touched, &mut part.touched);
        std::mem::swap(&mut self.reached, &mut part.reached);
    }

    /// Makes frames of rows, until the turn is used up. Returns whether there were any left.
    fn slice_of_frames(&mut self, part: &mut Part, roots: &Roots) -> bool {
        let view = part.batch.view(0);
        if view.packet.retain && part.version.is_none() {
            return false; // rows that all deleted what did not exist make no frame
        }
        let Part { touched, merging, .. } = part;
        if !std::mem::replace(&mut merging.is_sorted, true) {
            touched.sort_by_key(|(id, _)| *id); // stable: rows of one filter stay in their order
        }
        let had_more = merging.from < touched.len();
        let mut cost = 0;
        while cost < self.rows_per_turn && merging.from < touched.len() {
            let filter = touched[merging.from].0;
            let upto = merging.from + touched[merging.from..].partition_point(|(other, _)| *other == filter);
            let run = &touched[merging.from..upto];
            let Some(form) = self.form_of(filter, merging.form_at) else {
                (merging.from, merging.form_at) = (upto, 0);
                continue;
            };
            if merging.rows == 0 {
                if !merging.is_warm {
                    // What batches before needed is at hand again.
                    (merging.merge, merging.is_warm) = (std::mem::take(&mut self.spare_merge), true);
                }
                self.begin_frames(&mut merging.merge, &view, filter, form);
            }
            let rows_max = self.rows_per_turn - cost;
            if merging.rows < run.len() {
                let rows = merging.rows..run.len().min(merging.rows + rows_max);
                add_rows(&mut merging.merge, &view, &run[rows.clone()], part.version.unwrap_or(0));
                (merging.rows, cost) = (rows.end, cost + rows.len());
                continue;
            }
            let mut made = merging.making.take().unwrap_or_else(|| Made::new(run, form));
            if self.make_frames(&mut merging.merge, &mut made, rows_max, roots) {
                merging.made.push(made);
                (merging.rows, merging.form_at) = (0, self.after_form(filter, form));
                cost += 1;
            } else {
                merging.making = Some(made);
                cost += rows_max;
            }
        }
        had_more
    }

    /// All rows of a part are applied and its frames made: the change is there, and all are told at once.
    fn complete(&mut self, now: Now, part: Part, roots: &Roots, homes: &mut impl Homes) -> Verdict {
        let Part { batch, group, version, changes, merging, matched, reached, .. } = part;
        let view = batch.view(0);
        self.reached = reached;
        if let Some(version) = version {
            self.take_version(group, version);
            self.position += 1;
            self.retained.complete(group, self.position);
            let out = homes.outbox();
            out.changes.append(changes);
            out.changes.advance();
            self.trim_after(now, view.rows.len(), roots, out);
        }
        let changed = version.map(|version| (group, version));
        for made in &merging.made {
            let at = changed.unwrap_or_else(|| (group, self.groups[group.index()].stand()));
            self.send_made(made, &view, at, homes);
        }
        if merging.is_warm {
            self.spare_merge = merging.merge;
        }
        self.verdict_of(&view, matched, changed, roots, homes)
    }

    /// Its publisher is told what became of it.
    fn answer_sliced(&mut self, sliced: Sliced, roots: &Roots, homes: &mut impl Homes) {
        let Sliced { now, said: mut verdict, first, object, once, .. } = sliced;
        let view = first.view(0);
        if let Some(object) = object {
            self.say_unchanged(&view, &object, &mut verdict, roots);
        }
        if let Some((once, filter)) = once.filter(|_| verdict.refusal.is_none()) {
            self.remember(now, (&filter, once), &verdict, roots, homes.outbox()); // [MOTE-5.28]
        }
        answer(&view, verdict, homes.down_to(view.packet.publisher.home));
    }

    /// Walks that waited for their turn, or until nothing of theirs was under way.
    pub(super) fn go_on_walks(&mut self, roots: &Roots, homes: &mut impl Homes) {
        for _ in 0..self.walks.parked.len() {
            if !homes.outbox().has_down_room() {
                return;
            }
            if self.walks.rows_left == 0 {
                return;
            }
            let Some((home, walk)) = self.walks.parked.pop_front() else { return };
            self.continue_walk(home, walk, roots, homes);
        }
    }
}
