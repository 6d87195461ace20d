//! One MQTT 5 property, section 2.2.2: its type, its place, its range, its bytes.

use super::field::{Reader, contains, put_binary, put_text, put_u16};
use super::header::put_varint;
use super::{Fault, TopicNames};

/// One property.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Property<'a> {
    PayloadFormatIndicator(u8),
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    SubscriptionIdentifier(u32),
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(u8),
    WillDelayInterval(u32),
    RequestResponseInformation(u8),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    TopicAlias(u16),
    MaximumQoS(u8),
    RetainAvailable(u8),
    UserProperty(&'a str, &'a str),
    MaximumPacketSize(u32),
    WildcardSubscriptionAvailable(u8),
    SubscriptionIdentifierAvailable(u8),
    SharedSubscriptionAvailable(u8),
}

/// Property Identifiers.
pub(super) mod id {
    pub const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;
    pub const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
    pub const CONTENT_TYPE: u8 = 0x03;
    pub const RESPONSE_TOPIC: u8 = 0x08;
    pub const CORRELATION_DATA: u8 = 0x09;
    pub const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
    pub const SESSION_EXPIRY_INTERVAL: u8 = 0x11;
    pub const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
    pub const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub const AUTHENTICATION_METHOD: u8 = 0x15;
    pub const AUTHENTICATION_DATA: u8 = 0x16;
    pub const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub const WILL_DELAY_INTERVAL: u8 = 0x18;
    pub const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub const RESPONSE_INFORMATION: u8 = 0x1A;
    pub const SERVER_REFERENCE: u8 = 0x1C;
    pub const REASON_STRING: u8 = 0x1F;
    pub const RECEIVE_MAXIMUM: u8 = 0x21;
    pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub const TOPIC_ALIAS: u8 = 0x23;
    pub const MAXIMUM_QOS: u8 = 0x24;
    pub const RETAIN_AVAILABLE: u8 = 0x25;
    pub const USER_PROPERTY: u8 = 0x26;
    pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub const WILDCARD_SUBSCRIPTION_AVAILABLE: u8 = 0x28;
    pub const SUBSCRIPTION_IDENTIFIER_AVAILABLE: u8 = 0x29;
    pub const SHARED_SUBSCRIPTION_AVAILABLE: u8 = 0x2A;
}

/// The data types of properties.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A byte; every one of them is 0 or 1.
    Flag,
    Two,
    Four,
    Varint,
    Text,
    Binary,
    Pair,
}

/// Where properties may stand: a bit each. The Will Properties inside CONNECT are a place of their own.
pub(super) mod place {
    pub const CONNECT: u16 = 1;
    pub const WILL: u16 = 1 << 1;
    pub const CONNACK: u16 = 1 << 2;
    pub const PUBLISH: u16 = 1 << 3;
    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    pub const ACK: u16 = 1 << 4;
    pub const SUBSCRIBE: u16 = 1 << 5;
    pub const SUBACK: u16 = 1 << 6;
    pub const UNSUBSCRIBE: u16 = 1 << 7;
    pub const UNSUBACK: u16 = 1 << 8;
    pub const DISCONNECT: u16 = 1 << 9;
    pub const AUTH: u16 = 1 << 10;
}

