//! One thread per endpoint: asks the plan what to do, does it, and reports what came of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::breaker::{Breaker, Permit, Position};
use super::cloudevents::{Events, event_id};
use super::control::{Control, Shared};
use super::metrics::DeliveryMetrics;
use super::outcome::Outcome;
use super::plan::{Action, Fetched, Plan, Policy};
use super::report::Report;
use super::retry::doubled;
use super::sender::{Reply, Sender, SenderError, probe};
use super::settings::{BreakerMode, BreakerPolicy, Endpoint};
use super::signature::message_id;
use super::source::{Batch, Source, SourceError};
use super::store::{Kept, Store};
use super::trace::Trace;
use crate::clock::Mono;
use crate::snapshots::Snapshots;

/// Longest sleep, so that the watchdog sees a sign of life.
const SLICE: Duration = Duration::from_secs(30);

/// An endpoint that nothing was sent to for this long is asked whether it listens, so that a closed door is
/// known before there is something to bring.
const PROBE_IDLE: Duration = Duration::from_mins(5);

/// Everything a delivery thread is given.
pub struct Spec {
    pub endpoint: Endpoint,
    pub breaker: BreakerPolicy,
    /// `DATA/breakers`.
    pub directory: PathBuf,
    pub snapshots: Arc<Snapshots>,
    /// Index of this thread in `snapshots.tasks`.
    pub task: Option<usize>,
    pub metrics: Arc<DeliveryMetrics>,
    pub trace: Box<dyn Trace>,
    /// Seeds jitter and trace ids; from entropy.
    pub seed: u64,
}

/// Longest silence of a delivery thread that is still healthy: a sleep, or an attempt and its one repetition
/// on a fresh connection.
pub fn heartbeat_timeout(endpoint: &Endpoint) -> Duration {
    SLICE + endpoint.timeout * 2 + Duration::from_secs(10)
}

/// A disk that did not keep the breaker is asked again after this, then after twice as long, and so on.
const SAVE_RETRY: Duration = Duration::from_secs(1);
const SAVE_RETRY_MAX: Duration = Duration::from_mins(10);

/// What decides whether the breaker's file is out of date: mode, position, times it opened, and a 410.
type Standing = (BreakerMode, Position, u32, bool);

struct Worker {
    plan: Plan,
    sender: Sender,
    source: Box<dyn Source>,
    endpoint: Endpoint,
    store: Store,
    breaker: BreakerPolicy,
    saved: Option<Standing>,
    /// Times in a row that it could not be kept, and from when it is tried again.
    unsaved: (u32, Mono),
    snapshots: Arc<Snapshots>,
    task: Option<usize>,
    report: Report,
    trace: Box<dyn Trace>,
    shared: Arc<Shared>,
    batch: Batch,
    events: Events,
    body: Vec<u8>,
    /// Last position of the batch the source has frozen.
    frozen: Option<u64>,
    /// Attempts with the batch in hand.
    attempts: u32,
    /// Last attempt or probe.
    contact: Mono,
}

/// Starts the delivery thread of one endpoint.
pub fn spawn(spec: Spec, source: Box<dyn Source>) -> Result<Control, SpawnError> {
    let sender = Sender::new(&spec.endpoint).map_err(SpawnError::Sender)?;
    let (control, shared) = Control::new(&spec.endpoint.name, source.interrupter().into());
    shared.set_abort(sender.abort_handle());
    let name = format!("to-{}", spec.endpoint.name);
    let worker = Worker::new(spec, sender, source, shared);
    thread::Builder::new()
        .name(name)
        .stack_size(256 << 10)
        .spawn(move || worker.run())
        .map_err(SpawnError::Thread)?;
    Ok(control)
}

/// Why a delivery thread could not be started.
#[derive(Debug)]
pub enum SpawnError {
    Sender(SenderError),
    Thread(std::io::Error),
}

impl std::fmt::Display for SpawnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sender(e) => e.fmt(f),
            Self::Thread(e) => write!(f, "cannot start its thread: {e}: raise the limit on threads"),
        }
    }
}

impl std::error::Error for SpawnError {}

impl Worker {
    fn new(spec: Spec, sender: Sender, source: Box<dyn Source>, shared: Arc<Shared>) -> Self {
        let Spec { endpoint, breaker, directory, snapshots, task, metrics, trace, seed } = spec;
        let store = Store::new(&directory, &endpoint.name);
        let kept = store.load().unwrap_or_else(|e| {
            log::warn!(
                endpoint = endpoint.name.as_str();
                "webhook {}: start with a closed breaker: cannot use {}: {e}",
                endpoint.name,
                store.path().display()
            );
            None
        });
        let now = Mono::now();
        let restored = match kept {
            Some(kept) => Breaker::restored(breaker, seed, kept.breaker, now),
            None => Breaker::new(breaker, seed),
        };
        let mut plan = Plan::new(Policy::from(&endpoint), restored, seed.rotate_left(32));
        plan.set_gone(kept.is_some_and(|kept| kept.gone && kept.url_crc == url_crc(&endpoint)));
        let report = Report::new(&endpoint, Arc::clone(&snapshots), metrics, &plan);
        Self {
            plan,
            sender,
            source,
            endpoint,
            store,
            breaker,
            saved: kept.map(|kept| standing(&kept)),
            unsaved: (0, now),
            snapshots,
            task,
            report,
            trace,
            shared,
            batch: Batch::default(),
            events: Events::default(),
            body: Vec::new(),
            frozen: None,
            attempts: 0,
            contact: now,
        }
    }

