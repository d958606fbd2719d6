#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A reference model of a Standfast pair, for tests only. It is NOT a product node.

An oracle for the client protocol with the register model: plain dictionaries, one process, no
replication, no log, no speed. It is written from the protocol page and shares no code with the
node or with either client. "Both nodes" are two UDP sockets in front of one state, so a takeover
loses nothing by construction: what is tested against it is the clients, and what a node's answers
are compared with is `Pair.handle`.

As a command it serves until its standard input ends, or until it is killed:
    reference_node.py [--ports N,N] [--lose P] [--repeat P] [--seed N] [--takeover-every N]
and prints "ready PORT PORT" once both sockets are bound.
"""

import argparse
import random
import select
import socket
import struct
import sys

SCHEMA, MAX_PAYLOAD = 0x5346, 256
STATUS = {name: number for number, name in enumerate(
    "OK REJECTED NOT_PRIMARY BUSY BAD_REQUEST FORGOTTEN UNAUTHORIZED OVERLOADED".split())}
I64 = range(-(1 << 63), 1 << 63)
OPCODES = {1: "add", 2: "set", 3: "get", 4: "cas"}


class Asset:
    def __init__(self):
        self.value, self.version, self.last_sequence = 0, 0, 0


class Session:
    def __init__(self, nonce):
        self.nonce = nonce
        self.first = 1      # highest firstIncompleteSeq of a sequenced request
        self.answers = {}   # requestSeq -> (status, sequence, version, payload)


class Pair:
    """The state both nodes share, and who of them is primary."""

    def __init__(self, max_inflight=64, max_sessions=4096):
        self.epoch, self.primary, self.blocked = 1, 0, False
        self.max_inflight, self.max_sessions = max_inflight, max_sessions
        self.sequence = 0
        self.sessions, self.assets = {}, {}
        self.addresses = [None, None]
        self.history = []    # (sequence, clientId, requestSeq, asset, opcode, payload, status)
        self.busy_next = 0   # so many requests get BUSY
        self.dropped = 0

    def take_over(self):
        """The other node becomes primary, in a higher epoch."""
        self.primary ^= 1
        self.epoch += 1

    def close_session(self, client_id):
        if self.sessions.pop(client_id, None) is not None:
            self.sequence += 1

    # ---- framing ----

    def handle(self, node, datagram):
        """All answers to one datagram at node 0 or 1, each as the bytes of one message."""
        answers, at = [], 0
        if len(datagram) > 1400:
            self.dropped += 1
            return answers
        while at < len(datagram):
            rest = datagram[at:]
            if len(rest) < 8:
                self.dropped += 1
                break
            block_bytes, template, schema, version = struct.unpack("<4H", rest[:8])
            if schema != SCHEMA or version == 0:
                self.dropped += 1
                break
            if len(rest) < 10 + block_bytes:
                self.dropped += 1
                self._refuse_broken(answers, template, rest[8:])
                break
            payload_bytes, = struct.unpack_from("<H", rest, 8 + block_bytes)
            end = 10 + block_bytes + payload_bytes
            if len(rest) < end:
                self.dropped += 1
                self._refuse_broken(answers, template, rest[8:8 + block_bytes])
                break
            block, payload = rest[8:8 + block_bytes], rest[10 + block_bytes:end]
            if not self._message(node, template, block, payload, answers):
                self.dropped += 1
                self._refuse_broken(answers, template, block)
            at += end
        return answers

    def _refuse_broken(self, answers, template, block):
        if template in (1, 2) and len(block) >= 16:
            client, seq = struct.unpack_from("<QQ", block)
            answers.append(self._response(client, seq, 0, "BAD_REQUEST"))

    def _message(self, node, template, block, payload, answers):
        if template == 1 and len(block) >= 40:
            answers.append(self._update(node, block, payload))
        elif template == 3 and len(block) >= 16:
            answers.append(self._open(node, block, payload))
        elif template == 5 and len(block) >= 8:
            if node == self.primary and not self.blocked:
                self.close_session(struct.unpack_from("<Q", block)[0])
        else:
            return False
        return True

    def _response(self, client, seq, asset, status, *, sequence=0, version=0, payload=b"",
                  repeat=False):
        number = STATUS[status] if isinstance(status, str) else status
        return (struct.pack("<4H", 48, 2, SCHEMA, 1)
                + struct.pack("<QQQQIBBHQ", client, seq, asset, sequence, self.epoch, number,
                              int(repeat), 0, version)
                + struct.pack("<H", len(payload)) + payload)

    def _hint(self, node):
        """What a node that may not serve says: the primary's address, or nothing."""
        address = self.addresses[self.primary]
        if node == self.primary or self.blocked or address is None:
            return b""
        return socket.inet_aton(address[0]) + struct.pack("<H", address[1])

    def _serves(self, node):
        return node == self.primary and not self.blocked

    # ---- sessions ----

    def _open(self, node, block, payload):
        nonce, = struct.unpack_from("<Q", block)

        def answer(status, client=0, more=b""):
            return (struct.pack("<4H", 24, 4, SCHEMA, 1)
                    + struct.pack("<QQIBBH", nonce, client, self.epoch, STATUS[status], 0,
                                  self.max_inflight if client else 0)
                    + struct.pack("<H", len(more)) + more)

        if not self._serves(node):
            return answer("NOT_PRIMARY", more=self._hint(node))
        if nonce == 0 or payload or any(block[8:16]):
            return answer("BAD_REQUEST")
        for client, session in self.sessions.items():
            if session.nonce == nonce:
                return answer("OK", client)
        if self.busy_next > 0 or len(self.sessions) >= self.max_sessions:
            self.busy_next = max(0, self.busy_next - 1)
            return answer("BUSY")
        self.sequence += 1
        client = (self.epoch & 0xffff) << 48 | self.sequence
        self.sessions[client] = Session(nonce)
        return answer("OK", client)

    # ---- updates and reads ----

    def _update(self, node, block, payload):
        client, seq, first, asset_id, opcode, flags = struct.unpack_from("<QQQQBB", block)

        def plain(status, more=b""):
            return self._response(client, seq, asset_id, status, payload=more)

        if not self._serves(node):
            return plain("NOT_PRIMARY", self._hint(node))
        read_only = flags == 1
        known = OPCODES.get(opcode)
        if (not 1 <= first <= seq or flags > 1 or any(block[34:40])
                or len(payload) > MAX_PAYLOAD or (known and read_only != (known == "get"))):
            return plain("BAD_REQUEST")
        session = self.sessions.get(client)
        if session is None or seq < session.first:
            return plain("FORGOTTEN")
        if seq in session.answers:
            status, sequence, version, kept = session.answers[seq]
            return self._response(client, seq, asset_id, status, sequence=sequence,
                                  version=version, payload=kept, repeat=True)
        if seq - max(first, session.first) >= self.max_inflight:
            return plain("OVERLOADED")
        if self.busy_next > 0:
            self.busy_next -= 1
            return plain("BUSY")
        if read_only:
            asset = self.assets.get(asset_id, Asset())
            status, result = self._apply(asset, known, payload)
            return self._response(client, seq, asset_id, status, version=asset.version,
                                  payload=result)
        self.sequence += 1
        asset = self.assets.setdefault(asset_id, Asset())
        status, result = self._apply(asset, known, payload)
        if status == "OK":
            asset.version += 1
            asset.last_sequence = self.sequence
        if first > session.first:
            session.first = first
            for old in [s for s in session.answers if s < first]:
                del session.answers[old]
        session.answers[seq] = (status, self.sequence, asset.version, result)
        self.history.append((self.sequence, client, seq, asset_id, opcode, payload, status))
        return self._response(client, seq, asset_id, status, sequence=self.sequence,
                              version=asset.version, payload=result)

    @staticmethod
    def _apply(asset, known, payload):
        """The register model: (status, answer payload)."""
        length = {"add": 8, "set": 8, "get": 0, "cas": 16}.get(known)
        if length is None or len(payload) != length:
            return "REJECTED", struct.pack("<H", 3)
        operands = struct.unpack(f"<{length // 8}q", payload)
        if known == "get":
            return "OK", struct.pack("<qQ", asset.value, asset.last_sequence)
        if known == "add":
            if asset.value + operands[0] not in I64:
                return "REJECTED", struct.pack("<H", 2)
            asset.value += operands[0]
        elif known == "set":
            asset.value = operands[0]
        else:
            if asset.value != operands[0]:
                return "REJECTED", struct.pack("<Hq", 1, asset.value)
            asset.value = operands[1]
        return "OK", struct.pack("<q", asset.value)


