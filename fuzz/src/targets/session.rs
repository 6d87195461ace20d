//! One shard and a few connections that say anything: whole packets with small numbers, and bytes. Whatever comes back
//! is judged by [`strict`]: packets that a server may send, after and before those that it may be sent after and before,
//! answers to what was asked and no others, windows, sizes and aliases as CONNECT said. Who sends what is no packet is
//! cut off. In the end everybody goes, and no connection is left.

use super::strict::{self, Packet};
use super::tape::Tape;
use crate::world::{ClientId, Plan, World};
use std::collections::{HashMap, HashSet};

const OPERATIONS_MAX: usize = 120;
const CONNECTIONS: usize = 3;
const CONNECTIONS_IN_ALL_MAX: usize = 24;
const TOPICS: [&str; 16] = [
    "a",
    "a/b",
    "a/b/c",
    "",
    "$tree/a",
    "$tree/a/+",
    "$put/a/b",
    "$set/a/#",
    "$get/a/#",
    "$put;if=1/a/b",
    "$SYS/x",
    "b/+",
    "$tree;id=1/b",
    "$conflict/a",
    "$sync/a",
    "\u{e9}/x",
];
const FILTERS: [&str; 16] = [
    "#",
    "a/#",
    "+/b",
    "a/b",
    "$sync/a/#",
    "$tree/+/b",
    "$rows/a/#",
    "$share/g/a/#",
    "$share/g/+/b",
    "$sync/#",
    "$SYS/#",
    "a/#/b",
    "$sync;since=x/a/#",
    "$sync;meta/a/#",
    "$share//a",
    "$sync;interval=1/#",
];
const PAYLOADS: [&[u8]; 8] =
    [b"", b"1", b"{\"b\":1,\"c\":{\"d\":null}}", b"{\"b\":\"x\"}", b"\xff", b"{", b"[1,2]", b"{\"$b64\":\"AA==\"}"];

pub fn run(input: &[u8]) {
    let mut tape = Tape::new(input);
    let mut plan = Plan::new(1, 1);
    plan.piece_bytes_max = tape.pick(&[1, 7, 100, 4_096]);
    plan.lane_parcels = tape.pick(&[1, 64]);
    let (session, limits) = (&mut plan.broker.session, &mut plan.broker.limits);
    session.receive_max = tape.pick(&[1, 2, 1_024]);
    session.inflight_max = tape.pick(&[1, 2, 256]);
    session.topic_alias_max = tape.pick(&[0, 1, 5]);
    session.queue_messages = tape.pick(&[1, 4, 1_000]);
    limits.frame_bytes = tape.pick(&[1_024, 1 << 20]);
    limits.subscriptions = tape.pick(&[1, 3, 1_000]);
    let mut world = World::new(plan);
    let mut talks: Vec<Option<Talk>> = (0..CONNECTIONS).map(|_| None).collect();
    let mut opened = 0;
    for _ in 0..OPERATIONS_MAX {
        if tape.is_over() {
            break;
        }
        let place = tape.below(CONNECTIONS);
        let Some(talk) = &mut talks[place] else {
            if opened < CONNECTIONS_IN_ALL_MAX {
                let mut talk = Talk::new(world.socket());
                let bytes = if tape.below(16) == 0 { tape.take(12).to_vec() } else { connect(&mut tape, &mut talk) };
                talk.say(&mut world, &bytes);
                (talks[place], opened) = (Some(talk), opened + 1);
            }
            continue;
        };
        match tape.below(24) {
            0 => {
                let count = tape.below(24);
                talk.say(&mut world, tape.take(count));
            }
            1 => {
                world.drop_client(talk.client);
                world.run_until_quiet();
                talks[place] = None;
            }
            2 => world.advance_ms(u64::from(tape.byte()) * 100),
            3..=6 => world.run_turns(tape.below(4)),
            7..=9 => judge(&mut world, &mut talks),
            what => {
                let bytes = packet(&mut tape, talk, what);
                talk.say(&mut world, &bytes);
            }
        }
    }
    judge(&mut world, &mut talks);
    talks.iter().flatten().for_each(|talk| world.drop_client(talk.client));
    world.run_until_quiet();
    assert_eq!(world.census().0, 0, "connections of nobody");
}

