# SPDX-License-Identifier: BSD-3-Clause
"""What the machine must allow for a pair to share its CPUs."""
import contextlib

# Linux 6.18 was seen to charge a thread that yields all the time hardly anything when its session
# is a scheduling group of its own: the kernel's threads on that CPU, which complete writes and syncs,
# stood still for up to minutes, and nodes stood there as with a dead disk.
AUTOGROUP = "/proc/sys/kernel/sched_autogroup_enabled"
HINT = "sysctl kernel.sched_autogroup_enabled=0"


def autogroup():
    """True when every session is a scheduling group of its own."""
    try:
        with open(AUTOGROUP) as file:
            return file.read().strip() == "1"
    except OSError:
        return False


@contextlib.contextmanager
def without_autogroup():
    """Off meanwhile, where we may; as it was afterwards."""
    was_on = autogroup()
    try:
        if was_on:
            _set("0")
        yield
    finally:
        if was_on:
            _set("1")


def _set(value):
    with contextlib.suppress(OSError), open(AUTOGROUP, "w") as file:
        file.write(value)
