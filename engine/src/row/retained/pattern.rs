//! A filter as the walk reads it: each level a number, or any.

use crate::topic::{Interner, Level};
use smallvec::SmallVec;

/// Built anew for each slice: a level's number may change between two.
pub(super) struct Pattern<'f> {
    steps: SmallVec<[Step<'f>; 16]>,
    /// Ends in `#`.
    is_deep: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'f> {
    /// A level that no row has.
    Nothing,
    One(Level, &'f str),
    Any,
}

impl<'f> Pattern<'f> {
    pub(super) fn new(interner: &Interner, filter: &'f str) -> Pattern<'f> {
        let (fixed, is_deep) = match filter.strip_suffix('#') {
            Some("") => (None, true),
            Some(fixed) => (fixed.strip_suffix('/'), true),
            None => (Some(filter), false),
        };
        let step = |text: &'f str| match text {
            "+" => Step::Any,
            text => interner.get(text).map_or(Step::Nothing, |level| Step::One(level, text)),
        };
        let steps = fixed.map(|fixed| fixed.split('/').map(step).collect()).unwrap_or_default();
        Pattern { steps, is_deep }
    }

    /// Which children of a node so many levels deep to visit.
    pub(super) fn below(&self, depth: usize) -> Step<'f> {
        match self.steps.get(depth) {
            Some(step) => *step,
            None if self.is_deep => Step::Any,
            None => Step::Nothing,
        }
    }

    /// Whether the filter matches at that depth, given that it was followed down to it. `a/#` matches `a` too,
    /// section 4.7.1.2.
    pub(super) fn matches_at(&self, depth: usize) -> bool {
        depth == self.steps.len() || self.is_deep && depth > self.steps.len()
    }

    /// Whether a first level that the filter has a wildcard for must be left alone: one that begins with `$`,
    /// [MQTT-4.7.2-1] [3.1.1: MQTT-4.7.2-1].
    pub(super) fn spares(&self, depth: usize, text: &str) -> bool {
        depth == 0 && self.below(0) == Step::Any && text.starts_with('$')
    }

    /// Whether a topic matches, given from its last level up to its first.
    pub(super) fn matches_upward(&self, interner: &Interner, levels: &[Level]) -> bool {
        let fits = |(depth, level): (usize, &Level)| match self.steps[depth] {
            Step::Nothing => false,
            Step::One(step, _) => step == *level,
            Step::Any => true,
        };
        self.matches_at(levels.len())
            && levels.last().is_none_or(|first| !self.spares(0, interner.text(*first)))
            && levels.iter().rev().take(self.steps.len()).enumerate().all(fits)
    }
}
