//! What a shard wants done. Plain columns that live as long as the shard; the loop carries them out at the
//! end of a turn and empties them.

use super::parcel::{Down, Up};
use crate::key::{ConnId, ShardId};
use crate::limits::{PARCEL_BYTES_MAX, PARCEL_ITEMS_MAX, SEND_HIGH_BYTES, SEND_LOW_BYTES};
use crate::row::change::Changes;

/// One order about a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// CONNECT was accepted here: read it with a multishot receive from now on.
    Establish(ConnId),
    /// Send what is owed (at most a grace time), then close. No `Closed` follows.
    Close(ConnId),
    /// Read no more until `Resume`. Bytes already received may still come.
    Pause(ConnId),
    Resume(ConnId),
}

/// A socket whose client lives on another shard, with every byte received so far. Only given while the
/// socket is not established, so no receive is in flight.
#[derive(Debug)]
pub struct Handover {
    pub conn: ConnId,
    pub home: ShardId,
    /// That accepted it.
    pub listener: u16,
    pub bytes: Vec<u8>,
}

/// See the module.
pub struct Outbox {
    pub sends: Sends,
    pub orders: Vec<Order>,
    pub handovers: Vec<Handover>,
    /// Parcels to push on the up lane to each shard, in order; the last may be open still.
    pub up: Vec<Vec<Up>>,
    /// Parcels to push on the down lane to each shard, in order; the last may be open still.
    pub down: Vec<Vec<Down>>,
    /// Parcels that each lane takes now. The loop sets both before every turn; they count the parcels above in.
    pub up_credit: Vec<usize>,
    pub down_credit: Vec<usize>,
    /// For the writer.
    pub changes: Changes,
    /// The writer takes no more at present (`store.pending_bytes`). The loop sets it before every turn.
    pub store_full: bool,
    /// The last commit failed, the disk is full perhaps, and is tried again: what needs the disk is refused. The loop sets
    /// it before every turn.
    pub store_failing: bool,
    /// The process holds as much memory as it may: what would take more is refused. The loop sets it before every turn.
    pub memory_full: bool,
}

impl Outbox {
    pub fn new(shards: usize) -> Outbox {
        let lanes = || (0..shards).map(|_| Vec::new()).collect();
        Outbox {
            sends: Sends::default(),
            orders: Vec::new(),
            handovers: Vec::new(),
            up: lanes(),
            down: (0..shards).map(|_| Vec::new()).collect(),
            up_credit: vec![0; shards],
            down_credit: vec![0; shards],
            changes: Changes::default(),
            store_full: false,
            store_failing: false,
            memory_full: false,
        }
    }

    /// Whether one more step may be taken that sends to every home: each down lane has room in a parcel that its
    /// credit covers. What the step sends beyond it waits here for the next turns, and no further step is taken.
    pub fn has_down_room(&self) -> bool {
        (0..self.down.len()).all(|home| {
            let open = self.down[home].last().map(|p| (p.bytes_len(), p.items.len()));
            has_room(self.down[home].len(), self.down_credit[home], open)
        })
    }

    /// Whether one more item may be sent up to `owner`. A tree publish is one, however many parcels it fills.
    pub fn has_up_room(&self, owner: ShardId) -> bool {
        let lane = &self.up[owner.index()];
        has_room(lane.len(), self.up_credit[owner.index()], lane.last().map(|p| (p.batch.bytes.len(), p.items.len())))
    }

    /// For the loop: the parcels for `to` that its lanes take now, the oldest first. The rest stays.
    pub fn take_parcels(&mut self, to: ShardId) -> (std::vec::Drain<'_, Up>, std::vec::Drain<'_, Down>) {
        let to = to.index();
        let ups = self.up[to].len().min(self.up_credit[to]);
        let downs = self.down[to].len().min(self.down_credit[to]);
        self.up_credit[to] -= ups;
        self.down_credit[to] -= downs;
        // planted: the newest go first where credit is short
        let from = if cfg!(mutant = "link") { self.down[to].len() - downs } else { 0 };
        (self.up[to].drain(..ups), self.down[to].drain(from..from + downs))
    }

    /// The open parcel of the up lane to `owner`; a new one where the last is full.
    pub fn up_to(&mut self, owner: ShardId) -> &mut Up {
        let lane = &mut self.up[owner.index()];
        if lane.last().is_none_or(|p| is_full(p.batch.bytes.len(), p.items.len())) {
            lane.push(Up::default());
        }
        lane.last_mut().expect("a parcel was just pushed")
    }

