//! State that connections, handlers and streams share. It never leaves the thread of the HTTP loop, so it needs no
//! locks.

use std::cell::{Cell, Ref, RefCell};
use std::fmt::Arguments;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::auth::authenticator::{Access, AuthDecision, Authenticator, Credential};
use super::auth::names::AllowedNames;
use super::auth::wrong_keys::{WrongKeyLog, WrongKeys};
use super::date_cache::DateCache;
use super::exposition_cache::ExpositionCache;
use super::feature_cache::FeatureCache;
use super::http::problem::Problem;
use super::http::request_id::{RequestId, request_id_from};
use super::job_thread::{JobThread, MAX_JOBS};
use super::memory_budget::{MemoryBudget, Reservation};
use super::metrics::{EvictionReason, HttpMetrics};
use super::places::{Holder, Place, Places};
use super::ports::{Ports, StaticInfo};
use super::server::connection_table::ConnectionTable;
use super::server::read_buffer::SpareBuffer;
use super::settings::{ApiKey, Deadlines, Rate, Scope, Settings};
use super::static_text::StaticText;
use crate::clock::Mono;
use crate::snapshots::Snapshots;

/// Responses above [`LARGE_RESPONSE_BYTES`] that exist at once, being made or being sent: each is a copy of a frame or
/// of many records. One for each of two keys, and one that is kept for keys that may write.
pub const MAX_LARGE_RESPONSES: usize = 3;
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
    names: RefCell<AllowedNames>,
    wrong_keys: RefCell<WrongKeyLog>,
    connections: Rc<ConnectionTable>,
    spare_buffer: SpareBuffer,
    features: FeatureCache,
    expositions: ExpositionCache,
    date: DateCache,
    page: StaticText,
    openapi: StaticText,
    simulations: JobThread,
    dead_letter_reads: JobThread,
    simulation_places: Places,
    dead_letter_places: Places,
    large_responses: Places,
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
            names: RefCell::new(settings.names.clone()),
            wrong_keys: RefCell::default(),
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
            simulation_places: Places::new(MAX_JOBS),
            dead_letter_places: Places::new(MAX_JOBS),
            large_responses: Places::new(MAX_LARGE_RESPONSES),
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
    pub fn reserve_large_response(&self, holder: Holder) -> Result<Place, Problem> {
        self.large_responses
            .take(holder)
            .ok_or_else(|| Problem::busy("too many large responses are in progress: try again", 1))
    }

    /// One of the on-demand simulations that may run or wait at once.
    pub fn reserve_simulation(&self, holder: Holder) -> Result<Place, Problem> {
        self.simulation_places
            .take(holder)
            .ok_or_else(|| Problem::busy("simulations are queued already: try again", 1))
    }

    /// One of the readings of dead letters that may run or wait at once.
    pub fn reserve_dead_letters(&self, holder: Holder) -> Result<Place, Problem> {
        self.dead_letter_places
            .take(holder)
            .ok_or_else(|| Problem::busy("readings of dead letters are queued already: try again", 1))
    }

    /// One of the live simulations that may exist at once.
    pub fn reserve_live_simulation(&self) -> Option<Reservation> {
        self.live_simulations.reserve(1, MAX_LIVE_SIMULATIONS).ok()
    }

    pub fn authenticator(&self) -> Ref<'_, Authenticator> {
        self.authenticator.borrow()
    }

    /// Decides about one request and charges the rate limit it belongs to.
    pub fn authorize(
        &self,
        access: Access,
        credential: Credential<'_>,
        peer: IpAddr,
        now: Mono,
    ) -> AuthDecision {
        let decision = self.authenticator.borrow_mut().authorize(access, credential, peer, now);
        if matches!(decision, AuthDecision::RateLimited(..)) {
            self.metrics.rate_limited.add(1);
        }
        decision
    }

    /// Who holds the places of a request with that key.
    pub fn holder(&self, key: Option<usize>) -> Holder {
        let authenticator = self.authenticator.borrow();
        key.and_then(|key| authenticator.key(key)).map_or(Holder::ANONYMOUS, Holder::of)
    }

    pub fn reload_keys(&self, keys: Vec<ApiKey>, rate: Rate, names: AllowedNames, now: Mono) {
        self.authenticator.borrow_mut().reload(keys, rate, now);
        *self.names.borrow_mut() = names;
    }

    pub fn names(&self) -> Ref<'_, AllowedNames> {
        self.names.borrow()
    }

    /// Counts a wrong key, and logs it if it is the first of its address.
    pub fn count_wrong_key(&self, peer: IpAddr, now: Mono) {
        let first = self.wrong_keys.borrow_mut().count(peer, now);
        if let Some(first) = first {
            self.log_wrong_keys(first);
        }
    }

    /// Logs the wrong keys of addresses whose minute is over.
    pub fn report_wrong_keys(&self, now: Mono) {
        while let Some(due) = self.wrong_keys.borrow_mut().due(now) {
            self.log_wrong_keys(due);
        }
    }

    /// Logs an action of a key that may write. The rate limit of lines is for errors and warnings: the rate limit of the
    /// key bounds these.
    pub fn audit(&self, scope: Scope, action: Arguments<'_>, key: usize, peer: IpAddr, request_id: &str) {
        let authenticator = self.authenticator.borrow();
        let (key, from) = (authenticator.key(key).map_or("", |key| &key.name), self.shown(peer));
        match scope {
            Scope::Admin => log::info!(request_id; "admin: {action} by the key {key} from {from}"),
            Scope::Read | Scope::Write => log::info!(request_id; "{action} by the key {key} from {from}"),
        }
    }

    fn log_wrong_keys(&self, WrongKeys { from, count }: WrongKeys) {
        log::warn!("wrong API key from {}: {count} within a minute", self.shown(from));
    }

    /// An address as logs and traces may show it: with `api.mask_addresses` without its last part.
    pub fn shown(&self, address: IpAddr) -> IpAddr {
        if self.settings.mask_addresses { masked(address) } else { address.to_canonical() }
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

/// The /24 network of an IPv4 address, and the /48 network of an IPv6 address.
fn masked(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::from((v4.to_bits() & !0xff).to_be_bytes()),
        IpAddr::V6(v6) => IpAddr::from((v6.to_bits() & !(u128::MAX >> 48)).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_address_shows_its_network_only() {
        let rows = [
            ("192.0.2.77", "192.0.2.0"),
            ("::ffff:192.0.2.77", "192.0.2.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ];
        for (address, network) in rows {
            assert_eq!(masked(address.parse().unwrap()).to_string(), network, "{address}");
        }
    }
}
