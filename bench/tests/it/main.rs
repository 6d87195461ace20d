//! The load generator against a broker of forty lines, so that its own counting is known to be right.

#![allow(clippy::unwrap_used)]

mod echo;
mod load;
