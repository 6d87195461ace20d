//! Frames of the merged filters that a batch touches: one body for each filter and form, made once for all who want it.

use super::parcel::{DownItem, Frame};
use super::subtree::{Homes, Subtree};
use crate::dialect::Form;
use crate::key::{FilterHandle, GroupId, ShardId, Span};
use crate::row::batch::View;
use crate::row::merge::{Merge, Objects};
use crate::row::retained::Retained;
use crate::topic::{Entry, FilterId, Interner, Roots, is_wildcard, stem};

/// Frames of one filter in one form.
pub(super) struct Made {
    pub filter: FilterId,
    pub form: Form,
    bodies: Vec<Body>,
    /// Rows of the batch that match.
    rows: u32,
    /// Of them those that are too large for a frame.
    skipped: u32,
}

impl Made {
    /// None yet, of the rows of one filter.
    pub fn new(run: &[(FilterId, u32)], form: Form) -> Made {
        Made { filter: run[0].0, form, bodies: Vec::new(), rows: run.len() as u32, skipped: 0 }
    }
}

struct Body {
    /// A tree, and behind it that of its versions.
    bytes: Vec<u8>,
    versions_len: u32,
    rows: u32,
    more: bool,
}

impl Subtree {
    /// Builds the frame of each merged filter that the batch touched, once, and sends it to the homes that want it.
    pub(super) fn merge_frames(
        &mut self,
        view: &View<'_>,
        (group, version): (GroupId, u64),
        roots: &Roots,
        homes: &mut impl Homes,
    ) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_by_key(|(id, _)| *id); // stable: rows of one filter stay in their order
        let mut merge = std::mem::take(&mut self.merge);
        for run in touched.chunk_by(|a, b| a.0 == b.0) {
            // Once for each form that is wanted.
            let mut form_at = 0;
            while let Some(form) = self.form_of(run[0].0, form_at) {
                self.begin_frames(&mut merge, view, run[0].0, form);
                add_rows(&mut merge, view, run, version);
                let mut made = Made::new(run, form);
                self.make_frames(&mut merge, &mut made, usize::MAX, roots);
                self.send_made(&made, view, (group, version), homes);
                form_at = self.after_form(run[0].0, form);
            }
        }
        self.merge = merge;
        touched.clear();
        self.touched = touched;
    }

    /// The form of the `at`-th of those who want frames of a filter.
    pub(super) fn form_of(&self, filter: FilterId, at: usize) -> Option<Form> {
        Some(self.subscriptions.entry(filter).merged.get(at)?.0)
    }

    /// The first of those who want frames of a filter in another form than this and those before it.
    pub(super) fn after_form(&self, filter: FilterId, form: Form) -> usize {
        self.subscriptions.entry(filter).merged.partition_point(|(other, ..)| *other <= form)
    }

    pub(super) fn begin_frames(&self, merge: &mut Merge, view: &View<'_>, filter: FilterId, form: Form) {
        // Events have no versions.
        let versions = form.versions && view.packet.retain;
        merge.begin(&self.subscriptions.entry(filter).text, Form { versions, ..form });
    }

    /// Makes the frames of the rows that the merge has, of so many of them at once. Returns whether all are made.
    pub(super) fn make_frames(&self, merge: &mut Merge, made: &mut Made, rows_max: usize, roots: &Roots) -> bool {
        let Made { filter, form, .. } = *made;
        let text = &self.subscriptions.entry(filter).text;
        let is_of_one_group = form.meta && roots.group_of_filter(text).is_some();
        let bytes_max = form.tree_bytes_max(self.frame_bytes_max, is_of_one_group);
        let objects: Objects<'_> = &objects_of(&self.retained, &self.interner, roots);
        let skipped = merge.finish_some(rows_max, bytes_max, objects, |one| {
            let (rows, more, versions_len) = (one.rows as u32, !one.is_last, one.versions.len() as u32);
            made.bodies.push(Body { bytes: [one.tree, one.versions].concat(), versions_len, rows, more });
        });
        made.skipped = skipped.unwrap_or(0);
        skipped.is_some()
    }

    /// Sends frames to the homes that want them.
    pub(super) fn send_made(
        &mut self,
        made: &Made,
        view: &View<'_>,
        (group, version): (GroupId, u64),
        homes: &mut impl Homes,
    ) {
        let entry = self.subscriptions.entry(made.filter);
        let some = wanted_in(entry, made.form).iter().fold(0u64, |some, (_, home, _)| some | 1 << home.index());
        self.reach(some, view.packet, homes);
        let entry = self.subscriptions.entry(made.filter);
        let about = Frame {
            handle: FilterHandle(0),
            body: Span::EMPTY,
            versions_len: 0,
            event: !view.packet.retain,
            qos: view.packet.qos,
            publisher: view.packet.publisher,
            rows: made.rows,
            skipped: 0,
            more: false,
            position: self.position,
            group,
            version,
            object: self.retained.object_version(&self.interner, stem(&entry.text)),
        };
        send_bodies(made, &about, &entry.text, wanted_in(entry, made.form), homes);
    }
}

/// Those who want frames of a filter in one form.
fn wanted_in(entry: &Entry, form: Form) -> &[(Form, ShardId, FilterHandle)] {
    let from = entry.merged.partition_point(|(other, ..)| *other < form);
    let upto = entry.merged.partition_point(|(other, ..)| *other <= form);
    &entry.merged[from..upto]
}

/// Gives the merge these rows of a batch.
pub(super) fn add_rows(merge: &mut Merge, view: &View<'_>, rows: &[(FilterId, u32)], version: u64) {
    for (_, index) in rows {
        let row = &view.rows[*index as usize];
        let deleted = view.packet.retain && row.payload.is_empty();
        merge.row_at(view.topic(row), view.payload(row), row.text, deleted, version);
    }
}

/// Says the version of an object that lies in one group.
pub(super) fn objects_of(retained: &Retained, interner: &Interner, roots: &Roots) -> impl Fn(&str) -> Option<u64> {
    |topic: &str| roots.group_of_object(topic).map(|_| retained.object_version(interner, topic))
}

/// Sends frames to the homes that want them. Returns these, a bit each.
fn send_bodies(
    made: &Made,
    about: &Frame,
    filter: &str,
    wanted: &[(Form, ShardId, FilterHandle)],
    homes: &mut impl Homes,
) {
    let is_wild = is_wildcard(filter);
    for (_, home, handle) in wanted {
        let down = homes.down_to(*home);
        for Body { bytes, versions_len, rows, more } in &made.bodies {
            if *rows == 0 && !is_wild {
                continue; // the one payload does not fit: an empty one would say that it is deleted
            }
            let body = down.batch.keep(bytes);
            let (handle, rows, versions_len, more) = (*handle, *rows, *versions_len, *more);
            let skipped = if more { 0 } else { made.skipped };
            down.items.push(DownItem::Frame(Frame { handle, body, versions_len, rows, more, skipped, ..*about }));
        }
    }
}
