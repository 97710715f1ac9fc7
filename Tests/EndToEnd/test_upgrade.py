"""Databases that are migrated: filled ones, with the older program at work, and migrations that are broken off.

"Older" is the program under test; "newer" is what a program of the next version does at its start: `schema migrate` with the
migration that `tes-generate update` drafted for a changed specification.
"""

import signal
import threading
import time
import uuid

import psycopg
import pytest

from harness.catalogue import catalogue
from harness.client import Client, task
from harness.commands import Commands
from harness.own_server import own_server
from harness.processes import REPOSITORY, wait_until
from harness.specification import Specification

SCHEMAS = REPOSITORY / "Tests" / "EndToEnd" / "schemas"
TASKS = 100_000

FILL = """
CREATE TEMPORARY TABLE filled AS SELECT n, ('0190' || lpad(to_hex(n), 8, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid AS id,
    (ARRAY['COMPLETE', 'EXECUTOR_ERROR', 'SYSTEM_ERROR', 'CANCELED'])[n % 4 + 1] AS state FROM generate_series(1, {tasks}) n;
INSERT INTO poiesis.tasks (task_id, name, description, resources_cpu_cores, resources_ram_gb, resources_zones, volumes, creation_time)
    SELECT id, 'filled ' || n, CASE WHEN n % 3 = 0 THEN repeat('ü', n % 50) END, n % 64, n / 7.0, ARRAY['a', 'b,"' || n],
        ARRAY['/v'], 'epoch'::timestamptz + n * interval '1 second' FROM filled;
INSERT INTO poiesis.task_tags (task_id, key, value) SELECT id, 'filled', n::text FROM filled;
INSERT INTO poiesis.task_inputs (task_id, position, url, path, type, content, streamable)
    SELECT id, 0, 'file:///i/' || n, '/in/' || n, (ARRAY['FILE', 'DIRECTORY'])[n % 2 + 1], NULL, n % 2 = 0 FROM filled;
INSERT INTO poiesis.task_outputs (task_id, position, url, path, path_prefix, type)
    SELECT id, 0, 'file:///o/' || n, '/out/*', '/out', 'FILE' FROM filled;
INSERT INTO poiesis.task_executors (task_id, position, image, command, env)
    SELECT id, p, 'image:' || p, ARRAY['echo', n::text], jsonb_build_object('N', n::text) FROM filled, generate_series(0, 1) p;
INSERT INTO poiesis.task_logs (task_id, attempt, metadata, start_time, end_time, system_logs, cause)
    SELECT id, 1, '{{"host": "here"}}', now(), now(), ARRAY['line ' || n], NULL FROM filled;
INSERT INTO poiesis.executor_logs (task_id, attempt, position, start_time, end_time, stdout, exit_code)
    SELECT id, 1, 0, now(), now(), 'out ' || n, n % 256 FROM filled;
INSERT INTO poiesis.output_file_logs (task_id, attempt, position, url, path, size_bytes)
    SELECT id, 1, 0, 'file:///o/' || n, '/out/x', n * 1000000000::bigint FROM filled;
INSERT INTO poiesis.task_states (task_id, owner, state, attempt) SELECT id, 'public', state, 1 FROM filled;
INSERT INTO poiesis.task_events (task_id, owner, state, attempt) SELECT id, 'public', state, 1 FROM filled;
"""

TABLES = ["tasks", "task_tags", "task_inputs", "task_outputs", "task_executors", "task_logs", "executor_logs",
          "output_file_logs", "task_states", "task_events"]


def content(connection, columns):
    """For each table the number of filled rows, and a sum over what their columns hold as text."""
    sums = {}
    for table in TABLES:
        row = ", ".join(sorted(columns[table]))
        sums[table] = connection.execute(
            f"SELECT count(*), sum(hashtextextended(ROW({row})::text, 0)) FROM poiesis.{table} "
            "WHERE task_id < '01910000-0000-0000-0000-000000000000'").fetchone()
    return sums


