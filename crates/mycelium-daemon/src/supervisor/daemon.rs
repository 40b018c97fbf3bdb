//! The running daemon: starts its parts in order, polls them, and stops them in order.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::api_backend::{self, ApiBackend};
use super::builder::{self, Components, RunningServer};
use super::command_thread::{Command, CommandThread};
use super::metrics::Metrics;
use super::tracing::{Exporter, export};
use super::{DaemonError, connectors, identity, keys, notify, outbox_metrics};
use crate::api;
use crate::clock::{ClockWatch, Evidence, Mono, Stamp, Wall};
use crate::config::{API_KEY_FILE, Config, LoadedConfig};
use crate::connectors::ConnectorControl;
use crate::delivery::{Endpoint, EndpointControl};
use crate::engine::{Engine, EngineInbox};
use crate::net::WorkerControl;
use crate::signals::SignalThread;
use crate::snapshots::{ProcessIdentity, Snapshots};
use crate::telemetry::metrics::BuildInfo;
use crate::telemetry::trace::otlp::Resource;
use mycelium_core::sim::FrameRing;
use mycelium_outbox::state_dir::{self, StateDir, StateDirError};
use mycelium_outbox::{Durability, OutboxHandle, RunningOutbox};

/// Time-outs of an orderly stop; together below two seconds.
const ENDPOINT_GRACE: Duration = Duration::from_millis(800);
const OUTBOX_GRACE: Duration = Duration::from_millis(700);

/// A running daemon.
pub struct Daemon {
    snapshots: Arc<Snapshots>,
    engine: Engine,
    outbox: OutboxHandle,
    outbox_thread: JoinHandle<()>,
    endpoints: Vec<EndpointControl>,
    connectors: Vec<ConnectorControl>,
    signals: Option<SignalThread>,
    server: api::ServerHandle,
    server_thread: JoinHandle<()>,
    url: String,
    data: PathBuf,
    watch: ClockWatch,
    /// The clock was synchronized at this time, and the command thread has not accepted the command yet.
    pending_clock_sync: Option<Stamp>,
    commands: CommandThread,
    metrics: Arc<Metrics>,
    exporter: Option<Exporter>,
    _state: Option<StateDir>,
}

/// The threads of endpoints and connectors.
fn workers<'a>(
    endpoints: &'a [EndpointControl],
    connectors: &'a [ConnectorControl],
) -> impl Iterator<Item = &'a WorkerControl> {
    endpoints.iter().map(EndpointControl::worker).chain(connectors.iter().map(ConnectorControl::worker))
}

impl Daemon {
    pub fn start(loaded: &LoadedConfig, data: &Path) -> Result<Self, DaemonError> {
        let config = &loaded.config;
        let sockets = builder::sockets(&config.api)?;
        let state = open_state(data, config)?;
        let mut watch = ClockWatch::new();
        let started = poll_clock(&mut watch);
        let boot = identity::boot().map_err(DaemonError::io("draw a boot id"))?;
        let device = device(config, state.as_ref())?;
        let seed = match config.seed {
            Some(seed) => seed,
            None => identity::random().map_err(DaemonError::io("draw a seed"))? >> 1,
        };
        let keys = api_keys(config, state.as_ref())?;
        let tls = acceptor(config)?;
        let resource = Resource { device: device.clone(), version: BuildInfo::THIS.version };
        let id_seed = identity::random().map_err(DaemonError::io("draw a seed"))?;
        let identity = ProcessIdentity { device: device.clone(), boot, started, seed };
        let components = Components::new(loaded, data, identity, id_seed);
        publish_clock(&watch, &components.snapshots, &components.metrics);
        let exporter = export(&components.tracer, &config.trace, resource, id_seed.rotate_left(32))
            .map_err(DaemonError::io("start the trace export thread"))?;
        let RunningOutbox { handle: outbox, thread: outbox_thread, .. } = components.outbox()?;
        let endpoints = components.endpoints(&outbox)?;
        let ring = Arc::new(Mutex::new(FrameRing::new(&config.sim, config.frames)));
        let inbox: Arc<Mutex<EngineInbox>> = Arc::default();
        let engine = components.engine(&outbox, &ring, &inbox)?;
        let (queue, signals) = components.signals(&outbox)?.unzip();
        let connectors = connectors::start(&components, &inbox, queue.as_ref())?;
        let commands = CommandThread::start(outbox.clone(), workers(&endpoints, &[]).cloned().collect())
            .map_err(DaemonError::io("start the command thread"))?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let backend = ApiBackend {
            info: builder::info(loaded),
            ring,
            inbox,
            outbox: outbox.clone(),
            signals: queue,
            breakers: workers(&endpoints, &connectors).cloned().collect(),
            commands: commands.clone(),
            scheme,
        };
        let RunningServer { server, thread: server_thread, address } =
            components.server(sockets, keys, tls, api_backend::ports(backend, &components))?;
        if state.is_some() {
            state_dir::write_atomically(&data.join("address"), format!("{address}\n").as_bytes(), 0o644)
                .map_err(DaemonError::io(format!("write {}", data.join("address").display())))?;
        }
        let (model, grid) = (config.sim.model, config.sim.grid);
        log::info!("{device} boot {boot} seed {seed}: {model} {grid}x{grid}");
        log::info!("listening on {scheme}://{address}");
        Ok(Self {
            snapshots: components.snapshots,
            engine,
            outbox,
            outbox_thread,
            endpoints,
            connectors,
            signals,
            server,
            server_thread,
            url: format!("{scheme}://{address}"),
            data: data.to_owned(),
            watch,
            pending_clock_sync: None,
            commands,
            metrics: components.metrics,
            exporter,
            _state: state,
        })
    }

