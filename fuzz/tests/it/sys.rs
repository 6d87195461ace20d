//! `$SYS`: what the broker says about itself. The clock of a world stands still but when a conversation moves it, so
//! every figure is an exact number.

use crate::*;
use engine::config::Sys;
use engine::shard::sys::{BROKER, LOADS, SHARD, SPANS};
use std::collections::BTreeMap;

const INTERVAL_MS: u64 = 10_000;

/// Worlds in which `$SYS` is published every ten seconds.
fn sys_worlds(conversation: impl Fn(&mut World)) {
    worlds_with(|plan| plan.broker.sys = Sys { interval_s: 10 }, conversation);
}

/// Time goes on to just before the next publication, so that what is said now is in it, and over it.
fn next_publication(world: &mut World) {
    world.run_until_quiet();
    world.advance_ms(INTERVAL_MS - world.now.mono_ms % INTERVAL_MS);
}

/// What a new subscriber to `$SYS/#` is sent, by the topic below `$SYS/broker/`; and the subscriber goes.
fn figures(world: &mut World) -> BTreeMap<String, String> {
    let reader = client(world, V5, "reader of figures");
    world.subscribe(reader, "$SYS/#", Q0);
    world.run_until_quiet();
    let messages = world.messages(reader);
    world.disconnect(reader, ReasonCode::Success);
    world.run_until_quiet();
    let below = |message: &Message| message.topic.strip_prefix("$SYS/broker/").expect("all are below it").to_owned();
    assert!(messages.iter().all(|message| message.retain), "a new subscriber is sent what is retained");
    messages.iter().map(|message| (below(message), message.text())).collect()
}

fn expect(figures: &BTreeMap<String, String>, wanted: &[(&str, &str)]) {
    for (topic, value) in wanted {
        assert_eq!(figures.get(*topic).map(String::as_str), Some(*value), "{topic}");
    }
}

#[test]
fn a_new_subscriber_finds_every_topic_from_the_start() {
    sys_worlds(|world| {
        let shards = world.plan.shards;
        let mut wanted: Vec<String> = vec!["version".into(), "uptime".into()];
        wanted.extend(BROKER.iter().map(|(name, _)| (*name).to_owned()));
        for (load, _) in LOADS {
            wanted.extend(SPANS.iter().map(|(span, _)| format!("load/{load}/{span}")));
        }
        for shard in 0..shards {
            wanted.extend(SHARD.iter().map(|(name, _)| format!("shards/{shard}/{name}")));
        }
        wanted.sort();
        let found = figures(world);
        assert_eq!(found.keys().cloned().collect::<Vec<_>>(), wanted);
        expect(&found, &[("uptime", "0 seconds"), ("clients/total", "0"), ("load/bytes/sent/15min", "0.00")]);
        expect(&found, &[("shards/count", &shards.to_string())]);
        assert!(found["version"].starts_with("mote version "));
    });
}

#[test]
fn scripted_traffic_is_counted_exactly() {
    sys_worlds(|world| {
        let watcher = subscriber(world, V311, "watcher", "room/+", Q1);
        world.connected(ConnectOptions::lasting(V5, "sleeper"));
        let sender = client(world, V5, "sender");
        for _ in 0..3 {
            world.publish(sender, message("room/a", "12345").qos(Q1));
        }
        world.publish(sender, message("room/b", "1234567").retained());
        publish(world, sender, message("nobody/listens", "1"));
        next_publication(world);
        let found = figures(world);
        expect(
            &found,
            &[
                ("uptime", "10 seconds"),
                ("clients/total", "3"),
                ("clients/connected", "3"),
                ("clients/active", "3"),
                ("clients/maximum", "3"),
                ("clients/disconnected", "0"),
                ("connections/count", "3"),
                ("connections/socket/count", "3"),
                ("subscriptions/count", "1"),
                ("retained messages/count", "1"),
                // CONNECT three times, SUBSCRIBE, five PUBLISH, three PUBACK of the watcher.
                ("messages/received", "12"),
                // CONNACK three times, SUBACK, three PUBACK, four PUBLISH.
                ("messages/sent", "11"),
                ("publish/messages/received", "5"),
                ("publish/messages/sent", "4"),
                ("publish/messages/unmatched", "1"),
                ("publish/bytes/received", "23"),
                ("publish/bytes/sent", "22"),
                ("publish/messages/dropped", "0"),
                ("packet/out/count", "0"),
                ("packet/out/bytes", "0"),
                ("messages/stored", "1"),
                ("store/messages/count", "1"),
            ],
        );
        assert_eq!(world.messages(watcher).len(), 4);
    });
}

