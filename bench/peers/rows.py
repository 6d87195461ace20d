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


WRITE_COST = Measure("write_us_per_row", "us")
READ_COST = Measure("read_us_per_row", "us")
ROW_BYTES = Measure("bytes_per_row", "B")
CONNECTION_BYTES = Measure("bytes_per_connection", "B")
SUBSCRIBED_BYTES = Measure("bytes_per_connection_subscribed", "B")
CONNECTS = Measure("connects_per_second", "/s", True)
# rows of one load are measured once
RETAINED = ("retained", "--count", "100000", "-s", "32", "-q", "1")
IDLE = ("idle", "--count", "10000")


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
    Row("retained-in", "100 k retained rows (32 B) in, QoS 1", RETAINED,
        (Measure("write_per_second", "/s", True), WRITE_COST), WRITE_COST, targets=against(5, 1)),
    Row("retained-out", "one ret/# subscriber reads them", RETAINED,
        (Measure("read_per_second", "/s", True), READ_COST), READ_COST, targets=against(20, 2)),
    Row("retained-memory", "memory per retained row", RETAINED, (ROW_BYTES,), ROW_BYTES, at_most=200),
    Row("idle", "memory per idle connection", IDLE, (CONNECTION_BYTES,), CONNECTION_BYTES),
    Row("idle-subscribed", "memory per idle connection with one subscription", IDLE, (SUBSCRIBED_BYTES,), SUBSCRIBED_BYTES,
        at_most=1500),
    Row("connect", "connects per second, CPU each", ("connect", "--count", "10000"),
        (CONNECTS, Measure("cpu_us_per_connect", "us")), CONNECTS, against_best=2),
)
