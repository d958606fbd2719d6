#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What standfast-pipeline says about the scenarios.

usage: check_explorer.py PROGRAM scenarios|exhaustive|replay|modelled|command|variants|speed

500 schedules of each scenario and strategy; with STANDFAST_TESTS=full 10,000.
"""
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

FULL = os.environ.get("STANDFAST_TESTS") == "full"
SCHEDULES = 10000 if FULL else 500
COVERED_LEAST = 95.0
STATES_ALL = 48  # of all kinds of machine together, but for those that cannot be
STEPS_LEAST = 5e6  # a second of processor time
HERE = os.path.dirname(os.path.realpath(__file__))
PROGRAM = sys.argv[1]
faults = []


def run(*arguments, code=0):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)
    if code is not None and done.returncode != code:
        faults.append(f"{' '.join(arguments)}: exit {done.returncode}, not {code}:\n"
                      f"{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return done.stdout


def found(scenario, *arguments, strategy="pct", schedules=None, seed=1):
    lines = run("run", scenario, "--json", "--strategy", strategy, "--seed", str(seed),
                "--schedules", str(schedules or SCHEDULES), *arguments, code=None)
    objects = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    return objects[0] if objects else {"broken": "no answer", "verdict": lines}


def expect(what, condition):
    print(("ok   " if condition else "FAIL ") + what)
    if not condition:
        faults.append(what)


def scenarios():
    text = run("run", "all", "--schedules", str(SCHEDULES), "--coverage")
    covered = re.search(r"pairs of state and message \(([0-9.]+) %\)", text)
    listed = run("list", "--json").splitlines()
    expect(f"{len(listed)} scenarios are as they should be", len(listed) >= 40 and
           f"\n{2 * len(listed)} explorations as they should be, 0 not" in text)
    expect(f"{covered and covered[1]} % covered, at least {COVERED_LEAST}",
           covered is not None and float(covered[1]) >= COVERED_LEAST)
    states = re.search(r"covered: (\d+) of (\d+) component states", text)
    expect(f"{states and states[0]}: all, of all kinds of machine",
           states is not None and states[1] == states[2] and int(states[2]) >= STATES_ALL)
    expect("nothing is reached that was written down as impossible",
           "though it cannot be" not in text)
    print("\n".join(line for line in text.splitlines() if line.startswith("not reached")))


def exhaustive():
    small = found("small", strategy="exhaustive")
    expect(f"all of small: {small.get('states')} states, {small.get('steps')} deliveries",
           small["broken"] == "nothing" and small["complete"] and small["states"] > 1000000)
    canary = found("small", "--defect", "queue-lifo", strategy="exhaustive")
    expect(f"a canary is found: {canary.get('verdict')}", canary["broken"] == "order")
    stuck = found("small", "--defect", "never-probes", "--defect", "edge-recovery",
                  strategy="exhaustive")
    expect(f"a lost wake-up is found: {stuck.get('verdict')}", stuck["broken"] == "liveness")
    cut = found("small", "--states", "1000", strategy="exhaustive")
    expect("what is given up is not called complete", not cut["complete"])


def replay():
    for strategy in ("random", "pct"):
        first = found("switch-in-flight", strategy=strategy)
        expect(f"{strategy} finds: {first.get('verdict')}", first["broken"] == "order")
        seed = first.get("broken_seed", 0)
        again = found("switch-in-flight", strategy=strategy, seed=seed, schedules=1)
        same = [again.get(key) == first.get(key) for key in ("verdict", "choices", "shortened")]
        expect(f"seed {seed} alone gives the same", all(same))
        expect(f"{first.get('choices')} choices were shortened to {first.get('shortened')}",
               first.get("shortened", 0) < first.get("choices", 0))
        with tempfile.TemporaryDirectory() as folder:
            traces = []
            for name in ("one", "two"):
                path = os.path.join(folder, name)
                found("switch-in-flight", "--trace", path, strategy=strategy, seed=seed,
                      schedules=1)
                with open(path, encoding="utf-8") as file:
                    traces.append(file.read())
        expect("two traces are the same, byte for byte", traces[0] == traces[1])
        expect("a trace ends with the verdict and where the machines stand",
               first["verdict"] in traces[0].split(" -> ")[-1])
        expect("a trace has messages", traces[0].count(" -> ") > 100)
    steps = [found("active-passive-f5")["steps"] for _ in range(2)]
    expect("the same seeds take the same number of steps", steps[0] == steps[1])


# What each defect of the models is found by: scenario, options, monitor, within so many schedules.
MODELLED = [
    ("active-passive-f3", [], "liveness", "the lost wake-up"),
    ("active-passive-f5", [], "liveness", "the lost wake-up"),
    ("active-active-f3", [], "liveness", "the lost wake-up"),
    ("active-passive-failover", [], "order", "two polls, removed by position"),
    ("active-passive-failover", ["--own-monitors"], "removal", "a record that is removed unseen"),
    ("active-passive-f3", ["--own-monitors"], "convergence", "a row twice"),
    ("workload1-f3", ["--own-monitors"], "convergence", "a row twice"),
    ("workload1", ["--own-monitors"], "answered", "a majority of one"),
]


def modelled():
    for scenario, options, monitor, what in MODELLED:
        result = found(scenario, "--as-modelled", *options)
        expect(f"{scenario}: {what}: {result.get('verdict')}", result["broken"] == monitor)
    blind = found("active-passive-f3", "--as-modelled", strategy="random")
    expect("random finds nothing in f3, as in the models", blind["broken"] == "nothing")
    # The second poll gets what the first one has: the destination has it twice, and the models' own
    # monitor stumbles over the removals behind it.
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "trace")
        for options in ([], ["--own-monitors"]):
            result = found("active-passive-failover", "--as-modelled", *options, "--trace", path)
            with open(path, encoding="utf-8") as file:
                repeats = file.read().count("[repeated #")
            expect(f"a duplicate after a switch, {repeats} times, in schedule "
                   f"{result['schedules']}", repeats > 0)
    pct = found("workload1-failover", "--as-modelled", schedules=1)
    expect("pct: workload1-failover passes without having looked in its first schedule",
           pct["broken"] == "nothing" and pct["overlooked"] == 1)
    vacuous = found("workload1-failover", "--as-modelled", strategy="random")
    expect(f"workload1-failover: {vacuous.get('overlooked')} of {vacuous.get('schedules')} "
           "schedules pass without having looked",
           vacuous["broken"] == "nothing" and vacuous["overlooked"] == vacuous["schedules"])


# Scenarios that are changed where they are looked at, so that they must break: what, of which scenario,
# this text by that, the monitor.
VARIANTS = [
    ("halves that are right in all and wrong in each batch", "active-active-f4",
     "[ 5, 5,  5, 5,  5, 5 ]", "[ 6, 4,  4, 6,  5, 5 ]", "split"),
    ("a failover that leaves something to region 1", "workload1-failover",
     "[ 25, 25,  0, 50,  0, 50 ]", "[ 25, 25,  1, 49,  0, 50 ]", "split"),
    ("queues that are not bounded after all", "slow-component",
     '{ of = "queue"; capacity = 4; },', "", "expect"),
    ("a database that does not fail", "active-passive-f2",
     '{ fail = [ "preprocess-database" ]; },', "", "expect"),
    ("a queue that does not fail", "active-active-f3",
     '{ fail = [ "inbound-preprocess-queue.1" ]; },', "", "expect"),
    ("a stream that does not fail", "workload1-f3",
     '{ fail = [ "outbound-stream.1" ]; },', "", "expect"),
    ("rows that a forced switch left behind", "unplanned-failover",
     '"convergence", ', "", "convergence"),
    ("a region that nobody brings back", "unplanned-failover",
     '"inbound-queue.1", "inbound-container.1", "inbound-preprocess-queue.1",\n                '
     '"preprocess-container.1", "preprocess-core-queue.1"', '"outbound-queue.1"', "expect"),
    ("a region that is not taken offline", "active-active-weighted",
     '{ offline = [ "in-dns", "out-dns" ]; region = 1; },', "", "liveness"),
    ("weights that are drawn, and no halves", "active-active-weighted",
     "batches = 3;", "batches = 3;\nsplit = [ 10, 20 ];", "split"),
    ("two members of three that fail", "outage-member",
     'fail = [ "processor-database.1" ]', 'fail = [ "processor-database.1", "processor-database.2" ]',
     "liveness"),
    ("a queue that is asked for ever whether it is empty", "unplanned-failover",
     '"postprocess-outbound-queue.1", "outbound-container.1", "outbound-queue.1" ]; },\n  { drained',
     '"postprocess-outbound-queue.1", "outbound-queue.1" ]; },\n  { drained', "liveness"),
]


def variants():
    with tempfile.TemporaryDirectory() as folder:
        for part in ("architectures", "scenarios"):
            shutil.copytree(os.path.join(HERE, part), os.path.join(folder, part))
        for what, name, old, new, monitor in VARIANTS:
            path = os.path.join(folder, "scenarios", name + ".conf")
            with open(path, encoding="utf-8") as file:
                text = file.read()
            at = text.rfind(old)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text[:at] + new + text[at + len(old):])
            results = [found(name, "--dir", folder, strategy=strategy, schedules=100)
                       for strategy in ("random", "pct")]
            expect(f"{what}: {results[0].get('verdict')}", at >= 0 and
                   any(one["broken"] == monitor for one in results))
            expect("and is no matter of going round until there are no more steps",
                   all("round and round" not in one.get("verdict", "") for one in results))
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    # Who is held up by an outage does not stop, and needs no probe; whose write times out does.
    for name, broken in (("outage-block", "nothing"), ("outage-time-out", "liveness")):
        result = found(name, "--defect", "never-probes", schedules=100)
        expect(f"{name}, without probes: {result['broken']}", result["broken"] == broken)


def speed():
    for name in ("active-passive-f3", "active-active-f5", "workload1-failover"):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        steps = sum(found(name, strategy=strategy, schedules=1000)["steps"]
                    for strategy in ("random", "pct"))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        expect(f"{name}: {steps / seconds / 1e6:.1f} million steps a second of processor time",
               steps / seconds >= STEPS_LEAST)


def stderr(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False).stderr


def again(text):
    """What a broken run says it takes to see it again."""
    line = re.search(r"again: standfast-pipeline (.*)", text)
    return line[1].split() if line else []


def options():
    # Each of these would be left out without a word, or spoil the output.
    for bad in (["--batch", "5"], ["--runs", "2"], ["--live", "--schedules", "5"],
                ["--live", "--coverage"], ["--json", "--trace", "-"], ["--own-monitors"],
                ["--strategy", "exhaustive", "--trace", "/dev/null"]):
        run("run", "active-passive", *bad, code=2)
    expect("an option that cannot be is named",
           "--seed: x is nothing" in stderr("run", "active-passive", "--seed", "x"))
    expect("a misspelt scenario gets a hint",
           "did you mean active-passive-f3?" in stderr("run", "actve-passive-f3"))
    expect("one that is like none does not", "did you mean" not in stderr("run", "zebra"))
    run("run", "active-passive", "--schedules", "3", "--trace", "/nonexistent/trace", code=1)


def exit_codes():
    queue = ["active-passive", "--schedules", "3", "--defect", "queue-lifo"]
    run("run", *queue, code=4)
    run("run", "nothing-like-it", *queue, code=4)
    run("run", "nothing-like-it", "broken-undrained", "--strategy", "random", "--schedules", "1",
        code=78)
    run("run", "broken-undrained", "nothing-like-it", "--strategy", "random", "--schedules", "1",
        code=78)
    run("run", "broken-undrained", "--strategy", "random", "--schedules", "1", code=1)
    run("run", "nothing-like-it", "switch-in-flight", "--live", code=78)
    skipped = run("run", "switch-in-flight", "--live", "--json", code=77)
    expect("what is skipped says so as an object", "skipped" in json.loads(skipped))


def command():
    text = run("list")
    expect("the list has the defects", "\nqueue-lifo " in text and "\nactive-passive " in text)
    objects = [json.loads(line) for line in run("list", "--json").splitlines()]
    expect("the list as objects", {"scenario": "switch-in-flight", "expected": "order",
                                   "architecture": "active-passive", "records": 20}.items() <=
           next(one for one in objects if one["scenario"] == "switch-in-flight").items())
    run(code=2)
    run("run", code=2)
    run("run", "active-passive", "--strategy", "luck", code=2)
    run("run", "active-passive", "--schedules", "0", code=2)
    run("run", "active-passive", "--defect", "luck", code=2)
    run("run", "nothing-like-it", code=78)
    run("run", "../scenarios/active-passive", code=78)
    run("list", "--dir", "/nonexistent", code=78)
    good = [found(name, strategy="random", schedules=1)["good"] for name in
            ("active-passive", "broken-order", "broken-undrained")]
    expect(f"an object says whether it is as it should be: {good}", good == [True, True, False])
    options()
    exit_codes()
    for defects in (["--defect", "queue-lifo", "--defect", "never-probes"],
                    ["--as-modelled", "--own-monitors"]):
        text = run("run", "active-passive-failover", "--schedules", "30", *defects, code=4)
        verdict = re.search(r"BROKEN (.*)", text)
        expect("the line that says how to see it again shows the same: " + str(verdict and verdict[1]),
               verdict and f"BROKEN {verdict[1]}" in run(*again(text), code=4))
    expect("the command answers as it should", not faults)


{"scenarios": scenarios, "exhaustive": exhaustive, "replay": replay, "modelled": modelled,
 "command": command, "variants": variants, "speed": speed}[sys.argv[2]]()
print("\n".join(faults))
sys.exit(1 if faults else 0)
