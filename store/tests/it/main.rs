//! What the store promises, on LMDB in a temporary folder and on the twin with faults.
#![allow(clippy::unwrap_used)]

mod cut;
mod damage;
mod floors;
mod full;
mod kept;
mod killed;
mod kit;
mod lasting;
mod numbers;
mod round_trip;
mod split;
mod thread;
