//! SUBSCRIBE and UNSUBSCRIBE, statement by statement.

use super::*;

fn filter(filter: &str, qos: QoS) -> (&str, SubscriptionOptions) {
    (filter, SubscriptionOptions { qos, ..Default::default() })
}

/// Codes of the one SUBACK or UNSUBACK among the packets.
fn codes(packets: &[OwnedPacket]) -> Vec<u8> {
    let of = |packet: &OwnedPacket| match packet {
        OwnedPacket::Suback { reasons, .. } | OwnedPacket::Unsuback { reasons, .. } => Some(reasons.clone()),
        _ => None,
    };
    let all: Vec<Vec<u8>> = packets.iter().filter_map(of).collect();
    assert_eq!(all.len(), 1, "{packets:?}");
    all.concat()
}

#[test]
fn many_filters_in_one_packet_are_as_many_packets_with_one_answer() {
    // [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2] [3.1.1: MQTT-3.8.4-4]
    // [3.1.1: MQTT-3.8.4-5] [3.1.1: MQTT-3.9.3-1] [3.1.1: MQTT-3.9.3-2]
    both_versions(|world, version| {
        let reader = client(world, version, "r");
        let publisher = client(world, version, "p");
        publish(world, publisher, message("kept/1", "old").qos(Q2).retained());
        let refused = if version.is_v5() { 0x8F } else { 0x80 };
        let wanted =
            [filter("a/1", Q0), filter("a/#/b", Q1), filter("kept/+", Q1), filter("a/1", Q2), filter("b+", Q0)];
        world.subscribe_with(reader, &wanted, &[]);
        world.run_until_quiet();
        let packets = world.received(reader);
        assert_eq!(codes(&packets), [0, refused, 1, 2, refused]);
        let kept: Vec<String> = packets.iter().filter_map(OwnedPacket::message).map(Message::line).collect();
        assert_eq!(kept, ["kept/1 old"]);
        publish(world, publisher, message("a/1", "m").qos(Q2));
        let got: Vec<QoS> = world.messages(reader).iter().map(|message| message.qos).collect();
        assert_eq!(got, [Q2], "the later of two equal filters replaced the earlier");
    });
}

#[test]
fn what_is_delivered_matches_what_was_asked() {
    // [MQTT-3.3.2-3] [3.1.1: MQTT-3.3.2-3]
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        let filters = ["a/1", "a/+", "+/1", "a/#", "#", "/", "/+", "+/+", "a//b", "A/1", "a/1/", "+"];
        let readers = filters.map(|text| subscriber(world, version, &format!("r {text}"), text, Q0));
        for topic in ["a/1", "A/1", "a", "/", "/x", "a/1/", "a//b", "b/1", "a/1/2", "a/\u{FEFF}1", "á/1", "a/ 1"] {
            publish(world, publisher, message(topic, "m"));
            for (text, reader) in filters.iter().zip(&readers) {
                let got: Vec<String> = world.messages(*reader).into_iter().map(|message| message.topic).collect();
                let matches = engine::topic::matches(text, topic);
                // [MQTT-4.7.3-4] [3.1.1: MQTT-4.7.3-4]: and the topic is as it was written
                assert_eq!(got, if matches { vec![topic.to_string()] } else { Vec::new() }, "{topic} for {text}");
            }
        }
    });
}

#[test]
fn subscribing_again_while_messages_come_loses_none() {
    // [MQTT-3.8.4-3] [MQTT-3.8.4-4] [3.1.1: MQTT-3.8.4-3]
    both_versions(|world, version| {
        let reader = subscriber(world, version, "r", "t/+", Q1);
        let publisher = client(world, version, "p");
        for number in 0..60 {
            world.publish(publisher, message("t/x", &number.to_string()).qos(Q1));
            if number % 7 == 3 {
                world.subscribe(reader, "t/+", if number % 2 == 0 { Q2 } else { Q1 });
            }
            world.run_turns(2);
        }
        world.run_until_quiet();
        let got: Vec<String> = world.messages(reader).iter().map(Message::text).collect();
        assert_eq!(got, (0..60).map(|number| number.to_string()).collect::<Vec<_>>());
        publish(world, publisher, message("t/x", "kept").qos(Q1).retained());
        world.received(reader);
        world.subscribe(reader, "t/+", Q1);
        world.run_until_quiet();
        let again: Vec<(String, bool)> = world.messages(reader).iter().map(|m| (m.text(), m.retain)).collect();
        assert_eq!(again, [("kept".to_string(), true)], "the retained message is sent again");
    });
}

