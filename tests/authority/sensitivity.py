#!/usr/bin/env python3
"""How every feature varies over models, seeds and parameters, by sweeps of `myceliumd simulate`.

usage: sensitivity.py MYCELIUMD [--markdown FILE]

For each model the runs differ in seed, diffusion number, border, spike rate and jitter. Three figures per feature:

range      smallest and largest value over the runs of a model
distinct   share of the runs whose value no other run of the same model has (1 = all differ)
separates  the best pair of models under one and the same variation: the Kolmogorov-Smirnov distance of their runs, the
           share that the best threshold tells apart (0 = the models look alike, 1 = they share no value)

A value that is unknown in a run (`lyapunov` before it has converged) is left out. Over all runs of all models, the
participation ratio of the correlation matrix of the features, (sum of eigenvalues)^2 / (sum of their squares), is the number
of independent directions they span: it must rise with the features after the first 24, each of which is listed with the one of the
24 that it is most correlated with.

A feature that does not vary, or tells no two models apart, fails, and so does a docs/SENSITIVITY.md that says other than
what was measured: the runs are the same bits everywhere. With --markdown that file is written instead.
"""

import argparse
import csv
import itertools
import math
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
OLD = 24
SAME = 0.99
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


def correlations(rows, features):
    """Matrix of correlations over all runs of all models; an unknown value counts as the mean of its feature."""
    columns = []
    for feature in features:
        values = [float(row[feature]) if row[feature] else None for row in rows]
        known = [v for v in values if v is not None]
        mean = sum(known) / len(known) if known else 0.0
        off = [0.0 if v is None else v - mean for v in values]
        size = math.sqrt(math.fsum(x * x for x in off)) or 1.0
        columns.append([x / size for x in off])
    return [[math.fsum(x * y for x, y in zip(a, b)) for b in columns] for a in columns]


def participation(matrix):
    """(trace C)^2 / trace C^2: the eigenvalues themselves are not needed."""
    return sum(matrix[k][k] for k in range(len(matrix))) ** 2 / sum(c * c for row in matrix for c in row)


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
        values = {model: [float(row[feature]) for row in found if row[feature]] for model, found in by_model.items()}
        distinct = max(len(set(v)) / len(v) for v in values.values() if v)
        of = lambda model, number: [float(r[feature]) for r in by_model[model] if r["variation"] == number and r[feature]]
        best, pair = max(
            (separation(of(a, number), of(b, number)), f"{a}, {b}")
            for a, b in itertools.combinations(MODELS, 2)
            for number in range(len(VARIATIONS))
            if min(len(of(a, number)), len(of(b, number))) >= len(SEEDS)
        )
        ranges = [f"{min(v):.4g} .. {max(v):.4g}" if v else "unknown" for v in values.values()]
        table.append(f"| `{feature}` | " + " | ".join(ranges) + f" | {distinct:.2f} | {best:.2f} ({pair}) |")
        if distinct < VARIES:
            failed.append(f"{feature} does not vary: {distinct:.2f} of the runs of any model differ")
        if best < SEPARATES:
            failed.append(f"{feature} tells no two models apart: {best:.2f}")
    matrix = correlations(rows, features)
    before, after = participation([row[:OLD] for row in matrix[:OLD]]), participation(matrix)
    if not after > before:
        failed.append(f"participation ratio {after:.2f} after, {before:.2f} before: the new features add nothing")
    closest = ["| feature | closest of the first 24 | correlation |", "|---|---|---|"]
    for k in range(OLD, len(features)):
        near = max(range(OLD), key=lambda j: abs(matrix[k][j]))
        closest.append(f"| `{features[k]}` | `{features[near]}` | {matrix[k][near]:.2f} |")
        if abs(matrix[k][near]) > SAME:
            failed.append(f"{features[k]} repeats {features[near]}")
    table += ["", f"Participation ratio of the correlations over all {len(rows)} runs: {before:.2f} of the first {OLD} features, {after:.2f} of all "
              f"{len(features)}.", "", *closest]
    print("\n".join(table))
    page = f"""# Sensitivity

How every feature varies with model, seed and parameters. For each model the table shows the range over {expected} runs: seeds {SEEDS[0]} to
{SEEDS[-1]}, alpha {ALPHAS[0]} and {ALPHAS[1]}, and five variations (default, Neumann borders, spike rates of 0 and 0.5, jitter of 1e-6 V^2), each
with 64 x 64 cells and {STEPS:,} steps (1,000 without spikes) and a frame every 10 steps.

`distinct` is the share of different values among the runs of the model that varies most. `separates` is the Kolmogorov-Smirnov
distance of two models over the {len(SEEDS) * len(ALPHAS)} runs each has under one variation, for the pair and the variation where it is largest: 0 when the
runs of both look alike, 1 when a threshold separates them completely. By chance it exceeds 0.8 once in a thousand times. Values that are unknown
(`lyapunov` until it has converged) are left out.

The participation ratio below the table, (sum of eigenvalues)^2 / (sum of their squares) of the matrix of correlations, is the number of
independent directions that the features span over all models and parameters.

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
