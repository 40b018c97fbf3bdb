//! Inputs whose answers are known from theory.

use std::f64::consts::{E, PI, TAU};

use mycelium_core::features::bitmap::Bitmap;
use mycelium_core::features::boxes::{BoxCounter, BoxPlacement, Dimensions};
use mycelium_core::features::{
    Compat, Connectivity, Extractor, FEATURE_NAMES, FeatureProfile, FeatureValues, Threshold,
    first_non_finite,
};
use mycelium_core::field::Frame;

fn profile(torus: bool) -> FeatureProfile {
    FeatureProfile {
        compat: Compat::Edge,
        threshold: Threshold::Otsu,
        connectivity: Connectivity::Four,
        torus,
        window: 64,
    }
}

fn feature(values: &FeatureValues, name: &str) -> f64 {
    values[FEATURE_NAMES.iter().position(|n| *n == name).unwrap()]
}

fn features(cells: &[f64], profile: FeatureProfile) -> FeatureValues {
    let mut extractor = Extractor::new(cells.len().isqrt(), profile);
    extractor.push(Frame::F64(cells));
    extractor.values()
}

/// Active cells at -40 mV, the others at -70 mV.
fn two_valued(n: usize, active: impl Fn(usize, usize) -> bool) -> Vec<f64> {
    (0..n * n).map(|k| if active(k / n, k % n) { -0.040 } else { -0.070 }).collect()
}

fn digits(mut i: usize, mut j: usize, pair: impl Fn(usize, usize) -> bool) -> bool {
    while i > 0 || j > 0 {
        if pair(i % 3, j % 3) {
            return true;
        }
        (i, j) = (i / 3, j / 3);
    }
    false
}

type Set = fn(usize, usize, usize) -> bool;

type Row = (&'static str, Set, f64, f64, f64, &'static [usize]);

/// Name, set (`n`, row, column), exact dimension, error allowed to the gliding and to the tiled boxes, sides.
const SETS: [Row; 9] = [
    ("full plane", |_, _, _| true, 2.0, 1e-11, 1e-11, &[8, 33, 64, 81, 130, 512]),
    ("row", |n, i, _| i == n / 2, 1.0, 1e-11, 1e-11, &[8, 33, 64, 81, 130]),
    ("last column", |n, _, j| j == n - 1, 1.0, 1e-11, 1e-11, &[8, 33, 64, 81, 130]),
    ("single cell", |n, i, j| (i, j) == (n - 1, n / 3), 0.0, 1e-11, 1e-11, &[8, 33, 64, 81]),
    // Staircases: 2s - 1 positions of a box touch each cell of a diagonal, 2s in the limit.
    ("diagonal", |_, i, j| i == j, 1.0, 0.1, 0.02, &[64, 128, 256]),
    ("checkerboard", |_, i, j| (i + j).is_multiple_of(2), 2.0, 1e-11, 1e-11, &[64, 128]),
    ("sierpinski triangle", |_, i, j| i & j == 0, 1.584_962_500_721_156, 0.015, 1e-11, &[64, 128, 256]),
    (
        "sierpinski carpet",
        |_, i, j| !digits(i, j, |a, b| a == 1 && b == 1),
        1.892_789_260_714_372,
        0.02,
        0.04,
        &[81, 243],
    ),
    (
        "cantor dust",
        |_, i, j| !digits(i, j, |a, b| a == 1 || b == 1),
        1.261_859_507_142_915,
        0.14,
        0.14,
        &[81, 243],
    ),
];

