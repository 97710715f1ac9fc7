"""A server that is wrong in one chosen way: a proxy before a right one that changes requests or answers.

`faults.py` and `own_faults.py` are the ways that the cases of `conformance/` have to see.
"""

import contextlib
import dataclasses
import http.client
import http.server
import json
import threading
import traceback
import urllib.parse

BASE = "/ga4gh/tes/v1"
JSON = "application/json"


class Exchange:
    """One request on its way to the right server, and the answer on its way back."""

    def __init__(self, server, method, target, headers, body):
        path, _, query = target.partition("?")
        self.server = server
        self.method = method
        self.path = path
        self.query = urllib.parse.parse_qsl(query, keep_blank_values=True)
        self.headers = headers
        self.body = body
        self.status = 0
        self.data = b""
        self.answer_headers = {}

    # What is asked for.
    @property
    def creates(self):
        return self.method == "POST" and self.path == BASE + "/tasks"

    @property
    def lists(self):
        return self.method == "GET" and self.path == BASE + "/tasks"

    @property
    def reads(self):
        return self.method == "GET" and self.path.startswith(BASE + "/tasks/")

    @property
    def cancels(self):
        return self.method == "POST" and self.path.endswith(":cancel")

    @property
    def asks_for_info(self):
        return self.method == "GET" and self.path == BASE + "/service-info"

    @property
    def task_id(self):
        return self.path.removeprefix(BASE + "/tasks/").removesuffix(":cancel")

    @property
    def memory(self):
        """What this wrong server remembers from one request to the next."""
        return self.server.memory

    def asks(self, name):
        """The values of a query parameter."""
        return [value for key, value in self.query if key == name]

    @property
    def task(self):
        """The task that the request carries, if it is one."""
        with contextlib.suppress(ValueError, TypeError):
            document = json.loads(self.body)
            if self.creates and isinstance(document, dict) and isinstance(document.get("executors"), list):
                return document
        return None

    # What is answered.
    def forward(self):
        """Asks the right server, as the request stands now."""
        query = urllib.parse.urlencode(self.query, quote_via=urllib.parse.quote)
        with contextlib.closing(http.client.HTTPConnection(*self.server.target, timeout=60)) as connection:
            connection.request(self.method, self.path + ("?" + query if query else ""), self.body, self.headers)
            answer = connection.getresponse()
            self.status, self.data = answer.status, answer.read()
            self.answer_headers = {name: value for name, value in answer.getheaders()
                                   if name.lower() in ("content-type", "allow")}
        if self.creates and self.status == 200:
            self.server.created.append(self.document["id"])

    @property
    def document(self):
        return json.loads(self.data)

    def answer(self, document, status=200):
        self.status, self.data, self.answer_headers = status, json.dumps(document).encode(), {"Content-Type": JSON}


@dataclasses.dataclass(frozen=True)
class Fault:
    what: str
    """What the server does wrong."""
    seen_by: tuple
    """The cases that must see it."""
    act: object
    """`act(exchange)`: forwards the exchange, and changes what it likes before and after."""
    waits: bool = False
    """Whether a case sees it only by waiting in vain."""

    @property
    def name(self):
        return self.what.replace(" ", "-")


class WrongServer:
    """The proxy. `requests` counts what came, `created` are the tasks that it had the right server make, `errors` what
    went wrong in itself."""

    def __init__(self, url, fault=None):
        parts = urllib.parse.urlsplit(url)
        self.target = parts.hostname, parts.port
        self.fault = fault
        self.memory = {}
        self.requests = 0
        self.created = []
        self.errors = []
        self._listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._listener.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._listener.server_port}"
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self):
        self._listener.shutdown()
        self._listener.server_close()
        # The fault may have kept the cases from cancelling what they started.
        with contextlib.closing(http.client.HTTPConnection(*self.target, timeout=60)) as connection:
            for task_id in self.created:
                connection.request("POST", f"{BASE}/tasks/{task_id}:cancel")
                connection.getresponse().read()

    def handle(self, exchange):
        self.requests += 1
        try:
            if self.fault:
                self.fault.act(exchange)
            else:
                exchange.forward()
        except Exception:  # whatever it is, the test has to hear of it: it is no fault of the table
            self.errors.append(traceback.format_exc())
            exchange.answer({"wrong_server": "is broken itself"}, 599)


