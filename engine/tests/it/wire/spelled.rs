//! Legal packets byte for byte, and what is read from their properties.

use super::strategy::of;
use super::{encoded, framed};
use Version::{V5, V31, V311};
use engine::wire::*;

#[track_caller]
fn both_ways(version: Version, bytes: &[u8], packet: Packet<'_>) {
    assert_eq!(decode(version, bytes), Ok(packet));
    assert_eq!(encoded(version, &packet), bytes);
}

#[test]
fn connect_in_three_versions() {
    // [MQTT-3.1.3-1] [MQTT-3.1.3-3] [3.1.1: MQTT-3.1.3-1] [3.1.1: MQTT-3.1.3-3]
    let mut connect = Connect {
        version: V311,
        clean_start: true,
        keep_alive: 10,
        properties: Properties::EMPTY,
        client_id: "id",
        will: None,
        user_name: None,
        password: None,
    };
    both_ways(V311, b"\x10\x0E\0\x04MQTT\x04\x02\0\x0A\0\x02id", Packet::Connect(connect));
    connect.version = V31;
    both_ways(V5, b"\x10\x10\0\x06MQIsdp\x03\x02\0\x0A\0\x02id", Packet::Connect(connect));
    connect.version = V5;
    connect.properties = of(&[Property::SessionExpiryInterval(10)]);
    connect.will = Some(Will {
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: of(&[Property::WillDelayInterval(5)]),
        topic: "w",
        payload: b"gone",
    });
    connect.password = Some(b"pw");
    let bytes = b"\x10\x27\0\x04MQTT\x05\x6E\0\x0A\x05\x11\0\0\0\x0A\0\x02id\
        \x05\x18\0\0\0\x05\0\x01w\0\x04gone\0\x02pw";
    both_ways(V311, bytes, Packet::Connect(connect));
}

#[test]
fn the_version_of_a_connect_is_known_though_the_rest_is_wrong() {
    assert_eq!(connect_version(&framed(0x10, b"\0\x04MQTT\x05\xFF")), Some(V5));
    assert_eq!(connect_version(b"\x10\x50\0\x04MQTT\x04"), Some(V311));
    assert_eq!(connect_version(&framed(0x10, b"\0\x06MQIsdp\x03")), Some(V31));
    assert_eq!(connect_version(&framed(0x10, b"\0\x04MQTT\x06\x02\0\0\0\0")), None);
    assert_eq!(connect_version(b"\x10"), None);
    assert_eq!(connect_version(b""), None);
}

/// "Remaining Length from the fixed header takes precedence over the User Name flag", MQTT 3.1 section 3.1.
#[test]
fn mqtt_31_may_announce_a_name_and_not_send_it() {
    let neither = framed(0x10, b"\0\x06MQIsdp\x03\xC2\0\x0A\0\x02id");
    let read = decode(V31, &neither);
    assert!(matches!(read, Ok(Packet::Connect(Connect { user_name: None, password: None, .. }))), "{read:?}");
    let name = framed(0x10, b"\0\x06MQIsdp\x03\xC2\0\x0A\0\x02id\0\x01u");
    let read = decode(V31, &name);
    assert!(matches!(read, Ok(Packet::Connect(Connect { user_name: Some("u"), password: None, .. }))), "{read:?}");
}

/// MQTT 3.1 repeats these three with DUP, as it sends them at QoS 1.
#[test]
fn mqtt_31_may_repeat_with_dup() {
    assert!(decode(V31, b"\x6A\x02\0\x01").is_ok());
    assert!(decode(V31, b"\x8A\x06\0\x01\0\x01a\0").is_ok());
    assert!(decode(V31, b"\xAA\x05\0\x01\0\x01a").is_ok());
    assert!(decode(V31, b"\x48\x02\0\x01").is_err());
}

#[test]
fn connack() {
    let connack =
        |session_present, code| Packet::Connack(Connack { session_present, code, properties: Properties::EMPTY });
    both_ways(V311, b"\x20\x02\x01\x00", connack(true, 0));
    both_ways(V311, b"\x20\x02\x00\x05", connack(false, 5));
    both_ways(V5, b"\x20\x03\x00\x84\x00", connack(false, 0x84));
    // [MQTT-3.2.2-1]: the seven other bits are 0
    for version in [V311, V5] {
        assert_eq!(encoded(version, &connack(true, 0))[2], 1);
        assert_eq!(encoded(version, &connack(false, 0))[2], 0);
    }
    // MQTT 3.1 has no Session Present.
    assert_eq!(encoded(V31, &connack(true, 0)), b"\x20\x02\x00\x00");
    assert_eq!(decode(V31, b"\x20\x02\x01\x00"), Ok(connack(false, 0)));
}

