# SPDX-License-Identifier: BSD-3-Clause
"""A lab: two nodes, the relay between them, and with veth a network for clients.

Everything about it is in its folder, so any later command, and any test, can go on with it.
"""
import glob
import json
import os
import shutil
import socket
import subprocess
import urllib.request

from . import network
from .node import NODES, PORT, Node, configuration
from .process import LabError, Process, tail, wait_for

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
DEFAULT_DIR = "/run/standfast-lab"
PROGRAMS = {
    "dataplane": "dataplane/standfast-dataplane",
    "control": "control/standfast-control",
    "standfast": "control/standfast",
    "relay": "deploy/standfast-relay",
    "bench": "perf/bench/standfast-bench",
}
OPTIONS = {
    "transport": "memif",
    "network": "",              # of veth: the name of its namespaces
    "arbiter": "file",
    "lost_peer": "primary-continues",
    "ack": "received",
    "log": "on",
    "log_sync": "group",
    "log_segment": "16 MiB",
    "log_reserve": "64 MiB",
    "snapshot_interval": "10 s",
    "model": "register",
    "workers_a": 1,
    "workers_b": 1,
    "lcores_a": "one",
    "lcores_b": "one",
    "relay_seed": 1,
    "client_mtu": 1500,
    "replication_mtu": 1500,
    "digest_interval": 65536,
    "heartbeat_interval": "100 ms",
    "heartbeat_misses": 10,
    "takeover_delay": "200 ms",
    "assets_max": 65536,
    "idle": "auto",
    "names_port": 0,        # of a's name server on 127.0.0.1, b's is one higher; 0: none
    "names_ttl": "1 s",
    "memory": "256 MiB",
    "hugepages": "auto",
}
# What a lab leaves in its folder; nothing else there is touched. Sockets with ~ are memif's.
FILES = ["lab.json", "*.conf", "*.pid", "*.pid~", "*.log", "[ab].shm*", "[ab].lock",
         "[ab].control.lock", "[ab].sock", "*.ctl", "client-[ab].sock*", "repl-[ab].sock*",
         "relay.sock"]
MAX_DIR = 70            # a path of a Unix socket has 107 bytes
PAIR_S = 30
PASSING = ("start", "peer_restarted", "catching_up", "replaying", "merging")    # reasons that do not last
SETTLE_S = 3


def build_dir():
    return os.environ.get("STANDFAST_BUILD") or os.path.join(ROOT, "build")


