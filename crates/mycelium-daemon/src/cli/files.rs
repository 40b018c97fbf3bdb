//! Standard output and standard error, and files that become visible only when they are complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::failure::{ExitStatus, Failure};

/// Standard output, buffered; errors are returned by [`Stdout::finish`] at the latest.
#[derive(Debug)]
pub(super) struct Stdout(BufWriter<io::Stdout>);

impl Default for Stdout {
    fn default() -> Self {
        Self(BufWriter::new(io::stdout()))
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Prints a warning to standard error; a closed one is not an error.
pub(super) fn warn(text: std::fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "myceliumd: {text}"));
}

impl Stdout {
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        Ok(self.0.flush()?)
    }
}

/// A file that is written under a temporary name, which [`AtomicFile::commit`] renames and a drop removes.
#[derive(Debug)]
pub(super) struct AtomicFile {
    out: BufWriter<File>,
    target: PathBuf,
    /// `None` if the target is no regular file, such as /dev/null: it is written directly.
    temp_path: Option<PathBuf>,
}

impl AtomicFile {
    pub(super) fn create(target: &Path) -> Result<Self, Failure> {
        let special = fs::metadata(target).is_ok_and(|meta| !meta.is_file());
        let temp_path = (!special).then(|| temp_path(target)).transpose()?;
        let opened = match &temp_path {
            Some(path) => OpenOptions::new().write(true).create_new(true).open(path),
            None => OpenOptions::new().write(true).open(target),
        };
        let file = opened.map_err(|error| Failure::io("create", target, &error))?;
        Ok(Self { out: BufWriter::with_capacity(1 << 16, file), target: target.to_owned(), temp_path })
    }

    /// Renames the file to its final name.
    pub(super) fn commit(mut self) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::io("write", &self.target, &error);
        self.out.flush().map_err(failed)?;
        if let Some(temp_path) = &self.temp_path {
            fs::rename(temp_path, &self.target)
                .map_err(|error| Failure::io("rename to", &self.target, &error))?;
        }
        self.temp_path = None;
        Ok(())
    }

    pub(super) fn failed(target: &Path) -> impl Fn(io::Error) -> Failure + '_ {
        move |error| Failure::io("write", target, &error)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temp_path) = &self.temp_path {
            // An error cannot be reported from here; a leftover file is hidden and has a unique name.
            drop(fs::remove_file(temp_path));
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.out.seek(to)
    }
}

/// A hidden name in the same directory, so that the rename does not cross file systems.
fn temp_path(target: &Path) -> Result<PathBuf, Failure> {
    let Some(name) = target.file_name() else {
        return Err(Failure::new(ExitStatus::Usage, format_args!("{} names no file", target.display())));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.part", std::process::id()));
    Ok(target.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_committed_leaves_the_old_one_and_no_other_file() {
        let dir = std::env::temp_dir().join(format!("mycelium-atomic-file-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let target = dir.join("state.npy");
        fs::write(&target, "old").unwrap();
        let mut half = AtomicFile::create(&target).unwrap();
        half.write_all(b"ne").unwrap();
        drop(half);
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        let mut whole = AtomicFile::create(&target).unwrap();
        whole.write_all(b"new").unwrap();
        whole.commit().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(dir).unwrap();
    }
}
