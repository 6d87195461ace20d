//! Runs put together: the same plan against the same broker is a repeat, the same plan against several is a comparison.

use crate::result::{Figure, Loop, Plan, Run};

/// Everything that was measured with one plan, in the order of the file.
pub struct Workload<'a> {
    pub plan: &'a Plan,
    pub brokers: Vec<Repeats<'a>>,
}

/// The runs of one plan against one broker; at least one.
pub struct Repeats<'a> {
    pub label: &'a str,
    pub runs: Vec<&'a Run>,
}

/// What several runs say about one quantity.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    pub runs: usize,
}

type Pick = fn(&Run) -> Option<f64>;
type Text = fn(f64) -> String;

/// A quantity that every run may have.
#[derive(Clone, Copy)]
pub struct Measure {
    pub name: &'static str,
    pub pick: Pick,
    /// How it is written.
    pub text: Text,
    pub is_more_better: bool,
    /// The part by which it changes from run to run on a machine that others use too, where no repeats tell.
    pub noise: f64,
}

/// Deliveries in a second.
pub const RATE: Measure = Measure {
    name: "deliveries/s",
    pick: |run| Some(run.per_second).filter(|rate| *rate > 0.0),
    text: crate::numbers::per_second,
    is_more_better: true,
    noise: 0.05,
};
/// CPU time of the broker's whole process for each delivery.
pub const COST: Measure = Measure {
    name: "CPU/delivery",
    pick: |run| {
        let broker = run.broker.as_ref().filter(|_| run.delivered > 0)?;
        Some(broker.us_per_delivery).filter(|cost| *cost > 0.0)
    },
    text: crate::numbers::cost,
    is_more_better: false,
    noise: 0.05,
};
/// Half of the messages came within this.
pub const P50: Measure = Measure {
    name: "p50",
    pick: |run| run.latency_us.as_ref().map(|latency| latency.p50),
    text: crate::numbers::duration,
    is_more_better: false,
    noise: 0.15,
};
/// All but one of a hundred messages came within this.
pub const P99: Measure = Measure {
    name: "p99",
    pick: |run| run.latency_us.as_ref().map(|latency| latency.p99),
    text: crate::numbers::duration,
    is_more_better: false,
    noise: 0.15,
};
/// All but one of a thousand.
pub const P999: Measure = Measure {
    name: "p99.9",
    pick: |run| run.latency_us.as_ref().map(|latency| latency.p999),
    text: crate::numbers::duration,
    is_more_better: false,
    noise: 0.3,
};
/// Anonymous memory of the broker's process at the end.
pub const MEMORY: Measure = Measure {
    name: "memory",
    pick: |run| run.broker.as_ref().map(|broker| broker.anon_bytes as f64).filter(|bytes| *bytes > 0.0),
    text: crate::numbers::bytes,
    is_more_better: false,
    noise: 0.05,
};
/// Messages that never came.
pub const LOST: Measure = Measure {
    name: "lost",
    pick: |run| Some(run.lost as f64),
    text: crate::numbers::count,
    is_more_better: false,
    noise: 0.05,
};

impl<'a> Repeats<'a> {
    /// `None` if no run has it.
    pub fn spread(&self, pick: impl Fn(&Run) -> Option<f64>) -> Option<Spread> {
        let mut all: Vec<f64> = self.runs.iter().filter_map(|run| pick(run)).filter(|each| each.is_finite()).collect();
        all.sort_unstable_by(f64::total_cmp);
        let (low, high) = (*all.first()?, *all.last()?);
        let half = all.len() / 2;
        let median = if all.len() % 2 == 1 { all[half] } else { f64::midpoint(all[half - 1], all[half]) };
        Some(Spread { median, low, high, runs: all.len() })
    }

    pub fn median(&self, measure: Measure) -> Option<f64> {
        self.spread(measure.pick).map(|spread| spread.median)
    }

