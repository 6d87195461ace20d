//! A PUBLISH at the publisher's home: intent, rows, owners, and what the publisher is answered.

use super::home::takes_more;
use super::outbox::Outbox;
use super::parcel::{UpItem, Verdict};
use super::receive::Flow;
use super::subtree::Origin;
use super::{Shard, owner_side};
use crate::clock::Now;
use crate::dialect::{Intent, Parsed, Verb, allowed_on_publish, allowed_on_will, combine, find_property, is_consumed};
use crate::dialect::{parse_prefix, parse_property};
use crate::key::{Client, ConnId, SessionKey, ShardId, Span};
use crate::limits::STRING_BYTES_MAX;
use crate::row::batch::{Packet, Row, View};
use crate::row::graft::{Bounds, Fault, graft};
use crate::row::json::write_string;
use crate::session::acks::{Due, OwedKind, Received};
use crate::session::deliver::encode_within;
use crate::session::inflight::Token;
use crate::session::will::Will;
use crate::topic::check_name;
use crate::wire::{self, Ack, AckKind, Properties, Property, PropertyBuffer, Publish, PublishHead, QoS, ReasonCode};

/// A message on its way to its owners, from a client or as a will.
#[derive(Clone, Copy)]
struct Message<'a> {
    /// As written, with its intent.
    topic: &'a str,
    payload: &'a [u8],
    /// Value of the user property `mote` that holds an intent; or what is wrong with several.
    mote: Result<Option<&'a str>, &'static str>,
    is_text: bool,
}

