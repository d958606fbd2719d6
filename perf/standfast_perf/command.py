# SPDX-License-Identifier: BSD-3-Clause
"""perf/run: chooses the benches, runs them, writes the report."""
import argparse
import json
import os
import signal
import subprocess
import sys
import time

import chain
import instructions
import log
import replay
from measure import hugepages, machine

BENCHES = {"instructions": instructions.run, "chain": chain.run, "log": log.run,
           "replay": replay.run}
PROGRAMS = (
    "dataplane/standfast-dataplane", "control/standfast-control", "control/standfast",
    "perf/bench/standfast-bench", "perf/chain/chain",
    "perf/count/count", "perf/replay/read_crc",
)
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HUGEPAGES = 512     # for two nodes, two stages and the client
EXIT_FAILED, EXIT_USAGE, EXIT_SKIPPED = 1, 2, 77


def parse():
    parser = argparse.ArgumentParser(
        prog="perf/run", description="Measures Standfast against references in the same run.",
        epilog="benches: " + ", ".join(BENCHES) + " (default: all); the report goes to perf/out/",
    )
    parser.add_argument("--quick", action="store_true", help="shorter, with wider intervals")
    parser.add_argument("--no-hugepages", action="store_true",
                        help="measure on 4 KiB pages; else root borrows 2 MiB pages for the run")
    parser.add_argument("--json", metavar="FILE", help="also write the keys and details here")
    parser.add_argument("--build", default=os.environ.get(
        "STANDFAST_BUILD", os.path.join(ROOT, "build")), help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    for name in options.names:
        if name not in BENCHES:
            parser.error(f"there is no bench {name}; there are {', '.join(BENCHES)}")
    return options


def missing(build):
    return [name for name in PROGRAMS if not os.path.exists(os.path.join(build, name))]


def build_programs(build):
    """As deploy/ensure-built does, for the programs of the benches."""
    if not os.path.exists(os.path.join(build, "build.ninja")):
        subprocess.run(["meson", "setup", build, ROOT], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", build, *PROGRAMS], check=True, stdout=subprocess.DEVNULL)


def write_report(lines, report, extra):
    out = os.path.join(ROOT, "perf", "out")
    os.makedirs(out, exist_ok=True)
    paths = [os.path.join(out, "report.json")] + ([extra] if extra else [])
    for path in paths:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)
            file.write("\n")
    with open(os.path.join(out, "report.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    options = parse()
    # Leave by an exception, so that the children are ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_FAILED))
    lines, failed = [], []

    def say(line):
        lines.append(line)
        print(line, flush=True)

    if missing(options.build):
        build_programs(options.build)
    with hugepages(0 if options.no_hugepages else HUGEPAGES):
        return measure_all(options, say, lines, failed)


def measure_all(options, say, lines, failed):
    report = {"machine": machine(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
              "quick": options.quick, "details": {}}
    names = options.names or list(BENCHES)
    skipped = []
    say("machine: " + ", ".join(f"{k} {v}" for k, v in report["machine"].items()))
    for name in names:
        try:
            keys, details, out_of_bounds = BENCHES[name](options.build, options.quick, say)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            say(f"{name}: FAILED: {error}")
            failed.append(name)
            continue
        if keys is None:
            say(f"{name}: skipped: {details['skipped']}")
            skipped.append(name)
            continue
        report.update(keys)
        report["details"][name] = details
        failed += out_of_bounds
    for line in failed:
        say(f"out of bounds: {line}")
    write_report(lines, report, options.json)
    if failed:
        return EXIT_FAILED
    return EXIT_SKIPPED if len(skipped) == len(names) else 0


sys.exit(main())
