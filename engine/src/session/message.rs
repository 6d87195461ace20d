//! Messages that wait: in a window or a queue. One copy per row and home, counted, shared by its readers.

use super::lasting::Numbering;
use crate::key::Span;
use crate::row::change::Changes;
use crate::row::lasting::{Record, RecordKey};

/// A message in the store of its home shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MessageKey(u32);

/// What a delivery needs again when it is sent later or resent.
#[derive(Debug)]
pub struct Message {
    bytes: Box<[u8]>,
    topic: Span,
    payload: Span,
    properties: Span,
    /// Wall clock in milliseconds; 0: never.
    pub expires_at_ms: u64,
    references: u32,
    /// Its number in the store; 0: it is not there.
    number: u64,
}

impl Message {
    pub fn new(topic: &str, payload: &[u8], properties: &[u8], expires_at_ms: u64) -> Message {
        let mut bytes = Vec::with_capacity(topic.len() + payload.len() + properties.len());
        let mut keep = |part: &[u8]| {
            let span = Span::new(bytes.len(), part.len());
            bytes.extend_from_slice(part);
            span
        };
        let (topic, payload, properties) = (keep(topic.as_bytes()), keep(payload), keep(properties));
        Message { bytes: bytes.into_boxed_slice(), topic, payload, properties, expires_at_ms, references: 0, number: 0 }
    }

    pub fn topic(&self) -> &str {
        self.topic.text_of(&self.bytes)
    }

    pub fn payload(&self) -> &[u8] {
        self.payload.of(&self.bytes)
    }

    /// Encoded properties, as `row::batch::Packet::properties`.
    pub fn properties(&self) -> &[u8] {
        self.properties.of(&self.bytes)
    }

    /// What it counts against `session.queue_bytes`.
    pub fn cost_bytes(&self) -> usize {
        self.bytes.len() + size_of::<Message>()
    }
}

/// Slab of counted messages.
#[derive(Default)]
pub struct Messages {
    slots: Vec<Option<Message>>,
    free: Vec<u32>,
    bytes: usize,
    /// Numbers in the store of messages that nobody waits for any more.
    gone: Vec<u64>,
}

impl Messages {
    /// Keeps a message that nobody refers to yet; `hold` it, or `drop_unheld` it.
    pub fn insert(&mut self, message: Message) -> MessageKey {
        self.bytes += message.bytes.len();
        if let Some(index) = self.free.pop() {
            self.slots[index as usize] = Some(message);
            return MessageKey(index);
        }
        self.slots.push(Some(message));
        MessageKey(self.slots.len() as u32 - 1)
    }

    pub fn get(&self, key: MessageKey) -> &Message {
        self.slots[key.0 as usize].as_ref().expect("a key is only kept while it is held")
    }

    pub fn hold(&mut self, key: MessageKey) {
        let message = self.slots[key.0 as usize].as_mut().expect("only a kept message is held");
        message.references += 1;
    }

    pub fn release(&mut self, key: MessageKey) {
        let slot = &mut self.slots[key.0 as usize];
        let message = slot.as_mut().expect("a message is released as often as it was held");
        message.references -= 1;
        if message.references == 0 {
            self.bytes -= message.bytes.len();
            if message.number != 0 {
                self.gone.push(message.number);
            }
            *slot = None;
            self.free.push(key.0);
        }
    }

    /// The number of a message in the store, where it is written if it is not there.
    pub fn write(&mut self, key: MessageKey, numbers: &mut Numbering, to: &mut Changes) -> u64 {
        let message = self.slots[key.0 as usize].as_mut().expect("only a held message is written");
        if message.number == 0 {
            message.number = numbers.take();
            let record = Record::Message {
                topic: message.topic.of(&message.bytes),
                payload: message.payload.of(&message.bytes),
                properties: message.properties.of(&message.bytes),
                expires_at_ms: message.expires_at_ms,
            };
            to.keep_record(RecordKey::Message(message.number), record);
        }
        message.number
    }

    /// A message of an earlier process. Hold it.
    pub fn restore(&mut self, message: Message, number: u64) -> MessageKey {
        self.insert(Message { number, ..message })
    }

    pub fn is_in_store(&self, key: MessageKey) -> bool {
        self.get(key).number != 0
    }

    /// A message that stands in the store and that nobody waits for.
    pub fn forget(&mut self, number: u64) {
        self.gone.push(number);
    }

    /// Deletes from the store what nobody waits for any more.
    pub fn write_gone(&mut self, to: &mut Changes) {
        for number in self.gone.drain(..) {
            to.forget_record(RecordKey::Message(number));
        }
    }

    pub fn is_held(&self, key: MessageKey) -> bool {
        self.slots[key.0 as usize].as_ref().is_some_and(|message| message.references > 0)
    }

    /// Forgets a message that nobody came to hold.
    pub fn drop_unheld(&mut self, key: MessageKey) {
        let slot = &mut self.slots[key.0 as usize];
        if let Some(message) = slot.as_ref().filter(|message| message.references == 0) {
            self.bytes -= message.bytes.len();
            *slot = None;
            self.free.push(key.0);
        }
    }

    /// Topics, payloads and properties of the messages kept now.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages kept now.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
