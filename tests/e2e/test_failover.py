#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Who serves, case by case: total restarts in each order, cuts in each direction, the policies of a
pair without an arbiter, a primary that wakes up late, planned changes, a control that is killed, an
etcd that is away. test_chaos.py draws such things at random; failover_figures.py measures them.

Safety is judged by the load generator's ledger, and by who gives answers: each node counts them.
"""
import os
import random
import shutil
import subprocess
import time
import unittest

import lab

LOAD = ["--rate", 4000, "--timeout", "50ms", "--drain", "90s", "--assets", 400]
PAIR_S = 90             # a shared disk was seen to take ten seconds for a sync
SERVE_S = 30
QUIET_S = 0.5           # so long is somebody watched who is to serve nobody
WINDOW_S = 1.2          # of the lab: ten heartbeats of 100 ms, and the standby's delay
POLICIES = ("primary-continues", "standby-takes-over", "split-allowed")
REFUSED, USAGE = 5, 2


class Failover(lab.LabTest):
    def setUp(self):
        self.dice = random.Random(lab.SEED)

    # --- doing ---

    @staticmethod
    def kill(*nodes):
        for node in nodes:
            node.kill()

    @staticmethod
    def begin(*nodes):
        for node in nodes:
            node.start_dataplane()
            node.start_control()
        for node in nodes:
            node.wait_running()

    def under_load(self, pair, *arguments):
        """A load that goes on until it is stopped."""
        bench = lab.Bench(self, pair, *(arguments or LOAD), "--duration", "3600s")
        self.wait("load", lambda: pair.wait_primary().status()["sequence"] > 500)
        return bench

    def end(self, pair, bench):
        """Whole again, nothing lost; the load's summary."""
        pair.wait_paired(PAIR_S)
        self.assertTrue(bench.running(), "the load ended")
        bench.stop()
        result = bench.check()
        self.assert_level(pair)
        return result

    def command(self, node, *words):
        return subprocess.run([node.programs["standfast"], *words, "-c", node.config],
                              capture_output=True, text=True, timeout=60, check=False)

    # --- looking ---

    @staticmethod
    def both(pair):
        primary = pair.wait_primary(PAIR_S)
        return primary, pair.nodes["b" if primary.name == "a" else "a"]

    @staticmethod
    def answers(node):
        """That it gave to clients in this life."""
        counters = node.counters() or {}
        return sum(block["answers"] for name, block in counters.items() if "worker" in name)

    def wait_serves(self, node, seconds=SERVE_S):
        self.wait(f"{node.name} as primary", node.is_primary, seconds)

    def assert_serves_nobody(self, *nodes, seconds=QUIET_S):
        before = [self.answers(node) for node in nodes]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for node in nodes:
                self.assertFalse(node.is_primary(), f"{node.name} serves")
            time.sleep(0.05)
        self.assertEqual([self.answers(node) for node in nodes], before, "answers were given")

    def assert_waits_for(self, node, peer):
        """In the status that programs read, and in the one that people read."""
        self.wait_status(node, mode="waiting", waits_for=peer.name)
        self.assert_serves_nobody(node)
        self.assertIn(f'waits for  node "{peer.name}"', self.command(node, "status").stdout)

    def forked(self, node):
        return node.counters()["sequencer"]["core_entries_forked"]

    def wait_durable(self, pair):
        """All that there is, is on both disks; the sequence."""
        def done():
            found = [node.status() for node in pair.nodes.values()]
            ends = {status[key] for status in found for key in ("sequence", "durable")}
            return len(ends) == 1 and ends
        return self.wait("both logs durable", done, 40).pop()


