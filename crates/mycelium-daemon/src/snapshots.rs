//! Copies of state that threads show to each other.
//!
//! The owner of a part writes it under a short lock, readers copy it. No lock is held across I/O.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use event_listener::Event;

use crate::clock::{BootId, Mono, Stamp, Wall};
use crate::signals::SignalBoard;
use crate::sync::lock;
use mycelium_core::features::FeatureValues;
use mycelium_core::window::EventCounts;

/// The features of one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureRecord {
    /// Counts feature records of this process from 1.
    pub seq: u64,
    pub step: u64,
    pub stamp: Stamp,
    pub values: FeatureValues,
}

/// Feature records that are kept for polling and for streams that resume.
pub const FEATURE_RECORDS: usize = 512;

/// The newest feature records; allocated once.
#[derive(Debug)]
pub struct FeatureRing {
    slots: Vec<FeatureRecord>,
    capacity: usize,
    /// Sequence of the newest record; 0 before the first.
    newest: u64,
}

impl FeatureRing {
    pub fn new(capacity: usize) -> Self {
        Self { slots: Vec::with_capacity(capacity), capacity, newest: 0 }
    }

    pub fn push(&mut self, step: u64, stamp: Stamp, values: FeatureValues) -> u64 {
        self.newest += 1;
        let record = FeatureRecord { seq: self.newest, step, stamp, values };
        if self.slots.len() < self.capacity {
            self.slots.push(record);
        } else {
            let slot = (self.newest - 1) as usize % self.capacity;
            self.slots[slot] = record;
        }
        self.newest
    }

    /// Sequence of the newest record; 0 before the first.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Sequence of the oldest record in the ring; 1 before the first.
    pub fn oldest(&self) -> u64 {
        self.newest + 1 - self.slots.len() as u64
    }

    pub fn get(&self, seq: u64) -> Option<&FeatureRecord> {
        let present = seq >= self.oldest() && seq <= self.newest;
        present.then(|| &self.slots[(seq - 1) as usize % self.capacity])
    }
}

/// Progress of the simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SimulationProgress {
    pub step: u64,
    pub totals: EventCounts,
    /// Ticks that started more than one tick late.
    pub late_ticks: u64,
}

/// A task that must send heartbeats.
#[derive(Debug)]
pub struct MonitoredTask {
    pub name: &'static str,
    /// Longest healthy time without a heartbeat.
    pub heartbeat_timeout: Duration,
    beat: AtomicU64,
}

impl MonitoredTask {
    /// Name of the HTTP loop, which sends a heartbeat on request.
    pub const HTTP: &str = "http";

    pub fn new(name: &'static str, heartbeat_timeout: Duration, now: Mono) -> Self {
        Self { name, heartbeat_timeout, beat: AtomicU64::new(now.0) }
    }

    pub fn beat(&self, now: Mono) {
        self.beat.store(now.0, Relaxed);
    }

    /// Time since the last heartbeat, if it is longer than the time-out.
    pub fn stalled(&self, now: Mono) -> Option<Duration> {
        let silence = now.since(Mono(self.beat.load(Relaxed)));
        (silence > self.heartbeat_timeout).then_some(silence)
    }
}

/// What is constant while the process runs.
#[derive(Clone, Debug)]
pub struct ProcessIdentity {
    pub device: String,
    pub boot: BootId,
    pub started: Stamp,
    pub seed: u64,
}

/// Status of the outbox.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutboxView {
    /// Highest sequence of this boot whose fdatasync has returned; 0 before the first.
    pub durable_seq: u64,
    /// Not acknowledged yet; all stored records if no endpoint is configured.
    pub records: u64,
    pub in_memory: u64,
    pub bytes: u64,
    pub max_bytes: u64,
    pub segments: u64,
    pub dropped: u64,
    pub damaged_bytes: u64,
    pub dead: u64,
    /// Boot and time of the oldest record that is not acknowledged, and its age at the last update.
    pub oldest: Option<(BootId, Stamp)>,
    pub oldest_age: Option<Duration>,
    /// Why nothing can be written now; `None` if healthy.
    pub degraded: Option<String>,
    /// No record is accepted until a receiver acknowledges some.
    pub full: bool,
}

