//! Snapshots that are asked for once, without a subscription (verb `get`), at the requester's home.
//!
//! The gets of a session are answered one after the other, and the owners of each are walked one after the other: one
//! slice of a session is under way. Its socket and its window pace that while it is connected, also where the answer
//! is published to a Response Topic, since who asks is who reads it in nearly all cases.
//!
//! ```text
//! PUBLISH ─▶ waiting ─▶ walk(owner 0) ─slice─▶ requester, or owner of the Response Topic ─▶ walk(owner 1) ─▶ … ─▶ snap
//! ```

use super::Shard;
use super::asked::{Question, judge_response_topic};
use super::home::{Ask, Home, Reader, takes_more, with_way};
use super::links::versions_in;
use super::merged::{describe, send_at_once, worded};
use super::outbox::Outbox;
use super::parcel::{Frame, Part, Stand, WalkStart};
use crate::clock::Now;
use crate::dialect::{Form, safe_topic};
use crate::key::{Client, GroupId, SessionKey, ShardId, Span};
use crate::limits::{CURSOR_PACKET_BYTES_MIN, GETS_DETACHED_MAX, GETS_PER_SESSION_MAX, REPLIES_DUE_MAX};
use crate::row::batch::{Packet, Row, View};
use crate::row::graft::Fault;
use crate::session::Session;
use crate::session::cursor::Versions;
use crate::session::deliver::{Way, deliver};
use crate::session::frame::{FrameKind, FrameWords};
use crate::session::inflight::{Delivered, FrameOf, Ids};
use crate::session::lasting::Place;
use crate::session::message::Message;
use crate::topic::{Kind, Owners, is_wildcard, stem};
use crate::wire::{Property, Publish, PublishHead, QoS, ReasonCode};
use foldhash::HashMap;
use std::borrow::Cow;
use std::collections::VecDeque;

/// One question and how far its answer is.
struct Get {
    filter: Box<str>,
    form: Form,
    is_safe_topic: bool,
    /// Of the question, and of each part of the answer.
    qos: QoS,
    reply: Option<Reply>,
    /// Where the filter lies, if in one group.
    group: Option<GroupId>,
    /// The object at the filter's stem lies in one group.
    has_object: bool,
    /// Owners from this one up to `end` are still to be walked to their end.
    next: ShardId,
    end: ShardId,
    /// Where the groups stood when the walks of their owners ended.
    stands: Versions,
    /// The walk of `next`, while there is one.
    walk: Option<u32>,
    /// Parts sent.
    n: u64,
    /// Parts with QoS above 0 that the requester has not acknowledged.
    unacked: u16,
    /// Unlike any other's for long.
    serial: u32,
    /// A slice that goes to a Response Topic was asked for: it counts in `Gets::due`.
    is_due: bool,
    /// It stands in `Gets::waiting`.
    is_listed: bool,
    /// The connection that asked is gone: it counts in `Gets::detached`.
    is_detached: bool,
}

/// Where an answer is published.
struct Reply {
    topic: Box<str>,
    correlation: Option<Box<[u8]>>,
    owner: ShardId,
}

/// The gets of all sessions of a home.
#[derive(Default)]
pub struct Gets {
    /// Of each session in the order in which they came: the first is being answered.
    of: HashMap<SessionKey, VecDeque<Get>>,
    /// Slices under way that are going to be published: so many that the lanes to their owners take them.
    due: usize,
    /// Sessions that wait for that, or for room in such a lane.
    waiting: Vec<SessionKey>,
    /// Those whose askers are gone.
    detached: usize,
    serial: u32,
}

impl Gets {
    fn first(&mut self, key: SessionKey) -> Option<&mut Get> {
        self.of.get_mut(&key)?.front_mut()
    }

    /// Some wait for room in a lane.
    pub fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A slice that counted in `due` came, or will not.
    fn is_no_longer_due(&mut self, key: SessionKey) {
        if let Some(get) = self.first(key)
            && std::mem::take(&mut get.is_due)
        {
            self.due -= 1;
        }
    }
}

