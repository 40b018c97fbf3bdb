//! PURE. Numbers of the records of this process, and how far they are written.

use std::time::Duration;

use crate::format::record::{Position, RecordKind, RecordMeta};
use crate::log::WriterIdentity;
use crate::pending::WriteRun;
use crate::time::{Mono, Stamp};

/// Numbering and progress.
///
/// Invariants: positions increase without holes, except that a start may leave some unused; sequence numbers have no
/// holes; `readable` is below `next_position`; `durable_seq <= written_seq < next_seq`.
#[derive(Debug)]
pub(crate) struct Writer {
    identity: WriterIdentity,
    next_position: Position,
    next_seq: u64,
    /// Last position used in the segments so far; see `SegmentHeader::resumes_after`.
    resumes_after: Position,
    /// Last record that may be fetched.
    readable: Position,
    written_seq: u64,
    durable_seq: u64,
    commits: u64,
    /// When the records that wait must be committed.
    commit_at: Option<Mono>,
}

impl Writer {
    /// Continues a log whose last record is `last`, whose last used position is `written`, at position `next`.
    pub fn new(identity: WriterIdentity, last: Position, written: Position, next: Position) -> Self {
        Self {
            identity,
            next_position: next,
            next_seq: 1,
            resumes_after: written,
            readable: last,
            written_seq: 0,
            durable_seq: 0,
            commits: 0,
            commit_at: None,
        }
    }

    pub fn identity(&self) -> &WriterIdentity {
        &self.identity
    }

    pub fn next_position(&self) -> Position {
        self.next_position
    }

    /// Positions up to `through` were used by an earlier process, whatever the log has kept of them.
    pub fn never_reuse(&mut self, through: Position) {
        if through >= self.next_position {
            self.next_position = through.next();
        }
    }

    /// Assigns position and sequence number to a new record, which must be committed within `group`.
    pub fn assign(&mut self, kind: RecordKind, stamp: Stamp, group: Duration, now: Mono) -> RecordMeta {
        let (position, seq) = (self.next_position, self.next_seq);
        self.next_position = position.next();
        self.next_seq += 1;
        self.commit_at.get_or_insert(now + group);
        RecordMeta { position, seq, boot: self.identity.boot, kind, priority: 0, stamp }
    }

    /// Notes a successful commit.
    pub fn wrote(&mut self, run: WriteRun, synced: bool) {
        self.resumes_after = run.last;
        self.readable = run.last;
        self.written_seq = run.last_seq;
        self.commits += 1;
        if synced {
            self.durable_seq = run.last_seq;
        }
    }

    /// Everything written so far was synced.
    pub fn synced(&mut self) {
        self.durable_seq = self.written_seq;
    }

    pub fn resumes_after(&self) -> Position {
        self.resumes_after
    }

    pub fn readable(&self) -> Position {
        self.readable
    }

    pub fn durable_seq(&self) -> u64 {
        self.durable_seq
    }

    /// Last record of this process that was written, synced or not.
    pub fn written_seq(&self) -> u64 {
        self.written_seq
    }

    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// Records that this process has accepted.
    pub fn accepted(&self) -> u64 {
        self.next_seq - 1
    }

    pub fn commit_at(&self) -> Option<Mono> {
        self.commit_at
    }

    /// Sets when the records that wait must be committed.
    pub fn set_commit_at(&mut self, at: Option<Mono>) {
        self.commit_at = at;
    }
}
