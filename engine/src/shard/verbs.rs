//! What an owner does for a publish with a verb beyond applying its rows: conditions, `replace`, `set`.
//!
//! All of it is judged before the first write of a group, so that a group applies its part whole or not at all.

use super::parcel::{Conflict, DownItem};
use super::subtree::{Homes, Origin, Reached, Subtree};
use crate::clock::Now;
use crate::dialect::{Condition, Form, Verb};
use crate::key::{GroupId, Span};
use crate::row::batch::{Ask, Batch, Row, View};
use crate::row::merge::write_value;
use crate::row::retained::Walk;
use crate::session::verdict::{Refusal, Verdict};
use crate::topic::{Roots, stem};
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

impl Subtree {
    /// Applies a publish with a verb, as far as it is this owner's.
    pub(super) fn apply_asked(
        &mut self,
        now: Now,
        (view, ask): (View<'_>, &Ask),
        origin: Origin<'_>,
        roots: &Roots,
        homes: &mut impl Homes,
    ) -> Option<Verdict> {
        let Some(once) = ask.once else { return self.apply_verb(now, (view, ask), origin, roots, homes) };
        // Before the condition, which no longer holds once it was applied. [MOTE-5.27]
        if let Some(verdict) = self.answer_again(now, (view, ask, once), roots, homes) {
            return Some(verdict);
        }
        self.reached = Reached::default();
        let filter = ask.filter.text_of(view.bytes);
        let verdict = self.apply_verb(now, (view, ask), origin, roots, homes);
        match (&verdict, self.sliced.back_mut()) {
            (Some(verdict), _) if verdict.refusal.is_none() => {
                self.remember(now, (filter, once), verdict, roots, homes.outbox()); // [MOTE-5.28]
            }
            (None, Some(sliced)) => sliced.once = Some((once, filter.into())),
            _ => {}
        }
        verdict
    }

    fn apply_verb(
        &mut self,
        now: Now,
        (view, ask): (View<'_>, &Ask),
        origin: Origin<'_>,
        roots: &Roots,
        homes: &mut impl Homes,
    ) -> Option<Verdict> {
        if ask.verb == Verb::Set {
            return self.set(now, (view, ask), roots, homes);
        }
        let object = stem(ask.filter.text_of(view.bytes));
        if !self.holds(ask.condition, object) {
            let version = self.retained.object_version(&self.interner, object);
            self.tell_conflict((view, ask), version, homes);
            return Some(Verdict::refused(Refusal::Conflict { version }));
        }
        let replaced = if ask.replace && view.packet.retain { self.replaced(view, ask) } else { Ok(Vec::new()) };
        let gone = match replaced {
            Err(refusal) => return Some(Verdict::refused(refusal)),
            Ok(gone) => gone,
        };
        if self.is_large(view.rows.len() + gone.len()) {
            self.begin_sliced(now, [with_deletions(view, &gone)], Verdict::default(), roots, homes);
            if let Some(sliced) = self.sliced.back_mut() {
                sliced.object = Some(object.into());
            }
            return None;
        }
        let mut verdict = if gone.is_empty() {
            self.apply_rows(now, view, origin, roots, homes)
        } else {
            self.apply_rows(now, with_deletions(view, &gone).view(0), Origin::Local, roots, homes)
        };
        self.say_unchanged(&view, object, &mut verdict, roots);
        Some(verdict)
    }

    /// Where nothing changed the object has the version that it had.
    pub(super) fn say_unchanged(&self, view: &View<'_>, object: &str, verdict: &mut Verdict, roots: &Roots) {
        if verdict.version.is_none() && view.packet.retain && roots.group_of_object(object).is_some() {
            verdict.version = Some(self.retained.object_version(&self.interner, object));
        }
    }

    /// Whether a condition holds for the object at a topic. [MOTE-5.17] [MOTE-5.18] [MOTE-5.19]
    fn holds(&self, condition: Condition, object: &str) -> bool {
        match condition {
            Condition::Always => true,
            Condition::Version(wanted) => self.retained.object_version(&self.interner, object) == wanted,
            Condition::Absent => !self.retained.object_exists(&self.interner, object),
            Condition::Exists => self.retained.object_exists(&self.interner, object),
        }
    }

    /// The publisher is told what there is, where its acknowledgement does not say enough.
    fn tell_conflict(&mut self, (view, ask): (View<'_>, &Ask), version: u64, homes: &mut impl Homes) {
        if !ask.tells_conflict {
            return;
        }
        let mut value = Vec::new();
        self.write_object((view, ask), &mut value);
        let down = homes.down_to(view.packet.publisher.home);
        let topic = down.batch.keep(ask.pattern.of(view.bytes));
        let properties = down.batch.keep(view.properties());
        let value = down.batch.keep(&value);
        let (publisher, qos) = (view.packet.publisher.session, view.packet.qos);
        let conflict = Conflict { to: publisher, topic, condition: ask.condition, version, value, properties, qos };
        down.items.push(DownItem::Conflict(conflict));
    }

    /// Appends what is retained: of a `put` the value of its row, of a `tree` the tree under its pattern; `null` where
    /// there is nothing, or more than a frame may carry.
    fn write_object(&mut self, (view, ask): (View<'_>, &Ask), out: &mut Vec<u8>) {
        const NULL: &[u8] = b"null";
        let filter = ask.filter.text_of(view.bytes);
        if ask.verb == Verb::Put {
            let row = self.retained.get(&self.interner, filter);
            match row.filter(|row| row.payload.len() <= self.frame_bytes_max) {
                Some(row) => write_value(row.payload, row.text, out),
                None => out.extend_from_slice(NULL),
            }
        } else if !self.write_tree(filter, out) {
            out.clear();
            out.extend_from_slice(NULL);
        }
        if out.len() > self.frame_bytes_max {
            out.clear();
            out.extend_from_slice(NULL);
        }
    }

    /// Whether there are rows and all of them fit one frame.
    fn write_tree(&mut self, filter: &str, out: &mut Vec<u8>) -> bool {
        self.merge.begin(filter, Form::default());
        let (merge, bytes_max) = (&mut self.merge, self.frame_bytes_max);
        let is_whole = self.retained.walk(&self.interner, filter, &mut Walk::new(), usize::MAX, |kept| {
            merge.row(kept.topic, kept.payload, kept.text, false);
            if merge.body_bytes_estimate() > 2 * bytes_max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if !is_whole || self.merge.is_empty() {
            return false;
        }
        let mut parts = 0;
        let skipped = self.merge.finish_split(bytes_max, |body, _, _| {
            parts += 1;
            out.clear();
            out.extend_from_slice(body);
        });
        parts == 1 && skipped == 0
    }

    /// Topics of the retained rows that the pattern covers and the packet does not have. [MOTE-3.29]
    fn replaced(&self, view: View<'_>, ask: &Ask) -> Result<Vec<String>, Refusal> {
        let given: HashSet<&str> = view.rows.iter().map(|row| view.topic(row)).collect();
        let mut gone = Vec::new();
        let filter = ask.filter.text_of(view.bytes);
        self.retained.walk(&self.interner, filter, &mut Walk::new(), usize::MAX, |kept| {
            if !given.contains(kept.topic) {
                gone.push(kept.topic.to_owned());
            }
            if gone.len() > self.set_rows_max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if gone.len() > self.set_rows_max { Err(Refusal::TooManyRows) } else { Ok(gone) } // [MOTE-4.7]
    }

    /// Writes one payload into every retained row that matches a filter: one change of each group. [MOTE-4.1]
    fn set(
        &mut self,
        now: Now,
        (view, ask): (View<'_>, &Ask),
        roots: &Roots,
        homes: &mut impl Homes,
    ) -> Option<Verdict> {
        let mut said = Verdict::default();
        let mut batches = Vec::new();
        for topics in self.topics_by_group(ask.filter.text_of(view.bytes), roots).into_values() {
            match topics {
                None => said = said.and(Verdict::refused(Refusal::TooManyRows)), // [MOTE-4.6]
                Some(topics) => batches.push(with_payload(view, &topics)),
            }
        }
        if self.is_large(batches.iter().map(|batch| batch.rows.len()).sum()) {
            self.begin_sliced(now, batches, said, roots, homes);
            return None;
        }
        for batch in batches {
            said = said.and(self.apply_rows(now, batch.view(0), Origin::Local, roots, homes));
        }
        Some(said)
    }

    /// Topics of the retained rows that match a filter, by group; none where they are more than may be written.
    fn topics_by_group(&self, filter: &str, roots: &Roots) -> BTreeMap<GroupId, Option<Vec<String>>> {
        let mut groups: BTreeMap<GroupId, Option<Vec<String>>> = BTreeMap::new();
        self.retained.walk(&self.interner, filter, &mut Walk::new(), usize::MAX, |kept| {
            let topics = groups.entry(roots.group(kept.topic)).or_insert_with(|| Some(Vec::new()));
            if topics.as_ref().is_some_and(|topics| topics.len() >= self.set_rows_max) {
                *topics = None;
            }
            if let Some(topics) = topics {
                topics.push(kept.topic.to_owned());
            }
            ControlFlow::Continue(())
        });
        groups
    }
}

/// The packet with more rows, which delete.
fn with_deletions(view: View<'_>, topics: &[String]) -> Batch {
    with_rows(Batch::of(view), topics, Span::EMPTY, false)
}

/// The packet with these rows instead of its own, all with its payload.
fn with_payload(view: View<'_>, topics: &[String]) -> Batch {
    let row = view.rows[0];
    let mut batch = Batch::default();
    batch.copy_rows(view, std::iter::empty());
    let payload = batch.keep(row.payload.of(view.bytes));
    with_rows(batch, topics, payload, row.text)
}

fn with_rows(mut batch: Batch, topics: &[String], payload: Span, text: bool) -> Batch {
    for topic in topics {
        let topic = batch.keep(topic.as_bytes());
        batch.rows.push(Row { topic, payload, text });
    }
    batch.packets[0].row_count = batch.rows.len() as u32;
    batch
}
