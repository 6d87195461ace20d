//! What the broker does while its store is late, fails, or loses what was not synced.

use super::*;
use engine::config::Durability;
use fuzz::twin::Fault;
use std::collections::BTreeSet;

fn with_disk(seed: u64, shards: usize, durability: Durability) -> World {
    let mut plan = Plan { has_store: true, ..Plan::new(seed, shards) };
    plan.broker.durability = durability;
    World::new(plan)
}

/// A retained publish with QoS 1; returns its packet identifier.
fn keep(world: &mut World, client: ClientId, topic: &str, text: &str) -> u16 {
    world.publish(client, message(topic, text).qos(Q1).retained())
}

/// All retained rows as somebody who comes now gets them.
fn retained(world: &mut World) -> BTreeSet<String> {
    let reader = subscriber_late(world);
    world.lines(reader).into_iter().collect()
}

fn subscriber_late(world: &mut World) -> ClientId {
    let reader = client(world, V5, "late");
    world.subscribe(reader, "#", Q1);
    world.run_until_quiet();
    reader
}

#[test]
fn a_late_store_holds_back_what_waits_for_it_and_nothing_else() {
    for shards in [1, 3] {
        let mut world = with_disk(7, shards, Durability::Disk);
        let reader = subscriber(&mut world, V5, "r", "a/#", Q0);
        let publisher = client(&mut world, V5, "p");
        world.lag_store(40);
        let kept = keep(&mut world, publisher, "a/1", "1");
        world.publish(publisher, message("a/2", "2"));
        while world.peek(reader).len() < 2 {
            world.run_turns(1);
        }
        assert_eq!(world.lines(reader), ["a/1 1", "a/2 2"]);
        assert_eq!(acks(&world.received(publisher)), []);
        world.run_until_quiet();
        assert_eq!(acks(&world.received(publisher)), [(AckKind::Puback, kept)]);
    }
}

#[test]
fn commits_that_fail_a_few_times_come_about_by_themselves() {
    for fault in [Fault::DiskFull, Fault::InputOutput] {
        let mut world = with_disk(3, 2, Durability::Disk);
        let publisher = client(&mut world, V5, "p");
        world.fail_store(fault, Some(5));
        let kept = keep(&mut world, publisher, "a/1", "1");
        world.run_until_quiet();
        assert_eq!(acks(&world.received(publisher)), [(AckKind::Puback, kept)]);
        assert!(!world.twin.is_failing());
        assert_eq!(world.twin.rows()["a/1"], b"1");
    }
}

#[test]
fn power_takes_nothing_that_somebody_was_told_of_and_may_take_all_else() {
    // Of each seed: was the last commit, which nobody was told of, lost, and was one made that nobody had waited for?
    let mut outcomes = BTreeSet::new();
    for seed in 0..200 {
        let mut world = with_disk(seed, 3, Durability::Disk);
        let publisher = client(&mut world, V5, "p");
        let told: BTreeSet<u16> = TOPICS.iter().map(|topic| keep(&mut world, publisher, topic, "told")).collect();
        world.run_until_quiet();
        let acked = acks(&world.received(publisher)).into_iter().map(|(_, id)| id).collect();
        assert_eq!(told, acked);
        let ids: Vec<u16> = TOPICS.iter().map(|topic| keep(&mut world, publisher, topic, "new")).collect();
        for _ in 0..seed as usize % 60 {
            world.run_turns(2);
            world.commit();
        }
        let acked: Vec<u16> = acks(&world.received(publisher)).into_iter().map(|(_, id)| id).collect();
        let (untold, rows) = (world.twin.untold(), world.twin.rows().values().filter(|text| **text == b"new").count());
        world.lose_power(1 + seed as usize % 4);
        let found = retained(&mut world);
        assert_eq!(found.len(), TOPICS.len(), "every row is there, one way or the other");
        for (topic, id) in TOPICS.iter().zip(&ids) {
            if acked.contains(id) {
                assert!(found.contains(&format!("{topic} new")), "seed {seed}: {topic} was acknowledged");
            }
        }
        let new = found.iter().filter(|line| line.ends_with(" new")).count();
        let known: BTreeSet<String> = world
            .twin
            .rows()
            .iter()
            .map(|(topic, text)| format!("{topic} {}", String::from_utf8_lossy(text)))
            .collect();
        assert_eq!(known, found, "the twin knows what is durable");
        outcomes.insert((untold > 0, new.cmp(&rows)));
    }
    use std::cmp::Ordering::{Equal, Greater, Less};
    for outcome in [(true, Less), (true, Equal), (true, Greater), (false, Equal), (false, Greater)] {
        assert!(outcomes.contains(&outcome), "{outcome:?} never came about: {outcomes:?}");
    }
}

