//! What a sender needs to know about its endpoint, valid by construction.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ureq::http::{HeaderName, HeaderValue, Uri};

use mycelium_core::range::{Interval, OutOfRange, string_enum};
use mycelium_outbox::endpoint::Name;

/// A signing secret of Standard Webhooks: the bytes behind `whsec_`. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One webhook.
#[derive(Clone, PartialEq)]
pub struct Endpoint {
    /// `[A-Za-z0-9._-]`, 1..=64; the endpoint's identity, also on disk.
    pub name: String,
    /// `http` or `https`, without user info. Path and query may be secret: only [`Endpoint::origin`] is shown.
    pub url: String,
    pub secret: Option<Secret>,
    /// Signs too while receivers change over.
    pub previous_secret: Option<Secret>,
    /// Values may be secret.
    pub headers: Vec<(String, String)>,
    pub batch_records: usize,
    pub batch_bytes: usize,
    pub linger: Duration,
    pub timeout: Duration,
    pub retry_base: Duration,
    pub retry_max: Duration,
    /// First delivery after an outage waits a random time up to this.
    pub spread: Duration,
    pub gzip: bool,
    /// More roots, PEM.
    pub ca_file: Option<PathBuf>,
}

impl Endpoint {
    /// Scheme, host and port of the URL: what may be shown and logged.
    pub fn origin(&self) -> String {
        origin_of(&self.url)
    }
}

fn origin_of(url: &str) -> String {
    url.parse::<Uri>().map_or_else(
        |_| "(not a url)".to_owned(),
        |uri| {
            format!("{}://{}", uri.scheme_str().unwrap_or("?"), uri.authority().map_or("?", |a| a.as_str()))
        },
    )
}

/// Without secrets: neither header values, nor the path and query of the URL.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("origin", &self.origin())
            .field("signed", &self.secret.is_some())
            .field("headers", &names)
            .field("batch_records", &self.batch_records)
            .field("batch_bytes", &self.batch_bytes)
            .field("timeout", &self.timeout)
            .field("gzip", &self.gzip)
            .finish_non_exhaustive()
    }
}

/// One `[[webhooks]]` as it was written, files already read; defaults are those of the configuration.
#[derive(Clone)]
pub struct RawEndpoint {
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
    pub spread_ms: i64,
    pub gzip: bool,
    pub ca_file: Option<PathBuf>,
}

impl RawEndpoint {
    pub const DEFAULT: &'static Self = &Self {
        name: String::new(),
        url: String::new(),
        secret: None,
        previous_secret: None,
        headers: Vec::new(),
        batch_records: 64,
        batch_bytes: 262_144,
        linger_ms: 1_000,
        timeout_ms: 15_000,
        retry_base_ms: 1_000,
        retry_max_ms: 900_000,
        spread_ms: 30_000,
        gzip: false,
        ca_file: None,
    };
}

impl Default for RawEndpoint {
    fn default() -> Self {
        Self::DEFAULT.clone()
    }
}

/// Records of one batch; more would only make what a crash repeats larger.
pub const BATCH_RECORDS: Interval = Interval::closed(1.0, 1024.0);
/// Bytes of one body; a record that is larger goes alone.
pub const BATCH_BYTES: Interval = Interval::closed(1.0, 4_194_304.0);
/// Milliseconds: up to an hour.
pub const HOUR: Interval = Interval::closed(0.0, 3_600_000.0);
/// Milliseconds: up to a day, and never at once.
pub const DAY: Interval = Interval::closed(1.0, 86_400_000.0);
/// Milliseconds: the watchdog waits for an attempt, so it may not take for ever.
pub const TIMEOUT: Interval = Interval::closed(1.0, 120_000.0);
/// Custom headers of one endpoint.
const MAX_HEADERS: usize = 16;
const MAX_URL: usize = 2048;
const MAX_HEADER_VALUE: usize = 4096;

/// Headers that are this program's to set.
const RESERVED: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// Collects refusals under one prefix, so that all of them are reported at once.
struct Checks<'a> {
    prefix: &'a str,
    refused: Vec<OutOfRange>,
}

