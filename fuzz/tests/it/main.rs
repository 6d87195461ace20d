//! Conversations with the whole broker, one per statement of the specifications, each in many worlds.
#![allow(clippy::unwrap_used)] // a test that unwraps says what it expected

mod alias;
mod answers;
mod asked;
mod changes;
mod classic;
mod conditional;
mod connect;
mod corpus;
mod counter;
mod endings;
mod errors;
mod faults;
mod filters;
mod flow;
mod forms;
mod frames;
mod get;
mod greetings;
mod idempotent;
mod inflight;
mod lasting;
mod law;
mod merged;
mod model;
mod numbering;
mod order;
mod publish;
mod rates;
mod readers;
mod refusals;
mod retain_bounds;
mod retained;
mod rows;
mod run;
mod seeds;
mod session;
mod set;
mod share;
mod shortage;
mod since;
mod slices;
mod snapshots;
mod subscribe;

mod sys;
mod tree;
mod turns;
mod walks;
mod will;

pub(crate) use engine::wire::QoS::{AtLeastOnce as Q1, AtMostOnce as Q0, ExactlyOnce as Q2};
pub(crate) use engine::wire::Version::{self, V5, V31, V311};
pub(crate) use engine::wire::{AckKind, Property, QoS, ReasonCode, SubscriptionOptions};
pub(crate) use fuzz::{ClientId, ConnectOptions, Message, OwnedPacket, Plan, PublishOptions, WillOptions, World};

/// Topics whose first levels lie in different groups, and with several shards at several owners.
pub(crate) const TOPICS: [&str; 6] = ["a/1", "b/1", "c/1", "d/1", "e/1", "f/1"];

/// Holds one conversation in worlds of 1, 2 and 4 shards, with lanes of one parcel and of many, with bytes in one
/// piece and in crumbs.
pub(crate) fn worlds(conversation: impl Fn(&mut World)) {
    worlds_with(|_| {}, conversation);
}

/// The same with other settings.
pub(crate) fn worlds_with(set: impl Fn(&mut Plan), conversation: impl Fn(&mut World)) {
    let mut seed = 0;
    for shards in [1, 2, 4] {
        for lane_parcels in [1, 64] {
            for piece_bytes_max in [65_536, 48, 3] {
                seed += 1;
                let mut plan = Plan { lane_parcels, piece_bytes_max, ..Plan::new(seed, shards) };
                set(&mut plan);
                conversation(&mut World::new(plan));
            }
        }
    }
}

/// The conversation in MQTT 3.1.1 and in 5.0.
pub(crate) fn both_versions(conversation: impl Fn(&mut World, Version)) {
    for version in [V311, V5] {
        worlds(|world| conversation(world, version));
    }
}

/// A connected client with a clean session whose CONNACK is read.
pub(crate) fn client(world: &mut World, version: Version, client_id: &str) -> ClientId {
    let client = world.connected(ConnectOptions::new(version, client_id));
    assert_eq!(connack(&world.received(client)), (false, 0), "{client_id} is accepted");
    client
}

/// Session Present and code of the CONNACK, which is the first packet.
pub(crate) fn connack(packets: &[OwnedPacket]) -> (bool, u8) {
    match packets.first() {
        Some(OwnedPacket::Connack { session_present, code, .. }) => (*session_present, *code),
        other => panic!("no CONNACK first: {other:?}"),
    }
}

/// A clean client with one subscription that is acknowledged.
pub(crate) fn subscriber(world: &mut World, version: Version, client_id: &str, filter: &str, qos: QoS) -> ClientId {
    let client = client(world, version, client_id);
    world.subscribe(client, filter, qos);
    world.run_until_quiet();
    assert!(matches!(world.received(client).first(), Some(OwnedPacket::Suback { .. })), "{filter} is acknowledged");
    client
}

/// Lets turns pass until somebody has something to read, and no longer.
pub(crate) fn run_until_heard(world: &mut World, reader: ClientId) {
    const TURNS_MAX: usize = 20_000;
    let is_heard = (0..TURNS_MAX).any(|_| {
        world.run_turns(1);
        !world.peek(reader).is_empty()
    });
    assert!(is_heard, "nothing in {TURNS_MAX} turns");
}

/// Publishes and lets it arrive.
pub(crate) fn publish(world: &mut World, client: ClientId, publish: PublishOptions<'_>) {
    world.publish(client, publish);
    world.run_until_quiet();
}

pub(crate) fn message<'a>(topic: &'a str, payload: &'a str) -> PublishOptions<'a> {
    PublishOptions::new(topic, payload.as_bytes())
}

/// Kinds and packet identifiers of the acknowledgements, in their order.
pub(crate) fn acks(packets: &[OwnedPacket]) -> Vec<(AckKind, u16)> {
    let ack = |packet: &OwnedPacket| match packet {
        OwnedPacket::Ack { kind, packet_id, .. } => Some((*kind, *packet_id)),
        _ => None,
    };
    packets.iter().filter_map(ack).collect()
}

/// Reason of the last DISCONNECT.
pub(crate) fn disconnect_reason(packets: &[OwnedPacket]) -> Option<ReasonCode> {
    packets.iter().rev().find_map(|packet| match packet {
        OwnedPacket::Disconnect { reason } => Some(*reason),
        _ => None,
    })
}
