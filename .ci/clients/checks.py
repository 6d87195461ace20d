"""Checks, one by one: each is a function; what it raises is its failure."""

import queue
import signal
import subprocess
import tempfile
import time
import traceback
import uuid

import broker

WAIT_S = 10
CHECK_S = 60
TICK_S = 0.2
FAILURES_MAX = 8


class GivenUp(Exception):
    """The rest of the run would only say again what it has said."""


class Bound:
    """Nothing inside takes longer than `seconds`, and nothing waits for a broker that has ended: an interval timer
    looks at both, whatever the main thread is blocked in, and raises there. Once it has raised it leaves the code
    time to tidy up, then raises again."""

    def __init__(self, seconds=CHECK_S):
        self.seconds = seconds

    def __enter__(self):
        self.deadline = time.monotonic() + self.seconds
        self.before = signal.signal(signal.SIGALRM, self._tick)
        signal.setitimer(signal.ITIMER_REAL, TICK_S, TICK_S)

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)

    def _tick(self, _signal, _frame):
        signal.setitimer(signal.ITIMER_REAL, 0)  # this looks longer than one interval when the broker has died
        try:
            words = broker.death()
            if words:
                broker.forget_dead()
                raise broker.Died(words)
            if time.monotonic() > self.deadline:
                self.deadline = time.monotonic() + WAIT_S
                raise TimeoutError(f"more than {self.seconds} s")
        finally:
            signal.setitimer(signal.ITIMER_REAL, TICK_S, TICK_S)


class Report:
    def __init__(self):
        self.passed = 0
        self.failures = []

    def line(self, name, fault=None):
        if fault is None:
            self.passed += 1
            print(f"ok      {name}", flush=True)
        else:
            self.failures.append(name)
            print(f"FAILED  {name}: {fault}", flush=True)

        if len(self.failures) >= FAILURES_MAX:
            raise GivenUp(f"{FAILURES_MAX} failures are enough to look at")

    def check(self, name, function, *arguments, limit=CHECK_S):
        """Runs one check. A broker that has died or does not answer ends the whole run, with what it said."""
        try:
            with Bound(limit):
                function(*arguments)
        except Exception as fault:  # a check may fail in any way; the others still run
            where = traceback.extract_tb(fault.__traceback__)[-1]
            words = str(fault) if isinstance(fault, broker.Died) else str(fault)[:600]
            self.line(name, f"{type(fault).__name__}: {words} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})")
            if isinstance(fault, broker.Died):
                raise GivenUp("a broker died") from None
            self.still_there(name)
        else:
            self.line(name)
            if broker.death():
                self.still_there(name)

    def still_there(self, name):
        words = broker.death() or broker.silence()
        if words:
            self.line(f"the broker outlives {name}", words)
            raise GivenUp("a broker died or hangs")

    def end(self):
        for name in self.failures:
            print(f"failed: {name}")
        print(f"{self.passed} passed, {len(self.failures)} failed")
        return 1 if self.failures or not self.passed else 0


def alone(suite):
    """A suite that runs by itself: its exit code."""
    report = Report()
    try:
        suite(report)
    except GivenUp as why:
        print(f"given up: {why}")
    return report.end()


def same(got, wanted, what="value"):
    if got != wanted:
        raise AssertionError(f"{what}: got {shown(got)}, wanted {shown(wanted)}")


def shown(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:120]}… ({len(text)} characters)"


def unique(prefix="t"):
    return f"{prefix}{uuid.uuid4().hex[:12]}"


def take(messages, what="message"):
    try:
        return messages.get(timeout=WAIT_S)
    except queue.Empty:
        raise AssertionError(f"no {what} within {WAIT_S} s") from None


def nothing(messages, seconds=0.3):
    try:
        got = messages.get(timeout=seconds)
    except queue.Empty:
        return
    raise AssertionError(f"an unexpected message: {shown(got)}")


def eventually(condition, what, seconds=WAIT_S):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def external(report, name, command, limit=120):
    """A suite in another language: prints `ok <name>` or `not ok <name>: <why>` for each check."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seen = 0
    try:
        with Bound(limit):
            for line in process.stdout:
                seen += tell(report, name, line.rstrip("\n"))
            errors = process.stderr.read()
            code = process.wait()
    except (broker.Died, TimeoutError) as fault:
        report.line(f"{name} ends well", fault)
        raise GivenUp("a suite did not end") from None
    finally:
        process.kill()
        process.wait()
    if code != 0 or seen == 0:
        report.line(f"{name} ends well", f"exit {code}: {errors[-600:]}")


def side_by_side(report, commands, limit=900):
    """Suites of ours, each in a process of its own, at a time: label to command. Their lines come one suite after another."""
    files = {label: tempfile.TemporaryFile("w+") for label in commands}
    running = {label: subprocess.Popen(command, stdout=files[label], stderr=subprocess.STDOUT) for label, command in commands.items()}
    try:
        with Bound(limit):
            for process in running.values():
                process.wait()
    except TimeoutError as fault:
        report.line("suites side by side end", fault)
    finally:
        for label, process in running.items():
            process.kill()
            relay(report, label, files[label], process.wait())


def relay(report, label, file, code):
    """The checks of a suite that wrote this file, as if they were of this one; what else it wrote is printed as it is."""
    print(f"== {label}, odd corners", flush=True)
    failures, passed = len(report.failures), report.passed
    file.seek(0)
    for line in file:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "ok":
            report.line(f"{label}: {rest.strip()}")
        elif word == "FAILED":
            name, _, why = rest.strip().partition(": ")
            report.line(f"{label}: {name}", why)
        else:
            print(line, end="", flush=True)
    if report.passed == passed or (code != 0 and len(report.failures) == failures):
        report.line(f"{label}: the suite ends well", f"exit {code}")


def tell(report, name, line):
    """1 for a line that says how a check ended, else 0."""
    if line.startswith("ok "):
        report.line(f"{name} {line[3:]}")
    elif line.startswith("not ok "):
        what, _, why = line[7:].partition(": ")
        report.line(f"{name} {what}", why)
        report.still_there(f"{name} {what}")
    else:
        return 0
    return 1
