//! The simulator's world, its choices on a tape instead of a seed: honest clients on two or three shards subscribe,
//! publish, leave and come back. A plain subscriber gets what was published, exactly and in the order of each topic;
//! one that folds frames from the beginning, one that asks in the end, and the store have the same retained rows.

use super::tape::Tape;
use crate::client::{ConnectOptions, PublishOptions};
use crate::packet::Message;
use crate::world::{ClientId, Plan, World};
use engine::row::fold::State;
use engine::wire::{QoS, ReasonCode, Version};
use std::collections::BTreeMap;

const OPERATIONS_MAX: usize = 150;
const WRITERS: usize = 3;
const LEVELS: [&str; 4] = ["a", "b", "c", "d"];
const FILTERS: [&str; 12] = [
    "#",
    "a/#",
    "+/w0/+",
    "$sync/b/#",
    "$tree/+/w1/#",
    "$share/g/#",
    "$rows/a/#",
    "$sync/#",
    "b/+/1",
    "$share/g/a/#",
    "$sync;interval=20/#",
    "$get/a/#",
];
const VERSIONS: [Version; 3] = [Version::V5, Version::V311, Version::V31];
const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// What was published to each topic, in its order, and what is retained.
#[derive(Default)]
struct Naive {
    sent: BTreeMap<String, Vec<String>>,
    retained: BTreeMap<String, String>,
    count: usize,
}

impl Naive {
    /// The next payload: unique, or empty.
    fn draw(&mut self, tape: &mut Tape<'_>) -> String {
        self.count += 1;
        if tape.below(5) == 0 { String::new() } else { (1_000 + self.count).to_string() }
    }

    fn publish(&mut self, topic: String, payload: String, retain: bool) {
        match (retain, payload.is_empty()) {
            (true, true) => drop(self.retained.remove(&topic)),
            (true, false) => drop(self.retained.insert(topic.clone(), payload.clone())),
            (false, _) => {}
        }
        self.sent.entry(topic).or_default().push(payload);
    }
}

pub fn run(input: &[u8]) {
    let mut tape = Tape::new(input);
    let mut plan = Plan::new(tape.byte().into(), 2 + tape.below(2));
    plan.lane_parcels = tape.pick(&[1, 2, 64]);
    plan.piece_bytes_max = tape.pick(&[3, 40, 4_096]);
    plan.broker.limits.frame_bytes = tape.pick(&[256, 1 << 20]);
    plan.broker.limits.frames_unacked = tape.pick(&[1, 2]);
    let mut world = World::new(plan);
    let plain = world.connected(ConnectOptions::new(tape.pick(&VERSIONS), "plain"));
    let merged = world.connected(ConnectOptions::new(Version::V5, "merged"));
    world.subscribe(plain, "#", QoS::ExactlyOnce);
    world.subscribe(merged, "$sync/#", QoS::AtLeastOnce);
    world.run_until_quiet();
    world.received(plain);
    let writers: Vec<ClientId> = (0..WRITERS)
        .map(|writer| world.connected(ConnectOptions::new(tape.pick(&VERSIONS), &format!("writer {writer}"))))
        .collect();
    let mut others = Others::default();
    let mut naive = Naive::default();
    for _ in 0..OPERATIONS_MAX {
        if tape.is_over() {
            break;
        }
        match tape.below(10) {
            0..=2 => publish(&mut tape, &mut world, &writers, &mut naive),
            3 => publish_tree(&mut tape, &mut world, &writers, &mut naive),
            4..=6 => disturb(&mut tape, &mut world, &mut others),
            7 => world.twin.is_stalled = tape.flag(),
            8 => world.run_turns(tape.below(16)),
            _ => {
                world.resume_store();
                world.advance_ms(tape.below(200) as u64);
            }
        }
    }
    world.resume_store();
    world.advance_ms(1_000);
    check(&mut world, plain, merged, &naive);
    let mut everybody = vec![plain, merged];
    everybody.extend(writers.into_iter().chain(others.all));
    everybody.into_iter().for_each(|client| world.disconnect(client, ReasonCode::Success));
    world.run_until_quiet();
    // Wills and sessions of who was cut off are gone by then.
    world.advance_ms(100_000);
    assert_eq!(world.census(), (0, 0), "connections and sessions of nobody");
    assert_eq!(world.waiting()[..2], [0, 0], "messages for nobody");
}

