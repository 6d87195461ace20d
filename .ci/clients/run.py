"""Runs all real-client suites: for 1 and for 4 shards, against a broker of its own each.

    run.py [--shards N]...            the suites, on target/release/mote
    run.py --address HOST:PORT        the suites, on a broker that runs already (--plain: without trees)
"""

import argparse
import shutil
import sys

import counter
import crash
import idle
import mosquitto_suite
import objects
import paho_suite
import trees_crash
import walk
from broker import ROOT, Broker, binary
from checks import GivenUp, Report, external, same, side_by_side

HERE = ROOT / ".ci" / "clients"


def suites(report, address, plain, label):
    print(f"== {label}", flush=True)
    paho_suite.run(report, address, plain)
    node = shutil.which("node")
    if node:
        mode = ["plain"] if plain else []
        external(report, "MQTT.js", [node, str(HERE / "mqttjs_suite.mjs"), address[0], str(address[1]), *mode])
    else:
        report.line("MQTT.js", "node is not installed")
    mosquitto_suite.run(report, address, plain)


def with_own_broker(report, shards):
    with Broker(shards=shards) as broker:
        address = (broker.host, broker.port)
        report.check(f"ready line names {shards} shards", same, broker.shards, shards)
        suites(report, address, False, f"{shards} shards")
        report.check("SIGTERM ends it with 0", lambda: same(broker.stop(), 0, "exit code"))
    for tool, commands in walk.TOOLS.items():
        with Broker(shards=shards) as broker:
            report.check(f"walk of the pages: {tool}", walk.walk, commands, (broker.host, broker.port), limit=120)
    for name in walk.PROGRAMS:
        with Broker(shards=shards) as broker:
            report.check(f"program of the page: {name}", walk.program, name, (broker.host, broker.port), limit=60)
    report.check("retained rows survive SIGTERM", crash.survives_sigterm, shards)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, action="append")
    parser.add_argument("--address")
    parser.add_argument("--plain", action="store_true", help="no trees: for other brokers")
    parser.add_argument("--crash-rounds", type=int, default=5)
    parser.add_argument("--flow-rounds", type=int, default=4, help="0: nothing of odd.py, disks.py, shortage.py and rates.py")
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections, 0 for none")
    arguments = parser.parse_args()
    report = Report()
    try:
        every(report, arguments)
    except GivenUp as why:
        print(f"given up: {why}")
    return report.end()


def every(report, arguments):
    if arguments.address:
        host, _, port = arguments.address.rpartition(":")
        return suites(report, (host, int(port)), arguments.plain, arguments.address)
    print(f"== {binary()}")
    report.check("the pages have their walks", walk.has_walks)
    for shards in arguments.shards or [1, 4]:
        with_own_broker(report, shards)
        if arguments.crash_rounds:
            count = arguments.crash_rounds
            report.check(f"kill -9, {count} rounds, {shards} shards", crash.rounds, count, shards, limit=30 * count)
            count = max(1, count // 2)
            report.check(f"trees and kill -9, {count} rounds, {shards} shards", trees_crash.rounds, count, shards, limit=60 * count)
        report.check(f"twenty count together, {shards} shards", counter.counts, 5_000, shards, limit=120)
        report.check(f"two stores edit the same objects, {shards} shards", objects.converse, shards, limit=120)
        if arguments.idle:
            report.check(f"{arguments.idle} idle connections, {shards} shards", idle.measure, arguments.idle, shards, limit=180)
    if arguments.flow_rounds:
        odd = [sys.executable, str(HERE / "odd.py"), "--flow-rounds", str(arguments.flow_rounds)]
        suites = {f"{shards} shards": [*odd, str(shards)] for shards in arguments.shards or [1, 4]}
        side_by_side(report, {**suites, "disks": [sys.executable, str(HERE / "disks.py")],
                              "shortages": [sys.executable, str(HERE / "shortage.py")],
                              "rates": [sys.executable, str(HERE / "rates.py")]})


if __name__ == "__main__":
    sys.exit(main())
