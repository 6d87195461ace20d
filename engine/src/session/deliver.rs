//! How messages leave a session: at once, through the window, or through the queue.

use super::Session;
use super::alias::{AliasProperty, Named, name_topic, teach};
use super::inflight::{Acked, Delivered, FrameOf, Inflight, Stage};
use super::message::{Message, Messages};
use super::queue::{Bounds, Queue, Queued};
use crate::clock::Now;
use crate::stats::Stats;
use crate::wire::{Ack, AckKind, Fault, Packet, Properties, PublishHead, QoS, ReasonCode, Version, encode};

/// Window and queue of one session. Both are absent until first needed: an idle subscriber owns neither.
#[derive(Default)]
pub struct Delivery {
    pub inflight: Option<Box<Inflight>>,
    pub queue: Option<Box<Queue>>,
    /// Unacknowledged QoS 1 and 2 deliveries that the client takes, [MQTT-3.3.4-9].
    pub window: u16,
    /// The client's Topic Alias Maximum on the present connection, [MQTT-3.1.2-26].
    pub alias_max: u16,
}

/// Where a delivery may go now.
pub struct Way<'a> {
    pub messages: &'a mut Messages,
    /// The connection's send buffer, where the socket takes more; else what can wait waits.
    pub buffer: Option<&'a mut Vec<u8>>,
    pub bounds: &'a Bounds,
    pub now: Now,
    pub stats: &'a mut Stats,
    /// Packets that were appended to `buffer`.
    pub sent: u32,
}

impl Delivery {
    pub fn window_is_open(&self) -> bool {
        self.inflight.as_ref().is_none_or(|inflight| inflight.sent() < self.window as usize)
    }

    /// Nothing waits for the window or the socket: neither what is new nor what is to be sent again.
    pub fn queue_is_empty(&self) -> bool {
        self.queue.as_ref().is_none_or(|queue| queue.is_empty())
            && self.inflight.as_ref().is_none_or(|inflight| inflight.sent() == inflight.len())
    }

    /// Nothing waits and nothing is unacknowledged.
    pub fn is_idle(&self) -> bool {
        self.queue_is_empty() && self.inflight.as_ref().is_none_or(|inflight| inflight.is_empty())
    }
}

/// Sends or queues a QoS 1 or 2 message, also while its client is away [MQTT-4.5.0-1] [3.1.1: MQTT-3.1.2-5]
/// [3.1.1: MQTT-4.5.0-1].
pub fn deliver(session: &mut Session, delivered: Delivered, way: &mut Way<'_>) -> Queued {
    debug_assert!(delivered.qos > QoS::AtMostOnce);
    let may_go = session.delivery.queue_is_empty() && session.delivery.window_is_open();
    if let Some(buffer) = way.buffer.as_deref_mut().filter(|_| may_go) {
        way.sent += u32::from(send_new(session, delivered, way.messages, buffer, way.now, way.stats));
        return Queued::Kept;
    }
    let queue = session.delivery.queue.get_or_insert_default();
    let queued = queue.push(delivered, way.messages, way.bounds);
    way.stats.queue_overflows += u64::from(queued != Queued::Kept);
    queued
}

/// Fills the window, as far as the socket takes it: with what is to be sent again, then from the queue. Where it is full
/// nothing more with QoS 1 or 2 is sent [MQTT-4.9.0-2]; nothing else asks [MQTT-4.9.0-3] [MQTT-3.3.4-10].
pub fn pump(session: &mut Session, way: &mut Way<'_>, send_room: impl Fn(&Vec<u8>) -> bool) {
    let Some(buffer) = way.buffer.as_deref_mut() else { return };
    while session.delivery.window_is_open() && send_room(buffer) {
        if send_again(session, way.messages, way.now, buffer, way.stats) {
            way.sent += 1;
            continue;
        }
        let Some(queue) = session.delivery.queue.as_deref_mut() else { return };
        let Some(delivered) = queue.pop(way.messages) else {
            session.delivery.queue = None;
            return;
        };
        let message = delivered.message;
        way.sent += u32::from(send_new(session, delivered, way.messages, buffer, way.now, way.stats));
        way.messages.release(message); // the queue's hold; the window took its own
    }
}

