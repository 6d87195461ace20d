//! Runs seeds of random clients against the oracle until one fails: `vopr [--from S] [--seeds N] [--seed S]`.

use fuzz::swarm::Looked;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some((from, seeds)) = range(std::env::args().skip(1)) else {
        eprintln!("usage: vopr [--from S] [--seeds N] [--seed S]");
        return ExitCode::from(2);
    };
    let mut looked = Looked::default();
    for seed in from..from.saturating_add(seeds) {
        let Ok(more) = std::panic::catch_unwind(|| fuzz::swarm::run(seed)) else {
            println!("seed {seed} fails; again: cargo run -p fuzz --bin vopr -- --seed {seed}");
            return ExitCode::FAILURE;
        };
        looked += more;
    }
    println!("{seeds} seeds from {from}: no fault in {looked:?}");
    ExitCode::SUCCESS
}

/// The first seed and how many.
fn range(mut arguments: impl Iterator<Item = String>) -> Option<(u64, u64)> {
    let (mut from, mut seeds) = (0, 1_000);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?.parse().ok()?;
        match name.as_str() {
            "--from" => from = value,
            "--seeds" => seeds = value,
            "--seed" => (from, seeds) = (value, 1),
            _ => return None,
        }
    }
    Some((from, seeds))
}
