//! `mote pub` and `mote set`: publishes one message, a file, or the lines of the standard input, and waits until they are taken.

use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use engine::limits;
use engine::wire::{Ack, AckKind, Packet, Properties, Property, PropertyBuffer, Publish, QoS, ReasonCode, Version};

use super::connection::{ANSWER_WAIT, Connection, Waited, checked, qos, version};
use super::intent::Intent;
use super::{Failure, Outcome, reason};
use crate::args::{self, Pub, Set};

/// QoS 1 and 2 messages that wait for their acknowledgement; fewer if the broker asks.
const IN_FLIGHT_MAX: usize = 100;
/// Unsent bytes that are gathered before they are written.
const UNSENT_BYTES_MAX: usize = 64 * 1024;
/// The longest user property `mote` with what stands around it: the longest options are a version and a key.
const PROPERTY_BYTES_MAX: usize = 256;
/// Lines read and not yet published.
const LINES_WAITING_MAX: usize = 64;
/// How often the connection is looked after while no line comes, and how long one look waits.
const IDLE_LOOK: Duration = Duration::from_millis(500);
const LOOK_WAIT: Duration = Duration::from_millis(1);

/// What all messages of one run have.
struct Order {
    topic: String,
    /// The user property `mote`.
    property: Option<String>,
    qos: QoS,
    retain: bool,
    /// What the broker says of what it applied is printed.
    is_verbose: bool,
}

impl Order {
    fn new(version: Version, topic: &str, intent: &Intent) -> Outcome<Order> {
        let topic = intent.topic(version, topic);
        checked("topic", &topic)?;
        let property = intent.property(version).map(str::to_owned);
        Ok(Order { topic, property, qos: QoS::AtLeastOnce, retain: true, is_verbose: false })
    }
}

pub(super) fn run(arguments: &Pub) -> Outcome<()> {
    let version = version(&arguments.connection);
    let Pub { tree, put, condition, id, replace, .. } = arguments;
    let intent = match (tree, *put || condition.is_some() || id.is_some()) {
        (true, _) => Intent::of("tree"),
        (_, true) => Intent::of("put"),
        _ => Intent::none(),
    };
    let intent = intent.option("replace", *replace).value("if", condition.as_deref()).value("id", id.as_deref());
    let is_told = *put || condition.is_some() || id.is_some() || *replace;
    let order = Order {
        qos: qos(arguments.qos.unwrap_or(u8::from(is_told))),
        retain: arguments.retain,
        is_verbose: arguments.verbose,
        ..Order::new(version, &arguments.topic, &intent)?
    };
    let payload = payload(arguments)?;
    let mut writer = Writer::open(&arguments.connection, order)?;
    match payload {
        Some(payload) => {
            for _ in 0..arguments.repeat {
                writer.publish(&payload)?;
            }
        }
        None => writer.publish_lines()?,
    }
    writer.finish()
}

/// `mote set`: one message that is written into many rows.
pub(super) fn run_set(arguments: &Set) -> Outcome<()> {
    let version = version(&arguments.connection);
    let intent = Intent::of("set").value("id", arguments.id.as_deref());
    let order = Order { is_verbose: arguments.verbose, ..Order::new(version, &arguments.filter, &intent)? };
    let mut writer = Writer::open(&arguments.connection, order)?;
    writer.publish(arguments.value.as_bytes())?;
    writer.finish()
}

/// The one message, or `None` when every line of the standard input is one.
fn payload(arguments: &Pub) -> Outcome<Option<Vec<u8>>> {
    let cannot = |what: String| move |error: std::io::Error| Failure::new(format_args!("{what}: {error}"));
    if arguments.stdin_line {
        return Ok(None);
    }
    let mut payload = Vec::new();
    if let Some(message) = &arguments.message {
        payload.extend_from_slice(message.as_bytes());
    } else if let Some(file) = &arguments.file {
        payload = std::fs::read(file).map_err(cannot(file.display().to_string()))?;
    } else if arguments.stdin_file {
        std::io::stdin().lock().read_to_end(&mut payload).map_err(cannot("standard input".to_owned()))?;
    }
    Ok(Some(payload))
}

/// Sends each line, without its end, until the input or the receiver ends.
fn read_lines(lines: &SyncSender<std::io::Result<Vec<u8>>>) {
    let mut input = std::io::stdin().lock();
    loop {
        let mut line = Vec::new();
        let read = input.read_until(b'\n', &mut line);
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let line = match read {
            Ok(0) => return,
            Ok(_) => Ok(line),
            Err(error) => Err(error),
        };
        let last = line.is_err();
        if lines.send(line).is_err() || last {
            return;
        }
    }
}

struct Writer {
    connection: Connection,
    order: Order,
    /// Packet Identifiers in use, with the acknowledgement that each waits for.
    waiting: BTreeMap<u16, AckKind>,
    last_id: u16,
    /// The first refusal that the broker sent.
    refused: Option<String>,
}

impl Writer {
    fn open(connection: &args::Connection, order: Order) -> Outcome<Writer> {
        let connection = Connection::open(connection)?;
        Ok(Writer { connection, order, waiting: BTreeMap::new(), last_id: 0, refused: None })
    }

