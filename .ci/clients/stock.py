"""Stock client libraries behind one face, each as its makers ship it, with its own way to connect again and to resume:
paho-mqtt, gmqtt, MQTT.js and mosquitto_sub, and beside them our own client that does what the specification says
(`strict`). Sessions last. What a client got stands in `messages`, in the order in which its user saw it."""

import asyncio
import itertools
import json
import logging
import os
import queue
import shutil
import subprocess
import threading
from dataclasses import dataclass, field

import gmqtt
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

import strict
from broker import ROOT
from checks import WAIT_S, eventually, same, take
from packets import V5, V311

logging.getLogger("gmqtt").setLevel(logging.CRITICAL)  # it warns of each lost connection
EXPIRY_S = 600
NOT_FOUND = 0x92  # Packet Identifier not found
CONFLICT = 0x83  # the condition of a publish does not hold
AGAIN_S = 0.05


@dataclass
class Message:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: dict = field(default_factory=dict)


class Stock:
    """`will`: a packets.Will. `lasting=False`: clean session, or clean start with expiry 0."""

    name, versions = "", (V311, V5)

    def __init__(self, address, version, client_id, lasting=True, receive_maximum=None, will=None, aliases=None):
        self.address, self.version, self.client_id, self.lasting = address, version, client_id, lasting
        self.receive_maximum, self.will = receive_maximum, will
        self.aliases = aliases  # the Topic Alias Maximum that it says
        self.messages = []
        self.presents = []  # Session Present of each CONNACK
        self.acknowledged = 0  # publishes that the library calls done
        self.fault = None
        self.quirk = None  # what the library did that it should not have done
        self.open()
        eventually(lambda: self.presents or self.fault, f"CONNACK for {self}")
        self.look()

    def __str__(self):
        return f"{self.name} {'5' if self.version == V5 else '3.1.1'}"

    def look(self):
        if self.fault:
            raise AssertionError(f"{self}: {self.fault}")

    def until(self, condition, what, seconds=WAIT_S):
        eventually(lambda: self.fault or condition(), f"{self}: {what}", seconds)
        self.look()

    def settle(self, count):
        """`count` publishes are done."""
        self.until(lambda: self.acknowledged >= count, f"{count} publishes acknowledged, {self.acknowledged} are")

    def payloads(self):
        return [message.payload for message in self.messages]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Strict(Stock):
    name = "strict"

    def open(self):
        self.client = strict.Client(
            self.address, self.version, self.client_id, self.lasting, EXPIRY_S, self.receive_maximum, self.will,
            topic_alias_maximum=self.aliases)
        self.client.on_message = lambda told: self.messages.append(
            Message(told.topic, told.payload, told.qos, told.retain, told.properties))
        self.start()

    def start(self):
        """Connects and goes on connecting; after `drop` the same session again."""
        self.over = False
        self.task = asyncio.run_coroutine_threadsafe(self.keep(), strict.LOOP.started())

    async def keep(self):
        while not self.over:
            try:
                self.presents.append(await self.client.connect())
            except OSError:
                await asyncio.sleep(AGAIN_S)
                continue
            except AssertionError as fault:
                self.fault = fault
                return
            await self.client.ended.wait()
            self.fault = self.fault or self.client.fault
            await asyncio.sleep(AGAIN_S)

    def settle(self, count):
        self.until(lambda: self.acknowledged >= count and not self.client.out, f"{count} publishes acknowledged")

    def subscribe(self, filter_, qos, **values):
        strict.run(self.client.subscribe(filter_, qos, **values))

    def publish(self, topic, payload, qos, retain=False, **values):
        strict.run(self._publish(topic, payload, qos, retain, values))

    async def _publish(self, topic, payload, qos, retain, values):
        self.client.publish(topic, payload, qos, retain, **values)
        self.acknowledged += 1  # `settle` looks at the session itself

    def drop(self):
        self.over = True
        self.task.cancel()
        strict.run(self._drop())

    async def _drop(self):
        self.client.drop()

    def close(self):
        self.over = True
        if not self.client.ended.is_set():
            strict.run(self.client.disconnect())
        self.task.cancel()