def programs():
    return {name: os.path.join(build_dir(), path) for name, path in PROGRAMS.items()}


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Lab:
    """A lab in a folder, there already or made by up()."""

    def __init__(self, directory=DEFAULT_DIR):
        self.dir = os.path.realpath(directory)
        self.file = os.path.join(self.dir, "lab.json")
        self.programs = programs()
        self.options = dict(OPTIONS)
        self.is_up = os.path.exists(self.file)
        if self.is_up:
            with open(self.file) as file:
                self.options.update(json.load(file))
        self._make_parts()

    def _make_parts(self):
        self.nodes = {name: Node(name, self.dir, self.programs, self.options) for name in NODES}
        self.a, self.b = self.nodes["a"], self.nodes["b"]
        self.relay = Process(self.dir, "relay")
        self.etcd = Process(self.dir, "etcd")
        self.relay_socket = os.path.join(self.dir, "relay.sock")
        self.is_veth = self.options["transport"] == "veth"

    def need(self):
        if not self.is_up:
            raise LabError(f"no lab in {self.dir}: deploy/lab up --dir {self.dir}", 3)

    # --- up and down ---

    def prepare(self, **options):
        """Makes folder, configuration files and network; starts nothing."""
        if self.is_up:
            raise LabError(f"there is a lab in {self.dir} already: deploy/lab down, or another "
                           "--dir")
        for path in self.programs.values():
            if not os.access(path, os.X_OK):
                raise LabError(f"{path} is not built (meson setup build && ninja -C build)")
        if len(self.dir) > MAX_DIR:
            raise LabError(f"{self.dir}: longer than {MAX_DIR} characters, too long for sockets", 2)
        self.options.update(options)
        self._make_parts()
        os.makedirs(self.dir, mode=0o700, exist_ok=True)
        self._save()
        self.is_up = True
        if self.options["arbiter"] == "etcd":
            self.options["etcd"] = f"http://127.0.0.1:{_free_port()}"
            self._save()
        for name, node in self.nodes.items():
            with open(node.config, "w") as file:
                file.write(configuration(name, self.dir, self.options))
        if self.is_veth:
            network.up(self.dir, self.options["client_mtu"], self.options["replication_mtu"],
                       self.options["network"])

    def _save(self):
        with open(self.file, "w") as file:
            json.dump(self.options, file, indent=1)

    def up(self, **options):
        """A pair that is PAIRED; on failure nothing is left but the text of the error."""
        was_up = self.is_up
        try:
            self.prepare(**options)
            self.start()
        except BaseException:
            if not was_up:
                self.down()
            raise
        return self

    def start(self):
        """Starts everything that prepare() has prepared; waits until the pair is PAIRED."""
        self.start_relay()
        if self.options["arbiter"] == "etcd":
            self.start_etcd()
        for node in self.nodes.values():
            node.start_dataplane()
            node.start_control()
        for node in self.nodes.values():
            node.wait_running()
        self.wait_paired()

    def start_etcd(self):
        """An etcd of our own on the loopback; nodes in namespaces cannot reach it, but their control
        processes run outside."""
        client = self.options["etcd"]
        peer = f"http://127.0.0.1:{_free_port()}"
        program = shutil.which("etcd")
        if not program:
            raise LabError("--arbiter etcd needs Debian's etcd-server (deploy/install-deps test)")
        self.etcd.start([
            program, "--name=lab", f"--data-dir={self.dir}/state/etcd",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=lab={peer}", "--logger=zap", "--log-level=warn"])

        def answers():
            if not self.etcd.pid():
                raise LabError(f"etcd ended at once:\n{tail(self.etcd.log)}")
            try:
                with urllib.request.urlopen(client + "/health", timeout=2) as reply:
                    return reply.status == 200
            except OSError:
                return False
        wait_for("start of etcd", 20, answers)

    def start_relay(self):
        if self.is_veth:
            ends = ["af_packet:repl-a", "af_packet:repl-b"]
        else:
            ends = [f"memif-client:{self.dir}/repl-{name}.sock" for name in NODES]
        self.relay.start(
            [self.programs["relay"], "--a", ends[0], "--b", ends[1], "--control",
             self.relay_socket, "--seed", str(self.options["relay_seed"]), "--mtu",
             str(self.options["replication_mtu"]),
             *(["--no-hugepages"] if self.options["hugepages"] == "off" else [])],
            network.called(network.NET, self.options["network"]) if self.is_veth else None)

        def serving():
            if not self.relay.pid():
                raise LabError(f"the relay ended at once:\n{tail(self.relay.log)}")
            return os.path.exists(self.relay_socket)
        wait_for("start of the relay", 20, serving)

    def down(self):
        """Ends every process of the lab and removes what it made. Nothing there is no error."""
        for process in [*self.a.processes(), *self.b.processes(), self.relay, self.etcd]:
            process.stop()
        if self.is_veth and network.owner(self.options["network"]) == self.dir:
            network.down(self.options["network"])
        for pattern in FILES:
            for path in glob.glob(os.path.join(glob.escape(self.dir), pattern)):
                os.unlink(path)
        for folder in ("state", "arbiter"):
            shutil.rmtree(os.path.join(self.dir, folder), ignore_errors=True)
        try:
            os.rmdir(self.dir)
        except OSError:
            pass        # somebody keeps files of his own in it, or it never was
        self.is_up = False

    # --- the link between the nodes ---

    def tell_relay(self, command):
        """The relay's answer to a command; for "stats" as a dict."""
        result = subprocess.run([self.programs["relay"], "--send", self.relay_socket, command],
                                capture_output=True, text=True, timeout=20)
        if result.returncode != 0:
            raise LabError((result.stderr or result.stdout).strip(), result.returncode)
        return json.loads(result.stdout) if command == "stats" else result.stdout.strip()

    # --- looking ---

    def wait_paired(self, seconds=PAIR_S):
        """Until both nodes say so."""
        try:
            wait_for("paired", seconds, lambda: all(n.is_paired() for n in self.nodes.values()))
        except LabError:
            raise LabError(f"the nodes are not paired within {seconds} s:\n{self.modes_text()}")

    def primary(self):
        """The node that serves, or None."""
        found = [node for node in self.nodes.values() if node.is_primary()]
        return found[0] if len(found) == 1 else None

    def wait_primary(self, seconds=PAIR_S):
        return wait_for("one primary", seconds, self.primary)

    def settle(self):
        """Waits a moment until no node says something that will soon be different."""
        def settled():
            found = [node.status() for node in self.nodes.values()]
            return all(not status or status["last_change"]["reason"] not in PASSING
                       for status in found)
        try:
            wait_for("settling", SETTLE_S, settled)
        except LabError:
            pass        # then that is how it stands

    def modes_text(self):
        lines = []
        for name, node in self.nodes.items():
            status = node.status()
            lines.append(f"  {name}: " + (
                "does not run" if not status else
                f"{status['role']}, {status['mode']}, {status['last_change']['text']}"))
        return "\n".join(lines)

    def digests(self, seconds=20):
        """(sequence, digest of a, digest of b) of both nodes at one sequence, without load."""
        def level():
            a, b = self.a.digest(), self.b.digest()
            return a and b and a["sequence"] == b["sequence"] and \
                (a["sequence"], a["digest"], b["digest"])
        return wait_for("both nodes at one sequence", seconds, level)

    def client_namespace(self):
        """Of veth: where clients are."""
        return network.called(network.CLIENT, self.options["network"])

    def bench_command(self, *arguments):
        """The command that loads this pair, from where its clients are."""
        if self.is_veth:
            nodes = "udp:" + ",".join(f"{NODES[name]['address']}:{PORT}" for name in NODES)
        else:
            nodes = f"memif:{self.a.client_socket},{self.b.client_socket}"
        enter = network.enter(self.client_namespace()) if self.is_veth else []
        pages = ["--no-hugepages"] if self.options["hugepages"] == "off" else []
        return [*enter, self.programs["bench"], "--to", nodes, *pages, *map(str, arguments)]
