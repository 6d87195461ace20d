"""Honest clients, in a process of their own: pairs that exchange messages in an open loop, and newcomers. How late each message
comes counts from when it was due, so a broker that stands still is late with all that was due meanwhile."""

import gc
import multiprocessing
import select
import socket
import struct
import time

import raw
from packets import Splitter

PAIRS, PER_SECOND, NEWCOMERS_PER_SECOND = 20, 500, 5
PAYLOAD = 64
GRACE_S = 1.0  # what is under way when a phase ends
NEWCOMER_S = 10


def quantile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else None


class Newcomer:
    """Connects, subscribes, and is gone when that is answered."""

    def __init__(self, address, number, now):
        self.due, self.got = now, b""
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(address)
        self.said = raw.connect(f"newcomer{number}") + raw.subscribe(f"newcomer/{number}")
        self.greeting = len(bytes([0x20, 2, 0, 0, 0x90, 3, 0, 1, 0]))


class Prober:
    def __init__(self, address, pipe):
        self.address, self.pipe, self.epoll = address, pipe, select.epoll()
        self.publishers = [raw.Socket(address, f"honest{number}") for number in range(PAIRS)]
        self.subscribers, self.splitters, self.newcomers = {}, {}, {}
        for number in range(PAIRS):
            line = raw.Socket(address, f"hears{number}")
            line.send(raw.subscribe(f"honest{number}/said", number % 2))
            line.read()
            self.watch(line.socket)
            self.subscribers[line.socket.fileno()] = line.socket
        for line in self.publishers:
            self.watch(line.socket)
            self.subscribers[line.socket.fileno()] = line.socket  # its PUBACKs are read away
        self.sent = self.came = self.newcomer = 0
        self.clear()

    def watch(self, line):
        line.setblocking(False)
        self.epoll.register(line.fileno(), select.EPOLLIN)
        self.splitters[line.fileno()] = Splitter()

    def clear(self):
        self.late, self.own, self.new, self.failed = [], [], [], 0

    def run(self):
        start = next_newcomer = time.monotonic()
        number = 0
        while True:
            now = time.monotonic()
            due = start + number / PER_SECOND
            while due <= now:
                self.say(number, due, now)
                number += 1
                due = start + number / PER_SECOND
            if now >= next_newcomer:
                next_newcomer += 1 / NEWCOMERS_PER_SECOND
                self.come(now)
            self.turn(max(0, min(due, next_newcomer) - time.monotonic()))
            if self.pipe.poll():
                if self.pipe.recv() == "end":
                    return
                self.tell()

    def say(self, number, due, now):
        qos = number % PAIRS % 2
        payload = struct.pack("!d", due).ljust(PAYLOAD, b".")
        message = raw.publish(f"honest{number % PAIRS}/said", payload, qos, False, 1 + number // PAIRS % 60_000)
        try:
            self.publishers[number % PAIRS].socket.send(message)
        except BlockingIOError:
            self.failed += 1  # not even its socket takes more
            return
        self.own.append(now - due)
        self.sent += 1

    def come(self, now):
        self.newcomer += 1
        newcomer = Newcomer(self.address, self.newcomer, now)
        self.newcomers[newcomer.socket.fileno()] = newcomer
        self.epoll.register(newcomer.socket.fileno(), select.EPOLLOUT)
        for fd, each in list(self.newcomers.items()):
            if now - each.due > NEWCOMER_S:
                self.leave(fd, False)

    def turn(self, timeout):
        for fd, events in self.epoll.poll(timeout):
            if fd in self.newcomers:
                self.newcomer_moves(fd, events)
                continue
            line = self.subscribers[fd]
            try:
                data = line.recv(65536)
            except BlockingIOError:
                continue
            if not data:
                raise ConnectionError("the broker ended an honest client")
            now = time.monotonic()
            for packet in self.splitters[fd].feed(data):
                if packet[0] >> 4 == 3:
                    self.heard(line, packet, now)

    def heard(self, line, packet, now):
        topic = 2 + int.from_bytes(packet[2:4], "big") + 2
        if packet[0] & 6:
            line.send(bytes([0x40, 2]) + packet[topic : topic + 2])
        self.late.append(now - struct.unpack_from("!d", packet, len(packet) - PAYLOAD)[0])
        self.came += 1

    def newcomer_moves(self, fd, events):
        newcomer = self.newcomers[fd]
        try:
            if events & select.EPOLLOUT and newcomer.said:
                newcomer.socket.send(newcomer.said)
                newcomer.said = b""
                self.epoll.modify(fd, select.EPOLLIN)
                return
            data = newcomer.socket.recv(256)
        except OSError:
            return self.leave(fd, False)
        newcomer.got += data
        if not data or len(newcomer.got) >= newcomer.greeting:
            if data:
                self.new.append(time.monotonic() - newcomer.due)
            self.leave(fd, bool(data))

    def leave(self, fd, was_served):
        newcomer = self.newcomers.pop(fd)
        self.failed += not was_served
        self.epoll.unregister(fd)
        newcomer.socket.close()

    def tell(self):
        """What was seen since the last time, in milliseconds. What is under way is waited for, so that it counts here."""
        deadline = time.monotonic() + GRACE_S
        while self.came < self.sent and time.monotonic() < deadline:
            self.turn(0.02)
        ms = lambda values, part: None if not values else quantile(values, part) * 1e3
        self.pipe.send({"p99": ms(self.late, 0.99), "max": ms(self.late, 1), "late_p99": ms(self.own, 0.99),
                        "newcomers_p99": ms(self.new, 0.99), "newcomers": len(self.new), "newcomers_failed": self.failed,
                        "messages": len(self.late), "lost": self.sent - self.came})
        self.clear()


def run(address, pipe):
    gc.disable()
    prober = Prober(address, pipe)
    pipe.send("ready")
    try:
        prober.run()
    except (OSError, EOFError) as fault:
        pipe.send(fault)


class Probe:
    """The prober's process, as its owner sees it."""

    def __init__(self, address):
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=run, args=(address, other), daemon=True)
        self.process.start()
        self.pipe.recv()

    def phase(self):
        """What was seen since the last call."""
        self.pipe.send("tell")
        told = self.pipe.recv()
        if isinstance(told, Exception):
            raise told
        return told

    def end(self):
        self.pipe.send("end")
        self.process.join(5)
        self.process.kill()


def probe(address):
    return Probe(address)