class TotalRestart(Failover):
    def rounds(self, pair, order):
        """Both are killed at rest, and return in this order; the last primary serves, with all."""
        primary, standby = self.both(pair)
        self.load(pair, "--updates", 2000, "--outstanding", 16)
        sequence = self.wait_durable(pair)
        self.kill(*self.dice.sample([primary, standby], 2))
        if order == "both at once":
            self.begin(*self.dice.sample([primary, standby], 2))
        else:
            first, second = ((primary, standby) if order == "primary first"
                             else (standby, primary))
            self.begin(first)
            # With acknowledgements from memory its own disk does not tell it everything.
            self.assert_waits_for(first, second)
            self.begin(second)
        pair.wait_paired(PAIR_S)
        self.assertTrue(primary.is_primary(), f"{order}: {pair.modes_text()}")
        self.assertGreaterEqual(self.assert_level(pair), sequence)

    def test_the_last_primary_is_primary_again_whoever_returns_first(self):
        pair = self.make_lab()
        for order in ("primary first", "standby first", "both at once"):
            self.rounds(pair, order)
        if lab.full():          # and with the other one as the last primary
            self.assertEqual(self.command(pair.a, "switchover").returncode, 0)
            for order in ("primary first", "standby first", "both at once") * 4:
                pair.wait_paired(PAIR_S)
                self.rounds(pair, order)
        self.load(pair, "--updates", 500)

    def leave_behind(self, pair, updates):
        """The standby dies, the primary goes on alone and dies too; the standby returns first."""
        primary, standby = self.both(pair)
        self.kill(standby)
        self.wait_status(primary, mode="alone")
        result = self.load(pair, "--updates", updates, "--outstanding", 16)
        self.kill(primary)
        self.begin(standby)
        self.assert_waits_for(standby, primary)
        return primary, standby, result["acked"]

    def test_a_stale_standby_waits_for_the_primary_and_serves_only_by_force(self):
        pair = self.make_lab()
        if lab.full():
            primary, standby, _ = self.leave_behind(pair, 2000)
            self.begin(primary)
            pair.wait_paired(PAIR_S)
            self.assertTrue(primary.is_primary(), pair.modes_text())
            self.assert_level(pair)

        primary, standby, acked = self.leave_behind(pair, 3000)
        for incomplete in ([], ["--force"]):
            self.assertEqual(self.command(standby, "promote", *incomplete).returncode, USAGE)
        self.assertEqual(self.command(standby, "promote", "--force", "--cluster", "other")
                         .returncode, REFUSED)
        self.assert_serves_nobody(standby)
        said = self.command(standby, "promote", "--force", "--cluster", "lab")
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertIn("lost", said.stdout)
        self.assertTrue(standby.is_primary())
        self.load(pair, "--updates", 1000, "--outstanding", 16)

        self.begin(primary)
        pair.wait_paired(PAIR_S)
        self.assertTrue(standby.is_primary(), pair.modes_text())
        self.assert_level(pair)
        self.assertGreaterEqual(self.forked(primary), acked)
        folder = os.path.join(primary.state_dir, "quarantine")
        self.assertTrue(os.path.isdir(folder) and os.listdir(folder), folder)


class Cuts(Failover):
    def test_of_each_direction_exactly_one_serves_and_nothing_is_lost(self):
        pair = self.make_lab()
        bench = self.under_load(pair)
        ways = ("both", "a-b", "b-a") * 10 if lab.full() else (
            "both", self.dice.choice(["a-b", "b-a"]))
        for way in ways:
            pair.tell_relay("cut " + way)
            server = self.wait(f"one alone, cut {way}", lambda: next(
                (n for n in pair.nodes.values() if n.status()["mode"] == "alone"), None))
            other = pair.b if server is pair.a else pair.a
            before = self.answers(server)
            self.assert_serves_nobody(other)
            self.wait("answers", lambda: self.answers(server) > before)
            pair.tell_relay("heal")
            pair.wait_paired(PAIR_S)
            self.assertTrue(server.is_primary(), pair.modes_text())
        self.end(pair, bench)


