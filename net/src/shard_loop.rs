//! The loop of one shard: gives the engine what happened, carries out what it wants, sleeps when nothing happens.
//!
//! Started by `boot`, one per shard, on that shard's thread. It must never block, never touch another shard but by
//! its links, and never make a system call for a single message: one turn is one call.
//!
//! ```text
//! turn    timers · down lanes · up lanes · sockets · commits · completions      (each up to a burst)
//! flush   sends · receives and closes · links · changes · io_uring_enter        (the one system call)
//! sleep   announce · look again · sleep                                         (only after an empty turn)
//! ```

use crate::allocator;
use crate::bulk::{BULK_TURN_MAX, Bulk};
use crate::clock::Clock;
use crate::connection::Connections;
use crate::figures::Figures;
pub use crate::figures::LoopFigures;
use crate::handoff::{self, Doors, Handoff, Moving};
use crate::listener::{Listeners, Sockets};
use crate::memory::{self, Memory};
use crate::plan::Plan;
use crate::signal::{Stop, Stopping};
use crate::uring::{self, Completion, Event, Received, Ring, SendEnd, Sleeper};
use crate::wake::Waker;
use engine::clock::Now;
use engine::key::{ConnId, ShardId};
use engine::mesh::Ports;
use engine::row::change::Changes;
use engine::shard::input::Input;
use engine::shard::outbox::{Order, Outbox};
use engine::shard::parcel::{Down, Up};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Completions of one turn.
const COMPLETION_BURST_MAX: usize = 1_024;
/// Parcels of one turn from one lane.
const PARCEL_BURST_MAX: usize = 16;
/// No further parcel is taken in a turn that has spent so long on those of one direction.
const PARCEL_TURN_MAX: Duration = Duration::from_millis(2);
/// Milliseconds between two looks for send buffers that nobody used meanwhile.
const TRIM_EVERY_MS: u64 = 1_000;
/// Where they were so many bytes, the allocator gives its share back to the system as well.
const GIVEN_BACK_BYTES_MIN: usize = 1 << 20;
/// Milliseconds after which it does so in any case, as long as the shard is awake: what other threads freed of a page that
/// this one uses seldom, and pages that a peak of one size needed, would add up for hours.
const GIVE_BACK_EVERY_MS: u64 = 10_000;
/// Sockets of one turn from other shards.
const SOCKET_BURST_MAX: usize = 64;
/// Turns without a look at the stop flag's grace and at listeners that paused.
const LONGEST_SLEEP_MS: u64 = 60_000;

/// A shard, as the loop drives it: `engine::shard::Shard`, or a stand-in of a test.
pub trait Step {
    fn step(&mut self, now: Now, input: Input<'_>, out: &mut Outbox);
    /// When `Input::Timer` is due, as `Now::mono_ms`. A shard that has more to do in its next turn, and no input to
    /// wait for, names a moment that has passed.
    fn deadline(&self) -> Option<u64>;
    /// Whether the `Input::Timer` that is due wants an `Input::Process` before it.
    fn wants_process(&self, _now: Now) -> bool {
        false
    }
    /// Whether somebody who watches the shards waits for `show`.
    fn is_watched(&self) -> bool {
        false
    }
    /// Tells them, with what the loop knows of itself.
    fn show(&mut self, _figures: LoopFigures, _out: &Outbox) {}
}

/// The way to the writer, as the loop drives it.
pub trait Keep {
    /// The writer takes no more at present.
    fn is_full(&self) -> bool;
    /// The writer's last commit failed, and it tries again. When one succeeds it wakes every shard.
    fn is_failing(&self) -> bool;
    fn push(&mut self, changes: Changes);
    /// An empty `Changes` whose memory can be used again.
    fn spare(&mut self) -> Option<Changes>;
    /// Every change of this shard up to this position is durable. After it rises, and after room came back, the
    /// writer wakes the shard.
    fn committed(&self) -> u64;
}

/// Keeps nothing: changes are durable at once.
#[derive(Default)]
pub struct Forget {
    last: u64,
}

impl Keep for Forget {
    fn is_full(&self) -> bool {
        false
    }

