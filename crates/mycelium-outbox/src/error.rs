//! What can go wrong when an outbox is opened or asked for something.

use std::fmt;
use std::io;

use super::gap::Reason;

/// An operation on a file of the outbox that failed, or a file that is not for this program.
#[derive(Debug)]
pub enum Error {
    Io {
        verb: &'static str,
        name: String,
        source: io::Error,
    },
    /// Made by a later program; nothing was changed.
    Newer {
        name: String,
        version: u16,
    },
    /// No such endpoint in the configuration.
    Unknown,
    /// The batch was fetched before the clock became known; fetch it again.
    Stale,
    /// The record that says how wrong the clock was is not on the disk yet; try again later.
    ClockPending,
    /// The outbox has been shut down.
    Closed,
}

impl Error {
    pub(super) fn io(verb: &'static str, name: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { verb, name: name.to_owned(), source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { verb, name, source } => {
                write!(f, "cannot {verb} outbox/{name}: {source}{}", remedy(source))
            }
            Self::Newer { name, version } => write!(
                f,
                "cannot read outbox/{name}: it has format version {version}, this program knows up to {}: \
                 use the newer program or another data directory",
                super::segment::VERSION
            ),
            Self::Unknown => f.write_str("no such endpoint: add it to [[webhooks]]"),
            Self::Stale => f.write_str("the clock became known since the batch was fetched: fetch it again"),
            Self::ClockPending => {
                f.write_str("the correction of the clock is not on the disk yet: try again later")
            }
            Self::Closed => f.write_str("the outbox is shut down"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// What to do about it, as the end of a sentence.
pub(super) fn remedy(e: &io::Error) -> &'static str {
    match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": free space or lower outbox.max_bytes",
        io::ErrorKind::ReadOnlyFilesystem => ": remount it for writing",
        io::ErrorKind::PermissionDenied => ": give this user the data directory",
        io::ErrorKind::NotFound => ": it is made again when its parent is there",
        _ => ": check the disk",
    }
}

/// Why a record was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Longer than [`super::record::MAX_PAYLOAD`].
    TooLarge,
    /// Class `block`: keep it and try again; nothing was counted.
    Full,
    /// Counted and reported by a gap record.
    Dropped(Reason),
    /// The outbox has been shut down.
    Closed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => {
                write!(f, "record is longer than {} bytes: split it", super::record::MAX_PAYLOAD)
            }
            Self::Full => f.write_str("outbox is full: try again once a receiver has taken something"),
            Self::Dropped(reason) => write!(f, "record was dropped: {reason}"),
            Self::Closed => f.write_str("the outbox is shut down"),
        }
    }
}

impl std::error::Error for Refused {}