#[test]
fn uniform_fractals_have_the_same_dimension_for_every_moment() {
    for (name, set, exact, gliding, tiled, sides) in SETS {
        for &n in sides {
            let mut map = Bitmap::new(n);
            (0..n * n).filter(|k| set(n, k / n, k % n)).for_each(|k| map.set(k / n, k % n));
            for (placement, allowed) in [(BoxPlacement::Gliding, gliding), (BoxPlacement::Tiled, tiled)] {
                let Dimensions { boxes, r2, information, correlation, .. } =
                    BoxCounter::new(n, placement).dimensions(&map);
                for (q, got) in [boxes, information, correlation].into_iter().enumerate() {
                    // Partial boxes hold less and count as boxes: up to 0.08 at 33 cells.
                    let uneven = q > 0 && placement == BoxPlacement::Tiled && !n.is_power_of_two();
                    let allowed = if uneven { f64::max(allowed, 0.08) } else { allowed };
                    assert!(
                        (got - exact).abs() <= allowed,
                        "{name}, side {n}, {placement:?}: D{q} is {got}, exactly {exact}"
                    );
                }
                assert!(exact == 0.0 || r2 > 0.98, "{name}, side {n}, {placement:?}: R2 is {r2}");
            }
        }
    }
}

/// A multinomial cascade: each square gives its mass to its quarters as 4 : 2 : 1 : 0, down to squares of 8 x 8 cells,
/// whose mass is their number of active cells. Exactly, `D_q = log2(sum p^q) / (1 - q)` (Halsey and others 1986).
/// Mutants seen red: squares of the masses for the information, their weights for the correlation.
#[test]
fn a_multinomial_cascade_has_three_different_dimensions_and_each_is_found() {
    const N: usize = 64;
    let share = |i: usize, j: usize| [[4, 2], [1, 0]][i & 1][j & 1];
    let mut map = Bitmap::new(N);
    for (i, j) in (0..N * N).map(|k| (k / N, k % N)) {
        let mass: usize = (3..6).map(|level| share(i >> level, j >> level)).product();
        if (i % 8) * 8 + j % 8 < mass {
            map.set(i, j);
        }
    }
    let p = [4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0_f64];
    let exact = [
        3.0_f64.log2(),
        -p.iter().map(|p| p * p.log2()).sum::<f64>(),
        -p.iter().map(|p| p * p).sum::<f64>().log2(),
    ];
    assert!(exact[0] > exact[1] + 0.1 && exact[1] > exact[2] + 0.1, "{exact:?}");
    let ladder = [8, 16, 32, 64].into_iter().collect();
    let Dimensions { boxes, r2, information, correlation, .. } =
        BoxCounter::with_ladder(N, BoxPlacement::Reference, ladder).dimensions(&map);
    for (q, got) in [boxes, information, correlation].into_iter().enumerate() {
        assert!((got - exact[q]).abs() < 1e-12, "D{q} is {got}, exactly {}", exact[q]);
    }
    assert!((r2 - 1.0).abs() < 1e-12);
    // The tiled ladder continues below the cascade: only its upper part has known sums.
    let tallies = BoxCounter::new(N, BoxPlacement::Tiled).sums(&map);
    let [fine, coarse] = [&tallies[2], &tallies[4]];
    let mass = fine.mass as f64;
    let got = [
        f64::from(fine.hit).log2() - f64::from(coarse.hit).log2(),
        (coarse.weights - fine.weights) / mass / std::f64::consts::LN_2,
        (coarse.squares as f64).log2() - (fine.squares as f64).log2(),
    ];
    for (q, got) in got.into_iter().enumerate() {
        assert!((got / 2.0 - exact[q]).abs() < 1e-12, "tiled: D{q} is {}, exactly {}", got / 2.0, exact[q]);
    }
}

#[test]
fn nothing_active_has_no_dimension_no_cluster_and_no_boundary() {
    for compat in [Compat::Edge, Compat::V41] {
        for torus in [false, true] {
            let values = features(&vec![-0.07; 4096], FeatureProfile { compat, ..profile(torus) });
            for name in ["D_box", "D_r2", "f_active", "N_clusters_low", "N_clusters_high", "max_cluster_size"]
            {
                assert_eq!(feature(&values, name), 0.0, "{name}");
            }
            for name in ["D_information", "D_correlation", "H_entropy", "L_perimeter", "compactness", "V_std"]
            {
                assert_eq!(feature(&values, name), 0.0, "{name}");
            }
        }
    }
    let noise: Vec<f64> = (0..4096).map(|k| -0.07 + 1e-9 * f64::from(k % 7)).collect();
    assert_eq!(
        feature(&features(&noise, profile(true)), "f_active"),
        0.0,
        "rounding of single precision is flat"
    );
}