impl Shard {
    /// Takes up a question. The acknowledgement leaves at once; the answer follows it.
    pub(super) fn get(
        &mut self,
        key: SessionKey,
        publish: &Publish<'_>,
        question: Question<'_>,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let reply = self.reply_of(publish)?;
        let gets = &mut self.home.gets;
        if gets.of.get(&key).is_some_and(|gets| gets.len() >= GETS_PER_SESSION_MAX) {
            let what = "too many gets of this client are not answered yet".to_owned();
            return Err(Fault { code: ReasonCode::QuotaExceeded, at: None, what });
        }
        gets.serial = gets.serial.wrapping_add(1);
        let (next, end) = match self.roots.owners_of_filter(&question.filter) {
            Owners::One(owner) => (owner, ShardId(owner.0 + 1)),
            Owners::All => (ShardId(0), ShardId(self.home.shards)),
        };
        let get = Get {
            form: Form::of(question.options),
            is_safe_topic: question.options.has("topic"),
            qos: publish.qos,
            reply,
            group: self.roots.group_of_filter(&question.filter),
            has_object: self.roots.group_of_object(stem(&question.filter)).is_some(),
            filter: question.filter.into_boxed_str(),
            next,
            end,
            stands: Versions::default(),
            walk: None,
            n: 0,
            unacked: 0,
            serial: gets.serial,
            is_due: false,
            is_listed: false,
            is_detached: false,
        };
        gets.of.entry(key).or_default().push_back(get);
        let (ticket, _) = self.owe(key, publish, 0);
        if let Some(session) = self.home.sessions.get_mut(key) {
            session.acks.succeed(ticket);
        }
        self.flush_acks(key, out);
        self.home.go_on_get(key, out);
        Ok(())
    }

    /// Where the answer goes: used as it is written, so a `$` at its beginning is no intent and not allowed.
    fn reply_of(&self, publish: &Publish<'_>) -> Result<Option<Reply>, Fault> {
        let Some(topic) = publish.properties.response_topic() else { return Ok(None) };
        judge_response_topic(topic, self.home.config.limits.topic_levels)?;
        let correlation = publish.properties.correlation_data().map(Into::into);
        Ok(Some(Reply { topic: topic.into(), correlation, owner: self.roots.owner(topic) }))
    }

    /// A slice of a walk that a get asked for.
    pub(super) fn take_get_part(&mut self, now: Now, part: &Part, bytes: &[u8], out: &mut Outbox) {
        let Some(reader) = self.home.readers.get_mut(&part.walk) else { return };
        reader.is_waiting = true; // until the next slice is asked for
        let key = reader.session;
        self.home.gets.is_no_longer_due(key);
        let Some(get) = self.home.gets.first(key) else { return };
        if part.done {
            get.stands.raise_all(&versions_in(part.stands, bytes));
        }
        let body = part.frame.body.of(bytes);
        let is_last = part.done && get.next.0 + 1 == get.end.0;
        let kind = if is_last { FrameKind::Snap } else { FrameKind::Part };
        let says_something = part.frame.rows > 0 || part.frame.skipped > 0 && is_wildcard(&get.filter);
        if says_something || is_last {
            let is_published = get.reply.is_some();
            let form = get.form;
            self.home.write_words(key, kind, &part.frame);
            let mut wrapped = std::mem::take(&mut self.home.wrapped);
            let body = worded(form, &self.home.words, (&part.frame, body), &mut wrapped);
            if is_published {
                self.publish_part(now, key, body, out);
            } else {
                self.home.send_part(now, key, body, out);
            }
            self.home.wrapped = wrapped;
        }
        if let Some(get) = self.home.gets.first(key) {
            get.n += u64::from(says_something || is_last);
            if part.done {
                get.walk = None;
                get.next.0 += 1;
            }
        }
        if part.done {
            self.home.readers.remove(&part.walk);
        }
        if is_last {
            self.home.end_get(key);
        }
        self.home.go_on_get(key, out);
    }

    /// Publishes a part to the Response Topic, as if the requester had, with the words that were written.
    fn publish_part(&mut self, now: Now, key: SessionKey, body: &[u8], out: &mut Outbox) {
        let Some(Get { reply: Some(reply), qos, .. }) = self.home.gets.first(key) else { return };
        let (qos, owner) = (*qos, reply.owner);
        let scratch = &mut self.scratch;
        scratch.clear();
        let row = Row { topic: scratch.keep(reply.topic.as_bytes()), payload: scratch.keep(body), text: false };
        scratch.rows.push(row);
        let start = scratch.bytes.len();
        if let Some(correlation) = &reply.correlation {
            Property::CorrelationData(correlation).encode(&mut scratch.bytes);
        }
        scratch.bytes.extend_from_slice(&self.home.properties);
        let properties = Span::new(start, scratch.bytes.len() - start);
        let packet = Packet {
            properties,
            ask: Packet::OWN_WORDS,
            ..Packet::new(Client { home: self.me, session: key }, qos, false)
        };
        let scratch = std::mem::take(&mut self.scratch);
        let view = View { bytes: &scratch.bytes, packet: &packet, rows: &scratch.rows, ask: None };
        self.send_to_owner(now, owner, view, out);
        self.scratch = scratch;
    }

