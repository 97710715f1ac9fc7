"""Every row of the API's behaviour has its tests: where they are, and those that no other file has."""

import ast
import base64
import gzip
import json
import pathlib
import uuid

import pytest
import yaml

from harness.client import Client, run, sh, task
from harness.commands import Commands
from harness.processes import REPOSITORY, wait_until

HERE = pathlib.Path(__file__).parent
SCHEMAS = yaml.safe_load((REPOSITORY / "spec/tes/1.1.0/openapi.yaml").read_text())["components"]["schemas"]
UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"
BASES = ["/ga4gh/tes/v1", "/v1", ""]
NONE_NONE = "Basic " + base64.b64encode(b"None:None").decode()

# Row → the file, and names of tests in it or the beginnings of names.
ROWS = {
    "HTTP: bases": (
        "http",
        "test_create_works_on_every_base",
        "test_get_works_on_every_base",
        "test_list_works_on_every_base",
        "test_cancel_works_on_every_base",
        "test_service_info_works_on_every_base",
        "test_a_trailing_slash",
        "test_any_other_path_is_404",
        "test_old_service_info",
    ),
    "HTTP: cancel path": (
        "http",
        "test_cancel_is_known_by_every_spelling",
        "test_cancel_does_not_mind_its_body",
        "test_delete_on_the_cancel_path_answers",
        "test_delete_on_the_cancel_path_cancels",
        "test_cancel_of_an_ended_task",
        "test_an_unknown_id_is_404",
    ),
    "HTTP: cancel path, on every base": ("rows", "test_cancel_path_on_every_base"),
    "HTTP: statuses": (
        "http",
        "test_a_wrong_method_is_405",
        "test_405_names",
        "test_a_body_over_the_limit_is_413",
        "test_a_foreign_content_type_is_415",
        "test_json_and_no_content_type",
        "test_an_accept_that_excludes",
        "test_head_is_answered",
        "test_options_names",
    ),
    "HTTP: statuses, 200 and errors": (
        "rows",
        "test_statuses_are_200_and_never_201",
        "test_statuses_of_errors_have_the_json_body",
    ),
    "HTTP: 5xx": ("database", "test_without_a_database_the_answer_is_503", "test_what_was_answered_503_never_runs"),
    "HTTP: 5xx, under load": (
        "hostile_clients",
        "test_a_create_is_stored_or_refused_and_never_both",
        "test_a_retry_with_its_key_gives_the_one_task",
    ),
    "HTTP: compression, caching, repeats": (
        "api_encodings",
        "test_a_client_that_takes_gzip",
        "test_a_task_sent_as_gzip",
        "test_what_the_client_has_is_304",
        "test_a_listed_origin",
        "test_any_origin",
        "test_an_origin_that_is_not_listed",
        "test_a_request_id_is_echoed",
        "test_a_request_is_logged",
    ),
    "HTTP: keep-alive": ("http", "test_two_requests_use_one_connection"),
    "HTTP: repeats": ("api_idempotency", "test_the_same_again_gives_the_same_task", "test_twenty_at_once_are_one_task"),
    "HTTP: credentials with auth off": ("http", "test_credentials_are_ignored"),
    "HTTP: credentials with auth off, everywhere": ("rows", "test_credentials_are_ignored_by_every_operation"),
    "HTTP: service-info": (
        "http",
        "test_service_info_names_its_type",
        "test_service_info_lists_each_scheme",
        "test_service_info_does_not_change",
    ),
    "HTTP: service-info, configured": (
        "rows",
        "test_service_info_says_what_is_configured",
        "test_service_info_is_constant_for_one_deployment",
    ),
    "HTTP: beyond the specification": (
        "api_description",
        "test_beyond_the_specification_is_not_under_its_bases",
        "test_healthz_and_readyz",
        "test_both_forms_are_one_document",
    ),
    "HTTP: beyond the specification, events": (
        "events",
        "test_an_id_begins_after_its_event",
        "test_tags_filter_as_in_lists",
        "test_a_task_id_filters",
    ),
    "HTTP: beyond the specification, metrics": ("metrics", "test_the_family_is_there_with_its_type"),
    "Requests: unknown fields": (
        "requests",
        "test_leaves_nothing_behind",
        "test_null_in_tags",
        "test_null_in_env",
        "test_empty_and_absent_arrays_are_the_same",
    ),
    "Requests: unknown fields, null in maps": ("rows", "test_null_in_backend_parameters"),
    "Requests: server-set fields": ("requests", "test_what_the_server_sets_cannot_be_sent"),
    "Requests: refused with 400": (
        "requests",
        "test_is_refused_with_a_pointer",
        "test_all_problems_are_named_at_once",
        "test_a_malformed_body_is_400",
    ),
    "Requests: refused with 400, content limit": ("rows", "test_the_content_limit"),
    "Requests: judged when the task runs": ("filer", "test_an_http_output_is_refused_when_the_task_runs"),
    "Requests: judged when the task runs, never at creation": ("rows", "test_judged_when_the_task_runs"),
    "Requests: patterns": ("filer_outputs", "test_a_pattern_selects", "test_a_literal_output_without_prefix"),
    "Requests: accepted on purpose": ("requests", "test_is_accepted", "test_an_absent_type_is_filled_in"),
    "Requests: accepted on purpose, and run": ("rows", "test_accepted_on_purpose_runs"),
    "Requests: backend_parameters": (
        "requests",
        "test_unknown_backend_parameters_are_dropped",
        "test_known_backend_parameters_have_keys_in_any_case",
    ),
    "Requests: backend_parameters, warning": ("answers", "test_a_dropped_backend_parameter_is_a_warning"),
    "Requests: backend_parameters, listed": ("rows", "test_backend_parameters_are_listed"),
    "Requests: a task no engine could ever run": ("answers", "test_a_task_that_no_engine_could_run"),
    "Requests: a task no engine could ever run, never waits": (
        "rows",
        "test_a_task_that_no_engine_could_run_never_waits",
    ),
    "Answers: fields": (
        "answers",
        "test_nothing_is_null",
        "test_times_are_rfc_3339",
        "test_cpu_cores_are_written",
        "test_size_bytes_is_a_string",
        "test_only_members_of_the_specification",
    ),
    "Answers: fields, order": ("rows", "test_fields_inside_come_in_the_order_of_the_specification"),
    "Answers: views": (
        "answers",
        "test_minimal_is_exactly_id_and_state",
        "test_basic_is_full_without",
        "test_a_view_is_known",
        "test_an_unknown_view_is_400",
    ),
    "Answers: logs": (
        "answers",
        "test_a_queued_task_has_no_logs",
        "test_a_running_task_has_an_entry",
        "test_an_executor_log_appears",
        "test_executors_that_never_ran",
        "test_a_task_that_ends_before_any_attempt",
    ),
    "Answers: logs, from the first work on": (
        "rows",
        "test_logs_have_an_entry_as_soon_as_work_began",
        "test_logs_are_never_empty",
    ),
    "Answers: list order": (
        "lists",
        "test_the_newest_comes_first",
        "test_pages_together",
        "test_new_tasks_do_not_shift",
        "test_a_page_holds_256",
        "test_page_size_is_refused",
        "test_a_damaged_token_is_400",
        "test_a_token_is_bound_to_its_filters",
        "test_a_token_goes_with_any_view",
        "test_only_the_last_page",
    ),
    "Answers: list order, replicas": ("rows", "test_list_order_tokens_hold_at_every_replica"),
    "Answers: list order, memory": ("hostile_clients", "test_readers_that_do_not_read_take_no_memory"),
    "Answers: list filters": (
        "lists",
        "test_a_name_prefix_is_literal",
        "test_tags_are_zipped_in_order",
        "test_more_values_than_keys",
        "test_all_filters_combine",
        "test_an_empty_state",
        "test_an_empty_prefix",
    ),
    "Answers: list filters, empty parameters": ("rows", "test_list_filters_that_are_empty_count_as_absent"),
    "Answers: secrets": ("answers", "test_contents_and_environments_are_never_logged"),
    "Answers: secrets, metrics": ("metrics", "test_contents_and_environments_are_in_no_metric"),
    "Answers: secrets, events": ("events", "test_contents_and_environments_are_in_no_event"),
}


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_its_tests(row):
    name, *beginnings = ROWS[row]
    [path] = [x for x in (HERE / f"test_{name}.py", HERE / f"test_api_{name}.py") if x.exists()]
    there = [x.name for x in ast.parse(path.read_text()).body if isinstance(x, ast.FunctionDef)]
    assert [x for x in beginnings if not any(y.startswith(x) for y in there)] == []


