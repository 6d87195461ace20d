"""Kills the broker with -9 under a load of retained rows and looks at what it has when it is started again.

    crash.py [ROUNDS] [SHARDS]        default 50 rounds, 4 shards

After every kill the broker must start; every row that was acknowledged more than two commit intervals before the kill
must have that value or a later one (a commit interval is `store.commit_ms`, or what the commit takes where a slow disk
needs longer: the broker's log says when the last commit began that was complete before the kill) (every seventh value is a deletion); no row may be there that was not published; no
tree batch may be there in part. Every other start follows an end that was not clean either, with nothing in between:
what was found after the one must be found after the other.
"""

import json
import random
import re
import struct
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone

import raw
from broker import Broker
from checks import Bound, same, take
from paho_suite import V5, Client

COMMIT_MS = 50
SETTLED_S = 2 * COMMIT_MS / 1000
LATE_S = 2  # a disk that needs longer for one commit is no disk to judge a broker on
COMMITTED = re.compile(r"^(\S+)Z +DEBUG \S+: committed took_us=(\d+)")
WRITERS, TOPICS, WINDOW = 3, 40, 32
TREE_WRITERS, TREE_ROWS = 2, 50
DELETED = 7  # numbers that it divides delete


class Row:
    """What is known of one row, or of one tree whose rows all carry one number."""

    def __init__(self):
        self.sent = 0  # highest number that was ever sent
        self.floor = 0  # what it must at least have, from earlier rounds
        self.acked = []  # (time, number), in order


class Writer(threading.Thread):
    """Publishes rising numbers to its rows, a window of them at a time, until the connection breaks."""

    def __init__(self, address, name, rows, encode):
        super().__init__(daemon=True)
        self.rows, self.encode = rows, encode
        self.socket = raw.Socket(address, name)
        self.ended = self.fault = None

    def run(self):
        names = list(self.rows)
        try:
            while True:
                batch = [random.choice(names) for _ in range(WINDOW)]
                packets, waiting = bytearray(), {}
                for packet_id, name in enumerate(batch, 1):
                    row = self.rows[name]
                    row.sent += 1
                    waiting[packet_id] = (row, row.sent)
                    topic, payload = self.encode(name, row.sent)
                    packets += raw.publish(topic, payload, 1, True, packet_id)
                self.socket.send(packets)
                while waiting:
                    first, body = self.socket.read()
                    if first != 0x40:
                        raise RuntimeError(f"{first:#x} instead of PUBACK: {body[:200]!r}")
                    row, number = waiting.pop(struct.unpack("!H", body[:2])[0])
                    row.acked.append((time.monotonic(), number))
        except OSError:
            self.ended = time.monotonic()  # at the kill, and not before: the round looks
        except Exception as fault:  # told by the round, which joins this thread
            self.fault = fault


def plain(name, number):
    return name, str(number).encode() if number % DELETED else b""


def tree(name, number):
    value = number if number % DELETED else None
    return f"$tree/{name}", json.dumps({f"r{i}": value for i in range(TREE_ROWS)}).encode()


def fold(state, frame):
    """A frame of a filter that ends in `#`, whose values are numbers, onto nested dictionaries."""
    for key, value in frame.items():
        if isinstance(value, dict):
            fold(state.setdefault(key, {}), value)
        elif value is None:
            state.pop(key, None)
        else:
            state[key] = value


def read_back(address, filter_):
    """All retained rows of a filter that ends in `#`, as nested dictionaries."""
    with Client(address, V5) as client:
        client.subscribe(f"$sync/{filter_}", 1)
        state = {}
        while True:
            frame = take(client.messages, "part of the snapshot")
            fold(state, json.loads(frame.payload))
            marks = [value for name, value in frame.properties.UserProperty if name == "mote"]
            if any(mark.startswith("frame;snap") for mark in marks):
                return state


