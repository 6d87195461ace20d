//! AUTH, section 3.15: MQTT 5 only. Empty, or Reason Code and properties.

use super::field::Reader;
use super::property::place;
use super::reason::Carrier;
use super::{Auth, Fault, Properties, ReasonCode, Version};

pub(super) fn decode(version: Version, body: &[u8]) -> Result<Auth<'_>, Fault> {
    if !version.is_v5() {
        return Err(Fault::malformed("packet type 15 is reserved before MQTT 5"));
    }
    let mut reader = Reader::new(body);
    if reader.is_empty() {
        return Ok(Auth { reason: ReasonCode::Success, properties: Properties::EMPTY });
    }
    let reason = ReasonCode::read(reader.u8()?, Carrier::Auth)?; // [MQTT-3.15.2-1]
    let (properties, _) = Properties::read(&mut reader, version, place::AUTH)?;
    reader.finish()?;
    Ok(Auth { reason, properties })
}

pub(super) fn encode(auth: &Auth<'_>, out: &mut Vec<u8>) {
    if auth.reason != ReasonCode::Success || !auth.properties.is_empty() {
        out.push(auth.reason as u8);
        auth.properties.write(Version::V5, out);
    }
}
