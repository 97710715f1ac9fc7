"""Inputs and outputs by S3, against a server that checks each signature."""

import hashlib
import os
import uuid

import pytest

from harness.client import run, sh, system_logs, task


WRONG_SECRET = "not-the-secret-5309"


@pytest.fixture
def bucket(s3):
    return s3.bucket(f"bucket-{uuid.uuid4().hex[:12]}")


def stdout_of(document):
    return document["logs"][-1]["logs"][0]["stdout"]


def cat(url):
    return task(run("cat", "/in/x"), inputs=[{"path": "/in/x", "url": url}])


KEYS = ["plain", "with/slashes/deep", "a b", "a+b", "ü/日本語", "a%20b", "a'b(c)!*", "a=b&c", "a:b@c,d;e", "~tilde_",
        "#x?y"]


@pytest.mark.parametrize("key", KEYS)
def test_an_object_is_brought(client, s3, bucket, key):
    s3.put(bucket, key, b"from s3")
    assert stdout_of(client.run(cat(f"s3://{bucket}/{key}"))) == "from s3"


@pytest.mark.parametrize("key", KEYS)
def test_an_object_is_written(client, s3, bucket, key):
    client.run(task("printf x > /o/x", outputs=[{"path": "/o/x", "url": f"s3://{bucket}/{key}"}]))
    assert s3.get(bucket, key) == b"x"


@pytest.mark.parametrize("size", [0, 1, 30_000_000])
def test_an_object_goes_there_and_back_whole(client, s3, bucket, size):
    body = os.urandom(size)
    s3.put(bucket, "in", body)
    client.run(task("cp /in/x /o/x", inputs=[{"path": "/in/x", "url": f"s3://{bucket}/in"}],
                    outputs=[{"path": "/o/x", "url": f"s3://{bucket}/out"}]))
    assert hashlib.md5(s3.get(bucket, "out")).digest() == hashlib.md5(body).digest()


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_folder_is_brought(client, s3, bucket, slash):
    for key in ["tree/a", "tree/sub/b", "treetop", "other"]:
        s3.put(bucket, key, key.encode())
    ended = client.run(task(sh("find . -type f | sort", workdir="/in"), inputs=[
        {"path": "/in", "url": f"s3://{bucket}/tree{slash}", "type": "DIRECTORY"}]))
    assert stdout_of(ended).split() == ["./a", "./sub/b"]


@pytest.mark.slow
def test_a_folder_of_more_than_one_page_is_brought(client, s3, bucket):
    # A list answer holds at most a thousand keys. Written behind the server's back: it is faster.
    for number in range(1100):
        (s3.root / bucket / "many").mkdir(exist_ok=True)
        (s3.root / bucket / "many" / f"{number:04}").write_text("x")
    ended = client.run(task("ls /in | wc -l", inputs=[
        {"path": "/in", "url": f"s3://{bucket}/many", "type": "DIRECTORY"}]), seconds=120)
    assert stdout_of(ended).strip() == "1100"


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_folder_is_written(client, s3, bucket, slash):
    client.run(task("mkdir -p /o/d/e; echo > /o/a; echo > /o/d/b; echo > '/o/d/e/c d'", outputs=[
        {"path": "/o", "url": f"s3://{bucket}/tree{slash}", "type": "DIRECTORY"}]))
    assert s3.keys(bucket) == ["tree/a", "tree/d/b", "tree/d/e/c d"]


def test_a_pattern_is_written(client, s3, bucket):
    client.run(task("mkdir /o/d; echo > /o/a.txt; echo > /o/d/b.txt; echo > /o/c.log", outputs=[
        {"path": "/o/**/*.txt", "path_prefix": "/o", "url": f"s3://{bucket}/results/"}]))
    assert s3.keys(bucket) == ["results/a.txt", "results/d/b.txt"]


def test_the_sizes_of_objects_are_logged(client, bucket):
    ended = client.run(task("printf 12345 > /o/x", outputs=[{"path": "/o/x", "url": f"s3://{bucket}/x"}]))
    assert ended["logs"][0]["outputs"] == [{"url": f"s3://{bucket}/x", "path": "/o/x", "size_bytes": "5"}]


def test_a_missing_object_is_named(client, bucket):
    url = f"s3://{bucket}/missing"
    assert url in system_logs(client.run(cat(url), "SYSTEM_ERROR"))


def test_an_empty_prefix_of_a_folder_is_named(client, bucket):
    url = f"s3://{bucket}/nothing-here"
    ended = client.run(task("true", inputs=[{"path": "/in", "url": url, "type": "DIRECTORY"}]), "SYSTEM_ERROR")
    assert url in system_logs(ended)


@pytest.mark.parametrize("direction", ["inputs", "outputs"])
def test_a_missing_bucket_is_named(client, direction):
    url = "s3://no-such-bucket/x"
    ended = client.run(task("mkdir -p /f; echo > /f/x", **{direction: [{"path": "/f/x", "url": url}]}), "SYSTEM_ERROR")
    assert "no-such-bucket" in system_logs(ended)


# --- Servers with other settings ------------------------------------------------------------------

@pytest.fixture
def refused(servers, s3):
    """A client of a server whose S3 secret is wrong."""
    return servers(env=s3.environment(AWS_SECRET_ACCESS_KEY=WRONG_SECRET)).client


def test_refused_credentials_are_explained(refused, s3, bucket):
    url = s3.put(bucket, "x", b"x")
    logs = system_logs(refused.run(cat(url), "SYSTEM_ERROR"))
    assert (url in logs, "credential" in logs.lower() or "403" in logs) == (True, True), logs


def test_credentials_never_appear(refused, s3, bucket):
    s3.put(bucket, "x", b"x")
    assert WRONG_SECRET not in system_logs(refused.run(cat(f"s3://{bucket}/x"), "SYSTEM_ERROR"))


def test_missing_credentials_are_explained(servers, s3, bucket):
    url = s3.put(bucket, "x", b"x")
    server = servers(env={"AWS_ENDPOINT_URL_S3": s3.endpoint, "AWS_REGION": "us-east-1"})
    logs = system_logs(server.client.run(cat(url), "SYSTEM_ERROR"))
    assert "credential" in logs.lower() and url in logs


def test_an_unreachable_endpoint_is_named(servers, s3):
    server = servers(env=s3.environment(AWS_ENDPOINT_URL_S3="http://127.0.0.1:1"))
    ended = server.client.run(cat("s3://bucket/x"), "SYSTEM_ERROR")
    assert "127.0.0.1:1" in system_logs(ended)


def test_secrets_are_never_logged(server, s3, client, bucket):
    s3.put(bucket, "x", b"x")
    client.run(cat(f"s3://{bucket}/x"))
    assert s3.environment()["AWS_SECRET_ACCESS_KEY"] not in server.log_text()
