"""How a server can differ from ours: the faults that the cases `poiesis_*` must see.

No other server need see them as faults: the specification leaves all of this open.
"""

import json
import re

from .wrong_server import (
    accepts, attempts, fault, leaves_out, listing, only_if, page, refuses, results, script, sets, shown, without,
)


# --- Ways to be another server --------------------------------------------------------------------

def ignores(name, *values):
    """A listing to which a parameter with one of these values is none."""
    return listing(lambda query: [(key, value) for key, value in query if key != name or value not in values])


def missing(pattern):
    """Nothing is served at paths like this."""
    def act(x):
        if re.fullmatch(pattern, x.path):
            x.answer({"status": 404, "message": "not here"}, 404)
        else:
            x.forward()
    return act


def refusals(change):
    """`change(answer)` on every answer with a 4xx status."""
    def act(x):
        x.forward()
        if 400 <= x.status < 500:
            document = x.document
            change(document)
            x.data = json.dumps(document).encode()
    return act


def in_each(name, change):
    """`change(time)` on a member, wherever it is, of all that is shown."""
    def walk(node):
        if isinstance(node, dict):
            node.update({key: change(value) for key, value in node.items() if key == name})
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(child)
    return shown(walk)


def _whole_seconds(time):
    return re.sub(r"\.\d+", "", time)


# --- Changes that need more than a line -----------------------------------------------------------

def _counts_pages(x):
    # A page begins after as many tasks as the one before it had, whatever has been created since.
    if x.lists and x.asks("page_token"):
        x.query = leaves_out("page_token", "page_size")(x.query)
        x.forward()
        x.answer({**x.document, "tasks": x.document["tasks"][x.memory["shown"]:]})
    else:
        x.forward()
        if x.lists:
            x.memory["shown"] = len(x.document["tasks"])


def _token_for_any_filter(x):
    x.forward()
    if x.lists and x.status == 200:
        x.memory["token"] = x.document["next_page_token"]
    elif x.lists and x.asks("page_token") == [x.memory["token"]]:
        x.answer({"tasks": [], "next_page_token": ""})


def _spoilt_token_begins_again(x):
    if x.lists and x.asks("page_token") and x.asks("page_token") != [x.memory["token"]]:
        x.query = leaves_out("page_token")(x.query)
    x.forward()
    if x.lists and x.status == 200:
        x.memory["token"] = x.document["next_page_token"]


def _stderr_in_stdout(e):
    if "stdout" in e:
        e["stdout"] += e.get("stderr", "")


def _no_attempts_while_it_waits(t):
    if t["state"] in ("QUEUED", "INITIALIZING", "RUNNING"):
        t["logs"] = []


def _no_attempts_after(state):
    return lambda t: t.update(logs=[]) if t["state"] == state else None


def _ignored_errors_count(t):
    if any(e["exit_code"] for log in t.get("logs", []) for e in log["logs"]):
        t["state"] = "EXECUTOR_ERROR"


def _missing_program_is_1(e):
    if e["exit_code"] == 127:
        e["exit_code"] = 1


def _tmp_stays(x):
    document = x.task
    if document is not None and x.memory.setdefault("first", x) is not x:
        for e in document["executors"]:
            script('mkdir -p /tmp/conda; "$@"')(e)
        x.body = json.dumps(document).encode()
    x.forward()


def _any_content_type(x):
    if x.creates:
        x.headers = {name: value for name, value in x.headers.items() if name.lower() != "content-type"}
    x.forward()


def _wants_content_type(x):
    if x.creates and not any(name.lower() == "content-type" for name in x.headers):
        x.answer({"status": 415}, 415)
    else:
        x.forward()


def _not_found_in_html(x):
    x.forward()
    if x.status == 404:
        x.answer_headers["Content-Type"] = "text/html"


def _nothing_is_missing(x):
    x.forward()
    if x.status == 404 and x.path.endswith("/nothing"):
        x.answer({})


def _every_version(x):
    x.path = x.path.replace("/v2/", "/v1/")
    x.forward()


def _method_not_found(x):
    x.forward()
    if x.status == 405:
        x.answer({"status": 404}, 404)


def _allows(value):
    def act(x):
        x.forward()
        x.answer_headers = {name: value if name.lower() == "allow" else other
                            for name, other in x.answer_headers.items() if value or name.lower() != "allow"}
    return act


def _old_info_is_new(x):
    x.path = x.path.removesuffix("/v1/tasks/service-info") or "/"
    if x.path == "/":
        x.path = "/v1/service-info"
    x.forward()


def _cancel_wants_json(x):
    if x.body == b"x":
        x.answer({"status": 415}, 415)
    else:
        x.forward()


def _delete_is_no_method(x):
    if x.method == "DELETE":
        x.answer({"status": 405}, 405)
    else:
        x.forward()


def _delete_says_nothing(x):
    x.forward()
    if x.method == "DELETE":
        x.answer({})


def _no_late_cancel(x):
    if x.cancels and x.memory.get(x.task_id) == "CANCELED":
        x.answer({"status": 409}, 409)
    else:
        x.forward()
        if x.reads:
            x.memory[x.task_id] = x.document["state"]


