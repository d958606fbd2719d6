#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The Python client against a scripted pair: two UDP sockets that answer what each test says."""

import contextlib
import io
import json
import os
import random
import select
import socket
import struct
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "client",
                                "python"))
sys.dont_write_bytecode = True

import standfast  # noqa: E402
from standfast import (BAD_REQUEST, BUSY, FORGOTTEN, NOT_PRIMARY, OK, OVERLOADED,  # noqa: E402
                       REJECTED, UNAUTHORIZED)

SEED = int(os.environ.get("STANDFAST_TEST_SEED", random.randrange(1 << 32)))
FAST = {"timeout": 30, "retry_min": 0.01, "retry_max": 0.1}
# Where a test counts copies: no time-out within the pause that a busy machine may make.
SURE = {"timeout": 30, "retry_min": 0.8, "retry_max": 0.8}


def response(client, seq, status, epoch=4, payload=b"", sequence=0, flags=0):
    block = struct.pack("<QQQQIBBHQ", client, seq, 7, sequence, epoch, status, flags, 0, 1)
    return struct.pack("<4H", 48, 2, 0x5346, 1) + block + struct.pack("<H", len(payload)) + payload


def opened(nonce, status=OK, client=11, epoch=4, payload=b"", inflight=8):
    block = struct.pack("<QQIBBH", nonce, client, epoch, status, 0, inflight)
    return struct.pack("<4H", 24, 4, 0x5346, 1) + block + struct.pack("<H", len(payload)) + payload


def requests_in(datagram):
    """What the client sent, read without the client's own code."""
    at, found = 0, []
    while at < len(datagram):
        block_bytes, template, schema, version = struct.unpack_from("<4H", datagram, at)
        assert (schema, version) == (0x5346, 1)
        block = datagram[at + 8:at + 8 + block_bytes]
        payload_bytes, = struct.unpack_from("<H", datagram, at + 8 + block_bytes)
        end = at + 10 + block_bytes + payload_bytes
        assert end <= len(datagram) <= 1400
        if template == 1:
            client, seq, first, asset, opcode, flags = struct.unpack_from("<QQQQBB", block)
            found.append(dict(template=1, client=client, seq=seq, first=first, asset=asset,
                              opcode=opcode, flags=flags, payload=datagram[end - payload_bytes:end],
                              block_bytes=block_bytes, zero=block[34:]))
        else:
            found.append(dict(template=template, number=struct.unpack_from("<Q", block)[0],
                              block_bytes=block_bytes))
        at = end
    return found


class Pair:
    """answer(node, request, count) returns the datagrams that go back; count is how many requests
    of that template and requestSeq have come before. None is: as a good primary would."""

    def __init__(self, answer=None):
        self.answer = answer or (lambda node, request, count: None)
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for one in self.sockets:
            one.bind(("127.0.0.1", 0))
        self.addresses = [one.getsockname() for one in self.sockets]
        self.nodes = ",".join(f"{ip}:{port}" for ip, port in self.addresses)
        self.log, self.datagrams = [], []
        self.failure = None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def hint(self, node):
        ip, port = self.addresses[node]
        return socket.inet_aton(ip) + struct.pack("<H", port)

    def good(self, request):
        if request["template"] == 3:
            return [opened(request["number"])]
        if request["template"] == 5:
            return []
        return [response(request["client"], request["seq"], OK, payload=request["payload"],
                         sequence=100 + request["seq"])]

    def _run(self):
        try:
            while not self.stop.is_set():
                for one in select.select(self.sockets, [], [], 0.02)[0]:
                    self._take(self.sockets.index(one), *one.recvfrom(65536))
        except Exception as failure:
            self.failure = failure

    def _take(self, node, datagram, sender):
        self.datagrams.append(datagram)
        for request in requests_in(datagram):
            same = [r for _, r in self.log
                    if (r["template"], r.get("seq")) == (request["template"], request.get("seq"))]
            self.log.append((node, request))
            answers = self.answer(node, request, len(same))
            for one in self.good(request) if answers is None else answers:
                self.sockets[node].sendto(one, sender)

    def updates(self):
        return [(node, request) for node, request in self.log if request["template"] == 1]

    def opens(self):
        return [request["number"] for _, request in self.log if request["template"] == 3]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stop.set()
        self.thread.join(10)
        for one in self.sockets:
            one.close()
        if self.failure and kind is None:
            raise self.failure


