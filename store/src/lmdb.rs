//! LMDB behind the seam; the only file that may name it.
//!
//! Lives on the thread that opened it, then on the writer's. It must never let a transaction, a cursor or a borrow
//! of the map leave a function, and never use the binding's iterators: they outlive their cursor.
//!
//! Flags: none but NO_TLS. A commit writes its pages, syncs, then writes and syncs the page that makes them count:
//! a killed process loses nothing that was committed, and lost power leaves the state before or after a commit.

use crate::pages;
use crate::table::{Each, Edit, Edits, Put, Puts, Table, TableError};
use lmdb::{Cursor, Database, Environment, EnvironmentFlags, Error};
use lmdb::{RwCursor, RwTransaction, Transaction, WriteFlags};
use lmdb_sys as ffi;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub const DATA_FILE: &str = "data.mdb";
pub const LOCK_FILE: &str = "lock.mdb";

/// The map doubles up to here, then grows by this.
const MAP_STEP_BYTES: usize = 1 << 30;
const MAP_BYTES_MIN: usize = 1 << 16;
/// We are alone; a few places for people who look with LMDB's own tools.
const READERS: u32 = 8;
/// More than LMDB's lock file needs for so many readers.
const LOCK_BYTES: u64 = 8_192;
const FILE_MODE: u32 = 0o600;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

pub struct LmdbTable {
    /// None only while it is opened again after LMDB gave up on it.
    open: Option<Open>,
    folder: PathBuf,
    map_bytes: usize,
}

struct Open {
    environment: Environment,
    database: Database,
}

impl LmdbTable {
    /// Opens or creates the table in `folder`, which exists. LMDB trusts its file, so its pages are checked before.
    pub fn open(folder: &Path, map_bytes_initial: usize) -> Result<LmdbTable, TableError> {
        let path = folder.join(DATA_FILE);
        pages::check(&path).map_err(|what| TableError::Damaged(format!("{}: {what}", path.display())))?;
        let mut map_bytes = map_bytes_initial.max(MAP_BYTES_MIN).next_multiple_of(MAP_BYTES_MIN);
        let open = Open::at(folder, &mut map_bytes)?;
        Ok(LmdbTable { open: Some(open), folder: folder.to_owned(), map_bytes })
    }

    fn opened(&self) -> Result<&Open, TableError> {
        self.open.as_ref().ok_or_else(|| TableError::Failed("the table is closed".into()))
    }

    fn grow(&mut self) -> Result<(), TableError> {
        let step = self.map_bytes.min(MAP_STEP_BYTES);
        let Some(map_bytes) = self.map_bytes.checked_add(step) else { return Err(TableError::MapFull) };
        let open = self.opened()?;
        open.environment.set_map_size(map_bytes).map_err(failed)?;
        self.map_bytes = map_bytes;
        Ok(())
    }

    /// After a failed write of the last page LMDB refuses everything until it is opened again.
    fn open_again(&mut self) -> Result<(), TableError> {
        self.open = None;
        self.open = Some(Open::at(&self.folder, &mut self.map_bytes)?);
        Ok(())
    }
}

impl Open {
    fn at(folder: &Path, map_bytes: &mut usize) -> Result<Open, TableError> {
        let path = folder.join(DATA_FILE);
        let before = std::fs::metadata(&path).map(|m| m.len() as usize).unwrap_or(0);
        let is_new = !path.exists();
        *map_bytes = (*map_bytes).max(before.next_multiple_of(MAP_BYTES_MIN));
        make_room_for_lock(folder)?;
        let opened = Open::open(folder, &path, *map_bytes);
        if opened.is_err() && is_new {
            // The beginning of a file that found no room would look like a damaged store.
            let _ = std::fs::remove_file(&path);
        }
        let environment = opened?;
        if is_new {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_failed)?;
        }
        let database = environment.open_db(None).map_err(failed)?;
        Ok(Open { environment, database })
    }

    fn open(folder: &Path, path: &Path, map_bytes: usize) -> Result<Environment, TableError> {
        Environment::new()
            .set_flags(EnvironmentFlags::NO_TLS)
            .set_max_readers(READERS)
            .set_map_size(map_bytes)
            .open_with_permissions(folder, FILE_MODE)
            .map_err(|error| match error {
                Error::Invalid | Error::VersionMismatch | Error::Corrupted => {
                    TableError::Damaged(format!("{}: {error}", path.display()))
                }
                other => failed(other),
            })
    }
}

/// LMDB maps its lock file and writes into the map: without room on the disk that ends the process with a signal. So the
/// room is there before.
fn make_room_for_lock(folder: &Path) -> Result<(), TableError> {
    let path = folder.join(LOCK_FILE);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(path);
    let file = file.map_err(io_failed)?;
    match fallocate(&file, FallocateFlags::empty(), 0, LOCK_BYTES) {
        // A file system that cannot promise room has to be taken at its word.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(io_failed(error.into())),
    }
}

impl Table for LmdbTable {
    fn commit(&mut self, edits: &mut Edits<'_>) -> Result<(), TableError> {
        if self.open.is_none() {
            self.open_again()?;
        }
        loop {
            match commit_once(self.opened()?, edits) {
                Err(Stopped::Table(TableError::MapFull)) => self.grow()?,
                Err(Stopped::GaveUp(why)) => {
                    self.open_again()?;
                    return Err(why);
                }
                Err(Stopped::Table(why)) => return Err(why),
                Ok(()) => return Ok(()),
            }
        }
    }