    fn run(mut self) {
        while !self.take_wishes() {
            let now = Mono::now();
            if let Some(task) = self.task {
                self.snapshots.tasks[task].beat(now);
            }
            match self.plan.next(now) {
                Action::Wait(until) => self.rest(until - now),
                Action::Fetch { records } => self.fetch(records),
                Action::Send { count, permit } => self.send(count, permit),
                Action::Ack { count } => self.ack(count),
                Action::DeadLetter { status } => self.dead_letter(status),
            }
        }
        self.report.publish(&self.plan);
        self.keep(true);
        self.shared.finish();
    }

    /// True when the thread is to end.
    fn take_wishes(&mut self) -> bool {
        let wishes = self.shared.take();
        if let Some((endpoint, breaker)) = wishes.settings {
            self.reconfigure(endpoint, breaker);
        }
        if let Some((mode, asked)) = wishes.mode {
            let (request_id, trace_id, span_id) = (&*asked.request_id, &*asked.trace_id, &*asked.span_id);
            log::info!(
                endpoint = self.endpoint.name.as_str(),
                request_id, trace_id, span_id;
                "webhook {}: breaker set to {}",
                self.endpoint.name,
                mode.name()
            );
            self.plan.set_mode(mode);
            self.publish();
        }
        if wishes.flush {
            self.plan.flush(Mono::now());
        }
        wishes.stop
    }

    /// A reload that changes nothing here leaves the back-off, `Retry-After` and the slow start as they are; only the file of
    /// roots is read again, as it may have other certificates.
    fn reconfigure(&mut self, endpoint: Endpoint, breaker: BreakerPolicy) {
        let other = endpoint != self.endpoint;
        if other || endpoint.ca_file.is_some() {
            match Sender::new(&endpoint) {
                Ok(sender) => {
                    self.shared.set_abort(sender.abort_handle());
                    self.sender = sender;
                }
                Err(e) => {
                    log::error!(
                        endpoint = self.endpoint.name.as_str();
                        "webhook {}: keep the old settings: {e}", self.endpoint.name
                    );
                    return;
                }
            }
        }
        if !other && breaker == self.breaker {
            return;
        }
        if endpoint.url != self.endpoint.url {
            self.plan.set_gone(false);
        }
        self.plan.reconfigure(Policy::from(&endpoint), breaker);
        self.endpoint = endpoint;
        self.breaker = breaker;
        self.publish();
    }

    fn rest(&mut self, wait: Duration) {
        self.publish();
        let now = Mono::now();
        let idle = self.plan.wants_news(now);
        if idle && now.since(self.contact) >= PROBE_IDLE && self.plan.breaker().position() == Position::Closed
        {
            self.contact = now;
            self.report.probed(probe::connect(&self.endpoint.url, self.endpoint.timeout));
        }
        if self.source.wait(wait.min(SLICE), idle) {
            self.plan.wake();
        }
    }

    fn fetch(&mut self, records: usize) {
        self.batch.records.clear();
        let fetched = self.source.fetch(records, self.endpoint.batch_bytes, &mut self.batch);
        if let Err(e) = fetched {
            self.report.source_failed("read the outbox", &e);
            self.plan.on_source_failed(Mono::now());
            return;
        }
        let limit = if self.batch.frozen { usize::MAX } else { self.endpoint.batch_bytes };
        self.events.clear();
        let fitted = self.batch.records.iter().take_while(|record| self.events.push(record, limit)).count();
        let full = self.batch.more || fitted < self.batch.records.len();
        self.batch.records.truncate(fitted);
        self.frozen = self.batch.records.last().filter(|_| self.batch.frozen).map(|last| last.position);
        self.attempts = 0;
        let boot = self.snapshots.identity.boot;
        let backlog = self.batch.frozen || self.batch.records.first().is_some_and(|first| first.boot != boot);
        let fetched = Fetched { count: fitted, full, frozen: self.batch.frozen, backlog };
        self.plan.on_fetched(fetched, Mono::now());
    }

