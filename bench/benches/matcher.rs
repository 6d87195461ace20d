//! A topic finds its filters.

mod room;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::key::{FilterHandle, ShardId};
use engine::topic::{Interner, Kind, Subscriptions};
use room::Room;
use std::hint::black_box;

const SEED: u64 = 1;
const TOPICS: usize = 4_096;

/// Filters of which each topic below matches four, however many there are.
fn subscriptions(filters: usize) -> (Interner, Subscriptions) {
    let (mut interner, mut subscriptions) = (Interner::new(SEED), Subscriptions::new(SEED));
    let rooms = filters.saturating_sub(3);
    let exact = (0..rooms).map(|room| format!("building/{}/room/{}/temperature", room / 100, room % 100));
    let wild = ["building/#", "building/+/room/+/temperature", "+/+/+/+/temperature"].map(String::from);
    for (index, filter) in wild.into_iter().chain(exact).enumerate() {
        subscriptions.add(&filter, Kind::Plain, ShardId(0), FilterHandle(index as u32), &mut interner);
    }
    (interner, subscriptions)
}

fn topics(filters: usize) -> Vec<String> {
    let room = |index: usize| index * 7_919 % filters.saturating_sub(3).max(1);
    (0..TOPICS).map(room).map(|room| format!("building/{}/room/{}/temperature", room / 100, room % 100)).collect()
}

fn matching(criterion: &mut Criterion) {
    let mut room = Room::new(criterion, "matcher");
    for filters in [4, 1_000, 1_000_000] {
        let (interner, mut subscriptions) = subscriptions(filters);
        let (topics, mut out, mut next) = (topics(filters), Vec::new(), 0);
        room.measure(&format!("the same topic/{filters}"), Throughput::Elements(1), || {
            out.clear();
            subscriptions.matching(black_box(&topics[0]), &interner, &mut out);
            black_box(out.len())
        });
        room.measure(&format!("4096 topics in turn/{filters}"), Throughput::Elements(1), || {
            next = (next + 1) % TOPICS;
            out.clear();
            subscriptions.matching(black_box(&topics[next]), &interner, &mut out);
            black_box(out.len())
        });
        room.measure(&format!("a batch of 4096/{filters}"), Throughput::Elements(TOPICS as u64), || {
            let mut matches = 0;
            let topics = topics.iter().map(String::as_str);
            subscriptions.matching_batch(topics, &interner, |_, found| matches += found.len());
            black_box(matches)
        });
    }
}

criterion_group!(benches, matching);
criterion_main!(benches);