/// Table 2-4 of the specification.
fn rule(id: u8) -> Option<(Kind, u16)> {
    use place::*;
    const ANYWHERE: u16 = u16::MAX;
    const MESSAGE: u16 = PUBLISH | WILL;
    const ANSWERS: u16 = CONNACK | ACK | SUBACK | UNSUBACK | DISCONNECT | AUTH;
    Some(match id {
        id::PAYLOAD_FORMAT_INDICATOR => (Kind::Flag, MESSAGE),
        id::MESSAGE_EXPIRY_INTERVAL => (Kind::Four, MESSAGE),
        id::CONTENT_TYPE | id::RESPONSE_TOPIC => (Kind::Text, MESSAGE),
        id::CORRELATION_DATA => (Kind::Binary, MESSAGE),
        id::SUBSCRIPTION_IDENTIFIER => (Kind::Varint, PUBLISH | SUBSCRIBE),
        id::SESSION_EXPIRY_INTERVAL => (Kind::Four, CONNECT | CONNACK | DISCONNECT),
        id::ASSIGNED_CLIENT_IDENTIFIER | id::RESPONSE_INFORMATION => (Kind::Text, CONNACK),
        id::SERVER_KEEP_ALIVE => (Kind::Two, CONNACK),
        id::AUTHENTICATION_METHOD => (Kind::Text, CONNECT | CONNACK | AUTH),
        id::AUTHENTICATION_DATA => (Kind::Binary, CONNECT | CONNACK | AUTH),
        id::REQUEST_PROBLEM_INFORMATION | id::REQUEST_RESPONSE_INFORMATION => (Kind::Flag, CONNECT),
        id::WILL_DELAY_INTERVAL => (Kind::Four, WILL),
        id::SERVER_REFERENCE => (Kind::Text, CONNACK | DISCONNECT),
        id::REASON_STRING => (Kind::Text, ANSWERS),
        id::RECEIVE_MAXIMUM | id::TOPIC_ALIAS_MAXIMUM => (Kind::Two, CONNECT | CONNACK),
        id::TOPIC_ALIAS => (Kind::Two, PUBLISH),
        id::MAXIMUM_QOS | id::RETAIN_AVAILABLE => (Kind::Flag, CONNACK),
        id::USER_PROPERTY => (Kind::Pair, ANYWHERE),
        id::MAXIMUM_PACKET_SIZE => (Kind::Four, CONNECT | CONNACK),
        id::WILDCARD_SUBSCRIPTION_AVAILABLE
        | id::SUBSCRIPTION_IDENTIFIER_AVAILABLE
        | id::SHARED_SUBSCRIPTION_AVAILABLE => (Kind::Flag, CONNACK),
        _ => return None,
    })
}

/// An encoded Topic Alias.
pub fn topic_alias_property(alias: u16) -> [u8; 3] {
    let [high, low] = alias.to_be_bytes();
    [id::TOPIC_ALIAS, high, low]
}

/// Which properties a list holds, a bit per identifier.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen(u64);

impl Seen {
    #[inline]
    pub(super) fn has(self, id: u8) -> bool {
        self.0 & (1 << id) != 0
    }
}

/// Refuses a list that may not stand at `at`, and says what it holds.
pub(super) fn validate(bytes: &[u8], at: u16) -> Result<Seen, Fault> {
    let mut reader = Reader::new(bytes);
    let mut seen = Seen::default();
    while !reader.is_empty() {
        // Identifiers are Variable Byte Integers, but all of them are below 128.
        let id = reader.u8()?;
        let (kind, places) = rule(id).ok_or(Fault::malformed("unknown Property Identifier"))?;
        // An identifier "not valid for its packet type" is a Malformed Packet, section 2.2.2.2.
        if places & at == 0 {
            return Err(Fault::malformed("property of another packet type"));
        }
        let repeats = id == id::USER_PROPERTY || (id == id::SUBSCRIPTION_IDENTIFIER && at == place::PUBLISH);
        if seen.has(id) && !repeats {
            return Err(Fault::protocol("property more than once"));
        }
        seen.0 |= 1 << id;
        check_value(id, kind, &mut reader)?;
    }
    Ok(seen)
}

fn check_value(id: u8, kind: Kind, reader: &mut Reader<'_>) -> Result<(), Fault> {
    match kind {
        Kind::Flag => match reader.u8()? {
            0 | 1 => Ok(()),
            _ => Err(Fault::protocol("property that is neither 0 nor 1")),
        },
        Kind::Two => match (reader.u16()?, id) {
            (0, id::RECEIVE_MAXIMUM) => Err(Fault::protocol("Receive Maximum 0")),
            // [MQTT-3.3.2-8]
            (0, id::TOPIC_ALIAS) => Err(Fault::topic_alias("Topic Alias 0")),
            _ => Ok(()),
        },
        Kind::Four => match (reader.u32()?, id) {
            (0, id::MAXIMUM_PACKET_SIZE) => Err(Fault::protocol("Maximum Packet Size 0")),
            _ => Ok(()),
        },
        Kind::Varint => match reader.varint()? {
            0 => Err(Fault::protocol("Subscription Identifier 0")),
            _ => Ok(()),
        },
        Kind::Text if id == id::RESPONSE_TOPIC => check_response_topic(reader), // [MQTT-3.3.2-13]
        Kind::Text => reader.text().map(drop),                                  // Content Type too [MQTT-3.3.2-19]
        Kind::Binary => reader.binary().map(drop),
        Kind::Pair => reader.text().and_then(|_| reader.text()).map(drop), // [MQTT-1.5.7-1]
    }
}

