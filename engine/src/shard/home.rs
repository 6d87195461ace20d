//! The home's side of a shard: its connections, sessions and subscriptions. Decoding, rights and per-client encoding
//! happen here; what needs ownership is asked of owners.

use super::conns::{Conns, State};
use super::filters::Filters;
use super::get::Gets;
use super::leaving::Leaving;
use super::members::{Returned, ShareWork};
use super::merged::Mergeds;
use super::outbox::Outbox;
use super::parcel::{Stand, WalkStart};
use super::sessions::Sessions;
use super::sys::Report;
use super::wheel::{Timer, Wheel};
use super::writing::Writing;
use crate::clock::Now;
use crate::config::Config;
use crate::dialect::{Form, safe_topic};
use crate::key::{ConnId, FilterHandle, SessionKey, ShardId};
use crate::limits::{ASKS_WAITING_MAX, PLAIN_WALKS_MAX, SEND_FRAMES_BYTES, SEND_HIGH_BYTES};
use crate::limits::{CURSOR_BYTES_MAX, CURSOR_PACKET_BYTES_MIN, WINDOW_WAITS_MS};
use crate::row::merge::Merge;
use crate::session::Session;
use crate::session::cursor::Versions;
use crate::session::deliver::{Way, pump};
use crate::session::message::Messages;
use crate::session::queue::Bounds;
use crate::stats::Stats;
use crate::topic::{Kind, Owners};
use crate::wire::ReasonCode;
use foldhash::HashMap;
use smallvec::SmallVec;
use std::collections::VecDeque;

/// What a home asks of an owner. Waits in `Home::asks` until the lane has room, and holds back the rows that follow.
#[derive(Debug)]
pub enum Ask {
    Want {
        handle: FilterHandle,
        session: SessionKey,
        ticket: u32,
    },
    Drop {
        handle: FilterHandle,
    },
    /// The members of a share group here are others now, or can take more or less.
    Presence {
        handle: FilterHandle,
    },
    /// A message of a share group that nobody here is left for.
    Return(Box<Returned>),
    Walk {
        handle: FilterHandle,
        start: WalkStart,
        /// With `Stand::CURSOR`: what the reader has.
        since: Option<Versions>,
    },
    /// The walk of a filter that nobody is subscribed to.
    WalkOf {
        filter: Box<str>,
        start: WalkStart,
    },
    More {
        walk: u32,
    },
    Cancel {
        walk: u32,
    },
    /// The figures of this shard, for `$SYS`.
    Report(Box<Report>),
}

/// A walk at an owner, seen from its reader.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    pub session: SessionKey,
    pub owner: ShardId,
    pub handle: FilterHandle,
    /// The merged subscription, or none: retained messages of a plain one.
    pub merged: Option<u32>,
    /// The first get of the session, and no subscription.
    pub is_get: bool,
    /// A slice was taken and the next one is not asked for: the reader is slow.
    pub is_waiting: bool,
}

impl Reader {
    /// A reader that takes slices, of no subscription.
    pub fn of(session: SessionKey, owner: ShardId) -> Reader {
        let handle = FilterHandle(u32::MAX);
        Reader { session, owner, handle, merged: None, is_get: false, is_waiting: false }
    }
}

/// Why a connection was closed by the broker, for the log.
#[derive(Clone, Debug)]
pub struct Note {
    pub conn: ConnId,
    pub what: &'static str,
}

