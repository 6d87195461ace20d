//! Measuring brokers from outside: the load generator behind `mote-bench`.
//!
//! It speaks MQTT 3.1.1 with packets of its own making, so that it drives any broker and shares no code with the one
//! it measures. One thread, one epoll; it must never be what limits the broker, so it writes in batches and allocates
//! nothing per message.

pub mod baseline;
pub mod load;
pub mod machine;
pub mod numbers;
pub mod packets;
pub mod page;
pub mod process;
pub mod reading;
pub mod repeats;
pub mod report;
pub mod result;
pub mod stage;
pub mod table;
pub mod trees;