    /// One line for the service manager.
    pub fn status(&self) -> String {
        format!("listening on {}", self.url)
    }

    /// Polls the clock and the heartbeats, and feeds the watchdog unless a task has stalled. Never blocks.
    ///
    /// Returns an error if an essential thread has stopped.
    pub fn poll(&mut self, now: Mono, watchdog: bool) -> Result<(), DaemonError> {
        if let Some(stamp) = self.watch.observe(now, Wall::now(), Evidence::read()) {
            log::info!("the system clock is synchronized: {}", stamp.wall);
            self.pending_clock_sync = Some(stamp);
        }
        self.pending_clock_sync.take_if(|stamp| self.commands.send(Command::ClockSynced(*stamp)));
        publish_clock(&self.watch, &self.snapshots, &self.metrics);
        // The oldest record ages while the outbox thread sleeps.
        outbox_metrics::publish_age(&self.snapshots, &self.metrics.outbox, (now, Wall::now()));
        outbox_metrics::publish_free_space(&self.data, &self.metrics.outbox);
        for (ended, name) in
            [(self.server_thread.is_finished(), "http"), (self.outbox_thread.is_finished(), "outbox")]
        {
            if ended {
                return Err(DaemonError::Ended(name));
            }
        }
        match notify::stalled(&self.snapshots.tasks, now) {
            Some(stalled) => log::error!("{} has been silent for {:?}", stalled.name, stalled.silence),
            None if watchdog => notify::feed_watchdog(),
            None => {}
        }
        self.server.request_heartbeat();
        self.outbox.request_heartbeat();
        Ok(())
    }

    pub fn reload(&self, new: &LoadedConfig) -> Result<(), DaemonError> {
        let config = &new.config;
        let keys = if config.keys.is_empty() { vec![first_key(&self.data)?] } else { config.keys.clone() };
        self.server.reload(keys, config.rate, config.api.names.clone());
        match acceptor(config) {
            Ok(Some(acceptor)) => self.server.set_certificate(acceptor),
            Ok(None) => {}
            Err(error) => log::error!("keeping the old certificate: {error}"),
        }
        crate::telemetry::logs::set_level(config.log.level);
        for control in &self.endpoints {
            let named = |endpoint: &&Endpoint| endpoint.name() == control.worker().name();
            if let Some(endpoint) = config.endpoints.iter().find(named) {
                control.update(endpoint.clone(), config.breaker);
            }
        }
        connectors::reload(&self.connectors, config);
        Ok(())
    }

    /// Stops in an order that loses no record: requests, simulation, deliveries, then the outbox, which commits the last
    /// window and what receivers acknowledged.
    pub fn stop(self) {
        self.server.stop();
        for control in &self.connectors {
            control.worker().stop();
        }
        self.engine.stop();
        for control in &self.endpoints {
            control.worker().stop();
        }
        self.server_thread.join().expect("a panic ends the process");
        let deadline = Mono::now() + ENDPOINT_GRACE;
        for control in workers(&self.endpoints, &self.connectors) {
            if !control.join(deadline - Mono::now()) {
                log::warn!("{}: the request in progress was abandoned", control.name());
            }
        }
        if let Some(signals) = self.signals {
            signals.stop();
        }
        if self.outbox.shutdown(Mono::now() + OUTBOX_GRACE) {
            self.outbox_thread.join().expect("a panic ends the process");
        } else {
            log::warn!("not everything in the outbox could be written");
        }
        if let Some(exporter) = self.exporter {
            exporter.stop();
        }
        if let Err(error) = std::fs::remove_file(self.data.join("address")) {
            log::debug!("cannot remove the address file: {error}");
        }
    }
}

