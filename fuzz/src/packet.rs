//! Packets as a client keeps them: what it received, owning its bytes.

use engine::wire::{AckKind, Packet, Properties, QoS, ReasonCode};

#[derive(Clone, PartialEq, Debug)]
pub enum OwnedPacket {
    Connack {
        session_present: bool,
        code: u8,
        properties: OwnedProperties,
    },
    Publish(Message),
    Ack {
        kind: AckKind,
        packet_id: u16,
        reason: ReasonCode,
        properties: OwnedProperties,
    },
    Suback {
        packet_id: u16,
        reasons: Vec<u8>,
    },
    Unsuback {
        packet_id: u16,
        reasons: Vec<u8>,
    },
    Pingresp,
    Disconnect {
        reason: ReasonCode,
    },
    /// Something that only a client may send.
    Unexpected(String),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: QoS,
    pub retain: bool,
    pub dup: bool,
    pub packet_id: u16,
    pub properties: OwnedProperties,
    /// The topic was left out: an alias stood for it.
    pub by_alias: bool,
}

/// Properties as encoded bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OwnedProperties(Vec<u8>);

impl OwnedProperties {
    fn new(properties: Properties<'_>) -> OwnedProperties {
        OwnedProperties(properties.bytes().to_vec())
    }

    pub fn read(&self) -> Properties<'_> {
        Properties::from_encoded(&self.0)
    }

    /// The user property `mote`.
    pub fn mote(&self) -> Option<&str> {
        self.read().user_property("mote")
    }
}

impl Message {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// `topic payload`, as tests write it.
    pub fn line(&self) -> String {
        format!("{} {}", self.topic, self.text())
    }
}

impl OwnedPacket {
    pub fn of(packet: &Packet<'_>) -> OwnedPacket {
        match packet {
            Packet::Connack(p) => OwnedPacket::Connack {
                session_present: p.session_present,
                code: p.code,
                properties: OwnedProperties::new(p.properties),
            },
            Packet::Publish(p) => OwnedPacket::Publish(Message {
                topic: p.topic.to_string(),
                payload: p.payload.to_vec(),
                qos: p.qos,
                retain: p.retain,
                dup: p.dup,
                packet_id: p.packet_id,
                properties: OwnedProperties::new(p.properties),
                by_alias: p.topic.is_empty(),
            }),
            Packet::Ack(p) => OwnedPacket::Ack {
                kind: p.kind,
                packet_id: p.packet_id,
                reason: p.reason,
                properties: OwnedProperties::new(p.properties),
            },
            Packet::Suback(p) => OwnedPacket::Suback { packet_id: p.packet_id, reasons: p.reasons.to_vec() },
            Packet::Unsuback(p) => OwnedPacket::Unsuback { packet_id: p.packet_id, reasons: p.reasons.to_vec() },
            Packet::Pingresp => OwnedPacket::Pingresp,
            Packet::Disconnect(p) => OwnedPacket::Disconnect { reason: p.reason },
            other => OwnedPacket::Unexpected(format!("{other:?}")),
        }
    }

    pub fn message(&self) -> Option<&Message> {
        match self {
            OwnedPacket::Publish(message) => Some(message),
            _ => None,
        }
    }
}
