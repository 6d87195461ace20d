"""The rows of bench/compare: with which load each is measured, what of the result counts, and what mote is to reach."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Measure:
    """One figure of a result; `of` names it: `rate`, `cost`, `p50`, `p99`, or a figure that only a scenario has."""

    of: str
    unit: str
    is_more_better: bool = False


RATE = Measure("rate", "/s", True)
COST = Measure("cost", "us")
P50 = Measure("p50", "us")
P99 = Measure("p99", "us")


@dataclass(frozen=True)
class Row:
    key: str
    title: str
    load: tuple
    shown: tuple = (RATE, COST)
    # what ratios and targets are about; one of those shown
    counts: Measure = COST
    # broker's name -> the most (the least, where more is better) that mote may have of what it has
    targets: dict = field(default_factory=dict)
    # mote against the best of all others
    against_best: float = 0.0
    # in the unit of the measure
    at_most: float = 0.0


def against(mosquitto, flashmq):
    return {"mosquitto": 1 / mosquitto, "flashmq": 1 / flashmq}


ROWS = (
    Row("pairs", "50 pairs, QoS 0, 64 B, 200 in flight", ("pairs", "-n", "50", "-w", "200"), targets=against(55, 3)),
    Row("pairs-qos1", "50 pairs, QoS 1", ("pairs", "-n", "50", "-w", "200", "-q", "1"), targets=against(30, 2)),
    Row("pairs-1024", "50 pairs, 1024 B", ("pairs", "-n", "50", "-w", "200", "-s", "1024"), targets=against(16, 2)),
    Row("pairs-500", "500 pairs, 4 in flight", ("pairs", "-n", "500", "-w", "4"), targets=against(4, 2)),
    Row("fan-in", "fan-in, 50 to bench/#", ("fan-in", "-n", "50", "-w", "200"), targets=against(55, 3)),
    Row("fan-out-50", "fan-out, 1 to 50", ("fan-out", "-n", "50", "-w", "200"), targets=against(90, 2)),
    Row("fan-out-500", "fan-out, 1 to 500", ("fan-out", "-n", "500", "-w", "200"), targets=against(90, 2)),
    Row("wildcard", "wildcard, 10 to 50 of bench/+/data", ("wildcard", "-n", "50", "-w", "200"), targets=against(90, 2)),
    Row("latency", "latency at 50 k/s, 200 pairs, p50 · p99", ("latency", "-n", "200", "--rate", "50000"), (P50, P99), P99,
        against_best=1),
)
