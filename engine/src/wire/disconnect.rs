//! DISCONNECT, section 3.14: empty before MQTT 5; then Reason Code and properties, each only with what stands before it.

use super::field::Reader;
use super::property::place;
use super::reason::Carrier;
use super::{Disconnect, Fault, Properties, ReasonCode, Version};

pub(super) fn decode(version: Version, body: &[u8]) -> Result<Disconnect<'_>, Fault> {
    let mut reader = Reader::new(body);
    let mut disconnect = Disconnect { reason: ReasonCode::Success, properties: Properties::EMPTY };
    if version.is_v5() && !reader.is_empty() {
        disconnect.reason = ReasonCode::read(reader.u8()?, Carrier::Disconnect)?;
        if !reader.is_empty() {
            (disconnect.properties, _) = Properties::read(&mut reader, version, place::DISCONNECT)?;
        }
    }
    reader.finish()?;
    Ok(disconnect)
}

/// Only with a reason of this packet [MQTT-3.14.2-1].
pub(super) fn encode(version: Version, disconnect: &Disconnect<'_>, out: &mut Vec<u8>) {
    debug_assert!(disconnect.reason.is_in(Carrier::Disconnect), "DISCONNECT with {:?}", disconnect.reason);
    let plain = disconnect.properties.is_empty();
    if !version.is_v5() || (disconnect.reason == ReasonCode::Success && plain) {
        return;
    }
    out.push(disconnect.reason as u8);
    if !plain {
        disconnect.properties.write(version, out);
    }
}
