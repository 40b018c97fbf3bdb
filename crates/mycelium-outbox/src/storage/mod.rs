//! The interface between the outbox and a disk: a flat directory of files with positioned reads and writes.
//!
//! Three implementations: [`DiskStorage`], [`MemoryStorage`] and the simulated disk of the tests, which loses power at
//! any call.

mod disk;
mod memory;

use std::io;
use std::time::Duration;

pub use disk::DiskStorage;
pub use memory::{MAX_MEMORY_BYTES, MemoryFile, MemoryStorage};

use crate::format::file_name::quarantine_name;

/// Error code of the kernel for a block that cannot be read.
pub(crate) const EIO: i32 = 5;

/// How the blocks of a new file are allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preallocation {
    /// Blocks are reserved: no byte is written twice, but the first write into each block costs a metadata commit.
    Reserve,
    /// Zeros are written: later syncs need no metadata commit, but every byte is written twice.
    Zeros,
}

/// A directory of files. Bytes are durable after [`Storage::sync`] of their file, names after [`Storage::sync_dir`].
pub trait Storage {
    /// An open file.
    type File;

    /// Makes the directory if it is missing and proves that files can be created in it.
    fn prepare(&mut self) -> io::Result<()>;
    /// Calls `each` with name and length of every regular file.
    fn list(&self, each: &mut dyn FnMut(&str, u64)) -> io::Result<()>;
    /// Creates a file of `len` bytes that read as zero; fails when the name exists.
    fn create(&mut self, name: &str, len: u64, preallocation: Preallocation) -> io::Result<Self::File>;
    /// Opens an existing file, for reading or for reading and writing.
    fn open(&self, name: &str, write: bool) -> io::Result<Self::File>;
    /// Reads until `into` is full or the file ends; returns the number of bytes read.
    fn read_at(&self, file: &Self::File, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes`.
    fn write_at(&mut self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes the contents of the file durable. Fails for a file that was removed by someone else.
    fn sync(&mut self, file: &Self::File) -> io::Result<()>;
    /// Sets the length of the file.
    fn truncate(&mut self, file: &Self::File, len: u64) -> io::Result<()>;
    /// Renames a file, replacing an existing `to`.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Makes all changes of names durable.
    fn sync_dir(&mut self) -> io::Result<()>;
    /// Bytes that this process may still allocate.
    fn free_space(&self) -> io::Result<u64>;
    /// Waits before a failed read is repeated; a disk in memory need not.
    fn pause(&self, _: Duration) {}
}

/// Opens a file that may be missing.
pub(crate) fn open_existing<S: Storage>(storage: &S, name: &str, write: bool) -> io::Result<Option<S::File>> {
    match storage.open(name, write) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Renames a damaged file to `<name>.damaged.N`, with the lowest N from 1 that no file has, and returns the new name.
/// Files that were quarantined before stay.
pub fn quarantine<S: Storage>(storage: &mut S, name: &str) -> io::Result<String> {
    for count in 1.. {
        let to = quarantine_name(name, count);
        if open_existing(storage, &to, false)?.is_none() {
            storage.rename(name, &to)?;
            return Ok(to);
        }
    }
    unreachable!("more quarantined files than numbers")
}
