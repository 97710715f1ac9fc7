"""The table HTTP of the API's behaviour: paths, methods, statuses, credentials, service-info, foreign origins."""

import base64
import json
import select
import socket
import time
import urllib.parse

import pytest

from harness.client import Client, sh, task

pytestmark = pytest.mark.usefixtures("nothing_starts")

BASES = ["/ga4gh/tes/v1", "/v1", ""]
UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"


def is_error(answer, status):
    """Every error has the right status, in the answer and in its JSON body, with words."""
    body = answer.json()
    return answer.status_code == status and body["status"] == status and len(body["message"]) > 5


@pytest.fixture(scope="module")
def queued(client, nothing_starts):
    return client.create(task("true", name="queued", tags={"of": "test_api_http"}))


# --- Bases ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("base", BASES)
def test_create_works_on_every_base(server, base):
    assert Client(server.url, base).post(task("true")).status_code == 200


@pytest.mark.parametrize("base", BASES)
def test_get_works_on_every_base(server, base, queued):
    assert Client(server.url, base).get(queued, "MINIMAL") == {"id": queued, "state": "QUEUED"}


@pytest.mark.parametrize("base", BASES)
def test_list_works_on_every_base(server, base, queued):
    tasks = Client(server.url, base).list(tag_key="of", tag_value="test_api_http")["tasks"]
    assert [x["id"] for x in tasks] == [queued]


@pytest.mark.parametrize("base", BASES)
def test_cancel_works_on_every_base(server, client, base):
    task_id = client.create(task("true"))
    Client(server.url, base).cancel(task_id)
    assert client.wait(task_id)["state"] == "CANCELED"


@pytest.mark.parametrize("base", BASES)
def test_service_info_works_on_every_base(server, base):
    assert Client(server.url, base).request("GET", "/service-info").json()["type"]["artifact"] == "tes"


@pytest.mark.parametrize("path", ["/tasks", "/tasks/{id}", "/service-info"])
def test_a_trailing_slash_is_accepted(client, path, queued):
    assert client.request("GET", path.format(id=queued) + "/").status_code == 200


@pytest.mark.parametrize("path", ["/ga4gh/tes/v2/tasks", "/ga4gh/tes/tasks", "/v1/nothing", "/nothing", "/v1/tasks/a/b",
                                  "/ga4gh/tes/v1/healthz"])
def test_any_other_path_is_404_with_the_error_body(server, client, path):
    assert is_error(client.request("GET", server.url + path), 404)


def test_old_service_info_has_the_old_shape(server, client):
    body = client.request("GET", server.url + "/v1/tasks/service-info").json()
    assert {key: type(value) for key, value in body.items()} == {"name": str, "doc": str, "storage": list}


def test_healthz_says_that_the_server_is_well(server, client):
    assert client.request("GET", server.url + "/healthz").status_code == 200


# --- Cancel ---------------------------------------------------------------------------------------

CANCEL_BODIES = [
    ({}, b""),
    ({"Content-Type": "application/json"}, b"{}"),
    ({"Content-Type": "text/plain"}, b""),
    ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=b"),
]


@pytest.mark.parametrize("suffix", [":cancel", "%3Acancel", "%3acancel", ":cancel/"])
def test_cancel_is_known_by_every_spelling_of_its_path(client, suffix):
    task_id = client.create(task("true"))
    answer = client.request("POST", f"/tasks/{task_id}{suffix}")
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize(("headers", "body"), CANCEL_BODIES)
def test_cancel_does_not_mind_its_body(client, headers, body):
    task_id = client.create(task("true"))
    answer = client.request("POST", f"/tasks/{task_id}:cancel", headers=headers, data=body)
    assert (answer.status_code, answer.json()) == (200, {})


def test_delete_on_the_cancel_path_answers_the_id(client):
    task_id = client.create(task("true"))
    answer = client.request("DELETE", f"/tasks/{task_id}:cancel")
    assert (answer.status_code, answer.json()) == (200, {"id": task_id})


def test_delete_on_the_cancel_path_cancels(client):
    task_id = client.create(task("true"))
    client.request("DELETE", f"/tasks/{task_id}:cancel")
    assert client.wait(task_id)["state"] == "CANCELED"


def test_cancel_of_an_ended_task_changes_nothing(client):
    task_id = client.create(task("true"))
    client.cancel(task_id)
    ended = client.wait(task_id)
    assert client.cancel(task_id) == {}
    assert client.get(task_id) == ended


@pytest.mark.parametrize("task_id", [UNKNOWN_ID, "no-id-at-all", "%00", "x" * 300])
@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("POST", ":cancel"), ("DELETE", ":cancel")])
def test_an_unknown_id_is_404(client, method, suffix, task_id):
    assert is_error(client.request(method, f"/tasks/{task_id}{suffix}"), 404)


# --- Statuses -------------------------------------------------------------------------------------

@pytest.mark.parametrize(("method", "path"), [("PUT", "/tasks"), ("DELETE", "/tasks"), ("PATCH", "/tasks/{id}"),
                                              ("POST", "/service-info"), ("GET", "/tasks/{id}:cancel")])
def test_a_wrong_method_is_405(client, method, path, queued):
    assert is_error(client.request(method, path.format(id=queued)), 405)


@pytest.mark.parametrize(("path", "methods"), [("/tasks", {"GET", "POST"}), ("/tasks/{id}", {"GET"}),
                                               ("/service-info", {"GET"}), ("/tasks/{id}:cancel", {"POST"})])
