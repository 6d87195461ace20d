//! Merged subscriptions at a home: where each reader stands with each owner, and the frames that it gets.
//!
//! A reader that takes frames is *live* and has nothing written down. One that does not is *behind*: one number per
//! owner, and no rows. When it takes bytes again the owner builds what changed since that number.
//!
//! ```text
//! live ──frame that it cannot take──▶ behind(since) ──takes bytes──▶ catching(walk) ──last part──▶ live
//! sync:  behind(nothing) ▶ catching ──last part, others still under way──▶ held(position) ──all done──▶ behind(position)
//! ```

use super::filters::Subscriber;
use super::home::{Home, Reader, takes_frames, takes_more, with_way};
use super::links::versions_in;
use super::outbox::Outbox;
use super::pace::{Pace, Paced};
use super::parcel::{Frame, Part, Stand};
use super::stands::KeptReader;
use crate::clock::Now;
use crate::dialect::{Form, Options, safe_topic};
use crate::key::{Client, ConnId, FilterHandle, GroupId, SessionKey, ShardId};
use crate::limits::CURSOR_SAID_EVERY_MS;
use crate::session::alias::{AliasProperty, Named, name_topic, teach};
use crate::session::cursor::Versions;
use crate::session::deliver::{Way, deliver};
use crate::session::frame::{FrameKind, FrameWords, wrap};
use crate::session::inflight::{Delivered, FrameOf, Ids};
use crate::session::lasting::Place;
use crate::session::message::Message;
use crate::session::{Session, Wish};
use crate::topic::is_wildcard;
use crate::wire::{Property, PublishHead, QoS};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;

/// Where a reader stands with one owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// What it has, and no more.
    Behind(Stand),
    /// A walk brings what it misses beyond `stand`.
    Catching { walk: u32, stand: Stand },
    /// Its part of a snapshot is complete up to `position`, other owners' are not; `again`: if it must begin again.
    Held { position: u64, again: Stand },
}

/// One merged subscription.
pub struct Merged {
    pub session: SessionKey,
    pub(super) handle: FilterHandle,
    /// Unlike any other's for long: tells it from an earlier one in its place.
    pub(super) serial: u32,
    /// Frames sent.
    pub(super) n: u64,
    /// Frames with QoS above 0 that are unacknowledged.
    unacked: u16,
    /// Rows of events missed since the last event frame.
    pub(super) lost: u64,
    /// Where it stands in the backlog of its filter, if events wait for it.
    pub(super) lacks_events: Option<u64>,
    /// What it was behind with has come: the next frame is of events, if some wait.
    pub(super) is_turn_of_events: bool,
    pub(super) options: ReaderOptions,
    /// With option `interval`.
    pub(super) pace: Option<Box<Pace>>,
    /// Where the filter lies, if in one group.
    pub(super) group: Option<GroupId>,
    /// The object at the filter's stem lies in one group.
    has_object: bool,
    /// While it is behind or in a snapshot: up to where it had everything before.
    pub stood: Option<Arc<Versions>>,
    /// Where the session outlives the process: as it is written.
    pub(super) kept: Option<Box<KeptReader>>,
    /// In a snapshot: up to where it has everything of the owners that are done.
    pub(super) gathered: Option<Box<Versions>>,
    /// Of a filter that lies in many groups: when a live frame may say a cursor again; milliseconds, monotonic.
    pub(super) next_cursor_ms: u64,
    /// SUBACK has left: a snapshot follows it, never precedes it.
    pub(super) is_announced: bool,
    /// Owners whose part of the snapshot is not complete; 0: no snapshot under way.
    pub(super) snapshot_left: u16,
    is_reset: bool,
    /// The last frame said that more follows.
    owes_more: bool,
    /// Whose frame said so first.
    owed_by: ShardId,
    pub(super) standing: SmallVec<[(ShardId, Standing); 1]>,
}

// A reader that is stopped costs this, and where it stood before that: an Arc that those share who stopped together.
const _: () = assert!(size_of::<Merged>() <= 192);

/// What a reader asks for itself: owners make the same frames for all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReaderOptions {
    pub is_safe_topic: bool,
    /// No events.
    pub state: bool,
    /// Milliseconds between the beginnings of two live frames at least; 0: none waits.
    pub interval_ms: u32,
}

