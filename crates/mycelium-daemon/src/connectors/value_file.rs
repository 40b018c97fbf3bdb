//! A file that holds one number, such as those of the kernel's sysfs.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Most bytes of such a file: a page of sysfs.
pub const MAX_VALUE_BYTES: usize = 4096;

/// The bytes of a regular file; one more than [`MAX_VALUE_BYTES`] of a longer one.
pub fn read(path: &Path, into: &mut Vec<u8>) -> io::Result<()> {
    into.clear();
    // Opening a pipe would wait for its writer.
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    file.take(MAX_VALUE_BYTES as u64 + 1).read_to_end(into).map(drop)
}
