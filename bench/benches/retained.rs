//! The retained tree: writing, finding, walking, catching up.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use engine::key::GroupId;
use engine::row::change::Kept;
use engine::row::retained::{Catchup, Newer, Retained, Scope, Walk};
use engine::topic::Interner;
use engine::wire::QoS;
use std::hint::black_box;
use std::ops::ControlFlow;

const SEED: u64 = 1;
const SIZES: [usize; 2] = [10_000, 1_000_000];
/// Nodes that a walk looks at in one turn.
const SLICE_NODES: usize = 1_024;

struct Plot {
    interner: Interner,
    retained: Retained,
    topics: Vec<String>,
    position: u64,
    /// Which topic is next, in an order that no cache foresees.
    next: usize,
}

impl Plot {
    fn of(rows: usize) -> Plot {
        let mut plot = Plot::empty(rows);
        (0..rows).for_each(|index| plot.put(index));
        plot
    }

    /// Topics of 14 bytes, a thousand to a branch, and no row yet.
    fn empty(rows: usize) -> Plot {
        let topics = (0..rows).map(|index| format!("t/{:04}/{:03}/tmp", index / 1_000, index % 1_000)).collect();
        Plot { interner: Interner::new(SEED), retained: Retained::new(SEED), topics, position: 0, next: 0 }
    }

    fn put(&mut self, index: usize) {
        self.position += 1;
        let row = Kept {
            topic: &self.topics[index],
            payload: &[7; 32],
            properties: &[],
            qos: QoS::AtMostOnce,
            text: false,
            expires_at_ms: 0,
            version: self.position,
        };
        self.retained.put(&mut self.interner, GroupId(1), row, self.position);
    }

    fn scattered(&mut self) -> usize {
        // A prime step visits every topic: no size here is a multiple of it.
        self.next = (self.next + 15_485_863) % self.topics.len();
        self.next
    }
}

fn put(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retained/put");
    group.sample_size(10);
    for rows in SIZES {
        group.throughput(Throughput::Elements(rows as u64));
        let fill = |mut plot: Plot| {
            (0..rows).for_each(|index| plot.put(index));
            plot
        };
        let id = BenchmarkId::from_parameter(rows);
        group.bench_function(id, |bencher| bencher.iter_batched(|| Plot::empty(rows), fill, BatchSize::PerIteration));
    }
    group.finish();
}

fn overwrite(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retained/overwrite");
    for rows in SIZES {
        let mut plot = Plot::of(rows);
        group.bench_function(BenchmarkId::new("same", rows), |bencher| bencher.iter(|| plot.put(0)));
        group.bench_function(BenchmarkId::new("in order", rows), |bencher| {
            bencher.iter(|| {
                plot.next = (plot.next + 1) % rows;
                plot.put(plot.next);
            });
        });
        group.bench_function(BenchmarkId::new("scattered", rows), |bencher| {
            bencher.iter(|| {
                let index = plot.scattered();
                plot.put(index);
            });
        });
    }
    group.finish();
}

fn get(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retained/get");
    for rows in SIZES {
        let mut plot = Plot::of(rows);
        group.bench_function(BenchmarkId::new("scattered", rows), |bencher| {
            bencher.iter(|| {
                let index = plot.scattered();
                black_box(plot.retained.get(&plot.interner, &plot.topics[index]).map(|row| row.version))
            });
        });
    }
    group.finish();
}

fn walk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retained/walk");
    group.sample_size(10);
    for rows in SIZES {
        let plot = Plot::of(rows);
        for filter in ["#", "t/+/007/tmp"] {
            group.throughput(Throughput::Elements(rows as u64));
            group.bench_function(BenchmarkId::new(filter, rows), |bencher| {
                bencher.iter(|| {
                    let (mut walk, mut bytes) = (Walk::new(), 0);
                    while !plot.retained.walk(&plot.interner, filter, &mut walk, SLICE_NODES, |row| {
                        bytes += row.topic.len() + row.payload.len();
                        ControlFlow::Continue(())
                    }) {}
                    black_box(bytes)
                });
            });
        }
    }
    group.finish();
}

fn newer(criterion: &mut Criterion) {
    const CHANGES: u64 = 1_000;
    let mut group = criterion.benchmark_group("retained/newer");
    group.throughput(Throughput::Elements(CHANGES));
    for rows in SIZES {
        let mut plot = Plot::of(rows);
        for _ in 0..CHANGES {
            let index = plot.scattered();
            plot.put(index);
        }
        let since = plot.position - CHANGES;
        group.bench_function(BenchmarkId::from_parameter(rows), |bencher| {
            bencher.iter(|| {
                let (mut catchup, mut bytes) = (Catchup::new(), 0);
                let scope = Scope { filter: "t/#", group: None };
                while !plot.retained.newer(&plot.interner, scope, since, &mut catchup, SLICE_NODES, |newer| {
                    bytes += match newer {
                        Newer::Row(row) => row.payload.len(),
                        Newer::Deleted { topic, .. } => topic.len(),
                    };
                    ControlFlow::Continue(())
                }) {}
                black_box(bytes)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, put, overwrite, get, walk, newer);
criterion_main!(benches);
