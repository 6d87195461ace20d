"""What a shard asks of the kernel at 50 pairs with 200 in flight: at least 95 % of its system calls are
io_uring_enter, at most one for 20 deliveries, and none reads or writes a client's socket. Needs `strace`.

    strace.py [SECONDS]               default 10
"""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time

from broker import Broker, binary

TRANSFERS = "read,write,readv,writev,recvfrom,recvmsg,recvmmsg,sendto,sendmsg,sendmmsg,sendfile,splice"


def load(broker, seconds):
    command = [binary("mote-bench"), "pairs", "-p", str(broker.port), "-n", "50", "-s", "64", "-w", "200",
               "-d", str(seconds), "--warmup", "0", "--broker-pid", str(broker.pid), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def traced(thread, broker, seconds, options):
    """Runs the load while strace looks at one thread; the load's result and what strace wrote."""
    with tempfile.NamedTemporaryFile("r") as out:
        strace = subprocess.Popen(["strace", "-p", str(thread), "-o", out.name, *options],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        strace.stderr.readline()  # "Process … attached"
        result = load(broker, seconds)
        time.sleep(0.2)
        strace.send_signal(signal.SIGINT)
        strace.wait(20)
        return result, out.read()


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
    with Broker(shards=1, memory=True) as broker:
        threads = load(broker, 1)["broker_threads"]
        shard = max(threads, key=lambda thread: thread["cpu_s"])
        print(f"shard: thread {shard['id']} ({shard['name']})")
        result, table = traced(shard["id"], broker, seconds, ["-c"])
        _, calls = traced(shard["id"], broker, 2, ["-yy", "-e", f"trace={TRANSFERS}"])
        broker.stop()
    print(table)
    found = counts(table)
    total, enters = sum(found.values()), found.get("io_uring_enter", 0)
    on_sockets = [line for line in calls.splitlines() if "<TCP" in line]
    per_call = result["delivered"] / max(total, 1)
    print(f"{result['delivered']} deliveries, {total} system calls, {enters / max(total, 1):.2%} io_uring_enter, "
          f"{per_call:.1f} deliveries per call, {len(on_sockets)} reads or writes of client sockets")
    held = total > 0 and enters >= 0.95 * total and per_call >= 20 and not on_sockets
    for line in on_sockets[:5]:
        print(line)
    print("held" if held else "NOT held")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
