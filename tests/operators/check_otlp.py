#!/usr/bin/env python3
"""What the daemon sends as OTLP/HTTP in JSON, parsed by the official protobuf JSON mapping (opentelemetry-proto), and
whether requests, windows, commits and deliveries make one trace.

OTLP's JSON has trace and span ids in hexadecimal where the mapping has base64: they are converted before parsing, as
the OTLP specification says, and must have been lower-case hexadecimal.
"""

import base64
import http.client
import http.server
import json
import os
import re
import ssl
import subprocess
import sys
import threading

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from live import Sensor  # noqa: E402
from running import Daemon, Tally, wait_for  # noqa: E402

TRACE, PARENT, STATE = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
CONFIG = """
[sim]
seed = 7
tick_ms = 5
[features]
every = 10
[outbox]
window_steps = 100
group_ms = 50
keep_free_bytes = 0
[[webhooks]]
name = "hook"
url = "{hook}/secret-path"
linger_ms = 0
spread_ms = 0
retry_base_ms = 50
[trace]
otlp_url = "{otlp}/v1/traces"
sample_ratio = {ratio}
[log]
level = "debug"
format = "json"
"""
# No proxy runs there: deliveries, polls and spans arrive all the same, as no proxy is taken from the environment.
os.environ["ALL_PROXY"] = "http://127.0.0.1:9"
tally = Tally()


class SecureDaemon(Daemon):
    """The same over TLS, with a self-signed certificate."""

    def __enter__(self):
        place = self.directory.name
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        subprocess.run([*command.split(), "-keyout", f"{place}/key.pem", "-out", f"{place}/cert.pem"],
                       check=True, capture_output=True, timeout=30)
        self.config += f'[api.tls]\ncert_file = "{place}/cert.pem"\nkey_file = "{place}/key.pem"\n'
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        return super().__enter__()

    def connect(self, host, port):
        return http.client.HTTPSConnection(host, port, timeout=40, context=self.context)


