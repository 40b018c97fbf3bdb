//! Writing: groups, new segments, giving room back.

use std::io;

use super::core::Outbox;
use super::error::Error;
use super::gap::Reason;
use super::log::{COMMIT_BYTES, COMMIT_RECORDS};
use super::policy::{Durability, Full};
use super::record::{self, Kind, Position};
use super::storage::Storage;
use super::sync::ClockSync;
use crate::time::{Mono, Stamp};

/// What came of asking for a new segment.
#[derive(Clone, Copy, PartialEq)]
enum Room {
    /// In the file of an earlier segment.
    Spare,
    /// In a new file.
    Free,
    /// `max_bytes` is reached and nothing may be dropped.
    Full,
}

impl<S: Storage> Outbox<S> {
    /// When [`Outbox::tick`] wants to be called next; `None` while there is nothing to do.
    pub fn next_deadline(&self) -> Option<Mono> {
        let waiting = !self.held.is_empty() || self.has_losses();
        let commit = match &self.trouble {
            Some(trouble) => Some(trouble.retry_at),
            None if self.full => None,
            None => self.commit_at.filter(|_| waiting),
        };
        let cursors = match &self.cursor_trouble {
            Some(trouble) => Some(trouble.retry_at),
            None => self.cursors_due(),
        };
        [commit, cursors].into_iter().flatten().min()
    }

    /// Does whatever is due.
    pub fn tick(&mut self, now: Mono) {
        let due = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        let retry = self.trouble.as_ref().map(|t| t.retry_at);
        if due(retry) || (retry.is_none() && due(self.commit_at)) {
            self.commit(now);
        }
        let retry = self.cursor_trouble.as_ref().map(|t| t.retry_at);
        if due(retry) || (retry.is_none() && due(self.cursors_due())) {
            self.sync_cursors(now);
        }
    }

    /// Writes and syncs all that is held, as far as the disk lets it.
    pub fn commit(&mut self, now: Mono) {
        if self.trouble.as_ref().is_some_and(|t| now < t.retry_at) {
            return;
        }
        self.commit_at = None;
        self.push_clock_sync(now);
        // The directory may have been taken away; a full disk is no reason to try for another file in it.
        let again = self.trouble.as_ref().is_some_and(|t| !t.space);
        if again && let Err(e) = self.log.storage.prepare().map_err(Error::io("make a file in", "")) {
            self.set_trouble(&e, false, now);
            return;
        }
        loop {
            match self.write_held(now) {
                Ok(true) => {}
                Ok(false) => {
                    self.full = true;
                    return;
                }
                Err(e) => {
                    self.set_trouble(&e, is_no_space(&e), now);
                    return;
                }
            }
            self.full = false;
            self.trouble = None;
            self.clock_is_durable();
            if !self.has_losses() {
                break;
            }
            self.report_losses(now);
        }
        self.commit_at = None;
    }

    /// Commits now, and syncs even in class `none`. False while the disk refuses.
    pub fn flush(&mut self, now: Mono) -> bool {
        if let Some(trouble) = &mut self.trouble {
            trouble.retry_at = now;
        }
        self.commit(now);
        if self.policy.durability == Durability::None {
            match self.log.sync() {
                Ok(()) if self.held.is_empty() => self.durable_seq = self.written_seq,
                Ok(()) => {}
                Err(e) => self.set_trouble(&e, false, now),
            }
        }
        self.sync_cursors(now);
        self.held.is_empty() && self.degraded().is_none()
    }

    /// False when `max_bytes` is in the way of the rest.
    fn write_held(&mut self, now: Mono) -> Result<bool, Error> {
        while let Some(need) = self.held.first_len() {
            if self.log.room() >= need {
                self.write_run()?;
                continue;
            }
            let room = self.make_room(now)?;
            if room == Room::Full {
                return Ok(false);
            }
            self.begin_segment()?;
            self.write_run()?;
            // Not before: a disk may speak of room and give none.
            self.squeeze &= room != Room::Free;
        }
        Ok(true)
    }

    fn begin_segment(&mut self) -> Result<(), Error> {
        let first = self.held.first_position().expect("something is held");
        self.log.begin(first, self.resumes_after, &self.owner)
    }

