//! UNSUBSCRIBE and UNSUBACK, sections 3.10 and 3.11.
//!
//! ```text
//! UNSUBSCRIBE: Packet Identifier | properties | Topic Filter | …
//! UNSUBACK:    Packet Identifier | MQTT 5: properties | a byte per filter
//! ```

use super::field::{Reader, put_text, put_u16};
use super::property::place;
use super::reason::Carrier;
use super::{Fault, Names, Properties, ReasonCode, Unsuback, Unsubscribe, Version};

pub(super) fn decode(version: Version, body: &[u8]) -> Result<Unsubscribe<'_>, Fault> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    let (properties, _) = Properties::read(&mut reader, version, place::UNSUBSCRIBE)?;
    let filters = Names { bytes: reader.rest() };
    if reader.is_empty() {
        // [MQTT-3.10.3-2] [3.1.1: MQTT-3.10.3-2]
        return Err(Fault::protocol("UNSUBSCRIBE without a Topic Filter"));
    }
    while !reader.is_empty() {
        reader.topic_filter()?;
    }
    Ok(Unsubscribe { packet_id, properties, filters })
}

pub(super) fn encode(version: Version, unsubscribe: &Unsubscribe<'_>, out: &mut Vec<u8>) {
    put_u16(unsubscribe.packet_id, out);
    unsubscribe.properties.write(version, out);
    out.extend_from_slice(unsubscribe.filters.bytes);
}

pub(super) fn decode_ack(version: Version, body: &[u8]) -> Result<Unsuback<'_>, Fault> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    if !version.is_v5() {
        reader.finish()?;
        return Ok(Unsuback { packet_id, properties: Properties::EMPTY, reasons: &[] });
    }
    let (properties, _) = Properties::read(&mut reader, version, place::UNSUBACK)?;
    let reasons = reader.rest();
    if reasons.is_empty() {
        return Err(Fault::protocol("UNSUBACK without a Reason Code"));
    }
    for &reason in reasons {
        ReasonCode::read(reason, Carrier::Unsuback)?;
    }
    Ok(Unsuback { packet_id, properties, reasons })
}

/// Only with codes of this packet [MQTT-3.11.3-2].
pub(super) fn encode_ack(version: Version, unsuback: &Unsuback<'_>, out: &mut Vec<u8>) {
    let is_known = |reason: &u8| ReasonCode::read(*reason, Carrier::Unsuback).is_ok();
    debug_assert!(unsuback.reasons.iter().all(is_known), "UNSUBACK with {:?}", unsuback.reasons);
    put_u16(unsuback.packet_id, out);
    if version.is_v5() {
        unsuback.properties.write(version, out);
        out.extend_from_slice(unsuback.reasons);
    }
}

impl<'a> Names<'a> {
    /// In the order of the packet.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(move || reader.text().ok())
    }

    /// Counts the filters, in time proportional to their number.
    pub fn len(&self) -> usize {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(|| reader.binary().ok()).count()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Topic Filters without options, being written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NameBuffer {
    bytes: Vec<u8>,
}

impl NameBuffer {
    pub fn new() -> NameBuffer {
        NameBuffer::default()
    }

    pub fn push(&mut self, filter: &str) {
        put_text(filter, &mut self.bytes);
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    pub fn as_names(&self) -> Names<'_> {
        Names { bytes: &self.bytes }
    }
}
