"""Fixtures. What a fixture starts it stops again on every exit, in reverse order: a `with` block or an ExitStack."""

import contextlib
import os
import pathlib
import shutil
import signal
import tempfile

import pytest

from harness.certificates import make_certificates
from harness.client import BUSYBOX
from harness.database import running_cluster
from harness.engine import running_engine
from harness.http_files import running_http_files
from harness.processes import BUILD
from harness.registry import running_registry
from harness.s3 import running_s3
from harness.server import BINARY, Server, running
from harness.sts import running_sts

LOGS = BUILD / "logs"


def pytest_configure():
    # Told to stop, we still stop what we started: Python's default for SIGTERM runs no clean-up at all.
    def interrupt(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, interrupt)


# --- For the whole session ------------------------------------------------------------------------

@pytest.fixture(scope="session")
def scratch():
    """A folder for everything. Not pytest's own: its parents are closed to the user that PostgreSQL runs as."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="poiesis-e2e-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def bare_engine():
    with running_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def containers_before(bare_engine):
    """Somebody's engine may hold containers of an installation of theirs: those are not our leftovers."""
    return bare_engine.our_containers()


@pytest.fixture(scope="session")
def engine(bare_engine, containers_before):
    """The engine, with the test images, and with nothing of ours left in it in the end."""
    images = [
        bare_engine.add_busybox(BUSYBOX),
        bare_engine.add_busybox("poiesis-test/nobody:1", "USER nobody", "WORKDIR /var", "ENV FROM_IMAGE=yes"),
        bare_engine.add_busybox("poiesis-test/entrypoint:1", 'ENTRYPOINT ["echo", "from the entrypoint"]'),
    ]
    try:
        yield bare_engine
        left = bare_engine.our_containers() - containers_before
        assert not left, f"containers were left in the engine: {sorted(left)}"
    finally:
        for name in images:
            bare_engine.remove_image(name)


@pytest.fixture(scope="session")
def s3(scratch):
    LOGS.mkdir(parents=True, exist_ok=True)
    # Workers that run side by side (pytest -n) each have everything of their own.
    log = LOGS / f"s3{os.environ.get('PYTEST_XDIST_WORKER', '')}.log"
    log.unlink(missing_ok=True)
    with running_s3(scratch / "s3", log) as server:
        yield server


@pytest.fixture(scope="session")
def certificates(scratch):
    """Of an authority that no system trusts."""
    return make_certificates(scratch / "certificates")


@pytest.fixture
def sts(s3):
    with running_sts(s3.endpoint) as server:
        yield server


@pytest.fixture(scope="session")
def http_files():
    with running_http_files() as files:
        yield files


@pytest.fixture(scope="session")
def registry():
    with running_registry() as server:
        yield server


@pytest.fixture(scope="session")
def cluster():
    with running_cluster() as server:
        yield server


@pytest.fixture(scope="session")
def binary():
    assert os.access(BINARY, os.X_OK), f"{BINARY} is missing: type `make build`, or set POIESIS_BIN"
    return BINARY


# --- Servers --------------------------------------------------------------------------------------

@contextlib.contextmanager
def _servers(scratch, engine, containers_before, prefix):
    """A maker of servers. Each gets a folder and a log of its own, and is finished in the end, the last one first."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        count = 0

        def make(start=True, **options):
            nonlocal count
            count += 1
            name = f"{prefix}-{count}"
            log = LOGS / f"{name}.log"
            log.unlink(missing_ok=True)
            folder = scratch / name
            server = Server(folder, engine, log, **options)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.callback(server.finish, containers_before)
            return server.start() if start else server

        yield make


@pytest.fixture(scope="module")
def server(request, scratch, engine, containers_before, s3):
    """The module's server, which can do everything that one can by default."""
    name = request.module.__name__
    with _servers(scratch, engine, containers_before, name) as make:
        yield make(env=s3.environment(), **getattr(request.module, "SERVER", {}))


@pytest.fixture
def servers(request, scratch, engine, containers_before):
    """For a test that needs a server of its own, or one that it may kill."""
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in request.node.name)[:60]
    with _servers(scratch, engine, containers_before, f"{request.module.__name__}-{name}") as make:
        yield make


@pytest.fixture(scope="module")
def client(server):
    return server.client


@pytest.fixture(scope="module")
def nothing_starts(client, engine):
    """One task takes all processors of the machine, so that those of the tests stay QUEUED."""
    from harness.client import sh, task
    blocker = client.create(task(sh("sleep 3600"), name="takes all processors", resources={"cpu_cores": engine.cpus()}))
    client.wait(blocker, {"RUNNING"})
    yield blocker
    # The newest come first in a list: the blocker goes last, and nothing gets its processors.
    client.cancel_all()


@pytest.fixture
def folder(server, request):
    """A fresh folder below the root that the server may read and write, and its file:// URL."""
    path = pathlib.Path(tempfile.mkdtemp(dir=server.files))
    # A FILE output's folder may be written by the server's user alone: nothing here depends on who that is.
    path.chmod(0o755)
    return path


# --- What a failure shows -------------------------------------------------------------------------

_log_starts = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    _log_starts.clear()
    _log_starts.update({server: len(server.log_text()) for server in running})
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        # A server that the test started has no entry: all of its log belongs to the test.
        for server in running:
            text = server.log_text()[_log_starts.get(server, 0):]
            if text:
                report.sections.append((f"log of {server.log.name} meanwhile", text[-6000:]))
    return report
