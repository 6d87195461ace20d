//! Our codec against mqtt-proto, which nobody here wrote: each reads what the other writes, field by field,
//! and where they disagree about what is legal, the disagreement is named here with the specification's sentence.

use super::{encoded, framed, malformed, strategy};
use engine::wire::*;
use mqtt_proto::{Pid, Protocol, QosPid, TopicFilter, TopicName, v3, v5};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;

/// A packet as mqtt-proto has it.
#[derive(Clone, PartialEq, Debug)]
enum Theirs {
    Before5(v3::Packet),
    Five(Box<v5::Packet>),
}

impl Theirs {
    fn encode(&self) -> Vec<u8> {
        match self {
            Theirs::Before5(packet) => packet.encode().unwrap().as_ref().to_vec(),
            Theirs::Five(packet) => packet.encode().unwrap().as_ref().to_vec(),
        }
    }

    /// `None` is a refusal, or a wish for more bytes.
    fn decode(version: Version, bytes: &[u8]) -> Option<Theirs> {
        match version {
            Version::V5 => v5::Packet::decode(bytes).ok()?.map(|packet| Theirs::Five(Box::new(packet))),
            _ => v3::Packet::decode(bytes).ok()?.map(Theirs::Before5),
        }
    }

    fn of(version: Version, packet: &Packet<'_>) -> Theirs {
        match version {
            Version::V5 => Theirs::Five(Box::new(five(packet))),
            _ => Theirs::Before5(before_5(packet)),
        }
    }
}

fn pid(packet_id: u16) -> Pid {
    Pid::try_from(packet_id).unwrap()
}

fn qos(qos: QoS) -> mqtt_proto::QoS {
    mqtt_proto::QoS::from_u8(qos.bits()).unwrap()
}

fn qos_pid(qos: QoS, packet_id: u16) -> QosPid {
    match qos {
        QoS::AtMostOnce => QosPid::Level0,
        QoS::AtLeastOnce => QosPid::Level1(pid(packet_id)),
        QoS::ExactlyOnce => QosPid::Level2(pid(packet_id)),
    }
}

fn name(topic: &str) -> TopicName {
    TopicName::try_from(topic).unwrap()
}

fn filter(filter: &str) -> TopicFilter {
    TopicFilter::try_from(filter).unwrap()
}

fn before_5(packet: &Packet<'_>) -> v3::Packet {
    match packet {
        Packet::Connect(p) => v3::Packet::Connect(v3::Connect {
            protocol: if p.version == Version::V31 { Protocol::V310 } else { Protocol::V311 },
            clean_session: p.clean_start,
            keep_alive: p.keep_alive,
            client_id: p.client_id.into(),
            last_will: p.will.map(|will| v3::LastWill {
                qos: qos(will.qos),
                retain: will.retain,
                topic_name: name(will.topic),
                message: will.payload.to_vec().into(),
            }),
            username: p.user_name.map(Into::into),
            password: p.password.map(|password| password.to_vec().into()),
        }),
        Packet::Connack(p) => v3::Packet::Connack(v3::Connack {
            session_present: p.session_present,
            code: v3::ConnectReturnCode::from_u8(p.code).unwrap(),
        }),
        Packet::Publish(p) => v3::Packet::Publish(v3::Publish {
            dup: p.dup,
            retain: p.retain,
            qos_pid: qos_pid(p.qos, p.packet_id),
            topic_name: name(p.topic),
            payload: p.payload.to_vec().into(),
        }),
        Packet::Ack(p) => match p.kind {
            AckKind::Puback => v3::Packet::Puback(pid(p.packet_id)),
            AckKind::Pubrec => v3::Packet::Pubrec(pid(p.packet_id)),
            AckKind::Pubrel => v3::Packet::Pubrel(pid(p.packet_id)),
            AckKind::Pubcomp => v3::Packet::Pubcomp(pid(p.packet_id)),
        },
        Packet::Subscribe(p) => v3::Packet::Subscribe(v3::Subscribe {
            pid: pid(p.packet_id),
            topics: p.filters.iter().map(|(f, options)| (filter(f), qos(options.qos))).collect(),
        }),
        Packet::Suback(p) => v3::Packet::Suback(v3::Suback {
            pid: pid(p.packet_id),
            topics: p.reasons.iter().map(|code| v3::SubscribeReturnCode::from_u8(*code).unwrap()).collect(),
        }),
        Packet::Unsubscribe(p) => v3::Packet::Unsubscribe(v3::Unsubscribe {
            pid: pid(p.packet_id),
            topics: p.filters.iter().map(filter).collect(),
        }),
        Packet::Unsuback(p) => v3::Packet::Unsuback(pid(p.packet_id)),
        Packet::Pingreq => v3::Packet::Pingreq,
        Packet::Pingresp => v3::Packet::Pingresp,
        Packet::Disconnect(_) => v3::Packet::Disconnect,
        Packet::Auth(_) => panic!("AUTH is MQTT 5's"),
    }
}

