//! An outbox in memory: the other implementation of `RecordSource`.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use mycelium_core::window::WindowBuilder;
use mycelium_daemon::clock::{BootId, Mono, Stamp, Wall};
use mycelium_daemon::delivery::source::{
    DeliveryBatch, Position, Record, RecordMeta, RecordSource, SafeName, SourceError, WINDOW,
};

use super::PATIENCE;

pub const BOOT: BootId = BootId(0xB007);

/// The record with this sequence number (also its position).
pub fn record(seq: u64) -> Record {
    let mut builder = WindowBuilder::new(seq * 600);
    builder.sample(&std::array::from_fn(|k| seq as f64 + k as f64 / 7.0));
    Record {
        meta: RecordMeta {
            position: Position(seq),
            seq,
            boot: BOOT,
            kind: WINDOW,
            priority: 0,
            stamp: Stamp {
                mono: Mono(seq * 1_000_000),
                wall: Wall(1_790_000_000_000 + seq as i64),
                synced: true,
            },
        },
        corrected: None,
        device: SafeName::new("dev").unwrap(),
        payload: builder.finish(seq * 600 + 599).unwrap().encode(),
    }
}

#[derive(Default)]
struct Inner {
    records: VecDeque<Record>,
    frozen: u64,
    acked: u64,
    dead: Vec<(u64, u16)>,
    interrupted: bool,
    /// Last position handed out.
    seen: u64,
    /// Calls that fail before one works.
    broken: u32,
    freezes: Vec<u64>,
    waits: u64,
}

/// Clones see the same queue; it outlives the thread that drains it, as a disk does.
#[derive(Clone, Default)]
pub struct Queue {
    inner: Arc<(Mutex<Inner>, Condvar)>,
}

impl Queue {
    pub fn with(seqs: impl IntoIterator<Item = u64>) -> Self {
        let queue = Self::default();
        queue.push(seqs);
        queue
    }

    pub fn push(&self, seqs: impl IntoIterator<Item = u64>) {
        self.change(|inner| {
            inner.records.extend(seqs.into_iter().map(record));
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.inner.0.lock().unwrap());
        self.inner.1.notify_all();
        result
    }

    pub fn break_for(&self, calls: u32) {
        self.change(|inner| inner.broken = calls);
    }

    pub fn dead(&self) -> Vec<(u64, u16)> {
        self.change(|inner| inner.dead.clone())
    }

    /// Times the thread has gone to sleep.
    pub fn waits(&self) -> u64 {
        self.change(|inner| inner.waits)
    }

    pub fn freezes(&self) -> Vec<u64> {
        self.change(|inner| inner.freezes.clone())
    }

    /// Waits until every record was taken or put aside.
    pub fn wait_drained(&self) {
        let until = Instant::now() + PATIENCE;
        let mut inner = self.inner.0.lock().unwrap();
        while !inner.records.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{} records were never taken; acked {}",
                inner.records.len(),
                inner.acked
            );
            inner = self.inner.1.wait_timeout(inner, left).unwrap().0;
        }
    }

    fn call<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> Result<T, SourceError> {
        self.change(|inner| {
            if inner.broken > 0 {
                inner.broken -= 1;
                return Err(SourceError::Failed("cannot write cursor: no space left: free some".to_owned()));
            }
            Ok(work(inner))
        })
    }
}

impl RecordSource for Queue {
    fn fetch(&mut self, records: usize, _: usize, into: &mut DeliveryBatch) -> Result<(), SourceError> {
        self.call(|inner| {
            let frozen = inner.records.iter().take_while(|r| r.meta.position.0 <= inner.frozen).count();
            into.frozen = frozen > 0;
            let count = if frozen > 0 { frozen } else { records };
            into.records.extend(inner.records.iter().take(count).cloned());
            inner.seen = into.records.last().map_or(inner.seen, |r| r.meta.position.0);
            into.more = inner.records.len() > into.records.len();
        })
    }

    fn freeze(&mut self, through: u64) -> Result<(), SourceError> {
        self.call(|inner| {
            inner.frozen = through;
            inner.freezes.push(through);
        })
    }

    fn ack(&mut self, through: u64) -> Result<(), SourceError> {
        self.call(|inner| {
            assert!(through > inner.acked, "acked twice");
            inner.records.retain(|r| r.meta.position.0 > through);
            inner.acked = through;
        })
    }

    fn dead_letter(&mut self, record: &Record, status: u16, _: &str) -> Result<(), SourceError> {
        self.call(|inner| {
            assert_eq!(inner.records.front().map(|r| r.meta.position.0), Some(record.meta.position.0));
            inner.records.pop_front();
            inner.dead.push((record.meta.seq, status));
        })
    }

    fn wait(&mut self, timeout: Duration, for_records: bool) -> bool {
        let until = Instant::now() + timeout;
        let mut inner = self.inner.0.lock().unwrap();
        inner.waits += 1;
        loop {
            let seen = inner.seen;
            if for_records && inner.records.back().is_some_and(|last| last.meta.position.0 > seen) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if std::mem::take(&mut inner.interrupted) || left.is_zero() {
                return false;
            }
            inner = self.inner.1.wait_timeout(inner, left).unwrap().0;
        }
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send + Sync> {
        let queue = self.clone();
        Box::new(move || queue.change(|inner| inner.interrupted = true))
    }
}
