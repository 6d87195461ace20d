"""The abusers of overload.py: each is a function that does its worst to a broker, tells how much of it there was, and leaves.

    abuse.py CASE HOST PORT [--quick]      prints what was done, and `held` when the load is there
"""

import itertools
import os
import random
import resource
import struct
import sys
import time

import packets
import raw
from crowd import Crowd
from packets import V5, V311, Will

ACCEPTED = 4  # bytes of a CONNACK and a SUBACK of MQTT 3.1.1
SUBSCRIBED = 9
MIB = 1 << 20


def tell(what):
    print(what, flush=True)


def held(what):
    """The load is at its most."""
    tell(f"held {what}")


def connect5(name, **values):
    return packets.connect(V5, name, True, **values)


def storm(address, quick):
    """Comes, subscribes and goes, as fast as it can, in two processes; every second one goes with a reset."""
    count, rounds = (1_000, 2) if quick else (9_700, 3)
    other = os.fork()
    crowd = Crowd(address, 100_000 if other else 0)
    for _ in range(rounds):
        first = lambda number: raw.connect(f"storm{number}") + raw.subscribe(f"storm/{number}")
        lines = crowd.open_many(count, first, SUBSCRIBED)
        served = sum(1 for line in lines if line.got == SUBSCRIBED)
        crowd.close_all()
        if other:
            held(f"{2 * served} connections at once, {rounds} times")
    if not other:
        os._exit(0)
    os.waitpid(other, 0)


def silent(address, quick):
    """Connects and says nothing until the broker has had enough."""
    count = 2_000 if quick else 18_000
    crowd = Crowd(address)
    lines = crowd.open_many(count, lambda number: b"", 0)
    held(f"{len(crowd.lines)} connections without CONNECT")
    gone = crowd.until(lambda: not crowd.lines, 60)
    tell(f"the broker ended {sum(line.is_over for line in lines)}" + ("" if gone else ", not all within 60 s"))


def bytewise(address, quick):
    """One byte in a segment, of everything that it says."""
    count, seconds = (100, 3) if quick else (500, 10)
    crowd = Crowd(address)
    said = {}
    for number in range(count):
        text = raw.connect(f"byte{number}") + raw.subscribe(f"byte/{number}", 1)
        text += b"".join(raw.publish(f"byte/{number}", bytes(40), 1, False, 1 + each) for each in range(500))
        said[crowd.open()] = iter(text)
    crowd.until(lambda: crowd.under_way == 0, 10)
    start = time.monotonic()
    held(f"{count} connections that send byte after byte")
    while time.monotonic() - start < seconds:
        for line, rest in said.items():
            if not line.is_over and not line.out:
                crowd.send(line, bytes(itertools.islice(rest, 1)))
        crowd.turn()
    tell(f"{crowd.bytes_out / (time.monotonic() - start):.0f} segments of one byte a second")


def deaf(address, quick):
    """Readers of all kinds that never read, while a gigabyte is published to them."""
    count, size = (20, 100 * MIB) if quick else (100, 1024 * MIB)
    crowd = Crowd(address)
    filters = [("deaf/hot", 0), ("deaf/hot", 1), ("deaf/hot", 2), ("$sync/deaf/+", 0), ("$sync/deaf/+", 1)]
    first = lambda number: connect5(f"deaf{number}") + packets.subscribe(V5, 1, *filters[number % len(filters)])
    lines = [crowd.open(first(number), deaf=True, receive_bytes=4096) for number in range(count)]
    crowd.until(lambda: all(line.is_connected and not line.out for line in lines), 20)
    time.sleep(0.5)
    payload = random.Random(1).randbytes(10_000)
    message = raw.publish("deaf/hot", payload, 1, True, 7)
    publisher = crowd.open(raw.connect("deaf-publisher"))
    start, sent = time.monotonic(), 0
    while sent < size and not publisher.is_over:
        if len(publisher.out) < MIB:
            crowd.send(publisher, message * 100)
            sent += 100 * len(message)
        crowd.turn(0.01)
    crowd.until(lambda: not publisher.out or publisher.is_over, 120)
    seconds = time.monotonic() - start
    held(f"{sent / MIB:.0f} MiB to {count} readers that do not read, {sent / MIB / seconds:.0f} MiB/s")
    crowd.rest(1)
    crowd.send(publisher, raw.publish("deaf/hot", b"", 1, True, 8))
    crowd.rest(0.5)


