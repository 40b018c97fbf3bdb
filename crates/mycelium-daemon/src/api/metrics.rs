//! The numbers of the HTTP loop.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::route_table::{OTHER, ROUTES};
use crate::events::EventMetrics;
use crate::telemetry::metrics::{Counter, Gauge, Histogram, LabelledCounters, labels};

/// Seconds; from a cached response to a bounded simulation. 1 and 5 are the thresholds of the alerts on the 99th
/// percentile: a quantile is exact at a bound, rough between bounds, and unknown above the last.
static SECONDS: [f64; 10] = [1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1, 1.0, 5.0];

/// Why the server ended a connection, or a request before its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionReason {
    SlotsFull,
    PerIp,
    Descriptors,
    HeadDeadline,
    BodyDeadline,
    WriteDeadline,
    SlowStream,
    /// No connection could be evicted to make room for this one.
    Refused,
    /// A WebSocket that does not answer pings.
    Silent,
    /// The TLS handshake failed.
    Handshake,
    /// The client went away while its response was pending.
    Abandoned,
}
labels!(EvictionReason {
    SlotsFull = "seats",
    PerIp = "per_ip",
    Descriptors = "descriptors",
    HeadDeadline = "head_deadline",
    BodyDeadline = "body_deadline",
    WriteDeadline = "write_deadline",
    SlowStream = "slow_stream",
    Refused = "refused",
    Silent = "silent",
    Handshake = "handshake",
    Abandoned = "abandoned",
});

/// Written by the HTTP loop. The bound on the label set of `requests` is routes x methods x statuses.
#[derive(Debug)]
pub struct HttpMetrics {
    requests: Box<[AtomicU64]>,
    pub seconds: Histogram<10>,
    /// Open connections without a request in progress.
    pub idle: Gauge,
    /// Open connections with one.
    pub busy: Gauge,
    pub evictions: LabelledCounters<EvictionReason>,
    /// Records that the reader of a stream was too slow for.
    pub stream_dropped: Counter,
    /// Requests answered 429.
    pub rate_limited: Counter,
    /// What POST /v1/events has brought.
    pub events: EventMetrics,
}

impl HttpMetrics {
    pub const METHODS: [&'static str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "other"];
    /// 0 stands for every other status.
    pub const STATUSES: [u16; 27] = [
        101, 200, 202, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 411, 413, 414, 415, 417, 422, 426,
        429, 431, 500, 501, 503, 505, 0,
    ];

    fn slot(route: usize, method: usize, status: usize) -> usize {
        (route * Self::METHODS.len() + method) * Self::STATUSES.len() + status
    }

    /// Counts one response. A route, method or status that is not listed counts as the last of its kind.
    pub fn record_response(&self, route: usize, method: &str, status: u16, seconds: f64) {
        let method = Self::METHODS.iter().position(|&m| m == method).unwrap_or(Self::METHODS.len() - 1);
        let status = Self::STATUSES.iter().position(|&s| s == status).unwrap_or(Self::STATUSES.len() - 1);
        self.requests[Self::slot(route.min(OTHER), method, status)].fetch_add(1, Relaxed);
        self.seconds.observe(seconds);
    }

    /// Label values and count of every combination seen so far.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, &'static str, u16, u64)> + '_ {
        (0..=OTHER).flat_map(move |route| {
            let template = ROUTES.get(route).map_or("other", |row| row.template);
            Self::METHODS.iter().enumerate().flat_map(move |(m, method)| {
                Self::STATUSES.iter().enumerate().filter_map(move |(s, &status)| {
                    let count = self.requests[Self::slot(route, m, s)].load(Relaxed);
                    (count > 0).then_some((template, *method, status, count))
                })
            })
        })
    }
}

impl Default for HttpMetrics {
    fn default() -> Self {
        let slots = (OTHER + 1) * Self::METHODS.len() * Self::STATUSES.len();
        Self {
            requests: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            seconds: Histogram::new(&SECONDS),
            idle: Gauge::new(),
            busy: Gauge::new(),
            evictions: LabelledCounters::default(),
            stream_dropped: Counter::new(),
            rate_limited: Counter::new(),
            events: EventMetrics::default(),
        }
    }
}
