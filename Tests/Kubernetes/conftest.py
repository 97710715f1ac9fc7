"""Fixtures: services, an installation and, in every end, nothing of them left."""

import contextlib
import pathlib
import secrets
import signal
import statistics
import sys
import tempfile
import time

import pytest

# The client, and what waits and starts processes, are those of the end-to-end tests.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "EndToEnd"))

from cluster import images as images_module  # noqa: E402
from cluster.installation import TEST, Installation  # noqa: E402
from cluster.kubectl import Kubectl  # noqa: E402
from cluster.services import Services  # noqa: E402

installations = []
times = []
"""Rows of the table at the end: what, and its seconds."""


def pytest_configure():
    # Told to stop, we still stop what we started: Python's default for SIGTERM runs no clean-up at all.
    def interrupt(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, interrupt)


def pytest_collection_modifyitems(items):
    # What tells most in the least time comes first. The times come before what restarts everything.
    order = ["test_contract", "test_tasks", "test_cancel", "test_times", "test_faults", "test_conformance"]
    items.sort(key=lambda item: order.index(item.module.__name__) if item.module.__name__ in order else len(order))


@pytest.fixture(scope="session")
def say(request):
    """Tells on the terminal what goes on: setting up takes minutes."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")

    start = time.monotonic()

    def tell(text):
        with capture.global_and_fixture_disabled():
            terminal.write_line(f"--- {int(time.monotonic() - start) // 60}:{int(time.monotonic() - start) % 60:02} {text}")
    return tell


@pytest.fixture(scope="session")
def record_time():
    return lambda what, seconds: times.append((what, seconds))


@pytest.fixture(scope="session")
def suffix():
    return secrets.token_hex(3)


@pytest.fixture(scope="session")
def scratch():
    with tempfile.TemporaryDirectory(prefix="poiesis-kubernetes-") as folder:
        yield pathlib.Path(folder)


@pytest.fixture(scope="session")
def kubectl(say):
    done = Kubectl().run("version", "--output", "json", check=False)
    if done.returncode != 0:
        pytest.exit(f"there is no cluster: {done.stderr.strip()}. KUBECONFIG=FILE names one", returncode=1)
    say("a cluster with nodes " + ", ".join(
        f"{node['metadata']['name']} ({node['status']['nodeInfo']['kubeletVersion']})" for node in Kubectl().get("nodes")))
    return Kubectl()


@pytest.fixture(scope="session")
def images(kubectl, scratch, say):
    return images_module.prepare(scratch, say)


@pytest.fixture(scope="session")
def namespaces(kubectl, suffix, say):
    """The namespaces of this run by their last part. All go in the end, with everything in them."""
    names = {part: f"poiesis-test-{suffix}-{part}" for part in ["services", "system-a", "system-b", "tasks"]}
    try:
        yield names
    finally:
        say("clearing away " + ", ".join(names.values()))
        # Controllers first: what they would still do is of no use.
        for part in ["system-a", "system-b", "tasks", "services"]:
            kubectl.run("delete", "namespace", names[part], "--ignore-not-found", "--wait=false", check=False)
        for name in names.values():
            kubectl.run("wait", f"namespace/{name}", "--for=delete", "--timeout=240s", check=False, seconds=260)
        left = [x["metadata"]["name"] for x in kubectl.get("namespaces", selector=f"{TEST}=yes")
                if x["metadata"]["name"] in names.values()]
        assert not left, f"these namespaces are still there: {left}"


@pytest.fixture(scope="session")
def services(kubectl, images, namespaces, say):
    say("PostgreSQL and an S3 server")
    kubectl.apply([{"apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": namespaces["services"], "labels": {
                        TEST: "yes", "pod-security.kubernetes.io/enforce": "privileged"}}}])
    with contextlib.closing(Services(kubectl.inside(namespaces["services"]), images)) as made:
        made.start()
        yield made


# Seconds after which what cannot start is given up: shorter than anybody would set it.
SOON = 15
ROLE = "arn:aws:iam::123456789012:role/poiesis"


def _installed(name, services, images, namespaces, say, role=None, **settings):
    say(f"Poiesis, as deploy/kubernetes installs it ({name})")
    made = Installation(name, namespaces[f"system-{name}"], namespaces["tasks"], services, images, settings, role)
    installations.append(made)
    made.install()
    return made


@pytest.fixture(scope="session")
def poiesis(services, images, namespaces, say):
    """The installation that most tests use."""
    made = _installed("a", services, images, namespaces, say, kubernetes={
        "limits": {"image": SOON, "node_selector": SOON, "configuration": SOON}})
    with contextlib.closing(made):
        yield made


@pytest.fixture(scope="session")
def second(poiesis, services, images, namespaces, say):
    """Another one, whose tasks run in the same namespace.

    It asks for volumes that the cluster does not have, wants every output, and reaches storage by a web identity, whose service here has no
    TLS: so no executor may be root.
    """
    made = _installed("b", services, images, namespaces, say, role=ROLE, outputs={"missing": "fail"}, kubernetes={
        "limits": {"volume_claim": SOON}, "security": {"profile": "restricted"},
        "workspace": {"largest_empty_dir": 1_000_000_000, "default_size": 100_000_000, "storage_class": "no-such-class"}})
    with contextlib.closing(made):
        yield made


@pytest.fixture
def client(poiesis):
    return poiesis.client


@pytest.fixture(autouse=True)
def nothing_goes_on():
    """A failed test's tasks would hold up the next ones: few may be at work at once."""
    yield
    for made in installations:
        if made.client:
            made.client.cancel_all()


@pytest.fixture
def sh(images):
    """An executor that runs a shell script."""
    return lambda script, **fields: {"image": images.executor, "command": ["sh", "-c", script], **fields}


# --- What a failure shows -------------------------------------------------------------------------

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for made in installations:
            with contextlib.suppress(Exception):
                for component in ["tctl", "api", "schema"]:
                    text = made.logs(component)
                    if text:
                        report.sections.append((f"{component} of {made.name}", text[-6000:]))
                report.sections.append((f"tasks of {made.name}", made.tasks.run("get", "jobs,pods,pvc", check=False).stdout[-3000:]))
                report.sections.append(("Events", made.tasks.run(
                    "get", "events", "--sort-by=.lastTimestamp", check=False).stdout[-3000:]))
    return report


def pytest_terminal_summary(terminalreporter):
    if not times:
        return
    terminalreporter.section("times")
    for what in dict.fromkeys(what for what, _ in times):
        values = [seconds for name, seconds in times if name == what]
        unit = "  " if "ratio" in what else " s"
        terminalreporter.write_line(
            f"{what:<60} {statistics.median(values):8.2f}{unit}"
            + (f"   ({min(values):.2f} to {max(values):.2f}, {len(values)} times)" if len(values) > 1 else ""))
