//! What happens to a shard.

use super::parcel::{Down, Up};
use crate::key::{ConnId, ShardId};

/// One event. The loop passes them to `Shard::step` one at a time, in the order in which they happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A socket was accepted here, or arrived here from the shard that accepted it.
    Opened { conn: ConnId, peer: &'a str },
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
    /// Stop: tell every client (MQTT 5: 0x8B), close all sockets, send what is owed.
    Stop,
}
