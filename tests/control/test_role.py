#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`standfast role` on folders that this test writes itself, by recovery/README.md and without the
product's code. No node runs.

test_role.py STANDFAST
"""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

STANDFAST = os.path.abspath(sys.argv[1])
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "e2e"))
import log_bytes  # noqa: E402

OK, FAILED, USAGE, DATA = 0, 1, 2, 4
BLANK, LEARNER, STANDBY, PAIRED, ALONE = range(5)
NAME_OF_MODE = ("blank", "learner", "standby", "paired", "alone")
ARBITER = 0xFF
BLOCK = 4096
# From the magic to the last byte before the names.
ROLE = struct.Struct("<8sIIQQQQQQQQQQQIIIIBBBBBBBB")
WRITTEN_NS = 1_763_720_000_000_000_000


def cluster_hash(name):
    value = 0x636C7573746572
    for byte in name.encode():
        product = (value ^ 0x9E3779B97F4A7C15) * (byte ^ 0xD6E8FEB86659FD93)
        value = (product ^ product >> 64) & (1 << 64) - 1
    return value


def block_of(copy, number, cluster="demo", node=0, mode=STANDBY, flags=0, version=1):
    """One copy of a role record; flags: 1 amnesiac, 2 stopped in good order."""
    lineage = [(1, 1), (4, 500)]
    block = bytearray(BLOCK)
    ROLE.pack_into(
        block, 0, b"STFROLE1", version, 0, cluster_hash(cluster), number,
        71, 9, 640, 650, 0xD16E57, 0x5AFE, WRITTEN_NS,         # incarnation … written
        0xC0FFEE0123456789, 44, 12,                            # arbiter
        12, 12, len(lineage), node, copy, mode, flags, 1, 3, ARBITER, 0)
    block[128:128 + len(cluster)] = cluster.encode()
    block[160:160 + 1] = b"ab"[node:node + 1]
    for i, (epoch, first) in enumerate(lineage):
        struct.pack_into("<IIQ", block, 192 + 16 * i, epoch, 0, first)
    log_bytes.seal_block(block)
    return block


class Role(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="sfrole-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.top)
        self.folder = os.path.join(self.top, "state", "a")
        os.makedirs(self.folder)
        self.conf = os.path.join(self.top, "a.conf")
        example = os.path.join(TOP, "config", "examples", "demo-memif-a.conf")
        with open(example) as source, open(self.conf, "w") as target:
            target.write(source.read().replace("/run/standfast-demo", self.top))

    def put(self, copy, block):
        log_bytes.write(os.path.join(self.folder, f"role.{copy}"), block)

    def run_role(self, *words, conf=True):
        result = subprocess.run(
            [STANDFAST, "role", *words] + (["-c", self.conf] if conf else []),
            capture_output=True, text=True, timeout=60, cwd=self.top)
        return result.returncode, result.stdout, result.stderr

    def role(self, *words, code=OK, conf=True):
        got, output, error = self.run_role(*words, "--json", conf=conf)
        self.assertEqual(got, code, (output, error))
        return json.loads(output)

    def files(self):
        return {name: log_bytes.read(os.path.join(self.folder, name))
                for name in os.listdir(self.folder)}

    def test_record_when_whole_is_told_in_full(self):
        self.put(0, block_of(0, 6, mode=PAIRED))
        self.put(1, block_of(1, 7))
        before = self.files()
        tree = self.role()
        self.assertEqual((tree["verdict"], tree["node"], tree["cluster"], tree["node_id"]),
                         ("whole", "a", "demo", 0))
        self.assertEqual([(copy["number"], copy["state"], copy["counts"])
                          for copy in tree["copies"]], [(6, "ok", False), (7, "ok", True)])
        record = tree["record"]
        self.assertEqual(
            {key: record[key] for key in ("mode", "epoch", "amnesiac", "clean", "incarnation",
                                          "boots", "committed", "number", "written")},
            {"mode": "standby", "epoch": 12, "amnesiac": False, "clean": False,
             "incarnation": 71, "boots": 9, "committed": 640, "number": 7,
             "written": WRITTEN_NS})
        self.assertEqual(record["pair"], {"epoch": 12, "primary": 1, "in_sync": [0, 1],
                                          "holder": "arbiter"})
        self.assertEqual(record["lineage"], [{"epoch": 1, "first": 1}, {"epoch": 4, "first": 500}])
        self.assertEqual(record["arbiter"], {"epoch": 12, "mod_revision": 44,
                                             "cluster_id": "c0ffee0123456789"})
        self.assertEqual(self.role(self.folder + "/", conf=False), tree)
        self.assertEqual(self.files(), before)

    def test_text_when_asked_says_what_counts(self):
        self.put(0, block_of(0, 8, mode=ALONE, flags=3))
        self.put(1, block_of(1, 7))
        code, text, _ = self.run_role()
        self.assertEqual(code, OK)
        for words in ("role.0: ok, number 8, counts", "alone, epoch 12", "amnesiac",
                      "primary is node 1", "held by arbiter", "incarnation 71, 9 boots",
                      "epoch 1 from 1, epoch 4 from 500", "in good order at sequence 650",
                      "2025-11-21T"):
            self.assertIn(words, text)

    def test_mode_when_any_has_its_name(self):
        for mode, name in enumerate(NAME_OF_MODE):
            self.put(0, block_of(0, 4, mode=mode))
            self.put(1, block_of(1, 4, mode=mode))
            self.assertEqual(self.role()["record"]["mode"], name)

    def test_copy_when_one_is_bad_the_other_is_told(self):
        self.put(0, block_of(0, 6, mode=ALONE))
        flipped = block_of(1, 7)
        flipped[300] ^= 16
        self.put(1, flipped)
        tree = self.role()
        self.assertEqual((tree["verdict"], tree["record"]["mode"]), ("one_bad", "alone"))
        self.assertEqual(tree["copies"][1]["state"], "bad_crc")
        self.assertIn(os.path.join(self.folder, "role.1"), tree["text"])
        self.assertEqual(self.role(self.folder, conf=False)["verdict"], "one_bad")

    def test_copies_when_both_are_bad_exit_4(self):
        self.put(0, block_of(0, 6)[:100])
        self.put(1, bytes(BLOCK))
        tree = self.role(code=DATA)
        self.assertEqual((tree["verdict"], tree["record"]), ("both_bad", None))
        self.assertEqual([copy["state"] for copy in tree["copies"]], ["short", "empty"])
        self.assertIn("learn", tree["text"])
        self.assertEqual(self.role(self.folder, conf=False, code=DATA)["verdict"], "both_bad")

    def test_record_when_never_written_is_fresh(self):
        self.assertEqual(self.role()["verdict"], "fresh")
        self.assertEqual(self.role(self.folder, conf=False)["verdict"], "fresh")
        os.rmdir(self.folder)
        self.assertEqual(self.role()["verdict"], "fresh")
        self.assertEqual(self.run_role(self.folder)[0], FAILED)

    def test_record_when_of_another_exits_4(self):
        for block, verdict in ((block_of(1, 7, node=1), "other_identity"),
                               (block_of(1, 7, cluster="prod"), "other_identity"),
                               (block_of(1, 7, version=2), "other_version")):
            self.put(0, block_of(0, 6))
            self.put(1, block)
            tree = self.role(code=DATA)
            self.assertEqual((tree["verdict"], tree["refused"]), (verdict, True))
            self.assertEqual(self.role(self.folder, conf=False, code=DATA)["verdict"], verdict)

    def test_words_when_too_many_are_a_usage_error(self):
        self.assertEqual(self.run_role("one", "two")[0], USAGE)
        self.assertEqual(self.run_role("x" * 600)[0], USAGE)
        self.assertEqual(self.run_role("--at", "3")[0], USAGE)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:])
