//! A shard: the actor that is home to its clients and owner of its subtrees, as one function.
//!
//! Called by the loop in `net` and by the simulator in `fuzz`, on the one thread that owns it. Never blocks,
//! never reads a clock, never touches another shard but by the parcels in its outbox.
//!
//! ```text
//! receive    bytes of a socket into packets            attach     CONNECT, takeover, wills, the ends of sessions
//! aliases    what a PUBLISH without topic is of
//! publish    a PUBLISH received                        subtree    versions, retained rows, matching (owner)
//! run        many that differ in their payload alone
//! asked      what it asks for                          spread     its rows to their owners
//! answers    what its publisher is answered            verbs      conditions, `replace`, `set` (owner)
//! replies    messages to Response Topics               once       publishes with an `id` (owner)
//! wills      wills that are due                        leaving    sessions that ended with very many subscriptions
//! subscribe  filters of clients, wishes to owners      catchup    snapshots and retained messages (owner)
//! fanout     a row to its plain subscribers            merged     frames to merged subscribers
//! events     events to merged subscribers              backlog    those that wait
//! pace       frames that wait for their interval       stands     up to where readers have everything
//! get        snapshots that are asked for once
//! share      share groups (owner)                      members    the members of share groups at their home
//! links      parcels from and to other shards          writing    sessions to the store, what waits for it
//! retain     how much an owner retains (owner)         restore    sessions from the store
//! sys        what the broker says about itself         samples    which topics an owner works for
//! outage     what the disk does not take               shortage   what there is no memory for
//! ```

mod aliases;
mod answers;
mod asked;
mod attach;
mod backlog;
pub mod catchup;
mod conns;
mod events;
pub mod fanout;
mod filters;
mod get;
pub mod home;
pub mod input;
mod leaving;
mod links;
mod members;
mod merged;
mod merging;
mod once;
mod outage;
pub mod outbox;
mod pace;
pub mod parcel;
mod publish;
mod rate;
mod receive;
mod replies;
mod restore;
mod retain;
mod run;
pub mod samples;
mod sessions;
mod share;
mod shortage;
mod sliced;
mod spread;
mod stands;
mod subscribe;
pub mod subtree;
pub mod sys;
mod telling;
mod verbs;
mod wheel;
mod wills;
mod writing;

pub use home::Note;
pub use input::Input;
pub use outbox::Outbox;
pub use restore::Restoring;
pub use samples::Sampled;

use crate::clock::Now;
use crate::config::{Config, Durability, Tombstones};
use crate::key::{ConnId, FilterHandle, GroupId, SessionKey, ShardId};
use crate::limits::TIMER_BURST_MAX;
use crate::row::batch::{Batch, Revision, Row, View};
use crate::row::change::Restored;
use crate::row::numbers::Numbers;
use crate::session::deliver::send_pubrels;
use crate::stats::Stats;
use crate::topic::Roots;
use attach::DueWill;
use home::Home;
use parcel::{Down, Offer};
use std::collections::VecDeque;
use subtree::{Homes, Subtree};
use sys::Sys;
use wheel::Timer;

/// What a shard is made of.
pub struct Setup {
    pub me: ShardId,
    pub shards: u16,
    pub config: Config,
    /// The same for all shards of a broker.
    pub roots: Roots,
    /// Seeds tables keyed by text that clients choose; unknown to them.
    pub seed: u64,
    /// Of the store, for cursors.
    pub epoch: u64,
}

/// See the module.
pub struct Shard {
    me: ShardId,
    roots: Roots,
    home: Home,
    subtree: Subtree,
    /// What this shard's owner side says to its home side.
    local: Down,
    /// Rows of the publish at hand that are not in the receive buffer.
    scratch: Batch,
    /// Wills that are due and wait for room.
    wills: VecDeque<DueWill>,
    /// Messages to Response Topics that wait for room: a packet of one row each.
    replies: VecDeque<Batch>,
    sys: Sys,
    is_stopping: bool,
    /// The moment of the last step.
    now: Now,
}

