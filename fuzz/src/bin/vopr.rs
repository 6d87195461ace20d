//! Runs seeds until one fails: random clients of every kind against the oracle (`fuzz::sim`) or, with `--trees`, random
//! histories against the model of the Mote protocol. A seed that fails replays exactly.
//!
//! ```text
//! vopr                             for ever, from seed 0
//! vopr --seeds N [--from S]        so many; exit 0 when all pass
//! vopr --seed S                    one, told
//! vopr --trees ...                 the same with trees
//! vopr --threads N                 how many at once; as many as there are cores if it is not said
//! ```

use fuzz::marks::Mark;
use fuzz::{model, sim};
use std::cell::Cell;
use std::ops::AddAssign;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// With fewer seeds a path that was not taken is said, and no fault.
const SEEDS_FOR_ALL_MARKS: u64 = 1_000;
/// Seeds between two lines that say how far it is.
const SEEDS_PER_LINE: u64 = 1_000;

struct Arguments {
    has_trees: bool,
    from: u64,
    /// None: for ever.
    seeds: Option<u64>,
    threads: usize,
}

fn main() -> ExitCode {
    let Some(arguments) = read(std::env::args().skip(1)) else {
        eprintln!("usage: vopr [--trees] [--from S] [--seeds N] [--seed S] [--threads N]");
        return ExitCode::from(2);
    };
    let is_alone = arguments.seeds == Some(1);
    if arguments.has_trees {
        let (seeds, looked) = run_all(&arguments, |seed| model::history::run(seed, is_alone));
        println!("{seeds} seeds from {}: no fault in {looked:?}", arguments.from);
        return ExitCode::SUCCESS;
    }
    let (seeds, looked) = run_all(&arguments, |seed| sim::run(seed, is_alone));
    say(&arguments, seeds, &looked)
}

fn say(arguments: &Arguments, seeds: u64, looked: &sim::Looked) -> ExitCode {
    let sim::Looked { operations, deliveries, due, crashes, marks } = looked;
    println!("{seeds} seeds from {}: no fault", arguments.from);
    println!("{operations} operations, {deliveries} deliveries judged, {due} of them were due, {crashes} crashes");
    for mark in Mark::ALL {
        println!("{:>12} {}", marks.of(*mark), mark.name());
    }
    let missing = marks.missing();
    if missing.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("never taken: {missing:?}");
    if seeds < SEEDS_FOR_ALL_MARKS { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

thread_local! {
    /// The seed that this thread runs.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// Runs seeds on several threads, each as it comes. The process ends at the first that fails.
fn run_all<Looked>(arguments: &Arguments, run: impl Fn(u64) -> Looked + Sync) -> (u64, Looked)
where
    Looked: Default + AddAssign + Send,
{
    let what = if arguments.has_trees { "--trees " } else { "" };
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        let seed = SEED.get();
        println!("seed {seed} fails; again: cargo run --release -p fuzz --bin vopr -- {what}--seed {seed}");
        std::process::exit(1);
    }));
    let end = arguments.seeds.map_or(u64::MAX, |seeds| arguments.from.saturating_add(seeds));
    let next = AtomicU64::new(arguments.from);
    let all = Mutex::new((0, Looked::default()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    SEED.set(seed);
                    let looked = run(seed);
                    let mut all = all.lock().expect("who panics ends the process");
                    all.1 += looked;
                    all.0 += 1;
                    if all.0 % SEEDS_PER_LINE == 0 {
                        eprintln!("{} seeds in {} s", all.0, began.elapsed().as_secs());
                    }
                }
            });
        }
    });
    all.into_inner().expect("who panics ends the process")
}

fn read(mut words: impl Iterator<Item = String>) -> Option<Arguments> {
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let mut arguments = Arguments { has_trees: false, from: 0, seeds: None, threads };
    while let Some(name) = words.next() {
        if name == "--trees" {
            arguments.has_trees = true;
            continue;
        }
        let value: u64 = words.next()?.parse().ok()?;
        match name.as_str() {
            "--from" => arguments.from = value,
            "--seeds" => arguments.seeds = Some(value),
            "--seed" => (arguments.from, arguments.seeds) = (value, Some(1)),
            "--threads" => arguments.threads = usize::try_from(value).ok()?.max(1),
            _ => return None,
        }
    }
    Some(arguments)
}
