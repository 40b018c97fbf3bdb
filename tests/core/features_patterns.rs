//! The features of patterns: `lacunarity`, `wavelength`, `euler_number` and `spiral_tips`, against theory and against the
//! simplest implementation of the same.

use std::f64::consts::{PI, TAU};

use crate::support::sim::{from_planes, params, planes};
use mycelium_core::features::bitmap::Bitmap;
use mycelium_core::features::{
    Compat, Connectivity, Extractor, FEATURE_NAMES, FeatureProfile, FeatureValues, Threshold,
};
use mycelium_core::field::Frame;
use mycelium_core::sim::{Boundary, Model, Precision, Simulator};

const SIDES: [usize; 8] = [8, 9, 16, 33, 63, 64, 65, 130];

fn profile(torus: bool) -> FeatureProfile {
    FeatureProfile { torus, ..FeatureProfile::DEFAULT }
}

fn feature(values: &FeatureValues, name: &str) -> f64 {
    values[FEATURE_NAMES.iter().position(|n| *n == name).unwrap()]
}

fn of(cells: &[f64], torus: bool, name: &str) -> f64 {
    let mut extractor = Extractor::new(cells.len().isqrt(), profile(torus));
    extractor.push(Frame::F64(cells));
    feature(&extractor.values(), name)
}

/// Volts: active cells at -40 mV, the others at -70 mV.
fn two_valued(n: usize, active: impl Fn(usize, usize) -> bool) -> Vec<f64> {
    (0..n * n).map(|k| if active(k / n, k % n) { -0.040 } else { -0.070 }).collect()
}

fn random_set(n: usize, seed: u64) -> Vec<bool> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let density = [0.05, 0.3, 0.5, 0.8][(seed % 4) as usize];
    (0..n * n).map(|_| rng.f64() < density).collect()
}

fn near(got: f64, want: f64) -> bool {
    (got - want).abs() <= 1e-9 * want.abs().max(1.0)
}

#[test]
fn lacunarity_equals_the_moments_of_the_masses_of_boxes_of_eight_cells() {
    for n in SIDES {
        let size = if n < 16 { 4 } else { 8 };
        for torus in [true, false] {
            let set = random_set(n, n as u64);
            let active = |i: usize, j: usize| (torus || i < n && j < n) && set[i % n * n + j % n];
            let starts = || (0..n).step_by(if torus { 1 } else { size });
            let masses = starts()
                .flat_map(|i| starts().map(move |j| (i, j)))
                .map(|(i, j)| (0..size * size).filter(|k| active(i + k / size, j + k % size)).count() as f64);
            let (count, sum, squares) =
                masses.fold((0.0, 0.0, 0.0), |(c, s, q), m| (c + 1.0, s + m, q + m * m));
            let got = of(&two_valued(n, |i, j| set[i * n + j]), torus, "lacunarity");
            let want = count * squares / (sum * sum);
            assert!(near(got, want), "side {n}, torus {torus}: {got}, {want}");
        }
    }
}

/// Allain and Cloitre (1991): 1 where every box has the same mass; a single cell is in 64 of the n^2 boxes. Plotnick and
/// others (1996): a random set of density p has 1 + (1 - p) / (64 p).
#[test]
fn lacunarity_of_uniform_single_and_random_sets_is_known() {
    let stripes = two_valued(64, |_, j| j.is_multiple_of(2));
    assert!(near(of(&stripes, true, "lacunarity"), 1.0));
    assert!(near(of(&two_valued(64, |i, j| (i, j) == (3, 60)), true, "lacunarity"), 64.0));
    assert_eq!(of(&vec![-0.07; 4096], true, "lacunarity"), 0.0);
    let mut rng = fastrand::Rng::with_seed(5);
    let set: Vec<bool> = (0..256 * 256).map(|_| rng.f64() < 0.2).collect();
    let got = of(&two_valued(256, |i, j| set[i * 256 + j]), true, "lacunarity");
    assert!((got - (1.0 + 0.8 / (0.2 * 64.0))).abs() < 0.005, "{got}");
}

