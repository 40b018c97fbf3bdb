#!/usr/bin/env python3
"""The notebooks against the real daemon, by their own runner; --save keeps what they print and draw."""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from running import Daemon, wait_for  # noqa: E402

RUNNER = os.path.join(HERE, "..", "..", "docs", "notebooks", "run.py")
CONFIG = """
[sim]
grid = 64
seed = 1
tick_ms = 2
[features]
every = 20
[outbox]
keep_free_bytes = 0
[api.rate]
per_second = 100
burst = 200
"""

with Daemon(CONFIG, device="notebook") as daemon:
    # Long enough to show the pattern, not the noise it grows from.
    wait_for("the pattern has formed", lambda: daemon.json("/v1/status")["step"] > 6000, 60)
    environment = {**os.environ, "MYCELIUM_URL": daemon.url, "MYCELIUM_KEY": daemon.admin}
    sys.exit(subprocess.run([sys.executable, RUNNER, *sys.argv[1:]], env=environment).returncode)
