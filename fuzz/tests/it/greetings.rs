//! CONNECT and its answer, statement by statement.

use super::*;

/// CONNECT with these flags and this payload behind an empty property list.
fn connect_bytes(version: Version, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut body = b"\0\x04MQTT".to_vec();
    body.extend([version as u8, flags, 0, 0]);
    body.extend(version.is_v5().then_some(0));
    body.extend(payload);
    [&[0x10, body.len() as u8], &body[..]].concat()
}

/// A client that sends these bytes instead of its CONNECT.
fn says(world: &mut World, version: Version, bytes: &[u8]) -> ClientId {
    let client = world.connect(ConnectOptions::new(version, "says"));
    world.unsend(client);
    world.send(client, bytes);
    world.run_until_quiet();
    client
}

fn connack_properties(packets: &[OwnedPacket]) -> engine::wire::Properties<'_> {
    match packets.first() {
        Some(OwnedPacket::Connack { properties, .. }) => properties.read(),
        other => panic!("no CONNACK first: {other:?}"),
    }
}

#[test]
fn connack_comes_first_and_once_whatever_follows_connect() {
    // [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-3.1.4-5] [3.1.1: MQTT-3.2.0-1] [3.1.1: MQTT-3.1.4-4]
    both_versions(|world, version| {
        let eager = world.connect(ConnectOptions::new(version, "eager"));
        world.subscribe(eager, "t", Q1);
        world.publish(eager, message("t", "m").qos(Q1));
        world.send(eager, &[0xC0, 0x00]);
        world.run_until_quiet();
        let packets = world.received(eager);
        assert_eq!(connack(&packets), (false, 0));
        assert_eq!(packets.iter().filter(|packet| matches!(packet, OwnedPacket::Connack { .. })).count(), 1);
        assert_eq!(packets.iter().filter(|packet| packet.message().is_some()).count(), 1);
        assert!(packets.contains(&OwnedPacket::Pingresp));
    });
}

#[test]
fn after_a_refusal_the_connection_is_closed_and_nothing_more_is_read() {
    // [MQTT-3.1.4-2] [MQTT-3.1.4-6] [MQTT-3.2.2-7] [MQTT-3.1.3-8] [MQTT-4.13.2-1] [3.1.1: MQTT-3.1.4-5]
    // [3.1.1: MQTT-3.2.2-5] [3.1.1: MQTT-3.1.3-9]
    let short = |plan: &mut Plan| plan.broker.limits.client_id_bytes = 30;
    for version in [V311, V5] {
        worlds_with(short, |world| {
            let reader = subscriber(world, version, "r", "#", Q1);
            let refused = world.connect(ConnectOptions::new(version, &"x".repeat(31)));
            world.publish(refused, message("t", "too late").qos(Q1));
            world.run_until_quiet();
            let code = if version.is_v5() { 0x85 } else { 2 };
            let packets = world.received(refused);
            assert_eq!((connack(&packets), packets.len()), ((false, code), 1));
            assert!(world.is_closed(refused));
            assert_eq!(world.lines(reader), [""; 0]);
        });
    }
}

#[test]
fn a_refusal_says_that_no_session_is_present_though_there_is_one() {
    // [MQTT-3.2.2-6] [3.1.1: MQTT-3.2.2-4]
    both_versions(|world, version| {
        let kept = world.connected(ConnectOptions::lasting(version, "kept"));
        world.disconnect(kept, ReasonCode::Success);
        world.run_until_quiet();
        // A Will to a topic that is the broker's own.
        let bad = ConnectOptions::lasting(version, "kept").will("$SYS/mine", b"m");
        let refused = world.connected(bad);
        let (session_present, code) = connack(&world.received(refused));
        assert!(!session_present && code != 0);
        assert!(world.is_closed(refused));
        let back = world.connected(ConnectOptions::lasting(version, "kept"));
        assert_eq!(connack(&world.received(back)), (true, 0), "and the session is untouched");
    });
}

#[test]
fn a_connect_that_is_not_well_formed_closes_the_connection() {
    // [MQTT-3.1.4-1] [MQTT-4.13.1-1] [MQTT-3.14.0-1] [3.1.1: MQTT-3.1.4-1] [3.1.1: MQTT-3.2.2-6]
    both_versions(|world, version| {
        let reserved = connect_bytes(version, 0x03, b"\0\x01c");
        let ends_early = connect_bytes(version, 0x82, b"\0\x01c");
        let too_long = connect_bytes(version, 0x02, b"\0\x01c\0\x01u");
        let no_utf8 = connect_bytes(version, 0x02, b"\0\x01\xFF");
        let will_qos_3 = connect_bytes(version, 0x1E, b"\0\x01c\0\x01w\0\0");
        for bytes in [reserved, ends_early, too_long, no_utf8, will_qos_3] {
            let client = says(world, version, &bytes);
            assert!(world.is_closed(client), "{bytes:02X?}");
            let packets = world.received(client);
            if version.is_v5() {
                assert_eq!(connack(&packets), (false, ReasonCode::MalformedPacket as u8), "{bytes:02X?}");
                assert_eq!(packets.len(), 1);
            } else {
                assert_eq!(packets, [], "no return code says it");
            }
        }
    });
}

