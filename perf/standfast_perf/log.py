# SPDX-License-Identifier: BSD-3-Clause
"""What the transaction log costs the path: the pair with its log against the pair without, in
interleaved blocks; and whether the turn to the next segment can be felt."""
import json
import os
import subprocess
import tempfile
import time

import chain
from measure import Child, median

WANTED = {"log_on_over_off_p50": 1.10, "log_on_over_off_p99": 1.3,
          "log_interval_over_off_p50": 1.10, "log_interval_over_off_p99": 1.3,
          "rotation_over_quiet_poll": 1.3}
LOG = """log: {{ enabled = "on"; dir = "{folder}/state"; sync = "{sync}"; segment_size = "{segment}";
    snapshot_interval = "{snapshots}"; snapshot_entries = 1000000000; }};
"""
PAIRED_S = 30
ROTATION_MS, ROTATION_RATE, ROTATION_MIB = 2500, 1600, 16


class LoggingPair(chain.Pair):
    """A pair with its control processes, and a log in each of these ways of syncing, or none."""

    def __init__(self, build, folder, sync, segment="256 MiB", snapshots="60 s"):
        self.sync, self.segment, self.folder = sync, segment, folder
        self.snapshots = snapshots
        self.tool = os.path.join(build, "control/standfast")
        super().__init__(build, folder, ours=True)
        for name in "ab":
            command = [os.path.join(build, "control/standfast-control"), "-c", self.path(name)]
            self.children.append(Child(command, os.path.join(folder, f"{name}-control.log")))
        self.wait_paired()

    def configuration(self, folder, primary):
        if not self.sync:
            return chain.write_configuration(folder, primary)
        log = LOG.format(folder=folder, sync=self.sync, segment=self.segment,
                         snapshots=self.snapshots)
        return chain.write_configuration(folder, primary, log)

    def path(self, name):
        return os.path.join(self.folder, name + ".conf")

    def ask(self, name, *words):
        run = subprocess.run([self.tool, *words, "--json", "-c", self.path(name)],
                             capture_output=True, text=True, timeout=20)
        return json.loads(run.stdout) if run.returncode == 0 else None

    def wait_paired(self):
        deadline = time.monotonic() + PAIRED_S
        while (self.ask("a", "status") or {}).get("mode") != "paired":
            if time.monotonic() > deadline:
                raise RuntimeError(f"the pair with log {self.sync} was not PAIRED in {PAIRED_S} s")
            time.sleep(0.05)

    def longest_poll(self, placement, milliseconds, rate):
        """A load; the longest round of the primary's lcore in it, whether a segment ended, and the
        bytes of the log."""
        before = self.ask("a", "counters")["log"]
        self.block(placement, None, milliseconds, rest=False, rate=rate)
        counters = self.ask("a", "counters")
        return (counters["lcore.0"]["longest_recent_round_ns"],
                counters["log"]["rotations"] > before["rotations"],
                counters["log"]["bytes"] - before["bytes"])


def rotation(keys, pair, placement, blocks, say):
    """Blocks are longer than two seconds: the longest round of the last ones is the block's own.
    Nobody rests between them, which would be the longest of all."""
    turned, quiet = [], []
    rate = ROTATION_RATE
    for i in range(blocks + 1):
        longest, rotated, written = pair.longest_poll(placement, ROTATION_MS, rate)
        if i > 0:       # the first begins the first segment
            (turned if rotated else quiet).append(longest)
        # Half a segment in each load, so that every second one ends a segment: how many updates
        # that takes depends on how many the disk finds in a group.
        rate = int(rate * min(max(ROTATION_MIB * 2**19 / max(written, 1), 0.5), 2))
    if not turned or not quiet:
        say(f"rotation: {len(turned)} blocks with one, {len(quiet)} without: no figure")
        return
    value = median(turned) / median(quiet)
    keys["rotation_over_quiet_poll"] = round(value, 3)
    keys["rotation_over_quiet_poll_low"] = round(min(turned) / max(quiet), 3)
    keys["rotation_over_quiet_poll_high"] = round(max(turned) / min(quiet), 3)
    say(f"{'rotation_over_quiet_poll':40} {value:6.2f}  (wanted "
        f"{WANTED['rotation_over_quiet_poll']}; {len(turned)} blocks with a rotation: "
        f"{median(turned) / 1000:.0f} us, {len(quiet)} without: {median(quiet) / 1000:.0f} us)")


def run(build, quick, say):
    blocks, milliseconds = (2, 400) if quick else (8, 500)
    keys, details = {}, {}
    with tempfile.TemporaryDirectory(prefix="standfast-perf-") as folder:
        pairs = {}
        try:
            for sync in (None, "group", "interval"):
                place = os.path.join(folder, sync or "off")
                os.mkdir(place, 0o700)
                pairs[sync] = LoggingPair(build, place, sync)
                pairs[sync].rest(True)
            for sync, name in (("group", "log_on_over_off"), ("interval", "log_interval_over_off")):
                found = chain.interleave(pairs[sync], pairs[None], blocks, 1, milliseconds)
                for field in ("p50_ns", "p99_ns", "p999_ns"):
                    chain.ratio(keys, f"{name}_{field[:-3]}", found, field, say, WANTED)
                details[name] = chain.shorten(found, ("rate", "p50_ns", "p99_ns", "p999_ns"))
        finally:
            for pair in pairs.values():
                pair.end()
    with tempfile.TemporaryDirectory(prefix="standfast-perf-") as folder:
        pair = LoggingPair(build, folder, "group", f"{ROTATION_MIB} MiB")
        try:
            rotation(keys, pair, next(iter(chain.placements().values())), 5 if quick else 16, say)
        finally:
            pair.end()
    return keys, {"blocks": blocks, "milliseconds": milliseconds, **details}, []
