"""deploy/kubernetes: what can be said of the manifests without a cluster. `make test-kubernetes` installs them."""

import re
import subprocess

import pytest
import yaml

from harness.processes import REPOSITORY
from harness.server import environment

FOLDER = REPOSITORY / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
DOCUMENTS = [document for file in FILES for document in yaml.safe_load_all(file.read_text())]
WORKLOADS = [x for x in DOCUMENTS if x["kind"] in {"Deployment", "Job"}]


def named(kind, name):
    (found,) = [x for x in DOCUMENTS if (x["kind"], x["metadata"]["name"]) == (kind, name)]
    return found


def containers(workload):
    pod = workload["spec"]["template"]["spec"]
    return pod.get("initContainers", []) + pod["containers"]


def test_applied_in_order_of_their_names_namespaces_come_first():
    assert {x["kind"] for x in yaml.safe_load_all(FILES[0].read_text())} == {"Namespace"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda x: f"{x['kind']}-{x['metadata']['name']}")
def test_each_object_lies_in_a_namespace_of_ours(document):
    names = {x["metadata"]["name"] for x in DOCUMENTS if x["kind"] == "Namespace"}
    assert document["kind"] == "Namespace" or document["metadata"]["namespace"] in names


def test_all_images_are_the_one_of_this_version(binary):
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    images = {container["image"] for workload in WORKLOADS for container in containers(workload)}
    configured = yaml.safe_load(named("ConfigMap", "poiesis")["data"]["config.yaml"])["kubernetes"]["image"]
    assert images == {configured} == {f"poiesis:{version}"}


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda x: x["metadata"]["name"])
def test_the_namespace_s_restricted_standard_holds(workload):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a read-only root file system."""
    pod = workload["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(workload):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda x: x["metadata"]["name"])
def test_secrets_are_mounted_files_of_the_example(workload):
    examples = {(x["metadata"]["namespace"], x["metadata"]["name"]): x
                for x in yaml.safe_load_all((FOLDER / "secrets.yaml.example").read_text())}
    pod = workload["spec"]["template"]["spec"]
    (secret,) = [x["secret"]["secretName"] for x in pod["volumes"] if "secret" in x]
    assert set(examples["poiesis-system", secret]["stringData"]) == {"url"}
    for container in containers(workload):
        assert not any("valueFrom" in variable for variable in container.get("env", []))


def test_the_recorder_s_secret_is_where_a_task_s_pod_looks():
    source = (FOLDER.parent.parent / "Sources/KubernetesBackend/Configuration.swift").read_text()
    name, key = re.search(r'var database = "(.+)"', source).group(1), re.search(r'var databaseKey = "(.+)"', source).group(1)
    settings = yaml.safe_load((FOLDER / "config.yaml").read_text())["data"]["config.yaml"]
    namespace = yaml.safe_load(settings)["kubernetes"]["namespace"]
    examples = list(yaml.safe_load_all((FOLDER / "secrets.yaml.example").read_text()))
    found = [x for x in examples if x["metadata"] == {"name": name, "namespace": namespace}]
    assert len(found) == 1 and key in found[0]["stringData"]


@pytest.mark.parametrize(("name", "key"), [("poiesis-api", ["listen"]), ("poiesis-tctl", ["kubernetes", "listen"])])
def test_probes_ask_where_the_program_listens(name, key):
    settings = yaml.safe_load(named("ConfigMap", "poiesis")["data"]["config.yaml"])
    for part in key:
        settings = settings[part]
    (container,) = containers(named("Deployment", name))
    ports = {x["name"]: x["containerPort"] for x in container["ports"]}
    for probe, path in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]:
        asked = container[probe]["httpGet"]
        assert (asked["path"], f"0.0.0.0:{ports[asked['port']]}") == (path, settings)


RIGHTS = {
    "poiesis-api": {"jobs": {"delete"}},
    "poiesis-trec": {"pods": {"get"}},
    "poiesis-tctl": {
        "jobs": {"get", "list", "watch", "create", "delete"}, "jobs/finalizers": {"update"},
        "persistentvolumeclaims": {"get", "list", "watch", "create"}, "pods": {"get", "list", "watch", "delete"},
        "events": {"list"}, "leases": {"get", "create", "update", "patch"}},
}


@pytest.mark.parametrize("account", RIGHTS)
def test_an_account_has_these_rights_and_no_other(account):
    """In the namespace of the tasks; what else an account could do would be seen here."""
    given = {}
    for rule in named("Role", account)["rules"]:
        for resource in rule["resources"]:
            given.setdefault(resource, set()).update(rule["verbs"])
    assert given == RIGHTS[account]
    assert not [x for x in DOCUMENTS if x["kind"].startswith("Cluster")]
    bound = [x for x in DOCUMENTS if x["kind"] == "RoleBinding" and any(s["name"] == account for s in x["subjects"])]
    assert [(x["metadata"]["namespace"], x["roleRef"]["name"]) for x in bound] == [("poiesis", account)]


@pytest.mark.parametrize("command", ["api", "tctl"])
def test_the_program_takes_the_configuration(binary, tmp_path, command):
    """Without a cluster it ends, but not for a setting."""
    file = tmp_path / "config.yaml"
    file.write_text(named("ConfigMap", "poiesis")["data"]["config.yaml"])
    database = tmp_path / "url"
    database.write_text("postgresql://127.0.0.1:1/none\n")
    done = subprocess.run([binary, command], capture_output=True, text=True, cwd="/", timeout=60, env=environment(
        tmp_path, POIESIS_CONFIG=str(file), POIESIS_DATABASE_FILE=str(database)))
    assert done.returncode == 1 and "there is no cluster to use" in done.stderr, done.stderr


def test_a_file_with_the_database_s_url_that_is_not_there_is_named(binary, tmp_path):
    done = subprocess.run([binary, "api"], capture_output=True, text=True, cwd="/", timeout=60, env=environment(
        tmp_path, POIESIS_DATABASE_FILE=str(tmp_path / "nothing")))
    assert done.returncode == 1 and str(tmp_path / "nothing") in done.stderr


# --- Network policies -----------------------------------------------------------------------------

def selects(policy, workload):
    """Whether the policy is for the workload's Pods."""
    labels, selector = workload["spec"]["template"]["metadata"]["labels"], policy["spec"]["podSelector"]
    return policy["metadata"]["namespace"] == workload["metadata"]["namespace"] and all(
        labels.get(x) == y for x, y in selector.get("matchLabels", {}).items()) and all(
        x["operator"] == "In" and labels.get(x["key"]) in x["values"] for x in selector.get("matchExpressions", []))


