# SPDX-License-Identifier: BSD-3-Clause
"""How fast a node that starts takes its history from its log: against reading and checking the same
bytes, and against Redis loading an append-only file of as many SETs; in turns, from a warm cache."""
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import log
from measure import Child, median, median_interval

# payload bytes: entries of the log
ENTRIES = {8: 2_000_000, 256: 2_000_000}
WANTED = {"replay_over_read_8": 0.15, "replay_over_read_256": 0.5, "replay_over_redis": 3,
          "recovery_over_history": 1.2}
TAIL = 300_000             # entries behind the newest snapshot
ASSETS = 1024
OUTSTANDING = 256
SEGMENT = "64 MiB"
LOAD_S, REPLAY_S, REDIS_S = 900, 120, 120
REPLAYED = re.compile(r"replay done: .*?(\d+) entries in ([0-9.]+) s")
LOADED = re.compile(r"DB loaded from append only file: ([0-9.]+) seconds")


def wait_for_line(path, pattern, child, seconds):
    """The match of the first line that has one."""
    deadline = time.monotonic() + seconds
    while True:
        ended = child.process.poll() is not None
        with open(path, encoding="utf-8", errors="replace") as file:
            found = pattern.search(file.read())
        if found:
            return found
        if ended or time.monotonic() > deadline:
            with open(path, encoding="utf-8", errors="replace") as file:
                raise RuntimeError(f"{path}: {'it ended' if ended else f'{seconds} s'} without "
                                   f"\"{pattern.pattern}\": {file.read()[-500:]}")
        time.sleep(0.02)


# --- Ours ---

class History:
    """A node's log with so many entries, left by a pair that was loaded and stopped."""

    def __init__(self, build, folder, payload, entries, covered=0):
        self.build, self.folder, self.starts = build, folder, 0
        if covered > 0:
            self.live(payload, covered, "500 ms", self.wait_covered)
        self.bytes = self.live(payload, entries, "720 h", lambda pair: None)
        # Segments that hold something: a file that was prepared and never used begins with zeros.
        pattern = os.path.join(folder, "state", "a", "log", "*.seg")
        self.files = [path for path in sorted(glob.glob(pattern)) if self.is_used(path)]

    def live(self, payload, entries, snapshots, at_end):
        """A pair takes so many entries and stops; the bytes of its log."""
        pair = log.LoggingPair(self.build, self.folder, "interval", SEGMENT, snapshots)
        try:
            self.load(pair, payload, entries)
            at_end(pair)
            return pair.ask("a", "counters")["log"]["bytes"]
        finally:
            pair.end()

    @staticmethod
    def wait_covered(pair):
        """Until a snapshot holds everything."""
        deadline = time.monotonic() + REPLAY_S
        while True:
            status = pair.ask("a", "status")
            if status["log"]["checkpoint"]["snapshot"] == status["sequence"]:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"no snapshot at {status['sequence']}: {status['log']}")
            time.sleep(0.1)

    @staticmethod
    def is_used(path):
        with open(path, "rb") as file:
            return any(file.read(8))

    def load(self, pair, payload, entries):
        # With other than 8 bytes register answers REJECTED; the entry is in the log all the same.
        size = ["--payload", str(payload)] if payload != 8 else []
        run = subprocess.run(
            [pair.bench, "--to", f"memif:{pair.socket}", "--addresses", "10.77.0.1",
             "--outstanding", str(OUTSTANDING), "--updates", str(entries), "--assets", str(ASSETS),
             "--timeout", "50ms", "--no-ledger", "--json", "--drain", "20s", "--seed", "1", *size],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=LOAD_S,
        )
        if run.returncode != 0:
            raise RuntimeError(f"the load failed: {run.stderr[-500:]}")

    def replay(self, entries):
        """Starts the node alone until it has its history; seconds of the replay."""
        self.starts += 1
        config = os.path.join(self.folder, "a.conf")
        logs = [os.path.join(self.folder, f"{name}-{self.starts}.log")
                for name in ("dataplane", "control")]
        with Child([os.path.join(self.build, "dataplane/standfast-dataplane"), "-c", config],
                   logs[0]):
            with Child([os.path.join(self.build, "control/standfast-control"), "-c", config],
                       logs[1]) as control:
                found = wait_for_line(logs[1], REPLAYED, control, REPLAY_S)
        # Sessions are entries too; a request that was repeated is not.
        if int(found[1]) < entries:
            raise RuntimeError(f"only {found[1]} entries of {entries} were replayed")
        return float(found[2])

    def read(self):
        """Bytes a second of reading the same files and computing their CRC32C."""
        run = subprocess.run([os.path.join(self.build, "perf/replay/read_crc"), *self.files],
                             stdout=subprocess.PIPE, check=True, text=True, timeout=REPLAY_S)
        found = json.loads(run.stdout)
        return found["bytes"] / found["seconds"]


# --- Redis ---

