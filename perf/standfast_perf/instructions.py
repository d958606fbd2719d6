# SPDX-License-Identifier: BSD-3-Clause
"""Instructions per update of primary, standby and load generator, by callgrind (perf/count)."""
import collections
import json
import os
import re
import shutil
import subprocess
import tempfile

from measure import Child

# No more than this; the load generator's bound keeps it from measuring itself.
LIMITS = {"primary": 1400, "standby": 550, "client": 400}
BATCH = 32
AGENTS = ("dp_ingress_poll", "dp_sequencer_poll", "dp_worker_poll")
TOP = 12
KEYS = {
    "primary": "instructions_primary",
    "standby": "instructions_standby",
    "client": "instructions_client",
}


def valgrind(out):
    return [
        "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--collect-atstart=no",
        "--toggle-collect=count_turn",
    ]


class Profile:
    """A callgrind file: instructions of each function by itself, and of each call of an agent."""

    CALL = re.compile(r"calls=")
    NAME = re.compile(r"(c?fn)=\((\d+)\)(?: (.*))?$")

    def __init__(self, path):
        self.total = 0
        self.own = collections.Counter()
        self.called = collections.Counter()
        names, function, callee, in_call = {}, None, None, False
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                found = self.NAME.match(line.rstrip("\n"))
                if found:
                    kind, number, name = found.groups()
                    names.setdefault(number, name)
                    if kind == "fn":
                        function = names[number]
                    else:
                        callee = names[number]
                elif self.CALL.match(line):
                    in_call = True
                elif line[:1].isdigit() or line[:1] in "+-*":
                    cost = int(line.split()[1])
                    if in_call:
                        if callee != function:
                            self.called[callee] += cost
                        in_call = False
                    else:
                        self.own[function] += cost
                        self.total += cost


def count_rings(build, part, rounds):
    """All parts in one process, connected by rings."""
    with tempfile.TemporaryDirectory(prefix="standfast-count-") as folder:
        out = os.path.join(folder, "callgrind.out")
        program = os.path.join(build, "perf/count/count")
        run = subprocess.run(
            [*valgrind(out), program, "ring", part, folder, str(rounds)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=600,
        )
        if run.returncode != 0:
            raise RuntimeError(f"count ring {part}: {run.stderr[-1000:]}")
        return Profile(out), updates_of(run.stderr)


def updates_of(text):
    return json.loads([line for line in text.splitlines() if line.startswith("{")][-1])["updates"]


def count_memif(build, counted, rounds):
    """One process per part, memif between them; the turn goes round through pipes."""
    program = os.path.join(build, "perf/count/count")
    parts = ("client", "primary", "standby")
    with tempfile.TemporaryDirectory(prefix="standfast-count-") as folder:
        out = os.path.join(folder, "callgrind.out")
        pipes = [os.pipe() for _ in parts]  # pipes[i]: from the part before to part i
        children = []
        try:
            # Servers first; the client, which leads the turns, last.
            for i in (1, 2, 0):
                command = [program, "memif", parts[i], folder, str(rounds)]
                if parts[i] == counted:
                    command = [*valgrind(out), *command, "counted"]
                children.append(Child(
                    command, os.path.join(folder, parts[i] + ".log"), stdin=pipes[i][0],
                    stdout=pipes[(i + 1) % 3][1],
                ))
        finally:
            for pipe in pipes:
                os.close(pipe[0])
                os.close(pipe[1])
        try:
            for child in reversed(children):
                child.process.wait(timeout=300)
        finally:
            for child in children:
                child.__exit__()
        logs = {}
        for part in parts:
            with open(os.path.join(folder, part + ".log"), encoding="utf-8") as file:
                logs[part] = file.read()
        if any(child.process.returncode != 0 for child in children):
            raise RuntimeError("count memif: " + "".join(text[-500:] for text in logs.values()))
        return Profile(out), updates_of(logs["client"])


def figures(profile, updates):
    return {
        "instructions": round(profile.total / updates, 1),
        "agents": {
            agent: round(profile.called[agent] / updates, 1)
            for agent in AGENTS if profile.called[agent]
        },
        "functions": {
            name: round(cost / updates, 1) for name, cost in profile.own.most_common(TOP)
        },
        "updates": updates,
    }


def run(build, quick, say):
    """Keys with intervals, details, and what is out of bounds."""
    if shutil.which("valgrind") is None:
        return None, {"skipped": "valgrind is not installed"}, []
    rounds = (150, 300) if quick else (200, 400, 800)
    keys, details, failed = {}, {}, []
    for part, limit in LIMITS.items():
        runs = [count_rings(build, part, count) for count in rounds]
        values = [profile.total / updates for profile, updates in runs]
        detail = {"ring": figures(*runs[-1])}
        value = values[-1]
        if not quick:
            profile, updates = count_memif(build, part, rounds[-1])
            detail["memif"] = figures(profile, updates)
            detail["memif"]["note"] = "the memif port and its gate included"
        name = KEYS[part]
        keys[name] = round(value, 1)
        keys[name + "_low"] = round(min(values), 1)
        keys[name + "_high"] = round(max(values), 1)
        details[part] = detail
        if value > limit:
            failed.append(f"{name} {value:.0f} is over {limit}")
        shares = ", ".join(
            f"{agent[3:-5]} {cost:.0f}" for agent, cost in detail["ring"]["agents"].items()
        )
        say(
            f"{name:22} {value:6.0f}  (at most {limit}"
            f"{'; ' + shares if shares else ''})"
        )
        if "memif" in detail:
            say(f"{'  over memif':22} {detail['memif']['instructions']:6.0f}")
    return keys, details, failed