/// See the module.
pub struct Home {
    pub me: ShardId,
    pub shards: u16,
    pub config: Config,
    pub conns: Conns,
    pub sessions: Sessions,
    pub filters: Filters,
    pub merged: Mergeds,
    /// What is to be done for share groups at the end of the step.
    pub share_work: ShareWork,
    pub messages: Messages,
    pub wheel: Wheel,
    pub stats: Stats,
    pub bounds: Bounds,
    pub writing: Writing,
    /// Per owner.
    pub asks: Vec<VecDeque<Ask>>,
    pub readers: HashMap<u32, Reader>,
    pub gets: Gets,
    pub next_walk: u32,
    /// Slices to ask for in the next turn, so that one walk takes one slice a turn.
    pub next_slices: Vec<u32>,
    /// Connections whose next packet waits for room.
    pub blocked: Vec<ConnId>,
    /// One of them waits for nothing but its turn.
    pub has_yielded: bool,
    pub notes: Vec<Note>,
    /// Plain subscriptions of sessions that have ended.
    pub leaving: Leaving,
    /// Connections to close since `session.overflow` says so.
    pub overflowing: Vec<(ConnId, ReasonCode)>,
    /// The moment of the present step.
    pub now: Now,
    /// For frames that are made here.
    pub merge: Merge,
    /// Numbers assigned client identifiers.
    pub assigned: u64,
    /// Numbers rows, to tell sessions that were collected for the present one.
    pub serial: u64,
    /// Of the store: cursors of another one mean nothing.
    pub epoch: u64,
    pub encoded: Vec<u8>,
    pub words: String,
    /// The payload of a frame with option `meta`.
    pub wrapped: Vec<u8>,
    pub properties: Vec<u8>,
}

impl Home {
    pub fn new(me: ShardId, shards: u16, config: Config, seed: u64, epoch: u64, waits_for_disk: bool) -> Home {
        let bounds = Bounds {
            messages: config.session.queue_messages,
            bytes: config.session.queue_bytes,
            overflow: config.session.overflow,
        };
        Home {
            me,
            shards,
            config,
            conns: Conns::default(),
            sessions: Sessions::new(seed),
            filters: Filters::new(seed),
            merged: Mergeds::default(),
            share_work: ShareWork::default(),
            messages: Messages::default(),
            wheel: Wheel::default(),
            stats: Stats::default(),
            bounds,
            writing: Writing::new(me, shards, waits_for_disk),
            asks: (0..shards).map(|_| VecDeque::new()).collect(),
            readers: HashMap::default(),
            gets: Gets::default(),
            next_walk: 1,
            next_slices: Vec::new(),
            blocked: Vec::new(),
            has_yielded: false,
            notes: Vec::new(),
            leaving: Leaving::default(),
            overflowing: Vec::new(),
            now: Now::default(),
            merge: Merge::new(),
            assigned: 0,
            serial: 0,
            epoch,
            encoded: Vec::new(),
            words: String::new(),
            wrapped: Vec::new(),
            properties: Vec::new(),
        }
    }

    pub fn ask(&mut self, owner: ShardId, ask: Ask) {
        self.asks[owner.index()].push_back(ask);
    }

    /// Forgets timers of connections and sessions that are gone, or that meanwhile have another, where there are many.
    pub fn sweep_timers(&mut self) {
        if !self.wheel.wants_sweep() {
            return;
        }
        let Home { wheel, conns, sessions, merged, .. } = self;
        wheel.sweep(|due_ms, timer| match timer {
            Timer::Connect(conn) => conns.get(conn).is_some_and(|conn| conn.state == State::Fresh),
            Timer::KeepAlive(conn) => conns.get(conn).is_some(),
            Timer::SessionExpiry(session) => {
                sessions.get(session).is_some_and(|session| session.conn.is_none() && session.ends_at_ms == due_ms)
            }
            Timer::Sys => true,
            Timer::Window(session) => sessions.get(session).is_some_and(|session| session.delivery.is_refilling),
            Timer::Interval(of) => merged.is_paced(of, due_ms),
            Timer::Rate(conn) => {
                conns.get(conn).and_then(|conn| conn.rate.as_ref()).is_some_and(|rate| rate.due_ms == Some(due_ms))
            }
            Timer::Will(session) => sessions.get(session).is_some_and(|session| {
                session.conn.is_none() && session.will.as_ref().is_some_and(|will| will.due_ms == due_ms)
            }),
        });
    }

