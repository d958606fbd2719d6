#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Logs that were damaged while their node was down: the node waits, says what is wrong where and
what helps, and comes back with everything once the file is back. Its peer serves meanwhile, if the
pair record lets it, and what the peer acknowledged is not lost by the return."""
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess

import lab
import log_bytes

SEGMENT = "1 MiB"
UPDATES = 30000         # several segments
WAIT_S = 20
DISK_S = 60             # of a shared disk that stalls: alone, each answer waits for a sync


class DamageTest(lab.LabTest):
    def make_log(self):
        """A pair that was loaded and stopped in good order, b last, which so was the last primary:
        (pair, sequence, digest)."""
        # Ordinary pages: other tests may hold all hugepages.
        pair = self.make_lab(log_segment=SEGMENT, hugepages="off")
        self.load(pair, "--updates", UPDATES, "--outstanding", 256)
        sequence, digest, other = pair.digests()
        self.assertEqual(digest, other)
        pair.wait_paired(DISK_S)
        pair.a.stop()
        self.wait_status(pair.b, DISK_S, role="primary", mode="alone")
        pair.b.stop()
        return pair, sequence, digest

    def standfast(self, node, *words):
        """(exit code, standard output) of the operator's command."""
        run = subprocess.run([node.programs["standfast"], *map(str, words), "-c", node.config],
                             capture_output=True, text=True, timeout=20)
        self.assertIn(run.returncode, (0, 1, 4), f"{words}: {run.stderr}")
        return run.returncode, run.stdout

    def verify(self, node, *folder):
        """(exit code, tree) of log verify."""
        code, out = self.standfast(node, "log", "verify", *folder, "--json")
        return code, json.loads(out)


# Each takes a node's folder, damages something, and gives what the refusal must name: the file,
# the offset (None: any; "": none) and the verdict.

def used(folder):
    """Numbers of the segments that hold anything."""
    names = sorted(os.listdir(os.path.join(folder, "log")))
    numbers = [int(name[:20]) for name in names]
    return [number for number in numbers
            if any(True for _ in log_bytes.groups(log_bytes.read(log_bytes.path_of(folder, number))))]


def change(path, at, mask=1):
    data = log_bytes.read(path)
    data[at] ^= mask
    log_bytes.write(path, data)


