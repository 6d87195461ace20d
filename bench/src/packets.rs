//! The few packets of MQTT 3.1.1 that a load generator writes, and a scanner for what it reads.

/// Publisher (4 bytes) and sequence number (8 bytes), little endian, at the start of every payload.
pub const STAMP_BYTES: usize = 12;

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

/// CONNECT with Clean Session and no Keep Alive.
pub fn connect(client_id: &str) -> Vec<u8> {
    let mut out = vec![0x10];
    remaining_length(&mut out, 10 + 2 + client_id.len());
    out.extend(b"\0\x04MQTT\x04\x02\0\0");
    string(&mut out, client_id);
    out
}

/// SUBSCRIBE with Packet Identifier 1.
pub fn subscribe(filter: &str, qos: u8) -> Vec<u8> {
    let mut out = vec![0x82];
    remaining_length(&mut out, 2 + 2 + filter.len() + 1);
    out.extend([0, 1]);
    string(&mut out, filter);
    out.push(qos);
    out
}

/// PUBLISH, with Packet Identifier 1 if it has one.
pub fn publish(topic: &str, payload: &[u8], qos: u8, retain: bool) -> Vec<u8> {
    let mut out = vec![0x30 | qos << 1 | u8::from(retain)];
    remaining_length(&mut out, 2 + topic.len() + if qos > 0 { 2 } else { 0 } + payload.len());
    string(&mut out, topic);
    if qos > 0 {
        out.extend([0, 1]);
    }
    out.extend(payload);
    out
}

/// A PUBLISH that is written again and again with another stamp.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Vec<u8>,
    stamp_at: usize,
    /// Where the Packet Identifier is, with QoS 1.
    id_at: Option<usize>,
}

impl Template {
    /// `size` is that of the payload, at least `STAMP_BYTES`.
    pub fn new(topic: &str, qos: u8, size: usize, publisher: u32) -> Template {
        assert!(size >= STAMP_BYTES && qos <= 1);
        let mut bytes = vec![0x30 | qos << 1];
        remaining_length(&mut bytes, 2 + topic.len() + if qos > 0 { 2 } else { 0 } + size);
        string(&mut bytes, topic);
        let id_at = (qos > 0).then_some(bytes.len());
        if qos > 0 {
            bytes.extend([0, 0]);
        }
        let stamp_at = bytes.len();
        bytes.resize(stamp_at + size, b'x');
        bytes[stamp_at..stamp_at + 4].copy_from_slice(&publisher.to_le_bytes());
        Template { bytes, stamp_at, id_at }
    }

    pub fn write(&self, out: &mut Vec<u8>, sequence: u64, id: u16) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let at = start + self.stamp_at + 4;
        out[at..at + 8].copy_from_slice(&sequence.to_le_bytes());
        if let Some(id_at) = self.id_at {
            out[start + id_at..start + id_at + 2].copy_from_slice(&id.to_be_bytes());
        }
    }
}

/// What a generator's client may receive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    Publish { publisher: u32, sequence: u64, qos: u8, id: u16 },
    Puback,
    Connack { code: u8 },
    Suback { code: u8 },
    Other(u8),
}

/// The first packet of `bytes` and its length, or `None` while it is incomplete.
/// `Err` names what no broker should send.
pub fn scan(bytes: &[u8]) -> Result<Option<(Received, usize)>, &'static str> {
    let (mut length, mut at) = (0usize, 1);
    loop {
        let Some(&byte) = bytes.get(at) else { return Ok(None) };
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if at == 5 {
            return Err("a Remaining Length of more than four bytes");
        }
    }
    let Some(body) = bytes.get(at..at + length) else { return Ok(None) };
    Ok(Some((received(bytes[0], body)?, at + length)))
}

fn received(first: u8, body: &[u8]) -> Result<Received, &'static str> {
    match first >> 4 {
        3 => stamped(first, body).ok_or("a PUBLISH that is too short for this generator's stamp"),
        2 => body.get(1).map(|&code| Received::Connack { code }).ok_or("a CONNACK that is too short"),
        4 => Ok(Received::Puback),
        9 => body.get(2).map(|&code| Received::Suback { code }).ok_or("a SUBACK that is too short"),
        _ => Ok(Received::Other(first)),
    }
}

fn stamped(first: u8, body: &[u8]) -> Option<Received> {
    let topic = usize::from(u16::from_be_bytes(body.first_chunk().copied()?));
    let mut rest = body.get(2 + topic..)?;
    let qos = first >> 1 & 3;
    let mut id = 0;
    if qos > 0 {
        id = u16::from_be_bytes(rest.first_chunk().copied()?);
        rest = &rest[2..];
    }
    let publisher = u32::from_le_bytes(rest.first_chunk().copied()?);
    let sequence = u64::from_le_bytes(rest.get(4..)?.first_chunk().copied()?);
    Some(Received::Publish { publisher, sequence, qos, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_template_writes_is_scanned_back() {
        for (qos, size) in [(0, STAMP_BYTES), (1, STAMP_BYTES), (0, 64), (1, 200), (0, 20_000)] {
            let mut out = Vec::new();
            Template::new("a/b", qos, size, 7).write(&mut out, 99, 513);
            let id = if qos > 0 { 513 } else { 0 };
            let whole = Received::Publish { publisher: 7, sequence: 99, qos, id };
            assert_eq!(scan(&out), Ok(Some((whole, out.len()))));
            for cut in 0..out.len() {
                assert_eq!(scan(&out[..cut]), Ok(None));
            }
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(scan(&[0x30, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
        assert!(scan(&[0x30, 3, 0, 9, 0]).is_err());
        assert!(scan(&[0x20, 1, 0]).is_err());
    }
}
