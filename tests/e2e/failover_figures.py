#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Figures of failover, as a client sees it: how long nobody answers beyond the detection window, with
few and with many assets; how fast a node catches up, and what that costs the others; and that two
hogged CPUs make no takeover. Adds its lines to failover.tsv in a long run.

    failover_figures.py [Takeover|CatchUp|Hogs]      FIGURES_KILLS=100 FIGURES_S=1200 by hand
"""
import array
import bisect
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import lab

TABLE = os.path.join(lab.ROOT, "tests", "e2e", "failover.tsv")
KILLS = int(os.environ.get("FIGURES_KILLS") or (100 if lab.full() else 3))
HOGGED_S = float(os.environ.get("FIGURES_S") or (1200 if lab.full() else 30))
PAIR_S = 90
HEARTBEAT_MS, WINDOW_MS = 100, 1000 + 200       # of the lab: silence, and the standby's delay
RETRY_MS = 20                                   # of the client
RATE = 2000
UNITS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}


def share(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def note(figure, **values):
    """A line of the table: what was measured, where, and with which commit."""
    commit = subprocess.run(["git", "-C", lab.ROOT, "log", "-1", "--format=%h"],
                            capture_output=True, text=True, check=False).stdout.strip()
    if not (lab.full() or "FIGURES_KILLS" in os.environ or "FIGURES_S" in os.environ):
        return
    new = not os.path.exists(TABLE)
    with open(TABLE, "a") as file:
        if new:
            file.write("commit\tdate\tseed\tload_average\tfigure\tvalues\n")
        words = " ".join(f"{key}={value}" for key, value in values.items())
        file.write("\t".join([commit or "unknown", time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
                              str(lab.SEED), f"{os.getloadavg()[0]:.1f}", figure, words]) + "\n")


class Trace:
    """Every answered request of a load: when it was due, when its answer came (unix ns)."""

    def __init__(self, folder):
        self.due, self.answered = array.array("q"), array.array("q")
        with open(os.path.join(folder, "trace.csv")) as file:
            next(file)
            for line in file:
                due, answered = line.split(",")
                self.due.append(int(due))
                self.answered.append(int(answered))
        self.times = array.array("q", sorted(self.answered))

    def gap_ms(self, since_ns, until_ns):
        """The longest time without an answer that begins in this interval."""
        first = max(1, bisect.bisect_left(self.times, since_ns))
        last = bisect.bisect_right(self.times, until_ns)
        return max(self.times[i] - self.times[i - 1] for i in range(first, last + 1)
                   if i < len(self.times)) / 1e6

    def latencies_us(self, since_ns, until_ns):
        """Of the requests that were due in this interval."""
        return [(answered - due) / 1e3 for due, answered in zip(self.due, self.answered)
                if since_ns <= due < until_ns]


class Figures(lab.LabTest):
    def setUp(self):
        self.dice = random.Random(lab.SEED)

    def traced(self, pair, *arguments):
        """A load whose every request is written down; .trace() after its end."""
        folder = tempfile.mkdtemp(prefix="sf-trace-", dir="/tmp")
        self.addCleanup(lab.shutil.rmtree, folder, True)
        bench = lab.Bench(self, pair, *arguments, "--trace", "--out", folder, "--drain", "90s")
        bench.trace = lambda: Trace(folder)
        return bench

    @staticmethod
    def both(pair):
        primary = pair.wait_primary(PAIR_S)
        return primary, pair.nodes["b" if primary.name == "a" else "a"]

    @staticmethod
    def begin(node):
        node.start_dataplane()
        node.start_control()
        node.wait_running()


def median_ms(work, count=41):
    times = []
    for _ in range(count):
        begin = time.monotonic_ns()
        work()
        times.append((time.monotonic_ns() - begin) / 1e6)
    return statistics.median(times)


def syncs_ms(folder):
    """Log and role record made durable: two writes of 4 KiB, one after the other."""
    with open(os.path.join(folder, "probe"), "wb", buffering=0) as file:
        def two():
            for _ in range(2):
                file.seek(0)
                file.write(b"\0" * 4096)
                os.fdatasync(file.fileno())
        return median_ms(two)


def exchange_ms(pair):
    """One compare-and-set, done as that arbiter does it."""
    if pair.options["arbiter"] == "etcd":
        body = json.dumps({"compare": [{"key": "cHJvYmU=", "target": "VALUE", "value": "eA=="}],
                           "success": [{"request_put": {"key": "cHJvYmU=", "value": "eA=="}}],
                           "failure": [{"request_put": {"key": "cHJvYmU=", "value": "eA=="}}]})

        def once():
            urllib.request.urlopen(pair.options["etcd"] + "/v3/kv/txn", body.encode(), 5).read()
    else:
        def once():
            path = os.path.join(pair.dir, "probe")
            with open(path + "~", "wb", buffering=0) as file:
                file.write(b"\0" * 200)
                os.fsync(file.fileno())
            os.rename(path + "~", path)
            folder = os.open(pair.dir, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    return median_ms(once)


class Takeover(Figures):
    def kills(self, pair, count, assets):
        """How long nobody answered each time, in ms, beyond the detection window."""
        before = pair.wait_primary().status()["sequence"]
        bench = self.traced(pair, "--rate", RATE, "--assets", assets, "--duration",
                            f"{60 + 20 * count}s")
        self.wait("load", lambda: pair.wait_primary().status()["sequence"] > before + 500)
        moments = []
        for _ in range(count):
            pair.wait_paired(PAIR_S)
            time.sleep(self.dice.uniform(0.3, 0.8))
            primary, standby = self.both(pair)
            moments.append(time.time_ns())
            primary.kill()
            self.wait("takeover", standby.is_primary, PAIR_S)
            time.sleep(0.3)
            self.assertTrue(bench.running(), "the load ended")
            self.begin(primary)
        pair.wait_paired(PAIR_S)
        bench.stop()
        bench.check()
        self.assert_level(pair)
        trace = bench.trace()
        # It begins with the kill: what stalls later, and the next kill, are other gaps.
        return [trace.gap_ms(moment - 50_000_000, moment + 300_000_000) - WINDOW_MS
                for moment in moments]

    def goal_ms(self, pair):
        """Issue 5: two heartbeats, a client's retry, a compare-and-set, log and record synced."""
        return 2 * HEARTBEAT_MS + RETRY_MS + exchange_ms(pair) + syncs_ms(pair.dir)

    def say(self, name, beyond, goal, **more):
        figures = {"kills": len(beyond), "window_ms": WINDOW_MS, "goal_ms": f"{goal:.1f}",
                   "p50_ms": f"{share(beyond, 50):.1f}", "p90_ms": f"{share(beyond, 90):.1f}",
                   "max_ms": f"{max(beyond):.1f}", **more}
        print(f"{name}: " + ", ".join(f"{k} {v}" for k, v in figures.items()), flush=True)
        note(name, **figures, all_ms=",".join(f"{value:.1f}" for value in beyond))

    def measure(self, arbiter, kills):
        pair = self.make_lab(arbiter=arbiter)
        goal = self.goal_ms(pair)
        beyond = self.kills(pair, kills, 1000)
        self.say(f"takeover, {arbiter}", beyond, goal)
        # A machine with others on it stalls; the long form has enough kills for a median.
        self.assertLessEqual(share(beyond, 50), goal if kills >= 20 else 10 * goal)

    def test_the_client_waits_little_longer_than_the_detection_window(self):
        self.measure("file", KILLS)

    @unittest.skipUnless(lab.full() and lab.shutil.which("etcd"), "long form, and needs etcd")
    def test_the_same_with_etcd(self):
        self.measure("etcd", max(3, KILLS // 4))

    @unittest.skipUnless(lab.full(), "long form only")
    def test_with_a_million_assets_it_lasts_as_long_as_with_a_thousand(self):
        found = {}
        for assets in (1000, 1_000_000):
            pair = self.make_lab(assets_max=1 << 21, memory="512 MiB")
            self.load(pair, "--updates", 4 * max(assets, 250_000), "--assets", assets,
                      "--outstanding", 1024, "--batch", 16)
            known = pair.a.counters()["node"]["assets"]
            self.assertGreater(known, assets * 9 // 10)
            goal = self.goal_ms(pair)
            found[assets] = self.kills(pair, max(3, KILLS // 5), assets)
            self.say(f"takeover, {assets} assets", found[assets], goal, assets=known)
            for process in (*pair.a.processes(), *pair.b.processes(), pair.relay):
                process.stop()
        few, many = (share(found[assets], 50) for assets in (1000, 1_000_000))
        whole = (many + WINDOW_MS) / (few + WINDOW_MS)
        print(f"takeover: a million assets over a thousand: {whole:.2f}, beyond the window "
              f"{many:.1f} over {few:.1f} ms", flush=True)
        # Last to first answer. Beyond the window it is a sync or two, and one disk has stalls of its
        # own: that part is reported.
        self.assertLessEqual(whole, 1.2)


class CatchUp(Figures):
    """The link's own log is not to be swept meanwhile, or a snapshot would take its place."""

    def test_a_node_that_returns_is_faster_than_the_load_and_costs_it_little(self):
        self.measure("catch-up")

    @unittest.skipUnless(lab.full(), "long form only")
    def test_the_same_with_logs_in_memory(self):
        """Both nodes' logs share one disk here, as they would not: this leaves the CPUs."""
        folder = tempfile.mkdtemp(prefix="sf-", dir="/dev/shm")
        self.addCleanup(lab.shutil.rmtree, folder, True)
        self.lab_dir = lambda: folder
        self.measure("catch-up, no disk")

    @unittest.skipUnless(lab.full() and (os.cpu_count() or 1) >= 2, "long form, and needs two CPUs")
    def test_the_same_with_a_cpu_for_the_primary_and_its_client(self):
        """On two CPUs for six processes the learner takes the primary's; here it cannot, as on two
        hosts."""
        folder = tempfile.mkdtemp(prefix="sf-", dir="/dev/shm")
        self.addCleanup(lab.shutil.rmtree, folder, True)
        self.lab_dir = lambda: folder
        before = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, before)
        self.measure("catch-up, own CPU", apart=True)

    @staticmethod
    def keep_to(process, cpu):
        """All threads of a process; what they start later too."""
        for thread in os.listdir(f"/proc/{process.pid()}/task"):
            os.sched_setaffinity(int(thread), {cpu})

    def keep_apart(self, pair, primary):
        """The primary's data path and every load (this process's children) on CPU 0."""
        os.sched_setaffinity(0, {0})
        for process in (*pair.a.processes(), *pair.b.processes(), pair.relay):
            if process.pid():
                self.keep_to(process, 0 if process is primary.dataplane else 1)

    def measure(self, name, apart=False):
        pair = self.make_lab(snapshot_interval="600 s")
        if apart:
            self.keep_apart(pair, pair.wait_primary(PAIR_S))
        most = self.load(pair, "--outstanding", 256, "--duration", "2s")["rate"]
        live = int(most / 10)
        normal = self.load(pair, "--rate", live, "--duration", "3s")
        primary, standby = self.both(pair)
        standby.kill()
        self.wait_status(primary, mode="alone")
        alone = self.load(pair, "--rate", live, "--duration", "3s")
        missed = 3_000_000 if lab.full() else 600_000
        self.load(pair, "--updates", missed, "--outstanding", 1024, "--batch", 16)
        bench = self.traced(pair, "--rate", live, "--duration", "600s")
        time.sleep(1)
        before = primary.counters()["sequencer"]["core_entries_sent"]
        if apart:
            os.sched_setaffinity(0, {1})
        self.begin(standby)
        rate, since, until = self.watch(primary, standby)
        pair.wait_paired(PAIR_S)
        sent = primary.counters()["sequencer"]["core_entries_sent"] - before
        extra = standby.counters()["sequencer"]["core_entries_duplicate"]
        bench.stop()
        bench.check()
        self.assert_level(pair)
        during = bench.trace().latencies_us(since, until)
        self.say(name, most, live, rate, normal, alone, during, entries_sent=sent,
                 duplicates=extra, seconds=f"{(until - since) / 1e9:.2f}")

    def watch(self, primary, standby):
        """Entries a second that the learner gains; from when until when, in unix ns."""
        seen = []

        def over():
            status = standby.status()
            if status["mode"] in ("learner", "standby"):
                seen.append((time.time_ns(), status["sequence"]))
            return status["mode"] == "standby"
        lab.wait_for("the learner", PAIR_S, over, interval=0.03)
        # Until it is close: what is left then is the live load.
        end = primary.status()["sequence"]
        goal = seen[-1][1] - (end - seen[0][1]) // 20
        last = next(i for i, (_, sequence) in enumerate(seen) if sequence >= goal)
        (since, first), (until, reached) = seen[0], seen[max(last, 1)]
        return (reached - first) * 1e9 / (until - since), since, until

    def say(self, name, most, live, rate, normal, alone, during, **more):
        p50, p99 = share(during, 50), share(during, 99)
        figures = {
            "most_a_second": f"{most:.0f}", "live_a_second": live, "catch_up_a_second":
            f"{rate:.0f}", "over_live": f"{rate / live:.1f}", **more,
            "p50_us": f"{p50:.0f}", "p99_us": f"{p99:.0f}",
            "p50_paired_us": f"{normal['p50_ns'] / 1e3:.0f}",
            "p99_paired_us": f"{normal['p99_ns'] / 1e3:.0f}",
            "p50_alone_us": f"{alone['p50_ns'] / 1e3:.0f}",
            "p99_alone_us": f"{alone['p99_ns'] / 1e3:.0f}",
            "p50_over_paired": f"{p50 / (normal['p50_ns'] / 1e3):.2f}",
            "p50_over_alone": f"{p50 / (alone['p50_ns'] / 1e3):.2f}"}
        # A lone primary answers from its disk (R3), a paired one from memory: the first compares
        # like with like.
        figures["goal"] = "met" if rate >= 3 * live and p50 <= 1.5 * alone["p50_ns"] / 1e3 \
            else "MISSED"
        print(f"{name}: " + ", ".join(f"{k} {v}" for k, v in figures.items()), flush=True)
        note(name, **figures)
        # Short and on a shared machine it only says that the standby gets there.
        self.assertGreaterEqual(rate, (3 if lab.full() else 1) * live)


class Hogs(Figures):
    def hog(self):
        """Both CPUs are busy with something else, at the same priority."""
        for _ in range(os.cpu_count()):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            self.addCleanup(lambda process=process: (process.kill(), process.wait()))

    def worst_gap_ms(self, rounds):
        """As `standfast doctor` finds it."""
        program = lab.Lab(self.lab_dir()).programs["standfast"]
        worst = 0.0
        for _ in range(rounds):
            said = subprocess.run([program, "doctor"], capture_output=True, text=True, timeout=60,
                                  check=False, cwd="/tmp",
                                  env={**os.environ, "STANDFAST_CONFIG": ""}).stdout
            found = re.search(r"stopped for at most ([\d.]+) (\S+) in", said)
            self.assertTrue(found, said)
            worst = max(worst, float(found[1]) * UNITS[found[2]])
        return worst

    def test_hogged_cpus_make_no_takeover(self):
        self.hog()
        gap_ms = self.worst_gap_ms(20 if lab.full() else 3)
        misses = min(1000, max(2, -int(-3 * gap_ms // 10)))
        pair = self.make_lab(heartbeat_interval="10 ms", heartbeat_misses=misses)
        epoch = pair.a.status()["epoch"]
        bench = lab.Bench(self, pair, "--rate", 500, "--duration", "7200s")
        end = time.monotonic() + HOGGED_S
        while time.monotonic() < end:
            time.sleep(1)
            for node in pair.nodes.values():
                self.assertEqual(node.status()["epoch"], epoch, f"{node.name}, window of {misses} x"
                                 f" 10 ms, worst gap {gap_ms:.0f} ms")
        bench.stop()
        result = bench.check()
        rounds = [node.counters()["lcore.0"]["longest_round_ns"] / 1e6
                  for node in pair.nodes.values()]
        blocked = [node.counters()["sequencer"]["core_times_blocked"]
                   for node in pair.nodes.values()]
        figures = {"seconds": f"{HOGGED_S:.0f}", "worst_gap_ms": f"{gap_ms:.1f}",
                   "window_ms": 10 * misses, "role_changes": 0, "blocked": sum(blocked),
                   "longest_round_ms": f"{max(rounds):.0f}",
                   "longest_gap_ms": f"{result['longest_gap_ns'] / 1e6:.0f}"}
        print("hogs: " + ", ".join(f"{k} {v}" for k, v in figures.items()), flush=True)
        note("hogs", **figures)


if __name__ == "__main__":
    lab.main()
