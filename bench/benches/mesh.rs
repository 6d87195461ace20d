//! The links between shards by themselves: a lane and a bell. What is done for what they carry is in the bench `step`.

mod room;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::key::ShardId;
use engine::mesh::build;
use engine::shard::parcel::Up;
use room::Room;
use std::hint::black_box;

const LANE_PARCELS: usize = 64;

fn lane(criterion: &mut Criterion) {
    let mut room = Room::new(criterion, "lane");
    let ports = build::<Up>(2, LANE_PARCELS);
    let [from, to] = [ShardId(0), ShardId(1)];
    room.measure("a parcel", Throughput::Elements(1), || {
        ports[0].up.push(to, Up::default()).expect("the lane is empty");
        black_box(ports[1].up.pop(from)).is_some()
    });
    room.measure("64 parcels", Throughput::Elements(LANE_PARCELS as u64), || {
        (0..LANE_PARCELS).for_each(|_| ports[0].up.push(to, Up::default()).expect("the lane has room"));
        (0..LANE_PARCELS).filter(|_| ports[1].up.pop(from).is_some()).count()
    });
    room.measure("nothing", Throughput::Elements(1), || black_box(ports[1].up.pop(from)).is_some());
    room.measure("room", Throughput::Elements(1), || black_box(ports[0].up.free(to)));
    room.measure("a bell of who is awake", Throughput::Elements(1), || black_box(ports[0].bell.ring(to)));
}

criterion_group!(benches, lane);
criterion_main!(benches);
