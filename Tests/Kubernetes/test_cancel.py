"""A cancel, in every phase that a task goes through."""

import time

import pytest

from cluster.installation import GATE, INSTANCE, MAXIMUM_LIVE, TASK
from cluster.kubectl import Watch
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
    """As many Jobs as may be are at work: the task waits in the database, and never becomes one."""
    watch = Watch(poiesis.tasks, "jobs", f"{INSTANCE}={poiesis.instance}")
    try:
        others = [client.create({"executors": [sh("sleep 300")]}) for _ in range(MAXIMUM_LIVE)]
        for other in others:
            wait_until(lambda: poiesis.objects("jobs", other), f"{other} has a Job", 60, 0.2)
        task_id = client.create({"executors": [sh("echo ran")]})
        # The controller looks each second.
        time.sleep(3)
        assert client.state(task_id) == "QUEUED" and not poiesis.objects("jobs", task_id)
        done = cancel(client, poiesis, task_id)
        assert not [log for attempt in done.get("logs", []) for log in attempt.get("logs", [])]
        for other in others:
            client.cancel(other)
        # There is room now: whoever waits gets a Job.
        client.run({"executors": [sh("true")]})
        poiesis.nothing_is_left()
        assert {job["metadata"]["labels"][TASK] for _, _, job in watch.events} >= set(others)
        assert task_id not in {job["metadata"]["labels"][TASK] for _, _, job in watch.events}
    finally:
        watch.close()


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


@pytest.mark.case("a cancel ends a running task and uploads nothing")
def test_while_an_executor_runs(client, sh, poiesis, services):
    task_id = client.create({
        "outputs": [{"url": "s3://bucket/cancel/out", "path": "/w/out"}],
        "executors": [sh("echo one; echo x > /w/out"), sh("echo waiting; sleep 600"), sh("echo never")]})
    poiesis.wait_for_container(task_id, "exec-1")
    wait_until(lambda: client.get(task_id)["logs"][0]["logs"], "the first executor's log")
    done = cancel(client, poiesis, task_id)
    # What ended before the cancel is there; nothing ran or was uploaded after it.
    assert done["logs"][-1]["logs"][0]["stdout"] == "one\n"
    assert len(done["logs"]) == 1 and len(done["logs"][-1]["logs"]) <= 2 and services.object("cancel/out") is None
    assert done["logs"][-1]["end_time"] and all(x["exit_code"] == 143 for x in done["logs"][-1]["logs"][1:])


@pytest.mark.case("a program that ignores SIGTERM is killed after its grace")
def test_a_program_that_does_not_listen_is_killed(client, sh, poiesis):
    task_id = client.create({"executors": [sh("trap '' TERM; while true; do sleep 1; done")]})
    poiesis.wait_for_container(task_id, "exec-0")
    client.wait(task_id, {"RUNNING"})
    cancel(client, poiesis, task_id)


def test_while_outputs_are_uploaded(client, sh, poiesis, services):
    task_id = client.create({"outputs": [{"url": "s3://bucket/cancel/late", "path": "/w/late"}],
                             "volumes": ["/gate"], "executors": [sh(GATE + "echo x > /w/late")]})
    poiesis.wait_for_container(task_id, "exec-0")
    with services.storage_hangs():
        poiesis.let_go(task_id)
        poiesis.wait_for_container(task_id, "tof")
        done = cancel(client, poiesis, task_id)
    assert [x["exit_code"] for x in done["logs"][-1]["logs"]] == [0]


def test_after_the_end_it_changes_nothing(client, sh):
    done = client.run({"executors": [sh("exit 4")]}, "EXECUTOR_ERROR")
    client.cancel(done["id"])
    assert client.state(done["id"]) == "EXECUTOR_ERROR"


@pytest.mark.case("a cancel that came while no server ran is carried out")
def test_while_nobody_leads(client, sh, poiesis):
    """The API deletes the Job itself; the next leader records the end."""
    task_id = client.create({"executors": [sh("sleep 600")]})
    poiesis.wait_for_container(task_id, "exec-0")
    client.wait(task_id, {"RUNNING"})
    with poiesis.no_controllers():
        client.cancel(task_id)
        wait_until(lambda: not poiesis.objects("jobs", task_id), "the Job is gone", 60, 0.5)
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