#[test]
fn who_speaks_another_protocol_or_does_not_begin_with_connect_is_told_nothing() {
    // [MQTT-3.1.2-1] [MQTT-3.1.0-1] [MQTT-3.14.0-1] [3.1.1: MQTT-3.1.2-1] [3.1.1: MQTT-3.1.0-1]
    both_versions(|world, version| {
        for bytes in
            [&b"GET / HTTP/1.1\r\nHost: broker.example\r\nUser-Agent: a browser that lost its way\r\nAccept: */*\r\n\r\n"[..], b"\x10\x0D\0\x04NATS\x04\x02\0\0\0\x01x", b"\xE0\0", b"\x30\x03\0\x01t"]
        {
            let client = says(world, version, bytes);
            assert!(world.is_closed(client), "{bytes:02X?}");
            assert_eq!(world.received(client), []);
        }
    });
}

#[test]
fn an_unknown_level_is_refused_in_words_that_everybody_reads() {
    // [MQTT-3.1.2-2] [3.1.1: MQTT-3.1.2-2]
    worlds(|world| {
        for level in [0, 2, 6, 9, 0x84, 255] {
            let bytes = [b"\x10\x0D\0\x04MQTT", &[level][..], b"\x02\0\0\0\x01x"].concat();
            let client = says(world, V311, &bytes);
            assert_eq!(connack(&world.received(client)), (false, 1), "level {level}");
            assert!(world.is_closed(client));
        }
    });
}

#[test]
fn an_authentication_method_is_refused_and_without_one_there_is_no_auth() {
    // [MQTT-4.12.0-1] [MQTT-4.12.0-4] [MQTT-4.12.0-6] [MQTT-3.1.4-2]
    worlds(|world| {
        let properties = vec![Property::AuthenticationMethod("SCRAM-SHA-1"), Property::AuthenticationData(b"n,,n=u")];
        let asks = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "asks") });
        let packets = world.received(asks);
        assert_eq!((connack(&packets), packets.len()), ((false, ReasonCode::BadAuthenticationMethod as u8), 1));
        assert!(world.is_closed(asks));
        let plain = world.connected(ConnectOptions::new(V5, "plain"));
        assert_eq!(connack_properties(&world.peek(plain)).authentication_method(), None);
    });
}

#[test]
fn an_auth_without_a_method_is_a_protocol_error() {
    // [MQTT-4.12.0-7] [MQTT-4.12.1-2] [MQTT-4.13.1-1]
    worlds(|world| {
        // Continue authentication, Re-authenticate with and without a method, and AUTH without a reason.
        for auth in [&b"\xF0\x02\x18\0"[..], b"\xF0\x06\x19\x04\x15\0\x01m", b"\xF0\x02\x19\0", b"\xF0\0"] {
            let client = client(world, V5, "c");
            world.send(client, auth);
            world.run_until_quiet();
            assert!(world.is_closed(client));
            assert_eq!(disconnect_reason(&world.received(client)), Some(ReasonCode::ProtocolError), "{auth:02X?}");
        }
    });
}

#[test]
fn identifiers_of_letters_and_digits_up_to_23_are_taken_and_name_their_sessions() {
    // [MQTT-3.1.3-5] [MQTT-3.1.3-2] [3.1.1: MQTT-3.1.3-5] [3.1.1: MQTT-3.1.3-2]
    both_versions(|world, version| {
        let names = ["0", "Z", "0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ", "zZ", "Zz"];
        for name in names {
            let client = world.connected(ConnectOptions::lasting(version, name));
            assert_eq!(connack(&world.received(client)), (false, 0), "{name}");
            world.subscribe(client, &format!("of/{name}"), Q1);
            world.run_until_quiet();
            world.disconnect(client, ReasonCode::Success);
            world.run_until_quiet();
        }
        let publisher = client(world, version, "publisher");
        for name in names {
            publish(world, publisher, message(&format!("of/{name}"), "m").qos(Q1));
        }
        for name in names {
            let back = world.connected(ConnectOptions::lasting(version, name));
            assert_eq!(connack(&world.peek(back)), (true, 0));
            assert_eq!(world.lines(back), [format!("of/{name} m")]);
        }
    });
}

