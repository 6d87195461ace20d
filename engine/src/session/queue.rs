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
                Overflow::DropOldest if self.drop_oldest(messages) => outcome = Queued::Dropped,
                Overflow::Disconnect => return Queued::Disconnect,
                Overflow::DropOldest | Overflow::DropNewest => return Queued::Dropped,
            }
        }
        messages.hold(delivered.message);
        self.bytes += cost;
        self.waiting.push_back(delivered);
        outcome
    }

    /// Drops the oldest message that is no frame: what one holds comes only once. Returns whether there was one.
    fn drop_oldest(&mut self, messages: &mut Messages) -> bool {
        let oldest = self.waiting.iter().position(|delivered| delivered.merged.is_none());
        let Some(oldest) = oldest.and_then(|oldest| self.waiting.remove(oldest)) else { return false };
        self.bytes -= messages.get(oldest.message).cost_bytes();
        messages.release(oldest.message);
        true
    }

    /// The oldest, still held: whoever takes it releases it.
    pub fn pop(&mut self, messages: &Messages) -> Option<Delivered> {
        let delivered = self.waiting.pop_front()?;
        self.bytes -= messages.get(delivered.message).cost_bytes();
        Some(delivered)
    }
}
