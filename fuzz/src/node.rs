//! One shard with everything that its loop owns: outbox and connections. The turn itself is in `turn`.

use engine::key::{ConnId, ShardId};
use engine::shard::Shard;
use engine::shard::outbox::Outbox;

pub struct Node {
    pub id: ShardId,
    pub shard: Shard,
    pub out: Outbox,
    /// Socket of each connection index, with the generation of the index.
    conns: Vec<(u32, Option<usize>)>,
    pub(crate) dirty: Vec<ConnId>,
}

impl Node {
    pub fn new(id: ShardId, shard: Shard, shards: usize) -> Node {
        Node { id, shard, out: Outbox::new(shards), conns: Vec::new(), dirty: Vec::new() }
    }

    /// A connection for a socket; indexes are used again, as the loop does.
    pub fn open(&mut self, socket: usize) -> ConnId {
        let free = self.conns.iter().position(|(_, socket)| socket.is_none());
        let index = free.unwrap_or(self.conns.len());
        if free.is_none() {
            self.conns.push((0, None));
        }
        let (generation, taken) = &mut self.conns[index];
        *generation += 1;
        *taken = Some(socket);
        ConnId { index: index as u32, generation: *generation }
    }

    /// The socket of a connection that is still the one meant.
    pub fn socket(&self, conn: ConnId) -> Option<usize> {
        let (generation, socket) = self.conns.get(conn.index as usize)?;
        socket.filter(|_| *generation == conn.generation)
    }

    /// The connection is gone.
    pub fn free(&mut self, conn: ConnId) {
        if self.socket(conn).is_some() {
            self.conns[conn.index as usize].1 = None;
        }
        self.out.sends.close(conn);
    }
}
