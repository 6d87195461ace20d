//! What an owner knows of publishes with option `id`: a repeat is answered as the first was, and not applied again.
//!
//! Per group, the oldest first. What is forgotten here is forgotten in the store by the same changes.

use super::outbox::Outbox;
use super::subtree::{Homes, Reached, Subtree};
use crate::clock::Now;
use crate::config::Limits;
use crate::dialect::Verb;
use crate::key::GroupId;
use crate::limits::OUTCOMES_TRIMMED_PER_CHANGE;
use crate::row::batch::{Ask, Once, View};
use crate::row::change::Outcome;
use crate::session::verdict::{Refusal, Verdict};
use crate::topic::{Roots, stem};
use foldhash::HashMap;
use std::collections::VecDeque;

/// Of all groups of an owner.
pub(super) struct Outcomes {
    groups: HashMap<GroupId, OfGroup>,
    keep_ms: u64,
    /// Of one group.
    max: usize,
}

#[derive(Default)]
struct OfGroup {
    known: HashMap<u128, Known>,
    /// Keys, and when they were used, the oldest first. One that was used again since stands here twice.
    order: VecDeque<(u128, u64)>,
    /// They came from the store, in no order.
    is_unsorted: bool,
}

#[derive(Clone, Copy)]
struct Known {
    outcome: Outcome,
    /// Homes that keep what came of it, a bit each; after a start none is left to be waited for.
    homes: u64,
}

impl Outcomes {
    pub fn new(limits: &Limits) -> Outcomes {
        let keep_ms = u64::from(limits.idempotency_s) * 1_000;
        Outcomes { groups: HashMap::default(), keep_ms, max: limits.idempotency_max }
    }

    fn is_young(&self, since_ms: u64, now: Now) -> bool {
        now.wall_ms.saturating_sub(since_ms) < self.keep_ms
    }

    fn find(&self, group: GroupId, key: u128, now: Now) -> Option<Known> {
        let known = *self.groups.get(&group)?.known.get(&key)?;
        self.is_young(known.outcome.wall_ms, now).then_some(known)
    }

    fn add(&mut self, group: GroupId, known: Known) {
        let Outcome { key, wall_ms, .. } = known.outcome;
        let of_group = self.groups.entry(group).or_default();
        of_group.known.insert(key, known);
        of_group.order.push_back((key, wall_ms));
    }

    /// Forgets those that are too old or too many, some at a time.
    fn trim(&mut self, group: GroupId, now: Now, mut forget: impl FnMut(u128)) {
        if let Some(of_group) = self.groups.get_mut(&group).filter(|of_group| of_group.is_unsorted) {
            of_group.order.make_contiguous().sort_unstable_by_key(|(_, wall_ms)| *wall_ms);
            of_group.is_unsorted = false;
        }
        for _ in 0..OUTCOMES_TRIMMED_PER_CHANGE {
            let Some(of_group) = self.groups.get(&group) else { return };
            let Some(&(key, wall_ms)) = of_group.order.front() else { return };
            if of_group.order.len() <= self.max && self.is_young(wall_ms, now) {
                return;
            }
            let Some(of_group) = self.groups.get_mut(&group) else { return };
            of_group.order.pop_front();
            if of_group.known.get(&key).is_some_and(|known| known.outcome.wall_ms == wall_ms) {
                of_group.known.remove(&key);
                forget(key);
            }
        }
    }
}

impl Subtree {
    /// The answer to a publish with option `id`, if its key was used before. [MOTE-5.25] [MOTE-5.29]
    pub(super) fn answer_again(
        &mut self,
        now: Now,
        (view, ask, once): (View<'_>, &Ask, Once),
        roots: &Roots,
        homes: &mut impl Homes,
    ) -> Option<Verdict> {
        let group = roots.group_of_filter(ask.filter.text_of(view.bytes))?;
        let known = self.outcomes.find(group, once.key, now)?;
        if known.outcome.payload != once.payload {
            return Some(Verdict::refused(Refusal::Reused));
        }
        // A `set` that found nothing made no version.
        let has_version = view.packet.retain && (ask.verb != Verb::Set || known.outcome.version > 0);
        let version = has_version.then_some(known.outcome.version);
        let mut verdict = Verdict { matched: known.outcome.matched, applied: 1, version, ..Verdict::default() };
        if self.waits_for_disk && view.packet.wants_verdict {
            // All that the first led to is kept when this is. [MOTE-5.30]
            self.reached = Reached { homes: known.homes, opens: 0 };
            if view.packet.publish != 0 {
                homes.outbox().changes.advance(); // carries the join
            }
            self.ask_to_keep(view.packet, true, &mut verdict, homes);
        }
        Some(verdict)
    }

    /// Remembers what became of a publish with option `id` to a filter, in the same changes as its rows.
    pub(super) fn remember(
        &mut self,
        now: Now,
        (filter, once): (&str, Once),
        verdict: &Verdict,
        roots: &Roots,
        out: &mut Outbox,
    ) {
        let Some(group) = roots.group_of_filter(filter) else { return };
        let outcome = Outcome {
            key: once.key,
            payload: once.payload,
            version: verdict.version.unwrap_or(0),
            matched: verdict.matched,
            wall_ms: now.wall_ms,
        };
        self.outcomes.add(group, Known { outcome, homes: self.reached.homes });
        out.changes.outcome(group, stem(filter), outcome);
        self.outcomes.trim(group, now, |key| out.changes.forget_outcome(group, key));
        out.changes.advance();
    }

    /// An outcome from the store, before the first step; in any order.
    pub(super) fn restore_outcome(&mut self, group: GroupId, outcome: Outcome) {
        self.outcomes.add(group, Known { outcome, homes: 0 });
        self.outcomes.groups.entry(group).or_default().is_unsorted = true;
    }
}
