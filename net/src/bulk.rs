//! What is likely to take long, while it waits for what does not.
//!
//! The kernel tells of receives in the order in which they came. A hundred clients that send as fast as they can fill all
//! buffers of a ring again and again, ten thousand want to connect at once, or the members of a share group go and leave
//! what waits for them to each other: who says one small thing would wait until all of that is worked off. So what a client
//! sends in small is taken at once. What is large, the end of a connection, and what comes of those that have not connected
//! yet follow, for as long as the turn may last; the rest waits for the next turn. Meanwhile its buffers are not given back, and a client whose receive ended without one asks for none: so
//! much as it may bring falls to what it costs. Whatever else comes of a connection that waits here waits behind it.
//!
//! Called by the shard loop, on its thread.

use crate::uring::{Event, Received};
use engine::key::ConnId;
use std::collections::VecDeque;
use std::time::Duration;

/// A receive of so many bytes is taken after smaller ones: it may be thousands of messages.
pub(crate) const BULK_BYTES_MIN: u32 = 4 * 1024;
/// Of each kind of bulk so much time is taken in one turn, and at least one receive.
pub(crate) const BULK_TURN_MAX: Duration = Duration::from_millis(2);

/// See the module.
#[derive(Default)]
pub(crate) struct Bulk {
    /// Of those that have not connected yet: who comes now does not wait for what others bring.
    strangers: Waiting,
    large: Waiting,
}

/// Events in their order.
#[derive(Default)]
pub(crate) struct Waiting {
    events: VecDeque<Event>,
    /// How many of them are of each connection, by its index.
    counts: Vec<u32>,
}

impl Bulk {
    /// Keeps what is to wait; hands back what is to be done at once. `is_known`: its CONNECT was accepted.
    pub(crate) fn sift(&mut self, event: Event, is_known: impl Fn(ConnId) -> bool) -> Option<Event> {
        let (conn, is_large, is_strange) = match &event {
            Event::Received { conn, outcome: Received::Bytes(filled), .. } => {
                let is_large = filled.len >= BULK_BYTES_MIN;
                (*conn, is_large, !is_large && !is_known(*conn))
            }
            Event::Received { conn, outcome: Received::End | Received::Failed(_), .. } => (*conn, true, false),
            // What `NotCancelled` says of the receive is wrong as soon as the end of that, which waits here, is taken.
            Event::Received { conn, .. } | Event::NotCancelled { conn } => (*conn, false, false),
            _ => return Some(event),
        };
        if self.strangers.has(conn) {
            self.strangers.push(conn, event);
        } else if is_large || self.large.has(conn) {
            self.large.push(conn, event);
        } else if is_strange {
            self.strangers.push(conn, event);
        } else {
            return Some(event);
        }
        None
    }

    pub(crate) fn pop_stranger(&mut self) -> Option<Event> {
        self.strangers.pop()
    }

    pub(crate) fn pop_large(&mut self) -> Option<Event> {
        self.large.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.strangers.events.is_empty() && self.large.events.is_empty()
    }
}

impl Waiting {
    fn push(&mut self, conn: ConnId, event: Event) {
        let index = conn.index as usize;
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
        self.events.push_back(event);
    }

    fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Event::Received { conn, .. } | Event::NotCancelled { conn } = &event {
            self.counts[conn.index as usize] -= 1;
        }
        Some(event)
    }

    fn has(&self, conn: ConnId) -> bool {
        self.counts.get(conn.index as usize).is_some_and(|count| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uring::Filled;

    fn received(index: u32, len: u32) -> Event {
        let conn = ConnId { index, generation: 0 };
        Event::Received { conn, outcome: Received::Bytes(Filled { id: 0, len }), more: true }
    }

    fn index_of(event: Event) -> u32 {
        match event {
            Event::Received { conn, .. } | Event::NotCancelled { conn } => conn.index,
            _ => panic!("{event:?}"),
        }
    }

    #[test]
    fn what_is_small_goes_first_but_not_before_what_the_same_client_sent() {
        let mut bulk = Bulk::default();
        let mut sift = |event| bulk.sift(event, |conn| conn.index < 9).map(index_of);
        assert_eq!(sift(received(1, BULK_BYTES_MIN)), None);
        assert_eq!(sift(received(2, BULK_BYTES_MIN - 1)), Some(2));
        assert_eq!(sift(received(3, BULK_BYTES_MIN)), None);
        let conn = ConnId { index: 1, generation: 0 };
        assert_eq!(sift(Event::NotCancelled { conn }), None);
        assert_eq!(sift(Event::Received { conn, outcome: Received::NoBuffer, more: false }), None);
        let order: Vec<u32> = std::iter::from_fn(|| bulk.pop_large()).map(index_of).collect();
        assert_eq!(order, [1, 3, 1, 1]);
        assert!(bulk.is_empty());
        assert_eq!(bulk.sift(received(1, 1), |_| true).map(index_of), Some(1));
    }

    #[test]
    fn ends_and_strangers_wait_for_clients() {
        let mut bulk = Bulk::default();
        let mut sift = |event| bulk.sift(event, |conn| conn.index < 9).map(index_of);
        assert_eq!(sift(received(9, 1)), None);
        let conn = ConnId { index: 2, generation: 0 };
        assert_eq!(sift(Event::Received { conn, outcome: Received::End, more: false }), None);
        assert_eq!(sift(received(3, 1)), Some(3));
        assert_eq!(sift(received(9, 1)), None);
        let order: Vec<u32> = std::iter::from_fn(|| bulk.pop_stranger()).map(index_of).collect();
        assert_eq!((order, bulk.pop_large().map(index_of)), (vec![9, 9], Some(2)));
        assert!(bulk.is_empty());
    }
}
