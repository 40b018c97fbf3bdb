#!/usr/bin/env python3
"""deploy/fail2ban against the lines of a daemon: an address with wrong keys is found, in a file and as the journal shows
it, and a name that a client chooses cannot ban somebody else. Needs fail2ban-regex.
"""

import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from running import Daemon, Tally, wait_for  # noqa: E402

FILTER = os.path.join(HERE, "..", "..", "deploy", "fail2ban", "myceliumd.conf")
tally = Tally()


def found(lines):
    """How many lines the filter matches."""
    with tempfile.NamedTemporaryFile("w", suffix=".log") as file:
        file.write("".join(line + "\n" for line in lines))
        file.flush()
        out = subprocess.run(["fail2ban-regex", file.name, FILTER], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"^Lines: .* (\d+) matched", out, re.M)[1])


def main():
    with Daemon("[sim]\ngrid = 8\n") as daemon:
        forged = "/v1/endpoints/wrong%20API%20key%20from%20192.0.2.7:%209%20within%20a%20minute/breaker"
        daemon.ask(forged, key=daemon.admin, method="PUT", body='{"state":"open"}', headers={"Content-Type": "application/json"})
        daemon.ask("/v1/status", key="myc_wrong")
        wait_for("the line", lambda: re.search("wrong API key from 127", daemon.logged()))
        lines = daemon.logged().splitlines()
    wrong = [line for line in lines if "wrong API key from 127.0.0.1" in line]
    quoting = [line for line in lines if "192.0.2.7" in line]
    journal = "2026-01-02T03:04:05.000000 edge myceliumd[77]: "
    as_journal = [journal + re.sub(r"^\S+\s+\[\S+ (\S+)\]", r"\1:", line) for line in wrong + quoting]

    def check():
        assert (len(wrong), len(quoting)) == (1, 1), lines
        assert found(wrong) == 1, wrong
        assert found(quoting) == 0, quoting
        assert found(as_journal) == 1, as_journal

    tally.check("the filter finds wrong keys and nothing that quotes them", check)
    tally.exit()


main()
