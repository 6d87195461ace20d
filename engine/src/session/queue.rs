//! QoS 1 and 2 messages that wait for a place in the window, or for their client to come back.

use super::inflight::Delivered;
use super::message::Messages;
use crate::config::Overflow;
use std::collections::VecDeque;

/// See the module. Bounded by messages and bytes.
#[derive(Default, Debug)]
pub struct Queue {
    waiting: VecDeque<Delivered>,
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
    /// This or an older one was dropped.
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

    /// Appends; holds the message while it waits.
    pub fn push(&mut self, delivered: Delivered, messages: &mut Messages, bounds: &Bounds) -> Queued {
        let cost = messages.get(delivered.message).cost_bytes();
        let mut outcome = Queued::Kept;
        while self.waiting.len() >= bounds.messages || self.bytes + cost > bounds.bytes {
            match bounds.overflow {
                Overflow::DropOldest if !self.waiting.is_empty() => {
                    outcome = Queued::Dropped;
                    if let Some(oldest) = self.pop(messages) {
                        messages.release(oldest.message);
                    }
                }
                Overflow::Disconnect => return Queued::Disconnect,
                Overflow::DropOldest | Overflow::DropNewest => return Queued::Dropped,
            }
        }
        messages.hold(delivered.message);
        self.bytes += cost;
        self.waiting.push_back(delivered);
        outcome
    }

    /// The oldest, still held: whoever takes it releases it.
    pub fn pop(&mut self, messages: &Messages) -> Option<Delivered> {
        let delivered = self.waiting.pop_front()?;
        self.bytes -= messages.get(delivered.message).cost_bytes();
        Some(delivered)
    }
}
