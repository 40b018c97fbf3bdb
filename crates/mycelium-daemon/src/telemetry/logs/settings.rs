//! What is written and how.

use std::str::FromStr;

use log::LevelFilter;

use mycelium_core::range::OutOfRange;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl FromStr for Format {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(OutOfRange {
                key: "log.format".to_owned(),
                value: format!("{text:?}"),
                accepted: "text | json".to_owned(),
            }),
        }
    }
}

/// The table `[log]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub level: LevelFilter,
    pub format: Format,
}
