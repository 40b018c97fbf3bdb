//! Puts the parts together and takes them apart again.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::clerk::{Clerk, Errand};
use super::tracing::{Deliveries, Exporter, Traces, Windows, export};
use super::{Error, connectors, identity, keys, liveness, notify, outbox_view, ports};
use crate::api::{self, Facts};
use crate::board::{Board, EndpointView, FeatureRing, Identity, OutboxView, Progress};
use crate::clock::{BootId, ClockWatch, Evidence, Mono, Stamp, Wall};
use crate::config::{Config, FEATURE_RECORDS, Loaded};
use crate::delivery::outlet::Outlet;
use crate::delivery::{Control, worker};
use crate::engine::{Engine, Inbox, Plan, Ports, Watch};
use crate::outbox;
use crate::outbox::endpoint::Name;
use crate::outbox::handle::Handle;
use crate::outbox::record::Kind;
use crate::sim::FrameRing;
use crate::state_dir::{self, StateDir};
use crate::telemetry::metrics::{BuildInfo, Metrics};
use crate::telemetry::trace::Tracer;
use crate::telemetry::trace::otlp::Resource;
use crate::window::Window;

/// What each part of an orderly stop may take; together below two seconds.
const WEBHOOK_GRACE: Duration = Duration::from_millis(800);
const OUTBOX_GRACE: Duration = Duration::from_millis(700);

/// A running daemon.
pub struct Daemon {
    board: Arc<Board>,
    engine: Engine,
    outbox: Handle,
    outbox_thread: JoinHandle<()>,
    webhooks: Vec<Control>,
    connectors: Vec<Control>,
    server: api::Handle,
    server_thread: JoinHandle<()>,
    url: String,
    data: PathBuf,
    watch: ClockWatch,
    /// The clock is right; not yet with the clerk.
    untold: Option<Stamp>,
    clerk: Clerk,
    metrics: Arc<Metrics>,
    exporter: Option<Exporter>,
    _state: Option<StateDir>,
}

impl Daemon {
    pub fn start(loaded: &Loaded, data: &Path) -> Result<Self, Error> {
        let config = &loaded.config;
        let state = open_state(data, config)?;
        let mut watch = ClockWatch::new();
        let started = look_at_clock(&mut watch);
        let boot = identity::boot().map_err(Error::io("draw a boot id"))?;
        let device = device(config, state.as_ref())?;
        let seed = match config.seed {
            Some(seed) => seed,
            None => identity::random().map_err(Error::io("draw a seed"))? >> 1,
        };
        let keys = api_keys(config, state.as_ref())?;
        let tls = acceptor(config)?;
        let identity = Identity { device: device.clone(), boot, started, seed };
        let board = Arc::new(board(config, identity));
        let metrics = Arc::new(metrics(loaded));
        show_clock(&watch, &board, &metrics);
        let id_seed = identity::random().map_err(Error::io("draw a seed"))?;
        let tracer = Tracer::new(&config.trace, id_seed, Arc::clone(&metrics));
        let resource = Resource { device: device.clone(), version: BuildInfo::THIS.version };
        let exporter = export(&tracer, &config.trace, resource, id_seed.rotate_left(32))
            .map_err(Error::io("start the thread of traces"))?;
        let traces = Traces::new(&tracer);
        let running = start_outbox(config, data, (&device, boot, started), &board, &metrics, traces.clone())?;
        let spans = (tracer, traces);
        let webhooks = start_webhooks(config, data, &running.handle, &board, &metrics, &spans)?;
        let ring = Arc::new(Mutex::new(FrameRing::new(&config.sim, config.frames)));
        let inbox: Arc<Mutex<Inbox>> = Arc::default();
        let engine =
            start_engine(config, seed, &board, &metrics, &ring, &inbox, (&running.handle, spans.1.clone()))?;
        let connectors = connectors::start(config, data, &board, &metrics, &inbox, &spans)?;
        let (tracer, traces) = spans;
        let clerk =
            Clerk::start(running.handle.clone(), webhooks.clone()).map_err(Error::io("start a thread"))?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let reach = ports::Reach {
            facts: facts(loaded),
            ring,
            inbox,
            outbox: running.handle.clone(),
            breakers: webhooks.iter().chain(&connectors).cloned().collect(),
            clerk: clerk.clone(),
            metrics: Arc::clone(&metrics),
            tracer,
            traces,
            scheme,
        };
        let server = api::Server::bind(
            config.api.clone(),
            config.rate,
            keys,
            Arc::clone(&board),
            Arc::clone(&metrics),
            ports::ports(reach),
        )
        .map_err(Error::io(format!("listen on {}", config.api.listen)))?;
        let server = match tls {
            Some(acceptor) => server.with_tls(acceptor),
            None => server,
        };
        let address = server.local_addr();
        let handle = server.handle();
        let server_thread = std::thread::Builder::new()
            .name("http".into())
            .spawn(move || {
                if let Err(error) = server.run() {
                    log::error!("the HTTP front has ended: {error}");
                }
            })
            .map_err(Error::io("start the HTTP thread"))?;
        if state.is_some() {
            state_dir::write_atomically(&data.join("address"), format!("{address}\n").as_bytes(), 0o644)
                .map_err(Error::io(format!("write {}", data.join("address").display())))?;
        }
        log::info!(
            "{device} boot {boot} seed {seed}: {} {}x{}",
            config.sim.model,
            config.sim.grid,
            config.sim.grid
        );
        log::info!("listening on {scheme}://{address}");
        Ok(Self {
            board,
            engine,
            outbox: running.handle,
            outbox_thread: running.thread,
            webhooks,
            connectors,
            server: handle,
            server_thread,
            url: format!("{scheme}://{address}"),
            data: data.to_owned(),
            watch,
            untold: None,
            clerk,
            metrics,
            exporter,
            _state: state,
        })
    }

