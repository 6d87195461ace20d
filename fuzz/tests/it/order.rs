//! Order: of one publisher's messages, of acknowledgements, of what follows a SUBSCRIBE, whatever moves meanwhile.

use super::*;
use fuzz::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};

const ALL_QOS: [QoS; 3] = [Q0, Q1, Q2];

fn acks_of(packets: &[OwnedPacket], wanted: AckKind) -> Vec<u16> {
    acks(packets).into_iter().filter(|(kind, _)| *kind == wanted).map(|(_, packet_id)| packet_id).collect()
}

#[test]
fn connect_subscribe_and_publish_in_one_segment_wherever_it_is_accepted() {
    // PROTOCOL section 7; [MQTT-4.6.0-5], [3.1.1: MQTT-4.6.0-6]. The accepting shard is drawn; with pieces of 65 536
    // bytes all of it travels to the home in the handover, else parts of it.
    both_versions(|world, version| {
        for number in 0..6 {
            for qos in ALL_QOS {
                let name = format!("eager {number} {qos:?}");
                let client = world.connect(ConnectOptions::new(version, &name));
                let topics = [format!("own{number}/{qos:?}"), format!("own{number}/+")];
                world.subscribe(client, &topics[usize::from(number % 2 == 0)], Q2);
                for text in ["1", "2", "3", "4"] {
                    world.publish(client, message(&topics[0], text).qos(qos));
                }
                world.run_until_quiet();
                let packets = world.received(client);
                let got: Vec<String> = packets.iter().filter_map(OwnedPacket::message).map(Message::text).collect();
                assert_eq!(got, ["1", "2", "3", "4"], "{name}");
                let suback = |packet: &OwnedPacket| matches!(packet, OwnedPacket::Suback { .. });
                assert!(packets.iter().any(suback), "{name}: {packets:?}");
            }
        }
    });
}

#[test]
fn who_subscribes_to_everything_and_then_publishes_anywhere_sees_it() {
    // A filter at every owner: the messages may not overtake it on the way to any of them.
    both_versions(|world, version| {
        let client = client(world, version, "all");
        for qos in ALL_QOS {
            world.subscribe(client, "#", Q2);
            TOPICS.iter().for_each(|topic| {
                world.publish(client, message(topic, "x").qos(qos));
            });
            world.run_until_quiet();
            let mut got = world.lines(client);
            got.sort();
            assert_eq!(got, TOPICS.map(|topic| format!("{topic} x")), "{qos:?}");
            world.unsubscribe(client, "#");
            world.run_until_quiet();
        }
    });
}

#[test]
fn suback_and_unsuback_leave_in_the_order_of_what_they_answer() {
    // Owners answer for a SUBSCRIBE, nobody for an UNSUBSCRIBE.
    both_versions(|world, version| {
        let client = client(world, version, "c");
        let asked: Vec<u16> = ["#", "a/1", "+/1"]
            .into_iter()
            .flat_map(|filter| [world.subscribe(client, filter, Q0), world.unsubscribe(client, filter)])
            .collect();
        world.run_until_quiet();
        let answered = world.received(client).into_iter().map(|packet| match packet {
            OwnedPacket::Suback { packet_id, .. } | OwnedPacket::Unsuback { packet_id, .. } => packet_id,
            other => panic!("{other:?}"),
        });
        assert_eq!(answered.collect::<Vec<_>>(), asked);
    });
}