#[test]
fn packets_sent_are_those_that_clients_received() {
    sys_worlds(|world| {
        let merged = subscriber(world, V5, "merged", "$sync/kept/#", Q2);
        let plain = subscriber(world, V5, "plain", "kept/#", Q2);
        let old = client(world, V31, "old");
        world.send(old, &[0xC0, 0]); // PINGREQ
        for qos in [Q0, Q1, Q2] {
            world.publish(plain, message("kept/x", "1").qos(qos).retained());
            world.publish(old, message("$SYS/refused", "1").qos(qos));
            world.publish(merged, message("$tree/kept/y", "{\"a\":1,\"b\":2}").qos(qos).retained());
        }
        world.unsubscribe(plain, "kept/#");
        world.run_until_quiet();
        let mut received: usize = [merged, plain, old].iter().map(|client| world.received(*client).len()).sum();
        received += 2 * 2 + 1 + 1; // CONNACK and SUBACK, and the empty snapshot, taken before
        next_publication(world);
        expect(&figures(world), &[("messages/sent", &received.to_string())]);
    });
}

#[test]
fn bytes_are_counted_once_also_where_a_socket_moves_to_its_home() {
    sys_worlds(|world| {
        // CONNECT of MQTT 3.1.1 with this identifier, and two PINGREQ behind it before the socket moves.
        let connect = [&[0x10, 17, 0, 4][..], b"MQTT", &[4, 2, 0, 0, 0, 5], b"bytes"].concat();
        for client_id in [*b"bytes", *b"BYTES", *b"Bytes"] {
            let client = world.connect(ConnectOptions::new(V311, "bytes"));
            world.unsend(client);
            let head = &connect[..connect.len() - 5];
            world.send(client, &[head, &client_id, &[0xC0, 0, 0xC0, 0]].concat());
        }
        next_publication(world);
        expect(
            &figures(world),
            &[
                ("bytes/received", &(3 * (connect.len() + 4)).to_string()),
                ("bytes/sent", &(3 * (4 + 4)).to_string()),
                ("messages/received", "9"),
                ("messages/sent", "9"),
                ("connections/socket/count", "3"),
                ("connections/count", "3"),
            ],
        );
    });
}

#[test]
fn what_is_new_is_published_and_nothing_else() {
    sys_worlds(|world| {
        let watcher = subscriber(world, V5, "watcher", "$SYS/broker/clients/#", Q2);
        next_publication(world);
        let lines = world.lines(watcher);
        assert!(lines.contains(&"$SYS/broker/clients/total 1".to_owned()), "{lines:?}");
        next_publication(world);
        assert_eq!(world.lines(watcher), [""; 0], "nobody came and nobody went");
        client(world, V5, "second");
        next_publication(world);
        let mut messages = world.messages(watcher);
        messages.sort_by(|a, b| a.topic.cmp(&b.topic));
        let lines: Vec<String> = messages.iter().map(Message::line).collect();
        let wanted = ["active 2", "connected 2", "maximum 2", "total 2"];
        assert_eq!(lines, wanted.map(|line| format!("$SYS/broker/clients/{line}")));
        assert!(messages.iter().all(|message| message.qos == Q2 && !message.retain));
    });
}

#[test]
fn a_merged_subscriber_gets_one_frame_for_each_publication() {
    sys_worlds(|world| {
        let merged = subscriber(world, V5, "merged", "$sync/$SYS/broker/#", Q0);
        for seconds in [10, 20] {
            next_publication(world);
            let frames = world.messages(merged);
            assert_eq!(frames.len(), 1, "{frames:?}");
            assert_eq!(frames[0].topic, "$SYS/broker/#");
            assert!(frames[0].text().contains(&format!("\"uptime\":\"{seconds} seconds\"")), "{}", frames[0].text());
        }
    });
}

#[test]
fn wildcards_at_the_root_never_match_it() {
    // [MQTT-4.7.2-1]
    sys_worlds(|world| {
        let filters =
            ["#", "+/#", "+/broker/#", "+/broker/uptime", "$tree/#", "$tree/+/broker/#", "$sync/+/#", "$sync/#"];
        let mut readers: Vec<ClientId> = Vec::new();
        for (index, filter) in filters.iter().enumerate() {
            readers.push(subscriber(world, V5, &format!("reader {index}"), filter, Q1));
        }
        next_publication(world);
        next_publication(world);
        for (reader, filter) in readers.iter().zip(filters) {
            assert_eq!(world.lines(*reader), [""; 0], "{filter}");
        }
    });
}

