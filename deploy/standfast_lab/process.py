# SPDX-License-Identifier: BSD-3-Clause
"""Processes that outlive the command that started them.

A process is known by a file with its pid, its start time and its program. Only a process that still
matches all three is ever signalled, so a reused pid can not hit a stranger.
"""
import json
import os
import signal
import subprocess
import time


class LabError(Exception):
    """Something that a person can do something about; the text is the whole message."""

    def __init__(self, text, code=1):
        super().__init__(text)
        self.code = code


def wait_for(what, seconds, check, interval=0.02):
    """Gives the first true answer of check(); LabError when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {seconds:g} s")
        time.sleep(interval)


def tail(path, lines=15):
    """The last lines of a log, for a message."""
    try:
        with open(path, errors="replace") as file:
            return "".join(file.readlines()[-lines:]).rstrip()
    except FileNotFoundError:
        return ""


def _start_ticks(pid):
    """When the process started, in ticks since boot; None when it is gone or all its threads are."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The first thread is a zombie from its own end on, while others still have memory to give back.
    ended = fields[0] in "ZX" and int(fields[17]) <= 1
    return None if ended else int(fields[19])


def _program(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def _reap(pid):
    """Collects a child of ours; somebody else's is its parent's affair. Its status, or None."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if done else None


class Process:
    def __init__(self, directory, name):
        self.name = name
        self.pid_file = os.path.join(directory, name + ".pid")
        self.log = os.path.join(directory, name + ".log")
        self.exit_code = None       # known only to the process that started it

    def start(self, argv, namespace=None, environment=None):
        """Starts argv, in a network namespace if one is named; its output goes to the log."""
        if self.pid():
            raise LabError(f"{self.name} runs already (pid {self.pid()})")
        program = os.path.realpath(argv[0])
        prefix = ["nsenter", "--net=/run/netns/" + namespace] if namespace else []
        self.exit_code = None
        with open(self.log, "ab") as log:
            child = subprocess.Popen(prefix + argv, stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=log, start_new_session=True,
                                     env={**os.environ, **(environment or {})})
        child.returncode = 0        # else Popen warns that nobody waits for it; _reap does
        # nsenter becomes the program; a pid file written before that would not match.
        wait_for(f"start of {self.name}", 10,
                 lambda: _program(child.pid) == program or _start_ticks(child.pid) is None)
        record = {"pid": child.pid, "start": _start_ticks(child.pid), "program": program}
        with open(self.pid_file + "~", "w") as file:
            json.dump(record, file)
        os.rename(self.pid_file + "~", self.pid_file)

    def pid(self):
        """The pid while the very process lives, else None."""
        try:
            with open(self.pid_file) as file:
                record = json.load(file)
        except FileNotFoundError:
            return None
        pid = record["pid"]
        if record["start"] is not None and _start_ticks(pid) == record["start"] \
                and _program(pid) in (record["program"], None):     # None: it is ending
            return pid
        code = _reap(pid)
        if code is not None:
            self.exit_code = code
        return None

    def signal(self, number):
        """False when it does not run."""
        pid = self.pid()
        if pid:
            os.kill(pid, number)
        return bool(pid)

    def paused(self):
        pid = self.pid()
        if not pid:
            return False
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "T"

    def wait_gone(self, seconds):
        wait_for(f"end of {self.name}", seconds, lambda: self.pid() is None)

    def kill(self):
        """At once; true when it had run."""
        ran = self.signal(signal.SIGKILL)
        self.wait_gone(60)      # one that waits for its disk ends with that
        return ran

    def stop(self, seconds=10):
        """Asks it to end, paused or not; kills it when it does not listen."""
        if self.signal(signal.SIGTERM):
            self.signal(signal.SIGCONT)
        try:
            self.wait_gone(seconds)
        except LabError:
            self.kill()

    def memory_kib(self):
        """Resident memory of its own: without files and shared memory that others fill."""
        with open(f"/proc/{self.pid()}/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        return sum(int(fields[key].split()[0]) for key in ("RssAnon", "RssShmem"))

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid()}/fd"))
