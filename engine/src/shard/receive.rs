//! From the bytes of a socket to packets, and from packets to what they ask.

use super::Shard;
use super::conns::State;
use super::home::Note;
use super::outbox::{Order, Outbox};
use crate::clock::Now;
use crate::key::{ConnId, SessionKey};
use crate::limits::{CONNECT_BYTES_MAX, SEND_STOP_READING_BYTES};
use crate::session::Session;
use crate::session::acks::OwedKind;
use crate::session::deliver::{acked, acknowledge, encode_within};
use crate::session::inflight::FrameOf;
use crate::wire::{
    Ack, AckKind, Disconnect, Fault, Header, Packet, Property, PropertyBuffer, ReasonCode, Version, connect_version,
    decode_patterns, encode, peek,
};

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    Next,
    /// It needs something that has no room: keep it and stop reading.
    Blocked,
    /// It comes sooner than its client may send it: keep it and stop reading for a while.
    Early,
    /// The connection is closed.
    Gone,
    /// It is another shard's: what follows the packet goes along.
    Moved,
}

impl Shard {
    /// Bytes of a socket, split anywhere.
    pub(super) fn receive(&mut self, now: Now, conn: ConnId, bytes: &[u8], out: &mut Outbox) {
        let Some(this) = self.home.conns.get(conn) else { return };
        this.last_heard_ms = now.mono_ms;
        self.home.stats.bytes_received += bytes.len() as u64;
        let is_rated = this.rate.as_mut().map(|rate| rate.received(bytes.len())).is_some();
        if this.is_blocked {
            return this.carry.extend_from_slice(bytes);
        }
        if let Some(rest) = self.complete_carry(now, conn, bytes, out) {
            self.receive_all(now, conn, rest, out);
        }
        if is_rated {
            self.slow_down(now, conn, out);
        }
    }