fn judge(world: &mut World, talks: &mut [Option<Talk>]) {
    world.run_until_quiet();
    for place in talks {
        let is_over = place.as_mut().is_some_and(|talk| talk.judge(world));
        if is_over {
            *place = None;
        }
    }
}

/// One connection, both of its streams.
struct Talk {
    client: ClientId,
    level: u8,
    said: Vec<u8>,
    heard: Vec<u8>,
    /// What was said is no MQTT from some place on.
    is_broken: bool,
    is_accepted: bool,
    is_over: bool,
    wants_problems: bool,
    has_method: bool,
    receive_max: usize,
    packet_bytes_max: usize,
    alias_max: u32,
    aliases: HashMap<u32, String>,
    /// Answers that are due: type and identifier; of SUBSCRIBE and UNSUBSCRIBE the number of filters.
    due: HashMap<(u8, u16), Vec<usize>>,
    open: HashSet<u16>,
    /// Identifiers that were set free since the last judgement: they may come again.
    freed: Vec<u16>,
}

impl Talk {
    fn new(client: ClientId) -> Talk {
        Talk {
            client,
            level: 0,
            said: Vec::new(),
            heard: Vec::new(),
            is_broken: false,
            is_accepted: false,
            is_over: false,
            wants_problems: true,
            has_method: false,
            receive_max: usize::from(u16::MAX),
            packet_bytes_max: usize::MAX,
            alias_max: 0,
            aliases: HashMap::new(),
            due: HashMap::new(),
            open: HashSet::new(),
            freed: Vec::new(),
        }
    }

    fn say(&mut self, world: &mut World, bytes: &[u8]) {
        world.send(self.client, bytes);
        self.said.extend_from_slice(bytes);
        while !self.is_broken {
            match strict::whole(&self.said) {
                Ok(Some(len)) if len <= self.said.len() => {
                    let packet: Vec<u8> = self.said.drain(..len).collect();
                    match strict::read(self.level, true, &packet) {
                        Ok(packet) => self.expect(&packet),
                        Err(_) => self.is_broken = true,
                    }
                }
                Ok(_) => break,
                Err(_) => self.is_broken = true,
            }
        }
    }

    /// What the client's packet asks for.
    fn expect(&mut self, packet: &Packet) {
        let answer = match packet.kind {
            strict::CONNECT if self.level == 0 => {
                self.level = packet.level;
                let number = |id| packet.number(id).map(|number| number as usize);
                self.receive_max = number(strict::RECEIVE_MAXIMUM).unwrap_or(self.receive_max);
                self.packet_bytes_max = number(strict::MAXIMUM_PACKET_SIZE).unwrap_or(usize::MAX);
                self.alias_max = packet.number(strict::TOPIC_ALIAS_MAXIMUM).unwrap_or(0);
                self.wants_problems = packet.number(strict::REQUEST_PROBLEM_INFORMATION) != Some(0);
                self.has_method = packet.has(strict::AUTHENTICATION_METHOD);
                strict::CONNACK
            }
            strict::PUBLISH if packet.qos() > 0 => packet.qos() + strict::PUBLISH,
            strict::PUBREL => strict::PUBCOMP,
            strict::SUBSCRIBE => strict::SUBACK,
            strict::UNSUBSCRIBE => strict::UNSUBACK,
            strict::PINGREQ => strict::PINGRESP,
            strict::PUBACK | strict::PUBREC | strict::PUBCOMP => {
                self.freed.push(packet.id);
                if packet.kind == strict::PUBREC && packet.reasons[0] < 0x80 { strict::PUBREL } else { return }
            }
            _ => return,
        };
        self.due.entry((answer, packet.id)).or_default().push(packet.filters.len());
    }

