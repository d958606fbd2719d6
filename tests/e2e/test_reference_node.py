#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The oracle itself: the reference node's verdicts are those of the protocol page."""

import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import reference_node  # noqa: E402

OK, REJECTED, NOT_PRIMARY, BUSY, BAD_REQUEST, FORGOTTEN, _, OVERLOADED = range(8)


def message(template, block, payload=b""):
    return (struct.pack("<4H", len(block), template, 0x5346, 1) + block
            + struct.pack("<H", len(payload)) + payload)


def update(client, seq, first, opcode=1, payload=struct.pack("<q", 5), asset=7, flags=0):
    return message(1, struct.pack("<QQQQBB6x", client, seq, first, asset, opcode, flags), payload)


class ReferenceNodeTest(unittest.TestCase):
    def setUp(self):
        self.pair = reference_node.Pair(max_inflight=8)
        self.client = self.open(99)[1]

    def open(self, nonce, node=0):
        answer, = self.pair.handle(node, message(3, struct.pack("<Q8x", nonce)))
        self.assertEqual(struct.unpack("<4H", answer[:8]), (24, 4, 0x5346, 1))
        return struct.unpack_from("<QQIBBH", answer, 8)

    def ask(self, datagram, node=0):
        """(status, sequence, assetVersion, repeat, epoch, payload) of the only answer."""
        answer, = self.pair.handle(node, datagram)
        f = struct.unpack_from("<QQQQIBBHQ", answer, 8)
        return f[5], f[3], f[8], f[6], f[4], answer[58:]

    def test_open_when_nonce_is_repeated_then_same_client(self):
        self.assertEqual(self.client, 1 << 48 | 1)
        self.assertEqual(self.open(99)[1], self.client)
        self.assertNotEqual(self.open(98)[1], self.client)
        self.assertEqual(self.open(0)[3], BAD_REQUEST)
        self.assertEqual(self.open(97, node=1)[3], NOT_PRIMARY)

    def test_update_when_repeated_then_first_answer_whatever_it_names(self):
        first = self.ask(update(self.client, 1, 1))
        self.assertEqual(first, (OK, 2, 1, 0, 1, struct.pack("<q", 5)))
        self.pair.take_over()
        again = self.ask(update(self.client, 1, 1, opcode=2, asset=8), node=1)
        self.assertEqual(again, (OK, 2, 1, 1, 2, struct.pack("<q", 5)))
        self.assertEqual(len(self.pair.history), 1)

    def test_update_when_below_first_incomplete_then_forgotten(self):
        self.ask(update(self.client, 1, 1))
        self.ask(update(self.client, 2, 2))
        self.assertEqual(self.ask(update(self.client, 1, 1))[0], FORGOTTEN)
        self.assertEqual(self.ask(update(self.client + 1, 1, 1))[0], FORGOTTEN)
        self.pair.close_session(self.client)
        self.assertEqual(self.ask(update(self.client, 3, 3))[0], FORGOTTEN)

    def test_update_when_window_is_passed_then_overloaded(self):
        self.assertEqual(self.ask(update(self.client, 8, 1))[0], OK)
        self.assertEqual(self.ask(update(self.client, 9, 1))[0], OVERLOADED)
        self.assertEqual(self.ask(update(self.client, 9, 2))[0], OK)

    def test_request_when_malformed_then_bad_request(self):
        for bad in (update(self.client, 1, 0), update(self.client, 1, 2),
                    update(self.client, 1, 1, flags=2), update(self.client, 1, 1, flags=1),
                    update(self.client, 1, 1, opcode=3, payload=b""),
                    update(self.client, 1, 1, payload=bytes(257)),
                    message(1, struct.pack("<QQQ", self.client, 1, 1)),
                    update(self.client, 1, 1)[:-1]):
            self.assertEqual(self.ask(bad)[0], BAD_REQUEST)
        self.assertEqual(self.pair.handle(0, b"\0" * 7), [])
        self.assertEqual(self.pair.history, [])

    def test_register_when_used_then_as_the_page_says(self):
        def call(seq, opcode, payload, flags=0):
            return self.ask(update(self.client, seq, seq, opcode, payload, flags=flags))
        q = lambda *v: struct.pack(f"<{len(v)}q", *v)
        self.assertEqual(call(1, 2, q(2 ** 63 - 1))[5], q(2 ** 63 - 1))
        self.assertEqual(call(2, 1, q(1))[::5], (REJECTED, struct.pack("<H", 2)))
        self.assertEqual(call(3, 4, q(1, 2))[::5],
                         (REJECTED, struct.pack("<Hq", 1, 2 ** 63 - 1)))
        self.assertEqual(call(4, 4, q(2 ** 63 - 1, -4))[::5], (OK, q(-4)))
        self.assertEqual(call(5, 3, b"", 1), (OK, 0, 2, 0, 1, struct.pack("<qQ", -4, 5)))
        self.assertEqual(call(6, 1, b"")[::5], (REJECTED, struct.pack("<H", 3)))
        self.assertEqual(call(7, 77, b"")[::5], (REJECTED, struct.pack("<H", 3)))


if __name__ == "__main__":
    unittest.main()
