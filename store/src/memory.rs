//! The twins of the table: one that forgets everything (`--memory`), and one in memory with faults on demand, for
//! tests and the simulator: it fails, has no room, waits, loses power in the middle of a commit, or loses the last
//! commits, as long as nobody was told of them.
//!
//! A commit is there as a whole or not at all, also when power goes: LMDB writes pages that nothing refers to, syncs,
//! and then one page, of which 152 bytes in one sector of the disk count. So the twin tears nothing.

use crate::table::{Each, Edit, Edits, Put, Puts, Table, TableError};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Keeps nothing and does nothing.
pub struct Forgetful;

impl Table for Forgetful {
    fn commit(&mut self, _: &mut Edits<'_>) -> Result<(), TableError> {
        Ok(())
    }

    fn get(&self, _: &[u8], _: &mut dyn FnMut(&[u8])) -> Result<bool, TableError> {
        Ok(false)
    }

    fn walk(&self, _: &[u8], _: &mut Each<'_>) -> Result<(), TableError> {
        Ok(())
    }

    fn forgets(&self) -> bool {
        true
    }
}

type Pages = BTreeMap<Vec<u8>, Vec<u8>>;
/// What a commit changed: keys, each with the value before, in the order in which they were changed.
type Undo = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A disk that outlives the tables opened on it, with its faults.
#[derive(Clone, Default)]
pub struct Disk {
    inner: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    kept: Pages,
    /// Bytes of its keys and values.
    kept_bytes: usize,
    commits: u64,
    /// The last commits can be lost: what each of them changed, the newest last.
    losable: Option<VecDeque<Undo>>,
    failing: Option<TableError>,
    room_bytes: Option<usize>,
    held: bool,
    /// At this commit the power goes; whether the commit was still written.
    power_cut: Option<(u64, bool)>,
    /// Tables opened before the last power cut are gone with their process.
    generation: u64,
}

impl Disk {
    /// A process opens the disk. Power is back.
    pub fn table(&self) -> MemoryTable {
        let mut state = self.state();
        state.power_cut = None;
        state.generation += 1;
        MemoryTable { disk: self.clone(), generation: state.generation }
    }

    /// Every commit fails with this, until None.
    pub fn fail(&self, why: Option<TableError>) {
        self.state().failing = why;
    }

    /// Commits that would keep more than so many bytes find the disk full.
    pub fn limit(&self, room_bytes: Option<usize>) {
        self.state().room_bytes = room_bytes;
    }

    /// Commits wait until released.
    pub fn hold(&self, held: bool) {
        self.state().held = held;
        self.inner.1.notify_all();
    }

    /// Power goes at the `commit`th commit from the disk's beginning, and everything after it fails. The commit
    /// itself was written (`kept`) or lost as a whole; nobody is told which.
    pub fn cut_power(&self, commit: u64, kept: bool) {
        self.state().power_cut = Some((commit, kept));
    }

    /// Commits since the disk's beginning.
    pub fn commits(&self) -> u64 {
        self.state().commits
    }

    /// From now on a commit can be lost until somebody was told of it ([`Disk::told`]).
    pub fn may_lose(&self) {
        self.state().losable.get_or_insert_default();
    }

    /// Somebody was told that the `commit`th is durable: neither it nor one before it can be lost.
    pub fn told(&self, commit: u64) {
        let mut state = self.state();
        let newer = state.commits.saturating_sub(commit) as usize;
        if let Some(losable) = &mut state.losable {
            let older = losable.len().saturating_sub(newer);
            losable.drain(..older);
        }
    }

    /// How many commits can be lost at most.
    pub fn losable(&self) -> usize {
        self.state().losable.as_ref().map_or(0, VecDeque::len)
    }

    /// Power goes, and with it the last `commits` commits, of those that can be lost. Who had the disk open has it no more.
    pub fn lose(&self, commits: usize) {
        let mut state = self.state();
        state.generation += 1;
        for _ in 0..commits {
            let undo = state.losable.as_mut().and_then(VecDeque::pop_back).expect("only what nobody was told is lost");
            state.undo(undo);
            state.commits -= 1;
        }
    }

