//! The delivery thread of one webhook: does what the scheduler decides and returns the results to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::breaker_file::BreakerFile;
use super::breaker_store::StoredBreaker;
use super::cloudevents::{Events, event_id};
use super::metrics::DeliveryMetrics;
use super::report::Report;
use super::scheduler::{DeliveryAction, DeliveryScheduler, FetchedBatch, SchedulerPolicy};
use super::sender::Sender;
use super::settings::Webhook;
use super::signature::message_id;
use super::source::{DeliveryBatch, RecordSource, SourceError};
use super::trace::DeliveryTraceHook;
use crate::clock::Mono;
use crate::net::breaker::{Breaker, BreakerState, Permit};
use crate::net::outcome::RequestOutcome;
use crate::net::worker_control::{SettingsSlot, SpawnError, WorkerInbox, log_breaker_set};
use crate::net::{BreakerPolicy, WorkerControl, probe};
use crate::snapshots::Snapshots;

/// Longest sleep; the watchdog expects a heartbeat at least this often.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// An endpoint without a request for this long is probed, so that a closed port is reported before there is
/// something to deliver.
const PROBE_IDLE: Duration = Duration::from_mins(5);

/// Everything a delivery thread needs.
pub struct WebhookSpec {
    pub webhook: Webhook,
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

/// Longest time between heartbeats of a healthy delivery thread: a sleep, or an attempt and its one repetition on a
/// new connection.
pub fn heartbeat_timeout(webhook: &Webhook) -> Duration {
    MAX_SLEEP + webhook.target.timeout * 2 + Duration::from_secs(10)
}

/// Handle to the delivery thread of one webhook.
#[derive(Clone, Debug)]
pub struct WebhookControl {
    worker: WorkerControl,
    settings: SettingsSlot<(Webhook, BreakerPolicy)>,
}

impl WebhookControl {
    pub fn worker(&self) -> &WorkerControl {
        &self.worker
    }

