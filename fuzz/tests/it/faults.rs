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
