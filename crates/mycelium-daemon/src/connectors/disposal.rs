//! Removes or moves a file of a spool directory after it was read.

use std::io;
use std::path::Path;

use super::fingerprint::fingerprint;
use super::settings::AfterRead;

/// Disposes of a file. One whose fingerprint is no longer `seen` was written again and stays.
pub(super) fn dispose(
    directory: &Path,
    name: &str,
    seen: u64,
    after_read: AfterRead,
    valid: bool,
) -> io::Result<()> {
    let path = directory.join(name);
    let dispose = || match (after_read, valid) {
        (AfterRead::Keep, _) => Ok(()),
        (AfterRead::Delete, true) => std::fs::remove_file(&path),
        (AfterRead::Delete | AfterRead::Move, _) => {
            let into = directory.join(if valid { "done" } else { "rejected" });
            std::fs::create_dir_all(&into)?;
            std::fs::rename(&path, into.join(name))
        }
    };
    let result = match std::fs::metadata(&path) {
        Ok(found) if fingerprint(&found) != seen => Ok(()),
        Ok(_) => dispose(),
        Err(e) => Err(e),
    };
    match result {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            let remedy = "let the daemon write to the directory, or set done = \"keep\"";
            Err(io::Error::new(e.kind(), format!("cannot remove {name} after reading: {e}: {remedy}")))
        }
        _ => Ok(()),
    }
}
