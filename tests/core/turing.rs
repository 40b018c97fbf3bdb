//! Model `turing`: what linear theory predicts is what grows.

use crate::support::sim::{cells, from_planes, params, wavelength};
use mycelium_core::features::{
    Compat, Connectivity, Extractor, FEATURE_NAMES, FeatureProfile, FeatureValues, Threshold,
};
use mycelium_core::sim::{Boundary, Model, Precision, Simulator, turing};

const N: usize = 128;

/// Root mean square change per step below which a pattern counts as settled, volts. Patterns span 60 mV.
const SETTLED: f64 = 1e-6;

fn step(simulator: &mut Simulator, steps: u64) {
    for _ in 0..steps {
        simulator.step();
    }
}

fn change(simulator: &mut Simulator) -> f64 {
    let before = cells(simulator.frame());
    simulator.step();
    let after = cells(simulator.frame());
    (before.iter().zip(&after).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / before.len() as f64).sqrt()
}

#[test]
fn a_turing_pattern_grows_from_noise_settles_and_has_the_predicted_wavelength() {
    for seed in [1, 2] {
        let quiet = params(
            Model::Turing,
            Precision::F32,
            Boundary::Periodic,
            &[("grid", N as f64), ("spike_probability", 0.0)],
        );
        let predicted = turing::fastest(&quiet.turing).wavelength;
        let mut simulator = Simulator::new(quiet, seed);
        step(&mut simulator, 20_000);
        let moving = change(&mut simulator);
        assert!(moving < SETTLED, "seed {seed}: {moving} V per step");
        let field = cells(simulator.frame());
        let got = wavelength(&field, N);
        assert!((4.0..64.0).contains(&got), "{got}");
        assert!((got / predicted - 1.0).abs() < 0.10, "seed {seed}: {got} cells, predicted {predicted}");
        let (low, high) = field.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
        assert!(low > -0.095 && high < 0.040 && high - low > 0.03, "{low}..{high} V");
        assert_eq!(simulator.counters().clamping_events, 0);
        let values = features(&simulator);
        let dimension = values[0];
        assert_eq!(FEATURE_NAMES[0], "D_box");
        assert!(dimension > 1.0 && dimension < 2.0, "seed {seed}: D_box is {dimension}");
    }
}

/// Features of the current frame under the default profile.
fn features(simulator: &Simulator) -> FeatureValues {
    let profile = FeatureProfile {
        compat: Compat::Edge,
        threshold: Threshold::Otsu,
        connectivity: Connectivity::Four,
        torus: true,
        window: 64,
    };
    let mut extractor = Extractor::new(simulator.params().grid, profile);
    extractor.push(simulator.frame());
    extractor.values()
}

/// V of one and the same pattern after 600 units of time, on `24 * fine` cells a side that are `1 / fine` wide: every rate
/// is per `fine^2` steps, so that a diffusion number stays what it is.
fn refined(fine: usize) -> Vec<f64> {
    let n = 24 * fine;
    let per = (fine * fine) as f64;
    let mut set = vec![("grid", n as f64), ("spike_probability", 0.0)];
    set.extend([("turing.rate", 0.025 / per), ("turing.membrane_rate", 0.1 / per)]);
    let p = params(Model::Turing, Precision::F64, Boundary::Periodic, &set);
    let [level, used] = turing::rest(&p.turing);
    let smooth = |k: usize| {
        let at = |k: usize| std::f64::consts::TAU * (k as f64 + 0.5) / n as f64;
        let (x, y) = (at(k % n), at(k / n));
        0.05 * ((2.0 * x).cos() + 0.7 * (2.0 * y + 1.0).sin() + 0.4 * (x - 2.0 * y).cos())
    };
    let plane = |value: &dyn Fn(f64) -> f64| (0..n * n).map(|k| value(smooth(k))).collect::<Vec<f64>>();
    let start = [plane(&|_| -0.070), plane(&|s| level * (1.0 + s)), plane(&|s| used * (1.0 - s))];
    let mut simulator = from_planes(p, &start);
    step(&mut simulator, 600 * (fine * fine) as u64);
    cells(simulator.frame())
}

/// Means over squares of 2 x 2 cells.
fn halved(field: &[f64]) -> Vec<f64> {
    let n = field.len().isqrt();
    let cell = |k: usize| {
        let (i, j) = (2 * (k / (n / 2)), 2 * (k % (n / 2)));
        (field[i * n + j] + field[i * n + j + 1] + field[(i + 1) * n + j] + field[(i + 1) * n + j + 1]) / 4.0
    };
    (0..n * n / 4).map(cell).collect()
}

