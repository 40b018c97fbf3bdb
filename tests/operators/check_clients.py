#!/usr/bin/env python3
"""Everything in deploy/ that polls: the two small clients, Home Assistant's YAML and the Node-RED flow, run against the
real daemon.

Needs curl, PyYAML, Jinja2, and Node-RED (NODE_RED names its program; `npm install node-red@4`).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import jinja2
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from running import Daemon, Tally, wait_for  # noqa: E402

DEPLOY = os.path.join(HERE, "..", "..", "deploy")
CONFIG = """
[sim]
grid = 32
seed = 7
tick_ms = 10
[features]
every = 10
[outbox]
keep_free_bytes = 0
"""
tally = Tally()


class Client:
    """A client's lines of output, read until enough have come."""

    def __init__(self, daemon, *command):
        self.out = tempfile.TemporaryFile("w+")
        environment = {**os.environ, "MYCELIUM_KEY": daemon.key, "MYCELIUM_URL": daemon.url}
        self.process = subprocess.Popen(command, stdout=self.out, stderr=subprocess.DEVNULL, env=environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.out.close()

    def lines(self, at_least):
        def enough():
            self.out.seek(0)
            lines = self.out.read().splitlines()
            return lines if len(lines) >= at_least else None
        return wait_for(f"{at_least} lines", enough)


def shell_client(daemon):
    with Client(daemon, "sh", os.path.join(DEPLOY, "clients", "poll.sh"), daemon.url) as client:
        answers = [json.loads(line) for line in client.lines(5)]
        sequence = [item["seq"] for answer in answers for item in answer["items"]]
        assert sequence == list(range(sequence[0], sequence[0] + len(sequence))), f"no record twice, none left out: {sequence}"
        with open(f"/proc/{client.process.pid}/cmdline") as file:
            assert daemon.key not in file.read(), "the key is in no command line"


def python_client(daemon):
    with Client(daemon, sys.executable, os.path.join(DEPLOY, "clients", "poll.py"), daemon.url) as client:
        steps = [int(line.split()[0]) for line in client.lines(5)]
        assert steps == list(range(steps[0], steps[0] + 10 * len(steps), 10)), steps


def clients_have_ten_lines(_):
    for name in os.listdir(os.path.join(DEPLOY, "clients")):
        with open(os.path.join(DEPLOY, "clients", name)) as file:
            assert len(file.readlines()) <= 10, name


def clients_come_back(daemon):
    """Both continue by themselves after the daemon was stopped for a while."""
    with Client(daemon, "sh", os.path.join(DEPLOY, "clients", "poll.sh"), daemon.url) as shell, \
            Client(daemon, sys.executable, os.path.join(DEPLOY, "clients", "poll.py"), daemon.url) as python:
        before = len(shell.lines(1)), len(python.lines(1))
        daemon.stop()
        daemon.start()
        shell.lines(before[0] + 3)
        python.lines(before[1] + 3)


# --- Home Assistant ----------------------------------------------------------------------------------------


class Loader(yaml.SafeLoader):
    secrets = {}


Loader.add_constructor("!secret", lambda loader, node: Loader.secrets[node.value])


def home_assistant_yaml(daemon):
    Loader.secrets = {"mycelium_key": daemon.key, "mycelium_write_key": daemon.admin}
    with open(os.path.join(DEPLOY, "home-assistant.yaml")) as file:
        return yaml.load(file, Loader)


def render(template, **values):
    return jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template).render(**values)


def local(url):
    assert url.startswith("http://mycelium.local:8600/"), url
    return url.removeprefix("http://mycelium.local:8600")


def home_assistant_sensors(daemon):
    wait_for("features", lambda: daemon.json("/v1/features")["items"])
    seen = set()
    for resource in home_assistant_yaml(daemon)["rest"]:
        assert set(resource) <= {"resource", "scan_interval", "timeout", "headers", "sensor", "binary_sensor"}, set(resource)
        status, _, body = daemon.ask(local(resource["resource"]), key=None, headers=resource["headers"])
        assert status == 200, status
        for kind in ("sensor", "binary_sensor"):
            for sensor in resource.get(kind, []):
                value = render(sensor["value_template"], value_json=json.loads(body))
                assert sensor["unique_id"] not in seen and value not in ("", "None"), sensor
                seen.add(sensor["unique_id"])
                if kind == "binary_sensor":
                    assert value in ("True", "False"), (sensor["name"], value)
                elif "state_class" in sensor or "unit_of_measurement" in sensor:
                    float(value)
    assert len(seen) == 12, seen


