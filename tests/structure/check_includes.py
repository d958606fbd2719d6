#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The direction of includes, so that each folder can be understood without the ones above it:

  tests, perf, deploy -> control -> dataplane -> recovery -> replication -> config

client uses config only; client/messages.h is the wire's own and open to all above config. What is
pure includes only headers without functions of the operating system, and no DPDK.

usage: check_includes.py SOURCE_ROOT | --self-test
"""
import os
import re
import sys
import tempfile

ALL = {"config", "client", "replication", "recovery", "dataplane", "control", "tests", "perf",
       "deploy"}
MAY_USE = {
    "config": {"config"},
    "client": {"client", "config"},
    "replication": {"replication", "config"},
    "recovery": {"recovery", "replication", "config"},
    "dataplane": {"dataplane", "recovery", "replication", "config"},
    "control": {"control", "dataplane", "recovery", "replication", "config"},
    "perf": {"perf", "control", "dataplane", "recovery", "replication", "config", "client"},
    "deploy": ALL - {"tests", "perf"},
    "tests": ALL,
}
OPEN_TO_ALL = {"client/messages.h"}  # but not to config
PURE = re.compile(r"^(replication/|recovery/(?!disk|journal_|record_store)|dataplane/model/|dataplane/shard\."
                  r"|control/routing/(policy|pair|rate)\.)")
PURE_SYSTEM = {"stdbool.h", "stddef.h", "stdint.h", "string.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def is_pure(path):
    return PURE.match(path) is not None


def check_system(path, header):
    folder = path.split("/")[0]
    if is_pure(path):
        return None if header in PURE_SYSTEM else "is not for pure files"
    if not header.startswith(("rte_", "ethdev_", "bus_")):
        return None
    if folder in ("dataplane", "tests", "perf"):
        return None
    if folder == "control" and header.startswith("rte_ring"):
        return None
    return "is DPDK's, which this folder does not use"


def check_quoted(root, path, header):
    folder = path.split("/")[0]
    used = header.split("/")[0]
    if "/" not in header:
        return "has no folder in front"
    if used not in ALL:
        return "is not in a folder of this project"
    if not os.path.isfile(os.path.join(root, header)):
        return "does not exist"
    if header in OPEN_TO_ALL and folder != "config":
        return None
    if used not in MAY_USE[folder]:
        return f"is above {folder}/"
    if is_pure(path) and used == "dataplane" and not is_pure(header):
        return "is not pure"
    return None


def check_file(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quoted, system = match.groups()
            fault = check_quoted(root, path, quoted) if quoted else check_system(path, system)
            if fault:
                yield f"{path}:{number}: {quoted or system} {fault}"


def check_tree(root):
    violations, count = [], 0
    for folder in sorted(ALL):
        for where, folders, names in os.walk(os.path.join(root, folder)):
            folders[:] = [f for f in folders if not f.startswith((".", "build", "node_modules"))]
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    count += 1
                    path = os.path.relpath(os.path.join(where, name), root)
                    violations += check_file(root, path.replace(os.sep, "/"))
    return violations, count


# What is planted, and whether it must be found.
PLANTS = [
    ("config/a.h", '#include "config/base.h"', False),
    ("config/b.h", '#include "client/messages.h"', True),
    ("config/c.h", '#include "replication/core.h"', True),
    ("replication/a.c", '#include "config/base.h"', False),
    ("replication/b.c", '#include "recovery/log.h"', True),
    ("replication/c.c", '#include "core.h"', True),
    ("replication/d.c", "#include <rte_mbuf.h>", True),
    ("replication/e.c", "#include <time.h>", True),
    ("replication/f.c", "#include <string.h>", False),
    ("replication/g.c", '  #  include "dataplane/port.h"', True),
    ("recovery/a.c", '#include "replication/core.h"', False),
    ("recovery/b.c", '#include "dataplane/port.h"', True),
    ("dataplane/a.c", "#include <rte_mbuf.h>", False),
    ("dataplane/b.c", '#include "control/status.h"', True),
    ("dataplane/model/a.c", '#include "client/messages.h"', False),
    ("dataplane/model/b.c", '#include "dataplane/port.h"', True),
    ("dataplane/shard.c", "#include <rte_ring.h>", True),
    ("control/a.c", "#include <rte_ring_elem.h>", False),
    ("control/b.c", "#include <rte_mbuf.h>", True),
    ("control/c.c", '#include "tests/unit/unit.h"', True),
    ("client/a.c", '#include "config/base.h"', False),
    ("client/b.c", '#include "replication/core.h"', True),
    ("client/c.c", '#include "client/missing.h"', True),
    ("tests/a.c", '#include "control/status.h"', False),
]
GROUND = ["config/base.h", "client/messages.h", "replication/core.h", "recovery/log.h",
          "dataplane/port.h", "control/status.h", "tests/unit/unit.h"]


def self_test():
    failures = 0
    with tempfile.TemporaryDirectory() as root:
        for path, text in [(p, "") for p in GROUND] + [(p, t) for p, t, _ in PLANTS]:
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write("/* planted */\n" + text + "\n")
        found, _ = check_tree(root)
        for path, text, wrong in PLANTS:
            hit = any(line.startswith(path + ":2:") for line in found)
            if hit != wrong:
                failures += 1
                print(f"{path}: {text}: {'not found' if wrong else 'found without need'}")
    print(f"{len(PLANTS)} planted includes, {failures} judged wrongly")
    return 1 if failures else 0


def main():
    if sys.argv[1] == "--self-test":
        return self_test()
    violations, count = check_tree(sys.argv[1])
    print("\n".join(violations))
    print(f"{count} files looked at, {len(violations)} violations")
    return 1 if violations or count < 20 else 0


sys.exit(main())