    /// The open parcel of the down lane to `home`; a new one where the last is full.
    pub fn down_to(&mut self, home: ShardId) -> &mut Down {
        let lane = &mut self.down[home.index()];
        if lane.last().is_none_or(|p| is_full(p.bytes_len(), p.items.len())) {
            lane.push(Down::default());
        }
        lane.last_mut().expect("a parcel was just pushed")
    }
}

/// Whether a lane of `len` parcels, the last with these bytes and items, takes another item within its credit.
fn has_room(len: usize, credit: usize, open: Option<(usize, usize)>) -> bool {
    len < credit || len == credit && open.is_some_and(|(bytes, items)| !is_full(bytes, items))
}

fn is_full(bytes: usize, items: usize) -> bool {
    bytes >= PARCEL_BYTES_MAX || items >= PARCEL_ITEMS_MAX
}

/// Bytes to send, per connection. The engine appends; at the end of a turn the loop takes the whole buffer
/// of every dirty connection that has no send in flight, so one turn is one send.
#[derive(Default)]
pub struct Sends {
    slots: Vec<Slot>,
    /// Connections with new bytes since the loop last looked. May name one that closed since.
    dirty: Vec<ConnId>,
    spares: Spares,
    /// Packets and bytes that have left.
    pub packets_sent: u64,
    pub bytes_sent: u64,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    bytes: Vec<u8>,
    in_flight: usize,
    /// Packets in `bytes`, and those in flight.
    packets: u32,
    packets_in_flight: u32,
    is_dirty: bool,
    is_watched: bool,
    /// Its last send was larger than a small spare: what comes now is likely to be as well.
    is_large: bool,
}

