#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Processes that end and come back: control while clients are served, the dataplane of a standby,
and a node that is stopped in good order."""
import signal
import time

import lab


class Control(lab.LabTest):
    def test_killed_and_restarted_under_load_nothing_is_lost(self):
        pair = self.make_lab()
        bench = lab.Bench(self, pair, "--rate", 5000, "--duration", "8s")
        self.wait_status(pair.a, mode="paired", control="up")
        for _ in range(2):
            for node in pair.nodes.values():
                node.control.kill()
                status = self.wait_status(node, control="down")
                self.assertFalse(status["stuck"])
                node.start_control()
                self.wait_status(node, control="up")
                # Asks control, which asks the dataplane: both rings work again.
                self.assertGreater(node.digest()["sequence"], 0)
        self.assertTrue(bench.running(), "the load ended before control was back")
        bench.check()
        self.assertEqual(pair.a.status()["mode"], "paired")
        self.assert_level(pair)

    def test_attaches_to_a_restarted_dataplane(self):
        pair = self.make_lab()
        first = pair.b.status()["incarnation"]
        pair.b.dataplane.kill()
        self.wait_status(pair.a, mode="alone")
        pair.b.start_dataplane()
        pair.b.wait_running()
        self.assertGreater(pair.b.status()["incarnation"], first)
        pair.wait_paired()
        pair.b.digest()
        events = [event["event"] for event in pair.b.ask("events")["events"]]
        self.assertEqual(events.count("attached"), 2, events)


class Dataplane(lab.LabTest):
    def test_standby_without_a_log_comes_back_empty_and_leaves_the_primary_blocked(self):
        pair = self.make_lab(log="off")
        self.load(pair, "--updates", 1000, "--outstanding", 16)
        sequence = self.assert_level(pair)
        pair.b.kill()
        self.wait_status(pair.a, mode="blocked", reason="peer_silent")
        pair.b.start()
        status = self.wait_status(pair.a, mode="blocked", reason="peer_lost_memory")
        self.assertEqual((status["sequence"], status["committed"]), (sequence, sequence))
        self.assertEqual(pair.b.status()["sequence"], 0)

    def test_standby_paused_for_longer_than_the_window_comes_back_by_itself(self):
        pair = self.make_lab()
        bench = lab.Bench(self, pair, "--outstanding", 16, "--duration", "6s")
        self.wait("load", lambda: pair.a.status()["sequence"] > 100)
        pair.b.pause()
        self.wait_status(pair.a, mode="alone")
        pair.b.resume()
        pair.wait_paired()
        self.assertTrue(bench.running())
        bench.check()
        self.assert_level(pair)


class Stop(lab.LabTest):
    def stop(self, node):
        """SIGTERM to the dataplane; it ends by itself and well."""
        node.dataplane.signal(signal.SIGTERM)
        node.dataplane.wait_gone(10)
        self.assertEqual(node.dataplane.exit_code, 0)

    def test_of_the_standby_takes_it_out_of_the_pair_before_it_says_goodbye(self):
        pair = self.make_lab()
        bench = lab.Bench(self, pair, "--rate", 2000, "--duration", "60s")
        self.wait("load", lambda: pair.a.status()["sequence"] > 1000)
        self.stop(pair.b)
        self.wait_status(pair.a, mode="alone")
        bench.stop()
        result = bench.check()
        # Nothing waits for a detection window of a second: there is none.
        self.assertLess(result["longest_gap_ns"], 0.9e9)

    def test_of_the_primary_hands_its_role_over(self):
        pair = self.make_lab()
        bench = lab.Bench(self, pair, "--rate", 2000, "--duration", "60s")
        self.wait("load", lambda: pair.a.status()["sequence"] > 1000)
        self.stop(pair.a)
        self.wait_status(pair.b, role="primary", mode="alone")
        bench.stop()
        bench.check()
        pair.a.control.stop()
        pair.a.start()
        pair.wait_paired()
        self.assert_level(pair)

    def test_of_everything_leaves_no_process_and_no_file(self):
        pair = self.make_lab()
        for process in (*pair.a.processes(), *pair.b.processes(), pair.relay):
            process.signal(signal.SIGTERM)
            process.wait_gone(10)
            self.assertEqual(process.exit_code, 0, process.name)
        self.assertIsNone(pair.a.status())


if __name__ == "__main__":
    lab.main()
