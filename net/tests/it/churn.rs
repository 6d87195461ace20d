//! Connections come and go without leaving anything.

use crate::broker::{Broker, plan};
use crate::stop::Mirror;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
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

/// Runs the named test again in a process of its own, since descriptors and memory are counted for all tests of a
/// process together. True: this is that process.
fn is_alone(test: &str) -> bool {
    if std::env::var_os("MOTE_TEST_ALONE").is_some() {
        return true;
    }
    let mut itself = std::process::Command::new(std::env::current_exe().unwrap());
    let child = itself.args([&format!("churn::{test}"), "--exact"]).env("MOTE_TEST_ALONE", "1").output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    false
}

#[test]
fn five_thousand_connections_leave_no_descriptor_and_no_memory() {
    if !is_alone("five_thousand_connections_leave_no_descriptor_and_no_memory") {
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

/// From `/proc/self/stat`, opened while there were descriptors.
fn processor_ms(stat: &std::fs::File) -> u64 {
    let mut text = [0; 1_024];
    let count = stat.read_at(&mut text, 0).unwrap();
    let text = String::from_utf8_lossy(&text[..count]);
    let ticks = text.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
}

#[test]
fn without_descriptors_it_waits_for_some_and_does_not_spin() {
    if !is_alone("without_descriptors_it_waits_for_some_and_does_not_spin") {
        return;
    }
    let broker = Broker::start(plan(1), |_| Mirror::default());
    let hold = |limit| {
        let limit = rustix::process::Rlimit { current: Some(limit), maximum: Some(20_000) };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    };
    // Both ends of a connection are descriptors of this process: the client's is the last one that there is.
    let mut first = broker.connect();
    first.write_all(b"hello").unwrap();
    first.read_exact(&mut [0; 5]).unwrap();
    let stat = std::fs::File::open("/proc/self/stat").unwrap();
    let next = std::os::fd::AsRawFd::as_raw_fd(&stat.try_clone().unwrap());
    hold(next as u64 + 1);
    let mut waiting = broker.connect();
    waiting.write_all(b"hello").unwrap();
    let before = processor_ms(&stat);
    std::thread::sleep(std::time::Duration::from_millis(500));
    let spent = processor_ms(&stat) - before;
    assert!(spent < 250, "{spent} ms of processor time to wait half a second");
    drop(first);
    waiting.read_exact(&mut [0; 5]).unwrap();
    drop(broker);
}
