//! `mote sub`: subscribes, prints a message a line, acknowledges.

use std::collections::{BTreeMap, HashSet};
use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use engine::wire::{
    Ack, AckKind, FilterBuffer, Packet, Properties, Property, PropertyBuffer, Publish, QoS, ReasonCode, Subscribe,
    SubscriptionOptions, Version,
};

use super::connection::{ANSWER_WAIT, Connection, Waited, checked, qos};
use super::intent::Intent;
use super::showing::{Shown, Words, has_colour};
use super::{EXIT_TIMEOUT, Failure, Outcome, reason};
use crate::args::Sub;

/// Printed text that is written at the latest when it is as much as this.
const PRINT_BYTES_MAX: usize = 256 * 1024;
const SUBSCRIBE_ID: u16 = 1;

pub(super) fn run(arguments: &Sub) -> Outcome<()> {
    if arguments.since.is_some() && arguments.topics.len() > 1 {
        return Err(Failure::with_exit(2, "--since belongs to one filter"));
    }
    let deadline = arguments.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut connection = Connection::open(&arguments.connection)?;
    subscribe(&mut connection, arguments)?;
    let mut reader = Reader {
        shown: shown(connection.version, arguments),
        colour: has_colour(),
        connection,
        arguments,
        printed: Vec::new(),
        left: arguments.count,
        unreleased: HashSet::new(),
        answer_by: Some(Instant::now() + ANSWER_WAIT),
    };
    let end = reader.read(deadline);
    let written = reader.print();
    match (end, written) {
        (Ok(()), Printed::All) => reader.connection.close(),
        (Ok(()), Printed::NobodyReads) => Ok(()),
        (Err(failure), _) => Err(failure),
    }
}

/// Where frames are folded, and no property says what kind one is, the payload must.
fn is_wrapped(version: Version, arguments: &Sub) -> bool {
    arguments.versions || !version.is_v5() && !arguments.verbose
}

fn intent(version: Version, arguments: &Sub) -> Intent {
    let verb = match (arguments.tree, arguments.sync, arguments.rows) {
        (_, true, _) => "sync",
        (_, _, true) => return Intent::of("rows"),
        // Options of frames ask for frames.
        (true, ..) => "tree",
        _ if arguments.versions || arguments.interval.is_some() => "tree",
        _ => return Intent::none(),
    };
    let interval = arguments.interval.map(|ms| ms.to_string());
    Intent::of(verb)
        .option("versions", arguments.versions)
        .option("meta", is_wrapped(version, arguments) && !arguments.versions)
        .value("interval", interval.as_deref())
        .value("since", arguments.since.as_deref())
}

fn subscribe(connection: &mut Connection, arguments: &Sub) -> Outcome<()> {
    let intent = intent(connection.version, arguments);
    let mut properties = PropertyBuffer::new();
    if let Some(intent) = intent.property(connection.version) {
        properties.push(&Property::UserProperty("mote", intent));
    }
    let mut filters = FilterBuffer::new();
    for topic in &arguments.topics {
        let filter = intent.topic(connection.version, topic);
        let options = SubscriptionOptions { qos: qos(arguments.qos), ..Default::default() };
        filters.push(checked("filter", &filter)?, options);
    }
    connection.send(&Packet::Subscribe(Subscribe {
        packet_id: SUBSCRIBE_ID,
        properties: properties.as_properties(),
        filters: filters.as_filters(),
    }));
    Ok(())
}

/// What the frames of each filter are folded into, where they are.
fn shown(version: Version, arguments: &Sub) -> BTreeMap<&str, Shown> {
    if arguments.verbose || arguments.rows || !arguments.asks_for_more() {
        return BTreeMap::new();
    }
    let shown = |filter| Shown::new(filter, is_wrapped(version, arguments), arguments.versions);
    arguments.topics.iter().map(|filter| (filter.as_str(), shown(filter))).collect()
}

/// Whether somebody still reads what is printed.
#[derive(PartialEq, Eq)]
enum Printed {
    All,
    NobodyReads,
}

struct Reader<'a> {
    connection: Connection,
    arguments: &'a Sub,
    /// Of each filter whose frames are folded.
    shown: BTreeMap<&'a str, Shown>,
    colour: bool,
    printed: Vec<u8>,
    /// Messages still to be printed, if they are counted.
    left: Option<u64>,
    /// QoS 2 identifiers received and not released: their PUBLISH may come again.
    unreleased: HashSet<u16>,
    /// When SUBACK must have come; `None` once it has.
    answer_by: Option<Instant>,
}

/// What a packet means for the loop.
enum Next {
    GoOn,
    End,
}

