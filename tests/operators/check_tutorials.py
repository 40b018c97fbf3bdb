#!/usr/bin/env python3
"""README.md, docs/tutorials and docs/SECRETS.md, word for word against the real binary: check_tutorials.py [PAGE ...]

Every fenced block follows a comment that says how it is checked:

  <!-- check: run -->                 run by bash in the page's own empty directory, one after the other; must exit with 0
  <!-- check: run clean -->           and warn of nothing
  <!-- check: run exits=78 -->        and with that code where another is meant
  <!-- check: run gives up after=SECONDS -->  what watches for ever is ended then
  <!-- check: release -->             run in a copy of dist/release (or RELEASE), if there is one, with a sudo that installs into a
                                      directory
  <!-- check: prints -->              lines the block before has printed, in this order; `..` stands for anything
  <!-- check: starts until=TEXT -->   a program that goes on; the block is left once it has said TEXT
  <!-- check: says -->                lines that program has written, as `prints`; those still to come are waited for
  <!-- check: stops -->               `^C`, which ends that program; its exit code must be 0
  <!-- check: file NAME -->           kept under that name for the blocks behind it
  <!-- check: yaml -->                parses as YAML
  <!-- check: config -->              a configuration that `myceliumd check` accepts; secrets it names are made up
  <!-- check: unit -->                a drop-in that systemd-analyze verify accepts on top of deploy/myceliumd.service
  <!-- check: elsewhere -->           commands for another machine: bash can parse them, the files of this repository and the
                                      options and commands of myceliumd in them exist
  <!-- check: log -->                 log lines that docs/LOGS.md has, or the source
  <!-- check: answer -->              details of problems that the source has

Texts in back-ticks in the first column of tables are messages: the source has them too.

Ports 8600 and 9900 are replaced by free ones. Needs PyYAML, curl, numpy, and systemd-analyze for `unit`.
"""

import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
PAGES = [os.path.join(ROOT, "README.md"), *sorted(glob.glob(os.path.join(ROOT, "docs", "tutorials", "*.md"))), os.path.join(ROOT, "docs", "SECRETS.md")]
BINARY = os.path.abspath(os.environ.get("MYCELIUMD", os.path.join(ROOT, "target/release/myceliumd")))
RELEASE = os.environ.get("RELEASE", os.path.join(ROOT, "dist", "release"))
TIMEOUT_S = 120  # seconds for one block, also on a busy machine
FENCE = re.compile(r"(?:^<!-- check: (.*?) -->\n)?^```(\S*)\n(.*?)^```$", re.M | re.S)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_like(shown, line):
    """Whether a printed line is one of the page, where `..` and `…` stand for anything."""
    pattern = ".*".join(re.escape(part) for part in re.split(r" ?(?:\.\.+|…) ?", " ".join(shown.split())))
    return re.search(pattern, " ".join(line.split())) is not None


def in_order(shown, text):
    """None when each shown line is found behind the one before, else the first that is not."""
    lines = iter(text.splitlines())
    for line in filter(None, map(str.strip, shown.splitlines())):
        if not any(is_like(line, printed) for printed in lines):
            return line
    return None


def sources():
    text = []
    folders = (folder for top in ("src", "crates") for folder in os.walk(os.path.join(ROOT, top)))
    for folder, _, names in folders:
        for name in names:
            if name.endswith((".rs", ".html")):
                with open(os.path.join(folder, name)) as file:
                    text.append(file.read())
    # A literal that goes on in the next line is one text.
    return re.sub(r"\\\n\s*", "", "\n".join(text))


SOURCE = sources()
with open(os.path.join(ROOT, "docs", "LOGS.md")) as logs:
    LOGGED = re.findall(r"^\| (ERROR|WARN) \| `(.*?)` \|", logs.read(), re.M)


def literal(text):
    """Whether the source has this text, its `..` being holes: each piece of some length is in one and the same literal."""
    holes = [re.escape(part) for part in re.split(r"\.\.+|…", text)]
    return re.search(r"[^\"\n]*?".join(holes), SOURCE.replace('\\"', "'")) is not None


def check_log(line):
    level, text = re.fullmatch(r"(ERROR|WARN|INFO)\s+\[.*?\] (.*)", line).groups()
    if level == "INFO":
        pieces = [piece for piece in re.split(r"\.\.+|…", text) if piece.strip()]
        if not any(piece in SOURCE for piece in pieces):
            raise AssertionError(f"no such line in the source: {line}")
        return
    for known, row in LOGGED:
        pattern = ".+".join(re.escape(part) for part in row.split("{..}"))
        if known == level and re.fullmatch(pattern, text):
            return
    raise AssertionError(f"no such row in docs/LOGS.md: {line}")


