//! A [`Storage`] in memory: what class `none` falls back to when the directory cannot be written.

use std::collections::BTreeMap;
use std::io;

use super::storage::{Fill, Storage};

/// Bytes of all files together; creating beyond it is "no space left".
pub const CAP: u64 = 4 << 20;

/// A directory that forgets everything at the end.
#[derive(Debug, Default)]
pub struct Memory {
    names: BTreeMap<String, usize>,
    files: Vec<Vec<u8>>,
}

/// Index of a file; stays valid when the file is renamed.
#[derive(Clone, Copy, Debug)]
pub struct Handle(usize);

impl Memory {
    fn used(&self) -> u64 {
        self.files.iter().map(|f| f.len() as u64).sum()
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Storage for Memory {
    type File = Handle;

    fn prepare(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, each: &mut dyn FnMut(&str, u64)) -> io::Result<()> {
        for (name, &at) in &self.names {
            each(name, self.files[at].len() as u64);
        }
        Ok(())
    }

    fn create(&mut self, name: &str, len: u64, _: Fill) -> io::Result<Handle> {
        if self.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if self.used() + len > CAP {
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
        Ok(Handle(at))
    }

    fn open(&self, name: &str, _: bool) -> io::Result<Handle> {
        self.names.get(name).map(|&at| Handle(at)).ok_or_else(missing)
    }

    fn read_at(&self, file: &Handle, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.files[file.0].get(offset as usize..).unwrap_or_default();
        let n = bytes.len().min(into.len());
        into[..n].copy_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn write_at(&mut self, file: &Handle, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset as usize + bytes.len();
        let grows = end.saturating_sub(self.files[file.0].len()) as u64;
        if self.used() + grows > CAP {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let contents = &mut self.files[file.0];
        if contents.len() < end {
            contents.resize(end, 0);
        }
        contents[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, _: &Handle) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, file: &Handle, len: u64) -> io::Result<()> {
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
        Ok(CAP.saturating_sub(self.used()))
    }
}
