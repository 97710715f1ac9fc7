"""A database of the user's own: directly, behind a pooler, and when it goes away."""

import time
import uuid

import pytest

from harness.client import task
from harness.database import running_pooler
from harness.processes import wait_until


@pytest.fixture
def database(cluster):
    """A new, empty database's name."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    cluster.create(name)
    return name


@pytest.fixture
def own(servers, cluster, database):
    """A server on a database of its own."""
    return servers(arguments=["--database", cluster.url(database)])


def test_tasks_run_on_a_given_database(own):
    assert own.client.run(task("echo text"))["logs"][0]["logs"][0]["stdout"] == "text\n"


def test_no_private_postgresql_is_started_beside_it(own):
    assert not list(own.data.rglob("PG_VERSION"))


def test_a_second_start_finds_the_tasks(own):
    ended = own.client.run(task("true"))
    own.stop()
    assert own.start().client.get(ended["id"]) == ended


def test_a_task_attempt_and_its_events_are_rows(own, cluster, database):
    ended = own.client.run(task("true"))
    with cluster.connect(database) as connection:
        schema = connection.execute("SELECT relnamespace::regnamespace::text FROM pg_class "
                                    "WHERE relname = 'task_events' AND relkind IN ('r', 'p')").fetchone()[0]
        counts = [connection.execute(f"SELECT count(*) FROM {schema}.{table}").fetchone()[0]
                  for table in ("tasks", "task_logs", "task_events")]
    # QUEUED, INITIALIZING, RUNNING, COMPLETE: each one row.
    assert (ended["state"], counts) == ("COMPLETE", [1, 1, 4])


@pytest.mark.parametrize("attempt", range(2))
def test_everything_works_behind_a_pooler(servers, cluster, database, attempt):
    with running_pooler(cluster) as port:
        server = servers(arguments=["--database", cluster.url(database, port)])
        created = [server.client.create(task(f"echo {number}")) for number in range(5)]
        said = [server.client.wait(x)["logs"][0]["logs"][0]["stdout"] for x in created]
        listed = [x["id"] for x in server.client.all_tasks(page_size=2)]
        assert (said, listed) == ([f"{number}\n" for number in range(5)], created[::-1])
        # Before its pooler goes away.
        server.stop()


@pytest.fixture
def away(own, cluster):
    """The server, with its database stopped; started again in the end, whatever happens."""
    cluster.stop()
    try:
        yield own
    finally:
        if not cluster.ready():
            cluster.start()


def test_a_running_task_survives_a_restart_of_the_database(own, cluster):
    task_id = own.client.create(task("sleep 3; echo still here"))
    own.client.wait(task_id, {"RUNNING"})
    cluster.stop()
    cluster.start()
    assert own.client.wait(task_id)["logs"][0]["logs"][0]["stdout"] == "still here\n"


def test_an_executor_that_ends_while_the_database_is_away_is_recorded(own, cluster):
    task_id = own.client.create(task("sleep 1", "echo second"))
    own.client.wait(task_id, {"RUNNING"})
    cluster.stop()
    time.sleep(2.5)
    cluster.start()
    assert own.client.wait(task_id)["state"] == "COMPLETE"


def test_a_read_waits_for_a_database_that_comes_back(own, cluster):
    task_id = own.client.run(task("true"))["id"]
    cluster.stop()
    cluster.start()
    assert own.client.state(task_id) == "COMPLETE"


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), [("GET", "/tasks"), ("POST", "/tasks")])
def test_without_a_database_the_answer_is_503_with_a_time_to_retry(away, method, path):
    answer = away.client.request(method, path, **({"json": task("true")} if method == "POST" else {}))
    assert (answer.status_code, answer.json()["status"], int(answer.headers["Retry-After"]) > 0) == (503, 503, True)


@pytest.mark.slow
def test_what_was_answered_503_never_runs(own, cluster):
    cluster.stop()
    try:
        assert own.client.post(task("true", name="answered 503")).status_code == 503
    finally:
        cluster.start()
    wait_until(lambda: own.client.request("GET", "/tasks").status_code == 200, "the database is back")
    time.sleep(3)  # a task that runs nevertheless would by now
    assert {x["state"] for x in own.client.all_tasks(name_prefix="answered 503")} <= {"CANCELED"}


def test_a_server_whose_database_went_away_stays_up(away):
    assert away.client.request("GET", "/service-info").json()["type"]["artifact"] == "tes"


def test_two_servers_share_a_database(servers, cluster, database):
    one, two = (servers(arguments=["--database", cluster.url(database)]) for _ in range(2))
    created = [server.client.create(task("true")) for server in (one, two) for _ in range(4)]
    assert {two.client.wait(x)["state"] for x in created} == {"COMPLETE"}


# --- Lists that search ----------------------------------------------------------------------------

# Tasks that have either tag, none of them both: to find that out takes reading all of them.
APART = """
    WITH made AS (INSERT INTO poiesis.tasks (task_id, name) SELECT gen_random_uuid(), 'task ' || n
        FROM generate_series(1, 30000) n RETURNING task_id, name),
    tags AS (INSERT INTO poiesis.task_tags (task_id, key, value)
        SELECT task_id, CASE WHEN right(name, 1) < '5' THEN 'left' ELSE 'right' END, 'x' FROM made)
    INSERT INTO poiesis.task_states (task_id, owner, state) SELECT task_id, 'public', 'CANCELED' FROM made
"""


@pytest.fixture
def hurried(servers, cluster, database):
    """A server of 30,000 tasks that gives up a search after a millisecond."""
    server = servers(arguments=["--database", cluster.url(database)], env={"POIESIS_SERVER_LIST_TIMEOUT": "1"})
    with cluster.connect(database) as connection:
        connection.execute(APART)
        connection.execute("ANALYZE")
    return server.client


def test_a_search_that_takes_too_long_is_503_and_says_what_to_do(hurried):
    answer = hurried.request("GET", "/tasks", params={"tag_key": ["left", "right"]})
    error = answer.json()
    assert (answer.status_code, error["status"], "add a tag" in error["message"]) == (503, 503, True)
    # Waiting will not help.
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("query", [{}, {"state": "CANCELED"}, {"tag_key": "left"}, {"tag_key": "right", "tag_value": "x"}],
                         ids=str)
def test_lists_that_an_index_has_in_order_have_no_such_limit(hurried, query):
    listed = hurried.request("GET", "/tasks", params={**query, "page_size": 2047})
    assert (listed.status_code, len(listed.json()["tasks"])) == (200, 2047)


def test_the_same_search_is_answered_when_it_is_given_time(servers, cluster, database, hurried):
    patient = servers(arguments=["--database", cluster.url(database)]).client
    assert patient.list(tag_key=["left", "right"]) == {"tasks": [], "next_page_token": ""}
