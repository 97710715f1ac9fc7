"""Clients that are slow, broken or malicious: memory stays bounded, others are served, nothing foreign runs.

And a database that restarts under load: reads wait it out, creates are stored or refused.
"""

import collections
import concurrent.futures
import contextlib
import json
import resource
import socket
import threading
import time
import uuid

import pytest
import requests

from harness.client import Client, run, task
from harness.events import EventStream
from harness.memory import descriptors, others_are_served
from harness.processes import wait_until
from harness.raw import all_answered, authority, connect, exchange, statuses

MIB = 1 << 20
LIMIT = 16 * MIB


def impossible(**fields):
    """A task that ends at once and starts no container."""
    return task(run("true"), resources={"cpu_cores": 100_000}, **fields)


def head(server, line="GET /v1/service-info HTTP/1.1", *fields):
    """A request's head, up to and with its empty line; for a server, or for the host of that name."""
    host = server if isinstance(server, str) else authority(server)
    return "\r\n".join([line, f"Host: {host}", *fields, "", ""]).encode("latin-1")


@contextlib.contextmanager
def connections(server, count, receive_buffer=None):
    """So many open connections."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            if receive_buffer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            connection.settimeout(60)
            host, port = authority(server).split(":")
            connection.connect((host, int(port)))
            made.append(connection)
        yield made


def answers(server, seconds=2.0):
    """Another client is answered within so long."""
    with contextlib.suppress(requests.RequestException):
        return requests.get(server.url + "/v1/service-info", timeout=seconds).status_code == 200
    return False


@pytest.fixture(autouse=True)
def every_connection_is_given_back(server):
    """What a hostile client leaves is closed at last; the next test begins with a server that has nothing to do."""
    wait_until(lambda: all(answers(server, 0.2) for _ in range(3)), "the server is quiet")
    before = descriptors(server.process.pid)
    yield
    wait_until(lambda: descriptors(server.process.pid) <= before + 8, "its connections are closed", every=0.2)


# --- Slow clients ---------------------------------------------------------------------------------

def test_heads_that_come_byte_by_byte_hold_up_nobody(server):
    data = head(server)
    with connections(server, 200) as slow, others_are_served(server):
        for position in range(0, 40):
            for connection in slow:
                connection.sendall(data[position:position + 1])
            time.sleep(0.02)
        for connection in slow:
            connection.sendall(data[40:])
        assert [statuses(all_answered(x, 0.05)) for x in slow] == [[200]] * 200


def test_bodies_that_come_byte_by_byte_hold_up_nobody(server):
    body = json.dumps(impossible(name="drop by drop")).encode()
    data = head(server, "POST /v1/tasks HTTP/1.1", f"Content-Length: {len(body)}")
    with connections(server, 100) as slow, others_are_served(server):
        for connection in slow:
            connection.sendall(data + body[:-20])
        for position in range(len(body) - 20, len(body)):
            for connection in slow:
                connection.sendall(body[position:position + 1])
            time.sleep(0.05)
        assert [statuses(all_answered(x, 0.05)) for x in slow] == [[200]] * 100


@pytest.fixture(scope="module")
def large_pages(client):
    """A filter whose FULL page has about 50 MB."""
    mark = uuid.uuid4().hex
    body = impossible(tags={"mark": mark}, inputs=[{"path": "/in", "content": "x" * 1_000_000}])
    for _ in range(50):
        client.create(body)
    wait_until(lambda: {x["state"] for x in client.all_tasks(tag_key="mark", tag_value=mark)} == {"SYSTEM_ERROR"},
               "all tasks have ended")
    return f"/v1/tasks?view=FULL&tag_key=mark&tag_value={mark}"


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_readers_that_do_not_read_take_no_memory(server, large_pages, encoding):
    # 20 pages of 50 MB: a server that builds a page before it sends it would need 1 GB.
    data = head(server, f"GET {large_pages} HTTP/1.1", f"Accept-Encoding: {encoding}")
    with connections(server, 20, receive_buffer=8192) as slow, others_are_served(server, megabytes=200):
        for connection in slow:
            connection.sendall(data)
        time.sleep(6)
        for connection in slow[:5]:
            assert connection.recv(16).startswith(b"HTTP/1.1 200")


def test_event_readers_that_do_not_read_take_no_memory(server, client):
    with contextlib.ExitStack() as stack, others_are_served(server):
        for _ in range(50):
            stream = stack.enter_context(EventStream(server.url, "0", receive_buffer=4096))
            assert stream.status == 200
        for _ in range(20):
            client.create(impossible(name="x" * 1000))
        time.sleep(2)


def test_a_client_that_pipelines_and_reads_nothing_takes_no_memory(server):
    data = head(server) * 500
    # Until its buffers are full, each of these is answered, which is work that others have to share.
    with connections(server, 4, receive_buffer=4096) as greedy, others_are_served(server):
        for connection in greedy:
            connection.setblocking(False)
        end = time.monotonic() + 4
        while time.monotonic() < end:
            for connection in greedy:
                with contextlib.suppress(OSError):
                    connection.send(data)
            time.sleep(0.05)


# --- Half requests --------------------------------------------------------------------------------

HALVES = {
    "nothing": b"", "half a line": b"GET /v1/ta", "half a head": b"GET /v1/tasks HTTP/1.1\r\nHost: 127",
    "no body": b"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n",
    "half a body": b"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{\"name\":",
    "half a chunk": b"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n{",
    "no last chunk": b"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
}


@pytest.mark.parametrize("how", ["stays", "closes", "resets", "closes its half"])
@pytest.mark.parametrize("half", HALVES)
def test_half_a_request_holds_up_nobody(server, half, how):
    with connections(server, 30) as open_ones, others_are_served(server):
        for connection in open_ones:
            connection.sendall(HALVES[half])
            if how == "closes":
                connection.close()
            elif how == "resets":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.close()
            elif how == "closes its half":
                connection.shutdown(socket.SHUT_WR)
        time.sleep(0.7)


def test_half_a_request_creates_nothing(server, client):
    body = json.dumps(impossible(name="half a request")).encode()
    for promised in (len(body) + 1, len(body) + 1000):
        with connect(server) as connection:
            connection.sendall(head(server, "POST /v1/tasks HTTP/1.1", f"Content-Length: {promised}") + body)
            connection.shutdown(socket.SHUT_WR)
            all_answered(connection)
    time.sleep(0.5)
    assert client.list(name_prefix="half a request")["tasks"] == []


# --- Idle connections -----------------------------------------------------------------------------

def idle_count():
    """Ten thousand where this process and the server may have so many, else two thousand."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 10_000 if hard >= 12_000 else 2_000


