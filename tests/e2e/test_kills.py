#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Nodes that are killed under load and come back from their logs; when only one dies, the other one
goes on alone, whichever role it had.

The judge is the load generator's ledger, kept outside both nodes: what it saw acknowledged must be
there afterwards, once."""
import os
import random
import subprocess
import time

import lab

KILLS = 200 if lab.full() else 20
PERIOD_S = 1.5 if lab.full() else 1.0
# Answers that only the load's own patience decides: a node is away for seconds here.
RATE = 20000
STATUS_S = 0.002        # the memory file's status is so old at most, while the node runs
LOAD = ["--rate", RATE, "--timeout", "50ms", "--drain", "60s", "--assets", 500]


class Kills(lab.LabTest):
    def setUp(self):
        self.dice = random.Random(lab.SEED)

    def kill(self, nodes):
        """SIGKILL to all processes of these nodes, within a few milliseconds, in any order."""
        processes = [process for node in nodes for process in node.processes()]
        self.dice.shuffle(processes)
        for process in processes:
            process.kill()
            time.sleep(self.dice.random() * 0.003)

    def start(self, pair, nodes):
        nodes = list(nodes)
        self.dice.shuffle(nodes)
        for node in nodes:
            node.start_dataplane()
            node.start_control()
        for node in nodes:
            node.wait_running()
        pair.wait_paired()

    def rounds(self, pair, count, choose):
        """A load from the first to the last kill; its summary."""
        bench = lab.Bench(self, pair, *LOAD, "--duration", "3600s")
        self.wait("load", lambda: pair.a.status()["sequence"] > 1000)
        for number in range(count):
            time.sleep(self.dice.uniform(0.05, PERIOD_S / 2))
            self.assertTrue(bench.running(), "the load ended")
            nodes = choose()
            self.kill(nodes)
            self.start(pair, nodes)
        bench.stop()
        return bench

    def test_both_killed_at_once_with_durable_acknowledgements_nothing_is_lost(self):
        pair = self.make_lab(ack="durable")
        bench = self.rounds(pair, KILLS, pair.nodes.values)
        result = bench.check()
        print(f"{KILLS} kills of both: {result['acked']} acknowledged, 0 lost, 0 twice, longest gap "
              f"{result['longest_gap_ns'] / 1e6:.0f} ms", flush=True)
        self.assert_level(pair)

    def test_either_killed_with_received_acknowledgements_nothing_is_lost(self):
        pair = self.make_lab(workers_b=2)
        nodes = list(pair.nodes.values())
        epoch = pair.wait_primary().status()["epoch"]
        kills = max(4, KILLS // 4)
        bench = self.rounds(pair, kills, lambda: [self.dice.choice(nodes)])
        result = bench.check()
        print(f"{kills} kills of one: {result['acked']} acknowledged, 0 lost, 0 twice, longest gap "
              f"{result['longest_gap_ns'] / 1e6:.0f} ms", flush=True)
        self.assert_level(pair)
        # One more each time that the other node was counted in again.
        self.assertGreaterEqual(pair.wait_primary().status()["epoch"], epoch + kills)

    def test_both_killed_with_received_acknowledgements_lose_at_most_what_was_unsynced(self):
        pair = self.make_lab(log_sync="interval")
        lost_bound = 0
        kills = max(4, KILLS // 4)
        bench = lab.Bench(self, pair, *LOAD, "--duration", "3600s")
        self.wait("load", lambda: pair.a.status()["sequence"] > 1000)
        for _ in range(kills):
            time.sleep(self.dice.uniform(0.05, PERIOD_S / 2))
            self.kill(pair.nodes.values())
            lost_bound += self.unsynced(pair)
            self.start(pair, pair.nodes.values())
        bench.stop()
        result = bench.summary()
        print(f"{kills} kills of both: {result['acked']} acknowledged, {result['lost_after_ack']} "
              f"lost, at most {lost_bound} were on no disk, {result['applied_twice']} twice",
              flush=True)
        self.assertEqual(result["applied_twice"], 0)
        self.assertLessEqual(result["lost_after_ack"], lost_bound)
        self.assert_level(pair)

    def unsynced(self, pair):
        """Entries that neither node had synced when it died: the memory files say it."""
        ends = []
        for node in pair.nodes.values():
            out = subprocess.run([last_words(), node.config], capture_output=True, text=True,
                                 check=True, timeout=20).stdout.split()
            ends.append(dict(zip(out[::2], map(int, out[1::2]))))
        last = max(end["sequence"] for end in ends) + int(RATE * STATUS_S)
        return last - max(end["durable"] for end in ends)


def last_words():
    return os.path.join(os.environ["STANDFAST_BUILD"], "tests/e2e/last_words")


if __name__ == "__main__":
    lab.main()
