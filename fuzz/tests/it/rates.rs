//! How fast a client may send (`limits.publish_rate`, `limits.bytes_rate`), what holds at one listener, and how many sessions
//! there may be.

use super::*;
use engine::config::Listener;

const RATE: u32 = 10;

fn numbered(world: &mut World, client: ClientId, numbers: std::ops::Range<usize>, qos: QoS) {
    for number in numbers {
        world.publish(client, message("a", &number.to_string()).qos(qos));
    }
}

fn heard(world: &World, reader: ClientId) -> usize {
    world.peek(reader).len()
}

fn in_order(world: &mut World, reader: ClientId, count: usize) {
    let expected: Vec<String> = (0..count).map(|number| format!("a {number}")).collect();
    assert_eq!(world.lines(reader), expected);
}

#[test]
fn who_publishes_faster_than_he_may_is_read_more_slowly_and_loses_nothing() {
    let set = |plan: &mut Plan| plan.broker.limits.publish_rate = RATE;
    worlds_with(set, |world| {
        let reader = subscriber(world, V5, "r", "a", Q1);
        for (index, qos) in [Q0, Q1].into_iter().enumerate() {
            let name = format!("p{index}");
            let publisher = client(world, V5, &name);
            numbered(world, publisher, 0..45, qos);
            world.run_until_quiet();
            assert_eq!(heard(world, reader), RATE as usize, "a second's at once");
            world.advance_ms(1_000);
            assert_eq!(heard(world, reader), 2 * RATE as usize);
            world.advance_ms(500);
            assert_eq!(heard(world, reader), 2 * RATE as usize + RATE as usize / 2);
            world.advance_ms(2_000);
            assert_eq!(heard(world, reader), 45);
            in_order(world, reader, 45);
            // Who has been silent may send at once again, but no more than a second's.
            world.advance_ms(60_000);
            numbered(world, publisher, 0..15, qos);
            world.run_until_quiet();
            assert_eq!(heard(world, reader), RATE as usize);
            world.advance_ms(1_000);
            in_order(world, reader, 15);
        }
        assert!(world.stats().rate_waits >= 4, "{}", world.stats().rate_waits);
    });
}

#[test]
fn others_are_not_slowed_and_what_a_client_says_else_is_not_counted() {
    let set = |plan: &mut Plan| plan.broker.limits.publish_rate = RATE;
    worlds_with(set, |world| {
        let reader = subscriber(world, V5, "r", "a", Q0);
        let (fast, other) = (client(world, V311, "fast"), client(world, V311, "other"));
        numbered(world, fast, 0..30, Q0);
        world.run_until_quiet();
        assert_eq!(heard(world, reader), 10);
        numbered(world, other, 0..10, Q0);
        // PINGREQ, forty times.
        world.send(other, &[0xC0, 0].repeat(40));
        world.run_until_quiet();
        assert_eq!(heard(world, reader), 20);
        assert_eq!(world.received(other).len(), 40);
    });
}

#[test]
fn a_silence_that_is_the_brokers_ends_no_connection() {
    let set = |plan: &mut Plan| plan.broker.limits.publish_rate = 1;
    worlds_with(set, |world| {
        let reader = subscriber(world, V5, "r", "a", Q0);
        let hasty = ConnectOptions { keep_alive: 2, ..ConnectOptions::new(V5, "p") };
        let publisher = world.connected(hasty);
        numbered(world, publisher, 0..20, Q0);
        world.disconnect(publisher, ReasonCode::Success);
        for second in 1..20 {
            world.run_until_quiet();
            assert!(!world.is_closed(publisher));
            assert_eq!(heard(world, reader), second);
            world.advance_ms(1_000);
        }
        in_order(world, reader, 20);
        assert!(world.is_closed(publisher), "its DISCONNECT is read too");
    });
}

