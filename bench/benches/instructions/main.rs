//! Instructions that `Shard::step` takes for each message, counted: no noise, and no counter of the processor is
//! needed, but `valgrind` is.
//!
//! ```text
//! cargo bench -p bench --bench instructions                    every scene, a line each
//! cargo bench -p bench --bench instructions -- 'QoS 1'         those whose name has it
//! cargo bench -p bench --bench instructions -- --functions 20  and the twenty dearest functions of each
//! ```

mod profile;

use bench::stage::{Plan, Scene, Shape};
use engine::wire::{QoS, Version};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// Messages, published or delivered, that are counted in each scene.
const MESSAGES: u64 = 20_000;
const WARM_ROUNDS: usize = 100;

fn scenes() -> Vec<(&'static str, Plan)> {
    let v5 = |shape| Plan { version: Version::V5, ..Plan::new(shape) };
    let linked = |shape| Plan { shards: 2, burst: 20, ..Plan::new(shape) };
    let qos = |qos| move |shape| Plan::new(shape).qos(qos);
    let (qos1, qos2) = (qos(QoS::AtLeastOnce), qos(QoS::ExactlyOnce));
    vec![
        ("pairs", Plan::new(Shape::Pairs)),
        ("pairs, MQTT 5", v5(Shape::Pairs)),
        ("pairs, QoS 1", qos1(Shape::Pairs)),
        ("pairs, QoS 2", qos2(Shape::Pairs)),
        ("pairs, two shards", linked(Shape::Pairs)),
        ("fan-in", Plan::new(Shape::FanIn)),
        ("fan-out to 50", Plan::new(Shape::FanOut)),
        ("fan-out to 50, QoS 1", qos1(Shape::FanOut)),
        ("fan-out to 50, two shards", linked(Shape::FanOut)),
        ("wildcard to 50", Plan::new(Shape::Wildcard)),
        ("frames", Plan::new(Shape::Merged)),
        ("retained", Plan::new(Shape::Retained)),
        ("retained, QoS 1", qos1(Shape::Retained)),
    ]
}

/// Named to callgrind: what is counted starts here.
#[inline(never)]
fn counted(scene: &mut Scene, rounds: usize) -> u64 {
    scene.play(rounds)
}

/// Plays the scene of this name; returns how many messages are counted.
fn play(name: &str, is_counted: bool) -> Option<u64> {
    let (_, plan) = scenes().into_iter().find(|(known, _)| *known == name)?;
    let mut scene = Scene::new(plan);
    let published = scene.published_in_a_round();
    let in_a_round = scene.play(1).max(published);
    let rounds = MESSAGES.div_ceil(in_a_round);
    if is_counted {
        scene.play(WARM_ROUNDS);
        counted(&mut scene, rounds as usize);
    }
    Some(rounds * in_a_round)
}

/// This program again, under callgrind. Returns the instructions of `Shard::step`.
fn count(name: &str, profile: &Path) -> Result<u64, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=engine::shard::Shard::step"])
        .args(["--zero-before=instructions::counted", "--dump-instr=no"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(this)
        .args(["--play", name])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind does not start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected :")).map(|(_, count)| count.trim());
    collected.and_then(|count| count.parse().ok()).ok_or_else(|| format!("valgrind counts nothing:\n{text}"))
}

/// Prints what one scene takes for each message; the dearest functions in themselves, with what they call, and how often
/// they are called.
fn report(name: &str, functions: usize) -> Result<(), String> {
    let file = format!("mote-instructions.{}", std::process::id());
    let path = std::env::temp_dir().join(file);
    let instructions = count(name, &path)?;
    let profile = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    std::fs::remove_file(&path).map_err(|error| error.to_string())?;
    let messages = play(name, false).ok_or("no such scene")? as f64;
    println!("{name:28} {:>8.1} instructions", instructions as f64 / messages);
    for (function, cost) in profile::by_function(&profile).iter().take(functions) {
        let each = [cost.own, cost.all, cost.calls].map(|count| count as f64 / messages);
        println!("    {:>8.1} {:>8.1} {:>7.2}  {function}", each[0], each[1], each[2]);
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (mut wanted, mut functions) = (String::new(), 0);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--play" => {
                let played = play(&args.next().unwrap_or_default(), true);
                return if played.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            }
            "--functions" => functions = args.next().and_then(|count| count.parse().ok()).unwrap_or(20),
            "--bench" => {}
            _ => wanted = arg,
        }
    }
    for (name, _) in scenes().into_iter().filter(|(name, _)| name.contains(&wanted)) {
        if let Err(fault) = report(name, functions) {
            eprintln!("{fault}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
