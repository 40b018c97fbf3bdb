//! The delivery thread of one endpoint: does what the scheduler decides and returns the results to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::breaker_file::BreakerFile;
use super::breaker_store::StoredBreaker;
use super::cloudevents::{event_id, type_of};
use super::endpoint::Endpoint;
use super::kind::{EndpointKind, SendContext};
use super::metrics::DeliveryMetrics;
use super::progress::BatchProgress;
use super::report::Report;
use super::scheduler::{DeliveryAction, DeliveryScheduler, FetchedBatch, SchedulerPolicy};
use super::source::{DeliveryBatch, Record, RecordSource, SourceError};
use super::trace::DeliveryTraceHook;
use crate::clock::Mono;
use crate::net::breaker::{Breaker, BreakerState, Permit};
use crate::net::outcome::RequestOutcome;
use crate::net::worker_control::{SettingsSlot, SpawnError, WorkerInbox, log_breaker_set};
use crate::net::{BreakerPolicy, WorkerControl};
use crate::snapshots::Snapshots;

/// Longest sleep; the watchdog expects a heartbeat at least this often.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// An endpoint without a request for this long is probed, so that a closed port is reported before there is
/// something to deliver.
const PROBE_IDLE: Duration = Duration::from_mins(5);

/// Everything a delivery thread needs.
pub struct EndpointSpec {
    pub endpoint: Endpoint,
    pub breaker: BreakerPolicy,
    /// `DATA/breakers`.
    pub directory: PathBuf,
    pub snapshots: Arc<Snapshots>,
    /// Index of this thread in `snapshots.tasks`.
    pub task: Option<usize>,
    pub metrics: Arc<DeliveryMetrics>,
    pub trace: Box<dyn DeliveryTraceHook>,
    /// Seeds jitter; from entropy.
    pub seed: u64,
}

/// Longest time between heartbeats of a healthy delivery thread: a sleep, or an attempt.
pub fn heartbeat_timeout(endpoint: &Endpoint) -> Duration {
    MAX_SLEEP + endpoint.timeout() + Duration::from_secs(10)
}

/// Handle to the delivery thread of one endpoint.
#[derive(Clone, Debug)]
pub struct EndpointControl {
    worker: WorkerControl,
    settings: SettingsSlot<(Endpoint, BreakerPolicy)>,
}

impl EndpointControl {
    pub fn worker(&self) -> &WorkerControl {
        &self.worker
    }

    /// Applies new settings, as from a reload; the name stays.
    pub fn update(&self, endpoint: Endpoint, breaker: BreakerPolicy) {
        self.settings.put((endpoint, breaker));
        self.worker.wake();
    }
}

struct Worker {
    scheduler: DeliveryScheduler,
    kind: Box<dyn EndpointKind>,
    source: Box<dyn RecordSource>,
    endpoint: Endpoint,
    breaker: BreakerPolicy,
    breaker_file: BreakerFile,
    snapshots: Arc<Snapshots>,
    task: Option<usize>,
    report: Report,
    trace: Box<dyn DeliveryTraceHook>,
    inbox: Arc<WorkerInbox>,
    settings: SettingsSlot<(Endpoint, BreakerPolicy)>,
    /// Without the records that the endpoint does not want.
    batch: DeliveryBatch,
    progress: BatchProgress,
    /// Last position of the batch that the source has frozen.
    frozen: Option<u64>,
    /// Attempts with the current batch.
    attempts: u32,
    /// Last attempt or probe.
    last_contact: Mono,
}

/// Starts the delivery thread of one endpoint.
pub fn spawn(spec: EndpointSpec, source: Box<dyn RecordSource>) -> Result<EndpointControl, SpawnError> {
    let kind = spec.endpoint.open().map_err(SpawnError::CaFile)?;
    let (worker, inbox) = WorkerControl::new(spec.endpoint.name(), source.interrupter().into());
    inbox.set_abort(kind.abort_handle());
    let control = EndpointControl { worker, settings: SettingsSlot::default() };
    let name = format!("to-{}", spec.endpoint.name());
    let worker = Worker::new(spec, kind, source, inbox, control.settings.clone());
    thread::Builder::new()
        .name(name)
        .stack_size(256 << 10)
        .spawn(move || worker.run())
        .map_err(SpawnError::Thread)?;
    Ok(control)
}

