//! What was seen of a run becomes its result.

use std::io;

use crate::doubts::{BUSY_LIMIT, doubts};
use crate::latency::{self, latency};
use crate::machine::machine;
use crate::result::{Broker, Figure, Generator, Plan, Run, SCHEMA, Thread};
use crate::watch::Watch;
use crate::worker::Ending;

/// How the broker is called and which process it is.
#[derive(Clone, Debug)]
pub struct Subject {
    pub label: String,
    pub pid: Option<u32>,
}

pub fn figure(name: &str, value: f64, unit: &str) -> Figure {
    Figure { name: name.into(), value, unit: unit.into() }
}

/// `figures` are those that only this scenario has.
pub fn run(subject: &Subject, plan: Plan, mut watch: Watch, ending: &Ending, figures: Vec<Figure>) -> io::Result<Run> {
    watch.finish();
    latency::add(&mut watch.latency, ending.late.as_ref());
    let lag_us = (!watch.lag.is_empty()).then(|| latency::at_us(&watch.lag, 0.99));
    let per_second = |count: u64| count as f64 / watch.seconds.max(f64::MIN_POSITIVE);
    let mut run = Run {
        schema: SCHEMA.into(),
        label: subject.label.clone(),
        time: watch.time,
        machine: machine(),
        plan,
        seconds: watch.seconds,
        published: watch.published,
        delivered: watch.delivered,
        rows_delivered: watch.rows,
        per_second: per_second(watch.delivered),
        published_per_second: per_second(watch.published),
        lost: ending.lost,
        duplicates: ending.duplicates,
        reordered: ending.reordered,
        stalls: ending.stalls,
        latency_us: latency(&watch.latency)?,
        broker: subject.pid.and_then(|pid| broker(pid, &watch)),
        generator: generator(&watch),
        series: watch.series,
        figures,
        warnings: Vec::new(),
    };
    run.figures.extend(lag_us.map(|lag| figure("generator_lag_p99_us", lag, "us")));
    run.warnings = doubts(&run, ending, lag_us);
    Ok(run)
}

/// 0 if nothing was delivered.
fn per_delivery_us(cpu_s: f64, watch: &Watch) -> f64 {
    if watch.delivered == 0 { 0.0 } else { cpu_s * 1e6 / watch.delivered as f64 }
}

fn broker(pid: u32, watch: &Watch) -> Option<Broker> {
    let used = watch.end.broker_since(&watch.start)?;
    Some(Broker {
        pid,
        cpu_s: used.cpu_s,
        us_per_delivery: per_delivery_us(used.cpu_s, watch),
        threads: used.threads.into_iter().map(|it| Thread { name: it.name, cpu_s: it.cpu_s }).collect(),
        anon_bytes_before: watch.empty.broker.as_ref()?.anon_bytes,
        anon_bytes: used.anon_bytes,
        switches_voluntary: used.switches_voluntary,
        switches_involuntary: used.switches_involuntary,
    })
}

/// The generator was the limit if it could do no more, and no thread of the broker was as busy.
fn generator(watch: &Watch) -> Generator {
    let cpu_s = watch.end.own_since(&watch.start).cpu_s;
    let busiest = watch.end.broker_since(&watch.start).map(|used| {
        let thread = used.threads.iter().map(|thread| thread.cpu_s).fold(0.0, f64::max);
        thread / watch.end.since(&watch.start).max(f64::MIN_POSITIVE)
    });
    Generator {
        cpu_s,
        busy: watch.busy,
        us_per_delivery: per_delivery_us(cpu_s, watch),
        is_limit: watch.busy > BUSY_LIMIT && busiest.is_some_and(|busy| busy < BUSY_LIMIT),
    }
}
