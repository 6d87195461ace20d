"""CPU per delivery of mote and of Mosquitto, side by side: 50 pairs, QoS 0, 64 bytes, 200 in flight.

    compare.py [--rounds N] [--seconds S] [--scenario pairs|fan-in|fan-out] [--qos 0|1] [--at-most RATIO]

Broker on core 0, generator on core 1; the two brokers take turns. Needs the package `mosquitto`.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from broker import Broker, binary

MOSQUITTO = """listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def load(port, pid, arguments):
    command = ["taskset", "-c", "1", binary("mote-bench"), arguments.scenario, "-p", str(port), "-n", "50", "-s", "64",
               "-w", "200", "-q", str(arguments.qos), "-d", str(arguments.seconds), "--broker-pid", str(pid), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def mosquitto(arguments):
    port = free_port()
    program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    if not program:
        raise SystemExit("mosquitto is not installed")
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(MOSQUITTO.format(port=port))
        file.flush()
        process = subprocess.Popen(["taskset", "-c", "0", program, "-c", file.name],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            return load(port, process.pid, arguments)
        finally:
            process.terminate()
            process.wait(10)


def mote(arguments):
    with Broker(shards=1, memory=True, prefix=("taskset", "-c", "0")) as broker:
        result = load(broker.port, broker.pid, arguments)
        broker.stop()
        return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--scenario", default="pairs")
    parser.add_argument("--qos", type=int, default=0)
    parser.add_argument("--at-most", type=float, help="exit 1 if the median ratio is above this")
    arguments = parser.parse_args()
    results = {mosquitto: [], mote: []}
    for _ in range(arguments.rounds):
        for run, seen in results.items():
            result = run(arguments)
            seen.append(result["broker"]["us_per_delivery"])
            print(f"{run.__name__:9} {result['per_second']:11,.0f} deliveries/s  {seen[-1]:7.3f} us each  "
                  f"{result['lost']} lost, {result['reordered']} out of order "
                  f"(generator {result['generator']['us_per_delivery']:.3f} us)", flush=True)
    ratio = statistics.median(results[mote]) / statistics.median(results[mosquitto])
    print(f"mote needs {ratio:.4f} of Mosquitto's CPU per delivery (1/{1 / ratio:.1f})")
    return 1 if arguments.at_most and ratio > arguments.at_most else 0


if __name__ == "__main__":
    sys.exit(main())