class WithoutArbiter(Failover):
    """roles.md, section 4: which of the two goes on is the operator's choice, made beforehand."""

    def serve(self, pair, node):
        """It does, for clients that know only it."""
        self.wait_serves(node)
        address = "10.77.0.1" if node is pair.a else "10.77.0.2"
        return self.load(pair, "--to", "memif:" + node.client_socket, "--addresses", address,
                         "--updates", 500, "--outstanding", 16)["acked"]

    def whole(self, pair):
        pair.wait_paired(PAIR_S)
        self.assert_level(pair)

    def standby_dies(self, pair, policy):
        primary, standby = self.both(pair)
        self.kill(standby)
        if policy == "standby-takes-over":
            self.wait_status(primary, mode="blocked", reason="no_right", waits_for=standby.name)
            self.assert_serves_nobody(primary)
        else:
            self.serve(pair, primary)
        self.begin(standby)
        self.whole(pair)
        self.assertTrue(primary.is_primary(), pair.modes_text())

    def primary_dies(self, pair, policy):
        primary, standby = self.both(pair)
        self.kill(primary)
        if policy == "primary-continues":
            time.sleep(WINDOW_S)
            self.assert_serves_nobody(standby)
            self.begin(primary)
            self.wait_serves(primary)
        else:
            self.serve(pair, standby)
            self.begin(primary)
        self.whole(pair)
        self.assertTrue((primary if policy == "primary-continues" else standby).is_primary())

    def link_is_cut(self, pair, policy):
        primary, standby = self.both(pair)
        before = self.forked(primary) + self.forked(standby)
        pair.tell_relay("cut both")
        if policy == "split-allowed":
            least = min(self.serve(pair, primary), self.serve(pair, standby))
        else:
            goes_on, stops = ((primary, standby) if policy == "primary-continues"
                              else (standby, primary))
            self.wait_status(goes_on, mode="alone")
            self.serve(pair, goes_on)
            self.assert_serves_nobody(stops)
            least = 0
        pair.tell_relay("heal")
        self.whole(pair)
        # What was acknowledged on the side that gives way is gone, by consent, and counted.
        forked = self.forked(primary) + self.forked(standby) - before
        self.assertGreaterEqual(forked, least)
        if policy != "split-allowed":
            self.assertEqual(forked, 0)

    def policy(self, policy):
        pair = self.make_lab(arbiter="none", lost_peer=policy)
        deaths = [self.standby_dies, self.primary_dies]
        harms = [*deaths, self.link_is_cut] * 3 if lab.full() else [
            self.dice.choice(deaths), self.link_is_cut]
        for harm in harms:
            self.load(pair, "--updates", 500, "--outstanding", 16)
            harm(pair, policy)

    def test_who_serves_is_as_the_policy_says(self):
        chosen = POLICIES if lab.full() else [self.dice.choice(POLICIES)]
        for policy in os.environ.get("FAILOVER_POLICIES", "").split() or chosen:
            with self.subTest(policy=policy):
                print(policy, flush=True)
                self.policy(policy)


class Zombie(Failover):
    def test_a_primary_that_wakes_up_after_the_takeover_says_nothing_that_was_not_kept(self):
        pair = self.make_lab()
        bench = self.under_load(pair, "--outstanding", 256, "--timeout", "50ms", "--assets", 400,
                                "--drain", "90s")
        given = dropped = 0
        for number in range(20 if lab.full() else 1):
            primary, standby = self.both(pair)
            # In the middle of its work, with or without its control.
            time.sleep(self.dice.uniform(0.1, 0.4))
            stopped = [primary.dataplane, *([primary.control] if number % 2 else [])]
            for process in stopped:
                process.signal(lab.signal.SIGSTOP)
            self.wait_serves(standby)
            before = self.answers(primary)
            self.wait("answers", lambda: self.answers(standby) > 100)
            for process in stopped:
                process.signal(lab.signal.SIGCONT)
            self.wait_status(primary, seconds=PAIR_S, mode="standby")
            given += self.answers(primary) - before
            dropped += sum(block["answers_dropped"] for name, block in primary.counters().items()
                           if "worker" in name)
            self.assertTrue(standby.is_primary())
        result = self.end(pair, bench)
        print(f"zombies: {given} answers after waking up, {dropped} dropped, 0 of them lost of "
              f"{result['acked']}", flush=True)


class Switchover(Failover):
    def test_there_and_back_under_load_has_no_unknown_outcome(self):
        pair = self.make_lab()
        bench = self.under_load(pair)
        took_ms = []
        for _ in range(40 if lab.full() else 2):
            pair.wait_paired(PAIR_S)
            primary, standby = self.both(pair)
            refused = self.command(standby, "switchover")
            self.assertEqual(refused.returncode, REFUSED, refused.stderr)
            begin = time.monotonic()
            done = self.command(primary, "switchover")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.wait_serves(standby)
            took_ms.append((time.monotonic() - begin) * 1e3)
        result = self.end(pair, bench)
        took_ms.sort()
        print(f"switchover: {len(took_ms)}, 0 lost, 0 unknown, longest gap "
              f"{result['longest_gap_ns'] / 1e6:.0f} ms, until the other one serves p50 "
              f"{took_ms[len(took_ms) // 2]:.0f} ms, max {took_ms[-1]:.0f} ms", flush=True)

        primary, standby = self.both(pair)
        self.kill(standby)
        self.wait_status(primary, mode="alone")
        refused = self.command(primary, "switchover")
        self.assertEqual(refused.returncode, REFUSED, refused.stderr)
        self.load(pair, "--updates", 500)