/// A Response Topic is a Topic Name, so neither empty [MQTT-4.7.3-1] nor with wildcards [MQTT-3.3.2-14].
fn check_response_topic(reader: &mut Reader<'_>) -> Result<(), Fault> {
    let topic = reader.topic_name(TopicNames::Patterns)?;
    if topic.is_empty() || contains(topic, |byte| matches!(byte, b'+' | b'#')) {
        return Err(Fault::protocol("Response Topic that is no Topic Name"));
    }
    Ok(())
}

/// A property as it lies in a validated list.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) id: u8,
    /// Behind the identifier.
    pub(super) value: &'a [u8],
    /// With the identifier.
    pub(super) whole: &'a [u8],
}

/// Splits the first property off a list. `None` at the end, or where bytes are no property.
#[inline]
pub(super) fn split_first(bytes: &[u8]) -> Option<(Raw<'_>, &[u8])> {
    let (&id, after) = bytes.split_first()?;
    let mut reader = Reader::new(after);
    let taken = match rule(id)?.0 {
        Kind::Flag => reader.bytes(1).map(drop),
        Kind::Two => reader.bytes(2).map(drop),
        Kind::Four => reader.bytes(4).map(drop),
        Kind::Varint => reader.varint().map(drop),
        Kind::Text | Kind::Binary => reader.binary().map(drop),
        Kind::Pair => reader.binary().and_then(|_| reader.binary()).map(drop),
    };
    taken.ok()?;
    let rest = reader.rest();
    let whole = &bytes[..bytes.len() - rest.len()];
    Some((Raw { id, value: &whole[1..], whole }, rest))
}

impl<'a> Raw<'a> {
    /// `None` where the bytes are no property: only in a list that was never validated.
    pub(super) fn read(&self) -> Option<Property<'a>> {
        let mut value = Reader::new(self.value);
        self.read_from(&mut value).ok()
    }

    fn read_from(&self, value: &mut Reader<'a>) -> Result<Property<'a>, Fault> {
        Ok(match self.id {
            id::PAYLOAD_FORMAT_INDICATOR => Property::PayloadFormatIndicator(value.u8()?),
            id::MESSAGE_EXPIRY_INTERVAL => Property::MessageExpiryInterval(value.u32()?),
            id::CONTENT_TYPE => Property::ContentType(value.text()?),
            id::RESPONSE_TOPIC => Property::ResponseTopic(value.text()?),
            id::CORRELATION_DATA => Property::CorrelationData(value.binary()?),
            id::SUBSCRIPTION_IDENTIFIER => Property::SubscriptionIdentifier(value.varint()?),
            id::SESSION_EXPIRY_INTERVAL => Property::SessionExpiryInterval(value.u32()?),
            id::ASSIGNED_CLIENT_IDENTIFIER => Property::AssignedClientIdentifier(value.text()?),
            id::SERVER_KEEP_ALIVE => Property::ServerKeepAlive(value.u16()?),
            id::AUTHENTICATION_METHOD => Property::AuthenticationMethod(value.text()?),
            id::AUTHENTICATION_DATA => Property::AuthenticationData(value.binary()?),
            id::REQUEST_PROBLEM_INFORMATION => Property::RequestProblemInformation(value.u8()?),
            id::WILL_DELAY_INTERVAL => Property::WillDelayInterval(value.u32()?),
            id::REQUEST_RESPONSE_INFORMATION => Property::RequestResponseInformation(value.u8()?),
            id::RESPONSE_INFORMATION => Property::ResponseInformation(value.text()?),
            id::SERVER_REFERENCE => Property::ServerReference(value.text()?),
            id::REASON_STRING => Property::ReasonString(value.text()?),
            id::RECEIVE_MAXIMUM => Property::ReceiveMaximum(value.u16()?),
            id::TOPIC_ALIAS_MAXIMUM => Property::TopicAliasMaximum(value.u16()?),
            id::TOPIC_ALIAS => Property::TopicAlias(value.u16()?),
            id::MAXIMUM_QOS => Property::MaximumQoS(value.u8()?),
            id::RETAIN_AVAILABLE => Property::RetainAvailable(value.u8()?),
            id::USER_PROPERTY => Property::UserProperty(value.text()?, value.text()?),
            id::MAXIMUM_PACKET_SIZE => Property::MaximumPacketSize(value.u32()?),
            id::WILDCARD_SUBSCRIPTION_AVAILABLE => Property::WildcardSubscriptionAvailable(value.u8()?),
            id::SUBSCRIPTION_IDENTIFIER_AVAILABLE => Property::SubscriptionIdentifierAvailable(value.u8()?),
            id::SHARED_SUBSCRIPTION_AVAILABLE => Property::SharedSubscriptionAvailable(value.u8()?),
            _ => return Err(Fault::malformed("unknown Property Identifier")),
        })
    }
}

