//! Many publishes with one topic in one piece, which the broker passes on as one: everybody gets what each packet alone
//! would have brought.

use super::*;

const COUNT: usize = 60;

/// Each reader is another kind: what it takes as it came, what is written anew for it, what it is not to get.
fn readers(world: &mut World, filter: &str) -> Vec<(ClientId, bool)> {
    let named = |world: &mut World, version, name: &str, properties: Vec<Property<'static>>| {
        let client = world.connected(ConnectOptions { properties, ..ConnectOptions::new(version, name) });
        world.received(client);
        client
    };
    let same = [V311, V5, V31].map(|version| named(world, version, &format!("r{version:?}"), Vec::new()));
    let aliased = named(world, V5, "aliased", vec![Property::TopicAliasMaximum(4)]);
    let small = named(world, V5, "small", vec![Property::MaximumPacketSize(20)]);
    let marked = named(world, V5, "marked", Vec::new());
    for client in same.into_iter().chain([aliased, small]) {
        world.subscribe(client, filter, Q1);
    }
    world.subscribe_with(
        marked,
        &[(filter, SubscriptionOptions { qos: Q1, ..Default::default() })],
        &[Property::SubscriptionIdentifier(9)],
    );
    world.run_until_quiet();
    let all = same.into_iter().chain([aliased, marked]).map(|client| (client, true)).chain([(small, false)]);
    all.map(|(client, takes_large)| {
        world.received(client);
        (client, takes_large)
    })
    .collect()
}

#[test]
fn everybody_gets_what_packets_alone_would_have_brought() {
    for (version, qos) in [(V311, Q0), (V5, Q0), (V311, Q1), (V5, Q1)] {
        for filter in ["r/1", "r/+", "#"] {
            worlds(|world| {
                let readers = readers(world, filter);
                let publisher = client(world, version, "p");
                // Twice: what the first publish finds is known to those after it.
                for round in 0..2 {
                    let payload = |at: usize| match at % 7 {
                        3 => "longer than the smallest reader takes".to_owned(),
                        5 => String::new(),
                        _ => format!("{round}-{at}"),
                    };
                    let payloads: Vec<String> = (0..COUNT).map(payload).collect();
                    let publish = |(topic, text)| world.publish(publisher, message(topic, text).qos(qos));
                    let ids: Vec<u16> =
                        payloads.iter().map(|text| ("r/1", &**text)).chain([("r/2", "another")]).map(publish).collect();
                    world.run_until_quiet();
                    // [MQTT-4.3.2-4] [3.1.1: MQTT-4.6.0-2]
                    let owed = ids.iter().filter(|_| qos == Q1).map(|id| (AckKind::Puback, *id));
                    assert!(acks(&world.received(publisher)).into_iter().eq(owed));
                    for (reader, takes_large) in &readers {
                        let mut expected: Vec<String> = payloads
                            .iter()
                            .filter(|payload| *takes_large || payload.len() < 10)
                            .map(|payload| format!("r/1 {payload}"))
                            .collect();
                        expected.extend((filter != "r/1").then(|| "r/2 another".to_owned()));
                        assert_eq!(world.lines(*reader), expected);
                    }
                }
            });
        }
    }
}

#[test]
fn a_run_keeps_its_place_among_what_its_client_says_besides() {
    // [MQTT-4.6.0-5]: other topics, qualities, properties and a subscription of its own between.
    for version in [V311, V5] {
        worlds(|world| {
            let reader = subscriber(world, V5, "r", "t/#", Q2);
            let publisher = client(world, version, "p");
            let mut expected = Vec::new();
            for at in 0..COUNT {
                let (topic, text) = (if at % 11 == 10 { "t/2" } else { "t/1" }, at.to_string());
                let qos = if at % 13 == 12 { Q1 } else { Q0 };
                world.publish(publisher, message(topic, &text).qos(qos));
                expected.push(format!("{topic} {at}"));
                if at == COUNT / 2 {
                    world.subscribe(publisher, "t/1", Q0);
                }
            }
            world.run_until_quiet();
            assert_eq!(world.lines(reader), expected);
            let own: Vec<String> =
                expected[COUNT / 2 + 1..].iter().filter(|line| line.starts_with("t/1")).cloned().collect();
            assert_eq!(world.lines(publisher), own);
        });
    }
}

