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
use crate::wire::{Header, PublishHead, QoS, Run, Version};

impl Shard {
    /// Passes on the run that `bytes` of a client begin with, and returns its length; 0: it is not such a run.
    pub(super) fn pass_run(&mut self, now: Now, conn: ConnId, bytes: &[u8], first: &Header, out: &mut Outbox) -> usize {
        let Some((session, version)) = self.home.conns.plain_client(conn) else { return 0 };
        let Some(run) = Run::of(version, bytes, first) else { return 0 };
        if !self.is_here(&run) || out.sends.unsent(conn) > SEND_STOP_READING_BYTES {
            return 0;
        }
        let Some(handle) = self.reader_of(&run) else { return 0 };
        let Home { stats, .. } = &mut self.home;
        stats.packets_received += u64::from(run.count);
        stats.publishes_received += u64::from(run.count);
        stats.publish_bytes_received += run.payload_bytes as u64;
        match handle {
            Some(handle) => {
                let publisher = Client { home: self.me, session };
                self.home.deliver_run(now, &run, publisher, handle, out);
            }
            None => self.subtree.unmatched += u64::from(run.count),
        }
        run.bytes.len()
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
        for payload in run.payloads() {
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
    for payload in run.payloads() {
        PublishHead::of_event(topic, payload.len()).encode(version, out);
        out.extend_from_slice(payload);
    }
}
