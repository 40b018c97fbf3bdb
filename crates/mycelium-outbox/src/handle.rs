//! The outbox as others see it: a [`Handle`] that may be cloned and sent anywhere, and the thread behind it.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::core::ENDPOINTS;
use super::error::{Error, Refused};
use super::fetch::{Batch, Entry};
use super::gap::Reason;
use super::inbox::{Burial, Inbox, Most, Request};
use super::letter::DeadLetter;
use super::policy::Full;
use super::record::{self, Header, Kind, MAX_PAYLOAD, Position};
use super::status::Status;
use crate::time::{Mono, Stamp};

/// What the thread shows to everyone.
#[derive(Default)]
pub(super) struct Board {
    pub status: Status,
    pub readable: Position,
    pub closed: bool,
    pub interrupts: u64,
    /// Interrupts each endpoint has seen.
    pub seen: [u64; ENDPOINTS],
}

pub(super) struct Shared {
    pub inbox: Mutex<Inbox>,
    pub work: Condvar,
    pub board: Mutex<Board>,
    pub news: Condvar,
    pub full: Full,
}

/// A lock whose holder panicked is still good: every section leaves what it guards whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why [`Handle::wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woke {
    /// There are records behind the position asked for.
    Records,
    /// Dead letters are to be sent again to this endpoint.
    Replay,
    /// [`Handle::interrupt`] was called since the last wait of this endpoint.
    Interrupt,
    Timeout,
    Closed,
}

/// The way into the outbox. Only `append` and `status` are meant for threads that must not wait; the rest
/// waits for the thread of the outbox, and so for the disk.
#[derive(Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
}

impl Handle {
    /// Hands over one record; never waits for the disk and, once warm, never allocates.
    pub fn append(&self, kind: Kind, priority: u8, stamp: Stamp, payload: &[u8]) -> Result<(), Refused> {
        if payload.len() > MAX_PAYLOAD {
            return Err(Refused::TooLarge);
        }
        let mut inbox = lock(&self.shared.inbox);
        if inbox.closed || inbox.stop.is_some() {
            return Err(Refused::Closed);
        }
        if inbox.queue.push(kind, priority, stamp, payload) {
            drop(inbox);
            self.shared.work.notify_one();
            return Ok(());
        }
        if self.shared.full == Full::Block {
            return Err(Refused::Full);
        }
        inbox.refused += 1;
        Err(Refused::Dropped(Reason::Queue))
    }

    /// Class `block`: false while [`Handle::append`] would refuse a record, however long.
    pub fn has_room(&self) -> bool {
        self.shared.full != Full::Block || lock(&self.shared.inbox).queue.has_room(MAX_PAYLOAD)
    }

    /// The index of an endpoint of the configuration.
    pub fn endpoint(&self, name: &str) -> Option<usize> {
        lock(&self.shared.board).status.endpoints.iter().position(|e| e.name.as_str() == name)
    }

    /// Fills `batch` with what comes next for an endpoint; the frozen batch if there is one, whatever the
    /// limits. Empty when there is nothing.
    pub fn fetch(
        &self,
        endpoint: usize,
        max_records: usize,
        max_bytes: usize,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let most = Most { records: max_records, bytes: max_bytes };
        let lent = std::mem::take(batch);
        let (filled, result) = self.ask(|reply| Request::Fetch { endpoint, most, batch: lent, reply })?;
        *batch = filled;
        result
    }

    /// Fixes the batch up to `through` on the disk before it is sent; writes earlier acknowledgements along.
    pub fn freeze(&self, endpoint: usize, through: Position, epoch: u32) -> Result<(), Error> {
        self.ask(|reply| Request::Freeze { endpoint, through, epoch, reply })?
    }

    /// The endpoint has taken everything up to `through`. On the disk with the next freeze, at the latest
    /// after the time of a group.
    pub fn ack(&self, endpoint: usize, through: Position) -> Result<(), Error> {
        self.ask(|reply| Request::Ack { endpoint, through, reply })?
    }

