//! Features as lines: JSON objects and CSV.

use std::io::{self, Write};

use super::command::Format;
use crate::formats::json::{JsonObject, write_number};
use mycelium_core::features::{FEATURE_NAMES, FeatureValues};

/// Adds `"features": {name: value, ..}`; what is not a number is null.
pub(super) fn features(object: &mut JsonObject<'_>, values: &FeatureValues) {
    let mut inner = object.object("features");
    for (name, &value) in FEATURE_NAMES.iter().zip(values) {
        inner.number(name, value);
    }
}

/// A line per frame, in one of the two formats that have lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Series {
    /// Name of the first column: what counts the lines.
    pub(super) counter: &'static str,
    pub(super) format: Format,
}

impl Series {
    pub(super) fn start(self, out: &mut dyn Write) -> io::Result<()> {
        match self.format {
            Format::Csv => writeln!(out, "{},{}", self.counter, FEATURE_NAMES.join(",")),
            Format::Json | Format::Ndjson => Ok(()),
        }
    }

    pub(super) fn row(self, out: &mut dyn Write, count: u64, values: &FeatureValues) -> io::Result<()> {
        let mut line = String::new();
        match self.format {
            Format::Csv => {
                line.push_str(&count.to_string());
                push_columns(&mut line, values);
            }
            Format::Json | Format::Ndjson => {
                let mut object = JsonObject::new(&mut line);
                object.integer(self.counter, count);
                features(&mut object, values);
            }
        }
        writeln!(out, "{line}")
    }
}

/// `,value` for each feature; an empty column where there is no number.
pub(super) fn push_columns(line: &mut String, values: &FeatureValues) {
    for &value in values {
        line.push(',');
        if value.is_finite() {
            write_number(line, value);
        }
    }
}
