# SPDX-License-Identifier: BSD-3-Clause
"""One node of a lab: its configuration file and its two processes."""
import json
import os
import signal
import subprocess

from . import network
from .process import LabError, Process, tail, wait_for

NODES = {
    "a": {"id": 0, "role": "primary", "peer": "b", "address": "10.77.0.1"},
    "b": {"id": 1, "role": "standby", "peer": "a", "address": "10.77.0.2"},
}
SERVICE_ADDRESS = "10.77.0.10"
PORT = 9400
START_S = 30        # of a node on a machine with other work

TEMPLATE = """\
# Written by deploy/lab.
cluster = "lab";
node: {{ name = "{name}"; id = {id}; role = "{role}"; runtime_dir = "{dir}"; status_interval = "100 ms"; }};
peer: {{ name = "{peer}"; address = "{peer_address}"; port = {port}; }};
client: {{
  device = "{client_device}";
  mtu = {client_mtu};
  address = "{address}";
  service_address = "{service_address}";
  udp_port = {port};
{client_mac}}};
# A shared machine stalls processes for hundreds of milliseconds: 10 x 100 ms of silence.
replication: {{
  device = "{replication_device}";
  mtu = {replication_mtu};
  heartbeat_interval = "{heartbeat_interval}";
  heartbeat_misses = {heartbeat_misses};
  ack = "{ack}";
{replication_mac}}};
log: {{ enabled = "{log}"; dir = "{dir}/state"; sync = "{log_sync}"; segment_size = "{log_segment}";
  snapshot_interval = "{snapshot_interval}"; reserve = "{log_reserve}"; }};
# Nothing is held down, so that a lab can be killed again and again.
roles: {{ {lost_peer}bootstrap = "auto"; preferred_primary = 0;
  hold_down = "0 s"; max_role_changes_per_hour = 0; takeover_delay = "{takeover_delay}"; }};
{arbiter}{routing}assets: {{ model = "{model}"; max = {assets_max}; digest_interval = {digest_interval}; }};
dataplane: {{
  workers = {workers};
  idle = "{idle}";
{lcores}}};
dpdk: {{ memory = "{memory}"; hugepages = "{hugepages}"; }};
"""


def _lcores(layout, workers):
    """One lcore with all agents is the default of the configuration."""
    if layout == "one":
        return ""
    agents = ["ingress0", "sequencer"] + [f"worker{i}" for i in range(workers)]
    rows = ",\n".join(f'    {{ cpus = "any"; agents = [ "{agent}" ]; }}' for agent in agents)
    return f"  lcores = (\n{rows}\n  );\n"


def _arbiter(directory, options):
    if options["arbiter"] == "none" or options["log"] == "off":
        return ""
    where = (f'dir = "{directory}/arbiter"' if options["arbiter"] == "file"
             else f'endpoints = [ "{options["etcd"]}" ]')
    return f'arbiter: {{ kind = "{options["arbiter"]}"; {where}; timeout = "500 ms"; }};\n'


def _routing(name, options):
    port = options["names_port"]
    if not port:
        return ""
    return (f'routing: {{ enabled = "on"; port = {port + NODES[name]["id"]}; zone = "lab.test"; '
            f'name = "pair1"; ttl = "{options["names_ttl"]}"; }};\n')


def _lost_peer(options):
    alone = options["arbiter"] == "none" or options["log"] == "off"
    return f'lost_peer = "{options["lost_peer"]}"; ' if alone else ""