/// The five-point stencil is of second order: each halving of the cells takes the error to a quarter.
/// Mutant seen red: a reaction rate that is not scaled with the grid.
#[test]
fn a_finer_grid_shows_the_same_pattern_and_the_difference_falls_with_the_square_of_the_cell() {
    let [coarse, fine, finest] = [1, 2, 4].map(refined);
    let (low, high) = coarse.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    assert!(high - low > 0.01, "a pattern has formed: {low}..{high} V");
    let apart = |x: &[f64], y: &[f64]| {
        (x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / x.len() as f64).sqrt()
    };
    let first = apart(&coarse, &halved(&fine));
    let second = apart(&fine, &halved(&finest));
    assert!(second < 0.02 * (high - low), "{second} V");
    assert!((3.0..5.0).contains(&(first / second)), "{first} V, then {second} V");
}

/// The wavelength scales as the root of the diffusion numbers over the rate, as theory says.
#[test]
fn the_wavelength_follows_the_prediction_when_rates_and_diffusion_change() {
    for (set, why) in [
        ([("turing.rate", 0.012), ("turing.d_activator", 0.0175)], "slower: longer waves"),
        ([("turing.rate", 0.03), ("turing.d_activator", 0.0165)], "faster: shorter waves"),
    ] {
        let mut all = vec![("grid", N as f64), ("spike_probability", 0.0)];
        all.extend(set);
        let p = params(Model::Turing, Precision::F32, Boundary::Periodic, &all);
        let wave = turing::fastest(&p.turing);
        let mut simulator = Simulator::new(p, 3);
        // Until the fastest wave has left the linear range.
        step(&mut simulator, (6.0 / wave.growth) as u64);
        let got = wavelength(&cells(simulator.frame()), N);
        assert!((got / wave.wavelength - 1.0).abs() < 0.10, "{why}: {got}, predicted {}", wave.wavelength);
    }
}

/// One Fourier mode of tiny size grows or shrinks by `1 + s` per step, on both sides of the Turing band. Mutant seen
/// to fail: activator and inhibitor diffusion swapped in the kernel.
#[test]
fn a_small_wave_grows_at_the_rate_of_the_dispersion_relation_of_the_lattice() {
    let n = 64;
    let p = params(
        Model::Turing,
        Precision::F64,
        Boundary::Periodic,
        &[("grid", n as f64), ("spike_probability", 0.0)],
    );
    let [u, w] = turing::rest(&p.turing);
    for waves in [5, 6, 7, 8, 9, 10] {
        let k = std::f64::consts::TAU * f64::from(waves) / n as f64;
        let cosine: Vec<f64> = (0..n * n).map(|at| (k * (at % n) as f64).cos()).collect();
        let a: Vec<f64> = cosine.iter().map(|c| u + 1e-7 * c).collect();
        let planes = [vec![-0.07; n * n], a, vec![w; n * n]];
        let mut simulator = from_planes(p.clone(), &planes);
        let amplitude = |simulator: &Simulator| {
            let a = cells(simulator.planes().a);
            a.iter().zip(&cosine).map(|(a, c)| (a - u) * c).sum::<f64>()
        };
        // After the faster eigenvector has decayed.
        step(&mut simulator, 200);
        let before = amplitude(&simulator);
        step(&mut simulator, 100);
        let got = (amplitude(&simulator) / before).ln() / 100.0;
        let theory = turing::growth(&p.turing, 2.0 - 2.0 * k.cos());
        assert_eq!(theory.imaginary, 0.0, "{waves} waves");
        let want = theory.real[0].ln_1p();
        assert!((got - want).abs() < 2e-5, "{waves} waves: {got}, not {want}");
    }
}

/// Mutant seen red: a feed a fifth too high in the kernel.
#[test]
fn outside_the_turing_space_the_field_decays_to_rest() {
    let set = [("grid", 48.0), ("spike_probability", 0.0), ("turing.d_activator", 0.04)];
    let p = params(Model::Turing, Precision::F32, Boundary::Neumann, &set);
    assert!(p.warnings()[0].to_string().starts_with("no pattern will form"));
    let mut simulator = Simulator::new(p, 1);
    step(&mut simulator, 8000);
    let field = cells(simulator.frame());
    let widest = field.iter().map(|v| (v + 0.070).abs()).fold(0.0, f64::max);
    assert!(widest < 1e-5, "{widest} V from rest");
}

#[test]
fn a_pattern_forms_under_every_border_and_in_both_precisions() {
    for boundary in Boundary::ALL {
        for precision in Precision::ALL {
            let p = params(Model::Turing, *precision, *boundary, &[("grid", 40.0)]);
            let mut simulator = Simulator::new(p, 1);
            step(&mut simulator, 4000);
            let field = cells(simulator.frame());
            // Well inside, where a border at 0 V has no effect.
            let inside: Vec<f64> = (10..30).flat_map(|r| field[r * 40 + 10..r * 40 + 30].to_vec()).collect();
            let (low, high) = inside.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            assert!(high - low > 0.03, "{boundary} {precision}: {low}..{high} V");
        }
    }
}