#[test]
fn no_client_publishes_there_by_any_way() {
    sys_worlds(|world| {
        next_publication(world);
        let before = figures(world);
        let sender = client(world, V5, "sender");
        for (topic, payload) in [
            ("$SYS/broker/version", "mine"),
            ("$SYS/broker/version", ""),
            ("$SYS", "x"),
            ("$SYS/broker/clients/total", "7"),
            ("$tree/$SYS/broker", "{\"version\":\"mine\"}"),
            ("$tree/$SYS", "{\"broker\":{\"version\":null}}"),
        ] {
            world.publish(sender, message(topic, payload).qos(Q1).retained());
            world.run_until_quiet();
            let packets = world.received(sender);
            let [OwnedPacket::Ack { kind: AckKind::Puback, reason, .. }] = packets[..] else { panic!("{packets:?}") };
            assert_eq!(reason, ReasonCode::NotAuthorized, "{topic}");
        }
        // A key of a tree does not become its first level either.
        for pattern in ["$tree/#", "$tree/+/broker"] {
            world.publish(sender, message(pattern, "{\"$SYS\":{\"version\":\"mine\"}}").qos(Q1).retained());
            world.run_until_quiet();
            let packets = world.received(sender);
            let [OwnedPacket::Ack { reason, .. }] = packets[..] else { panic!("{packets:?}") };
            assert!(reason.is_error(), "{pattern}");
        }
        let will = world.connected(ConnectOptions::new(V5, "dying").will("$SYS/broker/version", b"mine"));
        assert!(connack(&world.received(will)).1 >= 0x80);
        assert_eq!(figures(world)["version"], before["version"]);
        assert!(world.twin.rows().keys().all(|topic| !topic.starts_with("$SYS")), "it is not written either");
    });
}

#[test]
fn loads_are_rates_per_minute_that_forget() {
    sys_worlds(|world| {
        let sender = client(world, V5, "sender");
        next_publication(world);
        for _ in 0..60 {
            world.publish(sender, message("x", "1"));
        }
        next_publication(world);
        // 60 in ten seconds are 360 in a minute; of that 1 - exp(-1/6), 1 - exp(-1/30), 1 - exp(-1/90).
        let wanted = [1.0, 5.0, 15.0].map(|span| 360.0 * (1.0 - f64::exp(-10.0 / 60.0 / span)));
        let found = figures(world);
        for ((span, _), wanted) in SPANS.iter().zip(wanted) {
            expect(&found, &[(&format!("load/publish/received/{span}"), &format!("{wanted:.2}"))]);
        }
        next_publication(world);
        let forgotten = wanted[0] * f64::exp(-10.0 / 60.0);
        expect(&figures(world), &[("load/publish/received/1min", &format!("{forgotten:.2}"))]);
    });
}

#[test]
fn sessions_that_wait_and_end_are_told_apart() {
    sys_worlds(|world| {
        let lasting = ConnectOptions {
            properties: vec![Property::SessionExpiryInterval(15)],
            ..ConnectOptions::lasting(V5, "lasting")
        };
        let client = world.connected(lasting);
        world.subscribe(client, "x", Q1);
        world.run_until_quiet();
        world.drop_client(client);
        world.run_until_quiet();
        let sender = crate::client(world, V5, "sender");
        world.publish(sender, message("x", "waits").qos(Q1));
        next_publication(world);
        let found = figures(world);
        expect(&found, &[("clients/total", "2"), ("clients/connected", "1"), ("clients/inactive", "1")]);
        expect(&found, &[("messages/waiting/count", "1"), ("messages/stored", "1"), ("subscriptions/count", "1")]);
        next_publication(world);
        let found = figures(world);
        expect(&found, &[("clients/total", "1"), ("clients/disconnected", "0"), ("clients/expired", "1")]);
        expect(
            &found,
            &[("messages/waiting/count", "0"), ("messages/waiting/bytes", "0"), ("subscriptions/count", "0")],
        );
    });
}

#[test]
fn figures_of_shards_add_up() {
    sys_worlds(|world| {
        for index in 0..12 {
            let client = client(world, V5, &format!("client {index}"));
            world.publish(client, message(&format!("topic{index}/x"), "1").retained());
        }
        next_publication(world);
        let found = figures(world);
        for name in ["clients/total", "connections/count", "publish/messages/received", "retained messages/count"] {
            let of_shard = |shard: usize| found[&format!("shards/{shard}/{name}")].parse::<u64>().unwrap();
            assert_eq!((0..world.plan.shards).map(of_shard).sum::<u64>(), 12, "{name}");
        }
    });
}

#[test]
fn with_an_interval_of_0_there_is_none() {
    worlds(|world| {
        assert_eq!(world.plan.broker.sys.interval_s, 0);
        world.advance_ms(INTERVAL_MS);
        assert_eq!(figures(world), BTreeMap::new());
    });
}

