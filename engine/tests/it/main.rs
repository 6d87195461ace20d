//! One integration binary for the crate.
#![allow(clippy::unwrap_used)] // a test that unwraps says what it expected

mod dialect;
mod graft;
mod json;
mod merge;
mod mesh;
mod retained;
mod rules;
mod statements;
mod sys;
mod tidy;
mod topic;
mod wire;
