"""Logins of storage by scope, web identities and private certificates, against servers that check each signature."""

import contextlib
import json
import uuid

import pytest

from harness.client import run, sh, system_logs, task
from harness.commands import Commands
from harness.http_files import running_http_files
from harness.s3 import running_s3
from harness.server import BINARY

ROLE = "arn:aws:iam::123456789012:role/poiesis"


@pytest.fixture
def place(scratch):
    folder = scratch / f"logins-{uuid.uuid4().hex[:12]}"
    folder.mkdir()
    return folder


@pytest.fixture
def other_s3(scratch, place):
    """Another storage with another login."""
    with running_s3(place / "s3", scratch / "other-s3.log", key="other-key", secret="other/secret+") as server:
        yield server


def bucket_of(storage):
    return storage.bucket(f"bucket-{uuid.uuid4().hex[:12]}")


def login(folder, key, secret, **more):
    """A folder as a mounted Secret is one."""
    folder.mkdir(exist_ok=True)
    for name, text in {"access_key": key, "secret_key": secret, **more}.items():
        new = folder / f".{name}"
        new.write_text(text + "\n")
        new.rename(folder / name)
    return folder


def stdout_of(document):
    return document["logs"][-1]["logs"][0]["stdout"]


def copy(source, target, script="cp /in/x /out/x"):
    return task(sh(script), inputs=[{"path": "/in/x", "url": source}], outputs=[{"path": "/out/x", "url": target}])


# --- Scopes ---------------------------------------------------------------------------------------

def test_two_storages_have_a_login_each(servers, place, s3, other_s3):
    everything = login(place / "all", s3.key, s3.secret, endpoint=s3.endpoint)
    other = login(place / "other", other_s3.key, other_s3.secret)
    server = servers(env={"POIESIS_S3_LOGINS": f"{everything},{other}={other_s3.endpoint}"})
    there, here = bucket_of(other_s3), bucket_of(s3)
    s3.put(here, "a b", b"between storages")
    url = f"{other_s3.endpoint}/{there}/a%20b/%C3%BC"
    assert server.client.run(copy(f"s3://{here}/a b", url))["logs"][0]["outputs"][0]["url"] == url
    assert other_s3.get(there, "a b/ü") == b"between storages"
    server.client.run(copy(url, f"s3://{here}/back"))
    assert s3.get(here, "back") == b"between storages"
    storage = server.client.request("GET", "/service-info").json()["storage"]
    assert {"s3://", f"{other_s3.endpoint}/"} <= set(storage)


def test_folders_come_and_go_by_the_endpoints_url(servers, place, other_s3):
    other = login(place / "other", other_s3.key, other_s3.secret)
    server = servers(env={"POIESIS_S3_LOGINS": f"{other}={other_s3.endpoint}"})
    bucket = bucket_of(other_s3)
    for key in ["tree/a b", "tree/sub/c+d%20e"]:
        other_s3.put(bucket, key, key.encode())
    base = f"{other_s3.endpoint}/{bucket}"
    server.client.run(task(sh("cp -r /in/. /out"),
                           inputs=[{"path": "/in", "url": f"{base}/tree", "type": "DIRECTORY"}],
                           outputs=[{"path": "/out", "url": f"{base}/copy", "type": "DIRECTORY"}]))
    assert other_s3.keys(bucket, "copy/") == ["copy/a b", "copy/sub/c+d%20e"]
    # The only login is for every bucket.
    assert stdout_of(server.client.run(task(run("cat", "/in/x"), inputs=[
        {"path": "/in/x", "url": f"s3://{bucket}/copy/sub/c+d%20e"}]))) == "tree/sub/c+d%20e"


def test_a_bucket_has_a_login_of_its_own(servers, place, s3, other_s3):
    bucket = bucket_of(other_s3)
    own = login(place / "own", other_s3.key, other_s3.secret, endpoint=other_s3.endpoint)
    server = servers(env=s3.environment(POIESIS_S3_LOGINS=f"{own}=s3://{bucket}"))
    url = s3.put(bucket_of(s3), "x", b"by the bucket's login")
    server.client.run(copy(url, f"s3://{bucket}/x"))
    assert other_s3.get(bucket, "x") == b"by the bucket's login"
    assert f"s3://{bucket}/" in server.client.request("GET", "/service-info").json()["storage"]


def test_logins_can_stand_in_the_configuration_file(servers, place, other_s3):
    own = login(place / "own", other_s3.key, other_s3.secret, endpoint=other_s3.endpoint)
    configuration = place / "config.yaml"
    configuration.write_text(f"s3:\n  logins:\n    - {own}\n")
    server = servers(arguments=["--config", str(configuration)])
    url = other_s3.put(bucket_of(other_s3), "x", b"x")
    assert stdout_of(server.client.run(task(run("cat", "/in/x"), inputs=[{"path": "/in/x", "url": url}]))) == "x"


# --- Secrets change -------------------------------------------------------------------------------

