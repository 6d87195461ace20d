//! Runs: PUBLISH packets that follow each other and differ in their payloads alone, as a device sends them that reports
//! one figure again and again. A run is passed on as one; with QoS 0 that costs little more than to copy it. And the
//! PUBACKs that answer one.
//!
//! ```text
//! first | len | topic | (id) | payload    first | len | topic | (id) | payload    …
//! ^ the same   ^ the same                  QoS 0 or 1, DUP 0, RETAIN 0, without properties
//! ```

use super::header::{Header, varint_len};
use super::{QoS, Version};
use crate::limits::RUN_BYTES_MAX;

const PUBLISH_QOS_0: u8 = 0x30;
const PUBLISH_QOS_1: u8 = 0x32;
const PUBACK: [u8; 2] = [0x40, 2];
/// Bytes of a PUBACK that says success.
pub const PUBACK_BYTES: usize = PUBACK.len() + PACKET_ID_BYTES;
const PACKET_ID_BYTES: usize = 2;
/// Bytes of the Topic Name's length.
const LENGTH_BYTES: usize = 2;

/// See the module. As any client of the same version may get it: these packets have no other form.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The packets, one after the other.
    pub bytes: &'a [u8],
    /// Not empty. Whether it is UTF-8 and may be published to, nobody has looked.
    pub topic: &'a [u8],
    pub version: Version,
    pub qos: QoS,
    pub count: u32,
    /// Of all payloads together.
    pub payload_bytes: usize,
    /// Of the largest packet.
    pub packet_bytes: usize,
}

