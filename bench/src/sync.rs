//! Snapshots: retained rows, written as trees, and how long a reader that begins anew takes to have them all.

use std::io;
use std::time::Instant;

use memchr::{memchr_iter, memmem};

use crate::line::Line;
use crate::measured::{self, Subject, figure};
use crate::plan::Plan;
use crate::result::Run;
use crate::watch::{Look, Watch, settled};
use crate::worker::Ending;

const BLOCK_ROWS: u64 = 1_000;
/// The first bytes of the payload of a frame, in which it says what it is.
const META_BYTES: usize = 64;

struct Snapshot {
    seconds: f64,
    bytes: u64,
    frames: u64,
    rows: u64,
}

/// `plan.rows` rows. The rows are deleted in the end.
pub fn run(subject: &Subject, plan: &Plan, is_quiet: bool) -> io::Result<Run> {
    let rows = plan.rows as u64;
    let blocks = rows.div_ceil(BLOCK_ROWS);
    let mut watch = Watch::new(subject.pid, is_quiet)?;
    let mut writer = Line::open(plan.broker, plan.version, "bench-sync-writer")?;
    let block = |number: u64| {
        let rows = number * BLOCK_ROWS..rows.min((number + 1) * BLOCK_ROWS);
        let rows: Vec<String> = rows.map(|row| format!("\"r{row}\":\"{}\"", "x".repeat(plan.size))).collect();
        (format!("$tree/sync/{number}/*"), format!("{{{}}}", rows.join(",")).into_bytes())
    };
    writer.publish_all((0..blocks).map(block), 1, true, 2)?;
    let written = settled(subject.pid)?;

    let start = Look::now(subject.pid)?;
    let (mut all, begin) = (Vec::new(), Instant::now());
    while all.is_empty() || begin.elapsed() < plan.duration {
        all.push(snapshot(plan, all.len())?);
    }
    watch.between(start, Look::now(subject.pid)?, begin.elapsed().as_secs_f64());
    writer.publish_all((0..blocks).map(|number| (format!("$set/sync/{number}/*"), Vec::new())), 1, true, 1)?;

    watch.published = blocks;
    watch.delivered = all.iter().map(|snapshot| snapshot.frames).sum();
    watch.rows = all.iter().map(|snapshot| snapshot.rows).sum();
    if let Some(other) = all.iter().find(|snapshot| snapshot.rows != rows) {
        return Err(io::Error::other(format!("a snapshot of {rows} rows brought {}", other.rows)));
    }
    all.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let median = &all[all.len() / 2];
    let mut figures = vec![
        figure("snapshot_s", median.seconds, "s"),
        figure("snapshot_bytes", median.bytes as f64, "B"),
        figure("snapshot_frames", median.frames as f64, ""),
        figure("snapshots", all.len() as f64, ""),
        figure("rows_per_second", rows as f64 / median.seconds, "/s"),
    ];
    if let Some(used) = watch.end.broker_since(&watch.start) {
        figures.push(figure("cpu_us_per_row", used.cpu_s * 1e6 / watch.rows as f64, "us"));
        figures.push(figure("bytes_per_row", crate::retained::grown(&watch.empty, &written) / rows as f64, "B"));
    }
    measured::run(subject, plan.result(), watch, &Ending::default(), figures)
}

fn snapshot(plan: &Plan, number: usize) -> io::Result<Snapshot> {
    let mut line = Line::open(plan.broker, plan.version, &format!("bench-sync-{number}"))?;
    let start = Instant::now();
    line.ask("$sync;meta/sync/#", 0)?;
    let mut all = Snapshot { seconds: 0.0, bytes: 0, frames: 0, rows: 0 };
    loop {
        let payload = line.publish()?;
        let payload = &line.body[payload..];
        all.bytes += payload.len() as u64;
        all.frames += 1;
        all.rows += memmem::find_iter(payload, b"\"r").count() as u64;
        let meta = &payload[..payload.len().min(META_BYTES)];
        if memmem::find(meta, b"frame;snap").is_some() {
            all.seconds = start.elapsed().as_secs_f64();
            return Ok(all);
        }
        if memchr_iter(b'{', meta).next().is_none() {
            return Err(io::Error::other("this broker makes no frames"));
        }
    }
}