impl ReaderOptions {
    pub fn of(options: Options<'_>) -> ReaderOptions {
        let interval_ms = options.value("interval").and_then(|ms| ms.parse::<u64>().ok()).unwrap_or(0);
        ReaderOptions {
            is_safe_topic: options.has("topic"),
            state: options.has("state"),
            interval_ms: u32::try_from(interval_ms).unwrap_or(u32::MAX),
        }
    }
}

/// What a merged subscription asks for.
pub struct MergedAsked {
    pub first: First,
    /// With a cursor: changes that a history has come one by one.
    pub events: bool,
    pub options: ReaderOptions,
    /// Where the filter lies, if in one group.
    pub group: Option<GroupId>,
    /// The object at the filter's stem lies in one group.
    pub has_object: bool,
}

/// What a reader gets before what is live.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum First {
    Nothing,
    /// A snapshot.
    All,
    /// A snapshot that says that what it has is void.
    Reset,
    /// What changed after a cursor, as a snapshot.
    Since(Versions),
    /// A snapshot that says so if the cursor means nothing here.
    AllSince(Versions),
    /// What changed after a cursor, as what is live.
    Missed(Versions),
}

/// Slab of merged subscriptions.
#[derive(Default)]
pub struct Mergeds {
    slots: Vec<Option<Merged>>,
    free: Vec<u32>,
    serial: u32,
}

impl Mergeds {
    fn insert(&mut self, mut merged: Merged) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        merged.serial = self.serial;
        if let Some(index) = self.free.pop() {
            self.slots[index as usize] = Some(merged);
            return index;
        }
        self.slots.push(Some(merged));
        self.slots.len() as u32 - 1
    }

    /// Whether its frames have a safe topic, and whether its filter lies in one group.
    pub fn says(&self, index: u32) -> (bool, bool) {
        let merged = self.slots[index as usize].as_ref();
        merged.map_or((false, false), |merged| (merged.options.is_safe_topic, merged.group.is_some()))
    }

    pub fn get(&self, index: u32) -> Option<&Merged> {
        self.slots.get(index as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, index: u32) -> Option<&mut Merged> {
        self.slots.get_mut(index as usize)?.as_mut()
    }
}

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    Yes,
    /// It exceeds what this client takes.
    TooLarge,
    /// The session's queue is full.
    NoPlace,
}

/// A frame with what its reader must know beside the body.
#[derive(Clone, Copy)]
pub(super) struct Sending<'a> {
    pub kind: FrameKind,
    pub frame: &'a Frame,
    pub body: &'a [u8],
    pub more: bool,
    /// It completes a walk: where the owner's groups stand.
    pub stands: Option<&'a Versions>,
}

impl Home {
    /// A new merged subscription; what it is to get first it awaits from each of `owners`.
    pub fn add_merged(
        &mut self,
        session: SessionKey,
        handle: FilterHandle,
        asked: MergedAsked,
        owners: &[ShardId],
    ) -> u32 {
        let mut merged = Merged {
            session,
            handle,
            serial: 0,
            n: 0,
            unacked: 0,
            lost: 0,
            lacks_events: None,
            is_turn_of_events: false,
            options: asked.options,
            pace: Pace::of(asked.options.interval_ms),
            group: asked.group,
            has_object: asked.has_object,
            stood: None,
            kept: None,
            gathered: None,
            next_cursor_ms: 0,
            is_announced: false,
            snapshot_left: 0,
            is_reset: false,
            owes_more: false,
            owed_by: ShardId(0),
            standing: SmallVec::new(),
        };
        merged.is_reset = asked.first == First::Reset;
        let events = asked.events;
        match asked.first {
            First::Nothing => {}
            First::All | First::Reset => merged.begin_snapshot(owners, Stand::NOTHING),
            First::Since(versions) => merged.resume(owners, Stand { events, ..Stand::CURSOR }, versions),
            First::AllSince(versions) => merged.resume(owners, Stand { events, ..Stand::CURSOR_WHOLE }, versions),
            First::Missed(versions) => {
                merged.resume(owners, Stand::CURSOR, versions);
                merged.snapshot_left = 0;
            }
        }
        self.merged.insert(merged)
    }

