"""Churn of everything for as long as one likes, and memory that must not grow.

    soak.py [MINUTES] [SHARDS] [FILE]      default 60 minutes, 2 shards; FILE: a line of JSON for each 10 s

Clients come, say and hear something and go or die; sessions outlive them for seconds and lapse; subscriptions, rows,
trees, share groups, keys, wills and topics that are never named again change all the while; merged readers come back to
where they stood; some readers do not read. The settings let everything that lapses lapse many times in ten minutes. Fails
when the memory of the broker (RssAnon, median of a minute) at the end is not within 5 % of what it was after ten minutes,
when a figure of $SYS that should return after the load does not, or when the broker does what MQTT forbids.
"""

import asyncio
import collections
import contextvars
import json
import random
import resource
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import packets
import raw
import strict
from broker import Broker
from packets import V5, V311, Will

CONFIG = """
[store]
tombstone_s = 20
[limits]
idempotency_s = 10
history_bytes = 1000000
events_waiting = 200
[session]
queue_messages = 300
queue_bytes = 300000
connect_timeout_s = 5
[sys]
interval_s = 2
[[history]]
filter = "soak/past/#"
depth = 5
"""
REFERENCE_S, MINUTE_S, LOOK_S = 600, 60, 10
GROWTH_MAX = 0.05
EXPIRY_S = 12  # no session, row or will outlives its client by more
SETTLES_S = 90
UNSUBSCRIBE_ID = 65_000  # no identifier that a client here comes to by counting
FAULTS_MAX = 20
# that must be after the load what they were before
RETURN = ("clients/total", "connections/count", "subscriptions/count", "shared_subscriptions/count",
          "retained messages/count", "retained messages/tombstones", "messages/waiting/count", "messages/waiting/bytes",
          "packet/out/bytes", "timers/count", "links/parcels")
TELL = ("clients/connected", "clients/total", "subscriptions/count", "retained messages/count",
        "retained messages/tombstones", "messages/waiting/count", "timers/count")
WORDS = [f"w{number}" for number in range(12)]
HERE = contextvars.ContextVar("what an actor must not leave behind")
VERBS = ("$tree/", "$sync/", "$sync;versions/", "$sync;interval=200/", "$sync;state/")


class Watcher(strict.Client):
    """Has every figure of $SYS as it was told last."""

    def __init__(self, address):
        super().__init__(address, V5, "soak-watcher", lasting=False)
        self.figures = {}
        self.on_message = lambda told: self.figures.__setitem__(told.topic, told.payload.decode())

    def figure(self, name):
        """Of the whole broker, or the sum over the shards."""
        whole = self.figures.get(f"$SYS/broker/{name}")
        if whole is not None:
            return int(whole)
        of_shards = [int(value) for topic, value in self.figures.items()
                     if topic.startswith("$SYS/broker/shards/") and topic.endswith(f"/{name}")]
        return sum(of_shards)


