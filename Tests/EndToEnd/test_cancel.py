"""Cancelling at every moment of a task's life."""

import time

import pytest

from harness.client import run, sh, system_logs, task
from harness.processes import wait_until


def cancel_and_wait(client, task_id, seconds=30):
    client.cancel(task_id)
    return client.wait(task_id, seconds=seconds)


@pytest.fixture
def running(client):
    """A task that runs and would not end by itself soon."""
    task_id = client.create(task("sleep 600", "echo second"))
    client.wait(task_id, {"RUNNING"})
    return task_id


def test_a_queued_task_is_canceled(client, engine):
    blocker = client.create(task("sleep 600", resources={"cpu_cores": engine.cpus()}))
    client.wait(blocker, {"RUNNING"})
    waiting = client.create(task("true", resources={"cpu_cores": 1}))
    assert cancel_and_wait(client, waiting)["state"] == "CANCELED"
    cancel_and_wait(client, blocker)


def test_a_running_task_is_canceled(client, running):
    assert cancel_and_wait(client, running)["state"] == "CANCELED"


def test_a_running_program_is_told_to_stop_before_it_is_killed(client):
    def seconds():
        task_id = client.create(task("trap 'exit 0' TERM; while :; do sleep 0.1; done"))
        client.wait(task_id, {"RUNNING"})
        started = time.monotonic()
        cancel_and_wait(client, task_id)
        return time.monotonic() - started

    # It ends by itself when told; one that is killed always costs the whole grace time of 5 s.
    assert any(seconds() < 4.5 for _ in range(4))


def test_the_stop_signal_is_the_shims_not_the_images(client, engine, running):
    # An image may name one that the shim cannot catch, and the program would never be told.
    found = wait_until(lambda: engine.task_containers(running), "a container of the task")
    signals = {engine.inspect(container["Id"])["Config"]["StopSignal"] for container in found}
    cancel_and_wait(client, running)
    assert signals == {"SIGTERM"}


@pytest.mark.slow
def test_a_stubborn_program_is_killed(client):
    task_id = client.create(task("trap '' TERM INT HUP; while :; do sleep 1; done"))
    client.wait(task_id, {"RUNNING"})
    assert cancel_and_wait(client, task_id, 60)["state"] == "CANCELED"


@pytest.mark.parametrize("attempt", range(5))
def test_a_cancel_right_after_the_creation_wins(client, attempt):
    # What the GA4GH runner does with an `echo hello`, and then waits for CANCELED.
    task_id = client.create(task(run("echo", f"hello {attempt}")))
    assert cancel_and_wait(client, task_id)["state"] == "CANCELED"


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.3, 0.5])
def test_a_cancel_while_the_task_starts_ends_it(client, delay):
    task_id = client.create(task("sleep 600"))
    time.sleep(delay)
    assert cancel_and_wait(client, task_id)["state"] == "CANCELED"


def test_a_cancel_while_inputs_are_staged_ends_the_task(client, http_files):
    url = http_files.put("cancel-slow", b"x" * 10_000, seconds=60)
    task_id = client.create(task("true", inputs=[{"path": "/in/x", "url": url}]))
    client.wait(task_id, {"INITIALIZING"})
    wait_until(lambda: http_files.gets("cancel-slow"), "the transfer has begun")
    assert cancel_and_wait(client, task_id, 15)["state"] == "CANCELED"


def test_several_cancels_are_one(client, running):
    for _ in range(5):
        client.cancel(running)
    assert client.wait(running)["state"] == "CANCELED"


@pytest.mark.parametrize(("script", "state"), [("true", "COMPLETE"), ("exit 1", "EXECUTOR_ERROR")])
def test_a_cancel_after_the_end_changes_nothing(client, script, state):
    ended = client.run(task(script), state)
    client.cancel(ended["id"])
    time.sleep(0.5)  # there is nothing to wait for: nothing may happen
    assert client.get(ended["id"]) == ended


def test_nothing_runs_after_a_cancel(client, running):
    ended = cancel_and_wait(client, running)
    assert "second" not in "".join(x.get("stdout", "") for x in ended["logs"][0]["logs"])


def test_outputs_are_not_uploaded_after_a_cancel(client, folder):
    task_id = client.create(task("echo x > /out/x; echo ready; sleep 600",
                                 outputs=[{"path": "/out/x", "url": f"file://{folder}/x"}]))
    client.wait(task_id, {"RUNNING"})
    cancel_and_wait(client, task_id)
    assert not (folder / "x").exists()


def test_canceled_is_final(client, running):
    ended = cancel_and_wait(client, running)
    time.sleep(1)
    assert client.get(running) == ended


def test_no_container_of_a_canceled_task_remains(client, engine, running):
    cancel_and_wait(client, running)
    wait_until(lambda: not engine.task_containers(running), "the task's containers are gone")


def test_a_canceled_task_frees_its_processors(client, engine):
    blocker = client.create(task("sleep 600", resources={"cpu_cores": engine.cpus()}))
    client.wait(blocker, {"RUNNING"})
    waiting = client.create(task("true", resources={"cpu_cores": engine.cpus()}))
    client.cancel(blocker)
    assert client.wait(waiting)["state"] == "COMPLETE"


def test_only_the_canceled_task_is_canceled(client, running):
    other = client.create(task("sleep 0.5"))
    client.cancel(running)
    assert client.wait(other)["state"] == "COMPLETE"


def test_a_cancel_during_an_upload_comes_to_an_end(client, folder):
    task_id = client.create(task("head -c 100000000 /dev/zero > /out/x",
                                 outputs=[{"path": "/out/x", "url": f"file://{folder}/x"}]))
    wait_until(lambda: (client.get(task_id).get("logs") or [{"logs": []}])[0]["logs"], "the executor has ended")
    assert cancel_and_wait(client, task_id, 60)["state"] in ("CANCELED", "COMPLETE")


def test_a_canceled_task_says_nothing_of_errors(client, running):
    assert "error" not in system_logs(cancel_and_wait(client, running)).lower()


def test_the_state_is_canceling_or_canceled_at_once(client):
    task_id = client.create(task(sh("trap '' TERM; while :; do sleep 0.2; done")))
    client.wait(task_id, {"RUNNING"})
    client.cancel(task_id)
    assert client.state(task_id) in ("CANCELING", "CANCELED")
