"""A TES client that hides nothing: what the server answers is what the test sees."""

import time

import requests

BUSYBOX = "poiesis-test/busybox:1"
TERMINAL = {"COMPLETE", "EXECUTOR_ERROR", "SYSTEM_ERROR", "CANCELED", "PREEMPTED"}


def sh(script, **fields):
    """An executor that runs a shell script."""
    return {"image": BUSYBOX, "command": ["sh", "-c", script], **fields}


def run(*command, **fields):
    """An executor that runs exactly this argv."""
    return {"image": BUSYBOX, "command": list(command), **fields}


def task(*executors, **fields):
    """A task document; a string stands for a shell script."""
    return {"executors": [sh(x) if isinstance(x, str) else x for x in executors], **fields}


class Client:
    """One base URL of one server."""

    def __init__(self, url, base="/ga4gh/tes/v1"):
        self.url = url
        self.base = base
        self.session = requests.Session()
        # The environment's proxies and .netrc must not reach a server on loopback.
        self.session.trust_env = False

    def request(self, method, path, **options):
        """`path` is below the base; one that starts with http is taken as it is."""
        url = path if path.startswith("http") else self.url + self.base + path
        return self.session.request(method, url, timeout=60, allow_redirects=False, **options)

    def post(self, document, **options):
        return self.request("POST", "/tasks", json=document, **options)

    def create(self, document):
        answer = self.post(document)
        assert answer.status_code == 200, f"POST /tasks: {answer.status_code} {answer.text}"
        return answer.json()["id"]

    def get(self, task_id, view="FULL"):
        answer = self.request("GET", f"/tasks/{task_id}", params={"view": view})
        assert answer.status_code == 200, f"GET {task_id}: {answer.status_code} {answer.text}"
        return answer.json()

    def state(self, task_id):
        return self.get(task_id, "MINIMAL")["state"]

    def cancel(self, task_id):
        answer = self.request("POST", f"/tasks/{task_id}:cancel")
        assert answer.status_code == 200, f"cancel {task_id}: {answer.status_code} {answer.text}"
        return answer.json()

    def list(self, **parameters):
        answer = self.request("GET", "/tasks", params=parameters)
        assert answer.status_code == 200, f"list {parameters}: {answer.status_code} {answer.text}"
        return answer.json()

    def all_tasks(self, **parameters):
        """Every page of a list."""
        found, token = [], ""
        while True:
            page = self.list(**parameters, **({"page_token": token} if token else {}))
            found += page["tasks"]
            token = page["next_page_token"]
            if not token:
                return found

    def wait(self, task_id, states=frozenset(TERMINAL), seconds=120):
        """The whole task once it is in one of the states; a terminal state that was not waited for fails at once."""
        end = time.monotonic() + seconds
        while (state := self.state(task_id)) not in states:
            if state in TERMINAL or time.monotonic() > end:
                raise AssertionError(f"{task_id} is {state}, not {sorted(states)}: {self.get(task_id)}")
            time.sleep(0.05)
        return self.get(task_id)

    def run(self, document, state="COMPLETE", seconds=120):
        """Creates a task, waits for its end, and insists on the state."""
        done = self.wait(self.create(document), seconds=seconds)
        assert done["state"] == state, f"{done['state']} instead of {state}: {done.get('logs')}"
        return done

    def run_sh(self, script, state="COMPLETE", **fields):
        """Runs one shell script; gives its executor's log."""
        return self.run(task(sh(script, **fields)), state)["logs"][-1]["logs"][0]

    def cancel_all(self):
        """Ends whatever is not over yet, and waits for it."""
        active = [x["id"] for x in self.all_tasks() if x["state"] not in TERMINAL]
        for task_id in active:
            self.cancel(task_id)
        for task_id in active:
            self.wait(task_id)


def system_logs(document):
    """All lines of all attempts, as one text."""
    return "\n".join(line for log in document.get("logs", []) for line in log.get("system_logs", []))
