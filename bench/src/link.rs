//! One client's connection: set up while it waits, then without waiting, many of them on one thread.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::packets::{self, Received, Version, cut, scan};

/// Bytes that one read may bring, unless a packet is larger: what a core has at hand.
pub const READ_BYTES: usize = 256 * 1024;
/// No broker sends a larger packet: MQTT knows none.
const PACKET_BYTES_MAX: usize = 256 * 1024 * 1024 + 5;
const SETUP_TIMEOUT: Duration = Duration::from_secs(20);
/// Connections from one address of this machine, as each takes a port.
const CONNECTIONS_OF_ADDRESS_MAX: usize = 20_000;

/// A socket with what it has not sent and what it has received in part.
#[derive(Debug)]
pub struct Link {
    socket: TcpStream,
    carry: Vec<u8>,
    pub out: Vec<u8>,
    sent: usize,
    pub is_writable: bool,
}

/// A connected socket. The `number`th connection to this machine's loopback comes from another of its addresses where
/// one address has not enough ports.
pub fn dial(broker: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let Some(from) = source(broker, number) else { return TcpStream::connect_timeout(&broker, SETUP_TIMEOUT) };
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    come_from(&socket, &from)?;
    rustix::net::connect(&socket, &broker)?;
    Ok(socket.into())
}

/// The same, not connected yet: it is when it is writable. Nothing waits.
pub fn start_dial(broker: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let family = if broker.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    if let Some(from) = source(broker, number) {
        come_from(&socket, &from)?;
    }
    match rustix::net::connect(&socket, &broker) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let socket = TcpStream::from(socket);
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Binds to an address and leaves the port to `connect`. A port that `bind` chose would be closed to every connection
/// that leaves all to the kernel, wherever it goes, until a minute after this one has ended.
fn come_from(socket: &OwnedFd, from: &SocketAddr) -> io::Result<()> {
    setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
    Ok(rustix::net::bind(socket, from)?)
}

/// Where the `number`th connection comes from, if that matters.
fn source(broker: SocketAddr, number: usize) -> Option<SocketAddr> {
    let block = number / CONNECTIONS_OF_ADDRESS_MAX;
    let is_needed = block > 0 && broker.ip().is_loopback() && broker.is_ipv4();
    let (third, fourth) = (1 + block / 250 % 250, 1 + block % 250);
    is_needed.then(|| SocketAddr::from((Ipv4Addr::new(127, 0, third as u8, fourth as u8), 0)))
}

impl Link {
    /// Connects as a client, and waits for it. `receive_max`: messages above QoS 0 that the broker takes at once.
    pub fn connect(broker: SocketAddr, number: usize, version: Version, client_id: &str) -> io::Result<(Link, u16)> {
        let mut socket = dial(broker, number)?;
        socket.set_read_timeout(Some(SETUP_TIMEOUT))?;
        socket.set_nodelay(true)?;
        socket.write_all(&packets::connect(version, client_id))?;
        let link = Link { socket, carry: Vec::new(), out: Vec::new(), sent: 0, is_writable: true };
        match link.answer(version)? {
            Received::Connack { code: 0, receive_max } => Ok((link, receive_max)),
            other => Err(io::Error::other(format!("{client_id}: CONNECT is answered with {other:?}"))),
        }
    }

    /// Subscribes, and waits for it.
    pub fn subscribe(&mut self, version: Version, filter: &str, qos: u8) -> io::Result<()> {
        self.socket.write_all(&packets::subscribe(version, filter, qos))?;
        match self.answer(version)? {
            Received::Suback { code } if code == qos => Ok(()),
            other => Err(io::Error::other(format!("SUBSCRIBE to {filter} with QoS {qos} is answered with {other:?}"))),
        }
    }

    /// Reads one packet, byte by byte so that nothing behind it is taken.
    fn answer(&self, version: Version) -> io::Result<Received> {
        let (mut bytes, mut socket) = (Vec::new(), &self.socket);
        loop {
            let mut byte = [0];
            socket.read_exact(&mut byte)?;
            bytes.push(byte[0]);
            if let Some((received, _)) = scan(version, &bytes).map_err(io::Error::other)? {
                return Ok(received);
            }
        }
    }

    /// The socket, for who goes on waiting.
    pub fn into_socket(self) -> TcpStream {
        self.socket
    }

    /// From now on nothing waits; `token` is what `epoll` calls it.
    pub fn register(&self, epoll: impl std::os::fd::AsFd, token: u64) -> io::Result<()> {
        self.socket.set_nonblocking(true)?;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(epoll, &self.socket, EventData::new_u64(token), flags)?)
    }

    pub fn flush(&mut self) -> io::Result<()> {
        while self.is_writable && self.sent < self.out.len() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        Ok(())
    }

    pub fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// One read. Behind what was left over from the last one it stands in `buffer`, up to the number that is returned,
    /// and wants to be given to `keep` in the end. `None` when nothing is there.
    pub fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<Filled>> {
        let kept = self.carry.len();
        if buffer.len() < kept + READ_BYTES {
            buffer.resize(kept + READ_BYTES, 0);
        }
        buffer[..kept].copy_from_slice(&self.carry);
        let until = kept + READ_BYTES;
        match self.socket.read(&mut buffer[kept..until]) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed a connection")),
            Ok(count) => Ok(Some(Filled { bytes: kept + count, is_full: kept + count == until })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Some(Filled { bytes: kept, is_full: true })),
            Err(error) => Err(error),
        }
    }

    /// Keeps the beginning of a packet until the rest of it comes.
    pub fn keep(&mut self, rest: &[u8]) -> io::Result<()> {
        self.carry.clear();
        self.carry.extend_from_slice(rest);
        match cut(rest).map_err(io::Error::other)? {
            Some((_, end)) if end > PACKET_BYTES_MAX => Err(io::Error::other("a packet larger than MQTT knows")),
            _ => Ok(()),
        }
    }
}

/// What one read brought.
#[derive(Clone, Copy, Debug)]
pub struct Filled {
    pub bytes: usize,
    /// More may be there.
    pub is_full: bool,
}