def impossible(**fields):
    """A task that ends at once and starts no container."""
    return task(run("true"), resources={"cpu_cores": 100_000}, **fields)


# --- HTTP -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("colon", [":", "%3A", "%3a"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_cancel_path_on_every_base(server, client, base, colon, method):
    task_id = client.create(task("sleep 600"))
    answer = Client(server.url, base).request(method, f"/tasks/{task_id}{colon}cancel")
    assert (answer.status_code, answer.json()) == (200, {} if method == "POST" else {"id": task_id})
    assert client.wait(task_id)["state"] == "CANCELED"


def test_statuses_are_200_and_never_201(client):
    created = client.post(impossible())
    answers = [created, client.request("GET", f"/tasks/{created.json()['id']}"), client.request("GET", "/tasks"),
               client.request("POST", f"/tasks/{created.json()['id']}:cancel"), client.request("GET", "/service-info")]
    assert [x.status_code for x in answers] == [200] * 5


ERRORS = {
    400: ("POST", "/tasks", {"json": {}}), 403: ("GET", "/tasks", {"headers": {"Origin": "https://evil.example"}}),
    404: ("GET", f"/tasks/{UNKNOWN_ID}", {}), 405: ("PUT", "/tasks", {}),
    413: ("POST", "/tasks", {"data": gzip.compress(b" " * (17 << 20)), "headers": {"Content-Encoding": "gzip"}}),
    415: ("POST", "/tasks", {"data": "x", "headers": {"Content-Type": "text/plain"}}),
}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("status", ERRORS)
def test_statuses_of_errors_have_the_json_body(server, base, status):
    method, path, options = ERRORS[status]
    answer = Client(server.url, base).request(method, path, **options)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (status, "application/json")
    assert (answer.json()["status"], len(answer.json()["message"]) > 5) == (status, True)


