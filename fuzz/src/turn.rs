//! One turn of one shard, as the loop in `net` takes it, and its sleep:
//!
//! ```text
//! turn    credit · timers · down lanes │ up lanes │ sockets · commits · Turn · completions
//! flush   sends · sockets · links │ changes · bells
//! sleep   announce │ look again · sleep                     (only after a turn in which nothing happened)
//! ```
//! Other shards may run, and the process may die, at every `│`. What a turn takes of what is there is drawn.

use crate::marks::Mark;
use crate::node::{Node, Parcel, Phase};
use crate::socket::{Place, Socket};
use crate::world::World;
use engine::key::{ConnId, ShardId};
use engine::shard::input::{Input, Process};
use engine::shard::outbox::{Handover, Order};
use engine::wire;
use std::fmt::Write;

/// Pieces of one socket in one turn.
const PIECES_MAX: usize = 3;
/// Parcels of one turn from one lane.
const PARCEL_BURST_MAX: usize = 16;
/// Receives of a paused socket that were under way.
const LATE_PIECES_MAX: usize = 2;
/// Once in so many times others run at a `│`.
const BREAK_ONCE_IN: usize = 6;

impl World {
    /// Goes on with the turn of a shard, mostly to its end, unless it sleeps and nothing wakes it. Whether it ran.
    pub(crate) fn go(&mut self, shard: usize) -> bool {
        if self.nodes[shard].phase == Phase::Asleep && !self.wakes(shard) {
            return false;
        }
        loop {
            self.go_on(shard);
            let phase = self.nodes[shard].phase;
            if matches!(phase, Phase::Begin | Phase::Asleep) || self.rng.once_in(BREAK_ONCE_IN) {
                return true;
            }
        }
    }

    /// Whether a shard that sleeps goes on.
    fn wakes(&mut self, shard: usize) -> bool {
        // What the kernel has may be on its way still.
        let node = &self.nodes[shard];
        let wakes = node.is_to_wake(self.now.mono_ms) || (node.has_completions() && self.rng.once_in(2));
        if !wakes {
            return false;
        }
        let node = &mut self.nodes[shard];
        node.is_rung = false;
        node.ports.bell.awake();
        node.phase = Phase::Begin;
        true
    }

    fn go_on(&mut self, shard: usize) {
        let phase = self.nodes[shard].phase;
        self.nodes[shard].phase = match phase {
            Phase::Begin => {
                self.nodes[shard].is_busy = false;
                self.advance_stop(shard);
                self.set_credit(shard);
                self.take_timers(shard);
                self.take_down(shard);
                Phase::Up
            }
            Phase::Up => {
                self.take_up(shard);
                Phase::Completions
            }
            Phase::Completions => {
                self.take_sockets(shard);
                self.take_commits(shard);
                self.step(shard, Input::Turn);
                self.take_completions(shard);
                Phase::Flush
            }
            Phase::Flush => {
                self.flush_sends(shard);
                self.carry_sockets(shard);
                self.flush_links(shard);
                Phase::Keep
            }
            Phase::Keep => {
                self.flush_changes(shard);
                self.ring_bells(shard);
                if self.nodes[shard].is_busy { Phase::Begin } else { Phase::Announce }
            }
            Phase::Announce => {
                self.nodes[shard].ports.bell.announce_sleep();
                Phase::Look
            }
            Phase::Look if self.looks_again(shard) => {
                self.nodes[shard].ports.bell.awake();
                Phase::Begin
            }
            Phase::Look | Phase::Asleep => Phase::Asleep,
        };
    }

    fn step(&mut self, shard: usize, input: Input<'_>) {
        let node = &mut self.nodes[shard];
        node.shard.step(self.now, input, &mut node.out);
        if !node.out.orders.is_empty() || !node.out.handovers.is_empty() {
            self.carry_out_orders(shard);
        }
    }

    /// Orders and handovers take effect at once.
    fn carry_out_orders(&mut self, shard: usize) {
        self.nodes[shard].is_busy = true;
        let mut orders = std::mem::take(&mut self.nodes[shard].out.orders);
        for order in orders.drain(..) {
            let (Order::Establish(conn) | Order::Close(conn) | Order::Pause(conn) | Order::Resume(conn)) = order;
            let Some(index) = self.nodes[shard].socket(conn) else { continue };
            let late_pieces = self.rng.below(LATE_PIECES_MAX + 1);
            let socket = &mut self.sockets[index];
            match order {
                Order::Establish(_) => socket.is_established = true,
                Order::Close(_) => socket.close(),
                Order::Pause(_) => {
                    socket.is_paused = true;
                    socket.late_pieces = if socket.is_established { late_pieces } else { 0 };
                }
                Order::Resume(_) => {
                    socket.is_paused = false;
                    self.marks.count(Mark::PausedResumed);
                }
            }
            self.make_ready(index);
        }
        self.nodes[shard].out.orders = orders;
        let mut handovers = std::mem::take(&mut self.nodes[shard].out.handovers);
        for handover in handovers.drain(..) {
            self.hand_over(shard, handover);
        }
        self.nodes[shard].out.handovers = handovers;
    }

