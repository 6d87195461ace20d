//! What answers what: packet identifiers, and the exchanges of QoS 1 and 2.

use super::*;

/// A subscriber to `t` that acknowledges when the test says so, in a session that lasts.
fn silent(world: &mut World, version: Version, qos: QoS) -> ClientId {
    let reader = world.connected(ConnectOptions::lasting(version, "silent").silent());
    world.subscribe(reader, "t", qos);
    world.run_until_quiet();
    world.received(reader);
    reader
}

#[test]
fn every_answer_carries_the_identifier_of_what_it_answers() {
    // [MQTT-2.2.1-5] [MQTT-2.2.1-6] [MQTT-3.3.4-1] [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5]
    // [3.1.1: MQTT-2.3.1-6] [3.1.1: MQTT-2.3.1-7] [3.1.1: MQTT-3.3.4-1] [3.1.1: MQTT-3.8.4-1] [3.1.1: MQTT-3.8.4-2]
    // [3.1.1: MQTT-3.10.4-4]
    both_versions(|world, version| {
        let client = world.connected(ConnectOptions::new(version, "c").silent());
        world.received(client);
        for packet_id in [1, 0x1234, 65_535] {
            publish(world, client, PublishOptions { packet_id, ..message("nobody/1", "m").qos(Q1) });
            assert_eq!(acks(&world.received(client)), [(AckKind::Puback, packet_id)]);
            publish(world, client, PublishOptions { packet_id, ..message("nobody/2", "m").qos(Q2) });
            assert_eq!(acks(&world.received(client)), [(AckKind::Pubrec, packet_id)]);
            world.ack(client, AckKind::Pubrel, packet_id);
            world.run_until_quiet();
            assert_eq!(acks(&world.received(client)), [(AckKind::Pubcomp, packet_id)]);
        }
        publish(world, client, message("nobody/0", "m"));
        assert_eq!(world.received(client), [], "QoS 0 is not answered");
        for _ in 0..3 {
            let asked = world.subscribe(client, "s/+", Q2);
            world.run_until_quiet();
            let packets = world.received(client);
            assert!(matches!(&packets[..], [OwnedPacket::Suback { packet_id, .. }] if *packet_id == asked));
            let asked = world.unsubscribe(client, "s/+");
            world.run_until_quiet();
            let packets = world.received(client);
            assert!(matches!(&packets[..], [OwnedPacket::Unsuback { packet_id, .. }] if *packet_id == asked));
        }
    });
}

#[test]
fn identifiers_under_way_differ_and_none_is_0() {
    // [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [3.1.1: MQTT-2.3.1-4]
    both_versions(|world, version| {
        let reader = silent(world, version, Q2);
        let publisher = client(world, version, "p");
        let mut under_way: Vec<u16> = Vec::new();
        for number in 0..40 {
            let qos = if number % 2 == 0 { Q1 } else { Q2 };
            publish(world, publisher, message("t", "m").qos(qos));
            let packet_id = world.messages(reader)[0].packet_id;
            assert!(packet_id != 0 && !under_way.contains(&packet_id));
            // Of QoS 1 only the first of three stays under way.
            if qos == Q1 && number % 3 != 0 {
                world.ack(reader, AckKind::Puback, packet_id);
                world.run_until_quiet();
            } else {
                under_way.push(packet_id);
            }
        }
    });
}

#[test]
fn dup_on_the_way_in_is_not_dup_on_the_way_out() {
    // [MQTT-3.3.1-3] [MQTT-4.3.2-2] [MQTT-4.3.3-2] [3.1.1: MQTT-3.3.1-3]
    both_versions(|world, version| {
        let reader = subscriber(world, version, "r", "t", Q2);
        let publisher = client(world, version, "p");
        for qos in [Q1, Q2] {
            publish(world, publisher, PublishOptions { dup: true, ..message("t", "m").qos(qos) });
            let got = world.messages(reader);
            assert_eq!(got.iter().map(|m| (m.qos, m.dup)).collect::<Vec<_>>(), [(qos, false)]);
        }
    });
}

#[test]
fn after_puback_the_same_identifier_is_a_new_message() {
    // [MQTT-4.3.2-5] [3.1.1: MQTT-4.3.2-2]
    both_versions(|world, version| {
        let reader = subscriber(world, version, "r", "t", Q1);
        let publisher = client(world, version, "p");
        for (dup, text) in [(false, "1"), (true, "2"), (false, "3")] {
            publish(world, publisher, PublishOptions { dup, packet_id: 7, ..message("t", text).qos(Q1) });
        }
        assert_eq!(world.lines(reader), ["t 1", "t 2", "t 3"]);
        assert_eq!(acks(&world.received(publisher)), [(AckKind::Puback, 7); 3]);
    });
}

