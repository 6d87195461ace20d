//! PUBACK, PUBREC, PUBREL and PUBCOMP, sections 3.4 to 3.7: one shape.
//!
//! ```text
//! Packet Identifier | MQTT 5, each only with what stands before it: Reason Code | properties
//! ```

use super::field::{Reader, put_u16};
use super::header::{PacketType, enclose};
use super::property::place;
use super::reason::Carrier;
use super::{Ack, AckKind, Fault, Properties, ReasonCode, Version};

impl AckKind {
    pub(super) fn packet_type(self) -> PacketType {
        match self {
            AckKind::Puback => PacketType::Puback,
            AckKind::Pubrec => PacketType::Pubrec,
            AckKind::Pubrel => PacketType::Pubrel,
            AckKind::Pubcomp => PacketType::Pubcomp,
        }
    }

    fn carrier(self) -> Carrier {
        match self {
            AckKind::Puback | AckKind::Pubrec => Carrier::Puback,
            AckKind::Pubrel | AckKind::Pubcomp => Carrier::Pubrel,
        }
    }
}

pub(super) fn decode(version: Version, kind: AckKind, body: &[u8]) -> Result<Ack<'_>, Fault> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    let mut ack = Ack { kind, packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY };
    if version.is_v5() && !reader.is_empty() {
        ack.reason = ReasonCode::read(reader.u8()?, kind.carrier())?;
        if !reader.is_empty() {
            (ack.properties, _) = Properties::read(&mut reader, version, place::ACK)?;
        }
    }
    reader.finish()?;
    Ok(ack)
}

/// Only with a reason that this packet may carry [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1].
pub(super) fn encode(version: Version, ack: &Ack<'_>, out: &mut Vec<u8>) {
    debug_assert!(ack.reason.is_in(ack.kind.carrier()), "{:?} with {:?}", ack.kind, ack.reason);
    let says_reason = version.is_v5() && (ack.reason != ReasonCode::Success || !ack.properties.is_empty());
    if !says_reason {
        // Nearly all of them: one for each message with QoS 1, two with QoS 2.
        let [high, low] = ack.packet_id.to_be_bytes();
        return out.extend_from_slice(&[ack.kind.packet_type().first_byte(), 2, high, low]);
    }
    enclose(ack.kind.packet_type(), out, |out| {
        put_u16(ack.packet_id, out);
        out.push(ack.reason as u8);
        if !ack.properties.is_empty() {
            ack.properties.write(version, out);
        }
    });
}
