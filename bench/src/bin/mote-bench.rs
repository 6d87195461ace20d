//! `mote-bench`: load for any MQTT broker over plain TCP, and what the broker spent on it.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bench::load::{Load, Plan, Scenario, Totals};
use bench::machine::machine;
use bench::packets::STAMP_BYTES;
use bench::process::{self, Sample};
use bench::result::{self, Broker, Generator, Loop, Run, SCHEMA, Series, Thread};
use bench::{reading, report, trees};
use clap::{Parser, ValueEnum};

/// A thread that is busier than this part of the time could not do much more.
const BUSY_LIMIT: f64 = 0.95;

#[derive(ValueEnum, Clone, Copy, Debug)]
enum ScenarioName {
    Pairs,
    FanIn,
    FanOut,
    /// What trees cost beside plain messages, and what large ones cost others. Wants --broker-pid.
    Trees,
}

/// Load for any MQTT 3.1.1 broker: a closed loop on one thread. Results are shown again by `mote-bench page`, `table` and
/// `baseline` (each has a --help of its own).
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
    /// Which broker and build this is, for who reads the result; else its address.
    #[arg(long)]
    label: Option<String>,
    /// Writes the result to this file, as one JSON object.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[arg(long, action = clap::ArgAction::Help, help = "Print help")]
    help: Option<bool>,
}

fn main() -> ExitCode {
    let result = if reading::is_asked(std::env::args().nth(1).as_deref()) {
        reading::run()
    } else {
        run(&Args::parse()).map(|()| ExitCode::SUCCESS)
    };
    match result {
        Ok(code) => code,
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
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?.as_secs();
    let sample = |pid: Option<u32>| pid.map(process::sample).transpose();
    let empty = sample(args.broker_pid)?;
    let mut load = Load::connect(plan.clone())?;
    let mut samples = Vec::new();
    let (totals, seconds) = load.run(|| samples.push((sample(args.broker_pid), process::sample(0))))?;
    let mut samples = samples.into_iter();
    let (Some((broker_before, own_before)), Some((broker_after, own_after))) = (samples.next(), samples.next()) else {
        return Err(io::Error::other("nothing was measured"));
    };
    let broker = match (broker_before?, broker_after?) {
        (Some(before), Some(after)) => Some(process::between(&before, &after)),
        _ => None,
    };
    let used = Used { empty, broker, own: process::between(&own_before?, &own_after?) };
    let run = result(args, &plan, time, (totals, seconds), &used);
    if let Some(path) = &args.out {
        std::fs::write(path, run.json()? + "\n")?;
    }
    if args.json {
        println!("{}", run.json()?);
    } else {
        print!("{}", report::text(&run));
    }
    Ok(())
}

/// What broker and generator used while it was measured.
struct Used {
    /// The broker before any client came.
    empty: Option<Sample>,
    broker: Option<Sample>,
    own: Sample,
}

fn per_delivery_us(cpu_s: f64, delivered: u64) -> f64 {
    cpu_s * 1e6 / delivered.max(1) as f64
}

impl Used {
    fn broker(&self, pid: u32, delivered: u64) -> Option<Broker> {
        let broker = self.broker.as_ref()?;
        Some(Broker {
            pid,
            cpu_s: broker.cpu_s,
            us_per_delivery: per_delivery_us(broker.cpu_s, delivered),
            threads: broker.threads.iter().map(|it| Thread { name: it.name.clone(), cpu_s: it.cpu_s }).collect(),
            anon_bytes_before: self.empty.as_ref().map_or(0, |empty| empty.anon_bytes),
            anon_bytes: broker.anon_bytes,
            switches_voluntary: broker.switches_voluntary,
            switches_involuntary: broker.switches_involuntary,
        })
    }

    fn generator(&self, seconds: f64, delivered: u64) -> Generator {
        let busy = self.own.cpu_s / seconds;
        let broker_busy = self.broker.as_ref().map_or(0.0, |broker| broker.cpu_s / seconds);
        Generator {
            cpu_s: self.own.cpu_s,
            busy,
            us_per_delivery: per_delivery_us(self.own.cpu_s, delivered),
            is_limit: busy > BUSY_LIMIT && broker_busy < BUSY_LIMIT,
        }
    }
}

fn result(args: &Args, plan: &Plan, time: u64, (totals, seconds): (Totals, f64), used: &Used) -> Run {
    Run {
        schema: SCHEMA.into(),
        label: args.label.clone().unwrap_or_else(|| plan.broker.to_string()),
        time,
        machine: machine(),
        plan: result_plan(args, plan),
        seconds,
        published: totals.published,
        delivered: totals.delivered,
        rows_delivered: totals.delivered,
        per_second: totals.delivered as f64 / seconds,
        published_per_second: totals.published as f64 / seconds,
        lost: totals.lost,
        duplicates: 0,
        reordered: totals.reordered,
        stalls: totals.stalls,
        latency_us: None,
        broker: args.broker_pid.and_then(|pid| used.broker(pid, totals.delivered)),
        generator: used.generator(seconds, totals.delivered),
        series: Series { step_s: 1.0, ..Series::default() },
        figures: Vec::new(),
        warnings: Vec::new(),
    }
}

fn result_plan(args: &Args, plan: &Plan) -> result::Plan {
    result::Plan {
        scenario: plan.scenario.name().into(),
        protocol: "3.1.1".into(),
        publishers: plan.publishers() as u64,
        subscribers: plan.subscribers() as u64,
        topics: plan.layout().into(),
        qos: plan.qos,
        size: plan.size as u64,
        retain: false,
        pace: Loop::Closed,
        in_flight: Some(plan.in_flight),
        rate: None,
        rows: 1,
        threads: 1,
        warmup_s: args.warmup,
        seconds: args.seconds,
    }
}
