//! One connection of a command line client: opened, kept alive, read packet by packet.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::ops::Range;
use std::time::{Duration, Instant};

use engine::limits;
use engine::wire::{
    self, Connack, Connect, Disconnect, Packet, Properties, Property, PropertyBuffer, QoS, ReasonCode, Version, Will,
};

use super::{Failure, Outcome, reason};
use crate::args::{self, ClientVersion};

/// The longest wait for anything that a broker owes at once: the connection, CONNACK, SUBACK, acknowledgements.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(20);
/// Bytes that one read may bring.
const READ_BYTES: usize = 64 * 1024;

pub(super) struct Connection {
    socket: TcpStream,
    pub(super) version: Version,
    received: Vec<u8>,
    /// Bytes of `received` that have been given out.
    taken: usize,
    unsent: Vec<u8>,
    keep_alive: Option<Duration>,
    last_sent: Instant,
    /// When a PINGREQ left that is not answered yet.
    pinged: Option<Instant>,
    /// QoS 1 and 2 publishes that the broker lets wait.
    pub(super) receive_max: u16,
}

/// What came of waiting for a packet.
pub(super) enum Waited {
    /// Where it is; read it with [`Connection::packet`] before the next wait.
    Packet(Range<usize>),
    /// The answer to a PINGREQ came.
    Pong,
    /// The deadline passed first.
    Nothing,
}

impl Connection {
    /// Connects and waits for CONNACK.
    pub(super) fn open(arguments: &args::Connection) -> Outcome<Connection> {
        let version = version(arguments);
        let socket = dial(&arguments.host, arguments.port)?;
        let keep_alive = Some(arguments.keepalive).filter(|&seconds| seconds > 0);
        let mut connection = Connection {
            socket,
            version,
            received: Vec::new(),
            taken: 0,
            unsent: Vec::new(),
            keep_alive: keep_alive.map(|seconds| Duration::from_secs(seconds.into())),
            last_sent: Instant::now(),
            pinged: None,
            receive_max: u16::MAX,
        };
        connection.greet(arguments)?;
        Ok(connection)
    }

    fn greet(&mut self, arguments: &args::Connection) -> Outcome<()> {
        let mut properties = PropertyBuffer::new();
        // A session that is to be continued must outlive its connection; mosquitto_sub asks for the same.
        let expiry = arguments.session_expiry_interval.or(arguments.disable_clean_session.then_some(u32::MAX));
        if let (Version::V5, Some(seconds)) = (self.version, expiry) {
            properties.push(&Property::SessionExpiryInterval(seconds));
        }
        let own_id = format!("mote-{}", std::process::id()); // MQTT 3.1 has no empty client identifier
        let unnamed = if self.version == Version::V31 { own_id.as_str() } else { "" };
        let connect = Packet::Connect(Connect {
            version: self.version,
            clean_start: !arguments.disable_clean_session,
            keep_alive: arguments.keepalive,
            properties: properties.as_properties(),
            client_id: checked("client identifier", arguments.client_id.as_deref().unwrap_or(unnamed))?,
            will: will(arguments)?,
            user_name: arguments.username.as_deref().map(|name| checked("user name", name)).transpose()?,
            password: arguments.pw.as_deref().map(|text| checked("password", text)).transpose()?.map(str::as_bytes),
        });
        self.send(&connect);
        self.flush()?;
        let deadline = Instant::now() + ANSWER_WAIT;
        let Waited::Packet(at) = self.wait(Some(deadline))? else {
            return Err(Failure::new("the broker did not answer CONNECT"));
        };
        let Packet::Connack(connack) = self.packet(&at)? else {
            return Err(Failure::new("the broker's first packet is no CONNACK"));
        };
        let (receive_max, keep_alive) = accepted(self.version, &connack)?;
        self.receive_max = receive_max;
        if let Some(seconds) = keep_alive {
            self.keep_alive = Some(Duration::from_secs(seconds.into())).filter(|wait| !wait.is_zero());
        }
        Ok(())
    }

    /// Queues a packet; it leaves at the next flush or wait.
    pub(super) fn send(&mut self, packet: &Packet<'_>) {
        wire::encode(self.version, packet, &mut self.unsent);
    }

