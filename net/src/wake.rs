//! Waking a shard that sleeps: a descriptor per shard, written only when its bell says that it sleeps.

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
    rung: Arc<Vec<OwnedFd>>,
}

impl Waker {
    pub(crate) fn new(ringer: Ringer, shards: usize) -> io::Result<Waker> {
        // Not blocking, so that a ring writes and reads it at once instead of handing it to a thread of the kernel.
        let rung = (0..shards)
            .map(|_| eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Waker { ringer, rung: Arc::new(rung) })
    }

    /// Call it after whatever the shard shall find (a parcel, a committed position) is written. Costs one load
    /// while the shard is awake, one system call when it sleeps.
    pub fn wake(&self, shard: ShardId) {
        if self.ringer.ring(shard)
            && let Err(error) = rustix::io::write(&self.rung[shard.index()], &1u64.to_ne_bytes())
        {
            tracing::error!(shard = shard.0, %error, "a sleeping shard could not be woken");
        }
    }

    /// The same for a shard's loop, whose ring writes the descriptor that this returns: no system call of its own.
    pub(crate) fn to_ring(&self, shard: ShardId) -> Option<BorrowedFd<'_>> {
        self.ringer.ring(shard).then(|| self.rung[shard.index()].as_fd())
    }

    pub fn wake_all(&self) {
        (0..self.rung.len()).for_each(|shard| self.wake(ShardId(shard as u16)));
    }

    /// Readable when `shard` is to wake.
    pub(crate) fn rung(&self, shard: ShardId) -> BorrowedFd<'_> {
        self.rung[shard.index()].as_fd()
    }
}
