//! Results as a comparison leaves them, made here: three brokers, closed and open loops, idle connections.

use bench::result::{Broker, Figure, Generator, Latency, Loop, Machine, Plan, Run, SCHEMA, Series};

/// A closed loop of pairs.
pub fn pairs(qos: u8, size: u64) -> Plan {
    Plan {
        scenario: "pairs".into(),
        protocol: "3.1.1".into(),
        publishers: 50,
        subscribers: 50,
        topics: "b{i}/data".into(),
        qos,
        size,
        retain: false,
        pace: Loop::Closed,
        in_flight: Some(200),
        rate: None,
        rows: 1,
        threads: 1,
        warmup_s: 1.0,
        seconds: 8.0,
    }
}

pub fn open_loop(rate: f64) -> Plan {
    Plan { scenario: "latency".into(), pace: Loop::Open, in_flight: None, rate: Some(rate), ..pairs(0, 64) }
}

/// A run in which a delivery costs the broker `cost_us` and half of the messages come within `p50` microseconds.
pub fn run(label: &str, plan: &Plan, per_second: f64, cost_us: f64, p50: f64) -> Run {
    let steps = plan.seconds as usize;
    let delivered = per_second * plan.seconds;
    let each = |of: f64| (0..steps).map(|at| (of * (1.0 + 0.04 * (at as f64 * 1.7).sin())) as u64).collect::<Vec<_>>();
    let later = |nines: f64| p50 * (0.6 + nines * nines * 1.5);
    let wavy = |of: f64| (0..steps).map(|at| Some(of * (1.0 + 0.2 * (at as f64 * 2.3).cos()))).collect::<Vec<_>>();
    Run {
        schema: SCHEMA.into(),
        label: label.into(),
        time: 1_796_074_884,
        machine: Machine { cpu: "Example CPU @ 2.50GHz".into(), cores: 2, kernel: "6.18".into(), governor: None },
        plan: plan.clone(),
        seconds: plan.seconds,
        published: delivered as u64,
        delivered: delivered as u64,
        rows_delivered: delivered as u64,
        per_second,
        published_per_second: per_second,
        lost: 0,
        duplicates: 0,
        reordered: 0,
        stalls: 0,
        latency_us: Some(Latency {
            count: delivered as u64,
            min: p50 / 2.0,
            mean: p50 * 1.1,
            p50: later(2_f64.log10()),
            p90: later(1.0),
            p99: later(2.0),
            p999: later(3.0),
            p9999: later(4.0),
            max: later(5.0),
            curve: (0..60).map(|at| f64::from(at) / 10.0).map(|n| [100.0 - 100.0 / 10_f64.powf(n), later(n)]).collect(),
            hdr: String::new(),
        }),
        broker: Some(Broker {
            pid: 7,
            cpu_s: delivered * cost_us / 1e6,
            us_per_delivery: cost_us,
            threads: Vec::new(),
            anon_bytes_before: 3_000_000,
            anon_bytes: 9_000_000,
            switches_voluntary: 10,
            switches_involuntary: 1,
        }),
        generator: Generator { cpu_s: 4.0, busy: 0.5, us_per_delivery: 0.2, is_limit: false },
        series: Series {
            step_s: 1.0,
            published: each(per_second),
            delivered: each(per_second),
            p50_us: wavy(p50),
            p99_us: wavy(later(2.0)),
            broker_cpu: wavy((per_second * cost_us / 1e6).min(1.0)).into_iter().flatten().collect(),
            broker_anon_bytes: each(9e6),
            generator_busy: wavy(0.5).into_iter().flatten().collect(),
        },
        figures: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Idle connections: nothing is delivered, one figure says it all.
pub fn idle(label: &str, bytes: f64) -> Run {
    let plan = Plan { scenario: "idle".into(), publishers: 0, subscribers: 10_000, ..pairs(0, 64) };
    let figures = vec![Figure { name: "bytes_per_connection".into(), value: bytes, unit: "B".into() }];
    let quiet = run(label, &plan, 0.0, 0.0, 1.0);
    Run { latency_us: None, series: Series::default(), figures, ..quiet }
}

/// What a comparison of three brokers with three rounds leaves.
pub fn comparison() -> Vec<Run> {
    let brokers = [("mote 0.1.0", 0.1), ("mosquitto 2.0.11", 9.0), ("rumqttd 0.20.0", 1.55)];
    let mut all = Vec::new();
    for round in 0..3 {
        let noise = 1.0 + f64::from(round) * 0.03;
        for (plan, weight) in [(pairs(0, 64), 1.0), (pairs(1, 64), 1.4), (pairs(0, 1024), 3.0)] {
            for (label, cost) in brokers {
                let cost = cost * weight * noise;
                all.push(run(label, &plan, 0.97e6 / cost, cost, 1.2e4 * cost));
            }
        }
        for (label, cost) in brokers {
            all.push(run(label, &open_loop(50_000.0), 50_000.0, cost * 3.0, 30.0 + cost * noise));
            all.push(idle(label, 700.0 + 400.0 * cost * noise));
        }
    }
    all.iter_mut().filter(|run| run.label.starts_with("mote") && run.plan.qos == 0).for_each(|run| {
        run.generator.is_limit = run.plan.pace == Loop::Closed;
    });
    all
}
