//! Retained messages for a new subscription that are many: all of them come, and nobody waits for them.

use super::*;
use engine::config::Overflow;

/// `count` retained rows `<first level>/<number>/x`, over many groups.
fn fill(world: &mut World, count: usize, qos: QoS) {
    let publisher = client(world, V311, "fills");
    for first in 0..20 {
        let numbers = (0..count).filter(|number| number % 20 == first);
        let rows: Vec<String> = numbers.map(|number| format!("\"{number}\":{number}")).collect();
        let json = format!("{{{}}}", rows.join(","));
        publish(world, publisher, message(&format!("$tree/many{first}/*/x"), &json).qos(qos).retained());
    }
    assert_eq!(world.messages(publisher), []);
}

/// The numbers of the rows, sorted.
fn numbers(messages: &[Message]) -> Vec<usize> {
    let mut numbers: Vec<usize> = messages.iter().map(|message| message.text().parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_hundred_thousand_retained_messages_all_come_and_others_are_served_meanwhile() {
    // [MOTE-2.50]
    const ROWS: usize = 100_000;
    for shards in [1, 4] {
        let plan = Plan { piece_bytes_max: 65_536, ..Plan::new(13, shards) };
        let world = &mut World::new(plan);
        fill(world, ROWS, Q1);
        let other = subscriber(world, V311, "other", "live", Q0);
        let publisher = client(world, V311, "p");
        for (granted, name) in [(Q0, "zero"), (Q1, "one")] {
            let reader = client(world, V311, name);
            world.subscribe(reader, "#", granted);
            let (mut served, mut came) = (0, Vec::new());
            while came.len() < ROWS && served < 1_000 {
                world.publish(publisher, message("live", "m"));
                world.run_turns(20 * shards);
                let was_served = world.lines(other).len();
                assert!(was_served <= 1 + served, "only what was published");
                served += was_served;
                came.extend(world.messages(reader).into_iter().filter(|message| message.topic != "live"));
            }
            assert!(served > 5, "the other client was served {served} times");
            world.run_until_quiet();
            came.extend(world.messages(reader).into_iter().filter(|message| message.topic != "live"));
            assert!(numbers(&came).into_iter().eq(0..ROWS), "{} of {ROWS} messages came", came.len());
            assert!(came.iter().all(|message| message.retain && message.qos == granted));
            world.lines(other);
        }
    }
}

#[test]
fn a_stopped_reader_holds_a_slice_and_not_the_tree() {
    let plan = Plan { piece_bytes_max: 65_536, ..Plan::new(14, 2) };
    let world = &mut World::new(plan);
    let publisher = client(world, V311, "p");
    let large = "x".repeat(20_000);
    for number in 0..500 {
        world.publish(publisher, message(&format!("l{}/{number}", number % 7), &large).retained());
    }
    world.run_until_quiet();
    let reader = client(world, V311, "r");
    world.stop_reading(reader);
    world.subscribe(reader, "#", Q0);
    world.run_until_quiet();
    let sent = world.publishes_sent();
    assert!(sent < 200, "{sent} of 500 messages wait for who does not read");
    world.read_again(reader);
    world.run_until_quiet();
    assert_eq!(world.messages(reader).len(), 500);
}

#[test]
fn a_small_queue_and_a_window_of_one_drop_no_retained_message() {
    // MQTT 5 section 3.8.4: the retained messages that match are sent; how many wait for the window is ours to mind
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Disconnect] {
        for qos in [Q1, Q2] {
            for shards in [1, 4] {
                let mut plan = Plan { piece_bytes_max: 65_536, ..Plan::new(15, shards) };
                plan.broker.session.queue_messages = 3;
                plan.broker.session.queue_bytes = 1_024;
                plan.broker.session.overflow = overflow;
                let world = &mut World::new(plan);
                fill(world, 3_000, Q2);
                let properties = vec![Property::ReceiveMaximum(1)];
                let reader = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "r") });
                for filter in ["#", "+/+/x", "many1/#", "+/7/x", "many2/#", "many3/#", "many4/#"] {
                    world.subscribe(reader, filter, qos);
                }
                world.run_until_quiet();
                assert!(!world.is_closed(reader), "{overflow:?}");
                let came = world.messages(reader);
                assert_eq!(came.len(), 2 * 3_000 + 4 * 150 + 1, "{overflow:?} {qos:?} {shards} shards");
                assert!(came.iter().all(|message| message.retain && message.qos == qos));
            }
        }
    }
}