#[test]
fn an_assigned_identifier_is_an_identifier_like_any_other() {
    // [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]
    worlds(|world| {
        let first = world.connected(ConnectOptions::lasting(V5, ""));
        let packets = world.received(first);
        let assigned = connack_properties(&packets).assigned_client_identifier().unwrap().to_string();
        world.subscribe(first, "t", Q1);
        world.run_until_quiet();
        world.drop_client(first);
        world.run_until_quiet();
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("t", "m").qos(Q1));
        let back = world.connected(ConnectOptions::lasting(V5, &assigned));
        assert_eq!(connack(&world.peek(back)), (true, 0));
        assert_eq!(connack_properties(&world.peek(back)).assigned_client_identifier(), None, "it brought its own");
        assert_eq!(world.lines(back), ["t m"]);
    });
}

#[test]
fn clients_without_identifier_do_not_disturb_each_other() {
    // [3.1.1: MQTT-3.1.3-6]
    worlds(|world| {
        let readers = [0; 3].map(|_| subscriber(world, V311, "", "t", Q0));
        let publisher = client(world, V311, "");
        publish(world, publisher, message("t", "m"));
        for reader in readers {
            assert_eq!(world.lines(reader), ["t m"]);
        }
    });
}

#[test]
fn response_information_is_told_to_nobody_who_does_not_ask() {
    // [MQTT-3.1.2-28]
    worlds(|world| {
        for properties in [vec![], vec![Property::RequestResponseInformation(0)]] {
            let client = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "c") });
            assert_eq!(connack_properties(&world.received(client)).response_information(), None);
        }
    });
}

#[test]
fn who_declines_problem_information_gets_the_bare_reasons() {
    // [MQTT-3.1.2-29]
    worlds(|world| {
        for (wanted, in_words) in [(0, false), (1, true)] {
            let properties = vec![Property::RequestProblemInformation(wanted)];
            let client = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "c") });
            world.received(client);
            world.publish(client, message("$tree;nonsense=1/a", "{}").qos(Q1));
            world.publish(client, message("$tree;nonsense=1/a", "{}").qos(Q2));
            world.subscribe(client, "$tree;nonsense=1/a", Q1);
            world.unsubscribe(client, "never");
            world.run_until_quiet();
            let packets = world.received(client);
            assert_eq!(packets.len(), 4, "{packets:?}");
            for packet in &packets {
                if let OwnedPacket::Ack { reason, properties, .. } = packet {
                    assert!(reason.is_error());
                    assert_eq!(properties.read().reason_string().is_some(), in_words);
                }
            }
        }
    });
}

#[test]
fn without_server_keep_alive_the_clients_own_holds() {
    // [MQTT-3.2.2-22]
    let longest = |plan: &mut Plan| plan.broker.session.keep_alive_max_s = 30;
    worlds_with(longest, |world| {
        for (asked, told, closed_after_ms) in
            [(10, None, 15_000), (30, None, 45_000), (60, Some(30), 45_000), (0, Some(30), 45_000)]
        {
            let silent = world.connected(ConnectOptions { keep_alive: asked, ..ConnectOptions::new(V5, "silent") });
            assert_eq!(connack_properties(&world.received(silent)).server_keep_alive(), told, "{asked} s");
            world.advance_ms(closed_after_ms - 1_000);
            assert!(!world.is_closed(silent), "{asked} s");
            world.advance_ms(2_000);
            assert!(world.is_closed(silent), "{asked} s");
        }
    });
}

