#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A pair under load to which things happen: kills, pauses longer than the window, cuts, an arbiter
that is away, processes and single threads that stand still, total restarts in every order. One seed
draws the plan.

The judge is the load generator's ledger, kept outside both nodes, and at the end both nodes' digests.
A long run adds a line to soak.tsv.
"""
import collections
import os
import random
import subprocess
import time

import lab

QUICK_S, FULL_S = 45, 1200
RATE = 4000
LOAD = ["--rate", RATE, "--timeout", "100ms", "--drain", "90s", "--assets", 400]
WINDOW_S = 1.2              # of the lab: ten heartbeats of 100 ms, and the standby's delay
PAIR_S = 90                 # a shared disk was seen to take ten seconds for a sync
TABLE = os.path.join(lab.ROOT, "tests", "e2e", "soak.tsv")
# CHAOS_KINDS="kill_primary cut_one" and CHAOS_S=120 by hand: only these, for so long.
KINDS = ("kill_primary", "kill_standby", "kill_both", "kill_all_orders", "pause_primary",
         "pause_standby", "cut_both", "cut_one", "arbiter_away", "kill_control", "switchover",
         "stop_node")


def duration_s():
    return float(os.environ.get("CHAOS_S") or (FULL_S if lab.full() else QUICK_S))


class Chaos(lab.LabTest):
    def setUp(self):
        self.dice = random.Random(lab.SEED)
        self.done = collections.Counter()
        self.said = []

    # --- what can happen ---

    def both(self, pair):
        """(primary, standby); waits until there are both."""
        primary = pair.wait_primary(PAIR_S)
        return primary, pair.nodes["b" if primary.name == "a" else "a"]

    def kill(self, node):
        processes = node.processes()
        self.dice.shuffle(processes)
        for process in processes:
            process.kill()

    def start(self, *nodes):
        for node in nodes:
            node.start_dataplane()
            node.start_control()
        for node in nodes:
            node.wait_running()

    def kill_primary(self, pair):
        primary, _ = self.both(pair)
        self.kill(primary)
        time.sleep(self.dice.choice([0, 0.2, WINDOW_S, 2 * WINDOW_S]))
        self.start(primary)

    def kill_standby(self, pair):
        _, standby = self.both(pair)
        self.kill(standby)
        time.sleep(self.dice.choice([0, 0.2, WINDOW_S, 2 * WINDOW_S]))
        self.start(standby)

    def kill_both(self, pair):
        nodes = list(pair.nodes.values())
        self.dice.shuffle(nodes)
        for node in nodes:
            self.kill(node)
        self.dice.shuffle(nodes)
        self.start(*nodes)

    def kill_all_orders(self, pair):
        """A total restart: the last primary first, last, or both at once."""
        primary, standby = self.both(pair)
        first, second = self.dice.choice([(primary, standby), (standby, primary)])
        self.kill(primary)
        self.kill(standby)
        self.start(first)
        time.sleep(self.dice.choice([0.5, WINDOW_S]))
        self.start(second)
        if first is standby:
            self.done["stale_first"] += 1

    def pause_primary(self, pair):
        """A zombie: it wakes up when the other one serves."""
        primary, _ = self.both(pair)
        primary.pause()
        time.sleep(self.dice.uniform(WINDOW_S, 3 * WINDOW_S))
        primary.resume()

    def pause_standby(self, pair):
        _, standby = self.both(pair)
        standby.pause()
        time.sleep(self.dice.uniform(0.1, 2 * WINDOW_S))
        standby.resume()

    def cut(self, pair, way):
        pair.tell_relay("cut " + way)
        time.sleep(self.dice.choice([0.3, WINDOW_S, 3 * WINDOW_S]))
        pair.tell_relay("heal")

    def cut_both(self, pair):
        self.cut(pair, "both")

    def cut_one(self, pair):
        self.cut(pair, self.dice.choice(["a-b", "b-a"]))

    def arbiter_away(self, pair):
        """Its folder is not to be read, while a node dies or the link is cut."""
        folder = os.path.join(pair.dir, "arbiter")
        os.rename(folder, folder + ".away")
        try:
            self.dice.choice([self.kill_primary, self.kill_standby, self.cut_both])(pair)
            time.sleep(self.dice.uniform(0, WINDOW_S))
        finally:
            os.rename(folder + ".away", folder)

    def kill_control(self, pair):
        node = self.dice.choice(list(pair.nodes.values()))
        node.control.kill()
        time.sleep(self.dice.choice([0, 0.5]))
        node.start_control()

    def switchover(self, pair):
        primary, _ = self.both(pair)
        subprocess.run([pair.programs["standfast"], "switchover", "-c", primary.config],
                       capture_output=True, timeout=30, check=False)

    def stop_node(self, pair):
        """In good order."""
        node = self.dice.choice(list(pair.nodes.values()))
        node.stop()
        time.sleep(self.dice.choice([0, 0.5]))
        self.start(node)

    # --- the plan ---

    def wait_whole(self, pair, bench):
        try:
            pair.wait_paired(PAIR_S)
        except lab.LabError as error:
            self.fail(f"{error}\nafter {self.said[-5:]}, SEED={lab.SEED}")
        self.assertTrue(bench.running(), f"the load ended after {self.said[-5:]}")

    def rounds(self, pair, bench, kinds, end):
        while time.monotonic() < end:
            time.sleep(self.dice.uniform(0.1, 1.0))
            kind = self.dice.choice(kinds)
            self.said.append(kind)
            getattr(self, kind)(pair)
            self.done[kind] += 1
            self.wait_whole(pair, bench)

    def chaos(self, name, kinds, seconds, **options):
        kinds = os.environ.get("CHAOS_KINDS", "").split() or kinds
        pair = self.make_lab(**options)
        bench = lab.Bench(self, pair, *LOAD, "--duration", "7200s")
        self.wait("load", lambda: pair.wait_primary().status()["sequence"] > 1000)
        self.rounds(pair, bench, kinds, time.monotonic() + seconds)
        bench.stop()
        result = bench.check()
        self.assert_level(pair)
        what = ", ".join(f"{count} {kind}" for kind, count in sorted(self.done.items()))
        print(f"{name}: {result['acked']} acknowledged, 0 lost, 0 twice, longest gap "
              f"{result['longest_gap_ns'] / 1e6:.0f} ms; {what}", flush=True)
        if lab.full():
            self.note(name, result["acked"])

    def note(self, name, acked):
        commit = subprocess.run(["git", "-C", lab.ROOT, "log", "-1", "--format=%h"],
                                capture_output=True, text=True, check=False).stdout.strip()
        new = not os.path.exists(TABLE)
        with open(TABLE, "a") as file:
            if new:
                file.write("\t".join(["commit", "seed", "form", "acknowledged", "lost", "twice",
                                      *KINDS, "stale_first"]) + "\n")
            counts = [str(self.done[kind]) for kind in (*KINDS, "stale_first")]
            file.write("\t".join([commit or "unknown", str(lab.SEED), name, str(acked), "0", "0",
                                  *counts]) + "\n")

    def test_everything_with_durable_acknowledgements_and_the_file_arbiter_nothing_is_lost(self):
        self.chaos("durable, file", KINDS, duration_s() / 2, ack="durable")

    def test_one_node_at_a_time_with_received_acknowledgements_nothing_is_lost(self):
        one = [kind for kind in KINDS if kind not in ("kill_both", "kill_all_orders")]
        self.chaos("received, file", one, duration_s() / 2, workers_b=2)


if __name__ == "__main__":
    lab.main()
