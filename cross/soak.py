"""Polls a daemon until it has done STEPS steps; prints twenty samples and fails when memory or descriptors grow.

usage: soak.py PID ADDRESS KEY STEPS
"""

import http.client
import os
import sys
import time

SAMPLES = 20
# Growth allowed from the first sample of the second half to the last one: noise of the allocator and page cache.
MEMORY_SLACK_KIB = 192
DESCRIPTOR_SLACK = 4
PATHS = ["/healthz", "/metrics", "/v1/status", "/v1/features?limit=8", "/v1/field?format=npy", "/v1/field?format=png", "/v1/outbox", "/nothing"]


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def poll(address, key):
    """One connection, every path; returns the number of steps done."""
    client = http.client.HTTPConnection(address, timeout=10)
    steps = 0
    for path in PATHS:
        client.request("GET", path, headers={"X-API-Key": key})
        answer = client.getresponse()
        body = answer.read()
        if answer.status not in (200, 404):
            sys.exit(f"{path} gave {answer.status}: {body[:200]}")
        if path == "/metrics":
            line = next(line for line in body.decode().splitlines() if line.startswith("mfn_simulation_steps_total"))
            steps = int(float(line.split()[-1]))
    client.close()
    return steps


def main():
    pid, address, key, wanted = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    started = time.monotonic()
    # A tenth of the wanted pace is a stall, not slowness.
    deadline = started + max(60, wanted / 500)
    samples, polls, done = [], 0, 0
    while done < wanted:
        if time.monotonic() > deadline:
            sys.exit(f"only {done} of {wanted} steps after {time.monotonic() - started:.0f} s")
        done = poll(address, key)
        polls += len(PATHS)
        if done >= wanted * len(samples) / SAMPLES:
            samples.append((done, resident_kib(pid), descriptors(pid)))
            print("%12d steps %8d KiB %4d descriptors %8d polls" % (*samples[-1], polls), flush=True)
        time.sleep(0.02)
    took = time.monotonic() - started
    half = samples[len(samples) // 2 :]
    grown = half[-1][1] - half[0][1]
    opened = half[-1][2] - half[0][2]
    print(f"{done} steps and {polls} polls in {took:.0f} s; second half: memory {grown:+d} KiB, descriptors {opened:+d}")
    if grown > MEMORY_SLACK_KIB or opened > DESCRIPTOR_SLACK:
        sys.exit("memory or descriptors grow: not flat")


main()
