#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The C library, the Python client and standfast-bench find a pair by its name, and find it again when
the primary is lost or says so without a hint: the reference node behind a real name server.

Usage: test_client_names.py CLIENT_CALL NAME_SERVER BENCH [unittest arguments]"""
import json
import os
import random
import resource
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "client", "python")]
sys.dont_write_bytecode = True

import reference_node  # noqa: E402
import standfast  # noqa: E402

CLIENT_CALL, NAME_SERVER, BENCH = (sys.argv.pop(1) for _ in range(3))
NAME = "in-dns.region.test"
SEED = int(os.environ.get("STANDFAST_TEST_SEED", random.randrange(1 << 32)))
NODES = ("127.0.0.1", "127.0.0.2")
ASSETS = 5


class Names:
    """A name server for NAME, and its port."""

    def __init__(self, test):
        self.process = subprocess.Popen([NAME_SERVER, "10000000", "10000000", "0"], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        test.addCleanup(self.end)
        self.port = int(self.process.stdout.readline())
        for i, node in enumerate(NODES):
            number = int.from_bytes(socket.inet_aton(node), "big")
            self.tell(f"address in-dns {i} {number}")

    def end(self):
        self.process.kill()
        self.process.communicate()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer != "no", line
        return answer

    def answered(self):
        return int(dict(one.split("=") for one in self.tell("counters").split())["answered"])


class Pair:
    """The reference pair: two addresses, one port. The node that is not primary is silent, or refuses
    without a hint."""

    def __init__(self, test, silent):
        self.pair = reference_node.Pair()
        self.silent, self.stop = silent, threading.Event()
        self.delay_s, self.up = 0.0, threading.Event()
        self.up.set()
        self.lock = threading.Lock()
        self.sockets = []
        for node in NODES:
            end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            end.bind((node, self.sockets[0].getsockname()[1] if self.sockets else 0))
            end.settimeout(0.02)
            self.sockets.append(end)
        self.port = self.sockets[0].getsockname()[1]
        # A hint that the client cannot use: its own node.
        self.pair.addresses = [(node, self.port) for node in NODES]
        self.threads = [threading.Thread(target=self.serve, args=(i,), daemon=True)
                        for i in range(2)]
        for thread in self.threads:
            thread.start()
        test.addCleanup(self.end)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(10)
        for end in self.sockets:
            end.close()

    def serve(self, node):
        end = self.sockets[node]
        while not self.stop.is_set():
            try:
                datagram, sender = end.recvfrom(65536)
            except socket.timeout:
                continue
            with self.lock:
                if node != self.pair.primary and self.silent or not self.up.is_set():
                    continue
                self.pair.addresses[self.pair.primary] = self.pair.addresses[node] \
                    if node != self.pair.primary else (NODES[node], self.port)
                answers = self.pair.handle(node, datagram)
            time.sleep(self.delay_s)
            for answer in answers:
                end.sendto(answer, sender)

    def take_over(self):
        with self.lock:
            self.pair.take_over()


class ByName(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED}", file=sys.stderr)
        self.names = Names(self)

    def move(self, pair, after_s=0.0):
        time.sleep(after_s)
        pair.take_over()
        self.names.tell(f"switch in-dns {pair.pair.primary}")

    def test_python_when_the_primary_is_lost_asks_again(self):
        for silent in (True, False):
            pair = Pair(self, silent)
            self.names.tell("switch in-dns 0")
            with standfast.Client(f"{NAME}:{pair.port}", timeout=20,
                                  resolver=f"127.0.0.1:{self.names.port}") as client:
                for i in range(6):
                    self.assertEqual(client.add(7, 1).value, i + 1)
                    self.move(pair)
                self.assertGreaterEqual(client.counters["lookups"], 3)

    def test_canary_when_the_name_server_is_not_told_nobody_is_found(self):
        pair = Pair(self, True)
        with standfast.Client(f"{NAME}:{pair.port}", timeout=1,
                              resolver=f"127.0.0.1:{self.names.port}") as client:
            self.assertEqual(client.add(7, 1).outcome, "ok")
            pair.take_over()
            self.assertEqual(client.add(7, 1).outcome, "unknown")

    def test_python_when_a_server_knows_no_better_asks_the_next(self):
        stale, pair = Names(self), Pair(self, True)
        servers = [stale, self.names]
        for order in (servers, servers[::-1]):
            stale.tell(f"switch in-dns {pair.pair.primary}")
            self.names.tell(f"switch in-dns {pair.pair.primary}")
            with standfast.Client(f"{NAME}:{pair.port}", timeout=20, resolver=",".join(
                    f"127.0.0.1:{one.port}" for one in order)) as client:
                self.assertEqual(client.add(7, 1).outcome, "ok")
                self.move(pair)
                self.assertEqual(client.add(7, 1).outcome, "ok")

    def test_python_when_no_server_answers_goes_on_with_the_nodes_it_has(self):
        pair = Pair(self, True)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dumb:
            dumb.bind(("127.0.0.1", 0))
            with standfast.Client(f"{NODES[0]}:{pair.port},{NODES[1]}:{pair.port},{NAME}:1", timeout=20,
                                  resolver=f"127.0.0.1:{dumb.getsockname()[1]}") as client:
                for _ in range(2):
                    pair.take_over()
                    begin = time.monotonic()
                    self.assertEqual(client.add(7, 1).outcome, "ok")
                    self.assertLess(time.monotonic() - begin, 2)

    def test_c_when_a_server_answers_late_waits_at_rest(self):
        """The client finds the other node by itself meanwhile, and has no use for the answer."""
        pair = Pair(self, True)
        pair.up.clear()
        pair.delay_s = 0.008
        late = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(late.close)
        late.bind(("127.0.0.1", 0))
        late.settimeout(10)

        def tell(query, sender):
            late.sendto(query[:2] + b"\x85\0\0\1\0\1\0\0\0\0" + query[12:]
                        + b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(NODES[0]), sender)

        def serve():
            tell(*late.recvfrom(4096))
            asked = late.recvfrom(4096)
            pair.up.set()
            while not pair.pair.sessions:
                if select.select([late], [], [], 0.001)[0]:
                    asked = late.recvfrom(4096)
            time.sleep(0.03)
            tell(*asked)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        begin, before_s = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [CLIENT_CALL, f"{NODES[0]}:{pair.port},{NODES[1]}:{pair.port},{NAME}:{pair.port}", "1",
             "100", "20000"], capture_output=True, timeout=60, check=False,
            env={**os.environ, "STANDFAST_RESOLVER": f"127.0.0.1:{late.getsockname()[1]}"})
        took_s, after_s = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertEqual(done.returncode, 0)
        thread.join(0)
        self.assertFalse(thread.is_alive())     # it was asked twice, or nothing was tested
        self.assertGreater(took_s, 0.7)
        busy_s = sum(getattr(after_s, key) - getattr(before_s, key) for key in ("ru_utime", "ru_stime"))
        self.assertLess(busy_s, 0.3)

    def test_python_when_nothing_is_lost_asks_once(self):
        pair = Pair(self, True)
        with standfast.Client(f"{NAME}:{pair.port}", timeout=20,
                              resolver=f"127.0.0.1:{self.names.port}") as client:
            for _ in range(100):
                self.assertEqual(client.add(7, 1).outcome, "ok")
        self.assertEqual(self.names.answered(), 1)

    def call_c(self, pair, count, resolver, out):
        return subprocess.Popen(
            [CLIENT_CALL, f"{NAME}:{pair.port}", str(count), str(ASSETS), "20000"],
            env={**os.environ, "STANDFAST_RESOLVER": resolver}, stdout=out)

    def test_c_when_the_primary_is_lost_asks_again(self):
        for silent in (True, False):
            pair = Pair(self, silent)
            self.names.tell("switch in-dns 0")
            asked = self.names.answered()
            out = tempfile.TemporaryFile("w+")      # a pipe would fill up
            self.addCleanup(out.close)
            call = self.call_c(pair, 5000, f"127.0.0.1:9,127.0.0.1:{self.names.port}", out)
            self.addCleanup(call.wait)
            self.addCleanup(call.kill)
            for _ in range(4):
                before = pair.pair.sequence
                while pair.pair.sequence < before + 500 and call.poll() is None:
                    time.sleep(0.001)
                self.move(pair)
            self.assertEqual(call.wait(60), 0)
            out.seek(0)
            rows = [line.split() for line in out]
            self.assertEqual(len(rows), 5000 + ASSETS)
            self.assertEqual({row[4] for row in rows}, {"ok"})
            self.assertEqual(sum(int(row[7]) for row in rows[-ASSETS:]), 5000)
            # At the start, and each time that the second node serves, of which only the name told.
            self.assertGreaterEqual(self.names.answered() - asked, 3)

    def test_c_when_the_name_is_unknown_says_so(self):
        pair = Pair(self, True)
        done = subprocess.run([CLIENT_CALL, f"no.region.test:{pair.port}", "1", "1", "2000"],
                              env={**os.environ,
                                   "STANDFAST_RESOLVER": f"127.0.0.1:{self.names.port}"},
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No route to host", done.stderr)
        with self.assertRaisesRegex(OSError, "no address"):
            standfast.Client(f"no.region.test:{pair.port}",
                             resolver=f"127.0.0.1:{self.names.port}")

    def test_bench_when_the_primary_is_lost_asks_again(self):
        pair = Pair(self, True)
        bench = subprocess.Popen(
            [BENCH, "--to", f"udp:{NAME}:{pair.port}", "--resolver",
             f"127.0.0.1:{self.names.port}", "--rate", "500", "--duration", "3s", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.move(pair, 1.0)
        out, errors = bench.communicate(timeout=60)
        self.assertEqual(bench.returncode, 0, errors + out)
        result = json.loads(out)
        self.assertEqual((result["lost_after_ack"], result["applied_twice"]), (0, 0))
        self.assertEqual(result["acked"], result["sent"])

    def test_answer_when_forged_or_broken_is_not_taken(self):
        query = bytes.fromhex("123401000001000000000000") + b"\2ab\0\0\1\0\1"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\7\0\4\x0a\0\0\1"
        good = b"\x12\x34\x85\0\0\1\0\1\0\0\0\0" + query[12:] + record
        self.assertEqual(standfast.read_addresses(good, query), (["10.0.0.1"], 7))
        for broken in (b"\x12\x35" + good[2:], good[:2] + b"\1" + good[3:], good[:-1],
                       good[:13] + b"x" + good[14:], good[:3] + b"\2" + good[4:], good[:7] + b"\2" + good[8:]):
            self.assertIsNone(standfast.read_addresses(broken, query), broken)


if __name__ == "__main__":
    unittest.main()
