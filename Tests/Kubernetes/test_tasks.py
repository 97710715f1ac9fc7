"""What users do: tasks with inputs and outputs, what they ask of the cluster, and how they end."""

import uuid

import pytest

from harness.client import system_logs


def executor_logs(document):
    return document["logs"][-1]["logs"]


def codes(document):
    return [x.get("exit_code") for x in executor_logs(document)]


@pytest.fixture
def prefix():
    """In the bucket, of one test."""
    return uuid.uuid4().hex[:8]


@pytest.mark.case("nothing is left of a task that ended")
def test_a_task_runs_and_nothing_is_left(client, sh, poiesis):
    client.run({"executors": [sh("exit 1")]}, "EXECUTOR_ERROR")
    done = client.run({"executors": [sh("echo hello; echo trouble >&2")]})
    assert [(x["exit_code"], x["stdout"], x["stderr"]) for x in executor_logs(done)] == [(0, "hello\n", "trouble\n")]
    assert done["logs"][0]["metadata"]["backend"] == "kubernetes"
    poiesis.nothing_is_left()


# --- S3 -------------------------------------------------------------------------------------------

def test_an_object_comes_in_and_one_goes_out(client, sh, services, prefix):
    url = services.put(f"{prefix}/in", b"some text")
    done = client.run({
        "inputs": [{"url": url, "path": "/data/in"}],
        "outputs": [{"url": f"s3://bucket/{prefix}/out", "path": "/data/out"}],
        "executors": [sh("tr a-z A-Z < /data/in > /data/out")]})
    assert services.object(f"{prefix}/out") == b"SOME TEXT"
    assert [(x["path"], x["size_bytes"]) for x in done["logs"][0]["outputs"]] == [("/data/out", "9")]


def test_folders_come_in_and_go_out(client, sh, services, prefix):
    for name in ["a", "deep/b", "deep/er/c"]:
        services.put(f"{prefix}/tree/{name}", name.encode())
    client.run({
        "inputs": [{"url": f"s3://bucket/{prefix}/tree", "path": "/in", "type": "DIRECTORY"}],
        "outputs": [{"url": f"s3://bucket/{prefix}/copy", "path": "/out", "type": "DIRECTORY"}],
        "executors": [sh("cp -R /in/. /out/"), sh("n=$(find /out -type f | wc -l); echo $n > /out/count")]})
    assert services.keys(f"{prefix}/copy") == [f"{prefix}/copy/{x}" for x in ["a", "count", "deep/b", "deep/er/c"]]
    assert services.object(f"{prefix}/copy/count") == b"3\n"
    assert services.object(f"{prefix}/copy/deep/er/c") == b"deep/er/c"


def test_a_large_object_arrives_whole(client, sh, services, prefix):
    done = client.run({
        "outputs": [{"url": f"s3://bucket/{prefix}/large", "path": "/w/large"}],
        "executors": [sh("head -c 150000000 /dev/urandom > /w/large; md5sum < /w/large")]})
    back = client.run({
        "inputs": [{"url": f"s3://bucket/{prefix}/large", "path": "/w/large"}], "executors": [sh("md5sum < /w/large")]})
    assert executor_logs(done)[0]["stdout"] == executor_logs(back)[0]["stdout"]


def test_outputs_come_back_after_a_failure(client, sh, services, prefix):
    done = client.run({
        "outputs": [{"url": f"s3://bucket/{prefix}/rc", "path": "/w/rc"}],
        "executors": [sh("echo 7 > /w/rc; exit 7"), sh("echo never")]}, "EXECUTOR_ERROR")
    assert codes(done) == [7] and services.object(f"{prefix}/rc") == b"7\n"


def test_a_missing_input_is_named_and_nothing_runs(client, sh, prefix):
    done = client.run({
        "inputs": [{"url": f"s3://bucket/{prefix}/nothing", "path": "/in"}], "executors": [sh("true")]}, "SYSTEM_ERROR")
    assert executor_logs(done) == [] and f"{prefix}/nothing" in system_logs(done)


def test_a_pod_s_own_identity_is_a_login(sh, second, services, prefix):
    """The token that the cluster gives to `tif` and `tof` is exchanged for a session; there is no other login."""
    url = services.put(f"{prefix}/in", b"by a session")
    done = second.client.run({
        "inputs": [{"url": url, "path": "/data/in"}], "outputs": [{"url": f"s3://bucket/{prefix}/out", "path": "/data/out"}],
        "executors": [sh("cp /data/in /data/out; ls /var/run/secrets 2>/dev/null | wc -l")]})
    assert executor_logs(done)[0]["stdout"] == "0\n"
    assert services.object(f"{prefix}/out") == b"by a session"
    forms = [x for x in services.identities() if x["claims"]["kubernetes.io"]["pod"]["name"].startswith(f"poiesis-{done['id']}")]
    assert {(x["Action"], x["RoleArn"]) for x in forms} == {
        ("AssumeRoleWithWebIdentity", "arn:aws:iam::123456789012:role/poiesis")}
    assert {x["claims"]["sub"] for x in forms} == {f"system:serviceaccount:{second.tasks.namespace}:poiesis-trec"}
    assert all(x["claims"]["aud"] == ["sts.amazonaws.com"] for x in forms)


