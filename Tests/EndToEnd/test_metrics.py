"""`/metrics`: what an operator sees, in Prometheus's text format 0.0.4."""

import re
import subprocess
import time
import uuid

import prometheus_client.parser
import pytest

from harness.client import run, sh, task
from harness.memory import resident
from harness.processes import wait_until
from harness.server import BINARY

SECRET = "correct-horse-battery-staple"
UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"
STATES = {"UNKNOWN", "QUEUED", "INITIALIZING", "RUNNING", "PAUSED", "COMPLETE", "EXECUTOR_ERROR", "SYSTEM_ERROR",
          "CANCELED", "PREEMPTED", "CANCELING"}


def text(client):
    answer = client.request("GET", client.url + "/metrics")
    assert answer.status_code == 200, answer.text
    return answer.text


def families(client):
    return list(prometheus_client.parser.text_string_to_metric_families(text(client)))


def samples(client, name):
    """{labels: value}; labels are sorted pairs."""
    return {tuple(sorted(x.labels.items())): x.value for family in families(client) for x in family.samples
            if x.name == name}


def sample(client, name, **labels):
    return samples(client, name).get(tuple(sorted(labels.items())), 0)


# --- The format -----------------------------------------------------------------------------------

def test_the_content_type_names_the_format(client):
    content_type = client.request("GET", client.url + "/metrics").headers["Content-Type"]
    assert content_type.startswith("text/plain") and "version=0.0.4" in content_type


@pytest.mark.parametrize(("name", "kind"), [
    ("poiesis_http_requests_total", "counter"), ("poiesis_http_request_duration_seconds", "histogram"),
    ("poiesis_tasks", "gauge"), ("poiesis_queue_oldest_seconds", "gauge"), ("poiesis_database_connections", "gauge"),
    ("poiesis_database_waiting", "gauge"), ("poiesis_event_lag_seconds", "gauge"),
    ("process_resident_memory_bytes", "gauge"), ("poiesis_build_info", "gauge")])
def test_the_family_is_there_with_its_type(client, name, kind):
    client.list()
    assert f"# TYPE {name} {kind}" in text(client).splitlines()


def test_each_family_is_explained_and_comes_once(client):
    lines = text(client).splitlines()
    names = [x.split()[2] for x in lines if x.startswith("# TYPE ")]
    helped = [x.split()[2] for x in lines if x.startswith("# HELP ") and len(x.split()) > 4]
    assert sorted(names) == sorted(set(names)) == sorted(helped)


def test_every_line_is_of_the_format(client):
    line = re.compile(r'(# (HELP|TYPE) .+|[a-z_]+(\{([a-z]+="[^"\\\n]*",?)+\})? ([0-9.e+-]+|\+Inf|NaN))')
    given = text(client)
    assert given.endswith("\n") and [x for x in given[:-1].split("\n") if not line.fullmatch(x)] == []


def test_each_series_comes_once(client):
    series = [x.rsplit(" ", 1)[0] for x in text(client).splitlines() if not x.startswith("#")]
    assert len(series) == len(set(series))


# --- Requests -------------------------------------------------------------------------------------

def call(client, operation, task_id):
    return {
        "CreateTask": lambda: client.post(task(run("true"), resources={"cpu_cores": 100_000})),
        "GetTask": lambda: client.request("GET", f"/tasks/{task_id}"),
        "ListTasks": lambda: client.request("GET", "/tasks"),
        "CancelTask": lambda: client.request("POST", f"/tasks/{task_id}:cancel"),
        "GetServiceInfo": lambda: client.request("GET", "/service-info"),
    }[operation]()


@pytest.mark.parametrize("operation", ["CreateTask", "GetTask", "ListTasks", "CancelTask", "GetServiceInfo"])
def test_requests_are_counted_by_operation(client, operation):
    task_id = client.create(task(run("true"), resources={"cpu_cores": 100_000}))
    labels = {"operation": operation, "status": "200"}
    before = sample(client, "poiesis_http_requests_total", **labels)
    for _ in range(3):
        assert call(client, operation, task_id).status_code == 200
    assert sample(client, "poiesis_http_requests_total", **labels) == before + 3


