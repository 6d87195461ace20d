//! The Will Message, MQTT section 3.1.2.5.

use crate::wire::{self, QoS};

/// A will as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Will {
    pub topic: Box<str>,
    pub payload: Box<[u8]>,
    /// Forwarded properties, encoded.
    pub properties: Box<[u8]>,
    /// The value of the user property `mote`, if there was one.
    pub intent: Option<Box<str>>,
    pub qos: QoS,
    pub retain: bool,
    /// Will Delay Interval, seconds.
    pub delay_s: u32,
    /// Message Expiry Interval, seconds.
    pub expiry_s: Option<u32>,
    /// When it is published, while its client is away and it is delayed; milliseconds, monotonic. 0: not decided.
    pub due_ms: u64,
}

impl Will {
    pub fn new(will: &wire::Will<'_>) -> Will {
        // Two that differ were refused at CONNECT.
        let intent = crate::dialect::find_property(will.properties.user_properties()).unwrap_or_default();
        let mut properties = Vec::new();
        will.properties.forwarded(&mut properties, crate::dialect::is_consumed);
        Will {
            topic: will.topic.into(),
            payload: will.payload.into(),
            properties: properties.into(),
            intent: intent.map(Into::into),
            qos: will.qos,
            retain: will.retain,
            delay_s: will.properties.will_delay().unwrap_or(0),
            expiry_s: will.properties.message_expiry(),
            due_ms: 0,
        }
    }
}