    /// Whether anything waits for room in an up lane.
    pub fn has_asks(&self) -> bool {
        self.asks.iter().any(|asks| !asks.is_empty())
    }

    /// Whether owners keep so much waiting that nobody may ask for more.
    pub fn has_many_asks(&self) -> bool {
        self.asks.iter().any(|asks| asks.len() >= ASKS_WAITING_MAX)
    }

    /// Whether subscriptions of sessions that ended may go now.
    pub fn has_leaving(&self) -> bool {
        !self.leaving.is_empty() && !self.has_many_asks()
    }

    /// Fills the window of a session from its queue.
    pub fn pump(&mut self, now: Now, key: SessionKey, out: &mut Outbox) {
        let Home { sessions, messages, bounds, stats, writing, .. } = self;
        let Some(session) = sessions.get_mut(key) else { return };
        if session.delivery.queue_is_empty() {
            return;
        }
        with_way((key, session), writing, messages, bounds, stats, now, out, |session, way| {
            pump(session, way, |buffer| buffer.len() < SEND_HIGH_BYTES);
        });
        // Where the buffer filled up, `Drained` goes on.
        takes_more(session, out);
    }

    /// Whether the window of a session is to be filled now. If not, a timer is set.
    pub fn is_window_due(&mut self, now: Now, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let delivery = &mut session.delivery;
        if delivery.queue_is_empty() || delivery.is_worth_filling() {
            return true;
        }
        if !std::mem::replace(&mut delivery.is_refilling, true) {
            self.wheel.set(now.mono_ms + WINDOW_WAITS_MS, Timer::Window(key));
        }
        false
    }

    /// Begins a walk for a subscription and returns its name.
    pub fn start_walk(&mut self, reader: Reader, kind: Kind, stand: Stand) -> u32 {
        let walk = self.name_walk();
        let body_bytes_max = self.body_bytes_max(reader.session, reader.handle, reader.merged);
        self.readers.insert(walk, reader);
        let waits = reader.is_waiting;
        let (filter, since) = Default::default();
        let start = WalkStart { walk, filter, kind, stand, waits, body_bytes_max, since };
        let merged = reader.merged.filter(|_| stand.is_cursor()).and_then(|index| self.merged.get(index));
        let since = merged.and_then(|merged| merged.stood.as_deref().cloned());
        self.ask(reader.owner, Ask::Walk { handle: reader.handle, start, since });
        walk
    }

    pub fn name_walk(&mut self) -> u32 {
        let walk = self.next_walk;
        self.next_walk = self.next_walk.wrapping_add(1);
        walk
    }

    pub fn cancel_walk(&mut self, walk: u32) {
        if let Some(reader) = self.readers.remove(&walk) {
            self.ask(reader.owner, Ask::Cancel { walk });
        }
    }

    /// Whether one more walk that brings retained messages to a session is among the first, and the session ready.
    pub fn may_begin_walk(&self, session: SessionKey, out: &mut Outbox) -> bool {
        let is_first = self.sessions.get(session).is_some_and(|this| this.walks.len() < PLAIN_WALKS_MAX);
        is_first && self.is_plain_ready(session, out)
    }

    /// The first walks of a session that brings retained messages take their next slices, as far as it is ready.
    pub fn go_on_walks(&mut self, session: SessionKey, out: &mut Outbox) {
        let Some(this) = self.sessions.get(session) else { return };
        let first: SmallVec<[u32; PLAIN_WALKS_MAX]> = this.walks.iter().take(PLAIN_WALKS_MAX).collect();
        for walk in first {
            if self.readers.get(&walk).is_some_and(|reader| reader.is_waiting) {
                self.ask_for_next_slice(walk, out);
            }
        }
    }

