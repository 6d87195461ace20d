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
