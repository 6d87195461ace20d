//! Many flows at once while the process is killed at any moment, with `durability = "disk"`: everything acknowledged
//! arrives, QoS 2 once, each flow in its order. The clients do what the specification asks of them, and remember across
//! processes what it asks them to remember.

use super::*;
use std::collections::BTreeSet;

/// A publisher of numbered messages on a topic of its own.
struct Flow {
    number: usize,
    qos: QoS,
    version: Version,
    client: Option<ClientId>,
    /// The next message to be published.
    next: u32,
    /// Sent and not acknowledged: packet identifier, text, and whether PUBREC came.
    unacked: Vec<(u16, u32, bool)>,
    acknowledged: BTreeSet<u32>,
}

impl Flow {
    fn new(number: usize) -> Flow {
        let qos = if number.is_multiple_of(2) { Q2 } else { Q1 };
        let version = if number.is_multiple_of(3) { V311 } else { V5 };
        let (unacked, acknowledged) = (Vec::new(), BTreeSet::new());
        Flow { number, qos, version, client: None, next: 0, unacked, acknowledged }
    }

    fn topic(&self) -> String {
        format!("flow{}/t", self.number)
    }

    fn publish(&self, world: &mut World, packet_id: u16, text: u32, dup: bool) {
        let (topic, text) = (self.topic(), text.to_string());
        let options = PublishOptions { packet_id, dup, ..message(&topic, &text).qos(self.qos) };
        if let Some(client) = self.client {
            world.publish(client, options);
        }
    }

    /// Connects, and sends again what is not acknowledged, [MQTT-4.4.0-1].
    fn begin(&mut self, world: &mut World) {
        let client_id = format!("p{}", self.number);
        let client = world.connect(ConnectOptions::lasting(self.version, &client_id).silent());
        self.client = Some(client);
        for (packet_id, text, is_released) in self.unacked.clone() {
            if is_released {
                world.ack(client, AckKind::Pubrel, packet_id);
            } else {
                self.publish(world, packet_id, text, true);
            }
        }
    }

    fn publish_next(&mut self, world: &mut World) {
        if self.client.is_none() || self.unacked.len() >= 4 {
            return;
        }
        let is_free = |id: &u16| self.unacked.iter().all(|(other, ..)| other != id);
        let packet_id = (1..10).find(is_free).unwrap();
        self.unacked.push((packet_id, self.next, false));
        self.publish(world, packet_id, self.next, false);
        self.next += 1;
    }

    fn read(&mut self, world: &mut World) {
        let Some(client) = self.client else { return };
        for packet in world.received(client) {
            self.take(world, client, &packet);
        }
    }

    fn take(&mut self, world: &mut World, client: ClientId, packet: &OwnedPacket) {
        let OwnedPacket::Ack { kind, packet_id, reason, .. } = packet else { return };
        // A PUBREL that is sent again may find its publish released.
        assert!(!reason.is_error() || *kind == AckKind::Pubcomp, "refused: {packet:?}");
        let Some(at) = self.unacked.iter().position(|(id, ..)| id == packet_id) else { return };
        match kind {
            AckKind::Puback | AckKind::Pubcomp => {
                let (_, text, _) = self.unacked.remove(at);
                self.acknowledged.insert(text);
            }
            AckKind::Pubrec => {
                self.unacked[at].2 = true;
                self.acknowledged.insert(self.unacked[at].1);
                world.ack(client, AckKind::Pubrel, *packet_id);
            }
            AckKind::Pubrel => {}
        }
    }

    /// What readers were given of this flow, in order, is all of it; of QoS 2 nothing twice; in the order published where
    /// there is one reader.
    fn judge(&self, given: &[u32], is_ordered: bool) {
        let Flow { number, qos, acknowledged, .. } = self;
        let mut firsts = Vec::new();
        for text in given {
            if !firsts.contains(text) {
                firsts.push(*text);
            }
        }
        let lost: Vec<_> = acknowledged.iter().filter(|text| !firsts.contains(text)).collect();
        assert!(lost.is_empty(), "flow {number} at {qos:?} lost {lost:?} of {given:?}");
        assert!(!is_ordered || firsts.is_sorted(), "flow {number} at {qos:?} is out of order: {given:?}");
        if *qos == Q2 {
            assert_eq!(firsts.len(), given.len(), "flow {number} got something twice: {given:?}");
        }
    }
}

/// A subscriber that remembers across connections which QoS 2 publishes it has received.
struct Reader {
    client_id: String,
    filter: String,
    version: Version,
    client: Option<ClientId>,
    is_subscribed: bool,
    received: BTreeSet<u16>,
    /// Topic and text, in order.
    given: Vec<(String, u32)>,
}

impl Reader {
    fn new(client_id: String, filter: String, version: Version) -> Reader {
        let (received, given) = (BTreeSet::new(), Vec::new());
        Reader { client_id, filter, version, client: None, is_subscribed: false, received, given }
    }

    fn begin(&mut self, world: &mut World) {
        let client = world.connect(ConnectOptions::lasting(self.version, &self.client_id).silent());
        self.client = Some(client);
        if !self.is_subscribed {
            world.subscribe(client, &self.filter, Q2);
        }
    }

