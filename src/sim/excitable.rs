//! Model `excitable`: Barkley kinetics, front speed and refractoriness.

/// An upward crossing of this activator level is an excitation.
pub(super) const LEVEL: f64 = 0.5;
