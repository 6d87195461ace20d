//! PUBLISH both ways: QoS, order, acknowledgement, topics.

use super::*;

#[test]
fn the_qos_of_a_delivery_is_the_smaller_of_published_and_granted() {
    // [MQTT-3.8.4-8] [3.1.1: MQTT-3.8.4-6]
    both_versions(|world, version| {
        let subscribers = [Q0, Q1, Q2].map(|qos| (qos, subscriber(world, version, &format!("s{qos:?}"), "t/#", qos)));
        let publisher = client(world, version, "p");
        for qos in [Q0, Q1, Q2] {
            publish(world, publisher, message("t/x", "m").qos(qos));
            for (granted, subscriber) in subscribers {
                let got: Vec<QoS> = world.messages(subscriber).iter().map(|message| message.qos).collect();
                assert_eq!(got, [qos.min(granted)], "published {qos:?}, granted {granted:?}");
            }
        }
    });
}

#[test]
fn every_qos_is_acknowledged_as_its_protocol_says() {
    // [MQTT-4.3.2-4] (PUBACK), [MQTT-4.3.3-8] (PUBREC), [MQTT-4.3.3-11] (PUBCOMP)
    // [3.1.1: MQTT-4.3.2-2] [3.1.1: MQTT-4.3.3-2]
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        publish(world, publisher, message("t", "0"));
        assert_eq!(world.received(publisher), []);
        let one = world.publish(publisher, message("t", "1").qos(Q1));
        let two = world.publish(publisher, message("t", "2").qos(Q2));
        world.run_until_quiet();
        let packets = world.received(publisher);
        assert_eq!(acks(&packets), [(AckKind::Puback, one), (AckKind::Pubrec, two), (AckKind::Pubcomp, two)]);
    });
}

#[test]
fn a_qos_2_message_is_delivered_once_however_often_it_is_sent() {
    // [MQTT-4.3.3-10] [MQTT-4.3.3-12] [3.1.1: MQTT-4.3.3-2]
    both_versions(|world, version| {
        let subscriber = subscriber(world, version, "s", "t", Q2);
        let publisher = world.connected(ConnectOptions::new(version, "p").silent());
        world.received(publisher);
        for dup in [false, true, true] {
            let again = PublishOptions { dup, packet_id: 7, ..message("t", "once").qos(Q2) };
            publish(world, publisher, again);
        }
        assert_eq!(acks(&world.received(publisher)), [(AckKind::Pubrec, 7); 3]);
        assert_eq!(world.lines(subscriber), ["t once"]);
        world.ack(publisher, AckKind::Pubrel, 7);
        world.run_until_quiet();
        assert_eq!(acks(&world.received(publisher)), [(AckKind::Pubcomp, 7)]);
        publish(world, publisher, PublishOptions { packet_id: 7, ..message("t", "new").qos(Q2) });
        assert_eq!(world.lines(subscriber), ["t new"], "after PUBCOMP the identifier is free");
    });
}

#[test]
fn acknowledgements_leave_in_the_order_of_the_publishes_whoever_owns_the_topics() {
    // [3.1.1: MQTT-4.6.0-2] [3.1.1: MQTT-4.6.0-3]
    for qos in [Q1, Q2] {
        both_versions(|world, version| {
            let publisher = world.connected(ConnectOptions::new(version, "p").silent());
            world.received(publisher);
            let topics = TOPICS.iter().cycle().take(60);
            let sent: Vec<u16> = topics.map(|topic| world.publish(publisher, message(topic, "m").qos(qos))).collect();
            world.run_until_quiet();
            let got: Vec<u16> = acks(&world.received(publisher)).iter().map(|(_, packet_id)| *packet_id).collect();
            assert_eq!(got, sent);
        });
    }
}

#[test]
fn messages_of_one_publisher_to_one_topic_keep_their_order() {
    // [MQTT-4.6.0-5] [MQTT-4.6.0-6] [3.1.1: MQTT-4.6.0-5] [3.1.1: MQTT-4.6.0-6]
    for qos in [Q0, Q1, Q2] {
        both_versions(|world, version| {
            let readers = ["r1", "r2", "r3"].map(|name| subscriber(world, version, name, "order/#", qos));
            let publisher = client(world, version, "p");
            let numbers: Vec<String> = (0..80).map(|number| number.to_string()).collect();
            for number in &numbers {
                world.publish(publisher, message("order/t", number).qos(qos));
            }
            world.run_until_quiet();
            for reader in readers {
                let got: Vec<String> = world.messages(reader).iter().map(Message::text).collect();
                assert_eq!(got, numbers);
            }
        });
    }
}

