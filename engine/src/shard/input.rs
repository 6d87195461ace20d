//! What happens to a shard.

use super::parcel::{Down, Up};
use crate::key::{ConnId, ShardId};

/// One event. The loop passes them to `Shard::step` one at a time, in the order in which they happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A socket was accepted here at this listener (`Config::listeners`), or arrived here from the shard that accepted it.
    Opened { conn: ConnId, peer: &'a str, listener: u16 },
    /// Bytes from a socket, split anywhere.
    Bytes { conn: ConnId, bytes: &'a [u8] },
    /// The peer closed, reset, or the socket failed. Not sent for closes that the engine asked for. The loop sends what
    /// it still can and gives the buffer up (`Sends::close`).
    Closed { conn: ConnId },
    /// A socket that the engine watches (`Sends::watch`) has fewer than `SEND_LOW_BYTES` unsent bytes again.
    Drained { conn: ConnId },
    /// Work from a home shard for this owner. Only taken when `Outbox::has_down_room` says so.
    Up { from: ShardId, parcel: Up },
    /// Work from an owner for this home. Always taken.
    Down { from: ShardId, parcel: Down },
    /// `Shard::deadline` has passed.
    Timer,
    /// Every change of this shard up to this position is durable.
    Committed { position: u64 },
    /// The links or the writer have room again, or simply a new turn began: continue what waits.
    Turn,
    /// Figures of the process that only the loop knows. Given before a `Timer` that may publish them.
    Process(Process),
    /// Stop: tell every client (MQTT 5: 0x8B), close all sockets, send what is owed.
    Stop,
}

/// See `Input::Process`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Process {
    /// Memory of the process that is not a file's.
    pub heap_bytes: u64,
    /// Share of the time since the last such input that the shard's thread was awake, in thousandths.
    pub busy_permille: u64,
    /// Parcels under way to other shards.
    pub parcels: u64,
    /// Upward from its start: sockets closed as they came, since there were as many as there may be.
    pub sockets_refused: u64,
    /// Upward from its start: times that no descriptor was left for a new connection.
    pub accept_outages: u64,
}
