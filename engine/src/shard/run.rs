//! Runs of publishes, from the bytes of a client to the readers of a topic, as one wherever that makes no difference.
//!
//! ```text
//! home of the publisher           owner of the topic                 homes of the readers
//! bytes ─▶ pass_run ─▶ UpItem::Run ─▶ take_run ─▶ DownItem::Run ─▶ deliver_run ─▶ sockets
//! ```
//! Where one shard is two of them it is a call. A run ends where its readers have frames, share groups, or more than
//! one filter between them: from there on its packets go one by one, as they would have come, through `subtree`.

use super::fanout::Cast;
use super::home::{Home, takes_all};
use super::outbox::Outbox;
use super::parcel::{Down, DownItem, RunAt, Source, UpItem};
use super::subtree::{Origin, Subtree};
use super::{Shard, owner_side};
use crate::clock::Now;
use crate::key::{Client, ConnId, FilterHandle, SessionKey, ShardId, Span};
use crate::limits::SEND_STOP_READING_BYTES;
use crate::row::batch::{Batch, Packet, Row, View};
use crate::session::alias::is_named_in_full;
use crate::session::deliver::acked_all;
use crate::session::inflight::FrameOf;
use crate::topic::{FilterId, Subscriptions, check_name};
use crate::wire::{Header, PUBACK_BYTES, PublishHead, QoS, Run, Version, pubacks};
use smallvec::SmallVec;
use std::sync::Arc;

impl Shard {
    /// Passes on the run that `bytes` of a client begin with, and returns its length; 0: it is not such a run.
    pub(super) fn pass_run(&mut self, now: Now, conn: ConnId, bytes: &[u8], first: &Header, out: &mut Outbox) -> usize {
        let Some((session, version, packet_bytes_max)) = self.home.conns.plain_client(conn) else { return 0 };
        if out.sends.unsent(conn) > SEND_STOP_READING_BYTES {
            return 0;
        }
        let Some(run) = Run::of(version, bytes, first, packet_bytes_max) else {
            return self.take_pubacks(now, session, bytes, out);
        };
        // An intent of the Mote protocol, or a name of the broker's own.
        let may_wait = run.qos > QoS::AtMostOnce;
        if run.topic[0] == b'$' || may_wait && (out.memory_full || !self.is_answered_at_once(session)) {
            return 0;
        }
        let publisher = Client { home: self.me, session };
        let is_passed = match self.owner_of(&run) {
            Some(owner) if owner == self.me => self.pass_here(now, &run, publisher, out),
            Some(owner) => self.send_run(owner, &run, publisher, out),
            None => false,
        };
        if !is_passed {
            return 0;
        }
        if run.qos > QoS::AtMostOnce {
            run.acknowledge(out.sends.open_buffer(conn)); // [MQTT-4.3.2-4] [3.1.1: MQTT-4.3.2-2]
            out.sends.count(conn, run.count);
        }
        let stats = &mut self.home.stats;
        stats.packets_received += u64::from(run.count);
        stats.publishes_received += u64::from(run.count);
        stats.publish_bytes_received += run.payload_bytes as u64;
        run.bytes.len()
    }

    /// Whether a QoS 1 publish of this session is acknowledged in the step that brings it, if this is its owner.
    fn is_answered_at_once(&self, session: SessionKey) -> bool {
        !self.home.writing.waits_for_disk
            && self.home.sessions.get(session).is_some_and(|session| session.acks.is_idle())
    }

    /// Takes the PUBACKs that `bytes` of a client begin with, and returns how many bytes they are.
    fn take_pubacks(&mut self, now: Now, key: SessionKey, bytes: &[u8], out: &mut Outbox) -> usize {
        let Home { sessions, messages, writing, .. } = &mut self.home;
        let Some(session) = sessions.get_mut(key) else { return 0 };
        let mut frames = SmallVec::<[FrameOf; 4]>::new();
        let taken = acked_all(session, pubacks(bytes), messages, &mut frames);
        if taken > 0 {
            writing.list(key, session);
            self.home.stats.packets_received += taken as u64;
            self.window_opened(now, key, &frames, out);
        }
        taken * PUBACK_BYTES
    }

    /// The owner of a run's topic, if nothing that was asked of it before waits to be heard.
    fn owner_of(&self, run: &Run<'_>) -> Option<ShardId> {
        if self.home.shards == 1 {
            return Some(self.me);
        }
        let owner = self.roots.owner(std::str::from_utf8(run.topic).ok()?);
        self.home.asks[owner.index()].is_empty().then_some(owner)
    }

