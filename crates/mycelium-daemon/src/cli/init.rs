//! `init`: a configuration with every key and its default as a comment.

use std::io::Write;
use std::path::Path;

use super::failure::{ExitStatus, Failure};
use super::files::AtomicFile;
use crate::config;

pub(super) fn init(file: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    let text = config::commented();
    let Some(file) = file else { return Ok(out.write_all(text.as_bytes())?) };
    if file.exists() {
        let why = format!("{} exists: remove it first, or name another file", file.display());
        return Err(Failure::new(ExitStatus::Io, why));
    }
    let mut target = AtomicFile::create(file)?;
    target.write_all(text.as_bytes()).map_err(AtomicFile::failed(file))?;
    target.commit()?;
    Ok(writeln!(out, "{}: start with myceliumd --config {}", file.display(), file.display())?)
}
