"""Flows of QoS 1 and QoS 2 to subscribers that are offline most of the time, while the broker is ended and started.

    flows.py [ROUNDS] [SHARDS] [--flows N] [--seed N] [--end term|kill|loss|any] [--set KEY=VALUE]...
                                      default 30 rounds, 4 shards, 200 flows, any end, durability = "disk"

A flow is a publisher and a subscriber, both with a session that lasts, of MQTT 3.1.1 or 5, with QoS 1 or 2. The publisher
sends numbers, a window of them at a time, and after each loss of its connection what the specification demands. The
subscriber comes, takes some, often leaves some without an acknowledgement, and goes, with a DISCONNECT or without. Each
round ends with the broker: SIGTERM, kill -9 (sometimes twice), or (`loss`) nothing but the connections. Looked at all the time:

* a number never comes before the one before it, so none that was acknowledged is lost and the order is kept;
* QoS 2: no number comes twice; QoS 1: it comes twice only with DUP, or if it was published twice;
* what is sent again has DUP and the Packet Identifier that it had;
* Session Present is true exactly when there is a session.

At the end the publishers wait for their last acknowledgement, the subscribers take everything, and all must be there.
"""

import argparse
import asyncio
import random
import sys
import tempfile

import strict
from broker import Broker, steady_port
from checks import Bound, same
from packets import V5, V311
from strict import Wrong

WINDOW = 8
PAUSE_S = (0.1, 1.0)
LOSS = 0.1  # how often a publisher loses its connection by itself, per pause
OFFLINE_S = (0.2, 3.0)
ONLINE_S = (0.05, 0.6)
ROUND_S = (0.6, 2.0)
TWICE = 0.3  # how often it is killed again while everybody is coming back
RETRY_S = 0.05
DRAIN_S = 90
SILENT_S = 1.0
CANCEL_S = 0.5
FLEETING_EXPIRY_S = 1