    fn hand_over(&mut self, shard: usize, handover: Handover) {
        let node = &mut self.nodes[shard];
        let Some(index) = node.socket(handover.conn) else { return };
        let socket = &mut self.sockets[index];
        assert!(!socket.is_established && !socket.is_sending(), "a socket that the kernel has orders about moves");
        assert!(handover.home.index() != shard, "a socket that is at home moves");
        assert_eq!(socket.listener, handover.listener);
        node.free(handover.conn);
        // Who has no peer any more has nothing to be handed over for.
        if socket.is_reset {
            return socket.end();
        }
        if is_one_segment(&handover.bytes) {
            self.marks.count(Mark::HandedOverInOneSegment);
        }
        socket.place = Place::Moving(handover.home);
        socket.carried = handover.bytes;
        socket.is_paused = false;
        node.handoff.push_back((handover.home, index));
    }

    /// Something has happened to a socket that its shard is to learn.
    pub(crate) fn make_ready(&mut self, index: usize) {
        let socket = &mut self.sockets[index];
        if let Place::At { shard, .. } = socket.place
            && !socket.is_ready
        {
            socket.is_ready = true;
            self.nodes[shard.index()].ready.push(index);
        }
    }

    // What happened.

    fn advance_stop(&mut self, shard: usize) {
        let node = &mut self.nodes[shard];
        if !node.is_stop_asked || node.is_stopping {
            return;
        }
        node.is_stopping = true;
        node.is_busy = true;
        for index in node.backlog.drain(..) {
            self.sockets[index].end();
        }
        self.step(shard, Input::Stop);
    }

    /// The lanes are asked again only when half of their credit is used.
    fn set_credit(&mut self, shard: usize) {
        let enough = self.plan.lane_parcels / 2;
        let store_full = self.is_store_full();
        let Node { out, ports, .. } = &mut self.nodes[shard];
        for other in 0..self.plan.shards {
            if out.up_credit[other] <= enough {
                out.up_credit[other] = ports.up.free(ShardId(other as u16));
            }
            if out.down_credit[other] <= enough {
                out.down_credit[other] = ports.down.free(ShardId(other as u16));
            }
            if self.plan.lane_parcels == 1 && (out.up_credit[other] == 0 || out.down_credit[other] == 0) {
                self.marks.count(Mark::LaneFull);
            }
        }
        out.store_full = store_full;
        out.store_failing = self.twin.is_failing();
        out.memory_full = self.memory_full;
    }

    fn take_timers(&mut self, shard: usize) {
        if !self.nodes[shard].is_due(self.now.mono_ms) {
            return;
        }
        self.nodes[shard].is_busy = true;
        if self.nodes[shard].shard.wants_process(self.now) {
            self.step(shard, Input::Process(Process::default()));
        }
        self.step(shard, Input::Timer);
    }

    /// Mostly as many as there are.
    fn parcel_burst(&mut self) -> usize {
        if self.rng.once_in(4) { self.rng.below(3) } else { PARCEL_BURST_MAX }
    }

    fn take_down(&mut self, shard: usize) {
        for sender in 0..self.plan.shards {
            let from = ShardId(sender as u16);
            for _ in 0..PARCEL_BURST_MAX {
                let Some(parcel) = self.nodes[shard].ports.down.pop(from) else { break };
                self.take_parcel(shard, from, parcel);
            }
        }
    }

    fn take_up(&mut self, shard: usize) {
        if self.nodes[shard].ports.up.is_empty() {
            return;
        }
        let shards = self.plan.shards;
        self.nodes[shard].first = (self.nodes[shard].first + 1) % shards;
        for offset in 0..shards {
            let from = ShardId(((self.nodes[shard].first + offset) % shards) as u16);
            for _ in 0..self.parcel_burst() {
                if !self.nodes[shard].out.has_down_room() {
                    return;
                }
                let Some(parcel) = self.nodes[shard].ports.up.pop(from) else { break };
                self.take_parcel(shard, from, parcel);
            }
        }
    }

