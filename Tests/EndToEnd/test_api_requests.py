"""The table Requests of the API's behaviour: what is accepted, what is refused, and where the refusal points."""

import json

import pytest

from harness.client import BUSYBOX, task

pytestmark = pytest.mark.usefixtures("nothing_starts")

MIB = 1 << 20


def document(path=(), value=None, **fields):
    """A valid task with one place changed; `path` leads to it, and `...` as value removes it."""
    whole = task({"image": BUSYBOX, "command": ["true"]}, **fields)
    if path:
        place = whole
        for step in path[:-1]:
            place = place[step]
        if value is ...:
            del place[path[-1]]
        else:
            place[path[-1]] = value
    return whole


def executor(**fields):
    return {"executors": [{"image": BUSYBOX, "command": ["true"], **fields}]}


def with_input(**fields):
    return document(inputs=[{"url": "http://127.0.0.1:9/x", "path": "/in/x", **fields}])


def with_output(**fields):
    return document(outputs=[{"url": "s3://bucket/x", "path": "/out/x", **fields}])


def pointers(answer):
    return [error["pointer"] for error in answer.json()["errors"]]


# --- Refused, each with a pointer -----------------------------------------------------------------

REFUSED = {
    "executors absent": ({}, "/executors"),
    "executors empty": ({"executors": []}, "/executors"),
    "executors no array": ({"executors": {}}, "/executors"),
    "image absent": ({"executors": [{"command": ["true"]}]}, "/executors/0/image"),
    "image empty": (executor(image=""), "/executors/0/image"),
    "command absent": ({"executors": [{"image": BUSYBOX}]}, "/executors/0/command"),
    "command empty": (executor(command=[]), "/executors/0/command"),
    "command a string": (executor(command="true"), "/executors/0/command"),
    "argument a number": (executor(command=["sleep", 1]), "/executors/0/command/1"),
    "second executor": ({"executors": [*executor()["executors"], {"image": BUSYBOX, "command": []}]},
                        "/executors/1/command"),
    "input relative": (with_input(path="x"), "/inputs/0/path"),
    "input empty path": (with_input(path=""), "/inputs/0/path"),
    "input path absent": (document(inputs=[{"url": "http://127.0.0.1:9/x"}]), "/inputs/0/path"),
    "input escapes": (with_input(path="/in/../../x"), "/inputs/0/path"),
    "input ends in ..": (with_input(path="/in/.."), "/inputs/0/path"),
    "output relative": (with_output(path="x"), "/outputs/0/path"),
    "output escapes": (with_output(path="/out/../x"), "/outputs/0/path"),
    "output path absent": (document(outputs=[{"url": "s3://b/x"}]), "/outputs/0/path"),
    "output url absent": (document(outputs=[{"path": "/out/x"}]), "/outputs/0/url"),
    "output url empty": (with_output(url=""), "/outputs/0/url"),
    "volume relative": (document(volumes=["x"]), "/volumes/0"),
    "volume escapes": (document(volumes=["/ok", "/a/../../b"]), "/volumes/1"),
    "volume no string": (document(volumes=[1]), "/volumes/0"),
    "workdir relative": (executor(workdir="x"), "/executors/0/workdir"),
    "stdin relative": (executor(stdin="x"), "/executors/0/stdin"),
    "stdout relative": (executor(stdout="x"), "/executors/0/stdout"),
    "stderr relative": (executor(stderr="x"), "/executors/0/stderr"),
    "stdout escapes": (executor(stdout="/a/../../x"), "/executors/0/stdout"),
    "input in proc": (with_input(path="/proc/x"), "/inputs/0/path"),
    "input in sys": (with_input(path="/sys/x"), "/inputs/0/path"),
    "input in dev": (with_input(path="/dev/x"), "/inputs/0/path"),
    "output in dev": (with_output(path="/dev/shm/x"), "/outputs/0/path"),
    "volume proc": (document(volumes=["/proc"]), "/volumes/0"),
    "stdout in dev": (executor(stdout="/dev/null"), "/executors/0/stdout"),
    "stderr in proc": (executor(stderr="/proc/1/fd/2"), "/executors/0/stderr"),
    "content over the limit": (with_input(content="x" * (MIB + 1)), "/inputs/0/content"),
    "null in command": (executor(command=["true", None]), "/executors/0/command/1"),
    "null in executors": ({"executors": [None]}, "/executors/0"),
    "null in inputs": (document(inputs=[None]), "/inputs/0"),
    "null in outputs": (document(outputs=[None]), "/outputs/0"),
    "null in volumes": (document(volumes=[None]), "/volumes/0"),
    "null in zones": (document(resources={"zones": [None]}), "/resources/zones/0"),
    "negative cpu": (document(resources={"cpu_cores": -1}), "/resources/cpu_cores"),
    "fraction of cpu": (document(resources={"cpu_cores": 1.5}), "/resources/cpu_cores"),
    "cpu a string": (document(resources={"cpu_cores": "2"}), "/resources/cpu_cores"),
    "cpu over 32 bits": (document(resources={"cpu_cores": 1 << 31}), "/resources/cpu_cores"),
    "negative ram": (document(resources={"ram_gb": -0.5}), "/resources/ram_gb"),
    "absurd ram": (document(resources={"ram_gb": 1e300}), "/resources/ram_gb"),
    "ram a string": (document(resources={"ram_gb": "1"}), "/resources/ram_gb"),
    "negative disk": (document(resources={"disk_gb": -1}), "/resources/disk_gb"),
    "absurd disk": (document(resources={"disk_gb": 1e300}), "/resources/disk_gb"),
    "input scheme": (with_input(url="gopher://host/x"), "/inputs/0/url"),
    "output scheme": (with_output(url="gopher://host/x"), "/outputs/0/url"),
    "type unknown": (with_input(type="LINK"), "/inputs/0/type"),
    "name no string": (document(name=1), "/name"),
    "tags no object": (document(tags=["a"]), "/tags"),
    "tag value no string": (document(tags={"a": 1}), "/tags/a"),
    "tag pointer is escaped": (document(tags={"a/b~c": 1}), "/tags/a~1b~0c"),
    "env value no string": (executor(env={"A": True}), "/executors/0/env/A"),
    "ignore_error no boolean": (executor(ignore_error="yes"), "/executors/0/ignore_error"),
    "NUL in name": (document(name="a\0b"), "/name"),
    "NUL in description": (document(description="\0"), "/description"),
    "NUL in argument": (executor(command=["echo", "a\0b"]), "/executors/0/command/1"),
    "NUL in env": (executor(env={"A": "\0"}), "/executors/0/env/A"),
    "NUL in tag": (document(tags={"a": "\0"}), "/tags/a"),
    "NUL in content": (with_input(content="\0"), "/inputs/0/content"),
    "NUL in path": (with_input(path="/in/\0"), "/inputs/0/path"),
    "NUL in image": (executor(image="a\0"), "/executors/0/image"),
    "unknown strict parameter": (
        document(resources={"backend_parameters": {"No-Such": "1"}, "backend_parameters_strict": True}),
        "/resources/backend_parameters/No-Such"),
}
for _folder in ["/", "/bin", "/etc", "/lib", "/lib64", "/sbin", "/usr"]:
    REFUSED[f"volume {_folder}"] = (document(volumes=[_folder]), "/volumes/0")
    REFUSED[f"input directory {_folder}"] = (with_input(type="DIRECTORY", path=_folder), "/inputs/0/path")
    REFUSED[f"output directory {_folder}"] = (with_output(type="DIRECTORY", path=_folder), "/outputs/0/path")


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_with_a_pointer(client, case):
    body, pointer = REFUSED[case]
    answer = client.post(body)
    assert (answer.status_code, pointer in pointers(answer)) == (400, True), answer.text


