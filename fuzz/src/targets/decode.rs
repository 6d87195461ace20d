//! Any bytes under the readers of packets: version and how topics are read, then a stream.
//!
//! What is read is what [`strict`] reads; it is written again as the same packet, no longer than it was; wherever the
//! stream is cut, its first bytes say the same or nothing; what is found as a run is what single reading finds.

use super::strict;
use engine::wire::{
    Header, Packet, Properties, PropertyBuffer, PublishHead, QoS, ReasonCode, Run, Version, connect_version, decode,
    decode_patterns, encode, peek, pubacks,
};

/// Packets of one input: more of them say nothing new.
const PACKETS_MAX: usize = 64;

pub fn run(input: &[u8]) {
    let [first, stream @ ..] = input else { return };
    let version = [Version::V5, Version::V311, Version::V31][usize::from(first % 3)];
    let patterns = first & 4 != 0;
    check_cuts(stream);
    let mut rest = stream;
    for _ in 0..PACKETS_MAX {
        let Ok(Some(header)) = peek(rest) else { break };
        check_run(version, rest, &header);
        check_pubacks(version, rest);
        let Some(bytes) = rest.get(..header.total_len) else { break };
        check_packet(version, patterns, bytes);
        rest = &rest[header.total_len..];
    }
}

/// Fewer bytes say the same about the first packet, or that more are needed.
fn check_cuts(stream: &[u8]) {
    let said = peek(stream);
    for cut in 0..stream.len().min(8) {
        let less = peek(&stream[..cut]);
        assert!(less == Ok(None) || less == said, "{cut} bytes say {less:?}, all of them {said:?}");
    }
    let naive = strict::whole(stream);
    assert_eq!(said.ok(), said.ok().filter(|_| naive.is_ok()), "{naive:?}");
    assert_eq!(said.map(|header| header.map(|header| header.total_len)).ok(), naive.ok());
}

fn check_packet(version: Version, patterns: bool, bytes: &[u8]) {
    let read = if patterns { decode_patterns(version, bytes) } else { decode(version, bytes) };
    let naive = strict::read(version as u8, patterns, bytes);
    match (&read, &naive) {
        (Ok(packet), Ok(naive)) => check_same(packet, naive),
        (Err(_), Err(_)) => {}
        _ => panic!("{read:?} where the tables say {naive:?}"),
    }
    if patterns {
        check_literal(version, bytes, read.as_ref().ok());
    }
    let Ok(packet) = read else { return };
    check_properties(properties_of(&packet));
    if let Packet::Connect(connect) = &packet {
        assert_eq!(connect_version(bytes), Some(connect.version));
    }
    // A CONNECT says itself what it speaks; nothing else does.
    let mut again = Vec::new();
    encode(version, &packet, &mut again);
    assert!(again.len() <= bytes.len(), "{packet:?} grew to {again:?}");
    let read_again = if patterns { decode_patterns(version, &again) } else { decode(version, &again) };
    assert_eq!(read_again, Ok(packet), "{again:?}");
    if let Packet::Publish(publish) = &packet {
        let head = PublishHead {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            topic: publish.topic,
            packet_id: publish.packet_id,
            forwarded: publish.properties.bytes(),
            message_expiry: None,
            subscription_ids: &[],
            extra: &[],
            payload_len: publish.payload.len(),
        };
        assert_eq!(head.encoded_len(version), again.len());
    }
}

/// Without patterns the same is read, or a wildcard is what was wrong.
fn check_literal(version: Version, bytes: &[u8], with: Option<&Packet<'_>>) {
    let has_wildcard = match with {
        Some(Packet::Publish(publish)) => publish.has_wildcard(),
        Some(Packet::Connect(connect)) => connect.will.is_some_and(|will| will.has_wildcard()),
        _ => false,
    };
    let literal = decode(version, bytes);
    assert_eq!(literal.as_ref().ok(), with.filter(|_| !has_wildcard));
}

fn properties_of<'a>(packet: &Packet<'a>) -> Properties<'a> {
    match packet {
        Packet::Connect(p) => p.properties,
        Packet::Connack(p) => p.properties,
        Packet::Publish(p) => p.properties,
        Packet::Ack(p) => p.properties,
        Packet::Subscribe(p) => p.properties,
        Packet::Suback(p) => p.properties,
        Packet::Unsubscribe(p) => p.properties,
        Packet::Unsuback(p) => p.properties,
        Packet::Disconnect(p) => p.properties,
        Packet::Auth(p) => p.properties,
        Packet::Pingreq | Packet::Pingresp => Properties::EMPTY,
    }
}

/// One by one they are all of the list; those that go on are some of it, in its order.
fn check_properties(properties: Properties<'_>) {
    let mut again = PropertyBuffer::new();
    properties.iter().for_each(|property| again.push(&property));
    assert_eq!(again.as_properties(), properties);
    let mut forwarded = Vec::new();
    properties.forwarded(&mut forwarded, |name, _| name == "mote");
    let mut all = properties.iter();
    for property in Properties::from_encoded(&forwarded).iter() {
        assert!(all.any(|other| other == property), "{property:?} in another order, or made up");
    }
    assert!(forwarded.len() <= properties.bytes().len());
}

