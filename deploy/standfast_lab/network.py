# SPDX-License-Identifier: BSD-3-Clause
"""The network of a lab with --transport veth.

    standfast-client    standfast-net                standfast-a, standfast-b
    client .100  ------ bridge sf-lan ------ lan-a -- client   (node's port, no kernel address)
                        relay: repl-a -------------- repl     (replication)

The nodes' addresses belong to their DPDK ports; a kernel that had them too would answer in their
place. One such network can exist at a time, because its namespaces have fixed names.
"""
import contextlib
import ctypes
import json
import os
import subprocess

from .process import LabError

CLIENT, NET = "standfast-client", "standfast-net"
NODES = {"a": "standfast-a", "b": "standfast-b"}
ALL = [CLIENT, NET, *NODES.values()]
CLIENT_ADDRESS = "10.77.0.100"
CLONE_NEWNET = 0x40000000
NO_IPV6 = """cd /proc/sys/net/ipv6/conf 2>/dev/null || exit 0
echo 1 >all/disable_ipv6; echo 1 >default/disable_ipv6"""
OWNER_FILE = "/run/standfast-veth-lab"


def _run(argv, text=None):
    result = subprocess.run(argv, input=text, capture_output=True, text=True)
    if result.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {result.stderr.strip() or result.stdout.strip()}")


def _ip(namespace, *lines):
    _run([*enter(namespace), "ip", "-batch", "-"], "\n".join(lines) + "\n")


def enter(namespace):
    """The beginning of a command that runs in a namespace."""
    return ["nsenter", "--net=/run/netns/" + namespace]


def exists():
    return [name for name in ALL if os.path.exists("/run/netns/" + name)]


def owner():
    """The folder of the lab whose network it is, or None."""
    try:
        with open(OWNER_FILE) as file:
            return json.load(file)["dir"]
    except FileNotFoundError:
        return None


def _cable(namespace_1, name_1, namespace_2, name_2, mtu):
    _ip(namespace_1,
        f"link add {name_1} mtu {mtu} type veth peer name {name_2} mtu {mtu} netns {namespace_2}",
        f"link set {name_1} up")
    _ip(namespace_2, f"link set {name_2} up")


def up(directory, client_mtu, replication_mtu):
    if os.geteuid() != 0:
        raise LabError("--transport veth makes network namespaces and needs root", 1)
    if exists():
        raise LabError(f"the namespaces {', '.join(exists())} exist already; take that lab down "
                       f"first: deploy/lab down --dir {owner() or 'DIR'}")
    with open(OWNER_FILE, "w") as file:
        json.dump({"dir": directory}, file)
    for name in ALL:
        _run(["ip", "netns", "add", name])
        # The kernel's own IPv6 chatter would show up in the nodes' counters of foreign frames.
        _run([*enter(name), "sh", "-c", NO_IPV6])
        _ip(name, "link set lo up")
    _ip(NET, "link add sf-lan type bridge mcast_snooping 0 forward_delay 0",
        "link set sf-lan up")
    _cable(NET, "lan-client", CLIENT, "client", client_mtu)
    for node, namespace in NODES.items():
        _cable(NET, "lan-" + node, namespace, "client", client_mtu)
        _cable(NET, "repl-" + node, namespace, "repl", replication_mtu)
    _ip(NET, *(f"link set lan-{end} master sf-lan" for end in ("client", "a", "b")))
    _ip(CLIENT, f"addr add {CLIENT_ADDRESS}/24 dev client")
    # Frames between two veths never meet a card that would finish their checksums.
    _run([*enter(CLIENT), "ethtool", "-K", "client", "tx", "off"])


def down():
    """Removes the namespaces, and with them every device."""
    for name in exists():
        _run(["ip", "netns", "del", name])
    if os.path.exists(OWNER_FILE):
        os.unlink(OWNER_FILE)


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
