"""How executors run: their argv, environment, files and limits, and what their ends mean."""

import base64
import json

import pytest

from harness.client import run, sh, system_logs, task
from harness.processes import wait_until

NOBODY = "poiesis-test/nobody:1"


def executor_logs(document):
    return document["logs"][-1]["logs"]


# --- Order ----------------------------------------------------------------------------------------

def test_executors_run_one_after_the_other(client):
    ended = client.run(task("echo 1 >> /v/order; sleep 0.3; echo 2 >> /v/order", "echo 3 >> /v/order",
                            "cat /v/order", volumes=["/v"]))
    assert executor_logs(ended)[2]["stdout"] == "1\n2\n3\n"


def test_nothing_runs_after_a_failure(client, folder):
    client.run(task("exit 1", "echo ran > /out/second", outputs=[
        {"path": "/out", "url": f"file://{folder}/out", "type": "DIRECTORY"}]), "EXECUTOR_ERROR")
    assert not (folder / "out" / "second").exists()


def test_an_ignored_error_lets_the_next_one_run(client):
    ended = client.run(task(sh("exit 5", ignore_error=True), "echo next"))
    assert [(x["exit_code"], x.get("stdout", "")) for x in executor_logs(ended)] == [(5, ""), (0, "next\n")]


def test_an_ignored_missing_program_lets_the_next_one_run(client):
    ended = client.run(task(run("no-such-program", ignore_error=True), "echo next"))
    assert [x["exit_code"] for x in executor_logs(ended)] == [127, 0]


def test_a_failure_after_an_ignored_one_counts(client):
    ended = client.run(task(sh("exit 5", ignore_error=True), "exit 6"), "EXECUTOR_ERROR")
    assert [x["exit_code"] for x in executor_logs(ended)] == [5, 6]


# --- Argv -----------------------------------------------------------------------------------------

