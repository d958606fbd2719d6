# SPDX-License-Identifier: BSD-3-Clause
"""The network of a lab with --transport veth.

    standfast-client    standfast-net                standfast-a, standfast-b
    client .100  ------ bridge sf-lan ------ lan-a -- client   (node's port, no kernel address)
                        relay: repl-a -------------- repl     (replication)

The nodes' addresses belong to their DPDK ports; a kernel that had them too would answer in their
place. A network has a name, "" of the one that deploy/lab makes unless told another; it follows the
names of the namespaces (standfast-client-NAME), so networks with the same addresses stand side by
side.
"""
import contextlib
import ctypes
import json
import os
import re
import subprocess

from .process import LabError

CLIENT, NET = "standfast-client", "standfast-net"
NODES = {"a": "standfast-a", "b": "standfast-b"}
KINDS = [CLIENT, NET, *NODES.values()]
CLIENT_ADDRESS = "10.77.0.100"
CLONE_NEWNET = 0x40000000
NO_IPV6 = """cd /proc/sys/net/ipv6/conf 2>/dev/null || exit 0
echo 1 >all/disable_ipv6; echo 1 >default/disable_ipv6"""
OWNER_FILE = "/run/standfast-veth-lab"
NAME = re.compile(r"[a-z0-9-]{0,24}")


def called(kind, name=""):
    """The namespace of a kind in the network of that name."""
    return f"{kind}-{name}" if name else kind


def owner_file(name=""):
    return called(OWNER_FILE, name)


def _run(argv, text=None):
    result = subprocess.run(argv, input=text, capture_output=True, text=True)
    if result.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {result.stderr.strip() or result.stdout.strip()}")


def _ip(namespace, *lines):
    _run([*enter(namespace), "ip", "-batch", "-"], "\n".join(lines) + "\n")


def enter(namespace):
    """The beginning of a command that runs in a namespace."""
    return ["nsenter", "--net=/run/netns/" + namespace]


def exists(name=""):
    """Those of its namespaces that there are."""
    return [called(kind, name) for kind in KINDS
            if os.path.exists("/run/netns/" + called(kind, name))]


def owner(name=""):
    """The folder of the lab whose network it is, or None."""
    try:
        with open(owner_file(name)) as file:
            return json.load(file)["dir"]
    except FileNotFoundError:
        return None


def _cable(namespace_1, name_1, namespace_2, name_2, mtu):
    _ip(namespace_1,
        f"link add {name_1} mtu {mtu} type veth peer name {name_2} mtu {mtu} netns {namespace_2}",
        f"link set {name_1} up")
    _ip(namespace_2, f"link set {name_2} up")


def up(directory, client_mtu, replication_mtu, name=""):
    if os.geteuid() != 0:
        raise LabError("--transport veth makes network namespaces and needs root", 1)
    if not NAME.fullmatch(name):
        raise LabError(f"{name}: a network's name has small letters, digits and '-', 24 at most", 2)
    if exists(name):
        raise LabError(f"the namespaces {', '.join(exists(name))} exist already; take that lab "
                       f"down first: deploy/lab down --dir {owner(name) or 'DIR'}")
    with open(owner_file(name), "w") as file:
        json.dump({"dir": directory}, file)
    client, net = called(CLIENT, name), called(NET, name)
    for namespace in (called(kind, name) for kind in KINDS):
        _run(["ip", "netns", "add", namespace])
        # The kernel's own IPv6 chatter would show up in the nodes' counters of foreign frames.
        _run([*enter(namespace), "sh", "-c", NO_IPV6])
        _ip(namespace, "link set lo up")
    _ip(net, "link add sf-lan type bridge mcast_snooping 0 forward_delay 0",
        "link set sf-lan up")
    _cable(net, "lan-client", client, "client", client_mtu)
    for node, kind in NODES.items():
        _cable(net, "lan-" + node, called(kind, name), "client", client_mtu)
        _cable(net, "repl-" + node, called(kind, name), "repl", replication_mtu)
    _ip(net, *(f"link set lan-{end} master sf-lan" for end in ("client", "a", "b")))
    _ip(client, f"addr add {CLIENT_ADDRESS}/24 dev client")
    # Frames between two veths never meet a card that would finish their checksums.
    _run([*enter(client), "ethtool", "-K", "client", "tx", "off"])


def down(name=""):
    """Removes the namespaces, and with them every device."""
    for namespace in exists(name):
        _run(["ip", "netns", "del", namespace])
    if os.path.exists(owner_file(name)):
        os.unlink(owner_file(name))


@contextlib.contextmanager
def inside(namespace):
    """The calling thread is in a namespace meanwhile; sockets made there stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    away = os.open("/run/netns/" + namespace, os.O_RDONLY)
    try:
        if libc.setns(away, CLONE_NEWNET) != 0:
            raise LabError(f"cannot enter {namespace}: {os.strerror(ctypes.get_errno())}")
        yield
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(away)
