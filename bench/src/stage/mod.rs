//! Shards in one thread with clients whose sockets are buffers: what the benches of the rooms and the counting tests
//! drive. A turn is as the loop in `net` takes it.
//!
//! Everything here uses its memory again, so that what is counted beside it is the broker's.

mod client;
mod scene;

pub use client::{Client, Message};
pub use scene::{Plan, Scene, Shape};

use engine::clock::Now;
use engine::config::{Config, Sys};
use engine::key::{ConnId, ShardId};
use engine::shard::input::Input;
use engine::shard::outbox::{Order, Outbox};
use engine::shard::parcel::{Down, Up};
use engine::shard::{Setup, Shard};
use engine::topic::Roots;
use engine::wire::{Packet, QoS, Version};
use std::collections::VecDeque;

/// Parcels that a lane holds.
const LANE_PARCELS: usize = 64;
const SEED: u64 = 1;

/// See the module.
pub struct Stage {
    version: Version,
    nodes: Vec<Node>,
    /// By sender, then receiver.
    up: Vec<VecDeque<Up>>,
    down: Vec<VecDeque<Down>>,
    clients: Vec<Client>,
    now: Now,
}

/// One shard with what its loop owns.
struct Node {
    shard: Shard,
    out: Outbox,
    /// The client of each connection index.
    clients: Vec<usize>,
    dirty: Vec<ConnId>,
    /// Changes up to here are durable; nothing keeps them, so that is at once.
    committed: u64,
}

