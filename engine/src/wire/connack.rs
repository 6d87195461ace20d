//! CONNACK, section 3.2: acknowledge flags, code, properties.

use super::field::Reader;
use super::property::place;
use super::reason::Carrier;
use super::{Connack, Fault, Properties, ReasonCode, Version};

/// The highest Connect Return code of MQTT 3.1.1, table 3.1.
const RETURN_CODE_MAX: u8 = 5;

pub(super) fn decode(version: Version, body: &[u8]) -> Result<Connack<'_>, Fault> {
    let mut reader = Reader::new(body);
    let flags = reader.u8()?;
    let session_present = match flags {
        // MQTT 3.1 does not use this byte.
        _ if version == Version::V31 => false,
        0 => false,
        1 => true,
        _ => return Err(Fault::malformed("reserved Connect Acknowledge Flags")),
    };
    let code = reader.u8()?;
    if version.is_v5() {
        ReasonCode::read(code, Carrier::Connack)?;
    } else if code > RETURN_CODE_MAX {
        return Err(Fault::protocol("reserved Connect Return code"));
    }
    if session_present && code != 0 {
        return Err(Fault::protocol("Session Present in a refusal")); // [MQTT-3.2.2-6] [3.1.1: MQTT-3.2.2-4]
    }
    let (properties, _) = Properties::read(&mut reader, version, place::CONNACK)?;
    reader.finish()?;
    Ok(Connack { session_present, code, properties })
}

pub(super) fn encode(version: Version, connack: &Connack<'_>, out: &mut Vec<u8>) {
    // [MQTT-3.2.2-8]
    debug_assert!(!version.is_v5() || ReasonCode::read(connack.code, Carrier::Connack).is_ok());
    // The other bits are reserved [MQTT-3.2.2-1].
    out.push(u8::from(connack.session_present && version != Version::V31));
    out.push(connack.code);
    connack.properties.write(version, out);
}
