"""What a process uses, and how fast the server answers others meanwhile."""

import contextlib
import os
import threading
import time

import requests


def resident(pid):
    """Bytes of resident memory."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS"))


def descriptors(pid):
    """How many files and sockets it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


class Watch:
    """A client like any other, which asks again and again, and notes the longest wait and the most memory."""

    def __init__(self, server, path="/service-info"):
        self._server = server
        self._path = path
        self._stop = threading.Event()
        self.before = resident(server.process.pid)
        self.most = self.before
        self.slowest = 0.0
        self.failures = []

    def run(self):
        with requests.Session() as session:
            session.trust_env = False
            while True:
                # Asked once more after the stop: what the block did last counts too.
                is_last = self._stop.is_set()
                start = time.monotonic()
                try:
                    answer = session.get(self._server.url + self._server.client.base + self._path, timeout=20)
                    if answer.status_code != 200:
                        self.failures.append(answer.status_code)
                except requests.RequestException as error:
                    self.failures.append(repr(error))
                self.slowest = max(self.slowest, time.monotonic() - start)
                with contextlib.suppress(OSError, StopIteration):
                    self.most = max(self.most, resident(self._server.process.pid))
                if is_last:
                    return
                self._stop.wait(0.05)

    @property
    def grown(self):
        """Bytes of resident memory more than at the start, at worst."""
        return self.most - self.before

    def stop(self):
        self._stop.set()


@contextlib.contextmanager
def others_are_served(server, megabytes=100):
    """Fails when, meanwhile, another client was held up or the server grew by more. How quick it is, Benchmarks/ says."""
    watch = Watch(server)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.stop()
        thread.join(30)
    assert watch.failures == [], f"another client met {watch.failures[:5]}"
    assert watch.slowest < 25, f"another client waited {watch.slowest:.2f} s"
    assert watch.grown < megabytes << 20, f"the server grew by {watch.grown >> 20} MiB"
