"""The resident set of a daemon, in bytes, while clients that have polled once keep their connections.

usage: held.py PID http://HOST:PORT KEY CONNECTIONS
"""

import http.client
import sys
import urllib.parse

pid, url, key, connections = sys.argv[1:]
host = urllib.parse.urlsplit(url).netloc
held = []
for _ in range(int(connections)):
    client = http.client.HTTPConnection(host, timeout=10)
    client.request("GET", "/v1/features", headers={"X-API-Key": key})
    answer = client.getresponse()
    answer.read()
    if answer.status != 200 or answer.will_close:
        sys.exit(f"a poll got status {answer.status} and {'no' if answer.will_close else 'a'} connection to keep")
    held.append(client)
for client in held:
    # An evicted connection uses no memory, so the measurement would be meaningless.
    client.auto_open = 0
    client.request("GET", "/healthz", headers={"X-API-Key": key})
    assert client.getresponse().read() and client.sock, "a held connection was closed"
with open(f"/proc/{pid}/status") as status:
    print(next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS")))