#[test]
fn bytes_are_counted_as_they_come_and_what_was_too_much_is_waited_for() {
    const BYTES_RATE: u64 = 1_000;
    const SENT: usize = 8;
    let set = |plan: &mut Plan| plan.broker.limits.bytes_rate = BYTES_RATE;
    worlds_with(set, |world| {
        let reader = subscriber(world, V5, "r", "a", Q0);
        let publisher = client(world, V5, "p");
        world.advance_ms(2_000);
        let long = "x".repeat(4_500);
        world.publish(publisher, message("a", &long));
        world.publish(publisher, message("a", "last"));
        world.advance_ms(10_000);
        assert_eq!(heard(world, reader), 2);
        world.received(reader);
        // Pieces of three bytes never make a debt; one of 4 500 makes one of three seconds and a half.
        // What the kernel has received already still comes.
        for _ in 0..SENT {
            world.publish(publisher, message("a", &long));
            world.run_until_quiet();
        }
        let at_once = heard(world, reader);
        assert!(at_once < SENT, "{at_once} of {SENT} at once");
        world.advance_ms(SENT as u64 * 4_600);
        assert_eq!(heard(world, reader), SENT);
        assert!(world.stats().rate_waits > 0);
    });
}

#[test]
fn a_session_that_is_taken_over_or_cut_off_while_it_waits_goes_on() {
    let set = |plan: &mut Plan| plan.broker.limits.publish_rate = RATE;
    worlds_with(set, |world| {
        let reader = subscriber(world, V5, "r", "a", Q0);
        let first = world.connected(ConnectOptions::lasting(V5, "p"));
        numbered(world, first, 0..12, Q0);
        world.run_until_quiet();
        let second = world.connected(ConnectOptions::lasting(V5, "p"));
        assert_eq!(connack(&world.received(second)), (true, 0));
        assert!(world.is_closed(first));
        numbered(world, second, 10..25, Q0);
        world.run_until_quiet();
        assert_eq!(heard(world, reader), 20);
        world.reset(second);
        world.advance_ms(5_000);
        assert!(heard(world, reader) >= 20);
        assert_eq!(world.census().0, 1, "nothing of it is left but the reader");
    });
}

#[test]
fn a_listener_has_rates_and_sizes_of_its_own() {
    let own = Listener { packet_bytes: Some(2_000), publish_rate: Some(0), ..Listener::default() };
    let set = |plan: &mut Plan| {
        plan.broker.limits.publish_rate = 1;
        plan.broker.limits.packet_bytes = 1_500;
        plan.broker.listeners = vec![own];
    };
    worlds_with(set, |world| {
        let reader = subscriber(world, V5, "r", "a", Q0);
        let publisher = client(world, V5, "p");
        numbered(world, publisher, 0..20, Q0);
        world.run_until_quiet();
        in_order(world, reader, 20);
        world.publish(publisher, message("a", &"x".repeat(1_900)));
        world.run_until_quiet();
        assert_eq!(heard(world, reader), 1);
        world.publish(publisher, message("a", &"x".repeat(2_000)));
        world.run_until_quiet();
        assert_eq!(world.received(publisher), [OwnedPacket::Disconnect { reason: ReasonCode::PacketTooLarge }]);
    });
}

#[test]
fn one_session_too_many_is_refused_and_who_is_known_is_taken() {
    for (version, code) in [(V5, ReasonCode::QuotaExceeded as u8), (V311, 3)] {
        let mut plan = Plan::new(7, 1);
        plan.broker.limits.sessions = 2;
        let mut world = World::new(plan);
        let away = world.connected(ConnectOptions::lasting(V5, "away"));
        world.drop_client(away);
        client(&mut world, V5, "here");
        let third = world.connected(ConnectOptions::new(version, "third"));
        assert_eq!(connack(&world.received(third)), (false, code));
        assert!(world.is_closed(third));
        assert_eq!(world.stats().sessions_refused, 1);
        let back = world.connected(ConnectOptions::lasting(V5, "away"));
        assert_eq!(connack(&world.received(back)), (true, 0));
        let anew = world.connected(ConnectOptions::new(V5, "away"));
        assert_eq!(connack(&world.received(anew)), (false, 0), "in the place of its own");
        world.disconnect(anew, ReasonCode::Success);
        world.run_until_quiet();
        client(&mut world, version, "third");
    }
}