def columns(connection):
    found = {table: [] for table in TABLES}
    for table, column in connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'poiesis'").fetchall():
        found.get(table, []).append(column)
    return found


def change(document):
    """What the next specification has: new properties, a new value, a wider type, and a property that goes."""
    document["info"]["version"] = "1.2.0"
    schemas = document["components"]["schemas"]
    schemas["tesTask"]["properties"]["priority"] = {"type": "integer", "format": "int32"}
    schemas["tesExecutor"]["properties"]["shell"] = {"type": "string"}
    schemas["tesState"]["enum"].append("PARKED")
    schemas["tesResources"]["properties"]["cpu_cores"]["format"] = "int64"
    schemas["tesExecutorLog"]["properties"]["exit_code"]["format"] = "int64"
    del schemas["tesOutput"]["properties"]["path_prefix"]


@pytest.fixture(scope="module")
def poiesis(scratch):
    return Commands(scratch / "upgrade-home")


@pytest.fixture(scope="module")
def specification(scratch):
    """The changed one, with the draft of its migration."""
    specification = Specification(scratch / "upgrade-specification")
    done = specification.update(specification.changed(change))
    assert done.returncode == 0, done.stderr
    return specification


@pytest.fixture(scope="module")
def generated(cluster, specification):
    """The catalogue of the tables that are generated from the changed specification."""
    with psycopg.connect(cluster.create("upgrade_generated"), autocommit=True) as connection:
        connection.execute(specification.ddl())
        return catalogue(connection)


class Load:
    """What clients do all the time: create tasks that run, read, list, cancel. Every request has to be answered."""

    def __init__(self, server):
        self.server = server
        self.failures, self.counts, self.longest = [], {}, 0.0
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._repeat, args=(x,)) for x in
                         (self._run, self._cancel, self._read, self._list)]

    def _repeat(self, action):
        client = Client(self.server.url)
        while not self._end.is_set():
            start = time.monotonic()
            try:
                action(client)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
                self.failures.append(f"{action.__name__}: {error}")
                return
            self.longest = max(self.longest, time.monotonic() - start)
            self.counts[action.__name__] = self.counts.get(action.__name__, 0) + 1

    def _run(self, client):
        client.run(task("echo text", resources={"cpu_cores": 1}, tags={"load": "yes"}))

    def _cancel(self, client):
        created = client.create(task("sleep 60"))
        client.cancel(created)
        client.wait(created, {"CANCELED"})

    def _read(self, client):
        filled = client.get("01900000-0001-7000-8000-000000000001")
        assert filled["name"] == "filled 1" and filled["resources"]["cpu_cores"] == 1, filled
        assert [x["exit_code"] for x in filled["logs"][0]["logs"]] == [1], filled

    def _list(self, client):
        page = client.list(view="FULL", page_size=50, tag_key="filled", state="COMPLETE")
        assert len(page["tasks"]) == 50 and page["next_page_token"]
        client.list(view="BASIC", name_prefix="filled 99", page_size=5)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join(60)

    def rounds(self, more):
        """Waits until each of them has done so many rounds more."""
        target = {x.__name__: self.counts.get(x.__name__, 0) + more
                  for x in (self._run, self._cancel, self._read, self._list)}
        wait_until(lambda: self.failures or all(self.counts.get(x, 0) >= n for x, n in target.items()),
                   f"{more} more rounds of {sorted(target)}")
        assert not self.failures, self.failures


