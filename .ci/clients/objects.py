"""Two stores edit the same objects, with stock MQTT.js and paho: versioned objects as an application holds them.

    objects.py [SHARDS]        default 4 shards

Each store begins with the snapshot of `get` (rows, versions, cursor) and follows `$rows`: a message says the version of
its row and the one before. One store goes offline and misses messages of QoS 0; when it is back the next message says a
version before that is not its own, so it resumes from its cursor with `since` and has what the other has, deletions
included. An edit of what has changed since is refused with the version that is there. Both ways round.
[MOTE-5.13..14] [MOTE-5.20] [MOTE-5.23] [MOTE-5.34]
"""

import itertools
import json
import sys

from broker import Broker
from checks import Bound, eventually, same
from packets import V5
from stock import MqttJs, Paho

FILTER = "store/#"
NUMBERS = itertools.count(1)  # no store finds the session of another
SAFE = "$tree/store/%23"


def rows(prefix, tree, versions):
    """Topic, value and version of each row below a `#`; a value of None is a deletion."""
    for key, value in tree.items():
        topic = prefix if key == "/" else f"{prefix}/{key}"
        if key != "/" and isinstance(value, dict):
            yield from rows(topic, value, versions[key])
        else:
            yield topic, value, versions[key]


class Store:
    """What one side knows: value as text and version of each row, and where it stands."""

    def __init__(self, kind, address, name):
        self.again = lambda: kind(address, V5, name)
        self.rows, self.cursor, self.gap = {}, None, False
        self.connect()
        self.client.subscribe(f"$rows/{FILTER}", 0)
        self.client.publish("$get;versions;topic=safe/store/**", b"", 0)
        self.until(lambda: self.cursor, "the snapshot")

    def connect(self):
        self.client, self.read = self.again(), 0

    def take(self):
        """Takes in what has come."""
        for message in self.client.messages[self.read :]:
            self.read += 1
            if message.topic == SAFE:
                self.frame(json.loads(message.payload))
            elif message.topic.startswith("store/"):
                self.row(message)

    def row(self, message):
        mote = dict(message.properties.get("user", []))["mote"]
        said = dict(word.split("=") for word in mote.split(";")[1:] if "=" in word)
        version, before = int(said["ver"]), int(said["prev"])
        own = self.rows.get(message.topic, (None, 0))[1]
        if version <= own:
            return  # a snapshot had it already
        if own != before and not message.retain:
            self.gap = True
        self.rows[message.topic] = (message.payload.decode() or None, version)

    def frame(self, body):
        for topic, value, version in rows("store", body["tree"], body["versions"]):
            text = value if value is None or isinstance(value, str) else json.dumps(value)
            self.rows[topic] = (text, version)
        words = body["mote"].split(";")
        same("reset" in words, False, "the cursor is still good")
        self.cursor = next(word.removeprefix("ver=") for word in words if word.startswith("ver="))

    def until(self, condition, what):
        def looked():
            self.client.look()
            self.take()
            return condition()

        eventually(looked, f"{self.client}: {what}")

    def there(self):
        """What is there, without what is deleted."""
        return {topic: row for topic, row in self.rows.items() if row[0] is not None}

    def object(self, topic):
        return max(version for name, (_, version) in self.rows.items() if (name + "/").startswith(topic + "/"))

    def edit(self, topic, value, expected):
        """Writes a row on the condition that its object is as we know it. What is refused comes to `answers/<name>`."""
        reply = f"answers/{self.client.client_id}"
        self.client.publish(f"$put;if={expected}/{topic}", value.encode(), 1, True, response_topic=reply)

    def create(self, topic, value):
        self.client.publish(f"$tree;if=0/{topic}", json.dumps(value).encode(), 1, True)

    def resume(self):
        cursor, self.gap = self.cursor, False
        self.client.subscribe(f"$sync;versions;topic=safe;since={cursor}/{FILTER}", 1)
        self.until(lambda: self.cursor != cursor, "what it missed")


def agree(one, other):
    eventually(lambda: (one.take(), other.take(), one.there() == other.there())[2], "both have the same", 10)


def conversation(address, kinds):
    stays, leaves = (Store(kind, address, f"{role} {next(NUMBERS)}") for kind, role in zip(kinds, ("stays", "leaves")))
    try:
        stays.client.subscribe(f"answers/{stays.client.client_id}", 1)
        stays.create("store/1", {"name": "lamp", "watts": 5})
        leaves.until(lambda: len(leaves.there()) == 2, "the object")
        leaves.edit("store/1/watts", "7", leaves.object("store/1"))
        stays.until(lambda: stays.rows["store/1/watts"][0] == "7", "the edit of the other")
        stays.create("store/2", {"name": "desk"})
        agree(stays, leaves)
        known = leaves.object("store/1")
        leaves.client.drop()
        stays.edit("store/1/watts", "9", stays.object("store/1"))
        stays.until(lambda: stays.rows["store/1/watts"][0] == "9", "its own edit")
        stays.edit("store/2/name", "", stays.object("store/2"))
        stays.until(lambda: stays.rows["store/2/name"][0] is None, "its own deletion")
        leaves.connect()
        same(leaves.client.presents, [True], "its session is there")
        same(leaves.object("store/1"), known, "it has missed what was said")
        stays.edit("store/1/watts", "11", stays.object("store/1"))
        leaves.until(lambda: leaves.gap, "a version before that is not its own")
        leaves.resume()
        agree(stays, leaves)
        same("store/2/name" in leaves.there(), False, "what was deleted is gone")
        stays.edit("store/1/watts", "1", known)
        stays.until(lambda: any(m.topic.startswith("answers/") for m in stays.client.messages), "the refusal")
        refusal = json.loads(next(m.payload for m in stays.client.messages if m.topic.startswith("answers/")))
        current = stays.object("store/1")
        same(refusal, {"topic": "store/1/watts", "expected": known, "version": stays.rows["store/1/watts"][1], "value": 11},
             f"the refusal, at object version {current}")
        same(stays.there()["store/1/watts"][0], "11", "a refused edit changes nothing")
        stays.client.publish("$set/store/**", b"", 1, True)
        stays.until(lambda: not stays.there(), "that all is deleted")
        leaves.until(lambda: not leaves.there(), "that all is deleted")
    finally:
        stays.client.close()
        leaves.client.close()


def converse(shards):
    with Broker(shards=shards) as broker:
        address = (broker.host, broker.port)
        for kinds in ((Paho, MqttJs), (MqttJs, Paho), (Paho, Paho), (MqttJs, MqttJs)):
            conversation(address, kinds)
        same(broker.stop(), 0, "exit code")


if __name__ == "__main__":
    with Bound(120):
        converse(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
    print("both stores agree")