def test_nobody_reaches_a_task_and_no_task_the_clouds_credentials():
    policy = named("NetworkPolicy", "poiesis-tasks")
    configured = yaml.safe_load(named("ConfigMap", "poiesis")["data"]["config.yaml"])["kubernetes"]
    assert policy["metadata"]["namespace"] == configured["namespace"]
    assert (policy["spec"]["podSelector"], policy["spec"]["ingress"]) == ({}, [])
    assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    blocks = [y["ipBlock"] for x in policy["spec"]["egress"] for y in x["to"] if "ipBlock" in y]
    left_out = {x["cidr"]: set(x["except"]) for x in blocks}
    assert {"169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32"} <= left_out["0.0.0.0/0"]
    assert {"fd00:ec2::254/128", "fd00:ec2::23/128"} <= left_out["::/0"] and len(left_out) == 2


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda x: x["metadata"]["name"])
def test_no_task_reaches_a_program_of_ours(workload):
    tasks = named("NetworkPolicy", "poiesis-tasks")["metadata"]["namespace"]
    policies = [x for x in DOCUMENTS if x["kind"] == "NetworkPolicy" and selects(x, workload)]
    sources = [source for policy in policies for rule in policy["spec"]["ingress"] for source in rule["from"]]
    assert policies and all(x["namespaceSelector"]["matchExpressions"] == [
        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [tasks]}] for x in sources)