    /// Reads what came. Whether the connection is over.
    fn judge(&mut self, world: &mut World) -> bool {
        self.heard.extend(world.received_bytes(self.client));
        while let Some(len) = strict::whole(&self.heard).expect("the broker sends packets") {
            if len > self.heard.len() {
                break;
            }
            let bytes: Vec<u8> = self.heard.drain(..len).collect();
            // Who said no CONNECT that can be read is answered in the version that it seemed to speak, or MQTT 5.
            let level = if self.level == 0 {
                *[5, 4].iter().find(|level| strict::read(**level, true, &bytes).is_ok()).expect("a packet")
            } else {
                self.level
            };
            let packet = strict::read(level, true, &bytes)
                .unwrap_or_else(|what| panic!("{what} in what the broker sent, level {level}: {bytes:?}"));
            self.judge_packet(&packet);
        }
        for id in std::mem::take(&mut self.freed) {
            self.open.remove(&id);
        }
        let is_closed = world.is_closed(self.client);
        assert!(is_closed || !self.is_broken, "what is no MQTT was taken");
        assert!(is_closed || !self.is_over, "a last word on a connection that stays");
        is_closed
    }

    fn judge_packet(&mut self, packet: &Packet) {
        assert!(!self.is_over, "after the last packet: {packet:?}");
        assert!(packet.len <= self.packet_bytes_max, "larger than Maximum Packet Size: {packet:?}");
        assert_eq!(packet.kind != strict::CONNACK, self.is_accepted, "CONNACK first and once: {packet:?}");
        let is_answer = matches!(packet.kind, strict::PUBACK..=strict::PUBCOMP | strict::SUBACK | strict::UNSUBACK);
        assert!(self.wants_problems || !is_answer || packet.properties.is_empty(), "nobody asked: {packet:?}");
        match packet.kind {
            strict::CONNACK => {
                self.is_accepted = packet.reasons[0] == 0;
                self.is_over = !self.is_accepted;
            }
            strict::PUBLISH => self.judge_publish(packet),
            // After a session was resumed a PUBREL may come for a PUBREC of an earlier connection.
            strict::PUBREL => {}
            strict::PUBACK | strict::PUBREC | strict::PUBCOMP | strict::PINGRESP => {
                self.answered(packet);
            }
            strict::SUBACK | strict::UNSUBACK => {
                let filters = self.answered(packet);
                let is_bare = packet.kind == strict::UNSUBACK && self.level < 5;
                assert!(is_bare || filters == packet.reasons.len(), "a reason for each filter: {packet:?}");
            }
            strict::DISCONNECT => {
                self.is_over = true;
                assert!(self.level == 5 && !packet.has(strict::SESSION_EXPIRY) && packet.reasons[0] != 4, "{packet:?}");
            }
            strict::AUTH => assert!(self.has_method, "{packet:?}"),
            _ => panic!("only a client sends {packet:?}"),
        }
    }

    /// Something asked for this. Returns how many filters it had.
    fn answered(&mut self, packet: &Packet) -> usize {
        let due = self.due.get_mut(&(packet.kind, packet.id)).filter(|due| !due.is_empty());
        let due = due.unwrap_or_else(|| panic!("an answer to nothing: {packet:?}"));
        due.remove(0)
    }

    fn judge_publish(&mut self, packet: &Packet) {
        if let Some(alias) = packet.number(strict::TOPIC_ALIAS) {
            assert!((1..=self.alias_max).contains(&alias), "{packet:?}");
            if packet.topic.is_empty() {
                assert!(self.aliases.contains_key(&alias), "an alias that nobody told: {packet:?}");
            } else {
                self.aliases.insert(alias, packet.topic.clone());
            }
        }
        if packet.qos() == 0 {
            return;
        }
        let is_new = self.open.insert(packet.id);
        if !is_new {
            let freed = self.freed.iter().position(|id| *id == packet.id);
            self.freed.swap_remove(freed.unwrap_or_else(|| panic!("an identifier in use: {packet:?}")));
        }
        let room = self.receive_max + self.freed.len();
        assert!(self.open.len() <= room, "{} open where {room} are allowed: {packet:?}", self.open.len());
    }
}

fn enclose(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        bytes.push((rest % 128) as u8 | if rest > 127 { 0x80 } else { 0 });
        rest /= 128;
        if rest == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text].concat()
}

/// A list of properties that the tape chooses of `from`, with its length; before MQTT 5 nothing.
fn properties(tape: &mut Tape<'_>, level: u8, from: &[&[u8]]) -> Vec<u8> {
    if level < 5 {
        return Vec::new();
    }
    let mut list = Vec::new();
    let chosen = tape.byte();
    for (bit, property) in from.iter().enumerate().filter(|(bit, _)| chosen >> bit & 1 == 1) {
        list.extend_from_slice(property);
        // The last byte of most is a small number.
        if bit < 4
            && let Some(last) = list.last_mut()
        {
            *last = tape.byte() % 8;
        }
    }
    [&[list.len() as u8][..], &list].concat()
}

