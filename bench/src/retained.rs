//! Retained rows: written one by one by one client, then read by one subscriber of all.

use std::io;
use std::time::Instant;

use crate::line::Line;
use crate::measured::{self, Subject, figure};
use crate::plan::Plan;
use crate::result::Run;
use crate::watch::{Look, Watch, settled};
use crate::worker::Ending;

/// A topic of 14 bytes.
fn topic(row: u64) -> String {
    format!("ret/{row:010}")
}

/// `plan.rows` rows. `published` is about writing them, `delivered` and the broker's CPU about reading them; what
/// belongs to the other is among the figures. The rows are deleted in the end.
pub fn run(subject: &Subject, plan: &Plan, is_quiet: bool) -> io::Result<Run> {
    let rows = plan.rows as u64;
    let mut watch = Watch::new(subject.pid, is_quiet)?;
    let mut writer = Line::open(plan.broker, plan.version, "bench-retained-writer")?;
    let payload = vec![b'x'; plan.size];
    let before = settled(subject.pid)?;
    let start = Instant::now();
    let all = (0..rows).map(|row| (topic(row), payload.clone()));
    writer.publish_all(all, plan.qos, true, plan.window())?;
    let write_s = start.elapsed().as_secs_f64();
    let written = settled(subject.pid)?;

    let mut reader = Line::open(plan.broker, plan.version, "bench-retained-reader")?;
    let start_look = Look::now(subject.pid)?;
    let start = Instant::now();
    reader.ask("ret/#", plan.qos)?;
    for _ in 0..rows {
        reader.publish()?;
    }
    reader.flush()?;
    let read_s = start.elapsed().as_secs_f64();
    watch.between(start_look, settled(subject.pid)?, read_s);
    writer.publish_all((0..rows).map(|row| (topic(row), Vec::new())), plan.qos.max(1), true, plan.window())?;

    (watch.published, watch.delivered, watch.rows) = (rows, rows, rows);
    let mut figures = vec![
        figure("write_per_second", rows as f64 / write_s, "/s"),
        figure("read_per_second", rows as f64 / read_s, "/s"),
    ];
    if let (Some(writing), Some(reading)) = (written.broker_since(&before), watch.end.broker_since(&watch.start)) {
        let each = |total: f64| total / rows as f64;
        figures.push(figure("write_us_per_row", each(writing.cpu_s * 1e6), "us"));
        figures.push(figure("read_us_per_row", each(reading.cpu_s * 1e6), "us"));
        figures.push(figure("bytes_per_row", each(grown(&before, &written)), "B"));
    }
    let mut run = measured::run(subject, plan.result(), watch, &Ending::default(), figures)?;
    run.published_per_second = rows as f64 / write_s;
    Ok(run)
}

/// Bytes of its own by which the broker has grown.
pub fn grown(before: &Look, after: &Look) -> f64 {
    let bytes = |look: &Look| look.broker.as_ref().map_or(0.0, |broker| broker.anon_bytes as f64);
    bytes(after) - bytes(before)
}