#[test]
fn what_shards_changed_reaches_the_disk_in_any_order() {
    // Two publishers whose rows have two owners: power finds the one without the other, both ways.
    let mut seen = BTreeSet::new();
    for seed in 0..60 {
        let mut world = with_disk(seed, 2, Durability::Memory);
        let publisher = client(&mut world, V5, "p");
        let (own, other) = {
            let owner = |topic: &str| world.roots.shard_of_group(world.roots.group(topic));
            let other = TOPICS.iter().find(|topic| owner(topic) != owner("a/1")).expect("two shards own something");
            ("a/1", *other)
        };
        world.stall_store();
        keep(&mut world, publisher, own, "1");
        keep(&mut world, publisher, other, "1");
        world.run_until_quiet();
        world.lose_power(2);
        let found = retained(&mut world);
        seen.insert((found.contains("a/1 1"), found.len()));
    }
    assert_eq!(seen, BTreeSet::from([(false, 0), (false, 1), (true, 1), (true, 2)]));
}

#[test]
fn the_same_seed_loses_the_same() {
    let run = |seed| {
        let mut world = with_disk(seed, 3, Durability::Disk);
        let publisher = client(&mut world, V5, "p");
        world.lag_store(3);
        for round in 0..6 {
            for topic in TOPICS {
                keep(&mut world, publisher, topic, &round.to_string());
            }
            for _ in 0..10 {
                world.run_turns(3);
                world.commit();
            }
        }
        world.lose_power(2);
        (retained(&mut world), world.rng.draw())
    };
    for seed in 0..10 {
        assert_eq!(run(seed), run(seed));
    }
}

/// A full disk in worlds of all kinds, found by a publish of the client `first`.
fn full_disks(durability: Durability, conversation: impl Fn(&mut World)) {
    let set = |plan: &mut Plan| {
        plan.has_store = true;
        plan.broker.durability = durability;
    };
    worlds_with(set, |world| {
        let first = client(world, V5, "first");
        keep(world, first, "kept/before", "1");
        world.advance_ms(200);
        world.limit_disk(0);
        keep(world, first, "kept/when", "full");
        world.run_until_quiet();
        assert!(world.twin.is_failing());
        conversation(world);
        world.mend_store();
        world.advance_ms(200);
        assert_eq!(acks(&world.received(first)).len(), 2, "what waited is acknowledged");
        let last = keep(world, first, "kept/after", "1");
        world.run_until_quiet();
        assert_eq!(acks(&world.received(first)), [(AckKind::Puback, last)]);
        world.lose_power(3);
        let found = retained(world);
        let all = ["kept/after 1", "kept/before 1", "kept/when full"].map(str::to_owned);
        // What is acknowledged before the disk has it may be lost.
        assert!(durability == Durability::Memory || found == all.into(), "{found:?}");
    });
}

/// What a publish of a new client is answered.
fn answer(world: &mut World, version: Version, publish: PublishOptions<'_>) -> OwnedPacket {
    let publisher = client(world, version, "one more");
    world.publish(publisher, publish);
    world.run_until_quiet();
    let packets = world.received(publisher);
    world.disconnect(publisher, ReasonCode::Success);
    world.run_until_quiet();
    assert!(!packets.is_empty(), "it is answered at once");
    packets.last().cloned().unwrap()
}

fn refusal(packet: &OwnedPacket) -> Option<ReasonCode> {
    match packet {
        OwnedPacket::Ack { reason, .. } => reason.is_error().then_some(*reason),
        other => panic!("no acknowledgement: {other:?}"),
    }
}

