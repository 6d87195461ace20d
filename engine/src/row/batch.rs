//! Rows and batches: columns over one byte arena.
//!
//! A [`View`] is the rows of one packet over borrowed bytes, wherever they lie: in the receive buffer
//! (a plain publish whose owner is this shard), in a scratch arena (a tree publish), or in a parcel.
//! A [`Batch`] owns an arena and many packets; it is what crosses a link, by reference.
//!
//! ```text
//! Batch   bytes    | topic | payload | topic | payload | properties | topic | …
//!         rows     [Row {topic, payload, flags}] ----^ spans into bytes
//!         packets  [Packet {publisher, QoS, …, rows: first..first+count, ask}]
//!         asks     [Ask {verb, condition, …}] -- few packets have one ---^
//! ```

use crate::dialect::{Condition, Verb};
use crate::key::{Client, Span};
use crate::wire::QoS;

/// One topic with one payload. Shapes: spans into the arena of its batch.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// A valid topic name, UTF-8. Of a `set` the filter whose rows are written.
    pub topic: Span,
    /// Empty with RETAIN 1: the row is deleted.
    pub payload: Span,
    /// The text mark: merged, this row is a JSON string whatever it looks like.
    pub text: bool,
}

/// What a change did to one row, for those who ask for row versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Revision {
    /// The number of the change; 0: nothing that is retained changed.
    pub version: u64,
    /// The row's version before it; 0: it did not exist.
    pub before: u64,
    /// The row is deleted since its Message Expiry Interval has passed.
    pub expired: bool,
}

impl Revision {
    /// The row is an event, or deleted what did not exist.
    pub const NONE: Revision = Revision { version: 0, before: 0, expired: false };
}

/// What the rows of one packet share.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Who published; for No Local and for the verdict.
    pub publisher: Client,
    /// Names this publish in the publisher's queue of acknowledgements.
    pub ticket: u32,
    pub qos: QoS,
    pub retain: bool,
    /// The sender waits for a verdict (QoS above 0).
    pub wants_verdict: bool,
    /// The topic or pattern, without its intent, that a message about a refusal names. Empty where the publisher gets
    /// no such message: the acknowledgement says it, or there is nobody to be told.
    pub named: Span,
    /// Names a QoS 2 publish whose parts are committed together (`row::change::Join`); 0: it has none.
    pub publish: u64,
    /// MQTT 5 properties that go on to subscribers, encoded, in their order: Payload Format Indicator,
    /// Content Type, Response Topic, Correlation Data, User Property. Never Message Expiry Interval,
    /// Topic Alias or Subscription Identifier.
    pub properties: Span,
    /// Wall clock in milliseconds at which the message expires; 0: never.
    pub expires_at_ms: u64,
    /// The rows of this packet in `rows`.
    pub first_row: u32,
    pub row_count: u32,
    /// What it asks of its owner beyond that: an index into the asks of its batch, or [`Packet::NO_ASK`].
    pub ask: u32,
}

/// What a PUBLISH with a verb asks of the owner of its rows. Shapes: spans into the arena of its batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// `put`, `tree` or `set`.
    pub verb: Verb,
    /// When it is applied.
    pub condition: Condition,
    /// Retained rows that the pattern covers and the packet does not have are deleted.
    pub replace: bool,
    /// A condition that does not hold is told with what there is, not only by the acknowledgement.
    pub tells_conflict: bool,
    /// It is applied once.
    pub once: Option<Once>,
    /// The topic, pattern or filter as written, without its intent.
    pub pattern: Span,
    /// The same as a filter: what the rows of a `tree` or `set` can be. Of a `put` its topic.
    pub filter: Span,
}

/// How a publish with option `id` is known again: hashes under the seed of the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Once {
    /// Of the topic or pattern as written, and the key.
    pub key: u128,
    pub payload: u128,
}

impl Ask {
    /// It goes to every owner of its filter as it is, not in parts by group.
    pub fn is_whole(&self) -> bool {
        self.verb == Verb::Set || self.condition != Condition::Always || self.replace || self.once.is_some()
    }
}

impl Packet {
    /// It asks for nothing beyond what every PUBLISH does.
    pub const NO_ASK: u32 = u32::MAX;

    /// A packet of one row, without properties, that nobody waits for and that never expires.
    pub fn new(publisher: Client, qos: QoS, retain: bool) -> Packet {
        Packet {
            publisher,
            ticket: 0,
            qos,
            retain,
            wants_verdict: false,
            named: Span::EMPTY,
            publish: 0,
            properties: Span::EMPTY,
            expires_at_ms: 0,
            first_row: 0,
            row_count: 1,
            ask: Packet::NO_ASK,
        }
    }
    /// In place of an ask: the broker answers a `get` with it, so its user property `mote` is the broker's own.
    pub const OWN_WORDS: u32 = u32::MAX - 1;