    pub fn remove_merged(&mut self, index: u32) {
        self.leave_backlog(index);
        let Some(merged) = self.merged.slots[index as usize].take() else { return };
        self.merged.free.push(index);
        if let Some(lasting) = self.sessions.get_mut(merged.session).and_then(Session::lasting_mut) {
            lasting.merged.retain(|other| *other != index);
        }
        for (_, standing) in merged.standing {
            if let Standing::Catching { walk, .. } = standing {
                self.cancel_walk(walk);
            }
        }
    }

    /// A frame from an owner, for every reader that stands where the owner stood before it.
    pub fn on_frame(&mut self, now: Now, from: ShardId, frame: &Frame, body: &[u8], out: &mut Outbox) {
        let subscribers = std::mem::take(&mut self.filters.slot_mut(frame.handle).subscribers);
        let me = self.me;
        let is_own = |session| frame.publisher == Client { home: me, session };
        let others = subscribers.iter().filter(|this| !(this.wish.no_local && is_own(this.session)));
        let in_parts = if frame.event {
            self.events_to_all(now, frame, body, others, out)
        } else {
            let mut in_parts = SmallVec::new();
            for Subscriber { merged, wish, .. } in others {
                let is_too_large = self.frame_to_one(now, from, frame, body, (*merged, *wish), out);
                in_parts.extend(is_too_large.then_some(*merged));
            }
            in_parts
        };
        self.filters.slot_mut(frame.handle).subscribers = subscribers;
        if !frame.more {
            self.filters.raise(frame.handle, &Versions::of(frame.group, frame.version));
        }
        for index in in_parts {
            self.catch_up_one(index, out);
        }
    }

    /// True: its reader takes no frame as large, but smaller ones.
    fn frame_to_one(
        &mut self,
        now: Now,
        from: ShardId,
        frame: &Frame,
        body: &[u8],
        (index, wish): (u32, Wish),
        out: &mut Outbox,
    ) -> bool {
        let Some(merged) = self.merged.get(index) else { return false };
        if merged.standing.iter().any(|(owner, _)| *owner == from) {
            return false; // behind: the catch-up will bring it
        }
        // With `interval` what walks bring is one frame, which nothing comes into, and which goes on when it began.
        let is_held = merged.pace.is_some() && !walks_of(merged).is_empty();
        let goes_on = merged.owes_more;
        // What another owner has begun to say is not complete with this.
        let others_owe = goes_on && (merged.owed_by != from || !merged.standing.is_empty());
        let is_ready = !is_held && self.is_ready(index, out) && (goes_on || !self.is_early(index, Paced::Live));
        let sending = Sending { kind: FrameKind::Live, frame, body, more: frame.more || others_owe, stands: None };
        if is_ready && self.send_frame(now, index, wish, sending, out) == Sent::Yes {
            if let Some(merged) = self.merged.get_mut(index).filter(|_| frame.more) {
                merged.owed_by = from;
            }
            if !goes_on {
                self.begin_interval(index, Paced::Live);
            }
            return false;
        }
        let stood = self.merged.get(index).map(|merged| self.stand_of(merged));
        if let Some(merged) = self.merged.get_mut(index) {
            merged.standing.push((from, Standing::Behind(Stand::after(frame.position - 1))));
            merged.stood = stood;
        }
        is_ready
    }