#[test]
fn numbers_that_it_took_are_told_to_the_writer() {
    use engine::clock::Now;
    use engine::key::{GroupId, ShardId};
    use engine::row::change::Change;
    use engine::row::numbers::Numbers;
    use engine::shard::{Input, Outbox, Setup, Shard};
    let config = engine::config::Config { sys: Sys { interval_s: 10 }, ..Default::default() };
    let roots = engine::topic::Roots::new([1, 2], &[], &[], 1).unwrap();
    let group = roots.group("$SYS");
    let mut shard = Shard::new(Setup { me: ShardId(0), shards: 1, config, roots, seed: 3, epoch: 1 });
    shard.restore_numbers(group, Numbers { last: 7, bound: u64::MAX, ..Numbers::default() });
    let mut out = Outbox::new(1);
    out.down_credit[0] = 1;
    for second in 0..30 {
        let now = Now { mono_ms: second * 1_000, wall_ms: 0 };
        shard.step(now, Input::Timer, &mut out);
        shard.step(now, Input::Turn, &mut out);
    }
    let told = |out: &Outbox| -> Vec<(GroupId, u64)> {
        let used = out.changes.list.iter().map(|change| match change {
            Change::Used { group, last } => (*group, *last),
            other => panic!("nothing of it is written: {other:?}"),
        });
        used.collect()
    };
    // At 0, 10 and 20 seconds: who has a cursor of `#` need not begin anew when the process is killed.
    assert_eq!(told(&out), [8, 9, 10].map(|last| (group, last)));
    out.changes.clear();
    shard.step(Now { mono_ms: 30_000, wall_ms: 0 }, Input::Stop, &mut out);
    assert_eq!(told(&out), [(group, 10)]);
}

#[test]
fn what_does_not_reach_a_subscriber_is_counted_by_its_reason() {
    let set = |plan: &mut Plan| {
        plan.broker.sys = Sys { interval_s: 10 };
        plan.broker.session.queue_messages = 2;
    };
    worlds_with(set, |world| {
        // Three for a queue of two while its client is away, one of which expires there.
        let away = world.connected(ConnectOptions::lasting(V5, "away"));
        world.subscribe(away, "queue", Q1);
        world.run_until_quiet();
        world.drop_client(away);
        world.run_until_quiet();
        // Too large for its reader.
        let narrow =
            ConnectOptions { properties: vec![Property::MaximumPacketSize(60)], ..ConnectOptions::new(V5, "narrow") };
        let narrow = world.connected(narrow);
        world.subscribe(narrow, "large", Q0);
        world.run_until_quiet();
        let sender = client(world, V5, "sender");
        let soon = vec![Property::MessageExpiryInterval(3)];
        world.publish(sender, PublishOptions { properties: soon, ..message("queue", "1").qos(Q1) });
        world.publish(sender, message("queue", "2").qos(Q1));
        world.publish(sender, message("queue", "3").qos(Q1));
        world.publish(sender, message("large", &"x".repeat(100)));
        world.publish(sender, message("nobody", "1"));
        world.run_until_quiet();
        world.advance_ms(4_000);
        let back = world.connected(ConnectOptions::lasting(V5, "away"));
        assert_eq!(world.lines(back), ["queue 2"]);
        next_publication(world);
        expect(
            &figures(world),
            &[
                ("publish/messages/dropped", "3"),
                ("publish/messages/dropped/queue", "1"),
                ("publish/messages/dropped/expired", "1"),
                ("publish/messages/dropped/oversize", "1"),
                ("publish/messages/dropped/slow", "0"),
                ("publish/messages/unmatched", "1"),
            ],
        );
    });
}

#[test]
fn qos_0_for_a_reader_that_does_not_read_is_dropped_and_counted() {
    // [MOTE-6.2]
    // Millions of bytes: not in crumbs.
    let set = |plan: &mut Plan| {
        plan.broker.sys = Sys { interval_s: 10 };
        plan.piece_bytes_max = 65_536;
    };
    worlds_with(set, |world| {
        let slow = subscriber(world, V311, "slow", "flood", Q0);
        world.stop_reading(slow);
        let sender = client(world, V311, "sender");
        let payload = "x".repeat(200_000);
        for _ in 0..12 {
            publish(world, sender, message("flood", &payload));
        }
        next_publication(world);
        let found = figures(world);
        let number = |topic: &str| found[topic].parse::<u64>().unwrap();
        let (dropped, waiting) = (number("publish/messages/dropped/slow"), number("packet/out/count"));
        assert!(dropped > 0 && waiting > 0, "{dropped} dropped, {waiting} waiting");
        assert!(number("packet/out/bytes") > waiting.saturating_sub(1) * 200_000);
        world.read_again(slow);
        world.run_until_quiet();
        assert_eq!(world.messages(slow).len() as u64, 12 - dropped);
        next_publication(world);
        expect(&figures(world), &[("packet/out/count", "0"), ("packet/out/bytes", "0")]);
    });
}
