#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""tests/run: builds, runs the suites, says one line for each and a sum at the end.

A suite is one of meson's in one of the builds, a build itself, or a program with new seeds. Random
tests draw new seeds in every run and print them when they fail.
"""
import argparse
import dataclasses
import glob
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, os.path.join(ROOT, "deploy"))
from standfast_lab import host                              # noqa: E402

CPUS = len(os.sched_getaffinity(0))
STATE = os.path.join(ROOT, "build", "tests-full.json")
FULL_TIMEOUTS = 20          # times the usual ones
FULL_EXECUTIONS = {"fuzz_log": 1_000_000, "fuzz_snapshot": 1_000_000, "fuzz_record": 1_000_000,
                   "fuzz_arbiter": 1_000_000, "fuzz_dns": 1_000_000}

# name: (compiler, options)
BUILDS = {
    "build": ("cc", []),
    "build-clang": ("clang-14", []),
    "build-asan": ("cc", ["-Db_sanitize=address,undefined", "-Ddebug_checks=true"]),
    # DPDK's default rings use fences that ThreadSanitizer cannot see.
    "build-tsan": ("cc", ["-Db_sanitize=thread", "-Dc_args=-DRTE_USE_C11_MEM_MODEL"]),
    "build-cov": ("cc", ["-Db_coverage=true"]),
    "build-fuzz": ("clang-14", ["-Dfuzz=true", "-Db_lundef=false"]),
}
# Of these only what the chosen tests need is compiled.
LAZY = ("build-asan", "build-tsan", "build-fuzz")
NODE_PROGRAMS = ["dataplane/standfast-dataplane", "control/standfast-control", "control/standfast",
                 "deploy/standfast-relay", "perf/bench/standfast-bench"]
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    # DPDK's libraries are not instrumented: what they hand to memcpy says nothing.
    "TSAN_OPTIONS": "halt_on_error=1:ignore_noninstrumented_modules=1:"
                    f"suppressions={ROOT}/tests/tsan.supp",
}


@dataclasses.dataclass
class Suite:
    name: str
    build: str
    meson: list = dataclasses.field(default_factory=list)   # arguments of meson test
    command: list = dataclasses.field(default_factory=list) # instead: a program of the build
    targets: list = dataclasses.field(default_factory=list) # that it needs of a lazy build
    quick: bool = False
    only_build: bool = False


@dataclasses.dataclass
class Outcome:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    notes: list = dataclasses.field(default_factory=list)   # what was skipped or failed, and why


def _long_fuzz(name, seed):
    """Ten minutes of a target; fewer executions than it is to reach are a failure."""
    corpus = f"{ROOT}/tests/fuzz/corpus/{name.removeprefix('fuzz_')}"
    return Suite(f"long-{name}", "build-fuzz", targets=[f"tests/fuzz/{name}"], command=[
        f"{ROOT}/tests/fuzz/run_fuzz.py", f"{ROOT}/build-fuzz/tests/fuzz/{name}",
        "--at-least", str(FULL_EXECUTIONS.get(name, 1)),
        *(["--corpus", corpus] if os.path.isdir(corpus) else []),
        "-max_total_time=600", f"-seed={seed}", "-detect_leaks=0", "-max_len=4096",
        "-seed_inputs=" + ",".join(sorted(glob.glob(f"{ROOT}/config/examples/*.conf"))),
        f"-artifact_prefix={ROOT}/build-fuzz/"])


def suites(full):
    seed = random.SystemRandom().randrange(1, 1 << 31)
    seeds = ["--seeds", "100000", "--table", f"{ROOT}/tests/sim/seeds.tsv"] if full else \
        ["--seeds", "20000", "--seed", str(seed)]

    def of_meson(name, build="build", suite=None, quick=False):
        return Suite(name, build, ["--suite", suite or name], quick=quick)
    found = [
        of_meson("structure", quick=True),
        of_meson("unit", quick=True),
        of_meson("control", quick=True),
        of_meson("arbiter", quick=True),
        of_meson("fuzz-replay", suite="fuzz", quick=True),
        of_meson("oracle"),
        of_meson("sim", quick=True),
        of_meson("pipeline"),
        Suite("sim-new", "build",
              command=[f"{ROOT}/tests/sim/run_seeds.py", f"{ROOT}/build/tests/sim/sim", *seeds]),
        of_meson("vdev"),
        of_meson("e2e"),
        of_meson("lab"),
        of_meson("pipeline-live"),
        of_meson("perf"),
        Suite("clang", "build-clang", only_build=True),
        of_meson("asan-unit", "build-asan", "unit"),
        of_meson("asan-arbiter", "build-asan", "arbiter"),
        of_meson("asan-sim", "build-asan", "sim"),
        of_meson("asan-vdev", "build-asan", "vdev"),
        Suite("tsan", "build-tsan", ["shm", "pair-updates", "threads",
                                      "threads-canary", "arbiter_file", "arbiter_etcd"]),
        # Whole nodes with an lcore for each agent: every ring and every hand-over of arena slots.
        Suite("tsan-pair", "build-tsan", targets=NODE_PROGRAMS, command=[
            f"{ROOT}/tests/e2e/test_pair.py",
            "Threads.test_two_workers_against_three_all_on_lcores_of_their_own"]),
    ]
    found.append(of_meson("fuzz", "build-fuzz"))
    if full:
        found += [
            Suite("model", "build", command=[f"{ROOT}/tests/model/run_model.py", "--full",
                                             "--build", f"{ROOT}/build/model"]),
            Suite("coverage", "build-cov", command=[f"{ROOT}/tests/coverage.py",
                                                    f"{ROOT}/build-cov"]),
        ]
        found += [_long_fuzz(name, seed) for name in sorted(
            os.path.basename(path)[:-2] for path in glob.glob(f"{ROOT}/tests/fuzz/fuzz_*.c"))]
    return found


# --- building ---

def _quiet(argv, log, environment=None):
    """Runs with everything in a log; true when it went well."""
    with open(log, "ab") as file:
        return subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                              env={**os.environ, **(environment or {})}).returncode == 0


def _tail(path, lines=30):
    with open(path, errors="replace") as file:
        return "".join(file.readlines()[-lines:])


def build(name, done={}):
    """Configures and compiles a build once; None, or the end of its log when it fails. A lazy one
    is compiled by its suites."""
    if name in done:
        return done[name]
    compiler, options = BUILDS[name]
    path = os.path.join(ROOT, name)
    log = os.path.join(ROOT, name, "tests-build.log")
    begin = time.monotonic()
    os.makedirs(path, exist_ok=True)
    if os.path.exists(log):
        os.unlink(log)
    good = os.path.exists(os.path.join(path, "build.ninja")) or _quiet(
        ["meson", "setup", path, ROOT, *options], log, {"CC": compiler})
    if name not in LAZY:
        good = good and _quiet(["ninja", "-C", path, f"-j{CPUS}"], log)
    done[name] = None if good else _tail(log)
    word = "NOT BUILT" if not good else "set up" if name in LAZY else "built"
    print(f"{word:9} {name} ({compiler}{''.join(' ' + o for o in options)}),"
          f" {time.monotonic() - begin:.0f} s", flush=True)
    return done[name]


# --- running ---

LAST_LINES = 12
CAUSE = re.compile(r"^(FAIL|ERROR): |^\w*(Error|Timeout\w*): |\w+\.\w+Error: |LabError|Sanitizer|"
                   r"runtime error|\[  (FAILED|ERROR) +\]|^\s+File .*, line \d+, in test_|"
                   r"(?i:assert(ion)?\b.* fail)")


def _reason(test):
    """Why a test was skipped: it says so in its last lines."""
    text = (test.get("stdout") or "") + (test.get("stderr") or "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "skip" in line.lower()] or lines[-1:]
    return telling[-1] if telling else "no reason given"


def _complaint(text):
    """What of a failed test's output tells the cause: the lines that say so, and the last ones; a
    reader of the summary may have nothing else."""
    lines = [line[:400] for line in text.splitlines() if line.strip()]
    telling = [number for number, line in enumerate(lines[:-LAST_LINES]) if CAUSE.search(line)]
    shown = [lines[number] for number in telling[:20]]
    return "\n".join(shown + ["…"] * bool(shown) + lines[-LAST_LINES:])


def run_meson(suite, full):
    path = os.path.join(ROOT, suite.build)
    log = os.path.join(path, "meson-logs", f"suite-{suite.name}")
    multiplier = 4      # other work on the machine is no failure of ours
    argv = ["meson", "test", "-C", path, *([] if suite.build in LAZY else ["--no-rebuild"]),
            "--num-processes", str(CPUS), "--logbase", os.path.basename(log), "--timeout-multiplier",
            str(FULL_TIMEOUTS if full else multiplier), *suite.meson]
    if os.path.exists(log + ".json"):
        os.unlink(log + ".json")
    environment = {**os.environ, **SANITIZERS, "STANDFAST_TESTS": "full" if full else "usual"}
    result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            env=environment)
    outcome = Outcome()
    try:
        with open(log + ".json") as file:
            tests = [json.loads(line) for line in file]
    except FileNotFoundError:
        tests = []
    for test in tests:
        name = test["name"].rpartition(" / ")[2]
        if test["result"] in ("OK", "EXPECTEDFAIL"):
            outcome.passed += 1
        elif test["result"] == "SKIP":
            outcome.skipped += 1
            outcome.notes.append(f"skipped {name}: {_reason(test)}")
        else:
            outcome.failed += 1
            text = (test.get("stdout") or "") + (test.get("stderr") or "")
            outcome.notes.append(f"FAILED {name} ({test['result']}), all of it in {log}.txt:\n"
                                 + _complaint(text))
    if not tests:
        outcome.failed = 1
        outcome.notes.append("no test ran:\n" + (result.stdout + result.stderr)[-2000:])
    return outcome


def run_command(suite):
    argv = [os.path.join(ROOT, suite.build, suite.command[0]), *suite.command[1:]]
    log = os.path.join(ROOT, suite.build, f"suite-{suite.name}.log")
    if os.path.exists(log):
        os.unlink(log)
    if suite.targets and not _quiet(
            ["ninja", "-C", os.path.join(ROOT, suite.build), f"-j{CPUS}", *suite.targets], log):
        return Outcome(failed=1, notes=[f"FAILED: does not build:\n{_tail(log)}"])
    if _quiet(argv, log, {**SANITIZERS, "STANDFAST_BUILD": os.path.join(ROOT, suite.build)}):
        said = [line for line in _tail(log).splitlines() if line.startswith("executed ")]
        return Outcome(passed=1, notes=said)
    return Outcome(failed=1, notes=[f"FAILED: {' '.join(argv)}\n{_tail(log)}"])


def run(suite, full):
    broken = build(suite.build)
    if broken is not None:
        return Outcome(failed=1, notes=[f"FAILED: {suite.build} does not build:\n{broken}"])
    if suite.only_build:
        return Outcome(passed=1)
    return run_command(suite) if suite.command else run_meson(suite, full)


# --- what a long run has done already ---

def _digest_of_sources():
    """Of every file of the checkout but builds, caches and version control."""
    total = hashlib.sha256()
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if not name.startswith((".git", "build"))
                            and name not in ("__pycache__", "node_modules", ".cache", "out"))
        for name in sorted(files):
            path = os.path.join(folder, name)
            total.update(os.path.relpath(path, ROOT).encode() + b"\0")
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    total.update(file.read())
    return total.hexdigest()


class Memory:
    """The suites that a long run of these very sources has passed."""

    def __init__(self, full):
        self.full = full
        self.sources = _digest_of_sources() if full else ""
        self.passed = {}
        if full and os.path.exists(STATE):
            with open(STATE) as file:
                state = json.load(file)
            if state["sources"] == self.sources:
                self.passed = state["passed"]

    def get(self, name):
        return Outcome(**self.passed[name]) if name in self.passed else None

    def put(self, name, outcome):
        if not self.full or outcome.failed:
            return
        self.passed[name] = dataclasses.asdict(outcome)
        with open(STATE + "~", "w") as file:
            json.dump({"sources": self.sources, "passed": self.passed}, file)
        os.rename(STATE + "~", STATE)

    def forget(self):
        """The next long run begins anew, with new seeds."""
        if self.full and os.path.exists(STATE):
            os.unlink(STATE)


# --- the command line ---

def _parse():
    parser = argparse.ArgumentParser(
        prog="tests/run", description="Builds and tests; exit 0 when nothing failed.")
    parser.add_argument("--quick", action="store_true", help="the suites of a minute or two")
    parser.add_argument("--full", action="store_true",
                        help="higher counts, longer searches, new seeds; a run that was ended goes "
                        "on where it was")
    parser.add_argument("--list", action="store_true", help="the names of the suites")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these suites")
    options = parser.parse_args()
    if options.quick and options.full:
        parser.error("--quick or --full, not both")
    known = [suite.name for suite in suites(options.full)]
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"no suite {', '.join(unknown)}; there are {', '.join(known)}")
    if options.list:
        print("\n".join(known))
        sys.exit(0)
    return options


def main():
    options = _parse()
    chosen = [suite for suite in suites(options.full)
              if (suite.name in options.names if options.names
                  else suite.quick or not options.quick)]
    memory = Memory(options.full)
    total = Outcome()
    for suite in chosen:
        begin = time.monotonic()
        before = memory.get(suite.name)
        outcome = before or run(suite, options.full)
        when = "before" if before else f"{time.monotonic() - begin:.1f} s"
        print(f"{'FAILED' if outcome.failed else 'passed':9} {suite.name:12} {outcome.passed:3} "
              f"passed, {outcome.failed} failed, {outcome.skipped} skipped, {when}", flush=True)
        for note in outcome.notes:
            print("          " + note.replace("\n", "\n            "), flush=True)
        memory.put(suite.name, outcome)
        total.passed += outcome.passed
        total.failed += outcome.failed
        total.skipped += outcome.skipped
    if total.failed == 0 and not options.names:
        memory.forget()
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped", flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    with host.without_autogroup():
        code = main()
    sys.exit(code)
