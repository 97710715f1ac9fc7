"""What the server says about itself: its description, and whether it is well."""

import time
import uuid

import jsonschema
import pytest
import yaml

from harness.client import run, task
from harness.processes import REPOSITORY, wait_until
from harness.proxies import proxy

CONTRACT = yaml.safe_load((REPOSITORY / "spec/tes/1.1.0/openapi.yaml").read_text())
INFO = yaml.safe_load((REPOSITORY / "spec/tes/1.1.0/service-info.yaml").read_text())
OPERATIONS = {(path, method): operation["operationId"]
              for path, methods in CONTRACT["paths"].items() for method, operation in methods.items()}


def get(client, path, **options):
    return client.request("GET", client.url + path, **options)


@pytest.fixture(scope="module")
def description(client):
    return get(client, "/openapi.json").json()


def resolved(description, node):
    while "$ref" in node:
        node = follow(description, node["$ref"])
    return node


def follow(description, reference):
    assert reference.startswith("#/"), reference
    node = description
    for step in reference[2:].split("/"):
        node = node[step.replace("~1", "/").replace("~0", "~")]
    return node


def everything(node):
    yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from everything(inner)


def answers(description, path, method):
    """The answers of an operation by their status; a status that stands for a class stays one."""
    return {str(status): resolved(description, answer)
            for status, answer in description["paths"][path][method]["responses"].items()}


def documented(description, path, method, status):
    found = answers(description, path, method)
    return found.get(str(status)) or found.get(f"{status // 100}XX") or found.get("default")


def schema_of(description, answer):
    """As JSON Schema; references inside it stay, and find their targets."""
    return {**answer["content"]["application/json"]["schema"], "components": description["components"]}


# --- Both forms -----------------------------------------------------------------------------------

@pytest.mark.parametrize(("path", "content_type"), [("/openapi.json", "application/json"),
                                                    ("/openapi.yaml", "application/yaml")])
def test_the_description_has_its_content_type(client, path, content_type):
    answer = get(client, path)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, content_type)


def test_both_forms_are_one_document(client, description):
    assert yaml.safe_load(get(client, "/openapi.yaml").content) == description


def test_the_description_does_not_change(client, description):
    assert get(client, "/openapi.json").json() == description


def test_head_of_the_description_has_no_body(client):
    answer = client.request("HEAD", client.url + "/openapi.json")
    assert (answer.status_code, answer.content) == (200, b"")


# --- What it holds --------------------------------------------------------------------------------

def test_the_description_is_openapi_3(description):
    assert description["openapi"].startswith("3.") and description["info"]["title"] and description["info"]["version"]


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids="-".join)
def test_every_operation_of_the_specification_is_described(description, path, method):
    assert description["paths"][path][method]["operationId"] == OPERATIONS[path, method]


def test_the_base_path_is_that_of_the_specification(description):
    assert any(x["url"].endswith("/ga4gh/tes/v1") for x in description["servers"])


def test_every_schema_of_the_specification_is_described(description):
    assert set(CONTRACT["components"]["schemas"]) <= set(description["components"]["schemas"])


@pytest.mark.parametrize("schema", sorted(CONTRACT["components"]["schemas"]))
def test_every_property_of_the_specification_is_described(description, schema):
    given = CONTRACT["components"]["schemas"][schema].get("properties", {})
    assert set(given) <= set(description["components"]["schemas"][schema].get("properties", {}))


def test_nothing_refers_to_another_document(description):
    references = {x["$ref"] for x in everything(description) if isinstance(x, dict) and isinstance(x.get("$ref"), str)}
    assert references and [x for x in references if not x.startswith("#/")] == []


def test_every_reference_has_its_target(description):
    for node in everything(description):
        if isinstance(node, dict) and isinstance(node.get("$ref"), str):
            assert follow(description, node["$ref"])


def test_the_schemas_of_service_info_are_inline(description):
    known = INFO["components"]["schemas"]["Service"]
    wanted = set().union(*(x.get("properties", {}) for x in [known, *known.get("allOf", [])]))
    schema = resolved(
        description, answers(description, "/service-info", "get")["200"]["content"]["application/json"]["schema"]
    )
    parts, found = [schema], set()
    while parts:
        part = resolved(description, parts.pop())
        found |= set(part.get("properties", {}))
        parts += part.get("allOf", [])
    assert wanted and wanted | {"storage"} <= found


