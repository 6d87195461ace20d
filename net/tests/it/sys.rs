//! `$SYS` of a real process, read as an operator does: by `mote sub`.

use crate::process::Broker;
use engine::shard::sys::{BROKER, LOADS, SHARD, SPANS};
use std::collections::BTreeMap;
use std::process::Command;

/// Values by topic: the last of each that comes in `seconds`, and how many came.
fn read(broker: &Broker, filter: &str, seconds: u32) -> BTreeMap<String, (String, usize)> {
    let (port, seconds) = (broker.port.to_string(), seconds.to_string());
    let arguments = ["sub", "-h", "127.0.0.1", "-p", &port, "-v", "-t", filter, "-W", &seconds];
    let output = Command::new(env!("CARGO_BIN_EXE_mote")).args(arguments).output().unwrap();
    let mut values: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        // Topics may have a space (`retained messages/count`), values two words (`10 seconds`).
        let topics = values_of(line);
        let (value, count) = values.entry(topics.0).or_default();
        (*value, *count) = (topics.1, *count + 1);
    }
    values
}

fn values_of(line: &str) -> (String, String) {
    let below = line.strip_prefix("$SYS/broker/").unwrap_or_else(|| panic!("{line}"));
    let space = match below.strip_suffix(" seconds") {
        Some(uptime) => uptime.rfind(' '),
        None if below.starts_with("version ") => below.find(' '),
        None => below.rfind(' '),
    };
    let (topic, value) = below.split_at(space.unwrap_or_else(|| panic!("{line}")));
    (topic.to_owned(), value.trim_start().to_owned())
}

#[test]
fn every_topic_is_there_and_goes_on() {
    for shards in [1, 4] {
        let broker = Broker::start_with(shards, &["--set", "sys.interval_s=1"]);
        // In four seconds at least three publications.
        let values = read(&broker, "$SYS/#", 4);
        let mut wanted: Vec<String> = vec!["version".into(), "uptime".into()];
        wanted.extend(BROKER.iter().map(|(name, _)| (*name).to_owned()));
        wanted.extend(LOADS.iter().flat_map(|(load, _)| SPANS.map(|(span, _)| format!("load/{load}/{span}"))));
        wanted.extend((0..shards).flat_map(|shard| SHARD.map(|(name, _)| format!("shards/{shard}/{name}"))));
        wanted.sort();
        assert_eq!(values.keys().cloned().collect::<Vec<_>>(), wanted);
        let (uptime, publications) = &values["uptime"];
        assert!(*publications >= 3, "{publications} publications up to {uptime}");
        let number = |topic: &str| values[topic].0.parse::<u64>().unwrap_or_else(|_| panic!("{topic}"));
        assert_eq!((number("clients/connected"), number("clients/total"), number("clients/maximum")), (1, 1, 1));
        assert_eq!((number("messages/received"), number("connections/socket/count")), (2, 1));
        assert!(number("bytes/sent") > 1_000 && number("publish/messages/sent") > 100);
        assert!((1 << 20..1 << 34).contains(&number("heap/current")), "{} bytes", number("heap/current"));
        assert!(number("heap/maximum") >= number("heap/current"));
        for shard in 0..shards {
            let busy = number(&format!("shards/{shard}/busy/permille"));
            assert!(busy < 1_000, "a shard that has nothing to do sleeps: {busy}");
        }
        broker.stop();
    }
}

#[test]
fn an_interval_of_0_is_silence() {
    let broker = Broker::start_with(1, &["--set", "sys.interval_s=0"]);
    assert_eq!(read(&broker, "$SYS/#", 2), BTreeMap::new());
    broker.stop();
}