@pytest.mark.parametrize(("method", "path", "options"), [
    ("GET", "/service-info", {}), ("GET", "/tasks", {}), ("POST", "/tasks", {"json": impossible()}),
    ("POST", "/tasks/{id}:cancel", {}), ("GET", "/tasks/{id}", {})], ids=str)
def test_credentials_are_ignored_by_every_operation(client, method, path, options):
    task_id = client.create(impossible())
    answer = client.request(method, path.format(id=task_id), headers={"Authorization": NONE_NONE}, **options)
    assert answer.status_code == 200


def info(client):
    return client.request("GET", "/service-info").json()


def test_service_info_says_what_is_configured(servers):
    given = {
        "ID": "org.example.tes",
        "NAME": "Example",
        "DESCRIPTION": "Runs things.",
        "ORGANIZATION_NAME": "Example Ltd",
        "ORGANIZATION_URL": "https://example.org",
        "CONTACT_URL": "mailto:help@example.org",
        "DOCUMENTATION_URL": "https://docs.example.org",
        "ENVIRONMENT": "test",
    }
    said = info(servers(env={f"POIESIS_SERVICE_{key}": value for key, value in given.items()}).client)
    assert (
        said["id"],
        said["name"],
        said["description"],
        said["organization"],
        said["contactUrl"],
        said["documentationUrl"],
        said["environment"],
    ) == (
        "org.example.tes",
        "Example",
        "Runs things.",
        {"name": "Example Ltd", "url": "https://example.org"},
        "mailto:help@example.org",
        "https://docs.example.org",
        "test",
    )


def test_service_info_is_constant_for_one_deployment(servers, cluster):
    database = cluster.create(f"test_{uuid.uuid4().hex[:12]}")
    one, two = (servers(arguments=["--database", database], stages=("files:rw",)) for _ in range(2))
    before = info(one.client)
    one.stop()
    after = info(one.start().client)
    assert after == before and before["createdAt"] and before["updatedAt"]
    assert [info(two.client)[x] for x in ("createdAt", "updatedAt")] == [before[x] for x in ("createdAt", "updatedAt")]


