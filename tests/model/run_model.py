#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the model of the roles (pair.pml) through spin: one line per run, one sum.

usage: run_model.py [--full] [--build DIR] [--list] [--trace NAME] [NAME ...]

A run is expected to be clean (no violation in the whole bounded state space) or to give a violation
(a mutant, or a reachability check). The quick form takes under two minutes on one CPU; --full adds
the large clean runs, and goes on where it was if it was ended: what a run of the same model and flags
gave is in DIR/model-results.json. --trace searches breadth first and prints the shortest violation.
exit: 0 as expected, 1 not, 2 usage, 77 no spin or no C compiler
"""
import argparse
import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
MODEL = os.path.join(HERE, "pair.pml")
CLEAN, VIOLATION = "clean", "violation"
QUICK_SECONDS, FULL_SECONDS = 60, 400       # of one run; several times what they take when alone
QUICK_MIB, FULL_MIB = 3500, 6000


@dataclasses.dataclass
class Run:
    name: str
    flags: str
    expect: str = CLEAN
    full: bool = False
    bitstate: bool = False      # not exhaustive; for what does not fit
    far: bool = False           # a violation that is found late: worth an optimizing compiler


def _mutant(name, flags="", far=False):
    policy = f" ({flags.replace(' ', ', ')})" if flags else ""
    return Run(f"mutant {name}{policy}", f"MAXCRASH=2 MAXT=5 {flags} MUT_{name}", VIOLATION,
               far=far)


def _bounds(crashes, epochs, flags=""):
    return f"MAXCRASH={crashes} MAXT={epochs} {flags}"


RUNS = [
    # Everything holds.
    Run("W", _bounds(1, 4)),
    Run("W, durable", _bounds(1, 4, "DISKSYNC=1")),
    Run("W, clean stops", _bounds(1, 4, "CLEAN")),
    Run("W, hanging disk", _bounds(1, 4, "DISK")),
    Run("W, damaged record", _bounds(1, 4, "ROT")),
    Run("N1", _bounds(2, 5, "N1")),
    Run("N1, hand-over", _bounds(1, 4, "N1 HAND")),
    Run("N2", _bounds(1, 4, "N2")),
    Run("N2, durable", _bounds(1, 4, "N2 DISKSYNC=1")),
    Run("N2, clean stops", _bounds(1, 4, "N2 CLEAN")),
    Run("N2, hanging disk", _bounds(1, 4, "N2 DISK")),
    Run("N2, durable, damaged record, both copies", _bounds(1, 4, "N2 ROT DISKSYNC=1 BOTHCOPIES")),
    # The good states exist.
    Run("reach 1: roles exchanged, paired again", _bounds(2, 5, "REACH=1"), VIOLATION),
    Run("reach 2: R20, commits after the move", _bounds(2, 5, "REACH=2"), VIOLATION),
    Run("reach 2: N1, the standby leaves", _bounds(2, 5, "N1 REACH=2"), VIOLATION),
    Run("reach 3: a zombie is asked", _bounds(2, 5, "REACH=3"), VIOLATION, far=True),
    Run("reach 4: merge from memory", _bounds(2, 5, "REACH=4"), VIOLATION, far=True),
    Run("reach 5: a CAS outlives its sender", _bounds(2, 5, "REACH=5"), VIOLATION),
    Run("reach 6: N2, exchanged", _bounds(2, 5, "N2 REACH=6"), VIOLATION),
    Run("reach 7: N2, same roles again", _bounds(2, 5, "N2 REACH=7"), VIOLATION),
    Run("reach 6: N1, handed over", _bounds(2, 5, "N1 HAND REACH=6"), VIOLATION),
    Run("reach 7: N1, same roles again", _bounds(2, 5, "N1 REACH=7"), VIOLATION),
    Run("reach 8: steps down for its disk", _bounds(0, 4, "DISK REACH=8"), VIOLATION),
    Run("reach 9: N2, the standby left and is back", _bounds(0, 4, "N2 REACH=9"), VIOLATION),
    Run("reach 10: N2, acknowledges after it gave", _bounds(0, 4, "N2 REACH=10"), VIOLATION),
    Run("reach 11: a deaf primary is still heard", _bounds(0, 4, "REACH=11"), VIOLATION),
    # Mutants.
    _mutant("BOTH"),
    _mutant("ACKCAND", far=True),
    _mutant("ACKPRIM"),
    _mutant("READNOECHO"),
    _mutant("READNOECHO", "N1 HAND"),
    _mutant("OLDACK", far=True),
    _mutant("AMNESIA"),
    _mutant("ADMIT"),
    _mutant("ADMIT_EARLY", far=True),
    _mutant("ADMIT_EARLY", "N2"),
    _mutant("NOBARRIER"),
    _mutant("NOBARRIER", "N2"),
    _mutant("RECORD_BEFORE_LOG"),
    _mutant("ALONEMEM"),
    _mutant("SAMETERM"),
    _mutant("LASTPRIM"),
    _mutant("MERGE_SHORT"),
    _mutant("MERGE_UNSYNCED", far=True),
    _mutant("BLOCKOFF"),
    _mutant("ABANDON_NOTED"),
    _mutant("NOLEARN"),
    _mutant("N2_TWO_HOLDERS", "N2", far=True),
    _mutant("HAND_TWO_HOLDERS", "N1 HAND"),
    _mutant("GIVE_TOLD_FIRST", "N2"),
    _mutant("TAKE_AT_ONCE", "N2"),
    _mutant("DISK_DROPS", "DISK"),
    # The rules without the second copy of what gives the right away (README, findings).
    Run("N2, damaged record, one copy", _bounds(1, 4, "N2 ROT ONEWRITE"), VIOLATION),
    Run("N2, durable, damaged record, one copy", _bounds(1, 4, "N2 ROT DISKSYNC=1"), VIOLATION),
    Run("N1, hand-over, damaged record, one copy", _bounds(1, 4, "N1 HAND ROT DISKSYNC=1"),
        VIOLATION),
    # Large and clean.
    Run("W, 3 crashes", _bounds(3, 6), full=True),
    Run("W, durable, 3 crashes", _bounds(3, 6, "DISKSYNC=1"), full=True),
    Run("W, clean stops, hanging disk", _bounds(3, 5, "CLEAN DISK"), full=True),
    Run("W, damaged record, clean stops", _bounds(2, 5, "ROT CLEAN"), full=True),
    Run("W, damaged record, durable", _bounds(2, 5, "ROT DISKSYNC=1"), full=True),
    Run("W, three requests", _bounds(1, 4, "NID=3"), full=True),
    Run("W, three frames", _bounds(2, 5, "SLOTS=3"), full=True),
    Run("N1, 3 crashes, hanging disk", _bounds(3, 6, "N1 CLEAN DISK"), full=True),
    Run("N1, hand-over, 2 crashes", _bounds(2, 5, "N1 HAND"), full=True),
    Run("N1, hand-over, damaged record, both copies",
        _bounds(1, 4, "N1 HAND ROT BOTHCOPIES"), full=True),
    Run("N2, clean stops, 2 crashes", _bounds(2, 5, "N2 CLEAN"), full=True),
    Run("N2, hanging disk, 2 crashes", _bounds(2, 5, "N2 DISK"), full=True),
    Run("N2, durable, hanging disk, 2 crashes", _bounds(2, 5, "N2 DISKSYNC=1 DISK"), full=True),
    Run("N2, damaged record, two writes", _bounds(1, 4, "N2 ROT"), full=True),
    Run("N2, damaged record, both copies, 2 crashes",
        _bounds(2, 5, "N2 ROT ONEWRITE BOTHCOPIES"), full=True),
    # Without their rule these states are not there.
    Run("reach 8: not without DISK", _bounds(0, 4, "REACH=8"), full=True),
    Run("reach 10: not with NOLEAVE", _bounds(0, 4, "N2 NOLEAVE REACH=10"), full=True),
    # Rules that safety does not need, by this model (README, findings).
    Run("not needed: W, ABANDON", _bounds(2, 5, "MUT_ABANDON"), full=True),
    Run("not needed: W, ABANDON_CAND", _bounds(2, 5, "MUT_ABANDON_CAND"), full=True),
    Run("not needed: N2, ABANDON", _bounds(2, 5, "N2 MUT_ABANDON"), full=True),
    Run("not needed: W, DISK_VOTES", _bounds(2, 5, "DISK MUT_DISK_VOTES"), full=True),
    Run("not needed: N2, DISK_VOTES", _bounds(2, 5, "N2 DISK MUT_DISK_VOTES"), full=True),
    Run("not needed: W, ECHOCAND", _bounds(2, 5, "MUT_ECHOCAND"), full=True),
    Run("not needed: N1, READNOECHO", _bounds(2, 5, "N1 MUT_READNOECHO"), full=True),
    Run("W, three requests, 2 crashes", _bounds(2, 5, "NID=3"), full=True, bitstate=True),
]


def _defines(run):
    return [f"-D{flag}" for flag in run.flags.split()]


def _compiler_flags(run, breadth_first=False):
    level = 2 if run.full else 1 if run.far or run.expect == CLEAN or breadth_first else 0
    flags = [f"-O{level}", "-DSAFETY", "-DNOREDUCE", "-DNOFAIR",
             f"-DMEMLIM={FULL_MIB if run.full else QUICK_MIB}"]
    if run.bitstate:
        flags.append("-DBITSTATE")
    elif run.full or breadth_first:
        flags.append("-DCOLLAPSE")
    return flags + (["-DBFS"] if breadth_first else [])


def _build(run, folder, breadth_first=False):
    """The verifier in folder, or the reason why there is none."""
    shutil.copy(MODEL, os.path.join(folder, "pair.pml"))
    for command in (["spin", *_defines(run), "-a", "pair.pml"],
                    ["cc", *_compiler_flags(run, breadth_first), "-o", "pan", "pan.c"]):
        step = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if step.returncode != 0 or "Error" in step.stdout:
            return f"{command[0]}: {step.stdout.strip()[:2000]}"
    return None


def _search(run, folder, seconds):
    """What the verifier printed."""
    arguments = ["-E", "-m100000"] + (["-w33"] if run.bitstate else [])
    try:
        done = subprocess.run(["nice", "./pan", *arguments], cwd=folder, timeout=seconds,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except subprocess.TimeoutExpired:
        return f"out of time after {seconds} s"
    return done.stdout


def _number(pattern, text):
    found = re.search(pattern, text, re.MULTILINE)
    return int(float(found.group(1))) if found else None


def _verdict(text):
    errors = _number(r"errors: (\d+)", text)
    if "assertion violated" in text and errors:
        return VIOLATION
    incomplete = ("out of time", "out of memory", "-DMEMLIM", "max search depth too small",
                  "Search not completed", "aborting")
    for reason in incomplete:
        if reason in text:
            return f"incomplete ({reason})"
    return CLEAN if errors == 0 else "no result"


def check(run):
    """Runs it and returns what is said of it."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        problem = _build(run, folder)
        if problem:
            return {"result": problem, "states": 0, "transitions": 0, "seconds": 0, "mib": 0}
        text = _search(run, folder, FULL_SECONDS if run.full else QUICK_SECONDS)
    return {
        "result": _verdict(text),
        "states": _number(r"([\d.e+]+) states, stored", text) or 0,
        "transitions": _number(r"([\d.e+]+) transitions", text) or 0,
        "mib": _number(r"([\d.]+)\s+total actual memory", text) or 0,
        "hash_factor": _number(r"hash factor: ([\d.]+)", text),
        "seconds": round(time.monotonic() - begin, 1),
    }


