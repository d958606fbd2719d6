#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""deploy/demo: the story of a pair under load, with figures; see deploy/demo."""
import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), ".."))
from standfast_lab import plot                                  # noqa: E402
from standfast_lab.pair import Lab                              # noqa: E402
from standfast_lab.process import LabError, wait_for            # noqa: E402

FAILED, BROKEN = 1, 4
MOST_RATE = 10_000          # enough to see, little enough to have room after an outage
HEAL_AFTER_S = 0.5          # of being BLOCKED


class Broken(Exception):
    """An invariant that did not hold."""


def say(text=""):
    print(text, flush=True)


def us(ns):
    return f"{ns / 1e3:,.0f} us" if ns < 10e6 else f"{ns / 1e6:,.0f} ms"


class Story:
    def __init__(self, options):
        self.options = options
        self.load_begin = 0.0       # of the open loop, unix seconds
        self.out = os.path.realpath(options.out or tempfile.mkdtemp(prefix="standfast-demo-"))
        os.makedirs(self.out, exist_ok=True)
        self.lab = Lab(tempfile.mkdtemp(prefix="sf-demo-"))
        self.events = []
        self.summary = {"ok": False, "prepare_seconds": options.prepared_us / 1e6,
                        "events": self.events}

    # --- load ---

    def start_bench(self, name, *arguments):
        return subprocess.Popen(
            self.lab.bench_command("--json", "--out", os.path.join(self.out, name), *arguments),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish_bench(self, name, process, seconds):
        out, errors = process.communicate(timeout=seconds + 60)
        try:
            result = json.loads(out)
        except ValueError:
            raise LabError(f"standfast-bench, exit {process.returncode}: {errors.strip()}")
        self.summary[name] = result
        if not result["promises_kept"]:
            raise Broken(f"{name}: {result['lost_after_ack']} acknowledged updates lost, "
                         f"{result['applied_twice']} applied twice (standfast-bench: "
                         f"{errors.strip()})")
        if not result["answered_all"]:
            raise LabError(f"{name}: {result['sent'] - result['answered']} requests have no answer")
        return result

    def bench(self, name, seconds, *arguments):
        process = self.start_bench(name, "--duration", f"{seconds}s", *arguments)
        return self.finish_bench(name, process, seconds)

    # --- chapters ---

    def closed_loop(self):
        one = self.bench("closed-1", 2, "--outstanding", 1)
        say(f"  one update at a time      p50 {us(one['p50_ns'])}, p99 {us(one['p99_ns'])}, "
            f"{one['rate']:,.0f} a second")
        many = self.bench("closed-256", 3, "--outstanding", 256)
        say(f"  always 256 under way      p50 {us(many['p50_ns'])}, p99 {us(many['p99_ns'])}, "
            f"{many['rate']:,.0f} a second")
        return many["rate"]

    def open_loop(self, rate):
        seconds = self.options.seconds
        before = self.lab.a.status()["sequence"]
        process = self.start_bench("open", "--rate", rate, "--duration", f"{seconds}s", "--trace")
        wait_for("the load", 30, lambda: process.poll() is not None
                 or self.lab.a.status()["sequence"] > before + rate // 10)
        begin = self.load_begin = time.time()
        self.wait_until(begin + seconds * 0.2)
        self.trouble("link cut", "the replication link is cut, both ways",
                     lambda: self.lab.tell_relay("cut both"), lambda: self.lab.tell_relay("heal"))
        self.wait_until(begin + seconds * 0.5)
        self.trouble("standby paused", "the standby's processes are paused",
                     self.lab.b.pause, self.lab.b.resume)
        self.wait_until(begin + seconds * 0.75)
        self.bad_link(begin + seconds * 0.9)
        self.tell(time.time(), "no more faults")
        return self.finish_bench("open", process, seconds)

    @staticmethod
    def wait_until(moment):
        time.sleep(max(0, moment - time.time()))

    def tell(self, begin, text):
        say(f"  {begin - self.load_begin:5.1f} s  {text}")

    def trouble(self, name, text, break_it, mend_it):
        """Breaks, waits until the primary has noticed, mends, waits until the pair is level."""
        begin = time.time()
        break_it()
        wait_for("the primary to notice", 20,
                 lambda: self.lab.a.status()["mode"] == "blocked")
        noticed = time.time()
        self.tell(begin, f"{text}; noticed after {noticed - begin:.1f} s: BLOCKED, no update is "
                         "acknowledged")
        time.sleep(HEAL_AFTER_S)
        mended = time.time()
        mend_it()
        self.lab.wait_paired()
        end = time.time()
        status = self.lab.a.status()
        self.tell(mended, f"mended; PAIRED and level again after {(end - mended) * 1e3:.0f} ms, at "
                          f"sequence {status['sequence']:,}")
        self.events.append({"name": name, "from": begin, "noticed": noticed, "mended": mended,
                            "to": end})

    def bad_link(self, until):
        begin = time.time()
        self.lab.tell_relay("set both loss=0.1 dup=0.1 reorder=0.1")
        self.tell(begin, "10 % of the replication frames are lost, 10 % doubled, 10 % out of order")
        self.wait_until(until)
        self.lab.tell_relay("clear both")
        stats = self.lab.tell_relay("stats")
        self.tell(time.time(), "the link is good again; the relay has lost "
                  f"{sum(stats[w]['lost'] + stats[w]['cut'] for w in ('a-b', 'b-a')):,} frames")
        self.events.append({"name": "bad link", "from": begin, "to": time.time()})
        self.summary["relay"] = stats

    def compare(self):
        sequence, digest_a, digest_b = self.lab.digests()
        self.summary["digests"] = {"sequence": sequence, "a": digest_a, "b": digest_b}
        if digest_a != digest_b:
            raise Broken(f"the nodes differ at sequence {sequence}: {digest_a} and {digest_b}")
        return sequence, digest_a

    def kill_both(self, sequence, digest):
        """A power cut, as far as processes can have one: both start again from their own logs."""
        nodes = self.lab.nodes.values()
        for node in nodes:
            node.kill()
        begin = time.time()
        for node in nodes:
            node.start_dataplane()
            node.start_control()
        for node in nodes:
            node.wait_running()
        self.lab.wait_paired()
        seconds = time.time() - begin
        again, new_digest = self.compare()
        if (again, new_digest) != (sequence, digest):
            raise Broken(f"after the kill both hold {new_digest} at sequence {again}")
        snapshot = self.lab.a.status()["log"]["checkpoint"]["snapshot"]
        say()
        say(f"Both nodes killed with SIGKILL, and started again: PAIRED after {seconds:.1f} s, the "
            f"programs' own start included.")
        say(f"  each read its log{f' from its snapshot at {snapshot:,} on' if snapshot else ''}: "
            f"digest {new_digest} at sequence {again:,}, as before")
        self.summary["killed"] = {"seconds": round(seconds, 3), "sequence": again,
                                  "digest": new_digest}

    def save_figures(self, rate):
        """Stage histograms, counters and the picture."""
        stages = os.path.join(self.out, "stages")
        os.makedirs(stages, exist_ok=True)
        self.lab.a.ask("latency", "--hgrm", stages)
        for name, node in self.lab.nodes.items():
            with open(os.path.join(self.out, f"counters-{name}.json"), "w") as file:
                json.dump(node.counters(), file, indent=1)
        curves = [(f"open loop, {rate:,} a second, with the faults", "open"),
                  ("closed loop, 1 under way", "closed-1"),
                  ("closed loop, 256 under way", "closed-256")]
        found = [(title, path) for title, folder in curves
                 for path in glob.glob(f"{self.out}/{folder}/*-intended.hgrm*")]
        return plot.draw(self.out, rate, self.options.seconds + 0.5, self.events, found)

    # --- the whole ---

    def tell_all(self):
        begin = time.time()
        say(f"Prepared in {self.options.prepared_us / 1e6:.1f} s (packages and build).")
        self.lab.up()
        status = self.lab.a.status()
        say(f"A pair of nodes is up after {time.time() - begin:.1f} s: a is primary, b "
            f"its standby, over shared-memory ports, {'' if status['hugepages'] else 'no '}"
            "hugepages.")
        say("An update is answered when the standby has it.")
        say()
        say("Closed loop, without faults:")
        most = self.closed_loop()
        rate = int(min(MOST_RATE, max(100, most / 4)) // 100 * 100)
        say()
        say(f"Open loop, {rate:,} updates a second for {self.options.seconds} s, whatever happens:")
        result = self.open_loop(rate)
        say(f"  {result['sent']:,} updates sent, {result['answered']:,} answered: "
            f"{result['lost_after_ack']} lost, {result['applied_twice']} applied twice; "
            f"{result['retried']:,} were asked for again meanwhile")
        say(f"  p50 {us(result['p50_ns'])}, p99 {us(result['p99_ns'])}, worst {us(result['max_ns'])}"
            f"; longest time without an answer {us(result['longest_gap_ns'])}")
        sequence, digest = self.compare()
        say(f"  both nodes hold the same: digest {digest} at sequence {sequence:,}")
        no_picture = self.save_figures(rate)
        self.kill_both(sequence, digest)
        say("Takeover by the standby comes in a later version: this one takes the roles from the "
            "configuration.")
        say()
        say(f"Latency files: {self.out}/open/*.hgrm and *.hlog, closed-*/, stages/ (inside the "
            "primary)")
        say(f"Picture: {no_picture}" if no_picture else f"Picture: {self.out}/latency.png")
        say(f"Summary: {self.out}/summary.json")
        self.summary["ok"] = True

    def end(self):
        with open(os.path.join(self.out, "summary.json"), "w") as file:
            json.dump(self.summary, file, indent=1)
        if self.options.keep and self.lab.is_up:
            say(f"The pair stays up: deploy/lab status|down --dir {self.lab.dir}")
        else:
            self.lab.down()


def main():
    parser = argparse.ArgumentParser(prog="deploy/demo")
    parser.add_argument("--seconds", type=int, default=20, help="of the open loop (20)")
    parser.add_argument("--out", help="folder of results (a new one)")
    parser.add_argument("--keep", action="store_true", help="leave the pair running")
    parser.add_argument("--prepared-us", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.seconds < 10:
        parser.error("--seconds: at least 10, for the faults to fit in")
    story, why, code = Story(options), None, 0
    try:
        story.tell_all()
    except Broken as error:
        why, code = str(error), BROKEN
    except (LabError, subprocess.TimeoutExpired, OSError) as error:
        why, code = str(error), FAILED
    if why:
        say(f"The nodes at that time:\n{story.lab.modes_text()}" if story.lab.is_up else "")
        story.summary["failed"] = why
    story.end()
    print(f"demo: FAILED: {' '.join(why.split())}" if why else "demo: OK")
    return code


if __name__ == "__main__":
    sys.exit(main())
