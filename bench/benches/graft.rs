//! A tree publish becomes rows.

mod room;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::row::batch::Batch;
use engine::row::graft::{Bounds, graft};
use engine::row::json;
use room::Room;
use std::hint::black_box;

const BOUNDS: Bounds = Bounds { rows: 65_536, levels: 200 };

/// The example of the readme, and a floor of so many rooms with four values each.
fn trees() -> Vec<(&'static str, String)> {
    let room = |index: usize| {
        format!(r#""room{index}":{{"is_on":1,"brightness":55.5,"color":"FFAA00","name":"say \"h\u00e4\""}}"#)
    };
    let floor = |rooms: usize| format!("{{{}}}", (0..rooms).map(room).collect::<Vec<_>>().join(","));
    vec![
        ("3 rows", r##"{"is_on":1,"brightness":55,"color":"#FFFFFF"}"##.into()),
        ("400 rows", floor(100)),
        ("40000 rows", floor(10_000)),
    ]
}

fn rows(criterion: &mut Criterion) {
    let mut room = Room::new(criterion, "graft");
    for (name, tree) in trees() {
        let mut batch = Batch::default();
        room.measure(name, Throughput::Bytes(tree.len() as u64), || {
            batch.clear();
            let grafted = graft(black_box("light/upstairs"), black_box(tree.as_bytes()), &BOUNDS, &mut batch);
            grafted.expect("the tree is good")
        });
    }
}

fn validate(criterion: &mut Criterion) {
    let mut room = Room::new(criterion, "json/validate");
    for (name, tree) in trees() {
        room.measure(name, Throughput::Bytes(tree.len() as u64), || {
            json::validate(black_box(tree.as_bytes())).expect("the tree is good")
        });
    }
}

criterion_group!(benches, rows, validate);
criterion_main!(benches);