class Control(Failover):
    def kill_control(self, node, away_s):
        node.control.kill()
        time.sleep(away_s)
        node.start_control()

    def test_killed_again_and_again_under_load_changes_nothing(self):
        pair = self.make_lab()
        bench = self.under_load(pair)
        epoch = pair.a.status()["epoch"]
        for _ in range(100 if lab.full() else 10):
            node = self.dice.choice(list(pair.nodes.values()))
            self.kill_control(node, self.dice.choice([0, 0, 0.2]))
            # Also before it has done anything at all.
            if self.dice.random() < 0.7:
                self.wait_status(node, control="up")
        for node in pair.nodes.values():
            self.wait_status(node, control="up")
        self.assertEqual([node.status()["epoch"] for node in pair.nodes.values()], [epoch, epoch])
        result = self.end(pair, bench)
        print(f"control: longest gap {result['longest_gap_ns'] / 1e6:.0f} ms", flush=True)
        if lab.full():
            lab.note("control killed", "good", result["acked"], {"kill_control": 100})

    def test_killed_while_the_standby_learns_and_during_a_takeover_nothing_is_lost(self):
        pair = self.make_lab()
        bench = self.under_load(pair)
        for _ in range(10 if lab.full() else 1):
            primary, standby = self.both(pair)
            self.kill(standby)
            self.wait_status(primary, mode="alone")
            time.sleep(self.dice.uniform(0.2, 1.0))
            self.begin(standby)
            for node in self.dice.sample([primary, standby], 2):
                time.sleep(self.dice.uniform(0, 0.1))
                self.kill_control(node, self.dice.choice([0, 0.3]))
            pair.wait_paired(PAIR_S)

            primary, standby = self.both(pair)
            self.kill(primary)
            time.sleep(self.dice.uniform(0, 1.1 * WINDOW_S))
            self.kill_control(standby, self.dice.choice([0, 0.5]))
            self.wait_serves(standby)
            self.begin(primary)
            pair.wait_paired(PAIR_S)
        self.end(pair, bench)


@unittest.skipUnless(shutil.which("etcd"), "etcd-server is not installed")
class Etcd(Failover):
    def takeover(self, pair, meanwhile=None):
        """The primary dies; what happens meanwhile; then the standby serves, and all is well."""
        primary, standby = self.both(pair)
        self.kill(primary)
        if meanwhile:
            time.sleep(WINDOW_S)
            self.assert_serves_nobody(standby, seconds=1.0)
            self.assertFalse(standby.status()["arbiter"]["reachable"])
            meanwhile()
        self.wait_serves(standby)
        self.begin(primary)
        pair.wait_paired(PAIR_S)

    def goes_on(self, pair):
        """A healthy pair has no need of an arbiter."""
        primary, _ = self.both(pair)
        epoch, before = primary.status()["epoch"], self.answers(primary)
        time.sleep(WINDOW_S)
        self.assertEqual(primary.status()["epoch"], epoch)
        self.assertGreater(self.answers(primary), before)

    def test_killed_and_paused_it_delays_a_takeover_and_nothing_else(self):
        pair = self.make_lab(arbiter="etcd")
        bench = self.under_load(pair)
        for _ in range(10 if lab.full() else 1):
            away = ["killed", "paused"] if lab.full() else [self.dice.choice(["killed", "paused"])]
            if lab.full():
                self.takeover(pair)
            if "killed" in away:
                pair.etcd.kill()
                self.goes_on(pair)
                self.takeover(pair, pair.start_etcd)
            if "paused" in away:
                pair.etcd.signal(lab.signal.SIGSTOP)
                self.goes_on(pair)
                self.takeover(pair, lambda: pair.etcd.signal(lab.signal.SIGCONT))
        self.end(pair, bench)


if __name__ == "__main__":
    lab.main()
