"""The images that the tests need, and how they reach the cluster.

A cluster that pulls from registries takes public ones. One that cannot (kind, k3s, minikube) says with IMPORT how an archive gets
into it; then all are made here.
"""

import hashlib
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass

from harness.engine import running_engine, script
from harness.processes import BUILD, REPOSITORY

IMPORT = os.environ.get("IMPORT", "")
IMAGE = os.environ.get("IMAGE", "")


@dataclass
class Images:
    poiesis: str
    executor: str
    database: str
    storage: str


def _import(archive):
    command = f"{IMPORT} {shlex.quote(str(archive))}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"IMPORT: {command} ended with {done.returncode}\n{done.stdout}{done.stderr}"


def _name(archive):
    """What the archive says that its image is called."""
    with tarfile.open(archive) as file:
        return json.load(file.extractfile("manifest.json"))[0]["RepoTags"][0]


def _own_image():
    """The one that `make image` made."""
    archives = (REPOSITORY / "dist").glob(f"poiesis-*-image-{os.uname().machine}.tar")
    archive = max(archives, key=lambda path: path.stat().st_mtime, default=None)
    assert archive, "there is no image in dist/: type `make image`, or name one that the cluster can pull with IMAGE="
    assert IMPORT, (
        f"the cluster has no way to {archive}: push it to a registry and type `make test-kubernetes IMAGE=registry/name:tag`, or say how "
        "an archive gets into the cluster with IMPORT='kind load image-archive' (k3s: IMPORT='sudo k3s ctr images import')")
    _import(archive)
    return _name(archive)


def prepare(folder: pathlib.Path, say) -> Images:
    """Makes and imports what is to be imported. `say` is told what goes on."""
    say("images")
    poiesis = IMAGE or _own_image()
    if not IMPORT:
        return Images(
            poiesis, executor=os.environ.get("EXECUTOR_IMAGE", "docker.io/library/busybox:1.37"),
            database=os.environ.get("POSTGRES_IMAGE", "docker.io/library/postgres:17"),
            storage=os.environ.get("RCLONE_IMAGE", "docker.io/rclone/rclone:1"))
    archives = [_archive("busybox"), _archive("services")]
    if not all(archive.exists() for archive in archives):
        _make(folder, *archives)
    for archive in archives:
        _import(archive)
    executor, services = (_name(archive) for archive in archives)
    return Images(poiesis, executor, services, services)


def _archive(name):
    """Kept from one run to the next, while what it is made by and of is the same."""
    rclone = _rclone().stat()
    made_by = hashlib.sha256((REPOSITORY / "scripts" / "image").read_bytes() + pathlib.Path(__file__).read_bytes())
    made_by.update(f"{rclone.st_size} {rclone.st_mtime_ns}".encode())
    return BUILD / "images" / f"kubernetes-{name}-{made_by.hexdigest()[:16]}.tar"


def _rclone():
    return pathlib.Path(sys.executable).parent / "rclone"


def _make(folder, executor_archive, services_archive):
    executor, base, services = (f"poiesis-kubernetes/{name}:1" for name in ["busybox", "postgresql", "services"])
    for old in executor_archive.parent.glob("kubernetes-*.tar"):
        old.unlink()
    with running_engine() as engine:
        try:
            engine.add_busybox(executor)
            script("image", "debian", engine.url, base, "postgresql")
            context = folder / "services"
            context.mkdir()
            shutil.copy(_rclone(), context / "rclone")
            containerfile = folder / "Containerfile"
            containerfile.write_text("ARG BASE\nFROM ${BASE}\nCOPY rclone /usr/local/bin/rclone\n")
            script("image", "build", engine.url, services, str(containerfile), str(context), base)
            for name, archive in [(executor, executor_archive), (services, services_archive)]:
                # Whole or not at all: the next run takes what is there.
                part = archive.with_suffix(".part")
                archive.parent.mkdir(parents=True, exist_ok=True)
                script("image", "save", engine.url, name, str(part))
                part.rename(archive)
        finally:
            for name in [services, base, executor]:
                engine.remove_image_if_there(name)
