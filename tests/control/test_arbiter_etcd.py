#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The arbiter "etcd", against a real etcd on loopback: W01 to W11 of faults.md.

test_arbiter_etcd.py DRIVE CANARY [unittest arguments]
"""
import base64
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
import urllib.error

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from arbiter_world import (CLUSTER, DRIVE, SKIPPED, TIMEOUT_MS, Etcd, Folder, Relay, Stub,  # noqa: E402
                           Talk, free_port, http, pair_of, race, value_of, wait_until)

FULL = os.environ.get("STANDFAST_TESTS") == "full"
ROUNDS = int(os.environ.get("ROUNDS", 1000 if FULL else 100))
NONE = (0, 0, 0)
FIRST, SECOND, THIRD = (2, 0, 1), (4, 0, 3), (7, 1, 2)
KEY = f"/standfast/{CLUSTER}/pair"
TXN = b"/v3/kv/txn"
SLACK_MS = 1000         # of a machine that is busy with other things
HEADER = '"header":{"cluster_id":"77","member_id":"1","revision":"9","raft_term":"2"}'


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = Folder(self)

    def conf(self, *urls, more="", **settings):
        endpoints = ", ".join(f'"{url}"' for url in urls)
        return self.folder.conf(f'kind = "etcd"; endpoints = [ {endpoints} ]; {more}', **settings)

    def talk(self, *urls, more="", settings=None, **others):
        return Talk(self, self.conf(*urls, more=more, **(settings or {})), **others)

    def expect(self, answer, outcome, pair=None, why=""):
        self.assertEqual(answer["outcome"], outcome, answer)
        self.assertTrue(answer["good_id"])
        if pair is not None:
            self.assertEqual(pair_of(answer), pair, answer)
        self.assertEqual(answer["why"] == "", outcome != "unknown", answer)
        self.assertIn(why, answer["why"])
        return answer

    def expect_in_time(self, answer):
        self.assertLess(answer["took_ms"], TIMEOUT_MS + SLACK_MS, answer)


class Register(Case):
    """One member, as it should be."""

    def setUp(self):
        super().setUp()
        self.etcd = Etcd(self)

    def test_record_when_made_and_changed_is_what_the_winner_wrote(self):
        a, b = self.talk(self.etcd.url), self.talk(self.etcd.url)
        self.expect(a.read(), "read", NONE)
        self.assertEqual(a.seen()[2], 0)
        self.expect(a.swap(NONE, FIRST), "won", FIRST)
        self.assertEqual(self.etcd.get(), value_of(2, 0, (0,)))
        self.expect(b.swap(NONE, (3, 1, 2)), "lost", FIRST)
        self.expect(b.swap(FIRST, SECOND), "won", SECOND)
        self.expect(a.swap(FIRST, (6, 0, 1)), "lost", SECOND)
        self.expect(a.read(), "read", SECOND)
        # What was asked for once and stands there is won, however often it is asked for.
        self.expect(b.swap(FIRST, SECOND), "won", SECOND)
        self.assertEqual(a.seen()[2], 4)
        self.assertEqual(a.status()["lost"], 1)
        self.assertTrue(a.status()["reachable"])
        self.assertEqual(a.status()["alarm"], "trusted")

    def test_key_when_given_is_used(self):
        a = self.talk(self.etcd.url, more='key = "/other/key";')
        self.expect(a.swap(NONE, FIRST), "won")
        self.assertEqual(self.etcd.get("/other/key"), value_of(2, 0, (0,)))
        self.assertIsNone(self.etcd.get())

    def test_probe_when_all_is_well_changes_nothing(self):
        a = self.talk(self.etcd.url)
        self.assertTrue(a.ask("probe")["good"])
        a.swap(NONE, FIRST)
        before = a.seen()
        self.assertTrue(a.ask("probe")["good"])
        self.expect(a.read(), "read", FIRST)
        self.assertEqual(a.seen(), before)
        self.etcd.put("probe")
        self.assertIn("not our pair record", a.read()["why"])
        self.assertFalse(a.ask("probe")["good"])

    def test_values_of_others_are_refused_and_left(self):
        a = self.talk(self.etcd.url)
        a.swap(NONE, FIRST)
        good = self.etcd.get()
        for value in (b"", b"hello", b"\x00\xff" * 40, b"[" * 1000, b"x" * 60000, b"x" * 200000,
                      value_of(4, 0, (0,), cluster="other"), value_of(4, 0, (0,), schema=2),
                      value_of(4, 0, (1,)), value_of(4, 2, (0,)), value_of(0, 0, (0,)),
                      good.replace(",", ", "), good + "\n", good[:-1], good * 2,
                      good.replace('"epoch":2', '"epoch":2,"epoch":2'),
                      good.replace('"epoch":2', '"epoch":"2"'),
                      good.replace('"epoch":2', '"epoch":4294967298'),
                      good.replace('}', ',"lease":1}')):
            self.etcd.put(value)
            self.expect(a.read(), "unknown")
            huge = len(value) > 45000       # base64 is longer: not even looked at
            self.assertEqual(a.status()["alarm"], "foreign-value", value[:80])
            self.assertEqual(a.status()["reachable"], not huge)
            self.expect(a.swap(FIRST, SECOND), "unknown")
            self.expect(a.swap(NONE, SECOND), "unknown")
        self.etcd.put(good)
        self.expect(a.read(), "read", FIRST)
        self.expect(a.swap(FIRST, SECOND), "won")

    def test_etcd_when_stopped_is_given_up_in_time(self):
        a = self.talk(self.etcd.url)
        a.swap(NONE, FIRST)
        self.etcd.signal(signal.SIGSTOP)
        for _ in range(2):
            self.expect_in_time(self.expect(a.read(), "unknown"))
        answer = self.expect(a.swap(FIRST, SECOND), "unknown")
        self.expect_in_time(answer)
        self.assertFalse(a.status()["reachable"])
        self.etcd.signal(signal.SIGCONT)
        # What was asked for meanwhile may have come to pass, or not; never half.
        answer = wait_until("etcd answers", lambda: next(
            (x for x in [a.read()] if x["outcome"] == "read"), None))
        self.assertIn(pair_of(answer), (FIRST, SECOND))
        self.expect(a.swap(FIRST, SECOND), "won", SECOND)

    def test_etcd_when_killed_and_started_again_still_has_the_record(self):
        a = self.talk(self.etcd.url)
        a.swap(NONE, FIRST)
        self.etcd.kill()
        self.expect_in_time(self.expect(a.read(), "unknown"))
        self.expect_in_time(self.expect(a.swap(FIRST, SECOND), "unknown"))
        self.assertFalse(a.status()["reachable"])
        self.assertFalse(a.ask("probe")["good"])
        self.etcd.start()
        self.expect(a.read(), "read", FIRST)        # nothing was sent
        self.expect(a.swap(FIRST, SECOND), "won", SECOND)
        self.assertTrue(a.status()["reachable"])

    def test_etcd_when_wiped_is_refused_and_stays_blank(self):
        a = self.talk(self.etcd.url)
        a.swap(NONE, FIRST)
        a.swap(FIRST, SECOND)
        seen = a.seen()
        self.etcd.kill()
        self.etcd.wipe()
        self.etcd.start()
        other_life = self.talk(self.etcd.url, seen=seen)
        for node in a, other_life:
            self.expect(node.read(), "unknown", why="no pair record")
            self.expect(node.swap(SECOND, THIRD), "unknown")
            self.expect(node.swap(NONE, THIRD), "unknown")      # W07
            self.assertEqual(node.status()["alarm"], "blank")
            self.assertTrue(node.status()["reachable"])
            self.assertEqual(node.status()["refused"], 3)
            self.assertFalse(node.ask("probe")["good"])
        self.assertIsNone(self.etcd.get())
        a.ask("trust")
        self.expect(a.read(), "read", NONE)
        self.expect(a.swap(NONE, (70000, 0, 1)), "won")
        # The canary shows that somebody would have made it.
        self.etcd.kill()
        self.etcd.wipe()
        self.etcd.start()
        canary = self.talk(self.etcd.url, seen=seen, canary="trusts")
        self.expect(canary.swap(NONE, THIRD), "won")

    def test_etcd_when_restored_from_a_backup_is_refused(self):
        a = self.talk(self.etcd.url)
        a.swap(NONE, FIRST)
        self.etcd.kill()
        self.etcd.save("old")
        self.etcd.start()
        self.expect(a.swap(FIRST, SECOND), "won")
        seen = a.seen()
        self.etcd.kill()
        self.etcd.restore("old")
        self.etcd.start()
        for node in a, self.talk(self.etcd.url, seen=seen):
            self.expect(node.read(), "unknown", why="epoch 2")
            self.expect(node.swap(SECOND, (6, 0, 1)), "unknown")
            self.assertEqual(node.status()["alarm"], "went-back")
        # An epoch that fits, at a revision that was before.
        self.etcd.put(value_of(4, 0, (0, 1)))
        self.etcd.kill()
        self.etcd.start()
        later = self.talk(self.etcd.url, seen=(seen[0], seen[1] + 5, seen[2]))
        self.expect(later.read(), "unknown", why="revision")
        self.assertEqual(later.status()["alarm"], "went-back")
        # And another meaning of an epoch that this node knows.
        node = self.talk(self.etcd.url, seen=seen)
        self.expect(node.read(), "read", SECOND)
        self.etcd.put(value_of(4, 0, (0,)))
        self.expect(node.read(), "unknown", why="something else of epoch 4")

    def test_cluster_when_another_one_answers_is_refused_until_the_first_is_back(self):
        other = Etcd(self)
        a = self.talk(self.etcd.url)
        a.swap(NONE, FIRST)
        self.talk(other.url).swap(NONE, FIRST)
        b = self.talk(other.url, self.etcd.url, seen=a.seen())
        self.expect(b.read(), "unknown", why="not the arbiter that answered before")
        self.assertEqual(b.status()["alarm"], "other-arbiter")
        self.expect(b.read(), "read", FIRST)            # of the other endpoint
        self.expect(b.swap(FIRST, SECOND), "won")
        c = self.talk(other.url, seen=a.seen())
        self.expect(c.swap(FIRST, (6, 0, 1)), "unknown")
        self.assertEqual(self.etcd.get(), value_of(4, 0, (0, 1)))

    def test_races_have_one_winner_each_and_the_checker_bites(self):
        conf = self.conf(self.etcd.url)
        code, text = race(conf, ROUNDS, 2, "processes")
        print(text.strip())
        self.assertEqual(code, 0, text)
        code, text = race(conf, ROUNDS // 2, 4, "threads")
        print(text.strip())
        self.assertEqual(code, 0, text)
        code, text = race(conf, 1000, 2, "processes", canary="no-compare")
        self.assertEqual(code, 4, text)
        self.assertRegex(text, "2 winners|the record is")

    def test_proxies_of_the_environment_are_not_used(self):
        dead = f"http://127.0.0.1:{free_port()}"
        a = self.talk(self.etcd.url, environment={
            "http_proxy": dead, "HTTP_PROXY": dead, "ALL_PROXY": dead, "all_proxy": dead})
        self.expect(a.swap(NONE, FIRST), "won")


class Quota(Case):
    def test_probe_when_etcd_is_full_says_so_while_a_read_does_not(self):
        etcd = Etcd(self, more=["--quota-backend-bytes", str(1 << 20)])
        a = self.talk(etcd.url)
        a.swap(NONE, FIRST)
        self.assertTrue(a.ask("probe")["good"])
        with self.assertRaises(urllib.error.HTTPError):
            for i in range(100):
                etcd.put(b"x" * 100000, key=f"/filler/{i}")
        self.expect(a.read(), "read", FIRST)
        answer = a.ask("probe")
        self.assertFalse(answer["good"])
        self.assertIn("space exceeded", answer["why"])
        self.expect(a.swap(FIRST, SECOND), "unknown", why="space exceeded")
        self.expect(a.read(), "read", FIRST)


class Members(Case):
    """Three of them, one of which is killed or stopped at a time."""

    def setUp(self):
        super().setUp()
        peers = {name: free_port() for name in "xyz"}
        self.members = [Etcd(self, name=name, peers=peers) for name in peers]
        for member in self.members:
            wait_until("a member answers", member.is_up)
        self.conf_of_all = self.conf(*(member.url for member in self.members))

    def disturb(self, over, done):
        chance = random.Random()
        while not over.is_set():
            member = chance.choice(self.members)
            if chance.random() < 0.5:
                member.kill()
                over.wait(chance.random())
                member.start(wait=False)
            else:
                member.signal(signal.SIGSTOP)
                over.wait(chance.random())
                member.signal(signal.SIGCONT)
            done.append(1)
            # The next one may be two of three.
            wait_until("the member answers again", member.is_up)

    def test_races_have_one_winner_each_while_members_are_killed_and_stopped(self):
        over, done = threading.Event(), []
        thread = threading.Thread(target=self.disturb, args=(over, done))
        thread.start()
        unknown = 0
        try:
            deadline = time.monotonic() + (60 if FULL else 4)
            while time.monotonic() < deadline:
                code, text = race(self.conf_of_all, 50, 2, "processes")
                if code == 1:
                    continue        # no answer to its first question
                self.assertEqual(code, 0, text)
                unknown += int(text.split(" unknown")[0].split()[-1])
        finally:
            over.set()
            thread.join()
        print(f"{len(done)} disturbances, {unknown} unknown outcomes, {text.strip()}")
        self.assertGreater(len(done), 1)


class Endpoints(Case):
    """Several, of which some are not what they should be."""

    def setUp(self):
        super().setUp()
        self.etcd = Etcd(self)

    def test_dead_endpoint_when_first_costs_nothing_but_its_turn(self):
        dead = f"http://127.0.0.1:{free_port()}"
        a = self.talk(dead, self.etcd.url)
        self.expect_in_time(self.expect(a.swap(NONE, FIRST), "won"))
        self.assertLess(self.expect(a.read(), "read", FIRST)["took_ms"], TIMEOUT_MS / 2)

    def test_silent_endpoint_when_first_leaves_time_for_a_read_but_not_for_a_change(self):
        silent = socket.create_server(("127.0.0.1", 0))     # accepts, and says nothing
        self.addCleanup(silent.close)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        a = self.talk(url, self.etcd.url)
        self.expect_in_time(self.expect(a.read(), "read", NONE))
        a.swap(NONE, FIRST)
        b = self.talk(url, self.etcd.url)
        # It has left for the silent one: it may not be sent again as if it were new.
        answer = self.expect(b.swap(FIRST, SECOND), "unknown", why="not changed so far")
        self.expect_in_time(answer)
        self.assertEqual(self.etcd.get(), value_of(2, 0, (0,)))
        self.expect(b.swap(FIRST, SECOND), "won")           # now at the one that answered

    def test_no_endpoint_when_all_are_dead_is_said_for_each(self):
        ports = free_port(), free_port()
        a = self.talk(*(f"http://127.0.0.1:{port}" for port in ports))
        answer = self.expect(a.swap(NONE, FIRST), "unknown")
        for port in ports:
            self.assertIn(str(port), answer["why"])
        b = self.talk("http://no-such-host.invalid:2379", self.etcd.url,
                      settings={"timeout": "1 s"})
        self.expect(b.swap(NONE, FIRST), "won")

    def test_answer_when_lost_is_recognised_by_reading(self):
        relay = Relay(self, self.etcd.port)
        a = self.talk(relay.url)
        self.expect(a.swap(NONE, FIRST), "won")
        relay.lose = TXN
        self.expect(a.swap(FIRST, SECOND), "won", SECOND)
        self.assertEqual(relay.lost, 1)
        self.assertEqual(a.status()["recognised"], 1)
        # All answers lost: unknown, and recognised when they come again (W04).
        relay.lose = b"/v3/"
        self.expect(a.swap(SECOND, (6, 0, 1)), "unknown")
        self.expect(a.read(), "unknown")
        relay.lose = None
        self.expect(a.read(), "read", (6, 0, 1))
        # Somebody else was faster, and the answer that says so is lost.
        b = self.talk(self.etcd.url)
        self.expect(b.swap((6, 0, 1), (7, 1, 2)), "won")
        relay.lose = TXN
        self.expect(a.swap((6, 0, 1), (8, 0, 1)), "lost", (7, 1, 2))
        # A checker without the reading would be wrong about it.
        canary = self.talk(relay.url, canary="silence-is-lost")
        self.assertNotEqual(pair_of(canary.swap((7, 1, 2), (8, 0, 1))), (8, 0, 1))
        self.assertEqual(self.etcd.get(), value_of(8, 0, (0,)))

    def test_change_when_it_arrives_late_loses_against_what_came_between(self):
        relay = Relay(self, self.etcd.port)
        a, b = self.talk(relay.url), self.talk(self.etcd.url)
        self.expect(a.swap(NONE, FIRST), "won")
        relay.hold = TXN
        self.expect_in_time(self.expect(a.swap(FIRST, SECOND), "unknown"))
        self.assertEqual(relay.held, 1)
        self.expect(b.swap(FIRST, (3, 1, 2)), "won")
        relay.hold = None
        relay.release.set()
        time.sleep(0.2)
        self.expect(a.read(), "read", (3, 1, 2))
        # The same, and nothing came between: then it comes to pass, and unknown was the right word.
        relay.hold = TXN
        relay.release.clear()
        self.expect(a.swap((3, 1, 2), SECOND), "unknown")
        self.expect(a.read(), "read", (3, 1, 2))
        relay.release.set()
        wait_until("the late change", lambda: pair_of(a.read()) == SECOND)

    def test_answers_that_make_no_sense_are_unknown(self):
        kv = '{"key":"L3N0YW5kZmFzdC9kZW1vL3BhaXI=","mod_revision":"5","value":"aGk="}'
        put = '"responses":[{"response_put":{"header":{"revision":"9"}}}]'
        for body in (
                "", "{", "null", "[]", "{}", "hello", "\x00", '{"header":{}}', '{"succeeded":true}',
                f'{{{HEADER}}} trailing', f'{{{HEADER},{HEADER}}}',
                f'{{{HEADER},"kvs":{{}}}}', f'{{{HEADER},"kvs":[{kv}]}}',
                f'{{{HEADER},"kvs":[{kv},{kv}],"count":"2"}}',
                f'{{{HEADER},"count":1,"kvs":[{kv}]}}', f'{{{HEADER},"count":"-1"}}',
                f'{{{HEADER},"count":"1","kvs":[{kv.replace("L3N0", "AAAA")}]}}',
                f'{{{HEADER},"count":"1","kvs":[{kv.replace("aGk=", "aGk")}]}}',
                f'{{{HEADER},"count":"1","kvs":[{kv.replace(":" + chr(34) + "5", ":" + chr(34) + "99")}]}}',
                f'{{{HEADER},"succeeded":"true",{put}}}', f'{{{HEADER},"succeeded":1,{put}}}',
                f'{{{HEADER},"succeeded":true}}', f'{{{HEADER},{put}}}',
                f'{{{HEADER},"succeeded":true,"responses":[]}}',
                f'{{{HEADER.replace("77", "0")},"succeeded":true,{put}}}',
                f'{{{HEADER.replace(chr(34) + "77" + chr(34), "77")},"succeeded":true,{put}}}',
                "[" * 60000, "x" * 70000, f'{{{HEADER}}}' + " " * 70000):
            stub = Stub(self, http(body))
            a = self.talk(stub.url)
            self.expect_in_time(self.expect(a.swap(FIRST, SECOND), "unknown"))
            if "responses" not in body and '"succeeded":true}' not in body:
                self.expect_in_time(self.expect(a.read(), "unknown"))
            self.assertEqual(a.seen()[2], 0)
            a.close()
            stub.close()

    def test_succeeded_when_absent_is_false(self):
        put = '"responses":[{"response_put":{"header":{"revision":"9"}}}]'
        kv = (f'{{"key":"{base64.b64encode(KEY.encode()).decode()}","mod_revision":"5",'
              f'"value":"{base64.b64encode(value_of(7, 1, (1,)).encode()).decode()}"}}')
        found = f'"responses":[{{"response_range":{{"kvs":[{kv}],"count":"1"}}}}]'
        for body, outcome in ((f'{{{HEADER},"succeeded":true,{put}}}', "won"),
                              (f'{{{HEADER},"succeeded":true,"new":{{}},{put}}}', "won"),
                              (f'{{{HEADER},{found}}}', "lost"),
                              (f'{{{HEADER},"succeeded":false,{found}}}', "lost"),
                              (f'{{{HEADER},"succeeded":true,{found}}}', "unknown"),
                              (f'{{{HEADER},{put}}}', "unknown")):
            stub = Stub(self, lambda request, body=body: http(body) if TXN in request else None)
            self.expect(self.talk(stub.url).swap(FIRST, SECOND), outcome)

    def test_servers_that_misbehave_are_given_up_in_time(self):
        good = http(f'{{{HEADER}}}')
        target = Stub(self, good)
        misbehaving = {
            "redirect": http("", "307 Temporary Redirect", f"Location: {target.url}/v3/kv/range\r\n"),
            "slow drip": [bytes([byte]) for byte in good],
            "endless header": [b"HTTP/1.1 200 OK\r\n"] + [b"X: " + b"y" * 500 + b"\r\n"] * 2000,
            "endless body": [b"HTTP/1.1 200 OK\r\n\r\n"] + [b" " * 60000] * 2000,
            "not found": http("nothing here", "404 Not Found"),
            "teapot": http('{"error":"x","message":"\x1b[31mred","code":2}', "503 Service Unavailable"),
            "not HTTP": b"SSH-2.0-hello\r\n\r\n",
            "compressed": http(b"\x1f\x8b\x08\x00", more="Content-Encoding: gzip\r\n"),
            "closed": None,
        }
        for name, answer in misbehaving.items():
            stub = Stub(self, answer)
            a = self.talk(stub.url)
            for answer in a.read(), a.swap(FIRST, SECOND):
                self.expect_in_time(self.expect(answer, "unknown"))
                self.assertNotIn("\x1b", answer["why"], name)
            transactions = sum(TXN in request for request in stub.requests)
            self.assertLessEqual(transactions, 1, name)     # never sent again
            a.close()
            stub.close()
        self.assertEqual(target.requests, [])


# --- TLS and users ---

CERTIFICATES = """
set -e
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem \
    -days 2 -subj "/CN=test authority"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout other.key -out other.pem \
    -days 2 -subj "/CN=other authority"
