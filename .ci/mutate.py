#!/usr/bin/env python3
"""Does the named test fail when the line that obeys a statement is disabled?

`.ci/mutants.txt` describes mutants: a statement, the test that proves it, and how to disable what obeys it. This draws
some of them, makes each in a scratch copy of the tracked files, runs its test there and says whether it noticed.

    .ci/mutate.py --count 20 --seed 7      20 at random, the same for the same seed and table
    .ci/mutate.py --only MQTT-3.1.2-24     all of one statement (or of any text in their heads)

The result is a table; the exit status is 1 if a mutant survived, did not build, or its test fails without it.
"""

import argparse
import itertools
import pathlib
import random
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / ".ci" / "mutants.txt"
SCRATCH = ROOT / "target" / "mutants"
TEST_TIMEOUT_S = 600


class Mutant:
    """`statement | crate | target | test`, the file, `-` lines as they stand and `+` lines instead, once or more."""

    def __init__(self, text):
        head, self.path, *lines = text.split("\n")
        self.statement, self.crate, self.target, self.test = head.split(" | ")
        self.changes = []
        for sign, group in itertools.groupby(lines, lambda line: line[:1]):
            part = "\n".join(line[2:] for line in group)
            if sign == "-":
                self.changes.append((part, ""))
            else:
                assert sign == "+", text
                self.changes[-1] = (self.changes[-1][0], part)
        assert self.changes, text

    def what(self):
        """The same for mutants that differ in their statement alone."""
        return self.crate, self.target, self.test, self.path, str(self.changes)

    def make(self, tree):
        """Returns what undoes it."""
        path = tree / self.path
        whole = path.read_text()
        changed = whole
        for before, after in self.changes:
            assert changed.count(before) == 1, f"{self.path}: {changed.count(before)} times {before!r}"
            changed = changed.replace(before, after)
        path.write_text(changed)
        return lambda: path.write_text(whole)


def mutants():
    blocks = [block.strip("\n") for block in TABLE.read_text().split("\n\n")]
    return [Mutant(block) for block in blocks if block and not block.startswith("#")]


def scratch():
    """A copy of the tracked files, and beside it a target folder that stays from run to run."""
    tree = SCRATCH / "tree"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = {path for path in listed.split("\0") if path and (ROOT / path).is_file()}
    for old in [path for path in tree.rglob("*") if path.is_file() and str(path.relative_to(tree)) not in paths]:
        old.unlink()
    for path in paths:
        source, copy = (ROOT / path).read_bytes(), tree / path
        # Only what changed: cargo goes by the times of files.
        if not copy.exists() or copy.read_bytes() != source:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source)
    return tree


def verdict(tree, mutant):
    """`passed`, `failed`, `hangs`, `does not build`, or `no such test`."""
    target = ["--lib"] if mutant.target == "lib" else ["--test", mutant.target]
    command = ["cargo", "test", "--quiet", "--target-dir", SCRATCH / "target", "-p", mutant.crate, *target]
    built = subprocess.run([*command, "--no-run"], cwd=tree, capture_output=True, text=True)
    if built.returncode != 0:
        return "does not build", built.stderr
    try:
        ran = subprocess.run([*command, "--", "--exact", mutant.test], cwd=tree, capture_output=True, text=True, timeout=TEST_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return "hangs", ""
    if "running 1 test" not in ran.stdout:
        return "no such test", ran.stdout + ran.stderr
    return ("passed" if ran.returncode == 0 else "failed"), ran.stdout + ran.stderr


def judge(tree, mutant):
    """Made and undone; what the test said of it."""
    undo = mutant.make(tree)
    try:
        return verdict(tree, mutant)
    finally:
        undo()


def chosen(arguments):
    everything = mutants()
    if arguments.only:
        return [mutant for mutant in everything if any(text in f"{mutant.statement} {mutant.test}" for text in arguments.only)]
    return random.Random(arguments.seed).sample(everything, min(arguments.count, len(everything)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[])
    arguments = parser.parse_args()
    tree = scratch()
    picked = chosen(arguments)
    # First all of their tests without a mutant, so that each tree is built once.
    clean = {}
    for mutant in sorted(picked, key=lambda mutant: (mutant.crate, mutant.target)):
        if mutant.test not in clean:
            clean[mutant.test] = verdict(tree, mutant)
    faults, judged = 0, {}
    for mutant in picked:
        began = time.monotonic()
        without, words = clean[mutant.test]
        if without == "passed":
            if mutant.what() not in judged:
                judged[mutant.what()] = judge(tree, mutant)
            outcome, words = judged[mutant.what()]
            said = {"failed": "killed", "hangs": "killed (the test hangs)", "passed": "SURVIVED"}.get(outcome, outcome)
        else:
            said = f"without it: {without}"
        is_fine = said.startswith("killed")
        faults += not is_fine
        print(f"{said:12} {mutant.statement:26} {mutant.test}  ({mutant.path}, {time.monotonic() - began:.0f} s)", flush=True)
        if not is_fine:
            print("\n".join("    " + line for line in words.splitlines()[-25:]), flush=True)
    print(f"{faults} that were not killed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