class Soak:
    def __init__(self, address):
        self.address, self.random, self.counts = address, random.Random(7), collections.Counter()
        self.idle = collections.deque()  # clients whose sessions may wait for them
        self.names = 0
        self.over = False
        self.faults = []

    def name(self, what):
        self.names += 1
        return f"{what}{self.names}"

    def topic(self):
        return "/".join(["soak", self.random.choice(("row", "talk", "past")), self.random.choice(WORDS), self.random.choice(WORDS)])

    def filter(self):
        levels = self.topic().split("/")
        for at in (2, 3):
            if self.random.random() < 0.3:
                levels[at] = "+"
        if self.random.random() < 0.1:
            levels[3:] = ["#"]
        filter_, lot = "/".join(levels), self.random.random()
        if lot < 0.2:
            return f"$share/g{self.random.randrange(8)}/{filter_}"
        if lot < 0.4:
            return self.random.choice(VERBS) + filter_
        return filter_

    def payload(self, most=300):
        return self.random.randbytes(self.random.randrange(8, most)).hex().encode()

    def client(self):
        """One that was here before, or a new one."""
        if len(self.idle) > 60 or self.idle and self.random.random() < 0.5:
            return self.to_end(self.idle.popleft())
        version = self.random.choice((V311, V5, V5))
        values = {"will_delay": self.random.randrange(4)} if version == V5 else {}
        will = Will(f"soak/talk/will/{self.random.choice(WORDS)}", self.payload(), self.random.randrange(3), False, values)
        return self.to_end(strict.Client(
            self.address, version, self.name("soak"), self.random.random() < 0.7 and version == V5,
            self.random.randrange(1, EXPIRY_S), self.random.choice((None, 5)), self.random.choice((None, will)),
            self.random.choice((0, 30)), self.random.choice((None, 4))))

    async def pause(self, most):
        await asyncio.sleep(self.random.random() * most)

    def to_end(self, line):
        """`line.close()` or `line.drop()` is called when the actor is through, however it ends."""
        HERE.get().append(line)
        return line

    def visitor(self, what, lasting=False):
        return self.to_end(strict.Client(self.address, V5, self.name(what), lasting, EXPIRY_S))

    async def line(self):
        line = self.to_end(socket.socket())
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.setblocking(False)
        await asyncio.get_running_loop().sock_connect(line, self.address)
        return line

    # Those who come and go. Each is run again and again.

    async def comer(self):
        client = self.client()
        await client.connect(clean=self.random.random() < 0.1)
        self.counts["connects"] += 1
        mine = [self.filter() for _ in range(self.random.randrange(5))]
        for filter_ in mine:
            await client.subscribe(filter_, self.random.randrange(3))
        for _ in range(self.random.randrange(12)):
            self.say(client)
            await self.pause(0.3)
        for filter_ in mine[: self.random.randrange(4)]:
            body = UNSUBSCRIBE_ID.to_bytes(2, "big") + packets.properties(client.version, {}) + raw.text(filter_)
            client.writer.write(raw.packet(0xA2, body))
        await self.pause(2)
        if client.fault:
            raise client.fault
        if self.random.random() < 0.6:
            await client.disconnect()
        if client.lasting:
            self.idle.append(client)

    def say(self, client):
        topic, qos = self.topic(), self.random.randrange(3)
        retain = "/talk/" not in topic
        payload = b"" if retain and self.random.random() < 0.4 else self.payload()
        values = {"message_expiry": self.random.randrange(1, EXPIRY_S)} if client.version == V5 and payload else {}
        client.publish(topic, payload, qos, retain, **values)
        self.counts["publishes"] += 1

    async def trees(self):
        """Objects of which members come and go, with keys and replaced as a whole now and then."""
        client = self.visitor("tree")
        await client.connect()
        for _ in range(40):
            rows = {word: self.random.choice((None, self.random.random(), {"deep": self.payload(40).decode()}))
                    for word in self.random.sample(WORDS, 6)}
            verb = self.random.choice(("$tree", "$tree;replace", f"$tree;id={self.name('key')}"))
            where = self.random.choice(("soak/object", "soak/past"))
            client.publish(f"{verb}/{where}/{self.random.choice(WORDS)}", json.dumps(rows).encode(), self.random.choice((1, 2)), True)
            self.counts["trees"] += 1
            await self.pause(0.2)
        await asyncio.wait_for(client.settled.wait(), 20)
        await client.disconnect()

    async def merged(self):
        """A merged reader that goes away for a while and comes back: by its session, or with its cursor."""
        client, cursor = self.visitor("merged", lasting=True), [None]

        def heard(told):
            for name, value in told.properties.get("user", []):
                if name == "mote":
                    cursor[0] = next((part[4:] for part in value.split(";") if part.startswith("ver=")), cursor[0])

        client.on_message = heard
        for round_ in range(4):
            present = await client.connect()
            where = self.random.choice(("soak/object/#", "soak/past/+/+", "soak/row/#"))
            if round_ == 0 or not present:
                await client.subscribe(f"$sync/{where}", 1)
            elif cursor[0]:
                events = self.random.choice(("", ";events"))
                await client.subscribe(f"$sync{events};since={cursor[0]}/{where}", 1)
            client.publish("$get/soak/object/#", b"", 1)
            client.mute = self.random.random() < 0.3
            await self.pause(6)
            client.drop()
            self.counts["resumes"] += 1
            await self.pause(EXPIRY_S * 1.2)

    async def once(self):
        """Topics, filters and rows that nobody names again."""
        client = self.visitor("once")
        await client.connect()
        rows = [f"soak/{self.name('only')}/{self.name('here')}" for _ in range(60)]
        for row in rows:
            await client.subscribe(row.rsplit("/", 1)[0] + "/+", 1)
            client.publish(row, self.payload(), 1, True)
            await self.pause(0.05)
        await self.pause(5)
        for row in rows:
            client.publish(row, b"", 1, True)
        await asyncio.wait_for(client.settled.wait(), 20)
        self.counts["rows once"] += len(rows)
        await client.disconnect()

    async def deaf(self):
        """Does not read, and dies."""
        line = await self.line()
        filters = b"".join(raw.subscribe(filter_, qos) for filter_, qos in
                           (("soak/hot", self.random.randrange(3)), ("$sync/soak/#", 1)))
        await asyncio.get_running_loop().sock_sendall(line, raw.connect(self.name("deaf")) + filters)
        await self.pause(20)
        self.counts["deaf"] += 1

    async def rude(self):
        """Says nothing, half of something, or nonsense."""
        line = await self.line()
        whole = raw.connect(self.name("rude")) + raw.publish("soak/talk/rude", self.payload(), 1, False, 1)
        words = self.random.choice((b"", whole[: self.random.randrange(len(whole))], self.random.randbytes(60), whole + b"\xff" * 9))
        await asyncio.get_running_loop().sock_sendall(line, words)
        await self.pause(3)
        self.counts["rude"] += 1

    async def hot(self):
        """Much on one topic."""
        client = self.visitor("hot")
        await client.connect()
        for _ in range(1_000):
            client.publish("soak/hot", self.payload(1_000), self.random.choice((0, 0, 1)))
            self.counts["publishes"] += 1
            await asyncio.sleep(0.02)
        await client.disconnect()

    async def again(self, actor):
        while not self.over:
            HERE.set([])
            try:
                await asyncio.wait_for(actor(), 120)
            except (strict.Wrong, TimeoutError, ValueError) as fault:  # before OSError, of which TimeoutError is one
                self.faults.append(f"{actor.__name__}: {type(fault).__name__} {fault}")
                self.over |= len(self.faults) > FAULTS_MAX
            except (OSError, asyncio.IncompleteReadError) as fault:
                self.counts[f"lost: {type(fault).__name__}"] += 1
            finally:
                for line in HERE.get():
                    line.drop() if isinstance(line, strict.Client) else line.close()
            await self.pause(0.2)

    def everyone(self):
        cast = ((self.comer, 100), (self.trees, 3), (self.merged, 20), (self.once, 2), (self.deaf, 10), (self.rude, 6), (self.hot, 2))
        return [asyncio.create_task(self.again(actor)) for actor, count in cast for _ in range(count)]


