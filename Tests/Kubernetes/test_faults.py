"""What happens around tasks: evictions, deleted Pods, a database and controllers that come and go."""

import json
import time

from harness.client import system_logs
from harness.processes import wait_until


def codes(document):
    return [x.get("exit_code") for x in document["logs"][-1]["logs"]]


# --- Pods -----------------------------------------------------------------------------------------

def test_an_evicted_task_runs_again(client, sh, poiesis):
    task_id = client.create({"executors": [sh("sleep 20; echo done")]})
    pod = poiesis.wait_for_container(task_id, "exec-0")["metadata"]
    client.wait(task_id, {"RUNNING"})
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod["name"], "namespace": pod["namespace"]}}
    poiesis.tasks.run("create", "--raw", f"/api/v1/namespaces/{pod['namespace']}/pods/{pod['name']}/eviction",
                      "--filename", "-", stdin=json.dumps(eviction))
    done = client.wait(task_id)
    assert done["state"] == "COMPLETE" and len(done["logs"]) == 2, system_logs(done)
    assert done["logs"][1]["logs"][0]["stdout"] == "done\n"
    poiesis.nothing_is_left()


def test_a_pod_that_somebody_kills_runs_again(client, sh, poiesis):
    task_id = client.create({"executors": [sh("sleep 20; echo done")]})
    pod = poiesis.wait_for_container(task_id, "exec-0")["metadata"]
    client.wait(task_id, {"RUNNING"})
    poiesis.tasks.delete("pod", pod["name"], "--grace-period=0", "--force")
    done = client.wait(task_id)
    assert done["state"] == "COMPLETE" and len(done["logs"]) == 2, system_logs(done)


def test_a_job_that_somebody_deletes_runs_again(client, sh, poiesis):
    task_id = client.create({"executors": [sh("sleep 20; echo done")]})
    poiesis.wait_for_container(task_id, "exec-0")
    client.wait(task_id, {"RUNNING"})
    poiesis.tasks.delete("job", poiesis.objects("jobs", task_id)[0]["metadata"]["name"], "--wait=false")
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
        poiesis.wait_for_container(task_id, "exec-0")
        time.sleep(delay)
        with services.database_away():
            time.sleep(3)
        done = client.wait(task_id)
        assert done["state"] == "COMPLETE" and len(done["logs"]) == 1, (delay, system_logs(done))
        assert codes(done) == [0] and done["logs"][0]["logs"][0]["stdout"] == "done\n"
    poiesis.nothing_is_left()


def test_a_database_that_is_away_for_a_minute(client, sh, poiesis, services):
    """The recorder waits with what it knows."""
    task_id = client.create({"executors": [sh("sleep 5; echo done"), sh("exit 3")]})
    poiesis.wait_for_container(task_id, "exec-0")
    client.wait(task_id, {"RUNNING"})
    with services.database_away():
        time.sleep(60)
    done = client.wait(task_id)
    assert done["state"] == "EXECUTOR_ERROR" and codes(done) == [0, 3] and len(done["logs"]) == 1


# --- Controllers ----------------------------------------------------------------------------------

def test_another_replica_leads_when_the_leader_is_killed(client, sh, poiesis):
    leader = wait_until(poiesis.leader, "somebody leads", 60, 0.5)
    poiesis.system.delete("pod", leader, "--grace-period=0", "--force")
    assert client.run({"executors": [sh("echo on")]})["state"] == "COMPLETE"
    assert wait_until(poiesis.leader, "somebody leads", 60, 0.5) != leader


def test_a_running_task_ends_without_a_controller(client, sh, poiesis):
    """A clean run is recorded by its own Pod."""
    task_id = client.create({"executors": [sh("sleep 5; echo done")]})
    poiesis.wait_for_container(task_id, "exec-0")
    poiesis.system.run("scale", "deployment/poiesis-tctl", "--replicas=0")
    try:
        done = client.wait(task_id)
    finally:
        poiesis.system.run("scale", "deployment/poiesis-tctl", "--replicas=2")
    assert done["state"] == "COMPLETE" and done["logs"][0]["logs"][0]["stdout"] == "done\n"
    poiesis.nothing_is_left()


def test_controllers_killed_at_any_step_lose_nothing(client, sh, poiesis):
    """Again and again while tasks are made, run, fail, are cancelled and end: each runs once, nothing is left."""
    tasks, canceled = {}, set()
    for number in range(6):
        tasks[client.create({"executors": [sh(f"sleep 1; exit {3 if number % 3 == 0 else 0}")]})] = number
        if number % 2:
            poiesis.kill_controllers()
        if number == 4:
            victim = client.create({"executors": [sh("sleep 300")]})
            canceled.add(victim)
        time.sleep(1.5 * number % 4)
    client.cancel(victim)
    poiesis.kill_controllers()
    for task_id, number in tasks.items():
        done = client.wait(task_id, seconds=300)
        wanted = "EXECUTOR_ERROR" if number % 3 == 0 else "COMPLETE"
        assert (done["state"], len(done["logs"])) == (wanted, 1), (number, system_logs(done))
        poiesis.kill_controllers()
    for task_id in canceled:
        client.wait(task_id, {"CANCELED"}, 120)
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