    /// A part of a walk that this reader asked for.
    pub fn on_part(&mut self, now: Now, part: &Part, bytes: &[u8], out: &mut Outbox) {
        let walk = part.walk;
        let Some(reader) = self.readers.get_mut(&walk) else { return };
        reader.is_waiting = true; // until the next slice is asked for
        let reader = *reader;
        let Some(index) = reader.merged else { return };
        if part.reset {
            return self.start_over(index, out);
        }
        let (frame, done, body) = (&part.frame, part.done, part.frame.body.of(bytes));
        let stands = done.then(|| versions_in(part.stands, bytes));
        if let Some(stands) = &stands {
            self.filters.raise(reader.handle, stands); // all before it was sent to those who are live
        }
        let Some(wish) = self.wish_of(reader.session, reader.handle) else { return };
        let is_tree = is_wildcard(&self.filters.slot(reader.handle).text);
        let Some(merged) = self.merged.get_mut(index) else { return };
        let in_snapshot = merged.snapshot_left > 0;
        let stand = merged.has_begun(reader.owner, frame.position);
        let is_last = done && merged.snapshot_left == 1;
        let kind = match (in_snapshot, is_last) {
            (true, true) => FrameKind::Snap,
            (true, false) => FrameKind::Part,
            (false, _) => FrameKind::Live,
        };
        // With `interval` what several owners bring at once is one frame in parts.
        let others_come = merged.pace.is_some() && walks_of(merged).len() > 1;
        // What was begun is complete when all have said what is owed.
        let others_come = others_come || merged.owes_more && merged.standing.len() > 1;
        let more = kind == FrameKind::Live && is_tree && (!done || others_come);
        // Without wildcard an empty live frame would say that the row is gone.
        let says_something = frame.rows > 0 || is_tree && (frame.skipped > 0 || !more && done && merged.owes_more);
        if says_something || is_last {
            let sending = Sending { kind, frame, body, more, stands: stands.as_ref() };
            let overtakes = self.would_overtake(index, wish, frame);
            if overtakes || self.send_frame(now, index, wish, sending, out) == Sent::NoPlace {
                return self.step_back(index, walk, stand);
            }
        }
        let Some(stands) = stands else { return self.ask_for_next_slice(walk, out) };
        self.readers.remove(&walk);
        let Some(merged) = self.merged.get_mut(index) else { return };
        merged.standing.retain(|(owner, _)| *owner != reader.owner);
        if in_snapshot {
            merged.snapshot_left -= 1;
            merged.standing.push((reader.owner, Standing::Held { position: frame.position, again: stand }));
            merged.gathered.get_or_insert_default().raise_all(&stands);
        } else if merged.standing.is_empty() {
            merged.stood = None;
            self.list(reader.session); // what it has now is more than its last frame said
        }
        let Some(merged) = self.merged.get_mut(index) else { return };
        merged.is_turn_of_events = !in_snapshot;
        if is_last {
            self.end_snapshot(index, out);
        } else {
            self.catch_up_one(index, out);
        }
    }

    /// Whether a frame would leave with QoS 0 while those before it may wait for the window.
    fn would_overtake(&self, index: u32, wish: Wish, frame: &Frame) -> bool {
        let is_ahead = wish.qos > QoS::AtMostOnce && frame.qos == QoS::AtMostOnce;
        let merged = self.merged.slots[index as usize].as_ref().filter(|_| is_ahead);
        let session = merged.and_then(|merged| self.sessions.get(merged.session));
        session.is_some_and(|session| !session.delivery.queue_is_empty())
    }

    /// A frame of a walk found the session's queue full: the walk begins again when there is room.
    fn step_back(&mut self, index: u32, walk: u32, stand: Stand) {
        self.cancel_walk(walk);
        let Some(merged) = self.merged.get_mut(index) else { return };
        for (_, standing) in &mut merged.standing {
            if matches!(*standing, Standing::Catching { walk: other, .. } if other == walk) {
                *standing = Standing::Behind(stand);
            }
        }
        if let Some(session) = self.sessions.get_mut(merged.session) {
            session.is_awaited = true;
        }
    }

    /// The series is complete: what changed at owners that were done before the last is caught up with.
    fn end_snapshot(&mut self, index: u32, out: &mut Outbox) {
        let Some(merged) = self.merged.get_mut(index) else { return };
        let (gathered, session) = (merged.gathered.take(), merged.session);
        self.list(session);
        let Some(merged) = self.merged.get_mut(index) else { return };
        if let [_] = merged.standing[..] {
            merged.standing.clear(); // one owner: its end is the end
            merged.stood = None;
            return self.send_waiting_events(index, out);
        }
        merged.stood = gathered.map(|versions| Arc::new(*versions));
        for (_, standing) in &mut merged.standing {
            if let Standing::Held { position, .. } = *standing {
                *standing = Standing::Behind(Stand::after(position));
            }
        }
        self.catch_up_one(index, out);
    }

    /// What the reader had is void: the snapshot begins again.
    fn start_over(&mut self, index: u32, out: &mut Outbox) {
        let Some(merged) = self.merged.get_mut(index) else { return };
        let handle = merged.handle;
        let walks = walks_of(merged);
        let owners = self.owner_list(handle);
        for walk in walks {
            self.cancel_walk(walk);
        }
        if let Some(merged) = self.merged.get_mut(index) {
            merged.begin_snapshot(&owners, Stand::NOTHING);
            merged.is_reset = true;
        }
        self.catch_up_one(index, out);
    }

