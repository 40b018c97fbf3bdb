//! Features as JSON objects and as lines of CSV.

use std::io::{self, Write};

use super::command::SeriesFormat;
use crate::formats::json::{JsonObject, write_number};
use mycelium_core::features::{FEATURE_NAMES, FeatureValues};

/// Adds `"features": {name: value, ..}`; values that are not finite become null.
pub(super) fn features(object: &mut JsonObject<'_>, values: &FeatureValues) {
    let mut inner = object.object("features");
    for (name, &value) in FEATURE_NAMES.iter().zip(values) {
        inner.number(name, value);
    }
}

/// One line per frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Series {
    /// Name of the first column.
    pub(super) counter: &'static str,
    pub(super) format: SeriesFormat,
}

impl Series {
    pub(super) fn start(self, out: &mut dyn Write) -> io::Result<()> {
        match self.format {
            SeriesFormat::Csv => writeln!(out, "{},{}", self.counter, FEATURE_NAMES.join(",")),
            SeriesFormat::Json | SeriesFormat::Ndjson => Ok(()),
        }
    }

    pub(super) fn row(self, out: &mut dyn Write, count: u64, values: &FeatureValues) -> io::Result<()> {
        let mut line = String::new();
        match self.format {
            SeriesFormat::Csv => {
                line.push_str(&count.to_string());
                push_columns(&mut line, values);
            }
            SeriesFormat::Json | SeriesFormat::Ndjson => {
                let mut object = JsonObject::new(&mut line);
                object.integer(self.counter, count);
                features(&mut object, values);
            }
        }
        writeln!(out, "{line}")
    }
}

/// `,value` for each feature; values that are not finite become empty columns.
pub(super) fn push_columns(line: &mut String, values: &FeatureValues) {
    for &value in values {
        line.push(',');
        if value.is_finite() {
            write_number(line, value);
        }
    }
}