#[test]
fn words_that_do_not_fit_the_clients_packets_are_left_out_of_every_answer() {
    // The watch of the client looks at the size of everything. [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.4.2-2..3]
    // [MQTT-3.5.2-2..3] [MQTT-3.6.2-2..3] [MQTT-3.7.2-2..3] [MQTT-3.9.2-1..2] [MQTT-3.11.2-1..2] [MQTT-3.14.2-3..4]
    worlds(|world| {
        for (bytes_max, in_words) in [(21, false), (1_000, true)] {
            let properties = vec![Property::MaximumPacketSize(bytes_max), Property::UserProperty("mote", "1")];
            let small = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "small") });
            let connack = world.received(small);
            assert_eq!(connack_properties(&connack).user_property("mote").is_some(), in_words);
            assert_eq!(connack_properties(&connack).reason_string(), None);
            world.publish(small, message("$tree;nonsense=1/a", "{}").qos(Q1));
            world.publish(small, PublishOptions { packet_id: 9, ..message("$tree;nonsense=1/a", "{}").qos(Q2) });
            world.ack(small, AckKind::Pubrel, 10);
            world.ack(small, AckKind::Pubrec, 11);
            world.subscribe(small, "$tree;nonsense=1/a", Q1);
            world.unsubscribe(small, "a filter that was never subscribed to");
            world.run_until_quiet();
            let packets = world.received(small);
            assert_eq!(packets.len(), 6, "{packets:?}");
            for packet in &packets {
                if let OwnedPacket::Ack { kind, reason, properties, .. } = packet {
                    let is_of_publish = matches!(kind, AckKind::Puback | AckKind::Pubrec);
                    assert!(reason.is_error());
                    assert_eq!(properties.read().reason_string().is_some(), in_words && is_of_publish);
                }
            }
            world.send(small, b"\xF0\0");
            world.run_until_quiet();
            assert_eq!(disconnect_reason(&world.received(small)), Some(ReasonCode::ProtocolError));
        }
    });
}

#[test]
fn a_packet_larger_than_the_brokers_maximum_is_not_taken() {
    // [MQTT-3.2.2-15] [MQTT-4.13.1-1]
    let small = |plan: &mut Plan| plan.broker.limits.packet_bytes = 200;
    for version in [V311, V5] {
        worlds_with(small, |world| {
            let reader = subscriber(world, version, "r", "t", Q0);
            let greedy = world.connected(ConnectOptions::new(version, "greedy"));
            let packets = world.received(greedy);
            let told = connack_properties(&packets).maximum_packet_size();
            assert_eq!(told, version.is_v5().then_some(200));
            let around = 5 + usize::from(version.is_v5());
            let fits = "x".repeat(200 - around - 1);
            publish(world, greedy, message("t", &fits));
            assert_eq!(world.messages(reader).len(), 1);
            publish(world, greedy, message("t", &"x".repeat(201 - around)));
            assert!(world.is_closed(greedy));
            let told = version.is_v5().then_some(ReasonCode::PacketTooLarge);
            assert_eq!(disconnect_reason(&world.received(greedy)), told);
            assert_eq!(world.messages(reader), []);
        });
    }
}

#[test]
fn a_client_may_not_publish_with_a_subscription_identifier() {
    // [MQTT-3.3.4-6]
    worlds(|world| {
        let reader = subscriber(world, V5, "r", "t", Q0);
        let odd = client(world, V5, "odd");
        let properties = vec![Property::SubscriptionIdentifier(7)];
        publish(world, odd, PublishOptions { properties, ..message("t", "m").qos(Q1) });
        assert!(world.is_closed(odd));
        assert_eq!(disconnect_reason(&world.received(odd)), Some(ReasonCode::ProtocolError));
        assert_eq!(world.lines(reader), [""; 0]);
    });
}

#[test]
fn a_client_that_takes_no_connack_is_told_as_much_as_it_takes() {
    // [MQTT-3.1.2-24] [MQTT-3.2.0-1]
    worlds(|world| {
        let takes = |world: &mut World, bytes_max| {
            let properties = vec![Property::MaximumPacketSize(bytes_max)];
            let client = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "c") });
            (world.received(client), world.is_closed(client))
        };
        for bytes_max in [1, 2, 4] {
            assert_eq!(takes(world, bytes_max), (Vec::new(), true));
        }
        for bytes_max in [5, 10] {
            let (packets, is_closed) = takes(world, bytes_max);
            assert_eq!((connack(&packets), is_closed), ((false, ReasonCode::PacketTooLarge as u8), true));
        }
        let (packets, is_closed) = takes(world, 40);
        assert_eq!((connack(&packets), is_closed), ((false, 0), false));
    });
}

#[test]
fn a_suback_that_is_too_large_for_its_client_counts_as_sent() {
    // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
    worlds(|world| {
        let properties = vec![Property::MaximumPacketSize(30)];
        let small = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "small") });
        world.received(small);
        let filters: Vec<String> = (0..40).map(|number| format!("f/{number}")).collect();
        let wanted: Vec<(&str, SubscriptionOptions)> =
            filters.iter().map(|filter| (filter.as_str(), SubscriptionOptions::default())).collect();
        world.subscribe_with(small, &wanted, &[]);
        let next = world.subscribe(small, "g", Q0);
        world.run_until_quiet();
        assert_eq!(world.received(small), [OwnedPacket::Suback { packet_id: next, reasons: vec![0] }]);
        publish(world, small, message("f/39", "m"));
        assert_eq!(world.lines(small), ["f/39 m"]);
    });
}
