"""Polls a daemon until it has done STEPS steps; prints twenty samples and fails when memory or descriptors grow.

usage: soak.py PID ADDRESS KEY STEPS
"""

import http.client
import os
import sys
import time

SAMPLES = 20
# Allowed growth from the largest sample of the third quarter to that of the last: noise of the allocator.
MEMORY_SLACK_KIB = 192
DESCRIPTOR_SLACK = 4
PATHS = ["/healthz", "/metrics", "/v1/status", "/v1/features?limit=8", "/v1/field?format=npy", "/v1/field?format=png", "/v1/outbox", "/nothing"]


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def poll(address, key):
    """One connection, every path; the text of /metrics."""
    client = http.client.HTTPConnection(address, timeout=10)
    metrics = ""
    for path in PATHS:
        client.request("GET", path, headers={"X-API-Key": key})
        answer = client.getresponse()
        body = answer.read()
        if answer.status not in (200, 404):
            sys.exit(f"{path} gave {answer.status}: {body[:200]}")
        if path == "/metrics":
            metrics = body.decode()
    client.close()
    return metrics


def total(metrics, family, label=""):
    """Sum of the samples of a family whose labels contain `label`."""
    lines = (line for line in metrics.splitlines() if line.startswith(family) and label in line)
    return int(sum(float(line.split()[-1]) for line in lines))


def main():
    pid, address, key, wanted = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    started = time.monotonic()
    # Less than a tenth of the configured pace counts as a stall.
    deadline = started + max(60, wanted / 10_000)
    samples, polls, done = [], 0, 0
    while done < wanted:
        if time.monotonic() > deadline:
            sys.exit(f"only {done} of {wanted} steps after {time.monotonic() - started:.0f} s")
        metrics = poll(address, key)
        done = total(metrics, "mfn_simulation_steps_total")
        polls += len(PATHS)
        if done >= wanted * (len(samples) + 1) / SAMPLES:
            dropped = total(metrics, "mfn_outbox_dropped_total")
            opened = total(metrics, "mfn_breaker_transitions_total", 'to="open"')
            samples.append((done, resident_kib(pid), descriptors(pid), dropped, opened))
            print(
                "%12d steps %8d KiB %4d descriptors %8d dropped %6d times open %8d polls" % (*samples[-1], polls),
                flush=True,
            )
        time.sleep(0.02)
    took = time.monotonic() - started
    half, quarter = len(samples) // 2, len(samples) * 3 // 4
    if len(samples) < SAMPLES // 2:
        sys.exit(f"only {len(samples)} samples: the steps are too few for the pace")
    if not (samples[half][3] and samples[half][4]):
        sys.exit("the outbox has dropped nothing or the breaker never opened before the second half: nothing was soaked")
    grown, more = (max(s[k] for s in samples[quarter:]) - max(s[k] for s in samples[half:quarter]) for k in (1, 2))
    print(
        f"{done} steps and {polls} polls in {took:.0f} s; "
        f"last quarter against the third: memory {grown:+d} KiB, descriptors {more:+d}"
    )
    if grown > MEMORY_SLACK_KIB or more > DESCRIPTOR_SLACK:
        sys.exit("memory or descriptors grow: not flat")


main()