#[test]
fn the_wavelength_is_that_of_the_second_moment_of_the_power_spectrum() {
    for n in [8, 9, 16] {
        let mut rng = fastrand::Rng::with_seed(n as u64);
        let slow = |k: usize| (TAU * (k / n + k % n) as f64 / n as f64).sin();
        let cells: Vec<f64> = (0..n * n).map(|k| -0.07 + 0.01 * (rng.f64() + slow(k))).collect();
        let (mut power, mut moment) = (0.0, 0.0);
        for (p, q) in (0..n).flat_map(|p| (0..n).map(move |q| (p, q))).skip(1) {
            let (mut re, mut im) = (0.0, 0.0);
            for (k, v) in cells.iter().enumerate() {
                let angle = TAU * (p * (k / n) + q * (k % n)) as f64 / n as f64;
                (re, im) = (re + v * angle.cos(), im + v * angle.sin());
            }
            let wave = |p: usize| 2.0 - 2.0 * (TAU * p as f64 / n as f64).cos();
            power += re * re + im * im;
            moment += (re * re + im * im) * (wave(p) + wave(q));
        }
        let sine = 0.5 * (moment / power).sqrt();
        let want = if sine < 1.0 { PI / sine.asin() } else { 2.0 };
        let got = of(&cells, true, "wavelength");
        assert!((got - want).abs() < 1e-7, "side {n}: {got}, {want}");
    }
}

#[test]
fn the_wavelength_of_waves_is_their_length() {
    let wave = |n: usize, rows: f64, cols: f64| -> Vec<f64> {
        let phase = |k: usize| rows * (k / n) as f64 + cols * (k % n) as f64;
        (0..n * n).map(|k| -0.06 + 0.01 * (TAU * phase(k) / n as f64).sin()).collect()
    };
    for n in [64, 96] {
        for waves in [1.0, 2.0, 4.0, 8.0] {
            let want = n as f64 / waves;
            for cells in [wave(n, waves, 0.0), wave(n, 0.0, waves)] {
                let got = of(&cells, true, "wavelength");
                assert!((got - want).abs() < 1e-6 * want, "{n}, {waves}: {got}");
            }
            let diagonal = of(&wave(n, waves, waves), true, "wavelength") / want * 2.0_f64.sqrt();
            assert!((diagonal - 1.0).abs() < 0.03, "{n}, {waves}: {diagonal}");
        }
        let open = of(&wave(n, 4.0, 0.0), false, "wavelength") / (n as f64 / 4.0);
        assert!((open - 1.0).abs() < 0.05, "{n}: {open}");
    }
    assert_eq!(of(&vec![-0.07; 4096], true, "wavelength"), 0.0, "a flat frame");
    assert_eq!(
        of(&two_valued(64, |i, j| (i + j).is_multiple_of(2)), true, "wavelength"),
        2.0,
        "a checkerboard"
    );
}

/// Vertices, edges and faces as sets.
#[test]
fn the_euler_number_equals_that_of_the_complex_of_cells() {
    for n in SIDES {
        for seed in 0..8 {
            let set = random_set(n, seed);
            for torus in [true, false] {
                let active = |i: isize, j: isize| {
                    let side = n.cast_signed();
                    let inside = (0..side).contains(&i) && (0..side).contains(&j);
                    (torus || inside) && set[(i.rem_euclid(side) * side + j.rem_euclid(side)) as usize]
                };
                let (mut four, mut eight) = (0, 0);
                let first = if torus { 0 } else { -1 };
                for (i, j) in
                    (first..n.cast_signed()).flat_map(|i| (first..n.cast_signed()).map(move |j| (i, j)))
                {
                    let [a, b, c, d] = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(p, q)| active(i + p, j + q));
                    four +=
                        i64::from(a) - i64::from(a && b) - i64::from(a && c) + i64::from(a && b && c && d);
                    eight +=
                        i64::from(a) - i64::from(a || b) - i64::from(a || c) + i64::from(a || b || c || d);
                }
                let mut map = Bitmap::new(n);
                (0..n * n).filter(|k| set[*k]).for_each(|k| map.set(k / n, k % n));
                assert_eq!(
                    map.euler_number(Connectivity::Four, torus),
                    four,
                    "four, {n}, {seed}, torus {torus}"
                );
                assert_eq!(
                    map.euler_number(Connectivity::Eight, torus),
                    eight,
                    "eight, {n}, {seed}, torus {torus}"
                );
            }
        }
    }
}

