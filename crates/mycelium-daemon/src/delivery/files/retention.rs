//! Removes the oldest finished files of a template.

use std::collections::BinaryHeap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::template::{PathTemplate, can_be};

/// Files removed in one go at most; the next rotation goes on.
const MAX_REMOVED: usize = 256;

/// The files found.
#[derive(Default)]
struct Found {
    bytes: u64,
    /// The oldest ones, newest of them on top.
    oldest: BinaryHeap<(SystemTime, PathBuf, u64)>,
}

/// Removes the oldest files that the template with these parts can have named until the rest has at most `keep` bytes. Other files are
/// not touched.
pub(super) fn remove_oldest(template: &PathTemplate, parts: &[String], keep: u64) -> io::Result<()> {
    let mut found = Found::default();
    find(template.directory(), parts, &mut found)?;
    for (_, path, bytes) in found.oldest.into_sorted_vec() {
        if found.bytes <= keep {
            break;
        }
        fs::remove_file(&path)?;
        found.bytes -= bytes;
        // Goes only if it is empty.
        if let Some(parent) = path.parent().filter(|parent| *parent != template.directory()) {
            drop(fs::remove_dir(parent));
        }
    }
    Ok(())
}

fn find(directory: &Path, parts: &[String], found: &mut Found) -> io::Result<()> {
    let Some((part, below)) = parts.split_first() else { return Ok(()) };
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| can_be(part, name)) {
            continue;
        }
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            find(&entry.path(), below, found)?;
        } else if metadata.is_file() && below.is_empty() {
            found.bytes += metadata.len();
            found.oldest.push((metadata.modified()?, entry.path(), metadata.len()));
            if found.oldest.len() > MAX_REMOVED {
                found.oldest.pop();
            }
        }
    }
    Ok(())
}
