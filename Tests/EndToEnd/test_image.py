"""The container image's description. `make image` builds the real one, and tries it out itself."""

import json
import pathlib
import shutil
import subprocess

import pytest

from harness.client import BUSYBOX
from harness.engine import script
from harness.processes import REPOSITORY

NAME = "poiesis-test/image:1"


@pytest.fixture(scope="module")
def image(engine, binary, tmp_path_factory):
    """Built on busybox, so that a script can stand for `poiesis` and tell what it sees."""
    context = tmp_path_factory.mktemp("context")
    (context / "conformance").mkdir()
    (context / "conformance" / "README.md").write_text("cases")
    (context / "poiesis").write_text("#!/bin/sh\necho \"$(id -u):$(id -g) $PWD $*\"\ncat /usr/share/poiesis/conformance/README.md\n")
    (context / "poiesis").chmod(0o755)
    shutil.copy(pathlib.Path(binary).parent / "poiesis-exec", context / "poiesis-exec")
    script("image", "build", engine.url, NAME, str(REPOSITORY / "deploy" / "Containerfile"), str(context), BUSYBOX)
    yield NAME
    engine.remove_image(NAME)


def test_it_runs_the_program_as_an_ordinary_user(image, engine):
    code, said = engine.run(image, ["schema", "status"])
    assert (code, said) == (0, "65532:65532 / schema status\ncases")


def test_it_says_what_it_can_do_where_nothing_is_asked(image, engine):
    code, said = engine.run(image)
    assert (code, said.splitlines()[0]) == (0, "65532:65532 / --help")


def test_it_holds_the_shim(image, engine):
    code, said = engine.run(image, entrypoint=["/usr/bin/poiesis-exec"])
    assert code != 0 and "poiesis-exec" in said


def test_an_image_cannot_be_made_of_what_is_not_there(tmp_path):
    with pytest.raises(AssertionError, match=f"{tmp_path} has no program poiesis"):
        script("release-image", "--programs", str(tmp_path))


def test_programs_that_need_swift_s_own_libraries_are_refused(engine):
    """A base of Debian's packages has none of them."""
    told = subprocess.run(["swiftc", "-print-target-info"], capture_output=True, text=True, check=True).stdout
    library = pathlib.Path(json.loads(told)["paths"]["runtimeLibraryPaths"][0]) / "libFoundation.so"
    with pytest.raises(AssertionError, match="--static-swift-stdlib"):
        script("image", "libraries", engine.url, "poiesis-test/never:1", str(library))
