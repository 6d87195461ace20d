//! Several runs as a text table: medians of repeats, and ratios against one of the brokers.

use std::fmt::Write as _;

use crate::numbers;
use crate::repeats::{COST, MEMORY, Measure, P50, P99, P999, RATE, Repeats, Workload, words, workloads};
use crate::result::Run;

/// The columns, and whether a ratio stands beside each.
const COLUMNS: [(Measure, bool); 6] =
    [(RATE, true), (COST, true), (P50, false), (P99, true), (P999, false), (MEMORY, false)];

/// A table per plan. Ratios are against the broker `base`, else against the first that was measured with the plan;
/// below one they are written as fractions.
pub fn text(runs: &[Run], base: Option<&str>) -> String {
    let mut out = String::new();
    for workload in workloads(runs) {
        let (name, rest) = words(workload.plan);
        let _ = writeln!(out, "{name} ({rest})");
        lay_out(&mut out, &rows(&workload, base));
        for (label, note) in notes(&workload) {
            let _ = writeln!(out, "  ! {label}: {note}");
        }
        out.push('\n');
    }
    out
}

/// Head and one row per broker; a column that nobody has is left out.
fn rows(workload: &Workload, base: Option<&str>) -> Vec<Vec<String>> {
    let base = workload.base(base);
    let mut all = vec![vec!["broker".to_owned(), "runs".to_owned()]];
    for broker in &workload.brokers {
        all.push(vec![broker.label.to_owned(), broker.runs.len().to_string()]);
    }
    let mut add = |head: &str, cell: &dyn Fn(&Repeats) -> Option<String>| {
        let cells: Vec<Option<String>> = workload.brokers.iter().map(cell).collect();
        if cells.iter().all(Option::is_none) {
            return;
        }
        all[0].push(head.to_owned());
        for (row, cell) in all[1..].iter_mut().zip(cells) {
            row.push(cell.unwrap_or_else(|| "-".to_owned()));
        }
    };
    let has_deliveries = workload.brokers.iter().any(|broker| broker.median(RATE).is_some());
    for (measure, has_ratio) in COLUMNS.iter().filter(|(measure, _)| has_deliveries || measure.name == MEMORY.name) {
        add(measure.name, &|broker| broker.median(*measure).map(measure.text));
        if *has_ratio && workload.brokers.len() > 1 {
            let of_base = base.median(*measure);
            add("ratio", &|broker| Some(numbers::ratio(broker.median(*measure)? / of_base?)));
        }
    }
    for figure in workload.figures() {
        add(&figure.name, &|broker| {
            broker.figure(&figure.name).map(|spread| numbers::with_unit(spread.median, &figure.unit))
        });
        if workload.brokers.len() > 1 {
            let of_base = base.figure(&figure.name).map(|spread| spread.median);
            add("ratio", &|broker| Some(numbers::ratio(broker.figure(&figure.name)?.median / of_base?)));
        }
    }
    add("generator", &|broker| {
        broker.spread(|run| Some(run.generator.busy)).map(|spread| format!("{:.0} %", spread.median * 100.0))
    });
    all
}

/// Columns as wide as their widest cell; the first to the left, numbers to the right.
fn lay_out(out: &mut String, rows: &[Vec<String>]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            let _ = if column == 0 { write!(line, "  {cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// What a reader must know before believing a row: label and sentence.
pub fn notes<'a>(workload: &Workload<'a>) -> Vec<(&'a str, String)> {
    let mut all = Vec::new();
    for broker in &workload.brokers {
        let sum = |count: fn(&Run) -> u64| broker.runs.iter().map(|run| count(run)).sum::<u64>();
        let faults = [
            (sum(|run| run.lost), "lost"),
            (sum(|run| run.duplicates), "twice"),
            (sum(|run| run.reordered), "out of order"),
            (sum(|run| run.stalls), "stalls of a second"),
        ];
        let seen: Vec<String> =
            faults.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if !seen.is_empty() {
            let published = sum(|run| run.published);
            all.push((broker.label, format!("{} (of {published} published)", seen.join(", "))));
        }
        let limited = broker.runs.iter().filter(|run| run.generator.is_limit).count();
        if limited > 0 {
            let runs = broker.runs.len();
            all.push((broker.label, format!("the generator was the limit in {limited} of {runs} runs: the broker could do more; its CPU per delivery holds")));
        }
        let mut said: Vec<&str> = Vec::new();
        for warning in broker.runs.iter().flat_map(|run| &run.warnings) {
            if !said.contains(&warning.as_str()) {
                said.push(warning);
                all.push((broker.label, warning.clone()));
            }
        }
    }
    all
}
