//! Starts each part of the daemon from the configuration; `daemon` decides in which order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::metrics::Metrics;
use super::tracing::{Deliveries, Traces, Windows};
use super::{DaemonError, connectors, identity, liveness, outbox_metrics};
use crate::api::{self, Ports, StaticInfo};
use crate::clock::{Mono, Stamp};
use crate::config::{Config, LoadedConfig};
use crate::delivery::outbox_source::OutboxSource;
use crate::delivery::source::WINDOW;
use crate::delivery::worker::{self, EndpointSpec};
use crate::delivery::{Endpoint, EndpointControl};
use crate::engine::{self, Engine, EngineInbox, EngineObserver, EnginePlan};
use crate::signals::{SignalBoard, SignalQueue, SignalSpec, SignalThread, SignalWorkerSpec};
use crate::snapshots::{EndpointView, FEATURE_RECORDS, OutboxView, ProcessIdentity, Snapshots};
use crate::telemetry::trace::Tracer;
use mycelium_core::sim::FrameRing;
use mycelium_core::window::FeatureWindow;
use mycelium_outbox::{OutboxHandle, OutboxOptions, RecordKind, RunningOutbox, SafeName, WriterIdentity};

/// How often an output of a signal looks for space in the queue of the outbox, and the time between.
const SPACE_ATTEMPTS: u32 = 100;
const SPACE_PAUSE: Duration = Duration::from_millis(10);

/// What every part needs.
pub struct Components<'a> {
    pub config: &'a Config,
    pub data: &'a Path,
    pub snapshots: Arc<Snapshots>,
    pub metrics: Arc<Metrics>,
    pub tracer: Tracer,
    pub traces: Option<Traces>,
}

/// The running HTTP server.
pub struct RunningServer {
    pub server: api::ServerHandle,
    pub thread: JoinHandle<()>,
    pub address: SocketAddr,
}

impl<'a> Components<'a> {
    /// `seed` is for trace ids.
    pub fn new(loaded: &'a LoadedConfig, data: &'a Path, identity: ProcessIdentity, seed: u64) -> Self {
        let config = &loaded.config;
        let snapshots = Arc::new(snapshots(config, identity));
        let metrics = Arc::new(metrics(loaded));
        let tracer = Tracer::new(&config.trace, seed, Arc::clone(&metrics.spans));
        let traces = Traces::new(&tracer);
        Self { config, data, snapshots, metrics, tracer, traces }
    }

    pub fn outbox(&self) -> Result<RunningOutbox, DaemonError> {
        let (config, identity) = (self.config, &self.snapshots.identity);
        let traces = self.traces.clone();
        let name = |text: &str| SafeName::new(text).expect("names in a configuration are checked");
        let (shown, timed, counted) =
            (Arc::clone(&self.snapshots), Arc::clone(&self.metrics), Arc::clone(&self.metrics));
        let (max_bytes, written) = (config.outbox.max_bytes, self.traces.clone());
        let running = mycelium_outbox::start(
            self.data,
            OutboxOptions {
                policy: config.outbox,
                identity: WriterIdentity {
                    device: name(&identity.device),
                    boot: identity.boot,
                    stamp: identity.started,
                },
                endpoints: config.endpoints.iter().map(|endpoint| name(endpoint.name())).collect(),
                on_commit: Some(Box::new(move |took, commits| {
                    timed.outbox.commit_seconds.observe(took.as_secs_f64());
                    if let Some(traces) = &written {
                        traces.commit(took, commits);
                    }
                })),
                on_status: Some(Box::new(move |status| {
                    shown.tasks[liveness::OUTBOX].beat(Mono::now());
                    outbox_metrics::publish(status, max_bytes, &shown, &counted, traces.as_ref());
                })),
            },
        )?;
        outbox_metrics::publish_free_space(self.data, &self.metrics.outbox);
        for warning in &running.warnings {
            log::warn!("outbox: {warning}");
        }
        Ok(running)
    }

