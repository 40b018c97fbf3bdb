//! The seam between deciding and the disk: a flat directory of files with positioned reads and writes.
//!
//! Three sides: [`super::disk::Disk`], [`super::memory::Memory`] and the crash-faking disk of the tests.

use std::io;

use super::error::Error;

/// How a new file gets its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Blocks are reserved; the first write into each costs a metadata commit, but no byte is written twice.
    Reserve,
    /// Zeros are written: later syncs need no metadata commit, but every byte is written twice.
    Zeros,
}

/// What is durable: bytes after [`Storage::sync`] of their file, names after [`Storage::sync_dir`].
pub trait Storage {
    type File;

    /// Makes the directory if it is missing and proves that files can be made in it.
    fn prepare(&mut self) -> io::Result<()>;
    /// Calls `each` with name and length of every regular file.
    fn list(&self, each: &mut dyn FnMut(&str, u64)) -> io::Result<()>;
    /// A new file of `len` bytes, all zero when read; fails when the name is taken.
    fn create(&mut self, name: &str, len: u64, fill: Fill) -> io::Result<Self::File>;
    /// An existing file, for reading or for both.
    fn open(&self, name: &str, write: bool) -> io::Result<Self::File>;
    /// As many bytes as there are, 0 at and behind the end.
    fn read_at(&self, file: &Self::File, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    fn write_at(&mut self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self, file: &Self::File) -> io::Result<()>;
    fn truncate(&mut self, file: &Self::File, len: u64) -> io::Result<()>;
    /// Replaces what `to` was.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&mut self, name: &str) -> io::Result<()>;
    fn sync_dir(&mut self) -> io::Result<()>;
    /// Bytes still free for this program.
    fn free_space(&self) -> io::Result<u64>;
}

/// Renames a file that says nothing any more; earlier ones that were kept so stay. Returns its new name.
pub(super) fn set_aside<S: Storage>(storage: &mut S, name: &str) -> Result<String, Error> {
    for count in 1_u64.. {
        let aside = if count == 1 { format!("{name}.damaged") } else { format!("{name}.damaged.{count}") };
        match storage.open(&aside, false) {
            Ok(_) => continue,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("open", &aside)(e)),
        }
        storage.rename(name, &aside).map_err(Error::io("rename", name))?;
        return Ok(aside);
    }
    unreachable!("as many files as there are numbers")
}
