//! `mote-bench`: load for any MQTT broker over plain TCP, and what the broker spent on it.

use std::process::ExitCode;

use bench::args::Args;
use bench::{command, reading};
use clap::Parser;

fn main() -> ExitCode {
    let result = if reading::is_asked(std::env::args().nth(1).as_deref()) {
        reading::run()
    } else {
        command::run(&Args::parse())
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("mote-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
