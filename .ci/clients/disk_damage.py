"""The broker on files that are not what it wrote: cut short, zeroed, overwritten, flipped, of somebody else, of a newer mote.

    disk_damage.py [FLIPS] [SEED]      default 300 flipped bits, a random seed

Damage is refused with a message that says what and where, exit code 1, and the folder as it was. With --recover the bad
file is set aside, byte for byte, and the broker starts with what can be read of it: rows and messages as they were written,
or not there, never others. A bit that is flipped anywhere ends no process, and is found, or changes nothing.
"""

import random
import shutil
import struct
import sys
import tempfile
import zlib
from pathlib import Path

import packets
from broker import Broker, Died
from checks import alone, same
from disk import DISK, Line, refused, rows
from packets import V5

PAGE = 4_096
SHARDS = 2


class Store:
    """A store that a broker wrote, and what is in it."""

    def __init__(self, place):
        self.data = Path(place) / "whole"
        with Broker(shards=SHARDS, data=self.data, extra=DISK) as broker:
            self.fill(broker)
            self.rows = rows(broker)
            same(broker.stop(), 0, "exit code")
        self.bytes = (self.data / "data.mdb").read_bytes()

    def fill(self, broker):
        reader = Line(broker, "queued", V5, clean=True, session_expiry=100_000)
        same(reader.subscribe("q/#"), b"\1", "SUBACK")
        reader.close()
        line = Line(broker, "writer")
        for number in range(400):
            size = 9_000 if number % 40 == 0 else 30
            topic = f"r{number % 7}/{'long' * 200 if number % 60 == 0 else 'x'}/{number}"
            line.acknowledged(topic, b"%d " % number + b"v" * size, 1, True)
            if number % 9 == 0:
                line.acknowledged(topic, b"", 1, True)
        self.messages = [b"message %d" % number for number in range(50)]
        for payload in self.messages:
            line.acknowledged("q/1", payload, 1)
        line.close()

    def damaged(self, place, data):
        """A folder with these bytes instead."""
        folder = Path(place) / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.data, folder)
        (folder / "data.mdb").write_bytes(data)
        return folder

    def judge(self, broker, is_whole):
        """What a broker serves is what was written: all of it, or no more than that."""
        found = rows(broker)
        for topic, payload in found.items():
            same(payload, self.rows.get(topic), f"the row {topic}")
        line = Line(broker, "queued", V5, clean=False, session_expiry=100_000)
        messages = []
        while line.connack.session_present:
            try:
                packet = line.read(0.3)
            except TimeoutError:
                break
            messages.append(packet.payload)
            line.socket.sendall(packets.answer(packets.PUBACK, packet.packet_id))
        line.close()
        if is_whole:
            same(len(found), len(self.rows), "rows")
            same(messages, self.messages, "messages that waited")
        same([payload for payload in self.messages if payload in messages], messages, "messages that waited, in their order")
        return len(found)


def recovers(store, folder, damaged, has_rows):
    """--recover: the bad file is aside, what can be read is there, and the next start needs no advice."""
    with Broker(shards=SHARDS, data=folder, extra=("--recover", *DISK)) as broker:
        aside = [path for path in folder.glob("set-aside-*/data.mdb")]
        same([path.read_bytes() for path in aside], [damaged], "the file that was set aside")
        same(any("set-aside-" in line for line in broker.lines), True, "the log says where it is")
        count = store.judge(broker, False)
        same(not has_rows or count > 0, True, "some rows are read")
        line = Line(broker, "new")
        same(line.acknowledged("new", b"row", 1, True), 0, "code")
        same(broker.kill(), True, "the broker ran until it was killed")
    with Broker(shards=SHARDS, data=folder) as broker:
        same(rows(broker, "new"), {"new": b"row"}, "what was written after it recovered")
        same(broker.stop(), 0, "exit code")


def refused_then_recovered(store, place, name, damaged, has_rows=False):
    folder = store.damaged(place, damaged)
    try:
        refused(folder, str(folder), "--recover")
        recovers(store, folder, damaged, has_rows)
    except Exception as fault:
        raise AssertionError(f"{name}: {fault}") from fault


