//! The primitives below the mesh: the real ones, or loom's under `--cfg loom`.
//!
//! crossbeam's queue does not know of loom, and loom-tests prove our lines, not the library's. So under loom the
//! queue is a small model that promises what crossbeam's promises to one producer and one consumer and nothing
//! more: a pop that finds an item sees what the producer wrote before its push (release, acquire). A queue around
//! a mutex would order more than that and hide a missing fence in the bell.

#[cfg(not(loom))]
pub(super) use real::*;
#[cfg(not(loom))]
mod real {
    pub(crate) use crossbeam::queue::ArrayQueue as Queue;
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
}

#[cfg(loom)]
pub(super) use model::*;
#[cfg(loom)]
mod model {
    use loom::sync::Mutex;
    use loom::sync::atomic::AtomicUsize;

    pub(crate) use loom::sync::Arc;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

    /// See the module. `head` and `tail` count pops and pushes and never wrap in a model.
    pub(crate) struct Queue<T> {
        head: AtomicUsize,
        tail: AtomicUsize,
        /// A slot's lock is free whenever the counters let a side come to it; it only spares us `unsafe`.
        slots: Vec<Mutex<Option<T>>>,
    }

    impl<T> Queue<T> {
        pub(crate) fn new(capacity: usize) -> Queue<T> {
            let slots = (0..capacity).map(|_| Mutex::new(None)).collect();
            Queue { head: AtomicUsize::new(0), tail: AtomicUsize::new(0), slots }
        }

        pub(crate) fn push(&self, item: T) -> Result<(), T> {
            let tail = self.tail.load(Ordering::Relaxed);
            if tail - self.head.load(Ordering::Acquire) == self.slots.len() {
                return Err(item);
            }
            *self.slot(tail) = Some(item);
            self.tail.store(tail + 1, Ordering::Release);
            Ok(())
        }

        pub(crate) fn pop(&self) -> Option<T> {
            let head = self.head.load(Ordering::Relaxed);
            if head == self.tail.load(Ordering::Acquire) {
                return None;
            }
            let item = self.slot(head).take();
            self.head.store(head + 1, Ordering::Release);
            item
        }

        pub(crate) fn len(&self) -> usize {
            // Read by either side: its own counter is exact, the other's may be old but not newer than its own.
            let head = self.head.load(Ordering::Acquire);
            self.tail.load(Ordering::Acquire).saturating_sub(head)
        }

        pub(crate) fn capacity(&self) -> usize {
            self.slots.len()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.len() == 0
        }

        fn slot(&self, count: usize) -> loom::sync::MutexGuard<'_, Option<T>> {
            self.slots[count % self.slots.len()].lock().expect("nobody panics with a slot in hand")
        }
    }
}
