"""`poiesis api`: the API alone, beside a server that runs the tasks of the same database."""

import contextlib
import re
import signal
import subprocess
import uuid

import pytest

from harness.client import Client, task
from harness.processes import end_with_us, wait_until
from harness.server import environment


@pytest.fixture
def database(cluster):
    name = "api_" + uuid.uuid4().hex[:12]
    cluster.create(name)
    return cluster.url(name)


@contextlib.contextmanager
def api(binary, folder, *arguments):
    folder.mkdir(exist_ok=True)
    output = folder / "stdout"
    with open(output, "wb") as stdout:
        process = subprocess.Popen(
            [binary, "api", "--listen", "127.0.0.1:0", *arguments], stdout=stdout, stderr=subprocess.DEVNULL,
            env=environment(folder), cwd="/", preexec_fn=end_with_us)

    def address():
        assert process.poll() is None, "the API ended"
        return re.search(rb"^listening on (http://\S+)$", output.read_bytes(), re.M)

    try:
        yield Client(wait_until(address, "`listening on URL`", every=0.02).group(1).decode())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_it_takes_tasks_that_a_server_runs(binary, servers, database, tmp_path):
    server = servers(arguments=["--database", database])
    with api(binary, tmp_path / "a", "--database", database) as client, api(
            binary, tmp_path / "b", "--database", database) as other:
        done = client.wait(client.create(task("echo by way of the API")))
        assert done["logs"][0]["logs"][0]["stdout"] == "by way of the API\n"
        known = other.create(task("sleep 60"))
        wait_until(lambda: server.client.state(known) == "RUNNING", "the task runs")
        other.cancel(known)
        wait_until(lambda: client.state(known) == "CANCELED", "the task is canceled")


def test_tasks_wait_without_a_server(binary, database, tmp_path):
    with api(binary, tmp_path / "a", "--database", database) as client:
        assert client.state(client.create(task("true"))) == "QUEUED"
        ready = client.request("GET", client.url + "/readyz")
        assert (ready.status_code, ready.json()) == (200, {"status": "ok"})


def test_it_needs_a_database(binary, tmp_path):
    done = subprocess.run(
        [binary, "api"], capture_output=True, text=True, env=environment(tmp_path), cwd="/", timeout=30)
    assert done.returncode == 64 and "--database" in done.stderr, done.stderr
