//! The scenarios in which few clients do much, or many do nothing.

use std::time::Duration;

use bench::measured::Subject;
use bench::packets::Version;
use bench::plan::{Plan, Scenario};
use bench::result::Run;
use bench::{connect, idle, retained, sync};

use crate::echo::{Trick, start};
use crate::load::plan;

fn subject() -> Subject {
    // This process, in which the server is, is never quiet while other tests run; who started it is.
    Subject { label: "echo".into(), pid: Some(std::os::unix::process::parent_id()) }
}

fn value(run: &Run, name: &str) -> f64 {
    run.figures.iter().find(|figure| figure.name == name).unwrap().value
}

#[test]
fn retained_rows_are_written_and_all_are_read() {
    for (qos, version) in [(0, Version::V4), (1, Version::V5), (2, Version::V4)] {
        let plan = Plan { rows: 700, qos, version, retain: true, ..plan(Scenario::FanIn, start(Trick::None)) };
        let run = retained::run(&subject(), &plan, true).unwrap();
        assert_eq!((run.published, run.delivered), (700, 700));
        assert!(value(&run, "write_per_second") > 0.0 && value(&run, "read_us_per_row") >= 0.0);
    }
}

#[test]
fn clients_connect_in_rounds() {
    let duration = Duration::from_micros(1);
    let plan = Plan { subscribers: 30, duration, ..plan(Scenario::FanIn, start(Trick::None)) };
    let run = connect::run(&subject(), &plan, true).unwrap();
    assert_eq!((run.delivered, run.latency_us.as_ref().unwrap().count), (30, 30));
    assert!(value(&run, "connects_per_second") > 0.0 && value(&run, "cpu_us_per_connect") >= 0.0);
    let refused = Plan { broker: start(Trick::Refuse), ..plan };
    assert!(connect::run(&subject(), &refused, true).is_err());
}

#[test]
fn idle_clients_have_their_memory_counted() {
    let duration = Duration::from_millis(10);
    let plan = Plan { subscribers: 20, duration, ..plan(Scenario::FanIn, start(Trick::None)) };
    let run = idle::run(&subject(), &plan, true).unwrap();
    assert!(value(&run, "bytes_per_connection_subscribed").is_finite());
    assert_eq!(run.broker.unwrap().us_per_delivery, 0.0);
}

#[test]
fn a_broker_without_trees_has_no_snapshots() {
    let plan = Plan { rows: 10, ..plan(Scenario::FanIn, start(Trick::Deaf)) };
    let error = sync::run(&subject(), &plan, true).unwrap_err().to_string();
    assert!(error.contains("refuses a filter"), "{error}");
}
