"""A wire between a client and the broker that knows where packets end, remembers what went by, and cuts where it is told.

A cut names a direction, a count and a way. The connection ends at the packet with that count in that direction: it is
`swallowed` (it never arrives), `torn` (a half of its bytes arrives) or `passed` (it arrives, its answer does not)."""

import asyncio
import collections
import contextlib
from dataclasses import dataclass, field

import strict
from packets import NAMES, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Splitter

UP, DOWN = "up", "down"
WAYS = ("swallowed", "torn", "passed")
LINGER_S = 0.3


@dataclass(frozen=True)
class Cut:
    direction: str
    count: int
    way: str

    def __str__(self):
        return f"{self.direction} {self.count} {self.way}"


@dataclass(frozen=True)
class Seen:
    """A packet of a QoS 1 or 2 exchange that was sent, whether it arrived or not."""

    connection: int
    direction: str
    kind: int
    packet_id: int
    dup: bool
    payload: bytes
    cut: str = ""

    def __str__(self):
        dup, cut = " DUP" if self.dup else "", f" ({self.cut})" if self.cut else ""
        return f"{self.connection} {self.direction} {NAMES[self.kind]} {self.packet_id}{dup}{cut}"


def exchange(packet, five):
    """Kind, Packet Identifier, DUP and the end of the payload; None for packets of no exchange."""
    kind = packet[0] >> 4
    at = 1
    while packet[at] & 0x80:
        at += 1
    at += 1
    if kind == PUBLISH and packet[0] & 6:
        at += 2 + int.from_bytes(packet[at : at + 2], "big")
        return kind, int.from_bytes(packet[at : at + 2], "big"), bool(packet[0] & 8), packet[at + 2 + five :]
    if kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        return kind, int.from_bytes(packet[at : at + 2], "big"), False, b""
    return None


@dataclass(eq=False)
class Wire:
    """One connection through the cutter."""

    number: int
    writers: dict = field(default_factory=dict)
    five: bool = False
    over: bool = False


class Cutter:
    """Listens on a free port of 127.0.0.1 and passes everything on, until it is armed."""

    def __init__(self, address):
        self.broker = address
        self.seen = []
        self.connections = 0
        self.cuts = collections.deque()
        self.passed = 0  # packets in the direction of the next cut, on the connection that it is for
        self.made = []  # cuts that have happened, and at which packet
        self.wires = set()
        self.waiting = {}  # identifiers of QoS 1 and 2 deliveries without PUBACK or PUBCOMP, and of publishes
        self.unacknowledged_max = {UP: 0, DOWN: 0}
        self.server = strict.run(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.address = self.server.sockets[0].getsockname()[:2]

    def arm(self, cuts):
        """The first cut counts from here, each other one from the CONNECT of the connection after the cut before."""
        self.passed = 0
        self.cuts.extend(cuts)

    def cut_now(self):
        """Every connection that is there."""
        strict.run(self._cut_now())

    async def _cut_now(self):
        for wire in list(self.wires):
            self._end(wire)

    def close(self):
        strict.run(self._close())

    async def _close(self):
        self.server.close()
        await self._cut_now()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    async def _accept(self, reader, writer):
        self.connections += 1
        wire = Wire(self.connections)
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.broker)
        except OSError:
            writer.close()
            return
        wire.writers = {UP: up_writer, DOWN: writer}
        self.waiting = {UP: set(), DOWN: set()}
        self.wires.add(wire)
        await asyncio.gather(self._pump(wire, UP, reader), self._pump(wire, DOWN, up_reader))
        self.wires.discard(wire)
        for each in wire.writers.values():
            each.close()

    async def _pump(self, wire, direction, reader):
        splitter, to = Splitter(), wire.writers[direction]
        with contextlib.suppress(OSError):  # a side that has closed is what the end below tells the other
            while True:
                data = await reader.read(65536)
                if not data:
                    break
                for packet in splitter.feed(data):
                    if not wire.over:
                        self._packet(wire, direction, packet, to)
                await to.drain()
        self._end(wire)

    def _packet(self, wire, direction, packet, to):
        if packet[0] >> 4 == 1:
            wire.five = packet[8] == 5
        cut = self._cut_of(direction)
        told = exchange(packet, wire.five)
        if told:
            self.seen.append(Seen(wire.number, direction, *told, cut.way if cut else ""))
            self._count(direction, told[0], told[1])
        if not cut:
            to.write(packet)
            return
        self.made.append((cut, NAMES[packet[0] >> 4]))
        if cut.way != "swallowed":
            to.write(packet if cut.way == "passed" else packet[: len(packet) // 2])
        self._end(wire)

    def _cut_of(self, direction):
        """The cut that is due at this packet."""
        if not self.cuts or self.cuts[0].direction != direction:
            return None
        self.passed += 1
        if self.passed < self.cuts[0].count:
            return None
        self.passed = 0
        return self.cuts.popleft()

    def _count(self, direction, kind, packet_id):
        if kind == PUBLISH:
            self.waiting[direction].add(packet_id)
            self.unacknowledged_max[direction] = max(self.unacknowledged_max[direction], len(self.waiting[direction]))
        elif kind in (PUBACK, PUBCOMP):
            self.waiting[UP if direction == DOWN else DOWN].discard(packet_id)

    def _end(self, wire):
        """Both sides get what was passed on and then the end; what they still say goes nowhere."""
        if wire.over:
            return
        wire.over = True
        for writer in wire.writers.values():
            with contextlib.suppress(OSError, RuntimeError):
                writer.write_eof()
        asyncio.get_running_loop().call_later(LINGER_S, self._abort, wire)

    def _abort(self, wire):
        for writer in wire.writers.values():
            writer.transport.abort()

    def story(self):
        return "; ".join(str(each) for each in self.seen)
