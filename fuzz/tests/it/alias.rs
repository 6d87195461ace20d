//! Topic Aliases both ways, MQTT 5 sections 3.3.2.3.4, 3.1.2.11.5 and 3.2.2.3.8.

use super::*;

/// `topic payload` under an alias; an empty topic leaves it to the alias.
fn aliased<'a>(topic: &'a str, payload: &'a str, alias: u16) -> PublishOptions<'a> {
    PublishOptions { properties: vec![Property::TopicAlias(alias)], ..message(topic, payload) }
}

fn aliasing(world: &mut World, client_id: &str, alias_max: u16) -> ClientId {
    let properties = vec![Property::TopicAliasMaximum(alias_max)];
    let client = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, client_id) });
    world.received(client);
    client
}

/// Whether each message came by an alias that was told before.
fn by_alias(messages: &[Message]) -> Vec<bool> {
    messages.iter().map(|message| message.by_alias).collect()
}

#[test]
fn connack_says_how_many_aliases_are_taken() {
    // [MQTT-3.3.2-9] [MQTT-3.2.2-18], MQTT 5 section 3.2.2.3.8: absent means none
    for alias_max in [0, 7] {
        worlds_with(
            |plan| plan.broker.session.topic_alias_max = alias_max,
            |world| {
                let client = world.connected(ConnectOptions::new(V5, "c"));
                let packets = world.received(client);
                let Some(OwnedPacket::Connack { properties, .. }) = packets.first() else { panic!("{packets:?}") };
                assert_eq!(properties.read().topic_alias_maximum(), (alias_max > 0).then_some(alias_max));
            },
        );
    }
}

#[test]
fn an_alias_stands_for_its_topic_until_it_gets_another() {
    // MQTT 5 section 3.3.2.3.4; every alias up to the maximum is taken, [MQTT-3.3.2-12]
    for qos in [Q0, Q1, Q2] {
        worlds(|world| {
            let reader = subscriber(world, V5, "r", "+/1", Q2);
            let publisher = client(world, V5, "p");
            for (alias, topic) in (1..).zip(TOPICS).chain([(16, "z/1")]) {
                world.publish(publisher, aliased(topic, "full", alias).qos(qos));
                world.publish(publisher, aliased("", "by alias", alias).qos(qos));
                world.run_until_quiet();
                assert_eq!(world.lines(reader), [format!("{topic} full"), format!("{topic} by alias")]);
            }
            world.publish(publisher, aliased("new/1", "full", 1).qos(qos));
            publish(world, publisher, aliased("", "by alias", 1).qos(qos));
            publish(world, publisher, aliased("", "by alias", 2).qos(qos));
            assert_eq!(world.lines(reader), ["new/1 full", "new/1 by alias", "b/1 by alias"]);
            assert!(!world.is_closed(publisher));
        });
    }
}

#[test]
fn an_alias_is_not_forwarded() {
    // MQTT 5 section 3.3.2.3.4: it has no meaning on another connection
    worlds(|world| {
        let reader = subscriber(world, V5, "r", "t", Q1);
        let publisher = client(world, V5, "p");
        let mut publish = aliased("t", "m", 3).qos(Q1);
        publish.properties.push(Property::UserProperty("k", "v"));
        world.publish(publisher, publish);
        world.run_until_quiet();
        let got = world.messages(reader);
        assert_eq!(got[0].properties.read().topic_alias(), None);
        assert_eq!(got[0].properties.read().user_property("k"), Some("v"));
    });
}

#[test]
fn an_alias_that_is_too_large_or_unknown_closes_the_connection() {
    let narrow = |plan: &mut Plan| plan.broker.session.topic_alias_max = 2;
    worlds_with(narrow, |world| {
        let cases = [
            (aliased("t", "m", 0), ReasonCode::TopicAliasInvalid), // [MQTT-3.3.2-8]
            (aliased("t", "m", 3), ReasonCode::TopicAliasInvalid), // [MQTT-3.3.2-9] [MQTT-3.2.2-17]
            (aliased("", "m", 3), ReasonCode::TopicAliasInvalid),
            (aliased("", "m", 2), ReasonCode::ProtocolError),
            (message("", "m"), ReasonCode::ProtocolError),
        ];
        for (publish, reason) in cases {
            let bad = client(world, V5, "bad");
            world.publish(bad, aliased("t", "fine", 1));
            world.publish(bad, publish);
            world.run_until_quiet();
            assert!(world.is_closed(bad));
            assert_eq!(disconnect_reason(&world.received(bad)), Some(reason));
        }
    });
}

#[test]
fn without_topic_alias_maximum_no_alias_is_taken() {
    worlds_with(
        |plan| plan.broker.session.topic_alias_max = 0,
        |world| {
            let bad = client(world, V5, "bad");
            publish(world, bad, aliased("t", "m", 1));
            assert_eq!(disconnect_reason(&world.received(bad)), Some(ReasonCode::TopicAliasInvalid));
        },
    );
}

