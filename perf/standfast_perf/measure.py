# SPDX-License-Identifier: BSD-3-Clause
"""What the benches share: medians with their intervals, children that are always ended, machine."""
import contextlib
import os
import platform
import random
import signal
import subprocess


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def median_interval(values, resamples=2000):
    """Median with the 95 % interval of its bootstrap; the same for the same values."""
    dice = random.Random(1)
    medians = sorted(median(dice.choices(values, k=len(values))) for _ in range(resamples))
    return median(values), medians[int(0.025 * resamples)], medians[int(0.975 * resamples)]


class Child:
    """A process that is ended with the block, however the block ends."""

    def __init__(self, arguments, log, **options):
        self.log = open(log, "w", encoding="utf-8")
        self.process = subprocess.Popen(
            arguments, stderr=self.log, stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", self.log), **options
        )

    def signal(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def first_line(path, beginning):
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.startswith(beginning):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "unknown"


def machine():
    """Where this was measured; the load says how busy the machine was with other work."""
    return {
        "cpu": first_line("/proc/cpuinfo", "model name"),
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "memory": first_line("/proc/meminfo", "MemTotal"),
        "hugepages_free": first_line("/proc/meminfo", "HugePages_Free"),
        "load_before": round(os.getloadavg()[0], 2),
    }


@contextlib.contextmanager
def hugepages(wanted):
    """As on a host that is set up for it (2 MiB pages); what was there before comes back. Without the
    right to ask the kernel, what there is has to do. Yields how many are free."""
    path = "/proc/sys/vm/nr_hugepages"
    before = int(first_line("/proc/meminfo", "HugePages_Total") or 0)
    free = free_hugepages()
    asked = wanted > free and os.access(path, os.W_OK)
    if asked:
        set_hugepages(path, before + wanted - free)
    try:
        yield free_hugepages()
    finally:
        if asked:
            set_hugepages(path, before)


def free_hugepages():
    found = first_line("/proc/meminfo", "HugePages_Free")
    return int(found) if found.isdigit() else 0


def set_hugepages(path, count):
    with open(path, "w", encoding="ascii") as file:
        file.write(str(count))
