//! Wills that are due: published as their clients asked, with nobody left to be told.

use super::Shard;
use super::asked::{Message, message_of_will};
use super::outbox::Outbox;
use super::publish::expires_at_ms;
use crate::clock::Now;
use crate::dialect::allowed_on_will;
use crate::key::Client;
use crate::row::batch::Packet;
use crate::session::will::Will;
use crate::wire::{self, Properties};

impl Shard {
    /// Publishes the wills that are due, as far as their owners have room.
    pub(super) fn publish_wills(&mut self, now: Now, out: &mut Outbox) {
        if self.is_stopping {
            return self.wills.clear();
        }
        let mut at = 0;
        while let Some(will) = self.wills.get(at).map(|due| &due.will) {
            // One that is retained waits for the store; those behind it that are not need not.
            if will.retain && out.store_full {
                at += 1;
                continue;
            }
            let Some(due) = self.wills.remove(at) else { return };
            let will = &due.will;
            let properties = Properties::from_encoded(&will.properties);
            let retain = will.retain;
            let message = Message {
                topic: &will.topic,
                payload: &will.payload,
                properties,
                retain,
                mote: Ok(will.intent.as_deref()),
                is_text: properties.content_type().is_some_and(|content| content.starts_with("text/")),
            };
            let target = self.target(&message, allowed_on_will);
            if !self.has_room(&target, will.retain, out) {
                return self.wills.insert(at, due);
            }
            let mut packet = will_packet(due.client, will, now);
            // A will that cannot be spread has nobody left to be told.
            if target.and_then(|target| self.spread(&target, &message, false, &mut packet)).is_ok() {
                self.send_scratch(now, packet, |_, _| (0, 0), out);
            }
        }
    }
}

/// A will as it is kept until it is due.
pub(super) fn kept_will(will: &wire::Will<'_>, is_classic: bool) -> Box<Will> {
    // Two intents that differ were refused at CONNECT.
    let intent = message_of_will(will, is_classic).mote.unwrap_or_default().map(Into::into);
    Box::new(Will { intent, ..Will::new(will) })
}

fn will_packet(publisher: Client, will: &Will, now: Now) -> Packet {
    // [MQTT-3.1.2-14] [MQTT-3.1.2-15] [3.1.1: MQTT-3.1.2-16] [3.1.1: MQTT-3.1.2-17]
    Packet {
        expires_at_ms: expires_at_ms(now, will.expiry_s),
        row_count: 0,
        ..Packet::new(publisher, will.qos, will.retain)
    }
}
