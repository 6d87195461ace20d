//! Small keys instead of references: what the arenas of the engine are indexed by.
//! A key with a generation says whether it still means the same thing.

/// A shard: one thread on one core, owner of a part of the topic tree and home of a part of the clients.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ShardId(pub u16);

impl ShardId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A connection, as the loop and the engine of one shard name it. `index` is dense and reused;
/// `generation` tells a late completion of an earlier connection from the present one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnId {
    pub index: u32,
    pub generation: u32,
}

/// A session at its home shard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionKey {
    pub index: u32,
    pub generation: u32,
}

impl SessionKey {
    /// No session: the broker itself speaks.
    pub const NONE: SessionKey = SessionKey { index: u32::MAX, generation: 0 };
}

/// A session anywhere in the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Client {
    pub home: ShardId,
    pub session: SessionKey,
}

/// One of `GROUPS` parts of the topic tree: the unit of ownership, atomicity and versions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct GroupId(pub u16);

impl GroupId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A filter in the table of one home shard: what its owners quote when something matches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FilterHandle(pub u32);

impl FilterHandle {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A range of bytes in the arena it is used with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    pub start: u32,
    pub len: u32,
}

impl Span {
    pub const EMPTY: Span = Span { start: 0, len: 0 };

    pub fn new(start: usize, len: usize) -> Span {
        debug_assert!(start + len <= u32::MAX as usize);
        Span { start: start as u32, len: len as u32 }
    }

    /// Where `part`, a slice of `bytes`, lies in it.
    pub fn within(bytes: &[u8], part: &[u8]) -> Span {
        Span::new(part.as_ptr().addr() - bytes.as_ptr().addr(), part.len())
    }

    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.start as usize + self.len as usize]
    }

    /// The text that lies there. Only for what was checked to be UTF-8 where it entered: decode, graft and restore.
    pub fn text_of(self, bytes: &[u8]) -> &str {
        std::str::from_utf8(self.of(bytes)).expect("text is checked where it enters")
    }

    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}
