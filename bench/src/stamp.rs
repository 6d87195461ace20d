//! What a message says about itself, so that whoever receives it knows which it is and when it was due.
//!
//! ```text
//! bytes   0        1..3         3..8       8..16
//!         of run   publisher    sequence   due, nanoseconds since the run began     each big endian
//! ```
//! In JSON and other text it stands as 32 hexadecimal digits behind a mark that no other value contains.

pub const STAMP_BYTES: usize = 16;
pub const STAMP_MARK: u8 = b'@';
pub const STAMP_TEXT_BYTES: usize = 2 * STAMP_BYTES;
/// A publisher has a number below this.
pub const PUBLISHERS_MAX: usize = 1 << 16;

const SEQUENCE_BITS: u32 = 40;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    word: u64,
    /// When it should have been sent, in nanoseconds since the run began.
    pub due_ns: u64,
}

impl Stamp {
    /// `run` tells the messages of one run from what another has left behind.
    pub fn new(run: u8, publisher: usize, sequence: u64, due_ns: u64) -> Stamp {
        debug_assert!(publisher < PUBLISHERS_MAX && sequence >> SEQUENCE_BITS == 0);
        Stamp { word: u64::from(run) << 56 | (publisher as u64) << SEQUENCE_BITS | sequence, due_ns }
    }

    pub fn run(self) -> u8 {
        (self.word >> 56) as u8
    }

    pub fn publisher(self) -> usize {
        (self.word >> SEQUENCE_BITS) as usize & (PUBLISHERS_MAX - 1)
    }

    pub fn sequence(self) -> u64 {
        self.word & ((1 << SEQUENCE_BITS) - 1)
    }

    /// Into the first `STAMP_BYTES` of `to`.
    pub fn write(self, to: &mut [u8]) {
        to[..8].copy_from_slice(&self.word.to_be_bytes());
        to[8..16].copy_from_slice(&self.due_ns.to_be_bytes());
    }

    pub fn read(from: &[u8]) -> Option<Stamp> {
        let word = u64::from_be_bytes(*from.first_chunk()?);
        Some(Stamp { word, due_ns: u64::from_be_bytes(*from.get(8..)?.first_chunk()?) })
    }

    /// Into the first `STAMP_TEXT_BYTES` of `to`.
    pub fn write_text(self, to: &mut [u8]) {
        let mut bytes = [0; STAMP_BYTES];
        self.write(&mut bytes);
        for (byte, digits) in bytes.iter().zip(to.chunks_exact_mut(2)) {
            digits[0] = digit(byte >> 4);
            digits[1] = digit(byte & 15);
        }
    }

    pub fn read_text(from: &[u8]) -> Option<Stamp> {
        let mut bytes = [0; STAMP_BYTES];
        for (byte, digits) in bytes.iter_mut().zip(from.get(..STAMP_TEXT_BYTES)?.chunks_exact(2)) {
            *byte = value(digits[0])? << 4 | value(digits[1])?;
        }
        Stamp::read(&bytes)
    }
}

fn digit(value: u8) -> u8 {
    b"0123456789abcdef"[usize::from(value)]
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp::new(200, 65_535, (1 << 40) - 1, u64::MAX - 5);
        let (mut bytes, mut text) = ([0; STAMP_BYTES], [0; STAMP_TEXT_BYTES]);
        stamp.write(&mut bytes);
        stamp.write_text(&mut text);
        assert_eq!((Stamp::read(&bytes), Stamp::read_text(&text)), (Some(stamp), Some(stamp)));
        assert_eq!((stamp.run(), stamp.publisher(), stamp.sequence()), (200, 65_535, (1 << 40) - 1));
        assert_eq!((Stamp::read(&bytes[1..]), Stamp::read_text(&text[1..])), (None, None));
    }
}
