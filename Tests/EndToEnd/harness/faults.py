"""How a server can break the specification: the table of faults that the cases of `conformance/` must see.

Each fault says what is wrong, which cases see it, and which changes make it so. A fault is seen by a failure, or by a
warning where the case only warns.
"""

import json
import re

from .wrong_server import (
    accepts, attempts, BASE, executors, fault, info, inputs, leaves_out, listing, only_if, outputs, page,
    results, rewrites, script, sets, shown, state, stored, task, without,
)

# --- Changes that need more than a line -----------------------------------------------------------

def _swap(e):
    streams = {"stdout": e.pop("stderr", None), "stderr": e.pop("stdout", None)}
    e.update({name: path for name, path in streams.items() if path})


def _cut(e):
    if "stdout" in e or "stderr" in e:
        script('"$@" 2> /tmp/cut | head -c 1000; head -c 1000 /tmp/cut >&2')(e)


def _exchange_times(entry):
    if "start_time" in entry and "end_time" in entry:
        entry["start_time"], entry["end_time"] = entry["end_time"], entry["start_time"]


def _absolute_paths(t):
    for x in t.get("inputs", []) + t.get("outputs", []):
        x["path"] = "/" + x["path"].lstrip("/")
    for e in t["executors"]:
        e.update({name: "/" + e[name].lstrip("/") for name in ("stdin", "stdout", "stderr") if name in e})


def _one_stdin(t):
    paths = [e["stdin"] for e in t["executors"] if "stdin" in e]
    for e in t["executors"]:
        if "stdin" in e:
            e["stdin"] = paths[0]


def _one_environment(t):
    together = {}
    for e in t["executors"]:
        together |= e.get("env", {})
    for e in t["executors"]:
        e["env"] = together


def _workdir_stays(t):
    last = None
    for e in t["executors"]:
        last = e.setdefault("workdir", last) if last else e.get("workdir")


def _first_image(t):
    # A name that no engine has is replaced as well: the suite's own image is the only one that is not at localhost:1.
    right = next((e["image"] for e in t["executors"] if not e["image"].startswith("localhost:1/")), None)
    for e in t["executors"]:
        e["image"] = right or e["image"]


def _any_ignore_error(t):
    for e in t["executors"]:
        e["ignore_error"] = any(x.get("ignore_error") for x in t["executors"])


def _stops_after_ignored(t):
    if t["executors"][0].get("ignore_error"):
        del t["executors"][1:]


def _at_once(t):
    # What a second executor would see if the first one still ran.
    for e in t["executors"][:1]:
        e["command"] = [re.sub("; sleep .*", "", argument) for argument in e["command"]]


def _inputs_for_first(t):
    for e in t["executors"][1:]:
        script('rm -rf /conformance/in; "$@"')(e)


def _volumes_used_before(t):
    for volume in t.get("volumes", []):
        script(f'echo left > {volume}/left; "$@"')(t["executors"][0])


def _volumes_emptied(t):
    for e in t["executors"][1:]:
        script("".join(f"rm -rf {volume}/*; " for volume in t.get("volumes", [])) + '"$@"')(e)


def _one_volume(t):
    volumes = t.get("volumes", [])
    if len(volumes) > 1:
        t["volumes"] = volumes[:1]
        for e in t["executors"]:
            script(f'ln -s {volumes[0]} {volumes[1].rstrip("/")}; "$@"')(e)


def _refuses(t):
    t["executors"] = []


def _only_volumes_stored(t):
    t["outputs"] = [o for o in t.get("outputs", [])
                    if any(o["path"].startswith(volume) for volume in t.get("volumes", []))]


def _stored_before_the_end(t):
    if "outputs" in t:
        del t["executors"][1:]


def _prefix_by_default(o):
    if re.search(r"[*?\[]", o["path"]):
        o.setdefault("path_prefix", o["path"].rpartition("/")[0])


def _prefix_without_wildcard(o):
    if "path_prefix" in o and not re.search(r"[*?\[]", o["path"]):
        o["url"] += o["path"].removeprefix(o["path_prefix"])


def _whole_prefix(o):
    if "path_prefix" in o:
        o["path_prefix"] = "/conformance/out"


def _parameters(x):
    return x.task.get("resources", {}).get("backend_parameters") if x.task else None


def _keeps_unsupported(x):
    given = _parameters(x)
    x.forward()
    if given:
        x.memory[x.document["id"]] = given
    if x.reads and x.task_id in x.memory and "FULL" in x.asks("view"):
        document = x.document
        document.setdefault("resources", {})["backend_parameters"] = x.memory[x.task_id]
        x.data = json.dumps(document).encode()


