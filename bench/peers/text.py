"""What bench/compare prints: quantities, cells, the table with ratios and targets."""

import platform
import subprocess
import time
from pathlib import Path


def short(number, steps):
    """Three digits and the unit that keeps them few."""
    for divisor, unit in steps:
        if abs(number) >= divisor * 0.9995 or divisor == steps[-1][0]:
            number /= divisor
            places = 0 if number >= 99.95 else 1 if number >= 9.995 else 2 if number >= 0.9995 else 3
            return f"{number:.{places}f} {unit}"
    raise AssertionError("steps end with a unit that takes everything")


def quantity(number, unit):
    if number is None:
        return "-"
    if unit == "/s":
        return short(number, ((1e6, "M/s"), (1e3, "k/s"), (1, "/s")))
    if unit == "us":
        return short(number, ((1e6, "s"), (1e3, "ms"), (1, "us")))
    if unit == "B":
        return f"{number:.0f} B"
    return f"{number:.3g} {unit}"


def ratio(of):
    return f"1/{1 / of:.1f}" if of < 0.5 else f"{of:.2f}x" if of < 10 else f"{of:.1f}x"


def cell(row, values):
    return " · ".join(quantity(values[measure.of], measure.unit) for measure in row.shown)


def remarks(result):
    """What a reader of one run must know."""
    all_remarks = [f"{result[what]} {what}" for what in ("lost", "duplicates", "reordered", "stalls") if result[what]]
    if result["generator"]["is_limit"]:
        all_remarks.append("generator at its limit")
    return f"  ({', '.join(all_remarks)})" if all_remarks else ""


def machine():
    """Processor, cores and kernel."""
    names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {len(names)} cores, {platform.system()} {platform.release()}"


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def head(given):
    return (f"{machine()}; {time.strftime('%Y-%m-%d %H:%M %Z')}; mote at {commit()}; medians of {given.rounds} "
            f"round{'s' if given.rounds > 1 else ''} of {given.seconds:g} s\n\n")


def laid_out(lines):
    """A Markdown table whose columns stand below each other; the first line is its head."""
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    rows = [lines[0], ["-" * width for width in widths], *lines[1:]]
    return "".join("| " + " | ".join(f"{part:{width}}" for part, width in zip(row, widths)) + " |\n" for row in rows)


class Table:
    """Rows with a cell per broker, mote's ratio to each of the others, and whether each target is met."""

    def __init__(self, all_brokers):
        self.brokers = all_brokers
        self.others = [broker for broker in all_brokers if broker.name != "mote"]
        self.lines = [["workload", *(broker.label for broker in all_brokers),
                       *(f"mote / {broker.name}" for broker in self.others), "targets"]]
        self.notes = []
        self.missed = 0

    def add(self, row, values, reasons):
        """`values`: of each broker that could do it, its medians by measure."""
        line = [row.title]
        for broker in self.brokers:
            found = values.get(broker.name)
            line.append(cell(row, found) if found else "cannot" if broker.name in reasons else "-")
            note = f"{' '.join(row.load)}: {broker.label}: {reasons.get(broker.name)}"
            if broker.name in reasons and note not in self.notes:
                self.notes.append(note)
        own = values.get("mote", {}).get(row.counts.of)
        parts = {}
        for broker in self.others:
            other = values.get(broker.name, {}).get(row.counts.of)
            parts[broker.name] = own / other if own is not None and other else None
            line.append(ratio(parts[broker.name]) if parts[broker.name] else "-")
        line.append("; ".join(self.verdicts(row, own, parts)) or "-")
        self.lines.append(line)

    def verdicts(self, row, own, parts):
        """A sentence for each target that can be judged."""
        more = row.counts.is_more_better
        for name, bound in row.targets.items():
            part = parts.get(name)
            if part:
                yield self.verdict(f"{name} {ratio(bound)}", part >= bound if more else part <= bound)
        known = [part for part in parts.values() if part]
        if row.against_best and known:
            best = min(known) if more else max(known)
            sign = "at least" if more else "at most"
            yield self.verdict(f"{sign} {row.against_best:g}x the best", best >= row.against_best if more else best <= row.against_best)
        if row.at_most and own is not None:
            yield self.verdict(f"at most {quantity(row.at_most, row.counts.unit)}", own <= row.at_most)

    def verdict(self, target, is_met):
        self.missed += not is_met
        return f"{target}: {'met' if is_met else 'missed'}"

    def text(self):
        return laid_out(self.lines) + "".join(f"* {note}\n" for note in self.notes)
