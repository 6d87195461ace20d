"""How fast clients may publish and come, and how many sessions there may be, on the real process.

    rates.py [SHARDS]               default 2 shards

What is asserted of time is only that it must have passed: how fast a machine is decides nothing.
"""

import socket
import sys
import time

import packets
from broker import Broker
from checks import alone, eventually, same
from disk import Line
from packets import V5

RATE, SENT = 50, 120  # a second's at once, and then 70 more: 1.4 s
COMERS, COME_RATE = 40, 10
LEAST = 0.9  # of the time that it must take: clocks of milliseconds
SESSIONS, QUOTA = 2, 0x97


def publishes(shards):
    """Who publishes faster than he may is read more slowly: all of it arrives in order, and others are served meanwhile."""
    extra = ("--set", f"limits.publish_rate={RATE}", "--set", "sys.interval_s=1")
    with Broker(shards=shards, extra=extra) as broker:
        reader, figures = Line(broker, "reader"), Line(broker, "figures")
        reader.subscribe("rate/#", 0)
        figures.subscribe("$SYS/broker/connections/slowed", 0)
        hasty, other = Line(broker, "hasty"), Line(broker, "other")
        began = time.monotonic()
        for number in range(SENT):
            hasty.publish("rate/hasty", str(number).encode(), 1)
        same(other.acknowledged("rate/other", b"meanwhile"), 0, "the code of a publish of somebody else")
        came = []
        while len(came) < SENT + 1:
            came.append(reader.message().payload)
        passed = time.monotonic() - began
        came.remove(b"meanwhile")
        same(came, [str(number).encode() for number in range(SENT)], "what came")
        if passed < LEAST * (SENT - RATE) / RATE:
            raise AssertionError(f"{SENT} publishes in {passed:.2f} s at {RATE} a second")
        while int(figures.message().payload) == 0:
            pass


def comers(shards):
    """A listener accepts as many connections a second as it may; the others wait, and are taken in the end."""
    with Broker(shards=shards, extra=("--set", f"limits.connect_rate={COME_RATE}")) as broker:
        began = time.monotonic()
        waiting = [socket.create_connection((broker.host, broker.port), 20) for _ in range(COMERS)]
        for number, each in enumerate(waiting):
            each.sendall(packets.connect(V5, f"c{number}", True))
        for each in waiting:
            same(len(each.recv(1)), 1, "bytes of a CONNACK")
        passed = time.monotonic() - began
        at_once = shards * -(-COME_RATE // shards)  # each shard takes its part, rounded up
        if passed < LEAST * (COMERS - at_once) / at_once:
            raise AssertionError(f"{COMERS} connections in {passed:.2f} s at {COME_RATE} a second")
        for each in waiting:
            each.close()


def sessions():
    """One session more than there may be is refused; who is known is taken."""
    with Broker(shards=1, extra=("--set", f"limits.sessions={SESSIONS}")) as broker:
        Line(broker, "away", clean=False, session_expiry=600).close()
        here = Line(broker, "here")
        Line(broker, "one more", code=QUOTA).close()
        Line(broker, "away", clean=False, session_expiry=600).close()
        here.close()

        def is_taken():
            try:
                Line(broker, "one more").close()
            except AssertionError:
                return False
            return True

        eventually(is_taken, "there is room for one more")


def run(report, shards):
    report.check(f"publishes a second, {shards} shards", publishes, shards, limit=60)
    report.check(f"connections a second, {shards} shards", comers, shards, limit=60)
    report.check("as many sessions as there may be, 1 shard", sessions, limit=60)


if __name__ == "__main__":
    sys.exit(alone(lambda report: run(report, int(sys.argv[1]) if len(sys.argv) > 1 else 2)))