#[test]
fn what_walks_bring_leaves_the_queue_to_what_is_published() {
    // While a thousand retained messages wait for a window of one, the queue takes what it always takes.
    for (overflow, kept) in [(Overflow::DropNewest, ["0", "1", "2"]), (Overflow::DropOldest, ["5", "6", "7"])] {
        for shards in [1, 2] {
            let mut plan = Plan { piece_bytes_max: 65_536, ..Plan::new(16, shards) };
            plan.broker.session.queue_messages = 3;
            plan.broker.session.overflow = overflow;
            let world = &mut World::new(plan);
            fill(world, 1_000, Q1);
            let properties = vec![Property::ReceiveMaximum(1)];
            let reader = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "r").silent() });
            world.subscribe(reader, "#", Q1);
            world.run_until_quiet();
            let publisher = client(world, V5, "p");
            for number in 0..8 {
                publish(world, publisher, message("live", &number.to_string()).qos(Q1));
            }
            let (mut live, mut retained) = (Vec::new(), 0);
            loop {
                let got = world.messages(reader);
                let Some(last) = got.last() else { break };
                for message in &got {
                    match message.retain {
                        true => retained += 1,
                        false => live.push(message.text()),
                    }
                }
                world.ack(reader, AckKind::Puback, last.packet_id);
                world.run_until_quiet();
            }
            assert_eq!(retained, 1_000);
            assert_eq!(live, kept, "{overflow:?}");
        }
    }
}

#[test]
fn walks_behind_the_first_go_on_when_those_are_unsubscribed() {
    worlds(|world| {
        let publisher = client(world, V311, "p");
        for topic in TOPICS {
            for number in 0..3 {
                world.publish(publisher, message(&format!("{topic}/{number}"), "m").qos(Q1).retained());
            }
        }
        world.run_until_quiet();
        let properties = vec![Property::ReceiveMaximum(1)];
        let reader = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "r").silent() });
        for topic in TOPICS {
            world.subscribe(reader, &format!("{topic}/#"), Q1);
        }
        world.run_until_quiet();
        for topic in &TOPICS[..5] {
            world.unsubscribe(reader, &format!("{topic}/#"));
        }
        world.run_until_quiet();
        let mut came = Vec::new();
        loop {
            let got = world.messages(reader);
            let Some(last) = got.last().cloned() else { break };
            came.extend(got);
            world.ack(reader, AckKind::Puback, last.packet_id);
            world.run_until_quiet();
        }
        let last: Vec<String> = came.into_iter().map(|m| m.topic).filter(|topic| topic.starts_with("f/1")).collect();
        assert_eq!(last.len(), 3);
    });
}

#[test]
fn a_replay_goes_on_where_the_session_does() {
    // The connection breaks in the middle of the retained messages: with QoS 1 none of them is lost.
    both_versions(|world, version| {
        if world.plan.piece_bytes_max < 1_000 {
            return;
        }
        fill(world, 400, Q1);
        let mut options = ConnectOptions::lasting(version, "r");
        if version.is_v5() {
            options.properties.push(Property::ReceiveMaximum(10));
        }
        let first = world.connected(options.clone());
        world.subscribe(first, "#", Q1);
        world.run_turns(40);
        world.drop_client(first);
        world.run_until_quiet();
        let mut came = world.messages(first);
        let second = world.connected(options);
        world.run_until_quiet();
        came.extend(world.messages(second));
        let mut got = numbers(&came);
        got.dedup();
        assert!(got.into_iter().eq(0..400), "{} messages came", came.len());
    });
}
