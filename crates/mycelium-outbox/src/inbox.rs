//! What others hand to the thread that owns the outbox: records in a bounded queue, and questions.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;

use super::endpoint::Name;
use super::error::Error;
use super::fetch::Batch;
use super::letter::DeadLetter;
use super::record::{Header, Kind, Position};
use crate::time::{Mono, Stamp, Wall};

/// Records between two looks of the thread; with those it is working on and those held for the disk, no
/// more than `MAX_RECORDS_IN_MEMORY` are in memory.
pub(super) const RECORDS: usize = 512;
pub(super) const BYTES: usize = 1 << 20;
const _: () = assert!(2 * RECORDS + super::held::RECORDS <= super::policy::MAX_RECORDS_IN_MEMORY);

/// Records in the order they came. Taken as a whole and given back empty, so it stops allocating.
#[derive(Debug, Default)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    bytes: Vec<u8>,
    taken: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub kind: Kind,
    pub priority: u8,
    pub stamp: Stamp,
    len: usize,
}

impl Queue {
    pub(super) fn with_room() -> Self {
        Self { items: VecDeque::with_capacity(RECORDS), bytes: Vec::with_capacity(64 << 10), taken: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// For one more record of this length.
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.items.len() < RECORDS && self.bytes.len() + len <= BYTES
    }

    /// False when there is no room.
    pub(super) fn push(&mut self, kind: Kind, priority: u8, stamp: Stamp, payload: &[u8]) -> bool {
        if !self.has_room(payload.len()) {
            return false;
        }
        self.items.push_back(Item { kind, priority, stamp, len: payload.len() });
        self.bytes.extend_from_slice(payload);
        true
    }

    pub(super) fn first(&self) -> Option<(Item, &[u8])> {
        let item = *self.items.front()?;
        Some((item, &self.bytes[self.taken..self.taken + item.len]))
    }

    pub(super) fn pop(&mut self) {
        if let Some(item) = self.items.pop_front() {
            self.taken += item.len;
        }
        if self.items.is_empty() {
            self.bytes.clear();
            self.taken = 0;
        }
    }
}

/// A record a receiver refused, on its way to the dead letters.
#[derive(Debug)]
pub(super) struct Burial {
    pub endpoint: usize,
    pub header: Header,
    pub device: Name,
    pub corrected: Option<Wall>,
    pub payload: Vec<u8>,
    pub status: u16,
    pub reason: String,
}

/// How much a fetch may bring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub records: usize,
    pub bytes: usize,
}

type Reply<T> = SyncSender<T>;
pub(super) type Fetched = (Batch, Result<(), Error>);

/// A question and where the answer goes. An asker that has gone away misses its answer; that is all.
pub(super) enum Request {
    Fetch { endpoint: usize, most: Most, batch: Batch, reply: Reply<Fetched> },
    Freeze { endpoint: usize, through: Position, epoch: u32, reply: Reply<Result<(), Error>> },
    Ack { endpoint: usize, through: Position, reply: Reply<Result<(), Error>> },
    ClockSynced { stamp: Stamp, reply: Reply<()> },
    Flush { reply: Reply<bool> },
    Bury { burial: Burial, reply: Reply<Result<u64, Error>> },
    ListDead { limit: usize, reply: Reply<Result<Vec<DeadLetter>, Error>> },
    ReplayDead { ids: Vec<u64>, reply: Reply<Result<usize, Error>> },
    DropDead { ids: Vec<u64>, reply: Reply<Result<usize, Error>> },
    FetchReplay { endpoint: usize, most: Most, batch: Batch, reply: Reply<Fetched> },
    AckReplay { endpoint: usize, through: Position, reply: Reply<Result<(), Error>> },
    RefuseReplay { id: Position, reply: Reply<Result<(), Error>> },
}

/// Everything that waits for the thread.
#[derive(Default)]
pub(super) struct Inbox {
    pub queue: Queue,
    pub requests: VecDeque<Request>,
    /// Records refused because the queue was full.
    pub refused: u64,
    /// Go round once and show the status.
    pub knocked: bool,
    /// Stop, and the latest time at which everything should be written.
    pub stop: Option<Mono>,
    pub closed: bool,
}