#[test]
fn what_is_not_acknowledged_stays_so_and_is_sent_again_on_a_new_connection_alone() {
    // [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1]
    // [3.1.1: MQTT-4.3.2-1] [3.1.1: MQTT-4.3.3-1] [3.1.1: MQTT-4.4.0-1] [3.1.1: MQTT-4.6.0-4]
    both_versions(|world, version| {
        let reader = silent(world, version, Q2);
        let publisher = client(world, version, "p");
        for (text, qos) in [("one", Q1), ("two", Q2), ("released", Q2), ("also released", Q2), ("done", Q1)] {
            publish(world, publisher, message("t", text).qos(qos));
        }
        let sent = world.messages(reader);
        assert!(sent.iter().all(|message| !message.dup));
        let packet_id = |at: usize| sent[at].packet_id;
        world.ack(reader, AckKind::Pubrec, packet_id(3));
        world.ack(reader, AckKind::Pubrec, packet_id(2));
        world.ack(reader, AckKind::Puback, packet_id(4));
        world.run_until_quiet();
        let released = [(AckKind::Pubrel, packet_id(3)), (AckKind::Pubrel, packet_id(2))];
        assert_eq!(acks(&world.received(reader)), released, "in the order of the PUBRECs");
        world.advance_ms(100_000_000);
        assert_eq!(world.received(reader), [], "at no other time");
        world.drop_client(reader);
        world.run_until_quiet();
        let back = world.connected(ConnectOptions::lasting(version, "silent").silent());
        let packets = world.received(back);
        let again: Vec<(String, u16, bool)> = packets
            .iter()
            .filter_map(OwnedPacket::message)
            .map(|message| (message.text(), message.packet_id, message.dup))
            .collect();
        assert_eq!(again, [("one".into(), packet_id(0), true), ("two".into(), packet_id(1), true)]);
        let mut ids: Vec<u16> = acks(&packets).iter().map(|(_, packet_id)| *packet_id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [packet_id(2), packet_id(3)], "PUBREL, and not the message");
    });
}

#[test]
fn a_refused_delivery_is_over() {
    // [MQTT-4.4.0-2] [MQTT-4.3.3-4]
    worlds(|world| {
        let reader = silent(world, V5, Q2);
        let publisher = client(world, V5, "p");
        for (text, qos) in [("no", Q1), ("never", Q2), ("yes", Q2)] {
            publish(world, publisher, message("t", text).qos(qos));
        }
        let sent = world.messages(reader);
        world.refuse(reader, AckKind::Puback, sent[0].packet_id, ReasonCode::QuotaExceeded);
        world.refuse(reader, AckKind::Pubrec, sent[1].packet_id, ReasonCode::PayloadFormatInvalid);
        world.ack(reader, AckKind::Pubrec, sent[2].packet_id);
        world.run_until_quiet();
        assert_eq!(acks(&world.received(reader)), [(AckKind::Pubrel, sent[2].packet_id)]);
        world.drop_client(reader);
        world.run_until_quiet();
        let back = world.connected(ConnectOptions::lasting(V5, "silent"));
        let packets = world.received(back);
        assert_eq!(acks(&packets), [(AckKind::Pubrel, sent[2].packet_id)]);
        assert!(packets.iter().all(|packet| packet.message().is_none()));
    });
}

#[test]
fn what_was_sent_does_not_expire() {
    // [MQTT-4.3.3-7]
    worlds(|world| {
        let reader = silent(world, V5, Q2);
        let publisher = client(world, V5, "p");
        let properties = vec![Property::MessageExpiryInterval(5)];
        publish(world, publisher, PublishOptions { properties, ..message("t", "m").qos(Q2) });
        let sent = world.messages(reader);
        world.advance_ms(20_000);
        world.drop_client(reader);
        world.run_until_quiet();
        let back = world.connected(ConnectOptions::lasting(V5, "silent"));
        let again = world.messages(back);
        assert_eq!(
            again.iter().map(|m| (m.text(), m.packet_id)).collect::<Vec<_>>(),
            [("m".into(), sent[0].packet_id)]
        );
    });
}

