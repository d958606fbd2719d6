#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Ordinary UDP clients against a pair: kernel sockets in a network namespace, the nodes on the other
ends of veth cables. The raw messages are built here from the protocol page, without any client."""
import os
import socket
import struct
import subprocess
import unittest

import lab
import standfast
from lab import network
from standfast_lab.node import NODES, PORT, SERVICE_ADDRESS

A, B = ((NODES[name]["address"], PORT) for name in "ab")
SERVICE = (SERVICE_ADDRESS, PORT)
SCHEMA = 0x5346
UPDATE, OPEN = 1, 3
OK, REJECTED, NOT_PRIMARY, BAD_REQUEST, FORGOTTEN = 0, 1, 2, 4, 5
ADD, SET, GET, CAS = 1, 2, 3, 4


def i64(*values):
    return struct.pack(f"<{len(values)}q", *values)


def message(template, block, payload=b"", schema=SCHEMA):
    return struct.pack("<HHHH", len(block), template, schema, 1) + block \
        + struct.pack("<H", len(payload)) + payload


def request(client, seq, asset, opcode, payload=b"", flags=0, first=None, reserved=b"\0" * 6):
    block = struct.pack("<QQQQBB", client, seq, first or seq, asset, opcode, flags) + reserved
    return message(UPDATE, block, payload)


class Answer:
    def __init__(self, data):
        length, self.template, schema, _ = struct.unpack_from("<HHHH", data)
        assert schema == SCHEMA
        block = data[8:8 + length]
        size, = struct.unpack_from("<H", data, 8 + length)
        self.payload = data[10 + length:10 + length + size]
        self.bytes = 10 + length + size
        if self.template == 2:
            (self.client, self.seq, self.asset, self.sequence, self.epoch, self.status, self.flags,
             self.version) = struct.unpack_from("<QQQQIBB2xQ", block)
        else:
            (self.nonce, self.client, self.epoch, self.status, self.flags,
             self.max_inflight) = struct.unpack_from("<QQIBBH", block)

    def identity(self):
        """What a repeat must have in common with the first answer."""
        return self.client, self.seq, self.sequence, self.version, self.status, self.payload


class Wire:
    """A UDP socket of the client namespace."""

    def __init__(self, test):
        self.test = test
        with network.inside(network.CLIENT):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        test.addCleanup(self.socket.close)

    def send(self, data, to=SERVICE):
        self.socket.sendto(data, to)

    def receive(self, seconds=1.0):
        """The answers of the next datagram; [] when none comes."""
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(65536)
        except socket.timeout:
            return []
        answers = []
        while data:
            answers.append(Answer(data))
            data = data[answers[-1].bytes:]
        return answers

    def ask(self, data, to=SERVICE):
        """Sends until one answer comes, as UDP demands."""
        for _ in range(10):
            self.send(data, to)
            answers = self.receive()
            if answers:
                self.test.assertEqual(len(answers), 1)
                return answers[0]
        self.test.fail(f"no answer from {to}")

    def open(self, nonce, to=SERVICE):
        return self.ask(message(OPEN, struct.pack("<Q8x", nonce)), to)


@unittest.skipIf(os.geteuid() != 0, "needs root for network namespaces")
class Veth(lab.LabTest):
    """One pair for all tests here; each uses sessions and assets of its own."""

    @classmethod
    def setUpClass(cls):
        owner = network.owner()
        if network.exists():
            raise unittest.SkipTest(f"another veth laboratory is up: {owner}")
        cls.pair = lab.Lab("/tmp/sf-veth-%d" % os.getpid())
        cls.pair.up(transport="veth", workers_b=3, relay_seed=lab.SEED)
        cls.addClassCleanup(cls.pair.down)

    def setUp(self):
        self.wire = Wire(self)
        self.client = self.wire.open(lab.SEED << 8 | 1 + hash(self.id()) % 255).client

    def count(self, node, block, name):
        return node.counters()[block][name]

    def ask(self, *arguments, **more):
        return self.wire.ask(request(self.client, *arguments, **more))

    # --- updates, with raw sockets ---

    def test_add_set_cas_get_and_a_repeat_of_each(self):
        asset = 1000
        steps = [(ADD, i64(5), OK, i64(5)), (SET, i64(40), OK, i64(40)),
                 (CAS, i64(40, 42), OK, i64(42)),
                 (CAS, i64(40, 43), REJECTED, struct.pack("<H", 1) + i64(42)),
                 (ADD, i64(2**63 - 1), REJECTED, struct.pack("<H", 2))]
        last, version = 0, 0
        for seq, (opcode, payload, status, answer) in enumerate(steps, 1):
            with self.subTest(opcode=opcode, seq=seq):
                first = self.ask(seq, asset, opcode, payload, first=1)
                self.assertEqual((first.status, first.payload[:len(answer)]), (status, answer))
                self.assertEqual(first.flags & 1, 0)
                version += status == OK
                self.assertEqual(first.version, version)
                self.assertGreater(first.sequence, last)
                last = first.sequence
                again = self.ask(seq, asset, opcode, payload, first=1)
                self.assertEqual(again.identity(), first.identity())
                self.assertEqual(again.flags & 1, 1)
                # Whatever the repeat names, the request was answered long ago.
                other = self.ask(seq, asset + 1, ADD, i64(1), first=1)
                self.assertEqual(other.identity(), first.identity())
        get = self.ask(len(steps) + 1, asset, GET, flags=1, first=1)
        self.assertEqual((get.status, get.payload[:8], get.sequence, get.flags),
                         (OK, i64(42), 0, 0))
        self.assertEqual(self.ask(len(steps) + 2, asset + 1, GET, flags=1).payload[:8], i64(0))

    def test_a_session_is_opened_once_however_often_it_is_asked_for(self):
        nonce = lab.SEED << 16 | 7
        first = self.wire.open(nonce)
        again = self.wire.open(nonce)
        self.assertEqual((first.status, first.nonce), (OK, nonce))
        self.assertNotEqual(first.client, 0)
        self.assertEqual(again.client, first.client)
        self.assertNotEqual(self.wire.open(nonce + 1).client, first.client)

    def test_several_messages_in_one_datagram_are_sequenced_in_their_order(self):
        data = b"".join(request(self.client, seq, 1100, ADD, i64(seq), first=1)
                        for seq in range(1, 11))
        answers = {}
        while len(answers) < 10:
            self.wire.send(data)
            while len(answers) < 10 and (some := self.wire.receive()):
                for answer in some:
                    answers.setdefault(answer.seq, answer)
        sequences = [answers[seq].sequence for seq in range(1, 11)]
        self.assertEqual(sequences, sorted(sequences))
        self.assertEqual(answers[10].payload, i64(55))

    # --- what is refused ---

    def test_broken_messages_get_bad_request_and_change_nothing(self):
        good = request(self.client, 1, 1200, ADD, i64(1))
        whole = len(good)
        cases = {
            "flag that does not exist": request(self.client, 1, 1200, ADD, i64(1), flags=2),
            "reading that writes": request(self.client, 1, 1200, ADD, i64(1), flags=1),
            "read without its flag": request(self.client, 1, 1200, GET),
            "first above seq": request(self.client, 1, 1200, ADD, i64(1), first=2),
            "payload too long": request(self.client, 1, 1200, SET, b"x" * 257),
            "length beyond the end": good[:48] + struct.pack("<H", 9) + good[50:],
            "cut short": good[:whole - 1],
        }
        for name, data in cases.items():
            with self.subTest(name):
                answer = self.wire.ask(data)
                self.assertEqual((answer.status, answer.sequence), (BAD_REQUEST, 0))
                self.assertEqual((answer.client, answer.seq), (self.client, 1))
        self.assertEqual(self.ask(1, 1200, ADD, i64(1)).payload, i64(1))

    def test_what_cannot_be_read_is_counted_and_not_answered(self):
        good = request(self.client, 1, 1250, ADD, i64(1))
        cases = {"empty": b"", "short": good[:7], "noise": b"\xff" * 100,
                 "other schema": b"\x28\0\1\0\xab\xcd" + good[6:]}
        before = self.count(self.pair.a, "ingress.0", "drop_framing")
        for data in cases.values():
            self.wire.send(data)
        self.wait("all counted", lambda: self.count(
            self.pair.a, "ingress.0", "drop_framing") == before + len(cases))
        self.assertEqual(self.wire.receive(0.1), [])
        self.assertEqual(self.ask(1, 1250, ADD, i64(1)).payload, i64(1))

    def test_unknown_session_is_forgotten(self):
        answer = self.wire.ask(request(self.client + 12345, 1, 1, ADD, i64(1)))
        self.assertEqual((answer.status, answer.sequence), (FORGOTTEN, 0))

    def test_standby_answers_not_primary_and_names_the_primary(self):
        answer = self.wire.ask(request(self.client, 1, 1300, ADD, i64(1)), B)
        self.assertEqual(answer.status, NOT_PRIMARY)
        self.assertEqual(answer.payload, socket.inet_aton(A[0]) + struct.pack("<H", A[1]))
        self.assertEqual(self.wire.open(99, B).status, NOT_PRIMARY)
        self.assertEqual(self.wire.ask(request(self.client, 1, 1300, ADD, i64(1)), A).payload,
                         i64(1))

    # --- the network around it ---

    def test_nodes_answer_arp_and_ping_on_all_their_addresses(self):
        with network.inside(network.CLIENT):
            ping = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.addCleanup(ping.close)
        ping.settimeout(2)
        body = b"standfast ping"
        echo = bytearray(struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xffff, 1) + body)
        total = sum(struct.unpack(f"!{len(echo) // 2}H", echo))
        total = (total >> 16) + (total & 0xffff)
        struct.pack_into("!H", echo, 2, ~(total + (total >> 16)) & 0xffff)
        for address in (A[0], B[0], SERVICE_ADDRESS):
            ping.sendto(bytes(echo), (address, 0))
            data, (sender, _) = ping.recvfrom(2048)
            header = (data[0] & 15) * 4
            self.assertEqual((sender, data[header], data[header + 8:]), (address, 0, body))
        table = subprocess.run([*network.enter(network.CLIENT), "ip", "neigh"], capture_output=True,
                               text=True, check=True).stdout
        macs = {line.split()[0]: line.split()[4] for line in table.splitlines() if "lladdr" in line}
        self.assertEqual(macs[SERVICE_ADDRESS], macs[A[0]])     # the primary has it
        self.assertNotEqual(macs[B[0]], macs[A[0]])

    def test_a_datagram_in_ip_fragments_is_dropped_and_counted(self):
        # DPDK's af_packet driver asks the kernel to put fragments together, so what comes here is
        # one packet that is too large; other ports show the fragments themselves.
        def dropped():
            counters = self.pair.a.counters()["ingress.0"]
            return counters["drop_ip_fragment"] + counters["drop_ip_length"]
        before = dropped()
        self.wire.send(b"x" * 4000)         # three fragments at an MTU of 1,500
        self.wait("fragments counted", lambda: dropped() > before)
        self.assertEqual(self.wire.receive(0.1), [])
        self.assertEqual(self.ask(1, 1400, ADD, i64(3)).payload, i64(3))

    # --- the project's own clients ---

    def python_client(self, nodes):
        with network.inside(network.CLIENT):
            client = standfast.Client(nodes)
        self.addCleanup(client.close)
        return client

    def test_python_client_follows_the_primary_from_either_address(self):
        for asset, nodes in ((1500, [SERVICE]), (1501, [B, A]), (1502, [A])):
            client = self.python_client(nodes)
            for result, value in ((client.add(asset, 5), 5), (client.set(asset, -7), -7),
                                  (client.cas(asset, -7, 9), 9), (client.get(asset), 9)):
                self.assertEqual((result.outcome, result.value), ("ok", value))
            refused = client.cas(asset, 1, 2)
            self.assertEqual((refused.outcome, refused.reason, refused.value), ("rejected", 1, 9))
            self.assertEqual(client.get(asset).asset_version, 3)

    def test_many_updates_by_kernel_sockets_leave_both_nodes_equal(self):
        self.load(self.pair, "--updates", 20_000, "--outstanding", 64, "--reads", 10)
        client = self.python_client([SERVICE])
        results = client.call_many([standfast.Request(1600 + i % 50, SET, i64(i))
                                    for i in range(1000)], timeout=20)
        self.assertTrue(all(result.outcome == "ok" for result in results))
        self.assert_level(self.pair)


@unittest.skipIf(os.geteuid() != 0, "needs root for network namespaces")
class Takeover(lab.LabTest):
    """The service address goes with the role. A client that knows nothing else goes on: the kernel
    under it learns the new place from the new primary's gratuitous ARP."""

    def setUp(self):
        if network.exists():
            self.skipTest(f"another veth laboratory is up: {network.owner()}")
        self.pair = self.make_lab(transport="veth")
        self.wire = Wire(self)
        self.client = self.wire.open(lab.SEED << 8 | 3).client
        self.seq = 0
        self.value = 0

    def place(self, address=SERVICE_ADDRESS):
        """The MAC that the client's kernel has for an address; it is not asked to look anew."""
        table = subprocess.run([*network.enter(network.CLIENT), "ip", "neigh", "show", address],
                               capture_output=True, text=True, check=True).stdout.split()
        return table[table.index("lladdr") + 1] if "lladdr" in table else None

    def add(self):
        """One more update by the service address: (its request, the answer)."""
        self.seq += 1
        self.value += self.seq
        data = request(self.client, self.seq, 2000, ADD, i64(self.seq), first=max(1, self.seq - 8))
        answer = self.wire.ask(data)
        self.assertEqual((answer.status, answer.payload), (OK, i64(self.value)))
        return data, answer

    def moved(self, node):
        """Nothing was sent by the client meanwhile."""
        own = self.place(NODES[node.name]["address"])
        self.wait("gratuitous ARP", lambda: self.place() == own)

    def know_both(self):
        """The nodes' own addresses are in the kernel's table from here on."""
        for to in (A, B):
            self.wire.open(lab.SEED << 8 | 4, to)
        self.assertNotEqual(self.place(A[0]), self.place(B[0]))

    def repeat(self, data, answer):
        """Answered by the former primary: the new one gives the same answer, marked as a repeat."""
        again = self.wire.ask(data)
        self.assertEqual(again.identity(), answer.identity())
        self.assertEqual(again.flags & 1, 1)

    def test_primary_killed_then_a_kernel_socket_goes_on_by_the_service_address(self):
        self.know_both()
        for _ in range(20):
            data, answer = self.add()
        self.assertEqual(self.place(), self.place(A[0]))
        self.pair.a.kill()
        self.wait_status(self.pair.b, role="primary", mode="alone")
        self.moved(self.pair.b)
        self.repeat(data, answer)
        for _ in range(20):
            self.add()
        self.pair.a.start()
        self.pair.wait_paired()
        self.assertEqual(self.place(), self.place(B[0]))        # who comes back takes nothing
        data, answer = self.add()
        self.pair.b.kill()
        self.wait_status(self.pair.a, role="primary", mode="alone")
        self.moved(self.pair.a)
        self.repeat(data, answer)
        self.add()
        self.pair.b.start()
        self.pair.wait_paired()
        self.assert_level(self.pair)

    def test_switchover_under_load_then_everyone_goes_on(self):
        self.know_both()
        with network.inside(network.CLIENT):
            client = standfast.Client([SERVICE])
        self.addCleanup(client.close)
        bench = lab.Bench(self, self.pair, "--rate", 1000, "--duration", "3600s")
        for source, target in ((self.pair.a, self.pair.b), (self.pair.b, self.pair.a)):
            data, answer = self.add()
            self.assertEqual(client.add(2001, 5).outcome, "ok")
            run = subprocess.run([source.programs["standfast"], "switchover", "-c", source.config],
                                 capture_output=True, text=True, timeout=30)
            self.assertEqual(run.returncode, 0, run.stderr)
            self.wait("the role", target.is_primary)
            self.moved(target)
            self.repeat(data, answer)
            self.assertEqual(client.add(2001, 5).outcome, "ok")
            self.pair.wait_paired()
        self.assertTrue(bench.running())
        bench.stop()
        result = bench.check()
        print(f"two switchovers under load: longest gap {result['longest_gap_ns'] / 1e6:.0f} ms",
              flush=True)
        self.assertEqual(client.get(2001).value, 20)
        self.assert_level(self.pair)


if __name__ == "__main__":
    lab.main()
