//! The connections of one shard: a slab of small slots, and for each what is armed and what is to be done.
//!
//! Called by the shard loop, on its thread. A slot is given up, and its generation raised, only when the kernel
//! holds no order about its socket; so a completion always finds the connection that it is about.
//!
//! ```text
//!   Open ──▶ Flushing ──▶ Lingering ──▶ Ending ──▶ (free)
//!    │    Close ordered, or    │ all sent: our     │ peer's end seen, or time is up:
//!    │    peer's end seen      │ end is sent       │ wait for the kernel to let go
//!    └───────────── the socket failed ────────────▶┘
//! ```

use crate::listener::Sockets;
use crate::uring::Ring;
use engine::key::ConnId;
use engine::shard::outbox::Sends;
use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};

/// Milliseconds that a closed connection's unsent bytes may still take.
pub(crate) const CLOSE_GRACE_MS: u64 = 5_000;
/// Milliseconds that a peer has to end its side after we ended ours. Closing at once would answer bytes still
/// under way with a reset, and a reset takes our last packet from the peer.
pub(crate) const LINGER_MS: u64 = 1_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
enum Phase {
    Open,
    Flushing,
    Lingering,
    Ending,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Receive {
    Idle,
    Armed,
    /// Armed, and its end is ordered.
    Cancelling,
}

struct Slot {
    /// `None`: the slot is free.
    fd: Option<OwnedFd>,
    generation: u32,
    phase: Phase,
    receive: Receive,
    is_sending: bool,
    /// Read with a multishot receive.
    is_established: bool,
    is_paused: bool,
    /// The peer has sent its last byte.
    has_ended: bool,
    /// The socket failed: nothing can be sent any more.
    is_broken: bool,
    /// In `unsettled` already.
    is_unsettled: bool,
}

// Idle connections are counted in hundreds of bytes: this is all that the loop keeps of one.
const _: () = assert!(size_of::<Slot>() <= 24);

pub(crate) struct Connections {
    slots: Vec<Slot>,
    free: Vec<u32>,
    open: usize,
    /// Connections whose receive or close is to be looked at when the turn ends.
    unsettled: Vec<ConnId>,
    /// When flushing is over, by connection: in order, since the grace is the same for all.
    flush_by: VecDeque<(u64, ConnId)>,
    linger_by: VecDeque<(u64, ConnId)>,
    sockets: Sockets,
}

impl Connections {
    pub(crate) fn new(sockets: Sockets) -> Connections {
        Connections {
            slots: Vec::new(),
            free: Vec::new(),
            open: 0,
            unsettled: Vec::new(),
            flush_by: VecDeque::new(),
            linger_by: VecDeque::new(),
            sockets,
        }
    }

    /// Sockets that are not closed yet.
    pub(crate) fn len(&self) -> usize {
        self.open
    }

    /// Takes a socket. Its first receive is armed when the turn ends.
    pub(crate) fn open(&mut self, fd: OwnedFd) -> ConnId {
        let index = self.free.pop().unwrap_or(self.slots.len() as u32);
        let generation = self.slots.get(index as usize).map_or(0, |slot| slot.generation);
        let slot = Slot {
            fd: Some(fd),
            generation,
            phase: Phase::Open,
            receive: Receive::Idle,
            is_sending: false,
            is_established: false,
            is_paused: false,
            has_ended: false,
            is_broken: false,
            is_unsettled: false,
        };
        match self.slots.get_mut(index as usize) {
            Some(place) => *place = slot,
            None => self.slots.push(slot),
        }
        self.open += 1;
        let conn = ConnId { index, generation };
        self.unsettle(conn);
        conn
    }

    /// Whether the engine still hears of it.
    pub(crate) fn is_open(&self, conn: ConnId) -> bool {
        self.slot(conn).is_some_and(|slot| slot.phase == Phase::Open)
    }

    /// Whether its CONNECT was accepted.
    pub(crate) fn is_established(&self, conn: ConnId) -> bool {
        self.slot(conn).is_some_and(|slot| slot.is_established)
    }

    // What the engine orders.

    pub(crate) fn establish(&mut self, conn: ConnId) {
        if let Some(slot) = self.slot_mut(conn) {
            slot.is_established = true;
        }
    }

    pub(crate) fn pause(&mut self, conn: ConnId, is_paused: bool) {
        if let Some(slot) = self.slot_mut(conn) {
            slot.is_paused = is_paused;
            self.unsettle(conn);
        }
    }

    /// Sends what is owed, then closes.
    pub(crate) fn close(&mut self, conn: ConnId, now_ms: u64) {
        if let Some(slot) = self.slot_mut(conn).filter(|slot| slot.phase == Phase::Open) {
            slot.phase = Phase::Flushing;
            self.flush_by.push_back((now_ms + CLOSE_GRACE_MS, conn));
            self.unsettle(conn);
        }
    }