class Server:
    """Two sockets on the loopback address in front of a Pair, with a lossy network between."""

    def __init__(self, pair=None, ports=(0, 0), lose=0.0, repeat=0.0, seed=1, takeover_every=0):
        self.pair = pair or Pair()
        self.lose, self.repeat, self.takeover_every = lose, repeat, takeover_every
        self.random = random.Random(seed)
        self.received = 0
        self.late = []
        self.sockets = []
        for node, port in enumerate(ports):
            end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            end.bind(("127.0.0.1", port))
            self.pair.addresses[node] = end.getsockname()
            self.sockets.append(end)

    def close(self):
        for end in self.sockets:
            end.close()

    def _deliver(self, node, datagram, sender):
        for _ in range(2 if self.random.random() < self.repeat else 1):
            for answer in self.pair.handle(node, datagram):
                for _ in range(2 if self.random.random() < self.repeat else 1):
                    if self.random.random() >= self.lose:
                        self.sockets[node].sendto(answer, sender)

    def serve_some(self, timeout, extra=()):
        """Serves what comes within one wait; returns those of extra that can be read."""
        ready = select.select([*self.sockets, *extra], [], [], timeout)[0]
        for node, end in enumerate(self.sockets):
            if end not in ready:
                continue
            datagram, sender = end.recvfrom(65536)
            self.received += 1
            if self.takeover_every and self.received % self.takeover_every == 0:
                self.pair.take_over()
            if self.random.random() < self.lose:
                continue
            # A copy that strays: it is delivered again when a few others have passed.
            if self.random.random() < self.repeat:
                self.late.append((self.received + self.random.randrange(1, 20), node, datagram,
                                  sender))
            self._deliver(node, datagram, sender)
            for one in [x for x in self.late if x[0] <= self.received]:
                self.late.remove(one)
                self._deliver(*one[1:])
        return [x for x in extra if x in ready]


def main():
    parser = argparse.ArgumentParser(description="Reference pair for tests (not a product node).")
    parser.add_argument("--ports", default="0,0")
    parser.add_argument("--lose", type=float, default=0.0)
    parser.add_argument("--repeat", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--takeover-every", type=int, default=0)
    options = parser.parse_args()
    server = Server(None, [int(p) for p in options.ports.split(",")], options.lose,
                    options.repeat, options.seed, options.takeover_every)
    print("ready", *(a[1] for a in server.pair.addresses), flush=True)
    try:
        while True:
            if server.serve_some(1.0, [sys.stdin]) and not sys.stdin.buffer.read1(4096):
                break
    except KeyboardInterrupt:
        pass
    server.close()


if __name__ == "__main__":
    main()
