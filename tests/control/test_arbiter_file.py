#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The arbiter "file": processes that share a folder, killed and stopped while they change it.

test_arbiter_file.py DRIVE CANARY [unittest arguments]
"""
import os
import random
import re
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from arbiter_world import (CLUSTER, DRIVE, TIMEOUT_MS, Folder, Talk, pair_of, race,  # noqa: E402
                           value_of, wait_until)

FULL = os.environ.get("STANDFAST_TESTS") == "full"
ROUNDS = 1000 if FULL else 100
KILLS = 200 if FULL else 12
NONE = (0, 0, 0)
SLACK_MS = 1000         # of a machine that is busy with other things


class File(unittest.TestCase):
    def setUp(self):
        self.folder = Folder(self)
        self.dir = os.path.join(self.folder.path, "arbiter")
        self.conf = self.folder.conf(f'kind = "file"; dir = "{self.dir}";')
        self.record = os.path.join(self.dir, f"{CLUSTER}.pair")
        self.lock = os.path.join(self.dir, f"{CLUSTER}.lock")

    def talk(self, **more):
        return Talk(self, self.conf, **more)

    def write(self, text):
        with open(self.record, "w") as file:
            file.write(text)

    def test_record_when_made_and_changed_is_what_the_winner_wrote(self):
        a, b = self.talk(), self.talk()
        answer = a.read()
        self.assertEqual((answer["outcome"], *pair_of(answer)), ("read", *NONE))
        self.assertEqual(a.swap(NONE, (2, 0, 1))["outcome"], "won")
        answer = b.swap(NONE, (3, 1, 2))
        self.assertEqual((answer["outcome"], *pair_of(answer)), ("lost", 2, 0, 1))
        self.assertEqual(b.swap((2, 0, 1), (4, 0, 3))["outcome"], "won")
        answer = a.swap((2, 0, 1), (6, 0, 1))
        self.assertEqual((answer["outcome"], *pair_of(answer)), ("lost", 4, 0, 3))
        # What we asked for and did not hear of is recognised.
        self.assertEqual(b.swap((2, 0, 1), (4, 0, 3))["outcome"], "won")
        with open(self.record) as file:
            value, tail = file.read().split("\n", 1)
        self.assertEqual(value, value_of(4, 0, (0, 1)))
        self.assertRegex(tail, r"^revision 2 crc32c [0-9a-f]{8}\n$")
        self.assertEqual(os.stat(self.record).st_mode & 0o777, 0o600)
        self.assertEqual(sorted(os.listdir(self.dir)), [f"{CLUSTER}.lock", f"{CLUSTER}.pair"])
        self.assertTrue(a.ask("probe")["good"])

    def test_changes_that_no_core_asks_for_are_refused_in_words(self):
        a = self.talk()
        for old, new in ((NONE, NONE), ((2, 0, 1), (2, 0, 3)), (NONE, (2, 0, 2)), (NONE, (2, 2, 1)),
                         ((2, 1, 1), (4, 0, 1)), (NONE, (2, 0, 7))):
            answer = a.swap(old, new)
            self.assertEqual(answer["outcome"], "unknown")
            self.assertIn("no such change", answer["why"])
        self.assertFalse(os.path.exists(self.record))

    def test_record_when_gone_or_older_is_refused_until_the_operator_decides(self):
        a = self.talk()
        a.swap(NONE, (2, 0, 1))
        with open(self.record) as file:
            old = file.read()
        a.swap((2, 0, 1), (4, 0, 3))
        seen = a.seen()
        self.assertEqual(seen[2], 4)
        b = self.talk(seen=seen)        # another life of the node
        self.write(old)
        for node in a, b:
            answer = node.read()
            self.assertEqual(answer["outcome"], "unknown")
            self.assertIn("epoch 2", answer["why"])
            status = node.status()
            self.assertEqual(status["alarm"], "went-back")
            self.assertTrue(status["reachable"])
            self.assertEqual(node.swap((4, 0, 3), (6, 0, 1))["outcome"], "unknown")
        os.unlink(self.record)
        for node in a, b:
            self.assertEqual(node.read()["outcome"], "unknown")
            self.assertEqual(node.swap(NONE, (6, 0, 1))["outcome"], "unknown")
            self.assertEqual(node.status()["alarm"], "blank")
        self.assertFalse(os.path.exists(self.record))
        a.ask("trust")
        self.assertEqual(a.read()["outcome"], "read")
        self.assertEqual(a.swap(NONE, (70000, 0, 1))["outcome"], "won")
        self.assertEqual(a.status()["alarm"], "trusted")
        # The other node never saw less than this, so it may believe it.
        self.assertEqual(b.read()["outcome"], "unknown")    # but the revision is lower
        canary = self.talk(seen=(seen[0], 9, 99999), canary="trusts")
        self.assertEqual(canary.read()["outcome"], "read")  # which the tests above would see

    def test_files_that_are_not_ours_are_refused_and_left(self):
        a = self.talk()
        a.swap(NONE, (2, 0, 1))
        with open(self.record) as file:
            good = file.read()
        flipped = good.replace('"epoch":2', '"epoch":4')
        for text in ("", "\n", flipped, good[:-1], good + "x", good * 2, "x" * 100000,
                     '{"schema":1}\nrevision 1 crc32c 00000000\n'):
            self.write(text)
            self.assertEqual(a.read()["outcome"], "unknown", text[:50])
            self.assertEqual(a.swap((2, 0, 1), (4, 0, 1))["outcome"], "unknown")
            self.assertEqual(a.status()["alarm"], "foreign-value")
            with open(self.record) as file:
                self.assertEqual(file.read(), text)
        self.write(good)
        self.assertEqual(a.read()["outcome"], "read")
        other = self.folder.conf(f'kind = "file"; dir = "{self.dir}";', cluster="other")
        os.rename(self.record, os.path.join(self.dir, "other.pair"))
        self.assertIn("another cluster", Talk(self, other).read()["why"])

    def test_seen_of_another_kind_when_asked_is_another_arbiter(self):
        self.talk().swap(NONE, (2, 0, 1))
        a = self.talk(seen=(12345, 1, 1))
        self.assertEqual(a.read()["outcome"], "unknown")
        self.assertEqual(a.status()["alarm"], "other-arbiter")

    def test_races_have_one_winner_each_and_the_checker_bites(self):
        code, text = race(self.conf, ROUNDS, 2, "processes")
        print(text.strip())
        self.assertEqual(code, 0, text)
        code, text = race(self.conf, ROUNDS // 2, 4, "threads")
        print(text.strip())
        self.assertEqual(code, 0, text)
        for canary in "no-compare", "no-lock":
            code, text = race(self.conf, 2000, 4, "processes", canary=canary)
            self.assertEqual(code, 4, text)
            self.assertRegex(text, "[02-4] winners|1 winners, [0-3] of 4|the record is")

    # --- killed and stopped ---

    def churn(self, node):
        path = os.path.join(self.folder.path, f"churn-{node}")
        with open(path, "a") as output:
            process = subprocess.Popen([DRIVE, "churn", self.conf, str(node)],
                                       stdin=subprocess.DEVNULL, stdout=output)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def holds_lock(self, pid):
        inode = os.stat(self.lock).st_ino
        with open("/proc/locks") as locks:
            return any(re.search(rf"FLOCK +ADVISORY +WRITE +{pid} [0-9a-f]+:[0-9a-f]+:{inode} ",
                                 line) for line in locks)

    def stop_with_lock(self, process):
        """Stops it at moments until it is one in which it holds the lock."""
        def stopped():
            time.sleep(random.random() * 0.003)
            process.send_signal(signal.SIGSTOP)
            wait_until("it has stopped", lambda: self.is_stopped(process.pid))
            if self.holds_lock(process.pid):
                return True
            process.send_signal(signal.SIGCONT)
            return False
        wait_until("it is stopped with the lock", stopped)

    @staticmethod
    def is_stopped(pid):
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "T"

    def test_holder_when_stopped_holds_up_nobody_for_long(self):
        self.talk().swap(NONE, (2, 0, 1))
        churn = self.churn(0)
        self.stop_with_lock(churn)
        a = self.talk()
        answer = a.read()               # needs no lock
        self.assertEqual(answer["outcome"], "read")
        old = pair_of(answer)
        answer = a.swap(old, (old[0] + 2 - (old[0] & 1) + 1, 1, 2))
        self.assertEqual(answer["outcome"], "unknown")
        self.assertIn("stopped", answer["why"])
        self.assertLess(answer["took_ms"], TIMEOUT_MS + SLACK_MS)
        self.assertGreaterEqual(answer["took_ms"], TIMEOUT_MS - 1)
        self.assertFalse(a.status()["reachable"])
        churn.kill()                    # with the lock: the kernel gives it up
        churn.wait()
        old = pair_of(a.read())
        self.assertEqual(a.swap(old, (old[0] + 9, 1, 2))["outcome"], "won")
        self.assertTrue(a.status()["reachable"])

    def test_processes_when_killed_at_any_moment_leave_one_chain_of_records(self):
        self.talk().swap(NONE, (2, 0, 1))
        for _ in range(KILLS):
            both = [self.churn(0), self.churn(1)]
            time.sleep(0.05 + random.random() * 0.05)
            victim, other = random.sample(both, 2)
            if random.random() < 0.5:
                self.stop_with_lock(victim)
            victim.kill()
            time.sleep(0.02)
            other.kill()
            for process in both:
                process.wait()
        chain = {}
        for node in 0, 1:
            with open(os.path.join(self.folder.path, f"churn-{node}")) as lines:
                for line in lines:
                    word, old, new = line.split()[:3]
                    if word == "won" and line.endswith("\n"):
                        # One winner of each record, and nobody changes what is gone.
                        self.assertNotIn(int(old), chain)
                        self.assertGreater(int(new), int(old))
                        chain[int(old)] = int(new)
        self.assertGreater(len(chain), 10 * KILLS)
        answer = self.talk().read()
        self.assertEqual(answer["outcome"], "read")
        self.assertGreaterEqual(answer["epoch"], max(chain.values()))
        # An epoch that somebody won and that was followed by nothing known was changed by one who
        # was killed before it could say so: at most once for each that was killed.
        ends = set(chain.values()) - set(chain)
        self.assertLessEqual(len(ends), 2 * KILLS + 1)
        print(f"{2 * KILLS} killed, {len(chain)} changes, {len(ends)} not told")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