# The member at fault may be named, or the whole it belongs to: both find the place.
REFUSED_SOMEWHERE = {
    "input without url and content": (document(inputs=[{"path": "/in/x"}]), "/inputs/0"),
    "input with empty url": (with_input(url=""), "/inputs/0"),
    "pattern * without prefix": (with_output(path="/out/*.txt"), "/outputs/0"),
    "pattern ? without prefix": (with_output(path="/out/a?"), "/outputs/0"),
    "NUL in tag key": (document(tags={"a\0": "b"}), "/tags"),
    "NUL in env key": (executor(env={"A\0": "b"}), "/executors/0/env"),
}


@pytest.mark.parametrize("case", REFUSED_SOMEWHERE)
def test_is_refused_with_a_pointer_into_the_object(client, case):
    body, pointer = REFUSED_SOMEWHERE[case]
    answer = client.post(body)
    assert answer.status_code == 400 and any(x.startswith(pointer) for x in pointers(answer)), answer.text


def test_all_problems_are_named_at_once(client):
    answer = client.post({
        "name": 1, "executors": [{"image": "", "command": []}], "volumes": ["relative"],
        "inputs": [{"path": "/in", "url": "gopher://x"}], "resources": {"cpu_cores": -1}})
    assert set(pointers(answer)) == {"/name", "/executors/0/image", "/executors/0/command", "/volumes/0",
                                     "/inputs/0/url", "/resources/cpu_cores"}


def test_each_problem_has_words(client):
    errors = client.post({"executors": [{"image": "", "command": []}]}).json()["errors"]
    assert len(errors) == 2 and all(len(error["message"]) > 5 for error in errors)


