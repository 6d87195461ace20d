//! What a completion is about, packed into the 64 bits that the kernel returns with it.
//!
//! ```text
//! 63      60 59              32 31                 0
//! |  kind   |      index       |    generation     |
//! ```

use engine::key::ConnId;

/// Indexes that fit a token; more sockets than this no process can have.
pub(super) const INDEX_MAX: u32 = (1 << 28) - 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    /// `index` is the listener.
    Accept = 1,
    Receive,
    Send,
    /// The cancelling of a receive.
    Cancel,
    /// The read that empties the ring's event descriptor.
    Drain,
    /// The cancelling of accepts.
    Hush,
    /// The read that waits for the shard's bell.
    Rung,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl Token {
    pub(super) fn of(kind: Kind, conn: ConnId) -> Token {
        Token { kind, index: conn.index, generation: conn.generation }
    }

    pub(super) fn alone(kind: Kind, index: u32) -> Token {
        Token { kind, index, generation: 0 }
    }

    pub(super) fn conn(self) -> ConnId {
        ConnId { index: self.index, generation: self.generation }
    }

    pub(super) fn pack(self) -> u64 {
        debug_assert!(self.index <= INDEX_MAX);
        (self.kind as u64) << 60 | u64::from(self.index) << 32 | u64::from(self.generation)
    }

    /// `None`: nothing that this room submitted.
    pub(super) fn unpack(packed: u64) -> Option<Token> {
        let kind = match packed >> 60 {
            1 => Kind::Accept,
            2 => Kind::Receive,
            3 => Kind::Send,
            4 => Kind::Cancel,
            5 => Kind::Drain,
            6 => Kind::Hush,
            7 => Kind::Rung,
            _ => return None,
        };
        Some(Token { kind, index: (packed >> 32) as u32 & INDEX_MAX, generation: packed as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_comes_back_as_it_was() {
        let kinds = [Kind::Accept, Kind::Receive, Kind::Send, Kind::Cancel, Kind::Drain, Kind::Hush, Kind::Rung];
        for kind in kinds {
            for (index, generation) in [(0, 0), (1, u32::MAX), (INDEX_MAX, 7)] {
                let token = Token { kind, index, generation };
                assert_eq!(Token::unpack(token.pack()), Some(token));
            }
        }
        assert_eq!(Token::unpack(0), None);
        assert_eq!(Token::unpack(u64::MAX), None);
    }
}
