//! Option `interval` of merged subscriptions: frames begin no sooner than so many milliseconds one after the other.

use super::home::Home;
use super::merged::Mergeds;
use super::outbox::Outbox;
use super::wheel::Timer;
use crate::session::inflight::FrameOf;

/// When the frames of a reader may begin.
#[derive(Debug)]
pub struct Pace {
    interval_ms: u32,
    /// By `Paced`; milliseconds, monotonic.
    next_ms: [u64; 2],
    /// When a timer is set that something waits for.
    timer_ms: Option<u64>,
}

/// What waits: changes do not make events wait.
#[derive(Clone, Copy)]
pub enum Paced {
    Live,
    Events,
}

impl Pace {
    /// 0: nothing waits.
    pub fn of(interval_ms: u32) -> Option<Box<Pace>> {
        (interval_ms > 0).then(|| Box::new(Pace { interval_ms, next_ms: [0; 2], timer_ms: None }))
    }
}

impl Mergeds {
    /// Whether a reader that is still there waits for this timer.
    pub fn is_paced(&self, of: FrameOf, due_ms: u64) -> bool {
        let merged = self.get(of.index).filter(|merged| merged.serial == of.serial);
        merged.and_then(|merged| merged.pace.as_ref()).is_some_and(|pace| pace.timer_ms == Some(due_ms))
    }
}

impl Home {
    /// Whether a frame must wait for the interval to pass. If so, a timer is set.
    pub fn is_early(&mut self, index: u32, paced: Paced) -> bool {
        let Some(merged) = self.merged.get_mut(index) else { return false };
        let of = FrameOf { index, serial: merged.serial };
        let Some(pace) = &mut merged.pace else { return false };
        let next_ms = pace.next_ms[paced as usize];
        let is_early = self.now.mono_ms < next_ms;
        if is_early && pace.timer_ms.is_none_or(|timer_ms| next_ms < timer_ms) {
            pace.timer_ms = Some(next_ms);
            self.wheel.set(next_ms, Timer::Interval(of));
        }
        is_early
    }

    /// A frame begins: the next one waits.
    pub fn begin_interval(&mut self, index: u32, paced: Paced) {
        if let Some(pace) = self.merged.get_mut(index).and_then(|merged| merged.pace.as_mut()) {
            pace.next_ms[paced as usize] = self.now.mono_ms + u64::from(pace.interval_ms);
        }
    }

    /// The interval of a reader has passed while something waited for that.
    pub fn interval_passed(&mut self, of: FrameOf, out: &mut Outbox) {
        let merged = self.merged.get_mut(of.index).filter(|merged| merged.serial == of.serial);
        let Some(pace) = merged.and_then(|merged| merged.pace.as_mut()) else { return };
        pace.timer_ms = pace.timer_ms.filter(|timer_ms| *timer_ms > self.now.mono_ms);
        self.catch_up_one(of.index, out);
    }
}
