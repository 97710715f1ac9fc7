"""PostgreSQL, an S3 server that checks signatures, and an STS, in a namespace of the cluster."""

import base64
import contextlib
import json
import secrets
import urllib.parse

import boto3
import botocore.config

from harness.processes import wait_until

from .kubectl import PortForward

# The official image and Debian's packages have the same user and nearly the same folders.
_POSTGRESQL = r"""
set -e
PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
export PATH
as_owner() { su postgres -s /bin/sh -c "PATH=$PATH exec $*"; }
if [ ! -s /data/db/PG_VERSION ]; then
    install -d -o postgres -g postgres -m 700 /data/db
    install -o postgres -m 600 /etc/postgresql-password/password /data/password
    as_owner initdb --pgdata /data/db --username postgres --auth scram-sha-256 --pwfile /data/password --no-sync >/dev/null
    echo 'host all all all scram-sha-256' >> /data/db/pg_hba.conf
    echo 'local all all trust' > /data/db/pg_hba.new
    cat /data/db/pg_hba.conf >> /data/db/pg_hba.new
    cat /data/db/pg_hba.new > /data/db/pg_hba.conf
fi
trap 'kill -INT $(head -n 1 /data/db/postmaster.pid); exit 0' TERM
while :; do
    rm -f /data/db/postmaster.pid
    as_owner postgres -D /data/db -k /tmp -c listen_addresses='*' -c fsync=off -c max_connections=200 &
    wait $! || true
    while [ -e /data/pause ]; do sleep 0.2; done
done
"""

# busybox serves it at `/`. Whoever comes with a token gets the one login; the tests read what came.
# https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
_STS = r"""#!/bin/sh
head -c "$CONTENT_LENGTH" >> /data/exchanges
echo >> /data/exchanges
expiration=$(date -u -d "@$(($(date +%s) + 3600))" +%Y-%m-%dT%H:%M:%SZ)
printf 'Content-Type: text/xml

'
cat <<ANSWER
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>
<SessionToken>a/session+=</SessionToken><SecretAccessKey>$SECRET</SecretAccessKey><Expiration>$expiration</Expiration>
<AccessKeyId>$KEY</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>
ANSWER
"""

KEY = "poiesis-test-key"


