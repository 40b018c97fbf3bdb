#!/usr/bin/env python3
"""Every expression of every dashboard, rule and alert against a live Prometheus that scrapes a live daemon.

Each dashboard expression must return data; each metric that a rule or an alert names must exist. Needs prometheus and
PyYAML.
"""

import json
import os
import re
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from live import DEPLOY, Prometheus, Receiver, Sensor, dashboards, expand, returns_data  # noqa: E402
from running import Daemon, Tally, wait_for  # noqa: E402

CONFIG = """
[sim]
grid = 32
seed = 3
tick_ms = 10
[features]
every = 10
[outbox]
window_steps = 20
keep_free_bytes = 0
group_ms = 100
[api.rate]
unauthenticated_per_second = 100
unauthenticated_burst = 100
"""
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
HOOK = '\n[[webhooks]]\nname = "lab"\nurl = "{url}"\nlinger_ms = 50\nspread_ms = 0\nretry_base_ms = 100\n'
METRIC = re.compile(r"\b(?:mfn_[a-z0-9_]+|mfn:[a-z0-9_:]+|process_[a-z_]+)\b")
tally = Tally()


def shape(name, board):
    assert board["uid"] and board["title"] and board["schemaVersion"] >= 36 and board.get("id") is None, name
    variables = {v["name"]: v for v in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and {"device", "instance"} <= set(variables), set(variables)
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(numbers) == len(set(numbers)), "panel numbers are unique"
    used = set()
    for panel in board["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["title"] and panel["datasource"]["uid"] == "${datasource}", panel["title"]
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & used, f"{panel['title']} overlaps"
        used |= cells
        for target in panel["targets"]:
            assert 'device=~"$device"' in target["expr"], f"{panel['title']} works for no fleet"


def variable_has_values(prometheus, variable):
    series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
    values = prometheus.get(f"/api/v1/label/{label}/values", **{"match[]": expand(series)})
    assert values, variable["name"]


def metrics_exist(prometheus, expression, declared):
    for name in METRIC.findall(expression):
        family = re.sub(r"_(total|bucket|count|sum|info)$", "", name)
        if name.startswith("mfn:"):
            wait_for(f"the rule {name} gives data", lambda: prometheus.query(name))
        else:
            assert name in declared or family in declared, f"no metric {name}"


def main():
    with Receiver() as receiver, Sensor() as sensor, \
            Daemon(CONFIG + SENSOR.format(url=sensor.url) + HOOK.format(url=receiver.url), device="lab-1") as daemon:
        for _ in range(3):
            daemon.json("/v1/status")
        daemon.ask("/v1/status", key="myc_wrong")
        with Prometheus([daemon]) as prometheus:
            wait_for("the daemon is scraped", lambda: prometheus.query("mfn_simulation_steps_total"))
            wait_for("batches arrive", lambda: receiver.batches >= 3)
            declared = {row.split()[2] for row in daemon.ask("/metrics", key=None)[2].decode().splitlines() if row.startswith("# TYPE ")}
            for name, board in dashboards():
                tally.check(f"{name}: is well formed", lambda: shape(name, board))
                for variable in board["templating"]["list"]:
                    if variable["type"] == "query":
                        tally.check(f"{name}: ${variable['name']} has values", lambda: variable_has_values(prometheus, variable))
                for panel in board["panels"]:
                    for target in panel.get("targets", []):
                        tally.check(f"{name}: {panel['title']}", lambda: returns_data(prometheus, target["expr"]))
            for kind in ("rules", "alerts"):
                with open(os.path.join(DEPLOY, "prometheus", f"mycelium.{kind}.yml")) as file:
                    for group in yaml.safe_load(file)["groups"]:
                        for rule in group["rules"]:
                            tally.check(f"{rule.get('alert') or rule['record']}: its metrics exist",
                                        lambda: metrics_exist(prometheus, rule["expr"], declared))
            broken = [r["name"] for g in prometheus.get("/api/v1/rules")["groups"] for r in g["rules"] if r.get("lastError")]
            tally.check("Prometheus evaluates every rule", lambda: None if not broken else tally_fail(broken))
    tally.exit()


def tally_fail(what):
    raise AssertionError(what)


main()
