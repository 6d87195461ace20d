//! The loop over real sockets on the loopback, driven by stand-ins for the engine; and the broker's own binary,
//! from outside.
#![allow(clippy::unwrap_used)]

mod backpressure;
mod broker;
mod churn;
mod classic;
mod clients;
mod command_line;
mod cutter;
mod echo;
mod handover;
mod links;
mod process;
mod refusals;
mod rumqttc;
mod scripted;
mod shards;
mod stop;
mod sys;
mod trees;
mod whole;