# our names of properties: paho's, gmqtt's, MQTT.js's
NAMES = {
    "message_expiry": ("MessageExpiryInterval", "message_expiry_interval", "messageExpiryInterval"),
    "response_topic": ("ResponseTopic", "response_topic", "responseTopic"),
    "correlation_data": ("CorrelationData", "correlation_data", "correlationData"),
    "content_type": ("ContentType", "content_type", "contentType"),
    "user": ("UserProperty", "user_property", "userProperties"),
    "will_delay": ("WillDelayInterval", "will_delay_interval", "willDelayInterval"),
    "topic_alias": ("TopicAlias", "topic_alias", "topicAlias"),
    "subscription_identifier": ("SubscriptionIdentifier", "subscription_identifier", "subscriptionIdentifier"),
}


class Paho(Stock):
    name = "paho"

    def properties(self, kind, values):
        if self.version != V5:
            return None
        made = Properties(kind)
        for name, value in values.items():
            setattr(made, NAMES[name][0], value)
        return made

    def open(self):
        arguments = {} if self.version == V5 else {"clean_session": not self.lasting}
        self.paho = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=self.client_id, protocol=self.version, **arguments)
        self.paho.reconnect_delay_set(AGAIN_S, AGAIN_S)
        self.subacks = queue.Queue()
        self.paho.on_connect = lambda _c, _u, flags, *_: self.presents.append(bool(flags.session_present))
        self.paho.on_message = lambda _c, _u, told: self.messages.append(self.message(told))
        self.paho.on_publish = lambda *_: self.count()
        self.paho.on_subscribe = lambda _c, _u, _mid, reasons, _p: self.subacks.put([each.value for each in reasons])
        if self.will:
            properties = self.properties(PacketTypes.WILLMESSAGE, self.will.properties)
            self.paho.will_set(self.will.topic, self.will.payload, self.will.qos, self.will.retain, properties)
        options = {}
        if self.version == V5:
            made = Properties(PacketTypes.CONNECT)
            made.SessionExpiryInterval = EXPIRY_S if self.lasting else 0
            if self.receive_maximum:
                made.ReceiveMaximum = self.receive_maximum
            options = {"clean_start": not self.lasting, "properties": made}
        self.paho.connect(*self.address, keepalive=30, **options)
        self.paho.loop_start()

    def count(self):
        self.acknowledged += 1

    def message(self, told):
        seen = {}
        for ours, (theirs, _, _) in NAMES.items():
            if told.properties and hasattr(told.properties, theirs):
                seen[ours] = getattr(told.properties, theirs)
        return Message(told.topic, told.payload, told.qos, bool(told.retain), seen)

    def subscribe(self, filter_, qos, **values):
        if self.version == V5:
            properties = self.properties(PacketTypes.SUBSCRIBE, values)
            self.paho.subscribe(filter_, options=SubscribeOptions(qos=qos), properties=properties)
        else:
            self.paho.subscribe(filter_, qos)
        same(take(self.subacks, "SUBACK"), [qos], "SUBACK")

    def publish(self, topic, payload, qos, retain=False, **values):
        self.paho.publish(topic, payload, qos, retain, self.properties(PacketTypes.PUBLISH, values))

    def drop(self):
        """Without a DISCONNECT, and it stays away."""
        self.paho._reconnect_on_failure = False  # it has no other way to be told so later than at its making
        socket = self.paho.socket()
        if socket:
            socket.shutdown(2)
        self.paho.loop_stop()

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


