//! What every client looks at in everything that it is sent, whatever the conversation is about: rules that no
//! server may break on one connection.

use crate::client::ConnectOptions;
use engine::wire::{Ack, AckKind, Packet, Properties, Property, Publish, QoS, Version};
use std::collections::HashSet;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// CONNACK is awaited.
    Fresh,
    Accepted,
    /// Refused or told to go: nothing follows.
    Over,
}

/// See the module.
pub(crate) struct Watch {
    version: Version,
    stage: Stage,
    receive_max: usize,
    packet_bytes_max: usize,
    wants_problems: bool,
    has_method: bool,
    /// Identifiers of QoS 1 and 2 messages that came by this connection and are not acknowledged to the end.
    open: HashSet<u16>,
}

impl Watch {
    pub(crate) fn new(options: &ConnectOptions<'_>) -> Watch {
        let mut watch = Watch {
            version: options.version,
            stage: Stage::Fresh,
            receive_max: usize::from(u16::MAX),
            packet_bytes_max: usize::MAX,
            wants_problems: true,
            has_method: false,
            open: HashSet::new(),
        };
        let properties = if options.version.is_v5() { &options.properties[..] } else { &[] };
        for property in properties {
            match property {
                Property::ReceiveMaximum(receive_max) => watch.receive_max = usize::from(*receive_max),
                Property::MaximumPacketSize(bytes @ 1..) => watch.packet_bytes_max = *bytes as usize,
                Property::RequestProblemInformation(wanted) => watch.wants_problems = *wanted != 0,
                Property::AuthenticationMethod(_) => watch.has_method = true,
                _ => {}
            }
        }
        watch
    }

    /// A packet of so many bytes has come.
    pub(crate) fn see(&mut self, packet: &Packet<'_>, bytes: usize) {
        assert!(bytes <= self.packet_bytes_max, "[MQTT-3.1.2-24]: {bytes} bytes: {packet:?}");
        // [MQTT-3.14.4-1], [MQTT-4.13.2-1]
        assert_ne!(self.stage, Stage::Over, "after the last packet: {packet:?}");
        // [MQTT-3.2.0-1] [3.1.1: MQTT-3.2.0-1], [MQTT-3.14.0-1]
        let is_connack = matches!(packet, Packet::Connack(_));
        assert!(is_connack || self.stage == Stage::Accepted, "before CONNACK: {packet:?}");
        self.see_problems(packet);
        match packet {
            Packet::Connack(connack) => {
                assert_eq!(self.stage, Stage::Fresh, "[MQTT-3.2.0-2]: {connack:?}");
                self.stage = if connack.code == 0 { Stage::Accepted } else { Stage::Over };
                // [MQTT-3.2.2-6] [3.1.1: MQTT-3.2.2-4]
                assert!(connack.code == 0 || !connack.session_present, "{connack:?}");
                // [MQTT-4.12.0-6]
                assert!(self.has_method || connack.properties.authentication_method().is_none(), "{connack:?}");
            }
            Packet::Publish(publish) => self.see_publish(publish),
            Packet::Disconnect(disconnect) => {
                self.stage = Stage::Over;
                assert!(self.version.is_v5(), "DISCONNECT of a server is new in MQTT 5");
                // [MQTT-3.14.2-2]
                assert_eq!(disconnect.properties.session_expiry(), None, "{disconnect:?}");
            }
            // [MQTT-4.12.0-6]
            Packet::Auth(auth) => assert!(self.has_method, "{auth:?}"),
            _ => {}
        }
    }

    fn see_publish(&mut self, publish: &Publish<'_>) {
        if publish.qos == QoS::AtMostOnce {
            // [MQTT-3.3.1-2] [MQTT-4.3.1-1] [3.1.1: MQTT-3.3.1-2] [3.1.1: MQTT-4.3.1-1]
            return assert!(!publish.dup, "{publish:?}");
        }
        // [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [3.1.1: MQTT-2.3.1-4]; and nothing is sent twice on one
        // connection [MQTT-4.4.0-1].
        assert!(self.open.insert(publish.packet_id), "an identifier in use: {publish:?}");
        // [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
        assert!(self.open.len() <= self.receive_max, "more than Receive Maximum: {publish:?}");
    }

    /// [MQTT-3.1.2-29]
    fn see_problems(&self, packet: &Packet<'_>) {
        let properties = match packet {
            Packet::Ack(ack) => ack.properties,
            Packet::Suback(suback) => suback.properties,
            Packet::Unsuback(unsuback) => unsuback.properties,
            _ => Properties::EMPTY,
        };
        assert!(self.wants_problems || properties.is_empty(), "nobody asked: {packet:?}");
    }

    /// The client acknowledges.
    pub(crate) fn answered(&mut self, ack: &Ack<'_>) {
        match ack.kind {
            AckKind::Puback | AckKind::Pubcomp => self.open.remove(&ack.packet_id),
            AckKind::Pubrec => ack.reason.is_error() && self.open.remove(&ack.packet_id),
            AckKind::Pubrel => false,
        };
    }
}