@pytest.fixture
def many_descriptors(server):
    """This process and the server may open what the machine lets them."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    servers_before = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, servers_before)


def in_parts(items, size=100):
    return [items[x:x + size] for x in range(0, len(items), size)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["silent", "kept alive"])
def test_idle_connections_hold_up_nobody(server, many_descriptors, kind):
    count = idle_count()
    # What one connection may cost: 24 KiB.
    with others_are_served(server, megabytes=50 + count * 24 // 1024):
        with connections(server, count) as idle:
            if kind == "kept alive":
                # A few at a time: idle connections are the matter here, not a burst of requests.
                for some in in_parts(idle):
                    for connection in some:
                        connection.sendall(head(server))
                    for connection in some:
                        assert connection.recv(16384).startswith(b"HTTP/1.1 200")
            wait_until(lambda: descriptors(server.process.pid) > count, "the server has taken all of them")
            time.sleep(1)
            # The last and the first still work.
            for connection in (idle[0], idle[-1]):
                connection.sendall(head(server))
                assert connection.recv(16).startswith(b"HTTP/1.1 200")
            for some in in_parts(idle):
                for connection in some:
                    connection.close()
                time.sleep(0.05)


@pytest.mark.slow
def test_a_server_out_of_descriptors_recovers(servers):
    server = servers()
    limit = descriptors(server.process.pid) + 40
    before = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with connections(server, 200):
        time.sleep(2)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, before)
    wait_until(lambda: server.process.poll() is None and answers(server), "it serves again")




# --- Large bodies ---------------------------------------------------------------------------------

def flood(server, data, chunks):
    """Sends until the server answers or closes; the statuses that it answered."""
    with connect(server) as connection:
        connection.setblocking(False)
        received, waiting, end = b"", data, time.monotonic() + 90
        while time.monotonic() < end:
            with contextlib.suppress(BlockingIOError):
                part = connection.recv(65536)
                received += part
                if not part or b"\r\n\r\n" in received:
                    break
            try:
                if not waiting:
                    waiting = next(chunks, b"")
                waiting = waiting[connection.send(waiting):] if waiting else b""
            except BlockingIOError:
                time.sleep(0.002)
            except ConnectionError:
                connection.setblocking(True)
                connection.settimeout(5)
                received += all_answered(connection)
                break
        return statuses(received)


def plain(count):
    return iter([b"x" * MIB] * count)


def chunked(count):
    return iter([b"100000\r\n" + b"x" * MIB + b"\r\n"] * count + [b"0\r\n\r\n"])


BODIES = {
    "with its length": (lambda: [f"Content-Length: {100 * MIB}"], plain),
    "in chunks": (lambda: ["Transfer-Encoding: chunked"], chunked),
    "with a length beyond all numbers": (lambda: [f"Content-Length: {1 << 62}"], plain),
}


@pytest.mark.parametrize("case", BODIES)
@pytest.mark.parametrize("line", ["POST /v1/tasks", "POST /v1/tasks/01890000-0000-7000-8000-000000000000:cancel",
                                  "GET /v1/tasks", "POST /nowhere"])
def test_a_body_of_100_mb_takes_no_memory(server, case, line):
    fields, chunks = BODIES[case]
    data = head(server, f"{line} HTTP/1.1", "Content-Type: application/json", *fields())
    with others_are_served(server, megabytes=120):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answered = [x.result() for x in [pool.submit(flood, server, data, chunks(100)) for _ in range(4)]]
    assert all(x and (x[0] < 500) for x in answered), answered


@pytest.mark.parametrize("case", BODIES)
def test_a_body_of_100_mb_is_413(server, case):
    fields, chunks = BODIES[case]
    data = head(server, "POST /v1/tasks HTTP/1.1", "Content-Type: application/json", *fields())
    assert flood(server, data, chunks(100)) == [413]


def test_who_asks_first_is_told_413_at_once(server):
    # curl asks with Expect for a larger body, and sends it only when it may.
    data = head(server, "POST /v1/tasks HTTP/1.1", f"Content-Length: {100 * MIB}", "Expect: 100-continue")
    assert exchange(server, data)[-1:] == [413]


def test_bodies_that_only_promise_take_no_memory(server):
    data = head(server, "POST /v1/tasks HTTP/1.1", f"Content-Length: {LIMIT}")
    with connections(server, 200) as open_ones, others_are_served(server):
        for connection in open_ones:
            connection.sendall(data + b"{")
        time.sleep(1)


def test_many_chunks_of_one_byte_hold_up_nobody(server):
    data = head(server, "POST /v1/tasks HTTP/1.1", "Transfer-Encoding: chunked")
    with others_are_served(server):
        assert flood(server, data, iter([b"1\r\n \r\n" * 20_000] * 20 + [b"0\r\n\r\n"])) == [400]


def test_deep_json_takes_no_memory(server, client):
    with others_are_served(server):
        for opening in (b"[", b'{"a":', b'[{"a":'):
            answer = client.request("POST", "/tasks", data=opening * (8 * MIB // len(opening)))
            assert answer.status_code == 400


PROBLEMS = {
    "members are missing": ("/executors/1/image", lambda: many("executors", "{}")),
    "values of another type": ("/volumes/0", lambda: many("volumes", "1")),
    "what the document's rules refuse": ("/executors/1/image", lambda: many("executors", '{"image":"","command":[]}', 600_000)),
    "what the server's rules refuse": ("/volumes/0", lambda: many("volumes", '"x"')),
    "names in a map": ("/tags/k0", lambda: many("tags", '"k%d":1')),
}


def many(member, item, count=1_000_000):
    """A task with an executor and that many items; `%d` in them is their number."""
    items = ",".join(item % number if "%" in item else item for number in range(count))
    around = "{%s}" if "%" in item else "[%s]"
    if member == "executors":
        items = '{"image":"i","command":["true"]},' + items
    others = "" if member == "executors" else '"executors":[{"image":"i","command":["true"]}],'
    return ("{" + others + f'"{member}":' + around % items + "}").encode()


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_task_with_a_million_problems_is_400_and_takes_no_memory(server, client, case):
    pointer, body = PROBLEMS[case]
    data = body()
    with others_are_served(server, megabytes=250):
        answer = client.request("POST", "/tasks", data=data)
    errors = answer.json()["errors"]
    assert (answer.status_code, len(errors), errors[0]["pointer"]) == (400, 201, pointer)
    assert errors[-1] == {"pointer": "", "message": "and more: these are the first 200 problems"}


def test_many_names_with_one_hash_hold_up_nobody(server, client):
    # Duplicate keys are looked for: with a list of those seen, half a million names would take minutes.
    body = ("{" + ",".join(f'"k{number}":1' for number in range(500_000)) + "}").encode()
    with others_are_served(server, megabytes=400):
        start = time.monotonic()
        assert client.request("POST", "/tasks", data=body).status_code == 400
        assert time.monotonic() - start < 20


# --- Heads that are too large ---------------------------------------------------------------------

HEADS = {
    "one header of 100 kB": lambda: ["X: " + "x" * 100_000],
    "100 kB of headers": lambda: [f"X-{x}: " + "x" * 990 for x in range(100)],
    "10,000 headers": lambda: [f"X-{x}: y" for x in range(10_000)],
    "10,000 times one header": lambda: ["X: y"] * 10_000,
    "a name of 100 kB": lambda: ["x" * 100_000 + ": y"],
    "cookies": lambda: ["Cookie: " + "a=b; " * 20_000],
}


@pytest.mark.parametrize("bomb", HEADS)
def test_a_head_that_is_too_large_is_refused(server, bomb):
    data = head(server, "GET /v1/service-info HTTP/1.1", *HEADS[bomb]())
    with others_are_served(server, megabytes=60):
        answered = [exchange(server, data) for _ in range(5)]
    # Refused with the status made for it, or by closing; never a failure of the server.
    assert all(x in ([], [400], [431]) for x in answered), answered


@pytest.mark.parametrize("target", ["/v1/tasks?name_prefix=" + "x" * 100_000, "/" + "x" * 100_000, "/v1/tasks?" + "a=b&" * 25_000])
def test_a_target_that_is_too_long_is_refused(server, target):
    with others_are_served(server, megabytes=60):
        assert exchange(server, head(server, f"GET {target} HTTP/1.1")) in ([], [400], [404], [414], [431])


@pytest.mark.parametrize("endless", [b"X: " + b"x" * 4096, b"X: y\r\n" * 700, b"x" * 4096], ids=["line", "lines", "name"])
def test_a_head_without_end_takes_no_memory(server, endless):
    start = head(server)[:-2]
    with others_are_served(server, megabytes=60):
        answered = flood(server, start, iter([endless] * 25_000))
    assert answered in ([], [400], [431]), answered


def test_trailers_without_end_take_no_memory(server):
    data = head(server, "POST /v1/tasks HTTP/1.1", "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n"
    with others_are_served(server, megabytes=60):
        answered = flood(server, data, iter([b"X: y\r\n" * 700] * 25_000))
    assert answered in ([], [400], [413], [431]), answered


# --- Requests that two parties could read differently ---------------------------------------------

def smuggled(host, name):
    body = json.dumps(impossible(name=name)).encode()
    return head(host, "POST /v1/tasks HTTP/1.1", "Content-Type: application/json", f"Content-Length: {len(body)}") + body


def shapes(host, name):
    """What a proxy before us might read as one request, and a careless server as two. RFC 9112, 5 and 6."""
    inner = smuggled(host, name)
    post = "POST /v1/tasks HTTP/1.1"
    in_chunks = b"0\r\n\r\n" + inner
    return {
        "length and chunks": head(host, post, f"Content-Length: {len(in_chunks)}", "Transfer-Encoding: chunked") + in_chunks,
        "chunks and length": head(host, post, "Transfer-Encoding: chunked", f"Content-Length: {len(in_chunks)}") + in_chunks,
        "two lengths": head(host, post, "Content-Length: 0", f"Content-Length: {len(inner)}") + inner,
        "two lengths in one": head(host, post, f"Content-Length: 0, {len(inner)}") + inner,
        "length with a plus": head(host, post, "Content-Length: +0") + inner,
        "negative length": head(host, post, "Content-Length: -1") + inner,
        "hexadecimal length": head(host, post, "Content-Length: 0x0") + inner,
        "empty length": head(host, post, "Content-Length: ") + inner,
        "length of letters": head(host, post, "Content-Length: 0a") + inner,
        "length beyond 64 bits": head(host, post, "Content-Length: 18446744073709551616") + inner,
        "space before the colon": head(host, post, "Content-Length : 0") + inner,
        "space before the colon of chunks": head(host, post, "Transfer-Encoding : chunked") + in_chunks,
        "unknown coding": head(host, post, "Transfer-Encoding: xchunked") + in_chunks,
        "chunked is not the last": head(host, post, "Transfer-Encoding: chunked, identity") + in_chunks,
        "chunked twice": head(host, post, "Transfer-Encoding: chunked, chunked") + in_chunks,
        "coding after a tab": head(host, post, "Transfer-Encoding:\x0bchunked") + in_chunks,
        "folded coding": head(host, post, "Transfer-Encoding:\r\n chunked", f"Content-Length: {len(in_chunks)}") + in_chunks,
        "header that begins with a space": head(host, post, "X: y", " Content-Length: 0") + inner,
        "header without a colon": head(host, post, "Content-Length: 0", "nonsense") + inner,
        "NUL in a header": head(host, post, "X: a\0b", "Content-Length: 0") + inner,
        "bare CR in a header": head(host, post, "X: a\rContent-Length: 0") + inner,
        "negative chunk": head(host, post, "Transfer-Encoding: chunked") + b"-1\r\n\r\n" + inner,
        "chunk of letters": head(host, post, "Transfer-Encoding: chunked") + b"0x0\r\n\r\n" + inner,
        "chunk size beyond 64 bits": head(host, post, "Transfer-Encoding: chunked") + b"1" + b"0" * 16 + b"\r\n\r\n" + inner,
        "chunk longer than it says": head(host, post, "Transfer-Encoding: chunked") + b"2\r\n{}xx\r\n0\r\n\r\n" + inner,
        "space in the chunk size": head(host, post, "Transfer-Encoding: chunked") + b"0 0\r\n\r\n" + inner,
        "space before the version": f"GET /v1/tasks  HTTP/1.1\r\nHost: {host}\r\nX: y z HTTP/1.1\r\n".encode()
                                    + b"Content-Length: -0\r\n\r\n" + inner,
    }


SHAPES = list(shapes("127.0.0.1", "any"))


@pytest.mark.parametrize("shape", SHAPES)
def test_what_can_be_read_two_ways_is_refused(server, client, shape):
    name = f"smuggled {uuid.uuid4().hex}"
    answered = exchange(server, shapes(authority(server), name)[shape])
    assert client.list(name_prefix=name)["tasks"] == []
    # One refusal, or none and a closed connection: what follows on the connection belongs to nobody.
    assert len(answered) <= 1 and all(400 <= x < 500 or x == 501 for x in answered), answered


@pytest.mark.parametrize("fields", [[], ["Host: 127.0.0.1", "Host: evil.example"], ["Host: a b"], ["Host: 127.0.0.1", "Host: 127.0.0.1"]],
                         ids=["none", "two", "no name", "twice"])
def test_a_request_without_one_host_is_refused(server, fields):
    # RFC 9112, 3.2: a server must answer 400.
    data = "\r\n".join(["GET /v1/tasks HTTP/1.1", *fields, "", ""]).encode()
    assert exchange(server, data) in ([], [400], [403])


@pytest.mark.parametrize("data", [b"\0" * 1000, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500, b"\r\n" * 5000,
                                  b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n", b"\xff" * 1000,
                                  b"GET http://[::1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"CONNECT evil.example:443 HTTP/1.1\r\n"
                                  b"Host: evil.example:443\r\n\r\n"],
                         ids=["NUL", "TLS", "empty lines", "HTTP/2", "HTTP/9.9", "no target", "bytes", "half an address", "CONNECT"])
def test_what_is_no_request_is_refused(server, data):
    with others_are_served(server):
        answered = exchange(server, data, 2)
    assert all(400 <= x < 500 or x in (501, 505) for x in answered), answered


def test_after_a_refused_body_the_connection_is_not_read_as_requests(server, client):
    # The rest of a body that was too large must not become the next request.
    name = f"smuggled {uuid.uuid4().hex}"
    data = head(server, "POST /v1/tasks HTTP/1.1", f"Content-Length: {LIMIT + MIB}") + b"x" * MIB
    with connect(server, 5) as connection:
        connection.sendall(data)
        with contextlib.suppress(OSError):
            connection.sendall(b"\r\n\r\n" + smuggled(authority(server), name))
        answered = statuses(all_answered(connection))
    assert (answered in ([], [413]), client.list(name_prefix=name)["tasks"]) == (True, []), answered


# --- A database that restarts under load ----------------------------------------------------------

@pytest.fixture
def own(servers, cluster):
    server = servers(arguments=["--database", cluster.create(f"test_{uuid.uuid4().hex[:12]}")])
    yield server
    if not cluster.ready():
        cluster.start()


class Load:
    """Clients that create, and clients that read, until they are told to stop."""

    def __init__(self, server, creators=6, readers=3, with_keys=False):
        self.server = server
        self.with_keys = with_keys
        self.mark = uuid.uuid4().hex
        self.known = server.client.create(impossible())
        self.creates = {}
        """Number of the create → (status, id)."""
        self.reads = []
        self.failures = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._create, args=(x,), daemon=True) for x in range(creators)]
        self._threads += [threading.Thread(target=self._read, args=(x,), daemon=True) for x in range(readers)]

    def document(self, number):
        return impossible(name=number, tags={"mark": self.mark, "number": number})

    def send(self, client, number):
        headers = {"Idempotency-Key": f"{self.mark}-{number}"} if self.with_keys else {}
        answer = client.post(self.document(number), headers=headers)
        return answer.status_code, answer.json().get("id")

    def _guarded(self, one):
        try:
            while not self._stop.is_set():
                one()
                time.sleep(0.01)
        except Exception as error:
            self.failures.append(repr(error))

    def _create(self, thread):
        client, count = Client(self.server.url), iter(range(1_000_000))

        def one():
            number = f"{thread}-{next(count)}"
            self.creates[number] = self.send(client, number)
        self._guarded(one)

    def _read(self, thread):
        client = Client(self.server.url)
        path = ["/tasks?page_size=5", f"/tasks/{self.known}", "/tasks?view=FULL&page_size=2"][thread % 3]
        self._guarded(lambda: self.reads.append(client.request("GET", path).status_code))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert self.failures == []

    def stored(self):
        """Number of the create → ids of the tasks that it made."""
        found = collections.defaultdict(list)
        for one in self.server.client.all_tasks(view="BASIC", tag_key="mark", tag_value=self.mark, page_size=2047):
            found[one["tags"]["number"]].append((one["id"], one["state"]))
        return found


def outage(cluster, seconds):
    time.sleep(1)
    cluster.stop()
    time.sleep(seconds)
    cluster.start()
    time.sleep(2)


def settled(server):
    wait_until(lambda: server.client.request("GET", "/tasks").status_code == 200, "the database is back")


@pytest.mark.slow
def test_reads_wait_out_a_restart_of_the_database(own, cluster):
    with Load(own) as load:
        outage(cluster, 1)
    assert len(load.reads) > 10 and set(load.reads) == {200}


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 1, 12])
def test_a_create_is_stored_or_refused_and_never_both(own, cluster, seconds):
    with Load(own) as load:
        outage(cluster, seconds)
        settled(own)
    time.sleep(3)  # what is refused and yet stored would have appeared
    stored = load.stored()
    assert {status for status, _ in load.creates.values()} <= {200, 503}
    for number, (status, task_id) in load.creates.items():
        if status == 200:
            assert [x for x, _ in stored[number]] == [task_id], number
        else:
            # Stored by a connection that broke before it could say so: it was called off, and never ran.
            assert {state for _, state in stored.get(number, [])} <= {"CANCELED"}, (number, stored[number])
    assert len([x for x, _ in load.creates.values() if x == 200]) > 10


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 1, 12])
def test_a_retry_with_its_key_gives_the_one_task(own, cluster, seconds):
    with Load(own, with_keys=True) as load:
        outage(cluster, seconds)
        settled(own)
    assert {status for status, _ in load.creates.values()} <= {200, 503}
    retried = {number: load.send(own.client, number) for number in load.creates}
    assert {status for status, _ in retried.values()} == {200}
    # Who was told an id is told it again.
    assert [number for number, (status, task_id) in load.creates.items() if status == 200 and retried[number][1] != task_id] == []
    time.sleep(3)
    stored = load.stored()
    for number, (_, task_id) in retried.items():
        # The one task lives: what was refused at first and called off must not come back as its answer.
        assert [(x, state) for x, state in stored[number] if state != "CANCELED"] == [(task_id, "SYSTEM_ERROR")], number


@pytest.mark.slow
def test_a_retry_without_waiting_gives_the_one_task(own, cluster):
    # As clients do: again and again with one key, until it is 200.
    with Load(own, creators=0):
        keys = [uuid.uuid4().hex for _ in range(8)]
        answered = {}

        def insist(key):
            client, end = Client(own.url), time.monotonic() + 60
            while time.monotonic() < end:
                answer = client.post(impossible(name=key, tags={"mark": "insist"}), headers={"Idempotency-Key": key})
                if answer.status_code == 200:
                    answered[key] = answer.json()["id"]
                    return
                time.sleep(0.1)

        cluster.stop()
        threads = [threading.Thread(target=insist, args=(key,), daemon=True) for key in keys for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(11)
        cluster.start()
        for thread in threads:
            thread.join(60)
    settled(own)
    time.sleep(2)
    tasks = own.client.all_tasks(view="BASIC", tag_key="mark", tag_value="insist")
    alive = {x["name"]: x["id"] for x in tasks if x["state"] != "CANCELED"}
    assert alive == answered and len(answered) == 8


@pytest.mark.slow
def test_a_restart_of_the_database_leaves_healthz_alone(own, cluster):
    client = Client(own.url)

    def ask():
        start = time.monotonic()
        assert client.request("GET", own.url + "/healthz").status_code == 200
        return time.monotonic() - start

    with Load(own):
        time.sleep(1)
        cluster.stop()
        # It asks nobody: what asks the database waits for seconds while that is away.
        assert sorted(ask() for _ in range(21))[10] < 1
        cluster.start()
        ask()
