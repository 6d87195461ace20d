"""Kills the broker with -9 under a load of trees, and looks at what merged subscribers are told across the kills.

    trees_crash.py [ROUNDS] [SHARDS]        default 50 rounds of each durability, 4 shards

Watchers fold the frames of filters in one group and in many, with versions, and resume with `since` after every kill.
Nobody may see a version of a row with two different contents, in all lives of the broker; no batch may be seen in part;
and what a watcher has after it resumed is what a fresh snapshot has. With durability = "disk" every batch that was
acknowledged is there. [MOTE-5.1] [MOTE-5.3] [MOTE-3.28] [MOTE-5.34]
"""

import itertools
import json
import random
import socket
import sys
import tempfile
import threading
import time

import packets
from broker import Broker
from checks import Bound, eventually, same

ROOTS, TREES, ROWS, WINDOW = 4, 3, 20, 8
FILTERS = ("crash0/#", "crash1/+/+", "#", "+/t0/+")
NAMES = itertools.count()
DELETED = 7  # numbers that it divides delete


class Seen:
    """Every version of every row that anybody was told, in all lives."""

    def __init__(self):
        self.values, self.lock = {}, threading.Lock()

    def add(self, topic, version, value):
        with self.lock:
            before = self.values.setdefault((topic, version), value)
        if before != value:
            raise AssertionError(f"version {version} of {topic} was {before} and is {value}")


