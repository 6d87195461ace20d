//! Stopping: gently under load, at once, and by a failure of one shard.

use crate::broker::{Broker, PATIENCE, plan};
use engine::clock::Now;
use engine::key::ConnId;
use engine::shard::input::Input;
use engine::shard::outbox::{Order, Outbox};
use net::boot::BootError;
use net::plan::Plan;
use net::shard_loop::Step;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Echoes, and says good-bye to everybody when it is stopped.
#[derive(Default)]
pub struct Mirror {
    open: HashSet<ConnId>,
    /// Never lets go of its connections.
    is_stubborn: bool,
}

const GOOD_BYE: &[u8] = b"good-bye";

impl Step for Mirror {
    fn step(&mut self, _: Now, input: Input<'_>, out: &mut Outbox) {
        match input {
            Input::Opened { conn, .. } => {
                self.open.insert(conn);
                out.sends.open(conn);
                out.orders.push(Order::Establish(conn));
            }
            Input::Bytes { bytes: b"panic", .. } => panic!("asked to by a test"),
            Input::Bytes { conn, bytes } => out.sends.buffer(conn).extend_from_slice(bytes),
            Input::Closed { conn } => assert!(self.open.remove(&conn)),
            Input::Stop if !self.is_stubborn => {
                for conn in self.open.drain() {
                    out.sends.buffer(conn).extend_from_slice(GOOD_BYE);
                    out.orders.push(Order::Close(conn));
                }
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<u64> {
        None
    }
}

#[test]
fn clients_under_load_are_told_and_get_all_that_is_owed() {
    let broker = Broker::start(plan(3), |_| Mirror::default());
    let streams: Vec<TcpStream> = (0..30).map(|_| broker.connect()).collect();
    std::thread::scope(|scope| {
        let clients: Vec<_> = streams
            .into_iter()
            .map(|mut stream| {
                scope.spawn(move || {
                    // Until the end: what comes is what was sent, then the good-bye.
                    let mut received = Vec::new();
                    let mut piece = [0; 4_096];
                    loop {
                        let _ = stream.write_all(&[b'.'; 100]);
                        match stream.read(&mut piece).unwrap() {
                            0 => return received,
                            count => received.extend_from_slice(&piece[..count]),
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(std::time::Duration::from_millis(50));
        broker.stop.ask();
        for client in clients {
            let received = client.join().unwrap();
            let echoed = received.strip_suffix(GOOD_BYE).expect("no good-bye at the end");
            assert!(echoed.iter().all(|byte| *byte == b'.'));
        }
    });
    let address = broker.address;
    broker.join().unwrap();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_shard_that_does_not_let_go_has_a_grace() {
    let plan = Plan { stop_grace_ms: 50, ..plan(2) };
    let broker = Broker::start(plan, |_| Mirror { is_stubborn: true, ..Mirror::default() });
    let mut stream = broker.connect();
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    broker.stop.ask();
    broker.join().unwrap();
    assert!(matches!(stream.read(&mut [0; 8]), Ok(0) | Err(_)));
}

#[test]
fn asking_twice_ends_it_at_once() {
    let plan = Plan { stop_grace_ms: 10 * PATIENCE.as_millis() as u64, ..plan(2) };
    let broker = Broker::start(plan, |_| Mirror { is_stubborn: true, ..Mirror::default() });
    let mut stream = broker.connect();
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    broker.stop.ask();
    broker.stop.ask();
    broker.join().unwrap();
}

#[test]
fn a_shard_that_panics_takes_the_others_with_it() {
    let broker = Broker::start(plan(3), |_| Mirror::default());
    broker.connect().write_all(b"panic").unwrap();
    assert!(matches!(broker.join(), Err(BootError::Panicked { .. })));
}

#[test]
fn what_cannot_be_started_is_refused_with_a_reason() {
    let broker = Broker::start(plan(1), |_| Mirror::default());
    let start = |plan: &Plan| {
        let made = || (Mirror::default(), net::shard_loop::Forget::default());
        let make = |_: &net::boot::WakeShard, _: engine::clock::Now| Ok((0..plan.shards).map(|_| made()).collect());
        net::boot::run_with(plan, &net::signal::Stop::new(), make, |_| panic!("it is not ready"))
    };
    let taken = start(&Plan { listeners: vec![broker.address], ..plan(1) }).unwrap_err();
    assert!(taken.to_string().contains(&broker.address.to_string()), "{taken}");
    let none = start(&plan(0)).unwrap_err();
    assert!(none.to_string().contains("1 to 64"), "{none}");
}
