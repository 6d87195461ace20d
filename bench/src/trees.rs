//! What trees cost beside plain messages, and what large ones cost those who share the shard: three figures.
//!
//! ```text
//! tree    one publish of many rows, QoS 1, next when it is acknowledged and every subscriber has its frame
//! device  as many plain publishes, QoS 1, each when the one before is acknowledged
//! burst   as many plain publishes, QoS 0, in one write; next when every subscriber has them all
//! ```
//! Nothing is retained. Subscribers of `tree` have one merged filter, those of the others the same filter, plain. After
//! that the latency of live messages is measured alone, beside a snapshot, and beside large batches.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::line::Line;
use crate::packets::{self, Version};
use crate::process;

/// Rows of one tree while the rows of the snapshot are written.
const FILL_ROWS: u64 = 1_000;
/// Rows of a large batch.
const BATCH_ROWS: u64 = 65_536;
/// Live messages in a second while latency is measured.
const LIVE_PER_SECOND: u64 = 5_000;
const LIVE_PAYLOAD_BYTES: usize = 64;

fn publish(topic: &str, payload: &[u8], qos: u8, retain: bool) -> Vec<u8> {
    packets::publish(Version::V4, topic, payload, qos, retain, 1)
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub broker: SocketAddr,
    /// The broker's process.
    pub pid: u32,
    /// Rows of a tree, and plain publishes that say the same.
    pub rows: u64,
    /// Bytes of a row's payload.
    pub size: usize,
    /// Subscribers of the second comparison.
    pub subscribers: usize,
    /// Rows of the snapshot.
    pub snapshot_rows: u64,
    /// For each measurement.
    pub duration: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Tree,
    Device,
    Burst,
}

impl Way {
    fn qos(self) -> u8 {
        u8::from(self != Way::Burst)
    }
}

/// Microseconds of the broker's CPU for all rows once.
fn round_us(plan: &Plan, way: Way, subscribers: usize) -> io::Result<f64> {
    let (done, all_done) = channel();
    let filter = if way == Way::Tree { "$tree/t/+" } else { "t/+" };
    let messages = if way == Way::Tree { 1 } else { plan.rows };
    for number in 0..subscribers {
        let mut line = Line::open(plan.broker, Version::V4, &format!("trees-{way:?}-{number}"))?;
        line.subscribe(filter, way.qos())?;
        let done = done.clone();
        std::thread::spawn(move || receive(&mut line, messages, &done));
    }
    let mut publisher = Line::open(plan.broker, Version::V4, "trees-publisher")?;
    let writes = writes(plan, way);
    let mut rounds = 0;
    let mut run = |until: Instant| -> io::Result<u32> {
        let before = rounds;
        while Instant::now() < until {
            for write in &writes {
                publisher.socket.write_all(write)?;
                if way.qos() > 0 {
                    publisher.expect(4)?;
                }
            }
            (0..subscribers).try_for_each(|_| all_done.recv().map_err(io::Error::other))?;
            rounds += 1;
        }
        Ok(rounds - before)
    };
    run(Instant::now() + plan.duration / 4)?;
    let before = process::sample(plan.pid)?;
    let rounds = run(Instant::now() + plan.duration)?;
    let used = process::between(&before, &process::sample(plan.pid)?).cpu_s;
    Ok(used * 1e6 / f64::from(rounds))
}

/// Says so whenever all messages of a round have come. Ends with its connection.
fn receive(line: &mut Line, messages: u64, done: &Sender<()>) {
    loop {
        for _ in 0..messages {
            if line.publish().is_err() {
                return;
            }
        }
        if line.flush().is_err() {
            return;
        }
        if done.send(()).is_err() {
            return;
        }
    }
}

/// What a publisher writes in a round, one after the other.
fn writes(plan: &Plan, way: Way) -> Vec<Vec<u8>> {
    let value = "x".repeat(plan.size);
    match way {
        Way::Tree => vec![publish("$tree/t/*", &tree(0..plan.rows, &value), 1, false)],
        Way::Device | Way::Burst => {
            let one = |row| publish(&format!("t/row{row}"), value.as_bytes(), way.qos(), false);
            let all: Vec<Vec<u8>> = (0..plan.rows).map(one).collect();
            if way == Way::Burst { vec![all.concat()] } else { all }
        }
    }
}

fn tree(rows: std::ops::Range<u64>, value: &str) -> Vec<u8> {
    let rows: Vec<String> = rows.map(|row| format!("\"row{row}\":\"{value}\"")).collect();
    format!("{{{}}}", rows.join(",")).into_bytes()
}

/// Live messages at a fixed rate, each with the time at which it was due, and how late each came, in microseconds.
struct Live {
    is_over: Arc<AtomicBool>,
    sender: JoinHandle<()>,
    lateness: Receiver<u64>,
}