class Services:
    """What a site has beside its cluster."""

    def __init__(self, kubectl, images):
        self.kubectl = kubectl
        self.password = secrets.token_urlsafe(12)
        self.secret = "poiesis/test+" + secrets.token_urlsafe(12)  # characters that a careless signer trips over
        self._images = images
        self._storage = PortForward(kubectl, "service/storage", 8333)
        self.database_host = f"database.{kubectl.namespace}.svc"
        self.endpoint = f"http://storage.{kubectl.namespace}.svc:8333"
        self.sts = f"http://sts.{kubectl.namespace}.svc:8080"

    def start(self):
        # A child of the shell: the kernel keeps signals such as STOP from a container's first process.
        storage = f"mkdir -p /data/bucket && rclone serve s3 --addr 0.0.0.0:8333 --auth-key '{KEY},{self.secret}' " \
                  "--vfs-cache-mode off --config /dev/null /data & echo $! > /data/pid; wait"
        sts = "mkdir -p /data/www/cgi-bin && printf '%s' \"$SCRIPT\" > /data/www/cgi-bin/index.cgi && chmod 755 /data/www/cgi-bin/index.cgi && " \
              "exec httpd -f -p 8080 -h /data/www"
        self.kubectl.apply([
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "postgresql"}, "stringData": {"password": self.password}},
            self._service("database", 5432), self._service("storage", 8333), self._service("sts", 8080),
            self._deployment("sts", self._images.executor, sts, 8080, {"SCRIPT": _STS, "KEY": KEY, "SECRET": self.secret}),
            self._deployment("database", self._images.database, _POSTGRESQL, 5432),
            self._deployment("storage", self._images.storage, storage, 8333)])
        for name in ["database", "storage", "sts"]:
            self.kubectl.run("rollout", "status", f"deployment/{name}", "--timeout=300s", seconds=320)

    @staticmethod
    def _service(name, port):
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                "spec": {"selector": {"app": name}, "ports": [{"port": port}]}}

    @staticmethod
    def _deployment(name, image, script, port, variables=None):
        container = {
            "name": name, "image": image, "command": ["sh", "-c", script],
            "env": [{"name": key, "value": value} for key, value in (variables or {}).items()],
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
            "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
            "volumeMounts": [{"name": "data", "mountPath": "/data"},
                             {"name": "password", "mountPath": "/etc/postgresql-password", "readOnly": True}]}
        volumes = [{"name": "data", "emptyDir": {}}, {"name": "password", "secret": {"secretName": "postgresql"}}]
        pod = {"containers": [container], "volumes": volumes, "automountServiceAccountToken": False,
               "terminationGracePeriodSeconds": 2}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
                "spec": {"selector": {"matchLabels": {"app": name}}, "strategy": {"type": "Recreate"},
                         "template": {"metadata": {"labels": {"app": name}}, "spec": pod}}}

    # --- Database -------------------------------------------------------------------------------------

    def sql(self, text, database="postgres"):
        """Runs SQL as the superuser; its rows as psql prints them without ornament."""
        return self.kubectl.execute(
            "deployment/database", "psql", "--host", "/tmp", "--username", "postgres", "--dbname", database, "--no-psqlrc",
            "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", stdin=text)

    def database_url(self, user, password, database):
        return f"postgresql://{user}:{password}@{self.database_host}/{database}"

    @contextlib.contextmanager
    def database_away(self):
        """PostgreSQL ends at once, with every connection broken off, and stays away; in the end it answers again."""
        self._database_shell("touch /data/pause; kill -QUIT $(head -n 1 /data/db/postmaster.pid)")
        try:
            yield
        finally:
            self._database_shell("rm -f /data/pause")
            wait_until(self._answers, "PostgreSQL is back", 60, 0.2)

    def _answers(self):
        return self.kubectl.execute("deployment/database", "psql", "--host", "/tmp", "--username", "postgres", "--command", "SELECT 1",
                                    check=False).returncode == 0

    def _database_shell(self, script):
        self.kubectl.execute("deployment/database", "sh", "-c", script)

    # --- Storage --------------------------------------------------------------------------------------

    def _client(self):
        config = botocore.config.Config(
            s3={"addressing_style": "path"}, retries={"max_attempts": 5}, request_checksum_calculation="when_required",
            response_checksum_validation="when_required")
        return boto3.client("s3", endpoint_url=self._storage.url, region_name="us-east-1", aws_access_key_id=KEY,
                            aws_secret_access_key=self.secret, config=config)

    def put(self, key, body):
        """The URL that tasks find it at."""
        self._client().put_object(Bucket="bucket", Key=key, Body=body)
        return f"s3://bucket/{key}"

    def object(self, key):
        """None where there is none."""
        client = self._client()
        try:
            return client.get_object(Bucket="bucket", Key=key)["Body"].read()
        except client.exceptions.NoSuchKey:
            return None

    def keys(self, prefix):
        pages = self._client().get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=prefix)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))

    @contextlib.contextmanager
    def storage_hangs(self):
        """The S3 server takes connections and answers nothing."""
        self.kubectl.execute("deployment/storage", "sh", "-c", "kill -STOP $(cat /data/pid)")
        try:
            yield
        finally:
            self.kubectl.execute("deployment/storage", "sh", "-c", "kill -CONT $(cat /data/pid)")

    def identities(self):
        """What was asked of the STS: each form, with the claims of its token."""
        text = self.kubectl.execute("deployment/sts", "cat", "/data/exchanges")
        forms = [dict(urllib.parse.parse_qsl(line)) for line in text.splitlines()]
        for form in forms:
            payload = form["WebIdentityToken"].split(".")[1]
            form["claims"] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return forms

    # --- Nodes ----------------------------------------------------------------------------------------

    def on_node(self, node, image):
        """A Pod, for `execute`, that sees and may kill every process of a node."""
        name = "on-node-" + secrets.token_hex(3)
        container = {"name": "shell", "image": image, "command": ["sleep", "100000"], "securityContext": {"privileged": True}}
        self.kubectl.apply([{
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"nodeName": node, "hostPID": True, "restartPolicy": "Never", "automountServiceAccountToken": False,
                     "terminationGracePeriodSeconds": 1, "tolerations": [{"operator": "Exists"}], "containers": [container]}}])
        self.kubectl.run("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
        return f"pod/{name}"

    def close(self):
        self._storage.close()
