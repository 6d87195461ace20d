//! The mesh as one thread sees it; what several threads see is in `loom-tests`.

use engine::key::ShardId;
use engine::mesh::{Published, build};

#[test]
fn every_lane_leads_from_one_shard_to_one_other_and_keeps_order() {
    for shards in [1, 2, 3, 8] {
        let ports = build::<(usize, usize, usize)>(shards, 4);
        let ids = || (0..shards).map(|index| ShardId(index as u16));
        for (from, to) in ids().flat_map(|from| ids().map(move |to| (from, to))) {
            for number in 0..4 {
                ports[from.index()].up.push(to, (from.index(), to.index(), number)).unwrap();
                ports[from.index()].down.push(to, (from.index(), to.index(), 100 + number)).unwrap();
            }
        }
        for (to, from) in ids().flat_map(|to| ids().map(move |from| (to, from))) {
            let [up, down] = [&ports[to.index()].up, &ports[to.index()].down];
            let taken: Vec<_> = std::iter::from_fn(|| up.pop(from)).collect();
            assert_eq!(taken, (0..4).map(|number| (from.index(), to.index(), number)).collect::<Vec<_>>());
            let taken: Vec<_> = std::iter::from_fn(|| down.pop(from)).collect();
            assert_eq!(taken, (0..4).map(|number| (from.index(), to.index(), 100 + number)).collect::<Vec<_>>());
        }
        assert!(ports.iter().all(|ports| ports.up.is_empty() && ports.down.is_empty()));
    }
}

#[test]
fn credit_falls_with_a_push_and_rises_with_a_pop() {
    let ports = build::<u8>(2, 2);
    let (zero, one) = (ShardId(0), ShardId(1));
    assert_eq!(ports[0].up.free(one), 2);
    ports[0].up.push(one, 1).unwrap();
    ports[0].up.push(one, 2).unwrap();
    assert_eq!(ports[0].up.free(one), 0);
    assert_eq!(ports[0].up.push(one, 3), Err(3), "a full lane gives the parcel back");
    assert_eq!(ports[0].down.free(one), 2, "the lanes have credit of their own");
    assert_eq!(ports[1].up.pop(zero), Some(1));
    assert_eq!(ports[0].up.free(one), 1);
    assert!(!ports[1].up.is_empty());
}

#[test]
fn only_an_announced_sleep_is_rung_and_only_once() {
    let ports = build::<u8>(3, 1);
    let zero = ShardId(0);
    assert!(!ports[1].bell.ring(zero), "nobody sleeps");
    ports[0].bell.announce_sleep();
    assert!(!ports[0].bell.ring(ShardId(1)), "another's sleep is not this one's");
    assert!(ports[1].bell.ring(zero));
    assert!(!ports[2].bell.ring(zero), "the first has the duty");
    ports[0].bell.awake();
    ports[0].bell.announce_sleep();
    assert!(ports[2].bell.ringer().ring(zero), "a ringer rings the same bells");
    ports[0].bell.announce_sleep();
    ports[0].bell.awake();
    assert!(!ports[1].bell.ring(zero), "the second look found something");
}

#[test]
fn a_shard_that_stops_or_is_dropped_is_closed() {
    let mut ports = build::<u8>(3, 1);
    let last = ports.pop().unwrap();
    assert!(!ports[0].ends.is_closed(ShardId(1)) && !ports[0].ends.others_closed());
    ports[1].ends.close();
    assert!(ports[0].ends.is_closed(ShardId(1)) && !ports[0].ends.others_closed());
    drop(last);
    assert!(ports[0].ends.others_closed());
}

#[test]
fn a_published_sequence_starts_at_nothing_and_shows_the_newest() {
    let durable = Published::new();
    assert_eq!(durable.load(), 0);
    durable.store(3);
    durable.store(9);
    assert_eq!(durable.load(), 9);
}