    fn take_parcel(&mut self, shard: usize, from: ShardId, parcel: Parcel) {
        self.nodes[shard].is_busy = true;
        self.ring_for_room(shard, from);
        match parcel {
            Parcel::Up(parcel) => self.step(shard, Input::Up { from, parcel }),
            Parcel::Down(parcel) => self.step(shard, Input::Down { from, parcel }),
        }
    }

    /// Wakes a sender that may sleep because its lane was full.
    fn ring_for_room(&mut self, shard: usize, sender: ShardId) {
        let taken = &mut self.nodes[shard].taken[sender.index()];
        *taken += 1;
        if *taken > self.plan.lane_parcels / 2 {
            *taken = 0;
            self.ring_bell(shard, sender);
        }
    }

    /// Wakes another shard if it sleeps, with the call that ends this turn.
    fn ring_bell(&mut self, shard: usize, other: ShardId) {
        let node = &mut self.nodes[shard];
        if node.ports.bell.ring(other) {
            node.rings.push(other);
        }
    }

    /// Wakes a shard if it sleeps, at once.
    pub(crate) fn wake(&mut self, shard: ShardId) {
        // Any bell rings the others.
        if self.nodes[0].ports.bell.ring(shard) {
            self.nodes[shard.index()].is_rung = true;
        }
    }

    /// Sockets that other shards accepted.
    fn take_sockets(&mut self, shard: usize) {
        while let Some(index) = self.nodes[shard].door.pop_front() {
            self.nodes[shard].is_busy = true;
            let carried = std::mem::take(&mut self.sockets[index].carried);
            if let Some(conn) = self.open(shard, index)
                && !carried.is_empty()
            {
                self.step(shard, Input::Bytes { conn, bytes: &carried });
            }
        }
    }

    /// Tells the engine of a new socket, unless everything is about to end.
    fn open(&mut self, shard: usize, index: usize) -> Option<ConnId> {
        if self.nodes[shard].is_stopping {
            self.sockets[index].end();
            return None;
        }
        let conn = self.nodes[shard].open(index);
        self.sockets[index].place = Place::At { shard: ShardId(shard as u16), conn };
        self.make_ready(index);
        let mut peer = std::mem::take(&mut self.peer);
        peer.clear();
        let _ = write!(peer, "127.0.0.1:{index}");
        let listener = self.sockets[index].listener;
        self.step(shard, Input::Opened { conn, peer: &peer, listener });
        self.peer = peer;
        Some(conn)
    }

    fn take_commits(&mut self, shard: usize) {
        let node = &mut self.nodes[shard];
        let position = node.durable;
        if position != node.committed {
            node.committed = position;
            node.is_busy = true;
            self.twin.told(ShardId(shard as u16), position);
            self.step(shard, Input::Committed { position });
        }
    }

    /// What the kernel tells: sockets, bytes, ends of streams, ends of sends.
    fn take_completions(&mut self, shard: usize) {
        if !self.nodes[shard].has_completions() {
            return;
        }
        for at in (0..self.nodes[shard].backlog.len()).rev() {
            if !self.rng.once_in(3) {
                let index = self.nodes[shard].backlog.swap_remove(at);
                self.nodes[shard].is_busy = true;
                self.open(shard, index);
            }
        }
        let mut ready = std::mem::take(&mut self.completing);
        std::mem::swap(&mut ready, &mut self.nodes[shard].ready);
        self.rng.shuffle(&mut ready);
        for index in ready.drain(..) {
            self.sockets[index].is_ready = false;
            self.complete(shard, index);
        }
        self.completing = ready;
    }

    fn complete(&mut self, shard: usize, index: usize) {
        let Some(conn) = self.conn_at(index, shard) else { return };
        self.receive(shard, index, conn);
        if self.conn_at(index, shard) == Some(conn) {
            self.complete_send(shard, index, conn);
        }
        if self.conn_at(index, shard) == Some(conn) {
            self.end(shard, index, conn);
        }
        if self.conn_at(index, shard) == Some(conn) && self.can_move(shard, index, conn) {
            self.make_ready(index);
        }
    }

    fn conn_at(&self, index: usize, shard: usize) -> Option<ConnId> {
        match self.sockets[index].place {
            Place::At { shard: at, conn } if at.index() == shard => Some(conn),
            _ => None,
        }
    }

