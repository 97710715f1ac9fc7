"""A container registry that holds one image: just enough of the distribution protocol for a pull."""

import base64
import contextlib
import gzip
import hashlib
import http.server
import io
import json
import platform
import shutil
import tarfile
import threading

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _busybox_layer():
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(shutil.which("busybox"), "bin/busybox")
        link = tarfile.TarInfo("bin/sh")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)
    return archive.getvalue()


class Registry:
    """`image` can be pulled, `missing` is unknown there; `pulls` counts the manifests that were handed out.

    With `login`, a user's name and password, only who sends them gets anything.
    """

    def __init__(self):
        layer = _busybox_layer()
        packed = gzip.compress(layer, mtime=0)
        config = json.dumps({
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux",
            "config": {"Env": ["PATH=/bin"]}, "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]}}).encode()
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(config), "digest": _digest(config)},
            "layers": [{"mediaType": _LAYER, "size": len(packed), "digest": _digest(packed)}]}).encode()
        self.blobs = {_digest(config): config, _digest(packed): packed, _digest(self.manifest): self.manifest}
        self.pulls = 0
        self.image = self.missing = self.login = None

    def admits(self, authorization):
        return not self.login or authorization == "Basic " + base64.b64encode(":".join(self.login).encode()).decode()

    def answer(self, path):
        """Status, content type and body."""
        if path in ("/v2", "/v2/"):
            return 200, "application/json", b"{}"
        name = path.rsplit("/", 1)[-1]
        if path.startswith("/v2/poiesis/pulled/manifests/"):
            self.pulls += 1
            return 200, _MANIFEST, self.manifest
        if path.startswith("/v2/poiesis/pulled/blobs/") and name in self.blobs:
            return 200, "application/octet-stream", self.blobs[name]
        error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
        return 404, "application/json", json.dumps(error).encode()


@contextlib.contextmanager
def running_registry():
    registry = Registry()

    class Handler(http.server.BaseHTTPRequestHandler):
        # containerd tries TLS first, and plain HTTP only after an answer that is HTTP.
        default_request_version = "HTTP/1.0"
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if registry.admits(self.headers.get("Authorization")):
                status, kind, body = registry.answer(self.path.split("?")[0])
            else:
                error = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
                status, kind, body = 401, "application/json", json.dumps(error).encode()
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="tests"')
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            self.send_header("Docker-Content-Digest", _digest(body))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # Engines speak plain HTTP to registries on loopback without being told.
    registry.image = f"127.0.0.1:{server.server_port}/poiesis/pulled:1"
    registry.missing = f"127.0.0.1:{server.server_port}/poiesis/absent:1"
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