    /// Waits until there is something behind `after` for this endpoint, or something to send again, or an
    /// interrupt. Without `after`, only for the interrupt: a sleep that can be ended.
    pub fn wait(&self, endpoint: usize, after: Option<Position>, timeout: Duration) -> Woke {
        let woke = |board: &Board| {
            let replay = || board.status.endpoints.get(endpoint).is_some_and(|e| e.replay);
            if board.closed {
                Some(Woke::Closed)
            } else if board.seen.get(endpoint).is_some_and(|&seen| seen < board.interrupts) {
                Some(Woke::Interrupt)
            } else if after.is_some() && replay() {
                Some(Woke::Replay)
            } else if after.is_some_and(|after| board.readable > after) {
                Some(Woke::Records)
            } else {
                None
            }
        };
        let board = lock(&self.shared.board);
        let (mut board, _) = self
            .shared
            .news
            .wait_timeout_while(board, timeout, |board| woke(board).is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let result = woke(&board).unwrap_or(Woke::Timeout);
        let interrupts = board.interrupts;
        if let (Woke::Interrupt, Some(seen)) = (result, board.seen.get_mut(endpoint)) {
            *seen = interrupts;
        }
        result
    }

    /// Ends the wait of every endpoint, or its next one.
    pub fn interrupt(&self) {
        lock(&self.shared.board).interrupts += 1;
        self.shared.news.notify_all();
    }

    /// The clock of this boot became known; returns when the record that says so was written or refused.
    pub fn clock_synced(&self, stamp: Stamp) -> Result<(), Error> {
        self.ask(|reply| Request::ClockSynced { stamp, reply })
    }

    /// Writes everything that was appended before; false while the disk refuses.
    pub fn flush(&self) -> Result<bool, Error> {
        self.ask(|reply| Request::Flush { reply })
    }

    /// Asks the thread for a sign of life: a new status. Does not wait for it.
    pub fn knock(&self) {
        lock(&self.shared.inbox).knocked = true;
        self.shared.work.notify_one();
    }

    /// A snapshot; does not wait for the disk.
    pub fn status(&self) -> Status {
        let queued = lock(&self.shared.inbox).queue.len() as u64;
        let mut status = lock(&self.shared.board).status.clone();
        status.held += queued;
        status
    }

    /// Puts a record of `batch` aside for good reasons, on the disk when this returns. Acknowledge it then.
    pub fn dead_letter(
        &self,
        endpoint: usize,
        batch: &Batch,
        entry: &Entry,
        status: u16,
        reason: &str,
    ) -> Result<u64, Error> {
        let payload = batch.payload(entry).to_vec();
        let header = Header {
            position: entry.position,
            seq: entry.seq,
            boot: entry.boot,
            kind: entry.kind,
            priority: entry.priority,
            stamp: entry.stamp,
            device_tag: entry.device.tag(),
            payload_len: payload.len() as u32,
            payload_crc: record::crc(&payload),
        };
        let (device, corrected, reason) = (entry.device.clone(), entry.corrected, reason.to_owned());
        let burial = Burial { endpoint, header, device, corrected, payload, status, reason };
        self.ask(|reply| Request::Bury { burial, reply })?
    }

    /// Up to `limit` dead letters, oldest first.
    pub fn dead_list(&self, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        self.ask(|reply| Request::ListDead { limit, reply })?
    }

    /// Marks dead letters to be sent again with the event ids they had; no ids means all.
    pub fn dead_replay(&self, ids: Vec<u64>) -> Result<usize, Error> {
        self.ask(|reply| Request::ReplayDead { ids, reply })?
    }

    /// Gives dead letters up; no ids means all.
    pub fn dead_drop(&self, ids: Vec<u64>) -> Result<usize, Error> {
        self.ask(|reply| Request::DropDead { ids, reply })?
    }

    /// Dead letters to be sent again to this endpoint; the positions in the batch are their numbers.
    pub fn fetch_replay(
        &self,
        endpoint: usize,
        max_records: usize,
        max_bytes: usize,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let most = Most { records: max_records, bytes: max_bytes };
        let lent = std::mem::take(batch);
        let (filled, result) =
            self.ask(|reply| Request::FetchReplay { endpoint, most, batch: lent, reply })?;
        *batch = filled;
        result
    }

    /// The endpoint has taken the dead letters up to `through` that were to be sent again.
    pub fn ack_replay(&self, endpoint: usize, through: Position) -> Result<(), Error> {
        self.ask(|reply| Request::AckReplay { endpoint, through, reply })?
    }

    /// A dead letter was refused again: it stays where it is and is not sent again by itself.
    pub fn refuse_replay(&self, id: Position) -> Result<(), Error> {
        self.ask(|reply| Request::RefuseReplay { id, reply })?
    }

    /// Stops taking records, writes what there is until `deadline`, ends the thread. False when it did not
    /// get done in time.
    pub fn shutdown(&self, deadline: Mono) -> bool {
        lock(&self.shared.inbox).stop = Some(deadline);
        self.shared.work.notify_one();
        let timeout = deadline - Mono::now();
        let board = lock(&self.shared.board);
        let (board, _) = self
            .shared
            .news
            .wait_timeout_while(board, timeout, |board| !board.closed)
            .unwrap_or_else(PoisonError::into_inner);
        board.closed && board.status.held == 0 && board.status.degraded.is_none()
    }

    fn ask<T>(&self, request: impl FnOnce(SyncSender<T>) -> Request) -> Result<T, Error> {
        let (reply, answer) = sync_channel(1);
        {
            let mut inbox = lock(&self.shared.inbox);
            if inbox.closed {
                return Err(Error::Closed);
            }
            inbox.requests.push_back(request(reply));
        }
        self.shared.work.notify_one();
        answer.recv().map_err(|_| Error::Closed)
    }
}
