//! The targets of libFuzzer without libFuzzer: the committed corpus, and bytes that nobody chose.

use fuzz::rng::Rng;
use fuzz::targets::TARGETS;
use std::path::Path;

/// Random inputs of each target that walks through bytes alone, and of each that runs a broker.
const SEEDS: u64 = 3_000;
const SEEDS_OF_BROKERS: u64 = 300;

#[test]
fn the_corpus_of_each_target_runs_through_it() {
    for (name, run) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort_unstable();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            eprintln!("{}", file.display());
            run(&std::fs::read(&file).unwrap());
        }
    }
}

#[test]
fn random_bytes_run_through_every_target() {
    for (name, run) in TARGETS {
        let seeds = if matches!(*name, "session" | "world") { SEEDS_OF_BROKERS } else { SEEDS };
        for seed in 0..seeds {
            let mut rng = Rng::new(seed);
            let bytes: Vec<u8> = (0..rng.below(600)).map(|_| rng.draw() as u8).collect();
            let ran = std::panic::catch_unwind(|| run(&bytes));
            assert!(ran.is_ok(), "{name}, seed {seed}");
        }
    }
}