def many_filters(version, filters, step):
    """SUBSCRIBE packets of `step` filters each."""
    for number, start in enumerate(range(0, len(filters), step)):
        body = b"".join(raw.text(filter_) + b"\0" for filter_ in filters[start : start + step])
        yield raw.packet(0x82, struct.pack("!H", 1 + number % 65_000) + packets.properties(version, {}) + body)


def counted(codes):
    return ", ".join(f"{codes.count(code)} with {code:#04x}" for code in sorted(set(codes)))


def subscribe_all(crowd, name, filters, step=500):
    """One client that subscribes to all of these; its line and the codes that it got."""
    codes = bytearray()

    def answered(_, data):
        told = packets.parse(data, V5)
        if told.kind == packets.SUBACK:
            codes.extend(told.codes)

    line = crowd.open(connect5(name) + b"".join(many_filters(V5, filters, step)), on_packet=answered)
    crowd.until(lambda: len(codes) == len(filters) or line.is_over, 60)
    return line, bytes(codes)


def subscriptions(address, quick):
    """100 000 filters from one client, with limits that allow it, again and again; it goes without a word."""
    count, rounds = (20_000, 2) if quick else (100_000, 3)
    crowd = Crowd(address)
    for round_ in range(rounds):
        filters = [f"sub/{number % 317}/{number}/{'+' if number % 3 else '#'}" for number in range(count)]
        line, codes = subscribe_all(crowd, f"subscriber{round_}", filters)
        held(f"{count} filters of one client, {rounds} times: {counted(codes)}")
        crowd.rest(1)
        crowd.close(line, round_ % 2 == 0)
        crowd.rest(1)


def too_many_subscriptions(address, quick):
    """The same with the default limits: most are refused."""
    subscriptions(address, quick)


def unsubscribe_all(address, quick):
    """As many filters, which one UNSUBSCRIBE after the other ends."""
    count = 20_000 if quick else 100_000
    crowd = Crowd(address)
    filters = [f"un/{number}" for number in range(count)]
    line, codes = subscribe_all(crowd, "unsubscriber", filters)
    held(f"{count} filters of one client: {counted(codes)}")
    for start in range(0, count, 20_000):
        body = b"".join(raw.text(filter_) for filter_ in filters[start : start + 20_000])
        crowd.send(line, raw.packet(0xA2, struct.pack("!H", 1) + packets.properties(V5, {}) + body))
    crowd.until(lambda: not line.out or line.is_over, 20)
    crowd.rest(1)
    crowd.send(line, packets.disconnect(V5))
    crowd.rest(0.2)


def wildcards(address, quick):
    """Filters with a wildcard at every level, in every combination, and topics that all of them match."""
    levels, seconds = (10, 3) if quick else (15, 8)
    crowd = Crowd(address)
    filters = ["/".join(["wild", *levels_]) for levels_ in itertools.product("a+", repeat=levels)]
    line, codes = subscribe_all(crowd, "wildcards", filters)
    message = raw.publish("/".join(["wild", *["a"] * levels]), bytes(16))
    held(f"{len(filters)} filters of {levels} levels, any of them a wildcard: {counted(codes)}; their topic again and again")
    flood(crowd, [raw.connect(f"wild-publisher{number}") for number in range(5)], message * 50, seconds)


def flood(crowd, firsts, chunk, seconds):
    """Lines that send the chunk as fast as it is taken; the chunks that were."""
    lines = [crowd.open(first) for first in firsts]
    start, chunks = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        for line in lines:
            if not line.is_over and len(line.out) < len(chunk):
                crowd.send(line, chunk)
                chunks += 1
        crowd.turn(0.002)
    return chunks


