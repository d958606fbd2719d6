#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Control and the standfast command with a real pair under load.

test_control_pair.py STANDFAST CONTROL DATAPLANE BENCH

Without a log, where roles are as configured: control is killed and started while clients are served,
which must not notice; then the standby's dataplane is killed and started, which control and the
operator must notice. Then with the examples as they are: the standby takes over.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

STANDFAST, CONTROL, DATAPLANE, BENCH = (os.path.abspath(path) for path in sys.argv[1:5])
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE_S = 60


def wait_until(what, question):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = question()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE_S} s: {what}")


class Pair:
    def __init__(self, log):
        self.folder = tempfile.mkdtemp(prefix="sfpair-", dir="/tmp")
        self.running = {}
        for name in "ab":
            example = os.path.join(TOP, "config", "examples", f"demo-memif-{name}.conf")
            with open(example) as source, open(self.conf(name), "w") as target:
                text = source.read().replace("/run/standfast-demo", self.folder)
                if not log:
                    # With one a dataplane waits at its start for control, which replays it; and an
                    # arbiter is only for nodes that have one.
                    text = text.replace("log: {", 'log: { enabled = "off";')
                    text = text.replace('kind = "file"', 'kind = "none"')
                target.write(text)

    def conf(self, name):
        return os.path.join(self.folder, f"{name}.conf")

    def start(self, program, name):
        log = os.path.join(self.folder, f"{name}-{os.path.basename(program)}.log")
        with open(log, "a") as output:
            process = subprocess.Popen([program, "-c", self.conf(name)], stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=output)
        self.running[program, name] = process

    def kill(self, program, name):
        process = self.running.pop((program, name))
        process.kill()
        process.wait()

    def stop_all(self):
        """Ends everything as an operator would; the exit codes."""
        codes = {}
        for (program, name), process in self.running.items():
            process.terminate()
        for (program, name), process in self.running.items():
            codes[os.path.basename(program), name] = process.wait(timeout=PATIENCE_S)
        self.running = {}
        return codes

    def close(self, show_logs):
        for process in self.running.values():
            process.kill()
            process.wait()
        if show_logs:
            for log in sorted(os.listdir(self.folder)):
                if log.endswith(".log"):
                    with open(os.path.join(self.folder, log)) as text:
                        print(f"--- {log}\n{text.read()}")
        shutil.rmtree(self.folder)

    def run(self, name, *words):
        return subprocess.run([STANDFAST, *words, "-c", self.conf(name)], capture_output=True,
                              text=True, timeout=PATIENCE_S)

    def json(self, name, *words):
        """The JSON of a verb; {} when its exit code is not 0."""
        result = self.run(name, *words, "--json")
        return json.loads(result.stdout) if result.returncode == 0 else {}

    def mode(self, name):
        return self.json(name, "status").get("mode")


def serves_without_control(pair):
    for name in "ab":
        pair.start(DATAPLANE, name)
    wait_until("paired", lambda: pair.mode("a") == "paired" and pair.mode("b") == "standby")
    for name in "ab":
        assert pair.json(name, "status")["control"] == "down"
    assert pair.run("a", "is-primary").returncode == 0
    assert pair.run("b", "is-primary").returncode == 1


