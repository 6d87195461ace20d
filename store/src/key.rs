//! The keys of the table, as drawn in `store/README.md`. Big-endian numbers, so that keys sort by them.

use engine::key::GroupId;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// A topic up to this length is its own key; LMDB takes 511 bytes, and what is set aside needs one more.
pub const TOPIC_KEY_BYTES_MAX: usize = 500;
/// Long topics of one group with one 128-bit hash that can be told apart.
pub const SLOTS: u8 = 4;

/// Of the keys and records; a store with a higher number is refused. Records have sums since 2.
pub const FORMAT: u32 = 2;

pub const IDENTITY: &[u8] = b"i";
pub const CLEAN: &[u8] = b"c";
pub const GROUP: u8 = b'g';
pub const ROW: u8 = b'r';
pub const LONG_ROW: u8 = b's';
pub const FLOOR: u8 = b'f';
pub const LONG_FLOOR: u8 = b'F';
/// Of everything of sessions, see `lasting`.
pub const LASTING: u8 = b'l';
pub const OUTCOME: u8 = b'o';
pub const PAST: u8 = b'h';
/// The queue by which an earlier mote's store forgot tombstones.
pub const QUEUE_OF_BEFORE: u8 = b't';
pub const SET_ASIDE: u8 = b'x';

/// Writes the key of a group's numbers.
pub fn group(key: &mut Vec<u8>, group: GroupId) {
    key.clear();
    key.push(GROUP);
    key.extend_from_slice(&group.0.to_be_bytes());
}

/// What is kept by its topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ByTopic {
    /// A row, or its tombstone.
    Row,
    Floor,
}

impl ByTopic {
    fn letter(self, topic_fits: bool) -> u8 {
        match (self, topic_fits) {
            (ByTopic::Row, true) => ROW,
            (ByTopic::Row, false) => LONG_ROW,
            (ByTopic::Floor, true) => FLOOR,
            (ByTopic::Floor, false) => LONG_FLOOR,
        }
    }
}

/// Writes the key of a row whose topic has at most [`TOPIC_KEY_BYTES_MAX`].
pub fn row(key: &mut Vec<u8>, group: GroupId, topic: &[u8]) {
    let [high, low] = group.0.to_be_bytes();
    key.clear();
    key.extend_from_slice(&[ROW, high, low]);
    key.extend_from_slice(topic);
}

/// Writes the key of what has a topic that is short enough. Else the first key that it may have, with the topic's hash:
/// [`set_slot`] makes the others. Says which.
pub fn by_topic(key: &mut Vec<u8>, what: ByTopic, group: GroupId, topic: &[u8], hash: impl FnOnce() -> u128) -> bool {
    let fits = topic.len() <= TOPIC_KEY_BYTES_MAX;
    key.clear();
    key.push(what.letter(fits));
    key.extend_from_slice(&group.0.to_be_bytes());
    if fits {
        key.extend_from_slice(topic);
    } else {
        key.extend_from_slice(&hash().to_be_bytes());
        key.push(0);
    }
    fits
}

/// Writes the key of the outcome of a publish with option `id`.
pub fn outcome(key: &mut Vec<u8>, group: GroupId, hash: u128) {
    key.clear();
    key.push(OUTCOME);
    key.extend_from_slice(&group.0.to_be_bytes());
    key.extend_from_slice(&hash.to_be_bytes());
}

/// The hash in the key of an outcome.
pub fn outcome_of(key: &[u8]) -> Option<u128> {
    key.get(3..)?.try_into().ok().map(u128::from_be_bytes)
}

/// Writes the key of a change in the history of a row.
pub fn past(key: &mut Vec<u8>, group: GroupId, version: u64, index: u32) {
    key.clear();
    key.push(PAST);
    key.extend_from_slice(&group.0.to_be_bytes());
    key.extend_from_slice(&version.to_be_bytes());
    key.extend_from_slice(&index.to_be_bytes());
}

/// The version and index in the key of such a change.
pub fn past_of(key: &[u8]) -> Option<(u64, u32)> {
    let (version, index) = key.get(3..)?.split_first_chunk()?;
    Some((u64::from_be_bytes(*version), u32::from_be_bytes(index.try_into().ok()?)))
}

pub fn set_slot(key: &mut [u8], slot: u8) {
    if let Some(last) = key.last_mut() {
        *last = slot;
    }
}

/// The key under which a damaged record is kept.
pub fn set_aside(key: &[u8]) -> Vec<u8> {
    let mut aside = Vec::with_capacity(key.len() + 1);
    aside.push(SET_ASIDE);
    aside.extend_from_slice(key);
    aside
}

/// The letters of what belongs to a group, in the order of a restore: floors after the rows.
pub const OF_GROUPS: [u8; 6] = [ROW, LONG_ROW, FLOOR, LONG_FLOOR, OUTCOME, PAST];

/// Every letter that a key may begin with, in their order. A key that begins with another is not what was written.
pub const ALL: [u8; 12] = [
    LONG_FLOOR,
    CLEAN[0],
    FLOOR,
    GROUP,
    PAST,
    IDENTITY[0],
    LASTING,
    OUTCOME,
    ROW,
    LONG_ROW,
    QUEUE_OF_BEFORE,
    SET_ASIDE,
];

/// Whether the key is of something that belongs to a group.
pub fn is_of_group(key: &[u8]) -> bool {
    key.first().is_some_and(|letter| OF_GROUPS.contains(letter))
}

/// The group in a key of what belongs to one, and in that of its numbers.
pub fn group_of(key: &[u8]) -> Option<GroupId> {
    let bytes = key.get(1..3)?;
    Some(GroupId(u16::from_be_bytes([bytes[0], bytes[1]])))
}

/// The topic in the key of a row or floor; none when it is too long to be there.
pub fn topic_of(key: &[u8]) -> Option<&[u8]> {
    if matches!(key.first(), Some(&ROW | &FLOOR)) { key.get(3..) } else { None }
}

/// A key as people read it.
pub fn shown(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

/// The hash that stands for a long topic. A field, so that tests can make topics collide.
pub type TopicHash = fn([u64; 2], &[u8]) -> u128;

pub fn topic_hash(seed: [u64; 2], topic: &[u8]) -> u128 {
    let mut hasher = SipHasher13::new_with_keys(seed[0], seed[1]);
    hasher.write(topic);
    hasher.finish128().as_u128()
}
