"""The row "compression, caching, repeats" of the table HTTP, without its repeats: gzip, ETag, CORS, request ids."""

import gzip
import json
import re
import time
import urllib.parse
import uuid
import zlib

import pytest

from harness.client import Client, run, sh, task
from harness.memory import others_are_served
from harness.own_server import own_server
from harness.processes import wait_until

MIB = 1 << 20
UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"
PORTAL = "https://portal.example"
LIMIT = 16 * MIB
"""What a body may have by default."""


def impossible(**fields):
    """A task that ends at once and starts no container: its documents have the same length whenever they are made."""
    return task(run("true"), resources={"cpu_cores": 100_000}, **fields)


@pytest.fixture(scope="module")
def mark():
    return uuid.uuid4().hex


@pytest.fixture(scope="module")
def big(client, mark):
    """A task whose answers have far more than 1,024 bytes."""
    return client.run(impossible(description="words " * 2000, tags={"mark": mark}), "SYSTEM_ERROR")["id"]


@pytest.fixture(scope="module")
def small(client):
    return client.run(impossible(), "SYSTEM_ERROR")["id"]


def fetch(client, path, accepted, method="GET", **options):
    headers = {"Accept-Encoding": accepted, **options.pop("headers", {})}
    return client.request(method, path, headers=headers, **options)


def vary(answer):
    return {x.strip().lower() for x in answer.headers.get("Vary", "").split(",")}


# --- Answers as gzip ------------------------------------------------------------------------------

@pytest.mark.parametrize(
    "accepted",
    [
        "gzip",
        "GZIP",
        "gzip;q=0.001",
        "gzip; q=1.0",
        "deflate, gzip",
        "br;q=1, gzip;q=0.2",
        "*",
        "identity;q=0.5, *;q=1",
        "gzip, deflate, br, zstd",
    ],
)
def test_a_client_that_takes_gzip_gets_gzip(client, big, accepted):
    assert fetch(client, f"/tasks/{big}?view=FULL", accepted).headers.get("Content-Encoding") == "gzip"


@pytest.mark.parametrize("accepted", [None, "", "identity", "br", "deflate", "gzip;q=0", "gzip; q=0.000", "*;q=0",
                                      "gzip;q=0, *", "notgzip", "identity;q=1, *;q=0"])
def test_a_client_that_does_not_take_gzip_gets_plain_bytes(client, big, accepted):
    answer = fetch(client, f"/tasks/{big}?view=FULL", accepted)
    assert (answer.headers.get("Content-Encoding"), answer.json()["id"]) == (None, big)


@pytest.mark.parametrize("path", ["/tasks/{id}?view=FULL", "/tasks?view=FULL&tag_key=mark&tag_value={mark}"])
def test_what_comes_as_gzip_is_what_comes_plain(client, big, mark, path):
    path = path.format(id=big, mark=mark)
    assert fetch(client, path, "gzip").content == fetch(client, path, "identity").content


def test_gzip_is_smaller_on_the_wire(client, big):
    answer = fetch(client, f"/tasks/{big}?view=FULL", "gzip", stream=True)
    sent = answer.raw.read(decode_content=False)
    assert sent[:2] == b"\x1f\x8b" and len(sent) < len(gzip.decompress(sent)) / 5


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
def test_caches_are_told_that_the_encoding_varies(client, big, accepted):
    # On the plain answer too: a cache that stored it must not give it to everybody (RFC 9110, 12.5.5).
    assert "accept-encoding" in vary(fetch(client, f"/tasks/{big}?view=FULL", accepted))


@pytest.mark.parametrize(("size", "encoding"), [(1023, None), (1024, "gzip")])
def test_gzip_begins_at_1024_bytes(client, size, encoding):
    def made(length):
        created = client.run(impossible(name="x" * length), "SYSTEM_ERROR")["id"]
        return created, len(fetch(client, f"/tasks/{created}?view=BASIC", "identity").content)

    created, got = made(size - made(1)[1] + 1)
    answer = fetch(client, f"/tasks/{created}?view=BASIC", "gzip")
    assert (got, answer.headers.get("Content-Encoding")) == (size, encoding)