    fn is_failing(&self) -> bool {
        false
    }

    fn push(&mut self, changes: Changes) {
        self.last = changes.last;
    }

    fn spare(&mut self) -> Option<Changes> {
        None
    }

    fn committed(&self) -> u64 {
        self.last
    }
}

/// What crosses a link.
pub(crate) enum Parcel {
    Up(Up),
    Down(Down),
}

/// Everything that a loop is made of, moved to its thread.
pub(crate) struct Parts<S, K> {
    pub(crate) id: ShardId,
    pub(crate) shard: S,
    pub(crate) keep: K,
    pub(crate) ports: Ports<Parcel>,
    pub(crate) doors: Doors,
    pub(crate) waker: Waker,
    pub(crate) stop: Stop,
    pub(crate) listeners: Vec<OwnedFd>,
    pub(crate) clock: Clock,
    pub(crate) plan: Plan,
    pub(crate) sockets: Sockets,
    pub(crate) memory: Memory,
}

/// Where a loop is on its way to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Running,
    /// The engine was told; what is unsent has until then.
    Stopping {
        until_ms: u64,
    },
    /// Nothing is left here but what other shards may send.
    Quiet {
        until_ms: u64,
    },
    Over,
}

struct Loop<S, K> {
    parts: Parts<S, K>,
    ring: Ring,
    conns: Connections,
    listeners: Listeners,
    handoff: Handoff,
    out: Outbox,
    now: Now,
    stage: Stage,
    /// The position that the engine knows to be durable.
    committed: u64,
    /// The shard whose lanes are served first, in turns.
    first: usize,
    /// Parcels taken from each shard since its bell was rung for room, by sender.
    taken: Vec<usize>,
    figures: Figures,
    /// When this thread last gave back what its allocator keeps.
    gave_back_ms: u64,
    /// When send buffers that nobody used since the last time are freed.
    trims_ms: u64,
    /// Something of the turn may have made work for the next.
    is_busy: bool,
    // Memory that is used again every turn.
    completions: Vec<Completion>,
    /// What is likely to take long waits here for its turn.
    bulk: Bulk,
    dirty: Vec<ConnId>,
    /// Sends that ended while more bytes waited.
    resend: Vec<ConnId>,
    peer: String,
}

/// Runs until everything is stopped. `ready` is called when the ring works and the listeners are about to accept.
pub(crate) async fn run<S: Step, K: Keep>(parts: Parts<S, K>, ready: impl FnOnce()) -> io::Result<()> {
    let mut shard_loop = Loop::new(parts)?;
    let mut sleeper = Sleeper::new(&shard_loop.ring, shard_loop.parts.waker.rung(shard_loop.parts.id))?;
    ready();
    loop {
        shard_loop.turn()?;
        if shard_loop.stage == Stage::Over {
            return Ok(());
        }
        if !shard_loop.is_busy && !shard_loop.spin() {
            shard_loop.sleep(&mut sleeper).await?;
        } else {
            uring::yield_if_due().await;
        }
    }
}

impl<S: Step, K: Keep> Loop<S, K> {
    fn new(mut parts: Parts<S, K>) -> io::Result<Loop<S, K>> {
        let shards = parts.plan.shards;
        let ring = Ring::new(parts.plan.ring)?;
        let mut out = Outbox::new(shards);
        for shard in 0..shards {
            out.up_credit[shard] = parts.ports.up.free(ShardId(shard as u16));
            out.down_credit[shard] = parts.ports.down.free(ShardId(shard as u16));
        }
        let rates = parts.plan.connect_rates.iter().map(|rate| rate.div_ceil(shards as u32));
        let listeners = Listeners::new(std::mem::take(&mut parts.listeners), rates, parts.sockets.clone());
        Ok(Loop {
            ring,
            conns: Connections::new(parts.sockets.clone()),
            listeners,
            handoff: Handoff::new(parts.doors.clone()),
            out,
            now: parts.clock.now(),
            stage: Stage::Running,
            committed: parts.keep.committed(),
            first: 0,
            taken: vec![0; shards],
            figures: Figures::new(parts.id == ShardId(0)),
            gave_back_ms: 0,
            trims_ms: 0,
            is_busy: false,
            completions: Vec::with_capacity(COMPLETION_BURST_MAX),
            bulk: Bulk::default(),
            dirty: Vec::new(),
            resend: Vec::new(),
            peer: String::new(),
            parts,
        })
    }

