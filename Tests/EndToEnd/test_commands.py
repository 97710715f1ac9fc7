"""The client commands and `poiesis run`: what they print, and how they exit."""

import json
import re
import signal
import time
import uuid

import pytest

from harness.client import sh, task
from harness.commands import Commands
from harness.processes import wait_until

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n")
UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"
MISSING_IMAGE = "127.0.0.1:1/poiesis/unreachable:1"


@pytest.fixture(scope="module")
def poiesis(scratch, engine, server):
    return Commands(scratch / "commands", engine, server.url)


@pytest.fixture
def mark():
    return uuid.uuid4().hex


def ended_with(status):
    """A task, and the exit status that stands for its end."""
    return {0: task("echo out; echo err >&2"), 42: task("echo out; exit 42"), 127: task("true", "exit 127"),
            143: task("kill -15 $$; sleep 5"), 70: task({"image": MISSING_IMAGE, "command": ["true"]})}[status]


STATUSES = [0, 42, 127, 143, 70]


# --- poiesis run ----------------------------------------------------------------------------------

@pytest.mark.parametrize("status", STATUSES)
def test_run_exits_as_the_task_ended(poiesis, status):
    done = poiesis("run", poiesis.file(ended_with(status)))
    assert done.returncode == status, done.stderr


def test_run_shows_what_the_executor_printed(poiesis):
    done = poiesis("run", poiesis.file(task("echo printed-by-it")))
    assert "printed-by-it" in done.stdout + done.stderr


@pytest.mark.parametrize("state", ["RUNNING", "COMPLETE"])
def test_run_shows_the_progress(poiesis, state):
    done = poiesis("run", poiesis.file(task("sleep 0.3")))
    assert state in done.stdout + done.stderr


def test_run_says_why_a_task_failed(poiesis):
    done = poiesis("run", poiesis.file(ended_with(70)))
    assert MISSING_IMAGE in done.stdout + done.stderr


def test_run_reads_and_writes_what_its_user_can(poiesis, tmp_path):
    (tmp_path / "in").write_text("given")
    poiesis("run", poiesis.file(task("cat /in/x /in/x > /out/x", inputs=[
        {"path": "/in/x", "url": f"file://{tmp_path}/in"}], outputs=[
        {"path": "/out/x", "url": f"file://{tmp_path}/out"}])))
    assert (tmp_path / "out").read_text() == "givengiven"


def test_run_needs_no_server(poiesis):
    done = poiesis("run", poiesis.file(task("true")), env={"POIESIS_URL": "http://127.0.0.1:1"})
    assert done.returncode == 0, done.stderr


def test_run_leaves_no_container(poiesis, engine, containers_before):
    poiesis("run", poiesis.file(task("true")))
    wait_until(lambda: not engine.our_containers() - containers_before, "no container is left")


@pytest.fixture
def interrupted(poiesis, engine, containers_before):
    """A `poiesis run` that was ended with Ctrl-C while its task ran."""
    process = poiesis.start("run", poiesis.file(task("sleep 600")))
    try:
        wait_until(lambda: any(x["State"] == "running" for x in engine.containers("poiesis.io/task")),
                   "the task runs")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)
        yield process
    finally:
        process.kill()
        process.wait()


def test_run_exits_with_130_after_ctrl_c(interrupted):
    assert interrupted.returncode == 130


def test_run_cancels_after_ctrl_c(interrupted, engine, containers_before):
    wait_until(lambda: not engine.our_containers() - containers_before, "no container is left")


@pytest.mark.parametrize("delay", [0.1, 0.2, 0.3, 0.45])
def test_ctrl_c_before_the_task_leaves_nothing(poiesis, engine, containers_before, tmp_path, delay):
    tmp_path.chmod(0o711)
    process = poiesis.start("run", poiesis.file(task("sleep 600")), env={"TMPDIR": str(tmp_path)})
    try:
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)
    finally:
        process.kill()
        process.wait()
    # Before it can handle signals it has made nothing.
    assert process.returncode in (130, -signal.SIGINT)
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: not engine.our_containers() - containers_before, "no container is left")


