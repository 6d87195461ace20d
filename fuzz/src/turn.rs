//! One turn of one shard, as the loop in `net` takes it: credit, timers, down lanes, up lanes, sockets, commits,
//! `Turn`, completions; then sends, links and changes go out.

use crate::socket::Place;
use crate::world::World;
use engine::key::{ConnId, ShardId};
use engine::shard::input::Input;
use engine::shard::outbox::Order;

/// Pieces of one socket in one turn.
const PIECES_MAX: usize = 3;

impl World {
    /// Whether anything moved, or could have and was left for a later turn.
    pub(crate) fn turn(&mut self, shard: usize) -> bool {
        self.set_credit(shard);
        let mut moved = self.take_timers(shard);
        moved |= self.take_down(shard);
        moved |= self.take_up(shard);
        moved |= self.take_sockets(shard);
        moved |= self.take_commits(shard);
        self.step(shard, Input::Turn);
        moved |= self.take_completions(shard);
        moved | self.flush(shard)
    }

    pub(crate) fn step(&mut self, shard: usize, input: Input<'_>) {
        let node = &mut self.nodes[shard];
        node.shard.step(self.now, input, &mut node.out);
        self.carry_out_orders(shard);
    }

    /// Orders and handovers take effect at once.
    fn carry_out_orders(&mut self, shard: usize) {
        let orders = std::mem::take(&mut self.nodes[shard].out.orders);
        for order in orders {
            let (Order::Establish(conn) | Order::Close(conn) | Order::Pause(conn) | Order::Resume(conn)) = order;
            let Some(socket) = self.nodes[shard].socket(conn) else { continue };
            let one_more = self.rng.once_in(2);
            let socket = &mut self.sockets[socket];
            match order {
                Order::Establish(_) => socket.is_established = true,
                Order::Close(_) => socket.is_closing = true,
                Order::Pause(_) => {
                    socket.is_paused = true;
                    socket.one_more = socket.is_established && one_more;
                }
                Order::Resume(_) => socket.is_paused = false,
            }
        }
        let handovers = std::mem::take(&mut self.nodes[shard].out.handovers);
        for handover in handovers {
            let Some(socket) = self.nodes[shard].socket(handover.conn) else { continue };
            let moving = &mut self.sockets[socket];
            assert!(!moving.is_established, "a socket that is established moves no more");
            assert!(handover.home.index() != shard, "a socket that is at home moves");
            moving.place = Place::Moving(handover.home);
            assert_eq!(moving.profile, handover.profile);
            moving.carried = handover.bytes;
            moving.is_paused = false;
            self.nodes[shard].free(handover.conn);
        }
    }

    fn set_credit(&mut self, shard: usize) {
        let capacity = self.plan.lane_parcels;
        let out = &mut self.nodes[shard].out;
        for other in 0..self.plan.shards {
            out.up_credit[other] = capacity - self.up[shard][other].len();
            out.down_credit[other] = capacity - self.down[shard][other].len();
        }
        out.store_full = self.twin.waiting_bytes() >= self.plan.store_pending_bytes;
        out.store_failing = self.twin.is_failing();
    }

    fn take_timers(&mut self, shard: usize) -> bool {
        let due = self.nodes[shard].shard.deadline().is_some_and(|deadline| deadline <= self.now.mono_ms);
        if due {
            self.step(shard, Input::Timer);
        }
        due
    }

    fn take_down(&mut self, shard: usize) -> bool {
        let mut moved = false;
        for sender in 0..self.plan.shards {
            while let Some(parcel) = self.down[sender][shard].pop_front() {
                self.step(shard, Input::Down { from: ShardId(sender as u16), parcel });
                moved = true;
            }
        }
        moved
    }

    fn take_up(&mut self, shard: usize) -> bool {
        let mut moved = false;
        let first = self.rng.below(self.plan.shards);
        for offset in 0..self.plan.shards {
            let sender = (first + offset) % self.plan.shards;
            while !self.up[sender][shard].is_empty() {
                moved = true;
                // Sometimes the burst ends here.
                if !self.nodes[shard].out.has_down_room() || self.rng.once_in(8) {
                    break;
                }
                let Some(parcel) = self.up[sender][shard].pop_front() else { break };
                self.step(shard, Input::Up { from: ShardId(sender as u16), parcel });
            }
        }
        moved
    }

    /// Sockets that arrive: from the backlog, or from the shard that accepted them.
    fn take_sockets(&mut self, shard: usize) -> bool {
        let mut moved = false;
        let here = ShardId(shard as u16);
        for index in 0..self.sockets.len() {
            let place = self.sockets[index].place;
            if place != Place::Backlog(here) && place != Place::Moving(here) {
                continue;
            }
            moved = true;
            if self.rng.once_in(3) {
                continue;
            }
            let conn = self.nodes[shard].open(index);
            self.sockets[index].place = Place::At { shard: here, conn };
            let carried = std::mem::take(&mut self.sockets[index].carried);
            let peer = format!("127.0.0.1:{index}");
            let profile = self.sockets[index].profile;
            self.step(shard, Input::Opened { conn, peer: &peer, profile });
            if !carried.is_empty() {
                self.step(shard, Input::Bytes { conn, bytes: &carried });
            }
        }
        moved
    }

