//! The only clock of the process: every shard counts from the same moment.

use engine::clock::Now;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Time starts now; copies agree with each other.
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    pub fn now(&self) -> Now {
        self.at(Instant::now())
    }

    /// The moment `instant`, which is now.
    pub fn at(&self, instant: Instant) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mono = instant.saturating_duration_since(self.start);
        Now { mono_ms: mono.as_millis() as u64, wall_ms: wall.as_millis() as u64 }
    }
}
