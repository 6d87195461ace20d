//! The seam: what the store asks of a table on disk. Everything above speaks of keys and values only, so another
//! engine is one file. Transactions never leave a call: whoever writes hands in what is to be done.

use std::fmt;

/// Why a table did not do what it was asked. A commit that returns one of these changed nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TableError {
    /// The disk has no room.
    DiskFull(String),
    /// Anything else the system or the engine says.
    Failed(String),
    /// What lies there is not what was written.
    Damaged(String),
    /// The table's own map has no room. It grows and begins again; nobody outside sees this.
    MapFull,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableError::DiskFull(what) => write!(f, "no room on the disk ({what})"),
            TableError::Failed(what) | TableError::Damaged(what) => f.write_str(what),
            TableError::MapFull => f.write_str("the map of the table has no room"),
        }
    }
}

impl std::error::Error for TableError {}

/// What is to be done in one commit. It may be called more than once for one commit (a table that had to grow
/// begins again), each time on the same state.
pub type Edits<'a> = dyn FnMut(&mut dyn Edit) -> Result<(), TableError> + 'a;

/// Shown a key and its value; false ends the walk.
pub type Each<'a> = dyn FnMut(&[u8], &[u8]) -> bool + 'a;

/// Where something is put.
pub trait Put {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), TableError>;
}

/// Puts one thing after the other.
pub type Puts<'a> = dyn FnMut(&mut dyn Put) -> Result<(), TableError> + 'a;

/// One commit from the inside.
pub trait Edit: Put {
    /// Puts many things whose keys ascend: each is looked for where the last one is.
    fn put_ascending(&mut self, puts: &mut Puts<'_>) -> Result<(), TableError>;
    /// Deleting what is not there is no error.
    fn delete(&mut self, key: &[u8]) -> Result<(), TableError>;
    /// As [`Table::get`], with what this commit has changed so far.
    fn get(&self, key: &[u8], seen: &mut dyn FnMut(&[u8])) -> Result<bool, TableError>;
    /// As [`Table::walk`], with what this commit has changed so far.
    fn walk(&self, from: &[u8], each: &mut Each<'_>) -> Result<(), TableError>;
}

pub trait Table: Send {
    /// All of `edits`, or nothing of it. When it returns Ok, neither a killed process nor lost power takes it back.
    fn commit(&mut self, edits: &mut Edits<'_>) -> Result<(), TableError>;
    /// Shows the value of `key` and says whether there is one.
    fn get(&self, key: &[u8], seen: &mut dyn FnMut(&[u8])) -> Result<bool, TableError>;
    /// Every key from `from` on, in order, as of one moment.
    fn walk(&self, from: &[u8], each: &mut Each<'_>) -> Result<(), TableError>;
    /// Nothing is kept, so nothing needs to be prepared for a commit.
    fn forgets(&self) -> bool {
        false
    }
}