def _handler(server):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body in one segment: otherwise each answer waits for a delayed acknowledgement.
        wbufsize = -1

        def log_message(self, *_):
            pass

        def _serve(self):
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name: value for name, value in self.headers.items()
                       if name.lower() not in ("host", "connection", "content-length")}
            exchange = Exchange(server, self.command, self.path, headers, self.rfile.read(length) if length else None)
            server.handle(exchange)
            self.send_response(exchange.status)
            for name, value in exchange.answer_headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(exchange.data)))
            self.end_headers()
            self.wfile.write(exchange.data)

        do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = _serve

    return Handler


@contextlib.contextmanager
def wrong_server(url, fault=None):
    """Before the right server at `url`; without a fault it passes everything on."""
    server = WrongServer(url, fault)
    try:
        yield server
    finally:
        server.close()


# --- Ways to be wrong -----------------------------------------------------------------------------

def fault(what, seen_by, act, waits=False):
    """A fault; the cases that see it stand in one text."""
    return Fault(what, tuple(seen_by.split()), act, waits)


def accepts(text):
    """Takes every body with this text in it for a task."""
    def act(x):
        x.forward()
        if x.creates and x.status >= 400 and text.encode() in (x.body or b""):
            x.answer({"id": "accepted"})
    return act


def refuses(text):
    """Refuses every body with this text in it."""
    def act(x):
        if x.creates and text.encode() in (x.body or b""):
            x.answer({"status": 400, "message": "no"}, 400)
        else:
            x.forward()
    return act


def task(change):
    """`change(task)` before the right server gets it."""
    def act(x):
        document = x.task
        if document is not None:
            change(document)
            x.body = json.dumps(document).encode()
        x.forward()
    return act


def executors(change):
    return task(lambda t: [change(e) for e in t["executors"]])


def inputs(change):
    return task(lambda t: [change(i) for i in t.get("inputs", [])])


def outputs(change):
    return task(lambda t: [change(o) for o in t.get("outputs", [])])


def listing(change):
    """`change(query)` gives the parameters that the right server gets when tasks are listed."""
    def act(x):
        if x.lists:
            x.query = change(x.query)
        x.forward()
    return act


def _answered(act_on, change):
    def act(x):
        x.forward()
        if act_on(x) and x.status == 200:
            document = x.document
            change(document, x)
            x.data = json.dumps(document).encode()
    return act


def shown(change):
    """`change(task)` on every task that is shown, alone or in a list."""
    return _answered(lambda x: x.reads or x.lists,
                     lambda d, x: [change(t) for t in (d["tasks"] if x.lists else [d])])


def attempts(change):
    return shown(lambda t: [change(log) for log in t.get("logs", [])])


def results(change):
    """`change(log)` on every executor's log."""
    return attempts(lambda log: [change(e) for e in log["logs"]])


def stored(change):
    """`change(entry)` on every stored file in the log."""
    return attempts(lambda log: [change(o) for o in log["outputs"]])


def page(change):
    """`change(answer, exchange)` on every list."""
    return _answered(lambda x: x.lists, change)


def info(change):
    return _answered(lambda x: x.asks_for_info, lambda d, _: change(d))


def without(*names):
    """Takes members out."""
    def change(document):
        for name in names:
            document.pop(name, None)
    return change


def sets(**members):
    return lambda document: document.update(members)


def state(wrong, *right):
    """Shows one state in place of others."""
    return shown(lambda t: t.update(state=wrong) if t.get("state") in right else None)


def script(text):
    """Runs the command by a script, to which it is `"$@"`."""
    return lambda e: e.update(command=["sh", "-c", text, "sh", *e["command"]])


def only_if(member, change):
    return lambda document: change(document) if member in document else None


def leaves_out(*names):
    """A listing without these parameters."""
    return lambda query: [(name, value) for name, value in query if name not in names]


def rewrites(name, change):
    """A listing with another value for a parameter."""
    return lambda query: [(key, change(value) if key == name else value) for key, value in query]


def each(*changes):
    def change(document):
        for one in changes:
            one(document)
    return change