/// How the owner's side of a shard reaches homes.
struct Reach<'a> {
    me: ShardId,
    now: Now,
    home: &'a mut Home,
    local: &'a mut Down,
    out: &'a mut Outbox,
}

impl Homes for Reach<'_> {
    fn deliver_here(&mut self, view: &View<'_>, row: &Row, revision: Revision, handles: &[FilterHandle]) {
        self.home.deliver_row(self.now, view, (row, revision), handles, self.out);
    }

    fn open_here(&mut self, publish: u64) {
        self.home.writing.open(publish);
    }

    fn offer_here(&mut self, view: &View<'_>, row: &Row, offer: Offer) -> bool {
        self.home.take_offer(self.now, view, row, offer, self.out)
    }

    fn down_to(&mut self, home: ShardId) -> &mut Down {
        if home == self.me { self.local } else { self.out.down_to(home) }
    }

    fn outbox(&mut self) -> &mut Outbox {
        self.out
    }
}

/// The owner's side with the way to homes, borrowed apart.
macro_rules! owner_side {
    ($shard:expr, $now:expr, $out:expr) => {{
        let Shard { me, home, subtree, local, roots, .. } = $shard;
        (subtree, roots, $crate::shard::Reach { me: *me, now: $now, home, local, out: $out })
    }};
}
use owner_side;

impl Shard {
    pub fn new(setup: Setup) -> Shard {
        let Setup { me, shards, config, roots, seed, epoch } = setup;
        let waits_for_disk = config.durability == Durability::Disk;
        let tombstones = Tombstones { max: config.tombstones.max.div_ceil(u64::from(shards)), ..config.tombstones };
        let bounds = retain::RetainBounds::of_shard(&config.limits, shards);
        let history = retain::history_of_shard(&config, shards);
        let subtree = Subtree::new(me, seed, waits_for_disk, &config.limits, tombstones, bounds, history);
        let sys = Sys::new(shards, config.sys.interval_s);
        let mut home = Home::new(me, shards, config, seed.rotate_left(32), epoch, waits_for_disk);
        if home.config.sys.interval_s > 0 {
            home.wheel.set(0, Timer::Sys);
        }
        let (local, scratch) = (Down::default(), Batch::default());
        Shard {
            me,
            roots,
            home,
            subtree,
            local,
            scratch,
            wills: VecDeque::new(),
            replies: VecDeque::new(),
            sys,
            is_stopping: false,
            now: Now::default(),
        }
    }

    /// What the store kept of a group that this shard owns; before the first step.
    pub fn restore(&mut self, restored: Restored<'_>) {
        self.subtree.restore(restored);
    }

    /// Where a group's numbers stand; before the first step.
    pub fn restore_numbers(&mut self, group: GroupId, numbers: Numbers) {
        self.subtree.groups[group.index()] = numbers;
    }

    /// One event. What follows from it is appended to the outbox.
    pub fn step(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) {
        self.now = now;
        self.home.now = now;
        match input {
            Input::Opened { conn, listener, .. } => self.opened(now, conn, listener, out),
            Input::Bytes { conn, bytes } => self.receive(now, conn, bytes, out),
            Input::Closed { conn } => self.lost(now, conn),
            Input::Drained { conn } => self.drained(now, conn, out),
            Input::Up { from, parcel } => self.take_up(now, from, parcel, out),
            Input::Down { from, parcel } => self.take_down(now, from, parcel, out),
            Input::Timer => self.timers(now, out),
            Input::Committed { position } => {
                self.subtree.committed(position);
                self.home.writing.committed(position);
            }
            Input::Turn => self.go_on(now, out),
            Input::Process(process) => self.note_process(process),
            Input::Stop => self.stop(now, out),
        }
        self.settle(now, out);
        self.home.writing.settle(now, self.is_stopping);
        self.home.sweep_timers();
    }

