"""What the broker does under abuse, case by case: others are served, memory is bounded and given back, $SYS tells.

    overload.py [--case NAME]... [--shards N]... [--quick] [--markdown FILE] [--list]

Default: every case of abuse.py, with 1 shard and with 4, against target/release/mote. Before, during and after each case
20 honest pairs exchange 500 messages a second in an open loop, half of them QoS 1, and five newcomers a second connect,
subscribe and go. Where the machine has two cores the broker has the first, everybody else the second; the abuser is nice.
Exits 1 if a case misses a bound.
"""

import argparse
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import packets
import raw
from abuse import CASES
from broker import Broker
from packets import V5
from prober import probe

HERE = Path(__file__).resolve().parent
MIB = 1 << 20
P99_MS_MAX = 50
BEFORE_S, SETTLES_S, CASE_S = 4, 30, 240
LOOK_S = 0.05
# What a shard keeps to use again, beyond the tenth that is allowed of what there was before: 4 MiB of receive buffers and as
# much again where they were used up, 8 MiB of spare send buffers, 8 MiB of a merge, 2 MiB of matches, and what lies unused
# between what is used. A case that says `kept` fills tables that keep their places for the next who needs as many.
KEPT_BYTES_MAX = 40 * MIB
RETURN = ("clients/total", "connections/count", "subscriptions/count", "shared_subscriptions/count", "retained messages/count",
          "messages/waiting/count", "messages/waiting/bytes", "packet/out/bytes", "links/parcels")
DROPPED = "publish/messages/dropped"
WIDE = ("limits.packet_bytes=268435460",)
MANY = ("limits.subscriptions=200000",)


class Case:
    """`memory`: MiB that may be taken beyond what there was, and why. `tells`: figures of $SYS that say what happened."""

    def __init__(self, memory, why, tells, settings=(), prefix=(), refused=False, kept=0):
        self.kept = kept * MIB
        self.memory, self.why, self.tells, self.settings, self.prefix = memory, why, tells, settings, prefix
        self.refuses_newcomers = refused


BOUNDS = {
    "storm": Case(96, "3 KiB for each of 20 000", ("connections/count", "connections/socket/count", "clients/connected")),
    "silent": Case(32, "1 KiB for each of 20 000", ("connections/count", "clients/connected"), ("session.connect_timeout_s=5",)),
    "bytewise": Case(32, "a packet for each", ("messages/received", "bytes/received")),
    "deaf": Case(400, "1 MiB unsent and 1 MiB of spare for each of 100, 16 MiB of queue for all", ("packet/out/bytes", f"{DROPPED}/slow", f"{DROPPED}/queue")),
    "subscriptions": Case(128, "1 KiB for each of 100 000", ("subscriptions/count",), MANY, kept=56),
    "too-many-subscriptions": Case(32, "1 KiB for each of 10 000", ("subscriptions/count",)),
    "unsubscribe-all": Case(128, "1 KiB for each of 100 000", ("subscriptions/count",), MANY, kept=56),
    "wildcards": Case(96, "1 KiB for each of 32 768", ("subscriptions/count", "publish/messages/received", f"{DROPPED}/slow"), MANY),
    "levels": Case(192, "a node of 100 bytes for each of 1 300 000 levels", ("subscriptions/count", "publish/messages/received"), ("limits.topic_levels=65536",)),
    "giants": Case(320, "4 MiB for each of 64", ("bytes/received", "connections/count")),
    "unfinished": Case(2200, "what was sent of each, twice", ("connections/count", "bytes/received"), WIDE),
    "refused-length": Case(32, "nothing is gathered", ("connections/socket/count", "clients/connected")),
    "malformed": Case(32, "nothing is gathered", ("connections/socket/count", "load/connections/1min")),
    "hot": Case(192, "1 MiB unsent and 1 MiB of spare for each of 50", ("publish/messages/received", "publish/messages/sent", f"{DROPPED}/slow")),
    "descriptors": Case(32, "3 KiB for each of 300", ("connections/count", "connections/socket/count"), prefix=("prlimit", "--nofile=400:400"), refused=True),
    "retained": Case(700, "100 bytes of payload and 400 around it for each of 1 000 000", ("retained messages/count", "retained messages/tombstones"),
                     ("limits.retained_rows=1000000", "store.tombstone_s=1", "store.tombstones_max=1000"), kept=160),
    "snapshots": Case(700, "4 MiB unsent for each of 200 readers, a third of them", ("publish/messages/sent", "packet/out/bytes", "frames/sent"),
                      ("store.tombstone_s=1", "store.tombstones_max=1000"), kept=40),
    "sessions": Case(320, "3 KiB for each of 100 000", ("clients/disconnected", "subscriptions/count", "clients/expired")),
    "wills": Case(256, "3 KiB for each of 9 000, 1 MiB for each of 100", ("publish/messages/sent", "clients/connected")),
    "shares": Case(320, "the messages once, and 100 bytes for each delivery", ("messages/waiting/count", "messages/waiting/bytes", f"{DROPPED}/share")),
    "unreleased": Case(256, "an identifier of 100 bytes for each publish, queues of 10 000 messages for 100 readers", ("messages/waiting/count", "publish/messages/received", f"{DROPPED}/queue")),
}