    /// Answers that waited for room in a lane.
    pub(super) fn go_on_gets(&mut self, out: &mut Outbox) {
        for key in std::mem::take(&mut self.home.gets.waiting) {
            if let Some(get) = self.home.gets.first(key) {
                get.is_listed = false;
                self.home.go_on_get(key, out);
            }
        }
    }
}

impl Home {
    /// Goes on with the first get of a session, as far as its requester and the lanes take it.
    pub fn go_on_get(&mut self, key: SessionKey, out: &mut Outbox) {
        let Some(walk) = self.gets.first(key).map(|get| get.walk) else { return };
        let is_under_way = |walk: u32| self.readers.get(&walk).is_some_and(|reader| !reader.is_waiting);
        if walk.is_some_and(is_under_way) || !self.takes_part(key, out) {
            return;
        }
        match walk {
            Some(walk) => {
                if let Some(reader) = self.readers.get_mut(&walk) {
                    reader.is_waiting = false;
                }
                self.next_slices.push(walk);
            }
            None => self.start_get_walk(key),
        }
        if let Some(get) = self.gets.first(key)
            && get.reply.is_some()
        {
            get.is_due = true;
            self.gets.due += 1;
        }
    }

    /// Goes on with the first get of a session, if it has any: its socket or window takes more.
    pub fn catch_up_gets(&mut self, key: SessionKey, out: &mut Outbox) {
        if !self.gets.of.is_empty() {
            self.go_on_get(key, out);
        }
    }

    /// Whether one more part may be asked for. If not, `Drained`, an acknowledgement or a turn looks again.
    fn takes_part(&mut self, key: SessionKey, out: &mut Outbox) -> bool {
        let Home { gets, sessions, config, me, asks, .. } = self;
        let Gets { of, due, waiting, .. } = gets;
        let Some(get) = of.get_mut(&key).and_then(VecDeque::front_mut) else { return false };
        if let Some(session) = sessions.get_mut(key).filter(|session| session.conn.is_some()) {
            let delivery = &session.delivery;
            let has_place = delivery.queue_is_empty() && delivery.window_is_open();
            let has_place = has_place && get.unacked < config.limits.frames_unacked;
            session.is_awaited |= !has_place;
            if !has_place || !takes_more(session, out) {
                return false;
            }
        }
        let Some(reply) = &get.reply else { return true };
        let has_lane = reply.owner == *me || out.has_up_room(reply.owner) && asks[reply.owner.index()].is_empty();
        let has_room = has_lane && *due < REPLIES_DUE_MAX;
        if !has_room && !get.is_listed {
            get.is_listed = true;
            waiting.push(key);
        }
        has_room
    }

    fn start_get_walk(&mut self, key: SessionKey) {
        let body_bytes_max = self.part_bytes_max(key);
        let walk = self.name_walk();
        let Some(get) = self.gets.first(key) else { return };
        get.walk = Some(walk);
        let (owner, filter, form) = (get.next, get.filter.clone(), get.form);
        self.readers.insert(walk, Reader { is_get: true, ..Reader::of(key, owner) });
        let (kind, stand, waits) = (Kind::Merged(form), Stand::NOTHING, false);
        let start = WalkStart { walk, filter: Span::EMPTY, kind, stand, waits, body_bytes_max, since: Span::EMPTY };
        self.ask(owner, Ask::WalkOf { filter, start });
    }

    /// The largest body of a part: of one that is published its readers decide, who are not known here.
    fn part_bytes_max(&mut self, key: SessionKey) -> u32 {
        let packet_bytes_max = self.sessions.get(key).map_or(usize::MAX, |session| session.packet_bytes_max);
        let Some(get) = self.gets.first(key) else { return 1 };
        let (form, is_of_one_group) = (get.form, get.group.is_some());
        let (topic_len, packet_bytes_max) = match &get.reply {
            Some(reply) => (reply.topic.len(), usize::MAX),
            None => (get.topic().len(), packet_bytes_max),
        };
        self.tree_bytes_max(packet_bytes_max, topic_len, form, is_of_one_group)
    }

