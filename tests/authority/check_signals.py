#!/usr/bin/env python3
"""`myceliumd signals` against numpy, scipy, PyWavelets, antropy and nolds.

usage: check_signals.py MYCELIUMD [--markdown FILE] [--full]

Series: synthetic ones, and the real ones that packages ship (ecg and nino of PyWavelets, sunspots of statsmodels).
Exact features must agree within 1e-9, estimates within a stated bound. Spikes are looked for in synthetic
extracellular traces of fungi, whose spikes are known, over a grid of settings; --full uses more traces. Prints tables
and, last, `N passed, N failed`; exits 1 if anything failed.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import math
import pathlib
import subprocess
import sys

import antropy
import nolds
import numpy as np
import pywt
import scipy
import scipy.stats

EXACT = 1e-9
RECENT = 512
BANDS = 10
DAY_MS = 86_400_000
START_MS = 20_000 * DAY_MS
MINUTE_MS = 60_000


class Report:
    def __init__(self):
        self.passed, self.failed, self.worst = 0, 0, {}

    def check(self, name, ok, text):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name}: {text}")

    def close(self, name, where, got, want, bound=EXACT, scale=1.0):
        """Compares relative to the larger of the value and `scale`; None only matches None."""
        if got is None or want is None:
            self.check(name, got is None and want is None, f"{where}: {got}, not {want}")
            return
        error = abs(got - want) / max(abs(want), scale, 1e-300)
        self.worst[name] = max(self.worst.get(name, 0.0), error)
        self.check(name, error <= bound, f"{where}: {got!r}, not {want!r}, error {error:.2e}")


def run(binary, times_ms, values, **settings):
    """Windows and spikes of the program."""
    table = "\n".join(f"{t},{float(x)!r}" for t, x in zip(times_ms, values))
    options = [f"--set={key.replace('__', '.')}={value}" for key, value in settings.items()]
    command = [binary, "signals", "-", "--time=0", "--column=1", "--set=time_format=unix_ms", "--events", *options]
    done = subprocess.run(command, input=table, capture_output=True, text=True, timeout=120)
    if done.returncode or done.stderr:
        sys.exit(f"{command}: exit code {done.returncode}: {done.stderr}")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    of = lambda kind: [event["data"] for event in events if event["type"] == f"io.mycelium.signal.{kind}.v1"]
    return of("window"), of("spike")


# References.

def haar_squares(distances):
    """Number and mean square of the Haar coefficients of each octave."""
    found, sums = [], distances
    for _ in range(BANDS):
        whole = sums[: len(sums) // 2 * 2]
        if len(whole) == 0:
            found.append((0, None))
            continue
        sums, details = pywt.dwt(whole, "haar")
        found.append((len(details), float(np.mean(details ** 2))))
    return found


def hurst(squares):
    used = [(n, k, math.log2(square)) for k, (n, square) in enumerate(squares) if n >= 4 and square > 0]
    if len(used) < 3:
        return None
    n, k, log = map(np.array, zip(*used))
    return (np.polyfit(k, log, 1, w=np.sqrt(n))[0] + 1) / 2


def amplitude(seconds, values, period):
    n, span = len(seconds), seconds.max() - seconds.min()
    if n < 6 or span * n / (n - 1) < period * 0.999 or span / (n - 1) * 2 >= period:
        return None
    angle = 2 * np.pi * seconds / period
    design = np.column_stack([np.ones(n), np.cos(angle), np.sin(angle)])
    fit = np.linalg.lstsq(design, values - values.mean(), rcond=None)[0]
    return float(np.hypot(fit[1], fit[2]))


def lempel_ziv(values):
    kept = (values - values[0]).astype(np.float32)[-RECENT:]
    if len(kept) < 32:
        return None
    return float(antropy.lziv_complexity(kept > np.median(kept.astype(float)), normalize=True))


def permutation_entropy(values, order, delay):
    """Of equal samples the earlier one is the smaller; without ties antropy is asked too."""
    patterns = len(values) - (order - 1) * delay
    if patterns < 5 * math.factorial(order):
        return None
    embedded = np.stack([values[k * delay: k * delay + patterns] for k in range(order)], axis=1)
    ranks = embedded.argsort(axis=1, kind="stable") @ (order ** np.arange(order))
    shares = np.unique(ranks, return_counts=True)[1] / patterns
    own = float(-(shares * np.log2(shares)).sum() / math.log2(math.factorial(order)))
    if len(np.unique(values)) == len(values):
        other = antropy.perm_entropy(values, order=order, delay=delay, normalize=True)
        assert abs(own - other) < 1e-12, (own, other)
    return own


def compare(report, name, window, times_ms, values, settings):
    """Every exact feature of one window."""
    first, spread = values[0], float(np.ptp(values)) or 1.0
    count = len(values)
    report.check("count", window["count"] == count, f"{name}: {window['count']}, not {count}")
    report.close("min", name, window["min"], values.min())
    report.close("max", name, window["max"], values.max())
    report.close("mean", name, window["mean"], first + (values - first).mean(), scale=spread)
    many = count > 1
    report.close("sd", name, window["sd"], float(np.std(values - first, ddof=1)) if many else None, scale=spread)
    hours = (times_ms - times_ms[0]) / 3_600_000
    slope = scipy.stats.linregress(hours, values - first).slope if many and np.ptp(hours) > 0 else None
    report.close("slope_per_hour", name, window["slope_per_hour"], slope, scale=spread / max(np.ptp(hours), 1e-9))
    rms = float(np.sqrt(np.mean(np.diff(values) ** 2))) if many else None
    report.close("rms_difference", name, window["rms_difference"], rms, scale=spread)
    if count <= RECENT:
        kept = (values - first).astype(np.float32).astype(float)
        for percent, key in [(5, "p05"), (50, "p50"), (95, "p95")]:
            report.close(key, name, window[key], first + np.percentile(kept, percent), scale=spread)
            report.close(f"{key} of doubles", name, window[key], np.percentile(values, percent), 1e-7, spread)
    order, delay = settings.get("permutation_order", 3), settings.get("permutation_delay", 1)
    report.close("permutation_entropy", name, window["permutation_entropy"], permutation_entropy(values, order, delay))
    report.close("lempel_ziv", name, window["lempel_ziv"], lempel_ziv(values))
    squares = haar_squares(values - first)
    report.close("hurst", name, window["hurst"], hurst(squares))
    for k, (n, square) in enumerate(squares):
        want = square / 2 ** (k + 1) if n else None
        report.close("band_energy", f"{name} octave {k + 1}", window[f"band_energy_{k + 1}"], want, scale=spread ** 2 * EXACT)
    seconds = (times_ms - times_ms[0] // MINUTE_MS * MINUTE_MS) / 1000
    for k, period in enumerate(settings.get("periods_s", [])):
        want = amplitude(seconds, values, period)
        report.close("amplitude", f"{name} {period} s", window[f"amplitude_{k + 1}"], want, scale=spread)


def sunspots():
    """Without an import of statsmodels, which takes seconds."""
    folder = pathlib.Path(importlib.util.find_spec("statsmodels").origin).parent
    return np.loadtxt(folder / "datasets/sunspots/sunspots.csv", delimiter=",", skiprows=1)[:, 1]


def series():
    """Name, milliseconds between samples, values."""
    rng = np.random.default_rng(16)
    n = 3000
    steps = np.arange(n)
    walk = rng.normal(size=n).cumsum()
    slow = np.empty(n)
    slow[0] = 0.0
    for k in range(1, n):
        slow[k] = 0.95 * slow[k - 1] + rng.normal()
    chaos = np.empty(n)
    chaos[0] = 0.3
    for k in range(1, n):
        chaos[k] = 3.99 * chaos[k - 1] * (1 - chaos[k - 1])
    yield "white noise", 1000, rng.normal(size=n)
    yield "on an offset of 1e6", 1000, 1e6 + rng.normal(size=n)
    yield "random walk", 1000, walk
    yield "AR(1) 0.95", 1000, slow
    yield "logistic map", 1000, chaos
    yield "sine and noise", 1000, np.sin(2 * np.pi * steps / 60) + 0.3 * np.sin(2 * np.pi * steps / 7) + 0.1 * rng.normal(size=n)
    yield "10 bit codes", 1000, np.round(40 * np.sin(steps / 50) + 3 * rng.normal(size=n)) * 0.00488
    yield "constant", 1000, np.full(n, 2.5)
    yield "one sample", 1000, np.array([1.0])
    yield "40 samples", 1000, rng.normal(size=40)
    yield "ecg (PyWavelets)", 3, pywt.data.ecg().astype(float)
    yield "nino (PyWavelets)", DAY_MS // 4, np.asarray(pywt.data.nino()[1], float)
    yield "sunspots (statsmodels)", DAY_MS, sunspots()


def exact(binary, report):
    for name, step_ms, values in series():
        times = START_MS + np.arange(len(values), dtype=np.int64) * step_ms
        periods = [7, 60] if step_ms <= 1000 else [11 * step_ms / 1000] if 11 * step_ms <= DAY_MS else []
        for window_s, order, delay in [(60, 3, 1), (300, 3, 2), (3600, 4, 3), (86_400, 5, 1), (86_400, 5, 16)]:
            settings = {"permutation_order": order, "permutation_delay": delay}
            options = settings | ({"periods_s": ",".join(map(str, periods))} if periods else {})
            settings["periods_s"] = periods
            windows, _ = run(binary, times, values, window_s=window_s, **options)
            numbers = times // (window_s * 1000)
            report.check("windows", len(windows) == len(np.unique(numbers)), f"{name}: {len(windows)} windows")
            for window, number in list(zip(windows, np.unique(numbers)))[:12]:
                inside = numbers == number
                compare(report, f"{name}, {window_s} s", window, times[inside], values[inside], settings)
    # Uneven times with gaps.
    rng = np.random.default_rng(17)
    times = START_MS + np.sort(rng.choice(1_200_000, 900, replace=False))
    values = 0.7 * np.sin(2 * np.pi * (times - START_MS) / 60_000) + rng.normal(size=900) + 5
    windows, _ = run(binary, times, values, window_s=1200, periods_s="60,90")
    compare(report, "uneven times", windows[0], times, values, {"periods_s": [60, 90]})


def fractional_noise(rng, n, exponent):
    """Fractional Gaussian noise by circulant embedding."""
    lags = np.arange(n + 1.0)
    power = 2 * exponent
    covariance = ((lags + 1) ** power - 2 * lags ** power + np.abs(lags - 1) ** power) / 2
    eigenvalues = np.fft.fft(np.concatenate([covariance, covariance[-2:0:-1]])).real.clip(0)
    normal = rng.normal(size=2 * n) + 1j * rng.normal(size=2 * n)
    return np.fft.fft(np.sqrt(eigenvalues / (2 * n)) * normal).real[:n]


def estimates(binary, report):
    """P-square and the scaling exponent: rows of a table."""
    rows = []
    rng = np.random.default_rng(18)
    n = 20_000
    for name, values, bound in [("normal", rng.normal(size=n), 2), ("exponential", rng.exponential(size=n), 2),
                                ("uniform", rng.uniform(size=n), 2), ("ecg", np.tile(pywt.data.ecg().astype(float), 10), 7)]:
        times = START_MS + np.arange(len(values)) * 4
        window = run(binary, times, values, window_s=86_400)[0][0]
        for key, percent in [("p05", 5), ("p50", 50), ("p95", 95)]:
            got = window[key]
            below = 100 * np.mean(values < got), 100 * np.mean(values <= got)
            error = max(below[0] - percent, percent - below[1], 0.0)
            rows.append((f"{key} of {name}", f"{error:.2f} percentile points", f"{bound}"))
            report.check("P-square", error <= bound, f"{key} of {name}: {error:.2f} percentile points")
    for name, make in [("white noise", lambda r: r.normal(size=2048)), ("random walk", lambda r: r.normal(size=2048).cumsum()),
                       ("fGn of H 0.2", lambda r: fractional_noise(r, 2048, 0.2)), ("fGn of H 0.8", lambda r: fractional_noise(r, 2048, 0.8)),
                       ("fBm of H 0.3", lambda r: fractional_noise(r, 2048, 0.3).cumsum())]:
        got, dfa = [], []
        for seed in range(3):
            values = make(np.random.default_rng(seed))
            times = START_MS + np.arange(len(values)) * 1000
            got.append(run(binary, times, values, window_s=86_400)[0][0]["hurst"])
            dfa.append(nolds.dfa(values, fit_exp="poly"))
        error = float(np.max(np.abs(np.array(got) - np.array(dfa))))
        rows.append((f"hurst of {name}", f"{np.mean(got):.3f} +- {np.std(got):.3f}, DFA of nolds {np.mean(dfa):.3f} +- {np.std(dfa):.3f}", "0.2"))
        report.check("hurst", error <= 0.2, f"{name}: {error:.3f} from DFA")
    return rows


# Spikes.

DAY_S = 86_400
MATCH_S = 180
NOISE_MV = 0.004


def drift(rng):
    """Millivolts of a day: a slope, slow waves of hours, a random walk of a few microvolts an hour."""
    seconds = np.arange(DAY_S)
    wave = sum(rng.uniform(0.1, 1) * np.sin(2 * np.pi * (seconds / rng.uniform(4, 24) / 3600 + rng.uniform())) for _ in range(3))
    return rng.uniform(-20, 20) + rng.uniform(-2, 2) * seconds / DAY_S + wave + rng.normal(0, 5e-5, DAY_S).cumsum()


def trace(seed, with_spikes=True):
    """A day of millivolts at 1 Hz, and the (second, amplitude with its sign, width) of its spikes."""
    rng = np.random.default_rng(seed)
    values, spikes = drift(rng) + rng.normal(0, NOISE_MV, DAY_S), []
    if not with_spikes:
        return values, spikes
    second = 1200 + rng.exponential(1500)
    while second < DAY_S - 1500:
        size = float(np.exp(rng.uniform(np.log(0.03), np.log(2))))
        rise, fall = rng.uniform(25, 100), rng.uniform(40, 180)
        away = np.arange(DAY_S) - second
        shape = np.exp(-0.5 * (away / np.where(away < 0, rise, fall)) ** 2)
        sign = 1 if rng.random() < 0.7 else -1
        values = values + sign * size * shape
        spikes.append((second, sign * size, 1.1774 * (rise + fall)))
        second += 1500 + rng.exponential(4000)
    return values, spikes


def match(known, found):
    """Numbers of known spikes that were found and of found ones that are none, and the errors of the matches."""
    left, errors = list(found), []
    for second, size, width in known:
        near = [one for one in left if abs(one[0] - second) <= MATCH_S and (one[1] > 0) == (size > 0)]
        if near:
            best = min(near, key=lambda one: abs(one[0] - second))
            left.remove(best)
            errors.append((abs(best[0] - second), best[1] / size - 1, best[2] / width - 1))
    return len(errors), len(left), errors


def seconds_of(text):
    return np.datetime64(text.rstrip("Z"), "ms").astype(int) / 1000 - START_MS / 1000


def found_in(binary, table, **settings):
    options = [f"--set={key.replace('__', '.')}={value}" for key, value in settings.items()]
    command = [binary, "signals", "-", "--time=0", "--column=1", "--set=time_format=unix_s", "--set=window_s=86400",
               "--events", *options]
    lines = subprocess.run(command, input=table, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    events = [json.loads(line) for line in lines if '"io.mycelium.signal.spike.v1"' in line]
    sign = {"positive": 1, "negative": -1}
    return [(seconds_of(one["time"]), sign[one["polarity"]] * one["amplitude"], one["width_s"])
            for one in (event["data"] for event in events)]


def table_of(values):
    return "\n".join(f"{START_MS // 1000 + k},{x:.9g}" for k, x in enumerate(values))


def spike_rows(binary, traces, quiet, grid):
    """For each setting: recall, share of false ones, spikes in the traces without any, errors."""
    rows = []
    for settings in grid:
        total = hits = false = 0
        errors = []
        for table, known in traces:
            matched, wrong, errs = match(known, found_in(binary, table, **settings))
            total, hits, false = total + len(known), hits + matched, false + wrong
            errors += errs
        silent = sum(len(found_in(binary, table, **settings)) for table in quiet)
        median = np.median(np.abs(errors), axis=0) if errors else [np.nan] * 3
        rows.append((settings, total, hits / total, false / max(hits + false, 1), silent, median))
    return rows


RECOMMENDED = {"spikes__window_s": 1200, "spikes__threshold": "26mad", "spikes__dead_s": 300}


def spikes(binary, report, full):
    """The table of settings; the recommended ones must find 98 % of the spikes, with 2 % false ones and none in quiet days."""
    traces = [(table_of(values), known) for values, known in (trace(seed) for seed in range(24 if full else 16))]
    quiet = [table_of(trace(1000 + seed, with_spikes=False)[0]) for seed in range(10 if full else 6)]
    grid = [RECOMMENDED]
    for window_s in (600, 1200, 2400) if full else (600, 2400):
        for threshold in (16, 20, 24, 26, 28, 32) if full else (26,):
            grid.append(RECOMMENDED | {"spikes__window_s": window_s, "spikes__threshold": f"{threshold}mad"})
    if full:
        grid.append(RECOMMENDED | {"spikes__threshold": "0.02"})
        grid.append(RECOMMENDED | {"spikes__dead_s": 0})
        grid.append(RECOMMENDED | {"spikes__dead_s": 900})
    rows = spike_rows(binary, traces, quiet, grid)
    _, _, recall, false, silent, _ = rows[0]
    report.check("recall", recall >= 0.98, f"{recall:.4f} at the recommended settings")
    report.check("false spikes", false <= 0.02, f"{false:.4f} at the recommended settings")
    report.check("quiet days", silent == 0, f"{silent} spikes where there are none")
    for (_, known) in traces:
        report.check("traces", all(0.03 <= abs(size) <= 2 for _, size, _ in known), "amplitudes")
    lines = ["| window_s | threshold | dead_s | spikes | recall | false | in quiet days | time, s | amplitude | width |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for settings, total, recall, false, silent, median in rows:
        window_s, threshold, dead_s = settings.values()
        lines.append(f"| {window_s} | {threshold} | {dead_s} | {total} | {recall:.3f} | {100 * false:.1f} % | {silent} | "
                     f"{median[0]:.0f} | {100 * median[1]:.0f} % | {100 * median[2]:.0f} % |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--markdown", type=pathlib.Path)
    parser.add_argument("--full", action="store_true")
    args = parser.parse_args()
    report = Report()
    exact(args.binary, report)
    lines = [f"numpy {np.__version__}, scipy {scipy.__version__}, PyWavelets {pywt.__version__}, antropy {antropy.__version__}, "
             f"nolds {importlib.metadata.version('nolds')}, statsmodels {importlib.metadata.version('statsmodels')}", "", "| feature | largest error |", "|---|---|"]
    lines += [f"| {name} | {error:.1e} |" for name, error in sorted(report.worst.items())]
    lines += ["", "| estimate | error | bound |", "|---|---|---|"]
    lines += [f"| {name} | {error} | {bound} |" for name, error, bound in estimates(args.binary, report)]
    lines += ["", *spikes(args.binary, report, args.full)]
    text = "\n".join(lines)
    print(text)
    if args.markdown:
        args.markdown.write_text(text + "\n")
    print(f"{report.passed} passed, {report.failed} failed")
    sys.exit(report.failed > 0)


main()