    /// Whether a reader takes a frame now.
    pub(super) fn is_ready(&mut self, index: u32, out: &mut Outbox) -> bool {
        let unacked_max = self.config.limits.frames_unacked;
        let Some(merged) = self.merged.get_mut(index) else { return false };
        let readers = &self.readers;
        let is_due = |walk: &u32| readers.get(walk).is_some_and(|reader| !reader.is_waiting);
        // A slice that was asked for is a frame that comes.
        let unacked = merged.unacked + walks_of(merged).iter().filter(|walk| is_due(walk)).count() as u16;
        let Some(session) = self.sessions.get_mut(merged.session) else { return false };
        let delivery = &session.delivery;
        let has_place = delivery.queue_is_empty() && delivery.window_is_open();
        session.is_awaited |= !has_place; // a frame in the queue could be dropped with it
        has_place && unacked < unacked_max && takes_frames(session, out)
    }

    /// The session's socket or window takes more: its merged subscriptions catch up, its walks go on.
    pub fn catch_up(&mut self, session: SessionKey, out: &mut Outbox) {
        self.go_on_walks(session, out);
        self.catch_up_gets(session, out);
        let Some(this) = self.sessions.get(session) else { return };
        let merged: SmallVec<[u32; 4]> =
            this.subscriptions.iter().filter_map(|at| self.filters.merged_at(*at)).collect();
        for index in merged {
            self.catch_up_one(index, out);
        }
    }

    pub(super) fn catch_up_one(&mut self, index: u32, out: &mut Outbox) {
        self.send_waiting_events(index, out);
        let Some(merged) = self.merged.get_mut(index) else { return };
        if merged.standing.is_empty() || !merged.is_announced || !self.is_ready(index, out) {
            return;
        }
        let Some(merged) = self.merged.get_mut(index) else { return };
        let (session, handle) = (merged.session, merged.handle);
        let standing = merged.standing.clone();
        let is_live = merged.snapshot_left == 0;
        // A walk that began goes on: what it brings is one frame in parts.
        let waits = is_live && self.is_early(index, Paced::Live);
        for (at, (owner, standing)) in standing.into_iter().enumerate() {
            match standing {
                Standing::Behind(_) if waits || !self.is_ready(index, out) => {}
                Standing::Behind(stand) => {
                    if is_live {
                        self.begin_interval(index, Paced::Live);
                    }
                    let reader = Reader { handle, merged: Some(index), ..Reader::of(session, owner) };
                    let walk = self.start_walk(reader, self.filters.slot(handle).kind, stand);
                    if let Some(merged) = self.merged.get_mut(index) {
                        merged.standing[at].1 = Standing::Catching { walk, stand };
                    }
                }
                Standing::Catching { walk, .. } => {
                    if self.readers.get(&walk).is_some_and(|reader| reader.is_waiting) {
                        self.ask_for_next_slice(walk, out);
                    }
                }
                Standing::Held { .. } => {}
            }
        }
    }

    /// Asks for the next slice of a walk in the next turn, or when its reader takes more.
    pub fn ask_for_next_slice(&mut self, walk: u32, out: &mut Outbox) {
        let Some(reader) = self.readers.get(&walk).copied() else { return };
        let is_ready = match reader.merged {
            Some(index) => self.is_ready(index, out),
            None => self.is_plain_ready(reader.session, out),
        };
        if let Some(reader) = self.readers.get_mut(&walk) {
            reader.is_waiting = !is_ready;
        }
        if is_ready {
            self.next_slices.push(walk);
        }
    }

    pub fn is_plain_ready(&self, session: SessionKey, out: &mut Outbox) -> bool {
        let Some(session) = self.sessions.get(session) else { return false };
        session.delivery.queue_is_empty() && takes_more(session, out)
    }

    /// SUBACK has left.
    pub fn announce_merged(&mut self, index: u32, out: &mut Outbox) {
        if let Some(merged) = self.merged.get_mut(index) {
            merged.is_announced = true;
            self.catch_up_one(index, out);
        }
    }

