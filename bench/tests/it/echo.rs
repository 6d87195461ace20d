//! A broker that knows little: a PUBLISH goes to every connection whose filter it matches, once to each share group, and
//! is retained if it should be.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What is done to the deliveries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    None,
    /// Every tenth is left out.
    Lose,
    /// Every tenth comes twice.
    Double,
    /// Every tenth comes after the next.
    Swap,
    /// Nobody is let in.
    Refuse,
    /// No filter is taken.
    Deaf,
}

/// A filter without its share name, the name, and where it goes to.
type Reader = (Vec<u8>, Option<Vec<u8>>, TcpStream);

#[derive(Default)]
struct Table {
    readers: Vec<Reader>,
    /// Messages so far; picks members of share groups.
    turns: usize,
    retained: BTreeMap<Vec<u8>, Vec<u8>>,
}

pub fn start(trick: Trick) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let table = Arc::new(Mutex::new(Table::default()));
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let (socket, table) = (socket.unwrap(), table.clone());
            std::thread::spawn(move || Client { socket, trick, is_v5: false, number: 0, held: None }.serve(&table));
        }
    });
    address
}

fn packet(socket: &mut TcpStream) -> Option<(u8, Vec<u8>, Vec<u8>)> {
    let mut head = [0; 2];
    socket.read_exact(&mut head).ok()?;
    let (mut raw, mut length, mut shift) = (head.to_vec(), usize::from(head[1] & 0x7f), 7);
    while raw[raw.len() - 1] & 0x80 != 0 {
        let mut byte = [0];
        socket.read_exact(&mut byte).ok()?;
        raw.push(byte[0]);
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).ok()?;
    raw.extend(&body);
    Some((head[0], body, raw))
}

struct Client {
    socket: TcpStream,
    trick: Trick,
    is_v5: bool,
    /// Messages that it has published.
    number: u64,
    /// A message that waits until another has overtaken it.
    held: Option<(Vec<u8>, Vec<u8>)>,
}

impl Client {
    fn say(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes); // it may be gone
    }

    fn serve(&mut self, table: &Mutex<Table>) {
        while let Some((first, body, raw)) = packet(&mut self.socket) {
            let id = |at: usize| [body[at], body[at + 1]];
            match first >> 4 {
                1 => {
                    self.is_v5 = body[6] == 5;
                    let code = if self.trick == Trick::Refuse { 5 } else { 0 };
                    let answer = if self.is_v5 { vec![0x20, 3, 0, code, 0] } else { vec![0x20, 2, 0, code] };
                    self.say(&answer);
                }
                8 => self.subscribe(&body, table),
                3 => self.publish(first, &body, raw, table),
                5 => self.say(&[0x62, 2, id(0)[0], id(0)[1]]),
                12 => self.say(&[0xd0, 0]),
                6 => self.say(&[0x70, 2, id(0)[0], id(0)[1]]),
                _ => {}
            }
        }
    }

    fn subscribe(&mut self, body: &[u8], table: &Mutex<Table>) {
        let (filter, qos) = (&body[4 + usize::from(self.is_v5)..body.len() - 1], body[body.len() - 1]);
        let qos = if self.trick == Trick::Deaf { 0x80 } else { qos };
        let (filter, name) = match filter.strip_prefix(b"$share/") {
            Some(rest) => {
                let slash = rest.iter().position(|byte| *byte == b'/').unwrap();
                (&rest[slash + 1..], Some(rest[..slash].to_vec()))
            }
            None => (filter, None),
        };
        let (filter, mut table) = (filter.to_vec(), table.lock().unwrap());
        let answer =
            if self.is_v5 { vec![0x90, 4, body[0], body[1], 0, qos] } else { vec![0x90, 3, body[0], body[1], qos] };
        self.say(&answer);
        for raw in table.retained.iter().filter(|(topic, _)| matches(&filter, topic)).map(|(_, raw)| raw) {
            self.say(raw);
        }
        table.readers.push((filter, name, self.socket.try_clone().unwrap()));
    }

    fn publish(&mut self, first: u8, body: &[u8], raw: Vec<u8>, table: &Mutex<Table>) {
        let topic = body[2..2 + usize::from(body[0]) * 256 + usize::from(body[1])].to_vec();
        if first & 6 != 0 {
            let id = &body[2 + topic.len()..];
            self.say(&[if first & 6 == 2 { 0x40 } else { 0x50 }, 2, id[0], id[1]]);
        }
        if first & 1 != 0 {
            let is_empty = body.len() == 2 + topic.len() + if first & 6 != 0 { 2 } else { 0 } + usize::from(self.is_v5);
            let retained = &mut table.lock().unwrap().retained;
            if is_empty {
                retained.remove(&topic)
            } else {
                retained.insert(topic.clone(), raw.clone())
            };
        }
        self.number += 1;
        let is_tenth = self.number.is_multiple_of(10);
        match self.trick {
            Trick::Lose if is_tenth => return,
            Trick::Swap if is_tenth => {
                self.held = Some((topic, raw));
                return;
            }
            _ => deliver(&topic, &raw, table),
        }
        if self.trick == Trick::Double && is_tenth {
            deliver(&topic, &raw, table);
        }
        if let Some((topic, raw)) = self.held.take() {
            deliver(&topic, &raw, table);
        }
    }
}

fn deliver(topic: &[u8], raw: &[u8], table: &Mutex<Table>) {
    let mut table = table.lock().unwrap();
    table.turns += 1;
    let turns = table.turns;
    let mut groups = BTreeMap::<Vec<u8>, Vec<&mut TcpStream>>::new();
    for (_, name, reader) in table.readers.iter_mut().filter(|(filter, _, _)| matches(filter, topic)) {
        match name {
            Some(name) => groups.entry(name.clone()).or_default().push(reader),
            None => drop(reader.write_all(raw)),
        }
    }
    for members in groups.values_mut() {
        let member = turns % members.len();
        let _ = members[member].write_all(raw);
    }
}

fn matches(filter: &[u8], topic: &[u8]) -> bool {
    let mut levels = topic.split(|byte| *byte == b'/');
    for wanted in filter.split(|byte| *byte == b'/') {
        match (wanted, levels.next()) {
            (b"#", _) => return true,
            (b"+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}
