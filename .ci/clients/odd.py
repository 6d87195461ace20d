"""Stock clients at their odd corners: everything here waits more than it works, so that run.py has it going for one shard
and for four at a time.

    odd.py [SHARDS] [--flow-rounds N]  default 4 shards, 4 rounds
"""

import argparse
import sys

import corners
import cuts
import flows
import mosquitto_corners
import restart
import share
from broker import Broker
from checks import alone, same
from cutter import WAYS


def every(report, shards, flow_rounds):
    with Broker(shards=shards) as broker:
        address = (broker.host, broker.port)
        # the ways of a cut are shared out, so that each client meets all of them; cuts.py alone has all for each
        cuts.run(report, address, WAYS[1:2] if shards == 1 else WAYS[::2])
        corners.run(report, address)
        mosquitto_corners.run(report, address)
        share.run(report, address)
        report.check("SIGTERM ends it with 0 after cuts, corners and shares", lambda: same(broker.stop(), 0, "exit code"))
    corners.with_one(report, shards)
    restart.run(report, shards)
    share.run_ends(report, shards)
    if flow_rounds:
        name = f"200 flows while the broker ends {flow_rounds} times"
        report.check(name, flows.flows, flow_rounds, shards, limit=flows.bound(flow_rounds))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=int, nargs="?", default=4)
    parser.add_argument("--flow-rounds", type=int, default=4)
    arguments = parser.parse_args()
    return alone(lambda report: every(report, arguments.shards, arguments.flow_rounds))


if __name__ == "__main__":
    sys.exit(main())
