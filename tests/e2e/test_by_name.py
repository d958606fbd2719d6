#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A real pair by its name: dig, and a resolver that keeps answers for their TTL, follow a primary
that is killed, one that is handed over, and a node whose dataplane is gone.
"""
import json
import shutil
import signal
import socket
import subprocess
import time
import unittest

import lab
import standfast

NAME = "pair1.lab.test"
INTERVAL_S = 0.1        # routing.health_interval
TTL_S = 1
# For this machine: a status that is asked by a process, and a dig, each of them a process.
SLACK_S = 1.0
ADDRESS = {"a": "10.77.0.1", "b": "10.77.0.2"}


def free_ports():
    """Two in a row."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def ask(port):
    """(address or status, ttl) by one dig; ("", 0): nobody answers."""
    text = subprocess.run(
        ["dig", "-r", "@127.0.0.1", "-p", str(port), "+tries=1", "+time=1", "+norecurse", NAME],
        capture_output=True, text=True, timeout=20, check=False).stdout
    for line in text.splitlines():
        words = line.split()
        if words[3:4] == ["A"] and not line.startswith(";"):
            return words[4], int(words[1])
    return (text.split("status: ")[1].split(",")[0] if "status: " in text else ""), 0


class Resolver:
    """Keeps an answer for its TTL; asks the next server when one has none (RFC 1034, 5.3.3)."""

    def __init__(self, *ports, keeps=True):
        self.ports, self.keeps = ports, keeps
        self.address, self.until = None, 0.0

    def resolve(self):
        if time.monotonic() < self.until:
            return self.address
        for port in self.ports:
            asked = time.monotonic()
            address, ttl = ask(port)
            if "." in address:
                self.address = address
                self.until = asked + (ttl if self.keeps else 3600)
                return address
        return None


@unittest.skipUnless(shutil.which("dig"), "no dig here (deploy/install-deps test)")
class ByName(lab.LabTest):
    exit_codes = (-signal.SIGKILL,)

    def up(self, **options):
        self.port = {"a": free_ports()}
        self.port["b"] = self.port["a"] + 1
        self.pair = self.make_lab(names_port=self.port["a"], names_ttl=f"{TTL_S} s", **options)

    def both(self):
        primary = self.pair.wait_primary()
        return primary, self.pair.nodes["b" if primary.name == "a" else "a"]


class Names(ByName):
    def setUp(self):
        self.up()

    def wait_names(self, servers, expected):
        for server in servers:
            self.wait(f"{expected} from {server}",
                      lambda server=server: ask(self.port[server])[0] == expected, 10)

    def follows(self, resolver, node):
        """How long after this node became primary the resolver says so."""
        self.wait(f"{node.name} as primary", node.is_primary, 30)
        begin = time.monotonic()
        wanted = ADDRESS[node.name]
        lab.wait_for(f"{wanted} by name", TTL_S + INTERVAL_S + SLACK_S,
                     lambda: resolver.resolve() == wanted)
        return time.monotonic() - begin

    def test_primary_when_killed_is_followed_within_ttl_and_interval(self):
        for i in range(10 if lab.full() else 1):
            first, second = "ab" if (lab.SEED + i) % 2 else "ba"
            resolver = Resolver(self.port[first], self.port[second])
            primary, standby = self.both()
            self.wait_names("ab", ADDRESS[primary.name])
            stale = Resolver(self.port[first], keeps=False)
            for one in (resolver, stale):
                self.assertEqual(one.resolve(), ADDRESS[primary.name])
            primary.kill()
            took_s = self.follows(resolver, standby)
            print(f"followed {took_s:.2f} s after the takeover", flush=True)
            self.assertEqual(ask(self.port[primary.name])[0], "")
            # The canary: one that keeps an answer for ever does not follow, and that is seen.
            with self.assertRaisesRegex(lab.LabError, "by name"):
                self.follows(stale, standby)
            primary.start()
            self.pair.wait_paired(90)
            self.wait_names("ab", ADDRESS[standby.name])

    def test_role_when_handed_over_or_left_is_followed_by_both_servers(self):
        primary, standby = self.both()
        self.wait_names("ab", ADDRESS[primary.name])
        primary.ask("switchover")
        self.wait(f"{standby.name} as primary", standby.is_primary)
        self.wait_names("ab", ADDRESS[standby.name])
        names = primary.ask("route", "status", "pair1")["names"][0]
        healthy = {one["label"]: one["healthy"] for one in names["endpoints"]}
        self.assertEqual(healthy, {primary.name: False, standby.name: True})
        self.assertEqual(standby.ask("route", "pick", "pair1")["label"], standby.name)
        # Only the dataplane is lost: its control leaves the word to the other one.
        self.pair.wait_paired(90)       # whoever handed over may take over again only then
        primary, standby = standby, primary
        primary.dataplane.kill()
        self.wait_names(primary.name, "SERVFAIL")
        self.wait(f"{standby.name} as primary", standby.is_primary, 30)
        self.wait_names(standby.name, ADDRESS[standby.name])
        self.assertEqual(Resolver(self.port["a"], self.port["b"]).resolve(), ADDRESS[standby.name])


class Clients(ByName):
    def setUp(self):
        lab.need_root()
        self.up(transport="veth")
        self.resolver = f"127.0.0.1:{self.port['a']},127.0.0.1:{self.port['b']}"

    def test_clients_when_the_primary_is_killed_find_the_other(self):
        primary, standby = self.both()
        target = f"{NAME}:9400"
        bench = subprocess.Popen(
            [*lab.network.enter(lab.network.CLIENT), self.pair.programs["bench"], "--to",
             f"udp:{target}", "--resolver", self.resolver, "--rate", "1000", "--duration", "5s",
             "--seed", str(lab.SEED), "--timeout", "50ms", "--drain", "60s", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(bench.wait)
        self.addCleanup(bench.kill)
        self.wait("load", lambda: primary.status()["sequence"] > 500)
        with lab.network.inside(lab.network.CLIENT):
            client = standfast.Client(target, timeout=60, resolver=self.resolver)
        self.addCleanup(client.close)
        # Its sockets for name servers are made later, where the thread is then.
        with lab.network.inside(lab.network.CLIENT):
            before = client.add(1 << 40, 5)
            self.assertEqual((before.outcome, before.value), ("ok", 5))
            primary.kill()
            after = client.add(1 << 40, 5)
        self.assertEqual((after.outcome, after.value), ("ok", 10))
        self.assertEqual(client.node, (ADDRESS[standby.name], 9400))
        out, errors = bench.communicate(timeout=120)
        self.assertEqual(bench.returncode, 0, errors + out)
        result = json.loads(out)
        self.assertEqual((result["lost_after_ack"], result["applied_twice"]), (0, 0))
        self.assertEqual(result["sent"], result["answered"])


if __name__ == "__main__":
    lab.main()
