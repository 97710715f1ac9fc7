"""`poiesis conformance`: our cases and the official ones pass here, each of ours sees a wrong server; what it tells."""

import concurrent.futures
import json
import re
import socket
import threading
import xml.etree.ElementTree

import pytest
import yaml

from harness.client import BUSYBOX, TERMINAL
from harness.commands import Commands
from harness.faults import FAULTS
from harness.own_faults import OWN_FAULTS
from harness.processes import REPOSITORY, free_port
from harness.wrong_server import Fault, wrong_server

CASES = REPOSITORY / "conformance"
FILES = sorted(path for path in CASES.glob("*.yml"))
SPECIFICATION = REPOSITORY / "spec" / "tes" / "1.1.0"
OFFICIAL = REPOSITORY.parent / "shared" / "reference" / "ga4gh-tests"
official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official cases lie beside developers' clones only")

WARNINGS = {
    "output_patterns/no_double_star": "we take ** as real clients use it: it crosses folders",
    "output_patterns/no_braces": "we take {a,b} for alternatives, as real clients use it",
    "outputs/missing_output": "a missing output is a warning in the system logs, not an error of the task",
}
"""Our own server's, with the reason for each."""

SKIPPED = {"resources/parameters_ignore_case": "no backend of ours supports a parameter"}


# --- Running it -----------------------------------------------------------------------------------

LINE = re.compile(r"(PASS|WARN|FAIL|SKIP) ([\w/.-]+)(?:: .*)?")


class Run:
    """One finished `poiesis conformance`."""

    def __init__(self, done):
        self.status = done.returncode
        self.text = done.stdout
        self.errors = done.stderr
        self.cases = {match[2]: match[1] for line in done.stdout.splitlines() if (match := LINE.fullmatch(line))}

    def of(self, status):
        return {name for name, found in self.cases.items() if found == status}


@pytest.fixture(scope="module")
def poiesis(scratch):
    return Commands(scratch / "conformance")


@pytest.fixture(scope="module")
def conformance(poiesis, server):
    """`poiesis conformance` with our cases, our image and storage of the server's, where nothing else is said."""
    def run(*arguments, url=server.url, cases=CASES, seconds=150):
        folders = [x for folder in (cases if isinstance(cases, list) else [cases]) for x in ("--cases", folder)]
        return Run(poiesis("conformance", url, *folders, "--image", BUSYBOX,
                           "--output-url", f"file://{server.files}/conformance", *arguments, seconds=seconds))
    return run


