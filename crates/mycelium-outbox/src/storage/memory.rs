//! A directory in memory: used without durability when the real one cannot be written.

use std::collections::BTreeMap;
use std::io;

use super::{Preallocation, Storage};

/// Most bytes of all files together; beyond, every call fails with "no space left".
pub const MAX_MEMORY_BYTES: u64 = 4 << 20;

/// A directory whose files are lost when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    names: BTreeMap<String, usize>,
    files: Vec<Vec<u8>>,
}

/// An open file; stays valid when the file is renamed.
#[derive(Clone, Copy, Debug)]
pub struct MemoryFile(usize);

impl MemoryStorage {
    fn used(&self) -> u64 {
        self.files.iter().map(|f| f.len() as u64).sum()
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Storage for MemoryStorage {
    type File = MemoryFile;

    fn prepare(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, each: &mut dyn FnMut(&str, u64)) -> io::Result<()> {
        for (name, &at) in &self.names {
            each(name, self.files[at].len() as u64);
        }
        Ok(())
    }

    fn create(&mut self, name: &str, len: u64, _: Preallocation) -> io::Result<MemoryFile> {
        if self.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if self.used() + len > MAX_MEMORY_BYTES {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let bytes = vec![0; len as usize];
        let empty = (0..self.files.len()).find(|at| !self.names.values().any(|used| used == at));
        let at = empty.unwrap_or(self.files.len());
        if at == self.files.len() {
            self.files.push(bytes);
        } else {
            self.files[at] = bytes;
        }
        self.names.insert(name.to_owned(), at);
        Ok(MemoryFile(at))
    }

    fn open(&self, name: &str, _: bool) -> io::Result<MemoryFile> {
        self.names.get(name).map(|&at| MemoryFile(at)).ok_or_else(missing)
    }

    fn read_at(&self, file: &MemoryFile, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.files[file.0].get(offset as usize..).unwrap_or_default();
        let n = bytes.len().min(into.len());
        into[..n].copy_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn write_at(&mut self, file: &MemoryFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset as usize + bytes.len();
        let grows = end.saturating_sub(self.files[file.0].len()) as u64;
        if self.used() + grows > MAX_MEMORY_BYTES {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let contents = &mut self.files[file.0];
        if contents.len() < end {
            contents.resize(end, 0);
        }
        contents[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, _: &MemoryFile) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, file: &MemoryFile, len: u64) -> io::Result<()> {
        self.files[file.0].resize(len as usize, 0);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let at = self.names.remove(from).ok_or_else(missing)?;
        if let Some(old) = self.names.insert(to.to_owned(), at) {
            self.files[old] = Vec::new();
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let at = self.names.remove(name).ok_or_else(missing)?;
        self.files[at] = Vec::new();
        Ok(())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn free_space(&self) -> io::Result<u64> {
        Ok(MAX_MEMORY_BYTES.saturating_sub(self.used()))
    }
}