#[test]
fn otsu_separates_two_peaks_and_their_entropy_is_one_bit() {
    let half = features(&two_valued(64, |i, _| i < 32), profile(true));
    for (name, want) in [("f_active", 0.5), ("H_entropy", 1.0), ("V_mean", -55.0), ("V_std", 15.0)] {
        assert!((feature(&half, name) - want).abs() < 1e-9, "{name} is {}", feature(&half, name));
    }
    assert!(feature(&half, "V_skew").abs() < 1e-9 && (feature(&half, "V_kurt") + 2.0).abs() < 1e-9);
    let quarter = features(&two_valued(64, |i, j| i < 32 && j < 32), profile(true));
    let entropy = 0.25 * 2.0 + 0.75 * (4.0_f64 / 3.0).log2();
    assert!((feature(&quarter, "H_entropy") - entropy).abs() < 1e-12);
    assert!((feature(&quarter, "V_skew") - 0.5 / (0.25 * 0.75_f64).sqrt()).abs() < 1e-9);
}

/// A normal deviate by Box and Muller.
fn gauss(rng: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (TAU * rng.f64()).cos()
}

#[test]
fn a_gaussian_field_has_gaussian_moments_entropy_and_a_split_at_its_mean() {
    let mut rng = fastrand::Rng::with_seed(11);
    let n = 512;
    let cells: Vec<f64> = (0..n * n).map(|_| -0.070 + 0.005 * gauss(&mut rng)).collect();
    let values = features(&cells, profile(true));
    let get = |name| feature(&values, name);
    let error = 4.0 / f64::from(n);
    assert!((get("V_mean") + 70.0).abs() < 5.0 * error && (get("V_std") - 5.0).abs() < 5.0 * error);
    assert!(get("V_skew").abs() < 3.0 * error && get("V_kurt").abs() < 5.0 * error);
    let width = (get("V_max") - get("V_min")) / 256.0;
    let entropy = (5.0 * (2.0 * PI * E).sqrt() / width).log2();
    assert!((get("H_entropy") - entropy).abs() < 0.01, "{} bits, {entropy} in theory", get("H_entropy"));
    assert!((get("f_active") - 0.5).abs() < 0.02, "{}", get("f_active"));
}

#[test]
fn quantile_and_fixed_thresholds_leave_the_stated_share_active() {
    let mut rng = fastrand::Rng::with_seed(3);
    let cells: Vec<f64> = (0..4096).map(|_| -0.090 + 0.060 * rng.f64()).collect();
    for (q, want) in [(0.0, 4095.0 / 4096.0), (0.25, 0.75), (0.9, 0.1), (1.0, 0.0)] {
        let values = features(&cells, FeatureProfile { threshold: Threshold::Quantile(q), ..profile(true) });
        assert!((feature(&values, "f_active") - want).abs() < 2.0 / 4096.0, "quantile {q}");
    }
    let fixed = features(&cells, FeatureProfile { threshold: Threshold::Fixed(-60.0), ..profile(true) });
    let above = cells.iter().filter(|v| **v * 1000.0 > -60.0).count() as f64 / 4096.0;
    assert_eq!(feature(&fixed, "f_active"), above);
}

