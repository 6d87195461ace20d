"""The broker when it holds as much memory, or as many connections, as it may, and when it may open no more files.

    shortage.py [SHARDS]               default 2 shards
"""

import socket
import sys

import packets
from broker import Broker
from checks import alone, eventually, same
from disk import Line
from packets import V5, V311

MEMORY_BYTES = 60_000_000
OVER_MAX = 1.25  # of the limit: what comes between two looks
ROWS_MAX = 100_000
TEXT = b"x" * 4_000
AT_ONCE = 100
BUSY, UNAVAILABLE, QUOTA = 0x89, 3, 0x97
CONNECTIONS = 40
FILES = 128


def fill(line, broker, most):
    """Retains rows until one is refused; returns how many were tried, and the most memory that was seen."""
    count, codes = 0, []
    while QUOTA not in codes:
        if count >= ROWS_MAX:
            raise AssertionError(f"{count} rows of {len(TEXT)} bytes and none refused, {broker.rss_anon()} bytes held")
        for _ in range(AT_ONCE):
            line.publish(f"fill/{count}", TEXT, 1, True)
            count += 1
        codes = [line.read().code for _ in range(AT_ONCE)]
        most = max(most, broker.rss_anon())
    return count, most


def memory(shards):
    """What would stay is refused, others are served, and when rows are deleted everything is taken again."""
    with Broker(shards=shards, extra=("--set", f"limits.memory_bytes={MEMORY_BYTES}", "--set", "sys.interval_s=1")) as broker:
        live, figures, writer = Line(broker, "live"), Line(broker, "figures"), Line(broker, "writer")
        live.subscribe("live/#", 0)
        figures.subscribe("$SYS/broker/heap/refused", 0)
        waits = Line(broker, "waits", clean=False, session_expiry=600)
        waits.close()
        count, most = fill(writer, broker, 0)
        if most > OVER_MAX * MEMORY_BYTES:
            raise AssertionError(f"{most} bytes held, of {MEMORY_BYTES}")
        same(list(live.subscribe("more/#")), [QUOTA], "SUBACK")
        old = Line(broker, "waits", clean=False, session_expiry=600)
        old.close()
        for version, code in ((V5, BUSY), (V311, UNAVAILABLE)):
            Line(broker, f"new{version}", version, code=code).close()
        writer.publish("live/1", b"still served", 0)
        same(live.message().payload, b"still served", "a live message")
        for begin in range(0, count, AT_ONCE):
            for row in range(begin, begin + AT_ONCE):
                writer.publish(f"fill/{row}", b"", 1, True)
            for _ in range(AT_ONCE):
                if writer.read().code >= 0x80:
                    raise AssertionError("a deletion was refused")
        eventually(lambda: writer.acknowledged("again", b"x", 1, True) < 0x80, "a row is taken again")
        same(list(live.subscribe("more/#", 0)), [0], "SUBACK")
        Line(broker, "new").close()
        refused = int(figures.message().payload)
        while refused == 0:
            refused = int(figures.message().payload)
        told = [line for line in broker.lines if "net::memory" in line]
        same(len(told), 2, f"lines in the log {told}")


def connections(shards):
    """One more than there may be is closed, and when one has gone one more is taken."""
    with Broker(shards=shards, extra=("--set", f"limits.connections={CONNECTIONS}")) as broker:
        lines = [Line(broker, f"c{number}") for number in range(CONNECTIONS)]
        one_more = socket.create_connection((broker.host, broker.port), 20)
        try:
            one_more.sendall(packets.connect(V5, "one more", True))
            same(one_more.recv(100), b"", "what one too many is told")
        except ConnectionError:
            pass  # it was closed before its CONNECT came
        lines.pop().close()

        def is_taken():
            try:
                Line(broker, "one more").close()
            except ConnectionError:
                return False
            return True

        eventually(is_taken, "one more is taken")
        same(lines[0].acknowledged("a", b"b"), 0, "the code of a publish of one who was there")


def files(shards):
    """No descriptor is left: those who are there are served and written to disk, and who waits is taken when there is one."""
    limit = ("sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh")
    extra = ("--set", "limits.connections=1000", "--set", 'durability="disk"')
    with Broker(shards=shards, prefix=limit, extra=extra) as broker:
        writer, waiting = Line(broker, "writer"), []
        for _ in range(FILES):
            waiting.append(socket.create_connection((broker.host, broker.port), 20))
        eventually(lambda: any("no descriptor" in line for line in broker.lines), "the log says so")
        same(writer.acknowledged("kept", b"1", 1, True), 0, "the code of a retained publish")
        for each in waiting:
            each.close()
        Line(broker, "after").close()
        eventually(lambda: any("descriptors for new connections again" in line for line in broker.lines),
                   "the log says that it is over")
        said = [line for line in broker.lines if "no descriptor" in line]
        if len(said) > shards:
            raise AssertionError(f"it was said {len(said)} times: {said}")


def run(report, shards):
    report.check(f"as much memory as it may, {shards} shards", memory, shards, limit=120)
    report.check(f"as many connections as it may, {shards} shards", connections, shards, limit=60)
    report.check(f"no descriptor left, {shards} shards", files, shards, limit=90)


if __name__ == "__main__":
    sys.exit(alone(lambda report: run(report, int(sys.argv[1]) if len(sys.argv) > 1 else 2)))