def _by_name(fits):
    """A listing by name of another kind: `fits(name or None, prefix)`."""
    def act(x):
        wanted, created = x.asks("name_prefix"), x.task
        if x.lists:
            x.query = leaves_out("name_prefix")(x.query)
        x.forward()
        if created is not None and x.status == 200:
            x.memory[x.document["id"]] = created.get("name")
        if x.lists and wanted and x.status == 200:
            document = x.document
            document["tasks"] = [t for t in document["tasks"]
                                 if t["id"] in x.memory and fits(x.memory[t["id"]], wanted[0])]
            x.data = json.dumps(document).encode()
    return act


def _like(name, prefix):
    pattern = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in prefix)
    return bool(name) and re.match(pattern, name) is not None


def _only_these_tags(x):
    created, keys = x.task, x.asks("tag_key")
    x.forward()
    if created is not None and x.status == 200:
        x.memory[x.document["id"]] = created.get("tags", {})
    if x.lists and keys:
        document = x.document
        document["tasks"] = [t for t in document["tasks"] if set(x.memory.get(t["id"], keys)) == set(keys)]
        x.data = json.dumps(document).encode()


def _last_tag(query):
    tags = {name: value for name, value in query if name.startswith("tag_")}
    return leaves_out("tag_key", "tag_value")(query) + list(tags.items())


def _values_backwards(query):
    values = [value for name, value in query if name == "tag_value"]
    return [(name, values.pop() if name == "tag_value" else value) for name, value in query]


def _key_alone_wants_nothing(query):
    missing = sum(n == "tag_key" for n, _ in query) - sum(n == "tag_value" for n, _ in query)
    return query + [("tag_value", "nothing")] * missing


def _state_or_name(query):
    return leaves_out("state")(query) if any(name == "name_prefix" for name, _ in query) else query


def _page_of_100(query):
    return query if any(name == "page_size" for name, _ in query) else [*query, ("page_size", "100")]


def _token_only_in_minimal(query):
    return query if ("view", "FULL") not in query else leaves_out("page_token")(query)


def _no_such_view(x):
    if x.reads and not x.asks("view"):
        x.query.append(("view", "FULL"))
    x.forward()


def _not_json(x):
    x.forward()
    x.answer_headers["Content-Type"] = "text/html"


def _accepts_anything(x):
    x.forward()
    if x.creates and 400 <= x.status < 500:
        x.answer({"id": "accepted"})


def _accepts_nothing(x):
    x.forward()
    if x.creates and not x.body:
        x.answer({"id": "accepted"})


def _breaks(x):
    x.forward()
    if x.status >= 400:
        x.status = 500


def _finds_anything(x):
    x.forward()
    if x.reads and x.status == 404:
        x.answer({"id": "found", "state": "UNKNOWN"})


def _same_id(x):
    x.forward()
    if x.creates and x.status == 200:
        x.data = x.memory.setdefault(x.body, x.data)


def _no_id(x):
    x.forward()
    if x.creates and x.status == 200:
        x.answer({"task_id": x.document["id"]})


def _first_task(x):
    x.forward()
    if x.reads and x.status == 200:
        x.data = x.memory.setdefault("first", x.data)


def _client_sets_id(x):
    own = x.task.get("id") if x.task else None
    x.forward()
    if own:
        x.answer({"id": own})


def _client_sets(member):
    def act(x):
        given = x.task.get(member) if x.task else None
        x.forward()
        if given:
            x.memory[x.document["id"]] = given
        if x.reads and x.task_id in x.memory:
            x.answer({**x.document, member: x.memory[x.task_id]})
    return act


def _never_cancels(x):
    if x.cancels:
        x.answer({})
    else:
        x.forward()


def _cancel_without_body(x):
    x.forward()
    if x.cancels:
        x.data = b""


def _cancel_answers_id(x):
    x.forward()
    if x.cancels:
        x.answer({"id": x.task_id})


def _cancels_anything(x):
    x.forward()
    if x.cancels and x.status == 404:
        x.answer({})


def _cancels_by_beginning(x):
    if x.cancels:
        x.path = re.sub("x:cancel$", ":cancel", x.path)
    x.forward()


def _cancels_others(x):
    path = x.path
    if x.cancels:
        for task_id in x.server.created[:-1]:
            x.path = f"{BASE}/tasks/{task_id}:cancel"
            x.forward()
    x.path = path
    x.forward()


