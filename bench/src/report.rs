//! What was measured, as text or as one JSON object.

use std::fmt::Write as _;

use crate::cpu;
use crate::load::{Plan, Totals};

/// Everything about one run.
#[derive(Debug)]
pub struct Report<'a> {
    pub plan: &'a Plan,
    pub totals: Totals,
    pub seconds: f64,
    /// CPU of the broker in that time, if its process was named.
    pub broker: Option<cpu::Sample>,
    /// CPU of the generator in that time.
    pub generator: cpu::Sample,
}

impl Report<'_> {
    fn per_second(&self) -> f64 {
        self.totals.delivered as f64 / self.seconds
    }

    /// Microseconds of CPU per delivery.
    fn per_delivery_us(&self, seconds: f64) -> f64 {
        seconds * 1e6 / (self.totals.delivered.max(1)) as f64
    }

    pub fn text(&self) -> String {
        let plan = self.plan;
        let mut out = format!(
            "{}: {} publishers, {} subscribers, QoS {}, {} bytes, {} in flight\n",
            plan.scenario.name(),
            plan.publishers(),
            plan.subscribers(),
            plan.qos,
            plan.size,
            plan.in_flight
        );
        let _ = writeln!(
            out,
            "{:.0} deliveries/s ({} in {:.2} s), {} lost, {} out of order, {} stalls",
            self.per_second(),
            self.totals.delivered,
            self.seconds,
            self.totals.lost,
            self.totals.reordered,
            self.totals.stalls
        );
        if let Some(broker) = &self.broker {
            let _ = writeln!(
                out,
                "broker: {:.3} us of CPU per delivery ({:.2} s)",
                self.per_delivery_us(broker.process),
                broker.process
            );
            for (id, name, seconds) in broker.threads.iter().filter(|(_, _, seconds)| *seconds > 0.0) {
                let _ =
                    writeln!(out, "  thread {id} {name}: {:.3} us ({seconds:.2} s)", self.per_delivery_us(*seconds));
            }
        }
        let own = self.generator.process;
        let _ = writeln!(
            out,
            "generator: {:.3} us of CPU per delivery, busy {:.0} %",
            self.per_delivery_us(own),
            own / self.seconds * 100.0
        );
        out
    }

    pub fn json(&self) -> String {
        let plan = self.plan;
        let mut out = format!(
            "{{\"scenario\":\"{}\",\"publishers\":{},\"subscribers\":{},\"qos\":{},\"size\":{},\"in_flight\":{}",
            plan.scenario.name(),
            plan.publishers(),
            plan.subscribers(),
            plan.qos,
            plan.size,
            plan.in_flight
        );
        let _ = write!(
            out,
            ",\"seconds\":{:.4},\"delivered\":{},\"per_second\":{:.1},\"lost\":{},\"reordered\":{},\"stalls\":{}",
            self.seconds,
            self.totals.delivered,
            self.per_second(),
            self.totals.lost,
            self.totals.reordered,
            self.totals.stalls
        );
        if let Some(broker) = &self.broker {
            let _ = write!(
                out,
                ",\"broker_cpu_s\":{:.2},\"broker_us_per_delivery\":{:.5},\"broker_threads\":[",
                broker.process,
                self.per_delivery_us(broker.process)
            );
            for (at, (id, name, seconds)) in broker.threads.iter().enumerate() {
                let comma = if at > 0 { "," } else { "" };
                let name = name.replace(|c: char| c.is_control() || c == '"' || c == '\\', "?");
                let _ = write!(out, "{comma}{{\"id\":{id},\"name\":\"{name}\",\"cpu_s\":{seconds:.2}}}");
            }
            out.push(']');
        }
        let _ = write!(out, ",\"generator_us_per_delivery\":{:.5}}}", self.per_delivery_us(self.generator.process));
        out
    }
}
