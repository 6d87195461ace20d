//! Spare send buffers of one shard: what a completed send leaves is what the next connection fills.

/// Spare buffers that are kept; more connections than this with unsent bytes at once are rare, and their
/// buffers are freed.
const SPARES_MAX: usize = 1_024;
/// A buffer that grew beyond this is freed instead of kept, so that one burst is not paid for ever.
const SPARE_BYTES_MAX: usize = 64 * 1024;
/// What all spares may hold together.
const SPARES_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Default)]
pub(crate) struct Buffers {
    spares: Vec<Vec<u8>>,
    bytes: usize,
}

impl Buffers {
    /// An empty buffer, with memory if there is one to spare.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let spare = self.spares.pop().unwrap_or_default();
        self.bytes -= spare.capacity();
        spare
    }

    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        let is_worth_it = bytes > 0 && bytes <= SPARE_BYTES_MAX;
        if is_worth_it && self.spares.len() < SPARES_MAX && self.bytes + bytes <= SPARES_BYTES_MAX {
            buffer.clear();
            self.bytes += bytes;
            self.spares.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_a_huge_one_does_not() {
        let mut buffers = Buffers::default();
        buffers.give(b"unsent".to_vec());
        buffers.give(Vec::with_capacity(SPARE_BYTES_MAX + 1));
        let spare = buffers.take();
        assert!(spare.is_empty() && spare.capacity() >= 6);
        assert_eq!(buffers.take().capacity(), 0);
        assert_eq!(buffers.bytes, 0);
    }

    #[test]
    fn spares_are_bounded_in_number_and_in_bytes() {
        let mut buffers = Buffers::default();
        for _ in 0..2 * SPARES_MAX {
            buffers.give(Vec::with_capacity(16));
        }
        assert_eq!(buffers.spares.len(), SPARES_MAX);
        let mut buffers = Buffers::default();
        for _ in 0..2 * SPARES_BYTES_MAX / SPARE_BYTES_MAX {
            buffers.give(Vec::with_capacity(SPARE_BYTES_MAX));
        }
        assert!(buffers.bytes <= SPARES_BYTES_MAX);
    }
}