@pytest.mark.slow
def test_a_filled_database_is_upgraded_while_the_older_program_works(
        scratch, engine, containers_before, cluster, poiesis, specification, generated):
    url = cluster.create("upgrade_filled")
    older = own_server(scratch, engine, containers_before, "upgrade", arguments=["--database", url])
    with older as server, cluster.connect("upgrade_filled") as connection:
        connection.execute(FILL.format(tasks=TASKS))
        connection.execute("ANALYZE")
        names = columns(connection)
        before = content(connection, names)
        assert before["tasks"][0] == TASKS and min(n for n, _ in before.values()) == TASKS
        migrate = ["schema", "migrate", "--database", url, "--migrations", specification.migrations]
        with Load(server) as load:
            load.rounds(2)
            # Expand: the newer program could start now.
            done = poiesis(*migrate)
            assert done.returncode == 0, done.stderr
            load.rounds(2)
            found = catalogue(connection)
            # All that is left is the column that the older program still writes.
            assert {x[:3] for x in found ^ generated} == {("columns", "'task_outputs'", "'path_prefix'")}
            assert content(connection, names) == before
            # Contract: not while the older program works.
            done = poiesis(*migrate, "--contract")
            assert (done.returncode, catalogue(connection)) == (1, found)
            assert "contract would take away what an older program needs" in done.stderr
            load.rounds(1)
        assert not load.failures, load.failures
        # Nobody waited longer than a table takes to be rewritten.
        assert load.longest < 25, load.longest

        # An older program may also start again.
        server.stop()
        server.start()
        assert server.client.run(task("echo again"))["state"] == "COMPLETE"
        server.end_tasks(containers_before)
        server.stop()

        # Its last heartbeat is a minute old.
        connection.execute("UPDATE poiesis.workers SET heartbeat_at = heartbeat_at - interval '61 seconds'")
        done = poiesis(*migrate, "--contract")
        assert done.returncode == 0, done.stderr
        assert catalogue(connection) == generated
        left = {table: [x for x in names[table] if x != "path_prefix"] for table in names}
        after = content(connection, left)
        assert {table: n for table, (n, _) in after.items()} == {table: n for table, (n, _) in before.items()}
        assert {x: after[x] for x in after if x != "task_outputs"} == {x: before[x] for x in before if x != "task_outputs"}
        # Now the older program is too old, and says so.
        with pytest.raises(AssertionError, match="the server ended with 1"):
            server.start()
        assert "run a newer poiesis" in server.log_text().strip().splitlines()[-1]


# --- From the first version -----------------------------------------------------------------------

@pytest.fixture
def database(cluster):
    """A new, empty database's URL."""
    return cluster.create(f"upgrade_{uuid.uuid4().hex[:12]}")


@pytest.fixture
def connection(database):
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("schema", sorted(SCHEMAS.iterdir()), ids=lambda x: x.stem)
def test_every_version_leads_to_the_schema_of_a_new_database(cluster, poiesis, database, connection, schema):
    connection.execute(schema.read_text())
    done = poiesis("schema", "migrate", "--contract", "--database", database)
    assert done.returncode == 0, done.stderr
    fresh = f"upgrade_fresh_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(cluster.create(fresh), autocommit=True) as other:
        other.execute(poiesis("schema", "print").stdout)
        assert catalogue(connection, functions=True) == catalogue(other, functions=True)
        serves = "SELECT schema_version, serves_from, functions FROM poiesis.instance"
        assert connection.execute(serves).fetchall() == other.execute(serves).fetchall()
    assert poiesis("schema", "status", "--database", database).returncode == 0


def test_serve_migrates_at_its_start(servers, database, connection):
    connection.execute((SCHEMAS / "0001.sql").read_text())
    server = servers(arguments=["--database", database])
    assert server.client.run(task("echo text"))["state"] == "COMPLETE"
    assert "applying the migration 0002-" in server.log_text()
    [(version, programs)] = connection.execute(
        "SELECT i.schema_version, (SELECT array_agg(schema_version) FROM poiesis.workers) FROM poiesis.instance i").fetchall()
    assert programs == [version]


def test_status_says_what_is_to_be_done_and_changes_nothing(poiesis, database, connection):
    assert "there is no schema yet" in poiesis("schema", "status", "--database", database).stdout
    connection.execute((SCHEMAS / "0001.sql").read_text())
    before = catalogue(connection, functions=True)
    done = poiesis("schema", "status", "--database", database)
    assert done.returncode == 1
    assert done.stdout.startswith("schema version 1, serves programs from version 1 on\n0002-")
    assert catalogue(connection, functions=True) == before


