//! Counters of one shard: plain numbers, read by whoever holds the shard.

/// See the module. Every field counts upward from the start of the process unless it says otherwise.
#[derive(Clone, Copy, Default, Debug)]
pub struct Stats {
    /// Connections open now.
    pub connections: u64,
    /// Sessions held now, connected or not.
    pub sessions: u64,
    pub publishes_received: u64,
    pub publishes_sent: u64,
    /// QoS 0 messages not sent because their reader was slow.
    pub publishes_dropped: u64,
    /// Messages that a full session queue refused.
    pub queue_overflows: u64,
    /// Messages larger than their reader's Maximum Packet Size.
    pub oversize_dropped: u64,
    /// Messages of share groups that left a member, unsent or unacknowledged, for another.
    pub share_moved: u64,
    /// Messages of share groups that came to a home whose members were gone, and went back to their owner.
    pub share_returned: u64,
    /// Messages of share groups that went to and fro too often and that no member here could keep.
    pub share_dropped: u64,
    pub bytes_received: u64,
    /// Rows of events that merged subscribers missed.
    pub events_lost: u64,
    pub frames_sent: u64,
    pub frame_rows_sent: u64,
    pub rows_retained: u64,
    /// Timers held now.
    pub timers: u64,
    /// Deleted rows that are remembered now.
    pub tombstones: u64,
}