/// What a publish is, its intent taken off.
#[derive(Clone, Copy)]
enum Target<'a> {
    Plain(&'a str),
    /// A tree publish under this pattern.
    Tree(&'a str),
}

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
        let message = message_of(publish);
        let target = self.takes_id(key, publish).and_then(|()| self.target(&message, allowed_on_publish));
        let target = target.and_then(|target| self.judge(publish, target));
        if publish.has_wildcard() && !carries_intent(&message) {
            let what = "a wildcard in a Topic Name"; // [MQTT-3.3.2-2]
            self.end(now, conn, ReasonCode::TopicNameInvalid, what, out);
            return Flow::Gone;
        }
        let is_stored = publish.retain || publish.qos > QoS::AtMostOnce && self.home.writing.waits_for_disk;
        if !self.has_room(&target, is_stored, out) {
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
                    topic: span_in(bytes, topic.as_bytes()),
                    payload: span_in(bytes, publish.payload),
                    text: false,
                }];
                if publish.retain && !self.is_told_by_ack(conn, publish.qos) {
                    packet.named = rows[0].topic;
                }
                (packet.ticket, packet.publish) = self.owe(key, publish, 1);
                self.send_to_owner(now, View { bytes, packet: &packet, rows: &rows }, out);
            }
            Ok(target) => {
                let rows = self.spread(&target, &message, properties, &mut packet);
                if publish.retain && !self.is_told_by_ack(conn, publish.qos) {
                    let (Target::Plain(named) | Target::Tree(named)) = target;
                    packet.named = self.scratch.keep(named.as_bytes());
                }
                match rows {
                    Ok(()) => self.send_scratch(now, packet, |shard, parts| shard.owe(key, publish, parts), out),
                    Err(fault) => self.refuse_publish(key, publish, &fault, out),
                }
            }
            Err(fault) => self.refuse_publish(key, publish, &fault, out),
        }
        if publish.qos > QoS::AtMostOnce {
            self.flush_acks(key, out);
        }
        Flow::Next
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

    /// Reads the intent off a message and judges its topic.
    fn target<'a>(
        &self,
        message: &Message<'a>,
        is_allowed: fn(Intent<'_>) -> Result<(), &'static str>,
    ) -> Result<Target<'a>, Fault> {
        let levels_max = self.home.config.limits.topic_levels;
        let bad = |what: &str| Fault { code: ReasonCode::TopicNameInvalid, at: None, what: what.to_owned() };
        let may_carry_intent = message.mote != Ok(None) || message.topic.starts_with('$');
        if !may_carry_intent {
            return check_name(message.topic, levels_max).map(|()| Target::Plain(message.topic)).map_err(bad);
        }
        let (prefix, topic) = match parse_prefix(message.topic) {
            Parsed::Plain(topic) => (None, topic),
            Parsed::Intent(intent, topic) => (Some(intent), topic),
            Parsed::Bad(what) => return Err(bad(what)),
        };
        let property = message.mote.map_err(bad)?.map_or(Ok(None), parse_property).map_err(bad)?;
        let is_reserved = ["$error", "$conflict", "$SYS"].contains(&topic.split('/').next().unwrap_or_default());
        let reserved = || Fault { code: ReasonCode::NotAuthorized, ..bad("only the broker publishes there") };
        let Some(intent) = combine(prefix, property).map_err(bad)? else {
            check_name(topic, levels_max).map_err(bad)?;
            return if is_reserved { Err(reserved()) } else { Ok(Target::Plain(topic)) };
        };
        if is_reserved {
            return Err(reserved());
        }
        is_allowed(intent).map_err(bad)?;
        if intent.verb != Verb::Tree || !intent.options.is_empty() {
            let code = ReasonCode::ImplementationSpecificError;
            return Err(Fault { code, ..bad("this broker does not know that verb or option yet") });
        }
        Ok(Target::Tree(topic))
    }

    /// Whether every owner that the message may reach can take it now.
    fn has_room(&self, target: &Result<Target<'_>, Fault>, is_stored: bool, out: &Outbox) -> bool {
        if is_stored && out.store_full {
            return false;
        }
        if self.home.shards == 1 {
            return true;
        }
        let has_room = |owner: ShardId| {
            let lane = if owner == self.me { out.has_down_room() } else { out.has_up_room(owner) };
            lane && self.home.asks[owner.index()].is_empty()
        };
        match target {
            Ok(Target::Plain(topic)) => has_room(self.roots.owner(topic)),
            Ok(Target::Tree(_)) => (0..self.home.shards).map(ShardId).all(has_room),
            Err(_) => true,
        }
    }

    /// Fills the scratch batch with the rows and properties of a message.
    fn spread(
        &mut self,
        target: &Target<'_>,
        message: &Message<'_>,
        properties: Properties<'_>,
        packet: &mut Packet,
    ) -> Result<(), Fault> {
        self.scratch.clear();
        match *target {
            Target::Plain(topic) => {
                let row = Row {
                    topic: self.scratch.keep(topic.as_bytes()),
                    payload: self.scratch.keep(message.payload),
                    text: message.is_text,
                };
                self.scratch.rows.push(row);
            }
            Target::Tree(pattern) => {
                let limits = &self.home.config.limits;
                let bounds = Bounds { rows: limits.tree_rows, levels: limits.topic_levels };
                graft(pattern, message.payload, &bounds, &mut self.scratch)?;
            }
        }
        let start = self.scratch.bytes.len();
        properties.forwarded(&mut self.scratch.bytes, is_consumed);
        packet.properties = Span::new(start, self.scratch.bytes.len() - start);
        packet.row_count = self.scratch.rows.len() as u32;
        Ok(())
    }

    /// Sends the rows of the scratch batch to their owners, one part per group. `owe` is told how many parts answer.
    fn send_scratch(
        &mut self,
        now: Now,
        mut packet: Packet,
        owe: impl FnOnce(&mut Shard, u32) -> (u32, u64),
        out: &mut Outbox,
    ) {
        let scratch = std::mem::take(&mut self.scratch);
        if let [_] = scratch.rows[..] {
            (packet.ticket, packet.publish) = owe(self, 1);
            self.send_to_owner(now, View { bytes: &scratch.bytes, packet: &packet, rows: &scratch.rows }, out);
            self.scratch = scratch;
            return;
        }
        let parts = self.parts_by_group(&scratch.bytes, &scratch.rows);
        (packet.ticket, packet.publish) = owe(self, parts.len() as u32);
        for rows in &parts {
            packet.row_count = rows.len() as u32;
            self.send_to_owner(now, View { bytes: &scratch.bytes, packet: &packet, rows }, out);
        }
        self.scratch = scratch;
    }

    /// Rows by group, in the order in which the groups first come; the rows of one keep their order.
    fn parts_by_group(&self, bytes: &[u8], rows: &[Row]) -> Vec<Vec<Row>> {
        let topic = |row: &Row| row.topic.text_of(bytes);
        let mut parts: Vec<Vec<Row>> = Vec::new();
        let mut part_of_group: Vec<Option<usize>> = vec![None; crate::limits::GROUPS];
        let mut last: Option<(&str, usize)> = None;
        for row in rows {
            let root = self.roots.root_of(topic(row));
            let part = match last {
                Some((same, part)) if same == root => part,
                _ => {
                    let group = self.roots.group(topic(row));
                    *part_of_group[group.index()].get_or_insert_with(|| {
                        parts.push(Vec::new());
                        parts.len() - 1
                    })
                }
            };
            parts[part].push(*row);
            last = Some((root, part));
        }
        parts
    }

    /// Rows of one group go to their owner: by call where that is this shard, else by link.
    fn send_to_owner(&mut self, now: Now, view: View<'_>, out: &mut Outbox) {
        let owner = self.roots.owner(view.topic(&view.rows[0]));
        if owner != self.me {
            let up = out.up_to(owner);
            let index = up.batch.copy_packet(view);
            up.items.push(UpItem::Packet { index });
            return;
        }
        let (subtree, roots, mut reach) = owner_side!(self, now, out);
        let verdict = subtree.apply(now, view, Origin::Local, roots, &mut reach);
        if let Verdict::Refused(code) = verdict
            && !view.packet.named.is_empty()
        {
            let named = view.packet.named.text_of(view.bytes);
            self.say_refused(view.packet.publisher.session, code, named, out);
        }
        if view.packet.wants_verdict {
            let Packet { publisher, ticket, publish, .. } = *view.packet;
            self.home.settle_verdict(publisher.session, ticket, publish, verdict);
        }
    }

    /// Takes up the debt of an acknowledgement; QoS 0 has none. Returns the ticket, and the name of a publish whose parts
    /// are committed together.
    fn owe(&mut self, key: SessionKey, publish: &Publish<'_>, parts: u32) -> (u32, u64) {
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

    /// A publish that changes nothing: MQTT 5 says so in the acknowledgement; else a message to the publisher alone.
    fn refuse_publish(&mut self, key: SessionKey, publish: &Publish<'_>, fault: &Fault, out: &mut Outbox) {
        let (ticket, _) = self.owe(key, publish, 0);
        let Some(session) = self.home.sessions.get_mut(key) else { return };
        if session.version.is_v5() && publish.qos > QoS::AtMostOnce {
            session.acks.refuse(ticket, fault.code, &fault.what);
            return;
        }
        let topic = match parse_prefix(publish.topic) {
            Parsed::Intent(_, topic) | Parsed::Plain(topic) => topic,
            Parsed::Bad(_) => publish.topic.split_once('/').map_or("", |(_, rest)| rest),
        };
        self.say_error(key, fault, topic, out);
    }

    /// An owner refused a publish whose acknowledgement, if it has one, cannot say so.
    pub(super) fn say_refused(&mut self, key: SessionKey, code: ReasonCode, topic: &str, out: &mut Outbox) {
        let fault = Fault { code, at: None, what: refused_by_owner(code).to_owned() };
        self.say_error(key, &fault, topic, out);
    }

    /// The message to a publisher alone that says what is wrong with its publish. Who does not read gets none.
    fn say_error(&mut self, key: SessionKey, fault: &Fault, topic: &str, out: &mut Outbox) {
        let Some(session) = self.home.sessions.get_mut(key) else { return };
        let Some(conn) = session.conn.filter(|_| takes_more(session, out)) else { return };
        let version = session.version;
        let body = error_body(fault, topic);
        let error_topic = error_topic(topic);
        let head = PublishHead {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: &error_topic,
            packet_id: 0,
            forwarded: &[],
            message_expiry: None,
            subscription_ids: &[],
            extra: &[],
            payload_len: body.len(),
        };
        if head.encoded_len(version) <= session.packet_bytes_max {
            let buffer = out.sends.buffer(conn);
            head.encode(version, buffer);
            buffer.extend_from_slice(&body);
            self.home.stats.publishes_sent += 1;
            self.home.stats.publish_bytes_sent += body.len() as u64;
        }
    }

    /// Sends the acknowledgements that may leave, in their order.
    pub(super) fn flush_acks(&mut self, key: SessionKey, out: &mut Outbox) {
        let durable = self.home.writing.way_durable().unwrap_or(Token::MAX);
        while let Some(session) = self.home.sessions.get_mut(key) {
            let Some(due) = session.acks.pop_due(durable) else { return };
            if due.reason.is_error() && matches!(due.kind, OwedKind::Ack(AckKind::Pubrec)) {
                self.home.writing.list(key, session);
                if let Some(lasting) = session.delivery.lasting.as_deref_mut() {
                    lasting.released(due.packet_id); // it was refused, so it was not received
                }
            }
            let Some(conn) = session.conn.filter(|_| !due.is_silent) else { continue };
            let version = session.version;
            let mut properties = PropertyBuffer::new();
            if session.problem_information && version.is_v5() {
                explain(&due, &mut properties); // [MQTT-3.1.2-29]
            }
            let packet_bytes_max = session.packet_bytes_max;
            let buffer = out.sends.buffer(conn);
            match due.kind {
                // When all owners have it [MQTT-4.3.2-4] [MQTT-4.3.3-8] [3.1.1: MQTT-4.3.2-2] [3.1.1: MQTT-4.3.3-2];
                // by the identifier of its PUBLISH [MQTT-2.2.1-5] [3.1.1: MQTT-2.3.1-6]; never with a user property
                // [MQTT-3.4.2-3] [MQTT-3.5.2-3]. PUBACK or PUBREC by its QoS [MQTT-3.3.4-1] [3.1.1: MQTT-3.3.4-1], one for
                // each PUBLISH, whatever came by the same identifier before [MQTT-4.3.2-5] [3.1.1: MQTT-4.3.2-2].
                OwedKind::Ack(kind) => {
                    // MQTT 3.1.1 acknowledges what it refuses too [3.1.1: MQTT-3.3.5-2].
                    let reason = if version.is_v5() { due.reason } else { ReasonCode::Success };
                    encode_within(version, packet_bytes_max, properties.as_properties(), buffer, |properties| {
                        wire::Packet::Ack(Ack { kind, packet_id: due.packet_id, reason, properties }) // [MQTT-3.4.2-2] [MQTT-3.5.2-2]
                    });
                }
                // [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-2.2.1-6] [3.1.1: MQTT-3.8.4-1] [3.1.1: MQTT-3.8.4-2]
                // [3.1.1: MQTT-2.3.1-7]; never with a user property [MQTT-3.9.2-2].
                OwedKind::Suback { codes, reading } => {
                    encode_within(version, packet_bytes_max, properties.as_properties(), buffer, |properties| {
                        // [MQTT-3.9.2-1]
                        wire::Packet::Suback(wire::Suback { packet_id: due.packet_id, properties, reasons: &codes })
                    });
                    self.start_reading(key, &reading, out);
                }
                // By the identifier of its UNSUBSCRIBE [MQTT-2.2.1-6] [3.1.1: MQTT-2.3.1-7]; with words only where they fit
                // [MQTT-3.11.2-1], never with a user property [MQTT-3.11.2-2].
                OwedKind::Unsuback(codes) => {
                    encode_within(version, packet_bytes_max, properties.as_properties(), buffer, |properties| {
                        wire::Packet::Unsuback(wire::Unsuback { packet_id: due.packet_id, properties, reasons: &codes })
                    });
                }
            }
        }
    }

    /// The syntax of a will's intent and topic, judged at CONNECT.
    pub(super) fn judge_will(&self, will: &wire::Will<'_>) -> Result<(), (ReasonCode, &'static str)> {
        if will.retain && !self.home.config.retain_available {
            return Err((ReasonCode::RetainNotSupported, "a retained Will, but Retain Available is 0")); // [MQTT-3.2.2-13]
        }
        let mote = find_property(will.properties.user_properties());
        let message = Message { topic: will.topic, payload: will.payload, mote, is_text: false };
        let bad_topic = |_| (ReasonCode::TopicNameInvalid, "the Will has a bad topic or intent");
        if let Target::Plain(_) = self.target(&message, allowed_on_will).map_err(bad_topic)? {
            let bad_format = |_| (ReasonCode::PayloadFormatInvalid, "the Will is said to be UTF-8 and is not");
            judge_format(will.properties, will.payload).map_err(bad_format)?;
        }
        Ok(())
    }

    /// Whether the topic of a will is no Topic Name and asks for none of the extras either.
    pub(super) fn has_no_topic(will: &wire::Will<'_>) -> bool {
        let mote = find_property(will.properties.user_properties());
        will.has_wildcard()
            && !carries_intent(&Message { topic: will.topic, payload: will.payload, mote, is_text: false })
    }

    /// Publishes the wills that are due, as far as their owners have room.
    pub(super) fn publish_wills(&mut self, now: Now, out: &mut Outbox) {
        while let Some(due) = self.wills.pop_front() {
            if self.is_stopping {
                continue;
            }
            let will = &due.will;
            let properties = Properties::from_encoded(&will.properties);
            let message = Message {
                topic: &will.topic,
                payload: &will.payload,
                mote: Ok(will.intent.as_deref()),
                is_text: properties.content_type().is_some_and(|content| content.starts_with("text/")),
            };
            let target = self.target(&message, allowed_on_will);
            if !self.has_room(&target, will.retain, out) {
                return self.wills.push_front(due);
            }
            let mut packet = will_packet(due.client, will, now);
            // A will that cannot be spread has nobody left to be told.
            if target.and_then(|target| self.spread(&target, &message, properties, &mut packet)).is_ok() {
                self.send_scratch(now, packet, |_, _| (0, 0), out);
            }
        }
    }
}

