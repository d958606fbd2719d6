#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""standfast-bench over kernel UDP against the reference pair (reference_node.py).

test_bench_udp.py BENCH

Quiet, lossy and changing pairs; the files of --out; the exit codes. The reference pair is slow, so
nothing here is about speed.
"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
NODE = os.path.join(HERE, "reference_node.py")
LIMIT_S = 120


class Pair:
    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, NODE, "--ports", "0,0", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        self.nodes = [f"127.0.0.1:{port}" for port in words[1:3]]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def run(bench, nodes, *arguments):
    result = subprocess.run(
        [bench, "--to", "udp:" + ",".join(nodes), "--json", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S)
    print(" ".join(arguments), "->", result.returncode)
    print(result.stderr.strip(), flush=True)
    return result.returncode, json.loads(result.stdout) if result.stdout else {}


def expect(code, summary, wanted_code=0, **wanted):
    promised = dict(lost_after_ack=0, applied_twice=0, wrong_values=0, wrong_order=0,
                    stale_reads=0, differing_repeats=0, bad_answers=0, unchecked_assets=0)
    wanted = {**promised, **wanted} if summary else wanted
    wrong = {key: summary.get(key) for key, value in wanted.items() if summary.get(key) != value}
    if code != wanted_code or wrong:
        raise AssertionError(f"exit {code}, {wrong}")


def quiet_pair(bench):
    with Pair() as pair:
        expect(*run(bench, pair.nodes, "--updates", "3000", "--assets", "20"),
               sent=3000, acked=3000, unanswered=0)
        # The same assets again, not new any more, and the primary named last.
        expect(*run(bench, pair.nodes[::-1], "--updates", "3000", "--assets", "20", "--outstanding",
                    "150", "--batch", "10", "--reads", "25"), sent=3000, sessions=3, unanswered=0)


def bad_pair(bench):
    with Pair("--lose", "0.05", "--repeat", "0.05", "--takeover-every", "1500", "--seed",
              str(os.getpid())) as pair:
        code, summary = run(bench, pair.nodes, "--updates", "6000", "--assets", "30",
                            "--outstanding", "100", "--reads", "20", "--drain", "30s")
        expect(code, summary, sent=6000, answered=6000, unanswered=0)
        assert summary["retried"] > 0 and summary["target_changes"] > 0, summary


def files_of_out(bench):
    with Pair() as pair, tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        code, summary = run(bench, pair.nodes, "--rate", "500", "--duration", "1500ms", "--assets",
                            "20", "--out", out, "--trace")
        expect(code, summary, sent=750, acked=750, rate_asked=500)
        mark = "" if summary["rate_reached"] else ".FAIL"
        run_name = "bench_rate=500_burst=1_len=8"
        names = {f"{run_name}-intended.hgrm{mark}", f"{run_name}-actual.hgrm{mark}",
                 f"{run_name}.hlog{mark}", "summary.json", "env.json", "trace.csv"}
        assert set(os.listdir(out)) == names, os.listdir(out)
        with open(os.path.join(out, "summary.json")) as file:
            assert json.load(file) == summary
        with open(os.path.join(out, "env.json")) as file:
            assert json.load(file)["cpus"] >= 1
        with open(os.path.join(out, "trace.csv")) as file:
            lines = file.read().split()
        assert lines[0] == "request_ts_ns,response_ts_ns" and len(lines) == 751
        times = sorted(int(line.split(",")[0]) for line in lines[1:])
        assert all(b - a == 2000000 for a, b in zip(times, times[1:])), "the plan is not even"
        with open(os.path.join(out, f"{run_name}.hlog{mark}")) as file:
            intervals = [line for line in file if line.startswith("Tag=intended,")]
        assert len(intervals) >= 2, intervals


def exit_codes(bench):
    code, _ = run(bench, ["127.0.0.1:9"], "--drain", "300ms", "--updates", "1")
    assert code == 3, code
    for arguments in ([], ["--rate", "0"], ["--bogus"], ["--rate", "10", "--outstanding", "2"],
                      ["--payload", "64"], ["--batch", "1000"], ["--duration", "-1s"], ["word"]):
        command = [bench, *(["--to", "udp:127.0.0.1:9"] if arguments else []), *arguments]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=LIMIT_S)
        assert result.returncode == 2 and result.stderr, (arguments, result.returncode)


def stopped_by_signal(bench):
    """SIGTERM ends the load, and what was sent is still checked."""
    with Pair() as pair:
        process = subprocess.Popen(
            [bench, "--to", "udp:" + ",".join(pair.nodes), "--json", "--duration", "100s",
             "--assets", "5"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            process.communicate(timeout=1)
        except subprocess.TimeoutExpired:
            process.terminate()
        out, _ = process.communicate(timeout=30)
        expect(process.returncode, json.loads(out), unanswered=0)


def main():
    if not os.path.exists(NODE):
        print("skipped: reference_node.py is not in this tree")
        return 77
    bench = os.path.abspath(sys.argv[1])
    for check in (quiet_pair, bad_pair, files_of_out, exit_codes, stopped_by_signal):
        print(f"== {check.__name__}", flush=True)
        check(bench)
    return 0


if __name__ == "__main__":
    sys.exit(main())