def _small_letters_are_no_view(x):
    if x.asks("view") == ["basic"]:
        x.answer({"status": 400}, 400)
    else:
        x.forward()


def _empty_parameters_are_wrong(x):
    if x.lists and any(not value for _, value in x.query):
        x.answer({"status": 400}, 400)
    else:
        x.forward()


# --- The table ------------------------------------------------------------------------------------

ACCEPTED = {
    # case: {what is accepted: the text that tells its body}
    "poiesis_requests/empty_lists": {
        "no executors": '"executors": []', "an empty command": '"command": []', "an empty image": '"image": ""'},
    "poiesis_requests/paths": {
        "a relative input": '"path": "a"', "an input that escapes": '/a/../../b', "an input in proc": "/proc/x",
        "a volume in sys": "/sys/x", "an output in dev": "/dev/x", "a relative stdout": '"stdout": "out"',
        "a relative stderr": '"stderr": "err"', "a relative stdin": '"stdin": "in"'},
    "poiesis_requests/outputs": {
        "a pattern without a prefix": "/a/*", "an unknown scheme": "gopher:",
        "an input from nowhere": '[{"path": "/a"}]'},
    "poiesis_requests/numbers": {
        "a negative number of cores": '"cpu_cores": -1', "half a core": '"cpu_cores": 1.5',
        "a number of cores in quotes": '"cpu_cores": "2"', "negative memory": '"ram_gb": -0.5',
        "more disk than there is": '"disk_gb": 1e30'},
    "poiesis_requests/malformed": {
        "a trailing comma": "}],}", "text after the document": "} x", "a name twice": '"name": "b"', "NUL": r"\u0000",
        "null in a list": ", null]"},
    "poiesis_requests/all_mistakes_at_once": {"a task of mistakes": '"image": "", "command": []'},
}

