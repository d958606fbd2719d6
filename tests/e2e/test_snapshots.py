#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Snapshots of real nodes: written beside the load, audited, used at a start, and passed over when
they are not good."""
import glob
import os
import random
import signal
import subprocess

import lab

HISTORY = 200000            # entries; the arena has 65536 slots
KILLS = 40 if lab.full() else 5
OPTIONS = {"ack": "durable", "log_segment": "1 MiB", "snapshot_interval": "200 ms",
           "digest_interval": 4096}


class Snapshots(lab.LabTest):
    def setUp(self):
        self.dice = random.Random(lab.SEED)

    def checkpoint(self, node):
        return node.status()["log"]["checkpoint"]

    def files(self, node, kind):
        names = glob.glob(os.path.join(os.path.dirname(node.config), "state", node.name, kind))
        return sorted(names)

    def loaded(self, **options):
        """A pair with some history: two snapshots cover more than the arena holds."""
        pair = self.make_lab(**{**OPTIONS, **options})
        while pair.a.status()["sequence"] < HISTORY:
            self.load(pair, "--duration", "1s", "--assets", 3000, "--outstanding", 64)
        for node in pair.nodes.values():
            self.wait(f"snapshots of {node.name}", lambda n=node: self.covered(n))
        return pair

    def covered(self, node):
        facts = self.checkpoint(node)
        return (facts["snapshots"] >= 3 and facts["segments_removed"] > 0
                and facts["snapshot"] == facts["sequence"] == node.status()["sequence"])

    def stop(self, pair, with_signal=signal.SIGTERM):
        for node in pair.nodes.values():
            for process in node.processes():
                process.stop() if with_signal == signal.SIGTERM else process.kill()

    def start(self, pair):
        for node in pair.nodes.values():
            node.start_dataplane()
            node.start_control()
        for node in pair.nodes.values():
            node.wait_running()

    def test_state_from_a_snapshot_is_the_state_that_was(self):
        pair = self.loaded(workers_a=1, workers_b=3)
        for node in pair.nodes.values():
            facts = self.checkpoint(node)
            self.assertGreater(facts["compared"], 0)
            self.assertEqual((facts["audit_fault"], facts["damage"], facts["snapshots_failed"]),
                             (0, 0, 0))
            # A third one may just have got its name.
            self.wait("two snapshots", lambda node=node: len(self.files(node, "snap/*")) == 2)
            self.assertFalse(self.files(node, "log/00000000000000000001.seg"))
        before = pair.digests()
        self.stop(pair, self.dice.choice([signal.SIGTERM, signal.SIGKILL]))
        self.start(pair)
        pair.wait_paired()
        self.assertEqual(pair.digests()[1:], before[1:])
        self.load(pair, "--duration", "500ms")
        self.assert_level(pair)

    def test_killed_again_and_again_between_snapshots_nothing_is_lost(self):
        pair = self.make_lab(**OPTIONS)
        bench = lab.Bench(self, pair, "--rate", 20000, "--timeout", "50ms", "--drain", "60s",
                          "--assets", 500, "--duration", "3600s")
        self.wait("load", lambda: pair.a.status()["sequence"] > 1000)
        for _ in range(KILLS):
            before = pair.a.status()["committed"]
            more = self.dice.randrange(5000, 20000)
            self.wait("more updates",
                      lambda n=before + more: pair.a.status()["committed"] > n)
            self.assertTrue(bench.running(), "the load ended")
            self.stop(pair, signal.SIGKILL)
            self.start(pair)
            for _ in range(self.dice.randrange(3)):     # also while it replays
                node = self.dice.choice([pair.a, pair.b])
                node.control.kill()
                node.start_control()
            pair.wait_paired()
        bench.stop()
        bench.check()
        self.assert_level(pair)
        for node in pair.nodes.values():
            self.assertGreater(self.wait("a snapshot", lambda n=node: self.checkpoint(n)["snapshot"]),
                               0)
            self.assertEqual(self.checkpoint(node)["audit_fault"], 0)

    def damage(self, path):
        with open(path, "r+b") as file:
            at = self.dice.randrange(os.path.getsize(path))
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ (1 << self.dice.randrange(8))]))

    def standfast(self, node, *words):
        return subprocess.run([node.programs["standfast"], *words, "-c", node.config],
                              capture_output=True, text=True, timeout=20)

    def test_newest_snapshot_damaged_then_the_older_one_serves_and_both_then_the_operator(self):
        pair = self.loaded()
        before = pair.digests()
        self.stop(pair)
        snapshots = {node: self.files(node, "snap/*") for node in pair.nodes.values()}
        for node, (_, newest) in snapshots.items():
            self.damage(newest)
        self.start(pair)
        pair.wait_paired()
        self.assertEqual(pair.digests()[1:], before[1:])
        self.stop(pair)             # a first, so b was the last to serve
        for path in self.files(pair.b, "snap/*"):
            self.damage(path)
        self.start(pair)
        self.wait("refusal", lambda: pair.b.status()["log"]["replay"] == "refused")
        status = self.wait_status(pair.b, mode="waiting", reason="replaying")
        self.assertEqual(status["sequence"], 0)
        # The other one cannot know that it lacks nothing; the operator may.
        self.wait_status(pair.a, mode="waiting", reason="wait_primary")
        refused = self.standfast(pair.a, "promote", "--force", "--cluster", "another")
        self.assertEqual(refused.returncode, 5, refused.stderr)
        forced = self.standfast(pair.a, "promote", "--force", "--cluster", "lab")
        self.assertEqual(forced.returncode, 0, forced.stderr)
        self.assertIn("lost", forced.stdout)
        self.wait_status(pair.a, mode="alone")
        pair.b.stop()
        self.assertEqual(self.standfast(pair.b, "recover").returncode, 5)    # it was primary
        recovered = self.standfast(pair.b, "recover", "--force")
        self.assertEqual(recovered.returncode, 0, recovered.stderr)
        pair.b.start()
        pair.wait_paired()
        self.assertEqual(pair.digests()[1:], before[1:])
        self.load(pair, "--duration", "500ms")
        self.assert_level(pair)


if __name__ == "__main__":
    lab.main()
