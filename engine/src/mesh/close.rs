//! The end of a link: a shard that stops says so, and the others learn it after its last parcel.

use super::atomic::{Arc, AtomicBool, Ordering};
use crate::key::ShardId;
use crossbeam::utils::CachePadded;

/// Which shards have stopped. Dropping a shard's own `Ends` closes it too.
pub struct Ends {
    own: ShardId,
    closed: Arc<Vec<CachePadded<AtomicBool>>>,
}

impl Ends {
    pub(super) fn build(shards: usize) -> Vec<Ends> {
        let closed = Arc::new((0..shards).map(|_| CachePadded::new(AtomicBool::new(false))).collect::<Vec<_>>());
        (0..shards).map(|shard| Ends { own: ShardId(shard as u16), closed: closed.clone() }).collect()
    }

    /// This shard pushes nothing from here on and takes nothing: what others push to it is lost. The caller rings
    /// the others, as after a push.
    pub fn close(&self) {
        // Release: who sees the flag sees every parcel pushed before it.
        self.closed[self.own.index()].store(true, Ordering::Release);
    }

    /// Whether `other` has stopped. **Ask before the last look** at its lanes: what they hold after a `true` is all
    /// that will ever come, and an empty lane before it proves nothing.
    pub fn is_closed(&self, other: ShardId) -> bool {
        self.closed[other.index()].load(Ordering::Acquire)
    }

    /// Whether every shard but this one has stopped.
    pub fn others_closed(&self) -> bool {
        (0..self.closed.len())
            .map(|shard| ShardId(shard as u16))
            .all(|other| other == self.own || self.is_closed(other))
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.close();
    }
}
