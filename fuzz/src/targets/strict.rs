//! A second reader of MQTT packets, written from the tables of the specification and from nothing else: what a target
//! holds the broker's own reader and every byte that the broker sends against. Knows one packet at a time.

/// Packet types, section 2.1.2.
pub const CONNECT: u8 = 1;
pub const CONNACK: u8 = 2;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
pub const PUBREC: u8 = 5;
pub const PUBREL: u8 = 6;
pub const PUBCOMP: u8 = 7;
pub const SUBSCRIBE: u8 = 8;
pub const SUBACK: u8 = 9;
pub const UNSUBSCRIBE: u8 = 10;
pub const UNSUBACK: u8 = 11;
pub const PINGREQ: u8 = 12;
pub const PINGRESP: u8 = 13;
pub const DISCONNECT: u8 = 14;
pub const AUTH: u8 = 15;
/// Stands for the Will Properties, among packet types.
const WILL: u8 = 0;

pub const SESSION_EXPIRY: u8 = 0x11;
pub const AUTHENTICATION_METHOD: u8 = 0x15;
pub const RECEIVE_MAXIMUM: u8 = 0x21;
pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
pub const TOPIC_ALIAS: u8 = 0x23;
pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
pub const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
pub const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
const RESPONSE_TOPIC: u8 = 0x08;
const USER_PROPERTY: u8 = 0x26;
const AUTHENTICATION_DATA: u8 = 0x16;

/// A packet as it was read. What a type does not have is empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Packet {
    pub kind: u8,
    /// Low four bits of the first byte.
    pub flags: u8,
    /// Bytes of the whole packet.
    pub len: usize,
    /// 0 where there is none.
    pub id: u16,
    /// Of a PUBLISH.
    pub topic: String,
    pub payload: Vec<u8>,
    /// Reason Codes, Connect Return code, SUBACK return codes.
    pub reasons: Vec<u8>,
    /// Connect Acknowledge Flags, Connect Flags.
    pub bits: u8,
    /// CONNECT's: the Protocol Level.
    pub level: u8,
    pub client_id: String,
    pub properties: Vec<(u8, Value)>,
    /// Topic Filters with their options, 0 in UNSUBSCRIBE.
    pub filters: Vec<(String, u8)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    Number(u32),
    Text(String),
    Pair(String, String),
    Bytes(Vec<u8>),
}

impl Packet {
    pub fn qos(&self) -> u8 {
        self.flags >> 1 & 3
    }

    /// The first property of this identifier, as a number.
    pub fn number(&self, id: u8) -> Option<u32> {
        self.properties.iter().find(|(other, _)| *other == id).and_then(|(_, value)| match value {
            Value::Number(number) => Some(*number),
            _ => None,
        })
    }

    pub fn has(&self, id: u8) -> bool {
        self.properties.iter().any(|(other, _)| *other == id)
    }
}

/// Table 2-4: identifier, type (f: a byte that is 0 or 1, 2 and 4: so many bytes, v: Variable Byte Integer, t: text,
/// b: binary, p: pair of texts), packets.
const PROPERTIES: &[(u8, char, &[u8])] = &[
    (0x01, 'f', &[PUBLISH, WILL]),
    (0x02, '4', &[PUBLISH, WILL]),
    (0x03, 't', &[PUBLISH, WILL]),
    (0x08, 't', &[PUBLISH, WILL]),
    (0x09, 'b', &[PUBLISH, WILL]),
    (0x0B, 'v', &[PUBLISH, SUBSCRIBE]),
    (0x11, '4', &[CONNECT, CONNACK, DISCONNECT]),
    (0x12, 't', &[CONNACK]),
    (0x13, '2', &[CONNACK]),
    (0x15, 't', &[CONNECT, CONNACK, AUTH]),
    (0x16, 'b', &[CONNECT, CONNACK, AUTH]),
    (0x17, 'f', &[CONNECT]),
    (0x18, '4', &[WILL]),
    (0x19, 'f', &[CONNECT]),
    (0x1A, 't', &[CONNACK]),
    (0x1C, 't', &[CONNACK, DISCONNECT]),
    (0x1F, 't', &[CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH]),
    (0x21, '2', &[CONNECT, CONNACK]),
    (0x22, '2', &[CONNECT, CONNACK]),
    (0x23, '2', &[PUBLISH]),
    (0x24, 'f', &[CONNACK]),
    (0x25, 'f', &[CONNACK]),
    (
        0x26,
        'p',
        &[
            CONNECT,
            CONNACK,
            PUBLISH,
            WILL,
            PUBACK,
            PUBREC,
            PUBREL,
            PUBCOMP,
            SUBSCRIBE,
            SUBACK,
            UNSUBSCRIBE,
            UNSUBACK,
            DISCONNECT,
            AUTH,
        ],
    ),
    (0x27, '4', &[CONNECT, CONNACK]),
    (0x28, 'f', &[CONNACK]),
    (0x29, 'f', &[CONNACK]),
    (0x2A, 'f', &[CONNACK]),
];

