#!/usr/bin/env python3
"""docs/openapi.json against the running daemon, by schemathesis: every default check on every operation.

usage: MYCELIUMD=target/release/myceliumd check_openapi.py [OPTION OF schemathesis run ..]

Whatever does not apply as it stands is listed here or in schemathesis.toml, with its reason.
"""

import http.client
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from running import Daemon, Tally, wait_for  # noqa: E402

DOCUMENT = os.path.join(HERE, "..", "..", "docs", "openapi.json")
SETTINGS = os.path.join(HERE, "schemathesis.toml")
GRID = 16
WORK = 1 << 28  # what the document says about grid_size^2 * steps
# Records come fast, so that no long poll waits for one. One client makes all the traffic here, so its rate limit is high:
# a 429 where the document promises a 401 would be correct but would test nothing.
CONFIG = f"""
[sim]
grid = {GRID}
tick_ms = 10
[features]
every = 1
[outbox]
keep_free_bytes = 0
[api.rate]
per_second = 10000
burst = 10000
unauthenticated_per_second = 10000
unauthenticated_burst = 10000
[[webhooks]]
name = "cloud"
url = "http://127.0.0.1:9/hook"
"""
# An endless response cannot be read to its end: `stream` below checks this operation instead.
ENDLESS = "/v1/stream"
EXAMPLES, SEED, TIMEOUT = 40, 1, 110
tally = Tally()


def narrowed():
    """The document with the limits of its prose added to its schemas, so that every generated request is acceptable."""
    with open(DOCUMENT) as file:
        document = json.load(file)
    schemas = document["components"]["schemas"]
    # "Row and column must lie on the running field."
    place = schemas["StimuliRequest"]["properties"]["items"]["items"]["properties"]
    place["row"]["maximum"] = place["col"]["maximum"] = GRID - 1
    # "grid_size^2 * steps must not exceed 2^28."
    size = schemas["SimulateRequest"]["properties"]
    size["steps"]["maximum"] = WORK // size["grid_size"]["maximum"] ** 2
    return document


def every_operation(daemon, options):
    path = os.path.join(daemon.directory.name, "openapi.json")
    with open(path, "w") as file:
        json.dump(narrowed(), file)
    command = [os.path.join(os.path.dirname(sys.executable), "schemathesis"), "--config-file", SETTINGS, "run", path]
    command += ["--url", daemon.url, "--header", f"X-API-Key: {daemon.admin}", "--exclude-path", ENDLESS]
    command += ["--max-examples", str(EXAMPLES), "--seed", str(SEED), "--continue-on-failure", *options]
    # Its working directory holds what it stores between runs, and is removed together with the daemon's.
    code = subprocess.run(command, cwd=daemon.directory.name, timeout=TIMEOUT).returncode
    assert code == 0, f"schemathesis ended with {code}"


def well(daemon):
    wait_for("/healthz answers 200", lambda: daemon.ask("/healthz", key=None)[0] == 200, 5)
    assert "panicked" not in daemon.logged(), daemon.logged()


def stream(daemon):
    with open(DOCUMENT) as file:
        said = json.load(file)["paths"][ENDLESS]["get"]
    host, port = daemon.address.rsplit(":", 1)
    for key, query, want in ((None, "", 401), (daemon.key, "?since=-1", 400), (daemon.key, "?nonsense=1", 400)):
        status, headers, body = daemon.ask(ENDLESS + query, key=key)
        assert status == want and str(status) in said["responses"], f"{query!r} with {key and 'a key'}: {status}"
        assert headers["Content-Type"] == "application/problem+json" and json.loads(body)["status"] == want
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.request("GET", ENDLESS, headers={"X-API-Key": daemon.key})
    answer = connection.getresponse()
    kind = answer.headers["Content-Type"]
    assert answer.status == 200 and kind in said["responses"]["200"]["content"], f"{answer.status} {kind}"
    lines = [answer.fp.readline().decode().rstrip("\n") for _ in range(8)]
    data = [line[6:] for line in lines if line.startswith("data: ")]
    assert data and set(json.loads(data[0])) == {"seq", "step", "time", "clock", "features"}, lines
    connection.close()


def main(options):
    with Daemon(CONFIG) as daemon:
        tally.check("every operation as documented, by schemathesis", lambda: every_operation(daemon, options))
        tally.check(f"{ENDLESS} as documented", lambda: stream(daemon))
        tally.check("the daemon is well after it", lambda: well(daemon))
    tally.exit()


main(sys.argv[1:])
