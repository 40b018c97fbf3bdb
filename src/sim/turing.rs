//! Model `turing`: Schnakenberg kinetics and their linear theory.

use super::params::TuringParams;

/// Activator and inhibitor are kept in `0..=HIGHEST`; patterns stay well below.
pub(super) const HIGHEST: f64 = 20.0;

/// Activator and inhibitor of the homogeneous steady state: `u = feed + supply`, `w = supply / u^2`.
pub fn rest(p: &TuringParams) -> [f64; 2] {
    let u = p.feed + p.supply;
    [u, p.supply / (u * u)]
}