def _cancel_overwrites(x):
    x.forward()
    if x.cancels:
        x.memory[x.task_id] = True
    if x.reads and x.task_id in x.memory:
        x.data = x.data.replace(b'"COMPLETE"', b'"CANCELED"')


def _second_cancel_breaks(x):
    if x.cancels and x.memory.setdefault(x.path, x) is not x:
        x.answer({}, 500)
    else:
        x.forward()


def _queued_after_cancel(x):
    x.forward()
    if x.cancels:
        x.memory[x.task_id] = True
    if x.reads and x.task_id in x.memory:
        x.data = re.sub(b'"(CANCELING|RUNNING)"', b'"QUEUED"', x.data)


def _ran_on(t):
    if t.get("state") == "CANCELED":
        for log in t.get("logs", []):
            log["logs"] = [{"exit_code": 137}, {"exit_code": 0}]


def _raw_control_characters(x):
    x.forward()
    for escaped, raw in ((rb"\u0000", b"\0"), (rb"\u001b", b"\33"), (rb"\u001B", b"\33")):
        x.data = x.data.replace(escaped, raw)


def _printed_together(log):
    if log["logs"] and "stdout" in log["logs"][0]:
        log["logs"][0]["stdout"] = "".join(e["stdout"] for e in log["logs"])


def _log_for_each_executor(t):
    for log in t.get("logs", []):
        log["logs"] += [{"exit_code": 0}] * (len(t.get("executors", [])) - len(log["logs"]))


def _directory_in_log(t):
    for log in t.get("logs", []):
        log["outputs"] = [{"path": o["path"], "url": o["url"], "size_bytes": "6"} for o in t.get("outputs", [])]


def _minimal_unknown(t):
    if t.keys() == {"id", "state"}:
        t["state"] = "UNKNOWN"


def _new_identifier(x):
    x.forward()
    if x.asks_for_info:
        x.memory["asked"] = x.memory.get("asked", 0) + 1
        x.answer({**x.document, "id": f"org.example.{x.memory['asked']}"})


def _knows_one_parameter(x):
    # Only in this spelling: the right server knows none, and drops the others.
    given = _parameters(x)
    x.forward()
    if given:
        x.memory[x.document["id"]] = {name: value for name, value in given.items() if name == "VmSize"}
    if x.asks_for_info:
        x.answer({**x.document, "tesResources_backend_parameters": ["VmSize"]})
    if x.reads and x.memory.get(x.task_id):
        x.answer({**x.document, "resources": {"backend_parameters": x.memory[x.task_id]}})


# --- The table ------------------------------------------------------------------------------------

ACCEPTED = {
    # case: {what is accepted: the text that tells its body}
    "create/no_executors": {"nothing": "{}"},
    "create/no_json": {"half a document": '["true"]}]', "YAML": "executors:"},
    "create/no_object": {"a list": "[]", "a text": '"task"', "null": "null"},
    "create/wrong_types": {
        "an executor that is no list": '"executors": {', "a command of one text": '"command": "true"',
        "a list of images": '"image": ['},
    "create/wrong_member_types": {
        "a list of names": '"name": [', "an input that is no list": '"inputs": {', "a text for resources": '"all"',
        "a list for env": '"env": [', "a list of tags": '"tags": [', "a volume that is no list": '"volumes": "/a"',
        "a word for a number of cores": '"many"', "a fraction of a core": '"cpu_cores": 0.5', "a word for memory": '"much"',
        "a word for a boolean": '"perhaps"', "a type that does not exist": '"LINK"'},
}

