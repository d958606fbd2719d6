#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The name server, over real sockets and with dig: control's, which follows a node's status, and the
library alone. Floods of malformed queries, slow askers, too many of them.

test_names.py STANDFAST CONTROL WRITER SERVER SERVER_CANARY

WRITER is memory_writer, which plays the dataplane's side of the memory file. SERVER_CANARY has
deliberate bugs, which the same checks must notice. Exit 77: no dig here.
"""
import json
import os
import random
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

STANDFAST, CONTROL, WRITER, SERVER, SERVER_CANARY = map(os.path.abspath, sys.argv[1:6])
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1, 1 << 31))
FULL = os.environ.get("STANDFAST_TESTS") == "full"
STORM = 1_000_000 if FULL else 30_000
OK, FAILED, USAGE, NOT_RUNNING, REFUSED, CONFIG = 0, 1, 2, 3, 5, 78
STANDBY, PAIRED, BLOCKED, HALTED, ALONE, ASYNC, WAITING, LEARNER, CANDIDATE = range(9)
GROWTH = 64             # an answer has at most so many bytes more than its query
PATIENCE_S = 20
NO_BOUND = 10_000_000   # queries a second


def wait_until(what, question, seconds=PATIENCE_S):
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.005)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Answer:
    """What dig says: status, flags, records as (name, ttl, type, value) by section."""

    def __init__(self, text):
        self.text = text
        self.status = self.flags = ""
        self.records = {}
        section = ""
        for line in text.splitlines():
            if "status: " in line:
                self.status = line.split("status: ")[1].split(",")[0]
            elif line.startswith(";; flags:"):
                self.flags = line.split(";; flags:")[1].split(";")[0].split()
            elif line.startswith(";; ") and line.endswith(" SECTION:"):
                section = line.split()[1]
            elif line and not line.startswith(";"):
                name, ttl, _, kind, value = line.split(None, 4)
                self.records.setdefault(section, []).append((name, int(ttl), kind, value))

    @property
    def address(self):
        found = self.records.get("ANSWER", [])
        return found[0][3] if len(found) == 1 and found[0][2] == "A" else None


def dig(port, name, *words, source="127.0.0.1", tries=1):
    result = subprocess.run(
        ["dig", "-r", "@127.0.0.1", "-p", str(port), "-b", source, f"+tries={tries}", "+time=1",
         "+nocookie", name, *words], capture_output=True, text=True, timeout=30, check=False)
    return Answer(result.stdout)


def query_of(name, kind=1, number=None, edns=False):
    number = random.randrange(65536) if number is None else number
    labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split(".")) + b"\0"
    return (struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, int(edns)) + labels
            + struct.pack(">HH", kind, 1)
            + (struct.pack(">BHHIH", 0, 41, 1232, 0, 0) if edns else b""))


def damaged(dice):
    """Something that is not quite a query."""
    query = bytearray(query_of(dice.choice(["in-dns.region.test", "x" * 60 + ".region.test",
                                            "region.test", "a.b.c.d.e", "demo.standfast.test"]),
                               dice.choice([1, 2, 6, 28, 41, 252, 255, 65535]), edns=dice.random() < .5))
    kind = dice.randrange(6)
    if kind == 0:
        return dice.randbytes(dice.randrange(0, 600))
    if kind == 1:
        return bytes(query[:dice.randrange(len(query))])
    if kind == 2:       # counts that promise more, names that point at themselves
        query[4 + dice.randrange(8)] = dice.randrange(256)
    if kind == 3:
        query[12:14] = bytes([0xc0 | dice.randrange(64), dice.randrange(256)])
    if kind == 4:
        query[2] = dice.randrange(256)
    if kind == 5:
        query += dice.randbytes(dice.randrange(1, 1500))
    for _ in range(dice.randrange(4)):
        query[dice.randrange(len(query))] = dice.choice([0, 1, 0x3f, 0x40, 0x80, 0xc0, 0xff])
    return bytes(query)


def memory_kib(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as file:
        return sum(map(int, file.read().rsplit(") ", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


class Storm:
    """Malformed queries to a server, and what comes back; alive, its counters and its memory are
    asked of the server. A violation is an AssertionError."""

    def __init__(self, server, dice):
        self.server, self.dice = server, dice
        self.sent = self.answers = self.good = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.connect(("127.0.0.1", server.port))
        self.socket.setblocking(False)
        self.lengths = {}

    def close(self):
        self.socket.close()

    def take_in(self):
        while True:
            try:
                answer = self.socket.recv(65536)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                raise AssertionError("nobody listens any more")
            self.answers += 1
            number = answer[:2]
            assert len(answer) >= 12 and answer[2] & 0x80, answer
            limit = self.lengths.get(number, 0) + GROWTH
            assert len(answer) <= limit, f"{len(answer)} bytes, {limit} allowed"

    def send(self, count):
        for i in range(count):
            data = damaged(self.dice)
            # Several of one number are under way: the longest of them is the bound.
            if len(data) >= 2:
                self.lengths[data[:2]] = max(self.lengths.get(data[:2], 0), len(data))
            try:
                self.socket.send(data)
                self.sent += 1
            except (BlockingIOError, ConnectionRefusedError):
                assert self.server.alive(), "the server is gone"
            if i % 16 == 15:
                self.take_in()
            if i % 5000 == 0:
                self.ask_well()

    def ask_well(self):
        """A real asker, from elsewhere, meanwhile; a datagram may be lost in a full buffer."""
        assert self.server.alive(), "the server is gone"
        for _ in range(20):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                asker.bind(("127.0.1.1", 0))
                asker.settimeout(0.5)
                asker.sendto(query_of(self.server.name, number=7), ("127.0.0.1", self.server.port))
                self.sent += 1
                try:
                    answer = asker.recv(4096)
                except socket.timeout:
                    assert self.server.alive(), "the server is gone"
                    continue
                assert answer[:2] == b"\0\7" and answer[3] & 15 == 0 and answer[7] == 1, answer
                self.good += 1
                return
        raise AssertionError("a good query has no answer")

    def judge(self):
        """Everything that came is accounted for."""
        wait_until("rest", lambda: self.server.counters() == self.server.counters())
        self.take_in()
        counts = self.server.counters()
        came = counts["datagrams"]
        assert came <= self.sent, counts
        passed = came - sum(counts[key] for key in ("source_over", "deferred", "all_over",
                                                    "oversize"))
        assert passed + counts["tcp_queries"] - counts["tcp_over"] == counts["queries"], counts
        reasons = ("answered", "apex", "nodata", "no_endpoint", "unknown_name", "silent_name",
                   "refused", "bad_version", "not_implemented", "malformed", "too_short",
                   "no_query", "out_of_memory")
        assert sum(counts[key] for key in reasons) == counts["queries"], counts
        return counts

    def run(self, count):
        """The first part warms caches and pools up; from then on memory stands still."""
        self.send(count // 3)
        before = memory_kib(self.server.pid)
        self.send(count - count // 3)
        counts = self.judge()
        grown = memory_kib(self.server.pid) - before
        assert grown < 1024, f"grown by {grown} KiB"
        return counts


class Server:
    """The library alone, with lines for counters and switching."""
    name = "in-dns.region.test"

    def __init__(self, test, rate=NO_BOUND, rate_all=NO_BOUND, udp_bytes=0, canary=None, anywhere=False):
        words = [str(rate), str(rate_all), str(udp_bytes), *([canary] if canary else []),
                 *(["any"] if anywhere else [])]
        self.process = subprocess.Popen([SERVER_CANARY if canary else SERVER, *words],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        test.addCleanup(self.end)
        self.port = int(self.process.stdout.readline())
        self.pid = self.process.pid

    def end(self):
        self.process.kill()
        self.process.communicate()

    def alive(self):
        return self.process.poll() is None

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def counters(self):
        text = self.tell("counters") if self.alive() else ""
        assert text, "the server is gone"
        return {key: int(value) for key, value in (one.split("=") for one in text.split())}


class Library(unittest.TestCase):
    def setUp(self):
        self.dice = random.Random(SEED)

    def storm(self, server, count):
        storm = Storm(server, self.dice)
        self.addCleanup(storm.close)
        return storm, storm.run(count)

    def test_storm_when_malformed_harms_nobody(self):
        server = Server(self)
        begin = time.monotonic()
        storm, counts = self.storm(server, STORM)
        print(f"{storm.sent} sent, {counts['queries']} taken, {counts['malformed']} malformed, "
              f"{storm.answers} answers, {storm.good} good ones, {time.monotonic() - begin:.1f} s",
              flush=True)
        # Most were looked at, and of every kind.
        self.assertGreater(counts["queries"], STORM // 2)
        for reason in ("answered", "apex", "nodata", "unknown_name", "refused", "malformed",
                       "not_implemented", "too_short", "no_query", "bad_version"):
            self.assertGreater(counts[reason], 0, reason)
        self.assertGreater(storm.good, 3)
        self.assertEqual(counts["out_of_memory"], 0)

    def test_canaries_when_on_are_noticed(self):
        for canary, complaint in (("crash", "gone|listens"), ("leak", "grown by"),
                                  ("amplify", "allowed"), ("miscount", "too_short")):
            with self.subTest(canary), self.assertRaisesRegex(AssertionError, complaint):
                self.storm(Server(self, canary=canary), 30_000)
        with self.assertRaisesRegex(AssertionError, "too many"):
            self.flood(Server(self, rate=50, canary="no-rate"))

    def flood(self, server):
        """Good queries in one source's name, far over its rate; how many were answered in full, and
        how many bytes came back for one."""
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(asker.close)
        asker.bind(("127.0.0.1", 0))
        asker.setblocking(False)
        query = query_of(server.name)
        sent = back = full = 0
        end = time.monotonic() + 1
        while time.monotonic() < end:
            asker.sendto(query, ("127.0.0.1", server.port))
            sent += len(query)
            time.sleep(0.0005)
            try:
                answer = asker.recv(4096)
            except BlockingIOError:
                continue
            back += len(answer)
            full += not answer[2] & 2
        assert full <= 50 * 3, f"too many: {full}"      # a burst of a second, and a second or two
        return full, sent, back

    def test_source_when_over_its_rate_gets_less_than_it_sent_and_others_are_served(self):
        server = Server(self, rate=50)
        full, sent, back = self.flood(server)
        self.assertGreaterEqual(full, 50)
        self.assertLess(back, sent)
        counts = server.counters()
        self.assertGreater(counts["deferred"], 0)
        self.assertGreater(counts["source_over"], 0)
        # Told to come by TCP, dig does; the flood goes on meanwhile, or the bucket would fill.
        over = threading.Event()

        def go_on():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                while not over.wait(0.002):
                    asker.sendto(query_of(server.name), ("127.0.0.1", server.port))
        flood = threading.Thread(target=go_on)
        flood.start()
        try:
            def by_tcp():
                answer = dig(server.port, server.name)
                return "retrying in TCP" in answer.text and answer
            self.assertEqual(wait_until("an answer over TCP", by_tcp).address, "10.0.0.1")
        finally:
            over.set()
            flood.join()
        self.assertEqual(dig(server.port, server.name, source="127.0.1.1").address, "10.0.0.1")

    def test_all_when_over_the_rate_are_dropped(self):
        server = Server(self, rate_all=20)
        for i in range(200):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                asker.bind((f"127.1.{i}.1", 0))
                asker.sendto(query_of(server.name), ("127.0.0.1", server.port))
        counts = wait_until("all", lambda: (lambda c: c["datagrams"] == 200 and c)(server.counters()))
        self.assertGreater(counts["all_over"], 100)

    def test_answer_when_truncated_comes_over_tcp(self):
        server = Server(self, udp_bytes=50)
        answer = dig(server.port, server.name)
        self.assertIn("Truncated, retrying in TCP", answer.text)
        self.assertEqual(answer.address, "10.0.0.1")
        ignored = dig(server.port, server.name, "+ignore")
        self.assertIn("tc", ignored.flags)
        self.assertIsNone(ignored.address)
        self.assertEqual(server.counters()["truncated"], 2)

    def test_connections_when_slow_or_broken_hold_up_nobody(self):
        server = Server(self)
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
        self.addCleanup(lambda: [one.close() for one in idle])
        for one in idle[-10:]:
            one.sendall(b"\0")
        self.assertEqual(dig(server.port, server.name, "+tcp", tries=3).address, "10.0.0.1")
        for broken in (b"\0\0", b"\xff\xff", b"\0\x05hello", b"\0\x0c" + bytes([0, 0, 0x80]) + bytes(9)):
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as one:
                one.sendall(broken)
                self.assertEqual(one.recv(100), b"")
        # Several over one connection, in pieces, and no more than a bound.
        query = query_of(server.name)
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as one:
            message = struct.pack(">H", len(query)) + query
            for byte in message:
                one.sendall(bytes([byte]))
            one.sendall(message * 63)
            got = b""
            while part := one.recv(65536):
                got += part
        self.assertEqual(len(got), 64 * (2 + len(query) + 16))
        counts = wait_until("late ones", lambda: (lambda c: c["tcp_late"] >= 12 and c)(
            server.counters()))
        self.assertGreaterEqual(counts["tcp_evicted"], 100 - 16)
        self.assertGreater(counts["tcp_broken"], 0)

    def crowd_out(self, server):
        """Is an asker over TCP still answered after a hundred connections of another network?"""
        asker = socket.create_connection(("127.0.0.1", server.port), 5, ("127.0.1.1", 0))
        crowd = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
        self.addCleanup(lambda: [one.close() for one in [asker, *crowd]])
        wait_until("all", lambda: server.counters()["connects"] == 101)
        query = query_of(server.name)
        try:
            asker.sendall(struct.pack(">H", len(query)) + query)
            return len(asker.recv(100)) > 0
        except ConnectionError:
            return False

    def test_connections_when_one_network_has_many_leave_others_theirs(self):
        self.assertTrue(self.crowd_out(Server(self)))
        self.assertFalse(self.crowd_out(Server(self, canary="no-share")))

    def busy_without_descriptors(self, canary=None):
        """The share of a CPU that a server needs while connections wait that it cannot take."""
        server = Server(self, canary=canary)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (8, 8))
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(4)]
        wait_until("none left", lambda: server.counters()["accept_failed"] > 0)
        before_s, begin = cpu_s(server.pid), time.monotonic()
        time.sleep(0.5)
        share = (cpu_s(server.pid) - before_s) / (time.monotonic() - begin)
        self.assertEqual(dig(server.port, server.name, tries=5).address, "10.0.0.1")
        for one in idle:
            one.close()
        self.assertEqual(dig(server.port, server.name, "+tcp", tries=5).address, "10.0.0.1")
        return share

    def test_connections_when_no_descriptor_is_left_are_waited_for_at_rest(self):
        self.assertLess(self.busy_without_descriptors(), 0.1)
        self.assertGreater(self.busy_without_descriptors("spin"), 0.2)

    def test_answer_when_all_addresses_are_listened_on_comes_from_the_one_asked(self):
        server = Server(self, anywhere=True)
        for address in ("127.0.0.1", "127.0.0.77"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                asker.settimeout(5)
                asker.sendto(query_of(server.name), (address, server.port))
                self.assertEqual(asker.recvfrom(4096)[1], (address, server.port))

    def test_names_when_the_program_switches_them_follow(self):
        server = Server(self)
        own = "own.region.test"
        self.assertEqual([dig(server.port, own).address for _ in range(2)], ["10.0.0.1"] * 2)
        self.assertEqual(server.tell("accepted own 0"), "ok")
        self.assertEqual(dig(server.port, own).address, "10.0.0.2")
        self.assertEqual(server.tell("offline own 1"), "ok")
        self.assertEqual(dig(server.port, own).address, "10.0.0.1")
        self.assertEqual(server.tell("switch in-dns 1"), "ok")
        self.assertEqual(dig(server.port, server.name).address, "10.0.0.2")
        self.assertEqual(server.tell("switch own 1"), "no")


NAMES = """names = [ "orders weighted api 10.1.0.1:80*3 10.1.0.2:80", "in failover queue 10.1.0.1:1 10.1.0.2:2",
  "out.1 alternate stream 10.1.0.1:1 10.1.0.2:2" ];"""


class Control(unittest.TestCase):
    """Control with a dataplane that says what the test wants; it is node a, 10.77.0.1."""
    name = "demo.standfast.test"

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="sfname-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder)
        self.conf = os.path.join(self.folder, "a.conf")
        self.running = []
        self.addCleanup(self.end_all)
        self.port = free_port()

    def end_all(self):
        for process in self.running:
            process.kill()
            process.communicate()

    def begin(self, routing=NAMES, enabled="on", writer=True):
        example = os.path.join(TOP, "config", "examples", "demo-memif-a.conf")
        with open(example) as source, open(self.conf, "w") as target:
            target.write(source.read().replace("/run/standfast-demo", self.folder) +
                         f'routing: {{ enabled = "{enabled}"; port = {self.port}; {routing} }};\n')
        if writer:
            self.start_writer()
        with open(os.path.join(self.folder, "log"), "w") as log:
            self.control = subprocess.Popen([CONTROL, "-c", self.conf], stderr=log,
                                            stdin=subprocess.DEVNULL)
        self.running.append(self.control)
        wait_until("control", lambda: self.run_verb("events").returncode == OK)

    def start_writer(self):
        self.writer = subprocess.Popen([WRITER, self.conf], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        self.running.append(self.writer)
        self.assertEqual(self.writer.stdout.readline(), "ok\n")

    def tell(self, *lines):
        for line in lines:
            self.writer.stdin.write(line + "\n")
            self.writer.stdin.flush()
            self.assertEqual(self.writer.stdout.readline(), "ok\n")

    def run_verb(self, *words):
        return subprocess.run([STANDFAST, *words, "-c", self.conf], capture_output=True, text=True,
                              timeout=30, check=False)

    def route(self, *words, code=OK):
        result = self.run_verb("route", *words, "--json")
        self.assertEqual(result.returncode, code, result)
        return json.loads(result.stdout)

    def events_of(self, kind):
        result = self.run_verb("events", "--json")
        return [one["text"] for one in json.loads(result.stdout)["events"] if one["event"] == kind]

    def wait_answer(self, expected):
        """An address, or a status."""
        def fits():
            answer = dig(self.port, self.name)
            return (answer.address or answer.status) == expected
        wait_until(f"{expected} as the answer", fits, 5)

    # Storm's view of control.
    alive = property(lambda self: lambda: self.control.poll() is None)
    pid = property(lambda self: self.control.pid)

    def counters(self):
        found = self.route("status")["counters"]
        return {**found["sockets"], **found["answers"]}

    def test_pair_when_roles_change_is_followed(self):
        self.begin()
        a, b = "10.77.0.1", "10.77.0.2"
        for lines, expected in (
                (["role 0", f"mode {PAIRED} 0", "pair 3 0", f"peer 1 {STANDBY}"], a),
                ([f"peer 0 {STANDBY}", f"mode {ALONE} 0"], a),
                ([f"peer 1 {PAIRED}", f"mode {STANDBY} 0", "pair 4 1"], b),
                ([f"peer 1 {BLOCKED}"], b),
                ([f"mode {ASYNC} 0", "pair 5 0"], a),
                ([f"mode {BLOCKED} 0"], a),
                ([f"mode {WAITING} 0", "pair 6 1", f"peer 0 {ALONE}"], b),
                ([f"peer 1 {ALONE}"], b),
                ([f"mode {CANDIDATE} 0", f"peer 0 {STANDBY}", "pair 6 0"], a),
                (["freeze"], "SERVFAIL"), (["thaw"], a)):
            with self.subTest(lines):
                self.tell(*lines)
                self.wait_answer(expected)
        self.assertFalse(self.route("pick", "demo")["healthy"])
        self.tell(f"mode {PAIRED} 0")
        wait_until("healthy", lambda: self.route("pick", "demo")["healthy"])
        status = self.route("status", self.name + ".")["names"]
        self.assertEqual([(one["label"], one["healthy"]) for one in status[0]["endpoints"]],
                         [("a", True), ("b", False)])
        self.assertEqual((status[0]["answer"], status[0]["known"]), (1, True))
        self.writer.kill()
        self.writer.wait()
        self.wait_answer("SERVFAIL")
        self.assertIn("does not know", self.route("pick", "demo", code=FAILED)["error"])
        self.start_writer()
        self.tell("role 0", f"mode {PAIRED} 0", "pair 3 0")
        self.wait_answer(a)

    def test_change_when_it_comes_shows_within_the_interval(self):
        self.begin('health_interval = "200 ms"; ttl = "0 s";')
        self.tell("role 0", f"mode {PAIRED} 0", "pair 3 0")
        self.wait_answer("10.77.0.1")
        took_s = []
        for mode, peer, expected in ((STANDBY, PAIRED, "10.77.0.2"), (PAIRED, STANDBY, "10.77.0.1")) * 2:
            self.tell(f"peer 1 {peer}", f"mode {mode} 0")
            begin = time.monotonic()
            self.wait_answer(expected)
            took_s.append(time.monotonic() - begin)
        # A loaded machine may stall some of them, and dig is a process.
        self.assertLess(sorted(took_s)[1], 0.2 + 0.2, took_s)

    def test_health_when_it_flaps_below_the_threshold_does_not_show(self):
        self.begin('fall = "2 s"; rise = "1 s"; health_interval = "20 ms";')
        self.tell("role 0", f"mode {PAIRED} 0", "pair 3 0")
        wait_until("healthy", lambda: self.route("pick", "demo")["healthy"])
        begin = time.monotonic()
        self.tell(f"mode {STANDBY} 0", f"peer 1 {PAIRED}", "pair 4 1")
        self.wait_answer("10.77.0.2")
        self.assertGreaterEqual(time.monotonic() - begin, 0.95)

    def test_dig_when_it_asks_gets_what_dns_says(self):
        self.begin('ttl = "7 s";' + NAMES)
        self.tell("role 0", f"mode {BLOCKED} 0", "pair 3 0")
        self.wait_answer("10.77.0.1")
        self.assertEqual(dig(self.port, self.name).records["ANSWER"][0][1], 1)      # for want of a better one
        self.tell(f"mode {PAIRED} 0")
        wait_until("healthy", lambda: self.route("pick", "demo")["healthy"])
        for words in ([], ["+tcp"], ["+noedns"], ["+bufsize=512"], ["+dnssec"], ["+norecurse"]):
            answer = dig(self.port, "DeMo.sTandFast.tEst", *words)
            self.assertEqual(answer.records["ANSWER"],
                             [("DeMo.sTandFast.tEst.", 7, "A", "10.77.0.1")], answer.text)
            self.assertIn("aa", answer.flags)
            self.assertNotIn("ra", answer.flags)
            self.assertEqual("rd" in answer.flags, words != ["+norecurse"])
            self.assertEqual("EDNS: version: 0" in answer.text, words != ["+noedns"])
        for name, kind, status in (("no.standfast.test", "A", "NXDOMAIN"),
                                   ("demo.standfast.test", "AAAA", "NOERROR"),
                                   ("1.standfast.test", "A", "NOERROR")):
            answer = dig(self.port, name, kind)
            self.assertEqual((answer.status, answer.records["AUTHORITY"][0][2]), (status, "SOA"))
        self.assertEqual(dig(self.port, "example.com").status, "REFUSED")
        before = self.counters()
        self.assertIn("Transfer failed", dig(self.port, "standfast.test", "AXFR", "+tcp").text)
        after = self.counters()
        self.assertEqual([after[key] - before[key] for key in ("tcp_queries", "refused")], [1, 1])
        self.assertEqual(dig(self.port, "standfast.test", "NS").records["ADDITIONAL"],
                         [("ns.standfast.test.", 7, "A", "127.0.0.1")])
        soa = dig(self.port, "standfast.test", "SOA").records["ANSWER"][0]
        self.assertEqual(soa[3].split()[:2], ["ns.standfast.test.", "hostmaster.standfast.test."])

    def test_names_when_switched_by_hand_follow(self):
        self.begin()
        inner, out, orders = (name + ".standfast.test" for name in ("in", "out.1", "orders"))
        seen = [dig(self.port, out).address for _ in range(4)]
        self.assertEqual(seen, ["10.1.0.1", "10.1.0.2"] * 2)
        self.route("offline", "out.1", "1")
        self.assertEqual({dig(self.port, out).address for _ in range(3)}, {"10.1.0.2"})
        self.route("offline", "out.1", "10.1.0.2:2")
        answer = dig(self.port, out)
        self.assertEqual((answer.status, answer.address), ("NOERROR", None))
        self.assertIn("offline", self.route("pick", "out.1", code=FAILED)["error"])
        self.route("online", "out.1", "1")
        self.assertEqual(dig(self.port, out).address, "10.1.0.1")
        self.assertEqual(self.route("pick", inner)["port"], 1)
        self.assertEqual(self.route("switch", inner, "10.1.0.2")["answer"], 2)
        self.assertEqual(dig(self.port, inner).address, "10.1.0.2")
        picks = [self.route("pick", "orders")["number"] for _ in range(60)]
        self.assertIn(picks.count(1), range(28, 59))        # 45 +- 5 sigma
        self.route("weight", "orders", "1", "0")
        self.assertEqual({dig(self.port, orders).address for _ in range(5)}, {"10.1.0.2"})

    def test_verb_when_it_cannot_be_done_exits_so(self):
        self.begin(writer=False)
        for words, code in ((["pick", "nobody"], FAILED), (["pick", "in", "x"], USAGE),
                            (["nonsense"], USAGE), (["pick"], USAGE), (["weight", "in", "1", "2"], FAILED),
                            (["weight", "orders", "1", "x"], USAGE), (["switch", "orders", "1"], FAILED),
                            (["offline", "in", "3"], FAILED), (["pick", "x" * 300], USAGE),
                            (["offline", "demo", "a"], REFUSED), (["switch", "demo", "b"], REFUSED),
                            (["status", "in"], OK), (["status"], OK)):
            self.assertEqual(self.run_verb("route", *words).returncode, code, words)
        self.assertEqual(self.run_verb("route").returncode, USAGE)
        text = self.run_verb("route", "status").stdout
        for words in ("zone standfast.test", "NOTHING IS KNOWN", "→ 1  10.1.0.1:1", "weight 3"):
            self.assertIn(words, text)
        self.assertEqual(self.run_verb("route", "pick", "in").stdout, "10.1.0.1:1\n")
        self.control.kill()
        self.control.wait()
        self.assertEqual(self.run_verb("route", "pick", "in").returncode, NOT_RUNNING)

    def test_routing_when_off_or_its_port_taken_says_so(self):
        self.begin(enabled="off", writer=False)
        self.assertIn("routing.enabled", self.route("pick", "in", code=FAILED)["error"])
        self.assertEqual(dig(self.port, self.name).status, "")
        self.control.kill()
        self.control.wait()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", self.port))
            self.begin()        # and control serves all the same
            self.tell("role 0", f"mode {PAIRED} 0", "pair 3 0")
            error = self.route("status", code=FAILED)["error"]
            self.assertIn("tried again", error)
            self.assertIn("in use", error)
            # A second try is no second event.
            time.sleep(1)
            self.assertEqual([("no name server" in text) for text in self.events_of("names")], [True])
        self.wait_answer("10.77.0.1")
        self.assertEqual([("at last" in text) for text in self.events_of("names")], [False, True])

    def test_settings_when_wrong_are_refused(self):
        for routing, complaint in (
                ('zone = "a..b";', "empty label"), ('ttl = "1500 ms";', "whole seconds"),
                ('name = "-._";', "name"), ('names = [ "x" ];', "not NAME POLICY"),
                ('names = [ "x often api 1.2.3.4:5" ];', "policy"),
                ('names = [ "x failover db 1.2.3.4:5" ];', "kind"),
                ('names = [ "x failover api" ];', "no endpoint"),
                ('names = [ "x failover api 1.2.3.4:0" ];', "port"),
                ('names = [ "x failover api 1.2.3:4" ];', "IPv4"),
                ('names = [ "x failover api 1.2.3.4:5*2" ];', "weights"),
                ('names = [ "x weighted api 1.2.3.4:5*y" ];', "weight"),
                ('names = [ "x failover api 1.2.3.4:5 1.2.3.4:6 1.2.3.4:7" ];', "two endpoints"),
                ('names = [ "Demo failover api 1.2.3.4:5" ];', "already"),
                ('names = [ "NS failover api 1.2.3.4:5" ];', "already"), ('name = "Ns";', "server's own"),
                ('names = [ "x failover api 1.2.3.4:5", "X failover api 1.2.3.4:5" ];', "already")):
            with open(os.path.join(TOP, "config", "examples", "demo-memif-a.conf")) as source, \
                    open(self.conf, "w") as target:
                target.write(source.read() + f'routing: {{ enabled = "on"; {routing} }};\n')
            result = self.run_verb("check")
            self.assertEqual(result.returncode, CONFIG, routing)
            self.assertIn(complaint, result.stderr)
            self.assertRegex(result.stderr, r"a\.conf:\d+: ")

    def test_storm_when_malformed_harms_no_control(self):
        self.begin(f"rate = {NO_BOUND}; rate_all = {NO_BOUND};")
        self.tell("role 0", f"mode {PAIRED} 0", "pair 3 0")
        self.wait_answer("10.77.0.1")
        storm = Storm(self, random.Random(SEED))
        self.addCleanup(storm.close)
        storm.sent = self.counters()["datagrams"]
        storm.run(STORM // 3)
        self.assertEqual(self.route("pick", "demo")["address"], "10.77.0.1")


if __name__ == "__main__":
    if not shutil.which("dig"):
        print("skipped: no dig here (deploy/install-deps test)")
        sys.exit(77)
    print(f"SEED={SEED}", flush=True)
    unittest.main(argv=[sys.argv[0]] + sys.argv[6:], verbosity=2)
