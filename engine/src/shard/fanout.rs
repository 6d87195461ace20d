//! Plain deliveries at a home: a row and the filters that it matched become one PUBLISH per subscriber.

use super::home::{Home, takes_more, with_way};
use super::outbox::Outbox;
use crate::clock::Now;
use crate::dialect::is_forged;
use crate::key::{Client, FilterHandle, SessionKey};
use crate::row::batch::{Packet, Revision, Row, View};
use crate::session::Wish;
use crate::session::alias::{AliasProperty, Named, name_topic, teach};
use crate::session::deliver::{deliver, is_expired, remaining_expiry_s};
use crate::session::inflight::{Delivered, Ids};
use crate::session::lasting::Place;
use crate::session::message::{Message, MessageKey};
use crate::session::queue::Queued;
use crate::session::share::ShareOf;
use crate::wire::{Properties, Property, PublishHead, QoS, ReasonCode, Version};
use std::fmt::Write as _;

/// A row on its way to many sessions: what is made once. Those who asked for row versions are told more than others, so
/// theirs is another.
pub struct Cast<'a> {
    topic: &'a str,
    payload: &'a [u8],
    properties: &'a [u8],
    pub qos: QoS,
    pub retain: bool,
    pub expires_at_ms: u64,
    publisher: Client,
    /// Kept for those who cannot take it at once.
    pub message: Option<MessageKey>,
    /// The whole packet at QoS 0, RETAIN 0 and without identifiers, in `Home::encoded`: for 3.1.1 and for 5.
    encoded: [Option<(usize, usize)>; 2],
    /// Whether there is more than one reader, so that encoding once pays.
    is_shared: bool,
    /// It comes from a walk, which is paced by its reader; else a reader that is slow does not get it at QoS 0.
    is_paced: bool,
    /// It goes to those who asked for row versions, else to the others.
    versions: bool,
    /// The row expired: subscriptions that did not ask for versions have no part in it.
    expired: bool,
    /// It goes to one member of a share group.
    pub share: Option<ShareOf>,
}

impl<'a> Cast<'a> {
    pub fn new(view: &View<'a>, row: &Row) -> Cast<'a> {
        Cast {
            properties: view.properties(),
            qos: view.packet.qos,
            retain: view.packet.retain,
            expires_at_ms: view.packet.expires_at_ms,
            ..Cast::of_event(view.topic(row), view.payload(row), view.packet.publisher)
        }
    }

    /// A message of QoS 0 that is not retained and says nothing but its payload.
    pub fn of_event(topic: &'a str, payload: &'a [u8], publisher: Client) -> Cast<'a> {
        Cast {
            topic,
            payload,
            properties: &[],
            qos: QoS::AtMostOnce,
            retain: false,
            expires_at_ms: 0,
            publisher,
            message: None,
            encoded: [None; 2],
            is_shared: false,
            is_paced: false,
            versions: false,
            expired: false,
            share: None,
        }
    }

    fn head<'h>(&'h self, qos: QoS, retain: bool, ids: &'h [u32], now: Now) -> PublishHead<'h> {
        PublishHead {
            dup: false,
            qos,
            retain,
            topic: self.topic,
            packet_id: 0,
            forwarded: self.properties,
            message_expiry: remaining_expiry_s(self.expires_at_ms, now),
            subscription_ids: ids,
            extra: &[],
            payload_len: self.payload.len(),
        }
    }
}

impl Home {
    /// Delivers a row to the plain subscribers of `handles`: one copy per session, at the highest QoS that its
    /// matching subscriptions were granted, with all their identifiers [MQTT-3.3.4-2], [MQTT-3.3.4-3].
    pub fn deliver_row(
        &mut self,
        now: Now,
        view: &View<'_>,
        (row, revision): (&Row, Revision),
        handles: &[FilterHandle],
        out: &mut Outbox,
    ) {
        let mut cast = Cast::new(view, row);
        self.encoded.clear();
        if is_expired(cast.expires_at_ms, now) {
            self.stats.expired_dropped += 1;
            return;
        }
        let others = revision.expired || self.deliver_cast(now, &mut cast, handles, out);
        if others {
            self.deliver_versions(now, view, (row, revision), handles, out);
        }
    }

