//! What a shard holds of the writer: a queue, a bell, and what is committed.
//!
//! Lives on the shard's thread; the other ends live on the writer's. It must never block, and must not make a
//! system call while the writer is awake or will wake by itself soon.

use crossbeam::queue::{ArrayQueue, SegQueue};
use crossbeam::utils::CachePadded;
use engine::limits::CHANGE_BYTES_MIN;
use engine::row::change::Changes;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

/// Emptied [`Changes`] that wait to be used again, per shard.
const SPARES_MAX: usize = 8;
/// With so much in its queue the writer looks at it before its time.
const QUEUED_BYTES: usize = 1 << 19;
/// A larger arena is given back to the system.
const SPARE_BYTES_MAX: usize = 1 << 20;

/// Between one shard and the writer.
pub(crate) struct Lane {
    pub queue: SegQueue<Changes>,
    spares: ArrayQueue<Changes>,
    /// Bytes pushed and not yet committed.
    pub pending_bytes: AtomicUsize,
    share_bytes: usize,
    /// Of them, those that the writer has not looked at.
    queued_bytes: AtomicUsize,
    /// Position of the last change that is durable.
    pub committed: AtomicU64,
}

impl Lane {
    /// The next changes, for the writer.
    pub fn take(&self) -> Option<Changes> {
        let changes = self.queue.pop()?;
        self.queued_bytes.fetch_sub(cost_bytes(&changes), Ordering::Relaxed);
        Some(changes)
    }

    pub fn give_back(&self, mut changes: Changes) {
        changes.clear();
        if changes.bytes.capacity() <= SPARE_BYTES_MAX {
            // A full queue of spares drops it.
            let _ = self.spares.push(changes);
        }
    }
}

/// What the writer and all inlets share.
pub(crate) struct Shared {
    pub lanes: Vec<CachePadded<Lane>>,
    pub bell: Bell,
    /// Somebody waits for the disk.
    pub hurry: AtomicBool,
    pub stop: AtomicBool,
    /// The writer goes without a last commit.
    pub abandon: AtomicBool,
    pub failing: AtomicBool,
    failure: Mutex<Option<String>>,
}

