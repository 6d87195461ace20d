//! The simulator: the whole broker on one thread, from one seed.
//!
//! Tests hold conversations in a [`world::World`]; `vopr` lets random clients loose in many of them and compares with
//! a naive oracle. Runs the very `Shard::step` that production runs. Never reads a clock, never opens anything.

pub mod client;
pub mod marks;
pub mod model;
pub mod node;
pub mod packet;
pub mod rng;
pub mod sim;
pub mod socket;
pub mod targets;
mod turn;
pub mod twin;
mod watch;
pub mod world;

pub use client::{ConnectOptions, PublishOptions, WillOptions};
pub use packet::{Message, OwnedPacket};
pub use world::{ClientId, EPOCH, Plan, World};
