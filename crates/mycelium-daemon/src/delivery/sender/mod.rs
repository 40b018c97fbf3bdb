//! Sends one body to one endpoint over pooled connections and says what came of it.
//!
//! No redirects are followed and no proxy is taken from the environment: where the data goes is what the
//! configuration says. The answer's body is read up to [`MAX_ANSWER`] and thrown away.

pub mod fetch;
pub mod probe;
mod wire;

use std::fmt;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use ureq::Agent;
use ureq::http::Response;
use ureq::http::header::{DATE, RETRY_AFTER};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, TcpConnector};

use self::wire::{Names, Phase, Tcp, Tls, Wire};
use super::cloudevents::CONTENT_TYPE;
use super::outcome::{Fault, Outcome};
use super::retry::{http_date, retry_after};
use super::settings::Endpoint;
use super::signature::Signer;
use super::trace::Carried;
use crate::clock::{Mono, Stamp, Wall};

/// Log targets that write whole URLs and headers at level debug: the logger keeps them at warn, whatever
/// `log.level` says.
pub const TALKATIVE: [&str; 3] = ["ureq", "ureq_proto", "rustls"];
/// Bytes of an answer that are read so the connection can be used again; a longer answer costs the connection.
pub const MAX_ANSWER: u64 = 64 << 10;
/// Bytes of the head of an answer.
const MAX_ANSWER_HEAD: usize = 16 << 10;
/// Connections idle longer than this are not used again; a window a minute should still find its connection.
const IDLE: Duration = Duration::from_secs(90);
/// Buffers of one connection, bytes.
const BUFFER: usize = 16 << 10;
const USER_AGENT: &str = concat!("myceliumd/", env!("CARGO_PKG_VERSION"));

/// Why there can be no sender for an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SenderError {
    CaFile { path: PathBuf, cause: String },
}

impl fmt::Display for SenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::CaFile { path, cause } = self;
        write!(f, "cannot use ca_file {}: {cause}: give it certificates in PEM", path.display())
    }
}

impl std::error::Error for SenderError {}

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub outcome: Outcome,
    pub status: Option<u16>,
    /// Cause and remedy, without secrets; empty after a delivery.
    pub detail: String,
    pub took: Duration,
}

/// Ends what a sender is doing, from any thread and for good.
#[derive(Clone)]
pub struct Abort(Agent);

impl Abort {
    pub fn abort(self) {
        self.0.shutdown();
    }
}

impl fmt::Debug for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Abort")
    }
}

pub struct Sender {
    agent: Agent,
    wire: Arc<Wire>,
    url: String,
    headers: Vec<(String, String)>,
    signer: Option<Signer>,
    gzip: bool,
    /// What the receiver's clock said, and when; stands in for an own clock that nobody has set.
    receiver_clock: Option<(Wall, Mono)>,
    requests: u64,
    packed: Vec<u8>,
}

impl Sender {
    /// Reads `ca_file`; makes no connection.
    pub fn new(endpoint: &Endpoint) -> Result<Self, SenderError> {
        let wire = Arc::new(Wire::default());
        let agent = agent(endpoint, &wire)?;
        Ok(Self {
            agent,
            wire,
            url: endpoint.url.clone(),
            headers: endpoint.headers.clone(),
            signer: Signer::new(endpoint.secret.as_ref(), endpoint.previous_secret.as_ref()),
            gzip: endpoint.gzip,
            receiver_clock: None,
            requests: 0,
            packed: Vec::new(),
        })
    }

    pub fn abort_handle(&self) -> Abort {
        Abort(self.agent.clone())
    }

    /// Requests that got a connection, and connections made for them; the difference was reused.
    pub fn connections(&self) -> (u64, u64) {
        (self.requests, self.wire.opened())
    }

    /// One attempt to deliver `body`, at most the endpoint's time-out long.
    pub fn send(&mut self, id: &str, body: &[u8], carried: &Carried, now: Stamp) -> Reply {
        let mut packed = std::mem::take(&mut self.packed);
        let bytes = if self.gzip {
            pack(body, &mut packed);
            &packed[..]
        } else {
            body
        };
        let mut reply = self.attempt(id, bytes, carried, now);
        if reply.1 == Some(Fault::Reset) && reply.2 {
            // The receiver closed an idle connection in the moment it was taken up again: that says nothing
            // about its health. The bytes and the id are the same, so nothing is taken twice.
            reply = self.attempt(id, bytes, carried, now);
        }
        self.packed = packed;
        reply.0
    }

    /// The reply, its fault if there was no answer, and whether the connection had been used before.
    fn attempt(
        &mut self,
        id: &str,
        bytes: &[u8],
        carried: &Carried,
        now: Stamp,
    ) -> (Reply, Option<Fault>, bool) {
        let timestamp = self.timestamp(now);
        let opened = self.wire.opened();
        let mut request = self.agent.post(&self.url).content_type(CONTENT_TYPE);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request = request
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("traceparent", &carried.traceparent);
        if let Some(state) = &carried.tracestate {
            request = request.header("tracestate", &**state);
        }
        if let Some(signer) = &self.signer {
            request = request.header("webhook-signature", signer.sign(id, timestamp, bytes));
        }
        if self.gzip {
            request = request.header("content-encoding", "gzip");
        }
        let begun = Mono::now();
        let answer = request.send(bytes).and_then(|answer| Self::drain(answer).map_err(ureq::Error::from));
        let took = Mono::now() - begun;
        let reused = self.wire.opened() == opened;
        self.requests += u64::from(self.wire.phase() == Phase::Exchange);
        match answer {
            Ok(answer) => (self.answered(&answer, took), None, reused),
            Err(error) => {
                let fault = fault_of(&error, self.wire.phase());
                let detail = explained(fault, &error);
                (Reply { outcome: fault.outcome(), status: None, detail, took }, Some(fault), reused)
            }
        }
    }