    /// The packet that `carry` begins is completed from `bytes`; the rest of `bytes` is returned.
    fn complete_carry<'b>(&mut self, now: Now, conn: ConnId, bytes: &'b [u8], out: &mut Outbox) -> Option<&'b [u8]> {
        let mut rest = bytes;
        loop {
            let this = self.home.conns.get(conn)?;
            let packet_bytes_max = this.packet_bytes_max;
            if this.carry.is_empty() {
                return Some(rest);
            }
            let is_fresh = this.state == State::Fresh;
            let missing = match look(is_fresh, &this.carry, packet_bytes_max) {
                Ok(Some(header)) => header.total_len - this.carry.len(),
                Ok(None) => 1, // a byte more
                Err(fault) => {
                    let carry = std::mem::take(&mut this.carry);
                    self.refuse_bytes(now, conn, is_fresh, &carry, fault, out);
                    return None;
                }
            };
            if rest.len() < missing {
                self.keep_unfinished(now, conn, rest, out);
                return None;
            }
            this.carry.extend_from_slice(&rest[..missing]);
            rest = &rest[missing..];
            let is_whole = |header: Option<Header>| header.is_some_and(|header| header.total_len == this.carry.len());
            if look(is_fresh, &this.carry, packet_bytes_max).is_ok_and(is_whole) {
                let packet = std::mem::take(&mut this.carry);
                match self.packet(now, conn, &packet, out) {
                    Flow::Next => {}
                    Flow::Blocked => {
                        self.block(conn, &[&packet, rest], out);
                        return None;
                    }
                    Flow::Early => {
                        self.hold_publishes(now, conn, &[&packet, rest], out);
                        return None;
                    }
                    Flow::Gone => return None,
                    Flow::Moved => {
                        self.carry_along(rest, out);
                        return None;
                    }
                }
            }
        }
    }

    /// All complete packets of `bytes`; what is left is carried.
    fn receive_all(&mut self, now: Now, conn: ConnId, bytes: &[u8], out: &mut Outbox) {
        let Some(this) = self.home.conns.get(conn) else { return };
        let (mut is_fresh, packet_bytes_max) = (this.state == State::Fresh, this.packet_bytes_max);
        let mut rest = bytes;
        let work_max = self.subtree.samples.done() + self.home.config.limits.work_per_turn as u64;
        while !rest.is_empty() {
            if self.subtree.samples.done() >= work_max {
                self.home.has_yielded = true;
                return self.block(conn, &[rest], out);
            }
            let header = match look(is_fresh, rest, packet_bytes_max) {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(fault) => return self.refuse_bytes(now, conn, is_fresh, rest, fault, out),
            };
            let Some((packet, after)) = rest.split_at_checked(header.total_len) else { break };
            let passed = self.pass_run(now, conn, rest, &header, out);
            if passed > 0 {
                rest = &rest[passed..];
                continue;
            }
            match self.packet(now, conn, packet, out) {
                // Who goes on after CONNECT was accepted.
                Flow::Next => (rest, is_fresh) = (after, false),
                Flow::Blocked => return self.block(conn, &[rest], out),
                Flow::Early => return self.hold_publishes(now, conn, &[rest], out),
                Flow::Gone => return,
                Flow::Moved => return self.carry_along(after, out),
            }
        }
        if !rest.is_empty() {
            self.keep_unfinished(now, conn, rest, out);
        }
    }

    fn receive_carry(&mut self, now: Now, conn: ConnId, out: &mut Outbox) {
        let Some(this) = self.home.conns.get(conn) else { return };
        let bytes = std::mem::take(&mut this.carry);
        self.receive_all(now, conn, &bytes, out);
    }

    /// What follows a CONNECT goes with it to its home, and is counted there.
    fn carry_along(&mut self, bytes: &[u8], out: &mut Outbox) {
        if let Some(handover) = out.handovers.last_mut() {
            handover.bytes.extend_from_slice(bytes);
            self.home.stats.bytes_received -= bytes.len() as u64;
        }
    }

    /// Keeps the bytes and stops reading.
    fn block(&mut self, conn: ConnId, parts: &[&[u8]], out: &mut Outbox) {
        let Some(this) = self.home.conns.get(conn) else { return };
        this.keep(parts);
        this.waits_to_drain = out.sends.unsent(conn) > SEND_STOP_READING_BYTES;
        if this.waits_to_drain {
            out.sends.watch(conn);
        } else {
            self.home.blocked.push(conn);
        }
        // Not said again by who tries in vain: an order makes the loop look again, and it would never sleep.
        if !std::mem::replace(&mut this.is_paused, true) {
            out.orders.push(Order::Pause(conn));
        }
    }

    /// Tries those that are blocked again, in turns, until as much was done for them as for one client in a turn.
    pub(super) fn go_on_reading_blocked(&mut self, now: Now, out: &mut Outbox) {
        self.home.has_yielded = false;
        let work_max = self.subtree.samples.done() + self.home.config.limits.work_per_turn as u64;
        let mut waiting = std::mem::take(&mut self.home.blocked).into_iter();
        while self.subtree.samples.done() < work_max
            && let Some(conn) = waiting.next()
        {
            self.unblock(now, conn, out);
        }
        if waiting.len() > 0 {
            self.home.has_yielded = true;
            // Behind those whose turn comes first.
            let again = std::mem::replace(&mut self.home.blocked, waiting.collect());
            self.home.blocked.extend(again);
        }
    }

    /// Tries a blocked connection again.
    pub(super) fn unblock(&mut self, now: Now, conn: ConnId, out: &mut Outbox) {
        let Some(this) = self.home.conns.get(conn) else { return };
        this.is_blocked = false;
        self.receive_carry(now, conn, out);
        if self.home.conns.get(conn).is_some_and(|this| !this.is_blocked) {
            self.read_on(now, conn, out);
        }
    }

    /// Nothing that came of a connection waits any more: it is read again, unless it is too early for that.
    pub(super) fn read_on(&mut self, now: Now, conn: ConnId, out: &mut Outbox) {
        self.slow_down(now, conn, out);
        let Some(this) = self.home.conns.get(conn) else { return };
        if this.rate.as_ref().is_none_or(|rate| rate.due_ms.is_none()) {
            this.last_heard_ms = now.mono_ms; // what it said meanwhile lies unread in its socket
            this.is_paused = false;
            out.orders.push(Order::Resume(conn));
        }
    }

    /// One packet, counted where it was taken.
    fn packet(&mut self, now: Now, conn: ConnId, bytes: &[u8], out: &mut Outbox) -> Flow {
        let flow = self.take_packet(now, conn, bytes, out);
        self.home.stats.packets_received += u64::from(matches!(flow, Flow::Next | Flow::Gone));
        flow
    }

    fn take_packet(&mut self, now: Now, conn: ConnId, bytes: &[u8], out: &mut Outbox) -> Flow {
        let Some(this) = self.home.conns.get(conn) else { return Flow::Gone };
        let (state, version) = (this.state, this.version);
        let is_rated = this.rate.is_some() && is_publish(bytes);
        if is_rated && this.rate.as_mut().is_some_and(|rate| !rate.may_publish(now)) {
            return Flow::Early;
        }
        if out.sends.unsent(conn) > SEND_STOP_READING_BYTES || this.connack.is_some() {
            return Flow::Blocked; // it asks for more than it takes
        }
        let packet = match decode_patterns(version, bytes) {
            Ok(packet) => packet,
            Err(fault) => {
                self.refuse_bytes(now, conn, state == State::Fresh, bytes, fault, out);
                return Flow::Gone;
            }
        };
        let flow = match state {
            // Nothing is answered before CONNECT [MQTT-3.2.0-1] [3.1.1: MQTT-3.2.0-1] [3.1.1: MQTT-3.1.0-1].
            State::Fresh => match packet {
                Packet::Connect(connect) => {
                    let flow = self.connect(now, conn, &connect, bytes, out);
                    self.home.stats.connects += u64::from(flow != Flow::Moved);
                    flow
                }
                _ => self.protocol_error(now, conn, BEFORE_CONNECT.what, out),
            },
            State::Live(session) => self.packet_of_session(now, conn, session, bytes, packet, out),
            State::Free => Flow::Gone,
        };
        if is_rated && flow == Flow::Next {
            self.home.conns.get(conn).and_then(|this| this.rate.as_mut()).into_iter().for_each(|rate| rate.published());
        }
        flow
    }

    fn packet_of_session(
        &mut self,
        now: Now,
        conn: ConnId,
        session: SessionKey,
        bytes: &[u8],
        packet: Packet<'_>,
        out: &mut Outbox,
    ) -> Flow {
        match packet {
            Packet::Publish(publish) => self.publish_named(now, conn, session, bytes, &publish, out),
            Packet::Ack(ack) => self.ack(now, conn, session, &ack, out),
            Packet::Subscribe(subscribe) if out.memory_full => self.refuse_for_memory(session, &subscribe, out),
            Packet::Subscribe(subscribe) if self.cannot_subscribe(session, out) => {
                self.refuse_for_disk(session, &subscribe, out)
            }
            Packet::Subscribe(_) | Packet::Unsubscribe(_) if !self.takes_subscriptions(session, out) => Flow::Blocked,
            Packet::Subscribe(subscribe) => self.subscribe(now, session, &subscribe, out),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(session, &unsubscribe, out),
            Packet::Pingreq => {
                // [3.1.1: MQTT-3.12.4-1]
                encode(Version::V311, &Packet::Pingresp, out.sends.buffer(conn)); // [MQTT-3.12.4-1]
                Flow::Next
            }
            Packet::Disconnect(disconnect) if disconnect.reason.is_of_server() => {
                self.protocol_error(now, conn, "DISCONNECT with a reason that only a server has", out)
            }
            Packet::Disconnect(disconnect) => self.disconnect(now, conn, session, &disconnect, out),
            Packet::Connect(_) => self.protocol_error(now, conn, SECOND_CONNECT.what, out), // [MQTT-3.1.0-2]
            // No connection has a method [MQTT-4.12.0-7], so none can use it anew [MQTT-4.12.1-2].
            Packet::Auth(_) => self.protocol_error(now, conn, "AUTH without an authentication method", out),
            Packet::Connack(_) | Packet::Suback(_) | Packet::Unsuback(_) | Packet::Pingresp => {
                self.protocol_error(now, conn, "a packet that only a server sends", out)
            }
        }
    }

    /// Whether owners have room for wishes and, for a session that lasts, the store for what it is to remember of them:
    /// a client that goes on would fill the memory of either.
    fn takes_subscriptions(&self, key: SessionKey, out: &Outbox) -> bool {
        let is_lasting = |session: &Session| session.delivery.lasting.is_some();
        let is_stopped = out.store_full || out.store_failing && self.home.writing.waits_for_disk;
        let has_room = !is_stopped || !self.home.sessions.get(key).is_some_and(is_lasting);
        has_room && !self.home.has_many_asks()
    }

    fn ack(&mut self, now: Now, conn: ConnId, key: SessionKey, ack: &Ack<'_>, out: &mut Outbox) -> Flow {
        let Some(session) = self.home.sessions.get_mut(key) else { return Flow::Gone };
        if ack.kind == AckKind::Pubrel {
            // Whether or not the message has expired [MQTT-4.3.3-13].
            let known = session.acks.release(ack.packet_id);
            if known && self.release_is_owed(key, ack.packet_id) {
                self.flush_acks(key, out);
                return Flow::Next;
            }
            let Some(session) = self.home.sessions.get_mut(key) else { return Flow::Gone };
            if !known && session.acks.is_owed(AckKind::Pubcomp, ack.packet_id) {
                return Flow::Next;
            }
            let reason = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
            // PUBCOMP says nothing in words [MQTT-3.7.2-2] [MQTT-3.7.2-3].
            let (version, buffer) = (session.version, out.sends.buffer(conn));
            if known || !version.is_v5() {
                acknowledge(version, AckKind::Pubcomp, ack.packet_id, buffer); // [MQTT-4.3.3-11]
            } else {
                let ack =
                    Ack { kind: AckKind::Pubcomp, packet_id: ack.packet_id, reason, properties: Default::default() };
                encode(version, &Packet::Ack(ack), buffer);
            }
            return Flow::Next;
        }
        if ack.reason == ReasonCode::NoMatchingSubscribers {
            return self.protocol_error(now, conn, "a reason that only a server has", out); // [MQTT-3.4.2-1] [MQTT-3.5.2-1]
        }
        self.home.writing.list(key, session);
        let waits_for_disk = self.home.writing.waits_for_disk;
        let buffer = out.sends.open_buffer(conn);
        let before = buffer.len();
        let acked = acked(session, ack, &mut self.home.messages, waits_for_disk, buffer);
        let is_answered = buffer.len() > before;
        out.sends.count(conn, u32::from(is_answered));
        let merged = match acked {
            Ok(merged) => merged,
            Err(fault) => {
                self.fail(now, conn, fault, out);
                return Flow::Gone;
            }
        };
        self.window_opened(now, key, merged.as_slice(), out);
        Flow::Next
    }

    /// The window of a session has room again; `frames` are those that were acknowledged.
    pub(super) fn window_opened(&mut self, now: Now, key: SessionKey, frames: &[FrameOf], out: &mut Outbox) {
        if self.home.is_window_due(now, key) {
            self.home.pump(now, key, out);
        }
        self.go_on_reading(key, frames, out);
    }

    /// What waited for the window of a session, beside its queue, goes on.
    fn go_on_reading(&mut self, key: SessionKey, frames: &[FrameOf], out: &mut Outbox) {
        self.home.look_at_member(key);
        for frame in frames {
            self.home.frame_acked(key, *frame, out);
        }
        let Some(session) = self.home.sessions.get_mut(key) else { return };
        if std::mem::take(&mut session.is_awaited) || !session.walks.is_empty() {
            self.home.catch_up(key, out);
        }
    }

    /// What could have been sent has waited long enough for more room in the window.
    pub(super) fn window_is_due(&mut self, now: Now, key: SessionKey, out: &mut Outbox) {
        if let Some(session) = self.home.sessions.get_mut(key) {
            session.delivery.is_refilling = false;
            self.home.pump(now, key, out);
            // Without a further timer: what waits still waits for an acknowledgement, or for the socket.
            self.go_on_reading(key, &[], out);
        }
    }

    /// A QoS 2 publish is released: written, and whether PUBCOMP is owed until that is durable. Sent before, the client
    /// could use the identifier again, and after a crash the new message would be taken for the old one.
    fn release_is_owed(&mut self, key: SessionKey, packet_id: u16) -> bool {
        let Some(session) = self.home.sessions.get_mut(key) else { return false };
        let token = self.home.writing.list(key, session);
        let Some(lasting) = session.delivery.lasting.as_deref_mut() else { return false };
        lasting.released(packet_id);
        if self.home.writing.waits_for_disk {
            let ticket = session.acks.owe(OwedKind::Ack(AckKind::Pubcomp), packet_id, 0);
            session.acks.hold(ticket, token);
        }
        self.home.writing.waits_for_disk
    }

    /// Bytes that are no packet: CONNACK or DISCONNECT with the reason where there is one to read it.
    pub(super) fn refuse_bytes(
        &mut self,
        now: Now,
        conn: ConnId,
        is_fresh: bool,
        bytes: &[u8],
        fault: Fault,
        out: &mut Outbox,
    ) {
        if is_fresh && is_connect(bytes) {
            self.refuse_connect_bytes(conn, bytes, fault, out);
        } else if fault.code == ReasonCode::UnsupportedProtocolVersion {
            self.fail(now, conn, SECOND_CONNECT, out); // DISCONNECT has no such code
        } else {
            self.fail(now, conn, fault, out);
        }
    }

    pub(super) fn protocol_error(&mut self, now: Now, conn: ConnId, what: &'static str, out: &mut Outbox) -> Flow {
        self.fail(now, conn, Fault::protocol(what), out);
        Flow::Gone
    }

    pub(super) fn fail(&mut self, now: Now, conn: ConnId, fault: Fault, out: &mut Outbox) {
        // [MQTT-4.13.1-1] [3.1.1: MQTT-4.8.0-1]
        self.end(now, conn, fault.code, fault.what, out);
    }

    /// The broker ends a connection: DISCONNECT with the reason in MQTT 5, a silent close before. The will is due.
    pub(super) fn end(&mut self, now: Now, conn: ConnId, code: ReasonCode, what: &'static str, out: &mut Outbox) {
        let Some(this) = self.home.conns.get(conn) else { return };
        let (state, version, is_answered) = (this.state, this.version, this.connack.is_none());
        // DISCONNECT only after CONNACK [MQTT-3.14.0-1], with a reason of its own [MQTT-4.13.2-1].
        if let State::Live(key) = state {
            if version.is_v5() && is_answered {
                let session = self.home.sessions.get(key);
                let wants_words = session.is_some_and(|session| session.problem_information);
                let packet_bytes_max = session.map_or(usize::MAX, |session| session.packet_bytes_max);
                let buffer = out.sends.buffer(conn);
                say_disconnect(code, if wants_words { what } else { "" }, packet_bytes_max, buffer);
            }
            self.home.notes.push(Note { conn, what });
            self.detach(now, key, true);
        } else {
            self.home.notes.push(Note { conn, what });
        }
        self.close(conn, out);
    }

    /// Sends what is owed, then closes.
    pub(super) fn close(&mut self, conn: ConnId, out: &mut Outbox) {
        // The engine has forgotten it: nothing more is read [MQTT-3.1.4-6] [3.1.1: MQTT-3.1.4-5] or said
        // [MQTT-3.14.4-1], and it is closed [MQTT-3.14.4-2] [MQTT-3.2.2-7] [3.1.1: MQTT-3.2.2-5].
        self.home.conns.free(conn);
        self.home.stats.connections -= 1;
        out.orders.push(Order::Close(conn));
    }
}