    /// One write and one sync of as many records as fit.
    fn write_run(&mut self) -> Result<(), Error> {
        let number = self.log.segments.back().expect("there is room, so there is a segment").number;
        let most = if self.policy.durability == Durability::Each { 1 } else { COMMIT_RECORDS };
        self.out.clear();
        let room = self.log.room().min(COMMIT_BYTES);
        let run = self.held.seal_run(number, room, most, &mut self.out).expect("there is room for one");
        self.out.extend_from_slice(&record::mark(number, run.position.next()));
        self.log.write(&self.out)?;
        self.held.written(run.records);
        self.resumes_after = run.position;
        self.readable = run.position;
        self.written_seq = run.seq;
        self.commits += 1;
        if self.policy.durability != Durability::None {
            self.durable_seq = run.seq;
        }
        Ok(())
    }

    /// Sees to it that a segment may be begun, by giving up what the policy says.
    fn make_room(&mut self, now: Mono) -> Result<Room, Error> {
        loop {
            if self.log.has_spare() {
                return Ok(Room::Spare);
            }
            if !self.log.may_grow(self.policy.max_bytes) {
                if self.policy.full == Full::DropOldest && self.drop_oldest(now)? {
                    continue;
                }
                return Ok(Room::Full);
            }
            let free = self.log.storage.free_space().map_err(Error::io("ask for free space of", ""))?;
            if free >= self.log.segment_len() + self.policy.keep_free_bytes {
                return Ok(Room::Free);
            }
            if !(self.squeeze && self.drop_oldest(now)?) {
                let source = io::ErrorKind::StorageFull.into();
                return Err(Error::Io { verb: "make a segment in", name: String::new(), source });
            }
        }
    }

    /// Gives up the oldest segment, if it is not the one being written. Whoever had not taken all of it gets
    /// a gap record; positions before it are behind every cursor from then on.
    fn drop_oldest(&mut self, now: Mono) -> Result<bool, Error> {
        let Some(through) = self.log.oldest_ends() else { return Ok(false) };
        match self.write_first_cursors() {
            // Without room there is none for a cursor either, before this gives some.
            Err(e) if !is_no_space(&e) => return Err(e),
            _ => {}
        }
        let gone = self.log.pop_oldest()?;
        self.close_reader(gone.number);
        let mut most = 0;
        for at in 0..self.endpoints.len() {
            // Positions that were never records are not lost; they lie before the first of this segment.
            let e = &mut self.endpoints[at];
            if e.cursor.acked >= gone.resumes_after && e.cursor.acked < gone.first {
                e.cursor.acked = gone.first.previous();
            }
            let Some((from, records)) = e.loses(through) else { continue };
            let (name, gap_at) = (self.endpoints[at].name.clone(), self.next_position());
            self.push_gap(Reason::DropOldest, records, 0, from, through, &name, now);
            most = most.max(self.endpoints[at].lost((from, through), records, gap_at, now));
        }
        if self.endpoints.is_empty() {
            most = (through.0 + 1).saturating_sub(gone.first.0);
        }
        self.dropped[Reason::DropOldest.index()] += most;
        Ok(true)
    }

    /// Gives back segments every endpoint has taken; their cursors are on the disk.
    pub(super) fn retire(&mut self, now: Mono) {
        let Some(taken) = self.endpoints.iter().map(|e| e.synced_acked).min() else { return };
        while self.log.oldest_ends().is_some_and(|last| last <= taken) {
            match self.log.pop_oldest() {
                Ok(gone) => self.close_reader(gone.number),
                Err(e) => {
                    self.set_cursor_trouble(&e, now);
                    return;
                }
            }
        }
        if self.full {
            self.full = false;
            self.commit(now);
        }
    }

    /// The clock of this boot became known. Its record is written at once: until it is, no batch with
    /// unsynced times may be frozen.
    pub fn clock_synced(&mut self, stamp: Stamp, now: Mono) {
        if self.sync.is_none() && self.sync_held.is_none() {
            self.sync_wanted = Some(stamp);
            self.commit(now);
        }
    }

    fn push_clock_sync(&mut self, now: Mono) {
        let Some(stamp) = self.sync_wanted.take() else { return };
        let sync = ClockSync {
            boot: self.owner.boot,
            mono: stamp.mono,
            wall: stamp.wall,
            uncorrected_through: self.uncorrected_through,
        };
        self.push(Kind::ClockSync, 0, Stamp { synced: true, ..stamp }, &sync.encode(), now);
        self.sync_held = Some(sync);
    }

    fn clock_is_durable(&mut self) {
        if let Some(sync) = self.sync_held.take() {
            self.sync = Some(sync);
            self.epoch += 1;
        }
    }

    /// Last position of this log that may be handed out.
    pub fn readable(&self) -> Position {
        self.readable
    }
}

fn is_no_space(e: &Error) -> bool {
    let Error::Io { source, .. } = e else { return false };
    matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