def middle_group(path):
    """The offset of a group with entries; how many there are depends on the disk's speed."""
    offsets = [at for at, count, _ in log_bytes.groups(log_bytes.read(path)) if count]
    return offsets[len(offsets) // 2]


def flip_in_the_first(folder):
    path = log_bytes.path_of(folder, 1)
    at = middle_group(path)
    change(path, at + 200)
    return path, at, "damaged"


def flip_in_the_newest(folder):
    path = log_bytes.path_of(folder, used(folder)[-1])
    at = [offset for offset, _, _ in log_bytes.groups(log_bytes.read(path))][0]
    change(path, at + 60)
    return path, at, "damaged"


def flip_in_a_header(folder):
    path = log_bytes.path_of(folder, 2)
    change(path, 90)
    return path, 0, "damaged"


def zeros_in_the_first(folder):
    path = log_bytes.path_of(folder, 1)
    data = log_bytes.read(path)
    at = middle_group(path)
    data[at:] = bytes(len(data) - at)
    log_bytes.write(path, data)
    return None, None, "missing"


def cut_first_at_no_block(folder):
    path = log_bytes.path_of(folder, 1)
    os.truncate(path, 500001)
    return path, None, None


def two_swapped(folder):
    first, second = log_bytes.path_of(folder, 1), log_bytes.path_of(folder, 2)
    os.rename(first, first + "~")
    os.rename(second, first)
    os.rename(first + "~", second)
    return first, 0, "missing"


def second_removed(folder):
    path = log_bytes.path_of(folder, 2)
    os.unlink(path)
    return path, 0, "missing"


def first_removed(folder):
    os.unlink(log_bytes.path_of(folder, 1))
    return log_bytes.path_of(folder, 2), 0, "no_begin"


def newest_removed(folder):
    # Only because prepared ones stand behind it.
    path = log_bytes.path_of(folder, used(folder)[-1])
    os.unlink(path)
    return path, 0, "missing"


def another_clusters(folder):
    path = log_bytes.path_of(folder, 1)
    data = log_bytes.read(path)
    struct.pack_into("<Q", data, log_bytes.CLUSTER_AT, 12345)
    data[80:112] = b"somebody else's".ljust(32, b"\0")
    log_bytes.seal_block(data)
    log_bytes.write(path, data)
    return path, 0, "other_identity"


def another_releases(folder):
    path = log_bytes.path_of(folder, 2)
    data = log_bytes.read(path)
    struct.pack_into("<I", data, log_bytes.VERSION_AT, 99)
    log_bytes.seal_block(data)
    log_bytes.write(path, data)
    return path, 0, "other_version"


def identity_flipped(folder):
    change(os.path.join(folder, "identity"), 40)
    return folder, "", "no_identity"


def all_segments_removed(folder):
    for name in os.listdir(os.path.join(folder, "log")):
        os.unlink(os.path.join(folder, "log", name))
    return folder, "", "lost"


def segment_is_a_folder(folder):
    path = log_bytes.path_of(folder, 2)
    os.unlink(path)
    os.mkdir(path)
    return path, "", None


def identity_is_a_folder(folder):
    path = os.path.join(folder, "identity")
    os.unlink(path)
    os.mkdir(path)
    return path, "", None


DAMAGES = [flip_in_the_first, flip_in_the_newest, flip_in_a_header, zeros_in_the_first,
           cut_first_at_no_block, two_swapped, second_removed, first_removed, newest_removed,
           another_clusters, another_releases, identity_flipped, all_segments_removed,
           segment_is_a_folder, identity_is_a_folder]
REMEDY = re.compile("; (bring |check |start |see )")


class Damage(DamageTest):
    def test_of_any_kind_is_refused_with_words_and_mended_by_the_file(self):
        pair, sequence, digest = self.make_log()
        node = pair.a
        kept = os.path.join(pair.dir, "kept")
        shutil.copytree(node.state_dir, kept)
        self.addCleanup(shutil.rmtree, kept, True)
        self.assertGreaterEqual(len(used(kept)), 3, "too few segments for this test")
        for number, damage in enumerate(DAMAGES):
            with self.subTest(damage.__name__):
                try:
                    self.check_refused(node, *damage(node.state_dir))
                    # Mended while the node waits, or while it is down.
                    stop = node.control.stop if number % 2 else node.stop
                    start = node.start_control if number % 2 else node.start
                    stop()
                    self.put_back(kept, node.state_dir)
                    start()
                    self.check_recovered(node, sequence, digest)
                finally:
                    # Each life adds a segment; the next damage finds the log as it was.
                    node.stop()
                    self.put_back(kept, node.state_dir)

    @staticmethod
    def put_back(kept, folder):
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)

    def check_refused(self, node, path, offset, verdict):
        code, tree = self.verify(node)
        if "error" in tree:
            self.assertEqual(code, 1)
            self.assertIn(path, tree["error"])
        else:
            self.assertEqual((code, tree["refused"]), (4, True), tree)
        before = self.files(node)
        node.start()
        log = self.wait("refusal", lambda: self.refused(node), WAIT_S)
        text = log["refusal"]
        self.assertRegex(text, REMEDY)
        if path is not None:
            self.assertIn(path, text)
        if offset is None:
            self.assertRegex(text, r"at offset \d+: ")
        elif offset != "":
            self.assertIn(f"at offset {offset}: ", text)
        if verdict is not None:
            self.assertEqual(tree["verdict"], verdict, tree["text"])
        # It serves nobody, and answers the operator.
        status = node.status()
        self.assertEqual((status["mode"], status["committed"], status["control"], status["stuck"]),
                         ("waiting", 0, "up", False))
        self.assertIn("REFUSED", self.standfast(node, "status")[1])
        self.assertEqual(self.standfast(node, "is-primary")[0], 1)
        # The shared memory says it first, the log a moment later.
        self.wait("the log line", lambda: self.logged(node, "replay refused: " + text), WAIT_S)
        self.assertTrue(node.dataplane.pid() and node.control.pid(), "a process ended")
        self.assertEqual(self.files(node), before, "a refused log was changed")

    @staticmethod
    def logged(node, text):
        with open(node.control.log) as file:
            return text in file.read()

    @staticmethod
    def replayed(node):
        return node.status()["log"]["replay"] == "done"

    @staticmethod
    def refused(node):
        log = node.status()["log"]
        return log["replay"] == "refused" and log

    def files(self, node):
        return self.hashes(os.path.join(node.state_dir, "log"))

    @staticmethod
    def hashes(folder):
        found = {}
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            found[name] = os.path.isfile(path) and \
                hashlib.sha256(log_bytes.read(path)).hexdigest()
        return found

    def check_recovered(self, node, sequence, digest):
        self.wait("replay", lambda: self.replayed(node), WAIT_S)
        self.assertEqual(self.verify(node)[0], 0)
        found = node.digest()
        self.assertEqual((found["sequence"], found["digest"]), (sequence, digest))
        self.assertIsNone(node.status()["log"]["refusal"])

    def refused_node(self, pair):
        """Starts a with a damaged log: (path, what it held before)."""
        path = log_bytes.path_of(pair.a.state_dir, 2)
        whole = log_bytes.read(path)
        at = middle_group(path)
        change(path, at + 150)
        pair.a.start()
        log = self.wait("refusal", lambda: self.refused(pair.a), WAIT_S)
        self.assertIn(f"{path} at offset {at}: ", log["refusal"])
        return path, whole

    def serve_alone(self, pair):
        """Its peer was the last primary: it takes that up again."""
        before = self.files(pair.a)
        pair.b.start()
        self.wait_status(pair.b, DISK_S, role="primary", mode="alone")
        # More than the arena holds: what a misses then comes from b's log.
        self.load(pair, "--updates", 3 * UPDATES, "--outstanding", 256)
        status = pair.a.status()
        self.assertEqual((status["mode"], status["sequence"]), ("waiting", 0))
        self.assertTrue(self.refused(pair.a))
        self.assertEqual(self.files(pair.a), before, "a refused log was changed")
        self.assertEqual(pair.b.status()["mode"], "alone")

    def test_mended_while_the_peer_serves_needs_only_another_control(self):
        pair, _, _ = self.make_log()
        path, whole = self.refused_node(pair)
        self.check_serves_nobody(pair)
        self.serve_alone(pair)
        before = pair.b.status()["sequence"]
        bench = lab.Bench(self, pair, "--rate", 2000, "--duration", "3600s")
        self.wait("load", lambda: pair.b.status()["sequence"] > before + 1000,
                  DISK_S)
        log_bytes.write(path, whole)
        pair.a.control.stop()
        pair.a.start_control()
        self.wait("replay", lambda: self.replayed(pair.a), WAIT_S)
        pair.wait_paired()
        self.assertTrue(bench.running())
        bench.stop()
        bench.check()
        self.assert_level(pair)

    def test_recovered_by_the_operator_the_node_learns_everything_from_its_peer(self):
        pair, _, _ = self.make_log()
        self.refused_node(pair)
        self.serve_alone(pair)
        damaged = self.files(pair.a)
        numbers = used(pair.a.state_dir)
        run = self.recover(pair.a)
        self.assertNotEqual(run.returncode, 0, "recover took the log of a running node")
        self.assertEqual(self.files(pair.a), damaged)
        pair.a.stop()
        run = self.recover(pair.a)
        self.assertEqual(run.returncode, 0, run.stderr)
        quarantine = json.loads(run.stdout)["quarantine"]
        # All that held anything; segments that were only prepared may be gone.
        kept = self.hashes(os.path.join(quarantine, "log"))
        self.assertLessEqual(kept.items(), damaged.items())
        self.assertLessEqual({f"{number:020}.seg" for number in numbers}, set(kept))
        pair.a.start()
        pair.wait_paired()
        self.load(pair, "--updates", 1000, "--outstanding", 16)
        self.assert_level(pair)
        # It counts again: it is level, so it may take over.
        pair.b.kill()
        self.wait_status(pair.a, role="primary", mode="alone")

    @staticmethod
    def recover(node):
        return subprocess.run([node.programs["standfast"], "recover", "--json", "-c", node.config],
                              capture_output=True, text=True, timeout=20)

    def check_serves_nobody(self, pair):
        """No client gets a session, though part of the log is in memory by now."""
        run = subprocess.run(
            pair.bench_command("--json", "--updates", 5, "--outstanding", 1, "--timeout", "100ms",
                               "--drain", "500ms"),
            capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 3, run.stdout + run.stderr)

    def test_newest_cut_at_no_block_is_a_torn_tail_that_the_peer_fills(self):
        pair, _, _ = self.make_log()
        # Another life has a segment of its own, with entries in it.
        for node in pair.nodes.values():
            node.start()
        pair.wait_paired()
        self.load(pair, "--updates", 2000, "--outstanding", 64)
        sequence, digest, _ = pair.digests()
        for node in pair.nodes.values():
            node.stop()
        folder = pair.a.state_dir
        path = log_bytes.path_of(folder, used(folder)[-1])
        # As a crash in the middle of a write leaves it; what is lost had marks only behind it.
        found = [at for at, count, _ in log_bytes.groups(log_bytes.read(path)) if count]
        at = found[len(found) // 2]
        os.truncate(path, at + 777)
        code, tree = self.verify(pair.a)
        self.assertEqual((code, tree["verdict"], tree["cut_bytes"]), (0, "torn_tail", 777), tree)
        self.assertLess(tree["last"], sequence)
        for node in pair.nodes.values():
            node.start()
        pair.wait_paired()
        self.assertEqual(pair.digests(), (sequence, digest, digest))


class Verbs(DamageTest):
    def test_log_verbs_on_whole_damaged_and_differing_logs(self):
        pair, sequence, _ = self.make_log()
        a, b = pair.a.state_dir, pair.b.state_dir
        code, tree = self.verify(pair.a, a)
        self.assertEqual((code, tree["verdict"], tree["last"], tree["closed"]),
                         (0, "clean", sequence, True))
        self.assertEqual((tree["node"], tree["cluster"]), ("a", "lab"))
        self.assertEqual(self.standfast(pair.a, "log", "info", os.path.join(a, "log"))[0], 0)
        self.check_dump(pair.a, sequence)
        code, out = self.standfast(pair.a, "log", "diff", a, b, "--json")
        self.assertEqual((code, json.loads(out)["equal_up_to"]), (0, sequence), out)
        self.check_differing(pair)
        self.check_damaged(pair)

    def check_dump(self, node, sequence):
        code, out = self.standfast(node, "log", "dump", "--json", "--at", sequence - 99)
        found = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(code, 0)
        self.assertEqual([entry["sequence"] for entry in found],
                         list(range(sequence - 99, sequence + 1)))
        code, out = self.standfast(node, "log", "dump")
        self.assertEqual((code, len(out.splitlines())), (0, sequence))

    def check_differing(self, pair):
        """Logs made by hand from the first entries of a real one, in other groups."""
        real = log_bytes.read(log_bytes.path_of(pair.a.state_dir, 1))
        first = list(log_bytes.entries(real))[:600]
        for name, change_at in (("same", None), ("other", 432)):
            folder = os.path.join(pair.dir, name)
            self.addCleanup(shutil.rmtree, folder, True)
            if change_at is not None:
                first[change_at - 1] = log_bytes.change_entry(first[change_at - 1])
            log_bytes.write_log(folder, real, first, 37)
            shutil.copy(os.path.join(pair.a.state_dir, "identity"), folder)
            code, tree = self.verify(pair.a, folder)
            self.assertEqual((code, tree["verdict"], tree["last"]), (0, "clean", 600), tree)
            code, out = self.standfast(pair.a, "log", "diff", pair.a.state_dir, folder, "--json")
            tree = json.loads(out)
            if change_at is None:
                self.assertEqual((code, tree["differ"], tree["equal_up_to"]), (0, False, 600), out)
            else:
                self.assertEqual((code, tree["differ"], tree["equal_up_to"]),
                                 (1, True, change_at - 1), out)
                self.assertIn(f"at sequence {change_at}:", tree["text"])

    def check_damaged(self, pair):
        a = pair.a.state_dir
        path, at, verdict = flip_in_the_first(a)
        code, tree = self.verify(pair.a, a)
        self.assertEqual((code, tree["verdict"]), (4, verdict))
        self.assertIn(f"{path} at offset {at}: ", tree["text"])
        self.assertEqual(self.standfast(pair.a, "log", "dump")[0], 4)
        code, out = self.standfast(pair.a, "log", "diff", a, pair.b.state_dir)
        self.assertEqual(code, 4)
        self.assertIn("is damaged", out)
        # Headers are looked at by all of them.
        flip_in_a_header(a)
        for verb in ("info", "verify", "dump"):
            self.assertEqual(self.standfast(pair.a, "log", verb)[0], 4, verb)
        # Whose it is comes from a header that is whole.
        change(log_bytes.path_of(a, 1), log_bytes.CLUSTER_AT)
        self.assertEqual(self.verify(pair.a, a)[1]["cluster"], "lab")


if __name__ == "__main__":
    lab.main()
