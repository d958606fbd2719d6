#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The C library and the Python client against the reference node, each over a clean and a bad
network and through takeovers: every update that was answered was applied exactly once, and the
answers are those of one linear history per asset.

Usage: test_client_cross.py CLIENT_CALL [unittest arguments]"""

import collections
import os
import random
import subprocess
import sys
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "client", "python")]
sys.dont_write_bytecode = True

import reference_node  # noqa: E402
import standfast  # noqa: E402

CLIENT_CALL = sys.argv.pop(1)
SEED = int(os.environ.get("STANDFAST_TEST_SEED", random.randrange(1 << 32)))
ASSETS = 5

Row = collections.namedtuple("Row", "user asset client seq outcome sequence version value")


class Running:
    """A reference pair that is served by a thread for as long as the with block lasts."""

    def __init__(self, **network):
        self.server = reference_node.Server(seed=SEED, **network)
        self.stop = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self):
        try:
            while not self.stop.is_set():
                self.server.serve_some(0.02)
        except Exception as failure:  # the test must not hang on a broken oracle
            self.failure = failure

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(10)
        self.server.close()

    @property
    def nodes(self):
        return ",".join(f"{ip}:{port}" for ip, port in self.server.pair.addresses)


def run_c(nodes, count):
    done = subprocess.run([CLIENT_CALL, nodes, str(count), str(ASSETS), "20000"], check=True,
                          stdout=subprocess.PIPE, timeout=60)
    for line in done.stdout.decode().splitlines():
        f = line.split()
        yield Row(*map(int, f[:4]), f[4], *map(int, f[5:]))


def run_python(nodes, count):
    with standfast.Client(nodes, timeout=20) as client:
        adds = [standfast.Request(i % ASSETS, standfast.ADD, (1).to_bytes(8, "little"))
                for i in range(count)]
        results = client.call_many(adds)
        results += [client.get(asset) for asset in range(ASSETS)]
    for user, r in enumerate(results):
        yield Row(user, r.asset, r.client_id, r.request_seq, r.outcome, r.sequence,
                  r.asset_version, r.value or 0)


class CrossTest(unittest.TestCase):
    def check(self, rows, pair, count):
        """rows: what the client was told; pair.history: what was done."""
        print(f"seed {SEED}", file=sys.stderr)
        self.assertEqual(sorted(r.user for r in rows), list(range(count + ASSETS)))
        done = collections.Counter((h[1], h[2]) for h in pair.history)
        self.assertFalse([key for key, times in done.items() if times > 1], "applied twice")
        where = {(h[1], h[2]): h for h in pair.history}
        adds, reads = [r for r in rows if r.user < count], [r for r in rows if r.user >= count]
        for row in adds:
            self.assertEqual(row.outcome, "ok", row)
            self.assertEqual(where[row.client, row.seq][0], row.sequence)
            self.assertEqual(where[row.client, row.seq][3], row.asset)
            self.assertEqual(row.asset, row.user % ASSETS)
        self.assertEqual(len(pair.history), count)
        for asset in range(ASSETS):
            mine = sorted((r for r in adds if r.asset == asset), key=lambda r: r.version)
            self.assertEqual([r.version for r in mine], list(range(1, len(mine) + 1)))
            self.assertEqual([r.value for r in mine], list(range(1, len(mine) + 1)))
            self.assertEqual([r.sequence for r in mine], sorted(r.sequence for r in mine))
            read, = [r for r in reads if r.asset == asset]
            self.assertEqual((read.outcome, read.value, read.version, read.sequence),
                             ("ok", len(mine), len(mine), 0))

    def both(self, count, **network):
        for run in (run_c, run_python):
            with self.subTest(client=run.__name__), Running(**network) as running:
                rows = list(run(running.nodes, count))
                self.assertIsNone(running.failure)
                self.check(rows, running.server.pair, count)
                if network.get("takeover_every"):
                    self.assertGreater(running.server.pair.epoch, 2)

    def test_clients_when_network_is_clean_then_exactly_once(self):
        self.both(500)

    def test_clients_when_network_loses_and_repeats_then_exactly_once(self):
        self.both(300, lose=0.2, repeat=0.2)

    def test_clients_when_primary_changes_again_and_again_then_exactly_once(self):
        self.both(300, lose=0.05, repeat=0.1, takeover_every=5)


if __name__ == "__main__":
    unittest.main()
