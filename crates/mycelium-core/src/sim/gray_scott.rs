//! Model `gray_scott`: cubic autocatalysis with feed and removal (Gray and Scott 1984; Pearson 1993), and its linear theory.
//!
//! `v' = D_v L v + u v^2 - (F + k) v` (plane "activator"), `u' = D_u L u - u v^2 + F (1 - u)` (plane "inhibitor": the
//! substrate that limits the activator), with the five-point Laplacian `L` and a step of 1. The default diffusion numbers are
//! those of Pearson's mesh: 2e-5 and 1e-5 on 256 cells to 2.5 units of length.

use super::linear::{Growth, eigenvalues};
use super::params::GrayScottParams;
use super::turing::MAX_EIGENVALUE;
use crate::range::string_enum;

/// Named values of feed and kill: classes of Pearson 1993, with parameters at which they are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrayScottPreset {
    /// Class alpha, feed 0.010, kill 0.047: wavelets that annihilate and start again, chaos in space and time.
    Alpha,
    /// Class beta, feed 0.026, kill 0.051: chaos of phase and amplitude.
    Beta,
    /// Class epsilon, feed 0.018, kill 0.055: spots that divide and die, chaos in space and time.
    Epsilon,
    /// Class theta, feed 0.030, kill 0.057: stripes that grow until they fill the field.
    Theta,
    /// Class lambda, feed 0.0367, kill 0.0649: spots that divide until they fill the field, then stand still.
    Lambda,
}
string_enum!(
    GrayScottPreset,
    "gray_scott.preset",
    Alpha = "alpha",
    Beta = "beta",
    Epsilon = "epsilon",
    Theta = "theta",
    Lambda = "lambda"
);

impl GrayScottPreset {
    /// The one whose pattern repeats for ever on the default grid.
    pub const DEFAULT: Self = Self::Epsilon;

    /// Feed and kill, 1/step.
    pub const fn feed_and_kill(self) -> [f64; 2] {
        match self {
            Self::Alpha => [0.010, 0.047],
            Self::Beta => [0.026, 0.051],
            Self::Epsilon => [0.018, 0.055],
            Self::Theta => [0.030, 0.057],
            Self::Lambda => [0.0367, 0.0649],
        }
    }
}

/// An activation is an upward crossing of this activator level.
pub(super) const ACTIVE_LEVEL: f64 = 0.2;

/// Activator that a pattern reaches; the explicit step has to follow it.
pub(super) const PATTERN_ACTIVATOR: f64 = 0.5;

/// Upper clip of the activator: the explicit step follows the substrate's decay only while `8 D_u + F + v^2 < 2`.
pub(super) fn max_activator(p: &GrayScottParams) -> f64 {
    (2.0 - MAX_EIGENVALUE * p.d_inhibitor - p.feed).max(0.0).sqrt().min(1.0)
}

/// The homogeneous steady states as activator and substrate. The first, `(0, 1)`, exists for all parameters and is stable; the
/// other two exist where `F >= 4 (F + k)^2`: the saddle, then the one with more activator.
pub fn steady_states(p: &GrayScottParams) -> Vec<[f64; 2]> {
    let removal = p.feed + p.kill;
    let discriminant = 1.0 - 4.0 * removal * removal / p.feed;
    let mut states = vec![[0.0, 1.0]];
    if p.feed > 0.0 && discriminant >= 0.0 {
        let root = discriminant.sqrt();
        let state = |u: f64| [p.feed * (1.0 - u) / removal, u];
        states.extend([state(0.5 * (1.0 + root)), state(0.5 * (1.0 - root))]);
    }
    states
}

/// Growth of a perturbation of the homogeneous state `[activator, substrate]` whose `-L` is `q`, `0..=8`.
pub fn growth(p: &GrayScottParams, [v, u]: [f64; 2], q: f64) -> Growth {
    let jacobian = [[2.0 * u * v - p.feed - p.kill, v * v], [-2.0 * u * v, -v * v - p.feed]];
    eigenvalues(jacobian, [p.d_activator, p.d_inhibitor], q)
}