    pub fn endpoints(&self, outbox: &OutboxHandle) -> Result<Vec<EndpointControl>, DaemonError> {
        let Self { config, data, snapshots, metrics, tracer, traces } = self;
        let mut controls = Vec::new();
        for (slot, (endpoint, metrics)) in
            liveness::ENDPOINTS.zip(config.endpoints.iter().zip(&metrics.delivery))
        {
            let (tracer, traces) = (tracer.clone(), traces.clone());
            let spec = EndpointSpec {
                endpoint: endpoint.clone(),
                breaker: config.breaker,
                directory: data.join("breakers"),
                snapshots: Arc::clone(snapshots),
                task: Some(slot),
                metrics: Arc::clone(metrics),
                trace: Box::new(Deliveries::new(tracer, traces, endpoint)),
                seed: identity::random().map_err(DaemonError::io("draw a seed"))?,
            };
            let source =
                OutboxSource::new(outbox.clone(), endpoint.name()).expect("the outbox was given every name");
            let control = worker::spawn(spec, Box::new(source))
                .map_err(|error| DaemonError::Endpoint(format!("{}: {error}", endpoint.label())))?;
            controls.push(control);
        }
        Ok(controls)
    }

    pub fn engine(
        &self,
        outbox: &OutboxHandle,
        ring: &Arc<Mutex<FrameRing>>,
        inbox: &Arc<Mutex<EngineInbox>>,
    ) -> Result<Engine, DaemonError> {
        let config = self.config;
        for warning in config.field_warnings() {
            log::warn!("sim: {warning}");
        }
        let plan = EnginePlan {
            params: config.sim.clone(),
            seed: self.snapshots.identity.seed,
            profile: config.profile,
            every: config.every,
            window_steps: config.window_steps,
            inputs: config.inputs.clone(),
        };
        let (outbox, ask, seen) = (outbox.clone(), outbox.clone(), self.traces.clone());
        let record = move |window: &FeatureWindow, stamp: Stamp| {
            if let Err(error) = outbox.append(WINDOW, stamp, &window.encode()) {
                let (trace_id, span_id) =
                    seen.as_ref().map(|seen| seen.ids_of(stamp.mono)).unwrap_or_default();
                log::warn!(trace_id, span_id; "cannot store a feature window: {error}");
            }
        };
        let ports = engine::EngineDeps {
            snapshots: Arc::clone(&self.snapshots),
            task: liveness::SIMULATION,
            metrics: Arc::clone(&self.metrics.sim),
            ring: Arc::clone(ring),
            inbox: Arc::clone(inbox),
            window_sink: Box::new(record),
            has_capacity: Box::new(move || ask.has_capacity()),
            observer: self
                .traces
                .clone()
                .map(|traces| Box::new(Windows::new(traces)) as Box<dyn EngineObserver>),
        };
        Engine::start(plan, config.tick, config.steps_per_tick, ports)
            .map_err(DaemonError::io("start the simulation thread"))
    }

    /// The queue and the thread of the signals; `None` without inputs.
    pub fn signals(
        &self,
        outbox: &OutboxHandle,
    ) -> Result<Option<(Arc<SignalQueue>, SignalThread)>, DaemonError> {
        if self.config.signals.is_empty() {
            return Ok(None);
        }
        let queue = Arc::new(SignalQueue::default());
        let outbox = outbox.clone();
        let spec = SignalWorkerSpec {
            signals: self.config.signals.clone(),
            queue: Arc::clone(&queue),
            snapshots: Arc::clone(&self.snapshots),
            metrics: Arc::clone(&self.metrics.signals),
            store: Box::new(move |kind, stamp, payload| store_signal(&outbox, kind, stamp, payload)),
        };
        let thread = SignalThread::start(spec).map_err(DaemonError::io("start the signals thread"))?;
        Ok(Some((queue, thread)))
    }

