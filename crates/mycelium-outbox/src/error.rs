//! What can go wrong with an outbox.

use std::fmt;
use std::io;

use crate::format::gap::GapReason;
use crate::format::record::MAX_PAYLOAD_BYTES;
use crate::format::segment::VERSION;

/// An operation of the outbox that failed.
#[derive(Debug)]
pub enum OutboxError {
    /// An operation on a file failed.
    Io {
        /// What was tried, as in "cannot `verb` outbox/`name`".
        verb: &'static str,
        /// The file in the outbox directory; empty for the directory itself.
        name: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file was written by a later program; nothing was changed.
    Newer {
        /// The file in the outbox directory.
        name: String,
        /// Its format version.
        version: u16,
    },
    /// The outbox was opened without this endpoint.
    UnknownEndpoint,
    /// The clock became known after the batch was fetched: fetch it again.
    Stale,
    /// The clock-sync record is not durable yet: try again later.
    ClockPending,
    /// The outbox was shut down.
    Closed,
}

impl OutboxError {
    pub(crate) fn io(verb: &'static str, name: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { verb, name: name.to_owned(), source }
    }
}

impl fmt::Display for OutboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { verb, name, source } => {
                write!(f, "cannot {verb} outbox/{name}: {source}{}", remedy(source))
            }
            Self::Newer { name, version } => write!(
                f,
                "cannot read outbox/{name}: it has format version {version}, this program knows up to {VERSION}: use \
                 the newer program or another data directory"
            ),
            Self::UnknownEndpoint => f.write_str("no such endpoint: open the outbox with it"),
            Self::Stale => f.write_str("the clock became known after the batch was fetched: fetch it again"),
            Self::ClockPending => f.write_str("the clock correction is not durable yet: try again later"),
            Self::Closed => f.write_str("the outbox is shut down"),
        }
    }
}

impl std::error::Error for OutboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// What to do about it, as the end of a sentence.
fn remedy(e: &io::Error) -> &'static str {
    match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": free space or lower outbox.max_bytes",
        io::ErrorKind::ReadOnlyFilesystem => ": remount it for writing",
        io::ErrorKind::PermissionDenied => ": give this user the data directory",
        io::ErrorKind::NotFound => ": it is made again once its parent exists",
        _ => ": check the disk",
    }
}

/// Why a record was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// Longer than [`MAX_PAYLOAD_BYTES`].
    TooLarge,
    /// [`crate::OverflowPolicy::Block`]: keep the record and try again later; nothing was counted.
    Full,
    /// Dropped and counted; a gap record will report it.
    Dropped(GapReason),
    /// The outbox was shut down.
    Closed,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "record is longer than {MAX_PAYLOAD_BYTES} bytes: split it"),
            Self::Full => f.write_str("outbox is full: try again once an endpoint has acknowledged records"),
            Self::Dropped(reason) => write!(f, "record was dropped: {reason}"),
            Self::Closed => f.write_str("the outbox is shut down"),
        }
    }
}

impl std::error::Error for AppendError {}