#[test]
fn a_full_disk_refuses_what_is_to_be_kept_and_nothing_else() {
    // [MOTE-9.8] [MOTE-9.13]
    for durability in [Durability::Memory, Durability::Disk] {
        full_disks(durability, |world| {
            let reader = subscriber(world, V5, "reader", "#", Q1);
            world.received(reader);
            let refused = Some(ReasonCode::QuotaExceeded);
            for qos in [Q1, Q2] {
                assert_eq!(refusal(&answer(world, V5, message("kept/more", "1").qos(qos).retained())), refused);
                let live = refusal(&answer(world, V5, message("live", "waited for").qos(qos)));
                assert_eq!(live, if durability == Durability::Disk { refused } else { None });
            }
            assert_eq!(
                refusal(&answer(world, V5, message("kept/before", "").qos(Q1).retained())),
                refused,
                "a deletion"
            );
            // [MOTE-9.5] [MOTE-9.9]
            let error = answer(world, V5, message("kept/more", "2").retained());
            assert_eq!(error.message().unwrap().topic, "$error/kept/more");
            assert_eq!(refusal(&answer(world, V311, message("kept/more", "3").qos(Q1).retained())), None);
            let passing = client(world, V311, "passing");
            publish(world, passing, message("live", "0"));
            let mut seen = world.lines(reader);
            assert_eq!(seen.pop().unwrap(), "live 0");
            assert!(seen.iter().all(|line| line == "live waited for"), "{seen:?}");
            assert_eq!(seen.is_empty(), durability == Durability::Disk, "{seen:?}");
            let late = subscriber_late(world);
            let mut rows = world.lines(late);
            rows.sort();
            assert_eq!(rows, ["kept/before 1", "kept/when full"]);
            let got = answer(world, V5, message("$get/kept/#", "").qos(Q1));
            assert_eq!(got.message().unwrap().text(), r#"{"before":1,"when":"full"}"#);
        });
    }
}

#[test]
fn with_a_full_disk_a_lasting_session_goes_on_and_is_not_told_what_cannot_be_kept() {
    full_disks(Durability::Disk, |world| {
        let lasting = world.connected(ConnectOptions::lasting(V5, "lasting"));
        assert_eq!(connack(&world.received(lasting)), (false, 0));
        world.subscribe(lasting, "live", Q1);
        world.run_until_quiet();
        let suback = world.received(lasting);
        assert!(matches!(&suback[..], [OwnedPacket::Suback { reasons, .. }] if reasons == &[0x97]), "{suback:?}");
        // An end that a crash could undo is not told.
        world.drop_client(lasting);
        world.run_until_quiet();
        let again = world.connected(ConnectOptions { clean: true, ..ConnectOptions::lasting(V5, "lasting") });
        assert_eq!(connack(&world.received(again)), (false, 0x97));
        let again = world.connected(ConnectOptions::lasting(V5, "lasting"));
        assert_eq!(connack(&world.received(again)), (true, 0));
        world.disconnect(again, ReasonCode::Success);
        world.run_until_quiet();
    });
}

#[test]
fn clients_that_come_and_go_while_the_disk_is_full_fill_no_memory() {
    for durability in [Durability::Memory, Durability::Disk] {
        full_disks(durability, |world| {
            let bytes = world.twin.waiting_bytes();
            for round in 0..60 {
                for name in ["x", "y"] {
                    let options = ConnectOptions::lasting(V5, name);
                    let lasting = world.connected(ConnectOptions { clean: round % 2 == 0, ..options });
                    world.subscribe(lasting, &format!("{name}/{round}"), Q1);
                    world.run_until_quiet();
                    world.drop_client(lasting);
                    world.advance_ms(30);
                }
            }
            let more = world.twin.waiting_bytes() - bytes;
            let most = if durability == Durability::Disk { 0 } else { 60 * 2 * 1_000 };
            assert!(more <= most, "{more} bytes more wait for the disk");
        });
    }
}

#[test]
fn a_disk_that_hangs_begins_no_session_that_it_would_have_to_keep() {
    let tiny = |plan: &mut Plan| {
        plan.store_pending_bytes = 1;
        plan.has_store = true;
        plan.broker.durability = Durability::Disk;
    };
    worlds_with(tiny, |world| {
        let first = client(world, V5, "first");
        world.stall_store();
        keep(world, first, "kept", "1");
        world.run_until_quiet();
        let lasting = world.connected(ConnectOptions::lasting(V5, "lasting"));
        assert_eq!(connack(&world.received(lasting)), (false, ReasonCode::ServerBusy as u8));
        client(world, V5, "passing");
        world.resume_store();
        world.run_until_quiet();
        let lasting = world.connected(ConnectOptions::lasting(V5, "lasting"));
        assert_eq!(connack(&world.received(lasting)), (false, 0));
    });
}

#[test]
fn a_retained_will_waits_for_room_and_those_behind_it_do_not() {
    let tiny = |plan: &mut Plan| {
        plan.store_pending_bytes = 1;
        plan.has_store = true;
    };
    worlds_with(tiny, |world| {
        let reader = subscriber(world, V5, "reader", "will/#", Q0);
        world.received(reader);
        world.stall_store();
        let first = client(world, V5, "first");
        keep(world, first, "kept", "1");
        world.run_until_quiet();
        for (name, retain) in [("kept", true), ("passing", false)] {
            let topic = format!("will/{name}");
            let will = WillOptions { topic: &topic, payload: b"gone", qos: Q1, retain, properties: Vec::new() };
            let dying = world.connected(ConnectOptions { will: Some(will), ..ConnectOptions::new(V5, name) });
            world.run_until_quiet();
            world.drop_client(dying);
            world.run_until_quiet();
        }
        assert_eq!(world.lines(reader), ["will/passing gone"]);
        world.resume_store();
        world.run_until_quiet();
        assert_eq!(world.lines(reader), ["will/kept gone"]);
    });
}

#[test]
fn a_deletion_of_what_is_deleted_is_acknowledged_when_the_first_is_durable() {
    for qos in [Q1, Q2] {
        let set = |plan: &mut Plan| {
            plan.has_store = true;
            plan.broker.durability = engine::config::Durability::Disk;
        };
        worlds_with(set, |world| {
            let (one, two) = (client(world, V5, "one"), client(world, V5, "two"));
            publish(world, one, message("a/1", "kept").qos(Q1).retained());
            world.received(one);
            world.stall_store();
            publish(world, one, message("a/1", "").retained());
            publish(world, two, message("a/1", "").qos(qos).retained());
            // A crash now would bring the row back.
            assert_eq!(acks(&world.received(two)), []);
            world.resume_store();
            world.run_until_quiet();
            assert!(!acks(&world.received(two)).is_empty());
            assert!(world.twin.rows().is_empty());
            // Nothing waits where nothing was to be deleted ever.
            publish(world, two, message("a/2", "").qos(qos).retained());
            assert!(!acks(&world.received(two)).is_empty());
        });
    }
}
