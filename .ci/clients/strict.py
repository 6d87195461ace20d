"""A client that does exactly what the specification says, no more: its session outlives its connections, it sends
again what was not acknowledged, with the same Packet Identifiers and in the same order, and it takes each QoS 2 message
once. What a broker does wrong is an exception here. It moves in an asyncio loop; `run` gives a coroutine to the loop of
a thread of its own, so that a check that is bounded from outside can always leave."""

import asyncio
import collections
import itertools
import logging
import threading
from dataclasses import dataclass

import packets
from packets import CONNACK, DISCONNECT, NAMES, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, V5

logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of writes to connections that the broker has ended
CONNECT_S = 10
LASTING_S = 3600
NOT_FOUND = 0x92  # Packet Identifier not found
NOBODY = 0x10  # No matching subscribers


class Wrong(AssertionError):
    """The broker did what the specification forbids."""


class Loop:
    """One asyncio loop for all that moves there, started when it is first needed."""

    def __init__(self):
        self.loop = None
        self.lock = threading.Lock()

    def started(self):
        with self.lock:
            if not self.loop:
                self.loop = asyncio.new_event_loop()
                threading.Thread(target=self.loop.run_forever, daemon=True).start()
        return self.loop

    def run(self, coroutine, seconds=60):
        """What the coroutine returns; it is cancelled when it takes longer, or when its caller is interrupted."""
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(coroutine, seconds), self.started())
        try:
            return future.result()
        finally:
            future.cancel()


LOOP = Loop()
run = LOOP.run


