//! The memory of the process: how much it holds, and how much it may.

use crate::wake::Waker;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// Of what the machine or the control group has, the process may hold this share unless it is told otherwise. The rest is
/// for sockets, the data file and whoever else runs there.
const AUTO_SHARE: (u64, u64) = (3, 4);
/// The limit counts as kept again when the process holds no more than this share of it.
const ENOUGH_SHARE: (u64, u64) = (15, 16);
/// Bytes that come in a second at most, over the loopback of a fast machine: it is looked again before they fill what is free.
const GROWTH_BYTES_PER_S: u64 = 4 << 30;
const LOOK_AT_LEAST: Duration = Duration::from_millis(1_000);
const LOOK_AT_MOST: Duration = Duration::from_millis(50);
/// While the limit is reached shards give back what their allocators keep, no more often than this.
pub(crate) const GIVE_BACK_EVERY_MS: u64 = 500;

/// Whether the process holds as much as it may, for the shards.
#[derive(Clone, Default, Debug)]
pub struct Memory(Arc<AtomicBool>);

impl Memory {
    pub fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The thread that looks. It ends when this is dropped.
pub(crate) struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Looks from now on whether the process holds `limit_bytes`; sets `memory` and wakes the shards when that changes.
    pub(crate) fn start(limit_bytes: u64, memory: Memory, waker: Waker) -> io::Result<Watch> {
        let (stop, stopped) = channel();
        let watch = move || {
            let mut level = Level { limit_bytes, is_full: false };
            let mut held_bytes = anonymous_bytes();
            while stopped.recv_timeout(level.pause(held_bytes)) == Err(RecvTimeoutError::Timeout) {
                held_bytes = anonymous_bytes();
                if level.rises_or_falls(held_bytes) {
                    memory.0.store(level.is_full, Ordering::Relaxed);
                    level.tell(held_bytes);
                }
                if level.is_full {
                    waker.wake_all(); // they give back what they can
                }
            }
        };
        let thread = std::thread::Builder::new().name("mote-memory".into()).spawn(watch)?;
        Ok(Watch { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that looks at the memory had panicked, which is a bug in mote");
        }
    }
}

struct Level {
    limit_bytes: u64,
    is_full: bool,
}

impl Level {
    /// Whether what the process holds has come to the limit, or is enough below it again.
    fn rises_or_falls(&mut self, held_bytes: u64) -> bool {
        let (part, whole) = ENOUGH_SHARE;
        let is_full = match self.is_full {
            false => held_bytes >= self.limit_bytes,
            true => held_bytes > self.limit_bytes / whole * part,
        };
        std::mem::replace(&mut self.is_full, is_full) != is_full
    }

    /// Until the limit could be reached from here.
    fn pause(&self, held_bytes: u64) -> Duration {
        if self.is_full {
            return Duration::from_millis(GIVE_BACK_EVERY_MS);
        }
        let free = self.limit_bytes.saturating_sub(held_bytes);
        Duration::from_millis(free.saturating_mul(1_000) / GROWTH_BYTES_PER_S).clamp(LOOK_AT_MOST, LOOK_AT_LEAST)
    }

    fn tell(&self, held_bytes: u64) {
        let limit_bytes = self.limit_bytes;
        if self.is_full {
            tracing::warn!(
                held_bytes,
                limit_bytes,
                "the process holds as much memory as it may: new clients, subscriptions and messages that would stay are refused"
            );
        } else {
            tracing::info!(held_bytes, limit_bytes, "there is memory again, and everything is taken");
        }
    }
}

/// What `limits.memory_bytes = "auto"` stands for: three quarters of what the machine has, or of what the control group of
/// the process may use. `None`: neither is known.
pub fn auto_bytes() -> Option<u64> {
    static AUTO: OnceLock<Option<u64>> = OnceLock::new();
    *AUTO.get_or_init(|| {
        let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| machine_bytes(&text));
        let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group_bytes(&text, &group_limit));
        let (part, whole) = AUTO_SHARE;
        machine.into_iter().chain(group).min().map(|bytes| bytes / whole * part)
    })
}

/// `MemTotal:       24690512 kB`
fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// The least that a group of the process and those above it may use. `0::/path` is the group of version 2.
fn group_bytes(cgroup: &str, limit: &dyn Fn(&Path) -> Option<u64>) -> Option<u64> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut folder = PathBuf::from("/sys/fs/cgroup").join(path);
    let mut least = None;
    while folder.starts_with("/sys/fs/cgroup") {
        least = least.into_iter().chain(limit(&folder)).min();
        folder.pop();
    }
    least
}

/// `max` is no limit.
fn group_limit(folder: &Path) -> Option<u64> {
    fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse().ok()
}

/// Memory of the process that is not a file's (`RssAnon`). 0 where there is no `/proc` to say it.
pub(crate) fn anonymous_bytes() -> u64 {
    match fs::read_to_string("/proc/self/statm") {
        Ok(statm) => anonymous_pages(&statm).unwrap_or(0) * rustix::param::page_size() as u64,
        Err(error) => {
            tracing::debug!(%error, "the memory of the process is not known");
            0
        }
    }
}

/// `size resident shared …`, in pages; what is resident and not shared is anonymous.
fn anonymous_pages(statm: &str) -> Option<u64> {
    let mut fields = statm.split(' ').skip(1).map(|field| field.parse::<u64>().ok());
    let (resident, shared) = (fields.next()??, fields.next()??);
    Some(resident.saturating_sub(shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_is_resident_and_no_file() {
        assert_eq!(anonymous_pages("765 428 399 5 0 123 0\n"), Some(29));
        assert_eq!(anonymous_pages("765"), None);
        assert!(anonymous_bytes() > 0, "this test uses memory");
    }

    #[test]
    fn the_limit_is_left_lower_than_it_is_reached() {
        let mut level = Level { limit_bytes: 1_600, is_full: false };
        let changes: Vec<bool> = [1_599, 1_600, 1_501, 1_500, 1_599].map(|held| level.rises_or_falls(held)).into();
        assert_eq!((changes, level.is_full), (vec![false, true, false, true, false], false));
    }

    #[test]
    fn it_is_looked_more_often_near_the_limit() {
        let level = Level { limit_bytes: 8 << 30, is_full: false };
        assert_eq!(level.pause(0), LOOK_AT_LEAST);
        assert_eq!(level.pause(7 << 30), Duration::from_millis(250));
        assert_eq!(level.pause(9 << 30), LOOK_AT_MOST);
    }

    #[test]
    fn what_the_machine_has_is_read() {
        assert_eq!(machine_bytes("MemTotal:       24690512 kB\nMemFree: 1 kB\n"), Some(24_690_512 * 1_024));
        assert_eq!(machine_bytes("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn the_least_of_the_groups_above_counts() {
        let limit = |folder: &Path| match folder.to_str() {
            Some("/sys/fs/cgroup/a") => Some(5),
            Some("/sys/fs/cgroup/a/b") => Some(7),
            _ => None,
        };
        assert_eq!(group_bytes("1:name=x:/y\n0::/a/b/c\n", &limit), Some(5));
        assert_eq!(group_bytes("0::/\n", &limit), None);
        assert_eq!(group_bytes("4:memory:/old\n", &limit), None);
    }
}
