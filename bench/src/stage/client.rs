//! A client of a stage: it writes packets that were made before, counts what it receives and acknowledges it.

use engine::key::ConnId;
use engine::wire::{
    Connect, FilterBuffer, Packet, Properties, Publish, QoS, Subscribe, SubscriptionOptions, Version, encode, peek,
};

/// A PUBLISH that is written again and again, each time with the next Packet Identifier.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: Vec<u8>,
    /// Where its Packet Identifier stands, where it has one.
    id_at: Option<usize>,
}

impl Message {
    pub fn new(version: Version, topic: &str, payload: &[u8], qos: QoS, retain: bool) -> Message {
        let packet_id = u16::from(qos > QoS::AtMostOnce);
        let properties = Properties::default();
        let publish = Publish { dup: false, qos, retain, topic, packet_id, properties, payload };
        let mut bytes = Vec::new();
        encode(version, &Packet::Publish(publish), &mut bytes);
        let id_at = (qos > QoS::AtMostOnce).then(|| id_at(&bytes));
        Message { bytes, id_at }
    }
}

/// Where the Packet Identifier of a PUBLISH with QoS above 0 stands.
fn id_at(publish: &[u8]) -> usize {
    let header_len = header_len(publish);
    header_len + 2 + usize::from(u16_at(publish, header_len))
}

fn header_len(packet: &[u8]) -> usize {
    1 + packet[1..].iter().position(|byte| byte & 0x80 == 0).expect("a whole packet") + 1
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// See the module.
pub struct Client {
    /// Its shard and connection.
    pub(super) place: Option<(usize, ConnId)>,
    pub(super) to_broker: Vec<u8>,
    last_packet_id: u16,
    /// PUBLISH packets that it received, and the bytes of all packets.
    pub publishes: u64,
    pub bytes: u64,
    /// PUBACK and PUBCOMP that it received.
    pub acknowledged: u64,
}

impl Client {
    /// With its CONNECT under way.
    pub(super) fn new(version: Version, client_id: &str) -> Client {
        let connect = Connect {
            version,
            clean_start: true,
            keep_alive: 0,
            properties: Properties::default(),
            client_id,
            will: None,
            user_name: None,
            password: None,
        };
        let (place, to_broker, last_packet_id) = (None, Vec::new(), 0);
        let mut client = Client { place, to_broker, last_packet_id, publishes: 0, bytes: 0, acknowledged: 0 };
        client.say(version, &Packet::Connect(connect));
        client
    }

    pub(super) fn say(&mut self, version: Version, packet: &Packet<'_>) {
        encode(version, packet, &mut self.to_broker);
    }

    pub(super) fn subscribe(&mut self, version: Version, filter: &str, qos: QoS) {
        let mut filters = FilterBuffer::new();
        filters.push(filter, SubscriptionOptions { qos, ..SubscriptionOptions::default() });
        let packet_id = self.next_packet_id();
        let subscribe = Subscribe { packet_id, properties: Properties::default(), filters: filters.as_filters() };
        self.say(version, &Packet::Subscribe(subscribe));
    }

    pub(super) fn publish(&mut self, message: &Message) {
        let start = self.to_broker.len();
        self.to_broker.extend_from_slice(&message.bytes);
        if let Some(id_at) = message.id_at {
            let packet_id = self.next_packet_id().to_be_bytes();
            self.to_broker[start + id_at..][..2].copy_from_slice(&packet_id);
        }
    }

    fn next_packet_id(&mut self) -> u16 {
        self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
        self.last_packet_id
    }

    /// Whole packets: every send arrives in one piece.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let header = peek(rest).expect("the broker sends packets").expect("whole ones");
            let (packet, after) = rest.split_at(header.total_len);
            self.receive_packet(packet, header.header_len);
            rest = after;
        }
    }

    fn receive_packet(&mut self, packet: &[u8], header_len: usize) {
        const PUBLISH: u8 = 3;
        const PUBACK: u8 = 4;
        const PUBREC: u8 = 5;
        const PUBREL: u8 = 6;
        const PUBCOMP: u8 = 7;
        match packet[0] >> 4 {
            PUBLISH => {
                self.publishes += 1;
                match packet[0] >> 1 & 3 {
                    0 => {}
                    1 => self.answer(PUBACK << 4, u16_at(packet, id_at(packet))),
                    _ => self.answer(PUBREC << 4, u16_at(packet, id_at(packet))),
                }
            }
            PUBACK | PUBCOMP => self.acknowledged += 1,
            PUBREC => self.answer(PUBREL << 4 | 2, u16_at(packet, header_len)),
            PUBREL => self.answer(PUBCOMP << 4, u16_at(packet, header_len)),
            _ => {}
        }
    }

    fn answer(&mut self, first: u8, packet_id: u16) {
        let [high, low] = packet_id.to_be_bytes();
        self.to_broker.extend_from_slice(&[first, 2, high, low]);
    }
}
