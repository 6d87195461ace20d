//! `mote get`: asks for what is retained under a filter, prints it, ends.

use std::io::Write;
use std::time::Instant;

use engine::dialect::filter_of_pattern;
use engine::wire::{Ack, AckKind, Packet, Properties, Property, PropertyBuffer, Publish, QoS, ReasonCode};

use super::connection::{ANSWER_WAIT, Connection, Waited, checked, version};
use super::intent::Intent;
use super::showing::{Shown, Words};
use super::{Failure, Outcome, reason};
use crate::args::Get;

const QUESTION_ID: u16 = 1;

pub(super) fn run(arguments: &Get) -> Outcome<()> {
    let mut connection = Connection::open(&arguments.connection)?;
    // Where no property says which part is the last, the payload must.
    let is_wrapped = arguments.versions || !connection.version.is_v5();
    ask(&mut connection, arguments, is_wrapped)?;
    let filter = filter_of_pattern(&arguments.filter, false);
    let mut shown = Shown::new(&filter, is_wrapped, arguments.versions);
    let mut printed = Vec::new();
    loop {
        let at = match connection.wait(Some(Instant::now() + ANSWER_WAIT))? {
            Waited::Packet(at) => at,
            Waited::Pong => continue,
            Waited::Nothing => return Err(Failure::new("the broker did not answer")),
        };
        let (acknowledged, is_last) = match connection.packet(&at)? {
            Packet::Ack(ack) if ack.reason.is_error() => {
                let why = reason(ack.reason as u8, ack.properties.reason_string());
                return Err(Failure::new(format_args!("refused: {why}")));
            }
            Packet::Publish(publish) if publish.topic.starts_with("$error") => {
                let why = String::from_utf8_lossy(publish.payload).into_owned();
                return Err(Failure::new(format_args!("refused: {why}")));
            }
            Packet::Publish(publish) if publish.topic == filter => {
                let words = Words::of(publish.properties.user_property("mote"), publish.payload);
                shown.take(&words, publish.payload, false, &mut printed)?;
                (Some(publish.packet_id).filter(|_| publish.qos == QoS::AtLeastOnce), words.is_snap())
            }
            _ => (None, false),
        };
        if let Some(packet_id) = acknowledged {
            let (kind, reason) = (AckKind::Puback, ReasonCode::Success);
            connection.send(&Packet::Ack(Ack { kind, packet_id, reason, properties: Properties::default() }));
        }
        if is_last {
            break;
        }
    }
    let written = std::io::stdout().lock().write_all(&printed);
    connection.close()?;
    // A reader that closed the pipe is no failure.
    written.or_else(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Failure::new(format_args!("cannot print: {error}"))),
    })
}

fn ask(connection: &mut Connection, arguments: &Get, is_wrapped: bool) -> Outcome<()> {
    let version = version(&arguments.connection);
    let intent =
        Intent::of("get").option("versions", arguments.versions).option("meta", is_wrapped && !arguments.versions);
    let topic = intent.topic(version, &arguments.filter);
    let mut properties = PropertyBuffer::new();
    if let Some(intent) = intent.property(version) {
        properties.push(&Property::UserProperty("mote", intent));
    }
    connection.send(&Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: checked("filter", &topic)?,
        packet_id: QUESTION_ID,
        properties: properties.as_properties(),
        payload: &[],
    }));
    Ok(())
}
