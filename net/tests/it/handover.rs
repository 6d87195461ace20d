//! Sockets move to their home shard with every byte that was received.

use crate::broker::{Broker, plan};
use engine::clock::Now;
use engine::key::{ConnId, ShardId};
use engine::shard::input::Input;
use engine::shard::outbox::{Handover, Order, Outbox};
use net::shard_loop::Step;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::Shutdown;

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
            out.handovers.push(Handover { conn, home, profile: Default::default(), bytes });
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
