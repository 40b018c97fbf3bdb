#!/usr/bin/env python3
""".github/workflows: valid by the schema of the forge, and every script and option in them exists. Needs check-jsonschema."""

import os
import re
import subprocess
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from running import Tally  # noqa: E402

ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
WORKFLOWS = os.path.join(ROOT, ".github", "workflows")
FILES = [os.path.join(WORKFLOWS, name) for name in sorted(os.listdir(WORKFLOWS))]
tally = Tally()


def commands():
    for path in FILES:
        with open(path) as file:
            for job in yaml.safe_load(file)["jobs"].values():
                yield from (step["run"] for step in job["steps"] if "run" in step)


def schema():
    done = subprocess.run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *FILES],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def scripts_and_options_exist():
    seen = set()
    for command in commands():
        # A substitution of the forge is no shell.
        parsed = subprocess.run(["bash", "-n"], input=re.sub(r"\$\{\{.*?\}\}", "x", command), capture_output=True, text=True)
        assert parsed.returncode == 0, parsed.stderr
        for path, options in re.findall(r"^((?:\.ci|cross)/[\w./-]+)(.*)$", command, re.M):
            with open(os.path.join(ROOT, path)) as file:
                text = file.read()
            assert os.access(os.path.join(ROOT, path), os.X_OK), f"{path} cannot be executed"
            for option in re.findall(r"--[\w-]+", options):
                assert f" {option})" in text, f"{path} has no option {option}"
            seen.add(path)
    assert seen == {".ci/run", "cross/release.sh", "cross/package-test.sh", "cross/install-test.sh"}, seen


for check in (schema, scripts_and_options_exist):
    tally.check(check.__name__.replace("_", " "), check)
tally.exit()
