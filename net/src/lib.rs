//! The broker as a process: shard loops on glommio and io_uring, listeners, signals, boot.
//!
//! `boot` starts one thread per shard; each runs a `shard_loop` over its own ring. Nothing here knows MQTT: bytes
//! go into `engine`, and what its outbox says is carried out.
#![deny(unsafe_code)]

pub mod boot;
pub mod clock;
pub mod control;
pub mod plan;
pub mod serve;
pub mod shard_loop;
pub mod signal;

mod allocator;
mod bulk;
mod connection;
mod figures;
mod handoff;
mod listener;
mod memory;
mod uring;
mod wake;
