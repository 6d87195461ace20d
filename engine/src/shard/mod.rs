//! A shard: the actor that is home to its clients and owner of its subtrees, as one function.
//!
//! Called by the loop in `net` and by the simulator in `fuzz`, on the one thread that owns it. Never blocks,
//! never reads a clock, never touches another shard but by the parcels in its outbox.

pub mod input;
pub mod outbox;
pub mod parcel;
