//! The receive buffers that all connections of a shard share: memory that the kernel fills and we read in turns.
//!
//! The `unsafe` here has one reason: this memory is written by the kernel. A buffer belongs to the kernel from
//! `publish` until a completion names it; from then on a [`Filled`] is the only key to it, until it is recycled.
//!
//! ```text
//! entries  | addr len id tail | addr len id - | …        a ring that we write and the kernel reads
//! memory   | buffer 0 | buffer 1 | …                      buffer `id` lies at id * buffer_bytes
//!          |<- go round ->|<- wait until they are needed ->|
//! ```
#![allow(unsafe_code)]

use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// The group that every receive selects from.
pub(super) const GROUP: u16 = 0;
const PAGE_BYTES: usize = 4_096;
/// Entries that the kernel accepts in one buffer ring.
const BUFFERS_MAX: u16 = 32_768;
/// Buffers that go round at first. The kernel takes them in turns, so each of them is touched soon, however few
/// bytes arrive; the others stay untouched until a receive finds none free.
const BUFFERS_FIRST: u16 = 64;

/// Bytes that were received, in a buffer of the ring. Must be given back with `Ring::recycle`.
#[must_use = "a buffer that is not recycled is lost to the ring"]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) id: u16,
    pub(crate) len: u32,
}

/// Page-aligned memory, zeroed by the operating system as it is touched.
struct Region {
    start: NonNull<u8>,
    layout: Layout,
}

impl Region {
    fn new(bytes: usize) -> io::Result<Region> {
        let layout = Layout::from_size_align(bytes, PAGE_BYTES)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "receive buffers larger than memory"))?;
        // SAFETY: the layout is not empty: `Provided::register` asks for at least one buffer of at least one byte.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Ok(Region { start, layout })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

pub(super) struct Provided {
    entries: Region,
    memory: Region,
    buffers: u16,
    buffer_bytes: u32,
    /// Buffers that go round: those with the lower numbers.
    offered: u16,
    /// More were offered since `publish`.
    is_widened: bool,
    /// Counts published buffers; the kernel sees it after `publish`.
    tail: u16,
}

impl Provided {
    /// Registers `buffers` (a power of two) of `buffer_bytes` with the ring of `submitter`. The result must live
    /// until that ring is gone.
    pub(super) fn register(submitter: &Submitter<'_>, buffers: u16, buffer_bytes: u32) -> io::Result<Provided> {
        if !buffers.is_power_of_two() || buffers > BUFFERS_MAX || buffer_bytes == 0 {
            let text = "receive buffers: a power of two up to 32768, of at least one byte";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let entries = Region::new(usize::from(buffers) * size_of::<BufRingEntry>())?;
        let memory = Region::new(usize::from(buffers) * buffer_bytes as usize)?;
        // SAFETY: the region is page-aligned, holds `buffers` entries, and outlives the ring (see above).
        unsafe { submitter.register_buf_ring_with_flags(entries.start.as_ptr() as u64, buffers, GROUP, 0)? };
        let offered = buffers.min(BUFFERS_FIRST);
        let mut provided = Provided { entries, memory, buffers, buffer_bytes, offered, is_widened: false, tail: 0 };
        (0..offered).for_each(|id| provided.offer(id));
        provided.publish();
        Ok(provided)
    }

    pub(super) fn buffer_bytes(&self) -> u32 {
        self.buffer_bytes
    }

    /// The received bytes.
    pub(super) fn bytes(&self, filled: &Filled) -> &[u8] {
        assert!(filled.id < self.buffers && filled.len <= self.buffer_bytes, "a buffer that was never provided");
        let offset = usize::from(filled.id) * self.buffer_bytes as usize;
        // SAFETY: in bounds by the assert; initialised (zeroed at first); the kernel gave the buffer up when it
        // posted the completion that `filled` was made from, and takes it again only after `recycle`, which
        // consumes `filled`.
        unsafe { std::slice::from_raw_parts(self.memory.start.as_ptr().add(offset), filled.len as usize) }
    }

    /// Gives a buffer back; the kernel sees it after `publish`.
    pub(super) fn recycle(&mut self, filled: Filled) {
        self.offer(filled.id);
    }

    /// A receive found no buffer: twice as many go round from now on, as far as there are so many. Receives that
    /// ended together ask once.
    pub(super) fn widen(&mut self) {
        if self.is_widened || self.offered == self.buffers {
            return;
        }
        self.is_widened = true;
        let more = self.offered.saturating_mul(2).min(self.buffers);
        (self.offered..more).for_each(|id| self.offer(id));
        self.offered = more;
    }

    fn offer(&mut self, id: u16) {
        let slot = usize::from(self.tail & (self.buffers - 1));
        let offset = usize::from(id) * self.buffer_bytes as usize;
        // SAFETY: `slot` is below `buffers` and `offset` within the memory. The kernel does not read this entry
        // until the tail passes it, and the setters leave the tail (the reserved field of entry 0) alone.
        unsafe {
            let entry = &mut *self.entries.start.as_ptr().cast::<BufRingEntry>().add(slot);
            entry.set_addr(self.memory.start.as_ptr().add(offset) as u64);
            entry.set_len(self.buffer_bytes);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel every buffer offered so far.
    pub(super) fn publish(&mut self) {
        self.is_widened = false;
        // SAFETY: the tail lies in entry 0, aligned, and only this thread writes it.
        let tail = unsafe { &*BufRingEntry::tail(self.entries.start.as_ptr().cast()).cast::<AtomicU16>() };
        // Release: the kernel reads the tail with acquire and then the entries.
        tail.store(self.tail, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_buffers_go_round_when_receives_find_none_and_never_more_than_there_are() {
        let ring = super::super::ring::builder().build(2).unwrap();
        let mut provided = Provided::register(&ring.submitter(), 4 * BUFFERS_FIRST, 64).unwrap();
        for times in [1, 2, 4, 4] {
            assert_eq!((provided.offered, provided.tail), (times * BUFFERS_FIRST, times * BUFFERS_FIRST));
            provided.widen();
            provided.widen(); // another receive of the same turn
            provided.publish();
        }
        drop(ring); // before its buffers
    }
}