    /// Lines come from a thread of their own, so that the connection is kept alive while nobody types.
    fn publish_lines(&mut self) -> Outcome<()> {
        let (sender, lines) = sync_channel(LINES_WAITING_MAX);
        std::thread::spawn(move || read_lines(&sender));
        loop {
            let line = match lines.try_recv() {
                Err(TryRecvError::Empty) => {
                    self.connection.flush()?;
                    match lines.recv_timeout(IDLE_LOOK) {
                        Err(RecvTimeoutError::Timeout) => {
                            self.look()?;
                            continue;
                        }
                        other => other.ok(),
                    }
                }
                other => other.ok(),
            };
            match line {
                Some(line) => self.publish(&line.map_err(|e| Failure::new(format_args!("standard input: {e}")))?)?,
                None => return Ok(()),
            }
        }
    }

    /// Obeys what has come, without waiting for more.
    fn look(&mut self) -> Outcome<()> {
        while let Waited::Packet(at) = self.connection.wait(Some(Instant::now() + LOOK_WAIT))? {
            self.take(&at)?;
        }
        Ok(())
    }

    fn publish(&mut self, payload: &[u8]) -> Outcome<()> {
        // the fixed header is not part of the Remaining Length; what else stands before the payload is small
        if payload.len() + self.order.topic.len() + PROPERTY_BYTES_MAX + 64 > limits::REMAINING_LENGTH_MAX {
            return Err(Failure::with_exit(2, format_args!("{} bytes are more than a packet holds", payload.len())));
        }
        let mut properties = PropertyBuffer::new();
        if let Some(intent) = &self.order.property {
            properties.push(&Property::UserProperty("mote", intent));
        }
        let qos = self.order.qos;
        let packet_id = match qos {
            QoS::AtMostOnce => 0,
            _ => self.take_id()?,
        };
        match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => self.waiting.insert(packet_id, AckKind::Puback),
            QoS::ExactlyOnce => self.waiting.insert(packet_id, AckKind::Pubrec),
        };
        self.connection.send(&Packet::Publish(Publish {
            dup: false,
            qos,
            retain: self.order.retain,
            topic: &self.order.topic,
            packet_id,
            properties: properties.as_properties(),
            payload,
        }));
        if self.connection.unsent() > UNSENT_BYTES_MAX { self.connection.flush() } else { Ok(()) }
    }

    /// A free Packet Identifier, once the window has room.
    fn take_id(&mut self) -> Outcome<u16> {
        let window = IN_FLIGHT_MAX.min(self.connection.receive_max.into());
        while self.waiting.len() >= window {
            self.answer("the broker did not acknowledge a message")?;
        }
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.waiting.contains_key(&self.last_id) {
                return Ok(self.last_id);
            }
        }
    }

    /// Waits for the next packet, which is owed, and obeys it. A PINGRESP alone also returns.
    fn answer(&mut self, otherwise: &str) -> Outcome<()> {
        match self.connection.wait(Some(Instant::now() + ANSWER_WAIT))? {
            Waited::Packet(at) => self.take(&at),
            Waited::Pong => Ok(()),
            Waited::Nothing => Err(Failure::new(otherwise)),
        }
    }

    fn take(&mut self, at: &std::ops::Range<usize>) -> Outcome<()> {
        let release = match self.connection.packet(at)? {
            Packet::Ack(ack) if self.waiting.get(&ack.packet_id) == Some(&ack.kind) => {
                self.waiting.remove(&ack.packet_id);
                let said = ack.properties.user_property("mote");
                if ack.reason.is_error() {
                    let why = reason(ack.reason as u8, ack.properties.reason_string());
                    self.refused.get_or_insert(with_words(why, said));
                } else if let Some(said) = said.filter(|_| self.order.is_verbose) {
                    println!("{said}");
                }
                (ack.kind == AckKind::Pubrec && !ack.reason.is_error()).then_some(ack.packet_id)
            }
            // What is wrong with a publish that no acknowledgement can carry comes back on `$error/<topic>` or `$conflict/<topic>`.
            Packet::Publish(publish) if is_told_so(publish.topic) => {
                let why = String::from_utf8_lossy(publish.payload).into_owned();
                self.refused.get_or_insert(why);
                None
            }
            _ => None,
        };
        if let Some(packet_id) = release {
            self.waiting.insert(packet_id, AckKind::Pubcomp);
            let (kind, reason) = (AckKind::Pubrel, ReasonCode::Success);
            self.connection.send(&Packet::Ack(Ack { kind, packet_id, reason, properties: Properties::default() }));
        }
        Ok(())
    }

    /// Waits until everything is acknowledged, or with QoS 0 until the broker has read it.
    fn finish(mut self) -> Outcome<()> {
        while !self.waiting.is_empty() {
            self.answer("the broker did not acknowledge a message")?;
        }
        if self.order.qos == QoS::AtMostOnce {
            self.connection.ping();
            while self.connection.is_pinging() {
                self.answer("the broker does not answer PINGREQ")?;
            }
        }
        self.connection.close()?;
        match self.refused {
            None => Ok(()),
            Some(why) => Err(Failure::new(format_args!("publish refused: {why}"))),
        }
    }
}

fn is_told_so(topic: &str) -> bool {
    matches!(topic.split('/').next(), Some("$error" | "$conflict"))
}

/// A refusal, with what the broker says of it for programs.
fn with_words(why: String, said: Option<&str>) -> String {
    match said.map(|said| (said, said.strip_prefix("conflict;ver="))) {
        None => why,
        Some((_, Some("0"))) => format!("{why}; there is no such object"),
        Some((_, Some(version))) => format!("{why}; the version is {version}"),
        Some((said, None)) => format!("{why}; {said}"),
    }
}
