//! Twenty clients at several homes read one number, add one and put it back on the condition that nobody else did
//! meanwhile (PROTOCOL section 5, conditional publish).

use super::*;
use std::collections::BTreeSet;

const CLIENTS: usize = 20;

/// One of them.
struct Adder {
    client: ClientId,
    reply_topic: String,
    /// What it last read.
    value: u64,
    version: u64,
    /// It published and was not answered.
    is_waiting: bool,
    /// The conflict was acknowledged, and what there is instead is still to come.
    is_reading: bool,
}

/// What all of them saw.
#[derive(Default)]
struct Seen {
    versions: BTreeSet<u64>,
    conflicts: usize,
}

impl Adder {
    fn new(world: &mut World, number: usize) -> Adder {
        let reply_topic = format!("read/{number}");
        let client = subscriber(world, V5, &format!("adder {number}"), &reply_topic, Q1);
        Adder { client, reply_topic, value: 0, version: 0, is_waiting: false, is_reading: false }
    }

    fn add(&mut self, world: &mut World) {
        let topic = format!("$put;if={}/count", self.version);
        let payload = (self.value + 1).to_string();
        let properties = vec![Property::ResponseTopic(&self.reply_topic)];
        world.publish(self.client, PublishOptions { properties, ..message(&topic, &payload).qos(Q1).retained() });
        self.is_waiting = true;
    }

    fn take(&mut self, world: &mut World, seen: &mut Seen) {
        for packet in world.received(self.client) {
            match packet {
                OwnedPacket::Ack { kind: AckKind::Puback, properties, .. } => {
                    self.is_waiting = false;
                    match properties.mote().and_then(|mote| mote.split_once(";ver=")) {
                        Some(("ok", version)) => {
                            (self.value, self.version) = (self.value + 1, version.parse().unwrap());
                            assert!(seen.versions.insert(self.version), "version {version} comes twice");
                        }
                        Some(("conflict", _)) => {
                            seen.conflicts += 1;
                            self.is_reading = !self.is_reading; // the answer may have come before
                        }
                        other => panic!("{other:?}"),
                    }
                }
                OwnedPacket::Publish(answer) => {
                    let body = String::from_utf8(answer.payload).unwrap();
                    let field = |name: &str| {
                        let (_, rest) = body.split_once(&format!("\"{name}\":")).unwrap();
                        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
                        rest[..digits].parse().unwrap()
                    };
                    (self.value, self.version) = (field("value"), field("version"));
                    self.is_reading = !self.is_reading;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn nobody_loses_what_another_added() {
    // [MOTE-5.17] [MOTE-5.21..23]
    const SUCCESSES: usize = 2_000;
    let mut world = World::new(Plan::new(1, 4));
    let homes: BTreeSet<u16> = (0..CLIENTS).map(|number| world.roots.home(&format!("adder {number}")).0).collect();
    assert!(homes.len() >= 3, "{homes:?}");
    let mut adders: Vec<Adder> = (0..CLIENTS).map(|number| Adder::new(&mut world, number)).collect();
    let mut seen = Seen::default();
    while seen.versions.len() < SUCCESSES {
        for adder in &mut adders {
            if !adder.is_waiting && !adder.is_reading && !world.rng.once_in(3) {
                adder.add(&mut world);
            }
        }
        world.run_turns(8);
        world.commit();
        adders.iter_mut().for_each(|adder| adder.take(&mut world, &mut seen));
    }
    world.run_until_quiet();
    adders.iter_mut().for_each(|adder| adder.take(&mut world, &mut seen));
    let count = String::from_utf8_lossy(&world.twin.rows()["count"]).into_owned();
    assert_eq!(count, seen.versions.len().to_string());
    assert!(seen.conflicts >= SUCCESSES / 100, "{} conflicts", seen.conflicts);
    println!("{count} added, {} conflicts", seen.conflicts);
}
