//! The twin trajectory on fields whose exponent is known.

use crate::support::sim::params;
use mycelium_core::sim::{
    Boundary, LYAPUNOV_TRANSIENT_STEPS, LYAPUNOV_WINDOW_STEPS, Model, Precision, Simulator, Twin,
};

fn exponent(simulator: &mut Simulator, warm: u64, steps: u64) -> f64 {
    for _ in 0..warm {
        simulator.step();
    }
    let mut twin = Twin::fork(simulator, LYAPUNOV_TRANSIENT_STEPS);
    for _ in 0..steps {
        twin.step_both(simulator);
    }
    twin.exponent().unwrap()
}

/// The mean of V is conserved, so a uniform shift neither grows nor shrinks; noise and spikes are common to both.
#[test]
fn lyapunov_of_mfn_is_zero_where_the_mean_of_v_is_conserved() {
    for boundary in [Boundary::Periodic, Boundary::Neumann] {
        for (precision, bound) in [(Precision::F32, 2e-5), (Precision::F64, 1e-6)] {
            let mut simulator = Simulator::new(params(Model::Mfn, precision, boundary, &[("grid", 32.0)]), 1);
            let got = exponent(&mut simulator, 200, 2560);
            assert!(got.abs() < bound, "{boundary} {precision}: {got}");
        }
    }
}

/// Once the activator is small, the slowest direction is the longest wave `q` of the chemistry, whose multiplier
/// is one plus an eigenvalue of `[[r_a - D_a q, -r_a], [r_i, -r_i - D_i q]]`: -2.95e-3 at 32 x 32 (to first order
/// in `q` it is `-(2 D_a - D_i) q`, -2.7e-3). Before that, `1 - 2 a` in place of 1 makes it a little lower.
#[test]
fn lyapunov_of_mfn_with_dirichlet_borders_is_that_of_its_slowest_mode() {
    let n = 32.0;
    let p = params(Model::Mfn, Precision::F64, Boundary::Dirichlet, &[("grid", n)]);
    let q = 4.0 - 4.0 * (std::f64::consts::PI / (n + 1.0)).cos();
    let (top, bottom) = (p.r_activator - p.d_activator * q, -p.r_inhibitor - p.d_inhibitor * q);
    let half = 0.5 * (top + bottom);
    let slowest = half + (half * half - (top * bottom + p.r_activator * p.r_inhibitor)).sqrt();
    for precision in Precision::ALL {
        let p = params(Model::Mfn, *precision, Boundary::Dirichlet, &[("grid", n)]);
        let late = exponent(&mut Simulator::new(p, 1), 6_000, 2560);
        assert!((late / slowest.ln_1p() - 1.0).abs() < 0.02, "{precision}: {late}, not {}", slowest.ln_1p());
    }
}

/// Without chemistry the exponent is the logarithm of the largest multiplier of the heat equation on the lattice.
#[test]
fn lyapunov_of_diffusion_with_dirichlet_borders_is_the_logarithm_of_its_largest_multiplier() {
    let n = 12.0;
    let mut diffusion = params(Model::Mfn, Precision::F64, Boundary::Dirichlet, &[("grid", n)]);
    diffusion.turing_enabled = false;
    let multiplier = 1.0 + diffusion.alpha * (4.0 * (std::f64::consts::PI / (n + 1.0)).cos() - 4.0);
    let got = exponent(&mut Simulator::new(diffusion, 1), 0, 2560);
    assert!((got - multiplier.ln()).abs() < 1e-6, "{got}, not {}", multiplier.ln());
}

/// The exponent at the end of `steps` steps, by a twin that is forked `before` of them.
fn at_end(model: Model, grid: f64, steps: u64, before: u64) -> Option<f64> {
    let p = params(model, Precision::F32, Boundary::Periodic, &[("grid", grid)]);
    let mut simulator = Simulator::new(p, 1);
    for _ in before..steps {
        simulator.step();
    }
    let mut twin = Twin::fork(&simulator, LYAPUNOV_TRANSIENT_STEPS);
    for _ in 0..before {
        twin.step_both(&mut simulator);
    }
    twin.exponent()
}

/// Regression: a twin forked shortly before the end of a run reported its own transient, -3e-3, where the exponent is 0:
/// that of the directions that shift the pattern.
#[test]
fn lyapunov_of_a_settled_pattern_does_not_depend_on_when_the_twin_was_forked() {
    for before in [1536, 2560, 4608] {
        let got = at_end(Model::Turing, 32.0, 12_000, before).unwrap();
        assert!(got.abs() < 3e-5, "forked {before} steps before the end: {got}");
    }
    assert_eq!(at_end(Model::Turing, 32.0, 12_000, 1536), at_end(Model::Turing, 32.0, 12_000, 1536));
}

/// Waves come and go for thousands of steps: 1,024 of them say nothing, and a figure is within its stated error.
#[test]
fn lyapunov_of_waves_is_unknown_until_its_blocks_agree() {
    assert_eq!(at_end(Model::Excitable, 48.0, 18_000, 1536), None);
    for before in [16_896, 18_000] {
        let known = at_end(Model::Excitable, 48.0, 18_000, before);
        assert!(known.is_none_or(|exponent| exponent.abs() < 4e-4), "{before}: {known:?}");
    }
}

#[test]
fn lyapunov_twins_receive_the_same_stimuli_and_fork_again_after_a_reseed() {
    let set = [("grid", 16.0)];
    let mut simulator = Simulator::new(params(Model::Mfn, Precision::F64, Boundary::Periodic, &set), 1);
    let mut twin = Twin::fork(&simulator, LYAPUNOV_TRANSIENT_STEPS);
    for _ in 0..LYAPUNOV_TRANSIENT_STEPS + LYAPUNOV_WINDOW_STEPS {
        simulator.stimulate(3, 4, 1e-5).unwrap();
        assert_eq!(twin.step_both(&mut simulator).stimuli, 1);
    }
    let before = twin.exponent().unwrap();
    assert!(before.abs() < 1e-4, "{before}");

    let mut planes = crate::support::sim::planes(&simulator);
    (planes[0][0], planes[0][1]) = (1e308, -1e308);
    let mut broken = crate::support::sim::from_planes(simulator.params().clone(), &planes);
    // Nothing is discarded: without a new fork, the jump to the re-seeded field would count as growth.
    let mut twin = Twin::fork(&broken, 0);
    assert!(twin.step_both(&mut broken).reseeded);
    for _ in 0..4 * LYAPUNOV_WINDOW_STEPS {
        assert!(!twin.step_both(&mut broken).reseeded);
    }
    let after = twin.exponent().unwrap();
    assert!(after.abs() < 1e-3, "{after}");
}
