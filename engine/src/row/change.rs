//! What an owner tells the writer: changes of retained rows, in the order in which they were applied.
//!
//! One [`Changes`] holds whole batches only: a commit never cuts a batch of a group in two.

use super::lasting::{Record, RecordKey};
use crate::key::{GroupId, Span};
use crate::wire::QoS;

/// A retained row as it is kept, borrowed from the engine's memory or from the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    /// Forwarded MQTT 5 properties, encoded (see `batch::Packet::properties`).
    pub properties: &'a [u8],
    pub qos: QoS,
    pub text: bool,
    /// Wall clock, milliseconds; 0: never.
    pub expires_at_ms: u64,
    /// The number of its group's change that wrote it.
    pub version: u64,
}

impl Kept<'_> {
    /// What it counts against `limits.retained_bytes`.
    pub fn cost_bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.len()
    }
}

/// The outcome of a publish with option `id`. Keys are hashes under the seed of the store (`batch::Once`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub key: u128,
    pub payload: u128,
    /// Of what it changed; 0: nothing that is retained.
    pub version: u64,
    /// Anybody was subscribed.
    pub matched: bool,
    /// When it was applied.
    pub wall_ms: u64,
}

/// A change of a row whose history is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Past<'a> {
    /// Of the change; and which of its rows this is.
    pub version: u64,
    pub index: u32,
    pub topic: &'a str,
    /// Empty where it is deleted.
    pub payload: &'a [u8],
    pub qos: QoS,
    pub text: bool,
    pub deleted: bool,
}

/// What the store gives back at a start, to the owner of its group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restored<'a> {
    /// Expired ones too: their owner deletes them by a change.
    Row(GroupId, Kept<'a>),
    Tombstone {
        group: GroupId,
        topic: &'a str,
        version: u64,
        wall_ms: u64,
    },
    /// After the rows and tombstones.
    Floor {
        group: GroupId,
        topic: &'a str,
        version: u64,
    },
    Outcome(GroupId, Outcome),
    /// In the order of their versions.
    Past(GroupId, Past<'a>),
}

impl Restored<'_> {
    pub fn group(&self) -> GroupId {
        match *self {
            Restored::Row(group, _)
            | Restored::Tombstone { group, .. }
            | Restored::Floor { group, .. }
            | Restored::Outcome(group, _)
            | Restored::Past(group, _) => group,
        }
    }
}

/// One change; spans point into [`Changes::bytes`]. There is one for each row, so what is large and rare lies elsewhere in
/// the [`Changes`], by an index.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Put {
        group: GroupId,
        topic: Span,
        payload: Span,
        properties: Span,
        qos: QoS,
        text: bool,
        expires_at_ms: u64,
        version: u64,
    },
    /// The row is deleted; a tombstone with this version stays.
    Delete { group: GroupId, topic: Span, version: u64, wall_ms: u64 },
    /// The tombstone of a topic, with this version, is forgotten.
    Lapse { group: GroupId, topic: Span, version: u64 },
    /// The object at a topic has at least this version; 0: nothing is left of it.
    Floor { group: GroupId, topic: Span, version: u64 },
    /// The history of a row has this change too.
    Past { group: GroupId, version: u64, index: u32, topic: Span, payload: Span, qos: QoS, text: bool, deleted: bool },
    /// That change is too old to be kept.
    Cut { group: GroupId, version: u64, index: u32 },
    /// The numbers of `group` up to `bound` are reserved from here on.
    Reserve { group: GroupId, bound: u64 },
    /// The numbers of `group` up to `last` were used, some for rows that are not kept.
    Used { group: GroupId, last: u64 },
    /// A publish with option `id` was applied: what it is answered when it comes again, `outcomes[index]`. `topic`: of
    /// one of its rows.
    Outcome { group: GroupId, topic: Span, index: u32 },
    /// The outcome of this key is forgotten.
    Forgotten { group: GroupId, key: u128 },
    /// A record of a session is written: `records[index]`.
    Keep { key: RecordKey, index: u32 },
    /// A record of a session is deleted.
    Forget { key: RecordKey },
    /// A session has ended: all its records but the messages, which others may wait for, are deleted.
    End { session: u64 },
}

const _: () = assert!(size_of::<Change>() <= 48);

impl Change {
    /// A change of rows, where its spans lie so many bytes further on.
    fn shifted(mut self, bytes: usize) -> Change {
        let shift = |span: &mut Span| *span = Span::new(span.start as usize + bytes, span.len as usize);
        match &mut self {
            Change::Put { topic, payload, properties, .. } => [topic, payload, properties].into_iter().for_each(shift),
            Change::Past { topic, payload, .. } => [topic, payload].into_iter().for_each(shift),
            Change::Delete { topic, .. }
            | Change::Lapse { topic, .. }
            | Change::Floor { topic, .. }
            | Change::Outcome { topic, .. } => shift(topic),
            Change::Cut { .. }
            | Change::Reserve { .. }
            | Change::Used { .. }
            | Change::Forgotten { .. }
            | Change::Keep { .. }
            | Change::Forget { .. }
            | Change::End { .. } => {}
        }
        self
    }

    /// What a change of a row counts against `store.pending_bytes`, as a part of [`Changes::cost_bytes`].
    pub fn cost_bytes(&self) -> usize {
        let spans = match *self {
            Change::Put { topic, payload, properties, .. } => topic.len + payload.len + properties.len,
            Change::Delete { topic, .. } | Change::Lapse { topic, .. } | Change::Floor { topic, .. } => topic.len,
            _ => 0,
        };
        spans as usize + crate::limits::CHANGE_BYTES_MIN
    }
}

