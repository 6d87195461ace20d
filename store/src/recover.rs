//! `--recover`: what cannot be read is moved aside, never deleted, and the rest is kept.
//!
//! Called while the store is opened, before anybody listens.

use crate::folder;
use crate::kept;
use crate::key;
use crate::lmdb::{DATA_FILE, LmdbTable};
use crate::pages;
use crate::record::{IdentityRecord, Scribe, read_identity};
use crate::restore::{OpenError, identity_in};
use crate::seal::{self, Seal};
use crate::table::{Table, TableError};
use std::path::{Path, PathBuf};

/// A table that could not be opened, and what was saved of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MovedAside {
    /// Where its files lie now.
    pub folder: PathBuf,
    /// Records that could still be read; they are in the new table.
    pub records: u64,
    /// Pages, records and branches that could not.
    pub damaged: u64,
}

/// In place of an epoch: the split of this identity may be one of before, so that every row is given its group again.
pub(crate) const EPOCH_UNKNOWN: u64 = 0;
/// Bytes of salvaged records that are committed together.
const SALVAGE_BYTES: usize = 16 << 20;

/// Moves the table aside and makes a new one of the records that can still be read in it.
pub(crate) fn begin_anew(folder: &Path, map_bytes_initial: usize) -> Result<(LmdbTable, MovedAside), OpenError> {
    let aside = folder::move_aside(folder)?;
    let mut table = LmdbTable::open(folder, map_bytes_initial)?;
    let data = aside.join(DATA_FILE);
    let mut moved = MovedAside { folder: aside, records: 0, damaged: 0 };
    let mut has_identity = false;
    let seen = pages::salvage(&data, &is_whole, &mut |key, value| {
        has_identity |= key == key::IDENTITY && identity_in(value).is_ok();
    });
    if seen.is_err() || !has_identity && !restore_identity(folder, &mut table)? {
        return Ok((table, moved));
    }
    let mut batch = Batch::default();
    let (mut failed, mut unknown) = (None, 0);
    let damaged = pages::salvage(&data, &is_whole, &mut |key, value| {
        // The mark of a clean end is left out: numbers may be lost.
        if key == key::CLEAN || key == key::IDENTITY && !has_identity || failed.is_some() {
            return;
        }
        if !key.first().is_some_and(|letter| key::ALL.contains(letter)) {
            unknown += 1;
            return;
        }
        moved.records += 1;
        failed = batch.add(&mut table, key, value).err();
    });
    failed.map_or(Ok(()), Err)?;
    batch.commit(&mut table)?;
    moved.damaged = unknown + damaged.map_err(|what| OpenError::Damaged { what })?;
    Ok((table, moved))
}

/// A store of format 1 has no sums, and all its records count as broken: then the fewest pages decide, as they should.
fn is_whole(key: &[u8], value: &[u8]) -> bool {
    key == key::CLEAN || seal::open(key, value).is_ok()
}

/// Without the seed in the identity nobody knows which group a row belongs to, and nothing can be used. Where the record is
/// lost its copy beside the table serves: the seed never changes, and the rest is made anew. Says whether there is one.
fn restore_identity(folder: &Path, table: &mut LmdbTable) -> Result<bool, OpenError> {
    let copy = folder::identity_copy(folder);
    let record = copy.and_then(|value| seal::open(key::IDENTITY, &value).and_then(read_identity).ok());
    let Some(record) = record else { return Ok(false) };
    let record = IdentityRecord { epoch: EPOCH_UNKNOWN, ..record };
    table.commit(&mut |edit| Seal::default().put(edit, key::IDENTITY, Scribe::default().identity(&record)))?;
    Ok(true)
}

#[derive(Default)]
struct Batch {
    records: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, table: &mut LmdbTable, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        self.bytes += key.len() + value.len();
        self.records.push((key.to_vec(), value.to_vec()));
        if self.bytes >= SALVAGE_BYTES { self.commit(table) } else { Ok(()) }
    }

    fn commit(&mut self, table: &mut LmdbTable) -> Result<(), TableError> {
        let records = std::mem::take(self).records;
        table.commit(&mut |edit| records.iter().try_for_each(|(key, value)| edit.put(key, value)))
    }
}

/// Moves every record of a group that cannot be read under a key where nobody looks for them.
pub(crate) fn set_damaged_aside(table: &mut dyn Table) -> Result<u64, OpenError> {
    let mut damaged = Vec::new();
    for letter in key::OF_GROUPS {
        table.walk(&[letter], &mut |key, value| {
            let is_one = key.first() == Some(&letter);
            if is_one && kept::read(key, value).is_err() {
                damaged.push((key.to_vec(), value.to_vec()));
            }
            is_one
        })?;
    }
    if !damaged.is_empty() {
        table.commit(&mut |edit| {
            for (key, value) in &damaged {
                edit.put(&key::set_aside(key), value)?;
                edit.delete(key)?;
            }
            Ok(())
        })?;
    }
    Ok(damaged.len() as u64)
}
