"""The other tests believe what these servers say: so they must really refuse, fail and count as they claim."""

import boto3
import botocore
import botocore.config
import botocore.exceptions
import psycopg
import pytest
import requests

from harness.client import BUSYBOX
from harness.database import running_pooler
from harness.engine import script
from harness.processes import processes_of
from harness.s3 import running_s3


def test_engine_has_the_busybox_image(engine):
    assert engine.request("GET", f"/images/{BUSYBOX}/json")["Id"]


def test_engine_tells_the_number_of_processors(engine):
    assert engine.cpus() >= 1


def test_s3_returns_what_was_put(s3):
    s3.put(s3.bucket("harness"), "a b+c/ü", b"content")
    assert s3.get("harness", "a b+c/ü") == b"content"


def test_s3_refuses_a_wrong_secret(s3):
    s3.bucket("harness")
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        s3.client(secret="wrong").put_object(Bucket="harness", Key="x", Body=b"x")
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_s3_refuses_an_unsigned_request(s3):
    s3.bucket("harness")
    assert requests.get(f"{s3.endpoint}/harness").status_code >= 400


def amazons_client(sts, token):
    """STS as Amazon's own client speaks it: the answer, or the error's code."""
    client = boto3.client("sts", endpoint_url=sts.url, region_name="us-east-1",
                          config=botocore.config.Config(signature_version=botocore.UNSIGNED))
    try:
        return client.assume_role_with_web_identity(RoleArn="arn:aws:iam::123456789012:role/r",
                                                    RoleSessionName="test", WebIdentityToken=token)["Credentials"]
    except botocore.exceptions.ClientError as refusal:
        return refusal.response["Error"]["Code"]


def session_client(sts, session):
    return boto3.client("s3", endpoint_url=sts.url, region_name="us-east-1",
                        aws_access_key_id=session["AccessKeyId"], aws_secret_access_key=session["SecretAccessKey"],
                        aws_session_token=session["SessionToken"],
                        config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}))


def test_sts_gives_amazons_client_a_session_that_the_storage_takes(sts, s3):
    s3.put(s3.bucket("harness"), "session", b"content")
    sts.tokens = {"good-token"}
    assert amazons_client(sts, "bad-token") == "InvalidIdentityToken"
    session = amazons_client(sts, "good-token")
    storage = session_client(sts, session)
    assert storage.get_object(Bucket="harness", Key="session")["Body"].read() == b"content"
    sts.expire_all()
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        storage.get_object(Bucket="harness", Key="session")
    assert refusal.value.response["Error"]["Code"] == "ExpiredToken"


def test_s3_over_tls_needs_its_authority(scratch, certificates):
    with running_s3(scratch / "s3-tls-harness", scratch / "s3-tls-harness.log", certificates=certificates) as s3:
        s3.put(s3.bucket("harness"), "x", b"content")
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(s3.endpoint)


def test_http_files_fail_as_often_as_told(http_files):
    url = http_files.put("harness-503", b"content", fail=2)
    assert [requests.get(url).status_code for _ in range(3)] == [503, 503, 200]


def test_http_files_break_off_as_often_as_told(http_files):
    url = http_files.put("harness-short", b"0123456789", short=1)
    with pytest.raises(requests.exceptions.RequestException):
        requests.get(url)
    assert requests.get(url).content == b"0123456789"


def test_http_files_count_requests(http_files):
    url = http_files.put("harness-count", b"x")
    requests.head(url)
    requests.get(url)
    assert http_files.gets("harness-count") == 1


def test_registry_hands_out_an_image_that_the_engine_can_pull(engine, registry):
    engine.request("POST", "/images/create", fromImage=registry.image)
    try:
        assert engine.request("GET", f"/images/{registry.image}/json")["Os"] == "linux"
    finally:
        engine.remove_image(registry.image)


def test_cluster_answers_sql(cluster):
    with cluster.connect("postgres") as connection:
        assert connection.execute("SELECT 6 * 7").fetchone() == (42,)


def test_pooler_answers_sql(cluster):
    with running_pooler(cluster) as port, psycopg.connect(cluster.url("postgres", port), autocommit=True) as connection:
        assert connection.execute("SELECT 6 * 7").fetchone() == (42,)


def test_processes_of_a_folder_are_found(cluster):
    assert any("postgres" in command for command in processes_of(cluster.folder).values())


def test_engine_script_leaves_a_folder_alone_that_is_not_its_own(tmp_path):
    (tmp_path / "precious").write_text("keep")
    with pytest.raises(AssertionError, match="left as it is"):
        script("engine", "stop", str(tmp_path))
    assert (tmp_path / "precious").read_text() == "keep"
