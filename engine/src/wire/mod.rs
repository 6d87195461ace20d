//! Bytes to packets and packets to bytes, MQTT 3.1, 3.1.1 and 5.0, both directions.
//!
//! Called by sessions at a client's home, by the command line clients and by tests. Decoding borrows from the
//! bytes and copies nothing; the protocol version is a value. Never holds state between packets, never judges
//! what needs a session (who may send which packet, aliases, quotas, whether a filter is well placed).

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod fault;
mod field;
mod header;
mod packet;
mod properties;
mod property;
mod publish;
mod reason;
mod run;
mod subscribe;
mod unsubscribe;

pub use connect::connect_version;
pub use fault::Fault;
pub use header::{Header, peek};
pub use packet::*;
pub use properties::{Properties, PropertyBuffer};
pub use property::{Property, topic_alias_property};
pub use publish::PublishHead;
pub use reason::ReasonCode;
pub use run::{PUBACK_BYTES, Run, pubacks};
pub use subscribe::FilterBuffer;
pub use unsubscribe::NameBuffer;

use header::{PacketType, enclose};

/// Decodes exactly one packet: `bytes` is what `peek` said, `total_len` long.
/// `version` is what the connection speaks; a CONNECT carries its own and ignores it.
pub fn decode<'a>(version: Version, bytes: &'a [u8]) -> Result<Packet<'a>, Fault> {
    decode_names(version, bytes, TopicNames::Literal)
}

/// As [`decode`], but the Topic Name of a PUBLISH or a Will may contain `+` and `#`: the patterns and frames of
/// the Mote protocol do, standard MQTT never does [MQTT-3.3.2-2]. Who calls this must judge each such name by
/// [`Publish::has_wildcard`] and [`Will::has_wildcard`] before it is used as a topic.
pub fn decode_patterns<'a>(version: Version, bytes: &'a [u8]) -> Result<Packet<'a>, Fault> {
    decode_names(version, bytes, TopicNames::Patterns)
}

/// What a Topic Name may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TopicNames {
    Literal,
    Patterns,
}

fn decode_names<'a>(version: Version, bytes: &'a [u8], names: TopicNames) -> Result<Packet<'a>, Fault> {
    let header = peek(bytes)?.ok_or(Fault::malformed("the packet ends inside its fixed header"))?;
    if header.total_len != bytes.len() {
        return Err(Fault::malformed("Remaining Length is not what follows"));
    }
    let body = &bytes[header.header_len..];
    let flags = header.first & 0x0F;
    let packet_type = PacketType::of(header.first)?;
    let version = match packet_type {
        PacketType::Connect => connect_version(bytes).unwrap_or(Version::V5),
        _ => version,
    };
    header.check_minimal(version)?;
    header::check_flags(version, packet_type, flags)?;
    match packet_type {
        PacketType::Connect => connect::decode(body, names).map(Packet::Connect),
        PacketType::Publish => publish::decode(version, flags, body, names).map(Packet::Publish),
        PacketType::Connack => connack::decode(version, body).map(Packet::Connack),
        PacketType::Puback => ack::decode(version, AckKind::Puback, body).map(Packet::Ack),
        PacketType::Pubrec => ack::decode(version, AckKind::Pubrec, body).map(Packet::Ack),
        PacketType::Pubrel => ack::decode(version, AckKind::Pubrel, body).map(Packet::Ack),
        PacketType::Pubcomp => ack::decode(version, AckKind::Pubcomp, body).map(Packet::Ack),
        PacketType::Subscribe => subscribe::decode(version, body).map(Packet::Subscribe),
        PacketType::Suback => subscribe::decode_ack(version, body).map(Packet::Suback),
        PacketType::Unsubscribe => unsubscribe::decode(version, body).map(Packet::Unsubscribe),
        PacketType::Unsuback => unsubscribe::decode_ack(version, body).map(Packet::Unsuback),
        PacketType::Pingreq => field::Reader::new(body).finish().map(|()| Packet::Pingreq),
        PacketType::Pingresp => field::Reader::new(body).finish().map(|()| Packet::Pingresp),
        PacketType::Disconnect => disconnect::decode(version, body).map(Packet::Disconnect),
        PacketType::Auth => auth::decode(version, body).map(Packet::Auth),
    }
}

/// Appends `packet` to `out`, in its shortest form. Before MQTT 5 properties and reasons are left out.
///
/// Texts and binaries longer than `STRING_BYTES_MAX` are our own bug: asserted in debug, cut in release.
pub fn encode(version: Version, packet: &Packet<'_>, out: &mut Vec<u8>) {
    match packet {
        Packet::Connect(p) => enclose(PacketType::Connect, out, |out| connect::encode(p, out)),
        Packet::Connack(p) => enclose(PacketType::Connack, out, |out| connack::encode(version, p, out)),
        Packet::Publish(p) => publish::encode(version, p, out),
        Packet::Ack(p) => ack::encode(version, p, out),
        Packet::Subscribe(p) => enclose(PacketType::Subscribe, out, |out| subscribe::encode(version, p, out)),
        Packet::Suback(p) => enclose(PacketType::Suback, out, |out| subscribe::encode_ack(version, p, out)),
        Packet::Unsubscribe(p) => enclose(PacketType::Unsubscribe, out, |out| unsubscribe::encode(version, p, out)),
        Packet::Unsuback(p) => enclose(PacketType::Unsuback, out, |out| unsubscribe::encode_ack(version, p, out)),
        Packet::Pingreq => enclose(PacketType::Pingreq, out, |_| ()),
        Packet::Pingresp => enclose(PacketType::Pingresp, out, |_| ()),
        Packet::Disconnect(p) => enclose(PacketType::Disconnect, out, |out| disconnect::encode(version, p, out)),
        Packet::Auth(p) => enclose(PacketType::Auth, out, |out| auth::encode(p, out)),
    }
}
