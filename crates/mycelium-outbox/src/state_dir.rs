//! The state directory and the lock that keeps a second instance out of it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

/// Attempts to take the lock: another process holds it for a moment in [`is_locked`].
const LOCK_TRIES: u32 = 5;
/// Wait between two attempts.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// A state directory that only this process may change: the lock is held until this is dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Closing it, or the end of the process, releases the lock.
    #[cfg_attr(not(test), expect(dead_code, reason = "held, never used"))]
    lock: File,
}

/// Why a state directory cannot be used.
#[derive(Debug)]
pub enum StateDirError {
    /// An operation on a file failed.
    Io {
        /// What was tried, as in "cannot `verb` `path`".
        verb: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another process holds the lock.
    Locked {
        /// The state directory.
        directory: PathBuf,
        /// The lock file in it.
        lock: PathBuf,
    },
}

impl fmt::Display for StateDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { verb, path, source } => {
                let path = path.display();
                write!(f, "cannot {verb} {path}: {source}: give this user a writable data directory")
            }
            Self::Locked { directory, lock } => {
                let (directory, lock) = (directory.display(), lock.display());
                write!(
                    f,
                    "cannot use data directory {directory}: another instance holds the lock {lock}: stop it \
                     or choose another data directory"
                )
            }
        }
    }
}

impl std::error::Error for StateDirError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Locked { .. } => None,
        }
    }
}

impl StateDir {
    /// Makes the directory (mode 0700) if it is missing and takes the lock in its file `lock`.
    ///
    /// # Errors
    /// [`StateDirError::Locked`] within 80 ms if another process holds the lock.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        let io = |verb, path: &Path| {
            let path = path.to_owned();
            move |source| StateDirError::Io { verb, path, source }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io("make data directory", path))?;
        let name = path.join("lock");
        let made = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&name)
            .map_err(io("make lock", &name))?;
        // Open for reading only, so that the file system can be remounted read-only under a running process.
        let mut lock = File::open(&name).map_err(io("open lock", &name))?;
        let mut tries = 1;
        let mut taken = flock(&lock, FlockOperation::NonBlockingLockExclusive);
        if taken == Err(rustix::io::Errno::BADF) {
            // NFS locks only files that are open for writing.
            lock = made;
            taken = flock(&lock, FlockOperation::NonBlockingLockExclusive);
        }
        while taken == Err(rustix::io::Errno::WOULDBLOCK) && tries < LOCK_TRIES {
            thread::sleep(LOCK_RETRY_INTERVAL);
            tries += 1;
            taken = flock(&lock, FlockOperation::NonBlockingLockExclusive);
        }
        match taken {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(StateDirError::Locked { directory: path.to_owned(), lock: name })
            }
            Err(e) => Err(io("lock", &name)(e.into())),
        }
    }

    /// The state directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of the outbox in it.
    pub fn outbox(&self) -> PathBuf {
        self.path.join("outbox")
    }
}

/// Whether another process holds the lock of state directory `path`; false if the lock file cannot be opened.
pub fn is_locked(path: &Path) -> bool {
    let Ok(lock) = File::open(path.join("lock")) else { return false };
    flock(&lock, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}

/// Replaces the contents of `file`, created with `mode`: a power cut leaves the old contents or the new, never a part.
///
/// # Errors
/// Any error of the file system; then the old contents are still there.
pub fn write_atomically(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = file.with_extension("new");
    let mut out = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&temporary)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&temporary, file)?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_is_refused_with_the_path_of_the_lock() {
        let path = std::env::temp_dir().join(format!("mycelium-state-dir-{}", std::process::id()));
        let first = StateDir::open(&path).unwrap();
        assert!(is_locked(&path));
        // The access mode is in the last two bits; a file open for writing would prevent a read-only remount.
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&first.lock);
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).unwrap();
        assert!(info.lines().any(|l| l.starts_with("flags:") && l.ends_with("00000")), "{info}");
        let refused = StateDir::open(&path).unwrap_err().to_string();
        assert!(refused.contains(&path.display().to_string()), "{refused}");
        assert!(refused.contains(&path.join("lock").display().to_string()), "{refused}");
        drop(first);
        assert!(!is_locked(&path));
        assert_eq!(StateDir::open(&path).unwrap().path(), path);
        fs::remove_dir_all(path).unwrap();
    }
}