impl Sends {
    /// The connection exists from now on (the engine calls it on `Opened`).
    pub fn open(&mut self, conn: ConnId) {
        let index = conn.index as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Slot::default);
        }
        self.slots[index] = Slot { generation: conn.generation, ..Slot::default() };
    }

    /// Frees the spare buffers that nobody used since the last call; returns how many bytes that were. A burst leaves many.
    pub fn trim_spares(&mut self) -> usize {
        self.spares.trim()
    }

    /// Whether [`Sends::trim_spares`] will find something, unless it is used before.
    pub fn has_spares(&self) -> bool {
        self.spares.small.bytes + self.spares.large.bytes > 0
    }

    /// Where to append one packet for `conn`, which counts it. The connection must be open.
    pub fn buffer(&mut self, conn: ConnId) -> &mut Vec<u8> {
        self.append(conn, 1)
    }

    /// `count` packets were appended to an `open_buffer`.
    pub fn count(&mut self, conn: ConnId, count: u32) {
        debug_assert!(self.slot(conn).is_some());
        self.slots[conn.index as usize].packets += count;
    }

    /// Where to append any number of packets, none as well, for `conn`; `Sends::count` is told how many they were.
    pub fn open_buffer(&mut self, conn: ConnId) -> &mut Vec<u8> {
        self.append(conn, 0)
    }

    #[inline]
    fn append(&mut self, conn: ConnId, packets: u32) -> &mut Vec<u8> {
        let slot = &mut self.slots[conn.index as usize];
        debug_assert_eq!(slot.generation, conn.generation, "a buffer of a connection that is gone");
        slot.packets += packets;
        if !slot.is_dirty {
            slot.is_dirty = true;
            self.dirty.push(conn);
        }
        if slot.bytes.capacity() == 0 {
            slot.bytes = self.spares.take(slot.is_large);
        }
        &mut slot.bytes
    }

    /// Bytes that have not left yet, those in flight included.
    pub fn unsent(&self, conn: ConnId) -> usize {
        self.slot(conn).map_or(0, |slot| slot.bytes.len() + slot.in_flight)
    }

    /// Whether the socket has not taken what it was given in an earlier turn.
    pub fn is_in_flight(&self, conn: ConnId) -> bool {
        self.slot(conn).is_some_and(|slot| slot.in_flight > 0)
    }

    /// Packets and bytes of all connections that have not left yet. Looks at each.
    pub fn unsent_in_all(&self) -> (u64, u64) {
        let unsent = self
            .slots
            .iter()
            .map(|slot| (u64::from(slot.packets + slot.packets_in_flight), (slot.bytes.len() + slot.in_flight) as u64));
        unsent.fold((0, 0), |(packets, bytes), (more_packets, more_bytes)| (packets + more_packets, bytes + more_bytes))
    }

    /// Asks for one `Input::Drained` when the unsent bytes fall below `SEND_LOW_BYTES`.
    pub fn watch(&mut self, conn: ConnId) {
        let slot = &mut self.slots[conn.index as usize];
        debug_assert_eq!(slot.generation, conn.generation);
        slot.is_watched = true;
    }

    /// For the loop: moves the dirty list out (swap it back in, emptied, to keep its memory).
    pub fn take_dirty(&mut self, into: &mut Vec<ConnId>) {
        into.clear();
        std::mem::swap(&mut self.dirty, into);
        for conn in into.iter() {
            if let Some(slot) = self.slot_mut(*conn) {
                slot.is_dirty = false;
            }
        }
    }

    /// For the loop: takes all bytes of `conn` to send them, leaving `spare` (empty) in their place.
    /// `None` where there is nothing to send or a send is in flight already.
    pub fn take(&mut self, conn: ConnId, spare: &mut Vec<u8>) -> Option<Vec<u8>> {
        let slot = self.slot_mut(conn)?;
        if slot.bytes.is_empty() || slot.in_flight > 0 {
            return None;
        }
        slot.in_flight = slot.bytes.len();
        slot.is_large = slot.in_flight > SPARE_BYTES_MAX;
        slot.packets_in_flight = std::mem::take(&mut slot.packets);
        Some(std::mem::replace(&mut slot.bytes, std::mem::take(spare)))
    }

    /// For the loop: `sent` bytes of those in flight have left. Says what to do next.
    pub fn sent(&mut self, conn: ConnId, sent: usize) -> Progress {
        self.bytes_sent += sent as u64;
        let Some(slot) = self.slot_mut(conn) else { return Progress::default() };
        debug_assert!(sent <= slot.in_flight);
        slot.in_flight -= sent;
        let left = if slot.in_flight == 0 { std::mem::take(&mut slot.packets_in_flight) } else { 0 };
        let unsent = slot.bytes.len() + slot.in_flight;
        let drained = slot.is_watched && unsent < SEND_LOW_BYTES;
        slot.is_watched &= !drained;
        let more = slot.in_flight == 0 && !slot.bytes.is_empty();
        self.packets_sent += u64::from(left);
        Progress { drained, more }
    }

    /// For the loop: a buffer whose bytes have left. The next connection that has something to send gets it, so that
    /// a connection that has nothing to send owns none.
    pub fn give(&mut self, buffer: Vec<u8>) {
        self.spares.give(buffer);
    }

    /// The connection is gone; its bytes are given back.
    pub fn close(&mut self, conn: ConnId) {
        if let Some(slot) = self.slot_mut(conn) {
            *slot = Slot { generation: conn.generation.wrapping_add(1), ..Slot::default() };
        }
    }

    fn slot(&self, conn: ConnId) -> Option<&Slot> {
        self.slots.get(conn.index as usize).filter(|slot| slot.generation == conn.generation)
    }

    fn slot_mut(&mut self, conn: ConnId) -> Option<&mut Slot> {
        self.slots.get_mut(conn.index as usize).filter(|slot| slot.generation == conn.generation)
    }
}

/// What follows from a completed send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Give the engine `Input::Drained`.
    pub drained: bool,
    /// Nothing is in flight and bytes wait: take and send them.
    pub more: bool,
}

/// Spare buffers that are kept; more connections than this with unsent bytes at once are rare, and their
/// buffers are freed.
const SPARES_MAX: usize = 1_024;
/// A buffer that grew beyond this is large: only a connection that sends so much gets it, or each would grow one.
const SPARE_BYTES_MAX: usize = 64 * 1024;
/// What all small spares may hold together, and all large ones.
const SPARES_BYTES_MAX: usize = 4 * 1024 * 1024;
const _: () = assert!(2 * SEND_HIGH_BYTES <= SPARES_BYTES_MAX, "a buffer grows by doubling until it takes no more");

/// Spare buffers: what a completed send leaves is what the next one fills.
#[derive(Default)]
struct Spares {
    small: Pool,
    large: Pool,
}

