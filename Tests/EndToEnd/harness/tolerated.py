"""What schemathesis finds and this server does on purpose: the one list of exceptions, each as narrow as its reason.

schemathesis loads this file as its hooks (SCHEMATHESIS_HOOKS). Whatever no entry matches is a failure. Each entry that
was needed is noted in the file POIESIS_TOLERATED, so that a test can tell which ones nobody needs any more.
"""

import json
import os
import re

import schemathesis

VIEWS = {"MINIMAL", "BASIC", "FULL"}


# --- What was sent, and what came back ------------------------------------------------------------

def pointers(response):
    """Where the server says that the problems are."""
    try:
        return [x["pointer"] for x in json.loads(response.content).get("errors", [])]
    except (ValueError, AttributeError, KeyError):
        return []


def refused_only_at(response, pattern):
    found = pointers(response)
    return response.status_code == 400 and bool(found) and all(re.fullmatch(pattern, x) for x in found)


def values(case, name):
    """Of a query parameter, each as text."""
    value = (case.query or {}).get(name)
    return [str(x) for x in (value if isinstance(value, list) else [] if value is None else [value])]


# --- Predicates: one for each entry below ---------------------------------------------------------

def needs_more_than_a_schema_can_say(case, response):
    with_nul = "".join(f"|{name}" for name in ("name_prefix", "tag_key") if any("\0" in x for x in values(case, name)))
    return refused_only_at(response, rf"\?(tag_value|page_token{with_nul})")


def is_an_empty_parameter_or_a_view_in_other_letters(case, response):
    good = {
        "view": lambda x: x.upper() in VIEWS,
        "state": lambda x: re.fullmatch(r"[A-Z_]+", x),
        "page_size": lambda x: x.isascii() and x.isdigit() and 1 <= int(x) <= 2047,
    }
    return response.status_code == 200 and all(
        not x or check(x) for name, check in good.items() for x in values(case, name))


def is_the_web_component_cancelling(case, response):
    return response.headers.get("allow") == ["POST, DELETE, OPTIONS"] and case.operation.path.endswith(":cancel")


def breaks_a_rule_in_prose(case, response):
    return refused_only_at(response, r"/(inputs|outputs)/\d+(/(path|url|path_prefix|type))?|/volumes/\d+|"
                                     r"/executors/\d+/(workdir|stdin|stdout|stderr|env)|/executors/\d+/command/0|"
                                     r"/resources/backend_parameters/.*")


def holds_nul(case, response):
    return response.status_code == 400 and "\\u0000" in json.dumps(case.body) and bool(pointers(response))


TOLERATED = {
    # name: (kind of failure, operation, whether it is this, why it is so)
    "pairs and tokens": (
        "RejectedPositiveData",
        "GET /tasks",
        needs_more_than_a_schema_can_say,
        "more values than keys cannot be paired, a token that this server did not make means nothing, and no name or tag "
        "can hold U+0000; no schema can say the first two",
    ),
    "empty parameters": (
        "AcceptedNegativeData",
        "GET /tasks",
        is_an_empty_parameter_or_a_view_in_other_letters,
        "clients send parameters that they have no value for as empty ones, and views in small letters",
    ),
    "empty view": (
        "AcceptedNegativeData",
        "GET /tasks/{id}",
        is_an_empty_parameter_or_a_view_in_other_letters,
        "the same, of one task",
    ),
    "DELETE to cancel": (
        "AllowHeaderMismatch",
        "/tasks/{id}:cancel",
        is_the_web_component_cancelling,
        "the ELIXIR web component cancels so; the specification, and so the description, does not have it",
    ),
    "rules in prose": (
        "RejectedPositiveData",
        "POST /tasks",
        breaks_a_rule_in_prose,
        "paths are absolute and stay in the container, URLs have a scheme that a filer knows, an input has a url or a "
        "content (and is a FILE then), a command names its program, a variable has a name: the specification says so in prose",
    ),
    "NUL": (
        "RejectedPositiveData",
        "POST /tasks",
        holds_nul,
        "neither PostgreSQL's text nor a path, an argument or a variable can hold U+0000",
    ),
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """False drops the failure."""
    for name, (kind, operation, matches, _) in TOLERATED.items():
        if (
            type(failure).__name__ == kind
            and f"{case.operation.method.upper()} {case.operation.path}".endswith(operation)
            and matches(case, response)
        ):
            with open(os.environ["POIESIS_TOLERATED"], "a", encoding="utf-8") as file:
                file.write(name + "\n")
            return False
    return True
