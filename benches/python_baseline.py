#!/usr/bin/env python3
"""One step of `mfn` and the features of a frame by numpy, numba and scipy, beside myceliumd. Prints a table.

usage: python_baseline.py MYCELIUMD         (benches/python_baseline.sh makes the environment)

The step: `numpy` rolls whole planes, as MyceliumFractalNet 4.1 does; `numba` is a plain loop over cells, compiled, without
fastmath and on one thread. Both work in float32 and do what the simulator does but for spikes, noise and twin. The features: numpy,
scipy.ndimage and scikit-image as in tests/authority/check_features.py, 23 of them, temporal ones over one transition.

myceliumd is timed from outside: processor time of a long run less that of a short one, over the difference of steps or
frames. So start, twin and output at the end cancel out; `features --each` reads NPY and prints 28 numbers a frame, which
counts. Medians of ROUNDS interleaved rounds, of the times and of the ratios.
"""

import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numba
import numpy as np
import scipy

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests/authority"))
import check_features  # noqa: E402

ROUNDS = 21
F = np.float32
ALPHA, DA, DI, RA, RI, THETA, RAISE = (F(x) for x in (0.18, 0.1, 0.05, 0.01, 0.02, 0.75, 0.005))
LOW, HIGH = F(-0.095), F(0.040)


def start(n):
    draw = np.random.default_rng(1)
    return [(-0.07 + 0.005 * draw.standard_normal((n, n))).astype(F), F(0.1) * draw.random((n, n), F),
            F(0.1) * draw.random((n, n), F)]


def laplacian(x):
    return np.roll(x, 1, 0) + np.roll(x, -1, 0) + np.roll(x, 1, 1) + np.roll(x, -1, 1) - F(4) * x


def step_numpy(planes):
    v, a, i = planes
    grown = a + (DA * laplacian(a) + RA * (a * (F(1) - a) - i))
    other = i + (DI * laplacian(i) + RI * (a - i))
    v = v + ALPHA * laplacian(v)
    v[grown > THETA] += RAISE
    planes[:] = [np.clip(v, LOW, HIGH), np.clip(grown, F(0), F(1)), np.clip(other, F(0), F(1))]
    assert np.isfinite(planes[0]).all()


@numba.njit
def loop(old_v, old_a, old_i, v, a, i):
    n = old_v.shape[0]
    for row in range(n):
        up, down = row - 1 if row else n - 1, row + 1 if row + 1 < n else 0
        for col in range(n):
            left, right = col - 1 if col else n - 1, col + 1 if col + 1 < n else 0
            x, y, z = old_v[row, col], old_a[row, col], old_i[row, col]
            lv = old_v[up, col] + old_v[down, col] + old_v[row, left] + old_v[row, right] - F(4) * x
            la = old_a[up, col] + old_a[down, col] + old_a[row, left] + old_a[row, right] - F(4) * y
            li = old_i[up, col] + old_i[down, col] + old_i[row, left] + old_i[row, right] - F(4) * z
            grown = y + (DA * la + RA * (y * (F(1) - y) - z))
            raised = x + ALPHA * lv
            if grown > THETA:
                raised += RAISE
            v[row, col] = min(max(raised, LOW), HIGH)
            a[row, col] = min(max(grown, F(0)), F(1))
            i[row, col] = min(max(z + (DI * li + RI * (y - z)), F(0)), F(1))


def timed(work, repeat):
    began = time.process_time()
    for _ in range(repeat):
        work()
    return (time.process_time() - began) / repeat


def of_program(*arguments):
    """Processor seconds of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def steps(program, n, short=2_000):
    long = short + 400_000_000 // (n * n)
    run = lambda count: of_program(program, "simulate", "--model", "mfn", "--grid", str(n), "--steps", str(count),
                                   "--spike-probability", "0", "--every", str(count))
    return (run(long) - run(short)) / (long - short)


def frames(program, n, folder, short=16):
    long = short + 8_000_000 // (n * n)
    field = check_features.volts(np.random.default_rng(2).random((64, n, n), F))
    of = {}
    for count in (short, long):
        path = os.path.join(folder, f"{n}-{count}.npy")
        if not os.path.exists(path):
            np.save(path, np.resize(field, (count, n, n)).astype(F))
        of[count] = of_program(program, "features", path, "--each")
    return (of[long] - of[short]) / (long - short)


def row(work, rounds):
    """The last time of a round is ours; none for what is not measured."""
    columns = list(zip(*rounds))
    times = [f"{1e6 * statistics.median(column):.3g}" if column[0] else "" for column in columns]
    slower = [f"{statistics.median(x / y for x, y in zip(column, columns[-1])):.2g}" if column[0] else "" for column in columns]
    print(f"| {work} | {' | '.join(times)} | {' | '.join(slower[:-1])} |", flush=True)


def check():
    """Both ways of stepping must agree, or their times say nothing."""
    one, two = start(32), start(32)
    for _ in range(50):
        step_numpy(one)
        fresh = [np.empty_like(p) for p in two]
        loop(*two, *fresh)
        two = fresh
    assert np.abs(one[0] - two[0]).max() < 1e-6


def main():
    program = os.path.abspath(sys.argv[1])
    check()
    print("| work | numpy, scipy: us | numba: us | myceliumd: us | numpy, scipy / myceliumd | numba / myceliumd |")
    print("|---|---|---|---|---|---|")
    for n in (64, 256):
        planes, old, new = start(n), start(n), start(n)
        repeat = 4_000_000 // (n * n)
        row(f"step of `mfn`, f32, {n} x {n}", [
            (timed(lambda: step_numpy(planes), repeat // 8), timed(lambda: loop(*old, *new), repeat), steps(program, n))
            for _ in range(ROUNDS)
        ])
    with tempfile.TemporaryDirectory() as folder:
        for n in (64, 256):
            pair = check_features.volts(np.random.default_rng(2).random((2, n, n), F))
            work = lambda: check_features.expected(pair, "otsu", True, 4)
            row(f"features of a dense frame, {n} x {n}",
                [(timed(work, 3), None, frames(program, n, folder)) for _ in range(ROUNDS)])
    print(f"\nnumpy {np.__version__}, numba {numba.__version__}, scipy {scipy.__version__}, Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
