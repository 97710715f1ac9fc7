"""The table Answers of the API's behaviour: members, views and logs of tasks that really ran."""

import datetime
import json
import re

import pytest

from harness.client import run, sh, system_logs, task
from harness.processes import wait_until

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SECRET = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def done(client, server):
    """A task that has a bit of everything."""
    out = server.files / "answers"
    return client.run(task(
        sh("cat /in/x; echo problem >&2; exit 3", ignore_error=True, env={"TOKEN": SECRET}),
        sh("echo result > /out/a"),
        name="everything", resources={"cpu_cores": 1, "ram_gb": 0.5},
        inputs=[{"path": "/in/x", "content": f"{SECRET}\n"}],
        outputs=[{"path": "/out", "url": f"file://{out}", "type": "DIRECTORY"}]))


@pytest.fixture(scope="module")
def views(client, done):
    return {view: client.get(done["id"], view) for view in ("MINIMAL", "BASIC", "FULL")}


# --- Members --------------------------------------------------------------------------------------

def every_value(value, path=""):
    """(path, value) of everything inside, with array positions as *."""
    yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from every_value(inner, f"{path}/{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from every_value(inner, f"{path}/*")


def test_nothing_is_null(done):
    assert [path for path, value in every_value(done) if value is None] == []


def test_times_are_rfc_3339_in_utc_with_milliseconds(done):
    times = [value for path, value in every_value(done) if path.endswith("_time")]
    assert len(times) >= 7 and all(TIME.fullmatch(x) for x in times), times


def test_times_come_in_order(done):
    log = done["logs"][0]
    order = [done["creation_time"], log["start_time"]]
    for executor in log["logs"]:
        order += [executor["start_time"], executor["end_time"]]
    order.append(log["end_time"])
    assert order == sorted(order)


def test_the_clock_is_ours(done):
    created = datetime.datetime.fromisoformat(done["creation_time"])
    assert abs((datetime.datetime.now(datetime.UTC) - created).total_seconds()) < 300


def test_cpu_cores_are_written_as_an_integer(client, done):
    text = client.request("GET", f"/tasks/{done['id']}", params={"view": "FULL"}).text
    assert re.search(r'"cpu_cores"\s*:\s*1\s*[,}]', text)


def test_size_bytes_is_a_string(done):
    assert [x["size_bytes"] for x in done["logs"][0]["outputs"]] == ["7"]


def test_only_members_of_the_specification_come_back(done):
    members = {path for path, _ in every_value(done) if not path.startswith(("/logs/*/metadata/", "/executors/*/env/"))}
    assert members <= {""} | {
        "/id", "/state", "/name", "/creation_time", "/inputs", "/inputs/*", "/inputs/*/path", "/inputs/*/content",
        "/inputs/*/type", "/outputs", "/outputs/*", "/outputs/*/path", "/outputs/*/url", "/outputs/*/type",
        "/resources", "/resources/cpu_cores", "/resources/ram_gb", "/executors", "/executors/*", "/executors/*/image",
        "/executors/*/command", "/executors/*/command/*", "/executors/*/ignore_error", "/executors/*/env", "/logs",
        "/logs/*", "/logs/*/logs", "/logs/*/logs/*", "/logs/*/logs/*/start_time", "/logs/*/logs/*/end_time",
        "/logs/*/logs/*/stdout", "/logs/*/logs/*/stderr", "/logs/*/logs/*/exit_code", "/logs/*/metadata",
        "/logs/*/start_time", "/logs/*/end_time", "/logs/*/outputs", "/logs/*/outputs/*", "/logs/*/outputs/*/url",
        "/logs/*/outputs/*/path", "/logs/*/outputs/*/size_bytes", "/logs/*/system_logs", "/logs/*/system_logs/*"}


# --- Views ----------------------------------------------------------------------------------------

def test_minimal_is_exactly_id_and_state(views, done):
    assert views["MINIMAL"] == {"id": done["id"], "state": "COMPLETE"}


def test_minimal_is_the_default(client, views, done):
    assert client.request("GET", f"/tasks/{done['id']}").json() == views["MINIMAL"]


