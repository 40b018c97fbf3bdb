//! The simulator, its features and the NPY format.

#[path = "../support/mod.rs"]
mod support;

mod conservation_laws;
mod excitable;
mod features_brute_force;
mod features_golden;
mod features_known;
mod features_patterns;
mod features_window;
mod golden;
mod gray_scott;
mod lyapunov;
mod no_alloc;
mod npy;
mod signals;
mod signals_features;
mod turing;
