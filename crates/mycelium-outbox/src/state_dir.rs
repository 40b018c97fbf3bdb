//! The state directory and the lock that keeps a second instance out of it.

mod files;
mod trust;

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

pub(crate) use files::{give_to_owner, options};
pub use files::{make_directory, read_file, read_named_file, write_atomically};
use trust::Identity;

/// Attempts to take the lock: another process holds it for a moment in [`is_locked`].
const LOCK_TRIES: u32 = 5;
/// Wait between two attempts.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Directories in the state directory.
const SUBDIRECTORIES: [&str; 3] = ["outbox", "breakers", "connectors"];

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
    /// Somebody else could have put something into a file or directory.
    Untrusted {
        /// The file or directory.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
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
            Self::Untrusted { path, reason } => {
                write!(f, "cannot use {} in the data directory: {reason}", path.display())
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
            Self::Untrusted { .. } | Self::Locked { .. } => None,
        }
    }
}

impl StateDir {
    /// Makes the directory (mode 0700) if it is missing and takes the lock in its file `lock`.
    ///
    /// # Errors
    /// [`StateDirError::Locked`] within 80 ms if another process holds the lock; [`StateDirError::Untrusted`] if the
    /// directory belongs to somebody else or may be changed by others, or if its outbox or lock is a symbolic link.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        Self::open_as(path, |_| Identity::own())
    }

    /// As [`StateDir::open`], for an operator: root may work in the directory of another user, and what it makes there
    /// belongs to that user.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn open_for_operator(path: &Path) -> Result<Self, StateDirError> {
        Self::open_as(path, Identity::within)
    }

    fn open_as(path: &Path, identity: fn(&fs::Metadata) -> Identity) -> Result<Self, StateDirError> {
        let io = |verb, path: &Path| {
            let path = path.to_owned();
            move |source| StateDirError::Io { verb, path, source }
        };
        let untrusted = |path: &Path, reason| StateDirError::Untrusted { path: path.to_owned(), reason };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io("make data directory", path))?;
        // The directory itself may be a symbolic link, as that of a unit with `DynamicUser=` is.
        let meta = fs::metadata(path).map_err(io("use data directory", path))?;
        identity(&meta).check_directory(&meta).map_err(|reason| untrusted(path, reason))?;
        for name in SUBDIRECTORIES {
            let path = path.join(name);
            match files::check_directory(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                checked => checked.map_err(|e| untrusted(&path, e.to_string()))?,
            }
        }
        let lock = take_lock(path)?;
        let state = Self { path: path.to_owned(), lock };
        for name in [""].iter().chain(&SUBDIRECTORIES) {
            // They are in nobody's way.
            drop(files::remove_leftovers(&path.join(name)));
        }
        Ok(state)
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

/// Opens the lock file of a directory, which is made if it is missing, and locks it.
fn take_lock(directory: &Path) -> Result<File, StateDirError> {
    let name = directory.join("lock");
    let io = |verb| {
        let path = name.clone();
        move |source| StateDirError::Io { verb, path, source }
    };
    let made = options().create(true).truncate(false).write(true).mode(0o600).open(&name);
    let made = made.map_err(|e| match files::explained(e) {
        e if e.raw_os_error().is_none() => {
            StateDirError::Untrusted { path: name.clone(), reason: e.to_string() }
        }
        e => io("make lock")(e),
    })?;
    give_to_owner(&made, directory).map_err(io("make lock"))?;
    // Open for reading only, so that the file system can be remounted read-only under a running process.
    let mut lock = options().read(true).open(&name).map_err(io("open lock"))?;
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
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(StateDirError::Locked { directory: directory.to_owned(), lock: name })
        }
        Err(e) => Err(io("lock")(e.into())),
    }
}

/// Whether another process holds the lock of state directory `path`; false if the lock file cannot be opened.
pub fn is_locked(path: &Path) -> bool {
    let Ok(lock) = options().read(true).open(path.join("lock")) else { return false };
    flock(&lock, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
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
        assert!(info.lines().any(|l| l.starts_with("flags:") && l.ends_with("00")), "{info}");
        let refused = StateDir::open(&path).unwrap_err().to_string();
        assert!(refused.contains(&path.display().to_string()), "{refused}");
        assert!(refused.contains(&path.join("lock").display().to_string()), "{refused}");
        drop(first);
        assert!(!is_locked(&path));
        assert_eq!(StateDir::open(&path).unwrap().path(), path);
        fs::remove_dir_all(path).unwrap();
    }
}