    /// The connection is gone and the session lasts: walks end, and positions say where to go on.
    pub fn detach_merged(&mut self, index: u32) {
        self.leave_backlog(index);
        let Some(merged) = self.merged.get_mut(index) else { return };
        merged.is_announced = true; // a SUBACK that was owed will not come
        let walks = walks_of(merged);
        for (_, standing) in &mut merged.standing {
            match *standing {
                Standing::Catching { stand, .. } => *standing = Standing::Behind(stand),
                // Parts with QoS 0 may be lost with the connection, so all of it comes again.
                Standing::Held { again, .. } => *standing = Standing::Behind(again),
                Standing::Behind(_) => {}
            }
        }
        if merged.snapshot_left > 0 {
            merged.snapshot_left = merged.standing.len() as u16;
            merged.gathered = None;
        }
        for walk in walks {
            self.cancel_walk(walk);
        }
    }

    /// The subscription is an earlier process's, which sent so many frames.
    pub fn restore_merged(&mut self, index: u32, frames: u64) {
        if let Some(merged) = self.merged.get_mut(index) {
            (merged.is_announced, merged.n) = (true, frames);
        }
    }

    /// A frame of this subscription was acknowledged.
    pub fn frame_acked(&mut self, key: SessionKey, frame: FrameOf, out: &mut Outbox) {
        if frame.index == FrameOf::GET {
            return self.part_acked(key, frame, out);
        }
        let FrameOf { index, serial } = frame;
        if let Some(merged) = self.merged.get_mut(index).filter(|merged| merged.serial == serial) {
            merged.unacked = merged.unacked.saturating_sub(1);
            self.catch_up_one(index, out);
        }
    }

    pub(super) fn send_frame(
        &mut self,
        now: Now,
        index: u32,
        wish: Wish,
        sending: Sending<'_>,
        out: &mut Outbox,
    ) -> Sent {
        let cursor = self.cursor_on(index, &sending);
        let Some(merged) = self.merged.slots[index as usize].as_mut() else { return Sent::Yes };
        let key = merged.session;
        let Some(session) = self.sessions.get_mut(key) else { return Sent::Yes };
        let slot = self.filters.slot(merged.handle);
        let (filter, form) = (&*slot.text, slot.kind.form());
        self.properties.clear();
        if session.version.is_v5() || form.meta {
            let ver = cursor.as_ref().map(|versions| (self.epoch, versions));
            merged.words(&sending, ver).write(&mut self.words);
        }
        if session.version.is_v5() {
            describe(form.meta || is_wildcard(filter), &self.words, &mut self.properties);
        }
        let body = worded(form, &self.words, (sending.frame, sending.body), &mut self.wrapped);
        let topic = if merged.options.is_safe_topic { Cow::Owned(safe_topic(filter)) } else { Cow::Borrowed(filter) };
        let qos = wish.qos.min(sending.frame.qos);
        let retain = matches!(sending.kind, FrameKind::Part | FrameKind::Snap) && !form.classic;
        // Its own, whatever goes to the same client for a plain subscription [MQTT-3.3.4-5].
        let ids = if wish.subscription_id == 0 { Ids::new() } else { Ids::from_slice(&[wish.subscription_id]) };
        let head = PublishHead {
            dup: false,
            qos,
            retain,
            topic: &topic,
            packet_id: 1,
            forwarded: &self.properties,
            message_expiry: None,
            subscription_ids: &ids,
            extra: &[],
            payload_len: body.len(),
        };
        if session.packet_bytes_max != usize::MAX && head.encoded_len(session.version) > session.packet_bytes_max {
            return Sent::TooLarge;
        }
        if qos == QoS::AtMostOnce {
            let Some(conn) = session.conn else { return Sent::Yes };
            send_at_once(session, conn, head, &topic, body, out);
            self.stats.publishes_sent += 1;
            self.stats.publish_bytes_sent += body.len() as u64;
        } else {
            let message = self.messages.insert(Message::new(&topic, body, &self.properties, 0));
            let frame = Some(FrameOf { index, serial: merged.serial });
            let (share, is_paced, place) = (None, false, Place::default());
            let delivered = Delivered { message, qos, retain, ids, merged: frame, share, is_paced, place };
            let Home { messages, bounds, stats, writing, .. } = self;
            let send = |session: &mut Session, way: &mut Way<'_>| deliver(session, delivered, way);
            with_way((key, session), writing, messages, bounds, stats, now, out, send);
            let kept = messages.is_held(message); // else it is dropped, or it is kept in place of another
            messages.drop_unheld(message);
            if !kept {
                return Sent::NoPlace;
            }
            merged.unacked += 1;
        }
        merged.sent(&sending, cursor.map(|_| now));
        self.stats.frames_sent += 1;
        self.stats.frame_rows_sent += u64::from(sending.frame.rows);
        self.stats.oversize_dropped += u64::from(sending.frame.skipped);
        Sent::Yes
    }
}

