#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A disk that stands still: the thread that writes the log is stopped, as a debugger stops one."""
import os
import subprocess
import time

import lab

STOP_S = 2.0
THREAD = "sf-journal"


class SlowDisk(lab.LabTest):
    def stop_writer(self, node):
        """Stops the node's journal thread for STOP_S; returns when it stands."""
        program = os.path.join(os.environ["STANDFAST_BUILD"], "tests/e2e/stop_thread")
        stopped = subprocess.Popen(
            [program, str(node.dataplane.pid()), THREAD, str(int(STOP_S * 1000))],
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(stopped.wait)
        self.addCleanup(stopped.stdout.close)
        self.assertEqual(stopped.stdout.readline(), "stopped\n")
        return stopped

    @staticmethod
    def busy(node):
        return node.counters()["sequencer"]["refused_busy_window"]

    def test_stopped_for_two_seconds_delays_no_answer_while_the_arena_has_room(self):
        pair = self.make_lab()
        for node in pair.nodes.values():
            bench = lab.Bench(self, pair, "--rate", 5000, "--duration", "5s")
            self.wait("load", lambda: pair.a.status()["sequence"] > 1000)
            busy = self.busy(pair.a)
            stopped = self.stop_writer(node)
            written = node.status()["log"]["written"]
            committed = pair.a.status()["committed"]
            time.sleep(STOP_S / 2)
            # Half of the stop is over: thousands were answered, and none of them was written.
            self.assertGreater(pair.a.status()["committed"], committed + 1000)
            self.assertLess(node.status()["log"]["written"], written + 500)
            stopped.wait()
            bench.check()
            self.assertEqual(self.busy(pair.a), busy)
            self.wait("the log to catch up",
                      lambda: node.status()["log"]["durable"] >= node.status()["sequence"])
            self.assert_level(pair)

    def test_stopped_for_longer_than_the_arena_lasts_makes_clients_wait_and_recovers(self):
        pair = self.make_lab()
        bench = lab.Bench(self, pair, "--outstanding", 1024, "--batch", 16, "--duration", "6s")
        self.wait("load", lambda: pair.a.status()["sequence"] > 1000)
        stopped = self.stop_writer(pair.a)
        # Then nothing is taken any more, and everything that comes gets BUSY.
        before = self.busy(pair.a)
        self.wait("BUSY", lambda: self.busy(pair.a) > before, seconds=STOP_S + 5)
        stopped.wait()
        bench.check()
        self.assert_level(pair)

    def test_stopped_with_durable_acknowledgements_stops_the_answers_and_loses_none(self):
        pair = self.make_lab(ack="durable")
        bench = lab.Bench(self, pair, "--rate", 2000, "--duration", "6s", "--timeout", "500ms")
        self.wait("load", lambda: pair.a.status()["committed"] > 500)
        stopped = self.stop_writer(pair.b)
        committed = pair.a.status()["committed"]
        time.sleep(STOP_S / 2)
        self.assertLess(pair.a.status()["committed"], committed + 500)
        stopped.wait()
        bench.check()
        self.assert_level(pair)


if __name__ == "__main__":
    lab.main()