/// Payload Format Indicator 1 says that the payload is UTF-8, MQTT 5 section 3.3.2.3.2.
fn judge_format(properties: Properties<'_>, payload: &[u8]) -> Result<(), Fault> {
    if properties.payload_format_indicator() != Some(1) {
        return Ok(());
    }
    let Err(error) = std::str::from_utf8(payload) else { return Ok(()) };
    let (at, what) = (Some(error.valid_up_to()), "Payload Format Indicator 1, but the payload is not UTF-8".to_owned());
    Err(Fault { code: ReasonCode::PayloadFormatInvalid, at, what })
}

/// Writes what a client that wants problem information is told with an acknowledgement.
fn explain(due: &Due, properties: &mut PropertyBuffer) {
    let by_owner = || (due.refused > 0).then(|| refused_by_owner(due.reason));
    if let Some(what) = due.what.as_deref().or_else(by_owner) {
        properties.push(&Property::ReasonString(what));
    }
    if due.refused > 0 && due.applied + due.refused > 1 {
        let partial = format!("partial;applied={};refused={}", due.applied, due.refused);
        properties.push(&Property::UserProperty("mote", &partial));
    }
}

/// Why an owner refuses, in words.
fn refused_by_owner(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::QuotaExceeded => "no more messages can be retained",
        _ => "the owner of the topic refused it",
    }
}

