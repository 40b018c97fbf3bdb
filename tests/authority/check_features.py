#!/usr/bin/env python3
"""`myceliumd features` against numpy, scipy and scikit-image on the pictures that scikit-image ships.

usage: check_features.py MYCELIUMD [--markdown FILE]

Every number is computed here a second time by those packages (Otsu's threshold by skimage.filters, components by
scipy.ndimage.label, moments and entropy by scipy.stats, the perimeter by skimage.measure, fits by scipy.stats) and
compared. Prints a table and, last, `N passed, N failed`; exits 1 if anything failed.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import scipy
import scipy.ndimage
import scipy.sparse
import scipy.stats
import skimage
import skimage.color
import skimage.data
import skimage.filters
import skimage.io
import skimage.measure
import skimage.transform

# Inside the wheel, so nothing is downloaded: microscopy and medicine first, then textures, then the rest.
PICTURES = ["cell.png", "ihc.png", "microaneurysms.png", "retina.jpg", "brick.png", "grass.png", "gravel.png",
            "coins.png", "camera.png", "moon.png", "page.png", "text.png", "hubble_deep_field.jpg", "phantom.png"]
SIDES = [63, 64, 128, 256]
FIGURES = ["D_box", "V_mean", "V_std", "V_skew", "V_kurt", "f_active", "N_clusters_low", "max_cluster_size",
           "D_information", "D_correlation", "H_entropy", "L_perimeter", "compactness", "lacunarity", "wavelength",
           "euler_number"]
COUNTED = {"f_active", "N_clusters_low", "N_clusters_med", "N_clusters_high", "max_cluster_size", "T_stable", "euler_number"}


def picture(name):
    """Grey values 0..1, square, not resampled."""
    path = pathlib.Path(skimage.data.__file__).parent / name
    grey = skimage.io.imread(path)
    if grey.ndim == 3:
        grey = skimage.color.rgb2gray(grey[..., :3])
    grey = skimage.util.img_as_float64(grey)
    side = min(grey.shape)
    top, left = (grey.shape[0] - side) // 2, (grey.shape[1] - side) // 2
    return grey[top:top + side, left:left + side]


def volts(grey):
    return -0.095 + 0.135 * grey


def crofton_on_a_torus(active):
    """The four directions of skimage.measure.perimeter_crofton, with neighbours found by rolling."""
    crossings = lambda *shift: np.count_nonzero(active != np.roll(active, shift, (0, 1)))
    straight = crossings(0, 1) + crossings(1, 0)
    return np.pi / 8 * (straight + (crossings(1, 1) + crossings(1, -1)) / np.sqrt(2))


def component_sizes(active, connectivity, torus):
    structure = np.ones((3, 3)) if connectivity == 8 else None
    if not torus:
        labels, count = scipy.ndimage.label(active, structure)
        return np.bincount(labels.ravel(), minlength=count + 1)[1:]
    # On a torus: labels of the open plane, joined wherever a wrapped ring of cells continues them.
    labels, count = scipy.ndimage.label(active, structure)
    ring, _ = scipy.ndimage.label(np.pad(active, 1, mode="wrap"), structure)
    wrapped = np.pad(labels, 1, mode="wrap")
    inside = ring > 0
    graph = scipy.sparse.coo_matrix((np.ones(inside.sum()), (wrapped[inside], ring[inside] + count)),
                                    shape=(count + ring.max() + 1,) * 2)
    joined = scipy.sparse.csgraph.connected_components(graph, directed=False)[1]
    cells = np.bincount(joined[labels.ravel()], weights=(labels.ravel() > 0))
    return cells[cells > 0].astype(int)


def dimensions(active, torus):
    n = len(active)
    if not active.any():
        return 0.0, 0.0, 0.0, 0.0
    total = active.sum()
    sizes = [2 ** k for k in range(1, 8) if 2 ** k <= n / 2]
    hits, information, pairs, scale = [], [], [], []
    for size in sizes:
        if torus:
            table = np.pad(np.pad(active, ((0, size), (0, size)), mode="wrap").cumsum(0).cumsum(1), ((1, 0), (1, 0)))
            mass = (table[size:, size:] - table[:-size, size:] - table[size:, :-size] + table[:-size, :-size])[:n, :n]
            positions = size * size
            scale.append(-np.log(size))
        else:
            boxes = -(-n // size)
            padded = np.pad(active, (0, boxes * size - n)).astype(int)
            mass = padded.reshape(boxes, size, boxes, size).sum((1, 3))
            positions = 1
            scale.append(np.log(boxes))
        share = mass[mass > 0] / total
        hits.append(np.log(len(share) / positions))
        information.append(-(share * np.log(share)).sum() / positions)
        pairs.append(-np.log((share ** 2).sum() / positions))
    if np.ptp(hits) < 1e-12:
        box, r2 = 0.0, 0.0
    else:
        fit = scipy.stats.linregress(scale, hits)
        box, r2 = fit.slope, fit.rvalue ** 2
    log_size = -np.log(sizes)
    return box, r2, scipy.stats.linregress(log_size, information).slope, scipy.stats.linregress(log_size, pairs).slope


def lacunarity(active, torus):
    """Mean square over squared mean of the masses of boxes, by convolution on a torus."""
    n = len(active)
    size = 8 if n >= 16 else 4
    if torus:
        mass = np.rint(scipy.ndimage.convolve(active.astype(float), np.ones((size, size)), mode="wrap"))
    else:
        boxes = -(-n // size)
        mass = np.pad(active, (0, boxes * size - n)).astype(float).reshape(boxes, size, boxes, size).sum((1, 3))
    return (mass ** 2).mean() / mass.mean() ** 2 if active.any() else 0.0


def wavelength(mv, torus):
    """Second moment of the power spectrum; on open borders that of its plain differences."""
    n, off = len(mv), mv - mv.mean()
    if torus:
        power = np.abs(np.fft.fft2(off)) ** 2
        wave = 2 - 2 * np.cos(2 * np.pi * np.fft.fftfreq(n))
        slope = (power * (wave[:, None] + wave[None, :])).sum() / power.sum()
    else:
        slope = ((np.diff(mv, axis=0) ** 2).mean() + (np.diff(mv, axis=1) ** 2).mean()) / mv.var()
    return np.pi / np.arcsin(np.sqrt(slope) / 2) if slope < 4 else 2.0


def euler_number(active, connectivity, torus):
    if not torus:
        return skimage.measure.euler_number(active, connectivity=1 if connectivity == 4 else 2)
    right, below = np.roll(active, -1, 1), np.roll(active, -1, 0)
    corner = np.roll(right, -1, 0)
    join = np.logical_and if connectivity == 4 else np.logical_or
    squares = join(join(active, right), join(below, corner))
    return int(active.sum()) - int(join(active, right).sum()) - int(join(active, below).sum()) + int(squares.sum())


def levels(mv, threshold):
    kind, _, value = threshold.partition(":")
    if kind == "otsu":
        low = skimage.filters.threshold_otsu(mv, nbins=256)
        return [low + (mv.max() - low) * k / 3 for k in range(3)]
    if kind == "fixed":
        return [float(value) + 10 * k for k in range(3)]
    q = float(value)
    return [np.quantile(mv, q + (1 - q) * k / 3) for k in range(3)]


def expected(frames, threshold, torus, connectivity):
    """All features of a history by other people's code; `lyapunov` and `spiral_tips` are not part of a stored history."""
    mv = frames.astype(np.float64) * 1000
    last, count = mv[-1], len(mv)
    cuts = levels(last, threshold)
    active = last > cuts[0]
    sizes = [component_sizes(last > cut, connectivity, torus) for cut in cuts]
    box, r2, information, correlation = dimensions(active, torus)
    crofton = crofton_on_a_torus(active) if torus else skimage.measure.perimeter_crofton(active, directions=4)
    change = np.abs(np.diff(mv, axis=0))
    still = np.sqrt((change ** 2).mean((1, 2))) < 0.001 if count > 1 else np.array([], bool)
    runs = [k for k in range(len(still) - 9) if still[k:k + 10].all()]
    area = active.sum()
    return {
        "D_box": box, "D_r2": r2,
        "V_min": last.min(), "V_max": last.max(), "V_mean": last.mean(), "V_std": last.std(),
        "V_skew": scipy.stats.skew(last, axis=None), "V_kurt": scipy.stats.kurtosis(last, axis=None),
        "dV_mean": change.mean() if count > 1 else 0.0, "dV_max": change.max() if count > 1 else 0.0,
        "T_stable": 0 if count < 2 else runs[0] + 1 if runs else count,
        "E_trend": scipy.stats.linregress(range(count), (mv ** 2).sum((1, 2))).slope if count > 1 else 0.0,
        "f_active": active.mean(),
        "N_clusters_low": len(sizes[0]), "N_clusters_med": len(sizes[1]), "N_clusters_high": len(sizes[2]),
        "max_cluster_size": max(sizes[0], default=0),
        "cluster_size_std": sizes[0].std() if len(sizes[0]) > 1 else 0.0,
        "D_information": information, "D_correlation": correlation,
        "H_entropy": scipy.stats.entropy(np.histogram(last, 256)[0], base=2),
        "L_perimeter": crofton,
        "compactness": 0.0 if area == 0 else min(1.0, 4 * np.pi * area / crofton ** 2) if crofton else 1.0,
        "lacunarity": lacunarity(active, torus), "wavelength": wavelength(last, torus),
        "euler_number": euler_number(active, connectivity, torus),
    }


