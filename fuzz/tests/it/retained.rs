//! Retained messages to plain subscribers.

use super::*;

#[test]
fn a_retained_message_is_kept_and_replayed_with_retain() {
    // [MQTT-3.3.1-5] [MQTT-3.3.1-9] [3.1.1: MQTT-3.3.1-5] [3.1.1: MQTT-3.3.1-6] [3.1.1: MQTT-3.3.1-8]
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        for topic in TOPICS {
            world.publish(publisher, message(topic, "old").qos(Q1).retained());
            world.publish(publisher, message(topic, "kept").qos(Q1).retained());
        }
        world.run_until_quiet();
        for (name, filter) in [("exact", "a/1"), ("plus", "a/+"), ("hash", "a/#"), ("stem", "+/1")] {
            let reader = client(world, version, name);
            world.subscribe(reader, filter, Q1);
            world.run_until_quiet();
            let mut got: Vec<(String, bool)> = world.messages(reader).iter().map(|m| (m.line(), m.retain)).collect();
            got.sort();
            let want: Vec<(String, bool)> = TOPICS
                .iter()
                .filter(|topic| filter.starts_with('+') || topic.starts_with("a/"))
                .map(|topic| (format!("{topic} kept"), true))
                .collect();
            assert_eq!(got, want, "{filter}");
        }
    });
}

#[test]
fn an_established_subscription_gets_it_without_retain() {
    // [MQTT-3.3.1-12] [3.1.1: MQTT-3.3.1-9]
    both_versions(|world, version| {
        let reader = subscriber(world, version, "r", "t", Q1);
        publish(world, reader, message("t", "m").retained());
        let got = world.messages(reader);
        assert_eq!(got.iter().map(|m| (m.line(), m.retain)).collect::<Vec<_>>(), [("t m".to_string(), false)]);
    });
}

#[test]
fn retain_as_published_keeps_the_flag() {
    // [MQTT-3.3.1-13]
    worlds(|world| {
        let reader = client(world, V5, "r");
        let options = SubscriptionOptions { retain_as_published: true, ..Default::default() };
        world.subscribe_with(reader, &[("t", options)], &[]);
        world.run_until_quiet();
        world.received(reader);
        world.publish(reader, message("t", "1").retained());
        world.publish(reader, message("t", "2"));
        world.run_until_quiet();
        assert_eq!(world.messages(reader).iter().map(|m| m.retain).collect::<Vec<_>>(), [true, false]);
    });
}

#[test]
fn an_empty_retained_message_clears_and_is_delivered_but_not_kept() {
    // [MQTT-3.3.1-6] [MQTT-3.3.1-7] [3.1.1: MQTT-3.3.1-10] [3.1.1: MQTT-3.3.1-11]
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        publish(world, publisher, message("t", "m").retained());
        let reader = subscriber(world, version, "r", "t", Q0);
        world.received(reader);
        publish(world, publisher, message("t", "").retained());
        assert_eq!(world.lines(reader), ["t "]);
        let late = client(world, version, "late");
        world.subscribe(late, "t", Q0);
        world.run_until_quiet();
        assert_eq!(world.lines(late), [""; 0]);
        publish(world, publisher, message("t", "again").retained());
        let later = client(world, version, "later");
        world.subscribe(later, "t", Q0);
        world.run_until_quiet();
        assert_eq!(world.lines(later), ["t again"]);
    });
}

#[test]
fn a_message_without_retain_changes_nothing_kept() {
    // [MQTT-3.3.1-8] [3.1.1: MQTT-3.3.1-12]
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        publish(world, publisher, message("t", "kept").retained());
        publish(world, publisher, message("t", "passing"));
        publish(world, publisher, message("t", ""));
        let reader = client(world, version, "r");
        world.subscribe(reader, "t", Q0);
        world.run_until_quiet();
        assert_eq!(world.lines(reader), ["t kept"]);
    });
}

#[test]
fn a_replay_has_the_smaller_qos() {
    // [MQTT-3.8.4-8] [3.1.1: MQTT-3.8.4-6]
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        for qos in [Q0, Q1, Q2] {
            publish(world, publisher, message("t", "m").qos(qos).retained());
            for granted in [Q0, Q1, Q2] {
                let reader = client(world, version, "r");
                world.subscribe(reader, "t", granted);
                world.run_until_quiet();
                let got: Vec<QoS> = world.messages(reader).iter().map(|m| m.qos).collect();
                assert_eq!(got, [qos.min(granted)]);
            }
        }
    });
}

#[test]
fn retain_handling_is_obeyed() {
    // [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
    worlds(|world| {
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("t", "m").retained());
        let reader = client(world, V5, "r");
        let subscribe = |world: &mut World, retain_handling| {
            let options = SubscriptionOptions { retain_handling, ..Default::default() };
            world.subscribe_with(reader, &[("t", options)], &[]);
            world.run_until_quiet();
            world.messages(reader).len()
        };
        assert_eq!(subscribe(world, 2), 0, "never");
        assert_eq!(subscribe(world, 1), 0, "only for a new subscription");
        assert_eq!(subscribe(world, 0), 1, "always");
        world.unsubscribe(reader, "t");
        world.run_until_quiet();
        assert_eq!(subscribe(world, 1), 1, "it is new again");
    });
}

