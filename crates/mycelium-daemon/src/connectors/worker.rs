//! One thread per connector: polls its source on schedule and hands the extracted numbers to the field.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use super::checkpoint::{Checkpoint, CheckpointStore};
use super::csv::CsvColumns;
use super::follower::{FileFollower, PollProgress};
use super::ingest::{Ingest, ReadingSink};
use super::limits::MAX_BODY_BYTES;
use super::metrics::ConnectorMetrics;
use super::report::Report;
use super::schedule::{PollAction, PollSchedule};
use super::serial::SerialPort;
use super::settings::{Connector, ConnectorSource, FileFormat};
use super::spool::SpoolDirectory;
use super::value_file;
use crate::clock::Mono;
use crate::net::breaker::{Breaker, CallResult, Permit};
use crate::net::fetch::Fetcher;
use crate::net::outcome::RequestOutcome;
use crate::net::trace::TraceHook;
use crate::net::worker_control::{SettingsSlot, SpawnError, WorkerInbox, log_breaker_set};
use crate::net::{BreakerPolicy, HttpTarget, WorkerControl};
use crate::snapshots::Snapshots;

/// Longest sleep.
const MAX_SLEEP: Duration = Duration::from_secs(30);
/// Shortest time between two writes of a checkpoint, to limit flash wear. What was read since is read again after a
/// power cut.
const SAVE_INTERVAL: Duration = Duration::from_mins(1);

/// Longest time for which the state of a connector that reads without a pause is not published.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// Everything the thread of a connector needs.
pub struct ConnectorSpec {
    pub connector: Connector,
    pub breaker: BreakerPolicy,
    /// `DATA/connectors`.
    pub directory: PathBuf,
    pub snapshots: Arc<Snapshots>,
    pub metrics: Arc<ConnectorMetrics>,
    pub sink: ReadingSink,
    /// Around each request to an HTTP source; files have no spans.
    pub trace: Box<dyn TraceHook>,
    /// Seeds jitter; from entropy.
    pub seed: u64,
}

/// Handle to the thread of one connector.
#[derive(Clone, Debug)]
pub struct ConnectorControl {
    worker: WorkerControl,
    settings: SettingsSlot<(HttpTarget, BreakerPolicy)>,
}

impl ConnectorControl {
    pub fn worker(&self) -> &WorkerControl {
        &self.worker
    }

    /// Applies a new target and breaker policy to an HTTP connector, as from a reload.
    pub fn update(&self, target: HttpTarget, breaker: BreakerPolicy) {
        self.settings.put((target, breaker));
        self.worker.wake();
    }
}

enum OpenSource {
    Http(Fetcher),
    Lines { follower: FileFollower, columns: Option<CsvColumns> },
    Spool(SpoolDirectory),
    Value(PathBuf),
    Serial { port: SerialPort, columns: Option<CsvColumns> },
}

impl OpenSource {
    fn open(connector: &Connector, checkpoint: Option<&Checkpoint>) -> Result<Self, SpawnError> {
        Ok(match &connector.source {
            ConnectorSource::Http(target) => Self::Http(Fetcher::new(target).map_err(SpawnError::CaFile)?),
            ConnectorSource::File { path, format: FileFormat::Json, start, after_read } => {
                let seen = match checkpoint {
                    Some(Checkpoint::Directory(seen)) => Some(seen.clone()),
                    _ => None,
                };
                Self::Spool(SpoolDirectory::new(path.clone(), (*start, *after_read), seen))
            }
            ConnectorSource::File { path, format, start, .. } => {
                let offset = match checkpoint {
                    Some(Checkpoint::File(offset)) => Some(*offset),
                    _ => None,
                };
                let columns = (*format == FileFormat::Csv).then(|| CsvColumns::by_number(&connector.inputs));
                Self::Lines { follower: FileFollower::new(path.clone(), *start, offset), columns }
            }
            ConnectorSource::Value(path) => Self::Value(path.clone()),
            ConnectorSource::Serial { path, baud, format } => {
                let columns = (*format == FileFormat::Csv).then(|| CsvColumns::by_number(&connector.inputs));
                Self::Serial { port: SerialPort::new(path.clone(), *baud), columns }
            }
        })
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        match self {
            Self::Http(_) | Self::Value(_) | Self::Serial { .. } => None,
            Self::Lines { follower, .. } => follower.offset().map(Checkpoint::File),
            Self::Spool(spool) => Some(Checkpoint::Directory(spool.seen().clone())),
        }
    }
}

