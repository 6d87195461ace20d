//! What crosses a link: one parcel per lane and turn, its items in order over shared arenas.

use super::sys::Report;
use crate::key::{Client, FilterHandle, SessionKey, Span};
use crate::row::batch::{Batch, Revision};
pub use crate::session::verdict::{Refusal, Verdict};
pub use crate::topic::share::Counts;
pub use crate::topic::{Kind, Owners};
use crate::wire::{QoS, Run, Version};
use smallvec::SmallVec;
use std::sync::Arc;

/// From a home to an owner.
#[derive(Default, Debug)]
pub struct Up {
    pub items: Vec<UpItem>,
    /// Arena of all items; its packets are the `Packet` items.
    pub batch: Batch,
    pub reports: Vec<Report>,
}

#[derive(Clone, Copy, Debug)]
pub enum UpItem {
    /// Rows of one group to apply: `batch.packets[index]`.
    Packet {
        index: u32,
    },
    /// QoS 0 publishes to one topic, in the `batch` of the parcel.
    Run(RunAt),
    /// The home wants what matches `filter` under `handle` from now on; answered by `Applied`.
    Want {
        filter: Span,
        kind: Kind,
        handle: FilterHandle,
        session: SessionKey,
        ticket: u32,
        /// Of a share group: the members here, as they are now.
        counts: Counts,
    },
    /// What the home has of members of the share group now.
    Presence {
        share: Span,
        handle: FilterHandle,
        counts: Counts,
    },
    /// `batch.packets[index]` was for a member of the share group that has gone: for another.
    Return {
        index: u32,
        share: Span,
        returns: u8,
    },
    /// The home no longer wants it; answered by `Dropped`, after which the handle may mean something else.
    Drop {
        filter: Span,
        kind: Kind,
        handle: FilterHandle,
    },
    Walk(WalkStart),
    /// The home took the slice of `walk` that it was sent: send the next.
    More {
        walk: u32,
    },
    /// The reader of `walk` is gone.
    Cancel {
        walk: u32,
    },
    /// The figures of the home: `reports[index]`.
    Report {
        index: u32,
    },
}

/// A run in the arena of a batch.
#[derive(Clone, Copy, Debug)]
pub struct RunAt {
    pub bytes: Span,
    pub topic: Span,
    pub publisher: Client,
    version: Version,
    count: u32,
    payload_bytes: u32,
    packet_bytes: u32,
}

impl RunAt {
    /// Copies a run of QoS 0 into `batch`.
    pub fn keep(run: &Run<'_>, publisher: Client, batch: &mut Batch) -> RunAt {
        debug_assert_eq!(run.qos, QoS::AtMostOnce);
        let topic = Span::within(run.bytes, run.topic);
        let bytes = batch.keep(run.bytes);
        RunAt {
            bytes,
            topic: Span { start: bytes.start + topic.start, ..topic },
            publisher,
            version: run.version,
            count: run.count,
            payload_bytes: run.payload_bytes as u32,
            packet_bytes: run.packet_bytes as u32,
        }
    }

    /// The run, in the arena that it was copied to.
    pub fn run<'a>(&self, arena: &'a [u8]) -> Run<'a> {
        Run {
            bytes: self.bytes.of(arena),
            topic: self.topic.of(arena),
            version: self.version,
            qos: QoS::AtMostOnce,
            count: self.count,
            payload_bytes: self.payload_bytes as usize,
            packet_bytes: self.packet_bytes as usize,
        }
    }
}

/// Send the retained rows that match `filter` (plain), or frames of what changed after `since` (merged). Slices come one at a time, each asked for by `More`.
#[derive(Clone, Copy, Debug)]
pub struct WalkStart {
    /// The home's name for this walk; unique among its walks while it lives.
    pub walk: u32,
    pub filter: Span,
    pub kind: Kind,
    pub stand: Stand,
    /// The first slice is asked for by `More` like the others; what it brings is decided now all the same.
    pub waits: bool,
    /// Largest frame body that the reader takes.
    pub body_bytes_max: u32,
    /// With `Stand::CURSOR`: the versions that it has.
    pub since: Span,
}

/// What the reader of a walk has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stand {
    /// Position in the owner's order of changes. With `whole`: deletions after it are told; 0: there are none to tell.
    pub since: u64,
    /// Every row is to be sent, not only what changed.
    pub whole: bool,
    /// With a cursor: changes that a history has are told one by one before that.
    pub events: bool,
}

impl Stand {
    /// It has nothing.
    pub const NOTHING: Stand = Stand { since: 0, whole: true, events: false };

    /// It has what a cursor says.
    pub const CURSOR: Stand = Stand { since: u64::MAX, whole: false, events: false };

    /// The same, and every row is to be sent all the same.
    pub const CURSOR_WHOLE: Stand = Stand { since: u64::MAX, whole: true, events: false };

    pub fn is_cursor(self) -> bool {
        self.since == u64::MAX
    }

    /// It has everything up to a position.
    pub fn after(position: u64) -> Stand {
        Stand { since: position, whole: false, events: false }
    }
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
    /// Of the rows of `Rows` items.
    pub versions: Vec<u64>,
}

