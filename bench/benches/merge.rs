//! Rows become the body of a frame.

mod room;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::dialect::Form;
use engine::row::merge::Merge;
use room::Room;
use std::hint::black_box;

const PAYLOADS: [&[u8]; 4] = [b"1", b"55.5", b"\"FFAA00\"", b"plain words"];

/// Topics under `light/upstairs`, four to a room, in the order of their paths.
fn topics(rows: usize) -> Vec<String> {
    const VALUES: [&str; 4] = ["brightness", "color", "is_on", "name"];
    (0..rows).map(|index| format!("light/upstairs/room{:05}/{}", index / 4, VALUES[index % 4])).collect()
}

fn frame(merge: &mut Merge, filter: &str, topics: &[String], body: &mut Vec<u8>) {
    merge.begin(filter, Form::default());
    for (index, topic) in topics.iter().enumerate() {
        merge.row(topic, PAYLOADS[index % PAYLOADS.len()], false, false);
    }
    body.clear();
    merge.finish(body);
}

fn frames(criterion: &mut Criterion) {
    let mut room = Room::new(criterion, "merge");
    for rows in [1, 4, 1_000, 40_000] {
        let in_order = topics(rows);
        // As a batch that another pattern made: every row far from the one before.
        let scattered = (0..rows).map(|index| in_order[index * 7_919 % rows].clone()).collect::<Vec<_>>();
        for (name, topics) in [("in order", &in_order), ("scattered", &scattered)] {
            for filter in ["light/upstairs/+/+", "light/#"] {
                let (mut merge, mut body) = (Merge::new(), Vec::new());
                room.measure(&format!("{filter} {name}/{rows}"), Throughput::Elements(rows as u64), || {
                    frame(&mut merge, black_box(filter), black_box(topics), &mut body);
                });
            }
        }
    }
}

criterion_group!(benches, frames);
criterion_main!(benches);
