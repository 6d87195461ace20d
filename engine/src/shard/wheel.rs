//! Timers of one shard, by deadline. Timers are not taken back: one that fires looks whether it still means something.

use crate::key::{ConnId, SessionKey};
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
}

impl Wheel {
    pub fn set(&mut self, due_ms: u64, timer: Timer) {
        self.heap.push(Reverse(Entry { due_ms, timer }));
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
