"""All recorded documents of real clients get the answer that their checker expects."""

import subprocess
import sys

import pytest

from harness.processes import REPOSITORY

CHECKER = REPOSITORY.parent / "shared" / "tools" / "submit-tasks"
DOCUMENTS = REPOSITORY.parent / "shared" / "reference" / "tasks"


@pytest.mark.slow
@pytest.mark.skipif(not DOCUMENTS.is_dir(), reason="the recorded documents lie beside the clone of the developers only")
def test_every_recorded_document_gets_the_expected_answer(server):
    command = [sys.executable, CHECKER, server.url + "/ga4gh/tes/v1", "--cancel"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
