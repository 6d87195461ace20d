use std::net::SocketAddr;
use std::time::Duration;

use bench::load::Load;
use bench::packets::Version;
use bench::plan::{Pace, Plan, Scenario};
use bench::worker::Ending;

use crate::echo::{Trick, start};

pub fn plan(scenario: Scenario, broker: SocketAddr) -> Plan {
    Plan {
        scenario,
        name: None,
        broker,
        version: Version::V4,
        publishers: if scenario == Scenario::FanOut { 1 } else { 3 },
        subscribers: if scenario == Scenario::FanIn { 1 } else { 3 },
        groups: 1,
        topics: None,
        qos: 0,
        size: 300,
        rows: 1,
        retain: false,
        pace: Pace::Closed { in_flight: 20 },
        threads: 1,
        warmup: Duration::ZERO,
        duration: Duration::from_millis(200),
    }
}

/// Deliveries in the time that is measured, with their latencies counted, and the ending.
fn run(plan: Plan) -> (u64, u64, Ending) {
    let (mut delivered, mut timed, mut seconds) = (0, 0, 0);
    let ending = Load::connect(plan)
        .unwrap()
        .run(|second| {
            seconds += 1;
            delivered += second.delivered;
            timed += second.latency.len();
            Ok(())
        })
        .unwrap();
    assert_eq!(seconds, 2);
    let late = ending.late.as_ref().map_or(0, |late| late.len());
    (delivered, timed + late, ending)
}

fn faults(ending: &Ending) -> (u64, u64, u64) {
    (ending.lost, ending.duplicates, ending.reordered)
}

#[test]
fn every_scenario_delivers_in_order_and_without_loss() {
    for scenario in [Scenario::Pairs, Scenario::FanIn, Scenario::FanOut, Scenario::Wildcard] {
        for (qos, version, threads) in
            [(0, Version::V4, 1), (1, Version::V5, 2), (2, Version::V4, 2), (2, Version::V5, 1)]
        {
            let plan = Plan { qos, version, threads, ..plan(scenario, start(Trick::None)) };
            let (delivered, timed, ending) = run(plan);
            assert!(delivered > 50 && timed >= delivered, "{scenario:?} {qos} {delivered} {timed}");
            assert_eq!((faults(&ending), ending.stalls, ending.foreign), ((0, 0, 0), 0, 0), "{scenario:?} {qos}");
            assert_eq!((ending.unacked, ending.refused), (0, 0), "{scenario:?} {qos} {version:?}");
        }
    }
}

#[test]
fn an_open_loop_sends_what_is_due_and_times_each_message() {
    for (threads, qos) in [(1, 0), (2, 1)] {
        let pace = Pace::Open { rate: 3_000.0 };
        let plan = Plan { pace, threads, qos, ..plan(Scenario::Pairs, start(Trick::None)) };
        let (_, timed, ending) = run(plan);
        assert_eq!((timed, ending.unsent, faults(&ending)), (600, 0, (0, 0, 0)));
    }
}

#[test]
fn lost_messages_are_counted_and_stop_nobody() {
    for version in [Version::V4, Version::V5] {
        let (delivered, _, ending) = run(Plan { version, ..plan(Scenario::Pairs, start(Trick::Lose)) });
        assert!(ending.lost * 5 > delivered / 3 && ending.lost < delivered, "{delivered} {ending:?}");
        assert_eq!((ending.duplicates, ending.reordered), (0, 0));
    }
}

#[test]
fn doubled_messages_are_counted() {
    let (delivered, _, ending) = run(plan(Scenario::Pairs, start(Trick::Double)));
    assert!(ending.duplicates * 15 > delivered && ending.duplicates * 8 < delivered, "{delivered} {ending:?}");
    assert_eq!((ending.lost, ending.reordered), (0, 0));
}

#[test]
fn swapped_messages_are_counted() {
    let (delivered, _, ending) = run(plan(Scenario::Pairs, start(Trick::Swap)));
    assert!(ending.reordered * 15 > delivered && ending.reordered * 8 < delivered, "{delivered} {ending:?}");
    assert!(ending.lost <= 3, "{ending:?}"); // the last of each publisher may wait for ever
    assert_eq!(ending.duplicates, 0);
}

#[test]
fn a_share_group_gets_each_message_once_and_each_group_all() {
    for (groups, threads) in [(1, 1), (2, 2)] {
        let plan = Plan { subscribers: 4, groups, threads, ..plan(Scenario::Shared, start(Trick::None)) };
        let (delivered, _, ending) = run(plan);
        assert!(delivered > 50, "{delivered}");
        assert_eq!((faults(&ending), ending.stalls), ((0, 0, 0), 0), "{groups} groups");
    }
    let shared = plan(Scenario::Shared, start(Trick::Double));
    let (delivered, _, ending) = run(shared);
    assert!(ending.duplicates > 0 && ending.duplicates < delivered, "{ending:?}");
    let shared = plan(Scenario::Shared, start(Trick::Lose));
    assert!(run(shared).2.lost > 0);
}

#[test]
fn a_broker_that_refuses_is_named() {
    let broker = start(Trick::Refuse);
    let error = Load::connect(plan(Scenario::Pairs, broker)).unwrap_err().to_string();
    assert!(error.contains("CONNECT is answered with"), "{error}");
}