#[test]
fn publish() {
    let mut publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: true,
        topic: "a/b",
        packet_id: 0,
        properties: Properties::EMPTY,
        payload: b"x",
    };
    // No identifier with QoS 0 [MQTT-2.2.1-2] [3.1.1: MQTT-2.3.1-5], and no properties are a zero [MQTT-2.2.2-1].
    both_ways(V311, b"\x31\x06\0\x03a/bx", Packet::Publish(publish));
    both_ways(V5, b"\x31\x07\0\x03a/b\0x", Packet::Publish(publish));
    publish.qos = QoS::ExactlyOnce;
    publish.dup = true;
    publish.packet_id = 0x1234;
    publish.payload = b"";
    both_ways(V31, b"\x3D\x07\0\x03a/b\x12\x34", Packet::Publish(publish));
    publish.topic = "";
    publish.properties = of(&[Property::TopicAlias(7)]);
    both_ways(V5, b"\x3D\x08\0\0\x12\x34\x03\x23\0\x07", Packet::Publish(publish));
    // Not standard, so only where it is asked for.
    let pattern = b"\x30\x05\0\x03a/+";
    assert!(decode(V311, pattern).is_err());
    let read = decode_patterns(V311, pattern);
    assert!(matches!(read, Ok(Packet::Publish(publish)) if publish.topic == "a/+" && publish.has_wildcard()));
    let connect = framed(0x10, b"\0\x04MQTT\x04\x06\0\x3C\0\0\0\x03$/#\0\0");
    let read = decode_patterns(V311, &connect);
    assert!(matches!(read, Ok(Packet::Connect(Connect { will: Some(will), .. })) if will.has_wildcard()));
}

#[test]
fn acknowledgements_are_as_short_as_they_can_be() {
    let ack = |kind, reason, properties| Packet::Ack(Ack { kind, packet_id: 1, reason, properties });
    let plain = |kind| ack(kind, ReasonCode::Success, Properties::EMPTY);
    for version in [V31, V311, V5] {
        both_ways(version, b"\x40\x02\0\x01", plain(AckKind::Puback));
        both_ways(version, b"\x50\x02\0\x01", plain(AckKind::Pubrec));
        both_ways(version, b"\x62\x02\0\x01", plain(AckKind::Pubrel));
        both_ways(version, b"\x70\x02\0\x01", plain(AckKind::Pubcomp));
    }
    both_ways(V5, b"\x40\x03\0\x01\x10", ack(AckKind::Puback, ReasonCode::NoMatchingSubscribers, Properties::EMPTY));
    let named = of(&[Property::ReasonString("r")]);
    both_ways(V5, b"\x50\x08\0\x01\0\x04\x1F\0\x01r", ack(AckKind::Pubrec, ReasonCode::Success, named));
    // Longer than need be is legal too.
    assert_eq!(decode(V5, b"\x40\x03\0\x01\0"), Ok(plain(AckKind::Puback)));
    assert_eq!(decode(V5, b"\x40\x04\0\x01\0\0"), Ok(plain(AckKind::Puback)));
    // Before MQTT 5 there is no reason to tell.
    assert_eq!(encoded(V311, &ack(AckKind::Puback, ReasonCode::QuotaExceeded, named)), b"\x40\x02\0\x01");
}

#[test]
fn disconnect_and_auth_are_as_short_as_they_can_be() {
    let disconnect = |reason| Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY });
    for version in [V31, V311, V5] {
        both_ways(version, b"\xE0\0", disconnect(ReasonCode::Success));
    }
    both_ways(V5, b"\xE0\x01\x8B", disconnect(ReasonCode::ServerShuttingDown));
    assert_eq!(decode(V5, b"\xE0\x01\0"), Ok(disconnect(ReasonCode::Success)));
    assert_eq!(decode(V5, b"\xE0\x02\x04\0"), Ok(disconnect(ReasonCode::DisconnectWithWill)));
    assert_eq!(encoded(V311, &disconnect(ReasonCode::ServerBusy)), b"\xE0\0");
    let auth = |reason| Packet::Auth(Auth { reason, properties: Properties::EMPTY });
    both_ways(V5, b"\xF0\0", auth(ReasonCode::Success));
    both_ways(V5, b"\xF0\x02\x18\0", auth(ReasonCode::ContinueAuthentication));
}