FAULTS = [
    # Executors
    fault("workdir is forgotten", "executors/workdir executors/relative_to_workdir", executors(without("workdir"))),
    fault("workdir stays for the next executor", "executors/default_workdir", task(_workdir_stays)),
    fault("env is forgotten", "executors/environment create/document_kept", executors(without("env"))),
    fault("env is trimmed", "executors/environment", executors(only_if(
        "env", lambda e: e.update(env={name: value.strip() for name, value in e["env"].items()})))),
    fault("env is that of all executors", "executors/environment_of_one_executor", task(_one_environment)),
    fault("commands go through a shell", "executors/arguments executors/no_shell",
          executors(lambda e: e.update(command=["sh", "-c", " ".join(e["command"])]))),
    fault("empty arguments are dropped", "executors/arguments",
          executors(lambda e: e.update(command=[argument for argument in e["command"] if argument]))),
    fault("a missing program is no error", "executors/missing_program", executors(script('"$@" || true'))),
    fault("all executors use the first image", "executors/own_image", task(_first_image)),
    fault("executors run backwards", "executor_order/in_order", task(lambda t: t["executors"].reverse())),
    fault("executors overlap", "executor_order/one_at_a_time", task(_at_once)),
    fault("only the first executor runs", "executor_order/ignore_error_without_error states/complete",
          task(lambda t: t.update(executors=t["executors"][:1]))),
    fault("ignore_error is forgotten", "executor_order/ignore_error_true poiesis_answers/ignored_error_completes",
          executors(without("ignore_error"))),
    fault("every error is ignored", "executor_order/first_failure_ends_task executor_order/ignore_error_false",
          executors(sets(ignore_error=True))),
    fault("one ignore_error counts for all", "executor_order/ignore_error_of_another", task(_any_ignore_error)),
    fault("nothing runs after an executor with ignore_error", "executor_order/ignore_error_without_error",
          task(_stops_after_ignored)),
    fault("exit codes become 1", "executor_order/exit_codes executor_order/log_order",
          executors(script('"$@" || exit 1'))),
    # Streams
    fault("stdin is forgotten", "streams/stdin_from_input streams/stdin_from_volume", executors(without("stdin"))),
    fault("one stdin for all executors", "streams/stdin_of_each", task(_one_stdin)),
    fault("stdout is forgotten", "streams/stdout", executors(without("stdout"))),
    fault("stderr is forgotten", "streams/stderr", executors(without("stderr"))),
    fault("streams are exchanged", "streams/stdout_and_stderr streams/stdout streams/stderr", executors(_swap)),
    fault("stderr goes to stdout", "streams/stdout_and_stderr", executors(only_if("stdout", script('"$@" 2>&1')))),
    fault("streams are cut", "streams/whole_stdout streams/whole_stderr outputs/whole_streams", executors(_cut)),
    fault("streams are text", "streams/bytes", executors(only_if("stdout", script('"$@" | tr -d "\\000\\r"')))),
    fault("a failing command leaves no stream", "streams/of_a_failing_command", executors(only_if(
        "stdout", script('"$@" > /tmp/kept || exit $?; cat /tmp/kept')))),
    # Inputs and volumes
    fault("inputs are forgotten", "inputs/several volumes/beside_inputs streams/stdin_from_input",
          task(without("inputs"))),
    fault("line ends are changed", "inputs/content", inputs(only_if(
        "content", lambda i: i.update(content=i["content"].replace("\r\n", "\n"))))),
    fault("contents are ASCII", "inputs/utf8", inputs(only_if(
        "content", lambda i: i.update(content=i["content"].encode("ascii", "replace").decode())))),
    fault("contents end at 64 KiB", "inputs/large_content", inputs(only_if(
        "content", lambda i: i.update(content=i["content"][:65536])))),
    fault("url goes before content", "inputs/content_before_url", inputs(only_if("url", without("content")))),
    fault("inputs lie in one folder", "inputs/several",
          inputs(lambda i: i.update(path="/conformance/in/" + i["path"].rpartition("/")[2]))),
    fault("inputs are there for the first executor only", "inputs/in_every_executor", task(_inputs_for_first)),
    fault("streamable inputs are empty", "inputs/streamable",
          inputs(lambda i: i.update(content=" ") if i.get("streamable") else None)),
    fault("an empty content goes before the url", "outputs/empty_content",
          inputs(lambda i: i.pop("url", None) if i.get("content") == "" else None)),
    fault("a missing input is an empty one", "inputs/unavailable outputs/missing_input", inputs(
        lambda i: i.update(url=None, content=" ") if "missing" in i.get("url", "") else None)),
    fault("type is not filled in", "inputs/type_filled_in outputs/document_kept outputs/input_type_filled_in",
          shown(lambda t: [without("type")(x) for x in t.get("inputs", []) + t.get("outputs", [])])),
    fault("volumes were used before", "volumes/empty_directory volumes/of_one_task", task(_volumes_used_before)),
    fault("volumes are emptied for each executor", "volumes/shared", task(_volumes_emptied)),
    fault("volumes are one", "volumes/several", task(_one_volume)),
    fault("volumes are forgotten", "volumes/shared volumes/beside_inputs", task(without("volumes"))),
    # Outputs
    fault("outputs are forgotten", "outputs/file outputs/log", task(without("outputs"))),
    fault("only what lies in volumes is stored", "outputs/outside_of_volumes", task(_only_volumes_stored)),
    fault("sizes are wrong", "outputs/log directories/log_lists_files", stored(sets(size_bytes="0"))),
    fault("sizes are numbers", "outputs/log", stored(lambda o: o.update(size_bytes=int(o["size_bytes"])))),
    fault("logged urls lead nowhere", "outputs/logged_url", stored(sets(url="file:///elsewhere"))),
    fault("logged paths are names", "outputs/log", stored(lambda o: o.update(path=o["path"].rpartition("/")[2]))),
    fault("stored files have no url", "outputs/log", stored(without("url"))),
    fault("outputs are stored after the first executor", "outputs/after_the_last_executor directories/whole_volume",
          task(_stored_before_the_end)),
    fault("outputs get another name", "outputs/file output_patterns/path_prefix",
          outputs(lambda o: o.update(url=o["url"].rstrip("/") + "/renamed"))),
    fault("what cannot be stored is left out", "outputs/unstorable_output", task(
        lambda t: t.update(outputs=[o for o in t.get("outputs", []) if "/proc/" not in o["url"]]))),
    fault("a missing output is no matter", "outputs/missing_output", lambda x: x.forward()),
    fault("a directory is stored as a file", "directories/output_and_input directories/whole_volume",
          outputs(sets(type="FILE"))),
    fault("directories are shallow", "directories/output_and_input directories/file_of_a_stored_directory",
          executors(script('"$@" || exit; rm -rf /conformance/out/tree/a'))),
    fault("a directory is one entry of the log", "directories/log_lists_files directories/whole_volume",
          shown(_directory_in_log)),
    fault("a star is a character", "output_patterns/star output_patterns/in_folders",
          outputs(lambda o: o.update(path=o["path"].replace("*", "star")))),
    fault("a star crosses slashes", "output_patterns/star output_patterns/no_double_star",
          outputs(lambda o: o.update(path=o["path"].replace("*", "**/*", 1)))),
    fault("a question mark is a star", "output_patterns/question_mark",
          outputs(lambda o: o.update(path=o["path"].replace("?", "*")))),
    fault("brackets are a star", "output_patterns/brackets",
          outputs(lambda o: o.update(path=re.sub(r"\[.*?\]", "*", o["path"])))),
    fault("braces are alternatives", "output_patterns/no_braces", lambda x: x.forward()),
    fault("a star stands for a period", "output_patterns/hidden_files",
          outputs(lambda o: o.update(path=o["path"].replace("/*.log", "/{*,.*}.log")))),
    fault("the prefix is always the same", "output_patterns/path_prefix", outputs(_whole_prefix)),
    fault("the prefix counts without wildcards", "output_patterns/path_prefix_without_wildcards",
          outputs(_prefix_without_wildcard)),
    fault("the prefix has a default", "output_patterns/wildcards_without_prefix", outputs(_prefix_by_default)),
    # Resources
    fault("resources are forgotten", "resources/kept resources/zones_kept create/document_kept",
          task(without("resources"))),
    fault("memory is whole gigabytes", "resources/kept", shown(
        only_if("resources", lambda t: t["resources"].update(ram_gb=1)))),
    fault("disk space is forgotten", "resources/kept", shown(
        only_if("resources", lambda t: t["resources"].pop("disk_gb", None)))),
    fault("zones are sorted", "resources/zones_kept", shown(
        only_if("resources", lambda t: t["resources"].get("zones", []).sort()))),
    fault("being strict is forgotten", "resources/strict_without_parameters", shown(
        only_if("resources", lambda t: t["resources"].pop("backend_parameters_strict", None)))),
    fault("preemptible tasks are refused", "resources/preemptible",
          task(lambda t: _refuses(t) if t.get("resources", {}).get("preemptible") else None)),
    fault("unsupported parameters are kept", "resources/unsupported_parameter_not_kept", _keeps_unsupported),
    fault("always strict", "resources/unsupported_parameter_runs", task(
        lambda t: t.get("resources", {}).update(backend_parameters_strict=True))),
    fault("never strict", "resources/strict_parameters", task(
        lambda t: t.get("resources", {}).update(backend_parameters_strict=False))),
    fault("strict tasks are refused", "resources/strict_without_parameters", task(
        lambda t: _refuses(t) if t.get("resources", {}).get("backend_parameters_strict") else None)),
    fault("no warnings",
          "resources/unsupported_parameter_warns poiesis_answers/warnings poiesis_answers/reason_of_system_error",
          attempts(without("system_logs"))),
    fault("parameters are known in one spelling", "resources/parameters_ignore_case", _knows_one_parameter),
    # Create
    fault("creating answers without an identifier", "create/answer", _no_id),
    fault("the same task gets the same identifier", "create/distinct_identifiers", _same_id),
    fault("the client sets the identifier", "create/server_sets_identity poiesis_requests/server_fields_ignored",
          _client_sets_id),
    fault("the client sets the state", "create/server_sets_identity", _client_sets("state")),
    fault("the client sets the logs", "create/server_sets_identity", _client_sets("logs")),
    fault("the client sets the creation time", "create/server_sets_identity",
          shown(only_if("creation_time", sets(creation_time="1999-01-01T00:00:00Z")))),
    fault("no creation time", "create/creation_time views/full", shown(without("creation_time"))),
    fault("times are local", "create/creation_time",
          shown(only_if("creation_time", sets(creation_time="2026-01-01 10:00")))),
    fault("tag keys are ASCII", "create/document_kept list_tags/any_characters", task(only_if(
        "tags", lambda t: t.update(tags={key.encode("ascii", "ignore").decode(): value
                                         for key, value in t["tags"].items()})))),
    fault("descriptions are forgotten", "create/document_kept views/full", shown(without("description"))),
    fault("names are cut", "create/document_kept", shown(only_if("name", lambda t: t.update(name=t["name"][:20])))),
    fault("images get a digest", "create/document_kept", shown(
        lambda t: [e.update(image=e["image"] + "@sha256:" + "0" * 64) for e in t.get("executors", [])])),
    fault("inputs lose their names", "create/document_kept",
          shown(lambda t: [without("name")(i) for i in t.get("inputs", [])])),
    fault("inputs lose their descriptions", "create/document_kept",
          shown(lambda t: [without("description")(i) for i in t.get("inputs", [])])),
    fault("all tasks were created at one time", "create/creation_time_of_each",
          shown(only_if("creation_time", sets(creation_time="2026-01-01T00:00:00Z")))),
    fault("tasks were created after their end", "create/creation_time_of_each",
          shown(only_if("creation_time", sets(creation_time="2999-01-01T00:00:00Z")))),
    fault("anything is accepted",
          "create/no_executors create/executor_without_image create/executor_without_command"
          " create/second_executor_without_command create/input_without_path create/input_without_source"
          " create/output_without_url create/output_without_path create/no_json create/no_object create/wrong_types"
          " create/wrong_member_types", _accepts_anything),
    *[fault(f"{what} is accepted", case, accepts(text))
      for case, whats in ACCEPTED.items() for what, text in whats.items()],
    fault("an empty body is accepted", "create/no_json", _accepts_nothing),
    fault("a wrong request breaks the server",
          "create/no_json create/no_executors get/unknown_identifier get/odd_identifier cancel/unknown_identifier"
          " list_tasks/unknown_state", _breaks),
    fault("relative paths become absolute",
          "create/relative_input_path create/relative_output_path create/relative_stdin create/relative_stdout"
          " create/relative_stderr", task(_absolute_paths)),
    fault("answers are HTML", "create/answer get/json list_tasks/answer service_info/json cancel/running",
          _not_json),
    # Get and views
    fault("anything is found",
          "get/exact_identifier get/unknown_identifier get/odd_identifier poiesis_requests/not_found",
          _finds_anything),
    fault("always the first task", "get/right_task", _first_task),
    fault("no identifier in answers", "get/exact_identifier views/minimal", shown(without("id"))),
    fault("MINIMAL has the name", "views/minimal views/list_minimal", shown(sets(name="x"))),
    fault("the default view is FULL", "views/default", _no_such_view),
    fault("the view of lists is FULL", "views/list_minimal views/list_basic",
          listing(lambda query: [*leaves_out("view")(query), ("view", "FULL")])),
    fault("the view of lists is MINIMAL", "views/list_full", listing(leaves_out("view"))),
    fault("BASIC has contents", "views/basic",
          shown(lambda t: [i.update(content="x") for i in t.get("inputs", [])])),
    fault("BASIC has output", "views/basic views/list_basic", results(sets(stdout="x"))),
    fault("BASIC has errors", "views/basic views/list_basic", results(sets(stderr="x"))),
    fault("BASIC has system logs", "views/basic_without_system_logs", attempts(sets(system_logs=["x"]))),
    fault("FULL has no contents", "views/full views/list_full",
          shown(lambda t: [without("content")(i) for i in t.get("inputs", [])])),
    # Lists
    fault("a list leaves out active tasks", "list_tasks/active_and_finished", page(
        lambda d, x: d.update(tasks=[t for t in d["tasks"] if t["state"] == "COMPLETE"]))),
    fault("a list leaves out finished tasks", "list_tasks/active_and_finished list_tasks/filters_combine", page(
        lambda d, x: d.update(tasks=[t for t in d["tasks"] if t["state"] != "COMPLETE"]))),
    fault("a list is an array", "list_tasks/answer", lambda x: (
        x.forward(), x.lists and x.answer(x.document["tasks"]))),
    fault("a list has jobs", "list_tasks/answer", page(lambda d, x: d.update(jobs=d.pop("tasks")))),
    fault("name_prefix is ignored", "list_tasks/name_prefix list_tasks/no_name_filter",
          listing(leaves_out("name_prefix"))),
    fault("names are searched", "list_tasks/name_prefix", _by_name(lambda name, part: part in (name or ""))),
    fault("names are patterns", "list_tasks/name_prefix_is_text", _by_name(_like)),
    fault("names ignore case", "list_tasks/name_prefix_is_text",
          _by_name(lambda name, prefix: (name or "").lower().startswith(prefix.lower()))),
    fault("a task without a name has every prefix", "list_tasks/no_name_filter",
          _by_name(lambda name, prefix: name is None or name.startswith(prefix))),
    fault("state is ignored", "list_tasks/state", listing(leaves_out("state"))),
    fault("an unknown state is ignored", "list_tasks/unknown_state poiesis_requests/list_parameters",
          listing(lambda query: [pair for pair in query if pair != ("state", "SLEEPING")])),
    fault("rare states are refused", "list_tasks/every_state_is_a_filter", listing(rewrites(
        "state", lambda value: "" if value in ("UNKNOWN", "PAUSED", "PREEMPTED", "CANCELING") else value))),
    fault("filters exclude each other", "list_tasks/filters_combine", listing(_state_or_name)),
    fault("tag values are ignored", "list_tags/pair", listing(leaves_out("tag_value"))),
    fault("tag keys ignore case", "list_tags/exact", listing(rewrites(
        "tag_key", lambda key: key.replace("key", "Key")))),
    fault("tag values ignore case", "list_tags/exact", listing(rewrites(
        "tag_value", lambda value: value.replace("value", "Value")))),
    fault("tags must be these and no others", "list_tags/more_tags_than_asked_for", _only_these_tags),
    fault("the last tag counts", "list_tags/every_pair", listing(_last_tag)),
    fault("tag values are read backwards", "list_tags/zipped_by_position", listing(_values_backwards)),
    fault("a key alone wants a value", "list_tags/key_alone", listing(_key_alone_wants_nothing)),
    fault("empty values are dropped", "list_tags/empty_value",
          listing(lambda query: [pair for pair in query if pair != ("tag_value", "")])),
    fault("a plus is a space", "list_tags/any_characters", listing(rewrites(
        "tag_value", lambda value: value.replace("+", " ")))),
    fault("page_size is ignored", "list_pages/page_size", listing(leaves_out("page_size"))),
    fault("the largest page is 1000", "list_pages/largest_page_size", listing(rewrites(
        "page_size", lambda size: size if int(size) <= 1000 else "5000"))),
    fault("pages have 100 tasks", "list_pages/default_page_size", listing(_page_of_100)),
    fault("page_token is ignored", "list_pages/page_token", listing(leaves_out("page_token"))),
    fault("there is no next page", "list_pages/page_token",
          page(lambda d, x: d.pop("next_page_token", None))),
    fault("page_token counts in MINIMAL only", "list_pages/page_token_in_views poiesis_answers/stable_pages",
          listing(_token_only_in_minimal)),
    # States
    fault("COMPLETE is an error", "states/complete", state("SYSTEM_ERROR", "COMPLETE")),
    fault("errors complete", "states/executor_error", state("COMPLETE", "EXECUTOR_ERROR", "SYSTEM_ERROR")),
    fault("executors' errors are the system's", "states/executor_error poiesis_answers/missing_program",
          state("SYSTEM_ERROR", "EXECUTOR_ERROR")),
    fault("the system's errors are executors'", "states/system_error", state("EXECUTOR_ERROR", "SYSTEM_ERROR")),
    fault("nothing is ever RUNNING", "states/running", state("COMPLETE", "RUNNING")),
    fault("tasks end at once", "states/from_the_start", state("COMPLETE", "QUEUED", "INITIALIZING", "RUNNING")),
    fault("states are invented", "states/from_the_start get/json", shown(sets(state="DONE"))),
    fault("MINIMAL knows no state", "states/same_in_every_view", shown(_minimal_unknown)),
    # Logs
    fault("no log of outputs", "logs/required_members", attempts(without("outputs"))),
    fault("no logs", "logs/one_attempt", shown(without("logs"))),
    fault("no exit codes", "logs/required_members cancel/ended", results(without("exit_code"))),
    fault("exit codes are text", "logs/one_attempt", results(lambda e: e.update(exit_code=str(e["exit_code"])))),
    fault("logs stand backwards", "executor_order/log_order", attempts(lambda log: log["logs"].reverse())),
    fault("a log for what did not run", "executor_order/first_failure_ends_task", shown(_log_for_each_executor)),
    fault("attempts end before they begin", "logs/times", attempts(_exchange_times)),
    fault("executors end before they begin", "logs/times", results(_exchange_times)),
    fault("times are numbers", "logs/times", attempts(sets(start_time="1700000000"))),
    fault("ends are numbers", "logs/times", attempts(sets(end_time="1700000000"))),
    fault("times of executors are numbers", "logs/times", results(sets(start_time="1700000000"))),
    fault("ends of executors are numbers", "logs/times", results(sets(end_time="1700000000"))),
    fault("metadata are numbers", "logs/metadata", attempts(sets(metadata={"a": 1}))),
    fault("output is that of all executors", "logs/executor_output poiesis_answers/executor_output",
          attempts(_printed_together)),
    fault("control characters are not escaped", "logs/odd_output", _raw_control_characters, waits=True),
    fault("system logs are numbers", "logs/system_logs", attempts(sets(system_logs=[1]))),
    # Cancel
    fault("nothing is ever cancelled", "cancel/waiting", _never_cancels, waits=True),
    fault("cancelling answers nothing", "cancel/running cancel/answer", _cancel_without_body),
    fault("cancelling answers the identifier", "cancel/answer", _cancel_answers_id),
    fault("anything can be cancelled", "cancel/unknown_identifier poiesis_requests/not_found", _cancels_anything),
    fault("the beginning of an identifier cancels", "cancel/exact_identifier", _cancels_by_beginning),
    fault("other tasks are cancelled too", "cancel/only_this_task", _cancels_others),
    fault("cancelling overwrites the end", "cancel/ended", _cancel_overwrites),
    fault("a second cancel breaks", "cancel/twice", _second_cancel_breaks),
    fault("a cancelled task is queued", "cancel/passing_state", _queued_after_cancel),
    fault("a cancelled task runs on", "cancel/nothing_runs_after", shown(_ran_on)),
    fault("a list shows cancelled tasks as complete", "cancel/stays_canceled",
          page(lambda d, x: [t.update(state="COMPLETE") for t in d["tasks"] if t["state"] == "CANCELED"])),
    # Service info
    *[fault(f"service-info without {member}", "service_info/required_members", info(without(member)))
      for member in ("id", "name", "type", "organization", "version")],
    fault("service-info of nobody", "service_info/organization", info(lambda d: d["organization"].pop("name"))),
    fault("service-info without a group", "service_info/type", info(lambda d: d["type"].pop("group"))),
    fault("service-info without the version of its API", "service_info/type", info(lambda d: d["type"].pop("version"))),
    fault("service-info without a url", "service_info/organization",
          info(lambda d: d["organization"].update(url="our site"))),
    fault("service-info of another API", "service_info/type", info(lambda d: d["type"].update(artifact="wes"))),
    fault("service-info of another group", "service_info/type_namespace",
          info(lambda d: d["type"].update(group="com.example"))),
    fault("service-info of another version", "service_info/type_version",
          info(lambda d: d["type"].update(version="v2"))),
    *[fault(f"service-info with a wrong {member}", "service_info/optional_members", info(sets(**{member: value})))
      for member, value in (("createdAt", "yesterday"), ("updatedAt", "1767225600"), ("contactUrl", "call us"),
                            ("documentationUrl", "see the wiki"), ("storage", ["/data"]))],
    fault("service-info changed before it was made", "service_info/optional_members",
          info(sets(createdAt="2026-01-01T00:00:00Z", updatedAt="2025-01-01T00:00:00Z"))),
    fault("service-info without parameters", "service_info/backend_parameters_listed",
          info(without("tesResources_backend_parameters"))),
    fault("service-info with one parameter for all", "service_info/backend_parameters",
          info(sets(tesResources_backend_parameters="VmSize"))),
    fault("service-info with another identifier each time", "service_info/stable_identifier", _new_identifier),
]
"""Two of them change nothing: the right server itself is wrong in these ways, and the cases warn."""