    pub fn server(
        &self,
        sockets: api::ApiSockets,
        keys: Vec<api::ApiKey>,
        tls: Option<api::TlsAcceptor>,
        ports: Ports,
    ) -> Result<RunningServer, DaemonError> {
        let config = self.config;
        let server = api::Server::new(
            sockets,
            config.api.clone(),
            (config.rate, keys),
            Arc::clone(&self.snapshots),
            Arc::clone(&self.metrics.http),
            ports,
        )
        .map_err(DaemonError::io(format!("listen on {}", config.api.listen)))?;
        let server = match tls {
            Some(acceptor) => server.with_tls(acceptor),
            None => server,
        };
        let (address, handle) = (server.local_addr(), server.handle());
        let thread = std::thread::Builder::new()
            .name("http".into())
            .spawn(move || {
                if let Err(error) = server.run() {
                    log::error!("the HTTP server has ended: {error}");
                }
            })
            .map_err(DaemonError::io("start the HTTP thread"))?;
        Ok(RunningServer { server: handle, thread, address })
    }
}

/// Waits a moment for space in the queue of the outbox: a backlog gives windows faster than they are written. Meanwhile
/// the queue of the samples fills, and their sources wait.
fn store_signal(outbox: &OutboxHandle, kind: RecordKind, stamp: Stamp, payload: &[u8]) -> bool {
    for _ in 0..SPACE_ATTEMPTS {
        if outbox.has_space() {
            break;
        }
        std::thread::sleep(SPACE_PAUSE);
    }
    let stored = outbox.append(kind, stamp, payload);
    if let Err(error) = &stored {
        log::warn!("cannot store an output of a signal: {error}");
    }
    stored.is_ok()
}

fn snapshots(config: &Config, identity: ProcessIdentity) -> Snapshots {
    let tasks = liveness::tasks(config, identity.started.mono);
    let mut snapshots = Snapshots::new(identity, FEATURE_RECORDS, tasks);
    let endpoints = config.endpoints.iter().map(|to| EndpointView::new(to.name(), to.kind()));
    let sources = config.connectors.iter().map(|source| EndpointView::new(&source.name, source.kind()));
    snapshots.endpoints = Mutex::new(endpoints.chain(sources).collect());
    snapshots.inputs = Mutex::new(connectors::inputs(config));
    let board = |signal: &SignalSpec| Mutex::new(SignalBoard::new(signal.clone()));
    snapshots.signals = config.signals.iter().map(board).collect();
    snapshots.outbox = Mutex::new(OutboxView { max_bytes: config.outbox.max_bytes, ..OutboxView::default() });
    snapshots
}

fn metrics(loaded: &LoadedConfig) -> Metrics {
    let config = &loaded.config;
    let metrics = Metrics::new(
        config.endpoints.iter().map(Endpoint::name),
        config.connectors.iter().map(|connector| connector.name.as_str()),
        config.inputs.iter().map(AsRef::as_ref),
    );
    metrics.memory_budget.set(loaded.budget().total() as f64);
    metrics
}

pub fn info(loaded: &LoadedConfig) -> StaticInfo {
    let (config, budget) = (&loaded.config, loaded.budget());
    StaticInfo {
        version: env!("CARGO_PKG_VERSION"),
        model: config.sim.model.name(),
        precision: config.sim.precision.name(),
        boundary: config.sim.boundary.name(),
        grid: config.sim.grid,
        tick: config.tick,
        constant_after: config.constant_after(),
        frames: config.frames,
        every: config.every,
        profile: Some(config.profile),
        memory_bytes: budget.total(),
        memory_max_bytes: config.memory_max_bytes,
        simulation_bytes: budget.on_demand,
        borrowable_bytes: budget.borrowable,
        outbox_group: config.outbox.group,
        outbox_full: config.outbox.full.name(),
    }
}

/// The bound sockets of the server: bound before anything else, so that a start that fails because of a used port leaves
/// nothing behind.
pub fn sockets(settings: &api::Settings) -> Result<api::ApiSockets, DaemonError> {
    api::ApiSockets::bind(settings).map_err(DaemonError::io(format!("listen on {}", settings.listen)))
}
