//! The store's twin: keeps in memory what the store would keep on disk, and commits late. A world that is to be started
//! again has the store itself, on a disk in memory.

use engine::clock::Now;
use engine::key::{GroupId, ShardId};
use engine::row::change::{Change, Changes};
use engine::shard::{Restoring, Shard};
use engine::topic::Roots;
use std::collections::{BTreeMap, VecDeque};
use store::memory::Disk;
use store::{ByHand, Inlet, Opened, Settings};

/// See the module.
#[derive(Default)]
pub struct Twin {
    waiting: VecDeque<(ShardId, Changes)>,
    /// Rows that are durable: payload by topic.
    rows: BTreeMap<String, Vec<u8>>,
    /// The highest version of each group that is durable.
    versions: BTreeMap<GroupId, u64>,
    /// Nothing commits.
    pub is_stalled: bool,
    /// What owners say is written down in `watched`.
    pub is_watched: bool,
    pub watched: Vec<Watched>,
    /// The store, where the world has one.
    store: Option<Store>,
}

/// A row that an owner changed, in the order in which it told so.
pub struct Watched {
    pub group: GroupId,
    pub version: u64,
    pub topic: String,
    /// Payload and text mark; None: deleted.
    pub value: Option<(Vec<u8>, bool)>,
}

struct Store {
    disk: Disk,
    inlets: Vec<Inlet>,
    by_hand: ByHand,
}

/// The store on `disk`, before it is written to.
fn open(disk: &Disk, roots: &Roots) -> Opened {
    let rule = |_| -> Box<dyn Fn(&str) -> engine::key::GroupId> {
        let roots = roots.clone();
        Box::new(move |topic| roots.group(topic))
    };
    store::open_on(Box::new(disk.table()), &Settings::default(), &[], &rule).expect("the store opens")
}

impl Twin {
    /// With a store: a new one, or the one that `before` left. Its rows and sessions go to `shards`.
    pub fn with_store(before: Option<Twin>, shards: &mut [Shard], roots: &Roots, now: Now) -> Twin {
        let (disk, rows, versions) = match before {
            Some(Twin { store: Some(store), rows, versions, .. }) => (store.disk, rows, versions),
            _ => Default::default(),
        };
        let mut opened = open(&disk, roots);
        for state in &opened.groups {
            shards[roots.shard_of_group(state.group).index()].restore_numbers(state.group, state.numbers());
        }
        let restored =
            opened.restore(|restored| shards[roots.shard_of_group(restored.group()).index()].restore(restored));
        restored.expect("rows are read back");
        let mut restoring = Restoring::new(shards, now);
        opened.restore_sessions(|key, record| restoring.take(key, record)).expect("sessions are read back");
        restoring.end();
        let wakes = shards.iter().map(|_| Box::new(|| {}) as store::Wake).collect();
        let (inlets, by_hand) = opened.start_by_hand(shards.len(), wakes).expect("the store starts");
        Twin { rows, versions, store: Some(Store { disk, inlets, by_hand }), ..Twin::default() }
    }

    /// The process ends by itself: what waits is written, and the mark of a clean end.
    pub fn end(&mut self) {
        while !self.waiting.is_empty() {
            self.commit(0);
        }
        if let Some(store) = &mut self.store {
            store.by_hand.end().expect("the last commit");
        }
    }

    pub fn take(&mut self, shard: ShardId, changes: Changes) {
        if self.is_watched {
            let rows = changes.list.iter().filter_map(|change| watched(change, &changes.bytes));
            self.watched.extend(rows);
        }
        self.waiting.push_back((shard, changes));
    }

    /// Commits the oldest changes of some shard, `choice` says whose, if nothing hinders: which shards' are durable, and
    /// up to which position. Changes of several shards reach the writer in any order.
    pub fn commit(&mut self, choice: usize) -> Vec<(ShardId, u64)> {
        if self.is_stalled || self.waiting.is_empty() {
            return Vec::new();
        }
        let whose = self.waiting[choice % self.waiting.len()].0;
        let oldest = self.waiting.iter().position(|(shard, _)| *shard == whose);
        let Some((shard, changes)) = oldest.and_then(|at| self.waiting.remove(at)) else { return Vec::new() };
        for change in &changes.list {
            self.apply(change, &changes.bytes);
        }
        let Some(store) = &mut self.store else { return vec![(shard, changes.last)] };
        store.inlets[shard.index()].push(changes);
        store.by_hand.commit().expect("a commit");
        let ids = (0..store.inlets.len() as u16).map(ShardId);
        ids.zip(&store.inlets).map(|(shard, inlet)| (shard, inlet.committed())).collect()
    }

    fn apply(&mut self, change: &Change, bytes: &[u8]) {
        let Some(Watched { group, version, topic, value }) = watched(change, bytes) else { return };
        self.versions.insert(group, version);
        match value {
            Some((payload, _)) => self.rows.insert(topic, payload),
            None => self.rows.remove(&topic),
        };
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

    /// The version of the last change of a group that is durable; 0: none yet.
    pub fn last_version(&self, group: GroupId) -> u64 {
        self.versions.get(&group).copied().unwrap_or(0)
    }

    /// Records in the store whose keys begin with a letter, where the world has one.
    pub fn records(&self, letter: u8) -> usize {
        let mut count = 0;
        if let Some(store) = &self.store {
            store.disk.tamper(|pages| count = pages.keys().filter(|key| key.first() == Some(&letter)).count());
        }
        count
    }
}

/// A change of a row, if that is what it is.
fn watched(change: &Change, bytes: &[u8]) -> Option<Watched> {
    let text = |topic: &[u8]| String::from_utf8(topic.to_vec()).expect("topics are UTF-8");
    match change {
        Change::Put { group, topic, payload, text: is_text, version, .. } => {
            let value = Some((payload.of(bytes).to_vec(), *is_text));
            Some(Watched { group: *group, version: *version, topic: text(topic.of(bytes)), value })
        }
        Change::Delete { group, topic, version, .. } => {
            Some(Watched { group: *group, version: *version, topic: text(topic.of(bytes)), value: None })
        }
        _ => None,
    }
}