# --- Disks ----------------------------------------------------------------------------------------

def test_a_large_disk_is_a_volume_claim(client, sh, poiesis, services, prefix):
    """Above `workspace.largest_empty_dir`, with the cluster's default storage class."""
    task_id = client.create({
        "resources": {"disk_gb": 2}, "outputs": [{"url": f"s3://bucket/{prefix}/x", "path": "/w/x"}],
        "executors": [sh("echo one > /w/x"), sh("echo two >> /w/x")]})
    claims = []
    while client.state(task_id) not in {"COMPLETE", "SYSTEM_ERROR", "EXECUTOR_ERROR"}:
        claims = poiesis.objects("persistentvolumeclaims", task_id) or claims
    assert client.get(task_id)["state"] == "COMPLETE", client.get(task_id)
    assert services.object(f"{prefix}/x") == b"one\ntwo\n"
    assert claims[0]["spec"]["resources"]["requests"]["storage"] == "2G"
    poiesis.nothing_is_left()


def test_more_than_the_disk_ends_the_task(client, sh):
    done = client.run({"resources": {"disk_gb": 0.05}, "volumes": ["/w"], "executors": [
        sh("head -c 1200000000 /dev/zero > /w/much; sleep 120")]}, "SYSTEM_ERROR", seconds=300)
    assert "disk" in system_logs(done)


# --- Memory ---------------------------------------------------------------------------------------

@pytest.mark.case("a program that needs more memory than its limit is 137")
def test_running_out_of_memory_is_137(client, sh):
    done = client.run({"resources": {"ram_gb": 0.3}, "executors": [sh("tail /dev/zero"), sh("echo never")]}, "EXECUTOR_ERROR")
    assert codes(done) == [137] and "memory" in system_logs(done)


def test_a_child_that_runs_out_of_memory_ends_the_task(client, sh):
    """The kubelet knows of it only from the shim."""
    done = client.run({"resources": {"ram_gb": 0.3}, "executors": [sh("tail /dev/zero; echo went on; exit 0"), sh("echo never")]},
                      "EXECUTOR_ERROR")
    assert codes(done) in ([0], [137]) and "memory" in system_logs(done)


# --- Images ---------------------------------------------------------------------------------------

MISSING = "127.0.0.1:1/poiesis/no-such-image:1"


def test_an_image_that_cannot_be_had_is_named(client, sh, poiesis):
    done = client.run({"executors": [sh("true", image=MISSING)]}, "SYSTEM_ERROR")
    assert MISSING in system_logs(done) and executor_logs(done) == []
    poiesis.nothing_is_left()


def test_an_image_of_a_later_executor_that_cannot_be_had(client, sh):
    done = client.run({"executors": [sh("echo first"), sh("true", image=MISSING)]}, "SYSTEM_ERROR")
    assert MISSING in system_logs(done) and [x["stdout"] for x in executor_logs(done)] == ["first\n"]


def test_an_earlier_failure_wins_over_a_later_image(client, sh):
    done = client.run({"executors": [sh("exit 9"), sh("true", image=MISSING)]}, "EXECUTOR_ERROR")
    assert codes(done) == [9]


# --- Nodes ----------------------------------------------------------------------------------------

def test_a_task_may_choose_its_node(client, sh, poiesis, kubectl):
    node = kubectl.get("nodes")[0]["metadata"]["labels"]["kubernetes.io/hostname"]
    selector = f"kubernetes.io/hostname={node}"
    task_id = client.create({"executors": [sh("true")], "resources": {"backend_parameters": {"node_selector": selector}}})
    assert poiesis.pod(task_id)["spec"]["nodeSelector"]["kubernetes.io/hostname"] == node
    assert client.wait(task_id)["state"] == "COMPLETE"


def test_a_node_that_does_not_exist_ends_the_task(client, sh):
    parameters = {"node_selector": "poiesis.io/no-node-has-this=yes"}
    done = client.run({"executors": [sh("true")], "resources": {"backend_parameters": parameters}}, "SYSTEM_ERROR")
    assert "node" in system_logs(done)


def test_what_the_operator_does_not_allow_is_refused(client, sh):
    answer = client.post({"executors": [sh("true")], "resources": {
        "backend_parameters": {"service_account": "default"}, "backend_parameters_strict": True}})
    assert answer.status_code == 400 and "service_account" in answer.text


# --- What a Pod shows -----------------------------------------------------------------------------

def test_nothing_of_what_a_task_does_stands_in_its_pod(client, sh, poiesis):
    task_id = client.create({"executors": [sh("sleep 600 # hidden-argument", env={"TOKEN": "hidden-value"})],
                             "inputs": [{"content": "hidden-content", "path": "/in"}]})
    shown = str(poiesis.wait_for_container(task_id, "exec-0"))
    client.cancel(task_id)
    client.wait(task_id, {"CANCELED"})
    assert "hidden-" not in shown


def test_an_executor_has_no_token_and_no_secret(client, sh):
    done = client.run({"executors": [sh(
        "ls /var/run/secrets /etc/poiesis /.poiesis/trec 2>/dev/null | wc -l; env | grep -ci 'password\\|secret\\|postgres'; id -u")]})
    assert executor_logs(done)[0]["stdout"] == "0\n0\n0\n"