class Checker:
    def __init__(self, program):
        self.program, self.passed, self.failed, self.worst = program, 0, 0, {}

    def features(self, path, *options):
        ran = subprocess.run([self.program, "features", path, *options], capture_output=True, text=True, timeout=60)
        if ran.returncode != 0:
            raise SystemExit(f"myceliumd features {path} {options}: exit {ran.returncode}: {ran.stderr}")
        return json.loads(ran.stdout)

    def check(self, what, frames, threshold="otsu", torus=True, connectivity=4):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "field.npy")
            np.save(path, frames)
            answer = self.features(path, "--threshold", threshold, "--boundary", "periodic" if torus else "neumann",
                                   "--connectivity", str(connectivity))
        history = frames if frames.ndim == 3 else frames[None]
        self.compare(f"{what}: frames", answer["frames"], len(history), True)
        want = expected(history, threshold, torus, connectivity)
        for name, value in want.items():
            self.compare(f"{what}: {name}", answer["features"][name], value, name in COUNTED, name)
        return answer["features"]

    def compare(self, what, got, want, exact, name=None):
        off = 0.0 if got == want else abs(got - want) / max(abs(want), 1e-3)
        good = off < 1e-12 if exact else off < 1e-9
        if name:
            self.worst[name] = max(self.worst.get(name, 0.0), off)
        self.passed += good
        self.failed += not good
        if not good:
            print(f"FAILED {what}: {got!r}, wants {want!r}", file=sys.stderr)


