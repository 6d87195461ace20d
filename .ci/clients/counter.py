"""Twenty clients count together: each reads a counter, adds one, and writes it on the condition that nobody did since.

    counter.py [COUNT] [SHARDS]        default 100 000 increments, 4 shards

In the end the counter is COUNT, no version was told twice, and there were at least COUNT / 100 conflicts: without them
nothing was tried. Raw sockets, MQTT 5, QoS 1: the acknowledgement says the version or the conflict, and who conflicted
reads again. [MOTE-5.16] [MOTE-5.17] [MOTE-5.20] [MOTE-5.22]
"""

import collections
import json
import selectors
import socket
import sys
import tempfile

import packets
from broker import Broker
from checks import Bound, same

CLIENTS = 20
TOPIC = "counter/value"
REFUSED, NOBODY = 0x83, 0x10


class Counting:
    """One client: what it knows of the counter, and what it waits for."""

    def __init__(self, address, name):
        self.socket = socket.create_connection(address, 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.splitter = packets.Splitter()
        self.value, self.version, self.written = 0, 0, 0
        self.send(packets.connect(packets.V5, name, True))

    def send(self, data):
        self.socket.sendall(data)

    def read_counter(self):
        """Asks for the row and its version."""
        self.send(packets.publish(packets.V5, f"$get;versions/{TOPIC}", b""))

    def increment(self, goal):
        """Adds one on what it knows. False: the goal is reached."""
        if self.value >= goal:
            return False
        self.written = self.value + 1
        topic = f"$put;if={self.version}/{TOPIC}"
        self.send(packets.publish(packets.V5, topic, str(self.written).encode(), 1, True, 1))
        return True

    def take(self, packet, goal, told):
        """One packet. False: its work is done."""
        if packet.kind == packets.PUBLISH:
            body = json.loads(packet.payload)
            self.value, self.version = body["tree"] or 0, body["versions"]
            return self.increment(goal)
        if packet.kind == packets.PUBACK and packet.code == REFUSED:
            same(mote(packet).startswith("conflict;ver="), True, f"what a conflict says: {mote(packet)}")
            told["conflicts"] += 1
            self.read_counter()
        elif packet.kind == packets.PUBACK:
            same(packet.code in (0, NOBODY), True, f"reason {packet.code:#x}")
            self.value, self.version = self.written, int(mote(packet).removeprefix("ok;ver="))
            told[self.version] += 1
            return self.increment(goal)
        return True


def mote(packet):
    return dict(packet.properties.get("user", [])).get("mote", "")


def count(address, goal):
    """Lets all clients count up to the goal: how often each version was told, and conflicts."""
    selector = selectors.DefaultSelector()
    for number in range(CLIENTS):
        client = Counting(address, f"counting{number}")
        selector.register(client.socket, selectors.EVENT_READ, client)
        client.read_counter()
    told, at_work = collections.Counter(), CLIENTS
    while at_work:
        for key, _ in selector.select(20):
            for data in key.data.splitter.feed(key.data.socket.recv(65536)):
                at_work -= not key.data.take(packets.parse(data, packets.V5), goal, told)
    return told, told.pop("conflicts", 0)


def final(address):
    client = Counting(address, "reader")
    client.read_counter()
    while True:
        for data in client.splitter.feed(client.socket.recv(65536)):
            packet = packets.parse(data, packets.V5)
            if packet.kind == packets.PUBLISH:
                return json.loads(packet.payload)["tree"]


def counts(goal, shards, tell=False):
    with tempfile.TemporaryDirectory(prefix="mote-counter-") as folder:
        with Broker(shards=shards, data=folder) as broker:
            address = (broker.host, broker.port)
            told, conflicts = count(address, goal)
            value = final(address)
            if tell:
                print(f"{value} after {told.total()} increments that succeeded, {conflicts} conflicts", flush=True)
            same((value, told.total()), (goal, goal), "the counter, and increments that succeeded")
            same(max(told.values()), 1, "times that a version was told")
            same(conflicts >= goal // 100, True, f"{conflicts} conflicts: too few to have tried anything")
            same(broker.stop(), 0, "exit code")


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    with Bound(600):
        counts(arguments[0] if arguments else 100_000, arguments[1] if len(arguments) > 1 else 4, tell=True)