@pytest.mark.parametrize("arguments", [[], ["--database"]], ids=str)
@pytest.mark.parametrize("command", ["status", "migrate"])
def test_a_command_without_a_database_exits_with_64(poiesis, command, arguments):
    assert poiesis("schema", command, *arguments).returncode == 64


# --- Broken off -----------------------------------------------------------------------------------

@pytest.fixture
def slow(tmp_path):
    """A folder of migrations whose last one stands still in its middle."""
    specification = Specification(tmp_path)
    number = max(int(x.name.split("-")[0]) for x in specification.migrations.glob("*.sql")) + 1
    (specification.migrations / f"{number:04}-slow.sql").write_text(
        "-- expand: first\nALTER TABLE poiesis.tasks ADD COLUMN first text;\n"
        "-- expand: it stands still\nSELECT pg_sleep(2);\n"
        "-- expand: second\nALTER TABLE poiesis.tasks ADD COLUMN second text;\n")
    return ["--migrations", specification.migrations]


def sleeping(connection):
    """The process ids of those that stand still."""
    rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND state = 'active' "
                              "AND pid <> pg_backend_pid() AND datname = current_database()").fetchall()
    return [pid for (pid,) in rows]


def kill_the_program(process, _cluster, _connection):
    process.send_signal(signal.SIGKILL)


def kill_its_connection(_process, _cluster, connection):
    connection.execute("SELECT pg_terminate_backend(%s)", [sleeping(connection)[0]])


def cancel_its_statement(_process, _cluster, connection):
    connection.execute("SELECT pg_cancel_backend(%s)", [sleeping(connection)[0]])


def crash_the_database(_process, cluster, connection):
    connection.close()
    cluster.stop()
    cluster.start()


@pytest.mark.parametrize("stroke", [kill_the_program, kill_its_connection, cancel_its_statement, crash_the_database],
                         ids=lambda x: x.__name__)
def test_a_migration_that_is_broken_off_leaves_a_whole_schema(cluster, poiesis, database, connection, slow, stroke):
    assert poiesis("schema", "migrate", "--database", database).returncode == 0
    old = catalogue(connection)
    process = poiesis.start("schema", "migrate", "--database", database, *slow)
    wait_until(lambda: sleeping(connection), "the migration stands still")
    stroke(process, cluster, connection)
    assert process.wait(30) != 0
    with psycopg.connect(database, autocommit=True) as connection:
        # What was sent before the program was killed may still run to its end: all of it, or nothing.
        wait_until(lambda: not sleeping(connection), "nothing of it runs any more")
        found = catalogue(connection)
        added = {x[2] for x in found - old if x[0] == "columns"}
        assert found == old or (stroke is kill_the_program and added == {"'first'", "'second'"}), found ^ old
        done = poiesis("schema", "migrate", "--database", database, *slow)
        assert done.returncode == 0, done.stderr
        assert {x[2] for x in catalogue(connection) - old if x[0] == "columns"} == {"'first'", "'second'"}


def test_a_table_that_somebody_holds_is_waited_for(poiesis, database, connection, slow):
    assert poiesis("schema", "migrate", "--database", database).returncode == 0
    with psycopg.connect(database, application_name="somebody's report") as holder:
        holder.execute("SELECT count(*) FROM poiesis.tasks")
        process = poiesis.start("schema", "migrate", "--database", database, *slow)
        said = []
        reader = threading.Thread(target=lambda: said.extend(process.stdout))
        reader.start()
        wait_until(lambda: any("waiting for" in x for x in said), "it says that it waits")
        # Others are held up for two seconds at most, not until the report ends.
        def seconds():
            start = time.monotonic()
            connection.execute("SELECT count(*) FROM poiesis.tasks")
            return time.monotonic() - start

        assert sorted(seconds() for _ in range(5))[3] < 4
        holder.commit()
    assert process.wait(30) == 0
    reader.join()
    assert any("somebody's report, idle in transaction" in x for x in said), said
