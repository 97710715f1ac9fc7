"""The container engine of the tests, and a view of it that does not go through the product."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import urllib.parse

from .processes import REPOSITORY

INSTANCE_LABEL = "poiesis.io/instance"
TASK_LABEL = "poiesis.io/task"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("engine", timeout=60)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """Docker's HTTP interface, as far as tests look at it."""

    def __init__(self, url):
        assert url.startswith("unix://"), f"an engine's URL is unix://SOCKET, not {url!r}"
        self.url = url
        self.socket = url.removeprefix("unix://")

    def request(self, method, path, document=None, **query):
        connection = _UnixConnection(self.socket)
        try:
            suffix = "?" + urllib.parse.urlencode(query) if query else ""
            if document is None:
                connection.request(method, path + suffix)
            else:
                connection.request(method, path + suffix, json.dumps(document), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise AssertionError(f"{method} {path}: {answer.status} {body[:300]!r}")
        try:
            return json.loads(body)
        except ValueError:
            return body  # a stream of several documents, or plain text

    def cpus(self):
        return self.request("GET", "/info")["NCPU"]

    def containers(self, label, only_running=False):
        filters = json.dumps({"label": [label]})
        return self.request("GET", "/containers/json", all="false" if only_running else "true", filters=filters)

    def task_containers(self, task_id, only_running=False):
        return self.containers(f"{TASK_LABEL}={task_id}", only_running)

    def our_containers(self, task_ids=None):
        """Ids of all containers that any Poiesis made in this engine; with `task_ids`, only those of these tasks."""
        return {container["Id"] for container in self.containers(INSTANCE_LABEL)
                if task_ids is None or container["Labels"].get(TASK_LABEL) in task_ids}

    def inspect(self, container_id):
        return self.request("GET", f"/containers/{container_id}/json")

    def remove_container(self, container_id):
        self.request("DELETE", f"/containers/{container_id}", force="true", v="true")

    def remove_image(self, name):
        self.request("DELETE", f"/images/{name}", force="true")

    def remove_image_if_there(self, name):
        with contextlib.suppress(AssertionError):
            self.remove_image(name)

    def run(self, image, arguments=(), **more):
        """Runs a container with a read-only root file system and no network: its exit code and what it printed."""
        options = {"Image": image, "HostConfig": {"ReadonlyRootfs": True, "NetworkMode": "none"}, "Tty": True,
                   **{name.capitalize(): value for name, value in more.items()}}
        if arguments:
            options["Cmd"] = arguments
        container = self.request("POST", "/containers/create", options)["Id"]
        try:
            self.request("POST", f"/containers/{container}/start")
            code = self.request("POST", f"/containers/{container}/wait")["StatusCode"]
            said = self.request("GET", f"/containers/{container}/logs", stdout="true", stderr="true")
            return code, said.decode().replace("\r\n", "\n").strip()
        finally:
            self.remove_container(container)

    def add_busybox(self, name, *changes):
        script("image", "busybox", self.url, name, *changes)
        return name


def script(name, *arguments):
    """Runs one of the project's scripts; its messages are part of the failure."""
    done = subprocess.run([REPOSITORY / "scripts" / name, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"scripts/{name} {' '.join(arguments)}: status {done.returncode}\n{done.stderr}"
    return done.stdout.strip()


@contextlib.contextmanager
def running_engine():
    """The engine of POIESIS_TEST_ENGINE, else a private one (root only), else one that runs on the machine."""
    given = os.environ.get("POIESIS_TEST_ENGINE")
    if given:
        yield Engine(given)
    elif os.geteuid() != 0:
        yield Engine(script("engine", "find"))
    else:
        # Directly under /tmp: the path of a socket is limited to 107 bytes.
        folder = f"/tmp/poiesis-engine-{os.getpid()}"
        try:
            yield Engine(script("engine", "start", folder))
        finally:
            script("engine", "stop", folder)
