#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""standfast-bench over real memif ports, against fake nodes in another process.

test_bench_memif.py load|instructions BENCH FAKE_PAIR

load: open and closed loop, batches, reads, a first address that is not the primary's; every answer
checked, every checksum right. instructions: what one request costs the load generator in user space,
counted by callgrind, with its port and all its polling.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

LIMIT_S = 120
# Requests in a datagram, and the most instructions that each may cost. With one in a datagram the
# memif driver alone takes about 190.
MOST_INSTRUCTIONS = {20: 400, 1: 620}
UPDATES, RUNS = 50000, 3


class Pair:
    """Two fake nodes; the second one is the primary when turned."""

    def __init__(self, program, folder, turned=False):
        self.sockets = [os.path.join(folder, name) for name in ("a", "b")]
        order = [(self.sockets[0], "10.77.0.1"), (self.sockets[1], "10.77.0.2")]
        if turned:
            order.reverse()
        self.process = subprocess.Popen(
            [program, *order[0], *order[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True)
        for line in self.process.stdout:
            if line == "ready\n":
                return
        raise RuntimeError("the fake nodes did not start")

    def close(self):
        """True when they ended well; they look at every checksum."""
        try:
            out, _ = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, _ = self.process.communicate()
        print("fake nodes:", out.strip())
        return self.process.returncode == 0


def run_bench(command, sockets, arguments):
    result = subprocess.run(
        command + ["--to", "memif:" + ",".join(sockets), "--json"] + arguments,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S)
    print(" ".join(arguments), "->", result.returncode)
    print(result.stderr.strip())
    summary = json.loads(result.stdout) if result.stdout else {}
    return result, summary


def check_load(bench, program):
    failures = 0
    for turned, arguments, expected in (
            (False, ["--outstanding", "1", "--updates", "2000"], {"acked": 2000}),
            (True, ["--outstanding", "256", "--updates", "50000", "--assets", "500"],
             {"acked": 50000, "sessions": 4}),
            (False, ["--outstanding", "64", "--batch", "20", "--updates", "50000",
                     "--reads", "10"], {"answered": 50000, "stale_reads": 0}),
            (True, ["--rate", "5K", "--duration", "500ms"], {"sent": 2500, "acked": 2500})):
        with tempfile.TemporaryDirectory() as folder:
            pair = Pair(program, folder, turned)
            try:
                result, summary = run_bench([bench], pair.sockets, arguments)
            finally:
                good = pair.close()
        expected = dict(expected, lost_after_ack=0, applied_twice=0, wrong_values=0,
                        unchecked_assets=0, unanswered=0, bad_answers=0)
        wrong = {key: summary.get(key) for key, value in expected.items()
                 if summary.get(key) != value}
        if result.returncode != 0 or not good or wrong:
            print("FAILED:", wrong)
            failures += 1
    return 1 if failures else 0


def instructions_of(bench, program, updates, batch):
    """Of the load alone: not the start, the reads before and after, the check."""
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(program, folder)
        try:
            # The fair scheduler lets the driver's own thread connect while we poll.
            result, summary = run_bench(
                ["valgrind", "--tool=callgrind", "--fair-sched=yes",
                 "--callgrind-out-file=" + os.environ.get("CALLGRIND_OUT", "/dev/null"),
                 "--toggle-collect=bench_engine_load", bench],
                pair.sockets,
                ["--no-hugepages", "--outstanding", "256", "--batch", str(batch), "--updates", str(updates),
                 "--timeout", "10s", "--drain", "100s"])
        finally:
            pair.close()
        if result.returncode != 0 or summary.get("acked") != updates:
            return None
        return int(re.search(r"Collected : (\d+)", result.stderr).group(1))


def least_instructions(bench, program, batch, enough):
    """The least of a few runs: polls while the nodes' process does not run count as well."""
    least = None
    for _ in range(RUNS):
        count = instructions_of(bench, program, UPDATES, batch)
        if count is None:
            return None
        least = count / UPDATES if least is None else min(least, count / UPDATES)
        if least <= enough:
            break
    return least


def check_instructions(bench, program):
    if not shutil.which("valgrind"):
        print("skipped: no valgrind")
        return 77
    failures = 0
    for batch, most in MOST_INSTRUCTIONS.items():
        try:
            each = least_instructions(bench, program, batch, most)
        except subprocess.TimeoutExpired:
            print(f"skipped: valgrind did not end in {LIMIT_S} s, the machine is too busy")
            return 77
        if each is None:
            print("FAILED: the load went wrong under valgrind")
            return 1
        print(f"{batch} in a datagram: {each:.0f} instructions a request, at most {most}")
        failures += each > most
    return 1 if failures else 0


if __name__ == "__main__":
    check = {"load": check_load, "instructions": check_instructions}[sys.argv[1]]
    sys.exit(check(os.path.abspath(sys.argv[2]), os.path.abspath(sys.argv[3])))