#[test]
fn an_unsubscribe_names_its_filter_letter_by_letter() {
    // [MQTT-3.10.4-1] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] [3.1.1: MQTT-3.10.4-1]
    // [3.1.1: MQTT-3.10.4-5] [3.1.1: MQTT-3.10.4-6]
    both_versions(|world, version| {
        let reader = client(world, version, "r");
        world.subscribe_with(reader, &[filter("a/+", Q0), filter("a/#", Q0), filter("b", Q0)], &[]);
        world.run_until_quiet();
        world.received(reader);
        world.unsubscribe_all(reader, &["a/1", "A/+", "a/+/", "#", "b/"]);
        world.run_until_quiet();
        let none = if version.is_v5() { vec![0x11; 5] } else { vec![] };
        assert_eq!(codes(&world.received(reader)), none);
        publish(world, reader, message("a/1", "still"));
        assert_eq!(world.lines(reader), ["a/1 still"]);
        world.unsubscribe_all(reader, &["a/#", "never", "a/+", "a/#"]);
        world.run_until_quiet();
        let some = if version.is_v5() { vec![0, 0x11, 0, 0x11] } else { vec![] };
        assert_eq!(codes(&world.received(reader)), some);
        publish(world, reader, message("a/1", "m"));
        publish(world, reader, message("b", "m"));
        assert_eq!(world.lines(reader), ["b m"]);
    });
}

#[test]
fn what_was_begun_is_completed_after_unsubscribe() {
    // [MQTT-3.10.4-2] [MQTT-3.10.4-3] [3.1.1: MQTT-3.10.4-2] [3.1.1: MQTT-3.10.4-3]
    both_versions(|world, version| {
        let reader = world.connected(ConnectOptions::lasting(version, "r").silent());
        world.subscribe(reader, "t", Q2);
        world.run_until_quiet();
        world.received(reader);
        let publisher = client(world, version, "p");
        for (text, qos) in [("one", Q1), ("two", Q2)] {
            publish(world, publisher, message("t", text).qos(qos));
        }
        let sent = world.messages(reader);
        world.unsubscribe(reader, "t");
        world.run_until_quiet();
        publish(world, publisher, message("t", "later").qos(Q2));
        assert_eq!(world.messages(reader), []);
        world.drop_client(reader);
        world.run_until_quiet();
        let back = world.connected(ConnectOptions::lasting(version, "r").silent());
        let again = world.messages(back);
        assert_eq!(
            again.iter().map(|m| m.packet_id).collect::<Vec<_>>(),
            sent.iter().map(|m| m.packet_id).collect::<Vec<_>>()
        );
        world.ack(back, AckKind::Puback, sent[0].packet_id);
        world.ack(back, AckKind::Pubrec, sent[1].packet_id);
        world.run_until_quiet();
        assert_eq!(acks(&world.received(back)), [(AckKind::Pubrel, sent[1].packet_id)]);
    });
}

#[test]
fn a_merged_and_a_plain_subscription_each_carry_their_own_identifier() {
    // [MOTE-2.5]
    // [MQTT-3.3.4-5]
    worlds(|world| {
        let reader = client(world, V5, "r");
        world.subscribe_with(reader, &[filter("i/#", Q1)], &[Property::SubscriptionIdentifier(7)]);
        world.subscribe_with(reader, &[filter("$tree/i/#", Q1)], &[Property::SubscriptionIdentifier(300)]);
        world.run_until_quiet();
        world.received(reader);
        publish(world, reader, message("i/x", "1").qos(Q1));
        let mut got: Vec<(String, Vec<u32>)> = world
            .messages(reader)
            .iter()
            .map(|message| (message.topic.clone(), message.properties.read().subscription_identifiers().collect()))
            .collect();
        got.sort();
        assert_eq!(got, [("i/#".to_string(), vec![300]), ("i/x".to_string(), vec![7])]);
    });
}