def updates_get(*answers):
    """An answer function: the n-th copy of any update gets answers[n], then a good one."""
    def answer(node, request, count):
        if request["template"] != 1 or count >= len(answers):
            return None
        status = answers[count]
        return [] if status is None else [response(request["client"], request["seq"], status)]
    return answer


class SessionTest(unittest.TestCase):
    def test_open_when_lost_then_same_nonce_again(self):
        lose = lambda node, request, count: [] if request["template"] == 3 and count < 3 else None
        with Pair(lose) as pair, standfast.Client(pair.nodes, **FAST) as client:
            self.assertEqual(client.client_id, 11)
            self.assertEqual(client.max_inflight, 8)
            self.assertGreaterEqual(len(pair.opens()), 4)
            self.assertEqual(len(set(pair.opens())), 1)
            self.assertNotEqual(pair.opens()[0], 0)
            self.assertIn(1, [node for node, _ in pair.log])  # silence made it try the other

    def test_open_when_hinted_then_follows(self):
        def answer(node, request, count):
            if request["template"] == 3 and node == 0:
                return [opened(request["number"], NOT_PRIMARY, 0, 4, pair.hint(1))]
            return None
        with Pair(answer) as pair, standfast.Client(pair.nodes, **SURE) as client:
            self.assertEqual([node for node, _ in pair.log], [0, 1])
            self.assertEqual(client.node, pair.addresses[1])

    def test_open_when_busy_then_again_and_when_unauthorized_then_error(self):
        statuses = [BUSY, UNAUTHORIZED]
        answer = lambda node, request, count: [opened(request["number"], statuses[count], 0)]
        with Pair(answer) as pair:
            with self.assertRaisesRegex(standfast.SessionError, "UNAUTHORIZED"):
                standfast.Client(pair.nodes, **SURE)
            self.assertEqual(len(pair.opens()), 2)
            self.assertEqual(len(set(pair.opens())), 1)

    def test_open_when_nobody_answers_then_error_in_time(self):
        with Pair(lambda *_: []) as pair, self.assertRaises(standfast.SessionError):
            standfast.Client(pair.nodes, timeout=0.1, retry_min=0.01)

    def test_close_when_open_then_says_so(self):
        with Pair() as pair:
            standfast.Client(pair.nodes, **FAST).close()
            probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            # Something behind it in the same queue: when that was answered, the close was seen.
            probe.settimeout(10)
            probe.sendto(standfast.pack_open(3), pair.addresses[0])
            probe.recv(2048)
            probe.close()
            self.assertIn(dict(template=5, number=11, block_bytes=8), [r for _, r in pair.log])