    /// To the owner, if its lane has room. Who waits for an acknowledgement waits for a verdict, which a run has not.
    fn send_run(&self, owner: ShardId, run: &Run<'_>, publisher: Client, out: &mut Outbox) -> bool {
        let levels_max = self.home.config.limits.topic_levels;
        let is_name = std::str::from_utf8(run.topic).is_ok_and(|topic| check_name(topic, levels_max).is_ok());
        if run.qos > QoS::AtMostOnce || !is_name || !out.has_up_room(owner) {
            return false;
        }
        let up = out.up_to(owner);
        let at = RunAt::keep(run, publisher, &mut up.batch);
        up.items.push(UpItem::Run(at));
        true
    }

    #[cold]
    fn is_busy_at(&self, run: &Run<'_>) -> bool {
        std::str::from_utf8(run.topic).is_ok_and(|topic| self.subtree.is_busy(self.roots.group(topic)))
    }

    /// To the readers, of a topic that was found before: it is a topic name then.
    fn pass_here(&mut self, now: Now, run: &Run<'_>, publisher: Client, out: &mut Outbox) -> bool {
        if self.subtree.is_slicing() && self.is_busy_at(run) {
            return false; // its packets wait
        }
        let subscriptions = &self.subtree.subscriptions;
        let Some(found) = subscriptions.known(run.topic).map(Found::of) else { return false };
        let id = match found.if_plain(subscriptions) {
            Found::One(id) => id,
            // With QoS 1, MQTT 5 tells that nobody got it.
            Found::Nothing if run.qos == QoS::AtMostOnce => {
                self.subtree.unmatched += u64::from(run.count);
                self.subtree.sample_run(run, 0, &self.roots);
                return true;
            }
            _ => return false,
        };
        let homes = &subscriptions.entry(id).plain;
        let is_here = |(home, _): &(ShardId, FilterHandle)| *home == self.me;
        if !homes.iter().all(is_here) && (run.qos > QoS::AtMostOnce || !out.has_down_room()) {
            return false;
        }
        let handles = homes.len();
        for (home, handle) in homes {
            if *home != self.me {
                let down = out.down_to(*home);
                let at = RunAt::keep(run, publisher, &mut down.batch);
                down.items.push(DownItem::Run { source: Source::Own, at, handle: *handle });
            } else if run.qos == QoS::AtMostOnce {
                self.home.deliver_run(now, run, publisher, *handle, out);
            } else {
                self.home.deliver_counted_run(now, run, publisher, *handle, out);
            }
        }
        self.subtree.sample_run(run, handles, &self.roots);
        true
    }

    /// A run came from a home to this owner of its topic.
    pub(super) fn take_run(&mut self, now: Now, at: RunAt, batch: &Arc<Batch>, out: &mut Outbox) {
        let run = at.run(&batch.bytes);
        if self.subtree.is_slicing() {
            let (subtree, roots, mut reach) = owner_side!(self, now, out);
            subtree.make_way(now, at.topic.text_of(&batch.bytes), roots, &mut reach);
        }
        let Subtree { subscriptions, interner, .. } = &mut self.subtree;
        let found = Found::of(subscriptions.look_up(at.topic.text_of(&batch.bytes), interner));
        match found.if_plain(subscriptions) {
            Found::Others => self.apply_each(now, at, &batch.bytes, out),
            Found::Nothing => {
                self.subtree.unmatched += u64::from(run.count);
                self.subtree.sample_run(&run, 0, &self.roots);
            }
            Found::One(id) => {
                let homes = &self.subtree.subscriptions.entry(id).plain;
                let handles = homes.len();
                for (home, handle) in homes {
                    if *home == self.me {
                        self.home.deliver_run(now, &run, at.publisher, *handle, out);
                    } else {
                        let down = out.down_to(*home);
                        let source = down.share(batch);
                        down.items.push(DownItem::Run { source, at, handle: *handle });
                    }
                }
                self.subtree.sample_run(&run, handles, &self.roots);
            }
        }
    }

    /// Packet by packet.
    fn apply_each(&mut self, now: Now, at: RunAt, bytes: &[u8], out: &mut Outbox) {
        let packet = Packet::new(at.publisher, QoS::AtMostOnce, false);
        for (_, payload) in at.run(bytes).packets() {
            let rows = [Row { topic: at.topic, payload: Span::within(bytes, payload), text: false }];
            let view = View { bytes, packet: &packet, rows: &rows, ask: None };
            let (subtree, roots, mut reach) = owner_side!(self, now, out);
            subtree.apply(now, view, Origin::Local, roots, &mut reach);
        }
    }

