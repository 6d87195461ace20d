"""The broker under test: started from its binary on a free port, watched through its ready line, ended by its pid."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import raw

ROOT = Path(__file__).resolve().parents[2]
READY = re.compile(r"^mote \S+ ready: mqtt (\S+?):(\d+), (\d+) shards?, (.+)$")
START_S = 30
SILENT_S = 5
RUNNING = []  # brokers that nobody has ended yet


class Died(Exception):
    """A broker ended that nobody had ended; says what it said last."""


def death():
    """The last words of a broker that ended by itself."""
    return next((words for words in (each.last_words() for each in RUNNING) if words), None)


def forget_dead():
    RUNNING[:] = [each for each in RUNNING if each.process.poll() is None]


def silence():
    """Says so if a running broker does not answer a CONNECT."""
    for each in RUNNING:
        try:
            raw.Socket((each.host, each.port), "still-there", SILENT_S).close()
        except OSError as fault:
            log = "\n".join(each.lines[-20:])
            return f"the broker runs, but does not answer a CONNECT within {SILENT_S} s ({fault}); its log:\n{log}"
    return None


def binary(name="mote"):
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return str(target / "release" / name)


def steady_port():
    """A free port below those that the kernel gives to connections: a client that tries again and again while nobody listens
    there would now and then get that very port for its own end, connect to itself, and keep the broker from it."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(first // 2, first)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue  # taken
            return port


class Broker:
    """`mote serve` on 127.0.0.1. `data=None`: a folder of its own, removed at the end; `memory`: no folder."""

    def __init__(self, shards=1, data=None, memory=False, port=0, extra=(), prefix=()):
        self.own = None
        where = ["--memory"]
        if not memory:
            if data is None:
                data = self.own = tempfile.mkdtemp(prefix="mote-")
            where = ["--data", str(data)]
        self.data = data
        command = [*prefix, binary(), "serve", "--listen", f"127.0.0.1:{port}", "--shards", str(shards), *where, *extra]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace")
        self.pid = self.process.pid
        self.lines = []
        self.ready = threading.Event()
        self.host, self.port, self.shards = "127.0.0.1", None, None
        threading.Thread(target=self._read, daemon=True).start()
        deadline = time.monotonic() + START_S
        while not self.ready.wait(0.05):
            if self.process.poll() is not None or time.monotonic() > deadline:
                time.sleep(0.2)  # the reader of its stderr takes what is left
                self.kill()
                raise Died("the broker did not become ready:\n" + "\n".join(self.lines))
        RUNNING.append(self)

    def _read(self):
        for line in self.process.stderr:
            line = line.rstrip("\n")
            self.lines.append(line)
            match = READY.match(line)
            if match:
                self.host, self.port, self.shards = match[1], int(match[2]), int(match[3])
                self.ready.set()

    def last_words(self):
        """None while it runs; after that its exit code, and its panic with our own frames, or the end of its log."""
        code = self.process.poll()
        if code is None:
            return None
        time.sleep(0.2)  # the reader of its stderr takes what is left
        start = next((at for at, line in enumerate(self.lines) if "panicked at" in line), None)
        words = self.lines[-20:]
        if start is not None:
            own = [line.strip() for line in self.lines[start:] if line.strip().startswith("at ./")]
            words = self.lines[start : start + 3] + own
        return f"the broker ended with {code}:\n" + "\n".join(words)

    def stop(self):
        """SIGTERM; returns the exit code, which must be 0."""
        self._given_up()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError("the broker did not end within 20 s of SIGTERM") from None
        self._clean()
        return code

    def kill(self):
        """SIGKILL; what it wrote stays where it is, unless the folder is its own. True if it ran until then."""
        self._given_up()
        was_running = self.process.poll() is None
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._clean()
        return was_running

    def _given_up(self):
        """Its end is no surprise from now on."""
        if self in RUNNING:
            RUNNING.remove(self)

    def _clean(self):
        if self.own:
            shutil.rmtree(self.own, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def rss_anon(self):
        """Bytes of anonymous memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no RssAnon")
