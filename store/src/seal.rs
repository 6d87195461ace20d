//! The sum behind every record: what was damaged on its way to the disk, there, or back is seen when it is read.
//!
//! ```text
//! value in the table:  record | crc32 of key and record, u32 little-endian
//! ```
//! The key is in the sum, so that a record that lies under another key is seen too. A sum of 32 bits misses no flipped bits
//! as long as they are within 32 of each other, and one of four thousand million other changes. Marks, whose value is
//! empty, have none. Stores of format 1 had no sums: they get them when they are opened.

use crate::key;
use crate::table::{Put, Table, TableError};
use crc32fast::Hasher;

const SUM_BYTES: usize = 4;
pub const FORMAT_WITHOUT_SUMS: u32 = 1;
/// A record beyond this leaves a buffer that is not kept.
const BYTES_KEPT: usize = 1 << 20;
/// Records of an old store that are copied before they are written; a walk must not see its own edits.
const SLICE_RECORDS: usize = 1_024;

fn sum(key: &[u8], record: &[u8]) -> [u8; SUM_BYTES] {
    let mut hasher = Hasher::new();
    hasher.update(key);
    hasher.update(record);
    hasher.finalize().to_le_bytes()
}

/// A record with its sum.
pub fn sealed(key: &[u8], record: &[u8]) -> Vec<u8> {
    [record, &sum(key, record)].concat()
}

/// Writes records with their sums.
#[derive(Default)]
pub struct Seal {
    bytes: Vec<u8>,
}

impl Seal {
    pub fn put(&mut self, to: &mut (impl Put + ?Sized), key: &[u8], record: &[u8]) -> Result<(), TableError> {
        self.bytes.clear();
        self.bytes.shrink_to(BYTES_KEPT);
        self.bytes.extend_from_slice(record);
        self.bytes.extend_from_slice(&sum(key, record));
        to.put(key, &self.bytes)
    }
}

/// The record in a value, if it is the one that was written under this key. Says what is wrong.
pub fn open<'a>(key: &[u8], value: &'a [u8]) -> Result<&'a [u8], String> {
    let Some((record, found)) = value.split_last_chunk::<SUM_BYTES>() else { return Err("it has no sum".to_owned()) };
    if *found == sum(key, record) { Ok(record) } else { Err("its sum is wrong".to_owned()) }
}

/// Gives every record of a store of format 1 its sum, in one commit. `identity` is the record that says so afterwards.
pub fn seal_all(table: &mut dyn Table, identity: &[u8]) -> Result<(), TableError> {
    let mut seal = Seal::default();
    table.commit(&mut |edit| {
        let mut from = Some(Vec::new());
        while let Some(start) = from.take() {
            let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            edit.walk(&start, &mut |key, value| {
                records.push((key.to_vec(), value.to_vec()));
                records.len() < SLICE_RECORDS
            })?;
            if records.len() == SLICE_RECORDS {
                from = records.last().map(|(key, _)| [key.as_slice(), &[0]].concat());
            }
            for (key, value) in records.iter().filter(|(key, _)| has_sum(key)) {
                seal.put(edit, key, value)?;
            }
        }
        seal.put(edit, key::IDENTITY, identity)
    })
}

/// Marks have none, and what was set aside keeps what it had.
fn has_sum(key: &[u8]) -> bool {
    key != key::CLEAN && key.first() != Some(&key::SET_ASIDE) && key != key::IDENTITY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Disk;

    #[test]
    fn any_flipped_bit_is_seen_and_so_is_another_key() {
        let disk = Disk::default();
        let mut table = disk.table();
        let record = b"a record of some length, longer than a sum";
        table.commit(&mut |edit| Seal::default().put(edit, b"rkey", record)).unwrap();
        let mut value = Vec::new();
        table.get(b"rkey", &mut |found| value = found.to_vec()).unwrap();
        assert_eq!(open(b"rkey", &value), Ok(&record[..]));
        assert!(open(b"rkex", &value).is_err());
        assert!(open(b"rkey", &value[..3]).is_err() && open(b"rkey", b"").is_err());
        for bit in 0..value.len() * 8 {
            value[bit / 8] ^= 1 << (bit % 8);
            assert!(open(b"rkey", &value).is_err());
            value[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