    /// One line for the service manager.
    pub fn status(&self) -> String {
        format!("listening on {}", self.url)
    }

    /// Looks at the clock and at everything that has to move; the watchdog hears of real progress only. Waits for nobody. An
    /// error is the end of a thread without which the daemon is none.
    pub fn look(&mut self, now: Mono, watchdog: bool) -> Result<(), Error> {
        if let Some(stamp) = self.watch.look(now, Wall::now(), Evidence::read()) {
            log::info!("the system clock is synchronized: {}", stamp.wall);
            self.untold = Some(stamp);
        }
        self.untold.take_if(|stamp| self.clerk.send(Errand::ClockSynced(*stamp)));
        show_clock(&self.watch, &self.board, &self.metrics);
        // Ages grow while nothing happens.
        outbox_view::show_age(&self.board, &self.metrics.outbox, (now, Wall::now()));
        outbox_view::show_free_space(&self.data, &self.metrics.outbox);
        for (ended, name) in
            [(self.server_thread.is_finished(), "http"), (self.outbox_thread.is_finished(), "outbox")]
        {
            if ended {
                return Err(Error::Ended(name));
            }
        }
        match notify::stalled(&self.board.watched, now) {
            Some(stalled) => log::error!("{} has not moved for {:?}", stalled.name, stalled.silence),
            None if watchdog => notify::alive(),
            None => {}
        }
        self.server.knock();
        self.outbox.knock();
        Ok(())
    }

    pub fn reload(&self, new: &Loaded) -> Result<(), Error> {
        let config = &new.config;
        let keys = if config.keys.is_empty() { vec![first_key(&self.data)?] } else { config.keys.clone() };
        self.server.reload(keys, config.rate);
        match acceptor(config) {
            Ok(Some(acceptor)) => self.server.renew(acceptor),
            Ok(None) => {}
            Err(error) => log::error!("keeping the old certificate: {error}"),
        }
        crate::telemetry::logs::set_level(config.log.level);
        for control in &self.webhooks {
            if let Some(webhook) = config.webhooks.iter().find(|webhook| webhook.name == control.name()) {
                control.update(webhook.clone(), config.breaker);
            }
        }
        connectors::reload(&self.connectors, config);
        Ok(())
    }

