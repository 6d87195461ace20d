//! The store's twin: keeps in memory what the store would keep on disk, and commits late. A world that is to be started
//! again has the store itself, on a disk in memory.
//!
//! Who holds it sets what goes wrong, and draws when: commits wait for so many turns ([`Twin::lag_turns`]), are not tried
//! ([`Twin::is_stalled`]) or fail ([`Twin::fail`]), the disk has no room ([`Twin::limit`]), power goes ([`Twin::crash`]).
//!
//! ```text
//! waiting ──▶ handed to the writer ──▶ on the disk, untold ──▶ told
//! lost in a crash: all of these two      some of the last         never
//!   or the next commit has some of it
//! ```

use engine::clock::Now;
use engine::key::{GroupId, ShardId};
use engine::row::change::{Change, Changes};
use engine::shard::{Restoring, Shard};
use engine::topic::Roots;
use std::collections::{BTreeMap, VecDeque};
use store::memory::Disk;
use store::table::TableError;
use store::{ByHand, Inlet, Opened, Settings};

/// What a commit says that fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    DiskFull,
    /// Reading or writing failed.
    InputOutput,
}

impl Fault {
    fn error(self) -> TableError {
        match self {
            Fault::DiskFull => TableError::DiskFull("no space left on device".into()),
            Fault::InputOutput => TableError::Failed("input/output error".into()),
        }
    }
}

/// See the module.
#[derive(Default)]
pub struct Twin {
    /// With the turn from which on they may be committed.
    waiting: VecDeque<(ShardId, u64, Changes)>,
    /// By shard, the oldest first.
    handed: BTreeMap<ShardId, VecDeque<Handed>>,
    /// By shard, the last position.
    durable: BTreeMap<ShardId, u64>,
    known: Known,
    /// Changes of `known` by the last commits, which nobody was told of; the oldest first.
    untold: VecDeque<Untold>,
    /// Turns until now: each call of [`Twin::commit`] is one.
    turn: u64,
    /// So many turns pass before a change may be committed.
    pub lag_turns: u64,
    /// Bytes that wait, by shard, as `store.pending_bytes` counts them.
    waiting_bytes: Vec<usize>,
    /// Nothing commits.
    pub is_stalled: bool,
    failing: Option<Failing>,
    /// Bytes that the disk takes at most.
    room_bytes: Option<usize>,
    /// The last commit that was tried failed.
    has_failed: bool,
    /// What owners say is written down in `watched`.
    pub is_watched: bool,
    pub watched: Vec<Watched>,
    /// The store, where the world has one.
    store: Option<Store>,
}

/// What is durable, in words that a test compares with.
#[derive(Default)]
struct Known {
    /// Payload by topic.
    rows: BTreeMap<String, Vec<u8>>,
    /// The highest version of each group.
    versions: BTreeMap<GroupId, u64>,
}

/// What the writer has and has not committed.
struct Handed {
    position: u64,
    rows: Vec<Watched>,
    cost_bytes: usize,
}

/// A commit that may be lost.
struct Untold {
    positions: Vec<(ShardId, u64)>,
    /// What `Known` said before.
    rows: Vec<(String, Option<Vec<u8>>)>,
    versions: Vec<(GroupId, Option<u64>)>,
}

struct Failing {
    fault: Fault,
    /// None: until somebody mends it.
    attempts: Option<u32>,
}

/// A row that an owner changed, in the order in which it told so.
pub struct Watched {
    pub group: GroupId,
    pub version: u64,
    pub topic: String,
    /// Payload and text mark; None: deleted.
    pub value: Option<(Vec<u8>, bool)>,
}