def test_a_large_error_comes_as_gzip_too(client):
    answer = client.post({"executors": [{"image": "", "command": []}] * 100}, headers={"Accept-Encoding": "gzip"})
    assert (answer.status_code, answer.headers.get("Content-Encoding"), len(answer.json()["errors"])) == (
        400, "gzip", 200)


def test_a_large_list_in_chunks_comes_as_gzip(client):
    mark = uuid.uuid4().hex
    created = [client.create(impossible(description=f"{number} " + uuid.uuid4().hex * 300, tags={"mark": mark}))
               for number in range(60)]
    answer = fetch(client, f"/tasks?view=FULL&tag_key=mark&tag_value={mark}", "gzip")
    assert ("accept-encoding" in vary(answer), answer.headers.get("Content-Encoding")) == (True, "gzip")
    assert [x["id"] for x in answer.json()["tasks"]] == created[::-1]


def test_head_of_a_large_answer_has_no_body_and_keeps_the_connection(client, big):
    heads = [fetch(client, f"/tasks/{big}?view=FULL", "gzip", "HEAD") for _ in range(2)]
    assert [(x.status_code, x.content) for x in heads] == [(200, b"")] * 2
    assert fetch(client, f"/tasks/{big}?view=FULL", "gzip").json()["id"] == big


# --- Requests as gzip -----------------------------------------------------------------------------

def send(client, body, encoding="gzip", **headers):
    return client.request("POST", "/tasks", data=body,
                          headers={"Content-Type": "application/json", "Content-Encoding": encoding, **headers})


def padded(size):
    """A valid task of exactly so many bytes, most of them white space."""
    text = json.dumps(impossible(name="padded"))
    return (" " * (size - len(text)) + text).encode()


def is_error(answer, status):
    body = answer.json()
    return answer.status_code == status and body["status"] == status and len(body["message"]) > 5


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "gzip "])
def test_a_task_sent_as_gzip_is_stored(client, encoding):
    answer = send(client, gzip.compress(json.dumps(impossible(name="zipped ü")).encode()), encoding)
    assert client.get(answer.json()["id"])["name"] == "zipped ü"


def test_a_task_sent_as_gzip_in_chunks_is_stored(client):
    whole = gzip.compress(json.dumps(impossible(name="chunked")).encode())
    answer = send(client, (whole[x:x + 7] for x in range(0, len(whole), 7)))
    assert client.get(answer.json()["id"])["name"] == "chunked"


def test_identity_is_no_encoding(client):
    assert send(client, json.dumps(impossible()), "identity").status_code == 200


WHOLE = gzip.compress(json.dumps(impossible()).encode())
DAMAGED = {
    "no gzip": json.dumps(impossible()).encode(),
    "zlib": zlib.compress(json.dumps(impossible()).encode()),
    "nothing": b"",
    "header alone": WHOLE[:10],
    "cut off": WHOLE[:-20],
    "without its length": WHOLE[:-4],
    "wrong checksum": WHOLE[:-8] + b"\0\0\0\0" + WHOLE[-4:],
    "wrong length": WHOLE[:-4] + b"\xff\0\0\0",
    "changed inside": WHOLE[:20] + bytes([WHOLE[20] ^ 0xFF]) + WHOLE[21:],
    "more behind it": WHOLE + b"garbage",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_gzip_is_400(client, damage):
    assert is_error(send(client, DAMAGED[damage]), 400)


def test_gzip_of_two_members_is_never_cut_short(client):
    # A gzip file is a series of members (RFC 1952, 2.2): all of it counts, or none.
    text = json.dumps(impossible(name="two members")).encode()
    answer = send(client, gzip.compress(text[:40]) + gzip.compress(text[40:]))
    assert answer.status_code == 400 or client.get(answer.json()["id"])["name"] == "two members"


def test_gzip_of_malformed_json_is_400(client):
    assert is_error(send(client, gzip.compress(b"{,}")), 400)


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "compress", "gzip, gzip", "gzip, br", "nonsense"])
def test_another_encoding_is_415(client, encoding):
    assert is_error(send(client, WHOLE, encoding), 415)


