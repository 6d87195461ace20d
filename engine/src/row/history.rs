//! The last changes of rows whose history is kept: `[[history]]` in the configuration says of which, and how many.
//!
//! ```text
//! past     (group, version, row of the change) ─▶ what the row became      read in this order, behind a cursor
//! rows     topic ─▶ its changes, the oldest first                         cut beyond the depth
//! order    number ─▶ change, as they came                                 cut beyond the bytes, whoever's they are
//! ```
//!
//! Lives at the owner, on its core. Where nothing is declared it costs one look at an empty list.

use super::change::Past;
use crate::config;
use crate::key::GroupId;
use crate::topic::matches;
use crate::wire::QoS;
use foldhash::HashMap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a change costs of `limits.history_bytes` beside its topic and payload.
const PAST_BYTES_FIXED: usize = 128;

/// Which change: of its group the version, and which row of it.
pub type Which = (GroupId, u64, u32);

/// See the module.
#[derive(Default)]
pub struct History {
    declared: Vec<config::History>,
    bytes_max: usize,
    past: BTreeMap<Which, Kept>,
    rows: HashMap<Arc<str>, VecDeque<Which>>,
    order: BTreeMap<u64, Which>,
    /// Number of the next change.
    next: u64,
    bytes: usize,
    /// What the store kept and this configuration does not.
    unwanted: Vec<Which>,
}

struct Kept {
    number: u64,
    topic: Arc<str>,
    payload: Box<[u8]>,
    qos: QoS,
    text: bool,
    deleted: bool,
}

impl Kept {
    fn bytes(&self) -> usize {
        PAST_BYTES_FIXED + self.topic.len() + self.payload.len()
    }
}

impl History {
    pub fn new(declared: &[config::History], bytes_max: usize) -> History {
        History { declared: declared.to_vec(), bytes_max, ..History::default() }
    }

    /// How many changes of a topic are kept: the most that a filter says which matches it.
    pub fn depth(&self, topic: &str) -> usize {
        let of = |history: &config::History| if matches(&history.filter, topic) { history.depth } else { 0 };
        self.declared.iter().map(of).max().unwrap_or(0)
    }

    /// Adds a change if its row is one whose history is kept. Says so, and which changes are cut for it.
    pub fn add(&mut self, group: GroupId, past: &Past<'_>, mut cut: impl FnMut(Which)) -> bool {
        let depth = self.depth(past.topic);
        if depth == 0 {
            return false;
        }
        self.insert(group, past);
        let too_many = self.rows.get(past.topic).map_or(0, |row| row.len().saturating_sub(depth));
        for _ in 0..too_many {
            if let Some(which) = self.rows.get(past.topic).and_then(|row| row.front().copied()) {
                self.remove(which);
                cut(which);
            }
        }
        while self.bytes > self.bytes_max
            && let Some((_, which)) = self.order.first_key_value()
        {
            let which = *which;
            self.remove(which);
            cut(which);
        }
        true
    }

    /// A change from the store, before the first step; those of a group in their order.
    pub fn restore(&mut self, group: GroupId, past: &Past<'_>) {
        let mut unwanted = std::mem::take(&mut self.unwanted);
        if !self.add(group, past, |which| unwanted.push(which)) {
            unwanted.push((group, past.version, past.index));
        }
        self.unwanted = unwanted;
    }

    /// Changes that the store has and that are kept no longer, once.
    pub fn take_unwanted(&mut self) -> Vec<Which> {
        std::mem::take(&mut self.unwanted)
    }

