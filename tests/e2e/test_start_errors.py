#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A dataplane that cannot start says why in a sentence and ends; it never runs half."""
import os
import re
import subprocess
import unittest

import lab

FAILED, USAGE, CONFIG = 1, 2, 78
START_S = 30


class Refusing(lab.LabTest):
    exit_codes = (CONFIG,)

    def setUp(self):
        self.pair = self.prepare_lab(log="off")     # it is about the start alone

    def change(self, node, pattern, replacement):
        with open(node.config) as file:
            text = file.read()
        changed, count = re.subn(pattern, replacement, text)
        self.assertGreater(count, 0, pattern)
        with open(node.config, "w") as file:
            file.write(changed)

    def refuse(self, code, *words, node=None, prefix=(), arguments=None):
        """The dataplane ends with this code, soon, and its last lines hold these words."""
        node = node or self.pair.a
        command = [*prefix, self.pair.programs["dataplane"], *(arguments or ["-c", node.config])]
        result = subprocess.run(command, capture_output=True, text=True, timeout=START_S)
        self.assertEqual(result.returncode, code, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        return result.stderr


class StartErrors(Refusing):
    def test_bad_configuration_names_each_line(self):
        self.change(self.pair.a, "workers = 1", "wrokers = 1")
        self.change(self.pair.a, 'ack = "received"', 'ack = "perhaps"')
        with open(self.pair.a.config) as file:
            lines = file.read().splitlines()
        errors = self.refuse(CONFIG, "workers")
        for number, line in enumerate(lines, 1):
            if "wrokers" in line or "perhaps" in line:
                self.assertIn(f"{self.pair.a.config}:{number}:", errors)

    def test_missing_configuration(self):
        self.refuse(CONFIG, "/nowhere/x.conf", arguments=["-c", "/nowhere/x.conf"])

    def test_unknown_option(self):
        self.refuse(USAGE, "usage", arguments=["--faster"])

    def test_unknown_model(self):
        self.change(self.pair.a, 'model = "register"', 'model = "abacus"')
        self.refuse(CONFIG, "abacus")

    def test_too_little_memory(self):
        self.change(self.pair.a, 'memory = "256 MiB"', 'memory = "64 MiB"')
        self.change(self.pair.a, "mtu = 1500;", "mtu = 1500; descriptors = 16384;")
        self.refuse(FAILED, "memory")

    def test_the_same_node_twice(self):
        self.pair.start()
        self.refuse(FAILED, 'node "a" is running already')
        self.assertEqual(self.pair.a.status()["mode"], "paired")

    def test_two_nodes_with_the_same_id(self):
        self.change(self.pair.b, "id = 1;", "id = 0;")
        self.pair.start_relay()
        for node in self.pair.nodes.values():
            node.start_dataplane()
        for node in self.pair.nodes.values():
            node.dataplane.wait_gone(START_S)
            self.assertEqual(node.dataplane.exit_code, CONFIG)
            with open(node.dataplane.log) as file:
                self.assertIn("another node with id 0", file.read())

    def test_both_nodes_primary_serve_nobody(self):
        self.change(self.pair.b, 'role = "standby"', 'role = "primary"')
        self.pair.start_relay()
        for node in self.pair.nodes.values():
            node.start()
        for node in self.pair.nodes.values():
            self.wait_status(node, mode="blocked", reason="role_conflict")

    def test_settings_that_differ_keep_the_pair_apart(self):
        self.change(self.pair.b, 'max = 65536', 'max = 1024')
        self.pair.start_relay()
        for node in self.pair.nodes.values():
            node.start()
        self.wait_status(self.pair.a, mode="blocked", reason="config_mismatch")


class WithALog(Refusing):
    """Then the pair record says who is primary, not node.role."""

    def setUp(self):
        self.pair = self.prepare_lab()

    def start(self):
        self.pair.start_relay()
        for node in self.pair.nodes.values():
            node.start()

    def test_both_nodes_configured_as_primary_are_a_pair_with_one(self):
        self.change(self.pair.b, 'role = "standby"', 'role = "primary"')
        self.start()
        self.pair.wait_paired()
        self.assertEqual(self.pair.primary().name, "a")     # roles.preferred_primary
        self.assertEqual(self.pair.b.status()["role"], "standby")

    def test_settings_that_differ_keep_blank_nodes_apart(self):
        self.change(self.pair.b, 'max = 65536', 'max = 1024')
        self.start()
        for node in self.pair.nodes.values():
            self.wait_status(node, mode="waiting", reason="config_mismatch")

    def test_settings_that_differ_keep_a_node_away_from_the_one_that_serves(self):
        self.start()
        self.pair.wait_paired()
        self.pair.b.stop()
        self.change(self.pair.b, 'max = 65536', 'max = 1024')
        self.pair.b.start()
        self.wait_status(self.pair.b, mode="waiting", reason="config_mismatch")
        self.load(self.pair, "--updates", 1000, "--outstanding", 16)
        self.assertEqual(self.pair.a.status()["mode"], "alone")
        self.change(self.pair.b, "max = 1024", "max = 65536")
        self.pair.b.stop()
        self.pair.b.start()
        self.pair.wait_paired()
        self.assert_level(self.pair)


@unittest.skipIf(os.geteuid() != 0, "needs root for network interfaces")
class Crowd(lab.LabTest):
    def test_nodes_that_start_together_share_the_hugepages_there_are(self):
        """Whoever comes too late takes ordinary pages instead of ending."""
        labs = [self.prepare_lab(log="off") for _ in range(3)]
        nodes = [node for one in labs for node in one.nodes.values()]
        for one in labs:
            one.start_relay()
        for node in nodes:
            node.start_dataplane()
        for node in nodes:
            node.start_control()
        for node in nodes:
            node.wait_running()


class Interfaces(Refusing):
    """In a network namespace that exists only for the process."""

    def refuse_port(self, setup, *words):
        self.change(self.pair.a, r'device = "memif-server:[^"]*client[^"]*"',
                    'device = "af_packet:sf-test"')
        self.refuse(FAILED, *words, prefix=["unshare", "-n", "sh", "-ec", setup + '; exec "$@"',
                                            "sh"])

    def test_missing_interface(self):
        self.refuse_port("true", "sf-test")

    def test_interface_that_is_down(self):
        self.refuse_port("ip link add sf-test type veth peer name other", "sf-test")

    def test_mtu_larger_than_the_interface_has(self):
        self.change(self.pair.a, r"mtu = 1500;(\n  address)", r"mtu = 9000;\1")
        self.refuse_port("ip link add sf-test type veth peer name other; ip link set sf-test up; "
                         "ip link set other up", "sf-test", "9000", "1500")


if __name__ == "__main__":
    lab.main()
