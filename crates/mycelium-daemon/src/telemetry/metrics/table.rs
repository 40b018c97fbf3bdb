//! The table: which metrics there are and over which bounded labels.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Counter, Gauge, Histogram};
use mycelium_core::features;
use mycelium_core::sim::StepReport;

/// Seconds; the step of a 64x64 field takes a few microseconds, one of 512x512 some hundred.
static STEP_SECONDS: [f64; 10] = [2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 5e-4, 2e-3, 1e-2, 1e-1];
/// Seconds; from a cached answer to a bounded simulation. 1 and 5 are the thresholds of the alerts on the 99th
/// percentile: a quantile can be told from a bound exactly, between bounds only roughly, and above the last not at all.
static HTTP_SECONDS: [f64; 10] = [1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1, 1.0, 5.0];
/// Seconds; an fdatasync on a good disk up to a dying SD card.
static COMMIT_SECONDS: [f64; 10] = [1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0, 5.0];
/// Seconds; a webhook on the same network up to its time-out.
static DELIVERY_SECONDS: [f64; 9] = [5e-3, 2.5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
/// Box-counting dimensions live in 0..=2.
static DIMENSION: [f64; 9] = [0.25, 0.5, 0.75, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0];

/// Written by the simulation thread.
#[derive(Debug)]
pub struct SimMetrics {
    pub steps: Counter,
    pub growth_events: Counter,
    pub turing_activations: Counter,
    pub clamping_events: Counter,
    pub reseeds: Counter,
    pub stimuli: Counter,
    pub late_ticks: Counter,
    pub step_seconds: Histogram<10>,
    pub fractal_dimension: Histogram<9>,
    pub features: [Gauge; features::FEATURE_COUNT],
}

impl SimMetrics {
    /// One step is done.
    pub fn stepped(&self, report: &StepReport, seconds: f64) {
        self.step_seconds.observe(seconds);
        self.steps.add(1);
        self.growth_events.add(report.growth_events);
        self.turing_activations.add(report.turing_activations);
        self.clamping_events.add(report.clamping_events);
        self.stimuli.add(report.stimuli);
        self.reseeds.add(u64::from(report.reseeded));
    }

    /// A feature record is there.
    pub fn featured(&self, values: &features::FeatureValues) {
        self.fractal_dimension.observe(values[0]);
        for (gauge, &value) in self.features.iter().zip(values) {
            gauge.set(value);
        }
    }
}

/// Written by the HTTP loop. Endpoints, methods and statuses are indices into tables of [`super`]'s users:
/// the bound on the label set is the size of the arrays here.
#[derive(Debug)]
pub struct HttpMetrics {
    requests: Box<[AtomicU64]>,
    pub seconds: Histogram<10>,
    /// Open connections: waiting for a request, and with a handler at work.
    pub idle: Gauge,
    pub busy: Gauge,
    pub evictions: [Counter; HttpMetrics::EVICTIONS.len()],
    /// Records that a stream's reader was too slow for.
    pub stream_dropped: Counter,
}

impl HttpMetrics {
    /// Route templates; anything else is counted under the last.
    pub const ENDPOINTS: [&'static str; 22] = [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/v1/status",
        "/v1/features",
        "/v1/field",
        "/v1/stream",
        "/v1/ws",
        "/ws/stream_features",
        "/ws/simulation_live",
        "/v1/simulate",
        "/v1/nernst",
        "/v1/stimuli",
        "/v1/outbox",
        "/v1/outbox/dead",
        "/v1/outbox/dead/replay",
        "/v1/outbox/flush",
        "/v1/health/connectors",
        "/v1/endpoints/{name}/breaker",
        "other",
    ];
    pub const METHODS: [&'static str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "other"];
    pub const STATUSES: [u16; 27] = [
        101, 200, 202, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 411, 413, 414, 415, 417, 422, 426,
        429, 431, 500, 501, 503, 505, 0,
    ];
    /// Why a connection was ended from this side, or before its time.
    pub const EVICTIONS: [&'static str; 11] = [
        "seats",
        "per_ip",
        "descriptors",
        "head_deadline",
        "body_deadline",
        "write_deadline",
        "slow_stream",
        "refused",
        "silent",
        "handshake",
        "abandoned",
    ];

    fn slot(endpoint: usize, method: usize, status: usize) -> usize {
        (endpoint * Self::METHODS.len() + method) * Self::STATUSES.len() + status
    }

    /// Counts one answer. An endpoint, method or status outside the tables counts as their last entry.
    pub fn answered(&self, endpoint: usize, method: &str, status: u16, seconds: f64) {
        let endpoint = endpoint.min(Self::ENDPOINTS.len() - 1);
        let method = Self::METHODS.iter().position(|&m| m == method).unwrap_or(Self::METHODS.len() - 1);
        let status = Self::STATUSES.iter().position(|&s| s == status).unwrap_or(Self::STATUSES.len() - 1);
        self.requests[Self::slot(endpoint, method, status)].fetch_add(1, Relaxed);
        self.seconds.observe(seconds);
    }

    /// Label values and count of every combination seen so far; status 0 stands for any other.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, &'static str, u16, u64)> + '_ {
        Self::ENDPOINTS.iter().enumerate().flat_map(move |(e, endpoint)| {
            Self::METHODS.iter().enumerate().flat_map(move |(m, method)| {
                Self::STATUSES.iter().enumerate().filter_map(move |(s, &status)| {
                    let count = self.requests[Self::slot(e, m, s)].load(Relaxed);
                    (count > 0).then_some((*endpoint, *method, status, count))
                })
            })
        })
    }
}

/// Written by the outbox thread.
#[derive(Debug)]
pub struct OutboxMetrics {
    pub commit_seconds: Histogram<10>,
    pub appended: Counter,
    pub pending: Gauge,
    pub in_memory: Gauge,
    pub dead: Gauge,
    pub bytes: Gauge,
    pub max_bytes: Gauge,
    /// Free for this process on the file system of the outbox.
    pub free_bytes: Gauge,
    pub oldest_age_seconds: Gauge,
    pub degraded: Gauge,
    pub damaged_bytes: Counter,
    pub dropped: [Counter; OutboxMetrics::DROPS.len()],
}

impl OutboxMetrics {
    /// What a torn end has cost cannot be known in records: it is in `damaged_bytes`.
    pub const DROPS: [&'static str; 7] =
        ["full_oldest", "full_newest", "memory", "queue", "damage", "missing", "dead_full"];
}

/// Written by the sender of one endpoint.
#[derive(Debug)]
pub struct DeliveryMetrics {
    pub endpoint: String,
    pub batches: [Counter; DeliveryMetrics::OUTCOMES.len()],
    pub records: Counter,
    pub retries: Counter,
    pub reused: Counter,
    pub opened: Counter,
    pub seconds: Histogram<9>,
    pub lag_records: Gauge,
    /// Index into [`DeliveryMetrics::STATES`].
    pub breaker_state: AtomicU64,
    pub breaker_transitions: [Counter; DeliveryMetrics::STATES.len()],
}

impl DeliveryMetrics {
    pub const OUTCOMES: [&'static str; 5] = ["delivered", "retried", "split", "dead_lettered", "disabled"];
    pub const STATES: [&'static str; 3] = ["closed", "open", "half_open"];

    fn new(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            batches: Default::default(),
            records: Counter::new(),
            retries: Counter::new(),
            reused: Counter::new(),
            opened: Counter::new(),
            seconds: Histogram::new(&DELIVERY_SECONDS),
            lag_records: Gauge::new(),
            breaker_state: AtomicU64::new(0),
            breaker_transitions: Default::default(),
        }
    }
}

/// Written by the thread of one connector.
#[derive(Debug)]
pub struct ConnectorMetrics {
    pub connector: String,
    pub polls: [Counter; ConnectorMetrics::OUTCOMES.len()],
    pub seconds: Histogram<9>,
    pub values: Counter,
    /// Connections of an `http` connector.
    pub reused: Counter,
    pub opened: Counter,
    pub rejects: [Counter; ConnectorMetrics::REJECTS.len()],
    pub lag: Gauge,
    /// Index into [`DeliveryMetrics::STATES`].
    pub breaker_state: AtomicU64,
    pub breaker_transitions: [Counter; DeliveryMetrics::STATES.len()],
}

impl ConnectorMetrics {
    pub const OUTCOMES: [&'static str; 2] = ["ok", "failed"];
    pub const OK: usize = 0;
    pub const FAILED: usize = 1;
    /// Why data was left out.
    pub const REJECTS: [&'static str; 6] =
        ["malformed", "missing", "not_a_number", "volts", "too_long", "busy"];

    fn new(connector: &str) -> Self {
        Self {
            connector: connector.to_owned(),
            polls: Default::default(),
            seconds: Histogram::new(&DELIVERY_SECONDS),
            values: Counter::new(),
            reused: Counter::new(),
            opened: Counter::new(),
            rejects: Default::default(),
            lag: Gauge::new(),
            breaker_state: AtomicU64::new(0),
            breaker_transitions: Default::default(),
        }
    }
}

/// All of them. Memory is taken once; its size depends only on the number of endpoints.
#[derive(Debug)]
pub struct Metrics {
    pub sim: SimMetrics,
    pub http: HttpMetrics,
    pub outbox: OutboxMetrics,
    pub delivery: Vec<DeliveryMetrics>,
    pub connectors: Vec<ConnectorMetrics>,
    /// Newest value of each input, by its name.
    pub inputs: Vec<(String, Gauge)>,
    pub clock_synced: Gauge,
    pub log_suppressed: Counter,
    pub log_lost: Counter,
    pub rate_limited: Counter,
    /// Set once, at start.
    pub memory_budget: Gauge,
    pub spans_exported: Counter,
    pub spans_dropped: Counter,
}

impl Metrics {
    /// `endpoints`: names of the configured webhooks, at most eight.
    pub fn new<'a>(endpoints: impl IntoIterator<Item = &'a str>) -> Self {
        let slots = HttpMetrics::ENDPOINTS.len() * HttpMetrics::METHODS.len() * HttpMetrics::STATUSES.len();
        Self {
            sim: SimMetrics {
                steps: Counter::new(),
                growth_events: Counter::new(),
                turing_activations: Counter::new(),
                clamping_events: Counter::new(),
                reseeds: Counter::new(),
                stimuli: Counter::new(),
                late_ticks: Counter::new(),
                step_seconds: Histogram::new(&STEP_SECONDS),
                fractal_dimension: Histogram::new(&DIMENSION),
                features: [const { Gauge::new() }; features::FEATURE_COUNT],
            },
            http: HttpMetrics {
                requests: (0..slots).map(|_| AtomicU64::new(0)).collect(),
                seconds: Histogram::new(&HTTP_SECONDS),
                idle: Gauge::new(),
                busy: Gauge::new(),
                evictions: Default::default(),
                stream_dropped: Counter::new(),
            },
            outbox: OutboxMetrics {
                commit_seconds: Histogram::new(&COMMIT_SECONDS),
                appended: Counter::new(),
                pending: Gauge::new(),
                in_memory: Gauge::new(),
                dead: Gauge::new(),
                bytes: Gauge::new(),
                max_bytes: Gauge::new(),
                free_bytes: Gauge::new(),
                oldest_age_seconds: Gauge::new(),
                degraded: Gauge::new(),
                damaged_bytes: Counter::new(),
                dropped: Default::default(),
            },
            delivery: endpoints.into_iter().map(DeliveryMetrics::new).collect(),
            connectors: Vec::new(),
            inputs: Vec::new(),
            clock_synced: Gauge::new(),
            log_suppressed: Counter::new(),
            log_lost: Counter::new(),
            rate_limited: Counter::new(),
            memory_budget: Gauge::new(),
            spans_exported: Counter::new(),
            spans_dropped: Counter::new(),
        }
    }

    /// `connectors` and `inputs`: names of those that are configured, at most 8 and 16. An input has no value yet.
    pub fn with_connectors<'a>(
        mut self,
        connectors: impl IntoIterator<Item = &'a str>,
        inputs: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.connectors = connectors.into_iter().map(ConnectorMetrics::new).collect();
        self.inputs = inputs.into_iter().map(|name| (name.to_owned(), Gauge::new())).collect();
        self.inputs.iter().for_each(|(_, gauge)| gauge.set(f64::NAN));
        self
    }
}