    fn get(&self, key: &[u8], seen: &mut dyn FnMut(&[u8])) -> Result<bool, TableError> {
        let open = self.opened()?;
        let transaction = open.environment.begin_ro_txn().map_err(failed)?;
        get_in(&transaction, open.database, key, seen)
    }

    fn walk(&self, from: &[u8], each: &mut Each<'_>) -> Result<(), TableError> {
        let open = self.opened()?;
        let transaction = open.environment.begin_ro_txn().map_err(failed)?;
        walk_in(&transaction, open.database, from, each)
    }
}

enum Stopped {
    Table(TableError),
    /// LMDB will do nothing more in this environment.
    GaveUp(TableError),
}

fn commit_once(open: &Open, edits: &mut Edits<'_>) -> Result<(), Stopped> {
    let transaction = open.environment.begin_rw_txn().map_err(stopped)?;
    let mut edit = LmdbEdit { transaction, database: open.database };
    edits(&mut edit).map_err(Stopped::Table)?;
    edit.transaction.commit().map_err(stopped)
}

fn stopped(error: Error) -> Stopped {
    match error {
        Error::Panic => Stopped::GaveUp(failed(error)),
        other => Stopped::Table(failed(other)),
    }
}

struct LmdbEdit<'env> {
    transaction: RwTransaction<'env>,
    database: Database,
}

impl Put for LmdbEdit<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        self.transaction.put(self.database, &key, &value, WriteFlags::empty()).map_err(failed)
    }
}

/// Its cursor stands where it put the last thing: what comes next has its place on the same page, nearly always.
struct Ascending<'txn> {
    cursor: RwCursor<'txn>,
    /// Everything from here on comes after all that there is: it needs no search, and fills its pages.
    is_behind_all: Option<bool>,
}

impl Ascending<'_> {
    fn is_behind_all(&self, key: &[u8]) -> Result<bool, Error> {
        match self.cursor.get(None, None, ffi::MDB_LAST) {
            Ok((last, _)) => Ok(last.is_none_or(|last| last < key)),
            Err(Error::NotFound) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl Put for Ascending<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        let is_behind_all = match self.is_behind_all {
            Some(known) => known,
            None => self.is_behind_all(key).map_err(failed)?,
        };
        let flags = if is_behind_all { WriteFlags::APPEND } else { WriteFlags::empty() };
        self.is_behind_all = Some(is_behind_all);
        self.cursor.put(&key, &value, flags).map_err(failed)
    }
}

impl Edit for LmdbEdit<'_> {
    fn put_ascending(&mut self, puts: &mut Puts<'_>) -> Result<(), TableError> {
        let cursor = self.transaction.open_rw_cursor(self.database).map_err(failed)?;
        puts(&mut Ascending { cursor, is_behind_all: None })
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), TableError> {
        match self.transaction.del(self.database, &key, None) {
            Err(Error::NotFound) => Ok(()),
            other => other.map_err(failed),
        }
    }

    fn get(&self, key: &[u8], seen: &mut dyn FnMut(&[u8])) -> Result<bool, TableError> {
        get_in(&self.transaction, self.database, key, seen)
    }

    fn walk(&self, from: &[u8], each: &mut Each<'_>) -> Result<(), TableError> {
        walk_in(&self.transaction, self.database, from, each)
    }
}

fn get_in<T: Transaction>(
    transaction: &T,
    database: Database,
    key: &[u8],
    seen: &mut dyn FnMut(&[u8]),
) -> Result<bool, TableError> {
    match transaction.get(database, &key) {
        Ok(value) => {
            seen(value);
            Ok(true)
        }
        Err(Error::NotFound) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// The cursor lives and dies in here, inside its transaction; `each` sees borrows that end with its call.
fn walk_in<T: Transaction>(
    transaction: &T,
    database: Database,
    from: &[u8],
    each: &mut Each<'_>,
) -> Result<(), TableError> {
    let cursor = transaction.open_ro_cursor(database).map_err(failed)?;
    let mut place = if from.is_empty() {
        cursor.get(None, None, ffi::MDB_FIRST)
    } else {
        cursor.get(Some(from), None, ffi::MDB_SET_RANGE)
    };
    loop {
        let (key, value) = match place {
            Ok(found) => found,
            Err(Error::NotFound) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        if !each(key.unwrap_or(from), value) {
            return Ok(());
        }
        place = cursor.get(None, None, ffi::MDB_NEXT);
    }
}

fn failed(error: Error) -> TableError {
    match error {
        Error::MapFull => TableError::MapFull,
        Error::Other(ENOSPC | EDQUOT) => TableError::DiskFull(error.to_string()),
        // A write that ends early, as on a full disk, is told as EIO.
        Error::Other(EIO) => TableError::Failed(format!("{error}: the disk is full or failing")),
        Error::Corrupted | Error::PageNotFound | Error::Invalid | Error::VersionMismatch => {
            TableError::Damaged(error.to_string())
        }
        other => TableError::Failed(other.to_string()),
    }
}

pub(crate) fn io_failed(error: std::io::Error) -> TableError {
    match error.raw_os_error() {
        Some(ENOSPC | EDQUOT) => TableError::DiskFull(error.to_string()),
        _ => TableError::Failed(error.to_string()),
    }
}
