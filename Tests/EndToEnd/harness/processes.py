"""Processes, ports and waiting."""

import ctypes
import os
import pathlib
import signal
import socket
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
BUILD = REPOSITORY / ".build-tests"

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def end_with_us():
    """For `preexec_fn`: the child is told to stop when the tests are killed and can no longer stop it themselves."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port():
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, seconds=120.0, every=0.05):
    """Returns the first true value of `condition()`; fails, naming `what`, when there is none in time.

    The time is for what hangs, not a promise: machines stand still for seconds.
    """
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"not within {seconds} s: {what} (last seen: {value!r})")
        time.sleep(every)


def port_answers(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def processes_of(folder):
    """`{pid: command line}` of all processes but ours whose arguments or working directory lie in the folder."""
    folder = str(folder)
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
            directory = os.readlink(f"/proc/{entry}/cwd")
        except OSError:
            continue  # it has just ended, or is a kernel thread or somebody else's
        if folder in command or directory == folder or directory.startswith(folder + "/"):
            found[int(entry)] = command
    return found
