#!/usr/bin/env bash
# The picture of the page in README.md, taken by Chromium from a daemon that delivers to a receiver and reads a sensor.
#
#   docs/images/page.sh [MYCELIUMD [FILE]]   default target/release/myceliumd; writes page.png beside itself
#
# Needs chromium, chromium-driver and python3. The seed is fixed; times and counts differ from run to run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export MYCELIUMD=${1:-$here/../../target/release/myceliumd}
exec python3 - "$here/../.." "${2:-$here/page.png}" <<'PY'
import http.server
import json
import math
import os
import sys
import threading
import time

root, picture = sys.argv[1:]
sys.path[:0] = [os.path.join(root, "tests", "page"), os.path.join(root, "tests", "operators")]
from browser import Browser
from running import Daemon, wait_for

started = time.monotonic()


class Greenhouse(http.server.BaseHTTPRequestHandler):
    """Takes every batch, and answers as a thermometer."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        body = json.dumps({"temperature": round(21 + math.sin((time.monotonic() - started) / 3), 2)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Greenhouse)
threading.Thread(target=server.serve_forever, daemon=True).start()
port = server.server_address[1]
config = f"""
[sim]
grid = 96
seed = 3
tick_ms = 5
[memory]
max_bytes = 16777216
[features]
every = 10
[outbox]
window_steps = 200
group_ms = 200
keep_free_bytes = 0
[[webhooks]]
name = "cloud"
url = "http://127.0.0.1:{port}/in"
linger_ms = 100
spread_ms = 0
[[connectors]]
name = "greenhouse"
kind = "http"
url = "http://127.0.0.1:{port}/sensor"
interval_ms = 1000
[[inputs]]
name = "air"
connector = "greenhouse"
pointer = "/temperature"
"""
with Daemon(config, device="greenhouse-3") as daemon, Browser(1100, 900) as browser:
    # Waves have crossed the field, several batches have arrived.
    wait_for("3,000 steps", lambda: daemon.json("/v1/status")["step"] > 3000, 120)
    browser.open(daemon.url + "/")
    wait_for("the page asks for a key", lambda: browser.shown("#key"))
    browser.type("#key", daemon.key)
    browser.keys("\ue007")
    wait_for("the page shows the field", lambda: browser.shown("#map"))
    seen = daemon.json("/v1/status")["step"]
    # Its charts are full.
    wait_for("700 more steps", lambda: daemon.json("/v1/status")["step"] > seen + 700, 120)
    browser.run("document.activeElement.blur(); scrollTo(0, 0)")
    browser.screenshot(picture, full=True)
print(f"{picture}: {os.path.getsize(picture)} bytes")
PY
