//! The store's twin: keeps in memory what the store would keep on disk, and commits late.

use engine::key::ShardId;
use engine::row::change::{Change, Changes};
use std::collections::{BTreeMap, VecDeque};

/// See the module.
#[derive(Default)]
pub struct Twin {
    waiting: VecDeque<(ShardId, Changes)>,
    /// Rows that are durable: payload by topic.
    rows: BTreeMap<String, Vec<u8>>,
    /// Nothing commits.
    pub is_stalled: bool,
}

impl Twin {
    pub fn take(&mut self, shard: ShardId, changes: Changes) {
        self.waiting.push_back((shard, changes));
    }

    /// Commits the oldest changes: whose, and up to which position.
    pub fn commit(&mut self) -> Option<(ShardId, u64)> {
        if self.is_stalled {
            return None;
        }
        let (shard, changes) = self.waiting.pop_front()?;
        for change in &changes.list {
            self.apply(change, &changes.bytes);
        }
        Some((shard, changes.last))
    }

    fn apply(&mut self, change: &Change, bytes: &[u8]) {
        let text = |topic: &[u8]| String::from_utf8(topic.to_vec()).expect("topics are UTF-8");
        match change {
            Change::Put { topic, payload, .. } => {
                self.rows.insert(text(topic.of(bytes)), payload.of(bytes).to_vec());
            }
            Change::Delete { topic, .. } => {
                self.rows.remove(&text(topic.of(bytes)));
            }
            Change::Reserve { .. } | Change::Used { .. } => {}
        }
    }

    /// Bytes that wait, as `store.pending_bytes` counts them.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.iter().map(|(_, changes)| changes.cost_bytes()).sum()
    }

    pub fn is_idle(&self) -> bool {
        self.is_stalled || self.waiting.is_empty()
    }

    pub fn rows(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.rows
    }
}
