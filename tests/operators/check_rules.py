#!/usr/bin/env python3
"""Rules and alerts under promtool: valid, tested, and the tests notice when an alert is missing or always fires.

Needs promtool (Debian: prometheus) and PyYAML.
"""

import os
import re
import subprocess
import sys
import tempfile

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from running import Tally  # noqa: E402

DEPLOY = os.path.join(HERE, "..", "..", "deploy", "prometheus")
ROOT = os.path.join(HERE, "..", "..")
RULES, ALERTS = (os.path.join(DEPLOY, f"mycelium.{kind}.yml") for kind in ("rules", "alerts"))
TESTS = os.path.join(HERE, "alerts_test.yml")
# Fires for every device: no test that expects silence may pass with it.
WOLF = 'count by (device) ({device=~".+"}) > 0'
tally = Tally()


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def accepted(*arguments):
    code, said = promtool(*arguments)
    assert code == 0, said


def alerts():
    with open(ALERTS) as file:
        return [rule for group in yaml.safe_load(file)["groups"] for rule in group["rules"]]


def every_alert_says_what_to_do():
    for rule in alerts():
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
        assert rule["annotations"]["summary"] and rule["annotations"]["description"], rule["alert"]


def the_runbook_has_one_section_for_each_alert():
    """Seen red with a section renamed, and with an alert that points to the section of another."""
    with open(os.path.join(ROOT, "docs", "RUNBOOK.md")) as file:
        runbook = file.read()
    sections = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", runbook, re.M | re.S))
    assert set(sections) == {rule["alert"] for rule in alerts()}, set(sections) ^ {rule["alert"] for rule in alerts()}
    for rule in alerts():
        name = rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"docs/RUNBOOK.md#{name.lower()}", name
        assert re.findall(r"^- (\w+): ", sections[name], re.M) == ["Meaning", "Look", "Do"], name
    for anchor in re.findall(r"\]\(#(\w+)\)", runbook):
        assert anchor in {name.lower() for name in sections}, anchor
    # Metrics and keys of the configuration that it names exist.
    for page, pattern in (("METRICS.md", r"`(mfn_\w+|process_\w+)`"), ("CONFIG.md", r"`(?:api|outbox|sim|features|log|trace|breaker)\.(\w+)")):
        with open(os.path.join(ROOT, "docs", page)) as file:
            known = file.read()
        for name in re.findall(pattern, runbook):
            assert f"`{name}`" in known or f"`{name}" in known, f"docs/{page} has no {name}"


def tests_pass_with(name, change):
    """Whether the unit tests pass when one alert is changed; `change` returns the new rule or None to leave it out."""
    with open(ALERTS) as file:
        document = yaml.safe_load(file)
    for group in document["groups"]:
        group["rules"] = [r for r in (change(rule) if rule["alert"] == name else rule for rule in group["rules"]) if r]
    document["groups"] = [group for group in document["groups"] if group["rules"]]
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "alerts.yml"), "w") as file:
            yaml.safe_dump(document, file)
        with open(TESTS) as file:
            tests = yaml.safe_load(file)
        tests["rule_files"] = [os.path.abspath(RULES), os.path.join(directory, "alerts.yml")]
        # Only the cases about this alert: for each one promtool creates a database.
        tests["tests"] = [case for case in tests["tests"] if f'"{name}"' in str(case)]
        path = os.path.join(directory, "test.yml")
        with open(path, "w") as file:
            yaml.safe_dump(tests, file)
        return promtool("test", "rules", path)[0] == 0


def mutants_are_seen(name):
    assert tests_pass_with(name, lambda rule: rule), "the cases about it fail without a mutant"
    assert not tests_pass_with(name, lambda rule: None), "no case notices that it never fires"
    assert not tests_pass_with(name, lambda rule: {**rule, "expr": WOLF}), "no case notices that it fires for everybody"


tally.check("the scrape configuration is valid", lambda: accepted("check", "config", os.path.join(DEPLOY, "prometheus.yml")))
tally.check("the rules are valid", lambda: accepted("check", "rules", RULES, ALERTS))
tally.check("every alert says how bad it is and what to do", every_alert_says_what_to_do)
tally.check("the runbook has one section for each alert", the_runbook_has_one_section_for_each_alert)
tally.check("the unit tests pass", lambda: accepted("test", "rules", TESTS))
for alert in alerts():
    tally.check(f"{alert['alert']}: the tests notice its absence and its excess", lambda: mutants_are_seen(alert["alert"]))
tally.exit()
