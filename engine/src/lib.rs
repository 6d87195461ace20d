//! The broker as a function.
//!
//! `engine` knows nobody: no runtime, socket, disk, clock or thread. A shard is `shard::Shard::step(now, input,
//! &mut outbox)`; the loop in `net` and the simulator in `fuzz` carry the outbox out. Rooms, each naming only
//! those above it:
#![forbid(unsafe_code)]

pub mod bucket;
pub mod clock;
pub mod config;
pub mod key;
pub mod limits;
pub mod stats;

pub mod wire;

pub mod dialect;

pub mod topic;

pub mod row;

pub mod session;

pub mod mesh;

pub mod shard;