    /// The kept changes of a group after a version, in their order, rows of one change in the order of its packet.
    pub fn after(&self, group: GroupId, version: u64) -> impl Iterator<Item = Past<'_>> {
        let from = (group, version.saturating_add(1), 0);
        let to = (group, u64::MAX, u32::MAX);
        self.past.range(from..=to).map(|(&(_, version, index), kept)| Past {
            version,
            index,
            topic: &kept.topic,
            payload: &kept.payload,
            qos: kept.qos,
            text: kept.text,
            deleted: kept.deleted,
        })
    }

    /// The newest kept change of a topic: of its group the version.
    pub fn newest(&self, topic: &str) -> Option<(GroupId, u64)> {
        let (group, version, _) = *self.rows.get(topic)?.back()?;
        Some((group, version))
    }

    /// Changes that are kept.
    pub fn len(&self) -> usize {
        self.past.len()
    }

    pub fn is_empty(&self) -> bool {
        self.past.is_empty()
    }

    /// What they count against `limits.history_bytes`.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn insert(&mut self, group: GroupId, past: &Past<'_>) {
        let topic = match self.rows.get_key_value(past.topic) {
            Some((topic, _)) => topic.clone(),
            None => past.topic.into(),
        };
        let which = (group, past.version, past.index);
        self.next += 1;
        let Past { qos, text, deleted, .. } = *past;
        let kept = Kept { number: self.next, topic: topic.clone(), payload: past.payload.into(), qos, text, deleted };
        self.bytes += kept.bytes();
        self.order.insert(self.next, which);
        self.rows.entry(topic).or_default().push_back(which);
        let before = self.past.insert(which, kept);
        debug_assert!(before.is_none(), "a row of a change comes once");
    }

    fn remove(&mut self, which: Which) {
        let Some(kept) = self.past.remove(&which) else { return };
        self.bytes -= kept.bytes();
        self.order.remove(&kept.number);
        let Some(row) = self.rows.get_mut(&kept.topic) else { return };
        // It is the oldest of its row, as of all.
        debug_assert_eq!(row.front(), Some(&which));
        row.pop_front();
        if row.is_empty() {
            self.rows.remove(&kept.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(1);

    fn past(topic: &str, version: u64) -> Past<'_> {
        Past { version, index: 0, topic, payload: b"12345678", qos: QoS::AtMostOnce, text: false, deleted: false }
    }

    fn history(bytes_max: usize) -> History {
        let declared = [("s/#", 2), ("s/+", 3)].map(|(filter, depth)| config::History { filter: filter.into(), depth });
        History::new(&declared, bytes_max)
    }

    fn versions(history: &History, after: u64) -> Vec<u64> {
        history.after(GROUP, after).map(|past| past.version).collect()
    }

    #[test]
    fn the_last_changes_of_each_row_are_kept() {
        // [MOTE-5.40]
        let mut history = history(usize::MAX);
        let mut cut = Vec::new();
        for version in 1..=10 {
            let topic = ["s/a", "s/b/c", "other"][version as usize % 3];
            assert_eq!(history.add(GROUP, &past(topic, version), |which| cut.push(which.1)), topic != "other");
        }
        assert_eq!(cut, [1, 4], "s/b/c has two, s/a has had three");
        assert_eq!(versions(&history, 0), [3, 6, 7, 9, 10]);
        assert_eq!(versions(&history, 7), [9, 10]);
        assert_eq!(history.after(GroupId(0), 0).count() + history.after(GroupId(2), 0).count(), 0);
    }

    #[test]
    fn beyond_the_bytes_the_oldest_goes_whoever_it_is_of() {
        let mut history = history(3 * (PAST_BYTES_FIXED + 8 + 3));
        let mut cut = Vec::new();
        for (version, topic) in [(5, "s/a"), (9, "s/b"), (2, "s/c"), (10, "s/b")] {
            let group = if topic == "s/c" { GroupId(2) } else { GROUP };
            history.add(group, &past(topic, version), |which| cut.push((which.0.0, which.1)));
        }
        assert_eq!((cut, history.len()), (vec![(1, 5)], 3));
        let large = vec![0; 10_000];
        history.add(GROUP, &Past { payload: &large, ..past("s/d", 11) }, |_| {});
        assert_eq!((history.len(), history.bytes()), (0, 0), "one that is larger than all may be is not kept");
    }

    #[test]
    fn what_the_store_has_beyond_the_configuration_is_told_once() {
        let mut history = history(usize::MAX);
        for (version, topic) in [(1, "s/b/c"), (2, "s/b/c"), (3, "no more"), (4, "s/b/c")] {
            history.restore(GROUP, &past(topic, version));
        }
        assert_eq!(history.take_unwanted(), [(GROUP, 3, 0), (GROUP, 1, 0)]);
        assert!(history.take_unwanted().is_empty());
        assert_eq!(versions(&history, 0), [2, 4]);
    }
}
