"""Lists: order, pages and filters, of tasks that all stay QUEUED."""

import uuid

import pytest

from harness.client import task

pytestmark = pytest.mark.usefixtures("nothing_starts")


@pytest.fixture
def mark():
    """A tag of this test's own, so that it sees only its own tasks."""
    return uuid.uuid4().hex


def create_many(client, mark, count, **fields):
    """Ids, the newest first."""
    return [client.create(task("true", tags={"mark": mark}, **fields)) for _ in range(count)][::-1]


def ids(tasks):
    return [x["id"] for x in tasks]


def is_400(client, **parameters):
    answer = client.request("GET", "/tasks", params=parameters)
    return (answer.status_code, answer.json()["status"]) == (400, 400)


# --- Order and pages ------------------------------------------------------------------------------

def test_the_newest_comes_first(client, mark):
    created = create_many(client, mark, 5)
    assert ids(client.list(tag_key="mark", tag_value=mark)["tasks"]) == created


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_pages_together_are_the_whole_list(client, mark, size):
    created = create_many(client, mark, 5)
    assert ids(client.all_tasks(tag_key="mark", tag_value=mark, page_size=size)) == created


@pytest.mark.parametrize(("size", "last"), [(2, False), (3, True), (4, True)])
def test_only_the_last_page_has_an_empty_token(client, mark, size, last):
    create_many(client, mark, 3)
    page = client.list(tag_key="mark", tag_value=mark, page_size=size)
    assert (page["next_page_token"] == "") == last


def test_an_empty_list_has_no_tasks_and_an_empty_token(client, mark):
    assert client.list(tag_key="mark", tag_value=mark) == {"tasks": [], "next_page_token": ""}


def test_new_tasks_do_not_shift_the_pages(client, mark):
    created = create_many(client, mark, 4)
    first = client.list(tag_key="mark", tag_value=mark, page_size=2)
    create_many(client, mark, 3)
    second = client.list(tag_key="mark", tag_value=mark, page_size=2, page_token=first["next_page_token"])
    assert ids(first["tasks"] + second["tasks"]) == created


@pytest.mark.slow
def test_a_page_holds_256_by_default(client, mark):
    create_many(client, mark, 257)
    assert len(client.list(tag_key="mark", tag_value=mark)["tasks"]) == 256


@pytest.mark.parametrize("size", [1, 2047])
def test_page_size_is_accepted(client, mark, size):
    create_many(client, mark, 1)
    assert len(client.list(tag_key="mark", tag_value=mark, page_size=size)["tasks"]) == 1


@pytest.mark.parametrize("size", ["0", "-1", "2048", "99999999999999999999", "ten", "1.5"])
def test_page_size_is_refused(client, size):
    assert is_400(client, page_size=size)


# --- Page tokens ----------------------------------------------------------------------------------

@pytest.fixture
def token(client, mark):
    create_many(client, mark, 3)
    return client.list(tag_key="mark", tag_value=mark, page_size=1)["next_page_token"]


@pytest.mark.parametrize("damage", [lambda x: x[:-2], lambda x: x + "A", lambda x: x[1:],
                                    lambda x: x[:4] + ("B" if x[4] == "A" else "A") + x[5:], lambda x: "1",
                                    lambda x: "x" * 2000],
                         ids=["cut", "longer", "headless", "changed", "number", "long"])
def test_a_damaged_token_is_400(client, mark, token, damage):
    assert is_400(client, tag_key="mark", tag_value=mark, page_size=1, page_token=damage(token))


@pytest.mark.parametrize("change", [{"tag_value": "other"}, {"state": "QUEUED"}, {"name_prefix": "a"}])
def test_a_token_is_bound_to_its_filters(client, mark, token, change):
    assert is_400(client, **{"tag_key": "mark", "tag_value": mark, "page_token": token, **change})


@pytest.mark.parametrize("change", [{"view": "BASIC"}, {"view": "FULL"}, {"page_size": 2}])
def test_a_token_goes_with_any_view_and_page_size(client, mark, token, change):
    assert client.list(**{"tag_key": "mark", "tag_value": mark, "page_token": token, **change})["tasks"]


def test_a_token_of_another_server_is_400(client, mark, token, servers):
    other = servers().client
    assert is_400(other, tag_key="mark", tag_value=mark, page_token=token)


def test_an_empty_token_is_the_first_page(client, mark):
    created = create_many(client, mark, 2)
    assert ids(client.list(tag_key="mark", tag_value=mark, page_token="")["tasks"]) == created


# --- Views ----------------------------------------------------------------------------------------

def test_a_list_is_minimal_by_default(client, mark):
    [created] = create_many(client, mark, 1)
    assert client.list(tag_key="mark", tag_value=mark)["tasks"] == [{"id": created, "state": "QUEUED"}]


@pytest.mark.parametrize("view", ["MINIMAL", "BASIC", "FULL", "basic", "Full"])
def test_a_list_shows_each_task_as_get_does(client, mark, view):
    created = create_many(client, mark, 2, name="named", description="described")
    assert client.list(tag_key="mark", tag_value=mark, view=view)["tasks"] == [client.get(x, view) for x in created]


