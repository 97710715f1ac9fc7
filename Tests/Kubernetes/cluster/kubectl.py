"""The cluster as its users see it: through kubectl and what KUBECONFIG says."""

import json
import os
import re
import signal
import subprocess
import threading
import time

from harness.processes import end_with_us, wait_until

KUBECTL = os.environ.get("KUBECTL", "kubectl")


class Kubectl:
    """kubectl in one namespace."""

    def __init__(self, namespace=None):
        self.namespace = namespace

    def inside(self, namespace):
        return Kubectl(namespace)

    def command(self, *arguments):
        return [KUBECTL, *(["--namespace", self.namespace] if self.namespace else []), *arguments]

    def run(self, *arguments, stdin=None, check=True, seconds=120):
        done = subprocess.run(self.command(*arguments), input=stdin, capture_output=True, text=True, timeout=seconds)
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)}: status {done.returncode}\n{done.stderr}")
        return done.stdout if check else done

    def get(self, kind, name=None, selector=None):
        """One object, or a list of them; None where there is no such object."""
        arguments = ["get", kind, "--output", "json", "--ignore-not-found"]
        text = self.run(*arguments, *([name] if name else []), *(["--selector", selector] if selector else []))
        if name:
            return json.loads(text) if text else None
        return json.loads(text)["items"] if text else []

    def apply(self, documents):
        """Objects without a namespace go into this one."""
        self.run("apply", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))

    def delete(self, kind, name, *more):
        self.run("delete", kind, name, "--ignore-not-found", *more, seconds=300)

    def execute(self, target, *command, stdin=None, check=True):
        """Runs a program in a container."""
        return self.run("exec", "--stdin", target, "--", *command, stdin=stdin, check=check)


class PortForward:
    """A port of loopback that leads to a Service. The tunnel breaks with the Pod at its end, and is then made anew."""

    def __init__(self, kubectl, target, port):
        self._kubectl, self._target, self._port = kubectl, target, port
        self._process = None
        self._local = None
        self._lock = threading.Lock()

    @property
    def url(self):
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            return f"http://127.0.0.1:{self._local}"

    def _start(self):
        # The same port each time, so that nobody has to be told.
        wanted = f"{self._local or ''}:{self._port}"
        end = time.monotonic() + 60
        while True:
            self._process = subprocess.Popen(
                self._kubectl.command("port-forward", self._target, wanted), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=end_with_us)
            line = self._process.stdout.readline()
            match = re.search(r"127\.0\.0\.1:(\d+)", line)
            if match:
                self._local = int(match.group(1))
                # What it says later must not fill the pipe.
                threading.Thread(target=self._drain, args=(self._process,), daemon=True).start()
                return
            self._process.wait(10)
            assert time.monotonic() < end, f"kubectl port-forward {self._target}: {line}"
            time.sleep(0.5)

    @staticmethod
    def _drain(process):
        for _ in process.stdout:
            pass

    def close(self):
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)


class Watch:
    """Every change of the objects of a kind in a namespace, with the moment at which it arrived here."""

    def __init__(self, kubectl, kind, selector):
        self.events = []
        self._process = subprocess.Popen(
            kubectl.command("get", kind, "--selector", selector, "--watch", "--output-watch-events", "--output", "json"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            preexec_fn=end_with_us)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        decoder, text = json.JSONDecoder(), ""
        while piece := os.read(self._process.stdout.fileno(), 1 << 20):
            now = time.time()
            text += piece.decode(errors="replace")
            while text.lstrip():
                try:
                    event, end = decoder.raw_decode(text.lstrip())
                except ValueError:
                    break
                text = text.lstrip()[end:]
                self.events.append((now, event["type"], event["object"]))

    def until(self, condition, what, seconds=120):
        """The moment of the first event for which the condition holds, and its object."""
        return wait_until(
            lambda: next(((at, thing) for at, _, thing in list(self.events) if condition(thing)), None), what, seconds, 0.02)

    def close(self):
        self._process.terminate()
        self._process.wait(10)
        self._thread.join(10)