    pub(super) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    pub(super) fn flush(&mut self) -> Outcome<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let sent = self.socket.write_all(&self.unsent);
        self.unsent.clear();
        self.last_sent = Instant::now();
        // A broker that refuses says why before it closes: what it said is still to be read.
        match sent {
            Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                Err(Failure::new(format_args!("cannot send: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// True if [`Connection::wait`] would give a packet at once.
    pub(super) fn has_packet(&self) -> bool {
        let rest = &self.received[self.taken..];
        matches!(wire::peek(rest), Ok(Some(header)) if header.total_len <= rest.len())
    }

    /// The next packet, or nothing when the deadline has passed. Keeps the connection alive meanwhile.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) -> Outcome<Waited> {
        self.flush()?;
        loop {
            let rest = &self.received[self.taken..];
            if let Some(header) = wire::peek(rest)?.filter(|header| header.total_len <= rest.len()) {
                let at = self.taken..self.taken + header.total_len;
                self.taken = at.end;
                if matches!(self.packet(&at)?, Packet::Pingresp) {
                    self.pinged = None;
                    return Ok(Waited::Pong);
                }
                self.refuse_disconnect(&at)?;
                return Ok(Waited::Packet(at));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(Waited::Nothing);
            }
            self.stay_alive()?;
            self.read(deadline)?;
        }
    }

    pub(super) fn packet(&self, at: &Range<usize>) -> Outcome<Packet<'_>> {
        // A frame's topic is the filter as subscribed, wildcards and all.
        Ok(wire::decode_patterns(self.version, &self.received[at.clone()])?)
    }

    /// Asks for a sign of life. When it comes the broker has read everything before it.
    pub(super) fn ping(&mut self) {
        self.send(&Packet::Pingreq);
        self.pinged = Some(Instant::now());
    }

    pub(super) fn is_pinging(&self) -> bool {
        self.pinged.is_some()
    }

    /// DISCONNECT, and the end of the connection once the broker has taken everything.
    pub(super) fn close(mut self) -> Outcome<()> {
        self.send(&Packet::Disconnect(Disconnect { reason: ReasonCode::Success, properties: Properties::default() }));
        self.flush()?;
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
        let _ = self.socket.set_read_timeout(Some(Duration::from_secs(2)));
        let mut rest = [0; 4096];
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline && matches!(self.socket.read(&mut rest), Ok(count) if count > 0) {}
        Ok(())
    }

    fn refuse_disconnect(&self, at: &Range<usize>) -> Outcome<()> {
        match self.packet(at)? {
            Packet::Disconnect(bye) => {
                let why = reason(bye.reason as u8, bye.properties.reason_string());
                Err(Failure::new(format_args!("the broker ended the connection: {why}")))
            }
            _ => Ok(()),
        }
    }

    fn stay_alive(&mut self) -> Outcome<()> {
        if self.pinged.is_some_and(|since| since.elapsed() >= ANSWER_WAIT) {
            return Err(Failure::new("the broker does not answer PINGREQ"));
        }
        let due = self.keep_alive.is_some_and(|period| self.last_sent.elapsed() >= period * 3 / 4);
        if due && self.pinged.is_none() {
            self.ping();
            self.flush()?;
        }
        Ok(())
    }

    /// One read, at most until the deadline or until it is time for a PINGREQ.
    fn read(&mut self, deadline: Option<Instant>) -> Outcome<()> {
        let now = Instant::now();
        let ping = self.keep_alive.map(|period| self.last_sent + period * 3 / 4);
        let answer = self.pinged.map(|since| since + ANSWER_WAIT);
        let until = [deadline, answer.or(ping)].into_iter().flatten().min();
        let wait = until.map(|until| until.saturating_duration_since(now).max(Duration::from_millis(1)));
        self.socket.set_read_timeout(wait).map_err(Failure::new)?;
        self.received.drain(..self.taken);
        self.taken = 0;
        let filled = self.received.len();
        self.received.resize(filled + READ_BYTES, 0);
        let read = self.socket.read(&mut self.received[filled..]);
        self.received.truncate(filled + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(Failure::new("the broker closed the connection")),
            Ok(_) => Ok(()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                Ok(())
            }
            Err(error) => Err(Failure::new(format_args!("cannot receive: {error}"))),
        }
    }
}

pub(super) fn version(arguments: &args::Connection) -> Version {
    match arguments.protocol_version {
        ClientVersion::V31 => Version::V31,
        ClientVersion::V311 => Version::V311,
        ClientVersion::V5 => Version::V5,
    }
}

/// The first of the host's addresses that answers.
fn dial(host: &str, port: u16) -> Outcome<TcpStream> {
    let addresses = (host, port).to_socket_addrs().map_err(|error| Failure::new(format_args!("{host}: {error}")))?;
    let mut last = format!("{host} has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, ANSWER_WAIT) {
            Ok(socket) => {
                socket.set_nodelay(true).map_err(Failure::new)?;
                socket.set_write_timeout(Some(ANSWER_WAIT)).map_err(Failure::new)?;
                return Ok(socket);
            }
            Err(error) => last = format!("cannot connect to {address}: {error}"),
        }
    }
    Err(Failure::new(last))
}

fn will(arguments: &args::Connection) -> Outcome<Option<Will<'_>>> {
    let Some(topic) = &arguments.will_topic else { return Ok(None) };
    Ok(Some(Will {
        qos: qos(arguments.will_qos),
        retain: arguments.will_retain,
        properties: Properties::default(),
        topic: checked("will topic", topic)?,
        payload: checked("will payload", arguments.will_payload.as_deref().unwrap_or_default())?.as_bytes(),
    }))
}

/// Receive Maximum and Server Keep Alive of a CONNACK that accepts.
fn accepted(version: Version, connack: &Connack<'_>) -> Outcome<(u16, Option<u16>)> {
    if connack.code == 0 {
        let receive_max = connack.properties.receive_maximum().unwrap_or(u16::MAX);
        return Ok((receive_max, connack.properties.server_keep_alive()));
    }
    let why = match (version, connack.code) {
        (Version::V5, code) => reason(code, connack.properties.reason_string()),
        (_, 1) => "unacceptable protocol version (1)".to_owned(),
        (_, 2) => "identifier rejected (2)".to_owned(),
        (_, 3) => "server unavailable (3)".to_owned(),
        (_, 4) => "bad user name or password (4)".to_owned(),
        (_, 5) => "not authorized (5)".to_owned(),
        (_, code) => format!("unknown return code {code}"),
    };
    Err(Failure::with_exit(connack.code, format_args!("connection refused: {why}")))
}

pub(super) fn qos(bits: u8) -> QoS {
    QoS::from_bits(bits).unwrap_or_default()
}

/// Text that MQTT can carry.
pub(super) fn checked<'a>(what: &str, text: &'a str) -> Outcome<&'a str> {
    if text.len() > limits::STRING_BYTES_MAX {
        return Err(Failure::with_exit(2, format_args!("the {what} has {} bytes, MQTT allows 65535", text.len())));
    }
    if text.contains('\0') {
        return Err(Failure::with_exit(2, format_args!("the {what} contains U+0000, which MQTT forbids")));
    }
    Ok(text)
}