fn shared(text: Option<&str>) -> Option<Arc<str>> {
    text.map(Into::into)
}

fn user_properties(properties: &Properties<'_>) -> Vec<v5::UserProperty> {
    let pair = |(name, value): (&str, &str)| v5::UserProperty { name: name.into(), value: value.into() };
    properties.user_properties().map(pair).collect()
}

macro_rules! with_reason_string {
    ($kind:ident, $properties:expr) => {
        v5::$kind { reason_string: shared($properties.reason_string()), user_properties: user_properties(&$properties) }
    };
}

macro_rules! their_ack {
    ($packet:ident, $code:ident, $list:ident, $p:expr) => {
        v5::Packet::$packet(v5::$packet {
            pid: pid($p.packet_id),
            reason_code: v5::$code::from_u8($p.reason as u8).unwrap(),
            properties: with_reason_string!($list, $p.properties),
        })
    };
}

fn five(packet: &Packet<'_>) -> v5::Packet {
    match packet {
        Packet::Connect(p) => v5::Packet::Connect(five_connect(p)),
        Packet::Connack(p) => v5::Packet::Connack(five_connack(p)),
        Packet::Publish(p) => v5::Packet::Publish(five_publish(p)),
        Packet::Ack(p) => match p.kind {
            AckKind::Puback => their_ack!(Puback, PubackReasonCode, PubackProperties, p),
            AckKind::Pubrec => their_ack!(Pubrec, PubrecReasonCode, PubrecProperties, p),
            AckKind::Pubrel => their_ack!(Pubrel, PubrelReasonCode, PubrelProperties, p),
            AckKind::Pubcomp => their_ack!(Pubcomp, PubcompReasonCode, PubcompProperties, p),
        },
        Packet::Subscribe(p) => v5::Packet::Subscribe(five_subscribe(p)),
        Packet::Suback(p) => v5::Packet::Suback(v5::Suback {
            pid: pid(p.packet_id),
            properties: with_reason_string!(SubackProperties, p.properties),
            topics: p.reasons.iter().map(|code| v5::SubscribeReasonCode::from_u8(*code).unwrap()).collect(),
        }),
        Packet::Unsubscribe(p) => v5::Packet::Unsubscribe(v5::Unsubscribe {
            pid: pid(p.packet_id),
            properties: v5::UnsubscribeProperties { user_properties: user_properties(&p.properties) },
            topics: p.filters.iter().map(filter).collect(),
        }),
        Packet::Unsuback(p) => v5::Packet::Unsuback(v5::Unsuback {
            pid: pid(p.packet_id),
            properties: with_reason_string!(UnsubackProperties, p.properties),
            topics: p.reasons.iter().map(|code| v5::UnsubscribeReasonCode::from_u8(*code).unwrap()).collect(),
        }),
        Packet::Pingreq => v5::Packet::Pingreq,
        Packet::Pingresp => v5::Packet::Pingresp,
        Packet::Disconnect(p) => v5::Packet::Disconnect(v5::Disconnect {
            reason_code: v5::DisconnectReasonCode::from_u8(p.reason as u8).unwrap(),
            properties: v5::DisconnectProperties {
                session_expiry_interval: p.properties.session_expiry(),
                reason_string: shared(p.properties.reason_string()),
                user_properties: user_properties(&p.properties),
                server_reference: shared(p.properties.server_reference()),
            },
        }),
        Packet::Auth(p) => v5::Packet::Auth(v5::Auth {
            reason_code: v5::AuthReasonCode::from_u8(p.reason as u8).unwrap(),
            properties: v5::AuthProperties {
                auth_method: shared(p.properties.authentication_method()),
                auth_data: p.properties.authentication_data().map(|data| data.to_vec().into()),
                reason_string: shared(p.properties.reason_string()),
                user_properties: user_properties(&p.properties),
            },
        }),
    }
}

