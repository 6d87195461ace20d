//! How connections and sessions end, and what is left: DISCONNECT, wills, expiry, retained messages.

use super::*;

/// A client that will leave "gone" at `will/t`.
fn mortal(version: Version) -> ConnectOptions<'static> {
    ConnectOptions::new(version, "mortal").will("will/t", b"gone")
}

#[test]
fn disconnect_is_the_last_word_and_the_connection_is_closed() {
    // [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-3.14.2-2] [MQTT-4.13.2-1] [MQTT-4.13.1-1] [3.1.1: MQTT-4.8.0-1]
    both_versions(|world, version| {
        let reader = subscriber(world, version, "r", "t", Q1);
        let publisher = client(world, version, "p");
        for number in 0..20 {
            world.publish(publisher, message("t", &number.to_string()).qos(Q1));
            if number == 10 {
                world.send(reader, &[0x82, 0x02, 0x00, 0x01]); // SUBSCRIBE without a filter
            }
            world.run_turns(1);
        }
        world.run_until_quiet();
        assert!(world.is_closed(reader));
        let packets = world.received(reader);
        let said = packets.iter().position(|packet| matches!(packet, OwnedPacket::Disconnect { .. }));
        assert_eq!(said, version.is_v5().then(|| packets.len() - 1));
    });
}

#[test]
fn reserved_flags_of_disconnect_are_malformed_and_the_will_is_sent() {
    // [MQTT-3.14.1-1] [MQTT-4.13.1-1] [3.1.1: MQTT-3.14.1-1] [3.1.1: MQTT-2.2.2-2] [3.1.1: MQTT-4.8.0-1]
    both_versions(|world, version| {
        let heir = subscriber(world, version, "heir", "will/#", Q1);
        for flags in [1, 2, 4, 8, 15] {
            let client = world.connected(mortal(version));
            world.received(client);
            world.send(client, &[0xE0 | flags, 0x00]);
            world.run_until_quiet();
            assert!(world.is_closed(client));
            let told = version.is_v5().then_some(ReasonCode::MalformedPacket);
            assert_eq!(disconnect_reason(&world.received(client)), told);
            assert_eq!(world.lines(heir), ["will/t gone"]);
        }
    });
}

#[test]
fn reserved_flags_close_the_connection_whatever_the_packet() {
    // [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.15.1-1] [3.1.1: MQTT-2.2.2-2]
    // [3.1.1: MQTT-3.6.1-1] [3.1.1: MQTT-3.8.1-1] [3.1.1: MQTT-3.10.1-1]
    both_versions(|world, version| {
        let properties: &[u8] = if version.is_v5() { &[0] } else { &[] };
        let pubrel = [&[0x60, 2, 0, 1][..]].concat();
        let subscribe = [&[0x80, 6 + properties.len() as u8, 0, 1][..], properties, b"\0\x01t\0"].concat();
        let unsubscribe = [&[0xA0, 5 + properties.len() as u8, 0, 1][..], properties, b"\0\x01t"].concat();
        let auth = vec![0xF1, 0];
        for bytes in [pubrel, subscribe, unsubscribe, vec![0xC1, 0], vec![0x41, 2, 0, 1], auth] {
            let client = client(world, version, "c");
            world.send(client, &bytes);
            world.run_until_quiet();
            assert!(world.is_closed(client), "{bytes:02X?}");
            let told = version.is_v5().then_some(ReasonCode::MalformedPacket);
            assert_eq!(disconnect_reason(&world.received(client)), told, "{bytes:02X?}");
        }
    });
}

#[test]
fn a_will_is_kept_and_published_once() {
    // [MQTT-3.1.2-7] [MQTT-3.1.2-10] [3.1.1: MQTT-3.1.2-8] [3.1.1: MQTT-3.1.2-10] [3.1.1: MQTT-3.1.2-12]
    both_versions(|world, version| {
        let heir = subscriber(world, version, "heir", "will/#", Q1);
        let first =
            world.connected(ConnectOptions { will: mortal(version).will, ..ConnectOptions::lasting(version, "m") });
        world.advance_ms(50_000);
        assert_eq!(world.lines(heir), [""; 0], "while its client lives");
        world.drop_client(first);
        world.run_until_quiet();
        assert_eq!(world.lines(heir), ["will/t gone"]);
        let second = world.connected(ConnectOptions::lasting(version, "m"));
        world.drop_client(second);
        world.advance_ms(50_000);
        assert_eq!(world.lines(heir), [""; 0], "who brings none leaves none");
    });
}

#[test]
fn a_will_without_retain_is_not_kept() {
    // [MQTT-3.1.2-14] [3.1.1: MQTT-3.1.2-16]
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        publish(world, publisher, message("will/t", "kept").retained());
        let gone = world.connected(mortal(version));
        world.drop_client(gone);
        world.run_until_quiet();
        let late = client(world, version, "late");
        world.subscribe(late, "will/t", Q0);
        world.run_until_quiet();
        assert_eq!(world.lines(late), ["will/t kept"]);
    });
}

