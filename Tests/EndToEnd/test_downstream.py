"""Another package on the generator: Examples/tes-client, built in a copy, run against the server, generated again.

The copy and what was built of it stay in `.build-tests/downstream` for the next run; each test starts from the example as it is."""

import filecmp
import json
import os
import re
import shutil
import subprocess

import pytest

from harness.client import BUSYBOX
from harness.processes import BUILD, REPOSITORY, free_port
from harness.server import environment

# The first build in a fresh clone takes its time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

COPY = BUILD / "downstream" / "poiesis"
EXAMPLE = COPY / "Examples" / "tes-client"
SCRATCH = BUILD / "downstream" / "build"
SERVICE = EXAMPLE / "Sources" / "TaskService"
DOCUMENT = COPY / "spec" / "tes" / "1.1.0" / "openapi.yaml"


def mirror(source, target):
    """Makes `target` equal to `source`; a file with the same content is left alone, so that nothing is built again for it."""
    target.mkdir(parents=True, exist_ok=True)
    names = {x.name for x in source.iterdir() if not x.name.startswith(".build") and x.name != "Package.resolved"}
    for old in target.iterdir():
        if old.name not in names and not old.name.startswith(".build"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    for name in names:
        one, other = source / name, target / name
        if one.is_dir():
            mirror(one, other)
        elif not other.exists() or not filecmp.cmp(one, other, shallow=False):
            shutil.copyfile(one, other)


class Package:
    """The copy of the example."""

    def build(self):
        """The finished `swift build`; its standard output holds the diagnostics, too."""
        return subprocess.run(
            ["swift", "build", "--package-path", EXAMPLE, "--scratch-path", SCRATCH, "--disable-automatic-resolution"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=590)

    def built(self):
        done = self.build()
        assert done.returncode == 0, done.stdout
        return done.stdout

    def refused(self):
        done = self.build()
        assert done.returncode != 0, done.stdout
        return done.stdout

    def edit(self, file, old, new):
        text = file.read_text()
        assert text.count(old) == 1, f"{file.name} does not hold this once: {old}"
        file.write_text(text.replace(old, new))

    def configure(self, folder=SERVICE, **changes):
        """Changes keys of the configuration; None removes one."""
        file = folder / "tes-generate.json"
        content = {**json.loads(file.read_text()), **changes}
        file.write_text(json.dumps({k: v for k, v in content.items() if v is not None}, indent=2) + "\n")

    def run(self, *arguments, program=SCRATCH / "debug" / "tes-client"):
        return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=120,
                              env=environment(EXAMPLE), cwd="/")

    def generated(self, target):
        folder = SCRATCH / "plugins" / "outputs" / "tes-client" / target / "destination" / "GenerateFromSpec" / "Generated"
        return {x.name for x in folder.iterdir()}


@pytest.fixture
def package():
    for name in ["Benchmarks", "Examples", "Plugins", "Sources", "spec"]:
        mirror(REPOSITORY / name, COPY / name)
    shutil.copyfile(REPOSITORY / "Package.swift", COPY / "Package.swift")
    return Package()


@pytest.fixture
def client(package):
    """The example as it is, built."""
    package.built()
    return package


# --- The program ----------------------------------------------------------------------------------

def test_help(client):
    shown = client.run("--help")
    assert (shown.returncode, "usage: tes-client" in shown.stdout) == (0, True)


def test_it_runs_a_task_and_shows_its_end(client, server):
    earlier = client.run("--server", server.url, "--image", BUSYBOX, "--tag", "a key=one=two", "true")
    done = client.run("--server", server.url, "--image", BUSYBOX, "--tag", "a key=one=two",
                      "sh", "-c", "echo one; echo 'two & \"three\"'")
    assert (done.returncode, done.stderr) == (0, "")
    (task_id,) = re.findall(r"^created (\S+)$", done.stdout, re.M)
    (earlier_id,) = re.findall(r"^created (\S+)$", earlier.stdout, re.M)
    assert re.search(r"^created at 2\d{3}-\d\d-\d\dT\S+Z$", done.stdout, re.M)
    end = done.stdout[done.stdout.index("executor 0"):]
    assert end == ("executor 0: exit code 0\none\ntwo & \"three\"\n"
                   f"tasks tagged a key=one=two:\n  {task_id} COMPLETE\n  {earlier_id} COMPLETE\n")
    assert server.client.get(task_id)["tags"] == {"a key": "one=two"}


def test_a_task_that_fails_ends_it_with_1(client, server):
    done = client.run("--server", server.url, "--image", BUSYBOX, "sh", "-c", "exit 3")
    assert (done.returncode, done.stderr) == (1, "")
    assert "state: EXECUTOR_ERROR\n" in done.stdout and "executor 0: exit code 3\n" in done.stdout


def test_what_the_rules_forbid_is_not_sent(client):
    done = client.run("--server", f"http://127.0.0.1:{free_port()}", "--image", "")
    assert done.returncode == 64
    assert done.stderr == ("tes-client: /executors/0/image is required; "
                           "/executors/0/command is required and needs at least one item\n")


def test_a_refusal_of_the_server_is_told(client, server):
    done = client.run("--server", server.url + "/nowhere", "--image", BUSYBOX, "true")
    assert done.returncode == 2
    assert "answers 404" in done.stderr


def test_a_server_that_does_not_run_is_told(client):
    done = client.run("--server", f"http://127.0.0.1:{free_port()}", "--image", BUSYBOX, "true")
    assert done.returncode == 2
    assert "gives no answer" in done.stderr


# --- The build ------------------------------------------------------------------------------------

def test_nothing_of_the_server_is_fetched_or_built(client):
    checkouts = SCRATCH / "checkouts"
    assert not checkouts.exists() or os.listdir(checkouts) == []
    ours = {x.name.replace("-", "_") for x in (REPOSITORY / "Sources").iterdir()}
    compiled = {x.stem for x in (SCRATCH / "debug").glob("Modules*/*.swiftmodule")}
    assert "tes_client" in compiled
    assert ours & compiled == {"YAML", "SpecDocument", "Migrations", "SpecGenerator", "tes_generate"}


def test_a_changed_specification_is_in_the_client(client, server):
    client.edit(DOCUMENT, "        name:\n          type: string\n          description: A name for the task",
                "        priority:\n          type: integer\n          format: int32\n          description: What goes first.\n"
                "        name:\n          type: string\n          description: A name for the task")
    client.edit(DOCUMENT, "        - CANCELING\n", "        - CANCELING\n        - ARCHIVED\n")
    program = EXAMPLE / "Sources" / "tes-client" / "TESClientCommand.swift"
    client.edit(program, '        print("created \\(id)")\n', """
        print("created \\(id)")
        var first = task
        first.priority = 7
        first.state = .archived
        print(String(decoding: JSONWriter.encode(first), as: UTF8.self))
""")
    log = client.built()
    assert "Generating code of TaskService" in log
    assert "Compiling SpecGenerator" not in log
    done = client.run("--server", server.url, "--image", BUSYBOX, "true")
    assert done.returncode == 0, done.stderr
    (line,) = [x for x in done.stdout.splitlines() if x.startswith("{")]
    assert json.loads(line)["priority"] == 7
    assert json.loads(line)["state"] == "ARCHIVED"


def test_what_the_program_uses_cannot_go_unnoticed(client):
    client.edit(DOCUMENT, "        - CANCELING\n", "        - STOPPING\n")
    assert "type 'TaskState?' has no member 'canceling'" in client.refused()


def test_an_edit_that_means_nothing_compiles_nothing(client):
    with open(DOCUMENT, "a") as document:
        document.write("# A remark.\n")
    log = client.built()
    assert "Generating code of TaskService" in log
    assert "Compiling TaskService" not in log


TYPES = {"Types.swift", "JSON.swift", "JSONEnumeration.swift", "JSONReader.swift", "JSONReaderText.swift",
         "JSONWriter.swift", "RequestProblem.swift", "TextScan.swift", "Timestamp.swift"}
VALIDATION = {"Validation.swift", "JSONValidated.swift", "TextPattern.swift"}
CLIENT = {"Operations.swift", "Client.swift", "ClientTransport.swift", "PercentEncoding.swift"}


def test_every_choice_of_parts_compiles_with_the_runtime_that_it_needs(package):
    choices = {
        "OnlyTypes": ("package", ["types"], TYPES),
        "Rules": ("package", ["validation", "types"], TYPES | VALIDATION),
        "Caller": ("public", ["types", "client"], TYPES | CLIENT),
    }
    targets = ""
    for name, (access, parts, _) in choices.items():
        folder = EXAMPLE / "Sources" / name
        shutil.copytree(SERVICE, folder)
        (folder / "URLSessionTransport.swift").unlink()
        (folder / "Use.swift").write_text(f"{access} typealias Job = ServiceTask\n")
        package.configure(folder, access=access, parts=parts, clientName=None)
        targets += f'        .target(name: "{name}", plugins: [.plugin(name: "GenerateFromSpec", package: "poiesis")]),\n'
    package.edit(EXAMPLE / "Package.swift", "    targets: [\n", "    targets: [\n" + targets)
    log = package.built()
    assert "warning:" not in log
    for name, (_, _, files) in choices.items():
        assert package.generated(name) == files, name


# --- What is wrong with a configuration -----------------------------------------------------------

@pytest.mark.parametrize("old, new, place, message", [
    ('"access"', '"acess"', "8:3", '"acess" is not a key of a configuration'),
    ('"types", ', "", "9:13", 'the part "validation" needs the part "types"'),
    ("1.1.0/openapi.yaml", "1.2.0/openapi.yaml", "2:15", 'the file "../../../../spec/tes/1.2.0/openapi.yaml" cannot be read'),
    ('"public"', "public", "1:1", "the configuration is YAML, but no JSON"),
    ('"public",', '"public"', "9:3", "did not find expected ',' or '}'"),
], ids=["key", "parts", "file", "yaml", "syntax"])
def test_a_wrong_configuration_is_told_with_its_place(package, old, new, place, message):
    package.edit(SERVICE / "tes-generate.json", old, new)
    assert f"{SERVICE}/tes-generate.json:{place}: error: {message}" in package.refused()


def test_the_tool_by_hand(client):
    def tool(*arguments):
        return subprocess.run([SCRATCH / "debug" / "tes-generate-tool", *arguments], capture_output=True, text=True)

    configuration = SERVICE / "tes-generate.json"
    assert tool("check", "--configuration", configuration).returncode == 0
    assert "public struct TaskServiceClient" in tool("print", "--configuration", configuration).stdout
    twice = tool("check", "--configuration", configuration, "--overlay", "overlay.yaml")
    assert (twice.returncode, "takes no other option" in twice.stderr) == (64, True)
    alone = tool("check", "--document", DOCUMENT, "--runtime", "x.swift")
    assert (alone.returncode, "go together" in alone.stderr) == (64, True)
    missing = tool("check", "--configuration", EXAMPLE / "tes-generate.json")
    assert (missing.returncode, "cannot read" in missing.stderr) == (64, True)


def test_a_document_that_comes_later_is_watched(package):
    elsewhere = SERVICE / "openapi.yaml"
    package.configure(document="openapi.yaml")
    package.refused()
    shutil.copyfile(DOCUMENT, elsewhere)
    package.built()
    package.edit(elsewhere, "        - CANCELING\n", "        - STOPPING\n")
    assert "type 'TaskState?' has no member 'canceling'" in package.refused()


def test_a_target_without_a_configuration_is_refused(package):
    (SERVICE / "tes-generate.json").unlink()
    assert re.search(r"tes-generate\.json is missing: .* in the target TaskService", package.refused())
