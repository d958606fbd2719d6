#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A disk that is full, and a log that cannot be written: on file systems of the test's own and by
limits of a process, so what fails are real calls."""
import os
import resource
import subprocess

import lab

MIB = 1 << 20


class Disk(lab.LabTest):
    def on_tmpfs(self, pair, size_mib):
        """Puts the nodes' state on a file system of its own."""
        lab.need_root()
        folder = os.path.join(pair.dir, "state")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0700", "none", folder],
                       check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=False)
        return folder

    def test_disk_full_then_clients_wait_and_with_room_again_it_goes_on(self):
        pair = self.prepare_lab(log_segment="1 MiB", log_reserve="1 MiB")
        # The room that becomes free must last until the load is stopped, however fast it is.
        filler = os.path.join(self.on_tmpfs(pair, 324), "filler")
        with open(filler, "wb") as file:
            for _ in range(300):
                file.write(bytes(MIB))
        pair.start()
        bench = lab.Bench(self, pair, "--outstanding", 256, "--batch", 16, "--duration", "20s",
                          "--drain", "60s")
        self.wait("the disk to be full", lambda: any(
            node.status()["log"]["full"] for node in pair.nodes.values()))
        busy = self.wait("BUSY", lambda: pair.a.counters()["sequencer"]["refused_busy_window"])
        self.assertGreater(busy, 0)
        for node in pair.nodes.values():
            self.assertEqual(node.status()["log"]["failed"], 0)
        self.assertTrue(bench.running())
        os.remove(filler)
        before = pair.a.status()["committed"]
        self.wait("updates again", lambda: pair.a.status()["committed"] > before + 100000)
        bench.stop()
        bench.check()
        self.assert_level(pair)

    def test_log_that_fills_its_disk_by_itself_makes_room_for_itself(self):
        # Long before the next snapshot is due, and none was written yet.
        pair = self.prepare_lab(log_segment="1 MiB", log_reserve="4 MiB", snapshot_interval="600 s")
        self.on_tmpfs(pair, 96)
        pair.start()
        self.load(pair, "--updates", 1_000_000, "--outstanding", 256, "--batch", 16)
        for node in pair.nodes.values():
            self.assertGreater(node.status()["log"]["checkpoint"]["segments_removed"], 0)
        self.assert_level(pair)
        for node in pair.nodes.values():
            node.stop()
        for node in pair.nodes.values():
            node.start()
        pair.wait_paired()
        self.assert_level(pair)

    def break_log(self, node):
        """From now on no file of this process may grow beyond 300 KiB: writes fail with EFBIG."""
        resource.prlimit(node.dataplane.pid(), resource.RLIMIT_FSIZE, (300 << 10, 300 << 10))

    def failing(self, pair, node):
        bench = lab.Bench(self, pair, "--rate", 20000, "--duration", "3600s", "--timeout", "50ms",
                          "--drain", "60s")
        self.wait("load", lambda: pair.a.status()["sequence"] > 1000)
        self.break_log(node)
        status = self.wait_status(node, mode="halted", reason="log_failed")
        self.assertNotEqual(status["log"]["failed"], 0)
        # What is behind a failed write is never called durable.
        durable = status["log"]["durable"]
        self.assertLessEqual(durable, status["log"]["written"])
        # The other one serves: its disk is whole.
        other = pair.nodes["b" if node.name == "a" else "a"]
        before = self.wait_status(other, role="primary", mode="alone")["committed"]
        self.wait("updates of the other one",
                  lambda: other.status()["committed"] > before + 1000)
        self.assertTrue(bench.running())
        node.stop()
        node.start_dataplane()
        node.start_control()
        node.wait_running()
        pair.wait_paired()
        before = node.status()["committed"]
        self.wait("updates again", lambda: node.status()["committed"] > before + 1000)
        bench.stop()
        bench.check()
        self.assert_level(pair)

    def test_standby_that_cannot_write_leaves_and_comes_back_without_a_loss(self):
        pair = self.make_lab(log_segment="1 MiB", ack="durable")
        self.failing(pair, pair.b)

    def test_primary_that_cannot_write_leaves_and_comes_back_without_a_loss(self):
        pair = self.make_lab(log_segment="1 MiB")
        self.failing(pair, pair.a)


if __name__ == "__main__":
    lab.main()
