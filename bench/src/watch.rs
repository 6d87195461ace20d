//! What is looked at while a run goes on: the broker's process, the generator's own, and each second's figures.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;

use crate::latency;
use crate::load::Second;
use crate::process::{self, Sample};
use crate::result::Series;

/// A last step that is shorter than this part of a second is no point of a curve.
const STEP_PART_MIN: f64 = 0.9;

const SETTLE: Duration = Duration::from_millis(200);
const SETTLE_MAX: Duration = Duration::from_secs(20);
/// A process that is less busy than this does nothing.
const SETTLED_BUSY: f64 = 0.01;

/// A process at one moment.
#[derive(Clone, Debug)]
pub struct Look {
    at: Instant,
    pub broker: Option<Sample>,
    pub own: Sample,
}

impl Look {
    /// At the broker, if its process is named, and at this process.
    pub fn now(broker_pid: Option<u32>) -> io::Result<Look> {
        let broker = broker_pid.map(process::sample).transpose().map_err(|error| {
            io::Error::new(error.kind(), format!("the broker's process cannot be looked at: {error}"))
        })?;
        Ok(Look { at: Instant::now(), broker, own: process::sample(0)? })
    }

    /// Seconds since an earlier look.
    pub fn since(&self, before: &Look) -> f64 {
        (self.at - before.at).as_secs_f64()
    }

    /// What the broker used since an earlier look.
    pub fn broker_since(&self, before: &Look) -> Option<Sample> {
        Some(process::between(before.broker.as_ref()?, self.broker.as_ref()?))
    }

    pub fn own_since(&self, before: &Look) -> Sample {
        process::between(&before.own, &self.own)
    }
}

/// A look at the broker when it does nothing any more: what it does after its last answer belongs to what it was asked.
pub fn settled(broker_pid: Option<u32>) -> io::Result<Look> {
    let begin = Instant::now();
    let mut last = Look::now(broker_pid)?;
    loop {
        std::thread::sleep(SETTLE);
        let look = Look::now(broker_pid)?;
        let used = look.broker_since(&last).map_or(0.0, |used| used.cpu_s / look.since(&last));
        if used < SETTLED_BUSY || begin.elapsed() > SETTLE_MAX {
            return Ok(look);
        }
        last = look;
    }
}

/// Everything that was seen of one run.
#[derive(Debug)]
pub struct Watch {
    broker_pid: Option<u32>,
    is_quiet: bool,
    /// Unix time when what is measured began.
    pub time: u64,
    /// Before any client came, at the start, and at the end of what is measured.
    pub empty: Look,
    pub start: Look,
    pub end: Look,
    pub seconds: f64,
    pub published: u64,
    pub delivered: u64,
    pub rows: u64,
    /// 0 to 1, of the busiest thread, over all.
    pub busy: f64,
    pub latency: Histogram<u64>,
    pub lag: Histogram<u64>,
    pub series: Series,
    has_begun: bool,
}

impl Watch {
    /// To be made before any client connects.
    pub fn new(broker_pid: Option<u32>, is_quiet: bool) -> io::Result<Watch> {
        let look = Look::now(broker_pid)?;
        Ok(Watch {
            broker_pid,
            is_quiet,
            time: unix_time(),
            empty: look.clone(),
            start: look.clone(),
            end: look,
            seconds: 0.0,
            published: 0,
            delivered: 0,
            rows: 0,
            busy: 0.0,
            latency: latency::empty(),
            lag: latency::empty(),
            series: Series { step_s: 1.0, ..Series::default() },
            has_begun: false,
        })
    }

    /// Of a scenario without seconds: what is measured is between two looks, and took so long.
    pub fn between(&mut self, start: Look, end: Look, seconds: f64) {
        let own = end.own_since(&start).cpu_s;
        self.busy = own / end.since(&start).max(f64::MIN_POSITIVE);
        (self.start, self.end, self.seconds) = (start, end, seconds);
    }

    /// Takes a second in. The first one is what was before it is measured.
    pub fn take(&mut self, second: &Second) -> io::Result<()> {
        let look = Look::now(self.broker_pid)?;
        if !self.has_begun {
            (self.has_begun, self.time, self.start, self.end) = (true, unix_time(), look.clone(), look);
            return Ok(());
        }
        self.busy = (self.busy * self.seconds + second.busy * second.seconds) / (self.seconds + second.seconds);
        self.seconds += second.seconds;
        self.published += second.published;
        self.delivered += second.delivered;
        self.rows += second.rows;
        latency::add(&mut self.latency, Some(&second.latency));
        latency::add(&mut self.lag, Some(&second.lag));
        if second.seconds > STEP_PART_MIN || self.series.delivered.is_empty() {
            self.point(second, &look);
        }
        self.end = look;
        self.progress(second)
    }

    fn point(&mut self, second: &Second, look: &Look) {
        let series = &mut self.series;
        series.published.push(second.published);
        series.delivered.push(second.delivered);
        let at = |quantile| (!second.latency.is_empty()).then(|| latency::at_us(&second.latency, quantile));
        series.p50_us.push(at(0.5));
        series.p99_us.push(at(0.99));
        series.generator_busy.push(second.busy);
        if let (Some(used), Some(broker)) = (look.broker_since(&self.end), &look.broker) {
            series.broker_cpu.push(used.cpu_s / look.since(&self.end));
            series.broker_anon_bytes.push(broker.anon_bytes);
        }
    }

    /// One line on the error output: over the last one on a terminal, else below it.
    fn progress(&self, second: &Second) -> io::Result<()> {
        if self.is_quiet {
            return Ok(());
        }
        let mut line = format!("{:4.0} s {:>12.0} delivered/s", self.seconds, second.delivered as f64 / second.seconds);
        if !self.latency.is_empty() {
            line += &format!("   p99 so far {:9.0} us", latency::at_us(&self.latency, 0.99));
        }
        if let Some(cpu) = self.series.broker_cpu.last() {
            line += &format!("   broker {:4.0} %", cpu * 100.0);
        }
        line += &format!("   generator {:3.0} %", second.busy * 100.0);
        let mut out = io::stderr().lock();
        if out.is_terminal() { write!(out, "\r{line} \x1b[K") } else { writeln!(out, "{line}") }
    }

    /// Ends the line of progress.
    pub fn finish(&self) {
        if !self.is_quiet && io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}

pub fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