    fn take_commits(&mut self, shard: usize) -> bool {
        let Some(position) = self.committed[shard].take() else { return false };
        self.twin.told(ShardId(shard as u16), position);
        self.step(shard, Input::Committed { position });
        true
    }

    /// What the kernel tells: bytes, ends of streams, ends of sends.
    fn take_completions(&mut self, shard: usize) -> bool {
        let mut moved = false;
        let mut order: Vec<usize> = (0..self.sockets.len()).collect();
        self.rng.shuffle(&mut order);
        for index in order {
            let Some(conn) = self.conn_at(index, shard) else { continue };
            moved |= self.receive(shard, index, conn);
            if self.conn_at(index, shard) == Some(conn) {
                moved |= self.complete_send(shard, index, conn);
            }
            if self.conn_at(index, shard) == Some(conn) {
                moved |= self.end(shard, index, conn);
            }
        }
        moved
    }

    fn conn_at(&self, index: usize, shard: usize) -> Option<ConnId> {
        match self.sockets[index].place {
            Place::At { shard: at, conn } if at.index() == shard => Some(conn),
            _ => None,
        }
    }

    fn receive(&mut self, shard: usize, index: usize, conn: ConnId) -> bool {
        let mut moved = false;
        // Until CONNECT is accepted a socket is read by single receives.
        let pieces =
            if self.sockets[index].is_established { self.rng.below(PIECES_MAX + 1) } else { self.rng.below(2) };
        moved |= self.sockets[index].is_receivable();
        for _ in 0..pieces {
            if self.conn_at(index, shard) != Some(conn) || !self.sockets[index].is_receivable() {
                break;
            }
            let count = 1 + self.rng.below(self.plan.piece_bytes_max);
            let bytes = self.sockets[index].receive(count);
            self.step(shard, Input::Bytes { conn, bytes: &bytes });
        }
        moved
    }

    fn complete_send(&mut self, shard: usize, index: usize, conn: ConnId) -> bool {
        let sendable = self.sockets[index].sendable();
        if sendable == 0 || self.rng.once_in(4) {
            return sendable > 0;
        }
        // A send is cut anywhere, but mostly leaves whole.
        let count = if self.rng.once_in(3) { 1 + self.rng.below(sendable) } else { sendable };
        self.sockets[index].send(count);
        let progress = self.nodes[shard].out.sends.sent(conn, count);
        if progress.drained && !self.sockets[index].is_closing {
            self.step(shard, Input::Drained { conn });
        }
        if progress.more {
            self.start_send(shard, conn);
        }
        true
    }

    /// The client is gone, or the engine asked to close and nothing is left to send.
    fn end(&mut self, shard: usize, index: usize, conn: ConnId) -> bool {
        let socket = &self.sockets[index];
        let unsent = self.nodes[shard].out.sends.unsent(conn) > 0;
        // Of a client that does not read, what it is owed is lost at the end of the grace time.
        let is_closed = socket.is_closing && (!unsent || !socket.is_read || socket.is_dropped);
        let is_ended = socket.is_end_visible();
        if !is_closed && !is_ended {
            return false;
        }
        if is_ended {
            self.step(shard, Input::Closed { conn });
        }
        self.nodes[shard].free(conn);
        self.sockets[index].place = Place::Closed;
        self.sockets[index].sending.clear();
        self.sockets[index].sending_from = 0;
        true
    }

    fn flush(&mut self, shard: usize) -> bool {
        let mut dirty = std::mem::take(&mut self.nodes[shard].dirty);
        self.nodes[shard].out.sends.take_dirty(&mut dirty);
        let mut moved = !dirty.is_empty();
        for conn in dirty.drain(..) {
            self.start_send(shard, conn);
        }
        self.nodes[shard].dirty = dirty;
        moved |= self.flush_links(shard);
        moved | self.flush_changes(shard)
    }

    fn start_send(&mut self, shard: usize, conn: ConnId) {
        let node = &mut self.nodes[shard];
        let Some(socket) = node.socket(conn) else { return };
        let Some(bytes) = node.out.sends.take(conn, &mut Vec::new()) else { return };
        let socket = &mut self.sockets[socket];
        assert!(!socket.is_sending(), "one send in flight per connection");
        socket.sending = bytes;
    }

    fn flush_links(&mut self, shard: usize) -> bool {
        let mut moved = false;
        let capacity = self.plan.lane_parcels;
        for other in 0..self.plan.shards {
            let out = &mut self.nodes[shard].out;
            moved |= !out.up[other].is_empty() || !out.down[other].is_empty();
            let (ups, downs) = out.take_parcels(ShardId(other as u16));
            self.up[shard][other].extend(ups);
            self.down[shard][other].extend(downs);
            assert!(self.up[shard][other].len() <= capacity, "an up lane is full in spite of its credit");
            assert!(self.down[shard][other].len() <= capacity, "a down lane is full in spite of its credit");
        }
        moved
    }

    fn flush_changes(&mut self, shard: usize) -> bool {
        let out = &mut self.nodes[shard].out;
        if out.changes.is_empty() {
            return false;
        }
        let last = out.changes.last;
        let changes = std::mem::take(&mut out.changes);
        out.changes.last = last;
        self.twin.take(ShardId(shard as u16), changes);
        true
    }
}
