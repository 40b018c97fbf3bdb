"""A daemon and a webhook receiver for the scripts here that test the outbox, and the final count."""

import atexit
import http.client
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time

TIMEOUT_S = 60
CONFIG = """
[sim]
tick_ms = 1
grid = 8
seed = 1
[outbox]
window_steps = 2
segment_bytes = {segment_bytes}
keep_free_bytes = 0
group_ms = {group_ms}
{outbox}
[api.rate]
per_second = 100000
burst = 100000
[breaker]
open_ms = 20
open_max_ms = 200
"""
WEBHOOK = """
[[webhooks]]
name = "hub"
url = "http://127.0.0.1:{port}/hook"
linger_ms = 5
retry_base_ms = 5
retry_max_ms = 100
spread_ms = 5
"""


def fail(text):
    sys.exit(f"outbox: {text}")


def wait_for(what, probe):
    """Calls `probe` until it returns something; the only place that waits for another process."""
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        found = probe()
        if found:
            return found
        time.sleep(0.01)
    fail(f"gave up waiting for {what}")


class Receiver:
    """Records every body and answers with `status`, 204 by default."""

    def __init__(self):
        self.status = 204
        self.bodies = []
        rig = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status = rig.status
                rig.bodies.append((status, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # a daemon that was killed resets its connections

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def taken(self):
        """Events of accepted bodies in the order of their first arrival, and all gap records among them."""
        order, events = {}, {}
        for status, body in list(self.bodies):
            for text in body.strip("[]").split('{"specversion"')[1:]:
                text = '{"specversion"' + text.rstrip(",")
                event = text.split('"id":"', 1)[1].split('"', 1)[0]
                if events.setdefault(event, text) != text:
                    fail(f"{event} changed:\n{events[event]}\n{text}")
                if status == 204:
                    order.setdefault(event, text)
        gaps = [json.loads(text)["data"] for text in order.values() if "gap" in json.loads(text)["type"]]
        return list(order), gaps


class Daemon:
    def __init__(self, binary, work, data, port=None, outbox="", group_ms=10, segment_bytes=65536, wrap=()):
        os.makedirs(work, exist_ok=True)
        config = os.path.join(work, "edge.toml")
        with open(config, "w", encoding="utf-8") as out:
            out.write(CONFIG.format(outbox=outbox, group_ms=group_ms, segment_bytes=segment_bytes) + (WEBHOOK.format(port=port) if port else ""))
        self.data = data
        self.log = os.path.join(work, "log")
        address = os.path.join(data, "address")
        if os.path.exists(address):
            os.remove(address)
        with open(self.log, "ab") as log:
            command = [*wrap, binary, "run", "--listen", "127.0.0.1:0", "--config", config, "--data-dir", data]
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def started():
            if self.child.poll() is not None:
                with open(self.log, encoding="utf-8") as log:
                    fail(f"the daemon ended with {self.child.returncode}:\n{log.read()}")
            return os.path.exists(address) and open(address, encoding="ascii").read().strip()

        self.address = wait_for("the daemon", started)
        with open(os.path.join(data, "api.key"), encoding="ascii") as key:
            self.key = key.read().strip()
        children = f"/proc/{self.child.pid}/task/{self.child.pid}/children"
        self.pid = int(open(children, encoding="ascii").read().split()[0]) if wrap else self.child.pid
        atexit.register(self.end)

    def end(self):
        """A check that fails leaves no daemon behind."""
        if self.child.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def ask(self, path):
        client = http.client.HTTPConnection(self.address, timeout=TIMEOUT_S)
        client.request("GET", path, headers={"X-API-Key": self.key})
        answer = client.getresponse()
        body = answer.read().decode()
        client.close()
        return answer.status, body

    def outbox(self):
        return json.loads(self.ask("/v1/outbox")[1])

    def health(self):
        status, body = self.ask("/healthz")
        if status != 200:
            fail(f"/healthz gave {status}: {body}")
        return json.loads(body)

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        code = self.child.wait(timeout=TIMEOUT_S)
        if code != 0:
            fail(f"SIGTERM gave exit code {code}")

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.child.wait(timeout=TIMEOUT_S)


def all_through(daemon, receiver):
    """Waits for a few more records, and until the newest of them has arrived; returns boot and its number."""
    more = daemon.outbox()["durable_seq"] + 20
    view = wait_for("more records", lambda: (v := daemon.outbox())["durable_seq"] >= more and v)
    last = f"-{view['boot']}-{view['durable_seq']}"
    wait_for("the last record", lambda: any(last in b for s, b in receiver.bodies[-50:] if s == 204))
    return view["boot"], view["durable_seq"]


def check(receiver, boot, durable, lost=0):
    """Every record of this boot up to `durable` arrived, except `lost` ones that gap records report; in order; repeated
    events were identical."""
    order, gaps = receiver.taken()
    numbers = [int(event.rsplit("-", 1)[1]) for event in order if event.rsplit("-", 2)[1] == boot]
    if numbers != sorted(numbers):
        fail("events arrived out of order")
    missing = sorted(set(range(1, durable + 1)) - set(numbers))
    if len(missing) != lost:
        fail(f"{len(missing)} of {durable} durable records never arrived, {lost} may be missing: {missing[:20]}")
    repeated = sum(body.count('"specversion"') for _, body in receiver.bodies) - len(order)
    return f"{len(order)} events arrived in order, {repeated} of them more than once and the same, {len(missing)} lost, {len(gaps)} gap records"
