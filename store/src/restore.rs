//! Opening the store and reading it back: which store it is, where each group's numbers stand, every row.
//!
//! Called by the boot of the process, on its first thread, before any shard runs. It must leave a store that it
//! refuses as it found it: until [`Opened::start`] nothing is written, except that another split moves rows.

use crate::folder::{self, InUse};
use crate::inlet::{Inlet, Shared};
use crate::kept::{self, Pen};
use crate::key::{self, TopicHash};
use crate::lmdb::{LmdbTable, io_failed};
use crate::memory::Forgetful;
use crate::record::{GroupState, IdentityRecord, Scribe, read_group, read_identity};
use crate::recover::{self, MovedAside};
use crate::regroup::{self, Moved};
use crate::seal::{self, Seal};
use crate::table::{Edit, Table, TableError};
use crate::writer::{self, ByHand, GiveBack, Start, Wake, Writer};
use engine::config::Split;
use engine::key::GroupId;
use engine::limits::{GROUPS, GROUPS_OF_ROOTS, STORE_PENDING_BYTES_DEFAULT, STORE_PENDING_BYTES_MAX, VERSION_RESERVE};
use engine::row::change::Restored;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Default of `store.commit_ms`. A commit syncs twice; twenty a second are nothing to a disk, and what is lost with
/// a killed process is what people would call "just now".
pub const COMMIT_MS_DEFAULT: u64 = 50;
/// The map that a new table begins with; it grows by itself.
pub const MAP_BYTES_INITIAL_DEFAULT: usize = 64 << 20;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it lies; None keeps nothing (`--memory`).
    pub folder: Option<PathBuf>,
    /// Changes are committed together, at most once in so many milliseconds unless somebody waits for the disk.
    pub commit_ms: u64,
    /// Bytes of changes that may wait for the writer, all shards together; at most `STORE_PENDING_BYTES_MAX`.
    pub pending_bytes: usize,
    pub map_bytes_initial: usize,
    /// Move aside what cannot be read and begin with the rest.
    pub recover: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            folder: None,
            commit_ms: COMMIT_MS_DEFAULT,
            pending_bytes: STORE_PENDING_BYTES_DEFAULT,
            map_bytes_initial: MAP_BYTES_INITIAL_DEFAULT,
            recover: false,
        }
    }
}

/// Made at the first start, kept forever; another split makes another epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    pub hash_seed: [u64; 2],
    pub epoch: u64,
}

/// From the store's hash seed, the function that tells a topic's group under the split asked for.
pub type GroupRule<'a> = &'a dyn Fn([u64; 2]) -> Box<dyn Fn(&str) -> GroupId>;

