"""The brokers that bench/compare measures: where each comes from, with which settings it is started, and its end."""

import os
import resource
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PEERS = TARGET / "peers"
SETTINGS = Path(__file__).parent
RUMQTTD_VERSION = "0.20.0"
START_S = 20
END_S = 20


class Missing(Exception):
    """A broker that cannot be had here; the text says why."""


def allow_many_connections():
    """As many descriptors as the system lets this user have; brokers and generator inherit them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port():
    """A port that nobody listens on, below those that the kernel gives to connections."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in range(first - 1 - os.getpid() % 4000, 1024, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Missing("no port is free")


class Running:
    """A broker that answers: where, and its process if it is known."""

    def __init__(self, port, pid, host="127.0.0.1", process=None, folder=None):
        self.host, self.port, self.pid, self.process, self.folder = host, port, pid, process, folder

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def start(command, cores, port, folder):
    """Starts a broker on these cores, with all threads that it will have, and waits until it takes a connection."""
    with open(Path(folder) / "log", "wb") as log:
        process = subprocess.Popen(["taskset", "-c", cores, *command], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT, cwd=folder)
    running = Running(port, process.pid, process=process, folder=folder)
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            time.sleep(0.2)  # what it does after its first connection belongs to no run
            return running
        except OSError:
            time.sleep(0.05)
    said = (Path(folder) / "log").read_text(errors="replace").strip().splitlines()
    running.__exit__()
    raise Missing(f"{command[0]} did not start: {said[-1] if said else 'it said nothing'}")


def settings(name, folder, port):
    """A file of bench/peers with this port in it, in the folder of one run."""
    path = Path(folder) / name
    text = (SETTINGS / name).read_text()
    path.write_text(text.replace("{port}", str(port)))
    path.chmod(0o644)
    return str(path)


def new_folder():
    folder = tempfile.mkdtemp(prefix="mote-compare-")
    os.chmod(folder, 0o755)  # Mosquitto gives up root before it looks into it
    return folder


class Mote:
    name = "mote"

    def __init__(self):
        self.program = str(TARGET / "release" / "mote")
        version = subprocess.run([self.program, "--version"], check=True, capture_output=True, text=True).stdout
        self.label = version.strip()

    def start(self, cores, shards=1, extra=()):
        folder, port = new_folder(), free_port()
        command = [self.program, "serve", "-q", "--listen", f"127.0.0.1:{port}", "--shards", str(shards), "--data",
                   str(Path(folder) / "data"), *extra]
        return start(command, cores, port, folder)


class Mosquitto:
    name = "mosquitto"

    def __init__(self):
        paths = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
        if not shutil.which("mosquitto", path=paths):
            install_package("mosquitto")
        self.program = shutil.which("mosquitto", path=paths)
        if not self.program:
            raise Missing("the package mosquitto brought no mosquitto")
        said = subprocess.run([self.program, "-h"], capture_output=True, text=True).stdout
        self.label = said.splitlines()[0].replace(" version", "") if said else "mosquitto"

    def start(self, cores):
        folder, port = new_folder(), free_port()
        return start([self.program, "-c", settings("mosquitto.conf", folder, port)], cores, port, folder)


class Rumqttd:
    name = "rumqttd"
    label = f"rumqttd {RUMQTTD_VERSION}"

    def __init__(self):
        self.program = PEERS / "bin" / "rumqttd"
        if not self.program.exists():
            environment = dict(os.environ, CARGO_TARGET_DIR=str(PEERS / "build"))
            command = ["cargo", "install", "rumqttd", "--version", RUMQTTD_VERSION, "--root", str(PEERS)]
            print("$ " + " ".join(command), flush=True)
            if subprocess.run(command, env=environment).returncode != 0:
                raise Missing("cargo install rumqttd failed")
            shutil.rmtree(PEERS / "build", ignore_errors=True)

    def start(self, cores):
        folder, port = new_folder(), free_port()
        return start([str(self.program), "-c", settings("rumqttd.toml", folder, port), "-q"], cores, port, folder)


class Command:
    """A broker that the user starts by a command line; `{port}` and `{folder}` stand in it for those of one run."""

    def __init__(self, text):
        self.name, _, self.line = text.partition("=")
        self.label = self.name
        if "{port}" not in self.line:
            raise SystemExit(f"compare: --peer-command {self.name}: the command says nowhere {{port}}")

    def start(self, cores):
        folder, port = new_folder(), free_port()
        line = self.line.replace("{port}", str(port)).replace("{folder}", folder)
        return start(shlex.split(line), cores, port, folder)


class Address:
    """A broker that runs already, wherever the user pinned it: `NAME=HOST:PORT` or `NAME=HOST:PORT:PID`."""

    def __init__(self, text):
        self.name, _, address = text.partition("=")
        self.label = self.name
        parts = address.split(":")
        if len(parts) not in (2, 3) or not all(part.isdigit() for part in parts[1:]):
            raise SystemExit(f"compare: --peer {text}: not NAME=HOST:PORT or NAME=HOST:PORT:PID")
        self.host, self.port = parts[0], int(parts[1])
        self.pid = int(parts[2]) if len(parts) == 3 else None

    def start(self, cores):
        del cores  # its process is the user's
        return Running(self.port, self.pid, host=self.host)


def install_package(name):
    """A Debian package, where this user may install one."""
    if not shutil.which("apt-get"):
        raise Missing(f"{name} is not here, and there is no apt-get to install it with")
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-q", "-y", "--no-install-recommends", name]):
        command = [*root, "env", "DEBIAN_FRONTEND=noninteractive", *command]
        print("$ " + " ".join(command), flush=True)
        try:
            done = subprocess.run(command, stdout=subprocess.DEVNULL)
        except OSError as fault:
            raise Missing(f"{name} is not here and cannot be installed: {fault}") from None
        if done.returncode != 0:
            raise Missing(f"{name} is not here, and this user cannot install it")


def found(arguments):
    """mote, then its peers; a peer that cannot be had is named and left out."""
    brokers = [Mote()]
    for kind in (Mosquitto, Rumqttd):
        if kind.name in arguments.without:
            continue
        try:
            brokers.append(kind())
        except Missing as fault:
            print(f"without {kind.name}: {fault}", flush=True)
    brokers += [Command(text) for text in arguments.peer_command]
    brokers += [Address(text) for text in arguments.peer]
    return brokers