/// Topics have one writer each, so that everybody agrees on their order.
fn publish(tape: &mut Tape<'_>, world: &mut World, writers: &[ClientId], naive: &mut Naive) {
    let writer = tape.below(writers.len());
    let topic = format!("{}/w{writer}/{}", tape.pick(&LEVELS), tape.below(3));
    let (payload, retain, qos) = (naive.draw(tape), tape.flag(), tape.pick(&QOS));
    let options = PublishOptions { retain, ..PublishOptions::new(&topic, payload.as_bytes()) };
    world.publish(writers[writer], options.qos(qos));
    naive.publish(topic, payload, retain);
}

fn publish_tree(tape: &mut Tape<'_>, world: &mut World, writers: &[ClientId], naive: &mut Naive) {
    let writer = tape.below(writers.len());
    let level = tape.pick(&LEVELS);
    let (chosen, qos) = (tape.byte(), tape.pick(&QOS));
    let mut fields = Vec::new();
    for key in (0..4).filter(|key| chosen >> key & 1 == 1) {
        let payload = naive.draw(tape);
        fields.push(format!("\"{key}\":{}", if payload.is_empty() { "null" } else { &payload }));
        naive.publish(format!("{level}/w{writer}/{key}"), payload, true);
    }
    let (topic, payload) = (format!("$tree/{level}/w{writer}"), format!("{{{}}}", fields.join(",")));
    world.publish(writers[writer], PublishOptions::new(&topic, payload.as_bytes()).qos(qos).retained());
}

/// Two clients that come back before they went.
#[derive(Default)]
struct Others {
    now: [Option<ClientId>; 2],
    /// Of two connections under way the earlier may be the one that takes the session over.
    all: Vec<ClientId>,
}

impl Others {
    fn connect(&mut self, world: &mut World, other: usize, options: ConnectOptions<'_>) {
        let client = world.connect(options);
        self.now[other] = Some(client);
        self.all.push(client);
    }
}

/// Clients that nothing is asked of but that they disturb nobody.
fn disturb(tape: &mut Tape<'_>, world: &mut World, others: &mut Others) {
    let other = tape.below(2);
    let name = ["other 0", "other 1"][other];
    let Some(client) = others.now[other] else {
        let options = ConnectOptions { acknowledges: tape.flag(), ..ConnectOptions::new(tape.pick(&VERSIONS), name) };
        others.connect(world, other, options);
        return;
    };
    match tape.below(8) {
        0 => {
            world.drop_client(client);
            others.now[other] = None;
        }
        1 => others.connect(world, other, ConnectOptions::new(Version::V5, name)),
        2 => world.stop_reading(client),
        3 => world.read_again(client),
        4 => drop(world.unsubscribe(client, tape.pick(&FILTERS))),
        _ => drop(world.subscribe(client, tape.pick(&FILTERS), tape.pick(&QOS))),
    }
}

fn check(world: &mut World, plain: ClientId, merged: ClientId, naive: &Naive) {
    let mut got: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in world.messages(plain) {
        got.entry(message.topic.clone()).or_default().push(message.text());
    }
    assert_eq!(got, naive.sent, "what a plain subscriber got");
    let asking = world.connected(ConnectOptions::new(Version::V5, "asking"));
    world.subscribe(asking, "$sync/#", QoS::AtLeastOnce);
    world.run_until_quiet();
    let retained: Vec<(&str, &[u8])> = naive.retained.iter().map(|(topic, it)| (&topic[..], it.as_bytes())).collect();
    for (client, name) in [(merged, "merged"), (asking, "asking")] {
        let state = fold(&world.messages(client));
        assert_eq!(state.rows().collect::<Vec<_>>(), retained, "what {name} folds");
    }
    world.disconnect(asking, ReasonCode::Success);
    let stored = world.twin.rows();
    let stored: Vec<(&str, &[u8])> = stored.iter().map(|(topic, it)| (&topic[..], &it[..])).collect();
    assert_eq!(stored, retained, "what is stored");
}

fn fold(frames: &[Message]) -> State {
    let mut state = State::new("#");
    for frame in frames {
        let mote = frame.properties.mote().expect("a frame says its kind");
        let words: Vec<&str> = mote.split(';').collect();
        if words.contains(&"reset") {
            state = State::new("#");
        }
        if words.get(1) != Some(&"event") {
            state.fold(&frame.payload).unwrap_or_else(|fault| panic!("{fault:?} in {}", frame.line()));
        }
    }
    state
}