    /// Delivers a message that is not retained and has no properties to the plain subscribers of a filter.
    pub fn deliver_event(
        &mut self,
        now: Now,
        (topic, payload, qos): (&str, &[u8], QoS),
        publisher: Client,
        handle: FilterHandle,
        out: &mut Outbox,
    ) {
        let mut cast = Cast { qos, ..Cast::of_event(topic, payload, publisher) };
        self.encoded.clear();
        if self.deliver_cast(now, &mut cast, &[handle], out) {
            // An event has no version that could be told.
            cast = Cast { qos, versions: true, ..Cast::of_event(topic, payload, publisher) };
            self.deliver_cast(now, &mut cast, &[handle], out);
        }
    }

    /// The same to those of the subscribers who asked for row versions. They alone learn of a row that expired.
    #[cold]
    fn deliver_versions(
        &mut self,
        now: Now,
        view: &View<'_>,
        (row, revision): (&Row, Revision),
        handles: &[FilterHandle],
        out: &mut Outbox,
    ) {
        let mut properties = std::mem::take(&mut self.properties);
        if view.packet.ask == Packet::OWN_WORDS {
            properties.clear();
            properties.extend_from_slice(view.properties());
        } else {
            describe(revision, view.properties(), &mut self.words, &mut properties);
        }
        let mut cast =
            Cast { properties: &properties, versions: true, expired: revision.expired, ..Cast::new(view, row) };
        self.deliver_cast(now, &mut cast, handles, out);
        self.properties = properties;
    }

    /// Returns whether there are subscribers whose cast is another.
    fn deliver_cast(&mut self, now: Now, cast: &mut Cast<'_>, handles: &[FilterHandle], out: &mut Outbox) -> bool {
        let others = if let [handle] = handles {
            self.deliver_to_all(now, cast, *handle, out)
        } else {
            self.deliver_overlapping(now, cast, handles, out)
        };
        if let Some(message) = cast.message {
            self.messages.release(message);
        }
        others
    }

    fn deliver_to_all(&mut self, now: Now, cast: &mut Cast<'_>, handle: FilterHandle, out: &mut Outbox) -> bool {
        let subscribers = std::mem::take(&mut self.filters.slot_mut(handle).subscribers);
        cast.is_shared = subscribers.len() > 1;
        let mut others = false;
        for subscriber in &subscribers {
            let wish = &subscriber.wish;
            if wish.no_local && self.is_publisher(cast, subscriber.session) {
                continue; // [MQTT-3.8.3-3]
            }
            if wish.versions != cast.versions {
                others = true;
                continue;
            }
            let ids = std::slice::from_ref(&wish.subscription_id);
            let ids = if wish.subscription_id == 0 { &[] } else { ids };
            // MQTT 3.1.1 never asks for it [3.1.1: MQTT-3.3.1-9].
            let retain = wish.retain_as_published && cast.retain; // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
            self.deliver_one(now, cast, subscriber.session, wish.qos, retain, ids, out);
        }
        self.filters.slot_mut(handle).subscribers = subscribers;
        others
    }

