//! The whole broker and its clients on one thread, from one seed.
//!
//! ```text
//! clients ⇄ sockets ⇄ nodes (a shard, its outbox, its connections) ⇄ the mesh: lanes, bells
//!           split,             │ parts of turns, in any order; asleep until woken
//!           delayed            ▼
//!                       the store's twin: commits late
//! ```
//! The world does what the loop in `net` does, in the same order (`turn`), but draws from the seed what the
//! kernel and the clock decide there. A shard that sleeps stays asleep until it is rung, a timer of it is due or the
//! kernel has something for it; where work is left when all sleep, a wake-up was lost, and the world panics. A world
//! that panics says how to build it again.
//!
//! What it cannot show: two shards in the middle of one step (a step is whole here; `loom-tests` has the interleavings of
//! lanes and bells), how the kernel orders completions of one socket, memory and descriptors that run out, how long
//! anything takes, a disk that changes what it was given (the store's own tests have that), and clients that are not on
//! the other side of a byte stream, as with TLS.

use crate::client::{Client, ConnectOptions, PublishOptions};
use crate::marks::{Mark, Marks};
use crate::node::{Node, Phase};
use crate::packet::{Message, OwnedPacket};
use crate::rng::Rng;
use crate::socket::{Place, Socket};
use crate::twin::{Fault, Twin};
use engine::clock::Now;
use engine::config::{Config, Listener, Profile, Sys};
use engine::key::ShardId;
use engine::limits::STORE_PENDING_BYTES_DEFAULT;
use engine::mesh;
use engine::shard::{Setup, Shard};
use engine::stats::Stats;
use engine::topic::Roots;
use engine::wire::{AckKind, Property, QoS, ReasonCode, SubscriptionOptions};

/// Hash seed of the groups in every world: owners and homes are the same in each.
pub const GROUPS_SEED: [u64; 2] = [1, 2];
/// Epoch of the store of every world.
pub const EPOCH: u64 = 7;
/// Wall clock at the start of a world.
pub const WALL_MS: u64 = 1_700_000_000_000;
/// Turns after which a world that is not quiet never will be.
pub const TURNS_MAX: usize = 400_000;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub shards: usize,
    /// Parcels that a lane holds.
    pub lane_parcels: usize,
    /// Longest piece that a socket delivers at once.
    pub piece_bytes_max: usize,
    /// Bytes that wait between the broker and a client before the broker's sends stall.
    pub socket_bytes: usize,
    /// Sockets that wait at one shard's door for it to take them from the others.
    pub door_sockets: usize,
    pub store_pending_bytes: usize,
    /// The world has the store itself on a disk in memory, and can be started again.
    pub has_store: bool,
    pub broker: Config,
}

/// The listener of the classic profile; the other one is 0.
const CLASSIC: u16 = 1;

impl Plan {
    pub fn new(seed: u64, shards: usize) -> Plan {
        // What the broker says about itself is the subject of few conversations, and time passes slower with it.
        let mut broker = Config { sys: Sys { interval_s: 0 }, ..Config::default() };
        broker.listeners = vec![Listener::default(); 2];
        broker.listeners[usize::from(CLASSIC)].profile = Profile::Classic;
        Plan {
            seed,
            shards,
            lane_parcels: 64,
            piece_bytes_max: 4_096,
            socket_bytes: 16 * 1024,
            door_sockets: 256,
            store_pending_bytes: STORE_PENDING_BYTES_DEFAULT,
            has_store: false,
            broker,
        }
    }
}

/// One connection of one client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(pub usize);

