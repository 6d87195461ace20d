"""MQTT 3.1.1 and 5 as bytes: where a packet ends in a stream, what it says, and what our own client says. Nothing here
judges: what a broker sends is told as it is, and what a client wants to send is written as it was asked for."""

import struct
from dataclasses import dataclass, field

from raw import packet, text

V311, V5 = 4, 5
NAMES = ("", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
         "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH")
(_, CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ,
 PINGRESP, DISCONNECT, AUTH) = range(16)
# identifier: name and kind, in the order of table 2-4 of MQTT 5
PROPERTIES = {
    0x01: ("payload_format", "byte"), 0x02: ("message_expiry", "four"), 0x03: ("content_type", "text"),
    0x08: ("response_topic", "text"), 0x09: ("correlation_data", "data"), 0x0B: ("subscription_identifier", "variable"),
    0x11: ("session_expiry", "four"), 0x12: ("assigned_client_id", "text"), 0x13: ("server_keep_alive", "two"),
    0x15: ("authentication_method", "text"), 0x16: ("authentication_data", "data"), 0x17: ("problem_information", "byte"),
    0x18: ("will_delay", "four"), 0x19: ("response_request", "byte"), 0x1A: ("response_information", "text"),
    0x1C: ("server_reference", "text"), 0x1F: ("reason", "text"), 0x21: ("receive_maximum", "two"),
    0x22: ("topic_alias_maximum", "two"), 0x23: ("topic_alias", "two"), 0x24: ("maximum_qos", "byte"),
    0x25: ("retain_available", "byte"), 0x26: ("user", "pair"), 0x27: ("maximum_packet_size", "four"),
    0x28: ("wildcard_available", "byte"), 0x29: ("identifiers_available", "byte"), 0x2A: ("shared_available", "byte"),
}
IDENTIFIERS = {name: (identifier, kind) for identifier, (name, kind) in PROPERTIES.items()}
REPEATED = ("user", "subscription_identifier")


@dataclass(slots=True)
class Packet:
    """One packet that was received; fields that its kind does not have keep their defaults."""

    kind: int
    flags: int = 0
    packet_id: int = 0
    code: int = 0
    session_present: bool = False
    topic: str = ""
    payload: bytes = b""
    codes: bytes = b""
    properties: dict = field(default_factory=dict)

    dup = property(lambda self: bool(self.flags & 8))
    qos = property(lambda self: self.flags >> 1 & 3)
    retain = property(lambda self: bool(self.flags & 1))

    def __str__(self):
        return f"{NAMES[self.kind]} id {self.packet_id} code {self.code:#x} {self.topic} {self.payload[:40]!r}"


class Splitter:
    """Cuts a stream where packets end."""

    def __init__(self):
        self.buffer = bytearray()

    def feed(self, data):
        """The whole packets that are there now; the rest waits."""
        self.buffer += data
        found, at, buffer = [], 0, self.buffer
        while True:
            size = shift = 0
            head = at + 1
            while head < len(buffer):
                byte = buffer[head]
                size |= (byte & 0x7F) << shift
                head, shift = head + 1, shift + 7
                if byte < 0x80:
                    break
            else:
                break
            if len(buffer) < head + size:
                break
            found.append(bytes(buffer[at : head + size]))
            at = head + size
        del buffer[:at]
        return found


