//! CONNECT: what is granted and what is refused, MQTT 5 sections 3.1 and 3.2.

use super::NEVER_EXPIRES;
use crate::config::Config;
use crate::wire::{Connack, Connect, Packet, Property, PropertyBuffer, ReasonCode, Version, encode};

/// What a client gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Granted {
    pub version: Version,
    pub clean_start: bool,
    pub expiry_s: u32,
    /// Seconds; 0: no keep alive.
    pub keep_alive_s: u16,
    /// QoS 1 and 2 deliveries that may be unacknowledged.
    pub window: u16,
    /// Topic aliases that it takes.
    pub alias_max: u16,
    pub packet_bytes_max: usize,
    /// The largest packet that is taken from it.
    pub takes_packet_bytes: usize,
    pub problem_information: bool,
    /// Request Response Information is 1.
    pub wants_response_information: bool,
    /// The CONNECT has a user property `mote`.
    pub knows_mote: bool,
    /// The grant differs from what was asked, so CONNACK says it.
    tell_expiry: bool,
    tell_keep_alive: bool,
}

/// Judges everything about a CONNECT but the client identifier's owner, where packets of so many bytes are taken.
pub fn judge(connect: &Connect<'_>, takes_packet_bytes: usize, config: &Config) -> Result<Granted, ReasonCode> {
    // [MQTT-4.12.0-4]: any other method than none is refused here, before anything of it is kept.
    let properties = connect.properties;
    if properties.authentication_method().is_some() {
        return Err(ReasonCode::BadAuthenticationMethod); // [MQTT-4.12.0-1]: none is supported
    }
    // Any text is an identifier, so also 1 to 23 letters and digits [MQTT-3.1.3-5] [3.1.1: MQTT-3.1.3-5].
    if connect.client_id.len() > config.limits.client_id_bytes {
        return Err(ReasonCode::ClientIdentifierNotValid); // [MQTT-3.1.3-8] [3.1.1: MQTT-3.1.3-9]
    }
    let assigns_id = match connect.version {
        Version::V5 => true,
        Version::V311 => connect.clean_start, // [3.1.1: MQTT-3.1.3-8]
        Version::V31 => false,                // it wants 1 to 23 characters; more than 23 harm nobody
    };
    if connect.client_id.is_empty() && !assigns_id {
        return Err(ReasonCode::ClientIdentifierNotValid);
    }
    let asked = match (connect.version.is_v5(), connect.clean_start) {
        (true, _) => properties.session_expiry().unwrap_or(0),
        (false, true) => 0,
        (false, false) => NEVER_EXPIRES,
    };
    let expiry_s = asked.min(config.session.expiry_max_s);
    let longest = config.session.keep_alive_max_s;
    // Who is told of no other keep alive is held to its own [MQTT-3.2.2-22].
    let too_long = longest > 0 && (connect.keep_alive == 0 || connect.keep_alive > longest);
    // Only MQTT 5 can be told of another keep alive, [MQTT-3.1.2-21].
    let keep_alive_s = if too_long && connect.version.is_v5() { longest } else { connect.keep_alive };
    Ok(Granted {
        version: connect.version,
        clean_start: connect.clean_start,
        expiry_s,
        keep_alive_s,
        // [MQTT-4.9.0-1]: neither of the two is 0.
        window: properties.receive_maximum().unwrap_or(u16::MAX).min(config.session.inflight_max),
        alias_max: properties.topic_alias_maximum().unwrap_or(0),
        packet_bytes_max: properties.maximum_packet_size().map_or(usize::MAX, |bytes| bytes as usize),
        problem_information: properties.request_problem_information() != Some(false),
        wants_response_information: properties.request_response_information() == Some(true),
        takes_packet_bytes,
        knows_mote: properties.user_property("mote").is_some(),
        tell_expiry: expiry_s != asked,
        tell_keep_alive: keep_alive_s != connect.keep_alive,
    })
}

/// Appends the CONNACK that accepts.
pub fn accept(granted: &Granted, session_present: bool, assigned: Option<&str>, config: &Config, out: &mut Vec<u8>) {
    // Neither Response Information [MQTT-3.1.2-28] nor a Reason String [MQTT-3.2.2-19] nor a method [MQTT-4.12.0-6].
    let mut properties = PropertyBuffer::new();
    if granted.version.is_v5() {
        if granted.tell_expiry {
            properties.push(&Property::SessionExpiryInterval(granted.expiry_s));
        }
        properties.push(&Property::ReceiveMaximum(config.session.receive_max));
        properties.push(&Property::MaximumPacketSize(granted.takes_packet_bytes as u32));
        if !config.retain_available {
            properties.push(&Property::RetainAvailable(0));
        }
        if config.session.topic_alias_max > 0 {
            properties.push(&Property::TopicAliasMaximum(config.session.topic_alias_max));
        }
        if let Some(client_id) = assigned {
            properties.push(&Property::AssignedClientIdentifier(client_id)); // [MQTT-3.2.2-16]
        }
        if granted.tell_keep_alive {
            properties.push(&Property::ServerKeepAlive(granted.keep_alive_s)); // [MQTT-3.2.2-21]
        }
    }
    let start = out.len();
    let plain = properties.clone();
    let response_information = &*config.session.response_information;
    if granted.wants_response_information && !response_information.is_empty() {
        properties.push(&Property::ResponseInformation(response_information)); // [MQTT-3.1.2-28]
    }
    if granted.version.is_v5() && granted.knows_mote {
        properties.push(&Property::UserProperty("mote", crate::dialect::ADVERTISED));
    }
    // [MQTT-3.1.4-5] [3.1.1: MQTT-3.1.4-4]
    let connack = |properties| Packet::Connack(Connack { session_present, code: 0, properties });
    encode(granted.version, &connack(properties.as_properties()), out);
    if out.len() - start > granted.packet_bytes_max {
        out.truncate(start); // [MQTT-3.2.2-20]
        encode(granted.version, &connack(plain.as_properties()), out);
    }
}

/// Bytes of the CONNACK that refuses: a client that takes less cannot be told anything.
pub const REFUSAL_BYTES: u32 = 5;

/// Whether the client takes the CONNACK that accepts it [MQTT-3.1.2-24].
pub fn takes_connack(granted: &Granted, assigned: Option<&str>, config: &Config) -> bool {
    /// All properties of CONNACK but `mote`, with room.
    const CONNACK_BYTES_MAX: usize = 128;
    if granted.packet_bytes_max >= CONNACK_BYTES_MAX {
        return true;
    }
    let mut connack = Vec::new();
    accept(granted, true, assigned, config, &mut connack);
    connack.len() <= granted.packet_bytes_max
}

/// Appends the CONNACK that refuses; the connection is closed after it, [MQTT-3.2.2-7].
pub fn refuse(version: Version, reason: ReasonCode, out: &mut Vec<u8>) {
    // [MQTT-3.1.4-2]; no session is present [MQTT-3.2.2-6] [3.1.1: MQTT-3.2.2-4].
    let code = if version.is_v5() { reason as u8 } else { return_code(reason) };
    let connack = Connack { session_present: false, code, properties: Default::default() };
    encode(version, &Packet::Connack(connack), out);
}

/// Connect Return code of MQTT 3.1.1, table 3.1.
fn return_code(reason: ReasonCode) -> u8 {
    match reason {
        ReasonCode::UnsupportedProtocolVersion => 1,
        ReasonCode::ClientIdentifierNotValid => 2,
        ReasonCode::BadUserNameOrPassword => 4,
        ReasonCode::NotAuthorized | ReasonCode::Banned => 5,
        _ => 3,
    }
}
