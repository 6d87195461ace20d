//! Cursors: up to where a reader has everything, as a token that it may come back with.
//!
//! ```text
//! base64url of  [epoch of the store: 8 bytes][groups: count, then for each its number less the one before, and the
//!               version in it][check: 4 bytes]
//! ```
//! Numbers are in LEB128, groups in their order, those that nothing is known of left out. At most 3 774 letters.

use crate::key::GroupId;
use crate::limits::{CURSOR_BYTES_MAX, GROUPS};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use smallvec::SmallVec;

/// A version of each of some groups, in the order of the groups.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Versions(SmallVec<[(GroupId, u64); 1]>);

impl Versions {
    pub fn of(group: GroupId, version: u64) -> Versions {
        let mut versions = Versions::default();
        versions.raise(group, version);
        versions
    }

    /// 0: nothing is known of the group.
    pub fn get(&self, group: GroupId) -> u64 {
        self.0.binary_search_by_key(&group, |pair| pair.0).map_or(0, |at| self.0[at].1)
    }

    /// A group stands at no less than `version` from here on.
    pub fn raise(&mut self, group: GroupId, version: u64) {
        match self.0.binary_search_by_key(&group, |pair| pair.0) {
            Ok(at) => self.0[at].1 = self.0[at].1.max(version),
            Err(at) if version > 0 => self.0.insert(at, (group, version)),
            Err(_) => {}
        }
    }

    pub fn raise_all(&mut self, other: &Versions) {
        other.iter().for_each(|(group, version)| self.raise(group, version));
    }

    pub fn iter(&self) -> impl Iterator<Item = (GroupId, u64)> {
        self.0.iter().copied()
    }

    /// As bytes, which `read` understands.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_number(self.0.len() as u64, out);
        let mut before = 0;
        for (group, version) in self.iter() {
            write_number(u64::from(group.0 - before), out);
            write_number(version, out);
            before = group.0;
        }
    }

    /// `None`: it is not what `write` wrote.
    pub fn read(mut bytes: &[u8]) -> Option<Versions> {
        let count = read_number(&mut bytes)?;
        let (mut versions, mut group) = (Versions::default(), 0u64);
        for index in 0..count {
            let step = read_number(&mut bytes)?;
            group = group.checked_add(step).filter(|group| *group < GROUPS as u64 && (step > 0 || index == 0))?;
            versions.0.push((GroupId(group as u16), read_number(&mut bytes)?));
        }
        bytes.is_empty().then_some(versions)
    }
}

/// Appends the cursor of a reader that has everything up to `versions`.
pub fn write_cursor(epoch: u64, versions: &Versions, out: &mut String) {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(&epoch.to_be_bytes());
    versions.write(&mut bytes);
    let check = check_of(&bytes);
    bytes.extend_from_slice(&check);
    BASE64.encode_string(&bytes, out);
    debug_assert!(bytes.len() * 4 / 3 < CURSOR_BYTES_MAX);
}

/// What a cursor of this store says. `None`: it is damaged, or another store's.
pub fn read_cursor(text: &str, epoch: u64) -> Option<Versions> {
    if text.len() > CURSOR_BYTES_MAX {
        return None;
    }
    let bytes = BASE64.decode(text).ok()?;
    let (said, check) = bytes.split_last_chunk::<4>()?;
    let (own, versions) = said.split_first_chunk::<8>()?;
    (check_of(said) == *check && u64::from_be_bytes(*own) == epoch).then_some(())?;
    Versions::read(versions)
}

/// Where a reader stands, for its record: after `n` frames, and what it has of the store of this epoch, where that is
/// something to go on from.
pub fn write_stand(n: u64, epoch: u64, versions: Option<&Versions>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_number(n, &mut bytes);
    if let Some(versions) = versions {
        bytes.extend_from_slice(&epoch.to_be_bytes());
        versions.write(&mut bytes);
    }
    bytes
}

/// Frames, and what there is to go on from, of a record.
pub fn read_stand(mut bytes: &[u8], epoch: u64) -> (u64, Option<Versions>) {
    let n = read_number(&mut bytes).unwrap_or(0);
    let own = bytes.split_first_chunk::<8>().filter(|(own, _)| u64::from_be_bytes(**own) == epoch);
    (n, own.and_then(|(_, versions)| Versions::read(versions)))
}

/// FNV-1a, folded: a slip of the pen is no other cursor.
fn check_of(bytes: &[u8]) -> [u8; 4] {
    let hash = print_of(bytes);
    ((hash >> 32) as u32 ^ hash as u32).to_be_bytes()
}

/// FNV-1a: tells what was written from what it is now.
pub fn print_of(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, mix)
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7F);
        number |= part.checked_shl(shift).filter(|shifted| shifted >> shift == part)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(versions: &Versions) -> String {
        let mut text = String::new();
        write_cursor(7, versions, &mut text);
        text
    }

    #[test]
    fn the_largest_cursor_fits_its_bound_and_reads_as_it_was_written() {
        let mut versions = Versions::default();
        assert_eq!(read_cursor(&cursor(&versions), 7).as_ref(), Some(&versions));
        (0..GROUPS as u16).rev().for_each(|group| versions.raise(GroupId(group), u64::MAX - u64::from(group)));
        let text = cursor(&versions);
        assert!(text.len() <= 4 * 1024, "{}", text.len());
        assert!(text.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-_".contains(&letter)));
        assert_eq!(read_cursor(&text, 7).as_ref(), Some(&versions));
        assert_eq!(read_cursor(&text, 8), None, "another store's");
    }

    #[test]
    fn a_damaged_cursor_is_none() {
        let mut versions = Versions::default();
        versions.raise(GroupId(3), 300);
        versions.raise(GroupId(200), 1);
        versions.raise(GroupId(3), 2);
        assert_eq!((versions.get(GroupId(3)), versions.get(GroupId(4))), (300, 0));
        let text = cursor(&versions);
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            let damaged = [&text[..at], other, &text[at + 1..]].concat();
            assert_eq!(read_cursor(&damaged, 7), None, "{damaged}");
            assert_eq!(read_cursor(&text[..at], 7), None);
        }
        assert_eq!(read_cursor(&[&text, "A"].concat(), 7), None);
        assert_eq!(read_cursor("äöü", 7), None);
    }
}
