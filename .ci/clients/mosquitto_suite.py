"""mosquitto_sub and mosquitto_pub, the programs that everybody has, and with the same flags `mote sub` and `mote pub`;
MQTT 3.1, 3.1.1 and 5. The first argument of a check says whose programs: PROGRAMS."""

import json
import os
import signal
import subprocess
import tempfile
import threading

from broker import binary
from checks import WAIT_S, eventually, same, unique

VERSIONS = ("mqttv31", "mqttv311", "mqttv5")
PROGRAMS = {
    "mosquitto": (["mosquitto_sub"], ["mosquitto_pub"]),
    "mote": ([binary(), "sub"], [binary(), "pub"]),
}


# What Mosquitto 2.1 publishes below $SYS/broker/ (its src/sys_tree.c; heap with its memory tracking).
SYS = {
    "version", "uptime", "messages/stored", "subscriptions/count", "shared_subscriptions/count", "retained messages/count",
    "connections/socket/count",
    *(f"clients/{what}" for what in ("total", "maximum", "disconnected", "inactive", "connected", "active", "expired")),
    *(f"store/messages/{what}" for what in ("count", "bytes")),
    *(f"heap/{what}" for what in ("current", "maximum")),
    *(f"{what}/{way}" for what in ("messages", "bytes", "publish/messages", "publish/bytes") for way in ("received", "sent")),
    "publish/messages/dropped",
    *(f"packet/out/{what}" for what in ("count", "bytes")),
    *(
        f"load/{what}/{span}"
        for what in (
            "messages/received", "messages/sent", "publish/dropped", "publish/received", "publish/sent", "bytes/received",
            "bytes/sent", "sockets", "connections",
        )
        for span in ("1min", "5min", "15min")
    ),
}