def test_a_login_may_change_while_a_task_runs(servers, place, scratch):
    log = scratch / "rotated-s3.log"
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(running_s3(place / "s3", log, key="old-key", secret="old-secret"))
        folder = login(place / "login", old.key, old.secret, endpoint=old.endpoint)
        server = servers(env={"POIESIS_S3_LOGINS": str(folder)})
        bucket = bucket_of(old)
        url = old.put(bucket, "x", b"rotated")
        running = server.client.create(copy(url, f"s3://{bucket}/y", "cp /in/x /out/x; sleep 3"))
        server.client.wait(running, {"RUNNING"})
        port = old.port
    with running_s3(place / "s3", log, key="new-key", secret="new-secret", port=port) as new:
        login(folder, new.key, new.secret)
        done = server.client.wait(running)
        assert done["state"] == "COMPLETE", done
        assert new.get(bucket, "y") == b"rotated"
    assert "secret" not in server.log_text()


@pytest.mark.parametrize("entry, told", [("secret_key", "has no secret_key"), ("access_key", "has no access_key")])
def test_an_incomplete_login_is_named_at_the_start(place, scratch, entry, told):
    folder = login(place / "login", "the-key", "the-secret")
    (folder / entry).unlink()
    ended = Commands(place / "home")("serve", "--listen", "127.0.0.1:0", env={"POIESIS_S3_LOGINS": str(folder)})
    assert (ended.returncode, f"{folder} {told}" in ended.stderr) == (1, True), ended.stderr
    assert "the-" not in ended.stderr


@pytest.mark.parametrize("logins, told", [
    ("/nowhere/login", "the folder /nowhere/login of s3.logins does not exist"),
    ("/tmp=minio.lab", "/tmp=minio.lab is no login: write FOLDER"),
    ("/tmp=https://KEY:SECRET@minio.lab", "…@minio.lab is no login: write FOLDER"), ("/tmp,/tmp", "are both for everything"),
])
def test_wrong_logins_are_told_at_the_start(place, logins, told):
    ended = Commands(place / "home")("serve", "--listen", "127.0.0.1:0", env={"POIESIS_S3_LOGINS": logins})
    assert (ended.returncode, told in ended.stderr) == (64, True), ended.stderr
    assert "SECRET" not in ended.stderr


def test_an_endpoint_with_a_login_in_it_is_not_shown(place):
    ended = Commands(place / "home")(
        "serve", "--listen", "127.0.0.1:0", env={"POIESIS_S3_ENDPOINT": "https://KEY:SEC/RET@minio.lab"})
    assert (ended.returncode, "s3.endpoint must be https://HOST" in ended.stderr) == (64, True), ended.stderr
    assert "…@minio.lab" in ended.stderr and "KEY" not in ended.stderr and "RET" not in ended.stderr


# --- Web identity ---------------------------------------------------------------------------------