impl<'a> Run<'a> {
    /// The run that `bytes` begin with; `first` is what they say of their first packet, which is complete. No packet of
    /// it is larger than `packet_bytes_max`.
    #[inline]
    pub fn of(version: Version, bytes: &'a [u8], first: &Header, packet_bytes_max: usize) -> Option<Run<'a>> {
        let qos = match first.first {
            PUBLISH_QOS_0 => QoS::AtMostOnce,
            PUBLISH_QOS_1 => QoS::AtLeastOnce,
            _ => return None,
        };
        let packet = bytes.get(..first.total_len)?;
        let (&length, rest) = packet.get(first.header_len..)?.split_first_chunk::<LENGTH_BYTES>()?;
        let topic = rest.get(..usize::from(u16::from_be_bytes(length)))?;
        if topic.is_empty() {
            return None;
        }
        let mut run = Run { bytes: &[], topic, version, qos, count: 0, payload_bytes: 0, packet_bytes: 0 };
        let mut end = 0;
        while let Some((packet, _, payload)) = run.next(&bytes[end..]) {
            if end + packet > RUN_BYTES_MAX && run.count > 0 || packet > packet_bytes_max {
                break;
            }
            end += packet;
            run.count += 1;
            run.payload_bytes += payload.len();
            run.packet_bytes = run.packet_bytes.max(packet);
        }
        run.bytes = &bytes[..end];
        (run.count > 0).then_some(run)
    }

    /// Packet Identifiers, 0 with QoS 0, and payloads, in their order.
    pub fn packets(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let (run, mut rest) = (*self, self.bytes);
        std::iter::from_fn(move || {
            let (packet, id, payload) = run.next(rest)?;
            rest = &rest[packet..];
            Some((id, payload))
        })
    }

    /// Bytes of the packet that `bytes` begin with, its identifier and payload, if it is whole and of this run.
    #[inline]
    fn next(&self, bytes: &'a [u8]) -> Option<(usize, u16, &'a [u8])> {
        let first = if self.qos == QoS::AtMostOnce { PUBLISH_QOS_0 } else { PUBLISH_QOS_1 };
        let (remaining, header_len) = match *bytes {
            [other, ..] if other != first => return None,
            [_, low @ ..0x80, ..] => (usize::from(low), 2),
            [_, low, high @ 1..0x80, ..] => (usize::from(low & 0x7F) | usize::from(high) << 7, 3),
            [_, low, middle @ 0x80..=0xFF, high @ 1..0x80, ..] => {
                let low = usize::from(low & 0x7F) | usize::from(middle & 0x7F) << 7;
                (low | usize::from(high) << 14, 4)
            }
            _ => return None,
        };
        debug_assert_eq!(header_len, 1 + varint_len(remaining), "others have a longer form, [MQTT-1.5.5-1]");
        let total = header_len + remaining;
        let (length, rest) = bytes.get(header_len..total)?.split_first_chunk::<LENGTH_BYTES>()?;
        if usize::from(u16::from_be_bytes(*length)) != self.topic.len() {
            return None;
        }
        let mut rest = rest.strip_prefix(self.topic)?;
        let mut id = 0;
        if self.qos > QoS::AtMostOnce {
            let (number, behind) = rest.split_first_chunk::<PACKET_ID_BYTES>()?;
            (id, rest) = (u16::from_be_bytes(*number), behind);
            if id == 0 {
                return None; // [MQTT-2.2.1-3]: whoever decodes it says so
            }
        }
        match self.version {
            // Without properties the length of them is there.
            Version::V5 => rest.strip_prefix(&[0]).map(|payload| (total, id, payload)),
            _ => Some((total, id, rest)),
        }
    }

    /// Appends the PUBACKs of a run, each of them success.
    pub fn acknowledge(&self, out: &mut Vec<u8>) {
        out.reserve(self.count as usize * PUBACK_BYTES);
        for (id, _) in self.packets() {
            let [high, low] = id.to_be_bytes();
            out.extend_from_slice(&[PUBACK[0], PUBACK[1], high, low]);
        }
    }
}

/// The Packet Identifiers of the PUBACKs that `bytes` begin with, as far as they say success in their shortest form.
pub fn pubacks(bytes: &[u8]) -> impl Iterator<Item = u16> {
    let ids = bytes.chunks_exact(PUBACK_BYTES).map_while(|packet| packet.strip_prefix(&PUBACK));
    ids.map_while(|id| id.first_chunk().map(|id| u16::from_be_bytes(*id)).filter(|id| *id != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Packet, Publish, QoS, decode, encode, peek};

    fn publish(version: Version, topic: &str, payload: &[u8], retain: bool, out: &mut Vec<u8>) {
        let (qos, dup, packet_id, properties) = (QoS::AtMostOnce, false, 0, Default::default());
        let packet = Publish { dup, qos, retain, topic, packet_id, properties, payload };
        encode(version, &Packet::Publish(packet), out);
    }

    fn run_of(version: Version, bytes: &[u8]) -> Option<Run<'_>> {
        Run::of(version, bytes, &peek(bytes).unwrap()?, usize::MAX)
    }

    #[test]
    fn a_run_ends_where_something_else_than_the_payload_differs() {
        for version in [Version::V31, Version::V311, Version::V5] {
            let mut bytes = Vec::new();
            let long = vec![0; 20_000];
            let payloads: [&[u8]; 5] = [b"1", b"", &[7; 130], &long, b"x"];
            payloads.iter().for_each(|payload| publish(version, "a/b", payload, false, &mut bytes));
            let end = bytes.len();
            publish(version, "a/c", b"1", false, &mut bytes);
            let run = run_of(version, &bytes).unwrap();
            assert_eq!((run.bytes.len(), run.topic, run.count), (end, &b"a/b"[..], 5));
            assert!(run.packets().eq(payloads.map(|payload| (0, payload))));
            assert_eq!(run.payload_bytes, payloads.iter().map(|payload| payload.len()).sum());
            let largest = run.packet_bytes;
            assert!(largest > 20_000 && largest < 20_020);
            // What is not whole is not of it, wherever it is cut.
            for cut in [1, 2, 3, end - 1] {
                let whole = run_of(version, &bytes[..cut]).map_or(0, |run| run.bytes.len());
                assert!(whole < cut && decode(version, &bytes[..cut]).is_err());
            }
            for (topic, retain) in [("a/bb", false), ("a", false), ("a/b", true)] {
                let mut bytes = bytes[..end].to_vec();
                publish(version, topic, b"1", retain, &mut bytes);
                assert_eq!(run_of(version, &bytes).unwrap().bytes.len(), end);
            }
        }
    }

    #[test]
    fn what_is_no_plain_publish_begins_no_run() {
        for bytes in [
            &b"\x31\x04\0\x01ab"[..],
            b"\x34\x06\0\x01a\0\x01b",
            b"\x3a\x06\0\x01a\0\x01b",
            b"\x38\x04\0\x01ab",
            b"\x30\x02\0\0",
            b"\xc0\0",
        ] {
            assert!(run_of(Version::V311, bytes).is_none(), "{bytes:?}");
        }
        assert!(run_of(Version::V311, b"\x30\x04\0\x09ab").is_none(), "a topic longer than the packet");
        assert!(run_of(Version::V311, b"\x30\x84\0\0\x01ab").is_none(), "a padded length has another form");
        let mut padded = b"\x30\x84\0\x01\x01\x04".to_vec();
        padded.resize(20_000, b't');
        let mut run = b"\x30\x86\x02\x01\x04".to_vec();
        run.resize(3 + 0x106, b't');
        let end = run.len();
        run.extend(padded);
        assert_eq!(run_of(Version::V311, &run).unwrap().bytes.len(), end, "a padded length after a long topic");
        assert!(run_of(Version::V5, b"\x30\x06\0\x01a\x02\x01\x01").is_none(), "properties");
        assert!(run_of(Version::V5, b"\x30\x03\0\x01a").is_none(), "no length of properties");
    }

    #[test]
    fn a_run_of_qos_1_has_identifiers_and_is_acknowledged_packet_by_packet() {
        for version in [Version::V311, Version::V5] {
            let mut bytes = Vec::new();
            for packet_id in [7, 258, 9] {
                let (qos, properties) = (QoS::AtLeastOnce, Default::default());
                let (topic, payload) = ("a/b", &b"x"[..]);
                let packet = Publish { qos, dup: false, retain: false, topic, packet_id, properties, payload };
                encode(version, &Packet::Publish(packet), &mut bytes);
            }
            let end = bytes.len();
            publish(version, "a/b", b"x", false, &mut bytes);
            let run = run_of(version, &bytes).unwrap();
            assert_eq!((run.bytes.len(), run.qos), (end, QoS::AtLeastOnce));
            assert!(run.packets().eq([7, 258, 9].map(|id| (id, &b"x"[..]))));
            let mut acks = Vec::new();
            run.acknowledge(&mut acks);
            assert_eq!(acks, b"\x40\x02\0\x07\x40\x02\x01\x02\x40\x02\0\x09");
            acks.extend(b"\x40\x02\0\0\x40\x02\0\x01");
            assert!(pubacks(&acks).eq([7, 258, 9]), "up to one that is malformed");
            assert!(pubacks(b"\x40\x02\0\x01\x40\x03\0\x01\0").eq([1]), "up to one with a reason");
            assert!(pubacks(b"\x40\x02\0\x01\x40\x02\0").eq([1]), "up to one that is not whole");
        }
    }

    #[test]
    fn a_run_is_bounded() {
        let mut bytes = Vec::new();
        (0..3).for_each(|_| publish(Version::V311, "a", &vec![0; RUN_BYTES_MAX - 100], false, &mut bytes));
        assert_eq!(run_of(Version::V311, &bytes).unwrap().count, 1);
        let mut bytes = Vec::new();
        for payload in [&[0; 5][..], &[0; 50], &[0; 5]] {
            publish(Version::V311, "a", payload, false, &mut bytes);
        }
        let first = peek(&bytes).unwrap().unwrap();
        assert_eq!(Run::of(Version::V311, &bytes, &first, 50).unwrap().count, 1, "the second is too large");
        let mut large = Vec::new();
        publish(Version::V311, "a", &vec![0; 2 * RUN_BYTES_MAX], false, &mut large);
        assert_eq!(run_of(Version::V311, &large).unwrap().count, 1);
    }
}
