"""What a shard asks of the kernel at 50 pairs with 200 in flight: at least 95 % of its system calls are
io_uring_enter, at most one for 20 deliveries, and none reads or writes a client's socket. Needs `strace`.

    strace.py [SECONDS] [SHARDS]      default 10 seconds, 1 shard
"""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter

from broker import Broker, binary
from checks import same

SHARE_MIN, DELIVERIES_PER_CALL_MIN = 0.95, 20

TRANSFERS = "read,write,readv,writev,recvfrom,recvmsg,recvmmsg,sendto,sendmsg,sendmmsg,sendfile,splice"


def load(broker, seconds):
    command = [binary("mote-bench"), "pairs", "-p", str(broker.port), "-n", "50", "-s", "64", "-w", "200",
               "-d", str(seconds), "--warmup", "0", "--broker-pid", str(broker.pid), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def attached(thread, options):
    """strace on one thread, and the file that it writes."""
    out = tempfile.NamedTemporaryFile("r")
    strace = subprocess.Popen(["strace", "-p", str(thread), "-o", out.name, *options],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    first = strace.stderr.readline()
    if "attached" not in first:
        raise SystemExit(f"strace: {first}")
    return strace, out


def traced(threads, broker, seconds, options):
    """Runs the load while strace looks at every one of the threads; the load's result and what strace wrote of each."""
    tracers = [attached(thread, options) for thread in threads]
    result = load(broker, seconds)
    time.sleep(0.2)
    for strace, _ in tracers:
        strace.send_signal(signal.SIGINT)
        strace.wait(20)
    return result, [out.read() for _, out in tracers]


def counts(table):
    """Calls by name, from the table of `strace -c`."""
    found = {}
    for line in table.splitlines():
        match = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
        if match and match[2] != "total":
            found[match[2]] = int(match[1])
    return found


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    shards = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with Broker(shards=shards, memory=True) as broker:
        by_cpu = sorted(load(broker, 1)["broker_threads"], key=lambda each: each["cpu_s"])
        # glommio gives its thread for blocking calls, which does nothing here, the name of the shard: the busier counts
        shard_of = {each["name"]: each["id"] for each in by_cpu if each["name"].startswith("mote-shard-")}
        same(len(shard_of), shards, "threads called mote-shard-N")
        threads = {thread: name for name, thread in sorted(shard_of.items())}
        result, tables = traced(threads, broker, seconds, ["-c"])
        _, calls = traced(threads, broker, 2, ["-yy", "-e", f"trace={TRANSFERS}"])
        broker.stop()
    sums = Counter()
    for name, table in zip(threads.values(), tables):
        found = counts(table)
        sums.update(found)
        print(f"{name}: {share(found):.2%} of {sum(found.values())} are io_uring_enter")
    for name, count in sums.most_common():
        print(f"{count:9} {name}")
    total = sum(sums.values())
    on_sockets = [line for each in calls for line in each.splitlines() if "<TCP" in line]
    per_call = result["delivered"] / max(total, 1)
    print(f"{result['delivered']} deliveries, {total} system calls, {share(sums):.2%} io_uring_enter, "
          f"{per_call:.1f} deliveries per call, {len(on_sockets)} reads or writes of client sockets")
    held = total > 0 and all(share(counts(table)) >= SHARE_MIN for table in tables)
    held = held and per_call >= DELIVERIES_PER_CALL_MIN and not on_sockets
    for line in on_sockets[:5]:
        print(line)
    print("held" if held else "NOT held")
    return 0 if held else 1


def share(found):
    return found.get("io_uring_enter", 0) / max(sum(found.values()), 1)


if __name__ == "__main__":
    sys.exit(main())