    /// The median of what only this scenario has.
    pub fn figure(&self, name: &str) -> Option<Spread> {
        self.spread(|run| run.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value))
    }

    /// The figures of its runs, each name once.
    pub fn figures(&self) -> Vec<&'a Figure> {
        let mut found: Vec<&Figure> = Vec::new();
        for figure in self.runs.iter().flat_map(|run| &run.figures) {
            if !found.iter().any(|known| known.name == figure.name) {
                found.push(figure);
            }
        }
        found
    }

    /// The run whose rate is in the middle: it stands for the others where only one can be shown.
    pub fn typical(&self) -> &'a Run {
        let mut runs = self.runs.clone();
        runs.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        runs[runs.len() / 2]
    }
}

impl<'a> Workload<'a> {
    pub fn broker(&self, label: &str) -> Option<&Repeats<'a>> {
        self.brokers.iter().find(|repeats| repeats.label == label)
    }

    /// What others are compared with: the broker of this label, else the first.
    pub fn base(&self, label: Option<&str>) -> &Repeats<'a> {
        label.and_then(|label| self.broker(label)).unwrap_or(&self.brokers[0])
    }

    /// The figures of all its brokers, each name once.
    pub fn figures(&self) -> Vec<&'a Figure> {
        let mut found: Vec<&Figure> = Vec::new();
        for figure in self.brokers.iter().flat_map(Repeats::figures) {
            if !found.iter().any(|known| known.name == figure.name) {
                found.push(figure);
            }
        }
        found
    }
}

/// Whether more of a figure is better: its unit tells. `None` of what is neither, and of what the generator says of itself.
pub fn is_more_better(figure: &Figure) -> Option<bool> {
    match figure.unit.as_str() {
        _ if figure.name.starts_with("generator_") => None,
        "/s" | "1/s" | "per second" => Some(true),
        "us" | "µs" | "ms" | "s" | "B" | "bytes" => Some(false),
        _ => None,
    }
}

/// Plans that load a broker alike, however long and with however many threads.
pub fn is_alike(one: &Plan, other: &Plan) -> bool {
    let load = |plan: &Plan| Plan { threads: 0, warmup_s: 0.0, seconds: 0.0, ..plan.clone() };
    load(one) == load(other)
}

/// Every plan with the brokers that were measured with it, both in the order in which they first came.
pub fn workloads(runs: &[Run]) -> Vec<Workload<'_>> {
    let mut all: Vec<Workload> = Vec::new();
    for run in runs {
        let at = all.iter().position(|known| is_alike(known.plan, &run.plan)).unwrap_or_else(|| {
            all.push(Workload { plan: &run.plan, brokers: Vec::new() });
            all.len() - 1
        });
        let brokers = &mut all[at].brokers;
        match brokers.iter_mut().find(|repeats| repeats.label == run.label) {
            Some(repeats) => repeats.runs.push(run),
            None => brokers.push(Repeats { label: &run.label, runs: vec![run] }),
        }
    }
    all
}

/// The labels of all runs, in the order in which they first came.
pub fn labels(runs: &[Run]) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for run in runs {
        if !found.contains(&run.label.as_str()) {
            found.push(&run.label);
        }
    }
    found
}

/// A plan in a few words: what it is, and what makes it differ.
pub fn words(plan: &Plan) -> (String, String) {
    let name = format!("{}, {} to {}", plan.scenario, plan.publishers, plan.subscribers);
    let mut rest = Vec::new();
    if plan.publishers > 0 {
        rest = vec![format!("QoS {}", plan.qos), format!("{} B", plan.size)];
    }
    if plan.rows > 1 {
        rest.push(format!("{} rows", plan.rows));
    }
    if plan.retain {
        rest.push("retained".to_owned());
    }
    match (plan.pace, plan.rate, plan.in_flight) {
        (Loop::Open, Some(rate), _) => rest.push(format!("open loop, {}", crate::numbers::per_second(rate))),
        (_, _, Some(in_flight)) => rest.push(format!("{in_flight} in flight")),
        _ => {}
    }
    if !plan.topics.is_empty() {
        rest.push(plan.topics.clone());
    }
    if plan.protocol == "5" {
        rest.push("MQTT 5".to_owned());
    }
    (name, rest.join(", "))
}