#[derive(Default)]
struct Pool {
    list: Vec<Vec<u8>>,
    bytes: usize,
    /// The fewest that were here since the last trim: so many were not used.
    unused: usize,
}

impl Spares {
    /// An empty buffer, with memory if there is one to spare.
    fn take(&mut self, is_large: bool) -> Vec<u8> {
        let large = if is_large { self.large.take() } else { None };
        large.or_else(|| self.small.take()).unwrap_or_default()
    }

    fn trim(&mut self) -> usize {
        self.small.trim() + self.large.trim()
    }

    fn give(&mut self, buffer: Vec<u8>) {
        let pool = if buffer.capacity() > SPARE_BYTES_MAX { &mut self.large } else { &mut self.small };
        pool.give(buffer);
    }
}

impl Pool {
    fn take(&mut self) -> Option<Vec<u8>> {
        let spare = self.list.pop()?;
        self.bytes -= spare.capacity();
        self.unused = self.unused.min(self.list.len());
        Some(spare)
    }

    /// Frees what nobody used since the last trim; returns how many bytes that were.
    fn trim(&mut self) -> usize {
        let before = self.bytes;
        let freed: usize = self.list.drain(..self.unused).map(|spare| spare.capacity()).sum();
        self.bytes -= freed;
        self.unused = self.list.len();
        before - self.bytes
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if bytes > 0 && self.list.len() < SPARES_MAX && self.bytes + bytes <= SPARES_BYTES_MAX {
            buffer.clear();
            self.bytes += bytes;
            self.list.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_a_large_one_to_who_sends_much() {
        let mut spares = Spares::default();
        spares.give(b"unsent".to_vec());
        spares.give(Vec::with_capacity(SPARE_BYTES_MAX + 1));
        let spare = spares.take(false);
        assert!(spare.is_empty() && spare.capacity() >= 6);
        assert_eq!(spares.take(false).capacity(), 0);
        assert!(spares.take(true).capacity() > SPARE_BYTES_MAX);
        assert_eq!(spares.take(true).capacity(), 0);
        assert_eq!(spares.small.bytes + spares.large.bytes, 0);
    }

    #[test]
    fn spares_that_nobody_used_for_a_while_are_freed() {
        let mut spares = Spares::default();
        for bytes in [16, 16, 16, 2 * SPARE_BYTES_MAX] {
            spares.give(Vec::with_capacity(bytes));
        }
        assert_eq!(spares.trim(), 0, "all of them are new");
        let used = spares.take(false);
        spares.give(used);
        assert_eq!(spares.trim(), 2 * 16 + 2 * SPARE_BYTES_MAX);
        assert_eq!((spares.small.list.len(), spares.small.bytes), (1, 16));
        assert_eq!(spares.trim(), 16);
        assert_eq!(spares.trim(), 0);
    }

    #[test]
    fn spares_are_bounded_in_number_and_in_bytes() {
        let mut spares = Spares::default();
        for _ in 0..2 * SPARES_MAX {
            spares.give(Vec::with_capacity(16));
        }
        assert_eq!(spares.small.list.len(), SPARES_MAX);
        let mut spares = Spares::default();
        for bytes in [SPARE_BYTES_MAX, 2 * SPARE_BYTES_MAX] {
            for _ in 0..2 * SPARES_BYTES_MAX / SPARE_BYTES_MAX {
                spares.give(Vec::with_capacity(bytes));
            }
        }
        assert!(spares.small.bytes <= SPARES_BYTES_MAX && spares.large.bytes <= SPARES_BYTES_MAX);
    }

    #[test]
    fn a_connection_that_sends_much_gets_its_memory_again() {
        let conn = ConnId { index: 0, generation: 1 };
        let mut sends = Sends::default();
        sends.open(conn);
        let mut capacities = Vec::new();
        for _ in 0..3 {
            sends.buffer(conn).extend_from_slice(&vec![0; 3 * SPARE_BYTES_MAX]);
            let bytes = sends.take(conn, &mut Vec::new()).unwrap();
            sends.sent(conn, bytes.len());
            capacities.push((bytes.as_ptr(), bytes.capacity()));
            sends.give(bytes);
        }
        assert_eq!(capacities[1], capacities[0]);
        assert_eq!(capacities[2], capacities[0]);
    }
}
