//! Rare paths, counted as they are taken: a simulator that never takes one does not test it.

/// A path that a run must take to have tested the broker.
macro_rules! marks {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Mark {
            $($(#[$doc])* $name,)*
        }

        impl Mark {
            pub const ALL: &[Mark] = &[$(Mark::$name,)*];
        }
    };
}

marks! {
    /// A session was taken over by a new connection.
    Takeover,
    /// The same while messages to it were unacknowledged.
    TakeoverAmidWindow,
    /// CONNECT, SUBSCRIBE and PUBLISH arrived in one segment, and took the session over.
    TakeoverInOneSegment,
    /// A session was resumed.
    Resumed,
    /// A lasting session was gone, or was not wanted.
    Discarded,
    /// A message came again with DUP.
    Redelivered,
    /// QoS 2: a PUBLISH came again that its reader had answered with PUBREC.
    RedeliveredAfterPubrec,
    /// A publisher sent a QoS 2 PUBLISH again.
    RepublishedQos2,
    /// A queue was full.
    QueueOverflow,
    /// A client stopped reading for a while.
    SlowReader,
    /// A will was published.
    WillSent,
    /// A DISCONNECT took a will back.
    WillTakenBack,
    /// A will with a delay was published when the delay had passed.
    WillAfterDelay,
    /// A client came back before its will was due.
    WillCancelled,
    /// A retained message came to a new subscription.
    Replay,
    /// A retained message was deleted.
    Deletion,
    /// Frames of a merged subscription were folded and compared.
    MergedCompared,
    /// A merged reader's session was resumed, and what it folded was compared.
    MergedResumed,
    /// A member of a share group went away while messages were on their way.
    MemberLost,
    /// The broker was killed while messages were on their way.
    CrashAmidPublishes,
    /// The broker was killed while a snapshot or a replay was on its way.
    CrashAmidSnapshot,
    /// The broker ended by itself and began again.
    CleanRestart,
    /// With `durability = "disk"`: something acknowledged was looked for after a crash.
    DurableCompared,
    /// A CONNECT was refused since the disk was behind.
    Refused,
    /// A rude client was shown the door.
    RudeClosed,
    /// A turn began without credit for a lane of one parcel.
    LaneFull,
    /// A bell was rung for a shard that slept.
    RungAsleep,
    /// A socket went to its home with CONNECT, SUBSCRIBE and PUBLISH.
    HandedOverInOneSegment,
    /// A socket that the engine paused was read again.
    PausedResumed,
    /// The broker was killed, or lost its power, while the store had not committed all.
    CrashAmidChanges,
    /// Power was lost, and with it commits that nobody was told of.
    PowerLostTail,
    /// A client's end broke when the broker had received a part of a packet.
    ResetAmidPacket,
    /// A client ended its sending side only.
    HalfClosed,
    /// Commits of the store failed for a while.
    StoreFailed,
    /// A CONNECT was refused since there were as many sessions as there may be.
    OneSessionTooMany,
    /// A client sent faster than it may.
    ReadSlowly,
}

impl Mark {
    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

/// How often each path was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Marks([u64; Mark::ALL.len()]);

impl Default for Marks {
    fn default() -> Marks {
        Marks([0; Mark::ALL.len()])
    }
}

impl Marks {
    pub fn count(&mut self, mark: Mark) {
        self.0[mark as usize] += 1;
    }

    pub fn of(&self, mark: Mark) -> u64 {
        self.0[mark as usize]
    }

    /// Paths that were never taken.
    pub fn missing(&self) -> Vec<Mark> {
        Mark::ALL.iter().copied().filter(|mark| self.of(*mark) == 0).collect()
    }
}

impl std::ops::AddAssign for Marks {
    fn add_assign(&mut self, other: Marks) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }
}
