//! SUBSCRIBE and UNSUBSCRIBE.

use super::*;

#[test]
fn a_suback_grants_what_was_asked_in_its_order() {
    // [MQTT-3.8.4-5] [MQTT-3.9.3-1] [3.1.1: MQTT-3.8.4-5] [3.1.1: MQTT-3.9.3-1]
    both_versions(|world, version| {
        let client = client(world, version, "s");
        let filter = |filter, qos| (filter, SubscriptionOptions { qos, ..Default::default() });
        let filters = [filter("a", Q2), filter("b/+", Q0), filter("#", Q1), filter("c/#/d", Q1)];
        let packet_id = world.subscribe_with(client, &filters[..3], &[]);
        world.run_until_quiet();
        assert_eq!(world.received(client), [OwnedPacket::Suback { packet_id, reasons: vec![2, 0, 1] }]);
    });
}

#[test]
fn an_invalid_filter_is_refused_and_the_others_are_not() {
    // [MQTT-4.7.1-1] [MQTT-4.7.1-2] [3.1.1: MQTT-4.7.1-2] [3.1.1: MQTT-4.7.1-3]: a filter that breaks the rules is no filter
    both_versions(|world, version| {
        let client = client(world, version, "s");
        let filter = |filter, qos| (filter, SubscriptionOptions { qos, ..Default::default() });
        world.subscribe_with(client, &[filter("a", Q1), filter("c/#/d", Q1), filter("b", Q0)], &[]);
        world.run_until_quiet();
        let packets = world.received(client);
        let refused = if version.is_v5() { 0x8F } else { 0x80 };
        let closed = world.is_closed(client);
        let answered =
            matches!(packets.first(), Some(OwnedPacket::Suback { reasons, .. }) if reasons[..] == [1, refused, 0]);
        assert!(answered || closed, "{packets:?}");
    });
}

#[test]
fn overlapping_filters_deliver_with_the_highest_qos() {
    // [MQTT-3.3.4-2] [3.1.1: MQTT-3.3.5-1]
    both_versions(|world, version| {
        let reader = client(world, version, "r");
        for (filter, qos) in [("o/#", Q0), ("o/+", Q2), ("o/x", Q1)] {
            world.subscribe(reader, filter, qos);
        }
        world.run_until_quiet();
        world.received(reader);
        let publisher = client(world, version, "p");
        publish(world, publisher, message("o/x", "m").qos(Q2));
        let got = world.messages(reader);
        assert_eq!(got.iter().filter(|message| message.qos == Q2).count(), 1, "{got:?}");
        assert!(got.len() <= 3);
    });
}

#[test]
fn after_unsuback_nothing_new_arrives() {
    // [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [3.1.1: MQTT-3.10.4-2] [3.1.1: MQTT-3.10.4-4]
    both_versions(|world, version| {
        for filter in ["u/x", "u/+", "+/x", "#"] {
            let reader = subscriber(world, version, &format!("r{filter}"), filter, Q1);
            let packet_id = world.unsubscribe(reader, filter);
            world.run_until_quiet();
            let reasons = if version.is_v5() { vec![0] } else { Vec::new() };
            assert_eq!(world.received(reader), [OwnedPacket::Unsuback { packet_id, reasons }]);
            publish(world, reader, message("u/x", "m"));
            assert_eq!(world.lines(reader), [""; 0], "{filter}");
        }
    });
}

#[test]
fn an_unsubscribe_of_nothing_says_so() {
    // [MQTT-3.11.3-2], reason 0x11
    worlds(|world| {
        let reader = client(world, V5, "r");
        let packet_id = world.unsubscribe(reader, "never");
        world.run_until_quiet();
        assert_eq!(world.received(reader), [OwnedPacket::Unsuback { packet_id, reasons: vec![0x11] }]);
    });
}

#[test]
fn subscribing_again_replaces_the_qos_and_unsubscribing_ends_it() {
    // [MQTT-3.8.4-3] [3.1.1: MQTT-3.8.4-3]
    both_versions(|world, version| {
        let reader = subscriber(world, version, "r", "t", Q2);
        world.subscribe(reader, "t", Q0);
        world.run_until_quiet();
        world.received(reader);
        let publisher = client(world, version, "p");
        publish(world, publisher, message("t", "m").qos(Q2));
        let got = world.messages(reader);
        assert_eq!(got.iter().map(|message| message.qos).collect::<Vec<_>>(), [Q0]);
        world.unsubscribe(reader, "t");
        world.run_until_quiet();
        publish(world, publisher, message("t", "m"));
        assert_eq!(world.lines(reader), [""; 0]);
    });
}

