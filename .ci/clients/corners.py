"""The corners of MQTT 5 with every stock client (stock.py): Receive Maximum 1, delayed wills, request and response,
properties that pass through, subscription identifiers.

    corners.py [SHARDS]                default 4 shards
"""

import sys
import time

import stock
import strict
from broker import Broker
from checks import alone, same, unique
from cutter import DOWN, UP, Cut, Cutter
from packets import V5, Will

LIBRARIES = (stock.Strict, stock.Paho, stock.MqttJs, stock.Gmqtt)
COUNT = 20
DELAY_S = 2
SLACK_S = 3
USER = [("b", "1"), ("a", "2"), ("b", "3"), ("ä", "ö")]
EXPIRY_S = 300
QUOTA_EXCEEDED = 0x93  # Receive Maximum exceeded
WITH_WILL = 0x04
MORE = 5  # publishes beyond the Receive Maximum


def checker(address, **more):
    return stock.Strict(address, V5, unique("checker"), lasting=False, **more)


def numbers(count):
    return [b"%d" % number for number in range(count)]


def receive_maximum(address, kind, version=V5):
    """[MQTT-3.3.4-9] with one: the next message waits for the acknowledgement of the one before, on every connection."""
    topic = f"{unique()}/one"
    with Cutter(address) as cutter, checker(address) as publisher:
        name = unique("one")
        if kind is stock.MosquittoSub:
            client = kind(cutter.address, version, name, receive_maximum=1, filter_=topic, qos=2)
        else:
            client = kind(cutter.address, version, name, receive_maximum=1)
            client.subscribe(topic, 2)
        with client:
            for number, payload in enumerate(numbers(COUNT)):
                publisher.publish(topic, payload, 1 + number % 2)
            client.until(lambda: len(client.messages) >= COUNT, f"{COUNT} messages, got {client.payloads()}")
            cutter.arm([Cut(DOWN, 3, "passed")])
            for payload in numbers(2 * COUNT)[COUNT:]:
                publisher.publish(topic, payload, 1)
            client.until(lambda: set(client.payloads()) >= set(numbers(2 * COUNT)), f"{2 * COUNT} messages, got {client.payloads()}")
        same(list(dict.fromkeys(client.payloads())), numbers(2 * COUNT), "messages in their order")
        same(len(cutter.made), 1, "cuts")
        same(cutter.unacknowledged_max[DOWN], 1, "messages without acknowledgement at a time")


def our_receive_maximum(address):
    """A broker with `session.receive_max = 1` says so, bears who keeps to it and ends who does not [MQTT-3.3.4-7]."""
    topic = f"{unique()}/one"
    with Cutter(address) as cutter, checker(address) as subscriber:
        subscriber.subscribe(topic, 2)
        client = strict.Client(cutter.address, V5, unique("kept"))
        strict.run(one_at_a_time(client, topic))
        subscriber.until(lambda: len(subscriber.messages) >= COUNT, f"{COUNT} messages")
        same(subscriber.payloads(), numbers(COUNT), "messages")
        same(cutter.unacknowledged_max[UP], 1, "publishes without acknowledgement at a time")
        client = strict.Client(address, V5, unique("broken"))
        same(strict.run(all_at_once(client, topic)), QUOTA_EXCEEDED, "reason of the end")


async def one_at_a_time(client, topic):
    await client.connect()
    same(client.connack.properties.get("receive_maximum"), 1, "Receive Maximum of the broker")
    for number, payload in enumerate(numbers(COUNT)):
        client.publish(topic, payload, 1 + number % 2)
        while client.out:
            if client.fault or client.ended.is_set():
                raise AssertionError(f"{client.fault or client.goodbye}")
            await strict.asyncio.sleep(0.002)
    await client.disconnect()


async def all_at_once(client, topic):
    """QoS 2, whose quota only PUBCOMP gives back, and this client does not look at what comes before it has sent all."""
    await client.connect()
    for _ in range(1 + MORE):
        client.publish(topic, b"more", 2)
    await client.ended.wait()
    return client.goodbye


class Dying:
    """One client with a delayed will, and who watches for it."""

    def __init__(self, address, kind):
        self.address, self.kind, self.name = address, kind, unique("will")
        self.topic = f"{unique()}/will"
        self.will = Will(self.topic, b"gone", 1, False, {"will_delay": DELAY_S, "content_type": "text/plain", "user": USER})
        self.watcher = checker(address)
        self.watcher.subscribe(self.topic, 1)

    def open(self):
        return self.kind(self.address, V5, self.name, will=self.will)

    def came_back(self):
        client = self.open()
        same(client.presents[0], True, f"Session Present of {client} within the delay")
        return client

    def judge(self):
        message = self.watcher.messages[0]
        same((message.payload, len(self.watcher.messages)), (b"gone", 1), "payload of the will")
        same(message.properties.get("content_type"), "text/plain", "content type of the will")
        same(ordered(message.properties["user"], self.kind), ordered(USER, self.kind), "user properties of the will")
        same("will_delay" in message.properties, False, "the delay is told to nobody")


