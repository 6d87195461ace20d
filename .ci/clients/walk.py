"""The walks of README.md and engine/TREES.md, line by line: each command as it stands there (with the port of the broker
under test), and what it prints. A block begins with `<!-- walk: NAME -->`; blocks of one name are one walk. A command that
ends in `&` runs on, `# 1` behind one is an exit code that is not 0; lines of different programs may come in any order, as on
a terminal, and `…` in a line is anything. `<!-- run: NAME -->` before a program: it folds `$sync/light/#` and prints."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

from broker import ROOT, binary
from checks import eventually, same

BLOCK = re.compile(r"<!-- walk: (\w+) -->\s*```console\n(.*?)```", re.S)
RUN = re.compile(r"<!-- run: (\w+) -->\s*```\w+\n(.*?)```", re.S)
PROGRAM = re.compile(r"^(mote (?:sub|pub|get|set)|mosquitto_(?:sub|pub)) ")
SETTLE_S = 0.4
ENV = ROOT / ".ci" / "env"


def steps(block):
    """Pairs of a command and the lines that follow it."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return found


def walks():
    found = {}
    for page in ["README.md", "engine/TREES.md"]:
        for name, block in BLOCK.findall((ROOT / page).read_text()):
            found.setdefault(name, []).extend(steps(block))
    return found


TOOLS = walks()
PROGRAMS = dict(RUN.findall((ROOT / "engine/TREES.md").read_text()))


class Shell:
    def __init__(self, address):
        self.port = address[1]
        self.lines, self.running = [], []
        path = os.path.dirname(binary()) + os.pathsep + os.environ["PATH"]
        self.environment = dict(os.environ, PATH=path, LC_ALL="C.UTF-8")

    def start(self, command):
        if command.startswith("kill "):
            return self.end()
        command, _, code = command.partition("  # ")
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
            same(process.wait(20), int(code or 0), f"exit code of {command}")
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


def as_wanted(got, wanted):
    """The lines, sorted, each as the wanted one that it is an example of."""
    left, named = list(wanted), []
    for line in got:
        example = next((one for one in left if re.fullmatch(re.escape(one).replace("…", ".*"), line)), None)
        if example is not None:
            left.remove(example)
        named.append(line if example is None else example)
    return sorted(named)


def walk(commands, address):
    shell = Shell(address)
    try:
        for command, wanted in commands:
            shell.start(command)
            eventually(lambda: len(shell.lines) >= len(wanted), f"{command!r}: wanted {wanted}, got {shell.lines}", 10)
            time.sleep(SETTLE_S)
            got, shell.lines = shell.lines, []
            same(as_wanted(got, wanted), sorted(wanted), f"what {command!r} printed")
    finally:
        shell.end()


def has_walks():
    same(sorted(TOOLS), ["mosquitto", "mote", "trees", "versions"], "walks")
    same(sorted(PROGRAMS), ["node", "python"], "programs")


FOLDED = [
    (["-r", "-t", "$tree/light", "-m", '{"a":{"on":1,"at":{"x":[1]}},"b":"text"}'],
     {"a": {"on": {"/": 1}, "at": {"x": {"/": [1]}}}, "b": {"/": "text"}}),
    (["-r", "-t", "light/a", "-m", '{"an":"object"}'],
     {"a": {"/": {"an": "object"}, "on": {"/": 1}, "at": {"x": {"/": [1]}}}, "b": {"/": "text"}}),
    (["-t", "light/a/event", "-m", "1"], None),
    (["-r", "-t", "$tree;replace/light", "-m", '{"a":{"on":2}}'], {"a": {"on": {"/": 2}}}),
    (["-r", "-n", "-t", "light/a/on"], {}),
]


def program(name, address):
    """The program of the page prints what a client of three lines would know."""
    suffix, command = {"python": (".py", [sys.executable]), "node": (".mjs", [shutil.which("node")])}[name]
    folder = ENV / "node" if name == "node" else ENV
    path = folder / f"fold{suffix}"  # where MQTT.js is found
    path.write_text(PROGRAMS[name])
    process = subprocess.Popen([*command, str(path), str(address[1])], text=True, stdout=subprocess.PIPE)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(map(json.loads, process.stdout)), daemon=True)
    try:
        reader.start()
        eventually(lambda: lines == [{}], "the snapshot of nothing", 20)
        for arguments, wanted in FOLDED:
            count = len(lines)
            subprocess.run(["mosquitto_pub", "-p", str(address[1]), *arguments], check=True, timeout=20)
            if wanted is None:
                time.sleep(SETTLE_S)
                same(len(lines), count, "lines after an event")
            else:
                eventually(lambda: lines[-1] == wanted, f"after {arguments}: wanted {wanted}, got {lines[-1:]}", 20)
    finally:
        process.kill()
        process.wait(20)
