"""Shared subscriptions with twenty members of different libraries, on as many shards as the broker has, some of which
die: what MQTT 5 says in 4.8.2, for MQTT 3.1.1 too.

    share.py [SHARDS]                  default 4 shards
"""

import collections
import random
import sys
import tempfile
import time

import stock
from broker import Broker, steady_port
from checks import alone, same, unique
from packets import V5, V311

# kind, version and how many of them: twenty
MEMBERS = ((stock.Strict, V5, 4), (stock.Strict, V311, 3), (stock.Paho, V5, 3), (stock.Paho, V311, 3),
           (stock.MqttJs, V5, 2), (stock.MqttJs, V311, 1), (stock.Gmqtt, V5, 2), (stock.MosquittoSub, V5, 1),
           (stock.MosquittoSub, V311, 1))
DEATHS = 7
COUNT = 400
FAIR = 4  # nobody gets less than this part of an even share
ROUNDS = 12
QUIET_S = 0.3
MUTE_MESSAGES = 60
ENDS = 5
DISK = ("--set", 'durability="disk"')


class Group:
    """Members of one share name and filter, with what each of them got."""

    def __init__(self, address, filter_, qos):
        self.address, self.filter, self.qos = address, filter_, qos
        self.members, self.gone = [], []

    def join(self, kind, version, **more):
        name = unique("member")
        if kind is stock.MosquittoSub:
            member = kind(self.address, version, name, filter_=self.filter, qos=self.qos, **more)
        else:
            member = kind(self.address, version, name, **more)
            member.subscribe(self.filter, self.qos)
        self.members.append(member)
        return member

    def everyone(self, **more):
        for kind, version, count in MEMBERS:
            for _ in range(count):
                self.join(kind, version, **more)

    def die(self, count, source):
        """Without a DISCONNECT."""
        for member in source.sample(self.members, count):
            member.drop()
            self.members.remove(member)
            self.gone.append(member)

    def got(self, members=None):
        """Payload to how often it came."""
        return collections.Counter(payload for member in members or self.members for payload in member.payloads())

    def until(self, wanted, members=None, seconds=20):
        wanted, deadline = set(wanted), time.monotonic() + seconds
        while set(self.got(members)) < wanted:
            for member in self.members:
                member.look()
            if time.monotonic() > deadline:
                missing = sorted(wanted - set(self.got(members)), key=int)
                raise AssertionError(f"{len(missing)} of {len(wanted)} never came: {missing[:5]}")
            time.sleep(0.02)

    def once(self, wanted):
        time.sleep(QUIET_S)
        twice = [payload for payload, times in self.got().items() if times > 1]
        same(twice, [], "messages that came to more than one")
        same(set(self.got()), set(wanted), "messages")

    def forget(self):
        for member in self.members:
            member.messages.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self.members:
            member.close()


def numbers(first, count=COUNT):
    return [b"%d" % number for number in range(first, first + count)]


def publisher(address):
    return stock.Strict(address, V5, unique("publisher"), lasting=False)


