#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""standfast-control and the standfast command, as programs.

test_control.py STANDFAST CONTROL WRITER [NAME…]

WRITER is memory_writer, which plays the dataplane's side of the memory file. Waiting is on state,
with a deadline; output of programs is only read as JSON, exit codes and the complaints that the
operator needs (file:line, hints).
"""
import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

STANDFAST, CONTROL, WRITER = (os.path.abspath(path) for path in sys.argv[1:4])
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE_S = 20
OK, FAILED, USAGE, NOT_RUNNING, REFUSED, CONFIG = 0, 1, 2, 3, 5, 78


class Node:
    """A node in a folder of its own: configuration, and what runs of it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="sfctl-", dir="/tmp")
        self.conf = os.path.join(self.folder, "a.conf")
        example = os.path.join(TOP, "config", "examples", "demo-memif-a.conf")
        with open(example) as source, open(self.conf, "w") as target:
            target.write(source.read().replace("/run/standfast-demo", self.folder))
        self.socket = os.path.join(self.folder, "a.ctl")
        self.log = os.path.join(self.folder, "control.log")
        self.running = []
        self.writer = None

    def close(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
        shutil.rmtree(self.folder)

    def start_writer(self):
        self.writer = subprocess.Popen([WRITER, self.conf], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        self.running.append(self.writer)
        assert self.writer.stdout.readline() == "ok\n", "the writer did not start"
        return self.writer

    def tell(self, *commands):
        for command in commands:
            self.writer.stdin.write(command + "\n")
            self.writer.stdin.flush()
            assert self.writer.stdout.readline() == "ok\n", command

    def start_control(self):
        with open(self.log, "a") as log:
            process = subprocess.Popen([CONTROL, "-c", self.conf], stderr=log)
        self.running.append(process)
        wait_until("control serves", lambda: self.request(b"events\n"))
        return process

    def request(self, data, patience_s=PATIENCE_S):
        """One request as bytes; the answer's JSON, or None when nobody serves."""
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(self.socket)
                connection.settimeout(patience_s)
                connection.sendall(data)
                answer = b""
                while part := connection.recv(65536):
                    answer += part
            except OSError:
                return None
        return json.loads(answer) if answer else None

    def run(self, *words, conf=True):
        command = [STANDFAST, *words] + (["-c", self.conf] if conf else [])
        environment = {key: value for key, value in os.environ.items()
                       if key != "STANDFAST_CONFIG"}
        return subprocess.run(command, capture_output=True, text=True, timeout=60,
                              cwd=self.folder, env=environment)

    def json(self, *words, code=OK):
        result = self.run(*words, "--json")
        assert result.returncode == code, (words, result)
        return json.loads(result.stdout)

    def attached(self):
        answer = self.request(b"ping\n")
        return answer if answer and answer["ok"] else None


def wait_until(what, question):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = question()
        if answer:
            return answer
        time.sleep(0.01)
    raise AssertionError(f"not within {PATIENCE_S} s: {what}")


# --- standfast without a node ---

def verbs_when_no_node_runs_exit_3(node):
    for verb in (["status"], ["is-primary"], ["latency"], ["counters"], ["digest"],
                 ["digest", "--at", "current"], ["events"], ["switchover"], ["init"],
                 ["promote", "--force", "--cluster", "demo"]):
        result = node.run(*verb)
        assert result.returncode == NOT_RUNNING, (verb, result)
        assert "not running" in result.stderr, (verb, result)
    assert "error" in node.json("status", code=NOT_RUNNING)


def status_when_the_node_was_killed_exits_3(node):
    writer = node.start_writer()
    assert node.run("status").returncode == OK
    writer.kill()
    writer.wait()
    assert os.path.exists(os.path.join(node.folder, "a.shm"))
    assert node.run("status").returncode == NOT_RUNNING


def usage_errors_when_made_exit_2(node):
    for words in ([], ["nonsense"], ["status", "extra"], ["status", "--at", "3"], ["config"],
                  ["config", "dmp"], ["digest", "--at"], ["digest", "--at", "-1"],
                  ["digest", "--at", "7x"], ["latency", "--frob"], ["promote"],
                  ["promote", "--force"], ["promote", "--cluster", "demo"],
                  ["switchover", "--force"], ["x" * 5000]):
        result = node.run(*words)
        assert result.returncode == USAGE, (words, result)
        assert result.stderr and not result.stdout, (words, result)
    assert 'did you mean "status"' in node.run("statsu").stderr
    assert "did you mean" not in node.run("qqqqqq").stderr


def help_and_version_when_asked_exit_0(node):
    everything = node.run("--help", conf=False)
    assert everything.returncode == OK
    for verb in ("status", "is-primary", "latency", "counters", "events", "digest", "check",
                 "config", "doctor", "role", "switchover", "promote", "init", "recover"):
        assert verb in everything.stdout, verb
        one = node.run(verb, "--help", conf=False)
        assert one.returncode == OK and one.stdout.startswith(f"usage: standfast {verb}"), one
    for program in (STANDFAST, CONTROL):
        result = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
        assert result.returncode == OK and result.stdout.split()[1][0].isdigit(), result


def configuration_when_bad_exits_78_with_file_and_line(node):
    with open(node.conf, "a") as conf:
        conf.write('\nnonsense = 3;\n')
    with open(node.conf) as conf:
        line = len(conf.read().splitlines())
    for verb in ("check", "status", "config dump", "events", "doctor"):
        result = node.run(*verb.split())
        assert result.returncode == CONFIG, (verb, result)
        assert f"{node.conf}:{line}: " in result.stderr, (verb, result)
    result = subprocess.run([CONTROL, "-c", node.conf], capture_output=True, text=True, timeout=60)
    assert result.returncode == CONFIG and f"{node.conf}:{line}: " in result.stderr, result
    missing = node.run("check", "-c", "/nonexistent.conf", conf=False)
    assert missing.returncode == CONFIG and "/nonexistent.conf" in missing.stderr, missing


def configuration_when_good_is_checked_and_dumped(node):
    assert node.json("check")["ok"] is True
    assert node.run("check").stdout == f"{node.conf}: OK\n"
    dump = node.run("config", "dump")
    assert dump.returncode == OK and node.folder in dump.stdout, dump
    docs = node.run("config", "dump", "--docs", conf=False)
    assert docs.returncode == OK and "heartbeat_interval" in docs.stdout, docs


def doctor_when_asked_says_what_it_found(node):
    result = node.run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert {"memory", "hugepages", "cpus", "isolation", "governor", "numa", "memlock", "client",
            "replication", "gap"} <= set(checks), checks
    bad = any(check["state"] == "bad" for check in checks.values())
    assert result.returncode == (FAILED if bad else OK), result
    with open(node.conf) as conf:
        text = conf.read()
    with open(node.conf, "w") as conf:
        conf.write(text.replace('cpus = "any"', 'cpus = "1000"'))
    result = node.run("doctor")
    assert result.returncode == FAILED and "1000" in result.stdout, result


# --- standfast with a node ---

FIELDS = {"node", "role", "mode", "epoch", "sequence", "committed", "applied", "durable", "in_sync",
          "peer", "arbiter", "last_change", "waits_for", "rejected", "control", "sessions", "ack",
          "uptime_ns"}


def status_when_the_mode_changes_follows(node):
    node.start_writer()
    status = node.json("status")
    assert FIELDS <= set(status), FIELDS - set(status)
    assert status["peer"]["heartbeat_age_ns"] is None and status["peer"]["acked"] is None
    assert status["arbiter"] == {"kind": "none", "reachable": None}
    assert status["last_change"]["at"] is None and status["control"] == "down"
    assert status["in_sync"] == ["a", "b"] and status["rejected"] == {}
    node.tell("sequence 4711")
    for mode, reason, role, name, why, primary in (
            (1, 0, "primary", "paired", "none", OK), (2, 2, "primary", "blocked", "peer_silent", OK),
            (4, 0, "primary", "alone", "none", OK),
            (0, 0, "standby", "standby", "none", FAILED),
            (6, 20, "waiting", "waiting", "wait_primary", FAILED),
            (7, 6, "learner", "learner", "catching_up", FAILED),
            (8, 25, "candidate", "candidate", "taking_over", FAILED),
            (3, 13, "halted", "halted", "bad_entry", FAILED)):
        node.tell(f"mode {mode} {reason}")
        status = node.json("status")
        assert (status["role"], status["mode"]) == (role, name), status
        assert status["last_change"]["reason"] == why and status["last_change"]["at"], status
        assert status["sequence"] == status["committed"] == status["applied"] == 4711
        assert node.run("is-primary").returncode == primary
        text = node.run("status")
        assert text.returncode == OK and name in text.stdout and "4711" in text.stdout, text


def roles_when_the_node_has_no_log_are_not_changed(node):
    """The writer's node never says that its role comes from a pair record."""
    node.start_writer()
    for verb in (["switchover"], ["init"], ["promote", "--force", "--cluster", "demo"]):
        result = node.run(*verb)
        assert result.returncode == REFUSED and "without a log" in result.stderr, result


def status_when_the_node_is_stopped_says_stuck(node):
    writer = node.start_writer()
    wait_until("the writer's first round", lambda: not node.json("status")["mode"] == "starting")
    assert node.json("status")["stuck"] is False and node.run("is-primary").returncode == OK
    writer.send_signal(signal.SIGSTOP)
    try:
        wait_until("stuck", lambda: node.json("status")["stuck"])
        assert node.run("is-primary").returncode == FAILED
    finally:
        writer.send_signal(signal.SIGCONT)
    wait_until("going again", lambda: not node.json("status")["stuck"])


def status_when_watched_prints_each_second(node):
    node.start_writer()
    watcher = subprocess.Popen([STANDFAST, "status", "--watch", "--json", "-c", node.conf],
                               stdout=subprocess.PIPE, text=True)
    node.running.append(watcher)
    for _ in range(2):
        assert json.loads(watcher.stdout.readline())["node"] == "a"


def latency_when_recorded_is_shown_and_saved(node):
    node.start_writer()
    assert node.json("latency")["stages"]["answered"]["count"] == 0
    node.tell(*(f"record 3 {1000 * i}" for i in range(1, 101)))
    node.tell("record 0 500")
    stages = node.json("latency")["stages"]
    assert list(stages) == ["sequenced", "sent", "acknowledged", "answered"], stages
    answered = stages["answered"]
    assert answered["count"] == 100 and answered["max_ns"] == 100000, answered
    assert 49500 <= answered["p50_ns"] <= 51000 and 98500 <= answered["p99_ns"] <= 100000, answered
    folder = os.path.join(node.folder, "hgrm")
    text = node.run("latency", "--hgrm", folder)
    assert text.returncode == OK and "acknowledged" in text.stdout, text
    with open(os.path.join(folder, "a-answered.hgrm")) as saved:
        assert "Total count    =          100]" in saved.read()
    assert node.run("latency", "--hgrm", "/proc/nonsense").returncode == FAILED


def counters_when_asked_name_every_block(node):
    node.start_writer()
    tree = node.json("counters")
    assert {"node", "ingress.0", "sequencer", "worker.0", "lcore.0"} <= set(tree), tree.keys()
    assert tree["sequencer"]["refused_not_primary"] == 0
    assert node.run("counters").stdout == ""
    assert "refused_not_primary" in node.run("counters", "--all").stdout


def digest_when_marked_is_found_by_sequence(node):
    node.start_writer()
    none = node.run("digest")
    assert none.returncode == FAILED and "no digest yet" in none.stderr, none
    node.tell("mark 65536 7", "mark 131072 8")
    assert node.json("digest") == {"sequence": 131072, "digest": f"{16:016x}"}
    assert node.json("digest", "--at", "65536") == {"sequence": 65536, "digest": f"{14:016x}"}
    assert node.run("digest", "--at", "1").returncode == FAILED
    assert node.run("digest", "--at", "0").returncode == FAILED
    assert node.run("digest", "--at", "current").returncode == NOT_RUNNING  # control is down


# --- standfast-control ---

def control_links_no_dpdk_library(node):
    for program in (CONTROL, STANDFAST):
        output = subprocess.run(["ldd", program], capture_output=True, text=True, check=True,
                                timeout=60).stdout
        assert "libc.so" in output and "librte" not in output, output


def control_when_the_dataplane_runs_attaches(node):
    node.start_writer()
    node.start_control()
    answer = wait_until("attached", node.attached)
    assert answer["generation"] >= 1 and answer["took_ns"] > 0, answer
    assert node.json("status")["control"] == "up"
    assert stat.S_IMODE(os.stat(node.socket).st_mode) == 0o600
    node.tell("sequence 77")
    assert node.json("digest", "--at", "current") == {"sequence": 77,
                                                      "digest": f"{2 * 1077:016x}"}
    assert node.json("digest")["sequence"] == 77


def digest_when_there_is_no_entry_yet_is_zero(node):
    node.start_writer()
    node.start_control()
    wait_until("attached", node.attached)
    assert node.json("digest", "--at", "current") == {"sequence": 0, "digest": "0" * 16}


def control_when_modes_change_lists_them(node):
    node.start_writer()
    node.start_control()
    wait_until("attached", node.attached)
    node.tell("mode 1 0", "mode 2 2")
    events = wait_until("three events", lambda: [
        event for event in [node.json("events")["events"]] if len(event) >= 3])[0]
    assert [event["event"] for event in events] == ["attached", "mode", "mode"], events
    assert [event["mode"] for event in events] == ["blocked", "paired", "blocked"], events
    assert events[2]["reason"] == "peer_silent" and "detection window" in events[2]["text"]
    assert "detection window" in node.run("events").stdout


def events_when_many_keeps_the_newest_1024(node):
    node.start_writer()
    node.start_control()
    wait_until("attached", node.attached)
    for i in range(1100):
        node.tell(f"mode {1 + i % 2} 0")
        if i % 100 == 99:  # the ring holds 1023, and control may be waiting for a CPU
            wait_until("taken", lambda: node.json("events")["total"] > i)
    tree = node.json("events")
    assert tree["total"] == 1101 and len(tree["events"]) == 1024, tree["total"]
    numbers = [event["number"] for event in tree["events"]]
    assert numbers == list(range(1101 - 1023, 1102)), numbers[:3]


def messages_when_foreign_are_dropped_and_counted(node):
    node.start_writer()
    node.start_control()
    before = wait_until("attached", node.attached)
    node.tell("foreign")
    wait_until("dropped", lambda: node.attached()["dropped_messages"] ==
               before["dropped_messages"] + 2)
    assert node.json("events")["total"] == 1


def control_when_killed_and_started_attaches_again(node):
    node.start_writer()
    first = node.start_control()
    generation = wait_until("attached", node.attached)["generation"]
    for _ in range(3):
        first.kill()
        first.wait()
        assert node.run("status").returncode == OK
        wait_until("seen to be down", lambda: node.json("status")["control"] == "down")
        assert node.run("events").returncode == NOT_RUNNING
        first = node.start_control()
        again = wait_until("attached", node.attached)["generation"]
        assert again > generation
        generation = again


def control_when_the_dataplane_is_killed_and_started_attaches_again(node):
    node.start_control()
    refused = node.request(b"ping\n")
    assert refused["ok"] is False and refused["code"] == NOT_RUNNING, refused
    incarnations = []
    for _ in range(3):
        writer = node.start_writer()
        incarnations.append(wait_until("attached", node.attached)["incarnation"])
        writer.kill()
        writer.wait()
        wait_until("lost", lambda: not node.request(b"ping\n")["ok"])
    assert incarnations == sorted(set(incarnations)), incarnations
    kinds = [event["event"] for event in node.json("events")["events"]]
    assert kinds == ["attached", "lost"] * 3, kinds


def request_when_the_dataplane_restarts_meanwhile_is_sent_again(node):
    node.start_writer()
    node.start_control()
    wait_until("attached", node.attached)
    node.tell("sequence 5", "mute")
    asking = subprocess.Popen([STANDFAST, "digest", "--at", "current", "--json", "-c", node.conf],
                              stdout=subprocess.PIPE, text=True)
    node.running.append(asking)
    # The command lies in the ring, unanswered, when the process dies.
    wait_until("sent", lambda: asking.poll() is None and busy_clients(node) >= 1)
    node.writer.kill()
    node.writer.wait()
    node.start_writer()
    node.tell("sequence 9")
    output, _ = asking.communicate(timeout=PATIENCE_S)
    assert asking.returncode == OK, output
    assert json.loads(output)["sequence"] in (0, 9), output
    assert wait_until("attached", node.attached)["sent_again"] >= 1


def busy_clients(node):
    """Connections to the operator socket that exist right now."""
    with open("/proc/net/unix") as table:
        return sum(line.rstrip().endswith(node.socket) and line.split()[5] == "03"
                   for line in table)


def request_when_the_dataplane_is_mute_ends_at_its_deadline(node):
    node.start_writer()
    node.start_control()
    wait_until("attached", node.attached)
    node.tell("mute")
    begin = time.monotonic()
    result = node.run("digest", "--at", "current")
    assert result.returncode == NOT_RUNNING and "does not answer" in result.stderr, result
    assert time.monotonic() - begin < 15
    node.tell("talk")
    assert node.run("digest", "--at", "current").returncode == OK


def control_when_started_twice_refuses_the_second(node):
    node.start_control()
    second = subprocess.run([CONTROL, "-c", node.conf], capture_output=True, text=True, timeout=60)
    assert second.returncode == FAILED and "running already" in second.stderr, second
    assert node.request(b"events\n")["ok"], "the first one serves on"


def control_when_told_to_stop_exits_0_and_tidies_up(node):
    control = node.start_control()
    control.send_signal(signal.SIGTERM)
    assert control.wait(timeout=PATIENCE_S) == 0
    assert not os.path.exists(node.socket)


def control_when_sent_nonsense_answers_and_lives(node):
    control = node.start_control()
    seed = int.from_bytes(os.urandom(4), "little")
    print("seed", seed)
    draw = random.Random(seed)
    lines = [b"\n", b"ping ping\n", b"digest\n", b"\0\0\n", b"{}\n", b"digest current extra\n",
             b"x" * 255 + b"\n", b"x" * 256, b"x" * 100000 + b"\n"]
    lines += [bytes(draw.randrange(256) for _ in range(draw.randrange(1, 300))) + b"\n"
              for _ in range(200)]
    for line in lines:
        answer = node.request(line)
        # A long line may be answered and closed while it is still being sent.
        assert answer is None or (answer["ok"] is False and answer["code"] == USAGE), (line, answer)
    for _ in range(50):  # clients that leave in the middle
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(node.socket)
            connection.sendall(draw.choice([b"", b"eve", b"events\n", b"ping\n"]))
    # Those that just left may still count as connections for a moment.
    wait_until("it answers", lambda: (node.request(b"events\n") or {}).get("ok"))
    assert control.poll() is None


def control_when_clients_hang_serves_others_again(node):
    control = node.start_control()
    hanging = []
    try:
        for _ in range(40):
            connection = socket.socket(socket.AF_UNIX)
            hanging.append(connection)
            connection.connect(node.socket)
            connection.settimeout(PATIENCE_S)
        refused = hanging[-1].recv(4096)
        assert b"too many connections" in refused, refused
        wait_until("the hanging ones time out", lambda: (node.request(b"events\n") or {}).get("ok"))
    finally:
        for connection in hanging:
            connection.close()
    assert control.poll() is None


def control_when_the_memory_file_is_damaged_waits(node):
    control = node.start_control()
    path = os.path.join(node.folder, "a.shm")
    for content in (b"", b"x" * 100, b"\xff" * 8192, bytes(8192)):
        with open(path, "wb") as file:
            file.write(content)
        assert node.run("status").returncode == NOT_RUNNING
        assert node.request(b"events\n")["ok"]
    node.start_writer()
    wait_until("attached", node.attached)
    assert control.poll() is None


TESTS = [value for name, value in list(globals().items())
         if callable(value) and getattr(value, "__code__", None)
         and value.__code__.co_varnames[:1] == ("node",) and value.__code__.co_argcount == 1
         and name not in ("busy_clients",)]


def main():
    wanted = sys.argv[4:]
    failed = 0
    for test in TESTS:
        if wanted and test.__name__ not in wanted:
            continue
        node = Node()
        begin = time.monotonic()
        try:
            test(node)
            print(f"ok      {time.monotonic() - begin:6.2f} s  {test.__name__}", flush=True)
        except Exception as error:  # each test is told, then the next one runs
            failed += 1
            print(f"FAILED  {time.monotonic() - begin:6.2f} s  {test.__name__}: {error!r}")
            if os.path.exists(node.log):
                with open(node.log) as log:
                    print(log.read())
        finally:
            node.close()
    sys.exit(1 if failed else 0)


main()
