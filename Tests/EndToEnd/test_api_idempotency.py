"""`Idempotency-Key`: a create that is sent again, for whatever reason, makes no second task."""

import concurrent.futures
import gzip
import json
import threading
import uuid

import pytest

from harness.client import Client, run, task

pytestmark = pytest.mark.usefixtures("nothing_starts")


@pytest.fixture
def mark():
    """A tag of this test's own."""
    return uuid.uuid4().hex


@pytest.fixture
def key():
    return uuid.uuid4().hex


def document(mark, **fields):
    return task(run("true"), tags={"mark": mark}, **fields)


def create(client, key, body, **headers):
    return client.post(body, headers={"Idempotency-Key": key, **headers})


def marked(client, mark):
    return [x["id"] for x in client.all_tasks(tag_key="mark", tag_value=mark)]


def replayed(answer):
    return answer.headers.get("Idempotent-Replayed") == "true"


def at_once(calls):
    """Answers of all calls, which start at the same moment."""
    gate = threading.Barrier(len(calls))

    def one(call):
        gate.wait(30)
        return call()

    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


def is_error(answer, status):
    body = answer.json()
    return answer.status_code == status and body["status"] == status and len(body["message"]) > 5


# --- The same again -------------------------------------------------------------------------------

def test_the_same_again_gives_the_same_task(client, mark, key):
    answers = [create(client, key, document(mark)) for _ in range(3)]
    assert [x.status_code for x in answers] == [200] * 3
    assert [x.json()["id"] for x in answers] == marked(client, mark) * 3


def test_only_a_repetition_says_that_it_is_one(client, mark, key):
    assert [replayed(create(client, key, document(mark))) for _ in range(3)] == [False, True, True]


def test_without_a_key_each_create_is_a_new_task(client, mark):
    created = [client.create(document(mark)) for _ in range(2)]
    assert marked(client, mark) == created[::-1]


def test_another_key_is_another_task(client, mark):
    created = [create(client, uuid.uuid4().hex, document(mark)).json()["id"] for _ in range(2)]
    assert marked(client, mark) == created[::-1]


def test_keys_differ_by_case(client, mark, key):
    first, second = (create(client, x, document(mark)).json()["id"] for x in (f"a{key}", f"A{key}"))
    assert first != second


@pytest.mark.parametrize("base", ["/v1", ""])
def test_the_same_on_another_base_gives_the_same_task(server, client, mark, key, base):
    first = create(client, key, document(mark))
    again = create(Client(server.url, base), key, document(mark))
    assert (again.json(), replayed(again)) == (first.json(), True)


def test_the_same_as_gzip_gives_the_same_task(client, mark, key):
    body = json.dumps(document(mark)).encode()
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    first = client.request("POST", "/tasks", data=body, headers=headers)
    again = client.request("POST", "/tasks", data=gzip.compress(body), headers={**headers, "Content-Encoding": "gzip"})
    assert (again.status_code, again.json()) == (200, first.json())


def test_the_same_after_the_end_of_the_task_gives_the_ended_task(client, mark, key):
    created = create(client, key, document(mark)).json()["id"]
    client.cancel(created)
    client.wait(created)
    again = create(client, key, document(mark)).json()["id"]
    assert (again, client.state(again)) == (created, "CANCELED")


@pytest.mark.parametrize("attempt", range(3))
def test_twenty_at_once_are_one_task(server, client, mark, key, attempt):
    answers = at_once([lambda: create(Client(server.url), key, document(mark))] * 20)
    assert [x.status_code for x in answers] == [200] * 20, [x.text for x in answers if x.status_code != 200]
    assert {x.json()["id"] for x in answers} == set(marked(client, mark)) and len(marked(client, mark)) == 1


def test_of_twenty_at_once_nineteen_are_repetitions(server, mark, key):
    answers = at_once([lambda: create(Client(server.url), key, document(mark))] * 20)
    assert sorted(map(replayed, answers)) == [False] + [True] * 19


def test_twenty_at_once_to_two_servers_are_one_task(servers, cluster, mark, key):
    database = cluster.create(f"test_{uuid.uuid4().hex[:12]}")
    both = [servers(arguments=["--database", database]) for _ in range(2)]
    # More processors than there are: nothing of it runs.
    body = document(mark, resources={"cpu_cores": 100_000})
    answers = at_once([lambda x=x: create(Client(both[x % 2].url), key, body) for x in range(20)])
    assert [x.status_code for x in answers] == [200] * 20, [x.text for x in answers if x.status_code != 200]
    assert {x.json()["id"] for x in answers} == set(marked(both[0].client, mark))
    assert len(marked(both[1].client, mark)) == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_key_holds_after_a_restart_of_the_server(servers, mark, key, end):
    server = servers()
    body = document(mark, resources={"cpu_cores": 100_000})
    first = create(server.client, key, body)
    getattr(server, end)()
    again = create(server.start().client, key, body)
    assert (again.status_code, again.json(), replayed(again)) == (200, first.json(), True)
    assert len(marked(server.client, mark)) == 1