def configuration(name, directory, options):
    """The text of the node's configuration file."""
    me, peer = NODES[name], NODES[NODES[name]["peer"]]
    memif = options["transport"] == "memif"
    sides = {}
    for side, file in (("client", "client"), ("replication", "repl")):
        sides[side + "_device"] = (f"memif-server:{directory}/{file}-{name}.sock" if memif
                                   else "af_packet:" + file)
        mac = f"02:00:00:00:{'00' if side == 'client' else '01'}:{me['id'] + 1:02x}"
        sides[side + "_mac"] = f'  mac = "{mac}";\n' if memif else ""
    return TEMPLATE.format(
        name=name, dir=directory, peer_address=peer["address"], port=PORT,
        service_address=SERVICE_ADDRESS, workers=options[f"workers_{name}"],
        arbiter=_arbiter(directory, options), lost_peer=_lost_peer(options),
        routing=_routing(name, options),
        lcores=_lcores(options[f"lcores_{name}"], options[f"workers_{name}"]),
        **{key: options[key] for key in (
            "client_mtu", "replication_mtu", "ack", "log", "log_sync", "log_segment", "log_reserve",
            "snapshot_interval", "model", "digest_interval", "idle", "memory", "hugepages",
            "heartbeat_interval", "heartbeat_misses", "takeover_delay", "assets_max")},
        **me, **sides)


class Node:
    def __init__(self, name, directory, programs, options):
        self.name = name
        self.options = options
        self.programs = programs
        self.config = os.path.join(directory, name + ".conf")
        self.state_dir = os.path.join(directory, "state", name)
        self.dataplane = Process(directory, name + "-dataplane")
        self.control = Process(directory, name + "-control")
        self.client_socket = os.path.join(directory, f"client-{name}.sock")
        self.namespace = network.called(network.NODES[name], options["network"]) \
            if options["transport"] == "veth" else None
        self.environment = {}       # what its processes get besides ours

    # --- starting and ending ---

    def start_dataplane(self):
        self.dataplane.start([self.programs["dataplane"], "-c", self.config], self.namespace,
                             self.environment)

    def start_control(self):
        # Its name server must be where the clients are; an etcd outside could not be reached then.
        among_clients = self.namespace and self.options["names_port"] \
            and self.options["arbiter"] != "etcd"
        self.control.start([self.programs["control"], "-c", self.config],
                           network.CLIENT if among_clients else None, self.environment)

    def start(self):
        """Starts both and waits until the node writes its status."""
        self.start_dataplane()
        self.start_control()
        self.wait_running()

    def wait_running(self):
        def running():
            if not self.dataplane.pid():
                raise LabError(f"{self.dataplane.name} ended at once:\n{tail(self.dataplane.log)}")
            status = self.status()
            # For a moment the file of the node's former life may still be there.
            return (status and status["pid"] == self.dataplane.pid()
                    and status["mode"] != "starting" and status["control"] == "up")
        wait_for(f"start of node {self.name}", START_S, running)

    def processes(self):
        return [self.dataplane, self.control]

    def kill(self):
        return any([process.kill() for process in self.processes()])

    def stop(self):
        for process in self.processes():
            process.stop()

    def pause(self):
        return all([process.signal(signal.SIGSTOP) for process in self.processes()])

    def resume(self):
        return all([process.signal(signal.SIGCONT) for process in self.processes()])

    # --- looking ---

    def ask(self, *words):
        """What `standfast WORDS --json` says; None when the node does not run."""
        result = subprocess.run(
            [self.programs["standfast"], *words, "--json", "-c", self.config],
            capture_output=True, text=True, timeout=20)
        if result.returncode == 3:
            return None
        if result.returncode != 0:
            raise LabError(f"standfast {' '.join(words)} on {self.name}: "
                           f"{result.stderr.strip() or result.returncode}", result.returncode)
        return json.loads(result.stdout)

    def status(self):
        return self.ask("status")

    def counters(self):
        return self.ask("counters")

    def digest(self):
        return self.ask("digest", "--at", "current")

    def is_paired(self):
        """As this node sees it; a standby is paired when it hears its primary, and with ack = none
        the follower never is more than a learner."""
        status = self.status()
        asynchronous = self.options["ack"] == "none"
        return bool(status) and not status["stuck"] and (
            status["mode"] == ("async" if asynchronous else "paired") or
            (status["mode"] == ("learner" if asynchronous else "standby")
             and status["peer"]["reachable"]))

    def is_primary(self):
        status = self.status()
        return bool(status) and not status["stuck"] and status["mode"] in (
            "paired", "alone", "async")