#[test]
fn an_exchange_goes_on_though_its_message_has_expired() {
    // [MQTT-4.3.3-13]
    worlds(|world| {
        let reader = silent(world, V5, Q2);
        let publisher = world.connected(ConnectOptions::new(V5, "p").silent());
        world.received(publisher);
        let properties = vec![Property::MessageExpiryInterval(1)];
        publish(world, publisher, PublishOptions { packet_id: 3, properties, ..message("t", "m").qos(Q2) });
        let sent = world.messages(reader);
        world.advance_ms(10_000);
        world.ack(publisher, AckKind::Pubrel, 3);
        world.ack(reader, AckKind::Pubrec, sent[0].packet_id);
        world.run_until_quiet();
        assert_eq!(acks(&world.received(publisher)), [(AckKind::Pubrec, 3), (AckKind::Pubcomp, 3)]);
        assert_eq!(acks(&world.received(reader)), [(AckKind::Pubrel, sent[0].packet_id)]);
    });
}

#[test]
fn after_a_pubrec_that_says_no_the_same_identifier_is_a_new_message() {
    // [MQTT-4.3.3-9]
    worlds(|world| {
        let reader = subscriber(world, V5, "r", "t", Q2);
        let publisher = world.connected(ConnectOptions::new(V5, "p").silent());
        world.received(publisher);
        publish(world, publisher, PublishOptions { packet_id: 5, ..message("$SYS/mine", "no").qos(Q2) });
        let packets = world.received(publisher);
        let [OwnedPacket::Ack { kind: AckKind::Pubrec, packet_id: 5, reason, .. }] = &packets[..] else {
            panic!("{packets:?}")
        };
        assert!(reason.is_error());
        publish(world, publisher, PublishOptions { packet_id: 5, ..message("t", "yes").qos(Q2) });
        assert_eq!(acks(&world.received(publisher)), [(AckKind::Pubrec, 5)]);
        assert_eq!(world.lines(reader), ["t yes"]);
    });
}

#[test]
fn mqtt_311_acknowledges_what_it_does_not_allow() {
    // [3.1.1: MQTT-3.3.5-2]
    worlds(|world| {
        let reader = subscriber(world, V311, "r", "$SYS/mine", Q2);
        let publisher = client(world, V311, "p");
        for (qos, answers) in [(Q1, &[AckKind::Puback][..]), (Q2, &[AckKind::Pubrec, AckKind::Pubcomp])] {
            publish(world, publisher, message("$SYS/mine", "m").qos(qos));
            let got: Vec<AckKind> = acks(&world.received(publisher)).iter().map(|(kind, _)| *kind).collect();
            assert_eq!(got, answers);
        }
        assert_eq!(world.lines(reader), [""; 0]);
        assert!(!world.is_closed(publisher));
    });
}

#[test]
fn at_quota_0_only_publishes_with_qos_wait() {
    // [MQTT-3.3.4-10] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3]
    worlds(|world| {
        let options = ConnectOptions::new(V5, "r").silent();
        let reader = world.connected(ConnectOptions { properties: vec![Property::ReceiveMaximum(1)], ..options });
        world.subscribe(reader, "t", Q2);
        world.run_until_quiet();
        world.received(reader);
        let publisher = client(world, V5, "p");
        for (text, qos) in [("first", Q1), ("waits", Q1), ("waits too", Q2), ("at once", Q0)] {
            publish(world, publisher, message("t", text).qos(qos));
        }
        let first = world.messages(reader);
        assert_eq!(first.iter().map(Message::text).collect::<Vec<_>>(), ["first", "at once"]);
        world.send(reader, &[0xC0, 0x00]);
        world.subscribe(reader, "u", Q0);
        world.unsubscribe(reader, "u");
        world.publish(reader, message("v", "own").qos(Q1));
        world.publish(reader, message("v", "own").qos(Q2));
        world.run_until_quiet();
        let packets = world.received(reader);
        assert!(packets.contains(&OwnedPacket::Pingresp));
        assert!(packets.iter().any(|packet| matches!(packet, OwnedPacket::Suback { .. })));
        assert!(packets.iter().any(|packet| matches!(packet, OwnedPacket::Unsuback { .. })));
        assert_eq!(
            acks(&packets).iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
            [AckKind::Puback, AckKind::Pubrec]
        );
        world.ack(reader, AckKind::Puback, first[0].packet_id);
        world.run_until_quiet();
        let second = world.messages(reader);
        assert_eq!(second.iter().map(Message::text).collect::<Vec<_>>(), ["waits"]);
        world.ack(reader, AckKind::Puback, second[0].packet_id);
        world.run_until_quiet();
        assert_eq!(world.lines(reader), ["t waits too"]);
    });
}
