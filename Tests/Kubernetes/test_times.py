"""What a TaskPod costs: beside a bare Pod of as many init containers, and container by container.

They run by turns, so that what else the machine does falls on both.
"""

import datetime
import statistics
import time

from cluster.kubectl import Watch
from harness.processes import wait_until

ROUNDS = 5


def ended_init_containers(pod):
    return [x["name"] for x in pod.get("status", {}).get("initContainerStatuses", []) if "terminated" in x["state"]]


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def bare_pod(poiesis, images, number):
    """Seconds from the moment at which the watch shows it until its last init container is seen ended.

    As a TaskPod of one executor: four init containers, three of our image and one of the executor's, whose commands exit at once.
    """
    name = f"bare-{number}"
    commands = [(images.poiesis, ["/usr/bin/poiesis", "--version"])] * 2 + [
        (images.executor, ["true"]), (images.poiesis, ["/usr/bin/poiesis", "--version"])]
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"test": name}},
        "spec": {"restartPolicy": "Never", "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1,
                 "initContainers": [{"name": f"init-{n}", "image": image, "command": command}
                                    for n, (image, command) in enumerate(commands)],
                 "containers": [{"name": "main", "image": images.executor, "command": ["true"]}]}}
    watch = Watch(poiesis.tasks, "pods", f"test={name}")
    try:
        poiesis.tasks.apply([pod])
        # Not from the start of kubectl, which takes as long as a container.
        start, _ = watch.until(lambda _: True, "the bare Pod is there")
        at, _ = watch.until(lambda x: "init-3" in ended_init_containers(x), "the bare Pod's last init container ends")
        return at - start
    finally:
        watch.close()
        poiesis.tasks.delete("pod", name, "--wait=false")


def task_pod(poiesis, sh, record_time):
    """The same of a no-op task, from its POST; and when each of its containers began and ended."""
    watch = Watch(poiesis.tasks, "pods", f"poiesis.io/instance={poiesis.instance}")
    try:
        start = time.time()
        task_id = poiesis.client.create({"executors": [sh("true")]})
        name = f"poiesis-{task_id}"
        mine = lambda pod: pod["metadata"]["name"].startswith(name)  # noqa: E731
        seen, _ = watch.until(mine, "the Pod is there")
        at, _ = watch.until(lambda x: mine(x) and "tof" in ended_init_containers(x), "the TaskPod's last init container ends")
        while poiesis.client.state(task_id) != "COMPLETE":
            assert time.time() - start < 60
            time.sleep(0.02)
        ended = time.time()
        steps(watch, mine, start, seen, at, ended, record_time)
        return at - start
    finally:
        watch.close()


def steps(watch, mine, start, seen, at, ended, record_time):
    """When the watch first shows each container as running or ended."""
    first = {}
    for arrived, _, pod in list(watch.events):
        if not mine(pod):
            continue
        for status in pod["status"].get("initContainerStatuses", []):
            for state in ["running", "terminated"]:
                if state in status["state"]:
                    first.setdefault((status["name"], state), arrived)
            if status.get("started"):
                first.setdefault((status["name"], "running"), arrived)
    record_time("  POST until its Pod is seen", seen - start)
    last = seen
    for name, state in [("trec", "running"), ("tif", "terminated"), ("exec-0", "terminated"), ("tof", "terminated")]:
        if (name, state) in first:
            record_time(f"  then until {name} is seen {state}", first[name, state] - last)
            last = first[name, state]
    record_time("  POST until the task is COMPLETE", ended - start)


def test_a_no_op_task_beside_a_bare_pod(poiesis, sh, images, record_time, say):
    poiesis.client.run({"executors": [sh("true")]})
    bare, ours = [], []
    for number in range(ROUNDS):
        bare.append(bare_pod(poiesis, images, number))
        ours.append(task_pod(poiesis, sh, record_time))
        wait_until(lambda: not poiesis.tasks.get("pods"), "no Pod is left", 60, 0.2)
    for seconds in bare:
        record_time("bare Pod, seen made until its last init container is seen ended", seconds)
    for seconds in ours:
        record_time("TaskPod, POST until its last init container is seen ended", seconds)
    ratio = statistics.median(ours) / statistics.median(bare)
    record_time("TaskPod beside bare Pod (a ratio; the mark is 1.3)", ratio)
    assert ratio <= 1.3, f"TaskPods {ours} beside bare Pods {bare}"


def test_each_further_executor(poiesis, sh, record_time):
    """What ten executors take more than one, each."""
    took = {}
    for count in [1, 11]:
        start = time.monotonic()
        poiesis.client.run({"executors": [sh("true")] * count})
        took[count] = time.monotonic() - start
    record_time("each further executor of a task", (took[11] - took[1]) / 10)
    assert (took[11] - took[1]) / 10 < 3
