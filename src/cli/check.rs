//! `check`: what a configuration comes to.

use std::io::Write;
use std::path::Path;

use super::failure::{Code, Failure};
use crate::api::{Acceptor, TlsFiles};
use crate::config;

pub(super) fn check(file: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    let loaded = config::load(file, config::environment(), Vec::new())
        .map_err(|problems| Failure::config(&problems))?;
    if let Some(TlsFiles { cert_file, key_file }) = &loaded.config.api.tls {
        let loaded = Acceptor::load(cert_file, key_file);
        loaded.map_err(|error| Failure::new(Code::Config, format!("api.tls: {error}")))?;
    }
    out.write_all(loaded.describe().as_bytes())?;
    for warning in loaded.config.sim.warnings() {
        writeln!(out, "# warning: sim: {warning}")?;
    }
    Ok(())
}