BOUNDS = {
    "page_size": ({"minimum": 1, "maximum": 2047}, lambda x: next(
        p for p in map(lambda y: resolved(x, y), x["paths"]["/tasks"]["get"]["parameters"])
        if p["name"] == "page_size")["schema"]),
    "executors": ({"minItems": 1}, lambda x: x["components"]["schemas"]["tesTask"]["properties"]["executors"]),
    "command": ({"minItems": 1}, lambda x: x["components"]["schemas"]["tesExecutor"]["properties"]["command"]),
    "image": ({"minLength": 1}, lambda x: x["components"]["schemas"]["tesExecutor"]["properties"]["image"]),
    "cpu_cores": ({"minimum": 0}, lambda x: x["components"]["schemas"]["tesResources"]["properties"]["cpu_cores"]),
    "creation_time": ({"format": "date-time"},
                      lambda x: x["components"]["schemas"]["tesTask"]["properties"]["creation_time"]),
}


@pytest.mark.parametrize("bound", BOUNDS)
def test_the_bounds_of_this_server_are_described(description, bound):
    wanted, place = BOUNDS[bound]
    assert wanted.items() <= place(description).items()


ERRORS = {
    ("/tasks", "post"): [400, 413, 415, 422, 503],
    ("/tasks", "get"): [400, 503],
    ("/tasks/{id}", "get"): [400, 404, 503],
    ("/tasks/{id}:cancel", "post"): [404, 503],
}


@pytest.mark.parametrize(("path", "method", "status"), [(*x, status) for x, all in ERRORS.items() for status in all])
def test_the_error_answer_is_described(description, path, method, status):
    answer = documented(description, path, method, status)
    assert answer and {"status", "message"} <= set(resolved(description, schema_of(description, answer))["properties"])


def test_304_is_described(description):
    assert "304" in answers(description, "/tasks/{id}", "get")


# --- What it says is what the server does ---------------------------------------------------------

@pytest.fixture(scope="module")
def done(client):
    return client.run(task("echo text", "exit 3", name="n", tags={"a": "b"}, resources={"cpu_cores": 1},
                           inputs=[{"path": "/in", "content": "x"}]), "EXECUTOR_ERROR")["id"]


@pytest.mark.parametrize(
    ("method", "path", "described", "options"),
    [
        ("GET", "/service-info", "/service-info", {}),
        ("GET", "/tasks?view=FULL", "/tasks", {}),
        ("GET", "/tasks?view=BASIC", "/tasks", {}),
        ("GET", "/tasks", "/tasks", {}),
        ("GET", "/tasks/{id}", "/tasks/{id}", {}),
        ("GET", "/tasks/{id}?view=FULL", "/tasks/{id}", {}),
        ("POST", "/tasks/{id}:cancel", "/tasks/{id}:cancel", {}),
        ("POST", "/tasks", "/tasks", {"json": task(run("true"), resources={"cpu_cores": 100_000})}),
        ("POST", "/tasks", "/tasks", {"json": {"executors": []}}),
        ("POST", "/tasks", "/tasks", {"data": "x", "headers": {"Content-Type": "text/plain"}}),
        ("GET", "/tasks/unknown", "/tasks/{id}", {}),
        ("GET", "/tasks?page_size=0", "/tasks", {}),
        ("POST", "/tasks/unknown:cancel", "/tasks/{id}:cancel", {}),
    ],
    ids=str,
)
def test_the_answer_has_its_described_shape(client, description, done, method, path, described, options):
    answer = client.request(method, path.format(id=done), **options)
    schema = schema_of(description, documented(description, described, method.lower(), answer.status_code))
    jsonschema.Draft4Validator(schema).validate(answer.json())


# --- Where it lies --------------------------------------------------------------------------------

BEYOND = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/openapi.yaml", "/events"]


@pytest.mark.parametrize("base", ["/ga4gh/tes/v1", "/v1"])
@pytest.mark.parametrize("path", BEYOND)
def test_beyond_the_specification_is_not_under_its_bases(client, base, path):
    answer = get(client, base + path)
    assert (answer.status_code, answer.json()["status"]) == (404, 404)


@pytest.mark.parametrize("path", BEYOND)
def test_beyond_the_specification_only_reads(client, path):
    answer = client.request("POST", client.url + path)
    assert (answer.status_code, "GET" in answer.headers["Allow"]) == (405, True)


