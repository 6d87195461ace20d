//! The packets of MQTT 3.1.1 and 5 that a load generator writes, and how it reads what comes.
//!
//! Its own, so that nothing is shared with a broker that it measures.

use std::ops::Range;

use crate::stamp::{STAMP_BYTES, STAMP_MARK, STAMP_TEXT_BYTES, Stamp};

/// The Protocol Version byte of CONNECT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    V4,
    V5,
}

impl Version {
    pub fn name(self) -> &'static str {
        if self == Version::V5 { "5" } else { "3.1.1" }
    }

    /// An empty property list, where this version has one.
    fn properties(self) -> &'static [u8] {
        if self == Version::V5 { &[0] } else { &[] }
    }
}

pub const DISCONNECT: [u8; 2] = [0xe0, 0];

fn remaining_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let byte = (length % 128) as u8;
        length /= 128;
        out.push(byte | if length > 0 { 0x80 } else { 0 });
        if length == 0 {
            return;
        }
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    remaining_length(&mut out, body.len());
    out.extend(body);
    out
}

/// Seconds, in CONNECT: the most that can be said, as subscribers of QoS 0 write nothing for as long as a run lasts. None at
/// all would be 0, which rumqttd refuses.
const KEEP_ALIVE_S: u16 = u16::MAX;

/// CONNECT with Clean Session (Clean Start).
pub fn connect(version: Version, client_id: &str) -> Vec<u8> {
    let level = if version == Version::V5 { 5 } else { 4 };
    let mut body = b"\0\x04MQTT".to_vec();
    body.extend([level, 2]);
    body.extend(KEEP_ALIVE_S.to_be_bytes());
    body.extend(version.properties());
    string(&mut body, client_id);
    packet(0x10, &body)
}

/// SUBSCRIBE with Packet Identifier 1.
pub fn subscribe(version: Version, filter: &str, qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    body.extend(version.properties());
    string(&mut body, filter);
    body.push(qos);
    packet(0x82, &body)
}

/// PUBLISH, with this Packet Identifier if its QoS has one.
pub fn publish(version: Version, topic: &str, payload: &[u8], qos: u8, retain: bool, id: u16) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 5);
    string(&mut body, topic);
    if qos > 0 {
        body.extend(id.to_be_bytes());
    }
    body.extend(version.properties());
    body.extend(payload);
    packet(0x30 | qos << 1 | u8::from(retain), &body)
}

/// An acknowledgement: PUBACK, PUBREC, PUBREL or PUBCOMP.
pub fn acknowledge(first: u8, id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [first, 2, high, low]
}

pub const PUBACK: u8 = 0x40;
pub const PUBREC: u8 = 0x50;
pub const PUBREL: u8 = 0x62;
pub const PUBCOMP: u8 = 0x70;

/// A PUBLISH that is written again and again with another stamp.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Vec<u8>,
    stamp_at: usize,
    /// Where the Packet Identifier is, above QoS 0.
    id_at: Option<usize>,
    is_text: bool,
}

impl Template {
    /// With a payload that has room for a stamp: at its start, or as text behind the first `STAMP_MARK` in it.
    pub fn new(version: Version, topic: &str, qos: u8, retain: bool, payload: &[u8]) -> Template {
        let bytes = publish(version, topic, payload, qos, retain, 0);
        let payload_at = bytes.len() - payload.len();
        let mark = payload.iter().position(|byte| *byte == STAMP_MARK);
        let stamp_at = payload_at + mark.map_or(0, |at| at + 1);
        let needs = if mark.is_some() { STAMP_TEXT_BYTES } else { STAMP_BYTES };
        assert!(bytes.len() >= stamp_at + needs, "a payload without room for a stamp");
        let id_at = (qos > 0).then(|| payload_at - version.properties().len() - 2);
        Template { bytes, stamp_at, id_at, is_text: mark.is_some() }
    }

