//! The keys of the table, as drawn in `store/README.md`. Big-endian numbers, so that keys sort by them.

use engine::key::GroupId;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// A topic up to this length is its own key; LMDB takes 511 bytes, and what is set aside needs one more.
pub const TOPIC_KEY_BYTES_MAX: usize = 500;
/// Long topics of one group with one 128-bit hash that can be told apart.
pub const SLOTS: u8 = 4;

/// Of the keys and records; a store with a higher number is refused.
pub const FORMAT: u32 = 1;

pub const IDENTITY: &[u8] = b"i";
pub const CLEAN: &[u8] = b"c";
pub const GROUP: u8 = b'g';
pub const ROW: u8 = b'r';
pub const LONG_ROW: u8 = b's';
pub const TOMBSTONE: u8 = b't';
pub const SET_ASIDE: u8 = b'x';

/// Writes the key of a group's numbers.
pub fn group(key: &mut Vec<u8>, group: GroupId) {
    key.clear();
    key.push(GROUP);
    key.extend_from_slice(&group.0.to_be_bytes());
}

/// Writes the key of a row whose topic is short enough; else says no.
pub fn row(key: &mut Vec<u8>, group: GroupId, topic: &[u8]) -> bool {
    key.clear();
    key.push(ROW);
    key.extend_from_slice(&group.0.to_be_bytes());
    let fits = topic.len() <= TOPIC_KEY_BYTES_MAX;
    if fits {
        key.extend_from_slice(topic);
    }
    fits
}

/// Writes the first key that a row with a long topic may have; [`set_slot`] makes the others.
pub fn long_row(key: &mut Vec<u8>, group: GroupId, hash: u128) {
    key.clear();
    key.push(LONG_ROW);
    key.extend_from_slice(&group.0.to_be_bytes());
    key.extend_from_slice(&hash.to_be_bytes());
    key.push(0);
}

pub fn set_slot(key: &mut [u8], slot: u8) {
    if let Some(last) = key.last_mut() {
        *last = slot;
    }
}

/// The key of a place in the queue of tombstones.
pub fn tombstone(place: u64) -> [u8; 9] {
    let mut key = [TOMBSTONE; 9];
    key[1..].copy_from_slice(&place.to_be_bytes());
    key
}

/// The place in the queue of tombstones, from its key.
pub fn tombstone_place(key: &[u8]) -> Option<u64> {
    let (&TOMBSTONE, place) = key.split_first()? else { return None };
    place.try_into().ok().map(u64::from_be_bytes)
}

/// The key under which a damaged record is kept.
pub fn set_aside(key: &[u8]) -> Vec<u8> {
    let mut aside = Vec::with_capacity(key.len() + 1);
    aside.push(SET_ASIDE);
    aside.extend_from_slice(key);
    aside
}

/// Whether the key is a row's.
pub fn is_row(key: &[u8]) -> bool {
    matches!(key.first(), Some(&ROW | &LONG_ROW))
}

/// The group in a row's or a group's key.
pub fn group_of(key: &[u8]) -> Option<GroupId> {
    let bytes = key.get(1..3)?;
    Some(GroupId(u16::from_be_bytes([bytes[0], bytes[1]])))
}

/// The topic in a row's key; none when it is too long to be there.
pub fn topic_of(key: &[u8]) -> Option<&[u8]> {
    if key.first() == Some(&ROW) { key.get(3..) } else { None }
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