    fn deliver_overlapping(
        &mut self,
        now: Now,
        cast: &mut Cast<'_>,
        handles: &[FilterHandle],
        out: &mut Outbox,
    ) -> bool {
        self.serial += 1;
        let mut readers: Vec<(SessionKey, Wish, Ids)> = Vec::new();
        for handle in handles {
            for subscriber in &self.filters.slot(*handle).subscribers {
                let wish = subscriber.wish;
                let is_own = wish.no_local && self.is_publisher(cast, subscriber.session);
                if is_own || cast.expired && !wish.versions {
                    continue;
                }
                let Some(session) = self.sessions.get_mut(subscriber.session) else { continue };
                if session.stamp != self.serial {
                    (session.stamp, session.stamped_at) = (self.serial, readers.len() as u32);
                    readers.push((subscriber.session, wish, Ids::new()));
                }
                let (_, joint, ids) = &mut readers[session.stamped_at as usize];
                // [MQTT-3.3.4-2] [3.1.1: MQTT-3.3.5-1], [MQTT-3.3.4-4]
                let first = joint.qos;
                joint.qos = joint.qos.max(wish.qos);
                if cfg!(mutant = "deliver") {
                    joint.qos = first; // planted: the first subscription decides
                }
                joint.retain_as_published |= wish.retain_as_published;
                joint.versions |= wish.versions;
                ids.extend((wish.subscription_id != 0).then_some(wish.subscription_id));
            }
        }
        cast.is_shared = readers.len() > 1;
        let mut others = false;
        for (session, wish, ids) in &readers {
            if wish.versions != cast.versions {
                others = true;
                continue;
            }
            let retain = wish.retain_as_published && cast.retain;
            self.deliver_one(now, cast, *session, wish.qos, retain, ids, out);
        }
        others
    }

    fn is_publisher(&self, cast: &Cast<'_>, session: SessionKey) -> bool {
        cast.publisher == Client { home: self.me, session }
    }

