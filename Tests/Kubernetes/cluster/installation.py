"""Poiesis as deploy/kubernetes installs it, in namespaces and with names of the tests' own."""

import contextlib
import secrets

import yaml

from harness.client import Client
from harness.processes import REPOSITORY, wait_until

from .kubectl import Kubectl, PortForward
from .services import KEY

MANIFESTS = REPOSITORY / "deploy" / "kubernetes"
INSTANCE = "poiesis.io/instance"
TASK = "poiesis.io/task"
TEST = "poiesis.io/test"
"""Marks namespaces of a test, for whoever finds one that was left behind."""


MAXIMUM_LIVE = 2
"""Most Jobs at a time."""
GATE = "until [ -e /gate/open ]; do sleep 0.1; done; "
"""How the script of an executor begins that waits for `let_go`; its task has the volume /gate."""


class Installation:
    """API, controller and database of one installation, whose tasks run in a namespace that others may use, too."""

    def __init__(self, name, system, tasks, services, images, settings=None, role=None):
        """`settings` are those of the configuration file; keys below `kubernetes` are added to the tests' own.

        With a `role` the parts of a Pod have a web identity for storage, else a login.
        """
        self.name = name
        self.system = Kubectl(system)
        self.tasks = Kubectl(tasks)
        self.services = services
        self.images = images
        self._settings = dict(settings or {})
        self._role = role
        self._killers = {}
        self._database = f"poiesis_{name}".replace("-", "_")
        self._forward = PortForward(self.system, "service/poiesis", 8000)
        self.client = None
        self.instance = None

    # --- Installing -----------------------------------------------------------------------------------

    def install(self):
        """What docs/guides/kubernetes.md says, step by step."""
        owner, password = self._database, secrets.token_urlsafe(12)
        self.services.sql(f"CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD '{password}'")
        self.services.sql(f"CREATE DATABASE {self._database} OWNER {owner}")
        self._apply("00-namespaces.yaml")
        passwords = {role: self._password(role) for role in ["poiesis_api", "poiesis_tctl", "poiesis_recorder"]}
        urls = {role: self.services.database_url(role, password, self._database) for role, password in passwords.items()}
        self.system.apply([
            self._secret("poiesis-owner", url=self.services.database_url(owner, password, self._database)),
            self._secret("poiesis-api", url=urls["poiesis_api"]), self._secret("poiesis-tctl", url=urls["poiesis_tctl"])])
        self.tasks.apply([
            self._secret(self.own("poiesis-recorder"), url=urls["poiesis_recorder"]),
            self._secret(self.own("poiesis-storage"), access_key=KEY, secret_key=self.services.secret)])
        self._apply("config.yaml", "schema.yaml")
        self.system.run("wait", "job/poiesis-schema", "--for=condition=Complete", "--timeout=180s", seconds=200)
        for role, password in passwords.items():
            self.services.sql(f"ALTER ROLE {role} PASSWORD '{password}'")
        self._apply("trec.yaml", "tctl.yaml", "api.yaml", "network.yaml")
        for name in ["poiesis-api", "poiesis-tctl"]:
            self.system.run("rollout", "status", f"deployment/{name}", "--timeout=180s", seconds=200)
        self.client = ClusterClient(self._forward)
        self.instance = self.services.sql("SELECT instance_id FROM poiesis.instance", self._database).strip()

    def _password(self, role):
        """Roles belong to the whole PostgreSQL: a second installation there has the same ones."""
        self.services.passwords = getattr(self.services, "passwords", {})
        return self.services.passwords.setdefault(role, secrets.token_urlsafe(12))

    def own(self, name):
        """A name in the namespace of the tasks, which others may use, too."""
        return name if self.name == "a" else f"{name}-{self.name}"

    @staticmethod
    def _secret(name, **entries):
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": entries}

    def _apply(self, *files):
        """The manifests as they are, but for names, image and configuration."""
        documents = []
        for file in files:
            for document in yaml.safe_load_all((MANIFESTS / file).read_text()):
                documents.append(self._renamed(document))
        Kubectl().apply(documents)

    def _renamed(self, node, key=None):
        if isinstance(node, list):
            return [self._renamed(value, key) for value in node]
        if not isinstance(node, dict):
            if key == "namespace":
                return self._namespace(node)
            return self.images.poiesis if key == "image" else node
        if node.get("kind") == "ConfigMap":
            return self._configured(node)
        node = {key: self._renamed(value, key) for key, value in node.items()}
        metadata = node.get("metadata") or {}
        if node.get("kind") == "Namespace":
            metadata["name"] = self._namespace(metadata["name"])
            metadata["labels"][TEST] = "yes"
        if node.get("key") == "kubernetes.io/metadata.name":
            node["values"] = [self._namespace(value) for value in node["values"]]
        # Several installations may share the namespace of the tasks.
        if node.get("kind") in {"Role", "RoleBinding", "NetworkPolicy"} and metadata.get("namespace") == self.tasks.namespace:
            metadata["name"] = self.own(metadata["name"])
            if "roleRef" in node:
                node["roleRef"]["name"] = self.own(node["roleRef"]["name"])
        return node

    def _namespace(self, name):
        return {"poiesis": self.tasks.namespace, "poiesis-system": self.system.namespace}.get(name, name)

    def _configured(self, document):
        document["metadata"]["namespace"] = self.system.namespace
        text = document["data"]["config.yaml"]
        configuration = yaml.safe_load(text.replace("poiesis-system", self.system.namespace))
        configuration["s3"] = {"endpoint": self.services.endpoint}
        configuration["kubernetes"].update({
            "namespace": self.tasks.namespace, "image": self.images.poiesis,
            "secrets": {"database": self.own("poiesis-recorder"), **self._storage_login},
            "environment": {"AWS_ENDPOINT_URL_STS": self.services.sts} if self._role else {},
            # Where a node has room for one task, the scheduler lets new Pods overtake those that wait: our own queue is in order.
            "jobs": {"maximum_live": MAXIMUM_LIVE},
            # Shorter than the default: what does not end by itself is waited for again and again.
            "grace_period": 15,
            "workspace": {"default_size": 100_000_000, "largest_empty_dir": 1_000_000_000},
            "allowed": {"node_selector_keys": ["kubernetes.io/hostname", "poiesis.io/no-node-has-this"]},
            **self._settings.pop("kubernetes", {})})
        configuration.update(self._settings)
        document["data"]["config.yaml"] = yaml.safe_dump(configuration)
        return document

    @property
    def _storage_login(self):
        return {"web_identity": {"role": self._role}} if self._role else {"storage": [self.own("poiesis-storage")]}

    # --- Looking --------------------------------------------------------------------------------------

    def objects(self, kind, task_id=None):
        """Its objects in the namespace of the tasks."""
        selector = f"{INSTANCE}={self.instance}" + (f",{TASK}={task_id}" if task_id else "")
        return self.tasks.get(kind, selector=selector)

    def pod(self, task_id, seconds=60):
        """The task's Pod, once there is one."""
        return wait_until(lambda: self.objects("pods", task_id), f"{task_id} has a Pod", seconds, 0.2)[0]

    def wait_for_container(self, task_id, container, seconds=120, attempt=None):
        """Returns the Pod once the container runs, of any attempt or of one."""
        def running():
            for pod in self.objects("pods", task_id):
                if attempt and not pod["metadata"]["name"].startswith(f"poiesis-{task_id}-{attempt}-"):
                    continue
                for status in pod["status"].get("initContainerStatuses", []) + pod["status"].get("containerStatuses", []):
                    if status["name"] == container and "running" in status["state"]:
                        return pod
        return wait_until(running, f"{container} of {task_id} runs", seconds, 0.1)

    def let_go(self, task_id, attempt=1):
        """Lets an executor go on that began with GATE."""
        pod = self.wait_for_container(task_id, "exec-0", attempt=attempt)["metadata"]["name"]
        self.tasks.run("exec", pod, "--container", "exec-0", "--", "touch", "/gate/open")

    def nothing_is_left(self, seconds=120):
        """Its ended tasks have neither Jobs nor Pods nor claims."""
        for kind in ["jobs", "pods", "persistentvolumeclaims"]:
            wait_until(lambda: not self.objects(kind), f"no {kind} of ended tasks are left", seconds, 0.5)

    # --- Disturbing -----------------------------------------------------------------------------------

    def controllers(self):
        return [x for x in self.system.get("pods", selector="app.kubernetes.io/component=tctl")
                if x["status"]["phase"] == "Running" and "deletionTimestamp" not in x["metadata"]]

    def leader(self):
        """The Pod that leads, as the Lease says; None while nobody does."""
        lease = self.tasks.get("lease", f"poiesis-tctl-{self.instance}")
        holder = (lease or {}).get("spec", {}).get("holderIdentity", "").split("_")[0]
        return next((x["metadata"]["name"] for x in self.controllers() if x["metadata"]["name"] == holder), None)

    @contextlib.contextmanager
    def no_controllers(self):
        """Until the end nobody controls; then both replicas are there again."""
        self.system.run("scale", "deployment/poiesis-tctl", "--replicas=0")
        try:
            wait_until(lambda: not self.system.get("pods", selector="app.kubernetes.io/component=tctl"), "no controller is left", 60, 0.2)
            yield
        finally:
            self.system.run("scale", "deployment/poiesis-tctl", "--replicas=2")

    def restart_api(self):
        self.system.run("rollout", "restart", "deployment/poiesis-api")
        self.system.run("rollout", "status", "deployment/poiesis-api", "--timeout=120s", seconds=140)
        # The tunnel leads to a Pod that is gone.
        self._forward.close()

    def kill_controllers(self, pods=None):
        """SIGKILL for these, or for all replicas at once: nothing is tidied up, no Lease given back.

        The Pods are then deleted, or the kubelet would wait longer each time before it started their container again.
        """
        pods = pods or wait_until(self.controllers, "a controller runs", every=0.2)
        for pod in pods:
            self._kill(pod)
        for pod in pods:
            self.system.delete("pod", pod["metadata"]["name"], "--grace-period=0", "--force", "--wait=false")

    def _kill(self, pod):
        """Kills the Pod's programs from the node: inside a container the kernel keeps SIGKILL from its first process."""
        node, name = pod["spec"]["nodeName"], pod["metadata"]["name"]
        killer = self._killers.get(node) or self._killers.setdefault(node, self.services.on_node(node, self.images.executor))
        # Each program of a Pod has its name as HOSTNAME.
        script = f"""
            killed=0
            for file in $(grep -l 'HOSTNAME={name}' /proc/[0-9]*/environ 2>/dev/null); do
                tr '\\0' '\\n' < $file 2>/dev/null | grep -qx 'HOSTNAME={name}' || continue
                file=${{file#/proc/}}
                kill -9 ${{file%/environ}} && killed=$((killed + 1))
            done
            echo $killed"""
        killed = int(self.services.kubectl.execute(killer, "sh", "-c", script))
        assert killed > 0, f"no process of {name} was found on {node}"

    def logs(self, component, lines=60):
        return self.system.run("logs", "--selector", f"app.kubernetes.io/component={component}", "--prefix",
                               f"--tail={lines}", check=False).stdout

    def close(self):
        self._forward.close()


class ClusterClient(Client):
    """The client of the end-to-end tests, through a tunnel that may have to be made anew."""

    def __init__(self, forward):
        super().__init__(forward.url)
        self._forward = forward

    def request(self, method, path, **options):
        self.url = self._forward.url
        return super().request(method, path, **options)

    def wait(self, task_id, states=None, seconds=240):
        return super().wait(task_id, *([states] if states else []), seconds=seconds)

    def run(self, document, state="COMPLETE", seconds=240):
        return super().run(document, state, seconds)
