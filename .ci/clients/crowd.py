"""Very many raw connections in one thread, for loads that would be too slow with a client library: each has bytes to send
and counts what comes. Nothing here is polite."""

import errno
import select
import socket
import struct
import time

from packets import Splitter

BIND_ADDRESS_NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT: the port is chosen at connect, when the other end is known
LINES_PER_ADDRESS = 9_000  # of 28 000 ports, which stay taken for a minute after their connection
UNDER_WAY_MAX = 1_000  # connections that the broker has not answered yet
RESET = struct.pack("ii", 1, 0)


class Line:
    """One connection. `deaf`: nothing is read. `keeps`: whole packets are handed to `on_packet(line, data)`."""

    def __init__(self, address, number, first=b"", deaf=False, on_packet=None, receive_bytes=None):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
        self.socket.bind((f"127.0.0.{2 + number // LINES_PER_ADDRESS}", 0))
        code = self.socket.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "connect")
        self.number, self.deaf, self.out, self.got = number, deaf, bytearray(first), 0
        self.is_over = self.is_connected = False
        self.on_packet, self.splitter = on_packet, Splitter() if on_packet else None
        self.fd = self.socket.fileno()


class Crowd:
    """Lines that move when `turn` is called."""

    def __init__(self, address, first_number=0):
        self.address, self.lines, self.epoll = address, {}, select.epoll()
        self.next_number = first_number
        self.ended = self.bytes_in = self.bytes_out = 0
        self.under_way = 0

    def open(self, first=b"", **more):
        line = Line(self.address, self.next_number, first, **more)
        self.next_number += 1
        self.under_way += 1
        self.lines[line.fd] = line
        self.epoll.register(line.fd, select.EPOLLOUT | select.EPOLLIN)
        return line

    def open_many(self, count, first_of, wanted, seconds=120, **more):
        """`count` lines that have sent `first_of(number)` and got `wanted` bytes, in bursts. Those that failed are gone."""
        deadline = time.monotonic() + seconds
        made = []
        while len(made) < count and time.monotonic() < deadline:
            waiting = sum(1 for line in made[-2 * UNDER_WAY_MAX :] if not line.is_over and line.got < wanted)
            if waiting < UNDER_WAY_MAX:
                made.extend(self.open(first_of(self.next_number), **more) for _ in range(min(250, count - len(made))))
            self.turn(0.005)
        self.until(lambda: all(line.is_over or line.is_connected and line.got >= wanted and not line.out for line in made),
                   max(0.1, deadline - time.monotonic()))
        return made

    def send(self, line, data):
        if not line.is_over:
            was_empty = not line.out
            line.out += data
            if was_empty and line.is_connected:
                self._write(line)

    def turn(self, timeout=0.0):
        for fd, events in self.epoll.poll(timeout, 2_048):
            line = self.lines.get(fd)
            if line is None:
                continue
            if not line.is_connected:
                if line.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self.close(line)
                    continue
                line.is_connected = True
                self.under_way -= 1
                self._watch(line)
            if events & select.EPOLLOUT and line.out:
                self._write(line)
            if not line.is_over and events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                self._read(line)

    def until(self, condition, seconds):
        """Turns until `condition()`; whether it came true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.turn(0.01)
        return True

    def rest(self, seconds):
        self.until(lambda: False, seconds)

    def _watch(self, line):
        events = (0 if line.deaf else select.EPOLLIN) | (select.EPOLLOUT if line.out else 0)
        self.epoll.modify(line.fd, events)

    def _write(self, line):
        try:
            sent = line.socket.send(memoryview(line.out)[: 1 << 20])
        except BlockingIOError:
            return self._watch(line)
        except OSError:
            return self.close(line)
        self.bytes_out += sent
        del line.out[:sent]
        self._watch(line)

    def _read(self, line):
        if line.deaf:
            return self.close(line)  # only its end can have woken us
        try:
            data = line.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            return self.close(line)
        if not data:
            return self.close(line)
        line.got += len(data)
        self.bytes_in += len(data)
        if line.on_packet:
            for packet in line.splitter.feed(data):
                line.on_packet(line, packet)

    def close(self, line, reset=False):
        if line.is_over:
            return
        line.is_over = True
        self.ended += 1
        self.under_way -= not line.is_connected
        del self.lines[line.fd]
        if reset:
            line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.epoll.unregister(line.fd)
        line.socket.close()

    def close_all(self, resets=2):
        """Every `resets`-th with a reset."""
        for at, line in enumerate(list(self.lines.values())):
            self.close(line, at % resets == 0)