    pub fn write(&self, out: &mut Vec<u8>, stamp: Stamp, id: u16) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let at = start + self.stamp_at;
        if self.is_text {
            stamp.write_text(&mut out[at..at + STAMP_TEXT_BYTES]);
        } else {
            stamp.write(&mut out[at..at + STAMP_BYTES]);
        }
        if let Some(id_at) = self.id_at {
            out[start + id_at..start + id_at + 2].copy_from_slice(&id.to_be_bytes());
        }
    }
}

/// What a generator's client may receive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Received {
    Publish(Publish),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP, by its first byte. `is_refused`: with a Reason Code above 0x7f.
    Acknowledged {
        first: u8,
        id: u16,
        is_refused: bool,
    },
    /// `receive_max` is what the broker takes at once, 65 535 if it does not say.
    Connack {
        code: u8,
        receive_max: u16,
    },
    Suback {
        code: u8,
    },
    Other(u8),
}

/// Where things are in a PUBLISH, counted from its first byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publish {
    pub first: u8,
    /// 0 if it has none.
    pub id: u16,
    pub topic: Range<usize>,
    pub payload: Range<usize>,
}

impl Publish {
    pub fn qos(&self) -> u8 {
        self.first >> 1 & 3
    }
}

/// The first packet of `bytes` and its length, or `None` while it is incomplete.
/// `Err` names what no broker should send.
pub fn scan(version: Version, bytes: &[u8]) -> Result<Option<(Received, usize)>, &'static str> {
    let Some((body_at, end)) = cut(bytes)? else { return Ok(None) };
    let Some(body) = bytes.get(body_at..end) else { return Ok(None) };
    let received = match bytes[0] >> 4 {
        3 => Received::Publish(published(version, bytes, body_at, end).ok_or("a PUBLISH that is too short")?),
        2 => connack(version, body).ok_or("a CONNACK that is too short")?,
        4..=7 => acknowledged(bytes[0], body).ok_or("an acknowledgement that is too short")?,
        9 => Received::Suback { code: *body.get(2..).and_then(<[u8]>::last).ok_or("a SUBACK that is too short")? },
        _ => Received::Other(bytes[0]),
    };
    Ok(Some((received, end)))
}

/// Where the body of the first packet begins and ends; its end may not be there yet.
pub fn cut(bytes: &[u8]) -> Result<Option<(usize, usize)>, &'static str> {
    let (mut length, mut at) = (0usize, 1);
    loop {
        let Some(&byte) = bytes.get(at) else { return Ok(None) };
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            return Ok(Some((at, at + length)));
        }
        if at == 5 {
            return Err("a Remaining Length of more than four bytes");
        }
    }
}