def wills(address, kinds):
    """[MQTT-3.1.3-9]: the will comes when its delay is over, not before, and not if the client is back. All kinds at a time."""
    every = [Dying(address, kind) for kind in kinds]
    for each in every:
        each.open().drop()
    time.sleep(DELAY_S / 2)
    again = [each.came_back() for each in every]
    time.sleep(DELAY_S)
    for each in every:
        same(each.watcher.messages, [], f"wills of {each.kind.name}, which came back")
    began = time.monotonic()
    for client in again:
        client.drop()
    time.sleep(max(0, DELAY_S - 0.2 - (time.monotonic() - began)))
    for each in every:
        same(each.watcher.messages, [], f"wills of {each.kind.name} before their delay is over")
    for each in every:
        each.watcher.until(lambda watcher=each.watcher: watcher.messages, f"the will of {each.kind.name}", DELAY_S + SLACK_S)
        each.judge()
        each.watcher.close()


def will_of_disconnect(address):
    """DISCONNECT 0x04 publishes the will, 0x00 removes it [MQTT-3.14.4-3]; the end of the session ends the delay."""
    topic = f"{unique()}/will"
    with checker(address) as watcher:
        watcher.subscribe(f"{topic}/#", 1)
        strict.run(goodbye(address, f"{topic}/never", 0, 0, 0))
        strict.run(goodbye(address, f"{topic}/disconnect", WITH_WILL, 0, stock.EXPIRY_S))
        watcher.until(lambda: watcher.messages, "the will of DISCONNECT 0x04")
        # Session Expiry Interval 1 ends the session before the delay is over [MQTT-3.1.3-9]
        began = time.monotonic()
        strict.run(goodbye(address, f"{topic}/expiry", WITH_WILL, 60, 1))
        watcher.until(lambda: len(watcher.messages) > 1, "the will at the end of the session", 1 + SLACK_S)
        same(time.monotonic() - began > 0.9, True, "not before the end of the session")
        same([each.topic for each in watcher.messages], [f"{topic}/disconnect", f"{topic}/expiry"], "wills")


async def goodbye(address, topic, code, delay, expiry):
    client = strict.Client(address, V5, unique("bye"), expiry=expiry, will=Will(topic, b"", 1, False, {"will_delay": delay}))
    await client.connect()
    await client.disconnect(code)


def request_response(address, asking, answering):
    """MQTT 5, 4.10: Response Topic and Correlation Data reach the responder as they are, and the answer the requester."""
    root = unique()
    with asking(address, V5, unique("asks")) as asker, answering(address, V5, unique("answers")) as answerer:
        answerer.subscribe(f"{root}/request", 1)
        asker.subscribe(f"{root}/response", 1)
        values = {"response_topic": f"{root}/response", "correlation_data": b"corr \x01", "content_type": "text/plain",
                  "user": USER, "message_expiry": EXPIRY_S}
        asker.publish(f"{root}/request", b"question", 1, **values)
        answerer.until(lambda: answerer.messages, "the request")
        asked = answerer.messages[0].properties
        same(asked["response_topic"], f"{root}/response", "Response Topic")
        same(bytes(asked["correlation_data"]), b"corr \x01", "Correlation Data")
        same(asked["content_type"], "text/plain", "Content Type")
        same(ordered(asked["user"], asking, answering), ordered(USER, asking, answering), "user properties")
        same(EXPIRY_S - 5 <= asked["message_expiry"] <= EXPIRY_S, True, f"Message Expiry Interval {asked['message_expiry']}")
        answerer.publish(asked["response_topic"], b"answer", 1, correlation_data=bytes(asked["correlation_data"]))
        asker.until(lambda: asker.messages, "the response")
        got = asker.messages[0]
        same((got.topic, got.payload), (f"{root}/response", b"answer"), "response")
        same(bytes(got.properties["correlation_data"]), b"corr \x01", "Correlation Data of the response")


def ordered(user, *kinds):
    """MQTT.js sends and shows user properties by name, so only their order within a name is its to keep."""
    pairs = [tuple(pair) for pair in user]
    return sorted(pairs, key=lambda pair: pair[0]) if stock.MqttJs in kinds else pairs


