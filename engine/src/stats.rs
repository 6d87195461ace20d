//! Counters of one shard: plain numbers, counted where the thing happens, read by whoever holds the shard, and what
//! `$SYS` is made of.

macro_rules! stats {
    ($($(#[$doc:meta])* $field:ident,)+) => {
        /// See the module. Every field counts upward from the start of the process unless it says that it is of now.
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct Stats {
            $($(#[$doc])* pub $field: u64,)+
        }

        impl Stats {
            /// The same of several shards. Figures of the process, which each shard has whole, are not to be summed.
            pub fn sum<'a>(each: impl Iterator<Item = &'a Stats>) -> Stats {
                each.fold(Stats::default(), |sum, stats| Stats { $($field: sum.$field + stats.$field,)+ })
            }
        }
    };
}

stats! {
    // What is counted for each message lies together.
    publishes_sent,
    /// Payloads of those.
    publish_bytes_sent,
    publishes_received,
    /// Payloads of those.
    publish_bytes_received,
    /// MQTT packets of any type.
    packets_received,
    bytes_received,
    /// MQTT packets of any type that have left.
    packets_sent,
    bytes_sent,
    /// Packets and bytes that wait, of now, for their socket to take them.
    packets_unsent,
    bytes_unsent,
    /// Sockets that were accepted.
    sockets,
    /// CONNECT packets.
    connects,
    /// Sockets open now.
    connections,
    /// Clients connected now: CONNECT was accepted.
    clients,
    /// Sessions held now, connected or not.
    sessions,
    /// Sessions that ended because their client stayed away for their Session Expiry Interval.
    sessions_expired,
    /// Subscriptions held now.
    subscriptions,
    /// Those of them that are shared.
    shared_subscriptions,
    /// QoS 0 messages not sent because their reader was slow.
    publishes_dropped,
    /// Publishes, subscriptions and clients refused, and long packets cut off, since there was no memory for them.
    memory_refused,
    /// Clients that were not taken, since there were as many sessions as there may be.
    sessions_refused,
    /// Times that a client was not read for a while, since it sent faster than it may.
    rate_waits,
    /// Sockets closed as they came, since there were as many as there may be.
    sockets_refused,
    /// Times that no descriptor was left for a new connection.
    accept_outages,
    /// Messages that a full session queue refused.
    queue_overflows,
    /// Messages larger than their reader's Maximum Packet Size.
    oversize_dropped,
    /// Messages whose Message Expiry Interval passed before they could be sent.
    expired_dropped,
    /// Messages of share groups that left a member, unsent or unacknowledged, for another.
    share_moved,
    /// Messages of share groups that came to a home whose members were gone, and went back to their owner.
    share_returned,
    /// Messages of share groups that went to and fro too often and that no member here could keep.
    share_dropped,
    /// Publishes, or parts of tree publishes that lie in one group, that no filter matched.
    publishes_unmatched,
    /// Rows that this shard as an owner took from publishers.
    rows_applied,
    /// Messages that wait now in windows and queues, each counted once however many wait for it.
    messages_waiting,
    /// Their topics, payloads and properties.
    message_bytes_waiting,
    /// Rows of events that merged subscribers missed.
    events_lost,
    frames_sent,
    frame_rows_sent,
    /// Retained rows now, those of `$SYS` not among them.
    rows_retained,
    /// Payloads and properties of all retained rows, those of `$SYS` among them.
    row_bytes_retained,
    /// Timers held now.
    timers,
    /// Deleted rows that are remembered now.
    tombstones,
    /// Parcels under way now to other shards.
    parcels,
    /// Share of the last interval that the shard's thread was awake, in thousandths.
    busy_permille,
    /// Memory of the process now that is not a file's. The same for all shards.
    heap_bytes,
}

impl Stats {
    /// Messages that did not reach a subscriber of theirs.
    pub fn dropped(&self) -> u64 {
        let unsent = self.publishes_dropped + self.queue_overflows + self.share_dropped;
        unsent + self.oversize_dropped + self.expired_dropped
    }
}
