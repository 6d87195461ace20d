//! What a publisher is answered: acknowledgements in their order, and messages to it alone.

use super::Shard;
use super::home::takes_more;
use super::outbox::Outbox;
use crate::dialect::{Parsed, parse_prefix};
use crate::key::SessionKey;
use crate::limits::{FIXED_HEADER_BYTES_MAX, STRING_BYTES_MAX};
use crate::row::graft::Fault;
use crate::row::json::write_string;
use crate::session::acks::{Due, OwedKind};
use crate::session::deliver::encode_within;
use crate::session::inflight::Token;
use crate::session::verdict::{Refusal, Verdict};
use crate::wire::{self, Ack, AckKind, Property, PropertyBuffer, Publish, PublishHead, QoS, ReasonCode};

impl Shard {
    /// A publish that changes nothing: MQTT 5 says so in the acknowledgement; else a message to the publisher alone.
    pub(super) fn refuse_publish(&mut self, key: SessionKey, publish: &Publish<'_>, fault: &Fault, out: &mut Outbox) {
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
    pub(super) fn say_refused(&mut self, key: SessionKey, refusal: Refusal, topic: &str, out: &mut Outbox) {
        let fault = Fault { code: refusal.code(), at: None, what: refusal.words().to_owned() };
        self.say_error(key, &fault, topic, out);
    }

    /// The message to a publisher alone that says what is wrong with its publish. [MOTE-9.10] [MOTE-9.12]
    fn say_error(&mut self, key: SessionKey, fault: &Fault, topic: &str, out: &mut Outbox) {
        self.say_alone(key, &private_topic("$error", topic), &error_body(fault, topic), out);
    }

    /// A message to one client, with QoS 0 and RETAIN 0. Who does not read gets none. False: it is larger than the client
    /// takes.
    pub(super) fn say_alone(&mut self, key: SessionKey, topic: &str, body: &[u8], out: &mut Outbox) -> bool {
        let Some(session) = self.home.sessions.get_mut(key) else { return true };
        let Some(conn) = session.conn.filter(|_| takes_more(session, out)) else { return true };
        let version = session.version;
        let head = PublishHead::of_event(topic, body.len());
        if head.encoded_len(version) > session.packet_bytes_max {
            return false;
        }
        let buffer = out.sends.buffer(conn);
        head.encode(version, buffer);
        buffer.extend_from_slice(body);
        self.home.stats.publishes_sent += 1;
        self.home.stats.publish_bytes_sent += body.len() as u64;
        true
    }

    /// Sends the acknowledgements that may leave, in their order.
    pub(super) fn flush_acks(&mut self, key: SessionKey, out: &mut Outbox) {
        let durable = self.home.writing.way_durable().unwrap_or(Token::MAX);
        while let Some(session) = self.home.sessions.get_mut(key) {
            if session.acks.is_empty() {
                return;
            }
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
            let packet_bytes_max = session.packet_bytes_max;
            if session.problem_information && version.is_v5() {
                explain(&due, packet_bytes_max, &mut properties); // [MQTT-3.1.2-29]
            }
            let buffer = out.sends.buffer(conn);
            match due.kind {
                // When all owners have it [MQTT-4.3.2-4] [MQTT-4.3.3-8] [3.1.1: MQTT-4.3.2-2] [3.1.1: MQTT-4.3.3-2];
                // by the identifier of its PUBLISH [MQTT-2.2.1-5] [3.1.1: MQTT-2.3.1-6]; with a user property where
                // it fits [MQTT-3.4.2-3] [MQTT-3.5.2-3]. PUBACK or PUBREC by its QoS [MQTT-3.3.4-1] [3.1.1: MQTT-3.3.4-1], one for
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
}

/// Writes what a client that wants problem information is told with an acknowledgement. Where not all of it fits, what
/// is for programs comes before what is for people.
fn explain(due: &Due, packet_bytes_max: usize, properties: &mut PropertyBuffer) {
    /// An acknowledgement of a publish without properties, their length at its longest included.
    const AROUND_BYTES_MAX: usize = FIXED_HEADER_BYTES_MAX + 7;
    /// The identifier and the length of a property.
    const STRING_HEAD_BYTES: usize = 3;
    let refusal = due.verdict.refusal;
    let words = words_of(due);
    if let Some(words) = &words {
        properties.push(&Property::UserProperty("mote", words));
    }
    if let Some(what) = due.what.as_deref().or(refusal.map(|refusal| refusal.words())) {
        let so_far = properties.as_properties().bytes().len();
        let fits = so_far + STRING_HEAD_BYTES + what.len() + AROUND_BYTES_MAX <= packet_bytes_max;
        if fits || words.is_none() {
            properties.push(&Property::ReasonString(what));
        }
    }
}

/// What an acknowledgement says in the user property `mote`.
fn words_of(due: &Due) -> Option<String> {
    let Verdict { applied, refused, refusal, version, .. } = due.verdict;
    match refusal {
        Some(_) if applied + refused > 1 => Some(format!("partial;applied={applied};refused={refused}")),
        Some(Refusal::Conflict { version }) => Some(format!("conflict;ver={version}")),
        Some(Refusal::Reused) => Some("id-reused".to_owned()),
        Some(Refusal::Quota | Refusal::TooManyRows) => None,
        None if due.says_version && applied == 1 => version.map(|version| format!("ok;ver={version}")),
        None => None,
    }
}

/// `$error/<topic>` or `$conflict/<topic>`; the first level alone where that is too long for a topic. [MOTE-9.11]
pub(super) fn private_topic(first_level: &str, topic: &str) -> String {
    // Wildcards of a pattern may not stand in a topic name.
    let has_wildcard = topic.contains(['+', '#']);
    if topic.is_empty() || has_wildcard || first_level.len() + 1 + topic.len() > STRING_BYTES_MAX {
        return first_level.to_owned();
    }
    format!("{first_level}/{topic}")
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
