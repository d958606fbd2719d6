#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Many updates in one run, with the replication link cut and healed and the standby paused
meanwhile, so that one node serves alone and the other learns what it missed: nothing is lost or
doubled, and buffers, memory and rings are back where they began."""
import lab
from lab import full

UPDATES = 10_000_000 if full() else 1_000_000
WARM_UP = 300_000           # several times round the arena
CUTS = 10
# Growth that is no leak: pages that the warm-up happened not to reach, histograms of longer outages
# among them (a leak of a kilobyte in each five hundred updates would be more; mbufs are counted).
MEMORY_SLACK_KIB = 2048
LOAD = ["--outstanding", 1024, "--batch", 16]


class Soak(lab.LabTest):
    def test_cuts_and_pauses_under_load_leave_nothing_behind(self):
        pair = self.make_lab(workers_b=2)
        self.warm_up(pair)
        before = self.resources(pair)

        # It goes on until the last cut is over, however fast this machine is.
        bench = lab.Bench(self, pair, "--duration", "3600s", *LOAD)
        for number in range(CUTS):
            self.wait_progress(pair, bench, WARM_UP + UPDATES * (number + 1) // (CUTS + 3))
            self.cut_and_heal(pair, ["a-b", "b-a", "both"][number % 3], long=number % 2 == 1)
            if number == CUTS // 2:
                self.pause_and_resume_standby(pair)
        self.wait_progress(pair, bench, WARM_UP + UPDATES)
        self.assertTrue(bench.running(), "the load ended before the last cut")
        bench.stop()
        result = bench.check()
        self.assertGreaterEqual(result["acked"], UPDATES * 9 // 10)

        self.assert_level(pair)
        self.assert_quiet(pair)
        after = self.resources(pair)
        print(f"before {before}\nafter  {after}\nrate {result['rate']:.0f} a second, "
              f"{result['retried']} sent again, longest gap {result['longest_gap_ns'] / 1e6:.0f} "
              "ms", flush=True)
        for name in pair.nodes:
            self.assertEqual(after[name]["mbufs"], before[name]["mbufs"], name)
            self.assertLess(after[name]["memory_kib"],
                            before[name]["memory_kib"] + MEMORY_SLACK_KIB, name)
            self.assertEqual(after[name]["files"], before[name]["files"], name)

    def warm_up(self, pair):
        """Load with a cut that the nodes notice, twice: the memory of outages is touched too."""
        for _ in range(2):
            bench = lab.Bench(self, pair, "--updates", WARM_UP // 2, *LOAD)
            start = self.sequence(pair)
            self.wait_progress(pair, bench, start + WARM_UP // 8)
            self.cut_and_heal(pair, "both", long=True)
            bench.check()

    def resources(self, pair):
        """Of each node, at rest: buffers in use, resident memory, open files."""
        def of(node):
            # The slow figures are as old as the last status round; wait until one says rest, and
            # that the load's shared memory is closed.
            self.wait("the load's port to close",
                      lambda: not node.counters()["node"]["client_link_up"])
            self.wait("no mbuf in use", lambda: self.mbufs(node) == self.baseline(node))
            return {"mbufs": self.mbufs(node), "memory_kib": node.dataplane.memory_kib(),
                    "files": node.dataplane.open_files()}
        return {name: of(node) for name, node in pair.nodes.items()}

    @staticmethod
    def mbufs(node):
        return node.counters()["node"]["mbufs_in_use"]

    @staticmethod
    def baseline(node):
        return node.counters()["node"]["mbufs_baseline"]

    @staticmethod
    def sequence(pair):
        """Of whichever node is ahead: the role may have moved."""
        return max(node.status()["sequence"] for node in pair.nodes.values())

    def wait_progress(self, pair, bench, sequence):
        self.wait(f"sequence {sequence}", lambda: not bench.running()
                  or self.sequence(pair) >= sequence, seconds=lab.BENCH_S)

    def cut_and_heal(self, pair, way, long):
        """Short: healed as soon as frames were lost. Long: healed when one node serves alone."""
        lost = sum(pair.tell_relay("stats")[w]["cut"] for w in ("a-b", "b-a"))
        pair.tell_relay("cut " + way)
        if long:
            self.wait_alone(pair)
        else:
            self.wait("frames lost by the cut", lambda: sum(
                pair.tell_relay("stats")[w]["cut"] for w in ("a-b", "b-a")) > lost)
        pair.tell_relay("heal")
        pair.wait_paired()

    def wait_alone(self, pair):
        """The primary is asked first, but one that this machine stalls may come second."""
        return self.wait("one node alone", lambda: [
            node for node in pair.nodes.values() if node.status()["mode"] == "alone"])[0]

    def pause_and_resume_standby(self, pair):
        primary = pair.wait_primary()
        standby = pair.nodes["b" if primary.name == "a" else "a"]
        standby.pause()
        self.wait_status(primary, mode="alone")
        standby.resume()
        pair.wait_paired()

    def assert_quiet(self, pair):
        """Everything that was sequenced is committed, applied and acknowledged: rings are empty."""
        def quiet(node):
            status = node.status()
            return status["sequence"] == status["committed"] == status["applied"] > 0 and status
        status = [self.wait(f"{node.name} at rest", lambda node=node: quiet(node))
                  for node in pair.nodes.values()]
        self.assertEqual(status[0]["sequence"], status[1]["sequence"])
        primary = pair.wait_primary().status()
        self.assertEqual(primary["peer"]["acked"], primary["sequence"])
        self.assertEqual([s["sessions"] for s in status], [0, 0])


if __name__ == "__main__":
    lab.main()
