//! Sockets: two streams of bytes that arrive late and in any pieces, how each side ends them, and where the broker's
//! end is.

use engine::key::{ConnId, ShardId};

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

/// Bytes under way in one direction.
#[derive(Default)]
pub struct Stream {
    bytes: Vec<u8>,
    /// Those before it have arrived.
    from: usize,
}

impl Stream {
    pub fn len(&self) -> usize {
        self.bytes.len() - self.from
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// At most `count` bytes, the oldest first.
    pub fn ahead(&self, count: usize) -> &[u8] {
        &self.bytes[self.from..][..count.min(self.len())]
    }

    pub fn skip(&mut self, count: usize) {
        self.from += count;
        if self.from == self.bytes.len() {
            self.clear();
        }
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.from = 0;
    }

    fn forget(&mut self) {
        *self = Stream::default();
    }
}

/// How far the broker's reading is in the packet that the client is sending.
#[derive(Clone, Copy, Default)]
struct Within {
    /// Bytes of the fixed header, up to where its length is known.
    header: usize,
    length: usize,
    /// Bytes of the packet that are to come.
    left: usize,
}

impl Within {
    fn take(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = &bytes[taken..];
                continue;
            }
            bytes = rest;
            if self.header > 0 {
                self.length |= usize::from(first & 0x7f) << (7 * (self.header - 1)).min(21);
            }
            self.header += 1;
            if self.header > 1 && first < 0x80 {
                *self = Within { left: self.length, ..Within::default() };
            }
        }
    }

    fn is_amid(self) -> bool {
        self.header > 0 || self.left > 0
    }
}

/// One socket, both ends.
pub struct Socket {
    pub place: Place,
    /// The listener that accepted it.
    pub listener: u16,
    /// Hash of the client identifier; 0 where there is none.
    pub client: u64,
    /// Written by the client, not received by the broker.
    pub to_broker: Stream,
    within: Within,
    /// Bytes of a handover.
    pub carried: Vec<u8>,
    /// Taken by the loop to send; `sending_from` of them have left.
    pub sending: Vec<u8>,
    sending_from: usize,
    /// Left the broker, not read by the client.
    pub to_client: Stream,
    /// Bytes that `to_client` holds before the broker's sends stall.
    buffer_bytes: usize,
    /// The client reads.
    pub is_read: bool,
    /// The client closed its end; what it wrote before still arrives.
    pub is_dropped: bool,
    /// The client ended its sending side; what it wrote before still arrives, and it reads on.
    pub is_half_closed: bool,
    /// The client's end is gone, and with it what was under way both ways.
    pub is_reset: bool,
    /// CONNECT was accepted: multishot receive.
    pub is_established: bool,
    pub is_paused: bool,
    /// Of a paused socket: receives that were under way when it was paused.
    pub late_pieces: usize,
    /// Nothing is given to the engine any more; what is owed is sent.
    pub is_closing: bool,
    /// The broker knows that the client has sent its last byte.
    pub has_ended: bool,
    /// The broker knows that nothing can be sent.
    pub is_broken: bool,
    /// In the list of its shard's sockets that something has happened to.
    pub is_ready: bool,
    /// In the list of clients that have something to read.
    pub has_arrived: bool,
}

impl Socket {
    pub fn new(accepts: ShardId, client: u64, buffer_bytes: usize) -> Socket {
        Socket {
            place: Place::Backlog(accepts),
            listener: 0,
            client,
            to_broker: Stream::default(),
            within: Within::default(),
            carried: Vec::new(),
            sending: Vec::new(),
            sending_from: 0,
            to_client: Stream::default(),
            buffer_bytes,
            is_read: true,
            is_dropped: false,
            is_half_closed: false,
            is_reset: false,
            is_established: false,
            is_paused: false,
            late_pieces: 0,
            is_closing: false,
            has_ended: false,
            is_broken: false,
            is_ready: false,
            has_arrived: false,
        }
    }

    // The client's end.

    /// Whether what the client writes goes anywhere.
    pub fn is_writable(&self) -> bool {
        !self.is_dropped && !self.is_half_closed && !self.is_reset && !self.is_closing && self.place != Place::Closed
    }

    /// Whether the client may read what has arrived.
    pub fn is_readable(&self) -> bool {
        self.is_read && !self.is_dropped && !self.to_client.is_empty()
    }

    /// The client closes its end. Nobody reads any more what arrives.
    pub fn drop_client(&mut self) {
        self.is_dropped = true;
        self.to_client.clear();
    }

    /// What is under way is lost at once. Whether the broker had received a part of a packet.
    pub fn reset(&mut self) -> bool {
        let is_amid = self.within.is_amid() && !self.is_reset;
        self.is_reset = true;
        self.to_broker.clear();
        self.to_client.clear();
        is_amid
    }

    // The broker's end.

    /// Whether the broker may receive now.
    pub fn is_receivable(&self) -> bool {
        !self.to_broker.is_empty() && !self.is_closing && (!self.is_paused || self.late_pieces > 0)
    }

    /// Whether the broker can learn now that the client sends no more: by a receive, so not while it is paused.
    pub fn is_end_visible(&self) -> bool {
        let has_ended = self.is_dropped || self.is_half_closed;
        has_ended && !self.is_closing && !self.is_reset && self.to_broker.is_empty() && !self.is_paused
    }

    /// Whether the broker can learn now that the connection is gone: by a receive or by a send.
    pub fn is_reset_visible(&self) -> bool {
        self.is_reset && !self.is_broken && (!self.is_paused || self.is_sending())
    }

    /// Bytes that may leave the broker now.
    pub fn sendable(&self) -> usize {
        let left = self.sending.len() - self.sending_from;
        match () {
            () if self.is_reset => 0,
            () if self.is_dropped => left,
            () => left.min(self.buffer_bytes.saturating_sub(self.to_client.len())),
        }
    }

    /// At most `count` bytes, in order, appended to `into`.
    pub fn receive(&mut self, count: usize, into: &mut Vec<u8>) {
        self.late_pieces = self.late_pieces.saturating_sub(1);
        let bytes = self.to_broker.ahead(count);
        into.extend_from_slice(bytes);
        self.within.take(bytes);
        self.to_broker.skip(bytes.len());
    }

    /// `count` bytes leave the broker; nobody gets them where the client is gone. The buffer, once all have left.
    pub fn send(&mut self, count: usize) -> Option<Vec<u8>> {
        let to = self.sending_from + count;
        if !self.is_dropped {
            self.to_client.extend(&self.sending[self.sending_from..to]);
        }
        self.sending_from = to;
        (to == self.sending.len()).then(|| self.take_sending().0)
    }

    /// Nothing is sent any more: the buffer, and how many of its bytes had not left.
    pub fn take_sending(&mut self) -> (Vec<u8>, usize) {
        let unsent = self.sending.len() - self.sending_from;
        self.sending_from = 0;
        (std::mem::take(&mut self.sending), unsent)
    }

    /// The broker reads no more; what it has not sent yet it still sends.
    pub fn close(&mut self) {
        self.is_closing = true;
        self.to_broker.forget();
    }

    /// The broker's end is gone, or the whole process; what had left it still arrives.
    pub fn end(&mut self) {
        self.place = Place::Closed;
        self.to_broker.forget();
        self.carried = Vec::new();
        self.take_sending();
        if self.to_client.is_empty() {
            self.to_client.forget();
        }
    }

    pub fn is_sending(&self) -> bool {
        !self.sending.is_empty()
    }
}
