//! `check`: the effective settings and the memory budget.

use std::io::Write;
use std::path::Path;

use super::failure::{ExitStatus, Failure};
use crate::config;

pub(super) fn check(file: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    let loaded = config::load(file, Vec::new()).map_err(|problems| Failure::config(&problems))?;
    let unusable = config::unusable_certificates(&loaded.config);
    if !unusable.is_empty() {
        return Err(Failure { code: Some(ExitStatus::Config), lines: unusable });
    }
    out.write_all(loaded.describe().as_bytes())?;
    for warning in loaded.config.field_warnings() {
        writeln!(out, "# warning: sim: {warning}")?;
    }
    Ok(())
}