@pytest.fixture
def case_file(tmp_path):
    """Writes `mine.yml`, a text or a document, into a folder of its own."""
    def write(content):
        (tmp_path / "mine.yml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return tmp_path
    return write


def job(**members):
    return {"name": "ask", "endpoint": "/service-info", "operation": "GET", "response": {200: {}}, **members}


def answering(answer):
    """A fault that lets no request through to the right server."""
    return Fault("answers for itself", (), lambda x: x.answer(**answer))


# --- Our cases ------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def silence(poiesis):
    """A run against a server that takes connections and never answers; it takes a minute."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        process = poiesis.start("conformance", f"http://127.0.0.1:{listener.getsockname()[1]}", "--cases", str(CASES),
                                "--only", "service_info/json")
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def own_run(silence, official_pending, conformance, tmp_path_factory):
    """All our cases against our server. The minute of silence and the official cases' waits pass meanwhile."""
    folder = tmp_path_factory.mktemp("own")
    run = conformance("--report-json", folder / "report.json", "--report-junit", folder / "junit.xml")
    run.folder = folder
    return run


@pytest.mark.slow
def test_all_our_cases_pass_or_warn(own_run):
    assert own_run.of("FAIL") == set(), own_run.text
    assert own_run.status == 0


@pytest.mark.slow
def test_every_warning_and_every_skipped_case_has_a_reason(own_run):
    assert own_run.of("WARN") == WARNINGS.keys()
    assert own_run.of("SKIP") == SKIPPED.keys()


@pytest.mark.slow
def test_every_case_is_told_as_it_ends(own_run, identifiers):
    assert own_run.cases.keys() == set(identifiers)


@pytest.mark.slow
def test_the_last_line_counts(own_run):
    counts = {word: int(count) for count, word in re.findall(r"(\d+) (passed|warned|failed|skipped)",
                                                            own_run.text.splitlines()[-1])}
    words = {"PASS": "passed", "WARN": "warned", "FAIL": "failed", "SKIP": "skipped"}
    assert counts == {word: len(own_run.of(status)) for status, word in words.items() if own_run.of(status)}


@pytest.mark.slow
def test_no_task_is_left_behind(own_run, official_pending, client):
    concurrent.futures.wait([official_pending] if official_pending else [])
    assert not [t for t in client.all_tasks(page_size=2047) if t["state"] not in TERMINAL | {"CANCELING"}]


# --- The official cases ---------------------------------------------------------------------------

@pytest.fixture(scope="module")
def official_images(engine):
    """The images that the official cases name, where the engine does not have them."""
    added = []
    for name in ("alpine:latest", "ubuntu:20.04"):
        try:
            engine.request("GET", f"/images/{name}/json")
        except AssertionError:
            added.append(engine.add_busybox(name))
    yield
    for name in added:
        engine.remove_image(name)


@pytest.fixture(scope="module")
def official_report(tmp_path_factory):
    return tmp_path_factory.mktemp("official") / "report.json"


@pytest.fixture(scope="module")
def official_pending(conformance, official_images, official_report):
    """The official cases under way, which ask every ten seconds; nothing where they do not lie beside the clone."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        yield OFFICIAL.is_dir() and pool.submit(conformance, "--report-json", official_report, cases=OFFICIAL / "tests")


@pytest.fixture(scope="module")
def official_run(official_pending):
    return official_pending.result()


@official
@pytest.mark.slow
def test_the_official_cases_pass_as_they_stand(official_run):
    assert official_run.cases == {path.stem: "PASS" for path in (OFFICIAL / "tests").glob("*.yml")}, official_run.text
    assert official_run.status == 0


@official
@pytest.mark.slow
def test_a_phase_of_the_report_is_an_official_file(official_run, official_report):
    report = json.loads(official_report.read_text())
    assert [phase["phase_name"] for phase in report["phases"]] == \
        sorted(path.name for path in (OFFICIAL / "tests").glob("*.yml"))


# --- Wrong servers --------------------------------------------------------------------------------

BY_NAME = {fault.name: fault for fault in FAULTS + OWN_FAULTS}
LONG = {"list_pages/default_page_size", "cancel/stays_canceled"}


@pytest.fixture(scope="module")
def quick_cases(scratch):
    """`quick_cases(identifiers, waits)`: folders with the files of these cases alone, with quick polling. Patient ones
    wait long enough for a busy machine, the others only for a moment."""
    for waits, timeout in ((False, 60), (True, 4)):
        for path in CASES.rglob("*.yml"):
            below = path.relative_to(CASES) if path.parent != CASES else f"{path.stem}/{path.name}"
            target = scratch / f"cases-{waits}" / below
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(path.read_text().replace("interval: 0.5, timeout: 600",
                                                       f"interval: 0.1, timeout: {timeout}"))
    return lambda names, waits=False: [
        scratch / f"cases-{waits}" / file for file in dict.fromkeys(name.partition("/")[0] for name in names)]


@pytest.fixture(scope="module")
def proofs(request, conformance, server, quick_cases):
    """What each chosen fault leads to: several wrong servers at a time, since most of a run is waiting."""
    def prove(fault):
        with wrong_server(server.url, fault) as wrong:
            only = [argument for name in fault.seen_by for argument in ("--only", name)]
            run = conformance("--jobs", 2, *only, url=wrong.url, cases=quick_cases(fault.seen_by, fault.waits))
        assert not wrong.errors, wrong.errors
        return run

    chosen = [item.callspec.params["name"] for item in request.session.items
              if getattr(item, "originalname", None) == test_a_wrong_server_is_seen.__name__]
    # The longest first, so that the others pass meanwhile.
    order = sorted(chosen, key=lambda name: not (BY_NAME[name].waits or LONG.intersection(BY_NAME[name].seen_by)))
    pool = concurrent.futures.ThreadPoolExecutor(4)
    try:
        yield {name: pool.submit(prove, BY_NAME[name]) for name in order}
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_NAME)
def test_a_wrong_server_is_seen(proofs, name, only_warn):
    fault, run = BY_NAME[name], proofs[name].result()
    assert run.cases == {case: "WARN" if case in only_warn else "FAIL" for case in fault.seen_by}, run.text
    assert run.status == (1 if run.of("FAIL") else 0)
    if not fault.waits:
        # The case saw the fault itself, and not just a machine that was too slow.
        assert "the task is still" not in run.text


def test_every_case_sees_a_wrong_server(documents):
    assert {case for fault in FAULTS + OWN_FAULTS for case in fault.seen_by} == documents.keys()


def test_faults_have_names_of_their_own():
    assert len(BY_NAME) == len(FAULTS + OWN_FAULTS)


@pytest.mark.slow
def test_the_proxy_itself_is_a_right_server(conformance, server, quick_cases):
    with wrong_server(server.url) as right:
        run = conformance(url=right.url, cases=quick_cases(["get", "views", "list_tags", "service_info", "create"]))
    assert not right.errors
    assert run.cases and run.of("PASS") == run.cases.keys(), run.text


# --- Choosing cases -------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def listed(poiesis):
    def run(*arguments):
        done = poiesis("conformance", "--list", "--cases", CASES, *arguments)
        assert done.returncode == 0, done.stderr
        return [line.partition(":")[0] for line in done.stdout.splitlines()]
    return run


@pytest.fixture(scope="module")
def identifiers(listed):
    return listed()


@pytest.fixture(scope="module")
def documents():
    """`{identifier: (file, case)}` of our cases, as YAML has them."""
    found = {}
    for path in FILES:
        root = yaml.safe_load(path.read_text())
        found |= {f"{path.stem}/{case['name']}": (root, case) for case in root["cases"]}
    return found


@pytest.fixture(scope="module")
def only_warn(documents):
    return {name for name, (root, case) in documents.items() if case.get("level", root.get("level")) == "should"}


def test_list_names_every_case_once(identifiers, documents):
    assert identifiers == list(documents)


def test_list_shows_description_and_tags(poiesis):
    done = poiesis("conformance", "--list", "--cases", CASES, "--only", "list_pages/default_page_size")
    assert done.stdout == \
        "list_pages/default_page_size: A page holds 256 tasks if no size is asked for  [list, pages, slow]\n"


@pytest.mark.parametrize("globs, wanted", [
    (["service_info/json"], lambda name: name == "service_info/json"),
    (["list_tags"], lambda name: name.startswith("list_tags/")),
    (["pages"], lambda name: name.startswith("list_pages/")),
    (["*/json"], lambda name: name.endswith("/json")),
    (["views/????"], lambda name: name == "views/full"),
    (["list_*", "!list_t*"], lambda name: name.startswith("list_pages/")),
    (["!run", "!create", "!poiesis"], lambda name: name.split("/")[0] in (
        "get", "list_pages", "list_tags", "list_tasks", "resources", "service_info", "views")),
    (["get", "service_info/type", "!*_identifier"], lambda name: name in (
        "get/right_task", "get/json", "service_info/type")),
    (["nothing"], lambda name: False),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_only(listed, identifiers, globs, wanted):
    chosen = listed(*(argument for glob in globs for argument in ("--only", glob)))
    assert chosen == [name for name in identifiers if wanted(name)]


def test_several_folders(poiesis, case_file):
    done = poiesis("conformance", "--list", "--cases", case_file({"jobs": [job()]}), "--cases", CASES, "--only", "mine",
                   "--only", "service_info/json")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["mine", "service_info/json"]


def test_without_an_output_url_cases_are_skipped(poiesis, server):
    run = Run(poiesis("conformance", server.url, "--cases", CASES, "--only", "directories"))
    assert set(run.cases.values()) == {"SKIP"}
    assert "needs --output-url" in run.text
    assert run.status == 0


# --- How it ends ----------------------------------------------------------------------------------

def test_a_passed_case_ends_it_with_0(conformance):
    assert conformance("--only", "service_info/json").status == 0


def test_a_warning_ends_it_with_0(conformance, case_file):
    run = conformance(cases=case_file({"level": "should", "jobs": [job(response={201: {}})]}))
    assert (run.cases, run.status) == ({"mine": "WARN"}, 0)


def test_a_failure_ends_it_with_1(conformance, case_file):
    run = conformance(cases=case_file({"jobs": [job(response={201: {}})]}))
    assert (run.cases, run.status) == ({"mine": "FAIL"}, 1)


@pytest.mark.parametrize("arguments", [
    [], ["http://127.0.0.1:1", "--only", "no-such-case"], ["http://127.0.0.1:1", "--no-such-option"],
    ["http://127.0.0.1:1", "--jobs", "many"], ["http://127.0.0.1:1", "--jobs", "0"],
    ["http://127.0.0.1:1", "http://127.0.0.1:2"], ["http://127.0.0.1:1", "--header", "no colon"],
    ["http://127.0.0.1:1", "--only", "get", "--only", "no-such-case"],
    ["", "--only", "service_info/json"], ["ftp://127.0.0.1", "--only", "service_info/json"],
], ids=" ".join)
def test_wrong_usage_ends_it_with_64(poiesis, arguments):
    done = poiesis("conformance", "--cases", CASES, *arguments)
    assert done.returncode == 64, done.stdout + done.stderr
    assert done.stderr and not done.stdout


@pytest.mark.parametrize("url, base", [
    ("{url}/", "/ga4gh/tes/v1"), ("{url}/v1", "/v1"), ("{url}/ga4gh/tes/v1/", "/ga4gh/tes/v1"),
    ("127.0.0.1:{port}", "/ga4gh/tes/v1"), ("localhost:{port}", "/ga4gh/tes/v1"),
])
def test_urls_of_a_server(conformance, server, url, base):
    port = server.url.rpartition(":")[2]
    run = conformance("--only", "service_info/json", "--only", "poiesis_requests/bases",
                      url=url.format(url=server.url, port=port))
    assert set(run.cases.values()) == {"PASS"}, run.text
    assert run.text.endswith(f":{port}{base}\n")


def test_a_password_in_the_url_is_not_shown(poiesis, case_file, tmp_path):
    url = f"http://user:secret@127.0.0.1:{free_port()}"
    done = poiesis("conformance", url, "--cases", case_file({"jobs": [job()]}),
                   "--report-json", tmp_path / "report.json", "--report-junit", tmp_path / "junit.xml")
    assert done.returncode == 1
    for text in (done.stdout, (tmp_path / "report.json").read_text(), (tmp_path / "junit.xml").read_text()):
        assert "secret" not in text


def test_each_case_is_told_at_once(poiesis, case_file, server):
    waiting = threading.Event()

    def act(x):
        if x.path.endswith("/second"):
            waiting.wait(30)
        x.answer({})
    folder = case_file({"cases": [{"name": name, "jobs": [job(endpoint=f"/{name}")]} for name in ("first", "second")]})
    with wrong_server(server.url, Fault("waits", (), act)) as wrong:
        process = poiesis.start("conformance", wrong.url, "--cases", str(folder), "--jobs", "1")
        try:
            assert process.stdout.readline() == "PASS mine/first\n"
            assert process.poll() is None
            waiting.set()
            assert process.communicate(timeout=30)[0].startswith("PASS mine/second\n")
        finally:
            waiting.set()
            process.kill()
            process.communicate()


# --- Files in error -------------------------------------------------------------------------------

def one_job(more, response="{200: {}}"):
    """A file with one job; what is added begins in column 70 of line 2."""
    return f"jobs:\n  - {{name: a, endpoint: /tasks, operation: GET, response: {response}, {more}}}\n"


@pytest.mark.parametrize("text, place, message", [
    ("jobs: [\n", "2:1", ""),
    ("- a\n", "1:1", "expected a mapping"),
    ("", "1:1", "expected a mapping"),
    ("jobs: []\nowner: me\n", "2:1", '"owner"'),
    ("service: WES\njobs: []\n", "1:10", "TES"),
    ("description: nothing to do\n", "1:1", "jobs"),
    ("level: maybe\njobs: []\n", "1:8", "must or should"),
    ("cases:\n  - jobs: []\n", "2:5", "name"),
    ("jobs:\n  - {name: a, operation: GET, response: {200: {}}}\n", "2:5", "endpoint"),
    ("jobs:\n  - name: a\n    name: b\n", "3:5", '"name"'),
    ("jobs:\n  - $ref: ./none.yml\n", "2:11", "./none.yml"),
    (one_job("expects: []"), "2:70", '"expects"'),
    (one_job("expect: [{pointer: /a, equal: 1}]"), "2:93", '"equal"'),
    (one_job("filter: [{path: $response.a, type: string, length: 1}]"), "2:113", '"length"'),
    (one_job("polling: {until: [], every: 1}"), "2:91", '"every"'),
    (one_job("env_vars: {HOME: /}"), "2:81", '"HOME"'),
    # What is of another kind than the syntax says would otherwise be passed over, and the case would pass.
    (one_job("expect: {pointer: /a}"), "2:", ""),
    (one_job("skip_unless: {pointer: /a}"), "2:", ""),
    (one_job("filter: {path: $response.a, type: string}"), "2:", ""),
    (one_job("query_parameters: {state: COMPLETE}"), "2:", ""),
    (one_job("repeat: many"), "2:", ""),
    (one_job("polling: {until: COMPLETE}"), "2:", ""),
    (one_job("expect: [{equals: 1}]"), "2:", ""),
    (one_job("expect: [{pointer: /a, type: text}]"), "2:", ""),
    (one_job("expect: [{pointer: /a, matches: '('}]"), "2:", ""),
    (one_job("storage_vars: {id: id}"), "2:", ""),
    (one_job("schema: true", response="200"), "2:", ""),
    (one_job("schema: true", response="{20x: {}}"), "2:", ""),
    ("requires: output_url\njobs: []\n", "1:", ""),
    ("tags: poiesis\njobs: []\n", "1:", ""),
    ("vars: [a]\njobs: []\n", "1:", ""),
    ("cases: none\n", "1:", ""),
    ("cases: []\njobs: []\n", "", ""),
    ("cases:\n  - {name: a, jobs: []}\n  - {name: a, jobs: []}\n", "3:", ""),
], ids=lambda value: re.sub(r"\s+", " ", value)[-40:] or "-")
def test_an_error_in_a_file_is_told_with_its_place(poiesis, case_file, text, place, message):
    folder = case_file(text)
    done = poiesis("conformance", "--list", "--cases", folder)
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.match(rf"poiesis: {re.escape(str(folder))}/mine\.yml:{place}", done.stderr), done.stderr
    assert message in done.stderr
    assert done.stdout == ""


def test_nothing_is_sent_where_a_file_is_in_error(poiesis, case_file, server):
    folder = case_file({"jobs": [job()]})
    (folder / "zzz.yml").write_text("owner: me\njobs: []\n")
    with wrong_server(server.url, answering({"document": {}})) as wrong:
        done = poiesis("conformance", wrong.url, "--cases", folder)
        assert wrong.requests == 0
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{folder}/zzz.yml:1:1: " in done.stderr


@pytest.mark.parametrize("document", [
    {"jobs": [job(operation="POST", endpoint="/tasks", request_body="{")]},
    {"vars": {"long": {"repeat": "x", "times": -1}}, "jobs": [job()]},
    {"vars": {"long": {"repeat": "x", "times": 1e30}}, "jobs": [job()]},
    {"jobs": [job(polling={"interval": 0, "timeout": 1e30})]},
], ids=["body", "times -1", "times 1e30", "timeout 1e30"])
def test_an_error_that_only_running_shows(conformance, case_file, document):
    run = conformance(cases=case_file(document))
    assert run.status == 2, run.text[:1000] + run.errors[:1000]
    assert re.search(r"mine\.yml:\d+:\d+", run.text + run.errors)


def test_an_error_in_a_template_names_the_template(poiesis, case_file):
    folder = case_file({"jobs": [{"$ref": "./templates/t.yml"}]})
    (folder / "templates").mkdir()
    (folder / "templates" / "t.yml").write_text("- name: a\n  answer: b\n")
    done = poiesis("conformance", "--list", "--cases", folder)
    assert done.returncode == 2
    assert f"{folder}/templates/t.yml:" in done.stderr


@pytest.mark.parametrize("name", ["missing", "mine.yml", "empty"])
def test_a_folder_without_cases(poiesis, case_file, name):
    folder = case_file({"jobs": [job()]})
    (folder / "empty").mkdir()
    done = poiesis("conformance", "--list", "--cases", folder / name)
    assert done.returncode == 2
    assert str(folder / name) in done.stderr
    assert "NSCocoaErrorDomain" not in done.stderr


# --- What a failure shows -------------------------------------------------------------------------

@pytest.fixture(scope="module")
def mixed(conformance, server, tmp_path_factory):
    """A case of each outcome, with names that XML and JSON have to escape, and both reports."""
    folder = tmp_path_factory.mktemp("mixed")
    odd = '<a href="&">\N{DNA DOUBLE HELIX}'
    (folder / "first.yml").write_text(yaml.safe_dump({
        "description": odd, "spec": {"at": "GetServiceInfo", "says": "Returns the GA4GH service-info record"},
        "cases": [
            {"name": "good", "jobs": [job(name="one"), job(name="two")]},
            {"name": "bad", "description": odd, "jobs": [job(name="one"), job(
                name="create", endpoint="/tasks", operation="POST", request_body={"name": odd}, expect=[]),
                job(name="never")]},
            {"name": "warned", "level": "should", "jobs": [job(name="one", expect=[{
                "pointer": "/id", "equals": odd, "spec": {"at": "ServiceInfo.Service.id", "says": "An identifier"}}])]},
            {"name": "skipped", "requires": ["something"], "jobs": [job(name="one")]},
        ]}, allow_unicode=True))
    (folder / "second.yml").write_text(yaml.safe_dump({"jobs": [job(name="one", expect=[{"pointer": "/none"}])]}))
    run = conformance("--report-json", folder / "report.json", "--report-junit", folder / "junit.xml", cases=folder)
    run.report = json.loads((folder / "report.json").read_text())
    run.junit = xml.etree.ElementTree.parse(folder / "junit.xml").getroot()
    run.odd, run.url = odd, server.url
    return run


def test_the_text_of_a_failure(mixed):
    block = re.search(r"^FAIL first/bad.*?(?=^\S)", mixed.text + "\nend", re.S | re.M)[0].splitlines()
    assert block[0] == f"FAIL first/bad: {mixed.odd}"
    assert block[1] == f"  POST {mixed.url}/ga4gh/tes/v1/tasks  (job 2, create)"
    assert json.loads(block[2].removeprefix("  body: ")) == {"name": mixed.odd}
    assert block[3] == "  status_code: expected status 200, found 400"
    assert re.match(r'  answer: 400 \{.*executors.*\}$', block[4])
    assert block[5] == "  GetServiceInfo: “Returns the GA4GH service-info record”"


def test_the_text_of_a_warning_has_the_sentence_of_the_assertion(mixed):
    block = re.search(r"^WARN first/warned.*?(?=^\S)", mixed.text + "\nend", re.S | re.M)[0]
    assert f"GET {mixed.url}/ga4gh/tes/v1/service-info" in block
    assert "expect-1: /id: expected equals" in block and 'found "' in block
    assert "answer: 200 {" in block
    assert "ServiceInfo.Service.id: “An identifier”" in block
    assert "GetServiceInfo" not in block


def test_the_text_of_a_skipped_case(mixed):
    assert "SKIP first/skipped: needs --something" in mixed.text.splitlines()


def test_a_case_without_a_description_has_no_dangling_colon(mixed):
    assert "FAIL second" in mixed.text.splitlines()


def test_the_whole_run(mixed):
    assert mixed.cases == {"first/good": "PASS", "first/bad": "FAIL", "first/warned": "WARN", "first/skipped": "SKIP",
                           "second": "FAIL"}
    assert mixed.status == 1
    assert re.match(r"1 passed, 1 warned, 2 failed, 1 skipped in \d+ s: ", mixed.text.splitlines()[-1])


def test_a_long_answer_is_cut(conformance, case_file, server):
    with wrong_server(server.url, answering({"document": {"id": "x" * 100_000}, "status": 201})) as wrong:
        run = conformance(cases=case_file({"jobs": [job()]}), url=wrong.url)
    assert run.cases == {"mine": "FAIL"}
    assert len(run.text) < 10_000 and "…" in run.text


def test_control_characters_of_an_answer_do_not_reach_the_terminal(conformance, case_file, server, tmp_path):
    def escape(x):
        x.answer({})
        x.status, x.data = 500, b'\33]0;title\7 \0 \x9b31m \xff {"id": "<&\\u0000"}'
    with wrong_server(server.url, Fault("answers in colours", (), escape)) as wrong:
        run = conformance("--report-json", tmp_path / "report.json", "--report-junit", tmp_path / "junit.xml",
                          cases=case_file({"jobs": [job()]}), url=wrong.url)
    assert run.cases == {"mine": "FAIL"}
    assert not re.search(r"[\0-\x08\x0b-\x1f\x7f-\x9f]", run.text), repr(run.text)
    json.loads((tmp_path / "report.json").read_text())
    xml.etree.ElementTree.parse(tmp_path / "junit.xml")


# --- Judging --------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def judged(conformance, server, tmp_path_factory):
    """`judged(expect, answer)`: how a case with this assertion ends at this answer."""
    def judge(expect, answer):
        folder = tmp_path_factory.mktemp("judged")
        (folder / "mine.yml").write_text(yaml.safe_dump({"jobs": [job(schema=False, expect=[expect])]}))
        with wrong_server(server.url, answering({"document": answer})) as wrong:
            return conformance(cases=folder, url=wrong.url)
    return judge


@pytest.mark.parametrize("expect, answer", [
    ({"pointer": "/n", "equals": "\u00e9"}, "e\u0301"),
    ({"pointer": "/n", "equals": True}, 1),
    ({"pointer": "/n", "equals": 1}, "1"),
    ({"pointer": "/n", "contains": "\u00e9"}, "e\u0301"),
    ({"pointer": "/n", "contains": {"a": 1}}, [{"a": 2}, {"b": 1}]),
    ({"pointer": "/n", "lacks": "b"}, "abc"),
    ({"pointer": "/n", "type": "integer"}, 1.5),
    ({"pointer": "/n", "type": "time"}, "2026-02-30T00:00:00Z"),
    ({"pointer": "/n", "type": "uri"}, "no scheme"),
    ({"pointer": "/n", "absent": True}, None),
    ({"pointer": "/n/*/a", "equals": 1}, [{"a": 1}, {"a": 2}]),
    ({"pointer": "/n/-1", "present": True}, []),
    ({"pointer": "/n", "keys": ["a"]}, {"a": 1, "b": 2}),
    ({"pointer": "/n", "length": 1}, "\r\n"),
    ({"pointer": "/n/a", "not_after": "/n/b"}, {"a": "2026-01-01T00:00:00Z", "b": "2026-01-01T00:30:00+01:00"}),
    ({"header": "X-None", "present": True}, 1),
], ids=ascii)
def test_an_assertion_that_does_not_hold(judged, expect, answer):
    run = judged(expect, {"n": answer})
    assert run.cases == {"mine": "FAIL"}
    assert re.search(r"^  expect-1: .*: expected ", run.text, re.M)


@pytest.mark.parametrize("expect, answer", [
    ({"pointer": "/n", "equals": 1.0}, 1),
    ({"pointer": "/n", "equals": {"a": 1, "b": [2]}}, {"b": [2], "a": 1}),
    ({"pointer": "/n", "lacks": "\u00e9"}, "e\u0301"),
    ({"pointer": "/n", "length": 2}, "\r\n"),
    ({"pointer": "/n", "length": 2}, "e\u0301"),
    ({"pointer": "/n/a~1b~0c", "equals": 1}, {"a/b~c": 1}),
    ({"pointer": "/n/*", "type": "string", "optional": True}, []),
    ({"pointer": "/n/a", "not_after": "/n/b"}, {"a": "2026-01-01T00:30:00+01:00", "b": "2026-01-01T00:00:00Z"}),
    ({"pointer": "/n", "type": "time"}, "2026-01-01T00:00:00.123456789+05:30"),
    ({"header": "content-TYPE", "matches": "^application/json"}, 1),
], ids=ascii)
def test_an_assertion_that_holds(judged, expect, answer):
    run = judged(expect, {"n": answer})
    assert run.cases == {"mine": "PASS"}, run.text


@pytest.mark.parametrize("body, found", [
    (b"", "no JSON"), (b"<html>", "no JSON"), (b"null", "object"), (b"[]", "object"),
], ids=["nothing", "HTML", "null", "array"])
def test_an_answer_that_is_no_record(conformance, case_file, server, body, found):
    def act(x):
        x.answer({})
        x.data = body
    with wrong_server(server.url, Fault("answers something else", (), act)) as wrong:
        run = conformance(cases=case_file({"jobs": [job()]}), url=wrong.url)
    assert run.cases == {"mine": "FAIL"}
    assert "response_schema_validation: the answer" in run.text and found in run.text


def test_a_request_is_sent_as_the_file_says(conformance, case_file, server):
    seen = []

    def act(x):
        seen.append((x.method, x.path, x.query, x.headers, x.body))
        x.answer({})
    with wrong_server(server.url, Fault("listens", (), act)) as wrong:
        run = conformance("--jobs", 1, url=wrong.url, cases=case_file({"vars": {"odd": 'a "/?&=+ü'}, "jobs": [
            job(schema=False, endpoint="/x/{odd}", query_parameters=[{"b": "{odd}"}, {"a": ["1", "2"]}, {"b": None}]),
            job(schema=False, operation="POST", endpoint="{server}/y", request_body='{"a": "{odd}"}',
                headers={"X-Own": "{odd|upper}", "Accept": "text/plain"}),
            job(schema=False, operation="POST", endpoint="/z", raw_body="", headers={"Content-Type": None}),
        ]}))
    assert run.cases == {"mine": "PASS"}, run.text
    first, second, third = seen
    assert first[:3] == ("GET", "/ga4gh/tes/v1/x/a%20%22%2F%3F%26%3D%2B%C3%BC",
                         [("b", 'a "/?&=+ü'), ("a", "1"), ("a", "2"), ("b", "")])
    headers = {name.lower(): value for name, value in second[3].items()}
    assert second[:2] == ("POST", "/y") and json.loads(second[4]) == {"a": 'a "/?&=+ü'}
    assert headers["accept"] == "text/plain" and headers["content-type"] == "application/json"
    assert "content-type" not in {name.lower() for name in third[3]} and not third[4]


def test_tasks_of_a_failed_case_are_cancelled(conformance, case_file, client):
    run = conformance(cases=case_file({"jobs": [
        job(operation="POST", endpoint="/tasks", storage_vars={"id": "/id"}, request_body={
            "tags": {"left": "{unique}"}, "name": "left by a failed case",
            "executors": [{"image": "{image}", "command": ["sleep", "600"]}]}),
        job(response={299: {}})]}))
    assert run.cases == {"mine": "FAIL"}
    task, = client.list(name_prefix="left by a failed case")["tasks"]
    client.wait(task["id"], {"CANCELED"})


def test_an_argument_of_a_template_is_filled_in_once(conformance, case_file, server):
    seen = []

    def act(x):
        seen.append(x.query)
        x.answer({})
    folder = case_file({"jobs": [{"$ref": "./t.yaml", "args": {"first": "{second}", "second": "b"}}]})
    (folder / "t.yaml").write_text(yaml.safe_dump([
        job(schema=False, query_parameters=[{"alone": "{first}"}, {"inside": "x{first}"}])]))
    with wrong_server(server.url, Fault("listens", (), act)) as wrong:
        assert conformance(url=wrong.url, cases=folder).cases == {"mine": "PASS"}
    assert seen == [[("alone", "{second}"), ("inside", "x{second}")]]


# --- Reports --------------------------------------------------------------------------------------

def shape(value):
    """The members at each level; those of a list's items together."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        together = {}
        for item in value:
            together = {**together, **found} if isinstance(found := shape(item), dict) else found
        return [together]
    return type(value).__name__


@official
@pytest.mark.parametrize("sample", ["pass.json", "fail.json"])
def test_the_json_report_has_the_members_of_the_official_one(mixed, sample):
    assert shape(mixed.report) == shape(json.loads((OFFICIAL / "report-samples" / sample).read_text()))


def test_the_json_report_counts_checks(mixed):
    def count(cases):
        words = {"UNKNOWN": "unknown", "PASS": "passed", "WARN": "warned", "FAIL": "failed", "SKIP": "skipped"}
        return {word: sum(case["status"] == status for case in cases) for status, word in words.items()}

    report = mixed.report
    assert report["status"] == "FAIL"
    for phase in report["phases"]:
        for test in phase["tests"]:
            if test["status"] != "SKIP":
                assert test["summary"] == count(test["cases"])
        for name in phase["summary"]:
            assert phase["summary"][name] == sum(test["summary"][name] for test in phase["tests"])
    for name in report["summary"]:
        assert report["summary"][name] == sum(phase["summary"][name] for phase in report["phases"])
    assert report["summary"]["skipped"] == 1 and report["summary"]["warned"] == 1 and report["summary"]["failed"] == 2


def test_the_json_report_has_files_jobs_and_checks(mixed):
    first, second = mixed.report["phases"]
    assert (first["phase_name"], first["phase_description"]) == ("first.yml", mixed.odd)
    assert [(test["test_name"], test["status"]) for test in first["tests"]] == [
        ("good/one", "PASS"), ("good/two", "PASS"), ("bad/one", "PASS"), ("bad/create", "FAIL"),
        ("warned/one", "WARN"), ("skipped", "SKIP")]
    assert [test["test_name"] for test in second["tests"]] == ["one"]
    failed = first["tests"][3]["cases"]
    assert [(check["case_name"], check["status"]) for check in failed] == [
        ("request_body_json_validation", "PASS"), ("status_code", "FAIL")]
    assert "expected status 200, found 400" in failed[1]["message"]
    assert "Returns the GA4GH service-info record" in failed[1]["message"]
    assert json.dumps(mixed.odd, ensure_ascii=False) in failed[1]["log_messages"][0]
    assert "400" in failed[1]["log_messages"][1]


def test_times_of_the_json_report_are_in_order(mixed):
    def check(outer, inner):
        assert outer["start_time"] <= inner["start_time"] <= inner["end_time"] <= outer["end_time"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", inner["start_time"])
    for phase in mixed.report["phases"]:
        check(mixed.report, phase)
        for test in phase["tests"]:
            check(phase, test)
            for case in test["cases"]:
                check(test, case)


def test_a_case_that_skips_itself_is_one_test_of_the_report(conformance, case_file, tmp_path):
    report = tmp_path / "report.json"
    run = conformance("--report-json", report, cases=case_file(
        {"cases": [{"name": "a", "jobs": [job(), job(skip_unless=[{"pointer": "/none"}])]}]}))
    assert run.cases == {"mine/a": "SKIP"}
    test, = json.loads(report.read_text())["phases"][0]["tests"]
    assert (test["test_name"], test["status"]) == ("a", "SKIP")


def test_the_junit_report(mixed):
    root = mixed.junit
    assert root.tag == "testsuites"
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("5", "2", "1")
    first, second = suites = root.findall("testsuite")
    assert [[suite.get(name) for name in ("name", "tests", "failures", "skipped")] for suite in suites] == [
        ["first", "4", "1", "1"], ["second", "1", "1", "0"]]
    assert len(second) == 1
    cases = {case.get("name"): case for case in first}
    assert list(cases) == ["good", "bad", "warned", "skipped"]
    assert {case.get("classname") for case in first} == {"first"}
    assert all(float(case.get("time")) >= 0 for case in first)
    assert list(cases["good"]) == []
    assert "expected status 200, found 400" in cases["bad"].find("failure").get("message")
    assert mixed.odd in cases["bad"].find("failure").text
    assert "“Returns the GA4GH service-info record”" in cases["bad"].find("failure").text
    assert cases["warned"].find("failure") is None and "expect-1" in cases["warned"].find("system-out").text
    assert cases["skipped"].find("skipped").get("message") == "needs --something"


@pytest.mark.slow
def test_the_reports_of_all_cases_agree(own_run):
    root = xml.etree.ElementTree.parse(own_run.folder / "junit.xml").getroot()
    assert int(root.get("tests")) == len(root.findall("testsuite/testcase")) == len(own_run.cases)
    assert int(root.get("failures")) == len(own_run.of("FAIL"))
    report = json.loads((own_run.folder / "report.json").read_text())
    assert [phase["phase_name"] for phase in report["phases"]] == [path.name for path in FILES]
    tests = [test for phase in report["phases"] for test in phase["tests"]]
    assert {name.partition("/")[0] for name in (test["test_name"] for test in tests)} == \
        {name.partition("/")[2] for name in own_run.cases}


def test_a_report_that_cannot_be_written_is_told(conformance, tmp_path):
    run = conformance("--only", "service_info/json", "--report-json", tmp_path / "none" / "report.json",
                      "--report-junit", tmp_path / "junit.xml")
    assert run.status != 0
    assert f"{tmp_path}/none/report.json" in run.errors
    # A run may have taken an hour: nothing else of it may be lost.
    assert "1 passed" in run.text
    assert (tmp_path / "junit.xml").exists()


# --- Servers that do not answer -------------------------------------------------------------------

def test_a_server_that_is_not_there(conformance):
    run = conformance("--only", "service_info/json", "--only", "create/answer", url=f"http://127.0.0.1:{free_port()}")
    assert run.cases == {"service_info/json": "FAIL", "create/answer": "FAIL"}
    assert run.text.count("status_code: no answer: ") == 2
    assert run.status == 1


def test_a_run_without_a_server_ends_early(poiesis, tmp_path):
    done = poiesis("conformance", f"http://127.0.0.1:{free_port()}", "--cases", CASES, "--jobs", 3,
                   "--report-junit", tmp_path / "junit.xml")
    run = Run(done)
    assert len(run.of("FAIL") | run.of("WARN")) == 3 == len(run.cases)
    assert run.status == 1
    assert "nothing answers at http://127.0.0.1:" in run.errors
    root = xml.etree.ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert int(root.get("skipped")) == len(root.findall(".//skipped")) == len(root.findall("testsuite/testcase")) - 3


@pytest.mark.parametrize("status, body", [(200, b"<html>Welcome</html>"), (404, b'{"status": 404}'), (401, b"")],
                         ids=["HTML", "404", "401"])
def test_a_run_against_something_else_ends_early(poiesis, server, status, body):
    def act(x):
        x.answer({}, status)
        x.data = body
    with wrong_server(server.url, Fault("is something else", (), act)) as wrong:
        run = Run(poiesis("conformance", wrong.url, "--cases", CASES, "--jobs", 2))
        assert wrong.requests < 20
    assert 10 <= len(run.cases) <= 12
    assert run.status == 1
    assert "after 10 cases, no answer" in run.errors and "base of its API" in run.errors


def test_a_right_server_that_refuses_what_is_wrong_is_not_taken_for_none(conformance):
    run = conformance("--only", "create/*without*", "--only", "create/no_*", "--only", "*/unknown_identifier",
                      "--only", "get/odd_identifier")
    assert len(run.cases) > 10 and run.of("PASS") == run.cases.keys()


def test_headers_are_sent_with_every_request_and_shown_nowhere(conformance, case_file, server, tmp_path):
    seen = []

    def act(x):
        seen.append((x.method, {name.lower(): value for name, value in x.headers.items()}))
        x.answer({"id": "1"})
    with wrong_server(server.url, Fault("listens", (), act)) as wrong:
        run = conformance("--header", "Authorization: Bearer geheim", "--header", "X-A:b",
                          "--report-json", tmp_path / "r", url=wrong.url, cases=case_file({"jobs": [
                              job(operation="POST", endpoint="/tasks", raw_body="", headers={"X-A": "own"}),
                              job(response={201: {}})]}))
    assert run.cases == {"mine": "FAIL"}
    assert [method for method, _ in seen] == ["POST", "GET", "POST"]  # the last one cancels
    assert {headers["authorization"] for _, headers in seen} == {"Bearer geheim"}
    assert [headers["x-a"] for _, headers in seen] == ["own", "b", "b"]
    assert "geheim" not in run.text + run.errors + (tmp_path / "r").read_text()


def test_an_answer_that_leads_elsewhere_says_where(conformance, case_file, server):
    def act(x):
        x.answer({}, 302)
        x.data, x.answer_headers = b"", {"Location": "https://user:secret@tes.example/"}
    with wrong_server(server.url, Fault("redirects", (), act)) as wrong:
        run = conformance(cases=case_file({"jobs": [job()]}), url=wrong.url)
    assert "  answer: 302 (location: https://tes.example/)\n" in run.text


def test_what_only_our_own_server_promises_is_told_apart(conformance, case_file):
    ours = case_file({"tags": ["poiesis"], "jobs": [job(response={201: {}})]})
    assert "1 of the failed cases ask for what only Poiesis promises" in conformance(cases=ours).errors
    assert conformance(cases=case_file({"jobs": [job(response={201: {}})]})).errors == ""


def test_an_image_that_the_server_does_not_have_is_told(poiesis, server):
    run = Run(poiesis("conformance", server.url, "--cases", CASES, "--image", "localhost:1/none:1",
                      "--only", "executors/workdir", "--only", "!poiesis"))
    assert run.cases == {"executors/workdir": "FAIL"}
    assert "no task of any case completed: can the server run --image localhost:1/none:1?" in run.errors


def test_a_file_in_error_is_an_error_of_the_junit_report(conformance, case_file, tmp_path):
    conformance("--report-junit", tmp_path / "junit.xml", cases=case_file(
        {"jobs": [job(operation="POST", endpoint="/tasks", request_body="{")]}))
    root = xml.etree.ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert (root.get("failures"), root.get("errors")) == ("0", "1")
    assert root.find("testsuite/testcase/error") is not None


def test_a_server_that_hangs_up(conformance):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def hang_up():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1 << 16)

        threading.Thread(target=hang_up, daemon=True).start()
        run = conformance("--only", "service_info/json", "--only", "create/answer",
                          url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        listener.shutdown(socket.SHUT_RDWR)
    assert run.cases == {"service_info/json": "FAIL", "create/answer": "FAIL"}
    assert run.text.count("no answer: ") == 2


@pytest.mark.slow
def test_a_server_that_is_silent(silence):
    text, _ = silence.communicate(timeout=90)
    assert "FAIL service_info/json: " in text
    assert "no answer: " in text and "60 seconds" in text
    assert silence.returncode == 1


# --- What the cases rest on -----------------------------------------------------------------------

def rows(title):
    """The cells of each row of the README's table below a title, but for its head."""
    text = (CASES / "README.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [line.strip("| ").split(" | ") for line in lines[2:]]


def table():
    """`(place, sentence, [case])`."""
    for place, sentence, cases in rows("Sentence and case"):
        yield place.strip("`"), sentence, re.findall(r"`([\w/]+)`", cases)


def test_the_readme_names_cases_that_exist_and_all_of_them(documents):
    named = {case for _, _, cases in table() for case in cases}
    binding = {name for name, (root, _) in documents.items() if "poiesis" not in root.get("tags", [])}
    assert named == binding


def sentences(node):
    """Every `spec` entry below a node."""
    if isinstance(node, dict):
        spec = node.get("spec")
        if isinstance(spec, dict) and spec.keys() == {"at", "says"}:
            yield spec
        elif isinstance(spec, list):
            yield from spec
        for name, value in node.items():
            if name != "spec":
                yield from sentences(value)
    elif isinstance(node, list):
        for item in node:
            yield from sentences(item)


def test_the_readme_says_what_the_cases_say(documents):
    stated = {(spec["at"], words(spec["says"]), name) for name, (root, case) in documents.items()
              for spec in (*sentences(case), *(sentences({"spec": root["spec"]}) if "spec" in root else ()))
              if spec["at"] != "docs"}
    assert {(place, words(sentence), case) for place, sentence, cases in table() for case in cases} == stated


def test_every_sentence_of_the_specification_has_a_case_or_a_reason():
    told = {}
    for place, sentence, _ in [*rows("Sentence and case"), *rows("Sentences without a case")]:
        told.setdefault(place.strip("`"), []).append(sentence)
    missing = []
    for place, text in Description().texts():
        for sentence in re.split(r"(?<=\.) (?:- )?(?=[A-Z`])", text):
            if not any(sentence in x or x.rstrip(".") in sentence for x in told.get(place, [])):
                missing.append((place, sentence))
    assert missing == []


def test_every_sentence_without_a_case_stands_in_the_specification():
    description = Description()
    assert [row for row in rows("Sentences without a case") if not description.says(row[0].strip("`"), row[1])] == []


def test_every_case_has_a_sentence(documents):
    assert [name for name, (root, case) in documents.items()
            if "spec" not in root and not list(sentences(case))] == []


def words(text):
    return " ".join(str(text).split())


class Description:
    """The specification's documents."""

    def __init__(self):
        self.tes = yaml.safe_load((SPECIFICATION / "openapi.yaml").read_text())
        self.info = yaml.safe_load((SPECIFICATION / "service-info.yaml").read_text())
        self.operations = {operation["operationId"]: operation for path in self.tes["paths"].values()
                           for operation in path.values() if isinstance(operation, dict)}

    def resolve(self, node):
        """The node itself, unless it is nothing but a reference."""
        while isinstance(node, dict) and "$ref" in node:
            kind, name = node["$ref"].split("/")[-2:]
            node = self.tes["components"][kind].get(name) or self.info["components"][kind][name]
        return node

    def at(self, place):
        name, *rest = place.split(".")
        if name == "view":
            return self.tes["components"]["parameters"]["view"]
        if name in self.operations:
            operation = self.operations[name]
            if not rest:
                return operation
            if rest == ["requestBody"]:
                return operation["requestBody"]
            return next(p for p in map(self.resolve, operation["parameters"]) if p["name"] == rest[0])
        if name == "ServiceInfo" and rest == ["getServiceInfo"]:
            return self.info["paths"]["/service-info"]["get"]
        if name == "ServiceInfo":
            node, rest = self.info["components"]["schemas"][rest[0]], rest[1:]
        else:
            node = self.tes["components"]["schemas"][name]
        for member in rest:
            parts = [node, *map(self.resolve, node.get("allOf", []))]
            # What a schema says itself goes before what it inherits.
            node = next(part["properties"][member] for part in reversed(parts) if member in part.get("properties", {}))
        return node

    def texts(self):
        """`(place, description)` of everything that has a place."""
        def below(place, node):
            if "description" in node:
                yield place, words(node["description"])
            for part in (node, *node.get("allOf", [])):
                for name, member in part.get("properties", {}).items():
                    yield from below(f"{place}.{name}", member)

        for document, prefix in ((self.tes, ""), (self.info, "ServiceInfo.")):
            for kind in ("schemas", "parameters"):
                for name, node in document["components"].get(kind, {}).items():
                    yield from below(prefix + name, node)
            for path in document["paths"].values():
                for operation in path.values():
                    place = prefix + operation["operationId"]
                    yield place, words(operation["description"])
                    if "requestBody" in operation:
                        yield f"{place}.requestBody", words(operation["requestBody"]["description"])
                    for parameter in operation.get("parameters", []):
                        if "name" in parameter:
                            yield f"{place}.{parameter['name']}", words(parameter["description"])

    def says(self, place, sentence):
        node = self.at(place)
        sentence = words(sentence)
        if any(sentence in words(part.get("description", "")) for part in (node, self.resolve(node))):
            return True
        fact, _, value = sentence.partition(": ")
        schema = self.resolve(node.get("schema", node))
        found = schema.get(fact, node.get(fact))
        if fact == "content":
            return any(value in answer.get("content", {}) for answer in node["responses"].values())
        if isinstance(found, list):
            return value == ", ".join(found)
        return found is not None and value == (str(found).lower() if isinstance(found, bool) else str(found))


def test_every_sentence_stands_in_the_specification(documents):
    description = Description()
    missing = []
    for path in FILES:
        for spec in sentences(yaml.safe_load(path.read_text())):
            if spec["at"] != "docs" and not description.says(spec["at"], spec["says"]):
                missing.append((path.name, spec))
    assert missing == []


# --- The guide ------------------------------------------------------------------------------------

GUIDE = REPOSITORY / "docs" / "guides" / "conformance-in-ci.md"


def test_the_workflow_of_the_guide_uses_options_that_exist(poiesis):
    workflow = yaml.safe_load(re.search(r"```yaml\n(.*?)```", GUIDE.read_text(), re.S)[1])
    steps = {step.get("name"): step for step in workflow["jobs"]["conformance"]["steps"]}
    used = set(re.findall(r"--[a-z-]+", steps["Conformance"]["run"]))
    described = set(re.findall(r"^\| `(--[a-z-]+)", GUIDE.read_text(), re.M))
    known = set(re.findall(r"--[a-z-]+", poiesis("conformance", "--help").stdout))
    assert {"--only", "--output-url", "--report-json", "--report-junit"} <= used <= known
    assert {"--only", "--image", "--output-url", "--jobs"} <= described <= known


def test_the_guide_names_cases_that_exist(identifiers):
    text = GUIDE.read_text()
    assert set(re.findall(r"^(?:PASS|WARN|FAIL|SKIP) ([\w/]+)", text, re.M)) <= set(identifiers)
    assert set(re.findall(r"--only '?!?(\w+/\w+)", text)) <= set(identifiers)