class Gmqtt(Stock):
    """It knows the version of the protocol once per process; here that is 5."""

    name, versions = "gmqtt", (V5,)

    def open(self):
        strict.run(self._open())

    async def _open(self):
        values = {"session_expiry_interval": EXPIRY_S if self.lasting else 0}
        if self.receive_maximum:
            values["receive_maximum"] = self.receive_maximum
        if self.aliases:
            values["topic_alias_maximum"] = self.aliases
        will = self.will and gmqtt.Message(
            self.will.topic, self.will.payload, self.will.qos, self.will.retain, **self.values(self.will.properties))
        self.gmqtt = gmqtt.Client(self.client_id, clean_session=not self.lasting, will_message=will, **values)
        self.gmqtt.set_config({"reconnect_delay": AGAIN_S, "reconnect_retries": gmqtt.constants.UNLIMITED_RECONNECTS})
        self.gmqtt.on_connect = lambda _c, flags, _code, _p: self.presents.append(bool(flags & 1))
        self.gmqtt.on_message = self.message
        self.subacks = queue.Queue()
        self.gmqtt.on_subscribe = lambda _c, _mid, codes, _p: self.subacks.put(list(codes))
        inner = self.gmqtt._remove_message_from_query
        self.gmqtt._remove_message_from_query = lambda mid: (self.count(), inner(mid))
        await self.gmqtt.connect(*self.address, keepalive=30)

    def count(self):
        self.acknowledged += 1

    def values(self, values):
        return {NAMES[name][1]: value for name, value in values.items()}

    def message(self, _client, topic, payload, qos, told):
        seen = {}
        for ours, (_, theirs, _) in NAMES.items():
            if theirs in told:
                seen[ours] = told[theirs] if ours == "user" else told[theirs][0]
        self.messages.append(Message(topic, bytes(payload), qos, bool(told["retain"]), seen))
        return 0

    def subscribe(self, filter_, qos, **values):
        strict.run(self._call(self.gmqtt.subscribe, filter_, qos, **self.values(values)))
        same(take(self.subacks, "SUBACK"), [qos], "SUBACK")

    async def _call(self, function, *arguments, **values):
        function(*arguments, **values)

    def publish(self, topic, payload, qos, retain=False, **values):
        strict.run(self._call(self.gmqtt.publish, topic, payload, qos, retain, **self.values(values)))

    def drop(self):
        strict.run(self._drop())

    async def _drop(self):
        self.gmqtt.stop_reconnect()
        self.gmqtt._is_active = False
        self.gmqtt._connection._transport.abort()

    def close(self):
        strict.run(self.gmqtt.disconnect())


