//! What hangs on a node: a retained row, or the tombstone of one.
//!
//! ```text
//! body   [expires_at_ms 8]? [properties_len 4]? properties payload
//! ```
//!
//! Most rows neither expire nor have properties, and then the body is the payload.

use super::slab::NONE;
use crate::key::GroupId;
use crate::limits::GROUPS;
use crate::row::change::Kept;
use crate::wire::QoS;

const QOS_BITS: u8 = 0b11;
const TEXT: u8 = 1 << 2;
const EXPIRES: u8 = 1 << 3;
const HAS_PROPERTIES: u8 = 1 << 4;

const EXPIRES_BYTES: usize = size_of::<u64>();
const LEN_BYTES: usize = size_of::<u32>();

/// See the module.
pub(super) struct Record {
    pub(super) held: Held,
    pub(super) version: u64,
    pub(super) order: Order,
    group: u8,
    flags: u8,
    /// Neighbours in the list of changes: the list of rows for a row, that of tombstones for a tombstone.
    pub(super) newer: u32,
    pub(super) older: u32,
    pub(super) node: u32,
}

pub(super) enum Held {
    Row(Box<[u8]>),
    /// Deleted at this wall clock time, milliseconds.
    Tombstone(u64),
}

/// When a record was last changed: 48 bits of position, 32 that number the changes of one. No two records share one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(Rust, packed(2))]
pub(super) struct Order {
    high: u64,
    low: u16,
}

/// Positions are less: a million batches a second would take nine years to get here.
const POSITION_END: u64 = 1 << 48;

/// In place of a position: of a batch that is not complete. It is above all that are given.
pub const UNDER_WAY: u64 = POSITION_END - 1;

const _: () = assert!(size_of::<Held>() == 16 && size_of::<Order>() == 10);
const _: () = assert!(size_of::<Record>() == 48);
const _: () = assert!(GROUPS <= u8::MAX as usize + 1);

impl Order {
    /// Before all others.
    pub(super) const FIRST: Order = Order { high: 0, low: 0 };

    pub(super) fn position(self) -> u64 {
        self.high >> 16
    }

    /// Of the change after this one.
    pub(super) fn next(self, position: u64) -> Order {
        assert!(position >= self.position() && position < POSITION_END, "positions never fall");
        let first = Order { high: position << 16, low: 0 };
        if position > self.position() {
            return first;
        }
        let (low, carry) = self.low.overflowing_add(1);
        Order { high: self.high + u64::from(carry), low }
    }

    fn key(self) -> (u64, u16) {
        (self.high, self.low)
    }
}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Order) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Order {
    fn cmp(&self, other: &Order) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Default for Record {
    fn default() -> Record {
        Record {
            held: Held::Tombstone(0),
            version: 0,
            order: Order::FIRST,
            group: 0,
            flags: 0,
            newer: NONE,
            older: NONE,
            node: NONE,
        }
    }
}

impl Record {
    /// A record of `node` that holds nothing yet.
    pub(super) fn of(node: u32, group: GroupId) -> Record {
        debug_assert!(group.index() < GROUPS);
        Record { node, group: group.0 as u8, ..Record::default() }
    }

    pub(super) fn group(&self) -> GroupId {
        GroupId(u16::from(self.group))
    }

    pub(super) fn is_row(&self) -> bool {
        matches!(self.held, Held::Row(_))
    }

    pub(super) fn body_bytes(&self) -> usize {
        match &self.held {
            Held::Row(body) => body.len(),
            Held::Tombstone(_) => 0,
        }
    }

    /// Becomes the row. A body of the same length is written in its place.
    pub(super) fn write(&mut self, row: Kept<'_>) {
        let expires = row.expires_at_ms.to_le_bytes();
        let len = (row.properties.len() as u32).to_le_bytes();
        let has_properties = !row.properties.is_empty();
        self.flags = row.qos as u8;
        self.flags |= if row.text { TEXT } else { 0 };
        self.flags |= if row.expires_at_ms > 0 { EXPIRES } else { 0 };
        self.flags |= if has_properties { HAS_PROPERTIES } else { 0 };
        self.version = row.version;
        let expires: &[u8] = if row.expires_at_ms > 0 { &expires } else { &[] };
        let len: &[u8] = if has_properties { &len } else { &[] };
        self.set_body([expires, len, row.properties, row.payload]);
    }

    fn set_body(&mut self, parts: [&[u8]; 4]) {
        let [.., payload] = parts;
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        match &mut self.held {
            Held::Row(body) if body.len() == bytes => {
                let mut at = 0;
                for part in parts {
                    body[at..at + part.len()].copy_from_slice(part);
                    at += part.len();
                }
            }
            held if payload.len() == bytes => *held = Held::Row(payload.into()),
            held => *held = Held::Row(parts.concat().into_boxed_slice()),
        }
    }

    /// The row under its topic, which is not kept here. `None` for a tombstone.
    pub(super) fn kept<'s>(&'s self, topic: &'s str) -> Option<Kept<'s>> {
        let Held::Row(body) = &self.held else { return None };
        let (expires_at_ms, rest) = self.split_expiry(body);
        let (properties, payload) = self.split_properties(rest);
        let qos = match self.flags & QOS_BITS {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        let text = self.flags & TEXT != 0;
        Some(Kept { topic, payload, properties, qos, text, expires_at_ms, version: self.version })
    }

    /// Wall clock, milliseconds; 0: never, and for a tombstone.
    pub(super) fn expires_at_ms(&self) -> u64 {
        match &self.held {
            Held::Row(body) => self.split_expiry(body).0,
            Held::Tombstone(_) => 0,
        }
    }

    fn split_expiry<'b>(&self, body: &'b [u8]) -> (u64, &'b [u8]) {
        match body.split_first_chunk::<EXPIRES_BYTES>() {
            Some((expires, rest)) if self.flags & EXPIRES != 0 => (u64::from_le_bytes(*expires), rest),
            _ => (0, body),
        }
    }

    fn split_properties<'b>(&self, body: &'b [u8]) -> (&'b [u8], &'b [u8]) {
        match body.split_first_chunk::<LEN_BYTES>() {
            Some((len, rest)) if self.flags & HAS_PROPERTIES != 0 => rest.split_at(u32::from_le_bytes(*len) as usize),
            _ => (&[], body),
        }
    }
}
