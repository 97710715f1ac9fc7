"""How the program starts, and how it says that it cannot: one clear sentence, and a meaningful exit status."""

import os
import pathlib
import socket
import subprocess
import time

import pytest

from harness.commands import Commands
from harness.processes import REPOSITORY, free_port

SUBCOMMANDS = [[], ["serve"], ["run"], ["task"], ["task", "create"], ["task", "get"], ["task", "list"],
               ["task", "watch"], ["task", "logs"], ["task", "cancel"], ["schema"], ["schema", "print"],
               ["schema", "status"], ["schema", "migrate"]]


@pytest.fixture
def poiesis(scratch, engine):
    return Commands(scratch / "startup", engine)


def refused(done, *words):
    """It ended by itself, said each of the words in its last line, and did not fall apart over it."""
    last = (done.stderr.strip().splitlines() or [""])[-1]
    assert 0 < done.returncode < 128, (done.returncode, done.stderr)
    assert all(word in last for word in words), done.stderr
    assert "Fatal error" not in done.stderr and "Stack dump" not in done.stderr
    return True


def serve(poiesis, *options):
    """`poiesis serve` with what every start needs, unless an option says otherwise. It must end by itself."""
    given = {"--listen": "127.0.0.1:0", "--data": str(poiesis.home / "data")}
    given.update(zip(options[::2], options[1::2], strict=True))
    return poiesis("serve", *[x for pair in given.items() for x in pair], seconds=40)


# --- Usage ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments", [
    ["no-such-command"], ["--no-such-option"], ["serve", "--no-such-option"], ["serve", "stray"], ["run"],
    ["serve", "--listen"], ["serve", "--listen", "not an address"], ["serve", "--listen", "127.0.0.1:99999"],
    ["serve", "--auth", "perhaps"], ["serve", "--allow-files", "/tmp:rx"], ["serve", "--engine", "ftp://x"],
    ["task", "get"], ["task", "no-such"], ["task", "list", "--output", "xml"], ["task", "list", "--tag"],
    ["task", "get", "id", "--view", "SOME"], ["task", "cancel"], ["schema", "no-such"],
], ids=" ".join)
def test_wrong_usage_exits_with_64(poiesis, arguments):
    assert poiesis(*arguments).returncode == 64


@pytest.mark.parametrize("arguments", [["no-such-command"], ["serve", "--no-such-option"], ["task", "get"]],
                         ids=" ".join)
def test_wrong_usage_says_what_to_type(poiesis, arguments):
    assert "poiesis" in poiesis(*arguments).stderr


@pytest.mark.parametrize("command", SUBCOMMANDS, ids=lambda x: " ".join(x) or "none")
def test_help_is_there(poiesis, command):
    done = poiesis(*command, "--help")
    assert (done.returncode, "poiesis " + " ".join(command) in done.stdout) == (0, True), done.stdout


@pytest.mark.parametrize("command", SUBCOMMANDS, ids=lambda x: " ".join(x) or "none")
def test_help_has_an_example(poiesis, command):
    assert "example" in poiesis(*command, "--help").stdout.lower()


def test_version_is_one_line(poiesis):
    done = poiesis("--version")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)


# --- What stands in the way of a start ------------------------------------------------------------

def test_a_port_in_use_is_named(poiesis):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert refused(serve(poiesis, "--listen", f"127.0.0.1:{port}"), str(port))


def test_an_address_of_another_machine_is_named(poiesis):
    assert refused(serve(poiesis, "--listen", "192.0.2.1:8000", "--auth", "none"), "192.0.2.1")


def test_a_data_folder_that_cannot_be_written_is_named(poiesis):
    # Not even root makes a folder in /proc.
    assert refused(serve(poiesis, "--data", "/proc/poiesis"), "/proc/poiesis")


def test_a_data_folder_that_is_a_file_is_named(poiesis):
    path = poiesis.home / "a-file"
    path.write_text("x")
    assert refused(serve(poiesis, "--data", str(path)), str(path))


def test_an_engine_that_is_not_there_is_named(poiesis):
    assert refused(serve(poiesis, "--engine", "unix:///tmp/no-such-engine.sock"), "/tmp/no-such-engine.sock")


def test_an_engine_that_does_not_answer_is_named(poiesis, scratch):
    path = scratch / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))  # bound, and nobody listens
        assert refused(serve(poiesis, "--engine", f"unix://{path}"), str(path))


def test_a_database_that_is_not_there_is_named(poiesis):
    port = free_port()
    assert refused(serve(poiesis, "--database", f"postgresql://somebody@127.0.0.1:{port}/poiesis"), str(port))


