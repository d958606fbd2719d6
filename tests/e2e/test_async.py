#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""An asynchronous pair (ack = none): answers do not wait for the other node, which stays a learner and
takes over by the operator's word only."""
import subprocess
import time
import unittest

import lab

CLUSTER = "lab"
SWITCH_S = 1.0      # of the word and what it does, under load on a shared machine; 20 to 50 ms alone


class Async(lab.LabTest):
    def standfast(self, node, *words):
        return subprocess.run([self.pair.programs["standfast"], *words, "-c", node.config],
                              capture_output=True, text=True, timeout=30)

    def force(self, node):
        result = self.standfast(node, "promote", "--force", "--cluster", CLUSTER)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def follower_leads(self, leader, follower):
        """The roles have changed: the one is async, the other its learner."""
        self.wait_status(leader, mode="async", role="primary")
        self.wait_status(follower, mode="learner")

    def test_planned_there_and_back_under_load_loses_nothing(self):
        self.pair = self.make_lab(ack="none")
        a, b = self.pair.a, self.pair.b
        self.assertEqual((a.status()["mode"], b.status()["mode"]), ("async", "learner"))
        load = lab.Bench(self, self.pair, "--rate", 2000, "--duration", "6s")
        for leader, follower in ((b, a), (a, b)):
            before = follower.status()["sequence"]
            self.wait("load", lambda: follower.status()["sequence"] > before + 500)
            begin = time.monotonic()
            result = self.standfast(follower, "switchover")
            took = time.monotonic() - begin
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertLess(took, SWITCH_S)
            self.follower_leads(leader, follower)
        load.check()
        self.assert_level(self.pair)

    def test_primary_killed_nobody_takes_over_until_the_operator_says_so(self):
        for arbiter in ("file", "none"):
            with self.subTest(arbiter):
                self.pair = self.make_lab(ack="none", arbiter=arbiter)
                a, b = self.pair.a, self.pair.b
                self.load(self.pair, "--updates", 5000, "--outstanding", 16)
                a.kill()
                self.wait_status(b, mode="waiting")
                time.sleep(3)           # for longer than any takeover: nothing may happen
                self.assertEqual(b.status()["mode"], "waiting")
                self.assertIn("is lost here", self.force(b))
                self.assertEqual(b.status()["mode"], "async")
                self.load(self.pair, "--updates", 5000, "--outstanding", 16)
                a.start()
                self.follower_leads(b, a)
                self.assert_level(self.pair)
                self.pair.down()

    def test_primary_killed_and_back_goes_on_as_it_was(self):
        self.pair = self.make_lab(ack="none")
        a, b = self.pair.a, self.pair.b
        self.load(self.pair, "--updates", 5000, "--outstanding", 16)
        a.kill()
        self.wait_status(b, mode="waiting")
        a.start()
        self.follower_leads(a, b)
        self.load(self.pair, "--updates", 5000, "--outstanding", 16)
        self.assert_level(self.pair)

    def test_what_was_answered_behind_a_cut_is_lost_by_force_and_both_are_one_again(self):
        self.pair = self.make_lab(ack="none")
        a, b = self.pair.a, self.pair.b
        self.load(self.pair, "--updates", 2000, "--outstanding", 16)
        self.pair.tell_relay("cut both")
        self.load(self.pair, "--updates", 2000, "--outstanding", 16)    # answered by a alone
        behind = a.status()["sequence"] - b.status()["sequence"]
        self.assertGreaterEqual(behind, 2000)
        a.kill()
        self.wait_status(b, mode="waiting")
        self.force(b)
        self.pair.tell_relay("heal")
        a.start()
        self.follower_leads(b, a)
        self.load(self.pair, "--updates", 2000, "--outstanding", 16)
        self.assert_level(self.pair)


if __name__ == "__main__":
    lab.main()