def levels(address, quick):
    """Filters and topics of 32 000 levels."""
    count, seconds = (4, 2) if quick else (20, 8)
    crowd = Crowd(address)
    deep = 32_000
    filters = ["/".join(["x"] * number + ["+"] * (deep - number)) for number in range(0, count * 100, 100)]
    filters += ["/".join(["+"] * number + ["#"]) for number in range(deep - count, deep)]
    _, codes = subscribe_all(crowd, "levels", filters, 1)
    message = raw.publish("/".join(["x"] * deep), b"deep") + raw.publish("/" * (deep - 1), b"empty")
    held(f"{len(filters)} filters of {deep} levels: {counted(codes)}; topics as deep again and again")
    chunks = flood(crowd, [raw.connect(f"levels-publisher{number}") for number in range(2)], message, seconds)
    tell(f"{2 * chunks / seconds:.0f} such topics a second were taken")


def giants(address, quick):
    """Packets as large as they may be, again and again, and packets that are one byte larger."""
    count, seconds = (8, 3) if quick else (64, 8)
    crowd = Crowd(address)
    room = 2 * MIB - 5 - len(raw.text("giant"))
    right, wrong = raw.publish("giant", bytes(room)), raw.publish("giant", bytes(room + 1))
    chunks = flood(crowd, [raw.connect(f"giant{number}") for number in range(count)], right, seconds)
    alive = len(crowd.lines)
    held(f"{chunks} packets of 2 MiB from {count} connections ({chunks * 2 / seconds:.0f} MiB/s)")
    for line in list(crowd.lines.values()):
        crowd.send(line, wrong)
    crowd.until(lambda: not crowd.lines, 20)
    tell(f"one byte more ended {alive - len(crowd.lines)} of {alive}")


def unfinished(address, quick):
    """Packets of 256 MB that are announced and never come whole; what is sent of them stays."""
    count, part = (100, MIB) if quick else (1_000, MIB)
    crowd = Crowd(address)
    head = bytes([0x30]) + raw.length(268_435_455) + raw.text("never") + bytes(part)
    lines = [crowd.open(raw.connect(f"unfinished{number}") + head) for number in range(count)]
    crowd.until(lambda: all(line.is_over or line.is_connected and not line.out for line in lines), 60)
    held(f"{len(crowd.lines)} packets of 256 MB under way, of each {part >> 10} KiB sent")
    crowd.rest(2)


def refused_length(address, quick):
    """The same with the default limits, from thousands, again and again."""
    count, seconds = (200, 3) if quick else (1_000, 8)
    head = bytes([0x30]) + raw.length(268_435_455) + raw.text("never")
    malformed_of(address, count, seconds, lambda number: connect5(f"length{number}") + head, "announced 256 MB")


def malformed(address, quick):
    """Connects, says nonsense, is thrown out and comes again."""
    count, seconds = (100, 3) if quick else (500, 10)
    source = random.Random(3)
    nonsense = [source.randbytes(40), connect5("nonsense")[:-3] + b"\xff\xff\xff", b"GET / HTTP/1.1\r\nHost: mote\r\n\r\n",
                connect5("nonsense") + b"\x30\xff\xff\xff\xff\xff", raw.connect("nonsense") + source.randbytes(60),
                connect5("nonsense") * 2, raw.publish("x", b"before CONNECT")]
    malformed_of(address, count, seconds, lambda number: nonsense[number % len(nonsense)], "spoke nonsense")


def malformed_of(address, count, seconds, first, what):
    crowd = Crowd(address)
    start, opened = time.monotonic(), 0
    is_held = False
    while time.monotonic() - start < seconds:
        while len(crowd.lines) < count:
            crowd.next_number %= 20 * 9_000  # addresses come again
            crowd.open(first(opened))
            opened += 1
        crowd.turn(0.01)
        for line in [line for line in crowd.lines.values() if line.is_connected and not line.out and line.got > 200]:
            crowd.close(line, True)
        if not is_held and time.monotonic() - start > seconds / 2:
            is_held = True
            held(f"{count} connections at a time that {what}")
    tell(f"{crowd.ended / seconds:.0f} a second were thrown out")


