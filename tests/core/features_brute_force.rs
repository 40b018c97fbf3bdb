//! Estimators against the simplest implementation of the same, for many seeds and odd sizes.

use mycelium_core::features::bitmap::Bitmap;
use mycelium_core::features::boxes::{BoxCounter, BoxPlacement, dyadic};
use mycelium_core::features::clusters::{Clusters, ComponentLabeller};
use mycelium_core::features::{
    Compat, Connectivity, Extractor, FEATURE_NAMES, FeatureProfile, FeatureValues, Threshold,
};
use mycelium_core::field::Frame;

/// Sides around the word size, and odd ones in between.
const SIDES: [usize; 14] = [8, 9, 11, 16, 31, 33, 47, 63, 64, 65, 81, 127, 128, 130];

/// A set with blobs and single cells, sometimes full or empty.
fn random_set(rng: &mut fastrand::Rng, n: usize) -> Vec<bool> {
    let density = *rng.choice(&[0.0, 0.02, 0.2, 0.4, 0.6, 0.9, 1.0]).unwrap();
    let mut set: Vec<bool> = (0..n * n).map(|_| rng.f64() < density).collect();
    for _ in 0..rng.usize(..4) {
        let (i, j, h, w) = (rng.usize(..n), rng.usize(..n), rng.usize(1..n), rng.usize(1..n));
        let on = rng.bool();
        for k in 0..h * w / 4 {
            set[(i + k / w) % n * n + (j + k % w) % n] = on;
        }
    }
    set
}

fn map_of(set: &[bool], n: usize) -> Bitmap {
    let mut map = Bitmap::new(n);
    (0..n * n).filter(|k| set[*k]).for_each(|k| map.set(k / n, k % n));
    map
}

/// The neighbour of a cell, if there is one.
fn step(k: usize, n: usize, di: isize, dj: isize, torus: bool) -> Option<usize> {
    let (i, j, side) = ((k / n).cast_signed() + di, (k % n).cast_signed() + dj, n.cast_signed());
    let inside = (0..side).contains(&i) && (0..side).contains(&j);
    (torus || inside).then(|| (i.rem_euclid(side) * side + j.rem_euclid(side)) as usize)
}

fn flood(set: &[bool], n: usize, connectivity: Connectivity, torus: bool) -> Clusters {
    let mut seen = vec![false; set.len()];
    let mut sizes: Vec<u32> = Vec::new();
    for start in (0..set.len()).filter(|k| set[*k]) {
        if std::mem::replace(&mut seen[start], true) {
            continue;
        }
        let (mut stack, mut size) = (vec![start], 0);
        while let Some(k) = stack.pop() {
            size += 1;
            for (di, dj) in [(0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)] {
                if connectivity == Connectivity::Four && di * dj != 0 {
                    continue;
                }
                if let Some(next) = step(k, n, di, dj, torus).filter(|m| set[*m] && !seen[*m]) {
                    seen[next] = true;
                    stack.push(next);
                }
            }
        }
        sizes.push(size);
    }
    let count = sizes.len() as f64;
    let mean = sizes.iter().map(|s| f64::from(*s)).sum::<f64>() / count;
    let variance = sizes.iter().map(|s| (f64::from(*s) - mean).powi(2)).sum::<f64>() / count;
    Clusters {
        count: sizes.len() as u32,
        largest: sizes.iter().copied().max().unwrap_or(0),
        size_std: if sizes.len() < 2 { 0.0 } else { variance.sqrt() },
    }
}

/// Mutants seen red: no join at the seam, corners tested on one side only, runs cut at the ends of words.
#[test]
fn components_equal_those_of_a_flood_fill() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        for n in SIDES {
            let set = random_set(&mut rng, n);
            let (map, mut labels) = (map_of(&set, n), ComponentLabeller::new(n));
            for (connectivity, torus) in [
                (Connectivity::Four, false),
                (Connectivity::Four, true),
                (Connectivity::Eight, false),
                (Connectivity::Eight, true),
            ] {
                let want = flood(&set, n, connectivity, torus);
                let got = labels.measure(&map, connectivity, torus);
                let what = format!("seed {seed}, side {n}, {connectivity:?}, torus {torus}");
                assert_eq!((got.count, got.largest), (want.count, want.largest), "{what}");
                assert!(
                    (got.size_std - want.size_std).abs() <= 1e-9 * want.size_std,
                    "{what}: {got:?}, {want:?}"
                );
            }
        }
    }
}

