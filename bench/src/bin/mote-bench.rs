//! `mote-bench`: load for any MQTT broker over plain TCP, and what the broker spent on it.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use bench::cpu;
use bench::load::{Load, Plan, Scenario};
use bench::packets::STAMP_BYTES;
use bench::report::Report;
use bench::trees;
use clap::{Parser, ValueEnum};

#[derive(ValueEnum, Clone, Copy, Debug)]
enum ScenarioName {
    Pairs,
    FanIn,
    FanOut,
    /// What trees cost beside plain messages, and what large ones cost others. Wants --broker-pid.
    Trees,
}

/// Load for any MQTT 3.1.1 broker: a closed loop on one thread.
#[derive(Parser, Debug)]
#[command(name = "mote-bench", version, disable_help_flag = true)]
struct Args {
    scenario: ScenarioName,
    #[arg(short = 'h', long, default_value = "127.0.0.1")]
    host: String,
    #[arg(short = 'p', long, default_value_t = 1883)]
    port: u16,
    /// Pairs, publishers of a fan-in, or subscribers of a fan-out and of trees.
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    clients: u32,
    #[arg(short = 'q', long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    qos: u8,
    /// Bytes of a payload.
    #[arg(short = 's', long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(STAMP_BYTES as i64..=1_000_000))]
    size: u32,
    /// Messages of one publisher that may be under way.
    #[arg(short = 'w', long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    in_flight: u32,
    /// Rows of a tree; trees only.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    rows: u64,
    /// Rows of the snapshot that live messages flow beside; trees only.
    #[arg(long, default_value_t = 1_000_000)]
    snapshot_rows: u64,
    /// Seconds that are measured.
    #[arg(short = 'd', long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds before that.
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
    /// The broker's process, on this machine: its CPU time is reported.
    #[arg(long)]
    broker_pid: Option<u32>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[arg(long, action = clap::ArgAction::Help, help = "Print help")]
    help: Option<bool>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mote-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn seconds(value: f64) -> io::Result<Duration> {
    Duration::try_from_secs_f64(value).map_err(io::Error::other)
}

fn broker(args: &Args) -> io::Result<SocketAddr> {
    let broker = (args.host.as_str(), args.port).to_socket_addrs()?.next();
    broker.ok_or_else(|| io::Error::other(format!("{}: no address", args.host)))
}

fn plan(args: &Args, scenario: Scenario) -> io::Result<Plan> {
    Ok(Plan {
        scenario,
        broker: broker(args)?,
        clients: args.clients as usize,
        qos: args.qos,
        size: args.size as usize,
        in_flight: args.in_flight.into(),
        warmup: seconds(args.warmup)?,
        duration: seconds(args.seconds)?,
    })
}

fn run(args: &Args) -> io::Result<()> {
    match args.scenario {
        ScenarioName::Pairs => load(args, Scenario::Pairs),
        ScenarioName::FanIn => load(args, Scenario::FanIn),
        ScenarioName::FanOut => load(args, Scenario::FanOut),
        ScenarioName::Trees => trees::run(&trees::Plan {
            broker: broker(args)?,
            pid: args.broker_pid.ok_or_else(|| io::Error::other("trees wants --broker-pid"))?,
            rows: args.rows,
            size: args.size as usize,
            subscribers: args.clients as usize,
            snapshot_rows: args.snapshot_rows,
            duration: seconds(args.seconds)?,
        }),
    }
}

fn load(args: &Args, scenario: Scenario) -> io::Result<()> {
    let plan = plan(args, scenario)?;
    let mut load = Load::connect(plan.clone())?;
    let mut samples = Vec::new();
    let mark = || samples.push((args.broker_pid.map(cpu::sample), cpu::sample(0)));
    let (totals, seconds) = load.run(mark)?;
    let mut samples = samples.into_iter();
    let (Some((broker_before, own_before)), Some((broker_after, own_after))) = (samples.next(), samples.next()) else {
        return Err(io::Error::other("nothing was measured"));
    };
    let broker = match (broker_before.transpose()?, broker_after.transpose()?) {
        (Some(before), Some(after)) => Some(cpu::between(&before, &after)),
        _ => None,
    };
    let generator = cpu::between(&own_before?, &own_after?);
    let report = Report { plan: &plan, totals, seconds, broker, generator };
    if args.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
    Ok(())
}
