"""QoS 2 (and 1) of stock clients while their connection is cut at every packet.

    cuts.py [SHARDS] [--way WAY]... [--client NAME]...     default 4 shards, all ways (swallowed, torn, passed), all clients

Between client and broker stands a cutter (cutter.py). The client publishes MESSAGES messages, or gets as many; its
connection ends at the first packet in one direction, in the next life at the second, and so on through the exchange, in
both directions and in every way. Then again with many cuts one after another. The client connects again by its own means
and resumes its session. At the other end is a client of ours that knows what must come: everything once, in order.

Some libraries do not do what the specification demands of a client. Such a fault is only accepted as what LIBRARY_FAULTS
says of it, and only where the packets that went over the wire show that it was the library's (`came_again`,
`published_again`). Our own client (`strict`), which goes through the same cuts, is held to all of it.
"""

import argparse
import collections
import itertools
import random
import sys

import stock
from broker import Broker
from checks import alone, same, unique
from cutter import DOWN, UP, WAYS, Cut, Cutter
from packets import PUBLISH, PUBREL, V5

MESSAGES = 3
PACKETS = 2 * MESSAGES  # of the exchange, in one direction
CHAIN = 12
QUIET_S = 0.1
END = b"end"
LIBRARY_FAULTS = {
    ("paho", "publisher"): "publishes a QoS 2 message again after PUBREL if two connections in a row end, the second before CONNACK",
    ("mosquitto_sub", "subscriber"): "keeps a QoS 2 message twice that comes with DUP, and shows the second if PUBREL comes twice too",
    ("gmqtt", "subscriber"): "shows a QoS 2 message again when it comes with DUP and an identifier that it has",
}
PUBLISHERS = (stock.Strict, stock.Paho, stock.MqttJs, stock.Gmqtt)
SUBSCRIBERS = (*PUBLISHERS, stock.MosquittoSub)


class Exchange:
    """One client behind one cutter, through one or more cuts."""

    def __init__(self, broker, kind, version, qos, cuts):
        self.broker, self.kind, self.version, self.qos, self.cuts = broker, kind, version, qos, cuts
        self.name = unique("cut")
        self.topic = f"{self.name}/t"
        self.wanted = [b"%d" % number for number in range(MESSAGES)] + [END]
        self.cutter = Cutter(broker)
        self.clients = []

    def client(self, **more):
        return self.keep(self.kind(self.cutter.address, self.version, f"{self.name}-client", **more))

    def reference(self):
        """Our own client, beside the cutter."""
        return self.keep(stock.Strict(self.broker, V5, f"{self.name}-checker", lasting=False))

    def keep(self, client):
        self.clients.append(client)
        return client


class Publishing(Exchange):
    role = "publisher"

    def begin(self):
        self.checker = self.reference()
        self.checker.subscribe(self.topic, 2)
        self.stock = self.client()
        self.cutter.arm(self.cuts)
        for payload in self.wanted[:-1]:
            self.stock.publish(self.topic, payload, self.qos)

    def go_on(self):
        self.stock.settle(MESSAGES)
        self.stock.publish(self.topic, END, self.qos)

    def end(self):
        self.stock.settle(MESSAGES + 1)
        self.checker.until(lambda: END in self.checker.payloads(), f"the last message; got {self.checker.payloads()}")
        return self.checker.payloads()


class Receiving(Exchange):
    role = "subscriber"

    def begin(self):
        self.publisher = self.reference()
        if self.kind is stock.MosquittoSub:
            self.stock = self.client(filter_=self.topic, qos=self.qos)
        else:
            self.stock = self.client()
            self.stock.subscribe(self.topic, self.qos)
        self.cutter.arm(self.cuts)
        for payload in self.wanted[:-1]:
            self.publisher.publish(self.topic, payload, self.qos)

    def go_on(self):
        self.stock.until(lambda: set(self.stock.payloads()) >= set(self.wanted[:-1]), f"all messages; got {self.stock.payloads()}")
        self.publisher.publish(self.topic, END, self.qos)

    def end(self):
        self.stock.until(lambda: END in self.stock.payloads(), f"the last message; got {self.stock.payloads()}")
        return self.stock.payloads()


def judge(exchange, got):
    """None, or what the library did wrong; raises if the broker did it, or if nobody may have done it."""
    wanted, key = exchange.wanted, (exchange.kind.name, exchange.role)
    if exchange.qos == 1:
        once = list(dict.fromkeys(got))
        same(once, wanted, "messages in the order in which they first came")
        return None
    if got == wanted:
        return exchange.stock.quirk
    if key not in LIBRARY_FAULTS or list(dict.fromkeys(got)) != wanted:
        same(got, wanted, "messages")
    for payload, times in collections.Counter(got).items():
        if times > 1:
            shown = came_again if exchange.role == "subscriber" else published_again
            shown(exchange.cutter.seen, payload)
    return LIBRARY_FAULTS[key]