#[test]
fn subscribe_and_its_kin() {
    let options =
        SubscriptionOptions { qos: QoS::AtLeastOnce, no_local: true, retain_as_published: true, retain_handling: 2 };
    let mut filters = FilterBuffer::new();
    filters.push("a/#", options);
    filters.push("+", SubscriptionOptions { qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() });
    let properties = of(&[Property::SubscriptionIdentifier(300)]);
    let subscribe = Packet::Subscribe(Subscribe { packet_id: 10, properties, filters: filters.as_filters() });
    both_ways(V5, b"\x82\x10\0\x0A\x03\x0B\xAC\x02\0\x03a/#\x2D\0\x01+\x02", subscribe);
    // Before MQTT 5 only the QoS is left.
    assert_eq!(encoded(V311, &subscribe), b"\x82\x0C\0\x0A\0\x03a/#\x01\0\x01+\x02");
    let bytes = encoded(V5, &subscribe);
    let Ok(Packet::Subscribe(read)) = decode(V5, &bytes) else { panic!("{bytes:?}") };
    assert_eq!(read.filters.len(), 2);
    assert_eq!(read.filters.iter().next(), Some(("a/#", options)));

    let mut names = NameBuffer::new();
    names.push("a");
    names.push("#");
    let filters = names.as_names();
    assert_eq!(filters.iter().collect::<Vec<_>>(), ["a", "#"]);
    let unsubscribe = Packet::Unsubscribe(Unsubscribe { packet_id: 1, properties: Properties::EMPTY, filters });
    both_ways(V311, b"\xA2\x08\0\x01\0\x01a\0\x01#", unsubscribe);
    both_ways(V5, b"\xA2\x09\0\x01\0\0\x01a\0\x01#", unsubscribe);

    let suback = Packet::Suback(Suback { packet_id: 1, properties: Properties::EMPTY, reasons: &[0, 2, 0x80] });
    both_ways(V311, b"\x90\x05\0\x01\0\x02\x80", suback);
    both_ways(V5, b"\x90\x06\0\x01\0\0\x02\x80", suback);
    let unsuback = |reasons| Packet::Unsuback(Unsuback { packet_id: 1, properties: Properties::EMPTY, reasons });
    both_ways(V311, b"\xB0\x02\0\x01", unsuback(&[]));
    both_ways(V5, b"\xB0\x05\0\x01\0\0\x11", unsuback(&[0, 0x11]));
    both_ways(V5, b"\xC0\0", Packet::Pingreq);
    both_ways(V311, b"\xD0\0", Packet::Pingresp);
}

#[test]
fn a_fixed_header_at_every_length_of_remaining_length() {
    let cases: [(&[u8], usize, usize); 8] = [
        (b"\x30\x00", 2, 0),
        (b"\x30\x7F", 2, 127),
        (b"\x30\x80\x01", 3, 128),
        (b"\x30\xFF\x7F", 3, 16_383),
        (b"\x30\x80\x80\x01", 4, 16_384),
        (b"\x30\xFF\xFF\x7F", 4, 2_097_151),
        (b"\x30\x80\x80\x80\x01", 5, 2_097_152),
        (b"\x30\xFF\xFF\xFF\x7F", 5, 268_435_455),
    ];
    for (bytes, header_len, remaining) in cases {
        assert_eq!(peek(bytes), Ok(Some(Header { first: 0x30, header_len, total_len: header_len + remaining })));
        for end in 0..bytes.len() {
            assert_eq!(peek(&bytes[..end]), Ok(None));
        }
        if remaining > 2 {
            let head = PublishHead { topic: "a", payload_len: remaining - 3, ..bare() };
            assert_eq!(head.encoded_len(V311), header_len + remaining);
        }
    }
    for len in [124, 125, 16_380, 16_381, 2_097_148, 2_097_149] {
        let publish = Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: "a",
            packet_id: 0,
            properties: Properties::EMPTY,
            payload: &vec![7; len],
        });
        let bytes = encoded(V311, &publish);
        assert_eq!(bytes, framed(0x30, &[b"\0\x01a", &vec![7; len][..]].concat()));
        assert_eq!(decode(V311, &bytes), Ok(publish));
    }
}

fn bare() -> PublishHead<'static> {
    PublishHead {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "",
        packet_id: 0,
        forwarded: &[],
        message_expiry: None,
        subscription_ids: &[],
        extra: &[],
        payload_len: 0,
    }
}