impl Reader<'_> {
    fn read(&mut self, deadline: Option<Instant>) -> Outcome<()> {
        loop {
            if (!self.connection.has_packet() || self.printed.len() > PRINT_BYTES_MAX)
                && self.print() == Printed::NobodyReads
            {
                return Ok(());
            }
            let until = [deadline, self.answer_by].into_iter().flatten().min();
            match self.connection.wait(until)? {
                Waited::Packet(at) => {
                    if let Next::End = self.take(&at)? {
                        return Ok(());
                    }
                }
                Waited::Pong => {}
                Waited::Nothing if self.answer_by.is_some_and(|by| Instant::now() >= by) => {
                    return Err(Failure::new("the broker did not answer SUBSCRIBE"));
                }
                Waited::Nothing => return Err(Failure::with_exit(EXIT_TIMEOUT, "timed out")),
            }
        }
    }

    /// Writes what is waiting.
    fn print(&mut self) -> Printed {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(&self.printed).and_then(|()| out.flush());
        self.printed.clear();
        match written {
            Err(error) if error.kind() != ErrorKind::Interrupted => Printed::NobodyReads,
            _ => Printed::All,
        }
    }

    fn take(&mut self, at: &std::ops::Range<usize>) -> Outcome<Next> {
        let Reader { connection, arguments, shown, colour, printed, left, unreleased, .. } = self;
        let answer = match connection.packet(at)? {
            Packet::Publish(publish) => {
                let mut printer = Printer { arguments, shown, colour: *colour, printed, left };
                let (next, answer) = message(&mut printer, &publish, unreleased)?;
                if let Some((kind, packet_id)) = answer {
                    self.acknowledge(kind, packet_id);
                }
                return Ok(next);
            }
            Packet::Ack(Ack { kind: AckKind::Pubrel, packet_id, .. }) => Some((AckKind::Pubcomp, packet_id)),
            Packet::Suback(suback) => {
                let refused: Vec<String> = (suback.reasons.iter().zip(&self.arguments.topics))
                    .filter(|(code, _)| **code >= 0x80)
                    .map(|(code, topic)| format!("{topic}: {}", reason(*code, suback.properties.reason_string())))
                    .collect();
                if refused.len() == self.arguments.topics.len() {
                    return Err(Failure::new(format_args!("subscription refused: {}", refused.join(", "))));
                }
                for refused in refused {
                    eprintln!("mote sub: subscription refused: {}", crate::logs::Escaped(&refused));
                }
                if self.arguments.debug {
                    let granted = suback.reasons.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
                    eprintln!("Subscribed (mid: {}): {granted}", suback.packet_id);
                }
                self.answer_by = None;
                None
            }
            _ => None,
        };
        if let Some((kind, packet_id)) = answer {
            self.unreleased.remove(&packet_id);
            self.acknowledge(kind, packet_id);
        }
        Ok(Next::GoOn)
    }

    fn acknowledge(&mut self, kind: AckKind, packet_id: u16) {
        let reason = ReasonCode::Success;
        self.connection.send(&Packet::Ack(Ack { kind, packet_id, reason, properties: Properties::default() }));
    }
}

/// What a message is printed with.
struct Printer<'a, 'b> {
    arguments: &'a Sub,
    shown: &'b mut BTreeMap<&'a str, Shown>,
    colour: bool,
    printed: &'b mut Vec<u8>,
    left: &'b mut Option<u64>,
}

/// Prints one message, if it is to be printed, and says how it is acknowledged.
fn message(
    printer: &mut Printer<'_, '_>,
    publish: &Publish<'_>,
    unreleased: &mut HashSet<u16>,
) -> Outcome<(Next, Option<(AckKind, u16)>)> {
    let answer = match publish.qos {
        QoS::AtMostOnce => None,
        QoS::AtLeastOnce => Some((AckKind::Puback, publish.packet_id)),
        QoS::ExactlyOnce => Some((AckKind::Pubrec, publish.packet_id)),
    };
    if publish.qos == QoS::ExactlyOnce && !unreleased.insert(publish.packet_id) {
        return Ok((Next::GoOn, answer));
    }
    if printer.arguments.retained_only && !publish.retain {
        return Ok((Next::End, answer));
    }
    let is_left_out = printer.arguments.no_retained && publish.retain;
    let was_printed = printer.print(publish, is_left_out)?;
    if let Some(left) = printer.left.as_mut().filter(|_| was_printed) {
        *left -= 1;
    }
    Ok((if *printer.left == Some(0) { Next::End } else { Next::GoOn }, answer))
}

impl Printer<'_, '_> {
    /// Whether something was printed.
    fn print(&mut self, publish: &Publish<'_>, is_left_out: bool) -> Outcome<bool> {
        let property = publish.properties.user_property("mote");
        let has_many = self.shown.len() > 1;
        if let Some(shown) = self.shown.get_mut(publish.topic) {
            let words = Words::of(property, publish.payload);
            let before = self.printed.len();
            if has_many {
                self.printed.extend_from_slice(publish.topic.as_bytes());
                self.printed.push(b'\n');
            }
            let was_printed = shown.take(&words, publish.payload, self.colour, self.printed)?;
            if is_left_out || !was_printed {
                self.printed.truncate(before);
            }
            return Ok(was_printed && !is_left_out);
        }
        if is_left_out {
            return Ok(false);
        }
        if self.arguments.verbose {
            self.printed.extend_from_slice(publish.topic.as_bytes());
            self.printed.push(b' ');
            if let Some(words) = property.filter(|_| self.arguments.asks_for_more()) {
                self.printed.extend_from_slice(words.as_bytes());
                self.printed.push(b' ');
            }
        }
        self.printed.extend_from_slice(publish.payload);
        if !self.arguments.no_eol {
            self.printed.push(b'\n');
        }
        Ok(true)
    }
}
