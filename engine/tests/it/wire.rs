//! The codec: what it writes it reads, however the bytes are split, and what it must refuse it refuses.

mod differential;
mod malformed;
mod spelled;
mod strategy;

use engine::wire::*;
use proptest::collection::vec;
use proptest::prelude::*;
use strategy::{packet, versioned};

fn encoded(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(version, packet, &mut out);
    out
}

/// Takes whole packets out of a stream that arrives in pieces.
#[derive(Default)]
struct Stream {
    waiting: Vec<u8>,
}

impl Stream {
    fn push(&mut self, piece: &[u8], whole: &mut Vec<Vec<u8>>) -> Result<(), Fault> {
        self.waiting.extend_from_slice(piece);
        while let Some(header) = peek(&self.waiting)? {
            if self.waiting.len() < header.total_len {
                break;
            }
            whole.push(self.waiting.drain(..header.total_len).collect());
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_decodes_to_itself((version, packet) in versioned()) {
        let bytes = encoded(version, &packet);
        let header = peek(&bytes).unwrap().unwrap();
        prop_assert_eq!(header.first, bytes[0]);
        prop_assert_eq!(header.total_len, bytes.len());
        prop_assert_eq!(decode(version, &bytes), Ok(packet));
        prop_assert_eq!(decode_patterns(version, &bytes), Ok(packet));
    }

    #[test]
    fn encoding_appends((version, packet) in versioned(), before in vec(any::<u8>(), 0..200)) {
        let mut out = before.clone();
        encode(version, &packet, &mut out);
        prop_assert_eq!(&out[..before.len()], &before[..]);
        prop_assert_eq!(&out[before.len()..], &encoded(version, &packet)[..]);
    }

    #[test]
    fn no_prefix_of_a_packet_decodes((version, packet) in versioned()) {
        let bytes = encoded(version, &packet);
        // Every place near the ends, and some between.
        let step = 1 + bytes.len() / 1_000;
        for end in (0..bytes.len()).filter(|end| *end < 300 || end % step == 0) {
            prop_assert!(decode(version, &bytes[..end]).is_err(), "{} of {} bytes", end, bytes.len());
            let header = peek(&bytes[..end]).unwrap();
            prop_assert!(header.is_none_or(|header| header.total_len == bytes.len()));
        }
    }

    /// A body that ends early though Remaining Length agrees with it must not be read past its end.
    #[test]
    fn a_shortened_body_never_panics((version, packet) in versioned(), keep in 0.0..1.0f64) {
        let bytes = encoded(version, &packet);
        let header = peek(&bytes).unwrap().unwrap();
        let len = ((bytes.len() - header.header_len) as f64 * keep) as usize;
        let shortened = framed(bytes[0], &bytes[header.header_len..header.header_len + len]);
        if let Ok(packet) = decode(version, &shortened) {
            read_everything(&packet);
        }
    }

    #[test]
    fn changed_bytes_never_panic(
        (version, packet) in versioned(),
        other in strategy::version(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encoded(version, &packet);
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        for version in [version, other] {
            if let Ok(packet) = decode_patterns(version, &bytes) {
                read_everything(&packet);
            }
        }
    }

    /// What decodes is legal, so it can be sent on, and says the same again.
    #[test]
    fn what_decodes_encodes_to_the_same_meaning(
        (version, packet) in versioned(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
    ) {
        let mut bytes = encoded(version, &packet);
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(packet) = decode(version, &bytes) {
            // A CONNECT is read again in the version that it names.
            let again = encoded(version, &packet);
            prop_assert_eq!(decode(version, &again), Ok(packet));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_split_anywhere_gives_the_same_packets(
        (version, packets) in strategy::version().prop_flat_map(|v| (Just(v), vec(packet(v), 1..6))),
        cuts in vec(any::<prop::sample::Index>(), 0..30),
        by_bytes in any::<bool>(),
    ) {
        let mut bytes = Vec::new();
        for packet in &packets {
            encode(version, packet, &mut bytes);
        }
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        if by_bytes {
            places.extend(0..bytes.len().min(300));
        }
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let (mut stream, mut whole) = (Stream::default(), Vec::new());
        for piece in places.windows(2) {
            stream.push(&bytes[piece[0]..piece[1]], &mut whole).unwrap();
        }
        let read: Result<Vec<_>, _> = whole.iter().map(|bytes| decode(version, bytes)).collect();
        prop_assert_eq!(read, Ok(packets));
        prop_assert!(stream.waiting.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(version in strategy::version(), bytes in vec(any::<u8>(), 0..64)) {
        let _ = peek(&bytes);
        let _ = connect_version(&bytes);
        let _ = decode(version, &bytes);
    }

    /// A right header, so that the bodies are reached.
    #[test]
    fn random_bodies_never_panic(
        version in strategy::version(),
        first in any::<u8>(),
        body in vec(prop_oneof![any::<u8>(), 0..4u8, 0..0x2Bu8], 0..48),
    ) {
        if let Ok(packet) = decode_patterns(version, &framed(first, &body)) {
            read_everything(&packet);
        }
        let connect = [b"\0\x04MQTT\x05", &body[..]].concat();
        if let Ok(packet) = decode_patterns(version, &framed(0x10, &connect)) {
            read_everything(&packet);
        }
    }

    /// Bytes that were never validated give fewer properties, nothing worse.
    #[test]
    fn properties_of_random_bytes_never_panic(bytes in vec(prop_oneof![any::<u8>(), 0..0x2Bu8], 0..48)) {
        read_properties(&Properties::from_encoded(&bytes));
    }
}

/// A fixed header around `body`, by another way than the codec's.
fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut len = body.len();
    loop {
        out.push((len % 128) as u8 | if len > 127 { 0x80 } else { 0 });
        len /= 128;
        if len == 0 {
            break;
        }
    }
    [&out, body].concat()
}

/// Reads every field that is kept as bytes.
fn read_everything(packet: &Packet<'_>) {
    match packet {
        Packet::Connect(p) => {
            read_properties(&p.properties);
            if let Some(will) = &p.will {
                read_properties(&will.properties);
            }
        }
        Packet::Connack(p) => read_properties(&p.properties),
        Packet::Publish(p) => read_properties(&p.properties),
        Packet::Ack(p) => read_properties(&p.properties),
        Packet::Subscribe(p) => assert_eq!(p.filters.iter().count(), p.filters.len()),
        Packet::Suback(p) => read_properties(&p.properties),
        Packet::Unsubscribe(p) => assert_eq!(p.filters.iter().count(), p.filters.len()),
        Packet::Unsuback(p) => read_properties(&p.properties),
        Packet::Disconnect(p) => read_properties(&p.properties),
        Packet::Auth(p) => read_properties(&p.properties),
        Packet::Pingreq | Packet::Pingresp => (),
    }
}

fn read_properties(properties: &Properties<'_>) {
    let count = properties.iter().count();
    assert!(properties.user_properties().count() + properties.subscription_identifiers().count() <= count.max(48));
    let mut out = Vec::new();
    properties.forwarded(&mut out, |_, _| false);
    assert!(out.len() <= properties.bytes().len());
}