/// One of several parts of what must be committed together, in [`Changes`] of several shards: a QoS 2 publish is known
/// as received if and only if it is retained and stands in the queues that it was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Join {
    /// Never used twice by one process.
    pub publish: u64,
    /// How many parts there are; said by one of them, 0 in the others.
    pub parts: u32,
}

/// Changes of one or more whole batches, in order.
#[derive(Default, Debug)]
pub struct Changes {
    pub bytes: Vec<u8>,
    pub list: Vec<Change>,
    pub records: Vec<Record<Span>>,
    pub outcomes: Vec<Outcome>,
    /// Position of the last of them in this shard's stream of changes, counted from 1. The store
    /// reports positions back when they are committed.
    pub last: u64,
    /// Parts of what is committed together with changes of other shards, or of this one.
    pub joins: Vec<Join>,
    /// Somebody waits until these are durable: commit at once.
    pub is_awaited: bool,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.joins.is_empty()
    }

    /// Something was added: the position of it. Positions go on from one [`Changes`] of a shard to its next.
    pub fn advance(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Forgets everything but its memory and its position.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.list.clear();
        self.records.clear();
        self.outcomes.clear();
        self.joins.clear();
    }

    fn keep(&mut self, bytes: &[u8]) -> Span {
        let span = Span::new(self.bytes.len(), bytes.len());
        self.bytes.extend_from_slice(bytes);
        span
    }

    pub fn put(&mut self, group: GroupId, row: Kept<'_>) {
        let topic = self.keep(row.topic.as_bytes());
        let payload = self.keep(row.payload);
        let properties = self.keep(row.properties);
        let Kept { qos, text, expires_at_ms, version, .. } = row;
        self.list.push(Change::Put { group, topic, payload, properties, qos, text, expires_at_ms, version });
    }

    pub fn delete(&mut self, group: GroupId, topic: &str, version: u64, wall_ms: u64) {
        let topic = self.keep(topic.as_bytes());
        self.list.push(Change::Delete { group, topic, version, wall_ms });
    }

    pub fn lapse(&mut self, group: GroupId, topic: &str, version: u64) {
        let topic = self.keep(topic.as_bytes());
        self.list.push(Change::Lapse { group, topic, version });
    }

    pub fn floor(&mut self, group: GroupId, topic: &str, version: u64) {
        let topic = self.keep(topic.as_bytes());
        self.list.push(Change::Floor { group, topic, version });
    }

    /// The row that was put or deleted last is one whose history is kept; `index` tells the rows of a change apart.
    pub fn remember(&mut self, index: u32) {
        let past = match self.list.last() {
            Some(&Change::Put { group, topic, payload, qos, text, version, .. }) => {
                Change::Past { group, version, index, topic, payload, qos, text, deleted: false }
            }
            Some(&Change::Delete { group, topic, version, .. }) => {
                let (payload, qos) = (Span::EMPTY, QoS::AtMostOnce);
                Change::Past { group, version, index, topic, payload, qos, text: false, deleted: true }
            }
            _ => return debug_assert!(false, "a row was changed just before"),
        };
        self.list.push(past);
    }

    pub fn cut(&mut self, group: GroupId, version: u64, index: u32) {
        self.list.push(Change::Cut { group, version, index });
    }

    pub fn keep_record(&mut self, key: RecordKey, record: Record<&[u8]>) {
        let record = record.map(|part| self.keep(part));
        self.list.push(Change::Keep { key, index: self.records.len() as u32 });
        self.records.push(record);
    }

    pub fn forget_record(&mut self, key: RecordKey) {
        self.list.push(Change::Forget { key });
    }

    pub fn end_session(&mut self, session: u64) {
        self.list.push(Change::End { session });
    }

    pub fn reserve(&mut self, group: GroupId, bound: u64) {
        self.list.push(Change::Reserve { group, bound });
    }

    pub fn used(&mut self, group: GroupId, last: u64) {
        self.list.push(Change::Used { group, last });
    }

    /// `topic` is of one of the rows that it was the outcome of.
    pub fn outcome(&mut self, group: GroupId, topic: &str, outcome: Outcome) {
        let topic = self.keep(topic.as_bytes());
        self.list.push(Change::Outcome { group, topic, index: self.outcomes.len() as u32 });
        self.outcomes.push(outcome);
    }

    pub fn forget_outcome(&mut self, group: GroupId, key: u128) {
        self.list.push(Change::Forgotten { group, key });
    }

    /// Adds the changes of rows that were gathered apart. They take no position: `advance` says that they are there.
    pub fn append(&mut self, mut apart: Changes) {
        debug_assert!(apart.records.is_empty() && apart.outcomes.is_empty(), "they are of rows");
        if self.is_empty() {
            (self.bytes, self.list) = (apart.bytes, apart.list);
            return;
        }
        let base = self.bytes.len();
        self.bytes.append(&mut apart.bytes);
        self.list.extend(apart.list.into_iter().map(|change| change.shifted(base)));
    }

    /// What these changes count against `store.pending_bytes`.
    pub fn cost_bytes(&self) -> usize {
        self.bytes.len() + self.list.len() * crate::limits::CHANGE_BYTES_MIN
    }
}
