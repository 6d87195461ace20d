//! Settings of the engine as plain values. The file format, its documentation and its errors are `net`'s.

use crate::limits;

/// What happens to a QoS 1 or 2 message that finds its session's queue full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overflow {
    DropNewest,
    DropOldest,
    Disconnect,
}

/// When a publish that changes retained rows is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// When its owners have applied it.
    Memory,
    /// When the writer has committed it.
    Disk,
}

/// A first-levels prefix whose root is deeper than one level: `"v1/devices" = 3`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Split {
    pub prefix: String,
    pub levels: usize,
}

/// A subtree that lives on a given shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pin {
    pub root: String,
    pub shard: u16,
}

/// Rows of which the last changes are kept, not only the last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History {
    pub filter: String,
    /// Changes of each row.
    pub depth: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    pub shards: Shards,
    pub session: Session,
    pub limits: Limits,
    pub durability: Durability,
    pub tombstones: Tombstones,
    pub history: Vec<History>,
    /// What holds at each listener, by its index; at one that is not here, what holds for all.
    pub listeners: Vec<Listener>,
    pub sys: Sys,
    /// Messages may be retained. What already is stays and is sent.
    pub retain_available: bool,
}

/// How the clients of a listener spell what they ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Profile {
    #[default]
    Mote,
    /// As the clients of the first Mote broker do: by leading and trailing slashes.
    Classic,
}

/// What holds at one listener; `None`: what holds for all (`Limits`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Listener {
    pub profile: Profile,
    pub packet_bytes: Option<usize>,
    pub publish_rate: Option<u32>,
    pub bytes_rate: Option<u64>,
}

/// What holds for a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    pub profile: Profile,
    pub packet_bytes: usize,
    pub publish_rate: u32,
    pub bytes_rate: u64,
}

impl Config {
    /// What holds for those who come to a listener.
    pub fn terms(&self, listener: u16) -> Terms {
        let own = self.listeners.get(usize::from(listener)).copied().unwrap_or_default();
        Terms {
            profile: own.profile,
            packet_bytes: own.packet_bytes.unwrap_or(self.limits.packet_bytes),
            publish_rate: own.publish_rate.unwrap_or(self.limits.publish_rate),
            bytes_rate: own.bytes_rate.unwrap_or(self.limits.bytes_rate),
        }
    }
}

/// The part of one shard in what the whole process may have.
pub fn part(whole: u64, shards: u16) -> usize {
    usize::try_from(whole.div_ceil(u64::from(shards))).unwrap_or(usize::MAX)
}

/// What the broker publishes about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sys {
    /// Seconds between two publications of `$SYS`. 0: there is none.
    pub interval_s: u32,
}

/// How long deleted rows are remembered; the oldest are forgotten first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tombstones {
    pub keep_s: u64,
    /// Of the whole process: each shard keeps its part of them.
    pub max: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shards {
    pub split: Vec<Split>,
    pub pin: Vec<Pin>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Seconds; the longest Session Expiry Interval that is granted. `u32::MAX`: no bound.
    pub expiry_max_s: u32,
    pub receive_max: u16,
    /// Topic aliases that a client may set; 0: none.
    pub topic_alias_max: u16,
    pub inflight_max: u16,
    pub queue_messages: usize,
    pub queue_bytes: usize,
    pub overflow: Overflow,
    /// What a client that asks for Response Information is told; empty: nothing.
    pub response_information: String,
    /// Seconds from accept to CONNECT.
    pub connect_timeout_s: u32,
    /// Seconds; the longest Keep Alive, told to the client as Server Keep Alive. 0: none is forced.
    pub keep_alive_max_s: u16,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    pub packet_bytes: usize,
    pub frame_bytes: usize,
    pub frames_unacked: u16,
    pub events_waiting: usize,
    pub topic_levels: usize,
    pub tree_rows: usize,
    /// Rows of a group that a `set`, or the deletions of a `replace`, may change.
    pub set_rows: usize,
    /// Rows of one batch that an owner applies in one turn; a larger one is applied in slices.
    pub rows_per_turn: usize,
    /// Rows applied and handles that they are passed to, for what one client sent, before others have their turn.
    pub work_per_turn: usize,
    /// Seconds that the outcome of a publish with option `id` is remembered, and outcomes of one group.
    pub idempotency_s: u32,
    pub idempotency_max: usize,
    pub subscriptions: usize,
    /// Sessions of the whole process, connected or not: each shard takes its part of them.
    pub sessions: u64,
    /// PUBLISH packets of one client a second; 0: no bound.
    pub publish_rate: u32,
    /// Bytes of one client a second; 0: no bound.
    pub bytes_rate: u64,
    pub client_id_bytes: usize,
    /// Retained rows, and the bytes of their topics, payloads and properties; of the whole process: each shard
    /// takes its part of them.
    pub retained_rows: u64,
    pub retained_bytes: u64,
    /// Changes that histories keep, of the whole process as well.
    pub history_bytes: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            shards: Shards::default(),
            session: Session {
                expiry_max_s: u32::MAX,
                receive_max: limits::RECEIVE_MAX_DEFAULT,
                topic_alias_max: limits::TOPIC_ALIAS_MAX_DEFAULT,
                inflight_max: limits::INFLIGHT_MAX_DEFAULT,
                queue_messages: limits::QUEUE_MESSAGES_DEFAULT,
                queue_bytes: limits::QUEUE_BYTES_DEFAULT,
                overflow: Overflow::DropNewest,
                response_information: String::new(),
                connect_timeout_s: 10,
                keep_alive_max_s: 0,
            },
            limits: Limits {
                packet_bytes: limits::PACKET_BYTES_DEFAULT,
                frame_bytes: limits::FRAME_BYTES_DEFAULT,
                frames_unacked: limits::FRAMES_UNACKED_DEFAULT,
                events_waiting: limits::EVENTS_WAITING_DEFAULT,
                topic_levels: limits::TOPIC_LEVELS_DEFAULT,
                tree_rows: limits::TREE_ROWS_DEFAULT,
                set_rows: limits::SET_ROWS_DEFAULT,
                rows_per_turn: limits::ROWS_PER_TURN_DEFAULT,
                work_per_turn: limits::WORK_PER_TURN_DEFAULT,
                idempotency_s: limits::IDEMPOTENCY_S_DEFAULT,
                idempotency_max: limits::IDEMPOTENCY_MAX_DEFAULT,
                subscriptions: limits::SUBSCRIPTIONS_DEFAULT,
                sessions: limits::SESSIONS_DEFAULT,
                publish_rate: 0,
                bytes_rate: 0,
                client_id_bytes: limits::CLIENT_ID_BYTES_DEFAULT,
                retained_rows: limits::RETAINED_ROWS_DEFAULT,
                retained_bytes: limits::RETAINED_BYTES_DEFAULT,
                history_bytes: limits::HISTORY_BYTES_DEFAULT,
            },
            durability: Durability::Memory,
            tombstones: Tombstones { keep_s: limits::TOMBSTONE_S_DEFAULT, max: limits::TOMBSTONES_MAX_DEFAULT },
            history: Vec::new(),
            listeners: Vec::new(),
            sys: Sys { interval_s: limits::SYS_INTERVAL_S_DEFAULT },
            retain_available: true,
        }
    }
}