def test_405_names_the_methods_that_are_allowed(client, path, methods, queued):
    answer = client.request("PUT", path.format(id=queued))
    assert methods <= {x.strip() for x in answer.headers["Allow"].split(",")}


def test_a_body_over_the_limit_is_413(server):
    assert status_of_a_huge_body(server.url, 256 << 20) == 413


def status_of_a_huge_body(url, size):
    """Sends until the server answers: a client that insists on sending everything may miss an early answer."""
    address = urllib.parse.urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(f"POST /v1/tasks HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
                           f"Content-Length: {size}\r\n\r\n".encode() + b'{"name":"')
        sent, chunk = 0, b"x" * (1 << 20)
        try:
            while sent < size and not select.select([connection], [], [], 0)[0]:
                sent += connection.send(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer may still lie in the buffer
        return int(connection.recv(64).split()[1])


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data; boundary=x"])
def test_a_foreign_content_type_is_415(client, content_type):
    body = json.dumps(task("true"))
    assert is_error(client.request("POST", "/tasks", data=body, headers={"Content-Type": content_type}), 415)


@pytest.mark.parametrize("content_type", [None, "application/json", "application/json; charset=utf-8",
                                          "Application/JSON"])
def test_json_and_no_content_type_are_accepted(client, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    assert client.request("POST", "/tasks", data=json.dumps(task("true")).encode(), headers=headers).status_code == 200


def test_an_accept_that_excludes_json_is_ignored(client, queued):
    answer = client.request("GET", f"/tasks/{queued}", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["id"]) == (200, queued)


@pytest.mark.parametrize("path", ["/tasks", "/tasks/{id}", "/service-info"])
def test_head_is_answered_without_a_body(client, path, queued):
    answer = client.request("HEAD", path.format(id=queued))
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(("path", "method"), [("/tasks", "POST"), ("/tasks/{id}", "GET"), ("/service-info", "GET")])
def test_options_names_the_methods(client, path, method, queued):
    answer = client.request("OPTIONS", path.format(id=queued))
    assert answer.ok and method in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/tasks", "/tasks/{id}", "/service-info"])
def test_answers_are_json(client, path, queued):
    assert client.request("GET", path.format(id=queued)).headers["Content-Type"].startswith("application/json")


def test_two_requests_use_one_connection(server, queued):
    # Clients that poll keep a connection open; a server that closes it makes each poll a new one.
    address = urllib.parse.urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        statuses = []
        for _ in range(2):
            connection.sendall(f"HEAD /v1/tasks/{queued} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += connection.recv(4096)
            statuses.append(answer.split()[1])
    assert statuses == [b"200", b"200"]


# --- Credentials, with authentication off ---------------------------------------------------------

@pytest.mark.parametrize("credentials", [
    "Basic " + base64.b64encode(b"None:None").decode(), "Basic None:None", "Bearer anything", "Bearer", "nonsense"])
def test_credentials_are_ignored(client, queued, credentials):
    assert client.request("GET", f"/tasks/{queued}", headers={"Authorization": credentials}).status_code == 200


# --- Service-info ---------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def info(client):
    return client.request("GET", "/service-info").json()


def test_service_info_names_its_type(info):
    assert info["type"] == {"group": "org.ga4gh", "artifact": "tes", "version": "1.1.0"}


def test_service_info_has_only_members_of_the_specification(info):
    assert set(info) <= {"id", "name", "type", "description", "organization", "contactUrl", "documentationUrl",
                         "createdAt", "updatedAt", "environment", "version", "storage",
                         "tesResources_backend_parameters"}


@pytest.mark.parametrize("member", ["id", "name", "type", "organization", "version", "storage"])
def test_service_info_has_what_the_specification_requires(info, member):
    assert info[member]


@pytest.mark.parametrize("member", ["name", "url"])
def test_service_info_describes_the_organization(info, member):
    assert info["organization"][member]


def test_service_info_has_no_null(info):
    assert None not in info.values()


def test_service_info_lists_the_file_roots_that_it_serves(server, info):
    assert any(x.startswith(f"file://{server.files}") for x in info["storage"])


@pytest.mark.parametrize("scheme", ["s3://", "http://", "https://", "file:///"])
def test_service_info_lists_each_scheme_that_it_serves(info, scheme):
    assert any(x.startswith(scheme) for x in info["storage"])


def test_service_info_does_not_change(client, info):
    time.sleep(1.1)  # a time that is made anew for each answer would differ by now
    assert client.request("GET", "/service-info").json() == info


# --- Foreign origins ------------------------------------------------------------------------------

FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "https://127.0.0.1.evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Host": "evil.example"},
    {"Host": "evil.example:8000"},
    {"Host": "127.0.0.1.evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_foreign_request_is_refused(client, headers):
    assert is_error(client.post(task("true"), headers=headers), 403)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_foreign_request_reads_nothing(client, headers):
    assert is_error(client.request("GET", "/tasks", headers=headers), 403)


def test_a_foreign_request_runs_nothing(client):
    client.post(task(sh("true"), name="from afar"), headers={"Origin": "http://evil.example"})
    assert client.list(name_prefix="from afar")["tasks"] == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "192.0.2.7", socket.gethostname()])
def test_a_known_host_is_accepted(server, client, host):
    port = urllib.parse.urlsplit(server.url).port
    assert client.request("GET", "/tasks", headers={"Host": f"{host}:{port}"}).status_code == 200


def test_our_own_origin_is_accepted(server, client):
    headers = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    assert client.post(task("true"), headers=headers).status_code == 200