def test_a_body_of_exactly_the_limit_is_inflated(client):
    assert send(client, gzip.compress(padded(LIMIT))).status_code == 200


@pytest.mark.parametrize("size", [LIMIT + 1, 2 * LIMIT])
def test_the_limit_counts_inflated_bytes(client, size):
    assert is_error(send(client, gzip.compress(padded(size))), 413)


def test_a_gzip_bomb_is_413_and_takes_no_memory(server, client):
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(compressor.compress(b" " * MIB) for _ in range(2000)) + compressor.flush()
    with others_are_served(server, megabytes=120):
        answers = [send(client, bomb) for _ in range(4)]
    assert all(is_error(x, 413) for x in answers)


def test_cancel_takes_a_body_as_gzip(client, big):
    answer = client.request("POST", f"/tasks/{big}:cancel", data=gzip.compress(b"{}"),
                            headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()) == (200, {})


# --- ETag -----------------------------------------------------------------------------------------

def etag(client, task_id, view="FULL"):
    return client.request("GET", f"/tasks/{task_id}", params={"view": view}).headers["ETag"]


def conditional(client, task_id, value, view="FULL", method="GET"):
    return client.request(method, f"/tasks/{task_id}", params={"view": view}, headers={"If-None-Match": value})


@pytest.mark.parametrize("view", ["MINIMAL", "BASIC", "FULL"])
def test_a_task_has_a_weak_etag(client, big, view):
    assert re.fullmatch(r'W/"[\x21\x23-\x7e]+"', etag(client, big, view))


def test_the_etag_stays_while_nothing_changes(client, big):
    assert etag(client, big) == etag(client, big)


def test_each_view_has_its_own_etag(client, big):
    assert len({etag(client, big, view) for view in ("MINIMAL", "BASIC", "FULL")}) == 3


def test_each_task_has_its_own_etag(client, big, small):
    assert etag(client, big, "MINIMAL") != etag(client, small, "MINIMAL")


@pytest.mark.parametrize("form", ["{0}", "{1}", "*", '"a", {0}', '{0}, "a"', 'W/"a",{1},W/"b"', "{0} ", '"a,b" ,\t{0}'])
@pytest.mark.parametrize("view", ["MINIMAL", "FULL"])
def test_what_the_client_has_is_304(client, big, form, view):
    # The second form is the strong one: If-None-Match compares weakly (RFC 9110, 13.1.2).
    weak = etag(client, big, view)
    assert conditional(client, big, form.format(weak, weak.removeprefix("W/")), view).status_code == 304


@pytest.mark.parametrize("form", ['"other"', 'W/"other"', "{bare}", '"x{bare}"', 'W/"{bare}', "", '"*"'])
def test_what_the_client_does_not_have_is_sent(client, big, form):
    bare = etag(client, big).removeprefix('W/"').removesuffix('"')
    answer = conditional(client, big, form.format(bare=bare))
    assert (answer.status_code, answer.json()["id"]) == (200, big)


def test_304_has_no_body_and_names_the_etag(client, big):
    answer = conditional(client, big, "*")
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag(client, big))
    assert answer.headers.get("Content-Length", "0") == "0" and "Transfer-Encoding" not in answer.headers


def test_304_keeps_the_connection(client, big):
    assert [conditional(client, big, "*").status_code for _ in range(3)] == [304] * 3


def test_head_is_conditional_too(client, big):
    assert conditional(client, big, etag(client, big), method="HEAD").status_code == 304


