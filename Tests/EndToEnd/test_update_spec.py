"""`tes-generate update`: another document is taken, or refused with nothing touched."""

import pytest

from harness.processes import REPOSITORY
from harness.specification import Specification

OFFICIAL = REPOSITORY.parent / "shared" / "reference" / "spec"


@pytest.fixture
def specification(tmp_path):
    return Specification(tmp_path)


def add_priority(document):
    document["info"]["version"] = "1.2.0"
    document["components"]["schemas"]["tesTask"]["properties"]["priority"] = {"type": "integer", "format": "int32"}


def add_operation(document):
    answer = document["paths"]["/tasks/{id}:cancel"]["post"]["responses"]
    parameters = document["paths"]["/tasks/{id}:cancel"]["post"]["parameters"]
    document["paths"]["/tasks/{id}"]["delete"] = {
        "operationId": "DeleteTask", "parameters": parameters, "responses": answer}


def drafts(specification):
    ours = {x.name for x in (REPOSITORY / "spec" / "migrations").iterdir()}
    return sorted(x for x in specification.migrations.iterdir() if x.name not in ours)


def test_the_document_is_replaced_and_a_migration_drafted(specification):
    new = specification.changed(add_priority)
    done = specification.update(new)
    assert done.returncode == 0, done.stderr
    assert specification.document.read_bytes() == new.read_bytes()
    [draft] = drafts(specification)
    highest = max(int(x.name.split("-")[0]) for x in (REPOSITORY / "spec" / "migrations").glob("*.sql"))
    assert draft.name == f"{highest + 1:04}-tes-1.2.0.sql"
    assert "ALTER TABLE poiesis.tasks ADD COLUMN priority integer;\n" in draft.read_text()


def test_the_report_marks_each_line_and_says_what_it_means(specification):
    def change(document):
        add_priority(document)
        add_operation(document)
        document["components"]["schemas"]["tesState"]["enum"].append("PARKED")

    out = specification.update(specification.changed(change), "--dry-run").stdout
    assert "compatible /components/schemas/tesTask/properties/priority: the optional property is new\n" in out
    assert "breaking   /components/schemas/tesState: the value PARKED is new\n" in out
    assert "  TESTask.priority: Int32? is new" in out
    assert "  DELETE /tasks/{id} is left to its stub, which answers 501, until Handlers has deleteTask\n" in out
    assert "  expand: the column tasks.priority is new\n" in out


@pytest.mark.parametrize("name", ["again", "a.b-c"])
def test_a_migration_gets_the_name_that_is_given(specification, name):
    done = specification.update(specification.changed(add_priority), "--name", name)
    assert (done.returncode, [x.name.split("-", 1)[1] for x in drafts(specification)]) == (0, [f"{name}.sql"])


def test_what_is_generated_afterwards_has_the_change(specification):
    assert "    priority integer,\n" not in specification.ddl()
    specification.update(specification.changed(add_priority))
    assert "    priority integer,\n" in specification.ddl()
    assert '"ALTER TABLE poiesis.tasks ADD COLUMN priority integer"' in specification.generate(
        "print", "--part", "store").stdout


def test_a_dry_run_changes_nothing(specification):
    before = specification.files()
    done = specification.update(specification.changed(add_priority), "--dry-run")
    assert (done.returncode, specification.files()) == (0, before)
    assert "ADD COLUMN priority" in done.stdout and "nothing was changed" in done.stdout


def test_a_second_update_gets_the_next_number(specification):
    specification.update(specification.changed(add_priority))

    def more(document):
        document["components"]["schemas"]["tesTask"]["properties"]["queue"] = {"type": "string"}
        document["info"]["version"] = "1.3.0"
    assert specification.update(specification.changed(more)).returncode == 0
    one, two = drafts(specification)
    assert int(two.name.split("-")[0]) == int(one.name.split("-")[0]) + 1
    assert "queue" in two.read_text() and "priority" not in two.read_text()