/// Table 2-6: Reason Code, packets.
const REASONS: &[(u8, &[u8])] = &[
    (0x00, &[CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, AUTH, DISCONNECT]),
    (0x01, &[SUBACK]),
    (0x02, &[SUBACK]),
    (0x04, &[DISCONNECT]),
    (0x10, &[PUBACK, PUBREC]),
    (0x11, &[UNSUBACK]),
    (0x18, &[AUTH]),
    (0x19, &[AUTH]),
    (0x80, &[CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT]),
    (0x81, &[CONNACK, DISCONNECT]),
    (0x82, &[CONNACK, DISCONNECT]),
    (0x83, &[CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT]),
    (0x84, &[CONNACK]),
    (0x85, &[CONNACK]),
    (0x86, &[CONNACK]),
    (0x87, &[CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT]),
    (0x88, &[CONNACK]),
    (0x89, &[CONNACK, DISCONNECT]),
    (0x8A, &[CONNACK]),
    (0x8B, &[DISCONNECT]),
    (0x8C, &[CONNACK, DISCONNECT]),
    (0x8D, &[DISCONNECT]),
    (0x8E, &[DISCONNECT]),
    (0x8F, &[SUBACK, UNSUBACK, DISCONNECT]),
    (0x90, &[CONNACK, PUBACK, PUBREC, DISCONNECT]),
    (0x91, &[PUBACK, PUBREC, SUBACK, UNSUBACK]),
    (0x92, &[PUBREL, PUBCOMP]),
    (0x93, &[DISCONNECT]),
    (0x94, &[DISCONNECT]),
    (0x95, &[CONNACK, DISCONNECT]),
    (0x96, &[DISCONNECT]),
    (0x97, &[CONNACK, PUBACK, PUBREC, SUBACK, DISCONNECT]),
    (0x98, &[DISCONNECT]),
    (0x99, &[CONNACK, PUBACK, PUBREC, DISCONNECT]),
    (0x9A, &[CONNACK, DISCONNECT]),
    (0x9B, &[CONNACK, DISCONNECT]),
    (0x9C, &[CONNACK, DISCONNECT]),
    (0x9D, &[CONNACK, DISCONNECT]),
    (0x9E, &[SUBACK, DISCONNECT]),
    (0x9F, &[CONNACK, DISCONNECT]),
    (0xA0, &[DISCONNECT]),
    (0xA1, &[SUBACK, DISCONNECT]),
    (0xA2, &[SUBACK, DISCONNECT]),
];

type Read<T> = Result<T, &'static str>;

/// Length of the packet that `bytes` begin with: `None` while it cannot be known.
pub fn whole(bytes: &[u8]) -> Read<Option<usize>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes[0] >> 4 == 0 {
        return Err("type 0");
    }
    let mut length = 0;
    for digit in 0..4 {
        let Some(byte) = bytes.get(1 + digit) else { return Ok(None) };
        length += usize::from(byte % 128) * 128_usize.pow(digit as u32);
        if *byte < 128 {
            return Ok(Some(2 + digit + length));
        }
    }
    Err("a length of five bytes")
}

/// Reads exactly one packet of a connection that speaks Protocol Level `level`: 3, 4 or 5. `patterns`: a Topic Name may
/// have wildcards.
pub fn read(level: u8, patterns: bool, bytes: &[u8]) -> Read<Packet> {
    if whole(bytes)? != Some(bytes.len()) {
        return Err("not one packet");
    }
    let header = 1 + bytes[1..].iter().position(|byte| *byte < 128).ok_or("no length")? + 1;
    let mut packet = Packet { kind: bytes[0] >> 4, flags: bytes[0] & 15, len: bytes.len(), ..Packet::default() };
    let mut body = Body { rest: &bytes[header..], level, patterns };
    if packet.kind == CONNECT {
        let name = body.binary()?;
        packet.level = body.byte()?;
        body.level = packet.level;
        match (name, packet.level) {
            (b"MQIsdp", 3) | (b"MQTT", 4 | 5) => {}
            _ => return Err("protocol name or level"),
        }
    }
    if body.is_v5() && header > 2 && bytes[header - 1] == 0 {
        return Err("a padded length");
    }
    let is_request = matches!(packet.kind, PUBREL | SUBSCRIBE | UNSUBSCRIBE);
    match (packet.kind, packet.flags) {
        (PUBLISH, _) => {}
        (_, 0b0010) if is_request => {}
        (_, 0b1010) if is_request && body.level == 3 => {}
        (_, 0) if !is_request => {}
        _ => return Err("reserved flags"),
    }
    match packet.kind {
        CONNECT => body.connect(&mut packet)?,
        CONNACK => body.connack(&mut packet)?,
        PUBLISH => body.publish(&mut packet)?,
        PUBACK | PUBREC | PUBREL | PUBCOMP => body.ack(&mut packet)?,
        SUBSCRIBE | UNSUBSCRIBE => body.ask(&mut packet)?,
        SUBACK | UNSUBACK => body.answer(&mut packet)?,
        DISCONNECT | AUTH => body.last_word(&mut packet)?,
        _ => {}
    }
    if body.rest.is_empty() { Ok(packet) } else { Err("bytes behind") }
}

