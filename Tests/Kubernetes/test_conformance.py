"""`poiesis conformance` against the installation, from a Pod beside it."""

import pytest

from harness.processes import wait_until


# More than a hundred tasks; a small cluster runs them one after the other.
@pytest.mark.timeout(3000)
def test_the_installation_conforms(poiesis, images, services, say):
    command = ["/usr/bin/poiesis", "conformance", f"http://poiesis.{poiesis.system.namespace}.svc:8000", "--image", images.executor,
               "--output-url", "s3://bucket/conformance", "--jobs", "4"]
    services.kubectl.apply([{
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "conformance"},
        "spec": {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [
            {"name": "conformance", "image": images.poiesis, "command": command,
             "securityContext": {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False}}]}}])

    def phase():
        found = services.kubectl.get("pod", "conformance")["status"]["phase"]
        return found if found in {"Succeeded", "Failed"} else None

    ended = wait_until(phase, "the conformance suite ends", 2900, 1)
    said = services.kubectl.run("logs", "conformance")
    assert ended == "Succeeded", said[-6000:]
    say(next(line for line in reversed(said.splitlines()) if " in " in line))