/// Both readers say the same.
fn check_same(packet: &Packet<'_>, naive: &strict::Packet) {
    let count = properties_of(packet).iter().count();
    assert_eq!(count, naive.properties.len(), "properties of {packet:?}");
    let one = |reason: ReasonCode| vec![reason as u8];
    match packet {
        Packet::Connect(p) => {
            assert_eq!((p.version as u8, p.client_id), (naive.level, &naive.client_id[..]));
            assert_eq!((p.clean_start, p.will.is_some()), (naive.bits & 2 != 0, naive.bits & 4 != 0));
        }
        Packet::Connack(p) => {
            assert_eq!((u8::from(p.session_present), vec![p.code]), (naive.bits, naive.reasons.clone()))
        }
        Packet::Publish(p) => {
            assert_eq!((p.topic, p.payload, p.packet_id), (&naive.topic[..], &naive.payload[..], naive.id));
            let flags = u8::from(p.dup) << 3 | (p.qos as u8) << 1 | u8::from(p.retain);
            assert_eq!((naive.kind, flags), (strict::PUBLISH, naive.flags));
        }
        Packet::Ack(p) => {
            assert_eq!((p.kind as u8 + strict::PUBACK, p.packet_id), (naive.kind, naive.id));
            assert_eq!(one(p.reason), naive.reasons);
        }
        Packet::Subscribe(p) => {
            let filters: Vec<_> =
                p.filters.iter().map(|(filter, options)| (filter.to_owned(), options.to_byte())).collect();
            assert_eq!((p.packet_id, p.filters.len(), &filters), (naive.id, filters.len(), &naive.filters));
        }
        Packet::Unsubscribe(p) => {
            let filters: Vec<_> = p.filters.iter().map(|filter| (filter.to_owned(), 0)).collect();
            assert_eq!((p.packet_id, p.filters.len(), &filters), (naive.id, filters.len(), &naive.filters));
        }
        Packet::Suback(p) => assert_eq!((p.packet_id, p.reasons), (naive.id, &naive.reasons[..])),
        Packet::Unsuback(p) => assert_eq!((p.packet_id, p.reasons), (naive.id, &naive.reasons[..])),
        Packet::Disconnect(p) => assert_eq!((naive.kind, &one(p.reason)), (strict::DISCONNECT, &naive.reasons)),
        Packet::Auth(p) => assert_eq!((naive.kind, &one(p.reason)), (strict::AUTH, &naive.reasons)),
        Packet::Pingreq => assert_eq!(naive.kind, strict::PINGREQ),
        Packet::Pingresp => assert_eq!(naive.kind, strict::PINGRESP),
    }
}

/// What is found as a run is found packet by packet too, and its answers are what single ones would be.
fn check_run(version: Version, bytes: &[u8], header: &Header) {
    const PACKET_BYTES_MAX: usize = 300;
    let Some(run) = Run::of(version, bytes, header, PACKET_BYTES_MAX) else { return };
    let (mut rest, mut acks, mut payload_bytes, mut largest) = (run.bytes, Vec::new(), 0, 0);
    for (id, payload) in run.packets() {
        let header = peek(rest).expect("whole").expect("whole");
        let packet = &rest[..header.total_len];
        rest = &rest[header.total_len..];
        (payload_bytes, largest) = (payload_bytes + payload.len(), largest.max(packet.len()));
        // Whether the topic is one, the run has left open.
        let read = strict::read(version as u8, true, packet);
        match read {
            Ok(read) => {
                assert_eq!((read.topic.as_bytes(), &read.payload[..], read.id), (run.topic, payload, id));
                assert_eq!((read.qos(), read.flags & 9, read.properties.len()), (run.qos as u8, 0, 0));
            }
            Err(what) => assert!(matches!(what, "not UTF-8" | "U+0000"), "{what} in a run"),
        }
        acks.extend([0x40, 2, (id >> 8) as u8, id as u8]);
    }
    assert_eq!((rest.len(), payload_bytes, largest), (0, run.payload_bytes, run.packet_bytes));
    assert_eq!(run.packets().count(), run.count as usize);
    assert!(largest <= PACKET_BYTES_MAX);
    if run.qos == QoS::AtLeastOnce {
        let mut answered = Vec::new();
        run.acknowledge(&mut answered);
        assert_eq!(answered, acks);
        assert!(pubacks(&answered).eq(run.packets().map(|(id, _)| id)));
    }
}

/// PUBACKs that are read together are those that are read alone.
fn check_pubacks(version: Version, bytes: &[u8]) {
    let mut rest = bytes;
    for id in pubacks(bytes).take(PACKETS_MAX) {
        let read = strict::read(version as u8, false, &rest[..4]);
        assert!(read.is_ok_and(|read| (read.kind, read.id, read.reasons) == (strict::PUBACK, id, vec![0])));
        rest = &rest[4..];
    }
}
