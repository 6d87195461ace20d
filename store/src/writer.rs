//! The writer: takes changes from every shard, and commits them together.
//!
//! Started by `Opened::start`; lives on a thread of its own, never on a shard's core by choice of the caller. It
//! must never cut one `Changes` in two, and never say that something is durable before the table says so.

use crate::StoreError;
use crate::coalesce::{Coalesced, ENTRIES_KEPT, Place};
use crate::folder::InUse;
use crate::inlet::{Inlet, Ring, Shared, cost_bytes};
use crate::joined::Joined;
use crate::kept::{Pen, has_short_key};
use crate::key;
use crate::lasting;
use crate::record::GroupState;
use crate::table::{Edit, Table, TableError};
use engine::key::GroupId;
use engine::row::change::{Change, Changes};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Called when changes of a shard became durable, or any after a failure, from the writer's thread.
pub type Wake = Box<dyn Fn() + Send>;

/// Called from the writer's thread when nothing was to be written for [`IDLE`]: memory may be given back.
pub type GiveBack = Box<dyn Fn() + Send>;

/// So long after the last commit memory is given back.
const IDLE: Duration = Duration::from_millis(250);
/// Between attempts of a commit that fails; doubled each time from the first.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(2);
/// A commit of so much costs little beside what it writes, and what waits for it is held twice: as it came, and in LMDB's
/// pages, whose memory LMDB keeps for the next one.
const COMMIT_BYTES: usize = 1 << 20;
/// How long a stop tries to commit what is left.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// The writer without its thread: whoever holds it says when a commit is made.
pub struct ByHand {
    table: Box<dyn Table>,
    shared: Arc<Shared>,
    wakes: Vec<Wake>,
    groups: Vec<GroupState>,
    /// What the last written commit made of them.
    changed_groups: BTreeMap<GroupId, GroupState>,
    /// What came and is not to be committed without what is still to come.
    joined: Joined,
    coalesced: Coalesced,
    order: Vec<Place>,
    pen: Pen,
    /// Let go of last, after the table is closed.
    _in_use: Option<InUse>,
}

/// Where the writer begins.
pub(crate) struct Start {
    pub wakes: Vec<Wake>,
    pub groups: Vec<GroupState>,
    pub pen: Pen,
}

impl ByHand {
    pub(crate) fn new(table: Box<dyn Table>, in_use: Option<InUse>, shared: Arc<Shared>, start: Start) -> ByHand {
        let Start { wakes, groups, pen } = start;
        let shards = shared.lanes.len();
        ByHand {
            table,
            shared,
            wakes,
            groups,
            changed_groups: BTreeMap::new(),
            joined: Joined::new(shards),
            coalesced: Coalesced::default(),
            order: Vec::new(),
            pen,
            _in_use: in_use,
        }
    }

    /// Commits what was pushed until now; says whether there was anything. After an error everything is still here
    /// and the next call tries again, with what came since.
    pub fn commit(&mut self) -> Result<bool, TableError> {
        self.gather();
        if self.coalesced.is_empty() {
            return Ok(false);
        }
        if let Err(why) = self.write(None) {
            self.shared.set_failure(Some(why.to_string()));
            return Err(why);
        }
        self.settle();
        Ok(true)
    }

    /// The last commit: what is left, and the mark of a clean end, in one.
    pub fn end(&mut self) -> Result<(), TableError> {
        self.gather();
        // Every shard has come to rest: what has no counterpart now never gets one.
        self.joined.take_all(|shard, changes| self.coalesced.take(shard, changes));
        self.write(Some(key::CLEAN))?;
        self.settle();
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.shared.nothing_queued() && self.coalesced.is_empty()
    }

    /// Until there is something to do. What a burst needed is not kept for the next one.
    fn sleep_idle(&mut self, give_back: &GiveBack) {
        let still = || self.shared.nothing_queued() && !self.shared.ends();
        self.shared.bell.sleep_idle(Some(IDLE), still);
        if still() {
            self.shared.drop_spares();
            give_back();
            self.shared.bell.sleep_idle(None, still);
        }
    }

    fn gather(&mut self) {
        for (shard, lane) in self.shared.lanes.iter().enumerate() {
            // Not until it is empty: a shard that pushes faster than this loop takes would hold it forever.
            for _ in 0..lane.queue.len() {
                match lane.take() {
                    Some(changes) if self.table.forgets() => self.coalesced.hold(shard, changes),
                    Some(changes) => self.joined.push(shard, changes),
                    None => break,
                }
            }
        }
        self.joined.take_whole(|shard, changes| self.coalesced.take(shard, changes));
    }