#[test]
fn acknowledgements_leave_in_the_order_of_what_they_acknowledge() {
    // [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4]; [3.1.1: MQTT-4.6.0-2] [3.1.1: MQTT-4.6.0-3] [3.1.1: MQTT-4.6.0-4].
    // Topics of several owners, some of which wait for the disk.
    let to_disk = |plan: &mut Plan| plan.broker.durability = engine::config::Durability::Disk;
    worlds_with(to_disk, |world| {
        for version in [V311, V5] {
            let client = client(world, version, "p");
            let (mut ones, mut twos) = (Vec::new(), Vec::new());
            for round in 0..4 {
                for (index, topic) in TOPICS.iter().enumerate() {
                    let qos = [Q1, Q2][(round + index) % 2];
                    let mut publish = message(topic, "x").qos(qos);
                    publish.retain = index % 3 == 0;
                    let packet_id = world.publish(client, publish);
                    if qos == Q1 { ones.push(packet_id) } else { twos.push(packet_id) }
                }
            }
            world.run_until_quiet();
            let packets = world.received(client);
            assert_eq!(acks_of(&packets, AckKind::Puback), ones);
            assert_eq!(acks_of(&packets, AckKind::Pubrec), twos);
            assert_eq!(acks_of(&packets, AckKind::Pubcomp), twos);
            world.drop_client(client);
            world.run_until_quiet();
        }
    });
}

#[test]
fn a_publish_that_is_repeated_is_acknowledged_in_its_turn() {
    // [MQTT-4.6.0-3]: the PUBREC that was lost is sent again behind those of publishes that came before the repetition
    let to_disk = |plan: &mut Plan| plan.broker.durability = engine::config::Durability::Disk;
    worlds_with(to_disk, |world| {
        for version in [V311, V5] {
            let client = world.connected(ConnectOptions::new(version, "p").silent());
            let publish = |packet_id, dup| PublishOptions { packet_id, dup, ..message("t", "x").qos(Q2).retained() };
            world.publish(client, publish(1, false));
            world.run_until_quiet();
            assert_eq!(acks_of(&world.received(client), AckKind::Pubrec), [1]);
            world.stall_store();
            world.publish(client, publish(2, false));
            world.publish(client, publish(1, true));
            world.run_turns(40);
            assert_eq!(acks(&world.received(client)), []);
            world.resume_store();
            world.run_until_quiet();
            assert_eq!(acks_of(&world.received(client), AckKind::Pubrec), [2, 1]);
            world.drop_client(client);
            world.run_until_quiet();
        }
    });
}