/// Status of one endpoint or connector.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointView {
    pub name: String,
    /// As configured: `webhook` or `files` of an endpoint, `http`, `file`, `value` or `serial` of a connector.
    pub kind: &'static str,
    /// `closed`, `open` or `half_open`.
    pub breaker: &'static str,
    /// `auto`, or the state an operator has set.
    pub mode: &'static str,
    /// Of an endpoint: records not acknowledged, written by the outbox thread. Of a connector: bytes or files not read.
    pub lag: u64,
    /// Records delivered, or values read.
    pub delivered: u64,
    pub failures: u64,
    /// Lines, files and values that were rejected as invalid, and why the last one was.
    pub rejected: u64,
    pub last_rejected: Option<String>,
    pub last_success: Option<Stamp>,
    pub last_error: Option<String>,
    /// When the next attempt is due, while an open breaker or a back-off delays it.
    pub next_try: Option<Mono>,
    /// The receiver answered 410 Gone.
    pub disabled: bool,
}

impl EndpointView {
    /// Status before the first attempt.
    pub fn new(name: &str, kind: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            breaker: "closed",
            mode: "auto",
            lag: 0,
            delivered: 0,
            failures: 0,
            rejected: 0,
            last_rejected: None,
            last_success: None,
            last_error: None,
            next_try: None,
            disabled: false,
        }
    }
}

/// The newest value of one input.
#[derive(Clone, Debug, PartialEq)]
pub struct InputView {
    pub name: String,
    pub connector: String,
    /// `None` before the first.
    pub last: Option<(f64, Stamp)>,
    pub values: u64,
}

/// What each owner of state shows to the others; one per process, shared by reference between all threads.
#[derive(Debug)]
pub struct Snapshots {
    pub identity: ProcessIdentity,
    pub progress: Mutex<SimulationProgress>,
    pub features: Mutex<FeatureRing>,
    /// Notified after every push to `features`.
    pub features_changed: Event,
    pub outbox: Mutex<OutboxView>,
    pub endpoints: Mutex<Vec<EndpointView>>,
    pub inputs: Mutex<Vec<InputView>>,
    /// One per input, in the same order.
    pub signals: Vec<Mutex<SignalBoard>>,
    /// Notified after samples were added to `signals`.
    pub signals_changed: Event,
    pub tasks: Vec<MonitoredTask>,
    /// Whether the system clock is disciplined right now.
    pub clock_synced: AtomicBool,
}

impl Snapshots {
    /// Nothing has happened yet and nothing is configured.
    pub fn new(identity: ProcessIdentity, feature_records: usize, tasks: Vec<MonitoredTask>) -> Self {
        Self {
            clock_synced: identity.started.synced.into(),
            identity,
            progress: Mutex::default(),
            features: Mutex::new(FeatureRing::new(feature_records)),
            features_changed: Event::new(),
            outbox: Mutex::default(),
            endpoints: Mutex::default(),
            inputs: Mutex::default(),
            signals: Vec::new(),
            signals_changed: Event::new(),
            tasks,
        }
    }

    /// `mono` with the wall time of now and what is known of the system clock.
    pub fn stamp(&self, mono: Mono) -> Stamp {
        Stamp { mono, wall: Wall::now(), synced: self.clock_synced.load(Relaxed) }
    }

    /// Adds a feature record and wakes whoever waits for one; returns its sequence.
    pub fn publish_features(&self, step: u64, stamp: Stamp, values: FeatureValues) -> u64 {
        let seq = lock(&self.features).push(step, stamp, values);
        self.features_changed.notify(usize::MAX);
        seq
    }
}