def home_assistant_command(daemon):
    command = home_assistant_yaml(daemon)["rest_command"]["mycelium_stimulate"]
    before = daemon.json("/v1/status")["totals"]["stimuli"]
    body = render(command["payload"], row=3, col=4, volts=0.02)
    headers = {**command["headers"], "Content-Type": command["content_type"]}
    status, _, said = daemon.ask(local(command["url"]), key=None, method=command["method"], body=body, headers=headers)
    assert status in (200, 202, 204), (status, said)
    wait_for("the stimulus is counted", lambda: daemon.json("/v1/status")["totals"]["stimuli"] == before + 1)


# --- Node-RED ----------------------------------------------------------------------------------------------


def node_red(daemon):
    program = os.environ.get("NODE_RED") or shutil.which("node-red")
    assert program, "install Node-RED (npm install node-red@4) or name its program in NODE_RED"
    with open(os.path.join(DEPLOY, "node-red-flow.json")) as file:
        flow = json.load(file)
    assert daemon.key not in json.dumps(flow) and "myc_" not in json.dumps(flow)
    with tempfile.TemporaryDirectory(prefix="mycelium-node-red-") as directory:
        record = os.path.join(directory, "records")
        for node in flow:
            if node["type"] == "inject":
                node["repeat"] = "1"  # ten seconds would be too long for the test
            if node["id"] == "mycelium-split":
                node["wires"][0] += ["test-shape"]
        flow += [
            {"id": "test-shape", "type": "function", "z": flow[0]["id"], "name": "", "outputs": 1, "libs": [], "x": 1, "y": 1,
             "func": "msg.payload = JSON.stringify({step: msg.step, features: msg.payload}); return msg;", "wires": [["test-file"]]},
            {"id": "test-file", "type": "file", "z": flow[0]["id"], "name": "", "filename": record, "filenameType": "str",
             "appendNewline": True, "createDir": False, "overwriteFile": "false", "encoding": "none", "x": 1, "y": 1, "wires": [[]]},
        ]
        path = os.path.join(directory, "flow.json")
        with open(path, "w") as file:
            json.dump(flow, file)
        # Without pages and nodes that listen it needs no port, so no port can be in use by the time it has started.
        settings = os.path.join(directory, "settings.js")
        with open(settings, "w") as file:
            file.write("module.exports = {httpAdminRoot: false, httpNodeRoot: false, flowFile: %s};" % json.dumps(path))
        log = open(os.path.join(directory, "log"), "w+")
        environment = {**os.environ, "MYCELIUM_KEY": daemon.key, "MYCELIUM_URL": daemon.url, "NODE_RED_ENABLE_TELEMETRY": "false"}
        process = subprocess.Popen([program, "-u", directory, "-s", settings, path], stdout=log, stderr=log, env=environment)
        try:
            def lines():
                try:
                    with open(record) as file:
                        return [json.loads(line) for line in file.read().splitlines()]
                except (OSError, ValueError):
                    return []
            try:
                wait_for("ten records through the flow", lambda: len(lines()) >= 10, 60)
            except AssertionError as fault:
                log.seek(0)
                raise AssertionError(f"{fault}: {log.read()[-1500:]}") from None
            steps = [line["step"] for line in lines()]
            assert steps == list(range(steps[0], steps[0] + 10 * len(steps), 10)), f"no record twice, none left out: {steps}"
            assert len(lines()[0]["features"]) == 28
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()


with Daemon(CONFIG) as running:
    for part in (shell_client, python_client, clients_have_ten_lines, home_assistant_sensors, home_assistant_command, node_red, clients_come_back):
        tally.check(part.__name__.replace("_", " "), lambda: part(running))
tally.exit()
