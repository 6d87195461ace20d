"""Idle connections with one subscription each: what each costs the broker, and that a broadcast reaches all.

    idle.py [CONNECTIONS] [SHARDS]    default 10000 connections, 1 shard
"""

import resource
import selectors
import socket
import sys
import time

import raw
from broker import Broker
from checks import same

BYTES_PER_CONNECTION_MAX = 3 * 1024
BURST = 250
TOPIC, PAYLOAD = "idle/all", b"to everybody"
WAIT_S = 60


def receive_all(selector, wanted, data):
    """Reads until every socket has `wanted` bytes."""
    deadline = time.monotonic() + WAIT_S
    missing = {key.fd for key in selector.get_map().values() if len(data[key.fd]) < wanted}
    while missing:
        if time.monotonic() > deadline:
            raise AssertionError(f"{len(missing)} connections did not get {wanted} bytes within {WAIT_S} s")
        for key, _ in selector.select(1):
            got = key.fileobj.recv(4096)
            if not got:
                raise AssertionError("the broker closed a connection")
            data[key.fd] += got
            if len(data[key.fd]) >= wanted:
                missing.discard(key.fd)


def open_burst(address, numbers, selector, data):
    for number in numbers:
        connection = socket.create_connection(address, 20)
        connection.setblocking(False)
        connection.send(raw.connect(f"idle-{number:06}") + raw.subscribe(TOPIC, 0))
        data[connection.fileno()] = b""
        selector.register(connection, selectors.EVENT_READ)


def measure(count, shards, tell=False):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    selector, data = selectors.EpollSelector(), {}
    with Broker(shards=shards, memory=True) as broker:
        address = (broker.host, broker.port)
        publisher = raw.Socket(address, "publisher")
        time.sleep(0.5)
        before = broker.rss_anon()
        greeting = bytes([0x20, 2, 0, 0, 0x90, 3, 0, 1, 0])
        for start in range(0, count, BURST):
            open_burst(address, range(start, min(start + BURST, count)), selector, data)
            receive_all(selector, len(greeting), data)
        same(set(data.values()), {greeting}, "CONNACK and SUBACK")
        time.sleep(0.5)
        each = (broker.rss_anon() - before) / count
        data.update(dict.fromkeys(data, b""))
        message = raw.publish(TOPIC, PAYLOAD)
        publisher.send(message)
        receive_all(selector, len(message), data)
        same(set(data.values()), {message}, "the broadcast")
        after = (broker.rss_anon() - before) / count
        for key in list(selector.get_map().values()):
            key.fileobj.close()
        same(broker.stop(), 0, "exit code")
    if tell:
        print(f"{count} connections, {shards} shards: {each:.0f} bytes each, {after:.0f} after a broadcast to all")
    if each > BYTES_PER_CONNECTION_MAX:
        raise AssertionError(f"{each:.0f} bytes per connection, at most {BYTES_PER_CONNECTION_MAX} are allowed")


if __name__ == "__main__":
    measure(*([int(argument) for argument in sys.argv[1:]] + [10_000, 1][len(sys.argv) - 1 :]), tell=True)
