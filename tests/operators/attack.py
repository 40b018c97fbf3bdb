#!/usr/bin/env python3
"""Attacks on the HTTP API of the real daemon with its default limits; after each the daemon must be as healthy as before.

usage: MYCELIUMD=target/release/myceliumd attack.py [--fuzz SECONDS] [--seed N] [NAME ..]

After every attack: the process lives, /healthz answers 200 within a second, the log knows of no panic, at no time was
more than 12 MiB resident (the kernel's own high-water mark), the descriptors are back, and the kernel holds neither the
memory of sockets nor connections without an owner (/proc/net/sockstat, which counts those of the whole machine).
All traffic is 127.0.0.0/8.
"""

import argparse
import base64
import collections
import contextlib
import http.client
import json
import multiprocessing
import os
import random
import re
import resource
import selectors
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import running  # noqa: E402
from running import Daemon, Tally, wait_for  # noqa: E402

RSS = 12 << 20
# Resident without a key: public documents, unread on every connection.
UNREAD_RSS = 9 << 20
# Of the kernel for all sockets: 64 connections with a send and a receive buffer of 128 KiB each, and as much for clients.
SOCKET_MEMORY = 24 << 20
# What is left after an attack; what clients that are still connected have received counts, too.
SOCKET_MEMORY_LEFT = 4 << 20
ORPHANS = 16
GOOD, BAD = "127.0.0.1", "127.0.0.2"
# Limits are the default ones, but for the rate of keys: attacks with a key would only receive 429. A record a second keeps
# the outbox writing meanwhile.
CONFIG = "[outbox]\nwindow_steps = 10\nkeep_free_bytes = 0\n[api.rate]\nper_second = 1000000\nburst = 1000000\n"
KNOWN = {200, 202, 304, 400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 417, 422, 426, 429, 431, 501, 503, 505}


def sockstat():
    """Bytes that the kernel holds for TCP, and connections that no process owns any more."""
    with open("/proc/net/sockstat") as file:
        orphans, pages = re.search(r"^TCP: .*orphan (\d+) .*mem (\d+)", file.read(), re.MULTILINE).groups()
    return int(pages) * os.sysconf("SC_PAGE_SIZE"), int(orphans)


class Victim(Daemon):
    """A daemon whose health can be compared with what it was before."""

    def __enter__(self):
        super().__enter__()
        # Descriptors that are opened once and late, such as the segment of the first commit, belong to an idle process, too.
        self.ask("/v1/status"), self.ask("/metrics")
        self.next_commit()
        self.rest = self.descriptors()
        self.sockets = sockstat()
        return self

    def next_commit(self):
        """Waits until one more record is durable."""
        durable = lambda: json.loads(self.ask("/v1/outbox")[2] or b'{"durable_seq":0}').get("durable_seq", 0)
        before = durable()
        wait_for("the next commit of the outbox", lambda: durable() > before)

    @property
    def proc(self):
        return f"/proc/{self.process.pid}"

    def descriptors(self):
        """Open descriptors with their counts; sockets and files of the outbox without their numbers."""
        names = collections.Counter()
        for number in os.listdir(f"{self.proc}/fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                names[re.sub(r":\[\d+\]|\d+\.seg", "", os.readlink(f"{self.proc}/fd/{number}"))] += 1
        return names

    def degraded(self):
        return float(re.search(rb"^mfn_outbox_degraded ([0-9.]+)", self.ask("/metrics")[2], re.MULTILINE)[1])

    def forget_peak(self):
        with open(f"{self.proc}/clear_refs", "w") as file:
            file.write("5")

    def peak(self):
        with open(f"{self.proc}/status") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1]) << 10

    def whole_log(self):
        with open(os.path.join(self.directory.name, "log"), errors="replace") as file:
            return file.read()

    def where(self):
        host, port = self.address.rsplit(":", 1)
        return host, int(port)

    def healthy(self, timeout=1, source=GOOD):
        """Seconds until a new client has its 200, or None."""
        started = time.monotonic()
        try:
            with self.reach(source, timeout) as s:
                s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                answer = b""
                while time.monotonic() - started < timeout:
                    more = s.recv(4096)
                    answer += more
                    if not more:
                        break
            took = time.monotonic() - started
            return took if answer.startswith(b"HTTP/1.1 200 ") and took <= timeout else None
        except OSError:
            return None

    def reach(self, source=BAD, timeout=5, receive=None):
        s = socket.socket()
        if receive:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        s.settimeout(timeout)
        try:
            s.bind((source, 0))
            s.connect(self.where())
        except BaseException:
            s.close()
            raise
        return s

    def after(self):
        assert self.process.poll() is None, f"the daemon ended with {self.process.returncode}: {self.logged()}"
        took = self.healthy()
        assert took is not None, "no 200 from /healthz within a second"
        assert "panic" not in self.whole_log(), self.logged()
        peak = self.peak()
        assert peak <= RSS, f"{peak} bytes were resident"
        try:
            wait_for("the descriptors are back", lambda: self.descriptors().total() <= self.rest.total(), 15)
        except AssertionError as fault:
            raise AssertionError(f"{fault}: {dict(self.descriptors() - self.rest)} more than at rest") from None
        over = lambda: [now - before for now, before in zip(sockstat(), self.sockets)]
        try:
            wait_for("the kernel is rid of the connections", lambda: over()[0] <= SOCKET_MEMORY_LEFT and over()[1] <= ORPHANS, 5)
        except AssertionError as fault:
            raise AssertionError(f"{fault}: {over()[0]} bytes and {over()[1]} orphans more than before") from None
        return f"peak {peak / 2**20:.1f} MiB, /healthz {took * 1e3:.0f} ms after it"


