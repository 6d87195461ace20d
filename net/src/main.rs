//! The binary `mote`: the broker, its configuration, and small clients.

mod args;
mod client;
mod config_file;
mod logs;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command, ConfigCommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit codes beside 0; 2 is clap's, for a command line that is wrong.
const EXIT_RUNTIME: u8 = 1;
const EXIT_CONFIG: u8 = 3;

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Serve(serve) => run_serve(&serve),
        Command::Config(ConfigCommand::Default) => print(&config_file::default_listing()),
        Command::Config(ConfigCommand::Check { file }) => check(&file),
        Command::Sub(sub) => client::sub(&sub),
        Command::Pub(publish) => client::publish(&publish),
        Command::Get(get) => client::get(&get),
        Command::Set(set) => client::set(&set),
        Command::Shards(shards) => run_shards(&shards),
    }
}

fn check(file: &std::path::Path) -> ExitCode {
    match config_file::from_file(file) {
        Ok(_) => ExitCode::SUCCESS,
        Err(faults) => refuse(&faults),
    }
}

fn refuse(faults: &config_file::Faults) -> ExitCode {
    eprint!("{faults}");
    ExitCode::from(EXIT_CONFIG)
}

/// A reader that closed the pipe (`mote config default | head`) is no failure.
fn print(text: &str) -> ExitCode {
    use std::io::{ErrorKind, Write};
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => ExitCode::from(EXIT_RUNTIME),
        _ => ExitCode::SUCCESS,
    }
}

fn run_serve(serve: &args::Serve) -> ExitCode {
    let settings = match config_file::from_command_line(serve) {
        Ok(settings) => settings,
        Err(faults) => return refuse(&faults),
    };
    logs::start(&settings.log);
    tracing::debug!(?settings, "settings");
    use_small_pages();
    let broker = settings.broker();
    match broker.run(|ready| eprintln!("{}", settings.ready_line(ready))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mote: {}", logs::Escaped(&error.to_string()));
            ExitCode::from(EXIT_RUNTIME)
        }
    }
}

fn run_shards(shards: &args::Shards) -> ExitCode {
    match config_file::control_of(shards) {
        Ok(place) => client::shards(shards, place),
        Err(faults) => refuse(&faults),
    }
}

/// The allocator asks for huge pages, which a kernel that gives them fills in whole: two thirds of what ten thousand
/// idle connections took was memory that nobody had touched.
fn use_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay");
    }
}