class Sub:
    """A running subscriber and the lines that it printed. It is ready when its debug output shows the SUBACK."""

    def __init__(self, tool, address, version, *arguments):
        command = [*PROGRAMS[tool][0], "-h", address[0], "-p", str(address[1]), "-V", version, "-d", *arguments]
        environment = dict(os.environ, LC_ALL="C")
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
        self.lines, self.debug = [], []
        threading.Thread(target=self._read, daemon=True).start()
        try:
            eventually(self.is_subscribed, f"SUBACK for {arguments}"[:200])
        except BaseException:
            self.process.kill()
            raise

    def _read(self):
        for line in self.process.stdout:
            text = line.decode("utf-8", "replace").rstrip("\n")
            own = text.startswith(("Client ", "Subscribed (", "Connection error", "Error", "Warning"))
            (self.debug if own else self.lines).append(text)

    def is_subscribed(self):
        return any(line.startswith("Subscribed (") for line in self.debug)

    def take(self, *wanted):
        wanted = list(wanted)
        eventually(lambda: len(self.lines) >= len(wanted), f"{wanted} (got {self.lines})"[:400])
        got, self.lines[: len(wanted)] = self.lines[: len(wanted)], []
        same(got, wanted, "lines")

    def kill(self):
        # stdbuf has become the program, so the pid is its own
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(WAIT_S)

    def close(self):
        self.process.terminate()
        self.process.wait(WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def pub(tool, address, version, *arguments, stdin=None):
    command = [*PROGRAMS[tool][1], "-h", address[0], "-p", str(address[1]), "-V", version, *arguments]
    done = subprocess.run(command, capture_output=True, timeout=WAIT_S, input=stdin)
    same((done.returncode, done.stderr), (0, b""), "end of the publisher")


def once(tool, address, version, *arguments):
    """What a subscriber with a count or a timeout prints."""
    command = [*PROGRAMS[tool][0], "-h", address[0], "-p", str(address[1]), "-V", version, "-W", str(WAIT_S), *arguments]
    done = subprocess.run(command, capture_output=True, timeout=WAIT_S + 5)
    same(done.returncode, 0, "exit code of the subscriber")
    return done.stdout


def publish_and_wildcards(tool, address, version):
    root = unique()
    with Sub(tool, address, version, "-v", "-q", "2", "-t", f"{root}/+/x", "-t", f"{root}/deep/#") as sub:
        for qos in ("0", "1", "2"):
            pub(tool, address, version, "-q", qos, "-t", f"{root}/a/x", "-m", f"qos {qos}")
            sub.take(f"{root}/a/x qos {qos}")
        pub(tool, address, version, "-q", "1", "-t", f"{root}/deep/er/est", "-m", "down")
        sub.take(f"{root}/deep/er/est down")
        pub(tool, address, version, "-q", "1", "-t", f"{root}/a", "-m", "not heard")
        pub(tool, address, version, "-q", "1", "-l", "-t", f"{root}/deep", stdin=b"one\ntwo\nthree\n")
        sub.take(f"{root}/deep one", f"{root}/deep two", f"{root}/deep three")


def retained(tool, address, version):
    topic = unique() + "/r"
    pub(tool, address, version, "-r", "-q", "1", "-t", topic, "-m", "kept")
    same(once(tool, address, version, "-C", "1", "-t", topic), b"kept\n", "retained")
    pub(tool, address, version, "-r", "-q", "1", "-t", topic, "-n")
    with Sub(tool, address, version, "-v", "-t", topic) as sub:
        pub(tool, address, version, "-q", "1", "-t", topic, "-m", "first after all")
        sub.take(f"{topic} first after all")


def will(tool, address, version):
    topic, other = unique() + "/will", unique() + "/other"
    with Sub(tool, address, version, "-v", "-q", "1", "-t", topic) as sub:
        dying = Sub(tool, address, version, "-t", other, "--will-topic", topic, "--will-payload", "gone", "--will-qos", "1")
        dying.kill()
        sub.take(f"{topic} gone")


def takeover(tool, address, version):
    topic, name = unique() + "/t", unique("same")
    first = Sub(tool, address, version, "-i", name, "-t", topic)
    first.process.send_signal(signal.SIGSTOP)  # it would connect again, and so throw out the second in its turn
    with Sub(tool, address, version, "-i", name, "-v", "-t", topic) as second:
        pub(tool, address, version, "-q", "1", "-t", topic, "-m", "to the second")
        second.take(f"{topic} to the second")
        first.kill()
        pub(tool, address, version, "-q", "1", "-t", topic, "-m", "still there")
        second.take(f"{topic} still there")
    same(first.lines, [], "lines of the first")


def resumed(tool, address, version):
    topic, name = unique() + "/s", unique("keep")
    expiry = ("-x", "600") if version == "mqttv5" else ()
    first = Sub(tool, address, version, "-i", name, "-c", *expiry, "-q", "1", "-t", topic)
    first.close()
    for number in range(5):
        pub(tool, address, version, "-q", "1", "-t", topic, "-m", f"{number}")
    got = once(tool, address, version, "-i", name, "-c", *expiry, "-q", "1", "-t", topic, "-C", "5")
    same(got, b"0\n1\n2\n3\n4\n", "queued messages")
    pub(tool, address, version, "-i", name, "-t", topic, "-m", "a clean session under this name forgets it")


def large_packets(tool, address, version):
    topic = unique() + "/large"
    payload = (b"0123456789abcde\n" * 65536)[: 1 << 20]
    with tempfile.NamedTemporaryFile() as file:
        file.write(payload)
        file.flush()
        pub(tool, address, version, "-r", "-q", "1", "-t", topic, "-f", file.name)
    same(once(tool, address, version, "-q", "1", "-N", "-C", "1", "-t", topic) == payload, True, "1 MiB")
    pub(tool, address, version, "-r", "-q", "1", "-t", topic, "-n")


def long_topics(tool, address, version):
    topic = unique().ljust(65535, "x")
    with Sub(tool, address, version, "-q", "1", "-t", topic) as sub:
        pub(tool, address, version, "-q", "1", "-t", topic, "-m", "here")
        sub.take("here")


def trees(tool, address, version):
    root = unique()
    pub(tool, address, version, "-r", "-q", "1", "-t", f"{root}/bedroom/is_on", "-m", "1")
    pub(tool, address, version, "-r", "-q", "1", "-t", f"{root}/livingroom/is_on", "-m", "0")
    # libmosquitto from 2.1 refuses wildcards in a received topic, so the legal spelling is asked for
    with Sub(tool, address, version, "-v", "-t", f"$sync;topic=safe/{root}/+/is_on") as sub, \
            Sub(tool, address, version, "-t", f"$tree;topic=safe/{root}/bedroom/+") as merged, \
            Sub(tool, address, version, "-R", "-t", f"{root}/bedroom/#") as plain:
        sub.take(f'$tree/{root}/%2B/is_on {{"bedroom":1,"livingroom":0}}')
        pub(tool, address, version, "-r", "-q", "1", "-t", f"{root}/livingroom/is_on", "-m", "1")
        sub.take(f'$tree/{root}/%2B/is_on {{"livingroom":1}}')
        value = {"is_on": 1, "brightness": 55, "color": "#FFFFFF"}
        pub(tool, address, version, "-r", "-q", "1", "-t", f"$tree/{root}/bedroom", "-m", json.dumps(value))
        eventually(lambda: len(plain.lines) == 3, f"three rows, got {plain.lines}")
        same(sorted(plain.lines), ["#FFFFFF", "1", "55"], "rows")
        eventually(lambda: merged.lines, "one frame")
        same([json.loads(line) for line in merged.lines], [value], "frame")
        sub.take(f'$tree/{root}/%2B/is_on {{"bedroom":1}}')


def sys_topics(tool, address, version):
    """Whoever reads Mosquitto's $SYS finds all of it here, retained."""
    command = [*PROGRAMS[tool][0], "-h", address[0], "-p", str(address[1]), "-V", version, "-v", "-t", "$SYS/#", "-W", "1"]
    lines = subprocess.run(command, capture_output=True, timeout=WAIT_S).stdout.decode().splitlines()
    missing = {name for name in SYS if not any(line.startswith(f"$SYS/broker/{name} ") for line in lines)}
    same(missing, set(), "topics of Mosquitto that are not there")
    # what a dashboard computes with is a number
    words = ("version", "uptime")
    for line in lines:
        value = line.rsplit(" ", 1)[1]
        if not line.startswith(tuple(f"$SYS/broker/{word} " for word in words)):
            float(value)
    same([line for line in lines if not line.startswith("$SYS/broker/")], [], "other topics")


def run(report, address, plain=False):
    basic = [publish_and_wildcards, retained, will, takeover, resumed, large_packets, long_topics]
    for tool in PROGRAMS:
        for version in VERSIONS:
            for check in basic if plain else basic + [trees, sys_topics]:
                report.check(f"{tool} sub and pub {version} {check.__name__}", check, tool, address, version)