    fn send(&mut self, count: usize, permit: Permit) {
        let through = self.batch.records[count - 1].position;
        if self.frozen != Some(through) && !self.freeze(through, permit) {
            return;
        }
        // Shows a half-open breaker for as long as its probe takes.
        self.report.publish(&self.plan);
        self.events.body(count, &mut self.body);
        let id = message_id(&self.body);
        let begun = self.snapshots.stamp(Mono::now());
        let carried = self.trace.begin(begun, &self.batch.records[..count]);
        self.report.begins(&carried);
        let before = self.sender.connections();
        let mut reply = self.sender.send(&id, &self.body, &carried, begun);
        if reply.status.is_none() && self.shared.stopping() {
            reply.outcome = Outcome::Abandoned;
        }
        let ended = self.snapshots.stamp(Mono::now());
        self.contact = ended.mono;
        self.trace.end(ended, &reply);
        self.plan.on_reply(permit, reply.outcome, ended.mono);
        let after = self.sender.connections();
        self.report.attempted(&reply, count, self.attempts, (after.0 - before.0, after.1 - before.1), ended);
        self.attempts += 1;
        self.after_reply(&reply);
        self.publish();
    }

    /// Notes that the batch is about to be sent; false when it must not be.
    fn freeze(&mut self, through: u64, permit: Permit) -> bool {
        match self.source.freeze(through) {
            Ok(()) => {
                self.frozen = Some(through);
                true
            }
            Err(SourceError::Stale) => {
                self.plan.on_stale(permit, Mono::now());
                false
            }
            Err(e @ SourceError::Later(_)) => {
                self.report.source_failed("note the batch", &e);
                self.plan.on_stale(permit, Mono::now());
                self.plan.on_source_failed(Mono::now());
                false
            }
            // A disk that cannot be written is no reason to keep back what could be delivered: without the
            // note, a crash may repeat these records in another batch, but never loses one.
            Err(e @ SourceError::Failed(_)) => {
                self.report.source_failed("note the batch", &e);
                true
            }
        }
    }

    /// A batch that was cut has not been tried yet.
    fn after_reply(&mut self, reply: &Reply) {
        if matches!(reply.outcome, Outcome::Refused(_) | Outcome::TooLarge) {
            self.attempts = 0;
        }
    }

    fn ack(&mut self, count: usize) {
        let through = self.batch.records[count - 1].position;
        match self.source.ack(through) {
            Ok(()) => {
                self.frozen = None;
                self.plan.on_settled();
            }
            Err(e) => {
                self.report.source_failed("note what was delivered", &e);
                self.plan.on_source_failed(Mono::now());
            }
        }
    }

    fn dead_letter(&mut self, status: u16) {
        let record = &self.batch.records[0];
        let reason = format!("refused alone with {status}");
        match self.source.dead_letter(record, status, &reason) {
            Ok(()) => {
                self.report.dead_lettered(&event_id(record), status);
                self.frozen = None;
                self.plan.on_settled();
            }
            Err(e) => {
                self.report.source_failed("keep a refused record", &e);
                self.plan.on_source_failed(Mono::now());
            }
        }
    }

    /// Shows where the endpoint stands, and keeps it on disk when that has changed.
    fn publish(&mut self) {
        self.report.publish(&self.plan);
        self.keep(false);
    }

    /// A half-open breaker is kept only at the end (`last`): it becomes another one within seconds. At the end the file is
    /// written too when only the time that remains has become less.
    fn keep(&mut self, last: bool) {
        let now = Mono::now();
        let breaker = self.plan.breaker().snapshot(now);
        let kept = Kept { breaker, gone: self.plan.is_gone(), url_crc: url_crc(&self.endpoint) };
        let standing = standing(&kept);
        let same = self.saved == Some(standing) || (self.saved.is_none() && standing == UNREMARKABLE);
        let wanted = match breaker.position {
            Position::Closed => !same,
            Position::HalfOpen => last,
            Position::Open => !same || last,
        };
        if !wanted || (!last && now < self.unsaved.1) {
            return;
        }
        match self.store.save(&kept) {
            Ok(()) => {
                self.saved = Some(standing);
                self.unsaved = (0, now);
            }
            Err(e) => {
                let failures = self.unsaved.0;
                if failures == 0 {
                    let (name, file) = (&self.endpoint.name, self.store.path().display());
                    log::warn!(
                        endpoint = name.as_str();
                        "webhook {name}: cannot keep the breaker in {file}: {e}"
                    );
                }
                self.unsaved =
                    (failures.saturating_add(1), now + doubled(SAVE_RETRY, failures, SAVE_RETRY_MAX));
            }
        }
    }
}

/// What an endpoint without a file is taken for.
const UNREMARKABLE: Standing = (BreakerMode::Auto, Position::Closed, 0, false);

fn standing(kept: &Kept) -> Standing {
    (kept.breaker.mode, kept.breaker.position, kept.breaker.opens, kept.gone)
}

fn url_crc(endpoint: &Endpoint) -> u32 {
    crc32fast::hash(endpoint.url.as_bytes())
}