class Flow:
    """What one publisher and one subscriber know."""

    def __init__(self, number, seed, rounds):
        self.rounds = rounds
        self.random = random.Random(f"{seed} {number}")
        self.name = f"flow{number}"
        self.qos = 1 + number % 2
        self.versions = (V311, V5)[number // 2 % 2], (V311, V5)[number // 4 % 2]
        # several first levels, so that the topics lie on several shards
        self.topic = f"f{number % 23}/{number}"
        self.sent = 0  # numbers below it were published
        self.acknowledged = 0  # of them
        self.next = 0  # the number that the subscriber waits for
        self.again = 0  # QoS 1 messages that came again
        self.unacknowledged = {}  # number to Packet Identifier, of QoS 1 messages that the subscriber did not acknowledge
        self.published_again = set()  # numbers that the publisher sent more than once
        self.exists = {}  # client identifier to whether its session exists; not there: nobody knows
        self.visits = self.losses = 0

    def wrong(self, what):
        versions = "/".join("3.1.1" if version == V311 else "5" for version in self.versions)
        return Wrong(f"{self.name} (QoS {self.qos}, {versions}), round {self.rounds.number}: {what}")

    def client(self, address, role, receive_maximum=None):
        version = self.versions[role == "sub"]
        client = strict.Client(address, version, f"{self.name}-{role}", receive_maximum=receive_maximum)
        self.exists[client.client_id] = False
        return client

    async def connect(self, client):
        """False if the broker is not there just now."""
        name = client.client_id
        known = self.exists.pop(name, None)  # while the CONNECT is under way nobody knows
        try:
            present = await client.connect()
        except OSError:
            if known:
                self.exists[name] = known
            self.losses += 1
            await asyncio.sleep(self.random.uniform(RETRY_S, 3 * RETRY_S))
            return False
        except Wrong as fault:
            raise self.wrong(fault) from None
        if known is not None and present != known:
            raise self.wrong(f"Session Present of {name} is {present}")
        self.exists[name] = True
        return True

    async def publish(self, address, subscribed):
        """Publishes until the rounds are over, then until everything is acknowledged."""
        client = self.client(address, "pub")
        client.on_acknowledged = self.on_acknowledged
        await subscribed.wait()
        while not (self.rounds.over and self.sent and not client.out):
            if client.fault:
                raise self.wrong(client.fault)
            if client.ended.is_set():
                self.published_again.update(int(each.payload) for each in client.out.values() if not each.received)
                await self.connect(client)
                continue
            while not self.sent or len(client.out) < WINDOW and not self.rounds.over and self.random.random() < 0.8:
                client.publish(self.topic, b"%d" % self.sent, self.qos)
                self.sent += 1
            await self.wait(client.ended, *PAUSE_S)
            if self.random.random() < LOSS:
                client.drop()
        await client.disconnect()
        if client.unmatched:
            raise self.wrong(f"{client.unmatched} publishes were acknowledged as if nobody had subscribed")

    async def wait(self, event, low, high):
        """A pause that ends early with the event, or when the rounds are over."""
        try:
            await asyncio.wait_for(event.wait(), self.random.uniform(low, high))
        except TimeoutError:
            pass

    def on_acknowledged(self, _topic, _payload):
        self.acknowledged += 1

    async def subscribe(self, address, subscribed):
        """Comes and goes until the rounds are over."""
        client = self.client(address, "sub", self.random.choice([None, None, 1, 2, 5]))
        client.on_message = lambda told: self.on_message(told, client)
        while not subscribed.is_set():
            if await self.connect(client):
                try:
                    await client.subscribe(self.topic, self.qos)
                    subscribed.set()
                except ConnectionError:
                    pass
        await self.leave(client)
        while not self.rounds.over:
            await self.wait(self.rounds.ended, *OFFLINE_S)
            await self.visit(client)
        while not await self.connect(client):
            pass
        return client

    async def visit(self, client):
        if not await self.connect(client):
            return
        self.visits += 1
        client.mute = False
        await self.wait(client.ended, *ONLINE_S)
        if self.random.random() < 0.5:
            client.mute = True
            await self.wait(client.ended, *ONLINE_S)
        await self.leave(client)
        client.mute = False

    async def leave(self, client):
        if client.fault:
            raise self.wrong(client.fault)
        if self.random.random() < 0.5:
            await client.disconnect()
        else:
            client.drop()

    def on_message(self, told, client):
        """[MQTT-4.6.0-6]; the numbers of one flow are one ordered topic."""
        number = int(told.payload)
        if told.qos != self.qos or told.topic != self.topic:
            raise Wrong(f"got {told}")
        if self.qos == 1 and number not in self.published_again:
            before = self.unacknowledged.pop(number, None)
            if before and (before != told.packet_id or not told.dup):
                raise Wrong(f"{number} came again with id {told.packet_id}, DUP {told.dup}; it had {before} [MQTT-4.4.0-1]")
            if client.mute:
                self.unacknowledged[number] = told.packet_id
        if number < self.next:
            if self.qos == 2:
                raise Wrong(f"{number} came twice (id {told.packet_id}, DUP {told.dup}), waited for {self.next}")
            if not told.dup and number not in self.published_again:
                raise Wrong(f"{number} came again as if it were new, waited for {self.next}")
            self.again += 1
        elif number > self.next:
            raise Wrong(f"{number} came (id {told.packet_id}, DUP {told.dup}), waited for {self.next} of {self.acknowledged} acknowledged")
        else:
            self.next += 1

    async def drain(self, client):
        """Everything that was published has come, and then nothing more."""
        while self.next < self.sent:
            if client.fault:
                raise self.wrong(client.fault)
            if client.ended.is_set():
                raise self.wrong(f"the broker closed a connection ({client.goodbye}) while {self.next} of {self.sent} had come")
            await asyncio.sleep(0.02)
        await asyncio.sleep(SILENT_S)
        if client.fault:
            raise self.wrong(client.fault)
        await client.disconnect()


class Fleeting:
    """Clients whose sessions must never be found again: they end with their connection, or one second after it."""

    def __init__(self, rounds):
        self.rounds = rounds

    async def come_and_go(self, address):
        kinds = {"clean": (V311, {"lasting": False}), "zero": (V5, {"expiry": 0}), "second": (V5, {"expiry": FLEETING_EXPIRY_S})}
        clients = [strict.Client(address, version, f"fleeting-{name}", **how) for name, (version, how) in kinds.items()]
        while not self.rounds.over:
            for client in clients:
                try:
                    present = await client.connect()
                    if present:
                        raise Wrong(f"{client.client_id}, round {self.rounds.number}: Session Present, but that session has ended")
                    await client.subscribe(f"f1/{client.client_id}", 1)
                except OSError:
                    pass
                client.drop()
            await asyncio.sleep(2 * FLEETING_EXPIRY_S)


class Rounds:
    """Starts the broker, ends it at random moments, and starts it again on what it left."""

    def __init__(self, count, shards, how, seed, extra, tell):
        self.count, self.shards, self.how, self.extra, self.tell = count, shards, how, extra, tell
        self.random = random.Random(f"{seed} rounds")
        self.number = 0
        self.over = False
        self.ended = asyncio.Event()
        self.broker = None

    def start(self, folder, port):
        extra = [part for setting in self.extra for part in ("--set", setting)]
        self.broker = Broker(shards=self.shards, data=folder, port=port, extra=extra)
        return self.broker.host, self.broker.port

    async def go(self, folder, flows):
        for number in range(1, self.count + 1):
            self.number = number
            await asyncio.sleep(self.random.uniform(*ROUND_S))
            how = self.how if self.how != "any" else self.random.choice(("term", "kill"))
            before = sum(flow.acknowledged for flow in flows)
            if how == "term":
                same(await asyncio.to_thread(self.broker.stop), 0, "exit code")
            elif how == "kill":
                same(await asyncio.to_thread(self.broker.kill), True, "the broker ran until it was killed")
            if how == "loss":
                continue
            await asyncio.to_thread(self.start, folder, self.broker.port)
            if how == "kill" and self.random.random() < TWICE:
                await asyncio.sleep(self.random.uniform(0, ROUND_S[0]))
                same(await asyncio.to_thread(self.broker.kill), True, "the broker ran until it was killed again")
                await asyncio.to_thread(self.start, folder, self.broker.port)
            if self.tell:
                print(f"round {self.number}: {how}, {before} acknowledged so far", flush=True)
        await asyncio.sleep(ROUND_S[0])
        self.over = True
        self.ended.set()


async def first_fault(tasks):
    """Waits for all; what the first of them raises ends the rest."""
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    while pending:
        for task in pending:
            task.cancel()  # asyncio.wait_for of Python 3.11 may swallow one, so not once only
        _, pending = await asyncio.wait(pending, timeout=CANCEL_S)
    return [task.result() for task in done]


async def every(folder, rounds, count, seed):
    address = rounds.start(folder, steady_port())
    flows = [Flow(number, seed, rounds) for number in range(count)]
    publishers, subscribers = [], []
    for flow in flows:
        subscribed = asyncio.Event()
        publishers.append(asyncio.create_task(flow.publish(address, subscribed)))
        subscribers.append(asyncio.create_task(flow.subscribe(address, subscribed)))
    fleeting = asyncio.create_task(Fleeting(rounds).come_and_go(address))
    going = asyncio.create_task(rounds.go(folder, flows))
    try:
        await first_fault([*publishers, *subscribers, fleeting, going])
        for flow in flows:
            same(flow.acknowledged, flow.sent, f"acknowledged of {flow.name}")
        clients = [task.result() for task in subscribers]
        draining = [asyncio.create_task(flow.drain(client)) for flow, client in zip(flows, clients, strict=True)]
        await asyncio.wait_for(first_fault(draining), DRAIN_S)
    except TimeoutError:
        late = [f"{flow.name}: {flow.next} of {flow.sent}" for flow in flows if flow.next < flow.sent]
        raise AssertionError(f"not within {DRAIN_S} s: {late[:5]} ({len(late)} flows)") from None
    same(await asyncio.to_thread(rounds.broker.stop), 0, "exit code")
    return flows


def bound(count):
    return 60 + DRAIN_S + 25 * count


def flows(count, shards, number=200, seed=None, how="any", settings=('durability="disk"',), tell=False):
    seed = random.randrange(1 << 32) if seed is None else seed
    rounds = Rounds(count, shards, how, seed, settings, tell)
    with tempfile.TemporaryDirectory(prefix="mote-flows-") as folder:
        try:
            held = strict.run(every(folder, rounds, number, seed), bound(count))
        except AssertionError as fault:
            raise AssertionError(f"seed {seed}: {fault}") from None
        finally:
            if rounds.broker:
                rounds.broker.kill()
    sent, again = sum(flow.sent for flow in held), sum(flow.again for flow in held)
    same(all(flow.sent for flow in held), True, "every flow published")
    if tell:
        visits, losses = sum(flow.visits for flow in held), sum(flow.losses for flow in held)
        print(f"{sent} messages of {number} flows, all there, {again} of QoS 1 came again; {visits} visits, "
              f"{losses} refused connections; seed {seed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", type=int, nargs="?", default=30)
    parser.add_argument("shards", type=int, nargs="?", default=4)
    parser.add_argument("--flows", type=int, default=200)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--end", default="any", choices=("term", "kill", "loss", "any"))
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    settings = ['durability="disk"', *arguments.set]
    with Bound(bound(arguments.rounds) + 30):
        flows(arguments.rounds, arguments.shards, arguments.flows, arguments.seed, arguments.end, settings, tell=True)
    print("all rounds held")


if __name__ == "__main__":
    sys.exit(main())
