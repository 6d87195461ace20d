"""What bench/compare measures beside its rows: latency at parts of mote's capacity, two shards against one, and trees."""

import re
import statistics
import subprocess

import brokers
import text

PERCENTAGES = (10, 50, 80)
# A broker sustains a rate if so much of it arrives.
SUSTAINED = 0.98
# The capacity is looked for between what a closed loop reaches, which is more, and this part of it, in so many halvings of
# their ratio: to 7 %. A rate at which p99 is later than this is above it: queues grow.
CAPACITY_RANGE, CAPACITY_STEPS = 64, 6
CAPACITY_P99_US_MAX, CAPACITY_SECONDS_MAX = 100_000, 2
LATENCY_PAIRS = ("latency", "-n", "200")
SPLIT = ("--set", 'shards.split={"bench"=2}')
# how it is called, the topics, what two shards get besides, at least so many times one shard
LAYOUTS = (
    ("first levels differ, b{i}/data", "b{i}/data", (), 1.8),
    ("one first level, bench/b{i}/data, split at 2", "bench/b{i}/data", SPLIT, 1.8),
    ("one first level, bench/b{i}/data, no split", "bench/b{i}/data", (), 1.3),
)
# p99 of the others beside a snapshot or large batches
BESIDE_MS_MAX = 5


def capacity_of(bench, broker):
    """The highest rate of an open loop that the broker sustains, and this generator."""
    seconds = min(bench.arguments.seconds, CAPACITY_SECONDS_MAX)
    with broker.start(bench.broker_cores) as running:
        load = ("pairs", *LATENCY_PAIRS[1:], "-w", "200")
        high = bench.run(broker, running, load, seconds=seconds, keep=None)[0]["published_per_second"]
    low = high / CAPACITY_RANGE
    for _ in range(CAPACITY_STEPS):
        rate = round((low * high) ** 0.5)
        with broker.start(bench.broker_cores) as running:
            result = bench.run(broker, running, (*LATENCY_PAIRS, "--rate", str(rate)), seconds=seconds, keep=None)[0]
        came = min(result["published_per_second"], result["per_second"])
        p99 = result["latency_us"]["p99"] if result["latency_us"] else float("inf")
        if came >= rate * SUSTAINED and p99 < CAPACITY_P99_US_MAX:
            low = rate
        else:
            high = rate
    return low


def latencies(bench, all_brokers, failures, table):
    """p50, p99 and p99.9 at parts of the rate that mote sustains itself, with the same 200 pairs."""
    print("latency at parts of mote's capacity, 200 pairs", flush=True)
    try:
        capacity = capacity_of(bench, all_brokers[0])
    except failures as fault:
        return f"\nLatency at parts of mote's capacity: {fault}\n"
    out = [["messages/s", *(broker.label for broker in all_brokers), "p99 no worse than the best"]]
    reasons = {}
    for percent in PERCENTAGES:
        rate = round(capacity * percent / 100)
        results = {broker.name: [] for broker in all_brokers}
        reasons = {name: "does not sustain less" for name in reasons if name != "mote"}
        for _ in range(bench.arguments.rounds):
            for broker in all_brokers:
                if broker.name in reasons:
                    continue
                try:
                    with broker.start(bench.broker_cores) as running:
                        result = bench.run(broker, running, (*LATENCY_PAIRS, "--rate", str(rate)))[0]
                    results[broker.name].append(result)
                except failures as fault:
                    reasons[broker.name] = str(fault)
                    print(f"  {percent} %  {broker.label}: {fault}", flush=True)
                    continue
                said = percentiles(results[broker.name][-1:]) + text.remarks(result)
                print(f"  {percent} %, {text.quantity(rate, '/s')}  {broker.label:18} {said}", flush=True)
        for broker in all_brokers:  # a round that others disturbed is no verdict
            rates = [min(each["published_per_second"], each["per_second"]) for each in results[broker.name]]
            if broker.name not in reasons and statistics.median(rates) < rate * SUSTAINED:
                reasons[broker.name] = f"does not sustain it ({text.quantity(statistics.median(rates), '/s')})"
        out.append(latency_line(percent, rate, all_brokers, results, reasons, table))
    return (f"\nLatency at parts of mote's capacity ({text.quantity(capacity, '/s')}: what comes through of an open loop of 200 "
            f"pairs): p50 / p99 / p99.9\n\n{text.laid_out(out)}")


def percentiles(results):
    """p50, p99 and p99.9 of a run; of several their medians. Of an overloaded broker nothing may have come in time."""
    results = [result for result in results if result["latency_us"]]
    if not results:
        return "nothing came"
    parts = [statistics.median(result["latency_us"][of] for result in results) for of in ("p50", "p99", "p999")]
    return " / ".join(text.quantity(part, "us") for part in parts)


