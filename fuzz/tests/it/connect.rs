//! CONNECT, CONNACK, keep alive, takeover.

use super::*;

#[test]
fn session_present_is_told_only_where_a_session_was_kept() {
    // [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [3.1.1: MQTT-3.2.2-1..3]
    for version in [V31, V311, V5] {
        worlds(|world| {
            let first = world.connected(ConnectOptions::lasting(version, "kept"));
            assert_eq!(connack(&world.received(first)), (false, 0));
            world.disconnect(first, ReasonCode::Success);
            world.run_until_quiet();
            let second = world.connected(ConnectOptions::lasting(version, "kept"));
            // MQTT 3.1 has no Session Present: the byte is reserved.
            assert_eq!(connack(&world.received(second)), (version != V31, 0));
            world.disconnect(second, ReasonCode::Success);
            world.run_until_quiet();
            let third = world.connected(ConnectOptions::new(version, "kept"));
            assert_eq!(connack(&world.received(third)), (false, 0), "a clean session begins anew");
        });
    }
}

#[test]
fn the_first_packet_is_connect_and_there_is_no_second() {
    // [MQTT-3.1.0-1] [MQTT-3.1.0-2] [3.1.1: MQTT-3.1.0-1] [3.1.1: MQTT-3.1.0-2]
    both_versions(|world, version| {
        let client = client(world, version, "twice");
        let mut again = Vec::new();
        let connect = engine::wire::Connect {
            version,
            clean_start: true,
            keep_alive: 0,
            properties: Default::default(),
            client_id: "twice",
            will: None,
            user_name: None,
            password: None,
        };
        engine::wire::encode(version, &engine::wire::Packet::Connect(connect), &mut again);
        world.send(client, &again);
        world.run_until_quiet();
        assert!(world.is_closed(client));
    });
    worlds(|world| {
        let silent = world.connect(ConnectOptions::new(V311, "ping first"));
        world.unsend(silent);
        world.send(silent, &[0xC0, 0x00]);
        world.run_until_quiet();
        assert!(world.is_closed(silent));
    });
}

#[test]
fn a_ping_is_answered() {
    // [MQTT-3.12.4-1] [3.1.1: MQTT-3.12.4-1]
    both_versions(|world, version| {
        let client = client(world, version, "ping");
        world.send(client, &[0xC0, 0x00]);
        world.run_until_quiet();
        assert_eq!(world.received(client), [OwnedPacket::Pingresp]);
    });
}

#[test]
fn a_client_without_identifier_gets_one_or_is_refused() {
    // [MQTT-3.1.3-6] [MQTT-3.2.2-16] [3.1.1: MQTT-3.1.3-8]
    worlds(|world| {
        let five = world.connected(ConnectOptions::new(V5, ""));
        let packets = world.received(five);
        let Some(OwnedPacket::Connack { properties, .. }) = packets.first() else { panic!("{packets:?}") };
        let assigned = properties.read().assigned_client_identifier().unwrap().to_string();
        let other = world.connected(ConnectOptions::new(V5, ""));
        let packets = world.received(other);
        let Some(OwnedPacket::Connack { properties, .. }) = packets.first() else { panic!("{packets:?}") };
        assert_ne!(properties.read().assigned_client_identifier().unwrap(), assigned);
        client(world, V311, "");
        let refused = world.connected(ConnectOptions { clean: false, ..ConnectOptions::new(V311, "") });
        assert_eq!(connack(&world.received(refused)), (false, 2));
        assert!(world.is_closed(refused));
    });
}

#[test]
fn the_later_connection_takes_the_client_over() {
    // [MQTT-3.1.4-3] [3.1.1: MQTT-3.1.4-2]
    both_versions(|world, version| {
        let first = client(world, version, "same");
        let second = client(world, version, "same");
        assert!(world.is_closed(first) && !world.is_closed(second));
        let told = disconnect_reason(&world.received(first));
        assert_eq!(told, version.is_v5().then_some(ReasonCode::SessionTakenOver));
        world.subscribe(second, "x", Q0);
        publish(world, second, message("x", "1"));
        assert_eq!(world.lines(second), ["x 1"]);
    });
}

