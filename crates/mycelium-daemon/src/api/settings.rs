//! Configuration of the API, valid by construction.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::auth::names::AllowedNames;
use mycelium_core::range::{Interval, string_enum};

/// What a key may do; each includes the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Read,
    Write,
    Admin,
}
string_enum!(Scope, "scope", Read = "read", Write = "write", Admin = "admin");

/// One API key; only the digest of its text is ever kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    pub name: String,
    pub scope: Scope,
    pub sha256: [u8; 32],
}

/// Token buckets in requests per second and depth, each 1..=1e9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub per_second: u32,
    pub burst: u32,
    pub unauthenticated_per_second: u32,
    pub unauthenticated_burst: u32,
}

impl Rate {
    /// Accepted values of each field.
    pub const RANGE: Interval = Interval::closed(1.0, 1e9);
    pub const DEFAULT: Self =
        Self { per_second: 20, burst: 40, unauthenticated_per_second: 5, unauthenticated_burst: 20 };
}

impl Default for Rate {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Where to listen and how many may come.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    pub max_connections: usize,
    pub max_per_ip: usize,
    pub metrics_public: bool,
    /// `None`: in the clear.
    pub tls: Option<TlsFiles>,
    pub names: AllowedNames,
    /// Whether logs and traces show addresses without their last part.
    pub mask_addresses: bool,
    /// Where to listen for programs of this machine, without TLS.
    pub unix_socket: Option<PathBuf>,
    /// Whether they need no key.
    pub unix_trusted: bool,
}

impl Settings {
    /// Accepted values of `max_connections` and `max_per_ip`.
    pub const CONNECTIONS: Interval = Interval::closed(1.0, 4096.0);
    pub const DEFAULT_LISTEN: &'static str = "127.0.0.1:8600";
    pub const DEFAULT_MAX_CONNECTIONS: usize = 64;
    pub const DEFAULT_MAX_PER_IP: usize = 16;
}

/// Where certificate chain, private key and authorities for clients are, all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    /// Authorities whose certificates clients must have; `None` if clients need none.
    pub client_ca_file: Option<PathBuf>,
}

/// How long each kind of wait may take. The defaults are documented limits; tests use shorter ones.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the first byte of a request, or from accepting the connection, to the end of the head.
    pub head: Duration,
    pub body: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For the client to read one response, or one batch of a stream.
    pub write: Duration,
    /// For what a client still sends after an error.
    pub drain: Duration,
    /// For requests in progress when the server stops.
    pub stop: Duration,
    /// Between two comments or pings on a stream.
    pub heartbeat: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(5),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            write: Duration::from_secs(10),
            drain: Duration::from_secs(1),
            stop: Duration::from_secs(1),
            heartbeat: Duration::from_secs(15),
        }
    }
}

impl Deadlines {
    /// How often deadlines are checked, and so by how much a wait may exceed its deadline.
    pub fn check_interval(&self) -> Duration {
        let shortest = [self.head, self.body, self.idle, self.write, self.drain].into_iter().min();
        (shortest.unwrap_or(self.head) / 4).clamp(Duration::from_millis(5), Duration::from_secs(1))
    }
}
