"""STS and, behind the same address, an S3 server whose requests need a session of it: storage as a web identity meets it.

Held to https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html; test_harness.py shows that Amazon's own
client takes it for the real one. The S3 server behind it checks the signatures, of which the session's token is a part.
"""

import contextlib
import datetime
import http.client
import http.server
import threading
import urllib.parse
import uuid

from .s3 import KEY, SECRET

ANSWER = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:poiesis:poiesis-trec</SubjectFromWebIdentityToken>
    <Audience>sts.amazonaws.com</Audience>
    <AssumedRoleUser><Arn>{role}/{name}</Arn><AssumedRoleId>AROACLKWSDQRAOEXAMPLE:{name}</AssumedRoleId></AssumedRoleUser>
    <Credentials>
      <SessionToken>{session}</SessionToken>
      <SecretAccessKey>{secret}</SecretAccessKey>
      <Expiration>{expiration}</Expiration>
      <AccessKeyId>{key}</AccessKeyId>
    </Credentials>
    <Provider>https://kubernetes.default.svc</Provider>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>"""
REFUSAL = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>example</RequestId>
</ErrorResponse>"""
EXPIRED = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"""


class STS:
    """`tokens` are those that it takes, `sessions` those that the storage takes."""

    def __init__(self, backend):
        self.backend = urllib.parse.urlsplit(backend).netloc
        self.url = None
        self.tokens = set()
        self.sessions = set()
        self.exchanges = []
        self.lock = threading.Lock()

    def assume(self, form):
        """Status and body for one request."""
        with self.lock:
            self.exchanges.append(form)
            missing = [name for name in ("RoleArn", "RoleSessionName", "WebIdentityToken") if not form.get(name)]
            if (form.get("Action"), form.get("Version")) != ("AssumeRoleWithWebIdentity", "2011-06-15") or missing:
                return 400, REFUSAL.format(code="ValidationError", message=f"missing: {missing}")
            if form["WebIdentityToken"] not in self.tokens:
                return 400, REFUSAL.format(code="InvalidIdentityToken", message="No OpenIDConnect provider found")
            session = uuid.uuid4().hex + "/+="
            self.sessions.add(session)
            expiration = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
            return 200, ANSWER.format(role=form["RoleArn"], name=form["RoleSessionName"], session=session, secret=SECRET,
                                      key=KEY, expiration=expiration.strftime("%Y-%m-%dT%H:%M:%SZ"))

    def expire_all(self):
        """The storage ends all sessions, whatever it said before."""
        with self.lock:
            self.sessions.clear()


def _handler(sts):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.command == "POST" and self.path == "/":
                status, text = sts.assume(dict(urllib.parse.parse_qsl(body.decode())))
                self.answer(status, text.encode())
            elif self.headers.get("x-amz-security-token") not in sts.sessions:
                self.answer(400, EXPIRED.encode())
            else:
                self.forward(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

        def forward(self, body):
            backend = http.client.HTTPConnection(sts.backend, timeout=60)
            # The same Host: it is signed.
            backend.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                backend.putheader(name, value)
            backend.endheaders(body)
            response = backend.getresponse()
            content = response.read()
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "date", "server", "content-length"):
                    self.send_header(name, value)
            length = response.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            backend.close()

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    return Handler


@contextlib.contextmanager
def running_sts(backend):
    sts = STS(backend)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(sts))
    server.daemon_threads = True
    sts.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield sts
    finally:
        server.shutdown()
        server.server_close()