#[test]
fn what_is_retained_follows_the_suback_of_the_subscription_that_it_is_for() {
    // [MOTE-2.41]
    // Also where the filter is subscribed to again before the first SUBACK has left: that one starts nothing.
    for seed in 0..12 {
        for filter in ["+/1", "#", "$sync/+/1", "$sync/#"] {
            let world = &mut World::new(Plan::new(seed, 4));
            let publisher = client(world, V5, "p");
            TOPICS.iter().for_each(|topic| {
                world.publish(publisher, message(topic, "kept").retained());
            });
            world.run_until_quiet();
            let reader = client(world, V5, "reader");
            let mut ids = std::collections::HashMap::new();
            for id in 1..5 {
                let options = SubscriptionOptions { qos: Q1, ..Default::default() };
                let properties = [Property::SubscriptionIdentifier(id)];
                ids.insert(world.subscribe_with(reader, &[(filter, options)], &properties), id);
                let turns = world.rng.below(8);
                world.run_turns(turns);
            }
            world.run_until_quiet();
            let (mut acknowledged, mut last) = (0, 0);
            for packet in world.received(reader) {
                match packet {
                    OwnedPacket::Suback { packet_id, .. } => acknowledged = ids[&packet_id],
                    OwnedPacket::Publish(message) => {
                        last = message.properties.read().subscription_identifier().unwrap();
                        assert!(last <= acknowledged, "{filter}: what is for {last} comes before its SUBACK");
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!((acknowledged, last), (4, 4), "{filter}");
        }
    }
}

// At random.

/// One publisher through all its connections: what it said and was not answered.
struct Publisher {
    name: String,
    conn: Option<ClientId>,
    /// Packet identifier, topic, text, QoS, and whether PUBREC came; in the order of publishing.
    open: Vec<Open>,
    next_id: u16,
}

struct Open {
    packet_id: u16,
    topic: &'static str,
    text: String,
    qos: QoS,
    is_received: bool,
}

/// One reader through all its connections: what it got.
#[derive(Default)]
struct Reader {
    conn: Option<ClientId>,
    unreleased: BTreeSet<u16>,
    /// By publisher, topic and QoS: numbers in the order of arrival.
    got: BTreeMap<(String, String, u8), Vec<u32>>,
}

const NAMES: [&str; 3] = ["p0", "p1", "p2"];

impl Publisher {
    /// Says again what was not answered, [MQTT-4.4.0-1], and goes on.
    fn connect(&mut self, world: &mut World, version: Version) {
        let conn = world.connect(ConnectOptions::lasting(version, &self.name).silent());
        self.conn = Some(conn);
        for open in &self.open {
            if open.is_received {
                world.ack(conn, AckKind::Pubrel, open.packet_id);
            } else {
                let packet_id = open.packet_id;
                world.publish(
                    conn,
                    PublishOptions { packet_id, dup: true, ..message(open.topic, &open.text).qos(open.qos) },
                );
            }
        }
        until_accepted(world, conn);
    }

    fn publish(&mut self, world: &mut World, topic: &'static str, number: u32, qos: QoS) {
        let Some(conn) = self.conn else { return };
        let text = format!("{} {number}", self.name);
        self.next_id = self.next_id % 60_000 + 1;
        let packet_id = self.next_id;
        world.publish(conn, PublishOptions { packet_id, ..message(topic, &text).qos(qos) });
        if qos > Q0 {
            self.open.push(Open { packet_id, topic, text, qos, is_received: false });
        }
    }

    /// Reads the answers of the present connection.
    fn read(&mut self, world: &mut World) {
        let Some(conn) = self.conn else { return };
        for (kind, packet_id) in acks(&world.received(conn)) {
            let at = self.open.iter().position(|open| open.packet_id == packet_id);
            match kind {
                AckKind::Pubrec => {
                    self.open[at.expect("a PUBREC has a PUBLISH")].is_received = true;
                    world.ack(conn, AckKind::Pubrel, packet_id);
                }
                _ => drop(self.open.remove(at.expect("an answer has a PUBLISH"))),
            }
        }
    }
}

impl Reader {
    /// Reads as a receiver does: a QoS 2 message whose identifier is not released came before.
    fn read(&mut self, world: &mut World) {
        if let Some(conn) = self.conn {
            for packet in world.received(conn) {
                match packet {
                    OwnedPacket::Publish(message) => {
                        if message.qos == Q2 && !self.unreleased.insert(message.packet_id) {
                            assert!(message.dup);
                            continue;
                        }
                        let text = message.text();
                        let (publisher, number) = text.split_once(' ').unwrap();
                        let key = (publisher.to_owned(), message.topic.clone(), message.qos as u8);
                        self.got.entry(key).or_default().push(number.parse().unwrap());
                    }
                    OwnedPacket::Ack { kind: AckKind::Pubrel, packet_id, .. } => {
                        self.unreleased.remove(&packet_id);
                    }
                    _ => {}
                }
            }
        }
    }

    fn connect(&mut self, world: &mut World, version: Version) {
        self.read(world);
        // Who takes its own session over reads its old connection no more.
        self.conn.inspect(|conn| world.stop_reading(*conn));
        let conn = world.connect(ConnectOptions::lasting(version, "reader"));
        self.conn = Some(conn);
        until_accepted(world, conn);
    }
}

/// Nobody opens a second connection before the first is accepted: the broker might see them the other way round.
fn until_accepted(world: &mut World, conn: ClientId) {
    while world.peek(conn).is_empty() {
        assert!(!world.is_closed(conn));
        world.run_turns(3);
    }
}

/// Numbers of one publisher, topic and QoS: none missing, none twice with QoS 2, and each first in its turn.
fn check(got: &[u32], sent: &[u32], qos: QoS, what: &str) {
    let mut firsts: Vec<u32> = Vec::new();
    for number in got {
        if firsts.contains(number) {
            assert_eq!(qos, Q1, "{what}: {number} twice in {got:?}");
        } else {
            firsts.push(*number);
        }
    }
    if qos == Q0 {
        assert!(firsts.is_sorted(), "{what}: {got:?}");
    } else {
        assert_eq!(firsts, sent, "{what}: {got:?}");
    }
}

/// Publishers and one reader with lasting sessions; all of them lose their connections, take themselves over, stop
/// reading, at any moment. What each publisher said on a topic arrives in its order.
fn roam(seed: u64, shards: usize, lane_parcels: usize, piece_bytes_max: usize, version: Version) {
    const STEPS: usize = 160;
    let mut rng = Rng::new(seed);
    let world = &mut World::new(Plan { lane_parcels, piece_bytes_max, ..Plan::new(seed, shards) });
    let mut reader = Reader::default();
    reader.connect(world, version);
    let conn = reader.conn.unwrap();
    for filter in ["+/1", "a/#"] {
        world.subscribe(conn, filter, Q2);
    }
    world.run_until_quiet();
    let mut publishers = NAMES.map(|name| Publisher { name: name.into(), conn: None, open: Vec::new(), next_id: 0 });
    publishers.iter_mut().for_each(|publisher| publisher.connect(world, version));
    let mut sent: BTreeMap<(String, String, u8), Vec<u32>> = BTreeMap::new();
    let mut number = 0;
    for _ in 0..STEPS {
        let publisher = &mut publishers[rng.below(NAMES.len())];
        publisher.read(world);
        match rng.below(20) {
            0 => {
                publisher.conn.take().inspect(|conn| world.drop_client(*conn));
                publisher.connect(world, version);
            }
            1 => publisher.connect(world, version),
            2 => {
                reader.read(world);
                reader.conn.inspect(|conn| world.drop_client(*conn));
            }
            3 | 4 => reader.connect(world, version),
            5 => reader.conn.into_iter().for_each(|conn| world.stop_reading(conn)),
            6 => reader.conn.into_iter().for_each(|conn| world.read_again(conn)),
            _ => {
                for _ in 0..1 + rng.below(6) {
                    let (topic, qos) = (*rng.pick(&TOPICS), *rng.pick(&ALL_QOS));
                    number += 1;
                    sent.entry((publisher.name.clone(), topic.to_owned(), qos as u8)).or_default().push(number);
                    publisher.publish(world, topic, number, qos);
                }
            }
        }
        world.run_turns(rng.below(12 * shards));
        reader.read(world);
    }
    for publisher in &mut publishers {
        publisher.read(world);
        publisher.connect(world, version);
    }
    reader.connect(world, version);
    // PUBLISH, PUBREC, PUBREL, PUBCOMP: three rounds end every exchange.
    for _ in 0..3 {
        world.run_until_quiet();
        publishers.iter_mut().for_each(|publisher| publisher.read(world));
    }
    assert!(publishers.iter().all(|publisher| publisher.open.is_empty()), "everything is acknowledged");
    reader.read(world);
    for ((publisher, topic, qos), sent) in &sent {
        let key = (publisher.clone(), topic.clone(), *qos);
        let got = reader.got.get(&key).map(Vec::as_slice).unwrap_or_default();
        check(got, sent, QoS::from_bits(*qos).unwrap(), &format!("{publisher} on {topic} with QoS {qos}"));
    }
}

#[test]
fn what_a_publisher_says_on_a_topic_keeps_its_order_whoever_comes_and_goes() {
    // [MOTE-7.9]
    // [MQTT-4.6.0-1] [MQTT-4.6.0-5] [MQTT-4.3.3-8]; [3.1.1: MQTT-4.6.0-1] [3.1.1: MQTT-4.6.0-5] [3.1.1: MQTT-4.6.0-6]
    let mut seed = 0;
    for version in [V311, V5] {
        for shards in [1, 2, 4] {
            for lane_parcels in [1, 64] {
                for piece_bytes_max in [65_536, 40, 5] {
                    seed += 1;
                    roam(seed, shards, lane_parcels, piece_bytes_max, version);
                }
            }
        }
    }
}