/// A commit did not come about.
struct Failed;

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
        let (disk, known) = match before {
            Some(Twin { store: Some(store), known, .. }) => (store.disk, known),
            _ => Default::default(),
        };
        // On a full disk no broker starts: somebody made room.
        disk.limit(None);
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
        // What a start commits is done before anybody hears of the process.
        disk.may_lose();
        disk.told(disk.commits());
        Twin { known, store: Some(Store { disk, inlets, by_hand }), ..Twin::default() }
    }

    // What goes wrong.

    /// The next commits fail: so many, or until `mend` is called. Everything waits and is tried again.
    pub fn fail(&mut self, fault: Fault, attempts: Option<u32>) {
        self.failing = Some(Failing { fault, attempts });
    }

    /// Commits that would leave more than so many bytes on the disk find it full, until `mend` is called. Only a world
    /// with a store has such a disk.
    pub fn limit(&mut self, room_bytes: usize) {
        let store = self.store.as_ref().expect("a world with a store");
        store.disk.limit(Some(room_bytes));
        self.room_bytes = Some(room_bytes);
    }

    /// Nothing fails, and there is room.
    pub fn mend(&mut self) {
        (self.failing, self.room_bytes) = (None, None);
        if let Some(store) = &self.store {
            store.disk.limit(None);
        }
    }

    /// As the shards see it: the last commit failed, and its changes wait.
    pub fn is_failing(&self) -> bool {
        self.has_failed
    }

    /// Power goes. `draw(n)` is a number below n. Commits that nobody was told of may be lost, newest first; or some of what
    /// waited, of any shards, each in its order, was still committed and nobody was told. How many commits were lost.
    pub fn crash(&mut self, mut draw: impl FnMut(usize) -> usize) -> usize {
        assert!(self.store.is_some(), "only a world with a store comes back");
        let mut lost = 0;
        if draw(2) == 0 {
            lost = draw(self.untold.len() + 1);
            self.lose(lost);
        } else {
            (self.lag_turns, self.is_stalled, self.failing) = (0, false, None);
            self.waiting.iter_mut().for_each(|(_, due, _)| *due = 0);
            for _ in 0..draw(self.waiting.len() + 1) {
                let whose = self.waiting[draw(self.waiting.len())].0;
                self.hand_oldest(whose);
            }
            // One commit more, where the disk has room for it.
            self.try_commit();
        }
        self.waiting.clear();
        self.waiting_bytes.clear();
        self.handed.clear();
        self.untold.clear();
        lost
    }

    fn lose(&mut self, commits: usize) {
        let Some(store) = &self.store else { return };
        store.disk.lose(commits);
        for _ in 0..commits {
            let Some(untold) = self.untold.pop_back() else { return };
            let Known { rows, versions } = &mut self.known;
            for (topic, before) in untold.rows.into_iter().rev() {
                match before {
                    Some(payload) => rows.insert(topic, payload),
                    None => rows.remove(&topic),
                };
            }
            for (group, before) in untold.versions.into_iter().rev() {
                match before {
                    Some(version) => versions.insert(group, version),
                    None => versions.remove(&group),
                };
            }
        }
    }

    /// The process ends by itself: what waits is written, and the mark of a clean end.
    pub fn end(&mut self) {
        self.mend();
        (self.lag_turns, self.is_stalled) = (0, false);
        self.waiting.iter_mut().for_each(|(_, due, _)| *due = 0);
        while !self.waiting.is_empty() {
            self.commit(0);
        }
        if let Some(store) = &mut self.store {
            store.by_hand.end().expect("the last commit");
            self.waiting_bytes.clear();
            let rows = std::mem::take(&mut self.handed).into_values().flatten().flat_map(|handed| handed.rows);
            self.know(Vec::new(), rows.collect());
            self.untold.clear();
        }
    }

    // What shards do.

    pub fn take(&mut self, shard: ShardId, changes: Changes) {
        if self.is_watched {
            let rows = changes.list.iter().filter_map(|change| watched(change, &changes.bytes));
            self.watched.extend(rows);
        }
        if self.waiting_bytes.len() <= shard.index() {
            self.waiting_bytes.resize(shard.index() + 1, 0);
        }
        self.waiting_bytes[shard.index()] += changes.cost_bytes();
        self.waiting.push_back((shard, self.turn + self.lag_turns, changes));
    }

    /// A turn. Commits the oldest changes of some shard, `choice` says whose, if nothing hinders: which shards' are durable,
    /// and up to which position. Changes of several shards reach the writer in any order.
    pub fn commit(&mut self, choice: usize) -> Vec<(ShardId, u64)> {
        self.turn += 1;
        if self.is_stalled {
            return Vec::new();
        }
        let due = self.waiting.iter().filter(|(_, due, _)| *due <= self.turn).count();
        if due > 0 {
            let of_choice = self.waiting.iter().filter(|(_, due, _)| *due <= self.turn).nth(choice % due);
            if let Some(whose) = of_choice.map(|(shard, ..)| *shard) {
                self.hand_oldest(whose);
            }
        }
        self.try_commit()
    }

    /// A shard was told that its changes up to `position` are durable: the commit that made them so cannot be lost.
    pub fn told(&mut self, shard: ShardId, position: u64) {
        let has_it =
            |untold: &Untold| untold.positions.iter().any(|(whose, last)| *whose == shard && *last >= position);
        let Some(last) = self.untold.iter().position(has_it) else { return };
        self.untold.drain(..=last);
        if let Some(store) = &self.store {
            store.disk.told(store.disk.commits() - self.untold.len() as u64);
        }
    }

    fn hand_oldest(&mut self, whose: ShardId) {
        let oldest = self.waiting.iter().position(|(shard, ..)| *shard == whose);
        let Some((shard, _, changes)) = oldest.and_then(|at| self.waiting.remove(at)) else { return };
        let rows = changes.list.iter().filter_map(|change| watched(change, &changes.bytes)).collect();
        let handed = Handed { position: changes.last, rows, cost_bytes: changes.cost_bytes() };
        self.handed.entry(shard).or_default().push_back(handed);
        if let Some(store) = &self.store {
            store.inlets[shard.index()].push(changes);
        }
    }

    /// The writer tries to commit what it has.
    fn try_commit(&mut self) -> Vec<(ShardId, u64)> {
        if self.handed.values().all(VecDeque::is_empty) {
            return Vec::new();
        }
        let fault = self.failing.as_ref().map(|failing| failing.fault);
        if let Some(Failing { attempts: Some(attempts), .. }) = &mut self.failing {
            *attempts = attempts.saturating_sub(1);
            if *attempts == 0 {
                self.failing = None;
            }
        }
        let committed = match &mut self.store {
            None if fault.is_some() => Err(Failed),
            None => {
                let last = self.handed.iter().filter_map(|(shard, lane)| Some((*shard, lane.back()?.position)));
                Ok(Some(last.collect()))
            }
            Some(store) => store.commit(fault),
        };
        self.has_failed = committed.is_err();
        let Ok(Some(mut committed)) = committed else { return Vec::new() };
        committed.retain(|(shard, position)| self.durable.insert(*shard, *position).unwrap_or(0) < *position);
        let mut rows = Vec::new();
        for (shard, position) in &committed {
            let Some(lane) = self.handed.get_mut(shard) else { continue };
            while lane.front().is_some_and(|handed| handed.position <= *position) {
                let Some(handed) = lane.pop_front() else { break };
                self.waiting_bytes[shard.index()] -= handed.cost_bytes;
                rows.extend(handed.rows);
            }
        }
        self.know(committed.clone(), rows);
        committed
    }

    /// These rows are durable from now on, and perhaps nobody will ever be told.
    fn know(&mut self, positions: Vec<(ShardId, u64)>, changed: Vec<Watched>) {
        let mut untold = Untold { positions, rows: Vec::new(), versions: Vec::new() };
        let Known { rows, versions } = &mut self.known;
        for Watched { group, version, topic, value } in changed {
            untold.versions.push((group, versions.insert(group, version)));
            let before = match value {
                Some((payload, _)) => rows.insert(topic.clone(), payload),
                None => rows.remove(&topic),
            };
            untold.rows.push((topic, before));
        }
        if self.store.is_some() {
            self.untold.push_back(untold);
        }
    }

    // What tests look at.

    /// Bytes that wait, as `store.pending_bytes` counts them.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes.iter().sum()
    }

    /// No turn changes anything, or not before the store is mended.
    pub fn is_idle(&self) -> bool {
        let is_ended_by_itself = |failing: &Failing| failing.attempts.is_some();
        let fails_on = !self.failing.as_ref().is_none_or(is_ended_by_itself) || self.room_bytes.is_some();
        self.is_stalled || (self.waiting.is_empty() && (!self.has_failed || fails_on))
    }

    pub fn rows(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.known.rows
    }

    /// The version of the last change of a group that is durable; 0: none yet.
    pub fn last_version(&self, group: GroupId) -> u64 {
        self.known.versions.get(&group).copied().unwrap_or(0)
    }

    /// Whether anything waits for its commit.
    pub fn has_uncommitted(&self) -> bool {
        !self.waiting.is_empty() || self.handed.values().any(|lane| !lane.is_empty())
    }

    /// Commits that a crash now may lose.
    pub fn untold(&self) -> usize {
        self.untold.len()
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

impl Store {
    /// What every shard has on the disk then; None where there was nothing to commit.
    fn commit(&mut self, fault: Option<Fault>) -> Result<Option<Vec<(ShardId, u64)>>, Failed> {
        self.disk.fail(fault.map(Fault::error));
        let committed = self.by_hand.commit();
        self.disk.fail(None);
        if !committed.map_err(|_| Failed)? {
            return Ok(None);
        }
        Ok(Some((0..).map(ShardId).zip(self.inlets.iter().map(Inlet::committed)).collect()))
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
