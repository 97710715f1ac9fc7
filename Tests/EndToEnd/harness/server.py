"""The program under test as a process."""

import os
import re
import signal
import subprocess

from .client import Client
from .processes import REPOSITORY, end_with_us, processes_of, wait_until

BINARY = os.environ.get("POIESIS_BIN", str(REPOSITORY / "bin" / "poiesis"))

running = []
"""Every server that runs now: the report of a failed test shows what they logged meanwhile."""


def environment(home, **more):
    """An environment that holds nothing of the machine's: its cloud credentials and proxies must not matter."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **more}


class Server:
    """`poiesis serve` on a free port with a folder of its own; the same folder again after `start()`."""

    def __init__(self, folder, engine, log, arguments=(), env=None, stages=("files:rw", "readonly:ro")):
        self.folder = folder
        self.engine = engine
        self.log = log
        self.data = folder / "data"
        self.files = folder / "files"
        self.readonly = folder / "readonly"
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        # Another user's PostgreSQL must be able to pass through (it runs as `postgres` when we are root).
        folder.chmod(0o711)
        self.files.mkdir(exist_ok=True)
        self.readonly.mkdir(exist_ok=True)
        self.arguments = ["--listen", "127.0.0.1:0", "--data", str(self.data), "--engine", engine.url]
        for stage in stages:
            self.arguments += ["--allow-files", str(folder / stage)]
        self.arguments += list(arguments)
        self.env = environment(folder, **(env or {}))
        self.process = None
        self.url = None
        self.client = None

    def start(self, seconds=60):
        """Returns once the server says that it is ready."""
        assert os.access(BINARY, os.X_OK), f"{BINARY} is missing: type `make build`, or set POIESIS_BIN"
        output = self.folder / "stdout"
        with open(output, "wb") as stdout, open(self.log, "ab") as stderr:
            self.process = subprocess.Popen(
                [BINARY, "serve", *self.arguments], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                env=self.env, cwd="/", preexec_fn=end_with_us)
        running.append(self)

        def address():
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log_text()[-4000:]}")
            return re.search(rb"^listening on (http://\S+)$", output.read_bytes(), re.M)

        try:
            self.url = wait_until(address, "`listening on URL` on standard output", seconds, 0.02).group(1).decode()
        except AssertionError:
            self.kill()
            raise
        self.client = Client(self.url)
        return self

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def kill(self):
        """`kill -9`: no chance to tidy up."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self in running:
            running.remove(self)

    def stop(self, seconds=30):
        """An orderly stop; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not stop within {seconds} s of SIGTERM") from None
        finally:
            if self in running:
                running.remove(self)

    def end_tasks(self, containers_before):
        """Ends whatever the tests left, and insists that no container of it remains."""
        self.client.cancel_all()
        # Helper containers belong to no task: they are ours for certain only while no other server runs.
        tasks = None if running == [self] else {x["id"] for x in self.client.all_tasks(page_size=2047)}

        def left():
            return self.engine.our_containers(tasks) - containers_before

        try:
            wait_until(lambda: not left(), "no container of ended tasks is left", 60)
        finally:
            # One module's leftovers are one module's failure.
            for container in left():
                self.engine.remove_container(container)

    def finish(self, containers_before):
        """The end of a fixture: an orderly stop, after which nothing of the server remains."""
        if self.process is None:
            return
        if self.process.poll() is None:
            try:
                self.end_tasks(containers_before)
            finally:
                status = self.stop()
            assert status == 0, f"the server ended with {status} after SIGTERM"
        wait_until(lambda: not processes_of(self.folder),
                   f"no process uses {self.folder} (a private PostgreSQL that outlived its server?)")