def clients_do_not_notice_that_control_is_killed(pair):
    for name in "ab":
        pair.start(CONTROL, name)
    bench = subprocess.Popen(
        [BENCH, "--to",
         f"memif:{pair.folder}/client-a.sock,{pair.folder}/client-b.sock",
         "--outstanding", "8", "--duration", "5s", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=pair.folder)
    try:
        wait_until("updates", lambda: pair.json("a", "status")["sequence"] > 100)
        kills = 0
        while bench.poll() is None and kills < 20:
            for name in "ab":
                pair.kill(CONTROL, name)
                pair.start(CONTROL, name)
            kills += 1
            wait_until("control is up", lambda: all(
                pair.json(name, "digest", "--at", "current") for name in "ab"))
        output, errors = bench.communicate(timeout=PATIENCE_S)
    finally:
        if bench.poll() is None:
            bench.kill()
            bench.wait()
    assert bench.returncode == 0, (bench.returncode, output, errors)
    summary = json.loads(output)
    assert summary["acked"] > 0 and summary["lost_after_ack"] == 0, summary
    assert summary["applied_twice"] == 0 and kills >= 2, (kills, summary)
    print(f"{summary['acked']} updates, control of both nodes killed {kills} times meanwhile")


def nodes_are_level(pair):
    def same():
        a, b = (pair.json(name, "digest", "--at", "current") for name in "ab")
        return a and a == b and a
    return wait_until("equal digests", same)


def nodes_agree(pair):
    digest = nodes_are_level(pair)
    status = pair.json("a", "status")
    assert status["sequence"] == status["committed"] == digest["sequence"] > 0, status
    assert pair.json("b", "digest", "--at", str(digest["sequence"])) == digest
    answered = pair.json("a", "latency")["stages"]["answered"]
    assert answered["count"] > 0 and 0 < answered["p50_ns"] <= answered["max_ns"], answered
    counters = pair.json("a", "counters")
    assert counters["sequencer"]["updates"] > 0 and counters["sequencer"]["control_commands"] > 0
    assert counters["node"]["assets"] == pair.json("b", "counters")["node"]["assets"] > 0


def standby_that_is_killed_is_noticed(pair):
    sequence = pair.json("a", "status")["sequence"]
    pair.kill(DATAPLANE, "b")
    wait_until("blocked", lambda: pair.mode("a") == "blocked")
    status = pair.json("a", "status")
    assert status["last_change"]["reason"] == "peer_silent", status["last_change"]
    assert status["peer"]["reachable"] is False and status["peer"]["heartbeat_age_ns"] > 0
    assert pair.run("a", "is-primary").returncode == 0
    assert pair.run("b", "status").returncode == 3
    wait_until("a's event", lambda: pair.json("a", "events")["events"][-1]["mode"] == "blocked")
    wait_until("b's event", lambda: pair.json("b", "events")["events"][-1]["event"] == "lost")
    pair.start(DATAPLANE, "b")
    wait_until("b attached", lambda: pair.json("b", "events")["events"][-1]["event"] in
               ("attached", "mode"))
    wait_until("the reason", lambda: pair.json("a", "status")["last_change"]["reason"] ==
               "peer_lost_memory")
    assert pair.json("a", "status")["sequence"] == sequence
    assert pair.json("b", "digest", "--at", "current")["sequence"] == 0


def everything_stops_when_told(pair):
    codes = pair.stop_all()
    assert len(codes) == 4 and set(codes.values()) == {0}, codes
    for name in "ab":
        assert pair.run(name, "status").returncode == 3


def a_pair_as_in_the_examples_is_founded(pair):
    for name in "ab":
        pair.start(DATAPLANE, name)
        pair.start(CONTROL, name)
    wait_until("paired", lambda: pair.mode("a") == "paired" and pair.mode("b") == "standby")
    arbiter = pair.json("a", "status")["arbiter"]
    assert (arbiter["kind"], arbiter["reachable"]) == ("file", True), arbiter


def standby_takes_over_and_the_former_primary_comes_back(pair):
    epoch = pair.json("b", "status")["epoch"]
    for program in (CONTROL, DATAPLANE):
        pair.kill(program, "a")
    wait_until("b alone", lambda: pair.mode("b") == "alone")
    assert pair.run("b", "is-primary").returncode == 0
    assert pair.json("b", "status")["in_sync"] == ["b"]
    for program in (DATAPLANE, CONTROL):
        pair.start(program, "a")
    wait_until("paired again", lambda: pair.mode("b") == "paired" and pair.mode("a") == "standby")
    assert pair.json("b", "status")["epoch"] > epoch
    assert pair.run("a", "is-primary").returncode == 1
    modes = [event["mode"] for event in pair.json("b", "events")["events"]
             if event["event"] == "mode"]
    assert "candidate" in modes and "alone" in modes[modes.index("candidate"):], modes


def a_dead_control_stops_nobody(pair):
    for name in "ab":
        pair.kill(CONTROL, name)
    bench = subprocess.run(
        [BENCH, "--to", f"memif:{pair.folder}/client-a.sock,{pair.folder}/client-b.sock",
         "--outstanding", "8", "--updates", "1000", "--json"],
        capture_output=True, text=True, cwd=pair.folder, timeout=PATIENCE_S)
    assert bench.returncode == 0, bench
    assert pair.mode("b") == "paired" and pair.mode("a") == "standby"
    for name in "ab":
        pair.start(CONTROL, name)
    nodes_are_level(pair)


def run_steps(log, steps):
    pair = Pair(log)
    good = False
    try:
        for step in steps:
            begin = time.monotonic()
            step(pair)
            print(f"ok {time.monotonic() - begin:6.2f} s  {step.__name__}", flush=True)
        good = True
    finally:
        pair.close(show_logs=not good)


def main():
    run_steps(False, (serves_without_control, clients_do_not_notice_that_control_is_killed,
                      nodes_agree, standby_that_is_killed_is_noticed, everything_stops_when_told))
    run_steps(True, (a_pair_as_in_the_examples_is_founded,
                     standby_takes_over_and_the_former_primary_comes_back,
                     a_dead_control_stops_nobody, everything_stops_when_told))


main()
