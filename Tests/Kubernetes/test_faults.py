"""What happens around tasks: evictions, deleted Pods, a database and controllers that come and go."""

import contextlib
import json
import random
import re
import time

import pytest
import requests

from cluster.installation import GATE
from cluster.kubectl import PortForward
from harness.client import system_logs
from harness.processes import wait_until


def codes(document):
    return [x.get("exit_code") for x in document["logs"][-1]["logs"]]


def started(client, poiesis, executors):
    """A task whose first executor runs, and its Pod."""
    task_id = client.create({"executors": executors, "volumes": ["/gate"]})
    pod = poiesis.wait_for_container(task_id, "exec-0")
    client.wait(task_id, {"RUNNING"})
    return task_id, pod["metadata"]["name"]


def kill_pod(poiesis, name):
    poiesis.tasks.delete("pod", name, "--grace-period=0", "--force")


# --- Pods -----------------------------------------------------------------------------------------

@pytest.mark.case("a container stopped from outside is another attempt, never EXECUTOR_ERROR")
def test_an_evicted_task_runs_again(client, sh, poiesis):
    task_id, pod = started(client, poiesis, [sh(GATE + "echo done")])
    namespace = poiesis.tasks.namespace
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    poiesis.tasks.run("create", "--raw", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction",
                      "--filename", "-", stdin=json.dumps(eviction))
    poiesis.let_go(task_id, attempt=2)
    done = client.wait(task_id)
    assert done["state"] == "COMPLETE" and len(done["logs"]) == 2, system_logs(done)
    assert done["logs"][1]["logs"][0]["stdout"] == "done\n"
    poiesis.nothing_is_left()


@pytest.mark.case("a container that vanished is another attempt")
def test_a_pod_that_somebody_kills_runs_again(client, sh, poiesis):
    task_id, pod = started(client, poiesis, [sh(GATE + "echo done")])
    kill_pod(poiesis, pod)
    poiesis.let_go(task_id, attempt=2)
    done = client.wait(task_id)
    assert done["state"] == "COMPLETE" and len(done["logs"]) == 2, system_logs(done)
    first = done["logs"][0]
    # The Pod's recorder may have written down that the program was stopped; that it failed by itself nobody says.
    assert first["end_time"] and all(x["exit_code"] in {137, 143} for x in first["logs"]), first
    line = first["system_logs"][-1]
    assert line.startswith("the attempt was lost: ") and line.endswith("; the task is queued again")
    assert done["logs"][1]["logs"][0]["stdout"] == "done\n"


@pytest.mark.case("attempts have a limit")
def test_attempts_have_a_limit(client, sh, poiesis):
    task_id = client.create({"executors": [sh("sleep 600")]})
    for number in [1, 2, 3]:
        pod = wait_until(lambda: next((x["metadata"]["name"] for x in poiesis.objects("pods", task_id)
                                       if x["metadata"]["name"].startswith(f"poiesis-{task_id}-{number}-")), None),
                         f"attempt {number} has a Pod", 60, 0.2)
        wait_until(lambda: len(client.get(task_id).get("logs", [])) == number and client.state(task_id) == "RUNNING",
                   f"attempt {number} runs", 60, 0.2)
        kill_pod(poiesis, pod)
    done = client.wait(task_id, {"SYSTEM_ERROR"})
    line = done["logs"][-1]["system_logs"][-1]
    assert len(done["logs"]) == 3 and line.startswith("the attempt was lost: ") and "queued again" not in line, line


def test_a_job_that_somebody_deletes_runs_again(client, sh, poiesis):
    task_id, _ = started(client, poiesis, [sh(GATE + "echo done")])
    poiesis.tasks.delete("job", poiesis.objects("jobs", task_id)[0]["metadata"]["name"], "--wait=false")
    poiesis.let_go(task_id, attempt=2)
    done = client.wait(task_id)
    assert done["state"] == "COMPLETE" and len(done["logs"]) == 2, system_logs(done)


