//! Why a result may not be what it seems, in sentences for who reads it.

use std::fs::read_to_string;

use crate::result::{Loop, Run};
use crate::worker::Ending;

/// A thread, or a broker, that is busier than this part of the time could not do much more.
pub const BUSY_LIMIT: f64 = 0.95;
/// An open loop that published less than this part of what was due was held up.
const RATE_PART_MIN: f64 = 0.99;
/// The generator's own lateness may be this part of a latency before it counts as the generator's.
const LAG_PART_MAX: f64 = 0.5;
/// Clock sources that are read without a system call, exact to some nanoseconds.
const CLOCKS: [&str; 5] = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "riscv_clocksource"];

/// What `run` says of itself with what was seen beside it: `lag_us` is how late the generator was at its 99th
/// percentile.
pub fn doubts(run: &Run, ending: &Ending, lag_us: Option<f64>) -> Vec<String> {
    let mut all = of_load(run, ending);
    if let (Some(lag), Some(latency)) = (lag_us, &run.latency_us)
        && lag > LAG_PART_MAX * latency.p99
    {
        all.push(format!(
            "one message in a hundred left the generator {lag:.0} us late or more: that is in the latency"
        ));
    }
    all.extend(clock());
    all.extend(run.broker.as_ref().and_then(|broker| same_core(broker.pid, run.machine.cores)));
    match run.machine.governor.as_deref() {
        Some(governor) if governor != "performance" => {
            all.push(format!("the clock of the cores changes with their load (governor {governor})"));
        }
        _ => {}
    }
    all
}

fn of_load(run: &Run, ending: &Ending) -> Vec<String> {
    let mut all = Vec::new();
    if run.generator.is_limit {
        let busy = run.generator.busy * 100.0;
        all.push(format!(
            "the generator was the limit: its busiest thread was busy {busy:.0} % of the time, and the broker had time \
             left. Try --threads; CPU per delivery still holds"
        ));
    } else if run.broker.is_none() && run.generator.busy > BUSY_LIMIT {
        all.push(
            "the generator's busiest thread was busy all the time; whether the broker was too is known with --broker-pid"
                .into(),
        );
    }
    let due = run.plan.rate.unwrap_or(0.0);
    if run.plan.pace == Loop::Open && run.published_per_second < RATE_PART_MIN * due {
        let done = run.published_per_second;
        all.push(format!(
            "{done:.0} of {due:.0} messages a second were sent: the broker, or the generator, took no more"
        ));
    }
    let counted = [
        (ending.unsent, "messages were due and never sent"),
        (ending.unacked, "messages were never acknowledged"),
        (ending.refused, "messages were refused by the broker"),
        (ending.foreign, "messages came that are not of this run"),
    ];
    all.extend(counted.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    all
}

/// A clock that is slow to read makes the generator slow, and latencies coarse.
fn clock() -> Option<String> {
    let source = read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource").ok()?;
    let source = source.trim();
    (!CLOCKS.contains(&source)).then(|| format!("the clock of this machine is slow to read (clock source {source})"))
}

/// Broker and generator that may run on the same cores take time from each other.
fn same_core(broker: u32, cores: u32) -> Option<String> {
    let allowed = |pid: &str| {
        let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        Some(cpus(list.trim()))
    };
    let (broker, own) = (allowed(&broker.to_string())?, allowed("self")?);
    let is_shared = broker.iter().any(|core| own.contains(core));
    (is_shared && cores < 8).then(|| {
        "broker and generator may run on the same core of this small machine: give each its own (taskset)".to_owned()
    })
}

/// The numbers of a list like `0-2,5`.
fn cpus(list: &str) -> Vec<u32> {
    let ranges = list.split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::example;

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(cpus("0-2,5"), [0, 1, 2, 5]);
    }

    #[test]
    fn a_generator_that_was_the_limit_is_said_first() {
        let mut run = example();
        assert_eq!(of_load(&run, &Ending::default()), Vec::<String>::new());
        run.generator.is_limit = true;
        let ending = Ending { unacked: 3, ..Ending::default() };
        let doubts = of_load(&run, &ending);
        assert!(doubts[0].contains("generator was the limit") && doubts[1].starts_with("3 messages were never ack"));
    }

    #[test]
    fn an_open_loop_that_was_held_up_says_so() {
        let mut run = example();
        (run.plan.pace, run.plan.rate) = (Loop::Open, Some(2000.0));
        assert!(of_load(&run, &Ending::default())[0].starts_with("1000 of 2000 messages"));
        let lag = doubts(&run, &Ending::default(), Some(60.0));
        assert!(lag.iter().any(|doubt| doubt.contains("left the generator 60 us late")), "{lag:?}");
    }
}
