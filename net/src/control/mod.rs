//! The control room: what an operator sees of the shards, over a local socket, and the one warning about them.
//!
//! ```text
//! shard 0 ─ Sight ─▶ ┐                          ┌─▶ `mote shards`, each on a connection of its own
//! shard 1 ─ Sight ─▶ ├ thread mote-control ─ Picture
//! shard n ─ Sight ─▶ ┘                          └─▶ the log, once for each root that is too much for its shard
//! ```
//!
//! One thread of its own, which may wait; the shards never wait for it, nor for anybody who asks here. Now and then, and
//! whenever somebody asks, it has every shard tell how far its counters are (`Sight`); from two of those a `Picture` of
//! the time between is made, with the `advice` that follows. Must never touch a shard but by asking it.

pub mod advice;
pub mod picture;
mod place;
mod room;
mod watch;

pub use place::{ControlError, Place};
pub(crate) use room::Room;
pub(crate) use watch::{Sight, Watched, watch};

/// Bytes of a request, its line end among them.
pub const REQUEST_BYTES_MAX: usize = 64;
/// What is asked for a picture. The answer is one line of JSON.
pub const REQUEST_SHARDS: &str = "shards\n";
