#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The command history_check: verdicts, exit codes, and files that are malformed.

usage: test_history_check.py HISTORY_CHECK
"""
import json
import subprocess
import sys
import unittest

PROGRAM = sys.argv.pop(1)

GOOD = """\
# two clients, one asset; the answer to request 2 of client 7 got lost, but a read saw its effect
op client=7 request=1 asset=100 do=add args=5 invoke=10 return=20 status=ok value=5 version=1 sequence=1 epoch=2 node=A
again client=7 request=1 return=25 status=ok value=5 version=1 sequence=1 epoch=2 node=A repeat
op client=7 request=2 asset=100 do=set args=-9 invoke=30
op client=8 request=1 asset=100 do=get invoke=40 return=50 status=ok value=-9 version=2 sequence=2 epoch=3 node=B

op client=8 request=2 asset=100 do=cas args=1,2 invoke=60 return=70 status=rejected reason=mismatch value=-9 version=2 sequence=3 epoch=3 node=B
op client=8 request=3 asset=100 do=add args=0x10 invoke=61 return=72 status=busy value=4 version=9 sequence=9 epoch=3
final asset=100 version=2 value=-9 sequence=2 node=A
final asset=100 version=2 value=-9 node=B
"""
OK = "status=ok value=5 version=1 sequence=1 epoch=2 node=A"
ADD = "op client=7 request=1 asset=100 do=add args=5 invoke=10 "

WRONG = {  # what is exchanged in GOOD, and what must be found
    "repeat-differs": ("return=25 status=ok value=5", "return=25 status=ok value=6"),
    "version-gap": ("op client=7 request=2 asset=100", "op client=7 request=2 asset=101"),
    "two-authors": ("epoch=2 node=A repeat", "epoch=2 node=B repeat"),
    "sequence-order": ("version=2 sequence=3", "version=2 sequence=1"),
    "sequence-twice": ("version=2 sequence=3", "version=2 sequence=1"),
    "epoch-falls": ("sequence=3 epoch=3 node=B", "sequence=3 epoch=1 node=B"),
    "rejected": ("reason=mismatch value=-9", "reason=mismatch value=1"),
    "read-value": ("value=-9 version=2 sequence=2 epoch=3", "value=-8 version=2 sequence=2 epoch=3"),
    "real-time": ("value=-9 version=2 sequence=2 epoch=3", "value=0 version=0 sequence=0 epoch=3"),
    "acknowledged-lost": ("final asset=100 version=2 value=-9 node=B",
                          "final asset=100 version=0 value=0 node=B"),
    "finals-differ": ("final asset=100 version=2 value=-9 node=B",
                      "final asset=100 version=3 value=7 node=B"),
    "final-value": ("value=-9 sequence=2 node=A", "value=-10 sequence=2 node=A"),
    "number-twice": ("op client=8 request=3", "op client=8 request=2"),
    "impossible-answer": ("invoke=10 return=20", "invoke=10 return=9"),
}

MALFORMED = {  # a file, and what must be said of it
    ADD + OK + "\n": "status has no place here",
    "again client=7 request=1 " + OK + "\n": "not above it",
    ADD + "return=20 " + OK: "the file ends within a line",
    ADD + "return=20 status=ok value=5 version=1 sequence=1\n": "epoch is missing",
    ADD + "return=20 status=fine\n": "status has a value",
    ADD + "return=20 return=21 " + OK + "\n": "return is there twice",
    ADD + "colour=red\n": "unknown field",
    ADD + "return\n": "return needs a value",
    ADD + "return=-1 " + OK + "\n": "return has a value",
    ADD + "return=99999999999999999999 " + OK + "\n": "return has a value",
    ADD + "return=20 epoch=4294967296\n": "epoch has a value",
    ADD + "return=20 repeat=1 " + OK + "\n": "repeat has none",
    ADD + "status=ok\n": "status has no place here",
    "op client=7 request=1 asset=1 do=add invoke=1\n": "add takes 1 args",
    "op client=7 request=1 asset=1 do=cas args=1 invoke=1\n": "cas takes 2 args",
    "op client=7 request=1 asset=1 do=get args=1 invoke=1\n": "get takes 0 args",
    "op client=7 request=1 asset=1 do=add args=1,2,3 invoke=1\n": "args has a value",
    "op client=7 request=1 do=add args=1 invoke=1\n": "asset is missing",
    "op client=7 asset=1 request=1 do=mul args=1 invoke=1\n": "do has a value",
    "again client=7 request=1 return=1 status=busy\n": "not above it",
    "again client=7 return=1 status=busy\n": "request is missing",
    "final asset=1 version=2\n": "value is missing",
    "final asset=1 version=2 value=1 epoch=2\n": "epoch has no place here",
    "ops client=7\n": 'not with "ops"',
    "op client=7\0 request=1\n": "a zero byte",
}


def run(text, *options):
    return subprocess.run([PROGRAM, *options, "-"], input=text.encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=20)


class HistoryCheck(unittest.TestCase):
    def test_good_when_judged_then_ok(self):
        done = run(GOOD)
        self.assertEqual((done.returncode, done.stderr), (0, b""), done.stdout)
        self.assertIn(b"ok: 0 violations by versions, 0 by search", done.stdout)

    def test_good_when_json_then_says_what_was_looked_at(self):
        done = run(GOOD, "--json")
        said = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(
            (said["verdict"], said["operations"], said["assets"], said["updates"], said["reads"],
             said["unknown"], said["gaps_filled"], said["final_states"], said["violations"]),
            ("ok", 5, 1, 2, 1, 2, 1, 2, []))

    def test_wrong_when_judged_then_violation_of_its_kind(self):
        for kind, (old, new) in WRONG.items():
            with self.subTest(kind):
                self.assertIn(old, GOOD)
                done = run(GOOD.replace(old, new), "--json")
                said = json.loads(done.stdout)
                self.assertEqual((done.returncode, said["verdict"]), (1, "violation"))
                self.assertIn(kind, said["kinds"])
                self.assertIn(kind, [v["kind"] for v in said["violations"]])
                done = run(GOOD.replace(old, new))
                self.assertEqual(done.returncode, 1)
                self.assertIn(kind.encode(), done.stdout)

    def test_wrong_when_found_then_the_line_is_named(self):
        old, new = WRONG["read-value"]
        said = json.loads(run(GOOD.replace(old, new), "--json", "--no-search").stdout)
        found = [v for v in said["violations"] if v["kind"] == "read-value"]
        self.assertEqual([v["operation"]["line"] for v in found], [5])
        self.assertEqual([v["against"]["line"] for v in found], [7])
        self.assertEqual(said["violations_by_search"], 0)

    def test_search_when_limit_is_reached_then_undecided_and_not_ok(self):
        done = run(GOOD, "--json", "--states", "1")
        said = json.loads(done.stdout)
        self.assertEqual((done.returncode, said["verdict"], said["gave_up"]), (1, "undecided", 1))

    def test_malformed_when_read_then_line_and_reason(self):
        for text, reason in MALFORMED.items():
            with self.subTest(text):
                done = run("# first\n" + text)
                self.assertEqual(done.returncode, 4, done.stdout)
                self.assertIn(reason, done.stderr.decode())
                self.assertIn("-: line 2: ", done.stderr.decode())

    def test_empty_when_read_then_ok(self):
        self.assertEqual(run("").returncode, 0)

    def test_usage_when_wrong_then_2(self):
        for words in ([], ["a", "b"], ["--what", "-"], ["--states", "x", "-"]):
            done = subprocess.run([PROGRAM, *words], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=20)
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"usage:", done.stderr)
        self.assertEqual(run("", "--help").returncode, 0)

    def test_file_when_missing_then_4(self):
        done = subprocess.run([PROGRAM, "/nonexistent/history"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=20)
        self.assertEqual(done.returncode, 4)


unittest.main()