def resp(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


class Redis:
    """An append-only file of so many SETs of 8 bytes, over as many keys as ours has assets."""

    def __init__(self, folder, entries):
        self.folder, self.starts = folder, 0
        place = os.path.join(folder, "appendonlydir")
        os.makedirs(place)
        with open(os.path.join(place, "appendonly.aof.manifest"), "wb") as file:
            file.write(b"file appendonly.aof.1.base.aof seq 1 type b\n"
                       b"file appendonly.aof.1.incr.aof seq 1 type i\n")
        with open(os.path.join(place, "appendonly.aof.1.base.aof"), "wb") as file:
            file.write(resp(b"SELECT", b"0"))
            for first in range(0, entries, ASSETS):
                file.write(b"".join(
                    resp(b"SET", b"asset:%d" % (i % ASSETS), b"%08d" % (i % 100_000_000))
                    for i in range(first, min(first + ASSETS, entries))))
        with open(os.path.join(place, "appendonly.aof.1.incr.aof"), "wb"):
            pass

    def load(self):
        """Seconds that it says it took."""
        self.starts += 1
        path = os.path.join(self.folder, f"redis-{self.starts}.log")
        command = ["redis-server", "--port", "0", "--unixsocket",
                   os.path.join(self.folder, "redis.sock"), "--dir", self.folder, "--save", "",
                   "--appendonly", "yes", "--aof-use-rdb-preamble", "no", "--daemonize", "no",
                   "--auto-aof-rewrite-percentage", "0", "--logfile", ""]
        with Child(command, path) as server:
            return float(wait_for_line(path, LOADED, server, REDIS_S)[1])


# --- Figures ---

def say_ratio(keys, name, values, text, say):
    value, low, high = median_interval(values)
    keys[name], keys[name + "_low"], keys[name + "_high"] = (
        round(value, 3), round(low, 3), round(high, 3))
    say(f"{name:40} {value:6.2f}  ({low:.2f} to {high:.2f}; wanted {WANTED[name]}; {text})")


def measure(history, redis, entries, repetitions):
    """Seconds of the replay, bytes a second of reading and seconds of Redis, in turns."""
    rounds = []
    for i in range(repetitions + 1):
        found = {"replay_s": history.replay(entries), "read_bytes_s": history.read(),
                 "redis_s": redis.load() if redis else None}
        if i > 0:       # the first only warms the cache
            rounds.append(found)
    return rounds


def report(keys, payload, entries, history, rounds, say):
    speeds = [history.bytes / r["replay_s"] for r in rounds]
    say_ratio(keys, f"replay_over_read_{payload}",
              [speed / r["read_bytes_s"] for speed, r in zip(speeds, rounds)],
              f"{median([entries / r['replay_s'] for r in rounds]) / 1e6:.2f} million entries and "
              f"{median(speeds) / 1e6:.0f} MB a second; reading "
              f"{median([r['read_bytes_s'] for r in rounds]) / 1e6:.0f} MB a second", say)
    if rounds[0]["redis_s"] is not None:
        say_ratio(keys, "replay_over_redis", [r["redis_s"] / r["replay_s"] for r in rounds],
                  f"{median([r['replay_s'] for r in rounds]):.2f} s and "
                  f"{median([r['redis_s'] for r in rounds]):.2f} s", say)


def over_history(build, quick, keys, details, repetitions, say):
    """The same log behind the newest snapshot, and ten times the history before it."""
    tail = TAIL // 2 if quick else TAIL
    with tempfile.TemporaryDirectory(prefix="standfast-perf-") as folder:
        histories = []
        for times in (1, 10):
            place = os.path.join(folder, str(times))
            os.mkdir(place, 0o700)
            histories.append(History(build, place, 8, tail, covered=times * 2 * tail - tail))
        rounds = [[history.replay(tail) for history in histories] for _ in range(repetitions + 1)]
    rounds = rounds[1:]
    say_ratio(keys, "recovery_over_history", [ten / one for one, ten in rounds],
              f"{2 * tail:,} entries: {median([r[0] for r in rounds]) * 1e3:.0f} ms, "
              f"{20 * tail:,}: {median([r[1] for r in rounds]) * 1e3:.0f} ms", say)
    details["history"] = {"tail": tail, "rounds": rounds}


def run(build, quick, say):
    """Keys with intervals, details; nothing is out of bounds here: the machine may be busy."""
    repetitions = 3 if quick else 9
    has_redis = shutil.which("redis-server") is not None
    keys, details = {}, {"repetitions": repetitions}
    if not has_redis:
        say("replay: redis-server is not installed (deploy/install-deps perf): not compared")
    for payload, entries in ENTRIES.items():
        entries = entries // 2 if quick else entries
        with tempfile.TemporaryDirectory(prefix="standfast-perf-") as folder:
            redis = None
            if payload == 8 and has_redis:
                place = os.path.join(folder, "redis")
                os.mkdir(place, 0o700)
                redis = Redis(place, entries)
            history = History(build, folder, payload, entries)
            rounds = measure(history, redis, entries, repetitions)
            report(keys, payload, entries, history, rounds, say)
        details[f"payload_{payload}"] = {
            "entries": entries, "log_bytes": history.bytes, "segments": len(history.files),
            "rounds": rounds}
    over_history(build, quick, keys, details, repetitions, say)
    return keys, details, []
