//! Log lines: levels that change while running, text or JSON, repeats counted instead of repeated.

mod settings;

pub use settings::{Format, Settings};