    /// Reads what has arrived. `answers`: it acknowledges.
    fn read(&mut self, world: &mut World, answers: bool) {
        let Some(client) = self.client else { return };
        for packet in world.received(client) {
            match packet {
                OwnedPacket::Suback { .. } => self.is_subscribed = true,
                OwnedPacket::Connack { session_present, .. } => {
                    assert!(session_present || !self.is_subscribed, "the session of {} is lost", self.client_id);
                    self.received.retain(|_| session_present);
                }
                OwnedPacket::Ack { kind: AckKind::Pubrel, packet_id, .. } => {
                    self.received.remove(&packet_id);
                    world.ack(client, AckKind::Pubcomp, packet_id);
                }
                OwnedPacket::Publish(message) => self.take(world, client, &message, answers),
                _ => {}
            }
        }
    }

    fn take(&mut self, world: &mut World, client: ClientId, message: &Message, answers: bool) {
        let given = (message.topic.clone(), message.text().parse().unwrap());
        if message.qos == Q1 {
            self.given.push(given);
            if answers {
                world.ack(client, AckKind::Puback, message.packet_id);
            }
            return;
        }
        if self.received.insert(message.packet_id) {
            self.given.push(given);
        }
        if answers {
            world.ack(client, AckKind::Pubrec, message.packet_id);
        }
    }
}

fn plan(seed: u64, shards: usize) -> Plan {
    let mut plan = Plan { has_store: true, ..Plan::new(seed, shards) };
    plan.broker.durability = Durability::Disk;
    plan.lane_parcels = if seed.is_multiple_of(2) { 1 } else { 64 };
    plan.piece_bytes_max = if seed.is_multiple_of(3) { 7 } else { 4_096 };
    plan
}

const FLOWS: usize = 8;

/// Returns how many messages were acknowledged.
fn hold(plan: Plan, mut readers: Vec<Reader>) -> usize {
    const KILLS: usize = 6;
    let is_shared = readers[0].filter.starts_with("$share/");
    let mut world = World::new(plan);
    let mut flows: Vec<Flow> = (0..FLOWS).map(Flow::new).collect();
    readers.iter_mut().for_each(|reader| reader.begin(&mut world));
    world.run_until_quiet();
    readers.iter_mut().for_each(|reader| reader.read(&mut world, true));
    for _ in 0..KILLS {
        for _ in 0..60 {
            let (flow, reader) = (world.rng.below(FLOWS), world.rng.below(readers.len()));
            let (flow, reader) = (&mut flows[flow], &mut readers[reader]);
            match world.rng.below(8) {
                0 if flow.client.is_none() => flow.begin(&mut world),
                0 | 1 if reader.client.is_none() => reader.begin(&mut world),
                0 if world.rng.once_in(3) => {
                    let clients = [flow.client.take(), reader.client.take()];
                    clients.into_iter().flatten().for_each(|client| world.drop_client(client));
                }
                1 | 2 => reader.read(&mut world, false),
                3 => reader.read(&mut world, true),
                4 => flow.read(&mut world),
                _ => flow.publish_next(&mut world),
            }
            let turns = world.rng.below(6);
            world.run_turns(turns);
            if world.rng.once_in(4) {
                world.commit();
            }
        }
        let is_clean = world.rng.once_in(4);
        world.restart(is_clean);
        flows.iter_mut().for_each(|flow| flow.client = None);
        readers.iter_mut().for_each(|reader| reader.client = None);
    }
    flows.iter_mut().for_each(|flow| flow.begin(&mut world));
    readers.iter_mut().for_each(|reader| reader.begin(&mut world));
    for _ in 0..40 {
        world.run_until_quiet();
        flows.iter_mut().for_each(|flow| flow.read(&mut world));
        readers.iter_mut().for_each(|reader| reader.read(&mut world, true));
    }
    assert!(flows.iter().all(|flow| flow.unacked.is_empty()), "everything is acknowledged in the end");
    for flow in &flows {
        let topic = flow.topic();
        let given = readers.iter().flat_map(|reader| &reader.given).filter(|(other, _)| *other == topic);
        flow.judge(&given.map(|(_, text)| *text).collect::<Vec<_>>(), !is_shared);
    }
    flows.iter().map(|flow| flow.acknowledged.len()).sum()
}

#[test]
fn nothing_acknowledged_is_lost_and_qos_2_is_once() {
    let mut acknowledged = 0;
    for seed in 0..24 {
        for shards in [1, 2, 4] {
            let version = |number: usize| if number.is_multiple_of(2) { V5 } else { V311 };
            let reader = |number| Reader::new(format!("s{number}"), format!("flow{number}/t"), version(number));
            acknowledged += hold(plan(seed, shards), (0..FLOWS).map(reader).collect());
        }
    }
    assert!(acknowledged > 1_500, "only {acknowledged} messages were acknowledged: the test says nothing");
}

#[test]
fn a_share_group_gets_everything_acknowledged_and_qos_2_once() {
    let mut acknowledged = 0;
    for seed in 0..24 {
        for shards in [1, 2, 4] {
            let reader = |number| Reader::new(format!("m{number}"), "$share/g/+/t".to_owned(), V5);
            acknowledged += hold(plan(seed, shards), (0..5).map(reader).collect());
        }
    }
    assert!(acknowledged > 1_500, "only {acknowledged} messages were acknowledged: the test says nothing");
}
