#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The Standfast pairs under a live pipeline: real nodes in network namespaces, made and ended here.

usage: live_pairs.py FOLDER NAME

Commands come as lines "TAG VERB ARGUMENT…", answers go as "TAG ok WORD…" or "TAG failed TEXT"; one
after the other. When the input ends, however it came to that, everything that was made is taken
down. Nodes are "a" and "b"; a is primary at first.
"""
import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), *[".."] * 3))
sys.path.insert(0, os.path.join(ROOT, "deploy"))
from standfast_lab import host                              # noqa: E402
from standfast_lab.pair import Lab                          # noqa: E402
from standfast_lab.process import LabError, wait_for        # noqa: E402

WAIT_S = 30


class Pairs:
    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        self.labs = []

    # --- verbs: words in, words out ---

    def up(self, assets, *acks):
        """A pair for each word: none, received or durable."""
        self.labs = [Lab(os.path.join(self.folder, f"p{i}")) for i in range(len(acks))]

        def one(i):
            self.labs[i].up(transport="veth", network=f"{self.name}-{i}", ack=acks[i],
                            assets_max=int(assets), memory="384 MiB")
        with concurrent.futures.ThreadPoolExecutor(len(acks)) as pool:
            for result in [pool.submit(one, i) for i in range(len(acks))]:
                result.result()
        return [lab.client_namespace() for lab in self.labs]

    def kill(self, pair, nodes):
        for node in self._nodes(pair, nodes):
            # The data plane first: what it has not said to anybody by now it never will.
            node.dataplane.signal(signal.SIGKILL)
            node.control.signal(signal.SIGKILL)
        for node in self._nodes(pair, nodes):
            node.kill()

    def lose(self, pair, node):
        """A region is lost: its lines first, its nodes a moment later."""
        self._lab(pair).tell_relay("cut both")
        self.kill(pair, node)

    def start(self, pair, nodes):
        self._lab(pair).tell_relay("heal")
        for node in self._nodes(pair, nodes):
            if node.dataplane.pid() is None:
                node.start_dataplane()
            if node.control.pid() is None:
                node.start_control()
        for node in self._nodes(pair, nodes):
            node.wait_running()
        return [self._lab(pair).wait_primary(WAIT_S).name]

    def switchover(self, pair, to):
        """The role to that node; nothing when it has it."""
        lab = self._lab(pair)
        now = lab.wait_primary(WAIT_S)
        if now.name != to:
            lab.wait_paired(WAIT_S)
            self._run("switchover", "-c", now.config)
            wait_for(f"{to} as primary", WAIT_S, lab.nodes[to].is_primary, 0.005)

    def promote(self, pair, to):
        """By force, whatever the other one may hold."""
        node = self._lab(pair).nodes[to]
        if not node.is_primary():
            self._run("promote", "--force", "--cluster", "lab", "-c", node.config)

    def cut(self, pair):
        self._lab(pair).tell_relay("cut both")

    def heal(self, pair):
        self._lab(pair).tell_relay("heal")

    def home(self, pair, delay_us):
        """As after `up`: whole, and a is primary; the link as slow as it shall be."""
        lab = self._lab(pair)
        lab.tell_relay("heal")
        lab.tell_relay("clear both" if delay_us == "0" else f"set both delay_us={delay_us}")
        if any(node.dataplane.pid() is None for node in lab.nodes.values()):
            self.start(pair, "ab")
        lab.wait_paired(WAIT_S)
        self.switchover(pair, "a")
        lab.wait_paired(WAIT_S)

    def paired(self, pair):
        self._lab(pair).wait_paired(WAIT_S)

    def digests(self, pair):
        """Sequence, digest of a, digest of b, at one sequence."""
        return list(self._lab(pair).digests(WAIT_S))

    def status(self, pair):
        """Name, mode and epoch of the primary."""
        node = self._lab(pair).wait_primary(WAIT_S)
        status = node.status()
        return [node.name, status["mode"], status["epoch"]]

    # --- the rest ---

    def _lab(self, pair):
        return self.labs[int(pair)]

    def _nodes(self, pair, names):
        return [self._lab(pair).nodes[name] for name in names]

    def _run(self, *words):
        result = subprocess.run([self.labs[0].programs["standfast"], *words],
                                capture_output=True, text=True, timeout=WAIT_S)
        if result.returncode:
            raise LabError(f"standfast {words[0]}: {result.stderr.strip()}", result.returncode)

    def down(self):
        for lab in self.labs:
            try:
                lab.down()
            except (LabError, OSError, subprocess.SubprocessError):
                traceback.print_exc()
        shutil.rmtree(self.folder, ignore_errors=True)


VERBS = {"up", "kill", "lose", "start", "switchover", "promote", "cut", "heal", "home", "paired", "digests",
         "status"}


def answer(pairs, line):
    tag, verb, *words = line.split()
    try:
        if verb not in VERBS:
            raise LabError(f"no verb {verb}")
        said = getattr(pairs, verb)(*words) or []
        return " ".join([tag, "ok", *map(str, said)])
    except (LabError, OSError, subprocess.SubprocessError, ValueError, IndexError, KeyError,
            json.JSONDecodeError) as error:
        return f"{tag} failed {' / '.join(str(error).split(chr(10)))}"


def main():
    # Ctrl-C is for the pipeline: it ends, and with it our input.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    pairs = Pairs(*sys.argv[1:3])
    os.makedirs(pairs.folder, mode=0o700, exist_ok=True)
    try:
        with host.without_autogroup():
            for line in sys.stdin:
                print(answer(pairs, line), flush=True)
    except BrokenPipeError:
        pass
    finally:
        pairs.down()


if __name__ == "__main__":
    main()
