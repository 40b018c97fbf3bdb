//! What is written and how.

use log::LevelFilter;

use mycelium_core::range::string_enum;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}
string_enum!(LogFormat, "log.format", Text = "text", Json = "json");

/// The table `[log]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    pub level: LevelFilter,
    pub format: LogFormat,
}

impl LogSettings {
    /// Names of the levels that `log.level` accepts.
    pub const LEVELS: &'static [&'static str] = &["error", "warn", "info", "debug"];
}
