//! `mote sub`, `pub`, `get` and `set`: small blocking clients over the engine's own packets; and `mote shards`, over the
//! control socket.
//!
//! Called by `main`, alone in their process. Every wait but the one for the next message has a bound; what a broker
//! refuses ends in one line on stderr and an exit code. They take nothing of the broker but its packets and
//! the fold of frames.

mod connection;
mod getting;
mod intent;
mod publishing;
mod shards;
mod showing;
mod subscribing;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::args::{Get, Pub, Set, Shards, Sub};
use crate::logs::Escaped;
use engine::wire::{Fault, ReasonCode};

/// Exit code of `-W`, as mosquitto_sub has it.
const EXIT_TIMEOUT: u8 = 27;

/// Why a client ended early: what is printed, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: u8,
    text: String,
}

impl Failure {
    fn new(text: impl fmt::Display) -> Failure {
        Failure { exit: crate::EXIT_RUNTIME, text: text.to_string() }
    }

    fn with_exit(exit: u8, text: impl fmt::Display) -> Failure {
        Failure { exit, text: text.to_string() }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure::new(format_args!("the broker sent something that is not MQTT: {fault}"))
    }
}

type Outcome<T> = Result<T, Failure>;

pub fn sub(arguments: &Sub) -> ExitCode {
    end("mote sub", subscribing::run(arguments))
}

pub fn publish(arguments: &Pub) -> ExitCode {
    end("mote pub", publishing::run(arguments))
}

pub fn get(arguments: &Get) -> ExitCode {
    end("mote get", getting::run(arguments))
}

pub fn set(arguments: &Set) -> ExitCode {
    end("mote set", publishing::run_set(arguments))
}

/// `place`: of the control socket, if the configuration has one.
pub fn shards(arguments: &Shards, place: Option<PathBuf>) -> ExitCode {
    end("mote shards", shards::run(arguments, place))
}

fn end(program: &str, outcome: Outcome<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{program}: {}", Escaped(&failure.text));
            ExitCode::from(failure.exit)
        }
    }
}

/// A reason for people: its name in words and its number, and what the broker says beside it.
fn reason(code: u8, said: Option<&str>) -> String {
    let name = ReasonCode::from_byte(code).map_or("unknown reason".to_owned(), |code| words(&format!("{code:?}")));
    match said {
        Some(said) => format!("{name} (0x{code:02X}): {said}"),
        None => format!("{name} (0x{code:02X})"),
    }
}

/// `NotAuthorized` as `not authorized`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for c in name.replace("QoS", "Qos").chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_words_and_a_number() {
        assert_eq!(reason(0x87, None), "not authorized (0x87)");
        assert_eq!(reason(0x9B, Some("no")), "qos not supported (0x9B): no");
        assert_eq!(reason(0xFE, None), "unknown reason (0xFE)");
    }
}
