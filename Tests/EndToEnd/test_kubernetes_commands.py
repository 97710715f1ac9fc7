"""What `tctl`, and `api` with `backend: kubernetes`, say before a cluster has a part in it. Tests/Kubernetes has the rest."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import uuid

import prometheus_client.parser
import pytest

from harness.client import Client, task
from harness.processes import end_with_us, wait_until
from harness.server import environment

CONFIGURATION = """
backend: kubernetes
kubernetes:
  image: poiesis:1
  namespace: tasks
  scheduling:
    node_selector: {pool: work}
  allowed:
    node_selector_keys: [disk]
    maximum_gpus: 2
  file_roots: ["/data=pvc:data:ro"]
  security: {profile: restricted}
  secrets: {storage: ["all", "one=s3://lab-data", "other=https://minio.lab"]}
"""
KUBECONFIG = """
{"kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
 "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {}}]}
"""


@pytest.fixture
def database(cluster):
    name = "kube_" + uuid.uuid4().hex[:12]
    cluster.create(name)
    return cluster.url(name)


@pytest.fixture
def home(tmp_path):
    (tmp_path / "poiesis.yaml").write_text(CONFIGURATION)
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    return tmp_path


def command(binary, home, *arguments, **variables):
    return subprocess.run(
        [binary, *arguments], env=environment(home, KUBECONFIG=str(home / "kubeconfig"), **variables), cwd="/",
        capture_output=True, text=True, timeout=60)


@contextlib.contextmanager
def started(binary, home, *arguments):
    with open(home / "stdout", "wb") as stdout, open(home / "stderr", "wb") as stderr:
        process = subprocess.Popen(
            [binary, *arguments, "--config", str(home / "poiesis.yaml")], stdout=stdout, stderr=stderr,
            env=environment(home, KUBECONFIG=str(home / "kubeconfig")), cwd="/", preexec_fn=end_with_us)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("text", "message"), [
    ("backend: kubernetes", "kubernetes.image is missing"),
    ("kubernetes: {image: i, workspace: {rounding: 0}, grace_period: 5}", "kubernetes.grace_period must be 10 to"),
    ("kubernetes: {image: i, grace_period: long}", "kubernetes.grace_period must be a whole number"),
    ("kubernetes: {image: i, labels: [one]}", "kubernetes.labels must be NAME=VALUE, not one"),
    ("kubernetes: {image: i, imagee: j}", 'there is no setting "kubernetes.imagee"'),
    ("kubernetes: {image: i, secrets: {web_identity: {role: r}}, environment: {AWS_ENDPOINT_URL_STS: 'http://sts.lab'}}",
     "would send its token to http://sts.lab without TLS"),
    ("{s3.endpoint: 'http://minio.lab', kubernetes: {image: i, secrets: {web_identity: {role: r}}}}",
     "would send its token to http://minio.lab without TLS"),
    # Without root nobody can get it there: only the database is missing.
    ("kubernetes: {image: i, security: {profile: restricted}, secrets: {web_identity: {role: r}}, environment: {AWS_ENDPOINT_URL_STS: 'http://sts.lab'}}",
     "correct --database"),
    ("kubernetes: {image: i, secrets: {storage: ['s=https://KEY:SECRET@minio.lab']}}", "not s=…@minio.lab"),
    ("kubernetes: {image: i, resources: {largest_node: {memory: 1}}}", "needs both, cpu_cores and memory"),
])
def test_a_wrong_setting_is_named(binary, home, text, message):
    (home / "wrong.yaml").write_text(text)
    end = command(binary, home, "tctl", "--database", "postgresql://127.0.0.1:9/x", "--config", str(home / "wrong.yaml"))
    assert end.returncode in (1, 64) and message in end.stderr, end.stderr
    assert "SECRET@" not in end.stderr


def test_it_says_what_is_missing(binary, home):
    end = command(binary, home, "tctl")
    assert end.returncode == 64 and "--database" in end.stderr
    (home / "kubeconfig").unlink()
    end = command(binary, home, "tctl", "--database", "postgresql://127.0.0.1:9/x", "--config", str(home / "poiesis.yaml"))
    assert end.returncode == 1 and "there is no cluster to use" in end.stderr
    end = command(binary, home, "serve", "--config", str(home / "poiesis.yaml"))
    assert end.returncode == 64 and "poiesis api and poiesis tctl" in end.stderr


def test_a_controller_waits_for_its_cluster(binary, home, database):
    with started(binary, home, "tctl", "--database", database):
        wait_until(
            lambda: b"the Lease could not be written" in (home / "stderr").read_bytes(), "it says what it waits for")
        assert b"controlling the namespace tasks" in (home / "stdout").read_bytes()


def test_a_controller_says_how_it_is(binary, home, database):
    """Where `kubernetes.listen` says so. There is no cluster: it lives, and is not ready."""
    configuration = home / "poiesis.yaml"
    configuration.write_text(configuration.read_text().replace("kubernetes:\n", "kubernetes:\n  listen: 127.0.0.1:0\n"))
    with started(binary, home, "tctl", "--database", database):
        address = wait_until(
            lambda: re.search(rb"^listening on (http://\S+)$", (home / "stdout").read_bytes(), re.M), "it listens")
        client = Client(address.group(1).decode())

        def get(path, method="GET"):
            return client.request(method, client.url + path)

        assert (get("/healthz").status_code, get("/healthz").json()) == (200, {"status": "ok"})
        answer = get("/readyz")
        assert answer.status_code == 503 and answer.json() == {
            "status": "unavailable", "controller": "the cluster has not told lately who leads"}
        answer = get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        families = {x.name: x for x in prometheus_client.parser.text_string_to_metric_families(answer.text)}
        assert families["poiesis_controller_leads"].samples[0].value == 0
        assert families["process_resident_memory_bytes"].samples[0].value > 1e6
        assert set(families) == {
            "poiesis_build_info", "poiesis_controller_leads", "poiesis_controller_submissions", "process_resident_memory_bytes"}
        # Nothing else is there, the API least of all.
        assert get("/ga4gh/tes/v1/tasks").status_code == 404
        refused = get("/readyz", "POST")
        assert refused.status_code == 405 and refused.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_a_controller_without_that_setting_does_not_listen(binary, home, database):
    with started(binary, home, "tctl", "--database", database) as process:
        wait_until(lambda: b"controlling" in (home / "stdout").read_bytes(), "it controls")
        sockets = {os.readlink(f"/proc/{process.pid}/fd/{x}") for x in os.listdir(f"/proc/{process.pid}/fd")}
        listening = [line.split()[9] for name in ["tcp", "tcp6"] for line in open(f"/proc/net/{name}") if line.split()[3] == "0A"]
        assert not sockets & {f"socket:[{inode}]" for inode in listening}


def test_a_controller_that_cannot_listen_says_so(binary, home, database):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for listen, told in [(address, f"cannot listen on {address}: "), ("8001", "kubernetes.listen takes ADDRESS:PORT")]:
            end = command(binary, home, "tctl", "--database", database, "--config", str(home / "poiesis.yaml"),
                          POIESIS_KUBERNETES_LISTEN=listen)
            assert end.returncode in (1, 64) and told in end.stderr and "kubernetes.listen" in end.stderr, end.stderr


def test_the_api_judges_tasks_for_the_cluster(binary, home, database):
    with started(binary, home, "api", "--database", database, "--listen", "127.0.0.1:0"):
        address = wait_until(
            lambda: re.search(rb"^listening on (http://\S+)$", (home / "stdout").read_bytes(), re.M), "it listens")
        client = Client(address.group(1).decode())
        known = client.request("GET", client.url + "/ga4gh/tes/v1/service-info").json()
        assert known["tesResources_backend_parameters"] == ["gpus", "node_selector", "walltime"]
        assert any(place.startswith("file://") for place in known["storage"])
        assert {"s3://lab-data/", "https://minio.lab/"} <= set(known["storage"]), known["storage"]

        def create(strict, **parameters):
            document = task("true")
            document["resources"] = {"backend_parameters": parameters, "backend_parameters_strict": strict}
            return client.request("POST", client.url + "/ga4gh/tes/v1/tasks", json=document)

        refused = create(True, node_selector="zone=a")
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["pointer"] == "/resources/backend_parameters/node_selector"
        assert create(True, gpus="2", walltime="90m").status_code == 200
        lenient = create(False, gpus="3", walltime="90m").json()["id"]
        assert client.get(lenient)["resources"]["backend_parameters"] == {"walltime": "90m"}
        # The cluster does not answer: the cancel holds all the same.
        client.cancel(lenient)
        assert client.state(lenient) == "CANCELED"


def test_the_roles_are_made(binary, home, database):
    assert "there is no schema yet" in command(binary, home, "schema", "roles", "--database", database).stderr
    assert command(binary, home, "schema", "migrate", "--database", database).returncode == 0
    for _ in range(2):
        end = command(binary, home, "schema", "roles", "--database", database)
        assert end.returncode == 0 and "have their rights" in end.stdout, end.stderr
    assert "CREATE ROLE poiesis_recorder LOGIN" in command(binary, home, "schema", "roles", "--print").stdout
