//! PURE. Streaming estimators over frames: fractal, statistical, temporal and connectivity features.

mod profile;

pub use profile::{Compat, Connectivity, Profile, Threshold};

/// Number of features.
pub const COUNT: usize = 24;

/// Names in the order of every record, answer and column: the reference's 18 first.
pub const NAMES: [&str; COUNT] = [
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
pub const LYAPUNOV: usize = 23;

/// One value per name of [`NAMES`].
pub type Values = [f64; COUNT];
