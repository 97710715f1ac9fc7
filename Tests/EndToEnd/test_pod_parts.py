"""The parts of a task's Pod as processes that share a control folder: a recorder that is killed, and another that goes on."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time
import uuid

import pytest

from harness.client import task
from harness.processes import end_with_us, wait_until
from harness.server import environment
from test_api_command import api


@pytest.fixture
def database(cluster):
    name = "pod_" + uuid.uuid4().hex[:12]
    cluster.create(name)
    return name


class Pod:
    """One task's control folder, workspace and recorder."""

    def __init__(self, binary, cluster, database, folder, document):
        self.binary, self.cluster, self.database, self.folder = binary, cluster, database, folder
        self.control = folder / "control"
        for name in ("control", "workspace"):
            (folder / name).mkdir(mode=0o777)
        self.processes = []
        with api(binary, folder / "api", "--database", cluster.url(database)) as client:
            self.task = client.create(document)
            document = {key: value for key, value in client.get(self.task).items() if key != "logs"}
        number = self.query("SELECT poiesis.submit_v1(%s, %s)", self.task, json.dumps(document))
        (folder / "url").write_text(cluster.url(database) + "?application_name=trec\n")
        self.env = environment(
            folder, POIESIS_SUBMISSION=f"{self.task}/{number}", POIESIS_DATABASE_FILE=str(folder / "url"),
            POIESIS_GRACE_PERIOD="10", POD_NAME="pod", POD_NAMESPACE="poiesis", POD_UID="uid-1", NODE_NAME="n1")

    def query(self, sql, *parameters):
        with self.cluster.connect(self.database) as connection:
            return connection.execute(sql, parameters).fetchone()[0]

    def start(self, program, *arguments):
        process = subprocess.Popen([program, *map(str, arguments)], env=self.env, cwd=self.folder,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=end_with_us)
        self.processes.append(process)
        return process

    def part(self, name, *arguments):
        return self.start(self.binary, name, "--control", self.control, *arguments)

    def filer(self, name, *arguments):
        return self.part(name, "--workspace", self.folder / "workspace", *arguments).wait(60)

    def executor(self, position):
        return self.start(os.path.join(os.path.dirname(self.binary), "poiesis-exec"), "--pod",
                          self.control / f"exec-{position}").wait(60)

    def containers(self, executors):
        """All containers but the recorder's, in the kubelet's order; their exit codes."""
        yield self.filer("tif", "--shim", os.path.dirname(self.binary))
        for position in range(executors):
            yield self.executor(position)
        yield self.filer("tof")
        yield self.part("ack").wait(60)

    def row(self):
        """The task's state, its attempts, the exit codes and what was captured of stdout."""
        state = self.query("SELECT state FROM poiesis.task_states")
        attempts = self.query("SELECT count(*) FROM poiesis.task_logs")
        logs = self.query("SELECT coalesce(json_agg(json_build_array(exit_code, stdout) ORDER BY position), '[]') "
                          "FROM poiesis.executor_logs")
        return state, attempts, logs

    def connections(self):
        return self.query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'trec'")


@pytest.fixture
def pods(binary, cluster, database, tmp_path):
    made = []

    def make(document):
        made.append(Pod(binary, cluster, database, tmp_path, document))
        return made[-1]

    yield make
    for pod in made:
        for process in pod.processes:
            process.kill()
            process.wait()


TWO = task("echo one", "echo two")
DONE = ("COMPLETE", 1, [[0, "one\n"], [0, "two\n"]])


def takes(process, number):
    """Whether a process has a way of its own with a signal: it is caught, blocked or ignored; proc_pid_status(5)."""
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    masks = re.findall(r"^Sig(?:Blk|Ign|Cgt):\s+([0-9a-f]+)$", text, re.M)
    return any(int(mask, 16) & 1 << (number - 1) for mask in masks)


