"""A PostgreSQL that is not the server's own, and a connection pooler before it."""

import contextlib
import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

import psycopg

from .processes import end_with_us, free_port, port_answers, wait_until

_SUPERUSER = "tester"


def _program(name):
    """Debian keeps the server's programs out of PATH; the newest release is taken."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"),
                   key=lambda path: int(re.search(r"/postgresql/(\d+)/", path).group(1)))
    path = found[-1] if found else shutil.which(name)
    assert path, f"{name} is missing; scripts/setup installs PostgreSQL"
    return path


def _as_owner(command):
    """PostgreSQL and pgbouncer refuse to run as root.

    The kernel forgets `end_with_us` when the user changes, so it is said again. QUIT ends both programs at once.
    """
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--pdeathsig", "QUIT", *command]


def _owned_folder():
    folder = tempfile.mkdtemp(prefix="poiesis-pg-", dir="/tmp")
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


class Cluster:
    """One PostgreSQL cluster on a port of loopback, without durability: only its answers matter here."""

    def __init__(self, folder, port):
        self.folder = folder
        self.port = port
        self.process = None

    def start(self):
        with open(self.folder + "/log", "ab") as log:
            self.process = subprocess.Popen(
                _as_owner([_program("postgres"), "-D", self.folder + "/data", "-p", str(self.port), "-k", self.folder,
                           "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=60"]),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", preexec_fn=end_with_us)
        wait_until(self.ready, "PostgreSQL answers")

    def stop(self):
        """At once, with every connection broken off."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(20)

    def ready(self):
        with contextlib.suppress(psycopg.Error):
            self.connect("postgres").close()
            return True
        return False

    def connect(self, database):
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=5)

    def create(self, database):
        """A new, empty database; its URL."""
        with self.connect("postgres") as connection:
            connection.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def url(self, database, port=None):
        return f"postgresql://{_SUPERUSER}@127.0.0.1:{port or self.port}/{database}"


@contextlib.contextmanager
def running_cluster():
    folder = _owned_folder()
    cluster = Cluster(folder, free_port())
    try:
        subprocess.run(_as_owner([_program("initdb"), "-D", folder + "/data", "-U", _SUPERUSER, "--auth=trust",
                                  "--encoding=UTF8", "--locale=C", "--no-sync"]),
                       check=True, capture_output=True, cwd="/")
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running_pooler(cluster):
    """pgbouncer in transaction mode; the port."""
    folder, port = _owned_folder(), free_port()
    with open(folder + "/pgbouncer.ini", "w", encoding="utf-8") as file:
        file.write(f"""[databases]
* = user={_SUPERUSER} host=127.0.0.1 port={cluster.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
ignore_startup_parameters = extra_float_digits
""")
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    with open(folder + "/log", "ab") as log:
        process = subprocess.Popen(_as_owner([program, folder + "/pgbouncer.ini"]), stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, cwd="/", preexec_fn=end_with_us)
    try:
        wait_until(lambda: port_answers(port), "pgbouncer answers")
        yield port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)
