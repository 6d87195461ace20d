//! What a message costs in allocations when everything has warmed up: for QoS 0 nothing, whatever its way.
//!
//! Growth of memory that is used again counts too, so a buffer that creeps is found. To see who allocates, build
//! `alloc_tracker` with `panic_on_next_alloc`, call that in `allocations` and read the backtrace.
#![allow(clippy::unwrap_used)]

use alloc_tracker::{Allocator, Session};
use bench::stage::{Plan, Scene, Shape};
use engine::wire::{QoS, Version};

#[global_allocator]
static ALLOCATOR: Allocator<std::alloc::System> = Allocator::system();

/// Messages published and delivered before anything is counted: the cache of what topics match grows late.
const WARM_PUBLISHED: u64 = 6_000;
const WARM_MESSAGES: u64 = 60_000;
/// Messages that are counted, at least.
const MESSAGES: u64 = 20_000;

/// How often this thread allocated, or had memory grow, while `act` ran.
fn allocations<T>(act: impl FnOnce() -> T) -> (u64, T) {
    let session = Session::new();
    let operation = session.operation("act");
    let span = operation.measure_thread();
    let outcome = act();
    drop(span);
    let report = session.to_report();
    let count = report.operations().map(|(_, operation)| operation.total_allocations_count()).sum();
    (count, outcome)
}

/// What so many messages cost after the broker has warmed up.
#[derive(Clone, Copy)]
struct Cost {
    allocations: u64,
    published: u64,
    delivered: u64,
}

impl Cost {
    fn of(plan: Plan) -> Cost {
        let mut scene = Scene::new(plan);
        let published = scene.published_in_a_round();
        let in_a_round = scene.play(1).max(published);
        let warm_rounds = WARM_MESSAGES.div_ceil(in_a_round).max(WARM_PUBLISHED.div_ceil(published));
        scene.play(warm_rounds as usize);
        let rounds = MESSAGES.div_ceil(in_a_round);
        let (allocations, delivered) = allocations(|| scene.play(rounds as usize));
        let cost = Cost { allocations, published: rounds * published, delivered };
        let Cost { published, .. } = cost;
        println!("{plan:?}: {allocations} allocations, {delivered} delivered of {published} published");
        cost
    }

    /// At most so many for each message published.
    fn at_most(self, each: f64) {
        let bound = self.published as f64 * each;
        assert!(self.allocations as f64 <= bound, "{} allocations, at most {bound}", self.allocations);
    }
}

fn versions() -> [Version; 2] {
    [Version::V311, Version::V5]
}

#[test]
fn the_counter_counts() {
    let (count, mut list) = allocations(|| vec![1_u8; 4]);
    assert_eq!(count, 1);
    assert_eq!(allocations(|| list.reserve(1_000)).0, 1, "growing counts");
}

#[test]
fn a_message_of_qos_0_allocates_nothing() {
    for version in versions() {
        for shape in [Shape::Pairs, Shape::FanOut, Shape::FanIn, Shape::Wildcard] {
            for burst in [1, 20] {
                let cost = Cost::of(Plan { version, burst, ..Plan::new(shape) });
                assert!(cost.delivered >= MESSAGES);
                assert_eq!(cost.allocations, 0, "{shape:?}, {version:?}, {burst} at once");
            }
        }
    }
}

#[test]
fn a_message_that_is_acknowledged_is_one_allocation_however_many_it_goes_to() {
    for version in versions() {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for shape in [Shape::Pairs, Shape::FanOut, Shape::FanIn, Shape::Wildcard] {
                Cost::of(Plan { version, ..Plan::new(shape).qos(qos) }).at_most(1.001);
            }
        }
    }
}

#[test]
fn a_retained_row_that_is_written_again_allocates_nothing() {
    for version in versions() {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            let cost = Cost::of(Plan { version, ..Plan::new(Shape::Retained).qos(qos) });
            assert_eq!(cost.allocations, 0, "{version:?}, {qos:?}");
        }
    }
}

#[test]
fn a_frame_is_a_few_allocations() {
    for version in versions() {
        Cost::of(Plan { version, ..Plan::new(Shape::Merged) }).at_most(3.0);
        Cost::of(Plan { version, ..Plan::new(Shape::Merged).qos(QoS::AtLeastOnce) }).at_most(9.0);
    }
}

/// Between shards the memory of parcels is allocated, a parcel of one turn and lane at a time.
#[test]
fn messages_that_go_to_another_shard_allocate_by_the_parcel() {
    let plan = |shape, version| Plan { version, shards: 2, burst: 20, ..Plan::new(shape) };
    for version in versions() {
        for shape in [Shape::Pairs, Shape::FanOut, Shape::FanIn, Shape::Wildcard] {
            Cost::of(plan(shape, version)).at_most(0.5);
        }
    }
}
