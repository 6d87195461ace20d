//! PUBLISH, section 3.3: the packet that everything else is there for.
//!
//! ```text
//! first: 3 | DUP, QoS (2 bits), RETAIN    Topic Name | Packet Identifier if QoS > 0 | properties | payload
//! ```

use super::field::{Reader, contains, put_text, put_u16, text_len};
use super::header::{PacketType, put_varint, varint_len};
use super::property::{id, place};
use super::{Fault, Properties, Publish, QoS, TopicNames, Version};

const DUP: u8 = 0b1000;
const QOS_SHIFT: u32 = 1;
const RETAIN: u8 = 1;

pub(super) fn decode(version: Version, flags: u8, body: &[u8], names: TopicNames) -> Result<Publish<'_>, Fault> {
    let qos = QoS::from_bits(flags >> QOS_SHIFT & 0b11).ok_or(Fault::malformed("QoS 3"))?; // [MQTT-3.3.1-4] [3.1.1: MQTT-3.3.1-4]
    let dup = flags & DUP != 0;
    if dup && qos == QoS::AtMostOnce {
        return Err(Fault::malformed("DUP with QoS 0")); // [MQTT-3.3.1-2] [3.1.1: MQTT-3.3.1-2]
    }
    let mut reader = Reader::new(body);
    // First the Topic Name [MQTT-3.3.2-1] [3.1.1: MQTT-3.3.2-1], without wildcards [MQTT-3.3.2-2] [3.1.1: MQTT-3.3.2-2].
    let topic = reader.topic_name(names)?;
    // With QoS 0 there is no identifier [MQTT-2.2.1-2] [3.1.1: MQTT-2.3.1-5].
    let packet_id = if qos == QoS::AtMostOnce { 0 } else { reader.packet_id()? };
    let (properties, seen) = Properties::read(&mut reader, version, place::PUBLISH)?;
    if topic.is_empty() && !seen.has(id::TOPIC_ALIAS) {
        return Err(match version {
            Version::V5 => Fault::protocol("empty Topic Name without Topic Alias"),
            _ => Fault::malformed("empty Topic Name"), // [MQTT-4.7.3-1]
        });
    }
    Ok(Publish { dup, qos, retain: flags & RETAIN != 0, topic, packet_id, properties, payload: reader.rest() })
}

pub(super) fn encode(version: Version, publish: &Publish<'_>, out: &mut Vec<u8>) {
    let head = PublishHead {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        topic: publish.topic,
        packet_id: publish.packet_id,
        forwarded: publish.properties.bytes(),
        message_expiry: None,
        subscription_ids: &[],
        extra: &[],
        payload_len: publish.payload.len(),
    };
    head.encode(version, out);
    out.extend_from_slice(publish.payload);
}

impl Publish<'_> {
    /// Whether the topic is a pattern or frame of the Mote protocol: only after `decode_patterns`.
    pub fn has_wildcard(&self) -> bool {
        contains(self.topic, |byte| matches!(byte, b'+' | b'#'))
    }
}

/// A PUBLISH up to its payload, for one subscriber. Before MQTT 5 everything that is a property is left out.
#[derive(Clone, Copy, Debug)]
pub struct PublishHead<'a> {
    /// It is sent again [MQTT-3.3.1-1] [3.1.1: MQTT-3.3.1-1]; else false, whatever it came with [MQTT-3.3.1-3]
    /// [MQTT-4.3.2-2] [MQTT-4.3.3-2] [3.1.1: MQTT-3.3.1-3].
    pub dup: bool,
    pub qos: QoS,
    pub retain: bool,
    pub topic: &'a str,
    /// Ignored with QoS 0, else never 0.
    pub packet_id: u16,
    /// Encoded properties as `Properties::forwarded` gives them.
    pub forwarded: &'a [u8],
    /// Seconds that are left.
    pub message_expiry: Option<u32>,
    pub subscription_ids: &'a [u32],
    /// Further encoded properties.
    pub extra: &'a [u8],
    /// Bytes that the caller appends.
    pub payload_len: usize,
}

/// Identifier and Four Byte Integer.
const MESSAGE_EXPIRY_BYTES: usize = 5;

impl<'a> PublishHead<'a> {
    /// Of a message of QoS 0 that is not retained and says nothing but its payload.
    pub fn of_event(topic: &'a str, payload_len: usize) -> PublishHead<'a> {
        PublishHead {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            packet_id: 0,
            forwarded: &[],
            message_expiry: None,
            subscription_ids: &[],
            extra: &[],
            payload_len,
        }
    }

    /// Appends everything up to the payload, which the caller appends.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        // [MQTT-3.3.1-2] [MQTT-4.3.1-1] [3.1.1: MQTT-4.3.1-1]
        debug_assert!(self.qos != QoS::AtMostOnce || !self.dup);
        debug_assert!(self.qos == QoS::AtMostOnce || self.packet_id != 0);
        let properties_len = self.properties_len(version);
        let remaining = self.remaining_len(version, properties_len);
        out.reserve(1 + varint_len(remaining) + remaining);
        let dup = if self.dup { DUP } else { 0 };
        out.push((PacketType::Publish as u8) << 4 | dup | self.qos.bits() << QOS_SHIFT | u8::from(self.retain));
        put_varint(remaining, out);
        put_text(self.topic, out);
        if self.qos != QoS::AtMostOnce {
            put_u16(self.packet_id, out);
        }
        if version.is_v5() {
            put_varint(properties_len, out);
            self.put_properties(out);
        }
    }

    /// Bytes of the whole packet, payload included: what Maximum Packet Size bounds.
    pub fn encoded_len(&self, version: Version) -> usize {
        let remaining = self.remaining_len(version, self.properties_len(version));
        1 + varint_len(remaining) + remaining
    }

    fn properties_len(&self, version: Version) -> usize {
        if !version.is_v5() {
            return 0;
        }
        let expiry = if self.message_expiry.is_some() { MESSAGE_EXPIRY_BYTES } else { 0 };
        let ids: usize = self.subscription_ids.iter().map(|&id| 1 + varint_len(id as usize)).sum();
        self.forwarded.len() + expiry + ids + self.extra.len()
    }

    fn remaining_len(&self, version: Version, properties_len: usize) -> usize {
        let packet_id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let properties = if version.is_v5() { varint_len(properties_len) + properties_len } else { 0 };
        text_len(self.topic) + packet_id + properties + self.payload_len
    }

    fn put_properties(&self, out: &mut Vec<u8>) {
        if let Some(seconds) = self.message_expiry {
            out.push(id::MESSAGE_EXPIRY_INTERVAL);
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        out.extend_from_slice(self.forwarded);
        for &subscription_id in self.subscription_ids {
            out.push(id::SUBSCRIPTION_IDENTIFIER);
            put_varint(subscription_id as usize, out);
        }
        out.extend_from_slice(self.extra);
    }
}
