//! What of a session is to be written, so that it outlives the process.
//!
//! Nothing is written when it happens: a session that changed is *listed*, and what is then different from the store is
//! written for all listed sessions together. What came and went between two writings is never written at all.
//!
//! With `durability = "disk"` some packets leave only when what they promise is durable: they quote the *token* of the
//! listing that writes it (`shard::writing` knows which tokens are durable).

use super::inflight::{Delivered, Stage, Token};
use super::message::Messages;
use super::queue::Queue;
use super::share::ShareOf;
use super::{NEVER_EXPIRES, Session};
use crate::clock::Now;
use crate::row::change::Changes;
use crate::row::lasting::{Record, RecordKey, ShareRecord, WillRecord};
use crate::wire::{SubscriptionOptions, Version};
use smallvec::SmallVec;

/// What of a delivery the store has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Written {
    #[default]
    Nothing,
    Queued,
    Sent,
    Released,
}

/// Where a delivery stands in the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// 0: it never was there.
    pub seq: u64,
    pub written: Written,
}

/// A subscription as it was asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub filter: Box<str>,
    pub mote: Option<Box<str>>,
    pub options: SubscriptionOptions,
    pub id: u32,
    /// Of a merged one: where its reader stands, see `session::cursor`; empty: nowhere that it could go on from.
    pub cursor: Vec<u8>,
}

/// See the module. Only sessions that outlive their connection have one.
#[derive(Debug)]
pub struct Lasting {
    /// Names the session in the store.
    pub id: u64,
    /// Token of the listing that writes what changes now.
    pub token: Token,
    pub is_listed: bool,
    /// Its deliveries changed since they were written.
    pub is_dirty: bool,
    pub is_changed: bool,
    /// Messages have other numbers than when it was written: all its deliveries are written again.
    pub is_moved: bool,
    last_seq: u64,
    /// Deliveries that are over and stand in the store.
    pub gone: Vec<u64>,
    /// Subscriptions made and, without a value, removed, in their order.
    subscriptions: Vec<(u64, Option<Wanted>)>,
    /// The merged subscriptions of the session.
    pub merged: SmallVec<[u32; 2]>,
    /// Packet Identifiers of QoS 2 publishes, taken or, with false, released, in their order.
    received: Vec<(u16, bool)>,
}

impl Lasting {
    pub fn new(id: u64) -> Lasting {
        Lasting {
            id,
            token: 0,
            is_listed: false,
            is_dirty: false,
            is_changed: true,
            is_moved: false,
            last_seq: 0,
            gone: Vec::new(),
            subscriptions: Vec::new(),
            merged: SmallVec::new(),
            received: Vec::new(),
        }
    }

    /// A delivery is over.
    pub fn forget(&mut self, place: Place) {
        if place.seq != 0 {
            self.gone.push(place.seq);
            self.is_dirty = true;
        }
    }

    pub fn subscribed(&mut self, number: u64, wanted: Wanted) {
        self.subscriptions.push((number, Some(wanted)));
    }

    pub fn unsubscribed(&mut self, number: u64) {
        self.subscriptions.push((number, None));
    }

    pub fn received(&mut self, packet_id: u16) {
        self.received.push((packet_id, true));
    }

    /// What was taken since the last writing need not be written.
    pub fn released(&mut self, packet_id: u16) {
        match self.received.iter().rposition(|(other, _)| *other == packet_id) {
            Some(at) if self.received[at].1 => drop(self.received.remove(at)),
            _ => self.received.push((packet_id, false)),
        }
    }

    /// A delivery of the store is put in its place.
    pub fn restored(&mut self, seq: u64) {
        self.last_seq = self.last_seq.max(seq);
    }
}

/// Gives numbers that no other shard gives.
#[derive(Clone, Copy, Debug)]
pub struct Numbering {
    pub next: u64,
    pub step: u64,
}

impl Numbering {
    pub fn take(&mut self) -> u64 {
        let number = self.next;
        self.next += self.step;
        number
    }
}

/// Writes what is different from the store.
pub fn write(session: &mut Session, messages: &mut Messages, numbers: &mut Numbering, now: Now, to: &mut Changes) {
    let Some(mut lasting) = session.delivery.lasting.take() else { return };
    let id = lasting.id;
    if std::mem::take(&mut lasting.is_changed) {
        to.keep_record(RecordKey::Session(id), session_record(session, now));
    }
    for (number, wanted) in lasting.subscriptions.drain(..) {
        let key = RecordKey::Subscription { session: id, number };
        match wanted {
            Some(wanted) => to.keep_record(key, subscription_record(&wanted)),
            None => to.forget_record(key),
        }
    }
    for (packet_id, is_taken) in lasting.received.drain(..) {
        let key = RecordKey::Received { session: id, packet_id };
        if is_taken { to.keep_record(key, Record::Received) } else { to.forget_record(key) }
    }
    for seq in lasting.gone.drain(..) {
        to.forget_record(RecordKey::Delivery { session: id, seq });
    }
    if std::mem::take(&mut lasting.is_moved) {
        session.delivery.each_place(|place| place.written = Written::Nothing);
    }
    write_deliveries(session, &mut lasting, messages, numbers, to);
    session.delivery.lasting = Some(lasting);
}

