//! The packets, borrowed from the bytes they were decoded from.

use super::{Properties, ReasonCode};

/// Protocol version. The number is the Protocol Level of CONNECT.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Version {
    V31 = 3,
    V311 = 4,
    V5 = 5,
}

impl Version {
    #[inline]
    pub fn is_v5(self) -> bool {
        self == Version::V5
    }
}

/// Quality of Service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum QoS {
    #[default]
    AtMostOnce = 0,
    AtLeastOnce = 1,
    ExactlyOnce = 2,
}

impl QoS {
    /// `None` above 2.
    #[inline]
    pub fn from_bits(bits: u8) -> Option<QoS> {
        match bits {
            0 => Some(QoS::AtMostOnce),
            1 => Some(QoS::AtLeastOnce),
            2 => Some(QoS::ExactlyOnce),
            _ => None,
        }
    }

    #[inline]
    pub fn bits(self) -> u8 {
        self as u8
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    Connack(Connack<'a>),
    Publish(Publish<'a>),
    /// PUBACK, PUBREC, PUBREL, PUBCOMP: one shape.
    Ack(Ack<'a>),
    Subscribe(Subscribe<'a>),
    Suback(Suback<'a>),
    Unsubscribe(Unsubscribe<'a>),
    Unsuback(Unsuback<'a>),
    Pingreq,
    Pingresp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Connect<'a> {
    pub version: Version,
    /// Clean Session before MQTT 5.
    pub clean_start: bool,
    /// Seconds.
    pub keep_alive: u16,
    pub properties: Properties<'a>,
    pub client_id: &'a str,
    pub will: Option<Will<'a>>,
    pub user_name: Option<&'a str>,
    pub password: Option<&'a [u8]>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Will<'a> {
    pub qos: QoS,
    pub retain: bool,
    pub properties: Properties<'a>,
    pub topic: &'a str,
    pub payload: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Connack<'a> {
    pub session_present: bool,
    /// The byte on the wire: a Reason Code in MQTT 5, a Connect Return code before.
    pub code: u8,
    pub properties: Properties<'a>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Publish<'a> {
    pub dup: bool,
    pub qos: QoS,
    pub retain: bool,
    pub topic: &'a str,
    /// 0 with QoS 0.
    pub packet_id: u16,
    pub properties: Properties<'a>,
    pub payload: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AckKind {
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ack<'a> {
    pub kind: AckKind,
    pub packet_id: u16,
    /// Success before MQTT 5.
    pub reason: ReasonCode,
    pub properties: Properties<'a>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Subscribe<'a> {
    pub packet_id: u16,
    pub properties: Properties<'a>,
    pub filters: Filters<'a>,
}

/// Topic Filters with their Subscription Options, as validated bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Filters<'a> {
    pub(super) bytes: &'a [u8],
}

/// Subscription Options, MQTT 5 section 3.8.3.1. Before MQTT 5 all but `qos` are their defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SubscriptionOptions {
    pub qos: QoS,
    pub no_local: bool,
    pub retain_as_published: bool,
    /// 0, 1 or 2.
    pub retain_handling: u8,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Suback<'a> {
    pub packet_id: u16,
    pub properties: Properties<'a>,
    /// One byte a filter.
    pub reasons: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Unsubscribe<'a> {
    pub packet_id: u16,
    pub properties: Properties<'a>,
    pub filters: Names<'a>,
}

/// Topic Filters without options, as validated bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Names<'a> {
    pub(super) bytes: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Unsuback<'a> {
    pub packet_id: u16,
    pub properties: Properties<'a>,
    /// One byte a filter; empty before MQTT 5.
    pub reasons: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Disconnect<'a> {
    pub reason: ReasonCode,
    pub properties: Properties<'a>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Auth<'a> {
    pub reason: ReasonCode,
    pub properties: Properties<'a>,
}
