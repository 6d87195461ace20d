"""What a kill -9 leaves beside rows and flows, with either durability: wills, deletions, sessions that expire, what waits for
a share group, keys of option `id`, histories, unsubscribed filters.

    disk_kills.py [ROUNDS] [SHARDS]    default 5 rounds of each durability, 4 shards

With durability = "memory" the kill comes after two commit intervals, as long as what is promised then takes.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import packets
from broker import Broker
from checks import alone, same
from disk import DISK, MEMORY, Line, rows
from packets import V5, Will

SETTLED_S = 0.4  # two intervals of 50 ms, the 20 ms of sessions, and what a commit takes on a slow disk
EXPIRES_S = 2
LASTING = 100_000


def mote(packet):
    return next((value for name, value in packet.properties.get("user", ()) if name == "mote"), None)


def put(line, topic, payload, key):
    """A retained publish with option `id`; what its acknowledgement says."""
    packet_id = line.publish(topic, payload, 1, True, user=[("mote", f"put;id={key}")])
    packet = line.read()
    same((packet.kind, packet.packet_id, packet.code < 0x80), (packets.PUBACK, packet_id, True), f"{packet}")
    return mote(packet)


def frames(line, filter_, count):
    """So many frames of a new merged subscription."""
    line.socket.sendall(packets.subscribe(V5, 1, filter_, 0))
    same(line.read().kind, packets.SUBACK, "SUBACK")
    return [line.read() for _ in range(count)]


def cursor(packet):
    return next(word[4:] for word in mote(packet).split(";") if word.startswith("ver="))


def before(broker, name):
    """Everything that is to be there afterwards; what is to be compared."""
    line = Line(broker, f"{name}-writer")
    known = {}
    # Connected when it is killed. A CONNACK waits for no disk, so a will is kept a moment later.
    for role, will_delay in (("due", 0), ("late", LASTING)):
        will = Will(f"w/{name}/{role}", role.encode(), 1, True, {"will_delay": will_delay})
        known[role] = Line(broker, f"{name}-{role}", session_expiry=LASTING, will=will)
    time.sleep(SETTLED_S)
    for topic in ("gone", "stays"):
        same(line.acknowledged(f"{name}/{topic}", b"1", 1, True), 0, "code")
    same(line.acknowledged(f"{name}/gone", b"", 1, True), 0, "a deletion")
    known["id"] = put(line, f"{name}/once", b"first", f"{name}-key")
    watcher = Line(broker, f"{name}-watcher")
    known["cursor"] = cursor(frames(watcher, f"$sync/h/{name}/#", 1)[0])
    for number in range(3):
        same(line.acknowledged(f"h/{name}/row", b"%d" % number, 1, True), 0, "code")
    watcher.close()
    for role, expiry in (("fleeting", EXPIRES_S), ("staying", LASTING)):
        session = Line(broker, f"{name}-{role}", session_expiry=expiry)
        for filter_ in (f"q/{name}", f"dropped/{name}"):
            session.subscribe(filter_, 1)
        session.socket.sendall(packets.packet(0xA2, b"\0\1\0" + packets.text(f"dropped/{name}")))
        same(session.read().kind, packets.UNSUBACK, "UNSUBACK")
        session.close()
    members = [Line(broker, f"{name}-member{number}", session_expiry=LASTING) for number in range(2)]
    for member in members:
        member.subscribe(f"$share/{name}/s/{name}", 1)
        member.close()
    time.sleep(0.1)
    for number in range(20):
        for topic in ("q", "s", "dropped"):
            same(line.acknowledged(f"{topic}/{name}", b"%d" % number, 1), 0, "code")
    line.close()
    return known


def queued(broker, client):
    """The messages that wait for a client, or None where there is no session."""
    line = Line(broker, client, clean=False, session_expiry=LASTING)
    if not line.connack.session_present:
        line.close()
        return None
    found = []
    while True:
        try:
            packet = line.read(0.5)
        except TimeoutError:
            line.close()
            return found
        found.append((packet.topic, packet.payload))
        line.socket.sendall(packets.answer(packets.PUBACK, packet.packet_id))


def after(broker, name, known, killed):
    deadline = time.monotonic() + 10
    while f"w/{name}/due" not in rows(broker, f"w/{name}/#") and time.monotonic() < deadline:
        time.sleep(0.1)
    same(rows(broker, f"w/{name}/#"), {f"w/{name}/due": b"due"}, "wills")
    same(rows(broker, f"{name}/#"), {f"{name}/stays": b"1", f"{name}/once": b"first"}, "rows")
    line = Line(broker, f"{name}-writer")
    same(put(line, f"{name}/once", b"first", f"{name}-key"), known["id"], "what a repeated publish is answered")
    watcher = Line(broker, f"{name}-watcher")
    told = frames(watcher, f"$sync;events;since={known['cursor']}/h/{name}/#", 3)
    same([json.loads(frame.payload) for frame in told], [{"row": number} for number in range(3)], "the history")
    numbers = [b"%d" % number for number in range(20)]
    same(queued(broker, f"{name}-staying"), [(f"q/{name}", payload) for payload in numbers], "messages that waited")
    shared = (queued(broker, f"{name}-member0") or []) + (queued(broker, f"{name}-member1") or [])
    same(sorted(payload for _, payload in shared), sorted(numbers), "what waited for the share group")
    time.sleep(max(0, killed + EXPIRES_S + 0.5 - time.monotonic()))
    same(queued(broker, f"{name}-fleeting"), None, "the session that expired")
    for each in (line, watcher):
        each.close()


def rounds(count, shards, durability):
    with tempfile.TemporaryDirectory(prefix="mote-kills-") as place:
        config = Path(place) / "mote.toml"
        config.write_text('[[history]]\nfilter = "h/#"\ndepth = 10\n')
        extra = ("--config", str(config), *durability)
        for number in range(count):
            with Broker(shards=shards, data=Path(place) / "data", extra=extra) as broker:
                known = before(broker, f"n{number}")
                if durability == MEMORY:
                    time.sleep(SETTLED_S)
                killed = time.monotonic()
                same(broker.kill(), True, "the broker ran until it was killed")
            with Broker(shards=shards, data=Path(place) / "data", extra=extra) as broker:
                after(broker, f"n{number}", known, killed)
                same(broker.kill() if number % 2 else broker.stop() == 0, True, "its end")


def run(report, count, shards):
    for durability, name in ((MEMORY, "memory"), (DISK, "disk")):
        report.check(f"what a kill leaves, durability {name}, {count} times", rounds, count, shards, durability, limit=30 * count)


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    count = arguments[0] if arguments else 5
    sys.exit(alone(lambda report: run(report, count, arguments[1] if len(arguments) > 1 else 4)))