# --- Volumes --------------------------------------------------------------------------------------

def test_a_claim_that_is_never_bound_ends_the_task(sh, second):
    """The second installation's storage class does not exist."""
    done = second.client.run({"resources": {"disk_gb": 2}, "executors": [sh("true")]}, "SYSTEM_ERROR")
    assert "volume" in system_logs(done).lower() or "no-such-class" in system_logs(done)
    second.nothing_is_left()


# --- Database -------------------------------------------------------------------------------------

def test_a_database_that_restarts_as_a_task_ends(client, sh, poiesis, services):
    """Seven tasks in a row, each meets it at another moment."""
    for delay in [0, 0.4, 0.8, 1.2, 1.6, 2.0, 2.4]:
        task_id = client.create({"executors": [sh("sleep 2; echo done")]})
        wait_until(lambda: client.state(task_id) not in {"QUEUED", "INITIALIZING"}, "it runs")
        time.sleep(delay)
        with services.database_away():
            time.sleep(3)
        done = client.wait(task_id)
        assert done["state"] == "COMPLETE" and len(done["logs"]) == 1, (delay, system_logs(done))
        assert codes(done) == [0] and done["logs"][0]["logs"][0]["stdout"] == "done\n"
    poiesis.nothing_is_left()


def test_a_database_that_is_away_for_a_minute(client, sh, poiesis, services):
    """The recorder waits with what it knows."""
    task_id, _ = started(client, poiesis, [sh(GATE + "echo done"), sh("exit 3")])
    with services.database_away():
        poiesis.let_go(task_id)
        time.sleep(60)
    done = client.wait(task_id)
    assert done["state"] == "EXECUTOR_ERROR" and codes(done) == [0, 3] and len(done["logs"]) == 1


# --- Controllers ----------------------------------------------------------------------------------

def test_controllers_say_how_they_are(poiesis):
    """One leads, the other stands by, and both are ready."""
    wait_until(poiesis.leader, "somebody leads", 60, 0.5)
    poiesis.system.run("rollout", "status", "deployment/poiesis-tctl", "--timeout=60s", seconds=80)
    leads = []
    for pod in poiesis.controllers():
        with contextlib.closing(PortForward(poiesis.system, f"pod/{pod['metadata']['name']}", 8001)) as tunnel:
            assert requests.get(tunnel.url + "/readyz", timeout=10).json() == {"status": "ok"}
            leads += re.findall(r"^poiesis_controller_leads (\d)$", requests.get(tunnel.url + "/metrics", timeout=10).text, re.M)
    assert sorted(leads) == ["0", "1"]


def test_another_replica_leads_when_the_leader_is_killed(client, sh, poiesis):
    leader = wait_until(poiesis.leader, "somebody leads", 60, 0.5)
    poiesis.kill_controllers([x for x in poiesis.controllers() if x["metadata"]["name"] == leader])
    assert client.run({"executors": [sh("echo on")]})["state"] == "COMPLETE"
    assert wait_until(poiesis.leader, "somebody leads", 60, 0.5) != leader


@pytest.mark.case("what ended while no server ran is finished")
def test_a_running_task_ends_without_a_controller(client, sh, poiesis):
    """Its own Pod records the end, whatever that is."""
    for script, state in [("echo done", "COMPLETE"), ("echo done; exit 9", "EXECUTOR_ERROR")]:
        task_id, _ = started(client, poiesis, [sh(GATE + script)])
        with poiesis.no_controllers():
            poiesis.let_go(task_id)
            done = client.wait(task_id)
        assert done["state"] == state and done["logs"][0]["logs"][0]["stdout"] == "done\n", done
    poiesis.nothing_is_left()


