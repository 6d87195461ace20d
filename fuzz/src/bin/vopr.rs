//! Runs seeds of random clients until one fails, `vopr [--trees] [--from S] [--seeds N] [--seed S]`: against the oracle,
//! or, with `--trees`, random histories against the model of the Mote protocol; one alone is told.

use fuzz::{model, swarm};
use std::fmt::Debug;
use std::ops::AddAssign;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let has_trees = arguments.next_if(|argument| argument == "--trees").is_some();
    let Some((from, seeds)) = range(arguments) else {
        eprintln!("usage: vopr [--trees] [--from S] [--seeds N] [--seed S]");
        return ExitCode::from(2);
    };
    match has_trees {
        true => run_all("--trees ", from, seeds, |seed| model::history::run(seed, seeds == 1)),
        false => run_all("", from, seeds, swarm::run),
    }
}

fn run_all<Looked>(
    what: &str,
    from: u64,
    seeds: u64,
    run: impl Fn(u64) -> Looked + std::panic::RefUnwindSafe,
) -> ExitCode
where
    Looked: Default + AddAssign + Debug,
{
    let mut looked = Looked::default();
    for seed in from..from.saturating_add(seeds) {
        let Ok(more) = std::panic::catch_unwind(|| run(seed)) else {
            println!("seed {seed} fails; again: cargo run -p fuzz --bin vopr -- {what}--seed {seed}");
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