#[test]
fn many_rows_are_each_replayed_once() {
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        let count = if world.plan.piece_bytes_max < 1_000 { 200 } else { 3_000 };
        let topics: Vec<String> = (0..count).map(|number| format!("m{}/x/{number}", number % 7)).collect();
        for topic in &topics {
            world.publish(publisher, message(topic, "v").retained());
        }
        world.run_until_quiet();
        for (name, filter) in [("hash", "#"), ("plus", "+/x/+")] {
            let reader = client(world, version, name);
            world.subscribe(reader, filter, Q1);
            world.run_until_quiet();
            let mut got: Vec<String> = world.messages(reader).into_iter().map(|m| m.topic).collect();
            got.sort();
            let mut want = topics.clone();
            want.sort();
            assert_eq!(got, want, "{filter}");
        }
    });
}

#[test]
fn a_replay_is_never_older_than_what_was_sent_before() {
    // [MOTE-2.50]
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        let reader = client(world, version, "r");
        world.publish(publisher, message("age/t", "0").retained());
        world.run_until_quiet();
        world.subscribe(reader, "age/+", Q1);
        for number in 1..40 {
            world.publish(publisher, message("age/t", &number.to_string()).retained());
        }
        world.run_until_quiet();
        let got: Vec<u32> = world.messages(reader).iter().map(|m| m.text().parse().unwrap()).collect();
        assert!(got.is_sorted(), "{got:?}");
        assert_eq!(got.last(), Some(&39));
    });
}

#[test]
fn what_is_retained_reaches_the_store() {
    worlds(|world| {
        let publisher = client(world, V311, "p");
        for topic in TOPICS {
            world.publish(publisher, message(topic, "1").retained());
            world.publish(publisher, message(topic, "2").retained());
        }
        world.publish(publisher, message("a/1", "").retained());
        world.publish(publisher, message("b/1", "passing"));
        world.run_until_quiet();
        let rows: Vec<(&str, &[u8])> = world.twin.rows().iter().map(|(k, v)| (k.as_str(), v.as_slice())).collect();
        assert_eq!(rows, TOPICS[1..].iter().map(|topic| (*topic, &b"2"[..])).collect::<Vec<_>>());
    });
}

#[test]
fn with_durability_disk_a_publish_is_acknowledged_when_it_is_committed() {
    let disk = |plan: &mut Plan| plan.broker.durability = engine::config::Durability::Disk;
    worlds_with(disk, |world| {
        let publisher = client(world, V5, "p");
        world.stall_store();
        let kept = world.publish(publisher, message("t", "1").qos(Q1).retained());
        let passing = world.publish(publisher, message("u", "2").qos(Q1));
        world.run_until_quiet();
        assert_eq!(acks(&world.received(publisher)), [], "later acknowledgements are held back");
        world.resume_store();
        world.run_until_quiet();
        assert_eq!(acks(&world.received(publisher)), [(AckKind::Puback, kept), (AckKind::Puback, passing)]);
    });
}

#[test]
fn a_full_store_stops_writers_and_not_readers() {
    // Whether the store is full is asked before a turn, so a turn may exceed it by what it receives.
    let tiny = |plan: &mut Plan| {
        plan.store_pending_bytes = 2_000;
        plan.piece_bytes_max = plan.piece_bytes_max.min(48);
    };
    worlds_with(tiny, |world| {
        let reader = subscriber(world, V311, "r", "#", Q0);
        let writer = client(world, V311, "w");
        let other = client(world, V311, "o");
        world.stall_store();
        for number in 0..200 {
            world.publish(writer, message("t", &number.to_string()).qos(Q1).retained());
        }
        world.run_until_quiet();
        assert!(world.twin.waiting_bytes() < 200 * 64, "the writer was stopped");
        world.lines(reader);
        publish(world, other, message("live", "m"));
        assert_eq!(world.lines(reader), ["live m"]);
        world.resume_store();
        world.run_until_quiet();
        assert_eq!(acks(&world.received(writer)).len(), 200);
        assert_eq!(world.lines(reader).last().unwrap(), "t 199");
    });
}

#[test]
fn who_subscribes_again_and_again_without_reading_gets_the_retained_messages_once() {
    // [MQTT-3.8.4-4] [3.1.1: MQTT-3.8.4-3]: they are sent again for each SUBSCRIBE, but those of before need not come to their end
    let mut plan = Plan::new(9, 4);
    plan.piece_bytes_max = 65_536;
    let world = &mut World::new(plan);
    let publisher = client(world, V311, "p");
    let large = "x".repeat(200_000);
    for topic in TOPICS.iter().flat_map(|topic| (0..4).map(move |row| format!("{topic}/{row}"))) {
        publish(world, publisher, message(&topic, &large).retained());
    }
    let reader = client(world, V311, "r");
    world.stop_reading(reader);
    for _ in 0..50 {
        world.subscribe(reader, "#", Q0);
    }
    world.run_until_quiet();
    world.read_again(reader);
    world.run_until_quiet();
    let got = world.lines(reader).len();
    assert!((24..400).contains(&got), "{got} messages for 50 subscriptions and 24 rows");
}
