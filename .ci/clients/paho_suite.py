"""paho-mqtt, MQTT 3.1.1 and 5."""

import json
import queue
import threading

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from checks import WAIT_S, eventually, nothing, same, take, unique

V311, V5 = paho.MQTTv311, paho.MQTTv5


class Client:
    """One connection, with what arrived in a queue."""

    def __init__(self, address, version, client_id=None, clean=True, will=None, expiry=None):
        self.version = version
        arguments = {} if version == V5 else {"clean_session": clean}
        self.paho = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=unique("paho") if client_id is None else client_id,
            protocol=version,
            reconnect_on_failure=False,
            **arguments,
        )
        self.messages = queue.Queue()
        self.connack = queue.Queue()
        self.subacks = queue.Queue()
        self.ended = threading.Event()
        self.end_reason = None
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.on_connect = lambda _c, _u, flags, reason, properties: self.connack.put((flags, reason, properties))
        self.paho.on_subscribe = lambda _c, _u, mid, reasons, properties: self.subacks.put((mid, reasons))
        self.paho.on_unsubscribe = lambda _c, _u, mid, reasons, properties: self.subacks.put((mid, reasons))
        self.paho.on_disconnect = self._on_disconnect
        if will:
            self.paho.will_set(*will)
        options = {}
        if version == V5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = expiry if expiry is not None else (0 if clean else 600)
            options = {"clean_start": clean, "properties": properties}
        self.paho.connect(*address, keepalive=30, **options)
        self.paho.loop_start()
        self.flags, reason, self.properties = take(self.connack, "CONNACK")
        same(reason.is_failure, False, f"CONNACK {reason}")

    def _on_disconnect(self, _client, _userdata, _flags, reason, _properties):
        self.end_reason = reason
        self.ended.set()

    def subscribe(self, topic, qos=0, intent=None):
        if intent:
            properties = Properties(PacketTypes.SUBSCRIBE)
            properties.UserProperty = ("mote", intent)
            result, mid = self.paho.subscribe(topic, options=SubscribeOptions(qos=qos), properties=properties)
        else:
            result, mid = self.paho.subscribe(topic, qos) if self.version != V5 else self.paho.subscribe(
                topic, options=SubscribeOptions(qos=qos))
        same(result, paho.MQTT_ERR_SUCCESS, "subscribe")
        got_mid, reasons = take(self.subacks, "SUBACK")
        same(got_mid, mid, "Packet Identifier of SUBACK")
        same([r.value for r in reasons], [qos], "SUBACK")

    def unsubscribe(self, topic):
        self.paho.unsubscribe(topic)
        take(self.subacks, "UNSUBACK")

    def publish(self, topic, payload, qos=1, retain=False, intent=None):
        properties = None
        if intent:
            properties = Properties(PacketTypes.PUBLISH)
            properties.UserProperty = ("mote", intent)
        info = self.paho.publish(topic, payload, qos, retain, properties)
        info.wait_for_publish(WAIT_S)
        same(info.is_published(), True, "published")

    def take(self, topic, payload, qos=None, retain=None):
        message = take(self.messages)
        same(message.topic, topic, "topic")
        same(message.payload, payload if isinstance(payload, bytes) else payload.encode(), "payload")
        if qos is not None:
            same(message.qos, qos, "QoS")
        if retain is not None:
            same(bool(message.retain), retain, "RETAIN")
        return message

    def take_tree(self, topic, value, retain=None):
        message = take(self.messages, "frame")
        same(message.topic, topic, "topic of the frame")
        same(json.loads(message.payload), value, "frame")
        if retain is not None:
            same(bool(message.retain), retain, "RETAIN of the frame")
        return message

    def cut(self):
        """The connection ends without a DISCONNECT."""
        self.paho.socket().shutdown(2)
        self.ended.wait(WAIT_S)
        self.paho.loop_stop()

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(address, version):
    with Client(address, version) as client:
        same(client.flags.session_present, False, "Session Present")
    if version == V5:
        with Client(address, version, client_id="") as client:
            same(len(client.properties.AssignedClientIdentifier) > 0, True, "Assigned Client Identifier")


def wildcards(address, version):
    root = unique()
    with Client(address, version) as plus, Client(address, version) as hash_, Client(address, version) as publisher:
        plus.subscribe(f"{root}/+/x")
        hash_.subscribe(f"{root}/#")
        for topic in (f"{root}/a/x", f"{root}/a/y", f"{root}", f"{root}/b/x", f"{root}/b/x/deeper", f"{root}other/a/x"):
            publisher.publish(topic, topic)
        for topic in (f"{root}/a/x", f"{root}/b/x"):
            plus.take(topic, topic)
        for topic in (f"{root}/a/x", f"{root}/a/y", f"{root}", f"{root}/b/x", f"{root}/b/x/deeper"):
            hash_.take(topic, topic)
        nothing(plus.messages)
        nothing(hash_.messages)
        plus.unsubscribe(f"{root}/+/x")
        publisher.publish(f"{root}/a/x", "later")
        hash_.take(f"{root}/a/x", "later")
        nothing(plus.messages)


