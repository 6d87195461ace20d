//! Every row of the table of refusals, said to the whole broker: with 1 and with 4 shards, in one piece and byte by
//! byte, by clients that want reasons in words and by clients that do not. After each the others are served as before.

use super::*;
use engine::limits::STRING_BYTES_MAX;
use engine::wire::{self, Packet};
use table::{Case, Given, cases, connect};

mod table;

/// Two clients that have nothing to do with the case.
struct Bystanders {
    publisher: ClientId,
    reader: ClientId,
    sent: u32,
}

#[test]
fn the_table_is_long_and_no_case_stands_in_it_twice() {
    let cases = cases();
    assert!(cases.len() >= 590, "{} cases", cases.len());
    for (index, case) in cases.iter().enumerate() {
        let same = |other: &Case| (other.given, &other.exchanges) == (case.given, &case.exchanges);
        assert!(!cases[..index].iter().any(same), "twice: {case:?}");
    }
}

#[test]
fn in_one_piece() {
    hold(1, 65_536, false);
    hold(4, 65_536, false);
}

#[test]
fn byte_by_byte() {
    hold(1, 1, false);
    hold(4, 1, false);
}

#[test]
fn with_reasons_in_words() {
    hold(4, 65_536, true);
}

#[test]
fn the_largest_connect_is_read_and_a_larger_one_is_refused() {
    // Every text and binary that may stand in it at its longest, but for the identifier and for a method, which are
    // refused for themselves. Beyond CONNECT_BYTES_MAX nothing is gathered: 0x95.
    let world = &mut World::new(Plan { piece_bytes_max: 65_536, ..Plan::new(1, 4) });
    let long = "x".repeat(STRING_BYTES_MAX);
    let mut will = wire::PropertyBuffer::new();
    [Property::ContentType(&long), Property::ResponseTopic(&long), Property::CorrelationData(long.as_bytes())]
        .iter()
        .for_each(|property| will.push(property));
    let mut properties = wire::PropertyBuffer::new();
    for (user_properties, code) in [(0, 0), (10, 0x95)] {
        (0..user_properties).for_each(|_| properties.push(&Property::UserProperty("n", &long)));
        let connect = wire::Connect {
            version: V5,
            clean_start: true,
            keep_alive: 0,
            properties: properties.as_properties(),
            client_id: "large",
            will: Some(wire::Will {
                qos: Q0,
                retain: false,
                properties: will.as_properties(),
                topic: &long,
                payload: long.as_bytes(),
            }),
            user_name: Some(&long),
            password: Some(long.as_bytes()),
        };
        let mut bytes = Vec::new();
        wire::encode(V5, &Packet::Connect(connect), &mut bytes);
        let socket = world.socket();
        world.send(socket, &bytes);
        world.run_until_quiet();
        let answer = world.received_bytes(socket);
        assert_eq!((answer[0], answer[3]), (0x20, code), "{} bytes", bytes.len());
        assert_eq!(world.is_closed(socket), code != 0);
        world.drop_client(socket);
        world.run_until_quiet();
    }
}

/// Prints all cases that are answered otherwise than the table says, then fails.
fn hold(shards: usize, piece_bytes_max: usize, wants_words: bool) {
    /// A world goes through all the sockets it ever had.
    const CASES_PER_WORLD: usize = 48;
    let mut faults = Vec::new();
    for (seed, cases) in cases().chunks(CASES_PER_WORLD).enumerate() {
        let plan = Plan { piece_bytes_max, ..Plan::new(seed as u64, shards) };
        faults.extend(hold_in(&mut World::new(plan), cases, wants_words));
    }
    assert!(faults.is_empty(), "{shards} shards, pieces to {piece_bytes_max}\n{}", faults.join("\n"));
}