    /// Writes the properties of the next part of the first get, for whoever gets it, over `properties`.
    fn write_words(&mut self, key: SessionKey, kind: FrameKind, frame: &Frame) {
        let packet_bytes_max = self.sessions.get(key).map_or(usize::MAX, |session| session.packet_bytes_max);
        let Some(get) = self.gets.first(key) else { return };
        let takes_cursor = get.group.is_some() || get.reply.is_some() || packet_bytes_max >= CURSOR_PACKET_BYTES_MIN;
        let words = FrameWords {
            kind,
            n: get.n,
            ver: (takes_cursor && kind == FrameKind::Snap).then_some((self.epoch, &get.stands)),
            obj: get.has_object.then_some(frame.object),
            more: false,
            reset: false,
            lost: 0,
            skipped: frame.skipped,
        };
        let is_json = get.form.meta || is_wildcard(&get.filter);
        words.write(&mut self.words);
        self.properties.clear();
        describe(is_json, &self.words, &mut self.properties);
        self.stats.frames_sent += 1;
        self.stats.frame_rows_sent += u64::from(frame.rows);
    }

    /// Sends a part to the requester alone, with the words that were written.
    fn send_part(&mut self, now: Now, key: SessionKey, body: &[u8], out: &mut Outbox) {
        let Home { gets, sessions, messages, bounds, stats, writing, properties, .. } = self;
        let Some(get) = gets.first(key) else { return };
        let Some(session) = sessions.get_mut(key) else { return };
        let Some(conn) = session.conn else { return };
        let topic = get.topic();
        let head = PublishHead {
            dup: false,
            qos: get.qos,
            retain: true,
            topic: &topic,
            packet_id: 1,
            forwarded: properties,
            message_expiry: None,
            subscription_ids: &[],
            extra: &[],
            payload_len: body.len(),
        };
        if session.packet_bytes_max != usize::MAX && head.encoded_len(session.version) > session.packet_bytes_max {
            stats.oversize_dropped += 1; // [MQTT-3.1.2-24]
            return;
        }
        if get.qos == QoS::AtMostOnce {
            send_at_once(session, conn, head, &topic, body, out);
            stats.publishes_sent += 1;
            stats.publish_bytes_sent += body.len() as u64;
            return;
        }
        let message = messages.insert(Message::new(&topic, body, properties, 0));
        let merged = Some(FrameOf { index: FrameOf::GET, serial: get.serial });
        let (qos, retain, ids, share, place) = (get.qos, true, Ids::new(), None, Place::default());
        // It waits for its reader as retained messages do: the bounds of the queue are not for it.
        let delivered = Delivered { message, qos, retain, ids, merged, share, is_paced: true, place };
        get.unacked += 1;
        let send = |session: &mut Session, way: &mut Way<'_>| deliver(session, delivered, way);
        with_way((key, session), writing, messages, bounds, stats, now, out, send);
        messages.drop_unheld(message);
    }

    /// The requester acknowledged a part.
    pub fn part_acked(&mut self, key: SessionKey, frame: FrameOf, out: &mut Outbox) {
        if let Some(get) = self.gets.first(key).filter(|get| get.serial == frame.serial) {
            get.unacked = get.unacked.saturating_sub(1);
            self.go_on_get(key, out);
        }
    }

    /// The first get of a session is answered.
    fn end_get(&mut self, key: SessionKey) {
        let Gets { of, detached, .. } = &mut self.gets;
        let Some(gets) = of.get_mut(&key) else { return };
        *detached -= usize::from(gets.pop_front().is_some_and(|get| get.is_detached));
        if gets.is_empty() {
            of.remove(&key);
        }
    }

    /// The connection that asked is gone. What was for it alone ends; what goes to a Response Topic is for others as
    /// well, and a client that asks and leaves at once is answered too, if not too many do.
    pub fn detach_gets(&mut self, key: SessionKey) {
        let Some(gets) = self.gets.of.remove(&key) else { return };
        let mut kept = VecDeque::new();
        for mut get in gets {
            let has_room = get.is_detached || self.gets.detached < GETS_DETACHED_MAX;
            if get.reply.is_some() && has_room {
                self.gets.detached += usize::from(!std::mem::replace(&mut get.is_detached, true));
                kept.push_back(get);
                continue;
            }
            self.gets.detached -= usize::from(get.is_detached);
            self.gets.due -= usize::from(get.is_due);
            if let Some(walk) = get.walk {
                self.cancel_walk(walk);
            }
        }
        let Some(first) = kept.front_mut() else { return };
        if !std::mem::replace(&mut first.is_listed, true) {
            self.gets.waiting.push(key);
        }
        self.gets.of.insert(key, kept);
    }
}

impl Get {
    /// Of an answer to the requester alone.
    fn topic(&self) -> Cow<'_, str> {
        if self.is_safe_topic { Cow::Owned(safe_topic(&self.filter)) } else { Cow::Borrowed(&self.filter) }
    }
}