class Page:
    """One tutorial in its own directory with its own ports."""

    def __init__(self, path, directory):
        self.name = os.path.relpath(path, ROOT)
        with open(path) as file:
            self.text = file.read()
        self.directory = directory
        self.ports = {"8600": str(free_port()), "9900": str(free_port())}
        programs = os.path.join(directory, ".bin")
        os.mkdir(programs)
        os.symlink(BINARY, os.path.join(programs, "myceliumd"))
        self.work = os.path.join(directory, "work")
        os.mkdir(self.work)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MYCELIUM")}
        self.environment = {
            **kept,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "MYCELIUMD_API__LISTEN": f"127.0.0.1:{self.ports['8600']}",
            # A page checks its commands, not how much room this machine has left.
            "MYCELIUMD_OUTBOX__KEEP_FREE_BYTES": "0",
            "MYCELIUMD_DEVICE__ID": "greenhouse-3",
        }
        self.running, self.printed = [], ""

    def own(self, text):
        for shown, real in self.ports.items():
            text = re.sub(rf"\b{shown}\b", real, text)
        return text

    def bash(self, code, wait=True, limit=None):
        out = open(os.path.join(self.directory, f"out{len(self.running)}.{time.monotonic_ns()}"), "w+")
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", self.own(code)], cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        if not wait:
            return process, out
        try:
            process.wait(limit or TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)
            if limit is None:
                raise AssertionError(f"did not end within {TIMEOUT_S} s") from None
            process.returncode = 0
        out.seek(0)
        return process.returncode, out.read()

    def run(self, code, rest):
        limit = re.search(r"gives up after=(\d+)", rest)
        wanted = re.search(r"exits=(\d+)", rest)
        status, self.printed = self.bash(code, limit=int(limit[1]) if limit else None)
        if status != (int(wanted[1]) if wanted else 0):
            raise AssertionError(f"exits with {status}: {self.printed[-1500:]}")
        if rest == "clean" and re.search(r"\bwarn", self.printed, re.I):
            raise AssertionError(f"warns: {self.printed[-1500:]}")

    def release(self, code, _):
        if not os.path.exists(os.path.join(RELEASE, "SHA256SUMS")):
            print(f"NOT checked: {code.splitlines()[0]}: no release in {RELEASE}; run cross/release.sh")
            return
        with tempfile.TemporaryDirectory() as directory:
            place, programs = os.path.join(directory, "release"), os.path.join(directory, "bin")
            shutil.copytree(RELEASE, place)
            os.mkdir(programs)
            with open(os.path.join(programs, "sudo"), "w") as file:
                file.write(f'#!/bin/sh\nDESTDIR={directory}/root exec "$@"\n')
            os.chmod(file.name, 0o755)
            environment = {**self.environment, "PATH": f"{programs}:{self.environment['PATH']}"}
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", code], cwd=place, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise AssertionError(done.stdout + done.stderr)
            installed = os.path.join(directory, "root", "usr", "local", "bin", "myceliumd")
            subprocess.run([installed, "--version"], check=True, capture_output=True)

    def starts(self, code, rest):
        until = re.search(r"until=(.*)", rest)[1]
        process, out = self.bash(code, wait=False)
        self.running.append((process, out))
        end = time.monotonic() + TIMEOUT_S
        while not in_order(until, self.said()) is None:
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"has not said {until!r} ({process.poll()}): {self.said()}")
            time.sleep(0.05)

    def said(self):
        with open(self.running[-1][1].name) as file:
            return file.read()

    def says(self, shown):
        end = time.monotonic() + (TIMEOUT_S if self.running[-1][0].poll() is None else 0)
        while in_order(self.own(shown), self.said()) is not None and time.monotonic() < end:
            time.sleep(0.05)
        self.shows(self.said(), shown)

    def stops(self, code, _):
        assert code.strip() == "^C", "only ^C stops a program"
        process, _ = self.running[-1]
        os.killpg(process.pid, signal.SIGINT)
        process.wait(TIMEOUT_S)
        if process.returncode:
            raise AssertionError(f"the program that was started exits with {process.returncode}: {self.said()}")

    def shows(self, text, shown):
        missing = in_order(self.own(shown), text)
        if missing is not None:
            raise AssertionError(f"not printed: {missing!r} in {text[-1500:]}")

    def file(self, text, name):
        with open(os.path.join(self.work, name), "w") as file:
            file.write(self.own(text))

    def config(self, text, _):
        with tempfile.TemporaryDirectory() as directory:
            for name in re.findall(r'(\w*secret_file|key_file|ca_file) = "(.*?)"', text):
                made = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" if "secret" in name[0] else "myc_" + "A" * 43
                with open(os.path.join(directory, os.path.basename(name[1])), "w") as file:
                    file.write(made)
                text = text.replace(f'"{name[1]}"', f'"{os.path.basename(name[1])}"')
            path = os.path.join(directory, "page.toml")
            with open(path, "w") as file:
                file.write(text)
            environment = {"PATH": self.environment["PATH"], "CREDENTIALS_DIRECTORY": directory}
            done = subprocess.run([BINARY, "check", "--config", path], capture_output=True, text=True, env=environment)
            if done.returncode:
                raise AssertionError(done.stderr)

    def unit(self, text, _):
        with tempfile.TemporaryDirectory() as directory:
            unit = os.path.join(directory, "myceliumd.service")
            with open(os.path.join(ROOT, "deploy", "myceliumd.service")) as file:
                own = file.read()
            # verify wants the program to exist; systemd before 253 does not know the second type.
            own = own.replace("/usr/bin/myceliumd", "/bin/true").replace("Type=notify-reload\n", "")
            own = re.sub(r"^Documentation=.*\n", "", own, flags=re.M)
            with open(unit, "w") as file:
                file.write(own)
            os.mkdir(unit + ".d")
            with open(os.path.join(unit + ".d", "page.conf"), "w") as file:
                file.write(text)
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
            found = [line for line in done.stderr.splitlines() if directory in line]
            if found:
                raise AssertionError("\n".join(found))

    def elsewhere(self, code, _):
        parsed = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True)
        if parsed.returncode:
            raise AssertionError(parsed.stderr)
        for path in re.findall(r"(?<![\w/.])((?:cross|deploy|docs|tests)/[\w./-]+)", code):
            if not os.path.exists(os.path.join(ROOT, path)):
                raise AssertionError(f"this repository has no {path}")
        plain = re.sub(r"\\\n", " ", re.sub(r"(^|\s)#.*", r"\1", code))
        for command in re.findall(r"(?<![\w.-])myceliumd(?= ([^|;&)\n]*))", plain):
            words = command.split()
            if not words or not words[0][0].isalpha():
                continue  # a name in another program's arguments
            help_text = subprocess.run([BINARY, words[0], "--help"], capture_output=True, text=True)
            known = help_text.stdout if help_text.returncode == 0 else ""
            if not known:
                raise AssertionError(f"myceliumd has no command {words[0]!r}")
            for option in [word for word in words if word.startswith("--")]:
                if option not in known:
                    raise AssertionError(f"myceliumd {words[0]} has no option {option}")

    def block(self, how, code):
        verb, _, rest = how.partition(" ")
        match verb:
            case "run": self.run(code, rest)
            case "release": self.release(code, rest)
            case "prints": self.shows(self.printed, code)
            case "starts": self.starts(code, rest)
            case "says": self.says(code)
            case "stops": self.stops(code, rest)
            case "file": self.file(code, rest)
            case "yaml": list(yaml.safe_load_all(code))
            case "config": self.config(code, rest)
            case "unit": self.unit(code, rest)
            case "elsewhere": self.elsewhere(code, rest)
            case "log":
                for line in filter(None, map(str.strip, code.splitlines())):
                    check_log(line)
            case "answer":
                for line in filter(None, map(str.strip, code.splitlines())):
                    if not literal(line):
                        raise AssertionError(f"no such text in the source: {line}")
            case _:
                raise AssertionError(f"{how!r} is no way to check a block")

    def check(self):
        count = 0
        if self.text.count("\n```") != 2 * len(FENCE.findall(self.text)):
            raise AssertionError("a fence is not closed")
        for found in FENCE.finditer(self.text):
            line = self.text[:found.start()].count("\n") + 1
            try:
                if found[1] is None:
                    raise AssertionError("no comment says how this block is checked")
                self.block(found[1], found[3])
            except Exception as fault:
                raise AssertionError(f"{self.name}:{line}: {fault}") from fault
            count += 1
        for row in re.findall(r"^\| (`.*?) \|", self.text, re.M):
            for text in re.findall(r"`(.*?)`", row):
                if not literal(re.sub(r"^status \d+$", "status ..", text)):
                    raise AssertionError(f"{self.name}: no such text in the source: {text}")
        if not count:
            raise AssertionError(f"{self.name} has no block")
        return count

    def end(self):
        for process, out in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            out.close()


def main(pages):
    pages = pages or PAGES
    failed = 0
    for path in pages:
        with tempfile.TemporaryDirectory(prefix="mycelium-") as directory:
            page = Page(path, directory)
            try:
                print(f"ok     {page.name}: {page.check()} blocks", flush=True)
            except AssertionError as fault:
                failed += 1
                print(f"FAILED {fault}", flush=True)
            finally:
                page.end()
    print(f"{len(pages) - failed} passed, {failed} failed")
    sys.exit(1 if failed or not pages else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
