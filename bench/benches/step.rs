//! Whole publishes through `Shard::step`, from the bytes of a packet to the bytes of its deliveries; between two shards
//! by their links. With the clients of a stage, which cost a little too.

mod room;

use bench::stage::{Plan, Scene, Shape};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::wire::{QoS, Version};
use room::Room;

/// Rounds before anything is measured: caches and buffers have found their size.
const WARM_ROUNDS: usize = 200;

fn play(room: &mut Room<'_>, name: &str, plan: Plan) {
    let mut scene = Scene::new(plan);
    let in_a_round = scene.play(1).max(scene.published_in_a_round());
    scene.play(WARM_ROUNDS);
    room.measure(name, Throughput::Elements(in_a_round), || scene.round());
}

fn step(criterion: &mut Criterion) {
    let mut room = Room::new(criterion, "step");
    let qos1 = |shape| Plan::new(shape).qos(QoS::AtLeastOnce);
    play(&mut room, "pairs", Plan::new(Shape::Pairs));
    play(&mut room, "pairs, MQTT 5", Plan { version: Version::V5, ..Plan::new(Shape::Pairs) });
    play(&mut room, "pairs, 1 KiB", Plan { payload_bytes: 1_024, ..Plan::new(Shape::Pairs) });
    play(&mut room, "pairs, QoS 1", qos1(Shape::Pairs));
    play(&mut room, "pairs, QoS 2", Plan::new(Shape::Pairs).qos(QoS::ExactlyOnce));
    play(&mut room, "fan-in", Plan::new(Shape::FanIn));
    play(&mut room, "fan-out to 50", Plan::new(Shape::FanOut));
    play(&mut room, "fan-out to 50, QoS 1", qos1(Shape::FanOut));
    play(&mut room, "wildcard to 50", Plan::new(Shape::Wildcard));
    play(&mut room, "frames", Plan::new(Shape::Merged));
    play(&mut room, "retained", Plan::new(Shape::Retained));
    play(&mut room, "retained, QoS 1", qos1(Shape::Retained));
}

fn mesh(criterion: &mut Criterion) {
    let mut room = Room::new(criterion, "mesh");
    for (name, shape) in [("pairs", Shape::Pairs), ("fan-in", Shape::FanIn), ("fan-out to 50", Shape::FanOut)] {
        for burst in [1, 20] {
            let plan = Plan { shards: 2, burst, ..Plan::new(shape) };
            play(&mut room, &format!("{name}, {burst} at once"), plan);
        }
    }
}

criterion_group!(benches, step, mesh);
criterion_main!(benches);
