//! Rows: what a publish becomes, and what becomes of rows.
//!
//! Batches enter here from sessions, are grafted from trees, kept in the retained tree at their owner, and
//! merged into frames. Lives at homes (graft) and owners (the rest). Never knows of sessions or sockets.

pub mod batch;
pub mod change;
pub mod fold;
pub mod graft;
pub mod history;
pub mod json;
pub mod lasting;
pub mod merge;
pub mod numbers;
pub mod retained;
mod walk;