/// [MQTT-3.2.2-15]
const TOO_LARGE: Fault =
    Fault { code: ReasonCode::PacketTooLarge, what: "the packet is larger than the Maximum Packet Size" };
/// [3.1.1: MQTT-3.1.0-2]
const SECOND_CONNECT: Fault = Fault::protocol("a second CONNECT");
const BEFORE_CONNECT: Fault = Fault::protocol("a packet before CONNECT");

fn is_connect(bytes: &[u8]) -> bool {
    const CONNECT: u8 = 0x10;
    is_of_type(bytes, CONNECT)
}

fn is_publish(bytes: &[u8]) -> bool {
    const PUBLISH: u8 = 0x30;
    is_of_type(bytes, PUBLISH)
}

fn is_of_type(bytes: &[u8], first_nibble: u8) -> bool {
    bytes.first().is_some_and(|first| first & 0xF0 == first_nibble)
}

/// What the first bytes of a packet say, and whether the packet is worth gathering. `None`: more bytes are needed.
#[inline]
fn look(is_fresh: bool, bytes: &[u8], packet_bytes_max: usize) -> Result<Option<Header>, Fault> {
    if is_fresh {
        return look_at_first(bytes, packet_bytes_max);
    }
    match peek(bytes)? {
        Some(header) if header.total_len > packet_bytes_max => Err(TOO_LARGE),
        header => Ok(header),
    }
}

