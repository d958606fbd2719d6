#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""No object of a pure library is compiled with DPDK's include path, so none can include DPDK by
accident.

usage: check_pure_paths.py compile_commands.json
"""
import json
import re
import sys

PURE = re.compile(r"(^|/)lib(sf_(config_pure|replication|replication_canaries|recovery|shard|routing)"
                  r"|pipeline_machines)\.a\.p/")
DPDK = re.compile(r"dpdk|rte_config\.h|librte")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        commands = json.load(file)
    pure = [entry for entry in commands if PURE.search(entry.get("output", entry["command"]))]
    bad = [entry["file"] for entry in pure if DPDK.search(entry["command"])]
    if len(pure) < 10:
        print(f"only {len(pure)} pure objects found: has a library another name?")
        return 1
    for file in bad:
        print(f"{file}: a pure file is compiled with DPDK's include path")
    print(f"{len(pure)} pure objects looked at, {len(bad)} with DPDK's include path")
    return 1 if bad else 0


sys.exit(main())
