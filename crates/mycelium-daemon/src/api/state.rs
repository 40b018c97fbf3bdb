//! State that connections, handlers and streams share. It never leaves the thread of the HTTP loop, so it needs no
//! locks.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::auth::authenticator::{Access, AuthDecision, Authenticator, Credential};
use super::date_cache::DateCache;
use super::exposition_cache::ExpositionCache;
use super::feature_cache::FeatureCache;
use super::http::problem::Problem;
use super::http::request_id::{RequestId, request_id_from};
use super::job_thread::JobThread;
use super::memory_budget::{MemoryBudget, Reservation};
use super::metrics::{EvictionReason, HttpMetrics};
use super::ports::{Ports, StaticInfo};
use super::server::connection_table::ConnectionTable;
use super::server::read_buffer::SpareBuffer;
use super::settings::{ApiKey, Deadlines, Rate, Settings};
use super::static_text::StaticText;
use crate::clock::Mono;
use crate::snapshots::Snapshots;

/// Responses above [`LARGE_RESPONSE_BYTES`] that exist at once, being made or being sent: each is a copy of a frame or
/// of many records.
pub const MAX_LARGE_RESPONSES: u64 = 2;
pub const LARGE_RESPONSE_BYTES: usize = 64 * 1024;
/// Live simulations of the legacy protocol at once: each has a separate field.
const MAX_LIVE_SIMULATIONS: u64 = 2;

pub struct AppState {
    settings: Settings,
    deadlines: Deadlines,
    snapshots: Arc<Snapshots>,
    metrics: Arc<HttpMetrics>,
    ports: Ports,
    authenticator: RefCell<Authenticator>,
    connections: Rc<ConnectionTable>,
    spare_buffer: SpareBuffer,
    features: FeatureCache,
    expositions: ExpositionCache,
    date: DateCache,
    page: StaticText,
    openapi: StaticText,
    simulations: JobThread,
    dead_letter_reads: JobThread,
    large_responses: MemoryBudget,
    bodies: MemoryBudget,
    simulation_memory: MemoryBudget,
    live_simulations: MemoryBudget,
    stopping: Cell<bool>,
    request_ids: RefCell<fastrand::Rng>,
}

impl AppState {
    pub fn new(
        settings: Settings,
        deadlines: Deadlines,
        authenticator: Authenticator,
        snapshots: Arc<Snapshots>,
        metrics: Arc<HttpMetrics>,
        ports: Ports,
    ) -> Self {
        Self {
            connections: Rc::new(ConnectionTable::new(settings.max_connections, settings.max_per_ip)),
            spare_buffer: SpareBuffer::default(),
            features: FeatureCache::new(snapshots.identity.boot),
            settings,
            deadlines,
            snapshots,
            metrics,
            ports,
            authenticator: RefCell::new(authenticator),
            expositions: ExpositionCache::default(),
            date: DateCache::default(),
            page: StaticText::page(),
            openapi: StaticText::openapi(),
            simulations: JobThread::parallel("simulate", "simulations"),
            dead_letter_reads: JobThread::new("dead-letters", "readings of dead letters"),
            large_responses: MemoryBudget::default(),
            bodies: MemoryBudget::default(),
            simulation_memory: MemoryBudget::default(),
            live_simulations: MemoryBudget::default(),
            stopping: Cell::new(false),
            request_ids: RefCell::new(fastrand::Rng::new()),
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    pub fn snapshots(&self) -> &Arc<Snapshots> {
        &self.snapshots
    }

    pub fn metrics(&self) -> &HttpMetrics {
        &self.metrics
    }

    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    pub fn info(&self) -> &StaticInfo {
        &self.ports.info
    }

    pub fn connections(&self) -> &Rc<ConnectionTable> {
        &self.connections
    }

    pub fn spare_buffer(&self) -> &SpareBuffer {
        &self.spare_buffer
    }

    pub fn features(&self) -> &FeatureCache {
        &self.features
    }

    pub fn expositions(&self) -> &ExpositionCache {
        &self.expositions
    }

    pub fn date(&self) -> &DateCache {
        &self.date
    }

    pub fn page(&self) -> &StaticText {
        &self.page
    }

    pub fn openapi(&self) -> &StaticText {
        &self.openapi
    }

    /// Runs on-demand simulations and the slices of live ones.
    pub fn simulations(&self) -> &JobThread {
        &self.simulations
    }

    /// Reads dead letters, which waits for the outbox thread and so for the disk.
    pub fn dead_letter_reads(&self) -> &JobThread {
        &self.dead_letter_reads
    }

    /// Bytes of request bodies that are being read.
    pub fn bodies(&self) -> &MemoryBudget {
        &self.bodies
    }

    /// Bytes of on-demand and live simulations.
    pub fn simulation_memory(&self) -> &MemoryBudget {
        &self.simulation_memory
    }

    /// One of the large responses that may exist at once.
    pub fn reserve_large_response(&self) -> Result<Reservation, Problem> {
        self.large_responses
            .reserve(1, MAX_LARGE_RESPONSES)
            .map_err(|_| Problem::busy("too many large responses are in progress: try again", 1))
    }

    /// One of the live simulations that may exist at once.
    pub fn reserve_live_simulation(&self) -> Option<Reservation> {
        self.live_simulations.reserve(1, MAX_LIVE_SIMULATIONS).ok()
    }

    pub fn authenticator(&self) -> Ref<'_, Authenticator> {
        self.authenticator.borrow()
    }

    /// Decides about one request and charges the rate limit it belongs to.
    pub fn authorize(&self, access: Access, credential: Credential<'_>, now: Mono) -> AuthDecision {
        let decision = self.authenticator.borrow_mut().authorize(access, credential, now);
        if matches!(decision, AuthDecision::RateLimited(..)) {
            self.metrics.rate_limited.add(1);
        }
        decision
    }

    pub fn reload_keys(&self, keys: Vec<ApiKey>, rate: Rate, now: Mono) {
        self.authenticator.borrow_mut().reload(keys, rate, now);
    }

    /// Counts a connection that this side has ended.
    pub fn count_eviction(&self, reason: EvictionReason) {
        self.metrics.evictions.add(reason, 1);
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Ends streams and long polls; requests in progress may finish.
    pub fn stop(&self) {
        self.stopping.set(true);
        self.snapshots.features_changed.notify(usize::MAX);
    }

    /// The client's id if it is usable, otherwise a new one of 16 random hex digits.
    pub fn request_id(&self, client: Option<&str>) -> RequestId {
        if let Some(id) = client.and_then(|id| RequestId::try_from(id).ok()) {
            return id;
        }
        request_id_from(self.request_ids.borrow_mut().u64(..))
    }
}
