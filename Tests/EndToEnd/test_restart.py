"""A server that is killed at any moment: no row is lost, nothing with a result runs again, nothing is left behind."""

import datetime
import random
import time
import uuid

import pytest
import requests

from harness.client import task
from harness.processes import processes_of, wait_until


def restarted(server):
    server.kill()
    return server.start().client


def counting(folder, *scripts):
    """A task whose executors each leave a line per run in a folder that comes back."""
    executors = [f"echo run >> /out/{number}; {script}" for number, script in enumerate(scripts)]
    return task(*executors, outputs=[{"path": "/out", "url": f"file://{folder}", "type": "DIRECTORY"}])


def runs(folder, number):
    return (folder / str(number)).read_text().count("run")


@pytest.fixture(autouse=True)
def alive(server):
    """All tests kill the same server; one that failed half-way must not take the others with it."""
    if server.process.poll() is not None:
        server.start()


@pytest.fixture
def out(folder):
    return folder / "out"


@pytest.fixture
def running(server, out):
    """A task in the middle of its second executor."""
    task_id = server.client.create(counting(out, "true", "sleep 3; echo still here", "true"))
    wait_until(lambda: executors_ended(server.client, task_id) == 1, "the first executor has ended")
    server.client.wait(task_id, {"RUNNING"})
    return task_id


def executors_ended(client, task_id):
    return len((client.get(task_id).get("logs") or [{"logs": []}])[0]["logs"])


def test_a_running_task_is_attached_again_and_completes(server, running):
    client = restarted(server)
    assert client.wait(running)["state"] == "COMPLETE"


def test_each_executor_of_an_attached_task_runs_once(server, running, out):
    restarted(server).wait(running)
    assert [runs(out, number) for number in range(3)] == [1, 1, 1]


def test_an_attached_task_stays_one_attempt(server, running):
    assert len(restarted(server).wait(running)["logs"]) == 1


def test_the_output_of_an_attached_executor_is_whole(server, running):
    assert restarted(server).wait(running)["logs"][0]["logs"][1]["stdout"] == "still here\n"


def ends_without(server, task_id):
    """Kills the server while an executor runs, and waits for the executor's end."""
    wait_until(lambda: server.engine.task_containers(task_id, only_running=True), "its container runs")
    server.kill()
    wait_until(lambda: not server.engine.task_containers(task_id, only_running=True), "the executor has ended")


def test_an_executor_that_ended_meanwhile_is_not_repeated(server, out):
    task_id = server.client.create(counting(out, "sleep 4", "true"))
    ends_without(server, task_id)
    server.start().client.wait(task_id)
    assert [runs(out, number) for number in range(2)] == [1, 1]


def test_the_times_of_an_executor_that_ended_meanwhile_are_its_own(server, out):
    task_id = server.client.create(counting(out, "sleep 4"))
    ends_without(server, task_id)
    seen = datetime.datetime.now(datetime.UTC)
    time.sleep(2)
    log = server.start().client.wait(task_id)["logs"][0]["logs"][0]
    assert datetime.datetime.fromisoformat(log["end_time"]) <= seen


def test_a_failure_that_happened_meanwhile_is_recorded(server, out):
    task_id = server.client.create(counting(out, "sleep 4; exit 42", "true"))
    ends_without(server, task_id)
    ended = server.start().client.wait(task_id)
    assert (ended["state"], [x["exit_code"] for x in ended["logs"][0]["logs"]]) == ("EXECUTOR_ERROR", [42])


def test_queued_tasks_run_after_a_restart(server):
    waiting = [server.client.create(task("true", resources={"cpu_cores": 1})) for _ in range(6)]
    client = restarted(server)
    assert {client.wait(x)["state"] for x in waiting} == {"COMPLETE"}


def test_a_cancel_that_was_under_way_is_finished(server):
    task_id = server.client.create(task("trap '' TERM; while :; do sleep 0.2; done"))
    server.client.wait(task_id, {"RUNNING"})
    server.client.cancel(task_id)
    client = restarted(server)
    assert client.wait(task_id)["state"] == "CANCELED"


def test_an_attached_task_can_be_canceled(server):
    task_id = server.client.create(task("sleep 600"))
    server.client.wait(task_id, {"RUNNING"})
    client = restarted(server)
    client.cancel(task_id)
    assert client.wait(task_id)["state"] == "CANCELED"


def test_ended_tasks_are_as_they_were(server):
    ended = server.client.run(task("echo text"))
    assert restarted(server).get(ended["id"]) == ended


def test_page_tokens_hold_after_a_restart(server):
    filters = {"tag_key": "mark", "tag_value": uuid.uuid4().hex}
    for _ in range(3):
        server.client.run(task("true", tags={"mark": filters["tag_value"]}))
    token = server.client.list(page_size=1, **filters)["next_page_token"]
    assert len(restarted(server).list(page_size=5, page_token=token, **filters)["tasks"]) == 2


def test_no_container_is_left_after_a_restart(server, running, containers_before):
    client = restarted(server)
    client.wait(running)
    wait_until(lambda: not server.engine.our_containers() - containers_before, "no container is left")


def test_a_container_that_vanished_meanwhile_is_a_new_attempt_or_an_end(server):
    # Somebody removes the container while nobody looks: the task must not wait for ever.
    task_id = server.client.create(task("sleep 600"))
    server.client.wait(task_id, {"RUNNING"})
    wait_until(lambda: server.engine.task_containers(task_id, only_running=True), "its container runs")
    server.kill()
    for container in server.engine.task_containers(task_id):
        server.engine.remove_container(container["Id"])
    client = server.start().client
    wait_until(lambda: client.state(task_id) == "SYSTEM_ERROR" or len(client.get(task_id)["logs"]) > 1,
               "a new attempt, or an end")
    client.cancel(task_id)


def test_a_second_server_on_the_same_data_is_refused(server, servers):
    second = servers(start=False)
    second.arguments = [str(server.data) if x == str(second.data) else x for x in second.arguments]
    with pytest.raises(AssertionError, match="the server ended with"):
        second.start(20)
    assert str(server.data) in second.log_text()


def test_an_orderly_stop_lets_tasks_run_on(server, running):
    server.stop()
    assert server.start().client.wait(running)["state"] == "COMPLETE"


def test_an_orderly_stop_ends_the_private_postgresql(server):
    server.stop()
    wait_until(lambda: not processes_of(server.data), "no process uses the data folder")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killing_at_random_moments_loses_nothing(server, folder, seed, containers_before):
    chance = random.Random(seed)
    acknowledged = {}
    for round_number in range(5):
        for number in range(2):
            place = folder / f"{round_number}-{number}"
            try:
                task_id = server.client.create(counting(place, "true", f"sleep {chance.random():.2f}"))
            except requests.RequestException:
                continue
            acknowledged[task_id] = place
        time.sleep(chance.random() * 1.5)
        restarted(server)
    states = {x: server.client.wait(x)["state"] for x in acknowledged}
    assert set(states.values()) == {"COMPLETE"}, states
    assert {runs(place, number) for place in acknowledged.values() for number in range(2)} == {1}
    wait_until(lambda: not server.engine.our_containers() - containers_before, "no container is left")
