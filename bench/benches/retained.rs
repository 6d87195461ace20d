//! The retained tree: writing, finding, walking, catching up.

mod room;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::key::GroupId;
use engine::row::change::Kept;
use engine::row::retained::{Catchup, Newer, Retained, Scope, Walk};
use engine::topic::Interner;
use engine::wire::QoS;
use room::Room;
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
    let mut room = Room::new(criterion, "retained/put").slow();
    for rows in SIZES {
        // With the making of an empty tree and the freeing of a full one.
        room.measure(&rows.to_string(), Throughput::Elements(rows as u64), || Plot::of(rows));
    }
}

fn overwrite(criterion: &mut Criterion) {
    let mut room = Room::new(criterion, "retained/overwrite");
    for rows in SIZES {
        let mut plot = Plot::of(rows);
        room.measure(&format!("same/{rows}"), Throughput::Elements(1), || plot.put(0));
        room.measure(&format!("in order/{rows}"), Throughput::Elements(1), || {
            plot.next = (plot.next + 1) % rows;
            plot.put(plot.next);
        });
        room.measure(&format!("scattered/{rows}"), Throughput::Elements(1), || {
            let index = plot.scattered();
            plot.put(index);
        });
    }
}

fn get(criterion: &mut Criterion) {
    let mut room = Room::new(criterion, "retained/get");
    for rows in SIZES {
        let mut plot = Plot::of(rows);
        room.measure(&format!("scattered/{rows}"), Throughput::Elements(1), || {
            let index = plot.scattered();
            black_box(plot.retained.get(&plot.interner, &plot.topics[index]).map(|row| row.version))
        });
    }
}

fn walk(criterion: &mut Criterion) {
    let mut room = Room::new(criterion, "retained/walk").slow();
    for rows in SIZES {
        let plot = Plot::of(rows);
        for filter in ["#", "t/+/007/tmp"] {
            room.measure(&format!("{filter}/{rows}"), Throughput::Elements(rows as u64), || {
                let (mut walk, mut bytes) = (Walk::new(), 0);
                while !plot.retained.walk(&plot.interner, filter, &mut walk, SLICE_NODES, |row| {
                    bytes += row.topic.len() + row.payload.len();
                    ControlFlow::Continue(())
                }) {}
                black_box(bytes)
            });
        }
    }
}

fn newer(criterion: &mut Criterion) {
    const CHANGES: u64 = 1_000;
    let mut room = Room::new(criterion, "retained/newer");
    for rows in SIZES {
        let mut plot = Plot::of(rows);
        for _ in 0..CHANGES {
            let index = plot.scattered();
            plot.put(index);
        }
        let since = plot.position - CHANGES;
        room.measure(&rows.to_string(), Throughput::Elements(CHANGES), || {
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
    }
}

criterion_group!(benches, put, overwrite, get, walk, newer);
criterion_main!(benches);