/// Why the store was not opened. What was there is untouched.
#[derive(Debug)]
pub enum OpenError {
    InUse { folder: PathBuf, pid: Option<u32> },
    Folder { folder: PathBuf, error: std::io::Error },
    Damaged { what: String },
    Newer { format: u32 },
    Table(TableError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::InUse { folder, pid } => {
                let pid = pid.map_or_else(|| "pid unknown".to_owned(), |pid| format!("pid {pid}"));
                write!(f, "another mote uses this folder ({pid}): {}; stop it or choose another", folder.display())
            }
            OpenError::Folder { folder, error } => {
                write!(f, "the data folder {} cannot be used: {error}; the broker must be able to write in it", {
                    folder.display()
                })
            }
            OpenError::Damaged { what } => write!(
                f,
                "the store is damaged and was left as it is: {what}; put a backup in its place, or start once with \
                 --recover to move what is damaged aside and begin with the rest"
            ),
            OpenError::Newer { format } => {
                let known = key::FORMAT;
                write!(f, "the store was written by a newer mote (format {format}, this one knows {known}); use that")
            }
            OpenError::Table(error) => write!(f, "the store cannot be opened: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<TableError> for OpenError {
    fn from(error: TableError) -> OpenError {
        match error {
            TableError::Damaged(what) => OpenError::Damaged { what },
            other => OpenError::Table(other),
        }
    }
}

/// Why an open store did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreError {
    Table(TableError),
    /// A record is not what was written.
    Damaged {
        key: String,
        what: String,
    },
    /// The end came and what was left could not be committed.
    NotKept(TableError),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Table(error) => write!(f, "the store failed: {error}"),
            StoreError::Damaged { key, what } => write!(
                f,
                "the store is damaged: the record \"{key}\" cannot be read ({what}); put a backup in its place, or \
                 start once with --recover to set such records aside"
            ),
            StoreError::NotKept(error) => write!(f, "the last changes could not be written: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RestoreReport {
    pub rows: u64,
    pub tombstones: u64,
    pub floors: u64,
    pub outcomes: u64,
    /// Changes of rows whose history is kept.
    pub past: u64,
}

impl RestoreReport {
    fn count(&mut self, restored: &Restored<'_>) {
        *match restored {
            Restored::Row(..) => &mut self.rows,
            Restored::Tombstone { .. } => &mut self.tombstones,
            Restored::Floor { .. } => &mut self.floors,
            Restored::Outcome(..) => &mut self.outcomes,
            Restored::Past(..) => &mut self.past,
        } += 1;
    }
}

/// An open store, before its writer runs.
pub struct Opened {
    pub identity: Identity,
    /// All groups, in order. What a group hands out next is above its `last_version` and at most its `bound`.
    pub groups: Vec<GroupState>,
    /// There was no store yet.
    pub first_start: bool,
    /// The last process came to its end by itself.
    pub clean: bool,
    /// Another split than last time moved rows to other groups.
    pub moved: Option<Moved>,
    /// `recover` moved the table aside and began anew with what could be read.
    pub moved_aside: Option<MovedAside>,
    /// Records that `recover` set aside inside the table.
    pub records_set_aside: u64,
    record: IdentityRecord,
    pub(crate) recover: bool,
    pub(crate) table: Box<dyn Table>,
    in_use: Option<InUse>,
    commit_ms: u64,
    pending_bytes: usize,
    topic_hash: TopicHash,
    give_back: GiveBack,
}

/// Opens the store, or makes it.
pub fn open(settings: &Settings, split: &[Split], rule: GroupRule<'_>) -> Result<Opened, OpenError> {
    let Some(folder) = &settings.folder else {
        return open_on(Box::new(Forgetful), settings, split, rule);
    };
    open_held(folder, settings, split, rule).map_err(|error| match error {
        OpenError::Table(error) => OpenError::Folder { folder: folder.clone(), error: std::io::Error::other(error) },
        OpenError::Damaged { what } if !what.starts_with(&*folder.to_string_lossy()) => {
            OpenError::Damaged { what: format!("{}: {what}", folder.display()) }
        }
        other => other,
    })
}

fn open_held(folder: &Path, settings: &Settings, split: &[Split], rule: GroupRule<'_>) -> Result<Opened, OpenError> {
    let in_use = folder::hold(folder)?;
    let mut opened = match open_in(folder, settings, split, rule) {
        Err(OpenError::Damaged { .. }) if settings.recover => {
            let (table, moved_aside) = recover::begin_anew(folder, settings.map_bytes_initial)?;
            let mut opened = open_on(Box::new(table), settings, split, rule)?;
            opened.moved_aside = Some(moved_aside);
            opened.renew_epoch()?;
            opened
        }
        other => other?,
    };
    opened.in_use = Some(in_use);
    Ok(opened)
}

fn open_in(folder: &Path, settings: &Settings, split: &[Split], rule: GroupRule<'_>) -> Result<Opened, OpenError> {
    let table = LmdbTable::open(folder, settings.map_bytes_initial)?;
    open_on(Box::new(table), settings, split, rule)
}

/// Opens the store on a table that is open already.
pub fn open_on(
    table: Box<dyn Table>,
    settings: &Settings,
    split: &[Split],
    rule: GroupRule<'_>,
) -> Result<Opened, OpenError> {
    open_with(table, settings, split, rule, key::topic_hash)
}

/// As [`open_on`], with another hash for long topics: tests make them collide.
pub fn open_with(
    mut table: Box<dyn Table>,
    settings: &Settings,
    split: &[Split],
    rule: GroupRule<'_>,
    topic_hash: TopicHash,
) -> Result<Opened, OpenError> {
    let split = in_order(split);
    let found = known_identity(&*table)?;
    let first_start = found.is_none();
    judge_letters(&*table)?;
    let mut record = match found {
        Some(record) if record.format == seal::FORMAT_WITHOUT_SUMS => {
            let record = IdentityRecord { format: key::FORMAT, ..record };
            seal::seal_all(&mut *table, Scribe::default().identity(&record))?;
            record
        }
        Some(record) => record,
        None => new_identity(split.clone())?,
    };
    let mut records_set_aside = 0;
    if settings.recover {
        records_set_aside = recover::set_damaged_aside(&mut *table)?;
    }
    if records_set_aside > 0 {
        record.epoch = random()?;
    }
    let clean = first_start || table.get(key::CLEAN, &mut |_| {})?;
    let mut groups = if first_start { fresh_groups(0) } else { read_groups(&*table, &record, settings.recover)? };
    if !clean {
        groups.iter_mut().for_each(GroupState::lose_reserved);
    }
    let mut moved = None;
    if record.split != split || record.groups != GROUPS_OF_ROOTS as u32 || record.epoch == recover::EPOCH_UNKNOWN {
        record = IdentityRecord { split, groups: GROUPS_OF_ROOTS as u32, epoch: random()?, ..record };
        let top = groups.iter().map(|group| group.bound.max(group.last_version)).max().unwrap_or(0);
        groups = fresh_groups(top);
        let group_of = rule(record.hash_seed);
        moved = Some(regroup::move_rows(&mut *table, &record, &groups, &*group_of, topic_hash)?);
    }
    for group in &mut groups {
        group.bound = group.bound.max(group.last_version.saturating_add(VERSION_RESERVE));
    }
    Ok(Opened {
        identity: Identity { hash_seed: record.hash_seed, epoch: record.epoch },
        groups,
        first_start,
        clean,
        moved,
        moved_aside: None,
        records_set_aside,
        record,
        recover: settings.recover,
        table,
        in_use: None,
        commit_ms: settings.commit_ms,
        pending_bytes: settings.pending_bytes.min(STORE_PENDING_BYTES_MAX),
        topic_hash,
        give_back: Box::new(|| ()),
    })
}

impl Opened {
    /// What was lost makes cursors of before mean nothing.
    fn renew_epoch(&mut self) -> Result<(), OpenError> {
        self.record.epoch = random()?;
        self.identity.epoch = self.record.epoch;
        Ok(())
    }

    /// Shows everything that belongs to groups, before any shard runs: rows and tombstones by group and topic, then
    /// floors, outcomes and histories.
    pub fn restore(&mut self, mut each: impl FnMut(Restored<'_>)) -> Result<RestoreReport, StoreError> {
        let mut report = RestoreReport::default();
        let mut damaged = None;
        for letter in key::OF_GROUPS {
            let walked = self.table.walk(&[letter], &mut |key, value| {
                if key.first() != Some(&letter) {
                    return false;
                }
                match kept::read(key, value) {
                    Ok(restored) => {
                        report.count(&restored);
                        each(restored);
                    }
                    Err(what) => damaged = Some(StoreError::Damaged { key: key::shown(key), what }),
                }
                damaged.is_none()
            });
            walked.map_err(StoreError::Table)?;
            if let Some(damaged) = damaged {
                return Err(damaged);
            }
        }
        Ok(report)
    }

    /// `give_back` is called from the writer's thread whenever a burst is over: it may give the memory back that the
    /// allocator keeps.
    pub fn when_idle(self, give_back: GiveBack) -> Opened {
        Opened { give_back, ..self }
    }

    /// Reserves the numbers, removes the mark of a clean end (both committed when this returns) and starts the
    /// writer's thread. `wake` is called from it when changes of that shard became durable; one per shard.
    pub fn start(mut self, shards: usize, wake: Vec<Wake>) -> Result<(Vec<Inlet>, Writer), StoreError> {
        let commit_ms = self.commit_ms;
        let give_back = std::mem::replace(&mut self.give_back, Box::new(|| ()));
        let (inlets, by_hand) = self.start_by_hand(shards, wake)?;
        Ok((inlets, Writer::start(by_hand, commit_ms, give_back)?))
    }

    /// As [`Opened::start`], without a thread: the simulator says when a commit is made.
    pub fn start_by_hand(mut self, shards: usize, wake: Vec<Wake>) -> Result<(Vec<Inlet>, ByHand), StoreError> {
        self.begin().map_err(StoreError::Table)?;
        let shared = Arc::new(Shared::new(shards, self.pending_bytes));
        let inlets = writer::inlets(&shared, shards);
        let Opened { table, in_use, groups, identity, topic_hash, .. } = self;
        let start = Start { wakes: wake, groups, pen: Pen::new(identity.hash_seed, topic_hash) };
        Ok((inlets, ByHand::new(table, in_use, shared, start)))
    }

    fn begin(&mut self) -> Result<(), TableError> {
        let Opened { table, record, groups, in_use, .. } = self;
        let (mut scribe, mut seal) = (Scribe::default(), Seal::default());
        let mut place = Vec::new();
        table.commit(&mut |edit| {
            seal.put(edit, key::IDENTITY, scribe.identity(record))?;
            for group in groups.iter() {
                key::group(&mut place, group.group);
                seal.put(edit, &place, scribe.group(group))?;
            }
            delete_all(edit, key::QUEUE_OF_BEFORE)?;
            edit.delete(key::CLEAN)
        })?;
        let Some(in_use) = in_use else { return Ok(()) };
        let sealed = seal::sealed(key::IDENTITY, scribe.identity(record));
        in_use.keep_identity(&sealed).map_err(io_failed)
    }
}

/// Deletes everything of one letter.
pub(crate) fn delete_all(edit: &mut dyn Edit, letter: u8) -> Result<(), TableError> {
    const SLICE: usize = 4_096;
    let mut keys: Vec<Vec<u8>> = Vec::new();
    loop {
        keys.clear();
        edit.walk(&[letter], &mut |key, _| {
            let is_one = key.first() == Some(&letter) && keys.len() < SLICE;
            if is_one {
                keys.push(key.to_vec());
            }
            is_one
        })?;
        if keys.is_empty() {
            return Ok(());
        }
        keys.iter().try_for_each(|key| edit.delete(key))?;
    }
}

/// A group's number has two bytes.
const GROUPS_RECORDED_MAX: u32 = 1 << 16;

/// The identity of the store in this table; None when the table is empty.
fn known_identity(table: &dyn Table) -> Result<Option<IdentityRecord>, OpenError> {
    let mut read = None;
    table.get(key::IDENTITY, &mut |value| read = Some(identity_in(value)))?;
    match read {
        Some(Ok(record)) if record.format > key::FORMAT => Err(OpenError::Newer { format: record.format }),
        Some(Ok(record)) if record.groups == 0 || record.groups > GROUPS_RECORDED_MAX => {
            Err(OpenError::Damaged { what: format!("the record of its identity: {} groups", record.groups) })
        }
        Some(Ok(record)) => Ok(Some(record)),
        Some(Err(what)) => Err(OpenError::Damaged { what: format!("the record of its identity: {what}") }),
        None => {
            let mut empty = true;
            table.walk(&[], &mut |_, _| {
                empty = false;
                false
            })?;
            let what = "it has rows and no record of its identity".to_owned();
            if empty { Ok(None) } else { Err(OpenError::Damaged { what }) }
        }
    }
}

/// The record of the identity in its value: with its sum, or of a store of format 1, which has none.
pub(crate) fn identity_in(value: &[u8]) -> Result<IdentityRecord, String> {
    let sealed = seal::open(key::IDENTITY, value).and_then(read_identity);
    let is_old = |record: &IdentityRecord| record.format == seal::FORMAT_WITHOUT_SUMS;
    sealed.or_else(|what| read_identity(value).ok().filter(is_old).ok_or(what))
}

/// No key begins with a letter that none was written with. Looks at one key of each letter.
fn judge_letters(table: &dyn Table) -> Result<(), OpenError> {
    let mut from = Some(0);
    while let Some(at) = from.take() {
        let mut found = None;
        table.walk(&[at], &mut |key, _| {
            found = Some(key.to_vec());
            false
        })?;
        let Some(first) = found.as_ref().and_then(|key| key.first()) else { continue };
        if !key::ALL.contains(first) {
            let shown = key::shown(found.as_deref().unwrap_or_default());
            return Err(OpenError::Damaged { what: format!("the key \"{shown}\" is none that is written") });
        }
        from = first.checked_add(1);
    }
    Ok(())
}

/// The same table in another order is the same table.
fn in_order(split: &[Split]) -> Vec<Split> {
    let mut split = split.to_vec();
    split.sort_by(|a, b| (&a.prefix, a.levels).cmp(&(&b.prefix, b.levels)));
    split
}

fn new_identity(split: Vec<Split>) -> Result<IdentityRecord, OpenError> {
    let hash_seed = [random()?, random()?];
    Ok(IdentityRecord { format: key::FORMAT, hash_seed, epoch: random()?, groups: GROUPS_OF_ROOTS as u32, split })
}

fn random() -> Result<u64, OpenError> {
    getrandom::u64().map_err(|error| OpenError::Table(TableError::Failed(format!("no random numbers: {error}"))))
}

/// Groups that continue above `top`.
fn fresh_groups(top: u64) -> Vec<GroupState> {
    (0..GROUPS as u16).map(|group| GroupState::above(GroupId(group), top)).collect()
}

/// The numbers of all groups. With `recover` a record that cannot be read gets the highest numbers of all.
fn read_groups(table: &dyn Table, record: &IdentityRecord, recover: bool) -> Result<Vec<GroupState>, OpenError> {
    let mut read: Vec<Result<GroupState, String>> = Vec::new();
    let mut place = Vec::new();
    for group in (0..record.groups).map(|group| GroupId(group as u16)) {
        key::group(&mut place, group);
        let mut state = Err("it is missing".to_owned());
        table
            .get(&place, &mut |value| state = seal::open(&place, value).and_then(|record| read_group(group, record)))?;
        read.push(state.map_err(|what| format!("the numbers of group {}: {what}", group.0)));
    }
    let top = highest_number(table, &read)?;
    read.into_iter()
        .zip(0..)
        .map(|(state, group)| match state {
            Err(_) if recover => Ok(GroupState::above(GroupId(group), top)),
            Err(what) => Err(OpenError::Damaged { what }),
            Ok(state) => Ok(state),
        })
        .collect()
}

/// Above every number in the store; walks it only when the groups' own records are not enough.
fn highest_number(table: &dyn Table, read: &[Result<GroupState, String>]) -> Result<u64, OpenError> {
    let mut top = read.iter().flatten().map(|state| state.bound).max().unwrap_or(0);
    if read.iter().all(Result::is_ok) {
        return Ok(top);
    }
    table.walk(&[key::ROW], &mut |key, value| {
        match kept::read(key, value) {
            Ok(Restored::Row(_, kept)) => top = top.max(kept.version),
            Ok(Restored::Tombstone { version, .. }) => top = top.max(version),
            _ => {}
        }
        key::is_of_group(key)
    })?;
    // Numbers of rows that were lost were reserved together with those that are still here.
    Ok(top.saturating_add(VERSION_RESERVE))
}
