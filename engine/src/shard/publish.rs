//! A PUBLISH at the publisher's home, from its receipt to the debt of its acknowledgement.

use super::Shard;
use super::asked::{Message, Target, carries_intent, judge_format, message_of};
use super::outage::not_kept;
use super::outbox::Outbox;
use super::receive::Flow;
use crate::clock::Now;
use crate::dialect::allowed_on_publish;
use crate::key::{Client, ConnId, SessionKey, Span};
use crate::row::batch::{Packet, Row, View};
use crate::row::graft::Fault;
use crate::session::acks::{OwedKind, Received};
use crate::wire::{AckKind, Publish, QoS, ReasonCode};

impl Shard {
    pub(super) fn publish(
        &mut self,
        now: Now,
        conn: ConnId,
        key: SessionKey,
        bytes: &[u8],
        publish: &Publish<'_>,
        out: &mut Outbox,
    ) -> Flow {
        let properties = publish.properties;
        if let Some((code, what)) = self.forbidden(conn, publish) {
            self.end(now, conn, code, what, out);
            return Flow::Gone;
        }
        let mut message = message_of(publish);
        if publish.retain && self.home.conns.is_classic(conn) {
            message = message.in_classic();
        }
        let target = self.takes_id(key, publish).and_then(|()| self.target(&message, allowed_on_publish));
        let target = target.and_then(|target| self.judge(publish, target));
        let needs_disk = self.needs_disk(publish, &target);
        let target = if needs_disk && out.store_failing { Err(not_kept()) } else { target };
        let target = if out.memory_full { self.if_memory(publish, target) } else { target };
        if publish.has_wildcard() && !carries_intent(&message) {
            let what = "a wildcard in a Topic Name"; // [MQTT-3.3.2-2]
            self.end(now, conn, ReasonCode::TopicNameInvalid, what, out);
            return Flow::Gone;
        }
        if !self.has_room(&target, needs_disk && target.is_ok(), out) {
            return Flow::Blocked;
        }
        match self.admit(now, conn, key, publish, out) {
            Ok(true) => {}
            Ok(false) => return Flow::Next,
            Err(()) => return Flow::Gone,
        }
        self.home.stats.publishes_received += 1;
        self.home.stats.publish_bytes_received += publish.payload.len() as u64;
        let mut packet = client_packet(Client { home: self.me, session: key }, publish, now);
        match target {
            // What every message is: the row lies in the receive buffer and nothing is copied.
            Ok(Target::Plain(topic)) if properties.is_empty() => {
                let rows = [Row {
                    topic: Span::within(bytes, topic.as_bytes()),
                    payload: Span::within(bytes, publish.payload),
                    text: false,
                }];
                if publish.retain && !self.is_told_by_ack(conn, publish.qos) {
                    packet.named = rows[0].topic;
                }
                (packet.ticket, packet.publish) = self.owe(key, publish, 1);
                let owner = self.roots.owner(topic);
                self.send_to_owner(now, owner, View { bytes, packet: &packet, rows: &rows, ask: None }, out);
            }
            Ok(Target::Get(question)) => {
                if let Err(fault) = self.get(key, publish, *question, out) {
                    self.refuse_publish(key, publish, &fault, out);
                }
            }
            Ok(target) => self.publish_spread(now, (conn, key), publish, (&target, &message), packet, out),
            Err(fault) => self.refuse_publish(key, publish, &fault, out),
        }
        if publish.qos > QoS::AtMostOnce {
            self.flush_acks(key, out);
        }
        Flow::Next
    }

    /// A publish with properties or with a verb: its rows are put together first.
    fn publish_spread(
        &mut self,
        now: Now,
        (conn, key): (ConnId, SessionKey),
        publish: &Publish<'_>,
        (target, message): (&Target<'_>, &Message<'_>),
        mut packet: Packet,
        out: &mut Outbox,
    ) {
        // Beyond a Response Topic: who cannot be told by the acknowledgement.
        let is_told_by_words = self.is_told_by_ack(conn, publish.qos)
            && self.home.sessions.get(key).is_some_and(|session| session.problem_information);
        if let Err(fault) = self.spread(target, message, !is_told_by_words, &mut packet) {
            return self.refuse_publish(key, publish, &fault, out);
        }
        if publish.retain && !self.is_told_by_ack(conn, publish.qos) {
            packet.named = self.scratch.keep(target.topic().as_bytes());
        }
        let says_version = publish.retain && matches!(target, Target::Asked(_));
        let owe = |shard: &mut Shard, parts| {
            let owed = shard.owe(key, publish, parts);
            if says_version && let Some(session) = shard.home.sessions.get_mut(key) {
                session.acks.say_version(owed.0);
            }
            owed
        };
        self.send_scratch(now, packet, owe, out);
    }

