#!/usr/bin/env python3
"""deploy/kubernetes: valid by the schemas of Kubernetes, consistent, and the binary runs with the arguments, variables, user, volumes
and secrets of the pod.

Needs PyYAML and kubernetes-validate, and root to become the user of the pod; kubectl, where it is installed, builds the kustomization.
"""

import glob
import http.client
import os
import re
import shutil
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from check_tutorials import free_port  # noqa: E402
from running import BINARY, Tally, wait_for  # noqa: E402

ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
PLACE = os.path.join(ROOT, "deploy", "kubernetes")
# The oldest release in support and the newest that the validator knows.
VERSIONS = ("1.34.0", kubernetes_validate.latest_version())
tally = Tally()


def documents(path):
    with open(path) as file:
        return [document for document in yaml.safe_load_all(file) if document]


KUSTOMIZATION, = documents(os.path.join(PLACE, "kustomization.yaml"))
MANIFESTS = [document for name in KUSTOMIZATION["resources"] for document in documents(os.path.join(PLACE, name))]
BY_KIND = {document["kind"]: document for document in MANIFESTS}
POD = BY_KIND["Deployment"]["spec"]["template"]["spec"]
CONTAINER, = POD["containers"]


def valid(manifests):
    for version in VERSIONS:
        for manifest in manifests:
            kubernetes_validate.validate(manifest, version, strict=True)


def every_manifest_is_valid():
    """Seen red with `replica:` and with a memory limit that is a list."""
    valid(MANIFESTS)
    listed = {os.path.join(PLACE, name) for name in KUSTOMIZATION["resources"]} | {os.path.join(PLACE, "kustomization.yaml")}
    assert listed == set(glob.glob(os.path.join(PLACE, "*.yaml"))), listed


