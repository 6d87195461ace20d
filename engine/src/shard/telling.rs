//! What a reader missed, change by change, where a history has it: option `events`. It goes before the catch-up of what
//! is left, and tells the changes of each group in their order, up to where the group stood when the walk began.

use super::catchup::Open;
use super::subtree::Subtree;
use crate::key::GroupId;
use crate::limits::WALK_ROWS_PER_TURN_MAX;
use crate::row::history::History;
use crate::row::retained::Newer;
use crate::session::cursor::Versions;
use crate::topic::{Roots, matches};
use crate::wire::QoS;

/// Where it stands.
pub struct Telling {
    /// What the reader had.
    has: Versions,
    /// Where the groups stood when it began.
    until: Versions,
    /// It goes on behind this change, with the groups in their order. `None`: all is told.
    behind: Option<(GroupId, u64)>,
}

impl Telling {
    pub fn new(has: Versions, until: Versions) -> Telling {
        let first = GroupId(0);
        let behind = Some((first, has.get(first)));
        Telling { has, until, behind }
    }

    pub fn is_over(&self) -> bool {
        self.behind.is_none()
    }

    /// Whether the newest change of a topic is among those that are told.
    pub fn has_newest(&self, history: &History, topic: &str) -> bool {
        history.newest(topic).is_some_and(|(group, version)| version <= self.until.get(group))
    }

    /// Whether a row, or that it is deleted, was told when all is told. The history has it still, so it had it then.
    pub fn has_told(&self, history: &History, newer: &Newer<'_>) -> bool {
        let (topic, version) = match newer {
            Newer::Row(kept) => (kept.topic, kept.version),
            Newer::Deleted { topic, version } => (*topic, *version),
        };
        self.has_newest(history, topic) && history.newest(topic).is_some_and(|newest| newest.1 == version)
    }

    /// What the reader has of a group when all is told and no deletion may be missing behind.
    fn stand(&self, group: GroupId) -> u64 {
        match self.has.get(group) {
            0 => self.until.get(group),
            version => version,
        }
    }
}

impl Subtree {
    /// Makes frames of the next changes, one of each or more where it is large. Where the reader cannot be told what it
    /// missed beside them any more, it begins anew.
    pub(super) fn tell(&mut self, open: &mut Open, telling: &mut Telling, roots: &Roots) {
        let Some(behind) = telling.behind else { return };
        telling.behind = self.tell_from(open, telling, behind, roots);
        // Deletions may have been forgotten meanwhile.
        let is_lost = |group: GroupId| !self.can_resume(group, telling.stand(group));
        open.reset |= telling.is_over() && self.own_groups(open.group, roots).any(is_lost);
    }

    /// Returns where it stopped.
    fn tell_from(
        &mut self,
        open: &mut Open,
        telling: &Telling,
        (next, behind): (GroupId, u64),
        roots: &Roots,
    ) -> Option<(GroupId, u64)> {
        let bytes_max = open.slice_bytes_max();
        let (mut looks, mut bytes) = (0, 0);
        for (group, until) in telling.until.iter().filter(|(group, _)| *group >= next) {
            let behind = if group == next { behind } else { telling.has.get(group) };
            let mut changes = self.history.after(group, behind).take_while(|past| past.version <= until).peekable();
            while let Some(version) = changes.peek().map(|past| past.version) {
                if looks >= WALK_ROWS_PER_TURN_MAX || bytes >= bytes_max {
                    return Some((group, version - 1));
                }
                open.begin(&mut self.merge);
                let mut qos = QoS::AtMostOnce;
                while let Some(past) = changes.next_if(|past| past.version == version) {
                    looks += 1;
                    if matches(&open.filter, past.topic) {
                        self.merge.row_at(past.topic, past.payload, past.text, past.deleted, version);
                        // A deletion has no QoS of its own: what the reader was granted decides.
                        qos = qos.max(if past.deleted { QoS::ExactlyOnce } else { past.qos });
                    }
                }
                if !self.merge.is_empty() {
                    bytes += self.merge.body_bytes_estimate();
                    // Objects had the version of their newest change then.
                    let objects = |topic: &str| roots.group_of_object(topic).map(|_| version);
                    open.add_bodies(&mut self.merge, &objects, qos, version);
                }
            }
        }
        None
    }
}
