"""The broker on a disk that is full, that may not be written, or that another broker has open.

    disk.py [SHARDS]                   default 2 shards

Needs to mount small file systems in memory: it runs as root, or gives itself a namespace where it is (`unshare -Urm`). Where
neither can be had it fails and says so.

A full disk: the log says so once, publishes that need the disk are refused with 0x97 (3.1.1: a message on `$error/`), all
others are served, the broker recovers by itself when room comes, and after a kill -9 everything acknowledged is there.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import packets
from broker import Broker, binary
from checks import alone, eventually, same
from packets import V5, V311

NAMESPACE = "MOTE_CI_IN_NAMESPACE"
QUOTA, NOBODY = 0x97, 0x10  # codes; the other is a success with nobody subscribed
ROOM_MB = 12
TEXT = b"x" * 4_000
DISK = ("--set", 'durability="disk"')
MEMORY = ("--set", 'durability="memory"')


def with_mounts():
    """Goes on as somebody who may mount; does not return otherwise."""
    if os.geteuid() == 0:
        return
    if os.environ.get(NAMESPACE):
        sys.exit("FAILED  mounts: unshare -Urm gave no right to mount")
    os.environ[NAMESPACE] = "1"
    try:
        os.execvp("unshare", ["unshare", "-Urm", sys.executable, *sys.argv])
    except OSError as fault:
        sys.exit(f"FAILED  mounts: not root, and unshare -Urm cannot be run: {fault}")


def call(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


@contextmanager
def small_disk(megabytes=ROOM_MB):
    """A file system of its own; what runs on it has ended when this ends."""
    place = tempfile.mkdtemp(prefix="mote-disk-")
    call("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place)
    try:
        yield Path(place)
    finally:
        call("umount", place)
        os.rmdir(place)


class Ballast:
    """Takes all the room that is left, and gives it back."""

    def __init__(self, place):
        self.file = place / "ballast"

    def fill(self):
        with open(self.file, "ab", buffering=0) as file:
            while True:
                try:
                    file.write(b"\0" * 4_096)
                except OSError:
                    return

    def free(self):
        self.file.unlink()


class Line:
    """A blocking connection that says what it is told to and answers nothing by itself."""

    def __init__(self, broker, name, version=V5, clean=True, will=None, code=0, **values):
        self.version, self.ids, self.ready = version, 0, []
        self.socket = socket.create_connection((broker.host, broker.port), 20)
        self.splitter = packets.Splitter()
        self.socket.sendall(packets.connect(version, name, clean, will=will, **values))
        self.connack = self.read()
        same((self.connack.kind, self.connack.code), (packets.CONNACK, code), f"CONNACK of {name}")

    def read(self, seconds=20):
        self.socket.settimeout(seconds)
        while not self.ready:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("closed")
            self.ready = self.splitter.feed(data)
        return packets.parse(self.ready.pop(0), self.version)

    def publish(self, topic, payload, qos=1, retain=False, **values):
        self.ids = self.ids % 60_000 + 1
        self.socket.sendall(packets.publish(self.version, topic, payload, qos, retain, self.ids, **values))
        return self.ids

    def acknowledged(self, topic, payload, qos=1, retain=False, **values):
        """Publishes and returns the code of the acknowledgement."""
        packet_id = self.publish(topic, payload, qos, retain, **values)
        packet = self.read()
        same((packet.kind, packet.packet_id), (packets.PUBACK if qos == 1 else packets.PUBREC, packet_id), "acknowledgement")
        if qos == 2 and packet.code < 0x80:
            self.socket.sendall(packets.answer(packets.PUBREL, packet_id))
            same(self.read().kind, packets.PUBCOMP, "the end of a QoS 2 publish")
        return 0 if packet.code == NOBODY else packet.code

    def subscribe(self, filter_, qos=1):
        self.socket.sendall(packets.subscribe(self.version, 1, filter_, qos))
        packet = self.read()
        same(packet.kind, packets.SUBACK, "SUBACK")
        return packet.codes

    def message(self):
        """The next message, acknowledged."""
        packet = self.read()
        same(packet.kind, packets.PUBLISH, f"the kind of {packet}")
        if packet.qos == 1:
            self.socket.sendall(packets.answer(packets.PUBACK, packet.packet_id))
        return packet

    def close(self):
        self.socket.close()


def rows(broker, filter_="#"):
    """All retained rows: payload by topic."""
    line = Line(broker, "rows")
    line.subscribe(filter_, 0)
    found = {}
    while True:
        try:
            packet = line.read(0.25)
        except TimeoutError:
            line.close()
            return found
        found[packet.topic] = packet.payload


def fingerprint(folder):
    """What lies in a folder, but for who uses it."""
    told = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and path.name not in ("mote.lock", "lock.mdb"):
            told[str(path.relative_to(folder))] = (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    return told


def refused(folder, *words, extra=()):
    """A start that is refused: with exit code 1, these words, and nothing changed in the folder."""
    before = fingerprint(folder) if os.access(folder, os.R_OK) else None
    command = [binary(), "serve", "--listen", "127.0.0.1:0", "--data", str(folder), *extra]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    said = done.stderr
    same(done.returncode, 1, f"exit code of a start that says {said!r}")
    for word in words:
        if word not in said:
            raise AssertionError(f"the refusal does not say {word!r}: {said!r}")
    if "panicked" in said:
        raise AssertionError(said)
    if before is not None:
        same(fingerprint(folder), before, "the folder after a start that was refused")
    return said


class Load(threading.Thread):
    """Publishes rows one after another and remembers which number of each was acknowledged as kept."""

    def __init__(self, broker, name):
        super().__init__(daemon=True)
        self.line, self.name = Line(broker, name), name
        self.kept, self.sent, self.refusals, self.ended, self.fault = {}, {}, 0, False, None

    def run(self):
        number = 0
        try:
            while not self.ended:
                number += 1
                topic = f"{self.name}/{number % 50}"
                self.sent[topic] = number
                code = self.line.acknowledged(topic, b"%d " % number + TEXT, 1, True)
                if code < 0x80:
                    self.kept[topic] = number
                else:
                    same(code, QUOTA, "code of a refusal")
                    self.refusals += 1
        except OSError:
            pass  # the kill
        except Exception as fault:  # told by who looks
            self.fault = fault

    def judge(self, found):
        if self.fault:
            raise self.fault
        for topic, number in self.kept.items():
            there = int(found.get(topic, b"0 ").split(b" ")[0])
            if there < number or there > self.sent[topic]:
                raise AssertionError(f"{topic} is {there}, {number} was acknowledged and {self.sent[topic]} sent")


def says(broker, words, count=1):
    return sum(words in line for line in broker.lines) >= count


def full_under_load(shards, durability):
    with small_disk() as place:
        data, ballast = place / "data", Ballast(place)
        with Broker(shards=shards, data=data, extra=durability) as broker:
            loads = [Load(broker, f"load{number}") for number in range(3)]
            reader = Line(broker, "reader")
            reader.subscribe("live/#", 0)
            for load in loads:
                load.start()
            eventually(lambda: all(len(load.kept) > 5 for load in loads), "rows before the disk is full")
            ballast.fill()
            eventually(lambda: says(broker, "cannot be written"), "a full disk in the log")
            refuses(broker)
            serves(broker, reader, durability)
            if durability == MEMORY:
                eventually(lambda: all(load.refusals for load in loads), "refusals")
            same(says(broker, "cannot be written", 2), False, "the same in the log again and again")
            ballast.free()
            kept = [sum(load.kept.values()) for load in loads]
            eventually(lambda: says(broker, "takes what is to be kept again"), "the recovery in the log", 20)
            eventually(
                lambda: all(sum(load.kept.values()) > before for load, before in zip(loads, kept)), "rows after the disk was full")
            time.sleep(0.3)
            if durability == MEMORY:  # what is acknowledged before it is written may be lost in a crash
                for load in loads:
                    load.ended = True
                    load.join(20)
                same(broker.stop(), 0, "exit code")
            else:
                same(broker.kill(), True, "the broker ran until it was killed")
                for load in loads:
                    load.join(20)
        with Broker(shards=shards, data=data, extra=durability) as broker:
            found = rows(broker)
            for load in loads:
                load.judge(found)
            same(broker.stop(), 0, "exit code")


def refuses(broker):
    """What needs the disk is refused, whatever it is."""
    five, three = Line(broker, "five"), Line(broker, "three", V311)
    for qos in (1, 2):
        same(five.acknowledged("full/row", b"1", qos, True), QUOTA, f"retained, QoS {qos}")
        same(five.acknowledged("$tree/full", b'{"a":1,"b":2}', qos, True), QUOTA, f"a retained tree, QoS {qos}")
    same(five.acknowledged("load0/1", b"", 1, True), QUOTA, "a deletion")
    five.publish("full/row", b"2", 0, True)
    same(five.read().topic, "$error/full/row", "what QoS 0 is told")
    three.publish("full/row", b"3", 1, True)
    told = three.read()
    same((told.kind, told.topic), (packets.PUBLISH, "$error/full/row"), "what 3.1.1 is told")
    same("disk" in json.loads(told.payload)["error"], True, "the words say why")
    same(three.read().kind, packets.PUBACK, "and then the acknowledgement")
    five.close()
    three.close()


def serves(broker, reader, durability):
    """What does not need the disk goes on."""
    line = Line(broker, "passing")
    for number in range(100):
        line.publish("live/0", b"%d" % number, 0)
    same([reader.message().payload for _ in range(100)], [b"%d" % number for number in range(100)], "live messages")
    same(line.acknowledged("live/1", b"1", 1), QUOTA if durability == DISK else 0, "a live message that is acknowledged")
    if durability == MEMORY:
        same(reader.message().payload, b"1", "the message")
    late = Line(broker, "late")
    late.subscribe("load0/#", 0)
    same(late.message().topic.startswith("load0/"), True, "retained rows are read")
    for each in (line, late):
        each.close()


def full_from_the_start(shards):
    """Not even the folder can be made, or the numbers of a store that is there: it ends, says what and where, and begins
    when there is room, with everything."""
    with small_disk() as place:
        data, ballast = place / "data", Ballast(place)
        ballast.fill()
        refused(data, str(data), "space")
        ballast.free()
        with Broker(shards=shards, data=data, extra=DISK) as broker:
            line = Line(broker, "rows")
            same(line.acknowledged("kept", b"1", 1, True), 0, "code")
            same(broker.kill(), True, "the broker ran until it was killed")
        ballast.fill()
        before = (data / "data.mdb").read_bytes()
        command = [binary(), "serve", "--listen", "127.0.0.1:0", "--data", str(data)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            # room inside the file may do for the start; what it cannot do is lose anything
            said = ""
            for line in process.stderr:
                said += line
                if " ready: " in line:
                    break
            else:
                same(process.wait(20), 1, "exit code")
                same(str(data) in said and "disk" in said, True, f"what it says: {said!r}")
                same((data / "data.mdb").read_bytes(), before, "the file")
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
        ballast.free()
        with Broker(shards=shards, data=data) as broker:
            same(rows(broker), {"kept": b"1"}, "rows")


def read_only(shards):
    """A file system that may not be written, before the first start and after."""
    with small_disk() as place:
        data = place / "data"
        call("mount", "-o", "remount,ro", str(place))
        refused(data, str(data), "Read-only")
        call("mount", "-o", "remount,rw", str(place))
        with Broker(shards=shards, data=data, extra=DISK) as broker:
            same(Line(broker, "rows").acknowledged("kept", b"1", 1, True), 0, "code")
            same(broker.stop(), 0, "exit code")
        call("mount", "-o", "remount,ro", str(place))
        said = refused(data, str(data), "Read-only")
        same("--recover" in said, False, "advice to recover what is not damaged")
        refused(data, str(data), "Read-only", extra=("--recover",))
        call("mount", "-o", "remount,rw", str(place))
        with Broker(shards=shards, data=data) as broker:
            same(rows(broker), {"kept": b"1"}, "rows")


def not_a_folder():
    with tempfile.TemporaryDirectory(prefix="mote-disk-") as place:
        data = Path(place) / "data"
        data.write_text("a letter")
        command = [binary(), "serve", "--listen", "127.0.0.1:0", "--data", str(data)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        same((done.returncode, str(data) in done.stderr), (1, True), f"a file where the folder should be: {done.stderr!r}")
        same(data.read_text(), "a letter", "the file")


def in_use(shards):
    """A second broker on the folder is refused and told who is there; the first does not notice."""
    with tempfile.TemporaryDirectory(prefix="mote-disk-") as data:
        with Broker(shards=shards, data=data, extra=DISK) as broker:
            line = Line(broker, "rows")
            same(line.acknowledged("kept", b"1", 1, True), 0, "code")
            for extra in ((), ("--recover",)):
                refused(data, str(data), f"pid {broker.pid}", extra=extra)
            same(line.acknowledged("kept", b"2", 1, True), 0, "code")
            same(broker.kill(), True, "the broker ran until it was killed")
        with Broker(shards=shards, data=data) as broker:
            same(rows(broker), {"kept": b"2"}, "rows")


def run(report, shards):
    for durability, name in ((MEMORY, "memory"), (DISK, "disk")):
        report.check(f"a disk that becomes full under load, durability {name}", full_under_load, shards, durability, limit=90)
    report.check("a disk that is full before the start", full_from_the_start, shards)
    report.check("a file system that may not be written", read_only, shards)
    report.check("a folder that is a file", not_a_folder)
    report.check("a folder that another broker has open", in_use, shards)


if __name__ == "__main__":
    with_mounts()
    sys.exit(alone(lambda report: run(report, int(sys.argv[1]) if len(sys.argv) > 1 else 2)))
