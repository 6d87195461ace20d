//! A result beside an earlier one: what became better, what worse, and what is no more than noise.

use std::fmt::Write as _;

use crate::numbers;
use crate::repeats::{
    COST, LOST, MEMORY, Measure, P50, P99, P999, RATE, Repeats, Spread, Workload, is_alike, is_more_better, words,
    workloads,
};
use crate::result::Run;

const MEASURES: [Measure; 7] = [RATE, COST, P50, P99, P999, MEMORY, LOST];
/// The part by which a figure of one scenario changes from run to run, where no repeats tell.
const FIGURE_NOISE: f64 = 0.1;
/// Repeats that agree better than this were lucky.
const NOISE_MIN: f64 = 0.01;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Better,
    WithinNoise,
    Worse,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::WithinNoise => "within noise",
            Verdict::Worse => "worse",
        }
    }
}

/// One quantity then and now.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    pub name: String,
    pub before: f64,
    pub now: f64,
    /// Of what was before; infinite where that was nothing.
    pub part: f64,
    /// A smaller part than this says nothing.
    pub noise: f64,
    pub verdict: Verdict,
}

/// All that changed, as text.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    pub text: String,
    pub is_worse: bool,
}

/// Compares every plan that both have. Of a plan that the earlier result has with several labels, the same label is
/// taken, else its first.
///
/// # Errors
/// A sentence, where the two have no plan in common: nothing was compared, which is no success.
pub fn compare(now: &[Run], before: &[Run]) -> Result<Comparison, String> {
    let earlier = workloads(before);
    let mut comparison = Comparison { text: String::new(), is_worse: false };
    for workload in workloads(now) {
        let Some(old) = earlier.iter().find(|old| is_alike(old.plan, workload.plan)) else {
            let _ = writeln!(comparison.text, "{}: not in the baseline", words(workload.plan).0);
            continue;
        };
        for broker in &workload.brokers {
            add(&mut comparison, &workload, broker, old.base(Some(broker.label)));
        }
    }
    if earlier.iter().any(|old| now.iter().any(|run| is_alike(old.plan, &run.plan))) {
        Ok(comparison)
    } else {
        Err("the baseline has no run of this plan".to_owned())
    }
}

fn add(comparison: &mut Comparison, workload: &Workload, now: &Repeats, before: &Repeats) {
    let (name, rest) = words(workload.plan);
    let (runs, runs_before) = (now.runs.len(), before.runs.len());
    let out = &mut comparison.text;
    let _ = writeln!(out, "{name} ({rest})");
    let _ = writeln!(out, "  {} ({runs} runs) against {} ({runs_before} runs)", now.label, before.label);
    for (change, text) in changes(now, before) {
        comparison.is_worse |= change.verdict == Verdict::Worse;
        let _ = writeln!(
            out,
            "  {:<24} {:>12} {:>12} {:>10}  {} (noise {:.1} %)",
            change.name,
            text(change.before),
            text(change.now),
            numbers::change(change.part),
            change.verdict.word(),
            change.noise * 100.0
        );
    }
}

type Text = Box<dyn Fn(f64) -> String>;

/// Every quantity that both have, and how it is written.
pub fn changes(now: &Repeats, before: &Repeats) -> Vec<(Change, Text)> {
    let mut all: Vec<(Change, Text)> = Vec::new();
    for measure in MEASURES {
        let (Some(new), Some(old)) = (now.spread(measure.pick), before.spread(measure.pick)) else { continue };
        let change = judge(measure.name, new, old, measure.is_more_better, measure.noise);
        all.push((change, Box::new(measure.text)));
    }
    for figure in now.figures() {
        let (Some(new), Some(old)) = (now.figure(&figure.name), before.figure(&figure.name)) else { continue };
        let Some(is_more_better) = is_more_better(figure) else { continue };
        let change = judge(&figure.name, new, old, is_more_better, FIGURE_NOISE);
        let unit = figure.unit.clone();
        all.push((change, Box::new(move |value| numbers::with_unit(value, &unit))));
    }
    all
}

/// Noise is the wider of the two spreads, from the lowest to the highest run as a part of the median; `stated` where
/// neither was repeated.
fn judge(name: &str, now: Spread, before: Spread, is_more_better: bool, stated: f64) -> Change {
    let spread = |of: Spread| ((of.high - of.low) / of.median).abs();
    let repeated: Vec<f64> =
        [now, before].into_iter().filter(|of| of.runs > 1 && of.median != 0.0).map(spread).collect();
    let noise = repeated.into_iter().reduce(f64::max).unwrap_or(stated).max(NOISE_MIN);
    let part = match (before.median, now.median) {
        (same, other) if same == other => 0.0,
        (0.0, _) => f64::INFINITY,
        (old, new) => (new - old) / old,
    };
    let verdict = match (part.abs() <= noise, (part > 0.0) == is_more_better) {
        (true, _) => Verdict::WithinNoise,
        (false, true) => Verdict::Better,
        (false, false) => Verdict::Worse,
    };
    Change { name: name.to_owned(), before: before.median, now: now.median, part, noise, verdict }
}
