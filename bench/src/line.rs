//! A client that waits for what it reads, for scenarios in which few do much.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::link::Link;
use crate::packets::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Received, Version, scan};

const READ_BUFFER_BYTES: usize = 1 << 20;
/// So much is put together before it is written.
const WRITE_BYTES: usize = 1 << 16;
const PINGREQ: [u8; 2] = [0xc0, 0];

#[derive(Debug)]
pub struct Line {
    pub socket: TcpStream,
    input: BufReader<TcpStream>,
    version: Version,
    /// The packet that was read last, without its fixed header.
    pub body: Vec<u8>,
    receive_max: u64,
    /// Acknowledgements of what was read; they leave before this waits for more.
    acks: Vec<u8>,
}

impl Line {
    pub fn open(broker: SocketAddr, version: Version, client_id: &str) -> io::Result<Line> {
        let (link, receive_max) = Link::connect(broker, 0, version, client_id)?;
        Line::of(link, version, receive_max)
    }

    pub fn of(link: Link, version: Version, receive_max: u16) -> io::Result<Line> {
        let socket = link.into_socket();
        let input = BufReader::with_capacity(READ_BUFFER_BYTES, socket.try_clone()?);
        Ok(Line { socket, input, version, body: Vec::new(), receive_max: receive_max.into(), acks: Vec::new() })
    }

    /// Asks for a filter; what it brings may come before the answer.
    pub fn ask(&mut self, filter: &str, qos: u8) -> io::Result<()> {
        self.socket.write_all(&packets::subscribe(self.version, filter, qos))
    }

    pub fn subscribe(&mut self, filter: &str, qos: u8) -> io::Result<()> {
        self.ask(filter, qos)?;
        self.expect(9)?;
        match self.body.last() {
            Some(code) if *code == qos => Ok(()),
            code => Err(io::Error::other(format!("{filter} is answered with {code:?}"))),
        }
    }

    /// The next packet: its first byte. The rest of it is in `body`.
    pub fn packet(&mut self) -> io::Result<u8> {
        self.read_packet().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::other("the broker says nothing although it was asked"),
            _ => error,
        })
    }

    fn read_packet(&mut self) -> io::Result<u8> {
        if self.input.buffer().is_empty() && !self.acks.is_empty() {
            self.socket.write_all(&self.acks)?;
            self.acks.clear();
        }
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        let first = byte[0];
        let (mut length, mut shift) = (0, 0);
        loop {
            self.input.read_exact(&mut byte)?;
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        self.body.resize(length, 0);
        self.input.read_exact(&mut self.body)?;
        Ok(first)
    }

    pub fn expect(&mut self, kind: u8) -> io::Result<()> {
        let first = self.packet()?;
        let is_it = first >> 4 == kind;
        if is_it { Ok(()) } else { Err(io::Error::other(format!("packet {first:#x} where {kind} was due"))) }
    }

    /// The next PUBLISH: where its payload begins in `body`. Other packets are passed over. Its
    /// acknowledgement leaves with others, when all that was read has been taken, or by `flush`.
    pub fn publish(&mut self) -> io::Result<usize> {
        loop {
            let first = self.packet()?;
            match first >> 4 {
                3 => return self.published(first),
                6 => self.acks.extend(packets::acknowledge(PUBCOMP, self.id(0))),
                9 if self.body.last().is_some_and(|code| *code > 0x7f) => {
                    return Err(io::Error::other("the broker refuses a filter"));
                }
                _ => {}
            }
        }
    }

    /// Lets acknowledgements go.
    pub fn flush(&mut self) -> io::Result<()> {
        self.socket.write_all(&self.acks)?;
        self.acks.clear();
        Ok(())
    }

    fn published(&mut self, first: u8) -> io::Result<usize> {
        let mut at = 2 + usize::from(self.id(0));
        if first & 6 != 0 {
            let answer = if first & 6 == 2 { PUBACK } else { PUBREC };
            self.acks.extend(packets::acknowledge(answer, self.id(at)));
            at += 2;
        }
        if self.version == Version::V5 {
            // of what is sent here nothing has properties of more than 127 bytes but a frame's, which have two bytes
            let length = usize::from(self.body[at]);
            at += if length < 0x80 { 1 + length } else { 2 + (length & 0x7f) + 128 * usize::from(self.body[at + 1]) };
        }
        Ok(at)
    }

    fn id(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.body[at], self.body[at + 1]])
    }

    /// Publishes them all, `in_flight` unacknowledged at most, and waits until the broker has them.
    pub fn publish_all(
        &mut self,
        messages: impl Iterator<Item = (String, Vec<u8>)>,
        qos: u8,
        retain: bool,
        in_flight: u64,
    ) -> io::Result<()> {
        let window = in_flight.min(self.receive_max);
        let (mut unacked, mut id, mut out) = (0, 0u16, Vec::new());
        for (topic, payload) in messages {
            id = if id == u16::MAX { 1 } else { id + 1 };
            out.extend(packets::publish(self.version, &topic, &payload, qos, retain, id));
            unacked += u64::from(qos > 0);
            if unacked >= window || out.len() > WRITE_BYTES {
                self.socket.write_all(&out)?;
                out.clear();
            }
            while unacked >= window || !self.input.buffer().is_empty() {
                unacked -= self.acknowledged()?;
            }
        }
        self.socket.write_all(&out)?;
        while unacked > 0 {
            unacked -= self.acknowledged()?;
        }
        self.socket.write_all(&PINGREQ)?;
        self.expect(13)
    }

    /// Messages that the next packet brings to an end: 1 or 0.
    fn acknowledged(&mut self) -> io::Result<u64> {
        let first = self.packet()?;
        let mut packet = vec![first, self.body.len() as u8];
        packet.extend(&self.body);
        match scan(self.version, &packet).map_err(io::Error::other)? {
            Some((Received::Acknowledged { is_refused: true, .. }, _)) => {
                Err(io::Error::other("the broker refuses a message"))
            }
            Some((Received::Acknowledged { first: PUBREC, id, .. }, _)) => {
                self.socket.write_all(&packets::acknowledge(PUBREL, id))?;
                Ok(0)
            }
            Some((Received::Acknowledged { first: PUBACK | PUBCOMP, .. }, _)) => Ok(1),
            _ => Err(io::Error::other(format!("packet {first:#x} where an acknowledgement was due"))),
        }
    }
}