    /// Applies new settings, as from a reload; the name stays.
    pub fn update(&self, webhook: Webhook, breaker: BreakerPolicy) {
        self.settings.put((webhook, breaker));
        self.worker.wake();
    }
}

struct Worker {
    scheduler: DeliveryScheduler,
    sender: Sender,
    source: Box<dyn RecordSource>,
    webhook: Webhook,
    breaker: BreakerPolicy,
    breaker_file: BreakerFile,
    snapshots: Arc<Snapshots>,
    task: Option<usize>,
    report: Report,
    trace: Box<dyn DeliveryTraceHook>,
    inbox: Arc<WorkerInbox>,
    settings: SettingsSlot<(Webhook, BreakerPolicy)>,
    batch: DeliveryBatch,
    events: Events,
    body: Vec<u8>,
    /// Last position of the batch that the source has frozen.
    frozen: Option<u64>,
    /// Attempts with the current batch.
    attempts: u32,
    /// Last attempt or probe.
    last_contact: Mono,
}

/// Starts the delivery thread of one webhook.
pub fn spawn(spec: WebhookSpec, source: Box<dyn RecordSource>) -> Result<WebhookControl, SpawnError> {
    let sender = Sender::new(&spec.webhook).map_err(SpawnError::CaFile)?;
    let (worker, inbox) = WorkerControl::new(&spec.webhook.name, source.interrupter().into());
    inbox.set_abort(sender.abort_handle());
    let control = WebhookControl { worker, settings: SettingsSlot::default() };
    let name = format!("to-{}", spec.webhook.name);
    let worker = Worker::new(spec, sender, source, inbox, control.settings.clone());
    thread::Builder::new()
        .name(name)
        .stack_size(256 << 10)
        .spawn(move || worker.run())
        .map_err(SpawnError::Thread)?;
    Ok(control)
}

impl Worker {
    fn new(
        spec: WebhookSpec,
        sender: Sender,
        source: Box<dyn RecordSource>,
        inbox: Arc<WorkerInbox>,
        settings: SettingsSlot<(Webhook, BreakerPolicy)>,
    ) -> Self {
        let WebhookSpec { webhook, breaker, directory, snapshots, task, metrics, trace, seed } = spec;
        let now = Mono::now();
        let (breaker_file, stored) = BreakerFile::open(&directory, &webhook.name, now);
        let restored = match stored {
            Some(stored) => Breaker::restored(breaker, seed, stored.breaker, now),
            None => Breaker::new(breaker, seed),
        };
        let policy = SchedulerPolicy::from(&webhook);
        let mut scheduler = DeliveryScheduler::new(policy, restored, seed.rotate_left(32));
        scheduler.set_disabled(
            stored.is_some_and(|stored| stored.disabled && stored.url_crc == url_crc(&webhook)),
        );
        let report = Report::new(&webhook, Arc::clone(&snapshots), metrics, &scheduler);
        Self {
            scheduler,
            sender,
            source,
            webhook,
            breaker,
            breaker_file,
            snapshots,
            task,
            report,
            trace,
            inbox,
            settings,
            batch: DeliveryBatch::default(),
            events: Events::default(),
            body: Vec::new(),
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
        if let Some((webhook, breaker)) = self.settings.take() {
            self.reconfigure(webhook, breaker);
        }
        if let Some((mode, origin)) = commands.mode {
            log_breaker_set("mycelium_daemon::delivery", "webhook", &self.webhook.name, mode, &origin);
            self.scheduler.set_mode(mode);
            self.publish();
        }
        if commands.flush {
            self.scheduler.flush(Mono::now());
        }
        commands.stop
    }

    /// A reload without changes keeps back-off, `Retry-After` and slow start. `ca_file` is read again even then, since
    /// its certificates may have changed.
    fn reconfigure(&mut self, webhook: Webhook, breaker: BreakerPolicy) {
        let changed = webhook != self.webhook;
        if changed || webhook.target.ca_file.is_some() {
            match Sender::new(&webhook) {
                Ok(sender) => {
                    self.inbox.set_abort(sender.abort_handle());
                    self.sender = sender;
                }
                Err(e) => {
                    log::error!(
                        endpoint = self.webhook.name.as_str();
                        "webhook {}: keep the old settings: {e}", self.webhook.name
                    );
                    return;
                }
            }
        }
        if !changed && breaker == self.breaker {
            return;
        }
        if webhook.target.url != self.webhook.target.url {
            self.scheduler.set_disabled(false);
        }
        self.scheduler.reconfigure(SchedulerPolicy::from(&webhook), breaker);
        self.webhook = webhook;
        self.breaker = breaker;
        self.publish();
    }

    fn idle(&mut self, wait: Duration) {
        self.publish();
        let now = Mono::now();
        let idle = self.scheduler.waits_for_records(now);
        let closed = self.scheduler.breaker().state() == BreakerState::Closed;
        if idle && closed && now.since(self.last_contact) >= PROBE_IDLE {
            self.last_contact = now;
            let target = &self.webhook.target;
            self.report.probed(probe::connect(&target.url, target.timeout));
        }
        if self.source.wait(wait.min(MAX_SLEEP), idle) {
            self.scheduler.wake();
        }
    }

    fn fetch(&mut self, records: usize) {
        self.batch.records.clear();
        let fetched = self.source.fetch(records, self.webhook.batch_bytes, &mut self.batch);
        if let Err(e) = fetched {
            self.report.source_failed("read the outbox", &e);
            self.scheduler.on_source_failed(Mono::now());
            return;
        }
        let limit = if self.batch.frozen { usize::MAX } else { self.webhook.batch_bytes };
        self.events.clear();
        let fitted = self.batch.records.iter().take_while(|record| self.events.push(record, limit)).count();
        let full = self.batch.more || fitted < self.batch.records.len();
        self.batch.records.truncate(fitted);
        self.frozen =
            self.batch.records.last().filter(|_| self.batch.frozen).map(|last| last.meta.position.0);
        self.attempts = 0;
        let boot = self.snapshots.identity.boot;
        let backlog =
            self.batch.frozen || self.batch.records.first().is_some_and(|first| first.meta.boot != boot);
        let fetched = FetchedBatch { count: fitted, full, frozen: self.batch.frozen, backlog };
        self.scheduler.on_fetched(fetched, Mono::now());
    }

    fn send(&mut self, count: usize, permit: Permit) {
        let through = self.batch.records[count - 1].meta.position.0;
        if self.frozen != Some(through) && !self.freeze(through, permit) {
            return;
        }
        // A half-open breaker is visible only during its trial.
        self.report.publish(&self.scheduler);
        self.events.body(count, &mut self.body);
        let id = message_id(&self.body);
        let began = self.snapshots.stamp(Mono::now());
        let trace = self.trace.begin(began, &self.batch.records[..count]);
        self.report.begin(&trace);
        let before = self.sender.connections();
        let mut reply = self.sender.send(&id, &self.body, &trace, began);
        if reply.status.is_none() && self.inbox.stopping() {
            reply.outcome = RequestOutcome::Aborted;
        }
        let ended = self.snapshots.stamp(Mono::now());
        self.last_contact = ended.mono;
        self.trace.end(&reply);
        self.scheduler.on_reply(permit, reply.outcome, ended.mono);
        let connections = self.sender.connections().since(before);
        self.report.attempted(&reply, count, self.attempts, connections, ended);
        // A batch that was cut has not been tried yet.
        let cut = matches!(reply.outcome, RequestOutcome::Rejected(_) | RequestOutcome::TooLarge);
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
        let through = self.batch.records[count - 1].meta.position.0;
        let stored = self.source.ack(through);
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
            url_crc: url_crc(&self.webhook),
        };
        self.breaker_file.update(&current, last, now);
    }
}

fn url_crc(webhook: &Webhook) -> u32 {
    crc32fast::hash(webhook.target.url.as_bytes())
}