impl Live {
    fn start(broker: SocketAddr) -> io::Result<Live> {
        let start = Instant::now();
        let mut reader = Line::open(broker, Version::V4, "trees-live-reader")?;
        reader.subscribe("live/+", 0)?;
        let (late, lateness) = channel();
        std::thread::spawn(move || {
            while let Ok(at) = reader.publish() {
                let due = reader.body.get(at..at + 8).and_then(|due| due.try_into().ok()).map(u64::from_le_bytes);
                let now = start.elapsed().as_micros() as u64;
                if late.send(now.saturating_sub(due.unwrap_or(now))).is_err() {
                    return;
                }
            }
        });
        let mut writer = Line::open(broker, Version::V4, "trees-live-writer")?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let sender = std::thread::spawn(move || {
            for number in 0.. {
                let due = Duration::from_micros(number * 1_000_000 / LIVE_PER_SECOND);
                std::thread::sleep(due.saturating_sub(start.elapsed()));
                let mut payload = vec![0; LIVE_PAYLOAD_BYTES];
                payload[..8].copy_from_slice(&(due.as_micros() as u64).to_le_bytes());
                let packet = publish("live/x", &payload, 0, false);
                if over.load(Ordering::Relaxed) || writer.socket.write_all(&packet).is_err() {
                    return;
                }
            }
        });
        Ok(Live { is_over, sender, lateness })
    }

    /// p50, p99 and the most, in milliseconds, of what came since the last look.
    fn look(&self) -> [f64; 3] {
        let mut all: Vec<u64> = self.lateness.try_iter().collect();
        all.sort_unstable();
        let at =
            |part: f64| all.get((all.len() as f64 * part) as usize).or(all.last()).map_or(0.0, |us| *us as f64 / 1e3);
        [at(0.5), at(0.99), at(1.0)]
    }

    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.sender.join();
    }
}

/// Writes the rows that a snapshot has.
fn fill(plan: &Plan, publisher: &mut Line) -> io::Result<()> {
    for first in (0..plan.snapshot_rows).step_by(FILL_ROWS as usize) {
        let rows = first..(first + FILL_ROWS).min(plan.snapshot_rows);
        let topic = format!("$tree/big/{}/*", first / FILL_ROWS);
        publisher.socket.write_all(&publish(&topic, &tree(rows, "0123456789abcdef"), 1, true))?;
        publisher.expect(4)?;
    }
    Ok(())
}

/// Reads one snapshot: bytes of its frames, and how many.
fn snapshot(plan: &Plan) -> io::Result<(usize, u64)> {
    let mut line = Line::open(plan.broker, Version::V4, "trees-snapshot")?;
    line.subscribe("$sync;meta/big/#", 0)?;
    let (mut bytes, mut frames) = (0, 0);
    loop {
        let at = line.publish()?;
        bytes += line.body.len() - at;
        frames += 1;
        let head = &line.body[at..line.body.len().min(at + 64)];
        if head.windows(10).any(|part| part == b"frame;snap") {
            return Ok((bytes, frames));
        }
    }
}

/// Measures and prints all three figures.
pub fn run(plan: &Plan) -> io::Result<()> {
    for subscribers in [1, plan.subscribers] {
        let [tree, device, burst] = [
            round_us(plan, Way::Tree, subscribers)?,
            round_us(plan, Way::Device, subscribers)?,
            round_us(plan, Way::Burst, subscribers)?,
        ];
        println!(
            "{} rows of {} bytes to {subscribers}: tree {tree:.0} us of broker CPU; one by one with QoS 1 {device:.0} us, {:.1} times as \
             much; QoS 0 in one write {burst:.0} us, {:.1} times as much",
            plan.rows,
            plan.size,
            device / tree,
            burst / tree
        );
    }
    beside(plan)
}

fn beside(plan: &Plan) -> io::Result<()> {
    let mut publisher = Line::open(plan.broker, Version::V4, "trees-publisher")?;
    fill(plan, &mut publisher)?;
    let live = Live::start(plan.broker)?;
    std::thread::sleep(plan.duration / 4);
    live.look();
    std::thread::sleep(plan.duration);
    say("alone", live.look());
    let start = Instant::now();
    let (bytes, frames) = snapshot(plan)?;
    let seconds = start.elapsed().as_secs_f64();
    say(
        &format!("beside a snapshot of {} rows, {bytes} bytes in {frames} frames, {seconds:.2} s", plan.snapshot_rows),
        live.look(),
    );
    let mut reader = Line::open(plan.broker, Version::V4, "trees-batches")?;
    reader.subscribe("$tree/batch/+", 0)?;
    std::thread::spawn(move || while reader.publish().is_ok() {});
    for retain in [false, true] {
        let packet = publish("$tree/batch/*", &tree(0..BATCH_ROWS, "0123456789abcdef"), 1, retain);
        let (mut batches, start) = (0, Instant::now());
        while start.elapsed() < plan.duration {
            publisher.socket.write_all(&packet)?;
            publisher.expect(4)?;
            batches += 1;
        }
        let kept = if retain { "retained " } else { "" };
        say(
            &format!("beside {batches} {kept}batches of {BATCH_ROWS} rows in {:.2} s", start.elapsed().as_secs_f64()),
            live.look(),
        );
    }
    live.end();
    Ok(())
}

fn say(when: &str, [p50, p99, most]: [f64; 3]) {
    println!("live messages {when}: p50 {p50:.2} ms, p99 {p99:.2} ms, at most {most:.2} ms");
}
