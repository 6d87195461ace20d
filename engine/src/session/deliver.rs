//! How messages leave a session: at once, through the window, or through the queue.

use super::Session;
use super::alias::{AliasProperty, Named, name_topic, teach};
use super::inflight::{Acked, Delivered, FrameOf, Inflight, Stage, Token};
use super::lasting::{Lasting, Place};
use super::message::{Message, Messages};
use super::queue::{Bounds, Queue, Queued};
use crate::clock::Now;
use crate::limits::{SEND_HIGH_BYTES, WINDOW_FILLED_AT_ONCE};
use crate::stats::Stats;
use crate::wire::{Ack, AckKind, Fault, Packet, Properties, PublishHead, QoS, ReasonCode, Version, encode};

/// Window and queue of one session. Both are absent until first needed: an idle subscriber owns neither.
#[derive(Default)]
pub struct Delivery {
    pub inflight: Option<Box<Inflight>>,
    pub queue: Option<Box<Queue>>,
    /// What is to be written of a session that outlives its connection.
    pub lasting: Option<Box<Lasting>>,
    /// Unacknowledged QoS 1 and 2 deliveries that the client takes, [MQTT-3.3.4-9].
    pub window: u16,
    /// The client's Topic Alias Maximum on the present connection, [MQTT-3.1.2-26].
    pub alias_max: u16,
    /// A timer is set for what waits until the window has room for many.
    pub is_refilling: bool,
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
    /// Everything up to this token is durable. None: nothing waits for the disk.
    pub durable: Option<Token>,
}

impl Delivery {
    /// With which token a delivery is durable, if it is not to leave before: sent again after a crash without DUP, or
    /// under another Packet Identifier, it would look new, [MQTT-4.4.0-1].
    fn awaited(&self, way: &Way<'_>) -> Option<Token> {
        way.durable?;
        self.lasting.as_ref().map(|lasting| lasting.token)
    }

    /// A delivery came, or moved from the queue to the window.
    fn touch(&mut self) {
        if let Some(lasting) = self.lasting.as_deref_mut() {
            lasting.is_dirty = true;
        }
    }

    /// A delivery is over.
    fn forget(&mut self, place: Place) {
        if let Some(lasting) = self.lasting.as_deref_mut() {
            lasting.forget(place);
        }
    }

    /// Whether the window has room for so many that a send pays. Filled one by one as acknowledgements come, a window
    /// that was full once would cost a system call for each message from then on.
    pub fn is_worth_filling(&self) -> bool {
        let window = usize::from(self.window);
        let sent = self.inflight.as_ref().map_or(0, |inflight| inflight.sent());
        window < WINDOW_FILLED_AT_ONCE || window.saturating_sub(sent) >= window / 4
    }

    pub fn window_is_open(&self) -> bool {
        self.inflight.as_ref().is_none_or(|inflight| inflight.sent() < self.window as usize)
    }

    /// Nothing waits for the window or the socket: neither what is new nor what is to be sent again.
    pub fn queue_is_empty(&self) -> bool {
        self.queue.as_ref().is_none_or(|queue| queue.is_empty()) && self.inflight_is_sent()
    }

    pub fn each_place(&mut self, mut act: impl FnMut(&mut Place)) {
        let inflight = self.inflight.as_deref_mut().into_iter().flat_map(Inflight::iter_mut);
        inflight.for_each(|slot| act(&mut slot.delivered.place));
        let queue = self.queue.as_deref_mut().into_iter().flat_map(Queue::iter_mut);
        queue.for_each(|delivered| act(&mut delivered.place));
    }

