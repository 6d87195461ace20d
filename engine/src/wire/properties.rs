//! The properties of one packet: one borrowed list, validated once, read as often as needed.

use super::field::Reader;
use super::header::put_varint;
use super::property::{Raw, Seen, id, split_first, validate};
use super::{Fault, Property, Version};

/// Properties of one packet: the bytes after the Property Length, validated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Properties<'a> {
    bytes: &'a [u8],
}

impl<'a> Properties<'a> {
    pub const EMPTY: Properties<'static> = Properties { bytes: &[] };

    /// A list that was validated before, such as one from the store. Of other bytes, what follows the first
    /// that are no property is never seen.
    pub fn from_encoded(bytes: &'a [u8]) -> Properties<'a> {
        Properties { bytes }
    }

    /// Without the Property Length.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// In the order of the wire.
    pub fn iter(&self) -> impl Iterator<Item = Property<'a>> + use<'a> {
        self.raw().map_while(|raw| raw.read())
    }

    fn raw(&self) -> impl Iterator<Item = Raw<'a>> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (raw, after) = split_first(rest)?;
            rest = after;
            Some(raw)
        })
    }

    fn find(&self, id: u8) -> Option<Reader<'a>> {
        self.raw().find(|raw| raw.id == id).map(|raw| Reader::new(raw.value))
    }

    fn byte(&self, id: u8) -> Option<u8> {
        self.find(id)?.u8().ok()
    }

    fn two(&self, id: u8) -> Option<u16> {
        self.find(id)?.u16().ok()
    }

    fn four(&self, id: u8) -> Option<u32> {
        self.find(id)?.u32().ok()
    }

    fn text(&self, id: u8) -> Option<&'a str> {
        self.find(id)?.text().ok()
    }

    fn binary(&self, id: u8) -> Option<&'a [u8]> {
        self.find(id)?.binary().ok()
    }

    /// Appends to `out`, in their order, the properties that go on to subscribers: Payload Format Indicator,
    /// Content Type, Response Topic, Correlation Data and User Properties except those that `skip(name, value)` names.
    pub fn forwarded(&self, out: &mut Vec<u8>, skip: impl Fn(&str, &str) -> bool) {
        for raw in self.raw() {
            let goes_on = match raw.id {
                // [MQTT-3.3.2-4] [MQTT-3.3.2-20] [MQTT-3.3.2-15] [MQTT-3.3.2-16]
                id::PAYLOAD_FORMAT_INDICATOR | id::CONTENT_TYPE | id::RESPONSE_TOPIC | id::CORRELATION_DATA => true,
                // In their order [MQTT-3.3.2-17] [MQTT-3.3.2-18], those of a Will too [MQTT-3.1.3-10].
                id::USER_PROPERTY => match raw.read() {
                    Some(Property::UserProperty(name, value)) => !skip(name, value),
                    _ => false,
                },
                _ => false,
            };
            if goes_on {
                out.extend_from_slice(raw.whole);
            }
        }
    }

    /// The first User Property of this name.
    pub fn user_property(&self, name: &str) -> Option<&'a str> {
        self.user_properties().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Every User Property, name and value.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.raw().filter(|raw| raw.id == id::USER_PROPERTY).filter_map(|raw| match raw.read() {
            Some(Property::UserProperty(name, value)) => Some((name, value)),
            _ => None,
        })
    }

    /// Every Subscription Identifier; a PUBLISH to a client may carry many.
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.raw().filter(|raw| raw.id == id::SUBSCRIPTION_IDENTIFIER).filter_map(|raw| match raw.read() {
            Some(Property::SubscriptionIdentifier(id)) => Some(id),
            _ => None,
        })
    }

    pub fn subscription_identifier(&self) -> Option<u32> {
        self.subscription_identifiers().next()
    }

    /// 0: unspecified bytes, 1: UTF-8.
    pub fn payload_format_indicator(&self) -> Option<u8> {
        self.byte(id::PAYLOAD_FORMAT_INDICATOR)
    }

    /// Seconds.
    pub fn message_expiry(&self) -> Option<u32> {
        self.four(id::MESSAGE_EXPIRY_INTERVAL)
    }

    pub fn content_type(&self) -> Option<&'a str> {
        self.text(id::CONTENT_TYPE)
    }

    pub fn response_topic(&self) -> Option<&'a str> {
        self.text(id::RESPONSE_TOPIC)
    }

    pub fn correlation_data(&self) -> Option<&'a [u8]> {
        self.binary(id::CORRELATION_DATA)
    }

    /// Seconds; `u32::MAX`: never.
    pub fn session_expiry(&self) -> Option<u32> {
        self.four(id::SESSION_EXPIRY_INTERVAL)
    }

    pub fn assigned_client_identifier(&self) -> Option<&'a str> {
        self.text(id::ASSIGNED_CLIENT_IDENTIFIER)
    }

    /// Seconds.
    pub fn server_keep_alive(&self) -> Option<u16> {
        self.two(id::SERVER_KEEP_ALIVE)
    }

    pub fn authentication_method(&self) -> Option<&'a str> {
        self.text(id::AUTHENTICATION_METHOD)
    }

    pub fn authentication_data(&self) -> Option<&'a [u8]> {
        self.binary(id::AUTHENTICATION_DATA)
    }

    /// Absent means true.
    pub fn request_problem_information(&self) -> Option<bool> {
        self.byte(id::REQUEST_PROBLEM_INFORMATION).map(|flag| flag != 0)
    }

    /// Absent means false.
    pub fn request_response_information(&self) -> Option<bool> {
        self.byte(id::REQUEST_RESPONSE_INFORMATION).map(|flag| flag != 0)
    }

    /// Seconds.
    pub fn will_delay(&self) -> Option<u32> {
        self.four(id::WILL_DELAY_INTERVAL)
    }

    pub fn server_reference(&self) -> Option<&'a str> {
        self.text(id::SERVER_REFERENCE)
    }

    pub fn reason_string(&self) -> Option<&'a str> {
        self.text(id::REASON_STRING)
    }

    /// Absent means 65 535.
    pub fn receive_maximum(&self) -> Option<u16> {
        self.two(id::RECEIVE_MAXIMUM)
    }

    /// Absent means 0.
    pub fn topic_alias_maximum(&self) -> Option<u16> {
        self.two(id::TOPIC_ALIAS_MAXIMUM)
    }

    /// Never 0.
    pub fn topic_alias(&self) -> Option<u16> {
        self.two(id::TOPIC_ALIAS)
    }

    /// Absent means 2.
    pub fn maximum_qos(&self) -> Option<u8> {
        self.byte(id::MAXIMUM_QOS)
    }

    /// Absent means true.
    pub fn retain_available(&self) -> Option<bool> {
        self.byte(id::RETAIN_AVAILABLE).map(|flag| flag != 0)
    }

    /// Absent means true.
    pub fn wildcard_subscription_available(&self) -> Option<bool> {
        self.byte(id::WILDCARD_SUBSCRIPTION_AVAILABLE).map(|flag| flag != 0)
    }

    /// Absent means true.
    pub fn subscription_identifier_available(&self) -> Option<bool> {
        self.byte(id::SUBSCRIPTION_IDENTIFIER_AVAILABLE).map(|flag| flag != 0)
    }

    /// Absent means true.
    pub fn shared_subscription_available(&self) -> Option<bool> {
        self.byte(id::SHARED_SUBSCRIPTION_AVAILABLE).map(|flag| flag != 0)
    }

    pub fn response_information(&self) -> Option<&'a str> {
        self.text(id::RESPONSE_INFORMATION)
    }

    /// Bytes. Absent means no bound but the protocol's.
    pub fn maximum_packet_size(&self) -> Option<u32> {
        self.four(id::MAXIMUM_PACKET_SIZE)
    }

    /// Reads Property Length, 0 where there are none [MQTT-2.2.2-1], and properties. Before MQTT 5 there is neither.
    #[inline]
    pub(super) fn read(reader: &mut Reader<'a>, version: Version, at: u16) -> Result<(Properties<'a>, Seen), Fault> {
        if !version.is_v5() {
            return Ok((Properties::EMPTY, Seen::default()));
        }
        let len = reader.varint()?;
        let bytes = reader.bytes(len as usize)?;
        let seen = if bytes.is_empty() { Seen::default() } else { validate(bytes, at)? };
        Ok((Properties { bytes }, seen))
    }

    /// Writes Property Length and properties [MQTT-2.2.2-1].
    pub(super) fn write(&self, version: Version, out: &mut Vec<u8>) {
        if version.is_v5() {
            put_varint(self.bytes.len(), out);
            out.extend_from_slice(self.bytes);
        }
    }
}

/// Properties being written. Who pushes minds which packet takes them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PropertyBuffer {
    bytes: Vec<u8>,
}

impl PropertyBuffer {
    pub fn new() -> PropertyBuffer {
        PropertyBuffer::default()
    }

    pub fn push(&mut self, property: &Property<'_>) {
        property.encode(&mut self.bytes);
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    pub fn as_properties(&self) -> Properties<'_> {
        Properties { bytes: &self.bytes }
    }
}
