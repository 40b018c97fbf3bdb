"""Full and read-only file systems under the outbox of a running daemon; called by outbox-e2e.sh.

usage: outbox_disks.py BINARY WORK      (in a separate mount namespace, as root)
"""

import os
import subprocess
import sys
import time

from outbox_rig import Daemon, Receiver, all_through, check, fail, wait_for


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"{' '.join(command)}: {done.stderr.strip()}")


def mounted(path, options):
    os.makedirs(path, exist_ok=True)
    # A data directory that everybody may write to is refused.
    run("mount", "-t", "tmpfs", "-o", f"{options},mode=0700", "none", path)
    return path


def degraded(daemon):
    health = daemon.health()
    return health.get("detail") if health["status"] == "degraded" else None


def well(daemon):
    return daemon.health()["status"] == "ok"


def outage_fills_the_disk(binary, work):
    """The receiver fails and the disk is full long before outbox.max_bytes; both recover."""
    data = mounted(f"{work}/full", "size=1m")
    receiver = Receiver()
    receiver.status = 503
    daemon = Daemon(binary, f"{work}/full-rig", data, receiver.port)
    why = wait_for("a full disk", lambda: degraded(daemon))
    if "space" not in why:
        fail(f"a full disk is said so: {why}")
    held = wait_for("records in memory", lambda: (n := daemon.outbox()["in_memory"]) >= 100 and n)
    before = daemon.ask("/v1/features")[1]
    wait_for("the field to go on", lambda: daemon.ask("/v1/features")[1] != before)
    receiver.status = 204
    wait_for("an outbox that writes again", lambda: well(daemon))
    boot, durable = all_through(daemon, receiver)
    if daemon.outbox()["dropped"] != 0:
        fail("something was dropped although memory was not full")
    daemon.kill()
    print(f"full disk, {held} records held in memory and then written: {check(receiver, boot, durable)}")


def somebody_else_fills_the_disk(binary, work):
    """The receiver accepts everything; another file fills the disk and is removed, several times."""
    data = mounted(f"{work}/shared", "size=2m")
    receiver = Receiver()
    daemon = Daemon(binary, f"{work}/shared-rig", data, receiver.port)
    wait_for("some records", lambda: daemon.outbox()["durable_seq"] >= 50)
    hog = os.path.join(data, "hog")
    times = 0
    for _ in range(3):
        receiver.status = 503  # or segments would be used again, and no room be missed
        try:
            with open(hog, "wb", buffering=0) as out:
                while True:
                    out.write(bytes(4096))
        except OSError:
            pass
        wait_for("a full disk", lambda: degraded(daemon))
        os.remove(hog)
        wait_for("an outbox that writes again", lambda: well(daemon))
        receiver.status = 204
        all_through(daemon, receiver)
        times += 1
    boot, durable = all_through(daemon, receiver)
    if daemon.outbox()["dropped"] != 0:
        fail("something was dropped although memory was not full")
    daemon.kill()
    print(f"disk filled by another {times} times: {check(receiver, boot, durable)}")


def full_for_too_long(binary, work):
    """No receiver and no disk space: the oldest records are dropped, counted and reported by gap records."""
    data = mounted(f"{work}/long", "size=1m")
    receiver = Receiver()
    receiver.status = 503
    daemon = Daemon(binary, f"{work}/long-rig", data, receiver.port)
    dropped = wait_for("records dropped", lambda: (n := daemon.outbox()["dropped"]) >= 1 and n)
    receiver.status = 204
    boot, durable = all_through(daemon, receiver)
    wait_for("an outbox that is well", lambda: well(daemon))
    dropped = daemon.outbox()["dropped"]
    order, gaps = receiver.taken()
    numbers = {int(event.rsplit("-", 1)[1]) for event in order}
    missing = len(set(range(1, durable + 1)) - numbers)
    # Records that never got a number are reported by gaps without positions; a later drop-oldest gap has the ones before.
    said = sum(gap["records"] for gap in gaps if gap["from"] == 0)
    said += max((gap["records"] for gap in gaps if gap["reason"] == "drop-oldest"), default=0)
    if not missing <= dropped or said < dropped:
        fail(f"{dropped} dropped, {missing} numbers missing, gap records speak of {said}: {gaps}")
    daemon.kill()
    print(f"full for too long, {dropped} dropped and gap records report {said}: {check(receiver, boot, durable, missing)}")


def read_only_and_back(binary, work):
    """The file system of the outbox becomes read-only under the running daemon, and writable again.

    The kernel refuses that while a file is open for writing, so strace lets writes fail until the daemon has closed
    its files; from then on the kernel refuses them."""
    data = f"{work}/ro"
    disk = mounted(f"{data}/outbox", "size=8m")
    receiver = Receiver()
    daemon = Daemon(binary, f"{work}/ro-rig", data, receiver.port)
    wait_for("some records", lambda: daemon.outbox()["durable_seq"] >= 50)
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(daemon.pid), "-e", "trace=pwrite64,fdatasync"]
        + ["-e", "inject=pwrite64,fdatasync:error=EROFS"],
        stdin=subprocess.DEVNULL,
    )
    wait_for("writes to fail", lambda: degraded(daemon))
    remount = ["mount", "-o", "remount,ro", disk]
    wait_for("the remount", lambda: subprocess.run(remount, capture_output=True, check=False).returncode == 0)
    tracer.terminate()
    tracer.wait(timeout=10)
    view = daemon.outbox()
    wait_for("more records in memory", lambda: daemon.outbox()["in_memory"] >= view["in_memory"] + 200)
    why, later = degraded(daemon), daemon.outbox()
    if not why or "Read-only" not in why or "remount" not in why:
        fail(f"a read-only file system is said so, with what to do: {why}")
    if later["durable_seq"] != view["durable_seq"]:
        fail("records were called durable on a read-only file system")
    second = subprocess.run(
        [binary, "outbox", "verify", "--data-dir", data], capture_output=True, text=True, check=False
    )
    if second.returncode not in (0, 65):
        fail(f"verify cannot read a read-only directory: {second.stderr}")
    run("mount", "-o", "remount,rw", disk)
    wait_for("an outbox that writes again", lambda: well(daemon))
    boot, durable = all_through(daemon, receiver)
    if daemon.outbox()["dropped"] != 0:
        fail("something was dropped although memory was not full")
    daemon.kill()
    print(f"read-only, {later['in_memory']} records held, and back: {check(receiver, boot, durable)}")


def read_only_at_start(binary, work):
    data = mounted(f"{work}/start", "size=1m")
    run("mount", "-o", "remount,ro", data)
    command = [binary, "run", "--listen", "127.0.0.1:0", "--data-dir", data]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    if done.returncode != 74 or "Read-only" not in done.stderr:
        fail(f"a start on a read-only directory gave {done.returncode}: {done.stderr}")
    print("read-only at start: refused with 74")


if __name__ == "__main__":
    os.makedirs(sys.argv[2], exist_ok=True)
    started = time.monotonic()
    for scenario in (
        outage_fills_the_disk,
        somebody_else_fills_the_disk,
        full_for_too_long,
        read_only_and_back,
        read_only_at_start,
    ):
        scenario(sys.argv[1], sys.argv[2])
    print(f"disks: all checks passed, {time.monotonic() - started:.0f} s")