/// See the module.
pub struct World {
    pub plan: Plan,
    pub rng: Rng,
    pub now: Now,
    pub roots: Roots,
    pub(crate) nodes: Vec<Node>,
    /// By client.
    pub(crate) sockets: Vec<Socket>,
    clients: Vec<Client>,
    pub twin: Twin,
    /// The process holds as much memory as it may.
    pub memory_full: bool,
    /// Rare paths that were taken.
    pub marks: Marks,
    /// Shards that the writer is about to wake.
    to_wake: Vec<ShardId>,
    /// Clients that have something to read.
    arrived: Vec<usize>,
    turns: usize,
    // Memory that is used again every turn.
    order: Vec<usize>,
    reading: Vec<usize>,
    answer: Vec<u8>,
    pub(crate) completing: Vec<usize>,
    pub(crate) piece: Vec<u8>,
    pub(crate) peer: String,
}

impl World {
    pub fn new(plan: Plan) -> World {
        let now = Now { mono_ms: 1_000, wall_ms: WALL_MS };
        let (roots, nodes, twin) = begin(&plan, None, now);
        World {
            rng: Rng::new(plan.seed),
            now,
            nodes,
            sockets: Vec::new(),
            clients: Vec::new(),
            twin,
            memory_full: false,
            marks: Marks::default(),
            to_wake: Vec::new(),
            arrived: Vec::new(),
            turns: 0,
            roots,
            order: (0..plan.shards).collect(),
            plan,
            reading: Vec::new(),
            answer: Vec::new(),
            completing: Vec::new(),
            piece: Vec::new(),
            peer: String::new(),
        }
    }

    // Clients.

    /// A new socket, accepted anywhere, and the client's CONNECT in it.
    pub fn connect(&mut self, options: ConnectOptions<'_>) -> ClientId {
        let mut bytes = Vec::new();
        let client = Client::new(&options, &mut bytes);
        let client = self.come(client, hash(options.client_id));
        self.sockets[client.0].to_broker.extend(&bytes);
        client
    }

    fn come(&mut self, client: Client, name: u64) -> ClientId {
        let accepts = self.rng.below(self.plan.shards);
        let id = self.sockets.len();
        self.clients.push(client);
        self.sockets.push(Socket::new(ShardId(accepts as u16), name, self.plan.socket_bytes));
        self.nodes[accepts].backlog.push(id);
        ClientId(id)
    }

    /// The new socket comes to a listener of the classic profile. Before anything moves.
    pub fn at_classic_listener(&mut self, client: ClientId) {
        self.sockets[client.0].listener = CLASSIC;
    }

    /// As `connect`, and waits for the answer. The CONNACK and whatever followed stay received.
    pub fn connected(&mut self, options: ConnectOptions<'_>) -> ClientId {
        let client = self.connect(options);
        self.run_until_quiet();
        client
    }

    /// A new socket, accepted anywhere, that says what the test says and gathers the bytes it is sent.
    pub fn socket(&mut self) -> ClientId {
        self.come(Client::bare(), 0)
    }