struct Body<'a> {
    rest: &'a [u8],
    level: u8,
    patterns: bool,
}

impl<'a> Body<'a> {
    fn is_v5(&self) -> bool {
        self.level == 5
    }

    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        if count > self.rest.len() {
            return Err("ends early");
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Read<u8> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self, bytes: usize) -> Read<u32> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn varint(&mut self) -> Read<u32> {
        let mut number = 0;
        for digit in 0..4 {
            let byte = self.byte()?;
            number += u32::from(byte % 128) << (7 * digit);
            if byte < 128 {
                return if byte == 0 && digit > 0 { Err("padded") } else { Ok(number) };
            }
        }
        Err("five bytes")
    }

    fn binary(&mut self) -> Read<&'a [u8]> {
        let len = self.number(2)?;
        self.take(len as usize)
    }

    fn text(&mut self) -> Read<String> {
        let text = String::from_utf8(self.binary()?.to_vec()).map_err(|_| "not UTF-8")?;
        if text.contains('\0') { Err("U+0000") } else { Ok(text) }
    }

    fn topic(&mut self) -> Read<String> {
        let topic = self.text()?;
        if topic.contains(['+', '#']) && !self.patterns { Err("wildcard") } else { Ok(topic) }
    }

    fn id(&mut self) -> Read<u16> {
        match self.number(2)? {
            0 => Err("identifier 0"),
            id => Ok(id as u16),
        }
    }

    fn reason(&mut self, kind: u8) -> Read<u8> {
        let reason = self.byte()?;
        let is_known = REASONS.iter().any(|(code, packets)| *code == reason && packets.contains(&kind));
        if is_known { Ok(reason) } else { Err("Reason Code") }
    }

    fn properties(&mut self, kind: u8) -> Read<Vec<(u8, Value)>> {
        if !self.is_v5() {
            return Ok(Vec::new());
        }
        let len = self.varint()?;
        let mut list = Body { rest: self.take(len as usize)?, ..*self };
        let mut properties: Vec<(u8, Value)> = Vec::new();
        while !list.rest.is_empty() {
            let id = u8::try_from(list.varint()?).map_err(|_| "property")?;
            let rule = PROPERTIES.iter().find(|(other, _, packets)| *other == id && packets.contains(&kind));
            let (_, shape, _) = rule.ok_or("property")?;
            let is_repeatable = id == USER_PROPERTY || (id == SUBSCRIPTION_IDENTIFIER && kind == PUBLISH);
            if !is_repeatable && properties.iter().any(|(other, _)| *other == id) {
                return Err("property twice");
            }
            let value = list.value(*shape)?;
            match (id, &value) {
                (SUBSCRIPTION_IDENTIFIER | RECEIVE_MAXIMUM | MAXIMUM_PACKET_SIZE | TOPIC_ALIAS, Value::Number(0)) => {
                    return Err("property 0");
                }
                (RESPONSE_TOPIC, Value::Text(topic)) if topic.is_empty() || topic.contains(['+', '#']) => {
                    return Err("Response Topic");
                }
                _ => {}
            }
            properties.push((id, value));
        }
        Ok(properties)
    }

    fn value(&mut self, shape: char) -> Read<Value> {
        Ok(match shape {
            'f' => match self.byte()? {
                flag @ (0 | 1) => Value::Number(u32::from(flag)),
                _ => return Err("neither 0 nor 1"),
            },
            '2' => Value::Number(self.number(2)?),
            '4' => Value::Number(self.number(4)?),
            'v' => Value::Number(self.varint()?),
            't' => Value::Text(self.text()?),
            'b' => Value::Bytes(self.binary()?.to_vec()),
            _ => Value::Pair(self.text()?, self.text()?),
        })
    }

    /// Section 3.1, behind the level.
    fn connect(&mut self, packet: &mut Packet) -> Read<()> {
        packet.bits = self.byte()?;
        let has = |bit: u8| packet.bits >> bit & 1 == 1;
        let (will, will_qos, password, name) = (has(2), packet.bits >> 3 & 3, has(6), has(7));
        if has(0) || will_qos == 3 || (!will && (will_qos > 0 || has(5))) {
            return Err("Connect Flags");
        }
        if password && !name && !self.is_v5() {
            return Err("a password without a name");
        }
        self.number(2)?;
        packet.properties = self.properties(CONNECT)?;
        if packet.has(AUTHENTICATION_DATA) && !packet.has(AUTHENTICATION_METHOD) {
            return Err("data without a method");
        }
        packet.client_id = self.text()?;
        if will {
            self.properties(WILL)?;
            if self.topic()?.is_empty() {
                return Err("no Will Topic");
            }
            self.binary()?;
        }
        // MQTT 3.1: where the packet ends, the flags are overruled.
        let ends = |body: &Body<'_>| body.level == 3 && body.rest.is_empty();
        if name && !ends(self) {
            self.text()?;
        }
        if password && !ends(self) {
            self.binary()?;
        }
        Ok(())
    }

    fn connack(&mut self, packet: &mut Packet) -> Read<()> {
        packet.bits = self.byte()?;
        if self.level == 3 {
            packet.bits = 0;
        }
        packet.reasons = vec![if self.is_v5() { self.reason(CONNACK)? } else { self.byte()? }];
        if packet.bits > 1 || (!self.is_v5() && packet.reasons[0] > 5) {
            return Err("CONNACK");
        }
        if packet.bits == 1 && packet.reasons[0] != 0 {
            return Err("a session in a refusal");
        }
        packet.properties = self.properties(CONNACK)?;
        Ok(())
    }

    fn publish(&mut self, packet: &mut Packet) -> Read<()> {
        if packet.qos() == 3 || (packet.qos() == 0 && packet.flags & 8 != 0) {
            return Err("PUBLISH flags");
        }
        packet.topic = self.topic()?;
        if packet.qos() > 0 {
            packet.id = self.id()?;
        }
        packet.properties = self.properties(PUBLISH)?;
        if packet.topic.is_empty() && !packet.has(TOPIC_ALIAS) {
            return Err("no topic");
        }
        packet.payload = self.take(self.rest.len())?.to_vec();
        Ok(())
    }

    fn ack(&mut self, packet: &mut Packet) -> Read<()> {
        packet.id = self.id()?;
        self.reason_and_properties(packet)
    }

    /// Reason Code and properties, where there are any.
    fn reason_and_properties(&mut self, packet: &mut Packet) -> Read<()> {
        packet.reasons = vec![0];
        if self.is_v5() && !self.rest.is_empty() {
            packet.reasons = vec![self.reason(packet.kind)?];
            if !self.rest.is_empty() || packet.kind == AUTH {
                packet.properties = self.properties(packet.kind)?;
            }
        }
        Ok(())
    }

    fn last_word(&mut self, packet: &mut Packet) -> Read<()> {
        if packet.kind == AUTH && !self.is_v5() {
            return Err("AUTH before MQTT 5");
        }
        self.reason_and_properties(packet)
    }

    fn ask(&mut self, packet: &mut Packet) -> Read<()> {
        packet.id = self.id()?;
        packet.properties = self.properties(packet.kind)?;
        while !self.rest.is_empty() || packet.filters.is_empty() {
            let filter = self.text()?;
            let options = if packet.kind == SUBSCRIBE { self.byte()? } else { 0 };
            let reserved = if self.is_v5() { 0b1100_0000 } else { 0b1111_1100 };
            let is_bad = options & reserved != 0 || options & 3 == 3 || options >> 4 & 3 == 3;
            if filter.is_empty() || is_bad || (options & 4 != 0 && filter.starts_with("$share/")) {
                return Err("filter");
            }
            packet.filters.push((filter, options));
        }
        Ok(())
    }

    fn answer(&mut self, packet: &mut Packet) -> Read<()> {
        packet.id = self.id()?;
        packet.properties = self.properties(packet.kind)?;
        if packet.kind == UNSUBACK && !self.is_v5() {
            return Ok(());
        }
        while !self.rest.is_empty() || packet.reasons.is_empty() {
            let reason = if self.is_v5() { self.reason(packet.kind)? } else { self.byte()? };
            if !self.is_v5() && !matches!(reason, 0 | 1 | 2 | 0x80) {
                return Err("SUBACK");
            }
            packet.reasons.push(reason);
        }
        Ok(())
    }
}
