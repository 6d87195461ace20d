//! What the broker does while the process holds as much memory as it may (`limits.memory_bytes`).

use super::*;
use engine::limits::UNFINISHED_BYTES_MAX;

/// Reason of the acknowledgement of one publish, which must have come.
fn reason(world: &mut World, publisher: ClientId, packet_id: u16) -> ReasonCode {
    world.run_until_quiet();
    let of = |packet: &OwnedPacket| match packet {
        OwnedPacket::Ack { packet_id: id, reason, .. } if *id == packet_id => Some(*reason),
        _ => None,
    };
    world.received(publisher).iter().find_map(of).expect("an acknowledgement")
}

fn world_of(shards: usize) -> World {
    World::new(Plan::new(5, shards))
}

/// A world in which one publisher has retained a row, `a/1 before`.
fn world_with_a_row(shards: usize) -> (World, ClientId) {
    let mut world = world_of(shards);
    let publisher = client(&mut world, V5, "p");
    let kept = world.publish(publisher, message("a/1", "before").qos(Q1).retained());
    assert_eq!(reason(&mut world, publisher, kept), ReasonCode::NoMatchingSubscribers);
    (world, publisher)
}

#[test]
fn what_would_stay_is_refused_until_there_is_memory_again() {
    for shards in [1, 3] {
        let (mut world, publisher) = world_with_a_row(shards);
        world.memory_full = true;
        for options in [
            message("a/2", "x").qos(Q1).retained(),
            message("a/1", "x").qos(Q1),
            message("a/1", "x").qos(Q2),
            message("$tree/a", "{\"1\":2}").qos(Q1).retained(),
        ] {
            let id = world.publish(publisher, options);
            assert_eq!(reason(&mut world, publisher, id), ReasonCode::QuotaExceeded);
        }
        world.memory_full = false;
        let id = world.publish(publisher, message("a/2", "after").qos(Q1).retained());
        assert_eq!(reason(&mut world, publisher, id), ReasonCode::NoMatchingSubscribers);
        let reader = client(&mut world, V5, "r");
        world.subscribe(reader, "#", Q0);
        world.run_until_quiet();
        let mut lines = world.lines(reader);
        lines.sort();
        assert_eq!(lines, ["a/1 before", "a/2 after"]);
        assert_eq!(world.stats().memory_refused, 4);
    }
}

#[test]
fn who_is_told_by_no_acknowledgement_is_told_by_a_message() {
    let mut world = world_of(1);
    let publisher = client(&mut world, V311, "p");
    world.memory_full = true;
    world.publish(publisher, message("a/1", "x").retained());
    world.run_until_quiet();
    let told = world.lines(publisher);
    assert!(told.iter().any(|line| line.starts_with("$error/") && line.contains("limits.memory_bytes")), "{told:?}");
}

#[test]
fn what_waits_for_nobody_and_what_gives_memory_back_goes_on() {
    for shards in [1, 3] {
        let (mut world, publisher) = world_with_a_row(shards);
        let reader = subscriber(&mut world, V5, "r", "b/#", Q1);
        world.memory_full = true;
        world.publish(publisher, message("b/1", "live"));
        world.run_until_quiet();
        assert_eq!(world.lines(reader), ["b/1 live"]);
        let id = world.publish(publisher, message("a/1", "").qos(Q1).retained());
        assert_eq!(reason(&mut world, publisher, id), ReasonCode::NoMatchingSubscribers);
        assert_eq!(world.stats().rows_retained, 0);
        world.unsubscribe(reader, "b/#");
        world.run_until_quiet();
        assert_eq!(world.stats().subscriptions, 0);
    }
}

#[test]
fn subscriptions_are_refused_and_clients_told_that_the_server_is_busy() {
    for shards in [1, 3] {
        let mut world = world_of(shards);
        let (five, old) = (client(&mut world, V5, "5"), client(&mut world, V311, "3"));
        world.memory_full = true;
        for (reader, code) in [(five, ReasonCode::QuotaExceeded as u8), (old, 0x80)] {
            world.subscribe_with(reader, &[("a", Default::default()), ("b", Default::default())], &[]);
            world.run_until_quiet();
            let received = world.received(reader);
            assert!(
                matches!(&received[..], [OwnedPacket::Suback { reasons, .. }] if *reasons == [code, code]),
                "{received:?}"
            );
        }
        for (version, code) in [(V5, ReasonCode::ServerBusy as u8), (V311, 3)] {
            let new = world.connected(ConnectOptions::new(version, "new"));
            assert_eq!(connack(&world.received(new)), (false, code));
            assert!(world.is_closed(new));
        }
    }
}

#[test]
fn who_comes_back_for_what_waits_is_taken() {
    let mut world = world_of(2);
    let reader = world.connected(ConnectOptions::lasting(V5, "r"));
    world.subscribe(reader, "a", Q1);
    world.run_until_quiet();
    world.drop_client(reader);
    let publisher = client(&mut world, V5, "p");
    let id = world.publish(publisher, message("a", "waits").qos(Q1));
    assert_eq!(reason(&mut world, publisher, id), ReasonCode::Success);
    world.memory_full = true;
    let anew = world.connected(ConnectOptions { clean: true, ..ConnectOptions::lasting(V5, "r") });
    assert_eq!(connack(&world.received(anew)), (false, ReasonCode::ServerBusy as u8), "that would begin another");
    let back = world.connected(ConnectOptions::lasting(V5, "r"));
    world.run_until_quiet();
    let received = world.received(back);
    assert_eq!(connack(&received), (true, 0));
    assert!(received.iter().any(|packet| matches!(packet, OwnedPacket::Publish(message) if message.topic == "a")));
}

#[test]
fn a_long_packet_that_is_not_complete_ends_its_connection() {
    let mut world = world_of(1);
    let mut begun = Vec::new();
    for (name, bytes) in [("long", UNFINISHED_BYTES_MAX + 1), ("short", UNFINISHED_BYTES_MAX / 2)] {
        let client = client(&mut world, V5, name);
        // PUBLISH, QoS 0, Remaining Length 1 000 000, Topic Name "a", no properties.
        let mut packet = vec![0x30, 0xC0, 0x84, 0x3D, 0, 1, b'a', 0];
        packet.resize(bytes, b'x');
        begun.push((client, packet));
    }
    world.memory_full = true;
    for (client, packet) in &begun {
        world.send(*client, packet);
    }
    world.run_until_quiet();
    assert_eq!(world.received(begun[0].0), [OwnedPacket::Disconnect { reason: ReasonCode::QuotaExceeded }]);
    assert!(world.is_closed(begun[0].0));
    assert!(!world.is_closed(begun[1].0));
    assert_eq!(world.stats().memory_refused, 1);
}