    /// When to give `Input::Timer` at the latest, in milliseconds of the monotonic clock. In the past: at once.
    pub fn deadline(&self) -> Option<u64> {
        /// How long what waits for room of a link or of the writer waits before it looks again.
        const LOOK_AGAIN_MS: u64 = 1;
        let now = self.now;
        let has_next = !self.home.next_slices.is_empty() || self.home.has_leaving() || self.home.has_yielded;
        if has_next || self.subtree.is_slicing() || !self.subtree.walks.parked.is_empty() {
            return Some(now.mono_ms);
        }
        let waits = !self.home.blocked.is_empty()
            || !self.wills.is_empty()
            || !self.replies.is_empty()
            || self.sys.is_due()
            || self.home.gets.are_waiting()
            || self.home.has_asks()
            || self.home.share_work.waits()
            || self.home.writing.has_confirms()
            || self.subtree.has_kept();
        let look_again = waits.then_some(now.mono_ms + LOOK_AGAIN_MS);
        let expiry = self.subtree.retained.next_expiry_ms();
        let expiry = expiry.map(|wall_ms| now.mono_ms + wall_ms.saturating_sub(now.wall_ms));
        let writing = self.home.writing.due_ms();
        [look_again, expiry, self.home.wheel.next_ms(), writing].into_iter().flatten().min()
    }

    /// Whether this shard reports to `$SYS` at its next `Timer`, and takes an `Input::Process` for it.
    pub fn wants_process(&self, now: Now) -> bool {
        self.sys.next_ms <= now.mono_ms
    }

    pub fn stats(&self) -> Stats {
        Stats {
            sessions: self.home.sessions.len() as u64,
            timers: self.home.wheel.len() as u64,
            clients: self.home.conns.live() as u64,
            subscriptions: self.home.filters.subscriptions() as u64,
            shared_subscriptions: self.home.filters.shared_subscriptions() as u64,
            messages_waiting: self.home.messages.len() as u64,
            message_bytes_waiting: self.home.messages.bytes() as u64,
            publishes_unmatched: self.subtree.unmatched,
            rows_applied: self.subtree.rows_applied,
            rows_retained: (self.subtree.retained.len() - self.subtree.unwritten) as u64,
            row_bytes_retained: self.subtree.retained.body_bytes() as u64,
            tombstones: self.subtree.retained.tombstones() as u64,
            ..self.home.stats
        }
    }

    /// The topics that the owner's side worked for since the last call.
    pub fn take_samples(&mut self) -> Sampled {
        self.subtree.samples.hand_over()
    }