for name in server client; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.csr \
        -subj "/CN=$name"
    printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' >$name.ext
    openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.pem -days 2 \
        -extfile $name.ext
done
"""


class Tls(Case):
    def setUp(self):
        super().setUp()
        if not shutil.which("openssl"):
            self.skipTest("skipped: no openssl here")
        subprocess.run(["sh", "-c", CERTIFICATES], cwd=self.folder.path, check=True,
                       stdin=subprocess.DEVNULL, capture_output=True)

    def file(self, name):
        return os.path.join(self.folder.path, name)

    def etcd(self, *more):
        return Etcd(self, tls=["--cert-file", self.file("server.pem"),
                               "--key-file", self.file("server.key"), *more])

    def eventually(self, talk, line, outcome):
        """A member that has just begun to listen has no leader yet."""
        return wait_until(f"{line}: {outcome}", lambda: next(
            (x for x in [talk.ask(line)] if x["outcome"] == outcome), None), 20)

    def test_server_when_its_certificate_is_not_ours_is_not_believed(self):
        etcd = self.etcd()
        a = self.talk(etcd.url, more=f'ca_file = "{self.file("ca.pem")}";')
        self.eventually(a, "read", "read")
        self.expect(a.swap(NONE, FIRST), "won")
        for more in "", f'ca_file = "{self.file("other.pem")}";':
            b = self.talk(etcd.url, more=more)
            self.expect(b.read(), "unknown", why="certificate")
            self.expect(b.swap(FIRST, SECOND), "unknown", why="certificate")
        plain = self.talk(etcd.url.replace("https", "http"))
        self.expect(plain.swap(FIRST, SECOND), "unknown")
        named = self.talk(etcd.url.replace("127.0.0.1", "localhost"),
                          more=f'ca_file = "{self.file("ca.pem")}";')
        self.expect(named.read(), "unknown")        # not a name of that certificate
        self.expect(a.read(), "read", FIRST)

    def test_member_when_it_wants_certificates_gets_ours(self):
        etcd = self.etcd("--client-cert-auth", "--trusted-ca-file", self.file("ca.pem"))
        ca = f'ca_file = "{self.file("ca.pem")}";'
        a = self.talk(etcd.url, more=ca + f'certificate_file = "{self.file("client.pem")}"; '
                      f'private_key_file = "{self.file("client.key")}";')
        self.eventually(a, "read", "read")
        self.expect(a.swap(NONE, FIRST), "won")
        self.assertTrue(a.ask("probe")["good"])
        b = self.talk(etcd.url, more=ca)
        self.expect(b.read(), "unknown")
        self.expect(b.swap(FIRST, SECOND), "unknown")
        self.expect(a.read(), "read", FIRST)


class Users(Case):
    def setUp(self):
        super().setUp()
        self.etcd = Etcd(self)
        post = self.etcd.post
        key = base64.b64encode(KEY.encode()).decode()
        for user, role, kind in (("root", "root", None), ("standfast", "writer", "READWRITE"),
                                 ("looker", "reader", "READ")):
            post("auth/user/add", {"name": user, "password": user + "-secret"})
            post("auth/role/add", {"name": role})
            if kind:
                post("auth/role/grant", {"name": role, "perm": {"permType": kind, "key": key}})
            post("auth/user/grant", {"user": user, "role": role})
        post("auth/enable", {})

    def user(self, name="standfast", password=None, mode=0o600):
        path = self.folder.secret(f"password-{name}", (password or f"{name}-secret") + "\n", mode)
        return self.talk(self.etcd.url, more=f'user = "{name}"; password_file = "{path}";')

    def token(self, name="standfast"):
        return self.etcd.post("auth/authenticate",
                              {"name": name, "password": f"{name}-secret"})["token"]

    def end_tokens(self):
        """Those that were given are good no longer."""
        self.etcd.post("auth/disable", {}, token=self.token("root"))
        self.etcd.post("auth/enable", {})

    def test_user_when_its_password_is_right_may_change_the_record(self):
        a = self.user()
        self.expect(a.read(), "read", NONE)
        self.expect(a.swap(NONE, FIRST), "won")
        self.assertTrue(a.ask("probe")["good"])
        self.end_tokens()
        self.expect(a.swap(FIRST, SECOND), "won", SECOND)

    def test_strangers_are_told_why(self):
        nobody = self.talk(self.etcd.url)
        self.expect(nobody.read(), "unknown", why="user name is empty")
        self.expect(nobody.swap(NONE, FIRST), "unknown")
        wrong = self.user(password="wrong")
        self.expect(wrong.swap(NONE, FIRST), "unknown", why="authentication failed")
        # Who may read and not write is found by a probe, long before a failover (W11).
        looker = self.user("looker")
        self.expect(looker.read(), "read", NONE)
        self.assertFalse(looker.ask("probe")["good"])
        self.expect(looker.swap(NONE, FIRST), "unknown", why="permission denied")
        self.expect(self.user().read(), "read", NONE)

    def test_token_when_it_is_replaced_in_its_file_is_read_again(self):
        path = self.folder.secret("token", self.token() + "\n")
        a = self.talk(self.etcd.url, more=f'token_file = "{path}";')
        self.expect(a.swap(NONE, FIRST), "won")
        self.end_tokens()
        self.expect(a.read(), "unknown", why="token")
        self.folder.secret("token", self.token() + "\n")
        self.expect(a.read(), "read", FIRST)
        self.expect(a.swap(FIRST, SECOND), "won")

    def test_secrets_that_others_may_read_are_refused_at_the_start(self):
        a = self.user(mode=0o644)
        self.assertEqual(a.process.wait(), 5)
        missing = self.talk(self.etcd.url, more='token_file = "/no/such/file";')
        self.assertEqual(missing.process.wait(), 5)


if __name__ == "__main__":
    if not shutil.which("etcd"):
        print("skipped: etcd is not installed (deploy/install-deps test)")
        sys.exit(SKIPPED)
    if subprocess.run([DRIVE, "has-etcd"]).returncode != 0:
        print("skipped: this build has no etcd (libcurl was not there)")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
