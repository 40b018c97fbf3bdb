//! What is written and how.

use log::LevelFilter;

use mycelium_core::range::string_enum;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}
string_enum!(Format, "log.format", Text = "text", Json = "json");

/// The table `[log]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub level: LevelFilter,
    pub format: Format,
}

impl Settings {
    /// Names of the levels that `log.level` accepts.
    pub const LEVELS: &'static [&'static str] = &["error", "warn", "info", "debug"];
}