fn five_connect(p: &Connect<'_>) -> v5::Connect {
    let will_properties = |properties: Properties<'_>| v5::WillProperties {
        delay_interval: properties.will_delay(),
        payload_is_utf8: properties.payload_format_indicator().map(|value| value == 1),
        message_expiry_interval: properties.message_expiry(),
        content_type: shared(properties.content_type()),
        response_topic: properties.response_topic().map(name),
        correlation_data: properties.correlation_data().map(|data| data.to_vec().into()),
        user_properties: user_properties(&properties),
    };
    v5::Connect {
        protocol: Protocol::V500,
        clean_start: p.clean_start,
        keep_alive: p.keep_alive,
        properties: v5::ConnectProperties {
            session_expiry_interval: p.properties.session_expiry(),
            receive_max: p.properties.receive_maximum(),
            max_packet_size: p.properties.maximum_packet_size(),
            topic_alias_max: p.properties.topic_alias_maximum(),
            request_response_info: p.properties.request_response_information(),
            request_problem_info: p.properties.request_problem_information(),
            user_properties: user_properties(&p.properties),
            auth_method: shared(p.properties.authentication_method()),
            auth_data: p.properties.authentication_data().map(|data| data.to_vec().into()),
        },
        client_id: p.client_id.into(),
        last_will: p.will.map(|will| v5::LastWill {
            qos: qos(will.qos),
            retain: will.retain,
            topic_name: name(will.topic),
            payload: will.payload.to_vec().into(),
            properties: will_properties(will.properties),
        }),
        username: p.user_name.map(Into::into),
        password: p.password.map(|password| password.to_vec().into()),
    }
}

fn five_connack(p: &Connack<'_>) -> v5::Connack {
    v5::Connack {
        session_present: p.session_present,
        reason_code: v5::ConnectReasonCode::from_u8(p.code).unwrap(),
        properties: v5::ConnackProperties {
            session_expiry_interval: p.properties.session_expiry(),
            receive_max: p.properties.receive_maximum(),
            max_qos: p.properties.maximum_qos().map(|bits| mqtt_proto::QoS::from_u8(bits).unwrap()),
            retain_available: p.properties.retain_available(),
            max_packet_size: p.properties.maximum_packet_size(),
            assigned_client_id: shared(p.properties.assigned_client_identifier()),
            topic_alias_max: p.properties.topic_alias_maximum(),
            reason_string: shared(p.properties.reason_string()),
            user_properties: user_properties(&p.properties),
            wildcard_subscription_available: p.properties.wildcard_subscription_available(),
            subscription_id_available: p.properties.subscription_identifier_available(),
            shared_subscription_available: p.properties.shared_subscription_available(),
            server_keep_alive: p.properties.server_keep_alive(),
            response_info: shared(p.properties.response_information()),
            server_reference: shared(p.properties.server_reference()),
            auth_method: shared(p.properties.authentication_method()),
            auth_data: p.properties.authentication_data().map(|data| data.to_vec().into()),
        },
    }
}

fn five_publish(p: &Publish<'_>) -> v5::Publish {
    v5::Publish {
        dup: p.dup,
        retain: p.retain,
        qos_pid: qos_pid(p.qos, p.packet_id),
        topic_name: name(p.topic),
        payload: p.payload.to_vec().into(),
        properties: v5::PublishProperties {
            payload_is_utf8: p.properties.payload_format_indicator().map(|value| value == 1),
            message_expiry_interval: p.properties.message_expiry(),
            topic_alias: p.properties.topic_alias(),
            response_topic: p.properties.response_topic().map(name),
            correlation_data: p.properties.correlation_data().map(|data| data.to_vec().into()),
            user_properties: user_properties(&p.properties),
            subscription_id: p.properties.subscription_identifier().map(|id| id.try_into().unwrap()),
            content_type: shared(p.properties.content_type()),
        },
    }
}

