//! What a sender needs to know about its endpoint, valid by construction.

use std::path::PathBuf;
use std::time::Duration;

/// A signing secret of Standard Webhooks: the bytes behind `whsec_`. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One webhook.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `[A-Za-z0-9._-]`, 1..=64; the endpoint's identity, also on disk.
    pub name: String,
    /// `http` or `https`, without user info.
    pub url: String,
    pub secret: Option<Secret>,
    /// Signs too while receivers change over.
    pub previous_secret: Option<Secret>,
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
        Self {
            failures: 5,
            open: Duration::from_secs(30),
            open_max: Duration::from_secs(900),
            slow: Duration::from_secs(10),
            probe_timeout: Duration::from_secs(20),
        }
    }
}

/// What an operator wants of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerMode {
    Auto,
    Open,
    Closed,
}
