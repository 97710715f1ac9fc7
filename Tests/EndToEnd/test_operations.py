"""No operation of the specification is left to its stub, and docs/reference/operations.md names each."""

import re

import pytest
import yaml

from harness.client import task
from harness.processes import REPOSITORY

CONTRACT = yaml.safe_load((REPOSITORY / "spec/tes/1.1.0/openapi.yaml").read_text())
OPERATIONS = {
    operation["operationId"]: (method.upper(), path)
    for path, methods in CONTRACT["paths"].items() for method, operation in methods.items()
    if isinstance(operation, dict) and "operationId" in operation
}
LISTED = {
    name: (method, path) for name, method, path in re.findall(
        r"^\| `(\w+)` \| `(\w+) (\S+)` \|", (REPOSITORY / "docs/reference/operations.md").read_text(), re.MULTILINE)
}


def test_the_page_lists_what_the_specification_has():
    assert LISTED == OPERATIONS


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_operation_is_left_to_its_stub(client, name):
    method, path = OPERATIONS[name]
    known = client.create(task("true"))
    answer = client.request(
        method, path.replace("{id}", known),
        json=task("true") if method == "POST" and "{" not in path else None)
    assert answer.status_code == 200, answer.text
