//! The mesh: what shards say to each other. The only concurrent code of the engine.
//!
//! [`build`] is called once, before the threads start; each loop in `net` then owns the [`Ports`] of its shard
//! and carries parcels between them and the outbox. Every lane has one producer and one consumer, every one of
//! them a shard's own thread. Nothing here blocks, sleeps or calls the kernel: who gets `true` from
//! [`Bell::ring`] wakes the other by means of its own.
//!
//! ```text
//!   shard 0 ── up ──▶ shard 1      two lanes per ordered pair, each with its own credit:
//!   shard 0 ── down ▶ shard 1      a full up lane never holds back a down lane
//!   shard 0 ◀─ up ─── shard 1
//!   shard 0 ◀─ down ─ shard 1      one bell per shard; one `Ends` flag per shard
//! ```

mod atomic;
mod bell;
mod close;
mod link;
mod published;

pub use bell::{Bell, Ringer};
pub use close::Ends;
pub use link::{Lanes, Ports, build};
pub use published::Published;