class SecureVictim(Victim):
    """The same over TLS, with a self-signed certificate."""

    def __enter__(self):
        place = self.directory.name
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        command = [*command.split(), "-keyout", f"{place}/key.pem", "-out", f"{place}/cert.pem"]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        self.config += f'[api.tls]\ncert_file = "{place}/cert.pem"\nkey_file = "{place}/key.pem"\n'
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        return super().__enter__()

    def ask(self, path, key="", **_):
        host, port = self.where()
        connection = http.client.HTTPSConnection(host, port, timeout=5, context=self.context)
        try:
            connection.request("GET", path, headers={"X-API-Key": self.key} if key == "" else {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except OSError:
            return 0, {}, b""
        finally:
            connection.close()

    def healthy(self, timeout=1, source=GOOD):
        started = time.monotonic()
        status = self.ask("/healthz", key=None)[0]
        took = time.monotonic() - started
        return took if status == 200 and took <= timeout else None


def request(target, key=None, method="GET", body=None, more=()):
    head = [f"{method} {target} HTTP/1.1", "Host: a", *more]
    if key:
        head.append(f"X-API-Key: {key}")
    if body is not None:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + (body or b"")


def upgrade(target, key=None):
    more = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    more.append("Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode())
    return request(target, key, more=more)


def reset(s):
    """Ends a connection by RST."""
    with contextlib.suppress(OSError):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def everything(s, timeout=3.0, most=1 << 22):
    """What is received until the other side closes, or has been silent for `timeout`."""
    s.settimeout(timeout)
    got = b""
    with contextlib.suppress(OSError):
        while len(got) < most and (more := s.recv(1 << 16)):
            got += more
    return got


def statuses(answers):
    """Every status that was answered. Bodies carry no status line."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", answers)]


class Crowd:
    """Keeps `count` connections open from `sources`; each sends `first` and then a byte of `drip` from time to time."""

    def __init__(self, victim, count, sources, first, drip=b"", read=False):
        self.victim, self.count, self.sources = victim, count, sources
        self.first, self.drip, self.read = first, drip, read
        # In a separate process, so that the good client does not wait for the attacker.
        fork = multiprocessing.get_context("fork")
        self.counter, self.over = fork.Value("q", 0), fork.Event()
        self.process = fork.Process(target=self._run, daemon=True)

    @property
    def opened(self):
        return self.counter.value

    def __enter__(self):
        self.process.start()
        wait_for("the crowd is there", lambda: self.opened >= self.count, 20)
        return self

    def __exit__(self, *_):
        self.over.set()
        self.process.join(20)
        if self.process.is_alive():
            self.process.kill()

    def _open(self, selector):
        s = socket.socket()
        s.setblocking(False)
        s.bind((self.sources[self.opened % len(self.sources)], 0))
        s.connect_ex(self.victim.where())
        selector.register(s, selectors.EVENT_WRITE, [False, time.monotonic()])
        self.counter.value += 1

    def _run(self):
        with selectors.DefaultSelector() as selector:
            while not self.over.is_set():
                short = self.count - len(selector.get_map())
                for _ in range(min(short, 200)):
                    self._open(selector)
                for key, events in selector.select(0.05):
                    s, state = key.fileobj, key.data
                    try:
                        if events & selectors.EVENT_WRITE:
                            s.send(self.first)
                            state[0] = True
                            selector.modify(s, selectors.EVENT_READ, state)
                        elif not s.recv(4096):
                            raise ConnectionResetError
                    except BlockingIOError:
                        pass
                    except OSError:
                        selector.unregister(s)
                        s.close()
                now = time.monotonic()
                for key in list(selector.get_map().values()):
                    if self.drip and key.data[0] and now - key.data[1] > 1:
                        key.data[1] = now
                        with contextlib.suppress(OSError):
                            key.fileobj.send(self.drip)
            for key in list(selector.get_map().values()):
                key.fileobj.close()


def good_client(victim, seconds):
    """Requests from another address, each on a new connection; at least 95 % must be answered within a second."""
    end = time.monotonic() + seconds
    took, failed = [], []
    while time.monotonic() < end:
        started = time.monotonic()
        took.append(victim.healthy())
        if took[-1] is None:
            failed.append(round(time.monotonic() - started, 3))
        time.sleep(0.02)
    good = sorted(t for t in took if t is not None)
    share = len(good) / len(took)
    assert share >= 0.95, f"{len(good)} of {len(took)} answered within a second; failures took {sorted(failed)}"
    return f"{share:.1%} of {len(took)} within 1 s, 99 % of them in {good[int(len(good) * 0.99)] * 1e3:.0f} ms"


def loris(victim):
    """1,000 connections that never finish a head, from one address."""
    with Crowd(victim, 1000, [BAD], b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ", b"a") as crowd:
        said = good_client(victim, 6)
    return f"{said}; {crowd.opened} connections"


def loris_of_many(victim):
    """The same from 100 addresses: they compete for every connection slot."""
    sources = [f"127.0.2.{k}" for k in range(1, 101)]
    with Crowd(victim, 1000, sources, b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ", b"a") as crowd:
        said = good_client(victim, 6)
    return f"{said}; {crowd.opened} connections"


def silence(victim):
    """Connections that send nothing."""
    with Crowd(victim, 1000, [f"127.0.2.{k}" for k in range(1, 101)], b"") as crowd:
        said = good_client(victim, 3)
    return f"{said}; {crowd.opened} connections"


def bodies(victim):
    """Bodies that are announced and withheld, by a client with a key."""
    head = request("/v1/nernst", victim.admin, "POST", b"x" * 60000)[:-59000]
    with Crowd(victim, 500, [f"127.0.2.{k}" for k in range(1, 101)], head) as crowd:
        said = good_client(victim, 4)
    return f"{said}; {crowd.opened} connections"


def pipeline(victim, count=100_000):
    """100,000 requests on one connection, responses read as they arrive; other clients are served in between."""
    one = request("/healthz")
    with victim.reach(timeout=30) as s:
        sender = threading.Thread(target=lambda: s.sendall(one * count), daemon=True)
        started = time.monotonic()
        sender.start()
        seen, tail, others = 0, b"", []
        while seen < count:
            more = s.recv(1 << 20)
            assert more, f"ended after {seen} answers"
            text = tail + more
            seen += text.count(b"HTTP/1.1 200 OK\r\n")
            # Keeps what may be the beginning of a status line, but not a complete one.
            tail = text[-16:]
            if seen // 10_000 > len(others):
                others.append(victim.healthy())
        took = time.monotonic() - started
    assert all(others), f"another client waited: {others}"
    return f"{seen} answers in {took:.1f} s"


def unread_pipeline(victim):
    """Endless requests whose responses are never read: the daemon must not buffer them."""
    sockets = [victim.reach(f"127.0.3.{k}", receive=4096) for k in range(1, 33)]
    blast = request("/openapi.json") * 200
    for s in sockets:
        s.setblocking(False)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for s in sockets:
            with contextlib.suppress(OSError):
                s.send(blast)
        assert victim.healthy() is not None, "another client waited"
    for s in sockets:
        reset(s)


def unread_documents(victim):
    """Pipelined requests for the API description from many addresses, never read, for longer than the write deadline."""
    sockets, most, orphans = [], 0, 0
    for k in range(150):
        s = victim.reach(f"127.0.9.{k % 40 + 1}", receive=4096)
        s.setblocking(False)
        with contextlib.suppress(OSError):
            s.send(request("/openapi.json") * 60)
        sockets.append(s)
    end = time.monotonic() + 14
    while time.monotonic() < end:
        memory, left = sockstat()
        most, orphans = max(most, memory - victim.sockets[0]), max(orphans, left - victim.sockets[1])
        assert victim.healthy() is not None, "another client waited"
        time.sleep(0.1)
    # Before the clients close: the daemon alone has to be rid of them.
    try:
        said = victim.after()
    finally:
        for s in sockets:
            reset(s)
    assert most <= SOCKET_MEMORY, f"the kernel held {most} bytes"
    assert orphans <= ORPHANS, f"{orphans} connections without an owner"
    return f"{most / 2**20:.1f} MiB in the kernel, {orphans} orphans, {said} with the clients still there"


def secure_unread_documents(victim):
    """The API description and the metrics without gzip on every connection over TLS, requested and not read."""
    sockets = []
    for k in range(64):
        s = victim.context.wrap_socket(victim.reach(f"127.0.9.{k // 16 + 1}", receive=4096))
        s.sendall(request("/openapi.json" if k % 4 else "/metrics") * 100)
        sockets.append(s)
        time.sleep(0.02)
    time.sleep(4)
    peak = victim.peak()
    for s in sockets:
        reset(s)
    assert peak <= UNREAD_RSS, f"{peak} bytes were resident"
    return f"{len(sockets)} connections"


def resets(victim, rounds=150):
    """RST at every stage of a request, of a stream and of a WebSocket."""
    nernst = request("/v1/nernst", victim.key, "POST", b'{"z_valence": 1}')
    poll = request("/v1/features?wait=30", victim.key)

    def waits():
        with victim.reach() as s:
            s.sendall(poll)
            return not everything(s, 0.1)

    assert any(waits() for _ in range(5)), "the long poll is answered at once"
    stages = {
        "at once": (b"", 0),
        "in a head": (b"GET /heal", 0),
        "behind a head": (request("/healthz"), 0),
        "in a body": (nernst[:-5], 0),
        "behind a refusal": (b"GET / HTTP/1.1\r\n\r\n", 0),
        "with requests behind": (request("/healthz") * 50, 0),
        "in a large answer": (request("/v1/field?format=json", victim.key), 100),
        "in a long poll": (poll, 0),
        "in a simulation": (request("/v1/simulate", victim.admin, "POST", b'{"grid_size":64,"steps":60000}'), 0),
        "in a stream": (request("/v1/stream", victim.key), 100),
        "in a WebSocket": (upgrade("/v1/ws", victim.key), 100),
        "in an old WebSocket": (upgrade("/ws/simulation_live"), 100),
    }
    for _ in range(rounds):
        for first, wanted in stages.values():
            s = victim.reach()
            s.sendall(first)
            if wanted:
                with contextlib.suppress(OSError):
                    s.recv(wanted)
            reset(s)
    return f"{rounds * len(stages)} resets at {len(stages)} stages"


def simulations(victim):
    """Many simultaneous requests for the largest simulations: one runs, four wait, the others get a 503."""
    sockets = []
    for k in range(1, 31):
        s = victim.reach(f"127.0.6.{k}")
        s.sendall(request("/v1/simulate", victim.admin, "POST", b'{"grid_size":288,"steps":3000}'))
        sockets.append(s)
    said = good_client(victim, 3)
    for s in sockets:
        reset(s)

    def answer(body):
        with victim.reach() as s:
            s.sendall(request("/v1/simulate", victim.admin, "POST", body))
            return statuses(everything(s, 1))

    small = b'{"grid_size":8,"steps":1}'
    wait_for("those that were called off make room for another", lambda: answer(small) == [200], 5)
    assert answer(b'{"grid_size":512,"steps":1}') == [422], "a field beyond the budget"
    return said


def message(kind, **payload):
    return frame(1, json.dumps({"type": kind, "payload": payload}).encode())


def live_simulations(victim):
    """The largest live simulations on as many sockets as allowed, together with on-demand simulations."""
    sockets = []
    for k in range(1, 31):
        s = victim.reach(f"127.0.7.{k}")
        s.sendall(upgrade("/ws/simulation_live") + message("auth", api_key=victim.admin) + message(
            "subscribe", stream_type="simulation_live", stream_id="a",
            params={"grid_size": 256 if k % 2 else 180, "steps": 1000, "update_interval_steps": 100},
        ))
        sockets.append(s)
    wait_for("a live simulation", lambda: any(b"subscribe_success" in everything(s, 0.1) for s in sockets[:4]), 10)
    for k in range(1, 11):
        s = victim.reach(f"127.0.6.{k}")
        s.sendall(request("/v1/simulate", victim.admin, "POST", b'{"grid_size":200,"steps":2000}'))
        sockets.append(s)
    said = good_client(victim, 4)
    for s in sockets:
        reset(s)
    return said


def strangers(victim):
    """Sockets of the protocol of MyceliumFractalNet 4.1 without a key: clients with a key are still served."""
    sources = [f"127.0.8.{k}" for k in range(1, 101)]
    with Crowd(victim, 300, sources, upgrade("/ws/stream_features"), message("init")) as crowd:
        said = good_client(victim, 4)
        status = victim.ask("/v1/features")[0]
        assert status == 200, f"a client with a key had {status}"
    return f"{said}; {crowd.opened} connections"


def secure_resets(victim, rounds=120):
    """RST at every stage of a handshake, and bytes that are not a handshake."""
    def hello():
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = victim.context.wrap_bio(incoming, outgoing)
        with contextlib.suppress(ssl.SSLWantReadError):
            session.do_handshake()
        return session, incoming, outgoing, outgoing.read()

    rng = random.Random(1)
    count = 0
    for k in range(rounds):
        for stage in range(7):
            s = victim.reach()
            session, incoming, outgoing, first = hello()
            with contextlib.suppress(OSError, ssl.SSLError):
                if stage == 1:
                    s.sendall(first[: rng.randrange(1, len(first))])
                elif stage == 2:
                    s.sendall(first)
                elif stage >= 3:
                    broken = bytearray(first)
                    if stage == 3:
                        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
                    s.sendall(broken)
                    if stage == 4:
                        s.recv(10)
                    if stage >= 5:
                        incoming.write(s.recv(1 << 16))
                        session.do_handshake()
                        finish = outgoing.read()
                        s.sendall(finish[: len(finish) // 2] if stage == 5 else finish)
                        if stage == 6:
                            session.write(request("/openapi.json") * 5)
                            record = bytearray(outgoing.read())
                            if k % 2:
                                record[-1] ^= 1
                            s.sendall(record)
            reset(s)
            count += 1
    with Crowd(victim, 300, [f"127.0.2.{k}" for k in range(1, 101)], b"\x16\x03\x01\x02\x00\x01"):
        said = good_client(victim, 3)
    for junk in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"a" * 70000, b"\0" * 70000):
        with victim.reach() as s, contextlib.suppress(OSError):
            s.sendall(junk)
            assert b"HTTP" not in everything(s, 1)
    return f"{count} resets at 7 stages; among handshakes that hang {said}"


def slow_readers(victim):
    """Large responses and streams that are requested and not read, for longer than the write deadline."""
    sockets = []
    for k in range(1, 9):
        for _ in range(8):
            s = victim.reach(f"127.0.4.{k}", receive=2048)
            s.sendall(request("/v1/field?format=json", victim.key) * 20)
            sockets.append(s)
        for _ in range(8):
            s = victim.reach(f"127.0.4.{k}", receive=2048)
            s.sendall(request("/v1/stream?since=0", victim.key))
            sockets.append(s)
    said = good_client(victim, 12)
    for s in sockets:
        with contextlib.suppress(OSError):
            s.setblocking(False)
            s.recv(1)
        reset(s)
    return said


def too_long(victim):
    """Impossible lengths."""
    table = {
        "1000000000000": {413}, "65537": {413}, "18446744073709551615": {413}, "18446744073709551616": {400, 413},
        "9" * 400: {400, 413}, "-1": {400}, "+1": {400}, "0x10": {400}, "1 1": {400}, "1,1": {400}, "": {400},
    }
    for length, want in table.items():
        for key in (None, victim.admin):
            head = request("/v1/nernst", key, "POST", more=[f"Content-Length: {length}", "Content-Type: application/json"])
            with victim.reach() as s:
                s.sendall(head + b"{" * 1000)
                got = statuses(everything(s))
            assert len(got) == 1 and got[0] in want, f"Content-Length: {length[:30]} with {key and 'a key'}: {got}"
    return f"{2 * len(table)} lengths refused"


def hostile_json(victim):
    """JSON that is deep, huge, with repeated keys, cut off or malformed: each is refused with one response below 500."""
    deep = [opener * n for opener in (b"[", b'{"a":', b'{"items":[') for n in (10, 1000, 10000) if len(opener) * n < 65536]
    deep += [b"[" * 30000 + b"]" * 30000]
    numbers = [b"1e999", b"-1e999", b"1e-999", b"9" * 5000, b"1." + b"0" * 5000 + b"1", b"-0", b"01", b"1.", b".5", b"+1",
               b"NaN", b"Infinity", b"18446744073709551616", b"0x10", b"1e", b"--1", b"1e99999999999999999999"]
    texts = [b'"\x00"', b'"\xff\xfe"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\u0000"', b'"' + b"a" * 60000, b'"\\',
             b"\xef\xbb\xbf{}", b"{}\0", b"", b" " * 60000, b"{}{}", b"nul", b"tru", b'{"a":1,}', b"[,]", b"\x00" * 100]
    bodies_ = deep + numbers + texts
    fields = {"/v1/nernst": b"z_valence", "/v1/simulate": b"steps", "/v1/stimuli": b"items"}
    for field in fields.values():
        bodies_ += [b'{"%s":%s}' % (field, value) for value in numbers + texts[:7] + deep]
        bodies_ += [b'{"%s":1,"%s":1}' % (field, field), b'{"%s":' % field, b'{"%s"' % field]
    bodies_ += [b'{"z_valence":1,"concentration_out_molar":%s,"concentration_in_molar":1}' % n for n in numbers]
    bodies_ += [b'{"items":[{"row":%s,"col":0,"volts":0}]}' % n for n in numbers]
    bodies_ += [b'{"items":[' + b",".join([b'{"row":1,"col":1,"volts":1}'] * 2000) + b"]}"]
    count = 0
    with victim.reach(timeout=5) as s:
        reader = s.makefile("rb")
        for route in fields:
            for body in bodies_:
                s.sendall(request(route, victim.admin, "POST", body))
                status = int(reader.readline().split()[1])
                length = 0
                while (line := reader.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                answer = json.loads(reader.read(length))
                refused = status in (400, 422) and answer["status"] == status
                # -0, an empty text or blanks may be valid in their place; nothing huge is.
                assert refused or status in (200, 202), f"{route} {body[:60]!r}: {status} {answer}"
                count += 1
    return f"{count} bodies"


def frame(opcode, payload=b"", fin=True, masked=True, reserved=0, length=None):
    size = len(payload) if length is None else length
    head = bytes([fin << 7 | reserved << 4 | opcode])
    mark = masked << 7
    if size < 126:
        head += bytes([mark | size])
    elif size < 1 << 16:
        head += bytes([mark | 126]) + struct.pack(">H", size)
    else:
        head += bytes([mark | 127]) + struct.pack(">Q", size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def hostile_frames(victim):
    """WebSocket frames outside RFC 6455, and floods of those inside."""
    endings = {
        "reserved bits": frame(1, b"a", reserved=7),
        "reserved opcode": frame(5, b"a"),
        "not masked": frame(1, b"a", masked=False),
        "2^62 bytes": frame(1, length=1 << 62),
        "2^64 - 1 bytes": frame(2, length=(1 << 64) - 1),
        "17 KiB": frame(1, b"a" * 17408),
        "ping of 126 bytes": frame(9, b"a" * 126),
        "ping in pieces": frame(9, b"a", fin=False),
        "continuation of nothing": frame(0, b"a"),
        "text within text": frame(1, b"a", fin=False) + frame(1, b"a"),
        "no UTF-8": frame(1, b"\xff\xfe"),
        "close of one byte": frame(8, b"\x03"),
        "close 1005": frame(8, struct.pack(">H", 1005)),
        "close with bad text": frame(8, struct.pack(">H", 1000) + b"\xff"),
        "pieces without end": frame(1, b"a" * 1000, fin=False) + frame(0, b"a" * 1000, fin=False) * 40,
        "empty pieces, then too much": frame(1, b"", fin=False) + frame(0, b"", fin=False) * 5000 + frame(0, b"a" * 17408),
    }
    floods = {
        "pings": frame(9, b"a" * 100) * 20000,
        "pongs": frame(10) * 50000,
        "texts": frame(1, b"{}") * 20000,
        "empty pieces": frame(1, b"", fin=False) + frame(0, b"", fin=False) * 50000,
        "half a frame": frame(1, b"a" * 100)[:50],
        "deep JSON": frame(1, b"[" * 15000) * 20,
        "auth with anything": frame(1, b'{"type":"auth","api_key":"' + b"a" * 15000 + b'"}') * 50,
    }
    count = 0
    for route in ("/v1/ws", "/ws/stream_features", "/ws/simulation_live"):
        for name, frames in [*endings.items(), *floods.items()]:
            with victim.reach(timeout=3) as s:
                s.sendall(upgrade(route, victim.key))
                assert b" 101 " in s.recv(64), f"{route}: no 101"
                with contextlib.suppress(OSError):
                    s.sendall(frames)
                if name in endings:
                    # The daemon has to close within three seconds of silence; otherwise this loop would not end.
                    s.settimeout(3)
                    end = time.monotonic() + 3
                    with contextlib.suppress(ConnectionError):
                        while s.recv(1 << 16):
                            assert time.monotonic() < end, f"{route} goes on after {name}"
                assert victim.healthy() is not None, f"{route}, {name}: another client waited"
                reset(s)
            count += 1
    return f"{count} connections"


SEEDS = [
    ("GET", "/healthz", None), ("GET", "/", None), ("GET", "/metrics", None), ("GET", "/openapi.json", None),
    ("GET", "/v1/status", None), ("GET", "/v1/features?since=0&limit=3&wait=0", None), ("HEAD", "/readyz", None),
    ("GET", "/v1/field?format=png", None), ("GET", "/v1/field?format=npy&step=1", None), ("GET", "/v1/stream?since=1", None),
    ("GET", "/v1/ws", None), ("GET", "/v1/outbox/dead", None), ("POST", "/v1/outbox/flush", None),
    ("POST", "/v1/nernst", b'{"z_valence":1,"concentration_out_molar":0.005,"concentration_in_molar":0.14}'),
    ("POST", "/v1/simulate", b'{"seed":1,"grid_size":8,"steps":3,"model":"turing"}'),
    ("POST", "/v1/stimuli", b'{"items":[{"row":3,"col":4,"volts":0.02}]}'),
    ("PUT", "/v1/endpoints/cloud/breaker", b'{"state":"open"}'),
]
FIELDS = [
    "Accept-Encoding: gzip", "Accept: application/openmetrics-text", "If-None-Match: *", "Connection: close",
    "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Transfer-Encoding: chunked",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Expect: 100-continue", "Content-Length: 0", "Content-Length: 5",
    "Host: b", "X-Request-Id: a.b-c_d", "Last-Event-ID: 0000000000000001-5", "Authorization: Bearer x", "Host:",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate: a=b,c=d", "Range: bytes=0-1",
]
BYTES = [b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b":", b"%", b"%00", b"%2e%2e/", b"?", b"&", b"=", b"\xff", b"\t", b"{",
         b"[", b'"', b"\\", b"HTTP/1.1", b"HTTP/1.0", b"99999999999999999999", b"-1", b"a" * 300, b"a" * 9000, b"\x80"]


def mutated(rng, victim):
    """One to four requests, each damaged in up to four places: in its fields, its bytes or its end."""
    text = b""
    for _ in range(rng.choice((1, 1, 2, 4))):
        method, target, body = rng.choice(SEEDS)
        more = rng.sample(FIELDS, rng.choice((0, 0, 1, 2, 5)))
        one = request(target, rng.choice((victim.admin, victim.admin, victim.key, None, "myc_x")), method, body, more)
        one = bytearray(one)
        for _ in range(rng.choice((0, 1, 1, 2, 4))):
            at, to = sorted(rng.randrange(len(one) + 1) for _ in "ab")
            match rng.randrange(7):
                case 0:
                    one[at:at] = rng.choice(BYTES)
                case 1:
                    one[at:at + 1] = bytes([rng.randrange(256)])
                case 2:
                    del one[at:min(to, at + 20)]
                case 3:
                    one[at:at] = one[at:to]
                case 4:
                    lines = bytes(one).split(b"\r\n")
                    lines.insert(rng.randrange(len(lines)), rng.choice(lines))
                    one = bytearray(b"\r\n".join(lines))
                case 5:
                    lines = bytes(one).split(b"\r\n")
                    rng.shuffle(lines)
                    one = bytearray(b"\r\n".join(lines))
                case 6:
                    one[at:to] = rng.choice(BYTES)
        text += bytes(one)
    return text


def fuzz(victim, seconds, seed):
    """Valid requests, damaged in places, sent in pieces, ended in three ways. A 500 or an unknown status is a finding."""
    end = time.monotonic() + seconds
    counts, findings, lock = {}, [], threading.Lock()

    def work(number):
        rng = random.Random(f"{seed}.{number}")
        source = f"127.0.5.{number + 1}"
        while time.monotonic() < end and not findings:
            text = mutated(rng, victim)
            try:
                with victim.reach(source, 5) as s:
                    at = 0
                    while at < len(text):
                        to = len(text) if rng.random() < 0.7 else rng.randrange(at, len(text)) + 1
                        s.sendall(text[at:to])
                        at = to
                    if (ending := rng.randrange(3)) == 0:
                        reset(s)
                        continue
                    if ending == 1:
                        s.shutdown(socket.SHUT_WR)
                    got = statuses(everything(s, 0.05, 1 << 20))
            except OSError:
                continue  # closed while we were sending, or evicted: both are correct
            with lock:
                for status in got or [0]:
                    counts[status] = counts.get(status, 0) + 1
                    # 100 and 101 precede the final status; 0 means no response yet.
                    if status not in KNOWN | {0, 100, 101}:
                        findings.append((status, text))

    threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(8)]
    for thread in threads:
        thread.start()
    worst = 0.0
    while any(thread.is_alive() for thread in threads):
        if time.monotonic() < end:
            took = victim.healthy()
            if took is None and victim.healthy(5) is None:
                findings.append((0, b"another client was not answered within five seconds"))
            worst = max(worst, took or 1.0)
        time.sleep(0.1)
    assert not findings, f"seed {seed}: {findings[0]}"
    assert counts.get(200, 0) > 10 and counts.get(400, 0) > 10, f"this fuzzer reaches nothing: {counts}"
    said = ", ".join(f"{n} x {status or 'no answer'}" for status, n in sorted(counts.items()))
    return f"seed {seed}: {said}; /healthz {worst * 1e3:.0f} ms at worst"


def descriptors(victim):
    """More connections than there are descriptors; the good client is served, and the outbox continues to write."""
    with Crowd(victim, 300, [f"127.0.2.{k}" for k in range(1, 101)], b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ", b"a"):
        said = good_client(victim, 4)
    victim.next_commit()
    assert victim.degraded() == 0 and "degraded" not in victim.whole_log(), victim.logged()
    return said


@contextlib.contextmanager
def few_descriptors(limit=40):
    """The daemon started with a limit, as by prlimit."""
    binary = os.path.abspath(running.BINARY)
    with tempfile.TemporaryDirectory(prefix="mycelium-") as place:
        running.BINARY = os.path.join(place, "myceliumd")
        with open(running.BINARY, "w") as file:
            file.write(f'#!/bin/sh\nexec prlimit --nofile={limit} "{binary}" "$@"\n')
        os.chmod(running.BINARY, 0o755)
        try:
            with Victim(CONFIG) as victim:
                yield victim
        finally:
            running.BINARY = binary


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fuzz", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
    tally = Tally()

    def attack(victim, name, action):
        if options.names and name not in options.names:
            return
        results = []

        def run():
            victim.forget_peak()
            started = time.monotonic()
            results.append(action(victim) or "")
            results.append(victim.after())
            results.append(f"{time.monotonic() - started:.0f} s")

        tally.check(name, run)
        if results:
            print(f"       {'; '.join(filter(None, results))}", flush=True)

    with Victim(CONFIG) as victim:
        for action in (loris, loris_of_many, silence, bodies, pipeline, unread_pipeline, unread_documents, resets, slow_readers, too_long,
                       hostile_json, hostile_frames, strangers, simulations, live_simulations):
            attack(victim, action.__name__, action)
        attack(victim, "fuzz", lambda v: fuzz(v, options.fuzz, options.seed))
        # A limit lowered below what is in use.
        if not options.names or "lowered_descriptors" in options.names:
            limit = victim.rest.total() + 6
            resource.prlimit(victim.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        attack(victim, "lowered_descriptors", descriptors)
    with few_descriptors() as victim:
        attack(victim, "few_descriptors", descriptors)
    with SecureVictim(CONFIG) as victim:
        attack(victim, "secure_unread_documents", secure_unread_documents)
        attack(victim, "secure_resets", secure_resets)
    tally.exit()


main()
