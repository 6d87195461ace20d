//! The folder of the store: who uses it, and where things are moved that cannot be used.
//!
//! Lives on the thread that starts the broker, before any shard runs. It must never delete.

use crate::lmdb::{DATA_FILE, LOCK_FILE};
use crate::restore::OpenError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
const USE_FILE: &str = "mote.lock";
/// A copy of the record of the identity, with its sum.
const IDENTITY_FILE: &str = "mote.identity";

/// Holds the folder for this process; the system lets go of it when the process ends, however it ends.
pub(crate) struct InUse {
    _file: File,
    folder: PathBuf,
}

impl InUse {
    /// Keeps a copy of the record of the identity beside the table; `--recover` needs it where the table's own is lost.
    pub fn keep_identity(&self, value: &[u8]) -> std::io::Result<()> {
        if identity_copy(&self.folder).is_some_and(|before| before == value) {
            return Ok(());
        }
        let mut file = File::create(self.folder.join(IDENTITY_FILE))?;
        file.write_all(value)?;
        file.sync_all()
    }
}

pub(crate) fn identity_copy(folder: &Path) -> Option<Vec<u8>> {
    std::fs::read(folder.join(IDENTITY_FILE)).ok()
}

/// Makes the folder if there is none and holds it.
pub(crate) fn hold(folder: &Path) -> Result<InUse, OpenError> {
    let io = |error| OpenError::Folder { folder: folder.to_owned(), error };
    std::fs::create_dir_all(folder).map_err(io)?;
    let path = folder.join(USE_FILE);
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
    match lock(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Who holds it may be about to write; then the number is unknown.
            let _ = file.read_to_string(&mut pid);
            return Err(OpenError::InUse { folder: folder.to_owned(), pid: pid.trim().parse().ok() });
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    // On a full disk the number is missing and the lock holds all the same.
    let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(InUse { _file: file, folder: folder.to_owned() })
}

/// A process that is just ending gets a moment: the system lets go of its files a little later than of its pid.
fn lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            other => return other,
        }
    }
    file.try_lock()
}

/// Moves the files of the table into a folder of their own and says which.
pub(crate) fn move_aside(folder: &Path) -> Result<PathBuf, OpenError> {
    let io = |error| OpenError::Folder { folder: folder.to_owned(), error };
    let stamp = SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_millis()).unwrap_or(0);
    let aside = folder.join(format!("set-aside-{stamp}"));
    std::fs::create_dir(&aside).map_err(io)?;
    for name in [DATA_FILE, LOCK_FILE] {
        match std::fs::rename(folder.join(name), aside.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
    }
    Ok(aside)
}
