"""Starts the real daemon for a test, on a free port and in a new directory, and always stops it."""

import base64
import hashlib
import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse

TIMEOUT_S = 30  # seconds until a condition has to hold
BINARY = os.environ.get("MYCELIUMD", "target/release/myceliumd")


def wait_for(what, condition, timeout=TIMEOUT_S):
    """The first true value of `condition`, or an AssertionError that names what did not happen."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {timeout} s: {what}")
        time.sleep(0.05)


class Daemon:
    """`with Daemon(config) as d`: d.url, d.key (scope read), d.admin; `stop` and `start` restart it on the same port."""

    def __init__(self, config="", listen="127.0.0.1:0", device="test-device"):
        self.directory = tempfile.TemporaryDirectory(prefix="mycelium-")
        self.data = os.path.join(self.directory.name, "data")
        self.key, self.admin = ("myc_" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=") for _ in "ra")
        self.listen, self.device, self.config = listen, device, config
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.directory.cleanup()

    def write_config(self):
        keys = "".join(
            f'[[api.keys]]\nname = "{scope}"\nscope = "{scope}"\nsha256 = "{hashlib.sha256(key.encode()).hexdigest()}"\n'
            for scope, key in (("read", self.key), ("admin", self.admin))
        )
        path = os.path.join(self.directory.name, "edge.toml")
        with open(path, "w") as file:
            file.write(f'{self.config}\n{keys}')
        return path

    def start(self):
        address = os.path.join(self.data, "address")
        if os.path.exists(address):
            os.remove(address)
        command = [BINARY, "run", "--config", self.write_config(), "--data-dir", self.data, "--listen", self.listen]
        self.log = open(os.path.join(self.directory.name, "log"), "ab")
        environment = {**os.environ, "MYCELIUMD_DEVICE__ID": self.device}
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=environment)

        def listening():
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon exited with {self.process.returncode}: {self.logged()}")
            try:
                return open(address).read().strip()
            except FileNotFoundError:
                return None

        self.address = wait_for("the daemon writes its address", listening)
        self.listen = self.address  # a restart listens on the same address
        self.url = "http://" + self.address
        wait_for("the daemon is ready", lambda: self.ask("/readyz", key=None)[0] == 200)
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def logged(self):
        with open(os.path.join(self.directory.name, "log"), errors="replace") as file:
            return file.read()[-2000:]

    def connect(self, host, port):
        return http.client.HTTPConnection(host, port, timeout=40)

    def ask(self, path, key="", method="GET", body=None, headers=None):
        """(status, headers, bytes); status 0 without a response."""
        host, port = self.address.rsplit(":", 1)
        connection = self.connect(host, int(port))
        key = self.key if key == "" else key
        try:
            connection.request(method, path, body, {**({"X-API-Key": key} if key else {}), **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except OSError:
            return 0, {}, b""
        finally:
            connection.close()

    def json(self, path, **more):
        status, _, body = self.ask(path, **more)
        assert status == 200, f"{path} answered {status}: {body[:200]!r}"
        return json.loads(body)


class Tally:
    """Runs named checks, prints one line for each and the closing line; `exit` is 1 when any failed."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, action):
        try:
            action()
        except Exception as fault:  # any exception fails the check
            self.failed += 1
            print(f"FAILED {name}: {type(fault).__name__}: {fault}", flush=True)
        else:
            self.passed += 1
            print(f"ok     {name}", flush=True)

    def exit(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)


def quoted(text):
    return urllib.parse.quote(text, safe="")
