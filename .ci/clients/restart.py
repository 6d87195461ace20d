"""Sessions of stock clients through an end of the broker and a new start on what it left: SIGTERM, and kill -9 with
`durability = "disk"`.

    restart.py [SHARDS]                default 4 shards

Each client was subscribed before. `away`: it is offline meanwhile, and messages wait for it. `staying`: it sees the
connection end and connects again by its own means. `publishing`: it publishes while there is no broker. `fleeting`: its
session ends with its connection. A delayed will is due only after the start.
"""

import sys
import tempfile
import time

import stock
from broker import Broker, steady_port
from checks import WAIT_S, alone, same, unique
from packets import V5, Will

COUNT = 20
WILL_DELAY_S = 3
LIBRARIES = (stock.Strict, stock.Paho, stock.MqttJs, stock.Gmqtt, stock.MosquittoSub)
DISK = ("--set", 'durability="disk"')


def numbers(first, count=COUNT):
    return [b"%d" % number for number in range(first, first + count)]


class Resuming:
    """One library and version through the restart."""

    def __init__(self, address, kind, version):
        self.address, self.kind, self.version = address, kind, version
        # a first level of its own, so that these lie on several shards
        self.root = unique(f"restart-{kind.name.replace('.', '')}")

    def open(self, address, role, qos, **more):
        """A client of this role; subscribed, where it can only be made so."""
        name, topic = f"{self.root}-{role}", f"{self.root}/{role}"
        if self.kind is stock.MosquittoSub:
            return self.kind(address, self.version, name, filter_=topic, qos=qos, **more)
        return self.kind(address, self.version, name, **more)

    def subscribed(self, role, qos, **more):
        client = self.open(self.address, role, qos, **more)
        if self.kind is not stock.MosquittoSub:
            client.subscribe(f"{self.root}/{role}", qos)
        return client

    def before(self, publisher):
        self.subscribed("away", 2).close()
        self.subscribed("fleeting", 1, lasting=False).drop()
        self.staying = self.subscribed("staying", 2)
        self.publishing = None
        if self.kind is not stock.MosquittoSub:
            self.publishing = self.open(self.address, "publishing", 2)
        for number, payload in enumerate(numbers(0)):
            publisher.publish(f"{self.root}/away", payload, 1 + number % 2)
        publisher.publish(f"{self.root}/staying", b"before", 2)
        self.staying.until(lambda: self.staying.messages, "a message before the end")

    def meanwhile(self):
        if self.publishing:
            for number, payload in enumerate(numbers(0)):
                self.publishing.publish(f"{self.root}/published", payload, 1 + number % 2)

    def after(self, publisher, how):
        """Each assertion names the library; the first that fails ends this one."""
        self.came_back(publisher, how)
        with self.open(self.address, "away", 2) as away:
            self.present(away, True)
            away.until(lambda: len(away.messages) >= COUNT, f"the messages that waited, got {away.payloads()}")
            publisher.publish(f"{self.root}/away", b"after", 2)
            away.until(lambda: b"after" in away.payloads(), "a message after the start")
            self.ordered(away.payloads()[:-1])
            same(away.payloads()[-1], b"after", "the last message")
        if self.kind is not stock.MosquittoSub:
            with self.open(self.address, "fleeting", 1) as fleeting:
                self.present(fleeting, False)
        if self.publishing:
            self.publishing.settle(COUNT)

    def came_back(self, publisher, how):
        staying, before = self.staying, [b"before"]
        if self.kind is stock.MosquittoSub and self.version == V5 and how == "SIGTERM":
            # a DISCONNECT of the broker ends mosquitto_sub 2.0; who keeps it alive starts it again
            same(staying.process.wait(WAIT_S), 0, "exit code of mosquitto_sub")
            self.staying = staying = self.open(self.address, "staying", 2)
            before = []
        else:
            staying.until(lambda: len(staying.presents) > 1, "a second CONNACK")
        self.present(staying, True)
        publisher.publish(f"{self.root}/staying", b"after", 2)
        staying.until(lambda: b"after" in staying.payloads(), "a message after the start")
        same(staying.payloads(), [*before, b"after"], "messages of the client that stayed")

    def present(self, client, wanted):
        if client.presents[-1] is not None:
            same(client.presents[-1], wanted, f"Session Present of {client.client_id}")

    def ordered(self, got):
        """A client shows a QoS 2 message when its PUBREL has come, so only the order within one QoS can be seen."""
        same(len(got), COUNT, f"messages {got}")
        for qos in (0, 1):
            of_it = [each for each in got if int(each) % 2 == qos]
            same(of_it, numbers(0)[qos::2], f"messages of QoS {1 + qos}")

    def published(self, got):
        """What was published while there was no broker: QoS 1 at least once, QoS 2 once, each in order."""
        once = list(dict.fromkeys(got[0::1]))
        for qos in (0, 1):
            of_it = [each for each in (once if qos == 0 else got) if int(each) % 2 == qos]
            same(of_it, numbers(0)[qos::2], f"messages of QoS {1 + qos} that {self.kind.name} published meanwhile")

    def close(self):
        for client in (self.staying, self.publishing):
            if client:
                client.close()