    /// Changes what is kept, behind everybody's back.
    pub fn tamper(&self, with: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>)) {
        let mut state = self.state();
        with(&mut state.kept);
        state.kept_bytes = state.kept.iter().map(|(key, value)| key.len() + value.len()).sum();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_when_released(&self) -> MutexGuard<'_, State> {
        let state = self.state();
        self.inner.1.wait_while(state, |state| state.held).unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn alive(&self, generation: u64) -> Result<(), TableError> {
        let cut = self.power_cut.is_some_and(|(commit, _)| self.commits >= commit);
        if cut || self.generation != generation {
            return Err(TableError::Failed("the power is gone".into()));
        }
        Ok(())
    }

    /// What `undo` says was changed, and whether that is kept.
    fn write(&mut self, undo: Undo) -> Result<(), TableError> {
        if self.room_bytes.is_some_and(|room| self.kept_bytes > room) {
            let full = TableError::DiskFull(format!("{} bytes do not fit", self.kept_bytes));
            self.undo(undo);
            return Err(full);
        }
        self.commits += 1;
        let cut = self.power_cut.filter(|(commit, _)| self.commits >= *commit);
        match cut {
            Some((_, false)) => self.undo(undo),
            _ => {
                if let Some(losable) = &mut self.losable {
                    losable.push_back(undo);
                }
            }
        }
        cut.map_or(Ok(()), |_| Err(TableError::Failed("the power is gone".into())))
    }

    fn undo(&mut self, undo: Undo) {
        for (key, before) in undo.into_iter().rev() {
            set(&mut self.kept, &mut self.kept_bytes, &key, before);
        }
    }
}

/// Puts or deletes; returns what was there.
fn set(pages: &mut Pages, bytes: &mut usize, key: &[u8], value: Option<Vec<u8>>) -> Option<Vec<u8>> {
    *bytes += value.as_ref().map_or(0, |value| key.len() + value.len());
    let before = match value {
        Some(value) => pages.insert(key.to_vec(), value),
        None => pages.remove(key),
    };
    *bytes -= before.as_ref().map_or(0, |before| key.len() + before.len());
    before
}

/// A table on a [`Disk`].
pub struct MemoryTable {
    disk: Disk,
    generation: u64,
}

impl Table for MemoryTable {
    fn commit(&mut self, edits: &mut Edits<'_>) -> Result<(), TableError> {
        let mut state = self.disk.state_when_released();
        state.alive(self.generation)?;
        if let Some(why) = &state.failing {
            return Err(why.clone());
        }
        let State { kept, kept_bytes, .. } = &mut *state;
        let mut edit = MemoryEdit { pages: kept, bytes: kept_bytes, undo: Undo::new() };
        let edited = edits(&mut edit);
        let undo = edit.undo;
        match edited {
            Ok(()) => state.write(undo),
            Err(why) => {
                state.undo(undo);
                Err(why)
            }
        }
    }

    fn get(&self, key: &[u8], seen: &mut dyn FnMut(&[u8])) -> Result<bool, TableError> {
        let state = self.disk.state();
        Ok(state.kept.get(key).map(|value| seen(value)).is_some())
    }

    fn walk(&self, from: &[u8], each: &mut Each<'_>) -> Result<(), TableError> {
        // A copy: whoever is shown a row may look at the disk.
        let pages = self.disk.state().kept.clone();
        walk_pages(&pages, from, each);
        Ok(())
    }
}

struct MemoryEdit<'a> {
    pages: &'a mut Pages,
    bytes: &'a mut usize,
    undo: Undo,
}

impl MemoryEdit<'_> {
    fn set(&mut self, key: &[u8], value: Option<Vec<u8>>) {
        let before = set(self.pages, self.bytes, key, value);
        self.undo.push((key.to_vec(), before));
    }
}

impl Put for MemoryEdit<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        self.set(key, Some(value.to_vec()));
        Ok(())
    }
}

impl Edit for MemoryEdit<'_> {
    fn put_ascending(&mut self, puts: &mut Puts<'_>) -> Result<(), TableError> {
        puts(self)
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), TableError> {
        self.set(key, None);
        Ok(())
    }

    fn get(&self, key: &[u8], seen: &mut dyn FnMut(&[u8])) -> Result<bool, TableError> {
        Ok(self.pages.get(key).map(|value| seen(value)).is_some())
    }

    fn walk(&self, from: &[u8], each: &mut Each<'_>) -> Result<(), TableError> {
        walk_pages(self.pages, from, each);
        Ok(())
    }
}

fn walk_pages(pages: &Pages, from: &[u8], each: &mut Each<'_>) {
    let range = (Bound::Included(from), Bound::Unbounded);
    for (key, value) in pages.range::<[u8], _>(range) {
        if !each(key, value) {
            return;
        }
    }
}
