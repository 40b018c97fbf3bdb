//! Model `excitable`: Barkley kinetics (Barkley 1991) and the theory of their waves.
//!
//! `u' = D L u + k u (1 - u)(u - (w + b)/a)`, `w' = k epsilon (u - w)`: a perturbation above `b/a` fully excites a
//! resting cell, which is then refractory until `w` has decayed.

use super::params::ExcitableParams;

/// An excitation is an upward crossing of this activator level.
pub(super) const EXCITED_LEVEL: f64 = 0.5;

/// Activator level above which a resting cell fires.
pub fn threshold(p: &ExcitableParams) -> f64 {
    p.b / p.a
}

/// Speed of a plane front into resting medium for a slow inhibitor (`epsilon -> 0`), cells/step:
/// `sqrt(D k / 2) (1 - 2 b/a)`, the front of the cubic bistable equation (Huxley; Murray, Mathematical Biology
/// I, chapter 13).
pub fn front_speed_limit(p: &ExcitableParams) -> f64 {
    (0.5 * p.d_activator * p.rate).sqrt() * (1.0 - 2.0 * threshold(p))
}

/// The same to first order in `epsilon`, cells/step: the inhibitor that rises within the front slows it down.
///
/// Solvability condition of the perturbed front `u = 1/(1 + exp(x/W))`, `W = sqrt(2 D/k)`: the inhibitor there is
/// `w = epsilon k W/c ln(1 + exp(-x/W))`, and its mean with the weight of the adjoint mode is
/// `psi(4) - psi(3 - 2 b/a)`.
pub fn front_speed(p: &ExcitableParams) -> f64 {
    let limit = front_speed_limit(p);
    let mean = digamma(4.0) - digamma(3.0 - 2.0 * threshold(p));
    limit - 2.0 * p.d_activator * p.rate * p.epsilon * mean / (p.a * limit)
}

/// Width of a front, cells: `sqrt(2 D / k)`.
pub fn front_width(p: &ExcitableParams) -> f64 {
    (2.0 * p.d_activator / p.rate).sqrt()
}

/// Steps a cell stays excited behind a plane front for `epsilon -> 0`: until the inhibitor turns the front into an equally
/// fast back, `-ln(1 - (a - 2 b)) / (k epsilon)`; infinite when it never gets there. With the default `epsilon` it is an order
/// of magnitude only: 413 steps, measured 684 for a plane pulse and 312 inside spirals.
pub fn excited_steps(p: &ExcitableParams) -> f64 {
    let turn = p.a - 2.0 * p.b;
    if turn >= 1.0 { f64::INFINITY } else { -libm::log1p(-turn) / (p.rate * p.epsilon) }
}

/// Length of the excited part of a plane wave by [`excited_steps`], cells: as rough as that.
pub fn pulse_length(p: &ExcitableParams) -> f64 {
    front_speed(p) * excited_steps(p)
}

/// Logarithmic derivative of the gamma function for arguments of 1 and more: recurrence up to 10, then the
/// asymptotic series (Abramowitz and Stegun 6.3.5 and 6.3.18).
fn digamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < 10.0 {
        below -= 1.0 / x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    below + libm::log(x) - 0.5 / x - square * (1.0 / 12.0 - square * (1.0 / 120.0 - square / 252.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digamma_has_its_known_values() {
        const EULER: f64 = 0.577_215_664_901_532_9;
        for (x, want) in [(1.0, -EULER), (2.0, 1.0 - EULER), (4.0, 11.0 / 6.0 - EULER)] {
            assert!((digamma(x) - want).abs() < 1e-10, "psi({x})");
        }
    }
}