def will_watch(address):
    """A session that gets what is published on any topic of this check, and the will of a client that died before."""
    watcher = stock.Strict(address, V5, unique("watcher"))
    watcher.subscribe("+/published", 2)
    topic = unique("late") + "/will"
    watcher.subscribe(topic, 1)
    stock.Strict(address, V5, unique("dies"), will=Will(topic, b"gone", 1, False, {"will_delay": WILL_DELAY_S})).drop()
    return watcher, topic, time.monotonic()


def all_libraries(report, shards, how):
    label = f"through {how}, {shards} shards"
    extra = DISK if how == "kill -9" else ()
    with tempfile.TemporaryDirectory(prefix="mote-restart-") as folder:
        with Broker(shards=shards, data=folder, extra=extra, port=steady_port()) as broker:
            address = (broker.host, broker.port)
            watcher, topic, died = will_watch(address)
            publisher = stock.Strict(address, V5, unique("publisher"))
            every = [Resuming(address, kind, version) for kind in LIBRARIES for version in kind.versions]
            for each in every:
                report.check(f"{each.kind.name} {version(each)} before {how}, {shards} shards", each.before, publisher)
            publisher.settle(0)
            if how == "kill -9":
                same(broker.kill(), True, "the broker ran until it was killed")
            else:
                report.check(f"SIGTERM ends it with 0, {shards} shards", lambda: same(broker.stop(), 0, "exit code"))
        for each in every:
            each.meanwhile()
        with Broker(shards=shards, data=folder, extra=extra, port=address[1]) as broker:
            for each in every:
                report.check(f"{each.kind.name} {version(each)} {label}", each.after, publisher, how)
                report.check(f"{each.kind.name} {version(each)} published while there was no broker, {label}",
                             arrived, each, watcher)
            report.check(f"a delayed will {label}", came, watcher, topic, died)
            for each in (*every, watcher, publisher):
                each.close()
            report.check(f"SIGTERM ends it with 0 after the start, {shards} shards", lambda: same(broker.stop(), 0, "exit code"))


def version(each):
    return "5" if each.version == V5 else "3.1.1"


def arrived(each, watcher):
    if not each.publishing:
        return
    topic = f"{each.root}/published"
    watcher.until(lambda: len({told.payload for told in watcher.messages if told.topic == topic}) >= COUNT, f"what {each.root} published")
    each.published([told.payload for told in watcher.messages if told.topic == topic])


def came(watcher, topic, died):
    watcher.until(lambda: any(told.topic == topic for told in watcher.messages), "the will", WILL_DELAY_S + 10)
    same(time.monotonic() - died > WILL_DELAY_S - 0.1, True, "the will waited for its delay")
    same([told.payload for told in watcher.messages if told.topic == topic], [b"gone"], "wills")


def run(report, shards):
    for how in ("SIGTERM", "kill -9"):
        all_libraries(report, shards, how)


if __name__ == "__main__":
    sys.exit(alone(lambda report: run(report, int(sys.argv[1]) if len(sys.argv) > 1 else 4)))