class Figures(threading.Thread):
    """Every figure of $SYS as it was told last, and the most that it was."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.now, self.most, self.over, self.reports = {}, {}, False, 0
        self.line = raw.Socket(address, "overload-figures", timeout=60)
        self.line.send(raw.subscribe("$SYS/broker/#"))

    def run(self):
        try:
            while not self.over:
                first, body = self.line.read()
                if first >> 4 == packets.PUBLISH:
                    told = packets.parse(raw.packet(first, bytes(body)), packets.V311)
                    name, value = told.topic.removeprefix("$SYS/broker/"), told.payload.decode()
                    self.reports += name == "uptime"
                    if name.replace("/", "").replace(" ", "").replace("_", "").isalnum() and value.replace(".", "").isdigit():
                        self.now[name] = float(value)
                        self.most[name] = max(self.most.get(name, 0), float(value))
        except OSError:
            return  # the broker, or the case, is over

    def of(self, name, values=None):
        """Of the broker, or the sum of the shards."""
        values = self.now if values is None else values
        if name in values:
            return int(values[name])
        return int(sum(value for key, value in values.items() if key.startswith("shards/") and key.endswith(f"/{name}")))


class Memory(threading.Thread):
    def __init__(self, broker):
        super().__init__(daemon=True)
        self.broker, self.most, self.over = broker, 0, False

    def run(self):
        while not self.over:
            try:
                self.most = max(self.most, self.broker.rss_anon())
            except (OSError, RuntimeError):
                return  # it has ended; who looks after it says so
            time.sleep(LOOK_S)


class Abuser:
    """abuse.py as a process of its own, so that the probers have theirs."""

    def __init__(self, name, address, quick):
        command = ["nice", "-n", "10", sys.executable, str(HERE / "abuse.py"), name, address[0], str(address[1])]
        self.process = subprocess.Popen([*command, *(["--quick"] * quick)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.told, self.held = [], []

    def wait(self):
        watchdog = threading.Timer(CASE_S, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                word, _, rest = line.strip().partition(" ")
                (self.held if word == "held" else self.told).append(rest if word == "held" else line.strip())
            errors = self.process.stderr.read()
            return self.process.wait(), errors
        finally:
            watchdog.cancel()


def settled(figures, before, broker, allowed, deadline):
    """Seconds until every figure has returned, and until memory has; None: it has not."""
    start, recovery, given_back, reports = time.monotonic(), None, None, figures.reports
    while time.monotonic() < deadline and (recovery is None or given_back is None):
        passed = time.monotonic() - start
        # the first report that comes now may have been under way before
        if recovery is None and figures.reports > reports + 1 and all(figures.of(name) <= before[name] for name in RETURN):
            recovery = passed
        if given_back is None and broker.rss_anon() <= allowed:
            given_back = passed
        time.sleep(LOOK_S)
    return recovery, given_back


def measure(name, shards, quick):
    """Runs a case; what was seen, as a dict."""
    case, two_cores = BOUNDS[name], len(os.sched_getaffinity(0)) > 1
    settings = ("sys.interval_s=1", *case.settings)
    if quick and name == "retained":
        settings = (*settings, "limits.retained_rows=80000")
    extra = [part for setting in settings for part in ("--set", setting)]
    prefix = [*(("taskset", "-c", "0") if two_cores else ()), *case.prefix]
    with Broker(shards=shards, memory=True, extra=("-q", *extra), prefix=prefix) as broker:
        address = (broker.host, broker.port)
        figures, memory, prober = Figures(address), Memory(broker), probe(address)
        figures.start()
        time.sleep(BEFORE_S)
        seen = {"case": name, "shards": shards, "before_bytes": broker.rss_anon()}
        before, received = {each: figures.of(each) for each in RETURN}, figures.of("messages/received")
        figures.most.clear()
        memory.start()
        seen["alone"] = prober.phase()
        abuser = Abuser(name, address, quick)
        code, errors = abuser.wait()
        seen["beside"] = prober.phase()
        allowed = seen["before_bytes"] * 1.1 + KEPT_BYTES_MAX * shards + case.kept
        recovery, given_back = settled(figures, before, broker, allowed, time.monotonic() + SETTLES_S)
        seen["after"] = prober.phase()
        memory.over = figures.over = True
        seen |= {"most_bytes": memory.most, "after_bytes": broker.rss_anon(), "recovery_s": recovery, "given_back_s": given_back}
        seen["load"] = "; ".join([*abuser.held[-1:], *abuser.told])
        seen["tells"] = {each: figures.of(each, figures.most) for each in case.tells}
        seen["left"] = {each: figures.of(each) - before[each] for each in RETURN if figures.of(each) > before[each]}
        prober.end()
        seen["code"] = broker.stop()
        seen["faults"] = faults(case, seen, code, errors)
        return seen


def faults(case, seen, code, errors):
    found = [f"the abuser ended with {code}: {errors[-300:]}"] * (code != 0)
    beside, after = seen["beside"], seen["after"]
    for what, p99 in (("others during", beside["p99"]), ("others after", after["p99"]), ("newcomers during", beside["newcomers_p99"])):
        if what.startswith("newcomers") and case.refuses_newcomers:
            continue
        if p99 is None or p99 > P99_MS_MAX:
            found.append(f"p99 of {what} {'nothing came' if p99 is None else f'{p99:.0f} ms'}")
    lost = seen["alone"]["lost"] + beside["lost"] + after["lost"]
    found += [f"{lost} messages of others were lost"] * (lost > 0)
    if beside["newcomers_failed"] and not case.refuses_newcomers:
        found.append(f"{beside['newcomers_failed']} newcomers were not served")
    taken = (seen["most_bytes"] - seen["before_bytes"]) / MIB
    found += [f"{taken:.0f} MiB taken, {case.memory} allowed"] * (taken > case.memory)
    if seen["recovery_s"] is None:
        found.append(f"figures did not return: {seen['left']}")
    if seen["given_back_s"] is None:
        found.append(f"memory was not given back: {seen['after_bytes'] / MIB:.1f} MiB after {seen['before_bytes'] / MIB:.1f}")
    return found


def shown(value, form=".1f"):
    return "never" if value is None else format(value, form)


COLUMNS = ("case", "shards", "load held", "memory before, at most, after (MiB)", "allowed more", "p99 of others before, during, after (ms)",
           "p99 of newcomers before, during (ms)", "prober late p99 (ms)", "recovered after (s)", "`$SYS` said at most")


def row(seen):
    alone, beside, after = seen["alone"], seen["beside"], seen["after"]
    memory = ", ".join(f"{seen[each] / MIB:.1f}" for each in ("before_bytes", "most_bytes", "after_bytes"))
    case = BOUNDS[seen["case"]]
    recovered = None if None in (seen["recovery_s"], seen["given_back_s"]) else max(seen["recovery_s"], seen["given_back_s"])
    return (seen["case"], str(seen["shards"]), seen["load"], memory, f"{case.memory}: {case.why}",
            ", ".join(shown(each["p99"]) for each in (alone, beside, after)),
            ", ".join(shown(each["newcomers_p99"]) for each in (alone, beside)), shown(beside["late_p99"]), shown(recovered),
            ", ".join(f"`{name}` {value}" for name, value in seen["tells"].items()))


def markdown(rows):
    lines = [COLUMNS, tuple("---" for _ in COLUMNS), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=sorted(CASES), metavar="NAME")
    parser.add_argument("--shards", type=int, action="append")
    parser.add_argument("--quick", action="store_true", help="smaller loads; without --case the most telling cases, on 2 shards")
    parser.add_argument("--markdown", metavar="FILE")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(f"{name:24}{case.__doc__.splitlines()[0]}" for name, case in CASES.items()))
        return 0
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[1:])
    names = arguments.case or (QUICK if arguments.quick else list(CASES))
    rows, missed = [], 0
    for shards in arguments.shards or ([2] if arguments.quick else [1, 4]):
        for name in names:
            seen = measure(name, shards, arguments.quick)
            rows.append(row(seen))
            missed += bool(seen["faults"])
            print(f"{'FAILED' if seen['faults'] else 'ok':8}" + "\n        ".join(f"{title}: {cell}" for title, cell in zip(COLUMNS, rows[-1])))
            for fault in seen["faults"]:
                print(f"        MISSED {fault}")
            sys.stdout.flush()
    if arguments.markdown:
        Path(arguments.markdown).write_text(markdown(rows), encoding="utf-8")
    return 1 if missed else 0


QUICK = ("storm", "deaf", "subscriptions", "refused-length", "descriptors")

if __name__ == "__main__":
    sys.exit(main())
