"""Runs all real-client suites: for 1 and for 4 shards, against a broker of its own each.

    run.py [--shards N]...            the suites, on target/release/mote
    run.py --address HOST:PORT        the suites, on a broker that runs already (--plain: without trees)
"""

import argparse
import shutil
import sys

import crash
import idle
import mosquitto_suite
import paho_suite
import walk
from broker import ROOT, Broker, binary
from checks import Report, external, same

HERE = ROOT / ".ci" / "clients"


def suites(report, address, plain, label, broker=None):
    print(f"== {label}", flush=True)
    report.alive = broker.last_words if broker else lambda: None
    paho_suite.run(report, address, plain)
    node = shutil.which("node")
    if report.alive():
        return
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
        suites(report, address, False, f"{shards} shards", broker)
        report.alive = lambda: None
        report.check("SIGTERM ends it with 0", lambda: same(broker.stop(), 0, "exit code"))
    report.alive = lambda: None
    for tool, commands in walk.TOOLS.items():
        with Broker(shards=shards) as broker:
            report.check(f"README walk with {tool}", walk.walk, commands, (broker.host, broker.port))
    report.check("retained rows survive SIGTERM", crash.survives_sigterm, shards)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, action="append")
    parser.add_argument("--address")
    parser.add_argument("--plain", action="store_true", help="no trees: for other brokers")
    parser.add_argument("--crash-rounds", type=int, default=5)
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections, 0 for none")
    arguments = parser.parse_args()
    report = Report()
    if arguments.address:
        host, _, port = arguments.address.rpartition(":")
        suites(report, (host, int(port)), arguments.plain, arguments.address)
        return report.end()
    print(f"== {binary()}")
    report.check("README has its walks", walk.has_walks)
    for shards in arguments.shards or [1, 4]:
        with_own_broker(report, shards)
        if arguments.crash_rounds:
            report.check(f"kill -9, {arguments.crash_rounds} rounds, {shards} shards", crash.rounds, arguments.crash_rounds, shards)
        if arguments.idle:
            report.check(f"{arguments.idle} idle connections, {shards} shards", idle.measure, arguments.idle, shards)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
