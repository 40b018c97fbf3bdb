//! Files and directories of the data directory: made, replaced and read in one way.
//!
//! Symbolic links are not followed, new files are exclusive and have random names until they are complete, and only
//! regular files of this user or root are read, up to a given length. So nothing that somebody else has put there is
//! overwritten, believed or waited for.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::trust::Identity;

/// Ends the name of a file that is not complete.
const TEMPORARY_SUFFIX: &str = ".partial";

/// Flags of every open: a symbolic link is an error, and a pipe without a writer does not block.
fn flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32
}

/// Options that open a file of the data directory: a symbolic link is an error, and a pipe does not block.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(flags());
    options
}

/// A symbolic link in place of a file, in words.
pub(super) fn explained(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        return refused("it is a symbolic link: remove it");
    }
    error
}

pub(super) fn refused(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason.into())
}

/// Makes a directory (mode 0700) in one that is trusted, unless it is there; and those above it, where they are missing.
///
/// # Errors
/// Any error of the file system; [`io::ErrorKind::PermissionDenied`] with reason and remedy for a symbolic link, and
/// for a directory that somebody else owns or may write to.
pub fn make_directory(path: &Path) -> io::Result<()> {
    if !parent(path).exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent(path))?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        Err(_) => {}
        Ok(()) => give_to_owner(&File::open(path)?, parent(path))?,
    }
    check_directory(path)
}

/// Whether a directory is one that [`make_directory`] accepts.
pub(super) fn check_directory(path: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_symlink() {
        return Err(refused("it is a symbolic link: remove it, and mount what it names there instead"));
    }
    if !meta.is_dir() {
        return Err(refused("it is not a directory: remove it"));
    }
    Identity::within(&fs::metadata(parent(path))?).check_directory(&meta).map_err(refused)
}

/// The directory that holds `path`.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Replaces the contents of `file`, which then has exactly `mode`: a power cut leaves the old contents or the new, never
/// a part.
///
/// # Errors
/// Any error of the file system; then the old contents are still there.
pub fn write_atomically(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let directory = parent(file);
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let temporary = directory.join(format!(".{name}.{:016x}{TEMPORARY_SUFFIX}", random()));
    let written = write_new(&temporary, bytes, mode, directory).and_then(|()| fs::rename(&temporary, file));
    if written.is_err() {
        // It may not be there; a leftover is removed by the next start.
        drop(fs::remove_file(&temporary));
        return written;
    }
    File::open(directory)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8], mode: u32, directory: &Path) -> io::Result<()> {
    let mut out = options().write(true).create_new(true).mode(0o600).open(path)?;
    give_to_owner(&out, directory)?;
    out.write_all(bytes)?;
    match out.set_permissions(Permissions::from_mode(mode)) {
        // A file system without permissions, such as FAT.
        Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) => {}
        done => done?,
    }
    out.sync_all()
}

/// What root makes in the directory of another user belongs to that user, who could not use it otherwise.
pub(crate) fn give_to_owner(file: &File, directory: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(directory)?;
    if owner.uid() == 0 {
        return Ok(());
    }
    match std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid())) {
        // A container without that capability.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

/// Random and not to be guessed; whoever guesses it all the same only makes the call fail.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Removes what writes that did not end have left in a directory; nobody else may be writing in it.
pub(super) fn remove_leftovers(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(TEMPORARY_SUFFIX) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Reads a file of the data directory; `None` if it is missing.
///
/// # Errors
/// Any error of the file system; with reason and remedy: a symbolic link, anything but a regular file, a file longer
/// than `max` bytes, and one that somebody else owns or may write to.
pub fn read_file(file: &Path, max: usize) -> io::Result<Option<Vec<u8>>> {
    let opened = match options().read(true).open(file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(explained)?,
    };
    let meta = opened.metadata()?;
    Identity::within(&fs::metadata(parent(file))?).check_file(&meta).map_err(refused)?;
    let read = read_regular(opened, &meta, max);
    read.map(Some).map_err(|e| {
        if e.raw_os_error().is_none() { io::Error::new(e.kind(), format!("{e}: remove it")) } else { e }
    })
}

/// Reads a file that an operator has named; symbolic links are followed.
///
/// # Errors
/// Any error of the file system; with the reason: anything but a regular file, and a file longer than `max` bytes.
pub fn read_named_file(file: &Path, max: usize) -> io::Result<Vec<u8>> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32)
        .open(file)?;
    let meta = opened.metadata()?;
    read_regular(opened, &meta, max)
}

fn read_regular(file: File, meta: &fs::Metadata, max: usize) -> io::Result<Vec<u8>> {
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file"));
    }
    let too_long = || io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {max} bytes"));
    if meta.len() > max as u64 {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max { Err(too_long()) } else { Ok(bytes) }
}
