//! PURE. Why the outbox cannot write at the moment, and when it tries again.

use std::io;
use std::time::Duration;

use crate::error::OutboxError;
use crate::time::Mono;

/// First wait after a failed write.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// Longest wait after failed writes.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// A failed write. Each further failure doubles the wait.
#[derive(Clone, Debug)]
struct Fault {
    text: String,
    retry_at: Mono,
    wait: Duration,
    /// The disk is full, rather than broken.
    no_space: bool,
}

impl Fault {
    fn after(earlier: Option<&Self>, error: &OutboxError, no_space: bool, now: Mono) -> Self {
        let wait = earlier.map_or(RETRY_MIN, |fault| (fault.wait * 2).min(RETRY_MAX));
        Self { text: error.to_string(), retry_at: now + wait, wait, no_space }
    }
}

/// Current faults of records and of cursors, which are retried independently.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    write: Option<Fault>,
    cursor: Option<Fault>,
    full: bool,
    drop_oldest_on_enospc: bool,
}

impl Faults {
    /// Records could not be written; `no_space` if the disk is full, rather than broken.
    pub fn write_failed(&mut self, error: &OutboxError, no_space: bool, now: Mono) {
        self.write = Some(Fault::after(self.write.as_ref(), error, no_space, now));
    }

    /// A cursor could not be written, or a segment not removed.
    pub fn cursor_failed(&mut self, error: &OutboxError, now: Mono) {
        self.cursor = Some(Fault::after(self.cursor.as_ref(), error, false, now));
    }

    /// Records were written.
    pub fn write_succeeded(&mut self) {
        self.write = None;
        self.full = false;
    }

    /// All cursors were written.
    pub fn cursor_succeeded(&mut self) {
        self.cursor = None;
    }

    /// `max_bytes` is reached and nothing may be dropped: writing waits until a segment is removed.
    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether records can be written, as far as is known.
    pub fn can_write(&self) -> bool {
        self.write.is_none() && !self.full
    }

    /// When to write records again, if that failed.
    pub fn write_retry(&self) -> Option<Mono> {
        self.write.as_ref().map(|fault| fault.retry_at)
    }

    /// When to write cursors again, if that failed.
    pub fn cursor_retry(&self) -> Option<Mono> {
        self.cursor.as_ref().map(|fault| fault.retry_at)
    }

    /// The next commit tries to write at once.
    pub fn retry_write_at(&mut self, now: Mono) {
        if let Some(fault) = &mut self.write {
            fault.retry_at = now;
        }
    }

    /// The directory itself may be gone: the last write failed for another reason than a full disk.
    pub fn may_lack_directory(&self) -> bool {
        self.write.as_ref().is_some_and(|fault| !fault.no_space)
    }

    /// ENOSPC and the memory buffer is full: from now on, drop the oldest records for space on the disk. True the first
    /// time only: where the space of the oldest is not given to the newest, each further attempt waits for its retry.
    pub fn begin_dropping_on_enospc(&mut self) -> bool {
        let begins = self.write.as_ref().is_some_and(|fault| fault.no_space) && !self.drop_oldest_on_enospc;
        self.drop_oldest_on_enospc |= begins;
        begins
    }

    /// Clear this only after a successful write: statvfs can report space that a write then does not get.
    pub fn stop_dropping_on_enospc(&mut self) {
        self.drop_oldest_on_enospc = false;
    }

    pub fn drops_on_enospc(&self) -> bool {
        self.drop_oldest_on_enospc
    }

    /// Why writing does not work, if it does not.
    pub fn text(&self) -> Option<&str> {
        self.write.as_ref().or(self.cursor.as_ref()).map(|fault| fault.text.as_str())
    }
}

/// Whether the disk or the quota is full.
pub(crate) fn is_no_space(error: &OutboxError) -> bool {
    let OutboxError::Io { source, .. } = error else { return false };
    matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