    /// Everything in the window was sent on this connection.
    fn inflight_is_sent(&self) -> bool {
        self.inflight.as_ref().is_none_or(|inflight| inflight.sent() == inflight.len())
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
    // What waits until a send pays is not to cost a message its place.
    if session.delivery.is_refilling && !has_queue_room(session, &delivered, way) {
        pump(session, way, |buffer| buffer.len() < SEND_HIGH_BYTES);
    }
    let may_go = session.delivery.queue_is_empty() && session.delivery.window_is_open();
    let awaited = session.delivery.awaited(way);
    if may_go && awaited.is_none() && way.buffer.is_some() {
        send_new(session, delivered, way);
        return Queued::Kept;
    }
    let Delivery { queue, lasting, .. } = &mut session.delivery;
    let queue = queue.get_or_insert_default();
    let mut none_gone = Vec::new();
    let gone = lasting.as_deref_mut().map_or(&mut none_gone, |lasting| &mut lasting.gone);
    let queued = queue.push(delivered, way.messages, way.bounds, gone);
    session.delivery.touch();
    way.stats.queue_overflows += u64::from(queued != Queued::Kept);
    if awaited.is_some() {
        take_up(session, way);
    }
    queued
}

fn has_queue_room(session: &Session, delivered: &Delivered, way: &Way<'_>) -> bool {
    let cost = way.messages.get(delivered.message).cost_bytes();
    session.delivery.queue.as_ref().is_none_or(|queue| delivered.is_paced || queue.has_room(cost, way.bounds))
}

/// Fills the window, as far as the socket takes it: with what is to be sent again, then from the queue. Where it is full
/// nothing more with QoS 1 or 2 is sent [MQTT-4.9.0-2]; nothing else asks [MQTT-4.9.0-3] [MQTT-3.3.4-10].
pub fn pump(session: &mut Session, way: &mut Way<'_>, send_room: impl Fn(&Vec<u8>) -> bool) {
    while session.delivery.window_is_open() {
        if !way.buffer.as_deref().is_some_and(&send_room) {
            return;
        }
        if send_next(session, way) {
            continue;
        }
        let Some(queue) = session.delivery.queue.as_deref_mut() else { return };
        if queue.is_empty() {
            session.delivery.queue = None;
            return;
        }
        if session.delivery.awaited(way).is_some() || !session.delivery.inflight_is_sent() {
            return take_up(session, way);
        }
        let Some(delivered) = session.delivery.queue.as_deref_mut().and_then(|queue| queue.pop(way.messages)) else {
            return;
        };
        let message = delivered.message;
        send_new(session, delivered, way);
        way.messages.release(message); // the queue's hold; the window took its own
    }
}

/// Gives Packet Identifiers to what is queued, as far as the window goes, so that they are written with it; it is sent
/// when that is durable. Only while there is a connection: another may have a smaller window.
fn take_up(session: &mut Session, way: &mut Way<'_>) {
    if session.conn.is_none() {
        return;
    }
    let window = session.delivery.window as usize;
    while session.delivery.inflight.as_ref().map_or(0, |inflight| inflight.len()) < window {
        let Some(queue) = session.delivery.queue.as_deref_mut() else { return };
        let Some(delivered) = queue.pop(way.messages) else {
            session.delivery.queue = None;
            return;
        };
        let message = delivered.message;
        if is_deliverable(session, &delivered, way) {
            let token = session.delivery.awaited(way).unwrap_or(0);
            session.delivery.touch();
            let inflight = session.delivery.inflight.get_or_insert_default();
            inflight.push_unsent(delivered, token); // the queue's hold is its own from here on
        } else {
            session.delivery.forget(delivered.place);
            way.messages.release(message);
        }
    }
}

/// Whether a message is still to be sent to this client, counted where not.
fn is_deliverable(session: &Session, delivered: &Delivered, way: &mut Way<'_>) -> bool {
    let message = way.messages.get(delivered.message);
    if is_expired(message.expires_at_ms, way.now) {
        way.stats.expired_dropped += 1;
        return false; // [MQTT-3.3.2-5]
    }
    let fits = fits(session, message, delivered, way.now);
    way.stats.oversize_dropped += u64::from(!fits);
    fits
}

fn send_new(session: &mut Session, delivered: Delivered, way: &mut Way<'_>) {
    let Some(buffer) = way.buffer.as_deref_mut() else { return };
    let message = way.messages.get(delivered.message);
    if is_expired(message.expires_at_ms, way.now) {
        way.stats.expired_dropped += 1;
        return session.delivery.forget(delivered.place);
    }
    let mut place = AliasProperty::default();
    let mut head = head_of(message, &delivered, way.now);
    let named = name_topic(session, &mut head, &mut place);
    if named == Named::TooLarge {
        way.stats.oversize_dropped += 1; // [MQTT-3.1.2-25]
        return session.delivery.forget(delivered.place);
    }
    session.delivery.touch();
    let inflight = session.delivery.inflight.get_or_insert_default();
    let packet_id = inflight.take_id();
    head.packet_id = packet_id;
    head.encode(session.version, buffer);
    buffer.extend_from_slice(message.payload());
    if let Named::Teaching(alias) = named {
        teach(session, alias, message.topic());
    }
    way.stats.publishes_sent += 1;
    way.stats.publish_bytes_sent += message.payload().len() as u64;
    way.sent += 1;
    way.messages.hold(delivered.message);
    if let Some(inflight) = session.delivery.inflight.as_deref_mut() {
        inflight.push(packet_id, delivered);
    }
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
            session.delivery.forget(delivered.place);
            merged.extend(delivered.merged);
        }
    }
    session.delivery.inflight = Some(inflight);
    merged
}