impl Shared {
    pub fn new(shards: usize, pending_bytes: usize) -> Shared {
        let share_bytes = pending_bytes / shards.max(1);
        let lane = || Lane {
            queue: SegQueue::new(),
            spares: ArrayQueue::new(SPARES_MAX),
            pending_bytes: AtomicUsize::new(0),
            share_bytes,
            queued_bytes: AtomicUsize::new(0),
            committed: AtomicU64::new(0),
        };
        Shared {
            lanes: (0..shards).map(|_| CachePadded::new(lane())).collect(),
            bell: Bell::default(),
            hurry: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            abandon: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    pub fn set_failure(&self, failure: Option<String>) {
        self.failing.store(failure.is_some(), Ordering::Release);
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn ends(&self) -> bool {
        self.stop.load(Ordering::SeqCst) || self.abandon.load(Ordering::SeqCst)
    }

    /// Nobody writes for the time being: emptied changes are not kept.
    pub fn drop_spares(&self) {
        self.lanes.iter().for_each(|lane| while lane.spares.pop().is_some() {});
    }

    pub fn nothing_queued(&self) -> bool {
        self.lanes.iter().all(|lane| lane.queue.is_empty())
    }

    /// A lane has come so far that waiting for the timer would stop its shard.
    pub fn pressed(&self) -> bool {
        self.lanes.iter().any(|lane| lane.pending_bytes.load(Ordering::Relaxed) >= lane.share_bytes / 2)
    }

    /// A lane's queue is so long that the writer should look at it.
    pub fn much_queued(&self) -> bool {
        self.lanes.iter().any(|lane| lane.queued_bytes.load(Ordering::Relaxed) >= QUEUED_BYTES)
    }
}

/// One shard's way to the writer.
pub struct Inlet {
    pub(crate) shared: Arc<Shared>,
    pub(crate) shard: usize,
}

impl Inlet {
    fn lane(&self) -> &Lane {
        &self.shared.lanes[self.shard]
    }

    /// Bytes pushed by this shard that are not committed yet.
    pub fn pending_bytes(&self) -> usize {
        self.lane().pending_bytes.load(Ordering::Relaxed)
    }

    /// This shard's part of `store.pending_bytes` is used up: it must not read more from sockets that write, until
    /// its wake is called. One more [`Changes`] is always taken.
    pub fn is_full(&self) -> bool {
        self.pending_bytes() >= self.lane().share_bytes
    }

    /// The last commit failed, for example because the disk is full; the writer tries again. Nothing is lost.
    pub fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::Acquire)
    }

    /// Hands over whole changes. Never blocks.
    pub fn push(&self, changes: Changes) {
        let lane = self.lane();
        let cost_bytes = cost_bytes(&changes);
        let pending = lane.pending_bytes.fetch_add(cost_bytes, Ordering::Relaxed);
        let queued = lane.queued_bytes.fetch_add(cost_bytes, Ordering::Relaxed);
        lane.queue.push(changes);
        let reaches = |before: usize, bound: usize| before < bound && before + cost_bytes >= bound;
        let presses = reaches(pending, lane.share_bytes / 2) || reaches(queued, QUEUED_BYTES);
        self.shared.bell.ring(if presses { Ring::Now } else { Ring::Soon });
    }

    /// Emptied changes, for use again.
    pub fn spare(&self) -> Option<Changes> {
        self.lane().spares.pop()
    }

    /// Position ([`Changes::last`]) up to which this shard's changes are durable.
    pub fn committed(&self) -> u64 {
        self.lane().committed.load(Ordering::Acquire)
    }

    /// Somebody waits for what was pushed before: commit at once.
    pub fn hurry(&self) {
        self.shared.hurry.store(true, Ordering::SeqCst);
        self.shared.bell.ring(Ring::Now);
    }
}

/// What a [`Changes`] counts; an empty one counts too, as its position travels with it.
pub(crate) fn cost_bytes(changes: &Changes) -> usize {
    changes.cost_bytes().max(CHANGE_BYTES_MIN)
}

const AWAKE: u8 = 0;
/// Sleeps until its next commit is due.
const TIMED: u8 = 1;
const ASLEEP: u8 = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ring {
    /// A writer that will wake by itself is left alone.
    Soon,
    Now,
}

/// Wakes the writer when it must be woken, and only then. Who sleeps announces it, looks again, then sleeps; who
/// rings has left something to be seen before.
#[derive(Default)]
pub(crate) struct Bell {
    state: AtomicU8,
    sleeper: OnceLock<Thread>,
}

impl Bell {
    /// Called once by the thread that sleeps.
    pub fn answer_here(&self) {
        let _ = self.sleeper.set(std::thread::current());
    }

    pub fn ring(&self, ring: Ring) {
        // What was left to be seen comes before the look at the state, in the one order of SeqCst.
        fence(Ordering::SeqCst);
        let state = self.state.load(Ordering::SeqCst);
        if state == AWAKE || (state == TIMED && ring == Ring::Soon) {
            return;
        }
        if self.state.swap(AWAKE, Ordering::SeqCst) != AWAKE
            && let Some(sleeper) = self.sleeper.get()
        {
            sleeper.unpark();
        }
    }

    /// Sleeps until the time is over, or rung by somebody who cannot wait for that. `still`: nothing to do is left to be
    /// seen.
    pub fn sleep(&self, time: Duration, still: impl Fn() -> bool) {
        self.sleep_as(TIMED, Some(time), still);
    }

    /// Sleeps until rung, or until the time is over if one is given.
    pub fn sleep_idle(&self, time: Option<Duration>, still: impl Fn() -> bool) {
        self.sleep_as(ASLEEP, time, still);
    }

    fn sleep_as(&self, state: u8, time: Option<Duration>, still: impl Fn() -> bool) {
        self.state.store(state, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if still() {
            match time {
                Some(time) => std::thread::park_timeout(time),
                None => std::thread::park(),
            }
        }
        self.state.store(AWAKE, Ordering::SeqCst);
    }
}
