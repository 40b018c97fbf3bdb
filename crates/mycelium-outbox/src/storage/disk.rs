//! A directory of a Unix file system.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::{Preallocation, Storage};
use crate::format::file_name::PROBE_FILE;
use crate::state_dir::{give_to_owner, make_directory, options};

/// Bytes of one write of zeros.
const ZERO_CHUNK_BYTES: usize = 64 << 10;

/// A directory. Every call uses its path, so that a directory that was moved away and made again is found.
#[derive(Clone, Debug)]
pub struct DiskStorage {
    root: PathBuf,
}

impl DiskStorage {
    /// The directory `root`; nothing is created before [`Storage::prepare`].
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

impl Storage for DiskStorage {
    type File = File;

    fn prepare(&mut self) -> io::Result<()> {
        make_directory(&self.root)?;
        let probe = self.root.join(PROBE_FILE);
        match fs::remove_file(&probe) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        drop(options().write(true).create_new(true).mode(0o600).open(&probe)?);
        fs::remove_file(probe)
    }

    fn list(&self, each: &mut dyn FnMut(&str, u64)) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            if meta.is_file() {
                each(&entry.file_name().to_string_lossy(), meta.len());
            }
        }
        Ok(())
    }

    fn create(&mut self, name: &str, len: u64, preallocation: Preallocation) -> io::Result<File> {
        let path = self.root.join(name);
        let file = options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        give_to_owner(&file, &self.root)?;
        let filled = match preallocation {
            Preallocation::Reserve => reserve(&file, len),
            Preallocation::Zeros => zeros(&file, len),
        };
        match filled {
            Ok(()) => Ok(file),
            Err(e) => {
                // A part of it would only take space from the next attempt.
                fs::remove_file(&path)?;
                Err(e)
            }
        }
    }

    fn open(&self, name: &str, write: bool) -> io::Result<File> {
        options().read(true).write(write).open(self.root.join(name))
    }

    fn read_at(&self, file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut got = 0;
        while got < into.len() {
            match file.read_at(&mut into[got..], offset + got as u64) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(got)
    }

    fn write_at(&mut self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        file.sync_data()?;
        // Writes and syncs of a file without a name succeed, and their data is lost when it is closed.
        if links(file)? == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the file was removed by someone else"));
        }
        Ok(())
    }

    fn truncate(&mut self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.root.join(name))
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        File::open(&self.root)?.sync_all()
    }

    fn free_space(&self) -> io::Result<u64> {
        let stat = statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn pause(&self, time: Duration) {
        thread::sleep(time);
    }
}

/// Number of names of a file. Only that is queried: a query for times makes the next write store new ones at once
/// (multigrain timestamps, Linux 6.13), which slows every commit down by a quarter.
fn links(file: &File) -> io::Result<u64> {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    use rustix::io::Errno;
    match statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::NLINK) {
        Ok(stat) => Ok(stat.stx_nlink.into()),
        // Linux before 4.11, or a container that blocks the call.
        Err(Errno::NOSYS | Errno::PERM) => Ok(file.metadata()?.nlink()),
        Err(e) => Err(e.into()),
    }
}

/// Reserves blocks; where the file system cannot, zeros are written instead.
fn reserve(file: &File, len: u64) -> io::Result<()> {
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), 0, len) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => zeros(file, len),
        Err(e) => Err(e.into()),
    }
}

fn zeros(file: &File, len: u64) -> io::Result<()> {
    // Not a constant: it would be stored in the binary.
    let zeros = vec![0; len.min(ZERO_CHUNK_BYTES as u64) as usize];
    let mut at = 0;
    while at < len {
        let n = (len - at).min(ZERO_CHUNK_BYTES as u64);
        file.write_all_at(&zeros[..n as usize], at)?;
        at += n;
    }
    Ok(())
}