#[test]
fn two_that_connect_at_once_with_one_identifier_leave_one() {
    // [MQTT-3.1.4-2]
    both_versions(|world, version| {
        let clients = [0; 4].map(|_| world.connect(ConnectOptions::new(version, "contested")));
        world.run_until_quiet();
        let open = clients.iter().filter(|client| !world.is_closed(**client)).count();
        assert_eq!(open, 1);
    });
}

#[test]
fn a_taken_over_session_keeps_its_subscriptions() {
    // [MQTT-3.1.2-5] [3.1.1: MQTT-3.1.2-4]
    both_versions(|world, version| {
        let first = world.connected(ConnectOptions::lasting(version, "moved"));
        TOPICS.iter().for_each(|topic| {
            world.subscribe(first, topic, Q1);
        });
        world.run_until_quiet();
        let second = world.connected(ConnectOptions::lasting(version, "moved"));
        assert_eq!(connack(&world.received(second)), (true, 0));
        TOPICS.iter().for_each(|topic| {
            world.publish(second, message(topic, "x"));
        });
        world.run_until_quiet();
        assert_eq!(world.messages(second).len(), TOPICS.len());
        assert!(world.is_closed(first));
    });
}

#[test]
fn a_client_silent_for_one_and_a_half_keep_alives_is_closed() {
    // [MQTT-3.1.2-22] [3.1.1: MQTT-3.1.2-24]
    both_versions(|world, version| {
        let silent = world.connected(ConnectOptions { keep_alive: 10, ..ConnectOptions::new(version, "silent") });
        let speaks = world.connected(ConnectOptions { keep_alive: 10, ..ConnectOptions::new(version, "speaks") });
        let forever = client(world, version, "no keep alive");
        for _ in 0..4 {
            world.advance_ms(4_000);
            world.send(speaks, &[0xC0, 0x00]);
            world.run_until_quiet();
        }
        assert!(world.is_closed(silent) && !world.is_closed(speaks) && !world.is_closed(forever));
        let told = disconnect_reason(&world.received(silent));
        assert_eq!(told, version.is_v5().then_some(ReasonCode::KeepAliveTimeout));
    });
}

#[test]
fn a_socket_without_connect_is_closed_in_time() {
    worlds(|world| {
        let mute = world.connect(ConnectOptions::new(V311, "mute"));
        world.unsend(mute);
        world.advance_ms(9_000);
        assert!(!world.is_closed(mute));
        world.advance_ms(2_000);
        assert!(world.is_closed(mute));
    });
}

#[test]
fn an_unknown_protocol_level_is_refused() {
    // [MQTT-3.1.2-2] [3.1.1: MQTT-3.1.2-2]
    worlds(|world| {
        let client = world.connect(ConnectOptions::new(V311, "level"));
        world.unsend(client);
        world.send(client, b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x00\x00\x01x");
        world.run_until_quiet();
        assert!(world.is_closed(client));
    });
}

#[test]
fn garbage_closes_one_connection_and_no_other() {
    // [MQTT-4.13.1-1] [3.1.1: MQTT-4.8.0-1]
    both_versions(|world, version| {
        let good = subscriber(world, version, "good", "#", Q0);
        let bad = client(world, version, "bad");
        world.send(bad, &[0x36, 0x02, 0x00, 0x00]); // PUBLISH with QoS 3
        world.run_until_quiet();
        assert!(world.is_closed(bad));
        publish(world, good, message("x", "still here"));
        assert_eq!(world.lines(good), ["x still here"]);
    });
}

#[test]
fn a_stop_tells_every_client_and_closes() {
    // MQTT 5 section 3.14.2.1: 0x8B
    both_versions(|world, version| {
        let kept = world.connected(ConnectOptions::lasting(version, "kept"));
        let clients = [kept, client(world, version, "one"), client(world, version, "two")];
        world.stop();
        world.run_until_quiet();
        for client in clients {
            assert!(world.is_closed(client));
            let told = disconnect_reason(&world.received(client));
            assert_eq!(told, version.is_v5().then_some(ReasonCode::ServerShuttingDown));
        }
    });
}

#[test]
fn a_client_that_knows_mote_is_told_what_the_broker_speaks() {
    // [MOTE-1.26] [MOTE-1.27]
    worlds(|world| {
        for value in ["1", "", "tree", "frame;x"] {
            let properties = vec![Property::UserProperty("mote", value)];
            let knows = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "knows") });
            let packets = world.received(knows);
            let Some(OwnedPacket::Connack { properties, .. }) = packets.first() else { panic!("{packets:?}") };
            assert_eq!(properties.mote(), Some("1;tree;sync;rows;put;set;get"));
        }
        let other = world.connected(ConnectOptions::new(V5, "other"));
        let packets = world.received(other);
        assert!(
            matches!(packets.first(), Some(OwnedPacket::Connack { properties, .. }) if properties.mote().is_none())
        );
    });
}