class Receiver:
    """A small server that records every request; `fails` says how often it answers 503 first."""

    def __init__(self, fails=0):
        self.got, lock, left = [], threading.Lock(), [fails]

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(handler):
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                with lock:
                    bad = left[0] > 0
                    left[0] -= bad
                    self.got.append((handler.headers, body, bad))
                handler.send_response(503 if bad else 200)
                handler.send_header("Content-Type", "application/json")
                handler.send_header("Content-Length", "2")
                handler.end_headers()
                handler.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def to_mapping(value, key=""):
    """Hexadecimal ids as base64; everything else as it is."""
    if isinstance(value, dict):
        return {name: to_mapping(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [to_mapping(inner) for inner in value]
    if key in ("traceId", "spanId", "parentSpanId"):
        digits = 32 if key == "traceId" else 16
        assert re.fullmatch(rf"[0-9a-f]{{{digits}}}", value) and int(value, 16), f"{key} is {value!r}"
        return base64.b64encode(bytes.fromhex(value)).decode()
    return value


def parsed(body):
    """The request of one body; unknown fields and wrong types are errors of the mapping."""
    return json_format.ParseDict(to_mapping(json.loads(body)), ExportTraceServiceRequest(), ignore_unknown_fields=False)


def attributes(span):
    found = {}
    for pair in span.attributes:
        assert pair.key not in found, f"{pair.key} is there twice"
        found[pair.key] = getattr(pair.value, pair.value.WhichOneof("value"))
    return found


def spans(receiver):
    found = []
    for _, body, bad in list(receiver.got):
        if not bad:
            for resource in parsed(body).resource_spans:
                for scope in resource.scope_spans:
                    found.extend(scope.spans)
    return found


def named(receiver, name):
    return [span for span in spans(receiver) if span.name == name]


def traced():
    with Receiver() as hook, Receiver() as otlp, Daemon(CONFIG.format(hook=hook.url, otlp=otlp.url, ratio=1)) as daemon:
        stimulus = json.dumps({"items": [{"row": 1, "col": 1, "volts": 0.01}]})
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": STATE, "Content-Type": "application/json",
                   "X-Request-Id": "check-otlp-1"}
        status, _, _ = daemon.ask("/v1/stimuli", key=daemon.admin, method="POST", body=stimulus, headers=headers)
        assert status == 202, status
        daemon.ask("/nothing/here?token=hidden", key=None)
        daemon.ask("/v1/status", key=None)
        daemon.json("/v1/status")
        mine = lambda name: [span for span in named(otlp, name) if span.trace_id.hex() == TRACE]  # noqa: E731
        wait_for("all spans of the stimulus's trace", lambda: mine("POST") and mine("outbox commit"), 60)
        wait_for("other windows", lambda: len(named(otlp, "feature window")) >= 3, 60)
        log = daemon_log(daemon)
    return hook, otlp, log, mine


def daemon_log(daemon):
    with open(os.path.join(daemon.directory.name, "log"), errors="replace") as file:
        return [json.loads(line) for line in file if line.startswith("{")]


hook, otlp, log, mine = traced()


def bodies():
    assert otlp.got, "nothing was exported"
    for headers, body, _ in otlp.got:
        assert headers["Content-Type"] == "application/json"
        for resource in parsed(body).resource_spans:
            about = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            assert about["service.name"] == "myceliumd" and about["service.version"], about
            assert about["service.instance.id"] == "test-device", about


def times_and_ids():
    every = spans(otlp)
    assert len({span.span_id for span in every}) == len(every), "a span id came twice"
    for span in every:
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano, span
        assert span.kind != Span.SPAN_KIND_UNSPECIFIED and span.name


def one_trace():
    server, = [span for span in spans(otlp) if span.name == "POST /v1/stimuli"]
    window, = mine("feature window")
    batches, commits, posts = mine("step batch"), mine("outbox commit"), mine("POST")
    assert server.parent_span_id.hex() == PARENT and server.kind == Span.SPAN_KIND_SERVER
    assert window.parent_span_id == server.span_id and window.kind == Span.SPAN_KIND_INTERNAL
    assert len(batches) == 10, f"{len(batches)} step batches"
    assert all(batch.parent_span_id == window.span_id for batch in batches)
    assert sum(attributes(batch)["mycelium.steps"] for batch in batches) == 100
    assert attributes(window)["mycelium.steps"] == 100, attributes(window)
    assert len(commits) == 1 and commits[0].parent_span_id == window.span_id
    assert posts and all(post.parent_span_id == window.span_id and post.kind == Span.SPAN_KIND_CLIENT for post in posts)
    for span in (server, window, *batches, *commits, *posts):
        assert span.trace_state == STATE, span.trace_state


def passed_on():
    carried = [headers for headers, _, _ in hook.got if headers["traceparent"].split("-")[1] == TRACE]
    assert len(carried) == 1, f"{len(carried)} deliveries in the stimulus's trace"
    assert carried[0]["tracestate"] == STATE
    post, = mine("POST")
    assert carried[0]["traceparent"] == f"00-{TRACE}-{post.span_id.hex()}-01"
    others = [headers for headers, _, _ in hook.got if headers["traceparent"].split("-")[1] != TRACE]
    assert others and all(headers["tracestate"] is None for headers in others)


def roots():
    windows = [span for span in named(otlp, "feature window") if span.trace_id.hex() != TRACE]
    assert windows and not any(window.parent_span_id or window.trace_state for window in windows), windows
    ids = {window.span_id for window in windows}
    assert any(post.parent_span_id in ids for post in named(otlp, "POST")), "no delivery below a window"


def http_conventions():
    server = {span.name: span for span in spans(otlp) if span.kind == Span.SPAN_KIND_SERVER}
    # Requested without and with a key; the later span is checked here.
    found = attributes(server["GET /v1/status"])
    assert found["http.request.method"] == "GET" and found["http.route"] == "/v1/status", found
    assert found["url.scheme"] == "http" and found["url.path"] == "/v1/status", found
    assert found["client.address"] == "127.0.0.1" and isinstance(found["http.response.status_code"], int), found
    unknown = server["GET"]
    assert "http.route" not in attributes(unknown) and attributes(unknown)["http.response.status_code"] == 404
    # A client's mistake is not a server error.
    assert all(span.status.code == Status.STATUS_CODE_UNSET for span in server.values())
    post = attributes(mine("POST")[0])
    assert post["http.request.method"] == "POST" and post["http.response.status_code"] == 200, post
    assert post["server.address"] == "127.0.0.1" and hook.url.endswith(f":{post['server.port']}"), post
    assert post["url.full"] == hook.url and post["mycelium.endpoint"] == "hook", post


def nothing_secret():
    text = b"".join(body for _, body, _ in otlp.got)
    assert b"secret-path" not in text and b"hidden" not in text and b"myc_" not in text


def ids_in_logs():
    request, = [line for line in log if line.get("request_id") == "check-otlp-1" and "trace_id" in line]
    server, = [span for span in spans(otlp) if span.name == "POST /v1/stimuli"]
    assert request["trace_id"] == TRACE and request["span_id"] == server.span_id.hex(), request
    delivered = [line for line in log if line.get("trace_id") == TRACE and line["target"] == "delivery"]
    assert [line["span_id"] for line in delivered] == [mine("POST")[0].span_id.hex()], delivered


def failures():
    """A busy collector gets the same spans again; failed deliveries have the status ERROR."""
    with Receiver(fails=2) as hook, Receiver(fails=2) as otlp:
        with Daemon(CONFIG.format(hook=hook.url, otlp=otlp.url, ratio=1)) as daemon:
            wait_for("spans after two refusals", lambda: named(otlp, "POST"), 60)
            exported = wait_for("counted", lambda: re.search(rb"mfn_trace_spans_exported_total (\d+)", daemon.ask("/metrics", key=None)[2]))
            assert int(exported[1]) > 0
        first, second = otlp.got[0][1], otlp.got[1][1]
        assert otlp.got[0][2] and otlp.got[1][2] and first == second, "the same body again"
        failed = [post for post in named(otlp, "POST") if post.status.code == Status.STATUS_CODE_ERROR]
        assert len(failed) == 2 and {attributes(post)["error.type"] for post in failed} == {"503"}, failed
        seen.update(shape(otlp))
        again = [attributes(post).get("http.request.resend_count") for post in named(otlp, "POST")]
        assert 1 in again, again


def sampling():
    """At ratio 0 only what a caller samples is exported; at ratio 1 a caller that does not sample gets nothing exported."""
    with Receiver() as hook, Receiver() as otlp, Daemon(CONFIG.format(hook=hook.url, otlp=otlp.url, ratio=0)) as daemon:
        daemon.json("/v1/status")
        daemon.json("/v1/features", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        wait_for("the caller's span", lambda: spans(otlp), 60)
        wait_for("deliveries", lambda: len(hook.got) > 2, 60)
        assert {span.name for span in spans(otlp)} == {"GET /v1/features"}
        assert all(headers["traceparent"].endswith("-00") for headers, _, _ in hook.got)
        for _ in range(20):
            daemon.ask("/healthz", key=None, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        daemon.json("/v1/status", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        wait_for("the caller's second span", lambda: named(otlp, "GET /v1/status"), 60)
        assert not named(otlp, "GET /healthz"), "the span of an anonymous client was recorded"


SENSOR = """
[[connectors]]
name = "greenhouse"
kind = "http"
url = "{url}"
interval_ms = 100
[[inputs]]
name = "air.celsius"
connector = "greenhouse"
pointer = "/celsius"
row = 1
col = 1
gain = 0.0001
"""


def sensors():
    """A poll is a span that is passed on to the sensor, and the window that its value pushed is part of its trace."""
    with Receiver() as hook, Receiver() as otlp, Sensor() as sensor:
        config = CONFIG.format(hook=hook.url, otlp=otlp.url, ratio=1) + SENSOR.format(url=sensor.url)
        with Daemon(config):
            def caused():
                looks = {span.span_id: span for span in named(otlp, "GET")}
                return [(looks[w.parent_span_id], w) for w in named(otlp, "feature window") if w.parent_span_id in looks]
            look, window = wait_for("a window below a look", caused, 60)[0]
            wait_for("its delivery", lambda: [post for post in named(otlp, "POST") if post.trace_id == look.trace_id], 60)
            seen.update(shape(otlp))
        found = attributes(look)
        assert look.kind == Span.SPAN_KIND_CLIENT and not look.parent_span_id and window.trace_id == look.trace_id
        assert found["mycelium.connector"] == "greenhouse" and found["http.request.method"] == "GET", found
        assert found["http.response.status_code"] == 200 and "/now" not in found["url.full"], found
        assert f"00-{look.trace_id.hex()}-{look.span_id.hex()}-01" in sensor.places, sensor.places[:3]


def secure():
    with Receiver() as hook, Receiver() as otlp, SecureDaemon(CONFIG.format(hook=hook.url, otlp=otlp.url, ratio=1)) as daemon:
        daemon.json("/v1/status")
        status, = wait_for("a span over TLS", lambda: named(otlp, "GET /v1/status"), 60)
        assert attributes(status)["url.scheme"] == "https", attributes(status)


seen = set()


def shape(receiver):
    """(name as docs/TRACES.md writes it, kind, attributes) of every span."""
    kinds = {Span.SPAN_KIND_SERVER: "server", Span.SPAN_KIND_CLIENT: "client", Span.SPAN_KIND_INTERNAL: "internal"}
    return {("{method} {route}" if span.kind == Span.SPAN_KIND_SERVER else span.name, kinds[span.kind], frozenset(attributes(span)))
            for span in spans(receiver)}


def documented():
    """Every span seen is in the table with exactly its attributes (optional ones may be missing), and every row was seen."""
    with open(os.path.join(HERE, "..", "..", "docs", "TRACES.md")) as file:
        rows = [line.split(" | ") for line in file.read().split("<!-- begin")[1].split("<!-- end")[0].splitlines() if line.startswith("| `")]
    table = {name.strip("| `"): (kind, {key.strip("`") for key in keys.split() if key[0] == "`"}, {key.strip("(`)") for key in keys.split()})
             for name, kind, keys, _ in rows}
    every = seen | shape(otlp)
    for name, kind, keys in every:
        assert name in table, f"docs/TRACES.md has no row for {name}"
        want, always, ever = table[name]
        assert kind == want and always <= keys <= ever, f"{name}: {kind} {sorted(keys)}, documented {want} {sorted(ever)}"
    for name, (_, _, ever) in table.items():
        # A 5xx of the daemon cannot be provoked here; the unit tests of tracing/requests.rs cover it.
        missing = ever - {"error.type" if name == "{method} {route}" else ""} - set().union(*(keys for seen_name, _, keys in every if seen_name == name))
        assert not missing, f"{name}: {missing} were never seen"


for check in (bodies, times_and_ids, one_trace, passed_on, roots, http_conventions, nothing_secret, ids_in_logs, failures, sampling, sensors, secure, documented):
    tally.check(check.__name__, check)
tally.exit()