class Reader:
    """Takes fields off the front of a body."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def two(self):
        self.at += 2
        return int.from_bytes(self.data[self.at - 2 : self.at], "big")

    def four(self):
        self.at += 4
        return int.from_bytes(self.data[self.at - 4 : self.at], "big")

    def variable(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def data_(self):
        size = self.two()
        self.at += size
        if self.at > len(self.data):
            raise ValueError("a field goes past the end of its packet")
        return self.data[self.at - size : self.at]

    def text(self):
        return self.data_().decode()

    def pair(self):
        return self.text(), self.text()

    def rest(self):
        return self.data[self.at :]

    def more(self):
        return self.at < len(self.data)

    def properties(self):
        end = self.variable()
        end += self.at
        found = {}
        while self.at < end:
            name, kind = PROPERTIES[self.byte()]
            value = (self.data_ if kind == "data" else getattr(self, kind))()
            if name in REPEATED:
                found.setdefault(name, []).append(value)
            elif name in found:
                raise ValueError(f"{name} stands twice")
            else:
                found[name] = value
        if self.at != end:
            raise ValueError("properties are longer than they say")
        return found


def parse(data, version):
    """A packet that a server sends."""
    kind, flags = data[0] >> 4, data[0] & 15
    at = 1
    while data[at] & 0x80:
        at += 1
    reader, told = Reader(data[at + 1 :]), Packet(kind, flags)
    five = version == V5
    if kind == PUBLISH:
        told.topic = reader.text()
        told.packet_id = reader.two() if told.qos else 0
        told.properties = reader.properties() if five else {}
        told.payload = reader.rest()
    elif kind == CONNACK:
        told.session_present, told.code = bool(reader.byte() & 1), reader.byte()
        told.properties = reader.properties() if five and reader.more() else {}
    elif kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        told.packet_id = reader.two()
        told.code = reader.byte() if reader.more() else 0
        told.properties = reader.properties() if reader.more() else {}
    elif kind in (SUBACK, UNSUBACK):
        told.packet_id = reader.two()
        told.properties = reader.properties() if five else {}
        told.codes = reader.rest()
    elif kind == DISCONNECT:
        told.code = reader.byte() if reader.more() else 0
        told.properties = reader.properties() if reader.more() else {}
    return told


def variable(value):
    out = bytearray()
    while True:
        value, byte = value >> 7, value & 0x7F
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def one_property(name, value):
    identifier, kind = IDENTIFIERS[name]
    if kind == "pair":
        body = text(value[0]) + text(value[1])
    elif kind == "text":
        body = text(value)
    elif kind == "data":
        body = struct.pack("!H", len(value)) + value
    elif kind == "variable":
        body = variable(value)
    else:
        body = value.to_bytes({"byte": 1, "two": 2, "four": 4}[kind], "big")
    return bytes([identifier]) + body


def properties(version, values):
    """`values`: name to value; of a property that may be repeated, a list. Nothing at all before MQTT 5."""
    if version != V5:
        return b""
    body = b"".join(
        one_property(name, each) for name, value in values.items() for each in (value if name in REPEATED else [value]))
    return variable(len(body)) + body


@dataclass
class Will:
    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    properties: dict = field(default_factory=dict)


def connect(version, client_id, clean, keep_alive=0, will=None, **values):
    flags, tail = 2 if clean else 0, b""
    if will:
        flags |= 4 | will.qos << 3 | will.retain << 5
        tail = properties(version, will.properties) + text(will.topic) + struct.pack("!H", len(will.payload)) + will.payload
    head = text("MQTT") + bytes([version, flags]) + struct.pack("!H", keep_alive) + properties(version, values)
    return packet(0x10, head + text(client_id) + tail)


def publish(version, topic, payload, qos=0, retain=False, packet_id=0, dup=False, **values):
    identifier = struct.pack("!H", packet_id) if qos else b""
    body = text(topic) + identifier + properties(version, values) + payload
    return packet(0x30 | dup << 3 | qos << 1 | retain, body)


def answer(kind, packet_id, code=0):
    """PUBACK, PUBREC, PUBREL or PUBCOMP; a code that is not 0 is for MQTT 5."""
    body = struct.pack("!H", packet_id) + (bytes([code]) if code else b"")
    return packet(kind << 4 | (2 if kind == PUBREL else 0), body)


def subscribe(version, packet_id, filter_, options, **values):
    return packet(0x82, struct.pack("!H", packet_id) + properties(version, values) + text(filter_) + bytes([options]))


def disconnect(version, code=0, **values):
    body = bytes([code]) + (properties(version, values) if values else b"") if code or values else b""
    return packet(0xE0, body if version == V5 else b"")