ARGUMENTS = {
    "plain": ["a", "b"],
    "empty strings": ["", "x", ""],
    "blanks": [" ", "a b", "\t", "a\nb", "a\r\nb"],
    "quotes": ["'", '"', "`", "\\", "a'b\"c`d\\e", "''"],
    "shell": ["$HOME", "$(id)", "`id`", "*", "?", "~", "a;b", "a|b", "a&b", ">x", "#x", "!x", "{a,b}", "${X}"],
    "options": ["-", "--", "-x", "--help", "-c"],
    "templates": ["$(INPUT)", "$$(x)", "{{ x }}", "%s", "%(x)s", "\\n", "\\0"],
    "unicode": ["naïve", "日本語", "🧬", "e\u0301"],
    "long": ["x" * 100_000, "y" * 100_000],
    "many": [str(x) for x in range(2000)],
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_argv_arrives_exactly(client, folder, case):
    # The kernel's own record: no quoting on the way back. A shell may become its last command, hence the `true`.
    command = ["sh", "-c", "cat /proc/$$/cmdline > /out/argv; true", "name", *ARGUMENTS[case]]
    client.run(task(run(*command), outputs=[{"path": "/out/argv", "url": f"file://{folder}/argv"}]))
    assert (folder / "argv").read_bytes() == b"".join(x.encode() + b"\0" for x in command)


@pytest.mark.parametrize("program", ["echo", "/bin/echo", "/usr/bin/../../bin/echo"])
def test_a_program_is_found_by_name_and_by_path(client, program):
    assert executor_logs(client.run(task(run(program, "found"))))[0]["stdout"] == "found\n"


def test_the_entrypoint_of_the_image_is_replaced(client):
    ended = client.run(task({"image": "poiesis-test/entrypoint:1", "command": ["echo", "mine"]}))
    assert executor_logs(ended)[0]["stdout"] == "mine\n"


def test_a_command_that_starts_with_an_option_wants_the_entrypoint(client):
    ended = client.run(task({"image": "poiesis-test/entrypoint:1", "command": ["-v", "x"]}))
    assert executor_logs(ended)[0]["stdout"] == "from the entrypoint -v x\n"


# --- Ends -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("code", [1, 2, 42, 126, 127, 255])
def test_an_exit_code_is_exact(client, code):
    ended = client.run(task(f"exit {code}"), "EXECUTOR_ERROR")
    assert [x["exit_code"] for x in executor_logs(ended)] == [code]


# Not QUIT: busybox's shell ignores it.
@pytest.mark.parametrize("signal", [1, 2, 6, 9, 11, 13, 15])
def test_death_by_a_signal_is_128_and_its_number(client, signal):
    ended = client.run(task(f"kill -{signal} $$; sleep 5"), "EXECUTOR_ERROR")
    assert [x["exit_code"] for x in executor_logs(ended)] == [128 + signal]


@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program"])
def test_a_missing_program_is_127(client, program):
    ended = client.run(task(run(program)), "EXECUTOR_ERROR")
    assert [x["exit_code"] for x in executor_logs(ended)] == [127]


@pytest.mark.parametrize("program", ["/etc/image-file", "/etc", "/usr/bin/wrong-format"])
def test_a_program_that_cannot_be_executed_is_126(client, program):
    ended = client.run(task(run(program)), "EXECUTOR_ERROR")
    assert [x["exit_code"] for x in executor_logs(ended)] == [126]


@pytest.mark.parametrize("program", ["no-such-program", "/etc/image-file"])
def test_a_program_that_does_not_start_is_named(client, program):
    ended = client.run(task(run(program)), "EXECUTOR_ERROR")
    assert program in json.dumps(ended["logs"])


def test_a_missing_program_below_a_mount_names_the_path_that_hides_it(client):
    ended = client.run(task(run("/opt/tools/program"), volumes=["/opt/tools"]), "EXECUTOR_ERROR")
    assert "/opt/tools" in (executor_logs(ended)[0].get("stderr", "") + system_logs(ended)).replace(
        "/opt/tools/program", "")


def test_running_out_of_memory_is_137(client):
    # tail keeps all of an endless line.
    ended = client.run(task(run("tail", "/dev/zero"), resources={"ram_gb": 0.01}), "EXECUTOR_ERROR")
    assert [x["exit_code"] for x in executor_logs(ended)] == [137]


def test_running_out_of_memory_is_explained(client):
    ended = client.run(task(run("tail", "/dev/zero"), resources={"ram_gb": 0.01}), "EXECUTOR_ERROR")
    assert "memory" in system_logs(ended).lower()


def test_what_a_program_leaves_behind_does_not_delay_its_end(client):
    # Within the two minutes that this waits.
    client.run(task("sleep 300 & echo done"))


# --- Working directory, environment, user ---------------------------------------------------------

def test_workdir_holds(client):
    assert client.run_sh("pwd", workdir="/etc")["stdout"] == "/etc\n"


def test_a_missing_workdir_is_made(client):
    assert client.run_sh("pwd", workdir="/oQuvDZ/deep/er")["stdout"] == "/oQuvDZ/deep/er\n"


def test_a_workdir_that_is_an_output_is_shared(client, folder):
    client.run(task(sh("echo x > here", workdir="/oQuvDZ"), outputs=[
        {"path": "/oQuvDZ", "url": f"file://{folder}/out", "type": "DIRECTORY"}]))
    assert (folder / "out" / "here").read_text() == "x\n"


def test_the_working_directory_of_the_image_holds_otherwise(client):
    ended = client.run(task({"image": NOBODY, "command": ["pwd"]}))
    assert executor_logs(ended)[0]["stdout"] == "/var\n"


@pytest.mark.parametrize("value", ["", "a b", "a\nb", "$HOME", "=", "ü", "x" * 10_000], ids=len)
def test_an_environment_variable_arrives_exactly(client, value):
    assert client.run_sh('printf "<%s>" "$VALUE"', env={"VALUE": value})["stdout"] == f"<{value}>"


def test_the_environment_of_the_image_holds_too(client):
    ended = client.run(task(sh("echo $FROM_IMAGE $MINE", image=NOBODY, env={"MINE": "m"})))
    assert executor_logs(ended)[0]["stdout"] == "yes m\n"


def test_the_task_overrides_the_environment_of_the_image(client):
    ended = client.run(task(sh("echo $FROM_IMAGE", image=NOBODY, env={"FROM_IMAGE": "no"})))
    assert executor_logs(ended)[0]["stdout"] == "no\n"


def test_the_user_of_the_image_holds(client):
    assert executor_logs(client.run(task({"image": NOBODY, "command": ["id", "-u"]})))[0]["stdout"] == "65534\n"


def test_any_user_may_write_and_the_server_reads_it(client, folder):
    client.run(task(sh("umask 077; mkdir /out/d; echo x > /out/d/f", image=NOBODY),
                    outputs=[{"path": "/out", "url": f"file://{folder}/out", "type": "DIRECTORY"}]))
    assert (folder / "out" / "d" / "f").read_text() == "x\n"


def test_executors_of_different_users_see_the_same_files(client):
    ended = client.run(task("echo from root > /v/a", sh("echo x > /v/b; cat /v/a", image=NOBODY), volumes=["/v"]))
    assert executor_logs(ended)[1]["stdout"] == "from root\n"


def test_commands_and_environments_are_not_in_what_the_engine_shows(client, engine):
    task_id = client.create(task(sh("sleep 60 # hidden-argument", env={"TOKEN": "hidden-value"})))
    client.wait(task_id, {"RUNNING"})
    shown = wait_until(lambda: [engine.inspect(x["Id"]) for x in engine.task_containers(task_id)], "a container")
    client.cancel(task_id)
    assert "hidden-" not in json.dumps(shown)


# --- Limits ---------------------------------------------------------------------------------------

@pytest.mark.parametrize(("ram_gb", "limit"), [(0.5, 500_000_000), (0.002, 256 << 20)])
def test_memory_is_limited_with_a_floor(client, engine, ram_gb, limit):
    assert limits_of_a_running_task(client, engine, {"ram_gb": ram_gb})["Memory"] == limit


def test_processors_are_limited(client, engine):
    limits = limits_of_a_running_task(client, engine, {"cpu_cores": 1})
    quota = limits["CpuQuota"] / limits["CpuPeriod"] if limits.get("CpuPeriod") else limits["NanoCpus"] / 1e9
    assert quota == 1


def limits_of_a_running_task(client, engine, resources):
    task_id = client.create(task("sleep 60", resources=resources))
    client.wait(task_id, {"RUNNING"})
    container = wait_until(lambda: engine.task_containers(task_id, only_running=True), "a running container")[0]
    limits = engine.inspect(container["Id"])["HostConfig"]
    client.cancel(task_id)
    return limits


# --- Images ---------------------------------------------------------------------------------------

def test_a_missing_image_is_pulled(client, engine, registry):
    try:
        ended = client.run(task({"image": registry.image, "command": ["sh", "-c", "echo pulled"]}))
        assert executor_logs(ended)[0]["stdout"] == "pulled\n"
    finally:
        engine.remove_image(registry.image)


def test_an_image_that_is_there_is_not_pulled(client, engine, registry):
    document = task({"image": registry.image, "command": ["sh", "-c", "true"]})
    try:
        client.run(document)
        pulls = registry.pulls
        client.run(document)
        assert registry.pulls == pulls
    finally:
        engine.remove_image(registry.image)


def test_a_registry_gets_the_login_of_the_configured_file(servers, engine, registry, folder):
    logins = folder / "config.json"
    host = registry.image.split("/")[0]
    auth = base64.b64encode(b"user:pass:word").decode()
    registry.login = ("user", "pass:word")
    document = task({"image": registry.image, "command": ["sh", "-c", "echo pulled"]})
    try:
        logins.write_text(json.dumps({"auths": {"other.example": {"auth": auth}}}))
        server = servers(env={"DOCKER_CONFIG": str(folder)})
        ended = server.client.run(document, "SYSTEM_ERROR")
        assert f"the registry {host} was asked without a login" in system_logs(ended)
        assert str(logins) in system_logs(ended)
        # Read anew for each pull: nobody has to restart the server after a login.
        logins.write_text(json.dumps({"auths": {host: {"auth": auth}}}))
        assert executor_logs(server.client.run(document))[0]["stdout"] == "pulled\n"
        engine.remove_image(registry.image)
        registry.login = ("user", "another")
        ended = server.client.run(document, "SYSTEM_ERROR")
        assert f"the registry {host} was asked with the login of {logins}" in system_logs(ended)
    finally:
        registry.login = None


def test_an_image_that_cannot_be_had_is_named(client, registry):
    ended = client.run(task({"image": registry.missing, "command": ["true"]}), "SYSTEM_ERROR")
    assert registry.missing in system_logs(ended)


@pytest.mark.parametrize("image", ["127.0.0.1:1/poiesis/unreachable:1", "Not A Valid:::Name"])
def test_an_impossible_image_is_named(client, image):
    ended = client.run(task({"image": image, "command": ["true"]}), "SYSTEM_ERROR")
    assert image in system_logs(ended)


def test_what_could_not_start_has_no_executor_log(client):
    ended = client.run(task({"image": "127.0.0.1:1/poiesis/unreachable:1", "command": ["true"]}), "SYSTEM_ERROR")
    assert executor_logs(ended) == []


# --- Nothing remains ------------------------------------------------------------------------------

@pytest.mark.parametrize(("script", "state"), [("true", "COMPLETE"), ("exit 1", "EXECUTOR_ERROR")])
def test_no_container_of_an_ended_task_remains(client, engine, script, state):
    ended = client.run(task(script), state)
    wait_until(lambda: not engine.task_containers(ended["id"]), "the task's containers are gone")
