//! SUBSCRIBE and SUBACK, sections 3.8 and 3.9.
//!
//! ```text
//! SUBSCRIBE: Packet Identifier | properties | Topic Filter, Subscription Options | …
//! SUBACK:    Packet Identifier | properties | a byte per filter
//! options:   0 0 | Retain Handling (2 bits) | Retain As Published | No Local | QoS (2 bits)
//! ```

use super::field::{Reader, put_text, put_u16};
use super::property::place;
use super::reason::Carrier;
use super::{Fault, Filters, Properties, QoS, ReasonCode, Suback, Subscribe, SubscriptionOptions, Version};

const NO_LOCAL: u8 = 1 << 2;
const RETAIN_AS_PUBLISHED: u8 = 1 << 3;
const RETAIN_HANDLING_SHIFT: u32 = 4;
/// SUBACK before MQTT 5: failure.
const FAILURE: u8 = 0x80;

pub(super) fn decode(version: Version, body: &[u8]) -> Result<Subscribe<'_>, Fault> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    let (properties, _) = Properties::read(&mut reader, version, place::SUBSCRIBE)?;
    let filters = Filters { bytes: reader.rest() };
    if reader.is_empty() {
        return Err(Fault::protocol("SUBSCRIBE without a Topic Filter")); // [MQTT-3.8.3-2] [3.1.1: MQTT-3.8.3-3]
    }
    while !reader.is_empty() {
        let filter = reader.topic_filter()?;
        let options = read_options(version, reader.u8()?)?;
        if options.no_local && filter.starts_with("$share/") {
            return Err(Fault::protocol("No Local on a Shared Subscription")); // [MQTT-3.8.3-4]
        }
    }
    Ok(Subscribe { packet_id, properties, filters })
}

fn read_options(version: Version, byte: u8) -> Result<SubscriptionOptions, Fault> {
    let reserved = if version.is_v5() { 0b1100_0000 } else { 0b1111_1100 };
    if byte & reserved != 0 {
        // [MQTT-3.8.3-5] [3.1.1: MQTT-3.8.3-4]
        return Err(Fault::malformed("reserved bits of the Subscription Options"));
    }
    let Some(options) = SubscriptionOptions::from_byte(byte) else {
        return Err(match version {
            Version::V5 => Fault::protocol("QoS 3 or Retain Handling 3"),
            _ => Fault::malformed("QoS 3"),
        });
    };
    Ok(options)
}

pub(super) fn encode(version: Version, subscribe: &Subscribe<'_>, out: &mut Vec<u8>) {
    put_u16(subscribe.packet_id, out);
    subscribe.properties.write(version, out);
    if version.is_v5() {
        out.extend_from_slice(subscribe.filters.bytes);
        return;
    }
    for (filter, options) in subscribe.filters.iter() {
        put_text(filter, out);
        out.push(options.qos.bits());
    }
}

pub(super) fn decode_ack(version: Version, body: &[u8]) -> Result<Suback<'_>, Fault> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    let (properties, _) = Properties::read(&mut reader, version, place::SUBACK)?;
    let reasons = reader.rest();
    if reasons.is_empty() {
        return Err(Fault::protocol("SUBACK without a Reason Code"));
    }
    for &reason in reasons {
        if version.is_v5() {
            ReasonCode::read(reason, Carrier::Suback)?;
        } else if QoS::from_bits(reason).is_none() && reason != FAILURE {
            return Err(Fault::protocol("reserved SUBACK return code")); // [3.1.1: MQTT-3.9.3-2]
        }
    }
    Ok(Suback { packet_id, properties, reasons })
}

/// Only with codes of this packet [MQTT-3.9.3-2] [3.1.1: MQTT-3.9.3-2].
pub(super) fn encode_ack(version: Version, suback: &Suback<'_>, out: &mut Vec<u8>) {
    let is_known = |reason: u8| match version {
        Version::V5 => ReasonCode::read(reason, Carrier::Suback).is_ok(),
        _ => QoS::from_bits(reason).is_some() || reason == FAILURE,
    };
    debug_assert!(suback.reasons.iter().all(|reason| is_known(*reason)), "SUBACK with {:?}", suback.reasons);
    put_u16(suback.packet_id, out);
    suback.properties.write(version, out);
    out.extend_from_slice(suback.reasons);
}

impl SubscriptionOptions {
    /// The byte on the wire in MQTT 5.
    pub fn to_byte(self) -> u8 {
        debug_assert!(self.retain_handling <= 2);
        let flag = |bit: u8, set: bool| if set { bit } else { 0 };
        self.qos.bits()
            | flag(NO_LOCAL, self.no_local)
            | flag(RETAIN_AS_PUBLISHED, self.retain_as_published)
            | self.retain_handling << RETAIN_HANDLING_SHIFT
    }

    /// `None` with a QoS of 3, a Retain Handling of 3 or a reserved bit.
    pub fn from_byte(byte: u8) -> Option<SubscriptionOptions> {
        let retain_handling = byte >> RETAIN_HANDLING_SHIFT;
        if retain_handling > 2 {
            return None;
        }
        Some(SubscriptionOptions {
            qos: QoS::from_bits(byte & 0b11)?,
            no_local: byte & NO_LOCAL != 0,
            retain_as_published: byte & RETAIN_AS_PUBLISHED != 0,
            retain_handling,
        })
    }
}

impl<'a> Filters<'a> {
    /// In the order of the packet.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, SubscriptionOptions)> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(move || {
            let filter = reader.text().ok()?;
            Some((filter, SubscriptionOptions::from_byte(reader.u8().ok()?)?))
        })
    }

    /// Counts the filters, in time proportional to their number.
    pub fn len(&self) -> usize {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(|| reader.binary().and_then(|_| reader.u8()).ok()).count()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Topic Filters with their Subscription Options, being written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FilterBuffer {
    bytes: Vec<u8>,
}

impl FilterBuffer {
    pub fn new() -> FilterBuffer {
        FilterBuffer::default()
    }

    pub fn push(&mut self, filter: &str, options: SubscriptionOptions) {
        put_text(filter, &mut self.bytes);
        self.bytes.push(options.to_byte());
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    pub fn as_filters(&self) -> Filters<'_> {
        Filters { bytes: &self.bytes }
    }
}