def test_run_passes_output_on_as_it_is(poiesis):
    done = poiesis("run", poiesis.file(task("printf 'no line end'; echo to-stderr >&2")))
    assert done.stdout == "no line end"
    assert "to-stderr" in done.stderr


@pytest.mark.parametrize("document", [{}, {"executors": []}, {"executors": [{"image": "", "command": ["x"]}]}], ids=str)
def test_run_points_at_what_is_wrong_in_a_document(poiesis, document):
    done = poiesis("run", poiesis.file(document))
    assert (0 < done.returncode < 128, "executors" in done.stderr) == (True, True), done.stderr


def test_run_names_a_file_that_is_not_there(poiesis):
    done = poiesis("run", "no-such-file.json")
    assert (0 < done.returncode < 128, "no-such-file.json" in done.stderr) == (True, True), done.stderr


# --- poiesis task create --------------------------------------------------------------------------

def test_create_prints_the_id_alone(poiesis):
    assert UUID.fullmatch(poiesis("task", "create", poiesis.file(task("true"))).stdout)


def test_create_reads_standard_input(poiesis, client):
    done = poiesis("task", "create", "-", stdin=json.dumps(task("true", name="from stdin")))
    assert client.get(done.stdout.strip())["name"] == "from stdin"


@pytest.mark.parametrize("status", STATUSES)
def test_create_with_wait_exits_as_the_task_ended(poiesis, status):
    done = poiesis("task", "create", poiesis.file(ended_with(status)), "--wait")
    assert done.returncode == status, done.stderr


def test_create_with_wait_prints_the_id(poiesis):
    assert UUID.match(poiesis("task", "create", poiesis.file(task("true")), "--wait").stdout)


def test_create_points_at_what_is_wrong_in_a_document(poiesis):
    done = poiesis("task", "create", "-", stdin='{"executors": [{"image": "", "command": []}]}')
    assert "/executors/0/image" in done.stderr and "/executors/0/command" in done.stderr


def test_create_of_a_refused_document_prints_no_id(poiesis):
    done = poiesis("task", "create", "-", stdin="{}")
    assert (done.stdout, 0 < done.returncode < 128) == ("", True)


# --- get, list, watch, logs, cancel ---------------------------------------------------------------

@pytest.fixture(scope="module")
def ended(client):
    return client.run(task("echo to-stdout; echo to-stderr >&2", "echo from-second", name="for the commands"))


@pytest.mark.parametrize("view", ["MINIMAL", "BASIC", "FULL"])
def test_get_prints_the_task(poiesis, client, ended, view):
    assert json.loads(poiesis("task", "get", ended["id"], "--view", view).stdout) == client.get(ended["id"], view)


def test_get_takes_the_server_from_its_option(poiesis, server, ended):
    done = poiesis("task", "get", ended["id"], "--url", server.url, env={"POIESIS_URL": "http://127.0.0.1:1"})
    assert json.loads(done.stdout)["id"] == ended["id"]


@pytest.mark.parametrize("command", [["get"], ["watch"], ["logs"], ["cancel"]], ids=str)
def test_an_unknown_id_is_named(poiesis, command):
    done = poiesis("task", *command, UNKNOWN_ID)
    assert (0 < done.returncode < 128, UNKNOWN_ID in done.stderr) == (True, True), done.stderr


def listed(poiesis, *options):
    return [x["id"] for x in json.loads(poiesis("task", "list", "--output", "json", *options).stdout)["tasks"]]


def test_list_by_tag(poiesis, client, mark):
    task_id = client.create(task("true", tags={"mark": mark}))
    assert listed(poiesis, "--tag", f"mark={mark}") == [task_id]


def test_list_by_two_tags(poiesis, client, mark):
    both = client.create(task("true", tags={"mark": mark, "a": "b=c"}))
    client.create(task("true", tags={"mark": mark}))
    assert listed(poiesis, "--tag", f"mark={mark}", "--tag", "a=b=c") == [both]


