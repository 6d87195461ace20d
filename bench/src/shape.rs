//! The PUBLISH packets that one connection gets are nearly all alike: which, is found out once.

use crate::packets::{Publish, Version, cut};

/// First byte, Remaining Length and length of the topic are in so many bytes at most.
const HEAD_BYTES: usize = 8;

/// A PUBLISH with the same first byte, lengths and, in MQTT 5, no properties: everything is where it was in the last.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    head: u64,
    /// Of the head, what is compared.
    mask: u64,
    pub length: usize,
    pub payload_at: usize,
    /// 0 if it has no Packet Identifier.
    id_at: usize,
    /// Where the length of the properties is; of a version without, where the payload begins less one.
    properties_at: usize,
    version: Version,
}

impl Default for Shape {
    /// Fits nothing.
    fn default() -> Shape {
        Shape { head: 1, mask: 0, length: HEAD_BYTES, payload_at: 0, id_at: 0, properties_at: 0, version: Version::V4 }
    }
}

impl Shape {
    /// The shape of a packet; one that fits nothing if it is too short to have one, or has properties.
    pub fn of(version: Version, bytes: &[u8], publish: &Publish) -> Shape {
        let id_at = if publish.qos() > 0 { publish.topic.end } else { 0 };
        let properties_at = publish.topic.end + if id_at > 0 { 2 } else { 0 };
        let is_plain = version == Version::V4 || publish.payload.start == properties_at + 1;
        match (bytes.first_chunk::<HEAD_BYTES>(), cut(bytes)) {
            (Some(head), Ok(Some((body_at, length)))) if is_plain => {
                let compared = body_at + 2;
                let mask = u64::MAX >> (8 * (HEAD_BYTES - compared));
                let head = u64::from_le_bytes(*head) & mask;
                Shape { head, mask, length, payload_at: publish.payload.start, id_at, properties_at, version }
            }
            _ => Shape::default(),
        }
    }

    /// The first packet of `bytes`, if it is whole and has this shape.
    #[inline]
    pub fn find<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let head = u64::from_le_bytes(*bytes.first_chunk::<HEAD_BYTES>()?);
        let packet = bytes.get(..self.length)?;
        let is_alike =
            head & self.mask == self.head && (self.version == Version::V4 || packet[self.properties_at] == 0);
        is_alike.then_some(packet)
    }

    #[inline]
    pub fn id(&self, packet: &[u8]) -> u16 {
        if self.id_at > 0 { u16::from_be_bytes([packet[self.id_at], packet[self.id_at + 1]]) } else { 0 }
    }

    pub fn qos(&self) -> u8 {
        self.head as u8 >> 1 & 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::{Received, publish, scan};

    fn shape(version: Version, bytes: &[u8]) -> Shape {
        let Some((Received::Publish(found), _)) = scan(version, bytes).unwrap() else { panic!() };
        Shape::of(version, bytes, &found)
    }

    #[test]
    fn a_packet_of_the_same_shape_is_found_and_no_other() {
        for version in [Version::V4, Version::V5] {
            for (qos, size) in [(0, 20), (1, 20), (2, 300), (0, 20_000), (1, 3_000_000)] {
                let payload = vec![7; size];
                let first = publish(version, "a/bc", &payload, qos, false, 1);
                let shape = shape(version, &first);
                let mut other = publish(version, "x/yz", &payload, qos, false, 514);
                let length = other.len();
                other.extend(b"more");
                let found = shape.find(&other).unwrap();
                assert_eq!((found.len(), shape.id(found), shape.qos()), (length, if qos > 0 { 514 } else { 0 }, qos));
                assert_eq!(&found[shape.payload_at..], payload);
                assert!(shape.find(&other[..length - 1]).is_none());
                assert!(shape.find(&publish(version, "a/bcd", &payload, qos, false, 1)).is_none());
                assert!(shape.find(&publish(version, "a/b", &payload, qos, false, 1)).is_none());
                assert!(shape.find(&publish(version, "a/bc", &payload, qos, true, 1)).is_none());
            }
        }
    }

    #[test]
    fn properties_and_short_packets_have_no_shape() {
        let with_properties = [0x30, 9, 0, 1, b't', 2, 0x01, 1, b'!', b'!', b'!'];
        assert!(shape(Version::V5, &with_properties).find(&with_properties).is_none());
        let plain = publish(Version::V5, "t", b"123456", 0, false, 0);
        let mut later = plain.clone();
        later[5] = 2;
        assert!(shape(Version::V5, &plain).find(&plain).is_some() && shape(Version::V5, &plain).find(&later).is_none());
        let short = publish(Version::V4, "t", b"", 0, false, 0);
        assert!(shape(Version::V4, &short).find(&short).is_none());
        assert!(Shape::default().find(&[0; 20]).is_none());
    }
}
