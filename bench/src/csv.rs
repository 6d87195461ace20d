//! The seconds of a run as lines for a spreadsheet.

use std::fmt::Write as _;

use crate::result::Run;

const COLUMNS: &str =
    "label,scenario,second,published,delivered,p50_us,p99_us,broker_cpu,broker_anon_bytes,generator_busy";

/// One line for each step of each run, behind one with names. What was not measured is empty.
pub fn csv(runs: &[Run]) -> String {
    let mut out = format!("{COLUMNS}\n");
    for run in runs {
        let series = &run.series;
        for (at, delivered) in series.delivered.iter().enumerate() {
            let second = series.step_s * (at + 1) as f64;
            let cells = [
                quoted(&run.label),
                quoted(&run.plan.scenario),
                second.to_string(),
                cell(series.published.get(at)),
                delivered.to_string(),
                cell(series.p50_us.get(at).copied().flatten().as_ref()),
                cell(series.p99_us.get(at).copied().flatten().as_ref()),
                cell(series.broker_cpu.get(at)),
                cell(series.broker_anon_bytes.get(at)),
                cell(series.generator_busy.get(at)),
            ];
            let _ = writeln!(out, "{}", cells.join(","));
        }
    }
    out
}

fn cell(value: Option<&impl ToString>) -> String {
    value.map_or_else(String::new, ToString::to_string)
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::example;

    #[test]
    fn a_line_for_each_second() {
        let run = Run { label: "a, \"b\"".into(), ..example() };
        let text = csv(&[run]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1], "\"a, \"\"b\"\"\",pairs,1,1000,1000,45,100,0.25,2097152,0.15");
        assert_eq!(lines[2], "\"a, \"\"b\"\"\",pairs,2,1000,1000,,,0.25,2097152,0.15");
    }
}