    /// Gives up the slot and keeps the socket, for another shard. `None` where the kernel still has an order about
    /// it (the engine hands over inside the step for received bytes, when there is none) or it is gone.
    pub(crate) fn detach(&mut self, conn: ConnId) -> Option<OwnedFd> {
        let slot = self.slot_mut(conn)?;
        if slot.phase != Phase::Open || slot.receive != Receive::Idle || slot.is_sending {
            return None;
        }
        let fd = slot.fd.take();
        self.give_up(conn.index);
        fd
    }

    // What the ring tells.

    /// The receive of `conn` has posted its last completion.
    pub(crate) fn receive_ended(&mut self, conn: ConnId) {
        if let Some(slot) = self.slot_mut(conn) {
            slot.receive = Receive::Idle;
            self.unsettle(conn);
        }
    }

    /// The order to cancel came too late or missed; if the receive is still armed, it is given again.
    pub(crate) fn not_cancelled(&mut self, conn: ConnId) {
        if let Some(slot) = self.slot_mut(conn).filter(|slot| slot.receive == Receive::Cancelling) {
            slot.receive = Receive::Armed;
            self.unsettle(conn);
        }
    }

    /// The peer sent its last byte: what is owed to it is still sent. True: the engine is to be told. Not while the
    /// engine still has bytes of it to look at: once it reads on, the next receive tells of the end again.
    pub(crate) fn peer_ended(&mut self, conn: ConnId, now_ms: u64) -> bool {
        let Some(slot) = self.slot_mut(conn) else { return false };
        if slot.phase == Phase::Open && slot.is_paused {
            return false;
        }
        slot.has_ended = true;
        let was_open = slot.phase == Phase::Open;
        self.close(conn, now_ms);
        self.unsettle(conn);
        was_open
    }

    /// The socket failed in a receive: nothing more can come or go. True: the engine is to be told.
    pub(crate) fn failed(&mut self, conn: ConnId) -> bool {
        let Some(slot) = self.slot_mut(conn) else { return false };
        slot.is_broken = true;
        slot.has_ended = true;
        let was_open = slot.phase == Phase::Open;
        slot.phase = Phase::Ending;
        self.unsettle(conn);
        was_open
    }

    /// A send failed. Bytes that came before are still received; where none is being received, nothing would tell
    /// of the end, so this is it. True: the engine is to be told.
    pub(crate) fn send_failed(&mut self, conn: ConnId) -> bool {
        let Some(slot) = self.slot_mut(conn) else { return false };
        slot.is_sending = false;
        slot.is_broken = true;
        let is_read = slot.receive != Receive::Idle && !slot.is_paused;
        if slot.phase == Phase::Open && is_read {
            shut(slot, Shutdown::Both);
            return false;
        }
        self.failed(conn)
    }

    // Sending.

    /// Hands all unsent bytes of `conn` to the ring, unless a send is in flight.
    pub(crate) fn send(&mut self, conn: ConnId, ring: &mut Ring, sends: &mut Sends) -> io::Result<()> {
        let Some(slot) = self.slot_mut(conn) else { return Ok(()) };
        let Some(bytes) = sends.take(conn, &mut Vec::new()) else { return Ok(()) };
        if slot.is_broken || slot.phase > Phase::Flushing {
            sends.sent(conn, bytes.len());
            sends.give(bytes);
            return Ok(());
        }
        let Some(fd) = slot.fd.as_ref() else { return Ok(()) };
        slot.is_sending = true;
        ring.send(conn, fd.as_fd(), bytes)
    }

    /// A short send goes on; false where its socket is gone (never: it is held while a send is in flight).
    pub(crate) fn send_rest(&mut self, conn: ConnId, ring: &mut Ring) -> io::Result<()> {
        match self.slot(conn).and_then(|slot| slot.fd.as_ref()) {
            Some(fd) => ring.send_rest(conn, fd.as_fd()),
            None => Err(io::Error::other("a send without a socket")),
        }
    }

    pub(crate) fn send_done(&mut self, conn: ConnId) {
        if let Some(slot) = self.slot_mut(conn) {
            slot.is_sending = false;
            if slot.phase != Phase::Open {
                self.unsettle(conn);
            }
        }
    }

    // Time.

    /// When `expire` has something to do.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let first = |queue: &VecDeque<(u64, ConnId)>| queue.front().map(|(by, _)| *by);
        first(&self.flush_by).into_iter().chain(first(&self.linger_by)).min()
    }

    /// Ends what had time enough.
    pub(crate) fn expire(&mut self, now_ms: u64) {
        while let Some(conn) = pop_due(&mut self.flush_by, now_ms) {
            self.end_if(conn, Phase::Flushing);
        }
        while let Some(conn) = pop_due(&mut self.linger_by, now_ms) {
            self.end_if(conn, Phase::Lingering);
        }
    }

    fn end_if(&mut self, conn: ConnId, phase: Phase) {
        if let Some(slot) = self.slot_mut(conn).filter(|slot| slot.phase == phase) {
            slot.phase = Phase::Ending;
            self.unsettle(conn);
        }
    }

