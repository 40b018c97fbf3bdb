//! PURE. Settings that every endpoint has, whatever its kind.

use std::time::Duration;

use mycelium_core::range::Interval;
use mycelium_outbox::SafeName;

use super::type_filter::TypeFilter;
use crate::net::{DAY_MS, HOUR_MS, RangeChecks};

/// How one endpoint gets its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliverySettings {
    /// `[A-Za-z0-9._-]`, 1..=64; identifies the endpoint, also on disk.
    pub name: String,
    /// Largest batch, records.
    pub batch_records: usize,
    /// Largest batch, bytes; a single record may be larger.
    pub batch_bytes: usize,
    /// How long an incomplete batch waits for more records.
    pub linger: Duration,
    pub retry_base: Duration,
    pub retry_max: Duration,
    /// Longest wait that an endpoint can ask for, as by `Retry-After`, whatever `retry_max` is.
    pub retry_after_max: Duration,
    /// The first delivery after an outage waits a random time up to this.
    pub spread: Duration,
    /// Which events are delivered.
    pub types: TypeFilter,
}

/// The same as it was written.
#[derive(Clone, Debug)]
pub struct RawDelivery {
    pub name: String,
    pub batch_records: i64,
    pub batch_bytes: i64,
    pub linger_ms: i64,
    pub retry_base_ms: i64,
    pub retry_max_ms: i64,
    pub retry_after_max_ms: i64,
    pub spread_ms: i64,
    pub types: Vec<String>,
}

impl RawDelivery {
    pub const DEFAULT: &'static Self = &Self {
        name: String::new(),
        batch_records: 64,
        batch_bytes: 262_144,
        linger_ms: 1_000,
        retry_base_ms: 1_000,
        retry_max_ms: 900_000,
        retry_after_max_ms: 3_600_000,
        spread_ms: 30_000,
        types: Vec::new(),
    };
}

impl Default for RawDelivery {
    fn default() -> Self {
        Self::DEFAULT.clone()
    }
}

impl DeliverySettings {
    /// Range of `batch_records`. A larger batch would only make a crash repeat more records.
    pub const BATCH_RECORDS: Interval = Interval::closed(1.0, 1024.0);
    /// Range of `batch_bytes`.
    pub const BATCH_BYTES: Interval = Interval::closed(1.0, 4_194_304.0);
    /// Range of `linger`, milliseconds.
    pub const LINGER_MS: Interval = HOUR_MS;
    /// Range of `retry_base`, `retry_max` and `retry_after_max`, milliseconds.
    pub const RETRY_MS: Interval = DAY_MS;
    /// Range of `spread`, milliseconds.
    pub const SPREAD_MS: Interval = HOUR_MS;

    /// The settings; violations are added to `checks`.
    pub fn from_raw(raw: &RawDelivery, checks: &mut RangeChecks<'_>) -> Self {
        if !SafeName::is_valid(&raw.name) {
            checks.reject("name", format!("{:?}", raw.name), SafeName::ACCEPTED);
        }
        let settings = Self {
            name: raw.name.clone(),
            batch_records: checks.integer("batch_records", raw.batch_records, Self::BATCH_RECORDS) as usize,
            batch_bytes: checks.integer("batch_bytes", raw.batch_bytes, Self::BATCH_BYTES) as usize,
            linger: checks.millis("linger_ms", raw.linger_ms, Self::LINGER_MS),
            retry_base: checks.millis("retry_base_ms", raw.retry_base_ms, Self::RETRY_MS),
            retry_max: checks.millis("retry_max_ms", raw.retry_max_ms, Self::RETRY_MS),
            retry_after_max: checks.millis("retry_after_max_ms", raw.retry_after_max_ms, Self::RETRY_MS),
            spread: checks.millis("spread_ms", raw.spread_ms, Self::SPREAD_MS),
            types: TypeFilter::new(&raw.types),
        };
        checks.ordered(("retry_base_ms", settings.retry_base), ("retry_max_ms", settings.retry_max));
        settings
    }
}