def hot(address, quick):
    """Twenty publish to one topic as fast as they can; fifty read."""
    readers, seconds = (10, 3) if quick else (50, 10)
    crowd = Crowd(address)
    first = lambda number: raw.connect(f"hot{number}") + raw.subscribe("hot/topic")
    crowd.open_many(readers, first, SUBSCRIBED)
    message = raw.publish("hot/topic", bytes(64))
    held(f"20 publishers to {readers} readers of one topic")
    before = crowd.bytes_in
    start = time.monotonic()
    chunks = flood(crowd, [raw.connect(f"hot-publisher{number}") for number in range(20)], message * 200, seconds)
    passed = time.monotonic() - start
    tell(f"{chunks * 200 / passed:.0f} publishes a second taken, {(crowd.bytes_in - before) / len(message) / passed:.0f} delivered")


def descriptors(address, quick):
    """More connections than the broker has descriptors for."""
    count = 2_000
    crowd = Crowd(address)
    first = lambda number: raw.connect(f"descriptor{number}")
    lines = crowd.open_many(count, first, ACCEPTED, seconds=4)
    served = sum(1 for line in lines if line.got >= ACCEPTED)
    held(f"{count} connections, of which {served} found a descriptor")
    crowd.rest(2)


def retained(address, quick):
    """Rows until no more are taken, and as many again; then all are deleted, one by one."""
    rows = 100_000 if quick else 1_200_000
    codes = {}

    def answered(_, data):
        if data[0] == 0x40:
            code = data[4] if len(data) > 4 else 0
            codes[code] = codes.get(code, 0) + 1

    crowd = Crowd(address)
    publishers = [crowd.open(connect5(f"retained{number}"), on_packet=answered) for number in range(10)]

    def write(payload):
        codes.clear()
        sent = 0
        while sent < rows or sum(codes.values()) < rows:
            for line in publishers:
                if sent < rows and not line.out and sent - sum(codes.values()) < 5_000:
                    chunk = [packets.publish(V5, f"bomb{number % 50}/{number}", payload, 1, True, 1 + number % 60_000)
                             for number in range(sent, sent + 500)]
                    crowd.send(line, b"".join(chunk))
                    sent += 500
            crowd.turn(0.005)
            if not crowd.lines:
                break
        return ", ".join(f"{count} with {code:#04x}" for code, count in sorted(codes.items()))

    start = time.monotonic()
    told = write(bytes(100))
    held(f"{rows} rows: {told}; {rows / (time.monotonic() - start):.0f} a second")
    write(b"")


def snapshots(address, quick):
    """Readers that ask for everything, again and again: by `$get`, by `$sync`, by a plain filter."""
    rows, readers, seconds = (20_000, 20, 3) if quick else (100_000, 200, 10)
    crowd = Crowd(address)
    writer = crowd.open(connect5("snapshots"))
    for start in range(0, rows, 1_000):
        tree = ",".join(f'"{row}":{row}' for row in range(start, start + 1_000))
        crowd.send(writer, packets.publish(V5, "$tree/snap", ("{" + tree + "}").encode(), 1, True, 1))
    crowd.until(lambda: not writer.out and writer.got > 4 * rows / 1_000, 30)
    asks = [packets.publish(V5, "$get/snap/#", b"", 0), packets.subscribe(V5, 5, "$sync/snap/#", 0),
            packets.subscribe(V5, 6, "snap/#", 0)]
    lines = [crowd.open(connect5(f"asks{number}") + asks[number % 3], deaf=number % 10 == 9) for number in range(readers)]
    held(f"{readers} readers ask for {rows} rows again and again, each tenth does not read")
    start, before = time.monotonic(), crowd.bytes_in
    while time.monotonic() - start < seconds:
        for at, line in enumerate(lines):
            if not line.is_over and not line.out and line.is_connected:
                crowd.send(line, asks[at % 3])
        crowd.turn(0.02)
        time.sleep(0.01)
    tell(f"{(crowd.bytes_in - before) / MIB / seconds:.0f} MiB/s of snapshots were read")
    for line in lines:
        crowd.close(line)
    crowd.send(writer, packets.publish(V5, "$set/snap/#", b"", 1, True, 2))
    for start in range(0, rows, 1_000):
        tree = ",".join(f'"{row}":null' for row in range(start, start + 1_000))
        crowd.send(writer, packets.publish(V5, "$tree/snap", ("{" + tree + "}").encode(), 1, True, 1))
    crowd.until(lambda: not writer.out, 20)
    crowd.rest(1)