    /// What a bare socket received since the last call.
    pub fn received_bytes(&mut self, client: ClientId) -> Vec<u8> {
        self.clients[client.0].received_bytes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Any bytes. From a client that has ended its side they go nowhere.
    pub fn send(&mut self, client: ClientId, bytes: &[u8]) {
        let socket = &mut self.sockets[client.0];
        if socket.is_writable() {
            socket.to_broker.extend(bytes);
            self.make_ready(client.0);
        }
    }

    /// Takes back what the client wrote and the broker has not received: right after `connect`, the CONNECT.
    pub fn unsend(&mut self, client: ClientId) {
        self.sockets[client.0].to_broker.clear();
    }

    fn speak<T>(&mut self, client: ClientId, say: impl FnOnce(&mut Client, &mut Vec<u8>) -> T) -> T {
        let mut bytes = std::mem::take(&mut self.answer);
        bytes.clear();
        let said = say(&mut self.clients[client.0], &mut bytes);
        self.send(client, &bytes);
        self.answer = bytes;
        said
    }

    /// Returns the packet identifier.
    pub fn subscribe(&mut self, client: ClientId, filter: &str, qos: QoS) -> u16 {
        self.subscribe_with(client, &[(filter, SubscriptionOptions { qos, ..Default::default() })], &[])
    }

    pub fn subscribe_with(
        &mut self,
        client: ClientId,
        filters: &[(&str, SubscriptionOptions)],
        properties: &[Property<'_>],
    ) -> u16 {
        self.speak(client, |client, out| client.subscribe(filters, properties, out))
    }

    /// Returns the packet identifier.
    pub fn unsubscribe(&mut self, client: ClientId, filter: &str) -> u16 {
        self.unsubscribe_all(client, &[filter])
    }

    /// Several filters in one packet. Returns the packet identifier.
    pub fn unsubscribe_all(&mut self, client: ClientId, filters: &[&str]) -> u16 {
        self.unsubscribe_with(client, filters, &[])
    }

    pub fn unsubscribe_with(&mut self, client: ClientId, filters: &[&str], properties: &[Property<'_>]) -> u16 {
        self.speak(client, |client, out| client.unsubscribe(filters, properties, out))
    }

    /// Returns the packet identifier, 0 with QoS 0.
    pub fn publish(&mut self, client: ClientId, publish: PublishOptions<'_>) -> u16 {
        self.speak(client, |client, out| client.publish(&publish, out))
    }

    pub fn ack(&mut self, client: ClientId, kind: AckKind, packet_id: u16) {
        self.speak(client, |client, out| client.ack(kind, packet_id, out));
    }

    /// An acknowledgement that says no, MQTT 5 only.
    pub fn refuse(&mut self, client: ClientId, kind: AckKind, packet_id: u16, reason: ReasonCode) {
        self.speak(client, |client, out| client.ack_with(kind, packet_id, reason, out));
    }

    /// DISCONNECT, then the end of the stream.
    pub fn disconnect(&mut self, client: ClientId, reason: ReasonCode) {
        self.speak(client, |client, out| client.disconnect(reason, out));
        self.drop_client(client);
    }

    /// The end of the stream without a word; what was written before still arrives. The client reads no more.
    pub fn drop_client(&mut self, client: ClientId) {
        self.sockets[client.0].drop_client();
        self.make_ready(client.0);
    }

    /// The client ends its sending side and reads on; what was written before still arrives.
    pub fn half_close(&mut self, client: ClientId) {
        self.sockets[client.0].is_half_closed = true;
        self.marks.count(Mark::HalfClosed);
        self.make_ready(client.0);
    }

    /// The client's end breaks: what is unsent and what is unread is lost at once, both ways.
    pub fn reset(&mut self, client: ClientId) {
        if self.sockets[client.0].reset() {
            self.marks.count(Mark::ResetAmidPacket);
        }
        self.make_ready(client.0);
    }

    pub fn stop_reading(&mut self, client: ClientId) {
        self.sockets[client.0].is_read = false;
        self.make_ready(client.0);
    }

    pub fn read_again(&mut self, client: ClientId) {
        self.sockets[client.0].is_read = true;
        self.has_arrived(client.0);
        self.make_ready(client.0);
    }

    /// Bytes may have come to a client.
    pub(crate) fn has_arrived(&mut self, index: usize) {
        let socket = &mut self.sockets[index];
        if socket.is_readable() && !socket.has_arrived {
            socket.has_arrived = true;
            self.arrived.push(index);
        }
    }

    /// Everything received since the last call.
    pub fn received(&mut self, client: ClientId) -> Vec<OwnedPacket> {
        std::mem::take(&mut self.clients[client.0].received)
    }

    /// The same without forgetting it.
    pub fn peek(&self, client: ClientId) -> Vec<OwnedPacket> {
        self.clients[client.0].received.clone()
    }

    /// The PUBLISH packets received since the last call; other packets are forgotten.
    pub fn messages(&mut self, client: ClientId) -> Vec<Message> {
        self.received(client).iter().filter_map(OwnedPacket::message).cloned().collect()
    }

    /// The same as `topic payload`.
    pub fn lines(&mut self, client: ClientId) -> Vec<String> {
        self.messages(client).iter().map(Message::line).collect()
    }

    /// Whether the broker closed the client's connection.
    pub fn is_closed(&self, client: ClientId) -> bool {
        self.sockets[client.0].place == Place::Closed
    }

    /// Why the broker closed connections since the last call.
    pub fn notes(&mut self) -> Vec<&'static str> {
        let notes = self.nodes.iter_mut().flat_map(|node| node.shard.take_notes());
        notes.map(|note| note.what).collect()
    }

    /// What the shards counted since they began.
    pub fn stats(&self) -> Stats {
        let each: Vec<Stats> = self.nodes.iter().map(|node| node.shard.stats()).collect();
        Stats::sum(each.iter())
    }

    /// Whether a client is not read for the time being.
    pub fn reads_slowly(&self) -> bool {
        let is_at_work = |socket: &Socket| matches!(socket.place, Place::At { .. }) && !socket.is_closing;
        self.sockets.iter().any(|socket| socket.is_paused && is_at_work(socket))
    }

    /// Connections and sessions that the shards hold.
    pub fn census(&self) -> (u64, u64) {
        let stats = self.nodes.iter().map(|node| node.shard.stats());
        stats
            .fold((0, 0), |(connections, sessions), stats| (connections + stats.connections, sessions + stats.sessions))
    }

    /// Messages of share groups that left a member for another, that went back to their owner, and that were dropped.
    pub fn share_counts(&self) -> (u64, u64, u64) {
        let stats = self.nodes.iter().map(|node| node.shard.stats());
        stats.fold((0, 0, 0), |(moved, returned, dropped), stats| {
            (moved + stats.share_moved, returned + stats.share_returned, dropped + stats.share_dropped)
        })
    }

    /// What waits in windows and queues, how many messages and their bytes; and timers.
    pub fn waiting(&self) -> [u64; 3] {
        let stats = self.nodes.iter().map(|node| node.shard.stats());
        stats.fold([0; 3], |[messages, bytes, timers], stats| {
            let more = [stats.messages_waiting, stats.message_bytes_waiting, stats.timers];
            [messages + more[0], bytes + more[1], timers + more[2]]
        })
    }

    /// Deleted rows that the shards remember.
    pub fn tombstones(&self) -> u64 {
        self.nodes.iter().map(|node| node.shard.stats().tombstones).sum()
    }

    /// PUBLISH packets that left sessions for their sockets, read or not.
    pub fn publishes_sent(&self) -> u64 {
        self.nodes.iter().map(|node| node.shard.stats().publishes_sent).sum()
    }

    // The store.

    pub fn stall_store(&mut self) {
        self.twin.is_stalled = true;
    }

    pub fn resume_store(&mut self) {
        self.twin.is_stalled = false;
    }

    /// Commits come so many turns late.
    pub fn lag_store(&mut self, turns: u64) {
        self.twin.lag_turns = turns;
    }

    /// The next commits fail, so many or until `mend_store`.
    pub fn fail_store(&mut self, fault: Fault, attempts: Option<u32>) {
        self.twin.fail(fault, attempts);
    }

    /// The disk is full at this many bytes, until `mend_store`.
    pub fn limit_disk(&mut self, room_bytes: usize) {
        self.twin.limit(room_bytes);
    }

    pub fn mend_store(&mut self) {
        self.twin.mend();
    }

    /// The process ends, by itself or killed at this very moment, and another begins on the same disk. Every connection
    /// is gone.
    pub fn restart(&mut self, is_clean: bool) {
        self.restart_with(is_clean, self.plan.shards);
    }

    /// The same with another number of shards.
    pub fn restart_with(&mut self, is_clean: bool, shards: usize) {
        if is_clean {
            self.stop();
            self.run_until_quiet();
            self.twin.end();
        } else {
            self.mark_crash();
        }
        self.begin_again(shards);
    }

    /// Power goes at this very moment, and with it any part of what nobody was told is durable; then a process with so many
    /// shards begins on what is left.
    pub fn lose_power(&mut self, shards: usize) {
        self.mark_crash();
        let World { twin, rng, .. } = self;
        if twin.crash(|below| rng.below(below)) > 0 {
            self.marks.count(Mark::PowerLostTail);
        }
        self.begin_again(shards);
    }

    fn mark_crash(&mut self) {
        let holds_changes = |node: &Node| !node.out.changes.is_empty();
        if self.twin.has_uncommitted() || self.nodes.iter().any(holds_changes) {
            self.marks.count(Mark::CrashAmidChanges);
        }
    }

    fn begin_again(&mut self, shards: usize) {
        assert!(self.plan.has_store, "only what was stored comes back");
        for index in 0..self.sockets.len() {
            if self.sockets[index].place != Place::Closed {
                self.sockets[index].end();
            }
        }
        self.plan.shards = shards;
        self.order = (0..shards).collect();
        self.to_wake.clear();
        let before = std::mem::take(&mut self.twin);
        (self.roots, self.nodes, self.twin) = begin(&self.plan, Some(before), self.now);
    }

    /// Tells every shard to stop.
    pub fn stop(&mut self) {
        for shard in 0..self.plan.shards {
            self.nodes[shard].is_stop_asked = true;
            self.wake(ShardId(shard as u16));
        }
    }

    // Time.

    /// Runs turns, in any order of the shards, until all sleep and nothing wakes them. The clock stands.
    pub fn run_until_quiet(&mut self) {
        while !self.is_quiet() {
            let mut order = std::mem::take(&mut self.order);
            self.rng.shuffle(&mut order);
            self.move_clients();
            for shard in &order {
                self.go(*shard);
                self.turns += 1;
            }
            self.order = order;
            self.commit();
            assert!(self.turns < TURNS_MAX, "the world does not come to rest: {}", self.what_moves());
        }
        self.turns = 0;
        let left: Vec<String> = (0..self.plan.shards).filter_map(|shard| self.left_over(shard)).collect();
        assert!(left.is_empty(), "all sleep, and work is left: {left:?}");
        debug_assert!(self.nothing_is_forgotten());
    }

    fn is_quiet(&self) -> bool {
        let sleeps =
            |node: &Node| node.phase == Phase::Asleep && !node.is_to_wake(self.now.mono_ms) && !node.has_completions();
        self.nodes.iter().all(sleeps) && self.arrived.is_empty() && self.to_wake.is_empty() && self.twin.is_idle()
    }

    /// That sockets are in the lists that they belong in is the world's own affair: looked at in debug builds.
    fn nothing_is_forgotten(&self) -> bool {
        (0..self.plan.shards).all(|shard| {
            self.nodes[shard].sockets().all(|index| match self.sockets[index].place {
                Place::At { conn, .. } => !self.can_move(shard, index, conn) && !self.sockets[index].is_readable(),
                _ => false,
            })
        })
    }

    /// Runs a few turns and stops in the middle of things.
    pub fn run_turns(&mut self, turns: usize) {
        for _ in 0..turns {
            self.move_clients();
            let shard = self.rng.below(self.plan.shards);
            self.go(shard);
        }
    }

    /// Lets time pass, from deadline to deadline.
    pub fn advance_ms(&mut self, ms: u64) {
        let end = self.now.mono_ms + ms;
        self.run_until_quiet();
        loop {
            let next = self.nodes.iter().filter_map(|node| node.shard.deadline()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.set_clock(next.max(self.now.mono_ms));
            self.run_until_quiet();
        }
        self.set_clock(end);
        self.run_until_quiet();
    }

    fn set_clock(&mut self, mono_ms: u64) {
        self.now.wall_ms += mono_ms - self.now.mono_ms;
        self.now.mono_ms = mono_ms;
    }

    /// Clients read what has arrived, and answer.
    fn move_clients(&mut self) {
        if self.arrived.is_empty() {
            return;
        }
        let mut reading = std::mem::take(&mut self.reading);
        std::mem::swap(&mut reading, &mut self.arrived);
        for index in reading.drain(..) {
            self.sockets[index].has_arrived = false;
            if self.sockets[index].is_readable() {
                self.read(index);
                self.has_arrived(index);
            }
        }
        self.reading = reading;
    }

    /// All that has arrived, a part of it, or nothing yet.
    fn read(&mut self, index: usize) {
        let arrived = self.sockets[index].to_client.len();
        let count = match self.rng.below(8) {
            0 => 0,
            1 => 1 + self.rng.below(arrived),
            _ => arrived,
        };
        let mut answer = std::mem::take(&mut self.answer);
        answer.clear();
        let to_client = &mut self.sockets[index].to_client;
        self.clients[index].receive(to_client.ahead(count), &mut answer);
        to_client.skip(count);
        self.send(ClientId(index), &answer);
        self.answer = answer;
        // There is room in its buffer again.
        if self.sockets[index].is_sending() {
            self.make_ready(index);
        }
    }

    /// Lets the store commit, or not. Whether there is more.
    pub fn commit(&mut self) -> bool {
        while let Some(shard) = self.to_wake.pop() {
            self.wake(shard);
        }
        if self.rng.once_in(2) {
            let choice = self.rng.below(self.plan.shards);
            let before = (self.twin.is_failing(), self.is_store_full());
            for (shard, position) in self.twin.commit(choice) {
                // The shard may find it before it is woken for it.
                self.nodes[shard.index()].durable = position;
                self.to_wake.push(shard);
            }
            // Whoever waits for room, or for the disk, is woken.
            if before != (self.twin.is_failing(), self.is_store_full()) {
                self.to_wake.extend(self.nodes.iter().map(|node| node.id));
            }
        }
        !self.twin.is_idle() || self.nodes.iter().any(|node| node.durable != node.committed)
    }

    /// All shards share what may wait for the writer; in the store each has its part.
    pub(crate) fn is_store_full(&self) -> bool {
        self.twin.waiting_bytes() >= self.plan.store_pending_bytes
    }

    fn what_moves(&self) -> String {
        let of = |node: &Node| {
            let (up, down) = (node.ports.up.waiting(), node.ports.down.waiting());
            let is_due = node.is_due(self.now.mono_ms);
            format!("{:?} with {up} parcels up, {down} down, due {is_due}, ready {:?}", node.phase, node.ready)
        };
        let nodes: Vec<String> = self.nodes.iter().map(of).collect();
        format!("{nodes:?}, arrived at {:?}, store {}", self.arrived, self.twin.is_idle())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Plan { seed, shards, lane_parcels, piece_bytes_max, .. } = &self.plan;
            eprintln!(
                "in the world of seed {seed}, {shards} shards, lanes of {lane_parcels}, pieces to {piece_bytes_max}"
            );
        }
    }
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Shards, and the store that they keep things in.
fn begin(plan: &Plan, before: Option<Twin>, now: Now) -> (Roots, Vec<Node>, Twin) {
    let roots = Roots::new(GROUPS_SEED, &plan.broker.shards.split, &plan.broker.shards.pin, plan.shards as u16)
        .expect("a plan has valid splits and pins");
    let ids = (0..plan.shards as u16).map(ShardId);
    let mut shards: Vec<Shard> = ids.clone().map(|id| Shard::new(setup(plan, id, &roots))).collect();
    let twin = if plan.has_store { Twin::with_store(before, &mut shards, &roots, now) } else { Twin::default() };
    let ports = mesh::build(plan.shards, plan.lane_parcels);
    let nodes = ids.zip(shards).zip(ports).map(|((id, shard), ports)| Node::new(id, shard, ports)).collect();
    (roots, nodes, twin)
}

fn setup(plan: &Plan, me: ShardId, roots: &Roots) -> Setup {
    let config = plan.broker.clone();
    Setup { me, shards: plan.shards as u16, config, roots: roots.clone(), seed: plan.seed, epoch: EPOCH }
}