# --- Requests -------------------------------------------------------------------------------------

def test_null_in_backend_parameters_counts_as_absent(client):
    body = task(run("true"), resources={"cpu_cores": 100_000, "backend_parameters": {"No-Such": None},
                                        "backend_parameters_strict": True})
    # Strict, and yet accepted: what is null is not there.
    assert client.post(body).status_code == 200


@pytest.mark.parametrize(("limit", "allowed"), [("200000", 200_000), ("131072", 131_072), ("1000", 131_072)])
def test_the_content_limit_is_configured_and_never_below_128_kib(servers, limit, allowed):
    client = servers(env={"POIESIS_CONTENT_LIMIT": limit}).client
    answers = [
        client.post(impossible(inputs=[{"path": "/in", "content": "x" * size}])) for size in (allowed, allowed + 1)
    ]
    assert [x.status_code for x in answers] == [200, 400]


RUN_TIME = {
    "a file outside of every root": ("inputs", {"url": "file:///etc/passwd"}, "--allow-files"),
    "a host that does not answer": ("inputs", {"url": "http://127.0.0.1:1/x"}, "127.0.0.1:1"),
    "an output to a file outside of every root": ("outputs", {"url": "file:///nowhere/x"}, "--allow-files"),
}


@pytest.mark.parametrize("case", RUN_TIME)
def test_judged_when_the_task_runs_with_the_remedy(client, case):
    member, fields, remedy = RUN_TIME[case]
    ended = client.run(task("mkdir -p /d; echo > /d/x", **{member: [{"path": "/d/x", **fields}]}), "SYSTEM_ERROR")
    assert remedy in "\n".join(ended["logs"][0]["system_logs"])


def test_accepted_on_purpose_runs(client, folder):
    # Identical inputs, inputs inside inputs and inside an output directory, a FILE output inside a DIRECTORY output, input
    # and output on one path, an empty directory by _:, an empty string as an argument: all in one task, as workflows do.
    (folder / "x").write_text("from the file\n")
    given = {"path": "/work/x", "url": f"file://{folder}/x"}
    ended = client.run(task(
        run("sh", "-c", 'cat /work/x; ls /work/empty; echo "[$1]"; echo out > /work/y', "sh", ""),
        inputs=[given, given, {"path": "/work/empty/", "url": "_:anything", "type": "DIRECTORY"},
                {"path": "/work/in", "content": "both", "url": "http://127.0.0.1:1/never-read"}],
        outputs=[{"path": "/work/", "url": f"file://{folder}/all/", "type": "DIRECTORY"},
                 {"path": "/work/y", "url": f"{folder}/alone"}, {"path": "/work/x", "url": f"file://{folder}/again"}],
        name="", tags={}))
    assert ended["logs"][0]["logs"][0]["stdout"] == "from the file\n[]\n"
    assert [(folder / x).read_text() for x in ("all/y", "alone", "again", "all/in")] == [
        "out\n",
        "out\n",
        "from the file\n",
        "both",
    ]
    assert (folder / "all/empty").is_dir()


def test_backend_parameters_are_listed_in_service_info(client):
    listed = info(client).get("tesResources_backend_parameters", [])
    assert all(isinstance(x, str) and x for x in listed)
    strict = {"backend_parameters": dict.fromkeys(listed, "1"), "backend_parameters_strict": True}
    assert client.post(task(run("true"), resources={"cpu_cores": 100_000, **strict})).status_code == 200


def test_a_task_that_no_engine_could_run_never_waits(servers, engine):
    # Not even behind others that do wait.
    client = servers().client
    blocker = client.create(task("sleep 600", resources={"cpu_cores": engine.cpus()}))
    client.wait(blocker, {"RUNNING"})
    waiting = client.create(task("true", resources={"cpu_cores": engine.cpus()}))
    assert client.wait(client.create(impossible()), seconds=15)["state"] == "SYSTEM_ERROR"
    assert client.state(waiting) == "QUEUED"


# --- Answers --------------------------------------------------------------------------------------