    /// Stops in the order in which nothing is lost: requests, the field, the outbox, deliveries, and last the
    /// commit of what these acknowledged.
    pub fn stop(self) {
        self.server.stop();
        for control in &self.connectors {
            control.stop();
        }
        self.engine.stop();
        for control in &self.webhooks {
            control.stop();
        }
        self.server_thread.join().expect("a panic ends the process");
        let deadline = Mono::now() + WEBHOOK_GRACE;
        for control in self.webhooks.iter().chain(&self.connectors) {
            if !control.join(deadline - Mono::now()) {
                log::warn!("{}: gave up on the request in flight", control.name());
            }
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

fn show_clock(watch: &ClockWatch, board: &Board, metrics: &Metrics) {
    board.clock_synced.store(watch.synced(), Relaxed);
    metrics.clock_synced.set(f64::from(u8::from(watch.synced())));
}

fn look_at_clock(watch: &mut ClockWatch) -> Stamp {
    let (mono, wall) = (Mono::now(), Wall::now());
    watch.look(mono, wall, Evidence::read());
    Stamp { mono, wall, synced: watch.synced() }
}

/// Without a directory only when nothing has to be kept.
fn open_state(data: &Path, config: &Config) -> Result<Option<StateDir>, Error> {
    match StateDir::open(data) {
        Ok(state) => Ok(Some(state)),
        Err(error @ state_dir::Error::Io { .. }) if config.outbox.durability == outbox::Durability::None => {
            log::warn!("{error}; nothing is kept, as outbox.durability is \"none\"");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn device(config: &Config, state: Option<&StateDir>) -> Result<String, Error> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let random = identity::random().map_err(Error::io("draw a device id"))?;
    identity::device(config.device.as_deref(), &host, state.map(StateDir::path), random)
        .map_err(Error::io("keep the device id"))
}

fn api_keys(config: &Config, state: Option<&StateDir>) -> Result<Vec<api::Key>, Error> {
    if !config.keys.is_empty() {
        return Ok(config.keys.clone());
    }
    if let Some(state) = state {
        Ok(vec![first_key(state.path())?])
    } else {
        log::warn!("no API key is configured and none can be kept: only public routes will answer");
        Ok(Vec::new())
    }
}

fn acceptor(config: &Config) -> Result<Option<api::Acceptor>, Error> {
    let load = |files: &api::TlsFiles| api::Acceptor::load(&files.cert_file, &files.key_file);
    config.api.tls.as_ref().map(load).transpose().map_err(Error::Tls)
}

fn first_key(data: &Path) -> Result<api::Key, Error> {
    let first =
        keys::first_key(data).map_err(Error::io(format!("use {}", data.join(keys::FILE).display())))?;
    if first.made {
        log::info!("no API key is configured: made one in {}", first.file.display());
    }
    Ok(first.key)
}

fn board(config: &Config, identity: Identity) -> Board {
    let now = identity.started.mono;
    let watched = liveness::watched(config, now);
    let webhooks = config.webhooks.iter().map(|webhook| EndpointView::new(&webhook.name, "webhook"));
    let sources = config.connectors.iter().map(|source| EndpointView::new(&source.name, source.kind()));
    Board {
        identity,
        progress: Mutex::new(Progress::default()),
        features: Mutex::new(FeatureRing::new(FEATURE_RECORDS)),
        features_changed: event_listener::Event::new(),
        outbox: Mutex::new(OutboxView { max_bytes: config.outbox.max_bytes, ..OutboxView::default() }),
        endpoints: Mutex::new(webhooks.chain(sources).collect()),
        inputs: Mutex::new(connectors::inputs(config)),
        watched,
        clock_synced: false.into(),
    }
}

fn metrics(loaded: &Loaded) -> Metrics {
    let config = &loaded.config;
    let metrics = Metrics::new(config.webhooks.iter().map(|webhook| webhook.name.as_str())).with_connectors(
        config.connectors.iter().map(|connector| connector.name.as_str()),
        config.inputs.iter().map(AsRef::as_ref),
    );
    metrics.memory_budget.set(loaded.budget().total() as f64);
    metrics
}

fn facts(loaded: &Loaded) -> Facts {
    let (config, budget) = (&loaded.config, loaded.budget());
    Facts {
        version: env!("CARGO_PKG_VERSION"),
        model: config.sim.model.name(),
        precision: config.sim.precision.name(),
        boundary: config.sim.boundary.name(),
        grid: config.sim.grid,
        tick: config.tick,
        frames: config.frames,
        every: config.every,
        profile: Some(config.profile),
        memory_bytes: budget.total(),
        memory_max_bytes: config.memory_max,
        work_bytes: budget.work,
        lent_bytes: budget.lent,
        outbox_full: config.outbox.full.name(),
    }
}

fn start_outbox(
    config: &Config,
    data: &Path,
    (device, boot, stamp): (&str, BootId, Stamp),
    board: &Arc<Board>,
    metrics: &Arc<Metrics>,
    traces: Option<Traces>,
) -> Result<outbox::thread::Running, Error> {
    let name = |text: &str| Name::new(text).expect("names in a configuration are checked");
    let (shown, timed, counted) = (Arc::clone(board), Arc::clone(metrics), Arc::clone(metrics));
    let (max_bytes, written) = (config.outbox.max_bytes, traces.clone());
    let running = outbox::thread::start(
        data,
        outbox::thread::Options {
            policy: config.outbox,
            identity: outbox::core::Identity { device: name(device), boot, stamp },
            endpoints: config.webhooks.iter().map(|webhook| name(&webhook.name)).collect(),
            on_commit: Some(Box::new(move |took, commits| {
                timed.outbox.commit_seconds.observe(took.as_secs_f64());
                if let Some(traces) = &written {
                    traces.commit(took, commits);
                }
            })),
            on_status: Some(Box::new(move |status| {
                shown.watched[liveness::OUTBOX].beat(Mono::now());
                outbox_view::show(status, max_bytes, &shown, &counted, traces.as_ref());
            })),
        },
    )?;
    outbox_view::show_free_space(data, &metrics.outbox);
    for remark in &running.remarks {
        log::warn!("outbox: {remark}");
    }
    Ok(running)
}

fn start_webhooks(
    config: &Config,
    data: &Path,
    outbox: &Handle,
    board: &Arc<Board>,
    metrics: &Arc<Metrics>,
    (tracer, traces): &(Tracer, Option<Traces>),
) -> Result<Vec<Control>, Error> {
    let mut controls = Vec::new();
    for (slot, webhook) in liveness::WEBHOOKS.zip(&config.webhooks) {
        let seed = identity::random().map_err(Error::io("draw a seed"))?;
        let spec = worker::Spec {
            endpoint: webhook.clone(),
            breaker: config.breaker,
            directory: data.join("breakers"),
            board: Arc::clone(board),
            watched: Some(slot),
            metrics: Arc::clone(metrics),
            trace: Box::new(Deliveries::new(tracer.clone(), traces.clone(), &webhook.name, webhook.origin())),
            seed,
        };
        let source = Outlet::new(outbox.clone(), &webhook.name).expect("the outbox was given every name");
        let control = worker::spawn(spec, Box::new(source))
            .map_err(|error| Error::Webhook(format!("webhook {}: {error}", webhook.name)))?;
        controls.push(control);
    }
    Ok(controls)
}

fn start_engine(
    config: &Config,
    seed: u64,
    board: &Arc<Board>,
    metrics: &Arc<Metrics>,
    ring: &Arc<Mutex<FrameRing>>,
    inbox: &Arc<Mutex<Inbox>>,
    (outbox, traces): (&Handle, Option<Traces>),
) -> Result<Engine, Error> {
    for warning in config.sim.warnings() {
        log::warn!("sim: {warning}");
    }
    let plan = Plan {
        params: config.sim.clone(),
        seed,
        profile: config.profile,
        every: config.every,
        window_steps: config.window_steps,
        inputs: config.inputs.clone(),
    };
    let (outbox, ask, seen) = (outbox.clone(), outbox.clone(), traces.clone());
    let record = move |window: &Window, stamp: Stamp| {
        if let Err(error) = outbox.append(Kind::Window, 0, stamp, &window.encode()) {
            let (trace_id, span_id) = seen.as_ref().map(|seen| seen.ids_of(stamp.mono)).unwrap_or_default();
            log::warn!(trace_id, span_id; "cannot keep a feature window: {error}");
        }
    };
    let ports = Ports {
        board: Arc::clone(board),
        watched: liveness::SIMULATION,
        metrics: Arc::clone(metrics),
        ring: Arc::clone(ring),
        inbox: Arc::clone(inbox),
        record: Box::new(record),
        room: Box::new(move || ask.has_room()),
        watch: traces.map(|traces| Box::new(Windows::new(traces)) as Box<dyn Watch>),
    };
    Engine::start(plan, config.tick, config.steps_per_tick, ports)
        .map_err(Error::io("start the simulation thread"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(directory: &Path) -> Daemon {
        let loaded =
            crate::config::load(None, Vec::new(), vec![("--listen", "api.listen", "127.0.0.1:0".to_owned())]);
        Daemon::start(&loaded.unwrap(), directory).unwrap()
    }

    fn scratch() -> PathBuf {
        std::env::temp_dir().join(format!("mycelium-daemon-{:016x}", identity::random().unwrap()))
    }

    /// Mutants seen red: look without a knock on the front, on the outbox.
    #[test]
    fn what_sleeps_shows_a_sign_of_life_when_it_is_looked_at() {
        let directory = scratch();
        let mut daemon = daemon(&directory);
        let names: Vec<_> = daemon.board.watched.iter().map(|task| task.name).collect();
        assert_eq!(names, ["simulation", "outbox", "http"]);
        let before = Mono::now();
        daemon.board.watched[1..].iter().for_each(|task| task.beat(Mono(0)));
        daemon.look(before, false).unwrap();
        let until = before + Duration::from_secs(20);
        while daemon.board.watched[1..].iter().any(|task| task.stalled(before).is_some()) {
            assert!(Mono::now() < until, "no sign of life: {:?}", daemon.board.watched);
            std::thread::yield_now();
        }
        daemon.stop();
        std::fs::remove_dir_all(directory).unwrap();
    }

    /// Mutant seen red: look does not ask whether the thread has ended.
    #[test]
    fn a_front_that_has_ended_ends_the_daemon() {
        let directory = scratch();
        let mut daemon = daemon(&directory);
        daemon.look(Mono::now(), false).unwrap();
        daemon.server.stop();
        while !daemon.server_thread.is_finished() {
            std::thread::yield_now();
        }
        let error = daemon.look(Mono::now(), false).unwrap_err();
        assert_eq!(error.to_string(), "the http thread has ended: see the line before");
        daemon.stop();
        std::fs::remove_dir_all(directory).unwrap();
    }
}
