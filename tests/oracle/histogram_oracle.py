#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Our .hgrm and .hlog files, read back by two independent libraries.

histogram_oracle.py java|js WRITER CACHE

WRITER is the program histogram_files; CACHE a folder of the build tree in which the npm package is
kept between runs. Java is Debian's libhdrhistogram-java, JavaScript is npm's hdr-histogram-js 3.0.1.
Counts must be equal slot by slot; the percentile distributions are compared as numbers, because the
libraries round decimal ties differently.
"""
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
JAR = "/usr/share/java/hdrhistogram.jar"
JS_PACKAGE = "hdr-histogram-js"
JS_VERSION = "3.0.1"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
LIMIT_S = 120


def skip(reason):
    print("skipped:", reason)
    sys.exit(77)


def install_js(cache):
    """Installs the package once; a registry that does not answer skips the test."""
    home = os.path.join(cache, "npm")
    manifest = os.path.join(home, "node_modules", JS_PACKAGE, "package.json")
    if os.path.exists(manifest):
        return home
    os.makedirs(home, exist_ok=True)
    result = subprocess.run(
        ["npm", "install", "--prefix", home, "--cache", os.path.join(cache, "npm-cache"),
         "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--fetch-retries", "1",
         f"{JS_PACKAGE}@{JS_VERSION}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S)
    if result.returncode != 0 or not os.path.exists(manifest):
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        skip(f"npm cannot install {JS_PACKAGE} {JS_VERSION}: {last}")
    return home


def oracle_command(kind, cache, work):
    out = os.path.join(work, kind)
    os.mkdir(out)
    if kind == "java":
        if not os.path.exists(JAR):
            skip("libhdrhistogram-java is not installed")
        if not shutil.which("javac"):
            skip("no javac (package default-jdk-headless)")
        source = os.path.join(HERE, "HistogramOracle.java")
        subprocess.run(["javac", "-cp", JAR, "-d", work, source], check=True, timeout=LIMIT_S)
        return ["java", "-cp", f"{JAR}:{work}", "HistogramOracle", work, out], out
    if not shutil.which("npm") or not shutil.which("node"):
        skip("no npm or node")
    package = install_js(cache)
    return ["node", os.path.join(HERE, "histogram_oracle.js"), package, work, out], out


def counts_of(path):
    with open(path) as file:
        return [tuple(map(int, line.split())) for line in file]


def numbers_of(path):
    """Lines of a distribution as lists of numbers in text; the line of titles is dropped."""
    with open(path) as file:
        lines = [NUMBER.findall(line) for line in file if "Percentile" not in line]
    return [line for line in lines if line]


def near(ours, theirs):
    """Equal up to one unit of the last decimal, where a tie may have gone the other way."""
    decimals = len(ours.partition(".")[2])
    if decimals == 0:
        return int(ours) == float(theirs)
    return abs(float(ours) - float(theirs)) <= 10.0 ** -decimals * 1.0001


def compare_distribution(name, ours_path, theirs_path):
    ours, theirs = numbers_of(ours_path), numbers_of(theirs_path)
    if len(ours) != len(theirs):
        return [f"{name}: {len(ours)} lines, the oracle has {len(theirs)}"]
    wrong = []
    for mine, other in zip(ours, theirs):
        if len(mine) != len(other) or not all(map(near, mine, other)):
            wrong.append(f"{name}: {mine} against {other}")
    return wrong[:5]


def compare(work, out, lines, expected_lines):
    wrong = []
    if len(lines) != expected_lines:
        wrong.append(f"{len(lines)} lines read, {expected_lines} written")
    for number, line in enumerate(lines):
        tag, start_ms, length_ms, highest, total = line.split()
        name = "latencies" if tag == "-" else tag
        counts = counts_of(os.path.join(work, name + ".counts"))
        if counts != counts_of(os.path.join(out, tag + ".counts")):
            wrong.append(f"{tag}: counts differ")
        if int(total) != sum(count for _, count in counts):
            wrong.append(f"{tag}: total {total}")
        if int(highest) < (counts[-1][0] if counts else 0):
            wrong.append(f"{tag}: maximum {highest}")
        if int(start_ms) != 1700000000000 + 1000 * max(0, number - 1) or int(length_ms) != 1000:
            wrong.append(f"{tag}: interval {start_ms} + {length_ms}")
        wrong += compare_distribution(
            tag, os.path.join(work, name + ".hgrm"), os.path.join(out, tag + ".hgrm"))
    return wrong


def main():
    kind, writer, cache = sys.argv[1:4]
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"replay: SEED={seed} histogram_oracle.py {kind} …", flush=True)
    with tempfile.TemporaryDirectory() as work:
        command, out = oracle_command(kind, cache, work)
        written = subprocess.run([writer, work, str(seed)], check=True, capture_output=True,
                                 text=True, timeout=LIMIT_S)
        answer = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
        if answer.returncode != 0:
            print("the oracle failed:", answer.stderr)
            return 1
        wrong = compare(work, out, answer.stdout.split("\n")[:-1], int(written.stdout))
    print("\n".join(wrong) if wrong else "equal")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
