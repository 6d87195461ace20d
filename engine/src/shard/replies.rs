//! What a request is answered by messages: to its Response Topic, or to the requester alone.

use super::Shard;
use super::answers::private_topic;
use super::asked::{Asked, Target};
use super::outbox::Outbox;
use super::parcel::Conflict;
use crate::clock::Now;
use crate::dialect::Condition;
use crate::key::Client;
use crate::limits::REPLIES_WAITING_MAX;
use crate::row::batch::{Batch, Packet, Row};
use crate::row::json::write_string;
use crate::wire::{Properties, Property, PropertyBuffer, QoS};

impl Shard {
    /// Whether a publish that may lead to a reply may be taken.
    pub(super) fn has_room_for_replies(&self, asked: &Asked<'_>) -> bool {
        asked.condition == Condition::Always || self.replies.len() < REPLIES_WAITING_MAX
    }

    /// A condition does not hold: told to the Response Topic if there is one, else to the publisher alone.
    /// [MOTE-5.23] [MOTE-5.24]
    pub(super) fn on_conflict(&mut self, conflict: &Conflict, bytes: &[u8], out: &mut Outbox) {
        let properties = Properties::from_encoded(conflict.properties.of(bytes));
        let topic = conflict.topic.text_of(bytes);
        let body = conflict_body(conflict, topic, conflict.value.of(bytes));
        if let Some(response_topic) = properties.response_topic() {
            let client = Client { home: self.me, session: conflict.to };
            return self.reply(client, conflict.qos, response_topic, properties.correlation_data(), &body);
        }
        let private = private_topic("$conflict", topic);
        if !self.say_alone(conflict.to, &private, &body, out) {
            // It is told at least that there is one.
            let body = conflict_body(conflict, topic, b"null");
            self.say_alone(conflict.to, &private, &body, out);
        }
    }

    /// JSON to a Response Topic, published as if by the requester with RETAIN 0. [MOTE-4.14]
    pub(super) fn reply(
        &mut self,
        requester: Client,
        qos: QoS,
        topic: &str,
        correlation_data: Option<&[u8]>,
        body: &[u8],
    ) {
        let mut properties = PropertyBuffer::new();
        properties.push(&Property::PayloadFormatIndicator(1));
        properties.push(&Property::ContentType("application/json"));
        if let Some(correlation_data) = correlation_data {
            properties.push(&Property::CorrelationData(correlation_data));
        }
        let mut batch = Batch::default();
        let row = Row { topic: batch.keep(topic.as_bytes()), payload: batch.keep(body), text: false };
        batch.rows.push(row);
        let properties = batch.keep(properties.as_properties().bytes());
        batch.packets.push(Packet { properties, ..Packet::new(requester, qos, false) });
        self.replies.push_back(batch);
    }

    /// Sends replies in their order, as far as their owners have room.
    pub(super) fn send_replies(&mut self, now: Now, out: &mut Outbox) {
        while let Some(batch) = self.replies.pop_front() {
            let view = batch.view(0);
            let topic = view.topic(&view.rows[0]);
            if !self.has_room(&Ok(Target::Plain(topic)), false, out) {
                return self.replies.push_front(batch);
            }
            self.send_to_owner(now, self.roots.owner(topic), view, out);
        }
    }
}

fn conflict_body(conflict: &Conflict, topic: &str, value: &[u8]) -> Vec<u8> {
    let mut body = b"{\"topic\":".to_vec();
    write_string(topic, &mut body);
    let expected = match conflict.condition {
        Condition::Always | Condition::Exists => "\"any\"".to_owned(),
        Condition::Absent => "0".to_owned(),
        Condition::Version(version) => version.to_string(),
    };
    body.extend_from_slice(format!(",\"expected\":{expected},\"version\":{},\"value\":", conflict.version).as_bytes());
    body.extend_from_slice(value);
    body.push(b'}');
    body
}
