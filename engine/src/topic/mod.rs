//! Topics, filters, and who wants or owns what.
//!
//! Names and filters are judged and compared here, their levels interned, the filters of an owner kept in a trie
//! that a published topic is walked through, and topics dealt to groups and groups to shards. Called by the homes
//! (judging, `owner::Roots`) and by the owners (`Interner`, `Subscriptions`, `filter::matches`), each on its own core
//! with its own tables. Never knows of rows, sessions or single subscribers, and never gives a level's number or a
//! `FilterId` to another shard.
//!
//! ```text
//! name  filter             what may be published and subscribed to, and the rule that relates the two
//! hash                     seeded hash of text that clients choose
//! level                    Interner: text of a level <-> u32
//! trie  matcher  cache     filters as a tree; a topic's way through it; topics seen before
//! subscriptions  share     filter -> the homes that want it, and that have members of its share groups
//! owner                    topic -> root -> group -> shard; client -> home
//! ```

pub mod filter;
pub mod level;
pub mod name;
pub mod owner;
pub mod share;
pub mod subscriptions;

mod cache;
mod hash;
mod matcher;
mod trie;

pub use filter::{check_filter, is_wildcard, matches, stem};
pub use level::{Interner, Level};
pub use name::check_name;
pub use owner::{Owners, Roots};
pub use share::parse_share;
pub use subscriptions::{Entry, FilterId, Kind, Subscriptions};
