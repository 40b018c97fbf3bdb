//! PURE. Streaming estimators over frames: fractal, statistical, temporal and connectivity features.
//!
//! Reading order: [`Extractor`] owns everything and says when it runs; `temporal` keeps what a frame leaves
//! behind; `moments`, `threshold`, `bitmap`, `boxes` and `clusters` look at the last frame only.
//! `docs/FEATURES.md` has each formula with its source, unit, range and cost.
//!
//! Results are the same bits on every target: sums run over eight fixed lanes whatever the vector width,
//! nothing is contracted to fused multiply-adds, and logarithms come from `libm`.
#![allow(
    clippy::inline_always,
    reason = "a kernel is compiled for the machine it runs on only when inlined into the dispatch"
)]
#![allow(clippy::needless_range_loop, reason = "lanes are counted, so that they become vectors")]

pub mod bitmap;
pub mod boxes;
pub mod clusters;
mod double_double;
mod extractor;
pub mod moments;
mod profile;
pub mod temporal;
pub mod threshold;

pub use extractor::{Extractor, WINDOW_FRAMES, memory_bytes};
pub use moments::first_non_finite;
pub use profile::{Compat, Connectivity, FeatureProfile, Threshold};

/// Number of features.
pub const FEATURE_COUNT: usize = 24;

/// Names in the order of every record, answer and column: the reference's 18 first.
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
];

/// Index of `lyapunov`, the one feature that is filled in by the owner of the twin trajectory.
pub const LYAPUNOV_INDEX: usize = 23;

/// One value per name of [`FEATURE_NAMES`].
pub type FeatureValues = [f64; FEATURE_COUNT];