    /// Whether the kernel has something to tell of a socket.
    pub(crate) fn can_move(&self, shard: usize, index: usize, conn: ConnId) -> bool {
        let socket = &self.sockets[index];
        socket.is_receivable()
            || socket.sendable() > 0
            || socket.is_end_visible()
            || socket.is_reset_visible()
            || self.is_over(shard, socket, conn)
    }

    /// The engine asked to close and nothing is left to send.
    fn is_over(&self, shard: usize, socket: &Socket, conn: ConnId) -> bool {
        // Of a client that does not read, what it is owed is lost at the end of the grace time.
        let is_lost = !socket.is_read || socket.is_dropped || socket.is_broken;
        socket.is_closing && (is_lost || self.nodes[shard].out.sends.unsent(conn) == 0)
    }

    fn receive(&mut self, shard: usize, index: usize, conn: ConnId) {
        // Until CONNECT is accepted a socket is read by single receives.
        let pieces =
            if self.sockets[index].is_established { self.rng.below(PIECES_MAX + 1) } else { self.rng.below(2) };
        for _ in 0..pieces {
            if self.conn_at(index, shard) != Some(conn) || !self.sockets[index].is_receivable() {
                break;
            }
            self.nodes[shard].is_busy = true;
            let count = 1 + self.rng.below(self.plan.piece_bytes_max);
            let mut piece = std::mem::take(&mut self.piece);
            piece.clear();
            self.sockets[index].receive(count, &mut piece);
            self.step(shard, Input::Bytes { conn, bytes: &piece });
            self.piece = piece;
        }
    }

    fn complete_send(&mut self, shard: usize, index: usize, conn: ConnId) {
        let sendable = self.sockets[index].sendable();
        if sendable == 0 || self.rng.once_in(4) {
            return;
        }
        self.nodes[shard].is_busy = true;
        // A send is cut anywhere, but mostly leaves whole.
        let count = if self.rng.once_in(3) { 1 + self.rng.below(sendable) } else { sendable };
        let buffer = self.sockets[index].send(count);
        self.has_arrived(index);
        self.sent(shard, index, conn, count, buffer);
    }

    fn sent(&mut self, shard: usize, index: usize, conn: ConnId, count: usize, buffer: Option<Vec<u8>>) {
        let node = &mut self.nodes[shard];
        let progress = node.out.sends.sent(conn, count);
        if let Some(buffer) = buffer {
            node.out.sends.give(buffer);
        }
        if progress.more {
            node.resend.push(conn);
        }
        if progress.drained && !self.sockets[index].is_closing {
            self.step(shard, Input::Drained { conn });
        }
    }

    /// The client sends no more, or is gone; or the engine asked to close and nothing is left to send.
    fn end(&mut self, shard: usize, index: usize, conn: ConnId) {
        let socket = &mut self.sockets[index];
        if socket.is_reset_visible() {
            return self.fail(shard, index, conn);
        }
        if socket.is_end_visible() {
            socket.has_ended = true;
            socket.close();
            self.nodes[shard].is_busy = true;
            self.step(shard, Input::Closed { conn });
        }
        // A connection lingers until the client has seen its end.
        if self.is_over(shard, &self.sockets[index], conn) && !self.rng.once_in(3) {
            self.nodes[shard].is_busy = true;
            self.nodes[shard].free(conn);
            self.sockets[index].end();
        }
    }

    /// A receive or a send fails: nothing more can come or go.
    fn fail(&mut self, shard: usize, index: usize, conn: ConnId) {
        let socket = &mut self.sockets[index];
        socket.is_broken = true;
        let was_open = !socket.is_closing;
        socket.close();
        self.nodes[shard].is_busy = true;
        if self.sockets[index].is_sending() {
            let (buffer, unsent) = self.sockets[index].take_sending();
            self.sent(shard, index, conn, unsent, Some(buffer));
        }
        if was_open {
            self.step(shard, Input::Closed { conn });
        }
    }

    // What the engine wants.

    fn flush_sends(&mut self, shard: usize) {
        let mut dirty = std::mem::take(&mut self.nodes[shard].dirty);
        self.nodes[shard].out.sends.take_dirty(&mut dirty);
        dirty.append(&mut self.nodes[shard].resend);
        self.nodes[shard].is_busy |= !dirty.is_empty();
        for conn in dirty.drain(..) {
            self.start_send(shard, conn);
        }
        self.nodes[shard].dirty = dirty;
    }

    fn start_send(&mut self, shard: usize, conn: ConnId) {
        let node = &mut self.nodes[shard];
        let Some(index) = node.socket(conn) else { return };
        let Some(bytes) = node.out.sends.take(conn, &mut Vec::new()) else { return };
        let socket = &mut self.sockets[index];
        if socket.is_broken {
            node.out.sends.sent(conn, bytes.len());
            node.out.sends.give(bytes);
        } else {
            assert!(!socket.is_sending(), "one send in flight per connection");
            socket.sending = bytes;
        }
        self.make_ready(index);
    }

