#!/usr/bin/env python3
"""deploy/compose.yaml: plain YAML with the limits its comments promise, whose secrets and configuration exist and are what the
binary takes when they are made as the comments say. Needs PyYAML.
"""

import os
import re
import subprocess
import sys
import tempfile

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from running import BINARY, Tally  # noqa: E402

DEPLOY = os.path.normpath(os.path.join(HERE, "..", "..", "deploy"))
with open(os.path.join(DEPLOY, "compose.yaml")) as file:
    TEXT = file.read()
DOCUMENT = yaml.safe_load(TEXT)
SERVICE = DOCUMENT["services"]["myceliumd"]
tally = Tally()


def keys_are_known():
    """Some versions of compose silently ignore a misspelt key, and with it the limit."""
    assert set(DOCUMENT) == {"services", "secrets", "configs", "volumes"}, set(DOCUMENT)
    assert set(SERVICE) == {"build", "image", "read_only", "mem_limit", "memswap_limit", "pids_limit", "cap_drop", "security_opt",
                            "restart", "stop_grace_period", "ports", "volumes", "environment", "secrets", "command", "configs"}, set(SERVICE)


def limits():
    assert SERVICE["read_only"] is True and SERVICE["cap_drop"] == ["ALL"], SERVICE
    assert SERVICE["mem_limit"] == SERVICE["memswap_limit"] == "16m" and 0 < SERVICE["pids_limit"] <= 64, SERVICE
    assert SERVICE["security_opt"] == ["no-new-privileges:true"] and "privileged" not in SERVICE
    for port in SERVICE["ports"]:
        assert port.startswith("127.0.0.1:"), f"{port} is open to the network"


def paths():
    """Everything mounted is declared and everything declared is used; only a volume is writable."""
    assert set(SERVICE["secrets"]) == set(DOCUMENT["secrets"]), "secrets declared and used"
    assert SERVICE["environment"]["CREDENTIALS_DIRECTORY"] == "/run/secrets"
    for name, secret in DOCUMENT["secrets"].items():
        assert secret == {"file": f"../secrets/{name}"}, "a key in this file would be in the repository"
    assert {volume.split(":")[0] for volume in SERVICE["volumes"]} == set(DOCUMENT["volumes"])
    config, = SERVICE["configs"]
    assert config["target"] == SERVICE["command"][-1] and SERVICE["command"][:2] == ["run", "--config"], SERVICE["command"]
    assert os.path.exists(os.path.join(DEPLOY, DOCUMENT["configs"][config["source"]]["file"]))


def as_the_comments_say():
    """The commands at its top create the secrets, and the binary accepts them with the webhook of the comment at its end."""
    commands = "\n".join(re.findall(r"^#   ((?:mkdir|\(umask) .*)$", TEXT, re.M))
    hook = "\n".join(re.findall(r'^#   (\[\[webhooks\]\]|\w+ = ".*")$', TEXT, re.M))
    assert commands.count("\n") == 1 and hook.count("\n") == 3, (commands, hook)
    with tempfile.TemporaryDirectory() as place:
        bin_ = os.path.join(place, "bin")
        os.mkdir(bin_)
        os.symlink(os.path.abspath(BINARY), os.path.join(bin_, "myceliumd"))
        environment = {"PATH": f"{bin_}:{os.environ['PATH']}"}
        subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=place, env=environment, check=True, capture_output=True)
        made = {name: open(os.path.join(place, "secrets", name)).read() for name in DOCUMENT["secrets"]}
        assert re.fullmatch(r"myc_[\w-]{43}\n", made["poller.key"]), "poller.key"
        for name in made:
            assert os.stat(os.path.join(place, "secrets", name)).st_mode & 0o777 == 0o400, f"{name} can be read by others"
        with open(os.path.join(DEPLOY, "compose.toml")) as file:
            text = f"{file.read()}\n{hook}\n"
        assert re.findall(r'^scope = "(.*)"$', text, re.M) == ["read"], "a poller needs no other scope"
        config = os.path.join(place, "myceliumd.toml")
        with open(config, "w") as file:
            file.write(text)
        credentials = {**environment, "CREDENTIALS_DIRECTORY": os.path.join(place, "secrets")}

        def check():
            return subprocess.run(["myceliumd", "check", "--config", config], env=credentials, capture_output=True, text=True)
        done = check()
        assert done.returncode == 0, done.stderr
        # The secret is read, not only named.
        os.chmod(os.path.join(place, "secrets", "webhook.secret"), 0o644)
        with open(os.path.join(place, "secrets", "webhook.secret"), "w") as file:
            file.write("whsec_short\n")
        assert check().returncode == 78, "an invalid secret is accepted"


for check in (keys_are_known, limits, paths, as_the_comments_say):
    tally.check(check.__name__, check)
tally.exit()
