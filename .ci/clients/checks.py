"""Checks, one by one: each is a function; what it raises is its failure."""

import queue
import subprocess
import sys
import time
import traceback
import uuid

WAIT_S = 15


class Report:
    def __init__(self):
        self.passed = 0
        self.failures = []
        self.alive = lambda: None
        self.is_over = False

    def line(self, name, fault=None):
        if fault is None:
            self.passed += 1
            print(f"ok      {name}", flush=True)
        else:
            self.failures.append(name)
            print(f"FAILED  {name}: {fault}", flush=True)

    def check(self, name, function, *arguments):
        """Runs one check. Once the broker has died the rest of its checks would only say so again."""
        if self.is_over and self.alive():
            return
        try:
            function(*arguments)
        except Exception as fault:  # a check may fail in any way; the others still run
            where = traceback.extract_tb(sys.exc_info()[2])[-1]
            self.line(name, f"{type(fault).__name__}: {str(fault)[:600]} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})")
        else:
            self.line(name)
        words = self.alive()
        self.is_over = words is not None
        if words:
            self.line(f"the broker outlives {name}", words)

    def end(self):
        for name in self.failures:
            print(f"failed: {name}")
        print(f"{self.passed} passed, {len(self.failures)} failed")
        return 1 if self.failures or not self.passed else 0


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


def external(report, name, command):
    """A suite in another language: prints `ok <name>` or `not ok <name>: <why>` for each check."""
    process = subprocess.run(command, capture_output=True, text=True, timeout=300)
    seen = 0
    for line in process.stdout.splitlines():
        if line.startswith("ok "):
            report.line(f"{name} {line[3:]}")
        elif line.startswith("not ok "):
            what, _, why = line[7:].partition(": ")
            report.line(f"{name} {what}", why)
        else:
            continue
        seen += 1
    if process.returncode != 0 or seen == 0:
        report.line(f"{name} ends well", f"exit {process.returncode}: {process.stderr[-600:]}")
