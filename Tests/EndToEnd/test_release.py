"""The archive of a release: what `make release` packs, unpacked elsewhere and used from there."""

import json
import os
import pathlib
import subprocess
import tarfile

import pytest

from harness.client import BUSYBOX
from harness.processes import REPOSITORY
from harness.server import environment


@pytest.fixture(scope="module")
def unpacked(binary, tmp_path_factory):
    """Packed from the programs under test; `make release` builds them with Swift's libraries inside, else it is the same."""
    out = tmp_path_factory.mktemp("release")
    made = subprocess.run(
        [REPOSITORY / "scripts" / "release", "--pack", str(pathlib.Path(binary).parent), str(out)],
        capture_output=True, text=True, check=True).stdout.strip()
    with tarfile.open(made) as archive:
        archive.extractall(out / "there", filter="data")
    (root,) = (out / "there").iterdir()
    return root


def run(unpacked, *arguments, **more):
    return subprocess.run(
        [unpacked / "bin" / "poiesis", *arguments], capture_output=True, text=True, cwd="/", timeout=120,
        env=environment(unpacked), **more)


def test_the_name_says_version_and_architecture(unpacked):
    version = run(unpacked, "--version").stdout.strip()
    assert unpacked.name == f"poiesis-{version}"
    (archive,) = unpacked.parent.parent.glob("*.tar.gz")
    assert archive.name == f"poiesis-{version}-linux-{os.uname().machine}.tar.gz"


def test_it_finds_its_conformance_cases(unpacked):
    listed = run(unpacked, "conformance", "--list")
    assert listed.returncode == 0, listed.stderr
    assert "service_info/" in listed.stdout


@pytest.mark.parametrize("script", [
    "share/bash-completion/completions/poiesis", "share/zsh/site-functions/_poiesis",
    "share/fish/vendor_completions.d/poiesis.fish"])
def test_it_has_completions(unpacked, script):
    assert "conformance" in (unpacked / script).read_text()


def test_it_runs_a_task(unpacked, engine, tmp_path):
    document = tmp_path / "task.json"
    document.write_text(json.dumps({"executors": [{"image": BUSYBOX, "command": ["echo", "from the archive"]}]}))
    done = run(unpacked, "run", str(document), "--engine", engine.url)
    assert (done.returncode, "from the archive" in done.stdout) == (0, True), done.stderr


def test_the_same_programs_give_the_same_archive(binary, tmp_path):
    made = []
    for folder in ("one", "two"):
        path = subprocess.run(
            [REPOSITORY / "scripts" / "release", "--pack", str(pathlib.Path(binary).parent), str(tmp_path / folder)],
            capture_output=True, text=True, check=True).stdout.strip()
        made.append(pathlib.Path(path).read_bytes())
    assert made[0] == made[1]


def test_a_folder_without_programs_is_named(tmp_path):
    done = subprocess.run(
        [REPOSITORY / "scripts" / "release", "--pack", str(tmp_path), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1 and str(tmp_path) in done.stderr
