//! Which definitions of the features apply.

use std::fmt;
use std::str::FromStr;

use crate::range::{OutOfRange, string_enum};

/// The set of definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// Corrected definitions: dyadic boxes, torus components, adaptive threshold.
    Edge,
    /// Those of `MyceliumFractalNet` 4.1 exactly, flaws included.
    V41,
}

impl Compat {
    /// Name of [`Compat::V41`] in files and options; [`Compat::Edge`] has none, it is the default.
    pub const V41_NAME: &'static str = "4.1";
}

/// Which cells are active under [`Compat::Edge`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// Otsu (1979): the split of the frame's histogram with the largest variance between its two classes.
    Otsu,
    /// Strictly above this many millivolts.
    Fixed(f64),
    /// Strictly above this quantile of the frame's cells, `0..=1`.
    Quantile(f64),
}

impl Threshold {
    /// What [`Threshold::from_str`] accepts, in words.
    pub const ACCEPTED: &'static str =
        "otsu | fixed:MILLIVOLTS (from -1000 to 1000) | quantile:Q (from 0 to 1)";
}

impl FromStr for Threshold {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        let refused = || OutOfRange {
            key: "threshold".to_owned(),
            value: format!("{text:?}"),
            accepted: Self::ACCEPTED.to_owned(),
        };
        let parsed = match text.split_once(':') {
            None if text == "otsu" => Some(Self::Otsu),
            Some(("fixed", mv)) => {
                mv.parse().ok().filter(|mv| (-1000.0..=1000.0).contains(mv)).map(Self::Fixed)
            }
            Some(("quantile", q)) => q.parse().ok().filter(|q| (0.0..=1.0).contains(q)).map(Self::Quantile),
            _ => None,
        };
        parsed.ok_or_else(refused)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Otsu => f.write_str("otsu"),
            Self::Fixed(mv) => write!(f, "fixed:{mv}"),
            Self::Quantile(q) => write!(f, "quantile:{q}"),
        }
    }
}

/// Which neighbours of a cell belong to its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connectivity {
    /// Those that share an edge.
    Four,
    /// Those that share an edge or a corner.
    Eight,
}
string_enum!(Connectivity, "connectivity", Four = "4", Eight = "8");

/// All settings of the estimators.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureProfile {
    /// The set of definitions.
    pub compat: Compat,
    /// Which cells are active (ignored by [`Compat::V41`]).
    pub threshold: Threshold,
    /// Which neighbours belong to a cluster.
    pub connectivity: Connectivity,
    /// The field is a torus: components and boxes join across the seam (ignored by [`Compat::V41`]).
    pub torus: bool,
    /// Frames that the temporal features cover, in [`WINDOW_FRAMES`](super::WINDOW_FRAMES) (under [`Compat::V41`] all).
    pub window: usize,
}

impl FeatureProfile {
    /// The daemon's default, on a torus.
    pub const DEFAULT: Self = Self {
        compat: Compat::Edge,
        threshold: Threshold::Otsu,
        connectivity: Connectivity::Four,
        torus: true,
        window: 64,
    };
}
