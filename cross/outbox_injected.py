"""Fails every system call that the outbox thread of a running daemon makes, one kind at a time, and counts at the receiver;
called by outbox-e2e.sh.

usage: outbox_injected.py BINARY WORK [long]

The claim: whatever fails and however often, no durable record is lost or delivered out of order, a repeated batch has the
same bytes, nothing is announced as damaged, the daemon runs on, and it recovers by itself. `strace -e inject` counts calls
by thread: it is attached to the outbox thread alone.
"""

import os
import signal
import subprocess
import sys
import time

from outbox_rig import CONFIG, Daemon, Receiver, all_through, check, fail, wait_for

SECONDS = 1.2  # of each row; at 500 records a second they fit into memory until a write is tried again
LONG_SECONDS = 5.0
READS = "pread64"
# (calls, what happens to them, when: once, in rows, every n-th, always; what the receiver does meanwhile).
TAKES, REFUSES, CATCHES_UP = "takes", "refuses", "catches up"
ROWS = [
    (READS, "error=EIO", "1..4", CATCHES_UP),
    (READS, "error=EIO", "1+2", CATCHES_UP),
    (READS, "error=EIO", "3+3", CATCHES_UP),
    (READS, "error=EIO", "1+1", CATCHES_UP),
    (READS, "delay_enter=300000", "1+20", CATCHES_UP),
    ("pwrite64", "error=EIO", "2", TAKES),
    ("pwrite64", "error=ENOSPC", "3..6", TAKES),
    ("pwrite64", "error=EIO", "1+7", TAKES),
    ("fdatasync", "error=EIO", "2", TAKES),
    ("fdatasync", "error=EIO", "1..3", TAKES),
    ("fdatasync", "error=EIO", "1+5", TAKES),
    ("fdatasync", "delay_enter=300000", "1+10", TAKES),
    ("fsync", "error=EIO", "1", TAKES),
    ("fsync", "error=EIO", "1+2", TAKES),
    ("fallocate", "error=ENOSPC", "1..2", REFUSES),
    ("fallocate", "error=EOPNOTSUPP", "1+1", REFUSES),
    ("rename,renameat,renameat2", "error=EIO", "1..3", TAKES),
    ("unlink,unlinkat", "error=EIO", "1..3", CATCHES_UP),
    ("open,openat", "error=EMFILE", "1..5", TAKES),
    ("open,openat", "error=EIO", "1+3", REFUSES),
    ("statfs,fstatfs", "error=EIO", "1..2", REFUSES),
    ("statx", "error=EIO", "1+4", TAKES),
]


def outbox_thread(pid):
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/comm", encoding="ascii") as name:
            if name.read().strip() == "outbox":
                return thread
    return fail("no outbox thread")


def inject(thread, calls, what, when, work, seconds):
    """Returns how many calls were failed or delayed."""
    trace = os.path.join(work, "trace")
    command = ["strace", "-qq", "-p", thread, "-o", trace, "-e", f"trace={calls}", "-e", f"inject={calls}:{what}:when={when}"]
    tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    time.sleep(seconds)
    wait_for(f"a call of {calls}", lambda: injected(trace))
    tracer.send_signal(signal.SIGINT)
    tracer.wait(timeout=60)
    return injected(trace)


def injected(trace):
    with open(trace, encoding="utf-8", errors="replace") as lines:
        return sum("INJECTED" in line or "DELAYED" in line for line in lines)


def running(binary, work, seconds):
    receiver = Receiver()
    daemon = Daemon(binary, f"{work}/rig", f"{work}/data", receiver.port)
    all_through(daemon, receiver)
    total = 0
    for calls, what, when, receives in ROWS:
        row = f"{calls} {what} {when}"
        # A segment is made while records are kept, reused once they were taken, and removed when there are enough.
        receiver.status = 204 if receives == TAKES else 503
        if receives != TAKES:
            more = daemon.outbox()["segments"] + 5
            wait_for("a backlog", lambda more=more: daemon.outbox()["segments"] >= more)
        if receives == CATCHES_UP:
            receiver.status = 204
        count = inject(outbox_thread(daemon.pid), calls, what, when, work, seconds)
        receiver.status = 204
        if daemon.child.poll() is not None:
            with open(daemon.log, encoding="utf-8") as log:
                fail(f"{row}: the daemon ended with {daemon.child.returncode}:\n{log.read()[-2000:]}")
        wait_for(f"recovery from {row}", lambda: daemon.health()["status"] == "ok")
        boot, durable = all_through(daemon, receiver)
        view = daemon.outbox()
        if view["dropped"]:
            fail(f"{row}: {view['dropped']} records were dropped: {view}")
        total += count
        print(f"  {row}: {count} calls")
    told = check(receiver, boot, durable)
    _, gaps = receiver.taken()
    if gaps:
        fail(f"gaps were announced although nothing was lost: {gaps}")
    daemon.stop()
    print(f"{len(ROWS)} kinds of failure, {total} calls: {told}")


def starting(binary, work):
    """A kill leaves a backlog; the first reads of the next start fail, and then all of them."""
    receiver = Receiver()
    receiver.status = 503
    data, rig = f"{work}/start", f"{work}/start-rig"
    daemon = Daemon(binary, rig, data, receiver.port)
    wait_for("several segments", lambda: daemon.outbox()["segments"] >= 4)
    before = daemon.outbox()
    daemon.kill()
    config = os.path.join(rig, "edge.toml")
    # strace counts the calls of each thread. A loader reads up to three times before the program; the outbox is opened
    # with seven reads, of which the sixth is the first of records.
    refuse = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=pread64:error=EIO:when=6+"]
    done = subprocess.run([*refuse, binary, "run", "--listen", "127.0.0.1:0", "--config", config, "--data-dir", data],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 74 or "cannot read outbox/" not in done.stderr:
        fail(f"a disk that refuses every read gives {done.returncode}: {done.stderr}")
    some = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pread64", "-e", "inject=pread64:error=EIO:when=6..12"]
    receiver.status = 204
    daemon = Daemon(binary, rig, data, receiver.port, wrap=some)
    all_through(daemon, receiver)
    told = check(receiver, before["boot"], before["durable_seq"])
    daemon.stop()
    print(f"failed reads at the start: {told}")


def main():
    binary, work = sys.argv[1:3]
    os.makedirs(work, exist_ok=True)
    running(binary, work, LONG_SECONDS if sys.argv[3:] == ["long"] else SECONDS)
    starting(binary, work)


if __name__ == "__main__":
    main()
