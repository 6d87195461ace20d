//! The load generator against a broker of forty lines, so that its own counting is known to be right, and what is
//! made of its results.

#![allow(clippy::unwrap_used)]

mod baseline;
mod echo;
mod load;
mod load_few;
mod page;
mod sample;
