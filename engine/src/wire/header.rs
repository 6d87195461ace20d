//! The fixed header, section 2.1, and the Variable Byte Integer, section 1.5.5.
//!
//! ```text
//! first: type (4 bits) | flags (4 bits)   Remaining Length: 1 to 4 bytes   body: Remaining Length bytes
//! ```

use super::{Fault, Version};
use crate::limits::REMAINING_LENGTH_MAX;

/// Bytes that a Variable Byte Integer may take.
const VARINT_BYTES_MAX: usize = 4;

/// What the first bytes of a stream say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub first: u8,
    /// Bytes before the body.
    pub header_len: usize,
    /// Bytes of the whole packet, header included.
    pub total_len: usize,
}

/// What the first bytes of a stream say. `None`: more bytes are needed.
pub fn peek(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    PacketType::of(first)?;
    match varint(&bytes[1..])? {
        Some((remaining, len)) => {
            Ok(Some(Header { first, header_len: 1 + len, total_len: 1 + len + remaining as usize }))
        }
        None => Ok(None),
    }
}

impl Header {
    /// [MQTT-1.5.5-1] is new in MQTT 5: before it a padded Remaining Length was legal.
    #[inline]
    pub(super) fn check_minimal(&self, version: Version) -> Result<(), Fault> {
        let body = self.total_len - self.header_len;
        if version.is_v5() && 1 + varint_len(body) != self.header_len {
            return Err(Fault::malformed("Remaining Length is not in its shortest form"));
        }
        Ok(())
    }
}

/// Control Packet type, section 2.1.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PacketType {
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    #[inline]
    pub(super) fn of(first: u8) -> Result<PacketType, Fault> {
        Ok(match first >> 4 {
            1 => PacketType::Connect,
            2 => PacketType::Connack,
            3 => PacketType::Publish,
            4 => PacketType::Puback,
            5 => PacketType::Pubrec,
            6 => PacketType::Pubrel,
            7 => PacketType::Pubcomp,
            8 => PacketType::Subscribe,
            9 => PacketType::Suback,
            10 => PacketType::Unsubscribe,
            11 => PacketType::Unsuback,
            12 => PacketType::Pingreq,
            13 => PacketType::Pingresp,
            14 => PacketType::Disconnect,
            15 => PacketType::Auth,
            _ => return Err(Fault::malformed("packet type 0 is reserved")),
        })
    }

    /// Of its fixed header, for every type but PUBLISH.
    #[inline]
    pub(super) fn first_byte(self) -> u8 {
        (self as u8) << 4 | self.flags()
    }

    /// The flags that [MQTT-2.1.3-1] fixes, for every type but PUBLISH.
    fn flags(self) -> u8 {
        match self {
            PacketType::Pubrel | PacketType::Subscribe | PacketType::Unsubscribe => 0b0010,
            _ => 0,
        }
    }
}

/// Refuses reserved flags that are not as fixed [MQTT-2.1.3-1] [3.1.1: MQTT-2.2.2-1..2]. Those of PUBLISH mean something.
/// PUBREL [MQTT-3.6.1-1] [3.1.1: MQTT-3.6.1-1], SUBSCRIBE [MQTT-3.8.1-1] [3.1.1: MQTT-3.8.1-1], UNSUBSCRIBE
/// [MQTT-3.10.1-1] [3.1.1: MQTT-3.10.1-1], DISCONNECT [MQTT-3.14.1-1] [3.1.1: MQTT-3.14.1-1], AUTH [MQTT-3.15.1-1].
#[inline]
pub(super) fn check_flags(version: Version, packet_type: PacketType, flags: u8) -> Result<(), Fault> {
    if packet_type == PacketType::Publish {
        return Ok(());
    }
    let fixed = packet_type.flags();
    // MQTT 3.1 sends these three at QoS 1 and so may set DUP when it repeats them.
    let repeated = version == Version::V31 && fixed == 0b0010 && flags == 0b1010;
    if flags != fixed && !repeated {
        return Err(Fault::malformed("reserved flags of the fixed header"));
    }
    Ok(())
}

/// Reads a Variable Byte Integer and says how many bytes it took. `None`: it goes on after `bytes`.
#[inline]
pub(super) fn varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, Fault> {
    let mut value = 0;
    for (i, &byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok(Some((value, i + 1)));
        }
    }
    if bytes.len() >= VARINT_BYTES_MAX {
        return Err(Fault::malformed("Variable Byte Integer of more than four bytes"));
    }
    Ok(None)
}

#[inline]
pub(super) fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

#[inline]
pub(super) fn put_varint(value: usize, out: &mut Vec<u8>) {
    debug_assert!(value <= REMAINING_LENGTH_MAX);
    let mut rest = value;
    while rest > 0x7F {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Writes a fixed header around the body that `body` appends.
pub(super) fn enclose(packet_type: PacketType, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(packet_type.first_byte());
    let start = out.len();
    body(out);
    // Most bodies are shorter than 128 bytes: moving them by one costs less than counting first.
    let len = out.len() - start;
    put_varint(len, out);
    let header_len = out.len() - start - len;
    out[start..].rotate_right(header_len);
}