fn write_deliveries(
    session: &mut Session,
    lasting: &mut Lasting,
    messages: &mut Messages,
    numbers: &mut Numbering,
    to: &mut Changes,
) {
    let mut ids = Vec::new();
    if let Some(inflight) = session.delivery.inflight.as_deref_mut() {
        for slot in inflight.iter_mut() {
            let written = if slot.stage == Stage::Released { Written::Released } else { Written::Sent };
            let place = &mut slot.delivered.place;
            if place.written == written {
                continue;
            }
            seat(place, written, lasting);
            // PUBREC came: the message itself is not needed again.
            let message =
                if written == Written::Released { 0 } else { messages.write(slot.delivered.message, numbers, to) };
            write_ids(&slot.delivered.ids, &mut ids);
            let record = Record::Delivery {
                message,
                qos: slot.delivered.qos,
                retain: slot.delivered.retain,
                ids: &ids[..],
                packet_id: slot.packet_id,
                released: written == Written::Released,
                share: share_record(&slot.delivered),
            };
            to.keep_record(RecordKey::Delivery { session: lasting.id, seq: slot.delivered.place.seq }, record);
        }
    }
    for delivered in session.delivery.queue.as_deref_mut().into_iter().flat_map(Queue::unwritten) {
        seat(&mut delivered.place, Written::Queued, lasting);
        let message = messages.write(delivered.message, numbers, to);
        write_ids(&delivered.ids, &mut ids);
        let record = Record::Delivery {
            message,
            qos: delivered.qos,
            retain: delivered.retain,
            ids: &ids[..],
            packet_id: 0,
            released: false,
            share: share_record(delivered),
        };
        to.keep_record(RecordKey::Delivery { session: lasting.id, seq: delivered.place.seq }, record);
    }
}

fn share_record(delivered: &Delivered) -> Option<ShareRecord> {
    let ShareOf { number, qos, retain, .. } = **delivered.share.as_ref()?;
    Some(ShareRecord { number, qos, retain })
}

/// The order in which deliveries are first written is their order: what is not written yet is behind what is.
fn seat(place: &mut Place, written: Written, lasting: &mut Lasting) {
    if place.seq == 0 {
        lasting.last_seq += 1;
        place.seq = lasting.last_seq;
    }
    place.written = written;
}

fn write_ids(ids: &[u32], into: &mut Vec<u8>) {
    into.clear();
    for id in ids {
        into.extend_from_slice(&id.to_le_bytes());
    }
}

/// Subscription Identifiers of a delivery's record.
pub fn read_ids(bytes: &[u8]) -> super::inflight::Ids {
    bytes.as_chunks::<4>().0.iter().map(|id| u32::from_le_bytes(*id)).collect()
}

fn subscription_record(wanted: &Wanted) -> Record<&[u8]> {
    Record::Subscription {
        filter: wanted.filter.as_bytes(),
        mote: wanted.mote.as_deref().map(str::as_bytes),
        qos: wanted.options.qos,
        no_local: wanted.options.no_local,
        retain_as_published: wanted.options.retain_as_published,
        id: wanted.id,
        cursor: &wanted.cursor,
    }
}

fn session_record(session: &Session, now: Now) -> Record<&[u8]> {
    let wall_ms = |mono_ms: u64| (now.wall_ms + mono_ms).saturating_sub(now.mono_ms);
    let ends_at_ms = match (session.conn, session.ends_at_ms) {
        (Some(_), _) => 0,
        (None, u64::MAX) => u64::MAX,
        (None, mono_ms) => wall_ms(mono_ms).max(1),
    };
    let will = session.will.as_ref().map(|will| WillRecord {
        topic: will.topic.as_bytes(),
        payload: &will.payload[..],
        properties: &will.properties[..],
        intent: will.intent.as_deref().map(str::as_bytes),
        qos: will.qos,
        retain: will.retain,
        delay_s: will.delay_s,
        expiry_s: will.expiry_s,
        due_at_ms: if will.due_ms == 0 { 0 } else { wall_ms(will.due_ms).max(1) },
    });
    let (client_id, level) = (session.client_id.as_bytes(), session.version as u8);
    Record::Session { client_id, level, expiry_s: session.expiry_s, ends_at_ms, will }
}

/// The level that a session's record names.
pub fn version_of(level: u8) -> Version {
    match level {
        3 => Version::V31,
        5 => Version::V5,
        _ => Version::V311,
    }
}

/// When a session ends whose record says so, monotonic; its client is not connected now.
pub fn ends_at_ms(expiry_s: u32, ends_at_ms: u64, now: Now) -> u64 {
    match (expiry_s, ends_at_ms) {
        (NEVER_EXPIRES, _) | (_, u64::MAX) => u64::MAX,
        // Its client was connected when the process ended: its absence begins now.
        (_, 0) => now.mono_ms + u64::from(expiry_s) * 1000,
        (_, wall_ms) => now.mono_ms + wall_ms.saturating_sub(now.wall_ms),
    }
}