    fn turn(&mut self) -> io::Result<()> {
        let began = Instant::now();
        self.now = self.parts.clock.at(began);
        self.figures.turn_begins(began);
        self.is_busy = false;
        self.advance_stop()?;
        self.set_credit();
        self.take_timers();
        self.take_down()?;
        self.take_up()?;
        self.take_sockets();
        self.take_commits();
        self.trim();
        self.step(Input::Turn);
        self.take_completions()?;
        self.flush()?;
        if self.parts.shard.is_watched() {
            self.show();
        }
        Ok(())
    }

    fn show(&mut self) {
        let ports = &self.parts.ports;
        let figures = self.figures.show(self.parcels_under_way(), ports.up.waiting() + ports.down.waiting());
        self.parts.shard.show(figures, &self.out);
    }

    fn step(&mut self, input: Input<'_>) {
        self.parts.shard.step(self.now, input, &mut self.out);
        self.carry_out_orders();
    }

    /// Orders and handovers take effect at once, so that nothing more is given to the engine about a connection
    /// that it has let go.
    fn carry_out_orders(&mut self) {
        if self.out.orders.is_empty() && self.out.handovers.is_empty() {
            return;
        }
        for order in self.out.orders.drain(..) {
            match order {
                Order::Establish(conn) => self.conns.establish(conn),
                Order::Close(conn) => self.conns.close(conn, self.now.mono_ms),
                Order::Pause(conn) => self.conns.pause(conn, true),
                Order::Resume(conn) => self.conns.pause(conn, false),
            }
        }
        for handover in self.out.handovers.drain(..) {
            let Some(fd) = self.conns.detach(handover.conn) else { continue };
            self.out.sends.close(handover.conn);
            // Who has no peer any more has nothing to be handed over for.
            let Ok(Some(peer)) = socket2::SockRef::from(&fd).peer_addr().map(|peer| peer.as_socket()) else {
                self.parts.sockets.left();
                continue;
            };
            let by_ms = self.now.mono_ms + self.parts.plan.handoff_ms;
            self.handoff.give(
                handover.home,
                Moving { fd, peer, listener: handover.listener, bytes: handover.bytes },
                by_ms,
            );
        }
        self.is_busy = true;
    }

    // What happened.

    /// A lane's credit only falls by what this shard pushes; so the lanes, which others write, are asked again
    /// only when half of it is used.
    fn set_credit(&mut self) {
        let enough = self.parts.plan.link_parcels / 2;
        for shard in 0..self.parts.plan.shards {
            if self.out.up_credit[shard] <= enough {
                self.out.up_credit[shard] = self.parts.ports.up.free(ShardId(shard as u16));
            }
            if self.out.down_credit[shard] <= enough {
                self.out.down_credit[shard] = self.parts.ports.down.free(ShardId(shard as u16));
            }
        }
        self.out.store_full = self.parts.keep.is_full();
        self.out.store_failing = self.parts.keep.is_failing();
        self.out.memory_full = self.parts.memory.is_full();
        if self.out.memory_full && self.now.mono_ms >= self.gave_back_ms + memory::GIVE_BACK_EVERY_MS {
            self.give_back();
        }
        let is_held = |credit: &[usize]| credit.contains(&0);
        if is_held(&self.out.up_credit) || is_held(&self.out.down_credit) {
            self.figures.held();
        }
    }

