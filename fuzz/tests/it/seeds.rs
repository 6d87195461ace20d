//! Some seeds of the simulator on every run; `vopr` runs more.

use fuzz::marks::Mark;
use fuzz::sim::{Looked, OPERATIONS, run};

const SEEDS: u64 = 6;

#[test]
fn random_clients_get_what_the_oracle_owes() {
    let mut looked = Looked::default();
    for seed in 0..SEEDS {
        println!("seed {seed}");
        looked += run(seed, false);
    }
    println!("{looked:?}");
    assert!(looked.operations >= SEEDS * OPERATIONS);
    assert!(looked.deliveries > 20_000 && looked.due > 5_000, "it looked at little: {looked:?}");
    for mark in [Mark::Takeover, Mark::Resumed, Mark::Replay, Mark::WillSent, Mark::MergedCompared] {
        assert!(looked.marks.of(mark) > 0, "{mark:?}");
    }
}

#[test]
fn a_seed_replays_exactly() {
    assert_eq!(run(3, false), run(3, false));
}

/// A tree with QoS 2 reaches a home in several parcels, and each turn writes what it brought: the broker was killed between
/// two commits, of which the first had the delivery and the second that the publish had been received. The publisher sent it
/// again, and who had it got it twice. Now a home is told before the first of it comes, and all of it is one commit.
#[test]
fn a_kill_between_a_delivery_and_the_end_of_its_publish_brings_nothing_twice() {
    for seed in [561, 654, 5701, 7373] {
        run(seed, false);
    }
}