#[test]
fn clients_that_come_and_go_leave_no_timers_behind() {
    // Each leaves a keep alive of more than a day and the expiry of its session: they must not gather.
    use engine::clock::Now;
    use engine::key::{ConnId, ShardId};
    use engine::shard::{Input, Outbox, Setup, Shard};
    let config = engine::config::Config::default();
    let roots = engine::topic::Roots::new([1, 2], &[], &[], 1).unwrap();
    let mut shard = Shard::new(Setup { me: ShardId(0), shards: 1, config, roots, seed: 3, epoch: 1 });
    let mut out = Outbox::new(1);
    for round in 0..20_000_u32 {
        let now = Now { mono_ms: u64::from(round), wall_ms: 0 };
        let conn = ConnId { index: 0, generation: round };
        // MQTT 5, keep alive 65 535 s, Session Expiry Interval 100 000 s, three client identifiers in turn.
        let mut connect = b"\x10\x13\x00\x04MQTT\x05\x00\xff\xff\x05\x11\x00\x01\x86\xa0\x00\x01a".to_vec();
        *connect.last_mut().unwrap() += (round % 3) as u8;
        shard.step(now, Input::Opened { conn, peer: "", listener: 0 }, &mut out);
        shard.step(now, Input::Bytes { conn, bytes: &connect }, &mut out);
        shard.step(now, Input::Closed { conn }, &mut out);
    }
    let stats = shard.stats();
    assert_eq!((stats.sessions, stats.connections), (3, 0));
    assert!(stats.timers < 2_000, "{} timers", stats.timers);
}

#[test]
fn a_client_that_asks_more_than_it_reads_is_left_alone_until_it_reads() {
    use engine::clock::Now;
    use engine::key::{ConnId, ShardId};
    use engine::limits::SEND_STOP_READING_BYTES;
    use engine::shard::outbox::Order;
    use engine::shard::{Input, Outbox, Setup, Shard};
    // Without the regular look of `$SYS`.
    let sys = engine::config::Sys { interval_s: 0 };
    let config = engine::config::Config { sys, ..Default::default() };
    let roots = engine::topic::Roots::new([1, 2], &[], &[], 1).unwrap();
    let mut shard = Shard::new(Setup { me: ShardId(0), shards: 1, config, roots, seed: 3, epoch: 1 });
    let (mut out, now) = (Outbox::new(1), Now { mono_ms: 20_000, wall_ms: 0 });
    let conn = ConnId { index: 0, generation: 1 };
    shard.step(Now { mono_ms: 1, wall_ms: 0 }, Input::Opened { conn, peer: "", listener: 0 }, &mut out);
    shard.step(now, Input::Bytes { conn, bytes: b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x" }, &mut out);
    let pings = [0xC0, 0].repeat(SEND_STOP_READING_BYTES / 2 + 100);
    shard.step(now, Input::Bytes { conn, bytes: &pings }, &mut out);
    shard.step(now, Input::Timer, &mut out);
    assert_eq!(out.orders.last(), Some(&Order::Pause(conn)));
    assert_eq!(shard.deadline(), None, "nobody looks again and again");
    let answered = out.sends.take(conn, &mut Vec::new()).unwrap().len();
    assert!((SEND_STOP_READING_BYTES..SEND_STOP_READING_BYTES + 10).contains(&answered));
    assert!(out.sends.sent(conn, answered).drained);
    shard.step(now, Input::Drained { conn }, &mut out);
    assert_eq!(out.orders.last(), Some(&Order::Resume(conn)));
    assert_eq!(answered + out.sends.unsent(conn), 4 + pings.len(), "every ping is answered");
}