#[test]
fn aliases_end_with_their_connection_and_the_session_does_not() {
    // [MQTT-3.3.2-7]
    worlds(|world| {
        let first = world.connected(ConnectOptions::lasting(V5, "p"));
        publish(world, first, aliased("t", "m", 1));
        world.drop_client(first);
        world.run_until_quiet();
        let second = world.connected(ConnectOptions::lasting(V5, "p"));
        assert_eq!(connack(&world.received(second)), (true, 0));
        publish(world, second, aliased("", "m", 1));
        assert_eq!(disconnect_reason(&world.received(second)), Some(ReasonCode::ProtocolError));
    });
}

#[test]
fn an_alias_may_stand_for_a_tree() {
    worlds(|world| {
        let reader = subscriber(world, V5, "r", "light/#", Q1);
        let publisher = client(world, V5, "p");
        world.publish(publisher, aliased("$tree/light/bed", r#"{"on":1}"#, 1).qos(Q1));
        world.publish(publisher, aliased("", r#"{"on":0,"dim":5}"#, 1).qos(Q1));
        world.run_until_quiet();
        assert_eq!(world.lines(reader), ["light/bed/on 1", "light/bed/on 0", "light/bed/dim 5"]);
        // As a property the intent is of one packet: without it the alias stands for a topic with a wildcard.
        let mut by_property = aliased("light/+/on", r#"{"hall":1}"#, 2).qos(Q1);
        by_property.properties.push(Property::UserProperty("mote", "tree"));
        publish(world, publisher, by_property);
        assert_eq!(world.lines(reader), ["light/hall/on 1"]);
        publish(world, publisher, aliased("", r#"{"hall":1}"#, 2));
        assert_eq!(disconnect_reason(&world.received(publisher)), Some(ReasonCode::TopicNameInvalid));
    });
}

#[test]
fn a_refused_publish_by_alias_is_named_by_its_topic() {
    // PROTOCOL section 9; and the alias was set by a publish that was refused itself
    worlds(|world| {
        let publisher = client(world, V5, "p");
        world.publish(publisher, aliased("$tree/a/b", "no JSON", 1));
        world.publish(publisher, aliased("", "[", 1));
        world.run_until_quiet();
        let got: Vec<String> = world.messages(publisher).into_iter().map(|message| message.topic).collect();
        assert_eq!(got, ["$error/a/b", "$error/a/b"]);
    });
}

#[test]
fn the_topics_of_all_aliases_are_bounded_together() {
    // DISCONNECT 0x97: a limit of the broker, MQTT 5 section 3.14.2.1
    let mut plan = Plan::new(3, 2);
    plan.piece_bytes_max = 65_536;
    plan.broker.limits.topic_levels = 2;
    let world = &mut World::new(plan);
    let publisher = client(world, V5, "p");
    let topic = |alias: u16| format!("{alias}/{}", "x".repeat(65_000));
    for alias in 1..=4 {
        publish(world, publisher, aliased(&topic(alias), "m", alias));
    }
    assert!(!world.is_closed(publisher));
    publish(world, publisher, aliased("short", "m", 4));
    publish(world, publisher, aliased(&topic(5), "m", 5));
    assert!(!world.is_closed(publisher), "what an alias stood for before does not count");
    publish(world, publisher, aliased(&topic(6), "m", 6));
    assert_eq!(disconnect_reason(&world.received(publisher)), Some(ReasonCode::QuotaExceeded));
}

#[test]
fn what_repeats_comes_by_alias_to_who_takes_aliases() {
    // [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-11]: the client of the simulator refuses any other alias
    for qos in [Q0, Q1, Q2] {
        worlds(|world| {
            let with = aliasing(world, "with", 2);
            let also = aliasing(world, "also", 1);
            for client in [with, also] {
                world.subscribe(client, "#", qos);
            }
            let without = subscriber(world, V5, "without", "#", qos);
            let old = subscriber(world, V311, "old", "#", qos);
            world.run_until_quiet();
            world.received(with);
            world.received(also);
            let publisher = client(world, V5, "p");
            for number in 0..4 {
                publish(world, publisher, message("sensor/1", &number.to_string()).qos(qos));
            }
            publish(world, publisher, message("short", "m").qos(qos));
            let want: Vec<String> = (0..4).map(|n| format!("sensor/1 {n}")).chain(["short m".to_owned()]).collect();
            for (client, aliases) in [(with, true), (also, true), (without, false), (old, false)] {
                let got = world.messages(client);
                assert_eq!(got.iter().map(Message::line).collect::<Vec<_>>(), want);
                assert_eq!(by_alias(&got), [false, false, aliases, aliases, false]);
            }
            // More topics repeat than there are aliases.
            for topic in ["sensor/2", "sensor/3", "sensor/4"].iter().cycle().take(12) {
                publish(world, publisher, message(topic, "m").qos(qos));
            }
            for client in [with, also, without, old] {
                assert_eq!(world.messages(client).len(), 12);
            }
        });
    }
}

#[test]
fn what_is_sent_again_names_its_topic_in_full() {
    // [MQTT-3.3.2-7]: the alias of the first delivery ended with its connection
    for qos in [Q1, Q2] {
        worlds(|world| {
            let properties = vec![Property::SessionExpiryInterval(100), Property::TopicAliasMaximum(9)];
            let options = ConnectOptions { clean: false, properties, ..ConnectOptions::new(V5, "r") };
            let first = world.connected(options.clone().silent());
            world.subscribe(first, "sensor/#", qos);
            world.run_until_quiet();
            world.received(first);
            let publisher = client(world, V5, "p");
            for number in 0..5 {
                publish(world, publisher, message("sensor/1", &number.to_string()).qos(qos));
            }
            assert_eq!(by_alias(&world.messages(first)), [false, false, true, true, true]);
            world.drop_client(first);
            world.run_until_quiet();
            let second = world.connected(options);
            let got = world.messages(second);
            assert_eq!(by_alias(&got), [false; 5]);
            assert_eq!(got.iter().map(Message::text).collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
            assert!(got.iter().all(|message| message.dup && message.topic == "sensor/1"));
            for _ in 0..3 {
                publish(world, publisher, message("sensor/1", "new").qos(qos));
            }
            assert_eq!(by_alias(&world.messages(second)), [false, false, true]);
        });
    }
}

#[test]
fn an_alias_is_not_set_by_a_packet_that_is_not_sent() {
    // [MQTT-3.1.2-24]: what is too large leaves no trace, and what fits only by its alias goes
    for qos in [Q0, Q1] {
        worlds(|world| {
            let properties = vec![Property::TopicAliasMaximum(9), Property::MaximumPacketSize(60)];
            let small = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "small") });
            world.subscribe(small, "#", qos);
            world.run_until_quiet();
            world.received(small);
            let publisher = client(world, V5, "p");
            let topic = "a/topic/of/some/length";
            let (fits, barely, only_by_alias, never) = (10, 31, 45, 90);
            let lengths = [fits, never, never, barely, fits, only_by_alias, never, only_by_alias];
            for length in lengths {
                publish(world, publisher, message(topic, &"x".repeat(length)).qos(qos));
            }
            let got = world.messages(small);
            assert!(got.iter().all(|message| message.topic == topic));
            let lengths: Vec<usize> = got.iter().map(|message| message.payload.len()).collect();
            assert_eq!(lengths, [fits, barely, fits, only_by_alias, only_by_alias]);
            assert_eq!(by_alias(&got), [false, false, false, true, true], "{qos:?}");
        });
    }
}

#[test]
fn frames_come_by_alias() {
    for qos in [Q0, Q1, Q2] {
        worlds(|world| {
            let reader = aliasing(world, "r", 4);
            world.subscribe(reader, "$tree/light/+/is_on", qos);
            world.run_until_quiet();
            world.received(reader);
            let publisher = client(world, V5, "p");
            for number in 0..4 {
                publish(world, publisher, message("light/bed/is_on", &number.to_string()).qos(qos).retained());
            }
            let got = world.messages(reader);
            assert_eq!(by_alias(&got), [false, false, true, true]);
            assert_eq!(got[3].line(), r#"light/+/is_on {"bed":3}"#);
        });
    }
}

#[test]
fn who_is_dropped_for_being_slow_misses_no_alias() {
    // QoS 0 beyond SEND_HIGH_BYTES is dropped: a topic must not be taught by what was dropped
    let mut plan = Plan::new(11, 2);
    plan.piece_bytes_max = 65_536;
    let world = &mut World::new(plan);
    let reader = aliasing(world, "r", 4);
    world.subscribe(reader, "#", Q0);
    world.run_until_quiet();
    world.received(reader);
    let publisher = client(world, V5, "p");
    world.stop_reading(reader);
    let large = "x".repeat(300_000);
    for number in 0..20 {
        publish(world, publisher, message(&format!("topic/{}", number % 5), &large));
    }
    world.read_again(reader);
    world.run_until_quiet();
    assert!(world.messages(reader).len() < 8);
    for number in 0..20 {
        publish(world, publisher, message(&format!("topic/{}", number % 5), "m"));
    }
    let got: Vec<String> = world.lines(reader);
    assert_eq!(got, (0..20).map(|number| format!("topic/{} m", number % 5)).collect::<Vec<_>>());
}