#[test]
fn a_will_has_its_properties_in_their_order() {
    // [MQTT-3.1.3-10]
    worlds(|world| {
        let heir = subscriber(world, V5, "heir", "will/#", Q1);
        let mut options = mortal(V5);
        let properties = vec![
            Property::UserProperty("b", "1"),
            Property::ContentType("c"),
            Property::UserProperty("a", "2"),
            Property::UserProperty("b", "3"),
        ];
        options.will = options.will.map(|will| WillOptions { properties, ..will });
        let client = world.connected(options);
        world.drop_client(client);
        world.run_until_quiet();
        let got = world.messages(heir);
        let read = got[0].properties.read();
        assert_eq!(read.user_properties().collect::<Vec<_>>(), [("b", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(read.content_type(), Some("c"));
    });
}

#[test]
fn a_session_lasts_as_long_as_its_connection_and_not_longer_than_it_was_to() {
    // [MQTT-4.1.0-1] [MQTT-4.1.0-2] [MQTT-3.1.2-23] [3.1.1: MQTT-4.1.0-1] [3.1.1: MQTT-4.1.0-2]
    both_versions(|world, version| {
        let options = |seconds| {
            let properties = if version.is_v5() { vec![Property::SessionExpiryInterval(seconds)] } else { vec![] };
            ConnectOptions { clean: false, properties, ..ConnectOptions::new(version, "s") }
        };
        let first = world.connected(options(5));
        world.subscribe(first, "t", Q1);
        world.advance_ms(500_000);
        publish(world, first, message("t", "open").qos(Q1));
        assert_eq!(world.lines(first), ["t open"], "while its connection is open");
        world.drop_client(first);
        world.advance_ms(4_000);
        let back = world.connected(options(5));
        assert_eq!(connack(&world.received(back)), (true, 0));
        world.advance_ms(20_000);
        publish(world, back, message("t", "open again").qos(Q1));
        assert_eq!(world.lines(back), ["t open again"], "though it would have ended without it");
        world.drop_client(back);
        world.advance_ms(6_000);
        let late = world.connected(options(5));
        assert_eq!(connack(&world.received(late)), (version == V311, 0), "MQTT 3.1.1 knows no expiry");
    });
}

#[test]
fn retained_messages_outlive_the_session_that_published_them() {
    // [3.1.1: MQTT-3.1.2-7]
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        publish(world, publisher, message("t", "kept").qos(Q1).retained());
        world.drop_client(publisher);
        world.run_until_quiet();
        let again = client(world, version, "p");
        world.subscribe(again, "t", Q1);
        world.run_until_quiet();
        assert_eq!(world.lines(again), ["t kept"]);
    });
}

#[test]
fn a_retained_message_of_qos_0_replaces_one_of_qos_2() {
    // [MQTT-3.3.1-5] [3.1.1: MQTT-3.3.1-7]
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        publish(world, publisher, message("t", "two").qos(Q2).retained());
        publish(world, publisher, message("t", "nought").retained());
        let reader = client(world, version, "r");
        world.subscribe(reader, "t", Q2);
        world.run_until_quiet();
        let got: Vec<(String, QoS)> = world.messages(reader).iter().map(|m| (m.text(), m.qos)).collect();
        assert_eq!(got, [("nought".to_string(), Q0)]);
    });
}

#[test]
fn very_many_subscriptions_of_a_session_that_ends_go_some_in_a_turn() {
    use engine::clock::Now;
    use engine::key::{ConnId, ShardId};
    use engine::limits::SUBSCRIPTIONS_ENDED_PER_TURN_MAX;
    use engine::shard::{Input, Outbox, Setup, Shard};
    let sys = engine::config::Sys { interval_s: 0 };
    let config = engine::config::Config { sys, ..Default::default() };
    let roots = engine::topic::Roots::new([1, 2], &[], &[], 1).unwrap();
    let mut shard = Shard::new(Setup { me: ShardId(0), shards: 1, config, roots, seed: 3, epoch: 1 });
    let (mut out, now) = (Outbox::new(1), Now { mono_ms: 1, wall_ms: 0 });
    let come = |shard: &mut Shard, out: &mut Outbox, generation| {
        let conn = ConnId { index: 0, generation };
        out.up_credit = vec![64];
        out.down_credit = vec![64];
        shard.step(now, Input::Opened { conn, peer: "", listener: 0 }, out);
        shard.step(now, Input::Bytes { conn, bytes: b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x" }, out);
        conn
    };
    let conn = come(&mut shard, &mut out, 1);
    let filters = 3 * SUBSCRIPTIONS_ENDED_PER_TURN_MAX as u64;
    for number in 0..filters {
        let filter = format!("f/{number:06}");
        let subscribe = [&b"\x82\x0d\x00\x01\x00\x08"[..], filter.as_bytes(), b"\x00"].concat();
        shard.step(now, Input::Bytes { conn, bytes: &subscribe }, &mut out);
    }
    assert_eq!(shard.stats().subscriptions, filters);
    shard.step(now, Input::Closed { conn }, &mut out);
    assert_eq!((shard.stats().sessions, shard.stats().subscriptions), (0, filters));
    assert_eq!(shard.deadline(), Some(now.mono_ms));
    // Its client may be back meanwhile, and has one subscription alone.
    let conn = come(&mut shard, &mut out, 2);
    shard.step(now, Input::Bytes { conn, bytes: b"\x82\x0d\x00\x01\x00\x08f/000000\x00" }, &mut out);
    let mut left = shard.stats().subscriptions;
    assert_eq!(left, filters + 1);
    while left > 1 {
        let more = left;
        shard.step(now, Input::Turn, &mut out);
        left = shard.stats().subscriptions;
        assert!(left < more && more - left <= SUBSCRIPTIONS_ENDED_PER_TURN_MAX as u64, "{more} to {left}");
    }
    let unsent = out.sends.unsent(conn);
    let publish = b"\x30\x0b\x00\x08f/000000m";
    shard.step(now, Input::Bytes { conn, bytes: publish }, &mut out);
    assert_eq!(out.sends.unsent(conn) - unsent, publish.len());
    shard.step(now, Input::Bytes { conn, bytes: b"\x30\x0b\x00\x08f/000001m" }, &mut out);
    assert_eq!(out.sends.unsent(conn) - unsent, publish.len());
}