#[test]
fn messages_keep_their_order_through_a_window_that_is_full() {
    // [MQTT-4.6.0-5] [MQTT-4.6.0-6] [3.1.1: MQTT-4.6.0-5] [3.1.1: MQTT-4.6.0-6]
    let narrow = |plan: &mut Plan| plan.broker.session.inflight_max = 3;
    for (version, qos) in [(V311, Q1), (V5, Q1), (V311, Q2), (V5, Q2)] {
        worlds_with(narrow, |world| {
            let reader = subscriber(world, version, "r", "order/#", qos);
            let publisher = client(world, version, "p");
            let numbers: Vec<String> = (0..60).map(|number| number.to_string()).collect();
            for number in &numbers {
                world.publish(publisher, message("order/t", number).qos(qos));
            }
            world.run_until_quiet();
            let got: Vec<String> = world.messages(reader).iter().map(Message::text).collect();
            assert_eq!(got, numbers);
        });
    }
}

#[test]
fn who_subscribes_and_then_publishes_sees_it() {
    both_versions(|world, version| {
        let client = client(world, version, "self");
        for topic in TOPICS {
            world.subscribe(client, topic, Q1);
            world.publish(client, message(topic, "mine").qos(Q1));
        }
        world.subscribe(client, "+/wild", Q0);
        TOPICS.iter().for_each(|topic| {
            world.publish(client, message(&topic.replace("/1", "/wild"), "w"));
        });
        world.run_until_quiet();
        let mut got = world.lines(client);
        got.sort();
        let own = TOPICS.map(|topic| format!("{topic} mine"));
        let wild = TOPICS.map(|topic| format!("{} w", topic.replace("/1", "/wild")));
        let mut want: Vec<String> = own.into_iter().chain(wild).collect();
        want.sort();
        assert_eq!(got, want);
    });
}

#[test]
fn a_subscriber_hears_every_shard() {
    both_versions(|world, version| {
        let reader = subscriber(world, version, "all", "#", Q1);
        let publishers = ["p1", "p2", "p3", "p4"].map(|name| client(world, version, name));
        for (publisher, topic) in publishers.iter().cycle().zip(TOPICS.iter().cycle()).take(48) {
            world.publish(*publisher, message(topic, "m").qos(Q1));
        }
        world.run_until_quiet();
        assert_eq!(world.messages(reader).len(), 48);
    });
}

#[test]
fn wildcards_do_not_match_topics_that_begin_with_a_dollar() {
    // [MQTT-4.7.2-1] [3.1.1: MQTT-4.7.2-1]
    both_versions(|world, version| {
        let [hash, plus] = [subscriber(world, version, "h", "#", Q0), subscriber(world, version, "p", "+/x", Q0)];
        let named = subscriber(world, version, "n", "$own/#", Q0);
        publish(world, named, message("$own/x", "m"));
        assert_eq!(world.lines(hash), [""; 0]);
        assert_eq!(world.lines(plus), [""; 0]);
        assert_eq!(world.lines(named), ["$own/x m"]);
    });
}

#[test]
fn a_plain_publish_with_a_wildcard_closes_the_connection() {
    // [MQTT-3.3.2-2] [3.1.1: MQTT-3.3.2-2]
    both_versions(|world, version| {
        let reader = subscriber(world, version, "r", "#", Q0);
        let bad = client(world, version, "bad");
        publish(world, bad, message("a/+/c", "m"));
        assert!(world.is_closed(bad));
        assert_eq!(world.lines(reader), [""; 0]);
    });
}

#[test]
fn a_message_may_be_empty_and_may_be_large() {
    both_versions(|world, version| {
        if world.plan.piece_bytes_max < 1_000 {
            return; // a million crumbs say no more than a thousand
        }
        let reader = subscriber(world, version, "r", "big", Q1);
        let publisher = client(world, version, "p");
        publish(world, publisher, message("big", "").qos(Q1));
        let large = "x".repeat(1_000_000);
        publish(world, publisher, message("big", &large).qos(Q1));
        let lengths: Vec<usize> = world.messages(reader).iter().map(|message| message.payload.len()).collect();
        assert_eq!(lengths, [0, 1_000_000]);
    });
}

#[test]
fn properties_travel_with_the_message_unaltered() {
    // [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
    worlds(|world| {
        let reader = subscriber(world, V5, "r", "+/t", Q1);
        let old = subscriber(world, V311, "old", "+/t", Q1);
        let publisher = client(world, V5, "p");
        for topic in ["a/t", "b/t", "c/t"] {
            let properties = vec![
                Property::PayloadFormatIndicator(1),
                Property::ContentType("text/plain"),
                Property::ResponseTopic("answer/here"),
                Property::CorrelationData(b"\x00\x01"),
                Property::UserProperty("k", "1"),
                Property::UserProperty("k", "2"),
            ];
            publish(world, publisher, PublishOptions { properties, ..message(topic, "m").qos(Q1) });
            let got = world.messages(reader);
            let read = got[0].properties.read();
            assert_eq!(read.content_type(), Some("text/plain"));
            assert_eq!(read.payload_format_indicator(), Some(1));
            assert_eq!(read.response_topic(), Some("answer/here"));
            assert_eq!(read.correlation_data(), Some(&b"\x00\x01"[..]));
            assert_eq!(read.user_properties().collect::<Vec<_>>(), [("k", "1"), ("k", "2")]);
            assert_eq!(world.lines(old), [format!("{topic} m")]);
        }
    });
}