impl Merged {
    fn begin_snapshot(&mut self, owners: &[ShardId], stand: Stand) {
        self.snapshot_left = owners.len() as u16;
        self.standing = owners.iter().map(|owner| (*owner, Standing::Behind(stand))).collect();
        (self.stood, self.gathered) = (Some(Arc::default()), None);
    }

    /// What it has of that is nothing to go on from: it has no more than it had before, which was nothing.
    pub fn is_in_first_snapshot(&self) -> bool {
        self.snapshot_left > 0 && self.stood.as_deref().is_none_or(|versions| versions.iter().next().is_none())
    }

    /// What changed after `versions` is to come.
    fn resume(&mut self, owners: &[ShardId], stand: Stand, versions: Versions) {
        self.begin_snapshot(owners, stand);
        self.stood = Some(Arc::new(versions));
    }

    /// A slice from this owner arrived: the first of a snapshot says where its walk began. What is deleted from
    /// there on is told if the walk must begin again.
    fn has_begun(&mut self, from: ShardId, position: u64) -> Stand {
        for (owner, standing) in &mut self.standing {
            if let Standing::Catching { stand, .. } = standing
                && *owner == from
            {
                if *stand == Stand::NOTHING {
                    stand.since = position;
                }
                return *stand;
            }
        }
        Stand::NOTHING
    }

    /// A frame left, with a cursor at this moment.
    fn sent(&mut self, sending: &Sending<'_>, said: Option<Now>) {
        self.n += 1;
        if let Some(now) = said {
            self.next_cursor_ms = now.mono_ms + CURSOR_SAID_EVERY_MS;
        }
        self.is_reset = false;
        if sending.kind == FrameKind::Event {
            self.lost = 0;
        } else {
            self.owes_more = sending.more;
        }
    }

    fn words<'a>(&self, sending: &Sending<'_>, ver: Option<(u64, &'a Versions)>) -> FrameWords<'a> {
        FrameWords {
            kind: sending.kind,
            n: self.n,
            obj: (self.has_object && sending.kind != FrameKind::Event).then_some(sending.frame.object),
            ver,
            more: sending.more,
            reset: self.is_reset,
            lost: if sending.kind == FrameKind::Event { self.lost } else { 0 },
            skipped: sending.frame.skipped,
        }
    }
}

/// Writes the properties of a frame, encoded.
pub(super) fn describe(is_json: bool, words: &str, properties: &mut Vec<u8>) {
    if is_json {
        Property::PayloadFormatIndicator(1).encode(properties);
        Property::ContentType("application/json").encode(properties);
    }
    Property::UserProperty("mote", words).encode(properties);
}

/// A frame with QoS 0 that fits with its topic in full.
pub(super) fn send_at_once(
    session: &mut Session,
    conn: ConnId,
    head: PublishHead<'_>,
    topic: &str,
    body: &[u8],
    out: &mut Outbox,
) {
    let mut place = AliasProperty::default();
    let mut head = head;
    let named = name_topic(session, &mut head, &mut place); // where it fits in full it fits
    let buffer = out.sends.buffer(conn);
    head.encode(session.version, buffer);
    buffer.extend_from_slice(body);
    if let Named::Teaching(alias) = named {
        teach(session, alias, topic);
    }
}

/// The payload of a frame: its body, in its wrapping where that is asked for.
pub(super) fn worded<'a>(
    form: Form,
    words: &str,
    (frame, body): (&Frame, &'a [u8]),
    wrapped: &'a mut Vec<u8>,
) -> &'a [u8] {
    if !form.meta {
        return body;
    }
    let (tree, versions) = body.split_at(body.len() - frame.versions_len as usize);
    // Events have none.
    let versions = if versions.is_empty() { b"{}" } else { versions };
    wrap(words, tree, form.versions.then_some(versions), wrapped);
    wrapped
}

fn walks_of(merged: &Merged) -> SmallVec<[u32; 4]> {
    let walk = |standing: &(ShardId, Standing)| match standing.1 {
        Standing::Catching { walk, .. } => Some(walk),
        _ => None,
    };
    merged.standing.iter().filter_map(walk).collect()
}