impl Down {
    pub fn clear(&mut self) {
        self.items.clear();
        self.batch.clear();
        self.sources.clear();
        self.handles.clear();
        self.versions.clear();
    }

    pub fn bytes_len(&self) -> usize {
        self.batch.bytes.len() + self.handles.len() * size_of::<FilterHandle>()
    }

    /// Names a batch that travels on by reference.
    pub fn share(&mut self, batch: &Arc<Batch>) -> Source {
        // Rows of one parcel follow each other, so the batch is the last one or new.
        if !self.sources.last().is_some_and(|last| Arc::ptr_eq(last, batch)) {
            self.sources.push(Arc::clone(batch));
        }
        Source::Shared(self.sources.len() as u16 - 1)
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
    Deliver {
        source: Source,
        packet: u32,
        row: u32,
        first: u32,
        count: u32,
        revision: Revision,
    },
    /// A run goes to the plain subscribers of `handle`.
    Run {
        source: Source,
        at: RunAt,
        handle: FilterHandle,
    },
    /// Row `row` of packet `packet` goes to one member of a share group; it goes back where that cannot be.
    Share {
        source: Source,
        packet: u32,
        row: u32,
        offer: Offer,
    },
    /// Members of the group are connected elsewhere: what waits here for those who are not goes back.
    Recall {
        handle: FilterHandle,
    },
    /// A frame for all merged subscribers of `handle` that stand where the owner stands.
    Frame(Frame),
    /// A slice of a plain walk: the rows of packets `first..first+count` of the parcel's own batch. Their versions stand
    /// in `versions`, from `first_version` on.
    Rows {
        walk: u32,
        first: u32,
        count: u32,
        first_version: u32,
        done: bool,
    },
    Part(Part),
    /// Where the owner's groups stand in which the filter lies, when it begins to be wanted: `Versions`, in the `batch`
    /// of the parcel. Everything after that comes.
    Stands {
        handle: FilterHandle,
        versions: Span,
    },
    /// The `Want` of `ticket` is applied.
    Applied {
        to: SessionKey,
        ticket: u32,
    },
    /// The `Drop` of `handle` is applied: nothing with it follows.
    Dropped {
        handle: FilterHandle,
    },
    /// A publish was refused, and no acknowledgement says so: a message to its publisher does. `named`: its topic, in
    /// the `batch` of the parcel. Precedes the `Verdict`, if there is one.
    Refused {
        to: SessionKey,
        refusal: Refusal,
        named: Span,
    },
    /// The condition of a publish does not hold: its publisher is told what there is. Precedes the `Verdict`.
    Conflict(Conflict),
    /// What became of a publish.
    Verdict {
        to: SessionKey,
        ticket: u32,
        publish: u64,
        verdict: Verdict,
    },
    /// What a publish leads to at this home stands behind this item, up to its `Confirm`: none of it is durable before the rest.
    Open {
        publish: u64,
    },
    /// What a publish led to at this home stands before this item: say `Kept` when it is durable.
    Confirm {
        publisher: Client,
        ticket: u32,
        publish: u64,
    },
    /// What a publish led to at one shard is durable.
    Kept {
        to: SessionKey,
        ticket: u32,
    },
}

/// What a publisher whose condition does not hold is told. Spans: in the `batch` of the parcel.
#[derive(Clone, Copy, Debug)]
pub struct Conflict {
    pub to: SessionKey,
    /// Topic or pattern as published, without its intent.
    pub topic: Span,
    pub condition: crate::dialect::Condition,
    /// Of the object.
    pub version: u64,
    /// JSON.
    pub value: Span,
    /// Of the publish: its Response Topic and Correlation Data are among them.
    pub properties: Span,
    pub qos: QoS,
}

/// A message for one member of a share group.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    pub handle: FilterHandle,
    /// Where no member is connected one is to keep it.
    pub keep: bool,
    /// Times that it came back to the owner.
    pub returns: u8,
}

/// A part of a merged walk: one slice is one frame.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub walk: u32,
    pub frame: Frame,
    /// What the reader had is void, this starts a snapshot.
    pub reset: bool,
    /// The walk is complete.
    pub done: bool,
    /// If so: where the owner's groups stand in which the filter lies, as `DownItem::Stands`.
    pub stands: Span,
}

/// A merged frame: a body that is encoded once.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub handle: FilterHandle,
    /// JSON, or the raw payload for a filter without wildcards, in the `batch` of the parcel; behind it the versions.
    pub body: Span,
    /// Bytes of the tree of versions, where one is wanted.
    pub versions_len: u32,
    /// Rows published with RETAIN 0.
    pub event: bool,
    /// Highest QoS among its rows.
    pub qos: QoS,
    /// For No Local.
    pub publisher: Client,
    /// Rows in it.
    pub rows: u32,
    /// Rows that alone exceed `limits.frame_bytes` and were left out.
    pub skipped: u32,
    /// More of the same batch follows.
    pub more: bool,
    /// Where the owner stood after it: position in the owner's order of changes.
    pub position: u64,
    /// The group of its rows and where its numbers stand after it.
    pub group: crate::key::GroupId,
    pub version: u64,
    /// Version of the object at the filter's stem when the body was made; of use where it lies in one group.
    pub object: u64,
}