#[test]
fn nobody_listens_and_the_publisher_learns_it() {
    // MQTT 5 section 3.4.2.1: No matching subscribers may be told, success is always right
    worlds(|world| {
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("void", "m").qos(Q1));
        let packets = world.received(publisher);
        let Some(OwnedPacket::Ack { reason, .. }) = packets.first() else { panic!("{packets:?}") };
        assert!([ReasonCode::Success, ReasonCode::NoMatchingSubscribers].contains(reason));
    });
}

/// A client whose home is `shard`.
fn at_home(world: &mut World, shard: u16, name: &str) -> ClientId {
    let names = (0..).map(|number| format!("{name}{number}"));
    let name = names.into_iter().find(|name| world.roots.home(name).0 == shard).unwrap();
    client(world, V311, &name)
}

#[test]
fn what_fills_more_parcels_than_a_lane_takes_waits_for_the_next_turns() {
    // One step may send more than the credit of a lane: it must neither be lost nor take the broker with it.
    for (shards, lane_parcels) in [(2, 1), (4, 1), (2, 2)] {
        let plan = Plan { lane_parcels, piece_bytes_max: 65_536, ..Plan::new(u64::from(shards as u32), shards) };
        let world = &mut World::new(plan);
        let (publisher, reader) = (at_home(world, 0, "p"), at_home(world, 0, "r"));
        world.subscribe(reader, "#", Q1);
        world.run_until_quiet();
        world.received(reader);
        // Up: one tree whose rows for one owner are several parcels.
        let value = "v".repeat(60_000);
        let rows: Vec<String> = (0..30).map(|row| format!("\"k{row}\":\"{value}\"")).collect();
        publish(world, publisher, message("$tree/*/x", &format!("{{{}}}", rows.join(","))).qos(Q1));
        assert_eq!(acks(&world.received(publisher)).len(), 1);
        assert_eq!(world.messages(reader).len(), 30);
        // Down: one parcel of many small publishes, each with a delivery and a verdict.
        let topics = (0..).map(|number| format!("{number}"));
        let topic = topics.into_iter().find(|topic| world.roots.owner(topic).0 == 1).unwrap();
        for _ in 0..6_000 {
            world.publish(publisher, message(&topic, "m").qos(Q1));
        }
        world.run_until_quiet();
        assert_eq!(acks(&world.received(publisher)).len(), 6_000);
        assert_eq!(world.messages(reader).len(), 6_000);
    }
}

#[test]
fn a_reason_that_does_not_fit_the_clients_packets_is_left_out() {
    // [MQTT-3.4.2-2] [MQTT-3.9.2-1] [MQTT-3.14.2-3] [MQTT-3.2.2-20]
    worlds(|world| {
        for (bytes_max, in_words) in [(20, false), (1_000, true)] {
            let properties = vec![Property::MaximumPacketSize(bytes_max), Property::UserProperty("mote", "1")];
            let small = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "small") });
            let packets = world.received(small);
            let Some(OwnedPacket::Connack { properties, .. }) = packets.first() else { panic!("{packets:?}") };
            assert_eq!(properties.mote().is_some(), in_words);
            world.publish(small, message("$tree;nonsense=1/a", "{}").qos(Q1));
            world.run_until_quiet();
            let packets = world.received(small);
            let Some(OwnedPacket::Ack { reason, properties, .. }) = packets.first() else { panic!("{packets:?}") };
            assert_eq!(*reason, ReasonCode::TopicNameInvalid);
            assert_eq!(properties.read().reason_string().is_some(), in_words);
        }
    });
}

#[test]
fn nobody_publishes_in_the_name_of_the_broker() {
    // [MOTE-9.14]
    // PROTOCOL section 9
    worlds(|world| {
        for topic in ["$error", "$error/x", "$conflict", "$SYS/uptime"] {
            let publisher = client(world, V5, "p");
            publish(world, publisher, message(topic, "m").qos(Q1));
            let packets = world.received(publisher);
            let Some(OwnedPacket::Ack { reason, .. }) = packets.first() else { panic!("{packets:?}") };
            assert_eq!(*reason, ReasonCode::NotAuthorized, "{topic}");
        }
    });
}
