# SPDX-License-Identifier: BSD-3-Clause
"""What the end-to-end tests share: a laboratory per test, load on it, and what must hold after it.

Waiting is on status and counters with a deadline; log text is never read. Exit code 77 when
everything was skipped. SEED=N repeats the random choices of a run.
"""
import collections
import csv
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "deploy"))
sys.path.insert(0, os.path.join(ROOT, "client", "python"))
from standfast_lab import host, network                     # noqa: E402
from standfast_lab.pair import Lab                          # noqa: E402
from standfast_lab.process import LabError, wait_for        # noqa: E402

__all__ = ["Lab", "LabError", "LabTest", "Bench", "network", "wait_for", "need_root", "full",
           "main", "note", "SEED", "BENCH_S"]

SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1, 1 << 31))
BENCH_S = 300           # after that a load counts as stuck
TABLE = os.path.join(ROOT, "tests", "e2e", "soak.tsv")


def full():
    """True in a long run (tests/run --full)."""
    return os.environ.get("STANDFAST_TESTS") == "full"


def need_root():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root for network namespaces")


def note(form, result, acknowledged, done):
    """A line of soak.tsv for a long run, "good" or not; says the sums of the good ones. done: how
    often each thing happened."""
    commit = subprocess.run(["git", "-C", ROOT, "log", "-1", "--format=%h"],
                            capture_output=True, text=True, check=False).stdout.strip()
    words = ",".join(f"{kind}={count}" for kind, count in sorted(done.items()))
    row = [commit or "unknown", time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()), str(SEED), form,
           result, str(acknowledged), words]
    sums = collections.Counter()
    with open(TABLE, "a+", newline="") as file:
        fcntl.flock(file, fcntl.LOCK_EX)        # several may run
        if file.tell() == 0:
            file.write("commit\tdate\tseed\tform\tresult\tacknowledged\tdone\n")
        file.write("\t".join(row) + "\n")
        file.seek(0)
        for line in csv.DictReader(file, delimiter="\t"):
            if line["result"] == "good":
                sums["acknowledged"] += int(line["acknowledged"])
                for item in filter(None, line["done"].split(",")):
                    kind, _, count = item.partition("=")
                    sums[kind] += int(count)
    print("sums:", ", ".join(f"{count} {kind}" for kind, count in sorted(sums.items())), flush=True)


