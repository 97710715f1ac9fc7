"""A file server that can misbehave as real ones do."""

import collections
import contextlib
import http.server
import ssl
import threading
import time
import urllib.parse


class _File:
    def __init__(self, body, fail, status, short, seconds, redirect, together):
        self.body = body
        self.fail = fail  # so many requests are answered with `status` first
        self.status = status
        self.short = short  # so many requests promise the whole length and break off in the middle
        self.seconds = seconds  # the body takes so long, in twenty pieces
        self.redirect = redirect
        self.together = together  # a barrier: the answer waits until as many requests have come


class HTTPFiles:
    def __init__(self, url):
        self.url = url
        self.requests = collections.defaultdict(list)
        self.files = {}
        self.lock = threading.Lock()

    def put(self, name, body=b"", *, fail=0, status=503, short=0, seconds=0.0, redirect=None, together=None):
        """Offers a file; its URL. Tests choose names of their own, since all share the server."""
        self.files["/" + name] = _File(body, fail, status, short, seconds, redirect, together)
        return f"{self.url}/{urllib.parse.quote(name)}"

    def gets(self, name):
        """How often it was asked for with GET."""
        return self.requests["/" + name].count("GET")


def _met(barrier):
    """Whether as many came as the barrier wants; once they did not, nobody waits any more."""
    with contextlib.suppress(threading.BrokenBarrierError):
        barrier.wait(60)
        return True
    return False


def _handler(files):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
            with files.lock:
                files.requests[path].append(self.command)
                file = files.files.get(path)
                failing = file is not None and file.fail > 0
                short = file is not None and not failing and self.command == "GET" and file.short > 0
                if failing:
                    file.fail -= 1
                if short:
                    file.short -= 1
            if file is None:
                self.answer(404, b"no such file\n")
            elif failing:
                self.answer(file.status, b"try again\n")
            elif file.redirect:
                self.answer(302, b"", Location=file.redirect)
            elif short:
                self.answer(200, file.body, send=file.body[: len(file.body) // 2])
                self.close_connection = True
            elif file.together and self.command == "GET" and not _met(file.together):
                self.answer(404, b"no other request came meanwhile\n")
            else:
                self.answer(200, file.body, seconds=file.seconds)

        do_HEAD = do_GET

        def answer(self, status, body, send=None, seconds=0.0, **headers):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            body = body if send is None else send
            if not seconds:
                self.wfile.write(body)
                return
            step = max(1, len(body) // 20)
            with contextlib.suppress(OSError):  # a client that has been cancelled goes away
                for start in range(0, len(body), step):
                    self.wfile.write(body[start:start + step])
                    self.wfile.flush()
                    time.sleep(seconds / 20)

        def log_message(self, *arguments):
            pass

    return Handler


@contextlib.contextmanager
def running_http_files(certificates=None):
    files = HTTPFiles("")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(files))
    server.daemon_threads = True
    if certificates:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificates.server, certificates.key)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    files.url = f"{'https' if certificates else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