    /// Connections that the broker closed since the last call, and why.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.home.notes)
    }

    /// Continues what waited for a turn or for room.
    fn go_on(&mut self, now: Now, out: &mut Outbox) {
        self.go_on_applying(now, out);
        for walk in std::mem::take(&mut self.home.next_slices) {
            if let Some(reader) = self.home.readers.get(&walk) {
                let owner = reader.owner;
                self.home.ask(owner, home::Ask::More { walk });
            }
        }
        self.go_on_reading_blocked(now, out);
        if self.subtree.has_kept() {
            let (subtree, _, mut reach) = owner_side!(self, now, out);
            subtree.send_kept(&mut reach);
        }
        self.go_on_leaving();
        self.go_on_gets(out);
        self.home.writing.send_confirms(out, &mut self.local, self.me);
        while let Some(session) = self.home.writing.pop_awaiting() {
            self.what_is_durable(now, session, out);
        }
        self.publish_wills(now, out);
        self.publish_sys(now, out);
        self.write_sessions(now, out);
    }

    /// A batch that is too large for one turn, and then what waited for it.
    fn go_on_applying(&mut self, now: Now, out: &mut Outbox) {
        let (subtree, roots, mut reach) = owner_side!(self, now, out);
        subtree.walks.rows_left = subtree.rows_per_turn;
        if subtree.is_slicing() && reach.out.has_down_room() {
            subtree.apply_slice(now, roots, &mut reach);
        }
        subtree.go_on_walks(roots, &mut reach);
    }

    /// Writes sessions that changed, when it is time.
    fn write_sessions(&mut self, now: Now, out: &mut Outbox) {
        let writing = &mut self.home.writing;
        if writing.due_ms().is_none_or(|due_ms| due_ms > now.mono_ms) {
            return;
        }
        // What waits here is bounded by the queues of its sessions; the writer's memory by `store.pending_bytes`.
        // Where the disk is waited for, what one shard wrote may wait for what another writes, so that a writer that is only
        // slow has to get it; one that fails cannot commit it.
        let takes_none = out.store_failing || out.store_full && !writing.waits_for_disk;
        if takes_none && !self.is_stopping {
            return writing.look_again(now);
        }
        self.home.write_sessions(now, self.is_stopping, out);
    }

    /// What a session changed is durable: what waited for that leaves.
    fn what_is_durable(&mut self, now: Now, key: SessionKey, out: &mut Outbox) {
        let durable = self.home.writing.durable;
        let Some(session) = self.home.sessions.get_mut(key) else { return };
        if let Some(conn) = session.conn {
            if let Some(connack) = self.home.conns.get(conn).and_then(|this| this.connack.take()) {
                out.sends.buffer(conn).extend_from_slice(&connack);
            }
            let pubrels = send_pubrels(session, durable, out.sends.open_buffer(conn));
            out.sends.count(conn, pubrels);
        }
        self.home.pump(now, key, out);
        self.flush_acks(key, out);
    }

    fn timers(&mut self, now: Now, out: &mut Outbox) {
        for _ in 0..TIMER_BURST_MAX {
            match self.home.wheel.pop_due(now.mono_ms) {
                Some(Timer::Connect(conn)) => self.connect_overdue(now, conn, out),
                Some(Timer::KeepAlive(conn)) => self.look_at_keep_alive(now, conn, out),
                Some(Timer::SessionExpiry(session)) => self.session_expired(now, session),
                Some(Timer::Will(session)) => self.will_delay_passed(now, session),
                Some(Timer::Window(session)) => self.window_is_due(now, session, out),
                Some(Timer::Interval(of)) => self.home.interval_passed(of, out),
                Some(Timer::Rate(conn)) => self.rate_is_due(now, conn, out),
                Some(Timer::Sys) => self.report(now, out),
                None => break,
            }
        }
        if self.subtree.retained.next_expiry_ms().is_some_and(|at| at <= now.wall_ms)
            && out.has_down_room()
            && !self.subtree.is_slicing()
        {
            let (subtree, roots, mut reach) = owner_side!(self, now, out);
            subtree.expire(now, TIMER_BURST_MAX, roots, &mut reach);
        }
        self.subtree.trim(now, TIMER_BURST_MAX, &self.roots, out);
    }

    /// Lets both sides of this shard talk until neither has anything to say.
    fn settle(&mut self, now: Now, out: &mut Outbox) {
        loop {
            self.settle_shares(now, out);
            let asked = self.pass_asks(now, out);
            self.send_replies(now, out);
            if self.local.items.is_empty() {
                if !asked {
                    break;
                }
                continue;
            }
            let mut parcel = std::mem::take(&mut self.local);
            self.take_down_items(now, self.me, &parcel, out);
            if self.local.items.is_empty() && parcel.bytes_len() <= crate::limits::PARCEL_BYTES_MAX {
                parcel.clear(); // keeps its memory
                self.local = parcel;
            }
        }
        for (conn, code) in std::mem::take(&mut self.home.overflowing) {
            self.end(now, conn, code, "its queue is full", out);
        }
    }

    fn drained(&mut self, now: Now, conn: ConnId, out: &mut Outbox) {
        let Some(this) = self.home.conns.get(conn) else { return };
        let waits = this.waits_to_drain && this.is_blocked;
        if let conns::State::Live(session) = this.state {
            self.home.pump(now, session, out);
            self.home.look_at_member(session);
            self.home.catch_up(session, out);
        }
        if waits {
            self.unblock(now, conn, out);
        }
    }
}