/// Whether it was sent; else it is dropped.
fn send_new(
    session: &mut Session,
    delivered: Delivered,
    messages: &mut Messages,
    buffer: &mut Vec<u8>,
    now: Now,
    stats: &mut Stats,
) -> bool {
    let message = messages.get(delivered.message);
    if is_expired(message.expires_at_ms, now) {
        stats.expired_dropped += 1;
        return false; // [MQTT-3.3.2-5]
    }
    let mut place = AliasProperty::default();
    let mut head = head_of(message, &delivered, now);
    let named = name_topic(session, &mut head, &mut place);
    if named == Named::TooLarge {
        stats.oversize_dropped += 1; // [MQTT-3.1.2-25]
        return false;
    }
    let inflight = session.delivery.inflight.get_or_insert_default();
    head.packet_id = inflight.push(delivered.clone());
    head.encode(session.version, buffer);
    buffer.extend_from_slice(message.payload());
    if let Named::Teaching(alias) = named {
        teach(session, alias, message.topic());
    }
    stats.publishes_sent += 1;
    stats.publish_bytes_sent += message.payload().len() as u64;
    messages.hold(delivered.message);
    true
}

/// A connection of the session begins: what was unacknowledged is to be sent again, as the window of this connection
/// opens [MQTT-3.3.4-9]. What this client no longer takes [MQTT-3.1.2-24] is as good as acknowledged,
/// [MQTT-3.1.2-25]; returns the merged subscriptions whose frames were among it.
pub fn begin_again(session: &mut Session, messages: &mut Messages, now: Now) -> Vec<FrameOf> {
    let Some(mut inflight) = session.delivery.inflight.take() else { return Vec::new() };
    inflight.begin_again();
    let mut merged = Vec::new();
    if session.packet_bytes_max != usize::MAX {
        for delivered in inflight.take_if(|delivered| !fits(session, messages.get(delivered.message), delivered, now)) {
            messages.release(delivered.message);
            merged.extend(delivered.merged);
        }
    }
    session.delivery.inflight = Some(inflight);
    merged
}

/// Sends the next delivery again, with its original packet identifier and in the original order, [MQTT-4.4.0-1],
/// [3.1.1: MQTT-4.4.0-1] [3.1.1: MQTT-4.6.0-1]. False: there is none.
fn send_again(session: &mut Session, messages: &Messages, now: Now, buffer: &mut Vec<u8>, stats: &mut Stats) -> bool {
    let version = session.version;
    let Some(slot) = session.delivery.inflight.as_deref_mut().and_then(Inflight::next_again) else { return false };
    match slot.stage {
        Stage::Published => {
            let message = messages.get(slot.delivered.message);
            // In full: aliases ended with the connection that it was first sent on.
            let head = head_of(message, &slot.delivered, now);
            PublishHead { dup: true, packet_id: slot.packet_id, ..head }.encode(version, buffer); // [MQTT-3.3.1-1]
            buffer.extend_from_slice(message.payload());
            stats.publishes_sent += 1;
            stats.publish_bytes_sent += message.payload().len() as u64;
        }
        // PUBREL and no longer the message [MQTT-4.3.3-5] [MQTT-4.3.3-6] [3.1.1: MQTT-4.3.3-1].
        Stage::Released => acknowledge(version, AckKind::Pubrel, slot.packet_id, buffer),
    }
    true
}

/// PUBACK, PUBREC or PUBCOMP from the client. Returns the merged subscription whose frame was acknowledged. One that
/// its identifier does not await is not allowed in that state, MQTT 5 section 4.13.1, [3.1.1: MQTT-4.8.0-1].
pub fn acked(
    session: &mut Session,
    ack: &Ack<'_>,
    messages: &mut Messages,
    buffer: &mut Vec<u8>,
) -> Result<Option<FrameOf>, Fault> {
    let Some(inflight) = session.delivery.inflight.as_deref_mut() else {
        unknown(session.version, ack, buffer);
        return Ok(None);
    };
    let acked = match ack.kind {
        AckKind::Puback => inflight.puback(ack.packet_id),
        AckKind::Pubrec => inflight.pubrec(ack.packet_id, ack.reason.is_error()),
        AckKind::Pubcomp | AckKind::Pubrel => match inflight.pubcomp(ack.packet_id) {
            Acked::Done(_) => return Ok(None),
            other => other,
        },
    };
    Ok(match acked {
        Acked::Done(delivered) => {
            // Also where the client refused it: nobody else gets it, [MQTT-4.8.2-6].
            messages.release(delivered.message);
            delivered.merged
        }
        Acked::Release { first, message, merged } => {
            acknowledge(session.version, AckKind::Pubrel, ack.packet_id, buffer); // [MQTT-4.3.3-4]
            if first {
                messages.release(message);
            }
            merged.filter(|_| first)
        }
        Acked::Mismatch => return Err(Fault::protocol("an acknowledgement that its Packet Identifier does not await")),
        Acked::Unknown => {
            unknown(session.version, ack, buffer);
            None
        }
    })
}

