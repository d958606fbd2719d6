#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Line coverage of the pure core by its unit tests and the simulator; at least 95 % in all.

usage: coverage.py BUILD      a build with -Db_coverage=true, compiled
"""
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
LEAST_PERCENT = 95
SEEDS = 8000
FILES = [*glob.glob(f"{ROOT}/replication/*.c"), f"{ROOT}/recovery/plan.c"]
TESTS = ("test_core", "test_record", "test_roles", "test_session", "test_intake", "test_frame",
         "test_expiry", "test_recovery", "test_snapshot")


def run_all(build):
    for path in glob.glob(f"{build}/**/*.gcda", recursive=True):
        os.unlink(path)
    for path in sorted(glob.glob(f"{build}/tests/unit/test_*")):
        if os.path.isfile(path) and os.access(path, os.X_OK) and \
                os.path.basename(path).startswith(TESTS):
            subprocess.run([path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    for command in (["sim", "--seeds", str(SEEDS)], ["scenario", *sorted(
            glob.glob(f"{ROOT}/tests/sim/scenarios/*.scenario"))]):
        path = f"{build}/tests/sim/{command[0]}"
        if os.path.exists(path):
            subprocess.run([path, *command[1:]], stdout=subprocess.DEVNULL, check=True)


def lines_of(build, source):
    """(executed, all) lines of a source, and the numbers of those that were not."""
    name = os.path.basename(source)
    data = [path for path in glob.glob(f"{build}/**/{name}.gcda", recursive=True)
            if "canar" not in path]
    if not data:
        return 0, 1, []
    text = subprocess.run(["gcov", "-t", "-o", os.path.dirname(data[0]), data[0]], cwd=build,
                          capture_output=True, text=True, check=True).stdout
    part = [piece for piece in re.split(r"^ +-: +0:Source:", text, flags=re.M)
            if piece.split("\n", 1)[0].endswith(f"/{name}")]
    rows = re.findall(r"^ *([0-9#=*-]+): *(\d+):", part[0], flags=re.M) if part else []
    rows = [(count, int(line)) for count, line in rows if count != "-" and line != "0"]
    missed = [line for count, line in rows if count.startswith(("#", "="))]
    return len(rows) - len(missed), len(rows), missed


def main():
    build = os.path.realpath(sys.argv[1])
    run_all(build)
    executed = lines = 0
    for source in sorted(FILES):
        some, every, missed = lines_of(build, source)
        executed += some
        lines += every
        print(f"{os.path.relpath(source, ROOT):30} {some:4} of {every:4} lines"
              + (f"; not {', '.join(map(str, missed[:20]))}" if missed else ""))
    percent = 100 * executed / max(lines, 1)
    print(f"executed {percent:.1f} % of {lines} lines; at least {LEAST_PERCENT} % are wanted")
    return 0 if percent >= LEAST_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
