//! The bell: wakes a shard that sleeps, and costs one load while it does not.
//!
//! The sleeper writes "I sleep" and then looks at its lanes; the sender writes a lane and then looks whether the
//! other sleeps. Each side writes one place and reads the other's, so without a full fence between its write and
//! its read both could read the old value: the sender sees nobody asleep, the sleeper sees no parcel, and the
//! wake-up is lost. One `SeqCst` fence on each side forbids exactly that: of two such fences one is first, and
//! the side whose fence is second reads what the other wrote. `loom-tests` walks every interleaving.

use super::atomic::{Arc, AtomicBool, Ordering, fence};
use crate::key::ShardId;
use crossbeam::utils::CachePadded;

type Asleep = Arc<Vec<CachePadded<AtomicBool>>>;

/// A shard's own bell, and the way to ring those of the others. Lives with the loop of its shard.
pub struct Bell {
    own: ShardId,
    ringer: Ringer,
}

/// Rings the bells of shards; for threads that are no shard (the writer), and part of every [`Bell`].
#[derive(Clone)]
pub struct Ringer {
    asleep: Asleep,
}

impl Bell {
    /// One bell per shard.
    pub(super) fn build(shards: usize) -> Vec<Bell> {
        let asleep: Asleep = Arc::new((0..shards).map(|_| CachePadded::new(AtomicBool::new(false))).collect());
        (0..shards)
            .map(|shard| Bell { own: ShardId(shard as u16), ringer: Ringer { asleep: asleep.clone() } })
            .collect()
    }

    /// The first of three steps to sleep: announce, **look again** at everything that senders write before they
    /// ring (both lanes from every shard, every [`super::Published`]), and only then sleep. From here on somebody
    /// may be told to wake this shard.
    pub fn announce_sleep(&self) {
        // Relaxed: the fence orders it before every look that follows. A swap where a store would do: every write
        // of the flag is then a read-modify-write, one chain that needs no argument (and that loom can order).
        self.ringer.asleep[self.own.index()].swap(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// This shard does not sleep, or no longer: woken, or the second look found something. A wake-up that was
    /// sent for the announcement before may still come and means nothing.
    pub fn awake(&self) {
        // Relaxed: who reads the old `true` wakes a shard that is awake, which costs a system call and no more.
        self.ringer.asleep[self.own.index()].swap(false, Ordering::Relaxed);
    }

    /// See [`Ringer::ring`].
    pub fn ring(&self, other: ShardId) -> bool {
        self.ringer.ring(other)
    }

    pub fn ringer(&self) -> Ringer {
        self.ringer.clone()
    }
}

impl Ringer {
    /// After a push (one or many) to `other`. True: `other` has announced sleep, and the caller, alone among all
    /// who ring for this announcement, must wake it.
    #[must_use = "whoever gets true is the only one who wakes the other shard"]
    pub fn ring(&self, other: ShardId) -> bool {
        // Orders the pushes before the load below; the other half is in `announce_sleep`.
        fence(Ordering::SeqCst);
        let asleep = &self.asleep[other.index()];
        // The load keeps the line shared while nobody sleeps; the swap lets one of many take the duty. Relaxed:
        // what the woken shard reads is published by the lanes themselves, and the wake-up is a system call.
        asleep.load(Ordering::Relaxed) && asleep.swap(false, Ordering::Relaxed)
    }
}
