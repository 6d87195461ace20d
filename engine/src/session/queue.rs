//! QoS 1 and 2 messages that wait for a place in the window, or for their client to come back.

use super::inflight::Delivered;
use super::lasting::Written;
use super::message::Messages;
use crate::config::Overflow;
use std::collections::VecDeque;

/// See the module. Bounded by messages and bytes, beside what walks bring: of those a session gets the next slice when
/// this is empty, so they are bounded by their slices (`PLAIN_WALKS_MAX`).
#[derive(Default, Debug)]
pub struct Queue {
    waiting: VecDeque<Delivered>,
    /// Of what walks did not bring.
    messages: usize,
    bytes: usize,
}

/// Bounds of one queue.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub messages: usize,
    pub bytes: usize,
    pub overflow: Overflow,
}

/// What became of a message that was to be queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queued {
    Kept,
    /// It was queued, and older ones were dropped for it.
    Displaced,
    /// It was dropped.
    Dropped,
    /// `session.overflow = "disconnect"`: nothing was queued, the client is to go.
    Disconnect,
}

impl Queue {
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a message that costs so many bytes is within the bounds.
    pub fn has_room(&self, cost_bytes: usize, bounds: &Bounds) -> bool {
        self.messages < bounds.messages && self.bytes + cost_bytes <= bounds.bytes
    }

    /// Appends; holds the message while it waits. Places in the store of what was dropped for it go to `gone`.
    pub fn push(
        &mut self,
        delivered: Delivered,
        messages: &mut Messages,
        bounds: &Bounds,
        gone: &mut Vec<u64>,
    ) -> Queued {
        let cost = messages.get(delivered.message).cost_bytes();
        let mut outcome = Queued::Kept;
        while !delivered.is_paced && !self.has_room(cost, bounds) {
            match bounds.overflow {
                Overflow::Disconnect => return Queued::Disconnect,
                Overflow::DropNewest => return Queued::Dropped,
                Overflow::DropOldest if cost > bounds.bytes || !self.drop_oldest(messages, gone) => {
                    return Queued::Dropped;
                }
                Overflow::DropOldest => outcome = Queued::Displaced,
            }
        }
        messages.hold(delivered.message);
        if !delivered.is_paced {
            self.messages += 1;
            self.bytes += cost;
        }
        self.waiting.push_back(delivered);
        outcome
    }

    /// Drops the oldest message. Frames stay: a merged subscription has few of them, and awaits their acknowledgement.
    /// So do retained messages: who subscribed gets them all.
    fn drop_oldest(&mut self, messages: &mut Messages, gone: &mut Vec<u64>) -> bool {
        let oldest = self.waiting.iter().position(|delivered| delivered.merged.is_none() && !delivered.is_paced);
        let Some(oldest) = oldest.and_then(|at| self.waiting.remove(at)) else { return false };
        self.messages -= 1;
        self.bytes -= messages.get(oldest.message).cost_bytes();
        messages.release(oldest.message);
        gone.extend((oldest.place.seq != 0).then_some(oldest.place.seq));
        true
    }

    /// Takes out what is wanted, in its order, still held: whoever takes it releases it.
    pub fn take_where(&mut self, messages: &Messages, is_wanted: impl Fn(&Delivered) -> bool) -> Vec<Delivered> {
        if !self.waiting.iter().any(&is_wanted) {
            return Vec::new();
        }
        let (taken, kept) = self.waiting.drain(..).partition::<VecDeque<Delivered>, _>(is_wanted);
        self.waiting = kept;
        for delivered in taken.iter().filter(|delivered| !delivered.is_paced) {
            self.messages -= 1;
            self.bytes -= messages.get(delivered.message).cost_bytes();
        }
        taken.into()
    }

    /// A delivery of an earlier process, which had room then.
    pub fn restore(&mut self, delivered: Delivered, messages: &mut Messages) {
        messages.hold(delivered.message);
        self.bytes += messages.get(delivered.message).cost_bytes();
        self.messages += 1;
        self.waiting.push_back(delivered);
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Delivered> {
        self.waiting.iter_mut()
    }

    /// Those that are not in the store: all that came since others were written, so they stand behind them.
    pub fn unwritten(&mut self) -> impl Iterator<Item = &mut Delivered> {
        let written = self.waiting.iter().rposition(|delivered| delivered.place.written != Written::Nothing);
        self.waiting.range_mut(written.map_or(0, |last| last + 1)..)
    }

    /// The oldest, still held: whoever takes it releases it.
    pub fn pop(&mut self, messages: &Messages) -> Option<Delivered> {
        let delivered = self.waiting.pop_front()?;
        if !delivered.is_paced {
            self.messages -= 1;
            self.bytes -= messages.get(delivered.message).cost_bytes();
        }
        Some(delivered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::inflight::{FrameOf, Ids};
    use crate::session::message::Message;
    use crate::wire::QoS;

    #[test]
    fn drop_oldest_spares_frames_and_what_would_not_fit_an_empty_queue_drops_nothing() {
        let (mut messages, mut queue) = (Messages::default(), Queue::default());
        let bounds = Bounds { messages: 3, bytes: 1_000, overflow: Overflow::DropOldest };
        let mut push = |queue: &mut Queue, payload: &[u8], merged| {
            let message = messages.insert(Message::new("t", payload, b"", 0));
            let (share, is_paced, place) = (None, false, Default::default());
            let (qos, ids) = (QoS::AtLeastOnce, Ids::new());
            let delivered = Delivered { message, qos, retain: false, ids, merged, share, is_paced, place };
            let queued = queue.push(delivered, &mut messages, &bounds, &mut Vec::new());
            messages.drop_unheld(message);
            (queued, messages.len())
        };
        assert_eq!(push(&mut queue, b"frame", Some(FrameOf { index: 7, serial: 0 })), (Queued::Kept, 1));
        assert_eq!(push(&mut queue, b"1", None), (Queued::Kept, 2));
        assert_eq!(push(&mut queue, b"2", None), (Queued::Kept, 3));
        assert_eq!(push(&mut queue, b"3", None), (Queued::Displaced, 3));
        assert_eq!(push(&mut queue, &[0; 2_000], None), (Queued::Dropped, 3));
        let waiting: Vec<bool> = queue.waiting.iter().map(|delivered| delivered.merged.is_some()).collect();
        assert_eq!(waiting, [true, false, false]);
    }
}
