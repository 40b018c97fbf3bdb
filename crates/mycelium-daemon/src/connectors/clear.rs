//! What becomes of a file of a directory that has been read.

use std::io;
use std::path::Path;

use super::settings::Done;
use super::spool::print;

/// Clears a file out of `directory`. One that no longer looks like `seen` has news and stays.
pub fn clear(directory: &Path, name: &str, seen: u64, done: Done, good: bool) -> io::Result<()> {
    let path = directory.join(name);
    let cleared = || match (done, good) {
        (Done::Keep, _) => Ok(()),
        (Done::Delete, true) => std::fs::remove_file(&path),
        (Done::Delete | Done::Move, _) => {
            let into = directory.join(if good { "done" } else { "rejected" });
            std::fs::create_dir_all(&into)?;
            std::fs::rename(&path, into.join(name))
        }
    };
    let result = match std::fs::metadata(&path) {
        Ok(found) if print(&found) != seen => Ok(()),
        Ok(_) => cleared(),
        Err(e) => Err(e),
    };
    match result {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            let remedy = "let the daemon write to the directory, or set done = \"keep\"";
            Err(io::Error::new(e.kind(), format!("cannot clear away {name}: {e}: {remedy}")))
        }
        _ => Ok(()),
    }
}
