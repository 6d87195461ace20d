//! Windows, slow readers and full queues.

use super::*;

#[test]
fn no_more_than_receive_maximum_are_unacknowledged() {
    // [MQTT-3.3.4-9]
    worlds(|world| {
        let options = ConnectOptions::new(V5, "s").silent();
        let reader = world.connected(ConnectOptions { properties: vec![Property::ReceiveMaximum(3)], ..options });
        world.subscribe(reader, "t", Q1);
        world.run_until_quiet();
        world.received(reader);
        let publisher = client(world, V5, "p");
        for number in 0..10 {
            world.publish(publisher, message("t", &number.to_string()).qos(Q1));
        }
        world.run_until_quiet();
        let mut got = Vec::new();
        for round in 0..10 {
            let messages = world.messages(reader);
            assert_eq!(messages.len(), if round == 0 { 3 } else { usize::from(round < 8) });
            got.extend(messages);
            world.ack(reader, AckKind::Puback, got[round].packet_id);
            world.run_until_quiet();
        }
        let texts: Vec<String> = got.iter().map(Message::text).collect();
        assert_eq!(texts, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
    });
}

#[test]
fn a_reader_that_stops_holds_up_nobody_and_loses_no_qos_1() {
    both_versions(|world, version| {
        let large = "x".repeat(if world.plan.piece_bytes_max < 1_000 { 600 } else { 20_000 });
        let stopped = subscriber(world, version, "stopped", "s/#", Q1);
        let reads = subscriber(world, version, "reads", "s/#", Q1);
        let publisher = client(world, version, "p");
        world.stop_reading(stopped);
        for _ in 0..100 {
            world.publish(publisher, message("s/t", &large).qos(Q1));
        }
        world.run_until_quiet();
        assert_eq!(world.messages(reads).len(), 100);
        assert_eq!(acks(&world.received(publisher)).len(), 100);
        world.read_again(stopped);
        world.run_until_quiet();
        assert_eq!(world.messages(stopped).len(), 100);
    });
}

#[test]
fn a_full_queue_drops_and_the_session_goes_on() {
    let small = |plan: &mut Plan| plan.broker.session.queue_messages = 5;
    worlds_with(small, |world| {
        let first = world.connected(ConnectOptions::lasting(V311, "s"));
        world.subscribe(first, "t", Q1);
        world.run_until_quiet();
        world.drop_client(first);
        world.run_until_quiet();
        let publisher = client(world, V311, "p");
        for number in 0..20 {
            publish(world, publisher, message("t", &number.to_string()).qos(Q1));
        }
        let back = world.connected(ConnectOptions::lasting(V311, "s"));
        let got: Vec<String> = world.messages(back).iter().map(Message::text).collect();
        assert_eq!(got, ["0", "1", "2", "3", "4"], "drop newest");
        publish(world, publisher, message("t", "live").qos(Q1));
        assert_eq!(world.lines(back), ["t live"]);
    });
}

#[test]
fn what_exceeds_maximum_packet_size_is_left_out() {
    // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
    worlds(|world| {
        let options = ConnectOptions::new(V5, "small");
        let small = world.connected(ConnectOptions { properties: vec![Property::MaximumPacketSize(60)], ..options });
        world.subscribe(small, "t", Q1);
        world.run_until_quiet();
        world.received(small);
        let publisher = client(world, V5, "p");
        let long = "x".repeat(100);
        for text in ["1", &long, "2"] {
            world.publish(publisher, message("t", text).qos(Q1));
        }
        world.run_until_quiet();
        assert_eq!(world.lines(small), ["t 1", "t 2"]);
    });
}

#[test]
fn what_one_session_cannot_take_reaches_the_next() {
    // [MQTT-3.1.2-25]; with durability "disk" the first has let go of it before the second gets it
    let set = |plan: &mut Plan| {
        plan.has_store = true;
        plan.broker.durability = engine::config::Durability::Disk;
    };
    worlds_with(set, |world| {
        let long = "x".repeat(100);
        let mut readers = Vec::new();
        for (id, packet_bytes_max) in [("small", 60), ("large", 1_000), ("another", 1_000)] {
            let mut options = ConnectOptions::lasting(V5, id);
            options.properties.push(Property::MaximumPacketSize(packet_bytes_max));
            let reader = world.connected(options);
            world.subscribe(reader, "t", Q1);
            world.run_until_quiet();
            world.received(reader);
            readers.push(reader);
        }
        let publisher = client(world, V5, "p");
        world.publish(publisher, message("t", &long).qos(Q1));
        world.advance_ms(1_000);
        let lines: Vec<_> = readers.iter().map(|reader| world.lines(*reader)).collect();
        assert_eq!(lines, [vec![], vec![format!("t {long}")], vec![format!("t {long}")]]);
    });
}

#[test]
fn more_publishes_than_the_broker_takes_close_the_connection() {
    // [MQTT-3.3.4-7]: 0x93
    let narrow = |plan: &mut Plan| {
        plan.broker.session.receive_max = 4;
        plan.broker.durability = engine::config::Durability::Disk;
    };
    worlds_with(narrow, |world| {
        let greedy = world.connected(ConnectOptions::new(V5, "greedy").silent());
        world.received(greedy);
        world.stall_store();
        for _ in 0..4 {
            world.publish(greedy, message("t", "m").qos(Q2).retained());
        }
        world.run_until_quiet();
        assert!(!world.is_closed(greedy), "as many as Receive Maximum");
        world.publish(greedy, message("t", "m").qos(Q1).retained());
        world.run_until_quiet();
        assert!(world.is_closed(greedy));
        assert_eq!(disconnect_reason(&world.received(greedy)), Some(ReasonCode::ReceiveMaximumExceeded));
        world.resume_store();
        world.run_until_quiet();
    });
}

#[test]
fn retain_as_published_does_not_make_a_stopped_reader_cost_memory() {
    // QoS 0 beyond SEND_HIGH_BYTES is dropped, with RETAIN 1 as with RETAIN 0
    let mut plan = Plan::new(7, 2);
    plan.piece_bytes_max = 65_536;
    let world = &mut World::new(plan);
    let reader = client(world, V5, "r");
    let options = SubscriptionOptions { retain_as_published: true, ..Default::default() };
    world.subscribe_with(reader, &[("t", options)], &[]);
    world.run_until_quiet();
    world.received(reader);
    world.stop_reading(reader);
    let publisher = client(world, V5, "p");
    let large = "x".repeat(300_000);
    for _ in 0..20 {
        publish(world, publisher, message("t", &large).retained());
    }
    world.read_again(reader);
    world.run_until_quiet();
    let got = world.messages(reader);
    assert!(got.len() < 8 && got.iter().all(|message| message.retain), "{} messages waited", got.len());
}

/// More than `WINDOW_FILLED_AT_ONCE`.
const WINDOW: usize = 40;

/// Fills a window and lets so many wait behind it.
fn full_window(world: &mut World, options: ConnectOptions<'_>, waiting: usize) -> ClientId {
    let reader = world.connected(options.silent());
    world.subscribe(reader, "t", Q1);
    world.run_until_quiet();
    let publisher = client(world, V311, "p");
    for at in 0..WINDOW + waiting {
        publish(world, publisher, message("t", &at.to_string()).qos(Q1));
    }
    assert_eq!(world.messages(reader).len(), WINDOW);
    reader
}

#[test]
fn who_acknowledges_one_of_a_full_window_gets_the_next_soon_and_no_timer_stays() {
    let window = |plan: &mut Plan| plan.broker.session.inflight_max = WINDOW as u16;
    worlds_with(window, |world| {
        let reader = full_window(world, ConnectOptions::lasting(V311, "r"), 10);
        let [_, _, timers] = world.waiting();
        for at in 0..2 {
            world.ack(reader, AckKind::Puback, at + 1);
            world.advance_ms(5);
            assert_eq!(world.lines(reader), [format!("t {}", WINDOW + usize::from(at))]);
            assert_eq!(world.waiting()[2], timers);
        }
        // The same where the client goes away meanwhile.
        world.ack(reader, AckKind::Puback, 3);
        world.run_until_quiet();
        world.drop_client(reader);
        world.run_until_quiet();
        let [_, _, away] = world.waiting();
        world.advance_ms(5);
        assert_eq!(world.waiting()[2], away - 1);
        let back = world.connected(ConnectOptions::lasting(V311, "r"));
        world.advance_ms(5);
        assert_eq!(world.messages(back).len(), WINDOW + 10 - 3);
    });
}

#[test]
fn what_a_window_has_room_for_is_not_dropped() {
    let small = |plan: &mut Plan| {
        plan.broker.session.inflight_max = WINDOW as u16;
        plan.broker.session.queue_messages = 2;
    };
    worlds_with(small, |world| {
        let reader = full_window(world, ConnectOptions::new(V311, "r"), 2);
        let publisher = client(world, V311, "q");
        world.ack(reader, AckKind::Puback, 1);
        world.run_until_quiet();
        publish(world, publisher, message("t", "new").qos(Q1));
        (2..=WINDOW as u16).for_each(|packet_id| world.ack(reader, AckKind::Puback, packet_id));
        world.run_until_quiet();
        assert_eq!(world.lines(reader), ["t 40", "t 41", "t new"]);
    });
}
