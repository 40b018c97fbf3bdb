//! What a simulation is made of, in one set of ranges for every door.

use std::fmt;
use std::str::FromStr;

use crate::bounds::{Interval, OutOfRange};

/// An enum whose variants have one text each, the same in files, flags and answers.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $name {
            type Err = OutOfRange;
            fn from_str(text: &str) -> Result<Self, OutOfRange> {
                Self::ALL.iter().copied().find(|v| v.name() == text).ok_or_else(|| OutOfRange {
                    key: stringify!($name).to_lowercase(),
                    value: format!("{text:?}"),
                    accepted: [$($text),+].join(" | "),
                })
            }
        }
    };
}

named! {
    /// Which kinetics drive the field.
    Model {
        /// The reaction-diffusion step of MyceliumFractalNet 4.1, bit for bit in `f64`.
        Mfn = "mfn",
        Turing = "turing",
        Excitable = "excitable",
    }
}

named! {
    Precision { F32 = "f32", F64 = "f64" }
}

named! {
    /// What lies beyond the edge of the grid.
    Boundary {
        /// A torus.
        Periodic = "periodic",
        /// The edge cell itself: no flux through the border.
        Neumann = "neumann",
        /// 0 V.
        Dirichlet = "dirichlet",
    }
}

/// Parameters of one simulation; every field lies in its range of [`Params::RANGES`].
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Cells along one edge, 8..=512.
    pub grid: usize,
    pub model: Model,
    pub precision: Precision,
    pub boundary: Boundary,
    /// Diffusion number of V, `D dt / dx^2`.
    pub alpha: f64,
    pub d_activator: f64,
    pub d_inhibitor: f64,
    pub r_activator: f64,
    pub r_inhibitor: f64,
    /// Activator level above which V is raised by 5 mV.
    pub theta: f64,
    /// Whether activator and inhibitor move at all (`mfn`).
    pub turing_enabled: bool,
    /// Volts squared, per cell and step.
    pub jitter_variance: f64,
    /// Chance of one spike somewhere per step (`mfn`).
    pub spike_probability: f64,
}

impl Params {
    pub const GRID: Interval = Interval::closed(8.0, 512.0);
    pub const STEPS: Interval = Interval::closed(1.0, 1e9);
}
