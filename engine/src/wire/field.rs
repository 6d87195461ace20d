//! The fields that packets are made of, section 1.5: integers, texts, binaries.

use super::header::{varint, varint_len};
use super::{Fault, TopicNames};
use crate::limits::STRING_BYTES_MAX;

const ENDS_EARLY: Fault = Fault::malformed("the packet ends inside a field");

/// Takes fields from the front of a packet's body.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that is left.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Refuses bytes behind the last field.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        if self.rest.is_empty() { Ok(()) } else { Err(Fault::malformed("bytes behind the last field")) }
    }

    #[inline]
    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        let (&byte, rest) = self.rest.split_first().ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(byte)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        let (&bytes, rest) = self.rest.split_first_chunk().ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(u16::from_be_bytes(bytes))
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        let (&bytes, rest) = self.rest.split_first_chunk().ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(bytes))
    }

    /// A Packet Identifier, which is never 0 [MQTT-2.2.1-3] [3.1.1: MQTT-2.3.1-1].
    #[inline]
    pub(super) fn packet_id(&mut self) -> Result<u16, Fault> {
        match self.u16()? {
            0 => Err(Fault::protocol("Packet Identifier 0")),
            packet_id => Ok(packet_id),
        }
    }

    /// A Variable Byte Integer in its shortest form [MQTT-1.5.5-1].
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u32, Fault> {
        let (value, len) = varint(self.rest)?.ok_or(ENDS_EARLY)?;
        if varint_len(value as usize) != len {
            return Err(Fault::malformed("Variable Byte Integer that is not in its shortest form"));
        }
        self.rest = &self.rest[len..];
        Ok(value)
    }

    #[inline]
    pub(super) fn binary(&mut self) -> Result<&'a [u8], Fault> {
        let len = self.u16()?;
        self.bytes(usize::from(len))
    }

    /// A UTF-8 Encoded String without U+0000 [MQTT-1.5.4-1] [MQTT-1.5.4-2] [3.1.1: MQTT-1.5.3-1..2]. U+FEFF is a
    /// character like any other, wherever it stands [MQTT-1.5.4-3] [3.1.1: MQTT-1.5.3-3].
    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a str, Fault> {
        let text = utf8(self.binary()?)?;
        if contains(text, |byte| byte == 0) {
            return Err(Fault::malformed("U+0000 in a UTF-8 string"));
        }
        Ok(text)
    }

    /// A Topic Name, possibly empty. Without U+0000 [MQTT-4.7.3-2] [3.1.1: MQTT-4.7.3-2], without wildcards unless
    /// patterns are allowed [MQTT-4.7.0-1] [3.1.1: MQTT-4.7.1-1]. Its length is two bytes [MQTT-4.7.3-3]
    /// [3.1.1: MQTT-4.7.3-3].
    #[inline]
    pub(super) fn topic_name(&mut self, names: TopicNames) -> Result<&'a str, Fault> {
        let name = utf8(self.binary()?)?;
        if contains(name, |byte| matches!(byte, 0 | b'+' | b'#')) {
            if contains(name, |byte| byte == 0) {
                return Err(Fault::malformed("U+0000 in a UTF-8 string"));
            }
            if names == TopicNames::Literal {
                return Err(Fault::malformed("wildcard in a Topic Name"));
            }
        }
        Ok(name)
    }

    /// A Topic Filter: a text [MQTT-3.8.3-1] [MQTT-3.10.3-1] [3.1.1: MQTT-3.8.3-1] [3.1.1: MQTT-3.10.3-1] of at least
    /// one character [MQTT-4.7.3-1] [3.1.1: MQTT-4.7.3-1]. Where wildcards stand is the session's to judge.
    #[inline]
    pub(super) fn topic_filter(&mut self) -> Result<&'a str, Fault> {
        match self.text()? {
            "" => Err(Fault::malformed("empty Topic Filter")),
            filter => Ok(filter),
        }
    }
}

#[inline]
fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::malformed("text that is not UTF-8"))
}

/// Whether any byte satisfies `wanted`. Looks at all of them, since a loop without an early exit is vectorised.
#[inline]
pub(super) fn contains(text: &str, wanted: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(false, |found, byte| found | wanted(byte))
}

#[inline]
pub(super) fn put_u16(value: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

#[inline]
pub(super) fn put_binary(bytes: &[u8], out: &mut Vec<u8>) {
    debug_assert!(bytes.len() <= STRING_BYTES_MAX);
    let bytes = &bytes[..bytes.len().min(STRING_BYTES_MAX)];
    put_u16(bytes.len() as u16, out);
    out.extend_from_slice(bytes);
}

#[inline]
pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    debug_assert!(text.len() <= STRING_BYTES_MAX);
    put_binary(&text.as_bytes()[..text.floor_char_boundary(STRING_BYTES_MAX)], out);
}

/// Bytes that `put_text` appends.
#[inline]
pub(super) fn text_len(text: &str) -> usize {
    2 + text.floor_char_boundary(STRING_BYTES_MAX)
}