def in_order(value, schema, path=""):
    """Fails where an object's members come in another order than its schema has them."""
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rsplit("/", 1)[1]]
    if isinstance(value, list):
        for inner in value:
            in_order(inner, schema.get("items", {}), path + "/*")
    elif isinstance(value, dict) and "properties" in schema:
        keys, order = list(value), list(schema["properties"])
        assert keys == [x for x in order if x in keys], path
        for key, inner in value.items():
            in_order(inner, schema["properties"][key], f"{path}/{key}")


def test_fields_inside_come_in_the_order_of_the_specification(client, folder):
    ended = client.run(
        task(
            sh(
                "echo > /o/x",
                workdir="/w",
                stdin="/in/x",
                stdout="/o/1",
                stderr="/o/2",
                env={"A": "b"},
                ignore_error=False,
            ),
            name="n",
            description="d",
            volumes=["/w"],
            tags={"a": "b"},
            inputs=[
                {"streamable": False, "content": "x", "path": "/in/x", "description": "d", "name": "n", "type": "FILE"}
            ],
            outputs=[{"type": "DIRECTORY", "path": "/o", "url": f"file://{folder}/o", "description": "d", "name": "n"}],
            resources={"zones": ["z"], "disk_gb": 1, "ram_gb": 0.5, "preemptible": False, "cpu_cores": 1},
        )
    )
    in_order(ended, SCHEMAS["tesTask"])
    in_order(client.list(view="FULL", page_size=1), SCHEMAS["tesListTasksResponse"])


def test_logs_have_an_entry_as_soon_as_work_began(client, http_files):
    url = http_files.put("rows-slow", b"x" * 10_000, seconds=30)
    task_id = client.create(task("true", inputs=[{"path": "/in/x", "url": url}]))
    whole = client.wait(task_id, {"INITIALIZING"})
    wait_until(lambda: http_files.gets("rows-slow"), "the transfer has begun")
    whole = client.get(task_id)
    client.cancel(task_id)
    client.wait(task_id)
    assert whole["state"] == "INITIALIZING" and [(x["logs"], x["outputs"]) for x in whole["logs"]] == [([], [])]
    # Cromwell polls until it is there.
    assert "vm_price_per_hour_usd" in whole["logs"][0]["metadata"]


@pytest.mark.parametrize("view", ["BASIC", "FULL"])
def test_logs_are_never_empty(client, engine, view):
    # The GA4GH runner dies on [].
    blocker = client.create(task("sleep 600", resources={"cpu_cores": engine.cpus()}))
    client.wait(blocker, {"RUNNING"})
    queued = client.create(task("true", resources={"cpu_cores": engine.cpus()}))
    try:
        before = client.get(queued, view)
        client.cancel(queued)
        client.wait(queued)
        after = client.get(queued, view)
    finally:
        client.cancel(blocker)
        client.wait(blocker)
    assert after["state"] == "CANCELED"
    assert [] not in (before.get("logs"), after.get("logs"))


def test_list_order_tokens_hold_at_every_replica(servers, cluster):
    database = cluster.create(f"test_{uuid.uuid4().hex[:12]}")
    one, two = (servers(arguments=["--database", database]).client for _ in range(2))
    created = [one.create(impossible()) for _ in range(5)][::-1]
    first = one.list(page_size=2)
    second = two.list(page_size=2, page_token=first["next_page_token"])
    third = one.list(page_size=2, page_token=second["next_page_token"])
    assert [x["id"] for page in (first, second, third) for x in page["tasks"]] == created


@pytest.mark.parametrize("query", ["page_size=", "view=", "state=", "name_prefix=", "page_token=", "tag_key=",
                                   "page_size=&view=&state=&name_prefix=&page_token="])
def test_list_filters_that_are_empty_count_as_absent(client, query):
    client.create(impossible())
    answer = client.request("GET", f"/tasks?{query}")
    assert answer.status_code == 200 and answer.json()["tasks"]


def test_secrets_are_not_in_what_the_command_line_logs(client, server, scratch):
    poiesis = Commands(scratch / "rows", url=server.url)
    done = poiesis(
        "task", "create", poiesis.file(json.dumps(impossible(inputs=[{"path": "/in", "content": "hush-hush"}])))
    )
    assert done.returncode == 0 and "hush-hush" not in done.stdout + done.stderr + server.log_text()