def _key(run):
    with open(MODEL, encoding="utf-8") as file:
        model = re.sub(r"/\*.*?\*/", " ", file.read(), flags=re.DOTALL)    # comments may change
    parts = [*model.split(), run.flags, *_compiler_flags(run)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


class Results:
    """Of runs that came out as expected, so that a full form that was ended goes on."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "model-results.json")
        self.known = {}
        os.makedirs(folder, exist_ok=True)
        try:
            with open(self.path, encoding="utf-8") as file:
                self.known = json.load(file)
        except (OSError, ValueError):
            pass        # none yet, or cut short: run again

    def put(self, run, outcome):
        self.known[_key(run)] = outcome
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.known, file, indent=1)
        os.replace(self.path + ".new", self.path)


# ---- trace

ROLES = ("DOWN", "WAIT", "LEARN", "STBY", "CAND", "MERGE", "RESTART", "BAR", "REC", "PAIRED",
         "BLKA", "BLKD", "ALONE")


def _node(state, n, requests):
    get = lambda name: state.get(f"{name}[{n}]", 0)
    log = [f"{state.get(f'log[{n * requests + j}]', 0)}@{state.get(f'lt[{n * requests + j}]', 0)}"
           for j in range(get("ln"))]
    right = f" holder={'AB'[get('hv')]}" if f"hv[{n}]" in state else ""
    read = f" read={get('rd')}" if get("rd") else ""
    return (f"{'AB'[n]} {ROLES[get('role')]:7} t{get('term')} log[{' '.join(log)}] "
            f"disk={get('dln')} acked={get('acki')} record="
            f"{('-', 'STBY', 'PAIRED', 'ALONE')[get('pmode')]}@{get('pterm')} "
            f"cas={get('pc')}{right}{read}")


def _snapshot(state, requests):
    frames = [f"{('', 'REPL', 'ACK', 'ADMIT')[v & 7]}({v >> 4 & 3})@{v >> 8} "
              f"from {'AB'[v >> 3 & 1]}" for k in range(4) if (v := state.get(f"m[{k}]", 0))]
    records = [f"({state.get(f'rt[{c}]', 0)},{'AB'[state.get(f'rp[{c}]', 0)]},"
               f"{ {1: '{A}', 2: '{B}', 3: '{A,B}'}.get(state.get(f'ri[{c}]', 0), '') })"
               for c in (0, 1) if f"rt[{c}]" in state]
    return (f"{_node(state, 0, requests)}\n{_node(state, 1, requests)}\n"
            f"  R={' '.join(records)} acknowledged={state.get('gc', 0)} {', '.join(frames)}\n")


def trace(run):
    """Prints the states of the shortest violation, those within a step too."""
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        problem = _build(run, folder, breadth_first=True)
        if problem:
            return problem
        text = _search(run, folder, FULL_SECONDS)
        if _verdict(text) != VIOLATION:
            return f"no violation: {_verdict(text)}"
        steps = subprocess.run(["spin", "-t", "-p", "-g", "-w", *_defines(run), "pair.pml"],
                               cwd=folder, stdout=subprocess.PIPE, text=True).stdout
    with open(MODEL, encoding="utf-8") as file:
        source = file.read().split("\n")
    requests = 3 if "NID=3" in run.flags else 2
    state, last = {}, ""
    for line in steps.split("\n"):
        found = re.match(r"\s*(\w+(?:\[\d+\])?) = (-?\d+)\s*$", line)
        if found:
            state[found.group(1)] = int(found.group(2))
            continue
        found = re.search(r"pair\.pml:(\d+)", line)
        if found and ":: d_step" in source[int(found.group(1)) - 1]:
            now = _snapshot(state, requests)
            print(now if now != last else "", end="\n" if now != last else "")
            last = now
    print(_snapshot(state, requests))
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--full", action="store_true", help="the large runs too")
    parser.add_argument("--build", default=os.path.join(HERE, "..", "..", "build", "model"),
                        help="where results are kept")
    parser.add_argument("--list", action="store_true", help="names and flags of the runs")
    parser.add_argument("--trace", metavar="NAME", help="the shortest violation of one run")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only runs whose name holds this")
    options = parser.parse_args()
    if options.list:
        for run in RUNS:
            print(f"{'full ' if run.full else 'quick'} {run.expect:9} {run.name:44} {run.flags}")
        return 0
    for tool in ("spin", "cc"):
        if shutil.which(tool) is None:
            print(f"skipped: no {tool} here (Debian: spin, gcc)")
            return 77
    if options.trace:
        chosen = [run for run in RUNS if run.name == options.trace]
        problem = trace(chosen[0]) if chosen else f"no run {options.trace}; see --list"
        print(problem or "", end="\n" if problem else "")
        return 1 if problem else 0
    chosen = [run for run in RUNS if (options.full or not run.full or options.names) and
              (not options.names or any(name in run.name for name in options.names))]
    if not chosen:
        parser.error("no such run; see --list")
    results = Results(options.build)
    wrong = 0
    for run in chosen:
        earlier = results.known.get(_key(run)) if options.full else None
        outcome = earlier or check(run)
        good = outcome["result"] == run.expect
        wrong += not good
        if good and not earlier:
            results.put(run, outcome)
        cover = f", hash factor {outcome['hash_factor']}" if run.bitstate else ""
        print(f"{'ok  ' if good else 'FAIL'} {run.name:44} {outcome['states']:>11,} states "
              f"{outcome['transitions']:>13,} transitions {outcome['seconds']:>6.1f} s "
              f"{outcome['mib']:>5} MiB  {outcome['result']}{cover}"
              f"{' (earlier)' if earlier else ''}", flush=True)
        if not good:
            print(f"     expected: {run.expect}; flags: {run.flags}")
    print(f"{len(chosen)} runs, {wrong} not as expected")
    return 1 if wrong else 0


sys.exit(main())
