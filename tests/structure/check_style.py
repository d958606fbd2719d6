#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every source file names its licence, and every C file is formatted as .clang-format says.

usage: check_style.py SOURCE_ROOT      exit 77: no clang-format 14 here
"""
import os
import subprocess
import sys

FOLDERS = (
    "config", "replication", "recovery", "dataplane", "control", "client", "tests", "perf",
    "deploy",
)
SPDX = "SPDX-License-Identifier: BSD-3-Clause"


def sources(root, endings):
    for folder in FOLDERS:
        for path, folders, names in os.walk(os.path.join(root, folder)):
            folders[:] = [f for f in folders if not f.startswith((".", "build", "node_modules"))]
            for name in sorted(names):
                if name.endswith(endings):
                    yield os.path.join(path, name)


def clang_format():
    for name in ("clang-format-14", "clang-format"):
        try:
            version = subprocess.run([name, "--version"], stdout=subprocess.PIPE, text=True)
        except OSError:
            continue
        if " 14." in version.stdout:
            return name
    return None


def main():
    root = sys.argv[1]
    bad = 0
    for path in sources(root, (".c", ".h", ".py")):
        with open(path, encoding="utf-8") as file:
            if not any(SPDX in file.readline() for _ in range(2)):
                print(f"{os.path.relpath(path, root)}: no SPDX line at its top")
                bad += 1
    tool = clang_format()
    if tool is None:
        print("skipped in part: no clang-format 14, so the formatting was not looked at")
        return 1 if bad else 77
    files = list(sources(root, (".c", ".h")))
    run = subprocess.run([tool, "--dry-run", "--Werror", "--style=file", *files], cwd=root,
                         stderr=subprocess.PIPE, text=True)
    lines = [line for line in run.stderr.splitlines() if "[-Wclang-format-violations]" in line]
    print("\n".join(lines[:20]))
    print(f"{len(files)} C files looked at, {len(lines)} places not formatted")
    return 1 if bad or run.returncode != 0 else 0


sys.exit(main())