@pytest.mark.parametrize(("hours", "same"), [(23, True), (25, False)])
def test_a_key_holds_for_a_day(servers, cluster, mark, key, hours, same):
    name = f"test_{uuid.uuid4().hex[:12]}"
    server = servers(arguments=["--database", cluster.create(name)])
    body = document(mark, resources={"cpu_cores": 100_000})
    first = create(server.client, key, body).json()["id"]
    with cluster.connect(name) as connection:
        aged = connection.execute(
            "UPDATE poiesis.idempotency_keys SET created_at = created_at - %s * interval '1 hour'", [hours]
        )
        assert aged.rowcount == 1
    answer = create(server.client, key, body)
    assert (answer.status_code, answer.json()["id"] == first, replayed(answer)) == (200, same, same)


def test_a_key_after_a_day_takes_another_body(servers, cluster, mark, key):
    name = f"test_{uuid.uuid4().hex[:12]}"
    server = servers(arguments=["--database", cluster.create(name)])
    create(server.client, key, document(mark, resources={"cpu_cores": 100_000}))
    with cluster.connect(name) as connection:
        connection.execute("UPDATE poiesis.idempotency_keys SET created_at = created_at - interval '25 hours'")
    assert create(server.client, key, document(mark, resources={"cpu_cores": 100_001})).status_code == 200
    assert len(marked(server.client, mark)) == 2


def test_a_large_task_sent_again_is_one_task(client, mark, key):
    body = document(mark, inputs=[{"path": f"/in/{x}", "content": "x" * 100_000} for x in range(10)])
    answers = [create(client, key, body) for _ in range(2)]
    assert [x.json()["id"] for x in answers] == marked(client, mark) * 2


# --- Something else under the same key ------------------------------------------------------------

def test_another_body_under_the_same_key_is_422(client, mark, key):
    create(client, key, document(mark))
    assert is_error(create(client, key, document(mark, name="other")), 422)


def test_422_stores_nothing(client, mark, key):
    first = create(client, key, document(mark)).json()["id"]
    create(client, key, document(mark, name="other"))
    assert marked(client, mark) == [first]


def test_after_a_422_the_key_still_gives_its_task(client, mark, key):
    first = create(client, key, document(mark)).json()
    create(client, key, document(mark, name="other"))
    assert create(client, key, document(mark)).json() == first


def test_different_bodies_at_once_are_one_task_and_refusals(server, client, mark, key):
    answers = at_once([lambda x=x: create(Client(server.url), key, document(mark, name=f"{x}")) for x in range(10)])
    assert sorted(x.status_code for x in answers) == [200] + [422] * 9
    assert len(marked(client, mark)) == 1


# --- What does not use up a key -------------------------------------------------------------------

def test_a_refused_task_does_not_use_up_its_key(client, mark, key):
    assert create(client, key, {"executors": [], "tags": {"mark": mark}}).status_code == 400
    answer = create(client, key, document(mark))
    assert (answer.status_code, replayed(answer)) == (200, False)


def test_a_refused_task_is_refused_again(client, key):
    assert [create(client, key, {"executors": []}).status_code for _ in range(2)] == [400, 400]


def test_other_operations_do_not_mind_a_key(client, mark, key):
    created = create(client, key, document(mark)).json()["id"]
    headers = {"Idempotency-Key": key}
    assert client.request("GET", f"/tasks/{created}", headers=headers).status_code == 200
    assert client.request("POST", f"/tasks/{created}:cancel", headers=headers).json() == {}


# --- What a key may be ----------------------------------------------------------------------------

@pytest.mark.parametrize("given", ["a", "x" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "!~'%\\{}"], ids=len)
def test_a_key_is_visible_ascii(client, mark, given):
    # Unique for this run, and still as long as it was.
    given = mark[0] if len(given) == 1 else given[:1] + mark[:3] + given[4:]
    assert create(client, given, document(mark)).status_code == 200


@pytest.mark.parametrize("given", ["", "x" * 256, "a b", "a\tb", "ü".encode(), b"a\x80", "日本".encode()],
                         ids=["empty", "long", "space", "tab", "umlaut", "byte", "unicode"])
def test_what_is_no_key_is_400(client, mark, given):
    assert is_error(create(client, given, document(mark)), 400)


@pytest.mark.parametrize("given", ["", "x" * 256, "a b"], ids=["empty", "long", "space"])
def test_what_is_no_key_stores_nothing(client, mark, given):
    create(client, given, document(mark))
    assert marked(client, mark) == []
