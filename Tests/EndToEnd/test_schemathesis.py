"""The server against its own description: requests that schemathesis makes from it, with all of its checks.

No 5xx, no status or header that is not described, no answer outside its schema, nothing accepted that the description
forbids, nothing refused that it allows. What is done otherwise on purpose is listed in harness/tolerated.py, each entry
with its reason; whatever is not listed there fails.
"""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from harness import tolerated
from harness.client import TERMINAL
from harness.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("nothing_starts")]

HERE = pathlib.Path(__file__).parent
OPERATIONS = ["CreateTask", "GetTask", "ListTasks", "CancelTask", "GetServiceInfo"]


@pytest.fixture(scope="module")
def needed(scratch):
    """The file of the exceptions that were needed so far."""
    return scratch / "tolerated"


@pytest.fixture(scope="module")
def schemathesis(server, scratch, needed):
    """Runs it; a folder of its own takes what it leaves."""
    folder = scratch / "schemathesis"
    folder.mkdir()
    # The names of the tasks would be made up, too: nothing but the blocker takes a processor, and no image exists.
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "PYTHONPATH": str(HERE),
                   "SCHEMATHESIS_HOOKS": "harness.tolerated", "POIESIS_TOLERATED": str(needed)}

    def run(*arguments, checks="all"):
        return subprocess.run(
            [
                pathlib.Path(sys.executable).with_name("st"),
                "run",
                server.url + "/openapi.json",
                "--url",
                server.url + "/ga4gh/tes/v1",
                "--checks",
                checks,
                "--continue-on-failure",
                "--no-color",
                "--generation-database",
                "none",
                "--seed",
                "20",
                "--request-timeout",
                "20",
                "--warnings",
                "off",
                *arguments,
            ],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=500,
        )

    return run


def passed(done):
    generated = re.search(r"(\d+) generated", done.stdout)
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]
    assert generated and int(generated.group(1)) > 0, done.stdout
    return int(generated.group(1))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_operation_does_what_the_description_says(schemathesis, operation):
    passed(schemathesis("--include-operation-id", operation, "--phases", "examples,coverage,fuzzing",
                        "--max-examples", "150"))


def test_operations_in_a_row_do_what_the_description_says(schemathesis):
    passed(schemathesis("--phases", "stateful", "--max-examples", "60"))


def test_no_exception_has_outlived_its_reason(schemathesis, needed):
    # Deselected tests would have noted theirs: this one makes its own requests.
    passed(schemathesis("--phases", "coverage,fuzzing", "--max-examples", "150"))
    outlived = set(tolerated.TOLERATED) - set(needed.read_text().split("\n"))
    assert outlived == set(), outlived


def test_every_exception_has_its_reason():
    assert all(len(reason) > 20 for *_, reason in tolerated.TOLERATED.values())


def test_the_server_is_well_afterwards(client, nothing_starts):
    # What it was sent may still occupy the database.
    wait_until(lambda: client.request("GET", client.url + "/readyz").status_code == 200, "the server is ready", 120)
    assert {x["state"] for x in client.all_tasks(page_size=2047)} <= TERMINAL | {"QUEUED", "RUNNING", "INITIALIZING"}
