//! Sockets move to their home shard with every byte that was received.

use crate::broker::{Broker, PATIENCE, plan};
use engine::clock::Now;
use engine::key::{ConnId, ShardId};
use engine::shard::input::Input;
use engine::shard::outbox::{Handover, Order, Outbox};
use net::plan::Plan;
use net::shard_loop::Step;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// The first two bytes say how many bytes to wait for and which shard is home; then it echoes, its own number first.
struct Homing {
    id: ShardId,
    /// What came before the connection was at home.
    carried: HashMap<ConnId, Option<Vec<u8>>>,
}

impl Step for Homing {
    fn step(&mut self, _: Now, input: Input<'_>, out: &mut Outbox) {
        match input {
            Input::Opened { conn, .. } => {
                assert!(self.carried.insert(conn, Some(Vec::new())).is_none());
                out.sends.open(conn);
            }
            Input::Bytes { conn, bytes } => self.bytes(conn, bytes, out),
            Input::Closed { conn } => drop(self.carried.remove(&conn).unwrap()),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<u64> {
        None
    }
}

impl Homing {
    fn bytes(&mut self, conn: ConnId, bytes: &[u8], out: &mut Outbox) {
        let state = self.carried.get_mut(&conn).unwrap();
        let Some(carried) = state else { return out.sends.buffer(conn).extend_from_slice(bytes) };
        carried.extend_from_slice(bytes);
        if carried.len() < 2 || carried.len() < usize::from(carried[0]) {
            return;
        }
        let home = ShardId(carried[1].into());
        let bytes = std::mem::take(carried);
        if home == self.id {
            *state = None;
            out.orders.push(Order::Establish(conn));
            let buffer = out.sends.buffer(conn);
            buffer.push(self.id.0 as u8);
            buffer.extend_from_slice(&bytes);
        } else {
            self.carried.remove(&conn);
            out.handovers.push(Handover { conn, home, listener: 0, bytes });
        }
    }
}

#[test]
fn a_socket_and_its_bytes_reach_any_of_four_shards() {
    let broker = Broker::start(plan(4), |id| Homing { id, carried: HashMap::new() });
    std::thread::scope(|scope| {
        for seed in 0..200u64 {
            let broker = &broker;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                let home = random.u8(0..4);
                let wait = random.u8(2..=200);
                let mut sent = vec![wait, home];
                let count = random.usize(300..5_000);
                sent.extend(std::iter::repeat_with(|| random.u8(..)).take(count));
                let mut stream = broker.connect();
                let split = random.usize(0..300);
                stream.write_all(&sent[..split]).unwrap();
                stream.write_all(&sent[split..]).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                let mut received = Vec::new();
                stream.read_to_end(&mut received).unwrap();
                assert_eq!(received[0], home);
                assert!(received[1..] == sent[..], "other bytes came back");
            });
        }
    });
}

/// Sockets at once in the test below, and clients that come and go away in it.
const SOCKETS_MAX: usize = 8;
const RESETS: usize = 2_000;

/// Whether a client is served at the other shard than the one that the kernel gave it to, or at that one.
fn is_served(broker: &Broker, home: u8) -> bool {
    let mut stream = broker.connect();
    let mut answer = [0; 3];
    // One too many is closed as it comes, which either of the two may find.
    stream.write_all(&[2, home]).is_ok() && stream.read_exact(&mut answer).is_ok()
}

#[test]
fn a_client_that_is_gone_before_it_is_at_home_is_not_counted_for_ever() {
    let plan = Plan { connections: Some(SOCKETS_MAX), ..plan(4) };
    let broker = Broker::start(plan, |id| Homing { id, carried: HashMap::new() });
    for reset in 0..RESETS {
        let mut stream = broker.connect();
        // One too many may be closed already.
        let sent = stream.write_all(&[2, (reset % 4) as u8]);
        let how = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        assert!(sent.is_err() || how.is_ok());
    }
    let began = Instant::now();
    for home in 0..4 {
        while !is_served(&broker, home) {
            assert!(began.elapsed() < PATIENCE, "nobody is taken any more");
        }
    }
}