def identifiers(address, kind):
    """[MQTT-3.3.4-3] to [MQTT-3.3.4-5]: overlapping subscriptions, one copy with all their identifiers."""
    root = unique()
    with kind(address, V5, unique("ids")) as client, checker(address) as publisher:
        client.subscribe(f"{root}/+", 1, subscription_identifier=plain(kind, 7))
        client.subscribe(f"{root}/#", 2, subscription_identifier=plain(kind, 268_435_455))
        publisher.publish(f"{root}/a", b"both", 2)
        publisher.publish(f"{root}/a/b", b"one", 2)
        client.until(lambda: len(client.messages) >= 2, f"two messages, got {client.messages}")
        both = next(each for each in client.messages if each.payload == b"both")
        one = next(each for each in client.messages if each.payload == b"one")
        same((len(client.messages), both.qos), (2, 2), "copies, and the QoS of the one with both")
        if kind in (stock.Strict, stock.Paho):  # the others show one identifier of several
            same(sorted(both.properties["subscription_identifier"]), [7, 268_435_455], "identifiers of both")
            same(list(one.properties["subscription_identifier"]), [268_435_455], "identifier of one")


def plain(kind, value):
    return [value] if kind is stock.Strict else value


def aliases(address, kind):
    """Topics that are written once and then stand for themselves, from the client to the broker and from the broker to the
    client (MQTT 5, 3.3.2.3.4), on every connection anew."""
    root = unique()
    with Cutter(address) as cutter, checker(address, aliases=2) as reader, checker(address) as publisher:
        reader.subscribe(f"{root}/up/#", 1)
        with kind(cutter.address, V5, unique("aliases"), **({} if kind is stock.Paho else {"aliases": 2})) as client:
            for topic, alias, payload in (("a", 1, b"0"), ("", 1, b"1"), ("b", 2, b"2"), ("", 1, b"3"), ("", 2, b"4"), ("c", 2, b"5"), ("", 2, b"6")):
                client.publish(f"{root}/up/{topic}" if topic else "", payload, 0 if kind is stock.Paho else 1, topic_alias=alias)
            reader.until(lambda: len(reader.messages) >= 7, f"seven messages, got {reader.messages}")
            same([(each.topic[-1], each.payload) for each in reader.messages],
                 list(zip("aababcc", numbers(7), strict=True)), "topics of aliases")
            client.subscribe(f"{root}/down/#", 0)
            for round_ in range(2):
                for number, payload in enumerate(numbers(COUNT)):
                    publisher.publish(f"{root}/down/{number % 3}", payload, 1)
                client.until(lambda: len(client.messages) >= COUNT, f"{COUNT} messages, got {client.payloads()}")
                same([(int(each.topic[-1]), each.payload) for each in client.messages],
                     [(number % 3, payload) for number, payload in enumerate(numbers(COUNT))], "topics and messages")
                client.messages.clear()
                if not round_:
                    cutter.cut_now()
                    client.until(lambda: len(client.presents) > 1, "a second connection")


def run(report, address):
    for kind in (*LIBRARIES, stock.MosquittoSub):
        report.check(f"{kind.name} 5 with Receive Maximum 1", receive_maximum, address, kind)
    for kind in LIBRARIES:
        report.check(f"{kind.name} 5 with Topic Aliases", aliases, address, kind)
        report.check(f"{kind.name} 5 with overlapping subscriptions and their identifiers", identifiers, address, kind)
    report.check(f"delayed wills of {', '.join(kind.name for kind in LIBRARIES)}", wills, address, LIBRARIES)
    report.check("DISCONNECT 0x04 and 0x00, and the end of a session, and wills", will_of_disconnect, address)
    for asking in LIBRARIES:
        for answering in LIBRARIES:
            report.check(f"{asking.name} asks, {answering.name} answers", request_response, address, asking, answering)


def with_one(report, shards):
    """What needs a broker of its own."""
    with Broker(shards=shards, memory=True, extra=("--set", "session.receive_max=1")) as broker:
        report.check("a broker with Receive Maximum 1", our_receive_maximum, (broker.host, broker.port))
        report.check("SIGTERM ends it with 0 after that", lambda: same(broker.stop(), 0, "exit code"))


def with_broker(report, shards):
    with Broker(shards=shards) as broker:
        run(report, (broker.host, broker.port))
        report.check("SIGTERM ends it with 0", lambda: same(broker.stop(), 0, "exit code"))
    with_one(report, shards)


if __name__ == "__main__":
    sys.exit(alone(lambda report: with_broker(report, int(sys.argv[1]) if len(sys.argv) > 1 else 4)))
