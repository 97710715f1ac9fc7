"""`/events`: state changes as they happen, and none lost or repeated for a reader that resumes."""

import collections
import concurrent.futures
import random
import re
import threading
import time
import uuid

import pytest

from harness.client import TERMINAL, Client, run, sh, task
from harness.events import EventStream
from harness.memory import descriptors
from harness.processes import wait_until

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SECRET = "correct-horse-battery-staple"


@pytest.fixture
def mark():
    return uuid.uuid4().hex


IMPOSSIBLE = ["QUEUED", "INITIALIZING", "SYSTEM_ERROR"]


def impossible(mark, **fields):
    """A task that goes through the three states above, and starts no container."""
    return task(run("true"), tags={"mark": mark}, resources={"cpu_cores": 100_000}, **fields)


def of(url, mark, last="0", **parameters):
    """A reader of this test's tasks, from the beginning."""
    return EventStream(url, last, tag_key="mark", tag_value=mark, **parameters)


def is_terminal(event):
    return event.state in TERMINAL


@pytest.fixture(scope="module")
def life(server, client):
    """All events of a task that ran."""
    mark = uuid.uuid4().hex
    body = task(sh("cat /in", env={"TOKEN": SECRET}), tags={"mark": mark}, inputs=[{"path": "/in", "content": SECRET}])
    task_id = client.run(body)["id"]
    with of(server.url, mark) as stream:
        return task_id, stream.until(is_terminal)


# --- What comes -----------------------------------------------------------------------------------

def test_the_answer_is_an_event_stream(server):
    with EventStream(server.url) as stream:
        assert (stream.status, stream.headers["Content-Type"].split(";")[0]) == (200, "text/event-stream")


def test_no_cache_keeps_events(server):
    with EventStream(server.url) as stream:
        assert "no-cache" in stream.headers.get("Cache-Control", "") or "no-store" in stream.headers["Cache-Control"]


def test_events_never_come_as_gzip(server):
    with EventStream(server.url, headers={"Accept-Encoding": "gzip"}) as stream:
        assert (stream.status, stream.headers["Content-Encoding"]) == (200, None)


def test_each_state_of_a_task_is_one_event(life):
    assert [x.state for x in life[1]] == ["QUEUED", "INITIALIZING", "RUNNING", "COMPLETE"]


def test_an_event_says_what_happened(life):
    task_id, events = life
    assert {x.kind for x in events} == {"state"}
    assert [set(x.data) for x in events] == [{"task_id", "state", "attempt", "time"}] * 4
    assert {x.task for x in events} == {task_id}


def test_times_are_rfc_3339_and_in_order(life):
    times = [x.data["time"] for x in life[1]]
    assert all(map(TIME.fullmatch, times)) and times == sorted(times)


def test_attempts_are_numbers(life):
    attempts = [x.data["attempt"] for x in life[1]]
    assert {type(x) for x in attempts} == {int} and attempts == sorted(attempts) and attempts[-1] <= 1


def test_each_event_has_an_id_of_its_own(life):
    assert len({x.id for x in life[1]} - {""}) == 4


def test_ids_are_plain_text(life):
    # A header and a query parameter must be able to carry them, and NUL would make clients ignore them.
    assert all(re.fullmatch(r"[\x21-\x7e]{1,200}", x.id) for x in life[1])


def test_contents_and_environments_are_in_no_event(life):
    assert SECRET not in "".join(x.text for x in life[1])


def test_an_event_arrives_while_the_task_runs(server, client, mark):
    with of(server.url, mark) as stream:
        task_id = client.create(task("sleep 600", tags={"mark": mark}))
        stream.until(lambda x: x.state == "RUNNING")
        client.cancel(task_id)
        assert stream.until(is_terminal)[-1].state == "CANCELED"


def test_an_event_arrives_within_a_second(server, client, mark):
    with of(server.url, mark) as stream:
        def seconds():
            stream.rest(0.5)
            client.create(impossible(mark))
            start = time.monotonic()
            stream.next()
            return time.monotonic() - start

        assert sorted(seconds() for _ in range(5))[3] < 1


