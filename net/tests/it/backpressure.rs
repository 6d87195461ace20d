//! A reader that does not read stops the sender that feeds it, and nothing is lost.

use crate::broker::{Broker, PATIENCE, plan};
use engine::clock::Now;
use engine::key::ConnId;
use engine::limits::{SEND_HIGH_BYTES, SEND_LOW_BYTES};
use engine::shard::input::Input;
use engine::shard::outbox::{Order, Outbox};
use net::shard_loop::Step;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

/// What a `Relay` saw.
#[derive(Default, Clone, Copy, Debug)]
struct Seen {
    pauses: usize,
    drains: usize,
    unsent_most: usize,
}

/// The first connection reads what the second sends, which is paused while more than `SEND_HIGH_BYTES` wait.
struct Relay {
    reader: Option<ConnId>,
    sender: Option<ConnId>,
    is_paused: bool,
    seen: Arc<Mutex<Seen>>,
    opened: Sender<()>,
}

impl Step for Relay {
    fn step(&mut self, _: Now, input: Input<'_>, out: &mut Outbox) {
        let mut seen = self.seen.lock().unwrap();
        match input {
            Input::Opened { conn, .. } => {
                out.sends.open(conn);
                out.orders.push(Order::Establish(conn));
                let place = if self.reader.is_none() { &mut self.reader } else { &mut self.sender };
                *place = Some(conn);
                self.opened.send(()).unwrap();
            }
            Input::Bytes { conn, bytes } => {
                assert_eq!(Some(conn), self.sender);
                let reader = self.reader.unwrap();
                out.sends.buffer(reader).extend_from_slice(bytes);
                let unsent = out.sends.unsent(reader);
                seen.unsent_most = seen.unsent_most.max(unsent);
                if unsent > SEND_HIGH_BYTES && !self.is_paused {
                    self.is_paused = true;
                    seen.pauses += 1;
                    out.sends.watch(reader);
                    out.orders.push(Order::Pause(conn));
                }
            }
            Input::Drained { conn } => {
                assert_eq!(Some(conn), self.reader);
                assert!(self.is_paused && out.sends.unsent(conn) < SEND_LOW_BYTES);
                self.is_paused = false;
                seen.drains += 1;
                out.orders.push(Order::Resume(self.sender.unwrap()));
            }
            // The sender's end is the reader's end, after all bytes.
            Input::Closed { conn } if Some(conn) == self.sender => {
                out.orders.push(Order::Close(self.reader.unwrap()));
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<u64> {
        None
    }
}

#[test]
fn a_slow_reader_pauses_its_sender_and_gets_every_byte() {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let told = seen.clone();
    let (opened, is_open) = channel();
    let broker = Broker::start(plan(1), move |_| Relay {
        reader: None,
        sender: None,
        is_paused: false,
        seen: told.clone(),
        opened: opened.clone(),
    });
    let mut reader = broker.connect();
    is_open.recv_timeout(PATIENCE).unwrap();
    let mut sender = broker.connect();
    is_open.recv_timeout(PATIENCE).unwrap();

    let mut random = fastrand::Rng::with_seed(3);
    let sent: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(40 * 1024 * 1024).collect();
    let mut received = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sender.write_all(&sent).unwrap();
            sender.shutdown(Shutdown::Write).unwrap();
        });
        // Nothing is read until the sender stands still.
        while seen.lock().unwrap().pauses == 0 {
            std::thread::yield_now();
        }
        let mut piece = vec![0; 100_000];
        while received.len() < sent.len() / 2 {
            let count = reader.read(&mut piece).unwrap();
            received.extend_from_slice(&piece[..count]);
        }
        // The reader may find the end late: the last bytes have the grace of a close.
        reader.read_to_end(&mut received).unwrap();
    });
    assert!(received == sent, "{} bytes of {}", received.len(), sent.len());
    let seen = *seen.lock().unwrap();
    assert!(seen.drains > 0 && seen.drains >= seen.pauses - 1, "{seen:?}");
    // What was on its way when the pause was ordered: the buffers of the ring, twice at most.
    let slack = 2 * 256 * 16 * 1024;
    assert!(seen.unsent_most < SEND_HIGH_BYTES + slack, "{seen:?}");
}
