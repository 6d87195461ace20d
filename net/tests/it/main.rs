//! The broker's own binary, from outside.

#![allow(clippy::unwrap_used)]

mod clients;
mod command_line;
mod process;
mod rumqttc;