def qos_levels(address, version):
    root = unique()
    with Client(address, version) as publisher:
        for granted in (0, 1, 2):
            with Client(address, version) as subscriber:
                subscriber.subscribe(f"{root}/q", granted)
                for sent in (0, 1, 2):
                    for number in range(20):
                        publisher.publish(f"{root}/q", f"{sent} {number}", sent)
                    for number in range(20):
                        subscriber.take(f"{root}/q", f"{sent} {number}", qos=min(sent, granted), retain=False)
                nothing(subscriber.messages, 0.1)


def retained(address, version):
    topic = unique() + "/r"
    with Client(address, version) as publisher:
        publisher.publish(topic, "one", 1, True)
        publisher.publish(topic, "two", 0, True)
        publisher.publish(topic, "three", 2, True)
        publisher.publish(topic, "not kept", 1, False)
        for filter_ in (topic, topic.replace("/r", "/+"), topic.replace("/r", "/#")):
            with Client(address, version) as subscriber:
                subscriber.subscribe(filter_, 1)
                subscriber.take(topic, "three", qos=1, retain=True)
                nothing(subscriber.messages, 0.1)
        with Client(address, version) as subscriber:
            subscriber.subscribe(topic, 1)
            subscriber.take(topic, "three", retain=True)
            publisher.publish(topic, "", 1, True)
            subscriber.take(topic, "", retain=False)
        with Client(address, version) as subscriber:
            subscriber.subscribe(topic, 1)
            nothing(subscriber.messages)


def will(address, version):
    topic = unique() + "/will"
    with Client(address, version) as subscriber:
        subscriber.subscribe(topic, 1)
        polite = Client(address, version, will=(topic, "wrong", 1, False))
        polite.close()
        dying = Client(address, version, will=(topic, "gone", 1, True))
        dying.cut()
        subscriber.take(topic, "gone", qos=1, retain=False)
        nothing(subscriber.messages, 0.2)
        with Client(address, version) as later:
            later.subscribe(topic, 1)
            later.take(topic, "gone", retain=True)
        subscriber.publish(topic, "", 1, True)


def takeover(address, version):
    topic, name = unique() + "/t", unique("same")
    first = Client(address, version, client_id=name)
    first.subscribe(topic)
    with Client(address, version, client_id=name) as second, Client(address, version) as publisher:
        same(first.ended.wait(WAIT_S), True, "the first connection ended")
        if version == V5:
            same(first.end_reason.value, 0x8E, "reason of the end")
        second.subscribe(topic)
        publisher.publish(topic, "to the second")
        second.take(topic, "to the second")
        nothing(first.messages, 0.1)
    first.paho.loop_stop()


def resumed(address, version):
    topic, name = unique() + "/s", unique("keep")
    with Client(address, version) as publisher:
        first = Client(address, version, client_id=name, clean=False)
        same(first.flags.session_present, False, "Session Present at first")
        first.subscribe(topic, 2)
        first.close()
        for number in range(30):
            publisher.publish(topic, f"{number}", number % 2 + 1)
        second = Client(address, version, client_id=name, clean=False)
        same(second.flags.session_present, True, "Session Present again")
        # a client shows a QoS 2 message when its PUBREL has come, so only the order within one QoS can be seen
        got = [take(second.messages) for _ in range(30)]
        for qos in (1, 2):
            numbers = [int(message.payload) for message in got if message.qos == qos]
            same(numbers, list(range(qos - 1, 30, 2)), f"queued messages with QoS {qos}")
        second.cut()
        publisher.publish(topic, "after a cut", 2)
        third = Client(address, version, client_id=name, clean=False)
        third.take(topic, "after a cut", qos=2)
        nothing(third.messages, 0.1)
        third.close()
        with Client(address, version, client_id=name, clean=True) as fourth:
            same(fourth.flags.session_present, False, "Session Present after Clean Start")
            publisher.publish(topic, "to nobody", 1)
            nothing(fourth.messages)


def large_packets(address, version):
    topic = unique() + "/large"
    payload = bytes(range(256)) * 4096
    with Client(address, version) as subscriber, Client(address, version) as publisher:
        subscriber.subscribe(topic, 2)
        for qos in (0, 1, 2):
            publisher.publish(topic, payload, qos)
            subscriber.take(topic, payload, qos=qos)
        publisher.publish(topic, payload, 1, True)
        subscriber.take(topic, payload)
        with Client(address, version) as later:
            later.subscribe(topic, 1)
            later.take(topic, payload, retain=True)
        publisher.publish(topic, b"", 1, True)