impl Worker {
    fn new(
        spec: EndpointSpec,
        kind: Box<dyn EndpointKind>,
        source: Box<dyn RecordSource>,
        inbox: Arc<WorkerInbox>,
        settings: SettingsSlot<(Endpoint, BreakerPolicy)>,
    ) -> Self {
        let EndpointSpec { endpoint, breaker, directory, snapshots, task, metrics, trace, seed } = spec;
        let now = Mono::now();
        let (breaker_file, stored) = BreakerFile::open(&directory, &endpoint, now);
        let restored = match stored {
            Some(stored) => Breaker::restored(breaker, seed, stored.breaker, now),
            None => Breaker::new(breaker, seed),
        };
        let policy = SchedulerPolicy::from(endpoint.delivery());
        let mut scheduler = DeliveryScheduler::new(policy, restored, seed.rotate_left(32));
        scheduler.set_disabled(
            stored.is_some_and(|stored| stored.disabled && stored.url_crc == url_crc(&endpoint)),
        );
        let report = Report::new(&endpoint, Arc::clone(&snapshots), metrics, &scheduler);
        Self {
            scheduler,
            kind,
            source,
            endpoint,
            breaker,
            breaker_file,
            snapshots,
            task,
            report,
            trace,
            inbox,
            settings,
            batch: DeliveryBatch::default(),
            progress: BatchProgress::default(),
            frozen: None,
            attempts: 0,
            last_contact: now,
        }
    }

    fn run(mut self) {
        while !self.apply_commands() {
            let now = Mono::now();
            if let Some(task) = self.task {
                self.snapshots.tasks[task].beat(now);
            }
            match self.scheduler.next(now) {
                DeliveryAction::Wait(until) => self.idle(until - now),
                DeliveryAction::Fetch { records } => self.fetch(records),
                DeliveryAction::Send { count, permit } => self.send(count, permit),
                DeliveryAction::Ack { count } => self.ack(count),
                DeliveryAction::DeadLetter { status } => self.dead_letter(status),
            }
        }
        self.report.publish(&self.scheduler);
        self.save_breaker(true);
        self.inbox.finish();
    }

    /// Returns whether the thread has to end.
    fn apply_commands(&mut self) -> bool {
        let commands = self.inbox.take();
        if let Some((endpoint, breaker)) = self.settings.take() {
            self.reconfigure(endpoint, breaker);
        }
        if let Some((mode, origin)) = commands.mode {
            log_breaker_set(
                "mycelium_daemon::delivery",
                self.endpoint.kind(),
                self.endpoint.name(),
                mode,
                &origin,
            );
            self.scheduler.set_mode(mode);
            self.publish();
        }
        if commands.flush {
            self.scheduler.flush(Mono::now());
        }
        commands.stop
    }

    /// A reload without changes keeps back-off, `Retry-After` and slow start. A kind that reads files (`ca_file`) is
    /// opened again even then, since they may have changed.
    fn reconfigure(&mut self, endpoint: Endpoint, breaker: BreakerPolicy) {
        let changed = endpoint != self.endpoint;
        if changed || endpoint.reads_files() {
            match endpoint.open() {
                Ok(kind) => {
                    self.inbox.set_abort(kind.abort_handle());
                    self.kind = kind;
                    // What was fitted by the old one is fetched again.
                    self.kind.fit(&self.batch.records, usize::MAX);
                }
                Err(e) => {
                    log::error!(
                        endpoint = self.endpoint.name();
                        "{}: keep the old settings: {e}", self.endpoint.label()
                    );
                    return;
                }
            }
        }
        if !changed && breaker == self.breaker {
            return;
        }
        if endpoint.address() != self.endpoint.address() {
            self.scheduler.set_disabled(false);
        }
        self.scheduler.reconfigure(SchedulerPolicy::from(endpoint.delivery()), breaker);
        self.endpoint = endpoint;
        self.breaker = breaker;
        self.publish();
    }

    fn idle(&mut self, wait: Duration) {
        self.publish();
        let now = Mono::now();
        let idle = self.scheduler.waits_for_records(now);
        let closed = self.scheduler.breaker().state() == BreakerState::Closed;
        let mut wait = wait.min(MAX_SLEEP);
        if closed {
            match self.kind.idle(now) {
                Ok(again) => wait = again.map_or(wait, |again| wait.min(again - now)),
                Err(error) => self.report.probed(Err(error)),
            }
        }
        if idle && closed && now.since(self.last_contact) >= PROBE_IDLE {
            self.last_contact = now;
            self.report.probed(self.kind.probe());
        }
        if self.source.wait(wait, idle) {
            self.scheduler.wake();
        }
    }