def test_many_readers_all_get_everything(server, client, mark):
    streams = [of(server.url, mark) for _ in range(20)]
    try:
        created = [client.create(impossible(mark)) for _ in range(5)]
        events = [[stream.next(20) for _ in range(5 * len(IMPOSSIBLE))] for stream in streams]
        seen = [{(x.task, x.state) for x in some} for some in events]
    finally:
        for stream in streams:
            stream.close()
    assert seen == [{(x, state) for x in created for state in IMPOSSIBLE}] * 20


def test_head_is_answered_at_once(client):
    assert client.request("HEAD", client.url + "/events").headers["Content-Type"].startswith("text/event-stream")


@pytest.mark.slow
def test_a_quiet_stream_has_a_heartbeat(server, mark):
    with of(server.url, mark) as stream:
        time.sleep(33)
        assert 2 <= stream.comments <= 4 and stream.is_quiet(0.1)


# --- Where it begins ------------------------------------------------------------------------------

def test_without_an_id_it_begins_now(server, client, mark):
    client.run(impossible(mark), "SYSTEM_ERROR")
    with of(server.url, mark, None) as stream:
        later = client.create(impossible(mark))
        assert {x.task for x in stream.until(is_terminal)} == {later}


@pytest.mark.parametrize("attempt", range(5))
def test_now_is_not_later_than_the_answer(server, client, mark, attempt):
    # Who has the head of the answer, and creates a task then, sees its first event.
    with of(server.url, mark, None) as stream:
        client.create(impossible(mark))
        assert stream.next().state == "QUEUED"


@pytest.mark.parametrize("how", ["header", "parameter"])
def test_0_begins_at_the_beginning(server, client, mark, how):
    first = client.run(impossible(mark), "SYSTEM_ERROR")["id"]
    place = {"last": "0"} if how == "header" else {"last": None, "last_event_id": "0"}
    with of(server.url, mark, **place) as stream:
        assert [(x.task, x.state) for x in stream.until(is_terminal)] == [(first, state) for state in IMPOSSIBLE]


@pytest.mark.parametrize("how", ["header", "parameter"])
def test_an_id_begins_after_its_event(server, client, mark, how):
    client.run(impossible(mark), "SYSTEM_ERROR")
    client.run(impossible(mark), "SYSTEM_ERROR")
    with of(server.url, mark) as stream:
        whole = stream.rest()
    for position, event in enumerate(whole):
        place = {"last": event.id} if how == "header" else {"last": None, "last_event_id": event.id}
        with of(server.url, mark, **place) as stream:
            assert stream.rest(0.7) == whole[position + 1:]


def test_an_id_holds_under_another_filter(server, client, mark):
    first = client.run(impossible(mark), "SYSTEM_ERROR")["id"]
    second = client.run(impossible(mark), "SYSTEM_ERROR")["id"]
    with EventStream(server.url, "0", task_id=first) as stream:
        place = stream.until(is_terminal)[-1].id
    with EventStream(server.url, place, task_id=second) as stream:
        assert [x.state for x in stream.until(is_terminal)] == IMPOSSIBLE


@pytest.mark.parametrize(
    "value", ["nonsense", "-1", "1e3", "x" * 2000, "0x0", "{id}~", "~{id}", "{id} {id}", "--", "١"]
)
@pytest.mark.parametrize("how", ["header", "parameter"])
def test_a_damaged_id_is_400(server, life, how, value):
    value = value.format(id=life[1][0].id)
    if how == "header":
        stream = EventStream(server.url, value.encode())
    else:
        stream = EventStream(server.url, last_event_id=value)
    with stream:
        assert (stream.status, stream.body()["status"]) == (400, 400)


# --- Filters --------------------------------------------------------------------------------------

def test_a_task_id_filters(server, client, mark):
    created = [client.run(impossible(mark), "SYSTEM_ERROR")["id"] for _ in range(3)]
    with EventStream(server.url, "0", task_id=created[1]) as stream:
        assert {x.task for x in stream.rest()} == {created[1]}


def test_several_task_ids_filter(server, client, mark):
    created = [client.run(impossible(mark), "SYSTEM_ERROR")["id"] for _ in range(3)]
    with EventStream(server.url, "0", task_id=created[:2]) as stream:
        assert {x.task for x in stream.rest()} == set(created[:2])