def test_a_run_that_was_broken_off_leaves_one_draft(specification):
    new = specification.changed(add_priority)
    old = specification.document.read_bytes()
    specification.update(new)
    specification.document.write_bytes(old)  # as if it had been stopped before the document's turn
    assert specification.update(new).returncode == 0
    assert len(drafts(specification)) == 1


def test_wording_alone_needs_no_migration(specification):
    def reword(document):
        document["info"]["description"] = "Other words."
    new = specification.changed(reword)
    done = specification.update(new)
    assert (done.returncode, drafts(specification)) == (0, [])
    assert done.stdout.startswith("no normative difference\n")
    assert specification.document.read_bytes() == new.read_bytes()


def unknown_keyword(document):
    document["components"]["schemas"]["tesTask"]["properties"]["name"]["oneOf"] = [{"type": "string"}]


def dangling(document):
    document["components"]["schemas"]["tesTask"]["properties"]["name"] = {"$ref": "#/components/schemas/nothing"}


def array_without_table(document):
    document["components"]["schemas"]["tesTask"]["properties"]["notes"] = {
        "type": "array", "items": {"type": "object", "properties": {"text": {"type": "string"}}}}


def overlay_misses(document):
    del document["components"]["schemas"]["tesExecutor"]["properties"]["env"]


@pytest.mark.parametrize(("change", "words"), [
    (unknown_keyword, "oneOf"), (dangling, "nothing"), (array_without_table, "notes"), (overlay_misses, "overlay.yaml"),
], ids=lambda x: getattr(x, "__name__", x))
def test_a_document_that_gives_no_code_or_tables_is_refused(specification, change, words):
    before = specification.files()
    done = specification.update(specification.changed(change))
    assert (done.returncode, specification.files()) == (1, before)
    first = done.stderr.splitlines()[0]
    assert words in first and ": error: " in first and done.stderr.endswith("nothing was changed\n"), done.stderr


@pytest.mark.parametrize("content", [b"", b"a: [", b"\xff\xfe", b"openapi: 2.0.0\n"], ids=repr)
def test_what_is_no_document_is_refused(specification, tmp_path, content):
    (tmp_path / "new.yaml").write_bytes(content)
    before = specification.files()
    assert specification.update(tmp_path / "new.yaml").returncode == 1
    assert specification.files() == before


@pytest.mark.parametrize("arguments", [
    [], ["--from"], ["--from", "x", "--no-such-option", "y"], ["--from", "x", "--name", "a/b"],
], ids=" ".join)
def test_wrong_usage_exits_with_64(specification, arguments):
    assert specification.generate("update", *arguments).returncode == 64


def test_a_file_that_is_not_there_is_named(specification):
    done = specification.update("/no/such/file.yaml")
    assert (done.returncode, "/no/such/file.yaml" in done.stderr) == (64, True)


def test_a_draft_that_asks_for_a_decision_stops_the_build(specification):
    def change(document):
        document["components"]["schemas"]["tesTask"]["required"].append("name")
    assert specification.update(specification.changed(change)).returncode == 0
    [draft] = drafts(specification)
    line = draft.read_text().splitlines().index(next(x for x in draft.read_text().splitlines() if "review:" in x)) + 1
    done = specification.generate("check")
    assert done.returncode == 1
    assert f"{draft}:{line}:1: error: to be reviewed: older rows need a value first" in done.stderr


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official documents lie beside the clone in the project's workshop")
def test_the_official_documents_may_take_the_place_of_ours(specification):
    tes, info = OFFICIAL / "tes-v1.1.openapi.yaml", OFFICIAL / "service-info-v1.0.0.yaml"
    from harness.specification import SERVICE_INFO
    done = specification.update(tes, "--from-reference", f"{SERVICE_INFO}={info}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("no normative difference\n") and drafts(specification) == []
    assert specification.document.read_bytes() == tes.read_bytes()
    assert (specification.folder / "tes" / "1.1.0" / "service-info.yaml").read_bytes() == info.read_bytes()
