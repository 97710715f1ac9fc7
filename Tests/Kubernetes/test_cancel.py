"""A cancel, in every phase that a task goes through."""

import time

import pytest

from harness.client import TERMINAL, system_logs
from harness.processes import wait_until

NO_NODE = {"backend_parameters": {"node_selector": "poiesis.io/no-node-has-this=yes"}}


def cancel(client, poiesis, task_id, seconds=90):
    """Cancels, and insists on the end and on nothing being left."""
    client.cancel(task_id)
    done = client.wait(task_id, {"CANCELED"}, seconds)
    for kind in ["jobs", "pods", "persistentvolumeclaims"]:
        wait_until(lambda: not poiesis.objects(kind, task_id), f"no {kind} of the task are left", 90, 0.5)
    return done


def test_before_there_is_a_job(client, sh, poiesis):
    task_id = client.create({"executors": [sh("echo ran")]})
    assert not cancel(client, poiesis, task_id).get("logs", [{}])[0].get("logs")


def test_while_no_node_is_found(client, sh, poiesis):
    task_id = client.create({"executors": [sh("true")], "resources": NO_NODE})
    poiesis.pod(task_id)
    cancel(client, poiesis, task_id)


def test_while_an_image_cannot_be_had(client, sh, poiesis):
    task_id = client.create({"executors": [sh("true", image="127.0.0.1:1/poiesis/no-such-image:1")]})
    poiesis.wait_for_container(task_id, "trec")
    cancel(client, poiesis, task_id)


def test_while_inputs_are_staged(client, sh, poiesis, services):
    url = services.put("cancel/in", b"x" * 1000)
    with services.storage_hangs():
        task_id = client.create({"inputs": [{"url": url, "path": "/in"}], "executors": [sh("echo ran")]})
        poiesis.wait_for_container(task_id, "tif")
        client.wait(task_id, {"INITIALIZING"})
        done = cancel(client, poiesis, task_id)
    assert done["logs"][-1]["logs"] == []


def test_while_an_executor_runs(client, sh, poiesis, services):
    task_id = client.create({
        "outputs": [{"url": "s3://bucket/cancel/out", "path": "/w/out"}],
        "executors": [sh("echo one; echo x > /w/out"), sh("trap 'echo told; exit 3' TERM; echo waiting; sleep 600 & wait"), sh("echo never")]})
    poiesis.wait_for_container(task_id, "exec-1")
    client.wait(task_id, {"RUNNING"})
    time.sleep(2)
    before = time.monotonic()
    done = cancel(client, poiesis, task_id)
    assert time.monotonic() - before < 45
    # What ended before the cancel is there; nothing ran or was uploaded after it.
    assert done["logs"][-1]["logs"][0]["stdout"] == "one\n"
    assert len(done["logs"][-1]["logs"]) <= 2 and services.object("cancel/out") is None


def test_a_program_that_does_not_listen_is_killed(client, sh, poiesis):
    task_id = client.create({"executors": [sh("trap '' TERM; while true; do sleep 1; done")]})
    poiesis.wait_for_container(task_id, "exec-0")
    client.wait(task_id, {"RUNNING"})
    cancel(client, poiesis, task_id)


def test_while_outputs_are_uploaded(client, sh, poiesis, services):
    task_id = client.create({"outputs": [{"url": "s3://bucket/cancel/late", "path": "/w/late"}],
                             "executors": [sh("echo x > /w/late; sleep 3")]})
    poiesis.wait_for_container(task_id, "exec-0")
    with services.storage_hangs():
        poiesis.wait_for_container(task_id, "tof")
        done = cancel(client, poiesis, task_id)
    assert [x["exit_code"] for x in done["logs"][-1]["logs"]] == [0]


def test_after_the_end_it_changes_nothing(client, sh):
    done = client.run({"executors": [sh("exit 4")]}, "EXECUTOR_ERROR")
    client.cancel(done["id"])
    assert client.state(done["id"]) == "EXECUTOR_ERROR"


def test_while_nobody_leads(client, sh, poiesis):
    """The API deletes the Job itself; the next leader records the end."""
    task_id = client.create({"executors": [sh("sleep 600")]})
    poiesis.wait_for_container(task_id, "exec-0")
    client.wait(task_id, {"RUNNING"})
    poiesis.system.run("scale", "deployment/poiesis-tctl", "--replicas=0")
    try:
        client.cancel(task_id)
        wait_until(lambda: not poiesis.objects("jobs", task_id), "the Job is gone", 60, 0.5)
    finally:
        poiesis.system.run("scale", "deployment/poiesis-tctl", "--replicas=2")
    client.wait(task_id, {"CANCELED"}, 120)


@pytest.mark.parametrize("delay", [0.1, 0.5, 1, 2, 3, 4, 5, 6])
def test_at_any_moment(client, sh, poiesis, services, delay):
    """The state is final, and says the truth of what happened."""
    url = services.put("cancel/any", b"x")
    task_id = client.create({
        "inputs": [{"url": url, "path": "/w/in"}], "outputs": [{"url": f"s3://bucket/cancel/any-{delay}", "path": "/w/in"}],
        "executors": [sh("true"), sh("true")]})
    time.sleep(delay)
    client.cancel(task_id)
    done = client.wait(task_id, TERMINAL, 90)
    assert done["state"] in {"CANCELED", "COMPLETE"}, system_logs(done)
    if done["state"] == "COMPLETE":
        assert services.object(f"cancel/any-{delay}") == b"x"
    for kind in ["jobs", "pods"]:
        wait_until(lambda: not poiesis.objects(kind, task_id), f"no {kind} of the task are left", 90, 0.5)
    assert client.state(task_id) == done["state"]