#[test]
fn a_filter_comes_and_goes_many_times() {
    both_versions(|world, version| {
        let reader = client(world, version, "r");
        let publisher = client(world, version, "p");
        for round in 0..6 {
            for topic in TOPICS {
                world.subscribe(reader, topic, Q1);
            }
            world.run_until_quiet();
            let text = round.to_string();
            TOPICS.iter().for_each(|topic| {
                world.publish(publisher, message(topic, &text).qos(Q1));
            });
            world.run_until_quiet();
            let mut got = world.lines(reader);
            got.sort();
            assert_eq!(got, TOPICS.map(|topic| format!("{topic} {round}")));
            TOPICS.iter().for_each(|topic| {
                world.unsubscribe(reader, topic);
            });
            if round % 2 == 0 {
                world.run_until_quiet();
            }
        }
    });
}

#[test]
fn no_local_keeps_a_client_from_itself() {
    // [MQTT-3.8.3-3]
    worlds(|world| {
        let own = client(world, V5, "own");
        let options = SubscriptionOptions { qos: Q1, no_local: true, ..Default::default() };
        world.subscribe_with(own, &[("n/+", options)], &[]);
        world.run_until_quiet();
        world.received(own);
        let other = client(world, V5, "other");
        world.publish(own, message("n/x", "own"));
        world.publish(other, message("n/x", "other"));
        world.run_until_quiet();
        assert_eq!(world.lines(own), ["n/x other"]);
    });
}

#[test]
fn the_subscription_identifier_comes_with_the_message() {
    // [MQTT-3.3.4-3] [MQTT-3.3.4-4]
    worlds(|world| {
        let reader = client(world, V5, "r");
        let options = SubscriptionOptions { qos: Q1, ..Default::default() };
        world.subscribe_with(reader, &[("i/+", options)], &[Property::SubscriptionIdentifier(7)]);
        world.subscribe_with(reader, &[("i/#", options)], &[Property::SubscriptionIdentifier(300)]);
        world.run_until_quiet();
        world.received(reader);
        publish(world, reader, message("i/x", "m"));
        let identifiers = |message: &Message| message.properties.read().subscription_identifiers().collect::<Vec<_>>();
        let mut got: Vec<u32> = world.messages(reader).iter().flat_map(identifiers).collect();
        got.sort();
        assert_eq!(got, [7, 300], "in one message or in one each");
    });
}

#[test]
fn every_subscriber_of_a_popular_filter_gets_it() {
    worlds(|world| {
        let readers: Vec<_> =
            (0..40).map(|number| world.connect(ConnectOptions::new(V311, &format!("r{number}")))).collect();
        world.run_until_quiet();
        readers.iter().for_each(|reader| {
            world.subscribe(*reader, "pop/#", Q0);
        });
        world.run_until_quiet();
        let publisher = client(world, V311, "p");
        for reader in &readers {
            world.received(*reader);
        }
        publish(world, publisher, message("pop/x", "m"));
        for reader in readers {
            assert_eq!(world.lines(reader), ["pop/x m"]);
        }
    });
}

#[test]
fn a_session_with_thousands_of_filters_keeps_each_apart() {
    // More than are looked through one by one: each is found, replaced and removed by itself, in any order.
    let world = &mut World::new(Plan { piece_bytes_max: 65_536, ..Plan::new(5, 2) });
    let reader = client(world, V5, "r");
    let neighbour = client(world, V5, "n");
    let filters: Vec<String> = (0..3_000).map(|number| format!("many/{number}")).collect();
    let wanted = |qos| SubscriptionOptions { qos, ..Default::default() };
    let all: Vec<_> = filters.iter().map(|filter| (&**filter, wanted(Q0))).collect();
    for client in [reader, neighbour] {
        world.subscribe_with(client, &all, &[]);
        world.subscribe_with(client, &all, &[]);
    }
    world.run_until_quiet();
    world.received(reader);
    let publisher = client(world, V5, "p");
    for (number, filter) in filters.iter().enumerate().filter(|(number, _)| number % 3 > 0) {
        world.unsubscribe(if number % 3 == 1 { reader } else { neighbour }, filter);
    }
    world.run_until_quiet();
    let unsubacks = world.received(reader);
    let went = |packet: &OwnedPacket| matches!(packet, OwnedPacket::Unsuback { reasons, .. } if reasons == &[0]);
    assert!(unsubacks.len() == 1_000 && unsubacks.iter().all(went));
    world.received(neighbour);
    for filter in &filters {
        world.publish(publisher, message(filter, "m"));
    }
    world.run_until_quiet();
    assert_eq!((world.messages(reader).len(), world.messages(neighbour).len()), (2_000, 2_000));
    world.drop_client(reader);
    world.run_until_quiet();
    publish(world, publisher, message("many/0", "m"));
    assert_eq!(world.lines(neighbour), ["many/0 m"]);
}