@pytest.mark.parametrize("path", BEYOND)
def test_beyond_the_specification_answers_head(client, path):
    answer = client.request("HEAD", client.url + path)
    assert (answer.status_code, answer.content) == (200, b"")


# --- Health ---------------------------------------------------------------------------------------

def test_healthz_and_readyz_say_ok(client):
    found = [get(client, path) for path in ("/healthz", "/readyz")]
    assert [(x.status_code, x.json()) for x in found] == [(200, {"status": "ok"})] * 2


@pytest.fixture
def behind_proxies(servers, cluster, engine, scratch):
    """A server whose way to its database and to its engine the test can break."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    cluster.create(name)
    with proxy(("127.0.0.1", cluster.port)) as database, \
            proxy(engine.socket, f"/tmp/poiesis-proxy-{uuid.uuid4().hex[:8]}") as socket:
        server = servers(start=False, arguments=["--database", cluster.url(name, database.port)])
        server.arguments[server.arguments.index("--engine") + 1] = f"unix://{socket.path}"
        server.start()
        try:
            yield server, database, socket
        finally:
            database.mend()
            socket.mend()
            wait_until(lambda: get(server.client, "/readyz").status_code == 200, "the server is ready again")
            server.stop()


def readiness(server):
    start = time.monotonic()
    answer = get(server.client, "/readyz")
    return answer, time.monotonic() - start


def unready(server):
    """The first answer that is not 200. (One of requests' answers is false when it is an error: hence the list.)"""
    def found():
        answer, _ = readiness(server)
        return [answer] if answer.status_code != 200 else None
    return wait_until(found, "an answer that is not 200")[0]


def test_readyz_is_503_while_the_database_is_away(behind_proxies):
    server, database, _ = behind_proxies
    database.break_off()
    answer = unready(server)
    body = answer.json()
    assert (answer.status_code, body["status"], len(body["database"]) > 5) == (503, "unavailable", True)


def test_readyz_is_503_while_the_engine_is_away(behind_proxies):
    server, _, socket = behind_proxies
    socket.break_off()
    answer = unready(server)
    body = answer.json()
    assert (answer.status_code, body["status"], len(body["engine"]) > 5, "database" in body) == (
        503, "unavailable", True, False)


@pytest.mark.parametrize("which", [1, 2], ids=["database", "engine"])
@pytest.mark.parametrize("how", ["break_off", "freeze"])
def test_readyz_does_not_wait_for_what_is_away(behind_proxies, which, how):
    # Whoever asks gives up at last, and never sees the reason of a later answer: the server's own limit is 5 s.
    server = behind_proxies[0]
    getattr(behind_proxies[which], how)()
    time.sleep(0.5)
    found = [readiness(server) for _ in range(3)]
    assert {answer.status_code for answer, _ in found} == {503}
    assert min(seconds for _, seconds in found) < 7, found


@pytest.mark.parametrize("which", [1, 2], ids=["database", "engine"])
def test_healthz_stays_200_meanwhile(behind_proxies, which):
    behind_proxies[which].break_off()
    time.sleep(0.5)

    def seconds():
        start = time.monotonic()
        assert get(behind_proxies[0].client, "/healthz").status_code == 200
        return time.monotonic() - start

    assert min(seconds() for _ in range(5)) < 1


@pytest.mark.parametrize("which", [1, 2], ids=["database", "engine"])
def test_readyz_is_200_again_afterwards(behind_proxies, which):
    server, away = behind_proxies[0], behind_proxies[which]
    away.break_off()
    unready(server)
    away.mend()
    assert wait_until(lambda: readiness(server)[0].status_code == 200, "a 200")


def test_the_reason_holds_no_password(servers, cluster):
    name = f"test_{uuid.uuid4().hex[:12]}"
    cluster.create(name)
    with proxy(("127.0.0.1", cluster.port)) as database:
        url = cluster.url(name, database.port).replace("tester@", "tester:hush-hush@")
        server = servers(arguments=["--database", url])
        database.break_off()
        answer = unready(server)
        database.mend()
        wait_until(lambda: server.client.request("GET", "/tasks").status_code == 200, "the database is back")
        server.stop()
    assert "hush-hush" not in answer.text
