//! Sessions that outlive their connections.

use super::*;

/// A lasting session with one subscription, now without a connection.
fn sleeper(world: &mut World, version: Version, filter: &str, qos: QoS) {
    let client = world.connected(ConnectOptions::lasting(version, "sleeper"));
    world.subscribe(client, filter, qos);
    world.run_until_quiet();
    world.disconnect(client, ReasonCode::Success);
    world.run_until_quiet();
}

#[test]
fn what_was_published_meanwhile_is_delivered_in_order() {
    // [MQTT-4.5.0-1] [3.1.1: MQTT-3.1.2-5] [3.1.1: MQTT-4.5.0-1]
    for qos in [Q1, Q2] {
        both_versions(|world, version| {
            sleeper(world, version, "q/#", Q2);
            let publisher = client(world, version, "p");
            let numbers: Vec<String> = (0..50).map(|number| number.to_string()).collect();
            for number in &numbers {
                world.publish(publisher, message("q/t", number).qos(qos));
            }
            world.run_until_quiet();
            let back = world.connected(ConnectOptions::lasting(version, "sleeper"));
            assert_eq!(connack(&world.peek(back)), (true, 0));
            let got: Vec<String> = world.messages(back).iter().map(Message::text).collect();
            assert_eq!(got, numbers);
            publish(world, publisher, message("q/t", "live").qos(qos));
            assert_eq!(world.lines(back), ["q/t live"]);
        });
    }
}

#[test]
fn a_clean_start_forgets_everything() {
    // [MQTT-3.1.2-4] [MQTT-3.1.4-4] [3.1.1: MQTT-3.1.2-6] [3.1.1: MQTT-3.1.4-3]
    both_versions(|world, version| {
        sleeper(world, version, "q/#", Q1);
        let publisher = client(world, version, "p");
        publish(world, publisher, message("q/t", "m").qos(Q1));
        let anew = client(world, version, "sleeper");
        publish(world, publisher, message("q/t", "m").qos(Q1));
        assert_eq!(world.lines(anew), [""; 0]);
        world.disconnect(anew, ReasonCode::Success);
        world.run_until_quiet();
        let again = world.connected(ConnectOptions::lasting(version, "sleeper"));
        assert_eq!(connack(&world.received(again)), (false, 0));
    });
}

#[test]
fn an_unacknowledged_delivery_is_sent_again_with_dup() {
    // [MQTT-4.4.0-1] [MQTT-3.3.1-1] [3.1.1: MQTT-4.4.0-1] [3.1.1: MQTT-3.3.1-1]
    for qos in [Q1, Q2] {
        both_versions(|world, version| {
            let first = world.connected(ConnectOptions::lasting(version, "s").silent());
            world.subscribe(first, "t", Q2);
            world.run_until_quiet();
            world.received(first);
            let publisher = client(world, version, "p");
            for text in ["1", "2", "3"] {
                publish(world, publisher, message("t", text).qos(qos));
            }
            let before = world.messages(first);
            assert_eq!(
                before.iter().map(|m| (m.text(), m.dup)).collect::<Vec<_>>(),
                ["1", "2", "3"].map(|t| (t.to_string(), false))
            );
            world.drop_client(first);
            world.run_until_quiet();
            let second = world.connected(ConnectOptions::lasting(version, "s"));
            let after = world.messages(second);
            let key = |m: &Message| (m.text(), m.packet_id);
            assert_eq!(after.iter().map(key).collect::<Vec<_>>(), before.iter().map(key).collect::<Vec<_>>());
            assert!(after.iter().all(|m| m.dup));
        });
    }
}

#[test]
fn a_qos_2_delivery_goes_on_where_it_stood() {
    // [MQTT-4.4.0-1] [3.1.1: MQTT-4.4.0-1]: PUBREL is sent again with its identifier
    both_versions(|world, version| {
        let first = world.connected(ConnectOptions::lasting(version, "s").silent());
        world.subscribe(first, "t", Q2);
        world.run_until_quiet();
        let publisher = client(world, version, "p");
        publish(world, publisher, message("t", "m").qos(Q2));
        let packet_id = world.messages(first)[0].packet_id;
        world.ack(first, AckKind::Pubrec, packet_id);
        world.run_until_quiet();
        assert_eq!(acks(&world.received(first)), [(AckKind::Pubrel, packet_id)]);
        world.drop_client(first);
        world.run_until_quiet();
        let second = world.connected(ConnectOptions::lasting(version, "s"));
        let packets = world.received(second);
        assert_eq!(acks(&packets), [(AckKind::Pubrel, packet_id)]);
        assert!(packets.iter().all(|packet| packet.message().is_none()), "the message itself is not sent again");
    });
}

#[test]
fn a_qos_2_publish_goes_on_where_it_stood() {
    // [MQTT-4.3.3-10] [3.1.1: MQTT-4.3.3-2]: the identifier is remembered across connections
    both_versions(|world, version| {
        let reader = subscriber(world, version, "r", "t", Q2);
        let first = world.connected(ConnectOptions::lasting(version, "p").silent());
        publish(world, first, PublishOptions { packet_id: 9, ..message("t", "once").qos(Q2) });
        world.drop_client(first);
        world.run_until_quiet();
        let second = world.connected(ConnectOptions::lasting(version, "p").silent());
        world.received(second);
        publish(world, second, PublishOptions { packet_id: 9, dup: true, ..message("t", "once").qos(Q2) });
        assert_eq!(acks(&world.received(second)), [(AckKind::Pubrec, 9)]);
        world.ack(second, AckKind::Pubrel, 9);
        world.run_until_quiet();
        assert_eq!(acks(&world.received(second)), [(AckKind::Pubcomp, 9)]);
        assert_eq!(world.lines(reader), ["t once"]);
    });
}