    /// A run came from the owner of its topic to this home of readers.
    pub(super) fn on_run(
        &mut self,
        now: Now,
        parcel: &Down,
        (source, at): (Source, RunAt),
        handle: FilterHandle,
        out: &mut Outbox,
    ) {
        let run = at.run(&parcel.source(source).bytes);
        self.home.deliver_run(now, &run, at.publisher, handle, out);
    }
}

/// The filters that match a topic.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    One(FilterId),
    Others,
}

impl Found {
    fn of(found: &[FilterId]) -> Found {
        match found {
            [] => Found::Nothing,
            [id] => Found::One(*id),
            _ => Found::Others,
        }
    }

    /// `Others` where the readers have more to look after than plain copies.
    fn if_plain(self, subscriptions: &Subscriptions) -> Found {
        match self {
            Found::One(id) => {
                let entry = subscriptions.entry(id);
                if entry.merged.is_empty() && entry.shares.is_none() { self } else { Found::Others }
            }
            other => other,
        }
    }
}

impl Home {
    /// To each subscriber of the filter all packets of the run. Between subscribers there is no order.
    fn deliver_run(&mut self, now: Now, run: &Run<'_>, publisher: Client, handle: FilterHandle, out: &mut Outbox) {
        let subscribers = std::mem::take(&mut self.filters.slot_mut(handle).subscribers);
        self.encoded.clear();
        for subscriber in &subscribers {
            let wish = &subscriber.wish;
            if wish.no_local && publisher == (Client { home: self.me, session: subscriber.session }) {
                continue; // [MQTT-3.8.3-3]
            }
            if wish.subscription_id != 0 || !self.append_run(run, subscriber.session, out) {
                let ids = if wish.subscription_id == 0 { &[] } else { std::slice::from_ref(&wish.subscription_id) };
                self.deliver_each(now, run, publisher, subscriber.session, ids, out);
            }
        }
        self.filters.slot_mut(handle).subscribers = subscribers;
    }

    /// False: nothing was done, since not every packet of the run is this session's to take as it is.
    fn append_run(&mut self, run: &Run<'_>, key: SessionKey, out: &mut Outbox) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return true };
        let Some(conn) = session.conn else { return true };
        let is_same = session.version.is_v5() == run.version.is_v5();
        if session.packet_bytes_max < run.packet_bytes + OTHER_BYTES || !is_named_in_full(session, run.topic.len()) {
            return false;
        }
        if !is_same && self.encoded.is_empty() {
            encode_otherwise(run, session.version, &mut self.encoded);
        }
        let bytes = if is_same { run.bytes } else { &self.encoded };
        if !takes_all(conn, bytes.len(), out) {
            return false;
        }
        out.sends.open_buffer(conn).extend_from_slice(bytes);
        out.sends.count(conn, run.count);
        self.stats.publishes_sent += u64::from(run.count);
        self.stats.publish_bytes_sent += run.payload_bytes as u64;
        true
    }

    /// The packets of a run of QoS 1, one after the other.
    fn deliver_counted_run(
        &mut self,
        now: Now,
        run: &Run<'_>,
        publisher: Client,
        handle: FilterHandle,
        out: &mut Outbox,
    ) {
        let Ok(topic) = std::str::from_utf8(run.topic) else { return };
        for (_, payload) in run.packets() {
            self.deliver_event(now, (topic, payload, run.qos), publisher, handle, out);
        }
    }

    fn deliver_each(
        &mut self,
        now: Now,
        run: &Run<'_>,
        publisher: Client,
        key: SessionKey,
        ids: &[u32],
        out: &mut Outbox,
    ) {
        let Ok(topic) = std::str::from_utf8(run.topic) else { return };
        for (_, payload) in run.packets() {
            let mut cast = Cast::of_event(topic, payload, publisher);
            self.deliver_one(now, &mut cast, key, QoS::AtMostOnce, false, ids, out);
        }
    }
}

/// Bytes that a packet can have more in the other version: the length of no properties, and of what is longer by that.
const OTHER_BYTES: usize = 2;

/// The packets of a run for a client that speaks the other version.
#[cold]
fn encode_otherwise(run: &Run<'_>, version: Version, out: &mut Vec<u8>) {
    let Ok(topic) = std::str::from_utf8(run.topic) else { return };
    for (_, payload) in run.packets() {
        PublishHead::of_event(topic, payload.len()).encode(version, out);
        out.extend_from_slice(payload);
    }
}
