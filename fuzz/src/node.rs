//! One shard with everything that its loop owns: ports, outbox and connections. The turn itself is in `turn`.

use engine::key::{ConnId, ShardId};
use engine::mesh::Ports;
use engine::shard::Shard;
use engine::shard::outbox::Outbox;
use engine::shard::parcel::{Down, Up};
use std::collections::VecDeque;

/// What crosses a link.
pub enum Parcel {
    Up(Up),
    Down(Down),
}

/// Where a loop is: between any two of these others may have their turns, and the process may die.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Credit, timers, down lanes.
    Begin,
    /// Up lanes.
    Up,
    /// Sockets from other shards, commits, `Turn`, completions.
    Completions,
    /// Sends, sockets to other shards, links.
    Flush,
    /// Changes, and the call that makes the bells ring.
    Keep,
    /// Nothing happened in the turn: announces sleep.
    Announce,
    /// Looks again, and sleeps.
    Look,
    Asleep,
}

pub struct Node {
    pub id: ShardId,
    pub shard: Shard,
    pub out: Outbox,
    pub(crate) ports: Ports<Parcel>,
    pub(crate) phase: Phase,
    /// Something of the turn may have made work for the next.
    pub(crate) is_busy: bool,
    /// Its descriptor was written since it last woke.
    pub(crate) is_rung: bool,
    pub(crate) is_stop_asked: bool,
    pub(crate) is_stopping: bool,
    /// The shard whose up lane is served first, in turns.
    pub(crate) first: usize,
    /// Parcels taken from each shard since its bell was rung for room, by sender.
    pub(crate) taken: Vec<usize>,
    /// Bells that ring when the turn ends.
    pub(crate) rings: Vec<ShardId>,
    /// What the writer says is durable, and what the engine knows of it.
    pub(crate) durable: u64,
    pub(crate) committed: u64,
    /// Sockets that wait to be accepted.
    pub(crate) backlog: Vec<usize>,
    /// Sockets from other shards.
    pub(crate) door: VecDeque<usize>,
    /// Sockets to other shards, which wait for room in their doors.
    pub(crate) handoff: VecDeque<(ShardId, usize)>,
    /// Sockets that something has happened to.
    pub(crate) ready: Vec<usize>,
    pub(crate) dirty: Vec<ConnId>,
    /// Sends that ended while more bytes waited.
    pub(crate) resend: Vec<ConnId>,
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: u32,
    socket: Option<usize>,
}

impl Node {
    pub fn new(id: ShardId, shard: Shard, ports: Ports<Parcel>) -> Node {
        let shards = ports.up.shards();
        let mut out = Outbox::new(shards);
        for other in 0..shards {
            out.up_credit[other] = ports.up.free(ShardId(other as u16));
            out.down_credit[other] = ports.down.free(ShardId(other as u16));
        }
        Node {
            id,
            shard,
            out,
            ports,
            phase: Phase::Begin,
            is_busy: false,
            is_rung: false,
            is_stop_asked: false,
            is_stopping: false,
            first: 0,
            taken: vec![0; shards],
            rings: Vec::new(),
            durable: 0,
            committed: 0,
            backlog: Vec::new(),
            door: VecDeque::new(),
            handoff: VecDeque::new(),
            ready: Vec::new(),
            dirty: Vec::new(),
            resend: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// A connection for a socket; indexes are used again, as the loop does.
    pub fn open(&mut self, socket: usize) -> ConnId {
        let index = self.free.pop().unwrap_or(self.slots.len() as u32);
        match self.slots.get_mut(index as usize) {
            Some(slot) => slot.socket = Some(socket),
            None => self.slots.push(Slot { generation: 0, socket: Some(socket) }),
        }
        ConnId { index, generation: self.slots[index as usize].generation }
    }

    /// The socket of a connection that is still the one meant.
    pub fn socket(&self, conn: ConnId) -> Option<usize> {
        let slot = self.slots.get(conn.index as usize)?;
        slot.socket.filter(|_| slot.generation == conn.generation)
    }

    /// The connection is gone.
    pub fn free(&mut self, conn: ConnId) {
        if self.socket(conn).is_some() {
            let slot = &mut self.slots[conn.index as usize];
            slot.socket = None;
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(conn.index);
        }
        self.out.sends.close(conn);
    }

    /// Sockets that have a connection here.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = usize> {
        self.slots.iter().filter_map(|slot| slot.socket)
    }

    /// Whether what it knows without looking again would wake it: its bell, a timer.
    pub(crate) fn is_to_wake(&self, now_ms: u64) -> bool {
        self.is_rung || !self.handoff.is_empty() || self.is_due(now_ms)
    }

    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        self.shard.deadline().is_some_and(|deadline| deadline <= now_ms)
    }

    /// Whether the kernel has something for it.
    pub(crate) fn has_completions(&self) -> bool {
        !self.ready.is_empty() || !self.backlog.is_empty()
    }
}
