//! Settings of one webhook, valid by construction.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mycelium_core::range::{Interval, OutOfRange};
use mycelium_outbox::SafeName;

use super::signature::Secret;
use crate::net::{DAY_MS, HOUR_MS, HttpTarget, RangeChecks, RawHttpTarget};

/// One webhook.
#[derive(Clone, PartialEq)]
pub struct Webhook {
    /// `[A-Za-z0-9._-]`, 1..=64; identifies the endpoint, also on disk.
    pub name: String,
    pub target: HttpTarget,
    pub secret: Option<Secret>,
    /// Signs too while receivers change to the new secret.
    pub previous_secret: Option<Secret>,
    /// Largest batch, records.
    pub batch_records: usize,
    /// Largest body; a single record may be larger.
    pub batch_bytes: usize,
    /// How long an incomplete batch waits for more records.
    pub linger: Duration,
    pub retry_base: Duration,
    pub retry_max: Duration,
    /// Longest wait that a receiver can ask for by `Retry-After`, whatever `retry_max` is.
    pub retry_after_max: Duration,
    /// The first delivery after an outage waits a random time up to this.
    pub spread: Duration,
    pub gzip: bool,
}

/// One `[[webhooks]]` as it was written, files already read.
#[derive(Clone)]
pub struct RawWebhook {
    pub name: String,
    pub url: String,
    pub secret: Option<String>,
    pub previous_secret: Option<String>,
    pub headers: Vec<(String, String)>,
    pub batch_records: i64,
    pub batch_bytes: i64,
    pub linger_ms: i64,
    pub timeout_ms: i64,
    pub retry_base_ms: i64,
    pub retry_max_ms: i64,
    pub retry_after_max_ms: i64,
    pub spread_ms: i64,
    pub gzip: bool,
    pub ca_file: Option<PathBuf>,
}

impl RawWebhook {
    pub const DEFAULT: &'static Self = &Self {
        name: String::new(),
        url: String::new(),
        secret: None,
        previous_secret: None,
        headers: Vec::new(),
        batch_records: 64,
        batch_bytes: 262_144,
        linger_ms: 1_000,
        timeout_ms: RawHttpTarget::DEFAULT_TIMEOUT_MS,
        retry_base_ms: 1_000,
        retry_max_ms: 900_000,
        retry_after_max_ms: 3_600_000,
        spread_ms: 30_000,
        gzip: false,
        ca_file: None,
    };

    fn target(&self) -> RawHttpTarget {
        RawHttpTarget {
            url: self.url.clone(),
            headers: self.headers.clone(),
            timeout_ms: self.timeout_ms,
            ca_file: self.ca_file.clone(),
        }
    }
}

impl Default for RawWebhook {
    fn default() -> Self {
        Self::DEFAULT.clone()
    }
}

impl Webhook {
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

    /// The webhook, or every violation. `prefix` names its table, as in `webhooks[0]`.
    pub fn checked(prefix: &str, raw: &RawWebhook) -> Result<Self, Vec<OutOfRange>> {
        let mut checks = RangeChecks::new(prefix);
        if !SafeName::is_valid(&raw.name) {
            checks.reject("name", format!("{:?}", raw.name), SafeName::ACCEPTED);
        }
        let target = HttpTarget::from_raw(&raw.target(), &mut checks);
        if raw.previous_secret.is_some() && raw.secret.is_none() {
            checks.reject("previous_secret", "set", "set only together with `secret`");
        }
        let webhook = Self {
            name: raw.name.clone(),
            target,
            secret: secret(&mut checks, "secret", raw.secret.as_deref()),
            previous_secret: secret(&mut checks, "previous_secret", raw.previous_secret.as_deref()),
            batch_records: checks.integer("batch_records", raw.batch_records, Self::BATCH_RECORDS) as usize,
            batch_bytes: checks.integer("batch_bytes", raw.batch_bytes, Self::BATCH_BYTES) as usize,
            linger: checks.millis("linger_ms", raw.linger_ms, Self::LINGER_MS),
            retry_base: checks.millis("retry_base_ms", raw.retry_base_ms, Self::RETRY_MS),
            retry_max: checks.millis("retry_max_ms", raw.retry_max_ms, Self::RETRY_MS),
            retry_after_max: checks.millis("retry_after_max_ms", raw.retry_after_max_ms, Self::RETRY_MS),
            spread: checks.millis("spread_ms", raw.spread_ms, Self::SPREAD_MS),
            gzip: raw.gzip,
        };
        checks.ordered(("retry_base_ms", webhook.retry_base), ("retry_max_ms", webhook.retry_max));
        checks.finish(webhook)
    }
}

fn secret(checks: &mut RangeChecks<'_>, key: &str, text: Option<&str>) -> Option<Secret> {
    let parsed = Secret::parse(&checks.path(key), text?);
    checks.keep(parsed)
}

/// Prints neither secrets nor header values, nor path and query of the URL.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("name", &self.name)
            .field("target", &self.target)
            .field("signed", &self.secret.is_some())
            .field("batch_records", &self.batch_records)
            .field("batch_bytes", &self.batch_bytes)
            .field("gzip", &self.gzip)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