#[test]
fn a_session_ends_with_its_connection_or_after_its_expiry() {
    // [MQTT-3.1.2-23], MQTT 5 section 3.1.2.11.2
    worlds(|world| {
        let expiring = |seconds| {
            let properties = vec![Property::SessionExpiryInterval(seconds)];
            ConnectOptions { clean: false, properties, ..ConnectOptions::new(V5, "e") }
        };
        for (seconds, waits_ms, is_present) in [(0, 0, false), (10, 5_000, true), (10, 11_000, false)] {
            let first = world.connected(expiring(seconds));
            world.drop_client(first);
            world.advance_ms(waits_ms);
            let second = world.connected(expiring(0));
            assert_eq!(connack(&world.received(second)), (is_present, 0), "{seconds} s, {waits_ms} ms");
            world.disconnect(second, ReasonCode::Success);
            world.run_until_quiet();
        }
    });
}

#[test]
fn a_session_moves_between_accepting_shards() {
    // the accepting shard is drawn anew each time; the home is not
    both_versions(|world, version| {
        sleeper(world, version, "move/+", Q1);
        let publisher = client(world, version, "p");
        for round in 0..8 {
            let text = round.to_string();
            publish(world, publisher, message("move/t", &text).qos(Q1));
            let back = world.connected(ConnectOptions::lasting(version, "sleeper"));
            assert_eq!(world.lines(back), [format!("move/t {round}")]);
            world.drop_client(back);
            world.run_until_quiet();
        }
    });
}

#[test]
fn a_message_that_waited_longer_than_its_expiry_is_not_delivered() {
    // [MQTT-3.3.2-5] [MQTT-3.3.2-6]
    worlds(|world| {
        sleeper(world, V5, "q/#", Q1);
        let publisher = client(world, V5, "p");
        for (topic, seconds) in [("q/short", 5), ("q/long", 60)] {
            let properties = vec![Property::MessageExpiryInterval(seconds)];
            publish(world, publisher, PublishOptions { properties, ..message(topic, "m").qos(Q1) });
        }
        world.advance_ms(20_000);
        let back = world.connected(ConnectOptions::lasting(V5, "sleeper"));
        let got = world.messages(back);
        assert_eq!(got.iter().map(Message::line).collect::<Vec<_>>(), ["q/long m"]);
        assert_eq!(got[0].properties.read().message_expiry(), Some(40), "less the time that it waited");
    });
}

#[test]
fn what_is_sent_again_keeps_to_the_receive_maximum_of_the_new_connection() {
    // [MQTT-3.3.4-9]: the connection's own Receive Maximum; [3.1.1: MQTT-4.6.0-1]: in the original order
    for qos in [Q1, Q2] {
        worlds(|world| {
            let first = world.connected(ConnectOptions::lasting(V5, "s").silent());
            world.subscribe(first, "t", qos);
            world.run_until_quiet();
            let publisher = client(world, V5, "p");
            for number in 0..8 {
                publish(world, publisher, message("t", &number.to_string()).qos(qos));
            }
            assert_eq!(world.messages(first).len(), 8);
            world.drop_client(first);
            world.run_until_quiet();
            publish(world, publisher, message("t", "8").qos(qos));
            let mut options = ConnectOptions::lasting(V5, "s").silent();
            options.properties.push(Property::ReceiveMaximum(2));
            let back = world.connected(options);
            let mut got = world.messages(back);
            assert_eq!(got.len(), 2);
            for at in 0..9 {
                let packet_id = got[at].packet_id;
                if qos == Q2 {
                    world.ack(back, AckKind::Pubrec, packet_id);
                    world.ack(back, AckKind::Pubcomp, packet_id);
                } else {
                    world.ack(back, AckKind::Puback, packet_id);
                }
                world.run_until_quiet();
                got.extend(world.messages(back));
            }
            let texts: Vec<String> = got.iter().map(Message::text).collect();
            assert_eq!(texts, (0..9).map(|number| number.to_string()).collect::<Vec<_>>());
            assert_eq!(got.iter().map(|m| m.dup).collect::<Vec<_>>(), [[true; 8].as_slice(), &[false]].concat());
        });
    }
}

#[test]
fn what_is_sent_again_keeps_to_the_maximum_packet_size_of_the_new_connection() {
    // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
    worlds(|world| {
        let first = world.connected(ConnectOptions::lasting(V5, "s").silent());
        world.subscribe(first, "t", Q1);
        world.run_until_quiet();
        let publisher = client(world, V5, "p");
        for text in ["1", &"x".repeat(200), "2"] {
            publish(world, publisher, message("t", text).qos(Q1));
        }
        world.drop_client(first);
        world.run_until_quiet();
        let mut options = ConnectOptions::lasting(V5, "s");
        options.properties.push(Property::MaximumPacketSize(100));
        let back = world.connected(options);
        assert_eq!(world.lines(back), ["t 1", "t 2"]);
        publish(world, publisher, message("t", "live").qos(Q1));
        assert_eq!(world.lines(back), ["t live"]);
    });
}