    /// Whether a publish is new. `Ok(false)`: it is a QoS 2 publish that was received before, [MQTT-4.3.3-10].
    fn admit(
        &mut self,
        now: Now,
        conn: ConnId,
        key: SessionKey,
        publish: &Publish<'_>,
        out: &mut Outbox,
    ) -> Result<bool, ()> {
        if publish.qos == QoS::AtMostOnce {
            return Ok(true);
        }
        let receive_max = self.home.config.session.receive_max;
        let received = match publish.qos {
            QoS::ExactlyOnce => Received::ExactlyOnce(publish.packet_id),
            _ => Received::AtLeastOnce,
        };
        let Some(session) = self.home.sessions.get_mut(key) else { return Err(()) };
        if session.version.is_v5() && session.acks.is_exhausted(received, receive_max) {
            self.end(
                now,
                conn,
                ReasonCode::ReceiveMaximumExceeded,
                "more unacknowledged publishes than Receive Maximum",
                out,
            );
            return Err(()); // MQTT 5 section 4.9: 0x93
        }
        if publish.qos != QoS::ExactlyOnce {
            return Ok(true);
        }
        let is_new = session.acks.receive(publish.packet_id);
        if !is_new {
            if !session.acks.is_owed(AckKind::Pubrec, publish.packet_id) {
                session.acks.owe_again(publish.packet_id);
                self.flush_acks(key, out);
            }
            return Ok(false);
        }
        // Where the disk is waited for it is written when its owners have answered.
        if !self.home.writing.waits_for_disk {
            self.home.writing.list(key, session);
            if let Some(lasting) = session.delivery.lasting.as_deref_mut() {
                lasting.received(publish.packet_id);
            }
        }
        Ok(true)
    }

    /// Whether a QoS 1 PUBLISH may have its Packet Identifier: not while a QoS 2 PUBLISH has it, [MQTT-2.2.1-3]. Before
    /// MQTT 5 nobody could be told, and one who lost the memory of its session would never be heard again. A QoS 2
    /// PUBLISH with it is the same again, [MQTT-4.3.3-10].
    fn takes_id(&self, key: SessionKey, publish: &Publish<'_>) -> Result<(), Fault> {
        if publish.qos != QoS::AtLeastOnce {
            return Ok(());
        }
        let session = self.home.sessions.get(key);
        let is_in_use =
            session.is_some_and(|session| session.version.is_v5() && session.acks.is_unreleased(publish.packet_id));
        if is_in_use {
            let what = "a QoS 2 publish has this packet identifier".to_owned();
            return Err(Fault { code: ReasonCode::PacketIdentifierInUse, at: None, what });
        }
        Ok(())
    }

    /// What closes the connection.
    fn forbidden(&mut self, conn: ConnId, publish: &Publish<'_>) -> Option<(ReasonCode, &'static str)> {
        if publish.retain && !self.home.config.retain_available && self.home.conns.is_v5(conn) {
            return Some((ReasonCode::RetainNotSupported, "RETAIN 1, but Retain Available is 0")); // [MQTT-3.2.2-14]
        }
        let properties = publish.properties;
        let has_id = !properties.is_empty() && properties.subscription_identifier().is_some(); // [MQTT-3.3.4-6]
        has_id.then_some((ReasonCode::ProtocolError, "a client sent a subscription identifier"))
    }

    /// Whether the acknowledgement can say that a publish was refused.
    fn is_told_by_ack(&mut self, conn: ConnId, qos: QoS) -> bool {
        qos > QoS::AtMostOnce && self.home.conns.is_v5(conn)
    }

    /// What is refused and leaves the connection open.
    fn judge<'a>(&self, publish: &Publish<'_>, target: Target<'a>) -> Result<Target<'a>, Fault> {
        if publish.retain && !self.home.config.retain_available {
            let what = "messages are not retained here".to_owned(); // MQTT 3.1.1, which was not told
            return Err(Fault { code: ReasonCode::RetainNotSupported, at: None, what });
        }
        // A tree is judged as JSON.
        if matches!(target, Target::Plain(_)) && !publish.properties.is_empty() {
            judge_format(publish.properties, publish.payload)?;
        }
        Ok(target)
    }

    /// Takes up the debt of an acknowledgement; QoS 0 has none. Returns the ticket, and the name of a publish whose parts
    /// are committed together.
    pub(super) fn owe(&mut self, key: SessionKey, publish: &Publish<'_>, parts: u32) -> (u32, u64) {
        let kind = match publish.qos {
            QoS::AtMostOnce => return (0, 0),
            QoS::AtLeastOnce => AckKind::Puback,
            QoS::ExactlyOnce => AckKind::Pubrec,
        };
        let Some(session) = self.home.sessions.get_mut(key) else { return (0, 0) };
        let ticket = session.acks.owe(OwedKind::Ack(kind), publish.packet_id, parts);
        if kind == AckKind::Pubrec && parts > 0 && session.delivery.lasting.is_some() {
            return (ticket, self.home.writing.spread(key, publish.packet_id, ticket, parts));
        }
        (ticket, 0)
    }
}

fn client_packet(publisher: Client, publish: &Publish<'_>, now: Now) -> Packet {
    Packet {
        wants_verdict: publish.qos > QoS::AtMostOnce,
        expires_at_ms: expires_at_ms(now, publish.properties.message_expiry()),
        ..Packet::new(publisher, publish.qos, publish.retain)
    }
}

pub(super) fn expires_at_ms(now: Now, expiry_s: Option<u32>) -> u64 {
    expiry_s.map_or(0, |seconds| now.wall_ms + u64::from(seconds) * 1000)
}
