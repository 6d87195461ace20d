//! Latency by percentile, and what happened from second to second.

use std::fmt::Write as _;

use super::axis::Axis;
use super::plot::{Line, Plot};
use super::{card_head, escape, place};
use crate::numbers;
use crate::repeats::{Workload, words};
use crate::result::{Latency, Loop, Series};

/// Nines of the last percentile that is shown: 99.99.
const NINES_MAX: f64 = 4.0;

pub(super) fn latencies(out: &mut String, workloads: &[Workload], labels: &[&str]) {
    let mut brokers = workloads.iter().flat_map(|all| &all.brokers);
    if !brokers.any(|broker| broker.typical().latency_us.is_some()) {
        return;
    }
    out.push_str(
        "<section id=\"latency\">\n<h2>Latency by percentile</h2>\n<p>Each step to the right leaves a tenth of the messages: \
         at 99 one of a hundred is later than the line. In a closed loop this is mostly the window waiting in queues; compare \
         brokers by the open loops.</p>\n<div class=\"cards\">\n",
    );
    // open loops first: they are what latency is read from
    let (open, closed): (Vec<_>, Vec<_>) = workloads.iter().partition(|workload| workload.plan.pace == Loop::Open);
    for workload in open.into_iter().chain(closed) {
        let lines: Vec<Line> = workload
            .brokers
            .iter()
            .filter_map(|broker| {
                let latency = broker.typical().latency_us.as_ref()?;
                Some(Line {
                    at: place(labels, broker.label),
                    label: broker.label.to_owned(),
                    points: by_nines(latency),
                })
            })
            .filter(|line| !line.points.is_empty())
            .collect();
        if lines.is_empty() {
            continue;
        }
        let (low, high) = bounds(&lines);
        let mut x = Axis::linear(NINES_MAX, 4);
        x.marks = vec![0.0, 1.0, 2.0, 3.0, 4.0];
        let _ = write!(out, "<figure class=\"card\">{}", card_head(workload));
        let plot = Plot {
            title: words(workload.plan).0,
            x,
            x_name: "percentile",
            x_text: &percentile,
            y: Axis::log(low, high),
            y_name: "latency",
            y_text: &numbers::duration,
            lines,
        };
        plot.draw(out);
        out.push_str("</figure>\n");
    }
    out.push_str("</div>\n</section>\n");
}

fn bounds(lines: &[Line]) -> (f64, f64) {
    let all = lines.iter().flat_map(|line| &line.points).map(|point| point[1]);
    all.fold((f64::INFINITY, 0.0), |(low, high), y| (low.min(y), high.max(y)))
}

/// Percentiles as nines: 0 is 0, 90 is 1, 99 is 2. Only those that at least one message lies beyond.
fn by_nines(latency: &Latency) -> Vec<[f64; 2]> {
    let known =
        [(50.0, latency.p50), (90.0, latency.p90), (99.0, latency.p99), (99.9, latency.p999), (99.99, latency.p9999)];
    let mut all: Vec<[f64; 2]> = latency.curve.iter().copied().chain(known.map(|(part, us)| [part, us])).collect();
    all.sort_by(|a, b| a[0].total_cmp(&b[0]));
    all.dedup_by(|a, b| (a[0] - b[0]).abs() < 1e-9);
    let beyond = |part: f64| (1.0 - part / 100.0) * latency.count as f64;
    let shown = all.into_iter().filter(|[part, us]| *us > 0.0 && *part < 100.0 && beyond(*part) >= 0.999);
    let nines = shown.map(|[part, us]| [-(1.0 - part / 100.0).log10(), us]);
    nines.filter(|point| point[0] <= NINES_MAX + 1e-9).collect()
}

