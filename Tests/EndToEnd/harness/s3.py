"""An S3 server that checks signatures, and an S3 client that is not ours."""

import contextlib
import pathlib
import subprocess
import sys
import time

import boto3
import botocore.config

from .processes import end_with_us, free_port, port_answers, wait_until

KEY = "poiesis-test-key"
SECRET = "poiesis/test+secret"  # the characters that a careless signer trips over


class S3:
    """Buckets are folders below `root`."""

    def __init__(self, port, root, key=KEY, secret=SECRET, certificates=None):
        self.port = port
        self.endpoint = f"{'https' if certificates else 'http'}://127.0.0.1:{port}"
        self.root = root
        self.key = key
        self.secret = secret
        self.verify = str(certificates.authority) if certificates else None

    def environment(self, **more):
        """What a server needs in order to use it."""
        return {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT_URL_S3": self.endpoint, **more}

    def bucket(self, name):
        (self.root / name).mkdir(exist_ok=True)
        # What the server knows of its folders may be 50 ms old: with less it does nothing but look.
        time.sleep(0.1)
        return name

    def client(self, secret=None):
        # Checksums only where they are required: botocore's newer ones confuse servers that do not know them.
        config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1},
                                        request_checksum_calculation="when_required",
                                        response_checksum_validation="when_required")
        return boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1",
                            aws_access_key_id=self.key, aws_secret_access_key=secret or self.secret, config=config,
                            verify=self.verify)

    def put(self, bucket, key, body):
        self.client().put_object(Bucket=bucket, Key=key, Body=body)
        return f"s3://{bucket}/{key}"

    def get(self, bucket, key):
        return self.client().get_object(Bucket=bucket, Key=key)["Body"].read()

    def keys(self, bucket, prefix=""):
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))


@contextlib.contextmanager
def running_s3(root, log, key=KEY, secret=SECRET, port=None, certificates=None):
    """With certificates it speaks HTTPS alone."""
    root.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    rclone = pathlib.Path(sys.executable).parent / "rclone"
    tls = ["--cert", certificates.server, "--key", certificates.key] if certificates else []
    with open(log, "ab") as output:
        process = subprocess.Popen(
            [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{key},{secret}", *tls,
             "--vfs-cache-mode", "off", "--dir-cache-time", "50ms", "--config", "/dev/null", str(root)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=end_with_us)
    try:
        wait_until(lambda: port_answers(port), "the S3 server answers")
        yield S3(port, root, key, secret, certificates)
    finally:
        process.terminate()
        process.wait(10)
