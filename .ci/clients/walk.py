"""The README's walks, line by line: each command as it stands there (with the port of the broker under test), and
what it prints. A block begins with `<!-- walk: NAME -->`. A command that ends in `&` runs on; lines of different
programs may come in any order, as on a terminal."""

import os
import re
import subprocess
import threading
import time

from broker import ROOT, binary
from checks import eventually, same

BLOCK = re.compile(r"<!-- walk: (\w+) -->\s*```console\n(.*?)```", re.S)
PROGRAM = re.compile(r"^(mote (?:sub|pub)|mosquitto_(?:sub|pub)) ")
SETTLE_S = 0.4


def steps(block):
    """Pairs of a command and the lines that follow it."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return found


TOOLS = {name: steps(block) for name, block in BLOCK.findall((ROOT / "README.md").read_text())}


class Shell:
    def __init__(self, address):
        self.port = address[1]
        self.lines, self.running = [], []
        path = os.path.dirname(binary()) + os.pathsep + os.environ["PATH"]
        self.environment = dict(os.environ, PATH=path, LC_ALL="C.UTF-8")

    def start(self, command):
        if command.startswith("kill "):
            return self.end()
        background = command.endswith(" &")
        command = PROGRAM.sub(rf"\1 -p {self.port} ", command.removesuffix(" &"))
        # exec: the pid is the program's own
        process = subprocess.Popen(["bash", "-c", f"exec {command}"], env=self.environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        reader.start()
        if background:
            self.running.append(process)
            time.sleep(SETTLE_S)  # as long as a reader needs for the next line
        else:
            same(process.wait(20), 0, f"exit code of {command}")
            reader.join(20)

    def _read(self, process):
        for line in process.stdout:
            self.lines.append(line.rstrip("\n"))

    def end(self):
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(20)
        self.running.clear()


def walk(commands, address):
    shell = Shell(address)
    try:
        for command, wanted in commands:
            shell.start(command)
            eventually(lambda: len(shell.lines) >= len(wanted), f"{command!r}: wanted {wanted}, got {shell.lines}", 10)
            time.sleep(SETTLE_S)
            got, shell.lines = shell.lines, []
            same(sorted(got), sorted(wanted), f"what {command!r} printed")
    finally:
        shell.end()


def has_walks():
    same(sorted(TOOLS), ["mosquitto", "mote"], "walks in the README")
