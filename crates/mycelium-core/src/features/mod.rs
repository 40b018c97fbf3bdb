//! PURE. Streaming estimators over frames: fractal, statistical, temporal and connectivity features.
//!
//! Reading order: [`Extractor`] owns the estimators and calls them; `temporal` keeps scalars of past frames; `moments`,
//! `threshold`, `bitmap`, `boxes`, `clusters` and `wavelength` use the last frame only.
//! `docs/FEATURES.md` has each formula with its source, unit, range and cost.
//!
//! Results are the same bits on every target: sums run over eight fixed lanes whatever the vector width,
//! nothing is contracted to fused multiply-adds, and logarithms come from `libm`.
#![allow(
    clippy::inline_always,
    reason = "a function is compiled for the dispatched instruction set only if it is inlined into the dispatch"
)]
#![allow(clippy::needless_range_loop, reason = "loops over lane numbers are vectorised")]

pub mod bitmap;
pub mod boxes;
pub mod clusters;
mod double_double;
mod extractor;
mod moments;
mod profile;
pub mod temporal;
mod threshold;
mod wavelength;

pub use extractor::{Extractor, WINDOW_FRAMES, memory_bytes};
pub use moments::{Transition, first_non_finite};
pub use profile::{Compat, Connectivity, FeatureProfile, Threshold};

/// Number of features.
pub const FEATURE_COUNT: usize = 28;

/// Names, in the order of every record, response and column: the 18 of `MyceliumFractalNet` 4.1 first.
pub const FEATURE_NAMES: [&str; FEATURE_COUNT] = [
    "D_box",
    "D_r2",
    "V_min",
    "V_max",
    "V_mean",
    "V_std",
    "V_skew",
    "V_kurt",
    "dV_mean",
    "dV_max",
    "T_stable",
    "E_trend",
    "f_active",
    "N_clusters_low",
    "N_clusters_med",
    "N_clusters_high",
    "max_cluster_size",
    "cluster_size_std",
    "D_information",
    "D_correlation",
    "H_entropy",
    "L_perimeter",
    "compactness",
    "lyapunov",
    "lacunarity",
    "wavelength",
    "euler_number",
    "spiral_tips",
];

/// Index of `lyapunov`, which [`Extractor::set_lyapunov`] provides.
pub const LYAPUNOV_INDEX: usize = 23;
/// Index of the first feature that MyceliumFractalNet 4.1 cannot have: from here on all are NaN under its definitions.
const FIRST_WITHOUT_V41: usize = 24;

/// One value per name of [`FEATURE_NAMES`].
pub type FeatureValues = [f64; FEATURE_COUNT];
