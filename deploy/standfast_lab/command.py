#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""deploy/lab: the laboratory's verbs."""
import argparse
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), ".."))
from standfast_lab import host, network                         # noqa: E402
from standfast_lab.node import PORT, SERVICE_ADDRESS            # noqa: E402
from standfast_lab.pair import DEFAULT_DIR, ROOT, Lab           # noqa: E402
from standfast_lab.process import LabError                      # noqa: E402

OK, USAGE, NOT_RUNNING = 0, 2, 3


def _refuse(text):
    raise LabError(text, USAGE)


# --- verbs ---

def up(lab, options):
    if options.ack == "durable" and options.log == "off":
        _refuse("--ack durable needs the log")
    if options.lost_peer and options.arbiter != "none":
        _refuse("--lost-peer is for a pair without an arbiter: --arbiter none")
    lost_peer = options.lost_peer or "primary-continues"
    lab.up(arbiter=options.arbiter, lost_peer=lost_peer, transport=options.transport,
           network=options.network,
           ack=options.ack, log=options.log, log_sync=options.log_sync, model=options.model,
           names_port=options.names_port, workers_a=options.workers_a, workers_b=options.workers_b,
           lcores_a=options.lcores, lcores_b=options.lcores, relay_seed=options.relay_seed,
           replication_mtu=options.mtu)
    print(f"The pair is up in {lab.dir}: a is primary, b is its standby, PAIRED.")
    print({"file": "Whoever loses the other asks the arbiter, a file, for the right to go on.",
           "etcd": "Whoever loses the other asks the arbiter, etcd, for the right to go on.",
           "none": f"There is no arbiter: {lost_peer}."}[options.arbiter]
          if options.log == "on" else
          "Without a log there are no roles but the configured ones: no takeover.")
    if host.autogroup():
        print(f"On this machine the nodes' disks may stand still for seconds; {host.HINT} helps.")
    print(_how_to(lab))
    return OK


def _how_to(lab):
    where = "" if lab.dir == DEFAULT_DIR else f" --dir {lab.dir}"
    lines = []
    if lab.is_veth:
        client = f"ip netns exec {lab.client_namespace()} python3 {ROOT}/client/python/standfast.py"
        lines += [
            f"Clients: namespace {lab.client_namespace()} ({network.CLIENT_ADDRESS}), service address "
            f"{SERVICE_ADDRESS}:{PORT}, nodes 10.77.0.1 and 10.77.0.2:",
            f"  {client} --to {SERVICE_ADDRESS}:{PORT} add 7 5"]
    else:
        lines += ["Load, over shared memory:",
                  "  " + " ".join(lab.bench_command("--outstanding", 16, "--duration", "5s"))]
    lines += ["Look, and do harm:",
              f"  {lab.programs['standfast']} status -c {lab.a.config}    (also: counters, "
              "latency, digest --at current)",
              f"  deploy/lab status|cut both|heal|loss both loss=0.1|pause b|resume b|kill a|start a|down{where}",
              f"  {lab.programs['standfast']} switchover -c {lab.a.config}"]
    return "\n".join(lines)


def down(lab, options):
    was_up = lab.is_up
    lab.down()
    print("The lab is gone." if was_up else f"There was no lab in {lab.dir}.")
    return OK


def kill(lab, options):
    if not lab.nodes[options.node].kill():
        raise LabError(f"node {options.node} does not run", NOT_RUNNING)
    print(f"Node {options.node} is killed.")
    return OK


def start(lab, options):
    node = lab.nodes[options.node]
    node.start()
    lab.settle()
    log = (node.status() or {}).get("log", {})
    print(f"Node {options.node} runs again, " + (
        "with what its log holds." if log.get("enabled") else
        "empty: its memory is gone, and it has no log (--log off)."))
    print(lab.modes_text())
    return OK


def _signal(lab, options, verb, said):
    if not getattr(lab.nodes[options.node], verb)():
        raise LabError(f"node {options.node} does not run", NOT_RUNNING)
    print(f"Node {options.node} {said}.")
    return OK


def pause(lab, options):
    return _signal(lab, options, "pause", "is paused")


def resume(lab, options):
    return _signal(lab, options, "resume", "goes on")


def cut(lab, options):
    lab.tell_relay("cut " + options.way)
    print(f"The replication link is cut: {options.way}.")
    return OK


def heal(lab, options):
    lab.tell_relay("heal")
    print("The replication link is whole.")
    return OK


def loss(lab, options):
    if options.faults == ["none"]:
        lab.tell_relay(f"clear {options.way}")
    else:
        lab.tell_relay(f"set {options.way} {' '.join(options.faults)}")
    print(f"Faults of {options.way}: {' '.join(options.faults)}.")
    return OK


def _relay_stats(lab):
    return lab.tell_relay("stats") if lab.relay.pid() and not lab.relay.paused() else None