    /// Homes are told before the first of it comes: all that it leads to is committed together.
    pub fn is_opened(&self) -> bool {
        self.publish != 0 && self.wants_verdict
    }

    /// It moves from one member of a share group to another, and is committed with both.
    pub fn is_moved(&self) -> bool {
        self.publish != 0 && !self.wants_verdict
    }

    pub fn row_range(&self) -> std::ops::Range<usize> {
        self.first_row as usize..(self.first_row + self.row_count) as usize
    }
}

/// Many packets over one arena.
#[derive(Default, Debug)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub rows: Vec<Row>,
    pub packets: Vec<Packet>,
    pub asks: Vec<Ask>,
}

impl Batch {
    /// Appends bytes to the arena and says where they lie.
    pub fn keep(&mut self, bytes: &[u8]) -> Span {
        let span = Span::new(self.bytes.len(), bytes.len());
        self.bytes.extend_from_slice(bytes);
        span
    }

    /// Copies the packet of `view` with all its rows and what it asks for into this batch and returns its index.
    pub fn copy_packet(&mut self, view: View<'_>) -> u32 {
        let index = self.copy_rows(view, view.rows.iter().copied());
        if let Some(ask) = view.ask {
            self.packets[index as usize].ask = self.copy_ask(view, ask);
        }
        index
    }

    /// Copies the packet of `view` with the given rows of it, on their way to subscribers: it asks for nothing more.
    pub fn copy_rows(&mut self, view: View<'_>, rows: impl Iterator<Item = Row>) -> u32 {
        let first_row = self.rows.len() as u32;
        let properties = self.keep(view.packet.properties.of(view.bytes));
        let named = self.keep(view.packet.named.of(view.bytes));
        for row in rows {
            let topic = self.keep(row.topic.of(view.bytes));
            let payload = self.keep(row.payload.of(view.bytes));
            self.rows.push(Row { topic, payload, text: row.text });
        }
        let row_count = self.rows.len() as u32 - first_row;
        let ask = if view.packet.ask == Packet::OWN_WORDS { Packet::OWN_WORDS } else { Packet::NO_ASK };
        self.packets.push(Packet { properties, named, first_row, row_count, ask, ..*view.packet });
        self.packets.len() as u32 - 1
    }

    /// A batch of this packet alone, which asks for nothing more.
    pub fn of(view: View<'_>) -> Batch {
        let mut batch = Batch::default();
        let used = view.rows.iter().map(|row| row.topic.len as usize + row.payload.len as usize).sum::<usize>();
        if 2 * used < view.bytes.len() {
            batch.copy_rows(view, view.rows.iter().copied());
            return batch;
        }
        // Most of the arena is this packet's: as it lies.
        let ask = if view.packet.ask == Packet::OWN_WORDS { Packet::OWN_WORDS } else { Packet::NO_ASK };
        batch.bytes.extend_from_slice(view.bytes);
        batch.rows.extend_from_slice(view.rows);
        batch.packets.push(Packet { first_row: 0, row_count: view.rows.len() as u32, ask, ..*view.packet });
        batch
    }

    fn copy_ask(&mut self, view: View<'_>, ask: &Ask) -> u32 {
        let pattern = self.keep(ask.pattern.of(view.bytes));
        let filter = self.keep(ask.filter.of(view.bytes));
        self.asks.push(Ask { pattern, filter, ..*ask });
        self.asks.len() as u32 - 1
    }

    pub fn view(&self, packet: u32) -> View<'_> {
        let packet = &self.packets[packet as usize];
        let ask = if packet.ask == Packet::NO_ASK { None } else { self.asks.get(packet.ask as usize) };
        View { bytes: &self.bytes, packet, rows: &self.rows[packet.row_range()], ask }
    }

    /// No less than what the rows count against `limits.retained_bytes`.
    pub fn cost_bytes(&self) -> usize {
        let row_bytes = |row: &Row| row.topic.len as usize + row.payload.len as usize;
        let properties: usize = self.packets.iter().map(|packet| packet.properties.len as usize).sum();
        self.rows.iter().map(row_bytes).sum::<usize>() + properties * self.rows.len()
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
        self.packets.clear();
        self.asks.clear();
    }
}

/// The rows of one packet, borrowed.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub bytes: &'a [u8],
    pub packet: &'a Packet,
    pub rows: &'a [Row],
    /// What the packet asks for beyond its rows; rare.
    pub ask: Option<&'a Ask>,
}

impl<'a> View<'a> {
    pub fn topic(&self, row: &Row) -> &'a str {
        row.topic.text_of(self.bytes)
    }

    pub fn payload(&self, row: &Row) -> &'a [u8] {
        row.payload.of(self.bytes)
    }

    pub fn properties(&self) -> &'a [u8] {
        self.packet.properties.of(self.bytes)
    }
}