    fn fetch(&mut self, records: usize) {
        self.batch.records.clear();
        let settings = self.endpoint.delivery();
        let filtering = settings.types.is_active();
        // Most of them may be left out.
        let asked = if filtering { records.max(settings.batch_records) } else { records };
        if let Err(e) = self.source.fetch(asked, settings.batch_bytes, &mut self.batch) {
            self.report.source_failed("read the outbox", &e);
            self.scheduler.on_source_failed(Mono::now());
            return;
        }
        let boot = self.snapshots.identity.boot;
        let backlog =
            self.batch.frozen || self.batch.records.first().is_some_and(|first| first.meta.boot != boot);
        let fetched = self.batch.records.len();
        self.progress.begin();
        let wants = |record: &Record| !filtering || settings.types.matches(type_of(record));
        let progress = &mut self.progress;
        self.batch.records.retain(|record| progress.add(record.meta.position.0, wants(record)));
        let wanted = self.batch.records.len();
        let limit = if self.batch.frozen { usize::MAX } else { settings.batch_bytes };
        let fitted = self.kind.fit(&self.batch.records, limit);
        let full = self.batch.more || fitted < wanted || filtering && fetched >= asked;
        self.batch.records.truncate(fitted);
        self.frozen = self.progress.through(fitted).filter(|_| self.batch.frozen);
        self.attempts = 0;
        let unwanted = fetched > wanted;
        let batch = FetchedBatch { count: fitted, unwanted, full, frozen: self.batch.frozen, backlog };
        self.scheduler.on_fetched(batch, Mono::now());
    }

    fn send(&mut self, count: usize, permit: Permit) {
        let through = self.progress.through(count).expect("a batch that is sent has records");
        if self.kind.freezes() && self.frozen != Some(through) && !self.freeze(through, permit) {
            return;
        }
        // A half-open breaker is visible only during its trial.
        self.report.publish(&self.scheduler);
        let began = self.snapshots.stamp(Mono::now());
        let records = &self.batch.records[..count];
        let trace = self.trace.begin(began, records);
        self.report.begin(&trace);
        let before = self.kind.connections();
        let mut reply = self.kind.send(records, SendContext { trace: &trace, now: began });
        if reply.status.is_none() && reply.taken < count && self.inbox.stopping() {
            reply.rest = RequestOutcome::Aborted;
        }
        let ended = self.snapshots.stamp(Mono::now());
        self.last_contact = ended.mono;
        self.trace.end(&reply);
        self.scheduler.on_reply(permit, reply.taken, reply.rest, ended.mono);
        let connections = self.kind.connections().since(before);
        self.report.attempted(&reply, count, self.attempts, connections, ended);
        // A batch that was cut has not been tried yet.
        let cut = matches!(reply.rest, RequestOutcome::Rejected(_) | RequestOutcome::TooLarge);
        self.attempts = if cut { 0 } else { self.attempts + 1 };
        self.publish();
    }

    /// Stores that the batch is about to be sent. Returns false if it must not be sent.
    fn freeze(&mut self, through: u64, permit: Permit) -> bool {
        match self.source.freeze(through) {
            Ok(()) => {
                self.frozen = Some(through);
                true
            }
            Err(SourceError::Stale) => {
                self.scheduler.on_stale(permit, Mono::now());
                false
            }
            Err(e @ SourceError::Unavailable(_)) => {
                self.report.source_failed("store the batch limits", &e);
                self.scheduler.on_stale(permit, Mono::now());
                self.scheduler.on_source_failed(Mono::now());
                false
            }
            // Delivery continues without a writable disk: after a crash, these records may be repeated in another
            // batch, but none is lost.
            Err(e @ SourceError::Failed(_)) => {
                self.report.source_failed("store the batch limits", &e);
                true
            }
        }
    }

    fn ack(&mut self, count: usize) {
        let through = self.progress.through(count).expect("only fetched records are acknowledged");
        let stored = self.source.ack(through);
        if stored.is_ok() {
            self.report.filtered(self.progress.unwanted(count));
        }
        self.source_done(stored, "store what was delivered");
    }

    fn dead_letter(&mut self, status: u16) {
        let record = &self.batch.records[0];
        let reason = format!("refused alone with {status}");
        let stored = self.source.dead_letter(record, status, &reason);
        if stored.is_ok() {
            self.report.dead_lettered(&event_id(record), status);
        }
        self.source_done(stored, "store a dead letter");
    }

    fn source_done(&mut self, stored: Result<(), SourceError>, what: &str) {
        match stored {
            Ok(()) => {
                self.frozen = None;
                self.scheduler.on_source_done();
            }
            Err(e) => {
                self.report.source_failed(what, &e);
                self.scheduler.on_source_failed(Mono::now());
            }
        }
    }

    /// Publishes the endpoint's state and saves the breaker if it has changed.
    fn publish(&mut self) {
        self.report.publish(&self.scheduler);
        self.save_breaker(false);
    }

    fn save_breaker(&mut self, last: bool) {
        let now = Mono::now();
        let current = StoredBreaker {
            breaker: self.scheduler.breaker().snapshot(now),
            disabled: self.scheduler.is_disabled(),
            url_crc: url_crc(&self.endpoint),
        };
        self.breaker_file.update(&current, last, now);
    }
}

fn url_crc(endpoint: &Endpoint) -> u32 {
    crc32fast::hash(endpoint.address().as_bytes())
}
