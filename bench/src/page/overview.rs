//! Every run in one table: a group of rows per workload, a row per broker.

use std::fmt::Write as _;

use super::{escape, place, style_of};
use crate::numbers;
use crate::repeats::{COST, MEMORY, Measure, P50, P99, P999, RATE, Repeats, Workload, words};
use crate::table::notes;

/// The columns: measure, head, whether a ratio stands beside it.
const COLUMNS: [(Measure, &str, bool); 6] = [
    (RATE, "deliveries per second", true),
    (COST, "CPU per delivery", true),
    (P50, "p50", false),
    (P99, "p99", true),
    (P999, "p99.9", false),
    (MEMORY, "memory", false),
];

pub(super) fn table(out: &mut String, workloads: &[Workload], labels: &[&str], base: Option<&str>) {
    out.push_str(
        "<section id=\"runs\">\n<h2>All runs</h2>\n<p>Medians of repeats. A ratio is the row divided by the broker that the \
         others are compared with.</p>\n<div class=\"wide\" tabindex=\"0\">\n<table>\n<thead><tr><th scope=\"col\">broker</th><th scope=\"col\">runs</th>",
    );
    for (_, head, has_ratio) in COLUMNS {
        let _ = write!(out, "<th scope=\"col\">{head}</th>");
        if has_ratio {
            out.push_str("<th scope=\"col\">ratio</th>");
        }
    }
    out.push_str("<th scope=\"col\">lost</th><th scope=\"col\">generator busy</th></tr></thead>\n");
    for workload in workloads {
        let (name, rest) = words(workload.plan);
        let columns = 4 + COLUMNS.iter().map(|(_, _, has_ratio)| 1 + usize::from(*has_ratio)).sum::<usize>();
        let _ = writeln!(
            out,
            "<tbody>\n<tr class=\"group\"><th colspan=\"{columns}\" scope=\"rowgroup\"><span>{} <small>{}</small></span></th></tr>",
            escape(&name),
            escape(&rest)
        );
        let of_base = workload.base(base);
        for broker in &workload.brokers {
            row(out, broker, of_base, place(labels, broker.label));
        }
        for (label, note) in notes(workload) {
            let _ = writeln!(
                out,
                "<tr class=\"note\"><td colspan=\"{columns}\"><span>{}: {}</span></td></tr>",
                escape(label),
                escape(&note)
            );
        }
        out.push_str("</tbody>\n");
    }
    out.push_str("</table>\n</div>\n</section>\n");
}

fn row(out: &mut String, broker: &Repeats, base: &Repeats, at: usize) {
    let _ = write!(
        out,
        "<tr data-of=\"{at}\"><th scope=\"row\" class=\"{}\"><i></i>{}</th><td>{}</td>",
        style_of(at),
        escape(broker.label),
        broker.runs.len()
    );
    for (measure, _, has_ratio) in COLUMNS {
        let median = broker.median(measure);
        let _ = write!(out, "<td>{}</td>", median.map_or("–".to_owned(), |value| escape(&(measure.text)(value))));
        if has_ratio {
            match (median, base.median(measure)) {
                (Some(value), Some(of_base)) => {
                    let text = ratio_or_base(value / of_base);
                    let _ = write!(
                        out,
                        "<td class=\"ratio\" data-value=\"{value}\" data-of-measure=\"{}\">{text}</td>",
                        measure.name
                    );
                }
                _ => out.push_str("<td class=\"ratio\">–</td>"),
            }
        }
    }
    let lost: u64 = broker.runs.iter().map(|run| run.lost).sum();
    let busy = broker.spread(|run| Some(run.generator.busy)).map_or(0.0, |spread| spread.median);
    let limit = if broker.runs.iter().any(|run| run.generator.is_limit) { " class=\"limit\"" } else { "" };
    let _ = writeln!(out, "<td>{}</td><td{limit}>{:.0} %</td></tr>", numbers::count(lost as f64), busy * 100.0);
}

/// A ratio; what is compared with itself needs none.
pub(super) fn ratio_or_base(ratio: f64) -> String {
    if ratio == 1.0 { "1".to_owned() } else { numbers::ratio(ratio) }
}