    /// Reads what is left of an answer, so its connection can be used again.
    fn drain(mut answer: Response<ureq::Body>) -> io::Result<Response<ureq::Body>> {
        let read = io::copy(&mut answer.body_mut().as_reader().take(MAX_ANSWER), &mut io::sink())?;
        log::debug!("read {read} bytes of the answer");
        Ok(answer)
    }

    fn answered(&mut self, answer: &Response<ureq::Body>, took: Duration) -> Reply {
        let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let date = text(DATE);
        let arrived = Mono::now();
        if let Some(date) = date.and_then(http_date) {
            self.receiver_clock = Some((date, arrived));
        }
        let wait = text(RETRY_AFTER).and_then(|value| retry_after(value, date, Wall::now()));
        let status = answer.status().as_u16();
        let outcome = Outcome::of(status, wait, took);
        let detail = match outcome {
            Outcome::Delivered { .. } => String::new(),
            _ => format!("answered {status}{}", remedy(status)),
        };
        Reply { outcome, status: Some(status), detail, took }
    }

    /// Seconds for `webhook-timestamp`. Receivers refuse what is minutes off, and a gateway without a battery
    /// starts in 1970: until its clock is set, the receiver's own `Date` tells the time.
    fn timestamp(&self, now: Stamp) -> i64 {
        let ms = match self.receiver_clock {
            Some((wall, at)) if !now.synced => wall.0 + (now.mono - at).as_millis() as i64,
            _ => now.wall.0,
        };
        ms.div_euclid(1000)
    }
}

/// Agent of one endpoint: the only place that says how connections are made and how long anything may take.
fn agent(endpoint: &Endpoint, wire: &Arc<Wire>) -> Result<Agent, SenderError> {
    let secure = endpoint.url.get(..6).is_some_and(|s| s.eq_ignore_ascii_case("https:"));
    let tls = if secure { Some(wire::tls_config(endpoint.ca_file.as_deref())?) } else { None };
    let connector =
        ().chain(Tcp { wire: Arc::clone(wire), inner: TcpConnector::default() })
            .chain(Tls { wire: Arc::clone(wire), config: tls });
    let names = Names { wire: Arc::clone(wire), inner: DefaultResolver::default() };
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(USER_AGENT)
        .accept("")
        .accept_encoding("")
        .timeout_global(Some(endpoint.timeout))
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .max_idle_age(IDLE)
        .max_response_header_size(MAX_ANSWER_HEAD)
        .input_buffer_size(MAX_ANSWER_HEAD)
        .output_buffer_size(BUFFER)
        .build();
    Ok(Agent::with_parts(config, connector, names))
}

/// A fault in words; what the transport says about it only where that helps.
fn explained(fault: Fault, error: &ureq::Error) -> String {
    match fault {
        Fault::Tls | Fault::Protocol | Fault::Other => format!("{fault} ({error})"),
        _ => fault.to_string(),
    }
}

fn remedy(status: u16) -> &'static str {
    match status {
        300..=399 => ": redirects are not followed, set `url` to the new address",
        401 | 403 | 407 => ": check `secret` and `headers`",
        402 => ": the receiver wants to be paid",
        404 | 405 | 421 | 426 => ": check `url`",
        410 => ": nothing more is sent until the breaker is set or `url` changes",
        _ => "",
    }
}

/// The same body gives the same bytes: no time and no name in the header.
fn pack(body: &[u8], into: &mut Vec<u8>) {
    into.clear();
    let mut encoder = GzEncoder::new(into, Compression::default());
    let written = encoder.write_all(body).and_then(|()| encoder.finish().map(drop));
    written.expect("writing to a Vec cannot fail");
}

fn fault_of(error: &ureq::Error, phase: Phase) -> Fault {
    use io::ErrorKind as Kind;
    let kind = match error {
        ureq::Error::Io(e) => Some(e.kind()),
        _ => None,
    };
    match (phase, error, kind) {
        (Phase::Resolve, ..) | (_, ureq::Error::HostNotFound, _) => Fault::Dns,
        (
            _,
            _,
            Some(
                Kind::NetworkUnreachable | Kind::HostUnreachable | Kind::NetworkDown | Kind::AddrNotAvailable,
            ),
        ) => Fault::NoRoute,
        (Phase::Connect, _, Some(Kind::ConnectionRefused)) => Fault::Refused,
        (Phase::Connect | Phase::Tls, ureq::Error::Timeout(_), _) => Fault::ConnectTimeout,
        (_, ureq::Error::Timeout(_), _) => Fault::Timeout,
        (_, _, Some(Kind::NotConnected)) => Fault::Abandoned,
        (Phase::Tls, ..) | (_, ureq::Error::Rustls(_) | ureq::Error::Tls(_), _) => Fault::Tls,
        (
            _,
            _,
            Some(Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof),
        ) => Fault::Reset,
        (_, _, Some(Kind::TimedOut | Kind::WouldBlock)) => Fault::Timeout,
        (_, ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..), _) => Fault::Protocol,
        _ => Fault::Other,
    }
}