MALFORMED = {
    "empty body": "",
    "no JSON": "hello",
    "cut off": '{"executors": [',
    "trailing comma in object": '{"executors":[{"image":"a","command":["b"]}],}',
    "trailing comma in array": '{"executors":[{"image":"a","command":["b",]}]}',
    "duplicate key": '{"name":"a","name":"b","executors":[{"image":"a","command":["b"]}]}',
    "duplicate key inside": '{"executors":[{"image":"a","image":"b","command":["b"]}]}',
    "duplicate key, escaped": '{"name":"a","n\\u0061me":"b","executors":[{"image":"a","command":["b"]}]}',
    "duplicate unknown key": '{"x":1,"x":2,"executors":[{"image":"a","command":["b"]}]}',
    "two documents": '{"executors":[{"image":"a","command":["b"]}]}{}',
    "comment": '{"executors":[{"image":"a","command":["b"]}]} // no',
    "single quotes": "{'executors':[{'image':'a','command':['b']}]}",
    "NaN": '{"resources":{"ram_gb":NaN},"executors":[{"image":"a","command":["b"]}]}',
    "leading zero": '{"resources":{"cpu_cores":01},"executors":[{"image":"a","command":["b"]}]}',
    "control character": '{"name":"a\nb","executors":[{"image":"a","command":["b"]}]}',
    "lone surrogate": '{"name":"\\ud800","executors":[{"image":"a","command":["b"]}]}',
    "array": "[]", "string": '"x"', "number": "1", "null": "null",
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_body_is_400(client, case):
    headers = {"Content-Type": "application/json"}
    answer = client.request("POST", "/tasks", data=MALFORMED[case].encode(), headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)


def test_invalid_utf8_is_400(client):
    body = b'{"name":"\xff","executors":[{"image":"a","command":["b"]}]}'
    assert client.request("POST", "/tasks", data=body).status_code == 400


# --- Accepted on purpose --------------------------------------------------------------------------

FILE_INPUT = {"url": "file:///nowhere/x", "path": "/in/x"}
ACCEPTED = {
    "type absent": with_input(),
    "identical inputs": document(inputs=[FILE_INPUT, FILE_INPUT]),
    "input inside an input": document(inputs=[{"url": "s3://b/d/", "path": "/in", "type": "DIRECTORY"}, FILE_INPUT]),
    "input inside an output": document(inputs=[FILE_INPUT],
                                       outputs=[{"url": "s3://b/d", "path": "/in", "type": "DIRECTORY"}]),
    "file output inside an output": document(outputs=[{"url": "s3://b/d", "path": "/out", "type": "DIRECTORY"},
                                                      {"url": "s3://b/f", "path": "/out/f"}]),
    "input and output on one path": document(inputs=[FILE_INPUT], outputs=[{"url": "s3://b/x", "path": "/in/x"}]),
    "directory url and path ending in /": with_input(url="s3://b/d/", path="/in/d/", type="DIRECTORY"),
    "volume ending in /": document(volumes=["/vol/a/"]),
    "empty directory by _:": with_input(url="_:anything", path="/in/d", type="DIRECTORY"),
    "bare absolute path as url": with_input(url="/some/where"),
    "bare absolute path as output url": with_output(url="/some/where"),
    "url and content": with_input(content="content"),
    "content without url": document(inputs=[{"path": "/in/x", "content": "content"}]),
    "128 KiB of content": with_input(content="x" * (128 << 10)),
    "1 MiB of content": with_input(content="x" * MIB),
    "empty argument": executor(command=["echo", "", ""]),
    "argument of 100 kB": executor(command=["echo", "x" * 100_000]),
    "fractional ram and disk": document(resources={"ram_gb": 0.25, "disk_gb": 0.5}),
    "tiny ram": document(resources={"ram_gb": 0.002}),
    "empty name": document(name=""),
    "empty tags": document(tags={}),
    "empty tag key and value": document(tags={"": ""}),
    "workdir in proc": executor(workdir="/proc"),
    "stdin in dev": executor(stdin="/dev/null"),
    "stdin in proc": executor(stdin="/proc/version"),
    "literal name with braces": with_output(path="/out/{a,b}"),
    "literal name with brackets": with_output(path="/out/[ab]"),
    "http output": with_output(url="http://127.0.0.1:9/x"),
    "file outside of every root": with_input(url="file:///nowhere/at/all"),
    "more processors than there are": document(resources={"cpu_cores": 100_000}),
    "unicode everywhere": document(name="naïve 日本語 🧬", tags={"ключ": "значение"}),
    "unknown members": document(unknown=1, executors=[{"image": BUSYBOX, "command": ["true"], "gpu": {"a": [None]}}]),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_is_accepted(client, case):
    assert client.post(ACCEPTED[case]).status_code == 200


# --- What is stored of it -------------------------------------------------------------------------

def stored(client, body):
    """The task as FULL shows it, without what the server adds to every task."""
    whole = client.get(client.create(body))
    return {key: value for key, value in whole.items() if key not in ("id", "state", "creation_time", "logs")}


def test_a_task_comes_back_as_it_was_sent(client):
    sent = {
        "name": "n", "description": "d",
        "inputs": [{"name": "i", "description": "j", "url": "s3://b/x", "path": "/in/x", "type": "FILE",
                    "streamable": True}],
        "outputs": [{"name": "o", "description": "p", "url": "s3://b/y/", "path": "/out/*", "path_prefix": "/out",
                     "type": "FILE"}],
        "resources": {"cpu_cores": 1, "preemptible": False, "ram_gb": 1.5, "disk_gb": 2, "zones": ["a", "b"]},
        "executors": [{"image": BUSYBOX, "command": ["echo", "", "\"'\\ \n", "ü"], "workdir": "/w", "stdin": "/in/x",
                       "stdout": "/out/o", "stderr": "/out/e", "env": {"A": "", "B": "b c"}, "ignore_error": True}],
        "volumes": ["/vol/b", "/vol/a"], "tags": {"k": "v", "": "empty"},
    }
    assert stored(client, sent) == sent


def test_members_come_in_the_order_of_the_specification(client):
    body = document(tags={"a": "b"}, volumes=["/v"], name="n", description="d", resources={"cpu_cores": 1},
                    inputs=[FILE_INPUT], outputs=[{"url": "s3://b/x", "path": "/o"}])
    order = ["id", "state", "name", "description", "inputs", "outputs", "resources", "executors", "volumes", "tags",
             "logs", "creation_time"]
    keys = list(client.get(client.create(body)))
    assert keys == [key for key in order if key in keys]


@pytest.mark.parametrize("body", [
    document(unknown=1), document(executors=[{"image": BUSYBOX, "command": ["true"], "unknown": {}}]),
    document(id="x"), document(state="COMPLETE"), document(logs=[{"logs": [], "outputs": []}]),
    document(creation_time="2020-01-01T00:00:00Z"),
    document(name=None), document(inputs=None, outputs=None, volumes=None, tags=None, resources=None),
    document(inputs=[], outputs=[], volumes=[], tags={}), document(tags={"a": None}),
    executor(env={"A": None}), executor(env={}, stdin=None, workdir=None, ignore_error=None),
    document(resources={"cpu_cores": None}),
], ids=json.dumps)
def test_leaves_nothing_behind(client, body):
    whole = stored(client, body)
    for member in ("inputs", "outputs", "volumes", "tags", "resources"):
        assert not whole.pop(member, None)
    whole["executors"][0].pop("env", None)
    assert whole == executor()


def test_empty_and_absent_arrays_are_the_same(client):
    assert stored(client, document(inputs=[], outputs=[], volumes=[])) == stored(client, document())


def test_null_in_tags_counts_as_absent(client):
    assert stored(client, document(tags={"a": None, "b": "c"}))["tags"] == {"b": "c"}


def test_null_in_env_counts_as_absent(client):
    assert stored(client, executor(env={"A": None, "B": "c"}))["executors"][0]["env"] == {"B": "c"}


@pytest.mark.parametrize("member", ["id", "state", "creation_time"])
def test_what_the_server_sets_cannot_be_sent(client, member):
    sent = {"id": "mine", "state": "COMPLETE", "creation_time": "2001-01-01T00:00:00Z"}[member]
    assert client.get(client.create(document(**{member: sent})))[member] != sent


@pytest.mark.parametrize("member", ["inputs", "outputs"])
def test_an_absent_type_is_filled_in(client, member):
    assert stored(client, document(**{member: [{"url": "s3://b/x", "path": "/a/x"}]}))[member][0]["type"] == "FILE"


# --- backend_parameters ---------------------------------------------------------------------------

def test_unknown_backend_parameters_are_dropped(client):
    body = document(resources={"cpu_cores": 1, "backend_parameters": {"No-Such": "1", "nor this": None}})
    assert stored(client, body)["resources"].get("backend_parameters", {}) == {}


def test_known_backend_parameters_have_keys_in_any_case(client):
    known = client.request("GET", "/service-info").json().get("tesResources_backend_parameters", [])
    parameters = {key.swapcase(): "1" for key in known}
    body = document(resources={"backend_parameters": parameters, "backend_parameters_strict": True})
    assert client.post(body).status_code == 200