/// Mutants seen red: the wrapped part of a gliding row taken from its start, a partial last box ignored.
#[test]
fn box_masses_equal_counts_of_each_box() {
    for seed in 0..12 {
        let mut rng = fastrand::Rng::with_seed(seed);
        for n in SIDES {
            let set = random_set(&mut rng, n);
            let map = map_of(&set, n);
            for placement in [BoxPlacement::Gliding, BoxPlacement::Tiled] {
                let tallies = BoxCounter::new(n, placement).sums(&map);
                assert_eq!(tallies.len(), dyadic(n).len());
                for (tally, size) in tallies.iter().zip(dyadic(n)) {
                    let (torus, size) = (placement == BoxPlacement::Gliding, usize::from(size));
                    let masses = masses(&set, n, size, torus);
                    let what = format!("seed {seed}, side {n}, {placement:?}, size {size}");
                    let of = |f: fn(u64) -> u64| masses.iter().map(|&c| f(c)).sum::<u64>();
                    assert_eq!(u64::from(tally.hit), of(|c| u64::from(c > 0)), "{what}");
                    assert_eq!((tally.mass, tally.squares), (of(|c| c), of(|c| c * c)), "{what}");
                    let weights: f64 =
                        masses.iter().filter(|c| **c > 0).map(|&c| c as f64 * (c as f64).ln()).sum();
                    assert!((tally.weights - weights).abs() <= 1e-9 * weights.abs(), "{what}");
                }
            }
        }
    }
}

/// By prefix sums over two copies of the set in each direction.
fn masses(set: &[bool], n: usize, size: usize, torus: bool) -> Vec<u64> {
    let side = 2 * n + 1;
    let mut sum = vec![0_u64; side * side];
    for (i, j) in (0..2 * n).flat_map(|i| (0..2 * n).map(move |j| (i, j))) {
        let cell = u64::from(set[i % n * n + j % n] && (torus || i < n && j < n));
        sum[(i + 1) * side + j + 1] =
            cell + sum[i * side + j + 1] + sum[(i + 1) * side + j] - sum[i * side + j];
    }
    let stride = if torus { 1 } else { size };
    let starts = || (0..n).step_by(stride);
    let at = |i: usize, j: usize| sum[i * side + j];
    starts()
        .flat_map(|i| starts().map(move |j| (i, j)))
        .map(|(i, j)| at(i + size, j + size) + at(i, j) - at(i + size, j) - at(i, j + size))
        .collect()
}

/// Mutants seen red: the column left of the grid ignored, the bit between two words one position off.
#[test]
fn the_perimeter_equals_the_weighted_crossings_along_four_directions() {
    for seed in 0..30 {
        let mut rng = fastrand::Rng::with_seed(seed);
        for n in SIDES {
            let set = random_set(&mut rng, n);
            for torus in [false, true] {
                let mut length = 0.0;
                // From cells inside and, without a torus, from one cell outside all around.
                let ring = isize::from(!torus);
                let active = |i: isize, j: isize| {
                    let side = n.cast_signed();
                    let inside = (0..side).contains(&i) && (0..side).contains(&j);
                    (torus || inside) && set[(i.rem_euclid(side) * side + j.rem_euclid(side)) as usize]
                };
                for i in -ring..n.cast_signed() + ring {
                    for j in -ring..n.cast_signed() + ring {
                        for (di, dj, weight) in
                            [(0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.5_f64.sqrt()), (1, -1, 0.5_f64.sqrt())]
                        {
                            length += if active(i, j) == active(i + di, j + dj) { 0.0 } else { weight };
                        }
                    }
                }
                let want = length * std::f64::consts::PI / 8.0;
                let got = map_of(&set, n).perimeter(torus);
                assert!(
                    (got - want).abs() <= 1e-9 * want,
                    "seed {seed}, side {n}, torus {torus}: {got}, {want}"
                );
            }
        }
    }
}

#[test]
fn a_bitmap_contains_exactly_the_cells_above_the_threshold() {
    for n in SIDES {
        let mut rng = fastrand::Rng::with_seed(n as u64);
        let plane: Vec<f64> = (0..n * n)
            .map(|_| *rng.choice(&[-61.0, -60.0, -59.0, f64::NAN, f64::INFINITY]).unwrap())
            .collect();
        let mut map = Bitmap::new(n);
        map.mark_above(&plane, -60.0);
        assert!((0..n * n).all(|k| map.get(k / n, k % n) == (plane[k] > -60.0)), "side {n}");
        assert_eq!(map.count(), plane.iter().filter(|v| **v > -60.0).count() as u64, "side {n}");
    }
}

fn profile(threshold: Threshold, torus: bool) -> FeatureProfile {
    FeatureProfile { compat: Compat::Edge, threshold, connectivity: Connectivity::Four, torus, window: 16 }
}

fn features(frame: Frame<'_>, n: usize, profile: FeatureProfile) -> FeatureValues {
    let mut extractor = Extractor::new(n, profile);
    extractor.push(frame);
    extractor.set_spiral_tips(0.0);
    extractor.values()
}