OWN_FAULTS = [
    *[fault(f"{what} is accepted", case, accepts(text))
      for case, whats in ACCEPTED.items() for what, text in whats.items()],
    # Refusals
    fault("refusals do not point at the mistake",
          "poiesis_requests/empty_lists poiesis_requests/paths poiesis_requests/outputs poiesis_requests/numbers"
          " poiesis_requests/malformed poiesis_requests/all_mistakes_at_once", refusals(sets(errors=[]))),
    fault("refusals have no message", "poiesis_requests/empty_lists", refusals(without("message"))),
    fault("refusals have no status", "poiesis_requests/empty_lists poiesis_requests/content_type"
          " poiesis_requests/not_found poiesis_requests/method_not_allowed poiesis_requests/views",
          refusals(without("status"))),
    fault("one mistake is told at a time", "poiesis_requests/all_mistakes_at_once", refusals(
        lambda d: d.update(errors=d["errors"][-1:]))),
    fault("mistakes are not explained", "poiesis_requests/all_mistakes_at_once", refusals(
        lambda d: [e.update(message="") for e in d["errors"]])),
    # Documents
    fault("unknown members are refused", "poiesis_requests/unknown_members", refuses('"project"')),
    fault("unknown members are kept", "poiesis_requests/unknown_members", shown(sets(project="x"))),
    fault("unknown members of an executor are kept", "poiesis_requests/unknown_members",
          shown(lambda t: [e.update(shell="bash") for e in t.get("executors", [])])),
    fault("nulls are refused", "poiesis_requests/nulls", refuses("null")),
    fault("a null name is an empty one", "poiesis_requests/nulls", shown(sets(name=""))),
    fault("a null list is an empty one", "poiesis_requests/nulls", shown(sets(inputs=[]))),
    fault("a null tag is an empty one", "poiesis_requests/nulls",
          shown(only_if("tags", lambda t: t["tags"].update(a="")))),
    fault("a null stdin is an empty one", "poiesis_requests/nulls",
          shown(lambda t: [e.update(stdin="") for e in t.get("executors", [])])),
    fault("what only servers set is refused", "poiesis_requests/server_fields_ignored", refuses('"creation_time"')),
    # HTTP
    fault("any content type is JSON", "poiesis_requests/content_type", _any_content_type),
    fault("a content type is wanted", "poiesis_requests/content_type", _wants_content_type),
    fault("what is not found is told in HTML", "poiesis_requests/not_found", _not_found_in_html),
    fault("any path is served", "poiesis_requests/not_found", _nothing_is_missing),
    fault("every version is served", "poiesis_requests/not_found", _every_version),
    fault("a wrong method is not found", "poiesis_requests/method_not_allowed", _method_not_found),
    fault("allowed methods are not told", "poiesis_requests/method_not_allowed", _allows(None)),
    fault("GET is all that is allowed", "poiesis_requests/method_not_allowed", _allows("GET")),
    fault("POST is all that is allowed", "poiesis_requests/method_not_allowed", _allows("POST")),
    fault("the base v1 is missing", "poiesis_requests/bases", missing("/v1/service-info")),
    fault("the base is not the root", "poiesis_requests/bases", missing("/service-info")),
    fault("a slash at the end is another path", "poiesis_requests/bases", missing(".*/")),
    fault("the old service-info is missing", "poiesis_requests/bases", missing("/v1/tasks/service-info")),
    fault("the old service-info is the new one", "poiesis_requests/bases", _old_info_is_new),
    # Cancel
    fault("a colon is not encoded", "poiesis_requests/cancel_in_other_ways", missing(".*%3Acancel")),
    fault("a colon is not encoded in small letters", "poiesis_requests/cancel_in_other_ways", missing(".*%3acancel")),
    fault("a cancel has to be JSON", "poiesis_requests/cancel_in_other_ways", _cancel_wants_json),
    fault("DELETE is no method", "poiesis_requests/cancel_in_other_ways", _delete_is_no_method),
    fault("DELETE says nothing", "poiesis_requests/cancel_in_other_ways", _delete_says_nothing),
    fault("a late cancel is refused", "poiesis_requests/cancel_in_other_ways", _no_late_cancel),
    # Lists
    fault("small letters are no view", "poiesis_requests/views", _small_letters_are_no_view),
    fault("an unknown view is ignored", "poiesis_requests/views", ignores("view", "EVERYTHING")),
    fault("page_size 0 is ignored", "poiesis_requests/list_parameters", ignores("page_size", "0")),
    fault("page_size 2048 is ignored", "poiesis_requests/list_parameters", ignores("page_size", "2048")),
    fault("a negative page_size is ignored", "poiesis_requests/list_parameters", ignores("page_size", "-1")),
    fault("a page_size that is no number is ignored", "poiesis_requests/list_parameters", ignores("page_size", "many")),
    fault("a made-up token is ignored", "poiesis_requests/list_parameters", ignores("page_token", "made-up")),
    fault("a tag value without a key is ignored", "poiesis_requests/list_parameters", ignores("tag_value", "c")),
    fault("empty parameters are wrong", "poiesis_requests/list_parameters", _empty_parameters_are_wrong),
    fault("the oldest task comes first", "poiesis_answers/newest_first", page(lambda d, x: d["tasks"].reverse())),
    fault("the last page has no token", "poiesis_answers/newest_first poiesis_answers/stable_pages",
          page(lambda d, x: None if d["next_page_token"] else d.pop("next_page_token"))),
    fault("pages are counted", "poiesis_answers/stable_pages", _counts_pages),
    fault("a token fits any filter", "poiesis_answers/token_belongs_to_filters", _token_for_any_filter),
    fault("a spoilt token leads to the first page", "poiesis_answers/token_belongs_to_filters",
          _spoilt_token_begins_again),
    # Logs
    fault("the last line's end is cut", "poiesis_answers/executor_output",
          results(only_if("stdout", lambda e: e.update(stdout=e["stdout"].rstrip("\n"))))),
    fault("no stderr is kept", "poiesis_answers/executor_output", results(without("stderr"))),
    fault("stderr is added to stdout", "poiesis_answers/executor_output", results(_stderr_in_stdout)),
    fault("creation times are whole seconds", "poiesis_answers/exact_types", in_each("creation_time", _whole_seconds)),
    fault("beginnings are whole seconds", "poiesis_answers/exact_types", in_each("start_time", _whole_seconds)),
    fault("ends are whole seconds", "poiesis_answers/exact_types", in_each("end_time", _whole_seconds)),
    fault("UTC is an offset", "poiesis_answers/exact_types",
          in_each("creation_time", lambda t: t.replace("Z", "+00:00"))),
    fault("no price is told", "poiesis_answers/exact_types", attempts(without("metadata"))),
    fault("empty lists are added", "poiesis_answers/exact_types", shown(sets(volumes=[]))),
    fault("defaults are added to resources", "poiesis_answers/exact_types",
          shown(only_if("resources", lambda t: t["resources"].update(preemptible=False)))),
    fault("defaults are added to executors", "poiesis_answers/exact_types",
          shown(lambda t: [e.update(ignore_error=False) for e in t.get("executors", [])])),
    fault("a task that waits has an empty list of logs", "poiesis_answers/logs_never_empty",
          shown(_no_attempts_while_it_waits)),
    fault("a cancelled task has an empty list of logs", "poiesis_answers/logs_never_empty",
          shown(_no_attempts_after("CANCELED"))),
    fault("a system error has an empty list of logs", "poiesis_answers/reason_of_system_error",
          shown(_no_attempts_after("SYSTEM_ERROR"))),
    fault("one warning is enough", "poiesis_answers/warnings", attempts(
        only_if("system_logs", lambda log: log.update(system_logs=log["system_logs"][:1])))),
    # Runs
    fault("an ignored error is an error in the end", "poiesis_answers/ignored_error_completes",
          shown(_ignored_errors_count)),
    fault("a missing program exits with 1", "poiesis_answers/missing_program", results(_missing_program_is_1)),
    fault("tasks share a tmp", "poiesis_answers/fresh_tmp", _tmp_stays),
]