class CallTest(unittest.TestCase):
    def test_verbs_when_called_then_their_bytes_are_those_of_the_page(self):
        with Pair() as pair, standfast.Client(pair.nodes, **SURE) as client:
            client.add(7, -5)
            client.set(8, 6)
            client.get(9)
            client.cas(10, 1, 2)
        sent = [(r["asset"], r["opcode"], r["flags"], r["payload"]) for _, r in pair.updates()]
        self.assertEqual(sent, [(7, 1, 0, struct.pack("<q", -5)), (8, 2, 0, struct.pack("<q", 6)),
                                (9, 3, 1, b""), (10, 4, 0, struct.pack("<qq", 1, 2))])
        self.assertEqual([r["seq"] for _, r in pair.updates()], [1, 2, 3, 4])
        self.assertEqual([r["first"] for _, r in pair.updates()], [1, 2, 3, 4])
        self.assertEqual({r["zero"] for _, r in pair.updates()}, {bytes(6)})
        self.assertEqual({r["block_bytes"] for _, r in pair.updates()}, {40})

    def test_answer_when_lost_then_same_request_again(self):
        with Pair(updates_get(None, None)) as pair, standfast.Client(pair.nodes, **FAST) as client:
            result = client.add(7, 5)
            self.assertEqual((result.outcome, result.value), ("ok", 5))
            self.assertGreaterEqual(result.copies, 3)
            for _, request in pair.updates():
                self.assertEqual(request, pair.updates()[0][1])

    def test_answer_when_busy_or_overloaded_then_same_request_again_to_the_same_node(self):
        with Pair(updates_get(BUSY, OVERLOADED)) as pair:
            with standfast.Client(pair.nodes, **SURE) as client:
                self.assertEqual(client.add(7, 5).copies, 3)
            self.assertEqual([(n, r["seq"]) for n, r in pair.updates()], [(0, 1)] * 3)

    def test_not_primary_when_of_lower_epoch_then_hint_is_ignored(self):
        def answer(node, request, count):
            if request["template"] == 1 and count == 0:
                return [response(request["client"], 1, NOT_PRIMARY, 3, bytes([127, 0, 0, 1, 9, 0]))]
            return None
        with Pair(answer) as pair, standfast.Client(pair.nodes, **SURE) as client:
            self.assertEqual(client.add(7, 5).outcome, "ok")
            self.assertEqual([node for node, _ in pair.updates()], [0, 1])
            self.assertEqual((client.counters["stale_epoch"], client.epoch), (1, 4))

    def test_not_primary_when_hinted_or_empty_then_the_other_node(self):
        for hinted in (True, False):
            def answer(node, request, count):
                if request["template"] == 1 and node == 0:
                    return [response(request["client"], request["seq"], NOT_PRIMARY, 5,
                                     pair.hint(1) if hinted else b"")]
                return None
            with self.subTest(hinted=hinted), Pair(answer) as pair:
                with standfast.Client(pair.nodes, **SURE) as client:
                    self.assertEqual(client.add(7, 5).outcome, "ok")
                self.assertEqual([(n, r["seq"]) for n, r in pair.updates()], [(0, 1), (1, 1)])

    def test_ok_when_of_lower_epoch_then_true_and_forgotten_ignored(self):
        def answer(node, request, count):
            if request["template"] == 1 and count == 0:
                late = FORGOTTEN if request["seq"] == 1 else OK
                return [response(request["client"], request["seq"], late, 3)]
            return None
        with Pair(answer) as pair, standfast.Client(pair.nodes, **SURE) as client:
            self.assertEqual((client.add(7, 5).outcome, client.client_id), ("ok", 11))
            self.assertEqual(len(pair.opens()), 1)
            self.assertEqual((client.add(7, 5).epoch, client.epoch), (3, 4))

    def test_forgotten_when_session_is_gone_then_unknown_and_a_new_session(self):
        with Pair(updates_get(FORGOTTEN)) as pair, standfast.Client(pair.nodes, **SURE) as client:
            result = client.add(7, 5)
            self.assertEqual((result.outcome, result.cause, result.status),
                             ("unknown", "session", "FORGOTTEN"))
            self.assertEqual(client.add(7, 5).outcome, "ok")
            self.assertEqual(len(set(pair.opens())), 2)
            self.assertEqual([r["seq"] for _, r in pair.updates()], [1, 1])

    def test_deadline_when_passed_then_unknown_and_first_incomplete_goes_on(self):
        lose = lambda node, request, count: [] if request.get("seq") == 1 else None
        with Pair(lose) as pair, standfast.Client(pair.nodes, **FAST) as client:
            result = client.add(7, 5, timeout=0.05)
            self.assertEqual((result.outcome, result.cause), ("unknown", "deadline"))
            self.assertEqual(client.add(7, 5).outcome, "ok")
            self.assertEqual(pair.updates()[-1][1]["first"], 2)

    def test_deadline_when_passed_before_any_copy_then_not_sent(self):
        with Pair(lambda *_: []) as pair:
            client = standfast.Client(pair.nodes, connect=False, **FAST)
            self.assertEqual(client.add(7, 5, timeout=0.05).outcome, "not_sent")
            client.close()

    def test_bad_request_when_only_copy_then_refused_else_unknown(self):
        with Pair(updates_get(BAD_REQUEST)) as pair:
            with standfast.Client(pair.nodes, **SURE) as client:
                self.assertEqual(client.add(7, 5).outcome, "refused")
        with Pair(updates_get(BUSY, UNAUTHORIZED)) as pair:
            with standfast.Client(pair.nodes, **SURE) as client:
                result = client.add(7, 5)
                self.assertEqual((result.outcome, result.status), ("unknown", "UNAUTHORIZED"))

    def test_many_when_answers_come_out_of_order_and_twice_then_all_are_told_apart(self):
        kept = []

        def answer(node, request, count):
            if request["template"] != 1:
                return None
            kept.extend(pair.good(request))
            if request["seq"] % 8:
                return []
            answers = kept[::-1] + kept
            kept.clear()
            return answers
        with Pair(answer) as pair, standfast.Client(pair.nodes, timeout=10, retry_min=5,
                                                    retry_max=5) as client:
            results = client.call_many([standfast.Request(1, 1, struct.pack("<q", i))
                                        for i in range(40)])
            self.assertEqual([r.value for r in results], list(range(40)))
            self.assertEqual({r.copies for r in results}, {1})
            # Those of the last eight may still be unread when the last result is there.
            self.assertGreaterEqual(client.counters["duplicate"], 32)
            self.assertEqual([r["seq"] for _, r in pair.updates()], list(range(1, 41)))
            for _, request in pair.updates():
                self.assertLess(request["seq"] - request["first"], 8)
            self.assertLess(len(pair.datagrams), 25)  # several requests share a datagram


