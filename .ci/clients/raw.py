"""MQTT 3.1.1 on a plain socket, for loads that a client library would slow down."""

import socket
import struct


def length(count):
    out = bytearray()
    while True:
        byte, count = count % 128, count // 128
        out.append(byte | (0x80 if count else 0))
        if not count:
            return bytes(out)


def text(value):
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def packet(first, body):
    return bytes([first]) + length(len(body)) + body


def connect(client_id, keep_alive=0):
    return packet(0x10, text("MQTT") + bytes([4, 2]) + struct.pack("!H", keep_alive) + text(client_id))


def subscribe(filter_, qos=0, packet_id=1):
    return packet(0x82, struct.pack("!H", packet_id) + text(filter_) + bytes([qos]))


def publish(topic, payload, qos=0, retain=False, packet_id=0):
    identifier = struct.pack("!H", packet_id) if qos else b""
    return packet(0x30 | qos << 1 | retain, text(topic) + identifier + payload)


class Socket:
    """A blocking connection that reads whole packets."""

    def __init__(self, address, client_id, timeout=20):
        self.socket = socket.create_connection(address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.send(connect(client_id))
        first, body = self.read()
        if first != 0x20 or body[1] != 0:
            raise RuntimeError(f"CONNACK {first:#x} {bytes(body)!r}")

    def send(self, data):
        self.socket.sendall(data)

    def read(self):
        """First byte and body of the next packet; ConnectionError at the end."""
        while True:
            size = at = 0
            while at < len(self.buffer) - 1:
                at += 1
                size |= (self.buffer[at] & 0x7F) << 7 * (at - 1)
                if self.buffer[at] < 0x80:
                    end = at + 1 + size
                    if len(self.buffer) < end:
                        break
                    first, body = self.buffer[0], bytes(self.buffer[at + 1 : end])
                    del self.buffer[:end]
                    return first, body
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed")
            self.buffer += data

    def close(self):
        self.socket.close()
