"""py-tes as its users call it: every method of its client, in the newest release and in one that older tools use."""

import base64
import pathlib
import subprocess
import textwrap

import pytest
import tes

from harness.client import BUSYBOX as IMAGE
from harness.processes import BUILD, wait_until


@pytest.fixture(params=["", "/ga4gh/tes/v1", "/v1"], ids=["root", "ga4gh", "v1"], scope="module")
def pytes(request, server):
    """The client tries bases below the URL in turn, so it may be given any of them."""
    return tes.HTTPClient(server.url + request.param, timeout=60)


def echo(text="hello", **fields):
    return tes.Task(executors=[tes.Executor(image=IMAGE, command=["echo", text])], **fields)


def test_get_service_info(pytes):
    assert pytes.get_service_info().type["artifact"] == "tes"


def test_create_task_and_wait(pytes):
    assert pytes.wait(pytes.create_task(echo()), timeout=60).state == "COMPLETE"


@pytest.mark.parametrize("view", ["MINIMAL", "BASIC", "FULL"])
def test_get_task(pytes, view):
    task_id = pytes.create_task(echo())
    pytes.wait(task_id, timeout=60)
    assert pytes.get_task(task_id, view).state == "COMPLETE"


def test_get_task_full_has_the_logs(pytes):
    task_id = pytes.create_task(echo("said"))
    pytes.wait(task_id, timeout=60)
    assert pytes.get_task(task_id, "FULL").logs[0].logs[0].stdout == "said\n"


def test_cancel_task(pytes):
    task_id = pytes.create_task(tes.Task(executors=[tes.Executor(image=IMAGE, command=["sleep", "600"])]))
    pytes.cancel_task(task_id)
    wait_until(lambda: pytes.get_task(task_id, "MINIMAL").state == "CANCELED", "the task is CANCELED")


@pytest.mark.parametrize("view", ["MINIMAL", "BASIC", "FULL"])
def test_list_tasks(pytes, view):
    task_id = pytes.create_task(echo())
    assert task_id in [x.id for x in pytes.list_tasks(view=view, page_size=5).tasks]


def test_list_tasks_page_by_page(pytes):
    created = [pytes.create_task(echo()) for _ in range(3)][::-1]
    first = pytes.list_tasks(page_size=2)
    second = pytes.list_tasks(page_size=1, page_token=first.next_page_token)
    assert [x.id for x in first.tasks + second.tasks] == created


def test_every_member_of_a_task_comes_back(pytes, server):
    # Nothing of it may change on the way.
    sent = tes.Task(
        name="everything", description="all members", tags={"a": "b"}, volumes=["/vol"],
        inputs=[tes.Input(path="/in/x", content="given", name="i", description="d", streamable=True)],
        outputs=[tes.Output(path="/out/*", path_prefix="/out", url=f"file://{server.files}/pytes/", name="o")],
        resources=tes.Resources(cpu_cores=1, ram_gb=0.5, disk_gb=1.5, preemptible=False, zones=["z"]),
        executors=[tes.Executor(image=IMAGE, command=["sh", "-c", "cat > /out/x"], stdin="/in/x", stdout="/out/o",
                                stderr="/out/e", workdir="/vol", env={"A": "b"}, ignore_error=True)])
    task_id = pytes.create_task(sent)
    pytes.wait(task_id, timeout=60)
    got = pytes.get_task(task_id, "FULL")
    got.id = got.state = got.logs = got.creation_time = None
    assert got == sent


def test_times_are_understood(pytes):
    task_id = pytes.create_task(echo())
    pytes.wait(task_id, timeout=60)
    got = pytes.get_task(task_id, "FULL")
    assert got.creation_time <= got.logs[0].start_time <= got.logs[0].logs[0].end_time <= got.logs[0].end_time


def test_a_refusal_is_an_error(pytes):
    with pytest.raises(Exception, match="400"):
        pytes.create_task(tes.Task(executors=[]))


def test_an_unknown_task_is_an_error(pytes):
    with pytest.raises(Exception, match="404"):
        pytes.get_task("01890000-0000-7000-8000-000000000000")


@pytest.mark.parametrize("credentials", [{"user": "somebody", "password": "something"}, {"token": "anything"}], ids=str)
def test_credentials_are_ignored(server, credentials):
    assert tes.HTTPClient(server.url, **credentials).get_service_info().name


# --- py-tes 0.4 -----------------------------------------------------------------------------------

def old(server, script):
    """Runs a script in the environment of py-tes 0.4, which knows the base /v1 alone, and sends Basic None:None."""
    python = BUILD / "venv-py-tes-0.4" / "bin" / "python"
    assert pathlib.Path(python).exists(), "the environment of py-tes 0.4 is missing: type scripts/setup --tests"
    prelude = f"""
        import tes
        client = tes.HTTPClient({server.url!r}, timeout=60)
        echo = tes.Task(executors=[tes.Executor(image={IMAGE!r}, command=["echo", "old"])])
    """
    done = subprocess.run([python, "-c", textwrap.dedent(prelude) + textwrap.dedent(script)],
                          capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_old_get_service_info(server):
    assert old(server, "print(type(client.get_service_info().storage).__name__)") == "list"


def test_old_create_wait_and_get(server):
    assert old(server, """
        task_id = client.create_task(echo)
        client.wait(task_id, timeout=60)
        task = client.get_task(task_id, "FULL")
        print(task.state, task.logs[0].logs[0].stdout)
    """) == "COMPLETE old"


def test_old_cancel(server):
    assert old(server, """
        import time
        echo.executors[0].command = ["sleep", "600"]
        task_id = client.create_task(echo)
        client.cancel_task(task_id)
        state = "CANCELING"
        while state == "CANCELING":
            time.sleep(0.1)
            state = client.get_task(task_id, "MINIMAL").state
        print(state)
    """) == "CANCELED"


def test_old_list(server):
    assert old(server, """
        task_id = client.create_task(echo)
        print(task_id in [x.id for x in client.list_tasks(view="MINIMAL", page_size=5).tasks])
    """) == "True"


def test_basic_none_none_is_what_it_sends(server):
    # The reason why credentials are ignored: this is what `auth=(None, None)` becomes.
    header = "Basic " + base64.b64encode(b"None:None").decode()
    assert server.client.request("GET", "/service-info", headers={"Authorization": header}).status_code == 200