def cut_short(store, place):
    size = len(store.bytes)
    for keep in (0, 1, 100, PAGE - 1, PAGE, 2 * PAGE - 1, 2 * PAGE, 3 * PAGE, size // 2, size // 2 + 77):
        refused_then_recovered(store, place, f"{keep} of {size} bytes", store.bytes[:keep])
    # a tail that is in use; what comes after it may be free
    for keep in range(size - PAGE, size // 2, -PAGE):
        folder = store.damaged(place, store.bytes[:keep])
        if refused_or_whole(store, folder):
            return refused_then_recovered(store, place, f"{keep} of {size} bytes", store.bytes[:keep], True)
    raise AssertionError("no cut of the second half is seen")


def zeroed(store, place):
    refused_then_recovered(store, place, "all zero", bytes(len(store.bytes)))
    for page in (0, 1):
        refused_then_recovered(store, place, f"page {page} zero", patched(store.bytes, page * PAGE, bytes(PAGE)))
    seen = 0
    for page in range(2, len(store.bytes) // PAGE, 3):
        damaged = patched(store.bytes, page * PAGE, bytes(PAGE))
        folder = store.damaged(place, damaged)
        if refused_or_whole(store, folder):
            seen += 1
            if seen <= 3:
                recovers(store, folder, damaged, False)
    same(seen > 0, True, "pages in use")


def strangers(store, place):
    noise = random.Random(1).randbytes(len(store.bytes))
    for name, damaged in (
        ("random bytes", noise),
        ("a letter", b"Dear Sir or Madam\n" * 2_000),
        ("SQLite", b"SQLite format 3\0" + bytes(8_176)),
        ("random bytes behind the first pages", store.bytes[: 2 * PAGE] + noise[2 * PAGE :]),
        ("an empty file", b""),
    ):
        refused_then_recovered(store, place, name, damaged)


def newer(store, place):
    """Not damaged: --recover must not touch it either."""
    data = store.bytes
    for at, length in identities(data):
        record = bytearray(data[at : at + length])
        root = struct.unpack_from("<I", record, 0)[0]
        table = root - struct.unpack_from("<i", record, root)[0]
        field = root + struct.unpack_from("<H", record, table + 4)[0]
        struct.pack_into("<I", record, field, struct.unpack_from("<I", record, field)[0] + 1)
        struct.pack_into("<I", record, length - 4, zlib.crc32(b"i" + record[:-4]))
        data = patched(data, at, record)
    folder = store.damaged(place, data)
    for extra in ((), ("--recover",)):
        refused(folder, str(folder), "newer mote", extra=extra)


def identities(data):
    """Where records of the store's identity lie, those of before among them, and how long they are."""
    head = struct.pack("<HH", 0, 1) + b"i"
    at, found = data.find(head), []
    while at >= 0:
        length = struct.unpack_from("<I", data, at - 4)[0]
        record = data[at + 5 : at + 5 + length]
        if 4 < length < 1_000 and zlib.crc32(b"i" + record[:-4]) == struct.unpack("<I", record[-4:])[0]:
            found.append((at + 5, length))
        at = data.find(head, at + 1)
    if not found:
        raise AssertionError("no record of an identity with its sum")
    return found


def patched(data, at, piece):
    return data[:at] + bytes(piece) + data[at + len(piece) :]


def refused_or_whole(store, folder):
    """True: it is refused in words. Else everything is served as it was written."""
    try:
        with Broker(shards=SHARDS, data=folder) as broker:
            store.judge(broker, True)
            same(broker.stop(), 0, "exit code")
            return False
    except Died:
        refused(folder, str(folder), "--recover")
        return True


def flips(store, place, count, seed):
    dice = random.Random(seed)
    seen = 0
    for number in range(count):
        at = dice.randrange(len(store.bytes))
        if number % 2:  # where something is written
            at = next((at + step for step in range(PAGE) if at + step < len(store.bytes) and store.bytes[at + step]), at)
        bit = 1 << dice.randrange(8)
        damaged = patched(store.bytes, at, [store.bytes[at] ^ bit])
        try:
            folder = store.damaged(place, damaged)
            if refused_or_whole(store, folder):
                seen += 1
                if seen % 10 == 1:
                    with Broker(shards=SHARDS, data=folder, extra=("--recover", *DISK)) as broker:
                        store.judge(broker, False)
        except Exception as fault:
            raise AssertionError(f"seed {seed}: bit {bit:#x} of byte {at} ({at // PAGE}:{at % PAGE}): {fault}") from fault
    same(count < 40 or seen > 0, True, "some of it is seen")


def run(report, count, seed):
    with tempfile.TemporaryDirectory(prefix="mote-damage-") as place:
        store = Store(place)
        report.check("a file that was cut short", cut_short, store, place, limit=90)
        report.check("a file with pages of zeros", zeroed, store, place, limit=90)
        report.check("a file of somebody else", strangers, store, place, limit=60)
        report.check("a file of a newer mote", newer, store, place)
        report.check(f"{count} flipped bits, seed {seed}", flips, store, place, count, seed, limit=30 + 3 * count)


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    seed = arguments[1] if len(arguments) > 1 else random.randrange(1 << 30)
    sys.exit(alone(lambda report: run(report, arguments[0] if arguments else 300, seed)))