class Line:
    """A blocking connection with MQTT 5."""

    def __init__(self, address, name):
        self.socket = socket.create_connection(address, 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.splitter, self.ready = packets.Splitter(), []
        self.socket.sendall(packets.connect(packets.V5, name, True))
        same(self.read().code, 0, "CONNACK")

    def read(self):
        while not self.ready:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("closed")
            self.ready = self.splitter.feed(data)
        return packets.parse(self.ready.pop(0), packets.V5)


def leaves(filter_, tree, versions):
    """Topic, value and version of each row of a frame."""
    levels = filter_.split("/")

    def topic(keys):
        keys = list(keys)
        found = []
        for level in levels:
            if level == "#":
                found += keys
            else:
                found.append(keys.pop(0) if level == "+" else level)
        return "/".join(found)

    def below(tree, versions, keys):
        for key, value in tree.items():
            if isinstance(value, dict):
                yield from below(value, versions[key], [*keys, key])
            else:
                yield topic([*keys, key]), value, versions[key]

    return below(tree, versions, [])


class Watcher(threading.Thread):
    """Folds the frames of one filter through one life of the broker; `state` and `cursor` go on to the next."""

    def __init__(self, address, filter_, seen, state, cursor):
        super().__init__(daemon=True)
        self.filter, self.seen, self.state, self.cursor = filter_, seen, dict(state), cursor
        self.settled = state  # what it had when the cursor was said: who resumes from it resumes with that
        self.is_current, self.fault, self.resets = False, None, 0
        self.line = Line(address, f"watcher {next(NAMES)}")
        since = f";since={cursor}" if cursor else ""
        subscribe = packets.subscribe(packets.V5, 1, f"$sync;versions{since}/{filter_}", 0)
        self.line.socket.sendall(subscribe)

    def run(self):
        try:
            while True:
                packet = self.line.read()
                if packet.kind == packets.PUBLISH:
                    self.frame(json.loads(packet.payload))
                elif packet.kind == packets.SUBACK:
                    same(packet.codes, b"\0", "SUBACK")
        except OSError:
            pass  # the kill
        except Exception as fault:  # told by who joins this thread
            self.fault = fault

    def frame(self, body):
        kind, *words = body["mote"].split(";")[1:]
        if "reset" in words:
            self.state.clear()
            self.resets += 1
        for topic, value, version in leaves(self.filter, body["tree"], body["versions"]):
            self.seen.add(topic, version, value)
            if value is None:
                self.state.pop(topic, None)
            else:
                self.state[topic] = (value, version)
        cursor = next((word[4:] for word in words if word.startswith("ver=")), None)
        if cursor:
            self.cursor, self.settled = cursor, dict(self.state)
        if kind != "part" and "more" not in words:
            self.whole()
            self.is_current = True

    def whole(self):
        """Of each batch all rows are there, of one number, or none."""
        trees = {}
        for topic, (value, _) in self.state.items():
            trees.setdefault(topic.rpartition("/")[0], []).append(value)
        for name, values in trees.items():
            if len(values) != ROWS or len(set(values)) != 1:
                raise AssertionError(f"{self.filter} sees {name} in part: {len(values)} rows, {sorted(set(values))}")


class Writer(threading.Thread):
    """Publishes trees of rising numbers below one root, a window of them at a time, until the connection breaks."""

    def __init__(self, address, root, numbers):
        super().__init__(daemon=True)
        self.root, self.numbers, self.acked, self.fault = root, numbers, {}, None
        self.line = Line(address, f"writer {root}")

    def run(self):
        try:
            while True:
                waiting = {}
                for packet_id in range(1, WINDOW + 1):
                    name = f"{self.root}/t{random.randrange(TREES)}"
                    self.numbers[name] = number = self.numbers.get(name, 0) + 1
                    value = number if number % DELETED else None
                    body = json.dumps({f"r{row}": value for row in range(ROWS)}).encode()
                    waiting[packet_id] = (name, number)
                    self.line.socket.sendall(packets.publish(packets.V5, f"$tree/{name}", body, 1, True, packet_id))
                while waiting:
                    packet = self.line.read()
                    same((packet.kind, packet.code in (0, 0x10)), (packets.PUBACK, True), "the acknowledgement")
                    name, number = waiting.pop(packet.packet_id)
                    self.acked[name] = number
        except OSError:
            pass  # the kill
        except Exception as fault:  # told by who joins this thread
            self.fault = fault


def ended(threads):
    for thread in threads:
        thread.join(20)
        if thread.fault or thread.is_alive():
            raise AssertionError(f"{thread}: {thread.fault or 'hangs'}")


def watch(address, seen, known):
    """Watchers that go on from what is known, each looked at against a fresh snapshot."""
    watchers = [Watcher(address, filter_, seen, *known.get(filter_, ({}, None))) for filter_ in FILTERS]
    fresh = [Watcher(address, filter_, seen, {}, None) for filter_ in FILTERS]
    for watcher in watchers + fresh:
        watcher.start()
    eventually(lambda: all(each.is_current or each.fault for each in watchers + fresh), "snapshots")
    for watcher, other in zip(watchers, fresh):
        if watcher.fault or other.fault:
            raise AssertionError(f"{watcher.filter}: {watcher.fault or other.fault}")
        same(watcher.state, other.state, f"{watcher.filter}: what it has after it resumed")
        other.line.socket.close()
    return watchers


def life(folder, durability, shards, seen, known, numbers, owed):
    extra = ("--set", f'durability="{durability}"')
    with Broker(shards=shards, data=folder, extra=extra) as broker:
        address = (broker.host, broker.port)
        watchers = watch(address, seen, known)
        if durability == "disk":
            whole = next(watcher for watcher in watchers if watcher.filter == "#").state
            for name, number in owed.items():
                at_least = whole.get(f"{name}/r0", (numbers[name] // DELETED * DELETED, 0))[0]
                same(at_least >= number, True, f"{name} is {at_least}, {number} was acknowledged")
        writers = [Writer(address, f"crash{root}", numbers) for root in range(ROOTS)]
        for writer in writers:
            writer.start()
        time.sleep(random.uniform(0.2, 1.2))
        same(broker.kill(), True, "the broker ran until it was killed")
        ended(writers + watchers)
        for watcher in watchers:
            known[watcher.filter] = (watcher.settled, watcher.cursor)
        for writer in writers:
            owed.update(writer.acked)
        return sum(watcher.resets for watcher in watchers), len(owed)


def rounds(count, shards, tell=False):
    for durability in ("memory", "disk"):
        seen, known, numbers, owed = Seen(), {}, {}, {}
        with tempfile.TemporaryDirectory(prefix="mote-trees-") as folder:
            for number in range(1, count + 1):
                resets, acked = life(folder, durability, shards, seen, known, numbers, owed)
                same(acked > 0, True, "something was acknowledged before the kill")
                if tell:
                    print(f"{durability}, round {number}: {len(seen.values)} versions seen, {resets} resets", flush=True)


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    count = arguments[0] if arguments else 50
    with Bound(60 * count):
        rounds(count, arguments[1] if len(arguments) > 1 else 4, tell=True)
    print("all rounds held")
