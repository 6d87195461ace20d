"""A thousand merged subscribers stop reading for a minute while rows change a hundred thousand times a second.

    slow.py [SUBSCRIBERS] [SECONDS] [SHARDS]        default 1000 stopped ones, 60 s, 1 shard

10 000 rows, written by trees of 1 000 rows. Told: changes per second, memory of the broker (RssAnon) per stopped
subscriber when they had just stopped and at the end, how late messages of others come, and what a stopped one gets on
waking: everything that the kernel still had, then the newest state. [MOTE-6.4..6]
"""

import json
import resource
import socket
import struct
import sys
import threading
import time

import raw
from broker import Broker
from checks import Bound, same

TREES, ROWS = 10, 1_000
CHANGES_PER_SECOND = 100_000
PROBES_PER_SECOND = 200
WOKEN = 20
STOPS_S = 5  # what the sockets of stopped subscribers take is taken by then


def stopped(address, number):
    """A subscriber that reads its SUBACK and then nothing more."""
    line = raw.Socket(address, f"stopped{number}")
    line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
    line.send(raw.subscribe("$tree;meta/slow/#"))
    same(line.read()[0], 0x90, "SUBACK")
    return line


class Load(threading.Thread):
    """Trees at a fixed rate; `round` is the value that all rows of the last tree have."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.line, self.round, self.over, self.changes = raw.Socket(address, "load"), 0, False, 0

    def run(self):
        start, latest = time.monotonic(), {}
        while not self.over:
            self.round += 1
            tree = f"t{self.round % TREES}"
            body = json.dumps({f"r{row}": self.round for row in range(ROWS)}, separators=(",", ":"))
            self.line.send(raw.publish(f"$tree/slow/{tree}", body.encode(), 1, True, 1))
            same(self.line.read()[0], 0x40, "PUBACK")
            latest[tree] = self.round
            self.changes += ROWS
            time.sleep(max(0, start + self.changes / CHANGES_PER_SECOND - time.monotonic()))
        self.latest = latest


class Probe(threading.Thread):
    """Messages of others: how late each comes, in seconds."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.writer, self.reader, self.over, self.late = raw.Socket(address, "probe"), raw.Socket(address, "probed"), False, []
        self.reader.send(raw.subscribe("probe/+"))
        self.reader.read()

    def run(self):
        while not self.over:
            due = time.monotonic()
            self.writer.send(raw.publish("probe/x", struct.pack("!d", due)))
            self.reader.read()
            self.late.append(time.monotonic() - due)
            time.sleep(1 / PROBES_PER_SECOND)

    def look(self):
        late, self.late = sorted(self.late), []
        return late[int(len(late) * 0.99)] if late else 0.0


def wake(line, latest):
    """Reads on until it has the newest value of every row: frames, and bytes."""
    state, frames, size = {}, 0, 0
    want = {f"{tree}/r{row}": number for tree, number in latest.items() for row in range(ROWS)}
    while state != want:
        _, body = line.read()
        at = 2 + int.from_bytes(body[:2], "big")
        frame = json.loads(body[at:])
        frames, size = frames + 1, size + len(body)
        for tree, rows in frame["tree"].items():
            state.update((f"{tree}/{row}", value) for row, value in rows.items())
    return frames, size


def measure(subscribers, seconds, shards):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with Broker(shards=shards, memory=True) as broker:
        address = (broker.host, broker.port)
        load, probe = Load(address), Probe(address)
        load.start()
        probe.start()
        time.sleep(STOPS_S)
        alone, before, changes = probe.look(), broker.rss_anon(), load.changes
        lines = [stopped(address, number) for number in range(subscribers)]
        time.sleep(STOPS_S)
        stopping, after, start = probe.look(), broker.rss_anon(), time.monotonic()
        changes = load.changes
        time.sleep(seconds)
        rate = (load.changes - changes) / (time.monotonic() - start)
        end, beside = broker.rss_anon(), probe.look()
        load.over = probe.over = True
        load.join(20)
        print(f"{rate:.0f} changes of rows per second for {seconds} s beside {subscribers} stopped subscribers")
        print(f"memory per stopped subscriber: {(after - before) / subscribers:.0f} bytes when they had stopped, "
              f"{(end - before) / subscribers:.0f} at the end")
        print(f"p99 of others: {alone * 1e3:.2f} ms alone, {stopping * 1e3:.2f} ms while they stopped, {beside * 1e3:.2f} ms after")
        woken = [wake(line, load.latest) for line in lines[:WOKEN]]
        frames, sizes = zip(*woken)
        print(f"on waking: {min(frames)} to {max(frames)} frames, {max(sizes)} bytes, of {load.round} trees")
        return broker.stop()


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    subscribers, seconds, shards = arguments + [1000, 60, 1][len(arguments) :]
    with Bound(seconds + 240):
        same(measure(subscribers, seconds, shards), 0, "exit code")
