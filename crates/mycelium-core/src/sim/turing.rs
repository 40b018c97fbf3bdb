//! Model `turing`: Schnakenberg kinetics and their linear theory on the lattice.
//!
//! `u' = D_u L u + r (feed - u + u^2 w)`, `w' = D_w L w + r (supply - u^2 w)` with the five-point Laplacian `L`
//! and a step of 1 (Schnakenberg 1979; Murray, Mathematical Biology II, chapter 2). A perturbation
//! `exp(i(kx x + ky y))` of the homogeneous steady state is multiplied by `1 + s` in every step, where `s` is
//! an eigenvalue of `r J - diag(D_u, D_w) q` and `q = 4 - 2 cos kx - 2 cos ky`.

use super::linear::{Growth, eigenvalues};
use super::params::TuringParams;

/// Largest eigenvalue of minus the five-point Laplacian, that of the checkerboard.
pub(super) const MAX_EIGENVALUE: f64 = 8.0;

/// Activator and inhibitor of the homogeneous steady state: `u = feed + supply`, `w = supply / u^2`.
pub fn rest(p: &TuringParams) -> [f64; 2] {
    let u = p.feed + p.supply;
    [u, p.supply / (u * u)]
}

/// Upper clip of the activator: the explicit step follows the inhibitor's decay only while
/// `8 D_w + r u^2 < 2`. At least twice the rest level; patterns stay below.
pub(super) fn max_activator(p: &TuringParams) -> f64 {
    let stable = ((2.0 - MAX_EIGENVALUE * p.d_inhibitor) / p.rate).sqrt();
    stable.min(MAX_ACTIVATOR)
}

/// Upper clip of the activator where the rate sets none, and of the inhibitor.
const MAX_ACTIVATOR: f64 = 20.0;
pub(super) const MAX_INHIBITOR: f64 = 1000.0;

/// Derivatives of the kinetics at rest, 1/step: `[[f_u, f_w], [g_u, g_w]]`.
fn jacobian(p: &TuringParams) -> [[f64; 2]; 2] {
    let [u, w] = rest(p);
    let (slope, square) = (2.0 * u * w, u * u);
    [[p.rate * (slope - 1.0), p.rate * square], [-p.rate * slope, -p.rate * square]]
}

/// The dispersion relation: growth of a perturbation whose `-L` is `q`, `0..=8`.
pub fn growth(p: &TuringParams, q: f64) -> Growth {
    eigenvalues(jacobian(p), [p.d_activator, p.d_inhibitor], q)
}

/// A wave and its growth rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wave {
    /// Wavelength, cells.
    pub wavelength: f64,
    /// Growth rate, 1/step.
    pub growth: f64,
}

/// The perturbation of finite wavelength with the largest growth rate, which may be negative.
pub fn fastest(p: &TuringParams) -> Wave {
    const POINTS: u32 = 8000;
    let at = |k: u32| MAX_EIGENVALUE * f64::from(k) / f64::from(POINTS);
    let grown = |q: f64| growth(p, q).real[0];
    let coarse =
        (1..=POINTS).map(at).max_by(|&x, &y| grown(x).total_cmp(&grown(y))).unwrap_or(MAX_EIGENVALUE);
    // One refinement of the same kind between the neighbours of the best point.
    let step = at(1);
    let fine = (0..=2000).map(|k| coarse + step * (f64::from(k) / 1000.0 - 1.0)).filter(|&q| q > 0.0);
    let q = fine.max_by(|&x, &y| grown(x).total_cmp(&grown(y))).unwrap_or(coarse);
    Wave { wavelength: wavelength(q), growth: grown(q) }
}

/// Wavelength in cells of a wave along an axis whose `-L` is `q`; long waves have it in every direction.
pub fn wavelength(q: f64) -> f64 {
    std::f64::consts::PI / libm::asin((0.5 * q.sqrt()).min(1.0))
}

/// Whether the steady state is stable without diffusion.
pub fn stable_without_diffusion(p: &TuringParams) -> bool {
    growth(p, 0.0).real[0] < 0.0
}

/// `D_w / D_u` above which a pattern can form (the third Turing condition); `None` if there is none because the
/// activator does not activate itself.
pub fn critical_ratio(p: &TuringParams) -> Option<f64> {
    let [[fu, fw], [gu, gw]] = jacobian(p);
    let det = fu * gw - fw * gu;
    (fu > 0.0).then(|| {
        let root = (det.sqrt() + (det - fu * gw).sqrt()) / fu;
        root * root
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Params;

    fn textbook() -> TuringParams {
        TuringParams { feed: 0.1, supply: 0.9, rate: 0.02, ..Params::default().turing }
    }

    #[test]
    fn steady_state_and_critical_ratio_match_the_textbook() {
        let p = textbook();
        assert_eq!(rest(&p), [1.0, 0.9]);
        // f_u = 0.8, det = 1: 0.8 d - 1 = 2 sqrt(d), so sqrt(d) = (1 + sqrt(1.8)) / 0.8.
        let want = ((1.0 + 1.8_f64.sqrt()) / 0.8_f64).powi(2);
        assert!((critical_ratio(&p).unwrap() - want).abs() < 1e-9);
        assert!(stable_without_diffusion(&p));
    }

    #[test]
    fn a_wave_begins_to_grow_exactly_at_the_critical_ratio() {
        let mut p = textbook();
        let critical = critical_ratio(&p).unwrap();
        for (factor, grows) in [(0.99, false), (1.01, true)] {
            p.d_activator = 0.01;
            p.d_inhibitor = p.d_activator * critical * factor;
            assert_eq!(fastest(&p).growth > 0.0, grows, "at {factor} of the critical ratio");
        }
    }

    #[test]
    fn the_checkerboard_is_two_cells_long_and_long_waves_follow_two_pi_over_the_root() {
        assert!((wavelength(4.0) - 2.0).abs() < 1e-12);
        let q = 1e-4_f64;
        assert!((wavelength(q) / (std::f64::consts::TAU / q.sqrt()) - 1.0).abs() < 1e-4);
    }
}
