//! Waking a shard that sleeps: an event descriptor per shard, written only when its bell says that it sleeps.

use engine::key::ShardId;
use engine::mesh::Ringer;
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Wakes shards from any thread: other shards, the writer, the thread that waits for signals.
#[derive(Clone)]
pub struct Waker {
    ringer: Ringer,
    events: Arc<Vec<OwnedFd>>,
}

impl Waker {
    pub(crate) fn new(ringer: Ringer, shards: usize) -> io::Result<Waker> {
        // Not blocking, so that draining one that is empty says so instead of waiting.
        let event = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let events = (0..shards).map(|_| event()).collect::<Result<Vec<_>, _>>()?;
        Ok(Waker { ringer, events: Arc::new(events) })
    }

    /// Call it after whatever the shard shall find (a parcel, a committed position) is written. Costs one load
    /// while the shard is awake, one system call when it sleeps.
    pub fn wake(&self, shard: ShardId) {
        if self.ringer.ring(shard)
            && let Err(error) = rustix::io::write(&self.events[shard.index()], &1u64.to_ne_bytes())
            // A counter at its end has been readable for long.
            && error != rustix::io::Errno::AGAIN
        {
            tracing::error!(shard = shard.0, %error, "a sleeping shard could not be woken");
        }
    }

    pub fn wake_all(&self) {
        (0..self.events.len()).for_each(|shard| self.wake(ShardId(shard as u16)));
    }

    /// What `shard` sleeps on.
    pub(crate) fn event(&self, shard: ShardId) -> BorrowedFd<'_> {
        self.events[shard.index()].as_fd()
    }
}
