//! What a loop knows of itself and of the process, for `$SYS` and for who watches the shards: looked at when one of
//! them asks, never for a message. One per loop, on its thread.

use crate::listener::Accepting;
use crate::memory::anonymous_bytes;
use engine::shard::input::Process;
use std::time::{Duration, Instant};

/// See the module.
pub(crate) struct Figures {
    /// One loop of the process looks at its memory.
    looks_at_memory: bool,
    began: Instant,
    /// Since then.
    asleep: Duration,
    /// The same two when `take` was called last.
    taken: (Instant, Duration),
    /// When the turn at hand began.
    turn: Option<Instant>,
    lengths: Lengths,
    turns: u64,
    turns_held: u64,
    parcels_sent: u64,
}

/// What a loop says of itself to who watches the shards. Counts go upward from its start, unless they say that they
/// are of now.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LoopFigures {
    pub passed_us: u64,
    pub asleep_us: u64,
    pub turns: u64,
    /// Turns that began without credit for some lane.
    pub turns_held: u64,
    /// Parcels that went to other shards.
    pub parcels_sent: u64,
    /// Parcels of now on their way to other shards, and from them.
    pub parcels_out: u64,
    pub parcels_in: u64,
    /// Of the turns since these figures were last asked for: 99 of 100 were not longer, and none was.
    pub turn_p99_us: u64,
    pub turn_max_us: u64,
}

impl Figures {
    pub(crate) fn new(looks_at_memory: bool) -> Figures {
        let began = Instant::now();
        Figures {
            looks_at_memory,
            began,
            asleep: Duration::ZERO,
            taken: (began, Duration::ZERO),
            turn: None,
            lengths: Lengths::default(),
            turns: 0,
            turns_held: 0,
            parcels_sent: 0,
        }
    }

    /// A turn begins, and so the one before ends if it has not.
    pub(crate) fn turn_begins(&mut self, at: Instant) {
        self.turn_ends(at);
        self.turn = Some(at);
        self.turns += 1;
    }

    /// The loop has nothing to do.
    pub(crate) fn turn_ends(&mut self, at: Instant) {
        if let Some(from) = self.turn.take() {
            self.lengths.add(at.saturating_duration_since(from).as_micros() as u64);
        }
    }

    /// The turn at hand began without credit for some lane.
    pub(crate) fn held(&mut self) {
        self.turns_held += 1;
    }

    pub(crate) fn sent(&mut self, parcels: usize) {
        self.parcels_sent += parcels as u64;
    }

    /// The loop slept so long.
    pub(crate) fn slept(&mut self, asleep: Duration) {
        self.asleep += asleep;
    }

    /// The figures since the last call.
    pub(crate) fn take(&mut self, parcels: usize, accepting: Accepting) -> Process {
        let now = Instant::now();
        let (since, asleep) = std::mem::replace(&mut self.taken, (now, self.asleep));
        let busy_permille = busy_permille(now - since, self.asleep - asleep);
        let heap_bytes = if self.looks_at_memory { anonymous_bytes() } else { 0 };
        let Accepting { sockets_refused, accept_outages } = accepting;
        Process { heap_bytes, busy_permille, parcels: parcels as u64, sockets_refused, accept_outages }
    }

    /// For who watches the shards. `out`, `into`: parcels of now.
    pub(crate) fn show(&mut self, out: usize, into: usize) -> LoopFigures {
        let lengths = std::mem::take(&mut self.lengths);
        LoopFigures {
            passed_us: self.began.elapsed().as_micros() as u64,
            asleep_us: self.asleep.as_micros() as u64,
            turns: self.turns,
            turns_held: self.turns_held,
            parcels_sent: self.parcels_sent,
            parcels_out: out as u64,
            parcels_in: into as u64,
            turn_p99_us: lengths.percentile(99),
            turn_max_us: lengths.max_us,
        }
    }
}

/// Lengths of turns, counted in classes: four for each doubling, from a microsecond up.
struct Lengths {
    counts: [u32; LENGTH_CLASSES],
    max_us: u64,
}

/// The last class takes all that is longer than a minute.
const LENGTH_CLASSES: usize = 4 * 25;

impl Default for Lengths {
    fn default() -> Lengths {
        Lengths { counts: [0; LENGTH_CLASSES], max_us: 0 }
    }
}

impl Lengths {
    fn add(&mut self, us: u64) {
        self.counts[class(us).min(LENGTH_CLASSES - 1)] += 1;
        self.max_us = self.max_us.max(us);
    }

    /// The bound of the class that so many of a hundred do not exceed. 0 where nothing was counted.
    fn percentile(&self, percent: u64) -> u64 {
        let all: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let mut rest = (all * percent).div_ceil(100);
        for (class, count) in self.counts.iter().enumerate() {
            rest = rest.saturating_sub(u64::from(*count));
            if rest == 0 {
                return bound(class).min(self.max_us);
            }
        }
        self.max_us
    }
}

fn class(us: u64) -> usize {
    if us < 4 {
        return us as usize;
    }
    let doubling = us.ilog2() as usize;
    4 * (doubling - 1) + (us >> (doubling - 2) & 3) as usize
}

/// The longest that a class takes.
fn bound(class: usize) -> u64 {
    if class < 4 {
        return class as u64;
    }
    let doubling = class / 4 + 1;
    ((class as u64 % 4 + 5) << (doubling - 2)) - 1
}

fn busy_permille(passed: Duration, asleep: Duration) -> u64 {
    let awake = passed.saturating_sub(asleep);
    (awake.as_micros() * 1_000 / passed.as_micros().max(1)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_turn_is_known_to_a_quarter() {
        for us in (0..5_000).chain([1 << 20, (1 << 25) - 1]) {
            assert!(us <= bound(class(us)) && bound(class(us)) <= us + us / 4, "{us}: {}", bound(class(us)));
        }
        let mut lengths = Lengths::default();
        assert_eq!(lengths.percentile(99), 0);
        (0..990).for_each(|_| lengths.add(10));
        (0..10).for_each(|_| lengths.add(5_000));
        assert_eq!((lengths.percentile(99), lengths.percentile(100), lengths.max_us), (11, 5_000, 5_000));
        lengths.add(u64::MAX);
        assert_eq!(lengths.max_us, u64::MAX);
    }

    #[test]
    fn who_watches_takes_nothing_from_what_is_published() {
        let mut figures = Figures::new(false);
        let at = Instant::now();
        figures.turn_begins(at);
        figures.turn_begins(at + Duration::from_micros(40));
        figures.turn_ends(at + Duration::from_micros(41));
        figures.turn_ends(at + Duration::from_secs(1));
        figures.held();
        figures.sent(3);
        let shown = figures.show(2, 1);
        assert_eq!((shown.turns, shown.turns_held, shown.parcels_sent), (2, 1, 3));
        assert_eq!((shown.parcels_out, shown.parcels_in, shown.turn_max_us), (2, 1, 40));
        assert_eq!(figures.show(0, 0).turn_max_us, 0, "of turns since the last time");
        assert_eq!(figures.take(5, Accepting::default()).busy_permille, 1_000);
    }

    #[test]
    fn busy_is_the_part_of_the_time_that_was_not_slept() {
        let ms = Duration::from_millis;
        assert_eq!(busy_permille(ms(1_000), ms(750)), 250);
        assert_eq!(busy_permille(ms(1_000), ms(0)), 1_000);
        assert_eq!(busy_permille(ms(0), ms(1)), 0);
    }
}
