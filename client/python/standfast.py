#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Python client of a Standfast pair: sessions, updates and reads over UDP, exactly once.

Standard library only, and written from the protocol page alone: it shares no code and no table with
the C client, so that the two check each other. Blocking and single-threaded.

    with Client("192.0.2.1:9400,192.0.2.2:9400") as client:
        result = client.add(7, 5)
        if result.outcome == "ok":
            print(result.value, result.sequence)

outcome of a Result:
    ok        applied exactly once, and safe
    rejected  the asset model refused it, exactly once (reason in .reason)
    refused   BAD_REQUEST or UNAUTHORIZED to the only copy that was sent: never applied
    not_sent  no copy has left: never applied
    unknown   copies were sent and nothing will tell what became of them: applied once or never

As a command: standfast.py --to HOST:PORT[,HOST:PORT] add 7 5
"""

import argparse
import dataclasses
import json
import os
import random
import select
import socket
import struct
import sys
import time

SCHEMA_ID = 0x5346
VERSION = 1
PORT = 9400
MAX_DATAGRAM = 1400
MAX_PAYLOAD = 1334
MAX_ANSWER = 1326

UPDATE_REQUEST, UPDATE_RESPONSE, OPEN_SESSION, SESSION_OPENED, CLOSE_SESSION = 1, 2, 3, 4, 5
STATUS_NAMES = ("OK", "REJECTED", "NOT_PRIMARY", "BUSY", "BAD_REQUEST", "FORGOTTEN",
                "UNAUTHORIZED", "OVERLOADED")
OK, REJECTED, NOT_PRIMARY, BUSY, BAD_REQUEST, FORGOTTEN, UNAUTHORIZED, OVERLOADED = range(8)
READ_ONLY = 1
REPEAT = 1
ADD, SET, GET, CAS = 1, 2, 3, 4

_HEADER = struct.Struct("<HHHH")
_REQUEST = struct.Struct("<QQQQBB6x")
_RESPONSE = struct.Struct("<QQQQIBB2xQ")
_OPEN = struct.Struct("<Q8x")
_OPENED = struct.Struct("<QQIBBH")
_CLOSE = struct.Struct("<Q")
_ANSWER_BLOCKS = {UPDATE_RESPONSE: _RESPONSE, SESSION_OPENED: _OPENED}
_SILENT_LIMIT = 2
_LEARNED_LIMIT = 4
_ASK_PAUSE = 0.1   # an address holds so long, whatever its TTL
_ASK_HOLD = 5.0    # and not longer: who asks again has found it to be of no use


class SessionError(Exception):
    """No session: refused, or none within the time that was given."""


class Broken(ValueError):
    """A datagram that cannot be read to its end; the argument is the reason."""


@dataclasses.dataclass
class Request:
    asset: int
    opcode: int
    payload: bytes = b""
    read_only: bool = False


@dataclasses.dataclass
class Result:
    outcome: str
    cause: str                 # answer, deadline, session, closed
    status: str = ""           # name of the last status heard, "" when none was
    asset: int = 0
    opcode: int = 0
    client_id: int = 0
    request_seq: int = 0
    sequence: int = 0
    epoch: int = 0
    asset_version: int = 0
    repeat: bool = False
    copies: int = 0
    payload: bytes = b""

    @property
    def value(self):
        """The i64 that the register model answers with, or None."""
        at = 2 if self.outcome == "rejected" else 0
        if self.outcome not in ("ok", "rejected") or len(self.payload) < at + 8:
            return None
        return struct.unpack_from("<q", self.payload, at)[0]

    @property
    def reason(self):
        """Why the asset model refused it, or None."""
        if self.outcome != "rejected" or len(self.payload) < 2:
            return None
        return struct.unpack_from("<H", self.payload)[0]

    def as_dict(self):
        found = dataclasses.asdict(self)
        found["payload"] = self.payload.hex()
        found["value"] = self.value
        found["reason"] = self.reason
        return found


def pack_message(template, block, payload=b"", *, schema=SCHEMA_ID, version=VERSION):
    """One message with its header; nothing is checked, tests send broken ones too."""
    return (_HEADER.pack(len(block), template, schema, version) + block
            + struct.pack("<H", len(payload)) + payload)


def pack_request(client_id, seq, first, asset, opcode, payload=b"", flags=0):
    return pack_message(
        UPDATE_REQUEST, _REQUEST.pack(client_id, seq, first, asset, opcode, flags), payload)


def pack_open(nonce, payload=b""):
    return pack_message(OPEN_SESSION, _OPEN.pack(nonce), payload)


def pack_close(client_id):
    return pack_message(CLOSE_SESSION, _CLOSE.pack(client_id))


def unpack_messages(datagram):
    """Yields (template, block, payload) of each message; raises Broken where it cannot go on."""
    at = 0
    while at < len(datagram):
        if len(datagram) - at < _HEADER.size:
            raise Broken("short_header")
        block_bytes, template, schema, version = _HEADER.unpack_from(datagram, at)
        if schema != SCHEMA_ID or version == 0:
            raise Broken("wrong_schema")
        block_at = at + _HEADER.size
        length_at = block_at + block_bytes
        if length_at + 2 > len(datagram):
            raise Broken("truncated")
        end = length_at + 2 + struct.unpack_from("<H", datagram, length_at)[0]
        if end > len(datagram):
            raise Broken("truncated")
        yield template, datagram[block_at:length_at], datagram[length_at + 2:end]
        at = end


def unpack_response(block):
    names = ("client_id", "request_seq", "asset", "sequence", "epoch", "status", "flags",
             "asset_version")
    return dict(zip(names, _RESPONSE.unpack_from(block)))


def unpack_opened(block):
    names = ("nonce", "client_id", "epoch", "status", "flags", "max_inflight")
    return dict(zip(names, _OPENED.unpack_from(block)))


def split_nodes(text):
    """ "HOST[:PORT],…" as a list of (host, port)."""
    found = []
    for one in text.split(","):
        host, _, port = one.strip().partition(":")
        number = int(port) if port else PORT
        if not host or not 0 < number < 65536:
            raise ValueError(f"not HOST:PORT: {one!r}")
        found.append((host, number))
    return found


def is_address(host):
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return host.count(".") == 3


def read_addresses(answer, query):
    """(addresses, lowest TTL) of a DNS answer to this query; None: it is no answer to it, or the server
    could not say."""
    try:
        number, flags, _, count = struct.unpack_from(">4H", answer)
        if answer[:2] != query[:2] or not flags & 0x8000 or flags & 0x0200 \
                or flags & 15 not in (0, 3) or answer[12:len(query)] != query[12:]:
            return None
        at, found, ttls = len(query), [], []
        for _ in range(count):
            while answer[at] and answer[at] < 0xc0:
                at += 1 + answer[at]
            at += 2 if answer[at] else 1
            kind, group, ttl, length = struct.unpack_from(">HHIH", answer, at)
            at += 10 + length
            if at > len(answer):
                return None
            if (kind, group, length) == (1, 1, 4):
                found.append(socket.inet_ntoa(answer[at - 4:at]))
                ttls.append(ttl)
        return found, min(ttls, default=0)
    except (struct.error, IndexError):
        return None


class Resolver:
    """Asks for the address of a name: of the servers "ADDRESS[:PORT],…", one A query over UDP, or, without
    any, of the system."""

    patience = 0.2

    def __init__(self, servers=None):
        servers = servers or os.environ.get("STANDFAST_RESOLVER")
        self.servers = [(host, int(port or 53)) for host, _, port in
                        (one.strip().partition(":") for one in servers.split(","))] \
            if servers else []
        if not all(is_address(host) and 0 < port < 65536 for host, port in self.servers):
            raise ValueError(f"not ADDRESS:PORT: {servers!r}")

    def ask(self, host, tries=None):
        """(addresses, how long they hold in seconds); no address when nobody knows any. tries: how many
        servers are asked, 0.2 s each; None: all, twice. Whoever asks again was not helped, so
        each query goes to the next server: two nodes that have lost each other differ."""
        if is_address(host):
            return [host], float("inf")
        if not self.servers:
            try:
                found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_DGRAM)
            except OSError:
                return [], 0.0
            return list(dict.fromkeys(one[4][0] for one in found)), 1.0
        for _ in range(tries or 2 * len(self.servers)):
            self.servers.append(self.servers.pop(0))
            answer = self._ask(self.servers[-1], host)
            if answer and answer[0]:
                return answer
        return [], 0.0

    def _ask(self, server, host):
        labels = [one.encode("ascii") for one in host.rstrip(".").split(".")]
        if not all(0 < len(one) < 64 for one in labels):
            return None
        query = os.urandom(2) + b"\x01\0\0\x01\0\0\0\0\0\0" + b"".join(
            bytes([len(one)]) + one for one in labels) + b"\0\0\x01\0\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            end = time.monotonic() + self.patience
            try:
                asker.connect(server)
                asker.send(query)
                while (left := end - time.monotonic()) > 0:
                    asker.settimeout(left)
                    answer = asker.recv(4096)
                    if answer[:2] == query[:2]:
                        return read_addresses(answer, query)
            except OSError:
                pass        # nobody listens there, or nobody answers
        return None


class _Call:
    """One request on its way to an outcome."""

    def __init__(self, request, deadline):
        self.request = request
        self.deadline = deadline
        self.seq = 0
        self.copies = 0
        self.attempts = 0
        self.due = 0.0
        self.sent_at = 0.0
        self.sent_to = None
        self.awaiting = False
        self.status = ""
        self.result = None


class Client:
    """One session at a time with the primary of a pair; see the module's text.

    nodes: "HOST:PORT,…" or a list of (ip, port). A name is asked for again when no known node answers
    as a primary, not before its TTL is over; resolver: the name servers to ask, "ADDRESS:PORT,…",
    else those of $STANDFAST_RESOLVER, else the system. Times are in seconds. window: how many requests
    call_many keeps on the way (never more than the session's maxInflight). batch: most requests in
    one datagram. session_idle: after such a pause a new session is opened first, because the node
    may have closed the old one. After the constructor a session is open.
    """

    def __init__(self, nodes, *, timeout=5.0, window=64, batch=1000, retry_min=0.02,
                 retry_max=1.0, session_idle=1800.0, connect=True, resolver=None):
        self._resolver = Resolver(resolver)
        self._names, self._ask_at, self._lost = [], 0.0, False
        self._configured = self._find(nodes) if isinstance(nodes, str) else list(nodes)
        if not self._configured:
            raise ValueError("no node")
        self._learned = []
        self.node = self._configured[0]
        self._rotation = 0
        self.epoch = 0
        self._refusals = 0
        self._silent = 0
        self._heard_at = -1.0
        self._random = random.SystemRandom()
        self.timeout = timeout
        self._window, self._batch = window, batch
        self._retry_min, self._retry_max = retry_min, retry_max
        self._session_idle = session_idle
        self.counters = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("0.0.0.0", 0))
        self._socket.setblocking(False)
        self._queue = []   # calls without a requestSeq
        self._flight = {}  # requestSeq -> call
        self._hold = self._fresh = 0.0
        self._new_session(time.monotonic())
        if connect:
            try:
                self.open()
            except BaseException:
                self._socket.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- what the caller does ----

    def open(self, timeout=None):
        """Waits for a session; SessionError when it is refused or none comes in time."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while self.client_id == 0:
            if self._refused:
                raise SessionError(f"session refused: {self._refused}")
            if time.monotonic() >= deadline:
                raise SessionError("no session within the time given")
            self._turn(deadline)
        return self.client_id

    def close(self):
        """Says CloseSession (once, it is not answered) and closes the socket."""
        if self._socket.fileno() < 0:
            return
        if self.client_id:
            self._send(pack_close(self.client_id))
        self._socket.close()

    def call_many(self, requests, timeout=None):
        """Sends all requests, many in flight, and returns their results in the given order."""
        seconds = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        calls = [_Call(request, deadline) for request in requests]
        for request in requests:
            if len(request.payload) > MAX_PAYLOAD:
                raise ValueError("payload too long")
        self._queue.extend(calls)
        while any(call.result is None for call in calls):
            self._turn(deadline)
        return [call.result for call in calls]

    def call(self, asset, opcode, payload=b"", read_only=False, timeout=None):
        return self.call_many([Request(asset, opcode, payload, read_only)], timeout)[0]

    def add(self, asset, delta, **more):
        return self.call(asset, ADD, struct.pack("<q", delta), **more)

    def set(self, asset, value, **more):
        return self.call(asset, SET, struct.pack("<q", value), **more)

    def get(self, asset, **more):
        return self.call(asset, GET, b"", True, **more)

    def cas(self, asset, expected, new, **more):
        return self.call(asset, CAS, struct.pack("<qq", expected, new), **more)

    def send_raw(self, datagram, to=None):
        """For tests: any bytes to the current node, or to another address."""
        self._socket.sendto(datagram, to or self.node)

    def receive_raw(self, timeout=1.0):
        """For tests: (datagram, sender) as it came, past the client's own reading; or None."""
        if not select.select([self._socket], [], [], timeout)[0]:
            return None
        return self._socket.recvfrom(65536)

    # ---- time and what goes out ----

    def _count(self, name):
        self.counters[name] = self.counters.get(name, 0) + 1

    def _pause(self, attempts):
        """Half to all of an exponentially growing pause."""
        full = min(self._retry_max, self._retry_min * 2 ** min(max(attempts - 1, 0), 30))
        return full * (0.5 + self._random.random() / 2)

    def _new_session(self, now):
        self.client_id = 0
        self.max_inflight = 0
        self._nonce = self._random.randrange(1, 1 << 64)
        self._refused = ""
        self._open_due = now
        self._open_attempts = 0
        self._open_sent = (None, 0.0)
        self._open_awaiting = False
        self._next_seq = 1
        self._used_at = now

    def _first_incomplete(self):
        return min(self._flight, default=self._next_seq)

    def _turn(self, deadline):
        """Sends what is due, then waits for datagrams, the next due time or the deadline."""
        now = time.monotonic()
        self._expire(now)
        self._follow_names(now)
        now = time.monotonic()      # a name server may have kept us waiting
        self._write(now)
        wait = max(0.0, min(deadline, self._next_due(now)) - time.monotonic())
        if select.select([self._socket], [], [], wait)[0]:
            self._read_all()
        self._expire(time.monotonic())

    def _next_due(self, now):
        if self.client_id == 0:
            due = [max(self._open_due, self._hold)] if not self._refused else []
        else:
            due = [max(call.due, self._hold) for call in self._flight.values()]
            if self._queue and self._has_room():
                due.append(max(self._fresh, self._hold))
        due += [call.deadline for call in self._queue]
        due += [call.deadline for call in self._flight.values()]
        if self._lost and self._names:
            due.append(self._ask_at)
        return min(due, default=now + 1.0)

    def _has_room(self):
        limit = min(self._window, self.max_inflight)
        return self._next_seq - self._first_incomplete() < limit

    def _expire(self, now):
        for call in [c for c in self._flight.values() if c.deadline <= now]:
            # Given up: it is never sent again, so firstIncompleteSeq may pass it.
            self._finish(call, "unknown", "deadline")
        for call in [c for c in self._queue if c.deadline <= now or self._refused]:
            self._queue.remove(call)
            call.status = self._refused
            self._finish(call, "not_sent", "session" if self._refused else "deadline")

    def _write(self, now):
        if (self.client_id and self._queue and not self._flight
                and now - self._used_at > self._session_idle):
            self._new_session(now)
        if self._refused:
            return
        if self.client_id == 0:
            self._write_open(now)
            return
        for call in self._flight.values():
            if call.awaiting and call.due <= now:
                call.awaiting = False
                self._timed_out(call.sent_to, call.sent_at)
        if now < self._hold:
            return
        due = [call for _, call in sorted(self._flight.items()) if call.due <= now]
        while self._queue and self._fresh <= now and self._has_room():
            call = self._queue.pop(0)
            call.seq = self._next_seq
            self._next_seq += 1
            self._flight[call.seq] = call
            due.append(call)
        self._send_copies(due, now)

    def _write_open(self, now):
        if now < self._open_due:
            return
        if self._open_awaiting:
            self._open_awaiting = False
            self._timed_out(*self._open_sent)
        if now < self._hold:
            return
        self._send(pack_open(self._nonce))
        self._open_attempts += 1
        self._open_sent = (self.node, now)
        self._open_awaiting = True
        self._open_due = now + self._pause(self._open_attempts)

    def _send_copies(self, calls, now):
        datagram, count = b"", 0
        for call in calls:
            request = call.request
            message = pack_request(
                self.client_id, call.seq, self._first_incomplete(), request.asset,
                request.opcode, request.payload, READ_ONLY if request.read_only else 0)
            if datagram and (len(datagram) + len(message) > MAX_DATAGRAM or count == self._batch):
                self._send(datagram)
                datagram, count = b"", 0
            datagram += message
            count += 1
            call.copies += 1
            call.attempts += 1
            call.awaiting = True
            call.sent_at, call.sent_to = now, self.node
            call.due = now + self._pause(call.attempts)
            self._used_at = now
            self._count("requests_sent")
        if datagram:
            self._send(datagram)

    def _send(self, datagram):
        try:
            self._socket.sendto(datagram, self.node)
            self._count("datagrams_sent")
        except OSError:
            self._count("send_errors")  # as good as lost, and repeated as such

    # ---- which node ----

    def _move(self, node):
        if node != self.node:
            self._count("moves")
        self.node = node
        self._silent = 0
        self._heard_at = -1.0

    def _find(self, text):
        """All addresses of all nodes; what is a name is kept, to be asked for again."""
        found = []
        for host, port in split_nodes(text):
            addresses, holds = self._resolver.ask(host)
            if not is_address(host):
                self._names.append((host, port))
                self._ask_at = time.monotonic() + max(min(holds, _ASK_HOLD), _ASK_PAUSE)
            found += [(one, port) for one in addresses if (one, port) not in found]
        if not found:
            # A name without an address now is asked for later, when other nodes have one.
            raise OSError(f"{text}: no address")
        return found

    def _follow_names(self, now):
        """No node answers as a primary: a name server may know who does."""
        if not self._lost or not self._names or now < self._ask_at:
            return
        self._names.append(self._names.pop(0))
        host, port = self._names[0]
        addresses, holds = self._resolver.ask(host, 1)
        self._count("lookups")
        # From the end of the question: one that fails has taken longer than the pause.
        self._ask_at = time.monotonic() + max(min(holds, _ASK_HOLD), _ASK_PAUSE)
        if not addresses:
            return
        node = addresses[self.counters["lookups"] % len(addresses)], port
        if node != self.node:
            self._learn(node)
            self._move(node)
            self._hold = 0.0

    def _learn(self, node):
        if node not in self._configured and node not in self._learned:
            self._learned = self._learned[-(_LEARNED_LIMIT - 1):] + [node]

    def _rotate(self):
        self._lost = True
        for _ in self._configured:
            self._rotation = (self._rotation + 1) % len(self._configured)
            if self._configured[self._rotation] != self.node:
                break
        self._move(self._configured[self._rotation])

    def _timed_out(self, node, sent_at):
        """A copy was not answered; two in a row without a sign of the node, and we ask another."""
        if node == self.node and self._heard_at < sent_at:
            self._silent += 1
            if self._silent >= _SILENT_LIMIT:
                self._rotate()

    def _heard(self, sender, epoch, now):
        """Returns (newer, stale): how the answer's epoch stands to those seen before."""
        newer, stale = epoch > self.epoch, epoch < self.epoch
        self.epoch = max(self.epoch, epoch)
        if sender == self.node:
            self._heard_at, self._silent = now, 0
        return newer, stale

    def _not_primary(self, sender, newer, hint, now):
        """A node says that it is not in charge. A hint comes here only when its epoch is not lower
        than the highest seen: a deposed node would send us in circles."""
        self._count("not_primary")
        if sender != self.node and not (newer and hint):
            return
        if hint and hint != self.node:
            self._learn(hint)
            self._move(hint)
            # Only the first redirect since a useful answer is followed without a pause.
            self._hold = 0.0 if self._refusals == 0 else now + self._pause(self._refusals + 1)
            self._refusals += 1
        elif sender == self.node:
            self._refusals += 1
            self._rotate()
            self._hold = now + self._pause(self._refusals)

    def _hint(self, payload):
        if len(payload) == 6 and payload[:4] != bytes(4) and payload[4:] != bytes(2):
            return socket.inet_ntoa(payload[:4]), struct.unpack_from("<H", payload, 4)[0]
        if payload:
            self._count("bad_value")
        return None

    # ---- what comes in ----

    def _read_all(self):
        while True:
            try:
                datagram, sender = self._socket.recvfrom(65536)
            except OSError:
                return
            self._read(datagram, sender, time.monotonic())

    def _read(self, datagram, sender, now):
        if len(datagram) > MAX_DATAGRAM:
            return self._count("oversize")
        if sender not in self._configured and sender not in self._learned:
            return self._count("foreign_source")
        try:
            for template, block, payload in unpack_messages(datagram):
                known = _ANSWER_BLOCKS.get(template)
                if known is None:
                    self._count("not_an_answer")
                    continue
                if len(block) < known.size:
                    raise Broken("short_block")
                if template == UPDATE_RESPONSE:
                    self._read_response(unpack_response(block), payload, sender, now)
                else:
                    self._read_opened(unpack_opened(block), payload, sender, now)
        except Broken as broken:
            self._count(broken.args[0])
        return None

    def _read_opened(self, answer, payload, sender, now):
        if answer["nonce"] != self._nonce:
            return self._count("foreign_session")
        if self.client_id or self._refused:
            return self._count("duplicate")
        status = answer["status"]
        newer, stale = self._heard(sender, answer["epoch"], now)
        hint = None
        if stale and status != OK:
            self._count("stale_epoch")
            status = NOT_PRIMARY
        elif status == NOT_PRIMARY:
            hint = self._hint(payload)
        if status == OK and answer["client_id"] and answer["max_inflight"]:
            self._refusals, self._lost = 0, False
            self.client_id, self.max_inflight = answer["client_id"], answer["max_inflight"]
            self._used_at = now
            self._hold = self._fresh = 0.0
            self._count("sessions_opened")
        elif status == NOT_PRIMARY:
            if self._open_sent[0] == sender:
                self._open_awaiting, self._open_due = False, now
            self._not_primary(sender, newer, hint, now)
        elif status == BUSY:
            self._count("busy")
            self._open_awaiting = False
            self._open_due = now + self._pause(self._open_attempts)
        elif status in (BAD_REQUEST, UNAUTHORIZED):
            self._refused = STATUS_NAMES[status]
        else:
            self._count("bad_value")
        return None

    def _read_response(self, answer, payload, sender, now):
        status, seq = answer["status"], answer["request_seq"]
        if status > OVERLOADED or len(payload) > MAX_ANSWER:
            return self._count("bad_value")
        if self.client_id == 0 or answer["client_id"] != self.client_id:
            return self._count("foreign_session")
        if not 0 < seq < self._next_seq:
            return self._count("never_asked")
        newer, stale = self._heard(sender, answer["epoch"], now)
        call = self._flight.get(seq)
        if call is None:
            return self._count("duplicate")
        hint = None
        if stale and status not in (OK, REJECTED):
            # OK of an old primary that comes late is true: the entry was committed. Anything else
            # that it says is about a node that is no longer in charge.
            self._count("stale_epoch")
            status = NOT_PRIMARY
        else:
            call.status = STATUS_NAMES[status]
            if status == NOT_PRIMARY:
                hint = self._hint(payload)
        if status == NOT_PRIMARY:
            if call.sent_to == sender:
                call.awaiting, call.due = False, now
            self._not_primary(sender, newer, hint, now)
            return None
        self._refusals, self._lost = 0, False
        if status in (BUSY, OVERLOADED):
            self._count(STATUS_NAMES[status].lower())
            call.awaiting = False
            call.due = now + self._pause(call.attempts)
            self._fresh = max(self._fresh, call.due)
        elif status == FORGOTTEN:
            self._count("forgotten")
            for lost in list(self._flight.values()):
                self._finish(lost, "unknown", "session")
            self._new_session(now)
        else:
            self._finish_answered(call, status, answer, payload)
        return None

    def _finish_answered(self, call, status, answer, payload):
        if status in (OK, REJECTED):
            outcome = "ok" if status == OK else "rejected"
        else:
            # Speaks of this copy only; an earlier one may have been applied.
            sure = call.copies == 1 or call.request.read_only
            outcome = "refused" if sure else "unknown"
        self._finish(
            call, outcome, "answer", sequence=answer["sequence"], epoch=answer["epoch"],
            asset_version=answer["asset_version"], repeat=bool(answer["flags"] & REPEAT),
            payload=payload)

    def _finish(self, call, outcome, cause, **more):
        self._flight.pop(call.seq, None)
        self._count("results")
        if outcome == "unknown":
            self._count("unknown")
        call.result = Result(
            outcome, cause, status=call.status, asset=call.request.asset,
            opcode=call.request.opcode, client_id=self.client_id if call.seq else 0,
            request_seq=call.seq, copies=call.copies, **more)


# ---- as a command ----

def _number(text):
    return int(text, 0)


def _arguments(argv):
    parser = argparse.ArgumentParser(description="One update or read on a Standfast pair.")
    parser.add_argument("--to", required=True, metavar="HOST:PORT[,HOST:PORT]")
    parser.add_argument("--resolver", metavar="ADDRESS:PORT[,…]",
                        help="name servers for the hosts of --to, instead of the system's")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument("--json", action="store_true")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, operands in (("add", ("asset", "delta")), ("set", ("asset", "value")),
                           ("get", ("asset",)), ("cas", ("asset", "expected", "new"))):
        verb = verbs.add_parser(name)
        for operand in operands:
            verb.add_argument(operand, type=_number)
    call = verbs.add_parser("call", help="any opcode of any asset model")
    call.add_argument("asset", type=_number)
    call.add_argument("opcode", type=_number)
    call.add_argument("payload", nargs="?", default=b"", type=bytes.fromhex, metavar="HEX")
    call.add_argument("--read-only", action="store_true")
    raw = verbs.add_parser("raw", help="send a datagram as it is, print what comes back")
    raw.add_argument("datagram", type=bytes.fromhex, metavar="HEX")
    return parser.parse_args(argv)


def _run_verb(client, options):
    if options.verb == "add":
        return client.add(options.asset, options.delta)
    if options.verb == "set":
        return client.set(options.asset, options.value)
    if options.verb == "get":
        return client.get(options.asset)
    if options.verb == "cas":
        return client.cas(options.asset, options.expected, options.new)
    return client.call(options.asset, options.opcode, options.payload, options.read_only)


def _line(result):
    parts = [result.outcome]
    if result.value is not None:
        parts.append(f"value {result.value}")
    elif result.payload:
        parts.append(f"payload {result.payload.hex()}")
    if result.reason is not None:
        parts.append(f"reason {result.reason}")
    if result.outcome in ("ok", "rejected"):
        parts.append(f"sequence {result.sequence} version {result.asset_version} "
                     f"epoch {result.epoch}")
        if result.repeat:
            parts.append("repeat")
    else:
        parts.append(f"cause {result.cause} status {result.status or 'none'}")
    return ", ".join(parts)


def main(argv=None):
    options = _arguments(argv)
    try:
        if options.verb == "raw":
            client = Client(options.to, connect=False, resolver=options.resolver)
            client.send_raw(options.datagram)
            got = client.receive_raw(options.timeout)
            client.close()
            print(got[0].hex() if got else "nothing")
            return 0 if got else 1
        with Client(options.to, timeout=options.timeout, resolver=options.resolver) as client:
            result = _run_verb(client, options)
    except (SessionError, OSError, ValueError, struct.error) as error:
        if options.json:
            print(json.dumps({"outcome": "not_sent", "error": str(error)}))
        else:
            print(f"standfast.py: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result.as_dict()) if options.json else _line(result))
    return 0 if result.outcome == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