/// Whether the message asks for one of the extras, rightly or wrongly: then its topic may be a pattern.
fn carries_intent(message: &Message<'_>) -> bool {
    message.mote != Ok(None) || !matches!(parse_prefix(message.topic), Parsed::Plain(_))
}

/// Most have no properties to be looked through.
fn message_of<'a>(publish: &Publish<'a>) -> Message<'a> {
    let Publish { topic, payload, properties, .. } = *publish;
    if properties.is_empty() {
        return Message { topic, payload, mote: Ok(None), is_text: false };
    }
    let is_text = properties.content_type().is_some_and(|content| content.starts_with("text/"));
    Message { topic, payload, mote: find_property(properties.user_properties()), is_text }
}

fn client_packet(publisher: Client, publish: &Publish<'_>, now: Now) -> Packet {
    Packet {
        publisher,
        ticket: 0,
        qos: publish.qos,
        retain: publish.retain,
        wants_verdict: publish.qos > QoS::AtMostOnce,
        named: Span::EMPTY,
        publish: 0,
        properties: Span::EMPTY,
        expires_at_ms: expires_at_ms(now, publish.properties.message_expiry()),
        first_row: 0,
        row_count: 1,
    }
}

fn will_packet(publisher: Client, will: &Will, now: Now) -> Packet {
    Packet {
        publisher,
        ticket: 0,
        // [MQTT-3.1.2-14] [MQTT-3.1.2-15] [3.1.1: MQTT-3.1.2-16] [3.1.1: MQTT-3.1.2-17]
        qos: will.qos,
        retain: will.retain,
        wants_verdict: false,
        named: Span::EMPTY,
        publish: 0,
        properties: Span::EMPTY,
        expires_at_ms: expires_at_ms(now, will.expiry_s),
        first_row: 0,
        row_count: 0,
    }
}

