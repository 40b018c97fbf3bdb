#!/usr/bin/env python3
"""How every feature varies over models, seeds and parameters, by sweeps of `myceliumd simulate`.

usage: sensitivity.py MYCELIUMD [--markdown FILE]

For each model the runs differ in seed, diffusion number, border, spike rate and jitter. Three figures per feature:

range      smallest and largest value over the runs of a model
distinct   share of the runs whose value no other run of the same model has (1 = all differ)
separates  the best pair of models under one and the same variation: the Kolmogorov-Smirnov distance of their runs, the
           share that the best threshold tells apart (0 = the models look alike, 1 = they share no value)

A feature that does not vary, or tells no two models apart, fails, and so does a docs/SENSITIVITY.md that says other than
what was measured: the runs are the same bits everywhere. With --markdown that file is written instead.
"""

import argparse
import csv
import itertools
import pathlib
import subprocess
import sys
import tempfile

MODELS = ["mfn", "turing", "excitable"]
SEEDS = [1, 2, 3, 4, 5, 6]
ALPHAS = [0.12, 0.18]
STEPS = 3000
# Without spikes a field of `mfn` is flat after 1,500 steps: 1,000 see it on its way.
VARIATIONS = [
    (STEPS, []),
    (STEPS, ["--boundary", "neumann"]),
    (1000, ["--spike-probability", "0"]),
    (STEPS, ["--spike-probability", "0.5"]),
    (STEPS, ["--jitter-variance", "1e-6"]),
]
PAGE = pathlib.Path(__file__).parent.parent.parent / "docs/SENSITIVITY.md"
SEPARATES = 0.85
VARIES = 0.15


def runs(binary):
    """Rows of all sweeps, as dictionaries; `variation` says of which."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        plan = pathlib.Path(scratch, "plan.toml")
        plan.write_text(f"models = {MODELS}\nseeds = {SEEDS}\nalphas = {ALPHAS}\n".replace("'", '"'))
        for number, (steps, variation) in enumerate(VARIATIONS):
            command = [binary, "simulate", "--sweep", plan, "--steps", str(steps), "--every", "10", *variation]
            text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
            rows += [{**row, "variation": number} for row in csv.DictReader(text.splitlines())]
    return rows


def separation(a, b):
    """Kolmogorov-Smirnov distance of two samples."""
    below = lambda sample, at: sum(x <= at for x in sample) / len(sample)
    return max(abs(below(a, at) - below(b, at)) for at in {*a, *b})


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("--markdown", type=pathlib.Path)
    options = arguments.parse_args()

    rows = runs(options.binary)
    columns = list(rows[0])
    features = columns[columns.index("clamping_events") + 1:columns.index("variation")]
    by_model = {model: [row for row in rows if row["model"] == model] for model in MODELS}
    expected = len(SEEDS) * len(ALPHAS) * len(VARIATIONS)
    assert all(len(found) == expected for found in by_model.values()), {m: len(r) for m, r in by_model.items()}

    failed = []
    table = ["| feature | " + " | ".join(MODELS) + " | distinct | separates |", "|---|" + "---|" * (len(MODELS) + 2)]
    for feature in features:
        values = {model: [float(row[feature]) for row in found] for model, found in by_model.items()}
        distinct = max(len(set(v)) / len(v) for v in values.values())
        of = lambda model, number: [float(r[feature]) for r in by_model[model] if r["variation"] == number]
        best, pair = max(
            (separation(of(a, number), of(b, number)), f"{a}, {b}")
            for a, b in itertools.combinations(MODELS, 2)
            for number in range(len(VARIATIONS))
        )
        ranges = [f"{min(v):.4g} .. {max(v):.4g}" for v in values.values()]
        table.append(f"| `{feature}` | " + " | ".join(ranges) + f" | {distinct:.2f} | {best:.2f} ({pair}) |")
        if distinct < VARIES:
            failed.append(f"{feature} does not vary: {distinct:.2f} of the runs of any model differ")
        if best < SEPARATES:
            failed.append(f"{feature} tells no two models apart: {best:.2f}")
    print("\n".join(table))
    page = f"""# Sensitivity

How every feature varies with model, seed and parameters. For each model the table shows the range over {expected} runs: seeds {SEEDS[0]} to
{SEEDS[-1]}, alpha {ALPHAS[0]} and {ALPHAS[1]}, and five variations (default, Neumann borders, spike rates of 0 and 0.5, jitter of 1e-6 V^2), each
with 64 x 64 cells and {STEPS:,} steps (1,000 without spikes) and a frame every 10 steps.

`distinct` is the share of different values among the runs of the model that varies most. `separates` is the Kolmogorov-Smirnov
distance of two models over the {len(SEEDS) * len(ALPHAS)} runs each has under one variation, for the pair and the variation where it is largest: 0 when the
runs of both look alike, 1 when a threshold separates them completely. By chance it exceeds 0.8 once in a thousand times.

In MyceliumFractalNet 4.1, 9 of 18 features were constant over its default seeds. This page is written by
`tests/authority/sensitivity.py MYCELIUMD --markdown docs/SENSITIVITY.md`.

""" + "\n".join(table) + "\n"
    if options.markdown:
        options.markdown.write_text(page)
    elif PAGE.read_text() != page:
        failed.append(f"{PAGE.name} differs from this run: write it again with --markdown and look at what changed")
    for line in failed:
        print(f"FAILED {line}")
    unwell = len({line.split()[0] for line in failed})
    print(f"{len(features) + 1 - unwell} passed, {unwell} failed")
    return 1 if failed or not features else 0


if __name__ == "__main__":
    sys.exit(main())