def twenty(address, qos):
    """Each message goes to one; all get some; when some die the others get everything."""
    root, source = unique(), random.Random(qos)
    with Group(address, f"$share/g/{root}/#", qos) as group, publisher(address) as sender:
        group.everyone(lasting=False)
        same(len(group.members), 20, "members")
        for number in numbers(0):
            sender.publish(f"{root}/{int(number) % 9}", number, qos)
        group.until(numbers(0))
        group.once(numbers(0))
        least = min(len(member.messages) for member in group.members)
        same(least >= COUNT // len(group.members) // FAIR, True, f"the share of who got least, {least} of {COUNT}")
        group.forget()
        group.die(DEATHS, source)
        time.sleep(QUIET_S)
        for number in numbers(COUNT):
            sender.publish(f"{root}/{int(number) % 9}", number, qos)
        group.until(numbers(COUNT))
        group.once(numbers(COUNT))


def many_owners(address):
    """A wildcard at the root: every shard owns a part of the topics, and one group is served from all of them."""
    leaf = unique()
    with Group(address, f"$share/g/+/{leaf}", 1) as group, publisher(address) as sender:
        group.everyone(lasting=False)
        for number in numbers(0):
            sender.publish(f"r{int(number) % 31}/{leaf}", number, 1)
        group.until(numbers(0))
        group.once(numbers(0))
        idle = [str(member) for member in group.members if not member.messages]
        same(idle, [], "members that got nothing")


def groups_and_others(address):
    """Two groups and a plain subscriber of one filter: each group gets everything once, the plain one too."""
    root = unique()
    with Group(address, f"$share/g1/{root}/#", 1) as one, Group(address, f"$share/g2/{root}/#", 2) as two, publisher(address) as sender:
        for group in (one, two):
            for version in (V5, V311, V5):
                group.join(stock.Strict, version, lasting=False)
        with stock.Paho(address, V5, unique("plain"), lasting=False) as plain:
            plain.subscribe(f"{root}/#", 1)
            for number in numbers(0, 60):
                sender.publish(f"{root}/x", number, 2)
            for group in (one, two):
                group.until(numbers(0, 60))
                group.once(numbers(0, 60))
            plain.until(lambda: len(plain.messages) >= 60, "all messages")
            same(plain.payloads(), numbers(0, 60), "messages of the plain subscriber")


def no_retained(address):
    """No retained messages are sent to a share when it is subscribed to (MQTT 5, 3.3.1.3)."""
    topic = unique() + "/r"
    with Group(address, f"$share/g/{topic}", 1) as group, publisher(address) as sender:
        sender.publish(topic, b"0", 1, True)
        sender.settle(1)
        for version in (V5, V311):
            group.join(stock.Strict, version, lasting=False)
        sender.publish(topic, b"1", 1)
        group.until([b"1"])
        group.once([b"1"])
        sender.publish(topic, b"", 1, True)


def unacknowledged(address):
    """Members that take and never acknowledge die: their QoS 1 messages come to those who are left (MQTT 5, 4.8.2)."""
    root = unique()
    with Group(address, f"$share/g/{root}/#", 1) as group, publisher(address) as sender:
        mute = [group.join(stock.Strict, version, lasting=False) for version in (V5, V311, V5)]
        for member in mute:
            member.client.mute = True
        loud = [group.join(kind, V5, lasting=False) for kind in (stock.Strict, stock.Paho, stock.MqttJs)]
        for number in numbers(0, MUTE_MESSAGES):
            sender.publish(f"{root}/x", number, 1)
        group.until(numbers(0, MUTE_MESSAGES))
        same(all(member.messages for member in mute), True, "the mute ones got some")
        for member in mute:
            member.drop()
            group.members.remove(member)
        group.until(numbers(0, MUTE_MESSAGES), loud)


def absent(address):
    """Nothing goes to a member that is away while others are there, though its session lasts; when all are away the
    messages wait."""
    root = unique()
    with Group(address, f"$share/g/{root}/#", 1) as group, publisher(address) as sender:
        lasting = [group.join(stock.Strict, version) for version in (V5, V311, V5, V311)]
        away = lasting[:2]
        for member in away:
            member.drop()
        time.sleep(QUIET_S)
        for number in numbers(0, 40):
            sender.publish(f"{root}/x", number, 1)
        group.until(numbers(0, 40), lasting[2:])
        for member in lasting[2:]:
            member.drop()
        group.members.clear()
        time.sleep(QUIET_S)
        for number in numbers(40, 20):
            sender.publish(f"{root}/x", number, 1)
        sender.settle(60)
        back = [stock.Strict(address, member.version, member.client_id) for member in lasting]
        group.members.extend(back)
        same([member.presents for member in back], [[True]] * 4, "Session Present")
        group.until(numbers(40, 20))
        group.once(numbers(40, 20))


def churn(address, qos):
    """Members come and go, and come back to their sessions, while messages flow: nothing is lost, and QoS 2 comes once
    [MQTT-4.8.2-4]."""
    root, source = unique(), random.Random(qos)
    with Group(address, f"$share/g/{root}/#", qos) as group, publisher(address) as sender:
        for number in range(10):
            group.join(stock.Strict, (V5, V311)[number % 2])
        everybody, sent = list(group.members), 0
        for _ in range(ROUNDS):
            leaving = source.sample(group.members, 3)
            for number in numbers(sent, 25):
                sender.publish(f"{root}/x", number, qos)
            sent += 25
            time.sleep(source.uniform(0, 0.02))
            for member in leaving:
                member.drop()
                group.members.remove(member)
            for number in numbers(sent, 25):
                sender.publish(f"{root}/x", number, qos)
            sent += 25
            time.sleep(source.uniform(0, 0.05))
            for member in leaving:
                again(member)
                group.members.append(member)
        sender.settle(sent)
        group.until(numbers(0, sent), everybody)
        if qos == 2:
            group.once(numbers(0, sent))


def through_ends(shards, qos, how):
    """Lasting members come and go while the broker is ended and started again: QoS 1 at least once, QoS 2 once."""
    root, source = unique(), random.Random()
    with tempfile.TemporaryDirectory(prefix="mote-share-") as folder:
        broker = Broker(shards=shards, data=folder, extra=DISK, port=steady_port())
        try:
            address = (broker.host, broker.port)
            sender = stock.Strict(address, V5, unique("publisher"))
            with Group(address, f"$share/g/{root}/#", qos) as group:
                for number in range(10):
                    group.join(stock.Strict, (V5, V311)[number % 2])
                sent = 0
                for _ in range(ENDS):
                    leaving = source.sample(group.members, 4)
                    for member in leaving[:2]:
                        member.drop()
                    for number in numbers(sent, 100):
                        sender.publish(f"{root}/{int(number) % 5}", number, qos)
                    sent += 100
                    time.sleep(source.uniform(0, 0.3))
                    for member in leaving[2:]:
                        member.drop()
                    if how == "kill -9":
                        same(broker.kill(), True, "the broker ran until it was killed")
                    else:
                        same(broker.stop(), 0, "exit code")
                    broker = Broker(shards=shards, data=folder, extra=DISK, port=address[1])
                    for member in leaving:
                        again(member)
                sender.settle(sent)
                group.until(numbers(0, sent))
                if qos == 2:
                    group.once(numbers(0, sent))
                sender.close()
            same(broker.stop(), 0, "exit code")
        finally:
            broker.kill()


def again(member):
    """The same client object, so the same session on its side, connects again."""
    count = len(member.presents)
    member.start()
    member.until(lambda: len(member.presents) > count, "CONNACK")
    same(member.presents[-1], True, "Session Present")


def run(report, address):
    for qos in (0, 1, 2):
        report.check(f"twenty members of a share, some die, QoS {qos}", twenty, address, qos)
    report.check("a share with a wildcard at the root", many_owners, address)
    report.check("two groups and a plain subscriber", groups_and_others, address)
    report.check("no retained messages for a share", no_retained, address)
    report.check("a dead member's QoS 1 messages go to another", unacknowledged, address)
    report.check("nothing to an absent member of a share", absent, address)
    for qos in (1, 2):
        report.check(f"members of a share come and go, QoS {qos}", churn, address, qos)


def run_ends(report, shards):
    for how in ("SIGTERM", "kill -9"):
        for qos in (1, 2):
            report.check(f"a share through {how}, {ENDS} times, QoS {qos}", through_ends, shards, qos, how)


def with_broker(report, shards):
    with Broker(shards=shards) as broker:
        run(report, (broker.host, broker.port))
        report.check("SIGTERM ends it with 0", lambda: same(broker.stop(), 0, "exit code"))
    run_ends(report, shards)


if __name__ == "__main__":
    sys.exit(alone(lambda report: with_broker(report, int(sys.argv[1]) if len(sys.argv) > 1 else 4)))