fn expires_at_ms(now: Now, expiry_s: Option<u32>) -> u64 {
    expiry_s.map_or(0, |seconds| now.wall_ms + u64::from(seconds) * 1000)
}

/// Where `part`, a slice of `bytes`, lies in it.
fn span_in(bytes: &[u8], part: &[u8]) -> Span {
    Span::new(part.as_ptr().addr() - bytes.as_ptr().addr(), part.len())
}

/// `$error/<topic>`, or `$error` alone where that is too long for a topic.
fn error_topic(topic: &str) -> String {
    const PREFIX: &str = "$error/";
    // Wildcards of a pattern may not stand in a topic name.
    let has_wildcard = topic.contains(['+', '#']);
    if topic.is_empty() || has_wildcard || PREFIX.len() + topic.len() > STRING_BYTES_MAX {
        return "$error".to_owned();
    }
    format!("{PREFIX}{topic}")
}

fn error_body(fault: &Fault, topic: &str) -> Vec<u8> {
    let mut body = b"{\"error\":".to_vec();
    write_string(&fault.what, &mut body);
    body.extend_from_slice(b",\"topic\":");
    write_string(topic, &mut body);
    let at = fault.at.map_or("null".to_owned(), |at| at.to_string());
    body.extend_from_slice(format!(",\"at\":{at}}}").as_bytes());
    body
}
