//! The loop over real sockets on the loopback, driven by stand-ins for the engine.
#![allow(clippy::unwrap_used)]

mod backpressure;
mod broker;
mod churn;
mod echo;
mod handover;
mod links;
mod stop;
