#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs a libFuzzer target and says how much of it ran.

usage: run_fuzz.py PROGRAM [--at-least N] [--corpus FOLDER] -ARGUMENT…

The folder is read; what the run finds new goes to a folder that is gone afterwards. Exit 1 when the
target found something, or when a limit of time came before N executions.
"""
import argparse
import re
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--at-least", type=int, default=1)
    parser.add_argument("--corpus", action="append", default=[])
    options, arguments = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="sf-fuzz-") as found:
        # libFuzzer adds to the first folder that is named.
        run = subprocess.Popen(
            [options.program, *arguments, "-print_final_stats=1", found, *options.corpus],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace")
        executed = 0
        for line in run.stdout:
            print(line, end="", flush=True)
            count = re.match(r"stat::number_of_executed_units:\s*(\d+)", line)
            executed = int(count[1]) if count else executed
        code = run.wait()
    if code != 0:
        return 1
    print(f"executed {executed} inputs, {options.at_least} were wanted")
    return 0 if executed >= options.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