def test_another_view_is_no_match(client, big):
    assert conditional(client, big, etag(client, big, "BASIC"), "FULL").status_code == 200


def test_the_match_holds_for_gzip_and_plain_alike(client, big):
    tagged = fetch(client, f"/tasks/{big}?view=FULL", "gzip").headers["ETag"]
    answer = fetch(client, f"/tasks/{big}?view=FULL", "identity", headers={"If-None-Match": tagged})
    assert answer.status_code == 304


@pytest.mark.parametrize("value", ["*", '"x"'])
def test_an_unknown_task_is_404_whatever_the_client_has(client, value):
    assert is_error(conditional(client, UNKNOWN_ID, value), 404)


def test_a_bad_view_is_400_whatever_the_client_has(client, big):
    assert is_error(conditional(client, big, "*", "SOME"), 400)


@pytest.mark.parametrize("view", ["MINIMAL", "BASIC", "FULL"])
def test_the_etag_changes_with_the_state(client, view):
    task_id = client.create(task("sleep 600"))
    client.wait(task_id, {"RUNNING"})
    before = etag(client, task_id, view)
    client.cancel(task_id)
    client.wait(task_id)
    assert conditional(client, task_id, before, view).json()["state"] == "CANCELED"


@pytest.mark.parametrize("view", ["BASIC", "FULL"])
def test_one_etag_stands_for_one_document(client, view):
    # Logs grow while the state stays RUNNING: whoever polls with If-None-Match must see each change.
    task_id = client.create(task("echo first; sleep 0.5", "echo second; sleep 0.5", "echo third"))
    seen = {}

    def is_over():
        answer = client.request("GET", f"/tasks/{task_id}", params={"view": view})
        seen.setdefault(answer.headers["ETag"], set()).add(answer.text)
        return answer.json()["state"] == "COMPLETE"

    wait_until(is_over, "the end of the task", every=0.02)
    assert len(seen) > 3 and all(len(texts) == 1 for texts in seen.values()), seen


# --- Pages of other origins -----------------------------------------------------------------------

@pytest.fixture(scope="module")
def portal(scratch, engine, containers_before):
    """A server that two origins may use."""
    with own_server(scratch, engine, containers_before, "test_api_encodings-portal",
                    env={"POIESIS_SERVER_CORS": f"{PORTAL},http://localhost:3000"}) as server:
        yield server.client


@pytest.fixture(scope="module")
def anybody(scratch, engine, containers_before):
    """A server that every page may use."""
    with own_server(scratch, engine, containers_before, "test_api_encodings-any",
                    env={"POIESIS_SERVER_CORS": "any"}) as server:
        yield server.client


def words(answer, name):
    return {x.strip().lower() for x in answer.headers.get(name, "").split(",")}