    /// One row to one session.
    #[allow(clippy::too_many_arguments)] // the parts of one delivery, each decided elsewhere
    pub fn deliver_one(
        &mut self,
        now: Now,
        cast: &mut Cast<'_>,
        key: SessionKey,
        granted: QoS,
        retain: bool,
        ids: &[u32],
        out: &mut Outbox,
    ) {
        // [3.1.1: MQTT-3.8.4-6]
        let qos = granted.min(cast.qos); // [MQTT-3.8.4-8]
        if qos > QoS::AtMostOnce {
            return self.deliver_counted(now, cast, key, qos, retain, ids, out);
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(conn) = session.conn else { return };
        if !cast.is_paced && !takes_more(session, out) {
            self.stats.publishes_dropped += 1;
            return;
        }
        let version = session.version;
        let packet_bytes_max = session.packet_bytes_max;
        if cast.is_shared && !retain && ids.is_empty() && session.delivery.alias_max == 0 {
            let (from, to) = self.encode_once(now, cast, version);
            if to - from > packet_bytes_max {
                self.stats.oversize_dropped += 1;
                return;
            }
            out.sends.buffer(conn).extend_from_slice(&self.encoded[from..to]);
        } else {
            let mut place = AliasProperty::default();
            let mut head = cast.head(qos, retain, ids, now);
            let named = name_topic(session, &mut head, &mut place);
            if named == Named::TooLarge {
                self.stats.oversize_dropped += 1; // [MQTT-3.1.2-25]
                return;
            }
            let buffer = out.sends.buffer(conn);
            head.encode(version, buffer);
            buffer.extend_from_slice(cast.payload);
            if let Named::Teaching(alias) = named {
                teach(session, alias, cast.topic);
            }
        }
        self.stats.publishes_sent += 1;
        self.stats.publish_bytes_sent += cast.payload.len() as u64;
    }

    fn encode_once(&mut self, now: Now, cast: &mut Cast<'_>, version: Version) -> (usize, usize) {
        let slot = usize::from(version.is_v5());
        if let Some(encoded) = cast.encoded[slot] {
            return encoded;
        }
        let from = self.encoded.len();
        cast.head(QoS::AtMostOnce, false, &[], now).encode(version, &mut self.encoded);
        self.encoded.extend_from_slice(cast.payload);
        let encoded = (from, self.encoded.len());
        cast.encoded[slot] = Some(encoded);
        encoded
    }

    #[allow(clippy::too_many_arguments)]
    fn deliver_counted(
        &mut self,
        now: Now,
        cast: &mut Cast<'_>,
        key: SessionKey,
        qos: QoS,
        retain: bool,
        ids: &[u32],
        out: &mut Outbox,
    ) {
        let Home { sessions, messages, bounds, stats, writing, .. } = self;
        let Some(session) = sessions.get_mut(key) else { return };
        let message = *cast.message.get_or_insert_with(|| {
            let key = messages.insert(Message::new(cast.topic, cast.payload, cast.properties, cast.expires_at_ms));
            messages.hold(key); // one session may let go of it before the next one gets it
            key
        });
        let (ids, share, is_paced, place) =
            (Ids::from_slice(ids), cast.share.map(Box::new), cast.is_paced, Place::default());
        let delivered = Delivered { message, qos, retain, ids, merged: None, share, is_paced, place };
        let session = (key, session);
        let queued = with_way(session, writing, messages, bounds, stats, now, out, |session, way| {
            deliver(session, delivered, way)
        });
        let Some(session) = sessions.get_mut(key) else { return };
        if queued == Queued::Disconnect {
            let conn = session.conn;
            if let Some(conn) = conn {
                self.notes.push(super::home::Note { conn, what: "its queue is full" });
                self.overflowing.push((conn, ReasonCode::QuotaExceeded));
            }
        }
    }

    /// Rows of a plain walk: retained messages, RETAIN 1, section 3.3.1.3.
    pub fn deliver_retained(
        &mut self,
        now: Now,
        view: &View<'_>,
        version: u64,
        reader: (SessionKey, FilterHandle),
        out: &mut Outbox,
    ) {
        let (session, handle) = reader;
        let Some(wish) = self.wish_of(session, handle) else { return };
        let mut properties = std::mem::take(&mut self.properties);
        let mut cast = Cast { is_paced: true, ..Cast::new(view, &view.rows[0]) };
        if wish.versions {
            let revision = Revision { version, before: 0, expired: false };
            describe(revision, view.properties(), &mut self.words, &mut properties);
            cast.properties = &properties;
        }
        self.deliver_kept(now, cast, (session, wish), out);
        self.properties = properties;
    }

    fn deliver_kept(&mut self, now: Now, mut cast: Cast<'_>, (session, wish): (SessionKey, Wish), out: &mut Outbox) {
        if is_expired(cast.expires_at_ms, now) {
            return;
        }
        self.encoded.clear();
        let ids = if wish.subscription_id == 0 { Ids::new() } else { Ids::from_slice(&[wish.subscription_id]) };
        // [3.1.1: MQTT-3.3.1-8]
        self.deliver_one(now, &mut cast, session, wish.qos, true, &ids, out);
        if let Some(message) = cast.message {
            self.messages.release(message);
        }
    }

    /// What a session asked of a filter, while it is subscribed to it.
    pub fn wish_of(&self, session: SessionKey, handle: FilterHandle) -> Option<Wish> {
        let at = self.sessions.get(session)?.subscriptions.find(handle)?;
        Some(self.filters.slot(handle).subscribers[at.position as usize].wish)
    }
}

/// Writes the properties of a row for who asked for its version over `properties`, encoded: what the change did, then
/// those of its publisher, but for words that only the broker may say.
fn describe(revision: Revision, forwarded: &[u8], words: &mut String, properties: &mut Vec<u8>) {
    properties.clear();
    let Revision { version, before, expired } = revision;
    if version != 0 {
        words.clear();
        // Writing to a String cannot fail.
        let _ = write!(words, "row;ver={version};prev={before}");
        words.push_str(if expired { ";expired" } else { "" });
        Property::UserProperty("mote", words).encode(properties);
    }
    let is_forgery = |name: &str, value: &str| name == "mote" && is_forged(value);
    Properties::from_encoded(forwarded).forwarded(properties, is_forgery);
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_subscriber_entry_stays_small() {
        assert!(size_of::<crate::shard::filters::Subscriber>() <= 24);
    }
}