    /// Ends the walks that bring retained messages for one plain subscription.
    pub fn cancel_plain_walks(&mut self, key: SessionKey, handle: FilterHandle) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let walks = session.walks.of(handle);
        walks.iter().for_each(|walk| session.walks.remove(handle, *walk));
        for walk in walks {
            self.cancel_walk(walk);
        }
    }

    /// The shards that a filter is registered at.
    pub fn owner_list(&self, handle: FilterHandle) -> SmallVec<[ShardId; 4]> {
        match self.filters.slot(handle).owners {
            Owners::One(owner) => SmallVec::from_slice(&[owner]),
            Owners::All => (0..self.shards).map(ShardId).collect(),
        }
    }

    /// The largest frame body that fits the client's Maximum Packet Size.
    pub fn body_bytes_max(&self, session: SessionKey, handle: FilterHandle, merged: Option<u32>) -> u32 {
        let packet_bytes_max = self.sessions.get(session).map_or(usize::MAX, |session| session.packet_bytes_max);
        let slot = self.filters.slot(handle);
        let (filter, form) = (&*slot.text, slot.kind.form());
        let (is_safe, is_of_one_group) = merged.map_or((false, false), |index| self.merged.says(index));
        let topic_len = if is_safe { safe_topic(filter).len() } else { filter.len() };
        self.tree_bytes_max(packet_bytes_max, topic_len, form, is_of_one_group)
    }

    /// The largest tree in a frame with a topic of this length.
    pub fn tree_bytes_max(&self, packet_bytes_max: usize, topic_len: usize, form: Form, is_of_one_group: bool) -> u32 {
        /// Fixed header, packet identifier, the frame's properties and words at their longest.
        const AROUND_BODY_BYTES_MAX: usize = 256;
        let is_said = !is_of_one_group && packet_bytes_max >= CURSOR_PACKET_BYTES_MIN;
        let around = topic_len + AROUND_BODY_BYTES_MAX + if is_said { CURSOR_BYTES_MAX } else { 0 };
        let payload = packet_bytes_max.saturating_sub(around).min(self.config.limits.frame_bytes);
        form.tree_bytes_max(payload, is_of_one_group).max(1) as u32
    }
}

/// Whether the socket of a session takes what may wait. If not, `Drained` will tell.
pub fn takes_more(session: &Session, out: &mut Outbox) -> bool {
    let Some(conn) = session.conn else { return false };
    if out.sends.unsent(conn) < SEND_HIGH_BYTES {
        return true;
    }
    out.sends.watch(conn);
    false
}

/// Whether a connection takes so many bytes more without having to wait.
pub fn takes_all(conn: ConnId, bytes: usize, out: &Outbox) -> bool {
    out.sends.unsent(conn) + bytes < SEND_HIGH_BYTES
}

/// Whether the socket of a session takes frames: it has taken what it was given in earlier turns, or nearly. So who does
/// not read costs the frames of one turn, and what changes from then on waits to be merged. If not, `Drained` will tell.
pub fn takes_frames(session: &Session, out: &mut Outbox) -> bool {
    match session.conn {
        Some(conn) if out.sends.is_in_flight(conn) && out.sends.unsent(conn) > SEND_FRAMES_BYTES => {
            out.sends.watch(conn);
            false
        }
        _ => takes_more(session, out),
    }
}

/// A session with what its deliveries need, borrowed apart.
#[allow(clippy::too_many_arguments)]
pub fn with_way<T>(
    (key, session): (SessionKey, &mut Session),
    writing: &mut Writing,
    messages: &mut Messages,
    bounds: &Bounds,
    stats: &mut Stats,
    now: Now,
    out: &mut Outbox,
    act: impl FnOnce(&mut Session, &mut Way<'_>) -> T,
) -> T {
    let conn = session.conn.filter(|_| takes_more(session, out));
    let buffer = conn.map(|conn| out.sends.open_buffer(conn));
    writing.expect(session);
    let durable = writing.way_durable();
    let mut way = Way { messages, buffer, bounds, now, stats, sent: 0, durable };
    let outcome = act(session, &mut way);
    let sent = way.sent;
    writing.list_dirty(key, session);
    if let Some(conn) = conn {
        out.sends.count(conn, sent);
    }
    outcome
}
