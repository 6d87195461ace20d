//! Timers of one shard, by deadline. Timers are not taken back: one that fires looks whether it still means something,
//! and those that mean nothing any more are swept out when they may have become the most.

use crate::key::{ConnId, SessionKey};
use crate::session::inflight::FrameOf;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What a timer is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// CONNECT is overdue.
    Connect(ConnId),
    /// Look whether the client was silent for one and a half keep alives, [MQTT-3.1.2-22].
    KeepAlive(ConnId),
    /// The session has been without a connection for its Session Expiry Interval.
    SessionExpiry(SessionKey),
    /// The Will Delay Interval has passed.
    Will(SessionKey),
    /// Deliveries wait for more room in the window of a session, but no longer.
    Window(SessionKey),
    /// Something waits until the interval of a merged subscription has passed.
    Interval(FrameOf),
    /// A client that sent faster than it may is read again.
    Rate(ConnId),
    /// The shard's figures are due at the owner of `$SYS`.
    Sys,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    due_ms: u64,
    timer: Timer,
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        self.due_ms.cmp(&other.due_ms)
    }
}

/// See the module.
#[derive(Default)]
pub struct Wheel {
    heap: BinaryHeap<Reverse<Entry>>,
    /// Timers that meant something at the last sweep.
    meant: usize,
}

/// Fewer timers than this are not worth a sweep.
const SWEEP_TIMERS_MIN: usize = 1_024;

impl Wheel {
    pub fn set(&mut self, due_ms: u64, timer: Timer) {
        self.heap.push(Reverse(Entry { due_ms, timer }));
    }

    /// Whether most timers may mean nothing any more: clients that come and go leave one each time, which would
    /// lie here for as long as their keep alive or their session would have lasted.
    pub fn wants_sweep(&self) -> bool {
        self.heap.len() > SWEEP_TIMERS_MIN.max(2 * self.meant)
    }

    /// Forgets the timers that mean nothing any more.
    pub fn sweep(&mut self, mut means_something: impl FnMut(u64, Timer) -> bool) {
        self.heap.retain(|Reverse(entry)| means_something(entry.due_ms, entry.timer));
        self.heap.shrink_to(2 * self.heap.len());
        self.meant = self.heap.len();
    }

    pub fn len(&self) -> usize {
        self.heap.len()
    }

    pub fn next_ms(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.0.due_ms)
    }

    /// The next timer that is due.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<Timer> {
        if self.next_ms()? > now_ms {
            return None;
        }
        self.heap.pop().map(|entry| entry.0.timer)
    }
}