class Bench:
    """A standfast-bench that runs beside the test; check() waits for it and judges it."""

    def __init__(self, test, lab, *arguments):
        self.test = test
        if "--drain" not in arguments:
            # A shared disk was seen to take ten seconds for a sync.
            arguments = (*arguments, "--drain", "60s")
        self.process = subprocess.Popen(
            lab.bench_command("--json", "--seed", SEED, *arguments),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        test.addCleanup(self._end)

    def _end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def running(self):
        return self.process.poll() is None

    def stop(self):
        """Asks for the end: what is under way is waited for, then comes the ledger's check."""
        self.process.send_signal(signal.SIGINT)

    def summary(self):
        """What it says at its end, whatever it is."""
        out, errors = self.process.communicate(timeout=BENCH_S)
        self.test.assertTrue(out, errors)
        return json.loads(out)

    def check(self):
        """Every request answered, every answer kept, none twice; the summary."""
        out, errors = self.process.communicate(timeout=BENCH_S)
        where = f"standfast-bench, exit {self.process.returncode}: {errors}\n{out}"
        self.test.assertEqual(self.process.returncode, 0, where)
        result = json.loads(out)
        for key in ("lost_after_ack", "applied_twice", "wrong_values", "wrong_order", "unknown",
                    "undecided", "unchecked_assets", "stale_reads", "differing_repeats",
                    "bad_request", "forgotten", "bad_answers"):
            self.test.assertEqual(result[key], 0, f"{key}: {where}")
        self.test.assertEqual(result["sent"], result["answered"], where)
        self.test.assertTrue(result["ledger"] and result["promises_kept"], where)
        return result


def _not_zero(tree):
    """The numbers of a tree of counters that say something."""
    if isinstance(tree, dict):
        kept = {key: _not_zero(value) for key, value in tree.items()}
        return {key: value for key, value in kept.items() if value}
    return tree


class LabTest(unittest.TestCase):
    """A test with a laboratory of its own, gone afterwards; its logs are shown when it failed."""

    exit_codes = ()         # that a dataplane may have at the end, besides 0

    def lab_dir(self):
        directory = tempfile.mkdtemp(prefix="sf-", dir="/tmp")
        self.addCleanup(shutil.rmtree, directory, True)
        return directory

    def make_lab(self, **options):
        """A paired lab."""
        lab = self.prepare_lab(**options)
        lab.start()
        return lab

    def prepare_lab(self, **options):
        """Configuration and network of a lab; nothing runs yet."""
        lab = Lab(self.lab_dir())
        self.addCleanup(self._take_down, lab)
        lab.prepare(relay_seed=SEED, **options)
        return lab

    def _take_down(self, lab):
        result = getattr(self._outcome, "result", None)
        bad = result and any(test is self for test, _ in result.failures + result.errors)
        if bad or not getattr(self._outcome, "success", True):
            try:
                self._show(lab)
            except (LabError, OSError, ValueError, subprocess.SubprocessError) as error:
                print(f"--- nothing to show: {error}", file=sys.stderr)
        lab.down()
        # None: another process's child, or never started; a test may have killed it.
        for node in lab.nodes.values():
            self.assertIn(node.dataplane.exit_code, (None, 0, -signal.SIGKILL, *self.exit_codes),
                          f"end of {node.dataplane.name}")

    @staticmethod
    def _show(lab):
        print(f"--- {lab.dir}, SEED={SEED}\n{lab.modes_text()}", file=sys.stderr)
        for node in lab.nodes.values():
            try:
                print(f"--- counters of {node.name}: {_not_zero(node.counters())}", file=sys.stderr)
                print(f"--- status of {node.name}: {node.status()}", file=sys.stderr)
            except (LabError, OSError, ValueError, subprocess.SubprocessError) as error:
                print(f"--- no counters of {node.name}: {error}", file=sys.stderr)
        try:
            print(f"--- relay: {_not_zero(lab.tell_relay('stats'))}", file=sys.stderr)
        except (LabError, OSError, ValueError, subprocess.SubprocessError) as error:
            print(f"--- no figures of the relay: {error}", file=sys.stderr)
        for process in (*lab.a.processes(), *lab.b.processes(), lab.relay):
            if os.path.exists(process.log):
                with open(process.log, errors="replace") as file:
                    print(f"--- {process.log}\n{file.read()[-3000:]}", file=sys.stderr)

    def load(self, lab, *arguments):
        """Runs a load to its end and checks it."""
        return Bench(self, lab, *arguments).check()

    def wait(self, what, check, seconds=20):
        return wait_for(what, seconds, check)

    def wait_status(self, node, seconds=20, **wanted):
        """Until the node's status has these values; "reason" is last_change's."""
        def fits():
            status = node.status()
            if not status:
                return None
            seen = {**status, "reason": status["last_change"]["reason"]}
            return status if all(seen[key] == value for key, value in wanted.items()) else None
        return wait_for(f"{node.name} with {wanted}", seconds, fits)

    def assert_level(self, lab):
        """Both nodes hold the same at the same sequence; that sequence."""
        sequence, digest_a, digest_b = lab.digests()
        self.assertEqual(digest_a, digest_b, f"at sequence {sequence}, SEED={SEED}")
        return sequence


def main():
    print(f"SEED={SEED}", flush=True)
    with host.without_autogroup():
        program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    if result.testsRun and len(result.skipped) == result.testsRun:
        print("skipped:", result.skipped[0][1])
        sys.exit(77)
    sys.exit(not result.wasSuccessful())