fn five_subscribe(p: &Subscribe<'_>) -> v5::Subscribe {
    let options = |options: SubscriptionOptions| v5::SubscriptionOptions {
        max_qos: qos(options.qos),
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: match options.retain_handling {
            0 => v5::RetainHandling::SendAtSubscribe,
            1 => v5::RetainHandling::SendAtSubscribeIfNotExist,
            _ => v5::RetainHandling::DoNotSend,
        },
    };
    v5::Subscribe {
        pid: pid(p.packet_id),
        properties: v5::SubscribeProperties {
            subscription_id: p.properties.subscription_identifier().map(|id| id.try_into().unwrap()),
            user_properties: user_properties(&p.properties),
        },
        topics: p.filters.iter().map(|(f, o)| (filter(f), options(o))).collect(),
    }
}

/// A Payload Format Indicator that the payload belies. "The Server MAY validate", section 3.3.2.3.2: mqtt-proto does.
fn declares_utf8_falsely(packet: &Packet<'_>) -> bool {
    let message = match packet {
        Packet::Publish(p) => Some((p.properties, p.payload)),
        Packet::Connect(p) => p.will.map(|will| (will.properties, will.payload)),
        _ => None,
    };
    message.is_some_and(|(properties, payload)| {
        properties.payload_format_indicator() == Some(1) && std::str::from_utf8(payload).is_err()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_reads_what_the_other_writes((version, packet) in strategy::versioned()) {
        prop_assume!(!declares_utf8_falsely(&packet));
        let expected = Theirs::of(version, &packet);
        prop_assert_eq!(Theirs::decode(version, &encoded(version, &packet)), Some(expected.clone()));
        // mqtt-proto writes the SUBACK failure of 3.1.1 as 3, which is reserved: [3.1.1: MQTT-3.9.3-2].
        if let (false, Packet::Suback(p)) = (version.is_v5(), &packet) && p.reasons.contains(&0x80) {
            return Ok(());
        }
        let bytes = expected.encode();
        let ours = decode(version, &bytes).unwrap();
        prop_assert_eq!(Theirs::of(version, &ours), expected);
    }

    /// Changed packets are legal to both or to neither, or the disagreement is a known one.
    #[test]
    fn both_refuse_the_same(
        (version, packet) in strategy::versioned(),
        changes in vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), 0..4u8]), 1..4),
    ) {
        let mut bytes = encoded(version, &packet);
        // mqtt-proto reads a stream and may stop early or late, so the Remaining Length is kept right.
        let mut body = bytes.split_off(peek(&bytes).unwrap().unwrap().header_len);
        body.insert(0, bytes[0]);
        for (index, byte) in changes {
            let index = index.index(body.len());
            body[index] = byte;
        }
        let bytes = framed(body[0], &body[1..]);
        let version = spoken(version, &bytes);
        match (decode(version, &bytes), Theirs::decode(version, &bytes)) {
            (Err(fault), Some(_)) => {
                prop_assert!(LAXER.iter().any(|(what, _)| *what == fault.what), "mqtt-proto takes: {}", fault.what);
            }
            (Ok(packet), None) => {
                prop_assert!(stricter(version, &bytes, &packet).is_some(), "mqtt-proto refuses: {packet:?}");
            }
            _ => (),
        }
    }
}

/// A CONNECT names its version.
fn spoken(version: Version, bytes: &[u8]) -> Version {
    if bytes[0] >> 4 == 1 { connect_version(bytes).unwrap_or(version) } else { version }
}