def latency_line(percent, rate, all_brokers, results, reasons, table):
    line, p99 = [f"{percent} %: {text.quantity(rate, '/s')}"], {}
    for broker in all_brokers:
        if broker.name in reasons:
            line.append(reasons[broker.name])
            continue
        line.append(percentiles(results[broker.name]))
        p99[broker.name] = statistics.median(each["latency_us"]["p99"] for each in results[broker.name] if each["latency_us"])
    own = p99.pop("mote", None)
    if own is None:
        verdict = "mote itself does not sustain it"
    elif not p99:
        verdict = "no other sustains it"
    else:
        verdict = table.verdict(f"best {text.quantity(min(p99.values()), 'us')}", own <= min(p99.values()))
    return [*line, verdict]


def shard_load(result):
    """CPU seconds of the busiest shard."""
    shards = {}
    for thread in result["broker"]["threads"]:
        if thread["name"].startswith("mote-shard"):
            shards[thread["name"]] = shards.get(thread["name"], 0) + thread["cpu_s"]
    return max(shards.values())


def scaling(bench, all_brokers, failures, table, cores):
    """Two shards against one. Without cores for the generator alone, rates say little: what counts is how much a second of the
    busiest shard carries."""
    mote, own_cores = all_brokers[0], cores > 2
    generator_cores = f"2-{cores - 1}" if own_cores else "0-1"
    print(f"two shards against one, on cores 0 and 1; the generator on {generator_cores}", flush=True)
    load = ("pairs", "-n", "50", "-w", "200", "--threads", str(max(1, cores - 2)))
    out = [["50 pairs, topics", "1 shard", "2 shards", "rate", "by the busiest shard", "target"]]
    for name, topics, extra, bound in LAYOUTS:
        seen = {1: [], 2: []}
        for _ in range(bench.arguments.rounds):
            for shards in seen:
                try:
                    with mote.start("0-1", shards=shards, extra=extra if shards == 2 else ()) as running:
                        seen[shards] += bench.run(mote, running, (*load, "--topics", topics), cores=generator_cores,
                                                  label=f"{mote.label}, {shards} shard(s)", keep="scaling.jsonl")
                except failures as fault:
                    return f"\nTwo shards against one: {fault}\n"
                print(f"  {name}, {shards}: {text.quantity(seen[shards][-1]['per_second'], '/s')}", flush=True)
        rates = {shards: statistics.median(each["per_second"] for each in of) for shards, of in seen.items()}
        carried = {shards: statistics.median(each["delivered"] / max(shard_load(each), 0.01) for each in of)
                   for shards, of in seen.items()}
        by_rate, by_load = rates[2] / rates[1], carried[2] / carried[1]
        cells = [f"{text.quantity(rates[of], '/s')} · {text.quantity(carried[of], '/s')}" for of in seen]
        verdict = table.verdict(f"at least {bound}x", (by_rate if own_cores else by_load) >= bound)
        out.append([name, *cells, text.ratio(by_rate), text.ratio(by_load), verdict])
    where = f"generator on cores {generator_cores}" if own_cores else "the generator shares both cores, so the target is judged by the busiest shard"
    return (f"\nTwo shards against one, cores 0 and 1, {where}: deliveries per second · deliveries per CPU second of the busiest "
            f"shard\n\n{text.laid_out(out)}")


def trees(bench, all_brokers, failures, table):
    """What only mote has, in the words of `mote-bench trees`, and its targets."""
    mote = all_brokers[0]
    print("trees", flush=True)
    rows = "100000" if bench.arguments.quick else "1000000"
    try:
        with mote.start(bench.broker_cores) as running:
            command = ["taskset", "-c", "1", bench.program, "trees", "-p", str(running.port), "--broker-pid", str(running.pid),
                       "-d", str(bench.arguments.seconds), "-n", "50", "--snapshot-rows", rows]
            done = subprocess.run(command, capture_output=True, text=True, timeout=bench.setup_s + 60 * bench.arguments.seconds)
    except (*failures, subprocess.TimeoutExpired) as fault:
        return f"\nTrees: {fault}\n"
    if done.returncode != 0:
        return f"\nTrees: {done.stderr.strip()}\n"
    out = "\nWhat only mote has (`mote-bench trees`)\n\n"
    for line in done.stdout.splitlines():
        print(f"  {line}", flush=True)
        out += f"* {line}"
        for verdict in tree_verdicts(line, table):
            out += f" [{verdict}]"
        out += "\n"
    return out


def tree_verdicts(line, table):
    """The targets that a line of `mote-bench trees` answers."""
    times = [float(part) for part in re.findall(r"([0-9.]+) times as much", line)]
    subscribers = re.search(r" bytes to (\d+):", line)
    if subscribers and len(times) == 2:
        bounds = (20, 2) if subscribers[1] == "1" else (50, 5)
        for name, part, bound in zip(("QoS 1 one by one", "QoS 0 in one write"), times, bounds):
            yield table.verdict(f"{name} at least {bound} times", part >= bound)
    beside = re.search(r"^live messages beside .* p99 ([0-9.]+) ms", line)
    if beside:
        yield table.verdict(f"p99 below {BESIDE_MS_MAX} ms", float(beside[1]) < BESIDE_MS_MAX)