struct Worker {
    connector: Connector,
    schedule: PollSchedule,
    source: OpenSource,
    ingest: Ingest,
    trace: Box<dyn TraceHook>,
    inbox: Arc<WorkerInbox>,
    settings: SettingsSlot<(HttpTarget, BreakerPolicy)>,
    store: CheckpointStore,
    saved: Option<Checkpoint>,
    saved_at: Mono,
    save_failing: bool,
    body: Vec<u8>,
    lag: u64,
    published_at: Mono,
}

/// Starts the thread of one connector.
pub fn spawn(spec: ConnectorSpec) -> Result<ConnectorControl, SpawnError> {
    let cell: Arc<OnceLock<Thread>> = Arc::default();
    let woken = Arc::clone(&cell);
    // A thread that has not started yet needs no wake-up: it applies its commands first.
    let interrupt = move || {
        if let Some(thread) = woken.get() {
            thread.unpark();
        }
    };
    let (control, inbox) = WorkerControl::new(&spec.connector.name, Arc::new(interrupt));
    let control = ConnectorControl { worker: control, settings: SettingsSlot::default() };
    let name = format!("from-{}", spec.connector.name);
    let worker = Worker::new(spec, inbox, control.settings.clone())?;
    let run = move || {
        cell.get_or_init(thread::current);
        worker.run();
    };
    thread::Builder::new().name(name).stack_size(256 << 10).spawn(run).map_err(SpawnError::Thread)?;
    Ok(control)
}

impl Worker {
    fn new(
        spec: ConnectorSpec,
        inbox: Arc<WorkerInbox>,
        settings: SettingsSlot<(HttpTarget, BreakerPolicy)>,
    ) -> Result<Self, SpawnError> {
        let ConnectorSpec { connector, breaker, directory, snapshots, metrics, sink, trace, seed } = spec;
        let store = CheckpointStore::new(&directory, &connector.name);
        let saved = match connector.source {
            ConnectorSource::Http(_) | ConnectorSource::Value(_) | ConnectorSource::Serial { .. } => None,
            ConnectorSource::File { .. } => store.load().unwrap_or_else(|e| {
                log::warn!(
                    connector = connector.name;
                    "connector {}: start without a checkpoint: cannot use {}: {e}",
                    connector.name,
                    store.path().display()
                );
                None
            }),
        };
        let source = OpenSource::open(&connector, saved.as_ref())?;
        if let OpenSource::Http(fetcher) = &source {
            inbox.set_abort(fetcher.abort_handle());
        }
        let now = Mono::now();
        let schedule = PollSchedule::new(Breaker::new(breaker, seed), connector.interval, now);
        let report = Report::new(&connector, Arc::clone(&snapshots), metrics, &schedule);
        Ok(Self {
            connector,
            schedule,
            source,
            ingest: Ingest { report, sink, snapshots },
            trace,
            inbox,
            settings,
            store,
            saved,
            saved_at: now,
            save_failing: false,
            body: Vec::new(),
            lag: 0,
            published_at: now,
        })
    }

    fn run(mut self) {
        while !self.apply_commands() {
            let now = Mono::now();
            match self.schedule.next(now) {
                PollAction::Wait(until) => {
                    self.save_checkpoint(now, false);
                    self.ingest.report.publish(&self.schedule, self.lag);
                    thread::park_timeout((until - now).min(MAX_SLEEP));
                }
                PollAction::Poll(permit) => {
                    self.poll(permit, now);
                    // A source with more to read never waits.
                    if now.since(self.published_at) >= PUBLISH_INTERVAL {
                        self.published_at = now;
                        self.ingest.report.publish(&self.schedule, self.lag);
                    }
                }
            }
        }
        self.save_checkpoint(Mono::now(), true);
        self.ingest.report.publish(&self.schedule, self.lag);
        self.inbox.finish();
    }