fn assert_near(got: &FeatureValues, want: &FeatureValues, tolerance: f64, what: &str) {
    for (k, name) in FEATURE_NAMES.iter().enumerate() {
        let near = (got[k] - want[k]).abs() <= tolerance * want[k].abs().max(1e-3);
        assert!(near, "{what}: {name} is {}, was {}", got[k], want[k]);
    }
}

/// A smooth field with hills, saddles and a seam, volts.
fn smooth(rng: &mut fastrand::Rng, n: usize) -> Vec<f64> {
    let waves: Vec<_> = (0..6)
        .map(|_| {
            let turn = std::f64::consts::TAU / n as f64;
            (
                rng.f64() * 0.005,
                f64::from(rng.i32(-4..5)) * turn,
                f64::from(rng.i32(-4..5)) * turn,
                rng.f64() * 6.0,
            )
        })
        .collect();
    let v = |k: usize| {
        waves.iter().map(|(a, p, q, s)| a * ((k / n) as f64 * p + (k % n) as f64 * q + s).sin()).sum::<f64>()
    };
    (0..n * n).map(|k| -0.065 + v(k) + 0.0005 * rng.f64()).collect()
}

/// Old position of the cell at a row and column.
type Move<'a> = &'a dyn Fn(usize, usize) -> (usize, usize);

#[test]
fn features_do_not_change_when_a_torus_is_moved_turned_or_mirrored() {
    for (seed, n) in [(0, 8), (1, 33), (2, 64), (3, 81), (4, 100)] {
        let mut rng = fastrand::Rng::with_seed(seed);
        let cells = smooth(&mut rng, n);
        let profile = profile(Threshold::Otsu, true);
        let want = features(Frame::F64(&cells), n, profile);
        let (di, dj) = (rng.usize(..n), rng.usize(..n));
        let maps: [(&str, Move<'_>); 4] = [
            ("moved", &|i, j| ((i + di) % n, (j + dj) % n)),
            ("turned", &|i, j| (j, n - 1 - i)),
            ("transposed", &|i, j| (j, i)),
            ("mirrored", &|i, j| (i, n - 1 - j)),
        ];
        for (what, map) in maps {
            let other: Vec<f64> = (0..n * n)
                .map(|k| {
                    let (i, j) = map(k / n, k % n);
                    cells[i * n + j]
                })
                .collect();
            assert_near(&features(Frame::F64(&other), n, profile), &want, 1e-9, &format!("{what}, side {n}"));
        }
    }
}

#[test]
fn features_of_an_open_field_do_not_change_when_it_is_turned_or_scaled() {
    let n = 64;
    let cells = smooth(&mut fastrand::Rng::with_seed(9), n);
    let want = features(Frame::F64(&cells), n, profile(Threshold::Otsu, false));
    let turned: Vec<f64> = (0..n * n).map(|k| cells[(k % n) * n + n - 1 - k / n]).collect();
    assert_near(&features(Frame::F64(&turned), n, profile(Threshold::Otsu, false)), &want, 1e-9, "turned");
    // In microvolts, say, or against another reference electrode.
    for threshold in [Threshold::Otsu, Threshold::Quantile(0.8)] {
        let want = features(Frame::F64(&cells), n, profile(threshold, true));
        let scaled: Vec<f64> = cells.iter().map(|v| v * 8.0).collect();
        let mut got = features(Frame::F64(&scaled), n, profile(threshold, true));
        (2..6).for_each(|k| got[k] /= 8.0);
        assert_near(&got, &want, 1e-9, "other unit");
    }
}

#[test]
fn single_precision_frames_have_the_features_of_their_exact_values() {
    let n = 48;
    let cells: Vec<f32> = smooth(&mut fastrand::Rng::with_seed(5), n).iter().map(|v| *v as f32).collect();
    let wide: Vec<f64> = cells.iter().map(|v| f64::from(*v)).collect();
    let profile = profile(Threshold::Otsu, true);
    assert_eq!(features(Frame::F32(&cells), n, profile), features(Frame::F64(&wide), n, profile));
}

#[test]
fn non_finite_cells_are_inactive_and_cause_no_panic() {
    for (bad, torus) in
        [(f64::NAN, true), (f64::INFINITY, true), (f64::NEG_INFINITY, false), (f64::MAX, true)]
    {
        for threshold in [Threshold::Otsu, Threshold::Fixed(-60.0), Threshold::Quantile(0.5)] {
            let mut extractor = Extractor::new(12, profile(threshold, torus));
            for fill in [-0.05, bad, -0.05] {
                let mut cells = [-0.07; 144];
                cells[7..40].fill(fill);
                extractor.push(Frame::F64(&cells));
                let values = extractor.values();
                assert!(
                    (0.0..=1.0).contains(&values[12]) && values[0].is_finite(),
                    "{bad} {threshold:?}: {values:?}"
                );
            }
        }
    }
}