/// A percentile of so many nines.
fn percentile(nines: f64) -> String {
    let part = 100.0 * (1.0 - 10_f64.powf(-nines));
    let text = format!("{part:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

type Values = fn(&Series) -> Vec<Option<f64>>;
type Text = fn(f64) -> String;

/// One plot of the time series: what it shows, how a value is written, and the values of a run.
struct Trace {
    name: &'static str,
    text: Text,
    is_log: bool,
    values: Values,
}

const TRACES: [Trace; 4] = [
    Trace {
        name: "deliveries per second",
        text: numbers::per_second,
        is_log: false,
        values: |series| series.delivered.iter().map(|count| Some(*count as f64 / series.step_s)).collect(),
    },
    Trace { name: "p99 latency", text: numbers::duration, is_log: true, values: |series| series.p99_us.clone() },
    Trace {
        name: "broker CPU (cores in use)",
        text: numbers::count,
        is_log: false,
        values: |series| series.broker_cpu.iter().copied().map(Some).collect(),
    },
    Trace {
        name: "broker memory (RssAnon)",
        text: numbers::bytes,
        is_log: false,
        values: |series| series.broker_anon_bytes.iter().map(|bytes| Some(*bytes as f64)).collect(),
    },
];

pub(super) fn series(out: &mut String, workloads: &[Workload], labels: &[&str]) {
    let mut is_open = false;
    for workload in workloads {
        let plots: Vec<String> = TRACES.iter().filter_map(|trace| draw(trace, workload, labels)).collect();
        if plots.is_empty() {
            continue;
        }
        let unfold = if std::mem::replace(&mut is_open, true) {
            ""
        } else {
            out.push_str(
                "<section id=\"series\">\n<h2>From second to second</h2>\n<p>Of each broker the run whose rate is in the middle. \
                 Press a workload to unfold it.</p>\n",
            );
            " open"
        };
        let (name, rest) = words(workload.plan);
        let _ = writeln!(
            out,
            "<details{unfold}><summary>{}<small>{}</small></summary>\n<div class=\"cards four\">\n{}</div>\n</details>",
            escape(&name),
            escape(&rest),
            plots.concat()
        );
    }
    if is_open {
        out.push_str("</section>\n");
    }
}

/// `None` if no run has this.
fn draw(trace: &Trace, workload: &Workload, labels: &[&str]) -> Option<String> {
    let lines: Vec<Line> = workload
        .brokers
        .iter()
        .map(|broker| {
            let series = &broker.typical().series;
            let values = (trace.values)(series).into_iter().enumerate();
            let points = values.filter_map(|(at, value)| Some([(at + 1) as f64 * series.step_s, value?]));
            Line { at: place(labels, broker.label), label: broker.label.to_owned(), points: points.collect() }
        })
        .filter(|line| line.points.iter().any(|point| point[1] > 0.0))
        .collect();
    let last = lines.iter().filter_map(|line| line.points.last()).map(|point| point[0]).reduce(f64::max)?;
    let (low, high) = bounds(&lines);
    let y = if trace.is_log && low > 0.0 {
        Axis::log(low, high)
    } else {
        Axis::fitting(lines.iter().flat_map(|line| &line.points).map(|point| point[1]), 4)
    };
    let plot = Plot {
        title: words(workload.plan).0,
        x: Axis::linear(last, 6),
        x_name: "seconds since the warm-up",
        x_text: &|second| format!("{} s", numbers::count((second * 10.0).round() / 10.0)),
        y,
        y_name: trace.name,
        y_text: &trace.text,
        lines,
    };
    let mut out = format!("<figure class=\"card\"><figcaption>{}</figcaption>", trace.name);
    plot.draw(&mut out);
    out.push_str("</figure>\n");
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_by_their_nines() {
        assert_eq!([0.0, 1.0, 2.0, 3.0, 4.0].map(percentile), ["0", "90", "99", "99.9", "99.99"]);
        let latency = Latency {
            count: 1_000,
            min: 1.0,
            mean: 5.0,
            p50: 4.0,
            p90: 9.0,
            p99: 20.0,
            p999: 30.0,
            p9999: 40.0,
            max: 40.0,
            curve: vec![[0.0, 1.0], [50.0, 4.0], [100.0, 40.0]],
            hdr: String::new(),
        };
        let points = by_nines(&latency);
        assert_eq!(points.len(), 5, "0, 50, 90, 99, 99.9: beyond 99.99 is no message; {points:?}");
        assert!((points[4][0] - 3.0).abs() < 1e-6 && points[4][1] == 30.0);
    }
}
