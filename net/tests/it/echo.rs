//! What is sent comes back, however it is split, and the end of a connection is told once.

use crate::broker::{Broker, plan};
use engine::clock::Now;
use engine::key::ConnId;
use engine::shard::input::Input;
use engine::shard::outbox::{Order, Outbox};
use net::plan::{Plan, RingPlan};
use net::shard_loop::Step;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};

/// Sends back what it receives. Established with the first bytes, or never.
#[derive(Default)]
struct Echo {
    establishes: bool,
    open: HashSet<ConnId>,
    established: HashSet<ConnId>,
    /// (opened, closed)
    counts: Arc<Mutex<(usize, usize)>>,
}

impl Step for Echo {
    fn step(&mut self, _: Now, input: Input<'_>, out: &mut Outbox) {
        match input {
            Input::Opened { conn, peer, .. } => {
                assert!(peer.starts_with("127.0.0.1:"), "{peer}");
                assert!(self.open.insert(conn), "opened twice");
                self.counts.lock().unwrap().0 += 1;
                out.sends.open(conn);
            }
            Input::Bytes { conn, bytes } => {
                assert!(self.open.contains(&conn), "bytes of a connection that is not open");
                assert!(!bytes.is_empty());
                out.sends.buffer(conn).extend_from_slice(bytes);
                if self.establishes && self.established.insert(conn) {
                    out.orders.push(Order::Establish(conn));
                }
            }
            Input::Closed { conn } => {
                assert!(self.open.remove(&conn), "closed twice, or never opened");
                self.counts.lock().unwrap().1 += 1;
            }
            Input::Stop => out.orders.extend(self.open.drain().map(Order::Close)),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<u64> {
        None
    }
}

/// Writes `bytes` in random pieces from one thread while another reads them back, then ends its side and expects
/// the broker to end the other.
fn there_and_back(broker: &Broker, bytes: usize, piece_max: usize, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let sent: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(bytes).collect();
    let mut stream = broker.connect();
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut rest = &sent[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(random.usize(1..=piece_max).min(rest.len()));
                writer.write_all(piece).unwrap();
                rest = after;
            }
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), sent.len());
        assert!(received == sent, "other bytes came back");
    });
}

fn many(plan: Plan, establishes: bool, connections: usize, bytes_max: usize) {
    let counts = Arc::new(Mutex::new((0, 0)));
    let told = counts.clone();
    let broker = Broker::start(plan, move |_| Echo { establishes, counts: told.clone(), ..Echo::default() });
    std::thread::scope(|scope| {
        for seed in 0..connections as u64 {
            let broker = &broker;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                let bytes = random.usize(0..bytes_max);
                there_and_back(broker, bytes, random.usize(1..=bytes_max / 20), seed);
            });
        }
    });
    assert_eq!(*counts.lock().unwrap(), (connections, connections));
}

#[test]
fn bytes_come_back_over_single_receives() {
    many(plan(1), false, 20, 200_000);
}

#[test]
fn bytes_come_back_over_multishot_receives() {
    many(plan(1), true, 20, 2_000_000);
}

#[test]
fn bytes_come_back_from_several_shards() {
    many(plan(4), true, 40, 500_000);
}

#[test]
fn a_ring_with_next_to_no_room_is_slower_and_loses_nothing() {
    let ring = RingPlan { submissions: 2, completions: 4, buffers: 2, buffer_bytes: 64 };
    many(Plan { ring, ..plan(2) }, true, 20, 50_000);
    many(Plan { ring, ..plan(1) }, false, 10, 20_000);
}

#[test]
fn a_reset_is_told_once_and_after_it_others_go_on() {
    let counts = Arc::new(Mutex::new((0, 0)));
    let told = counts.clone();
    let broker = Broker::start(plan(1), move |_| Echo { establishes: true, counts: told.clone(), ..Echo::default() });
    for _ in 0..50 {
        let mut stream = broker.connect();
        stream.write_all(&vec![7; 100_000]).unwrap();
        // Closing with bytes unread, and without waiting for those unsent, is a reset.
        socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
    there_and_back(&broker, 10_000, 100, 1);
    let stop = broker.stop.clone();
    stop.ask();
    broker.join().unwrap();
    // The stop may have come before the last resets were told.
    let (opened, closed) = *counts.lock().unwrap();
    assert!(opened <= 51 && closed <= opened && closed > 0, "{opened} opened, {closed} closed");
}
