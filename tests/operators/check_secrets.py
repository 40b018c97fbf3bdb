#!/usr/bin/env python3
"""docs/SECRETS.md: a webhook's secret is replaced in each way of the page while events are delivered, with a stand-in for the agent that
writes it; every delivery is signed by the secret that the page says is in effect, and none is lost.
"""

import base64
import hashlib
import hmac
import http.server
import json
import os
import signal
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from running import Daemon, Tally, wait_for  # noqa: E402

SECRETS = {name: name.encode() * 8 for name in ("first", "second", "third", "fourth")}
tally = Tally()


class Receiver:
    """Takes everything; `signers` has the names of the secrets that have signed each batch, `sequence` the numbers of all events."""

    def __init__(self):
        self.signers, self.sequence = [], []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + body
                given = self.headers["webhook-signature"].split()
                wanted = {name: "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for name, key in SECRETS.items()}
                receiver.sequence += [(event["boot"], int(event["sequence"])) for event in json.loads(body)]
                receiver.signers.append([name for one in given for name in SECRETS if wanted[name] == one])
                self.send_response(204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def becomes(self, *names):
        """Waits until a batch is signed by exactly these."""
        seen = len(self.signers)
        wait_for(f"a batch signed by {names}, the last are {self.signers[-3:]}", lambda: list(names) in self.signers[seen:])

    def nothing_is_missing(self):
        for boot in {boot for boot, _ in self.sequence}:
            numbers = sorted({number for other, number in self.sequence if other == boot})
            assert numbers == list(range(1, len(numbers) + 1)), (boot, numbers)


def write(path, text):
    """As an agent does: a new file beside the old one, renamed over it."""
    with open(path + ".new", "w") as file:
        file.write(text)
    os.chmod(path + ".new", 0o440)
    os.rename(path + ".new", path)


def secret(name):
    return f"whsec_{base64.b64encode(SECRETS[name]).decode()}\n"


def configuration(receiver, file, previous=None):
    more = f'previous_secret_file = "{previous}"\n' if previous else ""
    return f"""
[sim]
grid = 16
tick_ms = 10
[outbox]
window_steps = 10
group_ms = 20
keep_free_bytes = 0
[[webhooks]]
name = "hook"
url = "http://127.0.0.1:{receiver.server.server_address[1]}/"
secret_file = "{file}"
{more}linger_ms = 0
spread_ms = 0
"""


def an_agent_replaces_the_file_and_sends_the_signal(directory):
    receiver, path, old = Receiver(), os.path.join(directory, "agent.secret"), os.path.join(directory, "old.secret")
    write(path, secret("first"))
    with Daemon(configuration(receiver, path)) as daemon:
        def reload():
            daemon.process.send_signal(signal.SIGHUP)
        receiver.becomes("first")
        write(path, secret("second"))
        receiver.becomes("first")
        assert ["second"] not in receiver.signers, "without the signal the old one stays"
        reload()
        receiver.becomes("second")
        write(path, "whsec_nonsense\n")
        reload()
        wait_for("the log names the key", lambda: "keeping the old configuration: " in daemon.logged() and "`webhooks[0].secret`" in daemon.logged())
        receiver.becomes("second")
        # Both sign while the receiver changes over.
        write(old, secret("second"))
        write(path, secret("third"))
        daemon.config = configuration(receiver, path, old)
        daemon.write_config()
        reload()
        receiver.becomes("third", "second")
        daemon.config = configuration(receiver, path)
        daemon.write_config()
        reload()
        receiver.becomes("third")
    receiver.nothing_is_missing()


def a_restart_reads_what_systemd_or_the_engine_copied(directory):
    """The credentials directory has new content at each start, as with LoadCredential= and secrets of containers."""
    receiver, credentials = Receiver(), os.path.join(directory, "credentials")
    os.mkdir(credentials)
    os.environ["CREDENTIALS_DIRECTORY"] = credentials
    try:
        write(os.path.join(credentials, "webhook.secret"), secret("first"))
        with Daemon(configuration(receiver, "webhook.secret")) as daemon:
            receiver.becomes("first")
            daemon.stop()
            write(os.path.join(credentials, "webhook.secret"), secret("second"))
            daemon.start()
            receiver.becomes("second")
        receiver.nothing_is_missing()
    finally:
        del os.environ["CREDENTIALS_DIRECTORY"]


def a_mounted_directory_changes_by_its_link(directory):
    """As the kubelet and the Secrets Store CSI driver do: the link `..data` is renamed to a new directory."""
    receiver, mount = Receiver(), os.path.join(directory, "mount")

    def publish(name):
        os.makedirs(os.path.join(mount, f"..{name}"))
        with open(os.path.join(mount, f"..{name}", "webhook.secret"), "w") as file:
            file.write(secret(name))
        os.symlink(f"..{name}", os.path.join(mount, "..tmp"))
        os.rename(os.path.join(mount, "..tmp"), os.path.join(mount, "..data"))
    publish("first")
    os.symlink("..data/webhook.secret", os.path.join(mount, "webhook.secret"))
    os.environ["CREDENTIALS_DIRECTORY"] = mount
    try:
        with Daemon(configuration(receiver, "webhook.secret")) as daemon:
            receiver.becomes("first")
            publish("second")
            receiver.becomes("first")
            daemon.process.send_signal(signal.SIGHUP)
            receiver.becomes("second")
            publish("fourth")
            daemon.stop()
            daemon.start()
            receiver.becomes("fourth")
        receiver.nothing_is_missing()
    finally:
        del os.environ["CREDENTIALS_DIRECTORY"]


if __name__ == "__main__":
    import tempfile

    for check in (an_agent_replaces_the_file_and_sends_the_signal, a_restart_reads_what_systemd_or_the_engine_copied,
                  a_mounted_directory_changes_by_its_link):
        with tempfile.TemporaryDirectory(prefix="mycelium-secrets-") as place:
            tally.check(check.__name__.replace("_", " "), lambda: check(place))
    tally.exit()
