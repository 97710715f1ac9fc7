"""A copy of `spec/` that a test may change, and the generator's command line on it."""

import os
import pathlib
import shutil
import subprocess

import yaml

from .processes import REPOSITORY
from .server import BINARY

SERVICE_INFO = "https://raw.githubusercontent.com/ga4gh-discovery/ga4gh-service-info/v1.0.0/service-info.yaml"


def _tool():
    """Beside the program under test, or where the package is built."""
    places = [pathlib.Path(BINARY).parent, REPOSITORY / ".build" / "debug", REPOSITORY / ".build" / "release"]
    found = [place / "tes-generate" for place in places if os.access(place / "tes-generate", os.X_OK)]
    assert found, f"tes-generate is in none of {', '.join(map(str, places))}: type `swift build`"
    return found[0]


class Specification:
    def __init__(self, folder):
        self.folder = folder / "spec"
        shutil.copytree(REPOSITORY / "spec", self.folder)
        self.document = self.folder / "tes" / "1.1.0" / "openapi.yaml"
        self.migrations = self.folder / "migrations"

    def generate(self, command, *arguments):
        """The finished `tes-generate COMMAND` with this specification's files."""
        return subprocess.run(
            [_tool(), command, "--document", self.document,
             "--reference", f"{SERVICE_INFO}={self.folder / 'tes' / '1.1.0' / 'service-info.yaml'}",
             "--overlay", self.folder / "overlay.yaml", "--persistence", self.folder / "persistence.yaml",
             "--migrations", self.migrations, *map(str, arguments)],
            capture_output=True, text=True, timeout=60, check=False)

    def changed(self, change, name="changed.yaml"):
        """The document with a change, in a file of its own."""
        document = yaml.safe_load(self.document.read_text())
        change(document)
        path = self.folder.parent / name
        path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
        return path

    def update(self, document, *arguments):
        return self.generate("update", "--from", document, *arguments)

    def files(self):
        """Every file with its bytes."""
        return {str(x.relative_to(self.folder)): x.read_bytes() for x in sorted(self.folder.rglob("*")) if x.is_file()}

    def ddl(self):
        done = self.generate("print", "--ddl")
        assert done.returncode == 0, done.stderr
        return done.stdout
