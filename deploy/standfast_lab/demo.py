#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""deploy/demo: the story of a pair under load, with figures; see deploy/demo."""
import argparse
import datetime
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), ".."))
from standfast_lab import host, plot                            # noqa: E402
from standfast_lab.pair import Lab                              # noqa: E402
from standfast_lab.process import LabError, wait_for            # noqa: E402

FAILED, BROKEN = 1, 4
MOST_RATE = 10_000          # enough to see, little enough to have room after an outage
HEAL_AFTER_S = 0.5          # of serving alone


class Broken(Exception):
    """An invariant that did not hold."""


def say(text=""):
    print(text, flush=True)


def us(ns):
    return f"{ns / 1e3:,.0f} us" if ns < 10e6 else f"{ns / 1e6:,.0f} ms"


def ms(seconds):
    return f"{seconds * 1e3:,.0f} ms"


def note(text):
    say(f"           {text}")


def event_at(node, since, mode):
    """When the node first came into a mode after a moment: unix seconds, or None."""
    for event in node.ask("events")["events"]:
        if event["event"] == "mode" and event["mode"] == mode:
            at = datetime.datetime.fromisoformat(event["at"]).timestamp()
            if at >= since:
                return at
    return None


class Story:
    def __init__(self, options):
        self.options = options
        self.load_begin = 0.0       # of the open loop, unix seconds
        self.load_seconds = 0.0
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
        """The load goes on until the last chapter is over, however slow this machine is."""
        seconds = self.options.seconds
        before = self.sequence()
        process = self.start_bench("open", "--rate", rate, "--duration", f"{3 * seconds + 120}s",
                                   "--drain", "60s", "--trace")
        try:
            wait_for("the load", 30, lambda: process.poll() is not None
                     or self.sequence() > before + rate // 10)
            begin = self.load_begin = time.time()
            self.wait_until(begin + seconds * 0.12)
            killed = self.takeover()
            self.wait_until(begin + seconds * 0.27)
            self.rejoin(killed, rate)
            self.wait_until(begin + seconds * 0.5)
            self.switchover()
            self.wait_until(begin + seconds * 0.6)
            self.cut()
            self.wait_until(begin + seconds * 0.8)
            self.bad_link(begin + seconds * 0.93)
            self.wait_until(begin + seconds)
            if process.poll() is not None:
                raise LabError("the load ended before its time")
            self.load_seconds = time.time() - begin
            process.send_signal(signal.SIGINT)
            return self.finish_bench("open", process, 60)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def sequence(self):
        return self.lab.wait_primary().status()["sequence"]

    def both(self):
        """(primary, the other node)"""
        primary = self.lab.wait_primary()
        return primary, self.lab.nodes["b" if primary.name == "a" else "a"]

    @staticmethod
    def wait_until(moment):
        time.sleep(max(0, moment - time.time()))

    def tell(self, begin, text):
        say(f"  {begin - self.load_begin:5.1f} s  {text}")

    def event(self, key, name, begin, end, **more):
        """For the picture and the summary; times in unix seconds."""
        self.events.append({"key": key, "name": name, "from": begin, "to": end, **more})

    def takeover(self):
        primary, standby = self.both()
        begin = time.time()
        primary.kill()
        self.tell(begin, f"SIGKILL to both processes of {primary.name}, the primary")
        status = wait_for(f"{standby.name} to take over", 60, lambda: standby.is_primary()
                          and standby.status())
        serving = event_at(standby, begin, "alone") or time.time()
        noticed = event_at(standby, begin, "candidate") or serving
        self.tell(serving, f"{standby.name} has taken over and serves alone, {ms(serving - begin)} "
                  "after the kill:")
        note(f"{ms(noticed - begin)} of silence, then {ms(serving - noticed)} for the arbiter's word "
             "and to make its log durable")
        self.event("takeover", f"{primary.name} killed", begin, serving, noticed=noticed)
        self.summary["takeover"] = {"killed": primary.name, "primary": standby.name,
                                    "noticed_ms": round((noticed - begin) * 1e3, 3),
                                    "serving_ms": round((serving - begin) * 1e3, 3)}
        return primary, status["sequence"]

    def rejoin(self, killed, rate):
        node, held = killed
        begin = time.time()
        node.start_dataplane()
        node.start_control()
        self.tell(begin, f"{node.name} is started again, under load")
        node.wait_running()
        self.lab.wait_paired(60)
        level = event_at(node, begin, "standby") or time.time()
        learner = event_at(node, begin, "learner") or begin
        entries = self.sequence() - held
        per_second = entries / max(level - learner, 1e-3)
        self.tell(level, f"{node.name} is level and the standby, {ms(level - begin)} after its start:")
        note(f"{ms(learner - begin)} to start and to read its own log, {ms(level - learner)} to learn "
             "what it had missed,")
        note(f"{entries:,} entries: {per_second:,.0f} a second, {per_second / rate:.0f} times the "
             "load")
        self.event("rejoin", f"{node.name} back", begin, level, good=True)
        self.summary["rejoin"] = {
            "node": node.name, "entries": entries, "entries_per_second": round(per_second),
            "start_ms": round((learner - begin) * 1e3, 3),
            "catch_up_ms": round((level - learner) * 1e3, 3)}

    def switchover(self):
        primary, standby = self.both()
        begin = time.time()
        result = primary.ask("switchover")
        wait_for(f"{standby.name} to serve", 20, standby.is_primary)
        end = event_at(standby, begin, "alone") or time.time()
        self.lab.wait_paired()
        self.tell(begin, f"planned switchover from {primary.name} to {standby.name}: done after "
                  f"{ms(result['took_ns'] / 1e9)}, with no request in doubt")
        self.event("switchover", "switchover", begin, end)
        self.summary["switchover"] = {"to": standby.name, "took_ns": result["took_ns"]}

    def cut(self):
        begin = time.time()
        self.lab.tell_relay("cut both")
        alone = wait_for("one node to go on alone", 20, lambda: next(
            (n for n in self.lab.nodes.values() if n.status()["mode"] == "alone"), None))
        serving = event_at(alone, begin, "alone") or time.time()
        self.tell(begin, f"the replication link is cut: the arbiter lets one of them go on; "
                  f"{alone.name} serves alone after {ms(serving - begin)}")
        time.sleep(HEAL_AFTER_S)
        mended = time.time()
        self.lab.tell_relay("heal")
        self.lab.wait_paired()
        end = time.time()
        self.tell(mended, f"the link is whole; the other node is level and the standby after "
                          f"{ms(end - mended)}")
        self.event("link_cut", "link cut", begin, serving, mended=mended)
        self.summary["link_cut"] = {"primary": alone.name,
                                    "serving_ms": round((serving - begin) * 1e3, 3),
                                    "level_ms": round((end - mended) * 1e3, 3)}

    def bad_link(self, until):
        begin = time.time()
        before = self.lab.tell_relay("stats")
        self.lab.tell_relay("set both loss=0.1 dup=0.1 reorder=0.1")
        self.tell(begin, "10 % of the replication frames are lost, 10 % doubled, 10 % out of order")
        self.wait_until(until)
        self.lab.tell_relay("clear both")
        stats = self.lab.tell_relay("stats")
        lost = sum(stats[way]["lost"] - before[way]["lost"] for way in ("a-b", "b-a"))
        self.tell(time.time(), f"the link is good again; {lost:,} frames were lost")
        self.event("bad_link", "bad link", begin, time.time())
        self.summary["relay"] = stats

    def tell_result(self, result):
        """What the clients saw of it all, by their own clock."""
        say()
        say(f"What the clients saw: {result['sent']:,} updates sent, {result['answered']:,} answered, "
            f"{result['lost_after_ack']} lost, {result['applied_twice']} applied twice;")
        say(f"  {result['retried']:,} were asked for again meanwhile; p50 {us(result['p50_ns'])}, p99 "
            f"{us(result['p99_ns'])}, worst {us(result['max_ns'])}")
        say("  longest time without any answer, around each event:")
        for event, gap_ns in zip(self.events, plot.gaps(self.out, self.events)):
            event["gap_ms"] = round(gap_ns / 1e6, 3)
            if event["key"] in self.summary:
                self.summary[event["key"]]["gap_ms"] = event["gap_ms"]
            say(f"    {event['name']:<12} {us(gap_ns):>10}")

    def compare(self):
        sequence, digest_a, digest_b = self.lab.digests()
        self.summary["digests"] = {"sequence": sequence, "a": digest_a, "b": digest_b}
        if digest_a != digest_b:
            raise Broken(f"the nodes differ at sequence {sequence}: {digest_a} and {digest_b}")
        return sequence, digest_a

    def kill_both(self, sequence, digest):
        """A power cut, as far as processes can have one: both start again from their own logs."""
        nodes = self.lab.nodes.values()
        last = self.lab.wait_primary().name
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
        primary = self.lab.wait_primary().name
        if primary != last:
            raise Broken(f"{last} was primary before both were killed, {primary} is now")
        snapshot = self.lab.a.status()["log"]["checkpoint"]["snapshot"]
        say()
        say(f"Both nodes killed at once, and started again: PAIRED after {seconds:.1f} s, the "
            f"programs' own start included; {primary} is primary, as before.")
        say(f"  each read its log{f' from its snapshot at {snapshot:,} on' if snapshot else ''}: "
            f"digest {new_digest} at sequence {again:,}, as before")
        self.summary["killed"] = {"primary": primary, "seconds": round(seconds, 3), "sequence": again,
                                  "digest": new_digest}

    def save_figures(self, rate):
        """Stage histograms, counters and the picture."""
        stages = os.path.join(self.out, "stages")
        os.makedirs(stages, exist_ok=True)
        self.lab.wait_primary().ask("latency", "--hgrm", stages)
        for name, node in self.lab.nodes.items():
            with open(os.path.join(self.out, f"counters-{name}.json"), "w") as file:
                json.dump(node.counters(), file, indent=1)
        curves = [(f"{rate:,} a second, with all that happened", "open"),
                  ("one at a time", "closed-1"),
                  ("256 under way", "closed-256")]
        found = [(title, path) for title, folder in curves
                 for path in glob.glob(f"{self.out}/{folder}/*-intended.hgrm*")]
        return plot.draw(self.out, rate, self.load_seconds, self.events, found)

    # --- the whole ---

    def tell_all(self):
        begin = time.time()
        say(f"Prepared in {self.options.prepared_us / 1e6:.1f} s (packages and build).")
        self.lab.up()
        status = self.lab.a.status()
        say(f"A pair of nodes is up after {time.time() - begin:.1f} s: a is primary, b its standby, "
            f"over shared-memory ports, {'' if status['hugepages'] else 'no '}hugepages.")
        say("An update is answered when the standby has it. A file is the arbiter: it keeps the "
            "record of who may serve.")
        say("A node that is silent for 1.0 s counts as lost, and a standby waits 0.2 s more, so that "
            "its primary comes first:")
        say("these settings are for a machine that others use too; with cores of their own they are "
            "milliseconds.")
        say()
        say("Closed loop, without faults:")
        most = self.closed_loop()
        rate = int(min(MOST_RATE, max(100, most / 4)) // 100 * 100)
        say()
        say(f"Open loop, {rate:,} updates a second, whatever happens:")
        result = self.open_loop(rate)
        self.tell_result(result)
        sequence, digest = self.compare()
        say(f"  both nodes hold the same: digest {digest} at sequence {sequence:,}")
        no_picture = self.save_figures(rate)
        self.kill_both(sequence, digest)
        say()
        say(f"Latency files: {self.out}/open/*.hgrm and *.hlog, closed-*/, stages/ (inside the "
            "primary)")
        say(f"Picture: {no_picture or self.out + '/latency.png'}")
        say(f"The requests around the takeover: {self.out}/failover.csv")
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
        with host.without_autogroup():
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
