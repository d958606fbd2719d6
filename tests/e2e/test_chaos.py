#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A pair under load to which things happen: kills, pauses longer than the window, cuts, an arbiter
that is away, processes and single threads that stand still, full disks, steps of the wall clock,
total restarts in every order. One seed draws the plan.

The judge is the load generator's ledger, kept outside both nodes, and at the end both nodes' digests.
A long run adds a line to soak.tsv and says the sums.
"""
import calendar
import collections
import os
import random
import signal
import subprocess
import time

import lab

QUICK_S, FULL_S = 45, 1200
RATE = 4000
LOAD = ["--rate", RATE, "--timeout", "100ms", "--drain", "90s", "--assets", 400]
# Silence until a takeover: ten heartbeats, and the standby's delay. A long run has more of
# everything, false takeovers too.
HEARTBEAT_MS, DELAY_MS = (40, 100) if lab.full() else (100, 200)
WINDOW_S = (10 * HEARTBEAT_MS + DELAY_MS) / 1000
PAIR_S = 90                 # a shared disk was seen to take ten seconds for a sync
# CHAOS_KINDS="kill_primary cut_one" and CHAOS_S=120 by hand: only these, for so long.
ONE_NODE = ("kill_primary", "kill_standby", "pause_primary", "pause_standby", "stop_thread",
            "cut_both", "cut_to_standby", "cut_to_primary", "arbiter_away", "kill_control",
            "switchover", "stop_node")
BOTH_NODES = ("kill_both", "kill_all_orders")
KINDS = (*ONE_NODE, *BOTH_NODES, "disk_full", "clock_step")
THREADS = ("sf-pmd-1", "sf-journal", "standfast-datap")
DISK_MIB = 256
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
CLOCK_CACHE_S = 1           # after that libfaketime looks at its file again
CLOCK_STEPS_S = (-86400, -3600, -5, 0, 5, 3600, 86400)


def duration_s():
    return float(os.environ.get("CHAOS_S") or (FULL_S if lab.full() else QUICK_S))


class Chaos(lab.LabTest):
    def setUp(self):
        self.dice = random.Random(lab.SEED)
        self.done = collections.Counter()
        self.said = []

    # --- what can happen ---

    def both(self, pair):
        """(primary, standby); waits until there are both."""
        primary = pair.wait_primary(PAIR_S)
        return primary, pair.nodes["b" if primary.name == "a" else "a"]

    def kill(self, node):
        processes = node.processes()
        self.dice.shuffle(processes)
        for process in processes:
            process.kill()

    def start(self, *nodes):
        for node in nodes:
            node.start_dataplane()
            node.start_control()
        for node in nodes:
            node.wait_running()

    def kill_primary(self, pair):
        primary, _ = self.both(pair)
        self.kill(primary)
        time.sleep(self.dice.choice([0, 0.2, WINDOW_S, 2 * WINDOW_S]))
        self.start(primary)

    def kill_standby(self, pair):
        _, standby = self.both(pair)
        self.kill(standby)
        time.sleep(self.dice.choice([0, 0.2, WINDOW_S, 2 * WINDOW_S]))
        self.start(standby)

    def kill_both(self, pair):
        nodes = list(pair.nodes.values())
        self.dice.shuffle(nodes)
        for node in nodes:
            self.kill(node)
        self.dice.shuffle(nodes)
        self.start(*nodes)

    def kill_all_orders(self, pair):
        """A total restart: the last primary first, last, or both at once. Who is primary then is for
        test_failover: a standby whose disk holds everything waits for the other one, but not for
        ever, and this machine is busy."""
        primary, standby = self.both(pair)
        first, second = self.dice.choice([(primary, standby), (standby, primary)])
        self.kill(primary)
        self.kill(standby)
        self.dice.choice([self.start_one_by_one, self.start])(first, second)
        if first is standby:
            self.done["stale_first"] += 1

    def start_one_by_one(self, first, second):
        self.start(first)
        time.sleep(self.dice.choice([0.5, WINDOW_S]))
        self.start(second)

    def pause_primary(self, pair):
        """A zombie: it wakes up when the other one serves."""
        primary, _ = self.both(pair)
        primary.pause()
        time.sleep(self.dice.uniform(WINDOW_S, 3 * WINDOW_S))
        primary.resume()

    def pause_standby(self, pair):
        _, standby = self.both(pair)
        standby.pause()
        time.sleep(self.dice.uniform(0.1, 2 * WINDOW_S))
        standby.resume()

    def stop_thread(self, pair):
        """One thread of a process stands still, as under a debugger; the others go on."""
        node = self.dice.choice(list(pair.nodes.values()))
        stop_ms = self.dice.choice([50, 500, 2500])
        subprocess.run([os.path.join(os.environ["STANDFAST_BUILD"], "tests/e2e/stop_thread"),
                        str(node.dataplane.pid()), self.dice.choice(THREADS), str(stop_ms)],
                       check=True, capture_output=True, timeout=30)

    def cut(self, pair, way):
        pair.tell_relay("cut " + way)
        time.sleep(self.dice.choice([0.3, WINDOW_S, 3 * WINDOW_S]))
        pair.tell_relay("heal")

    def cut_both(self, pair):
        self.cut(pair, "both")

    def cut_to_standby(self, pair):
        primary, standby = self.both(pair)
        self.cut(pair, f"{primary.name}-{standby.name}")

    def cut_to_primary(self, pair):
        primary, standby = self.both(pair)
        self.cut(pair, f"{standby.name}-{primary.name}")

    def arbiter_away(self, pair):
        """Its folder is not to be read, or etcd stands still or is dead, while a node dies or the
        link is cut."""
        folder = os.path.join(pair.dir, "arbiter")
        etcd = pair.options["arbiter"] == "etcd"
        dies = etcd and self.dice.random() < 0.5
        if dies:
            pair.etcd.kill()
        elif etcd:
            pair.etcd.signal(signal.SIGSTOP)
        else:
            os.rename(folder, folder + ".away")
        try:
            self.dice.choice([self.kill_primary, self.kill_standby, self.cut_both])(pair)
            time.sleep(self.dice.uniform(0, WINDOW_S))
        finally:
            if dies:
                pair.start_etcd()
            elif etcd:
                pair.etcd.signal(signal.SIGCONT)
            else:
                os.rename(folder + ".away", folder)

    def disk_full(self, pair):
        """Until there is no byte left, and sometimes the node dies meanwhile."""
        node = self.dice.choice(list(pair.nodes.values()))
        filler = os.path.join(node.state_dir, "filler")
        try:
            with open(filler, "wb", buffering=0) as file:
                while file.write(bytes(1 << 18)):
                    pass
        except OSError:
            pass
        self.wait("the disk to be full", lambda: (node.status() or {"log": {"full": False}})
                  ["log"]["full"], 30)
        if self.dice.random() < 0.5:
            self.kill(node)
        time.sleep(self.dice.uniform(0, 2))
        os.remove(filler)
        if not node.dataplane.pid():
            self.start(node)

    def clock_step(self, pair):
        """Both nodes' wall clocks; the event of a control process that starts shows it."""
        for node in pair.nodes.values():
            step = self.dice.choice(CLOCK_STEPS_S)
            with open(node.environment["FAKETIME_TIMESTAMP_FILE"], "w") as file:
                file.write(f"{step:+d}")
            self.kill_control_of(node)

            def seen():
                answer = node.ask("events")
                if not answer or not answer["events"]:
                    return False
                last = answer["events"][-1]
                said = calendar.timegm(time.strptime(last["at"][:19], "%Y-%m-%dT%H:%M:%S"))
                return abs(said - time.time() - step) < 60
            self.wait(f"an event {step} s away", seen, 30)

    def kill_control(self, pair):
        self.kill_control_of(self.dice.choice(list(pair.nodes.values())))

    def kill_control_of(self, node):
        node.control.kill()
        time.sleep(self.dice.choice([0, 0.5]))
        node.start_control()

    def switchover(self, pair):
        primary, _ = self.both(pair)
        subprocess.run([pair.programs["standfast"], "switchover", "-c", primary.config],
                       capture_output=True, timeout=30, check=False)

    def stop_node(self, pair):
        """In good order."""
        node = self.dice.choice(list(pair.nodes.values()))
        node.stop()
        time.sleep(self.dice.choice([0, 0.5]))
        self.start(node)

    # --- the plan ---

    def wait_whole(self, pair, bench):
        try:
            pair.wait_paired(PAIR_S)
        except lab.LabError as error:
            self.fail(f"{error}\nafter {self.said[-5:]}, SEED={lab.SEED}")
        self.assertTrue(bench.running(), f"the load ended after {self.said[-5:]}")

    def rounds(self, pair, bench, kinds, end):
        while time.monotonic() < end:
            time.sleep(self.dice.uniform(0.1, 1.0))
            kind = self.dice.choice(kinds)
            self.said.append(kind)
            getattr(self, kind)(pair)
            self.done[kind] += 1
            self.wait_whole(pair, bench)

    def own_disks(self, pair):
        """A small file system for each node's state."""
        lab.need_root()
        for node in pair.nodes.values():
            os.makedirs(node.state_dir, mode=0o700, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0700", "none",
                            node.state_dir], check=True)
            self.addCleanup(subprocess.run, ["umount", "-l", node.state_dir], check=False)

    @staticmethod
    def own_clocks(pair):
        """Debian's libfaketime moves the wall clock of a node's processes, not the monotonic one."""
        for node in pair.nodes.values():
            steps = os.path.join(pair.dir, node.name + "-clock.ctl")
            with open(steps, "w") as file:
                file.write("+0")
            node.environment = {
                "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": steps,
                "FAKETIME_CACHE_DURATION": str(CLOCK_CACHE_S), "DONT_FAKE_MONOTONIC": "1",
                "NO_FAKE_STAT": "1", "FAKETIME_DISABLE_SHM": "1"}

    def chaos(self, name, kinds, seconds, **options):
        kinds = os.environ.get("CHAOS_KINDS", "").split() or kinds
        pair = self.prepare_lab(heartbeat_interval=f"{HEARTBEAT_MS} ms",
                                takeover_delay=f"{DELAY_MS} ms", **options)
        if "disk_full" in kinds:
            self.own_disks(pair)
        if "clock_step" in kinds:
            self.own_clocks(pair)
        result, acked = "failed", 0
        try:
            pair.start()
            bench = lab.Bench(self, pair, *LOAD, "--duration", "7200s")
            self.wait("load", lambda: pair.wait_primary().status()["sequence"] > 1000)
            self.rounds(pair, bench, kinds, time.monotonic() + seconds)
            bench.stop()
            summary = bench.check()
            self.assert_level(pair)
            result, acked = "good", summary["acked"]
        finally:
            if lab.full():
                lab.note(name, result, acked, self.done)
        what = ", ".join(f"{count} {kind}" for kind, count in sorted(self.done.items()))
        print(f"{name}: {acked} acknowledged, 0 lost, 0 twice, longest gap "
              f"{summary['longest_gap_ns'] / 1e6:.0f} ms; {what}", flush=True)

    def test_everything_with_durable_acknowledgements_and_the_file_arbiter_nothing_is_lost(self):
        kinds = [kind for kind in KINDS if kind not in ("disk_full", "clock_step")]
        self.chaos("durable, file", kinds, duration_s() / 3, ack="durable")

    def test_one_node_at_a_time_with_received_acknowledgements_and_etcd_nothing_is_lost(self):
        self.chaos("received, etcd", ONE_NODE, duration_s() / 3, arbiter="etcd", workers_b=2)

    def test_full_disks_and_clocks_that_step_lose_nothing(self):
        self.chaos("small disks, clocks", ("disk_full", "clock_step", "kill_primary",
                                           "pause_primary", "kill_both"),
                   duration_s() / 3, log_segment="1 MiB", log_reserve="1 MiB")


if __name__ == "__main__":
    lab.main()
