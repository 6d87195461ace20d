//! The memory that survives: retained rows and the numbers of their groups, written behind the broker's back.
//!
//! ```text
//! shard ── Changes ──▶ inlet ──▶ writer ── coalesce ──▶ record, key ──▶ table ──▶ lmdb │ memory (twins)
//! boot  ◀── Restored ── restore (folder, regroup) ◀──────────────────── table
//! ```
//!
//! `net` opens it at boot ([`open`]), shows every row to the shards ([`Opened::restore`]), starts the writer
//! ([`Opened::start`]), gives each shard its [`Inlet`] and stops the [`Writer`] at the end. `store/README.md` draws
//! every key and record. The store knows of the engine nothing but rows, groups and limits, and never of topics'
//! meaning: the function from topic to group is handed in.
#![deny(unsafe_code)]

mod coalesce;
mod folder;
mod inlet;
mod joined;
mod kept;
mod key;
mod lasting;
mod lmdb;
pub mod memory;
mod pages;
mod record;
#[allow(unsafe_code, unused_imports, mismatched_lifetime_syntaxes)]
#[allow(clippy::all, clippy::undocumented_unsafe_blocks, clippy::unwrap_used)]
#[rustfmt::skip]
mod record_generated;
mod recover;
mod regroup;
mod restore;
mod seal;
pub mod table;
mod writer;

pub use engine::row::change::Restored;
pub use engine::row::numbers::Gap;
pub use inlet::Inlet;
pub use key::{TOPIC_KEY_BYTES_MAX, TopicHash};
pub use lmdb::LmdbTable;
pub use record::GroupState;
pub use recover::MovedAside;
pub use regroup::Moved;
pub use restore::{
    COMMIT_MS_DEFAULT, GroupRule, Identity, MAP_BYTES_INITIAL_DEFAULT, OpenError, Opened, RestoreReport, Settings,
    StoreError, open, open_on, open_with,
};
pub use writer::{ByHand, GiveBack, Wake, Writer};