    /// Sockets go to their homes as far as their doors have room.
    fn carry_sockets(&mut self, shard: usize) {
        for _ in 0..self.nodes[shard].handoff.len() {
            let Some((home, index)) = self.nodes[shard].handoff.pop_front() else { return };
            if self.nodes[home.index()].door.len() < self.plan.door_sockets {
                self.nodes[home.index()].door.push_back(index);
                self.wake(home);
            } else {
                self.nodes[shard].handoff.push_back((home, index));
            }
        }
    }

    fn flush_links(&mut self, shard: usize) {
        for other in 0..self.plan.shards {
            let to = ShardId(other as u16);
            let Node { out, ports, is_busy, .. } = &mut self.nodes[shard];
            let (ups, downs) = out.take_parcels(to);
            if ups.len() + downs.len() == 0 {
                continue;
            }
            *is_busy = true;
            for parcel in ups {
                let pushed = ports.up.push(to, Parcel::Up(parcel));
                assert!(pushed.is_ok(), "an up lane is full in spite of its credit");
            }
            for parcel in downs {
                let pushed = ports.down.push(to, Parcel::Down(parcel));
                assert!(pushed.is_ok(), "a down lane is full in spite of its credit");
            }
            self.ring_bell(shard, to);
        }
    }

    fn flush_changes(&mut self, shard: usize) {
        let Node { out, is_busy, .. } = &mut self.nodes[shard];
        if out.changes.is_empty() {
            return;
        }
        *is_busy = true;
        // The position goes on in the next one.
        let last = out.changes.last;
        let changes = std::mem::take(&mut out.changes);
        out.changes.last = last;
        self.twin.take(ShardId(shard as u16), changes);
    }

    fn ring_bells(&mut self, shard: usize) {
        let mut rings = std::mem::take(&mut self.nodes[shard].rings);
        for other in rings.drain(..) {
            let other = &mut self.nodes[other.index()];
            if other.phase == Phase::Asleep && !other.is_rung {
                self.marks.count(Mark::RungAsleep);
            }
            other.is_rung = true;
        }
        self.nodes[shard].rings = rings;
    }

    // Sleep.

    /// The second look: everything that others write before they ring, and what the kernel has.
    fn looks_again(&mut self, shard: usize) -> bool {
        let node = &self.nodes[shard];
        // What the kernel has may be on its way still.
        let has_completions = node.has_completions() && self.rng.once_in(2);
        let node = &self.nodes[shard];
        has_completions
            || node.ports.have_work(&node.out.up_credit, &node.out.down_credit, node.out.has_down_room())
            || !node.door.is_empty()
            || node.durable != node.committed
            || (node.out.store_full && !self.is_store_full())
            || (node.out.store_failing && !self.twin.is_failing())
            || (node.is_stop_asked && !node.is_stopping)
    }

    /// What is left where nothing moves any more: a wake-up was lost.
    pub(crate) fn left_over(&self, shard: usize) -> Option<String> {
        let node = &self.nodes[shard];
        let out = &node.out;
        let lanes = [node.ports.up.waiting(), node.ports.down.waiting()];
        let held = [out.up.iter().map(Vec::len).sum::<usize>(), out.down.iter().map(Vec::len).sum()];
        let is_left = lanes != [0; 2]
            || held != [0; 2]
            || !node.door.is_empty()
            || node.durable != node.committed
            || !out.changes.is_empty()
            || node.is_stop_asked && !node.is_stopping;
        is_left.then(|| {
            format!(
                "shard {shard}: parcels to take {lanes:?}, to send {held:?}, {} sockets at the door",
                node.door.len()
            )
        })
    }
}

/// Whether CONNECT, SUBSCRIBE and PUBLISH are among these packets.
fn is_one_segment(mut bytes: &[u8]) -> bool {
    let mut seen = [false; 16];
    while let Ok(Some(header)) = wire::peek(bytes) {
        seen[usize::from(bytes[0] >> 4)] = true;
        let Some(rest) = bytes.get(header.total_len..) else { break };
        bytes = rest;
    }
    const CONNECT: usize = 1;
    const PUBLISH: usize = 3;
    const SUBSCRIBE: usize = 8;
    seen[CONNECT] && seen[SUBSCRIBE] && seen[PUBLISH]
}
