//! What the benches of all rooms share: a group of criterion, and beside each time what one iteration allocates.

use alloc_tracker::{Allocator, Session};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};

#[global_allocator]
static ALLOCATOR: Allocator<std::alloc::System> = Allocator::system();

/// Iterations whose allocations are counted, after as many that are not.
const COUNTED: u32 = 4;

pub struct Room<'a> {
    name: &'static str,
    group: BenchmarkGroup<'a, WallTime>,
}

impl<'a> Room<'a> {
    pub fn new(criterion: &'a mut Criterion, name: &'static str) -> Room<'a> {
        Room { name, group: criterion.benchmark_group(name) }
    }

    /// An iteration takes so long that criterion is content with few.
    #[allow(dead_code)] // each bench is a crate of its own, and some are quick
    pub fn slow(mut self) -> Room<'a> {
        self.group.sample_size(10);
        self
    }

    /// `act` is one iteration, of so many rows, messages or bytes.
    pub fn measure<T>(&mut self, name: &str, of: Throughput, mut act: impl FnMut() -> T) {
        let (room, mut is_counted) = (self.name, false);
        self.group.throughput(of);
        self.group.bench_function(name, |bencher| {
            if !std::mem::replace(&mut is_counted, true) {
                println!("{room}/{name}: {} allocations an iteration", allocations(&mut act));
            }
            bencher.iter(&mut act);
        });
    }
}

fn allocations<T>(act: &mut impl FnMut() -> T) -> f64 {
    (0..COUNTED).for_each(|_| drop(act()));
    let session = Session::new();
    let operation = session.operation("iterations");
    let span = operation.measure_thread();
    (0..COUNTED).for_each(|_| drop(act()));
    drop(span);
    let report = session.to_report();
    let count: u64 = report.operations().map(|(_, operation)| operation.total_allocations_count()).sum();
    count as f64 / f64::from(COUNTED)
}