    // The end of a turn.

    /// Arms, cancels and closes what the turn changed. Sends come before.
    pub(crate) fn settle(&mut self, now_ms: u64, ring: &mut Ring, sends: &mut Sends) -> io::Result<()> {
        let mut unsettled = std::mem::take(&mut self.unsettled);
        for conn in unsettled.drain(..) {
            let Some(slot) = self.slot_mut(conn) else { continue };
            slot.is_unsettled = false;
            self.settle_close(conn, now_ms, ring, sends)?;
            self.settle_receive(conn, ring)?;
        }
        self.unsettled = unsettled;
        Ok(())
    }

    fn settle_receive(&mut self, conn: ConnId, ring: &mut Ring) -> io::Result<()> {
        let Some(slot) = self.slot_mut(conn) else { return Ok(()) };
        let Some(fd) = slot.fd.as_ref() else { return Ok(()) };
        let is_wanted = match slot.phase {
            Phase::Open => !slot.is_paused && !slot.has_ended,
            // What is armed goes on, and its bytes are dropped; the peer's end is waited for when ours is sent.
            Phase::Flushing => slot.receive != Receive::Idle,
            Phase::Lingering => !slot.has_ended,
            Phase::Ending => slot.receive != Receive::Idle,
        };
        match (is_wanted, slot.receive) {
            (true, Receive::Idle) if slot.is_established => ring.receive_many(conn, fd.as_fd())?,
            (true, Receive::Idle) => ring.receive_once(conn, fd.as_fd())?,
            (false, Receive::Armed) => {
                slot.receive = Receive::Cancelling;
                return ring.cancel_receive(conn);
            }
            _ => return Ok(()),
        }
        slot.receive = Receive::Armed;
        Ok(())
    }

    fn settle_close(&mut self, conn: ConnId, now_ms: u64, ring: &mut Ring, sends: &mut Sends) -> io::Result<()> {
        let Some(slot) = self.slot_mut(conn) else { return Ok(()) };
        let is_sent = slot.is_broken || (!slot.is_sending && sends.unsent(conn) == 0);
        if slot.phase == Phase::Flushing && is_sent {
            if slot.has_ended {
                slot.phase = Phase::Ending; // closing says the same as a shutdown before it
            } else {
                shut(slot, Shutdown::Write);
                slot.phase = Phase::Lingering;
                self.linger_by.push_back((now_ms + LINGER_MS, conn));
            }
        }
        let Some(slot) = self.slot_mut(conn) else { return Ok(()) };
        if slot.phase == Phase::Lingering && slot.has_ended {
            slot.phase = Phase::Ending;
        }
        if slot.phase != Phase::Ending {
            return Ok(());
        }
        if slot.receive == Receive::Idle && !slot.is_sending {
            if let Some(fd) = slot.fd.take() {
                ring.close(fd)?;
                self.sockets.left();
            }
            sends.close(conn);
            self.give_up(conn.index);
        } else {
            // Both directions end, so that the kernel completes what it holds.
            shut(slot, Shutdown::Both);
        }
        Ok(())
    }

    fn give_up(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        self.open -= 1;
    }

    fn unsettle(&mut self, conn: ConnId) {
        if let Some(slot) = self.slot_mut(conn).filter(|slot| !slot.is_unsettled) {
            slot.is_unsettled = true;
            self.unsettled.push(conn);
        }
    }

    fn slot(&self, conn: ConnId) -> Option<&Slot> {
        self.slots.get(conn.index as usize).filter(|slot| slot.generation == conn.generation && slot.fd.is_some())
    }

    fn slot_mut(&mut self, conn: ConnId) -> Option<&mut Slot> {
        self.slots.get_mut(conn.index as usize).filter(|slot| slot.generation == conn.generation && slot.fd.is_some())
    }
}

fn pop_due(queue: &mut VecDeque<(u64, ConnId)>, now_ms: u64) -> Option<ConnId> {
    queue.front().is_some_and(|(by, _)| *by <= now_ms).then(|| queue.pop_front().map(|(_, conn)| conn))?
}

/// Ends a direction of the socket. It fails where the peer ended both already, which is as good.
fn shut(slot: &Slot, how: Shutdown) {
    if let Some(fd) = slot.fd.as_ref() {
        let _ = socket2::SockRef::from(fd).shutdown(how);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_end_of_a_paused_connection_is_told_when_it_is_read_again() {
        // Its last packets, a DISCONNECT perhaps, wait in the engine for room: the end comes after them.
        let fd = TcpListener::bind("127.0.0.1:0").unwrap().into();
        let mut connections = Connections::new(Sockets::new(1));
        let conn = connections.open(fd);
        connections.establish(conn);
        connections.pause(conn, true);
        assert!(!connections.peer_ended(conn, 0) && connections.is_open(conn));
        connections.pause(conn, false);
        assert!(connections.peer_ended(conn, 0) && !connections.is_open(conn));
    }
}
