#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What standfast-pipeline says about the scenarios.

usage: check_explorer.py PROGRAM scenarios|exhaustive|replay|modelled|command

500 schedules of each scenario and strategy; with STANDFAST_TESTS=full 10,000.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

FULL = os.environ.get("STANDFAST_TESTS") == "full"
SCHEDULES = 10000 if FULL else 500
COVERED_LEAST = 95.0
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
    vacuous = found("workload1-failover", "--as-modelled", strategy="random")
    expect(f"workload1-failover: {vacuous.get('overlooked')} of {vacuous.get('schedules')} "
           "schedules pass without having looked",
           vacuous["broken"] == "nothing" and vacuous["overlooked"] == vacuous["schedules"])


def command():
    run("list")
    run(code=2)
    run("run", code=2)
    run("run", "active-passive", "--strategy", "luck", code=2)
    run("run", "active-passive", "--schedules", "0", code=2)
    run("run", "active-passive", "--defect", "luck", code=2)
    run("run", "nothing-like-it", code=78)
    run("run", "../scenarios/active-passive", code=78)
    run("list", "--dir", "/nonexistent", code=78)
    run("run", "active-passive", "--schedules", "3", "--defect", "queue-lifo", code=4)
    run("run", "broken-undrained", "--strategy", "random", "--schedules", "1", code=1)
    text = run("run", "active-passive", "--schedules", "3", "--defect", "queue-lifo", code=4)
    expect("a broken run says how to see it again", "again: standfast-pipeline run" in text)
    expect("the command answers as it should", not faults)


{"scenarios": scenarios, "exhaustive": exhaustive, "replay": replay, "modelled": modelled,
 "command": command}[sys.argv[2]]()
print("\n".join(faults))
sys.exit(1 if faults else 0)