def long_topics(address, version):
    root = unique()
    for topic in (root + "x" * (65535 - len(root)), root + "/" + "é" * ((65535 - len(root) - 1) // 2)):
        topic += "y" * (65535 - len(topic.encode()))
        with Client(address, version) as subscriber, Client(address, version) as publisher:
            subscriber.subscribe(topic, 1)
            publisher.publish(topic, "here", 1, True)
            subscriber.take(topic, "here", qos=1)
            with Client(address, version) as later:
                later.subscribe(topic, 1)
                later.take(topic, "here", retain=True)
            publisher.publish(topic, "", 1, True)


def tree(address, version):
    root = unique()
    with Client(address, version) as merged, Client(address, version) as plain, Client(address, version) as publisher:
        merged.subscribe(f"$tree/{root}/bedroom/+", 1)
        plain.subscribe(f"{root}/bedroom/#", 1)
        value = {"is_on": 1, "brightness": 55, "color": "#FFFFFF"}
        publisher.publish(f"$tree/{root}/bedroom", json.dumps(value), 1, True)
        merged.take_tree(f"{root}/bedroom/+", value, retain=False)
        rows = {}
        for _ in value:
            message = take(plain.messages, "row")
            rows[message.topic] = message.payload
        same(rows, {f"{root}/bedroom/is_on": b"1", f"{root}/bedroom/brightness": b"55", f"{root}/bedroom/color": b"#FFFFFF"})
        nothing(merged.messages, 0.2)
        nothing(plain.messages, 0.1)
        publisher.publish(f"$tree/{root}/**", json.dumps({"kitchen": {"lamp": {"on": True}}}), 1, False)
        nothing(plain.messages, 0.2)
        publisher.publish(f"{root}/bedroom/is_on", "0", 1, True)
        merged.take_tree(f"{root}/bedroom/+", {"is_on": 0})


def sync(address, version):
    root = unique()
    with Client(address, version) as merged, Client(address, version) as publisher:
        merged.subscribe(f"$sync/{root}/+/is_on", 1)
        merged.take_tree(f"{root}/+/is_on", {}, retain=True)
        publisher.publish(f"{root}/bedroom/is_on", "1", 1, True)
        merged.take_tree(f"{root}/+/is_on", {"bedroom": 1}, retain=False)
        publisher.publish(f"{root}/livingroom/is_on", "0", 1, True)
        merged.take_tree(f"{root}/+/is_on", {"livingroom": 0})
        with Client(address, version) as later:
            later.subscribe(f"$sync/{root}/#", 1)
            later.take_tree(f"{root}/#", {"bedroom": {"is_on": 1}, "livingroom": {"is_on": 0}}, retain=True)
            publisher.publish(f"{root}/bedroom/is_on", "", 1, True)
            later.take_tree(f"{root}/#", {"bedroom": {"is_on": None}}, retain=False)
        merged.take_tree(f"{root}/+/is_on", {"bedroom": None})
        merged.unsubscribe(f"$sync/{root}/+/is_on")
        publisher.publish(f"{root}/livingroom/is_on", "1", 1, True)
        nothing(merged.messages)
        with Client(address, version) as safe:
            safe.subscribe(f"$sync;topic=safe/{root}/+/is_on", 1)
            safe.take_tree(f"$tree/{root}/%2B/is_on", {"livingroom": 1}, retain=True)


def user_property(address, version):
    root = unique()
    with Client(address, version) as merged, Client(address, version) as publisher:
        publisher.publish(f"{root}/lamp", json.dumps({"on": True, "w": 4.50}), 1, True, intent="tree")
        merged.subscribe(f"{root}/#", 1, intent="sync")
        message = merged.take_tree(f"{root}/#", {"lamp": {"on": True, "w": 4.5}}, retain=True)
        marks = [value for name, value in message.properties.UserProperty if name == "mote"]
        same(len(marks) == 1 and marks[0].startswith("frame;snap;"), True, f"mark of the frame {marks}")
        same(message.properties.ContentType, "application/json", "Content Type")


def run(report, address, plain=False):
    basic = [connect, wildcards, qos_levels, retained, will, takeover, resumed, large_packets, long_topics]
    for version, name in ((V311, "paho 3.1.1"), (V5, "paho 5")):
        trees = [] if plain else [tree, sync] + ([user_property] if version == V5 else [])
        for check in basic + trees:
            report.check(f"{name} {check.__name__}", check, address, version)