    /// So much is to be written that it should not wait longer. What is changed again and again is written once a period,
    /// however often it changes.
    fn has_enough(&self) -> bool {
        let is_held = !self.coalesced.is_empty();
        is_held && (self.table.forgets() || self.coalesced.bytes() >= COMMIT_BYTES)
    }

    fn write(&mut self, mark: Option<&[u8]>) -> Result<(), TableError> {
        let ByHand { table, coalesced, order, pen, groups, changed_groups, .. } = self;
        if table.forgets() {
            return Ok(());
        }
        coalesced.sort();
        coalesced.sorted_named(order);
        table.commit(&mut |edit| {
            coalesced.groups(groups, changed_groups);
            pen.write_sorted(edit, coalesced)?;
            for &place in order.iter() {
                pen.write_named(edit, coalesced.change(place), coalesced.changes(place))?;
            }
            coalesced.ended.iter().try_for_each(|&session| lasting::end_session(edit, session))?;
            for state in changed_groups.values() {
                key::group(&mut pen.key, state.group);
                pen.seal.put(edit, &pen.key, pen.scribe.group(state))?;
            }
            mark.map_or(Ok(()), |mark| edit.put(mark, b""))
        })?;
        for (group, state) in std::mem::take(changed_groups) {
            groups[group.index()] = state;
        }
        Ok(())
    }

    /// Tells the shards what is durable and gives their memory back.
    fn settle(&mut self) {
        let ByHand { shared, coalesced, wakes, order, .. } = self;
        order.clear();
        order.shrink_to(ENTRIES_KEPT);
        let mut advanced = vec![false; shared.lanes.len()];
        coalesced.clear(|shard, changes| {
            let lane = &shared.lanes[shard];
            lane.committed.store(changes.last, Ordering::Release);
            lane.pending_bytes.fetch_sub(cost_bytes(&changes), Ordering::Relaxed);
            lane.give_back(changes);
            advanced[shard] = true;
        });
        let failed = shared.failing.load(Ordering::Relaxed);
        if failed {
            shared.set_failure(None);
        }
        // Everybody refuses while it fails, also those who had nothing in it.
        for (wake, _) in wakes.iter().zip(advanced).filter(|(_, advanced)| *advanced || failed) {
            wake();
        }
    }
}

impl Pen {
    /// The newest change of each topic.
    fn write_sorted(&mut self, edit: &mut dyn Edit, coalesced: &Coalesced) -> Result<(), TableError> {
        let mut places = coalesced.sorted().peekable();
        while let Some(&first) = places.peek() {
            if has_short_key(coalesced.change(first)) {
                edit.put_ascending(&mut |put| {
                    while let Some(place) = places.next_if(|&place| has_short_key(coalesced.change(place))) {
                        self.put_row(put, coalesced.change(place), &coalesced.changes(place).bytes)?;
                    }
                    Ok(())
                })?;
            } else {
                self.write(edit, coalesced.change(first), coalesced.changes(first))?;
                places.next();
            }
        }
        Ok(())
    }

    fn write_named(&mut self, edit: &mut dyn Edit, change: Change, of: &Changes) -> Result<(), TableError> {
        match change {
            Change::Keep { key, index } => {
                let record = of.records[index as usize];
                lasting::write_key(&mut self.key, key);
                self.seal.put(edit, &self.key, self.scribe.lasting(record.map(|part| part.of(&of.bytes)))?)
            }
            Change::Forget { key } => {
                lasting::write_key(&mut self.key, key);
                edit.delete(&self.key)
            }
            change => self.write(edit, change, of),
        }
    }
}

/// The writer's thread, from outside. Dropped without [`Writer::stop`] it ends without a last commit, as a killed
/// process would.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Writer {
    pub(crate) fn start(by_hand: ByHand, commit_ms: u64, give_back: GiveBack) -> Result<Writer, StoreError> {
        let shared = by_hand.shared.clone();
        let thread = std::thread::Builder::new()
            .name("mote-writer".into())
            .spawn(move || run(by_hand, Duration::from_millis(commit_ms), &give_back))
            .map_err(|error| StoreError::Table(TableError::Failed(format!("no thread for the writer: {error}"))))?;
        Ok(Writer { shared, thread: Some(thread) })
    }

    /// Commits everything pushed before, marks a clean end and ends the thread. An error says what was not kept.
    pub fn stop(mut self) -> Result<(), StoreError> {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.join()
    }

    /// Why the last commit failed, while the writer tries again.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure()
    }

    fn join(&mut self) -> Result<(), StoreError> {
        self.shared.bell.ring(Ring::Now);
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(StoreError::Table(TableError::Failed("the writer's thread panicked".into()))),
            Some(Ok(result)) => result,
            None => Ok(()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.shared.abandon.store(true, Ordering::SeqCst);
            // Its result was not asked for.
            let _ = self.join();
        }
    }
}