fn publish_clock(watch: &ClockWatch, snapshots: &Snapshots, metrics: &Metrics) {
    snapshots.clock_synced.store(watch.synced(), Relaxed);
    metrics.clock_synced.set(f64::from(u8::from(watch.synced())));
}

fn poll_clock(watch: &mut ClockWatch) -> Stamp {
    let (mono, wall) = (Mono::now(), Wall::now());
    watch.observe(mono, wall, Evidence::read());
    Stamp { mono, wall, synced: watch.synced() }
}

/// `None` only if `outbox.durability` is "none" and the directory cannot be used.
fn open_state(data: &Path, config: &Config) -> Result<Option<StateDir>, DaemonError> {
    match StateDir::open(data) {
        Ok(state) => Ok(Some(state)),
        Err(error @ StateDirError::Io { .. }) if config.outbox.durability == Durability::None => {
            log::warn!("{error}; nothing is stored, as outbox.durability is \"none\"");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn device(config: &Config, state: Option<&StateDir>) -> Result<String, DaemonError> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let random = identity::random().map_err(DaemonError::io("draw a device id"))?;
    identity::device(config.device.as_deref(), &host, state.map(StateDir::path), random)
        .map_err(DaemonError::io("store the device id"))
}

fn api_keys(config: &Config, state: Option<&StateDir>) -> Result<Vec<api::ApiKey>, DaemonError> {
    if !config.keys.is_empty() {
        return Ok(config.keys.clone());
    }
    if let Some(state) = state {
        Ok(vec![first_key(state.path())?])
    } else {
        log::warn!("no API key is configured and none can be stored: only public routes are available");
        Ok(Vec::new())
    }
}

fn acceptor(config: &Config) -> Result<Option<api::TlsAcceptor>, DaemonError> {
    config.api.tls.as_ref().map(api::TlsAcceptor::load).transpose().map_err(DaemonError::Tls)
}

fn first_key(data: &Path) -> Result<api::ApiKey, DaemonError> {
    let first = keys::first_key(data)
        .map_err(DaemonError::io(format!("use {}", data.join(API_KEY_FILE).display())))?;
    if first.created {
        log::info!("no API key is configured: created {}", first.file.display());
    }
    Ok(first.key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn daemon(directory: &Path) -> Daemon {
        let listen = config::ConfigOverride {
            option: "--listen",
            key: config::keys::API_LISTEN.spec(),
            text: "127.0.0.1:0".to_owned(),
        };
        let loaded = config::parse(config::Sources {
            file: None,
            variables: Vec::new(),
            overrides: vec![listen],
            read: &|_| Err(std::io::ErrorKind::NotFound.into()),
        });
        Daemon::start(&loaded.unwrap(), directory).unwrap()
    }

    fn scratch() -> PathBuf {
        std::env::temp_dir().join(format!("mycelium-daemon-{:016x}", identity::random().unwrap()))
    }

    /// Mutants seen red: poll without requesting a heartbeat of the server, of the outbox.
    #[test]
    fn sleeping_tasks_send_a_heartbeat_on_request() {
        let directory = scratch();
        let mut daemon = daemon(&directory);
        let names: Vec<_> = daemon.snapshots.tasks.iter().map(|task| task.name).collect();
        assert_eq!(names, ["simulation", "outbox", "http"]);
        let before = Mono::now();
        daemon.snapshots.tasks[1..].iter().for_each(|task| task.beat(Mono(0)));
        daemon.poll(before, false).unwrap();
        let until = before + Duration::from_secs(20);
        while daemon.snapshots.tasks[1..].iter().any(|task| task.stalled(before).is_some()) {
            assert!(Mono::now() < until, "no heartbeat: {:?}", daemon.snapshots.tasks);
            std::thread::yield_now();
        }
        daemon.stop();
        std::fs::remove_dir_all(directory).unwrap();
    }

    /// Mutant seen red: poll does not check whether the thread has ended.
    #[test]
    fn the_end_of_the_server_thread_ends_the_daemon() {
        let directory = scratch();
        let mut daemon = daemon(&directory);
        daemon.poll(Mono::now(), false).unwrap();
        daemon.server.stop();
        while !daemon.server_thread.is_finished() {
            std::thread::yield_now();
        }
        let error = daemon.poll(Mono::now(), false).unwrap_err();
        assert_eq!(error.to_string(), "the http thread has ended: see the log line before this one");
        daemon.stop();
        std::fs::remove_dir_all(directory).unwrap();
    }
}