def came_again(seen, payload):
    """The broker sent it as it must: with the identifier that it had, with DUP, and before any PUBREL."""
    of_it = [each for each in seen if each.kind == PUBLISH and each.payload.endswith(payload)]
    same(len({each.packet_id for each in of_it}), 1, f"identifiers of {payload!r}")
    same([each.dup for each in of_it[1:]], [True] * (len(of_it) - 1), f"DUP of {payload!r} when it came again")
    assert of_it[1:], f"{payload!r} went over the wire once"
    between = seen[seen.index(of_it[0]) : seen.index(of_it[-1])]
    released = [each for each in between if each.kind == PUBREL and each.packet_id == of_it[0].packet_id]
    same(released, [], "PUBREL between")


def published_again(seen, payload):
    """The client sent it again after its PUBREL, which makes it a new message [MQTT-4.3.3-6]."""
    last = max(at for at, each in enumerate(seen) if each.kind == PUBLISH and each.payload.endswith(payload))
    released = [each for each in seen[:last] if each.kind == PUBREL and each.packet_id == seen[last].packet_id]
    same(bool(released), True, f"PUBREL before {payload!r} was published again")


def through(exchanges):
    """All of them at a time; the notes on what libraries did."""
    notes = set()
    try:
        for exchange in exchanges:
            exchange.begin()
        for exchange in exchanges:
            told(exchange, exchange.go_on)
        for exchange in exchanges:
            got = told(exchange, exchange.end)
            note = told(exchange, lambda e=exchange, g=got: judge(e, g))
            if note:
                notes.add(note)
        return notes
    finally:
        for exchange in exchanges:
            exchange.cutter.close()
            for client in exchange.clients:
                client.close()


def told(exchange, function):
    try:
        return function()
    except AssertionError as fault:
        cuts = ", ".join(str(cut) for cut in exchange.cuts[:CHAIN])
        raise AssertionError(f"{fault}; cut at: {cuts}; on the wire: {exchange.cutter.story()}") from None


def single(role, broker, kind, version, ways):
    """One life for each packet of the exchange and each way."""
    cuts = [Cut(direction, count, way)
            for direction, count, way in itertools.product((UP, DOWN), range(1, PACKETS + 1), ways)]
    exchanges = [role(broker, kind, version, 2, [cut]) for cut in cuts]
    notes = through(exchanges)
    made = [cut for exchange in exchanges for cut in exchange.cutter.made]
    # a client that acknowledges several at once, or a lost acknowledgement, makes the exchange no shorter
    same(len(made), len(cuts), f"cuts that happened ({made[-1:]} was the last)")
    return notes


def chained(role, broker, kind, version, qos, seed):
    """Cut after cut, now early and now late, with a new connection between."""
    source = random.Random(seed)
    cuts = [Cut(source.choice((UP, DOWN)), source.randint(1, PACKETS + 2), source.choice(WAYS)) for _ in range(CHAIN)]
    exchange = role(broker, kind, version, qos, cuts)
    return through([exchange])


def note(report, name, function, *arguments):
    """A check whose name says what the library did, if it did."""
    notes = set()
    report.check(name, lambda: notes.update(function(*arguments)))
    for each in notes:
        print(f"        {name}: a fault of the library, shown by its packets: {each}", flush=True)


def run(report, broker, ways=WAYS, names=None):
    for role, kinds in ((Publishing, PUBLISHERS), (Receiving, SUBSCRIBERS)):
        for kind in kinds:
            if names and kind.name not in names:
                continue
            for version in kind.versions:
                label = f"{kind.name} {'5' if version == V5 else '3.1.1'} as {role.role}, QoS"
                note(report, f"{label} 2, cut at every packet ({', '.join(ways)})", single, role, broker, kind, version, ways)
                for qos in (1, 2):
                    seed = random.randrange(1 << 32)
                    note(report, f"{label} {qos}, {CHAIN} cuts one after another, seed {seed}",
                         chained, role, broker, kind, version, qos, seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=int, nargs="?", default=4)
    parser.add_argument("--way", action="append", choices=WAYS)
    parser.add_argument("--client", action="append")
    arguments = parser.parse_args()
    return alone(lambda report: with_broker(report, arguments))


def with_broker(report, arguments):
    with Broker(shards=arguments.shards) as broker:
        run(report, (broker.host, broker.port), tuple(arguments.way or WAYS), arguments.client)
        report.check("SIGTERM ends it with 0", lambda: same(broker.stop(), 0, "exit code"))


if __name__ == "__main__":
    sys.exit(main())