fn big_endian(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn published(version: Version, bytes: &[u8], body_at: usize, end: usize) -> Option<Publish> {
    let bytes = &bytes[..end];
    let topic = body_at + 2..body_at + 2 + usize::from(big_endian(bytes, body_at)?);
    let mut at = topic.end;
    let mut id = 0;
    if bytes[0] & 6 != 0 {
        id = big_endian(bytes, at)?;
        at += 2;
    }
    if version == Version::V5 {
        let (from, to) = properties(bytes, at)?;
        at = from + (to - from);
    }
    (at <= end).then_some(Publish { first: bytes[0], id, topic, payload: at..end })
}

/// Where a property list begins and ends, behind its length at `at`.
fn properties(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    // the length is written as a Remaining Length is, and `cut` wants a byte before one
    let (from, to) = cut(bytes.get(at - 1..)?).ok()??;
    Some((at - 1 + from, at - 1 + to))
}

fn connack(version: Version, body: &[u8]) -> Option<Received> {
    let code = *body.get(1)?;
    let mut receive_max = u16::MAX;
    if version == Version::V5 && code == 0 {
        let (mut at, end) = properties(body, 2)?;
        while at < end {
            let identifier = *body.get(at)?;
            at += 1;
            if identifier == 0x21 {
                receive_max = big_endian(body, at)?;
            }
            at += property_bytes(identifier, body, at)?;
        }
    }
    Some(Received::Connack { code, receive_max })
}

/// Bytes of the value of a property that a CONNACK may have.
fn property_bytes(identifier: u8, body: &[u8], at: usize) -> Option<usize> {
    let text = |at: usize| Some(2 + usize::from(big_endian(body, at)?));
    match identifier {
        0x24 | 0x25 | 0x28 | 0x29 | 0x2a => Some(1),
        0x13 | 0x21 | 0x22 => Some(2),
        0x11 | 0x27 => Some(4),
        0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => text(at),
        0x26 => {
            let key = text(at)?;
            Some(key + text(at + key)?)
        }
        _ => None,
    }
}

fn acknowledged(first: u8, body: &[u8]) -> Option<Received> {
    let is_refused = body.get(2).is_some_and(|code| *code > 0x7f);
    Some(Received::Acknowledged { first, id: big_endian(body, 0)?, is_refused })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_template_writes_is_scanned_back() {
        for version in [Version::V4, Version::V5] {
            for (qos, size) in [(0, STAMP_BYTES), (1, STAMP_BYTES), (0, 64), (2, 200), (0, 20_000)] {
                let mut out = Vec::new();
                let stamp = Stamp::new(3, 7, 99, 1234);
                Template::new(version, "a/b", qos, false, &vec![b'x'; size]).write(&mut out, stamp, 513);
                let (received, length) = scan(version, &out).unwrap().unwrap();
                let Received::Publish(publish) = received else { panic!("{received:?}") };
                assert_eq!((publish.qos(), publish.id), (qos, if qos > 0 { 513 } else { 0 }));
                assert_eq!((&out[publish.topic], length, publish.payload.end), (&b"a/b"[..], out.len(), out.len()));
                assert_eq!((publish.payload.len(), Stamp::read(&out[publish.payload.start..])), (size, Some(stamp)));
                for cut in 0..out.len() {
                    assert_eq!(scan(version, &out[..cut]), Ok(None));
                }
            }
        }
    }

    #[test]
    fn a_text_is_stamped_behind_its_mark() {
        let payload = format!("{{\"a\":\"@{}\"}}", "0".repeat(STAMP_TEXT_BYTES));
        let mut out = Vec::new();
        let stamp = Stamp::new(3, 7, 99, 1234);
        Template::new(Version::V4, "t", 1, true, payload.as_bytes()).write(&mut out, stamp, 2);
        assert_eq!(out[0], 0x33);
        let at = out.iter().position(|byte| *byte == STAMP_MARK).unwrap();
        assert_eq!(Stamp::read_text(&out[at + 1..]), Some(stamp));
        assert!(out.ends_with(b"\"}"));
    }

    #[test]
    fn properties_are_skipped_and_a_receive_maximum_is_read() {
        let with_subscription_identifier = [0x30, 7, 0, 1, b't', 2, 0x0b, 1, b'!'];
        let Some((Received::Publish(publish), 9)) = scan(Version::V5, &with_subscription_identifier).unwrap() else {
            panic!()
        };
        assert_eq!(publish.payload, 8..9);
        let connack = [0x20, 13, 0, 0, 10, 0x22, 0, 10, 0x12, 0, 1, b'c', 0x21, 0, 20];
        assert_eq!(scan(Version::V5, &connack).unwrap().unwrap().0, Received::Connack { code: 0, receive_max: 20 });
    }

    #[test]
    fn acknowledgements_may_refuse() {
        let refused = Received::Acknowledged { first: PUBACK, id: 258, is_refused: true };
        assert_eq!(scan(Version::V5, &[0x40, 3, 1, 2, 0x87]).unwrap().unwrap().0, refused);
        let taken = Received::Acknowledged { first: PUBREC, id: 258, is_refused: false };
        assert_eq!(scan(Version::V4, &acknowledge(PUBREC, 258)).unwrap().unwrap().0, taken);
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(scan(Version::V4, &[0x30, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
        assert!(scan(Version::V4, &[0x30, 3, 0, 9, 0]).is_err());
        assert!(scan(Version::V4, &[0x20, 1, 0]).is_err());
        assert!(scan(Version::V5, &[0x30, 4, 0, 1, b't', 9]).is_err());
    }
}
