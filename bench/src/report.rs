//! What was measured, as text for who waits for it.

use std::fmt::Write as _;

use crate::result::Run;

pub fn text(run: &Run) -> String {
    let plan = &run.plan;
    let mut out = format!(
        "{}: {} publishers, {} subscribers, QoS {}, {} bytes, {} in flight\n",
        plan.scenario,
        plan.publishers,
        plan.subscribers,
        plan.qos,
        plan.size,
        plan.in_flight.unwrap_or(0)
    );
    let _ = writeln!(
        out,
        "{:.0} deliveries/s ({} in {:.2} s), {} lost, {} out of order, {} stalls",
        run.per_second, run.delivered, run.seconds, run.lost, run.reordered, run.stalls
    );
    let per_delivery_us = |seconds: f64| seconds * 1e6 / run.delivered.max(1) as f64;
    if let Some(broker) = &run.broker {
        let _ = writeln!(out, "broker: {:.3} us of CPU per delivery ({:.2} s)", broker.us_per_delivery, broker.cpu_s);
        for thread in broker.threads.iter().filter(|thread| thread.cpu_s > 0.005) {
            let us = per_delivery_us(thread.cpu_s);
            let _ = writeln!(out, "  thread {}: {us:.3} us ({:.2} s)", thread.name, thread.cpu_s);
        }
    }
    let own = &run.generator;
    let _ =
        writeln!(out, "generator: {:.3} us of CPU per delivery, busy {:.0} %", own.us_per_delivery, own.busy * 100.0);
    out
}
