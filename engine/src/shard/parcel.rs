//! What crosses a link: one parcel per lane and turn, its items in order over shared arenas.

pub use crate::topic::{Kind, Owners};

use crate::key::{Client, FilterHandle, SessionKey, Span};
use crate::row::batch::Batch;
use smallvec::SmallVec;
use std::sync::Arc;

/// From a home to an owner.
#[derive(Default, Debug)]
pub struct Up {
    pub items: Vec<UpItem>,
    /// Arena of all items; its packets are the `Packet` items.
    pub batch: Batch,
}

#[derive(Clone, Copy, Debug)]
pub enum UpItem {
    /// Rows to apply: `batch.packets[index]`.
    Packet { index: u32 },
    /// The home wants what matches `filter` under `handle` from now on.
    Want { filter: Span, kind: Kind, handle: FilterHandle, ticket: u32 },
    /// The home no longer wants it.
    Drop { filter: Span, kind: Kind, handle: FilterHandle, ticket: u32 },
    /// Send `session` the retained rows that match `filter` (plain), or the frame of what changed after
    /// `since` (merged; 0: a snapshot). The home paces it by `Walk` grants.
    Walk { filter: Span, kind: Kind, handle: FilterHandle, session: SessionKey, walk: u32, since: u64 },
    /// The home took the slice of `walk` that it was sent: send the next.
    More { walk: u32 },
    /// The reader of `walk` is gone.
    Cancel { walk: u32 },
}

/// From an owner to a home.
#[derive(Default, Debug)]
pub struct Down {
    pub items: Vec<DownItem>,
    /// Arena of the frames and of rows that were not in a parcel before.
    pub batch: Batch,
    /// Batches that arrived at the owner by link and travel on by reference.
    pub sources: SmallVec<[Arc<Batch>; 2]>,
    /// Handles of `Deliver` items, and rows of them.
    pub handles: Vec<FilterHandle>,
}

impl Down {
    pub fn bytes_len(&self) -> usize {
        self.batch.bytes.len() + self.handles.len() * size_of::<FilterHandle>()
    }

    /// The batch that `source` names.
    pub fn source(&self, source: Source) -> &Batch {
        match source {
            Source::Own => &self.batch,
            Source::Shared(index) => &self.sources[index as usize],
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    Own,
    Shared(u16),
}

#[derive(Clone, Copy, Debug)]
pub enum DownItem {
    /// Row `row` of packet `packet` goes to the plain subscribers of `handles[first..first+count]`.
    Deliver { source: Source, packet: u32, row: u32, first: u32, count: u32 },
    /// A frame for all merged subscribers of `handle` that stand where the owner stands.
    Frame(Frame),
    /// Part of what `walk` asked for; the last has `done`. A plain walk's rows are packet `index` of `batch`.
    Rows { walk: u32, session: SessionKey, handle: FilterHandle, index: Option<u32>, done: bool },
    /// Part of a snapshot or of a catch-up.
    Part { walk: u32, session: SessionKey, frame: Frame, done: bool },
    /// `ticket` of a `Want` or `Drop` is applied.
    Applied { ticket: u32 },
    /// What became of a publish.
    Verdict { to: SessionKey, ticket: u32, verdict: Verdict },
}

/// A merged frame: a body that is encoded once.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub handle: FilterHandle,
    /// JSON, or the raw payload for a filter without wildcards, in the `batch` of the parcel.
    pub body: Span,
    /// Rows published with RETAIN 0.
    pub event: bool,
    /// Highest QoS among its rows.
    pub qos: crate::wire::QoS,
    /// For No Local.
    pub publisher: Client,
    /// Rows in it.
    pub rows: u32,
    /// Where the owner stood after it: position in the owner's order of changes.
    pub position: u64,
    /// The group and its version, for the cursor.
    pub group: crate::key::GroupId,
    pub version: u64,
}

/// What became of a publish at one owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Applied; whether anybody was subscribed, and the version if retained rows changed.
    Applied { matched: bool, version: Option<u64> },
    /// Refused whole; the reason code to answer.
    Refused(crate::wire::ReasonCode),
}