def test_the_password_of_the_database_is_never_shown(poiesis):
    done = serve(poiesis, "--database", f"postgresql://somebody:open-sesame@127.0.0.1:{free_port()}/poiesis")
    assert "open-sesame" not in done.stderr + done.stdout


@pytest.mark.parametrize("password", ["a/secret", "a@secret", "a#secret", "a%secret"])
def test_a_password_that_is_not_encoded_is_said_and_never_shown(poiesis, password):
    done = poiesis("api", "--database", f"postgresql://me:{password}@127.0.0.1:1/x")
    assert done.returncode == 64 and "percent-encoded" in done.stderr and "secret" not in done.stderr


def test_a_database_that_does_not_exist_is_named(poiesis, cluster):
    assert refused(serve(poiesis, "--database", cluster.url("no-such-database")), "no-such-database")


def test_a_file_root_that_is_not_there_is_named(poiesis):
    assert refused(serve(poiesis, "--allow-files", "/no/such/folder"), "/no/such/folder")


def test_a_configuration_that_is_not_there_is_named(poiesis):
    assert refused(serve(poiesis, "--config", "/no/such/file.yaml"), "/no/such/file.yaml")


@pytest.mark.parametrize("text", ["listen: [", "no_such_key: 1\n", "- a\n- b\n"], ids=repr)
def test_a_configuration_that_is_wrong_is_named(poiesis, text):
    path = poiesis.home / "wrong.yaml"
    path.write_text(text)
    assert refused(serve(poiesis, "--config", str(path)), "wrong.yaml")


def test_an_open_address_needs_a_word_about_authentication(poiesis):
    assert refused(serve(poiesis, "--listen", "0.0.0.0:0"), "--auth none")


@pytest.mark.parametrize("text", ["14", "99"])
def test_a_data_folder_of_another_postgresql_is_named(servers, text):
    server = servers()
    server.stop()
    [version] = [x for x in server.data.rglob("PG_VERSION") if (x.parent / "global").is_dir()]
    version.write_text(text + "\n")
    with pytest.raises(AssertionError, match="the server ended with"):
        server.start()
    assert f"PostgreSQL {text}" in server.log_text().strip().splitlines()[-1]


# --- What a start leaves --------------------------------------------------------------------------

def test_an_open_address_is_served_when_it_is_said(servers):
    server = servers(start=False)
    server.arguments += ["--auth", "none"]
    server.arguments[server.arguments.index("--listen") + 1] = "0.0.0.0:0"
    server.start()
    port = server.url.rsplit(":", 1)[1]
    assert server.client.request("GET", f"http://127.0.0.1:{port}/healthz").status_code == 200


def test_an_open_address_is_logged_loudly(servers):
    server = servers(start=False)
    server.arguments += ["--auth", "none"]
    server.start()
    assert "auth" in server.log_text().lower()


def test_the_data_folder_is_private(servers):
    server = servers()
    closed = [x for x in server.data.iterdir() if x.stat().st_mode & 0o077]
    assert closed == []


def test_the_second_start_uses_the_same_data(servers):
    server = servers()
    server.stop()
    assert server.start().client.list()["tasks"] == []


def test_sigint_stops_it_too(servers):
    server = servers()
    server.process.send_signal(2)
    assert server.process.wait(30) == 0


def test_a_stop_at_any_moment_of_the_start_is_a_clean_one(servers):
    server = servers(start=False)
    for delay in range(0, 40, 4):
        server.start()
        time.sleep(delay / 1000)
        server.process.send_signal(15)
        assert server.process.wait(30) == 0, server.log_text()


# --- schema print ---------------------------------------------------------------------------------

def test_schema_print_is_sql_that_postgresql_takes(poiesis, cluster):
    cluster.create("schema_print")
    with cluster.connect("schema_print") as connection:
        connection.execute(poiesis("schema", "print").stdout)
        rows = connection.execute("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')").fetchall()
        tables = {name for (name,) in rows}
    assert {"tasks", "task_states", "task_logs", "task_events"} <= tables


# --- The scripts ----------------------------------------------------------------------------------

def test_setup_has_nothing_left_to_do(scratch):
    done = subprocess.run([REPOSITORY / "scripts" / "setup"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout.strip()) == (0, "setup: everything is there"), done.stderr


@pytest.mark.parametrize("name", ["setup", "engine", "image"])
def test_a_script_refuses_wrong_usage_with_64(name):
    script = pathlib.Path(REPOSITORY / "scripts" / name)
    assert subprocess.run([script, "--no-such-option"], capture_output=True, env=os.environ).returncode == 64
