//! What many publishers at once did, found out: which publish each stored change was of, in the order of each publisher.

use super::{Effect, Model, Op, Written, object};
use engine::key::GroupId;
use std::collections::BTreeMap;

/// What a publisher was told about its publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing says what became of it.
    Unknown,
    Applied(u64),
    Conflict(u64),
}

impl Verdict {
    /// Reads the user property of an acknowledgement.
    pub fn parse(mote: &str) -> Verdict {
        let version = |text: &str| text.parse().unwrap_or_else(|_| panic!("no version: {mote}"));
        match (mote.strip_prefix("ok;ver="), mote.strip_prefix("conflict;ver=")) {
            (Some(text), _) => Verdict::Applied(version(text)),
            (_, Some(text)) => Verdict::Conflict(version(text)),
            _ => Verdict::Unknown,
        }
    }
}

/// A change as the owner told it to the store.
#[derive(Clone, Debug)]
pub struct Stored {
    pub group: GroupId,
    pub version: u64,
    pub written: Written,
}

/// Replays the changes into the model. Panics if no order of the publishes, each publisher's own kept, explains them.
pub fn replay(model: &mut Model, ops: &[(Op, Verdict)], stored: &[Stored]) {
    let groups: Vec<GroupId> = model.groups.keys().copied().collect();
    for id in groups {
        let changes: Vec<&Stored> = stored.iter().filter(|change| change.group == id).collect();
        let Some(group) = model.groups.get_mut(&id) else { continue };
        let first = group.past.len() - 1;
        changes.iter().for_each(|change| group.change(change.version, &change.written));
        let mut queues: BTreeMap<usize, Queue<'_>> = BTreeMap::new();
        for (op, verdict) in ops.iter().filter(|(op, _)| op.retain && model.groups_of(op).contains(&id)) {
            let queue = queues.entry(op.writer).or_insert(Queue { judged: first, parts: Vec::new() });
            queue.parts.push((op, *verdict));
        }
        let mut search = Search { model, id, changes: &changes, first, furthest: 0 };
        let queues: Vec<Queue<'_>> = queues.into_values().collect();
        let is_explained = search.explain(0, &queues);
        let at = search.furthest;
        assert!(is_explained, "no order explains {:?} of {changes:?}\nof {queues:?}", changes.get(at));
    }
}

/// Publishes of one publisher that are to be found in one group.
#[derive(Clone, Debug)]
struct Queue<'a> {
    parts: Vec<(&'a Op, Verdict)>,
    /// Where in the past of the group the one before them was judged.
    judged: usize,
}

struct Search<'a> {
    model: &'a Model,
    id: GroupId,
    changes: &'a [&'a Stored],
    /// The moment before the first change.
    first: usize,
    furthest: usize,
}

impl Search<'_> {
    /// Whether publishes explain the changes from the one at `at` on.
    fn explain(&mut self, at: usize, queues: &[Queue<'_>]) -> bool {
        self.furthest = self.furthest.max(at);
        let Some(change) = self.changes.get(at) else {
            let last = self.first + at;
            return queues.iter().all(|queue| {
                queue.parts.iter().all(|(op, verdict)| self.changes_nothing(op, *verdict, queue.judged, last))
            });
        };
        let before = self.first + at;
        (0..queues.len()).any(|which| {
            self.places(&queues[which], change, before).into_iter().any(|place| {
                let mut rest = queues.to_vec();
                rest[which].parts.drain(..=place);
                rest[which].judged = before + 1;
                self.explain(at + 1, &rest)
            })
        })
    }

    /// Which publishes of a queue can have made the change: all before it made none.
    fn places(&self, queue: &Queue<'_>, change: &Stored, before: usize) -> Vec<usize> {
        let mut places = Vec::new();
        for (place, (op, verdict)) in queue.parts.iter().enumerate() {
            let can_be = match verdict {
                Verdict::Applied(version) => *version == change.version,
                Verdict::Unknown => true,
                Verdict::Conflict(_) => false,
            };
            if can_be && self.effect(op, before) == Effect::Change(change.written.clone()) {
                places.push(place);
            }
            if !self.changes_nothing(op, *verdict, queue.judged, before) {
                break;
            }
        }
        places
    }

    /// At some moment the publish changed nothing, in the way that its publisher was told.
    fn changes_nothing(&self, op: &Op, verdict: Verdict, from: usize, to: usize) -> bool {
        (from..=to).any(|moment| match verdict {
            // Where nothing changed the number is that of the object.
            Verdict::Applied(version) => {
                let moment_then = &self.model.groups[&self.id].past[moment];
                version == moment_then.object_version(&object(op)) && self.effect(op, moment) == Effect::Nothing
            }
            Verdict::Conflict(version) => self.effect(op, moment) == Effect::Conflict(version),
            Verdict::Unknown => !matches!(self.effect(op, moment), Effect::Change(_)),
        })
    }

    fn effect(&self, op: &Op, moment: usize) -> Effect {
        self.model.effect_at(op, self.id, &self.model.groups[&self.id].past[moment])
    }
}