impl Checks<'_> {
    fn refuse(&mut self, key: &str, value: impl Into<String>, accepted: &str) {
        let key = format!("{}.{key}", self.prefix);
        self.refused.push(OutOfRange { key, value: value.into(), accepted: accepted.to_owned() });
    }

    fn number(&mut self, key: &str, value: i64, range: Interval) -> u64 {
        let key = format!("{}.{key}", self.prefix);
        range.check(&key, value as f64).map_err(|e| self.refused.push(e)).ok();
        value.unsigned_abs()
    }

    fn millis(&mut self, key: &str, value: i64, range: Interval) -> Duration {
        Duration::from_millis(self.number(key, value, range))
    }

    fn secret(&mut self, key: &str, text: Option<&str>) -> Option<Secret> {
        let parsed = Secret::parse(&format!("{}.{key}", self.prefix), text?);
        parsed.map_err(|e| self.refused.push(e)).ok()
    }

    /// `high` must not be below `low`.
    fn ordered(&mut self, low: (&str, Duration), high: (&str, Duration)) {
        if high.1 < low.1 {
            let accepted = format!("at least `{}`, which is {}", low.0, low.1.as_millis());
            self.refuse(high.0, high.1.as_millis().to_string(), &accepted);
        }
    }

    fn url(&mut self, url: &str) {
        if let Err(accepted) = check_url(url) {
            self.refuse("url", format!("{:?}", shown(url)), accepted);
        }
    }

    fn headers(&mut self, headers: &[(String, String)]) {
        if headers.len() > MAX_HEADERS {
            self.refuse("headers", format!("a table of {}", headers.len()), "at most 16 headers");
        }
        for (name, value) in headers {
            let key = format!("headers.{name}");
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                self.refuse(&key, "not a header name", "a name of letters, digits and `-`");
            } else if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
                self.refuse(&key, "set by this program", "left out");
            }
            let printable = HeaderValue::from_str(value).is_ok_and(|v| v.to_str().is_ok());
            if !printable || value.len() > MAX_HEADER_VALUE {
                self.refuse(&key, "not a header value", "up to 4096 printable ASCII characters");
            }
        }
    }
}

/// As much of a refused URL as holds no secret: user name, path and query may.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let cut = if host.len() < rest.len() { "/.." } else { "" };
    let host: String = host.rsplit('@').next().unwrap_or_default().chars().take(80).collect();
    if scheme.is_empty() { format!("{host}{cut}") } else { format!("{scheme}://{host}{cut}") }
}

/// Says what would be accepted instead.
fn check_url(url: &str) -> Result<(), &'static str> {
    if url.len() > MAX_URL {
        return Err("at most 2048 bytes long");
    }
    if url.contains('#') {
        return Err("without a fragment (`#..`): it would never be sent");
    }
    let uri: Uri = url.parse().map_err(|_| "an absolute url such as https://example.org/hook")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("a url that begins with http:// or https://");
    }
    let authority = uri.authority().ok_or("a url with a host")?;
    if authority.as_str().contains('@') {
        return Err("without a user name: put credentials into `headers`");
    }
    if authority.host().is_empty() {
        return Err("a url with a host");
    }
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    if !port.is_empty() && authority.port_u16().is_none_or(|p| p == 0) {
        return Err("a url with a port from 1 to 65535");
    }
    Ok(())
}

