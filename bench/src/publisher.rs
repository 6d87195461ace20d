//! A client that publishes.

use crate::latency::Recorder;
use crate::link::Link;
use crate::packets::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Received, Template};
use crate::stamp::Stamp;

/// A publisher with more unsent bytes than this makes no further messages.
const UNSENT_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
pub struct Publisher {
    pub link: Link,
    pub number: usize,
    template: Template,
    run: u8,
    has_acks: bool,
    /// Unacknowledged messages that it may have.
    unacked_max: u64,
    /// Sequence number of its next message.
    pub next: u64,
    pub unacked: u64,
    /// Messages that the broker answered with a Reason Code that refuses them.
    pub refused: u64,
    last_id: u16,
    pub is_dirty: bool,
}

impl Publisher {
    /// `receive_max`: what the broker takes at once above QoS 0.
    pub fn new(link: Link, number: usize, template: Template, run: u8, qos: u8, receive_max: u16) -> Publisher {
        Publisher {
            link,
            number,
            template,
            run,
            has_acks: qos > 0,
            unacked_max: receive_max.into(),
            next: 0,
            unacked: 0,
            refused: 0,
            last_id: 0,
            is_dirty: true,
        }
    }

    fn is_able(&self) -> bool {
        self.unacked < self.unacked_max && self.link.unsent() < UNSENT_BYTES_MAX
    }

    fn make(&mut self, due_ns: u64) {
        if self.has_acks {
            self.last_id = if self.last_id == u16::MAX { 1 } else { self.last_id + 1 };
            self.unacked += 1;
        }
        let stamp = Stamp::new(self.run, self.number, self.next, due_ns);
        self.template.write(&mut self.link.out, stamp, self.last_id);
        self.next += 1;
    }

    /// Makes messages until `window` of them are ahead of `base`, where those who hear it are. Returns how many.
    pub fn fill(&mut self, base: u64, window: u64, now_ns: u64) -> u64 {
        let first = self.next;
        while self.may_fill(base, window) {
            self.make(now_ns);
        }
        self.next - first
    }

    pub fn may_fill(&self, base: u64, window: u64) -> bool {
        self.next.saturating_sub(base) < window && self.unacked < window && self.is_able()
    }

    /// Makes the messages that were due until `until_ns`. Returns how many.
    pub fn fill_due(&mut self, timetable: &Timetable, until_ns: u64, now_ns: u64, lag: &mut Recorder) -> u64 {
        let first = self.next;
        let is_free = self.link.unsent() == 0 && self.unacked < self.unacked_max;
        while timetable.due_ns(self.number, self.next) <= until_ns && self.is_able() {
            let due_ns = timetable.due_ns(self.number, self.next);
            if is_free {
                lag.record(now_ns.saturating_sub(due_ns)); // else it is the broker that did not take more
            }
            self.make(due_ns);
        }
        self.next - first
    }

    /// What the broker says to a publisher.
    pub fn hear(&mut self, received: &Received) {
        let &Received::Acknowledged { first, id, is_refused } = received else { return };
        match first {
            PUBREC if !is_refused => self.link.out.extend(packets::acknowledge(PUBREL, id)),
            PUBACK | PUBREC | PUBCOMP => {
                self.unacked = self.unacked.saturating_sub(1);
                self.refused += u64::from(is_refused);
            }
            _ => {}
        }
    }
}

/// When messages are due: a constant rate, to which each publisher gives its part, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Timetable {
    publishers: f64,
    /// Nanoseconds between two messages of one publisher.
    interval_ns: f64,
}

impl Timetable {
    /// `rate`: messages per second of all publishers together.
    pub fn new(publishers: usize, rate: f64) -> Timetable {
        Timetable { publishers: publishers as f64, interval_ns: publishers as f64 * 1e9 / rate }
    }

    /// Nanoseconds since the run began.
    #[inline]
    pub fn due_ns(&self, publisher: usize, sequence: u64) -> u64 {
        ((sequence as f64 + publisher as f64 / self.publishers) * self.interval_ns) as u64
    }

    /// How many messages of one publisher are due before that time.
    pub fn due_before(&self, publisher: usize, ns: u64) -> u64 {
        let near = (ns as f64 / self.interval_ns - publisher as f64 / self.publishers).max(0.0) as u64;
        (near..).find(|sequence| self.due_ns(publisher, *sequence) >= ns).unwrap_or(near)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishers_take_turns_at_the_rate() {
        let timetable = Timetable::new(4, 1000.0);
        let due: Vec<u64> = (0..8).map(|turn| timetable.due_ns(turn % 4, turn as u64 / 4)).collect();
        assert_eq!(due, (0..8).map(|turn| turn * 1_000_000).collect::<Vec<u64>>());
        assert_eq!((0..4).map(|it| timetable.due_before(it, 5_000_000)).collect::<Vec<_>>(), [2, 1, 1, 1]);
        assert_eq!(timetable.due_ns(0, 3_600 * 250), 3_600_000_000_000);
    }
}