#[test]
fn who_asked_not_to_hear_itself_does_not() {
    // [MQTT-3.8.3-3]
    worlds(|world| {
        let publisher = client(world, V5, "p");
        let options = SubscriptionOptions { no_local: true, ..Default::default() };
        world.subscribe_with(publisher, &[("t", options)], &[]);
        world.run_until_quiet();
        let reader = subscriber(world, V311, "r", "t", Q0);
        for at in 0..COUNT {
            world.publish(publisher, message("t", &at.to_string()));
        }
        world.run_until_quiet();
        assert_eq!(world.lines(reader).len(), COUNT);
        assert!(world.lines(publisher).is_empty());
    });
}

#[test]
fn who_does_not_read_loses_what_is_new_and_no_part_of_a_packet() {
    let large = |plan: &mut Plan| plan.piece_bytes_max = 65_536; // two megabytes come
    worlds_with(large, |world| {
        let reader = subscriber(world, V311, "r", "t", Q0);
        let publisher = client(world, V311, "p");
        let text = "x".repeat(5_000);
        world.stop_reading(reader);
        for at in 0..400 {
            world.publish(publisher, message("t", &format!("{at} {text}")));
        }
        world.run_until_quiet();
        world.read_again(reader);
        world.run_until_quiet();
        let lines = world.lines(reader);
        assert!(lines.len() > 100 && lines.len() < 400, "{}", lines.len());
        for (at, line) in lines.iter().enumerate() {
            assert_eq!(*line, format!("t {at} {text}"));
        }
        publish(world, publisher, message("t", "again"));
        assert_eq!(world.lines(reader), ["t again"]);
    });
}

#[test]
fn a_packet_in_a_run_is_no_larger_than_the_broker_takes() {
    // [MQTT-3.2.2-15]
    let narrow = |plan: &mut Plan| plan.broker.limits.packet_bytes = 1_024;
    for version in [V311, V5] {
        worlds_with(narrow, |world| {
            let reader = subscriber(world, V5, "r", "t", Q0);
            let publisher = client(world, version, "p");
            publish(world, publisher, message("t", "known"));
            let (fits, too_large) = ("x".repeat(1_000), "x".repeat(1_024));
            for text in [&fits, &fits, &too_large, &fits] {
                world.publish(publisher, message("t", text));
            }
            world.run_until_quiet();
            assert_eq!(world.lines(reader).len(), 3);
            assert!(world.is_closed(publisher));
            let reason = disconnect_reason(&world.received(publisher));
            assert_eq!(reason, (version == V5).then_some(ReasonCode::PacketTooLarge));
        });
    }
}

#[test]
fn a_padded_length_in_a_run_is_read_as_it_would_be_alone() {
    // MQTT 3.1.1 lets lengths be padded: this packet is four bytes long, and its topic is longer than that.
    worlds(|world| {
        let topic = "t".repeat(256);
        let reader = subscriber(world, V311, "r", "#", Q0);
        let publisher = client(world, V311, "p");
        for _ in 0..2 {
            publish(world, publisher, message(&topic, "known"));
        }
        world.publish(publisher, message(&topic, "whole"));
        world.send(publisher, b"\x30\x84\0\x01\x01\0");
        world.send(publisher, topic.as_bytes());
        world.send(publisher, &[b'x'; 16_384]);
        world.run_until_quiet();
        assert_eq!(world.lines(reader).len(), 3);
        assert!(world.is_closed(publisher));
    });
}
