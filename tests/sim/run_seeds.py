#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs new seeds through the simulator and says what came of them; a long run adds a line to the
table of all long runs, seeds.tsv, and says its sum.

usage: run_seeds.py SIM --seeds N [--table FILE] [--seed FIRST] [--jobs J]
"""
import argparse
import os
import random
import re
import subprocess
import sys

HEAD = "commit\tfirst_seed\tseeds\tfailed\tupdates\tcrashes\ttakeovers\texcused\tforced\n"


def commit():
    """Of the checkout; with "+" when it differs from that."""
    here = os.path.dirname(os.path.realpath(__file__))
    def git(*words):
        return subprocess.run(["git", "-C", here, *words], capture_output=True, text=True,
                              check=False).stdout.strip()
    # The table itself is no difference.
    changed = [line for line in git("status", "--porcelain", "--untracked-files=no").splitlines()
               if not line.endswith("seeds.tsv")]
    return (git("log", "-1", "--format=%h") or "unknown") + ("+" if changed else "")


def number(text, what):
    found = re.search(rf"(\d+) {what}", text)
    return int(found.group(1)) if found else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sim")
    parser.add_argument("--seeds", type=int, required=True)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--table")
    options = parser.parse_args()
    of = commit()       # as it is now: others may commit meanwhile
    first = options.seed or random.SystemRandom().randrange(1 << 32, 1 << 62)
    run = subprocess.run(
        [options.sim, "--seed", str(first), "--seeds", str(options.seeds), "--jobs",
         str(options.jobs)], capture_output=True, text=True, check=False)
    text = run.stdout
    print(text[-6000:] if run.returncode else text, end="")
    if run.returncode not in (0, 1) or not re.search(r"^exercised", text, re.M):
        print(run.stderr, file=sys.stderr)
        return 2
    if options.table:
        counts = text[text.index("exercised"):]
        # Both runs of a seed are counted there.
        row = [of, first, number(text, "seeds from"), int(run.returncode != 0),
               *(number(counts, what) // 2 for what in (
                   "updates answered", "crashes", "takeovers", "excused losses",
                   "forced by the operator"))]
        new = not os.path.exists(options.table)
        with open(options.table, "a") as file:
            file.write((HEAD if new else "") + "\t".join(map(str, row)) + "\n")
        with open(options.table) as file:
            rows = [line.split("\t") for line in file.read().splitlines()[1:]]
        good = sum(int(row[2]) for row in rows if row[3] == "0")
        print(f"{good} seeds in long runs that passed; {sum(int(r[3]) for r in rows)} runs failed")
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