impl Stage {
    /// Every client of it speaks `version`.
    pub fn new(shards: usize, version: Version) -> Stage {
        let config = Config { sys: Sys { interval_s: 0 }, ..Config::default() };
        let roots = Roots::new([1, 2], &[], &[], shards as u16).expect("no splits and no pins");
        let node = |me: usize| {
            let (me, shards) = (ShardId(me as u16), shards as u16);
            let setup = Setup { me, shards, config: config.clone(), roots: roots.clone(), seed: SEED, epoch: 1 };
            let (shard, out) = (Shard::new(setup), Outbox::new(usize::from(shards)));
            Node { shard, out, clients: Vec::new(), dirty: Vec::new(), committed: 0 }
        };
        Stage {
            version,
            nodes: (0..shards).map(node).collect(),
            up: (0..shards * shards).map(|_| VecDeque::with_capacity(LANE_PARCELS)).collect(),
            down: (0..shards * shards).map(|_| VecDeque::with_capacity(LANE_PARCELS)).collect(),
            clients: Vec::new(),
            now: Now { mono_ms: 1_000, wall_ms: 1_700_000_000_000 },
        }
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// Connects a client, by way of the first shard, and returns its number.
    pub fn connect(&mut self, client_id: &str) -> usize {
        let number = self.clients.len();
        self.clients.push(Client::new(self.version, client_id));
        self.open(0, number, None);
        self.run_until_quiet();
        number
    }

    /// Subscribes and waits until every owner knows of it.
    pub fn subscribe(&mut self, client: usize, filter: &str, qos: QoS) {
        self.clients[client].subscribe(self.version, filter, qos);
        self.run_until_quiet();
    }

    /// What the client writes; the next turn of its shard receives it in one piece.
    pub fn publish(&mut self, client: usize, message: &Message) {
        self.clients[client].publish(message);
    }

    /// Any packet of a client, on its way as a publish is.
    pub fn say(&mut self, client: usize, packet: &Packet<'_>) {
        self.clients[client].say(self.version, packet);
    }

    pub fn client(&self, client: usize) -> &Client {
        &self.clients[client]
    }

    /// PUBLISH packets that clients have received.
    pub fn delivered(&self) -> u64 {
        self.clients.iter().map(|client| client.publishes).sum()
    }

    /// Turns of all shards until nothing moves.
    pub fn run_until_quiet(&mut self) {
        loop {
            let moved = (0..self.nodes.len()).fold(false, |moved, shard| self.turn(shard) | moved);
            if !moved {
                return;
            }
        }
    }

    fn open(&mut self, shard: usize, client: usize, carried: Option<&[u8]>) {
        let node = &mut self.nodes[shard];
        let conn = ConnId { index: node.clients.len() as u32, generation: 1 };
        node.clients.push(client);
        self.clients[client].place = Some((shard, conn));
        self.step(shard, Input::Opened { conn, peer: "127.0.0.1:1", listener: 0 });
        if let Some(bytes) = carried {
            self.step(shard, Input::Bytes { conn, bytes });
        }
    }

    fn step(&mut self, shard: usize, input: Input<'_>) {
        let node = &mut self.nodes[shard];
        node.shard.step(self.now, input, &mut node.out);
        if node.out.orders.is_empty() && node.out.handovers.is_empty() {
            return;
        }
        for order in node.out.orders.drain(..) {
            assert!(!matches!(order, Order::Close(_)), "no client is turned away");
        }
        for handover in std::mem::take(&mut node.out.handovers) {
            let client = self.nodes[shard].clients[handover.conn.index as usize];
            self.nodes[shard].out.sends.close(handover.conn);
            self.open(handover.home.index(), client, Some(&handover.bytes));
        }
    }

    /// One turn of one shard. Whether anything moved.
    fn turn(&mut self, shard: usize) -> bool {
        self.set_credit(shard);
        let mut moved = self.take_parcels(shard);
        let node = &mut self.nodes[shard];
        let position = node.out.changes.last;
        if std::mem::replace(&mut node.committed, position) != position {
            self.step(shard, Input::Committed { position });
            moved = true;
        }
        self.step(shard, Input::Turn);
        moved |= self.receive(shard);
        moved |= self.send(shard);
        moved |= self.flush_links(shard);
        self.nodes[shard].out.changes.clear();
        let deadline = self.nodes[shard].shard.deadline();
        if deadline.is_some_and(|deadline| deadline <= self.now.mono_ms) {
            self.step(shard, Input::Timer);
            moved = true;
        }
        moved
    }

    fn set_credit(&mut self, shard: usize) {
        let shards = self.nodes.len();
        let out = &mut self.nodes[shard].out;
        for other in 0..shards {
            out.up_credit[other] = LANE_PARCELS - self.up[shard * shards + other].len();
            out.down_credit[other] = LANE_PARCELS - self.down[shard * shards + other].len();
        }
    }

    fn take_parcels(&mut self, shard: usize) -> bool {
        let (shards, mut moved) = (self.nodes.len(), false);
        for sender in 0..shards {
            let (lane, from) = (sender * shards + shard, ShardId(sender as u16));
            while let Some(parcel) = self.down[lane].pop_front() {
                self.step(shard, Input::Down { from, parcel });
                moved = true;
            }
        }
        for sender in 0..shards {
            let (lane, from) = (sender * shards + shard, ShardId(sender as u16));
            while self.nodes[shard].out.has_down_room() {
                let Some(parcel) = self.up[lane].pop_front() else { break };
                self.step(shard, Input::Up { from, parcel });
                moved = true;
            }
        }
        moved
    }

    fn receive(&mut self, shard: usize) -> bool {
        let mut moved = false;
        for at in 0..self.nodes[shard].clients.len() {
            let number = self.nodes[shard].clients[at];
            let Some((_, conn)) = self.clients[number].place.filter(|(place, _)| *place == shard) else { continue };
            if self.clients[number].to_broker.is_empty() {
                continue;
            }
            let mut bytes = std::mem::take(&mut self.clients[number].to_broker);
            self.step(shard, Input::Bytes { conn, bytes: &bytes });
            bytes.clear();
            self.clients[number].to_broker = bytes;
            moved = true;
        }
        moved
    }

    /// Everything of a turn for one socket leaves in one send, which ends at once.
    fn send(&mut self, shard: usize) -> bool {
        let mut dirty = std::mem::take(&mut self.nodes[shard].dirty);
        self.nodes[shard].out.sends.take_dirty(&mut dirty);
        let moved = !dirty.is_empty();
        for conn in dirty.drain(..) {
            let sends = &mut self.nodes[shard].out.sends;
            let Some(bytes) = sends.take(conn, &mut Vec::new()) else { continue };
            let progress = sends.sent(conn, bytes.len());
            let client = self.nodes[shard].clients[conn.index as usize];
            self.clients[client].receive(&bytes);
            self.nodes[shard].out.sends.give(bytes);
            if progress.drained {
                self.step(shard, Input::Drained { conn });
            }
        }
        self.nodes[shard].dirty = dirty;
        moved
    }

    fn flush_links(&mut self, shard: usize) -> bool {
        let (shards, mut moved) = (self.nodes.len(), false);
        for other in 0..shards {
            let (ups, downs) = self.nodes[shard].out.take_parcels(ShardId(other as u16));
            moved |= ups.len() + downs.len() > 0;
            self.up[shard * shards + other].extend(ups);
            self.down[shard * shards + other].extend(downs);
        }
        moved
    }
}