class BrokenTest(unittest.TestCase):
    def test_datagrams_when_broken_then_counted_and_the_call_finishes(self):
        print(f"seed {SEED}", file=sys.stderr)
        chance = random.Random(SEED)

        def spoil(datagram):
            if chance.random() < 0.5:
                return datagram[:chance.randrange(1, len(datagram))]
            data = bytearray(datagram)
            data[4 + chance.randrange(2)] ^= chance.randrange(1, 256)  # schemaId
            return bytes(data)

        def answer(node, request, count):
            good = pair.good(request)
            return [spoil(one) for one in good for _ in range(20)] + [bytes(1401)] + good
        with Pair(answer) as pair, standfast.Client(pair.nodes, **FAST) as client:
            for i in range(50):
                self.assertEqual(client.add(7, i).value, i)
            for reason in ("oversize", "wrong_schema", "truncated", "short_header"):
                self.assertGreater(client.counters[reason], 0, reason)

    def test_answers_when_from_strangers_or_other_sessions_then_not_believed(self):
        with Pair() as pair, standfast.Client(pair.nodes, **FAST) as client:
            stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            to = ("127.0.0.1", client._socket.getsockname()[1])
            stranger.sendto(response(11, 1, REJECTED), to)
            pair.sockets[0].sendto(response(12, 1, REJECTED, 9), to)
            pair.sockets[0].sendto(response(11, 2, REJECTED, 9), to)
            self.assertEqual(client.add(7, 5).outcome, "ok")
            stranger.close()
            for reason in ("foreign_source", "foreign_session", "never_asked"):
                self.assertEqual(client.counters[reason], 1, reason)
            self.assertEqual(client.epoch, 4)


class CommandTest(unittest.TestCase):
    def run_main(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = standfast.main(list(arguments))
        return code, out.getvalue(), err.getvalue()

    def test_command_when_ok_then_exit_0_and_json_has_the_result(self):
        with Pair() as pair:
            code, out, _ = self.run_main("--to", pair.nodes, "add", "7", "-5")
            self.assertEqual((code, out.split(",")[:2]), (0, ["ok", " value -5"]))
            code, out, _ = self.run_main("--json", "--to", pair.nodes, "call", "7", "2",
                                         "0500000000000000")
            self.assertEqual(code, 0)
            found = json.loads(out)
            self.assertEqual((found["outcome"], found["value"], found["sequence"]), ("ok", 5, 101))

    def test_command_when_rejected_or_no_session_then_exit_1(self):
        reject = lambda node, request, count: [response(
            11, 1, REJECTED, payload=struct.pack("<Hq", 1, 6))] if request["template"] == 1 else None
        with Pair(reject) as pair:
            code, out, _ = self.run_main("--to", pair.nodes, "--json", "cas", "7", "5", "6")
            found = json.loads(out)
            self.assertEqual((code, found["outcome"], found["reason"], found["value"]),
                             (1, "rejected", 1, 6))
        with Pair(lambda *_: []) as pair:
            code, _, err = self.run_main("--to", pair.nodes, "--timeout", "0.05", "get", "7")
            self.assertEqual(code, 1)
            self.assertIn("no session", err)

    def test_command_when_raw_then_bytes_go_out_as_given(self):
        with Pair() as pair:
            code, out, _ = self.run_main("--to", pair.nodes, "raw", standfast.pack_open(5).hex())
            self.assertEqual((code, out.strip()), (0, opened(5).hex()))


if __name__ == "__main__":
    unittest.main()