fn connect(tape: &mut Tape<'_>, _: &mut Talk) -> Vec<u8> {
    let level = tape.pick(&[5, 4, 3, 5]);
    let bits = tape.byte();
    let has_will = bits & 4 != 0;
    let flags = if has_will { bits & 0b0011_1110 } else { bits & 2 };
    let flags = if flags & 0x18 == 0x18 { flags & !0x10 } else { flags };
    let mut body = text(if level == 3 { b"MQIsdp" } else { b"MQTT" });
    body.extend([level, flags, 0, tape.pick(&[0, 0, 1, 60])]);
    let known: [&[u8]; 7] = [
        b"\x21\x00\x01",
        b"\x22\x00\x01",
        b"\x11\x00\x00\x00\x01",
        b"\x17\x00",
        b"\x27\x00\x00\x00\x60",
        b"\x15\x00\x01m",
        b"\x26\x00\x01a\x00\x01b",
    ];
    body.extend(properties(tape, level, &known));
    body.extend(text(tape.pick(&[&b"x"[..], b"y", b"z", b""])));
    if has_will {
        body.extend(properties(tape, level, &[b"\x18\x00\x00\x00\x01", b"\x02\x00\x00\x00\x01", b"\x01\x01"]));
        body.extend(text(tape.pick(&TOPICS).as_bytes()));
        body.extend(text(tape.pick(&PAYLOADS)));
    }
    enclose(0x10, &body)
}

/// A packet that a client may send, mostly.
fn packet(tape: &mut Tape<'_>, talk: &Talk, what: usize) -> Vec<u8> {
    let level = talk.level;
    let id = [0, tape.byte() % 6 + u8::from(what != 10)];
    match what {
        10..=15 => {
            let flags = tape.byte();
            let flags = if flags & 6 == 6 { flags & 0xD } else { flags } & if flags & 6 == 0 { 7 } else { 15 };
            let mut body = text(tape.pick(&TOPICS).as_bytes());
            if flags & 6 != 0 {
                body.extend(id);
            }
            let known: [&[u8]; 6] = [
                b"\x23\x00\x01",
                b"\x02\x00\x00\x00\x01",
                b"\x01\x00",
                b"\x26\x00\x04mote\x00\x04tree",
                b"\x08\x00\x01r",
                b"\x26\x00\x01a\x00\x01b",
            ];
            body.extend(properties(tape, level, &known));
            body.extend(tape.pick(&PAYLOADS));
            enclose(0x30 | flags, &body)
        }
        16..=18 => {
            let mut body = id.to_vec();
            body.extend(properties(tape, level, &[b"\x0b\x01", b"\x26\x00\x04mote\x00\x04sync"]));
            for _ in 0..1 + tape.below(3) {
                body.extend(text(tape.pick(&FILTERS).as_bytes()));
                body.push(if level < 5 { tape.byte() % 3 } else { tape.pick(&[0, 1, 2, 0x0A, 0x15, 0x21, 0x29]) });
            }
            enclose(0x82, &body)
        }
        19 => {
            let mut body = id.to_vec();
            body.extend(properties(tape, level, &[]));
            body.extend(text(tape.pick(&FILTERS).as_bytes()));
            enclose(0xA2, &body)
        }
        20 | 21 => {
            let first = tape.pick(&[0x40, 0x50, 0x62, 0x70]);
            // Mostly of what is open.
            let open = talk.open.iter().min().copied().unwrap_or(1).to_be_bytes();
            let id = if tape.flag() { id } else { open };
            let reason = tape.pick(&[0, 0, 0, 0x80, 0x92]);
            let count = if level == 5 && reason > 0 { 3 } else { 2 };
            enclose(first, &[id[0], id[1], reason][..count])
        }
        22 => enclose(tape.pick(&[0xC0, 0xC0, 0xD0, 0xF0, 0x10]), &[]),
        _ => enclose(0xE0, if level == 5 { tape.take(1) } else { &[] }),
    }
}