impl Property<'_> {
    fn id(&self) -> u8 {
        match self {
            Property::PayloadFormatIndicator(_) => id::PAYLOAD_FORMAT_INDICATOR,
            Property::MessageExpiryInterval(_) => id::MESSAGE_EXPIRY_INTERVAL,
            Property::ContentType(_) => id::CONTENT_TYPE,
            Property::ResponseTopic(_) => id::RESPONSE_TOPIC,
            Property::CorrelationData(_) => id::CORRELATION_DATA,
            Property::SubscriptionIdentifier(_) => id::SUBSCRIPTION_IDENTIFIER,
            Property::SessionExpiryInterval(_) => id::SESSION_EXPIRY_INTERVAL,
            Property::AssignedClientIdentifier(_) => id::ASSIGNED_CLIENT_IDENTIFIER,
            Property::ServerKeepAlive(_) => id::SERVER_KEEP_ALIVE,
            Property::AuthenticationMethod(_) => id::AUTHENTICATION_METHOD,
            Property::AuthenticationData(_) => id::AUTHENTICATION_DATA,
            Property::RequestProblemInformation(_) => id::REQUEST_PROBLEM_INFORMATION,
            Property::WillDelayInterval(_) => id::WILL_DELAY_INTERVAL,
            Property::RequestResponseInformation(_) => id::REQUEST_RESPONSE_INFORMATION,
            Property::ResponseInformation(_) => id::RESPONSE_INFORMATION,
            Property::ServerReference(_) => id::SERVER_REFERENCE,
            Property::ReasonString(_) => id::REASON_STRING,
            Property::ReceiveMaximum(_) => id::RECEIVE_MAXIMUM,
            Property::TopicAliasMaximum(_) => id::TOPIC_ALIAS_MAXIMUM,
            Property::TopicAlias(_) => id::TOPIC_ALIAS,
            Property::MaximumQoS(_) => id::MAXIMUM_QOS,
            Property::RetainAvailable(_) => id::RETAIN_AVAILABLE,
            Property::UserProperty(..) => id::USER_PROPERTY,
            Property::MaximumPacketSize(_) => id::MAXIMUM_PACKET_SIZE,
            Property::WildcardSubscriptionAvailable(_) => id::WILDCARD_SUBSCRIPTION_AVAILABLE,
            Property::SubscriptionIdentifierAvailable(_) => id::SUBSCRIPTION_IDENTIFIER_AVAILABLE,
            Property::SharedSubscriptionAvailable(_) => id::SHARED_SUBSCRIPTION_AVAILABLE,
        }
    }

    /// Appends the property as the wire has it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.id());
        match *self {
            Property::PayloadFormatIndicator(v)
            | Property::RequestProblemInformation(v)
            | Property::RequestResponseInformation(v)
            | Property::MaximumQoS(v)
            | Property::RetainAvailable(v)
            | Property::WildcardSubscriptionAvailable(v)
            | Property::SubscriptionIdentifierAvailable(v)
            | Property::SharedSubscriptionAvailable(v) => out.push(v),
            Property::ServerKeepAlive(v)
            | Property::ReceiveMaximum(v)
            | Property::TopicAliasMaximum(v)
            | Property::TopicAlias(v) => put_u16(v, out),
            Property::MessageExpiryInterval(v)
            | Property::SessionExpiryInterval(v)
            | Property::WillDelayInterval(v)
            | Property::MaximumPacketSize(v) => out.extend_from_slice(&v.to_be_bytes()),
            Property::SubscriptionIdentifier(v) => put_varint(v as usize, out),
            Property::ContentType(v)
            | Property::ResponseTopic(v)
            | Property::AssignedClientIdentifier(v)
            | Property::AuthenticationMethod(v)
            | Property::ResponseInformation(v)
            | Property::ServerReference(v)
            | Property::ReasonString(v) => put_text(v, out),
            Property::CorrelationData(v) | Property::AuthenticationData(v) => put_binary(v, out),
            Property::UserProperty(name, value) => {
                put_text(name, out);
                put_text(value, out);
            }
        }
    }
}