/// An unknown PUBREC is answered by PUBREL 0x92 in MQTT 5 and a plain one before, so that the peer can end its
/// exchange; anything else unknown says nothing new.
fn unknown(version: Version, ack: &Ack<'_>, buffer: &mut Vec<u8>) {
    if ack.kind == AckKind::Pubrec && !ack.reason.is_error() {
        // Without words [MQTT-3.6.2-2] [MQTT-3.6.2-3].
        let reason = ReasonCode::PacketIdentifierNotFound;
        let pubrel = Ack { kind: AckKind::Pubrel, packet_id: ack.packet_id, reason, properties: Default::default() };
        encode(version, &Packet::Ack(pubrel), buffer);
    }
}

/// Appends an acknowledgement that says success.
pub fn acknowledge(version: Version, kind: AckKind, packet_id: u16, buffer: &mut Vec<u8>) {
    let ack = Ack { kind, packet_id, reason: ReasonCode::Success, properties: Default::default() };
    encode(version, &Packet::Ack(ack), buffer);
}

/// Appends a packet with `properties`, or without them where it would be larger than its reader takes.
pub fn encode_within<'a>(
    version: Version,
    packet_bytes_max: usize,
    properties: Properties<'a>,
    buffer: &mut Vec<u8>,
    packet: impl Fn(Properties<'a>) -> Packet<'a>,
) {
    let start = buffer.len();
    encode(version, &packet(properties), buffer);
    if buffer.len() - start > packet_bytes_max {
        buffer.truncate(start);
        encode(version, &packet(Properties::default()), buffer);
    }
}

/// Gives back what a session that ends still holds.
pub fn release_all(session: &mut Session, messages: &mut Messages) {
    if let Some(mut inflight) = session.delivery.inflight.take() {
        for slot in inflight.drain().filter(|slot| slot.stage == Stage::Published) {
            messages.release(slot.delivered.message);
        }
    }
    if let Some(mut queue) = session.delivery.queue.take() {
        while let Some(delivered) = queue.pop(messages) {
            messages.release(delivered.message);
        }
    }
}

fn head_of<'a>(message: &'a Message, delivered: &'a Delivered, now: Now) -> PublishHead<'a> {
    PublishHead {
        dup: false,
        qos: delivered.qos,
        retain: delivered.retain,
        topic: message.topic(),
        packet_id: 1,
        forwarded: message.properties(),
        message_expiry: remaining_expiry_s(message.expires_at_ms, now),
        subscription_ids: &delivered.ids,
        extra: &[],
        payload_len: message.payload().len(),
    }
}

fn fits(session: &Session, message: &Message, delivered: &Delivered, now: Now) -> bool {
    session.packet_bytes_max == usize::MAX
        || head_of(message, delivered, now).encoded_len(session.version) <= session.packet_bytes_max
}

/// Whether a Message Expiry Interval has passed, [MQTT-3.3.2-5].
pub fn is_expired(expires_at_ms: u64, now: Now) -> bool {
    expires_at_ms != 0 && expires_at_ms <= now.wall_ms
}

/// What is left of a Message Expiry Interval, rounded up to whole seconds, [MQTT-3.3.2-6].
pub fn remaining_expiry_s(expires_at_ms: u64, now: Now) -> Option<u32> {
    let left_ms = (expires_at_ms != 0).then(|| expires_at_ms.saturating_sub(now.wall_ms))?;
    Some(left_ms.div_ceil(1000).min(u64::from(u32::MAX)) as u32)
}
