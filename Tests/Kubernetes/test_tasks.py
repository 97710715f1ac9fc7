"""What users do: tasks with inputs and outputs, and how they end."""

from harness.client import system_logs


def executor_logs(document):
    return document["logs"][-1]["logs"]


def test_a_task_runs(client, sh, poiesis):
    done = client.run({"executors": [sh("echo hello")]})
    assert [(x["exit_code"], x["stdout"]) for x in executor_logs(done)] == [(0, "hello\n")]
    assert done["logs"][0]["metadata"]["backend"] == "kubernetes"
    poiesis.nothing_is_left()
