//! A sequence that one thread raises and others read: how far the writer has committed.

use super::atomic::{AtomicU64, Ordering};

/// See the module. Shared by `Arc`; the one who stores rings the reader's bell after it, so a reader that loads
/// after `Bell::announce_sleep` misses no rise.
#[derive(Debug)]
pub struct Published {
    sequence: AtomicU64,
}

impl Published {
    pub fn new() -> Published {
        Published { sequence: AtomicU64::new(0) }
    }

    /// Raises the sequence; called by one thread only, never with less than before.
    pub fn store(&self, sequence: u64) {
        // Release: who reads this number sees what was done to earn it.
        self.sequence.store(sequence, Ordering::Release);
    }

    pub fn load(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }
}

impl Default for Published {
    fn default() -> Published {
        Published::new()
    }
}