@pytest.mark.case("what runs is taken up, and an executor with a result is not run again")
def test_what_runs_is_taken_up(client, sh, poiesis):
    task_id = client.create({"volumes": ["/d"], "executors": [
        sh("echo x >> /d/count"), sh("while [ ! -e /d/go ]; do sleep 0.1; done; cat /d/count"), sh("cat /d/count")]})
    pod = poiesis.wait_for_container(task_id, "exec-1")["metadata"]["name"]
    client.wait(task_id, {"RUNNING"})
    with poiesis.no_controllers():
        poiesis.restart_api()
    wait_until(poiesis.leader, "somebody leads", 60, 0.5)
    poiesis.tasks.run("exec", pod, "--container", "exec-1", "--", "touch", "/d/go")
    done = client.wait(task_id)
    assert (done["state"], len(done["logs"]), codes(done)) == ("COMPLETE", 1, [0, 0, 0]), system_logs(done)
    assert [x["stdout"] for x in done["logs"][0]["logs"]] == ["", "x\n", "x\n"]


@pytest.mark.case("a container that vanished while no server ran is another attempt")
def test_a_pod_that_vanished_while_nobody_controlled_runs_again(client, sh, poiesis):
    task_id, pod = started(client, poiesis, [sh(GATE + "echo done")])
    with poiesis.no_controllers():
        kill_pod(poiesis, pod)
    poiesis.let_go(task_id, attempt=2)
    done = client.wait(task_id)
    assert done["state"] == "COMPLETE" and len(done["logs"]) == 2, system_logs(done)


def test_controllers_killed_at_any_moment_lose_nothing(client, sh, poiesis):
    """Both at once by SIGKILL, again and again while tasks are made, run, fail, are cancelled and end: each runs once, nothing is left."""
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    tasks = {}
    victim = client.create({"executors": [sh("sleep 300")]})
    for number in range(6):
        tasks[client.create({"executors": [sh(f"sleep 1; exit {3 if number % 3 == 0 else 0}")]})] = number
        time.sleep(chance.uniform(0, 3))
        if number % 2:
            poiesis.kill_controllers()
    client.cancel(victim)
    time.sleep(chance.uniform(0, 0.5))
    poiesis.kill_controllers()
    for task_id, number in tasks.items():
        done = client.wait(task_id, seconds=300)
        wanted = "EXECUTOR_ERROR" if number % 3 == 0 else "COMPLETE"
        assert (done["state"], len(done["logs"])) == (wanted, 1), (seed, number, system_logs(done))
        if number % 2:
            time.sleep(chance.uniform(0, 2))
            poiesis.kill_controllers()
    client.wait(victim, {"CANCELED"}, 120)
    poiesis.nothing_is_left(180)


# --- Two installations ----------------------------------------------------------------------------

def test_two_installations_in_one_namespace_leave_each_other_alone(client, sh, poiesis, second):
    ours = [client.create({"executors": [sh("sleep 3; echo ours")]}) for _ in range(3)]
    theirs = [second.client.create({"executors": [sh("sleep 3; echo theirs")]}) for _ in range(3)]
    assert poiesis.instance != second.instance
    for made, ids, said in [(poiesis, ours, "ours\n"), (second, theirs, "theirs\n")]:
        for task_id in ids:
            done = made.client.wait(task_id, seconds=300)
            assert (done["state"], len(done["logs"])) == ("COMPLETE", 1) and done["logs"][0]["logs"][0]["stdout"] == said
    assert client.request("GET", f"/tasks/{theirs[0]}").status_code == 404
    # One whose controllers go takes nothing of the other's with it.
    waiting = client.create({"executors": [sh("sleep 15; echo still here")]})
    poiesis.wait_for_container(waiting, "exec-0")
    second.kill_controllers()
    assert second.client.run({"executors": [sh("true")]}, seconds=300)["state"] == "COMPLETE"
    assert client.wait(waiting)["logs"][-1]["logs"][0]["stdout"] == "still here\n"
    poiesis.nothing_is_left()
    second.nothing_is_left()
