"""A Prometheus that scrapes daemons of a test, a receiver for their webhooks and a sensor for their connectors. All on free
ports, always stopped."""

import glob
import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request

from running import wait_for

DEPLOY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy")


def dashboards():
    """(file name, dashboard) of each."""
    for path in sorted(glob.glob(os.path.join(DEPLOY, "grafana", "*.json"))):
        with open(path) as file:
            yield os.path.basename(path), json.load(file)


def expand(expression, device=".*"):
    """An expression of a dashboard with its variables set: for all devices, or one."""
    for name, value in {"__rate_interval": "30s", "device": device, "instance": ".*", "endpoint": ".*"}.items():
        expression = expression.replace("$" + name, value)
    assert "$" not in expression, expression
    return expression


def returns_data(prometheus, expression, device=".*"):
    wait_for(f"data of {expression}", lambda: prometheus.query(expand(expression, device)))


class Prometheus:
    """The configuration of deploy/prometheus, with other targets and shorter intervals."""

    def __init__(self, devices):
        self.directory = tempfile.TemporaryDirectory(prefix="mycelium-prometheus-")
        root = self.directory.name
        for name in ("mycelium.rules.yml", "mycelium.alerts.yml"):
            shutil.copy(os.path.join(DEPLOY, "prometheus", name), root)
        with open(os.path.join(DEPLOY, "prometheus", "prometheus.yml")) as file:
            text = file.read().replace("15s", "1s").replace("scrape_timeout: 5s", "scrape_timeout: 1s")
        with open(os.path.join(root, "prometheus.yml"), "w") as file:
            file.write(text)
        with open(os.path.join(root, "devices.yml"), "w") as file:
            json.dump([{"targets": [d.address], "labels": {"device": d.device}} for d in devices], file)
        self.log = open(os.path.join(root, "log"), "w+")

    def __enter__(self):
        root = self.directory.name
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={root}/prometheus.yml", f"--storage.tsdb.path={root}/data", "--web.listen-address=127.0.0.1:0",
             "--log.level=info"], stdout=self.log, stderr=self.log)

        def listening():
            # For port 0 the kernel chooses the port.
            assert self.process.poll() is None, self.said()
            for line in open(f"/proc/{self.process.pid}/net/tcp").read().splitlines()[1:] + \
                    open(f"/proc/{self.process.pid}/net/tcp6").read().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in self.inodes():
                    return int(fields[1].rsplit(":", 1)[1], 16)
        self.url = f"http://127.0.0.1:{wait_for('Prometheus listens', listening)}"

        def ready():
            try:
                return urllib.request.urlopen(f"{self.url}/-/ready", timeout=30).status == 200
            except urllib.error.URLError:
                return False
        wait_for("Prometheus is ready", ready)
        return self

    def inodes(self):
        found, directory = set(), f"/proc/{self.process.pid}/fd"
        for name in os.listdir(directory):
            try:
                target = os.readlink(os.path.join(directory, name))
            except OSError:
                continue
            if target.startswith("socket:["):
                found.add(target[8:-1])
        return found

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        self.directory.cleanup()

    def said(self):
        self.log.seek(0)
        return self.log.read()[-2000:]

    def get(self, path, **query):
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        return self.get("/api/v1/query", query=expression)["result"]


class Receiver:
    """Accepts CloudEvents batches and records the ids; answers 503 while `failing`."""

    def __init__(self):
        receiver = self
        self.ids, self.batches, self.failing, self.lock = [], 0, False, threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.lock:
                    if not receiver.failing:
                        receiver.batches += 1
                        receiver.ids += [(event["id"], event["source"]) for event in json.loads(body)]
                self.send_response(503 if receiver.failing else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Sensor:
    """Answers every GET with a temperature, and with 503 the first time; records each `traceparent`."""

    def __init__(self):
        places = self.places = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                places.append(self.headers["traceparent"])
                body = b'{"celsius": 21.5}'
                self.send_response(503 if len(places) == 1 else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/now"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