# As browsers send them: Sec-Fetch-Site goes with every request of a page of another site.
FROM_PORTAL = {"Origin": PORTAL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
REQUESTS = {
    "list": ("GET", "/tasks", {}, 200),
    "create": ("POST", "/tasks", {"json": impossible()}, 200),
    "refused": ("POST", "/tasks", {"json": {}}, 400),
    "unknown": ("GET", f"/tasks/{UNKNOWN_ID}", {}, 404),
    "wrong method": ("PUT", "/tasks", {}, 405),
    "wrong type": ("POST", "/tasks", {"data": "x", "headers": {"Content-Type": "text/plain"}}, 415),
    "nowhere": ("GET", "/nowhere", {}, 404),
}


def ask(client, case, headers):
    method, path, options, status = REQUESTS[case]
    answer = client.request(method, path, **{**options, "headers": {**options.get("headers", {}), **headers}})
    assert answer.status_code == status, answer.text
    return answer


@pytest.mark.parametrize("case", REQUESTS)
def test_a_listed_origin_may_read_every_answer(portal, case):
    answer = ask(portal, case, FROM_PORTAL)
    assert (answer.headers["Access-Control-Allow-Origin"], "origin" in vary(answer)) == (PORTAL, True)


@pytest.mark.parametrize("case", REQUESTS)
def test_any_origin_may_read_every_answer(anybody, case):
    answer = ask(anybody, case, {**FROM_PORTAL, "Origin": "https://elsewhere.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_with_any_a_page_without_an_origin_of_its_own_may_read(anybody):
    answer = ask(anybody, "list", {"Origin": "null", "Sec-Fetch-Site": "cross-site"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_every_listed_origin_is_allowed(portal):
    answer = ask(portal, "list", {"Origin": "http://localhost:3000"})
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


def test_the_own_origin_needs_no_list(portal):
    assert ask(portal, "create", {"Origin": portal.url, "Sec-Fetch-Site": "same-origin"})


def test_a_client_without_an_origin_needs_no_list(portal):
    assert "Access-Control-Allow-Origin" not in ask(portal, "create", {}).headers


@pytest.mark.parametrize("header", ["etag", "x-request-id"])
@pytest.mark.parametrize("which", ["portal", "anybody"])
def test_a_page_may_read_these_headers(request, which, header):
    assert header in words(ask(request.getfixturevalue(which), "list", FROM_PORTAL), "Access-Control-Expose-Headers")


def test_304_may_be_read_by_a_page(portal):
    task_id = portal.run(impossible(), "SYSTEM_ERROR")["id"]
    answer = portal.request("GET", f"/tasks/{task_id}", headers={**FROM_PORTAL, "If-None-Match": "*"})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (304, PORTAL)


def test_vary_names_origin_and_encoding(portal):
    task_id = portal.run(impossible(description="x" * 2000), "SYSTEM_ERROR")["id"]
    answer = fetch(portal, f"/tasks/{task_id}?view=FULL", "gzip", headers=FROM_PORTAL)
    assert {"origin", "accept-encoding"} <= vary(answer)


def test_a_page_may_follow_events(portal):
    answer = portal.request("GET", portal.url + "/events", headers=FROM_PORTAL, stream=True)
    answer.close()
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, PORTAL)


def test_no_credentials_are_invited_from_any_origin(anybody):
    # Browsers refuse `*` together with credentials (WHATWG Fetch, 3.3.5).
    assert "Access-Control-Allow-Credentials" not in ask(anybody, "list", FROM_PORTAL).headers


PREFLIGHT = {**FROM_PORTAL, "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "content-type,idempotency-key"}


@pytest.mark.parametrize("path", ["/tasks", f"/tasks/{UNKNOWN_ID}", f"/tasks/{UNKNOWN_ID}:cancel", "/service-info"])
@pytest.mark.parametrize("which", ["portal", "anybody"])
def test_a_preflight_is_204(request, which, path):
    answer = request.getfixturevalue(which).request("OPTIONS", path, headers=PREFLIGHT)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(("which", "origin"), [("portal", PORTAL), ("anybody", "*")])
def test_a_preflight_names_the_origin(request, which, origin):
    answer = request.getfixturevalue(which).request("OPTIONS", "/tasks", headers=PREFLIGHT)
    assert answer.headers["Access-Control-Allow-Origin"] == origin


def test_a_preflight_names_the_methods(portal):
    answer = portal.request("OPTIONS", "/tasks", headers=PREFLIGHT)
    assert {"get", "post"} <= words(answer, "Access-Control-Allow-Methods")


@pytest.mark.parametrize("header", ["content-type", "idempotency-key", "if-none-match", "authorization"])
def test_a_preflight_allows_the_header(portal, header):
    assert header in words(portal.request("OPTIONS", "/tasks", headers=PREFLIGHT), "Access-Control-Allow-Headers")


def test_a_preflight_holds_for_a_while(portal):
    assert int(portal.request("OPTIONS", "/tasks", headers=PREFLIGHT).headers["Access-Control-Max-Age"]) >= 60


def test_a_preflight_with_credentials_in_it_needs_none(portal):
    answer = portal.request(
        "OPTIONS", "/tasks", headers={**PREFLIGHT, "Access-Control-Request-Headers": "authorization"}
    )
    assert answer.status_code == 204


def test_options_without_a_preflight_still_names_the_methods(portal):
    assert "POST" in portal.request("OPTIONS", "/tasks", headers=FROM_PORTAL).headers["Allow"]


LOOKALIKES = [
    "https://other.example",
    "http://portal.example",
    "https://portal.example:8443",
    "https://portal.example.evil",
    "https://evil-portal.example",
    "https://sub.portal.example",
    "https://portal.exampl",
    "null",
    "https://portal.example/",
    "https://portal.example,http://localhost:3000",
    "http://localhost:3001",
]


@pytest.mark.parametrize("origin", LOOKALIKES)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_an_origin_that_is_not_listed_is_refused(portal, origin, method):
    headers = {**PREFLIGHT, "Origin": origin}
    answer = portal.request(method, "/tasks", headers=headers, **({"json": impossible()} if method == "POST" else {}))
    assert (answer.status_code, answer.headers.get("Access-Control-Allow-Origin")) == (403, None)


def test_an_origin_that_is_not_listed_runs_nothing(portal):
    portal.post(impossible(name="from afar"), headers={"Origin": "https://other.example"})
    assert portal.list(name_prefix="from afar")["tasks"] == []


def test_without_the_setting_a_preflight_is_refused(client):
    answer = client.request("OPTIONS", "/tasks", headers=PREFLIGHT)
    assert (answer.status_code, answer.headers.get("Access-Control-Allow-Origin")) == (403, None)


@pytest.mark.parametrize(("text", "allowed"), [("any", "*"), (f"[{PORTAL}, 'http://localhost:3000']", PORTAL)])
def test_origins_come_from_the_configuration_file(servers, tmp_path, text, allowed):
    path = tmp_path / "configuration.yaml"
    path.write_text(f"server:\n  cors: {text}\n")
    client = servers(arguments=["--config", str(path)]).client
    assert ask(client, "list", FROM_PORTAL).headers["Access-Control-Allow-Origin"] == allowed


# --- Request ids ----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def talking(scratch, engine, containers_before):
    """A server that logs every request, as JSON."""
    with own_server(scratch, engine, containers_before, "test_api_encodings-log",
                    env={"POIESIS_LOG_LEVEL": "debug", "POIESIS_LOG_FORMAT": "json"}) as server:
        yield server


def logged(server, request_id):
    """Every line about the request."""
    lines = []
    for line in server.log_text().splitlines():
        try:
            fields = json.loads(line)
        except ValueError:
            continue  # half a line, still being written
        if fields.get("request_id") == request_id:
            lines.append(fields)
    return lines


def named(client, request_id, method="GET", path="/service-info", **options):
    headers = {"X-Request-Id": request_id, **options.pop("headers", {})}
    return client.request(method, path, headers=headers, **options)


@pytest.mark.parametrize(
    "request_id", ["a", "x" * 128, "!~\"'\\<>{}", "01890000-0000-7000-8000-000000000000", "%0a%0d"]
)
def test_a_request_id_is_echoed(client, request_id):
    assert named(client, request_id).headers["X-Request-Id"] == request_id


@pytest.mark.parametrize("request_id", ["", "x" * 129, "a b", "a\tb", "ü".encode(), "日本".encode(), "x" * 4000, b"\x80"])
def test_what_is_no_request_id_is_replaced(client, request_id):
    given = named(client, request_id).headers["X-Request-Id"]
    assert given != request_id and re.fullmatch(r"[\x21-\x7e]{1,128}", given)


def test_each_request_gets_an_id_of_its_own(client):
    assert len({client.request("GET", "/service-info").headers["X-Request-Id"] for _ in range(20)}) == 20


@pytest.mark.parametrize(("method", "path", "options", "status"), [
    ("GET", "/tasks", {}, 200), ("HEAD", "/tasks", {}, 200), ("OPTIONS", "/tasks", {}, 204),
    ("POST", "/tasks", {"json": {}}, 400), ("POST", "/tasks", {"data": "x"}, 400),
    ("GET", "/tasks", {"headers": {"Origin": "https://evil.example"}}, 403),
    ("GET", "/tasks", {"headers": {"Host": "evil.example"}}, 403),
    ("GET", f"/tasks/{UNKNOWN_ID}", {}, 404), ("GET", "/nowhere/at/all", {}, 404), ("PUT", "/tasks", {}, 405),
    ("POST", "/tasks", {"data": b" " * (LIMIT + 1)}, 413),
    ("POST", "/tasks", {"data": "x", "headers": {"Content-Type": "text/plain"}}, 415),
    ("POST", "/tasks", {"data": "x", "headers": {"Content-Encoding": "br"}}, 415),
], ids=str)
def test_every_answer_has_its_request_id(client, method, path, options, status):
    answer = named(client, "mine", method, path, **options)
    assert (answer.status_code, answer.headers.get("X-Request-Id")) == (status, "mine")


def test_304_has_its_request_id(client, big):
    assert conditional(client, big, "*").headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/openapi.yaml"])
def test_what_lies_beyond_the_specification_has_request_ids(client, path):
    assert named(client, "beyond", path=client.url + path).headers["X-Request-Id"] == "beyond"


@pytest.mark.parametrize(("method", "path", "options", "status"), [
    ("GET", "/service-info", {}, 200), ("GET", f"/tasks/{UNKNOWN_ID}", {}, 404), ("POST", "/tasks", {"json": {}}, 400),
    ("PUT", "/tasks", {}, 405), ("GET", "/tasks", {"headers": {"Origin": "https://evil.example"}}, 403),
], ids=str)
def test_a_request_is_logged_with_what_it_was(talking, method, path, options, status):
    request_id = uuid.uuid4().hex
    named(talking.client, request_id, method, path, **options)
    [line] = wait_until(lambda: [x for x in logged(talking, request_id) if "status" in x], "its line in the log")
    assert (line["method"], line["path"], str(line["status"])) == (method, talking.client.base + path, str(status))


def test_a_request_is_logged_by_the_id_that_it_was_given(talking):
    given = talking.client.request("GET", "/service-info").headers["X-Request-Id"]
    assert wait_until(lambda: logged(talking, given), "its line in the log")


def test_an_odd_request_id_does_not_break_the_log(talking):
    named(talking.client, '"}\\n{\'<%')
    assert wait_until(lambda: logged(talking, '"}\\n{\'<%'), "its line in the log")


def test_a_query_with_secrets_of_the_body_is_not_logged(talking):
    talking.client.create(task(sh("true", env={"TOKEN": "hush-hush"}), inputs=[{"path": "/in", "content": "hush-hush"}],
                               resources={"cpu_cores": 100_000}))
    time.sleep(0.5)
    assert "hush-hush" not in talking.log_text()


@pytest.mark.slow
def test_a_failure_is_logged_with_its_request_id(servers, cluster):
    name = f"test_{uuid.uuid4().hex[:12]}"
    server = servers(arguments=["--database", cluster.create(name)], env={"POIESIS_LOG_FORMAT": "json"})
    request_id = uuid.uuid4().hex
    cluster.stop()
    try:
        assert named(server.client, request_id, path="/tasks").status_code == 503
    finally:
        cluster.start()
    assert any(x["level"] in ("error", "warning") for x in logged(server, request_id))


def test_every_base_echoes_request_ids(server):
    host = urllib.parse.urlsplit(server.url).netloc
    answers = [named(Client(f"http://{host}", base), "mine") for base in ("/ga4gh/tes/v1", "/v1", "")]
    assert [x.headers["X-Request-Id"] for x in answers] == ["mine"] * 3