@pytest.mark.parametrize("view", ["ALL", "1", "FULL "])
def test_an_unknown_view_is_400(client, view):
    assert is_400(client, view=view)


# --- Names ----------------------------------------------------------------------------------------

NAMES = ["a%b", "a%c", "axb", "a_b", "a\\b", "A%b", "", "naïve", "naive"]


@pytest.fixture(scope="module")
def named(client):
    mark = uuid.uuid4().hex
    for name in NAMES:
        client.create(task("true", name=f"{mark}{name}"))
    return mark


@pytest.mark.parametrize(("prefix", "expected"), [
    ("a%", {"a%b", "a%c"}), ("a_", {"a_b"}), ("a\\", {"a\\b"}), ("a", {"a%b", "a%c", "axb", "a_b", "a\\b"}),
    ("A", {"A%b"}), ("%", set()), ("naï", {"naïve"}), ("", set(NAMES)), ("a%b%", set())])
def test_a_name_prefix_is_literal(client, named, prefix, expected):
    found = client.all_tasks(name_prefix=named + prefix, view="BASIC")
    assert {x["name"].removeprefix(named) for x in found} == expected


def test_a_prefix_is_no_infix(client, named):
    assert client.list(name_prefix=named[1:])["tasks"] == []


def test_an_empty_prefix_counts_as_absent(client, mark):
    created = create_many(client, mark, 1)
    assert ids(client.list(tag_key="mark", tag_value=mark, name_prefix="")["tasks"]) == created


# --- Tags -----------------------------------------------------------------------------------------

TAGGED = {
    "bar": {"foo": "bar"}, "bat": {"foo": "bat"}, "empty": {"foo": ""}, "both": {"foo": "bar", "baz": "bat"},
    "baz": {"baz": "bat"}, "none": {}, "case": {"Foo": "bar"},
}


@pytest.fixture(scope="module")
def tagged(client):
    mark = uuid.uuid4().hex
    for name, tags in TAGGED.items():
        client.create(task("true", name=name, tags={**tags, "mark": mark}))
    return mark


@pytest.mark.parametrize(("keys", "values", "expected"), [
    (["foo"], ["bar"], {"bar", "both"}),
    (["foo"], [""], {"bar", "bat", "empty", "both"}),
    (["foo"], [], {"bar", "bat", "empty", "both"}),
    (["foo", "baz"], ["bar", "bat"], {"both"}),
    (["baz", "foo"], ["bat", "bar"], {"both"}),
    (["foo", "baz"], ["", "bat"], {"both"}),
    (["foo", "baz"], ["bar"], {"both"}),
    (["foo", "foo"], ["bar", "bat"], set()),
    (["foo"], ["ba"], set()),
    (["fo"], [], set()),
    (["Foo"], [], {"case"}),
    ([], [], set(TAGGED)),
], ids=lambda value: str(sorted(value) if isinstance(value, set) else value))
def test_tags_are_zipped_in_order(client, tagged, keys, values, expected):
    found = client.list(tag_key=["mark", *keys], tag_value=[tagged, *values], view="BASIC")["tasks"]
    assert {x["name"] for x in found} == expected


def test_tags_are_zipped_however_they_are_mixed(client, tagged):
    query = f"tag_value={tagged}&tag_key=mark&tag_value=bar&tag_key=foo&view=BASIC"
    found = client.request("GET", f"/tasks?{query}").json()["tasks"]
    assert {x["name"] for x in found} == {"bar", "both"}


@pytest.mark.parametrize(("keys", "values"), [([], ["a"]), (["a"], ["b", "c"])], ids=str)
def test_more_values_than_keys_is_400(client, keys, values):
    assert is_400(client, tag_key=keys, tag_value=values)


# --- States and all together ----------------------------------------------------------------------

def test_state_filters(client, mark):
    canceled, queued = create_many(client, mark, 2)
    client.cancel(canceled)
    client.wait(canceled)
    assert ids(client.list(tag_key="mark", tag_value=mark, state="QUEUED")["tasks"]) == [queued]


def test_state_filters_ended_tasks(client, mark):
    canceled, _ = create_many(client, mark, 2)
    client.cancel(canceled)
    client.wait(canceled)
    assert ids(client.list(tag_key="mark", tag_value=mark, state="CANCELED")["tasks"]) == [canceled]


def test_an_unknown_state_is_400(client):
    assert is_400(client, state="FINISHED")


def test_an_empty_state_counts_as_absent(client, mark):
    created = create_many(client, mark, 1)
    assert ids(client.list(tag_key="mark", tag_value=mark, state="")["tasks"]) == created


def test_all_filters_combine(client, mark):
    other = create_many(client, mark, 1, name="other")
    wanted = create_many(client, mark, 1, name="wanted")
    canceled = create_many(client, mark, 1, name="wanted, canceled")
    client.cancel(canceled[0])
    client.wait(canceled[0])
    found = client.list(tag_key="mark", tag_value=mark, name_prefix="want", state="QUEUED")["tasks"]
    assert (ids(found), other != wanted) == (wanted, True)