def kustomize_builds_it():
    if not shutil.which("kubectl"):
        print("NOT checked: kubectl kustomize, as there is no kubectl")
        return
    done = subprocess.run(["kubectl", "kustomize", PLACE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    valid(built)
    assert {document["kind"] for document in built} == set(BY_KIND) | {"ConfigMap"}


def parts_belong_together():
    labels = BY_KIND["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in (BY_KIND["Deployment"]["spec"]["selector"]["matchLabels"], BY_KIND["Service"]["spec"]["selector"],
                     BY_KIND["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]):
        assert selector.items() <= labels.items(), selector
    monitor, = documents(os.path.join(PLACE, "monitoring", "service-monitor.yaml"))
    assert monitor["spec"]["selector"]["matchLabels"].items() <= BY_KIND["Service"]["metadata"]["labels"].items()
    port, = CONTAINER["ports"]
    assert BY_KIND["Service"]["spec"]["ports"][0]["targetPort"] == port["name"] == monitor["spec"]["endpoints"][0]["port"]
    mounted = {mount["name"] for mount in CONTAINER["volumeMounts"]}
    assert mounted == {volume["name"] for volume in POD["volumes"]}, mounted
    with open(os.path.join(ROOT, "Cargo.toml")) as file:
        version = re.search(r'^version = "(.*)"', file.read(), re.M)[1]
    image, = KUSTOMIZATION["images"]
    assert image["name"] == CONTAINER["image"] and image["newTag"] == version, "cross/image.sh makes this name and tag"


def the_pod_is_restricted():
    """What the namespace's profile `restricted` demands; an API server is not at hand to say so."""
    assert POD["securityContext"]["runAsNonRoot"] is True and POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    own = CONTAINER["securityContext"]
    assert own["allowPrivilegeEscalation"] is False and own["capabilities"] == {"drop": ["ALL"]} and own["readOnlyRootFilesystem"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(POD)
    assert all(set(volume) - {"name"} <= {"persistentVolumeClaim", "configMap", "secret"} for volume in POD["volumes"])


class Pod:
    """The container's process on this machine: paths below a temporary root, the pod's user, the image's and the pod's variables."""

    def __init__(self, volume_mode, links=False):
        self.root = tempfile.mkdtemp(prefix="mycelium-pod-")
        os.chmod(self.root, 0o755)
        self.user, group = POD["securityContext"]["runAsUser"], POD["securityContext"]["fsGroup"]
        data, config, secrets = (self.path(path) for path in ("/data", "/etc/myceliumd", "/run/secrets/myceliumd"))
        for path in (data, config, secrets):
            os.makedirs(path)
        os.chown(data, 0, group)
        os.chmod(data, volume_mode)
        shutil.copy(os.path.join(PLACE, "myceliumd.toml"), config)
        # As the kubelet writes a Secret: files in a dated directory, reached by two symbolic links, readable by the group.
        dated = os.path.join(secrets, "..1")
        os.mkdir(dated)
        for name in ("api.key", "poller.key"):
            printed = subprocess.run([BINARY, "key", "new"], capture_output=True, text=True, check=True).stdout
            with open(os.path.join(dated, name), "w") as file:
                file.write(re.search(r"^key *(\S+)", printed, re.M)[1])
            os.chmod(file.name, next(volume["secret"]["defaultMode"] for volume in POD["volumes"] if "secret" in volume))
            os.chown(file.name, 0, group)
            os.symlink(f"..data/{name}", os.path.join(secrets, name))
        os.symlink("..1", os.path.join(secrets, "..data"))
        self.port = free_port()
        with open(os.path.join(ROOT, "Dockerfile")) as file:
            self.environment = dict(re.findall(r"^(?:ENV|   ) *(\w+)=(\S+?)(?: \\)?$", re.search(r"^ENV (?:.*\\\n)*.*", file.read(), re.M)[0], re.M))
        for variable in CONTAINER["env"]:
            self.environment[variable["name"]] = variable.get("value", "node-1")
        assert self.environment["MYCELIUMD_API__LISTEN"] == f"0.0.0.0:{CONTAINER['ports'][0]['containerPort']}"
        self.environment["MYCELIUMD_API__LISTEN"] = f"127.0.0.1:{self.port}"
        self.environment["MYCELIUMD_OUTBOX__KEEP_FREE_BYTES"] = "0"
        if links:
            self.environment["MYCELIUMD_PORT"] = "tcp://10.43.0.1:8600"

    def path(self, path):
        return self.root + path

    def start(self):
        inside = [re.sub(r"^/(data|etc|run)/", f"{self.root}/\\1/", part) for part in CONTAINER["args"]]
        environment = {name: re.sub(r"^/(data|etc|run)/", f"{self.root}/\\1/", value) for name, value in self.environment.items()}
        binary = self.path("/myceliumd")
        shutil.copy(BINARY, binary)
        os.chmod(binary, 0o755)
        self.log = open(self.path("/log"), "w+")
        return subprocess.Popen([binary, *inside], env=environment, stdout=self.log, stderr=self.log, cwd=self.root,
                                user=self.user, group=POD["securityContext"]["runAsGroup"], extra_groups=[POD["securityContext"]["fsGroup"]])

    def logged(self):
        self.log.seek(0)
        return self.log.read()

    def get(self, path, key=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"X-API-Key": key} if key else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def key(self, name):
        with open(self.path(f"/run/secrets/myceliumd/{name}")) as file:
            return file.read()


def runs_on_a_volume(mode):
    pod = Pod(mode)
    process = pod.start()
    try:
        probes = [CONTAINER[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")]
        for path in probes:
            wait_for(f"200 of {path} ({process.poll()}, {pod.logged()})", lambda: pod.get(path)[0] == 200, 20)
        assert pod.get("/v1/status")[0] == 401 and pod.get("/v1/status", pod.key("poller.key"))[0] == 200
        assert b'"device":"node-1"' in pod.get("/v1/status", pod.key("api.key"))[1], "the device is named after the node"
        with open(f"/proc/{process.pid}/status") as file:
            peak = int(re.search(r"^VmHWM:\s*(\d+)", file.read(), re.M)[1])
        limit = int(CONTAINER["resources"]["limits"]["memory"].removesuffix("Mi")) * 1024
        assert peak < limit / 2, f"{peak} KiB of {limit}"
        process.terminate()
        assert process.wait(POD["terminationGracePeriodSeconds"]) == 0, pod.logged()
        assert '"level":"INFO"' in pod.logged()
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(pod.root)


def variables_of_services_would_end_it():
    assert POD["enableServiceLinks"] is False
    pod = Pod(0o2775, links=True)
    process = pod.start()
    try:
        assert process.wait(20) == 78 and "MYCELIUMD_PORT" in pod.logged(), pod.logged()
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(pod.root)


for check in (every_manifest_is_valid, kustomize_builds_it, parts_belong_together, the_pod_is_restricted):
    tally.check(check.__name__.replace("_", " "), check)
if os.getuid() == 0:
    # A volume with fsGroup; one of a host path.
    for mode in (0o2775, 0o777):
        tally.check(f"the pod runs on a volume of mode {mode:o}", lambda: runs_on_a_volume(mode))
    tally.check("variables of services would end it", variables_of_services_would_end_it)
else:
    print("NOT checked: the pod's process, as this is not root")
tally.exit()