def identity(place, sts, token):
    """The variables that every program of Amazon's SDKs reads."""
    file = place / "token"
    file.write_text(token)
    sts.tokens = {token}
    return {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_ENDPOINT_URL": sts.url}


def test_a_web_identity_is_a_login(servers, place, s3, sts):
    server = servers(env=identity(place, sts, "token-one"))
    bucket = bucket_of(s3)
    url = s3.put(bucket, "x", b"by a session")
    server.client.run(copy(url, f"s3://{bucket}/y"))
    assert s3.get(bucket, "y") == b"by a session"
    assert [(form["RoleArn"], form["WebIdentityToken"]) for form in sts.exchanges] == [(ROLE, "token-one")]


def test_a_session_that_ends_while_a_task_runs_is_renewed_with_the_token_of_then(servers, place, s3, sts):
    server = servers(env=identity(place, sts, "token-one"))
    bucket = bucket_of(s3)
    url = s3.put(bucket, "x", b"by two sessions")
    running = server.client.create(copy(url, f"s3://{bucket}/y", "cp /in/x /out/x; sleep 2"))
    server.client.wait(running, {"RUNNING"})
    identity(place, sts, "token-two")
    sts.expire_all()
    assert server.client.wait(running)["state"] == "COMPLETE"
    assert s3.get(bucket, "y") == b"by two sessions"
    assert [form["WebIdentityToken"] for form in sts.exchanges] == ["token-one", "token-two"]
    assert "token-" not in server.log_text()


def test_a_refused_web_identity_is_explained(servers, place, s3, sts):
    server = servers(env=identity(place, sts, "token-one"))
    sts.tokens = set()
    url = s3.put(bucket_of(s3), "x", b"x")
    logs = system_logs(server.client.run(copy(url, url), "SYSTEM_ERROR"))
    assert ROLE in logs and sts.url in logs and "InvalidIdentityToken" in logs and str(place / "token") in logs
    assert "token-one" not in logs


# --- Private certificates -------------------------------------------------------------------------

@pytest.fixture
def tls_s3(scratch, place, certificates):
    with running_s3(place / "tls-s3", scratch / "tls-s3.log", certificates=certificates) as server:
        yield server


def test_storage_with_a_private_certificate_is_used(servers, tls_s3, certificates):
    server = servers(env=tls_s3.environment(POIESIS_CA_FILE=str(certificates.authority)))
    bucket = bucket_of(tls_s3)
    url = tls_s3.put(bucket, "x", b"over tls")
    server.client.run(copy(url, f"s3://{bucket}/y"))
    assert tls_s3.get(bucket, "y") == b"over tls"


def test_inputs_come_over_https_with_a_private_certificate(servers, certificates):
    with running_http_files(certificates) as files:
        server = servers(env={"POIESIS_TLS_CA_FILE": str(certificates.authority)})
        url = files.put("x", b"over tls")
        assert stdout_of(server.client.run(task(run("cat", "/in/x"), inputs=[{"path": "/in/x", "url": url}]))) == "over tls"


def test_a_private_certificate_is_refused_with_the_remedy(servers, tls_s3):
    server = servers(env=tls_s3.environment())
    url = tls_s3.put(bucket_of(tls_s3), "x", b"x")
    logs = system_logs(server.client.run(copy(url, url), "SYSTEM_ERROR"))
    assert tls_s3.endpoint in logs and "tls.ca_file" in logs


def test_a_file_without_certificates_is_told_at_the_start(place):
    file = place / "ca.crt"
    file.write_text("none")
    ended = Commands(place / "home")("serve", "--listen", "127.0.0.1:0", env={"POIESIS_CA_FILE": str(file)})
    assert (ended.returncode, str(file) in ended.stderr) == (1, True), ended.stderr


def test_commands_reach_a_server_with_a_private_certificate(place, certificates):
    commands = Commands(place / "home")
    with running_http_files(certificates) as files:
        refused = commands("task", "list", "--url", files.url)
        reached = commands("task", "list", "--url", files.url, env={"POIESIS_CA_FILE": str(certificates.authority)})
    assert (refused.returncode, "certificate" in refused.stderr) == (69, True), refused.stderr
    assert (reached.returncode, "status 404" in reached.stderr) == (69, True), reached.stderr


# --- The parts of a Pod ---------------------------------------------------------------------------

class Pod:
    """The folders of a TaskPod, in which `tif` and `tof` run as containers would."""

    def __init__(self, place):
        self.control = place / "control"
        self.workspace = place / "workspace"
        self.workspace.mkdir()
        self.commands = Commands(place / "home")

    def run(self, part, document, env):
        (self.control / part).mkdir(parents=True)
        fields = [("owner", ""), ("task", json.dumps(document))]
        (self.control / part / "plan").write_bytes(b"".join(
            f"{name} {len(text.encode())}\n{text}\n".encode() for name, text in fields))
        more = ["--shim", BINARY.rpartition("/")[0]] if part == "tif" else []
        ended = self.commands(part, "--control", self.control, "--workspace", self.workspace, *more, env=env)
        return ended, (self.control / part / "result").read_text()


def test_the_parts_of_a_pod_use_its_secrets(place, s3, sts, tls_s3, certificates):
    pod = Pod(place)
    own = login(place / "tls", tls_s3.key, tls_s3.secret)
    env = {**identity(place, sts, "token-one"), "POIESIS_S3_LOGINS": f"{own}={tls_s3.endpoint}",
           "POIESIS_CA_FILE": str(certificates.authority)}
    bucket, tls_bucket = bucket_of(s3), bucket_of(tls_s3)
    s3.put(bucket, "x", b"by a session")
    tls_s3.put(tls_bucket, "y", b"by a login")
    document = task("true", inputs=[{"path": "/in/x", "url": f"s3://{bucket}/x", "type": "FILE"},
                                    {"path": "/in/y", "url": f"{tls_s3.endpoint}/{tls_bucket}/y", "type": "FILE"}],
                    outputs=[{"path": "/in/y", "url": f"s3://{bucket}/out", "type": "FILE"},
                             {"path": "/in/x", "url": f"{tls_s3.endpoint}/{tls_bucket}/out", "type": "FILE"}])
    ended, result = pod.run("tif", document, env)
    assert ended.returncode == 0, (ended, result)
    assert (pod.workspace / "fs/in/x").read_bytes() + (pod.workspace / "fs/in/y").read_bytes() == b"by a sessionby a login"
    ended, result = pod.run("tof", document, env)
    assert ended.returncode == 0, (ended, result)
    assert s3.get(bucket, "out") + tls_s3.get(tls_bucket, "out") == b"by a loginby a session"


@pytest.mark.parametrize("part", ["tif", "tof"])
def test_a_part_whose_attempt_has_ended_waits_no_longer(place, part):
    pod = Pod(place)
    pod.control.mkdir()
    (pod.control / "verdict").write_text("1\n")
    ended = pod.commands(part, "--control", pod.control, "--workspace", pod.workspace)
    assert ended.returncode == 1, ended


def test_a_secret_without_an_entry_is_named_in_the_result(place, s3):
    pod = Pod(place)
    own = login(place / "login", s3.key, s3.secret, endpoint=s3.endpoint)
    (own / "secret_key").unlink()
    url = s3.put(bucket_of(s3), "x", b"x")
    ended, result = pod.run("tif", task("true", inputs=[{"path": "/in/x", "url": url, "type": "FILE"}]),
                            {"POIESIS_S3_LOGINS": str(own)})
    assert ended.returncode == 1 and f"{own} has no secret_key" in result, (ended, result)
