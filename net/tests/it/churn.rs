//! Connections come and go without leaving anything.

use crate::broker::{Broker, plan};
use crate::stop::Mirror;
use std::io::{Read, Write};
use std::time::Instant;

const CONNECTIONS: usize = 5_000;

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Anonymous memory of this process in KiB.
fn memory_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn come_and_go(broker: &Broker, connections: usize) {
    std::thread::scope(|scope| {
        for client in 0..4 {
            scope.spawn(move || {
                for count in 0..connections / 4 {
                    let mut stream = broker.connect();
                    // Some say something, some wait for the answer, some say nothing.
                    if (client + count) % 3 > 0 {
                        stream.write_all(b"hello").unwrap();
                    }
                    if (client + count) % 3 > 1 {
                        stream.read_exact(&mut [0; 5]).unwrap();
                    }
                }
            });
        }
    });
}

/// Run in a process of its own, since descriptors and memory are counted for all tests together.
#[test]
fn five_thousand_connections_leave_no_descriptor_and_no_memory() {
    if std::env::var_os("MOTE_CHURN").is_none() {
        let itself = std::env::current_exe().unwrap();
        let name = "churn::five_thousand_connections_leave_no_descriptor_and_no_memory";
        let child = std::process::Command::new(itself).args([name, "--exact"]).env("MOTE_CHURN", "1").output().unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        return;
    }
    let broker = Broker::start(plan(2), |_| Mirror::default());
    come_and_go(&broker, CONNECTIONS / 5);
    settle_to(&broker, usize::MAX);
    let (descriptors, memory) = (open_descriptors(), memory_kib());
    come_and_go(&broker, CONNECTIONS);
    settle_to(&broker, descriptors);
    assert!(open_descriptors() <= descriptors, "{} descriptors, {descriptors} before", open_descriptors());
    // A slot that is not used again is 60 bytes and more; four clients at a time need few.
    let grown = memory_kib().saturating_sub(memory);
    assert!(grown < 1_024, "{grown} KiB more after {CONNECTIONS} connections");
    drop(broker);
}

/// Waits until no more than `descriptors` are open; one round trip per look lets the shards finish.
fn settle_to(broker: &Broker, descriptors: usize) {
    let start = Instant::now();
    loop {
        let mut stream = broker.connect();
        stream.write_all(b"hello").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        drop(stream);
        let is_quiet = descriptors != usize::MAX || start.elapsed() > std::time::Duration::from_millis(500);
        if is_quiet && open_descriptors() <= descriptors || start.elapsed() > crate::broker::PATIENCE {
            return;
        }
    }
}
