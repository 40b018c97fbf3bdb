#!/usr/bin/env python3
"""The receivers of docs/RECEIVERS.md, word for word, against a daemon that delivers to all of them: each takes every event once and in
order, and refuses what is forged, old, or repeated with another body.

Needs node and busybox; Go where it is installed (without it, the last line says so).
"""

import base64
import glob
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from check_tutorials import free_port  # noqa: E402
from running import Daemon, Tally, wait_for  # noqa: E402

with open(os.path.join(HERE, "..", "..", "docs", "RECEIVERS.md")) as page:
    PROGRAMS = dict(re.findall(r"^<!-- receiver: (\S+) -->\n```\w+\n(.*?)^```$", page.read(), re.M | re.S))
SECRET = b"0123456789abcdef0123456789abcdef"
EVENTS = 12
tally = Tally()


class Receiver:
    """One program of the page in its own directory; `ids` are the events it has taken, in its order."""

    def __init__(self, name, *command, path="/"):
        self.name, self.command, self.path = name, command, path
        self.directory = tempfile.mkdtemp(prefix="mycelium-receiver-")
        program = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(program), exist_ok=True)
        with open(program, "w") as file:
            file.write(PROGRAMS[name])
        os.chmod(program, 0o755)
        secret = os.path.join(self.directory, "secret")
        with open(secret, "w") as file:
            file.write(f"whsec_{base64.b64encode(SECRET).decode()}\n")
        self.store = os.path.join(self.directory, "store")
        os.mkdir(self.store)
        self.port = free_port()
        self.environment = {**os.environ, "SECRET_FILE": secret, "PORT": str(self.port), "STORE": self.store}
        self.process = None

    def start(self):
        self.out = open(os.path.join(self.directory, "out"), "w+")
        command = [part.replace("PORT", str(self.port)) for part in self.command]
        self.process = subprocess.Popen(command, cwd=self.directory, env=self.environment, stdout=self.out, stderr=subprocess.STDOUT)
        wait_for(f"{self.name} answers", lambda: self.post(b"[]", {}) == 401)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory)

    def url(self):
        return f"http://127.0.0.1:{self.port}{self.path}"

    def post(self, body, headers):
        """The status, 0 without an answer."""
        try:
            return urllib.request.urlopen(urllib.request.Request(self.url(), body, headers), timeout=20).status
        except urllib.error.HTTPError as refused:
            return refused.code
        except OSError:
            return 0

    def ids(self):
        if not self.name.startswith("cgi-bin"):
            self.out.seek(0)
            return self.out.read().split()
        batches = sorted(glob.glob(os.path.join(self.store, "*.json")), key=os.path.getmtime)
        return [event["id"] for batch in batches for event in json.load(open(batch))]


def signed(body, identity="msg_1", stamp=None, secret=SECRET):
    stamp = str(int(time.time()) if stamp is None else stamp)
    signature = base64.b64encode(hmac.digest(secret, f"{identity}.{stamp}.".encode() + body, hashlib.sha256)).decode()
    return {"webhook-id": identity, "webhook-timestamp": stamp, "webhook-signature": f"v1,{signature}", "Content-Type": "application/cloudevents-batch+json"}


def takes_every_event(receiver, daemon):
    wait_for(f"{EVENTS} events", lambda: len(receiver.ids()) >= EVENTS)
    sequence = [int(identity.rsplit("-", 1)[1]) for identity in receiver.ids()]
    assert sequence == list(range(1, len(sequence) + 1)), sequence


def refuses_what_is_not_signed(receiver, daemon):
    """Seen red without the comparison of the time in receiver.py, and without that of the signature in cgi-bin/hook."""
    body = b'[{"specversion":"1.0","id":"forged","source":"/x","type":"t"}]'
    good = signed(body)
    rows = {
        "another secret": (body, signed(body, secret=b"x" * 32)),
        "another body": (body.replace(b"/x", b"/y"), good),
        "another id": (body, {**good, "webhook-id": "msg_2"}),
        "another time": (body, {**good, "webhook-timestamp": str(int(good["webhook-timestamp"]) - 1)}),
        "ten minutes old": (body, signed(body, stamp=int(time.time()) - 600)),
        "ten minutes ahead": (body, signed(body, stamp=int(time.time()) + 600)),
        "no signature": (body, {key: value for key, value in good.items() if key != "webhook-signature"}),
        "no time": (body, {key: value for key, value in good.items() if key != "webhook-timestamp"}),
        "a time that is no number": (body, {**signed(body, stamp="soon")}),
        "another version": (body, {**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v2,")}),
    }
    for why, (sent, headers) in rows.items():
        assert receiver.post(sent, headers) == 401, why
    assert "forged" not in receiver.ids()


def takes_the_second_signature_and_repetitions_once(receiver, daemon):
    body = b'[{"specversion":"1.0","id":"once","source":"/x","type":"t"}]'
    headers = signed(body, "msg_once")
    headers["webhook-signature"] = f"v1,{'A' * 43}= {headers['webhook-signature']}"
    for _ in range(3):
        status = receiver.post(body, headers)
        assert 200 <= status < 300, status
    assert receiver.ids().count("once") == 1, receiver.ids()


def sees_no_failure(daemon):
    failing = {state["name"]: state["last_error"] for state in daemon.json("/v1/health/connectors")["items"] if state["last_error"]}
    assert not failing, failing


receivers = [
    Receiver("receiver.py", sys.executable, "receiver.py"),
    Receiver("receiver.mjs", "node", "receiver.mjs"),
    Receiver("cgi-bin/hook", "busybox", "httpd", "-f", "-p", "127.0.0.1:PORT", "-h", ".", path="/cgi-bin/hook"),
]
if shutil.which("go"):
    go = Receiver("receiver.go", "./receiver")
    # Its own cache, so that it needs no home directory.
    environment = {**os.environ, "GOCACHE": os.path.join(go.directory, "cache"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
    subprocess.run(["go", "build", "-o", "receiver", "receiver.go"], cwd=go.directory, env=environment, check=True)
    subprocess.run(["go", "vet", "receiver.go"], cwd=go.directory, env=environment, check=True)
    receivers.append(go)
assert {receiver.name for receiver in receivers} | {"receiver.go"} == set(PROGRAMS), "every program of the page is tried"
try:
    for receiver in receivers:
        receiver.start()
    hooks = "".join(
        f"""
[[webhooks]]
name = "hook{number}"
url = "{receiver.url()}"
secret_file = "{receiver.environment['SECRET_FILE']}"
gzip = {"false" if receiver.name.startswith("cgi-bin") else "true"}
batch_records = 5
linger_ms = 0
spread_ms = 0
"""
        for number, receiver in enumerate(receivers)
    )
    for receiver in receivers:
        os.chmod(receiver.environment["SECRET_FILE"], 0o600)
    config = f"[sim]\ngrid = 16\ntick_ms = 10\n[outbox]\nwindow_steps = 10\ngroup_ms = 50\nkeep_free_bytes = 0\n{hooks}"
    with Daemon(config) as running:
        for receiver in receivers:
            for part in (takes_every_event, refuses_what_is_not_signed, takes_the_second_signature_and_repetitions_once):
                tally.check(f"{receiver.name} {part.__name__.replace('_', ' ')}", lambda: part(receiver, running))
        tally.check("the daemon sees no failure", lambda: sees_no_failure(running))
finally:
    for receiver in receivers:
        receiver.stop()
if not shutil.which("go"):
    print("NOT checked: receiver.go, as there is no go")
tally.exit()