def test_list_by_name(poiesis, client, mark):
    task_id = client.create(task("true", name=f"{mark} named"))
    assert listed(poiesis, "--name-prefix", mark) == [task_id]


def test_list_by_state(poiesis, client, mark):
    failed = client.run(task("exit 1", tags={"mark": mark}), "EXECUTOR_ERROR")["id"]
    client.run(task("true", tags={"mark": mark}))
    assert listed(poiesis, "--tag", f"mark={mark}", "--state", "EXECUTOR_ERROR") == [failed]


def test_list_as_a_table_shows_ids_and_states(poiesis, client, mark):
    task_id = client.run(task("true", tags={"mark": mark}))["id"]
    lines = poiesis("task", "list", "--tag", f"mark={mark}").stdout.splitlines()
    assert [line for line in lines if task_id in line and "COMPLETE" in line]


def test_watch_ends_with_the_task(poiesis, client):
    task_id = client.create(task("sleep 1"))
    done = poiesis("task", "watch", task_id)
    assert (client.state(task_id), "COMPLETE" in done.stdout) == ("COMPLETE", True)


def test_logs_prints_stdout(poiesis, ended):
    done = poiesis("task", "logs", ended["id"])
    assert "to-stdout" in done.stdout and "from-second" in done.stdout


def test_logs_prints_stderr(poiesis, ended):
    done = poiesis("task", "logs", ended["id"])
    assert "to-stderr" in done.stdout + done.stderr


def test_logs_tells_why_a_task_failed(poiesis, client):
    failed = client.run(ended_with(70), "SYSTEM_ERROR")
    done = poiesis("task", "logs", failed["id"])
    assert MISSING_IMAGE in done.stdout + done.stderr


def test_cancel_takes_several_ids(poiesis, client):
    created = [client.create(task("sleep 600")) for _ in range(3)]
    poiesis("task", "cancel", *created)
    assert {client.wait(x)["state"] for x in created} == {"CANCELED"}


def test_cancel_goes_on_after_an_unknown_id(poiesis, client):
    task_id = client.create(task("sleep 600"))
    done = poiesis("task", "cancel", UNKNOWN_ID, task_id)
    assert (client.wait(task_id)["state"], done.returncode != 0) == ("CANCELED", True)


@pytest.mark.parametrize("command", [["list"], ["get", UNKNOWN_ID], ["cancel", UNKNOWN_ID], ["create", "-"]], ids=str)
def test_a_server_that_is_not_there_is_named(poiesis, command):
    done = poiesis("task", *command, "--url", "http://127.0.0.1:1", stdin=json.dumps(task("true")))
    assert (0 < done.returncode < 128, "http://127.0.0.1:1" in done.stderr) == (True, True), done.stderr


# --- A terminal -----------------------------------------------------------------------------------

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b2Jend"


@pytest.fixture(scope="module")
def hostile(client):
    says_it = sh('printf "%s\\n" "$TEXT"', env={"TEXT": HOSTILE})
    return client.run(task(says_it, name=HOSTILE, tags={"hostile": HOSTILE}))


@pytest.mark.parametrize("command", [["logs"], ["get", "--view", "FULL"], ["watch"]], ids=str)
def test_control_characters_do_not_reach_a_terminal(poiesis, hostile, command):
    output = poiesis.on_a_terminal("task", command[0], hostile["id"], *command[1:])
    assert not any(x in output for x in (b"\x1b[31m", b"\x1b]0;", b"\x07", "\x9b".encode())), output


def test_control_characters_do_not_reach_a_terminal_from_a_list(poiesis, hostile):
    output = poiesis.on_a_terminal("task", "list", "--tag", "hostile")
    shown = hostile["id"].encode() in output
    assert (shown, b"\x1b[31m" in output or b"\x07" in output) == (True, False), output


def test_the_text_around_control_characters_stays(poiesis, hostile):
    assert b"red" in poiesis.on_a_terminal("task", "logs", hostile["id"])
