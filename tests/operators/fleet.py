#!/usr/bin/env python3
"""A fleet: N daemons with different names, one Prometheus, one receiver that is stopped for a while.

usage: fleet.py [N]     (default 20; about half a minute)

Holds: every device is scraped and told apart by every dashboard; every event of every device arrives; no event id comes from
two devices, none is missing in between; the alerts of the fleet are quiet.
"""

import contextlib
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from live import Prometheus, Receiver, Sensor, dashboards, expand  # noqa: E402
from running import Daemon, Tally, wait_for  # noqa: E402

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 20
RECORDS = 5  # of each device, at least
CONFIG = """
[sim]
grid = 16
tick_ms = 20
frames = 16
[features]
every = 10
window = 16
[outbox]
window_steps = 50
segment_bytes = 65536
max_bytes = 524288
keep_free_bytes = 0
group_ms = 200
[breaker]
open_ms = 1000
open_max_ms = 2000
[[webhooks]]
name = "receiver"
url = "{url}"
linger_ms = 100
spread_ms = 500
retry_base_ms = 100
retry_max_ms = 1000
[[connectors]]
name = "sensor"
kind = "http"
url = "{sensor}"
interval_ms = 1000
[[inputs]]
name = "air.celsius"
connector = "sensor"
pointer = "/celsius"
"""
EVENT = re.compile(r"(?P<device>fleet-\d+)-(?P<boot>[0-9a-f]{16})-(?P<seq>\d+)")
tally = Tally()


def sequences(receiver):
    """Sequence numbers by device and boot."""
    found = {}
    with receiver.lock:
        for identity, _ in receiver.ids:
            match = EVENT.fullmatch(identity)
            assert match, f"not <device>-<boot>-<seq>: {identity}"
            found.setdefault((match["device"], match["boot"]), set()).add(int(match["seq"]))
    return found


def all_deliver(receiver):
    wait_for(f"{RECORDS} events of each of {COUNT} devices",
             lambda: sum(len(s) >= RECORDS for s in sequences(receiver).values()) == COUNT, 60)


def outage_is_survived(receiver, daemons):
    receiver.failing = True
    time.sleep(3)  # the outage itself
    waiting = [d.json("/v1/status")["outbox"]["records"] for d in daemons]
    assert all(waiting), f"every device keeps its records: {waiting}"
    receiver.failing = False
    due = {d.device: d.json("/v1/outbox")["durable_seq"] for d in daemons}
    assert all(due.values())
    wait_for("what was kept has arrived", lambda: all(max(s) >= due[device] for (device, _), s in sequences(receiver).items()), 60)


def no_id_clashes(receiver, daemons):
    found = sequences(receiver)
    assert {device for device, _ in found} == {d.device for d in daemons}
    boots = [boot for _, boot in found]
    assert len(boots) == len(set(boots)) == COUNT, "every start has a different boot id"
    for who, numbers in found.items():
        assert numbers == set(range(1, max(numbers) + 1)), f"{who} has holes: {sorted(set(range(1, max(numbers) + 1)) - numbers)}"
    with receiver.lock:
        sources = {}
        for identity, source in receiver.ids:
            assert sources.setdefault(identity, source) == source, f"{identity} comes from {source} and {sources[identity]}"


def prometheus_tells_them_apart(prometheus, daemons):
    names = {d.device for d in daemons}
    for expression in ("up", "rate(mfn_simulation_steps_total[30s]) > 0", "mfn:outbox_fill:ratio", "mfn_breaker_state{state='closed'}",
                       "mfn:delivery_success:ratio_rate30m", "mfn_feature{name='D_box'}", "mfn:http_requests:rate5m"):
        wait_for(f"{expression} of all of them", lambda: {r["metric"]["device"] for r in prometheus.query(expression)} == names)
    # Each panel as a dashboard queries it for one device of the fleet: no other device may appear.
    for name, board in dashboards():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                def of_one():
                    found = prometheus.query(expand(target["expr"], "fleet-7"))
                    return found and {r["metric"].get("device", "fleet-7") for r in found} == {"fleet-7"}
                wait_for(f"{name}: {panel['title']} of fleet-7", of_one)
                assert prometheus.query(expand(target["expr"])), f"{name}: {panel['title']} of all"
    one = prometheus.query('mfn_simulation_steps_total{device=~"fleet-7"}')
    assert len(one) == 1, "a dashboard can show one of them"


def alerts_are_quiet(prometheus):
    loud = [(a["labels"]["alertname"], a["labels"].get("device")) for a in prometheus.get("/api/v1/alerts")["alerts"] if a["state"] == "firing"]
    assert not loud, loud


def main():
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        config = CONFIG.format(url=receiver.url, sensor=stack.enter_context(Sensor()).url)
        # Each at a different address, as in reality.
        daemons = [stack.enter_context(Daemon(config, f"127.0.1.{k}:0", f"fleet-{k}")) for k in range(1, COUNT + 1)]
        prometheus = stack.enter_context(Prometheus(daemons))
        tally.check(f"all {COUNT} deliver to one receiver", lambda: all_deliver(receiver))
        tally.check("an outage of the receiver loses nothing", lambda: outage_is_survived(receiver, daemons))
        tally.check("no event id clashes, none is missing", lambda: no_id_clashes(receiver, daemons))
        tally.check("one Prometheus tells them apart", lambda: prometheus_tells_them_apart(prometheus, daemons))
        tally.check("no alert fires", lambda: alerts_are_quiet(prometheus))
        memory = sorted(int(r["value"][1]) for r in prometheus.query("process_resident_memory_bytes"))
        if memory:
            print(f"resident memory: median {memory[len(memory) // 2] / 2**20:.1f} MiB, most {memory[-1] / 2**20:.1f} MiB")
    tally.exit()


main()