fn hold_in(world: &mut World, cases: &[Case], wants_words: bool) -> Vec<String> {
    let reader = subscriber(world, V5, "reader", "kept/#", Q2);
    let mut others = Bystanders { publisher: client(world, V311, "publisher"), reader, sent: 0 };
    others.check(world, "the first");
    let (before, mut faults) = (world.census(), Vec::new());
    for (number, case) in cases.iter().enumerate() {
        if let Err(fault) = say(world, case, &format!("case {number}"), wants_words) {
            faults.push(format!("{:?}, {}: {fault}", case.given, case.name));
        }
        others.check(world, &case.name);
        assert_eq!(world.census(), before, "{}: something is left behind", case.name);
    }
    faults
}

fn say(world: &mut World, case: &Case, client_id: &str, wants_words: bool) -> Result<(), String> {
    let level = match case.given {
        Given::Connected(level) => level,
        Given::Nothing => 5,
    };
    let version = [V31, V311, V5][usize::from(level) - 3];
    let socket = world.socket();
    let ask = |world: &mut World, bytes: &[u8]| {
        world.send(socket, bytes);
        world.run_until_quiet();
        world.received_bytes(socket)
    };
    let mut outcome = Ok(());
    if let Given::Connected(level) = case.given {
        let connack = ask(world, &connect(level, client_id, wants_words));
        assert!(connack.starts_with(&[0x20]), "{}: no CONNACK", case.name);
    }
    for exchange in &case.exchanges {
        let mut answer = ask(world, &exchange.said);
        if wants_words {
            answer = without_words(version, &answer);
        }
        outcome = outcome.and(expect(&answer, &exchange.answer));
    }
    let is_closed = world.is_closed(socket);
    if is_closed != case.is_closed {
        outcome = outcome.and(Err(format!("closed is {is_closed}")));
    } else if !is_closed {
        outcome = outcome.and(expect(&ask(world, &[0xC0, 0]), &[0xD0, 0]));
    }
    world.drop_client(socket);
    world.run_until_quiet();
    outcome
}

fn expect(answer: &[u8], expected: &[u8]) -> Result<(), String> {
    if answer == expected { Ok(()) } else { Err(format!("{} instead of {}", hex(answer), hex(expected))) }
}

/// The packets of an answer without the Reason Strings that refusals of MQTT 5 must have.
fn without_words(version: Version, answer: &[u8]) -> Vec<u8> {
    let (mut rest, mut silenced) = (answer, Vec::new());
    while let Some(header) = wire::peek(rest).unwrap() {
        let (bytes, after) = rest.split_at(header.total_len);
        rest = after;
        // CONNACK is in the oldest form where the level is not known, and has no Reason String ever.
        if bytes[0] == 0x20 {
            silenced.extend_from_slice(bytes);
            continue;
        }
        let mut packet = wire::decode(version, bytes).unwrap();
        let properties = match &mut packet {
            Packet::Disconnect(disconnect) => {
                assert!(disconnect.properties.reason_string().is_some_and(|what| !what.is_empty()), "{disconnect:?}");
                Some(&mut disconnect.properties)
            }
            Packet::Ack(ack) => Some(&mut ack.properties),
            Packet::Suback(suback) => Some(&mut suback.properties),
            Packet::Unsuback(unsuback) => Some(&mut unsuback.properties),
            _ => None,
        };
        if let Some(properties) = properties {
            *properties = Default::default();
        }
        wire::encode(version, &packet, &mut silenced);
    }
    silenced
}

impl Bystanders {
    /// The one publishes, the other gets it.
    fn check(&mut self, world: &mut World, after: &str) {
        self.sent += 1;
        let text = self.sent.to_string();
        for qos in [Q0, Q1, Q2] {
            world.publish(self.publisher, message("kept/t", &text).qos(qos));
        }
        world.run_until_quiet();
        let line = format!("kept/t {text}");
        assert_eq!(world.lines(self.reader), [&*line, &line, &line], "after {after}");
        assert_eq!(acks(&world.received(self.publisher)).len(), 3, "after {after}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
