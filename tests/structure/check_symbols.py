#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The pure libraries import no clock, allocation, printf or system call: whatever they leave
undefined is defined by another of them or stands in the short list below.

usage: check_symbols.py --check|--expect-violation|--skip LIBRARY...
"""
import subprocess
import sys

# sf_check_failed is supplied by whoever links the libraries; _GLOBAL_OFFSET_TABLE_ is the
# linker's own.
ALLOWED = {"memcpy", "memmove", "memset", "memcmp", "sf_check_failed", "_GLOBAL_OFFSET_TABLE_"}


def symbols(library, option):
    text = subprocess.run(
        ["nm", option, "--format=posix", library], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    # Lines that end in a colon name the archive's members.
    return {line.split()[0] for line in text.splitlines() if line and not line.endswith(":")}


def main():
    mode, libraries = sys.argv[1], sys.argv[2:]
    if mode == "--skip":
        print("skipped: instrumented code imports the instrument's run time")
        return 77
    defined = set().union(*(symbols(lib, "--defined-only") for lib in libraries))
    if len(defined) < 20:
        print("too few symbols found: is this the right list of libraries?")
        return 1
    violations = []
    for library in libraries:
        for name in sorted(symbols(library, "--undefined-only") - defined - ALLOWED):
            violations.append(f"{library}: imports {name}")
    print("\n".join(violations) or f"{len(libraries)} libraries are pure")
    if mode == "--expect-violation":
        found = {line.rsplit(" ", 1)[1] for line in violations}
        return 0 if {"malloc", "clock_gettime"} <= found else 1
    return 1 if violations else 0


sys.exit(main())