def number_of(name, row, value, floor):
    """The lowest number that a row with this value can have; its value must be one that it may have."""
    number = value if value is not None else -(-floor // DELETED) * DELETED
    if not floor <= number <= row.sent or (value is not None and value % DELETED == 0):
        raise AssertionError(f"{name} is {value}, must be from {floor} to {row.sent}")
    return number


def last_commit(broker):
    """When the last commit began that was complete, by this process's monotonic clock."""
    for line in reversed(broker.lines):
        match = COMMITTED.match(line)
        if match:
            at = datetime.fromisoformat(match[1]).replace(tzinfo=timezone.utc).timestamp()
            return at - int(match[2]) / 1e6 - time.time() + time.monotonic()
    raise AssertionError("the broker tells no commit")


def judge(rows, trees, found, settled):
    """Compares what is there with what was acknowledged before `settled`; returns how many had to be there."""
    owed = 0
    for name, row in [*rows.items(), *trees.items()]:
        root, _, leaf = name.partition("/")
        value = found.get(root, {}).pop(leaf, None)
        if name in trees and value is not None:
            same(len(value), TREE_ROWS, f"rows of the batch {name}")
            same(len(set(value.values())), 1, f"different numbers in the batch {name}")
            value = value["r0"]
        floor = max([row.floor, *(number for at, number in row.acked if at < settled)])
        owed += floor > row.floor
        row.floor = number_of(name, row, value, floor)
        row.acked.clear()
    left = {root: rest for root, rest in found.items() if rest}
    same(left, {}, "rows that nobody published")
    return owed


def load(broker, rows, trees):
    """Writers on a broker until it is killed at a random moment; returns that moment."""
    writers = []
    for kind, encode, count in ((rows, plain, WRITERS), (trees, tree, TREE_WRITERS)):
        for number in range(count):
            own = {name: row for at, (name, row) in enumerate(kind.items()) if at % count == number}
            writers.append(Writer((broker.host, broker.port), f"{encode.__name__}{number}", own, encode))
    for writer in writers:
        writer.start()
    time.sleep(random.uniform(0.1, 1.5))
    killed = time.monotonic()
    same(broker.kill(), True, "the broker ran until it was killed")
    for writer in writers:
        writer.join(20)
        if writer.fault or writer.is_alive():
            raise AssertionError(f"a writer: {writer.fault or 'hangs'}")
        same(writer.ended >= killed, True, "the broker kept its connections until it was killed")
    return killed


def round_(folder, shards, rows, trees):
    """One life of the broker: loads it, kills it, starts it again and judges; now and then kills it again."""
    extra = ("--set", f"store.commit_ms={COMMIT_MS}", "--set", 'log.level="debug"')
    with Broker(shards=shards, data=folder, extra=extra) as broker:
        killed = load(broker, rows, trees)
        begun = last_commit(broker)
    same(killed - begun < LATE_S, True, f"the last commit began {killed - begun:.3f} s before the kill")
    settled = min(killed - SETTLED_S, begun)
    acked = sum(len(row.acked) for row in [*rows.values(), *trees.values()])
    with Broker(shards=shards, data=folder, extra=extra) as broker:
        owed = judge(rows, trees, read_back((broker.host, broker.port), "#"), settled)
        if random.random() < 0.5:
            same(broker.kill(), True, "the broker ran until it was killed again")
        else:
            same(broker.stop(), 0, "exit code after SIGTERM")
    return acked, owed


def rounds(count, shards, tell=False):
    # several first levels, so that the rows lie in several groups and on several shards
    rows = {f"plain{n % 8}/k{n}": Row() for n in range(WRITERS * TOPICS)}
    trees = {f"batch{n % 4}/t{n}": Row() for n in range(TREE_WRITERS * 4)}
    owed_at_all = 0
    with tempfile.TemporaryDirectory(prefix="mote-crash-") as folder:
        for number in range(1, count + 1):
            acked, owed = round_(folder, shards, rows, trees)
            same(acked > 0, True, "something was acknowledged before the kill")
            owed_at_all += owed
            if tell:
                print(f"round {number}: {acked} acknowledged, {owed} rows and batches owed, all there", flush=True)
    same(owed_at_all > 0, True, "something had to be there")


def survives_sigterm(shards):
    """What was acknowledged is all there after a clean end, whatever the moment."""
    with tempfile.TemporaryDirectory(prefix="mote-term-") as folder:
        with Broker(shards=shards, data=folder) as broker:
            client = raw.Socket((broker.host, broker.port), "rows")
            for number in range(1000):
                client.send(raw.publish(f"term/{number}", str(number).encode(), 1, True, number + 1))
            for _ in range(1000):
                client.read()
            same(broker.stop(), 0, "exit code")
        with Broker(shards=shards, data=folder) as broker:
            same(read_back((broker.host, broker.port), "term/#"), {str(n): n for n in range(1000)}, "rows")
            same(broker.stop(), 0, "exit code")


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    count = arguments[0] if arguments else 50
    with Bound(30 * count):
        rounds(count, arguments[1] if len(arguments) > 1 else 4, tell=True)
    print("all rounds held")
