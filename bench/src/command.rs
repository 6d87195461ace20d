//! `mote-bench SCENARIO`: measures, prints, writes.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::args::{Args, ScenarioName};
use crate::load::Load;
use crate::measured::{self, Subject, figure};
use crate::plan::{Pace, Plan, Scenario};
use crate::result::{Figure, Run, read};
use crate::unrelated::Unrelated;
use crate::watch::Watch;
use crate::{connect, csv, idle, page, reading, report, retained, sync, trees};

/// Does what the command line of this process says.
///
/// # Errors
/// Brokers that cannot be reached, refuse a client or end a connection; files that cannot be written.
pub fn run(args: &Args) -> io::Result<ExitCode> {
    let subject = Subject { label: args.label(args.broker()?), pid: args.broker_pid };
    allow_many_sockets()?;
    let runs = match args.scenario {
        ScenarioName::Pairs | ScenarioName::Latency => loads(args, &subject, Scenario::Pairs)?,
        ScenarioName::FanIn => loads(args, &subject, Scenario::FanIn)?,
        ScenarioName::FanOut => loads(args, &subject, Scenario::FanOut)?,
        ScenarioName::Wildcard => loads(args, &subject, Scenario::Wildcard)?,
        ScenarioName::Shared => loads(args, &subject, Scenario::Shared)?,
        ScenarioName::Tree => loads(args, &subject, Scenario::Tree)?,
        ScenarioName::Merge => loads(args, &subject, Scenario::Merge)?,
        ScenarioName::Retained => {
            vec![retained::run(&subject, &args.plan_of_rows("retained", "ret/{row}")?, args.quiet)?]
        }
        ScenarioName::Sync => vec![sync::run(&subject, &args.plan_of_rows("sync", "sync/{block}/{row}")?, args.quiet)?],
        ScenarioName::Connect => vec![connect::run(&subject, &args.plan_of_clients("connect", "")?, args.quiet)?],
        ScenarioName::Idle => vec![idle::run(&subject, &args.plan_of_clients("idle", "idle/{i}")?, args.quiet)?],
        ScenarioName::Trees => return compare_trees(args).map(|()| ExitCode::SUCCESS),
    };
    write(args, &runs)
}

/// One run, or one for each percentage of what a closed loop reaches.
fn loads(args: &Args, subject: &Subject, scenario: Scenario) -> io::Result<Vec<Run>> {
    let plan = args.plan(scenario)?;
    let unrelated = Unrelated::begin(args.broker()?, args.unrelated, args.unrelated_rows)?;
    let runs = if args.percentages().is_empty() {
        vec![load(args, subject, &plan)?]
    } else {
        at_percentages(args, subject, &plan)?
    };
    unrelated.end()?;
    Ok(runs)
}

/// Prints the results, writes the files that are asked for, and compares.
fn write(args: &Args, runs: &[Run]) -> io::Result<ExitCode> {
    let lines: Vec<String> = runs.iter().map(Run::json).collect::<io::Result<_>>()?;
    let lines = lines.join("\n") + "\n";
    if args.json {
        print!("{lines}");
    } else {
        runs.iter().for_each(|run| print!("{}", report::text(run)));
    }
    let save = |path: &Path, text: String| {
        std::fs::write(path, text).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    };
    args.out.as_deref().map(|path| save(path, lines)).transpose()?;
    args.csv.as_deref().map(|path| save(path, csv::csv(runs))).transpose()?;
    args.html.as_deref().map(|path| save(path, page::html(runs, None))).transpose()?;
    match &args.baseline {
        Some(path) => Ok(reading::verdict(runs, &read(path)?)),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn load(args: &Args, subject: &Subject, plan: &Plan) -> io::Result<Run> {
    let mut watch = Watch::new(subject.pid, args.quiet)?;
    let ending = Load::connect(plan.clone())?.run(|second| watch.take(&second))?;
    let mut figures = Vec::new();
    if plan.scenario.is_merged() {
        if watch.delivered == 0 {
            return Err(io::Error::other(format!(
                "no frames came of {}: does this broker know trees?",
                plan.filter(0)
            )));
        }
        figures = frames(&watch, ending.folded);
    }
    measured::run(subject, plan.result(), watch, &ending, figures)
}

fn frames(watch: &Watch, folded: u64) -> Vec<Figure> {
    let rows = watch.rows as f64;
    let mut figures = vec![
        figure("rows_per_frame", rows / watch.delivered.max(1) as f64, ""),
        figure("rows_per_second", rows / watch.seconds, "/s"),
        figure("folded", folded as f64, ""),
    ];
    let used = watch.end.broker_since(&watch.start);
    figures.extend(used.map(|used| figure("cpu_us_per_row", used.cpu_s * 1e6 / rows.max(1.0), "us")));
    figures
}

/// A closed loop first, then an open one for each percentage of what it reached.
fn at_percentages(args: &Args, subject: &Subject, plan: &Plan) -> io::Result<Vec<Run>> {
    let Pace::Closed { in_flight } = plan.pace else { return Err(io::Error::other("percentages want a closed loop")) };
    let capacity = load(args, subject, plan)?;
    let mut runs = vec![capacity];
    for percent in args.percentages() {
        let rate = runs[0].published_per_second * percent / 100.0;
        if rate <= 0.0 {
            return Err(io::Error::other(format!("nothing came through with {in_flight} in flight")));
        }
        let mut run = load(args, subject, &Plan { pace: Pace::Open { rate }, ..plan.clone() })?;
        run.figures.push(figure("percent_of_capacity", *percent, "%"));
        runs.push(run);
    }
    Ok(runs)
}

fn compare_trees(args: &Args) -> io::Result<()> {
    trees::run(&trees::Plan {
        broker: args.broker()?,
        pid: args.broker_pid.ok_or_else(|| io::Error::other("trees wants --broker-pid"))?,
        rows: args.rows.into(),
        size: args.size as usize,
        subscribers: args.clients as usize,
        snapshot_rows: args.snapshot_rows,
        duration: args.duration()?,
    })
}

/// A client is a descriptor: as many as this process may have.
fn allow_many_sockets() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}