TAGGED = {
    "bar": {"foo": "bar"},
    "bat": {"foo": "bat"},
    "empty": {"foo": ""},
    "both": {"foo": "bar", "baz": "bat"},
    "none": {},
}


@pytest.fixture(scope="module")
def tagged(client):
    """A mark, and the tasks' names by their ids."""
    mark = uuid.uuid4().hex
    return mark, {client.run(task(run("true"), tags={**tags, "mark": mark}, resources={"cpu_cores": 100_000}),
                             "SYSTEM_ERROR")["id"]: name for name, tags in TAGGED.items()}


@pytest.mark.parametrize(
    ("keys", "values", "expected"),
    [
        (["foo"], ["bar"], {"bar", "both"}),
        (["foo"], [""], {"bar", "bat", "empty", "both"}),
        (["foo"], [], {"bar", "bat", "empty", "both"}),
        (["foo", "baz"], ["bar", "bat"], {"both"}),
        (["foo", "baz"], ["", "bat"], {"both"}),
        (["foo", "foo"], ["bar", "bat"], set()),
        (["Foo"], [], set()),
        ([], [], set(TAGGED)),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_tags_filter_as_in_lists(server, tagged, keys, values, expected):
    mark, names = tagged
    with EventStream(server.url, "0", tag_key=["mark", *keys], tag_value=[mark, *values]) as stream:
        assert {names[x.task] for x in stream.rest(1)} == expected


def test_task_ids_and_tags_combine(server, tagged):
    mark, names = tagged
    by_name = {name: task_id for task_id, name in names.items()}
    with EventStream(server.url, "0", task_id=[by_name["bar"], by_name["bat"]], tag_key=["mark", "foo"],
                     tag_value=[mark, "bar"]) as stream:
        assert {names[x.task] for x in stream.rest(1)} == {"bar"}


@pytest.mark.parametrize("parameters", [{"tag_value": "a"}, {"tag_key": "a", "tag_value": ["b", "c"]}], ids=str)
def test_more_values_than_keys_is_400(server, parameters):
    with EventStream(server.url, **parameters) as stream:
        assert (stream.status, stream.body()["status"]) == (400, 400)


# --- A reader that resumes ------------------------------------------------------------------------

class Reader(threading.Thread):
    """Follows the events of a mark, and cuts its own connection at random moments."""

    def __init__(self, url, mark, seed, **parameters):
        super().__init__(daemon=True)
        self.url = url
        self.mark = mark
        self.random = random.Random(seed)
        self.parameters = parameters
        self.seen = []
        self.connections = 0
        self.over = threading.Event()
        self.failure = None

    def run(self):
        last = "0"
        try:
            while not self.over.is_set():
                with EventStream(self.url, last, **self.parameters) as stream:
                    assert stream.status == 200, stream.body()
                    self.connections += 1
                    # Sometimes after some events, sometimes after some time, whichever comes first.
                    end = time.monotonic() + self.random.choice([0.02, 0.05, 0.1, 0.5])
                    for _ in range(self.random.choice([1, 2, 7, 40, 1000])):
                        try:
                            event = stream.next(max(0.01, end - time.monotonic()))
                        except AssertionError:
                            break  # none in time
                        if event is None:
                            break
                        self.seen.append(event)
                        last = event.id
        except BaseException as error:
            self.failure = error

    def finish(self):
        self.over.set()
        self.join(30)
        if self.failure:
            raise self.failure


# How far each state is on the way to an end.
ORDER = ["QUEUED", "INITIALIZING", "RUNNING", "CANCELING"]


def write(url, mark, seed, count, kinds):
    """What one of the concurrent clients does: tasks that wait, that end by themselves, and that are canceled."""
    client, chance = Client(url), random.Random(seed)
    to_cancel = []
    for _ in range(count):
        kind = chance.choice(kinds)
        task_id = client.create(task(run("true"), tags={"mark": mark}) if "waits" in kind else impossible(mark))
        to_cancel += [task_id] if "canceled" in kind else []
        if to_cancel and chance.random() < 0.6:
            client.cancel(to_cancel.pop(chance.randrange(len(to_cancel))))
    for task_id in to_cancel:
        client.cancel(task_id)


def states_of(client, mark):
    return {x["id"]: x["state"] for x in client.all_tasks(tag_key="mark", tag_value=mark)}


def quiet(client, mark):
    """The states, once they change no more."""
    def settled():
        states = states_of(client, mark)
        time.sleep(1)
        return states if states == states_of(client, mark) and "CANCELING" not in states.values() else None
    return wait_until(settled, "no state changes any more")


def insist(events, states):
    """Each change once, in an order that can be, up to the state that the list shows."""
    counts = collections.Counter(x.id for x in events)
    repeated = [(place, x) for place, x in enumerate(events) if counts[x.id] > 1]
    assert repeated == [], f"seen twice, of {len(events)}: {repeated[:6]}"
    by_task = {}
    for event in events:
        by_task.setdefault(event.task, []).append(event.state)
    assert set(by_task) == set(states), f"missed {set(states) - set(by_task)}, invented {set(by_task) - set(states)}"
    wrong = {x: seen for x, seen in by_task.items()
             if seen[0] != "QUEUED" or seen[-1] != states[x] or len(set(seen)) != len(seen)
             or any(state in TERMINAL for state in seen[:-1])
             or [x for x in seen[:-1] if x not in ORDER] or seen[:-1] != sorted(seen[:-1], key=ORDER.index)}
    assert wrong == {}, f"lists say {[states[x] for x in wrong][:5]}, events {list(wrong.values())[:5]}"


def follow_writers(server, mark, count, seed, kinds):
    """Eight clients write, two readers reconnect at random; what both saw."""
    client = Client(server.url)
    # One with a filter, and one that sees what other tests do too: both must be whole.
    readers = [Reader(server.url, mark, seed, tag_key="mark", tag_value=mark), Reader(server.url, mark, seed + 1)]
    for reader in readers:
        reader.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(write, server.url, mark, seed * 100 + x, count, kinds) for x in range(8)]:
                done.result()
        states = quiet(client, mark)
        wait_until(lambda: any(r.failure for r in readers) or all(
            len({e.task for e in list(r.seen) if e.task in states and e.state == states[e.task]}) == len(states)
            for r in readers), "both readers have seen each task's last state")
        time.sleep(1.5)  # an event that comes a second time would by now
    finally:
        for reader in readers:
            reader.finish()
    return readers, states


def insist_on_all(server, mark, readers, states):
    assert min(x.connections for x in readers) > 5
    for reader in readers:
        insist([x for x in reader.seen if x.task in states], states)
    # And who reads without a break sees the same in the same order.
    with of(server.url, mark) as stream:
        whole = stream.rest()
    assert [[x for x in reader.seen if x.task in states] for reader in readers] == [whole, whole]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_reader_that_resumes_misses_nothing_and_sees_nothing_twice(servers, engine, mark, seed):
    server = servers()
    # Nothing starts: what is queued stays so until it is canceled.
    blocker = server.client.create(task("sleep 3600", resources={"cpu_cores": engine.cpus()}))
    server.client.wait(blocker, {"RUNNING"})
    readers, states = follow_writers(server, mark, 40, seed, ["waits", "waits, canceled"])
    # 8 writers with 40 tasks each.
    assert len(states) == 320 and set(states.values()) == {"QUEUED", "CANCELED"}
    insist_on_all(server, mark, readers, states)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [3, 4])
