"""Microseconds from starting `myceliumd run` to the first 200 of /healthz: median of 21 starts with an existing data directory.

usage: first_answer.py BINARY DIRECTORY
"""

import http.client
import os
import socket
import statistics
import subprocess
import sys
import time

STARTS = 21


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def first_answer(binary, data):
    port = free_port()
    started = time.perf_counter()
    daemon = subprocess.Popen(
        [binary, "run", "--data-dir", data, "--listen", f"127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while time.perf_counter() - started < 10:
            try:
                client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                client.request("GET", "/healthz")
                if client.getresponse().status == 200:
                    return (time.perf_counter() - started) * 1e6
            except OSError:
                pass
            finally:
                client.close()
        sys.exit("no answer of /healthz within 10 s")
    finally:
        daemon.terminate()
        daemon.wait(10)


binary, data = sys.argv[1:]
os.makedirs(data, exist_ok=True)
print(round(statistics.median(first_answer(binary, data) for _ in range(STARTS))))
