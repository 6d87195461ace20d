//! The twins of the table: one that forgets everything (`--memory`), and one in memory with faults on demand, for
//! tests and the simulator: it fails, has no room, waits, or loses power in the middle of a commit.

use crate::table::{Each, Edit, Edits, Table, TableError};
use std::collections::BTreeMap;
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

/// A disk that outlives the tables opened on it, with its faults.
#[derive(Clone, Default)]
pub struct Disk {
    inner: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    kept: Pages,
    commits: u64,
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

    /// Changes what is kept, behind everybody's back.
    pub fn tamper(&self, with: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>)) {
        with(&mut self.state().kept);
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

    fn write(&mut self, pages: Pages) -> Result<(), TableError> {
        let bytes: usize = pages.iter().map(|(key, value)| key.len() + value.len()).sum();
        if self.room_bytes.is_some_and(|room| bytes > room) {
            return Err(TableError::DiskFull(format!("{bytes} bytes do not fit")));
        }
        self.commits += 1;
        match self.power_cut {
            Some((commit, kept)) if self.commits >= commit => {
                if kept {
                    self.kept = pages;
                }
                Err(TableError::Failed("the power is gone".into()))
            }
            _ => {
                self.kept = pages;
                Ok(())
            }
        }
    }
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
        let mut edit = MemoryEdit { pages: state.kept.clone() };
        edits(&mut edit)?;
        state.write(edit.pages)
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

struct MemoryEdit {
    pages: Pages,
}

impl Edit for MemoryEdit {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        self.pages.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), TableError> {
        self.pages.remove(key);
        Ok(())
    }

    fn get(&self, key: &[u8], seen: &mut dyn FnMut(&[u8])) -> Result<bool, TableError> {
        Ok(self.pages.get(key).map(|value| seen(value)).is_some())
    }

    fn walk(&self, from: &[u8], each: &mut Each<'_>) -> Result<(), TableError> {
        walk_pages(&self.pages, from, each);
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