def test_a_reader_that_resumes_misses_nothing_of_tasks_that_end(servers, mark, seed):
    server = servers()
    readers, states = follow_writers(server, mark, 20, seed, ["ends", "ends or is canceled"])
    assert len(states) == 160 and set(states.values()) <= {"CANCELED", "SYSTEM_ERROR"}
    insist_on_all(server, mark, readers, states)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [5, 6])
def test_what_commits_late_is_not_missed(servers, cluster, mark, seed):
    # Every fourth transaction stays open for a while after it has made its events: others overtake it.
    name = f"test_{uuid.uuid4().hex[:12]}"
    server = servers(arguments=["--database", cluster.create(name)])
    with cluster.connect(name) as connection:
        connection.execute("""
            CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN IF random() < 0.25 THEN PERFORM pg_sleep(random() * 0.4); END IF; RETURN NULL; END $$""")
        connection.execute("CREATE TRIGGER linger AFTER INSERT ON poiesis.task_events "
                           "FOR EACH ROW EXECUTE FUNCTION linger()")
    readers, states = follow_writers(server, mark, 12, seed, ["ends"])
    assert len(states) == 96
    insist_on_all(server, mark, readers, states)


def use_up_transactions(connection, left):
    """Until so many are left before their numbers get one more digit."""
    connection.execute(f"""
        DO $$ BEGIN
            WHILE 10 ^ length(pg_current_xact_id()::text) - pg_current_xact_id()::text::bigint > {left} LOOP COMMIT; END LOOP;
        END $$""")