async def tidy_up(address):
    """Deletes what is retained below soak/."""
    client = strict.Client(address, V5, "soak-tidy", lasting=False)
    await client.connect()
    client.publish("$set/soak/#", b"", 1, True)
    await asyncio.wait_for(client.settled.wait(), 60)
    await client.disconnect()


async def look_on(broker, watcher, soak, minutes, file):
    """RssAnon each second until it is over; a line for each 10 s."""
    start, memory = time.monotonic(), []
    while (passed := time.monotonic() - start) < minutes * 60 and not soak.over:
        memory.append((passed, broker.rss_anon()))
        if len(memory) % LOOK_S == 0:
            figures = {name: watcher.figure(name) for name in RETURN + TELL}
            line = {"s": round(passed), "rss_anon": memory[-1][1], **figures, **soak.counts}
            file.write(json.dumps(line) + "\n")
            file.flush()
        if len(memory) % (6 * LOOK_S) == 0:
            told = ", ".join(f"{watcher.figure(name)} {name}" for name in TELL)
            print(f"{passed / 60:5.1f} min {memory[-1][1] / 2**20:6.1f} MiB, {told}", flush=True)
        await asyncio.sleep(1)
    return memory


def of_a_minute(memory, until):
    return statistics.median(size for at, size in memory if until - MINUTE_S <= at <= until)


async def returned(watcher, before):
    """What did not return, within the time that everything needs to lapse."""
    deadline = time.monotonic() + SETTLES_S
    while True:
        left = {name: watcher.figure(name) - before[name] for name in RETURN if watcher.figure(name) > before[name]}
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(1)


async def soak_of(broker, minutes, file):
    address = (broker.host, broker.port)
    watcher, soak = Watcher(address), Soak(address)
    await watcher.connect()
    await watcher.subscribe("$SYS/broker/#")
    await asyncio.sleep(5)
    before, empty = {name: watcher.figure(name) for name in RETURN}, broker.rss_anon()
    actors = soak.everyone()
    memory = await look_on(broker, watcher, soak, minutes, file)
    soak.over = True
    for actor in actors:
        actor.cancel()
    await asyncio.gather(*actors, return_exceptions=True)
    await tidy_up(address)
    left = await returned(watcher, before)
    after = broker.rss_anon()
    await watcher.disconnect()
    end = memory[-1][0]
    at_ten, at_end = (of_a_minute(memory, at) for at in (min(REFERENCE_S, end / 2), end))
    growth = at_end / at_ten - 1
    print(", ".join(f"{count} {what}" for what, count in sorted(soak.counts.items())))
    print(f"RssAnon {empty / 2**20:.1f} MiB empty, {at_ten / 2**20:.1f} after {min(REFERENCE_S, end / 2) / 60:.0f} min, "
          f"{at_end / 2**20:.1f} after {end / 60:.0f} min ({growth:+.1%}), {after / 2**20:.1f} when all had gone")
    faults = [*soak.faults]
    faults += [f"{name} did not return: {more} more than before" for name, more in left.items()]
    faults += [f"memory changed by {growth:+.1%}"] * (abs(growth) > GROWTH_MAX)
    return faults


def main():
    arguments = sys.argv[1:]
    minutes, shards = [float(argument) for argument in arguments[:2]] + [60, 2][len(arguments[:2]) :]
    name = arguments[2] if len(arguments) > 2 else "/dev/null"
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory() as folder, open(name, "w", encoding="utf-8") as file:
        config = Path(folder) / "mote.toml"
        config.write_text(CONFIG, encoding="utf-8")
        with Broker(shards=int(shards), extra=("-c", str(config), "-q")) as broker:
            faults = asyncio.run(soak_of(broker, minutes, file))
            broker.stop()
    for fault in faults:
        print(f"FAILED  {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