#[test]
fn clusters_join_across_the_seam_of_a_torus_only() {
    // One blob over the corner (four pieces of an open field), one over an edge (two pieces), one inside.
    let corner = |i: usize, j: usize| !(2..62).contains(&i) && !(3..61).contains(&j);
    let edge = |i: usize, j: usize| (30..34).contains(&i) && !(2..60).contains(&j);
    let inside = |i: usize, j: usize| (20..24).contains(&i) && (30..35).contains(&j);
    let cells = two_valued(64, |i, j| corner(i, j) || edge(i, j) || inside(i, j));
    for (torus, count, largest) in [(true, 3.0, 24.0), (false, 7.0, 20.0)] {
        let values = features(&cells, profile(torus));
        for name in ["N_clusters_low", "N_clusters_med", "N_clusters_high"] {
            assert_eq!(feature(&values, name), count, "torus {torus}: {name} of a two-valued field");
        }
        assert_eq!(feature(&values, "max_cluster_size"), largest, "torus {torus}");
    }
    let sizes = [24.0_f64, 24.0, 20.0];
    let mean = sizes.iter().sum::<f64>() / 3.0;
    let std = (sizes.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
    assert!((feature(&features(&cells, profile(true)), "cluster_size_std") - std).abs() < 1e-12);
}

#[test]
fn corners_touch_with_eight_neighbours_also_through_the_seam() {
    let cells = two_valued(64, |i, j| {
        (i, j) == (0, 0) || (i, j) == (63, 63) || (i, j) == (63, 1) || (i, j) == (30, 0) || (i, j) == (31, 63)
    });
    for (connectivity, torus, count) in
        [(Connectivity::Four, true, 5.0), (Connectivity::Eight, true, 2.0), (Connectivity::Eight, false, 5.0)]
    {
        let values = features(&cells, FeatureProfile { connectivity, ..profile(torus) });
        assert_eq!(feature(&values, "N_clusters_low"), count, "{connectivity:?}, torus {torus}");
    }
}

#[test]
fn levels_cut_the_height_above_the_threshold_in_thirds() {
    // Peaks of -66, -54 and -41 mV on a ground of -80 mV; the fixed levels are -70, -60, -50.
    let height = |i: usize, j: usize| match (i / 8 % 3, j / 8 % 3) {
        (0, 0) => -0.066,
        (1, 1) => -0.054,
        (2, 2) => -0.041,
        _ => -0.080,
    };
    let cells: Vec<f64> = (0..48 * 48).map(|k| height(k / 48, k % 48)).collect();
    let counts = |threshold| {
        let values = features(&cells, FeatureProfile { threshold, ..profile(false) });
        ["N_clusters_low", "N_clusters_med", "N_clusters_high"].map(|name| feature(&values, name))
    };
    assert_eq!(counts(Threshold::Fixed(-70.0)), [12.0, 8.0, 4.0]);
    assert_eq!(counts(Threshold::Fixed(-60.0)), [8.0, 4.0, 0.0]);
    // Otsu parts the ground from all peaks near -73 mV; a third of the way to -41 mV is near -62 mV.
    assert_eq!(counts(Threshold::Otsu), [12.0, 8.0, 4.0]);
}

#[test]
fn discs_have_the_perimeter_and_compactness_of_discs() {
    for radius in [20.0, 60.0, 120.0] {
        let disc =
            |i: usize, j: usize| (i as f64 - 127.5).powi(2) + (j as f64 - 127.5).powi(2) < radius * radius;
        let values = features(&two_valued(256, disc), profile(false));
        let (length, quotient) = (feature(&values, "L_perimeter"), feature(&values, "compactness"));
        assert!((length / (TAU * radius) - 1.0).abs() < 0.02, "radius {radius}: {length}");
        assert!((quotient - 1.0).abs() < 0.04, "radius {radius}: {quotient}");
    }
    let square =
        features(&two_valued(64, |i, j| (16..48).contains(&i) && (16..48).contains(&j)), profile(true));
    let want = PI / 8.0 * (4.0 * 32.0 + (8.0 * 32.0 - 4.0) / 2.0_f64.sqrt());
    assert!((feature(&square, "L_perimeter") - want).abs() < 1e-9, "5 % short of 128, as the formula has it");
}

#[test]
fn a_band_around_the_torus_has_two_sides_and_no_ends() {
    let band = two_valued(64, |i, _| (10..20).contains(&i));
    let sides = |torus| feature(&features(&band, profile(torus)), "L_perimeter");
    assert!((sides(true) - PI / 8.0 * (128.0 + 256.0 / 2.0_f64.sqrt())).abs() < 1e-9);
    assert!(sides(false) > sides(true) + 15.0, "an open field adds the two ends");
}

#[test]
fn a_constant_field_is_stable_after_ten_transitions_and_a_drifting_one_never() {
    let run = |change: f64, frames: usize, compat| {
        let mut extractor = Extractor::new(16, FeatureProfile { compat, ..profile(true) });
        let mut cells = [-0.070; 256];
        for t in 0..frames {
            if t > 0 {
                for v in &mut cells {
                    *v += change;
                }
            }
            extractor.push(Frame::F64(&cells));
        }
        extractor.values()
    };
    let stable = |change, frames, compat| feature(&run(change, frames, compat), "T_stable");
    let rows = [
        (0.0, 1, Compat::Edge, 0.0, "one frame has no transition"),
        (0.0, 10, Compat::Edge, 10.0, "nine transitions are too few"),
        (0.0, 11, Compat::Edge, 1.0, "ten are enough"),
        (1e-5, 40, Compat::Edge, 40.0, "a uniform drift of 0.01 mV a frame is motion"),
        (1e-5, 40, Compat::V41, 1.0, "version 4.1 takes it for still"),
        (5e-7, 40, Compat::Edge, 1.0, "half a microvolt is still"),
        (1e-5, 200, Compat::Edge, 64.0, "never, within a window of 64 frames"),
    ];
    for (change, frames, compat, want, why) in rows {
        assert_eq!(stable(change, frames, compat), want, "{why}");
    }
    assert!((feature(&run(1e-5, 40, Compat::Edge), "dV_mean") - 0.01).abs() < 1e-12);
}

#[test]
fn a_linear_ramp_of_energy_has_its_slope_for_a_trend_in_any_window() {
    for compat in [Compat::Edge, Compat::V41] {
        let mut extractor = Extractor::new(16, FeatureProfile { compat, window: 7, ..profile(true) });
        for t in 0..50 {
            // 256 cells of sqrt(1000 + 12.5 t) mV.
            let v = (1000.0 + 12.5 * f64::from(t)).sqrt() / 1000.0;
            extractor.push(Frame::F64(&[v; 256]));
        }
        let trend = feature(&extractor.values(), "E_trend");
        assert!((trend - 3200.0).abs() < 1e-6, "{compat:?}: {trend}");
    }
}

#[test]
fn features_scale_with_the_grid_as_theory_says() {
    let field = |n: usize| -> Vec<f64> {
        let wave = |k: usize| (TAU * (k as f64 + 0.5) * 3.0 / n as f64).sin();
        (0..n * n).map(|k| -0.06 + 0.01 * wave(k / n) * wave(k % n)).collect()
    };
    let (coarse, fine) = (features(&field(96), profile(true)), features(&field(192), profile(true)));
    for name in ["V_mean", "V_std", "f_active", "N_clusters_low", "N_clusters_high"] {
        let (a, b) = (feature(&coarse, name), feature(&fine, name));
        assert!((a - b).abs() <= 0.02 * a.abs(), "{name}: {a}, {b}");
    }
    for (name, factor) in [("L_perimeter", 2.0), ("max_cluster_size", 4.0)] {
        let ratio = feature(&fine, name) / feature(&coarse, name);
        assert!((ratio / factor - 1.0).abs() < 0.03, "{name} grows by {ratio}");
    }
}

#[test]
fn the_lyapunov_feature_is_the_value_that_was_set() {
    let mut extractor = Extractor::new(8, profile(true));
    assert_eq!(extractor.values(), [0.0; FEATURE_NAMES.len()], "before the first frame");
    extractor.push(Frame::F32(&[-0.07; 64]));
    extractor.set_lyapunov(-0.25);
    assert_eq!(feature(&extractor.values(), "lyapunov"), -0.25);
}

#[test]
fn the_first_non_finite_cell_is_found() {
    let mut cells = [0.0_f32; 64];
    assert_eq!(first_non_finite(Frame::F32(&cells)), None);
    (cells[40], cells[9]) = (f32::NAN, f32::NEG_INFINITY);
    assert_eq!(first_non_finite(Frame::F32(&cells)), Some(9));
    assert_eq!(first_non_finite(Frame::F64(&[0.0, f64::MAX, f64::NAN])), Some(2));
}