def table(rows):
    lines = ["| picture | side | " + " | ".join(FIGURES) + " |", "|---" * (len(FIGURES) + 2) + "|"]
    for name, side, values in rows:
        cells = [f"{values[f]:.4g}" for f in FIGURES]
        lines.append(f"| {name} | {side} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program")
    arguments.add_argument("--markdown", type=pathlib.Path, help="write the figures there")
    arguments = arguments.parse_args()
    checker, rows = Checker(arguments.program), []
    for name in PICTURES:
        grey = picture(name)
        for side in SIDES:
            # Resampled: real values. Cut out: the picture's own 256 levels, which fall on the edges of bins.
            field = volts(skimage.transform.resize(grey, (side, side), anti_aliasing=True))
            start = (len(grey) - side) // 2
            cut = volts(grey[start:start + side, start:start + side]) if len(grey) >= side else None
            rows.append((name, side, checker.check(f"{name} {side}", field)))
            checker.check(f"{name} {side} open", field, torus=False)
            if cut is not None and np.ptp(cut) > 0:
                checker.check(f"{name} {side} cut", cut)
            checker.check(f"{name} {side} f4", field.astype(np.float32), torus=False, connectivity=8)
            checker.check(f"{name} {side} corners", field, connectivity=8)
            checker.check(f"{name} {side} fixed", field, threshold="fixed:-50")
            checker.check(f"{name} {side} quantile", field, threshold="quantile:0.8", torus=False)
        field = volts(skimage.transform.resize(grey, (64, 64), anti_aliasing=True))
        moving = np.stack([np.roll(field, t, 1) + 1e-4 * t for t in range(20)])
        checker.check(f"{name} moving", moving)
        settling = np.stack([field * (1 + 0.1 * 0.2 ** t) for t in range(40)])
        checker.check(f"{name} settling", settling)
    figures = table(rows)
    print(figures)
    print("\nlargest relative difference: " + ", ".join(f"{k} {v:.1e}" for k, v in sorted(checker.worst.items())))
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-image {skimage.__version__}")
    if arguments.markdown:
        arguments.markdown.write_text(
            "# Features of real pictures\n\n"
            "Made by `tests/authority/check_features.py --markdown`; each number was computed a second time by numpy, "
            f"scipy and scikit-image ({checker.passed} comparisons, {checker.failed} of them failed). Grey values 0..1 "
            "are read as -95..40 mV; torus, Otsu's threshold, four neighbours. The pictures come with scikit-image "
            f"{skimage.__version__}.\n\n{figures}\n")
    print(f"{checker.passed} passed, {checker.failed} failed")
    sys.exit(checker.failed > 0)


if __name__ == "__main__":
    main()