class Node:
    """One process for all clients of MQTT.js."""

    def __init__(self):
        self.clients = {}
        script = str(ROOT / ".ci" / "clients" / "mqttjs_actor.mjs")
        self.process = subprocess.Popen(
            [shutil.which("node") or "node", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            told = json.loads(line)
            self.clients[told["key"]].told(told)
        for client in self.clients.values():
            client.fault = client.fault or "node has ended"

    def say(self, **command):
        with self.lock:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()


class MqttJs(Stock):
    name = "MQTT.js"
    node = None
    keys = itertools.count(1)

    def open(self):
        if MqttJs.node is None or MqttJs.node.process.poll() is not None:
            MqttJs.node = Node()
        self.key = next(MqttJs.keys)
        self.subacks = queue.Queue()
        MqttJs.node.clients[self.key] = self
        options = {"protocolVersion": self.version, "clientId": self.client_id, "clean": not self.lasting,
                   "reconnectPeriod": int(AGAIN_S * 1000), "resubscribe": False, "keepalive": 30}
        if self.version == V5:
            options["properties"] = {"sessionExpiryInterval": EXPIRY_S if self.lasting else 0}
            if self.receive_maximum:
                options["properties"]["receiveMaximum"] = self.receive_maximum
            if self.aliases:
                options["properties"]["topicAliasMaximum"] = self.aliases
        if self.will:
            options["will"] = {"topic": self.will.topic, "payload": self.will.payload.decode(), "qos": self.will.qos,
                               "retain": self.will.retain}
            if self.version == V5:
                options["will"]["properties"] = self.values(self.will.properties)
        self.say("open", host=self.address[0], port=self.address[1], options=options)

    def say(self, op, **values):
        MqttJs.node.say(op=op, key=self.key, **values)

    def values(self, values):
        made = {NAMES[name][2]: value for name, value in values.items()}
        if "correlationData" in made:
            made["correlationData"] = made["correlationData"].decode()
        if "userProperties" in made:
            grouped = {}
            for name, value in made["userProperties"]:
                grouped.setdefault(name, []).append(value)
            made["userProperties"] = grouped
        return made

    def told(self, told):
        event = told["event"]
        if event == "connect":
            self.presents.append(told["present"])
        elif event == "message":
            self.messages.append(
                Message(told["topic"], told["payload"].encode(), told["qos"], told["retain"], self.seen(told["properties"])))
        elif event == "acknowledged":
            self.acknowledged += 1
        elif event == "refused" and told["code"] == NOT_FOUND:
            self.acknowledged += 1
            self.quirk = "calls a publish failed that PUBCOMP 0x92 ends, which is no error after a lost PUBCOMP"
        elif event == "refused" and told["code"] == CONFLICT:
            self.acknowledged += 1  # what is there now comes by another way
        elif event == "subscribed":
            self.subacks.put(told["granted"])
        else:
            self.fault = told

    def seen(self, properties):
        seen = {ours: properties[theirs] for ours, (_, _, theirs) in NAMES.items() if theirs in properties}
        if "correlation_data" in seen:
            seen["correlation_data"] = seen["correlation_data"].encode()
        if "user" in seen:
            seen["user"] = [(name, each) for name, value in seen["user"].items()
                            for each in (value if isinstance(value, list) else [value])]
        return seen

    def subscribe(self, filter_, qos, **values):
        self.say("subscribe", filter=filter_, options={"qos": qos, "properties": self.values(values)})
        same(take(self.subacks, "SUBACK"), [qos], "SUBACK")

    def publish(self, topic, payload, qos, retain=False, **values):
        options = {"qos": qos, "retain": retain}
        if values:
            options["properties"] = self.values(values)
        self.say("publish", topic=topic, payload=payload.decode(), options=options)

    def drop(self):
        self.say("drop")

    def close(self):
        self.say("close")


class MosquittoSub(Stock):
    """Subscribes only. Its user sees lines."""

    name = "mosquitto_sub"
    MARK = "> "

    def __init__(self, address, version, client_id, lasting=True, receive_maximum=None, will=None, filter_=None, qos=0,
                 more=()):
        self.filter, self.qos, self.more = filter_, qos, more
        super().__init__(address, version, client_id, lasting, receive_maximum, will)

    def open(self):
        command = ["stdbuf", "-oL", "mosquitto_sub", "-h", self.address[0], "-p", str(self.address[1]), "-d",
                   "-V", "5" if self.version == V5 else "311", "-i", self.client_id, "-q", str(self.qos), "-t", self.filter,
                   "-F", f"{self.MARK}%t %p"]
        if self.lasting:
            command += ["-c", "-x", str(EXPIRY_S)] if self.version == V5 else ["-c"]
        if self.receive_maximum:
            command += ["-D", "connect", "receive-maximum", str(self.receive_maximum)]
        self.subscribed = threading.Event()
        self.process = subprocess.Popen([*command, *self.more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env=dict(os.environ, LC_ALL="C"))
        threading.Thread(target=self._read, daemon=True).start()
        if not self.subscribed.wait(WAIT_S):
            self.process.kill()
            raise AssertionError(f"no SUBACK for {self}")

    def _read(self):
        for line in self.process.stdout:
            text = line.decode("utf-8", "replace").rstrip("\n")
            if text.startswith(self.MARK):
                topic, _, payload = text[len(self.MARK) :].partition(" ")
                self.messages.append(Message(topic, payload.encode()))
            elif "received CONNACK" in text:
                self.presents.append(None)  # it does not tell Session Present
            elif text.startswith("Subscribed ("):
                self.subscribed.set()

    def drop(self):
        self.process.kill()
        self.process.wait(WAIT_S)

    def close(self):
        self.process.terminate()
        self.process.wait(WAIT_S)