def status(lab, options):
    if options.json:
        tree = {"dir": lab.dir, "transport": lab.options["transport"], "relay": _relay_stats(lab)}
        for name, node in lab.nodes.items():
            tree[name] = node.status()
            if tree[name]:
                tree[name]["paused"] = node.dataplane.paused()
        print(json.dumps(tree, indent=1))
        return OK
    print(f"lab        {lab.dir}, {lab.options['transport']}")
    stats = _relay_stats(lab)
    for way in ("a-b", "b-a") if stats else ():
        counts = ", ".join(f"{stats[way][key]} {key}" for key in (
            "received", "forwarded", "lost", "duplicated", "reordered", "cut") if stats[way][key])
        print(f"link {way}   {'CUT' if stats[way]['is_cut'] else 'whole'}; frames: "
              f"{counts or 'none'}")
    if not stats:
        print("link       the relay does not run")
    for name, node in lab.nodes.items():
        print()
        if node.dataplane.paused():
            print(f"node       {name} is PAUSED (deploy/lab resume {name})")
        sys.stdout.flush()
        result = subprocess.run([lab.programs["standfast"], "status", "-c", node.config],
                                stderr=subprocess.PIPE, text=True)
        if result.returncode == NOT_RUNNING:
            print(f"node       {name} does not run (deploy/lab start {name})")
        elif result.returncode:
            print(f"node       {name}: {result.stderr.strip()}")
    return OK


# --- the command line ---

def _parse(argv):
    parser = argparse.ArgumentParser(prog="deploy/lab", description="A pair of nodes on this host.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(function, text):
        found = verbs.add_parser(function.__name__, help=text, description=text)
        found.set_defaults(run=function)
        found.add_argument("--dir", default=DEFAULT_DIR,
                           help=f"folder of the lab ({DEFAULT_DIR}); each has its own pair")
        return found

    one = verb(up, "start a pair and wait until it is PAIRED")
    one.add_argument("--transport", choices=["memif", "veth"], default="memif",
                     help="shared memory, or network namespaces for ordinary UDP clients (root)")
    one.add_argument("--network", default="", metavar="NAME",
                     help="of veth: its namespaces are called standfast-…-NAME, so that several "
                     "labs can be up")
    one.add_argument("--arbiter", choices=["file", "etcd", "none"], default="file")
    one.add_argument("--lost-peer", choices=["primary-continues", "standby-takes-over",
                                             "split-allowed"],
                     help="who serves when the nodes lose each other and there is no arbiter")
    one.add_argument("--ack", choices=["received", "durable", "none"], default="received")
    one.add_argument("--log", choices=["on", "off"], default="on",
                     help="off: nothing is kept on disk (UNSAFE)")
    one.add_argument("--log-sync", choices=["group", "interval", "none"], default="group")
    one.add_argument("--model", default="register")
    one.add_argument("--names-port", type=int, default=0, metavar="PORT",
                     help="of a's name server on 127.0.0.1 for pair1.lab.test, b's is one higher")
    one.add_argument("--workers-a", type=int, default=1, metavar="N")
    one.add_argument("--workers-b", type=int, default=1, metavar="N")
    one.add_argument("--lcores", choices=["one", "per-agent"], default="one",
                     help="threads of a node: one, or one for each agent")
    one.add_argument("--mtu", type=int, default=1500, help="of the replication link, to 9000")
    one.add_argument("--relay-seed", type=int, default=1, metavar="N",
                     help="of the faults on the replication link")
    verb(down, "end everything and remove what was made")
    for function, text in ((kill, "SIGKILL both processes of a node"), (start, "start it again"),
                           (pause, "SIGSTOP both processes of a node"), (resume, "SIGCONT")):
        verb(function, text).add_argument("node", choices=["a", "b"])
    ways = ["a-b", "b-a", "both"]
    verb(cut, "cut the replication link").add_argument("way", choices=ways)
    verb(heal, "make the replication link whole again")
    one = verb(loss, "faults on the replication link, shares of 0 to 1; none: no more faults")
    one.add_argument("way", choices=ways)
    one.add_argument("faults", nargs="+", metavar="loss=X|dup=X|reorder=X|corrupt=X|truncate=X|"
                     "delay_us=N|none")
    verb(status, "both nodes and the link").add_argument("--json", action="store_true")
    return parser.parse_args(argv)


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)      # deploy/lab status | head
    options = _parse(sys.argv[1:])
    try:
        lab = Lab(options.dir)
        if options.verb not in ("up", "down"):
            lab.need()
        return options.run(lab, options)
    except LabError as error:
        print(f"deploy/lab: {error}", file=sys.stderr)
        return error.code
    except subprocess.TimeoutExpired as error:
        print(f"deploy/lab: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
