//! What was measured, as a table for who waited for it.

use std::fmt::Write as _;

use crate::numbers;
use crate::result::{Broker, Latency, Loop, Run};

pub fn text(run: &Run) -> String {
    let mut out = format!("{}\n", head(run));
    let mut line = |name: &str, text: String| {
        let _ = writeln!(out, "  {name:12} {text}");
    };
    line("throughput", throughput(run));
    if let Some(latency) = &run.latency_us {
        line("latency", self::latency(latency, run.plan.pace));
    }
    line("delivery", delivery(run));
    if let Some(broker) = &run.broker {
        line("broker", self::broker(broker, run.seconds));
        for thread in broker.threads.iter().filter(|thread| thread.cpu_s > 0.01 * broker.cpu_s) {
            line("", format!("thread {}: {:.0} % of a core", thread.name, thread.cpu_s / run.seconds * 100.0));
        }
    }
    let own = &run.generator;
    let us = own.us_per_delivery;
    line("generator", format!("{us:.3} us of CPU per delivery, busiest thread {:.0} % busy", own.busy * 100.0));
    for figure in &run.figures {
        line("", format!("{} {}", figure.name, numbers::with_unit(figure.value, &figure.unit)));
    }
    for warning in &run.warnings {
        line("WARNING", warning.clone());
    }
    out
}

fn head(run: &Run) -> String {
    let plan = &run.plan;
    let mut text = format!(
        "{}  {}: {} to {} clients, {}, MQTT {}, QoS {}, {} bytes",
        run.label, plan.scenario, plan.publishers, plan.subscribers, plan.topics, plan.protocol, plan.qos, plan.size
    );
    if plan.rows > 1 {
        let _ = write!(text, ", {} rows", plan.rows);
    }
    if plan.retain {
        text += ", retained";
    }
    match (plan.rate, plan.in_flight) {
        (Some(rate), _) => {
            let _ = write!(text, ", open loop at {}", numbers::per_second(rate));
        }
        (None, Some(in_flight)) => {
            let _ = write!(text, ", closed loop, {in_flight} in flight");
        }
        (None, None) => {}
    }
    text
}

fn throughput(run: &Run) -> String {
    let mut text = format!(
        "{} delivered, {} published ({} and {} in {:.2} s)",
        numbers::per_second(run.per_second),
        numbers::per_second(run.published_per_second),
        run.delivered,
        run.published,
        run.seconds
    );
    if run.rows_delivered != run.delivered {
        let _ = write!(text, ", {} rows", run.rows_delivered);
    }
    text
}

fn latency(latency: &Latency, pace: Loop) -> String {
    let from = match pace {
        Loop::Open => "from when each was due",
        Loop::Closed => "closed loop: what the window makes of it",
    };
    format!(
        "p50 {:.0} us, p90 {:.0}, p99 {:.0}, p99.9 {:.0}, p99.99 {:.0}, max {:.0} ({from})",
        latency.p50, latency.p90, latency.p99, latency.p999, latency.p9999, latency.max
    )
}

fn delivery(run: &Run) -> String {
    format!(
        "{} lost, {} twice, {} out of order, {} stalls (whole run)",
        run.lost, run.duplicates, run.reordered, run.stalls
    )
}

fn broker(broker: &Broker, seconds: f64) -> String {
    format!(
        "{:.3} us of CPU per delivery, {:.0} % of a core; RssAnon {:.1} MB, {:.1} before; {:.0} switches/s that it \
         wanted, {:.0} that it did not",
        broker.us_per_delivery,
        broker.cpu_s / seconds * 100.0,
        broker.anon_bytes as f64 / 1e6,
        broker.anon_bytes_before as f64 / 1e6,
        broker.switches_voluntary as f64 / seconds,
        broker.switches_involuntary as f64 / seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::example;

    #[test]
    fn a_run_is_told_with_its_loop_and_its_warnings() {
        let mut run = example();
        run.warnings.push("the generator was the limit".into());
        let told = text(&run);
        for part in ["closed loop, 200 in flight", "b{i}/data", "p99.9 200", "bytes_per_row", "WARNING      the gen"] {
            assert!(told.contains(part), "{part} is not in\n{told}");
        }
    }
}
