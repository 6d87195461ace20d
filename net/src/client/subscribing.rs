//! `mote sub`: subscribes, prints a message a line, acknowledges.

use std::collections::HashSet;
use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use engine::wire::{
    Ack, AckKind, FilterBuffer, Packet, Properties, Property, PropertyBuffer, Publish, QoS, ReasonCode, Subscribe,
    SubscriptionOptions,
};

use super::connection::{ANSWER_WAIT, Connection, Waited, checked, qos};
use super::{EXIT_TIMEOUT, Failure, Outcome, reason};
use crate::args::Sub;

/// Printed text that is written at the latest when it is as much as this.
const PRINT_BYTES_MAX: usize = 256 * 1024;
const SUBSCRIBE_ID: u16 = 1;

pub(super) fn run(arguments: &Sub) -> Outcome<()> {
    let deadline = arguments.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut connection = Connection::open(&arguments.connection)?;
    subscribe(&mut connection, arguments)?;
    let mut reader = Reader {
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

/// The intent goes into the user property where there are any, else before the filter.
fn subscribe(connection: &mut Connection, arguments: &Sub) -> Outcome<()> {
    let verb = match (arguments.tree, arguments.sync) {
        (true, _) => Some("tree"),
        (_, true) => Some("sync"),
        _ => None,
    };
    let mut properties = PropertyBuffer::new();
    let mut prefix = String::new();
    match verb {
        Some(verb) if connection.version.is_v5() => properties.push(&Property::UserProperty("mote", verb)),
        Some(verb) => prefix = format!("${verb}/"),
        None => {}
    }
    let mut filters = FilterBuffer::new();
    for topic in &arguments.topics {
        let filter = format!("{prefix}{topic}");
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

/// Whether somebody still reads what is printed.
#[derive(PartialEq, Eq)]
enum Printed {
    All,
    NobodyReads,
}

struct Reader<'a> {
    connection: Connection,
    arguments: &'a Sub,
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
        let answer = match self.connection.packet(at)? {
            Packet::Publish(publish) => {
                let (next, answer) =
                    Self::message(self.arguments, &publish, &mut self.printed, &mut self.left, &mut self.unreleased);
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

    /// Prints one message, if it is to be printed, and says how it is acknowledged.
    fn message(
        arguments: &Sub,
        publish: &Publish<'_>,
        printed: &mut Vec<u8>,
        left: &mut Option<u64>,
        unreleased: &mut HashSet<u16>,
    ) -> (Next, Option<(AckKind, u16)>) {
        let answer = match publish.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some((AckKind::Puback, publish.packet_id)),
            QoS::ExactlyOnce => Some((AckKind::Pubrec, publish.packet_id)),
        };
        if publish.qos == QoS::ExactlyOnce && !unreleased.insert(publish.packet_id) {
            return (Next::GoOn, answer);
        }
        if arguments.retained_only && !publish.retain {
            return (Next::End, answer);
        }
        if arguments.no_retained && publish.retain {
            return (Next::GoOn, answer);
        }
        if arguments.verbose {
            printed.extend_from_slice(publish.topic.as_bytes());
            printed.push(b' ');
        }
        printed.extend_from_slice(publish.payload);
        if !arguments.no_eol {
            printed.push(b'\n');
        }
        if let Some(left) = left {
            *left -= 1;
        }
        (if *left == Some(0) { Next::End } else { Next::GoOn }, answer)
    }
}