/// The same for the packet that must be a CONNECT: nothing is gathered for anything else, [MQTT-3.1.0-1]. One that is
/// too large is refused when it has said its version, which decides how.
fn look_at_first(bytes: &[u8], packet_bytes_max: usize) -> Result<Option<Header>, Fault> {
    /// Protocol Name and Level at their longest.
    const VERSION_BYTES_MAX: usize = 2 + b"MQIsdp".len() + 1;
    if !is_connect(bytes) {
        return Err(BEFORE_CONNECT);
    }
    let Some(header) = peek(bytes)? else { return Ok(None) };
    if header.total_len <= packet_bytes_max.min(CONNECT_BYTES_MAX) {
        return Ok(Some(header));
    }
    let has_version = connect_version(bytes).is_some() || bytes.len() >= header.header_len + VERSION_BYTES_MAX;
    if has_version { Err(TOO_LARGE) } else { Ok(None) }
}

/// Appends a DISCONNECT; `what` may be empty, and is left out where it does not fit, [MQTT-3.14.2-3].
pub(super) fn say_disconnect(reason: ReasonCode, what: &str, packet_bytes_max: usize, buffer: &mut Vec<u8>) {
    // Neither a Session Expiry Interval [MQTT-3.14.2-2] nor a user property [MQTT-3.14.2-4].
    let mut properties = PropertyBuffer::new();
    if !what.is_empty() {
        properties.push(&Property::ReasonString(what));
    }
    encode_within(Version::V5, packet_bytes_max, properties.as_properties(), buffer, |properties| {
        Packet::Disconnect(Disconnect { reason, properties })
    });
}