@dataclass(slots=True)
class Unacknowledged:
    """A publish that has no PUBACK or PUBCOMP yet."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    values: dict
    received: bool = False  # PUBREC has come: from then on only PUBREL is sent
    released_again: bool = False  # PUBREL was sent on more than one connection


class Client:
    """`lasting`: the session is kept by both sides for `expiry` seconds (MQTT 3.1.1: for ever)."""

    def __init__(self, address, version, client_id, lasting=True, expiry=LASTING_S, receive_maximum=None, will=None,
                 keep_alive=0, topic_alias_maximum=None):
        self.address, self.version, self.client_id, self.lasting, self.will = address, version, client_id, lasting, will
        self.keep_alive = keep_alive
        self.values = {"session_expiry": expiry if lasting else 0} if version == V5 else {}
        if receive_maximum and version == V5:
            self.values["receive_maximum"] = receive_maximum
        if topic_alias_maximum and version == V5:
            self.values["topic_alias_maximum"] = topic_alias_maximum
        # the session [MQTT-4.1.0-1]
        self.out = {}  # Packet Identifier to Unacknowledged, in the order in which they were first sent
        self.taken = {}  # Packet Identifier to payload of QoS 2 messages that are not released yet
        self.next_id = 1
        # the connection
        self.reader = self.writer = self.task = None
        self.granted = collections.deque()
        self.aliases = {}  # that the broker gave to topics
        self.connack = None
        self.mute = False  # takes what comes and acknowledges nothing
        self.ended = asyncio.Event()
        self.ended.set()
        self.fault = None  # Wrong, or None
        self.goodbye = None  # the code of the broker's DISCONNECT
        # what its user may want to know
        self.on_message = lambda message: None  # each message once (QoS 2), or as often as it comes (QoS 1)
        self.on_acknowledged = lambda topic, payload: None  # at PUBACK or PUBREC
        self.resent = 0
        self.unmatched = 0  # publishes that reached nobody, as the broker said
        self.settled = asyncio.Event()
        self.settled.set()

    async def connect(self, clean=False):
        """Connects and resumes; Session Present. ConnectionError if it cannot be had."""
        self.reader, self.writer = await asyncio.open_connection(*self.address)
        self.connack, self.goodbye, self.splitter = None, None, packets.Splitter()
        self.granted.clear()
        self.aliases.clear()
        try:
            clean = clean or not self.lasting
            self.writer.write(packets.connect(self.version, self.client_id, clean, self.keep_alive, self.will, **self.values))
            try:
                first = await asyncio.wait_for(self._first(), CONNECT_S)
            except TimeoutError:
                raise Wrong(f"no CONNACK within {CONNECT_S} s") from None
            if first.kind != CONNACK or first.code:
                raise Wrong(f"{first} instead of CONNACK 0")
            if clean and first.session_present:
                raise Wrong("Session Present after Clean Start [MQTT-3.2.2-2]")
        except BaseException:
            self.drop()
            raise
        self.connack = first
        if not first.session_present:
            self.taken.clear()  # [MQTT-3.2.2-5]; what was not acknowledged is sent again as if it were new
            for sent in self.out.values():
                sent.received = False
        self._resume(first.session_present)
        self.ended.clear()
        self.task = asyncio.create_task(self._read())
        return first.session_present

    async def _first(self):
        self.early = collections.deque()
        while not self.early:
            data = await self.reader.read(65536)
            if not data:
                raise ConnectionError("closed before CONNACK")
            self.early.extend(self.splitter.feed(data))
        return packets.parse(self.early.popleft(), self.version)

    def _resume(self, present):
        """[MQTT-4.4.0-1] and [MQTT-4.6.0-1]: the same identifiers, in the order of the first sending."""
        for packet_id, sent in self.out.items():
            self.resent += 1
            if sent.received:
                sent.released_again = True
                self.writer.write(packets.answer(PUBREL, packet_id))
            else:
                self.writer.write(self._publish(packet_id, sent, present))

    def _publish(self, packet_id, sent, dup=False):
        return packets.publish(
            self.version, sent.topic, sent.payload, sent.qos, sent.retain, packet_id, dup, **sent.values)

    async def _read(self):
        try:
            while True:
                while self.early:
                    self._take(packets.parse(self.early.popleft(), self.version))
                data = await self.reader.read(65536)
                if not data:
                    break
                self.early.extend(self.splitter.feed(data))
        except OSError:
            pass  # as good as closed
        except asyncio.CancelledError:
            raise
        except Exception as fault:  # told to who looks after this client
            self.fault = fault
        finally:
            self.writer.close()
            self.ended.set()

    def _take(self, told):
        kind = told.kind
        if kind == PUBLISH:
            self._message(told)
        elif kind == PUBREL:
            self.taken.pop(told.packet_id, None)
            self._answer(PUBCOMP, told.packet_id)
        elif kind in (PUBACK, PUBREC, PUBCOMP):
            self._acknowledged(told)
        elif kind == SUBACK:
            self.granted.append(told)
        elif kind == DISCONNECT and self.version == V5:
            self.goodbye = told.code
        elif kind not in (packets.UNSUBACK, packets.PINGRESP):
            raise Wrong(f"{told} is not for a client")

    def _topic(self, told):
        """[MQTT-3.3.2-7]: an alias is for this connection, and none is above the maximum that was said."""
        alias = told.properties.get("topic_alias")
        if alias is None:
            if not told.topic:
                raise Wrong("a message without topic and alias")
            return
        if not 0 < alias <= self.values.get("topic_alias_maximum", 0):
            raise Wrong(f"Topic Alias {alias} [MQTT-3.1.2-26]")
        if told.topic:
            self.aliases[alias] = told.topic
        elif alias not in self.aliases:
            raise Wrong(f"Topic Alias {alias}, which stands for nothing")
        told.topic = self.aliases[alias]

    def _message(self, told):
        self._topic(told)
        if told.qos == 2:
            before = self.taken.get(told.packet_id)
            if before is None:
                self.taken[told.packet_id] = told.payload
                self.on_message(told)
            elif before != told.payload:
                raise Wrong(f"Packet Identifier {told.packet_id} of {before!r} was given to {told.payload!r} before PUBCOMP")
            elif not told.dup:
                raise Wrong(f"{told.payload!r} came again without DUP [MQTT-3.3.1-1]")
            self._answer(PUBREC, told.packet_id)
        else:
            self.on_message(told)
            if told.qos:
                self._answer(PUBACK, told.packet_id)

    def _answer(self, kind, packet_id):
        if not self.mute:
            self.writer.write(packets.answer(kind, packet_id))

    def _acknowledged(self, told):
        sent = self.out.get(told.packet_id)
        name = NAMES[told.kind]
        if told.kind == PUBREC and (sent is None or sent.qos != 2):
            raise Wrong(f"PUBREC for {told.packet_id}, which waits for none")
        if sent is None or (told.kind == PUBACK) != (sent.qos == 1):
            raise Wrong(f"{name} for {told.packet_id}, which waits for none")
        # "not an error during recovery" (MQTT 5, table 3-10)
        recovered = told.kind == PUBCOMP and told.code == NOT_FOUND and sent.released_again
        self.unmatched += told.code == NOBODY
        if told.code >= 0x80 and not recovered:
            raise Wrong(f"{name} {told.code:#x} for {sent.payload!r}")
        if told.kind == PUBCOMP and not sent.received:
            raise Wrong(f"PUBCOMP without PUBREC for {sent.payload!r}")
        if told.kind != PUBCOMP and not sent.received:
            self.on_acknowledged(sent.topic, sent.payload)
        if told.kind == PUBREC:
            sent.received = True
            self.writer.write(packets.answer(PUBREL, told.packet_id))
        else:
            del self.out[told.packet_id]
            if not self.out:
                self.settled.set()

    def publish(self, topic, payload, qos=1, retain=False, **values):
        """Into the session, and out if there is a connection. QoS 0 only with one."""
        sent = Unacknowledged(topic, payload, qos, retain, values)
        if not qos:
            self.writer.write(self._publish(0, sent))
            return
        packet_id = self._free_id()
        self.out[packet_id] = sent
        self.settled.clear()
        if not self.ended.is_set():
            self.writer.write(self._publish(packet_id, sent))

    def _free_id(self):
        for packet_id in itertools.islice(itertools.chain(range(self.next_id, 65536), range(1, self.next_id)), 65535):
            if packet_id not in self.out:
                self.next_id = packet_id % 65535 + 1
                return packet_id
        raise RuntimeError("every Packet Identifier is in use")

    async def subscribe(self, filter_, options=0, **values):
        """SUBACK must grant the QoS. ConnectionError if the connection ends first."""
        packet_id = self._free_id()
        self.writer.write(packets.subscribe(self.version, packet_id, filter_, options, **values))
        while not self.granted:
            if self.ended.is_set():
                raise ConnectionError("closed before SUBACK")
            await asyncio.sleep(0.005)
        told = self.granted.popleft()
        if told.packet_id != packet_id or told.codes != bytes([options & 3]):
            raise Wrong(f"SUBACK {told.packet_id} {told.codes.hex()} for {packet_id}, QoS {options & 3}")

    def drop(self):
        """The connection ends here and now, without a DISCONNECT."""
        if self.task:
            self.task.cancel()
            self.task = None
        if self.writer:
            self.writer.transport.abort()
        self.ended.set()

    async def disconnect(self, code=0, **values):
        try:
            self.writer.write(packets.disconnect(self.version, code, **values))
            await self.writer.drain()
        except OSError:
            pass  # the broker was first
        if self.task:
            self.task.cancel()
            self.task = None
        self.writer.close()
        self.ended.set()
