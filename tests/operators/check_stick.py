#!/usr/bin/env python3
"""[[files]] on a file system that is unmounted, filled and made read-only under the daemon: nothing is lost, nothing is
written to the directory below, and health says what to do. Needs root, to mount a tmpfs.
"""

import glob
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from running import Daemon, Tally, wait_for  # noqa: E402

tally = Tally()
CONFIG = """[sim]
tick_ms = 5
grid = 8
[outbox]
window_steps = 5
group_ms = 5
[breaker]
failures = 2
open_ms = 50
open_max_ms = 100
[[files]]
name = "stick"
path = "STICK/{date}/{device}-{boot}-{seq}.ndjson"
rotate_bytes = 65536
linger_ms = 5
retry_base_ms = 5
retry_max_ms = 50
spread_ms = 5
"""


def run(*command):
    subprocess.run(command, check=True)


def mount(stick, size):
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", stick)


def events(stick, seen):
    """Adds the events of all whole lines to `seen`, by id; an id never has two contents."""
    for path in glob.glob(f"{stick}/**/*.ndjson", recursive=True) + glob.glob(f"{stick}/.*.part"):
        try:
            text = open(path).read()
        except FileNotFoundError:  # a part that was renamed meanwhile
            continue
        for line in text.split("\n")[:-1]:
            event = json.loads(line)
            assert seen.setdefault(event["id"], line) == line, f"{event['id']} has two contents"
    return seen


def row(daemon):
    items = daemon.json("/v1/health/connectors")["items"]
    return next(item for item in items if item["name"] == "stick")


def failing(daemon, words):
    def named():
        item = row(daemon)
        return item["breaker"] == "open" and words in (item["last_error"] or "") and item

    return wait_for(f"an open breaker and {words!r}", named)


def durable(daemon):
    return daemon.json("/v1/outbox")["durable_seq"]


def complete(daemon, stick, seen):
    """Waits until everything that is durable now is in the files."""
    last = durable(daemon)

    def there():
        got = {int(line["sequence"]) for line in map(json.loads, events(stick, seen).values())}
        missing = set(range(1, last + 1)) - got
        return not missing

    wait_for(f"events 1 to {last}", there)


def unmounted(stick):
    mount(stick, "16m")
    seen = {}
    with Daemon(CONFIG.replace("STICK", stick)) as daemon:
        wait_for("files", lambda: len(events(stick, seen)) > 50)
        run("umount", stick)
        failing(daemon, "no longer mounted: mount it again")
        assert os.listdir(stick) == [], f"written below the mount point: {os.listdir(stick)}"
        # A second stick: what the first one had is on it, the rest comes here. Seen before the umount are at least those
        # that were acknowledged, except for the last moments; so only the new ones are counted.
        before = row(daemon)["delivered"]
        mount(stick, "16m")
        wait_for("the endpoint recovers", lambda: row(daemon)["delivered"] > before and row(daemon)["last_error"] is None)
        second = {}
        last = durable(daemon)
        wait_for("the backlog", lambda: any(int(json.loads(e)["sequence"]) >= last for e in events(stick, second).values()))
        got = sorted(int(json.loads(e)["sequence"]) for e in second.values())
        assert got == list(range(got[0], got[-1] + 1)), "a hole on the second stick"
        assert got[0] <= before + 1, f"{before} were acknowledged, the second stick begins with {got[0]}"
    run("umount", stick)


def full(stick):
    mount(stick, "256k")
    seen = {}
    with Daemon(CONFIG.replace("STICK", stick)) as daemon:
        failing(daemon, "free space or lower `keep_bytes`")
        events(stick, seen)
        run("mount", "-o", "remount,size=32m", stick)
        complete(daemon, stick, seen)
    run("umount", stick)


def read_only(stick):
    mount(stick, "16m")
    with Daemon(CONFIG.replace("STICK", stick)) as daemon:
        wait_for("files", lambda: len(events(stick, {})) > 20)
        run("mount", "-o", "remount,ro", stick)
        failing(daemon, "mount it for writing")
        run("mount", "-o", "remount,rw", stick)
        complete(daemon, stick, {})
    run("umount", stick)


def missing_at_start(stick):
    with Daemon(CONFIG.replace("STICK", stick) + f'mount_point = "{stick}"\n') as daemon:
        failing(daemon, "is not mounted: mount it")
        assert os.listdir(stick) == []
        mount(stick, "16m")
        complete(daemon, stick, {})
    run("umount", stick)


def main():
    if os.geteuid() != 0:
        print("skipped: only root can mount a tmpfs")
        return
    with tempfile.TemporaryDirectory(prefix="mycelium-stick-") as stick:
        for name, check in (
            ("a stick that is pulled", unmounted),
            ("a full stick", full),
            ("a stick that turns read-only", read_only),
            ("a stick that is missing at start", missing_at_start),
        ):
            try:
                tally.check(name, lambda check=check: check(stick))
            finally:
                subprocess.run(["umount", "-q", stick], check=False)
    tally.exit()


main()
