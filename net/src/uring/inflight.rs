//! Send buffers that the kernel is reading: kept here, unmoved and unchanged, until their completion.

use engine::key::ConnId;

/// One send: what is left of it begins at `from`.
#[derive(Default)]
struct Sending {
    bytes: Vec<u8>,
    from: usize,
}

/// No send is in flight.
const NONE: u32 = u32::MAX;

/// One send in flight per connection. Most connections have none, so those only have a number here.
#[derive(Default)]
pub(super) struct InFlight {
    sends: Vec<Sending>,
    free: Vec<u32>,
    /// By index of the connection: its place in `sends`, or `NONE`.
    places: Vec<u32>,
}

impl InFlight {
    /// Keeps `bytes` until `finish`. What `rest` then returns stays valid that long: the memory of a `Vec` does
    /// not move when the `Vec` itself does, and nothing else here touches it.
    pub(super) fn start(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let index = conn.index as usize;
        if self.places.len() <= index {
            self.places.resize(index + 1, NONE);
        }
        assert!(self.places[index] == NONE, "a second send of one connection");
        let sending = Sending { bytes, from: 0 };
        self.places[index] = match self.free.pop() {
            Some(place) => {
                self.sends[place as usize] = sending;
                place
            }
            None => {
                self.sends.push(sending);
                self.sends.len() as u32 - 1
            }
        };
    }

    /// What has not been sent yet.
    pub(super) fn rest(&self, index: u32) -> &[u8] {
        let sending = &self.sends[self.places[index as usize] as usize];
        &sending.bytes[sending.from..]
    }

    /// `sent` bytes have left; true when that was all.
    pub(super) fn advance(&mut self, index: u32, sent: usize) -> bool {
        let sending = &mut self.sends[self.places[index as usize] as usize];
        sending.from += sent;
        assert!(sending.from <= sending.bytes.len(), "more sent than was there");
        sending.from == sending.bytes.len()
    }

    /// The kernel is done with it: the buffer, to be used again.
    pub(super) fn finish(&mut self, index: u32) -> Vec<u8> {
        let place = std::mem::replace(&mut self.places[index as usize], NONE);
        let sending = std::mem::take(&mut self.sends[place as usize]);
        self.free.push(place);
        sending.bytes
    }
}