/// What mqtt-proto takes and we refuse, by our words for it, and what the specification says.
const LAXER: &[(&str, &str)] = &[
    ("bytes behind the last field", "2.1.4: Remaining Length is the length of this packet's fields and payload"),
    ("U+0000 in a UTF-8 string", "[MQTT-1.5.4-2] MUST NOT include an encoding of the null character"),
    ("Will QoS or Will Retain without a Will", "[MQTT-3.1.2-13] Will Flag 0: Will Retain MUST be 0"),
    ("Password without User Name", "[3.1.1: MQTT-3.1.2-22] User Name Flag 0: Password Flag MUST be 0"),
    ("empty Will Topic", "[MQTT-4.7.3-1] Topic Names MUST be at least one character long"),
    ("empty Topic Name", "[MQTT-4.7.3-1] Topic Names MUST be at least one character long"),
    ("empty Topic Name without Topic Alias", "3.3.2.1: Protocol Error if zero length and there is no Topic Alias"),
    ("Response Topic that is no Topic Name", "[MQTT-4.7.3-1] Topic Names MUST be at least one character long"),
    ("Authentication Data without Authentication Method", "3.1.2.11.10: Protocol Error without a Method"),
    ("DUP with QoS 0", "[MQTT-3.3.1-2] DUP MUST be 0 for all QoS 0 messages"),
    ("Topic Alias 0", "[MQTT-3.3.2-8] MUST NOT send a PUBLISH with a Topic Alias of 0"),
    ("No Local on a Shared Subscription", "[MQTT-3.8.3-4] Protocol Error"),
    ("Session Present in a refusal", "[MQTT-3.2.2-6] non-zero Reason Code: Session Present MUST be 0"),
    ("SUBACK without a Reason Code", "[MQTT-3.8.4-6] MUST contain a Reason Code for each Topic Filter"),
    ("UNSUBACK without a Reason Code", "3.11.3: a Reason Code for each Topic Filter of the UNSUBSCRIBE"),
    ("Receive Maximum 0", "3.1.2.11.3: Protocol Error for it to have the value 0"),
    ("Maximum Packet Size 0", "3.1.2.11.4: Protocol Error for the value to be set to zero"),
    ("Subscription Identifier 0", "3.8.2.1.2: Protocol Error if it has a value of 0"),
    (
        "Variable Byte Integer that is not in its shortest form",
        "[MQTT-1.5.5-1] the minimum number of bytes MUST be used",
    ),
];

/// Why we take what mqtt-proto refuses.
fn stricter(version: Version, bytes: &[u8], packet: &Packet<'_>) -> Option<&'static str> {
    match packet {
        // [MQTT-4.7.1-1] and its kin are the session's to judge, a filter at a time.
        Packet::Subscribe(p) if p.filters.iter().any(|(filter, _)| TopicFilter::try_from(filter).is_err()) => {
            Some("a Topic Filter")
        }
        Packet::Unsubscribe(p) if p.filters.iter().any(|filter| TopicFilter::try_from(filter).is_err()) => {
            Some("a Topic Filter")
        }
        Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::Ack(_)
            if version == Version::V31 && bytes[0] & 0x0F == 0x0A =>
        {
            Some("MQTT 3.1 section 2.1: DUP with messages that are sent at QoS 1")
        }
        Packet::Connack(_) if version == Version::V31 => Some("MQTT 3.1 section 3.2: the first byte is not used"),
        Packet::Connect(p) if version == Version::V31 && (p.user_name.is_none() || p.password.is_none()) => {
            Some("MQTT 3.1 section 3.1: Remaining Length takes precedence over the User Name flag")
        }
        Packet::Publish(p) if p.properties.subscription_identifiers().count() > 1 => {
            Some("3.3.2.3.8: multiple Subscription Identifiers")
        }
        Packet::Disconnect(p) if p.reason == ReasonCode::BadAuthenticationMethod => {
            Some("table 2-6 has 0x8C for DISCONNECT, table 3-13 has not")
        }
        packet => declares_utf8_falsely(packet).then_some("a payload that is not what it says"),
    }
}

#[test]
fn where_mqtt_proto_is_laxer() {
    let mut taken = std::collections::BTreeSet::new();
    for (version, first, body, _, what) in malformed::all_rows() {
        let bytes = framed(first, body);
        if Theirs::decode(spoken(version, &bytes), &bytes).is_some() {
            taken.insert(what);
        }
    }
    // Neither more nor fewer than are listed, so that the list stays true.
    assert_eq!(taken, LAXER.iter().map(|(what, _)| *what).collect());
}
