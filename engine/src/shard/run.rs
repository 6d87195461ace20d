//! A run of publishes from a client that lives here to a topic that is owned here: passed on as one.
//!
//! Only for topics that were published to before, so that they are known to be topic names, and whose readers are all
//! at home here and have no frames, share groups or second filters to look after: whatever else there is goes packet
//! by packet through `publish`, to the same effect.

use super::Shard;
use super::fanout::Cast;
use super::home::{Home, takes_all};
use super::outbox::Outbox;
use crate::clock::Now;
use crate::key::{Client, ConnId, FilterHandle, SessionKey};
use crate::limits::SEND_STOP_READING_BYTES;
use crate::session::alias::is_named_in_full;
use crate::session::deliver::acked_all;
use crate::wire::{Header, PUBACK_BYTES, PublishHead, QoS, Run, Version, pubacks};

impl Shard {
    /// Passes on the run that `bytes` of a client begin with, and returns its length; 0: it is not such a run.
    pub(super) fn pass_run(&mut self, now: Now, conn: ConnId, bytes: &[u8], first: &Header, out: &mut Outbox) -> usize {
        let Some((session, version)) = self.home.conns.plain_client(conn) else { return 0 };
        if out.sends.unsent(conn) > SEND_STOP_READING_BYTES {
            return 0;
        }
        let Some(run) = Run::of(version, bytes, first) else { return self.take_pubacks(now, session, bytes, out) };
        if !self.is_here(&run) || run.qos > QoS::AtMostOnce && !self.is_answered_at_once(session) {
            return 0;
        }
        let handle = match self.reader_of(&run) {
            None => return 0,
            Some(None) if run.qos > QoS::AtMostOnce => return 0, // MQTT 5 tells that nobody got it
            Some(handle) => handle,
        };
        let stats = &mut self.home.stats;
        stats.packets_received += u64::from(run.count);
        stats.publishes_received += u64::from(run.count);
        stats.publish_bytes_received += run.payload_bytes as u64;
        match handle {
            Some(handle) => {
                let publisher = Client { home: self.me, session };
                if run.qos == QoS::AtMostOnce {
                    self.home.deliver_run(now, &run, publisher, handle, out);
                } else {
                    self.home.deliver_counted_run(now, &run, publisher, handle, out);
                    run.acknowledge(out.sends.open_buffer(conn)); // [MQTT-4.3.2-4] [3.1.1: MQTT-4.3.2-2]
                    out.sends.count(conn, run.count);
                }
            }
            None => self.subtree.unmatched += u64::from(run.count),
        }
        run.bytes.len()
    }

    /// Whether a QoS 1 publish of this session is acknowledged in the step that brings it.
    fn is_answered_at_once(&self, session: SessionKey) -> bool {
        !self.home.writing.waits_for_disk
            && self.home.sessions.get(session).is_some_and(|session| session.acks.is_idle())
    }

    /// Takes the PUBACKs that `bytes` of a client begin with, and returns how many bytes they are.
    fn take_pubacks(&mut self, now: Now, key: SessionKey, bytes: &[u8], out: &mut Outbox) -> usize {
        let ids = pubacks(bytes);
        let Home { sessions, messages, writing, .. } = &mut self.home;
        let Some(session) = sessions.get_mut(key) else { return 0 };
        let mut frames = Vec::new();
        let taken = acked_all(session, ids, messages, &mut frames);
        if taken > 0 {
            writing.list(key, session);
            self.home.stats.packets_received += taken as u64;
            self.window_opened(now, key, &frames, out);
        }
        taken * PUBACK_BYTES
    }

    /// Whether the topic of a run is owned here, and nothing that was asked before waits to be heard here.
    fn is_here(&self, run: &Run<'_>) -> bool {
        if self.home.shards == 1 {
            return true;
        }
        let topic = std::str::from_utf8(run.topic);
        self.home.asks[self.me.index()].is_empty() && topic.is_ok_and(|topic| self.roots.owner(topic) == self.me)
    }

    /// The one filter that all its readers have, or that it has none. `None`: that is not known, or it is not so simple.
    fn reader_of(&self, run: &Run<'_>) -> Option<Option<FilterHandle>> {
        // An intent of the Mote protocol, or a name of the broker's own.
        if run.topic[0] == b'$' {
            return None;
        }
        match self.subtree.subscriptions.known(run.topic)? {
            [] => Some(None),
            [id] => {
                let entry = self.subtree.subscriptions.entry(*id);
                let is_plain = entry.merged.is_empty() && entry.shares.is_none();
                match entry.plain[..] {
                    [(home, handle)] if is_plain && home == self.me => Some(Some(handle)),
                    _ => None,
                }
            }
            _ => None,
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
            if wish.no_local && publisher.session == subscriber.session {
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
