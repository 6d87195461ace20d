//! Measuring brokers from outside: the load generator behind `mote-bench`, and what is made of its results.
//!
//! It speaks MQTT with packets of its own making, so that it drives any broker and shares no code with the one it
//! measures. It must never be what limits the broker, so it writes in batches and allocates nothing per message.
//!
//! ```text
//! args ─▶ plan ─▶ load ─▶ worker (a thread: publishers, subscribers, one epoll)
//!                   │        └─▶ tally (lost, twice, late)   latency (each message, from when it was due)
//!                   └─▶ watch (broker and generator, each second) ─▶ measured ─▶ result ─▶ report, csv, page, table
//! ```

pub mod args;
pub mod baseline;
pub mod command;
pub mod connect;
pub mod csv;
pub mod doubts;
pub mod idle;
pub mod latency;
pub mod line;
pub mod link;
pub mod load;
pub mod machine;
pub mod measured;
pub mod numbers;
pub mod packets;
pub mod page;
pub mod plan;
pub mod process;
pub mod publisher;
pub mod reading;
pub mod repeats;
pub mod report;
pub mod result;
pub mod retained;
pub mod shape;
pub mod stage;
pub mod stamp;
pub mod subscriber;
pub mod sync;
pub mod table;
pub mod tally;
pub mod trees;
pub mod unrelated;
pub mod watch;
pub mod worker;
