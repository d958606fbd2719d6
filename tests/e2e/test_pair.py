#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A pair over memif: updates and reads are answered once and kept, and both nodes hold the same,
whatever their threads and however bad the link between them."""
import lab
from lab import SEED, full

UPDATES = 100_000 if full() else 30_000


class Threads(lab.LabTest):
    def equal_with(self, **options):
        pair = self.make_lab(**options)
        result = self.load(pair, "--updates", UPDATES, "--outstanding", 256, "--batch", 4,
                           "--reads", 10)
        self.assertGreater(result["reads"], 0)
        sequence = self.assert_level(pair)
        # Every update is one entry; opening and closing sessions are the others.
        self.assertEqual(sequence, result["acked"] + 2 * result["sessions"])
        # The marks at every multiple of digest_interval agree as well.
        marks = [node.ask("digest", "--at", "16384") for node in pair.nodes.values()]
        self.assertEqual(marks[0], marks[1])

    def test_one_worker_each(self):
        self.equal_with(digest_interval=16384)

    def test_one_worker_against_three(self):
        self.equal_with(workers_b=3, digest_interval=16384)

    def test_three_workers_on_lcores_of_their_own_against_one(self):
        self.equal_with(workers_a=3, lcores_a="per-agent", digest_interval=16384)

    def test_two_workers_against_three_all_on_lcores_of_their_own(self):
        self.equal_with(workers_a=2, lcores_a="per-agent", workers_b=3, lcores_b="per-agent",
                        digest_interval=16384)

    def test_jumbo_frames_on_the_replication_link(self):
        self.equal_with(replication_mtu=9000, digest_interval=16384)


class BadLink(lab.LabTest):
    """Loss, copies and reordering on the replication link, both ways."""

    def survive(self, percent, updates):
        pair = self.make_lab(workers_b=2)
        share = percent / 100
        for faults in (f"loss={share}", f"dup={share}", f"reorder={share}",
                       f"loss={share} dup={share} reorder={share}"):
            with self.subTest(faults=faults, seed=SEED):
                pair.tell_relay("clear")
                pair.tell_relay(f"set both {faults}")
                self.load(pair, "--updates", updates * (10 if full() else 1), "--outstanding", 64)
                self.assert_level(pair)
        stats = pair.tell_relay("stats")
        for way in ("a-b", "b-a"):
            for kind in ("lost", "duplicated", "reordered"):
                self.assertGreater(stats[way][kind], 0, f"the relay did nothing: {stats}")

    def test_one_percent(self):
        self.survive(1, 10_000)

    def test_ten_percent(self):
        self.survive(10, 5_000)

    def test_thirty_percent(self):
        self.survive(30, 2_000)

    def test_damaged_and_shortened_frames_are_dropped_and_sent_again(self):
        pair = self.make_lab()
        pair.tell_relay("set both corrupt=0.1 truncate=0.1")
        self.load(pair, "--updates", 5_000, "--outstanding", 64)
        self.assert_level(pair)
        counters = pair.b.counters()["sequencer"]
        self.assertGreater(counters["drop_bad_crc"] + counters["drop_short"]
                           + counters["drop_bad_length"], 0)


if __name__ == "__main__":
    lab.main()
