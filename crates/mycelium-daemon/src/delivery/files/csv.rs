//! PURE. Feature windows as lines of comma-separated values (RFC 4180).

use std::fmt::Write;

use crate::delivery::cloudevents::clock;
use crate::delivery::source::Record;
use mycelium_core::features::FEATURE_NAMES;
use mycelium_core::window::{FeatureWindow, ValueSummary};

const FIXED: &str = "time,device,boot,sequence,clock,first_step,last_step,samples";

/// The names of the columns; files of windows with other inputs have other columns.
pub(super) fn header(record: &Record) -> String {
    let mut out = FIXED.to_owned();
    for name in FEATURE_NAMES {
        columns(&mut out, name);
    }
    for input in FeatureWindow::decode(&record.payload).into_iter().flat_map(|window| window.inputs) {
        columns(&mut out, &quoted(&input.name));
        push(&mut out, format_args!(",{}_count", quoted(&input.name)));
    }
    out
}

fn columns(out: &mut String, name: &str) {
    push(out, format_args!(",{name}_min,{name}_mean,{name}_max,{name}_last"));
}

/// A name cannot hold a comma or a quote; a foreign one loses them.
fn quoted(name: &str) -> String {
    name.replace([',', '"', '\n', '\r'], "_")
}

/// The line of a window; of anything else, its fixed columns.
pub(super) fn line(out: &mut String, record: &Record) {
    let meta = &record.meta;
    let time = record.corrected.unwrap_or(meta.stamp.wall);
    push(out, format_args!("{time},{},{},{},{}", record.device, meta.boot, meta.seq, clock(record)));
    let Ok(window) = FeatureWindow::decode(&record.payload) else { return out.push_str(",,,") };
    push(out, format_args!(",{},{},{}", window.first_step, window.last_step, window.samples));
    for summary in &window.features {
        summary_columns(out, summary);
    }
    for input in &window.inputs {
        summary_columns(out, &input.summary);
        push(out, format_args!(",{}", input.count));
    }
}

/// What is not a number is an empty column.
fn summary_columns(out: &mut String, summary: &ValueSummary) {
    for value in [summary.min, summary.mean, summary.max, summary.last] {
        out.push(',');
        if value.is_finite() {
            push(out, format_args!("{value}"));
        }
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String cannot fail");
}