def sessions(address, quick):
    """Sessions that outlive their clients, with a subscription each, until they lapse."""
    count = 5_000 if quick else 100_000
    crowd = Crowd(address)
    first = lambda number: (packets.connect(V5, f"lasting{number}", True, session_expiry=10 if not quick else 3)
                            + packets.subscribe(V5, 1, f"lasting/{number}", 1) + packets.disconnect(V5))
    for start in range(0, count, 5_000):
        lines = crowd.open_many(min(5_000, count), first, 1)
        crowd.until(lambda: all(line.is_over for line in lines), 20)
        crowd.close_all()
    held(f"{count} sessions that outlive their clients")


def wills(address, quick):
    """Thousands with wills die at once; a hundred hear all of them."""
    count, readers = (1_000, 20) if quick else (9_000, 100)
    crowd = Crowd(address)
    crowd.open_many(readers, lambda number: raw.connect(f"mourner{number}") + raw.subscribe("will/+", 1), SUBSCRIBED)
    mourners = list(crowd.lines.values())
    will = lambda number: Will(f"will/{number}", bytes(200), 0)
    lines = crowd.open_many(count, lambda number: packets.connect(V311, f"dying{number}", True, 0, will(number)), ACCEPTED)
    held(f"{sum(line.got >= ACCEPTED for line in lines)} clients with wills die at once; {readers} hear it")
    before = crowd.bytes_in
    for line in lines:
        crowd.close(line, True)
    each = len(raw.publish("will/1000", bytes(200)))
    crowd.until(lambda: crowd.bytes_in - before >= 0.98 * each * count * readers, 30)
    tell(f"{(crowd.bytes_in - before) / each:.0f} wills came")
    for line in mourners:
        crowd.close(line)


def shares(address, quick):
    """Members of a share group that take what comes and never acknowledge."""
    members, messages = (20, 20_000) if quick else (100, 200_000)
    crowd = Crowd(address)
    first = lambda number: raw.connect(f"member{number}") + raw.subscribe("$share/g/shared/#", 1)
    crowd.open_many(members, first, SUBSCRIBED)
    publisher = crowd.open(connect5("sharer"))
    chunk = b"".join(packets.publish(V5, f"shared/{number}", bytes(1_000), 1, False, 1 + number) for number in range(100))
    for _ in range(messages // 100):
        crowd.send(publisher, chunk)
        crowd.until(lambda: len(publisher.out) < MIB or publisher.is_over, 20)
    crowd.until(lambda: not publisher.out or publisher.is_over, 30)
    held(f"{messages} messages of 1 KB to {members} members that never acknowledge")
    crowd.rest(2)


def unreleased(address, quick):
    """QoS 2 that never completes, both ways: publishers without PUBREL, receivers without PUBREC."""
    count, readers = (100, 20) if quick else (1_000, 100)
    crowd = Crowd(address)
    first = lambda number: raw.connect(f"unreleased-reader{number}") + raw.subscribe("unreleased/+", 2)
    crowd.open_many(readers, first, SUBSCRIBED)
    said = b"".join(packets.publish(V5, "unreleased/1", bytes(100), 2, False, 1 + number) for number in range(1_024))
    lines = crowd.open_many(count, lambda number: connect5(f"unreleased{number}"), 5)
    for line in lines:
        crowd.send(line, said)
    crowd.until(lambda: all(not line.out or line.is_over for line in lines), 60)
    held(f"{count} publishers with 1024 unreleased QoS 2 publishes each, {readers} readers that never say PUBREC")
    crowd.rest(1)
    for line in lines:
        crowd.send(line, packets.publish(V5, "unreleased/1", bytes(100), 2, False, 2_000))
    crowd.rest(1)
    tell(f"one more ended {sum(line.is_over for line in lines)}")


CASES = {case.__name__.replace("_", "-"): case for case in (
    storm, silent, bytewise, deaf, subscriptions, too_many_subscriptions, unsubscribe_all, wildcards, levels, giants, unfinished,
    refused_length, malformed, hot, descriptors, retained, snapshots, sessions, wills, shares, unreleased)}


def main():
    name, host, port = sys.argv[1:4]
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    CASES[name]((host, int(port)), "--quick" in sys.argv)


if __name__ == "__main__":
    main()