impl Endpoint {
    /// The endpoint, or everything that is wrong with it. `prefix` names its table, as in `webhooks[0]`.
    pub fn checked(prefix: &str, raw: &RawEndpoint) -> Result<Self, Vec<OutOfRange>> {
        let mut checks = Checks { prefix, refused: Vec::new() };
        if !Name::is_valid(&raw.name) {
            checks.refuse("name", format!("{:?}", raw.name), Name::ACCEPTED);
        }
        checks.url(&raw.url);
        checks.headers(&raw.headers);
        if raw.previous_secret.is_some() && raw.secret.is_none() {
            checks.refuse("previous_secret", "set", "set only together with `secret`");
        }
        let endpoint = Self {
            name: raw.name.clone(),
            url: raw.url.clone(),
            secret: checks.secret("secret", raw.secret.as_deref()),
            previous_secret: checks.secret("previous_secret", raw.previous_secret.as_deref()),
            headers: raw.headers.clone(),
            batch_records: checks.number("batch_records", raw.batch_records, BATCH_RECORDS) as usize,
            batch_bytes: checks.number("batch_bytes", raw.batch_bytes, BATCH_BYTES) as usize,
            linger: checks.millis("linger_ms", raw.linger_ms, HOUR),
            timeout: checks.millis("timeout_ms", raw.timeout_ms, TIMEOUT),
            retry_base: checks.millis("retry_base_ms", raw.retry_base_ms, DAY),
            retry_max: checks.millis("retry_max_ms", raw.retry_max_ms, DAY),
            spread: checks.millis("spread_ms", raw.spread_ms, HOUR),
            gzip: raw.gzip,
            ca_file: raw.ca_file.clone(),
        };
        checks.ordered(("retry_base_ms", endpoint.retry_base), ("retry_max_ms", endpoint.retry_max));
        if checks.refused.is_empty() { Ok(endpoint) } else { Err(checks.refused) }
    }
}

/// When a breaker trips and how long it stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Consecutive failures that trip it, at least 1.
    pub failures: u32,
    pub open: Duration,
    pub open_max: Duration,
    /// Slower than this counts as a failure towards tripping.
    pub slow: Duration,
    /// A half-open permit that has not come back by then counts as failed.
    pub probe_timeout: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// `[breaker]` as it was written.
#[derive(Clone, Copy, Debug)]
pub struct RawBreaker {
    pub failures: i64,
    pub open_ms: i64,
    pub open_max_ms: i64,
    pub slow_ms: i64,
    pub probe_timeout_ms: i64,
}

impl RawBreaker {
    pub const DEFAULT: Self = Self {
        failures: 5,
        open_ms: 30_000,
        open_max_ms: 900_000,
        slow_ms: 10_000,
        probe_timeout_ms: 20_000,
    };
}

impl Default for RawBreaker {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl BreakerPolicy {
    /// Range of `failures`.
    pub const FAILURES: Interval = Interval::closed(1.0, 1000.0);
    pub const DEFAULT: Self = Self {
        failures: RawBreaker::DEFAULT.failures as u32,
        open: Duration::from_millis(RawBreaker::DEFAULT.open_ms as u64),
        open_max: Duration::from_millis(RawBreaker::DEFAULT.open_max_ms as u64),
        slow: Duration::from_millis(RawBreaker::DEFAULT.slow_ms as u64),
        probe_timeout: Duration::from_millis(RawBreaker::DEFAULT.probe_timeout_ms as u64),
    };

    /// The policy, or everything that is wrong with it.
    pub fn checked(prefix: &str, raw: &RawBreaker) -> Result<Self, Vec<OutOfRange>> {
        let mut checks = Checks { prefix, refused: Vec::new() };
        let policy = Self {
            failures: checks.number("failures", raw.failures, Self::FAILURES) as u32,
            open: checks.millis("open_ms", raw.open_ms, DAY),
            open_max: checks.millis("open_max_ms", raw.open_max_ms, DAY),
            slow: checks.millis("slow_ms", raw.slow_ms, DAY),
            probe_timeout: checks.millis("probe_timeout_ms", raw.probe_timeout_ms, DAY),
        };
        checks.ordered(("open_ms", policy.open), ("open_max_ms", policy.open_max));
        if checks.refused.is_empty() { Ok(policy) } else { Err(checks.refused) }
    }
}

/// What an operator wants of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerMode {
    Auto,
    Open,
    Closed,
}
string_enum!(BreakerMode, "mode", Auto = "auto", Open = "open", Closed = "closed");

#[cfg(test)]
mod tests;