fn run(mut by_hand: ByHand, period: Duration, give_back: &GiveBack) -> Result<(), StoreError> {
    let shared = by_hand.shared.clone();
    shared.bell.answer_here();
    let mut last_begin = None;
    let mut told_late: Option<Instant> = None;
    let mut retry = RETRY_FIRST;
    let mut fails = false;
    while !shared.ends() {
        if by_hand.is_idle() {
            by_hand.sleep_idle(give_back);
            continue;
        }
        wait_for_company(&mut by_hand, last_begin, period);
        let begin = Instant::now();
        last_begin = Some(begin);
        // An exchange, not a store: what was pushed before the hurry that it takes back is seen by the commit.
        shared.hurry.swap(false, Ordering::SeqCst);
        match by_hand.commit() {
            Ok(_) => {
                if std::mem::take(&mut fails) {
                    tracing::info!("the store takes what is to be kept again; nothing was lost");
                }
                retry = RETRY_FIRST;
                tell(begin.elapsed(), period, &mut told_late);
            }
            Err(why) => {
                if !std::mem::replace(&mut fails, true) {
                    tracing::error!(%why, "what is to be kept cannot be written; it waits and is tried again, and what would need the disk is refused");
                }
                rest(&shared, retry);
                retry = (retry * 2).min(RETRY_LAST);
            }
        }
    }
    if shared.abandon.load(Ordering::SeqCst) { Ok(()) } else { last_commit(&mut by_hand) }
}

/// Says how long a commit took. Where it is more than a period, what a killed process may lose is more than two, and
/// the operator should know; once a minute.
fn tell(took: Duration, period: Duration, told_late: &mut Option<Instant>) {
    const TELL_LATE_EVERY: Duration = Duration::from_secs(60);
    tracing::debug!(took_us = took.as_micros() as u64, "committed");
    if took > period && told_late.is_none_or(|told| told.elapsed() > TELL_LATE_EVERY) {
        *told_late = Some(Instant::now());
        tracing::info!(took_ms = took.as_millis() as u64, "a commit took longer than store.commit_ms");
    }
}

/// Until the next commit is due: one period after the last one began, or after the first change came; at once when
/// somebody waits for the disk, a lane fills up, there is much to be written, or the end has come.
fn wait_for_company(by_hand: &mut ByHand, last_begin: Option<Instant>, period: Duration) {
    let now = Instant::now();
    let recent = last_begin.filter(|&begin| now.duration_since(begin) < period);
    let due = recent.unwrap_or(now) + period;
    while !by_hand.has_enough() {
        let shared = &by_hand.shared;
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() || shared.hurry.load(Ordering::SeqCst) || shared.pressed() || shared.ends() {
            return;
        }
        if shared.much_queued() {
            by_hand.gather();
            continue;
        }
        let still = || {
            let is_due = shared.hurry.load(Ordering::SeqCst) || shared.pressed() || shared.much_queued();
            !is_due && !shared.ends()
        };
        shared.bell.sleep(left, still);
    }
}

/// Lets a failing table alone for a while, whoever rings; only the end is not kept waiting.
fn rest(shared: &Shared, time: Duration) {
    let until = Instant::now() + time;
    while !shared.ends() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        shared.bell.sleep(left, || !shared.ends());
    }
}

fn last_commit(by_hand: &mut ByHand) -> Result<(), StoreError> {
    let begin = Instant::now();
    loop {
        match by_hand.end() {
            Ok(()) => return Ok(()),
            Err(why) if begin.elapsed() >= STOP_PATIENCE => return Err(StoreError::NotKept(why)),
            Err(why) => {
                by_hand.shared.set_failure(Some(why.to_string()));
                std::thread::sleep(RETRY_FIRST);
            }
        }
    }
}

/// The ends of the queues for `shards` shards.
pub(crate) fn inlets(shared: &Arc<Shared>, shards: usize) -> Vec<Inlet> {
    (0..shards).map(|shard| Inlet { shared: shared.clone(), shard }).collect()
}