#[test]
fn a_publish_head_is_a_publish_without_its_payload() {
    let forwarded = of(&[Property::ContentType("text/plain"), Property::UserProperty("k", "v")]);
    let extra = of(&[Property::UserProperty("mote", "frame;live;n=0")]);
    let head = PublishHead {
        dup: true,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: "a/b",
        packet_id: 9,
        forwarded: forwarded.bytes(),
        message_expiry: Some(30),
        subscription_ids: &[1, 128, 268_435_455],
        extra: extra.bytes(),
        payload_len: 3,
    };
    for version in [V31, V311, V5] {
        let mut out = b"before".to_vec();
        head.encode(version, &mut out);
        out.extend_from_slice(b"abc");
        let bytes = &out[6..];
        assert_eq!(bytes.len(), head.encoded_len(version));
        let Ok(Packet::Publish(publish)) = decode(version, bytes) else { panic!("{version:?}") };
        assert_eq!((publish.dup, publish.qos, publish.retain), (true, QoS::AtLeastOnce, true));
        assert_eq!((publish.topic, publish.packet_id, publish.payload), ("a/b", 9, &b"abc"[..]));
        let expected = [
            Property::MessageExpiryInterval(30),
            Property::ContentType("text/plain"),
            Property::UserProperty("k", "v"),
            Property::SubscriptionIdentifier(1),
            Property::SubscriptionIdentifier(128),
            Property::SubscriptionIdentifier(268_435_455),
            Property::UserProperty("mote", "frame;live;n=0"),
        ];
        assert_eq!(publish.properties, if version == V5 { of(&expected) } else { Properties::EMPTY });
    }
}

#[test]
fn a_byte_order_mark_is_a_character() {
    // [MQTT-1.5.4-3] [3.1.1: MQTT-1.5.3-3]
    for (version, bytes) in [(V311, &b"\x30\x06\0\x04\xEF\xBB\xBFa"[..]), (V5, b"\x30\x07\0\x04\xEF\xBB\xBFa\0")] {
        let Ok(Packet::Publish(publish)) = decode(version, bytes) else { panic!("{version:?}") };
        assert_eq!(publish.topic, "\u{FEFF}a");
        assert_eq!(encoded(version, &Packet::Publish(publish)), bytes);
    }
}

#[test]
fn what_goes_on_to_subscribers() {
    let all = [
        Property::UserProperty("a", "1"),
        Property::TopicAlias(3),
        Property::ContentType("c"),
        Property::UserProperty("mote", "tree"),
        Property::MessageExpiryInterval(1),
        Property::UserProperty("a", "2"),
        Property::CorrelationData(b"\0\xFF"),
        Property::SubscriptionIdentifier(5),
        Property::ResponseTopic("r"),
        Property::PayloadFormatIndicator(1),
    ];
    let mut out = b"kept".to_vec();
    of(&all).forwarded(&mut out, |name, value| name == "mote" && value == "tree");
    let expected = of(&[all[0], all[2], all[5], all[6], all[8], all[9]]);
    assert_eq!(&out[..4], b"kept");
    assert_eq!(&out[4..], expected.bytes());
}

#[test]
fn properties_are_read_by_name() {
    let all = [
        Property::UserProperty("k", "first"),
        Property::PayloadFormatIndicator(1),
        Property::MessageExpiryInterval(2),
        Property::ContentType("c"),
        Property::ResponseTopic("r"),
        Property::CorrelationData(b"d"),
        Property::SubscriptionIdentifier(3),
        Property::SubscriptionIdentifier(400),
        Property::SessionExpiryInterval(4),
        Property::RequestProblemInformation(0),
        Property::WillDelayInterval(5),
        Property::ReceiveMaximum(6),
        Property::TopicAliasMaximum(7),
        Property::TopicAlias(8),
        Property::MaximumPacketSize(9),
        Property::UserProperty("k", "second"),
    ];
    let properties = of(&all);
    assert_eq!(properties.iter().collect::<Vec<_>>(), all);
    assert_eq!(properties.user_property("k"), Some("first"));
    assert_eq!(properties.user_property("none"), None);
    assert_eq!(properties.user_properties().collect::<Vec<_>>(), [("k", "first"), ("k", "second")]);
    assert_eq!(properties.payload_format_indicator(), Some(1));
    assert_eq!(properties.message_expiry(), Some(2));
    assert_eq!(properties.content_type(), Some("c"));
    assert_eq!(properties.response_topic(), Some("r"));
    assert_eq!(properties.correlation_data(), Some(&b"d"[..]));
    assert_eq!(properties.subscription_identifier(), Some(3));
    assert_eq!(properties.subscription_identifiers().collect::<Vec<_>>(), [3, 400]);
    assert_eq!(properties.session_expiry(), Some(4));
    assert_eq!(properties.request_problem_information(), Some(false));
    assert_eq!(properties.will_delay(), Some(5));
    assert_eq!(properties.receive_maximum(), Some(6));
    assert_eq!(properties.topic_alias_maximum(), Some(7));
    assert_eq!(properties.topic_alias(), Some(8));
    assert_eq!(properties.maximum_packet_size(), Some(9));
    assert_eq!(Properties::EMPTY.receive_maximum(), None);
    // Bytes that were never validated end the list.
    let broken = Properties::from_encoded(b"\x01\x01\x03\0\x05abc");
    assert_eq!(broken.iter().collect::<Vec<_>>(), [Property::PayloadFormatIndicator(1)]);
}
