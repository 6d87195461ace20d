//! Sockets: two streams of bytes that arrive late and in any pieces, and where the broker's end is.

use engine::dialect::Profile;
use engine::key::{ConnId, ShardId};
use std::collections::VecDeque;

/// Where the broker's end of a socket is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the backlog of the shard that will accept it.
    Backlog(ShardId),
    /// On its way to its home with the bytes of `carried`.
    Moving(ShardId),
    At {
        shard: ShardId,
        conn: ConnId,
    },
    /// Closed by the broker.
    Closed,
}

/// One socket, both ends.
pub struct Socket {
    pub place: Place,
    /// Of the listener that accepted it.
    pub profile: Profile,
    /// Written by the client, not received by the broker.
    pub to_broker: VecDeque<u8>,
    /// Bytes of a handover.
    pub carried: Vec<u8>,
    /// Taken by the loop to send; `sending_from` of them have left.
    pub sending: Vec<u8>,
    pub sending_from: usize,
    /// Left the broker, not read by the client.
    pub to_client: VecDeque<u8>,
    /// The client reads.
    pub is_read: bool,
    /// The client closed its end; what it wrote before still arrives.
    pub is_dropped: bool,
    /// CONNECT was accepted: multishot receive.
    pub is_established: bool,
    pub is_paused: bool,
    /// Of a paused socket: one more receive was under way when it was paused.
    pub one_more: bool,
    /// `Order::Close` was given.
    pub is_closing: bool,
}

/// Bytes that wait between the broker and a client that does not read before the broker's sends stall.
pub const SOCKET_BUFFER_BYTES: usize = 16 * 1024;

impl Socket {
    pub fn new(accepts: ShardId) -> Socket {
        Socket {
            place: Place::Backlog(accepts),
            profile: Profile::Mote,
            to_broker: VecDeque::new(),
            carried: Vec::new(),
            sending: Vec::new(),
            sending_from: 0,
            to_client: VecDeque::new(),
            is_read: true,
            is_dropped: false,
            is_established: false,
            is_paused: false,
            one_more: false,
            is_closing: false,
        }
    }

    /// Whether the broker may receive now.
    pub fn is_receivable(&self) -> bool {
        !self.to_broker.is_empty() && !self.is_closing && (!self.is_paused || self.one_more)
    }

    /// Whether the broker can learn now that the client is gone: by a receive, so not while it is paused.
    pub fn is_end_visible(&self) -> bool {
        self.is_dropped && !self.is_closing && self.to_broker.is_empty() && !self.is_paused
    }

    /// Bytes that may leave the broker now.
    pub fn sendable(&self) -> usize {
        let left = self.sending.len() - self.sending_from;
        if self.is_dropped || self.is_read {
            return left;
        }
        left.min(SOCKET_BUFFER_BYTES.saturating_sub(self.to_client.len()))
    }

    /// At most `count` bytes, in order.
    pub fn receive(&mut self, count: usize) -> Vec<u8> {
        self.one_more = false;
        self.to_broker.drain(..count.min(self.to_broker.len())).collect()
    }

    /// `count` bytes leave the broker; nobody gets them where the client is gone.
    pub fn send(&mut self, count: usize) {
        let to = self.sending_from + count;
        if !self.is_dropped {
            self.to_client.extend(&self.sending[self.sending_from..to]);
        }
        self.sending_from = to;
        if to == self.sending.len() {
            self.sending.clear();
            self.sending_from = 0;
        }
    }

    /// The broker's end is gone with its process; what had left it still arrives.
    pub fn end(&mut self) {
        self.place = Place::Closed;
        self.to_broker.clear();
        self.carried.clear();
        self.sending.clear();
        self.sending_from = 0;
    }

    pub fn is_sending(&self) -> bool {
        !self.sending.is_empty()
    }
}