#[test]
#[expect(clippy::type_complexity, reason = "rows of a table")]
fn the_euler_number_is_components_minus_holes() {
    let square = |i: usize, j: usize| (i as f64 - 31.5).powi(2) + (j as f64 - 31.5).powi(2);
    let rows: [(&str, Box<dyn Fn(usize, usize) -> bool>, f64, f64); 6] = [
        ("disc", Box::new(move |i, j| square(i, j) < 400.0), 1.0, 1.0),
        ("ring", Box::new(move |i, j| (100.0..400.0).contains(&square(i, j))), 0.0, 0.0),
        ("two spots", Box::new(|i, j| i == 9 && (j == 9 || j == 20)), 2.0, 2.0),
        ("band", Box::new(|i, _| (20..30).contains(&i)), 0.0, 1.0),
        ("plane with three holes", Box::new(|i, j| i != 9 || !matches!(j, 9 | 20 | 40)), -3.0, -2.0),
        ("cell in the corner", Box::new(|i, j| (i, j) == (0, 0)), 1.0, 1.0),
    ];
    for (name, active, torus, open) in rows {
        let cells = two_valued(64, active);
        assert_eq!(of(&cells, true, "euler_number"), torus, "{name} on a torus");
        assert_eq!(of(&cells, false, "euler_number"), open, "{name}");
    }
}

/// The angle about the centre of a tip, summed around each square of cells.
fn tips_by_angles(simulator: &Simulator, torus: bool) -> u32 {
    let p = &simulator.params().excitable;
    let (n, [_, u, w]) = (simulator.params().grid, planes(simulator));
    let phase = |i: usize, j: usize| {
        let k = i % n * n + j % n;
        (w[k] - (0.5 * p.a - p.b)).atan2(u[k] - 0.5)
    };
    let last = if torus { n } else { n - 1 };
    let turns = |i: usize, j: usize| {
        let corners = [phase(i, j), phase(i, j + 1), phase(i + 1, j + 1), phase(i + 1, j)];
        let steps = (0..4).map(|k| corners[(k + 1) % 4] - corners[k]);
        steps.map(|d| d - TAU * (d / TAU).round()).sum::<f64>().abs() > PI
    };
    (0..last).flat_map(|i| (0..last).map(move |j| (i, j))).filter(|&(i, j)| turns(i, j)).count() as u32
}

#[test]
fn spiral_tips_are_the_squares_around_which_the_phase_turns_once() {
    for (boundary, torus) in [(Boundary::Periodic, true), (Boundary::Neumann, false)] {
        for precision in [Precision::F32, Precision::F64] {
            let p = params(Model::Excitable, precision, boundary, &[("grid", 72.0)]);
            let mut simulator = Simulator::new(p, 3);
            let mut most = 0;
            for _ in 0..40 {
                for _ in 0..50 {
                    simulator.step();
                }
                let found = simulator.spiral_tips();
                assert_eq!(found, tips_by_angles(&simulator, torus), "{boundary}, {precision}");
                assert!(!torus || found.is_multiple_of(2), "on a torus tips come in pairs: {found}");
                most = most.max(found);
            }
            assert!(most > 0, "{boundary}, {precision}");
        }
    }
}

#[test]
fn spiral_tips_of_a_known_phase_are_counted_and_models_without_a_phase_have_none() {
    let n = 64;
    let wave = |k: usize| 0.3 * (TAU * (k as f64 + 0.3) / n as f64).sin();
    for (boundary, want) in [(Boundary::Periodic, 4), (Boundary::Neumann, 1)] {
        let p = params(Model::Excitable, Precision::F64, boundary, &[("grid", n as f64)]);
        let level = 0.5 * p.excitable.a - p.excitable.b;
        let v = vec![-0.07; n * n];
        let u = (0..n * n).map(|k| 0.5 + wave(k / n)).collect();
        let w = (0..n * n).map(|k| level + wave(k % n)).collect();
        assert_eq!(from_planes(p, &[v, u, w]).spiral_tips(), want, "{boundary}");
    }
    for model in [Model::Mfn, Model::Turing] {
        let mut simulator = Simulator::new(params(model, Precision::F32, Boundary::Periodic, &[]), 1);
        for _ in 0..50 {
            simulator.step();
        }
        assert_eq!(simulator.spiral_tips(), 0, "{model}");
    }
}

#[test]
fn the_new_features_are_unknown_under_4_1_and_spiral_tips_where_only_v_is_known() {
    let cells = two_valued(16, |i, _| i > 7);
    for compat in [Compat::Edge, Compat::V41] {
        let mut extractor = Extractor::new(
            16,
            FeatureProfile { compat, threshold: Threshold::Otsu, ..FeatureProfile::DEFAULT },
        );
        extractor.push(Frame::F64(&cells));
        let values = extractor.values();
        for name in ["lacunarity", "wavelength", "euler_number"] {
            assert_eq!(feature(&values, name).is_nan(), compat == Compat::V41, "{name}");
        }
        assert!(feature(&values, "spiral_tips").is_nan());
        extractor.set_spiral_tips(3.0);
        assert_eq!(feature(&extractor.values(), "spiral_tips").is_nan(), compat == Compat::V41);
    }
}