    /// What a burst needed is not kept for the next one.
    fn trim(&mut self) {
        if self.now.mono_ms < self.trims_ms {
            return;
        }
        self.trims_ms = self.now.mono_ms + TRIM_EVERY_MS;
        let freed_bytes = self.out.sends.trim_spares();
        if freed_bytes >= GIVEN_BACK_BYTES_MIN || self.now.mono_ms >= self.gave_back_ms + GIVE_BACK_EVERY_MS {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        self.gave_back_ms = self.now.mono_ms;
        allocator::give_back();
    }

    fn take_timers(&mut self) {
        self.conns.expire(self.now.mono_ms);
        if self.parts.shard.deadline().is_some_and(|deadline| deadline <= self.now.mono_ms) {
            self.is_busy = true;
            if self.parts.shard.wants_process(self.now) {
                let figures = self.figures.take(self.parcels_under_way(), self.listeners.accepting());
                self.step(Input::Process(figures));
            }
            self.step(Input::Timer);
        }
    }

    /// Parcels that other shards have not taken yet.
    fn parcels_under_way(&self) -> usize {
        let (ports, capacity) = (&self.parts.ports, self.parts.plan.link_parcels);
        let to =
            |shard: usize| 2 * capacity - ports.up.free(ShardId(shard as u16)) - ports.down.free(ShardId(shard as u16));
        let waiting = |shard: usize| self.out.up[shard].len() + self.out.down[shard].len();
        (0..self.parts.plan.shards).map(|shard| to(shard) + waiting(shard)).sum()
    }

    fn take_down(&mut self) -> io::Result<()> {
        let shards = self.parts.plan.shards;
        let began = Instant::now();
        for offset in 0..shards {
            let from = ShardId(((self.first + offset) % shards) as u16);
            for _ in 0..PARCEL_BURST_MAX {
                let Some(parcel) = self.parts.ports.down.pop(from) else { break };
                self.take_parcel(from, parcel)?;
                if began.elapsed() >= PARCEL_TURN_MAX {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn take_up(&mut self) -> io::Result<()> {
        let shards = self.parts.plan.shards;
        self.first = (self.first + 1) % shards;
        let began = Instant::now();
        for offset in 0..shards {
            let from = ShardId(((self.first + offset) % shards) as u16);
            for _ in 0..PARCEL_BURST_MAX {
                if !self.out.has_down_room() {
                    return Ok(());
                }
                let Some(parcel) = self.parts.ports.up.pop(from) else { break };
                self.take_parcel(from, parcel)?;
                if began.elapsed() >= PARCEL_TURN_MAX {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn take_parcel(&mut self, from: ShardId, parcel: Parcel) -> io::Result<()> {
        self.is_busy = true;
        self.ring_for_room(from)?;
        match parcel {
            Parcel::Up(parcel) => self.step(Input::Up { from, parcel }),
            Parcel::Down(parcel) => self.step(Input::Down { from, parcel }),
        }
        Ok(())
    }

    /// Wakes a sender that may sleep because its lane was full. A full lane is emptied through half of it at
    /// least once, so ringing once per half wakes everyone who waits, and hardly ever one who does not.
    fn ring_for_room(&mut self, sender: ShardId) -> io::Result<()> {
        let taken = &mut self.taken[sender.index()];
        *taken += 1;
        if *taken > self.parts.plan.link_parcels / 2 {
            *taken = 0;
            self.ring_bell(sender)?;
        }
        Ok(())
    }

    /// Wakes another shard if it sleeps, with the call that ends this turn.
    fn ring_bell(&mut self, shard: ShardId) -> io::Result<()> {
        self.parts.waker.to_ring(shard).map_or(Ok(()), |rung| self.ring.ring_bell(rung))
    }

    fn take_sockets(&mut self) {
        for _ in 0..SOCKET_BURST_MAX {
            let Some(moving) = self.parts.doors.take(self.parts.id) else { return };
            self.is_busy = true;
            if let Some(conn) = self.open(moving.fd, moving.peer, moving.listener)
                && !moving.bytes.is_empty()
            {
                self.step(Input::Bytes { conn, bytes: &moving.bytes });
            }
        }
    }

    /// Tells the engine of a new socket, unless everything is about to end.
    fn open(&mut self, fd: OwnedFd, peer: SocketAddr, listener: u16) -> Option<ConnId> {
        use std::fmt::Write;
        if self.stage != Stage::Running {
            return None;
        }
        let mut text = std::mem::take(&mut self.peer);
        text.clear();
        let _ = write!(text, "{peer}");
        let conn = self.conns.open(fd);
        self.step(Input::Opened { conn, peer: &text, listener });
        self.peer = text;
        Some(conn)
    }

    fn take_commits(&mut self) {
        let position = self.parts.keep.committed();
        if position != self.committed {
            self.committed = position;
            self.is_busy = true;
            self.step(Input::Committed { position });
        }
    }

    fn take_completions(&mut self) -> io::Result<()> {
        let mut completions = std::mem::take(&mut self.completions);
        self.ring.collect(&mut completions, COMPLETION_BURST_MAX);
        self.is_busy |= !completions.is_empty();
        for completion in completions.drain(..) {
            let event = self.ring.event(completion);
            if let Some(event) = self.bulk.sift(event, |conn| self.conns.is_established(conn)) {
                self.completed(event)?;
            }
        }
        self.completions = completions;
        self.take_bulk()
    }

    /// What takes long, until the turn has had enough of it.
    fn take_bulk(&mut self) -> io::Result<()> {
        if self.bulk.is_empty() {
            return Ok(());
        }
        for pop in [Bulk::pop_stranger, Bulk::pop_large] {
            let began = Instant::now();
            while let Some(event) = pop(&mut self.bulk) {
                self.completed(event)?;
                if began.elapsed() >= BULK_TURN_MAX {
                    break;
                }
            }
        }
        self.is_busy = true;
        Ok(())
    }

    fn completed(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Received { conn, outcome, more } => self.received(conn, outcome, more),
            Event::Sent { conn, sent, end } => self.sent(conn, sent, end)?,
            Event::Accepted { listener, outcome, more } => self.accepted(listener, outcome, more),
            Event::NotCancelled { conn } => self.conns.not_cancelled(conn),
            Event::Rung => self.ring.silence(self.parts.waker.rung(self.parts.id))?,
            Event::Nothing => {}
        }
        Ok(())
    }

    fn accepted(&mut self, listener: usize, outcome: io::Result<OwnedFd>, more: bool) {
        if !more {
            self.listeners.ended(listener);
        }
        match outcome {
            Ok(fd) => match socket2::SockRef::from(&fd).peer_addr().map(|peer| peer.as_socket()) {
                Ok(Some(peer)) if self.listeners.takes_one_more(listener, self.now.mono_ms) => {
                    if self.open(fd, peer, listener as u16).is_none() {
                        self.parts.sockets.left();
                    }
                }
                // It is gone again, or one too many.
                _ => drop(fd),
            },
            Err(error) => self.listeners.failed(listener, &error, self.now.mono_ms),
        }
    }

    fn received(&mut self, conn: ConnId, outcome: Received, more: bool) {
        if !more {
            self.conns.receive_ended(conn);
        }
        match outcome {
            Received::Bytes(filled) => {
                // Bytes for a connection that is being closed are dropped.
                if self.conns.is_open(conn) {
                    let bytes = self.ring.bytes(&filled);
                    self.parts.shard.step(self.now, Input::Bytes { conn, bytes }, &mut self.out);
                    self.carry_out_orders();
                }
                self.ring.recycle(filled);
            }
            Received::Failed(error) => {
                tracing::debug!(?conn, %error, "a receive failed");
                if self.conns.failed(conn) {
                    self.step(Input::Closed { conn });
                }
            }
            Received::End if self.conns.peer_ended(conn, self.now.mono_ms) => self.step(Input::Closed { conn }),
            Received::End | Received::NoBuffer | Received::Cancelled => {}
        }
    }

    fn sent(&mut self, conn: ConnId, sent: usize, end: SendEnd) -> io::Result<()> {
        let progress = self.out.sends.sent(conn, sent);
        match end {
            SendEnd::Continues => self.conns.send_rest(conn, &mut self.ring)?,
            SendEnd::Done { buffer } => {
                self.out.sends.give(buffer);
                self.conns.send_done(conn);
            }
            SendEnd::Failed { buffer, error } => {
                tracing::debug!(?conn, %error, "a send failed");
                self.out.sends.give(buffer);
                if self.conns.send_failed(conn) {
                    self.step(Input::Closed { conn });
                }
            }
        }
        if progress.more {
            self.resend.push(conn);
        }
        if progress.drained && self.conns.is_open(conn) {
            self.step(Input::Drained { conn });
        }
        Ok(())
    }

    // What the engine wants.

    fn flush(&mut self) -> io::Result<()> {
        self.flush_sends()?;
        self.conns.settle(self.now.mono_ms, &mut self.ring, &mut self.out.sends)?;
        if self.stage == Stage::Running {
            self.listeners.arm(self.now.mono_ms, &mut self.ring)?;
        }
        if !self.handoff.is_empty() {
            let closed = self.handoff.carry(self.now.mono_ms, &self.parts.waker);
            (0..closed).for_each(|_| self.parts.sockets.left());
        }
        self.flush_links()?;
        self.flush_changes();
        self.ring.enter()
    }

    /// Everything that the turn produced for one socket leaves in one send.
    fn flush_sends(&mut self) -> io::Result<()> {
        let mut dirty = std::mem::take(&mut self.dirty);
        self.out.sends.take_dirty(&mut dirty);
        dirty.append(&mut self.resend);
        self.is_busy |= !dirty.is_empty();
        for conn in dirty.drain(..) {
            self.conns.send(conn, &mut self.ring, &mut self.out.sends)?;
        }
        self.dirty = dirty;
        Ok(())
    }

    fn flush_links(&mut self) -> io::Result<()> {
        for shard in 0..self.parts.plan.shards {
            let to = ShardId(shard as u16);
            let (ups, downs) = self.out.take_parcels(to);
            if ups.len() + downs.len() == 0 {
                continue;
            }
            self.figures.sent(ups.len() + downs.len());
            for parcel in ups {
                let pushed = self.parts.ports.up.push(to, Parcel::Up(parcel));
                assert!(pushed.is_ok(), "an up lane is full in spite of its credit");
            }
            for parcel in downs {
                let pushed = self.parts.ports.down.push(to, Parcel::Down(parcel));
                assert!(pushed.is_ok(), "a down lane is full in spite of its credit");
            }
            self.is_busy = true;
            self.ring_bell(to)?;
        }
        Ok(())
    }

    fn flush_changes(&mut self) {
        if !self.out.changes.is_empty() {
            self.is_busy = true;
            let spare = self.parts.keep.spare().unwrap_or_default();
            // The position goes on in the next one.
            let last = self.out.changes.last;
            let changes = std::mem::replace(&mut self.out.changes, spare);
            self.out.changes.last = last;
            self.parts.keep.push(changes);
        }
    }

    // The end.

    fn advance_stop(&mut self) -> io::Result<()> {
        let now_ms = self.now.mono_ms;
        self.stage = match (self.stage, self.parts.stop.asked()) {
            (_, Stopping::AtOnce) => Stage::Over,
            (Stage::Running, Stopping::No) => return Ok(()),
            (Stage::Running, Stopping::Gently) => {
                self.listeners.close(&mut self.ring)?;
                self.step(Input::Stop);
                self.is_busy = true;
                Stage::Stopping { until_ms: now_ms + self.parts.plan.stop_grace_ms }
            }
            (Stage::Stopping { until_ms } | Stage::Quiet { until_ms }, _) if until_ms <= now_ms => {
                tracing::warn!(shard = self.parts.id.0, open = self.conns.len(), "stopped with bytes unsent");
                Stage::Over
            }
            (Stage::Stopping { until_ms }, _) if self.conns.len() == 0 && self.handoff.is_empty() => {
                if self.parts.stop.one_more_is_quiet() {
                    self.parts.waker.wake_all();
                }
                self.is_busy = true;
                Stage::Quiet { until_ms }
            }
            // Every shard is quiet: what the lanes hold now is the last.
            (Stage::Quiet { .. }, _) if self.parts.stop.all_are_quiet() && self.are_lanes_empty() => Stage::Over,
            (stage, _) => stage,
        };
        Ok(())
    }

    fn are_lanes_empty(&self) -> bool {
        self.parts.ports.up.is_empty() && self.parts.ports.down.is_empty()
    }

    // Sleep.

    /// Looks again for `spin_us` before sleeping; true when there is something.
    fn spin(&mut self) -> bool {
        if self.parts.plan.spin_us == 0 {
            return false;
        }
        let from = Instant::now();
        self.figures.turn_ends(from);
        let end = from + Duration::from_micros(self.parts.plan.spin_us.into());
        loop {
            if self.has_work() {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            std::hint::spin_loop();
        }
    }

    /// First naps in the ring, which costs one system call: traffic that is not dense, but not rare either, is
    /// served that way. Only when a nap brought nothing it sleeps in glommio, for as long as it takes; that costs
    /// several calls, and lets glommio's other tasks run.
    async fn sleep(&mut self, sleeper: &mut Sleeper) -> io::Result<()> {
        self.ring.listen_to(self.parts.waker.rung(self.parts.id))?;
        self.parts.ports.bell.announce_sleep();
        let from = Instant::now();
        self.figures.turn_ends(from);
        let mut is_over = self.has_work();
        let at_most = self.until_next();
        let nap = at_most.min(Duration::from_micros(self.parts.plan.nap_us.into()));
        if !is_over && !nap.is_zero() {
            is_over = self.ring.nap(nap)?;
        }
        let at_most = at_most.saturating_sub(nap);
        if !is_over && !at_most.is_zero() {
            self.ring.enter()?;
            self.ring.arm_event();
            if !self.has_work() && sleeper.sleep(at_most).await? {
                self.ring.drain_event()?;
            }
            self.ring.disarm_event();
        }
        self.parts.ports.bell.awake();
        self.figures.slept(from.elapsed());
        Ok(())
    }

    /// The second look: everything that others write before they ring, and the ring itself.
    fn has_work(&mut self) -> bool {
        let Outbox { up_credit, down_credit, .. } = &self.out;
        let stop = self.parts.stop.asked();
        !self.ring.is_quiet()
            || self.parts.ports.have_work(up_credit, down_credit, self.out.has_down_room())
            || !self.parts.doors.is_empty(self.parts.id)
            || self.parts.keep.committed() != self.committed
            || (self.out.store_full && !self.parts.keep.is_full())
            || (self.out.store_failing && !self.parts.keep.is_failing())
            || self.parts.shard.is_watched()
            || (stop != Stopping::No && self.stage == Stage::Running)
            || stop == Stopping::AtOnce
            || (matches!(self.stage, Stage::Quiet { .. }) && self.parts.stop.all_are_quiet())
    }

    /// Until the next thing that only time brings.
    fn until_next(&self) -> Duration {
        let now_ms = self.parts.clock.now().mono_ms;
        let stop = match self.stage {
            Stage::Stopping { until_ms } | Stage::Quiet { until_ms } => Some(until_ms),
            Stage::Running | Stage::Over => None,
        };
        let handoff = (!self.handoff.is_empty()).then_some(now_ms + handoff::RETRY_MS);
        let trim = self.out.sends.has_spares().then_some(self.trims_ms);
        let (shard, conns) = (self.parts.shard.deadline(), self.conns.deadline());
        let deadlines = [shard, conns, self.listeners.deadline(), stop, handoff, trim];
        let next = deadlines.into_iter().flatten().min().unwrap_or(u64::MAX);
        Duration::from_millis(next.saturating_sub(now_ms).min(LONGEST_SLEEP_MS))
    }
}