@pytest.mark.parametrize(
    ("operation", "status", "method", "path", "options"),
    [
        ("GetTask", "404", "GET", f"/tasks/{UNKNOWN_ID}", {}),
        ("CreateTask", "400", "POST", "/tasks", {"json": {}}),
        ("ListTasks", "400", "GET", "/tasks?page_size=0", {}),
        ("CancelTask", "404", "POST", f"/tasks/{UNKNOWN_ID}:cancel", {}),
        ("CreateTask", "415", "POST", "/tasks", {"data": "x", "headers": {"Content-Type": "text/plain"}}),
    ],
)
def test_requests_are_counted_by_status(client, operation, status, method, path, options):
    before = sample(client, "poiesis_http_requests_total", operation=operation, status=status)
    client.request(method, path, **options)
    assert sample(client, "poiesis_http_requests_total", operation=operation, status=status) == before + 1


def test_requests_on_every_base_are_one_operation(client):
    labels = {"operation": "GetServiceInfo", "status": "200"}
    before = sample(client, "poiesis_http_requests_total", **labels)
    for base in ("/ga4gh/tes/v1", "/v1", ""):
        client.request("GET", client.url + base + "/service-info")
    assert sample(client, "poiesis_http_requests_total", **labels) == before + 3


def test_paths_and_methods_of_strangers_make_no_series(client):
    # Whoever can make series at will fills the memory of this server and of the one that collects.
    def series():
        return len(samples(client, "poiesis_http_requests_total"))

    client.request("GET", client.url + "/a")
    client.request("BREW", "/tasks")
    client.request("GET", f"/tasks/{UNKNOWN_ID}")
    before = series()
    for number in range(30):
        client.request("GET", client.url + f"/{uuid.uuid4().hex}/{number}")
        client.request("GET", f"/tasks/{uuid.uuid4()}")
        client.request(f"M{number}", "/tasks")
    assert series() == before


def test_durations_are_a_histogram(client):
    client.list()
    by_operation = {}
    for labels, value in samples(client, "poiesis_http_request_duration_seconds_bucket").items():
        labels = dict(labels)
        by_operation.setdefault(labels["operation"], []).append((float(labels["le"]), value))
    counts = samples(client, "poiesis_http_request_duration_seconds_count")
    assert "ListTasks" in by_operation
    for operation, buckets in by_operation.items():
        values = [x for _, x in sorted(buckets)]
        assert values == sorted(values) and max(buckets)[0] == float("inf") and len(values) > 5
        if operation == "ListTasks":
            assert values[-1] == counts[(("operation", operation),)]


def test_durations_count_what_was_counted(client):
    client.list()
    listed = {
        x: value
        for x, value in samples(client, "poiesis_http_requests_total").items()
        if ("operation", "ListTasks") in x
    }
    assert sample(client, "poiesis_http_request_duration_seconds_count", operation="ListTasks") == sum(listed.values())


def test_durations_add_up_to_a_time_that_can_be(client):
    def total():
        return sample(client, "poiesis_http_request_duration_seconds_sum", operation="ListTasks")

    before, start = total(), time.monotonic()
    for _ in range(10):
        client.list()
    assert 0 < total() - before < time.monotonic() - start


# --- Tasks ----------------------------------------------------------------------------------------

def counted(client):
    return {dict(x)["state"]: int(value) for x, value in samples(client, "poiesis_tasks").items()}


def listed(client):
    return {state: len(client.all_tasks(state=state, page_size=2047)) for state in STATES}


def test_tasks_are_counted_by_state_exactly(client):
    for _ in range(3):
        client.run(task(run("true"), resources={"cpu_cores": 100_000}), "SYSTEM_ERROR")
    client.run(task("true"))
    client.run(task("exit 1"), "EXECUTOR_ERROR")
    running = client.create(task("sleep 600"))
    client.wait(running, {"RUNNING"})
    before = listed(client)
    assert before["RUNNING"] == 1 and before["SYSTEM_ERROR"] >= 3
    assert wait_until(lambda: counted(client) == listed(client), "the same numbers as in the lists")
    client.cancel(running)
    client.wait(running)
    assert wait_until(lambda: counted(client) == listed(client), "the same numbers as in the lists")


def test_every_state_has_its_series(client):
    assert set(counted(client)) == STATES