    /// Returns whether the thread has to end.
    fn apply_commands(&mut self) -> bool {
        let commands = self.inbox.take();
        if let Some((target, policy)) = self.settings.take() {
            self.schedule.set_policy(policy);
            self.set_target(target);
        }
        if let Some((mode, origin)) = commands.mode {
            log_breaker_set("mycelium_daemon::connectors", "connector", &self.connector.name, mode, &origin);
            self.schedule.set_mode(mode);
        }
        commands.stop
    }

    fn set_target(&mut self, target: HttpTarget) {
        let ConnectorSource::Http(current) = &mut self.connector.source else { return };
        if **current == target {
            return;
        }
        match Fetcher::new(&target) {
            Ok(fetcher) => {
                self.inbox.set_abort(fetcher.abort_handle());
                self.source = OpenSource::Http(fetcher);
                **current = target;
            }
            Err(e) => {
                let name = self.connector.name.as_str();
                log::error!(connector = name; "connector {name}: keep the old settings: {e}");
            }
        }
    }

    fn poll(&mut self, permit: Permit, began: Mono) {
        let (connector, ingest) = (&self.connector, &mut self.ingest);
        let polled = match &mut self.source {
            OpenSource::Http(fetcher) => {
                let trace = self.trace.begin(ingest.snapshots.stamp(Mono::now()));
                ingest.report.begin(&trace);
                let before = fetcher.connections();
                let reply = fetcher.get(MAX_BODY_BYTES, &mut self.body, &trace);
                ingest.report.connected(fetcher.connections().since(before));
                self.trace.end(&reply);
                if reply.status.is_none() && self.inbox.stopping() {
                    return;
                }
                match reply.outcome {
                    RequestOutcome::Success { .. } => ingest.response(connector, &self.body),
                    outcome => Err((outcome.call_result(), reply.detail)),
                }
            }
            OpenSource::Lines { follower, columns } => follower
                .poll(&mut |piece| ingest.piece(connector, columns, piece))
                .map_err(|e| (CallResult::Unreachable, e.to_string())),
            OpenSource::Value(path) => value_file::read(path, &mut self.body)
                .map(|()| ingest.value(connector, &self.body))
                .map_err(|e| (CallResult::Unreachable, e.to_string())),
            OpenSource::Serial { port, columns } => port
                .poll(&mut |piece| ingest.piece(connector, columns, piece))
                .map_err(|e| (CallResult::Unreachable, e.to_string())),
            OpenSource::Spool(spool) => spool
                .poll(&mut |name, file| ingest.file(connector, name, file))
                .map_err(|e| (CallResult::Unreachable, e.to_string())),
        };
        let now = Mono::now();
        let took = now - began;
        match polled {
            Ok(PollProgress { lag, more }) => {
                self.lag = lag;
                ingest.report.succeeded(took, ingest.snapshots.stamp(Mono::now()));
                self.schedule.on_polled(permit, CallResult::Success { took }, more, now);
            }
            Err((result, detail)) => {
                ingest.report.failed(&connector.origin(), &detail, took);
                self.schedule.on_polled(permit, result, false, now);
            }
        }
    }

    /// Writes how far the source has been read, if that has changed.
    fn save_checkpoint(&mut self, now: Mono, last: bool) {
        if !last && now.since(self.saved_at) < SAVE_INTERVAL && self.saved.is_some() {
            return;
        }
        let Some(checkpoint) = self.source.checkpoint() else { return };
        if self.saved.as_ref() == Some(&checkpoint) {
            return;
        }
        self.saved_at = now;
        let saved = self.store.save(&checkpoint);
        if let Err(e) = &saved
            && !self.save_failing
        {
            let (name, file) = (self.connector.name.as_str(), self.store.path().display());
            log::warn!(connector = name; "connector {name}: cannot save its checkpoint to {file}: {e}");
        }
        self.save_failing = saved.is_err();
        self.saved = Some(checkpoint);
    }
}
