#!/usr/bin/env python3
"""/metrics as OpenMetrics by the strict parser of prometheus_client: types, units, suffixes and EOF, with every family that
there can be, connectors and webhooks included. Needs prometheus_client.
"""

import os
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
from prometheus_client.parser import text_string_to_metric_families as lenient

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from live import Receiver, Sensor  # noqa: E402
from running import Daemon, Tally, wait_for  # noqa: E402

CONFIG = """
[sim]
grid = 16
tick_ms = 10
[outbox]
window_steps = 20
keep_free_bytes = 0
[[webhooks]]
name = "lab"
url = "{hook}"
linger_ms = 0
spread_ms = 0
[[connectors]]
name = "greenhouse"
kind = "http"
url = "{sensor}"
interval_ms = 100
[[inputs]]
name = "air.celsius"
connector = "greenhouse"
pointer = "/celsius"
"""
ACCEPT = "application/openmetrics-text; version=1.0.0"
tally = Tally()


def open_metrics(text):
    families = list(strict(text))
    assert len(families) > 50 and text.endswith("# EOF\n"), len(families)
    for family in families:
        assert family.documentation and family.type != "unknown", family
        for unit in ("seconds", "bytes"):
            if family.name.endswith("_" + unit):
                assert family.unit == unit, f"{family.name} has no UNIT {unit}"
    samples = {sample.name for family in families for sample in family.samples}
    for name in ("mfn_connector_polls_total", "mfn_input_value", "mfn_delivery_batches_total", "mfn_build_info"):
        assert name in samples, f"{name} is not there"
    return families


def same_in_both(families, text):
    """The older format has the same samples, by name and labels."""
    def keys(found):
        # A bound is 1 in one format and 1.0 in the other; counters may increase between two scrapes.
        return {(s.name, tuple(sorted((k, str(float(v)) if k == "le" else v) for k, v in s.labels.items())))
                for family in found for s in family.samples if not s.name.startswith("mfn_http_requests")}
    one, other = keys(families), keys(lenient(text))
    assert one == other, one ^ other


def a_broken_page_is_noticed(text):
    """The parser would report it."""
    lines = text.splitlines(keepends=True)
    for broken in ("".join(lines[:-1]), text.replace("# UNIT mfn_outbox_bytes bytes", "# UNIT mfn_outbox_bytes seconds"),
                   text.replace("mfn_simulation_steps_total ", "mfn_simulation_steps ")):
        assert broken != text
        try:
            list(strict(broken))
        except ValueError:
            continue
        raise AssertionError("a broken page passes")


with Receiver() as receiver, Sensor() as sensor, Daemon(CONFIG.format(hook=receiver.url, sensor=sensor.url)) as daemon:
    wait_for("a batch", lambda: receiver.batches)
    status, headers, body = daemon.ask("/metrics", key=None, headers={"Accept": ACCEPT})
    assert status == 200 and headers["Content-Type"].startswith(ACCEPT), headers
    new, old = body.decode(), daemon.ask("/metrics", key=None)[2].decode()
    tally.check("the strict parser accepts it, and units are declared", lambda: open_metrics(new))
    tally.check("the older format has the same samples", lambda: same_in_both(strict(new), old))
    tally.check("a page without EOF, with a wrong unit or suffix is refused", lambda: a_broken_page_is_noticed(new))
tally.exit()
