#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Scenarios on real pairs with real DNS: standfast-pipeline run S --live, its exit and its figures.

The usual form runs seven of them, STANDFAST_TESTS=full all, and the long runs. A figure that must not
be (a row lost by a synchronous pair, a record that arrived twice) fails the test whatever the program
says of itself.
"""
import json
import os
import signal
import subprocess
import sys
import time
import unittest

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), *[".."] * 3))
sys.path.insert(0, os.path.join(ROOT, "deploy"))
from standfast_lab import host                              # noqa: E402

BUILD = os.environ.get("STANDFAST_BUILD") or os.path.join(ROOT, "build")
PROGRAM = os.path.join(BUILD, "tests", "pipeline", "standfast-pipeline")
FULL = os.environ.get("STANDFAST_TESTS") == "full"
RUN_S = 3600 if FULL else 240


def run(*arguments):
    """Exit code and the objects that it printed."""
    result = subprocess.run([PROGRAM, "run", *map(str, arguments), "--live", "--json"],
                            capture_output=True, text=True, timeout=RUN_S,
                            env={**os.environ, "STANDFAST_BUILD": BUILD})
    found = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return result.returncode, found, result.stdout + result.stderr


def traces(pid):
    """What a live run of this pid has made: folders, namespaces, processes."""
    name = f"sf-live-{pid}"
    found = [os.path.join("/tmp", name)] if os.path.exists(os.path.join("/tmp", name)) else []
    if os.path.isdir("/run/netns"):
        found += [entry for entry in os.listdir("/run/netns") if f"-live{pid}-" in entry]
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                if f"/{name}/".encode() in file.read():
                    found.append("process " + entry)
        except OSError:
            continue
    return found


@unittest.skipIf(os.geteuid() != 0, "needs root for network namespaces")
class LiveCase(unittest.TestCase):
    maxDiff = None

    def good(self, *arguments):
        """A run that is as it should be: each record once, no row lost that was not told."""
        code, found, text = run(*arguments)
        self.assertEqual(code, 0, text)
        runs = [one for one in found if "run" in one]
        self.assertTrue(runs, text)
        for one in runs:
            self.assertTrue(one["good"], text)
            self.assertEqual((one["arrived"], one["repeats"]), (one["records"], 0), text)
            self.assertGreater(one["dns_queries"], one["records"] - 1, text)
            self.assertGreaterEqual(one["writes"], 3 * one["records"], text)
        return runs

    def wait(self, check, text):
        end = time.monotonic() + 60
        while not check():
            self.assertLess(time.monotonic(), end, text)
            time.sleep(0.1)

    def planned(self, *arguments):
        for one in self.good(*arguments):
            self.assertEqual(one["rpo_rows"], 0)
            self.assertGreater(one["rto_ms"], 0)


class Live(LiveCase):
    def test_active_passive(self):
        runs = self.good("active-passive", "--runs", 2)
        self.assertEqual([pair["mode"] for pair in runs[0]["pairs"]], ["async"])

    def test_active_passive_failover(self):
        self.planned("active-passive-failover", "--batch", 300, "--runs", 2)

    def test_active_active(self):
        runs = self.good("active-active", "--batch", 100)
        self.assertEqual([pair["home"] for pair in runs[0]["pairs"]], [1, 2])

    def test_active_active_failover(self):
        self.planned("active-active-failover")

    def test_active_active_f2_kills_the_nodes_of_a_table(self):
        runs = self.good("active-active-f2")
        self.assertEqual(len(runs[0]["pairs"]), 4)
        self.assertGreater(runs[0]["refused"], 0)

    def test_workload1(self):
        runs = self.good("workload1")
        self.assertEqual([pair["mode"] for pair in runs[0]["pairs"]], ["paired"])

    def test_workload1_failover(self):
        self.planned("workload1-failover")

    # --- the judge ---

    def test_a_row_that_was_answered_and_never_written_is_found(self):
        code, found, text = run("active-passive", "--defect", "replicator-drops")
        self.assertEqual(code, 4, text)
        self.assertFalse(found[0]["good"])
        self.assertIn("does not stand", found[0]["verdict"])

    def test_a_queue_that_drops_is_found(self):
        code, found, text = run("active-passive", "--defect", "queue-drops", "--patience", 3)
        self.assertNotEqual(code, 0, text)
        self.assertFalse(found[0]["good"])

    def test_a_counter_example_is_skipped_and_says_why(self):
        result = subprocess.run([PROGRAM, "run", "switch-in-flight", "--live"],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 77, result.stdout + result.stderr)
        self.assertIn("skipped: ", result.stdout)

    # --- what is left behind ---

    def test_interrupted_or_killed_it_leaves_nothing(self):
        for number in (signal.SIGINT, signal.SIGKILL):
            with self.subTest(number):
                child = subprocess.Popen([PROGRAM, "run", "slow-component", "--live", "--batch",
                                          "1000"], stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL)
                self.addCleanup(child.kill)
                self.wait(lambda: len(traces(child.pid)) > 8, "nothing came up")
                child.send_signal(number)
                child.wait(timeout=90)
                self.wait(lambda: not traces(child.pid), "something is left")


@unittest.skipUnless(FULL, "the long form")
class Long(LiveCase):
    """All scenarios that live mode can run, and the long runs."""

    def test_the_others(self):
        for name in ("active-passive-f1", "active-passive-f2", "active-passive-f3",
                     "active-passive-f4", "active-passive-f5", "active-active-f1",
                     "active-active-f3", "active-active-f4", "active-active-f5", "workload1-f1",
                     "workload1-f2", "workload1-f3", "workload1-f4", "double-fault",
                     "slow-component", "switch-back", "node-fault", "unplanned-failover-majority"):
            with self.subTest(name):
                self.good(name, "--runs", 3)

    def test_a_hundred_failovers_of_ten_thousand_records(self):
        self.planned("active-passive-failover", "--batch", 10000, "--runs", 100)

    def test_fifty_lost_regions(self):
        self.good("unplanned-failover", "--batch", 1000, "--runs", 50)

    def test_fifty_lost_regions_of_synchronous_pairs_lose_no_row(self):
        for one in self.good("unplanned-failover", "--ack", "received", "--batch", 200,
                             "--runs", 50):
            self.assertEqual(one["rpo_rows"], 0)


if __name__ == "__main__":
    with host.without_autogroup():
        program = unittest.main(exit=False, verbosity=2)
    if program.result.testsRun and len(program.result.skipped) == program.result.testsRun:
        print("skipped:", program.result.skipped[0][1])
        sys.exit(77)
    sys.exit(not program.result.wasSuccessful())