/// Sends the next delivery of the window, if it is durable: again with its original packet identifier and in the
/// original order, [MQTT-4.4.0-1], [3.1.1: MQTT-4.4.0-1] [3.1.1: MQTT-4.6.0-1]. False: there is none.
fn send_next(session: &mut Session, way: &mut Way<'_>) -> bool {
    let version = session.version;
    let (Some(inflight), Some(buffer)) = (session.delivery.inflight.as_deref_mut(), way.buffer.as_deref_mut()) else {
        return false;
    };
    let Some((slot, was_sent)) = inflight.next_to_send(way.durable.unwrap_or(Token::MAX)) else { return false };
    match slot.stage {
        Stage::Published => {
            let message = way.messages.get(slot.delivered.message);
            // In full: aliases ended with the connection that it was first sent on.
            let head = head_of(message, &slot.delivered, way.now);
            let dup = was_sent; // [MQTT-3.3.1-1]
            PublishHead { dup, packet_id: slot.packet_id, ..head }.encode(version, buffer);
            buffer.extend_from_slice(message.payload());
            way.stats.publishes_sent += 1;
            way.stats.publish_bytes_sent += message.payload().len() as u64;
        }
        // PUBREL and no longer the message [MQTT-4.3.3-5] [MQTT-4.3.3-6] [3.1.1: MQTT-4.3.3-1].
        Stage::Released => acknowledge(version, AckKind::Pubrel, slot.packet_id, buffer),
    }
    way.sent += 1;
    true
}

/// Sends the PUBRELs that waited for the disk; how many.
pub fn send_pubrels(session: &mut Session, durable: Token, buffer: &mut Vec<u8>) -> u32 {
    let (version, mut sent) = (session.version, 0);
    if let Some(inflight) = session.delivery.inflight.as_deref_mut() {
        inflight.take_pubrels(durable, |packet_id| {
            acknowledge(version, AckKind::Pubrel, packet_id, buffer);
            sent += 1;
        });
    }
    sent
}

/// PUBACK, PUBREC or PUBCOMP from the client. Returns the merged subscription whose frame was acknowledged. One that
/// its identifier does not await is not allowed in that state, MQTT 5 section 4.13.1, [3.1.1: MQTT-4.8.0-1].
/// `waits_for_disk`: what it changes is durable before it is built on.
pub fn acked(
    session: &mut Session,
    ack: &Ack<'_>,
    messages: &mut Messages,
    waits_for_disk: bool,
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
            Acked::Done(delivered) => {
                session.delivery.forget(delivered.place);
                return Ok(None);
            }
            other => other,
        },
    };
    Ok(match acked {
        Acked::Done(delivered) => {
            // Also where the client refused it: nobody else gets it, [MQTT-4.8.2-6].
            messages.release(delivered.message);
            session.delivery.forget(delivered.place);
            delivered.merged
        }
        Acked::Release { first, message, merged } => {
            match session.delivery.lasting.as_ref().filter(|_| waits_for_disk) {
                Some(lasting) => inflight.owe_pubrel(ack.packet_id, lasting.token),
                None => acknowledge(session.version, AckKind::Pubrel, ack.packet_id, buffer), // [MQTT-4.3.3-4]
            }
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

/// PUBACKs from the client, as `acked` takes them one by one; `frames` are the merged subscriptions whose frames were
/// acknowledged. Returns how many were taken: the next one is not allowed.
pub fn acked_all(
    session: &mut Session,
    packet_ids: impl Iterator<Item = u16>,
    messages: &mut Messages,
    frames: &mut impl Extend<FrameOf>,
) -> usize {
    let Delivery { inflight, lasting, .. } = &mut session.delivery;
    let Some(inflight) = inflight else { return packet_ids.count() };
    let mut taken = 0;
    for packet_id in packet_ids {
        match inflight.puback(packet_id) {
            Acked::Done(delivered) => {
                messages.release(delivered.message);
                if let Some(lasting) = lasting {
                    lasting.forget(delivered.place);
                }
                frames.extend(delivered.merged);
            }
            Acked::Unknown => {}
            Acked::Mismatch | Acked::Release { .. } => break,
        }
        taken += 1;
    }
    taken
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

/// Appends a packet with `properties`, or without them where it would be larger than its reader takes; a packet that
/// is too large even so is left out.
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
        if buffer.len() - start > packet_bytes_max {
            buffer.truncate(start); // [MQTT-3.1.2-24]: and it counts as sent [MQTT-3.1.2-25]
        }
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
