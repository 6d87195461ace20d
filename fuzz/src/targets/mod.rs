//! What libFuzzer and the tests do with bytes that nobody chose: a function for each target, that panics where what it
//! holds does not hold.
//!
//! `fuzz/fuzz_targets` calls them with what a fuzzer makes of coverage; `tests/it/corpus.rs` with the committed corpus
//! and with random bytes. Whoever names a target finds it here.

pub mod decode;
pub mod json;
pub mod session;
pub mod strict;
mod tape;
pub mod topic;
pub mod tree;
pub mod world;

/// What a target does with one input.
pub type Target = fn(&[u8]);

/// Each target by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("decode", decode::run),
    ("json", json::run),
    ("session", session::run),
    ("topic", topic::run),
    ("tree", tree::run),
    ("world", world::run),
];