@pytest.mark.parametrize("file", ["trec/claim", "exec-0/plan", "exec-1/plan", "tif/plan", "exec-0/turn", "exec-1/turn",
                                  "tof/plan", "verdict"])
def test_a_recorder_that_is_killed_at_a_write_is_replaced(pods, file):
    pod = pods(TWO)
    first = pod.part("trec")
    parts = pod.containers(2)
    # What is to be there before the file appears; the rest runs once the first recorder is gone.
    before = {"exec-0/turn": 1, "exec-1/turn": 2, "tof/plan": 3, "verdict": 4}.get(file, 0)
    statuses = [next(parts) for _ in range(min(before, 4))]
    end = time.monotonic() + 30
    while not (pod.control / file).exists():
        assert time.monotonic() < end and first.poll() is None
    first.kill()
    first.wait()
    second = pod.part("trec")
    statuses += list(parts)
    assert statuses == [0] * 5
    # What was left to do may be done before it takes signals; in a Pod, where it is the first process, none ends it.
    wait_until(lambda: takes(second, signal.SIGTERM), "the second recorder takes signals")
    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0
    assert pod.row() == DONE


def test_a_recorder_has_no_connection_while_nothing_happens(pods):
    pod = pods(task("touch ready; while ! test -e go; do sleep 0.1; done"))
    recorder = pod.part("trec")
    parts = pod.containers(1)
    next(parts)
    executor = pod.start(os.path.join(os.path.dirname(pod.binary), "poiesis-exec"), "--pod", pod.control / "exec-0")
    wait_until(lambda: pod.query("SELECT state FROM poiesis.task_states") == "RUNNING", "the task runs")
    wait_until((pod.folder / "ready").exists, "the program runs")
    wait_until(lambda: pod.connections() == 0, "the recorder's connection is closed")
    (pod.folder / "go").touch()
    assert executor.wait(30) == 0
    assert pod.filer("tof") == 0 and pod.part("ack").wait(30) == 0
    recorder.send_signal(signal.SIGTERM)
    assert recorder.wait(20) == 0
    assert pod.row() == ("COMPLETE", 1, [[0, ""]])


def test_a_cancelled_program_is_recorded_with_its_end(pods):
    pod = pods(task("trap 'echo tidied up; exit 9' TERM; touch ready; while :; do sleep 0.1; done"))
    recorder = pod.part("trec")
    next(pod.containers(1))
    executor = pod.start(os.path.join(os.path.dirname(pod.binary), "poiesis-exec"), "--pod", pod.control / "exec-0")
    wait_until((pod.folder / "ready").exists, "the program runs")
    assert pod.query("SELECT poiesis.cancel_v1(%s, owner) FROM poiesis.tasks", pod.task) == "CANCELING"
    for process in (recorder, executor):
        process.send_signal(signal.SIGTERM)
    assert (executor.wait(30), recorder.wait(30)) == (143, 0)
    assert pod.row() == ("CANCELED", 1, [[9, "tidied up\n"]])
    assert pod.query("SELECT cause FROM poiesis.task_logs") == "canceled"


def test_a_recorder_that_is_told_to_stop_while_it_starts_leaves(pods):
    pod = pods(TWO)
    configuration = pod.folder / "configuration.yaml"
    # Reading and parsing it takes a while.
    size = 20_000_000
    configuration.write_text("# a comment\n" * (size // 12) + "{}\n")
    recorder = pod.part("trec", "--config", configuration)

    def has_read():
        text = pathlib.Path(f"/proc/{recorder.pid}/io").read_text(encoding="utf-8")
        return int(re.search(r"^rchar: (\d+)$", text, re.M).group(1)) > size

    wait_until(has_read, "the recorder reads its settings", every=0.001)
    recorder.send_signal(signal.SIGTERM)
    assert recorder.wait(60) == 0
    assert pod.query("SELECT state FROM poiesis.task_states") == "QUEUED"