def test_the_order_holds_when_numbers_get_another_digit(servers, cluster, mark):
    # 999 comes before 1000, though not as text.
    name = f"test_{uuid.uuid4().hex[:12]}"
    server = servers(arguments=["--database", cluster.create(name)])
    with cluster.connect(name) as connection:
        use_up_transactions(connection, 12)
    with of(server.url, mark, None) as stream:
        created = [server.client.run(impossible(mark), "SYSTEM_ERROR")["id"] for _ in range(10)]
        wanted = [(x, state) for x in created for state in IMPOSSIBLE]
        seen = [(x.task, x.state) for x in stream.rest(2)]
    with of(server.url, mark) as stream:
        assert [(x.task, x.state) for x in stream.rest(2)] == seen == wanted


def test_an_open_transaction_holds_nothing_back_that_was_before_it(servers, cluster, mark):
    name = f"test_{uuid.uuid4().hex[:12]}"
    server = servers(arguments=["--database", cluster.create(name)])
    first = server.client.run(impossible(mark), "SYSTEM_ERROR")["id"]
    with cluster.connect(name) as connection, connection.transaction():
        connection.execute("SELECT pg_current_xact_id()")
        with of(server.url, mark) as stream:
            assert {x.task for x in stream.until(is_terminal, 10)} == {first}


def test_a_reader_resumes_after_a_restart_of_the_server(servers, mark):
    server = servers()
    server.client.run(impossible(mark), "SYSTEM_ERROR")
    with of(server.url, mark) as stream:
        place = stream.until(is_terminal)[0].id
    server.stop()
    server.start()
    later = server.client.run(impossible(mark), "SYSTEM_ERROR")["id"]
    with of(server.url, mark, place) as stream:
        assert [(x.task == later, x.state) for x in stream.rest()] == [
            *((False, state) for state in IMPOSSIBLE[1:]), *((True, state) for state in IMPOSSIBLE)]


def test_a_stream_goes_on_after_a_restart_of_the_database(servers, cluster, mark):
    # Whether the stream itself survives is the server's choice; a reader that resumes loses nothing.
    name = f"test_{uuid.uuid4().hex[:12]}"
    server = servers(arguments=["--database", cluster.create(name)])
    reader = Reader(server.url, mark, 4, tag_key="mark", tag_value=mark)
    reader.start()
    try:
        for _ in range(3):
            server.client.create(impossible(mark))
        cluster.stop()
        cluster.start()
        wait_until(lambda: server.client.request("GET", "/tasks").status_code == 200, "the database is back")
        for _ in range(3):
            server.client.create(impossible(mark))
        states = quiet(server.client, mark)
        wait_until(
            lambda: reader.failure or {x.task for x in list(reader.seen)} == set(states), "all tasks' events")
        time.sleep(1)
    finally:
        reader.finish()
    insist(reader.seen, states)


def test_two_servers_show_the_same_events(servers, cluster, mark):
    database = cluster.create(f"test_{uuid.uuid4().hex[:12]}")
    both = [servers(arguments=["--database", database]) for _ in range(2)]
    for server in both:
        server.client.run(impossible(mark), "SYSTEM_ERROR")
    seen = []
    for server in both:
        with of(server.url, mark) as stream:
            seen.append(stream.rest())
    assert [x.state for x in seen[0]] == IMPOSSIBLE * 2 and seen[0] == seen[1]


def test_an_open_stream_does_not_hold_up_a_stop(servers):
    server = servers()
    with EventStream(server.url, "0"), EventStream(server.url):
        assert server.stop(10) == 0


def test_a_reader_that_leaves_is_forgotten(server, client):
    before = descriptors(server.process.pid)
    for _ in range(50):
        EventStream(server.url, "0").close()
    wait_until(lambda: descriptors(server.process.pid) <= before + 3, "the connections are closed")