def test_basic_is_full_without_the_big_members(views):
    full = json.loads(json.dumps(views["FULL"]))
    for log in full["logs"]:
        log.pop("system_logs", None)
        for executor in log["logs"]:
            executor.pop("stdout", None)
            executor.pop("stderr", None)
    for given in full["inputs"]:
        given.pop("content", None)
    assert views["BASIC"] == full


@pytest.mark.parametrize("view", ["full", "Full", "fULL"])
def test_a_view_is_known_in_any_case(client, views, done, view):
    assert client.get(done["id"], view) == views["FULL"]


def test_an_unknown_view_is_400(client, done):
    assert client.request("GET", f"/tasks/{done['id']}", params={"view": "EVERYTHING"}).status_code == 400


# --- Logs -----------------------------------------------------------------------------------------

def test_each_executor_has_its_log(done):
    # An executor that printed nothing may have an empty member or none.
    assert [(x.get("stdout", ""), x.get("stderr", ""), x["exit_code"]) for x in done["logs"][0]["logs"]] == [
        (f"{SECRET}\n", "problem\n", 3), ("", "", 0)]


def test_metadata_holds_only_strings(done):
    assert {type(x) for x in done["logs"][0]["metadata"].values()} == {str}


def test_metadata_has_the_price_that_cromwell_waits_for(done):
    assert float(done["logs"][0]["metadata"]["vm_price_per_hour_usd"]) == 0


def test_metadata_says_where_it_ran(done):
    assert done["logs"][0]["metadata"]["backend"] == "container"


def test_a_queued_task_has_no_logs(client, engine):
    blocker = client.create(task("sleep 600", resources={"cpu_cores": engine.cpus()}))
    client.wait(blocker, {"RUNNING"})
    waiting = client.create(task("true", resources={"cpu_cores": 1}))
    try:
        assert "logs" not in client.get(waiting)
    finally:
        client.cancel(waiting)
        client.cancel(blocker)
        client.wait(blocker)


def test_a_running_task_has_an_entry_with_both_arrays(client):
    task_id = client.create(task("sleep 600"))
    log = client.wait(task_id, {"RUNNING"})["logs"][0]
    client.cancel(task_id)
    assert (log["logs"], log["outputs"]) == ([], [])


def test_an_executor_log_appears_when_the_executor_has_ended(client):
    task_id = client.create(task("echo first", "sleep 600"))
    logs = wait_until(lambda: client.get(task_id).get("logs", [{}])[0].get("logs"), "an executor's log")
    client.cancel(task_id)
    assert [x["stdout"] for x in logs] == ["first\n"]


def test_executors_that_never_ran_have_no_log(client):
    ended = client.run(task("exit 7", "true", "true"), "EXECUTOR_ERROR")
    assert [x["exit_code"] for x in ended["logs"][0]["logs"]] == [7]


def test_a_task_that_no_engine_could_run_says_so(client):
    ended = client.run(task("true", resources={"cpu_cores": 100_000}), "SYSTEM_ERROR")
    assert "100000" in system_logs(ended) or "100,000" in system_logs(ended)


def test_a_task_that_ends_before_any_attempt_has_one_log_entry(client):
    ended = client.run(task("true", resources={"ram_gb": 1_000_000}), "SYSTEM_ERROR")
    assert [(x["logs"], x["outputs"]) for x in ended["logs"]] == [([], [])]


def test_a_dropped_backend_parameter_is_a_warning(client):
    ended = client.run(task("true", resources={"backend_parameters": {"No-Such": "1"}}))
    assert "No-Such" in ended["logs"][0]["system_logs"][0]


def test_url_and_content_together_are_a_warning(client):
    ended = client.run(task(run("cat", "/in/x"), inputs=[{"path": "/in/x", "url": "s3://b/x", "content": "wins"}]))
    assert "/in/x" in system_logs(ended)


# --- Secrets --------------------------------------------------------------------------------------

def test_contents_and_environments_are_never_logged(server, done):
    assert done["id"] and SECRET not in server.log_text()


def test_ids_are_uuids_of_version_7(done):
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", done["id"])
