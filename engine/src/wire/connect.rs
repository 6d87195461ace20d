//! CONNECT, section 3.1.
//!
//! ```text
//! Protocol Name | Protocol Level | Connect Flags | Keep Alive | properties
//!   | Client Identifier | Will: properties, topic, payload | User Name | Password
//! ```

use super::field::{Reader, contains, put_binary, put_text, put_u16};
use super::property::{id, place};
use super::{Connect, Fault, Properties, QoS, TopicNames, Version, Will, peek};

const RESERVED: u8 = 1;
const CLEAN_START: u8 = 1 << 1;
const WILL: u8 = 1 << 2;
const WILL_QOS_SHIFT: u32 = 3;
const WILL_QOS: u8 = 0b11 << WILL_QOS_SHIFT;
const WILL_RETAIN: u8 = 1 << 5;
const PASSWORD: u8 = 1 << 6;
const USER_NAME: u8 = 1 << 7;

/// The version that a CONNECT asks for, though the rest of it be wrong: how a refusal must be spelled.
pub fn connect_version(bytes: &[u8]) -> Option<Version> {
    let header = peek(bytes).ok()??;
    read_version(&mut Reader::new(bytes.get(header.header_len..)?)).ok()
}

fn read_version(reader: &mut Reader<'_>) -> Result<Version, Fault> {
    match (reader.binary()?, reader.u8()?) {
        (b"MQIsdp", 3) => Ok(Version::V31),
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        // [MQTT-3.1.2-2] [3.1.1: MQTT-3.1.2-2]
        (b"MQIsdp" | b"MQTT", _) => Err(Fault::version("Protocol Level that is not spoken here")),
        // [MQTT-3.1.2-1] [3.1.1: MQTT-3.1.2-1]
        _ => Err(Fault::malformed("Protocol Name that is not MQTT")),
    }
}

/// All of it must be there, in this order and with nothing behind it, as the flags say: [MQTT-3.1.4-1]
/// [MQTT-3.1.3-1] [3.1.1: MQTT-3.1.4-1] [3.1.1: MQTT-3.1.3-1].
pub(super) fn decode(body: &[u8], names: TopicNames) -> Result<Connect<'_>, Fault> {
    let mut reader = Reader::new(body);
    let version = read_version(&mut reader)?;
    let flags = reader.u8()?;
    check_flags(version, flags)?;
    let keep_alive = reader.u16()?;
    let (properties, seen) = Properties::read(&mut reader, version, place::CONNECT)?;
    if seen.has(id::AUTHENTICATION_DATA) && !seen.has(id::AUTHENTICATION_METHOD) {
        return Err(Fault::protocol("Authentication Data without Authentication Method"));
    }
    // [MQTT-3.1.3-3] [MQTT-3.1.3-4] [3.1.1: MQTT-3.1.3-3] [3.1.1: MQTT-3.1.3-4]
    let client_id = reader.text()?;
    // Topic and payload with the flag [MQTT-3.1.2-9] [3.1.1: MQTT-3.1.2-9], neither without [3.1.1: MQTT-3.1.2-11].
    let will = if flags & WILL != 0 { Some(read_will(version, flags, &mut reader, names)?) } else { None };
    // In MQTT 3.1 a packet that ends here overrules the flags.
    let follows = |flag: u8, reader: &Reader<'_>| flags & flag != 0 && !(version == Version::V31 && reader.is_empty());
    // [MQTT-3.1.2-16] [MQTT-3.1.2-17] [3.1.1: MQTT-3.1.2-18] [3.1.1: MQTT-3.1.2-19]; a text [MQTT-3.1.3-12]
    // [3.1.1: MQTT-3.1.3-11].
    let user_name = if follows(USER_NAME, &reader) { Some(reader.text()?) } else { None };
    // [MQTT-3.1.2-18] [MQTT-3.1.2-19] [3.1.1: MQTT-3.1.2-20] [3.1.1: MQTT-3.1.2-21]
    let password = if follows(PASSWORD, &reader) { Some(reader.binary()?) } else { None };
    reader.finish()?;
    let clean_start = flags & CLEAN_START != 0;
    Ok(Connect { version, clean_start, keep_alive, properties, client_id, will, user_name, password })
}

fn check_flags(version: Version, flags: u8) -> Result<(), Fault> {
    if flags & RESERVED != 0 {
        return Err(Fault::malformed("reserved Connect Flag")); // [MQTT-3.1.2-3] [3.1.1: MQTT-3.1.2-3]
    }
    if flags & WILL_QOS == WILL_QOS {
        return Err(Fault::malformed("Will QoS 3")); // [MQTT-3.1.2-12] [3.1.1: MQTT-3.1.2-14]
    }
    if flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0 {
        // [MQTT-3.1.2-11] [MQTT-3.1.2-13] [3.1.1: MQTT-3.1.2-11] [3.1.1: MQTT-3.1.2-13] [3.1.1: MQTT-3.1.2-15]
        return Err(Fault::protocol("Will QoS or Will Retain without a Will"));
    }
    // MQTT 5 allows it, for methods that need no name. [3.1.1: MQTT-3.1.2-22]
    if !version.is_v5() && flags & PASSWORD != 0 && flags & USER_NAME == 0 {
        return Err(Fault::protocol("Password without User Name"));
    }
    Ok(())
}

fn read_will<'a>(version: Version, flags: u8, reader: &mut Reader<'a>, names: TopicNames) -> Result<Will<'a>, Fault> {
    let qos = QoS::from_bits((flags & WILL_QOS) >> WILL_QOS_SHIFT).ok_or(Fault::malformed("Will QoS 3"))?;
    let (properties, _) = Properties::read(reader, version, place::WILL)?;
    let topic = reader.topic_name(names)?; // [MQTT-3.1.3-11] [3.1.1: MQTT-3.1.3-10]
    if topic.is_empty() {
        return Err(Fault::malformed("empty Will Topic")); // [MQTT-4.7.3-1] [3.1.1: MQTT-4.7.3-1]
    }
    let payload = reader.binary()?;
    Ok(Will { qos, retain: flags & WILL_RETAIN != 0, properties, topic, payload })
}

pub(super) fn encode(connect: &Connect<'_>, out: &mut Vec<u8>) {
    let version = connect.version;
    put_binary(if version == Version::V31 { b"MQIsdp" } else { b"MQTT" }, out);
    out.push(version as u8);
    out.push(flags(connect));
    put_u16(connect.keep_alive, out);
    connect.properties.write(version, out);
    put_text(connect.client_id, out);
    if let Some(will) = &connect.will {
        will.properties.write(version, out);
        put_text(will.topic, out);
        put_binary(will.payload, out);
    }
    if let Some(user_name) = connect.user_name {
        put_text(user_name, out);
    }
    if let Some(password) = connect.password {
        put_binary(password, out);
    }
}

fn flags(connect: &Connect<'_>) -> u8 {
    let flag = |bit: u8, set: bool| if set { bit } else { 0 };
    let will = connect.will.map_or(0, |will| WILL | will.qos.bits() << WILL_QOS_SHIFT | flag(WILL_RETAIN, will.retain));
    flag(CLEAN_START, connect.clean_start)
        | will
        | flag(PASSWORD, connect.password.is_some())
        | flag(USER_NAME, connect.user_name.is_some())
}

impl Will<'_> {
    /// Whether the topic is a pattern of the Mote protocol: only after `decode_patterns`.
    pub fn has_wildcard(&self) -> bool {
        contains(self.topic, |byte| matches!(byte, b'+' | b'#'))
    }
}
