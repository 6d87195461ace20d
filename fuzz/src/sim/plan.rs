//! What a run is made of, drawn from its seed: limits down to 1, and people of every kind.

use super::oracle::Oracle;
use super::person::{Kind, Person};
use super::{Group, Looked, Sim};
use crate::rng::Rng;
use crate::world::{Plan, World};
use engine::config::{Config, Durability, Overflow};
use engine::wire::Version;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds after which a session of a client that is away ends, and a will with a delay is due.
pub const SHORT_S: u32 = 5;

/// `store.pending_bytes` that no round fills.
pub const STORE_IS_WIDE_BYTES: usize = 1 << 20;

const SHARED: [&str; 4] = ["a/#", "b/+", "#", "c/1"];

pub fn begin(seed: u64) -> Sim {
    let mut rng = Rng::new(seed ^ 0x0073_696d);
    let plan = plan(seed, &mut rng);
    let world = World::new(plan);
    let mut people: Vec<Person> = (0..3 + rng.below(5)).map(|index| draw(index, &mut rng, None)).collect();
    let mut groups = Vec::new();
    for index in 0..rng.below(3) {
        let members = (0..2 + rng.below(2)).map(|_| {
            people.push(draw(people.len(), &mut rng, Some(index)));
            people.len() - 1
        });
        let members = members.collect();
        groups.push(Group {
            share: format!("g{index}"),
            filter: rng.pick::<&str>(&SHARED),
            members,
            owed: BTreeMap::new(),
        });
    }
    Sim {
        world,
        rng,
        people,
        groups,
        oracle: Oracle::default(),
        looked: Looked::default(),
        round: 0,
        dropped: 0,
        drops_open: 0,
        rude: Vec::new(),
        deletions: BTreeSet::new(),
        has_crashed: false,
        is_ending: false,
        faults: Rng::new(seed ^ 0x6661_756c),
        has_failed: false,
        is_told: false,
    }
}

fn plan(seed: u64, rng: &mut Rng) -> Plan {
    let mut plan = Plan::new(seed, *rng.pick(&[2, 3, 4]));
    plan.lane_parcels = *rng.pick(&[1, 1, 2, 64]);
    plan.piece_bytes_max = *rng.pick(&[7, 40, 1_000, 65_536]);
    plan.store_pending_bytes = *rng.pick(&[1, 2_000, STORE_IS_WIDE_BYTES]);
    plan.has_store = rng.once_in(2);
    let broker = &mut plan.broker;
    broker.durability = *rng.pick(&[Durability::Memory, Durability::Disk]);
    if !plan.has_store {
        broker.durability = Durability::Memory;
    }
    broker.session.inflight_max = *rng.pick(&[1, 2, 256]);
    broker.session.receive_max = *rng.pick(&[1, 3, 1_024]);
    broker.session.queue_messages = *rng.pick(&[1, 3, 10_000, 10_000]);
    broker.session.overflow = *rng.pick(&[Overflow::DropNewest, Overflow::DropOldest]);
    broker.session.topic_alias_max = *rng.pick(&[0, 1, 16]);
    broker.limits.frames_unacked = *rng.pick(&[1, 2]);
    broker.limits.events_waiting = *rng.pick(&[0, 1, 10_000]);
    broker.tombstones.max = *rng.pick(&[1, 8, 1_000_000]);
    broker.limits.rows_per_turn = *rng.pick(&[1, 2, 1_024]);
    broker.limits.work_per_turn = *rng.pick(&[1, 8, 32_768]);
    bounds(seed, broker);
    plan
}

/// Rates and numbers that most runs do not bound, from numbers of their own.
fn bounds(seed: u64, broker: &mut Config) {
    let mut rng = Rng::new(seed ^ 0x0062_6f75);
    if rng.once_in(8) {
        broker.limits.publish_rate = *rng.pick(&[20, 200, 1_000]);
    }
    if rng.once_in(8) {
        broker.limits.bytes_rate = *rng.pick(&[1_000, 20_000]);
    }
    if rng.once_in(16) {
        broker.limits.sessions = 2 + rng.below(8) as u64;
    }
}

fn draw(index: usize, rng: &mut Rng, group: Option<usize>) -> Person {
    let version = *rng.pick(&[Version::V311, Version::V5, Version::V5]);
    // Members of a share group leave nothing behind.
    let kind = match rng.below(4) {
        _ if group.is_some() => Kind::Fleeting,
        0 => Kind::Fleeting,
        1 if version.is_v5() => Kind::Short,
        _ => Kind::Lasting,
    };
    let receive_max = *rng.pick(&[None, Some(1), Some(2), Some(20)]);
    let alias_max = *rng.pick(&[0, 1, 3]);
    Person::new(format!("p{index}"), version, kind, receive_max, alias_max, group)
}