def test_tasks_are_counted_exactly_after_a_restart(servers):
    server = servers()
    for _ in range(5):
        server.client.run(task(run("true"), resources={"cpu_cores": 100_000}), "SYSTEM_ERROR")
    counted(server.client)
    server.client.run(task(run("true"), resources={"cpu_cores": 100_000}), "SYSTEM_ERROR")
    server.kill()
    server.start()
    wait_until(lambda: counted(server.client)["SYSTEM_ERROR"] == 6, "six tasks")
    assert sum(counted(server.client).values()) == 6


@pytest.mark.slow
def test_the_age_of_the_queue_grows_while_a_task_waits(client, engine):
    assert sample(client, "poiesis_queue_oldest_seconds") == 0
    blocker = client.create(task("sleep 600", resources={"cpu_cores": engine.cpus()}))
    client.wait(blocker, {"RUNNING"})
    start = time.monotonic()
    waiting = [client.create(task("true", resources={"cpu_cores": engine.cpus()})) for _ in range(2)]
    time.sleep(3)
    age = sample(client, "poiesis_queue_oldest_seconds")
    assert 2.5 < age < time.monotonic() - start + 1
    for task_id in [*waiting, blocker]:
        client.cancel(task_id)
    for task_id in [*waiting, blocker]:
        client.wait(task_id)
    assert sample(client, "poiesis_queue_oldest_seconds") == 0


# --- The database and the process -----------------------------------------------------------------

def test_connections_are_counted_by_state(client):
    connections = samples(client, "poiesis_database_connections")
    assert connections and all(x[0][0] == "state" and value >= 0 for x, value in connections.items())
    assert 1 <= sum(connections.values()) <= 100


@pytest.mark.parametrize("name", ["poiesis_database_waiting", "poiesis_event_lag_seconds"])
def test_a_quiet_server_has_nothing_waiting(client, name):
    assert len(samples(client, name)) == 1
    wait_until(lambda: sample(client, name) == 0, f"{name} is 0")


def test_event_lag_shows_what_holds_events_back(servers, cluster):
    name = f"test_{uuid.uuid4().hex[:12]}"
    server = servers(arguments=["--database", cluster.create(name)])
    with cluster.connect(name) as connection, connection.transaction():
        connection.execute("SELECT pg_current_xact_id()")
        server.client.create(task(run("true"), resources={"cpu_cores": 100_000}))
        time.sleep(2)
        assert sample(server.client, "poiesis_event_lag_seconds") >= 1.5
    wait_until(lambda: sample(server.client, "poiesis_event_lag_seconds") == 0, "no lag")


def test_memory_is_that_of_the_process(server, client):
    said = sample(client, "process_resident_memory_bytes")
    assert abs(said - resident(server.process.pid)) < 30 << 20


def test_the_version_is_that_of_the_program(client):
    [(labels, value)] = samples(client, "poiesis_build_info").items()
    version = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout
    assert value == 1 and dict(labels)["version"] and dict(labels)["version"] in version


@pytest.mark.slow
def test_metrics_are_there_while_the_database_is_away(servers, cluster):
    # Just then an operator looks at them.
    server = servers(arguments=["--database", cluster.create(f"test_{uuid.uuid4().hex[:12]}")])
    cluster.stop()
    try:
        def seconds():
            start = time.monotonic()
            assert sample(server.client, "process_resident_memory_bytes") > 0
            return time.monotonic() - start

        # A collector gives up after 10 s by default.
        assert min(seconds() for _ in range(3)) < 9
    finally:
        cluster.start()
    wait_until(lambda: server.client.request("GET", "/tasks").status_code == 200, "the database is back")


def test_contents_and_environments_are_in_no_metric(server, client):
    ended = client.run(task(sh("cat /in; echo $TOKEN", env={"TOKEN": SECRET}), name=f"name-{SECRET}",
                            tags={SECRET: SECRET}, inputs=[{"path": "/in", "content": SECRET}]))
    client.request("GET", f"/tasks/{SECRET}")
    client.request(
        "GET", client.url + f"/{SECRET}", headers={"Authorization": f"Bearer {SECRET}", "X-Request-Id": SECRET}
    )
    given = text(client)
    assert SECRET not in given and ended["id"] not in given
