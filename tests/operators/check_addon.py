#!/usr/bin/env python3
"""deploy/home-assistant-addon: its description has what the supervisor demands and nothing it does not know, and its start script runs the
binary with a new configuration and then with the one it finds. What is not tried here is Home Assistant OS itself. Needs PyYAML.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from check_tutorials import free_port  # noqa: E402
from running import BINARY, Tally, wait_for  # noqa: E402

ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
PLACE = os.path.join(ROOT, "deploy", "home-assistant-addon")
with open(os.path.join(PLACE, "config.yaml")) as file:
    ADDON = yaml.safe_load(file)
# The documentation for developers of add-ons, as far as it is used here.
REQUIRED = {"name", "version", "slug", "description", "arch"}
KNOWN = REQUIRED | {"startup", "boot", "init", "map", "ports", "ports_description", "webui", "watchdog", "environment"}
tally = Tally()


def description():
    assert REQUIRED <= set(ADDON) <= KNOWN, set(ADDON) ^ KNOWN
    with open(os.path.join(ROOT, "Cargo.toml")) as file:
        assert ADDON["version"] == re.search(r'^version = "(.*)"', file.read(), re.M)[1]
    assert set(ADDON["arch"]) <= {"aarch64", "amd64", "armhf", "armv7", "i386"} and ADDON["startup"] in ("initialize", "system", "services", "application", "once")
    assert set(ADDON["ports"]) == set(ADDON["ports_description"]) == {"8600/tcp"}
    with open(os.path.join(PLACE, "Dockerfile")) as file:
        copied = re.findall(r"^COPY .*?(\S+) \S+$", file.read(), re.M)
    assert copied == ["${BUILD_ARCH}/myceliumd", "run.sh"] and os.access(os.path.join(PLACE, "run.sh"), os.X_OK)


def the_script_starts_it():
    with tempfile.TemporaryDirectory(prefix="mycelium-addon-") as place:
        os.mkdir(os.path.join(place, "bin"))
        shutil.copy(BINARY, os.path.join(place, "bin", "myceliumd"))
        config = os.path.join(place, "config")
        os.mkdir(config)
        with open(os.path.join(PLACE, "run.sh")) as source, open(os.path.join(place, "run.sh"), "w") as file:
            file.write(source.read().replace("/config/", config + "/"))
        environment = {**ADDON["environment"], "PATH": f"{place}/bin:{os.environ['PATH']}", "MYCELIUMD_OUTBOX__KEEP_FREE_BYTES": "0",
                       "MYCELIUMD_API__LISTEN": f"127.0.0.1:{free_port()}"}
        for start in range(2):
            process = subprocess.Popen(["sh", os.path.join(place, "run.sh")], env=environment, stderr=subprocess.PIPE, text=True)
            try:
                healthy = [BINARY, "health", f"http://{environment['MYCELIUMD_API__LISTEN']}"]
                wait_for("it is healthy", lambda: subprocess.run(healthy, capture_output=True).returncode == 0 or process.poll() is not None)
                assert process.poll() is None, process.stderr.read()
            finally:
                process.terminate()
                assert process.wait(15) == 0, "it does not stop by SIGTERM"
            made = os.path.join(config, "myceliumd.toml")
            with open(made) as file:
                text = file.read()
            assert "# grid = 64" in text and (start == 0 or "mine" in text), "the configuration was overwritten"
            with open(made, "a") as file:
                file.write("# mine\n")
        assert stat.S_IMODE(os.stat(os.path.join(config, "data", "api.key")).st_mode) == 0o600


for check in (description, the_script_starts_it):
    tally.check(check.__name__.replace("_", " "), check)
tally.exit()
