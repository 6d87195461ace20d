//! A wire between a client and the broker that knows where packets end and cuts at one of them: the packet is
//! swallowed, torn or passed, and then the connection ends for both sides.

use std::collections::VecDeque;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// To the broker.
    Up,
    /// To the client.
    Down,
}

/// What becomes of the packet at which the connection ends.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    Swallowed,
    /// A half of its bytes arrives.
    Torn,
    Passed,
}

/// At the packet with this count in this direction: of the first cut from when it was armed, of each other one from the
/// CONNECT or CONNACK of the connection after the cut before.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub direction: Direction,
    pub count: usize,
    pub way: Way,
}

#[derive(Default)]
struct Plan {
    cuts: VecDeque<Cut>,
    /// Packets in the direction of the next cut.
    passed: usize,
    /// Identifiers of PUBLISH packets to the client without PUBACK or PUBCOMP, and the most that there were at a time.
    waiting: Vec<u16>,
    waiting_max: usize,
}

pub struct Cutter {
    pub port: u16,
    broker: Arc<AtomicU16>,
    plan: Arc<Mutex<Plan>>,
}

impl Cutter {
    pub fn to(broker: u16) -> Cutter {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan = Arc::<Mutex<Plan>>::default();
        let shared = Arc::clone(&plan);
        let broker = Arc::new(AtomicU16::new(broker));
        let target = Arc::clone(&broker);
        // it ends with the process of the tests
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let Ok(server) = TcpStream::connect(("127.0.0.1", target.load(Ordering::SeqCst))) else { continue };
                shared.lock().unwrap().waiting.clear();
                for (direction, from, to) in [(Direction::Up, &client, &server), (Direction::Down, &server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || pump(direction, &from, &to, &shared));
                }
            }
        });
        Cutter { port, broker, plan }
    }

    /// New connections go to this port.
    pub fn turn_to(&self, broker: u16) {
        self.broker.store(broker, Ordering::SeqCst);
    }

    pub fn arm(&self, cuts: &[Cut]) {
        let mut plan = self.plan.lock().unwrap();
        plan.passed = 0;
        plan.cuts.extend(cuts);
    }

    /// Waits until all cuts have happened.
    pub fn has_cut(&self) {
        let deadline = Instant::now() + WAIT;
        while !self.plan.lock().unwrap().cuts.is_empty() {
            assert!(Instant::now() < deadline, "a cut did not happen");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// QoS 1 and 2 deliveries that were without acknowledgement at a time.
    pub fn waiting_max(&self) -> usize {
        self.plan.lock().unwrap().waiting_max
    }
}

/// Passes packets on until one side ends or a cut is due; then nothing goes either way.
fn pump(direction: Direction, from: &TcpStream, mut to: &TcpStream, plan: &Mutex<Plan>) {
    let mut reader = BufReader::new(from);
    while let Some(packet) = next_packet(&mut reader) {
        let cut = plan.lock().unwrap().look(direction, &packet);
        let bytes = match cut {
            None | Some(Way::Passed) => &packet[..],
            Some(Way::Torn) => &packet[..packet.len() / 2],
            Some(Way::Swallowed) => &[],
        };
        if to.write_all(bytes).is_err() || cut.is_some() {
            break;
        }
    }
    // one of them may have ended already
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

impl Plan {
    fn look(&mut self, direction: Direction, packet: &[u8]) -> Option<Way> {
        self.count_waiting(direction, packet);
        let next = self.cuts.front().filter(|cut| cut.direction == direction)?;
        self.passed += 1;
        if self.passed < next.count {
            return None;
        }
        self.passed = 0;
        self.cuts.pop_front().map(|cut| cut.way)
    }

    fn count_waiting(&mut self, direction: Direction, packet: &[u8]) {
        let body = 2 + packet[1..].iter().take_while(|byte| **byte >= 0x80).count();
        match (direction, packet[0] >> 4) {
            (Direction::Down, 3) if packet[0] & 6 != 0 => {
                let at = body + 2 + usize::from(u16::from_be_bytes([packet[body], packet[body + 1]]));
                self.waiting.push(u16::from_be_bytes([packet[at], packet[at + 1]]));
                self.waiting_max = self.waiting_max.max(self.waiting.len());
            }
            (Direction::Up, 4 | 7) => {
                let id = u16::from_be_bytes([packet[body], packet[body + 1]]);
                self.waiting.retain(|waiting| *waiting != id);
            }
            _ => {}
        }
    }
}

/// The bytes of one whole packet.
fn next_packet(reader: &mut impl Read) -> Option<Vec<u8>> {
    let mut packet = vec![0];
    reader.read_exact(&mut packet).ok()?;
    let mut size = 0;
    for shift in [0, 7, 14, 21] {
        let mut byte = [0];
        reader.read_exact(&mut byte).ok()?;
        packet.push(byte[0]);
        size |= usize::from(byte[0] & 0x7F) << shift;
        if byte[0] < 0x80 {
            break;
        }
    }
    let head = packet.len();
    packet.resize(head + size, 0);
    reader.read_exact(&mut packet[head..]).ok()?;
    Some(packet)
}
