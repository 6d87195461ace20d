"""All of disk.py, disk_damage.py and disk_kills.py, in short: it waits more than it works, so that run.py has it going beside
other suites.

    disks.py [SHARDS]                  default 2 shards
"""

import random
import sys

import disk
import disk_damage
import disk_kills
from checks import alone

FLIPS = 20
ROUNDS = 1


def run(report, shards):
    disk.run(report, shards)
    disk_damage.run(report, FLIPS, random.randrange(1 << 30))
    disk_kills.run(report, ROUNDS, shards)


if __name__ == "__main__":
    disk.with_mounts()
    sys.exit(alone(lambda report: run(report, int(sys.argv[1]) if len(sys.argv) > 1 else 2)))
