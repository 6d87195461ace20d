//! Send buffers that the kernel is reading: kept here, unmoved and unchanged, until their completion.

use engine::key::ConnId;

/// One send: what is left of it begins at `from`.
#[derive(Default)]
struct Sending {
    bytes: Vec<u8>,
    from: usize,
    is_busy: bool,
}

/// By index of the connection: one send in flight each.
#[derive(Default)]
pub(super) struct InFlight {
    slots: Vec<Sending>,
}

impl InFlight {
    /// Keeps `bytes` until `finish`. What `rest` then returns stays valid that long: the memory of a `Vec` does
    /// not move when the `Vec` itself does, and nothing else here touches it.
    pub(super) fn start(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let index = conn.index as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Sending::default);
        }
        let slot = &mut self.slots[index];
        assert!(!slot.is_busy, "a second send of one connection");
        *slot = Sending { bytes, from: 0, is_busy: true };
    }

    /// What has not been sent yet.
    pub(super) fn rest(&self, index: u32) -> &[u8] {
        let slot = &self.slots[index as usize];
        &slot.bytes[slot.from..]
    }

    /// `sent` bytes have left; true when that was all.
    pub(super) fn advance(&mut self, index: u32, sent: usize) -> bool {
        let slot = &mut self.slots[index as usize];
        slot.from += sent;
        assert!(slot.from <= slot.bytes.len(), "more sent than was there");
        slot.from == slot.bytes.len()
    }

    /// The kernel is done with it: the buffer, to be used again.
    pub(super) fn finish(&mut self, index: u32) -> Vec<u8> {
        let slot = std::mem::take(&mut self.slots[index as usize]);
        debug_assert!(slot.is_busy);
        slot.bytes
    }
}
